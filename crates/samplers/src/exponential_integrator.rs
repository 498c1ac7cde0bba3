//! Exponential integrators of the probability flow: the linear part exactly, the noise prediction
//! interpolated in λ = ln(a/s).
//!
//! Source: Lu, Zhou, Bao, Chen, Li & Zhu (2022), arXiv:2206.00927 (DPM-Solver-1 and -2); Zhang & Chen
//! (2023), arXiv:2204.13902.
//!
//! ε̂ = −s S,   h = λ′ − λ,   x(λ′) = (a′/a) x − a′ ∫ e^{−u} ε̂(u) du
//!
//! | `order` | x′ | score calls |
//! | --- | --- | --- |
//! | 1 | (a′/a) x − s′ (e^h − 1) ε̂(x, t), the map of DDIM | 1 |
//! | 2 | the same with ε̂ at λ + h/2, reached by a step of order 1 | 2 |
//!
//! A step to s′ = 0, of infinite length in λ, is of order 1.

use crate::reverse::{Common, Leg, Reverse, Rows, Solver, Start, Weights, check_scalar};
use retrograde_core::grid::Grid;
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Cx, Error, ForwardProcess, Kernel, Result, Sampler, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler exponential-integrator";

/// Settings, as written under `[sampler]` with `kind = "exponential-integrator"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExponentialIntegrator {
    /// Order, 1 or 2.
    #[schemars(range(min = 1, max = 2))]
    pub order: u8,
    /// Times that are visited.
    pub grid: Grid,
    /// Where it starts.
    pub start: Start,
    /// Weights of the draws, and log Z.
    pub weights: Weights,
}

impl Default for ExponentialIntegrator {
    fn default() -> Self {
        Self {
            order: 2,
            grid: Grid::default(),
            start: Start::default(),
            weights: Weights::default(),
        }
    }
}

impl Build<dyn Sampler> for ExponentialIntegrator {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        if !(1..=2).contains(&self.order) {
            return Err(Error::setting(NAME, "order", self.order, "1 or 2"));
        }
        let common = Common {
            grid: &self.grid,
            start: self.start,
            weights: self.weights,
            noise_parts: 0,
        };
        let settings = self.clone();
        Ok(Arc::new(Reverse::new(settings, &common, &self, parts)?))
    }
}

impl Solver for ExponentialIntegrator {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kernel(&self) -> Kernel {
        Kernel::Deterministic
    }

    fn check(&self, process: &dyn ForwardProcess) -> Result {
        check_scalar(NAME, process)
    }

    fn step(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, rows: Rows<'_>) -> Result {
        let ((a, s), (a1, s1)) = (leg.alpha_sigma(leg.t), leg.alpha_sigma(leg.to));
        let mut score = cx.take(rows.x.len());
        leg.score(cx, leg.t, rows.x, &mut score)?;
        // s′ (e^h − 1) = a′ s/a − s′, which also holds for s′ = 0.
        let advance =
            |x: &f64, eps: f64, (a1, s1): (f64, f64)| a1 / a * x - (a1 * s / a - s1) * eps;
        if self.order == 1 || s1 == 0.0 {
            let pairs = rows.x.iter_mut().zip(&score);
            pairs.for_each(|(x, score)| *x = advance(x, -s * score, (a1, s1)));
            cx.give(score);
            return Ok(());
        }
        // λ half way: the geometric mean of the noise levels.
        let level = (s / a * s1 / a1).sqrt();
        let linear = leg.process().linear().expect("checked when it was built");
        let middle = linear.time_of(level, leg.process().t_end())?;
        let (am, sm) = leg.alpha_sigma(middle);
        let mut y = cx.take(rows.x.len());
        for ((y, x), score) in y.iter_mut().zip(&*rows.x).zip(&score) {
            *y = advance(x, -s * score, (am, sm));
        }
        leg.score(cx, middle, &y, &mut score)?;
        let pairs = rows.x.iter_mut().zip(&score);
        pairs.for_each(|(x, score)| *x = advance(x, -sm * score, (a1, s1)));
        cx.give(score);
        cx.give(y);
        Ok(())
    }
}

register! {
    sampler "exponential-integrator" => ExponentialIntegrator, needs REVERSE,
        summary "Exponential integrator of the probability flow, of order 1 or 2; scalar linear processes",
        source "Lu et al. (2022), arXiv:2206.00927";
}
