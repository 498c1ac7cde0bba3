//! `bench`: what is refused, what is run and recorded, budgets, aims and published values.

mod mistakes;

use crate::lab::Lab;
use serde_json::Value;

/// Three samplers on two targets of log Z = 0. The base of `narrow` meets one of two modes only, that of weight 0.7.
const BENCH: &str = "title = \"Two laws\"
seeds = 2
draws = 200
reference_draws = 50
threads = 1

[[target]]
name = \"two\"
kind = \"gaussian-mixture\"
weights = [0.3, 0.7]
means = [[-5.0, 0.0], [5.0, 0.0]]
variances = [[1.0, 1.0], [1.0, 1.0]]

[[target]]
name = \"one\"
kind = \"gaussian\"
mean = [1.0, -1.0]
sd = 0.5

[[sampler]]
name = \"smc\"
kind = \"smc\"
base_sd = 5.0

[[sampler]]
name = \"narrow\"
kind = \"smc\"
base_mean = [5.0, 0.0]
base_sd = 0.8
pilot_moves = 0
only = [\"two\"]

[[sampler]]
kind = \"ula\"
skip = [\"two\"]
";

fn rows<'a>(table: &'a Value, target: &str) -> &'a [Value] {
    let all = table["targets"].as_array().unwrap();
    let target = all.iter().find(|t| t["name"] == target).unwrap();
    target["rows"].as_array().unwrap()
}

fn row<'a>(table: &'a Value, target: &str, sampler: &str) -> &'a Value {
    let all = rows(table, target).iter();
    all.clone().find(|r| r["sampler"] == sampler).unwrap()
}

/// Without wall times, which differ from run to run.
fn timeless(mut table: Value) -> Value {
    fn strip(v: &mut Value) {
        match v {
            Value::Object(map) => {
                map.remove("seconds");
                map.remove("efficiency");
                map.values_mut().for_each(strip);
            }
            Value::Array(all) => all.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut table);
    table
}

fn bench(lab: &Lab, more: &[&str], code: i32) -> Value {
    let mut args = vec!["bench", "bench.toml", "--json"];
    args.extend(more);
    lab.run(&args).ended(code).json()["bench"].take()
}

fn lab(text: &str) -> Lab {
    let lab = Lab::new("");
    lab.write("bench.toml", text);
    lab
}

#[test]
fn a_table_of_known_truths() {
    let lab = lab(BENCH);
    let table = bench(&lab, &[], 0);
    assert_eq!(table["complete"], true);
    let names: Vec<&str> = rows(&table, "one")
        .iter()
        .map(|r| r["sampler"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["smc", "ula"]);
    // What the narrow base does not meet is 0.3 of the mass: log Z is low by −ln 0.7, and the weights of the modes are off by
    // 0.3; W₂ is at least the way of that mass, 10 √0.3.
    let of = |sampler: &str, metric: &str| {
        row(&table, "two", sampler)["metrics"][metric]["mean"]
            .as_f64()
            .unwrap()
    };
    assert!((of("narrow", "log_z_error") - 0.7_f64.ln()).abs() < 0.15);
    assert!((of("narrow", "mode_tv") - 0.3).abs() < 0.01);
    assert!((of("narrow", "w2") - 10.0 * 0.3_f64.sqrt()).abs() < 1.5);
    // Of 200 particles that are resampled at each temperature the share of a mode is off by a few hundredths.
    assert!(of("smc", "log_z_error").abs() < 0.3 && of("smc", "mode_tv") < 0.15);
    // A floor for all of them, and none for log Z, of which a sample says nothing.
    let floor = &table["targets"][0]["floor"];
    assert!(floor["w2"]["mean"].as_f64().unwrap() < of("narrow", "w2"));
    assert!(floor["mode_tv"]["p95"].as_f64().unwrap() < 0.1 && floor["log_z_error"].is_null());
    // What has no truth is not there: ULA gives no log Z, a Gaussian has one mode.
    let ula = row(&table, "one", "ula");
    assert!(ula["metrics"]["log_z_error"].is_null() && ula["metrics"]["mode_tv"].is_null());
    assert!(ula["metrics"]["w2"]["mean"].as_f64().unwrap() > 0.0);

    let page = lab.text("bench-bench/table.md");
    assert!(
        page.starts_with("# Two laws\n") && page.contains("*exact draws*"),
        "{page}"
    );
    let line = page.lines().rfind(|l| l.starts_with("| ula")).unwrap();
    assert!(line.contains('–'), "{line}");
    let csv = lab.text("bench-bench/table.csv");
    assert_eq!(csv.lines().count(), 1 + 4 * 2, "{csv}");
    assert!(
        csv.starts_with("target,sampler,seed,key,value,log_z,log_z_se,log_z_error,w2,"),
        "{csv}"
    );
    assert_eq!(
        timeless(lab.json("bench-bench/table.json")),
        timeless(table)
    );
    let names = lab.names("bench-bench");
    for picture in [
        "log-z-error.svg",
        "error-against-time.svg",
        "mode-tv.svg",
        "w2.svg",
    ] {
        assert!(names.iter().any(|n| n == picture), "{names:?}");
        let svg = lab.text(&format!("bench-bench/{picture}"));
        assert!(
            svg.starts_with("<svg") && svg.contains("<circle") && !svg.contains("NaN"),
            "{picture}"
        );
    }
}

#[test]
fn a_bench_goes_on_where_it_was_stopped() {
    let lab = lab(BENCH);
    let whole = bench(&lab, &["--out", "whole"], 0);
    let page = lab.text("whole/table.md");
    // From the record alone: the same to the last byte, seconds and all.
    let again = bench(&lab, &["--out", "whole"], 0);
    assert_eq!((again, lab.text("whole/table.md")), (whole.clone(), page));

    // Cut off within the fourth line of the record: the rest runs again.
    let record = lab.text("whole/runs.jsonl");
    let three: usize = record.split_inclusive('\n').take(3).map(str::len).sum();
    lab.write("part/runs.jsonl", &record[..three + 25]);
    let resumed = bench(&lab, &["--out", "part"], 0);
    assert_eq!(timeless(resumed), timeless(whole.clone()));
    let after = lab.text("part/runs.jsonl");
    assert_eq!(after.lines().count(), record.lines().count());
    assert_eq!(after[..three], record[..three]);

    // Other settings are other runs; what they do not touch is taken again.
    let changed = bench(&lab, &["--out", "whole", "--set", "sampler[0].moves=2"], 0);
    let (a, b) = (row(&whole, "one", "smc"), row(&changed, "one", "smc"));
    assert_ne!(a["runs"][0]["log_z"], b["runs"][0]["log_z"]);
    let (a, b) = (row(&whole, "two", "narrow"), row(&changed, "two", "narrow"));
    assert_eq!(a, b);
    let text = lab.text("whole/runs.jsonl");
    assert_eq!(text.lines().count(), record.lines().count() + 4);
    lab.write("whole/runs.jsonl", format!("nonsense\n{text}"));
    let said = lab.run(&["bench", "bench.toml", "--out", "whole"]).ended(1);
    assert!(
        said.err.contains("line 1 of") && said.err.contains("is no run"),
        "{}",
        said.err
    );
}

#[cfg(unix)]
#[test]
fn an_interrupted_bench_tells_what_there_is_and_goes_on() {
    let lab = lab(&BENCH.replace("seeds = 2", "seeds = 400"));
    let mut running = lab.start(&["bench", "bench.toml", "--json"]);
    let lines = || {
        std::fs::read_to_string(lab.path("bench-bench/runs.jsonl")).map_or(0, |t| t.lines().count())
    };
    running.wait_until(|| lines() > 5);
    running.signal("INT");
    let said = running.end().ended(130);
    let table = said.json()["bench"].take();
    assert_eq!(table["complete"], false);
    assert!(
        lab.text("bench-bench/table.md")
            .contains("**Not complete:**")
    );
    let there = lines();
    assert!(there < 1200, "{there}");
    // With fewer seeds than were run it is complete, from the record.
    let table = bench(&lab, &["--set", "seeds=2"], 0);
    assert_eq!(table["complete"], true);
    assert_eq!(
        row(&table, "two", "smc")["runs"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn budgets_are_met_or_it_is_told() {
    let text = BENCH
        .replace("threads = 1", "threads = 1\nbudget = 400_000")
        .replace(
            "skip = [\"two\"]",
            "skip = [\"two\"]\nfit = \"sampler.thin\"\nchains = 8",
        );
    let lab = lab(&text);
    let first = bench(&lab, &[], 0);
    let ula = row(&first, "one", "ula");
    assert_eq!(ula["fitted"]["key"], "sampler.thin");
    assert_eq!(ula["fitted"]["met"], true);
    // The number of evaluations of ULA depends on no random number.
    for run in ula["runs"].as_array().unwrap() {
        let spent = run["evaluations"].as_f64().unwrap();
        assert!((spent / 4e5 - 1.0).abs() < 0.05, "{spent}");
    }
    assert_eq!(ula["notes"], serde_json::json!([]));
    // From far above: what spends too much is stopped, told in the record, and taken up from there.
    let far = text.replace("chains = 8", "chains = 8\nthin = 100_000");
    lab.write("bench.toml", &far);
    let table = bench(&lab, &["--out", "far"], 0);
    let record = lab.text("far/runs.jsonl");
    assert!(record.contains("\"what\":\"over\""), "{record}");
    assert_eq!(row(&table, "one", "ula")["fitted"]["met"], true);
    assert_eq!(bench(&lab, &["--out", "far"], 0), table);
    assert_eq!(lab.text("far/runs.jsonl"), record);
    lab.write("bench.toml", &text);
    let smc = row(&table, "one", "smc");
    assert!(smc["fitted"].is_null());
    let note = smc["notes"][0].as_str().unwrap();
    assert!(note.contains("× the budget: it has no `fit`"), "{note}");
    assert!(
        lab.text("bench-bench/table.md")
            .contains(&format!("`sampler.thin` = {}", ula["fitted"]["value"]))
    );
    let plan = lab.run(&["bench", "bench.toml", "--dry-run"]).ended(0);
    assert!(
        plan.out.contains("sampler.thin, from") && plan.out.ends_with("8 runs\n"),
        "{}",
        plan.out
    );
}

#[test]
fn aims_are_reached_by_a_method_or_it_is_said_which_is_nearest() {
    let text = format!(
        "{BENCH}
[[aim]]
target = [\"two\", \"one\"]
metric = \"log_z_error\"
bound = 0.3
[[aim]]
target = \"two\"
metric = \"w2\"
bound = 0.001
[[published]]
target = \"two\"
metric = \"w2\"
values = {{ SMC = 5.25, other = 1.5 }}
spreads = {{ SMC = 0.125 }}
source = \"Somebody (2020)\"
differs = \"everything\"
"
    );
    let lab = lab(&text);
    let table = bench(&lab, &[], 3);
    let aims = table["aims"].as_array().unwrap();
    let met: Vec<bool> = aims.iter().map(|a| a["met"].as_bool().unwrap()).collect();
    assert_eq!(met, [true, true, false]);
    // The narrow base fails where the wide one does not: ln 0.7 is outside, at every seed.
    let of = |sampler: &str| {
        aims[0]["samplers"]
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["sampler"] == sampler)
            .unwrap()
    };
    assert_eq!(
        (of("smc")["met"].as_bool(), of("narrow")["met"].as_bool()),
        (Some(true), Some(false))
    );
    assert_eq!(of("narrow")["outside"], 2);
    assert_eq!(aims[2]["nearest"], "smc");
    let page = lab.text("bench-bench/table.md");
    assert!(
        page.contains("no method reaches the aim; smc comes nearest"),
        "{page}"
    );
    let cells = |start: &str| -> Vec<String> {
        let published = page.split("## Published values").nth(1).unwrap();
        let line = published
            .lines()
            .find(|l| l.starts_with(start))
            .unwrap_or_else(|| panic!("{start}: {page}"));
        line.split('|').map(|c| c.trim().to_owned()).collect()
    };
    let smc = cells("| SMC");
    assert!(smc[3] == "5.25 ± 0.125" && smc[2] != "–", "{smc:?}");
    assert_eq!(cells("| other")[2..4], ["–", "1.5"]);
    assert!(page.contains("Source: Somebody (2020). What differs: everything"));
    // Without the one that reaches it, nobody does.
    let alone = text.replace("base_sd = 5.0\n", "base_sd = 5.0\nonly = [\"one\"]\n");
    lab.write("bench.toml", alone);
    let table = bench(&lab, &[], 3);
    assert_eq!(
        (&table["aims"][0]["met"], &table["aims"][0]["nearest"]),
        (&Value::from(false), &Value::from("narrow"))
    );
    let why = table["aims"][0]["why"].to_string();
    assert!(why.contains("one of all runs, not of chance"), "{why}");
}

/// The control of the aims: forty modes from a base that meets few of them.
#[test]
fn a_base_that_loses_modes_fails_the_aim_of_forty_modes() {
    let lab = lab("seeds = 2
draws = 1000
metrics = [\"mode_tv\"]
[[target]]
kind = \"gmm40\"
[[sampler]]
name = \"wide\"
kind = \"smc\"
base_sd = 25.0
pilot_moves = 0
[[sampler]]
name = \"narrow\"
kind = \"smc\"
base_sd = 1.0
pilot_moves = 0
[[aim]]
target = \"gmm40\"
metric = \"log_z_error\"
bound = 0.3
");
    let table = bench(&lab, &[], 0);
    let samplers = table["aims"][0]["samplers"].as_array().unwrap();
    let met: Vec<bool> = samplers
        .iter()
        .map(|s| s["met"].as_bool().unwrap())
        .collect();
    assert_eq!(met, [true, false], "{samplers:?}");
    let alone = lab.run(&[
        "bench",
        "bench.toml",
        "--set",
        "sampler[0].base_sd=1.0",
        "--set",
        "sampler[0].alpha=0.8",
    ]);
    let alone = alone.ended(3);
    assert!(
        alone.out.contains("no method reaches the aim"),
        "{}",
        alone.out
    );
}

#[test]
fn a_run_that_fails_is_a_row() {
    let text = BENCH.replace(
        "skip = [\"two\"]",
        "skip = [\"two\"]\n[[sampler]]\nname = \"gives up\"\nkind = \"smc\"\nbase_sd = 100.0\nmax_temperatures = 1\nonly = [\"one\"]",
    );
    let lab = lab(&text);
    let table = bench(&lab, &[], 3);
    let failed = row(&table, "one", "gives up");
    assert_eq!(failed["failed"], 2);
    assert!(
        failed["notes"][0]
            .as_str()
            .unwrap()
            .starts_with("2 of 2 runs failed: "),
        "{failed}"
    );
    assert_eq!(table["complete"], true);
    assert_eq!(row(&table, "one", "ula")["failed"], 0);
}

#[test]
fn the_small_example_runs() {
    let lab = Lab::new("");
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/bench-small.toml"
    );
    let table = lab.run(&["bench", file, "--json"]).ended(0).json()["bench"].take();
    let narrow = row(&table, "two normals", "smc, narrow");
    assert!(
        (narrow["metrics"]["log_z_error"]["mean"].as_f64().unwrap() - 0.7_f64.ln()).abs() < 0.1
    );
    for target in ["two normals", "normal"] {
        for row in rows(&table, target) {
            let spent = row["evaluations"].as_f64().unwrap();
            assert!(
                (spent / 250_000.0 - 1.0).abs() < 0.35,
                "{}: {spent}",
                row["sampler"]
            );
        }
    }
    assert!(lab.path("bench-bench-small/table.md").exists());
}
