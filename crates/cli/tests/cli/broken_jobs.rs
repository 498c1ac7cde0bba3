//! Jobs and command lines with a mistake. Each is told where it is, what is there, what would be
//! right; each ends with exit code 2 and leaves nothing behind.

use crate::lab::{Lab, NORMAL, ULA};
use insta::assert_snapshot;

/// What each job is told by `retrograde run job.toml`.
fn told(jobs: &[(&str, &str)]) -> String {
    let mut all = String::new();
    for (title, job) in jobs {
        all.push_str(&format!("──── {title}\n{}\n", one(job, &[])));
    }
    all
}

/// What a job is told, with further arguments.
fn one(job: impl AsRef<[u8]>, more: &[&str]) -> String {
    let lab = Lab::new(job);
    let mut args = vec!["run", "job.toml"];
    args.extend(more);
    refused(&lab, &args)
}

/// What a command is told that must be refused without leaving anything.
fn refused(lab: &Lab, args: &[&str]) -> String {
    let before = lab.names(".");
    let said = lab.run(args);
    assert_eq!(said.code, Some(2), "{args:?}: {}", said.err);
    assert_eq!(said.out, "", "{args:?}");
    assert_eq!(lab.names("."), before, "{args:?} left something");
    lab.transcript(args)
}

/// What changes of a good job by the command line are told.
fn told_changes(changes: &[&[&str]]) -> String {
    let good = format!("draws = 40\n{NORMAL}{ULA}");
    let all: Vec<String> = changes.iter().map(|more| one(&good, more)).collect();
    all.join("\n")
}

#[test]
fn text_that_is_no_job() {
    let mut all = told(&[
        ("empty", ""),
        ("only a remark", "# to do\n"),
        (
            "no TOML",
            "draws = 40\n[target\nkind = \"standard-normal\"\n",
        ),
        ("no value", "draws =\n"),
        ("unquoted word", "[target]\nkind = standard-normal\n"),
        ("key twice", "draws = 40\nseed = 1\ndraws = 50\n"),
        (
            "table twice",
            "[target]\nkind = \"standard-normal\"\n[target]\ndim = 2\n",
        ),
        ("number beyond 64 bits", "seed = 99999999999999999999\n"),
    ]);
    all.push_str("──── not UTF-8\n");
    all.push_str(&one(b"draws = 40\n# caf\xe9\n", &[]));
    all.push_str("\n──── a folder, and nothing at all\n");
    let lab = Lab::new("");
    lab.write("jobs/a.toml", "");
    all.push_str(&refused(&lab, &["run", "jobs"]));
    all.push_str(&refused(&lab, &["run", "jbo.toml"]));
    all.push_str(&refused(&lab, &["check", "nowhere/job.toml"]));
    assert_snapshot!("text_that_is_no_job", all);
}

#[test]
fn tables_and_kinds() {
    let all = told(&[
        ("no target", ULA),
        ("no sampler", NORMAL),
        ("neither", "draws = 40\n"),
        (
            "target is a string",
            &format!("target = \"standard-normal\"\n{ULA}"),
        ),
        ("no kind", &format!("[target]\ndim = 2\n{ULA}")),
        (
            "kind is a number",
            &format!("{NORMAL}[sampler]\nkind = 3\n"),
        ),
        (
            "unknown target",
            &format!("[target]\nkind = \"standard_normal\"\ndim = 2\n{ULA}"),
        ),
        (
            "unknown sampler",
            &format!("{NORMAL}[sampler]\nkind = \"ulla\"\n"),
        ),
        (
            "misspelt table",
            &format!("{NORMAL}{ULA}[ouput]\ndirectory = \"x\"\n"),
        ),
        (
            "table of something else",
            &format!("{NORMAL}{ULA}[plots]\nsize = 3\n"),
        ),
    ]);
    assert_snapshot!("tables_and_kinds", all);
    // There may be no process or score to choose from.
    for kind in ["process", "score"] {
        let job = format!("{NORMAL}{ULA}[{kind}]\nkind = \"none-such\"\n");
        let said = one(&job, &[]);
        let what = format!("unknown kind \"none-such\" in `{kind}`");
        assert!(
            said.contains(&what) && said.contains("job.toml:7:8"),
            "{said}"
        );
    }
}

#[test]
fn keys_and_types() {
    let all = told(&[
        ("misspelt key", &format!("{NORMAL}{ULA}stepsize = 0.1\n")),
        ("unknown key", &format!("{NORMAL}{ULA}temperature = 0.1\n")),
        (
            "misspelt key at the top",
            &format!("drawz = 10\n{NORMAL}{ULA}"),
        ),
        (
            "misspelt key of the output",
            &format!("{NORMAL}{ULA}[output]\nformat = [\"csv\"]\n"),
        ),
        (
            "required key is missing",
            &format!("[target]\nkind = \"standard-normal\"\n{ULA}"),
        ),
        (
            "string for a number",
            &format!("{NORMAL}{ULA}step_size = \"0.1\"\n"),
        ),
        (
            "fraction for a whole number",
            &format!("{NORMAL}{ULA}chains = 2.5\n"),
        ),
        (
            "number for a list",
            &format!("{NORMAL}{ULA}[output]\nformats = \"csv\"\n"),
        ),
        (
            "unknown format",
            &format!("{NORMAL}{ULA}[output]\nformats = [\"npy\", \"cvs\"]\n"),
        ),
        (
            "list with a word in it",
            &format!("{NORMAL}{ULA}start_mean = [0, \"a\"]\n"),
        ),
        (
            "date for a number",
            &format!("seed = 2020-01-01\n{NORMAL}{ULA}"),
        ),
        (
            "number for a folder",
            &format!("{NORMAL}{ULA}[output]\ndirectory = 5\n"),
        ),
        (
            "several mistakes at once",
            &format!("drawz = 10\nseed = -1\n{NORMAL}{ULA}chains = 0\nwarm_up = 3\n"),
        ),
    ]);
    assert_snapshot!("keys_and_types", all);
}

#[test]
fn numbers_out_of_range() {
    let all = told(&[
        ("no draws", &format!("draws = 0\n{NORMAL}{ULA}")),
        ("negative seed", &format!("seed = -4\n{NORMAL}{ULA}")),
        (
            "too many threads",
            &format!("threads = 5000\n{NORMAL}{ULA}"),
        ),
        (
            "no dimension",
            &format!("[target]\nkind = \"standard-normal\"\ndim = 0\n{ULA}"),
        ),
        ("step size 0", &format!("{NORMAL}{ULA}step_size = 0\n")),
        ("step size inf", &format!("{NORMAL}{ULA}step_size = inf\n")),
        ("negative warm-up", &format!("{NORMAL}{ULA}warmup = -1\n")),
        (
            "negative start_sd",
            &format!("{NORMAL}{ULA}start_sd = [1, -1]\n"),
        ),
        (
            "start_mean nan",
            &format!("{NORMAL}{ULA}start_mean = nan\n"),
        ),
        (
            "checkpoints",
            &format!("{NORMAL}{ULA}[output]\ncheckpoint_seconds = -1\n"),
        ),
        (
            "expected error",
            &format!("{NORMAL}{ULA}[expect]\nlog_z = 0\nlog_z_max_se = 0\n"),
        ),
    ]);
    assert_snapshot!("numbers_out_of_range", all);
}

#[test]
fn numbers_that_do_not_fit_together() {
    let bounds = |b: &str| format!("{NORMAL}bounds = {{ {b} }}\n{ULA}");
    let all = told(&[
        (
            "start_mean too long",
            &format!("{NORMAL}{ULA}start_mean = [0, 0, 0]\n"),
        ),
        ("bounds too long", &bounds("lower = [0, 0, 0]")),
        (
            "lower above upper",
            &bounds("lower = [0, 3], upper = [1, 2]"),
        ),
        ("lower = upper", &bounds("lower = 1, upper = 1")),
        ("bound nan", &bounds("lower = nan")),
        (
            "chains and draws",
            &format!("draws = 40\n{NORMAL}{ULA}chains = 7\n"),
        ),
        ("chains by default", &format!("draws = 42\n{NORMAL}{ULA}")),
        (
            "fewer draws than chains",
            &format!("draws = 3\n{NORMAL}{ULA}chains = 5\n"),
        ),
    ]);
    assert_snapshot!("numbers_that_do_not_fit_together", all);
}

/// Keys of which exactly one is given, and lists and matrices that must fit.
#[test]
fn gaussians() {
    let gaussian = |keys: &str| format!("[target]\nkind = \"gaussian\"\n{keys}\n{ULA}");
    let all = told(&[
        ("no spread", &gaussian("dim = 2")),
        ("two spreads", &gaussian("dim = 2\nvariance = 4\nsd = 2")),
        (
            "all three",
            &gaussian("sd = 2\nvariance = 4\ncovariance = [[4]]"),
        ),
        (
            "variance and covariance",
            &gaussian("variance = 4\ncovariance = [[4]]"),
        ),
        ("no dimension", &gaussian("sd = 2")),
        ("no mean, by mistake", &gaussian("mean = []\nsd = 2")),
        (
            "mean too long",
            &gaussian("dim = 2\nmean = [0, 0, 0]\nsd = 1"),
        ),
        (
            "lists of two lengths",
            &gaussian("mean = [0, 0, 0]\nsd = [1, 1]"),
        ),
        ("sd 0", &gaussian("dim = 2\nsd = 0")),
        ("negative variance", &gaussian("variance = [1, -1]")),
        ("mean inf", &gaussian("mean = [0, inf]\nsd = 1")),
        (
            "covariance is a number",
            &gaussian("dim = 2\ncovariance = 4"),
        ),
        ("covariance is a list", &gaussian("covariance = [1, 2]")),
        (
            "a row too few",
            &gaussian("dim = 3\ncovariance = [[1, 0], [0, 1]]"),
        ),
        (
            "a row too short",
            &gaussian("covariance = [[1, 0.5], [0.5]]"),
        ),
        (
            "not symmetric",
            &gaussian("covariance = [[1, 0.5], [0.4, 1]]"),
        ),
        (
            "not positive definite",
            &gaussian("covariance = [[1, 2], [2, 1]]"),
        ),
        (
            "covariance nan",
            &gaussian("covariance = [[1, nan], [nan, 1]]"),
        ),
        ("log_z inf", &gaussian("dim = 1\nsd = 1\nlog_z = inf")),
    ]);
    assert_snapshot!("gaussians", all);
}

#[test]
fn mixtures() {
    let mixture = |keys: &str| {
        format!("[target]\nkind = \"gaussian-mixture\"\nmeans = [[0, 0], [3, 3]]\n{keys}\n{ULA}")
    };
    let means = |means: &str| {
        format!("[target]\nkind = \"gaussian-mixture\"\nmeans = {means}\nsd = 1\n{ULA}")
    };
    let all = told(&[
        ("no spread", &mixture("")),
        (
            "two spreads",
            &mixture("sd = 1\nvariances = [[1, 1], [1, 1]]"),
        ),
        (
            "the other two",
            &mixture("variances = [[1, 1]]\ncovariances = [[[1]]]"),
        ),
        (
            "keys of the gaussian",
            &mixture("covariance = [[1, 0], [0, 1]]"),
        ),
        ("negative weight", &mixture("sd = 1\nweights = [1, -0.5]")),
        ("no weight", &mixture("sd = 1\nweights = [0, 0]")),
        (
            "a weight too many",
            &mixture("sd = 1\nweights = [0.2, 0.3, 0.5]"),
        ),
        ("sd too short", &mixture("sd = [1]")),
        ("sd 0", &mixture("sd = 0")),
        ("sd negative", &mixture("sd = [1, -1]")),
        (
            "variances of one component",
            &mixture("variances = [[1, 1]]"),
        ),
        ("variances too short", &mixture("variances = [[1, 1], [1]]")),
        ("variance 0", &mixture("variances = [[1, 1], [1, 0]]")),
        ("variances not lists", &mixture("variances = [1, 1]")),
        (
            "one covariance for two",
            &mixture("covariances = [[[1, 0], [0, 1]]]"),
        ),
        (
            "not positive definite",
            &mixture("covariances = [[[1, 0], [0, 1]], [[1, 2], [2, 1]]]"),
        ),
        (
            "a row too short",
            &mixture("covariances = [[[1, 0], [0, 1]], [[1, 0], [0]]]"),
        ),
        ("no means", &means("[]")),
        ("empty means", &means("[[]]")),
        ("means of two lengths", &means("[[0, 1], [0]]")),
        ("means are numbers", &means("[0, 1]")),
        ("mean nan", &means("[[0, nan]]")),
    ]);
    assert_snapshot!("mixtures", all);
}

#[test]
fn other_targets() {
    let target = |keys: &str| format!("[target]\n{keys}\n{ULA}");
    let all = told(&[
        (
            "bounds of three on a plane",
            &target("kind = \"gmm40\"\nbounds = { lower = [-50, -50, -50] }"),
        ),
        (
            "bounds crossed",
            &target("kind = \"gmm40\"\nbounds = { lower = 50, upper = -50 }"),
        ),
        (
            "bounds misspelt",
            &target("kind = \"gmm40\"\nbounds = { min = -50, max = 50 }"),
        ),
        (
            "bounds are a list",
            &target("kind = \"gmm40\"\nbounds = [-50, 50]"),
        ),
        ("gmm40 has no dim", &target("kind = \"gmm40\"\ndim = 2")),
        (
            "more wells than coordinates",
            &target("kind = \"multi-well\"\ndim = 3\nwells = 4"),
        ),
        (
            "more wells than coordinates, by default",
            &target("kind = \"multi-well\"\ndim = 3"),
        ),
        (
            "wells too deep",
            &target("kind = \"multi-well\"\ndelta = 1e5"),
        ),
        ("odd dimension", &target("kind = \"many-well\"\ndim = 5")),
    ]);
    assert_snapshot!("other_targets", all);
}

#[test]
fn particles() {
    let smc = |keys: &str| format!("{NORMAL}[sampler]\nkind = \"smc\"\n{keys}\n");
    let all = told(&[
        ("alpha 0", &smc("alpha = 0")),
        ("alpha 1", &smc("alpha = 1.0")),
        ("alpha nan", &smc("alpha = nan")),
        ("threshold", &smc("resample_threshold = 1.5")),
        ("no moves", &smc("moves = 0")),
        ("no moves at all", &smc("max_moves = 0")),
        ("nothing forgotten", &smc("memory = 1")),
        ("too many moves", &smc("moves = 5000000000")),
        ("unknown move", &smc("move = \"nuts\"")),
        ("no leapfrog", &smc("leapfrog = 0")),
        ("step size", &smc("step_size = -0.1")),
        ("precondition", &smc("precondition = \"full\"")),
        (
            "dense mala",
            &smc("precondition = \"dense\"\nmove = \"mala\""),
        ),
        ("waste of one", &smc("waste_free = 1")),
        ("pilot backwards", &smc("pilot_moves = -1")),
        ("frozen is a number", &smc("frozen = 1")),
        ("no temperatures", &smc("max_temperatures = 0")),
        ("base_sd 0", &smc("base_sd = 0")),
        ("base_sd in one coordinate", &smc("base_sd = [1, -2]")),
        ("base_mean too short", &smc("base_mean = [1]")),
        ("key of the chains", &smc("chains = 4")),
    ]);
    assert_snapshot!("particles", all);
}

#[test]
fn more_than_the_machine_has() {
    // The memory of the machine is part of the message.
    for job in [
        format!("draws = 9223372036854775807\n{NORMAL}{ULA}chains = 1\n"),
        format!("draws = 100000000000\n[target]\nkind = \"standard-normal\"\ndim = 1000000\n{ULA}"),
    ] {
        let said = Lab::new(&job).run(&["run", "job.toml"]).ended(2);
        for words in [
            "need",
            "iB of memory, this machine has",
            "job.toml:1:9",
            "ask for fewer draws",
        ] {
            assert!(said.err.contains(words), "{}", said.err);
        }
    }
}

#[test]
fn arguments() {
    let all = told_changes(&[
        &["--set", "draws"],
        &["--set", "draws="],
        &["--set", "=3"],
        &["--set", "drawz=50"],
        &["--set", "sampler.step_size=fast"],
        &["--set", "sampler.step_size=-0.5"],
        &["--set", "sampler.kind=ulla"],
        &["--set", "target.dim.x=1"],
        &["--set", "sampler.start_mean[3]=1"],
        &["--set", "sampler.start_mean=[1, 2"],
        &["--set", "sampler.start_mean=[1, 2, 3]"],
        &["--seed=-4"],
        &["--seed", "1.5"],
        &["--draws", "many"],
        &["--draws", "41"],
        &["--threads", "all"],
        &["--threads", "5000"],
        &["--threads=-1"],
    ]);
    assert_snapshot!("arguments", all);
}

#[test]
fn run_directories() {
    let lab = Lab::new(format!("draws = 40\n{NORMAL}{ULA}warmup = 0\n"));
    lab.write("notes/remark.txt", "mine");
    lab.write("file", "mine");
    lab.run(&["run", "job.toml", "-o", "done"]).ended(3);
    let mut all: Vec<String> = [
        &["run", "job.toml", "-o", "done"] as &[&str],
        &["run", "job.toml", "--set", "output.directory=done"],
        &["run", "job.toml", "-o", "notes"],
        &["run", "job.toml", "-o", "notes", "--force"],
        &["run", "job.toml", "-o", "file", "--force"],
        &["run", "job.toml", "-o", "file/below"],
        &["run", "job.toml", "-o", ""],
        &["run", "--resume", "nowhere"],
        &["run", "--resume", "notes"],
        &["run", "--resume", "file"],
        &["run", "--resume", "done", "--threads", "many"],
        &["run", "--resume", "done", "--threads", "5000"],
        &["summary", "nowhere"],
        &["summary", "notes"],
        &["summary", "file"],
    ]
    .iter()
    .map(|args| refused(&lab, args))
    .collect();
    assert_eq!(lab.text("notes/remark.txt"), "mine");
    assert_eq!(lab.text("file"), "mine");

    lab.write(
        "job.toml",
        format!("{NORMAL}{ULA}[output]\ndirectory = \"done\"\n"),
    );
    all.push(refused(&lab, &["run", "job.toml"]));
    lab.write("done/report.json", "{");
    all.push(refused(&lab, &["summary", "done"]));
    lab.write("done/manifest.json", "{");
    all.push(refused(&lab, &["run", "--resume", "done"]));
    assert_snapshot!("run_directories", all.join("\n"));
}

#[test]
fn names_of_components() {
    let lab = Lab::new("");
    let all: Vec<String> = [
        &["list", "smapler"] as &[&str],
        &["list", "plots"],
        &["describe", "ulla"],
        &["describe", "nothing-like-it"],
        &["describe", "target", "ula"],
        &["describe", "smapler", "ula"],
        &["describe", "smapler ula"],
        &["describe", "target ula"],
    ]
    .iter()
    .map(|args| refused(&lab, args))
    .collect();
    assert_snapshot!("names_of_components", all.join("\n"));
}

#[test]
fn usage() {
    let lab = Lab::new(format!("{NORMAL}{ULA}"));
    let all: Vec<String> = [
        &["run"] as &[&str],
        &["rnu", "job.toml"],
        &["run", "job.toml", "--sed", "4"],
        &["run", "job.toml", "--resume", "x"],
        &["run", "--resume", "x", "--seed", "4"],
        &["run", "--resume", "x", "--simd", "baseline"],
        &["summary"],
        &["completions", "csh"],
    ]
    .iter()
    .map(|args| refused(&lab, args))
    .collect();
    assert_snapshot!("usage", all.join("\n"));
}

/// The same mistakes as objects for programs: on standard output, nothing on standard error.
#[test]
fn mistakes_as_json() {
    let lab = Lab::new(format!("drawz = 10\n{NORMAL}{ULA}chains = 0\n"));
    let said = lab.run(&["run", "job.toml", "--json"]).ended(2);
    assert_eq!(said.err, "");
    let object = said.json();
    assert_eq!(object["schema_version"], 1);
    assert_eq!(object["status"], "RG_ERR_CONFIG");
    let errors = object["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2);
    let place = |e: &serde_json::Value| (e["file"].clone(), e["line"].clone(), e["column"].clone());
    assert_eq!(place(&errors[0]), ("job.toml".into(), 1.into(), 1.into()));
    assert_eq!(place(&errors[1]), ("job.toml".into(), 7.into(), 10.into()));
    let said = lab.run(&["summary", "nowhere", "--json"]).ended(2);
    assert_eq!(said.err, "");
    assert!(
        said.json()["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("nowhere")
    );
}
