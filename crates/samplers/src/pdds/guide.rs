//! A mixture of normal laws, fitted to where pilot chains ended, that leads particles to many modes or along
//! dependent coordinates.
//!
//! With its noised laws q_t (q at t = 0) and the mean D_t(y) = E_q[y_0 | y_t = y] = (y + λ ∇ log q_t)/α,
//!
//! π̂_t(y) = q_t(y) (ρ Π s/q)(D_t(y))^e,   ∇ log π̂_t = ∇ log q_t + e Jᵀ ∇ log(ρ/q),   J = (I + λ ∇² log q_t)/α
//!
//! With q = N(0, I) and e = 1 this is the naive potential. Between modes that y_t does not tell apart, D_t is
//! where neither has mass, and ρ/q there says nothing; so e is at most the square of the share of the variance
//! within a component that is left in y_t, α²v/(α²v + λ), 1 at t = 0 and small before the modes part. Within a component
//! ρ/q may say nothing either (a ring has no mass at its middle); so e is at most that of the greatest
//! likelihood, where draws of q tell it.
//!
//! The fit has random numbers of its own, so that Ẑ stays unbiased.

use super::fit::Fit;
use super::schedule::Levels;
use crate::chains::{Gaussian, check_length};
use retrograde_core::{GaussianMixture, Result};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct Guide {
    pub(super) fit: Fit,
    /// E_q[ln ρ − ln q] of one component and its coordinates, to compare with variational inference; none for modes.
    pub(super) rival: Option<(f64, Gaussian)>,
    /// That of the time it was asked for last, made anew after a run is taken up again.
    #[serde(skip)]
    led: Option<Led>,
}

/// Coordinates of a run, and what leads through them.
#[derive(Serialize, Deserialize)]
pub(super) struct Frame {
    /// N(m, s²), the reference law.
    pub(super) law: Gaussian,
    pub(super) guide: Option<Guide>,
    /// e at the times of a run; empty where nothing told.
    pub(super) exponents: Vec<f64>,
}

impl Frame {
    /// Whether a saved frame is one in dimension `d`, of `steps` steps.
    pub(super) fn check_saved(&self, d: usize, steps: usize) -> std::result::Result<(), String> {
        self.law.check_saved(d)?;
        if !self.exponents.is_empty() {
            check_length("exponents", self.exponents.len(), steps + 1)?;
        }
        if !self.exponents.iter().all(|e| (0.0..=1.0).contains(e)) {
            return Err("an exponent that is not from 0 to 1".into());
        }
        let Some(guide) = &self.guide else {
            return Ok(());
        };
        guide.fit.check_saved(d)?;
        match &guide.rival {
            Some((_, coordinates)) => coordinates.check_saved(d),
            None => Ok(()),
        }
    }
}

/// What there is of a guide at a time.
pub(super) struct Led {
    level: usize,
    /// q.
    pub(super) law: GaussianMixture,
    /// q_t.
    pub(super) noised: GaussianMixture,
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
            led: None,
        }
    }

    /// What leads at the time `level`.
    pub(super) fn at(
        &mut self,
        levels: &Levels,
        level: usize,
        exponent: Option<f64>,
    ) -> Result<&Led> {
        let mut led = match self.led.take() {
            Some(led) => led,
            None => {
                let law = self.fit.law(true)?;
                Led {
                    level: 0,
                    noised: law.clone(),
                    law,
                    exponent: 1.0,
                    noise: 0.0,
                }
            }
        };
        if led.level != level {
            let (alpha, noise) = (levels.signal[level], levels.noise(level));
            led.law.noised_into(alpha, noise, &mut led.noised)?;
            led.exponent = exponent.unwrap_or_else(|| self.fit.exponent(alpha, noise));
            (led.noise, led.level) = (noise, level);
        }
        Ok(self.led.insert(led))
    }
}
