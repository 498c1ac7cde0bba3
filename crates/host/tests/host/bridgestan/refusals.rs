//! Libraries, data and settings with a mistake, each with its own sentence.

use super::{build, counter, folder, usual};
use serde_json::json;
use std::path::Path;

/// The sentence of a build that must fail, with `<folder>` for the folder.
fn refusal(folder: &Path, settings: &serde_json::Value) -> String {
    match build(folder, settings) {
        Ok(_) => panic!("{settings} was taken"),
        Err(e) => {
            let source = std::error::Error::source(&e).map_or(String::new(), |s| format!(": {s}"));
            format!("{e}{source}").replace(&folder.display().to_string(), "<folder>")
        }
    }
}

#[test]
fn a_model_that_says_nothing_is_quoted_as_such() {
    let folder = folder("mute", &["MUTE"]);
    assert_eq!(
        refusal(&folder, &json!({"library": "model.so"})),
        "target bridgestan: the model cannot be made without `data`: it failed and did not say why (at \
         `library`)"
    );
}

#[test]
fn libraries_that_are_none_are_refused_with_a_sentence() {
    const WANTED: &str =
        "but must be a shared library that BridgeStan 2 made of a Stan program with parameters";
    for (name, defines, words) in [
        (
            "old",
            &["OLD"][..],
            "which was built by BridgeStan 1.0 or older",
        ),
        ("new", &["MAJOR=3"], "which was built by BridgeStan 3.7"),
        (
            "none",
            &["NONE"],
            "which has none of BridgeStan's functions",
        ),
        (
            "lacks",
            &["LACKS"],
            "which says that it is BridgeStan 2 but lacks `bs_log_density`",
        ),
        (
            "empty",
            &["EMPTY"],
            "whose model `normal_model` has no parameters",
        ),
        (
            "misnamed",
            &["NAMES"],
            "whose model says that it has 2 constrained parameters but names 1",
        ),
    ] {
        assert_eq!(
            refusal(&folder(name, defines), &usual()),
            format!("target bridgestan: `library` is <folder>/model.so, {words}, {WANTED}"),
        );
    }
    let folder = folder("no-library", &[]);
    std::fs::write(folder.join("model.so"), "no library at all").unwrap();
    let found = refusal(&folder, &usual());
    let start = "target bridgestan: `library` is <folder>/model.so, which cannot be loaded (";
    assert!(
        found.starts_with(start) && found.ends_with(WANTED),
        "{found}"
    );
    std::fs::remove_file(folder.join("model.so")).unwrap();
    assert_eq!(
        refusal(&folder, &usual()),
        "cannot read <folder>/model.so: No such file or directory (os error 2)"
    );
}

#[test]
fn data_that_do_not_suit_are_refused_with_a_sentence() {
    let folder = folder("data", &[]);
    assert_eq!(
        refusal(&folder, &json!({"library": "model.so"})),
        "target bridgestan: the model cannot be made without `data`: construct() failed with exception: \
         Exception: variable does not exist; processing stage=data initialization; variable name=y (at \
         `library`)"
    );
    let with = |data: &[u8]| {
        std::fs::write(folder.join("data.json"), data).unwrap();
        refusal(&folder, &usual())
    };
    assert_eq!(
        with(b"{\"N\": 3}"),
        "target bridgestan: the model cannot be made from data.json: construct() failed with exception: \
         Exception: variable does not exist; processing stage=data initialization; variable name=y (at \
         `data`)"
    );
    let object = "data.json: is no JSON object; the data of a Stan program are one, such as {\"N\": 2, \
                  \"y\": [1, 2]}";
    for text in [&b""[..], b"  \n", b"[1, 2]", b"other.json", b"\xff\xfe{"] {
        assert_eq!(with(text), object);
    }
    assert_eq!(
        with(b"{\n\"y\": [1\0]}"),
        "data.json:2: has a zero byte, which no JSON text has"
    );
    std::fs::remove_file(folder.join("data.json")).unwrap();
    assert_eq!(
        refusal(&folder, &usual()),
        "cannot read <folder>/data.json: No such file or directory (os error 2)"
    );
    assert_eq!(
        counter(&folder, "test_messages"),
        0,
        "messages that were not freed"
    );
}

#[test]
fn settings_with_a_mistake_are_refused_by_name() {
    let folder = folder("settings", &[]);
    let with = |key: &str, value: serde_json::Value| {
        let mut settings = usual();
        settings[key] = value;
        refusal(&folder, &settings)
    };
    assert!(refusal(&folder, &json!({})).contains("missing field `library`"));
    assert!(with("seeds", json!(1)).contains("unknown field `seeds`"));
    for seed in [json!(-1), json!(4_294_967_296_u64), json!(1.5)] {
        assert!(with("seed", seed).contains("(at `seed`)"));
    }
    assert!(with("generated_quantities", json!(1)).contains("(at `generated_quantities`)"));
}

#[test]
fn a_library_that_changed_after_it_was_loaded_is_refused() {
    let folder = folder("changed", &[]);
    build(&folder, &usual()).unwrap();
    // The same bytes are the same library, though it is another file.
    let bytes = std::fs::read(folder.join("model.so")).unwrap();
    let put = |bytes: &[u8]| {
        std::fs::remove_file(folder.join("model.so")).unwrap();
        std::fs::write(folder.join("model.so"), bytes).unwrap();
    };
    put(&bytes);
    build(&folder, &usual()).unwrap();
    let mut other = bytes.clone();
    other.push(0);
    put(&other);
    assert_eq!(
        refusal(&folder, &usual()),
        "target bridgestan: `library` is <folder>/model.so, which was loaded by this program before and has \
         changed since, but must be a library of another name, or the same one in a program that is started \
         anew"
    );
}
