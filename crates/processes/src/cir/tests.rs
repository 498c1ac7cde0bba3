use super::*;
use crate::probes;
use ndarray::{Array2, array};
use retrograde_testkit::*;

fn settings() -> Cir {
    Cir::default()
}

fn process(d: usize) -> Arc<dyn ForwardProcess> {
    probes::build(settings(), d).unwrap()
}

fn data(p: &SquareRoot) -> GammaMixture {
    GammaMixture::new(array![0.3, 0.7], p.shape(), array![0.05, 0.6], 1).unwrap()
}

fn law() -> SquareRoot {
    SquareRoot::new(&settings(), 1).unwrap()
}

#[test]
fn kernel_has_mass_one_and_its_moments() {
    let p = process(1);
    for (r, t) in [(0.05, 0.01f64), (1.0, 0.3), (3.0, 1e-4), (0.5, 6.0)] {
        let e = (-t).exp();
        let mean = 1.0 + (r - 1.0) * e;
        let var = 0.64 * (r * (e - e * e) + 0.5 * (1.0 - e) * (1.0 - e));
        let (lo, hi) = (
            (mean - 30.0 * var.sqrt()).max(1e-9),
            mean + 40.0 * var.sqrt(),
        );
        let moment = |k: i32| {
            probes::integrate_positive(lo, hi, |x| {
                x.powi(k) * probes::kernel(&*p, 0.0, t, &[r], &[x]).0.exp()
            })
        };
        assert!((moment(0) - 1.0).abs() < 1e-10, "{r} {t}: {}", moment(0));
        assert!((moment(1) / mean - 1.0).abs() < 1e-9);
        assert!((moment(2) / (var + mean * mean) - 1.0).abs() < 1e-9);
        let x = mean + 0.5 * var.sqrt();
        let by = probes::slope(1e-3 * var.sqrt(), |h| {
            probes::kernel(&*p, 0.0, t, &[r], &[x + h]).0
        });
        let got = probes::kernel(&*p, 0.0, t, &[r], &[x]).1[0];
        assert!((got / by - 1.0).abs() < 1e-7, "{got} {by}");
    }
}

#[test]
fn chapman_kolmogorov() {
    let p = process(1);
    let k = |s: f64, t: f64, r: f64, x: f64| probes::kernel(&*p, s, t, &[r], &[x]).0.exp();
    let (r, x) = (0.4, 1.3);
    let through = |between: f64| {
        probes::integrate_positive(1e-7, 30.0, |y| k(0.0, 0.3, r, y) * k(0.3, between, y, x))
    };
    let direct = k(0.0, 0.9, r, x);
    assert!(
        (through(0.9) / direct - 1.0).abs() < 1e-11,
        "{}",
        through(0.9) / direct
    );
    // A wrong time is seen.
    assert!((through(0.95) / direct - 1.0).abs() > 1e-3);
}

#[test]
fn gamma_data_stay_gamma() {
    let (p, own) = (process(1), law());
    let data = data(&own);
    let m = own.marginal(Law::Gamma(&data)).unwrap().unwrap();
    for (t, x) in [(0.1, 0.3), (0.7, 1.1), (2.0, 0.2)] {
        let quadrature = probes::integrate_positive(1e-8, 40.0, |r| {
            (data.coordinate(r).0 + probes::kernel(&*p, 0.0, t, &[r], &[x]).0).exp()
        });
        let (l, s) = probes::marginal(&*m, t, &[x]);
        assert!((l.exp() / quadrature - 1.0).abs() < 1e-10, "{t} {x}");
        // Denoising identity: the score is the mean of that of the kernel.
        let mean = probes::integrate_positive(1e-8, 40.0, |r| {
            let (k, s) = probes::kernel(&*p, 0.0, t, &[r], &[x]);
            (data.coordinate(r).0 + k).exp() * s[0]
        }) / quadrature;
        assert!(
            (s[0] - mean).abs() < 1e-9 * (1.0 + mean.abs()),
            "{} {mean}",
            s[0]
        );
        let residual = |speed: f64| {
            probes::fokker_planck(&*p, t, &[x], 1e-3, |u, x| {
                probes::marginal(&*m, t + speed * (u - t), x)
            })
        };
        assert!(residual(1.0).abs() < 1e-7, "{}", residual(1.0));
        assert!(residual(1.1).abs() > 1e-3);
    }
    // The flow of one Gamma law is a scaling: v = x ḃ/(2b)… = −κx + σ²x/(2b_t).
    let single = GammaMixture::new(array![1.0], own.shape(), array![0.05], 1).unwrap();
    let m = own.marginal(Law::Gamma(&single)).unwrap().unwrap();
    let (t, x) = (0.6, 0.8);
    let (s, b) = (probes::marginal(&*m, t, &[x]).1[0], own.scale_at(0.05, t));
    let v = probes::drift(&*p, t, &[x])[0] - 0.5 * 0.64 - 0.5 * 0.64 * x * s;
    assert!((v - (-x + 0.32 * x / b)).abs() < 1e-13);
}

#[test]
fn quantiles_and_noise_are_inverse_and_those_of_the_kernel() {
    let (p, own) = (process(1), law());
    for (r, dt) in [(0.02, 0.5), (1.0, 0.05), (4.0, 2.0), (1.0, 1e-5)] {
        for z in [-8.0, -2.0, -0.1, 0.7, 3.0, 9.0] {
            let x = own.to(dt, r, z);
            let back = own.noise_of(dt, r, x);
            assert!((back - z).abs() < 1e-9, "{r} {dt}: {z} {back}");
        }
        let x = own.to(dt, r, -0.4);
        let from = (x - 12.0 * 0.8 * (r * dt).sqrt()).max(x * 1e-7);
        let below = probes::integrate_positive(from, x, |y| {
            probes::kernel(&*p, 0.0, dt, &[r], &[y]).0.exp()
        });
        assert!(
            (below - normal::log_cdf(-0.4).exp()).abs() < 1e-9,
            "{r} {dt}: {below}"
        );
    }
}

#[test]
fn draws_have_the_moments_of_the_kernel() {
    let p = process(2);
    let n = 20_000;
    let xs = Array2::from_shape_fn((n, 2), |(_, j)| [0.1, 2.0][j]);
    let mut xt = xs.clone();
    with_cx(5, |cx| {
        p.transition()
            .unwrap()
            .sample(cx, 0.2, 0.7, xs.view(), xt.view_mut())
    })
    .unwrap();
    let e = (-0.5f64).exp();
    for (j, r) in [0.1, 2.0].into_iter().enumerate() {
        let mean = 1.0 + (r - 1.0) * e;
        let var = 0.64 * (r * (e - e * e) + 0.5 * (1.0 - e) * (1.0 - e));
        let (m, se) = mean_se(xt.column(j).iter().copied());
        assert_z("mean", m, mean, se);
        let (v, se) = mean_se(xt.column(j).iter().map(|x| (x - mean).powi(2)));
        assert_z("variance", v, var, se);
    }
}

#[test]
fn the_reference_law_stands_still() {
    let p = process(1);
    probes::assert_reference_1d("cir", &*p, 1e-12, 25.0);
    assert!(probes::displacement(&process(3), 0.1) < 1e-12);
    assert!(probes::displacement_without_divergence(&process(3), 0.1) > 1e-3);
    probes::assert_noise("cir", &*process(2), 0.0, &[0.4, 2.0], 1e-3);
    probes::assert_finite_outside(&*process(2), &[0.0, -1e-300, -2.0, 1e100]);
    assert_eq!(
        probes::kernel(&*p, 0.0, 1.0, &[1.0], &[-1.0]),
        (f64::NEG_INFINITY, vec![0.0])
    );
    assert!(p.integral_g2().is_none() && p.autonomous() && p.support().0 == 0.0);
}

#[test]
fn mistakes_are_named() {
    let message = |c: Cir| probes::build(c, 1).err().unwrap().to_string();
    let loud = Cir {
        sigma: 1.5,
        ..settings()
    };
    assert!(message(loud).contains("`sigma` is 1.5"));
    let none = Cir {
        kappa: 0.0,
        ..settings()
    };
    assert!(message(none).contains("`kappa` is 0"));
    let own = law();
    let other = GammaMixture::new(array![1.0], 2.0, array![1.0], 1).unwrap();
    let error = own.marginal(Law::Gamma(&other)).err().unwrap().to_string();
    assert!(error.contains("shape"), "{error}");
    let p = process(1);
    let mut out = array![[0.0]];
    let x = array![[1.0]];
    let wrong = with_cx(0, |cx| {
        p.transition()
            .unwrap()
            .sample(cx, 1.0, 1.0, x.view(), out.view_mut())
    });
    assert!(wrong.is_err());
}

#[test]
fn it_is_what_a_process_must_be() {
    let settings = Cir {
        kappa: 1.3,
        theta: 0.9,
        sigma: 0.7,
        t_end: 2.0,
    };
    let line = probes::build(settings.clone(), 1).unwrap();
    assert_process("cir", &*line, array![[0.3], [1.4]].view());
    let plane = probes::build(settings, 2).unwrap();
    assert_process("cir", &*plane, array![[0.3, 1.0], [1.4, 0.8]].view());
}
