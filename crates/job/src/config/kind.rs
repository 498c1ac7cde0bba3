//! The `kind` of a component table.

use super::diagnostic::Diagnostic;
use super::source::Span;
use super::tree::Node;
use super::words::{listed, nearest, value_words};

/// The `kind` of the component table at `path`, which must be one of `kinds`.
///
/// # Errors
/// When `node` is no table, or `kind` is missing, no string or unknown (with the nearest kind).
pub fn component_kind<'k>(
    node: &Node,
    path: &str,
    kinds: impl IntoIterator<Item = &'k str>,
) -> Result<&'k str, Diagnostic> {
    let kinds: Vec<&str> = kinds.into_iter().collect();
    let Some(table) = node.as_table() else {
        let is = value_words(&node.value);
        return Err(
            Diagnostic::new(node.span, format!("`{path}` must be a table, but is {is}"))
                .label("expected a table")
                .help(format!("write `[{path}]` with `kind = \"…\"` below it")),
        );
    };
    let Some(kind) = table.get("kind") else {
        return Err(
            Diagnostic::new(node.span, format!("missing key `kind` in `{path}`"))
                .label("needs `kind`")
                .help(format!("the kinds are {}", listed(kinds))),
        );
    };
    let Some(name) = kind.as_str() else {
        let is = value_words(&kind.value);
        return Err(Diagnostic::new(
            kind.span,
            format!("`{path}.kind` must be a string, but is {is}"),
        )
        .label("expected a string")
        .help(format!("the kinds are {}", listed(kinds))));
    };
    match kinds.iter().find(|k| **k == name) {
        Some(found) => Ok(found),
        None => Err(unknown_kind(kind.span, path, name, kinds)),
    }
}

/// The diagnostic for a `kind` that is not among `kinds`.
pub fn unknown_kind<'k>(
    span: Option<Span>,
    path: &str,
    name: &str,
    kinds: impl IntoIterator<Item = &'k str>,
) -> Diagnostic {
    let kinds: Vec<&str> = kinds.into_iter().collect();
    let label = match nearest(name, kinds.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "unknown kind".to_owned(),
    };
    let known = if kinds.is_empty() {
        format!("this program has no kind of {path}")
    } else {
        format!("the kinds are {}", listed(kinds))
    };
    let known = match name.split_once('/') {
        Some((plugin, _)) => format!(
            "a plugin is found if its file lies in one of the folders that `retrograde plugin list` shows, or is \
             named by `--plugin`: is that of {plugin}? {known}"
        ),
        None => known,
    };
    Diagnostic::new(span, format!("unknown kind {name:?} in `{path}`"))
        .label(label)
        .help(known)
}
