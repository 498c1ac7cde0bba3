//! The particle denoising diffusion sampler with the exact log densities of noised mixtures as potential, and with the naive
//! potential as published.

use crate::{data, sample, target};
use retrograde::core::drive::drive;
use retrograde::core::registry::Parts;
use retrograde::core::{Collected, Result, Runtime, Target};
use retrograde_testkit::{assert_z, mean_se};
use serde_json::{Value, json};
use std::sync::Arc;

/// A run with the exact score under `process`; the evaluations of target and score.
fn run(
    target: &Arc<dyn Target>,
    process: (&str, Value),
    settings: Value,
    n: usize,
    seed: u64,
) -> Result<(Collected, [u64; 3])> {
    let (registry, files) = (retrograde::registry()?, data());
    let mut parts = Parts::new(&files).with_target(target.clone());
    let process = registry.process(process.0, process.1, &parts)?;
    parts.process = Some(process);
    parts.score = Some(registry.score("exact", json!({}), &parts)?);
    let sampler = registry.sampler("pdds", settings, &parts)?;
    let mut runtime = Runtime::new(seed, 0)?;
    let mut sink = Collected::new(target.dim());
    drive(sampler.as_ref(), &mut runtime, n, None, &mut sink)?;
    let c = runtime.counts();
    Ok((sink, [c.density_evals, c.gradient_evals, c.score_evals]))
}

fn by_score(steps: usize) -> Value {
    json!({ "potential": "score", "steps": steps, "moves": 0 })
}

#[test]
fn log_z_and_weights_of_mixtures_by_exact_potentials() {
    for (name, settings, process) in [
        ("gmm9", json!({}), ("cosine", json!({}))),
        ("two-modes", json!({ "dim": 16 }), ("vp", json!({}))),
        // Forty modes up to 40 from 0: a reference law as wide.
        (
            "gmm40",
            json!({}),
            ("ou", json!({ "rate": 1.0, "noise": 35.0, "t_end": 8.0 })),
        ),
    ] {
        let target = target(name, settings);
        let runs: Vec<Collected> = (1..=8)
            .map(|seed| {
                let (run, _) = run(&target, process.clone(), by_score(200), 2000, seed).unwrap();
                run
            })
            .collect();
        let (mean, se) = mean_se(runs.iter().map(|r| r.scalars["log_z"]));
        let said = mean_se(runs.iter().map(|r| r.scalars["log_z_se"])).0;
        let flags: Vec<&String> = runs[0].flags.keys().collect();
        println!("{name}: {mean} ± {se}, each said {said}, {flags:?}");
        let se = se.max(said / 8f64.sqrt());
        // The mean of log Ẑ is too low by half the variance.
        assert_z(name, mean, -0.5 * said * said, se);
        assert!(mean.abs() < 0.05, "{mean}");
        assert!(!runs[0].flags.contains_key("ends_disagree"), "{flags:?}");
        // Mode weights, by the nearest mean.
        let mixture = target.mixture().expect("a mixture");
        let (means, truth) = (mixture.means(), mixture.weights());
        let mut share = vec![0.0; means.nrows()];
        for r in &runs {
            let w: Vec<f64> = r.log_weights.iter().map(|w| w.exp()).collect();
            let total: f64 = w.iter().sum();
            for (x, w) in r.rows().rows().into_iter().zip(&w) {
                let distance = |k: usize| (&means.row(k) - &x).mapv(|v| v * v).sum();
                let nearest = (0..share.len()).min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
                share[nearest.expect("there are modes")] += w / total / runs.len() as f64;
            }
        }
        let tv: f64 = 0.5
            * share
                .iter()
                .zip(truth)
                .map(|(a, b)| (a - b).abs())
                .sum::<f64>();
        println!("total variation of the mode weights {tv}");
        assert!(tv < 0.05, "{tv}");
    }
}

#[test]
fn evaluations_are_counted_as_what_they_are() {
    let gmm9 = target("gmm9", json!({}));
    let settings = json!({ "potential": "score", "steps": 20, "moves": 0, "check_particles": 0 });
    let (_, counts) = run(&gmm9, ("cosine", json!({})), settings, 300, 1).unwrap();
    // Scores at t_19 … t_1, the target's density at t = 0, and at 64 points farther out.
    assert_eq!(counts, [364, 0, 19 * 300]);
}

#[test]
fn processes_that_do_not_preserve_variance_are_refused() {
    let gmm9 = target("gmm9", json!({}));
    for process in ["ve", "edm", "sub-vp", "flow-matching"] {
        let error = run(&gmm9, (process, json!({})), by_score(10), 100, 1).map(|_| ());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("variance preserving"), "{process}: {error}");
    }
}

#[test]
fn a_naive_potential_has_the_known_errors() {
    // Mean and standard deviation of log Ẑ over 50 seeds, 30 for the funnel, by an independent implementation in NumPy of the
    // published code (κ = 0.3, nothing whitened, N = 2000); log Z = 0.
    let hard = [(3, -0.30, 0.53), (6, -0.53, 0.38), (12, -0.52, 0.32)];
    let hard = hard
        .into_iter()
        .chain([(24, -0.25, 0.89), (48, -0.36, 0.59)]);
    let funnel = [(20, -0.52, 0.36), (40, -0.59, 0.27), (80, -0.58, 0.38)];
    let hard = hard.map(|row| ("hard-mixture", 50, row));
    let funnel = funnel.into_iter().map(|row| ("funnel", 30, row));
    for (name, seeds, (steps, mean, sd)) in hard.chain(funnel) {
        let target = target(name, json!({}));
        let sampler = json!({
            "steps": steps, "drift": "first-order", "whiten": "none", "moves": 0, "check_particles": 0,
        });
        let runs = (0..seeds).map(|seed| {
            let (run, _) = sample(&target, "pdds", sampler.clone(), 2000, seed);
            run.scalars["log_z"]
        });
        let (ours, se) = mean_se(runs);
        let n = f64::from(u32::try_from(seeds).expect("few"));
        println!(
            "{name}, K = {steps}: {ours:.3} ± {:.3} (there {mean} ± {sd})",
            se * n.sqrt()
        );
        let error = 4.5 * se.hypot(sd / n.sqrt());
        assert!((ours - mean).abs() < error, "{name}, K = {steps}: {ours}");
    }
}
