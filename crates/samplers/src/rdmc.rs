//! Reverse diffusion Monte Carlo (RDMC): a diffusion run backwards with a score by Monte Carlo.
//!
//! Source: Huang, Dong, Hao, Ma & Zhang (2024), arXiv:2307.02037; the gradient form of the score as in
//! Phillips et al. (2024), arXiv:2402.06320.
//!
//! In coordinates that the base N(m, s²) whitens, dX = −X dt + √2 dB leads from π to p_τ, the law of
//! a X₀ + √v z with a = e^{−τ}, v = 1 − a²; backwards, dX = (X + 2 ∇ log p_τ) dt + √2 dB. With
//! q_τ(y | x) ∝ π(y) exp(−‖x − a y‖²/(2v)),
//!
//! ∇ log p_τ(x) = (a E_q y − x)/v  ("posterior-mean")  = E_q ∇ log π(y)/a  ("gradient")
//!
//! x ← e^δ x + 2 (e^δ − 1) ŝ + √(e^{2δ} − 1) z,   δ = τ_k − τ_{k−1}
//!
//! from x ~ N(0, v I) at τ_K = T, refined by Langevin moves of step v/2 on p_T, over times with equal distances
//! of ln(v/a²), and from the last of them to 0. Both forms mixed with the share w = v/(a² ς² + v) of the
//! first have no variance at all if π is normal with standard deviation ς ("mixed").
//!
//! Chains are M a particle, of MALA, each with a step size of its own; they go on from where the level
//! before left them, resampled by how well they fit the new posterior (`reweigh`, which is not in the
//! source), and the second half of their moves counts. They start from draws of q_T by annealed
//! importance sampling, where the source takes a few of importance sampling.
//!
//! Mode weights are those of the refined start, and what chains between modes make of them: none of it is
//! corrected. There is no estimate of log Z.
//!
//! Cost: n M L (K + W) gradients and densities for K levels, W Langevin moves and L moves of chains, and
//! those of the pilot run and of the annealing.

use crate::chains::{check, check_positive};
use crate::posterior::end::uncalibrated;
use crate::posterior::led::{Effort, Leader, Led, Stage};
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{Build, Result, Sampler, Signature, Sink, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler rdmc";

/// Which identity the score is estimated by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreForm {
    /// (a E y − x)/v.
    PosteriorMean,
    /// E ∇ log π(y)/a.
    Gradient,
    /// Both, mixed by noise level.
    Mixed,
}

/// Settings, as written under `[sampler]` with `kind = "rdmc"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rdmc {
    /// Mean of the base that sets location and scale; a number, or one a coordinate. With
    /// `pilot_moves` above 0, of the law that the pilot chains start from. Default 0.
    pub base_mean: PerCoordinate,
    /// Standard deviation of that law, > 0; a number, or one a coordinate. Pilot chains start from
    /// up to 128 times that far. Default 1.
    pub base_sd: PerCoordinate,
    /// Moves of 128 pilot chains that place the base where they end, ≥ 0; 0 for a base as given.
    /// Default 100.
    pub pilot_moves: u64,
    /// Time T that the diffusion runs back from, > `tau_min`: so large that p_T has one mode, so small that
    /// the posteriors are easier than the target. Default 1.2.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub horizon: f64,
    /// Last time before 0, > 0: noise of variance 2 τ in units of the base, which should be below the
    /// narrowest scale of the target. Default 0.0003.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub tau_min: f64,
    /// Times K, ≥ 1. Default 128.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub levels: usize,
    /// Langevin moves on p_T, ≥ 0. Default 16.
    pub start_moves: u64,
    /// Identity that the score is estimated by: "mixed", "posterior-mean" or "gradient". Default "mixed".
    pub estimator: ScoreForm,
    /// Standard deviation ς of the target that "mixed" takes, > 0, in units of the base: it changes the
    /// variance alone. Default 0.7, that under a base from the pilot run.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub scale: f64,
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
}

impl Default for Rdmc {
    fn default() -> Self {
        Self {
            base_mean: PerCoordinate::All(0.0),
            base_sd: PerCoordinate::All(1.0),
            pilot_moves: 100,
            horizon: 1.2,
            tau_min: 3e-4,
            levels: 128,
            start_moves: 16,
            estimator: ScoreForm::Mixed,
            scale: 0.7,
            chains: 16,
            moves: 8,
            reweigh: true,
            step_size: 0.1,
        }
    }
}

impl Build<dyn Sampler> for Rdmc {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Leader::shared(Reversed::new(self)?, parts.require_target(NAME)?)
    }
}

/// What a test breaks, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
enum Fault {
    None,
    /// The score enters the step once, not twice.
    ScoreOnce,
    /// The gradient form without 1/a.
    GradientUnscaled,
}

/// A normal law in whitened coordinates of which the score is known, for tests.
#[derive(Debug, Clone, Copy)]
struct Known {
    mean: f64,
    sd: f64,
}

struct Reversed {
    settings: Rdmc,
    known: Option<Known>,
    fault: Fault,
}

impl Reversed {
    fn new(settings: Rdmc) -> Result<Self> {
        let s = &settings;
        check_positive(NAME, "tau_min", s.tau_min)?;
        check_positive(NAME, "scale", s.scale)?;
        let longer = s.horizon > s.tau_min && s.horizon < 50.0;
        let said = "above `tau_min` and below 50";
        check(NAME, "horizon", s.horizon, longer, said)?;
        let inside = (1..=1_000_000).contains(&s.levels);
        check(NAME, "levels", s.levels, inside, "from 1 to 1000000")?;
        Ok(Self {
            settings,
            known: None,
            fault: Fault::None,
        })
    }

    /// τ, a and v after `k` of the K reverse steps: T after none, 0 after all.
    fn at(&self, k: usize) -> (f64, f64, f64) {
        let s = &self.settings;
        if k >= s.levels {
            return (0.0, 1.0, 0.0);
        }
        // ln(v/a²) = ln(e^{2τ} − 1).
        let odds = |tau: f64| (2.0 * tau).exp_m1().ln();
        let (from, to) = (odds(s.horizon), odds(s.tau_min));
        let at = k as f64 / (s.levels - 1).max(1) as f64;
        let r = (from + at * (to - from)).exp();
        (0.5 * r.ln_1p(), (1.0 / (1.0 + r)).sqrt(), r / (1.0 + r))
    }

    /// Share of the posterior-mean form.
    fn share(&self, a: f64, v: f64) -> f64 {
        match self.settings.estimator {
            ScoreForm::PosteriorMean => 1.0,
            ScoreForm::Gradient => 0.0,
            ScoreForm::Mixed => v / (a * a * self.settings.scale.powi(2) + v),
        }
    }

    /// The score at `x` from the means of draws and slopes, into `score`, which holds the former.
    fn score(&self, (a, v): (f64, f64), x: &[f64], slope: &[f64], score: &mut [f64]) {
        let share = self.share(a, v);
        let unit = if self.fault == Fault::GradientUnscaled {
            1.0
        } else {
            a
        };
        for ((s, g), x) in score.iter_mut().zip(slope).zip(x) {
            *s = share * (a * *s - x) / v + (1.0 - share) * g / unit;
        }
    }
}

impl Led for Reversed {
    const NAME: &'static str = NAME;

    fn effort(&self) -> Effort<'_> {
        let s = &self.settings;
        Effort {
            base_mean: &s.base_mean,
            base_sd: &s.base_sd,
            pilot_moves: s.pilot_moves,
            start_moves: s.start_moves,
            steps: s.levels as u64,
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
            "A diffusion run backwards with a score by Monte Carlo",
            "they are those of the start at time T, and of chains that hardly cross between modes",
            "The draws are approximate: scores are means over short chains, steps have an error of the order of \
             their length, and the last one adds noise of variance 2 `tau_min`",
            "compare runs with more `levels`, `chains` and `moves`",
        );
    }

    fn noise(&self, level: usize) -> Option<(f64, f64)> {
        let (_, a, v) = self.at(level);
        (level < self.settings.levels).then_some((a, v))
    }

    fn advance(&self, stage: Stage, score: &[f64], z: &[f64], x: &mut [f64]) {
        let rows = x.iter_mut().zip(score).zip(z);
        let (_, _, v) = self.at(0);
        match stage {
            Stage::Drawn => rows.for_each(|((x, _), z)| *x = v.sqrt() * z),
            Stage::Refined => rows.for_each(|((x, s), z)| *x += 0.5 * v * s + v.sqrt() * z),
            Stage::Taken(level) => {
                let delta = self.at(level - 1).0 - self.at(level).0;
                let twice = if self.fault == Fault::ScoreOnce {
                    1.0
                } else {
                    2.0
                };
                let (grow, pull) = (delta.exp(), twice * delta.exp_m1());
                let noise = (2.0 * delta).exp_m1().sqrt();
                rows.for_each(|((x, s), z)| *x = grow * *x + pull * s + noise * z);
            }
        }
    }

    fn tell(&self, noise: (f64, f64), x: &[f64], slope: &[f64], score: &mut [f64]) {
        self.score(noise, x, slope, score);
    }

    fn known(&self, (a, v): (f64, f64), x: &[f64], score: &mut [f64]) -> bool {
        let Some(k) = self.known else { return false };
        let variance = a * a * k.sd * k.sd + v;
        for (s, x) in score.iter_mut().zip(x) {
            *s = -(x - a * k.mean) / variance;
        }
        true
    }
}

register! {
    sampler "rdmc" => Rdmc, needs DENSITY_AND_GRADIENT,
        summary "Reverse diffusion Monte Carlo: a diffusion run backwards with a score by posterior chains",
        source "Huang et al. (2024), arXiv:2307.02037";
}

#[cfg(test)]
mod tests;
