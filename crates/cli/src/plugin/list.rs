//! `retrograde plugin list`.

use crate::outcome::{Exit, Output};
use crate::plugins::{Found, find, object};
use retrograde::core::registry::Plugin;
use retrograde::core::{Component, Registry};
use retrograde::plugins::Folders;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

pub(crate) fn list(out: &Output) -> Exit {
    match find(out) {
        Ok(found) => {
            let plugins = by_plugin(&found.registry);
            out.result(|| as_object(&found, &plugins), || text(&found, &plugins));
            Exit::Ok
        }
        Err(e) => out.error(&e.into()),
    }
}

/// Plugins by name, each with its components.
fn by_plugin(registry: &Registry) -> Vec<(Arc<Plugin>, Vec<&Component>)> {
    let mut all: Vec<(Arc<Plugin>, Vec<&Component>)> = Vec::new();
    for c in registry.iter() {
        let Some(plugin) = &c.plugin else { continue };
        match all.iter_mut().find(|(p, _)| p.name == plugin.name) {
            Some((_, components)) => components.push(c),
            None => all.push((plugin.clone(), vec![c])),
        }
    }
    all.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    all
}

fn folders(folders: &Folders) -> impl Iterator<Item = (&Path, bool)> {
    folders.paths().map(|p| (p, p.is_dir()))
}

fn as_object(found: &Found, plugins: &[(Arc<Plugin>, Vec<&Component>)]) -> Value {
    let folders: Vec<Value> = folders(&found.folders)
        .map(|(path, exists)| json!({ "path": path.to_string_lossy(), "exists": exists }))
        .collect();
    let plugins: Vec<Value> = plugins
        .iter()
        .map(|(plugin, components)| {
            let mut object = object(plugin);
            let components: Vec<Value> = components
                .iter()
                .map(|c| json!({ "kind": c.kind().word(), "name": c.name, "summary": c.summary }))
                .collect();
            object["components"] = json!(components);
            object
        })
        .collect();
    let problems: Vec<Value> = found
        .problems
        .iter()
        .map(|p| json!({ "path": p.path.to_string_lossy(), "line": p.line, "message": p.message }))
        .collect();
    json!({ "folders": folders, "plugins": plugins, "problems": problems })
}

fn text(found: &Found, plugins: &[(Arc<Plugin>, Vec<&Component>)]) -> String {
    let mut text = String::new();
    let mut heading = "folders, in the order of the search:\n";
    for (path, exists) in folders(&found.folders) {
        let note = if exists { "" } else { " (not there)" };
        let _ = writeln!(text, "{heading}  {}{note}", path.display());
        heading = "";
    }
    if text.is_empty() {
        text.push_str("no folder is searched\n");
    }
    let labels = plugins.iter().flat_map(|(_, all)| all.iter());
    let width = labels.map(|c| c.label().len()).max().unwrap_or(0);
    for (p, components) in plugins {
        let license = p.license.as_deref().unwrap_or("no licence told");
        let short = p.sha256.get(..12).unwrap_or(&p.sha256);
        let _ = writeln!(
            text,
            "\n{} {}, {license}\n  {}\n  SHA-256 {short}…",
            p.name,
            p.version,
            p.file.display()
        );
        for c in components {
            let line = format!("    {:width$}  {}", c.label(), c.summary);
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    if plugins.is_empty() {
        text.push_str("\nno plugins\n");
    }
    let mut heading = "\nproblems:\n";
    for problem in &found.problems {
        let _ = writeln!(text, "{heading}  {problem}");
        heading = "";
    }
    text
}
