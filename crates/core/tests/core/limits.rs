//! Densities that are infinite on the limits of their coordinates.

use ndarray::{Array1, Array2, array};
use retrograde_core::{Bounded, Error, PointTarget, Runtime, Target, check};
use std::sync::Arc;

type Case = (&'static str, [f64; 2], fn(f64) -> (f64, f64));
const INF: f64 = f64::INFINITY;

/// Limits, and log density and slope: Gamma(½) at 0, at 1, and mirrored; Beta(½, ½) on (0, 1) and
/// on (1, 2).
const CASES: [Case; 5] = [
    ("gamma", [0.0, INF], |x| (-0.5 * x.ln() - x, -0.5 / x - 1.0)),
    ("shifted gamma", [1.0, INF], |x| {
        (-0.5 * (x - 1.0).ln() - x, -0.5 / (x - 1.0) - 1.0)
    }),
    ("mirrored gamma", [-INF, 0.0], |x| {
        (-0.5 * (-x).ln() + x, -0.5 / x + 1.0)
    }),
    ("beta", [0.0, 1.0], |x| {
        (
            -0.5 * x.ln() - 0.5 * (1.0 - x).ln(),
            -0.5 / x + 0.5 / (1.0 - x),
        )
    }),
    ("shifted beta", [1.0, 2.0], |x| {
        (
            -0.5 * (x - 1.0).ln() - 0.5 * (2.0 - x).ln(),
            -0.5 / (x - 1.0) + 0.5 / (2.0 - x),
        )
    }),
];

fn bounded((_, [a, b], density): Case) -> Bounded {
    let target = PointTarget::new(1, move |x, g| {
        assert!(a < x[0] && x[0] < b, "asked at {}", x[0]);
        let (value, slope) = density(x[0]);
        g[0] = slope;
        value
    });
    Bounded::new(Arc::new(target), &[a], &[b]).unwrap()
}

#[test]
fn a_target_is_never_asked_on_its_limits() {
    let far = [-1e300, -800.0, -720.0, -40.0, 40.0, 720.0, 800.0, 1e300];
    let y = Array2::from_shape_fn((far.len(), 1), |(i, _)| far[i]);
    for case in CASES {
        let target = bounded(case);
        let (mut l, mut g) = (Array1::zeros(far.len()), Array2::zeros((far.len(), 1)));
        let mut runtime = Runtime::new(1, 1).unwrap();
        runtime
            .enter("test", 0, |cx| {
                cx.eval_target(&target, y.view(), Some(l.view_mut()), Some(g.view_mut()))
            })
            .unwrap();
        assert_eq!(runtime.counts().failed, 0, "{}", case.0);
        let mut x = Array2::zeros(y.dim());
        target.to_natural(y.view(), x.view_mut());
        for (x, (y, l)) in x.iter().zip(far.into_iter().zip(&l)) {
            let [a, b] = case.1;
            assert!(a < *x && *x < b && x.is_finite(), "{}: {x} at {y}", case.0);
            let want = if y.abs() < 100.0 {
                l.is_finite()
            } else {
                *l == f64::NEG_INFINITY
            };
            assert!(want, "{}: {l} at {y}", case.0);
        }
    }
}

/// At the limit e^{½y} is the density in y: what rounding makes of it is off by ε^½, a factor of 8
/// at most at |y| = 40, and nothing where the limit is 0.
#[test]
fn the_density_at_a_limit_is_right_up_to_rounding() {
    for (case, y, rounded) in [
        (CASES[0], -40.0, false),
        (CASES[1], -40.0, true),
        (CASES[2], -40.0, false),
        (CASES[3], -40.0, false),
        (CASES[3], 40.0, true),
        (CASES[4], -40.0, true),
        (CASES[4], 40.0, true),
    ] {
        let target = bounded(case);
        let mut l = Array1::zeros(1);
        let mut runtime = Runtime::new(1, 1).unwrap();
        let report = runtime
            .enter("test", 0, |cx| {
                cx.eval_target(&target, array![[y]].view(), Some(l.view_mut()), None)?;
                check::gradient(cx, &target, array![[y]].view())
            })
            .unwrap();
        let base = if case.0 == "shifted gamma" { -1.0 } else { 0.0 };
        let off = (l[0] - base + 20.0).abs();
        assert!(
            off < if rounded { 8f64.ln() } else { 1e-12 },
            "{}: {}",
            case.0,
            l[0]
        );
        assert!(report.worst < 1e-8, "{} at {y}: {report:?}", case.0);
    }
}

#[test]
fn limits_without_a_number_between_are_refused() {
    let normal: Arc<dyn Target> = Arc::new(PointTarget::new(1, |x, g| {
        g[0] = -x[0];
        -0.5 * x[0] * x[0]
    }));
    let error = Bounded::new(normal.clone(), &[1.0], &[1f64.next_up()]).unwrap_err();
    assert!(matches!(error, Error::Setting { .. }), "{error}");
    assert!(Bounded::new(normal, &[1.0], &[1f64.next_up().next_up()]).is_ok());
}
