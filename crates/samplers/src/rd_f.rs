//! Restoration-degradation with frozen coefficients (RD-F), for any forward process.
//!
//! Source: Chen, Daras & Dimakis (2023), arXiv:2303.03384, for reading a step of a deterministic sampler
//! as a restoration, an ascent of the conditional likelihood at an earlier time, and a degradation with
//! the noise that points at the current iterate. The formulas are derived from that description.
//!
//! r = x − l (f − w)              the mean of the reverse diffusion over l,   w = ∇·D + D S
//!
//! ẑ such that r + l f + √l G ẑ = x, then x′ = r + (l − h) f + √(l − h) G ẑ
//!
//! x′ = x − h f + c(h, l) w,   c(h, l) = l − √(l (l − h))
//!
//! For noise g(t) dW, c(h, l) w is [Γ_l − √(Γ_l (Γ_l − Γ_h))] S, Γ_l the integral of g² over l. For a linear
//! process of scalar form the step is taken in y = x/α and τ = (σ/α)², where it has no drift:
//! y′ = y + c(Δτ, l_τ) α S; with l = t that is DDIM.
//!
//! One call of the score and of the drift a step, as Euler's; errors are O(h) + O(h/l).

use crate::reverse::{Common, Leg, Reverse, Rows, Solver, Start, Weights, check_scalar};
use crate::step_back::{Rule, StepBack, c};
use retrograde_core::grid::Grid;
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Cx, Flag, ForwardProcess, Kernel, Result, Sampler, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler rd-f";

/// Settings, as written under `[sampler]` with `kind = "rd-f"`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RdF {
    /// How far back a step restores.
    pub back: StepBack,
    /// Times that are visited.
    pub grid: Grid,
    /// Where it starts.
    pub start: Start,
    /// Weights of the draws, and log Z.
    pub weights: Weights,
}

impl Build<dyn Sampler> for RdF {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        self.back.check(NAME)?;
        let common = Common {
            grid: &self.grid,
            start: self.start,
            weights: self.weights,
            noise_parts: 0,
        };
        let process = parts.require_process(NAME)?;
        let solver = Frozen {
            back: self.back.clone(),
            linear: check_scalar(NAME, process.as_ref()).is_ok(),
        };
        Ok(Arc::new(Reverse::new(solver, &common, &self, parts)?))
    }
}

struct Frozen {
    back: StepBack,
    /// The process is linear of scalar form.
    linear: bool,
}

impl Solver for Frozen {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kernel(&self) -> Kernel {
        Kernel::Deterministic
    }

    fn check(&self, process: &dyn ForwardProcess) -> Result {
        match self.back.rule {
            Rule::Gaussian => check_scalar(NAME, process),
            _ => Ok(()),
        }
    }

    fn flags(&self) -> Vec<Flag> {
        self.back.flags()
    }

    fn step(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, rows: Rows<'_>) -> Result {
        if self.linear {
            return self.linear_step(cx, leg, rows.x);
        }
        let h = leg.h();
        let mut l = self.back.length(leg.t, leg.to);
        if !leg.process().autonomous() && l.is_finite() {
            l = l.min(leg.t);
        }
        let mut weight = c(h, l);
        if let (Some(integral), true) = (leg.process().integral_g2(), l <= leg.t) {
            let step = integral.integral_g2(leg.to, leg.t);
            let back = integral.integral_g2(leg.t - l, leg.t);
            weight = c(step, back) / leg.g2(cx, leg.t)?;
        }
        let [mut f, mut w] = std::array::from_fn(|_| cx.take(rows.x.len()));
        leg.parts(cx, leg.t, rows.x, &mut f, &mut w)?;
        for ((x, f), w) in rows.x.iter_mut().zip(&f).zip(&w) {
            *x += weight * w - h * f;
        }
        cx.give(f);
        cx.give(w);
        Ok(())
    }
}

impl Frozen {
    /// y′ = y + c(Δτ, l_τ) α S.
    fn linear_step(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, x: &mut [f64]) -> Result {
        let tau = |t: f64| {
            let (a, s) = leg.alpha_sigma(t);
            (s / a).powi(2)
        };
        let (a, a1) = (leg.alpha_sigma(leg.t).0, leg.alpha_sigma(leg.to).0);
        let (now, next) = (tau(leg.t), tau(leg.to));
        let back = match self.back.rule {
            Rule::Gaussian => now + self.back.variance,
            Rule::Infinite => f64::INFINITY,
            _ => now - tau((leg.t - self.back.length(leg.t, leg.to)).max(0.0)),
        };
        let weight = c(now - next, back.max(now - next));
        let mut score = cx.take(x.len());
        leg.score(cx, leg.t, x, &mut score)?;
        for (x, score) in x.iter_mut().zip(&score) {
            *x = a1 / a * *x + a1 * a * weight * score;
        }
        cx.give(score);
        Ok(())
    }
}

register! {
    sampler "rd-f" => RdF, needs REVERSE,
        summary "Restoration-degradation with frozen coefficients, for any forward process",
        source "Chen, Daras & Dimakis (2023), arXiv:2303.03384";
}
