//! A mixture of normal laws, fitted to where pilot chains ended, that leads particles to many modes or along
//! dependent coordinates.
//!
//! With its noised laws q_t (q at t = 0) and the mean D_t(y) = E_q[y_0 | y_t = y] = (y + λ ∇ log q_t)/α,
//!
//! π̂_t(y) = q_t(y) (ρ Π s/q)(D_t(y))^e,   ∇ log π̂_t = ∇ log q_t + e Jᵀ ∇ log(ρ/q),   J = (I + λ ∇² log q_t)/α
//!
//! With q = N(0, I) and e = 1 this is the naive potential. Between modes that y_t does not tell apart, D_t is
//! where neither has mass, and ρ/q there says nothing; so e is the square of the share of the variance
//! within a component that is left in y_t, α²v/(α²v + λ), 1 at t = 0 and small before the modes part.
//!
//! The fit has random numbers of its own, so that Ẑ stays unbiased.

use super::fit::Fit;
use super::schedule::Levels;
use crate::chains::Gaussian;
use retrograde_core::{GaussianMixture, Result};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct Guide {
    pub(super) fit: Fit,
    /// E_q[ln ρ − ln q] of one component and its coordinates, to compare with variational inference; none for modes.
    pub(super) rival: Option<(f64, Gaussian)>,
    /// Of each time, made anew after a run is taken up again.
    #[serde(skip)]
    laws: Vec<GaussianMixture>,
    #[serde(skip)]
    exponents: Vec<f64>,
}

/// What there is of a guide at a time.
#[derive(Clone, Copy)]
pub(super) struct Led<'a> {
    /// q.
    pub(super) law: &'a GaussianMixture,
    /// q_t.
    pub(super) noised: &'a GaussianMixture,
    /// e.
    pub(super) exponent: f64,
    /// λ.
    pub(super) noise: f64,
}

impl Guide {
    pub(super) fn new(fit: Fit, rival: Option<(f64, Gaussian)>) -> Self {
        Self {
            fit,
            rival,
            laws: Vec::new(),
            exponents: Vec::new(),
        }
    }

    /// Makes what is missing; whether anything was.
    pub(super) fn ready(&mut self, levels: &Levels) -> Result<bool> {
        if !self.laws.is_empty() {
            return Ok(false);
        }
        let law = self.fit.law()?;
        for k in 0..=levels.steps() {
            let (alpha, noise) = (levels.signal[k], levels.noise(k));
            self.laws.push(law.noised(alpha, noise)?);
            self.exponents.push(self.fit.resolved(alpha, noise).powi(2));
        }
        Ok(true)
    }

    pub(super) fn at(&self, levels: &Levels, k: usize) -> Led<'_> {
        Led {
            law: &self.laws[0],
            noised: &self.laws[k],
            exponent: self.exponents[k],
            noise: levels.noise(k),
        }
    }
}
