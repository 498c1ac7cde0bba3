//! The components of this program: built-ins, and those of plugins.

use crate::outcome::{Output, message};
use crate::show;
use retrograde::core::registry::Plugin;
use retrograde::core::{Registry, Result};
use retrograde::job::read_manifest;
use retrograde::plugins::{Folders, Problem, Surroundings, load_into, scan};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Which plugins are loaded.
#[derive(Debug)]
pub(crate) struct Choice {
    /// By `--plugin`.
    pub(crate) files: Vec<PathBuf>,
    /// By `--no-plugins`: none of the usual folders.
    pub(crate) no_plugins: bool,
}

/// No plugin at all.
pub(crate) static NONE: Choice = Choice {
    files: Vec::new(),
    no_plugins: true,
};

/// A plugin as an object.
pub(crate) fn object(plugin: &Plugin) -> Value {
    json!({
        "name": plugin.name,
        "version": plugin.version,
        "license": plugin.license,
        "file": plugin.file.to_string_lossy(),
        "sha256": plugin.sha256,
    })
}

/// Loads the plugins that a run was begun with and that are not among those of the usual folders, from
/// where they were then. What has become of them is looked at when the run is resumed.
pub(crate) fn add_those_of(directory: &Path, registry: &mut Registry) {
    let Ok(manifest) = read_manifest(directory) else {
        return;
    };
    for used in manifest.plugins {
        let known = registry
            .iter()
            .filter_map(|c| c.plugin.as_ref())
            .any(|p| p.name == used.name);
        if !known && let Err(error) = load_into(registry, &used.file) {
            message(&format!("{}: {error}", show::yellow("warning")));
        }
    }
}

/// All components, and where they were looked for.
pub(crate) struct Found {
    pub(crate) registry: Registry,
    pub(crate) folders: Folders,
    /// What was found and cannot be loaded.
    pub(crate) problems: Vec<Problem>,
}

/// Looks for plugins. One that was named must load.
pub(crate) fn find(out: &Output) -> Result<Found> {
    let mut registry = retrograde::registry()?;
    for file in &out.plugins.files {
        load_into(&mut registry, file)?;
    }
    let folders = if out.plugins.no_plugins {
        Folders::default()
    } else {
        Folders::standard(&Surroundings::here())
    };
    let problems = scan(&mut registry, &folders).problems;
    Ok(Found {
        registry,
        folders,
        problems,
    })
}

/// All components. A plugin that was found and cannot be loaded is told.
pub(crate) fn registry(out: &Output) -> Result<Registry> {
    let found = find(out)?;
    for problem in found.problems {
        message(&format!("{}: plugin {problem}", show::yellow("warning")));
    }
    Ok(found.registry)
}
