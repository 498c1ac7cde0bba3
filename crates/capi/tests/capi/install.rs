//! An installed library: found by pkg-config and CMake, from another folder, wherever it was moved.

use retrograde_testkit::compiler::{root, run, workshop};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A prefix with a space in its name, that was installed to another place.
fn installed_and_moved(folder: &Path) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    run(Command::new(root().join("crates/capi/install"))
        .arg(folder.join("first"))
        .arg(test.parent().unwrap()));
    let prefix = folder.join("moved to here");
    std::fs::rename(folder.join("first"), &prefix).unwrap();
    prefix
}

#[test]
fn an_installed_library_is_found_by_pkg_config_wherever_it_is_moved() {
    if Command::new("pkg-config")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("SKIPPED: there is no pkg-config here");
        return;
    }
    let folder = workshop(env!("CARGO_TARGET_TMPDIR"), "installed");
    let prefix = installed_and_moved(&folder);
    for (name, libs) in [
        ("shared", "$(pkg-config --cflags --libs retrograde)"),
        (
            "static",
            "$(pkg-config --cflags retrograde) '\"$PREFIX/lib/libretrograde.a\"' \
             $(pkg-config --static --libs-only-l retrograde | sed s/-lretrograde//)",
        ),
    ] {
        let script = format!("eval cc -std=c99 '\"$LIST\"' {libs} -o {name}");
        run(Command::new("sh")
            .args(["-c", &script])
            .current_dir(&folder)
            .env("PREFIX", &prefix)
            .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
            .env("LIST", root().join("examples/c/list.c")));
        let said = run(Command::new(folder.join(name)).env("LD_LIBRARY_PATH", prefix.join("lib")));
        assert!(said.contains("sampler smc\n"), "{name}: {said}");
    }
    // The shared one is looked for by its name with the version.
    let needed = run(Command::new("readelf").arg("-d").arg(folder.join("shared")));
    let soname = concat!("[libretrograde.so.0.", env!("CARGO_PKG_VERSION_MINOR"), "]");
    assert!(needed.contains(soname), "{needed}");
}

#[test]
fn cargo_c_is_told_of_the_same_files() {
    let folder = workshop(env!("CARGO_TARGET_TMPDIR"), "installed-same");
    let prefix = installed_and_moved(&folder);
    let package = root().join("crates/capi");
    let text = std::fs::read_to_string(package.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let capi = &manifest["package"]["metadata"]["capi"];
    assert_eq!(capi["library"]["name"].as_str(), Some("retrograde"));
    assert_eq!(capi["header"]["generation"].as_bool(), Some(false));
    // cargo-c asks for it.
    assert!(manifest["features"].get("capi").is_some());
    for (kind, to) in [("include", "include"), ("data", "share")] {
        let mut told = BTreeSet::new();
        for asset in capi["install"][kind]["asset"].as_array().unwrap() {
            let (from, below) = (
                asset["from"].as_str().unwrap(),
                asset["to"].as_str().unwrap(),
            );
            let (dir, pattern) = from.rsplit_once('/').unwrap();
            let parts: Vec<&str> = pattern.split('*').collect();
            for file in std::fs::read_dir(package.join(dir)).unwrap() {
                let name = file.unwrap().file_name().into_string().unwrap();
                let is = match parts[..] {
                    [whole] => name == whole,
                    [begin, end] => name.starts_with(begin) && name.ends_with(end),
                    [begin, within, ""] => name.starts_with(begin) && name.contains(within),
                    _ => panic!("{from}: a pattern that this test does not know"),
                };
                if is {
                    told.insert(Path::new(below).join(name));
                }
            }
        }
        let top = prefix.join(to);
        let below = if to == "share" {
            top.join("cmake/retrograde")
        } else {
            top.clone()
        };
        let installed = std::fs::read_dir(below).unwrap().map(|file| {
            let path = file.unwrap().path();
            path.strip_prefix(&top).unwrap().to_owned()
        });
        assert_eq!(installed.collect::<BTreeSet<_>>(), told);
    }
}

const LISTS: &str = r#"
cmake_minimum_required(VERSION 3.16)
project(uses C CXX)
enable_testing()
find_package(retrograde VERSION CONFIG REQUIRED)
add_executable(shared "${SOURCES}/examples/c/list.c")
target_link_libraries(shared PRIVATE retrograde::retrograde)
add_executable(static "${SOURCES}/examples/c/list.c")
target_link_libraries(static PRIVATE retrograde::static)
add_executable(loads "${SOURCES}/crates/capi/tests/capi/programs/loads.c")
target_link_libraries(loads PRIVATE retrograde::retrograde)
retrograde_add_plugin(double-well "${SOURCES}/plugins/c/double-well.c")
retrograde_add_plugin(student "${SOURCES}/plugins/cpp/student.cpp")
target_compile_features(student PRIVATE cxx_std_17)
# Must-fail controls: by hand, and with a function that is nowhere.
add_library(bare MODULE "${SOURCES}/plugins/cpp/student.cpp")
target_compile_features(bare PRIVATE cxx_std_17)
target_link_libraries(bare PRIVATE retrograde::plugin)
retrograde_add_plugin(missing missing.c)
set_target_properties(missing PROPERTIES EXCLUDE_FROM_ALL ON)
"#;

/// A `retrograde` that takes nothing but `plugin check FILE` for plugins of which the name begins so.
const PROGRAM: &str = "#!/bin/sh\n[ $# = 3 ] && [ \"$1 $2\" = 'plugin check' ] && [ -f \"$3\" ] && case ${3##*/} in \
                       BEGINS*) ;; *) exit 1 ;; esac\n";

/// What a library defines for others.
fn exported(library: &Path) -> Vec<String> {
    let said = run(Command::new("nm")
        .args(["-D", "--defined-only", "--format=just-symbols"])
        .arg(library));
    said.lines().map(str::to_owned).collect()
}

/// CMake on the project in `folder`, and the folder that it builds in.
fn configure(folder: &Path, prefix: &Path, version: &str, program: &Path) -> (Command, PathBuf) {
    let text = LISTS.replace("VERSION CONFIG", &format!("{version} CONFIG"));
    std::fs::write(folder.join("CMakeLists.txt"), text).unwrap();
    let build = folder.join(format!("build-{version}"));
    let mut cmake = Command::new("cmake");
    cmake
        .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()))
        .arg(format!("-DSOURCES={}", root().display()))
        .arg(format!("-DRETROGRADE_PROGRAM={}", program.display()))
        .arg("-S")
        .arg(folder)
        .arg("-B")
        .arg(&build);
    (cmake, build)
}

#[test]
fn an_installed_library_is_found_by_cmake_wherever_it_is_moved() {
    if Command::new("cmake").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no CMake here");
        return;
    }
    let folder = workshop(env!("CARGO_TARGET_TMPDIR"), "installed-cmake");
    let prefix = installed_and_moved(&folder);
    let program = folder.join("retrograde");
    let takes = |begins: &str| {
        std::fs::write(&program, PROGRAM.replace("BEGINS", begins)).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
    };
    takes("");
    let missing = "#include <retrograde_plugin.h>\nconst rg_plugin *nowhere(void);\nRG_EXPORT const rg_plugin \
                   *retrograde_plugin_v1(const rg_host *h) { (void)h; return nowhere(); }\n";
    std::fs::write(folder.join("missing.c"), missing).unwrap();
    run(&mut configure(&folder, &prefix, "", &program).0);
    let (mut cmake, build) = configure(&folder, &prefix, "0.1", &program);
    run(&mut cmake);
    run(Command::new("cmake").arg("--build").arg(&build));
    for name in ["shared", "static"] {
        let said = run(&mut Command::new(build.join(name)));
        assert!(said.contains("sampler smc\n"), "{name}: {said}");
    }

    // Plugins: one symbol each, loaded by a program.
    for name in ["double-well.so", "student.so"] {
        assert_eq!(exported(&build.join(name)), ["retrograde_plugin_v1"]);
    }
    assert!(exported(&build.join("libbare.so")).len() > 1);
    let said = run(Command::new(build.join("loads"))
        .arg(build.join("double-well.so"))
        .arg(build.join("student.so")));
    assert_eq!(
        said,
        "target wells/double-well\nprocess pearson/student\n0 -2\n"
    );
    let refused = Command::new("cmake")
        .arg("--build")
        .arg(&build)
        .args(["--target", "missing"])
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&refused.stdout),
        String::from_utf8_lossy(&refused.stderr)
    );
    assert!(
        !refused.status.success() && said.contains("nowhere"),
        "{said}"
    );
    // The program is asked about each, and what it says counts.
    let ctest = |name: &str| {
        let mut ctest = Command::new("ctest");
        ctest.args(["-R", name]).current_dir(&build);
        ctest
    };
    let said = run(&mut ctest("(double-well|student)-check"));
    assert!(said.contains("0 tests failed out of 2"), "{said}");
    takes("double");
    run(&mut ctest("double-well-check"));
    let refused = ctest("student-check").output().unwrap();
    assert!(!refused.status.success(), "what fails its check passes");

    // Another minor version is another library.
    for version in ["0.2", "0.10", "1.0"] {
        let (mut cmake, _) = configure(&folder, &prefix, version, &program);
        let refused = cmake.output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && said.contains("0.1.0"),
            "{said}"
        );
    }
}
