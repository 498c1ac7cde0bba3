use super::*;
use crate::posterior::cases::{M, S, check_hard_input, check_moments, gaussian};
use crate::posterior::cases::{check_modes as check, run};

fn method(settings: &Rdmc, known: Option<Known>, fault: Fault) -> Reversed {
    Reversed {
        known,
        fault,
        ..Reversed::new(settings.clone()).unwrap()
    }
}

/// Mean and variance after reverse steps at `times`, the last of them 0, for N(m, s²) by the recursion of
/// normal laws.
fn recursion(times: &[f64], (m, s): (f64, f64), start: (f64, f64)) -> (f64, f64) {
    let (mut mean, mut variance) = start;
    for t in times.windows(2) {
        let (a, e) = ((-t[0]).exp(), (t[0] - t[1]).exp());
        let v = a * a * s * s + 1.0 - a * a;
        let pull = e - 2.0 * (e - 1.0) / v;
        mean = pull * mean + 2.0 * (e - 1.0) * a * m / v;
        variance = pull * pull * variance + e * e - 1.0;
    }
    (mean, variance)
}

#[test]
fn the_recursion_has_the_known_values() {
    // From N(0, 1) at T = 3 to N(2, ¼), at equal steps.
    for (n, mean, variance) in [
        (10, 1.999_837_463_320_9, 0.849_599_629_309_06),
        (40, 1.999_089_334_602_5, 0.342_079_451_120_01),
        (160, 1.998_843_545_588_5, 0.269_777_777_699_39),
    ] {
        let times: Vec<f64> = (0..=n)
            .map(|k| 3.0 - 3.0 * f64::from(k) / f64::from(n))
            .collect();
        let (m, v) = recursion(&times, (2.0, 0.5), (0.0, 1.0));
        assert!(
            (m - mean).abs() < 1e-10 && (v - variance).abs() < 1e-10,
            "{m} {v}"
        );
    }
}

/// The score at x for N(m, s²) from 10⁵ draws of its posterior.
fn check_score(
    estimator: ScoreForm,
    tau: f64,
    x: f64,
    fault: Fault,
) -> std::result::Result<(), String> {
    let s = Rdmc {
        estimator,
        ..Rdmc::default()
    };
    let sampler = method(&s, None, fault);
    let (a, v) = ((-tau).exp(), -(-2.0 * tau).exp_m1());
    let width = 1.0 / (1.0 / (S * S) + a * a / v);
    let at = width * (M / (S * S) + a * x / v);
    let n = 100_000;
    let mut z = ndarray::Array2::zeros((n, 1));
    retrograde_testkit::with_cx(1, |cx| cx.fill_normal(z.view_mut()));
    let mean =
        |f: &dyn Fn(f64) -> f64| z.iter().map(|z| f(at + width.sqrt() * z)).sum::<f64>() / n as f64;
    let mut score = [mean(&|y| y)];
    let slope = [mean(&|y| (M - y) / (S * S))];
    sampler.score((a, v), &[x], &slope, &mut score);
    let truth = -(x - a * M) / (a * a * S * S + v);
    if (score[0] / truth - 1.0).abs() < 0.01 {
        return Ok(());
    }
    Err(format!("{estimator:?}: {} in place of {truth}", score[0]))
}

#[test]
fn both_forms_of_the_score_and_their_mixture_are_right() {
    use ScoreForm::{Gradient, Mixed, PosteriorMean};
    for tau in [0.05, 0.3, 1.0] {
        for estimator in [PosteriorMean, Gradient, Mixed] {
            check_score(estimator, tau, -0.8, Fault::None).unwrap();
        }
    }
    for estimator in [Gradient, Mixed] {
        assert!(check_score(estimator, 0.3, -0.8, Fault::GradientUnscaled).is_err());
    }
}

/// Draws of N(1.5, 0.6²) against the recursion over the sampler's own times.
fn check_law(s: &Rdmc, known: Option<Known>, fault: Fault) -> std::result::Result<(), String> {
    let sampler = method(s, known, fault);
    let times: Vec<f64> = (0..=s.levels).map(|k| sampler.at(k).0).collect();
    let (_, a, v) = sampler.at(0);
    let (mut start, total) = ((0.0, v), a * a * S * S + v);
    for _ in 0..s.start_moves {
        let keep = 1.0 - 0.5 * v / total;
        start = (
            keep * start.0 + 0.5 * v * a * M / total,
            keep * keep * start.1 + v,
        );
    }
    let (mean, variance) = recursion(&times, (M, S), start);
    let (r, _) = run(sampler, &gaussian(), 20_000);
    check_moments(r.rows(), mean, variance)
}

#[test]
fn the_law_of_the_draws_is_that_of_the_recursion_and_broken_steps_are_noticed() {
    let s = Rdmc {
        pilot_moves: 0,
        horizon: 1.5,
        tau_min: 0.05,
        levels: 12,
        start_moves: 3,
        ..Rdmc::default()
    };
    let exact = Some(Known { mean: M, sd: S });
    check_law(&s, exact, Fault::None).unwrap();
    assert!(check_law(&s, exact, Fault::ScoreOnce).is_err());
    // With both forms mixed as the law has it, even few draws of chains tell the score exactly.
    let s = Rdmc {
        scale: S,
        chains: 1,
        moves: 2,
        ..s
    };
    check_law(&s, None, Fault::None).unwrap();
    for fault in [Fault::ScoreOnce, Fault::GradientUnscaled] {
        assert!(check_law(&s, None, fault).is_err(), "{fault:?}");
    }
    let other = Rdmc {
        scale: 3.0 * S,
        ..s
    };
    assert!(
        check_law(&other, None, Fault::None).is_err(),
        "noise of the score is seen"
    );
}

fn check_modes(fault: Fault) -> std::result::Result<(), String> {
    let s = Rdmc {
        levels: 48,
        chains: 4,
        moves: 16,
        ..Rdmc::default()
    };
    check(method(&s, None, fault), 48 + 16)
}

#[test]
fn a_mixture_has_its_moments_and_a_broken_step_has_not() {
    check_modes(Fault::None).unwrap();
    assert!(check_modes(Fault::ScoreOnce).is_err());
}

#[test]
fn hard_input_ends_in_words() {
    check_hard_input(|pilot_moves| {
        let s = Rdmc {
            levels: 4,
            pilot_moves,
            ..Rdmc::default()
        };
        Reversed::new(s).unwrap()
    });
    let d = Rdmc::default;
    for (s, words) in [
        (
            Rdmc {
                horizon: 1e-4,
                ..d()
            },
            "`horizon` is 0.0001",
        ),
        (
            Rdmc {
                tau_min: 0.0,
                ..d()
            },
            "`tau_min` is 0",
        ),
        (Rdmc { scale: -1.0, ..d() }, "`scale` is -1"),
        (Rdmc { levels: 0, ..d() }, "`levels` is 0"),
        (Rdmc { chains: 0, ..d() }, "`chains` is 0"),
        (Rdmc { moves: 1, ..d() }, "`moves` is 1"),
    ] {
        let refused = Reversed::new(s).and_then(|m| Leader::new(m, gaussian()).map(|_| ()));
        let said = refused.unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    }
}
