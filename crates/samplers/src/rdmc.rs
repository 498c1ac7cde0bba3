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

use crate::chains::{Gaussian, check, check_positive, dense, dense_mut, matrix_mut, zeros};
use crate::pilot::Pilot;
use crate::posterior::anneal::STARTING;
use crate::posterior::chains::{Followers, Means};
use crate::posterior::end::{doubt_acceptance, hand_over, uncalibrated};
use crate::posterior::{Posterior, Whitened};
use ndarray::Array2;
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, Build, Cx, Error, Flow, Result, Sampler, Signature, Sink, Target, Traits, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler rdmc";
/// Keys that place the base.
const BASE: [&str; 2] = ["base_mean", "base_sd"];

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
        Ok(Arc::new(Reversed::new(self, parts.require_target(NAME)?)?))
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
    base: Gaussian,
    target: Arc<dyn Target>,
    known: Option<Known>,
    fault: Fault,
}

impl Reversed {
    fn new(settings: Rdmc, target: Arc<dyn Target>) -> Result<Self> {
        let s = &settings;
        for (key, v) in [
            ("tau_min", s.tau_min),
            ("scale", s.scale),
            ("step_size", s.step_size),
        ] {
            check_positive(NAME, key, v)?;
        }
        let longer = s.horizon > s.tau_min && s.horizon < 50.0;
        let said = "above `tau_min` and below 50";
        check(NAME, "horizon", s.horizon, longer, said)?;
        let inside = (1..=1_000_000).contains(&s.levels);
        check(NAME, "levels", s.levels, inside, "from 1 to 1000000")?;
        check(NAME, "chains", s.chains, s.chains > 0, "at least 1")?;
        check(NAME, "moves", s.moves, s.moves > 1, "at least 2")?;
        let base = Gaussian::new(NAME, target.dim(), BASE, &s.base_mean, &s.base_sd, true)?;
        Ok(Self {
            settings,
            base,
            target,
            known: None,
            fault: Fault::None,
        })
    }

    /// τ, a and v after `k` of the K reverse steps: T after none, 0 after all.
    fn noise(&self, k: usize) -> (f64, f64, f64) {
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

    /// Steps of the run after the pilot.
    fn length(&self) -> u64 {
        self.settings.start_moves + self.settings.levels as u64 + 1
    }

    /// Reverse steps after `done` steps.
    fn level(&self, done: u64) -> usize {
        done.saturating_sub(self.settings.start_moves) as usize
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

#[derive(Serialize, Deserialize)]
struct State {
    /// The pilot run that places the base.
    place: Option<Pilot>,
    base: Gaussian,
    /// Particles and estimates of their scores, in whitened coordinates.
    x: Array2<f64>,
    score: Array2<f64>,
    chains: Followers,
    /// Steps done.
    done: u64,
    /// Acceptance furthest from its aim.
    worst: f64,
}

impl Algorithm for Reversed {
    type State = State;

    fn name(&self) -> &str {
        NAME
    }

    fn traits(&self) -> Traits {
        self.target.traits()
    }

    fn signature(&self) -> Signature {
        Signature::new(self.target.dim(), &self.settings)
    }

    fn check_state(&self, n: usize, state: &State) -> std::result::Result<(), String> {
        let d = self.target.dim();
        state.base.check_saved(d)?;
        if let Some(pilot) = &state.place {
            pilot.check_saved(d)?;
        }
        for (what, found) in [("points", state.x.dim()), ("scores", state.score.dim())] {
            if found != (n, d) {
                return Err(format!("{what} of shape {found:?}, not {:?}", (n, d)));
            }
        }
        state
            .chains
            .check_saved(n.saturating_mul(self.settings.chains), d)?;
        let finite = |v: &f64| v.is_finite();
        if state.done >= self.length() || !state.x.iter().chain(&state.score).all(finite) {
            return Err(format!(
                "{} steps of {}, or points nowhere",
                state.done,
                self.length()
            ));
        }
        Ok(())
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        let (s, d) = (&self.settings, self.target.dim());
        if n == 0 {
            return Err(Error::Argument {
                component: NAME.into(),
                argument: "draws".into(),
                given: n.to_string(),
                allowed: "at least 1".into(),
            });
        }
        let place = if s.pilot_moves > 0 {
            let target = &*self.target;
            Some(Pilot::start(cx, NAME, BASE, target, &self.base, 0.1)?)
        } else {
            None
        };
        Ok(State {
            place,
            base: self.base.clone(),
            x: zeros(NAME, n, d)?,
            score: zeros(NAME, n, d)?,
            chains: Followers::nowhere(NAME, n, s.chains, d)?,
            done: 0,
            worst: 0.6,
        })
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        let target = &*self.target;
        if let Some(pilot) = &mut state.place {
            let moves = self.settings.pilot_moves;
            if !pilot.step(cx, target, &mut state.base, moves, sink)? {
                return Ok(Flow::More);
            }
            state.place = None;
        }
        if state.done == 0 {
            sink.set_chains(1)?;
            uncalibrated(
                sink,
                "A diffusion run backwards with a score by Monte Carlo",
                "they are those of the start at time T, and of chains that hardly cross between modes",
                "The draws are approximate: scores are means over short chains, steps have an error of the order of \
                 their length, and the last one adds noise of variance 2 `tau_min`",
                "compare runs with more `levels`, `chains` and `moves`",
            );
        }
        self.advance(cx, state);
        let white = Whitened {
            target,
            base: &state.base,
        };
        let level = self.level(state.done);
        if level < self.settings.levels {
            let (_, a, v) = self.noise(level);
            let first = state.done == 0;
            let accepted = self.look(
                cx,
                white,
                (a, v),
                first,
                &state.x,
                &mut state.score,
                &mut state.chains,
            )?;
            if (accepted - 0.6).abs() > (state.worst - 0.6).abs() {
                state.worst = accepted;
            }
        }
        state.done += 1;
        sink.progress(state.done as f64 / self.length() as f64);
        sink.scalar("acceptance", state.worst);
        if state.done < self.length() {
            return Ok(Flow::More);
        }
        if self.known.is_none() {
            doubt_acceptance(sink, state.worst);
        }
        hand_over(cx, NAME, white, &state.x, sink)?;
        Ok(Flow::Done)
    }
}

impl Reversed {
    /// Draws the particles at T, moves them on p_T, or takes a reverse step.
    fn advance(&self, cx: &mut Cx<'_>, state: &mut State) {
        let (n, d) = state.x.dim();
        let mut z = cx.take(n * d);
        cx.at("noise", 0).fill_normal(matrix_mut(&mut z, d));
        let level = self.level(state.done);
        let (tau, _, v) = self.noise(level);
        let x = dense_mut(state.x.view_mut());
        let rows = x.iter_mut().zip(&state.score).zip(&z);
        if state.done == 0 {
            let sd = v.sqrt();
            rows.for_each(|((x, _), z)| *x = sd * z);
        } else if level == 0 {
            let noise = v.sqrt();
            rows.for_each(|((x, s), z)| *x += 0.5 * v * s + noise * z);
        } else {
            let delta = self.noise(level - 1).0 - tau;
            let twice = if self.fault == Fault::ScoreOnce {
                1.0
            } else {
                2.0
            };
            let (grow, pull) = (delta.exp(), twice * delta.exp_m1());
            let noise = (2.0 * delta).exp_m1().sqrt();
            rows.for_each(|((x, s), z)| *x = grow * *x + pull * s + noise * z);
        }
        cx.give(z);
    }

    /// Scores at all particles.
    #[allow(clippy::too_many_arguments)] // parts of one state
    fn look(
        &self,
        cx: &mut Cx<'_>,
        white: Whitened<'_>,
        (a, v): (f64, f64),
        first: bool,
        x: &Array2<f64>,
        score: &mut Array2<f64>,
        chains: &mut Followers,
    ) -> Result<f64> {
        if let Some(k) = self.known {
            let variance = a * a * k.sd * k.sd + v;
            score.zip_mut_with(x, |s, x| *s = -(x - a * k.mean) / variance);
            return Ok(0.6);
        }
        let s = &self.settings;
        let (x, score) = (x.view(), dense_mut(score.view_mut()));
        let x = dense(&x);
        if first {
            let annealing = STARTING.with(s.chains);
            chains.start(
                &mut cx.at("anneal", 0),
                white,
                annealing,
                (a, v),
                x,
                s.step_size,
            )?;
        }
        let mut slope = cx.take(score.len());
        let law = Posterior::of(a, v);
        if !first && s.reweigh {
            chains.reweigh(cx, law, x, white.dim())?;
        }
        let mut out = Means {
            draw: score,
            slope: &mut slope,
        };
        let accepted = chains.follow(cx, white, law, x, s.moves, &mut out)?;
        self.score((a, v), x, &slope, score);
        cx.give(slope);
        Ok(accepted)
    }
}

register! {
    sampler "rdmc" => Rdmc, needs DENSITY_AND_GRADIENT,
        summary "Reverse diffusion Monte Carlo: a diffusion run backwards with a score by posterior chains",
        source "Huang et al. (2024), arXiv:2307.02037";
}

#[cfg(test)]
mod tests;
