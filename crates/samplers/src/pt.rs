//! Parallel tempering (PT), non-reversible, with a ladder tuned to the communication barrier.
//!
//! Source: Syed, Bouchard-Côté, Deligiannidis & Doucet (2022), J. R. Stat. Soc. B 84, 321,
//! arXiv:1905.02939; rounds as in Surjanovic et al. (2023), arXiv:2308.09769; log Z by Bennett
//! (1976), J. Comput. Phys. 22, 245.
//!
//! π_β ∝ N(m, s²)^{1−β} ρ^β,   0 = β₀ < … < β_K = 1,   Δ = ln ρ − ln N(m, s²)
//!
//! A scan: the replica at β₀ is drawn anew, all others make moves that keep their π_β (one call of
//! the target for all temperatures and ladders), then neighbours swap, the pairs of even number in
//! one scan and those of odd number in the next (DEO), accepted with
//!
//! min(1, e^{(β_{k+1} − β_k)(Δ_k − Δ_{k+1})})
//!
//! With r_k the mean rejection of a pair, Λ(β_k) = r_1 + … + r_k is the communication barrier so far.
//! After each round of tuning the β_k are placed at equal steps of Λ; the last round keeps them, and
//! settles the step sizes. None of its draws are kept. Λ = Λ(1) bounds the round trips from reference
//! to target: 1/(2 + 2Λ) a scan at best, which takes more than 2Λ temperatures.
//!
//! ln Ẑ = Σ_k C_k + ln ⟨σ(w_k Δ − C_k)⟩_{k−1} − ln ⟨σ(C_k − w_k Δ)⟩_k,   w_k = β_k − β_{k−1}
//!
//! with σ the logistic function and C_k the guess of ln(Z_k/Z_{k−1}) that the last round of tuning
//! made from both stepping stones, ln ⟨e^{w_k Δ}⟩_{k−1} and −ln ⟨e^{−w_k Δ}⟩_k. The stepping stones of
//! the run itself are reported beside it. Its standard error is that of the jackknife over ladders
//! (over parts of their run as well, if there are fewer than sixteen), which do not know each other.
//!
//! Cost of a scan with M moves of L leapfrog steps on average (MALA: L = 1), a ladder: 1 + K M L gradients,
//! 1 + K M densities. Each of the tuning rounds takes twice the scans of the one before.

use crate::chains::{Gaussian, Kept, Plan, check, check_length, check_positive, zeros};
use crate::pilot::{self, Pilot, Placing};
use crate::smc::Kernel;
use crate::walkers::Walkers;
use ndarray::Array1;
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, Build, Cx, Flow, Result, Sampler, Signature, Sink, Target, Traits, register,
};
use scan::Room;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler parallel-tempering";
/// Keys that place the base.
const BASE: [&str; 2] = ["base_mean", "base_sd"];
/// Scans of the first round of tuning.
const FIRST_ROUND: u64 = 4;
/// Rows that a step of the run moves, about.
const STEP_ROWS: usize = 1 << 13;
/// Parts of the run that the jackknife leaves out in turn, at least.
const PARTS: usize = 16;
/// Rejection that each pair has at least, for the tuning: no two temperatures fall together.
const LEAST_REJECTION: f64 = 1e-6;
/// A replica that was not at the reference yet.
const NOWHERE: u32 = u32::MAX;

/// Settings, as written under `[sampler]` with `kind = "parallel-tempering"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ParallelTempering {
    /// Mean of the normal law that is the reference; a number, or one a coordinate. With
    /// `pilot_moves` above 0, of the law that the pilot run starts from. Default 0.
    pub base_mean: PerCoordinate,
    /// Standard deviation of that law, > 0; a number, or one a coordinate. The pilot run starts
    /// from up to 128 times that far. Default 1.
    pub base_sd: PerCoordinate,
    /// Moves of the 128 chains of a pilot run that places the base where they end, ≥ 0; 0 for a base
    /// as given. Default 100.
    pub pilot_moves: u64,
    /// Temperatures of a ladder beside the reference, K ≥ 1: more than twice the barrier Λ, which
    /// the run reports. Default 24.
    #[schemars(range(min = 1, max = 100_000))]
    pub temperatures: usize,
    /// Rounds of tuning, 1 to 40, of 4, 8, 16 … scans. Default 8.
    #[schemars(range(min = 1, max = 40))]
    pub rounds: u32,
    /// Ladders that run at once, each of which leaves a chain of draws at β = 1; a divisor of the
    /// number of draws. Default 8.
    #[schemars(range(min = 1))]
    pub chains: usize,
    /// Scans from a draw to the next one, ≥ 1. Default 20.
    #[schemars(range(min = 1))]
    pub thin: u64,
    /// Kind of the moves: "hmc" or "mala". Default "hmc".
    #[serde(rename = "move")]
    pub kernel: Kernel,
    /// Moves in a scan, ≥ 1. Default 1.
    #[schemars(range(min = 1))]
    pub moves: u32,
    /// Leapfrog steps of an "hmc" move at most, ≥ 1: moves take 1, 2 … `leapfrog` of them in turn, for
    /// a length that returns to where it came from at one temperature does not at another.
    /// Default 5.
    #[schemars(range(min = 1))]
    pub leapfrog: u32,
    /// First step size tried, > 0, in units of the scale of the moves (of its square for "mala"),
    /// which is the standard deviation of each coordinate. Adapted at each temperature while the
    /// ladder is tuned, to an acceptance of 0.8 (0.6 for "mala"). Default 0.1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step_size: f64,
    /// Largest step size of an "hmc" move over the smallest, from 1 to 1e9: each trajectory draws its own, evenly
    /// in the logarithm, so that places of unlike width (a neck) are reached as well. Default 30.
    #[schemars(range(min = 1.0, max = 1e9))]
    pub step_span: f64,
}

impl Default for ParallelTempering {
    fn default() -> Self {
        Self {
            base_mean: PerCoordinate::All(0.0),
            base_sd: PerCoordinate::All(1.0),
            pilot_moves: 100,
            temperatures: 24,
            rounds: 8,
            chains: 8,
            thin: 20,
            kernel: Kernel::Hmc,
            moves: 1,
            leapfrog: 5,
            step_size: 0.1,
            step_span: 30.0,
        }
    }
}

impl Build<dyn Sampler> for ParallelTempering {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Ladders::new(self, parts.require_target(NAME)?)?))
    }
}

/// What a test breaks, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
enum Fault {
    None,
    /// Every swap is accepted.
    EverySwap,
    /// Swaps are accepted by half the exponent.
    HalfExponent,
    /// No swaps.
    NoSwaps,
    /// Moves keep ρ^β, without the base.
    BaseMissingInMoves,
    /// The draws at the reference are as wide again.
    WideReference,
    /// log Z leaves the first pair out.
    PairOmitted,
    /// Even and odd pairs by chance, not in turn: right, but slower.
    Reversible,
}

struct Ladders {
    settings: ParallelTempering,
    base: Gaussian,
    target: Arc<dyn Target>,
    fault: Fault,
}

impl Ladders {
    fn new(settings: ParallelTempering, target: Arc<dyn Target>) -> Result<Self> {
        let s = &settings;
        let inside = (1..=100_000).contains(&s.temperatures);
        check(
            NAME,
            "temperatures",
            s.temperatures,
            inside,
            "from 1 to 100000",
        )?;
        let inside = (1..=40).contains(&s.rounds);
        check(NAME, "rounds", s.rounds, inside, "from 1 to 40")?;
        check(NAME, "moves", s.moves, s.moves > 0, "at least 1")?;
        check(NAME, "leapfrog", s.leapfrog, s.leapfrog > 0, "at least 1")?;
        check_positive(NAME, "step_size", s.step_size)?;
        let span = s.step_span;
        let inside = (1.0..=1e9).contains(&span);
        check(NAME, "step_span", span, inside, "from 1 to 1e9")?;
        Plan::new(NAME, s.chains, s.chains, warmup(s.rounds), s.thin)?;
        let slots = s.chains.checked_mul(s.temperatures + 1);
        let few = slots.is_some_and(|n| u32::try_from(n).is_ok());
        check(
            NAME,
            "chains",
            s.chains,
            few,
            "so few that all replicas, chains × (temperatures + 1), can be counted in 32 bits",
        )?;
        let base = Gaussian::new(NAME, target.dim(), BASE, &s.base_mean, &s.base_sd, true)?;
        Ok(Self {
            settings,
            base,
            target,
            fault: Fault::None,
        })
    }

    fn plan(&self, n: usize) -> Result<Plan> {
        let s = &self.settings;
        Plan::new(NAME, n, s.chains, warmup(s.rounds), s.thin)
    }
}

/// Scans of that many rounds of tuning.
fn warmup(rounds: u32) -> u64 {
    FIRST_ROUND * ((1 << rounds) - 1)
}

/// Scan at which the round that scan `done` belongs to began, and its number from 1.
fn round(done: u64) -> (u64, u32) {
    let number = (done / FIRST_ROUND + 1).ilog2() + 1;
    (warmup(number - 1), number)
}

/// Slots are numbered temperature by temperature, from the reference up; K temperatures beside it, R
/// ladders.
#[derive(Serialize, Deserialize)]
struct State {
    plan: Plan,
    pilot: Option<Pilot>,
    base: Gaussian,
    /// R points at β₀.
    reference: Walkers,
    /// K R points at β₁ … β_K.
    ladder: Walkers,
    /// β₁ … β_K.
    beta: Vec<f64>,
    /// Step size of each temperature, and d scales of each.
    step: Vec<f64>,
    scale: Vec<f64>,
    /// Replica in each slot.
    replica: Vec<u32>,
    /// Highest temperature of each replica since it was last at the reference.
    highest: Vec<u32>,
    tally: Tally,
}

/// What is counted in a round of tuning, or in the run.
#[derive(Serialize, Deserialize)]
struct Tally {
    scans: f64,
    /// Of each pair: sum of the mean rejections, logarithms of the sums of e^{wΔ} below and of
    /// e^{−wΔ} above, C.
    rejected: Vec<f64>,
    below: Vec<f64>,
    above: Vec<f64>,
    shift: Vec<f64>,
    /// Of each temperature beside the reference: sum of the mean acceptances of the moves.
    accepted: Vec<f64>,
    /// Of each temperature, d times: sums of (x − m)/s and of its square.
    moments: Vec<f64>,
    /// Of each part of the run: scans; then K times the sums of σ(wΔ − C) below and of σ(C − wΔ) above.
    parts: Vec<f64>,
    bridges: Vec<f64>,
    /// Replicas that came from the reference to each temperature for the first time since.
    reached: Vec<f64>,
    /// Round trips from the reference to β = 1 and back.
    trips: f64,
}

impl Tally {
    fn new(k: usize, d: usize, parts: usize) -> Self {
        Self {
            scans: 0.0,
            rejected: vec![0.0; k],
            below: vec![f64::NEG_INFINITY; k],
            above: vec![f64::NEG_INFINITY; k],
            shift: vec![0.0; k],
            accepted: vec![0.0; k],
            moments: vec![0.0; 2 * k * d],
            parts: vec![0.0; parts],
            bridges: vec![0.0; 2 * k * parts],
            reached: vec![0.0; k + 1],
            trips: 0.0,
        }
    }

    /// Forgets all but C.
    fn reset(&mut self) {
        (self.scans, self.trips) = (0.0, 0.0);
        self.below.fill(f64::NEG_INFINITY);
        self.above.fill(f64::NEG_INFINITY);
        for sums in [
            &mut self.rejected,
            &mut self.accepted,
            &mut self.moments,
            &mut self.parts,
            &mut self.bridges,
            &mut self.reached,
        ] {
            sums.fill(0.0);
        }
    }
}

impl Algorithm for Ladders {
    type State = State;

    fn name(&self) -> &str {
        NAME
    }

    fn traits(&self) -> Traits {
        self.target.traits()
    }

    fn rows(&self, _n: usize) -> usize {
        self.settings.chains * self.settings.temperatures
    }

    fn signature(&self) -> Signature {
        Signature::new(self.target.dim(), &self.settings)
    }

    fn check_state(&self, n: usize, state: &State) -> std::result::Result<(), String> {
        let (k, r) = (self.settings.temperatures, self.settings.chains);
        let d = self.target.dim();
        state.plan.check_saved(self.plan(n))?;
        if let Some(pilot) = &state.pilot {
            pilot.check_saved(d)?;
        }
        state.base.check_saved(d)?;
        state.reference.check_saved(r, d)?;
        state.ladder.check_saved(k * r, d)?;
        let t = &state.tally;
        for (what, found, expected) in [
            ("temperatures", state.beta.len(), k),
            ("step sizes", state.step.len(), k),
            ("scales", state.scale.len(), k * d),
            ("replicas", state.replica.len(), (k + 1) * r),
            ("temperatures reached", state.highest.len(), (k + 1) * r),
            ("rejections", t.rejected.len(), k),
            ("stepping stones", t.below.len(), k),
            ("stepping stones", t.above.len(), k),
            ("shifts", t.shift.len(), k),
            ("acceptances", t.accepted.len(), k),
            ("moments", t.moments.len(), 2 * k * d),
            ("parts", t.parts.len(), r * blocks(r)),
            ("bridges", t.bridges.len(), 2 * k * r * blocks(r)),
            ("arrivals", t.reached.len(), k + 1),
        ] {
            check_length(what, found, expected)?;
        }
        let rising = state.beta.windows(2).all(|b| b[0] < b[1]);
        if !rising || state.beta[0] <= 0.0 || state.beta[k - 1] != 1.0 {
            return Err("temperatures that do not rise from 0 to 1".into());
        }
        let sound = |v: &f64| *v > 0.0 && v.is_finite();
        if !state.step.iter().chain(&state.scale).all(sound) {
            return Err("a step size or scale that is not above 0".into());
        }
        if state.replica.iter().any(|i| *i as usize >= (k + 1) * r) {
            return Err("a replica that does not exist".into());
        }
        Ok(())
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        let s = &self.settings;
        let (k, r, d) = (s.temperatures, s.chains, self.target.dim());
        let plan = self.plan(n)?;
        let empty = |rows| -> Result<Walkers> {
            Ok(Walkers {
                x: zeros(NAME, rows, d)?,
                log_density: Array1::zeros(rows),
                gradient: zeros(NAME, rows, d)?,
            })
        };
        let mut state = State {
            plan,
            pilot: None,
            base: self.base.clone(),
            reference: empty(r)?,
            ladder: empty(k * r)?,
            // The nearer to the reference the denser, for there the law changes most.
            beta: (1..=k).map(|i| (i as f64 / k as f64).powi(3)).collect(),
            step: vec![s.step_size; k],
            scale: self.base.sd.repeat(k),
            replica: (0..).take((k + 1) * r).collect(),
            highest: vec![NOWHERE; (k + 1) * r],
            tally: Tally::new(k, d, r * blocks(r)),
        };
        let (target, law, moves) = (&*self.target, &self.base, s.pilot_moves);
        state.pilot = Pilot::wanted(moves, cx, NAME, BASE, target, law, s.step_size)?;
        if state.pilot.is_none() {
            self.populate(cx, &mut state)?;
        }
        Ok(state)
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        let s = &self.settings;
        let begins = state.pilot.as_ref().is_none_or(|p| p.done == 0);
        if begins && state.plan.done == 0 && (state.pilot.is_some() || s.pilot_moves == 0) {
            sink.set_chains(state.plan.declared_chains())?;
        }
        let (target, moves) = (&*self.target, s.pilot_moves);
        match pilot::place(cx, &mut state.pilot, target, &mut state.base, moves, sink)? {
            Placing::GoesOn => return Ok(Flow::More),
            Placing::Ends => self.populate(cx, state)?,
            Placing::Over => {}
        }
        let (rows, d) = state.ladder.x.dim();
        let scans = (STEP_ROWS / rows).clamp(1, 16) as u64;
        let mut kept = Kept::<2>::take(cx, &state.plan, scans, d);
        let mut room = Room::take(cx, rows, s.chains);
        let top = rows - s.chains;
        for m in 0..state.plan.moves_now(scans) {
            cx.check_cancelled()?;
            self.explore(cx, state, &mut room, m)?;
            self.swap(cx, state, &mut room, m);
            let warming = state.plan.warming_up();
            if state.plan.count_move() {
                let lp = state.ladder.log_density.slice(ndarray::s![top..]);
                let x = state.ladder.x.slice(ndarray::s![top.., ..]);
                kept.push((x, [lp, (&room.acceptance[top..]).into()]));
            }
            if warming {
                self.end_round(cx, state, sink);
            }
        }
        let now = [
            state.ladder.log_density.slice(ndarray::s![top..]),
            (&room.acceptance[top..]).into(),
        ];
        let x = state.ladder.x.slice(ndarray::s![top.., ..]);
        kept.emit(cx, sink, ["lp", "accept_stat"], (x, now))?;
        room.give(cx);
        sink.progress(state.plan.fraction());
        if state.plan.done > state.plan.warmup {
            self.report(cx, state, sink);
        }
        Ok(if state.plan.is_done() {
            Flow::Done
        } else {
            Flow::More
        })
    }
}

/// Parts that the run of each of `chains` ladders has for the jackknife.
fn blocks(chains: usize) -> usize {
    PARTS.div_ceil(chains)
}

impl Ladders {
    /// Draws all replicas from the base.
    fn populate(&self, cx: &mut Cx<'_>, state: &mut State) -> Result {
        let State {
            base,
            ladder,
            scale,
            ..
        } = state;
        for scale in scale.chunks_exact_mut(base.sd.len()) {
            scale.copy_from_slice(&base.sd);
        }
        ladder.draw(cx, NAME, BASE, &*self.target, base)
    }
}

fn aim(kernel: Kernel) -> f64 {
    match kernel {
        Kernel::Mala => 0.6,
        Kernel::Hmc => 0.8,
    }
}

register! {
    sampler "parallel-tempering" => ParallelTempering, needs DENSITY_AND_GRADIENT,
        summary "Non-reversible parallel tempering with a tuned ladder; estimates log Z",
        source "Syed, Bouchard-Côté, Deligiannidis & Doucet (2022)";
}

mod doubts;
mod scan;
#[cfg(test)]
mod tests;
pub(crate) mod tuning;
