//! Files that a job reads, with their hashes, and files that it writes, all at once or not at all.

use crate::place::below;
use retrograde_core::registry::{Files, Plugin};
use retrograde_core::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A file that a run depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Its path, absolute where that could be found out.
    pub path: PathBuf,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

impl InputFile {
    /// The file at `path` as it is now.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn of(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(io_error("cannot read", path))?;
        Ok(Self::with(path, &bytes))
    }

    fn with(path: &Path, bytes: &[u8]) -> Self {
        let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Self {
            path: absolute,
            sha256: sha256(bytes),
        }
    }
}

/// A plugin that a run depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UsedPlugin {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The shared library.
    pub file: PathBuf,
    /// SHA-256 of the library, in hexadecimal.
    pub sha256: String,
}

impl UsedPlugin {
    pub(crate) fn of(plugin: &Plugin) -> Self {
        Self {
            name: plugin.name.clone(),
            version: plugin.version.clone(),
            file: plugin.file.clone(),
            sha256: plugin.sha256.clone(),
        }
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// An input/output error that names the file.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Reads the files of a job relative to its folder, and remembers them.
#[derive(Debug)]
pub(crate) struct JobFiles {
    base: PathBuf,
    read: Mutex<Vec<InputFile>>,
}

impl JobFiles {
    pub(crate) fn new(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
            read: Mutex::default(),
        }
    }

    pub(crate) fn into_read(self) -> Vec<InputFile> {
        self.read
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for JobFiles {
    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let path = below(&self.base, path);
        let bytes = std::fs::read(&path).map_err(io_error("cannot read", &path))?;
        let file = InputFile::with(&path, &bytes);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if !read.contains(&file) {
            read.push(file);
        }
        Ok(bytes)
    }

    fn locate(&self, path: &Path) -> Result<PathBuf> {
        self.read(path)?;
        let path = below(&self.base, path);
        std::path::absolute(&path).map_err(io_error("cannot find", &path))
    }
}

/// Writes a file by way of a temporary one beside it, so that a reader sees the old content or the
/// new, never a part, and finds the new one even if the machine fails afterwards.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result {
    replace(path, true, write)
}

/// The same; without `durable` a failing machine (not a killed program) may lose the new content,
/// which suits what is written again soon.
pub(crate) fn replace(
    path: &Path,
    durable: bool,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let done = (|| {
        let mut out = std::io::BufWriter::new(File::create(&part)?);
        write(&mut out)?;
        let file = out
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?;
        if durable {
            file.sync_all()?;
        }
        std::fs::rename(&part, path)?;
        if durable {
            sync_directory(path)?;
        }
        Ok(())
    })();
    done.map_err(|source| {
        // The disk may be full: what was half-written must not take the room.
        let _ = std::fs::remove_file(&part);
        Error::Io {
            action: "cannot write",
            path: path.to_owned(),
            source,
        }
    })
}

/// Brings the new name of a file to the disk; without this a failing machine may forget it.
#[cfg(unix)]
fn sync_directory(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Elsewhere a directory cannot be opened, and the rename is all that can be done.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> std::io::Result<()> {
    Ok(())
}
