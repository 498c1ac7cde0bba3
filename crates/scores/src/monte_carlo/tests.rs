use super::*;
use crate::exact;
use crate::test_processes::{Alike, Ou};
use ndarray::{Array1, Array2, array};
use retrograde_core::{GaussianMixture, PointTarget, Runtime};
use retrograde_testkit::{mean_se, with_cx};

fn mixture() -> GaussianMixture {
    let means = array![[1.0, -0.5], [-1.0, 0.7]];
    GaussianMixture::isotropic(array![1.0, 2.0], means, array![0.4, 0.6])
        .and_then(|m| m.with_log_scale(2.5))
        .unwrap()
}

/// The estimate at one point many times over, on n rows.
fn estimates(settings: MonteCarlo, target: GaussianMixture, t: f64, n: usize) -> Array2<f64> {
    let score = settings
        .of(Arc::new(target), Arc::new(Ou::scalar(2, 1.0)))
        .unwrap();
    let x = Array2::from_shape_fn((n, 2), |(_, j)| [0.4, -0.9][j]);
    let mut out = Array2::zeros((n, 2));
    with_cx(4, |cx| {
        cx.eval_score(&*score, Times::Shared(t), x.view(), out.view_mut())
    })
    .unwrap();
    out
}

fn truth(target: &GaussianMixture, t: f64) -> Array2<f64> {
    let score = exact(target, Arc::new(Ou::scalar(2, 1.0))).unwrap();
    let mut out = Array2::zeros((1, 2));
    let x = array![[0.4, -0.9]];
    with_cx(0, |cx| {
        cx.eval_score(&*score, Times::Shared(t), x.view(), out.view_mut())
    })
    .unwrap();
    out
}

/// z-score of the mean of the estimates of coordinate 0.
fn z(settings: MonteCarlo, t: f64, n: usize, factor: f64) -> f64 {
    let out = estimates(settings, mixture(), t, n);
    let (m, se) = mean_se(out.column(0).iter().copied());
    (m - factor * truth(&mixture(), t)[(0, 0)]) / se
}

#[test]
fn all_identities_have_the_mean_of_the_exact_score() {
    for estimator in [
        Estimator::Mixed,
        Estimator::PosteriorMean,
        Estimator::Gradient,
    ] {
        for t in [0.15, 0.6] {
            let settings = MonteCarlo {
                estimator,
                samples: 4096,
                ..MonteCarlo::default()
            };
            // Bias O(1/4096) beside a standard error of 1/√(4096 · 60) of the spread.
            let z1 = z(settings.clone(), t, 60, 1.0);
            assert!(z1.abs() < 4.5, "{estimator:?} at {t}: {z1}");
            assert!(z(settings, t, 60, 1.2).abs() > 6.0, "{estimator:?} at {t}");
        }
    }
}

#[test]
fn chains_have_the_mean_of_the_exact_score() {
    let settings = MonteCarlo {
        method: Method::Mala,
        samples: 64,
        chains: 4,
        steps: 60,
        ..MonteCarlo::default()
    };
    let found = z(settings.clone(), 0.4, 1600, 1.0);
    assert!(found.abs() < 4.5, "{found}");
    let wrong = z(settings, 0.4, 1600, 1.3);
    assert!(wrong.abs() > 6.0, "{wrong}");
}

#[test]
fn the_mixed_form_has_no_variance_for_a_gaussian_and_the_others_have() {
    let gaussian =
        || GaussianMixture::isotropic(Array1::ones(1), array![[0.3, 0.1]], array![0.49]).unwrap();
    let spread = |estimator: Estimator, scale: f64| {
        let settings = MonteCarlo {
            estimator,
            scale,
            samples: 16,
            ..MonteCarlo::default()
        };
        let out = estimates(settings, gaussian(), 0.3, 200);
        let error = &out - &truth(&gaussian(), 0.3);
        error.iter().fold(0.0f64, |m, e| m.max(e.abs()))
    };
    assert!(spread(Estimator::Mixed, 0.7) < 1e-12);
    assert!(spread(Estimator::Mixed, 1.4) > 1e-3);
    assert!(spread(Estimator::PosteriorMean, 0.7) > 1e-2);
    assert!(spread(Estimator::Gradient, 0.7) > 1e-2);
}

#[test]
fn importance_sampling_has_the_bias_that_it_says() {
    // Few draws: the mean over many rows is off, by about as much as the number falls.
    let bias = |samples: usize, n: usize| {
        let settings = MonteCarlo {
            estimator: Estimator::PosteriorMean,
            samples,
            ..MonteCarlo::default()
        };
        let out = estimates(settings, mixture(), 0.6, n);
        let (m, se) = mean_se(out.column(0).iter().copied());
        (m - truth(&mixture(), 0.6)[(0, 0)], se)
    };
    let ((b4, s4), (b16, s16)) = (bias(4, 40_000), bias(16, 40_000));
    assert!(b4.abs() > 6.0 * s4, "{b4} {s4}");
    assert!(b16.abs() < 0.5 * b4.abs() + 4.5 * s16, "{b4} {b16}");
}

#[test]
fn no_noise_is_the_gradient_and_evaluations_are_counted() {
    let target = Arc::new(mixture());
    let score = MonteCarlo::default()
        .of(target.clone(), Arc::new(Ou::scalar(2, 1.0)))
        .unwrap();
    let x = array![[0.4, -0.9], [1.0, 1.0], [0.0, 0.1]];
    let mut out = Array2::zeros((3, 2));
    with_cx(0, |cx| {
        cx.eval_score(&*score, Times::Shared(0.0), x.view(), out.view_mut())
            .unwrap();
        let mut g = Array2::zeros((3, 2));
        target.eval(cx, x.view(), None, Some(g.view_mut())).unwrap();
        assert_eq!(g, out);
        let before = cx.counts().density_evals;
        cx.eval_score(&*score, Times::Shared(0.5), x.view(), out.view_mut())
            .unwrap();
        assert_eq!(cx.counts().density_evals - before, 3 * 256);
        assert_eq!(cx.counts().gradient_evals, 3 + 3 * 256);
    });
    assert!(!score.traits().deterministic);
}

#[test]
fn threads_change_no_bits_and_low_effective_sizes_are_flagged() {
    let x = Array2::from_shape_fn((1200, 2), |(i, j)| ((3 * i + j) % 9) as f64 / 3.0 - 1.3);
    let run = |threads: usize| {
        let score = MonteCarlo {
            samples: 20,
            ..MonteCarlo::default()
        };
        let score = score
            .of(Arc::new(mixture()), Arc::new(Ou::scalar(2, 1.0)))
            .unwrap();
        let mut out = Array2::zeros(x.dim());
        Runtime::new(7, threads).unwrap().enter("test", 0, |cx| {
            cx.eval_score(&*score, Times::Shared(1.5), x.view(), out.view_mut())
                .unwrap();
        });
        (out, score.flags().len())
    };
    let (one, flags) = run(1);
    assert_eq!((one.clone(), flags), run(2));
    assert_eq!(flags, 2);
    let rows: std::collections::HashSet<u64> = one.column(0).iter().map(|v| v.to_bits()).collect();
    assert_eq!(rows.len(), 1200, "rows shared their random numbers");
}

#[test]
fn what_is_lacking_is_named() {
    let says = |settings: MonteCarlo, target: Arc<dyn Target>, process: Arc<dyn ForwardProcess>| {
        settings.of(target, process).err().unwrap().to_string()
    };
    let ou = || Arc::new(Ou::scalar(2, 1.0));
    let few = MonteCarlo {
        samples: 1,
        ..MonteCarlo::default()
    };
    assert!(says(few, Arc::new(mixture()), ou()).contains("`samples` is 1"));
    let points = GaussianMixture::points(Array1::ones(1), array![[0.0, 0.0]]).unwrap();
    assert!(says(MonteCarlo::default(), Arc::new(points), ou()).contains("a log density"));
    let blunt = || {
        Arc::new(PointTarget::density_only(2, |x, _| {
            -x[0] * x[0] - x[1] * x[1]
        }))
    };
    assert!(says(MonteCarlo::default(), blunt(), ou()).contains("posterior-mean"));
    let mean = MonteCarlo {
        estimator: Estimator::PosteriorMean,
        ..MonteCarlo::default()
    };
    assert!(mean.of(blunt(), ou()).is_ok());
    let warped = Arc::new(Alike::sinh(2));
    assert!(says(MonteCarlo::default(), Arc::new(mixture()), warped).contains("linear law"));
}
