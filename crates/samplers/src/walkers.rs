//! Points that Metropolis kernels move, and the law they keep.

use crate::chains::{Gaussian, check_length, evaluate_starts, zeros};
use ndarray::{Array1, Array2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::{BLOCK, Cx, Result, RowSplit, Target};
use serde::{Deserialize, Serialize};

/// Points with their log density ℓ and gradient ∇ℓ under the target.
#[derive(Serialize, Deserialize)]
pub(crate) struct Walkers {
    pub(crate) x: Array2<f64>,
    pub(crate) log_density: Array1<f64>,
    pub(crate) gradient: Array2<f64>,
}

impl Walkers {
    /// `n` walkers drawn from `law` and evaluated. `keys` are the settings that place it.
    pub(crate) fn start(
        cx: &mut Cx<'_>,
        component: &str,
        keys: [&str; 2],
        target: &dyn Target,
        law: &Gaussian,
        n: usize,
    ) -> Result<Self> {
        let mut walkers = Self::nowhere(component, n, target.dim())?;
        walkers.draw(cx, component, keys, target, law)?;
        Ok(walkers)
    }

    /// Room for `n` walkers in dimension `d`.
    pub(crate) fn nowhere(component: &str, n: usize, d: usize) -> Result<Self> {
        Ok(Self {
            x: zeros(component, n, d)?,
            log_density: Array1::zeros(n),
            gradient: zeros(component, n, d)?,
        })
    }

    /// Whether saved walkers are `n` points in dimension `d`, none with a density of NaN or +∞.
    pub(crate) fn check_saved(&self, n: usize, d: usize) -> std::result::Result<(), String> {
        for (what, found) in [("points", self.x.dim()), ("gradients", self.gradient.dim())] {
            if found != (n, d) {
                return Err(format!("{what} of shape {found:?}, not {:?}", (n, d)));
            }
        }
        check_length("log densities", self.log_density.len(), n)?;
        match self
            .log_density
            .iter()
            .find(|l| l.is_nan() || **l == f64::INFINITY)
        {
            None => Ok(()),
            Some(l) => Err(format!("a log density of {l}")),
        }
    }

    /// Draws them anew.
    pub(crate) fn draw(
        &mut self,
        cx: &mut Cx<'_>,
        component: &str,
        keys: [&str; 2],
        target: &dyn Target,
        law: &Gaussian,
    ) -> Result {
        law.draw(&mut cx.at("start", 0), self.x.view_mut());
        evaluate_starts(
            cx,
            component,
            keys,
            target,
            self.x.view(),
            self.log_density.view_mut(),
            Some(self.gradient.view_mut()),
        )
    }
}

/// Numbers that a kernel's buffers hold at most, each: 8 MiB, which a cache still likes.
const BUFFER: usize = 1 << 20;

/// Some rows of [`Walkers`].
pub(crate) struct WalkersMut<'a> {
    /// Place of the first of them among all.
    pub(crate) first: usize,
    pub(crate) x: ArrayViewMut2<'a, f64>,
    pub(crate) log_density: ArrayViewMut1<'a, f64>,
    pub(crate) gradient: ArrayViewMut2<'a, f64>,
}

impl Walkers {
    /// Rows of a run.
    pub(crate) fn run(target: &dyn Target, n: usize) -> usize {
        if target.traits().rowwise {
            (BUFFER / target.dim() / BLOCK).max(1) * BLOCK
        } else {
            n.max(1)
        }
    }

    /// Calls `work` on one run of rows after the other, so that its buffers need not be as large as
    /// the walkers. Rows keep their random numbers; a target that is not row by row gets all at once.
    pub(crate) fn in_runs<P: RowSplit>(
        &mut self,
        cx: &mut Cx<'_>,
        target: &dyn Target,
        parts: P,
        mut work: impl FnMut(&mut Cx<'_>, &mut WalkersMut<'_>, P) -> Result,
    ) -> Result {
        let n = self.x.nrows();
        let run = Self::run(target, n);
        let walkers = (
            self.x.view_mut(),
            self.log_density.view_mut(),
            self.gradient.view_mut(),
        );
        let (mut rest, mut row) = ((walkers, parts), 0);
        while row < n {
            let rows = run.min(n - row);
            let (now, later) = rest.split(rows);
            rest = later;
            let ((x, log_density, gradient), parts) = now;
            let mut walkers = WalkersMut {
                first: row,
                x,
                log_density,
                gradient,
            };
            work(&mut cx.from_row(row), &mut walkers, parts)?;
            row += rows;
        }
        Ok(())
    }
}

/// The law that a kernel keeps: the target, or a point of the geometric path to it from a base,
/// log π_β = (1 − β) log N(x; m, s²) + β ℓ(x).
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    pub(crate) beta: f64,
    pub(crate) base: Option<&'a Gaussian>,
}

impl Path<'static> {
    /// The target alone.
    pub(crate) const TARGET: Self = Self {
        beta: 1.0,
        base: None,
    };
}

impl Path<'_> {
    /// log π_β at `x`, up to a constant, where the target has log density `l`.
    #[inline]
    pub(crate) fn value(&self, x: &[f64], l: f64) -> f64 {
        match self.base {
            Some(base) if self.beta < 1.0 => {
                (1.0 - self.beta) * base.log_density(x) + self.beta * l
            }
            _ => l,
        }
    }

    /// ∂ log π_β / ∂x_j, where the target has slope `g`.
    #[inline]
    pub(crate) fn slope(&self, j: usize, x: f64, g: f64) -> f64 {
        match self.base {
            Some(base) => {
                self.beta * g + (1.0 - self.beta) * (base.mean[j] - x) * base.precision[j]
            }
            None => g,
        }
    }
}

/// The matrix S that moves are scaled by: Hamiltonian moves have the mass matrix (S Sᵀ)⁻¹.
#[derive(Clone, Copy)]
pub(crate) enum Scale<'a> {
    /// A diagonal; d numbers.
    Diagonal(&'a [f64]),
    /// A lower triangle; d × d by rows.
    Lower(&'a [f64]),
}

impl Scale<'_> {
    /// v ← v + `factor` Sᵀ g.
    #[inline]
    pub(crate) fn kick(self, v: &mut [f64], factor: f64, g: impl Fn(usize) -> f64) {
        match self {
            Scale::Diagonal(s) => {
                for (j, (v, s)) in v.iter_mut().zip(s).enumerate() {
                    *v += factor * s * g(j);
                }
            }
            Scale::Lower(l) => {
                for (k, row) in l.chunks_exact(v.len()).enumerate() {
                    let slope = factor * g(k);
                    let row = v.iter_mut().zip(&row[..=k]);
                    row.for_each(|(v, l)| *v += slope * l);
                }
            }
        }
    }

    /// q ← q + `factor` S v.
    #[inline]
    pub(crate) fn drift(self, q: &mut [f64], factor: f64, v: &[f64]) {
        match self {
            Scale::Diagonal(s) => {
                for (q, (s, v)) in q.iter_mut().zip(s.iter().zip(v)) {
                    *q += factor * s * v;
                }
            }
            Scale::Lower(l) => {
                for (k, (q, row)) in q.iter_mut().zip(l.chunks_exact(v.len())).enumerate() {
                    let row = row[..=k].iter().zip(v);
                    *q += factor * row.map(|(l, v)| l * v).sum::<f64>();
                }
            }
        }
    }
}

/// Rows at several points of a path, each point with a step size and scales of its own: `rows` rows
/// at the first point, then as many at the next one, and so on.
#[derive(Clone, Copy)]
pub(crate) struct Rungs<'a> {
    pub(crate) rows: usize,
    pub(crate) beta: &'a [f64],
    pub(crate) step: &'a [f64],
    /// d of each point.
    pub(crate) scale: &'a [f64],
}

impl<'a> Rungs<'a> {
    /// Where `row` is: its point of the path from `base`, its step size, the place of its scales.
    #[inline]
    pub(crate) fn at<'b>(
        &self,
        row: usize,
        d: usize,
        base: Option<&'b Gaussian>,
    ) -> (Path<'b>, f64, std::ops::Range<usize>) {
        let rung = row / self.rows;
        let path = Path {
            beta: self.beta[rung],
            base,
        };
        (path, self.step[rung], rung * d..(rung + 1) * d)
    }
}

impl Gaussian {
    /// log N(x; m, s²), normalised.
    #[inline]
    pub(crate) fn log_density(&self, x: &[f64]) -> f64 {
        let mut sum = 0.0;
        for (x, (m, p)) in x.iter().zip(self.mean.iter().zip(&self.precision)) {
            sum += (x - m) * (x - m) * p;
        }
        -0.5 * sum - self.log_normaliser
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn base() -> Gaussian {
        let (mean, sd) = (vec![0.5, -1.0], vec![2.0, 0.3]);
        Gaussian::new("test", 2, ["", ""], &mean.into(), &sd.into(), true).unwrap()
    }

    const X: [f64; 2] = [0.7, -0.4];

    /// Compares slopes with differences of the values, for ℓ(x) = sin x₀ − x₁⁴.
    fn check_slopes(values: Path<'_>, slopes: Path<'_>) -> std::result::Result<(), String> {
        let value = |x: &[f64]| values.value(x, x[0].sin() - x[1].powi(4));
        let gradient = [X[0].cos(), -4.0 * X[1].powi(3)];
        for j in 0..2 {
            let at = |e: f64| {
                let mut y = X;
                y[j] += e;
                value(&y)
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            let slope = slopes.slope(j, X[j], gradient[j]);
            if (difference - slope).abs() > 1e-7 {
                return Err(format!("slope {slope}, difference {difference}"));
            }
        }
        Ok(())
    }

    #[test]
    fn slopes_are_those_of_the_path_and_wrong_ones_are_noticed() {
        let base = base();
        let path = |beta, base| Path { beta, base };
        for beta in [0.25, 0.9, 1.0] {
            check_slopes(path(beta, Some(&base)), path(beta, Some(&base))).unwrap();
        }
        let right = path(0.25, Some(&base));
        // Without the base; with −(x − m) in place of −(x − m)/s².
        let mut unit = base.clone();
        unit.precision.fill(1.0);
        assert!(check_slopes(right, path(0.25, None)).is_err());
        assert!(check_slopes(right, path(0.25, Some(&unit))).is_err());
    }

    /// Sᵀ is the transpose of S: a kick by the one and a drift by the other make a map that keeps volume and
    /// goes back.
    #[test]
    fn a_kick_is_the_transpose_of_a_drift() {
        let lower = [2.0, 0.0, 0.0, -1.0, 0.5, 0.0, 0.3, 4.0, 1.5];
        let (a, b) = ([0.3, -1.2, 2.0], [1.1, 0.4, -0.7]);
        for scale in [Scale::Lower(&lower), Scale::Diagonal(&[2.0, 0.5, 1.5])] {
            let (mut sa, mut sb) = ([0.0; 3], [0.0; 3]);
            scale.kick(&mut sa, 2.0, |j| a[j]);
            scale.drift(&mut sb, 2.0, &b);
            let dot = |u: &[f64; 3], v: &[f64; 3]| u.iter().zip(v).map(|(u, v)| u * v).sum::<f64>();
            assert!((dot(&sa, &b) - dot(&a, &sb)).abs() < 1e-14);
        }
        let mut q = [0.0; 3];
        Scale::Lower(&lower).drift(&mut q, 1.0, &b);
        assert!((q[2] - (0.33 + 1.6 - 1.05)).abs() < 1e-14, "{q:?}");
    }

    #[test]
    fn runs_of_rows_draw_what_all_rows_draw_at_once() {
        use retrograde_core::PointTarget;
        // So many coordinates that a run is one block of rows.
        let (n, d) = (600, 4096);
        let target = PointTarget::new(d, |_, _| 0.0);
        let mut walkers = Walkers {
            x: Array2::zeros((n, d)),
            log_density: Array1::zeros(n),
            gradient: Array2::zeros((n, d)),
        };
        let mut want = Array2::zeros((n, d));
        let mut runs = 0;
        retrograde_testkit::with_cx(1, |cx| {
            cx.at("noise", 0).fill_normal(want.view_mut());
            walkers.in_runs(cx, &target, (), |cx, walkers, ()| {
                runs += 1;
                cx.at("noise", 0).fill_normal(walkers.x.view_mut());
                Ok(())
            })
        })
        .unwrap();
        assert_eq!(runs, 3);
        assert!(walkers.x == want);
    }

    #[test]
    fn the_base_is_normalised() {
        let by_hand =
            -0.5 * ((0.2f64 / 2.0).powi(2) + (0.6f64 / 0.3).powi(2)) - (2.0f64 * 0.3 * TAU).ln();
        assert!((base().log_density(&X) - by_hand).abs() < 1e-14);
    }
}
