use super::*;
use crate::probes;
use ndarray::array;
use retrograde_testkit::*;

fn coupled() -> WarpMap {
    let coupling = WarpStep {
        weights: Some(vec![vec![0.8], vec![-0.5]]),
        biases: Some(vec![0.1, 0.3]),
        shift_weights: Some(vec![vec![-0.6], vec![0.4]]),
        ..WarpStep::new(WarpKind::AffineCoupling)
    };
    let back = WarpStep {
        weights: Some(vec![vec![0.3, -0.4]]),
        reverse: true,
        ..WarpStep::new(WarpKind::AffineCoupling)
    };
    let scale = WarpStep {
        scale: Some(vec![0.7, 1.5, 1.0].into()),
        ..WarpStep::new(WarpKind::Affine)
    };
    vec![
        WarpStep::new(WarpKind::Softplus),
        coupling,
        scale,
        WarpStep::new(WarpKind::Asinh),
        back,
    ]
    .into()
}

fn process(warp: impl Into<WarpMap>, d: usize) -> Arc<dyn ForwardProcess> {
    let settings = WarpedOu {
        warp: Some(warp.into()),
        ..WarpedOu::default()
    };
    probes::build(settings, d).unwrap()
}

fn one(kind: WarpKind) -> Vec<WarpStep> {
    vec![WarpStep::new(kind)]
}

/// Processes of each map with a point of the domain.
fn all() -> Vec<(Arc<dyn ForwardProcess>, WarpMap, Vec<f64>)> {
    let affine = WarpStep {
        shift: Some(0.5.into()),
        scale: Some(2.0.into()),
        ..WarpStep::new(WarpKind::Affine)
    };
    let maps: Vec<(WarpMap, Vec<f64>)> = vec![
        (one(WarpKind::Asinh).into(), vec![0.7]),
        (one(WarpKind::Log).into(), vec![1.4]),
        (one(WarpKind::Softplus).into(), vec![0.8]),
        (
            vec![affine, WarpStep::new(WarpKind::Asinh)].into(),
            vec![-0.4, 1.2],
        ),
        (coupled(), vec![0.5, 0.9, 1.6]),
    ];
    let of = |(map, x): (WarpMap, Vec<f64>)| (process(map.clone(), x.len()), map, x);
    maps.into_iter().map(of).collect()
}

fn base(d: usize) -> GaussianMixture {
    let means = Array2::from_shape_fn((2, d), |(k, j)| [-0.6, 0.8][k] + 0.2 * j as f64);
    GaussianMixture::isotropic(array![0.4, 0.6], means, array![0.2, 0.3]).unwrap()
}

fn law(p: &dyn ForwardProcess, warp: &WarpMap) -> Arc<dyn Marginal> {
    let base = base(p.dim());
    let law = Law::Warped { warp, base: &base };
    p.closed_marginal().unwrap().marginal(law).unwrap().unwrap()
}

#[test]
fn asinh_has_its_closed_forms() {
    let p = process(one(WarpKind::Asinh), 1);
    for x in [-3.0f64, -0.2, 0.0, 5.0] {
        let f = -0.5 * (1.0 + x * x).sqrt() * x.asinh() + 0.5 * x;
        assert!((probes::drift(&*p, 0.3, &[x])[0] - f).abs() < 1e-13 * (1.0 + f.abs()));
        assert!((probes::ggt(&*p, 0.3, &[x], &[1.0])[0] / (1.0 + x * x) - 1.0).abs() < 1e-13);
        assert!((probes::div_ggt(&*p, 0.3, &[x])[0] - 2.0 * x).abs() < 1e-12);
    }
}

#[test]
fn log_without_pull_is_geometric_brownian_motion() {
    let settings = WarpedOu {
        warp: Some(one(WarpKind::Log).into()),
        pull: false,
        beta: 0.3,
        ..WarpedOu::default()
    };
    let p = probes::build(settings, 1).unwrap();
    let x = 1.7;
    assert!((probes::drift(&*p, 0.0, &[x])[0] - 0.15 * x).abs() < 1e-14);
    assert!((probes::ggt(&*p, 0.0, &[x], &[1.0])[0] - 0.3 * x * x).abs() < 1e-14);
    let (l, _) = probes::kernel(&*p, 0.0, 2.0, &[0.9], &[x]);
    let z2 = (x / 0.9f64).ln().powi(2) / 0.6;
    assert!((l - (-0.5 * z2 - 0.5 * (TAU * 0.6).ln() - x.ln())).abs() < 1e-13);
    assert_eq!(p.flags()[0].key, "approximate-reference");
    assert!(process(one(WarpKind::Log), 1).flags().is_empty());
}

#[test]
fn noise_divergence_and_fokker_planck() {
    for (p, map, x) in all() {
        probes::assert_noise("warped", &*p, 0.4, &x, 1e-3);
        let m = law(&*p, &map);
        let residual = |speed: f64| {
            probes::fokker_planck(&*p, 0.8, &x, 2e-3, |t, x| {
                probes::marginal(&*m, 0.8 + speed * (t - 0.8), x)
            })
        };
        assert!(residual(1.0).abs() < 1e-6, "{map:?}: {}", residual(1.0));
        assert!(residual(1.2).abs() > 1e-4, "{map:?}: {}", residual(1.2));
        let s = probes::marginal(&*m, 0.8, &x).1;
        for j in 0..x.len() {
            let by = probes::slope(1e-3, |h| {
                let mut at = x.clone();
                at[j] += h;
                probes::marginal(&*m, 0.8, &at).0
            });
            assert!(
                (s[j] - by).abs() < 1e-7 * (1.0 + by.abs()),
                "{map:?}: {} {by}",
                s[j]
            );
        }
    }
}

#[test]
fn the_probability_flow_is_that_of_y() {
    for (p, map, x) in all() {
        let d = x.len();
        let (mut y, mut scratch) = (vec![0.0; d], vec![0.0; map.scratch_len(d)]);
        map.forward(&x, &mut y);
        let sy: Vec<f64> = (0..d).map(|j| 0.4 - 0.9 * j as f64).collect();
        let mut sx = vec![0.0; d];
        map.pull_score(&x, &sy, &mut sx, &mut scratch);
        let vy: Vec<f64> = y.iter().zip(&sy).map(|(y, s)| -0.5 * y - 0.5 * s).collect();
        let mut want = vec![0.0; d];
        map.push(&y, &vy, &mut want, &mut scratch);
        let (f, div) = (probes::drift(&*p, 0.0, &x), probes::div_ggt(&*p, 0.0, &x));
        let ds = probes::ggt(&*p, 0.0, &x, &sx);
        let mut forgotten = 0.0f64;
        for i in 0..d {
            let v = f[i] - 0.5 * div[i] - 0.5 * ds[i];
            assert!(
                (v - want[i]).abs() < 1e-12 * (1.0 + want[i].abs()),
                "{map:?}: {v} {}",
                want[i]
            );
            forgotten = forgotten.max((f[i] - 0.5 * ds[i] - want[i]).abs());
        }
        assert!(forgotten > 1e-3, "without ∇·D it is not seen");
    }
}

#[test]
fn kernels_have_mass_one_and_compose() {
    for kind in [WarpKind::Asinh, WarpKind::Log, WarpKind::Softplus] {
        let p = process(one(kind), 1);
        let k = |s: f64, t: f64, r: f64, x: f64| probes::kernel(&*p, s, t, &[r], &[x]).0.exp();
        // By y, in which they are smooth.
        let over = |f: &dyn Fn(f64) -> f64| {
            let map: WarpMap = one(kind).into();
            probes::integrate(-9.0, 9.0, 500, |y| {
                let (mut x, mut back) = ([0.0], [0.0]);
                map.inverse(&[y], &mut x);
                f(x[0]) * (-map.forward(&x, &mut back)).exp()
            })
        };
        assert!((over(&|x| k(0.1, 1.0, 0.6, x)) - 1.0).abs() < 1e-12);
        let through =
            |s: f64| over(&|y| k(0.0, 0.4, 0.6, y) * k(s, 1.1, y, 1.3)) / k(0.0, 1.1, 0.6, 1.3);
        assert!((through(0.4) - 1.0).abs() < 1e-12);
        assert!((through(0.8) - 1.0).abs() > 1e-3);
        // P(x_t ≤ x | r) and its inverse.
        let (r, x, mut c, mut q) = (array![0.6], array![1.3], array![0.0], array![0.0]);
        with_cx(0, |cx| {
            p.cdf()
                .unwrap()
                .cdf(cx, 0.1, 0.9, r.view(), x.view(), c.view_mut())?;
            p.cdf()
                .unwrap()
                .quantile(cx, 0.1, 0.9, r.view(), c.view(), q.view_mut())
        })
        .unwrap();
        let density = probes::slope(1e-3, |h| {
            let (x, mut c) = (array![1.3 + h], array![0.0]);
            with_cx(0, |cx| {
                p.cdf()
                    .unwrap()
                    .cdf(cx, 0.1, 0.9, r.view(), x.view(), c.view_mut())
            })
            .unwrap();
            c[0]
        });
        assert!((density - k(0.1, 0.9, 0.6, 1.3)).abs() < 1e-9);
        assert!((q[0] - 1.3).abs() < 1e-13);
    }
}

#[test]
fn maps_noise_and_restoration_are_those_of_y() {
    for (p, map, x) in all() {
        let d = x.len();
        let view = Array2::from_shape_vec((1, d), x.clone()).unwrap();
        let z = Array2::from_shape_fn((1, d), |(_, j)| 0.7 - j as f64);
        let [mut to, mut back, mut r] = std::array::from_fn(|_| view.clone());
        let m = law(&*p, &map);
        let s = Array2::from_shape_vec((1, d), probes::marginal(&*m, 0.9, &x).1).unwrap();
        with_cx(0, |cx| {
            let f = p.forward_map().unwrap();
            f.forward_map(cx, 0.2, 0.9, view.view(), z.view(), to.view_mut())?;
            f.solve_noise(cx, 0.2, 0.9, view.view(), to.view(), back.view_mut())?;
            p.restore()
                .unwrap()
                .restore(cx, 0.9, 0.7, view.view(), s.view(), r.view_mut())
        })
        .unwrap();
        for j in 0..d {
            assert!((back[(0, j)] - z[(0, j)]).abs() < 1e-12);
        }
        // E[y_{t−l} | y_t] of the mixture in y.
        let (a, v) = ((-0.35f64).exp(), 1.0 - (-0.7f64).exp());
        let (at, noised) = ((-0.45f64).exp(), 1.0 - (-0.9f64).exp());
        let law_y = base(d).noised(at, noised).unwrap();
        let (mut y, mut want) = (vec![0.0; d], vec![0.0; d]);
        map.forward(&x, &mut y);
        let sy = eval(&law_y, &y).1;
        let mean: Vec<f64> = y.iter().zip(&sy).map(|(y, s)| (y + v * s) / a).collect();
        map.inverse(&mean, &mut want);
        for j in 0..d {
            let error = (r[(0, j)] - want[j]).abs();
            assert!(
                error < 1e-12 * (1.0 + want[j].abs()),
                "{map:?}: {r} {want:?}"
            );
        }
    }
}

#[test]
fn the_reference_law_stands_still_and_outside_points_are_finite() {
    probes::assert_reference_1d("asinh", &*process(one(WarpKind::Asinh), 1), -1500.0, 1500.0);
    for (p, map, _) in all() {
        assert!(
            probes::displacement(&p, 0.05) < 1e-12,
            "{map:?}: {}",
            probes::displacement(&p, 0.05)
        );
        assert!(probes::displacement_without_divergence(&p, 0.05) > 1e-3);
    }
    let p = process(one(WarpKind::Log), 2);
    probes::assert_finite_outside(&*p, &[0.0, -2.0, -1e100]);
    assert_eq!(p.support(), (0.0, f64::INFINITY));
    let (alpha, sd) = p.linear().unwrap().scalar(2.0);
    assert!((alpha * alpha + sd * sd - 1.0).abs() < 1e-15);
}

#[test]
fn data_points_and_mistakes() {
    let p = process(one(WarpKind::Log), 1);
    let points = |x: f64| GaussianMixture::points(array![0.3, 0.7], array![[1.0], [x]]).unwrap();
    let marginal = |of: &GaussianMixture| p.closed_marginal().unwrap().marginal(Law::Mixture(of));
    let m = marginal(&points(2.5)).unwrap().unwrap();
    let sum = 0.3 * probes::kernel(&*p, 0.0, 0.6, &[1.0], &[1.9]).0.exp()
        + 0.7 * probes::kernel(&*p, 0.0, 0.6, &[2.5], &[1.9]).0.exp();
    assert!((probes::marginal(&*m, 0.6, &[1.9]).0 - sum.ln()).abs() < 1e-13);
    let error = marginal(&points(-1.0)).err().unwrap().to_string();
    assert!(
        error.contains("row 2") && error.contains("domain"),
        "{error}"
    );
    assert!(marginal(&base(1)).unwrap().is_none());
    let (other, law) = (WarpMap::from(one(WarpKind::Asinh)), base(1));
    let law = Law::Warped {
        warp: &other,
        base: &law,
    };
    let error = p
        .closed_marginal()
        .unwrap()
        .marginal(law)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("warp of the data"), "{error}");
    let zero = WarpedOu {
        beta: 0.0,
        ..WarpedOu::default()
    };
    let error = probes::build(zero, 1).err().unwrap().to_string();
    assert!(error.contains("`beta` is 0"), "{error}");
    let one = WarpedOu {
        warp: Some(coupled()),
        ..WarpedOu::default()
    };
    let error = probes::build(one, 1).err().unwrap().to_string();
    assert!(error.contains("`warp[1].map`"), "{error}");
}

#[test]
fn it_is_what_a_process_must_be() {
    for (p, map, x) in all() {
        let x = Array2::from_shape_fn((2, x.len()), |(i, j)| x[j] * (1.0 + 0.3 * i as f64));
        assert_process(&format!("{map:?}"), &*p, x.view());
    }
}
