//! Loading: from a file to components of the registry.
//!
//! After [`preflight`] the library is mapped with all its symbols resolved at once, seen by nobody else,
//! and never unmapped: a component may live anywhere. Its entry function is called once for each file,
//! whatever the number of its names; what it gives is looked over before anything of it is called.

use crate::descriptor::{Described, DescribedComponent, describe};
use crate::preflight::{Preflight, preflight};
use crate::search::{Folders, Problem, candidates};
use retrograde_abi::{rg_host, rg_plugin};
use retrograde_bridge::{host, take_refusal};
use retrograde_core::registry::Plugin;
use retrograde_core::{Component, Error, Registry, Result};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A plugin that was loaded, with the entries for a registry.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says of itself, and its file.
    pub plugin: Arc<Plugin>,
    /// Its components, called plugin/component.
    pub components: Vec<Component>,
}

/// What came of looking through folders.
#[derive(Debug, Clone, Default)]
pub struct Scanned {
    /// The plugins whose components are in the registry now.
    pub plugins: Vec<Arc<Plugin>>,
    /// The files and folders that are not, with the reason.
    pub problems: Vec<Problem>,
}

/// Loads a plugin. The same file is loaded once, however often this is called.
///
/// # Errors
/// As [`preflight`]; [`Error::Plugin`] when it cannot be mapped, refuses, or says something of itself that
/// cannot be.
pub fn load(path: &Path) -> Result<Loaded> {
    let (plugin, components) = described(path)?;
    let components = components
        .into_iter()
        .map(|c| c.into_component(&plugin))
        .collect();
    Ok(Loaded { plugin, components })
}

/// Loads a plugin, up to what it says of its components.
///
/// # Errors
/// As [`load`].
pub(crate) fn described(path: &Path) -> Result<(Arc<Plugin>, Vec<DescribedComponent>)> {
    let found = preflight(path)?;
    let refuse = |message| Error::Plugin {
        file: found.file.clone(),
        message,
    };
    let table = entered(&found).map_err(refuse)?;
    // SAFETY: what the entry function of a library that stays mapped gave.
    let Described {
        name,
        version,
        license,
        components,
    } = unsafe { describe(table.0, found.abi) }.map_err(refuse)?;
    let plugin = Arc::new(Plugin {
        name,
        version,
        license,
        file: found.file,
        sha256: found.sha256,
    });
    Ok((plugin, components))
}

/// Loads a plugin into a registry: all of its components, or none. A file that is in it already changes
/// nothing.
///
/// # Errors
/// As [`load`]; [`Error::Plugin`] when the registry has another plugin of its name, or a component of one of its
/// names already.
pub fn load_into(registry: &mut Registry, path: &Path) -> Result<Arc<Plugin>> {
    let Loaded { plugin, components } = load(path)?;
    let namesake = registry
        .iter()
        .filter_map(|c| c.plugin.as_ref())
        .find(|p| p.name == plugin.name);
    if let Some(other) = namesake {
        if other.file == plugin.file {
            return Ok(other.clone());
        }
        return Err(Error::Plugin {
            file: plugin.file.clone(),
            message: format!(
                "is plugin {}, as is {}; what was found first stays",
                plugin.name,
                other.file.display()
            ),
        });
    }
    for c in &components {
        let Ok(other) = registry.get(c.kind(), &c.name) else {
            continue;
        };
        let whose = match &other.plugin {
            Some(other) => format!("of {}", other.file.display()),
            None => "built in".into(),
        };
        return Err(Error::Plugin {
            file: plugin.file.clone(),
            message: format!(
                "its {} is there already, {whose}; what was found first stays",
                c.label()
            ),
        });
    }
    for c in components {
        registry.add(c)?;
    }
    Ok(plugin)
}

/// Loads every plugin of some folders into a registry. A file that cannot be loaded is told and left out.
pub fn scan(registry: &mut Registry, folders: &Folders) -> Scanned {
    let found = candidates(folders);
    let mut scanned = Scanned {
        plugins: Vec::new(),
        problems: found.problems,
    };
    for file in found.files {
        match load_into(registry, &file) {
            Ok(plugin) => scanned.plugins.push(plugin),
            Err(error) => scanned.problems.push(Problem::at(&file, &error)),
        }
    }
    scanned
}

/// What an entry function gave.
#[derive(Clone, Copy)]
struct TablePtr(*const rg_plugin);
// SAFETY: constant for as long as the program runs.
unsafe impl Send for TablePtr {}

type EntryFn = unsafe extern "C" fn(*const rg_host) -> *const rg_plugin;

/// The table of a file: its entry function is called the first time only. The lock also makes the words of
/// a refusal those of this file.
#[allow(clippy::clone_on_copy)] // not on every system
fn entered(found: &Preflight) -> std::result::Result<TablePtr, String> {
    #[cfg(unix)]
    type File = (u64, u64);
    #[cfg(not(unix))]
    type File = std::path::PathBuf;
    type Entered = HashMap<(File, u32), std::result::Result<TablePtr, String>>;
    static ENTERED: Mutex<Option<Entered>> = Mutex::new(None);
    #[cfg(unix)]
    let file = found.id;
    #[cfg(not(unix))]
    let file = found.file.clone();
    // The system gives the old library again when the file of a name was replaced.
    static NAMES: Mutex<Vec<(std::path::PathBuf, File)>> = Mutex::new(Vec::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    match names.iter().find(|(name, _)| *name == found.file) {
        Some((_, loaded)) if *loaded != file => {
            return Err("was replaced after this program loaded it: start the program anew".into());
        }
        Some(_) => {}
        None => names.push((found.file.clone(), file.clone())),
    }
    drop(names);
    let mut entered = ENTERED.lock().unwrap_or_else(PoisonError::into_inner);
    match entered.get_or_insert_default().entry((file, found.abi)) {
        Entry::Occupied(known) => known.get().clone(),
        // What cannot be mapped is not kept: it may be mended, and come back under the same number.
        Entry::Vacant(new) => new.insert(enter(open(&found.file)?, found.abi)).clone(),
    }
}

fn enter(library: libloading::Library, abi: u32) -> std::result::Result<TablePtr, String> {
    let symbol = format!("retrograde_plugin_v{abi}");
    // SAFETY: the type is that of the interface.
    let entry = unsafe { library.get::<EntryFn>(symbol.as_bytes()) }
        .map(|entry| *entry)
        .map_err(|e| format!("`{symbol}` cannot be found: {}", words(&e)));
    // Never unmapped, not even if it is refused: it may have left pointers or threads behind.
    std::mem::forget(library);
    let entry = entry?;
    take_refusal();
    // SAFETY: by the contract of the interface; on whatever thread.
    let table = unsafe { entry(host()) };
    if table.is_null() {
        let why = take_refusal().filter(|why| !why.is_empty());
        return Err(match why {
            Some(why) => format!("refuses to be loaded: {why}"),
            None => format!("refuses to be loaded: `{symbol}` returns NULL and gives no reason"),
        });
    }
    Ok(TablePtr(table))
}

#[cfg(unix)]
fn open(file: &Path) -> std::result::Result<libloading::Library, String> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // With lazy binding a symbol that is missing would end the program at its first call.
    // SAFETY: initialisers of a library that is a plugin by its symbols run; that is what loading means.
    unsafe { Library::open(Some(file), RTLD_NOW | RTLD_LOCAL | libc::RTLD_NODELETE) }
        .map(Into::into)
        .map_err(|e| format!("cannot be loaded: {}", words(&e)))
}

#[cfg(windows)]
fn open(file: &Path) -> std::result::Result<libloading::Library, String> {
    use libloading::os::windows::{
        LOAD_LIBRARY_SEARCH_DEFAULT_DIRS, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR, Library,
    };
    let flags = LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS;
    // SAFETY: as on Unix.
    unsafe { Library::load_with_flags(file, flags) }
        .map(Into::into)
        .map_err(|e| format!("cannot be loaded: {}", words(&e)))
}

/// What the system said.
fn words(error: &libloading::Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}
