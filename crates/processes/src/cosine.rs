//! Variance-preserving process whose signal follows a cosine.
//!
//! Source: Nichol & Dhariwal (2021), arXiv:2102.09672, eq. 17, in continuous time; the end at which its
//! rate is cut off is that of Lu et al. (2022), arXiv:2206.00927, app. D.4.
//!
//! dX = −½ β(t) X dt + √β(t) dW,   X_t | X_0 ~ N(a X_0, (1 − a²) I)
//!
//! a(t) = cos θ(t) / cos θ(0),   θ(t) = (π/2) (t + c)/(1 + c),   β = −2ȧ/a = (π/(1 + c)) tan θ
//!
//! β is infinite at t = 1. From s on
//!
//! S² = sin(θ_t − θ_s) sin(θ_t + θ_s) / cos² θ_s
//!
//! Noise level σ = √(cos² θ_0 / cos² θ − 1). The reference law is the stationary one, N(0, I).

use crate::checks::{non_negative, positive, setting};
use crate::separable::{Coefficients, Separable};
use retrograde_core::registry::Parts;
use retrograde_core::{Build, ForwardProcess, Result, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;
use std::sync::Arc;

const NAME: &str = "process cosine";

/// Settings, as written under `[process]` with `kind = "cosine"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cosine {
    /// Offset c, ≥ 0: the larger, the more noise early on. Default 0.008.
    #[schemars(range(min = 0.0))]
    pub offset: f64,
    /// Time T, > 0 and below 1, where the rate is infinite. Default 0.9946.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub t_end: f64,
}

impl Default for Cosine {
    fn default() -> Self {
        Self {
            offset: 0.008,
            t_end: 0.9946,
        }
    }
}

impl Build<dyn ForwardProcess> for Cosine {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        let dim = parts.require_target(NAME)?.dim();
        Ok(Separable::shared(NAME, dim, Coefs::new(&self)?))
    }
}

struct Coefs {
    offset: f64,
    t_end: f64,
}

impl Coefs {
    fn new(settings: &Cosine) -> Result<Self> {
        let Cosine { offset, t_end } = *settings;
        non_negative(NAME, "offset", offset)?;
        positive(NAME, "t_end", t_end)?;
        let allowed = "below 1, where the rate is infinite";
        setting(NAME, "t_end", t_end, t_end < 1.0, || allowed)?;
        Ok(Self { offset, t_end })
    }

    /// dθ/dt.
    fn speed(&self) -> f64 {
        FRAC_PI_2 / (1.0 + self.offset)
    }

    /// cos θ and sin θ: near t = 1 from the angle that is left to π/2.
    fn angle(&self, t: f64) -> (f64, f64) {
        if t < 0.5 {
            let angle = self.speed() * (t + self.offset);
            return (angle.cos(), angle.sin());
        }
        let left = self.speed() * (1.0 - t);
        (left.sin(), left.cos())
    }
}

impl Coefficients for Coefs {
    fn t_end(&self) -> f64 {
        self.t_end
    }

    fn rate(&self, t: f64) -> f64 {
        -0.5 * self.g2(t)
    }

    fn g2(&self, t: f64) -> f64 {
        let (cos, sin) = self.angle(t);
        2.0 * self.speed() * sin / cos
    }

    fn kernel(&self, s: f64, t: f64) -> (f64, f64) {
        let (cos_s, _) = self.angle(s);
        let (cos_t, _) = self.angle(t);
        let speed = self.speed();
        // The sine of θ_t + θ_s, from 0 upwards or from π downwards.
        let sum = if s + t < 1.0 {
            speed * (t + s + 2.0 * self.offset)
        } else {
            speed * ((1.0 - t) + (1.0 - s))
        };
        let a = cos_t / cos_s;
        (a, (speed * (t - s)).sin() * sum.sin() / (cos_s * cos_s))
    }

    fn integral_g2(&self, s: f64, t: f64) -> f64 {
        // −ln a², by whichever of a² and 1 − a² is small.
        let (a, variance) = self.kernel(s, t);
        if variance < 0.5 {
            -(-variance).ln_1p()
        } else {
            -2.0 * a.ln()
        }
    }

    fn time_of(&self, level: f64) -> f64 {
        // tan² θ = tan² θ₀ + σ²/cos² θ₀; then the tangent of θ − θ₀, whose difference does not cancel.
        let (cos, sin) = self.angle(0.0);
        let (first, more) = (sin / cos, level / cos);
        let tan = first.hypot(more);
        let turned = (more * more / (tan + first)).atan2(1.0 + tan * first);
        turned / self.speed()
    }

    fn reference_variance(&self) -> f64 {
        1.0
    }
}

register! {
    process "cosine" => Cosine, needs TARGET,
        summary "Variance-preserving diffusion whose signal follows a cosine",
        source "Nichol & Dhariwal (2021), arXiv:2102.09672, eq. 17";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_testkit::assert_close;

    #[test]
    fn the_signal_is_the_published_cosine() {
        let c = Coefs::new(&Cosine::default()).unwrap();
        let f = |t: f64| (FRAC_PI_2 * (t + 0.008) / 1.008).cos();
        for t in [1e-3, 0.2, 0.5, 0.9, 0.9946] {
            let (a, variance) = c.kernel(0.0, t);
            assert_close("a", a, f(t) / f(0.0), 1e-14);
            assert_close("a² + σ²", a * a + variance, 1.0, 1e-14);
        }
        // Nichol & Dhariwal cut a discrete rate off at 0.999: with 1000 steps that is the last of them.
        assert!((c.g2(0.9946) - 370.0).abs() < 1.0, "{}", c.g2(0.9946));
    }

    #[test]
    fn wrong_settings_are_refused() {
        for (offset, t_end, says) in [
            (-1.0, 0.9, "`offset` is -1"),
            (0.0, 1.0, "`t_end` is 1, but must be below 1"),
            (0.0, f64::NAN, "`t_end` is NaN"),
        ] {
            let error = Coefs::new(&Cosine { offset, t_end });
            let error = error.map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
