//! The registry holds the same components in a Rust program, in the shared and in the static
//! library. Registrations vanish without a word when the linker sees no use for the object file
//! they lie in, from static libraries most of all.

use retrograde_testkit::compiler::{cc, root, run, workshop};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a program needs beside the static library, from `rustc --print native-static-libs`.
pub(crate) const NATIVE: &[&str] = if cfg!(target_os = "macos") {
    &["-liconv", "-lSystem", "-lc", "-lm"]
} else {
    &[
        "-lgcc_s",
        "-lutil",
        "-lrt",
        "-lpthread",
        "-lm",
        "-ldl",
        "-lc",
    ]
};

/// The library as it is named when installed, alone in a folder of its own, so that the linker has
/// no choice.
pub(crate) fn installed(built: &str, name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let file = test.parent().unwrap().join(built);
    assert!(
        file.is_file(),
        "there is no {}: Cargo builds it beside this test as long as crates/capi/Cargo.toml has \
         the crate-types cdylib, staticlib and rlib",
        file.display()
    );
    let folder = workshop(env!("CARGO_TARGET_TMPDIR"), name);
    let extension = file.extension().unwrap();
    let copy = folder.join("libretrograde").with_extension(extension);
    fs::copy(&file, copy).unwrap();
    // Its own name, by which programs look for it.
    let version = env!("CARGO_PKG_VERSION_MINOR");
    let named = match extension.to_str() {
        Some("so") => Some(format!("libretrograde.so.0.{version}")),
        Some("dylib") => Some(format!("libretrograde.0.{version}.dylib")),
        _ => None,
    };
    if let Some(named) = named {
        fs::copy(&file, folder.join(named)).unwrap();
    }
    folder
}

/// examples/c/list.c, linked against the library in `folder`.
fn list_program(folder: &Path, extra: &[&str]) -> Command {
    let program = folder.join("list");
    run(cc()
        .arg("-std=c99")
        .arg("-I")
        .arg(root().join("include"))
        .arg(root().join("examples/c/list.c"))
        .arg("-L")
        .arg(folder)
        .arg("-lretrograde")
        .args(["-Xlinker", "-rpath", "-Xlinker"])
        .arg(folder)
        .args(extra)
        .arg("-o")
        .arg(&program));
    Command::new(program)
}

fn shared() -> Command {
    let built = format!("{DLL_PREFIX}retrograde_capi{DLL_SUFFIX}");
    list_program(&installed(&built, "shared library"), &[])
}

fn archive() -> Command {
    list_program(&installed("libretrograde_capi.a", "static library"), NATIVE)
}

/// `kind name` of every component, as this Rust program has them.
fn here() -> String {
    let registry = retrograde::registry().unwrap();
    let lines = registry
        .iter()
        .map(|c| format!("{} {}\n", c.kind().word(), c.name));
    lines.collect()
}

/// `kind name` of every `register!` in the sources of the crates of components, sorted as the
/// registry sorts.
fn registered() -> String {
    let mut found = Vec::new();
    for package in fs::read_dir(root().join("crates")).unwrap() {
        let package = package.unwrap();
        // Its toys are for tests, and no library has them.
        if package.file_name() != "testkit" {
            scan(&package.path().join("src"), &mut found);
        }
    }
    let order = ["target", "process", "score", "sampler"];
    found.sort_by_key(|(kind, name)| (order.iter().position(|k| k == kind), name.clone()));
    let lines = found
        .into_iter()
        .map(|(kind, name)| format!("{kind} {name}\n"));
    lines.collect()
}

fn scan(path: &Path, found: &mut Vec<(String, String)>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            scan(&entry.unwrap().path(), found);
        }
        return;
    }
    let text = fs::read_to_string(path).unwrap();
    for block in text.split("\nregister! {\n").skip(1) {
        let block = block.split("\n}\n").next().unwrap();
        for line in block.lines().filter(|l| l.contains(" => ")) {
            let (kind, rest) = line.trim().split_once(" \"").unwrap();
            let (name, _) = rest.split_once('"').unwrap();
            found.push((kind.to_owned(), name.to_owned()));
        }
    }
}

#[test]
fn all_that_is_registered_is_in_the_binary() {
    let here = here();
    assert!(!here.is_empty());
    assert_eq!(here, registered());
}

#[test]
fn the_shared_library_has_the_same_components() {
    assert_eq!(run(&mut shared()), here());
}

#[test]
fn the_static_library_has_the_same_components() {
    assert_eq!(run(&mut archive()), here());
}
