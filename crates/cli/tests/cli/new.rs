//! `retrograde new`. That its crates compile and pass their tests is seen to by `.ci/run`, for it
//! takes a minute; here is what it writes and what it refuses.

use crate::lab::Lab;

#[test]
fn a_new_component_is_a_crate_of_that_name() {
    let lab = Lab::new("");
    for (kind, name, own) in [
        ("target", "my-well", "MyWell"),
        ("sampler", "walk2", "Walk2"),
        ("process", "a-b-3", "AB3"),
        ("score", "my-net", "MyNet"),
    ] {
        let said = lab.run(&["new", kind, name]).ended(0);
        assert!(
            said.out.starts_with(&format!("wrote {name}/Cargo.toml")),
            "{}",
            said.out
        );
        assert_eq!(lab.names(name), [".gitignore", "Cargo.toml", "src"]);
        let manifest = lab.text(&format!("{name}/Cargo.toml"));
        assert!(
            manifest.contains(&format!("name = \"{name}\"\n")),
            "{manifest}"
        );
        let needs = format!("retrograde = \"{}\"\n", env!("CARGO_PKG_VERSION"));
        assert!(manifest.contains(&needs), "{manifest}");
        let source = lab.text(&format!("{name}/src/lib.rs"));
        assert!(source.starts_with(&format!("//! {name}: ")), "{source}");
        for part in [
            format!("pub struct {own} {{"),
            format!("{kind} \"{name}\" => {own},"),
            "#[cfg(test)]".into(),
        ] {
            assert!(source.contains(&part), "{part} in {source}");
        }
        assert!(!source.contains("my-component") && !source.contains("MyComponent"));
    }
    let said = lab
        .run(&["new", "targets", "other", "--json"])
        .ended(0)
        .json();
    assert_eq!(said["files"][1], "other/src/lib.rs");
}

#[test]
fn names_that_cannot_be_are_refused_and_nothing_is_written() {
    let lab = Lab::new("");
    lab.write("taken/mine.txt", "mine");
    let before = lab.names(".");
    for (args, words) in [
        (["target", "taken"], "error: taken exists already"),
        (
            ["target", "Mixed"],
            "a target cannot be called `Mixed`: it must be lower-case",
        ),
        (["target", "two words"], "must be lower-case words"),
        (["target", "../up"], "must be lower-case words"),
        (["target", "2nd"], "must be lower-case words"),
        (["target", "a--b"], "must be lower-case words"),
        (["target", "trailing-"], "must be lower-case words"),
        (["target", "größe"], "must be lower-case words"),
        (["target", ""], "must be lower-case words"),
        (["target", &"a".repeat(65)], "at most 64 characters"),
        (
            ["sampler", "hmc"],
            "there is a sampler of that name already",
        ),
        (["target", "serde"], "needs that name itself"),
        (["sampler", "draws"], "needs that name itself"),
        (["tarjet", "mine"], "did you mean `target`?"),
    ] {
        let said = lab.run(&["new", args[0], args[1]]).ended(2);
        assert!(said.err.contains(words), "{args:?}: {}", said.err);
        assert_eq!((said.out.as_str(), lab.names(".")), ("", before.clone()));
    }
    assert_eq!(lab.names("taken"), ["mine.txt"]);
    lab.run(&["new", "target"]).ended(2);
}
