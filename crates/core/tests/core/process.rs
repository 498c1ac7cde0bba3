//! A forward process and its score through the traits: the Ornstein–Uhlenbeck process
//! dX = −X dt + √2 dW on [0, 3], of which everything is known.

use ndarray::{Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip};
use retrograde_core::*;
use std::f64::consts::TAU;

struct Ou(usize);

impl ForwardProcess for Ou {
    fn dim(&self) -> usize {
        self.0
    }

    fn t_end(&self) -> f64 {
        3.0
    }

    fn drift(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut f: ArrayViewMut2<'_, f64>,
    ) -> Result {
        Zip::from(&mut f).and(&x).for_each(|f, x| *f = -x);
        Ok(())
    }

    fn apply_g(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        _: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        Zip::from(&mut out)
            .and(&z)
            .for_each(|o, z| *o = 2f64.sqrt() * z);
        Ok(())
    }

    fn apply_ggt(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        _: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        Zip::from(&mut out).and(&v).for_each(|o, v| *o = 2.0 * v);
        Ok(())
    }

    fn reference_sample(&self, cx: &mut Cx<'_>, x: ArrayViewMut2<'_, f64>) -> Result {
        cx.fill_normal(x);
        Ok(())
    }

    fn reference_eval(
        &self,
        _: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        l: Option<ArrayViewMut1<'_, f64>>,
        g: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        if let Some(mut l) = l {
            let constant = -0.5 * self.0 as f64 * TAU.ln();
            l.iter_mut()
                .zip(x.rows())
                .for_each(|(l, x)| *l = constant - 0.5 * x.dot(&x));
        }
        if let Some(mut g) = g {
            Zip::from(&mut g).and(&x).for_each(|g, x| *g = -x);
        }
        Ok(())
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for Ou {
    fn form(&self) -> Form {
        Form::Scalar
    }

    fn at(&self, t: f64, alpha: &mut [f64], covariance: &mut [f64]) {
        alpha[0] = (-t).exp();
        covariance[0] = -(-2.0 * t).exp_m1();
    }
}

/// The score of the process started at x = 2 in every coordinate.
struct PointScore(Ou);

impl Score for PointScore {
    fn dim(&self) -> usize {
        self.0.0
    }

    fn traits(&self) -> Traits {
        self.0.traits()
    }

    fn eval(
        &self,
        _: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        for (i, (x, mut out)) in x.rows().into_iter().zip(out.rows_mut()).enumerate() {
            let (mut a, mut v) = ([0.0], [0.0]);
            self.0.at(t.at(i), &mut a, &mut v);
            Zip::from(&mut out)
                .and(&x)
                .for_each(|s, x| *s = (2.0 * a[0] - x) / v[0]);
        }
        Ok(())
    }
}

#[test]
fn simulating_a_process_gives_its_linear_marginal() {
    let process: Box<dyn ForwardProcess> = Box::new(Ou(2));
    assert!(process.g_constant_in_x() && process.transition().is_none());
    let (n, t_end, steps) = (40_000, 0.7, 70);
    let mut x = Array2::from_elem((n, 2), 2.0);
    let mut rt = Runtime::new(4, 2).unwrap();
    rt.enter("test", 0, |cx| {
        let (mut f, mut z, mut g) = (x.clone(), x.clone(), x.clone());
        let h = t_end / f64::from(steps);
        for k in 0..steps {
            let t = Times::Shared(f64::from(k) * h);
            cx.at("noise", k as u64).fill_normal(z.view_mut());
            process.drift(cx, t, x.view(), f.view_mut()).unwrap();
            process
                .apply_g(cx, t, x.view(), z.view(), g.view_mut())
                .unwrap();
            x.zip_mut_with(&f, |x, f| *x += h * f);
            x.zip_mut_with(&g, |x, g| *x += h.sqrt() * g);
        }
    });
    let (mut a, mut v) = ([0.0], [0.0]);
    process.linear().unwrap().at(t_end, &mut a, &mut v);
    let mean = x.mean().unwrap();
    let var = x.mapv(|x| (x - mean).powi(2)).mean().unwrap();
    // Euler's own error is below h/2 relative; the rest is Monte Carlo.
    let se = (v[0] / (2 * n) as f64).sqrt();
    assert!(
        (mean - 2.0 * a[0]).abs() < 4.5 * se + 0.01 * a[0],
        "{mean} {}",
        2.0 * a[0]
    );
    assert!(
        (var / v[0] - 1.0).abs() < 4.5 / (n as f64).sqrt() + 0.01,
        "{var} {}",
        v[0]
    );
}

#[test]
fn scores_are_counted_apart_and_take_a_time_for_each_row() {
    for threads in [1, 2] {
        let mut rt = Runtime::new(4, threads).unwrap();
        let score = PointScore(Ou(1));
        let x = Array2::from_elem((700, 1), 1.0);
        let times: ndarray::Array1<f64> = (1..=700).map(|i| 0.004 * f64::from(i)).collect();
        let (mut each, mut shared) = (x.clone(), x.clone());
        rt.enter("test", 0, |cx| {
            cx.eval_score(
                &score,
                Times::PerRow(times.view()),
                x.view(),
                each.view_mut(),
            )
            .unwrap();
            cx.eval_score(
                &score,
                Times::Shared(times[650]),
                x.view(),
                shared.view_mut(),
            )
            .unwrap();
            let short = ndarray::Array1::zeros(3);
            let e = cx.eval_score(
                &score,
                Times::PerRow(short.view()),
                x.view(),
                each.view_mut(),
            );
            assert_eq!(e.unwrap_err().status(), Status::Dim);
        });
        assert_eq!(each[(650, 0)], shared[(0, 0)]);
        assert_ne!(each[(0, 0)], each[(650, 0)]);
        let c = rt.counts();
        assert_eq!(
            (c.score_evals, c.density_evals, c.gradient_evals),
            (1400, 0, 0)
        );
    }
}

#[test]
fn a_score_that_is_not_finite_is_located_with_its_time() {
    let mut rt = Runtime::new(4, 1).unwrap();
    let score = PointScore(Ou(1));
    let (x, mut out) = (Array2::ones((300, 1)), Array2::ones((300, 1)));
    let mut times = ndarray::Array1::from_elem(300, 1.0);
    times[7] = 0.0;
    rt.enter("test", 0, |cx| {
        cx.eval_score(
            &score,
            Times::PerRow(times.view()),
            x.view(),
            out.view_mut(),
        )
        .unwrap();
    });
    let first = rt.counts().first_failure.clone().unwrap();
    assert_eq!(
        (first.what.as_str(), first.row, first.t),
        ("score", 7, Some(0.0))
    );
    assert_eq!(out[(7, 0)], 0.0);
}
