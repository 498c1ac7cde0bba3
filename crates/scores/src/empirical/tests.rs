use super::*;
use crate::test_processes::Ou;
use retrograde_core::{Form, Linear, Transition, registry::Folder};
use retrograde_testkit::with_cx;

/// The scalar OU process that keeps its linearity to itself, and has a transition.
struct Hidden(Ou);

macro_rules! forward {
    ($($name:ident($($arg:ident: $ty:ty),*);)*) => {$(
        fn $name(&self, cx: &mut Cx<'_>, $($arg: $ty),*) -> Result {
            self.0.$name(cx, $($arg),*)
        }
    )*};
}

type In<'a> = ArrayView2<'a, f64>;
type Out<'a> = ArrayViewMut2<'a, f64>;

impl ForwardProcess for Hidden {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn t_end(&self) -> f64 {
        self.0.t_end()
    }
    forward! {
        drift(t: Times<'_>, x: In<'_>, f: Out<'_>);
        apply_g(t: Times<'_>, x: In<'_>, z: In<'_>, out: Out<'_>);
        apply_ggt(t: Times<'_>, x: In<'_>, v: In<'_>, out: Out<'_>);
        reference_sample(x: Out<'_>);
        reference_eval(x: In<'_>, l: Option<ArrayViewMut1<'_, f64>>, g: Option<Out<'_>>);
    }
    fn transition(&self) -> Option<&dyn Transition> {
        Some(self)
    }
}

impl Transition for Hidden {
    fn sample(&self, cx: &mut Cx<'_>, s: f64, t: f64, xs: In<'_>, mut xt: Out<'_>) -> Result {
        let (alpha, sd) = Linear::scalar(&self.0, t - s);
        cx.fill_normal(xt.view_mut());
        xt.zip_mut_with(&xs, |x, from| *x = alpha * from + sd * *x);
        Ok(())
    }

    fn score(
        &self,
        _cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        xs: In<'_>,
        xt: In<'_>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<Out<'_>>,
    ) -> Result {
        let (alpha, sd) = Linear::scalar(&self.0, t - s);
        let e = &xt - &(&xs * alpha);
        if let Some(mut l) = log_density {
            let constant = -(e.ncols() as f64) * (sd * std::f64::consts::TAU.sqrt()).ln();
            for (l, e) in l.iter_mut().zip(e.rows()) {
                *l = constant - 0.5 * e.dot(&e) / (sd * sd);
            }
        }
        if let Some(mut g) = gradient {
            g.assign(&(e * (-1.0 / (sd * sd))));
        }
        Ok(())
    }
}

fn cloud(n: usize, d: usize) -> GaussianMixture {
    let mut x = Array2::zeros((n, d));
    with_cx(9, |cx| cx.fill_normal(x.view_mut()));
    GaussianMixture::points(Array1::ones(n), x).unwrap()
}

#[test]
fn kernels_of_a_transition_give_what_linearity_gives() {
    let data = cloud(1300, 3);
    let linear = Empirical::default()
        .of(&data, Arc::new(Ou::scalar(3, 0.7)))
        .unwrap();
    let hidden = Empirical::default()
        .of(&data, Arc::new(Hidden(Ou::scalar(3, 0.7))))
        .unwrap();
    let x = Array2::from_shape_fn((6, 3), |(i, j)| (i + 2 * j) as f64 * 0.5 - 2.0);
    let eval = |score: &dyn Score, t: Times<'_>| {
        let (mut s, mut l) = (Array2::zeros((6, 3)), Array1::zeros(6));
        with_cx(0, |cx| {
            cx.eval_score(score, t, x.view(), s.view_mut())?;
            score
                .log_marginal()
                .unwrap()
                .log_marginal(cx, t, x.view(), l.view_mut())
        })
        .unwrap();
        (s, l)
    };
    for t in [0.02, 0.5, 3.0] {
        let ((s, l), (s2, l2)) = (
            eval(&*linear, Times::Shared(t)),
            eval(&*hidden, Times::Shared(t)),
        );
        let far = |e: f64, scale: f64| e.abs() < 1e-11 * (1.0 + scale.abs());
        assert!(s.iter().zip(&s2).all(|(a, b)| far(a - b, *a)), "{s} {s2}");
        assert!(l.iter().zip(&l2).all(|(a, b)| far(a - b, *a)));
    }
    let times = ndarray::array![0.5, 0.1, 0.1, 0.5, 2.0, 0.3];
    let rows = eval(&*hidden, Times::PerRow(times.view())).0;
    assert_eq!(rows.row(3), eval(&*hidden, Times::Shared(0.5)).0.row(3));
}

#[test]
fn a_bandwidth_is_noise_at_the_start() {
    let (data, h, t) = (cloud(200, 2), 0.3, 0.4);
    let settings = Empirical {
        bandwidth: h,
        ..Empirical::default()
    };
    let score = settings.of(&data, Arc::new(Ou::scalar(2, 0.7))).unwrap();
    let (alpha, sd) = Linear::scalar(&Ou::scalar(2, 0.7), t);
    let x = ndarray::array![[0.3, -0.2], [2.0, 1.0]];
    let law = |h: f64| data.noised(alpha, sd * sd + alpha * alpha * h * h).unwrap();
    let (mut s, mut right, mut wrong) = (x.clone(), x.clone(), x.clone());
    with_cx(0, |cx| {
        use retrograde_core::Target;
        cx.eval_score(&*score, Times::Shared(t), x.view(), s.view_mut())
            .unwrap();
        law(h)
            .eval(cx, x.view(), None, Some(right.view_mut()))
            .unwrap();
        law(0.0)
            .eval(cx, x.view(), None, Some(wrong.view_mut()))
            .unwrap();
        // And there is a score at t = 0.
        cx.eval_score(&*score, Times::Shared(0.0), x.view(), s.clone().view_mut())
            .unwrap();
    });
    let far = |a: &Array2<f64>| (a - &s).iter().fold(0.0f64, |m, e| m.max(e.abs()));
    assert!(far(&right) < 1e-12 && far(&wrong) > 1e-2);
}

#[test]
fn ten_thousand_points_take_their_time_and_no_more() {
    let data = cloud(10_000, 2);
    let score = Empirical::default()
        .of(&data, Arc::new(Ou::scalar(2, 0.7)))
        .unwrap();
    let x = Array2::from_shape_fn((256, 2), |(i, j)| (i + j) as f64 / 80.0 - 1.6);
    let mut s = x.clone();
    let clock = std::time::Instant::now();
    with_cx(0, |cx| {
        cx.eval_score(&*score, Times::Shared(0.5), x.view(), s.view_mut())
    })
    .unwrap();
    // 2.56·10⁶ kernels; a hundredth of a second where nothing else runs.
    assert!(clock.elapsed().as_secs_f64() < 2.0, "{:?}", clock.elapsed());
}

#[test]
fn mistakes_are_named() {
    let says = |settings: &Empirical, process: Arc<dyn ForwardProcess>| {
        settings
            .of(&cloud(5, 2), process)
            .err()
            .unwrap()
            .to_string()
    };
    let wide = Empirical {
        bandwidth: -1.0,
        ..Empirical::default()
    };
    assert!(says(&wide, Arc::new(Ou::scalar(2, 1.0))).contains("`bandwidth` is -1"));
    let h = Empirical {
        bandwidth: 0.1,
        ..Empirical::default()
    };
    assert!(says(&h, Arc::new(Hidden(Ou::scalar(2, 1.0)))).contains("`bandwidth` is 0.1"));
    let well = crate::test_processes::Alike::additive(2, 1.0, |x| -x, |_| 1.0);
    assert!(says(&Empirical::default(), Arc::new(well)).contains("a transition kernel"));
    let folder = Folder::default();
    let mut parts =
        Parts::new(&folder).with_target(Arc::new(retrograde_core::PointTarget::new(2, |_, _| 0.0)));
    parts.process = Some(Arc::new(Ou::scalar(2, 1.0)));
    let says = Empirical::default()
        .build(&parts)
        .err()
        .unwrap()
        .to_string();
    assert!(
        says.contains("data points") && says.contains("`file`"),
        "{says}"
    );
    let form = Ou::scalar(2, 1.0).linear().unwrap().form();
    assert_eq!(form, Form::Scalar);
}
