//! Stochastic logistic growth: d independent coordinates on x > 0.
//!
//! dx = r x(1 − x/K) dt + σx dW,   D = σ²x²,   ∇·D = 2σ²x
//!
//! For 2r > σ² the stationary law is Gamma(2r/σ² − 1, scale σ²K/2r), from which the probability flow
//! stands still. A path is a function of that of the Brownian motion,
//!
//! x_t = x_0 M_t / (1 + (r/K) x_0 ∫₀ᵗ M ds),   M_s = exp((r − σ²/2)s + σW_s),
//!
//! which is no function of one normal variable: there is neither a kernel nor a forward map.
//!
//! Source: Kloeden & Platen (1992), Numerical Solution of Stochastic Differential Equations, §4.4 (the
//! Verhulst equation); Gray et al. (2011), SIAM J. Appl. Math. 71, 876.
//!
//! Outside of the support (x ≤ 0) drift and noise are 0.

use crate::coordinates::{Coordinate, Independent, positive};
use rand_distr::{Distribution, Gamma};
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Error, ForwardProcess, GammaMixture, Result, Stream, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "process stochastic-logistic";

/// Settings, as written under `[process]` with `kind = "stochastic-logistic"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StochasticLogistic {
    /// Growth rate r, > 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub rate: f64,
    /// Capacity K, > 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub capacity: f64,
    /// Noise σ, > 0 and below √(2r): more of it drives x to 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub sigma: f64,
    /// Time T, > 0, at which the reference law holds.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub t_end: f64,
}

impl Default for StochasticLogistic {
    fn default() -> Self {
        Self {
            rate: 1.0,
            capacity: 1.0,
            sigma: 0.5,
            t_end: 8.0,
        }
    }
}

impl Build<dyn ForwardProcess> for StochasticLogistic {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        let dim = parts.require_target(NAME)?.dim();
        let t_end = positive(NAME, "t_end", self.t_end)?;
        let law = Growth::new(&self)?;
        Ok(Arc::new(Independent { law, dim, t_end }))
    }
}

struct Growth {
    rate: f64,
    capacity: f64,
    sigma2: f64,
    stationary: GammaMixture,
    draws: Gamma<f64>,
}

impl Growth {
    fn new(settings: &StochasticLogistic) -> Result<Self> {
        let rate = positive(NAME, "rate", settings.rate)?;
        let capacity = positive(NAME, "capacity", settings.capacity)?;
        let sigma2 = positive(NAME, "sigma", settings.sigma)?.powi(2);
        let (shape, scale) = (2.0 * rate / sigma2 - 1.0, sigma2 * capacity / (2.0 * rate));
        let wrong = || {
            let most = (2.0 * rate).sqrt();
            let allowed = format!("above 0 and below √(2 rate) = {most}, lest x go to 0");
            Error::setting(NAME, "sigma", settings.sigma, allowed)
        };
        let one = || vec![1.0].into();
        let stationary =
            GammaMixture::new(one(), shape, vec![scale].into(), 1).map_err(|_| wrong())?;
        let draws = Gamma::new(shape, scale).map_err(|_| wrong())?;
        Ok(Self {
            rate,
            capacity,
            sigma2,
            stationary,
            draws,
        })
    }
}

impl Coordinate for Growth {
    const CONSTANT_NOISE: bool = false;

    fn drift(&self, x: f64) -> f64 {
        let x = x.max(0.0);
        self.rate * x * (1.0 - x / self.capacity)
    }

    fn drift_slope(&self, x: f64) -> f64 {
        if x > 0.0 {
            self.rate * (1.0 - 2.0 * x / self.capacity)
        } else {
            0.0
        }
    }

    fn noise(&self, x: f64) -> f64 {
        self.sigma2 * x.max(0.0).powi(2)
    }

    fn noise_slope(&self, x: f64) -> f64 {
        2.0 * self.sigma2 * x.max(0.0)
    }

    fn reference(&self, x: f64) -> (f64, f64) {
        self.stationary.coordinate(x)
    }

    fn draw(&self, rng: &mut Stream) -> f64 {
        self.draws.sample(rng).max(f64::MIN_POSITIVE)
    }

    fn support(&self) -> (f64, f64) {
        (0.0, f64::INFINITY)
    }
}

register! {
    process "stochastic-logistic" => StochasticLogistic, needs TARGET,
        summary "Logistic growth with noise in proportion to x, on positive numbers",
        source "Kloeden & Platen (1992), Numerical Solution of Stochastic Differential Equations, §4.4";
}

#[cfg(test)]
mod tests;
