//! Every component can be built from its name and the fewest settings, and says what it is.

use crate::{target, targets};
use retrograde::core::Kind;
use serde_json::{Value, json};

/// Settings of the targets that cannot do without.
pub(crate) fn fewest(kind: &str) -> Value {
    match kind {
        "expression" => json!({ "coordinates": ["x"], "log_density": "-x^2" }),
        "standard-normal" => json!({ "dim": 3 }),
        "gaussian" => json!({ "mean": [0.0, 1.0], "sd": 2.0 }),
        "gaussian-mixture" => json!({ "means": [[0.0], [1.0]], "sd": 1.0 }),
        "logistic-regression" => json!({ "file": "sonar.csv" }),
        "log-gaussian-cox" => json!({ "file": "points.csv", "grid": 8 }),
        "data" => json!({ "file": "points.csv" }),
        "gamma-mixture" => json!({ "shape": 2.0, "scales": [1.0] }),
        "tilted-mixture" => {
            json!({ "base": { "means": [[0.0]], "sd": 1.0 }, "directions": [[1.0], [-1.0]] })
        }
        "warped-mixture" => {
            json!({ "base": { "means": [[0.0]], "sd": 1.0 }, "warp": [{ "map": "asinh" }] })
        }
        _ => json!({}),
    }
}

#[test]
fn every_target_is_built_by_name() {
    let registry = retrograde::registry().unwrap();
    for component in targets(&registry) {
        let built = target(&component.name, fewest(&component.name));
        assert!(built.dim() > 0 && !built.coordinate(0).is_empty());
    }
}

#[test]
fn every_component_has_words_a_source_and_documented_keys() {
    let registry = retrograde::registry().unwrap();
    let named = |kind, names: &str| {
        let found: Vec<&str> = registry.of(kind).map(|c| c.name.as_ref()).collect();
        assert_eq!(found.join(" "), names);
    };
    named(
        Kind::Sampler,
        "ais ancestral annealed-langevin baoab ddim dilation dpm-solver edm exponential-integrator hmc mala \
         parallel-tempering pdds predictor-corrector probability-flow rd-f rd-q rd-s rdmc rdsmc reverse-sde slips smc ula",
    );
    named(
        Kind::Process,
        "benes cir cosine edm flow-matching jacobi langevin ou polynomial-decay stochastic-logistic sub-vp ve \
         vp warped-ou",
    );
    named(
        Kind::Score,
        "empirical exact fokker-planck monte-carlo particle perturbed reference",
    );
    for c in registry.iter() {
        assert!(
            !c.summary.is_empty() && !c.source.is_empty(),
            "{}",
            c.label()
        );
        assert!(
            !c.summary.ends_with('.'),
            "{}: one sentence, no full stop",
            c.label()
        );
        let schema = c.schema.as_value();
        assert_eq!(schema["additionalProperties"], false, "{}", c.label());
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(
                property["description"].is_string(),
                "{}: `{key}` is not documented",
                c.label()
            );
        }
    }
}

#[test]
fn each_file_that_registers_is_counted() {
    // One entry a `kind "name" =>` line in a `register!` of the component crates' sources.
    let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut registered = 0;
    let mut dirs = vec!["targets/src", "processes/src", "scores/src", "samplers/src"];
    if cfg!(feature = "plugins") {
        dirs.push("host/src/bridgestan");
    }
    for dir in dirs {
        for file in std::fs::read_dir(format!("{crates}/{dir}")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(path).unwrap();
                registered += text
                    .lines()
                    .filter(|l| {
                        let l = l.trim_start();
                        Kind::ALL
                            .iter()
                            .any(|kind| l.starts_with(&format!("{} \"", kind.word())))
                            && l.contains("\" =>")
                    })
                    .count();
            }
        }
    }
    assert_eq!(retrograde::registry().unwrap().len(), registered);
}
