//! `retrograde plugin check` as a user meets it: what it writes, and how it ends. What it finds is tested
//! where it is found.

use crate::lab::{Lab, NORMAL};
use crate::plugins::compile;
use std::time::{Duration, Instant};

const LIAR: &str = "crates/host/tests/host/lies/liar.c";

#[test]
fn checks_end_with_0_and_those_that_fail_with_3() {
    let lab = Lab::new(NORMAL);
    compile(&lab.path("honest.so"), LIAR, &[]);
    let said = lab.run(&["plugin", "check", "honest.so"]).ended(0);
    assert!(said.err.is_empty(), "{}", said.err);
    assert!(said.out.starts_with("plugin liar 1.0.0, "), "{}", said.out);
    for line in [
        "\ntarget liar/normal\n  ok    create            a target was made with its defaults\n",
        "\nsampler liar/direct\n  ok    create ",
        "\n  ok    saved states      runs that go on from bytes ",
    ] {
        assert!(said.out.contains(line), "{line}\n{}", said.out);
    }
    assert!(said.out.ends_with(" checks passed\n"), "{}", said.out);

    compile(&lab.path("liar.so"), LIAR, &["-DLIE_GRADIENT"]);
    let said = lab.run(&["plugin", "check", "liar.so"]).ended(3);
    assert!(
        said.out
            .contains("\n  FAIL  gradient          the gradient against differences")
    );
    assert!(said.out.ends_with("failed, 0 warnings\n"), "{}", said.out);

    compile(&lab.path("crash.so"), LIAR, &["-DLIE_CRASH"]);
    let said = lab.run(&["plugin", "check", "crash.so"]).ended(3);
    let line = "\n  FAIL  crash             crashed with SIGSEGV in eval() (n = 1000) of target liar/normal\n";
    assert!(said.out.contains(line), "{}", said.out);

    compile(&lab.path("hang.so"), LIAR, &["-DLIE_HANG"]);
    let said = lab
        .run(&["plugin", "check", "hang.so", "--time-limit", "1.5"])
        .ended(3);
    let line = "did not come back within 1.5 s in eval() (n = 1000) of target liar/normal";
    assert!(said.out.contains(line), "{}", said.out);
}

#[test]
fn the_check_is_an_object_for_programs() {
    let lab = Lab::new(NORMAL);
    compile(&lab.path("liar.so"), LIAR, &["-DLIE_ROWS"]);
    let said = lab.run(&["plugin", "check", "liar.so", "--json"]).ended(3);
    let object = said.json();
    assert_eq!(object["passed"], false);
    assert_eq!(object["failed"], 1);
    assert_eq!(object["plugin"]["name"], "liar");
    assert_eq!(object["plugin"]["sha256"].as_str().unwrap().len(), 64);
    let checks = object["checks"].as_array().unwrap();
    let failed: Vec<_> = checks.iter().filter(|c| c["verdict"] == "fail").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["component"], "target liar/normal");
    assert_eq!(failed[0]["check"], "row-wise");
    assert!(
        failed[0]["text"]
            .as_str()
            .unwrap()
            .contains("RG_CAP_ROWWISE")
    );
}

#[test]
fn settings_come_from_the_command_line_or_from_a_job() {
    let lab = Lab::new(
        "[target]\nkind = \"wells/double-well\"\ndim = 4\nb = 1.5\n[sampler]\nkind = \"smc\"\n",
    );
    compile(&lab.path("wells.so"), "plugins/c/double-well.c", &[]);
    let said = lab
        .run(&[
            "plugin",
            "check",
            "wells.so",
            "--job",
            "job.toml",
            "--set",
            "double-well.b=0.5",
        ])
        .ended(0);
    let line = "a target was made with dim = 4, b = 0.5";
    assert!(said.out.contains(line), "{}", said.out);
    for (args, words) in [
        (
            ["--set", "double-well.dim"],
            "must be of the form `--set component.key=value`",
        ),
        (["--set", "duoble-well.dim=2"], "`duoble-well`"),
        (["--job", "none.toml"], "cannot read none.toml"),
        (
            ["--time-limit", "0"],
            "`--time-limit` must be a number of seconds above 0",
        ),
        (
            ["--time-limit", "nan"],
            "`--time-limit` must be a number of seconds above 0",
        ),
    ] {
        let said = lab
            .run(&["plugin", "check", "wells.so", args[0], args[1]])
            .ended(2);
        assert!(said.err.contains(words), "{args:?}: {}", said.err);
        assert!(said.out.is_empty(), "{}", said.out);
    }
}

#[test]
fn what_is_no_plugin_ends_with_2() {
    let lab = Lab::new(NORMAL);
    let said = lab.run(&["plugin", "check", "job.toml"]).ended(2);
    assert!(said.err.contains("job.toml"), "{}", said.err);
    let said = lab.run(&["plugin", "check", "none.so", "--json"]).ended(2);
    assert_eq!(said.json()["status"], "RG_ERR_PLUGIN");
    // What the check starts by itself, started by hand.
    let said = lab.run(&["plugin", "check-child"]).ended(2);
    assert!(said.err.contains("retrograde plugin check"), "{}", said.err);
}

/// Code of a library runs when it is loaded, before any function of a plugin is called.
#[test]
fn a_library_whose_loading_hangs_ends_with_a_sentence_within_the_limit() {
    let lab = Lab::new(NORMAL);
    compile(&lab.path("stuck.so"), LIAR, &["-DLIE_HANG_IN_LOADING"]);
    let begin = Instant::now();
    let said = lab
        .run(&["plugin", "check", "stuck.so", "--time-limit", "1.5"])
        .ended(3);
    let line = "did not come back within 1.5 s in its initialisers or its entry function";
    assert!(said.out.contains(line), "{}", said.out);
    for more in [None, Some("--no-check")] {
        let mut args = vec!["plugin", "install", "stuck.so", "--into", "there"];
        args.extend(["--time-limit", "1.5"].into_iter().chain(more));
        let said = lab.run(&args).ended(1);
        let line = "stuck.so: was not loaded after 1.5 seconds";
        assert!(said.err.contains(line), "{}", said.err);
        assert!(!lab.path("there").exists());
    }
    assert!(begin.elapsed() < Duration::from_secs(30));
    let said = lab
        .run(&["plugin", "install", "stuck.so", "--time-limit", "0"])
        .ended(2);
    let line = "`--time-limit` must be a number of seconds above 0, but is 0";
    assert!(said.err.contains(line), "{}", said.err);
}
