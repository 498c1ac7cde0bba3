//! Values and gradients against hand-written targets, and what the language means.

use super::Expression;
use crate::{Banana, EightSchools, EightSchoolsPrior, Funnel, LogisticRegression};
use ndarray::{Array1, Array2, ArrayView2, array};
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{Build, PointTarget, Target};
use retrograde_testkit::*;
use std::sync::Arc;

/// The examples' folder, where there is data.
pub(super) fn folder() -> Folder {
    Folder(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data").into())
}

pub(super) fn build(settings: Expression) -> Arc<dyn Target> {
    let built = settings.build(&Parts::new(&folder()));
    built.unwrap_or_else(|e| panic!("{e}"))
}

/// A density of these coordinates.
pub(super) fn target(coordinates: &[&str], formula: &str) -> Arc<dyn Target> {
    build(Expression::new(coordinates.iter().copied(), formula))
}

/// The value of a formula without coordinates.
#[track_caller]
fn constant(formula: &str) -> f64 {
    eval(target(&["x"], formula).as_ref(), &[0.0]).0
}

/// Panics unless the two agree at `points` to 1e-12 (relative; absolute below 1), and the first is
/// sound in all that a target must be.
#[track_caller]
fn assert_same(what: &str, ours: &dyn Target, theirs: &dyn Target, points: ArrayView2<'_, f64>) {
    assert_target(what, ours, points);
    let both = |t: &dyn Target| {
        let (mut l, mut g) = (Array1::zeros(points.nrows()), Array2::zeros(points.dim()));
        with_cx(0, |cx| {
            t.eval(cx, points, Some(l.view_mut()), Some(g.view_mut()))
        })
        .unwrap();
        (l, g)
    };
    let ((l, g), (l2, g2)) = (both(ours), both(theirs));
    for (i, (l, l2)) in l.iter().zip(&l2).enumerate() {
        assert_close(&format!("{what}: value {i}"), *l, *l2, 1e-12);
        let largest = g2.row(i).iter().fold(1.0f64, |m, v| m.max(v.abs()));
        for (a, b) in g.row(i).iter().zip(g2.row(i)) {
            assert!(
                (a - b).abs() <= 1e-12 * largest,
                "{what}: gradient {i}: {a}, expected {b}"
            );
        }
    }
}

/// Points around the fixed test point of dimension d.
pub(super) fn points(n: usize, d: usize, scale: f64) -> Array2<f64> {
    Array2::from_shape_fn((n, d), |(i, j)| {
        scale * (i as f64 - 1.3) * point(d)[j] + 0.1
    })
}

#[test]
fn banana() {
    let ours = target(
        &["x", "y"],
        "bent = y + 0.03*x^2 - 3;   # straight again
         -x^2/200 - 0.5*bent^2 - 0.5*log(100) - log(2*pi)",
    );
    assert_eq!(ours.coordinate(1), "y");
    assert_same(
        "banana",
        ours.as_ref(),
        &Banana { bend: 0.03 },
        points(6, 2, 3.0).view(),
    );
}

#[test]
fn rosenbrock_in_many_dimensions() {
    for d in [2, 10, 50, 200] {
        let names = [format!("x[{d}]")];
        let last = d - 1;
        let formula = format!("-sum(100*(x[2:{d}] - x[1:{last}]^2)^2 + (1 - x[1:{last}])^2)");
        let ours = build(Expression::new(names, formula));
        assert_eq!(ours.coordinate(d - 1), format!("x[{d}]"));
        let hand = PointTarget::new(d, |x, g| {
            let mut l = 0.0;
            for i in 0..x.len() - 1 {
                let (a, b) = (x[i + 1] - x[i] * x[i], 1.0 - x[i]);
                l -= 100.0 * a * a + b * b;
                g[i] += 400.0 * a * x[i] + 2.0 * b;
                g[i + 1] -= 200.0 * a;
            }
            l
        });
        assert_same("rosenbrock", ours.as_ref(), &hand, points(5, d, 1.0).view());

        // The same in single coordinates.
        let names: Vec<String> = (1..=d).map(|i| format!("x{i}")).collect();
        let terms: Vec<String> = (1..d)
            .map(|i| format!("100*(x{} - x{i}^2)^2 + (1 - x{i})^2", i + 1))
            .collect();
        let ours = build(Expression::new(names, format!("-({})", terms.join(" + "))));
        assert_same(
            "rosenbrock, scalars",
            ours.as_ref(),
            &hand,
            points(5, d, 1.0).view(),
        );
    }
}

#[test]
fn funnel() {
    let ours = target(
        &["v", "x[9]"],
        "normal_lpdf(v, 0, 3) + sum(normal_lpdf(x, 0, exp(v/2)))",
    );
    let hand = Funnel {
        dim: 10,
        variance: 9.0,
    };
    assert_same("funnel", ours.as_ref(), &hand, points(5, 10, 2.0).view());
}

#[test]
fn eight_schools() {
    let mut settings = Expression::new(
        ["mu", "log_tau", "eta[8]"],
        "tau = exp(log_tau);
         theta = mu + tau*eta;
         # A half-Cauchy prior of tau, with the Jacobian of its logarithm.
         log(2) + cauchy_lpdf(tau, 0, 5) + log_tau
           + normal_lpdf(mu, 0, 5) + sum(normal_lpdf(eta, 0, 1)) + sum(normal_lpdf(y, theta, sigma))",
    );
    settings.data = [
        (
            "y".into(),
            vec![28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0],
        ),
        (
            "sigma".into(),
            vec![15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0],
        ),
    ]
    .into();
    let ours = build(settings);
    assert_eq!(ours.coordinate(2), "eta[1]");
    let hand = EightSchools {
        prior: EightSchoolsPrior::Posteriordb,
    };
    assert_same(
        "eight-schools",
        ours.as_ref(),
        &hand,
        points(5, 10, 1.0).view(),
    );
}

#[test]
fn logistic_regression_on_columns_of_a_file() {
    let mut settings = Expression::new(
        ["w0", "w[2]"],
        "l = w0 + w[1]*a + w[2]*b;
         sum(bernoulli_logit_lpmf((t + 1)/2, l)) + normal_lpdf(w0, 0, 1) + sum(normal_lpdf(w, 0, 1))",
    );
    let header = std::fs::read_to_string(folder().0.join("ionosphere.csv")).unwrap();
    let header: Vec<&str> = header.lines().next().unwrap().split(',').collect();
    settings.file = Some("ionosphere.csv".into());
    settings.columns = [("a", header[2]), ("b", header[4]), ("t", "label")]
        .map(|(n, c)| (n.to_owned(), c.to_owned()))
        .into();
    let labels = settings.columns["t"].clone();
    let hand = LogisticRegression {
        columns: Some(vec![header[2].into(), header[4].into()]),
        standardise: false,
        label: labels,
        ..LogisticRegression::from_file("ionosphere.csv")
    };
    let hand = hand.build(&Parts::new(&folder())).unwrap();
    assert_same(
        "logistic",
        build(settings).as_ref(),
        hand.as_ref(),
        points(5, 3, 1.0).view(),
    );
}

/// A formula of constants against the library's own numbers.
#[test]
fn what_the_operators_mean() {
    let cases: &[(&str, f64)] = &[
        ("1 - 2 - 3", -4.0),
        ("2^3^2", 512.0),
        ("-2^2", -4.0),
        ("(-2)^2", 4.0),
        ("2^-1", 0.5),
        ("(-2)^3", -8.0),
        ("(-2)^-1", -0.5),
        ("(-8)^5", -32768.0),
        ("0^0", 1.0),
        ("--3", 3.0),
        ("8/4/2", 1.0),
        ("2 + 3*4", 14.0),
        ("-3 - -4", 1.0),
        (".5 + 5. + 5e-1 + 1E+0", 7.0),
        (
            "1 < 2 && 2 <= 2 && !(3 > 4) && 3 >= 3 && 1 == 1 && 1 != 2",
            1.0,
        ),
        ("1 > 2 || 0", 0.0),
        ("!0 + !5", 1.0),
        ("if(2 > 1, 10, 20)", 10.0),
        ("if(0, log(-1), 20)", 20.0),
        ("max(1, 5, 3) - min(4, 2, 8)", 3.0),
        ("floor(-1.5)", -2.0),
        ("abs(-3) + square(3) + pow(2, 10)", 1036.0),
        ("length(y) + length(y[2:3]) + length(2)", 7.0),
        ("sum(y) + mean(y) + dot(y, y)", 10.0 + 2.5 + 30.0),
        ("y[1] + 10*y[4]", 41.0),
        ("sum(y[2:3])", 5.0),
        ("sum(y[2:4][2:3])", 7.0),
        ("sum(y[length(y)/2 + 1 : length(y)])", 7.0),
        ("sum(y[k])", 4.0 + 4.0 + 1.0),
        ("max(y) + min(y)", 5.0),
        ("sum((y + 1)[1:2])", 5.0),
        ("sum(if(y > 2, y, 0))", 7.0),
        ("sum(2)", 2.0),
        ("a = 2; b = a^2; a + b;", 6.0),
        ("# nothing\n 3 # three\n", 3.0),
        ("c", 1.25),
    ];
    for (formula, want) in cases {
        let mut settings = Expression::new(["x"], *formula);
        settings.data = [("y", vec![1.0, 2.0, 3.0, 4.0]), ("k", vec![4.0, 4.0, 1.0])]
            .map(|(n, v)| (n.to_owned(), v))
            .into();
        settings.constants = [("c".to_owned(), 1.25)].into();
        let got = eval(build(settings).as_ref(), &[0.0]).0;
        assert_eq!(got, *want, "{formula}");
    }
}

/// What is folded at set-up must be what the steps compute.
#[test]
fn folded_and_computed_values_agree() {
    let formulas = [
        "sum(exp(u)/(1 + u^2)) - 3*u[1]^u[2]",
        "log_sum_exp(u) + max(u) - min(u, 0.5)[2] + dot(u, u)",
        "sum(if(u > 0.3, sin(u), -u)) + mean(u) + log_sum_exp(u[1], u[2])",
        "sum(tanh(u) - erf(u) + lgamma(abs(u)) + log1p(abs(u)) - 2)",
        "sum(normal_lpdf(u, 0.1, 2)) + sum(u[k])",
    ];
    let u = [0.7, -0.4, 1.9];
    for formula in formulas {
        let with = |u: &[f64], coordinates: &[&str]| {
            let mut settings = Expression::new(coordinates.iter().copied(), formula);
            settings.data = [("k".to_owned(), vec![3.0, 1.0, 3.0])].into();
            if coordinates == ["z"] {
                settings.data.insert("u".into(), u.to_vec());
            }
            build(settings)
        };
        let folded = eval(with(&u, &["z"]).as_ref(), &[0.0]).0;
        let computed = eval(with(&u, &["u[3]"]).as_ref(), &u).0;
        assert_close(formula, computed, folded, 1e-15);
    }
}

#[test]
fn functions_have_the_values_of_their_textbooks() {
    // From tables: Abramowitz & Stegun; densities by hand.
    let cases: &[(&str, f64)] = &[
        ("erf(0.5)", 0.520_499_877_813_046_5),
        ("lgamma(0.5)", 0.572_364_942_924_700_1),
        ("lgamma(10)", 362_880f64.ln()),
        ("lgamma(-0.5)", 1.265_512_123_484_645_4),
        ("logistic(2)", 1.0 / (1.0 + (-2f64).exp())),
        ("softplus(1) - log1p_exp(1)", 0.0),
        ("log1p_exp(1)", 1.313_261_687_518_222_8),
        ("softplus(1000)", 1000.0),
        ("expm1(1e-10) - 1e-10", 5e-21),
        ("log_sum_exp(-1000, -1000)", -1000.0 + 2f64.ln()),
        ("log_sum_exp(-inf, -inf)", f64::NEG_INFINITY),
        ("log_sum_exp(1, 2, 3)", 3.407_605_964_444_38),
        (
            "normal_lpdf(1, 0, 2)",
            -0.125 - 2f64.ln() - 0.918_938_533_204_672_8,
        ),
        ("lognormal_lpdf(2, 0, 1)", -1.852_312_220_723_719),
        ("student_t_lpdf(0, 1, 0, 1)", -std::f64::consts::PI.ln()),
        ("cauchy_lpdf(3, 1, 2)", -(4.0 * std::f64::consts::PI).ln()),
        ("laplace_lpdf(1, 0, 1)", -1.0 - 2f64.ln()),
        ("exponential_lpdf(2, 3)", 3f64.ln() - 6.0),
        ("gamma_lpdf(2, 3, 1)", 2f64.ln() - 2.0),
        ("beta_lpdf(0.5, 2, 2)", 1.5f64.ln()),
        ("uniform_lpdf(1, 0, 4)", -4f64.ln()),
        ("bernoulli_logit_lpmf(1, 0)", -2f64.ln()),
        ("binomial_logit_lpmf(1, 2, 0)", -2f64.ln()),
        ("poisson_lpmf(2, 3)", 4.5f64.ln() - 3.0),
        ("poisson_log_lpmf(2, log(3))", 4.5f64.ln() - 3.0),
        ("bernoulli_logit_lpmf(0, 0)", -2f64.ln()),
        ("binomial_logit_lpmf(0, 0, 1)", 0.0),
        ("poisson_lpmf(0, 3)", -3.0),
        ("gamma_lpdf(-1, 3, 1)", f64::NEG_INFINITY),
        ("exponential_lpdf(-1, 3)", f64::NEG_INFINITY),
        ("beta_lpdf(1.5, 2, 2)", f64::NEG_INFINITY),
        ("lognormal_lpdf(0, 0, 1)", f64::NEG_INFINITY),
        ("uniform_lpdf(5, 0, 4)", f64::NEG_INFINITY),
    ];
    for (formula, want) in cases {
        let got = constant(formula);
        let error = if got == *want {
            0.0
        } else {
            (got - want).abs() / want.abs().max(1.0)
        };
        assert!(error < 1e-14, "{formula}: {got}, expected {want}");
    }
}

/// Counts that depend on the coordinates have no mass where they are none.
#[test]
fn what_is_no_count_has_no_mass() {
    let inf = f64::INFINITY;
    for (formula, mass, none) in [
        (
            "bernoulli_logit_lpmf(x, 0.3)",
            vec![0.0, 1.0],
            vec![2.0, -1.0, 0.5],
        ),
        ("poisson_lpmf(x, 3)", vec![0.0, 7.0], vec![-1.0, 0.5, inf]),
        (
            "poisson_log_lpmf(x, 0.3)",
            vec![0.0, 7.0],
            vec![-1.0, 0.5, inf],
        ),
        (
            "binomial_logit_lpmf(x, 4, 0.3)",
            vec![0.0, 4.0],
            vec![-1.0, 0.5, 5.0],
        ),
        (
            "binomial_logit_lpmf(4, x, 0.3)",
            vec![4.0, 4.5],
            vec![3.5, -1.0],
        ),
    ] {
        let target = target(&["x"], formula);
        for x in mass {
            assert!(
                eval(target.as_ref(), &[x]).0.is_finite(),
                "{formula} at {x}"
            );
        }
        for x in none {
            let value = eval(target.as_ref(), &[x]).0;
            assert_eq!(value, f64::NEG_INFINITY, "{formula} at {x}");
        }
    }
}

#[test]
fn equal_parts_are_computed_once_and_constants_never() {
    let steps = |formula: &str| {
        let mut names = super::Names::default();
        let all = names.graph.coordinates(2);
        for (i, name) in ["x", "y"].into_iter().enumerate() {
            let id = names.graph.slice(all, i, None);
            names.add("", name, "", id).unwrap();
        }
        let super::Names {
            mut graph,
            mut scope,
        } = names;
        super::add_numbers(&mut graph, &mut scope);
        let root = super::log_density(&mut graph, scope, formula).unwrap();
        super::Tape::new(graph, 2, root).len()
    };
    assert_eq!(steps("exp(x)"), 1);
    assert_eq!(steps("exp(x) + exp(x)"), 2);
    assert_eq!(steps("exp(x + y)*exp(y + x)"), 3);
    assert_eq!(steps("x*(2*pi + log(3))"), 1);
    assert_eq!(steps("a = sin(x); b = cos(y); a + 1*a + 0"), 2);
    assert_eq!(
        steps("normal_lpdf(x, 0, 1)"),
        steps("-0.5*x^2 - 0 - 0.5*log(2*pi)")
    );
    assert_eq!(steps("3"), 0);
}

#[test]
fn corners_of_the_gradient() {
    let gradient = |formula: &str, x: f64| {
        let (l, g) = eval(target(&["x"], formula).as_ref(), &[x]);
        (l, g[0])
    };
    assert_eq!(gradient("abs(x)", 0.0), (0.0, 0.0));
    assert_eq!(gradient("max(x, -x)", 0.0), (0.0, 0.0));
    assert_eq!(gradient("max(x, 3)", 3.0), (3.0, 0.5));
    assert_eq!(gradient("min(x, 1)", 2.0), (1.0, 0.0));
    assert_eq!(gradient("x^2", -3.0), (9.0, -6.0));
    assert_eq!(gradient("x^3", -2.0), (-8.0, 12.0));
    assert_eq!(gradient("x^4", -2.0), (16.0, -32.0));
    assert_eq!(gradient("x^-1", -2.0), (-0.5, -0.25));
    assert_eq!(gradient("x^0", 0.0), (1.0, 0.0));
    assert_eq!(gradient("x^5", 0.0), (0.0, 0.0));
    assert_eq!(gradient("0^x", 2.0), (0.0, 0.0));
    assert_eq!(gradient("floor(x)*x", 2.5), (5.0, 2.0));
    assert_eq!(gradient("(x > 1) * x", 2.5), (2.5, 1.0));
    assert_eq!(gradient("7", 2.5), (7.0, 0.0));
    assert_eq!(gradient("x", 2.5), (2.5, 1.0));
    // The branch that is not taken is NaN, and so is its slope.
    assert_eq!(gradient("if(x > 0, log(x), -x)", -2.0), (2.0, -1.0));
    assert_eq!(gradient("if(x > 0, sqrt(x), x)", 0.0), (0.0, 1.0));
    assert_eq!(gradient("if(x > 0, x*log(x), 0)", 0.0), (0.0, 0.0));
    assert_eq!(
        gradient("if(x > 0, -x, -inf)", -1.0),
        (f64::NEG_INFINITY, 0.0)
    );
    assert_eq!(gradient("log_sum_exp(x, -inf)", 1.0), (1.0, 1.0));
    assert_eq!(gradient("log(x)", 0.0), (f64::NEG_INFINITY, 0.0));
    // Digamma, from Abramowitz & Stegun, table 6.1.
    for (x, slope) in [
        (1.0, -0.577_215_664_901_532_9),
        (0.5, -1.963_510_026_021_423_5),
        (10.0, 2.251_752_589_066_721),
    ] {
        assert_close("digamma", gradient("lgamma(x)", x).1, slope, 1e-14);
    }
    // Outside of the domain there is no value: the core counts such a row.
    for formula in [
        "log(x)",
        "sqrt(x)",
        "x^0.5",
        "log1p(x)",
        "asin(x)",
        "max(log(x), 0)",
        "0*log(x)",
    ] {
        assert!(gradient(formula, -2.0).0.is_nan(), "{formula}");
    }
    // No slope where there is no value, not the slope of the absolute value.
    assert!(gradient("log(x)", -2.0).1.is_nan());
}

#[test]
fn points_outside_of_the_domain_are_counted_and_have_no_mass() {
    let root = target(&["x"], "-x + 0.5*log(x)");
    let x = array![[1.0], [-1.0], [2.0], [0.0]];
    let (mut l, mut g) = (Array1::zeros(4), Array2::zeros((4, 1)));
    let failed = with_cx(0, |cx| {
        cx.eval_target(
            root.as_ref(),
            x.view(),
            Some(l.view_mut()),
            Some(g.view_mut()),
        )
        .unwrap();
        cx.counts().failed
    });
    // log 0 = −∞ is no mass; log(−1) is no number.
    assert_eq!(failed, 1);
    assert_eq!((l[1], l[3]), (f64::NEG_INFINITY, f64::NEG_INFINITY));
    assert_eq!(
        (l[0], g[(0, 0)], g[(1, 0)], g[(3, 0)]),
        (-1.0, -0.5, 0.0, 0.0)
    );
}

#[test]
fn ties_of_a_vector_share_its_gradient() {
    let (l, g) = eval(
        target(&["x[4]"], "max(x) - 2*min(x)").as_ref(),
        &[1.0, 5.0, 5.0, -1.0],
    );
    assert_eq!((l, g), (7.0, vec![0.0, 0.5, 0.5, -2.0]));
}

#[test]
fn a_known_log_z_is_the_truth() {
    let mut settings = Expression::new(["x"], "-0.5*x^2");
    assert!(build(settings.clone()).exact().is_none());
    settings.log_z = Some(0.5 * std::f64::consts::TAU.ln());
    let truth = build(settings.clone()).exact().unwrap().truth();
    assert_eq!(truth.log_z, settings.log_z);
}

#[test]
fn long_and_deep_formulas() {
    // Long chains are no nesting: ten thousand characters, a thousand, a hundred thousand terms.
    for terms in [1000, 100_000] {
        let formula = format!("x{}", " + x".repeat(terms - 1));
        let (l, g) = eval(target(&["x"], &formula).as_ref(), &[0.5]);
        assert_eq!((l, g[0]), (0.5 * terms as f64, terms as f64));
    }
    let formula = format!(
        "0{}",
        (1..=900)
            .map(|i| format!(" - cos({i}*x)"))
            .collect::<String>()
    );
    assert!(formula.len() > 8000);
    let (_, g) = eval(target(&["x"], &formula).as_ref(), &[0.3]);
    let want: f64 = (1..=900)
        .map(|i| f64::from(i) * (0.3 * f64::from(i)).sin())
        .sum();
    assert_close("sum of cosines", g[0], want, 1e-12);
    let chain: String = (1..=5000)
        .map(|i| {
            format!(
                "a{i} = 1 + 0.1*{};\n",
                if i == 1 {
                    "x".into()
                } else {
                    format!("a{}", i - 1)
                }
            )
        })
        .collect();
    let (l, _) = eval(target(&["x"], &format!("{chain} a5000")).as_ref(), &[0.5]);
    assert_close("chain of definitions", l, 1.0 / 0.9, 1e-12);
    // A sum taken apart term by term.
    let formula = format!("sum(y{})", " + x".repeat(5000));
    let mut settings = Expression::new(["x"], formula);
    settings.data = [("y".to_owned(), vec![1.0, 2.0])].into();
    assert_eq!(
        eval(build(settings).as_ref(), &[0.5]),
        (5003.0, vec![10_000.0])
    );
    // As deep as it goes.
    let deep = format!("{}x{}", "(".repeat(200), ")".repeat(200));
    assert_eq!(eval(target(&["x"], &deep).as_ref(), &[0.5]).0, 0.5);
}

#[test]
fn large_data_take_few_rows_at_a_time() {
    let n = 200_000;
    let mut settings = Expression::new(["m", "s"], "sum(normal_lpdf(y, m, exp(s)))");
    let y: Vec<f64> = (0..n).map(|i| (f64::from(i) * 0.37).sin()).collect();
    settings.data = [("y".to_owned(), y.clone())].into();
    let ours = build(settings);
    let hand = PointTarget::new(2, move |x, g| {
        let precision = (-2.0 * x[1]).exp();
        let (mut l, n) = (0.0, y.len() as f64);
        for y in &y {
            let r = y - x[0];
            l -= 0.5 * r * r * precision;
            g[0] += r * precision;
            g[1] += r * r * precision;
        }
        g[1] -= n;
        l - n * (x[1] + 0.5 * std::f64::consts::TAU.ln())
    });
    assert_same("many data", ours.as_ref(), &hand, points(3, 2, 0.5).view());
}

#[test]
fn what_a_buffer_held_before_changes_nothing() {
    for formula in [
        "exp(x)[2]",
        "x[3]",
        "sum(x[2:3]*exp(x)[1:2]) + x[1]",
        "if(x[1] > 9, x[2], x[3])^2",
        "4",
    ] {
        let target = target(&["x[4]"], formula);
        let x = [0.3, -0.2, 0.7, 1.1];
        let clean = eval(target.as_ref(), &x);
        let (mut l, mut g) = ([0.0], Array2::zeros((1, 4)));
        with_cx(0, |cx| {
            cx.give(vec![f64::NAN; 1000]);
            cx.give(vec![f64::NAN; 1000]);
            let x = Array2::from_shape_vec((1, 4), x.to_vec()).unwrap();
            target
                .eval(cx, x.view(), Some((&mut l[..]).into()), Some(g.view_mut()))
                .unwrap();
        });
        assert_eq!((l[0], g.into_raw_vec_and_offset().0), clean, "{formula}");
    }
}

/// The reference of the language, in the module's documentation and in what `describe` prints, is
/// complete, with the right arguments.
#[test]
fn every_function_is_documented() {
    use super::functions::{FUNCTIONS, Meaning, NUMBERS};
    let module: String = include_str!("../expression.rs")
        .lines()
        .filter(|l| l.starts_with("//!"))
        .collect();
    let schema = retrograde_core::registry::schema_of::<Expression>();
    let key = schema.as_value()["properties"]["log_density"]["description"]
        .as_str()
        .unwrap();
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric() && c != '_')
            .map(str::to_owned)
            .collect()
    };
    let (in_module, in_key) = (words(&module), words(key));
    for name in FUNCTIONS
        .iter()
        .map(|f| f.0)
        .chain(NUMBERS.iter().map(|n| n.0))
    {
        assert!(
            in_module.iter().any(|w| w == name),
            "{name} is not in the module's documentation"
        );
        assert!(
            in_key.iter().any(|w| w == name),
            "{name} is not in what `describe` prints"
        );
    }
    for (name, meaning) in FUNCTIONS {
        if let Meaning::Formula(arguments, _) = meaning {
            let call = format!("{name}({})", arguments.join(", "));
            assert!(
                module.contains(&format!("`{call}`")) && key.replace('\n', " ").contains(&call),
                "{call}"
            );
        }
    }
}
