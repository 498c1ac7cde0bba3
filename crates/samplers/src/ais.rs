//! Annealed importance sampling (AIS) with a schedule that is fixed before the draws.
//!
//! Source: Neal (2001), Stat. Comput. 11, 125, arXiv:physics/9803008; tail of the weights by Hill
//! (1975), Ann. Stat. 3, 1163.
//!
//! π_β ∝ N(m, s²)^{1−β} ρ^β,   0 = β₀ < … < β_K = 1,   Δ = ln ρ − ln N(m, s²)
//!
//! x₀ ~ N(m, s²);   for k = 1 … K:   ln w += (β_k − β_{k−1}) Δ(x_{k−1}),   x_k ~ moves that keep π_{β_k}
//!
//! Ẑ = mean w is unbiased, E Ẑ = Z, whatever the moves are, as long as temperatures and step sizes do
//! not depend on the particles that are weighed. They come from a pilot run of tempered SMC with
//! particles and random numbers of its own: its temperatures, each at the same effective sample size,
//! are divided evenly into K ("adaptive"), or only its step sizes are taken.
//!
//! The draws are weighted. Standard error of ln Ẑ by the delta method, √(CV²/(n − 1)), CV² = n Σw²/(Σw)² − 1.
//!
//! Cost with M moves of L leapfrog steps on average (MALA: L = 1): n (1 + K M L) gradients and
//! n (1 + K M) densities, and the pilot runs.

use crate::chains::{Gaussian, check, check_length, check_positive, dense, zeros};
use crate::pilot::{self, Pilot, Placing};
use crate::smc::{self, Kernel};
use crate::walkers::{Path, Scale, Walkers};
use crate::{hmc, mala};
use ndarray::Array1;
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, Build, Cx, Draws, Error, Flow, Result, Sampler, Signature, Sink, Target, Traits,
    register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tuning::{Silent, nothing, of_pilot};

const NAME: &str = "sampler ais";
/// Keys that place the base.
const BASE: [&str; 2] = ["base_mean", "base_sd"];

/// Where the temperatures stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AisSchedule {
    /// At equal effective sample sizes of a pilot run.
    Adaptive,
    /// At equal distances.
    Linear,
    /// At equal ratios, from `first_beta` to 1.
    Geometric,
}

/// Settings, as written under `[sampler]` with `kind = "ais"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ais {
    /// Mean of the normal law that particles start from; a number, or one a coordinate. With
    /// `pilot_moves` above 0, of the law that the pilot chains start from. Default 0.
    pub base_mean: PerCoordinate,
    /// Standard deviation of that law, > 0; a number, or one a coordinate. Pilot chains start from
    /// up to 128 times that far. Default 1.
    pub base_sd: PerCoordinate,
    /// Moves of 128 pilot chains that place the base where they end, ≥ 0; 0 for a base as given.
    /// Default 100.
    pub pilot_moves: u64,
    /// Particles of the pilot run that finds temperatures and step sizes, ≥ 2. Default 256.
    #[schemars(range(min = 2))]
    pub pilot_particles: usize,
    /// Where the temperatures stand: "adaptive", "linear" or "geometric". Default "adaptive".
    pub schedule: AisSchedule,
    /// Temperatures, K ≥ 1. The variance of ln w falls as 1/K. Default 200.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub temperatures: usize,
    /// First temperature of "geometric", above 0 and below 1. Default 0.0001.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub first_beta: f64,
    /// The temperatures themselves, rising from above 0 to 1, in place of `schedule` and
    /// `temperatures`. Default none.
    pub betas: Vec<f64>,
    /// Kind of the moves: "hmc" or "mala". Default "hmc".
    #[serde(rename = "move")]
    pub kernel: Kernel,
    /// Moves at each temperature, ≥ 1. Default 1.
    #[schemars(range(min = 1))]
    pub moves: u32,
    /// Leapfrog steps of an "hmc" move at most, ≥ 1: moves take 1, 2 … `leapfrog` of them in turn.
    /// Default 5.
    #[schemars(range(min = 1))]
    pub leapfrog: u32,
    /// First step size that the pilot runs try, > 0, in units of the scale of the moves (of its
    /// square for "mala"). Default 0.1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step_size: f64,
    /// Largest step size of an "hmc" move over the smallest, from 1 to 1e9: each trajectory draws its own, evenly
    /// in the logarithm, so that places of unlike width (a neck) are reached as well. Default 1.
    #[schemars(range(min = 1.0, max = 1e9))]
    pub step_span: f64,
}

impl Default for Ais {
    fn default() -> Self {
        Self {
            base_mean: PerCoordinate::All(0.0),
            base_sd: PerCoordinate::All(1.0),
            pilot_moves: 100,
            pilot_particles: 256,
            schedule: AisSchedule::Adaptive,
            temperatures: 200,
            first_beta: 1e-4,
            betas: Vec::new(),
            kernel: Kernel::Hmc,
            moves: 1,
            leapfrog: 5,
            step_size: 0.1,
            step_span: 1.0,
        }
    }
}

impl Build<dyn Sampler> for Ais {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Annealed::new(self, parts.require_target(NAME)?)?))
    }
}

/// What a test breaks, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
enum Fault {
    None,
    /// The term of one temperature is left out of the weights.
    TermOmitted,
    /// Weights are taken after the moves at the new temperature, not before them.
    LateWeights,
    /// Moves accept whatever they propose.
    NoCorrection,
    /// The particles are sent on from where their own weights send them: resampled within the run.
    OwnWeights,
}

struct Annealed {
    settings: Ais,
    base: Gaussian,
    target: Arc<dyn Target>,
    fault: Fault,
}

impl Annealed {
    fn new(settings: Ais, target: Arc<dyn Target>) -> Result<Self> {
        let s = &settings;
        let inside = (1..=1_000_000).contains(&s.temperatures);
        let k = s.temperatures;
        check(NAME, "temperatures", k, inside, "from 1 to 1000000")?;
        let most = u32::MAX as usize;
        let inside = (2..=most).contains(&s.pilot_particles);
        let said = "from 2 to 4294967295";
        check(NAME, "pilot_particles", s.pilot_particles, inside, said)?;
        let inside = s.first_beta > 0.0 && s.first_beta < 1.0;
        check(NAME, "first_beta", s.first_beta, inside, "between 0 and 1")?;
        let mut before = 0.0;
        for (i, b) in s.betas.iter().enumerate() {
            let last = i + 1 == s.betas.len();
            let right = *b > before && if last { *b == 1.0 } else { *b < 1.0 };
            let said = "temperatures that rise from above 0 and end at exactly 1";
            check(NAME, &format!("betas[{i}]"), b, right, said)?;
            before = *b;
        }
        check(NAME, "moves", s.moves, s.moves > 0, "at least 1")?;
        check(NAME, "leapfrog", s.leapfrog, s.leapfrog > 0, "at least 1")?;
        check_positive(NAME, "step_size", s.step_size)?;
        let span = s.step_span;
        let inside = (1.0..=1e9).contains(&span);
        check(NAME, "step_span", span, inside, "from 1 to 1e9")?;
        let base = Gaussian::new(NAME, target.dim(), BASE, &s.base_mean, &s.base_sd, true)?;
        Ok(Self {
            settings,
            base,
            target,
            fault: Fault::None,
        })
    }

    /// Temperatures of the run.
    fn length(&self) -> usize {
        match self.settings.betas.len() {
            0 => self.settings.temperatures,
            k => k,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct State {
    /// The pilot run that places the base, then the one that places the temperatures.
    place: Option<Pilot>,
    tune: Option<smc::State>,
    base: Gaussian,
    particles: Walkers,
    log_weights: Array1<f64>,
    /// β₁ … β_K, step sizes, d scales of each; empty before the pilot runs end.
    beta: Vec<f64>,
    step: Vec<f64>,
    scale: Vec<f64>,
    level: usize,
    /// Sum and minimum of the mean acceptances.
    accepted: (f64, f64),
}

impl Algorithm for Annealed {
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
        if let Some(tune) = &state.tune {
            if tune.second {
                return Err("a pilot run that is over".into());
            }
            self.pilot(state.base.clone())
                .check_state(self.settings.pilot_particles, tune)?;
        }
        state.particles.check_saved(n, d)?;
        check_length("weights", state.log_weights.len(), n)?;
        let tuning = state.place.is_some() || state.tune.is_some();
        let k = if tuning { 0 } else { self.length() };
        check_length("temperatures", state.beta.len(), k)?;
        check_length("step sizes", state.step.len(), k)?;
        check_length("scales", state.scale.len(), k * d)?;
        let rising = state.beta.windows(2).all(|b| b[0] < b[1]);
        if !rising || !state.beta.iter().all(|b| *b > 0.0 && *b <= 1.0) {
            return Err("temperatures that do not rise from 0 to 1".into());
        }
        let sound = |v: &f64| *v > 0.0 && v.is_finite();
        if !state.step.iter().chain(&state.scale).all(sound) {
            return Err("a step size or scale that is not above 0".into());
        }
        let usable = |w: &f64| *w < f64::INFINITY;
        if state.level > k.saturating_sub(1) || !state.log_weights.iter().all(usable) {
            return Err(format!("level {} of {k}, or unusable weights", state.level));
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
        let mut state = State {
            place: None,
            tune: None,
            base: self.base.clone(),
            particles: Walkers {
                x: zeros(NAME, n, d)?,
                log_density: Array1::zeros(n),
                gradient: zeros(NAME, n, d)?,
            },
            log_weights: Array1::zeros(n),
            beta: Vec::new(),
            step: Vec::new(),
            scale: Vec::new(),
            level: 0,
            accepted: (0.0, 1.0),
        };
        let (target, law, moves) = (&*self.target, &self.base, s.pilot_moves);
        state.place = Pilot::wanted(moves, cx, NAME, BASE, target, law, s.step_size)?;
        if state.place.is_none() {
            self.begin_tuning(cx, &mut state)?;
        }
        Ok(state)
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        let target = &*self.target;
        let (place, moves) = (&mut state.place, self.settings.pilot_moves);
        match pilot::place(cx, place, target, &mut state.base, moves, sink)? {
            Placing::GoesOn => return Ok(Flow::More),
            Placing::Ends => self.begin_tuning(cx, state)?,
            Placing::Over => {}
        }
        if let Some(tune) = &mut state.tune {
            // The base is in its state.
            let pilot = self.pilot(nothing());
            pilot
                .step(&mut cx.at("pilot", 1), tune, &mut Silent)
                .map_err(of_pilot)?;
            if !tune.second {
                return Ok(Flow::More);
            }
            self.end_tuning(state, sink);
        }
        if state.level == 0 {
            sink.set_chains(1)?;
            state.particles.draw(cx, NAME, BASE, target, &state.base)?;
        }
        self.anneal(cx, state)?;
        state.level += 1;
        sink.progress(state.level as f64 / state.beta.len() as f64);
        self.record(state, sink);
        if state.level < state.beta.len() {
            return Ok(Flow::More);
        }
        self.report(cx, state, sink);
        let Walkers { x, log_density, .. } = &state.particles;
        sink.emit(&Draws {
            x: x.view(),
            log_weights: Some(state.log_weights.view()),
            stats: &[("lp", log_density.view())],
        })?;
        Ok(Flow::Done)
    }
}

impl Annealed {
    /// Weighs the particles for the next temperature, and moves them at it.
    fn anneal(&self, cx: &mut Cx<'_>, state: &mut State) -> Result {
        let State {
            particles,
            log_weights,
            base,
            beta,
            step,
            scale,
            level,
            accepted,
            ..
        } = state;
        let (n, d) = particles.x.dim();
        let now = beta[*level];
        let before = if *level == 0 { 0.0 } else { beta[*level - 1] };
        let omitted = self.fault == Fault::TermOmitted && *level == beta.len() / 2;
        let increment = if omitted { 0.0 } else { now - before };
        let mut weigh = |cx: &mut Cx<'_>, particles: &Walkers| {
            let parts = (
                particles.x.view(),
                particles.log_density.view(),
                log_weights.view_mut(),
            );
            cx.rows(n, parts, |_, _, (x, l, w)| {
                let rows = dense(&x).chunks_exact(d).zip(l);
                for ((x, l), w) in rows.zip(w) {
                    // Once without weight is for ever: 0 times −∞ must not come up.
                    if *w > f64::NEG_INFINITY && increment > 0.0 {
                        *w += increment * (l - base.log_density(x));
                    }
                }
                Ok(())
            })
        };
        if self.fault != Fault::LateWeights {
            weigh(cx, particles)?;
        }
        let [mut acceptance, mut steps, mut diverging] = std::array::from_fn(|_| cx.take(n));
        let moves = u64::from(self.settings.moves);
        let path = Path {
            beta: now,
            base: Some(base),
        };
        let (step, scale) = (step[*level], &scale[*level * d..(*level + 1) * d]);
        let target = &*self.target;
        let wrong = self.fault == Fault::NoCorrection;
        let mut mean = 0.0;
        for j in 0..moves {
            cx.check_cancelled()?;
            let mut cx = cx.at("move", j);
            match self.settings.kernel {
                Kernel::Mala => mala::Move {
                    target,
                    path,
                    step,
                    scale,
                    rungs: None,
                    fault: if wrong {
                        mala::Fault::NoCorrection
                    } else {
                        mala::Fault::None
                    },
                }
                .apply(&mut cx, particles, &mut acceptance)?,
                Kernel::Hmc => hmc::Move {
                    target,
                    path,
                    step,
                    jitter: hmc::Jitter::new(self.settings.step_span),
                    leapfrog: 1
                        + ((*level as u64 * moves + j) % u64::from(self.settings.leapfrog)) as u32,
                    scale: Scale::Diagonal(scale),
                    rungs: None,
                    fault: if wrong {
                        hmc::Fault::NoCorrection
                    } else {
                        hmc::Fault::None
                    },
                }
                .apply(
                    &mut cx,
                    particles,
                    &mut hmc::Outcome {
                        acceptance: &mut acceptance,
                        step: &mut steps,
                        diverging: &mut diverging,
                    },
                )?,
            }
            mean += acceptance.iter().sum::<f64>() / (n as f64 * moves as f64);
        }
        if self.fault == Fault::LateWeights {
            weigh(cx, particles)?;
        }
        if self.fault == Fault::OwnWeights {
            // The heaviest particle takes the place of the lightest, with a weight as if it were new.
            let by = |a: &usize, b: &usize| log_weights[*a].total_cmp(&log_weights[*b]);
            let (low, high) = ((0..n).min_by(by), (0..n).max_by(by));
            if let (Some(low), Some(high)) = (low, high) {
                log_weights[low] = log_weights[high];
            }
        }
        accepted.0 += mean;
        accepted.1 = accepted.1.min(mean);
        for buffer in [acceptance, steps, diverging] {
            cx.give(buffer);
        }
        Ok(())
    }
}

register! {
    sampler "ais" => Ais, needs DENSITY_AND_GRADIENT,
        summary "Annealed importance sampling: weighted draws and an unbiased estimate of Z",
        source "Neal (2001)";
}

mod doubts;
#[cfg(test)]
mod tests;
mod tuning;
