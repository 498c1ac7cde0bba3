//! Runs that fail: a full disk, a density that is not finite, a step size that diverges.

use crate::lab::{Lab, NORMAL, Said, ULA};
use std::process::Command;

/// Runs under a limit of file size, in blocks of 512 or 1024 bytes as the shell counts, so that
/// writing fails as on a full disk.
fn limited(lab: &Lab, blocks: u32, args: &[&str]) -> Said {
    let line = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    said(lab.shell(&line, args))
}

fn said(mut command: Command) -> Said {
    Said::new(&command.output().unwrap())
}

/// 400 × 40 numbers are 128 kB: more than 100 blocks of either size, while the checkpoint, of a
/// kilobyte or two, fits.
fn lab() -> Lab {
    let lab = Lab::new(format!(
        "draws = 400\nseed = 2\n[target]\nkind = \"standard-normal\"\ndim = 40\n{ULA}thin = 10\n\
         [output]\ncheckpoint_seconds = 0\nformats = [\"npy\"]\n"
    ));
    lab.run(&["run", "job.toml", "-o", "whole"]);
    lab
}

fn assert_same(lab: &Lab) {
    for file in ["report.json", "draws.npy"] {
        let same = lab.read(&format!("out/{file}")) == lab.read(&format!("whole/{file}"));
        assert!(same, "{file}");
    }
}

#[test]
fn a_full_disk_is_told_and_costs_nothing_that_was_kept() {
    let lab = lab();
    let said = limited(&lab, 100, &["run", "job.toml", "-o", "out"]).ended(1);
    assert!(
        said.err
            .contains("error: cannot write out/rows.bin: File too large"),
        "{}",
        said.err
    );
    assert!(
        said.err.contains("`retrograde run --resume out` goes on"),
        "{}",
        said.err
    );
    assert_eq!(said.out, "");
    // Still too little room: again, and nothing is lost.
    let before = lab.read("out/checkpoint.bin");
    limited(&lab, 100, &["run", "--resume", "out"]).ended(1);
    assert_eq!(lab.read("out/checkpoint.bin").len(), before.len());
    if lab.path("out/report.json").exists() {
        let report = lab.json("out/report.json");
        assert_eq!(report["complete"], false);
        let kept = report["draws_per_chain"].as_u64().unwrap();
        assert!(kept > 0 && kept < 100, "{kept}");
    }
    let said = lab.run(&["run", "--resume", "out"]);
    assert!(said.err.contains("going on after step"), "{}", said.err);
    assert_same(&lab);
}

#[test]
fn no_room_for_the_first_checkpoint_or_for_the_results() {
    let lab = lab();
    // Not even the manifest.
    let said = limited(&lab, 0, &["run", "job.toml", "-o", "out"]).ended(1);
    assert!(
        said.err.contains("cannot write out/job.toml"),
        "{}",
        said.err
    );
    let names = lab.names("out");
    assert!(!names.iter().any(|n| n.ends_with(".part")), "{names:?}");
    std::fs::remove_dir_all(lab.path("out")).unwrap_or_default();
    // The manifest, but no checkpoint.
    let said = limited(&lab, 2, &["run", "job.toml", "-o", "out"]).ended(1);
    assert!(
        said.err.contains("cannot write out/checkpoint.bin"),
        "{}",
        said.err
    );
    lab.run(&["run", "--resume", "out"]);
    assert_same(&lab);
    std::fs::remove_dir_all(lab.path("out")).unwrap();
    // All rows, but not the CSV file, which is larger.
    let args = [
        "run",
        "job.toml",
        "-o",
        "out",
        "--set",
        "output.formats=[\"npy\", \"csv\"]",
    ];
    let said = limited(&lab, 260, &args).ended(1);
    assert!(
        said.err.contains("cannot write out/draws.csv"),
        "{}",
        said.err
    );
    assert!(!lab.path("out/report.json").exists());
    assert!(!lab.path("out/draws.csv.part").exists());
    lab.run(&["run", "--resume", "out"]);
    assert_same(&lab);
}

#[test]
fn a_step_size_that_diverges_ends_the_run_with_advice() {
    let lab = Lab::new(format!(
        "draws = 4000\n{NORMAL}{ULA}step_size = 10\nwarmup = 0\n"
    ));
    let said = lab.run(&["run", "job.toml", "-o", "out"]).ended(1);
    assert!(
        said.err.contains("sampler ula: ") && said.err.contains("chains diverged"),
        "{}",
        said.err
    );
    assert!(
        said.err.contains("use a `step_size` below 10"),
        "{}",
        said.err
    );
    assert!(
        said.err.contains("what the run had kept by then is in out"),
        "{}",
        said.err
    );
    assert_eq!(said.out, "");
    // What it had by then is there, marked as what it is.
    let report = lab.json("out/report.json");
    assert_eq!(report["complete"], false);
    assert!(report["draws_per_chain"].as_u64().unwrap() > 0);
    assert_eq!(report["verdicts"][0]["status"], "fail");
    let summary = lab.run(&["summary", "out"]).ended(3);
    assert!(
        summary
            .out
            .contains("FAIL  complete: the run failed after step"),
        "{}",
        summary.out
    );
    // Resumed it fails the same way.
    let again = lab.run(&["run", "--resume", "out"]).ended(1);
    assert!(again.err.contains("chains diverged"), "{}", again.err);
}

/// Both by the run and by the check, which leave nothing.
fn assert_no_start(lab: &Lab, words: &[&str]) {
    let before = lab.names(".");
    let run = lab.run(&["run", "job.toml", "-o", "out"]).ended(1);
    let check = lab.run(&["check", "job.toml"]).ended(3);
    assert!(
        check.out.contains("the sampler cannot start: "),
        "{}",
        check.out
    );
    for words in words {
        assert!(run.err.contains(words), "{}", run.err);
        assert!(check.out.contains(words), "{}", check.out);
    }
    assert_eq!(lab.names("."), before);
}

#[test]
fn a_density_without_mass_at_the_start_is_told_before_anything_is_written() {
    let lab = Lab::new(format!("draws = 40\n{NORMAL}{ULA}start_mean = 1e200\n"));
    assert_no_start(
        &lab,
        &[
            "the log density is −∞ at all 4 starting points",
            "set `start_mean` and `start_sd`",
        ],
    );
}

/// Few points or many, which other rules notice.
#[test]
fn a_density_that_is_not_a_number_is_told_with_advice() {
    for chains in [4, 400] {
        let lab = Lab::new(format!(
            "draws = 400\n[target]\nkind = \"expression\"\ncoordinates = [\"x\"]\n\
             log_density = \"sqrt(-1 - x^2) - x^2/2\"\n{ULA}chains = {chains}\n"
        ));
        let count = format!("({chains} of {chains} evaluated points failed)");
        assert_no_start(
            &lab,
            &[
                "log density is not finite first at row 0",
                &count,
                "start from where",
            ],
        );
    }
}
