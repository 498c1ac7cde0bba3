//! Laws of data that stay in closed form under some forward process: what exact scores are made from.

use crate::{Cx, GammaMixture, GaussianMixture, Result, Tilt, Times, WarpMap};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use std::sync::Arc;

/// The family that the law of a target belongs to, with its parameters.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Law<'a> {
    /// A Gaussian mixture; point masses (data) are one.
    Mixture(&'a GaussianMixture),
    /// q(x) ∝ h(x, 0) ρ(x): a mixture ρ tilted by h.
    Tilted {
        /// The function h.
        tilt: &'a Tilt,
        /// The mixture ρ.
        base: &'a GaussianMixture,
    },
    /// The law of x = ψ⁻¹(y), y from a mixture.
    Warped {
        /// The map ψ.
        warp: &'a WarpMap,
        /// The law of y.
        base: &'a GaussianMixture,
    },
    /// Independent coordinates, each from a mixture of Gamma laws of one shape.
    Gamma(&'a GammaMixture),
}

impl Law<'_> {
    /// What it is called in messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Law::Mixture(_) => "a Gaussian mixture",
            Law::Tilted { .. } => "a tilted Gaussian mixture",
            Law::Warped { .. } => "a warped Gaussian mixture",
            Law::Gamma(_) => "a mixture of Gamma laws",
        }
    }
}

/// A process whose marginal laws are known in closed form for some laws of the data.
pub trait ClosedMarginal {
    /// The laws q_t for data of law `law`; `None` where they are not closed.
    ///
    /// # Errors
    /// When the parameters of the law do not fit those of the process, for example its tilt.
    fn marginal(&self, law: Law<'_>) -> Result<Option<Arc<dyn Marginal>>>;

    /// The laws for which it is closed, for messages, for example "a tilted Gaussian mixture".
    fn closed_for(&self) -> &'static str;
}

/// The laws q_t of a process started at data, normalised.
pub trait Marginal: Send + Sync {
    /// Writes log q_t (n) and ∇ log q_t (n × d) at the rows of `x` (n × d), each if it is asked for.
    ///
    /// # Errors
    /// When no row could be evaluated.
    fn eval(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        score: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result;
}
