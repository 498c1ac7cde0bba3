//! What can be said of a file before any of its code runs.
//!
//! A shared library runs code of its own as soon as it is loaded, and a file that is cut short ends the
//! program that maps it. So every file is read first: where it lies, what it is, for which machine it
//! was made, whether it exports `retrograde_plugin_v1`, and whether it is still the file that was
//! installed. Each fault has a sentence of its own.
//!
//! This finds *wrong* files. *Damaged* ones are found by the digest that installation writes
//! ([`digest`]); against a *hostile* one nothing helps but not loading it.

mod elf;
mod entry;
mod macho;
mod pe;

use crate::digest::{self, Sidecar};
use retrograde_core::{Error, Result};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest file that is looked at, in bytes.
pub const LARGEST: u64 = 1 << 30;

/// A file that may be loaded as a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// The file, absolute and without symbolic links.
    pub file: PathBuf,
    /// Its SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// The highest version N of the interface that both it and this program have: its entry is the
    /// function `retrograde_plugin_v<N>`.
    pub abi: u32,
    /// Device and inode: two paths with the same pair are one file.
    #[cfg(unix)]
    pub id: (u64, u64),
    /// What its installation wrote beside it, if it was installed; the digest fits.
    pub installed: Option<Sidecar>,
}

/// Looks at a file that shall be loaded as a plugin, without running any code of it.
///
/// The file must be regular, of 1 byte to [`LARGEST`], and on Unix neither it nor its folder (nor the
/// folder of a symbolic link to it) may be writable for everyone, not even in a folder with the sticky
/// bit. It must pass [`examine`], and fit the digest beside it where there is one. Folders further up
/// are not looked at.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read, [`Error::Plugin`] with the reason otherwise.
pub fn preflight(path: &Path) -> Result<Preflight> {
    let given = std::path::absolute(path).map_err(|e| unreadable(path, e))?;
    let refuse = |message: String| Error::Plugin {
        file: given.clone(),
        message,
    };
    let file = fs::canonicalize(&given).map_err(|e| match fs::read_link(&given) {
        Ok(end) if e.kind() == std::io::ErrorKind::NotFound => refuse(format!(
            "is a symbolic link that leads nowhere (to {})",
            end.display()
        )),
        _ => unreadable(&given, e),
    })?;
    // Before it is opened, because to open a device may already do something.
    regular(&fs::metadata(&file).map_err(|e| unreadable(&file, e))?).map_err(refuse)?;
    let handle = open(&file).map_err(|e| unreadable(&file, e))?;
    // From here on what was opened counts, whatever the name may mean by now.
    let about = handle.metadata().map_err(|e| unreadable(&file, e))?;
    regular(&about).map_err(refuse)?;
    trusted(&given, &file, &about)?;

    if about.len() > LARGEST {
        return Err(refuse(too_large(about.len())));
    }
    let mut bytes = Vec::new();
    handle
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| unreadable(&file, e))?;
    if bytes.len() as u64 > LARGEST {
        return Err(refuse(too_large(bytes.len() as u64)));
    }
    let abi = examine(&bytes).map_err(refuse)?;
    let sha256 = digest::sha256(&bytes);
    let mut installed = None;
    // A link may have been installed as well as the file that it leads to.
    for name in [&given, &file] {
        if let Some(sidecar) = Sidecar::read(name)? {
            sidecar.verify(name, &sha256)?;
            installed = Some(sidecar);
        }
    }
    Ok(Preflight {
        sha256,
        abi,
        #[cfg(unix)]
        id: {
            use std::os::unix::fs::MetadataExt;
            (about.dev(), about.ino())
        },
        installed,
        file,
    })
}

/// The format of shared libraries of a family of systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Linux and most of Unix: `.so`.
    Elf,
    /// macOS: `.dylib`.
    MachO,
    /// Windows: `.dll`.
    Pe,
}

impl Format {
    /// The format of this program's system.
    pub const HERE: Self = if cfg!(target_vendor = "apple") {
        Self::MachO
    } else if cfg!(windows) {
        Self::Pe
    } else {
        Self::Elf
    };

    fn words(self) -> &'static str {
        match self {
            Self::Elf => "an ELF library (.so, as on Linux)",
            Self::MachO => "a Mach-O library (.dylib, as on macOS)",
            Self::Pe => "a PE library (.dll, as on Windows)",
        }
    }

    /// What the first bytes say.
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x7f, b'E', b'L', b'F', ..] => Some(Self::Elf),
            [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..]
            | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..]
            | [0xca, 0xfe, 0xba, 0xbe | 0xbf, ..] => Some(Self::MachO),
            [b'M', b'Z', ..] => Some(Self::Pe),
            _ => None,
        }
    }
}

/// Examines the bytes of a shared library of this system, and gives the highest version N of the
/// interface that it and this program have in common.
///
/// Looked at are: format, word size, byte order, processor, that it is a shared library, that all that
/// is loaded lies inside the file, and that it exports a function `retrograde_plugin_v<N>`. ELF files
/// are read as the loader reads them, through program headers, so that section headers are not needed.
///
/// # Errors
/// Why it can be no plugin, as the end of a sentence that begins with the file's name.
pub fn examine(bytes: &[u8]) -> std::result::Result<u32, String> {
    examine_as(Format::HERE, bytes)
}

/// [`examine`] with another system's format, for this program's processor.
///
/// # Errors
/// As [`examine`].
pub fn examine_as(format: Format, bytes: &[u8]) -> std::result::Result<u32, String> {
    if bytes.is_empty() {
        return Err("is empty".into());
    }
    match Format::of(bytes) {
        Some(found) if found == format => match format {
            Format::Elf => elf::examine(bytes),
            Format::MachO => macho::examine(bytes),
            Format::Pe => pe::examine(bytes),
        },
        Some(found) => Err(format!(
            "is {}, but this program needs {}",
            found.words(),
            format.words()
        )),
        None if bytes.starts_with(b"!<arch>\n") => {
            Err("is a static library (.a), not a shared one".into())
        }
        None => Err(format!(
            "is no shared library: it begins with \"{}\"",
            bytes[..bytes.len().min(16)].escape_ascii()
        )),
    }
}

fn too_large(bytes: u64) -> String {
    format!("has {bytes} bytes; more than {LARGEST} (1 GiB) are not read")
}

fn unreadable(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        action: "cannot read the plugin",
        path: path.into(),
        source,
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true);
    // Should a FIFO have come into the file's place meanwhile, this does not wait for its writer.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.open(path)
}

fn regular(about: &Metadata) -> std::result::Result<(), String> {
    let kind = about.file_type();
    if kind.is_file() {
        return Ok(());
    }
    if kind.is_dir() {
        return Err("is a folder, not a file".into());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let names = [
            (kind.is_fifo(), "a FIFO"),
            (kind.is_socket(), "a socket"),
            (kind.is_char_device(), "a character device"),
            (kind.is_block_device(), "a block device"),
        ];
        if let Some((_, name)) = names.iter().find(|(is, _)| *is) {
            return Err(format!("is {name}, not a regular file"));
        }
    }
    Err("is not a regular file".into())
}

/// Refuses what everyone may change: the file, its folder, and the folder of a link to it.
fn trusted(given: &Path, file: &Path, about: &Metadata) -> Result {
    let refuse = |message| Error::Plugin {
        file: given.into(),
        message,
    };
    if let Some(mode) = writable_by_all(about) {
        return Err(refuse(format!(
            "can be changed by everyone (mode {mode:o}); `chmod o-w {}` mends that",
            file.display()
        )));
    }
    for folder in [file.parent(), given.parent()].into_iter().flatten() {
        let about = fs::metadata(folder).map_err(|e| unreadable(folder, e))?;
        if let Some(mode) = writable_by_all(&about) {
            return Err(refuse(format!(
                "lies in {0}, where everyone can put another in its place (mode {mode:o}); \
                 `chmod o-w {0}` mends that, or a folder of your own",
                folder.display()
            )));
        }
    }
    Ok(())
}

/// The permission bits of what every user of the computer may write to.
#[cfg(unix)]
pub(crate) fn writable_by_all(about: &Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = about.permissions().mode() & 0o7777;
    (mode & 0o002 != 0).then_some(mode)
}

/// Elsewhere permissions are no bits, and are not looked at.
#[cfg(not(unix))]
pub(crate) fn writable_by_all(_: &Metadata) -> Option<u32> {
    None
}
