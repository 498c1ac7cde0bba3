//! What a run leaves: the files, the same bits however it is run, and what `summary` says of them.

use crate::lab::{JOBS, Lab, NORMAL, PARTICLES, ULA, npy};

const OUTPUT: &str = "[output]\nformats = [\"npy\", \"csv\", \"cmdstan\"]\n";

/// A job that passes its checks, in a second at most.
fn good() -> Lab {
    Lab::new(format!(
        "draws = 4000\nseed = 3\n{NORMAL}{ULA}thin = 20\n{OUTPUT}"
    ))
}

/// The numbers of a CSV file below its names.
fn csv(text: &str) -> (Vec<&str>, Vec<Vec<f64>>) {
    let mut lines = text.lines().filter(|l| !l.starts_with('#'));
    let names = lines.next().unwrap().split(',').collect();
    let row = |l: &str| l.split(',').map(|v| v.parse().unwrap()).collect();
    (names, lines.map(row).collect())
}

#[test]
fn a_run_leaves_all_its_files_and_they_agree() {
    let lab = good();
    let said = lab.run(&["run", "job.toml", "-o", "out"]).ended(0);
    assert_eq!(said.err, "", "nothing to say where there is no terminal");
    assert!(said.out.contains("results in out\n"), "{}", said.out);
    let stan: Vec<String> = (1..5).map(|c| format!("cmdstan-{c}.csv")).collect();
    let mut names = vec![".lock".to_owned()];
    names.extend(stan.clone());
    for name in [
        "draws.csv",
        "draws.npy",
        "job.toml",
        "manifest.json",
        "report.json",
    ] {
        names.push(name.into());
    }
    names.push("timing.json".into());
    assert_eq!(lab.names("out"), names);

    let (shape, numbers) = npy(&lab.read("out/draws.npy"));
    assert_eq!(shape, "(4, 1000, 2)");
    let text = lab.text("out/draws.csv");
    let (names, rows) = csv(&text);
    assert_eq!(names, ["chain", "draw", "x0", "x1"]);
    assert_eq!(rows.len(), 4000);
    for (r, row) in rows.iter().enumerate() {
        assert_eq!(row[..2], [(r / 1000 + 1) as f64, (r % 1000 + 1) as f64]);
        // To the bit: text that is read back gives the number that was written.
        assert_eq!(row[2..], numbers[2 * r..2 * r + 2]);
    }
    for (c, name) in stan.iter().enumerate() {
        let text = lab.text(&format!("out/{name}"));
        let (names, rows) = csv(&text);
        assert_eq!(names, ["lp__", "x0", "x1"]);
        // What CmdStanPy looks for: no adaptation block, and a comment behind the draws.
        assert!(text.starts_with("# stan_version_major"));
        assert!(text.contains("algorithm = fixed_param\n"));
        assert!(text.ends_with("\n#\n# times are in timing.json\n"));
        for (i, row) in rows.iter().enumerate() {
            let at = 2 * (1000 * c + i);
            assert_eq!(row[1..], numbers[at..at + 2]);
        }
        assert_eq!(rows.len(), 1000);
    }

    // The report's means are those of the draws.
    let report = lab.json("out/report.json");
    assert_eq!(report["complete"], true);
    assert_eq!(report["schema_version"], 1);
    for (j, name) in ["x0", "x1"].into_iter().enumerate() {
        let mean = numbers.iter().skip(j).step_by(2).sum::<f64>() / 4000.0;
        let told = &report["coordinates"][j];
        assert_eq!(told["name"], name);
        assert!((told["mean"].as_f64().unwrap() - mean).abs() < 1e-12);
    }
    assert_eq!(
        report["evaluations"]["gradient_evals"],
        4 * (1000 + 1000 * 20)
    );
    let timing = lab.json("out/timing.json");
    assert!(timing["sampling_seconds"].as_f64().unwrap() > 0.0);
    let manifest = lab.json("out/manifest.json");
    assert!(
        manifest["source"]["path"]
            .as_str()
            .unwrap()
            .ends_with("job.toml")
    );
    assert_eq!(manifest["files"].as_array().unwrap().len(), 0);
}

/// Two runs, any number of threads, the resolved job and other spellings of it: the same bits.
#[test]
fn the_same_job_gives_the_same_bits() {
    let jobs = JOBS.iter().map(|job| (job, "40"));
    let jobs = jobs.chain(PARTICLES.iter().map(|job| (job, "300")));
    for (i, ((name, job), draws)) in jobs.enumerate() {
        let lab = Lab::new(format!("draws = {draws}\nseed = 5\n{job}"));
        lab.run(&["run", "job.toml", "-o", "a", "--threads", "1"]);
        let store = lab.tree("a/draws.zarr");
        assert!(store.len() > 5, "{name}");
        let resolved = lab.text("a/job.toml").replace("directory = \"a\"\n", "");
        lab.write("resolved/job.toml", resolved);
        let runs: [&[&str]; 6] = [
            &["run", "job.toml", "-o", "b", "--threads", "1"],
            &["run", "job.toml", "-o", "b", "--threads", "2"],
            &["run", "job.toml", "-o", "b", "--threads", "7"],
            &["run", "resolved/job.toml", "-o", "b"],
            // What does not depend on the components.
            &["run", "a/job.toml", "-o", "b"],
            &[
                "run", "job.toml", "-o", "b", "--seed", "5", "--draws", draws,
            ],
        ];
        let runs = if i == 0 { &runs[..] } else { &runs[..4] };
        for args in runs.iter().copied() {
            let said = lab.run(args);
            assert!(
                matches!(said.code, Some(0 | 3)),
                "{name} {args:?}: {}",
                said.err
            );
            for file in ["report.json", "draws.npy", "draws.csv", "report.html"] {
                let same = lab.read(&format!("a/{file}")) == lab.read(&format!("b/{file}"));
                assert!(same, "{name} {args:?}: {file}");
            }
            assert!(lab.tree("b/draws.zarr") == store, "{name} {args:?}");
            std::fs::remove_dir_all(lab.path("b")).unwrap();
        }
        lab.run(&["run", "job.toml", "-o", "b", "--seed", "6"]);
        assert_ne!(lab.read("a/draws.npy"), lab.read("b/draws.npy"), "{name}");
    }
}

#[test]
fn summary_repeats_what_the_run_said() {
    let lab = good();
    let said = lab.run(&["run", "job.toml", "-o", "out"]).ended(0);
    let summary = lab.run(&["summary", "out"]).ended(0);
    assert_eq!(summary.err, "");
    // The run has the time it took and its directory in a line of its own at the end.
    assert!(
        said.out.starts_with(&summary.out),
        "{}\n{}",
        said.out,
        summary.out
    );
    for words in ["R-hat", "bulk ESS", "tail ESS", "means"] {
        assert!(
            summary.out.contains(&format!("PASS  {words}")),
            "{}",
            summary.out
        );
    }
    let object = lab.run(&["summary", "out", "--json"]).ended(0).json();
    assert_eq!(object["report"], lab.json("out/report.json"));

    // A diagnostic that failed: told by the exit code of both.
    lab.run(&[
        "run",
        "job.toml",
        "-o",
        "bad",
        "--set",
        "sampler.thin=1",
        "--draws",
        "40",
    ])
    .ended(3);
    let summary = lab.run(&["summary", "bad"]).ended(3);
    assert!(summary.out.contains("FAIL  bulk ESS"), "{}", summary.out);
}

#[test]
fn a_default_directory_is_numbered_and_force_replaces_only_a_runs_files() {
    let lab = good();
    for _ in 0..3 {
        lab.run(&["run", "job.toml", "--quick"]);
    }
    assert_eq!(lab.names("runs"), ["job", "job-2", "job-3"]);
    lab.write("runs/job/notes.txt", "mine");
    lab.write("runs/job/rows.bin", "left over");
    lab.write("runs/job/draws.zarr/posterior/y/zarr.json", "left over");
    let before = lab.read("runs/job/draws.npy");
    lab.run(&["run", "job.toml", "-o", "runs/job", "--force"])
        .ended(0);
    assert_ne!(lab.read("runs/job/draws.npy"), before);
    assert_eq!(lab.text("runs/job/notes.txt"), "mine");
    assert!(!lab.path("runs/job/rows.bin").exists());
    assert!(!lab.path("runs/job/draws.zarr/posterior/y").exists());
    // A job that is refused replaces nothing.
    let before = lab.read("runs/job/draws.npy");
    lab.run(&[
        "run", "job.toml", "-o", "runs/job", "--force", "--draws", "41",
    ])
    .ended(2);
    assert_eq!(lab.read("runs/job/draws.npy"), before);
}

#[test]
fn runs_started_together_take_directories_of_their_own() {
    let lab = good();
    let running: Vec<_> = (0..6).map(|_| lab.start(&["run", "job.toml"])).collect();
    for run in running {
        run.end().ended(0);
    }
    assert_eq!(lab.names("runs").len(), 6);
    let first = lab.read("runs/job/report.json");
    for k in 2..7 {
        assert_eq!(lab.read(&format!("runs/job-{k}/report.json")), first);
    }
}

#[test]
fn a_trial_is_short_and_a_dry_run_writes_nothing() {
    let lab = Lab::new(format!(
        "draws = 100000\n{NORMAL}{ULA}[expect]\nlog_z = 0.0\n"
    ));
    let said = lab.run(&["run", "job.toml", "--quick", "-o", "q"]);
    assert!(!said.out.contains("log Z:"), "no expectation: {}", said.out);
    assert_eq!(npy(&lab.read("q/draws.npy")).0, "(4, 100, 2)");
    std::fs::remove_dir_all(lab.path("q")).unwrap();
    // Chains that do not divide 400, and more chains than that.
    for (chains, shape) in [(7, "(7, 57, 2)"), (700, "(1, 400, 2)")] {
        lab.write(
            "chains.toml",
            format!("draws = 700\n{NORMAL}[sampler]\nkind = \"ula\"\nchains = {chains}\n"),
        );
        lab.run(&["run", "chains.toml", "--quick", "-o", "q"]);
        assert_eq!(npy(&lab.read("q/draws.npy")).0, shape);
        std::fs::remove_dir_all(lab.path("q")).unwrap();
    }
    std::fs::remove_file(lab.path("chains.toml")).unwrap();
    // The full job is told that its sampler gives no log Z.
    let said = lab
        .run(&["run", "job.toml", "--draws", "400", "-o", "q"])
        .ended(3);
    assert!(said.out.contains("FAIL  log Z"), "{}", said.out);
    std::fs::remove_dir_all(lab.path("q")).unwrap();

    let said = lab.run(&["run", "job.toml", "--dry-run"]).ended(0);
    assert_eq!(lab.names("."), ["job.toml"]);
    // What it shows is a job, and the same one.
    lab.write("shown.toml", &said.out);
    let again = lab.run(&["run", "shown.toml", "--dry-run"]).ended(0);
    assert_eq!(again.out, said.out);
    let object = lab
        .run(&["run", "job.toml", "--dry-run", "--json"])
        .ended(0)
        .json();
    assert_eq!(object["job"], said.out);
    lab.run(&["check", "job.toml", "--gradient"]).ended(0);
    assert_eq!(lab.names("."), ["job.toml", "shown.toml"]);
}
