//! Plugins as a user meets them: found, listed, installed, used in a job, and what is said when that fails.

use crate::lab::{Lab, NORMAL, Said, ULA};
use insta::assert_snapshot;
use retrograde_testkit::compiler::{cc, root, run};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Compiles a plugin to the folder of a lab, or of the tests.
pub(crate) fn compile(file: &Path, source: &str, options: &[&str]) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let include = root().join("include");
    run(cc()
        .args(["-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden"])
        .arg(format!("-I{}", include.display()))
        .arg(root().join(source))
        .args(options)
        .arg("-o")
        .arg(file)
        .arg("-lm"));
}

/// `plugins/c/barker.c`, compiled once.
pub(crate) fn barker() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-plugins/barker.so");
        compile(&file, "plugins/c/barker.c", &[]);
        file
    })
}

/// The same source as another file.
pub(crate) fn other_barker(file: &Path) {
    compile(file, "plugins/c/barker.c", &["-DOTHER", "-O0"]);
}

/// The plugin with the one target `demo/well` that the tests of the loader spoil by macros.
fn well(file: &Path, macros: &[&str]) {
    let mut options = vec!["-w".to_owned(), "-O0".into(), "-fvisibility=default".into()];
    options.extend(macros.iter().map(|m| format!("-D{m}")));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    compile(file, "crates/host/tests/host/descriptor.c", &options);
}

/// Where a user's plugins are, in a lab.
pub(crate) const USER: &str = "data/retrograde/plugins";

/// A lab with the sampler plugin installed, and this job.
pub(crate) fn lab(job: impl AsRef<[u8]>) -> Lab {
    let lab = Lab::new(job);
    let file = lab.path(&format!("{USER}/barker.so"));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::copy(barker(), file).unwrap();
    lab
}

/// A transcript without digests and what lies outside of the lab.
fn transcript(lab: &Lab, args: &[&str]) -> String {
    let text = lab.transcript(args);
    let mut all = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let filtered: Vec<String> = words
            .into_iter()
            .map(|w| {
                let digits = w.chars().filter(char::is_ascii_hexdigit).count();
                if digits >= 12
                    && !w.starts_with("1000000000")
                    && w.trim_end_matches(['…', ')', ',', '"']).len() == digits
                {
                    format!("‹{digits} digits›")
                } else if w.ends_with("lib/retrograde/plugins") {
                    "‹prefix›/lib/retrograde/plugins".into()
                } else {
                    w.to_owned()
                }
            })
            .collect();
        let line = filtered.join(" ");
        all.push_str(
            match line.split_once("the kinds are ") {
                Some((before, _)) => format!("{before}the kinds are ‹kinds›"),
                None => line.clone(),
            }
            .as_str(),
        );
        all.push('\n');
    }
    all
}

#[test]
fn what_is_found_is_listed_and_described() {
    let lab = lab("");
    let mut all = transcript(&lab, &["plugin", "list"]);
    for args in [
        ["describe", "chains/barker"].as_slice(),
        &["describe", "sampler", "chains/barker-unsaved"],
        // As messages name it.
        &["describe", "sampler chains/barker-unsaved"],
        &["describe", "chains/baker"],
        &["plugin", "list", "--no-plugins"],
    ] {
        all.push_str(&transcript(&lab, args));
    }
    assert_snapshot!("what_is_found", all);

    let said = lab.run(&["list", "samplers"]).ended(0);
    assert!(said.out.contains("\n  chains/barker "), "{}", said.out);
    assert_eq!(said.err, "");
    let said = lab.run(&["list", "samplers", "--no-plugins"]).ended(0);
    assert!(!said.out.contains("chains/"), "{}", said.out);

    let said = lab.run(&["plugin", "list", "--json"]).ended(0).json();
    let plugin = &said["plugins"][0];
    assert_eq!(plugin["name"], "chains");
    assert_eq!(plugin["version"], "0.1.0");
    assert_eq!(plugin["license"], "MIT OR Apache-2.0");
    let file = lab.path(&format!("{USER}/barker.so"));
    assert_eq!(
        plugin["file"],
        file.canonicalize().unwrap().to_str().unwrap()
    );
    // `sha256sum` is not ours.
    let sum = run(std::process::Command::new("sha256sum").arg(&file));
    assert_eq!(plugin["sha256"], sum[..64]);
    assert_eq!(plugin["components"][1]["name"], "chains/barker-unsaved");
    assert_eq!(said["folders"][0]["exists"], true);
    assert_eq!(said["problems"], serde_json::json!([]));
    let said = lab
        .run(&["describe", "chains/barker", "--json"])
        .ended(0)
        .json();
    assert_eq!(
        &said["components"][0]["plugin"]["sha256"],
        &plugin["sha256"]
    );
}

#[test]
fn what_cannot_be_loaded_is_told_and_stops_nothing() {
    let lab = lab("");
    lab.write(&format!("{USER}/a.so"), "no library");
    well(&lab.path(&format!("{USER}/b.so")), &["DEFAULT=\"11\""]);
    std::fs::copy(barker(), lab.path(&format!("{USER}/copy.so"))).unwrap();
    lab.write(
        "config/retrograde/config.toml",
        "\nplugin_dirs = [\"plugins\"]\n",
    );
    assert_snapshot!("problems", transcript(&lab, &["plugin", "list"]));
    let said = lab.run(&["list"]).ended(0);
    assert!(said.out.contains("chains/barker"), "{}", said.out);
    assert_eq!(
        said.err.matches("warning: plugin ").count(),
        4,
        "{}",
        said.err
    );
    let said = lab.run(&["plugin", "list", "--json"]).ended(0).json();
    let problems = said["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 4);
    assert_eq!(problems[0]["line"], 2);
    // One that is named must load.
    let said = lab
        .run(&["list", "--plugin", "data/retrograde/plugins/a.so"])
        .ended(1);
    assert!(said.err.starts_with("error: plugin "), "{}", said.err);
    assert!(
        said.err
            .contains("a.so: is no shared library: it begins with"),
        "{}",
        said.err
    );
    // The same file by two ways is no problem.
    std::fs::remove_dir_all(lab.path("data")).unwrap();
    std::fs::remove_dir_all(lab.path("config")).unwrap();
    std::fs::create_dir_all(lab.path(USER)).unwrap();
    std::fs::copy(barker(), lab.path(&format!("{USER}/b.so"))).unwrap();
    let twice = ["list", "--plugin", "data/retrograde/plugins/b.so"];
    assert_eq!(lab.run(&twice).ended(0).err, "");
}

const JOB: &str = "draws = 40\n[target]\nkind = \"standard-normal\"\ndim = 2\n[sampler]\nkind = \"chains/barker\"\n";

#[test]
fn settings_of_a_plugin_with_a_mistake() {
    let mut all = String::new();
    for keys in [
        "warmpu = 10\n",
        "thin = 0\n",
        "acceptance = 1.5\n",
        "warmup = 2.5\n",
        "start_sd = [1]\n",
        "scale = 0\n",
        "chains = 7\n",
    ] {
        let lab = lab(format!("{JOB}{keys}"));
        let said = lab.run(&["run", "job.toml"]);
        assert_eq!(
            (said.code, said.out.as_str()),
            (Some(2), ""),
            "{keys}: {}",
            said.err
        );
        all.push_str(&format!(
            "──── {keys}{}\n",
            transcript(&lab, &["run", "job.toml"])
        ));
    }
    assert_snapshot!("settings", all);
}

/// What is seen when a run begins is an error of the settings as well, even without a key: at the head of
/// its table.
#[test]
fn settings_that_are_refused_without_a_key_when_a_run_begins() {
    let source = std::fs::read_to_string(root().join("plugins/c/barker.c")).unwrap();
    let keyed = r#"return host->cfg_refuse(call, "chains", given, allowed);"#;
    let plain = r#"return host->fail(call, RG_ERR_CONFIG, "these chains do not suit");"#;
    assert_eq!(source.matches(keyed).count(), 1);
    let lab = Lab::new(format!("{JOB}chains = 7\n"));
    lab.write("barker.c", source.replace(keyed, plain));
    let (file, from) = (lab.path("barker.so"), lab.path("barker.c"));
    compile(&file, from.to_str().unwrap(), &[]);
    for command in ["run", "check"] {
        let said = lab
            .run(&[command, "job.toml", "--plugin", "barker.so"])
            .ended(2);
        for line in [": these chains do not suit\n", " --> job.toml:5:1\n"] {
            assert!(said.err.contains(line), "{}", said.err);
        }
    }
}

#[test]
fn kinds_of_plugins_that_are_not_loaded() {
    let job = |kind: &str| JOB.replace("chains/barker", kind);
    let mut all = String::new();
    let lab1 = lab(job("chains/baker"));
    all.push_str(&transcript(&lab1, &["run", "job.toml"]));
    let lab2 = Lab::new(JOB);
    all.push_str(&transcript(&lab2, &["check", "job.toml"]));
    let lab3 = lab(JOB);
    all.push_str(&transcript(&lab3, &["run", "job.toml", "--no-plugins"]));
    let lab4 = lab(format!("draws = 40\n{NORMAL}{ULA}").replace("ula", "ulla"));
    all.push_str(&transcript(&lab4, &["run", "job.toml"]));
    assert_snapshot!("kinds", all);
    // By its file it is there.
    let file = barker().to_str().unwrap();
    lab2.run(&["check", "job.toml", "--plugin", file]).ended(0);
    lab3.run(&["check", "job.toml", "--no-plugins", "--plugin", file])
        .ended(0);
}

#[test]
fn a_plugin_is_installed_and_used() {
    let lab = Lab::new(JOB);
    let file = barker().to_str().unwrap();
    lab.run(&["check", "job.toml"]).ended(2);
    let said = lab.run(&["plugin", "install", file]).ended(0);
    assert_eq!(said.err, "");
    let there = lab.path(&format!("{USER}/barker.so"));
    let words = format!(
        "plugin chains 0.1.0 installed as {}\nSHA-256 ",
        there.display()
    );
    assert!(said.out.starts_with(&words), "{}", said.out);
    assert_eq!(lab.names(USER), ["barker.so", "barker.so.toml"]);
    lab.run(&["check", "job.toml"]).ended(0);
    // Again, and another of its name.
    let said = lab
        .run(&["plugin", "install", file, "--json"])
        .ended(0)
        .json();
    assert_eq!(said["plugin"]["file"], there.to_str().unwrap());
    assert_eq!(said["replaced"], serde_json::Value::Null);
    let other = lab.path("other.so");
    other_barker(&other);
    let said = lab.run(&["plugin", "install", "other.so"]).ended(1);
    assert!(
        said.err
            .contains("another file of that name is installed already: chains 0.1.0"),
        "{}",
        said.err
    );
    let said = lab
        .run(&["plugin", "install", "other.so", "--force"])
        .ended(0);
    assert!(said.out.contains("installed in place of "), "{}", said.out);
    assert_eq!(lab.names(USER), ["other.so", "other.so.toml"]);
    assert_eq!(
        lab.read(&format!("{USER}/other.so")),
        std::fs::read(other).unwrap()
    );
    lab.run(&["check", "job.toml"]).ended(0);
}

/// The last line of an installation that must fail and leave nothing.
#[track_caller]
fn not_installed(lab: &Lab, args: &[&str]) -> String {
    let all = [["plugin", "install"].as_slice(), args].concat();
    let Said { code, out, err } = lab.run(&all);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert_eq!(lab.names(USER), [""; 0]);
    err.lines().last().unwrap().to_owned()
}

#[test]
fn a_plugin_that_ends_its_host_is_not_installed_and_ends_only_another_process() {
    let lab = Lab::new("");
    for (macros, words) in [
        (
            ["ENTRY=abort();"],
            "error: plugin bad.so: ended the program that loaded it: signal 6 (SIGABRT)",
        ),
        (
            ["ENTRY=*(volatile int *)8 = 1;"],
            "error: plugin bad.so: ended the program that loaded it: signal 11 (SIGSEGV)",
        ),
        (
            ["ENTRY=exit(7);"],
            "error: plugin bad.so: ended the program that loaded it: exit code 7",
        ),
        (
            ["ENTRY=exit(0);"],
            "error: plugin bad.so: ended the program that loaded it: exit code 0",
        ),
        (
            ["ENTRY=puts(\"hello\"); fflush(stdout); return &plugin;"],
            "error: plugin bad.so: writes to standard output when it is loaded, where results belong",
        ),
    ] {
        well(&lab.path("bad.so"), &macros);
        assert_eq!(not_installed(&lab, &["bad.so"]), words);
        assert_eq!(
            not_installed(&lab, &["bad.so", "--no-check", "--force"]),
            words
        );
    }
    well(&lab.path("bad.so"), &["DEFAULT=\"11\""]);
    let said = not_installed(&lab, &["bad.so"]);
    assert!(
        said.ends_with("`depth`: its default \"11\" must be a number from 0 to 10"),
        "{said}"
    );
    let said = not_installed(&lab, &["none.so"]);
    assert!(
        said.contains("cannot read the plugin") && said.contains("No such file"),
        "{said}"
    );
}

#[test]
fn a_plugin_that_will_not_be_found_is_installed_with_a_warning() {
    let lab = Lab::new("");
    well(&lab.path("well.so"), &[]);
    let said = lab
        .run(&["plugin", "install", "well.so", "--into", "mine"])
        .ended(0);
    let mine = lab.path("mine");
    let words = format!(
        "warning: {} is not searched; name it in RETROGRADE_PLUGIN_PATH",
        mine.display()
    );
    assert!(said.err.starts_with(&words), "{}", said.err);
    assert_eq!(lab.names("mine"), ["well.so", "well.so.toml"]);
    let mut command = lab.command(&["plugin", "install", "well.so", "--into", "mine"]);
    let said = Said::new(
        &command
            .env("RETROGRADE_PLUGIN_PATH", &mine)
            .output()
            .unwrap(),
    );
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    // Another of its name lies before it.
    well(&lab.path("well.so"), &["VERSION=\"0.2.0\""]);
    let mut command = lab.command(&["plugin", "install", "well.so"]);
    let said = Said::new(
        &command
            .env("RETROGRADE_PLUGIN_PATH", &mine)
            .output()
            .unwrap(),
    );
    assert_eq!(said.code, Some(0));
    assert_eq!(
        said.err,
        format!(
            "warning: {} is found before it, which is plugin demo 0.1.0 and will be used instead\n",
            mine.join("well.so").display()
        )
    );
}
