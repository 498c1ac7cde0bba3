//! The design space of diffusion samplers: orders, identities, noise, on two overlapping modes under
//! x_t = x_0 + t z with levels from 80 down to 0.002.

use super::{Job, M, assert_row, last_order, mixture, mixture_settings, quantiles, uniform, w2};
use ndarray::array;
use retrograde::core::GaussianMixture;
use retrograde::ndarray;
use serde_json::{Value, json};
use std::sync::Arc;

const M2: [(f64, f64, f64); 2] = [(0.3, -0.5, 0.09), (0.7, 0.4, 0.16)];

fn job() -> Job {
    Job::new(
        ("gaussian-mixture", mixture_settings(&M2)),
        ("edm", json!({})),
        ("exact", json!({})),
    )
}

fn grid(spacing: &str, steps: usize, to_zero: bool) -> Value {
    json!({ "spacing": spacing, "steps": steps, "to_zero": to_zero })
}

fn at_level(sigma: f64) -> Vec<f64> {
    quantiles(&mixture(&M2).noised(1.0, sigma * sigma).unwrap(), M)
}

#[test]
fn orders_on_two_schedules() {
    let job = job();
    let (from, to) = (at_level(80.0), at_level(0.002));
    let steps = [8, 16, 32, 64, 128, 256];
    let samplers = [
        ("ddim", json!({})),
        ("edm", json!({})),
        ("dpm-solver", json!({})),
    ];
    let tables = [
        (
            "edm",
            [
                [0.155, 0.0814, 0.0419, 0.0212, 0.0107, 0.00537],
                [0.146, 0.0321, 0.00739, 0.00177, 4.35e-4, 1.08e-4],
                [0.0982, 0.0389, 0.00844, 0.00193, 4.64e-4, 1.14e-4],
            ],
        ),
        (
            "geometric",
            [
                [0.145, 0.0771, 0.0396, 0.0200, 0.0101, 0.00506],
                [0.168, 0.0336, 0.00758, 0.00180, 4.40e-4, 1.09e-4],
                [0.0329, 0.0141, 0.00380, 9.55e-4, 2.38e-4, 5.93e-5],
            ],
        ),
    ];
    for (spacing, rows) in tables {
        for ((kind, settings), want) in samplers.iter().zip(rows) {
            let got: Vec<f64> = steps
                .iter()
                .map(|n| {
                    let mut settings = settings.clone();
                    settings["grid"] = grid(spacing, *n, false);
                    w2(&job.transport(&from, kind, settings), &to)
                })
                .collect();
            assert_row(&format!("{kind}, {spacing}"), &steps, &got, &want, 0.02);
            let (order, slack) = match *kind {
                "ddim" => (1.0, 0.1),
                "edm" => (2.0, 0.1),
                _ => (2.0, 0.15),
            };
            assert!(
                (last_order(&got) - order).abs() <= slack,
                "{kind}: {}",
                last_order(&got)
            );
        }
    }
}

#[test]
fn a_start_from_the_reference_leaves_a_floor() {
    let job = job();
    let (from, to) = (
        quantiles(&mixture(&[(1.0, 0.0, 6400.0)]), M),
        at_level(0.002),
    );
    for (n, want) in [(64, 2.04e-3), (256, 9.3e-4)] {
        let got = w2(
            &job.transport(&from, "edm", json!({ "grid": grid("edm", n, false) })),
            &to,
        );
        assert!((got / want - 1.0).abs() < 0.02, "{n}: {got}");
    }
}

fn worst(a: &[f64], b: &[f64]) -> f64 {
    let scale = |a: f64| a.abs().max(1.0);
    let pairs = a.iter().zip(b);
    pairs.fold(0.0, |m: f64, (a, b)| m.max((a - b).abs() / scale(*a)))
}

#[test]
fn one_map_under_several_names() {
    // Euler in σ = t, DDIM, the exponential integrator of order 1, DPM-Solver++ by its first step.
    let job = job();
    for (t, to) in [(80.0, 50.0), (2.0, 0.7), (0.01, 0.002), (0.3, 0.0)] {
        let from = at_level(t);
        let one = super::list(&[t, to]);
        let run = |kind: &str, mut settings: Value| {
            settings["grid"] = one.clone();
            job.transport(&from, kind, settings)
        };
        let ddim = run("ddim", json!({}));
        for (kind, settings) in [
            ("probability-flow", json!({ "method": "euler" })),
            ("exponential-integrator", json!({ "order": 1 })),
            ("dpm-solver", json!({})),
            ("rd-f", json!({})),
            ("rd-q", json!({})),
        ] {
            let other = run(kind, settings);
            assert!(
                worst(&ddim, &other) <= 1e-12,
                "{kind} from {t} to {to}: {}",
                worst(&ddim, &other)
            );
        }
        let heun = run("edm", json!({}));
        assert!(
            to == 0.0 || worst(&ddim, &heun) > 1e-6,
            "Heun is another map"
        );
    }
    // DDIM with η = 1 and ancestral sampling draw the same numbers; half the noise does not.
    let run = |kind: &str, mut settings: Value| {
        settings["grid"] = grid("edm", 18, true);
        job.transport(&at_level(80.0), kind, settings)
    };
    let ancestral = run("ancestral", json!({ "noise": "posterior" }));
    assert!(worst(&run("ddim", json!({ "eta": 1.0 })), &ancestral) <= 1e-12);
    assert!(worst(&run("ddim", json!({ "eta": 0.5 })), &ancestral) > 1e-3);
    // The frozen score of the reverse diffusion has the noise of the forward kernel.
    let frozen = run("reverse-sde", json!({ "scheme": "frozen-score" }));
    assert!(worst(&run("ancestral", json!({ "noise": "forward" })), &frozen) <= 1e-12);
    assert!(worst(&ancestral, &frozen) > 1e-3);
}

#[test]
fn point_masses_are_returned_and_gaussians_flow() {
    let data = GaussianMixture::points(array![1.0], array![[0.75]]).unwrap();
    let point = Job::on(Arc::new(data), ("edm", json!({})), ("exact", json!({})));
    for (kind, settings) in [
        ("ddim", json!({})),
        ("dpm-solver", json!({})),
        ("rd-q", json!({})),
    ] {
        for sigma in [80.0, 1.0, 0.01] {
            let mut settings = settings.clone();
            settings["grid"] = super::list(&[sigma, 0.0]);
            for x in point.transport(&[-3.0, 0.0, 7.0], kind, settings) {
                assert!((x - 0.75).abs() <= 1e-12, "{kind} from {sigma}: {x}");
            }
        }
    }
    let law = [(1.0, 0.0, 0.3)];
    let gauss = Job::new(
        ("gaussian-mixture", mixture_settings(&law)),
        ("edm", json!({})),
        ("exact", json!({})),
    );
    let x = gauss.transport(&[40.0], "edm", json!({ "grid": grid("edm", 400, false) }));
    let exact = 40.0 * ((0.3f64 + 0.002 * 0.002) / (0.3 + 6400.0)).sqrt();
    assert!((x[0] / exact - 1.0).abs() < 1e-4, "{} {exact}", x[0]);
}

/// W₂ to the law at level `end`, and the variance, of 40 000 draws.
fn noisy(kind: &str, mut settings: Value, grid: Value, end: f64) -> (f64, f64, u64) {
    settings["grid"] = grid;
    settings["start"] = json!("exact");
    let n = 40_000;
    let (sink, counts) = job().run(kind, settings, n, 11);
    let mut x: Vec<f64> = sink.rows().iter().copied().collect();
    x.sort_by(f64::total_cmp);
    let mean = x.iter().sum::<f64>() / n as f64;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
    let to = quantiles(&mixture(&M2).noised(1.0, end * end).unwrap(), n);
    assert_eq!(counts.score_evals % n as u64, 0);
    (w2(&x, &to), variance, counts.score_evals / n as u64)
}

/// 10 % and the sampling floor.
fn assert_noisy(what: &str, got: f64, want: f64) {
    assert!(
        (got - want).abs() <= 0.1 * want + 0.004,
        "{what}: {got}, expected {want}"
    );
}

#[test]
fn noise_of_ddim_and_churn() {
    let table = [
        (0.0, [0.126, 0.0664, 0.033, 0.020]),
        (0.5, [0.136, 0.076, 0.042, 0.021]),
        (1.0, [0.188, 0.115, 0.061, 0.036]),
    ];
    for (eta, want) in table {
        for (steps, want) in [10, 20, 40, 80].into_iter().zip(want) {
            let (w2, _, calls) = noisy(
                "ddim",
                json!({ "eta": eta }),
                grid("edm", steps, false),
                0.002,
            );
            assert_noisy(&format!("η = {eta}, {steps} steps"), w2, want);
            assert_eq!(calls, steps as u64);
        }
    }
    let churned = json!({ "churn": 40.0, "churn_min": 0.05, "churn_max": 50.0 });
    let (plain, variance, calls) = noisy("edm", json!({}), grid("edm", 18, true), 0.0);
    assert_noisy("EDM, 18 steps", plain, 0.027);
    assert!(
        (variance - 0.340).abs() < 0.01 && calls == 35,
        "{variance} {calls}"
    );
    let (harmed, variance, _) = noisy("edm", churned.clone(), grid("edm", 18, true), 0.0);
    assert_noisy("churn 40, 18 steps", harmed, 0.062);
    assert!(
        (variance - 0.382).abs() < 0.012 && harmed > plain,
        "{variance}"
    );
    assert_noisy(
        "EDM, 40 steps",
        noisy("edm", json!({}), grid("edm", 40, true), 0.0).0,
        0.0055,
    );
    assert_noisy(
        "churn 40, 40 steps",
        noisy("edm", churned.clone(), grid("edm", 40, true), 0.0).0,
        0.016,
    );
    // With churn the law is still right in the limit, but not with inflated noise.
    let (w2, ..) = noisy("edm", churned.clone(), grid("edm", 256, true), 0.0);
    assert!(w2 < 0.008, "{w2}");
    let mut inflated = churned;
    inflated["noise"] = json!(1.003);
    let (_, variance, _) = noisy("edm", inflated, grid("edm", 64, true), 0.0);
    assert!((variance - 0.322).abs() < 0.008, "{variance}");
}

#[test]
fn calls_of_the_score_are_counted() {
    let (n, steps) = (100u64, 12);
    let grids = grid("edm", steps, true);
    let cases = [
        ("probability-flow", json!({ "method": "euler" }), 12),
        ("ddim", json!({}), 12),
        ("dpm-solver", json!({}), 12),
        ("reverse-sde", json!({}), 12),
        ("ancestral", json!({}), 12),
        ("rd-f", json!({}), 12),
        ("rd-q", json!({}), 12),
        ("edm", json!({}), 23),
        ("probability-flow", json!({ "method": "heun" }), 23),
        ("exponential-integrator", json!({ "order": 2 }), 23),
        ("predictor-corrector", json!({}), 24),
    ];
    for (kind, mut settings, calls) in cases {
        settings["grid"] = grids.clone();
        let (_, counts) = job().run(kind, settings, n as usize, 0);
        assert_eq!(counts.score_evals, n * calls, "{kind}");
    }
}

#[test]
fn predictor_and_corrector_reach_the_target() {
    // The corrector's bias falls with snr; no noise at all would leave its variance far off.
    let run = |snr: f64, moves: u64| {
        let settings = json!({ "snr": snr, "moves": moves });
        noisy("predictor-corrector", settings, grid("edm", 200, true), 0.0)
    };
    let (w2, variance, calls) = run(0.1, 1);
    assert!(
        w2 < 0.03 && (variance - 0.3091).abs() < 0.02 && calls == 400,
        "{w2} {variance}"
    );
    let (rough, ..) = run(1.0, 1);
    assert!(rough > 2.0 * w2, "{rough}");
}

#[test]
fn stochastic_samplers_converge_in_law() {
    for (kind, settings) in [
        ("reverse-sde", json!({})),
        ("reverse-sde", json!({ "scheme": "frozen-score" })),
        ("ancestral", json!({})),
        ("ancestral", json!({ "noise": "forward" })),
    ] {
        let error = |steps| noisy(kind, settings.clone(), grid("edm", steps, false), 0.002).0;
        let (coarse, fine) = (error(25), error(400));
        assert!(
            fine < 0.015 && fine < coarse / 3.0,
            "{kind} {settings}: {coarse} {fine}"
        );
    }
}

#[test]
fn a_vp_run_ends_at_the_target_too() {
    let job = Job::new(
        ("gaussian-mixture", mixture_settings(&M2)),
        ("vp", json!({})),
        ("exact", json!({})),
    );
    for kind in [
        "edm",
        "dpm-solver",
        "exponential-integrator",
        "probability-flow",
    ] {
        let (from, to) = (
            quantiles(&mixture(&[(1.0, 0.0, 1.0)]), M),
            quantiles(&mixture(&M2), M),
        );
        let x = job.transport(&from, kind, json!({ "grid": grid("edm", 80, true) }));
        assert!(w2(&x, &to) < 0.01, "{kind}: {}", w2(&x, &to));
    }
    // Grids in t end where the score of M2 is smooth still.
    let x = job.transport(
        &at_level(0.0),
        "ddim",
        json!({ "grid": uniform(1.0, 1e-3, 10) }),
    );
    assert!(x.iter().all(|x| x.is_finite()));
}
