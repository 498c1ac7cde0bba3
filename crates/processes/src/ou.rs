//! Ornstein–Uhlenbeck process, of any rate and noise.
//!
//! Source: Uhlenbeck & Ornstein (1930), Phys. Rev. 36, 823; Särkkä & Solin (2019), Applied Stochastic
//! Differential Equations, sec. 6.
//!
//! dX = −R X dt + √2 B dW,   X_t | X_s ~ N(E X_s, Q),   E = e^{−R(t−s)},   Q = 2 ∫₀^{t−s} e^{−Ru} B Bᵀ e^{−Rᵀu} du
//!
//! By default dX = −X dt + √2 dW. R and B are numbers, diagonal, or matrices; the process then noises
//! all coordinates alike, each by itself, or mixes them. With numbers r and b
//!
//! Q = b² (1 − e^{−2r(t−s)})/r,   noise level σ = b √((e^{2rt} − 1)/r).
//!
//! The reference law is the stationary one, N(0, C) with R C + C Rᵀ = 2 B Bᵀ, if there is one (in each
//! coordinate, where they move by themselves), else N(0, Q(0, T)), the law of the noise alone.

use crate::checks::{minus_expm1, positive, setting};
use crate::coefficient::Coefficient;
use crate::dense::Dense;
use crate::separable::{Coefficients, Separable};
use retrograde_core::registry::Parts;
use retrograde_core::{Build, ForwardProcess, Result, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "process ou";
/// e^{−Rt} must not vanish: the noise level is divided by it.
const LARGEST_EXPONENT: f64 = 350.0;

/// Settings, as written under `[process]` with `kind = "ou"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ou {
    /// Rate R, in 1/time: a number, a list of d, or d lists of d (a matrix by rows). Need not be positive.
    /// Default 1.
    pub rate: Coefficient,
    /// Noise B, in units of x/√time: a number > 0, a list of d of them, or d lists of d (a matrix by
    /// rows). The process adds √2 B dW. Default 1.
    pub noise: Coefficient,
    /// Time T, > 0: e^{−RT} of the data is left, 0.0067 at rate 1. Default 5.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub t_end: f64,
}

impl Default for Ou {
    fn default() -> Self {
        Self {
            rate: 1.0.into(),
            noise: 1.0.into(),
            t_end: 5.0,
        }
    }
}

impl Build<dyn ForwardProcess> for Ou {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        self.process(parts.require_target(NAME)?.dim())
    }
}

impl Ou {
    fn process(&self, d: usize) -> Result<Arc<dyn ForwardProcess>> {
        let t_end = self.t_end;
        positive(NAME, "t_end", t_end)?;
        self.rate.check(NAME, "rate", d)?;
        self.noise.check(NAME, "noise", d)?;
        let one = |key: [&str; 2], rate: f64, noise: f64| {
            let small = (rate * t_end).abs() <= LARGEST_EXPONENT;
            let allowed = || {
                format!(
                    "of size {LARGEST_EXPONENT}/T = {} at most",
                    LARGEST_EXPONENT / t_end
                )
            };
            setting(NAME, key[0], rate, small, allowed)?;
            positive(NAME, key[1], noise)?;
            let g2 = 2.0 * noise * noise;
            let good = g2 > 0.0 && g2.is_finite();
            setting(
                NAME,
                key[1],
                noise,
                good,
                || "a number whose square is finite and not 0",
            )?;
            Ok(Coefs { rate, g2, t_end })
        };
        if let (Coefficient::Scalar(rate), Coefficient::Scalar(noise)) = (&self.rate, &self.noise) {
            let coefs = one(["rate", "noise"], *rate, *noise)?;
            return Ok(Separable::shared(NAME, d, coefs));
        }
        if let (Some(rate), Some(noise)) = (self.rate.diagonal(d), self.noise.diagonal(d)) {
            let each = (0..d).map(|i| {
                let key = |key: &str, c: &Coefficient| match c {
                    Coefficient::Scalar(_) => key.to_owned(),
                    Coefficient::Diagonal(_) => format!("{key}[{i}]"),
                    Coefficient::Matrix(_) => format!("{key}[{i}][{i}]"),
                };
                let keys = [key("rate", &self.rate), key("noise", &self.noise)];
                one([&keys[0], &keys[1]], rate[i], noise[i])
            });
            return Ok(Separable::diagonal(NAME, each.collect::<Result<_>>()?));
        }
        let (rate, noise) = (self.rate.full(d), self.noise.full(d));
        // The Frobenius norm bounds every rate.
        let norm = rate.iter().map(|v| v * v).sum::<f64>().sqrt();
        let small = norm * t_end <= LARGEST_EXPONENT;
        let allowed = || {
            format!(
                "such that this norm is {} at most",
                LARGEST_EXPONENT / t_end
            )
        };
        let given = format!("a matrix of norm {norm}");
        if !small {
            return Err(retrograde_core::Error::setting(
                NAME,
                "rate",
                given,
                allowed(),
            ));
        }
        Ok(Arc::new(Dense::new(NAME, rate, noise, d, t_end)?))
    }
}

/// dX = −r X dt + g dW.
struct Coefs {
    rate: f64,
    g2: f64,
    t_end: f64,
}

/// (1 − e^{−x})/x.
fn mean_exp(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { minus_expm1(x) / x }
}

impl Coefficients for Coefs {
    fn t_end(&self) -> f64 {
        self.t_end
    }

    fn rate(&self, _t: f64) -> f64 {
        -self.rate
    }

    fn g2(&self, _t: f64) -> f64 {
        self.g2
    }

    fn kernel(&self, s: f64, t: f64) -> (f64, f64) {
        let (span, exponent) = (t - s, self.rate * (t - s));
        let variance = self.g2 * span * mean_exp(2.0 * exponent);
        ((-exponent).exp(), variance)
    }

    fn integral_g2(&self, s: f64, t: f64) -> f64 {
        self.g2 * (t - s)
    }

    fn time_of(&self, level: f64) -> f64 {
        let (twice, ratio) = (2.0 * self.rate, level * level / self.g2);
        if twice == 0.0 {
            ratio
        } else {
            (twice * ratio).ln_1p() / twice
        }
    }

    fn reference_variance(&self) -> f64 {
        if self.rate > 0.0 {
            self.g2 / (2.0 * self.rate)
        } else {
            self.kernel(0.0, self.t_end).1
        }
    }

    fn autonomous(&self) -> bool {
        true
    }
}

register! {
    process "ou" => Ou, needs TARGET,
        summary "Ornstein–Uhlenbeck process, its rate and noise numbers, diagonal or matrices",
        source "Uhlenbeck & Ornstein (1930), Phys. Rev. 36, 823";
}

#[cfg(test)]
mod tests;
