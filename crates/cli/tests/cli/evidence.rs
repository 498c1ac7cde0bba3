//! `evidence`: replicates, what is recorded of them, and what is told of methods that go wrong.

use crate::lab::{Lab, NORMAL};
use serde_json::Value;

/// Two modes of one weight, ten standard deviations apart; normalised, so that log Z = 0.
const MODES: &str = "seed = 3
draws = 1000
[target]
kind = \"gaussian-mixture\"
weights = [0.5, 0.5]
means = [[-5.0, 0.0], [5.0, 0.0]]
variances = [[1.0, 1.0], [1.0, 1.0]]
[sampler]
kind = \"smc\"
";

fn verdict<'a>(evidence: &'a Value, check: &str) -> &'a Value {
    let all = evidence["verdicts"].as_array().unwrap();
    all.iter()
        .find(|v| v["check"] == check)
        .unwrap_or_else(|| panic!("no {check}: {all:?}"))
}

#[test]
fn replicates_of_a_method_that_works_agree_with_the_truth() {
    let lab = Lab::new(MODES);
    let record = [
        "evidence",
        "job.toml",
        "--replicates",
        "6",
        "--record",
        "runs.jsonl",
        "--json",
    ];
    let e = lab.run(&record).ended(0).json()["evidence"].take();
    let (value, se) = (
        e["log_z"].as_f64().unwrap(),
        e["standard_error"].as_f64().unwrap(),
    );
    assert!(value.abs() < 4.0 * se && se < 0.1, "{value} ± {se}");
    assert_eq!(verdict(&e, "log Z")["status"], "pass");
    assert_eq!(verdict(&e, "agreement")["status"], "note");
    let runs = e["methods"][0]["runs"].as_array().unwrap();
    let seeds: Vec<u64> = runs.iter().map(|r| r["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [3, 4, 5, 6, 7, 8]);
    // The first is the job itself.
    let own = lab.run(&["run", "job.toml", "--json"]).ended(0).json();
    assert_eq!(own["report"]["log_z"]["value"], runs[0]["log_z"]);

    // The record gives them back, seconds and all; a line that was cut off is run again, and more are added.
    let text = std::fs::read_to_string(lab.path("runs.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 6);
    lab.write("runs.jsonl", &text[..text.len() - 30]);
    let again = lab.run(&record).ended(0).json()["evidence"].take();
    for i in 0..6 {
        let (a, b) = (&runs[i], &again["methods"][0]["runs"][i]);
        assert_eq!(a["log_z"], b["log_z"]);
        assert_eq!(a["seconds"] == b["seconds"], i < 5, "run {i}");
    }
    let text = std::fs::read_to_string(lab.path("runs.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 6);
    // Another job takes nothing from it.
    let mut other = record.to_vec();
    other.extend(["--set", "sampler.moves=3", "--replicates", "2"]);
    other.retain(|a| *a != "6");
    let position = other.iter().position(|a| *a == "--replicates").unwrap();
    other.remove(position);
    let other = lab.run(&other).ended(0).json()["evidence"].take();
    assert_ne!(other["methods"][0]["runs"][0]["log_z"], runs[0]["log_z"]);
    let text = std::fs::read_to_string(lab.path("runs.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 8);
}

/// All runs begin in one mode and never see the other: they agree with one another, and half of the mass is missing.
#[test]
fn a_lost_mode_shows_in_no_spread_but_against_the_truth() {
    let job = format!("{MODES}base_mean = [5.0, 0.0]\npilot_moves = 0\n");
    let lab = Lab::new(&job);
    let e = lab
        .run(&["evidence", "job.toml", "--replicates", "4", "--json"])
        .ended(3)
        .json()["evidence"]
        .take();
    assert!((e["methods"][0]["log_z"].as_f64().unwrap() + 2.0_f64.ln()).abs() < 0.05);
    assert_eq!(verdict(&e, "log Z")["status"], "fail");
    let said = verdict(&e, "agreement")["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(said.contains("shows in no spread"), "{said}");
}

/// A method that loses half of the mass beside one that has it: the missing mode is named, share and all.
#[test]
fn a_mode_that_one_method_lost_is_found_by_chains_from_the_other() {
    let lab = Lab::new(format!("{MODES}base_mean = [5.0, 0.0]\npilot_moves = 0\n"));
    let ask = |changes: &[&str], code| {
        let mut words = vec!["evidence", "job.toml", "--json", "--replicates", "2"];
        words.extend(["--methods", "smc,ais"]);
        words.extend(changes);
        lab.run(&words).ended(code).json()["evidence"].take()
    };
    let e = ask(&[], 3);
    let said = verdict(&e, "modes");
    assert_eq!(said["status"], "fail");
    let text = said["text"].as_str().unwrap();
    // Half of the draws of one of two methods.
    assert!(text.starts_with("smc: 2 of 2 runs"), "{text}");
    assert!(
        text.contains("25 %") || text.contains("24 %") || text.contains("26 %"),
        "{text}"
    );
    assert!(e["methods"][0]["runs"][0].get("places").is_none());
    // A base that covers both.
    let e = ask(
        &[
            "--set",
            "sampler.base_sd=6.0",
            "--set",
            "sampler.base_mean=0.0",
        ],
        0,
    );
    assert_eq!(verdict(&e, "modes")["status"], "pass");
}

/// The naive potential leads past a narrow target off the reference law: log Z is far too low, by many times what runs tell
/// and spread. Nothing else is known of the target here.
#[test]
fn a_potential_that_leads_astray_is_caught() {
    let lab = Lab::new(
        "seed = 1\ndraws = 2000\n[target]\nkind = \"expression\"\ncoordinates = [\"x\"]\n\
         log_density = \"normal_lpdf(x, 2.75, 0.25)\"\n[sampler]\nkind = \"pdds\"\n\
         potential = \"naive\"\nwhiten = \"none\"\nsteps = 24\ndrift = \"first-order\"\nmoves = 0\n",
    );
    let ask = |methods: &str, code| {
        let words = ["evidence", "job.toml", "--json", "--methods", methods];
        lab.run(&words).ended(code).json()["evidence"].take()
    };
    let alone = ask("pdds", 3);
    let of = &alone["methods"][0];
    let (log_z, told) = (of["log_z"].as_f64().unwrap(), of["told"].as_f64().unwrap());
    assert!(log_z < -5.0 && told < 1.0, "{log_z} ± {told}");
    let ends = verdict(&alone, "ends_disagree");
    assert_eq!(ends["status"], "warn");
    let text = ends["text"].as_str().unwrap();
    assert!(text.starts_with("pdds: 8 of 8 runs: "), "{text}");
    assert_eq!(verdict(&alone, "spread")["status"], "warn");
    assert_eq!(verdict(&alone, "tail")["status"], "fail");
    // Beside others it is the one that is off, and there is no common value.
    let all = ask("smc,pt,pdds", 3);
    assert_eq!(verdict(&all, "agreement")["status"], "fail");
    assert!(all["log_z"].is_null());
    let names = all["methods"].as_array().unwrap().iter();
    let names: Vec<&str> = names.map(|m| m["method"].as_str().unwrap()).collect();
    assert_eq!(names, ["smc", "parallel-tempering", "pdds"]);
    let two = ask("smc,pt", 0);
    assert!(two["log_z"].as_f64().unwrap().abs() < 0.05, "{two}");
}

/// `replicates` of a job: the same runs that `evidence` makes, in the report of the first.
#[test]
fn a_job_asks_for_its_own_replicates() {
    let job = MODES.replace("draws = 1000", "draws = 300\nreplicates = 4");
    let lab = Lab::new(&job);
    let run = |threads: &str, out: &str| {
        let set = format!("threads={threads}");
        let words = ["run", "job.toml", "--json", "-o", out, "--set", &set];
        let said = lab.run(&words).ended(0);
        assert!(
            said.err.contains("replicate 3, seed 6: log Z ="),
            "{}",
            said.err
        );
        lab.text(&format!("{out}/report.json"))
    };
    let text = run("1", "one");
    assert_eq!(text, run("2", "two"), "threads change no bit");
    let report: Value = serde_json::from_str(&text).unwrap();
    let replicated = &report["replicates"];
    assert_eq!(replicated["runs"][0]["log_z"], report["log_z"]["value"]);
    assert!(!lab.path("one/replicates.jsonl").exists());
    let e = lab.run(&["evidence", "job.toml", "--json"]).ended(0).json()["evidence"].take();
    assert_eq!(e["replicates"], 4);
    for i in 0..4 {
        let (a, b) = (&replicated["runs"][i], &e["methods"][0]["runs"][i]);
        assert_eq!(
            (&a["seed"], &a["log_z"]),
            (&b["seed"], &b["log_z"]),
            "run {i}"
        );
    }
    assert_eq!(replicated["log_z"]["value"], e["methods"][0]["log_z"]);
    for check in ["replicates", "spread"] {
        assert_eq!(verdict(&report, check)["status"], "pass");
    }
    // Half of the mass is not met by any: the runs together are as wrong as each.
    let lost = lab.run(&[
        "run",
        "job.toml",
        "--json",
        "-o",
        "lost",
        "--set",
        "sampler.base_mean=[5.0, 0.0]",
        "--set",
        "sampler.pilot_moves=0",
    ]);
    let report = lost.ended(3).json()["report"].take();
    assert_eq!(verdict(&report, "replicates")["status"], "fail");
}

#[test]
fn what_gives_no_log_z_is_told_beside_what_does() {
    let lab = Lab::new(MODES.replace("draws = 1000", "draws = 200"));
    let said = lab
        .run(&[
            "evidence",
            "job.toml",
            "--methods",
            "smc,ula",
            "--replicates",
            "2",
        ])
        .ended(3);
    assert!(
        said.out.contains("ula: 2 of 2 runs gave no log Z"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("smc") && said.err.contains("smc 2/2, seed 4"),
        "{}",
        said.err
    );
}

#[test]
fn bad_questions_are_refused_before_anything_runs() {
    let lab = Lab::new(format!("{NORMAL}[sampler]\nkind = \"smc\"\n"));
    let said = lab
        .run(&["evidence", "job.toml", "--methods", "smc,smx"])
        .ended(2);
    assert!(
        said.err.contains("smx") && said.err.contains("smc"),
        "{}",
        said.err
    );
    assert!(!said.err.contains("seed"), "{}", said.err);
    let said = lab
        .run(&[
            "evidence",
            "job.toml",
            "--methods",
            "pt,smc,parallel-tempering",
        ])
        .ended(1);
    assert!(
        said.err.contains("parallel-tempering more than once"),
        "{}",
        said.err
    );
    let said = lab
        .run(&["evidence", "job.toml", "--replicates", "0"])
        .ended(1);
    assert!(
        said.err.contains("replicates") && said.err.contains("1 or more"),
        "{}",
        said.err
    );
    lab.write("bad.jsonl", "{}\n");
    let said = lab
        .run(&["evidence", "job.toml", "--record", "bad.jsonl"])
        .ended(1);
    assert!(said.err.contains("line 1 of bad.jsonl"), "{}", said.err);
}
