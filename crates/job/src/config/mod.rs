//! The configuration engine of a job file.
//!
//! A job is TOML: top-level keys (`seed`, `draws`, …) and one table for each component with its
//! `kind`. Every component publishes a JSON Schema of its settings; [`validate`] checks a table
//! against it, so that built-in components and plugins (which bring only a schema) give the same
//! messages. All problems of a file are reported together, each with its place:
//!
//! ```text
//! text ──parse──▶ Node tree ──apply_override──▶ tree ──validate──▶ diagnostics
//!                                                └──fill_defaults──▶ resolved tree ──to_toml_text──▶ text
//! ```
//!
//! Each [`Node`] knows the text it came from ([`Span`]), a job file or one `--set` argument;
//! [`Sources`] holds these texts and [`ConfigError`] shows them.

mod checks;
mod defaults;
mod diagnostic;
mod document;
mod kind;
mod overrides;
mod parse;
mod path;
mod schema;
mod source;
mod tree;
mod words;
mod write;

#[cfg(test)]
mod broken_inputs;
#[cfg(test)]
mod hostile_inputs;

pub use defaults::fill_defaults;
pub use diagnostic::{ConfigError, Diagnostic, DiagnosticRecord, render};
pub use document::{Document, locate};
pub use kind::{component_kind, unknown_kind};
pub use overrides::{apply_option, apply_override};
pub use parse::{MAX_DEPTH, parse};
pub use path::{PathError, Segment, parse_path};
pub use schema::{validate, validate_component};
pub use source::{MAX_FILE_BYTES, Source, SourceId, Sources, Span, read_source};
pub use tree::{Entry, Node, Table, Value};
pub use words::nearest;
pub use write::to_toml_text;
