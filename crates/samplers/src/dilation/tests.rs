use super::*;
use ndarray::Array2;
use retrograde_core::{Collected, Error, PointTarget, Runtime, drive::drive};
use retrograde_testkit::{assert_z, mean_se};

type Checked = std::result::Result<(), String>;

/// N(m, 1) in d dimensions.
fn normal(d: usize, m: f64) -> Arc<dyn Target> {
    Arc::new(PointTarget::new(d, move |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = m - x);
        -0.5 * x.iter().map(|v| (v - m) * (v - m)).sum::<f64>()
    }))
}

/// A density with a bent ridge: x₀ ~ N(0, 1), x₁ ~ N(sin x₀, 1).
fn bent() -> Arc<dyn Target> {
    Arc::new(PointTarget::new(2, |x, g| {
        let a = x[1] - x[0].sin();
        g[0] = -x[0] + a * x[0].cos();
        g[1] = -a;
        -0.5 * (x[0] * x[0] + a * a)
    }))
}

fn control() -> Dilation {
    Dilation {
        rule: Rule::Lipschitz,
        tail: 0,
        ..Dilation::default()
    }
}

fn opening(settings: Dilation, target: Arc<dyn Target>, fault: Fault) -> Opening {
    let mut opening = Opening::new(settings, target).unwrap();
    opening.fault = fault;
    opening
}

fn run(sampler: &dyn Sampler, d: usize, n: usize) -> Result<Collected> {
    let mut out = Collected::new(d);
    drive(sampler, &mut Runtime::new(3, 1)?, n, None, &mut out)?;
    Ok(out)
}

/// s_λ(x) as the moves use it: what one of them adds, without noise, over h.
fn score(lambda: f64, x: &[f64], fault: Fault) -> Vec<f64> {
    let settings = Dilation {
        lambda_0: lambda,
        // A power of 2, so that dividing by it loses nothing.
        step_size: Some(0.25),
        ..control()
    };
    let sampler = opening(settings, bent(), fault);
    let mut y = vec![0.0; 2];
    sampler.place(0, x, &mut y);
    let (_, gradient) = retrograde_testkit::eval(&*sampler.target, &y);
    let mut drift = vec![0.0; 2];
    sampler.shift(0, &[0.0; 2], &gradient, &mut drift);
    drift.iter().map(|v| v / (0.25 * lambda)).collect()
}

/// Compares the score with differences of ℓ(x/√λ).
fn check_score(lambda: f64, fault: Fault) -> Checked {
    // A point of the path: √λ times one of the target.
    let x = [0.7, -0.4].map(|v: f64| v * lambda.sqrt());
    let value = |x: [f64; 2]| {
        let y = x.map(|v| v / lambda.sqrt());
        retrograde_testkit::eval(&*bent(), &y).0
    };
    let got = score(lambda, &x, fault);
    for j in 0..2 {
        let slope = |e: f64| {
            let (mut a, mut b) = (x, x);
            (a[j], b[j]) = (a[j] + e, b[j] - e);
            (value(a) - value(b)) / (2.0 * e)
        };
        let e = 1e-3 * lambda.sqrt();
        let difference = slope(0.5 * e) + (slope(0.5 * e) - slope(e)) / 3.0;
        if (got[j] - difference).abs() > 1e-6 * difference.abs() {
            return Err(format!(
                "λ = {lambda}: score {}, difference {difference}",
                got[j]
            ));
        }
    }
    Ok(())
}

#[test]
fn the_score_is_that_of_the_dilated_target() {
    for lambda in [0.01, 0.5, 1.0] {
        check_score(lambda, Fault::None).unwrap();
    }
    for fault in [Fault::ScoreNotScaled, Fault::PointNotScaled] {
        assert!(check_score(0.01, fault).is_err(), "{fault:?}");
        assert!(check_score(0.5, fault).is_err(), "{fault:?}");
    }
    let x = [0.7, -0.4];
    assert_eq!(
        score(1.0, &x, Fault::None),
        retrograde_testkit::eval(&*bent(), &x).1
    );
}

/// The control against its form in y = x/√λ: Langevin on the target, and a contraction.
fn check_equivalence(schedule: Schedule, fault: Fault) -> Checked {
    let (n, d, eta) = (8, 2, 0.05);
    let settings = Dilation {
        schedule,
        steps: 500,
        step_size: Some(eta),
        start_sd: 1.0.into(),
        ..control()
    };
    let sampler = opening(settings, bent(), fault);
    let x = run(&sampler, d, n).map_err(|e| e.to_string())?;
    let mut runtime = Runtime::new(3, 1).unwrap();
    let mut normals = |step: Option<u64>, m: u64| {
        let mut z = Array2::zeros((n, d));
        runtime.enter("sampler", 0, |cx| match step {
            None => cx.at("init", 0).at("start", 0).fill_normal(z.view_mut()),
            Some(s) => cx.at_step(s).at("noise", m).fill_normal(z.view_mut()),
        });
        z
    };
    let mut y = normals(None, 0) / sampler.lambda(0).sqrt();
    for k in 0..500 {
        let z = normals(Some(k / 16), k % 16);
        for (mut y, z) in y.outer_iter_mut().zip(z.outer_iter()) {
            let (_, g) = retrograde_testkit::eval(&*bent(), &y.to_vec());
            for j in 0..d {
                y[j] += eta * g[j] + (2.0 * eta).sqrt() * z[j];
            }
        }
        y *= (sampler.lambda(k) / sampler.lambda(k + 1)).sqrt();
    }
    let worst = (&y - &x.rows()).iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if worst < 1e-12 {
        Ok(())
    } else {
        Err(format!("{schedule:?}: {worst:e}"))
    }
}

#[test]
fn the_control_is_langevin_and_a_contraction() {
    for schedule in [Schedule::Linear, Schedule::Exponential, Schedule::Quadratic] {
        check_equivalence(schedule, Fault::None).unwrap();
        for fault in [
            Fault::ScoreNotScaled,
            Fault::PointNotScaled,
            Fault::NoiseHalved,
        ] {
            assert!(
                check_equivalence(schedule, fault).is_err(),
                "{schedule:?}, {fault:?}"
            );
        }
    }
}

/// Variance 1/(1 − η/2) of the control on N(0, 1) at λ = 1.
fn check_variance(fault: Fault) -> Checked {
    let settings = Dilation {
        lambda_0: 1.0,
        steps: 200,
        step_size: Some(0.1),
        start_sd: 1.0.into(),
        ..control()
    };
    let out = run(&opening(settings, normal(1, 0.0), fault), 1, 40_000).unwrap();
    let (got, se) = mean_se(out.rows().iter().map(|v| v * v));
    let truth = 1.0 / 0.95;
    if (got - truth).abs() < 4.5 * se && (got / truth - 1.0).abs() < 0.02 {
        Ok(())
    } else {
        Err(format!("{got} ± {se}, expected {truth}"))
    }
}

#[test]
fn without_a_path_the_control_has_the_known_variance() {
    check_variance(Fault::None).unwrap();
    assert!(check_variance(Fault::NoiseHalved).is_err());
}

#[test]
fn the_exponential_schedule_pulls_to_the_origin() {
    // Quasi-stationary law π(y) e^{−r y²/4}, r = ln(1/λ₀)/((K − 1) η): mean m/(1 + r/2).
    let (m, eta, r, steps) = (4.0, 0.05, 0.1, 3685u32);
    let settings = Dilation {
        schedule: Schedule::Exponential,
        lambda_0: (-r * eta * f64::from(steps - 1)).exp(),
        steps: steps.into(),
        step_size: Some(eta),
        ..control()
    };
    let mean = |settings: &Dilation| {
        let out = run(
            &opening(settings.clone(), normal(1, m), Fault::None),
            1,
            4000,
        )
        .unwrap();
        mean_se(out.rows().iter().copied())
    };
    // Of the recursion at this η: after the contraction, and with the last move after it.
    let a = (-0.5 * r * eta).exp();
    let contracted = a * eta * m / (1.0 - a * (1.0 - eta));
    let truth = contracted * (1.0 - eta) + eta * m;
    let (got, se) = mean(&settings);
    assert_z("mean", got, truth, se);
    assert!((got / (m / (1.0 + 0.5 * r)) - 1.0).abs() < 0.02, "{got}");
    assert!((got - m).abs() > 4.5 * se, "the pull is visible");
    // A tail takes it away.
    let (got, se) = mean(&Dilation {
        tail: 200,
        ..settings
    });
    assert_z("mean after the tail", got, m, se);
}

#[test]
fn schedules_end_at_one_and_are_even_in_their_own_scale() {
    let lambda = |schedule, k| {
        let settings = Dilation {
            schedule,
            steps: 101,
            ..Dilation::default()
        };
        opening(settings, normal(1, 0.0), Fault::None).lambda(k)
    };
    type Scale = fn(f64) -> f64;
    let scales: [(Schedule, Scale); 3] = [
        (Schedule::Linear, |l| l),
        (Schedule::Exponential, f64::ln),
        (Schedule::Quadratic, f64::sqrt),
    ];
    for (schedule, scale) in scales {
        let at = |k| scale(lambda(schedule, k));
        assert!((lambda(schedule, 0) - 1e-4).abs() < 1e-18, "{schedule:?}");
        assert!(
            (at(50) - 0.5 * (at(0) + at(100))).abs() < 1e-13,
            "{schedule:?}"
        );
        assert!(lambda(schedule, 99) < 1.0 && lambda(schedule, 100) == 1.0);
        assert_eq!(lambda(schedule, 150), 1.0);
    }
}

/// A move from 0 with drift limited to 0.5, h ≤ 0.1 and λ = 1/4, with normals of 0 and then of 1:
/// length of the drift, and the noise.
fn limited(rule: Rule, gradient: [f64; 2], fault: Fault) -> (f64, f64) {
    let settings = Dilation {
        rule,
        lambda_0: 0.25,
        step_size: Some(0.1),
        drift_cap: Some(0.5),
        ..Dilation::default()
    };
    let sampler = opening(settings, normal(2, 0.0), fault);
    let (mut still, mut noisy) = ([0.0; 2], [1.0; 2]);
    sampler.shift(0, &[0.0; 2], &gradient, &mut still);
    sampler.shift(0, &[0.0; 2], &gradient, &mut noisy);
    assert!(
        (still[0] * gradient[1] - still[1] * gradient[0]).abs() <= 1e-12 * gradient[0].abs(),
        "along the gradient"
    );
    (still[0].hypot(still[1]), noisy[0] - still[0])
}

#[test]
fn drifts_are_limited_and_the_step_follows_the_score() {
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12 * b, "{a}, expected {b}");
    let full = 0.2f64.sqrt();
    for rule in [Rule::Tamed, Rule::ScoreNorm] {
        // ‖s‖ = 5/√λ = 10 wants a drift of 1; ‖s‖ = 1 one of 0.1.
        let (drift, noise) = limited(rule, [3.0, 4.0], Fault::None);
        close(drift, 0.5);
        close(
            noise,
            if rule == Rule::Tamed {
                full
            } else {
                0.1f64.sqrt()
            },
        );
        let (drift, noise) = limited(rule, [0.3, 0.4], Fault::None);
        close(drift, 0.1);
        close(noise, full);
        // A square that overflows, and a gradient of 0.
        let (drift, noise) = limited(rule, [3e200, 4e200], Fault::None);
        close(drift, 0.5);
        let h = 0.5 / 1e201;
        let want = if rule == Rule::Tamed {
            full
        } else {
            (2.0f64 * h).sqrt()
        };
        assert!((noise - want).abs() < 1e-12, "{noise}");
        assert_eq!(limited(rule, [0.0, 0.0], Fault::None), (0.0, full));
        assert!(limited(rule, [3.0, 4.0], Fault::CapIgnored).0 > 0.9);
    }
}

#[test]
fn the_scale_of_the_modes_sets_step_and_limit() {
    let settings = Dilation {
        mode_sd: 3.0,
        ..Dilation::default()
    };
    let sampler = opening(settings, normal(4, 0.0), Fault::None);
    assert!((sampler.step - 1.8).abs() < 1e-14 && (sampler.cap - 6.0).abs() < 1e-14);
    assert_eq!(
        opening(control(), normal(4, 0.0), Fault::None).cap,
        f64::INFINITY
    );
}

#[test]
fn a_path_that_opens_elsewhere_gives_the_same_draws_there() {
    let at = |location: Vec<f64>, m: f64| {
        let settings = Dilation {
            steps: 100,
            location: location.into(),
            ..Dilation::default()
        };
        run(&opening(settings, normal(2, m), Fault::None), 2, 50).unwrap()
    };
    let (here, there) = (at(vec![0.0, 0.0], 1.0), at(vec![64.0, 64.0], 65.0));
    let moved = (&there.rows() - &here.rows()).mapv(|v| (v - 64.0).abs());
    assert!(moved.iter().all(|v| *v < 1e-10));
    // From afar, the draws of one mode still arrive, and the run says that it started far off.
    let afar = at(vec![-64.0, -64.0], 1.0);
    let (mean, se) = mean_se(afar.rows().column(0).iter().copied());
    assert!((mean - 1.0).abs() < 4.5 * se + 0.3, "{mean}");
    assert_eq!(afar.flags["off_centre"].severity, Severity::Warning);
    assert!(afar.flags["off_centre"].advice.contains("`location`"));
    let centred = at(vec![1.0, 1.0], 1.0);
    assert!(!centred.flags.contains_key("off_centre"));
}

#[test]
fn every_run_says_what_it_is_not() {
    let sampler = opening(Dilation::default(), normal(2, 0.0), Fault::None);
    let out = run(&sampler, 2, 500).unwrap();
    let flag = |key: &str| out.flags[key].text.clone();
    assert!(flag("no_log_z").contains("no estimate of log Z"));
    assert!(flag("mode_weights").contains("not calibrated"));
    assert!(flag("uncorrected").contains("uncorrected"));
    assert!(flag("missed_modes").contains("narrower"));
    assert!(!out.scalars.contains_key("log_z"));
    // And a good run on an easy target says no more.
    assert_eq!(out.flags.len(), 4, "{:?}", out.flags.keys());
    assert_eq!(out.scalars["dead"], 0.0);
    assert_eq!(out.stats["lp"].len(), 500);
}

#[test]
fn a_step_too_long_for_the_modes_is_noticed() {
    // Modes ten times narrower than `mode_sd` says.
    let narrow: Arc<dyn Target> = Arc::new(PointTarget::new(2, |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = -100.0 * x);
        -50.0 * (x[0] * x[0] + x[1] * x[1])
    }));
    let flags = |mode_sd, drift_cap| {
        let settings = Dilation {
            steps: 200,
            mode_sd,
            drift_cap,
            ..Dilation::default()
        };
        let sampler = opening(settings, narrow.clone(), Fault::None);
        run(&sampler, 2, 1000).unwrap().flags
    };
    let loud = flags(1.0, None);
    let text = &loud["drift_capped"].text;
    assert!(text.contains("too long for modes so narrow"), "{text}");
    let quiet = flags(0.1, None);
    assert!(!quiet.contains_key("step_size") && !quiet.contains_key("drift_capped"));
    let held = flags(0.1, Some(0.01));
    assert!(held.contains_key("drift_capped"));
    // Without a limit that holds them back, the step alone is to blame: η = 1.2 σ².
    let loose = flags(0.245, Some(10.0));
    assert!(loose.contains_key("step_size") && !loose.contains_key("drift_capped"));
}

#[test]
fn corrected_moves_take_the_bias_away() {
    let variance = |mala_moves| {
        let settings = Dilation {
            lambda_0: 1.0,
            steps: 100,
            tail: 0,
            step_size: Some(0.5),
            drift_cap: Some(100.0),
            start_sd: 1.0.into(),
            mala_moves,
            ..Dilation::default()
        };
        let out = run(&opening(settings, normal(1, 0.0), Fault::None), 1, 20_000).unwrap();
        for (x, lp) in out.rows().iter().zip(&out.stats["lp"]) {
            assert_eq!(*lp, -0.5 * x * x, "`lp` belongs to its draw");
        }
        mean_se(out.rows().iter().map(|v| v * v))
    };
    let (got, se) = variance(0);
    assert_z("variance at η = 0.5", got, 4.0 / 3.0, se);
    let (got, se) = variance(100);
    assert_z("variance after corrected moves", got, 1.0, se);
}

#[test]
fn corrected_moves_start_from_the_values_at_the_end_of_the_path() {
    let settings = Dilation {
        steps: 10,
        tail: 0,
        location: vec![0.5, -1.0].into(),
        mala_moves: 1,
        ..Dilation::default()
    };
    let sampler = opening(settings, bent(), Fault::None);
    let (mut runtime, mut out) = (Runtime::new(3, 1).unwrap(), Collected::new(2));
    let mut state = runtime
        .enter("init", 0, |cx| sampler.init(cx, 300))
        .unwrap();
    let flow = runtime.enter("sampler", 0, |cx| {
        sampler.step(&mut cx.at_step(0), &mut state, &mut out)
    });
    assert!(flow.unwrap() == Flow::More && state.done == 10);
    let all = &state.walkers;
    for i in 0..300 {
        let (l, g) = retrograde_testkit::eval(&*bent(), &all.x.row(i).to_vec());
        assert_eq!(
            (all.log_density[i], all.gradient.row(i).to_vec()),
            (l, g),
            "{i}"
        );
    }
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let default = Dilation::default;
    for (key, settings) in [
        (
            "lambda_0",
            Dilation {
                lambda_0: 0.0,
                ..default()
            },
        ),
        (
            "lambda_0",
            Dilation {
                lambda_0: 1.5,
                ..default()
            },
        ),
        (
            "mode_sd",
            Dilation {
                mode_sd: 0.0,
                ..default()
            },
        ),
        (
            "step_size",
            Dilation {
                step_size: Some(f64::NAN),
                ..default()
            },
        ),
        (
            "step_size",
            Dilation {
                mode_sd: 1e200,
                ..default()
            },
        ),
        (
            "drift_cap",
            Dilation {
                drift_cap: Some(-1.0),
                ..default()
            },
        ),
        (
            "steps",
            Dilation {
                steps: 0,
                ..default()
            },
        ),
        (
            "steps",
            Dilation {
                steps: u64::MAX,
                ..default()
            },
        ),
        (
            "tail",
            Dilation {
                tail: u64::MAX,
                mala_moves: 2,
                ..default()
            },
        ),
        (
            "location",
            Dilation {
                location: f64::INFINITY.into(),
                ..default()
            },
        ),
        (
            "start_sd",
            Dilation {
                start_sd: (-1.0).into(),
                ..default()
            },
        ),
    ] {
        let error = Opening::new(settings, normal(2, 0.0))
            .map(|_| ())
            .unwrap_err();
        let Error::Setting { key: named, .. } = &error else {
            panic!("{error}");
        };
        assert!(
            named == key || key == "tail" && named == "steps",
            "{key}: {error}"
        );
    }
}

#[test]
fn a_density_is_asked_for_only_where_one_is_there() {
    struct GradientOnly;
    impl Target for GradientOnly {
        fn dim(&self) -> usize {
            1
        }
        fn has_density(&self) -> bool {
            false
        }
        fn eval(
            &self,
            _: &mut Cx<'_>,
            x: ndarray::ArrayView2<'_, f64>,
            l: Option<ndarray::ArrayViewMut1<'_, f64>>,
            g: Option<ndarray::ArrayViewMut2<'_, f64>>,
        ) -> Result {
            assert!(l.is_none());
            g.unwrap().assign(&x.mapv(|v| -v));
            Ok(())
        }
    }
    let settings = |mala_moves| Dilation {
        steps: 20,
        mala_moves,
        ..Dilation::default()
    };
    let out = run(
        &opening(settings(0), Arc::new(GradientOnly), Fault::None),
        1,
        10,
    )
    .unwrap();
    assert!(out.stats.is_empty() && out.len() == 10);
    let refused = Opening::new(settings(5), Arc::new(GradientOnly)).map(|_| ());
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("mala_moves"), "{error}");
}
