use super::*;
use crate::test_processes::{Alike, Ou};
use ndarray::{Array3, array, s};
use retrograde_core::{PointTarget, WarpMap};
use retrograde_testkit::{assert_z, mean_se, with_cx};

fn mixture(d: usize) -> GaussianMixture {
    let means = Array2::from_shape_fn((3, d), |(k, j)| (2 * k + j) as f64 * 0.7 - 1.5);
    GaussianMixture::isotropic(array![1.0, 2.0, 0.5], means, array![0.1, 0.3, 0.05]).unwrap()
}

fn dense() -> GaussianMixture {
    let c = Array3::from_shape_fn(
        (2, 2, 2),
        |(k, i, j)| {
            if i == j { 0.3 + 0.1 * k as f64 } else { 0.1 }
        },
    );
    GaussianMixture::dense(array![1.0, 2.0], array![[1.0, -1.0], [-0.5, 0.7]], c).unwrap()
}

fn points() -> Array2<f64> {
    Array2::from_shape_fn((7, 2), |(i, j)| (i as f64 - 3.0) * 0.6 + 0.3 * j as f64)
}

fn eval(score: &dyn Score, t: f64, x: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    let (mut l, mut s) = (Array1::zeros(x.nrows()), Array2::zeros(x.dim()));
    with_cx(0, |cx| {
        cx.eval_score(score, Times::Shared(t), x.view(), s.view_mut())?;
        let marginal = score.log_marginal().unwrap();
        marginal.log_marginal(cx, Times::Shared(t), x.view(), l.view_mut())
    })
    .unwrap();
    (l, s)
}

/// Largest error of the score against differences of the log marginal.
fn slope_error(score: &dyn Score, t: f64, x: &Array2<f64>) -> f64 {
    let (_, s) = eval(score, t, x);
    let mut worst = 0.0f64;
    for j in 0..x.ncols() {
        let slope = |h: f64| {
            let moved = |h: f64| {
                let mut y = x.clone();
                y.column_mut(j).mapv_inplace(|v| v + h);
                eval(score, t, &y).0
            };
            (moved(h) - moved(-h)) / (2.0 * h)
        };
        let (coarse, fine) = (slope(2e-3), slope(1e-3));
        let slope = &fine + &((&fine - &coarse) / 3.0);
        worst = (&slope - &s.column(j))
            .iter()
            .fold(worst, |w, e| w.max(e.abs()));
    }
    worst
}

fn processes() -> Vec<Arc<dyn ForwardProcess>> {
    vec![
        Arc::new(Ou::scalar(2, 0.8)),
        Arc::new(Ou::diagonal(&[0.5, 1.5], 1.2)),
        Arc::new(Ou::rotated([0.4, 1.7], 0.6, 0.9)),
    ]
}

#[test]
fn scores_are_slopes_of_log_marginals_for_every_form() {
    for process in processes() {
        for law in [mixture(2), dense()] {
            let score = exact(&law, process.clone()).unwrap();
            for t in [0.0, 0.3, 2.0] {
                let error = slope_error(&*score, t, &points());
                assert!(error < 1e-8, "{error} at {t}");
            }
        }
    }
}

/// z-score of the largest of the Stein identities E s = 0, E s·x = −d over draws of x_t.
fn stein(process: &dyn ForwardProcess, law: &GaussianMixture, t: f64, at: f64) -> f64 {
    let score = exact(law, Arc::new(Ou::rotated([0.4, 1.7], 0.6, 0.9))).unwrap();
    let n = 40_000;
    let (mut x0, mut z) = (Array2::zeros((n, 2)), Array2::zeros((n, 2)));
    let (mut a, mut c) = ([0.0; 4], [0.0; 4]);
    process.linear().unwrap().at(t, &mut a, &mut c);
    let a = Array2::from_shape_vec((2, 2), a.to_vec()).unwrap();
    let l00 = c[0].sqrt();
    let l10 = c[2] / l00;
    let l = array![[l00, 0.0], [l10, (c[3] - l10 * l10).sqrt()]];
    with_cx(3, |cx| {
        retrograde_core::ExactSampler::sample(law, cx, x0.view_mut()).unwrap();
        cx.fill_normal(z.view_mut());
    });
    let x = x0.dot(&a.t()) + z.dot(&l.t());
    let (_, s) = eval(&*score, at, &x);
    let (m, se) = mean_se((&s * &x).rows().into_iter().map(|r| r.sum()));
    (m + 2.0) / se
}

#[test]
fn dense_noise_gives_the_score_of_simulated_draws_and_a_wrong_time_is_noticed() {
    let process = Ou::rotated([0.4, 1.7], 0.6, 0.9);
    assert!(stein(&process, &dense(), 0.5, 0.5).abs() < 4.5);
    assert!(stein(&process, &dense(), 0.5, 0.3).abs() > 6.0);
}

#[test]
fn data_give_tweedie_from_the_posterior_mean() {
    let data = points();
    let law = GaussianMixture::points(Array1::ones(7), data.clone()).unwrap();
    let process = Ou::scalar(2, 0.8);
    let (alpha, sd) = process.linear().unwrap().scalar(0.4);
    let score = exact(&law, Arc::new(process)).unwrap();
    let x = array![[0.3, 0.1], [5.0, -4.0], [-1.0, -0.9]];
    let (_, s) = eval(&*score, 0.4, &x);
    for (x, s) in x.rows().into_iter().zip(s.rows()) {
        let mut w: Vec<f64> = data
            .rows()
            .into_iter()
            .map(|m| -(&m * alpha - x).mapv(|e| e * e).sum() / (2.0 * sd * sd))
            .collect();
        retrograde_core::numeric::softmax_in_place(&mut w);
        let mean = Array1::from(w).dot(&data);
        let tweedie = (mean * alpha - x) / (sd * sd);
        assert!((tweedie - s).iter().all(|e| e.abs() < 1e-12));
    }
    // At the data themselves there is none.
    let error = with_cx(0, |cx| {
        let mut out = Array2::zeros((3, 2));
        cx.eval_score(&*score, Times::Shared(0.0), x.view(), out.view_mut())
    });
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("point masses") && error.contains("t = 0"),
        "{error}"
    );
}

#[test]
fn times_of_rows_give_the_bits_of_shared_times() {
    for process in processes() {
        let score = exact(&dense(), process).unwrap();
        let x = points();
        let times = array![0.1, 0.1, 0.7, 0.2, 0.1, 3.0, 3.0];
        let mut out = Array2::zeros(x.dim());
        let (mut tangents, mut jvp) = (Array2::zeros((7, 4)), Array2::zeros((7, 4)));
        tangents.slice_mut(s![.., 0..1]).fill(1.0);
        tangents.slice_mut(s![.., 3..4]).fill(1.0);
        with_cx(0, |cx| {
            let t = Times::PerRow(times.view());
            cx.eval_score(&*score, t, x.view(), out.view_mut()).unwrap();
            cx.eval_score_jvp(&*score, t, x.view(), tangents.view(), jvp.view_mut())
                .unwrap();
        });
        for (i, t) in times.iter().enumerate() {
            let (_, s) = eval(&*score, *t, &x);
            assert_eq!(out.row(i), s.row(i), "row {i}");
            // The Jacobian is that of differences.
            for j in 0..2 {
                let h = 1e-4;
                let mut y = x.clone();
                y[(i, j)] += h;
                let up = eval(&*score, *t, &y).1;
                y[(i, j)] -= 2.0 * h;
                let down = eval(&*score, *t, &y).1;
                for k in 0..2 {
                    let slope = (up[(i, k)] - down[(i, k)]) / (2.0 * h);
                    assert!((jvp[(i, 2 * j + k)] - slope).abs() < 1e-5 * (1.0 + slope.abs()));
                }
            }
        }
    }
}

#[test]
fn more_times_than_are_kept_and_two_threads_change_no_bits() {
    let law = mixture(2);
    let x = Array2::from_shape_fn((1500, 2), |(i, j)| {
        ((3 * i + 5 * j) % 17) as f64 / 5.0 - 1.5
    });
    let run = |threads: usize| {
        let score = exact(&law, Arc::new(Ou::scalar(2, 0.8))).unwrap();
        let mut all = Vec::new();
        Runtime::new(0, threads).unwrap().enter("test", 0, |cx| {
            for step in 0..30 {
                let mut out = Array2::zeros(x.dim());
                let t = Times::Shared(0.1 * f64::from(1 + step % 11));
                cx.eval_score(&*score, t, x.view(), out.view_mut()).unwrap();
                all.push(out);
            }
        });
        all
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one[0], one[11]);
    assert_ne!(one[0], one[1]);
}

/// A target whose law is that of sinh y, y from a mixture, or so it says.
struct Sinh {
    base: GaussianMixture,
    warp: WarpMap,
    honest: bool,
}

impl Target for Sinh {
    fn dim(&self) -> usize {
        self.base.dim()
    }

    fn has_gradient(&self) -> bool {
        false
    }

    fn law(&self) -> Option<Law<'_>> {
        Some(Law::Warped {
            warp: &self.warp,
            base: &self.base,
        })
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        _gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let y = x.mapv(|x| if self.honest { x.asinh() } else { x.cbrt() });
        let mut l = log_density.unwrap();
        self.base.eval(cx, y.view(), Some(l.view_mut()), None)?;
        for (l, x) in l.iter_mut().zip(x.rows()) {
            *l += 3.0 + x.iter().map(|x| -0.5 * (x * x).ln_1p()).sum::<f64>();
        }
        Ok(())
    }
}

#[test]
fn a_warped_mixture_has_the_score_of_its_log_marginal_and_another_warp_is_refused() {
    for d in [1, 2] {
        let target = |honest| Sinh {
            base: mixture(d),
            warp: WarpMap::default(),
            honest,
        };
        let process = Arc::new(Alike::sinh(d));
        let score = exact(&target(true), process.clone()).unwrap();
        let x = Array2::from_shape_fn((6, d), |(i, j)| i as f64 - 2.5 + 0.3 * j as f64);
        for t in [0.0, 0.5, 3.0] {
            let error = slope_error(&*score, t, &x);
            assert!(error < 1e-7, "{error}");
        }
        let error = exact(&target(false), process).err().unwrap().to_string();
        assert!(error.contains("the warp of the target"), "{error}");
    }
    // Normalised: ∫ q_t = 1 by the midpoint rule in asinh x.
    let target = Sinh {
        base: mixture(1),
        warp: WarpMap::default(),
        honest: true,
    };
    let score = exact(&target, Arc::new(Alike::sinh(1))).unwrap();
    let (n, width) = (4000, 16.0);
    let y = |i: usize| width * ((i as f64 + 0.5) / n as f64 - 0.5);
    let x = Array2::from_shape_fn((n, 1), |(i, _)| y(i).sinh());
    let (l, _) = eval(&*score, 0.5, &x);
    let mass: f64 = (0..n)
        .map(|i| l[i].exp() * y(i).cosh() * width / n as f64)
        .sum();
    assert!((mass - 1.0).abs() < 1e-12, "{mass}");
}

#[test]
fn what_is_not_closed_is_said_with_names() {
    let says = |target: &dyn Target, process: Arc<dyn ForwardProcess>| {
        exact(target, process).err().unwrap().to_string()
    };
    let plain = PointTarget::new(1, |x, _| -x[0].powi(4));
    let message = says(&plain, Arc::new(Ou::scalar(1, 1.0)));
    assert!(message.contains("a law in closed form"), "{message}");
    let well = Alike::additive(1, 1.0, |x| x - x.powi(3), |_| 1.0);
    let message = says(&mixture(1), Arc::new(well));
    assert!(
        message.contains("stays closed for a Gaussian mixture") && message.contains("`vp`"),
        "{message}"
    );
    // A plain mixture under a warp.
    let message = says(&mixture(1), Arc::new(Alike::sinh(1)));
    assert!(
        message.contains("pushed through the same warp"),
        "{message}"
    );
    let message = says(&mixture(2), Arc::new(Ou::scalar(3, 1.0)));
    assert!(message.contains("is 2, but must be 3"), "{message}");
    // A time that is none.
    let score = exact(&mixture(1), Arc::new(Ou::scalar(1, 1.0))).unwrap();
    let message = with_cx(0, |cx| {
        let (x, mut out) = (Array2::zeros((1, 1)), Array2::zeros((1, 1)));
        cx.eval_score(&*score, Times::Shared(-0.1), x.view(), out.view_mut())
    });
    let message = message.unwrap_err().to_string();
    assert!(message.contains("`t` is -0.1"), "{message}");
}

#[test]
fn the_mean_of_the_score_over_draws_is_zero() {
    let law = mixture(2);
    let score = exact(&law, Arc::new(Ou::scalar(2, 0.8))).unwrap();
    let mut x = Array2::zeros((20_000, 2));
    with_cx(5, |cx| {
        retrograde_core::ExactSampler::sample(&law, cx, x.view_mut())
    })
    .unwrap();
    let (_, s) = eval(&*score, 0.0, &x);
    let (m, se) = mean_se(s.column(0).iter().copied());
    assert_z("mean of the score", m, 0.0, se);
}
