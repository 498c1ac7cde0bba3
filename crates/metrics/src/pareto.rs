//! Pareto-smoothed importance sampling: can the weights be trusted?
//!
//! Source: Vehtari, Simpson, Gelman, Yao & Gabry (2024), arXiv:1507.02646; the fit is that of Zhang & Stephens (2009),
//! Technometrics 51, 316.
//!
//! The M = ⌈min(0.2 n, 3 √n)⌉ largest of n weights, less the next largest (weights relative to the largest of all), are
//! taken for draws from a generalised Pareto law with shape k and scale σ, whose quantiles at (i − ½)/M then replace them,
//! capped at the largest weight.
//!
//! Its fit: with bⱼ = 1/x_M + (1 − √(m/(j − ½)))/(3 x*) for j = 1 … m, m = 30 + ⌊√M⌋, x* the lower quartile, and
//! k(b) = mean ln(1 − b xᵢ), the posterior mean of b under the profile likelihood M [ln(−b/k(b)) − k(b) − 1] gives
//! k and σ = −k/b. At last k is shrunk by ten draws with k = ½: k ← (M k + 5)/(M + 10).
//!
//! Below k = 0.5 the weights have a variance, and estimates behave as usual; up to 0.7 they are usable; above it they
//! are not, whatever the effective sample size says.

use crate::weights::WeightDiagnostics;
use ndarray::{Array1, ArrayView1};

/// Log weights further than this below the largest underflow: they are in no tail.
const SMALLEST: f64 = -708.0;

/// Smoothed weights and the shape of their tail.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ParetoSmoothed {
    /// Logarithms of the smoothed weights, normalised to sum 1; length n. NaN where there are no weights to speak of.
    pub log_weights: Array1<f64>,
    /// Shape k of the tail. NaN if it has fewer than five weights above the cutoff (few draws, or nearly equal weights).
    pub k: f64,
    /// Scale σ of the tail, relative to the largest weight; NaN as `k` is.
    pub sigma: f64,
    /// Effective sample size of the smoothed weights, in draws.
    pub ess: f64,
}

/// Returns the Pareto-smoothed weights and the shape k of their tail.
///
/// Where k cannot be computed the weights are only normalised. All numbers are NaN for no weights, for a log weight that
/// is NaN or +∞ and if all are −∞.
///
/// # Shapes
/// `log_weights`: (n); natural logarithms, any common offset.
///
/// # Example
/// ```
/// // A tail that is heavier than a variance allows: w = u^(−0.8).
/// let log_weights = ndarray::Array1::from_shape_fn(1000, |i| -0.8 * ((i as f64 + 0.5) / 1000.0).ln());
/// assert!((retrograde_metrics::pareto_smooth(log_weights.view()).k - 0.8).abs() < 0.1);
/// ```
#[must_use]
pub fn pareto_smooth(log_weights: ArrayView1<'_, f64>) -> ParetoSmoothed {
    let n = log_weights.len();
    let max = log_weights.iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v));
    let invalid = log_weights.iter().any(|v| v.is_nan()) || !max.is_finite();
    if invalid {
        return ParetoSmoothed {
            log_weights: Array1::from_elem(n, f64::NAN),
            k: f64::NAN,
            sigma: f64::NAN,
            ess: f64::NAN,
        };
    }
    let mut relative = log_weights.mapv(|l| l - max);
    let (mut k, mut sigma) = (f64::NAN, f64::NAN);
    let tail = (0.2 * n as f64).min(3.0 * (n as f64).sqrt()).ceil() as usize;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| relative[i].total_cmp(&relative[j]));
    if tail < n {
        let cutoff = relative[order[n - tail - 1]].max(SMALLEST);
        let above = order.partition_point(|i| relative[*i] <= cutoff);
        let tail = &order[above..];
        let excess: Vec<f64> = tail
            .iter()
            .map(|i| relative[*i].exp() - cutoff.exp())
            .collect();
        if excess.len() >= 5
            && let Some(fit) = fit(&excess)
        {
            (k, sigma) = fit;
            for (rank, i) in tail.iter().enumerate() {
                let p = (rank as f64 + 0.5) / tail.len() as f64;
                // ln(1 − p) is where all tails have their digits.
                let l = (-p).ln_1p();
                let quantile = if k.abs() < f64::EPSILON {
                    -l
                } else {
                    (-k * l).exp_m1() / k
                };
                relative[*i] = (sigma * quantile + cutoff.exp()).ln().min(0.0);
            }
        }
    }
    let d = WeightDiagnostics::new(relative.view());
    let log_sum = d.log_z + (n as f64).ln();
    ParetoSmoothed {
        log_weights: relative - log_sum,
        k,
        sigma,
        ess: d.ess,
    }
}

/// Shape and scale of a generalised Pareto law, from positive numbers in ascending order; none where rounding leaves
/// no number.
fn fit(x: &[f64]) -> Option<(f64, f64)> {
    let n = x.len() as f64;
    let grid = 30 + n.sqrt() as usize;
    let quartile = x[(n / 4.0 + 0.5) as usize - 1];
    let largest = x[x.len() - 1];
    let shape = |b: f64| x.iter().map(|x| (-b * x).ln_1p()).sum::<f64>() / n;
    let mut candidates: Vec<(f64, f64)> = (1..=grid)
        .map(|j| {
            let spread = 1.0 - (grid as f64 / (j as f64 - 0.5)).sqrt();
            let b = spread / (3.0 * quartile) + 1.0 / largest;
            let k = shape(b);
            (b, n * ((-b / k).ln() - k - 1.0))
        })
        .collect();
    let best = candidates
        .iter()
        .fold(f64::NEG_INFINITY, |m, (_, l)| m.max(*l));
    let total: f64 = candidates.iter().map(|(_, l)| (l - best).exp()).sum();
    for (_, l) in &mut candidates {
        *l = (*l - best).exp() / total;
    }
    // Weights below ten epsilons are left out, as those who use this fit do.
    candidates.retain(|(_, w)| *w >= 10.0 * f64::EPSILON);
    let total: f64 = candidates.iter().map(|(_, w)| w).sum();
    let b: f64 = candidates.iter().map(|(b, w)| b * w).sum::<f64>() / total;
    let k = shape(b);
    let sigma = -k / b;
    let shrunk = (n * k + 5.0) / (n + 10.0);
    (shrunk.is_finite() && sigma.is_finite() && sigma > 0.0).then_some((shrunk, sigma))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_chains::{assert_close, normals};
    use ndarray::array;
    use statrs::distribution::{ContinuousCDF, Normal};

    fn wide() -> Array1<f64> {
        let normal = Normal::standard();
        (1..=100)
            .map(|i| 1.5 * normal.inverse_cdf((f64::from(i) - 0.5) / 100.0))
            .collect()
    }

    #[test]
    fn known_values() {
        let s = pareto_smooth(wide().view());
        assert_close(s.k, 0.514_881_915_750_95, 1e-10);
        assert_close(s.sigma, 0.083_728_968_457_053, 1e-10);
        assert_close(s.ess, 19.080_923_641_121, 1e-10);
        for (found, known) in
            s.log_weights
                .iter()
                .skip(97)
                .zip([-2.757_153_24, -2.441_133_69, -1.803_964_99])
        {
            assert!((found - known).abs() < 5e-9);
        }
        assert_close(
            WeightDiagnostics::new(wide().view()).ess,
            19.041_893_745_468,
            1e-10,
        );
        assert!((s.log_weights.mapv(f64::exp).sum() - 1.0).abs() < 1e-14);
    }

    #[test]
    fn order_and_offset_change_nothing() {
        let w = wide();
        let plain = pareto_smooth(w.view());
        let turned = pareto_smooth(w.slice(ndarray::s![..;-1]));
        assert_eq!((turned.k, turned.sigma), (plain.k, plain.sigma));
        assert_eq!(
            turned.log_weights.iter().next_back(),
            plain.log_weights.iter().next()
        );
        let moved = pareto_smooth((&w + 1000.0).view());
        assert_close(moved.k, plain.k, 1e-9);
    }

    /// Weights whose tail is Pareto with a known shape.
    #[test]
    fn it_recovers_the_shape_of_a_pareto_tail() {
        let (normal, n) = (Normal::standard(), 20_000);
        for k in [0.2, 0.5, 0.9] {
            let mut next = normals(17);
            let w: Array1<f64> = (0..n)
                .map(|_| -k * normal.cdf(next()).max(1e-300).ln())
                .collect();
            // M = 425 tail weights: the sd of k̂ is about (1 + k)/√M.
            let found = pareto_smooth(w.view()).k;
            assert!(
                (found - k).abs() < 4.0 * (1.0 + k) / 425_f64.sqrt(),
                "{found} for {k}"
            );
        }
    }

    #[test]
    fn no_tail_no_shape() {
        for w in [array![0.0], array![1.0, 2.0, 3.0], Array1::zeros(1000)] {
            let s = pareto_smooth(w.view());
            assert!(s.k.is_nan() && s.sigma.is_nan());
            assert!((s.log_weights.mapv(f64::exp).sum() - 1.0).abs() < 1e-12);
        }
        let mut dead = wide();
        dead.slice_mut(ndarray::s![..90]).fill(f64::NEG_INFINITY);
        let s = pareto_smooth(dead.view());
        assert!(s.k.is_finite() && s.log_weights[0] == f64::NEG_INFINITY);
        let infinite = f64::NEG_INFINITY;
        for w in [
            array![],
            array![infinite, infinite],
            array![0.0, f64::NAN],
            array![f64::INFINITY],
        ] {
            let s = pareto_smooth(w.view());
            assert!(s.k.is_nan() && s.ess.is_nan() && s.log_weights.iter().all(|v| v.is_nan()));
        }
    }
}
