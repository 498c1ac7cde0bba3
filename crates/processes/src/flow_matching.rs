//! The straight path from data to noise, as a diffusion.
//!
//! Source: Lipman, Chen, Ben-Hamu, Nickel & Le (2023), arXiv:2210.02747, eq. 20 (there from noise to
//! data); Liu, Gong & Liu (2023), arXiv:2209.03003. The diffusion is the one linear in x with these
//! marginal laws.
//!
//! X_t | X_0 ~ N((1 − t) X_0, t² I):   dX = −X/(1 − t) dt + √(2t/(1 − t)) dW on [0, T], T < 1
//!
//! A = (1 − t)/(1 − s),   S² = δ (t + A s),   δ = (t − s)/(1 − s)
//!
//! The velocity of its probability flow is the regression target x_1 − x_0 of flow matching, averaged, and
//! bounded; drift and noise apart are infinite at t = 1, whence T. Noise level σ = t/(1 − t). The
//! reference law is N(0, T² I).

use crate::checks::{log_tail, positive, setting};
use crate::separable::{Coefficients, Separable};
use retrograde_core::registry::Parts;
use retrograde_core::{Build, ForwardProcess, Result, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "process flow-matching";

/// Settings, as written under `[process]` with `kind = "flow-matching"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlowMatching {
    /// Time T, > 0 and below 1, where drift and noise are infinite; x_T holds 1 − T of the data. Default
    /// 0.999.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub t_end: f64,
}

impl Default for FlowMatching {
    fn default() -> Self {
        Self { t_end: 0.999 }
    }
}

impl Build<dyn ForwardProcess> for FlowMatching {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        let dim = parts.require_target(NAME)?.dim();
        Ok(Separable::shared(NAME, dim, Coefs::new(self.t_end)?))
    }
}

struct Coefs {
    t_end: f64,
}

impl Coefs {
    fn new(t_end: f64) -> Result<Self> {
        positive(NAME, "t_end", t_end)?;
        let allowed = "below 1, where drift and noise are infinite";
        setting(NAME, "t_end", t_end, t_end < 1.0, || allowed)?;
        Ok(Self { t_end })
    }
}

impl Coefficients for Coefs {
    fn t_end(&self) -> f64 {
        self.t_end
    }

    fn rate(&self, t: f64) -> f64 {
        -1.0 / (1.0 - t)
    }

    fn g2(&self, t: f64) -> f64 {
        2.0 * t / (1.0 - t)
    }

    fn kernel(&self, s: f64, t: f64) -> (f64, f64) {
        let a = (1.0 - t) / (1.0 - s);
        (a, (t - s) / (1.0 - s) * (t + a * s))
    }

    fn integral_g2(&self, s: f64, t: f64) -> f64 {
        // −2 (t − s) − 2 ln(1 − δ), in two positive terms.
        let delta = (t - s) / (1.0 - s);
        2.0 * (delta * s + log_tail(delta))
    }

    fn time_of(&self, level: f64) -> f64 {
        level / (1.0 + level)
    }
}

register! {
    process "flow-matching" => FlowMatching, needs TARGET,
        summary "Straight path from data to noise, as a diffusion",
        source "Lipman et al. (2023), arXiv:2210.02747, eq. 20";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_testkit::assert_close;

    #[test]
    fn the_path_is_straight() {
        let c = Coefs::new(0.999).unwrap();
        for t in [1e-6, 0.25, 0.5, 0.999] {
            let (a, variance) = c.kernel(0.0, t);
            assert_eq!(a, 1.0 - t);
            assert_close("σ/t", variance.sqrt() / t, 1.0, 1e-15);
        }
        // −2/4 − 2 ln(3/4).
        assert_close(
            "∫ g²",
            c.integral_g2(0.0, 0.25),
            -0.5 - 2.0 * 0.75f64.ln(),
            1e-14,
        );
    }

    #[test]
    fn wrong_settings_are_refused() {
        for (t_end, says) in [
            (1.0, "must be below 1"),
            (0.0, "`t_end` is 0"),
            (f64::NAN, "NaN"),
        ] {
            let error = Coefs::new(t_end).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
