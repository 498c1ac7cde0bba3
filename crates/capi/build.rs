//! Gives the shared library the name that programs look for: it changes with each minor version before 1.0,
//! and with each major one from then on.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let part = |name| std::env::var(name).unwrap_or_default();
    let (major, minor) = (
        part("CARGO_PKG_VERSION_MAJOR"),
        part("CARGO_PKG_VERSION_MINOR"),
    );
    let version = if major == "0" {
        format!("0.{minor}")
    } else {
        major
    };
    match part("CARGO_CFG_TARGET_OS").as_str() {
        "macos" => println!(
            "cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libretrograde.{version}.dylib"
        ),
        "windows" => {}
        _ => println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libretrograde.so.{version}"),
    }
}
