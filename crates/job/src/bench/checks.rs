//! What can be wrong with a bench file before its jobs are built.

use super::config::{Head, Reference, items, name_of, strings};
use crate::config::{Diagnostic, Node, Table, component_kind, nearest, validate_component};
use crate::files::InputFile;
use crate::plan::component_schema;
use crate::settings::ExpectSettings;
use ndarray::Array2;
use retrograde_core::registry::schema_of;
use retrograde_core::{Kind, Registry};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::path::Path;

/// `[target]` and `[sampler]`, as in a job, are here lists of tables.
pub(super) fn tables_of(root: &Node) -> Vec<Diagnostic> {
    let wrong = |word: &str| {
        let node = root.at(&[word])?;
        let help = format!("write `[[{word}]]`, once for each {word}");
        let message = format!("a bench has a list of {word}s, but `{word}` is a single table");
        node.as_table().map(|_| {
            Diagnostic::new(node.span, message)
                .label(format!("one {word}"))
                .help(help)
        })
    };
    ["target", "sampler"]
        .into_iter()
        .filter_map(wrong)
        .collect()
}

pub(super) fn head_schema() -> Json {
    let mut schema = schema_of::<Head>().to_value();
    for word in ["target", "sampler"] {
        schema["properties"][word] = json!({});
    }
    schema["required"] = json!(["target", "sampler"]);
    schema["additionalProperties"] = json!(false);
    schema
}

/// A table of a component with the keys that the bench adds to it.
pub(super) fn check_component(
    node: &Node,
    kind: Kind,
    path: &str,
    registry: &Registry,
) -> Vec<Diagnostic> {
    let names: Vec<&str> = registry.of(kind).map(|c| c.name.as_ref()).collect();
    let name = match component_kind(node, path, names) {
        Ok(name) => name,
        Err(found) => return vec![found],
    };
    let Ok(component) = registry.get(kind, name) else {
        return Vec::new();
    };
    let mut schema = component_schema(kind, component.schema.as_value());
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    let names = json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 });
    let text = json!({ "type": "string", "minLength": 1 });
    let mut expect = schema_of::<ExpectSettings>().to_value();
    if let Some(map) = expect.as_object_mut() {
        map.remove("$schema");
    }
    let own = match kind {
        Kind::Target => vec![
            ("name", text.clone()),
            ("budget", json!({ "type": "integer", "minimum": 1 })),
            ("reference", text),
            ("expect", expect),
        ],
        Kind::Sampler => vec![
            ("name", text.clone()),
            ("only", names.clone()),
            ("skip", names),
            ("fit", text),
            ("process", json!({})),
            ("score", json!({})),
        ],
        _ => Vec::new(),
    };
    for (key, value) in own {
        schema["properties"][key] = value;
    }
    validate_component(node, &schema, path)
}

/// Names that are there twice, and names of targets that are not there.
pub(super) fn names_of(root: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for word in ["target", "sampler"] {
        let mut seen = BTreeSet::new();
        for node in items(root, word) {
            let name = name_of(node);
            if !seen.insert(name.clone()) {
                let span = node.at(&["name"]).and_then(|n| n.span).or(node.span);
                let message = format!("there are two {word}s with the name {name:?}");
                found.push(
                    Diagnostic::new(span, message)
                        .label("the second")
                        .help("give it a `name` of its own"),
                );
            }
        }
    }
    let targets: Vec<String> = items(root, "target").iter().map(name_of).collect();
    let lists = [
        ("sampler", "only"),
        ("sampler", "skip"),
        ("aim", "target"),
        ("published", "target"),
    ];
    for (word, key) in lists {
        let nodes = items(root, word).iter().filter_map(|n| n.at(&[key]));
        for (name, span) in nodes.flat_map(strings) {
            if !targets.iter().any(|t| t == name) {
                let label = match nearest(name, targets.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => "no such target".into(),
                };
                let message = format!("`{word}.{key}` names {name:?}, which is no target here");
                let help = format!("the targets are `{}`", targets.join("`, `"));
                found.push(Diagnostic::new(span, message).label(label).help(help));
            }
        }
    }
    for (i, node) in items(root, "published").iter().enumerate() {
        let keys = |key: &str| {
            node.at(&[key])
                .and_then(Node::as_table)
                .map_or(&[][..], Table::entries)
        };
        for spread in keys("spreads") {
            if !keys("values").iter().any(|v| v.key == spread.key) {
                let message = format!(
                    "`published[{i}].spreads` has {:?}, of which there is no value",
                    spread.key
                );
                found.push(Diagnostic::new(spread.key_span, message).label("no such value"));
            }
        }
    }
    if let Some(node) = root.at(&["metrics"]) {
        let measured: Vec<&str> = strings(node).into_iter().map(|(name, _)| name).collect();
        for (i, aim) in items(root, "aim").iter().enumerate() {
            let Some(metric) = aim.at(&["metric"]) else {
                continue;
            };
            let name = metric.as_str().unwrap_or_default();
            if name != "log_z_error" && !measured.contains(&name) {
                let message =
                    format!("`aim[{i}].metric` is {name:?}, which is not among `metrics`");
                found.push(
                    Diagnostic::new(metric.span, message)
                        .label("not measured")
                        .help("add it to `metrics`"),
                );
            }
        }

        let unmeasured = strings(node)
            .into_iter()
            .filter(|(name, _)| *name == "test_log_likelihood");
        found.extend(unmeasured.map(|(name, span)| {
            Diagnostic::new(
                span,
                format!("`{name}` is known of published tables alone; it is not measured here"),
            )
            .label("leave it out")
        }));
    }
    let any_budget = root.at(&["budget"]).is_some()
        || items(root, "target")
            .iter()
            .any(|t| t.at(&["budget"]).is_some());
    for (i, node) in items(root, "sampler").iter().enumerate() {
        if let Some(fit) = node.at(&["fit"]).filter(|_| !any_budget) {
            let message =
                format!("`sampler[{i}].fit` is scaled to meet a budget, and there is none");
            found.push(
                Diagnostic::new(fit.span, message)
                    .label("no budget")
                    .help("set `budget`, for all targets or for some"),
            );
        }
    }
    found
}

pub(super) fn check_expect(root: &Node, t: usize, expect: &ExpectSettings) -> Option<Diagnostic> {
    let numbers = [
        ("log_z", expect.log_z),
        ("log_z_se", Some(expect.log_z_se)),
        ("log_z_max_se", expect.log_z_max_se),
    ];
    let (key, value) = numbers
        .into_iter()
        .find_map(|(key, v)| Some((key, v.filter(|v| !v.is_finite())?)))?;
    let node = items(root, "target").get(t)?.at(&["expect", key])?;
    let message = format!("`target[{t}].expect.{key}` must be finite, but is {value}");
    Some(Diagnostic::new(node.span, message).label("not finite"))
}

/// Rows of a file in NumPy's format: (n, d), or (chain, draw, d) as runs write it.
pub(super) fn read_reference(path: &Path) -> Result<Reference, String> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|e| format!("cannot read {shown}: {e}"))?;
    let (shape, values) = crate::npy::parse(&bytes)
        .ok_or_else(|| format!("{shown} is no array of little-endian f64 in NumPy's format"))?;
    let rows = match shape[..] {
        [n, d] => Array2::from_shape_vec((n, d), values),
        [chains, draws, d] => Array2::from_shape_vec((chains * draws, d), values),
        _ => {
            return Err(format!(
                "{shown} has the shape {shape:?}, but must be (n, d) or (chain, draw, d)"
            ));
        }
    };
    let rows = rows.map_err(|e| format!("{shown}: {e}"))?;
    if rows.nrows() < 20 {
        return Err(format!(
            "{shown} has {} rows, at least 20 are needed",
            rows.nrows()
        ));
    }
    if let Some(((i, j), v)) = rows.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return Err(format!(
            "{shown} has {v} in row {i}, column {j}; only finite draws can be compared with"
        ));
    }
    let file = InputFile::of(path).map_err(|e| e.to_string())?;
    Ok(Reference { rows, file })
}
