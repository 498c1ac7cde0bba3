//! Tempered sequential Monte Carlo (SMC sampler) with adaptive temperatures.
//!
//! Source: Del Moral, Doucet & Jasra (2006), J. R. Stat. Soc. B 68, 411; temperatures as in Zhou,
//! Johansen & Aston (2016), arXiv:1303.3123; standard error as in Lee & Whiteley (2018),
//! arXiv:1509.00394.
//!
//! π_β ∝ N(m, s²)^{1−β} ρ^β,   0 = β₀ < … < β_K = 1
//!
//! ln wᵢ += δ Δᵢ,   Δ = ln ρ − ln N(m, s²),   δ = β_{k+1} − β_k
//!
//! ln Ẑ += ln Σ Wᵢ e^{δΔᵢ},   then resampling, then moves that keep π_{β_{k+1}}
//!
//! δ is the largest for which (ΣW e^{δΔ})² / ΣW e^{2δΔ} ≥ α (the share of the particles that mass is
//! left at). A step of the run is one temperature. Particles and draws are the same in number; the
//! draws have equal weights, for the particles are resampled at β = 1, then moved.
//!
//! The moves at a temperature go on until the particles have forgotten where they were. Cost of M
//! moves of L leapfrog steps (MALA: L = 1) over all temperatures: n (1 + M L) gradients and n (1 + M)
//! densities, twice that if `frozen`, and the pilot run.
//!
//! Moves are scaled by S: with precondition = "dense", S Sᵀ = D (r C + (1 − r) I) D for standard deviations D and
//! correlations C of the particles, r = ESS/(ESS + d), which has a root for however few of them. Trajectories have
//! step sizes ε e^{−u ln `step_span`}, u uniform, for places of unlike width.
//!
//! With `waste_free` = P (Dau & Chopin 2022, arXiv:2011.02328) n/P particles are resampled at each
//! temperature and make P − 1 moves, and all P states of each are the n particles of the next one: the
//! cost over K temperatures is that of M = K (P − 1)/P. Standard error from the spread of the means of the
//! weights over the chains of each temperature, as if these were independent, which they become with P.

use crate::chains::{Gaussian, check, check_length, check_positive};
use crate::genealogy::{Families, Spread, offspring};
use crate::pilot::{self, Pilot, Placing};
use crate::walkers::Walkers;
pub(crate) use doubts::{FEW_FAMILIES, standard_error};
use moves::Moved;
use ndarray::{Array1, ArrayView1, ArrayViewMut1};
use retrograde_core::numeric::softmax_in_place;
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, Build, Cx, Draws, Error, Flag, Flow, Result, Sampler, Severity, Signature, Sink,
    Target, Traits, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler smc";
/// Keys that place the base.
const BASE: [&str; 2] = ["base_mean", "base_sd"];
/// A smaller increment of β is a stall.
const SMALLEST_INCREMENT: f64 = 1e-15;
/// Numbers of a rung of the ladder beside the matrix of the scales.
pub(crate) const RUNG: usize = 3;

/// Kernel that moves the particles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// Metropolis-adjusted Langevin, step size adapted to an acceptance of 0.6.
    Mala,
    /// Hamiltonian trajectories, step size adapted to an acceptance of 0.8.
    Hmc,
}

/// Scale of the moves: their mass matrix is the inverse of its square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precondition {
    /// The same for all coordinates.
    None,
    /// The standard deviation of the particles.
    Diagonal,
    /// A square root of the covariance matrix of the particles.
    Dense,
}

/// Settings, as written under `[sampler]` with `kind = "smc"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Smc {
    /// Mean of the normal law that particles start from; a number, or one a coordinate. With
    /// `pilot_moves` above 0, of the law that the pilot chains start from. Default 0.
    pub base_mean: PerCoordinate,
    /// Standard deviation of that law, > 0; a number, or one a coordinate. It should cover the
    /// target: modes far outside are lost. Pilot chains start from up to 128 times that far. Default 1.
    pub base_sd: PerCoordinate,
    /// Moves of 128 pilot chains that place the base where they end, ≥ 0; 0 for a base as given.
    /// Default 100.
    pub pilot_moves: u64,
    /// Effective sample size that each temperature keeps, as a fraction α between 0 and 1: 0.5 for
    /// few temperatures, 0.99 for many. Default 0.9.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub alpha: f64,
    /// Particles are resampled when the effective sample size is below this fraction of them, 0 to
    /// 1; at 1 at each temperature. At the last temperature they always are. Default 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub resample_threshold: f64,
    /// Moves at each temperature, ≥ 1, before it is asked whether the particles have forgotten where
    /// they were; if not, as many again. Default 5.
    #[schemars(range(min = 1))]
    pub moves: u32,
    /// Moves at a temperature at most; not above `moves` for so many at each. Default 200.
    #[schemars(range(min = 1))]
    pub max_moves: u32,
    /// Correlation of Δ with what it was before the moves, at which the particles have forgotten:
    /// above 0 and below 1 (after Buchholz, Chopin & Jacob 2021, arXiv:1808.07730). Default 0.05.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub memory: f64,
    /// Kind of the moves: "hmc", or "mala" at a `leapfrog`-th of its cost, which is enough where all
    /// directions have a like scale. Default "hmc".
    #[serde(rename = "move")]
    pub kernel: Kernel,
    /// Leapfrog steps of an "hmc" move, ≥ 1. Default 5.
    #[schemars(range(min = 1))]
    pub leapfrog: u32,
    /// First step size tried, > 0, in units of the scale of the moves (of its square for "mala").
    /// Adapted across the moves of each temperature. Default 0.1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step_size: f64,
    /// Largest step size of an "hmc" move over the smallest, from 1 to 1e9: each trajectory draws its own, evenly
    /// in the logarithm, so that places of unlike width (a neck) are reached as well. Default 10.
    #[schemars(range(min = 1.0, max = 1e9))]
    pub step_span: f64,
    /// Scale of the moves: "diagonal", the standard deviation of the particles in each coordinate;
    /// "dense", their covariance matrix, for directions of unlike width that are no coordinates, at
    /// d² operations a gradient and by "hmc" moves only; or "none", 1. Default "diagonal".
    pub precondition: Precondition,
    /// States of each chain that are particles, P ≥ 2 and a divisor of `draws`, which takes the place
    /// of `moves`, `max_moves`, `memory` and `resample_threshold`; 0 for particles that are the last
    /// states alone. Default 0.
    pub waste_free: usize,
    /// Whether a second run with fresh random numbers, at the temperatures and step sizes of the
    /// first, gives the result: its Ẑ is unbiased, at twice the cost. Default false.
    pub frozen: bool,
    /// Temperatures after which the run gives up, ≥ 1. Default 1000.
    #[schemars(range(min = 1))]
    pub max_temperatures: usize,
}

impl Default for Smc {
    fn default() -> Self {
        Self {
            base_mean: PerCoordinate::All(0.0),
            base_sd: PerCoordinate::All(1.0),
            pilot_moves: 100,
            alpha: 0.9,
            resample_threshold: 1.0,
            moves: 5,
            max_moves: 200,
            memory: 0.05,
            kernel: Kernel::Hmc,
            leapfrog: 5,
            step_size: 0.1,
            step_span: 10.0,
            precondition: Precondition::Diagonal,
            waste_free: 0,
            frozen: false,
            max_temperatures: 1000,
        }
    }
}

impl Build<dyn Sampler> for Smc {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Particles::new(self, parts.require_target(NAME)?)?))
    }
}

/// What a test breaks, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Fault {
    None,
    /// The increment of log Ẑ is left out at the first temperature.
    IncrementOmitted,
    /// Weights get half the increment.
    HalfIncrement,
    /// Offspring do not depend on the weights.
    UnweightedResampling,
    /// Moves keep ρ^β, without the base.
    BaseMissingInMoves,
    /// The base is not normalised.
    BaseNotNormalised,
    /// Moves accept whatever they propose.
    NoCorrection,
}

pub(crate) struct Particles {
    pub(crate) settings: Smc,
    pub(crate) base: Gaussian,
    pub(crate) target: Arc<dyn Target>,
    pub(crate) fault: Fault,
}

impl Particles {
    fn new(settings: Smc, target: Arc<dyn Target>) -> Result<Self> {
        let s = &settings;
        let inside = s.alpha > 0.0 && s.alpha < 1.0;
        check(NAME, "alpha", s.alpha, inside, "between 0 and 1")?;
        let kappa = s.resample_threshold;
        let inside = (0.0..=1.0).contains(&kappa);
        check(NAME, "resample_threshold", kappa, inside, "from 0 to 1")?;
        check(NAME, "moves", s.moves, s.moves > 0, "at least 1")?;
        check(
            NAME,
            "max_moves",
            s.max_moves,
            s.max_moves > 0,
            "at least 1",
        )?;
        let inside = s.memory > 0.0 && s.memory < 1.0;
        check(NAME, "memory", s.memory, inside, "between 0 and 1")?;
        check(NAME, "leapfrog", s.leapfrog, s.leapfrog > 0, "at least 1")?;
        check_positive(NAME, "step_size", s.step_size)?;
        let span = s.step_span;
        let inside = (1.0..=1e9).contains(&span);
        check(NAME, "step_span", span, inside, "from 1 to 1e9")?;
        let most = s.max_temperatures;
        check(NAME, "max_temperatures", most, most > 0, "at least 1")?;
        let fit = s.precondition != Precondition::Dense || s.kernel == Kernel::Hmc;
        let said = "\"diagonal\" or \"none\" with move = \"mala\"; move = \"hmc\" with leapfrog = 1 makes the same moves";
        check(NAME, "precondition", "dense", fit, said)?;
        let said = "0, or 2 and more states of a chain";
        check(NAME, "waste_free", s.waste_free, s.waste_free != 1, said)?;
        let base = Gaussian::new(NAME, target.dim(), BASE, &s.base_mean, &s.base_sd, true)?;
        Ok(Self {
            settings,
            base,
            target,
            fault: Fault::None,
        })
    }
}

/// Temperatures and what moved the particles at them, for the second run.
#[derive(Serialize, Deserialize, Default)]
pub(crate) struct Ladder {
    /// β, step size, number of moves, then the matrix of the scales, of each temperature.
    pub(crate) rungs: Vec<f64>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct State {
    /// The pilot run that places the base, while it goes on.
    place: Option<Pilot>,
    base: Gaussian,
    particles: Walkers,
    /// The chains that leave particles, n/P of them, with `waste_free`.
    chains: Walkers,
    families: Families,
    /// Weights, which sum to 1.
    weights: Array1<f64>,
    beta: f64,
    log_z: f64,
    /// Σ of the relative variances that the temperatures add to Ẑ, with `waste_free`.
    variance: f64,
    /// Step size, and scales of the moves: d numbers, or the lower triangle of "dense", d × d.
    step: f64,
    scale: Vec<f64>,
    /// Temperatures done in this pass.
    level: usize,
    /// Whether this is the second run.
    pub(crate) second: bool,
    pub(crate) ladder: Ladder,
    /// Acceptance furthest from its aim at any temperature.
    worst: f64,
    /// Sum and maximum of the memories of a run's temperatures.
    memory: (f64, f64),
}

impl State {
    /// Back to β = 0, with particles of equal weight.
    fn reset(&mut self) {
        self.families.reset();
        let equal = 1.0 / self.weights.len() as f64;
        self.weights.fill(equal);
        (self.beta, self.log_z, self.level) = (0.0, 0.0, 0);
        self.variance = 0.0;
        self.memory = (0.0, 0.0);
    }
}

/// What a temperature gave.
struct Report {
    ess: f64,
    spread: Spread,
    moved: Moved,
}

impl Algorithm for Particles {
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
        let (d, m) = (self.target.dim(), self.scales());
        if let Some(pilot) = &state.place {
            pilot.check_saved(d)?;
        }
        state.base.check_saved(d)?;
        state.particles.check_saved(n, d)?;
        state.chains.check_saved(self.chains(n), d)?;
        state.families.check_saved(n)?;
        check_length("weights", state.weights.len(), n)?;
        check_length("scales", state.scale.len(), m)?;
        // A step of the first run of `frozen` adds a rung, one of the second takes one.
        let rungs = state.ladder.rungs.len();
        let whole = rungs.is_multiple_of(RUNG + m);
        if !whole || state.second && state.level >= rungs / (RUNG + m) {
            return Err(format!(
                "{rungs} numbers of a ladder at level {}",
                state.level
            ));
        }
        let most = f64::from(self.settings.max_moves.max(self.settings.moves));
        let most = most.max(self.settings.waste_free as f64);
        let sound = |rung: &[f64]| {
            let inside = rung[0] <= 1.0 && (1.0..=most).contains(&rung[2]);
            let positive = |v: &f64| *v > 0.0 && v.is_finite();
            inside && rung[..RUNG].iter().all(positive) && mass::sound(&rung[RUNG..], d)
        };
        if !state.ladder.rungs.chunks_exact(RUNG + m).all(sound) || !mass::sound(&state.scale, d) {
            return Err("impossible rungs of a ladder, or scales".into());
        }
        let based = |x: ArrayView1<'_, f64>| {
            x.to_slice()
                .is_some_and(|x| state.base.log_density(x).is_finite())
        };
        let sum: f64 = state.weights.iter().sum();
        if !state.weights.iter().all(|w| *w >= 0.0) || !(0.5..2.0).contains(&sum) {
            return Err(format!("weights that sum to {sum}"));
        }
        if !(0.0..=1.0).contains(&state.beta) || !state.particles.x.outer_iter().all(based) {
            return Err("particles without mass under the base".into());
        }
        Ok(())
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        if n < 2 || u32::try_from(n).is_err() {
            return Err(Error::Argument {
                component: NAME.into(),
                argument: "draws".into(),
                given: n.to_string(),
                allowed: "from 2 to 4294967295, for they are the particles".into(),
            });
        }
        let (s, d) = (&self.settings, self.target.dim());
        let p = s.waste_free;
        if p > 0 && (!n.is_multiple_of(p) || n < 2 * p) {
            return Err(Error::Argument {
                component: NAME.into(),
                argument: "draws".into(),
                given: n.to_string(),
                allowed: format!("a multiple of `waste_free` = {p}, of at least two chains"),
            });
        }
        // So much is set aside for the ladder that ordinary runs do not ask for memory in a step.
        let room = s.max_temperatures.saturating_mul(RUNG + self.scales());
        let room = if s.frozen { room.min(1 << 20) } else { 0 };
        let target = &*self.target;
        let mut particles = Walkers::nowhere(NAME, n, d)?;
        let (law, moves) = (&self.base, s.pilot_moves);
        let place = Pilot::wanted(moves, cx, NAME, BASE, target, law, s.step_size)?;
        if place.is_none() {
            particles.draw(cx, NAME, BASE, target, law)?;
        }
        Ok(State {
            place,
            base: self.base.clone(),
            particles,
            chains: Walkers::nowhere(NAME, self.chains(n), d)?,
            variance: 0.0,
            families: Families::new(n),
            weights: Array1::from_elem(n, 1.0 / n as f64),
            beta: 0.0,
            log_z: 0.0,
            step: self.settings.step_size,
            scale: self.unit(),
            level: 0,
            second: false,
            ladder: Ladder {
                rungs: Vec::with_capacity(room),
            },
            worst: f64::NAN,
            memory: (0.0, 0.0),
        })
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        let target = &*self.target;
        let (place, moves) = (&mut state.place, self.settings.pilot_moves);
        match pilot::place(cx, place, target, &mut state.base, moves, sink)? {
            Placing::GoesOn => return Ok(Flow::More),
            Placing::Ends => (state.particles).draw(cx, NAME, BASE, target, &state.base)?,
            Placing::Over => {}
        }
        if state.level == 0 {
            self.begin(cx, state, sink)?;
        }
        let n = state.particles.x.nrows();
        let mut difference = cx.take(n);
        let mut room = cx.take(n);
        self.differences(cx, &state.base, &state.particles, &mut difference)?;
        let width = RUNG + state.scale.len();
        let beta = if state.second {
            state.ladder.rungs[state.level * width]
        } else {
            self.next_beta(state, &difference)?
        };
        let increment = (beta - state.beta) * self.weight_factor();
        state.beta = beta;
        let omitted = self.fault == Fault::IncrementOmitted && state.level == 0;
        let log_z = reweight(&mut state.weights, &difference, increment);
        state.log_z += if omitted { 0.0 } else { log_z };
        cx.give(difference);

        let weights = dense_weights(&state.weights);
        let ess = 1.0 / weights.iter().map(|w| w * w).sum::<f64>();
        let mut spread = state.families.spread(weights, &mut room);
        if state.second {
            let rung = &state.ladder.rungs[state.level * width..][..width];
            state.step = rung[1];
            state.scale.copy_from_slice(&rung[RUNG..]);
        } else {
            self.rescale(cx, state, ess);
        }
        let kappa = self.settings.resample_threshold;
        let moved = if self.settings.waste_free > 0 {
            spread = self.spread_of_chains(state, spread);
            self.chains_of_states(cx, state, &mut room)?
        } else {
            if kappa >= 1.0 || ess < kappa * n as f64 || beta == 1.0 {
                self.resample(cx, state, &mut room);
            }
            self.moves(cx, state, &mut room)?
        };
        cx.give(room);
        state.level += 1;
        let report = Report { ess, spread, moved };
        self.show(cx, state, sink, &report);
        if beta < 1.0 {
            return Ok(Flow::More);
        }
        if self.settings.frozen && !state.second {
            sink.scalar("log_z_adaptive", state.log_z);
            state.second = true;
            state.reset();
            return Ok(Flow::More);
        }
        self.doubts(cx, state, sink, &report);
        let Walkers { x, log_density, .. } = &state.particles;
        sink.emit(&Draws {
            x: x.view(),
            log_weights: None,
            stats: &[("lp", log_density.view())],
        })?;
        Ok(Flow::Done)
    }
}

impl Particles {
    /// What comes before the first temperature of a run.
    fn begin(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result {
        if state.second {
            return state
                .particles
                .draw(cx, NAME, BASE, &*self.target, &state.base);
        }
        sink.set_chains(1)?;
        if !self.settings.frozen {
            sink.flag(Flag::new(
                Severity::Note,
                "adaptive",
                "Temperatures, step sizes and numbers of moves were chosen from the particles they act on: Ẑ is \
                 consistent, with a bias of order 1/N",
                "set `frozen = true` for an unbiased Ẑ at twice the cost",
            ));
        }
        Ok(())
    }

    fn weight_factor(&self) -> f64 {
        if self.fault == Fault::HalfIncrement {
            0.5
        } else {
            1.0
        }
    }

    /// Replaces the particles by equally weighted ones.
    fn resample(&self, cx: &mut Cx<'_>, state: &mut State, counts: &mut [f64]) {
        let mut u = [0.0];
        cx.at("resample", 0)
            .fill_uniform_1(ArrayViewMut1::from(&mut u[..]));
        if self.fault == Fault::UnweightedResampling {
            state.weights.fill(1.0 / counts.len() as f64);
        }
        let weights = dense_weights(&state.weights);
        offspring(u[0], weights, counts);
        state.families.copy(weights, counts, &mut state.particles);
        state.weights.fill(1.0 / counts.len() as f64);
    }
}

/// Multiplies the weights by e^{`increment` Δ}, and gives ln of their sum.
fn reweight(weights: &mut Array1<f64>, difference: &[f64], increment: f64) -> f64 {
    for (w, v) in weights.iter_mut().zip(difference) {
        *w = w.ln() + increment * v;
    }
    softmax_in_place(weights.as_slice_mut().expect("weights are dense"))
}

fn dense_weights(weights: &Array1<f64>) -> &[f64] {
    weights.as_slice().expect("weights are dense")
}

fn aim(kernel: Kernel) -> f64 {
    match kernel {
        Kernel::Mala => 0.6,
        Kernel::Hmc => 0.8,
    }
}

register! {
    sampler "smc" => Smc, needs DENSITY_AND_GRADIENT,
        summary "Tempered sequential Monte Carlo with adaptive temperatures; estimates log Z",
        source "Del Moral, Doucet & Jasra (2006)";
}

pub(crate) mod doubts;
mod mass;
mod moves;
mod temperatures;
#[cfg(test)]
mod tests;
mod waste_free;
