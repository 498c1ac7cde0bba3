//! Samplers that estimate evidence or draw without training, with default settings, on targets that are not as they should
//! be: each ends with plain words and with numbers alone.

use retrograde::core::drive::drive;
use retrograde::core::registry::Parts;
use retrograde::core::{Collected, PointTarget, Runtime, Severity, Target};
use serde_json::json;
use std::sync::Arc;

const SAMPLERS: [&str; 7] = [
    "smc",
    "parallel-tempering",
    "ais",
    "pdds",
    "rdsmc",
    "slips",
    "rdmc",
];

/// What a run came to: the keys of its warnings and failures, and log Ẑ; or the words it refused with.
fn outcome(
    kind: &str,
    n: usize,
    target: Arc<dyn Target>,
) -> Result<(Vec<String>, Option<f64>), String> {
    let small = match kind {
        "parallel-tempering" => json!({ "chains": n.min(8), "thin": 2, "rounds": 5 }),
        "slips" | "rdmc" => json!({ "levels": 24 }),
        "rdsmc" => json!({ "levels": 16 }),
        "pdds" => json!({ "steps": 30, "vi_steps": 200 }),
        _ => json!({}),
    };
    let registry = retrograde::registry().unwrap();
    let files = crate::data();
    let parts = Parts::new(&files).with_target(target.clone());
    let sampler = registry
        .sampler(kind, small, &parts)
        .map_err(|e| e.to_string())?;
    let mut runtime = Runtime::new(7, 1).unwrap();
    let mut out = Collected::new(target.dim());
    let ended = drive(sampler.as_ref(), &mut runtime, n, None, &mut out);
    ended.map_err(|e| e.to_string())?;
    for (key, v) in &out.scalars {
        assert!(v.is_finite(), "{kind}: {key} is {v}");
    }
    for (name, (columns, rows)) in &out.tables {
        for (i, row) in rows.iter().enumerate() {
            for (column, v) in columns.iter().zip(row) {
                assert!(
                    v.is_finite(),
                    "{kind}: {column} of row {i} of {name} is {v}"
                );
            }
        }
    }
    assert_eq!(out.len(), n, "{kind}");
    assert!(out.rows().iter().all(|v| v.is_finite()), "{kind}");
    assert!(
        out.log_weights
            .iter()
            .all(|w| !w.is_nan() && *w < f64::INFINITY),
        "{kind}"
    );
    let severe = out.flags.values().filter(|f| f.severity != Severity::Note);
    let keys = severe.map(|f| f.key.clone()).collect();
    Ok((keys, out.scalars.get("log_z").copied()))
}

fn point(
    d: usize,
    f: impl Fn(&[f64], &mut [f64]) -> f64 + Send + Sync + 'static,
) -> Arc<dyn Target> {
    Arc::new(PointTarget::new(d, f))
}

fn normal(mean: f64, sd: f64) -> Arc<dyn Target> {
    point(1, move |x, g| {
        let z = (x[0] - mean) / sd;
        g[0] = -z / sd;
        -0.5 * z * z - sd.ln() - 0.5 * std::f64::consts::TAU.ln()
    })
}

#[test]
fn one_coordinate_far_away_and_narrow_is_found() {
    for kind in SAMPLERS {
        let (flags, log_z) = outcome(kind, 400, normal(40.0, 0.01)).unwrap();
        println!("{kind}: {log_z:?} {flags:?}");
        if let Some(log_z) = log_z {
            assert!(log_z.abs() < 0.5, "{kind}: {log_z}");
        }
    }
}

#[test]
fn one_draw_is_a_run_or_refused_in_words() {
    for kind in SAMPLERS {
        match outcome(kind, 1, normal(0.5, 2.0)) {
            Ok((flags, log_z)) => println!("{kind}: {log_z:?} {flags:?}"),
            Err(e) => assert!(e.contains("`draws` is 1"), "{kind}: {e}"),
        }
    }
}

#[test]
fn a_density_without_mass_anywhere_is_refused_in_words() {
    for kind in SAMPLERS {
        let nowhere = point(2, |_, _| f64::NEG_INFINITY);
        let e = outcome(kind, 200, nowhere).unwrap_err();
        assert!(
            e.contains("−∞ at all") && e.contains("base_mean"),
            "{kind}: {e}"
        );
    }
}

/// Mass on x > 3 alone, of which the start of most has none.
#[test]
fn mass_on_a_part_of_space_keeps_its_evidence() {
    let truth = (0.5 * libm::erfc(3.0 / std::f64::consts::SQRT_2)).ln();
    for kind in SAMPLERS {
        let part = point(1, |x, g| {
            g[0] = -x[0];
            if x[0] > 3.0 {
                -0.5 * (x[0] * x[0] + std::f64::consts::TAU.ln())
            } else {
                f64::NEG_INFINITY
            }
        });
        match outcome(kind, 1000, part) {
            Ok((flags, log_z)) => {
                println!("{kind}: {log_z:?}, in truth {truth:.4}, {flags:?}");
                let near = log_z.is_none_or(|z| (z - truth).abs() < 0.5);
                assert!(near || !flags.is_empty(), "{kind}: {log_z:?} unflagged");
            }
            Err(e) => println!("{kind}: {e}"),
        }
    }
}

/// A Cauchy law: heavier tails than every normal reference, of which weights have no variance.
#[test]
fn heavier_tails_than_the_reference_are_told_or_do_no_harm() {
    for kind in SAMPLERS {
        let cauchy = point(1, |x, g| {
            let s = 1.0 + x[0] * x[0];
            g[0] = -2.0 * x[0] / s;
            -s.ln() - std::f64::consts::PI.ln()
        });
        let (flags, log_z) = outcome(kind, 1000, cauchy).unwrap();
        println!("{kind}: {log_z:?} {flags:?}");
        if let Some(log_z) = log_z {
            assert!(
                log_z.abs() < 0.3 || !flags.is_empty(),
                "{kind}: {log_z} unflagged"
            );
        }
    }
}

/// A constant density has no integral; what a sampler does not see, the look at the tails after each run does.
#[test]
fn a_density_without_integral_ends_in_words() {
    for kind in SAMPLERS {
        let level = point(1, |_, g| {
            g[0] = 0.0;
            0.0
        });
        match outcome(kind, 400, level) {
            Ok((flags, log_z)) => println!("{kind}: {log_z:?} {flags:?}"),
            Err(e) => println!("{kind}: {e}"),
        }
    }
}
