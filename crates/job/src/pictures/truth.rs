//! What the target knows of its law, in the form that pictures need.

use crate::plan::Plan;
use ndarray::{Array1, Array2, s};
use retrograde_core::{
    Bounded, Covariances, ForwardProcess, GaussianMixture, Runtime, Target, Truth,
};
use std::sync::Arc;

/// Exact draws to compare with.
const DRAWS: usize = 20_000;
/// Points of the grid of contours, each way.
const GRID: usize = 120;
/// The grid of a run that had fewer evaluations than the large one takes.
const SMALL_GRID: usize = 48;

/// What is known; nothing where the target knows nothing, or has limits (its truths are without them).
#[derive(Default)]
pub(crate) struct Known<'a> {
    mixture: Option<&'a GaussianMixture>,
    draws: Option<Array2<f64>>,
    truth: Truth,
    /// The log density of a target in the plane.
    density: Option<Plane<'a>>,
    /// A process with a target that has exact draws, to be run forwards.
    forward: Option<Forward>,
}

/// What is run forwards.
struct Forward {
    target: Arc<dyn Target>,
    process: Arc<dyn ForwardProcess>,
    seed: u64,
}

/// Draws that are run forwards.
const FORWARD: usize = 4096;

/// A target in the plane, to be evaluated where its draws turn out to lie.
struct Plane<'a> {
    target: Arc<dyn Target>,
    limits: Option<&'a Bounded>,
    grid: usize,
    seed: u64,
}

/// Values on a grid: abscissae, ordinates, rows of values.
pub(super) type Contours = (Vec<f64>, Vec<f64>, Vec<Vec<f64>>);

impl<'a> Known<'a> {
    /// `evaluations` of the run say what can be afforded for a picture.
    pub(crate) fn new(plan: &'a Plan, evaluations: u64) -> Self {
        let natural = plan.bounded.as_ref().map_or(&plan.target, |b| b.inner());
        let large = evaluations >= (GRID * GRID) as u64;
        let density = (natural.dim() == 2 && natural.has_density()).then(|| Plane {
            target: natural.clone(),
            limits: plan.bounded.as_deref(),
            grid: if large { GRID } else { SMALL_GRID },
            seed: plan.run.seed,
        });
        let forward = plan.process.as_ref().map(|process| Forward {
            target: plan.target.clone(),
            process: process.clone(),
            seed: plan.run.seed,
        });
        if plan.bounded.is_some() {
            return Self {
                density,
                ..Self::default()
            };
        }
        let exact = natural.exact();
        let sampler = exact.and_then(|e| e.sampler());
        let draws = sampler
            .filter(|_| natural.mixture().is_none())
            .and_then(|s| {
                let mut draws = Array2::zeros((DRAWS, natural.dim()));
                let mut runtime = Runtime::new(plan.run.seed, 1).ok()?;
                let done = runtime.enter("pictures", 0, |cx| s.sample(cx, draws.view_mut()));
                done.ok().map(|()| draws)
            });
        Self {
            mixture: natural.mixture(),
            draws,
            truth: exact.map(|e| e.truth()).unwrap_or_default(),
            density,
            forward,
        }
    }

    /// Quantiles `p` of the first coordinate at each of the `times` (falling) of the process run forwards
    /// from exact draws.
    pub(super) fn forward(&self, times: &[f64], p: &[f64]) -> Option<Vec<Vec<f64>>> {
        let forward = self.forward.as_ref()?;
        let exact = forward.target.exact()?.sampler()?;
        let mut x = Array2::zeros((FORWARD, forward.target.dim()));
        let mut next = x.clone();
        let mut runtime = Runtime::new(forward.seed, 1).ok()?;
        let mut all = Vec::new();
        let mut now = 0.0;
        let mut walk = || -> retrograde_core::Result {
            runtime.enter("pictures data", 0, |cx| exact.sample(cx, x.view_mut()))?;
            for (k, t) in times.iter().rev().enumerate() {
                let process = forward.process.as_ref();
                runtime.enter("pictures forward", k as u64, |cx| {
                    retrograde_core::forward::simulate(
                        cx,
                        process,
                        now,
                        *t,
                        x.view(),
                        next.view_mut(),
                    )
                })?;
                std::mem::swap(&mut x, &mut next);
                now = *t;
                let mut column = x.column(0).to_vec();
                column.sort_unstable_by(f64::total_cmp);
                let at = |p: &f64| column[((FORWARD as f64 * p) as usize).min(FORWARD - 1)];
                all.push(p.iter().map(at).collect::<Vec<f64>>());
            }
            Ok(())
        };
        walk().ok()?;
        all.reverse();
        Some(all)
    }

    /// The density of a coordinate at some points, in closed form.
    pub(super) fn marginal(&self, column: usize, points: &[f64]) -> Option<Vec<f64>> {
        let m = self.mixture.filter(|m| column < m.means().ncols())?;
        let variance = |k: usize| match m.covariances() {
            Covariances::Isotropic(v) => v[k],
            Covariances::Diagonal(v) => v[(k, column)],
            Covariances::Dense(c) => c[(k, column, column)],
        };
        if (0..m.components()).any(|k| variance(k) <= 0.0) {
            return None;
        }
        let at = |x: f64| {
            let term = |k: usize| {
                let (v, d) = (variance(k), x - m.means()[(k, column)]);
                m.weights()[k] * (-0.5 * d * d / v).exp() / (std::f64::consts::TAU * v).sqrt()
            };
            (0..m.components()).map(term).sum::<f64>()
        };
        Some(points.iter().map(|x| at(*x)).collect())
    }

    /// Exact draws of a coordinate, each of the same weight.
    pub(super) fn draws(&self, column: usize) -> Option<Vec<(f64, f64)>> {
        let draws = self.draws.as_ref().filter(|d| column < d.ncols())?;
        Some(draws.column(column).iter().map(|x| (*x, 1.0)).collect())
    }

    /// The known mean of a coordinate.
    pub(super) fn mean(&self, column: usize) -> Option<f64> {
        self.truth.mean.as_ref()?.get(column).copied()
    }

    /// The known standard deviation of a coordinate.
    pub(super) fn sd(&self, column: usize) -> Option<f64> {
        self.truth.variance.as_ref()?.get(column).map(|v| v.sqrt())
    }

    /// Centres of the components of a mixture in the plane of two coordinates.
    pub(super) fn centres(&self, a: usize, b: usize) -> Vec<(f64, f64)> {
        let Some(m) = self.mixture.filter(|m| m.components() > 1) else {
            return Vec::new();
        };
        if a.max(b) >= m.means().ncols() {
            return Vec::new();
        }
        m.means().rows().into_iter().map(|r| (r[a], r[b])).collect()
    }

    /// The log density over a rectangle.
    pub(super) fn contours(&self, x: (f64, f64), y: (f64, f64)) -> Option<Contours> {
        let plane = self.density.as_ref()?;
        let n = plane.grid;
        let axis = |(low, high): (f64, f64)| -> Vec<f64> {
            (0..n)
                .map(|i| low + (high - low) * i as f64 / (n - 1) as f64)
                .collect()
        };
        let (xs, ys) = (axis(x), axis(y));
        let points = Array2::from_shape_fn(
            (n * n, 2),
            |(r, k)| if k == 0 { xs[r % n] } else { ys[r / n] },
        );
        let mut values = Array1::zeros(n * n);
        let mut runtime = Runtime::new(plane.seed, 1).ok()?;
        let done = runtime.enter("pictures", 1, |cx| {
            cx.eval_target(&*plane.target, points.view(), Some(values.view_mut()), None)
        });
        done.ok()?;
        if let Some(limits) = plane.limits {
            // Beyond a limit there is no mass, whatever the target inside says.
            let mut free = Array2::zeros((n * n, 2));
            limits.to_unconstrained(points.view(), free.view_mut());
            for (v, row) in values.iter_mut().zip(free.rows()) {
                if row.iter().any(|y| !y.is_finite()) {
                    *v = f64::NEG_INFINITY;
                }
            }
        }
        let rows = (0..n).map(|r| values.slice(s![r * n..(r + 1) * n]).to_vec());
        Some((xs, ys, rows.collect()))
    }
}
