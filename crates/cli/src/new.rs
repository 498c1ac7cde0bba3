//! `retrograde new`: a crate with a component of the user's own that works as it stands.
//!
//! The templates in `templates/` are valid Rust; the names in them are replaced.

use crate::args::NewArgs;
use crate::inspect::{kind_called, with_registry};
use crate::outcome::{Exit, Output};
use retrograde::core::{Error, Kind, Registry};
use serde_json::json;
use std::path::Path;

const MANIFEST: &str = include_str!("../templates/Cargo.toml.txt");
const LONGEST: usize = 64;
/// Names that Cargo or the crate's own dependencies have.
const TAKEN: [&str; 10] = [
    "alloc",
    "build",
    "core",
    "proc-macro",
    "retrograde",
    "retrograde-plugin",
    "schemars",
    "serde",
    "std",
    "test",
];

pub(crate) fn template(kind: Kind) -> &'static str {
    match kind {
        Kind::Target => include_str!("../templates/target.rs"),
        Kind::Sampler => include_str!("../templates/sampler.rs"),
        Kind::Process => include_str!("../templates/process.rs"),
        Kind::Score => include_str!("../templates/score.rs"),
    }
}

pub(crate) fn new(args: &NewArgs, out: &Output) -> Exit {
    let kind = match kind_called(&args.kind, out) {
        Ok(kind) => kind,
        Err(exit) => return exit,
    };
    let source = template(kind);
    let name = args.name.as_str();
    with_registry(out, |registry| {
        if let Err(why) = check_name(name, kind, source, registry) {
            let text = format!("a {} cannot be called `{name}`: {why}", kind.word());
            out.plain_error(&text, "RG_ERR_ARG");
            return Exit::Usage;
        }
        let fill = |text: &str| {
            text.replace("my-component", name)
                .replace("MyComponent", &type_name(name))
                .replace("VERSION", env!("CARGO_PKG_VERSION"))
        };
        let files = [
            ("Cargo.toml".to_owned(), fill(MANIFEST)),
            ("src/lib.rs".to_owned(), fill(source)),
            (".gitignore".to_owned(), "/target\n".to_owned()),
        ];
        let next = format!(
            "It works as it stands: `cd {name}`, then `cargo test`. Replace the formulas and the \
             known\nanswers in src/lib.rs by your own."
        );
        project(Path::new(name), &files, &next, out)
    })
}

/// Writes a project, tells its files and what to do with them.
pub(crate) fn project(folder: &Path, files: &[(String, String)], next: &str, out: &Output) -> Exit {
    match write(folder, files) {
        Ok(()) => {
            let paths: Vec<String> = files
                .iter()
                .map(|(file, _)| folder.join(file).to_string_lossy().into_owned())
                .collect();
            out.result(
                || json!({ "status": "ok", "files": paths }),
                || format!("wrote {}\n\n{next}\n", paths.join(", ")),
            );
            Exit::Ok
        }
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
            let folder = folder.display();
            let text = format!("{folder} exists already; choose another name, or remove it");
            out.plain_error(&text, "RG_ERR_ARG");
            Exit::Usage
        }
        Err(e) => out.error(&e.into()),
    }
}

/// A name that [`check_shape`] lets pass, and that nothing else has that the file names.
fn check_name(name: &str, kind: Kind, source: &str, registry: &Registry) -> Result<(), String> {
    check_shape(name, kind)?;
    if registry.get(kind, name).is_ok() {
        return Err(format!("there is a {} of that name already", kind.word()));
    }
    check_rust(name, source)
}

/// Lower-case words joined by hyphens.
pub(crate) fn check_shape(name: &str, kind: Kind) -> Result<(), String> {
    let word = |w: &str| {
        !w.is_empty()
            && w.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let shape = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.split('-').all(word);
    if !shape || name.len() > LONGEST {
        return Err(format!(
            "it must be lower-case words of letters and digits joined by `-`, such as \
             `my-{}`, with at most {LONGEST} characters",
            kind.word()
        ));
    }
    Ok(())
}

/// A name of a crate, with its type in `source`.
pub(crate) fn check_rust(name: &str, source: &str) -> Result<(), String> {
    let own = type_name(name);
    let identifiers = source.split(|c: char| !c.is_alphanumeric() && c != '_');
    if TAKEN.contains(&name) || identifiers.into_iter().any(|i| i == own) {
        return Err("Rust or the file needs that name itself".into());
    }
    Ok(())
}

/// `my-target` as `MyTarget`.
pub(crate) fn type_name(name: &str) -> String {
    name.split('-')
        .flat_map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            [first.to_uppercase(), rest.to_owned()]
        })
        .collect()
}

fn write(folder: &Path, files: &[(String, String)]) -> retrograde::Result {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io {
            action: "cannot write",
            path,
            source,
        }
    };
    // Fails where something is there, so that nothing is overwritten.
    std::fs::create_dir(folder).map_err(io(folder))?;
    for (name, text) in files {
        let path = folder.join(name);
        if let Some(within) = path.parent() {
            std::fs::create_dir_all(within).map_err(io(within))?;
        }
        std::fs::write(&path, text).map_err(io(&path))?;
    }
    Ok(())
}
