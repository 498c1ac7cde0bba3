//! The run directory: who may write it, and what a run depends on.

use crate::config::{Diagnostic, Document, locate};
use crate::error::JobError;
use crate::files::{InputFile, UsedPlugin, io_error, sha256, write_atomically};
use crate::plan::Plan;
use crate::report::Report;
use retrograde_core::{Result, SimdLevel};
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Version of the layout of a run directory.
const LAYOUT: u32 = 1;
/// Locked by the process that writes the directory.
const LOCK: &str = ".lock";

/// What a run depends on, so that a resumed one is the same: `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout of the directory.
    pub layout: u32,
    /// Name and version of the program.
    pub program: String,
    /// CPU architecture; its kind is part of the identity of the bits.
    pub architecture: String,
    /// Vector instructions that the kernels use; part of that identity as well.
    pub simd: String,
    /// The job as the user wrote it; absent if it came from no file.
    pub source: Option<InputFile>,
    /// SHA-256 of the resolved `job.toml`.
    pub job_sha256: String,
    /// Folder that paths in the job are relative to.
    pub base: PathBuf,
    /// Files that components read.
    pub files: Vec<InputFile>,
    /// Plugins that components are of.
    #[serde(default)]
    pub plugins: Vec<UsedPlugin>,
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

    /// Whether the directory that a job chose could be made; a default one always can.
    pub(crate) fn check_free(
        document: &Document,
        plan: &Plan,
        force: bool,
    ) -> std::result::Result<(), JobError> {
        let Some(path) = plan.output.directory.as_deref() else {
            return Ok(());
        };
        let fail = |message, help| Err(unusable(document, message, help));
        if path.is_empty() {
            return fail("the run directory has no name".into(), "give it one");
        }
        let path = Path::new(path);
        if !occupied(path) {
            return Ok(());
        }
        let shown = path.display();
        if !path.is_dir() {
            return fail(
                format!("{shown} is a file, not a directory"),
                "choose another place with `-o`",
            );
        }
        match (is_run(path), force) {
            (true, true) => Ok(()),
            (true, false) => fail(
                format!("the run directory {shown} exists already"),
                "choose another with `-o`, or replace it with `--force`",
            ),
            (false, _) => fail(
                format!("the directory {shown} holds other files and is no run directory"),
                "choose another with `-o`",
            ),
        }
    }

    /// Makes the directory of a new run. A default directory that is taken is numbered; a chosen one
    /// is an error, unless `force` and it is a run directory.
    pub(crate) fn create(
        document: &Document,
        plan: &Plan,
        name: &str,
        force: bool,
    ) -> std::result::Result<Self, JobError> {
        let make = |path: &Path| make(document, path);
        let Some(path) = plan.output.directory.as_deref().map(Path::new) else {
            // Another run may take a number between the look and the lock.
            let mut k = 0;
            loop {
                k += 1;
                let path = default_directory(name, k);
                if !occupied(&path) {
                    make(&path)?;
                    if let Some(dir) = Self::lock(&path)?.filter(|_| !occupied(&path)) {
                        return Ok(dir);
                    }
                }
            }
        };
        make(path)?;
        let dir = Self::lock(path)?.ok_or_else(|| busy(path))?;
        // Only now nobody else can be writing there.
        Self::check_free(document, plan, force)?;
        if force {
            clear(path)?;
        }
        Ok(dir)
    }

    /// Whether [`create`](Self::create) would succeed: the directory is made, locked, and taken away
    /// again, for only the system itself knows who may write where.
    pub(crate) fn try_create(
        document: &Document,
        plan: &Plan,
        name: &str,
        source: Option<&Path>,
        base: &Path,
        force: bool,
    ) -> std::result::Result<(), JobError> {
        Self::check_free(document, plan, force)?;
        check_paths(document, plan, source, base)?;
        let path = match &plan.output.directory {
            Some(path) => PathBuf::from(path),
            None => (1..)
                .map(|k| default_directory(name, k))
                .find(|path| !occupied(path))
                .unwrap_or_default(),
        };
        let new = |p: &&Path| !p.as_os_str().is_empty() && p.symlink_metadata().is_err();
        let made: Vec<&Path> = path.ancestors().take_while(new).collect();
        let lock = path.join(LOCK);
        let locked_before = lock.symlink_metadata().is_ok();
        let tried = make(document, &path).and_then(|()| match Self::lock(&path)? {
            None if plan.output.directory.is_some() => Err(busy(&path)),
            _ => Ok(()),
        });
        if !locked_before {
            let _ = std::fs::remove_file(&lock);
        }
        for folder in made {
            // What somebody has put there meanwhile stays: only empty folders can be removed so.
            let _ = std::fs::remove_dir(folder);
        }
        tried
    }

    /// Opens the directory of an earlier run.
    pub(crate) fn open(path: &Path) -> std::result::Result<Self, JobError> {
        check_run(path)?;
        Self::lock(path)?.ok_or_else(|| busy(path))
    }

    /// `None` if another process has the lock.
    fn lock(path: &Path) -> Result<Option<Self>> {
        let name = path.join(LOCK);
        let lock = File::create(&name).map_err(io_error("cannot write", &name))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self {
                path: path.to_owned(),
                _lock: lock,
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(io_error("cannot lock", &name)(e)),
        }
    }

    /// Writes the resolved job and the manifest.
    pub(crate) fn begin(
        &self,
        plan: &Plan,
        source: Option<InputFile>,
        base: &Path,
        simd: SimdLevel,
    ) -> Result {
        let manifest = Manifest {
            layout: LAYOUT,
            program: program(),
            architecture: std::env::consts::ARCH.into(),
            simd: simd.name().into(),
            source,
            job_sha256: sha256(plan.resolved.as_bytes()),
            base: absolute(base),
            files: plan.files.clone(),
            plugins: plan.plugins.clone(),
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

    /// Removes what only a resumed run would need.
    pub(crate) fn remove_working_files(&self) {
        for name in ["checkpoint.bin", "rows.bin", "replicates.jsonl"] {
            let _ = std::fs::remove_file(self.file(name));
        }
    }

    /// The manifest, after everything it names was found unchanged, and its vector instructions.
    pub(crate) fn verified(&self) -> std::result::Result<(Manifest, SimdLevel), JobError> {
        let m = read_manifest(&self.path)?;
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
        let simd = SimdLevel::named(&m.simd).map_err(|_| {
            let has: Vec<&str> = SimdLevel::available().iter().map(|l| l.name()).collect();
            let why = format!(
                "it was begun with the vector instructions `{}`, and this machine has {}, which give \
                 other bits; resume it where they are, or run the job anew (with `--simd baseline` \
                 if it is to go on elsewhere)",
                m.simd,
                has.join(", ")
            );
            refused(&self.path, &why)
        })?;
        let job = InputFile {
            path: self.file("job.toml"),
            sha256: m.job_sha256.clone(),
        };
        // The job as the user wrote it may be gone; if it is there it must be the same.
        let source = m.source.iter().filter(|f| f.path.exists());
        for file in std::iter::once(&job).chain(source).chain(&m.files) {
            let shown = file.path.display();
            let bytes = std::fs::read(&file.path).map_err(|e| {
                let why = format!("cannot read {shown}, which the run depends on: {e}");
                refused(&self.path, &why)
            })?;
            if sha256(&bytes) != file.sha256 {
                return Err(refused(
                    &self.path,
                    &format!(
                        "{shown} has changed since the run began; put it back as it was, or run the job anew"
                    ),
                ));
            }
        }
        Ok((m, simd))
    }
}

fn make(document: &Document, path: &Path) -> std::result::Result<(), JobError> {
    std::fs::create_dir_all(path).map_err(|e| {
        unusable(
            document,
            format!("cannot make the run directory {}: {e}", path.display()),
            "choose a place that can be written with `-o`",
        )
    })
}

/// Refuses plugins that are not those a run was begun with, which may give other bits.
pub(crate) fn same_plugins(
    directory: &Path,
    then: &[UsedPlugin],
    now: &[UsedPlugin],
) -> std::result::Result<(), JobError> {
    for then in then {
        let same = now.iter().find(|now| now.name == then.name);
        if same.is_none_or(|now| now.sha256 != then.sha256) {
            let what = match same {
                Some(now) => format!("{} is another file", now.file.display()),
                None => "it is not there".into(),
            };
            return Err(refused(
                directory,
                &format!(
                    "it was begun with plugin {} {} (SHA-256 {}…), and now {what}; put it back, or run \
                     the job anew",
                    then.name,
                    then.version,
                    &then.sha256[..12.min(then.sha256.len())],
                ),
            ));
        }
    }
    Ok(())
}

/// Reads the manifest of a run directory.
///
/// # Errors
/// [`JobError::Refused`] when there is none, or it cannot be read.
pub fn read_manifest(directory: &Path) -> std::result::Result<Manifest, JobError> {
    let name = directory.join("manifest.json");
    let text = std::fs::read(&name).map_err(io_error("cannot read", &name))?;
    serde_json::from_slice(&text)
        .map_err(|e| refused(directory, &format!("manifest.json cannot be read: {e}")))
}

fn busy(directory: &Path) -> JobError {
    refused(directory, "another process is writing this run directory")
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

/// A problem of the directory that the job chose.
fn unusable(document: &Document, message: String, help: &str) -> JobError {
    let place = locate(&document.root, "output", "directory")
        .filter(|_| document.root.at(&["output", "directory"]).is_some());
    let found = Diagnostic::new(place, message)
        .label("the run directory")
        .help(help);
    document.error(vec![found]).into()
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Refuses paths that the manifest could not name, before anything is made or run.
pub(crate) fn check_paths(
    document: &Document,
    plan: &Plan,
    source: Option<&Path>,
    base: &Path,
) -> std::result::Result<(), JobError> {
    let base = absolute(base);
    let files = plan.files.iter().map(|f| f.path.as_path());
    let mut all = source.into_iter().chain([base.as_path()]).chain(files);
    match all.find(|p| p.to_str().is_none()) {
        None => Ok(()),
        Some(path) => {
            let message = format!(
                "the path {} is not valid UTF-8, so that manifest.json could not name it",
                path.display()
            );
            let found = Diagnostic::new(None, message)
                .help("rename the file or folder, or run the job from elsewhere");
            Err(document.error(vec![found]).into())
        }
    }
}

fn is_run(path: &Path) -> bool {
    path.join("manifest.json").is_file()
}

/// Refuses what is no run directory.
fn check_run(path: &Path) -> std::result::Result<(), JobError> {
    let reason = match path.metadata() {
        Ok(_) if is_run(path) => return Ok(()),
        Ok(m) if m.is_dir() => "this is not a run directory: it has no manifest.json",
        Ok(_) => "this is a file, not a run directory",
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "there is no such run directory",
        Err(e) => return Err(refused(path, &e.to_string())),
    };
    Err(refused(path, reason))
}

/// Whether something is there that must not be overwritten; the lock of a run that never began is
/// not.
fn occupied(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().any(|e| e.file_name() != LOCK),
        Err(_) => path.symlink_metadata().is_ok(),
    }
}

/// `runs/name`, then `runs/name-2`, `runs/name-3`, …
fn default_directory(name: &str, k: u64) -> PathBuf {
    Path::new("runs").join(if k == 1 {
        name.to_owned()
    } else {
        format!("{name}-{k}")
    })
}

/// Removes the files of an earlier run, its lock apart; other files are left alone.
fn clear(path: &Path) -> Result {
    let ours = |name: &str| {
        let fixed = [
            "job.toml",
            "manifest.json",
            "report.json",
            "timing.json",
            "rows.bin",
            "checkpoint.bin",
            "replicates.jsonl",
            "draws.npy",
            "draws.csv",
            "outputs.npy",
            "log_weights.npy",
            "stats.npy",
            "report.html",
            "marginals.svg",
            "pairs.svg",
            "trace.svg",
            "ladder.svg",
            "weights.svg",
        ];
        let name = name.strip_suffix(".part").unwrap_or(name);
        fixed.contains(&name) || (name.starts_with("cmdstan-") && name.ends_with(".csv"))
    };
    let store = path.join("draws.zarr");
    if store.is_dir() {
        std::fs::remove_dir_all(&store).map_err(io_error("cannot replace", &store))?;
    }
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
/// [`JobError::Refused`] when it is no run directory, or has no report that can be read.
pub fn read_report(directory: &Path) -> std::result::Result<Report, JobError> {
    check_run(directory)?;
    let text = std::fs::read(directory.join("report.json")).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => refused(
            directory,
            &format!(
                "the run has no report yet; if it was killed, `retrograde run --resume {}` goes on",
                directory.display()
            ),
        ),
        _ => refused(directory, &format!("cannot read report.json: {e}")),
    })?;
    serde_json::from_slice(&text)
        .map_err(|e| refused(directory, &format!("report.json cannot be read: {e}")))
}
