//! Coordinates with limits: sampled without, written within.
//!
//! y ∈ ℝ ↦ x ∈ (a, b) by x = a + (b − a) σ(y), x ∈ (a, ∞) by x = a + eʸ, x ∈ (−∞, b) by
//! x = b − eʸ, and x = y where there is no limit; σ the logistic function. The log density gains
//! Σ ln |dx/dy|, so that log Z is that of the limited density.

use crate::numeric::{sigmoid, softplus};
use crate::{Cx, Error, Outputs, Result, Target, Traits};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use std::sync::Arc;

#[derive(Debug, Clone, Copy)]
enum Limit {
    None,
    Below(f64),
    Above(f64),
    Both(f64, f64),
}

impl Limit {
    /// x, dx/dy, ln |dx/dy| and its derivative in y.
    fn map(self, y: f64) -> (f64, f64, f64, f64) {
        match self {
            Limit::None => (y, 1.0, 0.0, 0.0),
            Limit::Below(a) => {
                let e = y.exp();
                (a + e, e, y, 1.0)
            }
            Limit::Above(b) => {
                let e = y.exp();
                (b - e, -e, y, 1.0)
            }
            Limit::Both(a, b) => {
                let (s, w) = (sigmoid(y), b - a);
                let (small, large) = (softplus(-y), softplus(y));
                (
                    a + w * s,
                    w * s * sigmoid(-y),
                    w.ln() - small - large,
                    1.0 - 2.0 * s,
                )
            }
        }
    }

    fn unmap(self, x: f64) -> f64 {
        match self {
            Limit::None => x,
            Limit::Below(a) => (x - a).ln(),
            Limit::Above(b) => (b - x).ln(),
            Limit::Both(a, b) => ((x - a) / (b - x)).ln(),
        }
    }
}

/// A target whose coordinates have limits, on the unconstrained scale.
pub struct Bounded {
    inner: Arc<dyn Target>,
    limits: Vec<Limit>,
}

impl std::fmt::Debug for Bounded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bounded")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Bounded {
    /// Limits `inner` to `lower` < x < `upper`, d numbers each, ±∞ where there is no limit.
    ///
    /// # Errors
    /// [`Error::Setting`] when a length is not d, a limit is NaN, or the lower is not below the upper.
    pub fn new(inner: Arc<dyn Target>, lower: &[f64], upper: &[f64]) -> Result<Self> {
        let d = inner.dim();
        for (key, v) in [("bounds.lower", lower), ("bounds.upper", upper)] {
            if v.len() != d {
                let allowed = format!("one number, or a list of {d} (the dimension)");
                return Err(Error::setting(
                    "target",
                    key,
                    format!("a list of {}", v.len()),
                    allowed,
                ));
            }
        }
        let mut limits = Vec::with_capacity(d);
        for (i, (&a, &b)) in lower.iter().zip(upper).enumerate() {
            limits.push(match (a, b) {
                (a, b) if a >= b || a.is_nan() || b.is_nan() => {
                    let key = format!("bounds.lower[{i}]");
                    return Err(Error::setting(
                        "target",
                        key,
                        a,
                        format!("below the upper limit, {b}"),
                    ));
                }
                (f64::NEG_INFINITY, f64::INFINITY) => Limit::None,
                (f64::NEG_INFINITY, b) => Limit::Above(b),
                (a, f64::INFINITY) => Limit::Below(a),
                (a, b) => Limit::Both(a, b),
            });
        }
        Ok(Self { inner, limits })
    }

    /// The target on its natural scale.
    #[must_use]
    pub fn inner(&self) -> &Arc<dyn Target> {
        &self.inner
    }

    /// Writes the natural coordinates of the rows of `y`; both n × d.
    pub fn to_natural(&self, y: ArrayView2<'_, f64>, mut x: ArrayViewMut2<'_, f64>) {
        for (y, mut x) in y.rows().into_iter().zip(x.rows_mut()) {
            for ((v, y), limit) in x.iter_mut().zip(y).zip(&self.limits) {
                *v = limit.map(*y).0;
            }
        }
    }

    /// Writes the unconstrained coordinates of the rows of `x`; not finite on or outside a limit.
    pub fn to_unconstrained(&self, x: ArrayView2<'_, f64>, mut y: ArrayViewMut2<'_, f64>) {
        for (x, mut y) in x.rows().into_iter().zip(y.rows_mut()) {
            for ((v, x), limit) in y.iter_mut().zip(x).zip(&self.limits) {
                *v = limit.unmap(*x);
            }
        }
    }
}

impl Target for Bounded {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn traits(&self) -> Traits {
        self.inner.traits()
    }

    fn has_density(&self) -> bool {
        self.inner.has_density()
    }

    fn has_gradient(&self) -> bool {
        self.inner.has_gradient()
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        y: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let (n, d) = y.dim();
        let mut buffer = cx.take(n * d);
        let mut x = ArrayViewMut2::from_shape((n, d), &mut buffer)
            .map_err(|e| Error::shape("bounds", "x", format!("({n}, {d})"), e.to_string()))?;
        self.to_natural(y, x.view_mut());
        self.inner.eval(
            cx,
            x.view(),
            log_density.as_mut().map(|v| v.view_mut()),
            gradient.as_mut().map(|v| v.view_mut()),
        )?;
        for r in 0..n {
            let (mut log_det, mut flat) = (0.0, false);
            for (j, limit) in self.limits.iter().enumerate() {
                let (_, slope, log_slope, log_slope_grad) = limit.map(y[(r, j)]);
                log_det += log_slope;
                // So far out that x rounds to the limit: no mass, whatever the density says there.
                flat |= slope == 0.0 || !slope.is_finite();
                if let Some(g) = &mut gradient {
                    g[(r, j)] = g[(r, j)] * slope + log_slope_grad;
                }
            }
            if flat && let Some(g) = &mut gradient {
                // No mass, so no slope: 0 · ∞ would count as a failure of the target.
                g.row_mut(r).fill(0.0);
            }
            if let Some(l) = &mut log_density {
                l[r] = if flat {
                    f64::NEG_INFINITY
                } else {
                    l[r] + log_det
                };
            }
        }
        cx.give(buffer);
        Ok(())
    }

    fn coordinate(&self, i: usize) -> String {
        self.inner.coordinate(i)
    }

    fn outputs(&self) -> Option<&dyn Outputs> {
        Some(self)
    }
}

/// The natural coordinates, then the outputs of the target inside.
impl Outputs for Bounded {
    fn count(&self) -> usize {
        self.dim() + self.inner.outputs().map_or(0, Outputs::count)
    }

    fn name(&self, i: usize) -> String {
        match i.checked_sub(self.dim()) {
            None => self.inner.coordinate(i),
            Some(k) => self.inner.outputs().map_or_else(String::new, |o| o.name(k)),
        }
    }

    fn eval(&self, cx: &mut Cx<'_>, y: ArrayView2<'_, f64>, out: ArrayViewMut2<'_, f64>) -> Result {
        let (mut x, rest) = out.split_at(ndarray::Axis(1), self.dim());
        self.to_natural(y, x.view_mut());
        match self.inner.outputs() {
            Some(outputs) => outputs.eval(cx, x.view(), rest),
            None => Ok(()),
        }
    }
}
