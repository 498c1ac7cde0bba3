//! Errors of components as diagnostics of the job that asked for it.

use crate::config::{ConfigError, Diagnostic, Document, Node, Span, locate};
use retrograde_core::Error;
use std::path::Path;

/// An error of the component in `table`, with the place in the job that it is about. `base` is the
/// folder that the job's paths are relative to.
pub(crate) fn place(document: &Document, base: &Path, table: &str, error: &Error) -> ConfigError {
    let root = &document.root;
    let key = match error {
        Error::Setting { key, .. } | Error::Settings { key, .. } => key.as_str(),
        Error::Missing { .. } => "kind",
        _ => "",
    };
    let file = match error {
        Error::Data { file, .. } => Some(file),
        Error::Io { path, .. } => Some(path),
        _ => None,
    };
    let header = locate(root, table, "");
    let span = match file {
        Some(file) => file_place(root.at(&[table]), file).or(header),
        None => locate(root, table, key),
    };
    let mut text = match error {
        Error::Data { file, .. } => {
            // The component knows its file as the job names it; the user is elsewhere.
            let (name, found) = (file.display().to_string(), error.to_string());
            found.replacen(&name, &below(base, file).display().to_string(), 1)
        }
        _ => error.to_string(),
    };
    if let Some(source) = std::error::Error::source(error) {
        text = format!("{text}: {source}");
    }
    let mut diagnostic = Diagnostic::new(span, text);
    match error {
        Error::Setting { given, .. } if span == header && given == "missing" => {
            diagnostic = diagnostic.label(format!("has no `{key}`"));
        }
        Error::Setting { .. } if span == header => {
            diagnostic = diagnostic.label(format!("has no `{key}`, so that its default holds"));
        }
        Error::Setting { .. } => diagnostic = diagnostic.label("must be changed"),
        Error::Io { .. } => {
            diagnostic = diagnostic
                .label("this file")
                .help("paths are relative to the folder of the job file");
        }
        Error::Data { .. } => diagnostic = diagnostic.label("this file"),
        _ => {}
    }
    document.error(vec![diagnostic])
}

/// `path` in the folder `base`, without a needless `./`.
pub(crate) fn below(base: &Path, path: &Path) -> std::path::PathBuf {
    if base == Path::new(".") {
        path.to_owned()
    } else {
        base.join(path)
    }
}

/// The place of the string in a table that ends the path of `file`.
fn file_place(table: Option<&Node>, file: &Path) -> Option<Span> {
    let entries = table?.as_table()?.entries();
    entries
        .iter()
        .find(|e| e.node.as_str().is_some_and(|s| file.ends_with(s)))
        .and_then(|e| e.node.span)
}
