//! Errors with the numbers inside.

use crate::status::Status;
use std::path::PathBuf;

/// Shorthand for results of this crate.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// Everything that can go wrong, with the numbers a person needs to mend it.
///
/// Outcomes that are no failures (a divergence, a low effective sample size) are not errors: they
/// are reported through [`Sink::flag`](crate::Sink::flag).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A pointer that must not be NULL is NULL.
    #[error("`{argument}` is NULL")]
    Null {
        /// Name of the argument.
        argument: String,
    },
    /// An argument of a call is out of range.
    #[error("{component}: `{argument}` is {given}, but must be {allowed}")]
    Argument {
        /// The component or function.
        component: String,
        /// The argument.
        argument: String,
        /// What was given.
        given: String,
        /// What would be right.
        allowed: String,
    },
    /// An array has the wrong shape.
    #[error("{component}: {what} has {found}, expected {expected}")]
    Shape {
        /// The component that was called.
        component: String,
        /// The array.
        what: String,
        /// The shape it must have.
        expected: String,
        /// The shape it has.
        found: String,
    },
    /// A string is not valid UTF-8.
    #[error("{what} is not valid UTF-8 (first bad byte at {offset})")]
    Utf8 {
        /// The string.
        what: String,
        /// Byte offset of the first bad byte.
        offset: usize,
    },
    /// A setting is wrong.
    #[error("{component}: `{key}` is {given}, but must be {allowed}")]
    Setting {
        /// The component, for example `sampler hmc`.
        component: String,
        /// The key, dotted when nested.
        key: String,
        /// What was given.
        given: String,
        /// What would be right.
        allowed: String,
    },
    /// The settings of a component could not be read.
    #[error("{component}: {message}{}", if key.is_empty() { String::new() } else { format!(" (at `{key}`)") })]
    Settings {
        /// The component.
        component: String,
        /// Dotted path to the key, empty when unknown.
        key: String,
        /// What the reader said.
        message: String,
    },
    /// A data file has a mistake.
    #[error("{}{}{}: {message}", file.display(), line.map(|l| format!(":{l}")).unwrap_or_default(), column.map(|c| format!(":{c}")).unwrap_or_default())]
    Data {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: Option<u64>,
        /// Column (field), from 1.
        column: Option<u64>,
        /// What is wrong and what would be right.
        message: String,
    },
    /// No component of that name.
    #[error("no {kind} is called `{found}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownKind {
        /// What was looked for: target, process, score, sampler.
        kind: &'static str,
        /// The name that was given.
        found: String,
        /// The nearest known name.
        nearest: Option<String>,
    },
    /// A component lacks an ability that another needs.
    #[error("{component} needs {needed}, which {holder} does not have; {advice}")]
    Missing {
        /// Who needs it.
        component: String,
        /// The ability.
        needed: String,
        /// Who lacks it.
        holder: String,
        /// What to do.
        advice: String,
    },
    /// The caller's buffer is too small.
    #[error("`{argument}` holds {given} elements, {needed} are needed")]
    Buffer {
        /// The buffer.
        argument: String,
        /// Its size.
        given: usize,
        /// The size needed.
        needed: usize,
    },
    /// Versions do not fit.
    #[error("{what} is version {found}, this library has {expected}")]
    Version {
        /// What has a version.
        what: String,
        /// The version found.
        found: String,
        /// The version wanted.
        expected: String,
    },
    /// A plugin could not be loaded or broke its contract.
    #[error("plugin {}: {message}", file.display())]
    Plugin {
        /// The shared library.
        file: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A callback returned an error.
    #[error("{component} returned status {code}{}", if text.is_empty() { String::new() } else { format!(": {text}") })]
    Callback {
        /// The component.
        component: String,
        /// Its status code.
        code: i32,
        /// Its words.
        text: String,
    },
    /// A number is not finite where it must be.
    #[error("{component}: {what} is not finite{} ({count} of {total} evaluated points failed); {advice}", match (row, step) { (Some(r), Some(s)) => format!(" first at row {r} in step {s}"), (Some(r), None) => format!(" first at row {r}"), _ => String::new() })]
    NonFinite {
        /// The component.
        component: String,
        /// The quantity.
        what: String,
        /// Row of the first failure.
        row: Option<usize>,
        /// Step of the first failure.
        step: Option<u64>,
        /// Failed points so far.
        count: u64,
        /// Points evaluated so far.
        total: u64,
        /// What to try.
        advice: String,
    },
    /// A method broke down.
    #[error("{component}: {message}; {advice}")]
    Breakdown {
        /// The component.
        component: String,
        /// What happened.
        message: String,
        /// What to try.
        advice: String,
    },
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A component was called on a thread it may not be called on.
    #[error("{component} may only be called on the thread that started the run")]
    WrongThread {
        /// The component.
        component: String,
    },
    /// Reading or writing failed.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried, for example `cannot write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// Memory could not be had, or a size does not fit into the address space.
    #[error("{what} would need {bytes} bytes; {advice}")]
    Memory {
        /// What it was for.
        what: String,
        /// How much, saturating.
        bytes: u128,
        /// What to try.
        advice: String,
    },
    /// A panic was caught.
    #[error("internal error (panic): {message}")]
    Panic {
        /// The panic's text.
        message: String,
    },
    /// The object was left in an unknown state by an earlier panic.
    #[error("{what} is unusable after an earlier internal error")]
    Poisoned {
        /// The object.
        what: String,
    },
    /// The run did not finish.
    #[error("the run did not finish: {what}")]
    Incomplete {
        /// What is missing.
        what: String,
    },
    /// The object is in use.
    #[error("{what} is in use by another call")]
    Busy {
        /// The object.
        what: String,
    },
    /// A saved state cannot be read.
    #[error("{component}: the saved state cannot be read: {message}")]
    State {
        /// The sampler.
        component: String,
        /// Why.
        message: String,
    },
}

impl Error {
    /// The status code that stands for this error across the C boundary.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Null { .. } => Status::Null,
            Self::Argument { .. } => Status::Arg,
            Self::Shape { .. } => Status::Dim,
            Self::Utf8 { .. } => Status::Utf8,
            Self::Setting { .. } | Self::Settings { .. } | Self::Data { .. } => Status::Config,
            Self::UnknownKind { .. } => Status::NotFound,
            Self::Missing { .. } => Status::Unsupported,
            Self::Buffer { .. } => Status::Buffer,
            Self::Version { .. } => Status::Abi,
            Self::Plugin { .. } => Status::Plugin,
            // What a component says across a boundary keeps its meaning.
            Self::Callback { code, .. } => match Status::from_code(*code) {
                Some(status) if status != Status::Ok => status,
                _ => Status::Callback,
            },
            Self::NonFinite { .. } | Self::Breakdown { .. } => Status::Numeric,
            Self::Cancelled => Status::Cancelled,
            Self::WrongThread { .. } => Status::Thread,
            Self::Io { .. } | Self::State { .. } => Status::Io,
            Self::Memory { .. } => Status::Memory,
            Self::Panic { .. } => Status::Panic,
            Self::Poisoned { .. } => Status::Poisoned,
            Self::Incomplete { .. } => Status::Incomplete,
            Self::Busy { .. } => Status::Busy,
        }
    }

    /// A setting of `component` is wrong: `key` was `given`, and must be `allowed`.
    pub fn setting(
        component: impl Into<String>,
        key: impl Into<String>,
        given: impl std::fmt::Display,
        allowed: impl Into<String>,
    ) -> Self {
        Self::Setting {
            component: component.into(),
            key: key.into(),
            given: given.to_string(),
            allowed: allowed.into(),
        }
    }

    /// An array `what` of `component` has a shape other than the one expected.
    pub fn shape(
        component: impl Into<String>,
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Shape {
            component: component.into(),
            what: what.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, Status};

    /// One error of each variant.
    fn one_of_each() -> Vec<Error> {
        let t = || String::from("x");
        vec![
            Error::Null { argument: t() },
            Error::Argument {
                component: t(),
                argument: t(),
                given: t(),
                allowed: t(),
            },
            Error::shape("x", "x", "x", "x"),
            Error::Utf8 {
                what: t(),
                offset: 3,
            },
            Error::setting("x", "x", 1, "2"),
            Error::Settings {
                component: t(),
                key: t(),
                message: t(),
            },
            Error::Data {
                file: "f".into(),
                line: Some(1),
                column: None,
                message: t(),
            },
            Error::UnknownKind {
                kind: "target",
                found: t(),
                nearest: None,
            },
            Error::Missing {
                component: t(),
                needed: t(),
                holder: t(),
                advice: t(),
            },
            Error::Buffer {
                argument: t(),
                given: 1,
                needed: 2,
            },
            Error::Version {
                what: t(),
                found: t(),
                expected: t(),
            },
            Error::Plugin {
                file: "f".into(),
                message: t(),
            },
            Error::Callback {
                component: t(),
                code: 99,
                text: t(),
            },
            Error::NonFinite {
                component: t(),
                what: t(),
                row: Some(1),
                step: Some(2),
                count: 3,
                total: 4,
                advice: t(),
            },
            Error::Breakdown {
                component: t(),
                message: t(),
                advice: t(),
            },
            Error::Cancelled,
            Error::WrongThread { component: t() },
            Error::Io {
                action: "cannot read",
                path: "f".into(),
                source: std::io::Error::other("x"),
            },
            Error::Memory {
                what: t(),
                bytes: 1,
                advice: t(),
            },
            Error::Panic { message: t() },
            Error::Poisoned { what: t() },
            Error::Incomplete { what: t() },
            Error::Busy { what: t() },
            Error::State {
                component: t(),
                message: t(),
            },
        ]
    }

    #[test]
    fn the_errors_cover_the_status_table_and_say_something() {
        let errors = one_of_each();
        for status in Status::ALL.into_iter().filter(|s| *s != Status::Ok) {
            assert!(errors.iter().any(|e| e.status() == status), "{status:?}");
        }
        for e in errors {
            let text = e.to_string();
            assert!(!text.is_empty() && !text.ends_with('.'), "{text}");
        }
    }

    #[test]
    fn codes_are_their_places_and_unknown_ones_are_refused() {
        for (i, s) in Status::ALL.iter().enumerate() {
            let code = i32::try_from(i).unwrap();
            assert_eq!(*s as i32, code);
            assert_eq!(Status::from_code(code), Some(*s));
        }
        assert_eq!(Status::from_code(21), None);
        assert_eq!(Status::from_code(-1), None);
    }
}
