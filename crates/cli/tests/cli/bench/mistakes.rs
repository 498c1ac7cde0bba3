//! What a bench file can have wrong, and where that is shown; files that it names.

use super::{BENCH, bench, lab, row};
use crate::lab::Lab;

#[test]
fn draws_from_a_file_stand_for_those_that_a_target_has_not() {
    let lab = Lab::new(
        "draws = 300\nseed = 9\n[target]\nkind = \"expression\"\ncoordinates = [\"x\"]\nlog_density = \"-x^2/2\"\n[sampler]\nkind = \"smc\"\nbase_sd = 2.0\n[output]\nformats = [\"npy\"]\n",
    );
    lab.run(&["run", "job.toml", "-o", "out"]).ended(0);
    let text = "seeds = 1\ndraws = 300\n[[target]]\nkind = \"expression\"\ncoordinates = [\"x\"]\nlog_density = \"-x^2/2\"\nreference = \"out/draws.npy\"\nexpect.log_z = 0.9189385332\n[[sampler]]\nkind = \"smc\"\nbase_sd = 2.0\n";
    lab.write("bench.toml", text);
    let table = bench(&lab, &[], 0);
    let smc = row(&table, "expression", "smc");
    assert!(smc["metrics"]["w2"]["mean"].as_f64().unwrap() < 0.4);
    assert!(
        smc["metrics"]["log_z_error"]["mean"]
            .as_f64()
            .unwrap()
            .abs()
            < 0.4
    );
    assert!(table["targets"][0]["floor"].as_object().unwrap().is_empty());
    lab.write(
        "bench.toml",
        text.replace("reference = \"out/draws.npy\"\n", ""),
    );
    let table = bench(&lab, &[], 0);
    assert!(row(&table, "expression", "smc")["metrics"]["w2"].is_null());
    let told = |text: String| {
        lab.write("bench.toml", text);
        lab.run(&["bench", "bench.toml"]).ended(2).err
    };
    let err = told(text.replace("out/draws.npy", "job.toml"));
    assert!(
        err.contains("bench.toml:7:13") && err.contains("no array of little-endian f64"),
        "{err}"
    );
    let err = told(text.replace("[\"x\"]", "[\"x\", \"y\"]"));
    assert!(
        err.contains("has 1 columns, but the target has dimension 2"),
        "{err}"
    );
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let told = |from: &str, to: &str| {
        assert!(BENCH.contains(from), "{from}");
        let lab = lab(&BENCH.replacen(from, to, 1));
        let said = lab.run(&["bench", "bench.toml"]).ended(2);
        assert!(!lab.path("bench-bench").exists(), "{}", said.err);
        said.err
    };
    let cases = [
        (
            "seeds = 2",
            "seads = 2",
            "bench.toml:2:1",
            "did you mean `seeds`?",
        ),
        (
            "seeds = 2",
            "seeds = 0",
            "bench.toml:2:9",
            "must be between 1 and 100000",
        ),
        (
            "base_sd = 5.0",
            "base_sdd = 5.0",
            "bench.toml:23:1",
            "did you mean `base_sd`?",
        ),
        (
            "base_sd = 5.0",
            "base_sd = -5.0",
            "bench.toml:23:11",
            "base_sd",
        ),
        (
            "only = [\"two\"]",
            "onyl = [\"two\"]",
            "bench.toml:31:1",
            "did you mean `only`?",
        ),
        (
            "only = [\"two\"]",
            "only = [\"twoo\"]",
            "bench.toml:31:9",
            "did you mean \"two\"?",
        ),
        (
            "kind = \"ula\"",
            "kind = \"ulla\"",
            "bench.toml:34:8",
            "did you mean `ula`?",
        ),
        (
            "name = \"narrow\"",
            "name = \"smc\"",
            "bench.toml:26:8",
            "there are two samplers with the name \"smc\"",
        ),
        (
            "sd = 0.5",
            "sdd = 0.5",
            "bench.toml:18:1",
            "did you mean `sd`?",
        ),
        (
            "[[sampler]]\nname = \"smc\"",
            "[[sampler]]\nfit = \"draws\"\nname = \"smc\"",
            "bench.toml:21:7",
            "no budget",
        ),
        (
            "seeds = 2",
            "seeds = 2\nmetrics = [\"sliced_k\"]",
            "bench.toml:3:12",
            "did you mean \"sliced_ks\"?",
        ),
        (
            "seeds = 2",
            "seeds = 2\nmetrics = [\"test_log_likelihood\"]",
            "bench.toml:3:12",
            "published tables alone",
        ),
        (
            "seeds = 2",
            "seeds = 2\nmetrics = [\"w2\"]\naim = [{ target = \"two\", metric = \"mode_tv\", bound = 1 }]",
            "bench.toml:4:35",
            "not among `metrics`",
        ),
    ];
    for (from, to, place, words) in cases {
        let err = told(from, to);
        assert!(err.contains(place) && err.contains(words), "{to}:\n{err}");
    }
    let err = told(
        "[[sampler]]\nname = \"smc\"",
        "[[sampler]]\nfit = \"sampler.movse\"\nname = \"smc\"",
    )
    .replace("seeds", "");
    assert!(err.contains("no budget"), "{err}");
    let lab = lab(&BENCH
        .replace("seeds = 2", "seeds = 2\nbudget = 1000")
        .replacen(
            "name = \"smc\"",
            "name = \"smc\"\nfit = \"sampler.movse\"",
            1,
        ));
    let err = lab.run(&["bench", "bench.toml"]).ended(2).err;
    assert!(
        err.contains("bench.toml:23:7") && err.contains("did you mean `sampler.moves`?"),
        "{err}"
    );
    // All at once, each once, and in JSON with line and column.
    lab.write(
        "bench.toml",
        BENCH
            .replace("sd = 0.5", "sdd = 0.5")
            .replace("seeds = 2", "seads = 2"),
    );
    let said = lab.run(&["bench", "bench.toml", "--json"]).ended(2).json();
    let errors = said["errors"].as_array().unwrap();
    let lines: Vec<u64> = errors.iter().map(|e| e["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [2, 18]);
    // As in a job, one of each.
    let single =
        BENCH.split("[[sampler]]").next().unwrap().to_owned() + "[sampler]\nkind = \"ula\"\n";
    lab.write("bench.toml", single);
    let err = lab.run(&["bench", "bench.toml"]).ended(2).err;
    assert!(
        err.contains("bench.toml:20:1") && err.contains("write `[[sampler]]`"),
        "{err}"
    );
}

/// A key of a component that the bench takes for its own could not be set.
#[test]
fn keys_of_the_bench_are_no_keys_of_components() {
    let lab = Lab::new("");
    let schema = lab.run(&["schema"]).ended(0).json();
    let own = [
        ("target", &["name", "budget", "reference", "expect"][..]),
        (
            "sampler",
            &["name", "only", "skip", "fit", "process", "score"],
        ),
    ];
    for (kind, keys) in own {
        for component in schema["properties"][kind]["oneOf"].as_array().unwrap() {
            let properties = component["properties"].as_object().unwrap();
            for key in keys {
                assert!(
                    !properties.contains_key(*key),
                    "{kind} {}: {key}",
                    properties["kind"]
                );
            }
        }
    }
}
