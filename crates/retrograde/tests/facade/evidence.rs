//! Tempered SMC on targets whose log Z is known: measured means over seeds against the truth, and
//! against the mean and spread of an independent implementation (NumPy; N = 2000, α = 0.9, 10 MALA
//! moves a temperature, step size adapted to an acceptance of 0.6, 10 seeds), failures included: a
//! base that is too narrow loses modes, and the run's own error does not show it.

use crate::{sample, target};
use retrograde::core::{Collected, Severity, Target};
use retrograde_testkit::{assert_z, mean_se};
use serde_json::{Value, json};
use std::sync::Arc;

const N: usize = 2000;

/// Mean and standard deviation of log Ẑ over seeds 1 to `seeds`, and the runs.
fn replicate(
    target: &Arc<dyn Target>,
    settings: &Value,
    n: usize,
    seeds: u64,
) -> (f64, f64, Vec<Collected>) {
    let runs: Vec<Collected> = (1..=seeds)
        .map(|seed| sample(target, "smc", settings.clone(), n, seed).0)
        .collect();
    let (mean, se) = mean_se(runs.iter().map(|r| r.scalars["log_z"]));
    (mean, se * (seeds as f64).sqrt(), runs)
}

/// Total variation between the shares of the modes (nearest mean) and equal ones; modes found.
fn modes(run: &Collected, target: &dyn Target) -> (f64, usize) {
    let means = target.mixture().expect("a mixture").means();
    let mut counts = vec![0.0; means.nrows()];
    for x in run.rows().rows() {
        let distance = |k: usize| (&means.row(k) - &x).mapv(|v| v * v).sum();
        let nearest = (0..means.nrows()).min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        counts[nearest.expect("there are modes")] += 1.0 / run.len() as f64;
    }
    let equal = 1.0 / counts.len() as f64;
    let tv = 0.5 * counts.iter().map(|c| (c - equal).abs()).sum::<f64>();
    (tv, counts.iter().filter(|c| **c > 0.0).count())
}

/// Mean of a square over all runs.
fn second_moment(runs: &[Collected], coordinate: usize) -> f64 {
    let all = runs.iter().map(|r| {
        r.rows()
            .column(coordinate)
            .iter()
            .map(|v| v * v)
            .sum::<f64>()
            / r.len() as f64
    });
    all.sum::<f64>() / runs.len() as f64
}

/// Panics unless our mean over `seeds` agrees with the other implementation's over as many.
fn assert_agrees(what: &str, ours: (f64, f64), theirs: (f64, f64), seeds: f64) {
    let se = ((ours.1 * ours.1 + theirs.1 * theirs.1) / seeds).sqrt();
    assert_z(what, ours.0, theirs.0, se);
}

/// Panics unless the runs took as many temperatures as those of the other implementation, to 12 %.
fn assert_levels(what: &str, runs: &[Collected], theirs: f64) {
    let levels = runs.iter().map(|r| r.tables["ladder"].1.len() as f64);
    let mean = mean_se(levels).0;
    assert!(
        (mean / theirs - 1.0).abs() < 0.12,
        "{what}: {mean} temperatures, {theirs} elsewhere"
    );
}

/// Panics unless the mean total variation distance of the mode weights is `theirs` to within `error`.
fn assert_weights(runs: &[Collected], target: &dyn Target, theirs: f64, error: f64) {
    let tv = mean_se(runs.iter().map(|r| modes(r, target).0)).0;
    assert!((tv - theirs).abs() < error, "{tv}, {theirs} elsewhere");
}

#[test]
fn nine_modes_from_a_base_that_covers_them() {
    let target = target("gmm9", json!({}));
    let settings = json!({ "base_sd": 4.0, "pilot_moves": 0, "move": "mala", "precondition": "none", "moves": 10, "max_moves": 10 });
    let (mean, sd, runs) = replicate(&target, &settings, N, 10);
    assert_agrees("GMM9, base 4", (mean, sd), (0.0, 0.016), 10.0);
    assert_levels("GMM9, base 4", &runs, 7.0);
    assert_weights(&runs, &*target, 0.036, 0.015);
    assert_z("GMM9, base 4, truth", mean, 0.0, sd / 10f64.sqrt());
    for seed in 1..=3 {
        let log_z = sample(&target, "smc", settings.clone(), 8000, seed)
            .0
            .scalars["log_z"];
        assert!(log_z.abs() < 0.05, "{log_z}");
    }
    for r in &runs {
        let (tv, found) = modes(r, target.as_ref());
        assert!(tv < 0.09 && found == 9, "{tv} {found}");
    }
}

#[test]
fn nine_modes_from_a_narrow_base_are_lost() {
    let target = target("gmm9", json!({}));
    let (mean, sd, runs) = replicate(
        &target,
        &json!({ "base_sd": 1.0, "pilot_moves": 0, "move": "mala", "precondition": "none", "moves": 10, "max_moves": 10 }),
        N,
        10,
    );
    assert_agrees("GMM9, base 1", (mean, sd), (-0.79, 0.26), 10.0);
    assert_levels("GMM9, base 1", &runs, 10.0);
    assert_weights(&runs, &*target, 0.478, 0.2);
    assert!(runs.iter().all(|r| modes(r, target.as_ref()).1 >= 3));
}

#[test]
fn forty_modes_need_a_wide_base() {
    let target = target("gmm40", json!({}));
    let (mean, sd, runs) = replicate(
        &target,
        &json!({ "base_sd": 25.0, "pilot_moves": 0, "move": "mala", "precondition": "none", "moves": 10, "max_moves": 10 }),
        N,
        10,
    );
    assert_agrees("GMM40, base 25", (mean, sd), (-0.002, 0.036), 10.0);
    assert_levels("GMM40, base 25", &runs, 9.0);
    assert_weights(&runs, &*target, 0.080, 0.02);
    for r in &runs {
        let (tv, found) = modes(r, target.as_ref());
        assert!(tv < 0.13 && found == 40, "{tv} {found}");
    }
    let (mean, sd, runs) = replicate(
        &target,
        &json!({ "base_sd": 1.0, "pilot_moves": 0, "move": "mala", "precondition": "none", "moves": 10, "max_moves": 10 }),
        N,
        4,
    );
    assert!(
        (mean + 2.57).abs() < 0.2 && sd < 0.15,
        "confidently wrong: {mean} ± {sd}"
    );
    assert_levels("GMM40, base 1", &runs, 24.0);
    assert_weights(&runs, &*target, 0.923, 0.02);
    assert!(runs.iter().all(|r| modes(r, target.as_ref()).1 <= 5));
}

/// The share of draws in the first of two modes.
fn first_share(r: &Collected) -> f64 {
    let rows = r.rows();
    let first = rows.rows().into_iter().filter(|x| x.sum() < 0.0);
    first.count() as f64 / r.len() as f64
}

#[test]
fn weights_of_two_far_modes_are_right_on_average_and_useless_in_a_run() {
    let target = target("two-modes", json!({ "dim": 16 }));
    let (mean, sd, runs) = replicate(
        &target,
        &json!({ "base_sd": 1.0, "pilot_moves": 0, "move": "mala", "precondition": "none", "moves": 10, "max_moves": 10 }),
        N,
        10,
    );
    assert_agrees("two modes", (mean, sd), (0.12, 0.50), 10.0);
    assert_levels("two modes", &runs, 30.0);
    let (share_mean, se) = mean_se(runs.iter().map(first_share));
    assert_z("weight of the first mode", share_mean, 2.0 / 3.0, se);
    assert!(
        se * 10f64.sqrt() > 0.1,
        "the spread of a run's weight, {se} · √10, is large"
    );
    // Some runs say so themselves: the moves of these left the particles where they were.
    let warned = |r: &&Collected| r.flags.values().any(|f| f.severity >= Severity::Warning);
    assert!(runs.iter().filter(warned).count() >= 2);
}

#[test]
fn more_temperatures_do_not_help_two_far_modes() {
    let target = target("two-modes", json!({ "dim": 16 }));
    let settings = json!({ "base_sd": 1.0, "alpha": 0.99, "pilot_moves": 0, "move": "mala", "precondition": "none", "moves": 10, "max_moves": 10 });
    let (mean, sd, runs) = replicate(&target, &settings, N, 5);
    assert_agrees("two modes, α = 0.99", (mean, sd), (-0.03, 0.62), 5.0);
    assert_levels("two modes, α = 0.99", &runs, 98.0);
    let (share, se) = mean_se(runs.iter().map(first_share));
    assert_agrees(
        "its first mode",
        (share, se * 5f64.sqrt()),
        (0.779, 0.302),
        5.0,
    );
}

#[test]
fn the_neck_of_a_funnel_is_missed() {
    let target = target("funnel", json!({}));
    for (base, theirs, levels, moment) in [
        (1.0, (-0.40, 0.22), 9.0, 2.7),
        (3.0, (-0.42, 0.14), 13.0, 3.3),
    ] {
        let settings = json!({ "base_sd": base, "pilot_moves": 0, "move": "mala", "precondition": "none", "moves": 10, "max_moves": 10 });
        let (mean, sd, runs) = replicate(&target, &settings, N, 10);
        assert_agrees("funnel", (mean, sd), theirs, 10.0);
        assert_levels("funnel", &runs, levels);
        let x0 = second_moment(&runs, 0);
        assert!(
            (x0 - moment).abs() < 1.0,
            "E x0² = {x0}, elsewhere {moment}, in truth 9"
        );
    }
}

#[test]
fn wells_of_known_depth() {
    for (settings, base, truth, theirs, levels, moment) in [
        (
            json!({ "dim": 5, "wells": 5, "delta": 4.0 }),
            2.0,
            -0.541055512879,
            (-0.535, 0.043),
            18.0,
            3.934104642334,
        ),
        (
            json!({ "dim": 50, "wells": 5, "delta": 2.0 }),
            1.0,
            42.817242677531,
            (42.831, 0.025),
            11.0,
            1.835341721490,
        ),
    ] {
        let target = target("multi-well", settings);
        let settings = json!({ "base_sd": base, "pilot_moves": 0, "move": "mala", "precondition": "none", "moves": 10, "max_moves": 10 });
        let (mean, sd, runs) = replicate(&target, &settings, N, 10);
        assert_agrees("multi-well", (mean, sd), theirs, 10.0);
        assert_levels("multi-well", &runs, levels);
        assert_z("multi-well, truth", mean, truth, sd / 10f64.sqrt());
        let x0 = second_moment(&runs, 0);
        assert!((x0 / moment - 1.0).abs() < 0.01, "{x0} {moment}");
    }
}

#[test]
fn brownian_motion_with_unknown_scales() {
    let target = target("brownian", json!({}));
    let truth = target.exact().and_then(|e| e.truth().log_z).unwrap();
    for seed in 1..=3 {
        let (run, _) = sample(&target, "smc", json!({}), 4000, seed);
        let log_z = run.scalars["log_z"];
        assert!(
            (log_z - truth).abs() < 0.15,
            "seed {seed}: {log_z}, in truth {truth}"
        );
    }
    // Ten Langevin moves a temperature are far too few here: log Z is off by 7, and the run says so.
    let few = json!({ "pilot_moves": 0, "move": "mala", "moves": 10, "max_moves": 10 });
    let (run, _) = sample(&target, "smc", few, 4000, 1);
    assert!(run.scalars["log_z"] < truth - 3.0);
    assert!(run.flags.contains_key("mixing"), "{:?}", run.flags);
}

#[test]
fn posteriors_by_quadrature_and_by_long_runs_elsewhere() {
    for prior in ["posteriordb", "inference-gym"] {
        let target = target("eight-schools", json!({ "prior": prior }));
        let truth = target.exact().and_then(|e| e.truth().log_z).unwrap();
        let (run, _) = sample(&target, "smc", json!({ "base_sd": 3.0 }), 4000, 1);
        assert_z(prior, run.scalars["log_z"], truth, run.scalars["log_z_se"]);
    }
    // 8 × 8 cells, 8 runs of 20 000 particles with HMC moves in NumPy.
    let target = target(
        "log-gaussian-cox",
        json!({ "file": "points.csv", "grid": 8 }),
    );
    let (run, _) = sample(&target, "smc", json!({}), 4000, 1);
    let se = run.scalars["log_z_se"].hypot(0.0008);
    assert_z(
        "log-Gaussian Cox process",
        run.scalars["log_z"],
        223.6004,
        se,
    );
}

#[test]
fn logistic_regression_within_its_error() {
    for (file, truth, se) in [
        ("ionosphere.csv", -111.608, 0.007),
        ("sonar.csv", -108.392, 0.007),
    ] {
        let target = target("logistic-regression", json!({ "file": file }));
        let (run, counts) = sample(
            &target,
            "smc",
            json!({ "max_moves": 5, "pilot_moves": 0 }),
            2000,
            1,
        );
        assert_z(
            file,
            run.scalars["log_z"],
            truth,
            run.scalars["log_z_se"].hypot(se),
        );
        // n (1 + K M L): the start, and M moves of L leapfrog steps at each of K temperatures.
        let levels = run.tables["ladder"].1.len() as u64;
        assert_eq!(counts.gradient_evals, 2000 * (1 + 5 * 5 * levels));
        assert_eq!(counts.density_evals, 2000 * (1 + 5 * levels));
        assert!(!run.flags.contains_key("mixing"));
    }
}
