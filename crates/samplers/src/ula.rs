//! Unadjusted Langevin algorithm (ULA).
//!
//! Source: Roberts & Tweedie (1996), Bernoulli 2, 341; Durmus & Moulines (2017), arXiv:1507.05021.
//!
//! x′ = x + h ∇ℓ(x) + √(2h) z,   z ~ N(0, I)
//!
//! Stable where h < 2/L (L: Lipschitz constant of ∇ℓ). There is no correction, so that the law of
//! the draws is off by O(h): for N(0, s²) the stationary variance is s² / (1 − h/(2s²)).
//!
//! Cost: one gradient a move and chain.

use crate::chains::{
    FAR, Gaussian, Kept, Plan, check_length, check_positive, dense, dense_mut, evaluate_starts,
    matrix, matrix_mut, moves_of_step, note_no_evidence, zeros,
};
use ndarray::{Array1, Array2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, BLOCK, Build, Cx, Error, Flag, Flow, Result, Sampler, Severity, Signature, Sink,
    Target, Traits, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Keys that place the start.
const START: [&str; 2] = ["start_mean", "start_sd"];
const NAME: &str = "sampler ula";
/// Moves of a step: few enough for cancelling and checkpoints, enough to hide the cost of a step.
const MOVES: u64 = 16;

/// Settings, as written under `[sampler]` with `kind = "ula"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ula {
    /// Step size h, > 0, in units of x². Stable only below 2/L, where L bounds the curvature
    /// (1/s² for a Gaussian of standard deviation s); the bias grows with it. Default 0.1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step_size: f64,
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

impl Default for Ula {
    fn default() -> Self {
        Self {
            step_size: 0.1,
            warmup: 1000,
            thin: 1,
            chains: 4,
            start_mean: PerCoordinate::All(0.0),
            start_sd: PerCoordinate::All(1.0),
        }
    }
}

impl Build<dyn Sampler> for Ula {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Langevin::new(self, parts.require_target(NAME)?)?))
    }
}

struct Langevin {
    settings: Ula,
    start: Gaussian,
    target: Arc<dyn Target>,
    /// Factor of the gradient, h.
    drift: f64,
    /// Factor of the noise, √(2h).
    noise: f64,
}

impl Langevin {
    fn new(settings: Ula, target: Arc<dyn Target>) -> Result<Self> {
        let h = settings.step_size;
        check_positive(NAME, "step_size", h)?;
        Plan::new(
            NAME,
            settings.chains,
            settings.chains,
            settings.warmup,
            settings.thin,
        )?;
        let start = Gaussian::new(
            NAME,
            target.dim(),
            START,
            &settings.start_mean,
            &settings.start_sd,
            false,
        )?;
        Ok(Self {
            settings,
            start,
            target,
            drift: h,
            noise: (2.0 * h).sqrt(),
        })
    }

    /// Moves a block of chains with the gradients `g`, but leaves those where they are that diverge.
    fn move_block(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayViewMut2<'_, f64>,
        g: &[f64],
        lost: ArrayViewMut1<'_, bool>,
    ) {
        let d = x.ncols();
        let x = dense_mut(x);
        let mut z = cx.take(x.len());
        cx.fill_normal(matrix_mut(&mut z, d));
        let mut near = true;
        for (z, (x, g)) in z.iter_mut().zip(x.iter().zip(g)) {
            *z = x + self.drift * g + self.noise * *z;
            near &= z.abs() < FAR;
        }
        if near && lost.iter().all(|lost| !lost) {
            x.copy_from_slice(&z);
        } else {
            let moved = z.chunks_exact(d).zip(x.chunks_exact_mut(d));
            for ((new, x), lost) in moved.zip(lost) {
                *lost |= !new.iter().all(|v| v.abs() < FAR);
                if !*lost {
                    x.copy_from_slice(new);
                }
            }
        }
        cx.give(z);
    }

    fn report_diverged(&self, diverged: usize, chains: usize, sink: &mut dyn Sink) -> Result {
        let advice = format!(
            "use a `step_size` below {} (it must stay below 2/L, L the largest curvature), or a \
             sampler that adapts it, such as mala",
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

#[derive(Serialize, Deserialize)]
struct State {
    plan: Plan,
    x: Array2<f64>,
    diverged: Array1<bool>,
}

impl Langevin {
    fn plan(&self, n: usize) -> Result<Plan> {
        let s = &self.settings;
        Plan::new(NAME, n, s.chains, s.warmup, s.thin)
    }
}

impl Algorithm for Langevin {
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
        let want = (self.settings.chains, self.target.dim());
        if state.x.dim() != want {
            return Err(format!("points of shape {:?}, not {want:?}", state.x.dim()));
        }
        check_length(
            "marks of divergence",
            state.diverged.len(),
            self.settings.chains,
        )
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        let s = &self.settings;
        let plan = self.plan(n)?;
        let mut x = zeros(NAME, s.chains, self.target.dim())?;
        self.start.draw(&mut cx.at("start", 0), x.view_mut());
        if self.target.has_density() {
            let mut l = cx.take(s.chains);
            let out = (&mut l[..]).into();
            evaluate_starts(cx, NAME, START, &*self.target, x.view(), out, None)?;
            cx.give(l);
        }
        Ok(State {
            plan,
            x,
            diverged: Array1::from_elem(s.chains, false),
        })
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        let State { plan, x, diverged } = state;
        let (chains, d) = x.dim();
        if plan.done == 0 {
            sink.set_chains(plan.declared_chains())?;
            note_no_evidence(sink);
            sink.flag(Flag::new(
                Severity::Note,
                "bias",
                format!(
                    "The law of the draws is off by an error of the order of the step size, {}",
                    self.settings.step_size
                ),
                "halve `step_size` and compare, or use mala, which has no such error",
            ));
        }
        let moves = moves_of_step(chains, d, MOVES);
        let mut kept = Kept::<0>::take(cx, plan, moves, d);
        // Either way the same bits: a block's gradient is used while it is in the cache, or all of it
        // is had first, of a target that may not be split into blocks or is worth splitting finer.
        let by_block = self.target.traits() == Traits::PURE && chains >= 4 * BLOCK * cx.threads();
        let mut gradient = cx.take(if by_block { 0 } else { chains * d });
        for m in 0..plan.moves_now(moves) {
            cx.check_cancelled()?;
            let target = &*self.target;
            if by_block {
                let parts = (x.view_mut(), diverged.view_mut());
                cx.at("noise", m).rows(chains, parts, |cx, _, (x, lost)| {
                    let mut g = cx.take(x.len());
                    cx.eval_target(target, x.view(), None, Some(matrix_mut(&mut g, d)))?;
                    self.move_block(cx, x, &g, lost);
                    cx.give(g);
                    Ok(())
                })?;
            } else {
                cx.eval_target(target, x.view(), None, Some(matrix_mut(&mut gradient, d)))?;
                let parts = (x.view_mut(), matrix(&gradient, d), diverged.view_mut());
                cx.at("noise", m)
                    .rows(chains, parts, |cx, _, (x, g, lost)| {
                        self.move_block(cx, x, dense(&g), lost);
                        Ok(())
                    })?;
            }
            if plan.count_move() {
                kept.push((x.view(), []));
            }
        }
        let lost = diverged.iter().filter(|lost| **lost).count();
        if lost > 0 {
            self.report_diverged(lost, chains, sink)?;
        }
        kept.emit(cx, sink, [], (x.view(), []))?;
        cx.give(gradient);
        sink.progress(plan.fraction());
        Ok(if plan.is_done() {
            Flow::Done
        } else {
            Flow::More
        })
    }
}

register! {
    sampler "ula" => Ula, needs GRADIENT,
        summary "Unadjusted Langevin chains, with a bias of the order of the step size",
        source "Durmus & Moulines (2017), arXiv:1507.05021";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_core::{Collected, PointTarget, Runtime, drive::drive};
    use retrograde_testkit::mean_se;

    fn normal(d: usize) -> Arc<dyn Target> {
        Arc::new(PointTarget::new(d, |x, g| {
            g.iter_mut().zip(x).for_each(|(g, x)| *g = -x);
            -0.5 * x.iter().map(|v| v * v).sum::<f64>()
        }))
    }

    fn settings() -> Ula {
        Ula {
            step_size: 0.5,
            warmup: 60,
            chains: 20_000,
            ..Ula::default()
        }
    }

    fn run(sampler: &dyn Sampler, d: usize, n: usize) -> Result<Collected> {
        let mut out = Collected::new(d);
        drive(sampler, &mut Runtime::new(3, 1)?, n, None, &mut out)?;
        Ok(out)
    }

    /// Mean 0 and variance 1/(1 − h/2) of independent stationary chains on N(0, 1), to 4.5 s.e.
    fn check_law(sampler: &Langevin) -> std::result::Result<(), String> {
        let out = run(sampler, 1, 20_000).map_err(|e| e.to_string())?;
        let truth = 1.0 / (1.0 - sampler.settings.step_size / 2.0);
        let x = out.rows();
        for (what, (got, se), want) in [
            ("mean", mean_se(x.iter().copied()), 0.0),
            ("variance", mean_se(x.iter().map(|v| v * v)), truth),
        ] {
            if (got - want).abs() >= 4.5 * se {
                return Err(format!("{what} {got} ± {se}, expected {want}"));
            }
        }
        Ok(())
    }

    #[test]
    fn the_stationary_law_has_its_known_bias_and_no_other() {
        let right = Langevin::new(settings(), normal(1)).unwrap();
        check_law(&right).unwrap();
        let (h, noise) = (right.drift, right.noise);
        for (what, drift, noise) in [
            ("drift of the wrong sign", -h, noise),
            ("drift missing", 0.0, noise),
            ("drift halved", 0.5 * h, noise),
            ("noise missing", h, 0.0),
            ("noise doubled", h, 2.0 * noise),
            ("noise of variance h", h, h.sqrt()),
        ] {
            let mut wrong = Langevin::new(settings(), normal(1)).unwrap();
            (wrong.drift, wrong.noise) = (drift, noise);
            assert!(check_law(&wrong).is_err(), "{what} was not noticed");
        }
    }

    #[test]
    fn one_move_by_hand() {
        let s = Ula {
            step_size: 0.25,
            warmup: 0,
            chains: 1,
            start_mean: PerCoordinate::All(2.0),
            start_sd: PerCoordinate::All(0.0),
            ..Ula::default()
        };
        let out = run(&Langevin::new(s, normal(1)).unwrap(), 1, 1).unwrap();
        let mut z = Array2::zeros((1, 1));
        Runtime::new(3, 1).unwrap().enter("sampler", 0, |cx| {
            cx.at_step(0).at("noise", 0).fill_normal(z.view_mut());
        });
        assert_eq!(
            out.rows()[(0, 0)],
            2.0 - 0.25 * 2.0 + 0.5f64.sqrt() * z[(0, 0)]
        );
    }

    #[test]
    fn a_few_diverged_chains_are_flagged_and_stay_finite() {
        // ℓ = −x⁴/4: stable at h = 0.01 from |x| < 14.1, which is 2.4 standard deviations of the start.
        let quartic = Arc::new(PointTarget::new(1, |x, g| {
            g[0] = -x[0].powi(3);
            -0.25 * x[0].powi(4)
        }));
        let s = Ula {
            step_size: 0.01,
            warmup: 100,
            chains: 1000,
            start_sd: PerCoordinate::All(6.0),
            ..Ula::default()
        };
        let out = run(&Langevin::new(s, quartic).unwrap(), 1, 1000).unwrap();
        let flag = &out.flags["diverged"];
        assert_eq!(flag.severity, Severity::Failure);
        let far = out.rows().iter().filter(|v| v.abs() > 14.0).count();
        assert!((5..40).contains(&far), "{far}");
        assert!(
            flag.text.starts_with(&format!("{far} of 1000")),
            "{}",
            flag.text
        );
        assert!(out.rows().iter().all(|v| v.is_finite()));
    }

    /// A target that says it may be called on one thread at a time, so that it is not called by block.
    struct Serial(Arc<dyn Target>);

    impl Target for Serial {
        fn dim(&self) -> usize {
            self.0.dim()
        }

        fn traits(&self) -> Traits {
            Traits {
                threading: retrograde_core::Threading::Serial,
                ..Traits::PURE
            }
        }

        fn eval(
            &self,
            cx: &mut Cx<'_>,
            x: ndarray::ArrayView2<'_, f64>,
            l: Option<ArrayViewMut1<'_, f64>>,
            g: Option<ArrayViewMut2<'_, f64>>,
        ) -> Result {
            self.0.eval(cx, x, l, g)
        }
    }

    #[test]
    fn gradients_by_block_and_all_at_once_give_the_same_bits_and_failures() {
        let chains = 8 * BLOCK + 3;
        let bits = |target: Arc<dyn Target>, threads: usize| {
            let s = Ula {
                warmup: 5,
                chains,
                ..settings()
            };
            let mut out = Collected::new(2);
            let mut runtime = Runtime::new(3, threads)?;
            let sampler = Langevin::new(s, target)?;
            drive(&sampler, &mut runtime, chains, None, &mut out)?;
            let rows: Vec<u64> = out.rows().iter().map(|v| v.to_bits()).collect();
            Ok::<_, Error>((rows, runtime.counts().clone()))
        };
        let all_at_once = bits(Arc::new(Serial(normal(2))), 1).unwrap();
        for threads in [1, 2, 7] {
            assert_eq!(
                bits(normal(2), threads).unwrap(),
                all_at_once,
                "{threads} threads"
            );
        }
        // Where x > 1, which is a sixth of the rows, there is no gradient: too many, and the first of
        // them is the same row of the batch.
        let torn = || -> Arc<dyn Target> {
            Arc::new(PointTarget::new(2, |x, g| {
                g.copy_from_slice(&[if x[0] > 1.0 { f64::NAN } else { -x[0] }, -x[1]]);
                -0.5 * (x[0] * x[0] + x[1] * x[1])
            }))
        };
        let [one, other] = [torn(), Arc::new(Serial(torn())) as Arc<dyn Target>].map(|t| {
            let error = bits(t, 1).unwrap_err();
            assert!(matches!(error, Error::NonFinite { .. }), "{error}");
            error.to_string()
        });
        assert_eq!(one, other);
    }

    #[test]
    fn divergence_stops_the_run_with_advice() {
        let s = Ula {
            step_size: 3.0,
            chains: 4,
            ..Ula::default()
        };
        let error = run(&Langevin::new(s, normal(2)).unwrap(), 2, 8).unwrap_err();
        assert!(matches!(error, Error::Breakdown { .. }), "{error}");
        assert!(error.to_string().contains("step_size"), "{error}");
    }
}
