//! `list`, `describe`, `schema` and `summary`: what there is, without running anything.

use crate::args::{DescribeArgs, ListArgs, SummaryArgs};
use crate::outcome::{Exit, Output, print};
use crate::plugins::registry;
use crate::show;
use retrograde::core::registry::{Need, Needs, nearest};
use retrograde::core::{Component, Kind, Registry};
use retrograde::job::{Status, job_schema, read_report};
use serde_json::{Value, json};
use std::fmt::Write;

pub(crate) fn list(args: &ListArgs, out: &Output) -> Exit {
    let kind = match args.kind.as_deref().map(|word| kind_called(word, out)) {
        None => None,
        Some(Ok(kind)) => Some(kind),
        Some(Err(exit)) => return exit,
    };
    with_registry(out, |registry| {
        let chosen: Vec<&Component> = registry
            .iter()
            .filter(|c| kind.is_none_or(|k| c.kind() == k))
            .collect();
        out.result(
            || {
                let all: Vec<Value> = chosen.iter().map(|c| object(c, None)).collect();
                json!({ "components": all })
            },
            || {
                let mut text = String::new();
                let width = chosen.iter().map(|c| c.name.len()).max().unwrap_or(0);
                for kind in Kind::ALL {
                    for (i, c) in chosen.iter().filter(|c| c.kind() == kind).enumerate() {
                        if i == 0 {
                            let gap = if text.is_empty() { "" } else { "\n" };
                            let _ = writeln!(text, "{gap}{}:", kind.word());
                        }
                        let _ = writeln!(text, "  {:width$}  {}", c.name, c.summary);
                    }
                }
                text
            },
        );
        Exit::Ok
    })
}

pub(crate) fn kind_called(word: &str, out: &Output) -> Result<Kind, Exit> {
    Kind::from_word(word).ok_or_else(|| {
        let words = Kind::ALL.map(Kind::word);
        let hint = match nearest(word, words) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", words.join(", ")),
        };
        let text = format!("no kind of component is called `{word}`; {hint}");
        out.plain_error(&text, "RG_ERR_NOT_FOUND");
        Exit::Usage
    })
}

pub(crate) fn describe(args: &DescribeArgs, out: &Output) -> Exit {
    with_registry(out, |registry| {
        let (kind, name) = match args.name.as_slice() {
            [kind, name] => match kind_called(kind, out) {
                Ok(kind) => (Some(kind), name.as_str()),
                Err(exit) => return exit,
            },
            // As `list` and messages name it, in one argument: "sampler smc".
            [both, ..] => match both.trim().split_once(char::is_whitespace) {
                Some((kind, name)) => match kind_called(kind, out) {
                    Ok(kind) => (Some(kind), name.trim_start()),
                    Err(exit) => return exit,
                },
                None => (None, both.trim()),
            },
            [] => return Exit::Usage,
        };
        let found: Vec<&Component> = registry
            .iter()
            .filter(|c| c.name == name && kind.is_none_or(|k| c.kind() == k))
            .collect();
        if found.is_empty() {
            let what = kind.map_or("component", Kind::word);
            let hint = if let Some(other) = registry.iter().find(|c| c.name == name) {
                format!("there is a {}", other.label())
            } else {
                let asked = registry
                    .iter()
                    .filter(|c| kind.is_none_or(|k| c.kind() == k));
                match nearest(name, asked.map(|c| c.name.as_ref())) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "see `retrograde list`".into(),
                }
            };
            let text = format!("no {what} is called `{name}`; {hint}");
            out.plain_error(&text, "RG_ERR_NOT_FOUND");
            return Exit::Usage;
        }
        out.result(
            || {
                let all: Vec<Value> = found.iter().map(|c| object(c, Some(&c.schema))).collect();
                json!({ "components": all })
            },
            || {
                found
                    .iter()
                    .map(|c| description(c))
                    .collect::<Vec<_>>()
                    .join("\n")
            },
        );
        Exit::Ok
    })
}

/// A component as an object.
fn object(c: &Component, schema: Option<&retrograde::core::reexport::schemars::Schema>) -> Value {
    let mut object = json!({
        "kind": c.kind().word(),
        "name": c.name,
        "summary": c.summary,
        "source": c.source,
    });
    if let Some(plugin) = &c.plugin {
        object["plugin"] = crate::plugins::object(plugin);
    }
    if let Some(schema) = schema {
        object["schema"] = json!(schema);
    }
    object
}

fn description(c: &Component) -> String {
    let mut text = format!("{}: {}\nsource: {}\n", c.label(), c.summary, c.source);
    if let Some(needs) = needs_words(&c.needs) {
        let _ = writeln!(text, "needs: {needs}");
    }
    if let Some(p) = &c.plugin {
        let _ = writeln!(
            text,
            "plugin: {} {}, {}\n  {}\n  SHA-256 {}",
            p.name,
            p.version,
            p.license.as_deref().unwrap_or("no licence told"),
            p.file.display(),
            p.sha256
        );
    }
    let schema = c.schema.as_value();
    let Some(properties) = schema["properties"].as_object().filter(|p| !p.is_empty()) else {
        text.push_str("\nno keys\n");
        return text;
    };
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (key, property) in properties {
        let property = resolve(property, schema);
        let must = if required.contains(&key.as_str()) {
            ", required"
        } else {
            ""
        };
        let prose = property["description"].as_str().unwrap_or_default();
        let prose = prose.split_whitespace().collect::<Vec<_>>().join(" ");
        let (prose, default) = match &property["default"] {
            Value::Null => (prose.as_str(), String::new()),
            v => tell_once(&prose, v),
        };
        let _ = writeln!(
            text,
            "\n  {key}  ({}{}{must}{default})",
            type_words(&property),
            range_words(&property)
        );
        if !prose.is_empty() {
            for line in wrap(prose, 88) {
                let _ = writeln!(text, "      {line}");
            }
        }
    }
    text
}

/// The parts that a component cannot do without, in words; `None` when there are none.
fn needs_words(needs: &Needs) -> Option<String> {
    let must = |need: Need| need == Need::Required;
    let mut parts = Vec::new();
    if must(needs.target) || must(needs.density) || must(needs.gradient) {
        let with = match (must(needs.density), must(needs.gradient)) {
            (true, true) => " with a log density and its gradient",
            (true, false) => " with a log density",
            (false, true) => " with a gradient",
            (false, false) => "",
        };
        parts.push(format!("a target{with}"));
    }
    for (need, word) in [(needs.process, "a process"), (needs.score, "a score")] {
        if must(need) {
            parts.push(word.into());
        }
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The prose of a key and the words for its default, which both may tell: a last sentence that only
/// repeats it goes; where the prose says more of it, the words do.
fn tell_once<'a>(prose: &'a str, default: &Value) -> (&'a str, String) {
    let words = format!(", default {}", number_words(default));
    let last = prose.strip_suffix('.');
    match last.and_then(|p| p.rsplit_once("Default ")) {
        Some((before, value)) if is_same(value, default) => (before.trim_end(), words),
        _ if prose.to_lowercase().contains("default") => (prose, String::new()),
        _ => (prose, words),
    }
}

/// Whether a text is that value: 0 is 0.0.
fn is_same(text: &str, value: &Value) -> bool {
    match (serde_json::from_str::<Value>(text), value.as_f64()) {
        (Ok(v), Some(number)) => v.as_f64() == Some(number),
        (Ok(v), None) => v == *value,
        (Err(_), _) => false,
    }
}

/// A property with what its reference points to, its own words first.
fn resolve(property: &Value, root: &Value) -> Value {
    let target = property["$ref"]
        .as_str()
        .and_then(|r| root.pointer(r.strip_prefix('#')?));
    let (Some(Value::Object(target)), Value::Object(own)) = (target, property) else {
        return property.clone();
    };
    let mut merged = target.clone();
    merged.extend(
        own.iter()
            .filter(|(k, _)| *k != "$ref")
            .map(|(k, v)| (k.clone(), v.clone())),
    );
    Value::Object(merged)
}

fn type_words(p: &Value) -> String {
    let choices = |list: &Vec<Value>| {
        list.iter()
            .filter(|v| !v.is_null())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" | ")
    };
    if let Some(list) = p["enum"].as_array() {
        return choices(list);
    }
    if let Some(list) = p["oneOf"].as_array().or(p["anyOf"].as_array()) {
        return list
            .iter()
            .map(|b| match &b["const"] {
                Value::Null => type_words(b),
                v => v.to_string(),
            })
            .filter(|w| w != "null")
            .collect::<Vec<_>>()
            .join(" | ");
    }
    match &p["type"] {
        Value::String(s) => s.clone(),
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_str)
            .filter(|t| *t != "null")
            .collect::<Vec<_>>()
            .join(" or "),
        _ => "value".into(),
    }
}

fn range_words(p: &Value) -> String {
    let mut words = String::new();
    for (key, sign) in [
        ("minimum", "≥"),
        ("exclusiveMinimum", ">"),
        ("maximum", "≤"),
        ("exclusiveMaximum", "<"),
    ] {
        if !p[key].is_null() {
            let _ = write!(words, " {sign} {}", number_words(&p[key]));
        }
    }
    words
}

/// A number as it is written in TOML, in the shorter way: 0.5, 1e30.
fn number_words(v: &Value) -> String {
    match v.as_f64().filter(|_| v.is_f64()) {
        Some(x) => {
            let (plain, exponent) = (format!("{x:?}"), format!("{x:e}"));
            let far = !(1e-4..1e6).contains(&x.abs());
            if far && exponent.len() < plain.len() {
                exponent
            } else {
                plain
            }
        }
        None => v.to_string(),
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].chars().count() + 1 + word.chars().count() > width
        {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
}

pub(crate) fn schema(out: &Output) -> Exit {
    let out = Output { json: true, ..*out };
    with_registry(&out, |registry| {
        print(&format!("{:#}\n", job_schema(registry)));
        Exit::Ok
    })
}

pub(crate) fn summary(args: &SummaryArgs, out: &Output) -> Exit {
    match read_report(&args.directory) {
        Err(e) => out.error(&e),
        Ok(report) => {
            out.result(
                || json!({ "report": report }),
                || show::report(&report, usize::MAX),
            );
            if report.worst() == Status::Fail {
                Exit::Diagnostics
            } else {
                Exit::Ok
            }
        }
    }
}

pub(crate) fn with_registry(out: &Output, f: impl FnOnce(&Registry) -> Exit) -> Exit {
    match registry(out) {
        Ok(registry) => f(&registry),
        Err(e) => out.error(&e.into()),
    }
}
