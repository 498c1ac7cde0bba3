//! Restoration-degradation samplers and their rivals, by step count.

use super::{
    Job, M, alpha_variance, assert_row, errors, last_order, list, mixture, mixture_settings,
    quantiles, uniform,
};
use ndarray::array;
use retrograde::core::{GaussianMixture, Target};
use retrograde::ndarray;
use serde_json::{Value, json};
use std::sync::Arc;

/// Data of the linear cases.
const M1: [(f64, f64, f64); 2] = [(0.3, -2.0, 0.25), (0.7, 1.5, 0.5)];
/// Law under the tilt of the Beneš cases.
const BENES: [(f64, f64, f64); 2] = [(0.5, -1.0, 0.09), (0.5, 0.6, 0.16)];

fn linear_job(process: &str, settings: Value) -> Job {
    Job::new(
        ("gaussian-mixture", mixture_settings(&M1)),
        (process, settings),
        ("exact", json!({})),
    )
}

/// Quantiles of q_t of the linear job.
fn linear_quantiles(job: &Job, t: f64) -> Vec<f64> {
    let (a, v) = alpha_variance(job.process.as_ref(), t);
    quantiles(&mixture(&M1).noised(a, v).unwrap(), M)
}

#[test]
fn rd_all_the_way_back_is_ddim_and_half_way_is_the_formula() {
    let processes = [
        ("vp", json!({})),
        ("sub-vp", json!({})),
        ("ve", json!({})),
        ("cosine", json!({})),
        ("flow-matching", json!({})),
    ];
    for (name, settings) in processes {
        let job = linear_job(name, settings);
        let from = linear_quantiles(&job, 0.98);
        let run = |kind: &str, extra: Value| {
            let mut settings = json!({ "grid": uniform(0.98, 0.0, 40) });
            let more = extra.as_object().cloned().unwrap_or_default();
            settings.as_object_mut().unwrap().extend(more);
            job.transport(&from, kind, settings)
        };
        let ddim = run("ddim", json!({}));
        let worst = |a: &[f64], b: &[f64]| {
            a.iter()
                .zip(b)
                .fold(0.0f64, |m, (a, b)| m.max((a - b).abs()))
        };
        for kind in ["rd-f", "rd-s", "rd-q"] {
            let rd = run(kind, json!({ "back": { "rule": "full" } }));
            assert!(
                worst(&rd, &ddim) <= 1e-10,
                "{name} {kind}: {}",
                worst(&rd, &ddim)
            );
        }
        let simulated = run("rd-s", json!({ "back": { "rule": "half" } }));
        let formula = run("rd-f", json!({ "back": { "rule": "half" } }));
        assert!(
            worst(&simulated, &formula) <= 1e-10,
            "{name}: {}",
            worst(&simulated, &formula)
        );
        // A restoration of another length is no DDIM.
        assert!(worst(&formula, &ddim) > 1e-3, "{name}");
    }
}

#[test]
fn the_restoration_of_a_point_is_the_point() {
    let point = GaussianMixture::points(array![1.0], array![[0.37]]).unwrap();
    let point: Arc<dyn Target> = Arc::new(point);
    let from: Vec<f64> = (0..61).map(|i| 0.1 * f64::from(i) - 3.0).collect();
    for (name, settings, t) in [
        ("ve", json!({ "sigma_max": 3.0 }), 1.0),
        ("vp", json!({}), 1.0),
        (
            "benes",
            json!({ "t_end": 2.0, "directions": [[1.0], [-1.0]] }),
            2.0,
        ),
    ] {
        let job = Job::on(point.clone(), (name, settings), ("exact", json!({})));
        let worst = |kind: &str, steps: usize| {
            let mut settings = json!({ "grid": uniform(t, 0.0, steps) });
            if kind == "rd-q" {
                settings["back"] = json!({ "rule": "full" });
            } else {
                settings["method"] = json!("euler");
            }
            let x = job.transport(&from, kind, settings);
            x.iter().fold(0.0f64, |m, x| m.max((x - 0.37).abs()))
        };
        for steps in [1, 10] {
            let full = worst("rd-q", steps);
            assert!(full <= 1e-12, "{name}, {steps} steps: {full:e}");
        }
        assert!(
            worst("probability-flow", 1) > 1e-2,
            "{name}: Euler is no restoration"
        );
    }
}

#[test]
fn the_gaussian_way_back_is_exact_for_gaussian_data() {
    let law = [(1.0, 0.3, 0.7)];
    let job = Job::new(
        ("gaussian-mixture", mixture_settings(&law)),
        ("ve", json!({ "schedule": "sqrt", "sigma_max": 3.0 })),
        ("exact", json!({})),
    );
    let t = job.process.t_end();
    let (_, v) = alpha_variance(job.process.as_ref(), t);
    let from = quantiles(&mixture(&law).noised(1.0, v).unwrap(), 500);
    let run = |variance: f64| {
        let back = json!({ "rule": "gaussian", "variance": variance });
        job.transport(
            &from,
            "rd-f",
            json!({ "back": back, "grid": uniform(t, 0.0, 5) }),
        )
    };
    let worst = |x: Vec<f64>| {
        let flow = |x: f64| 0.3 + (x - 0.3) * (0.7f64 / (0.7 + v)).sqrt();
        let pairs = x.iter().zip(&from);
        pairs.fold(0.0f64, |m, (x, from)| m.max((x - flow(*from)).abs()))
    };
    assert!(worst(run(0.7)) <= 1e-12, "{}", worst(run(0.7)));
    assert!(worst(run(0.6)) > 1e-3);
}

#[test]
fn linear_variance_preserving_table() {
    let job = linear_job("vp", json!({}));
    let (from, to) = (linear_quantiles(&job, 1.0), linear_quantiles(&job, 1e-3));
    let steps = [10, 20, 40, 80, 160, 320];
    let grid = |n| uniform(1.0, 1e-3, n);
    let all = (&job, from.as_slice(), to.as_slice());
    let flow = |method: &'static str| move |n| json!({ "method": method, "grid": uniform(1.0, 1e-3, n), "last_step": "full" });
    let ddim = errors(&steps, all, "ddim", |n| json!({ "grid": grid(n) }));
    assert_row(
        "DDIM",
        &steps,
        &ddim,
        &[0.220, 0.117, 0.0611, 0.0313, 0.0158, 0.00796],
        0.02,
    );
    let euler = errors(&steps, all, "probability-flow", flow("euler"));
    assert_row(
        "Euler",
        &steps,
        &euler,
        &[0.0634, 0.0309, 0.0154, 0.00775, 0.00389, 0.00195],
        0.02,
    );
    let heun = errors(&steps, all, "probability-flow", flow("heun"));
    assert_row(
        "Heun",
        &steps,
        &heun,
        &[0.0288, 0.00828, 0.00221, 5.70e-4, 1.45e-4, 3.64e-5],
        0.02,
    );
    let half = errors(
        &steps,
        all,
        "rd-s",
        |n| json!({ "grid": grid(n), "back": { "rule": "half" } }),
    );
    assert_row(
        "half",
        &steps,
        &half,
        &[0.268, 0.149, 0.0806, 0.0422, 0.0216, 0.0109],
        0.02,
    );
    for (what, errors, order, slack) in [
        ("DDIM", &ddim, 1.0, 0.1),
        ("Euler", &euler, 1.0, 0.1),
        ("half", &half, 1.0, 0.1),
        ("Heun", &heun, 2.0, 0.1),
    ] {
        assert!(
            (last_order(errors) - order).abs() <= slack,
            "{what}: {}",
            last_order(errors)
        );
    }
}

/// The job of the Beneš cases with quantiles at T = 2 and of the data.
fn benes() -> (Job, Vec<f64>, Vec<f64>) {
    let job = Job::new(
        (
            "tilted-mixture",
            json!({
                "base": mixture_settings(&BENES), "directions": [[1.0], [-1.0]],
            }),
        ),
        ("benes", json!({ "t_end": 2.0 })),
        ("exact", json!({})),
    );
    // q_t: weights ∝ w e^{±a m + a² v/2}, means m ± a (v + t), variances v + t.
    let law = |t: f64| {
        let mut components = Vec::new();
        for (w, m, v) in BENES {
            for sign in [1.0, -1.0] {
                components.push((w * (sign * m + 0.5 * v).exp(), m + sign * (v + t), v + t));
            }
        }
        quantiles(&mixture(&components), M)
    };
    (job, law(2.0), law(0.0))
}

#[test]
fn benes_table_on_a_uniform_grid() {
    let (job, from, to) = benes();
    let all = (&job, from.as_slice(), to.as_slice());
    let steps = [10, 20, 40, 80, 160, 320];
    let grid = |n| uniform(2.0, 0.0, n);
    let row = |what: &str, kind: &str, settings: &dyn Fn(usize) -> Value, want: &[f64]| {
        let steps = &steps[..want.len()];
        let got = errors(steps, all, kind, settings);
        assert_row(what, steps, &got, want, 0.02);
        got
    };
    let euler = row(
        "Euler",
        "probability-flow",
        &|n| json!({ "method": "euler", "grid": grid(n) }),
        &[0.0779, 0.0423, 0.0220, 0.0112, 0.00563, 0.00282],
    );
    let infinite = errors(
        &steps,
        all,
        "rd-f",
        |n| json!({ "grid": grid(n), "back": { "rule": "infinite" } }),
    );
    assert!(
        euler
            .iter()
            .zip(&infinite)
            .all(|(a, b)| (a - b).abs() < 1e-12)
    );
    let heun = row(
        "Heun",
        "probability-flow",
        &|n| json!({ "grid": grid(n), "last_step": "full" }),
        &[0.0428, 0.0105, 0.00245, 5.79e-4, 1.40e-4, 3.42e-5],
    );
    let back = |rule: Value, extra: Value| {
        move |n: usize| {
            let mut settings = json!({ "grid": uniform(2.0, 0.0, n), "back": rule.clone() });
            let more = extra.as_object().cloned().unwrap_or_default();
            settings.as_object_mut().unwrap().extend(more);
            settings
        }
    };
    let full = json!({ "rule": "full" });
    let root = json!({ "rule": "sqrt-step" });
    let em = json!({ "map": "euler-maruyama" });
    let none = json!({});
    row(
        "RD-F l = t",
        "rd-f",
        &back(full.clone(), none.clone()),
        &[0.0986, 0.0710, 0.0487, 0.0312, 0.0190, 0.0111],
    );
    row(
        "RD-Q l = t",
        "rd-q",
        &back(full, none.clone()),
        &[0.0983, 0.0712, 0.0488, 0.0313, 0.0190, 0.0111],
    );
    row(
        "RD-F l = √h",
        "rd-f",
        &back(root.clone(), none.clone()),
        &[0.0466, 0.0258, 0.0150, 0.0102, 0.00766, 0.00587],
    );
    row(
        "RD-S l = √h",
        "rd-s",
        &back(root.clone(), em.clone()),
        &[0.0517, 0.0316, 0.0184, 0.0112, 0.00744, 0.00521],
    );
    let capped = json!({ "map": "euler-maruyama", "beyond_zero": false });
    row(
        "RD-S l = min(√h, t)",
        "rd-s",
        &back(root, capped.clone()),
        &[0.103, 0.0765, 0.0531, 0.0346, 0.0216, 0.0133],
    );
    let fixed = json!({ "rule": "fixed", "length": 0.4 });
    row(
        "RD-S l = min(0.4, t)",
        "rd-s",
        &back(fixed.clone(), capped),
        &[0.106, 0.0729, 0.0484, 0.0315, 0.0224, 0.0193],
    );
    row(
        "RD-Q l = min(0.4, t)",
        "rd-q",
        &back(fixed.clone(), none.clone()),
        &[0.110, 0.0767, 0.0515, 0.0326, 0.0196, 0.0114],
    );
    // A fixed way back, simulated, leaves a floor.
    let floor = errors(&[10, 640], all, "rd-s", back(fixed, em));
    assert!(
        (floor[0] / 0.0425 - 1.0).abs() < 0.02 && (floor[1] / 0.0551 - 1.0).abs() < 0.02,
        "{floor:?}"
    );
    // So does one of m steps, whatever m.
    for (m, want) in [(1.0, 0.240), (2.0, 0.059), (4.0, 0.025), (16.0, 0.005)] {
        let rule = json!({ "rule": "multiple", "multiple": m });
        let got = errors(&[320, 640], all, "rd-f", back(rule, none.clone()));
        assert!((got[1] / want - 1.0).abs() < 0.12, "l = {m} h: {got:?}");
        assert!(
            last_order(&got) < 0.4,
            "l = {m} h must not converge: {got:?}"
        );
    }
    assert!((last_order(&euler) - 1.0).abs() <= 0.1 && (last_order(&heun) - 2.0).abs() <= 0.1);
}

#[test]
fn benes_table_on_geometric_grids_where_rd_wins() {
    let (job, from, to) = benes();
    let all = (&job, from.as_slice(), to.as_slice());
    let steps = [8, 16, 32, 64, 128];
    let geometric = |n: usize| {
        let mut t: Vec<f64> = (0..n)
            .map(|k| 2.0 * (1e-5f64 / 2.0).powf(k as f64 / (n - 1) as f64))
            .collect();
        t[n - 1] = 1e-5;
        t.push(0.0);
        list(&t)
    };
    let power = |n: usize| {
        let root = |t: f64| t.powf(1.0 / 14.0);
        let (a, b) = (root(2.0), root(1e-5));
        let mut t: Vec<f64> = (0..n)
            .map(|k| (a + (b - a) * k as f64 / (n - 1) as f64).powi(14))
            .collect();
        (t[0], t[n - 1]) = (2.0, 1e-5);
        t.push(0.0);
        list(&t)
    };
    let check = |grid: &dyn Fn(usize) -> Value, table: [[f64; 5]; 3]| {
        let euler = errors(
            &steps,
            all,
            "probability-flow",
            |n| json!({ "method": "euler", "grid": grid(n) }),
        );
        let frozen = errors(&steps, all, "rd-f", |n| json!({ "grid": grid(n) }));
        let matched = errors(&steps, all, "rd-q", |n| json!({ "grid": grid(n) }));
        assert_row("Euler", &steps, &euler, &table[0], 0.02);
        assert_row("RD-F", &steps, &frozen, &table[1], 0.02);
        assert_row("RD-Q", &steps, &matched, &table[2], 0.02);
        for i in 0..steps.len() {
            assert!(
                matched[i] < frozen[i] && frozen[i] < euler[i],
                "{} steps",
                steps[i]
            );
        }
    };
    check(
        &geometric,
        [
            [0.191, 0.0871, 0.0407, 0.0197, 0.00965],
            [0.0868, 0.0429, 0.0205, 0.0100, 0.00495],
            [0.0567, 0.0275, 0.0136, 0.00674, 0.00336],
        ],
    );
    check(
        &power,
        [
            [0.139, 0.0624, 0.0296, 0.0144, 0.00710],
            [0.0676, 0.0316, 0.0152, 0.00743, 0.00368],
            [0.0459, 0.0221, 0.0109, 0.00539, 0.00269],
        ],
    );
}
