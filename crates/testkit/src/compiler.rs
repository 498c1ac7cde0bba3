//! The C and C++ compilers, and programs made with them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The root of the sources.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder `name` in `within` (a test's `CARGO_TARGET_TMPDIR`) for what a test makes, emptied.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn workshop(within: &str, name: &str) -> PathBuf {
    let folder = Path::new(within).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The C compiler, `$CC` or else `cc`, which takes a warning for an error.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn cc() -> Command {
    compiler("CC", "cc", "C")
}

/// The C++ compiler, `$CXX` or else `c++`, in the same way.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn cxx() -> Command {
    compiler("CXX", "c++", "C++")
}

fn compiler(variable: &str, usual: &str, language: &str) -> Command {
    let program = env::var_os(variable).unwrap_or_else(|| usual.into());
    if let Err(e) = Command::new(&program).arg("--version").output() {
        panic!(
            "this test compiles {language}, but `{}` does not start ({e}): install a {language} compiler \
             (Debian and Ubuntu: apt install gcc g++; Fedora: dnf install gcc gcc-c++; macOS: \
             xcode-select --install) or name one in {variable}",
            program.display()
        );
    }
    let mut command = Command::new(program);
    command.args(["-Wall", "-Wextra", "-pedantic", "-Werror"]);
    command
}

/// Runs a command that must succeed, and gives its output; what it said is shown if it does not.
///
/// # Panics
/// When it does not succeed.
pub fn run(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(
        status.success(),
        "{command:?}: {status}\n{stdout}{}",
        String::from_utf8_lossy(&stderr)
    );
    stdout
}
