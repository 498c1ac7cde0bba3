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
//! The last B of a move and the first of the next have the same gradient and are done at once. Stable
//! where h < 2/ω, ω² the largest curvature of −ℓ in units of S. There is no correction. For
//! N(m, S²/ω²) the stationary law is, at every stable h and every γ, Var x = S²/ω², exactly,
//! Var v = 1 − h²ω²/4, Cov = 0. Other targets: an error of O(h²) in the law of x, O(h⁴) in the limit of
//! large γ.
//!
//! Cost: one gradient a move and chain, and one a chain at the start.

use crate::chains::{
    Gaussian, Kept, Plan, check, check_length, check_positive, dense_mut, evaluate_starts,
    matrix_mut, moves_of_step, note_no_evidence, zeros,
};
use crate::guided::{gradients, settle, sweep};
use ndarray::{Array1, Array2};
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, Build, Cx, Error, Flag, Flow, Result, Sampler, Severity, Signature, Sink, Target,
    Traits, register,
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
enum Part {
    /// Velocities at fixed positions, for h/2.
    B,
    /// Positions at fixed velocities, for h/2.
    A,
    /// Friction and noise, for h.
    O,
}

/// The parts before and after the gradient is taken. Tests put others here.
type Order = [&'static [Part]; 2];

/// From the first A of a move to the first B of the next.
const BAOAB: Order = [&[Part::A, Part::O, Part::A], &[Part::B, Part::B]];

struct Splitting {
    settings: Baoab,
    start: Gaussian,
    target: Arc<dyn Target>,
    /// Diagonal of S.
    scale: Vec<f64>,
    order: Order,
    /// c and √(1 − c²).
    friction: (f64, f64),
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
        let scale = s
            .scale
            .expand(d, NAME, "scale", above, "a number above 0")?;
        let time = s.friction * s.step_size;
        // 1 − c² without cancellation for a small time.
        let friction = ((-time).exp(), (-(-2.0 * time).exp_m1()).sqrt());
        let says = "so large that γh is not lost in rounding";
        check(NAME, "friction", s.friction, friction.1 > 0.0, says)?;
        Ok(Self {
            start,
            target,
            scale,
            order: BAOAB,
            friction,
            settings,
        })
    }

    /// `moves` moves of all chains, from number `first` of the step on, block of rows by block of rows,
    /// so that a block stays in the cache.
    fn travel(&self, cx: &mut Cx<'_>, chains: &mut Chains, first: u64, moves: u64) -> Result {
        let (n, d) = chains.x.dim();
        let [before, after] = self.order;
        let rows = (
            chains.x.view_mut(),
            chains.v.view_mut(),
            chains.diverged.view_mut(),
        );
        sweep(cx, &*self.target, n, rows, |cx, (x, v, mut lost)| {
            let (x, v) = (dense_mut(x), dense_mut(v));
            let (mut y, mut g, mut z) = (cx.take(x.len()), cx.take(x.len()), cx.take(x.len()));
            for m in first..first + moves {
                cx.check_cancelled()?;
                y.copy_from_slice(x);
                cx.at("noise", m).fill_normal(matrix_mut(&mut z, d));
                self.apply(before, &mut y, v, &g, &z);
                settle(x, &y, &mut lost, d);
                gradients(cx, &*self.target, &mut y, &mut g, &mut lost)?;
                self.apply(after, &mut y, v, &g, &z);
                settle(x, &y, &mut lost, d);
            }
            for buffer in [y, g, z] {
                cx.give(buffer);
            }
            Ok(())
        })
    }

    /// Takes rows of positions `y` and velocities `v` through `parts`; `z` are normals.
    fn apply(&self, parts: &[Part], y: &mut [f64], v: &mut [f64], g: &[f64], z: &[f64]) {
        let d = self.scale.len();
        let half = 0.5 * self.settings.step_size;
        let (keep, noise) = self.friction;
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
                Part::O => {
                    for (v, z) in v.iter_mut().zip(z) {
                        *v = keep * *v + noise * z;
                    }
                }
            }
        }
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
    /// Velocities after the first B of the move to come.
    v: Array2<f64>,
    diverged: Array1<bool>,
}

#[derive(Serialize, Deserialize)]
struct State {
    plan: Plan,
    chains: Chains,
}

impl Splitting {
    fn plan(&self, n: usize) -> Result<Plan> {
        let s = &self.settings;
        Plan::new(NAME, n, s.chains, s.warmup, s.thin)
    }
}

impl Algorithm for Splitting {
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
        let (want, Chains { x, v, diverged }) =
            ((self.settings.chains, self.target.dim()), &state.chains);
        if x.dim() != want || v.dim() != want {
            let found = (x.dim(), v.dim());
            return Err(format!(
                "points and velocities of shapes {found:?}, not {want:?}"
            ));
        }
        check_length("marks of divergence", diverged.len(), self.settings.chains)
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        let s = &self.settings;
        let plan = self.plan(n)?;
        let d = self.target.dim();
        let mut chains = Chains {
            x: zeros(NAME, s.chains, d)?,
            v: zeros(NAME, s.chains, d)?,
            diverged: Array1::from_elem(s.chains, false),
        };
        let Chains { x, v, .. } = &mut chains;
        self.start.draw(&mut cx.at("start", 0), x.view_mut());
        cx.at("velocity", 0).fill_normal(v.view_mut());
        let (mut g, mut l) = (cx.take(x.len()), cx.take(s.chains));
        let gradient = Some(matrix_mut(&mut g, d));
        if self.target.has_density() {
            let out = (&mut l[..]).into();
            evaluate_starts(cx, NAME, START, &*self.target, x.view(), out, gradient)?;
        } else {
            cx.eval_target(&*self.target, x.view(), None, gradient)?;
        }
        self.apply(&[Part::B], &mut [], dense_mut(v.view_mut()), &g, &[]);
        cx.give(l);
        cx.give(g);
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
        let most = moves_of_step(n, d, MOVES);
        let mut kept = Kept::<0>::take(cx, plan, most, d);
        // A large batch keeps no copies: its step ends with the next draw.
        let most = if most == 1 {
            MOVES.min(plan.until_draw())
        } else {
            most
        };
        let (moves, mut m) = (plan.moves_now(most), 0);
        while m < moves {
            let burst = plan.until_draw().min(moves - m);
            self.travel(cx, chains, m, burst)?;
            m += burst;
            let last = (0..burst).map(|_| plan.count_move()).last();
            if last == Some(true) {
                kept.push((chains.x.view(), []));
            }
        }
        let lost = chains.diverged.iter().filter(|lost| **lost).count();
        if lost > 0 {
            self.report_diverged(lost, n, sink)?;
        }
        kept.emit(cx, sink, [], (chains.x.view(), []))?;
        sink.progress(plan.fraction());
        Ok(if plan.is_done() {
            Flow::Done
        } else {
            Flow::More
        })
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
        let mut state = runtime
            .enter("init", 0, |cx| sampler.init(cx, 20_000))
            .unwrap();
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
        // Without the kick of the move to come, −(h/2) x/s.
        let mut v = v.clone();
        for (j, s) in [1.0, 100.0].into_iter().enumerate() {
            v.column_mut(j).scaled_add(0.5 * h / s, &x.column(j));
        }
        for (j, s) in [1.0, 100.0].into_iter().enumerate() {
            let both = || x.column(j).into_iter().zip(v.column(j));
            for (what, (got, se), want) in [
                ("mean", mean_se(both().map(|(x, _)| x / s)), 0.0),
                (
                    "variance",
                    mean_se(both().map(|(x, _)| (x / s).powi(2))),
                    1.0,
                ),
                (
                    "of v",
                    mean_se(both().map(|(_, v)| v * v)),
                    1.0 - 0.25 * h * h,
                ),
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
        use Part::{A, B, O};
        let wrong = |order: Order, friction: (f64, f64)| {
            let mut sampler = Splitting::new(settings(1.0, 1.0), normal()).unwrap();
            (sampler.order, sampler.friction) = (order, friction);
            check_law(&sampler)
        };
        let right = Splitting::new(settings(1.0, 1.0), normal())
            .unwrap()
            .friction;
        wrong(BAOAB, right).unwrap();
        // Var x = 1/(1 − h²/4) for the first; exact in x, but Var v = 1/(1 − h²/4), for the second.
        let orders: [(&str, Order); 5] = [
            ("OBABO", [&[A, A], &[B, O, B]]),
            ("ABOBA", [&[A], &[B, O, B, A]]),
            ("OBAAB", [&[O, A, A], &[B, B]]),
            ("one kick", [&[A, O, A], &[B]]),
            ("no friction", [&[A, A], &[B, B]]),
        ];
        for (what, order) in orders {
            assert!(wrong(order, right).is_err(), "{what} was not noticed");
        }
        let c = right.0;
        for (what, friction) in [
            ("noise √(1 − c)", (c, (1.0 - c).sqrt())),
            ("friction of half a step", (c.sqrt(), right.1)),
            ("no noise", (c, 0.0)),
        ] {
            assert!(wrong(BAOAB, friction).is_err(), "{what} was not noticed");
        }
    }

    #[test]
    fn one_move_by_hand() {
        let s = Baoab {
            step_size: 0.5,
            friction: 2.0,
            scale: PerCoordinate::All(1.0),
            start_sd: PerCoordinate::All(0.0),
            start_mean: vec![2.0, -100.0].into(),
            warmup: 0,
            chains: 1,
            ..Baoab::default()
        };
        let out = run(&Splitting::new(s, normal()).unwrap(), 2, 1).unwrap();
        let (mut v, mut z) = (Array2::zeros((1, 2)), Array2::zeros((1, 2)));
        Runtime::new(3, 1).unwrap().enter("sampler", 0, |cx| {
            cx.at("init", 0).at("velocity", 0).fill_normal(v.view_mut());
            cx.at_step(0).at("noise", 0).fill_normal(z.view_mut());
        });
        let c = (-1.0f64).exp();
        for (j, (x, g)) in [(2.0, -2.0), (-100.0, 0.01)].into_iter().enumerate() {
            let kicked = v[(0, j)] + 0.25 * g;
            let damped = c * kicked + (1.0 - c * c).sqrt() * z[(0, j)];
            let want = x + 0.25 * kicked + 0.25 * damped;
            assert!((out.rows()[(0, j)] - want).abs() < 1e-13);
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
        assert!(
            large.abs() > 4.5 * se && large.abs() < 0.5,
            "{large} ± {se}"
        );
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
            (
                "friction",
                Baoab {
                    friction: 0.0,
                    ..default()
                },
            ),
            (
                "friction",
                Baoab {
                    friction: 1e-320,
                    step_size: 1e-9,
                    ..default()
                },
            ),
            (
                "scale",
                Baoab {
                    scale: 0.0.into(),
                    ..default()
                },
            ),
            (
                "scale",
                Baoab {
                    scale: vec![1.0; 3].into(),
                    ..default()
                },
            ),
            (
                "thin",
                Baoab {
                    thin: 0,
                    ..default()
                },
            ),
            (
                "step_size",
                Baoab {
                    step_size: 0.0,
                    ..default()
                },
            ),
        ] {
            let error = Splitting::new(s, normal())
                .map(|_| ())
                .unwrap_err()
                .to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
    }
}
