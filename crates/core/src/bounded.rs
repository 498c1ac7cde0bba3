//! Coordinates with limits: sampled without, written within.
//!
//! y ∈ ℝ ↦ x ∈ (a, b) by x = a + (b − a) σ(y), x ∈ (a, ∞) by x = a + eʸ, x ∈ (−∞, b) by
//! x = b − eʸ, and x = y where there is no limit; σ the logistic function. The log density gains
//! Σ ln |dx/dy|, so that log Z is that of the limited density.
//!
//! Far out x would round to its limit, where a density may be infinite: there it is the last number
//! before the limit, the target is constant, and only ln |dx/dy| falls on, to −∞ where dx/dy is
//! below 10⁻³⁰⁰.

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

/// A slope dx/dy below this, or above its inverse, is where there is no mass: further out neither
/// slopes nor densities could be computed.
const NO_MASS: f64 = 1e-300;

/// A coordinate as a function of y.
struct Mapped {
    x: f64,
    /// dx/dy; 0 where x is held off its limit.
    slope: f64,
    /// ln |dx/dy| and its derivative in y.
    log_slope: f64,
    log_slope_grad: f64,
    /// Whether there is mass at all.
    mass: bool,
}

impl Limit {
    /// The smallest and the largest number inside.
    fn range(self) -> (f64, f64) {
        match self {
            Limit::None => (f64::NEG_INFINITY, f64::INFINITY),
            Limit::Below(a) => (a.next_up(), f64::MAX),
            Limit::Above(b) => (f64::MIN, b.next_down()),
            Limit::Both(a, b) => (a.next_up(), b.next_down()),
        }
    }

    fn map(self, y: f64) -> Mapped {
        let (x, slope, log_slope, log_slope_grad) = match self {
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
        };
        let (low, high) = self.range();
        let inside = x.clamp(low, high);
        Mapped {
            x: inside,
            slope: if inside == x { slope } else { 0.0 },
            log_slope,
            log_slope_grad,
            mass: (NO_MASS..=1.0 / NO_MASS).contains(&slope.abs()),
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
    /// [`Error::Setting`] when a length is not d, a limit is NaN, the lower is not below the upper, or
    /// no number is between them.
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
                (a, b) if a.next_up() > b.next_down() => {
                    let key = format!("bounds.lower[{i}]");
                    let allowed =
                        format!("so far below the upper limit, {b}, that a number is between");
                    return Err(Error::setting("target", key, a, allowed));
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

    /// The density on its natural scale, −∞ on and beyond the limits.
    #[must_use]
    pub fn natural(&self) -> impl Target + '_ {
        Natural(self)
    }

    /// Writes the natural coordinates of the rows of `y`; both n × d. Never on a limit.
    pub fn to_natural(&self, y: ArrayView2<'_, f64>, mut x: ArrayViewMut2<'_, f64>) {
        for (y, mut x) in y.rows().into_iter().zip(x.rows_mut()) {
            for ((v, y), limit) in x.iter_mut().zip(y).zip(&self.limits) {
                *v = limit.map(*y).x;
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
            let (mut log_det, mut mass) = (0.0, true);
            for (j, limit) in self.limits.iter().enumerate() {
                let at = limit.map(y[(r, j)]);
                log_det += at.log_slope;
                mass &= at.mass;
                if let Some(g) = &mut gradient {
                    // Not a product where the slope is 0: 0 · ∞ would count as a failure.
                    let inner = if at.slope == 0.0 {
                        0.0
                    } else {
                        g[(r, j)] * at.slope
                    };
                    g[(r, j)] = inner + at.log_slope_grad;
                }
            }
            if !mass && let Some(g) = &mut gradient {
                g.row_mut(r).fill(0.0);
            }
            if let Some(l) = &mut log_density {
                l[r] = if mass {
                    l[r] + log_det
                } else {
                    f64::NEG_INFINITY
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

/// See [`Bounded::natural`]. The target inside is asked within the limits only.
struct Natural<'a>(&'a Bounded);

impl Target for Natural<'_> {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn traits(&self) -> Traits {
        self.0.traits()
    }

    fn has_density(&self) -> bool {
        self.0.has_density()
    }

    fn has_gradient(&self) -> bool {
        self.0.has_gradient()
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let mut inside = x.to_owned();
        for (mut column, limit) in inside.columns_mut().into_iter().zip(&self.0.limits) {
            let (low, high) = limit.range();
            column.mapv_inplace(|v| v.clamp(low, high));
        }
        self.0.inner.eval(
            cx,
            inside.view(),
            log_density.as_mut().map(|v| v.view_mut()),
            gradient.as_mut().map(|v| v.view_mut()),
        )?;
        for (r, (x, inside)) in x.rows().into_iter().zip(inside.rows()).enumerate() {
            if x == inside {
                continue;
            }
            if let Some(l) = &mut log_density {
                l[r] = f64::NEG_INFINITY;
            }
            if let Some(g) = &mut gradient {
                g.row_mut(r).fill(0.0);
            }
        }
        Ok(())
    }

    fn coordinate(&self, i: usize) -> String {
        self.0.coordinate(i)
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
