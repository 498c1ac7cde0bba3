//! Underdamped Langevin dynamics by the splitting BAOAB.
//!
//! Source: Leimkuhler & Matthews (2013), Appl. Math. Res. eXpress 2013, 34, arXiv:1203.5428.
//!
//! dx = S v dt,   dv = S ∇ℓ(x) dt − γ v dt + √(2γ) dW,   S a diagonal scale (the masses are S⁻²)
//!
//! | part | flow |
//! | --- | --- |
//! | B | v ← v + (h/2) S ∇ℓ(x) |
//! | A | x ← x + (h/2) S v |
//! | O | v ← c v + √(1 − c²) z,   c = e^{−γh},   z ~ N(0, I) |
//!
//! The gradient of the last B is that of the next first one. Stable where h < 2/ω, ω² the largest
//! curvature of −ℓ in units of S. There is no correction. For N(m, S²/ω²) the stationary law is, at
//! every stable h and every γ, Var x = S²/ω², exactly, Var v = 1 − h²ω²/4, Cov = 0: half a kick takes
//! (1, 1 − h²ω²/4) to (1, 1) with covariance −hω²/2, half a drift from there, and back the same way.
//! Other targets: an error of O(h²) in the law of x, O(h⁴) in the limit of large γ.
//!
//! Cost: one gradient a move and chain, and one a chain at the start.

use crate::chains::{
    FAR, Gaussian, Kept, Plan, check, check_positive, dense, dense_mut, evaluate_starts, matrix_mut,
    moves_of_step, note_no_evidence, zeros,
};
use ndarray::{Array1, Array2};
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, Build, Cx, Error, Flag, Flow, Result, Sampler, Severity, Sink, Target, Traits,
    register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Keys that place the start.
const START: [&str; 2] = ["start_mean", "start_sd"];
const NAME: &str = "sampler baoab";
/// Moves of a step: few enough for cancelling and checkpoints, enough to hide the cost of a step.
const MOVES: u64 = 16;

/// Settings, as written under `[sampler]` with `kind = "baoab"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Baoab {
    /// Step size h, > 0, in units of time, where a mode of standard deviation s in units of `scale` is
    /// crossed in time s. Stable only below 2 s of the narrowest. Default 0.5.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step_size: f64,
    /// Friction γ, > 0, per unit of time: small for long glides, large for a random walk. Default 1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub friction: f64,
    /// Scale of each coordinate, > 0: about its standard deviation under the target; a number, or one a
    /// coordinate. Default 1.
    pub scale: PerCoordinate,
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

impl Default for Baoab {
    fn default() -> Self {
        Self {
            step_size: 0.5,
            friction: 1.0,
            scale: PerCoordinate::All(1.0),
            warmup: 1000,
            thin: 1,
            chains: 4,
            start_mean: PerCoordinate::All(0.0),
            start_sd: PerCoordinate::All(1.0),
        }
    }
}

impl Build<dyn Sampler> for Baoab {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Splitting::new(self, parts.require_target(NAME)?)?))
    }
}

/// A part of the dynamics that is solved exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
enum Part {
    /// Velocities at fixed positions, for h/2.
    B,
    /// Positions at fixed velocities, for h/2.
    A,
    /// Friction and noise, for h.
    O,
    /// Friction and noise, for h/2.
    HalfO,
}

/// The parts of a move before and after its gradient is taken. Tests put others here.
type Order = [&'static [Part]; 2];

const BAOAB: Order = [&[Part::B, Part::A, Part::O, Part::A], &[Part::B]];

struct Splitting {
    settings: Baoab,
    start: Gaussian,
    target: Arc<dyn Target>,
    /// Diagonal of S.
    scale: Vec<f64>,
    order: Order,
    /// c and √(1 − c²) of O, and of half of it.
    friction: [(f64, f64); 2],
}

impl Splitting {
    fn new(settings: Baoab, target: Arc<dyn Target>) -> Result<Self> {
        let s = &settings;
        check_positive(NAME, "step_size", s.step_size)?;
        check_positive(NAME, "friction", s.friction)?;
        Plan::new(NAME, s.chains, s.chains, s.warmup, s.thin)?;
        let d = target.dim();
        let start = Gaussian::new(NAME, d, START, &s.start_mean, &s.start_sd, false)?;
        let above = |s: f64| s > 0.0 && s.is_finite();
        let scale = s.scale.expand(d, NAME, "scale", above, "a number above 0")?;
        let part = |time: f64| {
            let c = (-s.friction * time).exp();
            // 1 − c² without cancellation for a small time.
            (c, (-(-2.0 * s.friction * time).exp_m1()).sqrt())
        };
        let friction = [part(s.step_size), part(0.5 * s.step_size)];
        let moves = friction[0].1 > 0.0;
        check(NAME, "friction", s.friction, moves, "so large that γh is not lost in rounding")?;
        Ok(Self {
            start,
            target,
            scale,
            order: BAOAB,
            friction,
            settings,
        })
    }

    /// Takes all chains through `parts`, with the gradient as it is kept. Random numbers are those of
    /// `cx`, which must be of these parts alone.
    fn apply(&self, cx: &mut Cx<'_>, parts: &[Part], chains: &mut Chains) -> Result {
        let (n, d) = chains.x.dim();
        let half = 0.5 * self.settings.step_size;
        let rows = (
            chains.x.view_mut(),
            chains.v.view_mut(),
            chains.gradient.view(),
            chains.diverged.view_mut(),
        );
        cx.rows(n, rows, |cx, _, (x, v, g, lost)| {
            let (x, v, g) = (dense_mut(x), dense_mut(v), dense(&g));
            let mut y = cx.take(x.len());
            y.copy_from_slice(x);
            for part in parts {
                match part {
                    Part::B => {
                        for (v, g) in v.chunks_exact_mut(d).zip(g.chunks_exact(d)) {
                            for j in 0..d {
                                v[j] += half * self.scale[j] * g[j];
                            }
                        }
                    }
                    Part::A => {
                        for (y, v) in y.chunks_exact_mut(d).zip(v.chunks_exact(d)) {
                            for j in 0..d {
                                y[j] += half * self.scale[j] * v[j];
                            }
                        }
                    }
                    Part::O | Part::HalfO => {
                        let (keep, noise) = self.friction[usize::from(*part == Part::HalfO)];
                        let mut z = cx.take(v.len());
                        cx.fill_normal(matrix_mut(&mut z, d));
                        for (v, z) in v.iter_mut().zip(&z) {
                            *v = keep * *v + noise * z;
                        }
                        cx.give(z);
                    }
                }
            }
            let moved = y.chunks_exact(d).zip(x.chunks_exact_mut(d));
            for (((new, x), v), lost) in moved.zip(v.chunks_exact_mut(d)).zip(lost) {
                *lost |= !new.iter().all(|v| v.abs() < FAR);
                if *lost {
                    v.fill(0.0);
                } else {
                    x.copy_from_slice(new);
                }
            }
            cx.give(y);
            Ok(())
        })
    }

    fn report_diverged(&self, diverged: usize, chains: usize, sink: &mut dyn Sink) -> Result {
        let advice = format!(
            "use a `step_size` below {} (it must stay below twice the standard deviation of the \
             narrowest mode in units of `scale`), or a sampler that adapts it, such as hmc",
            self.settings.step_size
        );
        if 2 * diverged > chains {
            return Err(Error::Breakdown {
                component: NAME.into(),
                message: format!("{diverged} of {chains} chains diverged"),
                advice,
            });
        }
        sink.flag(Flag::new(
            Severity::Failure,
            "diverged",
            format!("{diverged} of {chains} chains diverged and stay where they were last finite"),
            advice,
        ));
        Ok(())
    }
}

/// Where the chains are.
#[derive(Serialize, Deserialize)]
struct Chains {
    x: Array2<f64>,
    v: Array2<f64>,
    gradient: Array2<f64>,
    diverged: Array1<bool>,
}

#[derive(Serialize, Deserialize)]
struct State {
    plan: Plan,
    chains: Chains,
}

impl Algorithm for Splitting {
    type State = State;

    fn name(&self) -> &str {
        NAME
    }

    fn traits(&self) -> Traits {
        self.target.traits()
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        let s = &self.settings;
        let plan = Plan::new(NAME, n, s.chains, s.warmup, s.thin)?;
        let d = self.target.dim();
        let mut chains = Chains {
            x: zeros(NAME, s.chains, d)?,
            v: zeros(NAME, s.chains, d)?,
            gradient: zeros(NAME, s.chains, d)?,
            diverged: Array1::from_elem(s.chains, false),
        };
        self.start
            .draw(&mut cx.at("start", 0), chains.x.view_mut());
        cx.at("velocity", 0).fill_normal(chains.v.view_mut());
        let (x, gradient) = (chains.x.view(), Some(chains.gradient.view_mut()));
        if self.target.has_density() {
            let mut l = cx.take(s.chains);
            let out = (&mut l[..]).into();
            evaluate_starts(cx, NAME, START, &*self.target, x, out, gradient)?;
            cx.give(l);
        } else {
            cx.eval_target(&*self.target, x, None, gradient)?;
        }
        Ok(State { plan, chains })
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        let State { plan, chains } = state;
        let (n, d) = chains.x.dim();
        if plan.done == 0 {
            sink.set_chains(plan.declared_chains())?;
            note_no_evidence(sink);
            sink.flag(Flag::new(
                Severity::Note,
                "bias",
                format!(
                    "Where the target is not normal the law of the draws is off by an error of the \
                     order of the square of the step size, {}",
                    self.settings.step_size
                ),
                "halve `step_size` and compare, or use hmc, which has no such error",
            ));
        }
        let moves = moves_of_step(n, d, MOVES);
        let mut kept = Kept::<0>::take(cx, plan, moves, d);
        for m in 0..plan.moves_now(moves) {
            cx.check_cancelled()?;
            let [before, after] = self.order;
            self.apply(&mut cx.at("noise", m), before, chains)?;
            let gradient = Some(chains.gradient.view_mut());
            cx.eval_target(&*self.target, chains.x.view(), None, gradient)?;
            self.apply(&mut cx.at("noise after", m), after, chains)?;
            if plan.count_move() {
                kept.push((chains.x.view(), []));
            }
        }
        let lost = chains.diverged.iter().filter(|lost| **lost).count();
        if lost > 0 {
            self.report_diverged(lost, n, sink)?;
        }
        kept.emit(cx, sink, [], (chains.x.view(), []))?;
        sink.progress(plan.fraction());
        Ok(if plan.is_done() { Flow::Done } else { Flow::More })
    }
}

register! {
    sampler "baoab" => Baoab, needs GRADIENT,
        summary "Underdamped Langevin chains by the splitting BAOAB, exact for normal targets",
        source "Leimkuhler & Matthews (2013), arXiv:1203.5428";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_core::{Collected, PointTarget, Runtime, drive::drive};
    use retrograde_testkit::mean_se;

    type Checked = std::result::Result<(), String>;

    /// N(0, diag(1, 100²)).
    fn normal() -> Arc<dyn Target> {
        Arc::new(PointTarget::new(2, |x, g| {
            (g[0], g[1]) = (-x[0], -1e-4 * x[1]);
            -0.5 * (x[0] * x[0] + 1e-4 * x[1] * x[1])
        }))
    }

    fn settings(step_size: f64, friction: f64) -> Baoab {
        Baoab {
            step_size,
            friction,
            scale: vec![1.0, 100.0].into(),
            start_sd: vec![1.0, 100.0].into(),
            warmup: 60,
            chains: 20_000,
            ..Baoab::default()
        }
    }

    fn run(sampler: &dyn Sampler, d: usize, n: usize) -> Result<Collected> {
        let mut out = Collected::new(d);
        drive(sampler, &mut Runtime::new(3, 1)?, n, None, &mut out)?;
        Ok(out)
    }

    /// Stationary law of x and v in both coordinates, to 4.5 s.e.: Var x = s², Var v = 1 − h²/4,
    /// Cov = 0.
    fn check_law(sampler: &Splitting) -> Checked {
        let h = sampler.settings.step_size;
        let mut runtime = Runtime::new(3, 1).unwrap();
        let mut out = Collected::new(2);
        let mut state = runtime.enter("init", 0, |cx| sampler.init(cx, 20_000)).unwrap();
        for step in 0.. {
            let done = runtime.enter("sampler", 0, |cx| {
                sampler.step(&mut cx.at_step(step), &mut state, &mut out)
            });
            if done.map_err(|e| e.to_string())? == Flow::Done {
                break;
            }
        }
        let Chains { x, v, .. } = &state.chains;
        assert!(out.rows() == x, "what is emitted is where the chains are");
        for (j, s) in [1.0, 100.0].into_iter().enumerate() {
            let both = || x.column(j).into_iter().zip(v.column(j));
            for (what, (got, se), want) in [
                ("mean", mean_se(both().map(|(x, _)| x / s)), 0.0),
                ("variance", mean_se(both().map(|(x, _)| (x / s).powi(2))), 1.0),
                ("of v", mean_se(both().map(|(_, v)| v * v)), 1.0 - 0.25 * h * h),
                ("covariance", mean_se(both().map(|(x, v)| x / s * v)), 0.0),
            ] {
                if (got - want).abs() >= 4.5 * se {
                    return Err(format!("{what} in x{j}: {got} ± {se}, expected {want}"));
                }
            }
        }
        Ok(())
    }

    #[test]
    fn the_stationary_law_for_a_normal_target_is_exact_at_any_step() {
        for (h, gamma) in [(0.5, 1.0), (1.0, 0.3), (1.0, 20.0), (1.7, 1.0)] {
            check_law(&Splitting::new(settings(h, gamma), normal()).unwrap()).unwrap();
        }
    }

    #[test]
    fn other_orders_and_wrong_coefficients_are_noticed() {
        use Part::{A, B, HalfO, O};
        let wrong = |order: Order, friction: [(f64, f64); 2]| {
            let mut sampler = Splitting::new(settings(1.0, 1.0), normal()).unwrap();
            (sampler.order, sampler.friction) = (order, friction);
            check_law(&sampler)
        };
        let right = Splitting::new(settings(1.0, 1.0), normal()).unwrap().friction;
        wrong(BAOAB, right).unwrap();
        // Var x = 1/(1 − h²/4) for the first; exact in x, but Var v = 1/(1 − h²/4), for the second.
        let orders: [(&str, Order); 5] = [
            ("OBABO", [&[HalfO, B, A, A], &[B, HalfO]]),
            ("ABOBA", [&[A], &[B, O, B, A]]),
            ("OBAAB", [&[O, B, A, A], &[B]]),
            ("AOABB", [&[A, O, A], &[B, B]]),
            ("no friction", [&[B, A, A], &[B]]),
        ];
        for (what, order) in orders {
            assert!(wrong(order, right).is_err(), "{what} was not noticed");
        }
        let c = right[0].0;
        for (what, part) in [
            ("noise √(1 − c)", (c, (1.0 - c).sqrt())),
            ("noise of half a step", (c, right[1].1)),
            ("friction of half a step", (right[1].0, right[0].1)),
            ("no noise", (c, 0.0)),
        ] {
            assert!(wrong(BAOAB, [part, right[1]]).is_err(), "{what} was not noticed");
        }
    }

    #[test]
    fn other_targets_have_an_error_that_vanishes_with_the_step() {
        // ℓ = −ln cosh x, of curvature ≤ 1: E x² = π²/4.
        let sech = || {
            Arc::new(PointTarget::new(1, |x, g| {
                g[0] = -x[0].tanh();
                -x[0].cosh().ln()
            }))
        };
        let truth = std::f64::consts::PI.powi(2) / 4.0;
        let error = |h: f64, warmup| {
            let s = Baoab {
                step_size: h,
                warmup,
                chains: 1000,
                ..Baoab::default()
            };
            let out = run(&Splitting::new(s, sech()).unwrap(), 1, 400_000).unwrap();
            let x = out.by_chain();
            let squares = x.outer_iter().map(|c| c.mapv(|v| v * v).mean().unwrap());
            let (got, se) = mean_se(squares);
            (got - truth, se)
        };
        let (small, se) = error(0.3, 100);
        assert!(small.abs() < 4.5 * se, "{small} ± {se}");
        let (large, se) = error(1.8, 50);
        assert!(large.abs() > 4.5 * se && large.abs() < 0.5, "{large} ± {se}");
    }

    #[test]
    fn one_gradient_a_move() {
        let s = Baoab {
            warmup: 10,
            thin: 3,
            ..Baoab::default()
        };
        let sampler: &dyn Sampler = &Splitting::new(s, normal()).unwrap();
        let (mut out, mut runtime) = (Collected::new(2), Runtime::new(3, 1).unwrap());
        drive(sampler, &mut runtime, 40, None, &mut out).unwrap();
        assert_eq!(runtime.counts().gradient_evals, 4 * (1 + 10 + 3 * 10));
        assert_eq!(runtime.counts().density_evals, 4);
    }

    #[test]
    fn a_few_diverged_chains_are_flagged_and_stay_finite() {
        // ℓ = −x⁴/4: a start beyond some x is unstable at h = 0.2.
        let quartic = Arc::new(PointTarget::new(1, |x, g| {
            g[0] = -x[0].powi(3);
            -0.25 * x[0].powi(4)
        }));
        let s = Baoab {
            step_size: 0.2,
            warmup: 100,
            chains: 1000,
            start_sd: PerCoordinate::All(3.5),
            ..Baoab::default()
        };
        let out = run(&Splitting::new(s, quartic).unwrap(), 1, 1000).unwrap();
        let flag = &out.flags["diverged"];
        assert_eq!(flag.severity, Severity::Failure);
        let lost: f64 = flag.text.split(' ').next().unwrap().parse().unwrap();
        assert!((1.0..200.0).contains(&lost), "{}", flag.text);
        assert!(out.rows().iter().all(|v| v.is_finite()));
    }

    #[test]
    fn divergence_stops_the_run_with_advice() {
        let s = Baoab {
            step_size: 2.5,
            ..Baoab::default()
        };
        let error = run(&Splitting::new(s, normal()).unwrap(), 2, 8).unwrap_err();
        assert!(matches!(error, Error::Breakdown { .. }), "{error}");
        assert!(error.to_string().contains("step_size"), "{error}");
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let default = Baoab::default;
        for (key, s) in [
            ("friction", Baoab { friction: 0.0, ..default() }),
            ("friction", Baoab { friction: 1e-320, step_size: 1e-9, ..default() }),
            ("scale", Baoab { scale: 0.0.into(), ..default() }),
            ("scale", Baoab { scale: vec![1.0; 3].into(), ..default() }),
            ("thin", Baoab { thin: 0, ..default() }),
            ("step_size", Baoab { step_size: 0.0, ..default() }),
        ] {
            let error = Splitting::new(s, normal()).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
    }
}
