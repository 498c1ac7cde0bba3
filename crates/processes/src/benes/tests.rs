use super::*;
use crate::probes;
use ndarray::array;
use retrograde_testkit::*;

fn line() -> Arc<dyn ForwardProcess> {
    let settings = Benes {
        directions: Some(vec![vec![1.2], vec![-1.2]]),
        ..Benes::default()
    };
    probes::build(settings, 1).unwrap()
}

fn plane() -> Arc<dyn ForwardProcess> {
    let settings = Benes {
        directions: Some(vec![vec![1.0, 0.4], vec![-0.7, 0.9], vec![0.1, -1.3]]),
        weights: Some(vec![1.0, 2.0, 0.5]),
        ..Benes::default()
    };
    probes::build(settings, 2).unwrap()
}

fn uneven() -> Tilt {
    tilt(
        &[vec![1.0, 0.4], vec![-0.7, 0.9], vec![0.1, -1.3]],
        Some(&[1.0, 2.0, 0.5]),
        2,
    )
    .unwrap()
}

fn base_1d() -> GaussianMixture {
    GaussianMixture::isotropic(array![0.5, 0.5], array![[-1.0], [0.6]], array![0.09, 0.16]).unwrap()
}

fn tilt_1d() -> Tilt {
    tilt(&[vec![1.2], vec![-1.2]], None, 1).unwrap()
}

fn law_1d(p: &dyn ForwardProcess) -> Arc<dyn Marginal> {
    let (tilt, base) = (tilt_1d(), base_1d());
    let law = Law::Tilted {
        tilt: &tilt,
        base: &base,
    };
    p.closed_marginal().unwrap().marginal(law).unwrap().unwrap()
}

#[test]
fn drift_is_a_tanh_and_its_derivatives_agree() {
    let p = line();
    for x in [-3.0, 0.2, 40.0] {
        let f = probes::drift(&*p, 0.7, &[x])[0];
        assert!((f - 1.2 * (1.2 * x).tanh()).abs() < 1e-14);
    }
    assert!(p.autonomous() && !plane().autonomous());
    let (p, x, v) = (plane(), array![[0.3, -0.8]], array![[0.5, 1.1]]);
    let (mut jvp, mut vjp, mut div) = (v.clone(), v.clone(), Array1::zeros(1));
    let t = Times::Shared(0.4);
    with_cx(0, |cx| {
        p.drift_jvp()
            .unwrap()
            .drift_jvp(cx, t, x.view(), v.view(), jvp.view_mut())?;
        p.drift_vjp()
            .unwrap()
            .drift_vjp(cx, t, x.view(), v.view(), vjp.view_mut())?;
        p.drift_divergence()
            .unwrap()
            .drift_divergence(cx, t, x.view(), div.view_mut())
    })
    .unwrap();
    let f = |e: [f64; 2]| probes::drift(&*p, 0.4, &[0.3 + e[0], -0.8 + e[1]]);
    for i in 0..2 {
        let by = probes::slope(1e-3, |h| f([h * 0.5, h * 1.1])[i]);
        assert!((jvp[(0, i)] - by).abs() < 1e-9);
        assert!((vjp[(0, i)] - by).abs() < 1e-9, "the Jacobian is symmetric");
    }
    let by = probes::slope(1e-3, |h| f([h, 0.0])[0]) + probes::slope(1e-3, |h| f([0.0, h])[1]);
    assert!((div[0] - by).abs() < 1e-9);
}

#[test]
fn kernel_mass_and_chapman_kolmogorov() {
    let p = line();
    let k = |s: f64, t: f64, r: f64, x: f64| probes::kernel(&*p, s, t, &[r], &[x]).0.exp();
    let mass = probes::integrate(-15.0, 15.0, 400, |x| k(0.2, 1.3, 0.4, x));
    assert!((mass - 1.0).abs() < 1e-12, "{mass}");
    let through = |between: f64| {
        probes::integrate(-15.0, 15.0, 600, |y| {
            k(0.0, 0.5, -0.3, y) * k(between, 1.4, y, 0.9)
        })
    };
    assert!((through(0.5) - k(0.0, 1.4, -0.3, 0.9)).abs() < 1e-12);
    assert!((through(0.6) - k(0.0, 1.4, -0.3, 0.9)).abs() > 1e-4);
    // The kernel is the mixture of its components, in the plane.
    let (p, tilt) = (plane(), uneven());
    let (s, t, r, x) = (0.3, 1.1, [0.2, -0.5], [0.9, 0.4]);
    let h = tilt.eval(&r, s, None);
    let sum: f64 = (0..3)
        .map(|i| {
            let a = tilt.directions().row(i);
            let pi = tilt.log_weights()[i] + a[0] * r[0] + a[1] * r[1] - 0.5 * s * a.dot(&a) - h;
            let square: f64 = (0..2).map(|j| (x[j] - r[j] - 0.8 * a[j]).powi(2)).sum();
            (pi - 0.5 * square / 0.8).exp() / (TAU * 0.8)
        })
        .sum();
    assert!((probes::kernel(&*p, s, t, &r, &x).0 - sum.ln()).abs() < 1e-13);
}

#[test]
fn marginals_solve_fokker_planck_and_are_normalised() {
    let p = line();
    let m = law_1d(&*p);
    for (t, x) in [(0.2, -0.7), (1.0, 0.1), (1.7, 2.0)] {
        let residual = |wrong: f64| {
            probes::fokker_planck(&*p, t, &[x], 2e-3, |u, x| {
                probes::marginal(&*m, t + wrong * (u - t), x)
            })
        };
        assert!(residual(1.0).abs() < 1e-7, "{}", residual(1.0));
        assert!(residual(1.1).abs() > 1e-4, "{}", residual(1.1));
        let mass = probes::integrate(-20.0, 20.0, 1000, |x| {
            probes::marginal(&*m, t, &[x]).0.exp()
        });
        assert!((mass - 1.0).abs() < 1e-12);
        let by = probes::slope(1e-3, |h| probes::marginal(&*m, t, &[x + h]).0);
        assert!((probes::marginal(&*m, t, &[x]).1[0] - by).abs() < 1e-8);
    }
    // Directions of several lengths in the plane.
    let (p, tilt) = (plane(), uneven());
    let base = GaussianMixture::dense(
        array![0.3, 0.7],
        array![[0.2, 0.1], [-0.6, 1.0]],
        array![[[0.4, 0.1], [0.1, 0.3]], [[0.5, -0.2], [-0.2, 0.9]]],
    )
    .unwrap();
    let law = Law::Tilted {
        tilt: &tilt,
        base: &base,
    };
    let m = p.closed_marginal().unwrap().marginal(law).unwrap().unwrap();
    let residual = probes::fokker_planck(&*p, 0.6, &[0.3, -0.2], 2e-3, |t, x| {
        probes::marginal(&*m, t, x)
    });
    assert!(residual.abs() < 1e-7, "{residual}");
    // q_t is the tilted noised mixture in one more way.
    let direct = probes::integrate(-12.0, 12.0, 60, |a| {
        probes::integrate(-12.0, 12.0, 60, |b| {
            probes::marginal(&*m, 0.6, &[a, b]).0.exp()
        })
    });
    assert!((direct - 1.0).abs() < 1e-9, "{direct}");
}

#[test]
fn restoration_is_the_conditional_mean_and_matches_the_kernel_score() {
    let p = line();
    let m = law_1d(&*p);
    let restored = |t: f64, l: f64, x: f64| {
        let s = array![[probes::marginal(&*m, t, &[x]).1[0]]];
        let mut r = array![[0.0]];
        with_cx(0, |cx| {
            p.restore()
                .unwrap()
                .restore(cx, t, l, array![[x]].view(), s.view(), r.view_mut())
        })
        .unwrap();
        r[(0, 0)]
    };
    for (t, l, x) in [(0.8, 0.3, 0.7), (1.5, 1.4, -1.1), (1.0, 0.01, 2.2)] {
        let weight = |r: f64| {
            (probes::marginal(&*m, t - l, &[r]).0 + probes::kernel(&*p, t - l, t, &[r], &[x]).0)
                .exp()
        };
        let mass = probes::integrate(-12.0, 12.0, 4000, weight);
        let mean = probes::integrate(-12.0, 12.0, 4000, |r| r * weight(r)) / mass;
        let r = restored(t, l, x);
        assert!((r - mean).abs() < 1e-12, "{r} {mean}");
        assert!((mass.ln() - probes::marginal(&*m, t, &[x]).0).abs() < 1e-11);
        let (k, s) = (
            probes::kernel(&*p, t - l, t, &[r], &[x]).1[0],
            probes::marginal(&*m, t, &[x]).1[0],
        );
        assert!((k - s).abs() < 1e-9, "{k} {s}");
        // Without the drift it is another point.
        assert!((r + l * probes::drift(&*p, t, &[x])[0] - mean).abs() > 1e-3);
    }
}

#[test]
fn data_points_are_a_mixture_of_kernels() {
    let (p, tilt) = (line(), tilt_1d());
    let points = GaussianMixture::points(array![0.2, 0.8], array![[-1.0], [1.5]]).unwrap();
    let m = p
        .closed_marginal()
        .unwrap()
        .marginal(Law::Mixture(&points))
        .unwrap()
        .unwrap();
    let x = 0.3;
    let sum = 0.2 * probes::kernel(&*p, 0.0, 0.7, &[-1.0], &[x]).0.exp()
        + 0.8 * probes::kernel(&*p, 0.0, 0.7, &[1.5], &[x]).0.exp();
    let (l, s) = probes::marginal(&*m, 0.7, &[x]);
    assert!((l - sum.ln()).abs() < 1e-13);
    let by = probes::slope(1e-3, |h| probes::marginal(&*m, 0.7, &[x + h]).0);
    assert!((s[0] - by).abs() < 1e-9);
    // A plain mixture is not closed, and another tilt is refused.
    let base = base_1d();
    assert!(
        p.closed_marginal()
            .unwrap()
            .marginal(Law::Mixture(&base))
            .unwrap()
            .is_none()
    );
    let other = Tilt::new(array![1.0, 2.0], tilt.directions().clone()).unwrap();
    let law = Law::Tilted {
        tilt: &other,
        base: &base,
    };
    let error = p
        .closed_marginal()
        .unwrap()
        .marginal(law)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("tilt"), "{error}");
    // One point is restored exactly from anywhere.
    let one = GaussianMixture::points(array![1.0], array![[0.8]]).unwrap();
    let m = p
        .closed_marginal()
        .unwrap()
        .marginal(Law::Mixture(&one))
        .unwrap()
        .unwrap();
    for x in [-4.0, 0.0, 3.0] {
        let s = probes::marginal(&*m, 1.3, &[x]).1[0];
        let r = x + 1.3 * (s - probes::drift(&*p, 1.3, &[x])[0]);
        assert!((r - 0.8).abs() < 1e-12);
    }
}

#[test]
fn quantiles_and_noise_are_inverse_and_those_of_the_kernel() {
    let p = line();
    let map = p.forward_map().unwrap();
    for (s, t, r) in [(0.0, 1.0, 0.0), (0.4, 0.5, 1.0), (0.0, 9.0, -0.2)] {
        for z in [-30.0, -3.0, -0.2, 0.0, 1.0, 12.0] {
            let (r, z) = (array![[r]], array![[z]]);
            let (mut x, mut back) = (r.clone(), r.clone());
            with_cx(0, |cx| {
                map.forward_map(cx, s, t, r.view(), z.view(), x.view_mut())?;
                map.solve_noise(cx, s, t, r.view(), x.view(), back.view_mut())
            })
            .unwrap();
            let error = (back[(0, 0)] - z[(0, 0)]).abs();
            assert!(error < 1e-11 * (1.0 + z[(0, 0)].abs()), "{z} {back}");
        }
    }
    let (r, x, mut c, mut q) = (array![0.4], array![1.1], array![0.0], array![0.0]);
    let cdf = p.cdf().unwrap();
    with_cx(0, |cx| {
        cdf.cdf(cx, 0.1, 0.9, r.view(), x.view(), c.view_mut())?;
        cdf.quantile(cx, 0.1, 0.9, r.view(), c.view(), q.view_mut())
    })
    .unwrap();
    let below = probes::integrate(-14.0, 1.1, 400, |y| {
        probes::kernel(&*p, 0.1, 0.9, &[0.4], &[y]).0.exp()
    });
    assert!((c[0] - below).abs() < 1e-13, "{c} {below}");
    assert!((q[0] - 1.1).abs() < 1e-13);
    assert!(plane().cdf().is_none() && plane().forward_map().is_none());
}

#[test]
fn draws_are_those_of_kernel_and_reference_law() {
    let p = plane();
    let n = 20_000;
    let xs = Array2::from_shape_fn((n, 2), |(_, j)| [0.3, -0.4][j]);
    let mut xt = xs.clone();
    with_cx(2, |cx| {
        p.transition()
            .unwrap()
            .sample(cx, 0.2, 1.2, xs.view(), xt.view_mut())
    })
    .unwrap();
    // E x = r + τ f(r, s), since f is a martingale under the process.
    let f = probes::drift(&*p, 0.2, &[0.3, -0.4]);
    for j in 0..2 {
        let (m, se) = mean_se(xt.column(j).iter().copied());
        assert_z("mean of the kernel", m, [0.3, -0.4][j] + f[j], se);
    }
    // The mean of h(r, s)/h(x, t) is 1: it tests the whole law.
    let tilt = uneven();
    let before = tilt.eval(&[0.3, -0.4], 0.2, None);
    let ratio = xt
        .rows()
        .into_iter()
        .map(|x| (before - tilt.eval(&x.to_vec(), 1.2, None)).exp());
    let (m, se) = mean_se(ratio);
    assert_z("inverse of h", m, 1.0, se);
    probes::assert_reference_1d("benes", &*line(), -60.0, 60.0);
    // It is q_T of the data it is made for.
    let p = line();
    let (tilt, base) = (
        tilt_1d(),
        GaussianMixture::isotropic(array![1.0], array![[0.0]], array![1.0]).unwrap(),
    );
    let law = Law::Tilted {
        tilt: &tilt,
        base: &base,
    };
    let m = p.closed_marginal().unwrap().marginal(law).unwrap().unwrap();
    for x in [-20.0, 0.4, 9.0] {
        let (l, s) = probes::marginal(&*m, p.t_end(), &[x]);
        let (rl, rs) = probes::reference(&*p, &[x]);
        assert!((l - rl).abs() < 1e-11 && (s[0] - rs[0]).abs() < 1e-11);
    }
    assert_eq!(p.flags()[0].key, "approximate-reference");
}

#[test]
fn mistakes_are_named() {
    let message = |b: Benes| probes::build(b, 2).err().unwrap().to_string();
    assert!(message(Benes::default()).contains("`directions` is missing"));
    let short = Benes {
        directions: Some(vec![vec![1.0]]),
        ..Benes::default()
    };
    assert!(message(short).contains("`directions[0]` is a list of 1"));
    let directions = Some(vec![vec![1.0, 0.0]]);
    let weights = Benes {
        directions: directions.clone(),
        weights: Some(vec![0.0]),
        ..Benes::default()
    };
    assert!(message(weights).contains("`weights` is 0"));
    let spread = Benes {
        directions: directions.clone(),
        spread: -1.0,
        ..Benes::default()
    };
    assert!(message(spread).contains("`spread` is -1"));
    let end = Benes {
        directions,
        t_end: 0.0,
        ..Benes::default()
    };
    assert!(message(end).contains("`t_end` is 0"));
}

#[test]
fn it_is_what_a_process_must_be() {
    assert_process("benes", &*line(), array![[0.3], [-1.4]].view());
    assert_process("benes", &*plane(), array![[0.3, 1.0], [-1.4, 0.8]].view());
}
