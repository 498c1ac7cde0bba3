//! The digest beside a plugin that was installed: `libdemo.so.toml` beside `libdemo.so`.
//!
//! ```toml
//! sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
//! installed_from = "/home/ada/demo/target/release/libdemo.so"
//! version = "1.2.0"
//! ```
//!
//! A library of which some bytes were changed looks sound to every inspection and crashes when it is
//! loaded; its digest shows it.

use crate::preflight::writable_by_all;
use retrograde_core::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// More than any such file needs, in bytes.
const LARGEST: u64 = 1 << 16;

/// The SHA-256 of `bytes`, as 64 hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes all");
            text
        })
}

/// What installation wrote beside a plugin. Keys that are not listed here are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidecar {
    /// SHA-256 of the plugin, 64 hexadecimal digits.
    pub sha256: String,
    /// Where it was copied from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_from: Option<String>,
    /// The plugin's own version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Sidecar {
    /// The file beside `plugin`: its whole name and `.toml`.
    #[must_use]
    pub fn path(plugin: &Path) -> PathBuf {
        let mut name = OsString::from(plugin);
        name.push(".toml");
        name.into()
    }

    /// Reads the file beside `plugin`; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Plugin`] where there is one, but it cannot be read, lacks a SHA-256, or may be changed
    /// by everyone: then it is not known whether the plugin is what was installed.
    pub fn read(plugin: &Path) -> Result<Option<Self>> {
        let path = Self::path(plugin);
        // A link that leads nowhere is there, and is no digest.
        match fs::symlink_metadata(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            _ => {}
        }
        Self::parse(&path).map(Some).map_err(|why| Error::Plugin {
            file: plugin.into(),
            message: format!(
                "cannot be compared with its digest, {}: {why}; install the plugin again",
                path.display()
            ),
        })
    }

    fn parse(path: &Path) -> std::result::Result<Self, String> {
        let words = |e: std::io::Error| e.to_string();
        let about = fs::metadata(path).map_err(words)?;
        if !about.is_file() {
            return Err("that is not a regular file".into());
        }
        if let Some(mode) = writable_by_all(&about) {
            return Err(format!("everyone can change that file (mode {mode:o})"));
        }
        let mut text = String::new();
        File::open(path)
            .and_then(|f| f.take(LARGEST + 1).read_to_string(&mut text))
            .map_err(words)?;
        if text.len() as u64 > LARGEST {
            return Err(format!("that file has more than {LARGEST} bytes"));
        }
        let sidecar: Self = toml::from_str(&text).map_err(|e| {
            let line = e.span().map(|s| line_of(&text, s.start));
            let place = line.map(|l| format!("line {l}: ")).unwrap_or_default();
            format!("{place}{}", e.message())
        })?;
        if sidecar.sha256.len() != 64 || !sidecar.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!(
                "`sha256` is {:?}, but must be 64 hexadecimal digits",
                sidecar.sha256
            ));
        }
        Ok(sidecar)
    }

    /// Compares the digest `found` of the plugin with the one that was written when it was installed.
    ///
    /// # Errors
    /// [`Error::Plugin`] when they differ.
    pub fn verify(&self, plugin: &Path, found: &str) -> Result {
        if self.sha256.eq_ignore_ascii_case(found) {
            return Ok(());
        }
        let short = |digest: &str| digest.chars().take(12).collect::<String>();
        Err(Error::Plugin {
            file: plugin.into(),
            message: format!(
                "is not the file that was installed: its SHA-256 begins with {}, but {} says {}; \
                 install the plugin again",
                short(found),
                Self::path(plugin).display(),
                short(&self.sha256)
            ),
        })
    }

    /// Writes the file beside `plugin`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Argument`] when `sha256` is not 64 hexadecimal digits; [`Error::Io`].
    pub fn write(&self, plugin: &Path) -> Result {
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::Argument {
                component: "digest of a plugin".into(),
                argument: "sha256".into(),
                given: format!("{:?}", self.sha256),
                allowed: "64 hexadecimal digits".into(),
            });
        }
        let path = Self::path(plugin);
        let failed = |source| Error::Io {
            action: "cannot write",
            path: path.clone(),
            source,
        };
        let text = toml::to_string(self).map_err(|e| failed(std::io::Error::other(e)))?;
        let folder = match plugin.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".retrograde-");
        // Who may read the plugin may read its digest.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let mut part = builder.tempfile_in(folder).map_err(failed)?;
        part.write_all(text.as_bytes())
            .and_then(|()| part.as_file().sync_all())
            .map_err(failed)?;
        part.persist(&path).map_err(|e| failed(e.error))?;
        Ok(())
    }
}

/// The line, from 1, of the byte at `offset`.
pub(crate) fn line_of(text: &str, offset: usize) -> u64 {
    let before = &text.as_bytes()[..offset.min(text.len())];
    1 + before.iter().filter(|b| **b == b'\n').count() as u64
}
