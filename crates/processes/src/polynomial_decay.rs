//! Polynomial decay: d independent coordinates with a cubic drift.
//!
//! dx = −k x³ dt + g dW
//!
//! Without noise x_t = x_0/√(1 + 2k x_0² t). The stationary law is ∝ exp(−k x⁴/(2g²)), whose mass is
//! 2Γ(5/4)(2g²/k)^¼; k x⁴/(2g²) has the law Gamma(¼, 1). There is no kernel in closed form.
//!
//! As a map of state and noise it takes one step of the splitting, x = flow(r, τ) + g√τ z: of weak
//! order one, but bounded for every r, where an Euler step of −k r³ τ overshoots without bound.
//!
//! Source: the splitting is that of Lie and Trotter; on the divergence of Euler's method, Hutzenthaler,
//! Jentzen & Kloeden (2011), Proc. R. Soc. A 467, 1563.

use crate::coordinates::{Coordinate, Independent, Map, positive};
use rand_distr::{Distribution, Gamma};
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Error, ForwardProcess, Result, Stream, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "process polynomial-decay";

/// Settings, as written under `[process]` with `kind = "polynomial-decay"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolynomialDecay {
    /// Rate k, > 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub k: f64,
    /// Noise g, > 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub g: f64,
    /// Time T, > 0, at which the reference law holds.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub t_end: f64,
}

impl Default for PolynomialDecay {
    fn default() -> Self {
        Self {
            k: 1.0,
            g: 1.0,
            t_end: 8.0,
        }
    }
}

impl Build<dyn ForwardProcess> for PolynomialDecay {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        let dim = parts.require_target(NAME)?.dim();
        let t_end = positive(NAME, "t_end", self.t_end)?;
        let law = Cubic::new(&self)?;
        Ok(Arc::new(Independent { law, dim, t_end }))
    }
}

struct Cubic {
    k: f64,
    g: f64,
    /// k/(2g²).
    c: f64,
    log_mass: f64,
    draws: Gamma<f64>,
}

impl Cubic {
    fn new(settings: &PolynomialDecay) -> Result<Self> {
        let k = positive(NAME, "k", settings.k)?;
        let g = positive(NAME, "g", settings.g)?;
        let c = positive(NAME, "g", k / (2.0 * g * g))?;
        let draws = Gamma::new(0.25, 1.0)
            .map_err(|e| Error::setting(NAME, "k", settings.k, e.to_string()))?;
        let log_mass = 2.0f64.ln() + libm::lgamma(1.25) - 0.25 * c.ln();
        Ok(Self {
            k,
            g,
            c,
            log_mass,
            draws,
        })
    }

    /// Where the drift alone takes x.
    fn flow(&self, dt: f64, x: f64) -> f64 {
        // 1/√(1/x² + 2kτ) at large x, lest x² overflow.
        if x.abs() > 1.0 {
            x.signum() / (1.0 / x / x + 2.0 * self.k * dt).sqrt()
        } else {
            x / (1.0 + 2.0 * self.k * x * x * dt).sqrt()
        }
    }
}

impl Coordinate for Cubic {
    const CONSTANT_NOISE: bool = true;

    fn drift(&self, x: f64) -> f64 {
        -self.k * x * x * x
    }

    fn drift_slope(&self, x: f64) -> f64 {
        -3.0 * self.k * x * x
    }

    fn noise(&self, _x: f64) -> f64 {
        self.g * self.g
    }

    fn reference(&self, x: f64) -> (f64, f64) {
        (
            -self.c * x.powi(4) - self.log_mass,
            -4.0 * self.c * x.powi(3),
        )
    }

    fn draw(&self, rng: &mut Stream) -> f64 {
        let size = (self.draws.sample(rng) / self.c).sqrt().sqrt();
        if rand_distr::StandardUniform.sample(rng) {
            size
        } else {
            -size
        }
    }

    fn map(&self) -> Option<&dyn Map> {
        Some(self)
    }
}

impl Map for Cubic {
    fn to(&self, dt: f64, r: f64, z: f64) -> f64 {
        self.flow(dt, r) + self.g * dt.sqrt() * z
    }

    fn noise_of(&self, dt: f64, r: f64, x: f64) -> f64 {
        (x - self.flow(dt, r)) / (self.g * dt.sqrt())
    }
}

register! {
    process "polynomial-decay" => PolynomialDecay, needs TARGET,
        summary "Cubic decay with constant noise: a drift that no linear bound holds",
        source "Hutzenthaler, Jentzen & Kloeden (2011), Proc. R. Soc. A 467, 1563";
}

#[cfg(test)]
mod tests;
