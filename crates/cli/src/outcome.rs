//! How a command ends, and how it says so.

use crate::plugins::Choice;
use retrograde::core::Error;
use retrograde::job::JobError;
use retrograde::job::config::ConfigError;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

/// Exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    Diagnostics = 3,
    Interrupted = 130,
}

/// Version of the objects that `--json` writes.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// Text or JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    /// Which plugins are loaded.
    pub(crate) plugins: &'static Choice,
}

impl Output {
    /// Writes the result: the object with its version, or the text.
    pub(crate) fn result(self, object: impl FnOnce() -> Value, text: impl FnOnce() -> String) {
        if self.json {
            let mut whole = json!({ "schema_version": SCHEMA_VERSION });
            if let (Value::Object(whole), Value::Object(object)) = (&mut whole, object()) {
                whole.extend(object);
            }
            print(&format!("{whole:#}\n"));
        } else {
            print(&text());
        }
    }

    /// Tells of an error, and what exit code it means.
    pub(crate) fn error(self, error: &JobError) -> Exit {
        match error {
            JobError::Config(e) => self.config_error(e),
            other => {
                let mut text = other.to_string();
                let mut source = match other {
                    JobError::Stopped { error, .. } => std::error::Error::source(error),
                    other => std::error::Error::source(other),
                };
                while let Some(e) = source {
                    text = format!("{text}: {e}");
                    source = e.source();
                }
                self.plain_error(&text, other.status().name());
                if let JobError::Stopped { directory, error } = other {
                    kept(directory, error);
                }
                match other {
                    JobError::Refused { .. } => Exit::Usage,
                    _ => Exit::Failed,
                }
            }
        }
    }

    fn config_error(self, error: &ConfigError) -> Exit {
        if self.json {
            let errors = json!({ "status": "RG_ERR_CONFIG", "errors": error.records() });
            self.result(|| errors, String::new);
        } else {
            // anstream takes the colour away where it is not wanted.
            message(&error.render(true));
        }
        Exit::Usage
    }

    /// An error that has no place in a job.
    pub(crate) fn plain_error(self, text: &str, status: &str) {
        if self.json {
            let errors = json!({ "status": status, "errors": [{ "message": text }] });
            self.result(|| errors, String::new);
        } else {
            message(&format!("{}: {text}", crate::show::red("error")));
        }
    }
}

/// Tells where the work of a run that failed is, and how to save it.
fn kept(directory: &Path, error: &Error) {
    let directory = directory.display();
    let note = crate::show::cyan("note");
    message(&match error {
        Error::Io { .. } => {
            format!("{note}: once that is mended, `retrograde run --resume {directory}` goes on")
        }
        _ => format!("{note}: what the run had kept by then is in {directory}"),
    });
}

/// Writes to standard output; a reader that went away is no error, a full disk is one.
pub(crate) fn print(text: &str) {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            let error = crate::show::red("error");
            message(&format!("{error}: cannot write to standard output: {e}"));
            std::process::exit(Exit::Failed as i32);
        }
        _ => {}
    }
}

/// Writes a line to standard error.
pub(crate) fn message(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}
