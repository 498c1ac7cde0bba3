//! Programs in C that are linked against the library, and what they find.

use crate::count::installed;
use retrograde::Run;
use retrograde::core::registry::{Folder, Parts};
use retrograde_testkit::compiler::{cc, cxx, root, run, workshop};
use std::collections::BTreeSet;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// A program, linked against the shared library.
fn program(source: &str, options: &[&str]) -> PathBuf {
    let source = root().join(source);
    let name = source.file_stem().unwrap().to_str().unwrap();
    let folder = installed(
        &format!("{DLL_PREFIX}retrograde_capi{DLL_SUFFIX}"),
        &format!(
            "program-{name}-{}",
            options.concat().replace(['/', ' '], "")
        ),
    );
    let program = folder.join(name);
    let mut compiler = if source.extension().is_some_and(|e| e == "cpp") {
        cxx()
    } else {
        cc()
    };
    run(compiler
        .args(["-pedantic", "-Wall", "-Wextra", "-Werror", "-g"])
        .args(options)
        .arg("-I")
        .arg(root().join("include"))
        .arg(source)
        .arg("-L")
        .arg(&folder)
        .arg("-lretrograde")
        .args(["-Xlinker", "-rpath", "-Xlinker"])
        .arg(&folder)
        .arg("-lm")
        .arg("-o")
        .arg(&program));
    program
}

const ALL: &str = "crates/capi/tests/capi/programs/all.c";
const FAULTS: &str = "crates/capi/tests/capi/programs/faults.c";
const FREES: &str = "crates/capi/tests/capi/programs/frees.c";
const WRAPPED: &str = "crates/capi/tests/capi/programs/wrapped.cpp";

fn plugin(folder: &Path) -> PathBuf {
    let file = folder.join("double-well.so");
    run(cc()
        .args(["-std=c11", "-fPIC", "-shared", "-fvisibility=hidden", "-I"])
        .arg(root().join("include"))
        .arg(root().join("plugins/c/double-well.c"))
        .arg("-lm")
        .arg("-o")
        .arg(&file));
    file
}

#[test]
fn every_function_and_every_status() {
    let program = program(ALL, &["-std=c99"]);
    let plugin = plugin(program.parent().unwrap());
    let folder = workshop(env!("CARGO_TARGET_TMPDIR"), "all-runs");
    let said = run(Command::new(&program).arg(folder).arg(&plugin));
    assert_eq!(said, "every function, every status\n");
    // It names each function that the header declares.
    let source = std::fs::read_to_string(root().join(ALL)).unwrap();
    for (name, _) in crate::header::declared() {
        assert!(
            source.contains(&format!("{name}(")),
            "all.c never calls {name}"
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_library_exports_what_the_header_declares_and_nothing_else() {
    let folder = installed("libretrograde_capi.so", "program-symbols");
    let said = run(Command::new("nm")
        .args(["-D", "--defined-only", "--format=just-symbols"])
        .arg(folder.join("libretrograde.so")));
    let exported: BTreeSet<String> = said.lines().map(str::to_owned).collect();
    let declared: BTreeSet<String> = crate::header::declared().into_iter().map(|p| p.0).collect();
    assert_eq!(exported, declared);
}

#[test]
fn classes_of_cpp() {
    for standard in ["-std=c++17", "-std=c++20"] {
        let program = program(WRAPPED, &[standard, "-pthread"]);
        let folder = workshop(env!("CARGO_TARGET_TMPDIR"), "classes-runs");
        assert_eq!(run(Command::new(program).arg(folder)), "every class\n");
    }
}

#[test]
fn a_lattice_in_cpp_agrees_with_the_built_in() {
    let program = program("examples/cpp/phi4.cpp", &["-std=c++17", "-O2"]);
    let said = run(&mut Command::new(program));
    assert!(said.starts_with("log Z: "), "{said}");
}

/// Whether a tool is there that the project does not ask for.
pub(crate) fn there(tool: &str) -> bool {
    let there = Command::new(tool).arg("--version").output().is_ok();
    if !there {
        eprintln!("SKIPPED: there is no {tool} here");
    }
    there
}

pub(crate) const JOB: &str = "[target]\nkind = \"gmm40\"\n[sampler]\nkind = \"ula\"\n";

/// The numbers of a table, by their bits.
pub(crate) fn bits(table: &str) -> Vec<u64> {
    let words = table.split_whitespace();
    words.map(|w| w.parse::<f64>().unwrap().to_bits()).collect()
}

/// 200 draws of that job by a program in Rust.
pub(crate) fn bits_of_rust() -> Vec<u64> {
    let registry = retrograde::registry().unwrap();
    let files = Folder::default();
    let parts = Parts::new(&files);
    let none = toml::Table::new;
    let target = registry.target("gmm40", none(), &parts).unwrap();
    let parts = parts.with_target(target.clone());
    let sampler = registry.sampler("ula", none(), &parts).unwrap();
    let job = Run::shared(target).shared_sampler(sampler);
    let result = job.draws(200).seed(11).run().unwrap();
    // Chain after chain.
    let bits: Vec<u64> = result.draws().iter().map(|v| v.to_bits()).collect();
    assert_eq!((bits.len(), result.draws().dim().0), (400, 4));
    bits
}

#[test]
fn every_language_gets_the_bits_of_rust() {
    let want = bits_of_rust();
    let c = program("examples/c/draws.c", &["-std=c99"]);
    let folder = c.parent().unwrap().to_owned();
    let job = folder.join("job.toml");
    std::fs::write(&job, JOB).unwrap();
    let cpp = program("examples/cpp/draws.cpp", &["-std=c++17"]);
    let mut others = vec![Command::new(c), Command::new(cpp)];
    if there("gfortran") {
        let fortran = folder.join("draws-f90");
        run(Command::new("gfortran")
            .args(["-std=f2008ts", "-Wall", "-Werror", "-J"])
            .arg(&folder)
            .arg(root().join("examples/fortran/draws.f90"))
            .arg("-L")
            .arg(&folder)
            .args(["-lretrograde", "-Xlinker", "-rpath", "-Xlinker"])
            .arg(&folder)
            .arg("-o")
            .arg(&fortran));
        others.push(Command::new(fortran));
    }
    if there("python3") {
        let library = folder.join(format!("{DLL_PREFIX}retrograde{DLL_SUFFIX}"));
        let mut python = Command::new("python3");
        python
            .arg(root().join("examples/python/draws.py"))
            .arg(library);
        others.push(python);
    }
    for command in &mut others {
        let said = run(command.arg(&job).args(["11", "200"]));
        assert_eq!(bits(&said), want, "{command:?}");
    }
    // The comparison can fail.
    let other = program("examples/c/draws.c", &["-std=c99"]);
    std::fs::write(&job, JOB).unwrap();
    let said = run(Command::new(other).arg(&job).args(["12", "200"]));
    assert_ne!(bits(&said), want);
}

/// What README.md prints between marks of that language and has a line with that word.
pub(crate) fn printed(language: &str, word: &str) -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mark = format!("```{language}\n");
    let block = readme
        .split(&mark)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .find(|block| block.contains(word));
    block
        .unwrap_or_else(|| panic!("README.md has no {language} with {word}"))
        .to_owned()
}

/// That a program of README.md told log Z of two wells in each of two coordinates.
pub(crate) fn assert_wells(said: &str) {
    // By quadrature, plugins/c/double-well.c.
    const LOG_Z: f64 = 2.0 * 0.344_238_219_7;
    let value = said.split("log Z = ").nth(1).unwrap();
    let value = value.split([' ', ',']).next().unwrap();
    let value: f64 = value.parse().unwrap();
    // The standard error of 4000 particles is 0.014.
    assert!((value - LOG_Z).abs() < 0.07, "{said}");
}

#[test]
fn the_programs_of_the_readme_run_as_printed() {
    for (language, include, standard, suffix) in [
        ("c", "retrograde.h", "-std=c99", "c"),
        ("cpp", "retrograde.hpp", "-std=c++17", "cpp"),
    ] {
        let folder = workshop(env!("CARGO_TARGET_TMPDIR"), &format!("readme-{language}"));
        let source = folder.join(format!("wells.{suffix}"));
        std::fs::write(&source, printed(language, include)).unwrap();
        let said = run(&mut Command::new(program(
            source.to_str().unwrap(),
            &[standard],
        )));
        assert_wells(&said);
    }
}

#[test]
fn valgrind_finds_nothing() {
    if !there("valgrind") {
        return;
    }
    let clean = |program: &Path, arguments: &[&Path]| {
        run(Command::new("valgrind")
            .args([
                "-q",
                "--error-exitcode=9",
                "--leak-check=full",
                "--errors-for-leak-kinds=definite",
            ])
            .arg(format!(
                "--suppressions={}",
                root().join("plugins/valgrind.supp").display()
            ))
            .arg(program)
            .args(arguments))
    };
    let all = program(ALL, &["-std=c99", "-DVALGRIND"]);
    let plugin = plugin(all.parent().unwrap());
    let folder = workshop(env!("CARGO_TARGET_TMPDIR"), "all-valgrind");
    assert_eq!(
        clean(&all, &[&folder, &plugin]),
        "every function, every status\n"
    );
    let wrapped = program(WRAPPED, &["-std=c++17", "-pthread", "-DVALGRIND"]);
    assert_eq!(clean(&wrapped, &[]), "every class\n");
}

const SANITIZE: &str = "-fsanitize=address,undefined";

/// Whether programs that the sanitizers watch can be built and run here: their libraries come apart from the compiler.
fn sanitizers() -> bool {
    static THERE: LazyLock<bool> = LazyLock::new(|| {
        let folder = workshop(env!("CARGO_TARGET_TMPDIR"), "sanitizers");
        let source = folder.join("none.c");
        std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        let run = |(i, mut with): (usize, Command)| {
            let program = folder.join(format!("none-{i}"));
            let built = with.arg(SANITIZE).arg(&source).arg("-o").arg(&program);
            let built = built.output().unwrap().status.success();
            built && Command::new(program).status().is_ok_and(|s| s.success())
        };
        [cc(), cxx()].into_iter().enumerate().all(run)
    });
    if !*THERE {
        eprintln!("SKIPPED: the compilers have no libraries for {SANITIZE} here");
    }
    *THERE
}

/// A program with its own side watched.
fn watched(source: &str, options: &[&str]) -> PathBuf {
    let mut all = vec![SANITIZE, "-fno-sanitize-recover=all"];
    all.extend(options);
    program(source, &all)
}

/// What such a program says, and whether all was well.
fn says(program: &Path, arguments: &[&Path]) -> (bool, String) {
    let done = Command::new(program)
        .args(arguments)
        .env("ASAN_OPTIONS", "detect_leaks=1")
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (done.status.success(), said)
}

#[test]
fn sanitizers_find_nothing() {
    if !sanitizers() {
        return;
    }
    let folder = workshop(env!("CARGO_TARGET_TMPDIR"), "all-sanitized");
    let plugin = plugin(&folder);
    let runs = folder.join("runs");
    std::fs::create_dir(&runs).unwrap();
    let (clean, said) = says(&watched(ALL, &["-std=c99"]), &[&runs, &plugin]);
    assert!(clean && said == "every function, every status\n", "{said}");
    let (clean, said) = says(&watched(WRAPPED, &["-std=c++17", "-pthread"]), &[]);
    assert!(clean && said == "every class\n", "{said}");
}

#[test]
fn sanitizers_find_what_is_wrong() {
    if !sanitizers() {
        return;
    }
    let program = watched(FAULTS, &["-std=c99"]);
    for (fault, found) in [
        ("none", "no fault"),
        ("twice", "AddressSanitizer: attempting double-free"),
        ("overrun", "AddressSanitizer: heap-buffer-overflow"),
        ("leak", "LeakSanitizer: detected memory leaks"),
        ("overflow", "runtime error: signed integer overflow"),
    ] {
        let (clean, said) = says(&program, &[Path::new(fault)]);
        assert!(
            clean == (fault == "none") && said.contains(found),
            "{fault}: {said}"
        );
    }
}

#[test]
fn frees_in_any_order_on_threads() {
    let options = ["-std=c11", "-pthread"];
    let mut programs = vec![program(FREES, &options)];
    if sanitizers() {
        programs.push(watched(FREES, &options));
    }
    let folder = workshop(env!("CARGO_TARGET_TMPDIR"), "frees-runs");
    for (i, program) in programs.iter().enumerate() {
        let frees = |seed: &str, fault: &[&Path]| {
            let runs = folder.join(format!("{i}-{seed}-{}", fault.len()));
            std::fs::create_dir_all(&runs).unwrap();
            let arguments = [&[Path::new(seed), Path::new("2"), &runs], fault].concat();
            let said = says(program, &arguments);
            std::fs::remove_dir_all(runs).unwrap();
            said
        };
        for seed in ["1", "2", "3"] {
            let (clean, said) = frees(seed, &[]);
            assert!(clean && said == "every drop once\n", "seed {seed}: {said}");
        }
        for (fault, found) in [
            ("keep", "everything is freed, but not dropped"),
            ("early", "dropped while it is held"),
        ] {
            let (clean, said) = frees("1", &[Path::new(fault)]);
            assert!(!clean && said.contains(found), "{fault}: {said}");
        }
    }
}
