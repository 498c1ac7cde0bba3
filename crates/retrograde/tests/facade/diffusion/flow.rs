//! The density of what deterministic samplers leave, log Z through it, and path weights, against
//! quadrature: two modes on the line under dX = −X dt + √2 dW up to T = 3.

use super::{Job, M, mixture, mixture_settings, quantiles, uniform};
use ndarray::{Array1, Array2};
use retrograde::core::Collected;
use retrograde::ndarray;
use serde_json::{Value, json};

const GMM1: [(f64, f64, f64); 2] = [(0.3, -2.0, 0.25), (0.7, 1.5, 0.64)];
const LOG_Z: f64 = 1.987_874_348_154_345;

fn job(log_z: f64) -> Job {
    let mut target = mixture_settings(&GMM1);
    target["log_z"] = json!(log_z);
    Job::new(
        ("gaussian-mixture", target),
        ("ou", json!({ "t_end": 3.0 })),
        ("exact", json!({})),
    )
}

fn log_normal(x: f64) -> f64 {
    -0.5 * x * x - 0.5 * std::f64::consts::TAU.ln()
}

/// Rows and their log q, started at `points` of N(0, 1).
fn flow(points: &[f64], kind: &str, settings: Value) -> (Vec<f64>, Vec<f64>, Collected) {
    let n = points.len();
    let x = Array2::from_shape_vec((n, 1), points.to_vec()).unwrap();
    let start = points
        .iter()
        .map(|x| log_normal(*x))
        .collect::<Array1<f64>>();
    let (sink, _) = job(0.0).started(x, start).run(kind, settings, n, 0);
    let rows = sink.rows().iter().copied().collect();
    let log_q = sink.stats["log_q"].clone();
    (rows, log_q, sink)
}

fn settings(method: &str, steps: usize, weights: &str) -> Value {
    json!({
        "method": method, "grid": uniform(3.0, 0.0, steps), "weights": weights, "last_step": "full",
    })
}

/// x_0 and log q from x_T = 0.7, then KL(q, p_0), (E w)²/E w² and W₂ to p_0.
const TABLE: [(&str, usize, [f64; 5]); 11] = [
    (
        "euler",
        10,
        [
            1.6120923082803,
            -1.2188736214727,
            0.118605121073,
            0.8756999717,
            0.2804372257,
        ],
    ),
    (
        "euler",
        20,
        [
            1.704083828381,
            -1.1786449962454,
            0.0381606621115,
            0.9528035289,
            0.1557861761,
        ],
    ),
    (
        "euler",
        40,
        [
            1.7494809672209,
            -1.1568765386507,
            0.0111844167058,
            0.9836964589,
            0.09120417473,
        ],
    ),
    (
        "euler",
        80,
        [
            1.7719259514193,
            -1.1456440398551,
            0.00327960567542,
            0.9945181504,
            0.0656296292,
        ],
    ),
    (
        "heun",
        10,
        [
            1.8057810397057,
            -1.1215288559107,
            0.0178930019788,
            0.9465399603,
            0.06311162313,
        ],
    ),
    (
        "heun",
        20,
        [
            1.79677021328,
            -1.1312885402656,
            0.00122683374555,
            0.9974057896,
            0.05448497033,
        ],
    ),
    (
        "heun",
        40,
        [
            1.7947825116904,
            -1.1335049481418,
            0.000308861149293,
            0.9993805120,
            0.0579768159,
        ],
    ),
    (
        "heun",
        80,
        [
            1.7943172074858,
            -1.1340300443332,
            0.000258518864025,
            0.9994780669,
            0.05896497633,
        ],
    ),
    (
        "rk4",
        10,
        [
            1.7941731187646,
            -1.1341375158818,
            0.000393942556736,
            0.9992196412,
            0.05826553552,
        ],
    ),
    (
        "rk4",
        20,
        [
            1.7941681504766,
            -1.1341922774586,
            0.000262828057025,
            0.9994696389,
            0.05913975729,
        ],
    ),
    (
        "rk4",
        40,
        [
            1.7941679275851,
            -1.1341986017395,
            0.000256474717199,
            0.9994819543,
            0.05929159672,
        ],
    ),
];

#[test]
fn map_jacobians_give_the_density_of_the_draws() {
    // E_q of anything is an integral over x_T: the trapezium rule on [−9, 9], as far as the table went
    // (E w² of Heun has a tail of 1e-8 beyond).
    let (m, reach) = (6001, 9.0);
    let step = 2.0 * reach / (m - 1) as f64;
    let mut points: Vec<f64> = (0..m).map(|i| step * i as f64 - reach).collect();
    points.push(0.7);
    for (method, steps, want) in TABLE {
        let (x, log_q, sink) = flow(
            &points,
            "probability-flow",
            settings(method, steps, "jacobian"),
        );
        assert!(
            (x[m] / want[0] - 1.0).abs() < 1e-12,
            "{method} {steps}: x₀ {}",
            x[m]
        );
        assert!(
            (log_q[m] / want[1] - 1.0).abs() < 1e-10,
            "{method} {steps}: log q {}",
            log_q[m]
        );
        let lp = &sink.stats["lp"];
        let weight = |i: usize| step * log_normal(points[i]).exp();
        let mean = |f: &dyn Fn(usize) -> f64| (0..m).map(|i| weight(i) * f(i)).sum::<f64>();
        let z = mean(&|i| (lp[i] - log_q[i]).exp());
        assert!((z - 1.0).abs() < 1e-9, "{method} {steps}: Z {z}");
        let kl = mean(&|i| log_q[i] - lp[i]);
        assert!(
            (kl / want[2] - 1.0).abs() < 1e-6,
            "{method} {steps}: KL {kl}"
        );
        let ess = z * z / mean(&|i| (2.0 * (lp[i] - log_q[i])).exp());
        assert!(
            (ess / want[3] - 1.0).abs() < 1e-8,
            "{method} {steps}: ESS {ess}"
        );
        assert!(sink.scalars["folds"] == 0.0);
    }
}

#[test]
fn outputs_are_as_far_from_the_target_as_quadrature_says() {
    // Quantiles of N(0, 1) go to those of q: the map is monotone.
    let from = quantiles(&mixture(&[(1.0, 0.0, 1.0)]), 4 * M);
    let to = quantiles(&mixture(&GMM1), 4 * M);
    for (method, steps, want) in TABLE {
        let (x, _, _) = flow(
            &from,
            "probability-flow",
            settings(method, steps, "jacobian"),
        );
        let w2 = super::w2(&x, &to);
        assert!((w2 / want[4] - 1.0).abs() < 5e-3, "{method} {steps}: {w2}");
    }
}

#[test]
fn an_integrated_divergence_is_another_number_and_comes_near() {
    let cases = [
        (
            "heun",
            [10, 20, 40, 80],
            [
                -1.123281576991,
                -1.13147418521,
                -1.133519150533,
                -1.134029577579,
            ],
        ),
        (
            "rk4",
            [10, 20, 40, 80],
            [
                -1.134137727189,
                -1.134192021601,
                -1.134198573944,
                -1.134198988195,
            ],
        ),
    ];
    for (method, steps, want) in cases {
        for (steps, want) in steps.into_iter().zip(want) {
            let (_, log_q, _) = flow(
                &[0.7],
                "probability-flow",
                settings(method, steps, "divergence"),
            );
            assert!(
                (log_q[0] / want - 1.0).abs() < 1e-10,
                "{method} {steps}: {}",
                log_q[0]
            );
        }
    }
    // In one dimension a probe of ±1 finds the trace exactly.
    let [exact, estimated] = ["divergence", "hutchinson"]
        .map(|w| flow(&[0.7], "probability-flow", settings("rk4", 20, w)).1[0]);
    assert!((exact - estimated).abs() < 1e-12);
    // The divergence at the left end of each step beside RK4 is of first order only: it would be noticed.
    let (left, _) = left_point(80);
    assert!((left - -1.1446).abs() < 1e-3, "{left}");
    assert!((left - -1.13419898).abs() > 5e-3);
}

#[test]
fn a_probed_divergence_is_right_in_the_mean() {
    // Two modes with correlations, so that the Jacobian has what a probe sees beside the trace.
    let target = json!({
        "weights": [0.4, 0.6],
        "means": [[-1.0, 0.5, 0.0], [1.0, -0.5, 0.8]],
        "covariances": [
            [[0.6, 0.3, 0.0], [0.3, 0.5, -0.2], [0.0, -0.2, 0.4]],
            [[0.5, -0.2, 0.1], [-0.2, 0.4, 0.0], [0.1, 0.0, 0.7]],
        ],
    });
    let job = Job::new(
        ("gaussian-mixture", target),
        ("ou", json!({ "t_end": 3.0 })),
        ("exact", json!({})),
    );
    let log_q = |weights: &str, n: usize| {
        let x = Array2::from_shape_fn((n, 3), |(_, j)| [0.7, -0.4, 0.2][j]);
        let settings = settings("rk4", 20, weights);
        let started = job.started(x, Array1::zeros(n));
        let (sink, _) = started.run("probability-flow", settings, n, 5);
        sink.stats["log_q"].clone()
    };
    let (exact, probed) = (log_q("divergence", 1)[0], log_q("hutchinson", 20_000));
    let n = probed.len() as f64;
    let mean = probed.iter().sum::<f64>() / n;
    let variance = probed.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / (n - 1.0);
    assert!(variance.sqrt() > 0.01, "rows have probes of their own");
    retrograde_testkit::assert_z("log q", mean, exact, (variance / n).sqrt());
}

/// log q beside RK4 with the divergence taken at the left end of each step.
fn left_point(steps: usize) -> (f64, f64) {
    let law = mixture(&GMM1);
    let slope = |t: f64, x: f64| {
        let e = 1e-5;
        let v = |x: f64| {
            let noised = law.noised((-t).exp(), 1.0 - (-2.0 * t).exp()).unwrap();
            -x - retrograde_testkit::eval(&noised, &[x]).1[0]
        };
        (v(x + e) - v(x - e)) / (2.0 * e)
    };
    let h = 3.0 / steps as f64;
    let mut log_q = log_normal(0.7);
    let mut x = 0.7;
    for k in 0..steps {
        let t = 3.0 - h * k as f64;
        log_q += h * slope(t, x);
        let end = if k + 1 == steps { 0.0 } else { t - h };
        let grid = json!({ "spacing": "list", "times": [t, end] });
        let one =
            json!({ "method": "rk4", "grid": grid, "last_step": "full", "weights": "jacobian" });
        x = flow(&[x], "probability-flow", one).0[0];
    }
    (log_q, x)
}

#[test]
fn log_z_is_unbiased_through_every_sampler_that_weighs() {
    let cases = [
        ("probability-flow", settings("heun", 10, "jacobian")),
        ("probability-flow", settings("dopri5", 1, "jacobian")),
        (
            "ddim",
            json!({ "weights": "jacobian", "grid": uniform(3.0, 0.0, 20) }),
        ),
        (
            "dpm-solver",
            json!({ "weights": "jacobian", "grid": uniform(3.0, 0.0, 20) }),
        ),
        (
            "exponential-integrator",
            json!({ "weights": "jacobian", "grid": uniform(3.0, 0.0, 20) }),
        ),
        (
            "edm",
            json!({ "weights": "jacobian", "grid": uniform(3.0, 0.0, 20) }),
        ),
        (
            "rd-f",
            json!({ "weights": "jacobian", "grid": uniform(3.0, 0.0, 20) }),
        ),
        (
            "rd-s",
            json!({ "weights": "jacobian", "grid": uniform(3.0, 0.0, 20), "back": { "rule": "half" } }),
        ),
        (
            "rd-q",
            json!({ "weights": "jacobian", "grid": uniform(3.0, 0.0, 20), "back": { "rule": "half" } }),
        ),
        (
            "reverse-sde",
            json!({ "weights": "path", "grid": uniform(3.0, 0.02, 40) }),
        ),
        (
            "reverse-sde",
            json!({ "weights": "path", "scheme": "frozen-score", "grid": uniform(3.0, 0.02, 40) }),
        ),
        (
            "ancestral",
            json!({ "weights": "path", "grid": uniform(3.0, 0.02, 40) }),
        ),
        (
            "ddim",
            json!({ "weights": "path", "eta": 1.0, "grid": uniform(3.0, 0.02, 40) }),
        ),
    ];
    for (kind, settings) in cases {
        let n = 100_000;
        let (sink, _) = job(LOG_Z).run(kind, settings.clone(), n, 5);
        let (z, se) = (sink.scalars["log_z"], sink.scalars["log_z_se"]);
        assert!(
            (z - LOG_Z).abs() < 4.0 * se + 1e-9,
            "{kind} {settings}: {z} ± {se}"
        );
        assert!(se < 0.05, "{kind}: {se} tells nothing");
    }
}

#[test]
fn a_wrong_score_is_mended_by_the_weights_and_wrong_weights_are_not() {
    // Any score gives Z: here one with a constant bias. Without the weights the mean is off.
    let target = json!({ "log_z": LOG_Z });
    let mut settings = mixture_settings(&GMM1);
    settings
        .as_object_mut()
        .unwrap()
        .extend(target.as_object().unwrap().clone());
    let job = Job::new(
        ("gaussian-mixture", settings),
        ("ou", json!({ "t_end": 3.0 })),
        ("perturbed", json!({ "bias": [0.3] })),
    );
    for (kind, run) in [
        (
            "probability-flow",
            json!({ "weights": "jacobian", "grid": uniform(3.0, 0.0, 20), "last_step": "full" }),
        ),
        (
            "reverse-sde",
            json!({ "weights": "path", "grid": uniform(3.0, 0.02, 60) }),
        ),
    ] {
        let (sink, _) = job.run(kind, run, 100_000, 9);
        let (z, se) = (sink.scalars["log_z"], sink.scalars["log_z_se"]);
        assert!((z - LOG_Z).abs() < 4.0 * se, "{kind}: {z} ± {se}");
        let w: Vec<f64> = sink.log_weights.iter().map(|w| (w - z).exp()).collect();
        let n = w.len() as f64;
        let plain = sink.rows().iter().sum::<f64>() / n;
        let weighted =
            sink.rows().iter().zip(&w).map(|(x, w)| x * w).sum::<f64>() / w.iter().sum::<f64>();
        assert!(
            (weighted - 0.45).abs() < 0.03,
            "{kind}: weighted mean {weighted}"
        );
        assert!(
            (plain - 0.45).abs() > 0.06,
            "{kind}: the bias does not show, {plain}"
        );
    }
}

#[test]
fn folds_are_counted_and_told() {
    // Heun's second stage at narrow modes overshoots: J = 1 − h/2 (d₁ + d₂ (1 − h d₁)), d₂ = 99.
    let job = Job::new(
        (
            "gaussian-mixture",
            mixture_settings(&[(0.5, -2.0, 0.01), (0.5, 2.0, 0.01)]),
        ),
        ("ou", json!({ "t_end": 1.0 })),
        ("exact", json!({})),
    );
    let grid = json!({ "spacing": "list", "times": [1.0, 0.3, 0.0] });
    let run = json!({ "method": "heun", "last_step": "full", "weights": "jacobian", "grid": grid });
    let (sink, _) = job.run("probability-flow", run, 2000, 1);
    assert!(sink.scalars["folds"] > 0.0);
    assert!(sink.flags.contains_key("folds"));
}
