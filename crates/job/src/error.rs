//! Errors of a job.

use crate::config::ConfigError;
use retrograde_core::{Error, Status};
use std::path::PathBuf;

/// Why a job could not be run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The job's text, or what it names, is wrong.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The run failed.
    #[error(transparent)]
    Run(#[from] Error),
    /// The run failed after it had begun; what it had kept is in its directory.
    #[error("{error}")]
    Stopped {
        /// The run directory.
        directory: PathBuf,
        /// Why.
        error: Error,
    },
    /// A run directory cannot be used.
    #[error("{}: {reason}", directory.display())]
    Refused {
        /// The run directory.
        directory: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
}

impl JobError {
    /// The status code that stands for this error across the C boundary.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            JobError::Config(_) | JobError::Refused { .. } => Status::Config,
            JobError::Run(e) | JobError::Stopped { error: e, .. } => e.status(),
        }
    }
}
