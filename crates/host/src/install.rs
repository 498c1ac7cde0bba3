//! Installation: a plugin is copied to a folder in which plugins are looked for.
//!
//! The copy is written under another name and renamed, because a library that is written over while a
//! program has it mapped ends that program. Its digest is written beside it. At every moment in between the
//! folder holds either the old plugin or the new one, whole.

use crate::digest::{Sidecar, sha256};
use crate::preflight::{LARGEST, preflight, writable_by_all};
use retrograde_core::registry::Plugin;
use retrograde_core::{Error, Result};
use std::env::consts::{DLL_EXTENSION, DLL_SUFFIX};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// A plugin that lies in a folder.
#[derive(Debug, Clone)]
pub struct There {
    /// The file in the folder, or the symbolic link.
    pub file: PathBuf,
    /// What it says of itself.
    pub plugin: Plugin,
}

/// What came of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The file in the folder.
    pub file: PathBuf,
    /// What happened to it.
    pub how: How,
}

/// What happened to a file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// It is new.
    New,
    /// It took the place of this file.
    Replaced(PathBuf),
    /// The same bytes were there already; only the digest was written.
    Same,
}

/// Copies the plugin of `checked.file` to `folder`, which is made if need be, and writes its digest beside it.
///
/// `checked` is what it said of itself when it was loaded, in this process or another; the file must still be
/// that one. `there` are the plugins of `folder`, those that can be loaded. The copy keeps the file's name
/// where that ends as plugins do on this system, and is called after the plugin otherwise. With `force` it
/// takes the place of another plugin of its name, and of any file of its file's name.
///
/// # Errors
/// As [`preflight`]; [`Error::Plugin`] when the file was changed since, everyone may write to the folder, or
/// something else has its name and `force` is not set; [`Error::Io`].
pub fn install(checked: &Plugin, folder: &Path, there: &[There], force: bool) -> Result<Installed> {
    let refuse = |message: String| Error::Plugin {
        file: checked.file.clone(),
        message,
    };
    preflight(&checked.file)?;
    let bytes = read(&checked.file)?;
    if sha256(&bytes) != checked.sha256 {
        return Err(refuse("was changed while it was being installed".into()));
    }
    fs::create_dir_all(folder).map_err(failed("cannot make the folder", folder))?;
    let folder = fs::canonicalize(folder).map_err(failed("cannot find the folder", folder))?;
    let about = fs::metadata(&folder).map_err(failed("cannot read the folder", &folder))?;
    if let Some(mode) = writable_by_all(&about) {
        return Err(refuse(format!(
            "cannot be installed in {0}, where everyone can put another in its place (mode {mode:o}); \
             `chmod o-w {0}` mends that, or a folder of your own",
            folder.display()
        )));
    }
    let sidecar = Sidecar {
        sha256: checked.sha256.clone(),
        installed_from: Some(checked.file.to_string_lossy().into_owned()),
        version: Some(checked.version.clone()),
    };
    let namesake = there.iter().find(|t| t.plugin.name == checked.name);
    if let Some(same) = namesake.filter(|t| t.plugin.sha256 == checked.sha256) {
        sidecar.write(&same.file)?;
        return Ok(Installed {
            file: same.file.clone(),
            how: How::Same,
        });
    }
    let file = folder.join(name(checked));
    if !force {
        free(checked, &file, there, namesake).map_err(refuse)?;
    }
    let taken = fs::symlink_metadata(&file).is_ok();
    put(&bytes, &folder, &file)?;
    sidecar.write(&file)?;
    let replaced = match namesake.filter(|t| !is_same(&t.file, &file)) {
        // Of two plugins of one name the first would be used, which may be the old one.
        Some(old) => {
            remove(&old.file)?;
            remove(&Sidecar::path(&old.file))?;
            Some(old.file.clone())
        }
        None => taken.then(|| file.clone()),
    };
    Ok(Installed {
        file,
        how: replaced.map_or(How::New, How::Replaced),
    })
}

/// Whether nothing else has the name of the plugin, or of its file.
fn free(
    new: &Plugin,
    file: &Path,
    there: &[There],
    namesake: Option<&There>,
) -> std::result::Result<(), String> {
    let forced = format!("`--force` puts {} {} in its place", new.name, new.version);
    if let Some(old) = namesake {
        return Err(format!(
            "is plugin {}, but another file of that name is installed already: {} {}, {}; {forced}",
            new.name,
            old.plugin.name,
            old.plugin.version,
            old.file.display()
        ));
    }
    if fs::symlink_metadata(file).is_err() {
        return Ok(());
    }
    let whose = match there.iter().find(|t| is_same(&t.file, file)) {
        Some(other) => format!("plugin {} {}", other.plugin.name, other.plugin.version),
        // One that was damaged is put right by what it was made of.
        None if matches!(Sidecar::read(file), Ok(Some(s)) if s.sha256.eq_ignore_ascii_case(&new.sha256)) =>
        {
            return Ok(());
        }
        None => "a file that cannot be loaded".into(),
    };
    Err(format!(
        "would be {}, which is there already: {whose}; {forced}",
        file.display()
    ))
}

/// The name of its file in the folder.
fn name(plugin: &Plugin) -> PathBuf {
    match plugin.file.file_name() {
        Some(name) if plugin.file.extension() == Some(OsStr::new(DLL_EXTENSION)) => name.into(),
        _ => format!("{}{DLL_SUFFIX}", plugin.name).into(),
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    a == b || {
        let folder = |p: &Path| p.parent().and_then(|f| fs::canonicalize(f).ok());
        a.file_name() == b.file_name() && folder(a).is_some() && folder(a) == folder(b)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|f| f.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(failed("cannot read the plugin", path))?;
    Ok(bytes)
}

/// Writes `file` whole. The digest of what was there goes first: it would not fit the new one.
fn put(bytes: &[u8], folder: &Path, file: &Path) -> Result {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".retrograde-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755));
    let mut part = builder
        .tempfile_in(folder)
        .map_err(failed("cannot write to the folder", folder))?;
    part.write_all(bytes)
        .and_then(|()| part.as_file().sync_all())
        .map_err(failed("cannot write", file))?;
    remove(&Sidecar::path(file))?;
    part.persist(file)
        .map_err(|e| failed("cannot write", file)(e.error))?;
    Ok(())
}

fn remove(path: &Path) -> Result {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(failed("cannot remove", path)(e)),
        _ => Ok(()),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        action,
        path,
        source,
    }
}
