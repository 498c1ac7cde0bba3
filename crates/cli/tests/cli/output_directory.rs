//! The run directory before a run: `check` and `--dry-run` tell of it what `run` would, and leave
//! nothing; paths that are not UTF-8.

use crate::lab::{Lab, NORMAL, Said, ULA};
#[cfg(unix)]
use std::os::unix::ffi::OsStrExt;

/// What each of the three says of the same directory.
#[track_caller]
fn assert_told_alike(lab: &Lab, more: &[&str], force: bool, words: &str) {
    let before = lab.names(".");
    let say = |start: &[&str], end: &[&str]| lab.run(&[start, more, end].concat()).ended(2);
    let end: &[&str] = if force { &["--force"] } else { &[] };
    let run = say(&["run", "job.toml"], end);
    assert!(run.err.contains(words), "{}", run.err);
    assert_eq!(say(&["run", "job.toml", "--dry-run"], end).err, run.err);
    if !force {
        assert_eq!(say(&["check", "job.toml"], &[]).err, run.err);
    }
    let dry = lab.run(&[&["run", "job.toml", "--dry-run"], more, end].concat());
    assert_eq!(dry.out, "");
    assert_eq!(lab.names("."), before);
}

#[test]
fn a_directory_that_cannot_be_used_is_told_before_the_run() {
    let lab = Lab::new(format!("draws = 40\n{NORMAL}{ULA}warmup = 0\n"));
    lab.write("notes/remark.txt", "mine");
    lab.write("file", "mine");
    lab.run(&["run", "job.toml", "-o", "done"]).ended(3);
    assert_told_alike(
        &lab,
        &["-o", "done"],
        false,
        "the run directory done exists already",
    );
    assert_told_alike(&lab, &["-o", "notes"], false, "notes holds other files");
    assert_told_alike(&lab, &["-o", "notes"], true, "notes holds other files");
    assert_told_alike(
        &lab,
        &["-o", "file"],
        false,
        "file is a file, not a directory",
    );
    let below = "cannot make the run directory file/below/deep";
    assert_told_alike(&lab, &["-o", "file/below/deep"], false, below);
    assert_told_alike(&lab, &["-o", ""], false, "the run directory has no name");
    // The default directory, where its folder is a file.
    lab.write("runs", "mine");
    assert_told_alike(&lab, &[], false, "cannot make the run directory runs/job");
}

#[test]
fn looking_at_a_directory_leaves_it_as_it_was() {
    let lab = Lab::new(format!("draws = 40\n{NORMAL}{ULA}warmup = 0\n"));
    std::fs::create_dir(lab.path("empty")).unwrap();
    lab.run(&["run", "job.toml", "-o", "done"]).ended(3);
    let done = lab.names("done");
    let all = lab.names(".");
    for place in ["empty", "new", "new/and/deep", "empty/new", "new/../other"] {
        lab.run(&["check", "job.toml", "-o", place]).ended(0);
        lab.run(&["run", "job.toml", "--dry-run", "-o", place])
            .ended(0);
        assert_eq!(
            (lab.names("."), lab.names("empty").len()),
            (all.clone(), 0),
            "{place}"
        );
    }
    let args = ["run", "job.toml", "--dry-run", "-o", "done", "--force"];
    lab.run(&args).ended(0);
    assert_eq!(lab.names("done"), done);
    // A numbered default directory.
    lab.run(&["run", "job.toml"]).ended(3);
    lab.run(&["check", "job.toml"]).ended(0);
    assert_eq!(lab.names("runs"), ["job"]);
}

#[test]
fn a_directory_in_use_is_told_before_the_run() {
    let lab = Lab::new(format!("draws = 40\n{NORMAL}{ULA}warmup = 1000000000000\n"));
    let mut run = lab.start(&["run", "job.toml", "-o", "out"]);
    run.wait_until(|| lab.path("out/rows.bin").exists());
    let args = ["run", "job.toml", "-o", "out", "--force", "--dry-run"];
    let said = lab.run(&args).ended(2);
    assert!(said.err.contains("another process"), "{}", said.err);
    run.signal("INT");
    run.end().ended(130);
}

/// The program with arguments that need not be UTF-8.
#[cfg(target_os = "linux")]
fn run_raw(lab: &Lab, args: &[&[u8]]) -> Said {
    let mut command = lab.command(&[]);
    command.args(args.iter().map(|a| std::ffi::OsStr::from_bytes(a)));
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Linux takes any bytes as a name.
#[test]
#[cfg(target_os = "linux")]
fn paths_that_are_not_utf_8_are_told_and_make_nothing_panic() {
    let lab = Lab::new(format!("draws = 40\n{NORMAL}{ULA}warmup = 0\n"));
    let said = run_raw(&lab, &[b"run", b"job.toml", b"-o", b"caf\xe9"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("invalid UTF-8"), "{}", said.err);
    // The folder of the job.
    let folder = lab.path(".").join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(lab.path("job.toml"), folder.join("job.toml")).unwrap();
    // In a file of such a name, in a folder of such a name.
    let odd = std::ffi::OsStr::from_bytes(b"\xe9.toml");
    std::fs::copy(lab.path("job.toml"), lab.path(".").join(odd)).unwrap();
    let jobs: [&[u8]; 2] = [b"\xe9.toml", b"caf\xe9/job.toml"];
    for (command, job) in [b"run" as &[u8], b"check"]
        .into_iter()
        .flat_map(|c| jobs.map(|j| (c, j)))
    {
        let said = run_raw(&lab, &[command, job, b"-o", b"out"]);
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.err.contains("is not valid UTF-8"), "{}", said.err);
        assert!(
            said.err.contains("rename the file or folder"),
            "{}",
            said.err
        );
        assert!(!lab.path("out").exists());
    }
    // A run directory of such a name, which `mv` can make.
    lab.run(&["run", "job.toml", "-o", "done"]).ended(3);
    std::fs::rename(lab.path("done"), folder.join("done")).unwrap();
    let said = run_raw(&lab, &[b"run", b"--resume", b"caf\xe9/done", b"--json"]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.json()["directory"].as_str().unwrap().ends_with("done"));
    let said = run_raw(&lab, &[b"summary", b"caf\xe9/nothing"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
}
