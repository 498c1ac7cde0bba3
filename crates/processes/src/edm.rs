//! The process in which t is the noise level.
//!
//! Source: Karras, Aittala, Aila & Laine (2022), arXiv:2206.00364, sec. 3: σ(t) = t, s(t) = 1.
//!
//! dX = √(2t) dW on [0, σ_max],   X_t | X_0 ~ N(X_0, t² I)
//!
//! It is `ve` with the schedule `linear`, and the end that is usual for data of scale ½ to 1. The
//! reference law is N(0, σ_max² I).

use crate::checks::{positive, setting};
use crate::separable::Separable;
use crate::ve::Exploding;
use retrograde_core::registry::Parts;
use retrograde_core::{Build, ForwardProcess, Result, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "process edm";

/// Settings, as written under `[process]` with `kind = "edm"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Edm {
    /// Noise level σ_max at the end, > 0, in units of x; also the time T. Default 80.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub sigma_max: f64,
}

impl Default for Edm {
    fn default() -> Self {
        Self { sigma_max: 80.0 }
    }
}

impl Build<dyn ForwardProcess> for Edm {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        let dim = parts.require_target(NAME)?.dim();
        let t_end = self.sigma_max;
        positive(NAME, "sigma_max", t_end)?;
        let finite = (t_end * t_end).is_finite();
        setting(
            NAME,
            "sigma_max",
            t_end,
            finite,
            || "a number whose square is finite",
        )?;
        Ok(Separable::shared(NAME, dim, Exploding::Linear { t_end }))
    }
}

register! {
    process "edm" => Edm, needs TARGET,
        summary "Diffusion whose time is the noise level, up to 80",
        source "Karras et al. (2022), arXiv:2206.00364";
}
