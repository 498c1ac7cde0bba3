//! Scores: gradients of the log density of a noised marginal.

use crate::{Cx, Result, Times, Traits};
use ndarray::{ArrayView2, ArrayViewMut2};

/// ∇ₓ log p_t(x), p_t the law at time t of a forward process started at a target (t = 0 is data).
///
/// Callers evaluate through [`Cx::eval_score`], which counts and checks.
pub trait Score: Send + Sync {
    /// Dimension d.
    fn dim(&self) -> usize;

    /// How it may be called: the weaker of its own class and those of what it holds.
    fn traits(&self) -> Traits;

    /// Writes the score (n × d) at times `t` and points `x` (n × d).
    ///
    /// # Errors
    /// When no row could be evaluated at all.
    fn eval(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result;
}
