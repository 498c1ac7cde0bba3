//! DPM-Solver++(2M): a multistep scheme of second order for the denoiser, one score call a step.
//!
//! Source: Lu, Zhou, Bao, Chen, Li & Zhu (2022), arXiv:2211.01095, alg. 2.
//!
//! D = (x + s² S)/a the denoiser, λ = ln(a/s), h = λ′ − λ, r = h₋/h with h₋ the step before
//!
//! D̃ = (1 + 1/(2r)) D − 1/(2r) D₋,   D̃ = D in the first step
//!
//! x′ = (s′/s) x − a′ (e^{−h} − 1) D̃,   x′ = a′ D in a step to s′ = 0
//!
//! The map of all steps together is deterministic; its Jacobian carries that of D₋ along.

use crate::reverse::{Common, Leg, Reverse, Rows, Solver, Start, Weights, check_scalar};
use retrograde_core::grid::Grid;
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Cx, ForwardProcess, Kernel, Result, Sampler, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler dpm-solver";

/// Settings, as written under `[sampler]` with `kind = "dpm-solver"`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DpmSolver {
    /// Times that are visited.
    pub grid: Grid,
    /// Where it starts.
    pub start: Start,
    /// Weights of the draws, and log Z.
    pub weights: Weights,
}

impl Build<dyn Sampler> for DpmSolver {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        let common = Common {
            grid: &self.grid,
            start: self.start,
            weights: self.weights,
            noise_parts: 0,
        };
        Ok(Arc::new(Reverse::new(Multistep, &common, &self, parts)?))
    }
}

struct Multistep;

impl Solver for Multistep {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kernel(&self) -> Kernel {
        Kernel::Deterministic
    }

    fn check(&self, process: &dyn ForwardProcess) -> Result {
        check_scalar(NAME, process)
    }

    fn memory(&self) -> usize {
        1
    }

    fn step(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, rows: Rows<'_>) -> Result {
        let ((a, s), (a1, s1)) = (leg.alpha_sigma(leg.t), leg.alpha_sigma(leg.to));
        let h = ((a1 * s) / (a * s1)).ln();
        let mut d = cx.take(rows.x.len());
        leg.score(cx, leg.t, rows.x, &mut d)?;
        let pairs = d.iter_mut().zip(&*rows.x);
        pairs.for_each(|(d, x)| *d = (x + s * s * *d) / a);
        // 1/(2r); the last step, to s′ = 0, is of infinite length.
        let half = match leg.before {
            Some(before) if h.is_finite() => {
                let (a0, s0) = leg.alpha_sigma(before);
                0.5 * h / ((a * s0) / (a0 * s)).ln()
            }
            _ => 0.0,
        };
        let (cx_x, cx_d) = (s1 / s, -a1 * (-h).exp_m1());
        let all = rows.x.iter_mut().zip(&mut d).zip(rows.memory.iter_mut());
        all.for_each(|((x, d), before)| {
            let tilde = *d + half * (*d - *before);
            *x = cx_x * *x + cx_d * tilde;
            *before = *d;
        });
        cx.give(d);
        Ok(())
    }
}

register! {
    sampler "dpm-solver" => DpmSolver, needs REVERSE,
        summary "DPM-Solver++(2M), second order with one score call a step; scalar linear processes",
        source "Lu et al. (2022), arXiv:2211.01095";
}
