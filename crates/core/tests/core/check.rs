//! The check of a gradient: what is wrong is found, and a wall is no mistake.

use ndarray::{Array2, s};
use retrograde_core::*;

#[test]
fn a_wrong_gradient_is_found() {
    let target = PointTarget::new(2, |x, g| {
        g[0] = -x[0];
        g[1] = 2.0 * x[1];
        -0.5 * x[0] * x[0] - x[1] * x[1]
    });
    let mut rt = Runtime::new(3, 1).unwrap();
    let x = ndarray::array![[1.0, 1.0]];
    let report = rt
        .enter("test", 0, |cx| check::gradient(cx, &target, x.view()))
        .unwrap();
    let at = report.at.unwrap();
    assert!(report.worst > 1.0 && at.coordinate == 1 && (at.difference + 2.0).abs() < 1e-8);
}

/// Where x₀ > 0: −x₀²/2 − x₁²/2, with `factor` times the slope in x₀; else −∞.
fn half_normal(factor: f64) -> impl Target {
    PointTarget::new(2, move |x, g| {
        (g[0], g[1]) = (-factor * x[0], -x[1]);
        if x[0] > 0.0 {
            -0.5 * (x[0] * x[0] + x[1] * x[1])
        } else {
            f64::NEG_INFINITY
        }
    })
}

#[test]
fn a_wall_beside_a_point_is_no_wrong_gradient() {
    // A step, half a step, a hundredth and less than a millionth from the wall; without mass.
    let x = [3.0, 7e-4, 2e-4, 3e-6, 1e-9, -1.0];
    let x = Array2::from_shape_fn((6, 2), |(i, j)| if j == 0 { x[i] } else { 0.7 });
    let check = |factor, rows: std::ops::Range<usize>| {
        let mut rt = Runtime::new(3, 1).unwrap();
        let (target, x) = (half_normal(factor), x.slice(s![rows, ..]));
        rt.enter("test", 0, |cx| check::gradient(cx, &target, x).unwrap())
    };
    let report = check(1.0, 0..6);
    assert!(report.worst < 1e-8, "{report:?}");
    assert_eq!((report.points, report.skipped), (5, 1));
    assert_eq!((report.slopes, report.walls), (9, 1));
    // Wrong by 3 · 7e-4 next to the wall alone.
    let report = check(4.0, 1..2);
    let at = report.at.unwrap();
    assert!((report.worst - 21e-4).abs() < 1e-8 && at.coordinate == 0);
}

#[test]
fn a_pole_beside_a_point_is_no_wrong_gradient() {
    // ℓ = −1/x² at x = 0.05: a step of 1e-3 is far too long.
    let pole = |factor: f64| {
        PointTarget::new(1, move |x, g| {
            g[0] = factor * 2.0 * x[0].powi(-3);
            -x[0].powi(-2)
        })
    };
    let worst = |factor| {
        let mut rt = Runtime::new(3, 1).unwrap();
        let x = ndarray::array![[0.05], [-0.02], [1.0]];
        let found = rt.enter("test", 0, |cx| check::gradient(cx, &pole(factor), x.view()));
        found.unwrap().worst
    };
    assert!(worst(1.0) < 1e-6, "{}", worst(1.0));
    assert!(worst(1.00001) > 5e-6, "{}", worst(1.00001));
}
