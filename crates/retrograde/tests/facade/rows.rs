//! Numbers that an independent implementation in NumPy found for tempered SMC (adaptive temperatures, α = 0.9, ten MALA moves
//! at each, N = 2000) and for the particle denoising diffusion sampler with the naive potential (κ = 0.3, no moves, nothing
//! whitened, N = 2000): what these methods do with such settings, right or wrong, ours do as well.

use crate::{sample, target};
use retrograde::core::{Collected, Counts, Target};
use retrograde_testkit::mean_se;
use serde_json::{Value, json};
use std::sync::Arc;

/// A row of the table: mean and standard deviation over ten seeds (`seeds` ours) of log Ẑ − log Z, temperatures, and a
/// number of the draws with the error that it has over as many runs.
struct Row {
    target: (&'static str, Value, f64),
    base_sd: f64,
    alpha: f64,
    seeds: u64,
    log_z: (f64, f64),
    levels: f64,
    other: Other,
}

enum Other {
    /// Mean total variation distance of mode weights, to this much.
    Weights(f64, f64),
    /// Mean and standard deviation of the weight of the first mode.
    First(f64, f64),
    /// E x₀², to this much.
    Square(f64, f64),
}

fn rows() -> Vec<Row> {
    let row = |target: (&'static str, Value, f64), base_sd, log_z, levels, other| Row {
        target,
        base_sd,
        alpha: 0.9,
        seeds: 10,
        log_z,
        levels,
        other,
    };
    let gmm9 = || ("gmm9", json!({}), 0.0);
    let gmm40 = || ("gmm40", json!({}), 0.0);
    let two = || ("two-modes", json!({ "dim": 16 }), 0.0);
    let funnel = || ("funnel", json!({}), 0.0);
    let wells = |dim: u32, delta: f64, truth| {
        let settings = json!({ "dim": dim, "wells": 5, "delta": delta });
        ("multi-well", settings, truth)
    };
    use Other::{First, Square, Weights};
    vec![
        row(gmm9(), 4.0, (0.0, 0.016), 7.0, Weights(0.036, 0.015)),
        row(gmm9(), 1.0, (-0.79, 0.26), 10.0, Weights(0.478, 0.2)),
        row(gmm40(), 25.0, (-0.002, 0.036), 9.0, Weights(0.080, 0.02)),
        row(gmm40(), 1.0, (-2.57, 0.05), 24.0, Weights(0.923, 0.02)),
        row(two(), 1.0, (0.12, 0.50), 30.0, First(0.667, 0.288)),
        Row {
            alpha: 0.99,
            seeds: 5,
            ..row(two(), 1.0, (-0.03, 0.62), 98.0, First(0.779, 0.302))
        },
        row(funnel(), 1.0, (-0.40, 0.22), 9.0, Square(2.7, 1.0)),
        row(funnel(), 3.0, (-0.42, 0.14), 13.0, Square(3.3, 1.0)),
        row(
            wells(5, 4.0, -0.541_055_512_879),
            2.0,
            (0.006, 0.043),
            18.0,
            Square(3.933, 0.01),
        ),
        row(
            wells(50, 2.0, 42.817_242_677_531),
            1.0,
            (0.014, 0.025),
            11.0,
            Square(1.836, 0.02),
        ),
    ]
}

/// Shares of the draws whose nearest mean is each of the modes.
fn shares(run: &Collected, target: &Arc<dyn Target>) -> Vec<f64> {
    let means = target.mixture().expect("a mixture").means();
    let mut share = vec![0.0; means.nrows()];
    let x = run.rows();
    for x in x.rows() {
        let off = |k: usize| (&means.row(k) - &x).mapv(|v| v * v).sum();
        let near = (0..share.len()).min_by(|a, b| off(*a).total_cmp(&off(*b)));
        share[near.expect("there are modes")] += 1.0 / run.len() as f64;
    }
    share
}

#[test]
fn tempered_smc_has_the_known_errors() {
    for row in rows() {
        let (name, settings, truth) = row.target;
        let target = target(name, settings.clone());
        let sampler = json!({
            "move": "mala", "moves": 10, "max_moves": 10, "pilot_moves": 0,
            "precondition": "none", "base_sd": row.base_sd, "alpha": row.alpha,
        });
        let runs: Vec<(Collected, Counts)> = (0..row.seeds)
            .map(|seed| sample(&target, "smc", sampler.clone(), 2000, seed))
            .collect();
        let n = row.seeds as f64;
        let (mean, se) = mean_se(runs.iter().map(|r| r.0.scalars["log_z"] - truth));
        let ladders = runs.iter().map(|r| r.0.tables["ladder"].1.len() as f64);
        let levels = mean_se(ladders).0;
        let calls = runs.iter().map(|r| r.1.gradient_evals as f64 / 2000.0);
        let calls = mean_se(calls).0;
        let (what, (got, spread), want, error) = match row.other {
            Other::Weights(want, error) => {
                let off = runs.iter().map(|r| {
                    let share = shares(&r.0, &target);
                    let truth = target.mixture().expect("a mixture").weights();
                    let off = share.iter().zip(truth).map(|(s, w)| (s - w).abs());
                    0.5 * off.sum::<f64>()
                });
                ("TV", mean_se(off), want, error)
            }
            Other::First(want, sd) => {
                let first = runs.iter().map(|r| shares(&r.0, &target)[0]);
                let (mean, se) = mean_se(first);
                // Both are means over as many runs.
                let error = 4.5 * se.hypot(sd / n.sqrt());
                ("first mode", (mean, se), want, error)
            }
            Other::Square(want, error) => {
                let squares = runs.iter().map(|r| {
                    let x = r.0.rows();
                    x.column(0).mapv(|v| v * v).mean().expect("there are draws")
                });
                ("E x0²", mean_se(squares), want, error)
            }
        };
        println!(
            "{name} {settings}, base {}, α {}: log Z off by {mean:+.3} ± {:.3} (there {:+.3} ± {:.3}), {levels:.1} \
             temperatures (there {}), {calls:.0} calls, {what} {got:.3} ± {:.3} (there {want:.3})",
            row.base_sd,
            row.alpha,
            se * n.sqrt(),
            row.log_z.0,
            row.log_z.1,
            row.levels,
            spread * n.sqrt(),
        );
        let error_z = 4.5 * se.hypot(row.log_z.1 / n.sqrt()) + 5e-4;
        assert!(
            (mean - row.log_z.0).abs() < error_z,
            "{name}: {mean} ± {se}"
        );
        assert!(
            (levels / row.levels - 1.0).abs() < 0.12,
            "{name}: {levels} temperatures"
        );
        assert!(
            (calls - 10.0 * levels - 1.0).abs() < 1e-9,
            "{name}: {calls}"
        );
        assert!((got - want).abs() < error, "{name}: {what} {got}");
    }
}

#[test]
fn a_naive_potential_has_the_known_errors() {
    // Mean and standard deviation of log Ẑ over 50 seeds, 30 for the funnel; log Z = 0.
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
