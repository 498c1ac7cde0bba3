//! What `retrograde plugin check` finds: nothing in good plugins, and each lie of a plugin that lies.

use crate::workshop;
use retrograde_host::check::child::{self, Outcome};
use retrograde_host::check::{Given, Line, Options, Report, Verdict};
use retrograde_testkit::compiler::{cc, cxx, root, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// This program, as a child that checks: [`as_child`] alone.
fn command() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "check::as_child",
        "--nocapture",
        "--test-threads=1",
    ]);
    command
}

/// In a child of the others: the check. By itself: a child that finds no plugin says so.
#[test]
fn as_child() {
    if let Some(served) = child::serve() {
        return served.unwrap();
    }
    let folder = workshop("check-nothing");
    let outcome = outcome(&folder.join("no.so"), &Options::default(), LIMIT);
    let Outcome::Refused(why) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(why.contains("no.so"), "{why}");
}

fn outcome(file: &Path, options: &Options, limit: Duration) -> Outcome {
    child::run(command, file, options, limit, &mut |_| {}).unwrap()
}

pub(crate) fn checked(file: &Path, options: &Options, limit: Duration) -> Report {
    match outcome(file, options, limit) {
        Outcome::Checked(report) => report,
        Outcome::Refused(why) => panic!("{why}"),
    }
}

/// Compiles a plugin in C.
pub(crate) fn plugin(folder: &Path, source: &Path, defines: &[&str]) -> PathBuf {
    let library = folder.join(format!("{}.so", source.file_stem().unwrap().display()));
    run(cc()
        .args(["-std=c11", "-O1", "-fPIC", "-shared", "-fvisibility=hidden"])
        .args(defines.iter().map(|d| format!("-D{d}")))
        // The lies are meant.
        .args(["-Wno-unused", "-Wno-array-bounds"])
        .arg("-I")
        .arg(root().join("include"))
        .arg(source)
        .arg("-o")
        .arg(&library)
        .arg("-lm"));
    crate::mode(&library, 0o755);
    library
}

fn liar(defines: &[&str]) -> PathBuf {
    let folder = workshop(&format!("check-{}", defines.join("-").to_lowercase()));
    let source = root().join("crates/host/tests/host/lies/liar.c");
    plugin(&folder, &source, defines)
}

pub(crate) fn failures(report: &Report) -> Vec<&Line> {
    let failed = |l: &&Line| l.verdict == Verdict::Fail;
    report.lines.iter().filter(failed).collect()
}

/// Panics unless the lie is told in these words, as a failure of that check, and nothing else fails but
/// what follows from it.
fn told(lie: &str, check: &str, words: &[&str], also: &[&str]) {
    told_by(&[lie], check, words, also);
}

fn told_by(defines: &[&str], check: &str, words: &[&str], also: &[&str]) {
    let lie = defines.join(" ");
    let report = checked(&liar(defines), &Options::default(), Duration::from_secs(20));
    let failed = failures(&report);
    let it = failed
        .iter()
        .find(|l| l.check == check && words.iter().all(|w| l.text.contains(w)));
    assert!(
        it.is_some(),
        "{lie}: {words:?} is not in\n{}",
        report.text()
    );
    for other in failed {
        assert!(
            other.check == check || also.contains(&other.check.as_str()),
            "{lie}: beside it\n{}",
            report.text()
        );
    }
}

#[test]
fn a_plugin_that_keeps_its_word_passes() {
    let report = checked(&liar(&[]), &Options::default(), LIMIT);
    assert_eq!(report.worst(), Verdict::Ok, "{}", report.text());
    let about = report.plugin.as_ref().unwrap();
    assert_eq!(
        about.components,
        ["target liar/normal", "sampler liar/direct"]
    );
    for (component, check) in [
        ("target liar/normal", "gradient"),
        ("target liar/normal", "hvp"),
        ("target liar/normal", "row-wise"),
        ("target liar/normal", "threads"),
        ("target liar/normal", "leaks"),
        ("sampler liar/direct", "saved states"),
        ("sampler liar/direct", "law"),
        ("sampler liar/direct", "leaks"),
    ] {
        let there = |l: &Line| l.component == component && l.check == check;
        assert!(
            report.lines.iter().any(there),
            "{component}: {check}\n{}",
            report.text()
        );
    }
}

#[test]
fn the_plugins_of_the_project_pass() {
    let folder = workshop("check-good");
    for name in ["double-well", "barker"] {
        let source = root().join("plugins/c").join(format!("{name}.c"));
        let report = checked(&plugin(&folder, &source, &[]), &Options::default(), LIMIT);
        assert_eq!(report.worst(), Verdict::Ok, "{}", report.text());
    }
}

/// A plugin in which one piece of the source is another.
pub(crate) fn mutant(folder: &Path, source: &Path, from: &str, to: &str) -> PathBuf {
    let text = std::fs::read_to_string(source).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from}");
    let other = folder.join(source.file_name().unwrap());
    std::fs::write(&other, text.replace(from, to)).unwrap();
    plugin(folder, &other, &[])
}

#[test]
fn lies_of_numbers_are_told() {
    told(
        "LIE_GRADIENT",
        "gradient",
        &["it says", "differences say"],
        &["hvp"],
    );
    told(
        "LIE_HVP",
        "hvp",
        &["hvp() against differences of the gradient"],
        &[],
    );
}

#[test]
fn lies_of_capabilities_are_told() {
    let rows = ["eval() gives other bits of a row", "RG_CAP_ROWWISE"];
    told("LIE_ROWS", "row-wise", &rows, &[]);
    told("LIE_PLACE", "row-wise", &rows, &["gradient"]);
    let words = ["eval() draws random numbers", "RG_CAP_DETERMINISTIC"];
    told(
        "LIE_RNG",
        "deterministic",
        &words,
        &[
            "row-wise",
            "gradient",
            "threads",
            "bad numbers",
            "wanted outputs",
        ],
    );
    let words = ["eval() gives other bits when it is called again with the same seed"];
    told(
        "LIE_RAND",
        "reproducible",
        &words,
        &[
            "deterministic",
            "row-wise",
            "gradient",
            "threads",
            "bad numbers",
            "wanted outputs",
            "values",
        ],
    );
    let words = [
        "eval() gives other results on 8 threads at once",
        "RG_THREAD_CONCURRENT",
    ];
    told("LIE_STATIC", "threads", &words, &[]);
}

#[test]
fn lies_of_arrays_are_told() {
    let words =
        ["eval() left 1 of the 1000 numbers of `logp` unwritten, the first in row 7 (n = 1000)"];
    told("LIE_UNWRITTEN", "outputs", &words, &[]);
    let words = ["eval() computes with what was in `logp` before it wrote there"];
    told("LIE_ADDS", "outputs", &words, &["gradient", "values"]);
    let words = ["eval() wrote 1 number past the end of `grad` (n = 1000)"];
    told("LIE_BEYOND", "guards", &words, &[]);
    let words = ["eval() wrote 1 number before the start of `logp` (n = 1000, without grad)"];
    told("LIE_BEFORE", "guards", &words, &[]);
    let words =
        ["eval() changed 1 number of its input `x`, the first in row 3 (n = 1000, without grad)"];
    told("LIE_INPUT", "inputs", &words, &[]);
}

/// Whatever the rows of the calls in which they are told, and whichever check these were made for.
#[test]
fn lies_of_arrays_are_told_at_every_size() {
    for n in [0, 1, 4, 7, 16, 500, 1000] {
        let at = format!("AT={n}");
        let size = format!("(n = {n}");
        let words = ["eval() wrote 1 number before the start of `logp`", &size];
        told_by(&["LIE_BEFORE", &at], "guards", &words, &[]);
        let words = ["eval() wrote 1 number past the end of `grad`", &size];
        told_by(&["LIE_BEYOND", &at], "guards", &words, &[]);
        if n > 0 {
            let words = ["eval() changed 1 number of its input `x`", &size];
            told_by(&["LIE_INPUT", &at], "inputs", &words, &[]);
        }
    }
}

#[test]
fn gradients_are_declared_and_written_or_neither() {
    let words = ["eval() writes no gradient, though its table says RG_CAP_GRADIENT"];
    told(
        "LIE_NO_GRADIENT",
        "gradient",
        &words,
        &["outputs", "hvp", "values"],
    );
    let library = liar(&["LIE_FORGETS_GRADIENT"]);
    let report = checked(&library, &Options::default(), LIMIT);
    let text = "eval() writes gradients but its table does not declare RG_CAP_GRADIENT: samplers that need \
                one cannot use it";
    let it = |l: &Line| l.verdict == Verdict::Warn && l.check == "gradient" && l.text == text;
    assert!(report.lines.iter().any(it), "{}", report.text());
}

#[test]
fn create_that_leaves_nothing_is_told() {
    for (lie, place) in [
        ("LIE_NULL_OBJECT", "`made->object`"),
        ("LIE_NULL_TABLE", "`made->vtable`"),
    ] {
        let words = [place, "is NULL after create() returned RG_OK"];
        told(lie, "create", &words, &[]);
    }
}

#[test]
fn statuses_are_told() {
    let words = ["eval() returned 99, which is none of the RG_ERR_ codes"];
    told("LIE_CODE", "batches", &words, &[]);
    let report = checked(&liar(&["LIE_SILENT"]), &Options::default(), LIMIT);
    let text = "eval() returned RG_ERR_NUMERIC without a text: say why by host->fail";
    let it = |l: &Line| l.verdict == Verdict::Warn && l.check == "reasons" && l.text == text;
    assert!(report.lines.iter().any(it), "{}", report.text());
}

#[test]
fn ends_of_the_program_are_told_with_their_place() {
    let place = "in eval() (n = 1000) of target liar/normal";
    let crash = format!("crashed with SIGSEGV {place}");
    told("LIE_CRASH", "crash", &[&crash], &[]);
    let words = ["crashed with SIGABRT", place];
    told("LIE_ABORT", "crash", &words, &[]);
    let exit = format!("ended the program with exit code 7 {place}");
    told("LIE_EXIT", "exit", &[&exit], &[]);
    told(
        "LIE_CRASH_CREATE",
        "crash",
        &["crashed with SIGSEGV in create() of target liar/normal"],
        &[],
    );
    let words = [
        "SIGABRT",
        "in eval() with x = NaN (n = 4) of target liar/normal",
    ];
    told("LIE_NAN_CRASH", "crash", &words, &[]);
    let words = [
        "SIGABRT",
        "in step() (a run of 1 draws) of sampler liar/direct",
        "something is rotten",
    ];
    told("LIE_ABORT_IN_SAMPLER", "crash", &words, &[]);
    told(
        "LIE_ABORT_IN_ENTRY",
        "crash",
        &["SIGABRT", "in its initialisers or its entry function"],
        &[],
    );
}

#[test]
fn what_comes_after_a_crash_is_checked_as_well() {
    let report = checked(&liar(&["LIE_CRASH"]), &Options::default(), LIMIT);
    let law = |l: &Line| l.component == "sampler liar/direct" && l.check == "law";
    assert!(report.lines.iter().any(law), "{}", report.text());
}

#[test]
fn what_does_not_come_back_is_told() {
    let report = checked(
        &liar(&["LIE_HANG"]),
        &Options::default(),
        Duration::from_secs(2),
    );
    let text = "did not come back within 2 s in eval() (n = 1000) of target liar/normal";
    let failed = failures(&report);
    assert!(
        failed.len() == 1 && failed[0].check == "time" && failed[0].text == text,
        "{}",
        report.text()
    );
}

#[test]
fn a_library_whose_loading_does_not_come_back_is_told() {
    let library = liar(&["LIE_HANG_IN_LOADING"]);
    let report = checked(&library, &Options::default(), Duration::from_secs(2));
    let text = "did not come back within 2 s in its initialisers or its entry function";
    let failed = failures(&report);
    assert!(
        failed.len() == 1 && failed[0].check == "time" && failed[0].text == text,
        "{}",
        report.text()
    );
}

#[test]
fn leaks_are_told() {
    let each = ["bytes each time: it leaks"];
    told("LIE_LEAK", "leaks", &["eval()", each[0]], &[]);
    told(
        "LIE_LEAK_OBJECT",
        "leaks",
        &["create() and destroy()", each[0]],
        &[],
    );
    told(
        "LIE_LEAK_RUN",
        "leaks",
        &["start(), one step() and end()", each[0]],
        &[],
    );
}

#[test]
fn lies_of_samplers_are_told() {
    let words = ["saved after step", "other draws than the whole one"];
    told("LIE_LOSES", "saved states", &words, &[]);
    told(
        "LIE_SAVES_BEYOND",
        "saved states",
        &["save() wrote past the end of its buffer"],
        &[],
    );
    told("LIE_DONE", "draws", &["put 2 into `done`"], &["few draws"]);
    told(
        "LIE_SHORT",
        "draws",
        &["a run of 2000 draws left 1990"],
        &[],
    );
    let report = checked(&liar(&["LIE_LAW"]), &Options::default(), LIMIT);
    let it = |l: &Line| {
        l.verdict == Verdict::Warn
            && l.check == "law"
            && l.text.contains("the draws are not of the target")
    };
    assert!(report.lines.iter().any(it), "{}", report.text());
}

#[test]
fn an_exception_that_leaves_a_function_is_told() {
    let folder = workshop("check-thrower");
    let (source, library) = (folder.join("thrower.cpp"), folder.join("thrower.so"));
    // The same tables as in C, which C++17 writes in another way.
    let text =
        std::fs::read_to_string(root().join("crates/host/tests/host/lies/thrower.cpp")).unwrap();
    std::fs::write(&source, text).unwrap();
    run(cxx()
        .args([
            "-std=c++17",
            "-O1",
            "-fPIC",
            "-shared",
            "-Wno-terminate",
            "-Wno-missing-field-initializers",
        ])
        .arg("-I")
        .arg(root().join("include"))
        .arg(&source)
        .arg("-o")
        .arg(&library));
    crate::mode(&library, 0o755);
    let report = checked(&library, &Options::default(), LIMIT);
    let failed = failures(&report);
    assert!(
        failed.len() == 1
            && failed[0]
                .text
                .contains("SIGABRT (abort, or an exception that left a function)")
            && failed[0]
                .text
                .contains("in eval() (n = 1000) of target thrower/thrower")
            && failed[0].text.contains("a matrix is singular"),
        "{}",
        report.text()
    );
}

#[test]
fn settings_reach_the_component_that_they_are_of() {
    let folder = workshop("check-settings");
    let source = root().join("plugins/c/double-well.c");
    let library = plugin(&folder, &source, &[]);
    let mut given = Given::default();
    given.set("double-well.dim=5").unwrap();
    given.set("wells/double-well.b = 0.5").unwrap();
    let options = Options {
        given,
        ..Options::default()
    };
    let report = checked(&library, &options, LIMIT);
    assert_eq!(report.worst(), Verdict::Ok, "{}", report.text());
    let made =
        |l: &Line| l.check == "create" && l.text.contains("dim = 5") && l.text.contains("b = 0.5");
    assert!(report.lines.iter().any(made), "{}", report.text());
    // A name that is none, a value that is wrong, a text that is no setting.
    let mut given = Given::default();
    given.set("duoble-well.dim=5").unwrap();
    let options = Options {
        given,
        ..Options::default()
    };
    let Outcome::Refused(why) = outcome(&library, &options, LIMIT) else {
        panic!("it was taken")
    };
    assert!(
        why.contains("duoble-well") && why.contains("double-well"),
        "{why}"
    );
    let mut given = Given::default();
    given.set("double-well.dim=0").unwrap();
    let options = Options {
        given,
        ..Options::default()
    };
    let report = checked(&library, &options, LIMIT);
    let failed = failures(&report);
    assert!(
        failed.len() == 1
            && failed[0].text.contains("`dim`")
            && failed[0].text.contains("from 1 to 10000"),
        "{}",
        report.text()
    );
    // Without a default a component waits for its parameter.
    let from = r#""Dimension", RG_TYPE_I64, 0, "2","#;
    let library = mutant(
        &folder,
        &source,
        from,
        r#""Dimension", RG_TYPE_I64, 1, NULL,"#,
    );
    let report = checked(&library, &Options::default(), LIMIT);
    let waits = |l: &Line| l.check == "create" && l.text.contains("`--set double-well.dim=VALUE`");
    assert!(
        report.worst() == Verdict::Warn && report.lines.len() == 1 && waits(&report.lines[0]),
        "{}",
        report.text()
    );
    let mut given = Given::default();
    given.set("target wells/double-well.dim=2").unwrap();
    let options = Options {
        given,
        ..Options::default()
    };
    let report = checked(&library, &options, LIMIT);
    assert_eq!(report.worst(), Verdict::Ok, "{}", report.text());
    for bad in ["dim=5", "double-well.dim", ".dim=5", "double-well.=5"] {
        let error = Given::default().set(bad).unwrap_err().to_string();
        assert!(
            error.contains(bad) && error.contains("component.key=value"),
            "{error}"
        );
    }
}
