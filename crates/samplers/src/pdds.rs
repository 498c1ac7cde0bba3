//! Particle denoising diffusion sampler (PDDS): a noising diffusion run backwards by weighted particles.
//!
//! Source: Phillips, Dau, Hutchinson, De Bortoli, Deligiannidis & Doucet (2024), arXiv:2402.06320; tail of
//! the weights by Hill (1975), Ann. Stat. 3, 1163.
//!
//! In the coordinates y of x = m + s∘y the forward process has the reference law N(0, I):
//!
//! y_t = α(t) y_0 + √(1 − α²) z,   π_t(y) = N(y; 0, I) g_t(y)/Z,   g_t(y) = E[g_0(y_0) | y_t = y],   g_0 = ρ Π s / N
//!
//! with the same Z at all times. Potentials ĝ_t stand for g_t, exact at t = 0. From t_K = 1 to t_0 = 0, with
//! a = α(t_k)/α(t_{k−1}), λ = 1 − a²:
//!
//! y′ = a y + c ∇ log ĝ_{t_k}(y) + √λ z,   c = 2 (1 − a) or λ
//!
//! ln w += log N(y′; a y, λ) − log N(y′; a y + c ∇ log ĝ, λ) + log ĝ_{t_{k−1}}(y′) − log ĝ_{t_k}(y)
//!
//! with resampling where the effective sample size is at most κ N. Ẑ, the product of the mean weights, is
//! unbiased, E Ẑ = Z, for any ĝ, as long as nothing depends on the particles that are weighed: m, s and
//! the step sizes of moves come from runs of their own.
//!
//! | potential | ĝ_t(y) |
//! | --- | --- |
//! | naive | g_0(α y)^e, e = 1 where it is asked for |
//! | mixture | q_t(y)/N(y; 0, I) · (g_0 N/q)(E_q[y_0 \| y_t = y])^e, q fitted to pilot chains, e from 0 to 1 |
//! | score | p̂_t(s y) sᵈ / N(y; 0, I), p̂_t the law whose score is given |
//!
//! Moves are MALA steps that keep π̂_t ∝ N ĝ_t, at each time (the published code has them after a resampling).
//! Where ĝ_t is 0 at a time before the last, a particle keeps the potential it had: any positive function of
//! the path will do.
//!
//! q is a mixture where the chains found many modes, one normal law with a covariance matrix where they found
//! one and that fits better than variational inference; else the potential is naive. In a run with potential = "mixture"
//! e is at most the likeliest one, where draws of q are worth enough to tell it.
//!
//! A naive potential leads astray where the target is narrow and off the reference law: Ẑ then is far too
//! low in all runs, with a small spread. Placing the reference law (`whiten`) helps, and draws sent back to
//! the reference by the forward process tell: their weights are unbiased for 1/Z if they are right.
//!
//! Cost for N draws, K steps and M moves a time: N (K − 1) densities and gradients and N densities at t = 0, N M K
//! more for moves; the runs before and the way back, of particles of their own, in addition.

use crate::chains::{Gaussian, check, check_length, check_positive};
use crate::pilot::Pilot;
use crate::walkers::Walkers;
use doubts::summary;
use guide::Frame;
use potential::Learned;
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, Build, Cx, Draws, Error, Flow, Result, Sampler, Signature, Sink, Target, Traits,
    register,
};
use schedule::Levels;
pub use schedule::PddsSchedule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use swarm::{Report, Swarm};
use vi::Vi;

const NAME: &str = "sampler pdds";
/// Keys that place the reference law.
const BASE: [&str; 2] = ["base_mean", "base_sd"];
/// Fewer particles than this are not sent back.
const FEWEST_BACK: usize = 10;

/// What leads the particles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Potential {
    /// Normal laws fitted to where the pilot chains ended, and the target's ratio to them.
    Mixture,
    /// The target's own density ratio at the point without noise.
    Naive,
    /// The log densities that a score has of its noised laws, under a variance-preserving process.
    Score,
}

/// How the reference law is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Whiten {
    /// By `base_mean` and `base_sd`.
    None,
    /// By a pilot run of chains: as wide as what they find.
    Pilot,
    /// By mean-field variational inference, from where the pilot run puts it: it fits one mode closely.
    Vi,
}

/// Drift of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// λ ∇ log ĝ.
    FirstOrder,
    /// 2 (1 − a) ∇ log ĝ: exact for a slope that does not change in the step.
    Exponential,
}

/// Settings, as written under `[sampler]` with `kind = "pdds"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pdds {
    /// Steps K from noise to the target, ≥ 1. Default 100.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub steps: usize,
    /// How the noise grows: "cosine", "linear" or "dds". Default "cosine".
    pub schedule: PddsSchedule,
    /// Largest rate β of "linear" and "dds", > 0. Default 12.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub beta_max: f64,
    /// What leads the particles: "mixture", "naive", or "score", which needs a `process` that preserves variance
    /// and a `score` with log densities. A mixture has a component or more a mode; of one mode it is one normal law
    /// with a covariance matrix, or, where `whiten` = "vi" fits better, the naive potential. Without a pilot run it is
    /// the naive one. Default "mixture".
    pub potential: Potential,
    /// How the reference law is placed: "none"; "pilot"; or "vi", which is "pilot" for a mixture. For "score" it is that
    /// of the process. Default "vi".
    pub whiten: Whiten,
    /// Mean of the reference law with whiten = "none", of the law that pilot chains start from
    /// otherwise; a number, or one a coordinate. Default 0.
    pub base_mean: PerCoordinate,
    /// Standard deviation of that law, > 0; a number, or one a coordinate. Pilot chains start from
    /// up to 128 times that far. Default 1.
    pub base_sd: PerCoordinate,
    /// Moves of the pilot chains with whiten = "pilot" or "vi", ≥ 0. Default 100.
    pub pilot_moves: u64,
    /// Pilot chains, from 32 to 65536: a mode that none of them gets to may be lost. Default 1024.
    #[schemars(range(min = 32, max = 65536))]
    pub pilot_chains: usize,
    /// Iterations of 128 draws of whiten = "vi" at most, ≥ 1; it stops when it gains no more. Default 2000.
    #[schemars(range(min = 1))]
    pub vi_steps: u64,
    /// Factor by which the reference law is made wider than "vi" finds it, > 0: a fit is narrower than
    /// the target where coordinates depend on each other. Default 1.4.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub widen: f64,
    /// Drift of a step: "first-order", as published, or "exponential". Default "exponential".
    pub drift: Drift,
    /// Particles are resampled where the effective sample size is at most this fraction of them, 0 to 1.
    /// Default 0.3.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub resample_threshold: f64,
    /// MALA moves at each time, ≥ 0. Default 1.
    pub moves: u32,
    /// Step size that the pilot runs try first, > 0, in units of the square of the scale of the reference
    /// law. Default 0.1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step_size: f64,
    /// Step sizes of the moves at evenly spaced times from 0 to 1, > 0, linear between them, in place of a
    /// pilot run that finds them. Default none.
    pub step_sizes: Vec<f64>,
    /// Particles of the pilot run that finds step sizes of moves, ≥ 2. Default 256.
    #[schemars(range(min = 2))]
    pub pilot_particles: usize,
    /// Draws that are sent back to the reference law to check log Z from the other end; 0 for none.
    /// Default 500.
    pub check_particles: usize,
}

impl Default for Pdds {
    fn default() -> Self {
        Self {
            steps: 100,
            schedule: PddsSchedule::Cosine,
            beta_max: 12.0,
            potential: Potential::Mixture,
            whiten: Whiten::Vi,
            base_mean: PerCoordinate::All(0.0),
            base_sd: PerCoordinate::All(1.0),
            pilot_moves: 100,
            pilot_chains: 1024,
            vi_steps: 2000,
            widen: 1.4,
            drift: Drift::Exponential,
            resample_threshold: 0.3,
            moves: 1,
            step_size: 0.1,
            step_sizes: Vec::new(),
            pilot_particles: 256,
            check_particles: 500,
        }
    }
}

impl Build<dyn Sampler> for Pdds {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        let target = parts.require_target(NAME)?;
        let learned = match self.potential {
            Potential::Mixture | Potential::Naive => None,
            Potential::Score => Some(Learned::new(parts, target.dim())?),
        };
        Ok(Arc::new(Diffusion::new(self, target, learned)?))
    }
}

/// What a test breaks, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
enum Fault {
    None,
    /// The ratio of the reference's kernel and the proposal is left out of the weights.
    NoKernelTerm,
    /// ĝ_0 is not g_0.
    WrongEnd,
    /// Of two proposals the one is taken whose particles weigh more.
    OwnBest,
}

struct Diffusion {
    settings: Pdds,
    target: Arc<dyn Target>,
    base: Gaussian,
    learned: Option<Learned>,
    levels: Levels,
    /// Times of the process, of a learned potential.
    score_times: Vec<f64>,
    unit: Vec<f64>,
    fault: Fault,
}

impl Diffusion {
    fn new(settings: Pdds, target: Arc<dyn Target>, learned: Option<Learned>) -> Result<Self> {
        let s = &settings;
        let inside = (1..=1_000_000).contains(&s.steps);
        check(NAME, "steps", s.steps, inside, "from 1 to 1000000")?;
        check_positive(NAME, "beta_max", s.beta_max)?;
        check_positive(NAME, "widen", s.widen)?;
        let inside = (32..=65536).contains(&s.pilot_chains);
        check(
            NAME,
            "pilot_chains",
            s.pilot_chains,
            inside,
            "from 32 to 65536",
        )?;
        check(NAME, "vi_steps", s.vi_steps, s.vi_steps > 0, "at least 1")?;
        let kappa = s.resample_threshold;
        let inside = (0.0..=1.0).contains(&kappa);
        check(NAME, "resample_threshold", kappa, inside, "from 0 to 1")?;
        check_positive(NAME, "step_size", s.step_size)?;
        for (i, h) in s.step_sizes.iter().enumerate() {
            check_positive(NAME, &format!("step_sizes[{i}]"), *h)?;
        }
        let most = u32::MAX as usize;
        let inside = (2..=most).contains(&s.pilot_particles);
        let said = "from 2 to 4294967295";
        check(NAME, "pilot_particles", s.pilot_particles, inside, said)?;
        let d = target.dim();
        let mut base = Gaussian::new(NAME, d, BASE, &s.base_mean, &s.base_sd, true)?;
        if let Some(l) = &learned {
            base.mean.fill(0.0);
            base.sd.fill(l.sd);
            base.refresh();
        }
        let levels = Levels::new(s.schedule, s.steps, s.beta_max);
        let score_times = match &learned {
            None => Vec::new(),
            Some(l) => levels.signal.iter().map(|a| l.time(*a)).collect(),
        };
        Ok(Self {
            settings,
            target,
            base,
            learned,
            levels,
            score_times,
            unit: vec![1.0; d],
            fault: Fault::None,
        })
    }

    /// How the reference law is placed.
    fn whiten(&self) -> Whiten {
        match self.learned {
            None => self.settings.whiten,
            Some(_) => Whiten::None,
        }
    }

    /// Particles of the way back.
    fn sent_back(&self, n: usize) -> usize {
        match n.min(self.settings.check_particles) {
            few if few < FEWEST_BACK => 0,
            m => m,
        }
    }

    /// Step sizes that the settings give, one a time.
    fn given_steps(&self) -> Vec<f64> {
        let (k, given) = (self.levels.steps(), &self.settings.step_sizes);
        if given.is_empty() {
            return vec![self.settings.step_size; k + 1];
        }
        let last = (given.len() - 1) as f64;
        let at = |t: f64| {
            let i = ((t * last) as usize).min(given.len() - 1);
            let next = given[(i + 1).min(given.len() - 1)];
            given[i] + (t * last - i as f64) * (next - given[i])
        };
        self.levels.t.iter().map(|t| at(*t)).collect()
    }
}

#[derive(Serialize, Deserialize)]
struct State {
    /// Runs of their own that come first: of chains that place the reference law, kept to compare the draws
    /// with; of a fit and of particles that find step sizes, gone when they are over.
    place: Option<Pilot>,
    vi: Option<Vi>,
    tune: Option<Swarm>,
    frame: Frame,
    /// Step sizes of the moves at each time.
    step: Vec<f64>,
    swarm: Swarm,
    /// ESS, standard error of log Z, whether that holds, and families, at the last step.
    last: (f64, f64, bool, f64),
    /// Draws on their way back.
    back: Option<Swarm>,
    back_se: f64,
    /// How much slower than the reference law the target falls far out, from 0 (as fast) to 1.
    tails: f64,
    /// Pilot chains where no draws are.
    missed: usize,
}

impl Algorithm for Diffusion {
    type State = State;

    fn name(&self) -> &str {
        NAME
    }

    fn traits(&self) -> Traits {
        match &self.learned {
            None => self.target.traits(),
            Some(l) => self.target.traits().and(l.score.traits()),
        }
    }

    fn signature(&self) -> Signature {
        Signature::new(self.target.dim(), &self.settings)
    }

    fn check_state(&self, n: usize, state: &State) -> std::result::Result<(), String> {
        let (d, k) = (self.target.dim(), self.levels.steps());
        state.frame.check_saved(d, k)?;
        if let Some(pilot) = &state.place {
            pilot.check_chains(self.settings.pilot_chains, d)?;
        }
        if let Some(vi) = &state.vi {
            vi.check_saved(d, self.settings.vi_steps)?;
        }
        if let Some(tune) = &state.tune {
            tune.check_saved(self.settings.pilot_particles, d, k)?;
            if tune.started && tune.level == 0 {
                return Err("a pilot run that is over".into());
            }
        }
        check_length("step sizes", state.step.len(), k + 1)?;
        let sound = |v: &f64| *v > 0.0 && v.is_finite();
        if !state.step.iter().all(sound) {
            return Err("a step size that is not above 0".into());
        }
        state.swarm.check_saved(n, d, k)?;
        let over = state.swarm.started && state.swarm.level == 0;
        let m = self.sent_back(n);
        if state.back.is_some() != (m > 0) {
            return Err("a way back that is not as asked for".into());
        }
        let Some(back) = &state.back else {
            return if over {
                Err("a run that is over".into())
            } else {
                Ok(())
            };
        };
        back.check_saved(m, d, k)?;
        if over != back.started || back.started && back.level == k {
            return Err("a way back that is over, or before the way there".into());
        }
        Ok(())
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        if n == 0 || u32::try_from(n).is_err() {
            return Err(Error::Argument {
                component: NAME.into(),
                argument: "draws".into(),
                given: n.to_string(),
                allowed: "from 1 to 4294967295, for they are the particles".into(),
            });
        }
        let (s, d) = (&self.settings, self.target.dim());
        let mut state = State {
            place: None,
            vi: None,
            tune: None,
            frame: Frame {
                law: self.base.clone(),
                guide: None,
                exponents: Vec::new(),
            },
            step: self.given_steps(),
            swarm: Swarm::nowhere(n, d)?,
            last: (0.0, 0.0, true, 0.0),
            back: match self.sent_back(n) {
                0 => None,
                m => Some(Swarm::nowhere(m, d)?),
            },
            back_se: 0.0,
            tails: 0.0,
            missed: 0,
        };
        if self.whiten() != Whiten::None && s.pilot_moves > 0 {
            let (target, chains) = (&*self.target, (s.pilot_chains, s.step_size));
            let pilot = Pilot::start(cx, NAME, BASE, target, &self.base, chains)?;
            state.place = Some(pilot);
        }
        if self.whiten() == Whiten::Vi {
            state.vi = Some(Vi::new(d));
        }
        if s.moves > 0 && s.step_sizes.is_empty() {
            state.tune = Some(Swarm::nowhere(s.pilot_particles, d)?);
        }
        self.make_room(cx, n);
        Ok(state)
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        if !self.prepare(cx, state, sink)? {
            return Ok(Flow::More);
        }
        if !state.swarm.started {
            sink.set_chains(1)?;
            if let Some(l) = &self.learned {
                l.score.flags().into_iter().for_each(|f| sink.flag(f));
            }
            self.begin(cx, &mut state.frame, &mut state.swarm)?;
        }
        if state.swarm.level > 0 {
            let level = state.swarm.level - 1;
            let steps = (&mut state.step[level], false);
            let report = self.towards(cx, &mut state.frame, &mut state.swarm, steps)?;
            self.show(cx, state, &report, sink);
            if level > 0 {
                return Ok(Flow::More);
            }
            state.tails = self.tails(cx, state)?;
            if let Some(back) = &mut state.back
                && state.swarm.log_z > f64::NEG_INFINITY
            {
                self.chosen(cx, &state.swarm, back);
                if let Some(pilot) = &state.place {
                    state.missed = self.missed(cx, &state.frame.law, &pilot.walkers, back);
                }
                return Ok(Flow::More);
            }
        } else if let Some(back) = &mut state.back
            && back.started
        {
            let report = self.away(cx, &mut state.frame, &state.step, back)?;
            state.back_se = summary(&report).1;
            if back.level < self.levels.steps() {
                return Ok(Flow::More);
            }
        }
        sink.progress(1.0);
        self.report(state, sink);
        self.hand_over(state, sink)?;
        Ok(Flow::Done)
    }
}

impl Diffusion {
    /// Shows what a step gave.
    fn show(&self, cx: &Cx<'_>, state: &mut State, report: &Report, sink: &mut dyn Sink) {
        state.last = summary(report);
        self.record(cx, state, &state.swarm, report, sink);
        let (k, steps) = (state.swarm.level, self.levels.steps());
        sink.progress(0.95 * (1.0 - k as f64 / steps as f64));
    }

    /// The draws in the coordinates of the target.
    fn hand_over(&self, state: &mut State, sink: &mut dyn Sink) -> Result {
        let d = self.target.dim();
        let State { swarm, frame, .. } = state;
        let law = &frame.law;
        let Walkers { x, log_density, .. } = &mut swarm.particles;
        let log_scale: f64 = law.sd.iter().map(|s| s.ln()).sum();
        for mut row in x.rows_mut() {
            for j in 0..d {
                row[j] = law.mean[j] + law.sd[j] * row[j];
            }
        }
        log_density.iter_mut().for_each(|l| *l -= log_scale);
        sink.emit(&Draws {
            x: x.view(),
            log_weights: Some(swarm.log_weights.view()),
            stats: &[("lp", log_density.view())],
        })
    }
}

register! {
    sampler "pdds" => Pdds, needs PARTICLES,
        summary "Particle denoising diffusion sampler: weighted draws and an unbiased estimate of Z",
        source "Phillips et al. (2024), arXiv:2402.06320";
}

mod adapt;
mod back;
mod doubts;
mod exponents;
mod fit;
mod guide;
mod potential;
mod prepare;
mod schedule;
mod swarm;
#[cfg(test)]
mod tests;
mod vi;
