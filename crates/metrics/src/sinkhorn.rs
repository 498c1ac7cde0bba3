//! Entropic optimal transport and the Sinkhorn divergence.
//!
//! Source: Cuturi (2013), arXiv:1306.0895; Feydy et al. (2019), arXiv:1810.08278, for the debiased divergence and the
//! averaged iteration of the symmetric problem.
//!
//! For uniform weights a, b, cost C = |x − y|² (not halved) and ε > 0,
//!
//! OT_ε(x, y) = min over couplings P of ⟨P, C⟩ + ε KL(P ‖ a bᵀ) = mean f + mean g
//!
//! S_ε(x, y) = OT_ε(x, y) − ½ OT_ε(x, x) − ½ OT_ε(y, y)  ≥ 0
//!
//! by iterating the potentials in the log domain, where no ε underflows:
//!
//! fᵢ = −ε ln Σⱼ bⱼ exp((gⱼ − Cᵢⱼ)/ε),   gⱼ likewise;   P = a bᵀ exp((f + g − C)/ε)
//!
//! The number of iterations grows like the largest cost over ε, and much faster where assignments are nearly tied. So the
//! residual, Σᵢ |Σⱼ Pᵢⱼ − aᵢ|, is always returned: the result is no better than it.
//!
//! # Cost
//! 2 n m exponentials an iteration, over threads; memory is one number a row. The number of threads changes no bit.

use crate::points::{Rows, positive, squared_distance, sum_of_rows, values_of_rows, wrong};
use ndarray::ArrayView2;
use retrograde_core::Result;

const NAME: &str = "Sinkhorn";

/// How far, and with what ε, the potentials are iterated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SinkhornSettings {
    /// Regularisation ε > 0, in the unit of the squared points. 1 by default.
    pub epsilon: f64,
    /// The iteration stops at a residual of this, > 0. 1e-9 by default.
    pub tolerance: f64,
    /// Most iterations, ≥ 1. 10 000 by default.
    pub max_iterations: usize,
}

impl Default for SinkhornSettings {
    fn default() -> Self {
        Self {
            epsilon: 1.0,
            tolerance: 1e-9,
            max_iterations: 10_000,
        }
    }
}

impl SinkhornSettings {
    fn check(self) -> Result {
        positive(NAME, "epsilon", self.epsilon)?;
        positive(NAME, "tolerance", self.tolerance)?;
        if self.max_iterations == 0 {
            return Err(wrong(NAME, "max_iterations", 0, "at least 1"));
        }
        Ok(())
    }
}

/// Entropic optimal transport between two samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EntropicTransport {
    /// OT_ε: transport cost plus ε KL(P ‖ a bᵀ).
    pub objective: f64,
    /// ⟨P, C⟩ alone.
    pub cost: f64,
    /// Σᵢ |Σⱼ Pᵢⱼ − aᵢ|: how far the coupling is from its marginals, 0 … 2.
    pub residual: f64,
    /// Iterations made.
    pub iterations: usize,
}

/// A Sinkhorn divergence with its three parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SinkhornDivergence {
    /// S_ε, in the unit of the squared points.
    pub value: f64,
    /// The largest residual of the three parts.
    pub residual: f64,
    /// Between the samples.
    pub between: EntropicTransport,
    /// Within `x`.
    pub within_x: EntropicTransport,
    /// Within `y`.
    pub within_y: EntropicTransport,
}

/// Returns the Sinkhorn divergence between two samples; look at its residual.
///
/// # Shapes
/// `x`: (n, d), `y`: (m, d).
///
/// # Errors
/// [`retrograde_core::Error::Shape`] for no points or different dimensions, [`retrograde_core::Error::Argument`] for a
/// number that is not finite or a setting out of its range. A residual above the tolerance is no error.
pub fn sinkhorn_divergence(
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    settings: SinkhornSettings,
) -> Result<SinkhornDivergence> {
    settings.check()?;
    let (x, y) = Rows::pair(NAME, x, y)?;
    let between = alternate(&x, &y, settings);
    let (within_x, within_y) = (average(&x, settings), average(&y, settings));
    Ok(SinkhornDivergence {
        value: between.objective - 0.5 * (within_x.objective + within_y.objective),
        residual: between
            .residual
            .max(within_x.residual)
            .max(within_y.residual),
        between,
        within_x,
        within_y,
    })
}

/// Returns entropic optimal transport between two samples; look at its residual.
///
/// # Shapes
/// `x`: (n, d), `y`: (m, d).
///
/// # Errors
/// As [`sinkhorn_divergence`].
pub fn entropic_transport(
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    settings: SinkhornSettings,
) -> Result<EntropicTransport> {
    settings.check()?;
    let (x, y) = Rows::pair(NAME, x, y)?;
    Ok(alternate(&x, &y, settings))
}

/// Returns the same by way of larger ε: from the largest cost on each is half of the last, with a few iterations. For an ε
/// that is small against the costs this takes a fraction of the iterations, all of which are counted; ε-scaling of Kosowsky &
/// Yuille (1994), Neural Networks 7, 477.
///
/// Here `cost` is `objective` less ε KL(P ‖ a bᵀ): ⟨P, C⟩ with the error of the marginals taken away to first order. Where few
/// points lie in clusters of unlike numbers the residual falls so slowly that ⟨P, C⟩ itself is of no use.
///
/// # Shapes
/// `x`: (n, d), `y`: (m, d).
///
/// # Errors
/// As [`sinkhorn_divergence`].
pub fn entropic_transport_annealed(
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    settings: SinkhornSettings,
) -> Result<EntropicTransport> {
    /// Iterations at each ε.
    const EACH: usize = 10;
    settings.check()?;
    let (x, y) = Rows::pair(NAME, x, y)?;
    let farthest = values_of_rows(x.len(), |i| {
        let far = y.all().map(|b| squared_distance(x.row(i), b));
        far.fold(0.0, f64::max)
    });
    let mut epsilon = farthest.into_iter().fold(0.0, f64::max);
    let mut g = vec![0.0; y.len()];
    let mut spent = 0;
    while epsilon > settings.epsilon {
        for _ in 0..EACH {
            let f = soft_minimum(&x, &y, &g, epsilon);
            g = soft_minimum(&y, &x, &f, epsilon);
        }
        spent += EACH;
        epsilon *= 0.5;
    }
    let (found, f, better) = alternate_from(&x, &y, &g, settings);
    // Σᵢ (aᵢ − Σⱼ Pᵢⱼ) fᵢ; the columns fit.
    let missing = |(f, b): (&f64, &f64)| -((f - b) / settings.epsilon).exp_m1() * f;
    let correction = f.iter().zip(&better).map(missing).sum::<f64>() / f.len() as f64;
    Ok(EntropicTransport {
        iterations: spent + found.iterations,
        cost: found.cost + correction,
        ..found
    })
}

/// −ε ln mean exp((potential − C)/ε) for each of `rows`, against the points `others` with their potentials.
fn soft_minimum(rows: &Rows<'_>, others: &Rows<'_>, potential: &[f64], epsilon: f64) -> Vec<f64> {
    let m = others.len() as f64;
    values_of_rows(rows.len(), |i| {
        let a = rows.row(i);
        let exponents: Vec<f64> = others
            .all()
            .zip(potential)
            .map(|(b, g)| (g - squared_distance(a, b)) / epsilon)
            .collect();
        let max = exponents.iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v));
        let sum: f64 = exponents.iter().map(|v| (v - max).exp()).sum();
        -epsilon * (max + (sum / m).ln())
    })
}

/// Σᵢ |Σⱼ Pᵢⱼ − aᵢ| of the potentials `f` and those that made `better` = the f that would fit all rows.
fn marginal_residual(f: &[f64], better: &[f64], epsilon: f64) -> f64 {
    let errors = f
        .iter()
        .zip(better)
        .map(|(f, b)| ((f - b) / epsilon).exp_m1().abs());
    errors.sum::<f64>() / f.len() as f64
}

/// Both potentials in turn. After each update of g the columns of P fit exactly, so its mass is 1.
fn alternate(x: &Rows<'_>, y: &Rows<'_>, settings: SinkhornSettings) -> EntropicTransport {
    alternate_from(x, y, &vec![0.0; y.len()], settings).0
}

/// The same from a potential of `y`; with the last potential of `x` and the one that would fit better.
fn alternate_from(
    x: &Rows<'_>,
    y: &Rows<'_>,
    start: &[f64],
    settings: SinkhornSettings,
) -> (EntropicTransport, Vec<f64>, Vec<f64>) {
    let epsilon = settings.epsilon;
    let mut f = soft_minimum(x, y, start, epsilon);
    let mut g = soft_minimum(y, x, &f, epsilon);
    let mut iterations = 1;
    loop {
        let better = soft_minimum(x, y, &g, epsilon);
        let residual = marginal_residual(&f, &better, epsilon);
        // Not `>`: a residual that is not a number shall end it too.
        let unfinished = residual >= settings.tolerance && iterations < settings.max_iterations;
        if !unfinished {
            let objective = mean(&f) + mean(&g);
            let (_, cost) = mass_and_cost(x, y, &f, &g, epsilon);
            let found = EntropicTransport {
                objective,
                cost,
                residual,
                iterations,
            };
            return (found, f, better);
        }
        f = better;
        g = soft_minimum(y, x, &f, epsilon);
        iterations += 1;
    }
}

/// The symmetric problem has one potential; the mean of old and new converges fast where alternating would not.
fn average(x: &Rows<'_>, settings: SinkhornSettings) -> EntropicTransport {
    let epsilon = settings.epsilon;
    let mut f = vec![0.0; x.len()];
    let mut iterations = 0;
    loop {
        let better = soft_minimum(x, x, &f, epsilon);
        let residual = marginal_residual(&f, &better, epsilon);
        let unfinished = residual >= settings.tolerance && iterations < settings.max_iterations;
        if !unfinished {
            let (mass, cost) = mass_and_cost(x, x, &f, &f, epsilon);
            return EntropicTransport {
                objective: 2.0 * mean(&f) - epsilon * (mass - 1.0),
                cost,
                residual,
                iterations,
            };
        }
        f.iter_mut()
            .zip(better)
            .for_each(|(f, b)| *f = 0.5 * (*f + b));
        iterations += 1;
    }
}

/// Σ P and ⟨P, C⟩.
fn mass_and_cost(x: &Rows<'_>, y: &Rows<'_>, f: &[f64], g: &[f64], epsilon: f64) -> (f64, f64) {
    let of = |weigh: fn(f64) -> f64| {
        sum_of_rows(x.len(), |i| {
            let a = x.row(i);
            let row = y.all().zip(g).map(|(b, g)| {
                let c = squared_distance(a, b);
                ((f[i] + g - c) / epsilon).exp() * weigh(c)
            });
            row.sum()
        }) / (x.len() as f64 * y.len() as f64)
    };
    (of(|_| 1.0), of(|c| c))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::samples::{cloud, on_threads, x, y};
    use crate::test_chains::assert_close;
    use ndarray::{Array2, array, s};

    fn settings(epsilon: f64) -> SinkhornSettings {
        SinkhornSettings {
            epsilon,
            tolerance: 1e-14,
            max_iterations: 100_000,
        }
    }

    #[test]
    fn annealing_gives_the_same_sooner() {
        let settings = SinkhornSettings {
            epsilon: 0.5,
            tolerance: 1e-13,
            ..SinkhornSettings::default()
        };
        let plain = entropic_transport(x().view(), y().view(), settings).unwrap();
        let annealed = entropic_transport_annealed(x().view(), y().view(), settings).unwrap();
        assert_close(annealed.cost, plain.cost, 1e-11);
        assert_close(annealed.objective, 1.208_907_202_450_7, 1e-10);
        // Costs up to some thousands of ε: what hundreds of iterations from 0 do not do.
        let (a, b) = (cloud(60, 2, 1) * 10.0, cloud(60, 2, 2) * 10.0 + 3.0);
        let rough = SinkhornSettings {
            epsilon: 0.05,
            tolerance: 0.02,
            max_iterations: 400,
        };
        let plain = entropic_transport(a.view(), b.view(), rough).unwrap();
        let annealed = entropic_transport_annealed(a.view(), b.view(), rough).unwrap();
        assert!(plain.residual > 0.02, "{plain:?}");
        assert!(annealed.residual < 0.02, "{annealed:?}");
        // Between the exact cost and ε ln n above it.
        let exact = crate::wasserstein(a.view(), b.view(), crate::Order::Two)
            .unwrap()
            .mean_cost;
        assert!(
            annealed.cost > exact - 0.01 && annealed.cost < exact + 0.05 * 60.0_f64.ln() + 0.01,
            "{annealed:?}, exact {exact}"
        );
    }

    #[test]
    fn known_values() {
        for (epsilon, cost, between, xx, yy, value) in [
            (
                0.5,
                0.682_550_052_723_07,
                1.208_907_202_450_7,
                0.712_710_374_808_4,
                0.773_458_699_257_88,
                0.465_822_665_417_6,
            ),
            (
                1.0,
                0.975_340_576_579_03,
                1.626_122_379_265_1,
                1.162_956_431_940_9,
                1.292_181_028_17,
                0.398_553_649_209_66,
            ),
        ] {
            let s = sinkhorn_divergence(x().view(), y().view(), settings(epsilon)).unwrap();
            assert!(s.residual < 1e-14, "{s:?}");
            assert_close(s.between.cost, cost, 1e-10);
            assert_close(s.between.objective, between, 1e-10);
            assert_close(s.within_x.objective, xx, 1e-10);
            assert_close(s.within_y.objective, yy, 1e-10);
            assert_close(s.value, value, 1e-10);
        }
    }

    #[test]
    fn a_residual_tells_of_an_iteration_cut_short() {
        let few = SinkhornSettings {
            max_iterations: 1000,
            ..settings(0.1)
        };
        let s = sinkhorn_divergence(x().view(), y().view(), few).unwrap();
        assert!(
            s.between.iterations == 1000 && s.residual > 1e-6 && s.residual == s.between.residual
        );
        let one = SinkhornSettings {
            max_iterations: 1,
            ..settings(0.5)
        };
        let first = entropic_transport(x().view(), y().view(), one).unwrap();
        assert!(first.iterations == 1 && first.residual > 1e-2);
    }

    /// The residual is that of the coupling itself.
    #[test]
    fn the_residual_is_the_error_of_the_marginals() {
        let (x, y) = (x(), y());
        let (rows, columns) = Rows::pair("t", x.view(), y.view()).unwrap();
        let f = soft_minimum(&rows, &columns, &[0.0; 5], 0.5);
        let g = soft_minimum(&columns, &rows, &f, 0.5);
        let p = Array2::from_shape_fn((5, 5), |(i, j)| {
            let c = squared_distance(rows.row(i), columns.row(j));
            ((f[i] + g[j] - c) / 0.5).exp() / 25.0
        });
        let by_hand: f64 = p.rows().into_iter().map(|r| (r.sum() - 0.2).abs()).sum();
        let better = soft_minimum(&rows, &columns, &g, 0.5);
        assert_close(marginal_residual(&f, &better, 0.5), by_hand, 1e-10);
        assert!(
            p.columns()
                .into_iter()
                .all(|c| (c.sum() - 0.2).abs() < 1e-14)
        );
    }

    #[test]
    fn zero_for_equal_samples_and_otherwise_between_transport_and_independence() {
        let (x, y) = (cloud(60, 2, 1), cloud(40, 2, 2) + 1.0);
        let same = sinkhorn_divergence(x.view(), x.view(), settings(0.5)).unwrap();
        assert!(same.value.abs() < 1e-10, "{same:?}");
        let all = on_threads(|| sinkhorn_divergence(x.view(), y.view(), settings(0.5)).unwrap());
        assert!(all[0] == all[1] && all[0] == all[2] && all[0].value > 0.0);
        let turned = sinkhorn_divergence(x.slice(s![..;-1, ..]), y.view(), settings(0.5)).unwrap();
        assert_close(turned.value, all[0].value, 1e-10);
        // A shift m of the whole sample costs |m|² at any ε.
        let shifted = sinkhorn_divergence(x.view(), (&x + 2.0).view(), settings(2.0)).unwrap();
        assert_close(shifted.value, 8.0, 1e-8);
        // Small ε: towards W₂².
        let (x, y) = (array![[0.0], [9.0], [20.0]], array![[21.0], [0.5], [9.25]]);
        let w2 = crate::wasserstein(x.view(), y.view(), crate::Order::Two).unwrap();
        let sharp = entropic_transport(x.view(), y.view(), settings(1.0)).unwrap();
        assert_close(sharp.cost, w2.mean_cost, 1e-10);
    }

    #[test]
    fn bad_input_is_told() {
        let told = |s: SinkhornSettings| {
            sinkhorn_divergence(x().view(), y().view(), s)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            told(settings(-1.0)),
            "Sinkhorn: `epsilon` is -1, but must be positive and finite"
        );
        let none = SinkhornSettings {
            max_iterations: 0,
            ..settings(1.0)
        };
        assert_eq!(
            told(none),
            "Sinkhorn: `max_iterations` is 0, but must be at least 1"
        );
        assert!(
            entropic_transport(x().view(), Array2::zeros((0, 2)).view(), settings(1.0)).is_err()
        );
    }
}
