//! Runs that are stopped or killed, and taken up again to the bits of an uninterrupted one; runs
//! that are not, because what they depend on has changed.

use crate::lab::{JOBS, Lab, NORMAL, PARTICLES, Running, Said, ULA, length};
use std::io::Read;

/// Files that are the same byte for byte, however often a run was interrupted.
pub(crate) const BITS: [&str; 4] = ["report.json", "draws.npy", "draws.csv", "report.html"];

/// A job, and a complete run of it in `whole`.
fn lab(job: &str) -> Lab {
    lab_of(40, job)
}

fn lab_of(draws: usize, job: &str) -> Lab {
    let lab = Lab::new(format!("draws = {draws}\nseed = 11\n{job}"));
    whole(&lab);
    lab
}

/// Runs the job in `whole`, without interruption.
#[track_caller]
pub(crate) fn whole(lab: &Lab) {
    let said = lab.run(&["run", "job.toml", "-o", "whole"]);
    assert!(matches!(said.code, Some(0 | 3)), "{}", said.err);
}

/// Starts the job in `out` with so many seconds between checkpoints.
pub(crate) fn begin(lab: &Lab, seconds: &str) -> Running {
    let set = format!("output.checkpoint_seconds={seconds}");
    lab.start(&["run", "job.toml", "-o", "out", "--set", &set])
}

/// Length of the file of rows when the run is complete.
fn all_rows(lab: &Lab) -> u64 {
    length(&lab.path("whole/draws.npy")) - 128
}

/// Waits for a checkpoint and that share of the rows.
#[track_caller]
pub(crate) fn wait_for(lab: &Lab, run: &mut Running, share: f64) {
    let wanted = (share * all_rows(lab) as f64) as u64;
    run.wait_until(|| lab.path("out/checkpoint.bin").exists());
    run.wait_until(|| length(&lab.path("out/rows.bin")) >= wanted);
}

/// The step of the last checkpoint, 0 before the first: a number of seven bits a byte, low ones
/// first, behind the checksum and the length of the head.
fn step(lab: &Lab) -> u64 {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(lab.path("out/checkpoint.bin")) {
        file.take(50).read_to_end(&mut bytes).unwrap();
    }
    let mut step = 0;
    for (k, byte) in bytes.iter().skip(40).enumerate() {
        step |= u64::from(byte & 127) << (7 * k);
        if byte & 128 == 0 {
            break;
        }
    }
    step
}

/// A killed run cannot be taken for a finished one.
pub(crate) fn assert_unfinished(lab: &Lab) {
    let names = lab.names("out");
    for name in ["report.json", "draws.npy", "draws.csv", "timing.json"] {
        assert!(!names.iter().any(|n| n == name), "{names:?}");
    }
    crate::report::assert_readable(lab, "out", "running");
    let said = lab.run(&["summary", "out"]).ended(2);
    assert!(
        said.err.contains("`retrograde run --resume out` goes on"),
        "{}",
        said.err
    );
}

#[track_caller]
pub(crate) fn resume(lab: &Lab) -> Said {
    let said = lab.run(&["run", "--resume", "out", "--threads", "1"]);
    assert!(matches!(said.code, Some(0 | 3)), "{}", said.err);
    for file in BITS {
        let same = lab.read(&format!("out/{file}")) == lab.read(&format!("whole/{file}"));
        assert!(same, "{file} differs from that of the uninterrupted run");
    }
    assert!(
        lab.tree("out/draws.zarr") == lab.tree("whole/draws.zarr"),
        "draws.zarr differs from that of the uninterrupted run"
    );
    let names = lab.names("out");
    assert!(
        !names
            .iter()
            .any(|n| n.ends_with(".bin") || n.ends_with(".part")),
        "{names:?}"
    );
    said
}

#[test]
fn an_interrupted_run_keeps_its_work_and_goes_on_to_the_same_bits() {
    for (_, job) in JOBS {
        let lab = lab(job);
        for share in [0.0, 0.25] {
            // Hardly a checkpoint is due: the one there is then is that of the interruption.
            let wanted = (share * all_rows(&lab) as f64) as u64;
            // On a busy machine a run may be over before the signal reaches it: then another one.
            let said = (0..20).find_map(|_| {
                let mut run = begin(&lab, "1000");
                run.wait_until(|| lab.path("out/rows.bin").exists());
                run.wait_until(|| length(&lab.path("out/rows.bin")) >= wanted);
                run.signal("INT");
                let said = run.end();
                if said.code == Some(130) {
                    return Some(said);
                }
                std::fs::remove_dir_all(lab.path("out")).unwrap();
                None
            });
            let said = said.expect("one of twenty runs was interrupted");
            assert!(
                said.err.contains("stopping after this step"),
                "{}",
                said.err
            );
            assert!(
                said.err.contains("`retrograde run --resume out`"),
                "{}",
                said.err
            );
            let report = lab.json("out/report.json");
            assert_eq!(report["complete"], false);
            // The constant of a law on the way is no estimate.
            assert!(report["log_z"].is_null(), "{}", report["log_z"]);
            assert!(lab.path("out/checkpoint.bin").exists());
            let kept = report["draws_per_chain"].as_u64().unwrap();
            assert!(kept < 10 && (kept > 0 || share == 0.0), "{kept}");
            assert!(
                said.out.contains("WARN  complete: the run was stopped"),
                "{}",
                said.out
            );
            let summary = lab.run(&["summary", "out"]);
            assert!(matches!(summary.code, Some(0 | 3)), "{}", summary.err);
            assert!(
                summary.out.contains("WARN  complete: the run was stopped"),
                "{}",
                summary.out
            );

            let said = resume(&lab);
            assert!(said.err.contains("going on after step"), "{}", said.err);
            // What is complete is left as it is.
            let said = resume(&lab);
            assert!(said.err.contains("complete already"), "{}", said.err);
            std::fs::remove_dir_all(lab.path("out")).unwrap();
        }
    }
}

#[test]
fn a_killed_run_goes_on_to_the_same_bits() {
    for (name, job) in JOBS {
        let lab = lab(job);
        for share in [0.0, 0.1, 0.5, 0.9] {
            let mut run = begin(&lab, "0");
            wait_for(&lab, &mut run, share);
            run.signal("KILL");
            assert_eq!(run.end().code, None, "{name}");
            assert_unfinished(&lab);
            resume(&lab);
            std::fs::remove_dir_all(lab.path("out")).unwrap();
        }
    }
}

#[test]
fn a_run_killed_again_and_again_goes_on_to_the_same_bits() {
    for (_, job) in JOBS {
        let lab = lab(job);
        let mut run = begin(&lab, "0");
        for share in [0.0, 0.2, 0.4, 0.6, 0.8] {
            wait_for(&lab, &mut run, share);
            run.signal("KILL");
            run.end();
            assert_unfinished(&lab);
            run = lab.start(&["run", "--resume", "out"]);
        }
        run.signal("KILL");
        run.end();
        resume(&lab);
    }
}

#[test]
fn a_run_killed_before_its_first_checkpoint_begins_anew() {
    for (_, job) in JOBS {
        let lab = lab(job);
        // On a machine that is busy a second may be over by then, and with it the first checkpoint.
        loop {
            let mut run = begin(&lab, "1000");
            run.wait_until(|| length(&lab.path("out/rows.bin")) > 0);
            run.signal("KILL");
            run.end();
            if !lab.path("out/checkpoint.bin").exists() {
                break;
            }
            std::fs::remove_dir_all(lab.path("out")).unwrap();
        }
        assert_unfinished(&lab);
        let said = resume(&lab);
        assert!(
            said.err.contains("begins anew, to the same bits"),
            "{}",
            said.err
        );
    }
}

/// With the checkpoints of every run, half a minute apart, it has something to show before that.
#[test]
fn a_run_killed_in_its_first_seconds_has_something_to_look_at() {
    let lab = Lab::new(format!(
        "draws = 1000000\n{NORMAL}{ULA}chains = 4\nthin = 10000\n"
    ));
    let begin = std::time::Instant::now();
    let mut run = lab.start(&["run", "job.toml", "-o", "out"]);
    for file in ["checkpoint.bin", "report.html", "draws.zarr/zarr.json"] {
        run.wait_until(|| lab.path(&format!("out/{file}")).exists());
    }
    // Before the half minute, and not after each step.
    let then = begin.elapsed().as_secs_f64();
    assert!((1.0..20.0).contains(&then), "{then}");
    // Nor is it the only one before that.
    let first = step(&lab);
    run.wait_until(|| step(&lab) > first);
    let then = begin.elapsed().as_secs_f64();
    assert!(then < 25.0, "{then}");
    run.signal("KILL");
    run.end();
    assert_unfinished(&lab);
    assert!(step(&lab) > 0);
}

/// Particles leave no row before the end: what is lost or kept is their state alone.
#[test]
fn particles_killed_again_and_again_go_on_to_the_same_bits() {
    for (name, job) in PARTICLES {
        let lab = lab_of(300, job);
        let steps = lab.json("whole/report.json")["steps"].as_u64().unwrap();
        assert!(steps >= 100, "{name}: {steps} steps");
        let mut run = begin(&lab, "0");
        // With `frozen` the second pass begins near the middle.
        for percent in [0, 20, 48, 52, 85] {
            let wanted = (steps * percent / 100).max(1);
            run.wait_until(|| step(&lab) >= wanted);
            run.signal("KILL");
            assert_eq!(run.end().code, None, "{name}");
            assert!(step(&lab) < steps, "{name}");
            assert_eq!(length(&lab.path("out/rows.bin")), 0, "{name}");
            assert_unfinished(&lab);
            run = lab.start(&["run", "--resume", "out"]);
        }
        let said = run.end();
        assert!(said.err.contains("going on after step"), "{}", said.err);
        resume(&lab);
    }
}

#[test]
fn interrupted_particles_go_on_to_the_same_bits() {
    for (name, job) in PARTICLES {
        let lab = lab_of(300, job);
        let steps = lab.json("whole/report.json")["steps"].as_u64().unwrap();
        let mut run = begin(&lab, "0");
        run.wait_until(|| step(&lab) >= steps / 2);
        run.signal("INT");
        let said = run.end().ended(130);
        assert!(
            said.out.contains("WARN  complete: the run was stopped"),
            "{name}: {}",
            said.out
        );
        let report = lab.json("out/report.json");
        assert_eq!(report["complete"], false, "{name}");
        assert_eq!(report["draws_per_chain"], 0, "{name}");
        let kept = report["steps"].as_u64().unwrap();
        assert!((steps / 2..steps).contains(&kept), "{name}: {kept}");
        let said = resume(&lab);
        let words = format!("going on after step {kept}");
        assert!(said.err.contains(&words), "{name}: {}", said.err);
    }
}

/// Steps of seconds: many chains on many data.
fn slow() -> Lab {
    let lab = Lab::new(format!(
        "draws = 20000\n[target]\nkind = \"logistic-regression\"\nfile = \"data.csv\"\n{ULA}\
         chains = 20000\nwarmup = 100000\n"
    ));
    let rows: String = (0..4000)
        .map(|i| format!("{},{}\n", i % 17, i % 2))
        .collect();
    lab.write("data.csv", format!("a,label\n{rows}"));
    lab
}

#[test]
fn a_second_interrupt_quits_at_once() {
    use std::io::BufRead;
    let lab = slow();
    let mut run = lab.start(&["run", "job.toml", "-o", "out"]);
    run.wait_until(|| lab.path("out/rows.bin").exists());
    run.signal("INT");
    let mut line = String::new();
    let mut err = std::io::BufReader::new(run.stderr());
    err.read_line(&mut line).unwrap();
    assert!(line.contains("once more to quit at once"), "{line}");
    run.signal("INT");
    run.end().ended(130);
    // It did not wait for the step to end.
    assert_unfinished(&lab);
}

#[test]
fn two_processes_do_not_share_a_directory() {
    let lab = Lab::new(format!("draws = 40\n{NORMAL}{ULA}warmup = 1000000000000\n"));
    let mut run = lab.start(&["run", "job.toml", "-o", "out"]);
    run.wait_until(|| lab.path("out/rows.bin").exists());
    let busy = |args: &[&str], code: i32, words: &str| {
        let said = lab.run(args).ended(code);
        assert!(said.err.contains(words), "{}", said.err);
    };
    busy(&["run", "job.toml", "-o", "out"], 2, "exists already");
    busy(
        &["run", "job.toml", "-o", "out", "--force"],
        2,
        "another process",
    );
    busy(&["run", "--resume", "out"], 2, "another process");
    for name in ["job.toml", "manifest.json", "rows.bin"] {
        assert!(lab.path(&format!("out/{name}")).exists(), "{name}");
    }
    run.signal("INT");
    run.end().ended(130);
    assert_eq!(lab.json("out/report.json")["complete"], false);
}

/// What is refused by name, and leaves the directory as it was.
/// Vector instructions decide the last bits, so a run keeps those it began with.
#[test]
fn a_resumed_run_keeps_its_vector_instructions() {
    use retrograde::core::SimdLevel;
    // Components that overlap: where one has all the weight, the levels agree to the bit.
    let warmup = 400_000;
    let lab = Lab::new(format!(
        "draws = 40\nseed = 11\n[target]\nkind = \"gmm9\"\nvariance = 20.0\n{ULA}warmup = {warmup}\n"
    ));
    let baseline = SimdLevel::baseline().name();
    for (directory, level) in [("whole", "baseline"), ("named", baseline), ("best", "auto")] {
        let said = lab.run(&["run", "job.toml", "-o", directory, "--simd", level]);
        assert!(matches!(said.code, Some(0 | 3)), "{}", said.err);
        let used = SimdLevel::named(level).unwrap();
        for file in ["report.json", "manifest.json"] {
            assert_eq!(
                lab.json(&format!("{directory}/{file}"))["simd"],
                used.name()
            );
        }
    }
    assert_eq!(lab.read("named/draws.npy"), lab.read("whole/draws.npy"));
    if ["avx2", "avx512"].contains(&SimdLevel::best().name()) {
        // Multiplication and addition are fused: else the test below would show nothing.
        assert_ne!(lab.read("best/draws.npy"), lab.read("whole/draws.npy"));
    }

    let mut run = lab.start(&["run", "job.toml", "-o", "out", "--simd", "baseline"]);
    run.wait_until(|| lab.path("out/rows.bin").exists());
    run.signal("INT");
    run.end().ended(130);
    let manifest = lab.text("out/manifest.json");
    let (has, lacks) = (format!("\"simd\": \"{baseline}\""), "\"simd\": \"avx1024\"");
    assert!(manifest.contains(&has), "{manifest}");
    lab.write("out/manifest.json", manifest.replace(&has, lacks));
    let said = lab.run(&["run", "--resume", "out"]).ended(2);
    assert!(
        said.err
            .contains("begun with the vector instructions `avx1024`"),
        "{}",
        said.err
    );
    assert!(said.err.contains(SimdLevel::best().name()), "{}", said.err);
    lab.write("out/manifest.json", manifest);
    let said = resume(&lab);
    assert!(said.err.contains("going on after step"), "{}", said.err);
    lab.run(&["run", "--resume", "out", "--simd", "auto"])
        .ended(2);
    let said = lab.run(&["run", "job.toml", "--simd", "avx1024"]).ended(2);
    let text = "`--simd` must be `auto`, `baseline`, or a level that this machine has: ";
    assert!(
        said.err.contains(text) && said.err.contains("`avx1024`"),
        "{}",
        said.err
    );
}

#[test]
fn a_run_is_not_taken_up_when_what_it_depends_on_has_changed() {
    let lab = Lab::new(format!(
        "draws = 40\n[target]\nkind = \"logistic-regression\"\nfile = \"data.csv\"\n{ULA}\
         warmup = 1000000000000\n[output]\ncheckpoint_seconds = 0\n"
    ));
    lab.write("data.csv", "a,label\n1,0\n2,1\n0,1\n");
    let mut run = lab.start(&["run", "job.toml", "-o", "out"]);
    run.wait_until(|| lab.path("out/checkpoint.bin").exists());
    run.signal("INT");
    run.end().ended(130);

    let whole = |name: &str| lab.read(name);
    let cut = |name: &str| {
        let mut bytes = lab.read(name);
        bytes.truncate(bytes.len() / 2);
        bytes
    };
    let flipped = |name: &str| {
        let mut bytes = lab.read(name);
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    let more = |name: &str| [lab.read(name), b"\n".to_vec()].concat();
    let changes: [(&str, Option<Vec<u8>>, &str); 10] = [
        ("job.toml", Some(more("job.toml")), "job.toml has changed"),
        (
            "out/job.toml",
            Some(more("out/job.toml")),
            "job.toml has changed",
        ),
        ("out/job.toml", None, "cannot read out/job.toml"),
        ("data.csv", Some(more("data.csv")), "data.csv has changed"),
        ("data.csv", None, "data.csv, which the run depends on"),
        (
            "out/checkpoint.bin",
            Some(cut("out/checkpoint.bin")),
            "checkpoint",
        ),
        (
            "out/checkpoint.bin",
            Some(flipped("out/checkpoint.bin")),
            "checkpoint",
        ),
        ("out/checkpoint.bin", Some(Vec::new()), "checkpoint"),
        (
            "out/manifest.json",
            Some(cut("out/manifest.json")),
            "manifest.json",
        ),
        ("out/manifest.json", None, "manifest.json"),
    ];
    for (name, content, words) in changes {
        let before = whole(name);
        match content {
            Some(content) => lab.write(name, content),
            None => std::fs::remove_file(lab.path(name)).unwrap(),
        }
        let others = lab.names("out");
        let said = lab.run(&["run", "--resume", "out"]).ended(2);
        assert!(said.err.contains(words), "{name}: {}", said.err);
        assert!(said.err.starts_with("error: out: "), "{}", said.err);
        assert_eq!(lab.names("out"), others);
        lab.write(name, before);
    }

    // The original job file is not needed, only not to be another.
    std::fs::remove_file(lab.path("job.toml")).unwrap();
    let mut run = lab.start(&["run", "--resume", "out"]);
    let before = lab.read("out/checkpoint.bin");
    run.wait_until(|| lab.read("out/checkpoint.bin") != before);
    run.signal("INT");
    run.end().ended(130);
}

/// Else it would go on with them, to other bits and without a word.
#[test]
fn rows_that_are_damaged_are_noticed() {
    for (name, job) in JOBS {
        let lab = lab(job);
        let mut run = begin(&lab, "0");
        wait_for(&lab, &mut run, 0.5);
        run.signal("KILL");
        run.end();
        let rows = lab.read("out/rows.bin");
        // Half of all rows are on disk, so what comes before a third of these is of the checkpoint.
        for at in [0, rows.len() / 3] {
            let mut flipped = rows.clone();
            flipped[at] ^= 1;
            lab.write("out/rows.bin", &flipped);
            let said = lab.run(&["run", "--resume", "out"]).ended(2);
            let words = "error: out: rows.bin was changed or damaged";
            assert!(said.err.starts_with(words), "{name}: {}", said.err);
            assert_eq!(lab.read("out/rows.bin"), flipped);
        }
        lab.write("out/rows.bin", &rows);
        let said = resume(&lab);
        assert!(said.err.contains("going on after step"), "{}", said.err);
    }
}

#[test]
fn rows_that_are_lost_are_noticed() {
    let (_, job) = JOBS[0];
    let lab = lab(job);
    let mut run = begin(&lab, "0");
    wait_for(&lab, &mut run, 0.5);
    run.signal("KILL");
    run.end();
    let rows = lab.read("out/rows.bin");
    lab.write("out/rows.bin", &rows[..rows.len() / 3]);
    let said = lab.run(&["run", "--resume", "out"]).ended(2);
    assert!(said.err.contains("rows.bin"), "{}", said.err);
    assert!(
        said.err.contains("shorter than its checkpoint says"),
        "{}",
        said.err
    );
    // Put back, with what a kill may leave beyond it.
    lab.write("out/rows.bin", [&rows[..], &[7; 13]].concat());
    resume(&lab);
}
