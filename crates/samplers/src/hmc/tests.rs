use super::*;
use retrograde_core::{Collected, PointTarget, Runtime, drive::drive};
use retrograde_testkit::mean_se;

/// N(0, 1).
fn normal() -> Arc<dyn Target> {
    Arc::new(PointTarget::new(1, |x, g| {
        g[0] = -x[0];
        -0.5 * x[0] * x[0]
    }))
}

/// Gumbel: ℓ(x) = −x − e^{−x}; mean γ, variance π²/6.
fn gumbel() -> Arc<dyn Target> {
    Arc::new(PointTarget::new(1, |x, g| {
        let e = (-x[0]).exp();
        g[0] = e - 1.0;
        -x[0] - e
    }))
}

fn sampler(target: Arc<dyn Target>, fault: Fault) -> Chains {
    let settings = Hmc {
        step_size: 1.2,
        leapfrog: 3,
        adapt: false,
        adapt_mass: false,
        warmup: 40,
        chains: 20_000,
        start_mean: PerCoordinate::All(0.5),
        ..Hmc::default()
    };
    let mut sampler = Chains::new(settings, target).unwrap();
    sampler.fault = fault;
    sampler
}

/// Mean and variance of independent stationary chains at a large step, to 4.5 s.e.
fn check_law(
    target: Arc<dyn Target>,
    mean: f64,
    variance: f64,
    fault: Fault,
) -> std::result::Result<(), String> {
    let mut out = Collected::new(1);
    let mut runtime = Runtime::new(3, 1).unwrap();
    drive(
        &sampler(target, fault),
        &mut runtime,
        20_000,
        None,
        &mut out,
    )
    .map_err(|e| e.to_string())?;
    let x = out.rows();
    for (what, (got, se), want) in [
        ("mean", mean_se(x.iter().copied()), mean),
        (
            "variance",
            mean_se(x.iter().map(|v| (v - mean).powi(2))),
            variance,
        ),
    ] {
        if (got - want).abs() >= 4.5 * se {
            return Err(format!("{what} {got} ± {se}, expected {want}"));
        }
    }
    Ok(())
}

#[test]
fn the_stationary_law_is_the_target_and_wrong_kernels_are_noticed() {
    let (gamma, sixth) = (0.577_215_664_901_532_9, std::f64::consts::PI.powi(2) / 6.0);
    check_law(normal(), 0.0, 1.0, Fault::None).unwrap();
    check_law(gumbel(), gamma, sixth, Fault::None).unwrap();
    for fault in [Fault::NoCorrection, Fault::FullLastKick, Fault::NoKinetic] {
        assert!(check_law(normal(), 0.0, 1.0, fault).is_err(), "{fault:?}");
        assert!(
            check_law(gumbel(), gamma, sixth, fault).is_err(),
            "{fault:?}"
        );
    }
}

/// Mean energy error of trajectories of length 1 on N(0, s²) at the scale s, as (1 − acceptance).
fn rejection(leapfrog: u32, s: f64, fault: Fault) -> f64 {
    let target: Arc<dyn Target> = Arc::new(PointTarget::new(1, move |x, g| {
        g[0] = -x[0] / (s * s);
        0.5 * x[0] * g[0]
    }));
    let start = sampler(target.clone(), Fault::None).start;
    retrograde_testkit::with_cx(1, |cx| {
        let mut w = Walkers::start(cx, NAME, START, &*target, &start, 4000).unwrap();
        let kernel = Move {
            target: &*target,
            path: Path::TARGET,
            step: 1.0 / f64::from(leapfrog),
            jitter: Jitter::Even(0.0),
            leapfrog,
            scale: Scale::Diagonal(&[s]),
            rungs: None,
            fault,
        };
        let [mut a, mut b, mut c] = std::array::from_fn(|_| vec![0.0; 4000]);
        let mut out = Outcome {
            acceptance: &mut a,
            step: &mut b,
            diverging: &mut c,
        };
        kernel
            .apply(&mut cx.at("move", 0), &mut w, &mut out)
            .unwrap();
        1.0 - a.iter().sum::<f64>() / 4000.0
    })
}

/// Acceptance, step size and divergence of one leapfrog step on N(0, 1) from x = 1.
fn told(step: f64, jitter: f64) -> [Vec<f64>; 3] {
    let target = normal();
    let (one, zero) = (PerCoordinate::All(1.0), PerCoordinate::All(0.0));
    let start = Gaussian::new(NAME, 1, START, &one, &zero, false).unwrap();
    let mut told = std::array::from_fn(|_| vec![f64::NAN; 4000]);
    retrograde_testkit::with_cx(1, |cx| {
        let mut w = Walkers::start(cx, NAME, START, &*target, &start, 4000).unwrap();
        let [acceptance, step_out, diverging] = &mut told;
        let kernel = Move {
            target: &*target,
            path: Path::TARGET,
            step,
            jitter: Jitter::Even(jitter),
            leapfrog: 1,
            scale: Scale::Diagonal(&[1.0]),
            rungs: None,
            fault: Fault::None,
        };
        let mut out = Outcome {
            acceptance,
            step: step_out,
            diverging,
        };
        kernel
            .apply(&mut cx.at("move", 0), &mut w, &mut out)
            .unwrap();
    });
    told
}

#[test]
fn trajectories_tell_their_acceptance_step_and_divergence() {
    let [a, steps, lost] = told(1.5, 0.2);
    assert!(a.iter().all(|a| (0.0..=1.0).contains(a)) && a.contains(&1.0));
    // Uniform on 1.2 to 1.8.
    let (mean, se) = mean_se(steps.iter().copied());
    retrograde_testkit::assert_z("step", mean, 1.5, se);
    let (low, high) = (
        steps.iter().fold(9.0f64, |m, s| m.min(*s)),
        steps.iter().fold(0.0f64, |m, s| m.max(*s)),
    );
    assert!(
        (1.2..1.21).contains(&low) && (1.79..1.8).contains(&high),
        "{low} {high}"
    );
    assert!(lost.iter().all(|v| *v == 0.0));
    // ε = 4: errors of some ten to a hundred are rejections, not divergences.
    let [a, _, lost] = told(4.0, 0.0);
    assert!(a.iter().any(|a| *a < 1e-4) && lost.iter().all(|v| *v == 0.0));
    // ε = 30: x′ = −449 + 30 v, so that H′ is above 10⁴ whatever v.
    let [_, _, lost] = told(30.0, 0.0);
    assert!(lost.iter().all(|v| *v == 1.0));
}

#[test]
fn the_energy_error_is_of_second_order() {
    // Halving ε quarters the error; a full last kick leaves one of first order.
    for s in [1.0, 3.0] {
        let order = |fault| (rejection(8, s, fault) / rejection(16, s, fault)).log2();
        assert!(
            (order(Fault::None) - 2.0).abs() < 0.1,
            "{}",
            order(Fault::None)
        );
        assert!(
            order(Fault::FullLastKick) < 1.5,
            "{}",
            order(Fault::FullLastKick)
        );
    }
}
