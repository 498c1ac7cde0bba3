//! An installed library: found by pkg-config and CMake, from another folder, wherever it was moved.

use retrograde_testkit::compiler::{root, run, workshop};
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

const LISTS: &str = r#"
cmake_minimum_required(VERSION 3.16)
project(uses C)
find_package(retrograde VERSION CONFIG REQUIRED)
add_executable(shared "${LIST}")
target_link_libraries(shared PRIVATE retrograde::retrograde)
add_executable(static "${LIST}")
target_link_libraries(static PRIVATE retrograde::static)
add_library(plugin MODULE "${PLUGIN}")
target_link_libraries(plugin PRIVATE retrograde::plugin m)
"#;

#[test]
fn an_installed_library_is_found_by_cmake_wherever_it_is_moved() {
    if Command::new("cmake").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no CMake here");
        return;
    }
    let folder = workshop(env!("CARGO_TARGET_TMPDIR"), "installed-cmake");
    let prefix = installed_and_moved(&folder);
    let configure = |version: &str| {
        let text = LISTS.replace("VERSION CONFIG", &format!("{version} CONFIG"));
        std::fs::write(folder.join("CMakeLists.txt"), text).unwrap();
        let mut cmake = Command::new("cmake");
        cmake
            .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()))
            .arg(format!(
                "-DLIST={}",
                root().join("examples/c/list.c").display()
            ))
            .arg(format!(
                "-DPLUGIN={}",
                root().join("plugins/c/double-well.c").display()
            ))
            .arg("-S")
            .arg(&folder)
            .arg("-B")
            .arg(folder.join(format!("build-{version}")));
        cmake
    };
    run(&mut configure(""));
    run(&mut configure("0.1"));
    run(Command::new("cmake")
        .arg("--build")
        .arg(folder.join("build-0.1")));
    for name in ["shared", "static"] {
        let said = run(&mut Command::new(folder.join("build-0.1").join(name)));
        assert!(said.contains("sampler smc\n"), "{name}: {said}");
    }
    // Another minor version is another library.
    for version in ["0.2", "0.10", "1.0"] {
        let refused = configure(version).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && said.contains("0.1.0"),
            "{said}"
        );
    }
}
