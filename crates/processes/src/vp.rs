//! Variance-preserving process with a rate that grows linearly.
//!
//! Source: Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole (2021), arXiv:2011.13456, eq. 11 and
//! app. C; the continuous limit of Ho, Jain & Abbeel (2020), arXiv:2006.11239.
//!
//! dX = −½ β(t) X dt + √β(t) dW,   β(t) = β₀ + (β₁ − β₀) t/T,   B(s, t) = ∫ₛᵗ β
//!
//! X_t | X_s ~ N(e^{−B/2} X_s, (1 − e^{−B}) I)
//!
//! Noise level σ = √(e^{B(0,t)} − 1). The reference law is the stationary one, N(0, I): data of scale 1
//! keep their scale. With the defaults x_T holds 0.0066 of the data still.

use crate::checks::{minus_expm1, non_negative, positive, setting};
use crate::separable::{Coefficients, Separable};
use retrograde_core::registry::Parts;
use retrograde_core::{Build, ForwardProcess, Result, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "process vp";

/// Settings, as written under `[process]` with `kind = "vp"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Vp {
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

impl Default for Vp {
    fn default() -> Self {
        Self {
            beta_min: 0.1,
            beta_max: 20.0,
            t_end: 1.0,
        }
    }
}

impl Build<dyn ForwardProcess> for Vp {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        let dim = parts.require_target(NAME)?.dim();
        let (start, end, t_end) = (self.beta_min, self.beta_max, self.t_end);
        let beta = Beta::new(NAME, start, end, t_end)?;
        Ok(Separable::shared(NAME, dim, Coefs(beta)))
    }
}

/// The rate β(t) = β₀ + (β₁ − β₀) t/T and its integral.
pub(crate) struct Beta {
    start: f64,
    slope: f64,
    pub(crate) t_end: f64,
}

impl Beta {
    pub(crate) fn new(name: &str, start: f64, end: f64, t_end: f64) -> Result<Self> {
        non_negative(name, "beta_min", start)?;
        positive(name, "beta_max", end)?;
        positive(name, "t_end", t_end)?;
        let allowed = || format!("at least `beta_min`, {start}");
        setting(name, "beta_max", end, end >= start, allowed)?;
        // e^{−B/2} must not vanish: the noise level is divided by it.
        let total = 0.5 * (start + end) * t_end;
        let allowed =
            || format!("such that the integral of β over [0, T], now {total}, is below 700");
        setting(name, "beta_max", end, total < 700.0, allowed)?;
        let slope = (end - start) / t_end;
        Ok(Self {
            start,
            slope,
            t_end,
        })
    }

    pub(crate) fn at(&self, t: f64) -> f64 {
        self.start + self.slope * t
    }

    /// B(s, t).
    pub(crate) fn integral(&self, s: f64, t: f64) -> f64 {
        (t - s) * (self.start + 0.5 * self.slope * (t + s))
    }

    /// The t at which B(0, t) is `b` > 0: the root of ½ slope t² + β₀ t = b without cancellation.
    pub(crate) fn invert(&self, b: f64) -> f64 {
        2.0 * b / ((self.start * self.start + 2.0 * self.slope * b).sqrt() + self.start)
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
        self.0.at(t)
    }

    fn kernel(&self, s: f64, t: f64) -> (f64, f64) {
        let b = self.0.integral(s, t);
        ((-0.5 * b).exp(), minus_expm1(b))
    }

    fn integral_g2(&self, s: f64, t: f64) -> f64 {
        self.0.integral(s, t)
    }

    fn time_of(&self, level: f64) -> f64 {
        self.0.invert((level * level).ln_1p())
    }

    fn reference_variance(&self) -> f64 {
        1.0
    }
}

register! {
    process "vp" => Vp, needs TARGET,
        summary "Variance-preserving diffusion with a linearly growing rate",
        source "Song et al. (2021), arXiv:2011.13456, eq. 11";
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use retrograde_testkit::{assert_close, assert_process};

    #[test]
    fn the_law_at_the_end_and_the_inverse_of_the_level() {
        let vp = Coefs(Beta::new(NAME, 0.1, 20.0, 1.0).unwrap());
        let (a, variance) = vp.kernel(0.0, 1.0);
        // e^{−10.05/2} and 1 − e^{−10.05}.
        assert_close("a", a, 0.006_571_586_494, 1e-12);
        assert_close("variance", variance, 0.999_956_814_250, 1e-12);
        for t in [1e-9, 1e-4, 0.03, 0.5, 0.99] {
            let (a, variance) = vp.kernel(0.0, t);
            let back = vp.time_of(variance.sqrt() / a);
            assert!((back / t - 1.0).abs() < 1e-12, "{t}: {back}");
        }
    }

    #[test]
    fn it_satisfies_what_every_process_must() {
        let coefs = || Coefs(Beta::new(NAME, 0.1, 20.0, 1.0).unwrap());
        let p = Separable::shared(NAME, 1, coefs());
        assert_process("vp", &*p, array![[0.3], [-1.2]].view());
        let p = Separable::shared(NAME, 3, coefs());
        assert_process("vp", &*p, array![[0.3, 2.0, -0.5], [-1.2, 0.0, 1.0]].view());
    }

    #[test]
    fn wrong_settings_are_refused() {
        for (start, end, t_end, says) in [
            (-0.1, 20.0, 1.0, "`beta_min` is -0.1"),
            (0.1, f64::NAN, 1.0, "`beta_max` is NaN"),
            (3.0, 2.0, 1.0, "at least `beta_min`, 3"),
            (0.1, 20.0, 0.0, "`t_end` is 0"),
            (0.1, 20.0, 1e3, "below 700"),
        ] {
            let error = Beta::new(NAME, start, end, t_end);
            let error = error.map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
