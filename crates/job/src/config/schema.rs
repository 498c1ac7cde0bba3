//! Checks of a tree against a JSON Schema (draft 2020-12, as schemars 1.x writes it).
//!
//! Understood: `$ref` into the same schema, `allOf`, `anyOf`/`oneOf`, `type`, `const`, `enum`,
//! `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`, `minLength`,
//! `maxLength`, `items`, `prefixItems`, `minItems`, `maxItems`, `uniqueItems`, `properties`,
//! `required`, `additionalProperties`, and the integer widths of `format`. Other keywords are not
//! checked. `null` stands for an absent key.

use serde_json::{Map, Value as Json};

use super::diagnostic::{Diagnostic, sort};
use super::source::Span;
use super::tree::{Entry, Node, Table, Value};
use super::words::{
    counted, json_words, listed, nearest, range_words, short, type_words, value_text, value_words,
};

/// Schemas that refer to one another more often than this without a step into the data go in circles.
const MAX_HOPS: usize = 64;

/// Checks `node` against `schema`, whose `$ref`s point into `root`. `path` is the node's path in the
/// job (`sampler`; empty for the top level) and begins the names in messages.
///
/// Gives all problems, sorted by place.
#[must_use]
pub fn validate(node: &Node, schema: &Json, root: &Json, path: &str) -> Vec<Diagnostic> {
    run(node, schema, root, path, None)
}

/// Checks the table of a component at `path` against its settings' schema, which does not list `kind`.
#[must_use]
pub fn validate_component(node: &Node, schema: &Json, path: &str) -> Vec<Diagnostic> {
    run(node, schema, schema, path, Some("kind"))
}

fn run(
    node: &Node,
    schema: &Json,
    root: &Json,
    path: &str,
    extra: Option<&str>,
) -> Vec<Diagnostic> {
    let place = Place {
        path: path.to_owned(),
        span: node.span,
        extra,
        hops: 0,
    };
    let mut found = Vec::new();
    Checker { root }.check(node, schema, &place, &mut found);
    sort(&mut found);
    found
}

/// The `kind` of the component table at `path`, which must be one of `kinds`.
///
/// # Errors
/// When `node` is no table, or `kind` is missing, no string or unknown (with the nearest kind).
pub fn component_kind<'k>(
    node: &Node,
    path: &str,
    kinds: impl IntoIterator<Item = &'k str>,
) -> Result<&'k str, Diagnostic> {
    let kinds: Vec<&str> = kinds.into_iter().collect();
    let Some(table) = node.as_table() else {
        let is = value_words(&node.value);
        return Err(
            Diagnostic::new(node.span, format!("`{path}` must be a table, but is {is}"))
                .label("expected a table")
                .help(format!("write `[{path}]` with `kind = \"…\"` below it")),
        );
    };
    let Some(kind) = table.get("kind") else {
        return Err(
            Diagnostic::new(node.span, format!("missing key `kind` in `{path}`"))
                .label("needs `kind`")
                .help(format!("the kinds are {}", listed(kinds))),
        );
    };
    let Some(name) = kind.as_str() else {
        let is = value_words(&kind.value);
        return Err(Diagnostic::new(
            kind.span,
            format!("`{path}.kind` must be a string, but is {is}"),
        )
        .label("expected a string")
        .help(format!("the kinds are {}", listed(kinds))));
    };
    match kinds.iter().find(|k| **k == name) {
        Some(found) => Ok(found),
        None => Err(unknown_kind(kind.span, path, name, kinds)),
    }
}

/// The diagnostic for a `kind` that is not among `kinds`.
pub fn unknown_kind<'k>(
    span: Option<Span>,
    path: &str,
    name: &str,
    kinds: impl IntoIterator<Item = &'k str>,
) -> Diagnostic {
    let kinds: Vec<&str> = kinds.into_iter().collect();
    let label = match nearest(name, kinds.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "unknown kind".to_owned(),
    };
    Diagnostic::new(span, format!("unknown kind {name:?} in `{path}`"))
        .label(label)
        .help(format!("the kinds are {}", listed(kinds)))
}

/// Where a check is: path and nearest written span, and a key allowed beside the schema's own.
#[derive(Clone)]
struct Place<'a> {
    path: String,
    span: Option<Span>,
    extra: Option<&'a str>,
    hops: usize,
}

impl Place<'_> {
    fn below(&self, path: String, node: &Node) -> Place<'static> {
        Place {
            path,
            span: node.span.or(self.span),
            extra: None,
            hops: 0,
        }
    }

    fn hop(&self) -> Self {
        Self {
            hops: self.hops + 1,
            ..self.clone()
        }
    }

    fn key(&self, key: &str) -> String {
        match self.path.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.path),
        }
    }

    /// ``in `sampler` ``, or nothing at the top level.
    fn inside(&self) -> String {
        match self.path.is_empty() {
            true => String::new(),
            false => format!(" in `{}`", self.path),
        }
    }

    fn problem(&self, message: String, label: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.span, message).label(label)
    }
}

/// The schema a local reference such as `#/$defs/Name` points to.
pub(super) fn follow<'s>(reference: &str, root: &'s Json) -> Option<&'s Json> {
    root.pointer(reference.strip_prefix('#')?)
}

/// The alternatives of `anyOf` or `oneOf` that TOML can write: all but `null`.
pub(super) fn branches(schema: &Map<String, Json>) -> Option<Vec<&Json>> {
    let list = schema
        .get("anyOf")
        .or_else(|| schema.get("oneOf"))?
        .as_array()?;
    let null = Json::from("null");
    let is_null =
        |s: &Json| s.get("type") == Some(&null) || s.get("const").is_some_and(Json::is_null);
    Some(list.iter().filter(|s| !is_null(s)).collect())
}

pub(super) struct Checker<'s> {
    pub(super) root: &'s Json,
}

impl<'s> Checker<'s> {
    /// The alternative that fits `node`: the first without problems.
    pub(super) fn fitting(&self, node: &Node, list: &[&'s Json]) -> Option<&'s Json> {
        let place = Place {
            path: String::new(),
            span: None,
            extra: Some("kind"),
            hops: 0,
        };
        list.iter().copied().find(|schema| {
            let mut found = Vec::new();
            self.check(node, schema, &place, &mut found);
            found.is_empty()
        })
    }

    fn check(&self, node: &Node, schema: &Json, at: &Place<'_>, out: &mut Vec<Diagnostic>) {
        let schema = match schema {
            Json::Object(schema) => schema,
            Json::Bool(false) => {
                out.push(at.problem(format!("`{}` cannot be set", at.path), "not allowed"));
                return;
            }
            _ => return,
        };
        if at.hops > MAX_HOPS {
            out.push(at.problem(
                format!("the schema of `{}` refers to itself", at.path),
                "checked here",
            ));
            return;
        }
        let before = out.len();
        if let Some(Json::String(reference)) = schema.get("$ref") {
            match follow(reference, self.root) {
                Some(target) => self.check(node, target, &at.hop(), out),
                None => out.push(at.problem(
                    format!(
                        "the schema of `{}` refers to {reference:?}, which it does not define",
                        at.path
                    ),
                    "checked here",
                )),
            }
        }
        for part in schema
            .get("allOf")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            self.check(node, part, &at.hop(), out);
        }
        if out.len() > before {
            return;
        }
        if let Some(list) = branches(schema) {
            self.check_choice(node, &list, at, out);
        }
        let allowed = literals(schema);
        if out.len() > before || !check_literals(node, &allowed, at, out) {
            return;
        }
        let wanted = types(schema);
        if !wanted.is_empty() && !wanted.iter().any(|t| has_type(&node.value, t)) {
            out.push(wrong_type(node, &wanted, at));
            return;
        }
        match &node.value {
            Value::Integer(_) | Value::Float(_) => check_number(&node.value, schema, at, out),
            Value::String(text) => check_string(text, schema, at, out),
            Value::Array(items) => self.check_array(items, schema, at, out),
            Value::Table(table) => self.check_table(table, schema, at, out),
            Value::Bool(_) | Value::Datetime(_) => {}
        }
    }

    fn check_choice(&self, node: &Node, list: &[&Json], at: &Place<'_>, out: &mut Vec<Diagnostic>) {
        let at = &at.hop();
        if let [only] = list {
            self.check(node, only, at, out);
            return;
        }
        // Enums of plain words: one list of words.
        let words: Vec<Vec<&Json>> = list.iter().map(|s| self.all_literals(s)).collect();
        if !words.is_empty() && words.iter().all(|w| !w.is_empty()) {
            check_literals(node, &words.concat(), at, out);
            return;
        }
        let tried: Vec<Vec<Diagnostic>> = list
            .iter()
            .map(|schema| {
                let mut found = Vec::new();
                self.check(node, schema, at, &mut found);
                found
            })
            .collect();
        if tried.iter().any(Vec::is_empty) {
            return;
        }
        let wanted: Vec<Vec<&str>> = list.iter().map(|s| self.all_types(s)).collect();
        let fits =
            |types: &[&str]| types.is_empty() || types.iter().any(|t| has_type(&node.value, t));
        if !wanted.iter().any(|types| fits(types)) {
            out.push(wrong_type(node, &wanted.concat(), at));
            return;
        }
        if let Some(problem) = self.check_tag(node, list, at) {
            out.push(problem);
            return;
        }
        // The alternative meant is most likely the one of the right type with the fewest problems.
        let tagged = |s: &Json| {
            self.tag(s)
                .is_none_or(|(key, tag)| tag_of(node, key) == Some(tag))
        };
        let best = tried
            .into_iter()
            .zip(&wanted)
            .zip(list)
            .filter(|((_, types), _)| fits(types))
            .min_by_key(|((found, _), schema)| (!tagged(schema), found.len()));
        out.extend(best.into_iter().flat_map(|((found, _), _)| found));
    }

    /// For alternatives told apart by a constant key (`kind = "linear"`): its absence or a wrong word.
    fn check_tag(&self, node: &Node, list: &[&Json], at: &Place<'_>) -> Option<Diagnostic> {
        let table = node.as_table()?;
        let tags: Vec<(&str, &str)> = list.iter().map(|s| self.tag(s)).collect::<Option<_>>()?;
        let key = tags.first()?.0;
        if tags.iter().any(|(k, _)| *k != key) {
            return None;
        }
        let words: Vec<Json> = tags.iter().map(|(_, tag)| Json::from(*tag)).collect();
        let words: Vec<&Json> = words.iter().collect();
        let Some(given) = table.get(key) else {
            let names = listed(tags.iter().map(|(_, tag)| *tag));
            return Some(
                at.problem(
                    format!("missing key `{key}`{}", at.inside()),
                    format!("needs `{key}`"),
                )
                .help(format!("`{key}` is one of {names}")),
            );
        };
        let mut found = Vec::new();
        check_literals(given, &words, &at.below(at.key(key), given), &mut found);
        found.pop()
    }

    /// The first property with a constant string, and the string.
    fn tag(&self, schema: &'s Json) -> Option<(&'s str, &'s str)> {
        let properties = self.resolved(schema)?.get("properties")?.as_object()?;
        properties
            .iter()
            .find_map(|(key, s)| Some((key.as_str(), s.get("const")?.as_str()?)))
    }

    /// The schema after all leading references.
    fn resolved(&self, mut schema: &'s Json) -> Option<&'s Map<String, Json>> {
        for _ in 0..MAX_HOPS {
            match schema.get("$ref").and_then(Json::as_str) {
                Some(reference) => schema = follow(reference, self.root)?,
                None => return schema.as_object(),
            }
        }
        None
    }

    fn all_literals(&self, schema: &'s Json) -> Vec<&'s Json> {
        self.resolved(schema).map(literals).unwrap_or_default()
    }

    fn all_types(&self, schema: &'s Json) -> Vec<&'s str> {
        self.resolved(schema).map(types).unwrap_or_default()
    }

    fn check_array(
        &self,
        items: &[Node],
        schema: &Map<String, Json>,
        at: &Place<'_>,
        out: &mut Vec<Diagnostic>,
    ) {
        let limit = |key: &str| schema.get(key).and_then(Json::as_u64);
        check_length(
            items.len() as u64,
            limit("minItems"),
            limit("maxItems"),
            "element",
            at,
            out,
        );
        let fixed = schema.get("prefixItems").and_then(Json::as_array);
        let fixed = fixed.map_or(&[][..], Vec::as_slice);
        let name = |index: usize| format!("{}[{index}]", at.path);
        for (index, item) in items.iter().enumerate() {
            let Some(schema) = fixed.get(index).or_else(|| schema.get("items")) else {
                break;
            };
            // A surplus element has been counted above.
            if index < fixed.len() || *schema != Json::Bool(false) {
                self.check(item, schema, &at.below(name(index), item), out);
            }
        }
        if schema.get("uniqueItems") == Some(&Json::Bool(true)) {
            for (index, item) in items.iter().enumerate() {
                if let Some(first) = items[..index].iter().position(|i| i.same_data(item)) {
                    let place = at.below(name(index), item);
                    let message = format!("`{}` repeats `{}`", place.path, name(first));
                    out.push(place.problem(message, "each element may stand once"));
                }
            }
        }
    }

    fn check_table(
        &self,
        table: &Table,
        schema: &Map<String, Json>,
        at: &Place<'_>,
        out: &mut Vec<Diagnostic>,
    ) {
        let none = Map::new();
        let properties = schema
            .get("properties")
            .and_then(Json::as_object)
            .unwrap_or(&none);
        for entry in table.entries() {
            let place = at.below(at.key(&entry.key), &entry.node);
            match (
                properties.get(&entry.key),
                schema.get("additionalProperties"),
            ) {
                (Some(known), _) => self.check(&entry.node, known, &place, out),
                (None, _) if at.extra == Some(entry.key.as_str()) => {}
                (None, Some(Json::Bool(false))) => {
                    // `patternProperties` need a regex engine; such keys pass.
                    if !schema.contains_key("patternProperties") {
                        out.push(unknown_key(entry, properties, at));
                    }
                }
                (None, Some(other)) => self.check(&entry.node, other, &place, out),
                (None, None) => {}
            }
        }
        let required = schema
            .get("required")
            .and_then(Json::as_array)
            .into_iter()
            .flatten();
        for key in required.filter_map(Json::as_str) {
            if table.get(key).is_none() {
                out.push(self.missing_key(key, properties.get(key), at));
            }
        }
    }

    fn missing_key(&self, key: &str, property: Option<&'s Json>, at: &Place<'_>) -> Diagnostic {
        let resolved = property.and_then(|p| self.resolved(p));
        let wants_table = resolved.is_some_and(|s| types(s) == ["object"]);
        let what = if wants_table { "table" } else { "key" };
        let missing = at.problem(
            format!("missing {what} `{key}`{}", at.inside()),
            format!("needs `{key}`"),
        );
        let own = property.and_then(|p| p.get("description"));
        let description = own.or_else(|| resolved?.get("description"));
        match description
            .and_then(Json::as_str)
            .and_then(|d| d.lines().next())
        {
            Some(line) if !line.is_empty() => missing.help(format!("`{key}`: {line}")),
            _ => missing,
        }
    }
}

fn tag_of<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.as_table()?.get(key)?.as_str()
}

/// The values of `const` or `enum`, without `null`.
fn literals(schema: &Map<String, Json>) -> Vec<&Json> {
    let list = match (schema.get("const"), schema.get("enum")) {
        (Some(only), _) => vec![only],
        (None, Some(Json::Array(list))) => list.iter().collect(),
        _ => Vec::new(),
    };
    list.into_iter().filter(|v| !v.is_null()).collect()
}

/// The names of the `type` keyword, without `null`.
fn types(schema: &Map<String, Json>) -> Vec<&str> {
    let list = match schema.get("type") {
        Some(Json::String(one)) => vec![one.as_str()],
        Some(Json::Array(list)) => list.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    list.into_iter().filter(|t| *t != "null").collect()
}

fn has_type(value: &Value, name: &str) -> bool {
    match value {
        Value::Bool(_) => name == "boolean",
        Value::Integer(_) => name == "integer" || name == "number",
        Value::Float(_) => name == "number",
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Table(_) => name == "object",
        Value::Datetime(_) => false,
    }
}

fn is_literal(value: &Value, json: &Json) -> bool {
    match (value, json) {
        (Value::Integer(a), Json::Number(b)) => {
            b.as_i64() == Some(*a) || b.as_f64() == Some(*a as f64)
        }
        _ => Node::from_json(json).is_some_and(|n| n.same_data(&Node::new(value.clone()))),
    }
}

/// Whether `node` is one of `allowed` (anything is, when none are given).
fn check_literals(
    node: &Node,
    allowed: &[&Json],
    at: &Place<'_>,
    out: &mut Vec<Diagnostic>,
) -> bool {
    if allowed.is_empty() || allowed.iter().any(|v| is_literal(&node.value, v)) {
        return true;
    }
    let names: Vec<&str> = allowed.iter().filter_map(|v| v.as_str()).collect();
    let words: Vec<String> = allowed.iter().map(|v| json_words(v)).collect();
    let (is, path) = (value_text(&node.value), &at.path);
    let wanted = match words.as_slice() {
        [only] => only.clone(),
        _ => format!("one of {}", words.join(", ")),
    };
    let near = node.as_str().and_then(|given| nearest(given, names));
    let label = match near {
        Some(near) => format!("did you mean {near:?}?"),
        None => "not an allowed value".to_owned(),
    };
    out.push(at.problem(format!("`{path}` must be {wanted}, but is {is}"), label));
    false
}

fn unknown_key(entry: &Entry, properties: &Map<String, Json>, at: &Place<'_>) -> Diagnostic {
    let names = || properties.keys().map(String::as_str);
    let label = match nearest(&entry.key, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "unknown key".to_owned(),
    };
    let help = match properties.is_empty() {
        true => "no keys can be set here".to_owned(),
        false => format!("the keys are {}", listed(names())),
    };
    let message = format!("unknown key `{}`{}", entry.key, at.inside());
    Diagnostic::new(entry.key_span.or(at.span), message)
        .label(label)
        .help(help)
}

fn wrong_type(node: &Node, wanted: &[&str], at: &Place<'_>) -> Diagnostic {
    let words = type_words(wanted);
    let (is, path) = (value_words(&node.value), &at.path);
    let problem = at.problem(
        format!("`{path}` must be {words}, but is {is}"),
        format!("expected {words}"),
    );
    match rewritten(&node.value, wanted) {
        Some(text) => problem.help(format!("write `{text}`")),
        None => problem,
    }
}

/// The same value in a wanted type, where the intention is plain.
fn rewritten(value: &Value, wanted: &[&str]) -> Option<String> {
    let wants = |name: &str| wanted.contains(&name);
    match value {
        Value::Float(x) if wants("integer") && x.fract() == 0.0 && x.abs() < 1e15 => {
            Some(format!("{x:.0}"))
        }
        Value::String(text) => {
            let text = text.trim();
            let number = wants("number") && text.parse::<f64>().is_ok_and(f64::is_finite);
            let integer = wants("integer") && text.parse::<i64>().is_ok();
            let boolean = wants("boolean") && matches!(text, "true" | "false");
            (number || integer || boolean).then(|| text.to_owned())
        }
        Value::Integer(_) | Value::Float(_) if wanted == ["array"] => {
            Some(format!("[{}]", value_text(value)))
        }
        _ => None,
    }
}

/// `a` compared with a JSON number, exactly for whole numbers.
fn compare(a: &Value, b: &Json) -> Option<std::cmp::Ordering> {
    match a {
        Value::Integer(a) => match b.as_i64() {
            Some(b) => Some(a.cmp(&b)),
            None => (*a as f64).partial_cmp(&b.as_f64()?),
        },
        Value::Float(a) => a.partial_cmp(&b.as_f64()?),
        _ => None,
    }
}

/// Bounds of an integer `format` (`uint8`), which schemars writes for the narrow Rust types.
fn format_bounds(schema: &Map<String, Json>) -> Option<(i64, i64)> {
    Some(match schema.get("format")?.as_str()? {
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "uint8" => (0, u8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint" | "uint64" | "uint128" => (0, i64::MAX),
        _ => return None,
    })
}

fn check_number(
    value: &Value,
    schema: &Map<String, Json>,
    at: &Place<'_>,
    out: &mut Vec<Diagnostic>,
) {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let bad = |words: String| {
        let (path, is) = (&at.path, value_text(value));
        at.problem(
            format!("`{path}` must be {words}, but is {is}"),
            "out of range",
        )
    };
    let within = |key: &str, fits: &[std::cmp::Ordering]| {
        let bound = schema.get(key).filter(|v| v.is_number());
        bound.is_none_or(|bound| compare(value, bound).is_some_and(|o| fits.contains(&o)))
    };
    let inside = within("minimum", &[Equal, Greater])
        && within("exclusiveMinimum", &[Greater])
        && within("maximum", &[Equal, Less])
        && within("exclusiveMaximum", &[Less]);
    if !inside {
        out.push(bad(range_words(schema).unwrap_or_default()));
        return;
    }
    if let (Value::Integer(n), Some((low, high))) = (value, format_bounds(schema)) {
        if !(low..=high).contains(n) {
            let words = match high {
                i64::MAX => "at least 0".to_owned(),
                _ => format!("between {low} and {high}"),
            };
            out.push(bad(words));
            return;
        }
    }
    if let Some(step) = schema
        .get("multipleOf")
        .filter(|s| s.as_f64().is_some_and(|s| s > 0.0))
    {
        if !is_multiple(value, step) {
            out.push(bad(format!("a multiple of {}", short(step))));
        }
    }
}

/// Floats may miss a multiple by rounding: 0.3 counts as a multiple of 0.1.
fn is_multiple(value: &Value, step: &Json) -> bool {
    match (value, step.as_i64()) {
        (Value::Integer(n), Some(step)) => n.checked_rem(step) == Some(0),
        _ => {
            let x = match value {
                Value::Integer(n) => *n as f64,
                Value::Float(x) => *x,
                _ => return true,
            };
            let ratio = x / step.as_f64().unwrap_or(1.0);
            (ratio - ratio.round()).abs() <= 4.0 * f64::EPSILON * ratio.abs().max(1.0)
        }
    }
}

fn check_string(text: &str, schema: &Map<String, Json>, at: &Place<'_>, out: &mut Vec<Diagnostic>) {
    let limit = |key: &str| schema.get(key).and_then(Json::as_u64);
    let (low, high) = (limit("minLength"), limit("maxLength"));
    let length = text.chars().count() as u64;
    if length == 0 && low == Some(1) {
        out.push(at.problem(format!("`{}` must not be empty", at.path), "empty"));
        return;
    }
    check_length(length, low, high, "character", at, out);
}

fn check_length(
    length: u64,
    low: Option<u64>,
    high: Option<u64>,
    noun: &str,
    at: &Place<'_>,
    out: &mut Vec<Diagnostic>,
) {
    if low.is_none_or(|low| length >= low) && high.is_none_or(|high| length <= high) {
        return;
    }
    let wanted = match (low, high) {
        (Some(low), Some(high)) if low == high => counted(low, noun),
        (Some(low), Some(high)) => format!("between {low} and {}", counted(high, noun)),
        (Some(low), None) => format!("at least {}", counted(low, noun)),
        (None, Some(high)) => format!("at most {}", counted(high, noun)),
        (None, None) => return,
    };
    let path = &at.path;
    out.push(at.problem(
        format!("`{path}` must have {wanted}, but has {length}"),
        format!("expected {wanted}"),
    ));
}
