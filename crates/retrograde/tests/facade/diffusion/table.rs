//! Which sampler runs on which process, with the order at which its draws converge as steps are halved:
//! measured here, and compared with the table in `docs/diffusion.md`. `RETROGRADE_BLESS=1` writes it anew.

use super::{Job, mixture_settings};
use ndarray::Array2;
use retrograde::core::Sampler;
use retrograde::core::registry::Parts;
use retrograde::ndarray;
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;

const M2: [(f64, f64, f64); 2] = [(0.3, -0.5, 0.09), (0.7, 0.4, 0.16)];
/// Rows of a run.
const DRAWS: usize = 64;
/// Steps before they are halved.
const STEPS: usize = 24;
/// Orders are to be met within this.
const SLACK: f64 = 0.25;

fn processes() -> Vec<(&'static str, Job)> {
    let normal = || ("gaussian-mixture", mixture_settings(&M2));
    let exact = || ("exact", json!({}));
    let grid = |low: f64, high: f64| ("fokker-planck", json!({ "lower": low, "upper": high }));
    let within = |mean: f64, sd: f64| {
        (
            "gaussian-mixture",
            mixture_settings(&[(1.0, mean, sd * sd)]),
        )
    };
    let mut all: Vec<(&'static str, Job)> =
        ["vp", "sub-vp", "ve", "edm", "cosine", "flow-matching", "ou"]
            .into_iter()
            .map(|name| (name, Job::new(normal(), (name, json!({})), exact())))
            .collect();
    let tilted = json!({ "base": mixture_settings(&M2), "directions": [[1.0], [-1.0]] });
    let warp = json!([{ "map": "asinh" }]);
    let warped = json!({ "base": mixture_settings(&M2), "warp": warp });
    let gamma = json!({ "shape": 3.125, "scales": [0.05, 0.2] });
    all.push((
        "benes",
        Job::new(
            ("tilted-mixture", tilted),
            ("benes", json!({ "t_end": 2.0 })),
            exact(),
        ),
    ));
    all.push((
        "warped-ou",
        Job::new(
            ("warped-mixture", warped),
            ("warped-ou", json!({})),
            exact(),
        ),
    ));
    let cir = json!({ "kappa": 1.0, "theta": 1.0, "sigma": 0.8, "t_end": 2.0 });
    all.push((
        "cir",
        Job::new(("gamma-mixture", gamma), ("cir", cir), exact()),
    ));
    let jacobi = json!({ "a": 2.0, "b": 3.0 });
    all.push((
        "jacobi",
        Job::new(
            within(0.5, 0.08),
            ("jacobi", jacobi),
            grid(1e-4, 1.0 - 1e-4),
        ),
    ));
    all.push((
        "stochastic-logistic",
        Job::new(
            within(1.0, 0.15),
            ("stochastic-logistic", json!({})),
            grid(1e-3, 12.0),
        ),
    ));
    all.push((
        "langevin",
        Job::new(
            normal(),
            ("langevin", json!({ "t_end": 1.0 })),
            grid(-5.0, 5.0),
        ),
    ));
    all.push((
        "polynomial-decay",
        Job::new(
            normal(),
            ("polynomial-decay", json!({ "t_end": 1.0 })),
            grid(-5.0, 5.0),
        ),
    ));
    all
}

/// Name in the table, kind, settings, and whether paths have an order.
fn samplers() -> Vec<(&'static str, &'static str, Value, bool)> {
    vec![
        ("rd-f", "rd-f", json!({}), true),
        ("rd-s", "rd-s", json!({ "back": { "rule": "full" } }), true),
        ("rd-q", "rd-q", json!({}), true),
        ("ddim", "ddim", json!({}), true),
        ("ddim, η = 1", "ddim", json!({ "eta": 1.0 }), true),
        (
            "Euler",
            "probability-flow",
            json!({ "method": "euler" }),
            true,
        ),
        (
            "Heun",
            "probability-flow",
            json!({ "method": "heun" }),
            true,
        ),
        ("RK4", "probability-flow", json!({ "method": "rk4" }), true),
        (
            "dopri5",
            "probability-flow",
            json!({ "method": "dopri5" }),
            false,
        ),
        ("edm", "edm", json!({}), true),
        ("edm, churn", "edm", json!({ "churn": 10.0 }), false),
        ("dpm-solver", "dpm-solver", json!({}), true),
        (
            "exp. integrator 1",
            "exponential-integrator",
            json!({ "order": 1 }),
            true,
        ),
        (
            "exp. integrator 2",
            "exponential-integrator",
            json!({ "order": 2 }),
            true,
        ),
        ("reverse-sde", "reverse-sde", json!({}), true),
        (
            "frozen score",
            "reverse-sde",
            json!({ "scheme": "frozen-score" }),
            true,
        ),
        ("ancestral", "ancestral", json!({}), true),
        ("pred.-corrector", "predictor-corrector", json!({}), false),
    ]
}

fn build(job: &Job, kind: &str, mut settings: Value, refine: usize) -> Option<Arc<dyn Sampler>> {
    let registry = retrograde::registry().unwrap();
    let files = crate::data();
    let mut parts = Parts::new(&files).with_target(job.target.clone());
    (parts.process, parts.score) = (Some(job.process.clone()), Some(job.score.clone()));
    let t = job.process.t_end();
    // A start a little before T and an end above 0: flow matching and the cosine law are singular there.
    let grid = json!({
        "spacing": "geometric-t", "steps": STEPS, "t_max": 0.98 * t, "t_min": 0.02 * t,
        "to_zero": false, "refine": refine,
    });
    settings["grid"] = grid;
    if ["reverse-sde", "ancestral", "ddim"].contains(&kind) {
        settings["noise_parts"] = json!(8);
    }
    registry.sampler(kind, settings, &parts).ok()
}

/// Draws, and whether rows left the support of the process.
fn draws(job: &Job, sampler: &Arc<dyn Sampler>) -> Option<(Array2<f64>, bool)> {
    let mut runtime = retrograde::core::Runtime::new(3, 0).unwrap();
    let mut sink = retrograde::core::Collected::new(job.target.dim());
    let done =
        retrograde::core::drive::drive(sampler.as_ref(), &mut runtime, DRAWS, None, &mut sink);
    done.ok()?;
    Some((sink.rows().to_owned(), sink.scalars["dead"] > 0.0))
}

/// What the table says of a pair: `–` where it does not run, `runs`, or the order.
fn entry(job: &Job, kind: &str, settings: &Value, ordered: bool) -> String {
    let Some(sampler) = build(job, kind, settings.clone(), 1) else {
        return "–".into();
    };
    if !ordered {
        return match draws(job, &sampler) {
            Some((x, _)) if x.iter().all(|v| v.is_finite()) => "runs".into(),
            _ => "×".into(),
        };
    }
    let run = |refine: usize| draws(job, &build(job, kind, settings.clone(), refine)?);
    let (Some((a, lost)), Some((b, _)), Some((c, _))) = (run(2), run(4), run(8)) else {
        return "×".into();
    };
    if lost {
        return "runs".into();
    }
    let distance =
        |a: &Array2<f64>, b: &Array2<f64>| (a - b).mapv(|v| v * v).mean().unwrap().sqrt();
    let order = (distance(&a, &b) / distance(&b, &c)).log2();
    format!("{order:.1}")
}

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/diffusion.md");
const MARKS: [&str; 2] = ["<!-- table: measured -->\n", "<!-- end of table -->\n"];

#[test]
fn the_table_of_samplers_and_processes_is_as_measured() {
    let (processes, samplers) = (processes(), samplers());
    let mut text = String::from("|  |");
    processes
        .iter()
        .for_each(|(name, _)| write!(text, " {name} |").unwrap());
    text.push_str("\n| --- |");
    processes.iter().for_each(|_| text.push_str(" --- |"));
    text.push('\n');
    for (name, kind, settings, ordered) in &samplers {
        write!(text, "| {name} |").unwrap();
        for (_, job) in &processes {
            write!(text, " {} |", entry(job, kind, settings, *ordered)).unwrap();
        }
        text.push('\n');
    }
    let document = std::fs::read_to_string(TABLE).unwrap();
    let (before, rest) = document
        .split_once(MARKS[0])
        .expect("a mark before the table");
    let (table, after) = rest.split_once(MARKS[1]).expect("a mark after the table");
    if std::env::var_os("RETROGRADE_BLESS").is_some() {
        let new = format!("{before}{}{text}{}{after}", MARKS[0], MARKS[1]);
        std::fs::write(TABLE, new).unwrap();
        return;
    }
    let cells = |t: &str| -> Vec<Vec<String>> {
        t.lines()
            .map(|l| l.split('|').map(|c| c.trim().to_owned()).collect())
            .collect()
    };
    let (want, got) = (cells(table), cells(&text));
    assert_eq!(want.len(), got.len(), "{text}");
    for (want, got) in want.iter().zip(&got) {
        assert_eq!(want.len(), got.len(), "{text}");
        for (w, g) in want.iter().zip(got) {
            match (w.parse::<f64>(), g.parse::<f64>()) {
                (Ok(w), Ok(g)) => assert!((w - g).abs() <= SLACK, "{want:?}: {w} is {g} now"),
                _ => assert_eq!(w, g, "{want:?}"),
            }
        }
    }
}

#[test]
fn no_step_but_the_first_allocates() {
    let mut tried = 0;
    let few = ["vp", "edm", "ou", "benes", "warped-ou", "cir", "langevin"];
    for (process, job) in processes().iter().filter(|(name, _)| few.contains(name)) {
        for (name, kind, settings, _) in samplers() {
            let Some(sampler) = build(job, kind, settings, 1) else {
                continue;
            };
            let steps = crate::allocations::per_step(sampler.as_ref(), 300);
            assert!(steps[0].is_none_or(|a| a > 0), "the counter counts");
            let later = &steps[1..];
            assert!(
                later.iter().flatten().all(|a| *a == 0),
                "{name} on {process}: allocations a step {later:?}"
            );
            tried += later.iter().flatten().count();
        }
    }
    assert!(tried > 1000, "{tried} steps were counted");
}
