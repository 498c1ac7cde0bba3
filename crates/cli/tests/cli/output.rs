//! What goes to which stream, and how: results only on standard output, colour only where wanted.

use crate::lab::{JOBS, Lab, NORMAL, ULA};
use serde_json::Value;
use std::process::Stdio;

fn small() -> Lab {
    Lab::new(format!("draws = 400\n{NORMAL}{ULA}thin = 20\n"))
}

#[track_caller]
fn holds(object: &Value, keys: &[&str]) {
    let all: Vec<&String> = object.as_object().unwrap().keys().collect();
    for key in keys {
        assert!(all.iter().any(|k| k == key), "no `{key}` among {all:?}");
    }
}

#[test]
fn every_command_can_write_an_object() {
    let lab = small();
    let object = |args: &[&str]| {
        let said = lab.run(&[args, &["--json"]].concat());
        assert_eq!(said.err, "", "{args:?}");
        let object = said.json();
        assert_eq!(object["schema_version"], 1, "{args:?}");
        object
    };
    let run = object(&["run", "job.toml", "-o", "out"]);
    holds(
        &run,
        &["status", "directory", "seconds", "threads", "report"],
    );
    assert_eq!(run["status"], "complete");
    assert_eq!(run["directory"], "out");
    assert_eq!(run["report"], lab.json("out/report.json"));
    holds(
        &run["report"],
        &[
            "complete",
            "components",
            "seed",
            "draws",
            "dim",
            "chains",
            "draws_per_chain",
            "steps",
            "evaluations",
            "log_z",
            "scalars",
            "coordinates",
            "weights",
            "tables",
            "verdicts",
        ],
    );
    holds(
        &run["report"]["verdicts"][0],
        &["check", "status", "text", "advice"],
    );
    let check = object(&["check", "job.toml", "--gradient"]);
    assert_eq!(check["status"], "ok");
    assert_eq!(check["finite_points"], check["points"]);
    assert!(check["gradient_error"].as_f64().unwrap() < 1e-8);
    assert_eq!(
        (&check["gradient_slopes"], &check["gradient_slopes_skipped"]),
        (&16.into(), &0.into())
    );
    let list = object(&["list"]);
    for component in list["components"].as_array().unwrap() {
        holds(component, &["kind", "name", "summary", "source"]);
    }
    let described = object(&["describe", "ula"]);
    assert_eq!(
        described["components"][0]["schema"]["properties"]["chains"]["minimum"],
        1
    );
    holds(&object(&["summary", "out"]), &["report"]);
    holds(&object(&["run", "job.toml", "--dry-run"]), &["job"]);
}

#[test]
fn wrong_usage_is_told_in_an_object_where_one_is_asked_for() {
    let lab = small();
    for (args, words) in [
        (&["run", "--jsno", "job.toml"] as &[&str], "'--jsno'"),
        (&["list", "--color", "many"], "'many'"),
        (&["runn", "job.toml"], "'runn'"),
        (&["compare"], "required arguments"),
    ] {
        for args in [[args, &["--json"]].concat(), [&["--json"], args].concat()] {
            let said = lab.run(&args).ended(2);
            assert_eq!(said.err, "", "{args:?}");
            let object = said.json();
            assert_eq!(object["schema_version"], 1);
            assert_eq!(object["status"], "RG_ERR_ARG");
            assert_eq!(object["errors"].as_array().unwrap().len(), 1);
            let message = object["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains(words), "{args:?}: {message}");
            assert!(!message.starts_with("error"), "{message}");
            assert!(!message.contains('\x1b'), "{message}");
        }
        let said = lab.run(args).ended(2);
        assert!(said.out.is_empty() && said.err.contains(words), "{args:?}");
    }
    // What was asked for is no error.
    for args in [&["--json", "--help"] as &[&str], &["--json", "--version"]] {
        let said = lab.run(args).ended(0);
        assert!(said.out.contains("retrograde") && said.err.is_empty());
        assert!(!said.out.starts_with('{'), "{}", said.out);
    }
}

/// Readers look for the group by its name, whether the sampler has statistics or not.
#[test]
fn the_store_always_has_the_group_of_statistics() {
    let lab = small();
    lab.run(&["run", "job.toml", "-o", "out"]);
    assert!(!lab.path("out/stats.npy").exists());
    let root = lab.json("out/draws.zarr/zarr.json");
    let nodes = &root["consolidated_metadata"]["metadata"];
    assert_eq!(nodes["sample_stats"]["node_type"], "group");
    for label in ["chain", "draw"] {
        let [node, other] = ["sample_stats", "posterior"].map(|g| &nodes[format!("{g}/{label}")]);
        assert!(node["shape"].is_array() && node == other, "{node}");
        let labels = |group| lab.tree(&format!("out/draws.zarr/{group}/{label}"));
        assert!(!labels("sample_stats").is_empty());
        assert_eq!(labels("sample_stats"), labels("posterior"));
    }
    let all = nodes.as_object().unwrap().keys();
    assert_eq!(all.filter(|k| k.starts_with("sample_stats")).count(), 3);
}

#[test]
fn colour_only_where_it_is_wanted() {
    let lab = small();
    lab.run(&["run", "job.toml", "-o", "out"]);
    let coloured = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = lab.command(args);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let escape = |bytes: &[u8]| bytes.contains(&0x1b);
        (escape(&output.stdout), escape(&output.stderr))
    };
    let (ok, wrong) = (["summary", "out"], ["run", "job.toml", "--draws", "0"]);
    let plain = (false, false);
    assert_eq!(coloured(&ok, &[]), plain);
    assert_eq!(coloured(&wrong, &[]), plain);
    let forced = [("CLICOLOR_FORCE", "1")];
    assert_eq!(coloured(&ok, &forced), (true, false));
    assert_eq!(coloured(&wrong, &forced), (false, true));
    let never = ["summary", "out", "--color", "never"];
    assert_eq!(coloured(&never, &forced), plain);
    let always = ["summary", "out", "--color", "always"];
    assert_eq!(coloured(&always, &[]), (true, false));
    assert_eq!(coloured(&ok, &[("NO_COLOR", "1")]), plain);
    // Objects are for programs.
    let json = ["summary", "out", "--color", "always", "--json"];
    assert_eq!(coloured(&json, &forced), plain);
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one() {
    let lab = small();
    lab.run(&["run", "job.toml", "-o", "out"]);
    for args in [
        &["schema"] as &[&str],
        &["list"],
        &["summary", "out"],
        &["describe", "ula"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = lab
            .command(args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output();
        let output = output.unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(
            matches!(output.status.code(), Some(0 | 3)),
            "{args:?}: {err}"
        );
        assert_eq!(err, "", "{args:?}");
    }
    if let Ok(full) = std::fs::File::create("/dev/full") {
        let output = lab.command(&["list"]).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(err.contains("cannot write to standard output"), "{err}");
    }
}

#[test]
fn the_schema_has_every_component_and_takes_its_references_from_itself() {
    let lab = small();
    let schema = lab.run(&["schema"]).ended(0).json();
    let list = lab.run(&["list", "--json"]).ended(0).json();
    for c in list["components"].as_array().unwrap() {
        let branches = &schema["properties"][c["kind"].as_str().unwrap()]["oneOf"];
        let named = |b: &&Value| b["properties"]["kind"]["const"] == c["name"];
        assert_eq!(
            branches.as_array().unwrap().iter().filter(named).count(),
            1,
            "{c}"
        );
    }
    for table in ["output", "expect"] {
        assert!(schema["properties"][table]["properties"].is_object());
    }
    fn references(node: &Value, root: &Value) {
        if let Some(to) = node["$ref"].as_str() {
            assert!(
                root.pointer(to.strip_prefix('#').unwrap()).is_some(),
                "{to}"
            );
        }
        match node {
            Value::Object(map) => map.values().for_each(|v| references(v, root)),
            Value::Array(list) => list.iter().for_each(|v| references(v, root)),
            _ => {}
        }
    }
    references(&schema, &schema);
}

#[test]
fn every_component_is_listed_and_described() {
    let lab = small();
    let listed = lab.run(&["list"]).ended(0);
    let list = lab.run(&["list", "--json"]).ended(0).json();
    for c in list["components"].as_array().unwrap() {
        let (kind, name) = (c["kind"].as_str().unwrap(), c["name"].as_str().unwrap());
        assert!(listed.out.contains(&format!("  {name} ")), "{name}");
        let said = lab.run(&["describe", kind, name]).ended(0);
        assert!(
            said.out.starts_with(&format!("{kind} {name}: ")),
            "{}",
            said.out
        );
        assert!(said.out.contains("\nsource: "), "{}", said.out);
        assert_defaults_are_told_once(&said.out);
        let only = lab.run(&["list", kind]).ended(0);
        assert!(only.out.contains(&format!("  {name} ")), "{}", only.out);
    }
    for (name, _) in JOBS {
        assert!(listed.out.contains(&format!("  {name} ")), "{name}");
    }
}

/// Keys are at an indent of two, their words at six.
#[track_caller]
fn assert_defaults_are_told_once(description: &str) {
    for key in description.split("\n\n").skip(1) {
        let words = key.split_whitespace().collect::<Vec<_>>().join(" ");
        let times = words.to_lowercase().matches("default").count();
        assert!(times <= 1, "{key}");
        // A number in the prose is not repeated in front: it would be another one.
        let last = words
            .rsplit_once("Default ")
            .map(|(_, v)| v.trim_end_matches('.'));
        let number = last.and_then(|v| v.parse::<f64>().ok());
        assert_eq!(number, None, "not the default in force: {key}");
    }
}

#[test]
fn defaults_are_in_front_of_the_words() {
    let said = small().run(&["describe", "smc"]).ended(0);
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "alpha (number > 0.0 < 1.0, default 0.9) Effective",
        "base_mean (number or array, default 0.0) Mean of the normal law that particles start \
         from; a number, or one a coordinate. With",
        "move (\"mala\" | \"hmc\", default \"hmc\") Kind",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    for (name, summary, needs) in [
        (
            "monte-carlo",
            "; scalar linear processes\n",
            "a target, a process",
        ),
        (
            "dpm-solver",
            "; scalar linear processes\n",
            "a target, a process, a score",
        ),
        ("hmc", "\n", "a target with a log density and its gradient"),
    ] {
        let said = small().run(&["describe", name]).ended(0);
        let lines: Vec<_> = said.out.split_inclusive('\n').collect();
        assert!(lines[0].ends_with(summary), "{}", said.out);
        assert_eq!(lines[2], format!("needs: {needs}\n"), "{}", said.out);
    }
}

#[test]
fn the_list_is_that_of_the_library() {
    let registry = retrograde::registry().unwrap();
    let components: Vec<Value> = registry
        .iter()
        .map(|c| {
            serde_json::json!({
                "kind": c.kind().word(),
                "name": c.name,
                "summary": c.summary,
                "source": c.source,
            })
        })
        .collect();
    assert!(components.len() > JOBS.len());
    let list = small().run(&["list", "--json"]).ended(0).json();
    assert_eq!(list["components"].as_array(), Some(&components));
}

#[test]
fn completions_and_help() {
    let lab = small();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = lab.run(&["completions", shell]).ended(0);
        assert!(
            said.out.contains("retrograde") && said.out.contains("resume"),
            "{shell}"
        );
        assert_eq!(said.err, "");
    }
    for args in [&["--help"] as &[&str], &["run", "--help"], &["--version"]] {
        let said = lab.run(args).ended(0);
        assert!(
            said.out.contains("retrograde") && said.err.is_empty(),
            "{args:?}"
        );
    }
    // Without arguments the help is a hint, not a result.
    let said = lab.run(&[]).ended(2);
    assert!(said.out.is_empty() && said.err.contains("Usage: retrograde"));
}
