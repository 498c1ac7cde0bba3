//! Moments, kernels and restorations of linear processes.

use super::{all, build};
use ndarray::{Array2, array};
use retrograde_core::{Cx, ForwardProcess, Result, Times};
use retrograde_testkit::{assert_close, with_cx};

/// f and g² at t, from what the process does to x = 1.
fn coefficients(p: &dyn ForwardProcess, cx: &mut Cx<'_>, t: f64) -> Result<(f64, f64)> {
    let (one, mut f, mut g2) = (array![[1.0]], array![[0.0]], array![[0.0]]);
    p.drift(cx, Times::Shared(t), one.view(), f.view_mut())?;
    p.apply_ggt(cx, Times::Shared(t), one.view(), one.view(), g2.view_mut())?;
    Ok((f[(0, 0)], g2[(0, 0)]))
}

/// α(t) and C(t) as the process says.
fn closed(p: &dyn ForwardProcess, t: f64) -> (f64, f64) {
    let (mut a, mut c) = ([0.0], [0.0]);
    p.linear().unwrap().at(t, &mut a, &mut c);
    (a[0], c[0])
}

/// α̇ = f α and Ċ = 2 f C + g², by the classical Runge–Kutta rule from 0 to t. Steps shrink where a
/// rate of 1/(1 − t) may grow.
fn integrated(p: &dyn ForwardProcess, t: f64) -> (f64, f64) {
    let steps = 20_000;
    let near_one = p.t_end() < 1.0;
    let time = |k: usize| {
        let u = k as f64 / f64::from(steps);
        if near_one {
            -(u * (-t).ln_1p()).exp_m1()
        } else {
            t * u
        }
    };
    with_cx(1, |cx| {
        let (mut a, mut c) = (1.0, 0.0);
        for k in 0..steps as usize {
            let (t, h) = (time(k), time(k + 1) - time(k));
            let mut slope = |t: f64, a: f64, c: f64| {
                let (f, g2) = coefficients(p, cx, t).unwrap();
                (f * a, 2.0 * f * c + g2)
            };
            let k1 = slope(t, a, c);
            let k2 = slope(t + 0.5 * h, a + 0.5 * h * k1.0, c + 0.5 * h * k1.1);
            let k3 = slope(t + 0.5 * h, a + 0.5 * h * k2.0, c + 0.5 * h * k2.1);
            let k4 = slope(t + h, a + h * k3.0, c + h * k3.1);
            a += h / 6.0 * (k1.0 + 2.0 * (k2.0 + k3.0) + k4.0);
            c += h / 6.0 * (k1.1 + 2.0 * (k2.1 + k3.1) + k4.1);
        }
        (a, c)
    })
}

/// Largest error of `law` against the equations of the moments at T/4, T/2 and T.
fn moment_error(p: &dyn ForwardProcess, law: impl Fn(f64) -> (f64, f64)) -> f64 {
    let error = |got: f64, want: f64| (got - want).abs() / want.abs().max(1.0);
    [0.25, 0.5, 1.0]
        .into_iter()
        .map(|u| {
            let t = u * p.t_end();
            let ((a, c), (b, v)) = (law(t), integrated(p, t));
            error(a, b).max(error(c, v))
        })
        .fold(0.0, f64::max)
}

#[test]
fn closed_laws_solve_the_equations_of_the_moments() {
    for (name, p) in all(1) {
        let worst = moment_error(&*p, |t| closed(&*p, t));
        assert!(worst < 1e-8, "{name}: {worst:.1e}");
    }
}

#[test]
fn known_mistakes_do_not_solve_them() {
    // The standard deviation of sub-VP taken for its variance; VE as code in use has it, with σ_t for √C.
    let sub_vp = build("sub-vp", "{}", 1);
    let worst = moment_error(&*sub_vp, |t| {
        let (a, c) = closed(&*sub_vp, t);
        (a, c.sqrt())
    });
    assert!(worst > 0.05, "{worst}");
    let ve = build("ve", r#"{"sigma_min": 0.5}"#, 1);
    let worst = moment_error(&*ve, |t| (1.0, closed(&*ve, t).1 + 0.25));
    assert!(worst > 1e-4, "{worst}");
    // The cosine law of the variance in place of that of the signal.
    let cosine = build("cosine", "{}", 1);
    let worst = moment_error(&*cosine, |t| {
        let (a, _) = closed(&*cosine, t);
        (a * a, 1.0 - a * a)
    });
    assert!(worst > 0.05, "{worst}");
}

#[test]
fn laws_at_the_end_are_the_published_ones() {
    let vp = closed(&*build("vp", "{}", 1), 1.0);
    assert_close("a of VP", vp.0, 0.006_571_586_494_929_6, 1e-14);
    assert_close("s² of VP", vp.1, 0.999_956_814_250_939_6, 1e-14);
    let sub_vp = closed(&*build("sub-vp", "{}", 1), 1.0);
    assert_close("a of sub-VP", sub_vp.0, vp.0, 1e-14);
    assert!((sub_vp.1 - 0.999_914).abs() < 5e-7, "{}", sub_vp.1);
    assert_close("s² of sub-VP", sub_vp.1, vp.1 * vp.1, 1e-14);
}

/// g² = 2 s ṡ − 2 (ȧ/a) s².
#[test]
fn noise_is_that_of_the_law() {
    for (name, p) in all(1) {
        for u in [0.1, 0.4, 0.9] {
            let t = u * p.t_end();
            // Central differences of sixth order.
            let h = 2e-3 * t.min(if p.t_end() < 1.0 { 1.0 - t } else { t });
            let d = |k: i32| closed(&*p, t + f64::from(k) * h);
            let slope = |of: fn((f64, f64)) -> f64| {
                let [one, two, three] = [1, 2, 3].map(|k| of(d(k)) - of(d(-k)));
                (45.0 * one - 9.0 * two + three) / (60.0 * h)
            };
            let (a, c) = closed(&*p, t);
            let rate = slope(|(a, _)| a.ln());
            let (f, g2) = with_cx(1, |cx| coefficients(&*p, cx, t)).unwrap();
            let size = g2.abs().max((2.0 * rate * c).abs());
            assert!(
                (rate - f).abs() < 1e-10 * f.abs().max(1.0),
                "{name}: {rate} {f}"
            );
            let got = slope(|(_, c)| c) - 2.0 * rate * c;
            assert!(
                (got - g2).abs() < 1e-10 * size.max(1.0),
                "{name} at {t}: {got} {g2}"
            );
            assert!(a > 0.0);
        }
    }
}

/// A and S of the step from s to t.
fn kernel(p: &dyn ForwardProcess, s: f64, t: f64) -> (f64, f64) {
    let (r, z) = (array![[1.0], [0.0]], array![[0.0], [1.0]]);
    let mut x = array![[0.0], [0.0]];
    with_cx(1, |cx| {
        let map = p.forward_map().unwrap();
        map.forward_map(cx, s, t, r.view(), z.view(), x.view_mut())
    })
    .unwrap();
    (x[(0, 0)], x[(1, 0)])
}

#[test]
fn steps_compose() {
    let near = |what: &str, got: f64, want: f64, tolerance: f64| {
        assert!((got / want - 1.0).abs() < tolerance, "{what}: {got} {want}");
    };
    for (name, p) in all(1) {
        let end = p.t_end();
        for (s, m, t) in [(0.0, 0.3, 1.0), (0.2, 0.21, 0.5), (1e-6, 1e-3, 0.9)] {
            let (s, m, t) = (s * end, m * end, t * end);
            let ((a1, s1), (a2, s2), (a, sd)) =
                (kernel(&*p, s, m), kernel(&*p, m, t), kernel(&*p, s, t));
            near(&name, a1 * a2, a, 1e-12);
            near(&name, a2 * a2 * s1 * s1 + s2 * s2, sd * sd, 1e-12);
        }
        // Nothing cancels however short the step: S² = g² h (1 + O(h)).
        let (t, h) = (0.5 * end, 1e-9 * end);
        let exact = (t + h) - t;
        let (_, g2) = with_cx(1, |cx| coefficients(&*p, cx, t + 0.5 * exact)).unwrap();
        near(&name, kernel(&*p, t, t + exact).1.powi(2), g2 * exact, 1e-8);
        let integral = p.integral_g2().unwrap().integral_g2(t, t + exact);
        near(&name, integral, g2 * exact, 1e-8);
    }
}

/// Data N(m, v): E[x_s | x_t] from the joint Gaussian law of (x_s, x_t), to which Tweedie's formula must lead.
#[test]
fn restoring_is_the_conditional_mean() {
    let (m, v) = (0.7, 0.4);
    for (name, p) in all(1) {
        let end = p.t_end();
        for (s, t) in [(0.0, 0.3), (0.2, 0.5), (0.3, 0.95)] {
            let (s, t) = (s * end, t * end);
            let ((a_s, c_s), (a_t, c_t), (a, _)) =
                (closed(&*p, s), closed(&*p, t), kernel(&*p, s, t));
            let (var_s, var_t) = (a_s * a_s * v + c_s, a_t * a_t * v + c_t);
            let x = array![[-0.8], [0.1], [2.5]];
            let score = x.mapv(|x| -(x - a_t * m) / var_t);
            let mut r = x.clone();
            with_cx(1, |cx| {
                let restore = p.restore().unwrap();
                restore.restore(cx, t, t - s, x.view(), score.view(), r.view_mut())
            })
            .unwrap();
            let slope = a * var_s / var_t;
            for (x, r) in x.iter().zip(&r) {
                let want = a_s * m + slope * (x - a_t * m);
                // (x + S² s)/A: as exact as S² s against A r allows.
                let size = (x.abs() / a).max(1.0);
                assert!(
                    (r - want).abs() < 1e-12 * size,
                    "{name} {s} {t}: {r} {want}"
                );
            }
        }
    }
}

#[test]
fn quantiles_reach_far_into_the_tails() {
    let p = build("edm", "{}", 1);
    let cdf = p.cdf().unwrap();
    // Φ(−8), Φ(−3), ½, Φ(3), to 16 digits.
    let probability = [
        6.220_960_574_271_785e-16,
        1.349_898_031_630_094_5e-3,
        0.5,
        0.998_650_101_968_369_9,
    ];
    let r = ndarray::Array1::from_elem(4, 1.0);
    let (mut x, mut back) = (r.clone(), r.clone());
    with_cx(1, |cx| {
        let list = ndarray::aview1(&probability);
        cdf.quantile(cx, 0.0, 2.0, r.view(), list, x.view_mut())?;
        cdf.cdf(cx, 0.0, 2.0, r.view(), x.view(), back.view_mut())
    })
    .unwrap();
    for ((x, p), z) in x.iter().zip(&back).zip([-8.0, -3.0, 0.0, 3.0]) {
        assert_close("quantile", *x, 1.0 + 2.0 * z, 1e-12);
        let want = probability[[-8.0, -3.0, 0.0, 3.0].iter().position(|w| *w == z).unwrap()];
        assert!((p / want - 1.0).abs() < 1e-10, "{p} {want}");
    }
}

/// The reference law is that of x_T up to what is left of the data.
#[test]
fn the_reference_law_is_close_to_that_of_the_end() {
    for (name, p) in all(1) {
        let n = 20_000;
        let mut x = Array2::zeros((n, 1));
        with_cx(3, |cx| p.reference_sample(cx, x.view_mut())).unwrap();
        let (a, c) = closed(&*p, p.t_end());
        let square = x.iter().map(|x| x * x).sum::<f64>() / n as f64;
        // Between the law of the noise alone and that of data of variance 1, or the stationary one.
        let stationary = 1.3f64.powi(2) / 0.7;
        let high = if name.starts_with("ou") {
            stationary
        } else {
            (c + a * a).max(c)
        };
        let high = if name.contains("vp") || name.contains("cosine") {
            1.0
        } else {
            high
        };
        let error = 4.5 * (2.0 / n as f64).sqrt();
        assert!(
            square > c.min(high) * (1.0 - error) && square < high * (1.0 + error),
            "{name}: {square}"
        );
    }
}
