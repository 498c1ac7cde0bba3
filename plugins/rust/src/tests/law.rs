//! Against answers that are known otherwise.

use super::*;
use retrograde_plugin::core::ForwardProcess;
use retrograde_processes::cir::Cir;
use std::f64::consts::PI;

fn birth_death() -> BirthDeath {
    BirthDeath {
        birth: 3.0,
        death: 1.5,
        t_end: 6.0,
    }
}

fn process(d: usize) -> Langevin {
    Langevin::new(&birth_death(), d).unwrap()
}

#[test]
fn the_process_satisfies_what_every_process_must_and_wrong_noise_is_noticed() {
    assert_process("d = 1", &process(1), array![[-1.2], [0.4], [3.1]].view());
    assert_process("d = 2", &process(2), array![[-0.9, 2.0], [1.3, 0.2]].view());
    let wrong = catch_unwind(|| {
        let mut p = process(1);
        p.noise = 1.05;
        assert_process("wrong", &p, array![[-1.2], [0.4]].view());
    });
    assert!(wrong.is_err());
}

/// X_t given n molecules is Binomial(n, p) + Poisson(m(1 − p)), p = e^{−k₂t}; the Langevin equation has its
/// mean and its variance.
#[test]
fn mean_and_variance_are_those_of_the_reactions() {
    let (n, dt) = (20_000, 0.4);
    let (m, p) = (2.0, f64::exp(-1.5 * dt));
    for start in [0.0, 2.0, 9.0] {
        let xs = Array2::from_elem((n, 1), start);
        let mut xt = Array2::zeros((n, 1));
        let process = process(1);
        with_cx(7, |cx| {
            process
                .transition()
                .unwrap()
                .sample(cx, 0.3, 0.3 + dt, xs.view(), xt.view_mut())
        })
        .unwrap();
        let (mean, variance) = (
            start * p + m * (1.0 - p),
            start * p * (1.0 - p) + m * (1.0 - p),
        );
        let (got, se) = mean_se(xt.iter().copied());
        assert_z("mean", got, mean, se);
        let (got, se) = mean_se(xt.iter().map(|x| (x - mean).powi(2)));
        assert_z("variance", got, variance, se);
        // Without the births' own noise.
        assert!((got - start * p * (1.0 - p)).abs() > 4.5 * se);
    }
}

/// X + m is a square-root diffusion with κ = k₂, θ = 2m, σ² = k₂, whose kernel the built-in `cir` has by
/// Bessel functions.
#[test]
fn the_kernel_is_that_of_a_square_root_diffusion() {
    let files = Folder::default();
    let parts = Parts::new(&files).with_target(normal(1));
    let settings = Cir {
        kappa: 1.5,
        theta: 4.0,
        sigma: f64::sqrt(1.5),
        t_end: 6.0,
    };
    let cir: Arc<dyn ForwardProcess> = settings.build(&parts).unwrap();
    let own = process(1);
    for dt in [1e-7, 3e-5, 1e-4, 0.01, 0.3, 4.0] {
        for from in [-1.9, 0.0, 5.0] {
            let sd = f64::sqrt((3.0 + 1.5 * from) * dt);
            for steps in [-3.0, -0.4, 0.0, 1.7, 6.0] {
                let to: f64 = from + steps * sd;
                if to <= -2.0 {
                    assert_eq!(own.kernel(dt, from, to), (f64::NEG_INFINITY, 0.0));
                    continue;
                }
                let (mut l, mut g) = (Array1::zeros(1), Array2::zeros((1, 1)));
                with_cx(1, |cx| {
                    let (from, to) = (array![[from + 2.0]], array![[to + 2.0]]);
                    let (l, g) = (Some(l.view_mut()), Some(g.view_mut()));
                    let kernel = cir.transition().unwrap();
                    kernel.score(cx, 0.0, dt, from.view(), to.view(), l, g)
                })
                .unwrap();
                let (value, slope) = own.kernel(dt, from, to);
                let near = |a: f64, b: f64, tolerance: f64| {
                    assert!(
                        (a - b).abs() <= tolerance * b.abs().max(1.0),
                        "{dt} {from} {to}: {a}, {b} by Bessel functions"
                    );
                };
                near(value, l[0], 1e-9);
                near(slope, g[(0, 0)], 1e-7);
            }
        }
    }
}

#[test]
fn the_kernel_ends_wherever_it_is_asked() {
    let p = process(1);
    for to in [1e9, 1e200, f64::MAX, f64::INFINITY] {
        let (value, slope) = p.kernel(0.3, 1.0, to);
        assert!(value < -1e8 && slope <= 0.0, "{to}: {value} {slope}");
        let (value, slope) = p.kernel(1e-9, to, 1.0);
        assert!(value < -1e8 && slope >= 0.0, "from {to}: {value} {slope}");
    }
}

#[test]
fn the_reference_law_has_the_variance_of_a_poisson_law() {
    let mut x = Array2::zeros((40_000, 1));
    with_cx(2, |cx| process(1).reference_sample(cx, x.view_mut())).unwrap();
    let (mean, se) = mean_se(x.iter().copied());
    assert_z("mean", mean, 2.0, se);
    let (variance, se) = mean_se(x.iter().map(|x| (x - 2.0).powi(2)));
    assert_z("variance", variance, 2.0, se);
}

#[test]
fn wrong_settings_of_the_process_are_refused() {
    let refusal = |change: fn(&mut BirthDeath)| {
        let mut settings = birth_death();
        change(&mut settings);
        let error = Langevin::new(&settings, 1).map(|_| ()).unwrap_err();
        error.to_string()
    };
    for (text, change) in [
        ("`birth` is 0", (|s| s.birth = 0.0) as fn(&mut BirthDeath)),
        ("at least death/4 = 5", |s| s.death = 20.0),
        ("`t_end` is NaN", |s| s.t_end = f64::NAN),
        ("`death` is inf", |s| s.death = f64::INFINITY),
    ] {
        let error = refusal(change);
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn student_t_has_its_derivatives_and_its_evidence() {
    let target = StudentT {
        dim: 3,
        degrees: 2.5,
        scale: 0.7,
    };
    let x = Array2::from_shape_fn((4, 3), |(i, j)| 0.3 * i as f64 - 0.5 * j as f64 + 0.1);
    let report = with_cx(0, |cx| check::gradient(cx, &target, x.view())).unwrap();
    assert!(report.worst < 1e-7 && report.slopes == 12, "{report:?}");
    // Hessian times v by differences of the gradient.
    let (v, h) = (array![0.4, -1.0, 0.3], 1e-5);
    for x in x.rows() {
        let gradient = |e: f64| Array1::from(eval(&target, (&x + &(e * &v)).as_slice().unwrap()).1);
        let slope = (gradient(h) - gradient(-h)) / (2.0 * h);
        let mut out = Array2::zeros((1, 3));
        let row = x.insert_axis(retrograde_plugin::ndarray::Axis(0));
        let v = v.view().insert_axis(retrograde_plugin::ndarray::Axis(0));
        with_cx(0, |cx| {
            target.hvp().unwrap().hvp(cx, row, v, out.view_mut())
        })
        .unwrap();
        assert!(
            (&out.row(0) - &slope).iter().all(|e| e.abs() < 1e-7),
            "{out} {slope}"
        );
    }
    // ν = 1, d = 1 is Cauchy's law: Z = π s, by the midpoint rule in arctan(x/s).
    let cauchy = StudentT {
        dim: 1,
        degrees: 1.0,
        scale: 0.7,
    };
    let panels = 1000;
    let sum: f64 = (0..panels)
        .map(|i| {
            let angle = PI * ((f64::from(i) + 0.5) / f64::from(panels) - 0.5);
            let x = 0.7 * angle.tan();
            eval(&cauchy, &[x]).0.exp() * 0.7 / angle.cos().powi(2)
        })
        .sum();
    let z = sum * PI / f64::from(panels);
    assert!((z - 0.7 * PI).abs() < 1e-12, "{z}");
}

fn slice(
    change: impl FnOnce(&mut Chains),
    width: f64,
    most: u32,
    target: Arc<dyn Target>,
) -> Chains {
    let settings = Slice {
        width: PerCoordinate::All(width),
        most,
        warmup: 40,
        chains: 20_000,
        start_sd: 1.5,
        ..Slice::default()
    };
    let mut chains = Chains::new(settings, target).unwrap();
    change(&mut chains);
    chains
}

/// Two correlated normals, ρ = ½: the worst of the means, the variances and the covariance, in standard
/// errors.
fn worst(sampler: &Chains) -> f64 {
    let out = run(sampler, 2, 20_000, 1).unwrap();
    let x = out.rows();
    let column = |j: usize| x.column(j).to_vec();
    let (a, b) = (column(0), column(1));
    let products = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).collect::<Vec<_>>();
    [
        (a.clone(), 0.0),
        (b.clone(), 0.0),
        (products(&a, &a), 1.0),
        (products(&b, &b), 1.0),
        (products(&a, &b), 0.5),
    ]
    .into_iter()
    .map(|(values, truth)| {
        let (mean, se) = mean_se(values);
        (mean - truth).abs() / se
    })
    .fold(0.0, f64::max)
}

#[test]
fn slices_leave_the_target_invariant_whatever_the_width_and_mistakes_are_noticed() {
    let target = || -> Arc<dyn Target> {
        Arc::new(PointTarget::new(2, |x, _| {
            -(x[0] * x[0] - x[0] * x[1] + x[1] * x[1]) / 1.5
        }))
    };
    for (width, most) in [(0.5, 100), (2.0, 32), (2.0, 1), (40.0, 3)] {
        let z = worst(&slice(|_| {}, width, most, target()));
        assert!(
            z < 4.5,
            "width {width}, at most {most}: {z} standard errors"
        );
    }
    let z = worst(&slice(|c| c.drop = 0.8, 2.0, 32, target()));
    assert!(
        z > 6.0,
        "heights too near the top: only {z} standard errors"
    );
    let z = worst(&slice(|c| c.lean = 0.0, 2.0, 1, target()));
    assert!(z > 6.0, "intervals to one side: only {z} standard errors");
}

/// Student's t with 2 degrees of freedom has the distribution function ½ + x/(2√(2 + x²)).
#[test]
fn heavy_tails_have_their_distribution_function() {
    let target = Arc::new(StudentT {
        dim: 1,
        degrees: 2.0,
        scale: 1.0,
    });
    let out = run(&slice(|_| {}, 2.0, 1000, target), 1, 20_000, 1).unwrap();
    for x in [-8.0f64, -1.0, 0.3, 3.0, 30.0] {
        let truth = 0.5 + 0.5 * x / (2.0 + x * x).sqrt();
        let below = out.rows().iter().filter(|v| **v <= x).count() as f64 / 20_000.0;
        let se = (truth * (1.0 - truth) / 20_000.0).sqrt();
        assert_z(&format!("P(X ≤ {x})"), below, truth, se);
    }
    // Not that of a normal law.
    let beyond = out.rows().iter().filter(|v| v.abs() > 4.0).count();
    assert!(beyond > 500, "{beyond}");
}

#[test]
fn a_density_that_is_never_the_same_stops_the_run() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let calls = AtomicU64::new(0);
    // Falls with every call.
    let target = Arc::new(PointTarget::new(1, move |_, _| {
        -1e3 * calls.fetch_add(1, Ordering::Relaxed) as f64
    }));
    let settings = Slice {
        chains: 1,
        ..Slice::default()
    };
    let error = run(&Chains::new(settings, target).unwrap(), 1, 4, 1).unwrap_err();
    assert!(error.to_string().contains("no point as high"), "{error}");
}

#[test]
fn wrong_settings_of_the_sampler_are_refused() {
    for (text, settings) in [
        (
            "`most` is 0",
            Slice {
                most: 0,
                ..Slice::default()
            },
        ),
        (
            "`width[1]` is -1",
            Slice {
                width: PerCoordinate::Each(vec![1.0, -1.0]),
                ..Slice::default()
            },
        ),
        (
            "`start_sd` is inf",
            Slice {
                start_sd: f64::INFINITY,
                ..Slice::default()
            },
        ),
        (
            "`chains` is 0",
            Slice {
                chains: 0,
                ..Slice::default()
            },
        ),
    ] {
        let error = Chains::new(settings, normal(2))
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(error.contains(text), "{error}");
    }
    let error = run(&Chains::new(Slice::default(), normal(1)).unwrap(), 1, 7, 1).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("divisor of the number of draws, 7"),
        "{error}"
    );
}
