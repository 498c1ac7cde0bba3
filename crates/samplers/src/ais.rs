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
use crate::pilot::Pilot;
use crate::pt::tuning::{equal_steps, interpolate};
use crate::smc::{self, Kernel, Particles, RUNG, Smc};
use crate::walkers::{Path, Walkers};
use crate::{hmc, mala};
use ndarray::Array1;
use retrograde_core::numeric::{effective_sample_size, log_mean_exp};
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, Build, Cx, Draws, Error, Flag, Flow, Result, Sampler, Severity, Signature, Sink,
    Target, Traits, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler ais";
/// Keys that place the base.
const BASE: [&str; 2] = ["base_mean", "base_sd"];
/// Spread of the leapfrog step size.
const JITTER: f64 = 0.15;
/// Moves of the pilot particles at a temperature at most: they only tell temperatures and steps.
const PILOT_MOVES: u32 = 20;
/// A tail of the weights heavier than this has no use for a standard error.
const HEAVY: f64 = 0.7;

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

    /// The pilot run that tells temperatures and step sizes. It holds the base while it works.
    fn pilot(&self, base: Gaussian) -> Particles {
        let s = &self.settings;
        Particles {
            settings: Smc {
                kernel: s.kernel,
                leapfrog: s.leapfrog,
                step_size: s.step_size,
                max_moves: PILOT_MOVES,
                frozen: true,
                max_temperatures: 100_000,
                ..Smc::default()
            },
            base,
            target: self.target.clone(),
            fault: smc::Fault::None,
        }
    }
}

/// A law without coordinates, which stands in for one that is lent.
fn nothing() -> Gaussian {
    Gaussian {
        mean: Vec::new(),
        sd: Vec::new(),
        precision: Vec::new(),
        log_normaliser: 0.0,
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
        if s.pilot_moves > 0 {
            let target = &*self.target;
            let pilot = Pilot::start(cx, NAME, BASE, target, &self.base, s.step_size)?;
            state.place = Some(pilot);
        } else {
            self.begin_tuning(cx, &mut state)?;
        }
        Ok(state)
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        let target = &*self.target;
        if let Some(pilot) = &mut state.place {
            let moves = self.settings.pilot_moves;
            if !pilot.step(cx, target, &mut state.base, moves, sink)? {
                return Ok(Flow::More);
            }
            state.place = None;
            self.begin_tuning(cx, state)?;
        }
        if let Some(tune) = &mut state.tune {
            let pilot = self.pilot(std::mem::replace(&mut state.base, nothing()));
            let outcome = pilot.step(&mut cx.at("pilot", 1), tune, &mut Silent);
            state.base = pilot.base;
            outcome.map_err(of_pilot)?;
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

/// What the pilot run says is for nobody: only its temperatures and step sizes are used.
struct Silent;

impl Sink for Silent {
    fn set_chains(&mut self, _: usize) -> Result {
        Ok(())
    }
    fn emit(&mut self, _: &Draws<'_>) -> Result {
        Ok(())
    }
    fn scalar(&mut self, _: &str, _: f64) {}
    fn record(&mut self, _: &str, _: &[(&str, f64)]) {}
    fn flag(&mut self, _: Flag) {}
    fn progress(&mut self, _: f64) {}
}

/// An error of the pilot run under the name of this sampler, with advice by its keys.
fn of_pilot(error: Error) -> Error {
    match error {
        Error::Breakdown { message, .. } => Error::Breakdown {
            component: NAME.into(),
            message: format!("the pilot run that places the temperatures: {message}"),
            advice: "place the base (`base_mean`, `base_sd`) nearer to the target, take more \
                     `pilot_particles`, or other units for the coordinates"
                .into(),
        },
        other => other,
    }
}

impl Annealed {
    fn begin_tuning(&self, cx: &mut Cx<'_>, state: &mut State) -> Result {
        let pilot = self.pilot(state.base.clone());
        let n = self.settings.pilot_particles;
        let begun = pilot.init(&mut cx.at("pilot", 0), n).map_err(|e| match e {
            // Its words name the right keys already.
            Error::Breakdown {
                message, advice, ..
            } => Error::Breakdown {
                component: NAME.into(),
                message,
                advice,
            },
            other => other,
        })?;
        state.tune = Some(begun);
        Ok(())
    }

    /// Fixes temperatures, step sizes and scales by what the pilot run found.
    fn end_tuning(&self, state: &mut State, sink: &mut dyn Sink) {
        let Some(tune) = state.tune.take() else {
            return;
        };
        let s = &self.settings;
        let (d, k) = (state.base.sd.len(), self.length());
        let width = RUNG + d;
        let rungs: Vec<&[f64]> = tune.ladder.rungs.chunks_exact(width).collect();
        let at: Vec<f64> = rungs.iter().map(|r| r[0]).collect();
        let mut beta = vec![1.0; k];
        if !s.betas.is_empty() {
            beta.copy_from_slice(&s.betas);
        } else {
            let last = (k - 1).max(1) as f64;
            match s.schedule {
                AisSchedule::Adaptive => {
                    let knots: Vec<f64> = [0.0].into_iter().chain(at.iter().copied()).collect();
                    let levels: Vec<f64> = (0..knots.len()).map(|i| i as f64).collect();
                    let mut slopes = vec![0.0; knots.len()];
                    equal_steps(&knots, &levels, &mut slopes, &mut beta);
                }
                AisSchedule::Linear => {
                    for (i, b) in beta.iter_mut().enumerate() {
                        *b = (i + 1) as f64 / k as f64;
                    }
                }
                AisSchedule::Geometric => {
                    for (i, b) in beta[..k - 1].iter_mut().enumerate() {
                        *b = s.first_beta.powf(1.0 - i as f64 / last);
                    }
                }
            }
        }
        let along = |column: usize, beta: f64, values: &mut Vec<f64>| {
            values.clear();
            values.extend(rungs.iter().map(|r| r[column].ln()));
            interpolate(&at, values, beta).exp()
        };
        let mut values = Vec::with_capacity(at.len());
        for b in &beta {
            state.step.push(along(1, *b, &mut values));
            for j in 0..d {
                state.scale.push(along(RUNG + j, *b, &mut values));
            }
        }
        state.beta = beta;
        sink.scalar("pilot_temperatures", at.len() as f64);
        sink.flag(Flag::new(
            Severity::Note,
            "unseen",
            "Mass that no particle met is not in log Z, nor in its standard error: modes far outside the base, \
             modes much narrower than the base, the neck of a funnel. Mode weights are right on average over \
             runs; in one run they rest on the few particles with large weights",
            "vary `base_mean`, `base_sd` and the seed, and see whether log Z stays; parallel-tempering carries \
             points from mode to mode",
        ));
    }

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
                    jitter: JITTER,
                    leapfrog: 1
                        + ((*level as u64 * moves + j) % u64::from(self.settings.leapfrog)) as u32,
                    scale,
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

    /// A row of the ladder.
    fn record(&self, state: &State, sink: &mut dyn Sink) {
        let Some(w) = state.log_weights.as_slice() else {
            return;
        };
        let log_z = log_mean_exp(w);
        let at = state.level - 1;
        sink.record(
            "ladder",
            &[
                ("beta", state.beta[at]),
                ("ess", effective_sample_size(w)),
                ("log_z", if log_z.is_finite() { log_z } else { 0.0 }),
                ("acceptance", state.accepted.0 / state.level as f64),
                ("step_size", state.step[at]),
            ],
        );
    }

    /// log Z, and what is doubtful about it.
    fn report(&self, cx: &mut Cx<'_>, state: &State, sink: &mut dyn Sink) {
        let Some(w) = state.log_weights.as_slice() else {
            return;
        };
        let n = w.len() as f64;
        let log_z = log_mean_exp(w);
        if !log_z.is_finite() {
            sink.flag(Flag::new(
                Severity::Failure,
                "no_weight",
                "No particle has weight: the target has no mass where they are",
                "place the base (`base_mean`, `base_sd`) where the target has mass",
            ));
            return;
        }
        let ess = effective_sample_size(w);
        sink.scalar("log_z", log_z);
        sink.scalar("ess", ess);
        sink.scalar("acceptance", state.accepted.0 / state.level as f64);
        if n > 1.0 {
            let cv2 = (n / ess - 1.0).max(0.0);
            sink.scalar("log_z_se", (cv2 / (n - 1.0)).sqrt());
        } else {
            sink.flag(Flag::new(
                Severity::Warning,
                "no_log_z_se",
                "One particle tells no standard error of log Z",
                "take more draws",
            ));
        }
        let tail = self.tail(cx, w);
        if let Some(tail) = tail {
            sink.scalar("weight_tail", tail);
        }
        let few = ess < 10.0 || ess < 0.01 * n;
        if n > 1.0 && (few || tail.is_some_and(|k| k > HEAVY)) {
            let tail = tail.map_or(String::new(), |k| {
                format!("; their tail has the index {k:.2}, above {HEAVY} too heavy to be relied on")
            });
            sink.flag(Flag::new(
                Severity::Warning,
                "heavy_weights",
                format!(
                    "The weights are worth {ess:.1} of {n} particles{tail}: log Z is more often too low than \
                     too high, by more than its standard error says"
                ),
                "take more `temperatures` or `moves`, or a base nearer to the target; compare seeds, and \
                 parallel-tempering",
            ));
        }
        if state.accepted.1 < 0.2 {
            sink.flag(Flag::new(
                Severity::Warning,
                "acceptance",
                format!(
                    "At one of the temperatures the mean acceptance of the moves was {:.3}",
                    state.accepted.1
                ),
                "take more `pilot_particles` or \"temperatures\"; other coordinates",
            ));
        }
    }

    /// Index of the tail of the weights by the M = min(n/5, 3 √n) largest: the mean of ln w − ln w_M.
    /// None for fewer than 5.
    fn tail(&self, cx: &mut Cx<'_>, w: &[f64]) -> Option<f64> {
        let n = w.len();
        let m = (0.2 * n as f64).min(3.0 * (n as f64).sqrt()) as usize;
        if m < 5 {
            return None;
        }
        let mut sorted = cx.take(n);
        sorted.copy_from_slice(w);
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let sum: f64 = sorted[..m].iter().map(|v| v - sorted[m]).sum();
        cx.give(sorted);
        Some(sum / m as f64).filter(|k| k.is_finite())
    }
}

register! {
    sampler "ais" => Ais, needs DENSITY_AND_GRADIENT,
        summary "Annealed importance sampling: weighted draws and an unbiased estimate of Z",
        source "Neal (2001)";
}

#[cfg(test)]
mod tests;
