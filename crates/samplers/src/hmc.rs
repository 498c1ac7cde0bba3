//! Hamiltonian Monte Carlo (HMC) with a fixed number of leapfrog steps.
//!
//! Source: Neal (2011), arXiv:1206.1901; step size by dual averaging, Hoffman & Gelman (2014),
//! arXiv:1111.4246.
//!
//! v ~ N(0, I), then L times with S a scale (mass matrix (S Sᵀ)⁻¹), diagonal here:
//!
//! v ← v + ½ε Sᵀ∇ℓ(x);   x ← x + ε S v;   v ← v + ½ε Sᵀ∇ℓ(x)
//!
//! accepted with min(1, e^{−ΔH}),   H = −ℓ(x) + ½‖v‖²
//!
//! Each trajectory has a step size of its own, ε(1 + j u) with u uniform on (−1, 1), so that none
//! closes on itself. ε and S are adapted in warm-up from all chains, then kept.
//!
//! Cost: L gradients and one density a move and chain.

use crate::adapt::{DualAveraging, Windows};
use crate::chains::{
    FAR, Gaussian, Kept, Plan, check, check_positive, dense, dense_mut, matrix, matrix_mut,
    moves_of_step, note_no_evidence,
};
use crate::mala::report;
use crate::walkers::{Path, Rungs, Scale, Walkers, WalkersMut};
use ndarray::{ArrayView1, ArrayViewMut1};
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, Build, Cx, Flag, Flow, Result, Sampler, Severity, Signature, Sink, Target, Traits,
    register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Keys that place the start.
const START: [&str; 2] = ["start_mean", "start_sd"];
const NAME: &str = "sampler hmc";
/// Leapfrog steps that a step of the run does at least, in whole moves.
const LEAPS: u64 = 16;
/// An energy error above this is a divergence (as Stan has it).
const DIVERGENCE: f64 = 1000.0;

/// Settings, as written under `[sampler]` with `kind = "hmc"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hmc {
    /// Step size ε, > 0, in units of x (of its adapted scale where `adapt_mass` is on); where
    /// `adapt` is on, the first one tried. Default 0.1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step_size: f64,
    /// Leapfrog steps of a move, L ≥ 1. Default 10.
    #[schemars(range(min = 1))]
    pub leapfrog: u32,
    /// Half width of the spread of the step size, as a fraction of it, 0 to 1 (exclusive).
    /// Default 0.15.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub jitter: f64,
    /// Whether the step size is adapted in warm-up. Default true.
    pub adapt: bool,
    /// Whether the scale of each coordinate is adapted in warm-up, if that has at least 20 moves.
    /// Default true.
    pub adapt_mass: bool,
    /// Mean acceptance that adaptation aims at, between 0 and 1. Default 0.8.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub target_acceptance: f64,
    /// Moves before the first draw, ≥ 0. Default 1000.
    pub warmup: u64,
    /// Moves from a draw to the next one, ≥ 1. Default 1.
    #[schemars(range(min = 1))]
    pub thin: u64,
    /// Chains, a divisor of the number of draws, which they share evenly. As many chains as draws
    /// give independent draws, one a chain. Default 4.
    #[schemars(range(min = 1))]
    pub chains: usize,
    /// Mean of the normal law that chains start from; a number, or one a coordinate. Default 0.
    pub start_mean: PerCoordinate,
    /// Standard deviation of that law, ≥ 0; a number, or one a coordinate. Default 1.
    pub start_sd: PerCoordinate,
}

impl Default for Hmc {
    fn default() -> Self {
        Self {
            step_size: 0.1,
            leapfrog: 10,
            jitter: 0.15,
            adapt: true,
            adapt_mass: true,
            target_acceptance: 0.8,
            warmup: 1000,
            thin: 1,
            chains: 4,
            start_mean: PerCoordinate::All(0.0),
            start_sd: PerCoordinate::All(1.0),
        }
    }
}

impl Build<dyn Sampler> for Hmc {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Chains::new(self, parts.require_target(NAME)?)?))
    }
}

/// What a test breaks, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Fault {
    None,
    /// Every trajectory that ends where there is mass is accepted.
    NoCorrection,
    /// The last kick is a full one.
    FullLastKick,
    /// The kinetic energy is left out.
    NoKinetic,
}

/// One trajectory of all walkers.
pub(crate) struct Move<'a> {
    pub(crate) target: &'a dyn Target,
    pub(crate) path: Path<'a>,
    /// ε.
    pub(crate) step: f64,
    pub(crate) jitter: Jitter,
    /// L.
    pub(crate) leapfrog: u32,
    /// S.
    pub(crate) scale: Scale<'a>,
    /// Where rows differ in them: what stands for β, ε and S.
    pub(crate) rungs: Option<Rungs<'a>>,
    pub(crate) fault: Fault,
}

/// The law of the step sizes of trajectories, as multiples of ε.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Jitter {
    /// Uniform on (1 − j, 1 + j).
    Even(f64),
    /// Uniform in the logarithm on (e^−s, 1): for widths that differ from place to place.
    Span(f64),
}

impl Jitter {
    /// From the largest ratio of two step sizes; of 1 for a narrow spread around ε.
    pub(crate) fn new(span: f64) -> Self {
        if span > 1.0 {
            Jitter::Span(span.ln())
        } else {
            Jitter::Even(0.15)
        }
    }

    #[inline]
    fn factor(self, uniform: f64) -> f64 {
        match self {
            Jitter::Even(j) => 1.0 + j * (2.0 * uniform - 1.0),
            Jitter::Span(s) => (-s * uniform).exp(),
        }
    }
}

/// What a trajectory tells of each walker; length n each.
pub(crate) struct Outcome<'a> {
    /// Probability with which it was to move.
    pub(crate) acceptance: &'a mut [f64],
    /// Its step size.
    pub(crate) step: &'a mut [f64],
    /// 1 if it diverged, else 0.
    pub(crate) diverging: &'a mut [f64],
}

impl<'a> Move<'a> {
    /// Path, step size and scales of a row.
    #[inline]
    fn at(&self, row: usize, d: usize) -> (Path<'a>, f64, Scale<'a>) {
        match &self.rungs {
            None => (self.path, self.step, self.scale),
            Some(rungs) => {
                let (path, step, place) = rungs.at(row, d, self.path.base);
                (path, step, Scale::Diagonal(&rungs.scale[place]))
            }
        }
    }

    /// Moves the walkers. Random numbers are those of `cx`, which must be of this move alone.
    pub(crate) fn apply(
        &self,
        cx: &mut Cx<'_>,
        walkers: &mut Walkers,
        out: &mut Outcome<'_>,
    ) -> Result {
        let parts = (
            ArrayViewMut1::from(&mut *out.acceptance),
            ArrayViewMut1::from(&mut *out.step),
            ArrayViewMut1::from(&mut *out.diverging),
        );
        walkers.in_runs(
            cx,
            self.target,
            parts,
            |cx, walkers, (a, step, diverging)| {
                let mut out = Outcome {
                    acceptance: a.into_slice().unwrap_or_default(),
                    step: step.into_slice().unwrap_or_default(),
                    diverging: diverging.into_slice().unwrap_or_default(),
                };
                self.apply_to(cx, walkers, &mut out)
            },
        )
    }

    fn apply_to(
        &self,
        cx: &mut Cx<'_>,
        walkers: &mut WalkersMut<'_>,
        out: &mut Outcome<'_>,
    ) -> Result {
        let (n, d) = walkers.x.dim();
        let first = walkers.first;
        let mut q = cx.take(n * d);
        let mut v = cx.take(n * d);
        let mut gradient = cx.take(n * d);
        let mut log_density = cx.take(n);
        // `acceptance` carries the energy at the start.
        let parts = (
            walkers.x.view(),
            walkers.log_density.view(),
            walkers.gradient.view(),
            matrix_mut(&mut q, d),
            matrix_mut(&mut v, d),
            ArrayViewMut1::from(&mut *out.acceptance),
            ArrayViewMut1::from(&mut *out.step),
        );
        cx.rows(
            n,
            parts,
            |cx, range, (x, l, g, q, mut v, mut energy, mut step)| {
                cx.at("momentum", 0).fill_normal(v.view_mut());
                cx.at("jitter", 0).fill_uniform_1(step.view_mut());
                let (x, g, q, v) = (dense(&x), dense(&g), dense_mut(q), dense_mut(v));
                for i in 0..l.len() {
                    let (path, mean_step, scale) = self.at(first + range.start + i, d);
                    let at = i * d..(i + 1) * d;
                    let (x, q, v) = (&x[at.clone()], &mut q[at.clone()], &mut v[at.clone()]);
                    let kinetic = 0.5 * v.iter().map(|v| v * v).sum::<f64>();
                    energy[i] = kinetic - path.value(x, l[i]);
                    step[i] = mean_step * self.jitter.factor(step[i]);
                    let g = &g[at];
                    scale.kick(v, 0.5 * step[i], |j| path.slope(j, x[j], g[j]));
                    q.copy_from_slice(x);
                    drift(q, v, scale, step[i]);
                }
                Ok(())
            },
        )?;
        for _ in 1..self.leapfrog {
            let slopes = Some(matrix_mut(&mut gradient, d));
            cx.eval_target(self.target, matrix(&q, d), None, slopes)?;
            let parts = (
                matrix(&gradient, d),
                matrix_mut(&mut q, d),
                matrix_mut(&mut v, d),
                ArrayView1::from(&*out.step),
            );
            cx.rows(n, parts, |_, range, (g, q, v, step)| {
                let rows = dense(&g)
                    .chunks_exact(d)
                    .zip(dense_mut(q).chunks_exact_mut(d));
                let rows = rows.zip(dense_mut(v).chunks_exact_mut(d)).zip(step);
                for (i, (((g, q), v), step)) in rows.enumerate() {
                    let (path, _, scale) = self.at(first + range.start + i, d);
                    scale.kick(v, *step, |j| path.slope(j, q[j], g[j]));
                    drift(q, v, scale, *step);
                }
                Ok(())
            })?;
        }
        let values = Some(ArrayViewMut1::from(&mut log_density[..]));
        let slopes = Some(matrix_mut(&mut gradient, d));
        cx.eval_target(self.target, matrix(&q, d), values, slopes)?;
        self.accept(cx, walkers, out, &mut v, [&q, &gradient, &log_density])?;
        cx.give(log_density);
        cx.give(gradient);
        cx.give(v);
        cx.give(q);
        Ok(())
    }

    /// The last half kick, and the Metropolis correction.
    fn accept(
        &self,
        cx: &mut Cx<'_>,
        walkers: &mut WalkersMut<'_>,
        out: &mut Outcome<'_>,
        v: &mut [f64],
        [q, gradient, log_density]: [&[f64]; 3],
    ) -> Result {
        let (n, d) = walkers.x.dim();
        let first = walkers.first;
        let last_kick = if self.fault == Fault::FullLastKick {
            1.0
        } else {
            0.5
        };
        let parts = (
            (
                walkers.x.view_mut(),
                walkers.log_density.view_mut(),
                walkers.gradient.view_mut(),
            ),
            (matrix(q, d), matrix_mut(v, d), matrix(gradient, d)),
            ArrayView1::from(log_density),
            ArrayViewMut1::from(&mut *out.acceptance),
            ArrayView1::from(&*out.step),
            ArrayViewMut1::from(&mut *out.diverging),
        );
        cx.rows(
            n,
            parts,
            |cx, range, (to, from, lq, mut a, step, mut lost)| {
                let (x, mut l, g) = (dense_mut(to.0), to.1, dense_mut(to.2));
                let (q, v, gq) = (dense(&from.0), dense_mut(from.1), dense(&from.2));
                let mut uniform = cx.take(l.len());
                cx.at("accept", 0)
                    .fill_uniform_1(ArrayViewMut1::from(&mut uniform[..]));
                for (i, u) in uniform.iter().enumerate() {
                    let (path, _, scale) = self.at(first + range.start + i, d);
                    let at = i * d..(i + 1) * d;
                    let (q, v, gq) = (&q[at.clone()], &mut v[at.clone()], &gq[at.clone()]);
                    scale.kick(v, last_kick * step[i], |j| path.slope(j, q[j], gq[j]));
                    let kinetic = 0.5 * v.iter().map(|v| v * v).sum::<f64>();
                    let potential = -path.value(q, lq[i]);
                    // A walker where there is no mass (energy +∞) takes any place where there is.
                    let error = match self.fault {
                        _ if lq[i] == f64::NEG_INFINITY => f64::INFINITY,
                        Fault::NoCorrection => 0.0,
                        Fault::NoKinetic => potential + path.value(&x[at.clone()], l[i]),
                        _ => potential + kinetic - a[i],
                    };
                    lost[i] = if error <= DIVERGENCE { 0.0 } else { 1.0 };
                    a[i] = if error.is_nan() {
                        0.0
                    } else {
                        (-error).min(0.0).exp()
                    };
                    if *u < a[i] {
                        x[at.clone()].copy_from_slice(q);
                        g[at].copy_from_slice(gq);
                        l[i] = lq[i];
                    }
                }
                cx.give(uniform);
                Ok(())
            },
        )
    }
}

/// x ← x + ε S v; a trajectory that leaves every range ends as no point, which has no mass.
#[inline]
fn drift(q: &mut [f64], v: &[f64], scale: Scale<'_>, step: f64) {
    scale.drift(q, step, v);
    if !q.iter().fold(true, |near, q| near & (q.abs() < FAR)) {
        q.fill(f64::NAN);
    }
}

struct Chains {
    settings: Hmc,
    start: Gaussian,
    target: Arc<dyn Target>,
    fault: Fault,
}

impl Chains {
    fn new(settings: Hmc, target: Arc<dyn Target>) -> Result<Self> {
        let s = &settings;
        check_positive(NAME, "step_size", s.step_size)?;
        check(NAME, "leapfrog", s.leapfrog, s.leapfrog > 0, "at least 1")?;
        let part = (0.0..1.0).contains(&s.jitter);
        check(NAME, "jitter", s.jitter, part, "at least 0 and below 1")?;
        let aim = s.target_acceptance;
        let inside = aim > 0.0 && aim < 1.0;
        check(NAME, "target_acceptance", aim, inside, "between 0 and 1")?;
        Plan::new(NAME, s.chains, s.chains, s.warmup, s.thin)?;
        let d = target.dim();
        let start = Gaussian::new(NAME, d, START, &s.start_mean, &s.start_sd, false)?;
        Ok(Self {
            settings,
            start,
            target,
            fault: Fault::None,
        })
    }

    fn report(&self, state: &State, sink: &mut dyn Sink) {
        let (plan, aim) = (&state.plan, self.settings.target_acceptance);
        report(sink, NAME, plan, state.step.step, state.accepted, aim);
        sink.scalar("divergences", state.diverged as f64);
        if plan.is_done() && state.diverged > 0 {
            let moves = (plan.done - plan.warmup) * plan.chains as u64;
            sink.flag(Flag::new(
                Severity::Warning,
                "divergences",
                format!(
                    "{} of {moves} trajectories after warm-up diverged: regions of strong \
                     curvature may be missing from the draws",
                    state.diverged
                ),
                "raise `target_acceptance` (to 0.95, say), or choose coordinates in which the \
                 scales are alike",
            ));
        }
    }
}

#[derive(Serialize, Deserialize)]
struct State {
    plan: Plan,
    walkers: Walkers,
    step: DualAveraging,
    windows: Windows,
    /// Sum of the mean acceptances of the moves after warm-up.
    accepted: f64,
    /// Divergent trajectories after warm-up.
    diverged: u64,
}

impl Chains {
    fn plan(&self, n: usize) -> Result<Plan> {
        let s = &self.settings;
        Plan::new(NAME, n, s.chains, s.warmup, s.thin)
    }
}

impl Algorithm for Chains {
    type State = State;

    fn name(&self) -> &str {
        NAME
    }

    fn traits(&self) -> Traits {
        self.target.traits()
    }

    fn rows(&self, _n: usize) -> usize {
        self.settings.chains
    }

    fn signature(&self) -> Signature {
        Signature::new(self.target.dim(), &self.settings)
    }

    fn check_state(&self, n: usize, state: &State) -> std::result::Result<(), String> {
        state.plan.check_saved(self.plan(n))?;
        state
            .walkers
            .check_saved(self.settings.chains, self.target.dim())?;
        state.windows.check_saved(self.target.dim())
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        let s = &self.settings;
        let plan = self.plan(n)?;
        let walkers = Walkers::start(cx, NAME, START, &*self.target, &self.start, s.chains)?;
        Ok(State {
            plan,
            windows: Windows::new(walkers.x.ncols(), s.warmup, s.adapt_mass),
            walkers,
            step: DualAveraging::new(s.step_size),
            accepted: 0.0,
            diverged: 0,
        })
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        let s = &self.settings;
        let (n, d) = state.walkers.x.dim();
        if state.plan.done == 0 {
            sink.set_chains(state.plan.declared_chains())?;
            note_no_evidence(sink);
        }
        let most = LEAPS.div_ceil(u64::from(s.leapfrog));
        let most = moves_of_step(n, d, most);
        let mut kept = Kept::<5>::take(cx, &state.plan, most, d);
        let [mut acceptance, mut steps, mut diverging, mut leaps] =
            std::array::from_fn(|_| cx.take(n));
        leaps.fill(f64::from(s.leapfrog));
        for m in 0..state.plan.moves_now(most) {
            cx.check_cancelled()?;
            let kernel = Move {
                target: &*self.target,
                path: Path::TARGET,
                step: state.step.step,
                jitter: Jitter::Even(s.jitter),
                leapfrog: s.leapfrog,
                scale: Scale::Diagonal(&state.windows.scale),
                rungs: None,
                fault: self.fault,
            };
            let mut out = Outcome {
                acceptance: &mut acceptance,
                step: &mut steps,
                diverging: &mut diverging,
            };
            kernel.apply(&mut cx.at("move", m), &mut state.walkers, &mut out)?;
            let mean = acceptance.iter().sum::<f64>() / n as f64;
            if state.plan.warming_up() {
                self.adapt(state, mean);
            } else {
                state.accepted += mean;
                state.diverged += diverging.iter().filter(|v| **v > 0.0).count() as u64;
            }
            if state.plan.count_move() {
                let stats = [&acceptance, &steps, &leaps, &diverging];
                let [a, e, l, v] = stats.map(|s| ArrayView1::from(&s[..]));
                let lp = state.walkers.log_density.view();
                kept.push((state.walkers.x.view(), [lp, a, e, l, v]));
            }
        }
        let names = ["lp", "accept_stat", "step_size", "n_steps", "diverging"];
        let stats = [&acceptance, &steps, &leaps, &diverging];
        let [a, e, l, v] = stats.map(|s| ArrayView1::from(&s[..]));
        let now = [state.walkers.log_density.view(), a, e, l, v];
        kept.emit(cx, sink, names, (state.walkers.x.view(), now))?;
        [leaps, diverging, steps, acceptance]
            .into_iter()
            .for_each(|b| cx.give(b));
        self.report(state, sink);
        Ok(if state.plan.is_done() {
            Flow::Done
        } else {
            Flow::More
        })
    }
}

impl Chains {
    /// Takes a move of the warm-up into account.
    fn adapt(&self, state: &mut State, acceptance: f64) {
        let done = state.plan.done + 1;
        if self.settings.adapt {
            state
                .step
                .update(acceptance, self.settings.target_acceptance);
        }
        let rescaled = state.windows.update(done, state.walkers.x.view());
        if self.settings.adapt && done == state.plan.warmup {
            state.step.freeze();
        } else if self.settings.adapt && rescaled {
            state.step.restart();
        }
    }
}

register! {
    sampler "hmc" => Hmc, needs DENSITY_AND_GRADIENT,
        summary "Hamiltonian Monte Carlo with adapted step size and scales",
        source "Neal (2011), arXiv:1206.1901";
}

#[cfg(test)]
mod tests;
