use super::*;
use retrograde_core::numeric::sigmoid;
use retrograde_core::{Collected, Counts, PointTarget, Runtime, drive::drive};
use retrograde_testkit::mean_se;

const M: f64 = 1.5;
const S: f64 = 0.6;

/// N(1.5, 0.6²).
fn gaussian() -> Arc<dyn Target> {
    Arc::new(PointTarget::new(1, |x, g| {
        g[0] = -(x[0] - M) / (S * S);
        -0.5 * (x[0] - M).powi(2) / (S * S)
    }))
}

/// 2/3 N(−0.8, ¼) + 1/3 N(0.8, ¼) in two coordinates: modes 4.5 standard deviations apart.
fn two_modes() -> Arc<dyn Target> {
    Arc::new(PointTarget::new(2, |x, g| {
        let square = |m: f64| x.iter().map(|x| (x - m) * (x - m)).sum::<f64>();
        let (a, b) = (2.0f64.ln() - 2.0 * square(-0.8), -2.0 * square(0.8));
        let first = sigmoid(a - b);
        for (g, x) in g.iter_mut().zip(x) {
            *g = 4.0 * (0.8 * (1.0 - 2.0 * first) - x);
        }
        a.max(b) + (-(a - b).abs()).exp().ln_1p()
    }))
}

/// Times from ε to 1 − ε_end of "geometric" with powers 1.
fn from_to(epsilon: f64, end: f64) -> Slips {
    Slips {
        pilot_moves: 0,
        sigma: M.hypot(S),
        first_snr: epsilon / (1.0 - epsilon),
        last_snr: (1.0 - end) / end,
        levels: 256,
        start_moves: 0,
        ..Slips::default()
    }
}

fn run(
    settings: &Slips,
    target: &Arc<dyn Target>,
    known: Option<Known>,
    fault: Fault,
    n: usize,
) -> (Collected, Counts) {
    let mut sampler = Localised::new(settings.clone(), target.clone()).unwrap();
    (sampler.known, sampler.fault) = (known, fault);
    let mut out = Collected::new(target.dim());
    let mut runtime = Runtime::new(3, 1).unwrap();
    drive(&sampler, &mut runtime, n, None, &mut out).unwrap();
    (out, runtime.counts().clone())
}

/// Mean and variance of û and of y/α at the end with exact û, by the recursion of normal laws.
fn recursion(sampler: &Localised) -> [(f64, f64); 2] {
    let (mut mean, mut variance) = (0.0, 0.0);
    // û = p + q y.
    let line = |k: usize| {
        let (a, v) = sampler.noise(k);
        let total = 1.0 / (S * S) + a * a / v;
        (M / (S * S) / total, a / v / total)
    };
    for k in 0..sampler.settings.levels {
        let (a, v) = sampler.noise(k);
        if k == 0 {
            (mean, variance) = (a * M, a * a * S * S + v);
            continue;
        }
        let ((before, less), (p, q)) = (sampler.noise(k - 1), line(k - 1));
        mean += (a - before) * (p + q * mean);
        variance = (1.0 + (a - before) * q).powi(2) * variance + v - less;
    }
    let last = sampler.settings.levels - 1;
    let ((a, _), (p, q)) = (sampler.noise(last), line(last));
    [
        (p + q * mean, q * q * variance),
        (mean / a, variance / (a * a)),
    ]
}

/// The draws with exact û against the recursion, whose variances are known in units of S².
fn check_exact(s: &Slips, at: usize, known: f64, fault: Fault) -> std::result::Result<(), String> {
    let sampler = Localised::new(s.clone(), gaussian()).unwrap();
    let (mean, variance) = recursion(&sampler)[at];
    let last = [Final::PosteriorMean, Final::Observation][at];
    assert!((mean - M).abs() < 1e-9, "{mean}");
    assert!(
        (variance / (S * S) - known).abs() < 1e-5,
        "{}",
        variance / (S * S)
    );
    let s = Slips { last, ..s.clone() };
    let exact = Some(Known { mean: M, sd: S });
    let (r, counts) = run(&s, &gaussian(), exact, fault, 50_000);
    assert_eq!((counts.gradient_evals, counts.density_evals), (0, 50_000));
    let x = r.rows();
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
fn with_exact_means_the_law_is_the_known_one_and_broken_steps_are_noticed() {
    let fine = from_to(0.01, 0.001);
    check_exact(&fine, 1, 0.994_046, Fault::None).unwrap();
    check_exact(&fine, 0, 0.979_773, Fault::None).unwrap();
    check_exact(&from_to(0.1, 0.0066), 0, 0.946_466, Fault::None).unwrap();
    for fault in [Fault::DriftOfAlpha, Fault::NoiseDoubled] {
        assert!(
            check_exact(&fine, 1, 0.994_046, fault).is_err(),
            "{fault:?}"
        );
    }
}

#[test]
fn schedules_have_the_ratios_they_should() {
    for (schedule, power, end_power) in [
        (Localisation::Standard, 1.0, 1.0),
        (Localisation::Geometric, 1.0, 1.0),
        (Localisation::Geometric, 2.0, 0.5),
        (Localisation::Tangent, 1.0, 1.0),
        (Localisation::Tangent, 2.0, 1.0),
    ] {
        let s = Slips {
            schedule,
            power,
            end_power,
            sigma: 1.0,
            levels: 9,
            ..Slips::default()
        };
        let sampler = Localised::new(s, gaussian()).unwrap();
        for k in 0..9 {
            let (a, t) = sampler.noise(k);
            let snr = 0.1 * 10f64.powf(0.5 * k as f64);
            let g2 = match schedule {
                Localisation::Standard => t,
                Localisation::Geometric => t.powf(power) * (1.0 - t).powf(-end_power),
                Localisation::Tangent => (FRAC_PI_2 * t).tan().powf(power),
            };
            assert!((g2 / snr - 1.0).abs() < 1e-8, "{schedule:?}: {g2} {snr}");
            assert!((a * a / t / snr - 1.0).abs() < 1e-12);
        }
    }
}

/// Share of the first mode and mean square against the truth, to 4.5 s.e. and what the method is off by.
fn check_modes(fault: Fault) -> std::result::Result<(), String> {
    let s = Slips {
        levels: 48,
        chains: 4,
        moves: 16,
        ..Slips::default()
    };
    let (r, counts) = run(&s, &two_modes(), None, fault, 1000);
    let follows = 1000 * 4 * 16 * (48 + 10);
    assert!(counts.gradient_evals > follows && counts.gradient_evals < follows + follows / 4);
    let x = r.rows();
    let (m, se) = mean_se(x.rows().into_iter().map(|x| 0.5 * (x[0] + x[1])));
    let (square, square_se) = mean_se(
        x.rows()
            .into_iter()
            .map(|x| 0.5 * (x[0] * x[0] + x[1] * x[1])),
    );
    println!("{fault:?}: mean {m:.4} ± {se:.4}, square {square:.4} ± {square_se:.4}");
    if (m + 0.8 / 3.0).abs() > 4.5 * se + 0.03 || (square - 0.89).abs() > 4.5 * square_se + 0.03 {
        return Err(format!("mean {m} ± {se}, square {square} ± {square_se}"));
    }
    assert!(r.flags.contains_key("mode_weights") && r.flags.contains_key("no_log_z"));
    assert!(!r.scalars.contains_key("log_z"), "{:?}", r.scalars);
    Ok(())
}

#[test]
fn a_mixture_has_its_moments_and_broken_variants_have_not() {
    check_modes(Fault::None).unwrap();
    for fault in [Fault::Unlinked, Fault::NoiseDoubled, Fault::DriftOfAlpha] {
        assert!(check_modes(fault).is_err(), "{fault:?}");
    }
}

#[test]
fn hard_input_ends_in_words() {
    let s = Slips {
        levels: 4,
        pilot_moves: 10,
        ..Slips::default()
    };
    let (r, _) = run(&s, &gaussian(), None, Fault::None, 1);
    assert!(r.len() == 1 && r.rows().iter().all(|v| v.is_finite()));
    let error = |target: Arc<dyn Target>, s: Slips| {
        let sampler = Localised::new(s, target)?;
        let mut out = Collected::new(1);
        drive(&sampler, &mut Runtime::new(1, 1)?, 300, None, &mut out).map(|_| ())
    };
    let nowhere: Arc<dyn Target> = Arc::new(PointTarget::new(1, |_, _| f64::NEG_INFINITY));
    for pilot_moves in [0, 10] {
        let s = Slips {
            pilot_moves,
            ..s.clone()
        };
        let said = error(nowhere.clone(), s).unwrap_err().to_string();
        assert!(said.contains("base_sd"), "{said}");
    }
    let d = Slips::default;
    for (s, words) in [
        (Slips { sigma: 0.0, ..d() }, "`sigma` is 0"),
        (
            Slips {
                last_snr: 0.05,
                ..d()
            },
            "`last_snr` is 0.05",
        ),
        (Slips { levels: 1, ..d() }, "`levels` is 1"),
        (Slips { chains: 0, ..d() }, "`chains` is 0"),
        (Slips { moves: 1, ..d() }, "`moves` is 1"),
        (Slips { power: -1.0, ..d() }, "`power` is -1"),
    ] {
        let said = error(gaussian(), s).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    }
}
