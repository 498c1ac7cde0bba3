//! Metropolis-adjusted Langevin algorithm (MALA).
//!
//! Source: Roberts & Tweedie (1996), Bernoulli 2, 341; step size by dual averaging, Hoffman &
//! Gelman (2014), arXiv:1111.4246.
//!
//! y = x + h S²∇ℓ(x) + √(2h) S z,   z ~ N(0, I), S a diagonal scale
//!
//! accepted with min(1, ρ(y) q(x|y) / (ρ(x) q(y|x))),   q(y|x) = N(y; x + h S²∇ℓ(x), 2h S²)
//!
//! The step size is adapted in warm-up from the mean acceptance of all chains, then kept, so that
//! the draws have the target as their stationary law.
//!
//! Cost: one density and one gradient a move and chain.

use crate::adapt::DualAveraging;
use crate::chains::{
    FAR, Gaussian, Kept, Plan, check, check_positive, dense, dense_mut, matrix, matrix_mut,
    moves_of_step, note_no_evidence,
};
use crate::walkers::{Path, Rungs, Walkers, WalkersMut};
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
const NAME: &str = "sampler mala";
/// Moves of a step: few enough for cancelling and checkpoints, enough to hide the cost of a step.
const MOVES: u64 = 16;

/// Settings, as written under `[sampler]` with `kind = "mala"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mala {
    /// Step size h, > 0, in units of x²; where `adapt` is on, the first one tried. Default 0.1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step_size: f64,
    /// Whether the step size is adapted in warm-up. Default true.
    pub adapt: bool,
    /// Mean acceptance that adaptation aims at, between 0 and 1. Default 0.65.
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

impl Default for Mala {
    fn default() -> Self {
        Self {
            step_size: 0.1,
            adapt: true,
            target_acceptance: 0.65,
            warmup: 1000,
            thin: 1,
            chains: 4,
            start_mean: PerCoordinate::All(0.0),
            start_sd: PerCoordinate::All(1.0),
        }
    }
}

impl Build<dyn Sampler> for Mala {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Chains::new(self, parts.require_target(NAME)?)?))
    }
}

/// What a test breaks, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Fault {
    None,
    /// Every proposal with mass is accepted.
    NoCorrection,
    /// q(x|y) and q(y|x) are left out.
    NoProposalRatio,
    /// q(x|y)/q(y|x) is upside down.
    InverseProposalRatio,
}

/// One MALA move of all walkers.
pub(crate) struct Move<'a> {
    pub(crate) target: &'a dyn Target,
    pub(crate) path: Path<'a>,
    /// h.
    pub(crate) step: f64,
    /// Diagonal of S; length d.
    pub(crate) scale: &'a [f64],
    /// Where rows differ in them: what stands for β, h and S.
    pub(crate) rungs: Option<Rungs<'a>>,
    pub(crate) fault: Fault,
}

impl<'a> Move<'a> {
    /// Path, step size and place of the scales of a row.
    #[inline]
    fn at(&self, row: usize, d: usize) -> (Path<'a>, f64, std::ops::Range<usize>) {
        match &self.rungs {
            None => (self.path, self.step, 0..d),
            Some(rungs) => rungs.at(row, d, self.path.base),
        }
    }

    /// Moves the walkers and writes the probability with which each was to move (n). Random numbers
    /// are those of `cx`, which must be of this move alone.
    pub(crate) fn apply(
        &self,
        cx: &mut Cx<'_>,
        walkers: &mut Walkers,
        acceptance: &mut [f64],
    ) -> Result {
        let acceptance = ArrayViewMut1::from(acceptance);
        walkers.in_runs(
            cx,
            self.target,
            acceptance,
            |cx, walkers, mut acceptance| self.apply_to(cx, walkers, &mut acceptance),
        )
    }

    fn apply_to(
        &self,
        cx: &mut Cx<'_>,
        walkers: &mut WalkersMut<'_>,
        acceptance: &mut ArrayViewMut1<'_, f64>,
    ) -> Result {
        let (n, d) = walkers.x.dim();
        let scale = self.rungs.map_or(self.scale, |r| r.scale);
        let first = walkers.first;
        let mut y = cx.take(n * d);
        let mut gradient = cx.take(n * d);
        let mut log_density = cx.take(n);
        let mut inverse = cx.take(scale.len());
        inverse
            .iter_mut()
            .zip(scale)
            .for_each(|(i, s)| *i = 1.0 / s);
        // `acceptance` carries ½‖z‖² = −log q(y|x) up to a constant from one pass to the other.
        let parts = (
            walkers.x.view(),
            walkers.gradient.view(),
            matrix_mut(&mut y, d),
            acceptance.view_mut(),
        );
        cx.rows(n, parts, |cx, range, (x, g, mut y, forward)| {
            cx.at("noise", 0).fill_normal(y.view_mut());
            let rows = dense(&x).chunks_exact(d).zip(dense(&g).chunks_exact(d));
            let rows = rows.zip(dense_mut(y).chunks_exact_mut(d)).zip(forward);
            for (i, (((x, g), y), forward)) in rows.enumerate() {
                let (path, h, place) = self.at(first + range.start + i, d);
                let (scale, noise) = (&scale[place], (2.0 * h).sqrt());
                let (mut squares, mut near) = (0.0, true);
                for j in 0..d {
                    let (z, s) = (y[j], scale[j]);
                    squares += z * z;
                    y[j] = x[j] + s * (h * s * path.slope(j, x[j], g[j]) + noise * z);
                    near &= y[j].abs() < FAR;
                }
                *forward = 0.5 * squares;
                if !near {
                    // Not a point any more: evaluates to no mass, held against nobody.
                    y.fill(f64::NAN);
                }
            }
            Ok(())
        })?;
        let values = Some(ArrayViewMut1::from(&mut log_density[..]));
        let slopes = Some(matrix_mut(&mut gradient, d));
        cx.eval_target(self.target, matrix(&y, d), values, slopes)?;
        let parts = (
            walkers.x.view_mut(),
            walkers.log_density.view_mut(),
            walkers.gradient.view_mut(),
            matrix(&y, d),
            ArrayView1::from(&log_density[..]),
            matrix(&gradient, d),
            acceptance.view_mut(),
        );
        cx.rows(n, parts, |cx, range, (x, mut l, g, y, ly, gy, mut a)| {
            let mut uniform = cx.take(l.len());
            cx.at("accept", 0)
                .fill_uniform_1(ArrayViewMut1::from(&mut uniform[..]));
            let (x, g, y, gy) = (dense_mut(x), dense_mut(g), dense(&y), dense(&gy));
            for (i, u) in uniform.iter().enumerate() {
                let (path, h, place) = self.at(first + range.start + i, d);
                let (scale, inverse) = (&scale[place.clone()], &inverse[place]);
                let at = i * d..(i + 1) * d;
                let (x, g) = (&mut x[at.clone()], &mut g[at.clone()]);
                let (y, gy) = (&y[at.clone()], &gy[at]);
                a[i] = if ly[i] == f64::NEG_INFINITY {
                    0.0
                } else {
                    let mut squares = 0.0;
                    for j in 0..d {
                        let s = scale[j];
                        let z = (x[j] - y[j]) * inverse[j] - h * s * path.slope(j, y[j], gy[j]);
                        squares += z * z;
                    }
                    let q = a[i] - squares / (4.0 * h);
                    let rho = path.value(y, ly[i]) - path.value(x, l[i]);
                    match self.fault {
                        Fault::None => (rho + q).min(0.0).exp(),
                        Fault::NoCorrection => 1.0,
                        Fault::NoProposalRatio => rho.min(0.0).exp(),
                        Fault::InverseProposalRatio => (rho - q).min(0.0).exp(),
                    }
                };
                if *u < a[i] {
                    x.copy_from_slice(y);
                    g.copy_from_slice(gy);
                    l[i] = ly[i];
                }
            }
            cx.give(uniform);
            Ok(())
        })?;
        cx.give(inverse);
        cx.give(log_density);
        cx.give(gradient);
        cx.give(y);
        Ok(())
    }
}

struct Chains {
    settings: Mala,
    start: Gaussian,
    target: Arc<dyn Target>,
    unit: Vec<f64>,
    fault: Fault,
}

impl Chains {
    fn new(settings: Mala, target: Arc<dyn Target>) -> Result<Self> {
        let s = &settings;
        check_positive(NAME, "step_size", s.step_size)?;
        check(
            NAME,
            "target_acceptance",
            s.target_acceptance,
            s.target_acceptance > 0.0 && s.target_acceptance < 1.0,
            "between 0 and 1",
        )?;
        Plan::new(NAME, s.chains, s.chains, s.warmup, s.thin)?;
        let d = target.dim();
        let start = Gaussian::new(NAME, d, START, &s.start_mean, &s.start_sd, false)?;
        Ok(Self {
            start,
            target,
            unit: vec![1.0; d],
            fault: Fault::None,
            settings,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct State {
    plan: Plan,
    walkers: Walkers,
    step: DualAveraging,
    /// Sum of the mean acceptances of the moves after warm-up.
    accepted: f64,
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
            .check_saved(self.settings.chains, self.target.dim())
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        let s = &self.settings;
        let plan = self.plan(n)?;
        Ok(State {
            plan,
            walkers: Walkers::start(cx, NAME, START, &*self.target, &self.start, s.chains)?,
            step: DualAveraging::new(s.step_size),
            accepted: 0.0,
        })
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        let s = &self.settings;
        let State {
            plan,
            walkers,
            step,
            accepted,
        } = state;
        let (n, d) = walkers.x.dim();
        if plan.done == 0 {
            sink.set_chains(plan.declared_chains())?;
            note_no_evidence(sink);
        }
        let moves = moves_of_step(n, d, MOVES);
        let mut kept = Kept::<3>::take(cx, plan, moves, d);
        let mut acceptance = cx.take(n);
        let mut steps = cx.take(n);
        for m in 0..plan.moves_now(moves) {
            cx.check_cancelled()?;
            let kernel = Move {
                target: &*self.target,
                path: Path::TARGET,
                step: step.step,
                scale: &self.unit,
                rungs: None,
                fault: self.fault,
            };
            kernel.apply(&mut cx.at("move", m), walkers, &mut acceptance)?;
            let mean = acceptance.iter().sum::<f64>() / n as f64;
            if !plan.warming_up() {
                *accepted += mean;
            } else if s.adapt {
                step.update(mean, s.target_acceptance);
                if plan.done + 1 == plan.warmup {
                    step.freeze();
                }
            }
            if plan.count_move() {
                steps.fill(kernel.step);
                let lp = walkers.log_density.view();
                let stats = [lp, (&acceptance[..]).into(), (&steps[..]).into()];
                kept.push((walkers.x.view(), stats));
            }
        }
        let stats = [
            walkers.log_density.view(),
            (&acceptance[..]).into(),
            (&steps[..]).into(),
        ];
        let names = ["lp", "accept_stat", "step_size"];
        kept.emit(cx, sink, names, (walkers.x.view(), stats))?;
        cx.give(steps);
        cx.give(acceptance);
        report(sink, NAME, plan, step.step, *accepted, s.target_acceptance);
        Ok(if plan.is_done() {
            Flow::Done
        } else {
            Flow::More
        })
    }
}

/// Shows acceptance and step size, and says at the end if the acceptance is out of range.
pub(crate) fn report(
    sink: &mut dyn Sink,
    component: &str,
    plan: &Plan,
    step: f64,
    accepted: f64,
    aim: f64,
) {
    sink.progress(plan.fraction());
    sink.scalar("step_size", step);
    if plan.done <= plan.warmup {
        return;
    }
    let acceptance = accepted / (plan.done - plan.warmup) as f64;
    sink.scalar("acceptance", acceptance);
    if plan.is_done() && !(0.5 * aim..=0.98).contains(&acceptance) {
        sink.flag(Flag::new(
            Severity::Warning,
            "acceptance",
            format!("{component}: the mean acceptance is {acceptance:.3}, far from {aim}"),
            "turn `adapt` on, or take a longer `warmup`; if it is low, a smaller `step_size`",
        ));
    }
}

register! {
    sampler "mala" => Mala, needs DENSITY_AND_GRADIENT,
        summary "Metropolis-adjusted Langevin chains with an adapted step size",
        source "Roberts & Tweedie (1996)";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_core::{Collected, PointTarget, Runtime, drive::drive};
    use retrograde_testkit::mean_se;

    /// N(0, 1).
    fn normal() -> Arc<dyn Target> {
        Arc::new(PointTarget::new(1, |x, g| {
            g[0] = -x[0];
            -0.5 * x[0] * x[0]
        }))
    }

    /// Gumbel: ℓ(x) = −x − e^{−x}; mean γ, variance π²/6.
    fn gumbel() -> Arc<dyn Target> {
        Arc::new(PointTarget::new(1, |x, g| {
            let e = (-x[0]).exp();
            g[0] = e - 1.0;
            -x[0] - e
        }))
    }

    /// Mean and variance of independent stationary chains at a large step, to 4.5 s.e.
    fn check_law(
        target: Arc<dyn Target>,
        mean: f64,
        variance: f64,
        fault: Fault,
    ) -> std::result::Result<(), String> {
        let settings = Mala {
            step_size: 0.8,
            adapt: false,
            warmup: 60,
            chains: 20_000,
            ..Mala::default()
        };
        let mut sampler = Chains::new(settings, target).unwrap();
        sampler.fault = fault;
        let mut out = Collected::new(1);
        let mut runtime = Runtime::new(3, 1).unwrap();
        drive(&sampler, &mut runtime, 20_000, None, &mut out).map_err(|e| e.to_string())?;
        let x = out.rows();
        for (what, (got, se), want) in [
            ("mean", mean_se(x.iter().copied()), mean),
            (
                "variance",
                mean_se(x.iter().map(|v| (v - mean).powi(2))),
                variance,
            ),
        ] {
            if (got - want).abs() >= 4.5 * se {
                return Err(format!("{what} {got} ± {se}, expected {want}"));
            }
        }
        Ok(())
    }

    #[test]
    fn the_stationary_law_is_the_target_and_wrong_corrections_are_noticed() {
        let (gamma, sixth) = (0.577_215_664_901_532_9, std::f64::consts::PI.powi(2) / 6.0);
        check_law(normal(), 0.0, 1.0, Fault::None).unwrap();
        check_law(gumbel(), gamma, sixth, Fault::None).unwrap();
        for fault in [
            Fault::NoCorrection,
            Fault::NoProposalRatio,
            Fault::InverseProposalRatio,
        ] {
            assert!(check_law(normal(), 0.0, 1.0, fault).is_err(), "{fault:?}");
            assert!(
                check_law(gumbel(), gamma, sixth, fault).is_err(),
                "{fault:?}"
            );
        }
    }
}
