//! Scores: gradients of the log density of a noised marginal.

use crate::{Cx, Flag, Result, Times, Traits};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};

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

    /// Jacobian-vector products of the score.
    fn jvp(&self) -> Option<&dyn ScoreJvp> {
        None
    }

    /// The normalised log density of the marginals, where it is known.
    fn log_marginal(&self) -> Option<&dyn LogMarginal> {
        None
    }

    /// What a person must know of it, above all that it is approximated, and how. A sampler that uses
    /// it hands these on.
    fn flags(&self) -> Vec<Flag> {
        Vec::new()
    }
}

/// (∂s/∂x) τ.
pub trait ScoreJvp {
    /// Writes it for k tangents a row: `tangents` and `out` are n × (d k), tangent j of a row in its
    /// columns j d..(j+1) d.
    ///
    /// Callers go through [`Cx::eval_score_jvp`], which counts k evaluations a row.
    ///
    /// # Errors
    /// As [`Score::eval`].
    fn jvp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        tangents: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result;
}

/// log p_t(x), normalised.
pub trait LogMarginal {
    /// Writes it (n) at the rows of `x` (n × d).
    ///
    /// # Errors
    /// As [`Score::eval`].
    fn log_marginal(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut1<'_, f64>,
    ) -> Result;
}
