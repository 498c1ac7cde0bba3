//! Where plugins are looked for.
//!
//! In this order, and nowhere else; a folder inside one of these is not entered:
//!
//! 1. the folders in `RETROGRADE_PLUGIN_PATH`, separated as in `PATH`
//! 2. `plugin_dirs = ["/absolute/folder"]` in `$XDG_CONFIG_HOME/retrograde/config.toml` (else `~/.config`)
//! 3. `$XDG_DATA_HOME/retrograde/plugins` (else `~/.local/share`), where installation puts them
//! 4. `../lib/retrograde/plugins` beside the folder of the program
//!
//! A program that runs with more rights than its user has (set-user-ID and the like) looks in the last
//! only, because the user decides about the others. The working directory is never looked at, so
//! relative folders are refused.

use crate::digest::line_of;
use crate::preflight::writable_by_all;
use retrograde_core::{Error, Result};
use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// The variable that names folders.
pub const PLUGIN_PATH: &str = "RETROGRADE_PLUGIN_PATH";

/// What the search asks of the world: the environment and the program itself.
pub struct Surroundings<'a> {
    /// The value of an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The file of this program.
    pub program: Option<PathBuf>,
    /// Whether the program runs with more rights than its user has.
    pub privileged: bool,
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("program", &self.program)
            .field("privileged", &self.privileged)
            .finish_non_exhaustive()
    }
}

impl Surroundings<'static> {
    /// Those of this process.
    #[must_use]
    pub fn here() -> Self {
        Self {
            variable: &|name| env::var_os(name),
            program: env::current_exe().and_then(fs::canonicalize).ok(),
            privileged: privileged(),
        }
    }
}

impl Surroundings<'_> {
    /// A variable that is set and not empty.
    fn get(&self, name: &str) -> Option<OsString> {
        (self.variable)(name).filter(|v| !v.is_empty())
    }

    /// The folder of `variable`, or `usual` in the user's home. What is not absolute counts as not
    /// set, as the XDG specification says; `problems` hears of it.
    fn user(&self, variable: &str, usual: &str, problems: &mut Vec<Problem>) -> Option<PathBuf> {
        let absolute = |name: &str, problems: &mut Vec<Problem>| {
            let path = PathBuf::from(self.get(name)?);
            if path.is_absolute() {
                return Some(path);
            }
            let problem = Problem::of(
                path,
                format!("{name} is not an absolute path, and is ignored"),
            );
            // More than one folder may lie in the home.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
            None
        };
        absolute(variable, problems).or_else(|| Some(absolute(HOME, problems)?.join(usual)))
    }
}

const HOME: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };

/// Whether this process has rights that the user who started it has not.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[allow(unsafe_code, reason = "std does not tell")]
fn privileged() -> bool {
    // SAFETY: reads a number that the kernel gave to the process; 0 if it gave none.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Whether this process has rights that the user who started it has not.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
#[allow(unsafe_code, reason = "std does not tell")]
fn privileged() -> bool {
    // SAFETY: these calls take nothing and cannot fail.
    unsafe { libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid() }
}

/// Other systems give no rights to files of programs.
#[cfg(not(unix))]
fn privileged() -> bool {
    false
}

/// Something that keeps plugins from being found, in a sentence; the search goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file or folder.
    pub path: PathBuf,
    /// The line in the file, from 1.
    pub line: Option<u64>,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Problem {
    /// That a file cannot be loaded.
    pub(crate) fn at(path: &Path, error: &Error) -> Self {
        match error {
            Error::Plugin { file, message } => Self::of(file, message.clone()),
            other => {
                let cause = std::error::Error::source(other).map(|c| format!(": {c}"));
                Self::of(path, format!("{other}{}", cause.unwrap_or_default()))
            }
        }
    }

    fn of(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line: None,
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The folders in which plugins are looked for, in order.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    folders: Vec<Folder>,
    problems: Vec<Problem>,
}

#[derive(Debug, Clone)]
struct Folder {
    path: PathBuf,
    /// Who named it; a folder that nobody named may be missing.
    named: Option<Named>,
}

#[derive(Debug, Clone)]
enum Named {
    Variable,
    Config { file: PathBuf, line: u64 },
    Caller,
}

impl Folders {
    /// The folders that the top of this page lists.
    #[must_use]
    pub fn standard(around: &Surroundings<'_>) -> Self {
        let mut folders = Self::default();
        if !around.privileged {
            folders.variable(around);
            let mut problems = Vec::new();
            if let Some(folder) = around.user("XDG_CONFIG_HOME", ".config", &mut problems) {
                folders.config(&folder.join("retrograde/config.toml"));
            }
            if let Some(folder) = around.user("XDG_DATA_HOME", ".local/share", &mut problems) {
                folders.usual(folder.join("retrograde/plugins"));
            }
            folders.problems.append(&mut problems);
        }
        let prefix = around.program.as_deref().and_then(Path::parent);
        if let Some(prefix) = prefix.and_then(Path::parent) {
            folders.usual(prefix.join("lib/retrograde/plugins"));
        }
        folders
    }

    /// One folder, and no other. It may be relative: who names it here knows where the program runs.
    #[must_use]
    pub fn only(path: impl Into<PathBuf>) -> Self {
        let mut folders = Self::default();
        let path = path.into();
        let path = std::path::absolute(&path).unwrap_or(path);
        folders.add(path, Named::Caller);
        folders
    }

    /// The folders, whether they exist or not.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(|f| f.path.as_path())
    }

    fn usual(&mut self, path: PathBuf) {
        self.folders.push(Folder { path, named: None });
    }

    fn add(&mut self, path: PathBuf, named: Named) {
        if path.is_absolute() {
            self.folders.push(Folder {
                path,
                named: Some(named),
            });
            return;
        }
        let home = if path.starts_with("~") {
            " (`~` is not replaced here)"
        } else {
            ""
        };
        let message = format!("is not an absolute path{home}, and is not searched");
        self.problems.push(named.problem(&path, &message));
    }

    fn variable(&mut self, around: &Surroundings<'_>) {
        let Some(value) = around.get(PLUGIN_PATH) else {
            return;
        };
        // An empty entry, as a trailing colon leaves, names nothing.
        for path in env::split_paths(&value).filter(|p| !p.as_os_str().is_empty()) {
            self.add(path, Named::Variable);
        }
    }

    /// The folders that a configuration file names; it may be missing.
    fn config(&mut self, file: &Path) {
        let text = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return,
            Err(e) => {
                return self
                    .problems
                    .push(Problem::of(file, format!("cannot be read: {e}")));
            }
        };
        if let Some(mode) = fs::metadata(file).ok().as_ref().and_then(writable_by_all) {
            return self.problems.push(Problem::of(
                file,
                format!(
                    "can be changed by everyone (mode {mode:o}), and is ignored; `chmod o-w {}` mends that",
                    file.display()
                ),
            ));
        }
        let text = match String::from_utf8(text) {
            Ok(text) => text,
            Err(e) => {
                let valid = e.utf8_error().valid_up_to();
                let line = e.as_bytes()[..valid]
                    .iter()
                    .filter(|b| **b == b'\n')
                    .count() as u64;
                return self.problems.push(Problem {
                    path: file.into(),
                    line: Some(1 + line),
                    message: format!("is not valid UTF-8 (first bad byte at {valid})"),
                });
            }
        };
        let at = |offset: usize, message: String| Problem {
            path: file.into(),
            line: Some(line_of(&text, offset)),
            message,
        };
        let table = match DeTable::parse(&text) {
            Ok(table) => table,
            Err(e) => {
                let offset = e.span().map_or(0, |s| s.start);
                return self.problems.push(at(offset, e.message().into()));
            }
        };
        for (key, value) in table.get_ref() {
            if key.get_ref() != "plugin_dirs" {
                let message = format!(
                    "no key is called `{}`; this file may have `plugin_dirs`",
                    key.get_ref()
                );
                self.problems.push(at(key.span().start, message));
                continue;
            }
            let DeValue::Array(entries) = value.get_ref() else {
                let message = format!(
                    "`plugin_dirs` is {}, but must be a list of absolute folders, as [\"/home/ada/plugins\"]",
                    value.get_ref().type_str()
                );
                self.problems.push(at(value.span().start, message));
                continue;
            };
            for entry in entries.iter() {
                let offset = entry.span().start;
                match entry.get_ref() {
                    DeValue::String(path) => self.add(
                        PathBuf::from(path.as_ref()),
                        Named::Config {
                            file: file.into(),
                            line: line_of(&text, offset),
                        },
                    ),
                    other => self.problems.push(at(
                        offset,
                        format!(
                            "an entry of `plugin_dirs` is {}, but must be an absolute folder in quotes",
                            other.type_str()
                        ),
                    )),
                }
            }
        }
    }
}

impl Named {
    /// The problem `message` with the folder `path`, told at the place that names it.
    fn problem(&self, path: &Path, message: &str) -> Problem {
        match self {
            Self::Variable => Problem::of(path, format!("{message}; {PLUGIN_PATH} names it")),
            Self::Caller => Problem::of(path, message),
            Self::Config { file, line } => Problem {
                path: file.clone(),
                line: Some(*line),
                message: format!("{} {message}", path.display()),
            },
        }
    }
}

/// The files that may be plugins, and what was in the way.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    /// Folder after folder, in each sorted by name.
    pub files: Vec<PathBuf>,
    /// What could not be searched.
    pub problems: Vec<Problem>,
}

/// Lists the files with the suffix of this system's shared libraries in `folders`, without opening any.
///
/// A standard folder may be missing; for one that was named that is a problem. A folder that comes
/// twice is read once.
#[must_use]
pub fn candidates(folders: &Folders) -> Candidates {
    let mut found = Candidates {
        files: Vec::new(),
        problems: folders.problems.clone(),
    };
    let mut seen = BTreeSet::new();
    for Folder { path, named } in &folders.folders {
        match list(path) {
            Ok(mut files) => {
                if seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())) {
                    found.files.append(&mut files);
                }
            }
            Err(e) if e.kind() == ErrorKind::NotFound && named.is_none() => {}
            Err(e) => {
                let message = match e.kind() {
                    ErrorKind::NotFound => "does not exist".into(),
                    ErrorKind::NotADirectory => "is not a folder".into(),
                    _ => format!("cannot be searched: {e}"),
                };
                found.problems.push(match named {
                    Some(named) => named.problem(path, &message),
                    None => Problem::of(path, message),
                });
            }
        }
    }
    found
}

fn list(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let suffix = Path::new(&name).extension() == Some(OsStr::new(env::consts::DLL_EXTENSION));
        if suffix && !entry.file_type()?.is_dir() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Where `retrograde plugin install` puts plugins: `$XDG_DATA_HOME/retrograde/plugins`.
///
/// # Errors
/// [`Error::Argument`] when neither `XDG_DATA_HOME` nor the home of the user is set to an absolute path.
pub fn user_folder(around: &Surroundings<'_>) -> Result<PathBuf> {
    let mut problems = Vec::new();
    match around.user("XDG_DATA_HOME", ".local/share", &mut problems) {
        Some(folder) => Ok(folder.join("retrograde/plugins")),
        None => Err(Error::Argument {
            component: "the folder for plugins".into(),
            argument: HOME.into(),
            given: match around.get(HOME) {
                Some(value) => value.display().to_string(),
                None => "not set".into(),
            },
            allowed: "an absolute path, unless XDG_DATA_HOME is one".into(),
        }),
    }
}
