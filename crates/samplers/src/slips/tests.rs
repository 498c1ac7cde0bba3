use super::*;
use crate::posterior::cases::{M, S, check_hard_input, check_moments, gaussian};
use crate::posterior::cases::{check_modes as check, run};

fn method(settings: &Slips, known: Option<Known>, fault: Fault) -> Localised {
    Localised {
        known,
        fault,
        ..Localised::new(settings.clone()).unwrap()
    }
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

/// Mean and variance of û and of y/α at the end with exact û, by the recursion of normal laws.
fn recursion(sampler: &Localised) -> [(f64, f64); 2] {
    let (mut mean, mut variance) = (0.0, 0.0);
    // û = p + q y.
    let line = |k: usize| {
        let (a, v) = sampler.at(k);
        let total = 1.0 / (S * S) + a * a / v;
        (M / (S * S) / total, a / v / total)
    };
    for k in 0..sampler.settings.levels {
        let (a, v) = sampler.at(k);
        if k == 0 {
            (mean, variance) = (a * M, a * a * S * S + v);
            continue;
        }
        let ((before, less), (p, q)) = (sampler.at(k - 1), line(k - 1));
        mean += (a - before) * (p + q * mean);
        variance = (1.0 + (a - before) * q).powi(2) * variance + v - less;
    }
    let last = sampler.settings.levels - 1;
    let ((a, _), (p, q)) = (sampler.at(last), line(last));
    [
        (p + q * mean, q * q * variance),
        (mean / a, variance / (a * a)),
    ]
}

/// The draws with exact û against the recursion, whose variances are known in units of S².
fn check_exact(s: &Slips, at: usize, known: f64, fault: Fault) -> std::result::Result<(), String> {
    let sampler = method(s, None, Fault::None);
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
    let (r, counts) = run(method(&s, exact, fault), &gaussian(), 50_000);
    assert_eq!((counts.gradient_evals, counts.density_evals), (0, 50_000));
    check_moments(r.rows(), mean, variance)
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
        let sampler = method(&s, None, Fault::None);
        for k in 0..9 {
            let (a, t) = sampler.at(k);
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

fn check_modes(fault: Fault) -> std::result::Result<(), String> {
    let s = Slips {
        levels: 48,
        chains: 4,
        moves: 16,
        ..Slips::default()
    };
    check(method(&s, None, fault), 48 + 10)
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
    check_hard_input(|pilot_moves| {
        let s = Slips {
            levels: 4,
            pilot_moves,
            ..Slips::default()
        };
        Localised::new(s).unwrap()
    });
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
        let refused = Localised::new(s).and_then(|m| Leader::new(m, gaussian()).map(|_| ()));
        let said = refused.unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    }
}
