//! The library itself, as a program that samples loads it.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::PathBuf;

/// Where cargo puts it for tests: beside them.
fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap();
    folder.join(format!("{DLL_PREFIX}my_component{DLL_SUFFIX}"))
}

#[test]
fn it_is_loaded_and_found_by_name() {
    let mut registry = retrograde::registry().unwrap();
    let plugin = retrograde::plugins::load_into(&mut registry, &library()).unwrap();
    assert_eq!(plugin.name, "my-component");
    let label = "my-kind my-component/my-component";
    assert!(registry.iter().any(|c| c.label() == label), "{label}");
}
