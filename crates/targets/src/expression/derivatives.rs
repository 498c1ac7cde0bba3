//! Every function's gradient against differences, at random points, alone and in combinations.

use super::Expression;
use super::functions::{FUNCTIONS, Meaning};
use super::tests::{build, points, target};
use ndarray::Array2;
use proptest::prelude::*;
use retrograde_core::{Target, check};
use retrograde_testkit::*;

/// Arguments that keep a function in its domain, in the coordinates u, v and w, each in (−2, 2).
fn arguments(name: &str) -> &'static str {
    match name {
        "acos" | "asin" => "0.45*u",
        "log" | "sqrt" | "lgamma" => "0.1 + u^2",
        "log1p" | "tan" => "0.45*u",
        "pow" => "0.1 + u^2, v",
        "floor" => "3.7*u",
        "if" => "u > v, u*w, v^2",
        "sum" | "mean" | "length" => "z*u",
        "dot" => "z*u, z + v",
        "max" | "min" | "log_sum_exp" => "z*u + v",
        "normal_lpdf" | "cauchy_lpdf" | "laplace_lpdf" => "u, v, 0.3 + w^2",
        "lognormal_lpdf" => "0.1 + u^2, v, 0.3 + w^2",
        "student_t_lpdf" => "u, 0.5 + w^2, v, 0.7 + w^2",
        "exponential_lpdf" => "u^2, 0.3 + v^2",
        "gamma_lpdf" => "0.1 + u^2, 0.3 + v^2, 0.3 + w^2",
        "beta_lpdf" => "logistic(u), 0.3 + v^2, 0.3 + w^2",
        "uniform_lpdf" => "u, -3 - v^2, 3 + w^2",
        "bernoulli_logit_lpmf" => "1, u + v",
        "binomial_logit_lpmf" => "3, 7 + w^2, u + v",
        "poisson_lpmf" => "4, 0.3 + u^2",
        "poisson_log_lpmf" => "4, u + v",
        _ => "u",
    }
}

/// Largest relative difference between gradient and differences.
fn worst(target: &dyn Target, x: &Array2<f64>) -> f64 {
    with_cx(1, |cx| {
        let report = check::gradient(cx, target, x.view()).unwrap();
        assert_eq!(report.skipped, 0, "{report:?}");
        report.worst
    })
}

fn with_data(formula: String) -> std::sync::Arc<dyn Target> {
    let mut settings = Expression::new(["u", "v", "w"], formula);
    settings.data = [("z".to_owned(), vec![0.3, -1.1, 0.8, 0.25])].into();
    build(settings)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Points at least 0.05 from where a choice between u and v turns, so that differences make
    /// sense there; |u| likewise.
    #[test]
    fn every_function(u in 0.05..2.0f64, side in prop::bool::ANY, gap in 0.05..2.0f64, w in -2.0..2.0f64) {
        let u = if side { u } else { -u };
        let v = if u > 0.0 { u - gap } else { u + gap };
        let x = Array2::from_shape_vec((1, 3), vec![u, v, w]).unwrap();
        for (name, meaning) in FUNCTIONS {
            let whole = format!("{name}({}) + 0.5*u*v - w^2", arguments(name));
            let error = worst(with_data(whole).as_ref(), &x);
            // Steps of the floor are as likely hit as not: its own slope is tested elsewhere.
            let steps = *name == "floor" && (3.7 * u).round() - 3.7 * u < 0.05;
            prop_assert!(error < 1e-7 || steps, "{name} at {x}: {error:e}");
            // Elementwise on a vector, and nested, so that adjoints other than 1 come in.
            if matches!(meaning, Meaning::Map(_)) && *name != "floor" {
                let inner = arguments(name).replace('u', "(u*s)");
                let whole = format!("s = square(tanh(z)) + 0.01; exp(-sum({name}({inner})*v)^2)");
                let error = worst(with_data(whole).as_ref(), &x);
                prop_assert!(error < 1e-6, "{name} of a vector at {x}: {error:e}");
            }
        }
    }

    /// Operators in random trees, over scalars and vectors.
    #[test]
    fn random_formulas(seed in prop::collection::vec(0u8..12, 3..20), x in prop::collection::vec(0.2..1.5f64, 5)) {
        // All leaves are numbers or vectors of 4, so that everything fits.
        let leaves = ["a", "x[1:4]", "z", "x[3]", "1.5", "x[2:5]"];
        let mut stack = vec!["a".to_owned(), "x[2:5]".to_owned()];
        for op in seed {
            let leaf = leaves[usize::from(op) % leaves.len()];
            let b = stack.pop().unwrap_or_else(|| leaf.into());
            let a = stack.pop().unwrap_or_else(|| leaf.into());
            let made = match op {
                0 => format!("{a} + {b}"),
                1 => format!("{a} - {b}"),
                2 => format!("{a} * {b}"),
                3 => format!("{a} / (1 + {b}^2)"),
                4 => format!("{a}^2 + {b}"),
                5 => format!("log_sum_exp({a}, tanh({b}))"),
                6 => format!("-{a}*0.5 + x[2:5]*z/(2 + sin({b}))"),
                7 => format!("exp(-{a}^2)*{b}"),
                8 => format!("if(z > 0, {a}, sin({b}))"),
                9 => format!("(z*{a})[g] - {b}"),
                10 => format!("logistic({a}) * 3^tanh({b})"),
                _ => format!("mean({a} + z) + {b}"),
            };
            // Bounded, and so are its differences.
            let short = if made.len() > 2000 { "a*x[1]".into() } else { made };
            stack.push(format!("tanh({short})"));
            stack.insert(usize::from(op) % 2, leaf.into());
        }
        let formula = format!("sum(0*z + {})", stack.join(" + "));
        let mut settings = Expression::new(["a", "x[5]"], formula.clone());
        settings.data = [
            ("z".to_owned(), vec![0.3, -1.1, 0.8, 0.25]),
            ("g".to_owned(), vec![4.0, 2.0, 2.0, 1.0]),
        ].into();
        let target = build(settings);
        let point: Vec<f64> = std::iter::once(0.7).chain(x).collect();
        let x = Array2::from_shape_vec((1, 6), point).unwrap();
        let error = worst(target.as_ref(), &x);
        prop_assert!(error < 1e-6, "{formula} at {x}: {error:e}");
    }
}

#[test]
fn a_wrong_slope_would_be_seen() {
    // max at u = v is no mistake, but differences disagree there: the check can fail.
    let tied = target(&["u", "v"], "3*max(u, v)");
    let x = Array2::from_elem((1, 2), 0.5);
    assert!(
        worst(tied.as_ref(), &x) < 1e-9,
        "equal shares are what central differences see"
    );
    let kink = target(&["u", "v"], "3*abs(u) + exp(v)");
    let x = ndarray::array![[1e-8, 0.3]];
    assert!(worst(kink.as_ref(), &x) > 0.1);
}

#[test]
fn rows_keep_their_bits_for_every_function() {
    for (name, _) in FUNCTIONS {
        let whole = with_data(format!("{name}({}) - w^2", arguments(name)));
        let mut x = points(7, 3, 0.6);
        x.mapv_inplace(|v| v.clamp(-1.9, 1.9));
        // Values and gradients of each row, alone and at any place in a batch.
        if *name != "floor" {
            assert_target(name, whole.as_ref(), x.view());
        }
    }
}
