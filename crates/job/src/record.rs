//! Runs on disk, a line of JSON each, added when they end.

use crate::error::JobError;
use crate::files::io_error;
use retrograde_core::Error;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A line.
#[derive(Debug, Serialize, Deserialize)]
struct Line<R> {
    /// SHA-256 of all that decides its bits.
    job: String,
    run: R,
}

/// A file of runs.
#[derive(Debug)]
pub(crate) struct Record<R> {
    /// The command that keeps it, for errors.
    owner: &'static str,
    path: PathBuf,
    lines: Vec<Line<R>>,
}

impl<R: Clone + Serialize + DeserializeOwned> Record<R> {
    /// The runs of the file, none if there is no file; a last line that was cut off is none.
    pub(crate) fn read(owner: &'static str, path: &Path) -> Result<Self, JobError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(io_error("cannot read", path)(e).into()),
        };
        let all: Vec<&str> = text.split_inclusive('\n').collect();
        let mut lines = Vec::new();
        for (i, line) in all.iter().enumerate() {
            match serde_json::from_str(line) {
                Ok(run) => lines.push(run),
                Err(_) if i + 1 == all.len() && !line.ends_with('\n') => {}
                Err(e) => {
                    return Err(JobError::Run(Error::Settings {
                        component: owner.into(),
                        key: "record".into(),
                        message: format!("line {} of {} is no run: {e}", i + 1, path.display()),
                    }));
                }
            }
        }
        Ok(Self {
            owner,
            path: path.to_owned(),
            lines,
        })
    }

    /// The run of that job, if it is there.
    pub(crate) fn get(&self, job: &str) -> Option<&R> {
        self.lines.iter().find(|l| l.job == job).map(|l| &l.run)
    }

    /// Adds a run, in place of a line that was cut off.
    pub(crate) fn add(&mut self, job: String, run: &R) -> Result<(), JobError> {
        let run = run.clone();
        let added = Line { job, run };
        let mut line = serde_json::to_string(&added).map_err(|e| Error::Breakdown {
            component: self.owner.into(),
            message: format!("a run cannot be written: {e}"),
            advice: "report it".into(),
        })?;
        line.push('\n');
        let old = std::fs::read(&self.path).unwrap_or_default();
        let whole = old.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let write = || {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&self.path)?;
            file.set_len(whole as u64)?;
            file.seek(SeekFrom::End(0))?;
            file.write_all(line.as_bytes())?;
            file.sync_data()
        };
        write().map_err(io_error("cannot write", &self.path))?;
        self.lines.push(added);
        Ok(())
    }
}
