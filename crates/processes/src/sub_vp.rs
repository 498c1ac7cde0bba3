//! Sub-variance-preserving process: that of `vp` with less noise early on.
//!
//! Source: Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole (2021), arXiv:2011.13456, eq. 12 and app. C.
//!
//! dX = −½ β(t) X dt + √(β(t) (1 − e^{−2B(t)})) dW,   β and B(t) = ∫₀ᵗ β as of `vp`
//!
//! X_t | X_0 ~ N(e^{−B/2} X_0, (1 − e^{−B})² I)
//!
//! Its standard deviation, not its variance, is 1 − e^{−B}. From s on, with Δ = B(t) − B(s),
//!
//! S² = (1 − e^{−Δ/2}) (1 + e^{−B(s)−Δ/2}) (1 − e^{−B(t)} + e^{−Δ/2} (1 − e^{−B(s)}))
//!
//! Noise level σ = 2 sinh(B/2). The reference law is N(0, I), to which the process goes.

use crate::checks::{exp_tail, minus_expm1};
use crate::separable::{Coefficients, Separable};
use crate::vp::Beta;
use retrograde_core::registry::Parts;
use retrograde_core::{Build, ForwardProcess, Result, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "process sub-vp";

/// Settings, as written under `[process]` with `kind = "sub-vp"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SubVp {
    /// Rate β₀ at t = 0, ≥ 0, in 1/time. Default 0.1.
    #[schemars(range(min = 0.0))]
    pub beta_min: f64,
    /// Rate β₁ at t = T, > 0 and at least `beta_min`, in 1/time. Default 20.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub beta_max: f64,
    /// Time T, > 0. Default 1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub t_end: f64,
}

impl Default for SubVp {
    fn default() -> Self {
        Self {
            beta_min: 0.1,
            beta_max: 20.0,
            t_end: 1.0,
        }
    }
}

impl Build<dyn ForwardProcess> for SubVp {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        let dim = parts.require_target(NAME)?.dim();
        let (start, end, t_end) = (self.beta_min, self.beta_max, self.t_end);
        let beta = Beta::new(NAME, start, end, t_end)?;
        Ok(Separable::shared(NAME, dim, Coefs(beta)))
    }
}

struct Coefs(Beta);

impl Coefficients for Coefs {
    fn t_end(&self) -> f64 {
        self.0.t_end
    }

    fn rate(&self, t: f64) -> f64 {
        -0.5 * self.0.at(t)
    }

    fn g2(&self, t: f64) -> f64 {
        self.0.at(t) * minus_expm1(2.0 * self.0.integral(0.0, t))
    }

    fn kernel(&self, s: f64, t: f64) -> (f64, f64) {
        let (before, half) = (self.0.integral(0.0, s), 0.5 * self.0.integral(s, t));
        let a = (-half).exp();
        let (sd_s, sd_t) = (minus_expm1(before), minus_expm1(before + 2.0 * half));
        let less = minus_expm1(half) * (1.0 + (-before - half).exp());
        (a, less * (sd_t + a * sd_s))
    }

    fn integral_g2(&self, s: f64, t: f64) -> f64 {
        // ∫ (1 − e^{−2B}) dB, both terms of which are positive.
        let (before, delta) = (self.0.integral(0.0, s), self.0.integral(s, t));
        let early = minus_expm1(2.0 * before);
        delta * early + 0.5 * (1.0 - early) * exp_tail(2.0 * delta)
    }

    fn time_of(&self, level: f64) -> f64 {
        self.0.invert(2.0 * (0.5 * level).asinh())
    }

    fn reference_variance(&self) -> f64 {
        1.0
    }
}

register! {
    process "sub-vp" => SubVp, needs TARGET,
        summary "Sub-variance-preserving diffusion: as vp, with less noise early on",
        source "Song et al. (2021), arXiv:2011.13456, eq. 12";
}
