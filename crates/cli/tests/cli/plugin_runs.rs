//! Runs with a plugin's sampler: they do not depend on threads, go on to the same bits after they were killed,
//! and only with the plugin that they were begun with.

use crate::lab::{Lab, length};
use crate::plugins::{USER, barker, lab, other_barker};
use crate::stopping::{BITS, assert_unfinished, begin, resume, wait_for, whole};

/// A job that takes some hundred steps and some tenths of a second.
fn job(kind: &str) -> String {
    format!(
        "draws = 40\nseed = 11\n[target]\nkind = \"standard-normal\"\ndim = 1000\n[sampler]\nkind = \"{kind}\"\n\
         warmup = 1000\nthin = 250\n"
    )
}

#[test]
fn a_killed_run_goes_on_to_the_same_bits() {
    let lab = lab(job("chains/barker"));
    whole(&lab);
    for share in [0.0, 0.5, 0.9] {
        let mut run = begin(&lab, "0");
        wait_for(&lab, &mut run, share);
        run.signal("KILL");
        assert_eq!(run.end().code, None);
        assert_unfinished(&lab);
        let said = resume(&lab);
        assert!(said.err.contains("going on after step"), "{}", said.err);
        std::fs::remove_dir_all(lab.path("out")).unwrap();
    }
}

#[test]
fn a_sampler_that_cannot_be_saved_begins_again_to_the_same_bits() {
    let lab = lab(job("chains/barker-unsaved"));
    whole(&lab);
    let mut run = begin(&lab, "0");
    run.wait_until(|| length(&lab.path("out/rows.bin")) >= 5 * 4 * 8000);
    run.signal("KILL");
    assert_eq!(run.end().code, None);
    assert_unfinished(&lab);
    let said = resume(&lab);
    assert!(!said.err.contains("going on after step"), "{}", said.err);
    // Both kinds draw the same.
    let saved = crate::plugins::lab(job("chains/barker"));
    whole(&saved);
    assert!(saved.read("whole/draws.npy") == lab.read("whole/draws.npy"));
}

#[test]
fn bits_do_not_depend_on_threads() {
    let lab = lab(job("chains/barker").replace("thin = 250", "thin = 20\nchains = 8"));
    for threads in ["1", "2"] {
        let said = lab.run(&["run", "job.toml", "-o", threads, "--threads", threads]);
        assert!(matches!(said.code, Some(0 | 3)), "{}", said.err);
    }
    for file in BITS {
        assert!(
            lab.read(&format!("1/{file}")) == lab.read(&format!("2/{file}")),
            "{file}"
        );
    }
    // Another seed gives other bits, so that these could differ.
    let said = lab.run(&["run", "job.toml", "-o", "3", "--seed", "12"]);
    assert!(matches!(said.code, Some(0 | 3)), "{}", said.err);
    assert!(lab.read("1/draws.npy") != lab.read("3/draws.npy"));
}

/// Kills a run on the way.
fn killed(lab: &Lab, more: &[&str]) {
    let args = [
        "run",
        "job.toml",
        "-o",
        "out",
        "--set",
        "output.checkpoint_seconds=0",
    ];
    let mut run = lab.start(&[args.as_slice(), more].concat());
    wait_for(lab, &mut run, 0.3);
    run.signal("KILL");
    assert_eq!(run.end().code, None);
}

#[test]
fn a_run_goes_on_with_the_plugin_it_was_begun_with_only() {
    let lab = lab(job("chains/barker"));
    whole(&lab);
    killed(&lab, &[]);
    let file = lab.path(&format!("{USER}/barker.so"));
    let file = file.canonicalize().unwrap();
    let plugins = &lab.json("out/manifest.json")["plugins"];
    assert_eq!(plugins.as_array().unwrap().len(), 1);
    assert_eq!(plugins[0]["name"], "chains");
    assert_eq!(plugins[0]["version"], "0.1.0");
    assert_eq!(plugins[0]["file"], file.to_str().unwrap());
    let digest = plugins[0]["sha256"].as_str().unwrap().to_owned();

    std::fs::remove_file(&file).unwrap();
    other_barker(&file);
    let said = lab.run(&["run", "--resume", "out"]).ended(2);
    let words = format!(
        "it was begun with plugin chains 0.1.0 (SHA-256 {}…), and now {} is another file; put it back, or \
         run the job anew",
        &digest[..12],
        file.display()
    );
    assert!(said.err.contains(&words), "{}", said.err);
    // It is nowhere.
    std::fs::remove_file(&file).unwrap();
    let said = lab.run(&["run", "--resume", "out"]).ended(2);
    assert!(said.err.contains("chains/barker"), "{}", said.err);
    assert!(
        said.err.contains(&file.display().to_string()),
        "{}",
        said.err
    );
    // It is back.
    std::fs::copy(barker(), &file).unwrap();
    resume(&lab);
}

#[test]
fn a_plugin_that_is_not_searched_for_is_found_where_it_was() {
    let lab = Lab::new(job("chains/barker"));
    std::fs::create_dir(lab.path("mine")).unwrap();
    std::fs::copy(barker(), lab.path("mine/barker.so")).unwrap();
    let plugin = ["--plugin", "mine/barker.so"];
    let args = ["run", "job.toml", "-o", "whole"];
    let said = lab.run(&[args.as_slice(), &plugin].concat());
    assert!(matches!(said.code, Some(0 | 3)), "{}", said.err);
    killed(&lab, &plugin);
    assert_unfinished(&lab);
    resume(&lab);
}
