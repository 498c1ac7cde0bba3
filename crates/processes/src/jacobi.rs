//! Jacobi or Wright–Fisher diffusion: d independent coordinates on (0, 1), such as gene frequencies.
//!
//! dx = ½(a(1 − x) − b x) dt + √(x(1 − x)) dW,   D = x(1 − x),   ∇·D = 1 − 2x
//!
//! The stationary law is Beta(a, b), from which the probability flow stands still. Means relax as
//! E x_t = m + (x_0 − m) e^{−(a+b)t/2}, m = a/(a + b); the generator has the eigenvalues
//! −½n(n + a + b − 1), so that T is long where (a + b)T/2 is.
//!
//! The kernel is left out. Its series in Jacobi polynomials alternates: its rounding error is that of
//! its largest terms, which drowns tails, and at short times everything.
//!
//! Source: Karlin & Taylor (1981), A Second Course in Stochastic Processes, ch. 15; Ewens (2004),
//! Mathematical Population Genetics, ch. 5.
//!
//! Outside of the support the noise is 0, its divergence that of the nearer end, and the drift, being
//! linear, leads back inside.

use crate::coordinates::{Coordinate, Independent, positive};
use rand_distr::{Beta, Distribution};
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Error, ForwardProcess, Result, Stream, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::function::beta::ln_beta;
use std::sync::Arc;

const NAME: &str = "process jacobi";

/// Settings, as written under `[process]` with `kind = "jacobi"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Jacobi {
    /// Pull a towards 1, ≥ 1, so that 0 is never reached.
    #[schemars(range(min = 1.0))]
    pub a: f64,
    /// Pull b towards 0, ≥ 1, so that 1 is never reached.
    #[schemars(range(min = 1.0))]
    pub b: f64,
    /// Time T, > 0, at which the reference law Beta(a, b) holds.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub t_end: f64,
}

impl Default for Jacobi {
    fn default() -> Self {
        Self {
            a: 2.0,
            b: 2.0,
            t_end: 5.0,
        }
    }
}

impl Build<dyn ForwardProcess> for Jacobi {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        let dim = parts.require_target(NAME)?.dim();
        let t_end = positive(NAME, "t_end", self.t_end)?;
        let law = WrightFisher::new(&self)?;
        Ok(Arc::new(Independent { law, dim, t_end }))
    }
}

struct WrightFisher {
    a: f64,
    b: f64,
    log_beta: f64,
    draws: Beta<f64>,
}

impl WrightFisher {
    fn new(settings: &Jacobi) -> Result<Self> {
        for (key, v) in [("a", settings.a), ("b", settings.b)] {
            if !(v >= 1.0 && v.is_finite()) {
                let allowed = "a finite number of at least 1, lest an end be reached";
                return Err(Error::setting(NAME, key, v, allowed));
            }
        }
        let draws = Beta::new(settings.a, settings.b)
            .map_err(|e| Error::setting(NAME, "a", settings.a, e.to_string()))?;
        Ok(Self {
            a: settings.a,
            b: settings.b,
            log_beta: ln_beta(settings.a, settings.b),
            draws,
        })
    }
}

impl Coordinate for WrightFisher {
    const CONSTANT_NOISE: bool = false;

    fn drift(&self, x: f64) -> f64 {
        0.5 * (self.a * (1.0 - x) - self.b * x)
    }

    fn drift_slope(&self, _x: f64) -> f64 {
        -0.5 * (self.a + self.b)
    }

    fn noise(&self, x: f64) -> f64 {
        (x * (1.0 - x)).max(0.0)
    }

    fn noise_slope(&self, x: f64) -> f64 {
        1.0 - 2.0 * x.clamp(0.0, 1.0)
    }

    fn reference(&self, x: f64) -> (f64, f64) {
        if x.is_nan() {
            return (x, x);
        }
        if !(x > 0.0 && x < 1.0) {
            return (f64::NEG_INFINITY, 0.0);
        }
        let (a, b) = (self.a - 1.0, self.b - 1.0);
        (
            a * x.ln() + b * (-x).ln_1p() - self.log_beta,
            a / x - b / (1.0 - x),
        )
    }

    fn draw(&self, rng: &mut Stream) -> f64 {
        let x = self.draws.sample(rng);
        x.clamp(f64::MIN_POSITIVE, 1.0 - 0.5 * f64::EPSILON)
    }

    fn support(&self) -> (f64, f64) {
        (0.0, 1.0)
    }
}

register! {
    process "jacobi" => Jacobi, needs TARGET,
        summary "Jacobi or Wright–Fisher diffusion on (0, 1), noise that depends on x",
        source "Karlin & Taylor (1981), A Second Course in Stochastic Processes, ch. 15";
}

#[cfg(test)]
mod tests;
