//! The exact score ∇ log q_t where the law of the data stays in closed form under the process.
//!
//! | process | law of the data | q_t |
//! | --- | --- | --- |
//! | linear, x_t = α x_0 + noise of covariance C | Σ wₖ N(mₖ, Cₖ); data: Cₖ = 0 | Σ wₖ N(α mₖ, α Cₖ αᵀ + C) |
//! | linear in y = ψ(x) | y from a mixture | that of y, times \|det ∂ψ\| |
//! | with a [`ClosedMarginal`](retrograde_core::ClosedMarginal) | what it is closed for | what it says |
//!
//! Over i.i.d. data x⁽ⁱ⁾ this is Tweedie's formula, s = C⁻¹ (α E[x_0 | x_t = x] − x), with the posterior
//! mean over the data (Robbins 1956; Efron 2011, J. Am. Stat. Assoc. 106, 1602). Warps: change of
//! variables, s_x = Jᵀ s_y + ∇ log |det J|. Closed laws under tilted processes: see the process.

use crate::noised::Noised;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, ForwardProcess, GaussianMixture, Law, LogMarginal, Marginal, Result, Runtime,
    Score, Target, Times, Traits, Warp, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "score exact";

/// Settings, as written under `[score]` with `kind = "exact"`: none.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Exact {}

impl Build<dyn Score> for Exact {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Score>> {
        let (target, process) = (parts.require_target(NAME)?, parts.require_process(NAME)?);
        exact(&*target, process)
    }
}

/// The exact score of `target` under `process`.
///
/// # Errors
/// [`Error::Missing`] when the law of the target is not known, or not closed under the process.
pub fn exact(target: &dyn Target, process: Arc<dyn ForwardProcess>) -> Result<Arc<dyn Score>> {
    let dim = process.dim();
    if target.dim() != dim {
        return Err(Error::Argument {
            component: NAME.into(),
            argument: "dimension of the target".into(),
            given: target.dim().to_string(),
            allowed: format!("{dim}, that of the process"),
        });
    }
    let Some(law) = target.law() else {
        return Err(Error::Missing {
            component: NAME.into(),
            needed: "a law in closed form".into(),
            holder: "the target".into(),
            advice: "choose a Gaussian, a mixture, data, or a target made for the process; or the \
                     score `monte-carlo`, `particle` or (d = 1) `fokker-planck`"
                .into(),
        });
    };
    if let Some(closed) = process.closed_marginal()
        && let Some(marginal) = closed.marginal(law)?
    {
        let traits = process.traits();
        return Ok(Arc::new(Closed {
            marginal,
            traits,
            dim,
        }));
    }
    match (law, process.warp().is_some()) {
        (Law::Mixture(mixture), false) => {
            if let Some(noised) = Noised::new(NAME, process.clone(), mixture)? {
                return Ok(Arc::new(noised));
            }
        }
        (Law::Warped { base, .. }, true) => {
            if let Some(noised) = Noised::new(NAME, process.clone(), base)? {
                same_warp(target, &*process, base)?;
                return Ok(Arc::new(Warped { noised, process }));
            }
        }
        _ => {}
    }
    Err(not_closed(law, &*process))
}

fn not_closed(law: Law<'_>, process: &dyn ForwardProcess) -> Error {
    let closed = match (process.closed_marginal(), process.linear(), process.warp()) {
        (Some(closed), ..) => format!("its law stays closed for {}", closed.closed_for()),
        (_, Some(_), Some(_)) => {
            "it is linear in a warped variable, so its law stays closed for a mixture pushed through \
             the same warp (target `warped-mixture`)"
                .into()
        }
        (_, Some(_), None) => {
            "it is linear, so its law stays closed for Gaussians, Gaussian mixtures and data".into()
        }
        _ => "its law is closed for no data".into(),
    };
    Error::Missing {
        component: NAME.into(),
        needed: format!("a law that stays closed for {}", law.name()),
        holder: "the process".into(),
        advice: format!(
            "{closed}; mixtures and data are closed under the linear processes (`vp`, `ve`, `edm`, \
             `ou`, …); without a closed law choose the score `particle`, or `fokker-planck` for d = 1"
        ),
    }
}

/// That ψ(x) has the law `base` when ψ is the warp of the process: the log density of the target and
/// that of the base, carried over by the process, may differ by a constant only.
fn same_warp(target: &dyn Target, process: &dyn ForwardProcess, base: &GaussianMixture) -> Result {
    let (Some(warp), true) = (process.warp(), target.has_density()) else {
        return Ok(());
    };
    let (k, d) = base.means().dim();
    // Some means of the base, and points beside them.
    let spread = base.variance().mapv(f64::sqrt);
    let y = Array2::from_shape_fn((3 * k.min(8), d), |(i, j)| {
        let side = (i % 3) as f64 - 1.0;
        base.means()[(i / 3, j)] + side * spread[j] * (1.0 + 0.1 * (j % 7) as f64)
    });
    let n = y.nrows();
    let change = Runtime::new(0, 1)?.enter(NAME, 0, |cx| {
        let (mut x, mut back) = (Array2::zeros((n, d)), Array2::zeros((n, d)));
        let [mut own, mut log_base, mut log_det] = std::array::from_fn(|_| Array1::zeros(n));
        warp.unwarp(cx, y.view(), x.view_mut())?;
        warp.warp(cx, x.view(), back.view_mut(), Some(log_det.view_mut()))?;
        cx.eval_target(target, x.view(), Some(own.view_mut()), None)?;
        cx.eval_target(base, back.view(), Some(log_base.view_mut()), None)?;
        let change = own - log_base - log_det;
        let (low, high) = change
            .iter()
            .filter(|c| c.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), c| {
                (low.min(*c), high.max(*c))
            });
        Ok::<f64, Error>(high - low)
    })?;
    if change.abs() < 1e-6 {
        return Ok(());
    }
    Err(Error::Missing {
        component: NAME.into(),
        needed: "the warp of the target (log densities carried over by the process differ by more \
                 than a constant)"
            .into(),
        holder: "the process".into(),
        advice: "write the same `warp` in [target] and [process]".into(),
    })
}

// ---- a warped mixture under a warped linear process ------------------------------------------

struct Warped {
    noised: Noised,
    process: Arc<dyn ForwardProcess>,
}

impl Warped {
    fn warp(&self) -> Result<&dyn Warp> {
        self.process.warp().ok_or_else(|| Error::Breakdown {
            component: NAME.into(),
            message: "the process has lost its warp".into(),
            advice: "let its `warp` always give the same".into(),
        })
    }
}

impl Score for Warped {
    fn dim(&self) -> usize {
        self.process.dim()
    }

    fn traits(&self) -> Traits {
        self.process.traits()
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (n, d) = x.dim();
        let (warp, mut a, mut b) = (self.warp()?, cx.take(n * d), cx.take(n * d));
        let (mut y, mut score) = (matrix(&mut a, n, d), matrix(&mut b, n, d));
        let outcome = warp
            .warp(cx, x, y.view_mut(), None)
            .and_then(|()| self.noised.eval(cx, t, y.view(), score.view_mut()))
            .and_then(|()| warp.warp_score(cx, x, score.view(), out));
        cx.give(a);
        cx.give(b);
        outcome
    }

    fn log_marginal(&self) -> Option<&dyn LogMarginal> {
        Some(self)
    }
}

impl LogMarginal for Warped {
    fn log_marginal(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        let (n, d) = x.dim();
        let (warp, mut a, mut b) = (self.warp()?, cx.take(n * d), cx.take(n));
        let (mut y, mut log_det) = (matrix(&mut a, n, d), ArrayViewMut1::from(&mut b[..]));
        let outcome = warp
            .warp(cx, x, y.view_mut(), Some(log_det.view_mut()))
            .and_then(|()| {
                LogMarginal::log_marginal(&self.noised, cx, t, y.view(), out.view_mut())
            });
        out += &log_det;
        cx.give(a);
        cx.give(b);
        outcome
    }
}

fn matrix(buffer: &mut [f64], n: usize, d: usize) -> ArrayViewMut2<'_, f64> {
    ArrayViewMut2::from_shape((n, d), buffer).expect("a buffer of n d numbers")
}

// ---- what the process says -------------------------------------------------------------------

struct Closed {
    marginal: Arc<dyn Marginal>,
    traits: Traits,
    dim: usize,
}

impl Score for Closed {
    fn dim(&self) -> usize {
        self.dim
    }

    fn traits(&self) -> Traits {
        self.traits
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.marginal.eval(cx, t, x, None, Some(out))
    }

    fn log_marginal(&self) -> Option<&dyn LogMarginal> {
        Some(self)
    }
}

impl LogMarginal for Closed {
    fn log_marginal(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        self.marginal.eval(cx, t, x, Some(out), None)
    }
}

register! {
    score "exact" => Exact, needs PROCESS,
        summary "Exact score where the law of the data stays closed under the process",
        source "closed form; Robbins (1956), Efron (2011) for data";
}

#[cfg(test)]
mod tests;
