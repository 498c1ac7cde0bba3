//! Samplers that run a diffusion backwards with scores by Monte Carlo, at default settings, on targets whose
//! log Z and mode weights are known.

use crate::{sample, target};
use ndarray::{Array2, ArrayView1};
use retrograde::core::registry::Parts;
use retrograde::core::{Collected, PointTarget, Runtime, Target, drive::drive};
use retrograde_testkit::mean_se;
use serde_json::{Value, json};
use std::sync::Arc;

/// A target, its settings and its log Z.
type Case = (&'static str, Value, f64);

fn cases() -> Vec<Case> {
    vec![
        ("gmm9", json!({}), 0.0),
        ("gmm40", json!({}), 0.0),
        ("two-modes", json!({ "dim": 2 }), 0.0),
        ("two-modes", json!({ "dim": 16 }), 0.0),
        ("funnel", json!({}), 0.0),
        (
            "multi-well",
            json!({ "dim": 5, "wells": 5, "delta": 4.0 }),
            -0.541055512879,
        ),
    ]
}

/// Centres of the modes and their weights; none for the funnel.
fn modes(case: &Case, target: &Arc<dyn Target>) -> Option<(Array2<f64>, Vec<f64>)> {
    if let Some(mixture) = target.mixture() {
        return Some((mixture.means().clone(), mixture.weights().to_vec()));
    }
    (case.0 == "multi-well").then(|| {
        let centre = |(k, j): (usize, usize)| if k >> j & 1 == 0 { -2.0 } else { 2.0 };
        let centres = Array2::from_shape_fn((32, 5), centre);
        (centres, vec![1.0 / 32.0; 32])
    })
}

/// Total variation between the mode frequencies of a run and the true weights.
fn total_variation(run: &Collected, (centres, weights): &(Array2<f64>, Vec<f64>)) -> f64 {
    let mut share = vec![0.0; weights.len()];
    let most = run
        .log_weights
        .iter()
        .fold(f64::NEG_INFINITY, |m, w| m.max(*w));
    let mut total = 0.0;
    for (i, x) in run.rows().outer_iter().enumerate() {
        let weight = run.log_weights.get(i).map_or(1.0, |w| (w - most).exp());
        let off = |c: ArrayView1<'_, f64>| (&c - &x).mapv(|v| v * v).sum();
        let offs: Vec<f64> = centres.outer_iter().map(off).collect();
        let near = (0..offs.len()).min_by(|a, b| offs[*a].total_cmp(&offs[*b]));
        share[near.unwrap()] += weight;
        total += weight;
    }
    let off = share
        .iter()
        .zip(weights)
        .map(|(s, w)| (s / total - w).abs());
    0.5 * off.sum::<f64>()
}

/// Runs over `seeds` seeds; prints a line of the table.
fn runs(sampler: &str, settings: &Value, case: &Case, n: usize, seeds: u64) -> Vec<Collected> {
    let target: Arc<dyn Target> = target(case.0, case.1.clone());
    let started = std::time::Instant::now();
    let (mut gradients, mut densities) = (0, 0);
    let runs: Vec<Collected> = (1..=seeds)
        .map(|seed| {
            let (run, counts) = sample(&target, sampler, settings.clone(), n, seed);
            gradients += counts.gradient_evals / seeds;
            densities += counts.density_evals / seeds;
            run
        })
        .collect();
    let mut line = format!("{sampler} {} {}:", case.0, case.1);
    if runs[0].scalars.contains_key("log_z") {
        let error = |r: &Collected| r.scalars["log_z"] - case.2;
        let worst = runs.iter().fold(0.0f64, |m, r| m.max(error(r).abs()));
        let (mean, se) = mean_se(runs.iter().map(error));
        let sd = se * (seeds as f64).sqrt();
        let said = mean_se(
            runs.iter()
                .map(|r| r.scalars.get("log_z_se").copied().unwrap_or(-1.0)),
        )
        .0;
        line += &format!(" log Z {mean:+.4}, sd {sd:.4}, said {said:.4}, worst {worst:.4};");
        line += &format!(" ess {:.0};", runs[0].scalars["ess"]);
    }
    if let Some(modes) = modes(case, &target) {
        let off: Vec<f64> = runs.iter().map(|r| total_variation(r, &modes)).collect();
        let worst = off.iter().fold(0.0f64, |m, v| m.max(*v));
        line += &format!(" TV {:.3}, worst {worst:.3};", mean_se(off).0);
    } else {
        let mean = |f: fn(f64) -> f64| {
            mean_se(runs.iter().map(|r| {
                let w = |i: usize| r.log_weights.get(i).map_or(1.0, |w| w.exp());
                let x = r.rows();
                let (sum, total) = (0..x.nrows())
                    .fold((0.0, 0.0), |(s, t), i| (s + w(i) * f(x[(i, 0)]), t + w(i)));
                sum / total
            }))
            .0
        };
        line += &format!(" E x0 {:.2}, E x0² {:.2};", mean(|x| x), mean(|x| x * x));
    }
    println!(
        "{line} {:.2} M gradients, {:.2} M densities, {:.2} s a run, {:?}",
        gradients as f64 / 1e6,
        densities as f64 / 1e6,
        started.elapsed().as_secs_f64() / seeds as f64,
        runs[0].flags.keys().collect::<Vec<_>>(),
    );
    runs
}

/// 0.7 N(−1, 0.3²) + 0.3 N(1.5, 0.5²), whose gradient is `factor` times what it should be.
fn mixture(factor: f64) -> Arc<dyn Target> {
    Arc::new(PointTarget::new(1, move |x, g| {
        let part = |w: f64, m: f64, s: f64| {
            let z = (x[0] - m) / s;
            ((w / s).ln() - 0.5 * z * z, -z / s)
        };
        let ((p, a), (q, b)) = (part(0.7, -1.0, 0.3), part(0.3, 1.5, 0.5));
        let share = 1.0 / (1.0 + (q - p).exp());
        g[0] = factor * (share * a + (1.0 - share) * b);
        p.max(q) + (-(p - q).abs()).exp().ln_1p()
    }))
}

/// Langevin moves along the diffusion path with scores by Monte Carlo: mean and mean square against the
/// truth, to 4.5 s.e. and 0.03 for steps of finite length.
fn check_path(target: &Arc<dyn Target>, estimator: &str) -> Result<(), String> {
    let registry = retrograde::registry().unwrap();
    let files = crate::data();
    let mut parts = Parts::new(&files).with_target(target.clone());
    parts.process = Some(
        registry
            .process("ou", json!({ "t_end": 1.0 }), &parts)
            .unwrap(),
    );
    let score = json!({ "estimator": estimator, "samples": 128 });
    parts.score = Some(registry.score("monte-carlo", score, &parts).unwrap());
    let settings = json!({ "moves": 2, "snr": 0.08, "grid": { "steps": 60 } });
    let sampler = registry
        .sampler("predictor-corrector", settings, &parts)
        .unwrap();
    let mut runtime = Runtime::new(1, 0).unwrap();
    let mut sink = Collected::new(1);
    drive(sampler.as_ref(), &mut runtime, 1500, None, &mut sink).map_err(|e| e.to_string())?;
    let x = sink.rows();
    for (what, (got, se), want) in [
        ("mean", mean_se(x.iter().copied()), -0.25),
        ("square", mean_se(x.iter().map(|v| v * v)), 1.513),
    ] {
        println!("{estimator}: {what} {got:.4} ± {se:.4}, in truth {want}");
        if (got - want).abs() > 4.5 * se + 0.03 {
            return Err(format!("{estimator}: {what} {got} ± {se}, in truth {want}"));
        }
    }
    Ok(())
}

#[test]
fn the_diffusion_path_with_either_identity_and_their_mixture() {
    for estimator in ["posterior-mean", "gradient", "mixed"] {
        check_path(&mixture(1.0), estimator).unwrap();
    }
    // A gradient that is twice too large is seen where it is used, and there alone.
    let wrong = mixture(2.0);
    check_path(&wrong, "posterior-mean").unwrap();
    for estimator in ["gradient", "mixed"] {
        assert!(check_path(&wrong, estimator).is_err(), "{estimator}");
    }
}

/// Seeds of each case for a table of errors, if one is asked for.
fn table() -> Option<u64> {
    std::env::var("RETROGRADE_SEEDS").ok()?.parse().ok()
}

#[test]
fn reverse_diffusion_smc_with_default_settings() {
    if let Some(seeds) = table() {
        for case in &cases() {
            runs("rdsmc", &json!({}), case, 1000, seeds);
        }
        return;
    }
    for case in [&cases()[0], &cases()[2]] {
        let r = &runs("rdsmc", &json!({}), case, 500, 1)[0];
        let (log_z, se) = (r.scalars["log_z"], r.scalars["log_z_se"]);
        assert!(
            (log_z - case.2).abs() < 4.5 * se && se < 0.15,
            "{log_z} ± {se}"
        );
    }
}

#[test]
fn samplers_without_weights_find_all_modes_with_default_settings() {
    for sampler in ["slips", "rdmc"] {
        if let Some(seeds) = table() {
            for case in &cases() {
                runs(sampler, &json!({}), case, 1000, seeds);
            }
            continue;
        }
        let case = &cases()[0];
        let settings = json!({ "levels": 64 });
        let r = &runs(sampler, &settings, case, 500, 1)[0];
        let nine = modes(case, &target(case.0, case.1.clone())).unwrap();
        let off = total_variation(r, &nine);
        // 0.05 of it is chance.
        assert!(off < 0.15, "{sampler}: {off}");
        // Chains that keep the shares of their start do not.
        let settings = json!({ "levels": 64, "reweigh": false });
        let r = &runs(sampler, &settings, case, 500, 1)[0];
        assert!(total_variation(r, &nine) > 0.15, "{sampler}");
    }
}
