use super::*;
use crate::exact;
use crate::test_processes::{Alike, Ou};
use ndarray::{array, s};
use retrograde_core::{GaussianMixture, Law, PointTarget, WarpMap};
use retrograde_testkit::with_cx;

/// ½N(−0.4, 0.04) + ½N(1.6, 0.04).
fn start() -> GaussianMixture {
    let means = array![[-0.4], [1.6]];
    GaussianMixture::isotropic(array![1.0, 1.0], means, array![0.04, 0.04]).unwrap()
}

/// f = −U′ with U = (x² − 1)²/4, g = 1.
fn well(t_end: f64) -> Alike {
    Alike::additive(1, t_end, |x| x - x * x * x, |_| 1.0)
}

fn at(score: &GridScore, t: f64, x: f64) -> (f64, f64) {
    let (x, mut l, mut g) = (array![[x]], array![0.0], array![[0.0]]);
    with_cx(0, |cx| {
        LogMarginal::log_marginal(score, cx, Times::Shared(t), x.view(), l.view_mut()).unwrap();
        cx.eval_score(score, Times::Shared(t), x.view(), g.view_mut())
            .unwrap();
    });
    (l[0], g[(0, 0)])
}

fn settings(half: f64, cells: usize, steps: usize) -> FokkerPlanck {
    FokkerPlanck {
        lower: -half,
        upper: half,
        cells,
        steps,
        grading: 1.0,
    }
}

#[test]
fn the_double_well_has_its_moments_and_refines_with_order_two() {
    let solve = |n: usize| {
        let score = settings(5.0, n, n * 2 / 5)
            .solve(&start(), &well(1.0))
            .unwrap();
        let p = score.densities().row(n * 2 / 5).to_owned();
        let width = 10.0 / n as f64;
        let moment = |of: &dyn Fn(f64) -> f64| -> f64 {
            (0..n).map(|i| p[i] * of(score.centre(i)) * width).sum()
        };
        let mean = moment(&|x| x);
        (
            at(&score, 1.0, 0.0).0.exp(),
            mean,
            moment(&|x| (x - mean) * (x - mean)),
        )
    };
    let all: Vec<(f64, f64, f64)> = [400, 800, 1600, 3200].map(solve).into();
    let (p, mean, variance) = all[3];
    assert!((p - 0.232_099).abs() < 1e-6, "{all:?}");
    assert!((mean - 0.22717).abs() < 1e-5, "{all:?}");
    assert!((variance - 0.85695).abs() < 1e-5, "{all:?}");
    for w in all.windows(3) {
        let ratio = (w[1].0 - w[0].0) / (w[2].0 - w[1].0);
        assert!((3.0..5.0).contains(&ratio), "{ratio} {all:?}");
    }
}

#[test]
fn the_stationary_law_and_the_mass_are_kept_to_rounding() {
    let stationary =
        |factor: f64| PointTarget::new(1, move |x, _| -factor * (x[0] * x[0] - 1.0).powi(2) / 2.0);
    let drift = |factor: f64| {
        let score = settings(4.0, 400, 200)
            .solve(&stationary(factor), &well(2.0))
            .unwrap();
        let levels = score.densities();
        let change = &levels.slice(s![200, ..]) - &levels.slice(s![0, ..]);
        change.iter().fold(0.0f64, |m, c| m.max(c.abs()))
    };
    assert!(drift(1.0) < 1e-13, "{}", drift(1.0));
    assert!(drift(1.05) > 1e-3);
    let score = settings(5.0, 400, 200).solve(&start(), &well(1.0)).unwrap();
    for p in score.densities().rows() {
        let mass = p.sum() * 10.0 / 400.0;
        assert!((mass - 1.0).abs() < 1e-13, "{mass}");
    }
}

/// Largest error of the score over q_t > 1e-6 at times between the steps.
fn error(score: &GridScore, truth: &dyn Score, (a, b): (f64, f64)) -> f64 {
    let mut worst = 0.0f64;
    for t in [0.1037, 0.333, 1.91] {
        for i in 0..60 {
            let x = a + (b - a) * f64::from(i) / 59.0;
            let (l, s) = at(score, t, x);
            if l > -13.0 {
                let (y, mut out) = (array![[x]], array![[0.0]]);
                with_cx(0, |cx| {
                    truth.eval(cx, Times::Shared(t), y.view(), out.view_mut())
                })
                .unwrap();
                worst = worst.max((s - out[(0, 0)]).abs());
            }
        }
    }
    worst
}

#[test]
fn an_ou_process_has_the_exact_score_also_between_steps() {
    let process = Arc::new(Ou::scalar(1, 1.0));
    let truth = exact(&start(), process.clone()).unwrap();
    let errors: Vec<f64> = [400, 800, 1600]
        .map(|n| {
            let mut settings = settings(8.0, n, n);
            settings.grading = 2.0;
            let score = settings.solve(&start(), &*process).unwrap();
            error(&score, &*truth, (-3.0, 3.0))
        })
        .into();
    assert!(errors[2] < 0.015, "{errors:?}");
    assert!(
        errors[1] < 0.4 * errors[0] && errors[2] < 0.4 * errors[1],
        "{errors:?}"
    );
}

struct Sinh(GaussianMixture, WarpMap);

impl Target for Sinh {
    fn dim(&self) -> usize {
        1
    }
    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let y = x.mapv(f64::asinh);
        if let Some(mut g) = gradient {
            g.fill(f64::NAN);
        }
        if let Some(mut l) = log_density {
            self.0.eval(cx, y.view(), Some(l.view_mut()), None)?;
            l.zip_mut_with(&x.column(0), |l, x| *l -= 0.5 * (x * x).ln_1p());
        }
        Ok(())
    }
    fn law(&self) -> Option<Law<'_>> {
        Some(Law::Warped {
            warp: &self.1,
            base: &self.0,
        })
    }
}

#[test]
fn noise_that_depends_on_the_state_is_met_and_its_slope_matters() {
    let target = Sinh(start(), WarpMap::default());
    let process = Arc::new(Alike::sinh(1));
    let truth = exact(&target, process.clone()).unwrap();
    let errors: Vec<f64> = [800, 1600, 3200]
        .map(|n| {
            let mut settings = settings(40.0, n, n / 4);
            settings.grading = 2.0;
            let score = settings.solve(&target, &*process).unwrap();
            error(&score, &*truth, (-3.0, 6.0))
        })
        .into();
    assert!(errors[2] < 0.002, "{errors:?}");
    assert!(
        errors[1] < 0.5 * errors[0] && errors[2] < 0.5 * errors[1],
        "{errors:?}"
    );
    // A process that forgets D′ is another process.
    let forgetful = Alike {
        slope: None,
        ..*process
    };
    let score = settings(40.0, 1600, 400)
        .solve(&target, &forgetful)
        .unwrap();
    assert!(error(&score, &*truth, (-3.0, 6.0)) > 0.1);
}

#[test]
fn the_tangent_is_the_slope_of_the_score_and_tails_fall() {
    let score = settings(5.0, 800, 320).solve(&start(), &well(1.0)).unwrap();
    let (x, tau, mut out) = (array![[0.37]], array![[2.0]], array![[0.0]]);
    with_cx(0, |cx| {
        cx.eval_score_jvp(
            &score,
            Times::Shared(0.3),
            x.view(),
            tau.view(),
            out.view_mut(),
        )
    })
    .unwrap();
    let h = 1e-5;
    let slope = (at(&score, 0.3, 0.37 + h).1 - at(&score, 0.3, 0.37 - h).1) / (2.0 * h);
    assert!((out[(0, 0)] - 2.0 * slope).abs() < 1e-4 * (1.0 + slope.abs()));
    for x in [-30.0, -6.0, 6.0, 30.0] {
        let (l, s) = at(&score, 0.5, x);
        assert!(l < -20.0 && s * x < 0.0, "{l} {s} at {x}");
    }
}

#[test]
fn mistakes_are_named_and_a_narrow_grid_is_flagged() {
    let says = |s: FokkerPlanck, process: &dyn ForwardProcess| {
        s.solve(&start(), process).err().unwrap().to_string()
    };
    let base = FokkerPlanck::default;
    assert!(says(FokkerPlanck { cells: 3, ..base() }, &well(1.0)).contains("`cells` is 3"));
    assert!(
        says(
            FokkerPlanck {
                upper: -7.0,
                ..base()
            },
            &well(1.0)
        )
        .contains("`upper` is -7")
    );
    assert!(says(base(), &Ou::scalar(2, 1.0)).contains("dimension 1"));
    let quiet = Alike::additive(1, 1.0, |x| -x, |x| x);
    assert!(says(base(), &quiet).contains("GGᵀ = -"));
    let score = settings(1.2, 100, 40).solve(&start(), &well(1.0)).unwrap();
    assert_eq!(score.flags().len(), 2);
    let error = with_cx(0, |cx| {
        let (x, mut out) = (array![[0.0]], array![[0.0]]);
        cx.eval_score(&score, Times::Shared(1.5), x.view(), out.view_mut())
    });
    assert!(error.unwrap_err().to_string().contains("`t` is 1.5"));
}
