//! Runs on disk, a line of JSON each, added when they end.

use super::EvidenceRun;
use crate::error::JobError;
use crate::files::io_error;
use retrograde_core::Error;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// SHA-256 of all that decides its bits.
    job: String,
    run: EvidenceRun,
}

/// A file of runs.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    lines: Vec<Line>,
}

impl Record {
    /// The runs of the file, none if there is no file; a last line that was cut off is none.
    pub(super) fn read(path: &Path) -> Result<Self, JobError> {
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
                        component: "evidence".into(),
                        key: "record".into(),
                        message: format!("line {} of {} is no run: {e}", i + 1, path.display()),
                    }));
                }
            }
        }
        Ok(Self {
            path: path.to_owned(),
            lines,
        })
    }

    /// The run of that job, if it is there.
    pub(super) fn get(&self, job: &str) -> Option<&EvidenceRun> {
        self.lines.iter().find(|l| l.job == job).map(|l| &l.run)
    }

    /// Adds a run, in place of a line that was cut off.
    pub(super) fn add(&self, job: String, run: &EvidenceRun) -> Result<(), JobError> {
        let run = run.clone();
        let mut line = serde_json::to_string(&Line { job, run }).map_err(|e| Error::Breakdown {
            component: "evidence".into(),
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
        Ok(())
    }
}
