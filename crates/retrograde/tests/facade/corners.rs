//! Samplers that estimate evidence or draw without training, with default settings, on targets that are not as they should
//! be: each ends with plain words and with numbers alone.

use retrograde::core::check::{NOT_NORMALISABLE, tails};
use retrograde::core::drive::drive;
use retrograde::core::registry::Parts;
use retrograde::core::{Collected, PointTarget, Runtime, Severity, Target};
use serde_json::{Value, json};
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

/// What a run came to: the keys of its warnings and failures, with that of the look at the tails after it, log Ẑ, and
/// whether tails were found to be heavy; or the words it refused with.
type Outcome = Result<(Vec<String>, Option<f64>, bool), String>;

fn outcome(kind: &str, n: usize, target: Arc<dyn Target>) -> Outcome {
    outcome_with(kind, n, target, json!({}))
}

fn outcome_with(kind: &str, n: usize, target: Arc<dyn Target>, more: Value) -> Outcome {
    let mut small = match kind {
        "parallel-tempering" => json!({ "chains": n.min(8), "thin": 2, "rounds": 5 }),
        "slips" | "rdmc" => json!({ "levels": 24 }),
        "rdsmc" => json!({ "levels": 16 }),
        "pdds" => json!({ "steps": 30, "vi_steps": 200 }),
        _ => json!({}),
    };
    for (key, value) in more.as_object().unwrap() {
        small[key] = value.clone();
    }
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
    let look = runtime.enter("tails", 0, |cx| tails(cx, target.as_ref(), out.rows()));
    let severe = out.flags.values().filter(|f| f.severity != Severity::Note);
    let keys = severe.chain(&look.flag).map(|f| f.key.clone()).collect();
    let log_z = out.scalars.get("log_z").copied();
    Ok((keys, log_z, look.heavy.is_some()))
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
        let (flags, log_z, _) = outcome(kind, 400, normal(40.0, 0.01)).unwrap();
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
            Ok((flags, log_z, _)) => println!("{kind}: {log_z:?} {flags:?}"),
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
            Ok((flags, log_z, _)) => {
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
        let (flags, log_z, heavy) = outcome(kind, 1000, cauchy).unwrap();
        println!("{kind}: {log_z:?} {flags:?}");
        if let Some(log_z) = log_z {
            assert!(log_z.abs() < 0.3, "{kind}: {log_z}");
            assert!(heavy, "{kind}");
        }
    }
}

/// A constant density has no integral, nor has one that grows, tempered or not.
#[test]
fn a_density_without_integral_is_said_to_have_none() {
    for (what, slope) in [("level", 0.0), ("growing", 0.05)] {
        for kind in SAMPLERS {
            let of = point(1, move |x, g| {
                g[0] = slope * x[0];
                0.5 * slope * x[0] * x[0]
            });
            match outcome(kind, 400, of) {
                Ok((flags, log_z, _)) => {
                    println!("{kind}, {what}: {log_z:?} {flags:?}");
                    assert!(
                        flags.iter().any(|f| f == NOT_NORMALISABLE),
                        "{kind}, {what}: {flags:?}"
                    );
                }
                Err(e) => assert!(e.contains("temperature"), "{kind}, {what}: {e}"),
            }
        }
    }
}

/// The base is where the target has hardly mass, and no pilot run looks for it.
#[test]
fn a_base_that_misses_the_target_is_told() {
    for (mean, sd) in [(12.0, 0.05), (40.0, 0.01)] {
        for kind in SAMPLERS {
            let given = json!({ "pilot_moves": 0 });
            let given = if kind == "pdds" {
                json!({ "pilot_moves": 0, "whiten": "none" })
            } else {
                given
            };
            let (flags, log_z, _) = outcome_with(kind, 400, normal(mean, sd), given).unwrap();
            println!("{kind}, N({mean}, {sd}²): {log_z:?} {flags:?}");
            let near = log_z.is_some_and(|z| z.abs() < 0.5);
            // That mode weights are not calibrated is said in any case.
            let doubts = flags.iter().filter(|f| *f != "mode_weights");
            assert!(near || doubts.count() > 0, "{kind}: {log_z:?}");
        }
    }
}

/// Of all particles one has weight: a peak of which the base holds one in a thousand, and no move in between.
#[test]
fn weights_that_are_worth_one_particle_are_told() {
    for (kind, given) in [
        ("ais", json!({ "temperatures": 1, "moves": 1 })),
        (
            "pdds",
            json!({ "steps": 1, "moves": 0, "whiten": "none", "potential": "naive" }),
        ),
    ] {
        let mut given = given;
        given["pilot_moves"] = 0.into();
        given["base_sd"] = 20.0.into();
        let (flags, log_z, _) = outcome_with(kind, 300, normal(0.3, 0.02), given).unwrap();
        println!("{kind}: {log_z:?} {flags:?}");
        assert!(flags.iter().any(|f| f == "heavy_weights"), "{kind}");
    }
}
