//! Stochastic localisation via iterative posterior sampling (SLIPS).
//!
//! Source: Grenioux, Noble, Gabrié & Durmus (2024), arXiv:2402.10758.
//!
//! In coordinates that the base N(m, s²) whitens, the observation process Y_t = α(t) X + σ B_t of X ~ π has
//!
//! dY = α′(t) u_t(Y) dt + σ dB,   u_t(y) = E[X | Y_t = y],   q_t(x | y) ∝ π(x) exp(−‖α x − y‖²/(2σ²t))
//!
//! y ← y + (α(t_{k+1}) − α(t_k)) û(y) + σ √(t_{k+1} − t_k) z,   û a mean over chains on q_t
//!
//! with α(t) = g(t) √t: g² = t ("standard"), t^a (1 − t)^{−b} ("geometric"), tan(πt/2)^a ("tangent"),
//! at times t_1 = ε … t_K with equal distances of ln g² (T = 1 as good as any: it scales y alone). Y_ε starts at N(0, σ²ε I), refined by
//! Langevin moves of step σ²ε/2 on p_ε, whose score is (α û − y)/(σ²t).
//!
//! Chains are M a particle, of MALA, each with a step size of its own; they go on from where the level
//! before left them, resampled by how well they fit the new posterior (`reweigh`, which is not in the
//! source), and the second half of their moves counts. They start from draws of q_ε by annealed
//! importance sampling, where the source has a long run of chains from y/α.
//!
//! Draws are û at the last time (narrower than π by what is left of the posterior) or y/α ("observation",
//! wider by σ²/g²). Mode weights are those that Y_ε has, and what chains between modes make of them: none of
//! it is corrected. There is no estimate of log Z.
//!
//! Cost: n M L (K + W) gradients and densities for K levels, W Langevin moves and L moves of chains, and
//! those of the pilot run and of the annealing.

use crate::chains::{check, check_positive};
use crate::posterior::Posterior;
use crate::posterior::end::uncalibrated;
use crate::posterior::led::{Effort, Leader, Led, Stage};
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{Build, Result, Sampler, Signature, Sink, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;
use std::sync::Arc;

const NAME: &str = "sampler slips";

/// How the signal grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Localisation {
    /// g² = t.
    Standard,
    /// g² = t^`power` (1 − t)^−`end_power`.
    Geometric,
    /// g² = tan(π t/2)^`power`.
    Tangent,
}

/// What a draw is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Final {
    /// û at the last time.
    PosteriorMean,
    /// y/α at the last time.
    Observation,
}

/// Settings, as written under `[sampler]` with `kind = "slips"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Slips {
    /// Mean of the base that sets location and scale; a number, or one a coordinate. With
    /// `pilot_moves` above 0, of the law that the pilot chains start from. Default 0.
    pub base_mean: PerCoordinate,
    /// Standard deviation of that law, > 0; a number, or one a coordinate. Pilot chains start from
    /// up to 128 times that far. Default 1.
    pub base_sd: PerCoordinate,
    /// Moves of 128 pilot chains that place the base where they end, ≥ 0; 0 for a base as given.
    /// Default 100.
    pub pilot_moves: u64,
    /// Standard deviation σ of the observation noise at t = 1, > 0, in units of the base; best √(E ‖X‖²/d),
    /// which is 1/1.4 under a base from the pilot run. Default 0.7.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub sigma: f64,
    /// Schedule g: "standard", "geometric" or "tangent". Default "geometric".
    pub schedule: Localisation,
    /// Power a of the schedule at its begin, > 0. Default 1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub power: f64,
    /// Power b of "geometric" at its end, > 0. Default 1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub end_power: f64,
    /// g² at the first time, > 0: small enough for p_ε to have one mode, large enough for the chains.
    /// Default 0.1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub first_snr: f64,
    /// g² at the last time, > `first_snr`. Default 1000.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub last_snr: f64,
    /// Times K, ≥ 2. Default 128.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub levels: usize,
    /// Langevin moves on p_ε, ≥ 0. Default 10.
    pub start_moves: u64,
    /// Chains M of a particle, ≥ 1. Default 16.
    #[schemars(range(min = 1))]
    pub chains: usize,
    /// Moves L of the chains at each time, ≥ 2. Default 8.
    #[schemars(range(min = 2))]
    pub moves: u64,
    /// Whether the chains of a particle are resampled from level to level, by how well each fits the new
    /// posterior; else, as in the source, those that cannot leave their modes keep the shares of the first
    /// level. Default true.
    pub reweigh: bool,
    /// First step size of the chains, > 0, in units of the variance of the posterior if the target
    /// were the base; adapted. Default 0.1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step_size: f64,
    /// What a draw is: "posterior-mean" or "observation". Default "posterior-mean".
    #[serde(rename = "draw")]
    pub last: Final,
}

impl Default for Slips {
    fn default() -> Self {
        Self {
            base_mean: PerCoordinate::All(0.0),
            base_sd: PerCoordinate::All(1.0),
            pilot_moves: 100,
            sigma: 0.7,
            schedule: Localisation::Geometric,
            power: 1.0,
            end_power: 1.0,
            first_snr: 0.1,
            last_snr: 1000.0,
            levels: 128,
            start_moves: 10,
            chains: 16,
            moves: 8,
            reweigh: true,
            step_size: 0.1,
            last: Final::PosteriorMean,
        }
    }
}

impl Build<dyn Sampler> for Slips {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Leader::shared(Localised::new(self)?, parts.require_target(NAME)?)
    }
}

/// What a test breaks, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
enum Fault {
    None,
    /// The drift has α where it should have the change of α.
    DriftOfAlpha,
    /// The noise is that of a σ twice as large.
    NoiseDoubled,
    /// Chains keep the target without its link to y.
    Unlinked,
}

/// A normal law in whitened coordinates of which û and the law of Y_ε are known, for tests.
#[derive(Debug, Clone, Copy)]
struct Known {
    mean: f64,
    sd: f64,
}

struct Localised {
    settings: Slips,
    known: Option<Known>,
    fault: Fault,
}

impl Localised {
    fn new(settings: Slips) -> Result<Self> {
        let s = &settings;
        for (key, v) in [
            ("sigma", s.sigma),
            ("power", s.power),
            ("end_power", s.end_power),
            ("first_snr", s.first_snr),
        ] {
            check_positive(NAME, key, v)?;
        }
        let rising = s.last_snr > s.first_snr && s.last_snr.is_finite();
        check(
            NAME,
            "last_snr",
            s.last_snr,
            rising,
            "a number above `first_snr`",
        )?;
        let inside = (2..=1_000_000).contains(&s.levels);
        check(NAME, "levels", s.levels, inside, "from 2 to 1000000")?;
        Ok(Self {
            settings,
            known: None,
            fault: Fault::None,
        })
    }

    /// t at which g² is `snr`.
    fn time(&self, snr: f64) -> f64 {
        let s = &self.settings;
        match s.schedule {
            Localisation::Standard => snr,
            Localisation::Tangent => snr.powf(1.0 / s.power).atan() / FRAC_PI_2,
            Localisation::Geometric => {
                // ln g² rises with the log odds r of t, by a (1 − t) + b t: bisection over r.
                let log = snr.ln();
                let (ln_t, ln_rest) = (|r: f64| -(-r).exp().ln_1p(), |r: f64| -r.exp().ln_1p());
                let (mut low, mut high) = (-700.0, 700.0);
                for _ in 0..200 {
                    let r = 0.5 * (low + high);
                    if s.power * ln_t(r) - s.end_power * ln_rest(r) < log {
                        low = r;
                    } else {
                        high = r;
                    }
                }
                ln_t(low).exp()
            }
        }
    }

    /// α and σ²t at level `k` of 0 … K − 1.
    fn at(&self, k: usize) -> (f64, f64) {
        let s = &self.settings;
        let (from, to) = (s.first_snr.ln(), s.last_snr.ln());
        let snr = (from + (to - from) * k as f64 / (s.levels - 1) as f64).exp();
        let t = self.time(snr);
        ((snr * t).sqrt(), s.sigma * s.sigma * t)
    }
}

impl Led for Localised {
    const NAME: &'static str = NAME;

    fn effort(&self) -> Effort<'_> {
        let s = &self.settings;
        Effort {
            base_mean: &s.base_mean,
            base_sd: &s.base_sd,
            pilot_moves: s.pilot_moves,
            start_moves: s.start_moves,
            steps: s.levels as u64 - 1,
            chains: s.chains,
            moves: s.moves,
            reweigh: s.reweigh,
            step_size: s.step_size,
        }
    }

    fn signature(&self, d: usize) -> Signature {
        Signature::new(d, &self.settings)
    }

    fn caveats(&self, sink: &mut dyn Sink) {
        uncalibrated(
            sink,
            "Localisation by posterior draws",
            "they are those of the first observations, and of chains that hardly cross between modes",
            "The draws are approximate: û is a mean over short chains, the steps have an error of the order \
             of their length, and a draw is narrower than the target by what is left of the posterior",
            "compare runs with more `levels`, `chains` and `moves`",
        );
    }

    fn noise(&self, level: usize) -> Option<(f64, f64)> {
        Some(self.at(level))
    }

    fn posterior(&self, (a, v): (f64, f64)) -> Posterior {
        let linked = self.fault != Fault::Unlinked;
        Posterior::of(if linked { a } else { 0.0 }, v)
    }

    fn advance(&self, stage: Stage, mean: &[f64], z: &[f64], y: &mut [f64]) {
        let rows = y.iter_mut().zip(mean).zip(z);
        let (a, v) = self.at(0);
        match stage {
            Stage::Drawn => {
                let (m, s) = self.known.map_or((0.0, 0.0), |k| (k.mean, k.sd));
                let sd = (a * a * s * s + v).sqrt();
                rows.for_each(|((y, _), z)| *y = a * m + sd * z);
            }
            // h ∇ log p_ε = ½ v (α û − y)/v.
            Stage::Refined => {
                rows.for_each(|((y, u), z)| *y += 0.5 * (a * u - *y) + v.sqrt() * z);
            }
            Stage::Taken(level) => {
                let ((before, less), (a, v)) = (self.at(level - 1), self.at(level));
                let pull = if self.fault == Fault::DriftOfAlpha {
                    a
                } else {
                    a - before
                };
                let louder = if self.fault == Fault::NoiseDoubled {
                    2.0
                } else {
                    1.0
                };
                let noise = louder * (v - less).sqrt();
                rows.for_each(|((y, u), z)| *y += pull * u + noise * z);
            }
        }
    }

    fn finish(&self, mean: &[f64], y: &mut [f64]) {
        match self.settings.last {
            Final::PosteriorMean => y.copy_from_slice(mean),
            Final::Observation => {
                let (a, _) = self.at(self.settings.levels - 1);
                y.iter_mut().for_each(|y| *y /= a);
            }
        }
    }

    fn known(&self, (a, v): (f64, f64), y: &[f64], mean: &mut [f64]) -> bool {
        let Some(k) = self.known else { return false };
        let (own, link) = (1.0 / (k.sd * k.sd), a / v);
        for (u, y) in mean.iter_mut().zip(y) {
            *u = (k.mean * own + link * y) / (own + link * a);
        }
        true
    }
}

register! {
    sampler "slips" => Slips, needs DENSITY_AND_GRADIENT,
        summary "Stochastic localisation via iterative posterior sampling",
        source "Grenioux et al. (2024), arXiv:2402.10758";
}

#[cfg(test)]
mod tests;
