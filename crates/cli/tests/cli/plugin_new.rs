//! `retrograde plugin new`. That its crates compile and pass their tests is seen to by `.ci/run`; here C and C++ are built.

use crate::lab::Lab;
use retrograde_testkit::compiler::{root, run};

/// Files of a project, with their folders.
fn files(lab: &Lab, folder: &str) -> Vec<String> {
    lab.tree(folder).into_keys().collect()
}

#[test]
fn a_new_plugin_in_c_or_cpp_builds_and_passes_its_test() {
    let lab = Lab::new("");
    let header = std::fs::read_to_string(root().join("include/retrograde_plugin.h")).unwrap();
    for kind in ["target", "process", "score", "sampler"] {
        for lang in ["c", "cpp"] {
            let name = format!("my-{kind}-{lang}");
            let said = lab
                .run(&["plugin", "new", kind, "--lang", lang, &name])
                .ended(0);
            assert!(
                said.out
                    .starts_with(&format!("wrote {name}/{name}.{lang}, ")),
                "{}",
                said.out
            );
            let source = format!("{name}.{lang}");
            let mut wanted = vec![
                ".gitignore",
                "Makefile",
                "README.md",
                "include/retrograde_plugin.h",
                &source,
                "test.c",
                "test.h",
            ];
            if lang == "cpp" {
                wanted.insert(4, "include/retrograde_plugin.hpp");
            }
            wanted.sort_unstable();
            assert_eq!(files(&lab, &name), wanted);
            assert_eq!(
                lab.text(&format!("{name}/include/retrograde_plugin.h")),
                header
            );
            for file in wanted.iter().filter(|f| !f.starts_with("include/")) {
                let text = lab.text(&format!("{name}/{file}"));
                for left in ["my-component", "my_component", "MyComponent", "my-kind"] {
                    assert!(!text.contains(left), "{left} in {file}");
                }
            }
            run(std::process::Command::new("make")
                .args(["-s", "all", "self-test"])
                .current_dir(lab.path(&name)));
            run(std::process::Command::new("./self-test").current_dir(lab.path(&name)));
            let file = format!("{name}/{name}.so");
            let said = lab
                .run(&[
                    "plugin",
                    "list",
                    "--no-plugins",
                    "--json",
                    "--plugin",
                    &file,
                ])
                .ended(0)
                .json();
            let component = &said["plugins"][0]["components"][0];
            assert_eq!(component["kind"], kind);
            assert_eq!(component["name"], format!("{name}/{name}"));
            let said = lab.run(&["plugin", "check", &file]).ended(0);
            assert!(said.out.ends_with(" checks passed\n"), "{}", said.out);
        }
    }
    // Its own test finds a mistake.
    let source = lab.text("my-target-c/my-target-c.c");
    let broken = source.replace("-0.5 * precision", "-0.6 * precision");
    assert_ne!(source, broken);
    lab.write("my-target-c/my-target-c.c", broken);
    run(std::process::Command::new("make")
        .args(["-s", "all", "self-test"])
        .current_dir(lab.path("my-target-c")));
    let mut test = std::process::Command::new("./self-test");
    let output = test.current_dir(lab.path("my-target-c")).output().unwrap();
    assert!(!output.status.success());
}

#[test]
fn a_new_plugin_in_rust_is_a_crate_of_that_name() {
    let lab = Lab::new("");
    for kind in ["target", "process", "score", "sampler"] {
        let name = format!("my-{kind}");
        let folder = format!("crates/{kind}");
        std::fs::create_dir_all(lab.path("crates")).unwrap();
        let args = [
            "plugin",
            "new",
            kind,
            "--lang",
            "rust",
            &name,
            "--directory",
            &folder,
        ];
        let said = lab.run(&args).ended(0);
        assert!(
            said.out
                .contains(&format!("`cd {folder}`, then `cargo test --release`")),
            "{}",
            said.out
        );
        assert_eq!(
            files(&lab, &folder),
            [
                ".gitignore",
                "Cargo.toml",
                "README.md",
                "src/lib.rs",
                "tests/plugin.rs"
            ]
        );
        let manifest = lab.text(&format!("{folder}/Cargo.toml"));
        assert!(
            manifest.contains(&format!("name = \"{name}\"\n")),
            "{manifest}"
        );
        let needs = format!("retrograde-plugin = \"{}\"\n", env!("CARGO_PKG_VERSION"));
        assert!(manifest.contains(&needs), "{manifest}");
        let source = lab.text(&format!("{folder}/src/lib.rs"));
        assert!(
            source.contains(&format!("export_plugin! {{\n    \"{name}\", license ")),
            "{source}"
        );
        assert!(
            source.contains("\nuse retrograde_plugin::export_plugin;\n"),
            "{source}"
        );
        assert!(
            !source.contains("register") && !source.contains("registry()"),
            "{source}"
        );
        let test = lab.text(&format!("{folder}/tests/plugin.rs"));
        assert!(
            test.contains(&format!("\"{kind} {name}/{name}\"")),
            "{test}"
        );
    }
}

#[test]
fn names_of_new_plugins_that_cannot_be() {
    let lab = Lab::new("");
    lab.write("taken/mine.txt", "mine");
    let before = lab.names(".");
    for (args, words) in [
        (["target", "c", "taken"], "error: taken exists already"),
        (
            ["target", "c", "My-Well"],
            "a plugin cannot be called `My-Well`: it must be lower-case",
        ),
        (["sampler", "cpp", "../up"], "must be lower-case words"),
        (["score", "c", "test"], "the project needs that name itself"),
        (
            ["process", "rust", "retrograde-plugin"],
            "needs that name itself",
        ),
        (["proces", "c", "mine"], "did you mean `process`?"),
        (
            ["target", "pascal", "mine"],
            "[possible values: rust, c, cpp]",
        ),
    ] {
        let said = lab
            .run(&["plugin", "new", args[0], "--lang", args[1], args[2]])
            .ended(2);
        assert!(said.err.contains(words), "{args:?}: {}", said.err);
        assert_eq!((said.out.as_str(), lab.names(".")), ("", before.clone()));
    }
    assert_eq!(lab.names("taken"), ["mine.txt"]);
}
