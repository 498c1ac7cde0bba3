//! The run directory: who may write it, and what a run depends on.

use crate::config::{ConfigError, Diagnostic, Document, locate};
use crate::error::JobError;
use crate::files::{InputFile, io_error, sha256, write_atomically};
use crate::plan::Plan;
use crate::report::Report;
use retrograde_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Version of the layout of a run directory.
const LAYOUT: u32 = 1;

/// What a run depends on, so that a resumed one is the same: `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout of the directory.
    pub layout: u32,
    /// Name and version of the program.
    pub program: String,
    /// CPU architecture; its kind is part of the identity of the bits.
    pub architecture: String,
    /// The job as the user wrote it; absent if it came from no file.
    pub source: Option<InputFile>,
    /// SHA-256 of the resolved `job.toml`.
    pub job_sha256: String,
    /// Folder that paths in the job are relative to.
    pub base: PathBuf,
    /// Files that components read.
    pub files: Vec<InputFile>,
}

/// An open run directory, locked against others.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory of a new run. A default directory that is taken is numbered; a chosen one
    /// is an error, unless `force` and it is a run directory.
    pub(crate) fn create(
        document: &Document,
        plan: &Plan,
        name: &str,
        force: bool,
    ) -> std::result::Result<Self, JobError> {
        let chosen = plan.output.directory.as_deref();
        let fail = |message: String, help: &str| {
            let place = chosen.and_then(|_| locate(&document.root, "output", "directory"));
            let d = Diagnostic::new(place, message)
                .label("the run directory")
                .help(help);
            JobError::Config(ConfigError::new(document.sources.clone(), vec![d]))
        };
        let path = match chosen {
            Some(path) => PathBuf::from(path),
            None => free_directory(name),
        };
        if occupied(&path) {
            if !force {
                return Err(fail(
                    format!("the run directory {} exists already", path.display()),
                    "choose another with `-o`, or replace it with `--force`",
                ));
            }
            if !path.join("manifest.json").is_file() {
                return Err(fail(
                    format!(
                        "{} is not a run directory, so it is not replaced",
                        path.display()
                    ),
                    "choose another with `-o`",
                ));
            }
            clear(&path)?;
        }
        if let Err(e) = std::fs::create_dir_all(&path) {
            return Err(fail(
                format!("cannot make the run directory {}: {e}", path.display()),
                "choose a place that can be written with `-o`",
            ));
        }
        Self::lock(&path).map_err(|e| {
            fail(
                e.to_string(),
                "choose a place that can be written with `-o`",
            )
        })
    }

    /// Opens the directory of an earlier run.
    pub(crate) fn open(path: &Path) -> std::result::Result<Self, JobError> {
        if !path.join("manifest.json").is_file() {
            return Err(refused(
                path,
                "it is not a run directory (it has no manifest.json)",
            ));
        }
        Ok(Self::lock(path)?)
    }

    fn lock(path: &Path) -> Result<Self> {
        let name = path.join(".lock");
        let lock = File::create(&name).map_err(io_error("cannot write", &name))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy {
                what: format!("the run directory {}", path.display()),
            }),
            Err(TryLockError::Error(e)) => Err(io_error("cannot lock", &name)(e)),
        }
    }

    /// Writes the resolved job and the manifest.
    pub(crate) fn begin(&self, plan: &Plan, source: Option<InputFile>, base: &Path) -> Result {
        let manifest = Manifest {
            layout: LAYOUT,
            program: program(),
            architecture: std::env::consts::ARCH.into(),
            source,
            job_sha256: sha256(plan.resolved.as_bytes()),
            base: base.canonicalize().unwrap_or_else(|_| base.to_owned()),
            files: plan.files.clone(),
        };
        write_atomically(&self.file("job.toml"), |out| {
            out.write_all(plan.resolved.as_bytes())
        })?;
        self.write_json("manifest.json", &manifest)
    }

    pub(crate) fn write_json(&self, name: &str, value: &impl Serialize) -> Result {
        write_atomically(&self.file(name), |out| {
            serde_json::to_writer_pretty(&mut *out, value)?;
            out.write_all(b"\n")
        })
    }

    /// The manifest, after everything it names was found unchanged.
    pub(crate) fn verified(&self) -> std::result::Result<Manifest, JobError> {
        let name = self.file("manifest.json");
        let text = std::fs::read(&name).map_err(io_error("cannot read", &name))?;
        let m: Manifest = serde_json::from_slice(&text)
            .map_err(|e| refused(&self.path, &format!("manifest.json cannot be read: {e}")))?;
        if m.layout != LAYOUT || m.program != program() || m.architecture != std::env::consts::ARCH
        {
            return Err(refused(
                &self.path,
                &format!(
                    "it was begun by {} on {}, and this is {} on {}, which may give other bits; \
                     resume it with that version, or run the job anew",
                    m.program,
                    m.architecture,
                    program(),
                    std::env::consts::ARCH
                ),
            ));
        }
        let job = InputFile {
            path: self.file("job.toml"),
            sha256: m.job_sha256.clone(),
        };
        // The job as the user wrote it may be gone; if it is there it must be the same.
        let source = m.source.iter().filter(|f| f.path.exists());
        for file in std::iter::once(&job).chain(source).chain(&m.files) {
            let bytes = std::fs::read(&file.path).map_err(io_error("cannot read", &file.path))?;
            if sha256(&bytes) != file.sha256 {
                return Err(refused(
                    &self.path,
                    &format!(
                        "{} has changed since the run began; put it back as it was, or run the job anew",
                        file.path.display()
                    ),
                ));
            }
        }
        Ok(m)
    }
}

pub(crate) fn refused(directory: &Path, reason: &str) -> JobError {
    JobError::Refused {
        directory: directory.to_owned(),
        reason: reason.into(),
    }
}

fn program() -> String {
    concat!("retrograde ", env!("CARGO_PKG_VERSION")).into()
}

/// Whether something is there that must not be overwritten.
fn occupied(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.symlink_metadata().is_ok(),
    }
}

/// `runs/name`, or the first of `runs/name-2`, `runs/name-3`, … that is free.
fn free_directory(name: &str) -> PathBuf {
    let numbered = |k: u64| {
        Path::new("runs").join(if k == 1 {
            name.to_owned()
        } else {
            format!("{name}-{k}")
        })
    };
    (1..)
        .map(numbered)
        .find(|p| !occupied(p))
        .unwrap_or_else(|| numbered(1))
}

/// Removes the files of an earlier run; other files are left alone.
fn clear(path: &Path) -> Result {
    let ours = |name: &str| {
        let fixed = [
            "job.toml",
            "manifest.json",
            "report.json",
            "timing.json",
            "rows.bin",
            "checkpoint.bin",
            ".lock",
            "draws.npy",
            "draws.csv",
            "outputs.npy",
            "log_weights.npy",
            "stats.npy",
        ];
        let name = name.strip_suffix(".part").unwrap_or(name);
        fixed.contains(&name) || (name.starts_with("cmdstan-") && name.ends_with(".csv"))
    };
    let entries = std::fs::read_dir(path).map_err(io_error("cannot read", path))?;
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(ours) {
            let file = entry.path();
            std::fs::remove_file(&file).map_err(io_error("cannot replace", &file))?;
        }
    }
    Ok(())
}

/// Reads the report of a run directory.
///
/// # Errors
/// [`JobError::Run`] when it cannot be read, [`JobError::Refused`] when it is not a report.
pub fn read_report(directory: &Path) -> std::result::Result<Report, JobError> {
    let path = directory.join("report.json");
    let text = std::fs::read(&path).map_err(io_error("cannot read", &path))?;
    serde_json::from_slice(&text).map_err(|e| JobError::Refused {
        directory: directory.to_owned(),
        reason: format!("report.json cannot be read: {e}"),
    })
}
