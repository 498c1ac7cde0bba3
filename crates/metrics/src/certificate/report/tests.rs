use super::*;
use crate::certificate::{OuGaussian, Scheme, initialisation, richardson};
use crate::law_1d::{Mixture1d, wasserstein};
use crate::test_chains::assert_close;
use crate::transport::Order;

fn exact(value: f64) -> Estimate {
    Estimate {
        value,
        standard_error: 0.0,
    }
}

/// The bound of N(2, ¼) under OU up to `horizon` with a score off by `bias`: a cross term of 0, for E s = 0.
fn gaussian(horizon: f64, steps: usize, bias: f64) -> Certificate {
    of_spread(0.5, horizon, steps, bias)
}

fn of_spread(spread: f64, horizon: f64, steps: usize, bias: f64) -> Certificate {
    let ou = OuGaussian::new(2.0, spread * spread, horizon).unwrap();
    let parts = ou.girsanov(Scheme::Exponential, steps).unwrap();
    let h = horizon / steps as f64;
    let levels: Vec<LevelRow> = parts
        .iter()
        .enumerate()
        .map(|(k, d)| {
            let start = horizon - k as f64 * h;
            LevelRow {
                start,
                end: start - h,
                noise: (2.0 * start).exp_m1().sqrt(),
                noise_error: None,
                score: exact(bias * bias * h),
                discretisation: exact(*d),
                total: exact(d + bias * bias * h),
            }
        })
        .collect();
    let (d, s): (f64, f64) = (parts.iter().sum(), bias * bias * horizon);
    let girsanov = GirsanovBound {
        paths: 0,
        score: exact(s),
        discretisation: exact(d),
        total: exact(d + s),
        split: exact(2.0 * (d + s)),
        levels,
    };
    let target = Mixture1d::normal(2.0, spread).unwrap();
    let alpha = (-horizon).exp();
    let start = initialisation(&target, alpha, 1.0 - alpha * alpha, 1.0).unwrap();
    let start = Part::fixed(start.kl_to_prior, Method::Quadrature);
    Certificate::stochastic(start, girsanov, Method::Exact).unwrap()
}

/// Three runs, each with one thing wrong.
#[test]
fn the_error_that_was_put_in_is_the_one_that_dominates() {
    let short = gaussian(0.3, 2000, 0.01).dominant().unwrap();
    assert_eq!(short.origin, Origin::Initialisation);
    assert!(short.certain && short.share > 0.95 && short.advice.contains("later T"));
    let coarse = gaussian(4.0, 20, 0.01).dominant().unwrap();
    assert_eq!(coarse.origin, Origin::Discretisation);
    assert!(coarse.share > 0.95 && coarse.advice.contains("more steps, or another schedule"));
    assert!(coarse.advice.contains("upper bound"));
    // Spread over all steps: no place to name. Of a narrow target the last steps find most.
    assert!(!coarse.advice.contains("come from"), "{}", coarse.advice);
    let narrow = of_spread(0.05, 4.0, 20, 0.01).dominant().unwrap();
    assert_eq!(narrow.origin, Origin::Discretisation);
    assert!(
        narrow
            .advice
            .contains("% of it come from the step from noise level 0.701"),
        "{}",
        narrow.advice
    );
    let wrong = gaussian(4.0, 2000, 0.4).dominant().unwrap();
    assert_eq!(wrong.origin, Origin::Score);
    assert!(wrong.share > 0.9 && wrong.advice.contains("better score"));
    // A constant error has no place to name.
    assert!(!wrong.advice.contains("come from"), "{}", wrong.advice);
}

#[test]
fn bounds_hold_and_add_up() {
    let ou = OuGaussian::new(2.0, 0.25, 3.0).unwrap();
    for steps in [10, 40, 160] {
        let certificate = gaussian(3.0, steps, 0.0);
        let bound = certificate.kl_bound().unwrap();
        let (start, step) = (certificate.initialisation(), certificate.discretisation());
        assert_close(bound.value, start.value + step.value, 1e-14);
        let output = ou.output(Scheme::Exponential, steps, (0.0, 1.0)).unwrap();
        let truth = ou.kl_to(output);
        assert!(truth <= bound.value);
        let q = Mixture1d::normal(output.0, output.1.sqrt()).unwrap();
        let p = Mixture1d::normal(2.0, 0.5).unwrap();
        let tv = crate::law_1d::total_variation(&p, &q).unwrap();
        assert!(tv <= certificate.total_variation_bound().unwrap());
        // Control: the bound is of order h, the truth of order h²; the start alone is no bound.
        assert!(truth > start.value || steps == 160);
    }
    assert_eq!(gaussian(3.0, 10, 3.0).total_variation_bound(), Some(1.0));
}

#[test]
fn stopping_early() {
    let target = Mixture1d::new(&[0.3, 0.7], &[-2.0, 1.5], &[0.5, 0.8]).unwrap();
    for delta in [1e-3f64, 0.05, 0.5] {
        let (alpha, sigma2) = ((-delta).exp(), -(-2.0 * delta).exp_m1());
        let gap = early_stopping_gap(alpha, sigma2, target.second_moment(), 1).unwrap();
        let law = target.noised(alpha, sigma2).unwrap();
        let truth = wasserstein(&law, &target, Order::Two).unwrap();
        assert!(truth <= gap && truth > 0.0);
    }
    assert!(early_stopping_gap(f64::NAN, 0.1, 1.0, 1).is_err());
    assert!(early_stopping_gap(1.0, -0.1, 1.0, 1).is_err());
}

#[test]
fn deterministic_samplers_have_no_girsanov_bound() {
    let part = |v| Part::fixed(v, Method::Quadrature);
    let made = Certificate::deterministic(Unit::Wasserstein2, part(0.01), part(0.3), None).unwrap();
    assert!(made.girsanov().is_none() && made.kl_bound().is_none());
    assert_eq!(made.total_variation_bound(), None);
    let dominant = made.dominant().unwrap();
    assert_eq!(dominant.origin, Origin::Discretisation);
    assert!(!dominant.advice.contains("upper bound"));
    let values = [0.4, 0.1, 0.025];
    let made = made.with_refinement(Refinement {
        quantity: "W2".into(),
        steps: 10,
        values,
        richardson: richardson(values, [0.0; 2]).unwrap(),
    });
    let made = made
        .with_early_stopping(Part::fixed(0.002, Method::UpperBound))
        .unwrap();
    let json = serde_json::to_value(&made).unwrap();
    assert_eq!(json["evidence"]["sampler"], "deterministic");
    assert_eq!(json["unit"], "W2");
    assert_eq!(json["early_stopping"]["method"], "upper-bound");
    assert_eq!(json["refinements"][0]["richardson"]["kind"], "order");
    assert_close(
        json["refinements"][0]["richardson"]["order"]
            .as_f64()
            .unwrap(),
        2.0,
        1e-12,
    );
    assert!(!json.to_string().contains("girsanov"));
    let stochastic = serde_json::to_value(gaussian(3.0, 10, 0.1)).unwrap();
    assert_eq!(
        stochastic["evidence"]["girsanov"]["levels"]
            .as_array()
            .unwrap()
            .len(),
        10
    );
}

#[test]
fn near_ties_are_uncertain_and_nothing_is_nothing() {
    let noisy = |value| Part {
        value,
        standard_error: 0.1,
        method: Method::MonteCarlo,
    };
    let tie = Certificate::deterministic(Unit::Kl, noisy(0.0), noisy(1.0), Some(noisy(1.1)));
    let tie = tie.unwrap().dominant().unwrap();
    assert_eq!((tie.origin, tie.certain), (Origin::Score, false));
    let zero = Part::fixed(0.0, Method::Exact);
    let none = Certificate::deterministic(Unit::Kl, zero, zero, Some(zero)).unwrap();
    assert_eq!(none.dominant(), None);
    let told = Certificate::deterministic(Unit::Kl, noisy(f64::NAN), zero, None).unwrap_err();
    assert!(told.to_string().contains("`initialisation` is NaN"));
    assert!(Certificate::deterministic(Unit::Kl, zero, noisy(-1.0), None).is_err());
}
