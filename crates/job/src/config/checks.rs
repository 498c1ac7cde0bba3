//! Checks of single values: the leaves of [`super::validate`].

use std::cmp::Ordering::{Equal, Greater, Less};

use serde_json::{Map, Value as Json};

use super::diagnostic::Diagnostic;
use super::source::Span;
use super::tree::{Entry, Node, Value};
use super::words::{
    counted, json_words, listed, nearest, range_words, short, type_words, value_text, value_words,
};

/// Where a check is: path and nearest written span, and a key allowed beside the schema's own,
/// with the references followed since the last step into the data.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) path: String,
    pub(super) span: Option<Span>,
    pub(super) extra: Option<&'a str>,
    pub(super) followed: Vec<&'a Json>,
}

impl<'a> Place<'a> {
    pub(super) fn new(path: &str, span: Option<Span>, extra: Option<&'a str>) -> Self {
        Self {
            path: path.to_owned(),
            span,
            extra,
            followed: Vec::new(),
        }
    }

    pub(super) fn below(&self, path: String, node: &Node) -> Self {
        Self {
            path,
            span: node.span.or(self.span),
            extra: None,
            followed: Vec::new(),
        }
    }

    /// The same place after a reference to `target`; `None` if that goes in circles.
    pub(super) fn after(&self, target: &'a Json) -> Option<Self> {
        if self.followed.iter().any(|f| std::ptr::eq(*f, target)) {
            return None;
        }
        let mut next = self.clone();
        next.followed.push(target);
        Some(next)
    }

    pub(super) fn key(&self, key: &str) -> String {
        match self.path.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.path),
        }
    }

    /// ``in `sampler` ``, or nothing at the top level.
    pub(super) fn inside(&self) -> String {
        match self.path.is_empty() {
            true => String::new(),
            false => format!(" in `{}`", self.path),
        }
    }

    pub(super) fn problem(&self, message: String, label: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.span, message).label(label)
    }
}

/// The values of `const` or `enum`, without `null`.
pub(super) fn literals(schema: &Map<String, Json>) -> Vec<&Json> {
    let list = match (schema.get("const"), schema.get("enum")) {
        (Some(only), _) => vec![only],
        (None, Some(Json::Array(list))) => list.iter().collect(),
        _ => Vec::new(),
    };
    list.into_iter().filter(|v| !v.is_null()).collect()
}

/// The names of the `type` keyword, without `null`.
pub(super) fn types(schema: &Map<String, Json>) -> Vec<&str> {
    let list = match schema.get("type") {
        Some(Json::String(one)) => vec![one.as_str()],
        Some(Json::Array(list)) => list.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    list.into_iter().filter(|t| *t != "null").collect()
}

pub(super) fn has_type(value: &Value, name: &str) -> bool {
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
pub(super) fn check_literals(
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

pub(super) fn unknown_key(
    entry: &Entry,
    properties: Option<&Map<String, Json>>,
    at: &Place<'_>,
) -> Diagnostic {
    let names = || {
        at.extra.into_iter().chain(
            properties
                .into_iter()
                .flat_map(Map::keys)
                .map(String::as_str),
        )
    };
    let label = match nearest(&entry.key, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "unknown key".to_owned(),
    };
    let help = match names().next() {
        None => "no keys can be set here".to_owned(),
        Some(_) => format!("the keys are {}", listed(names())),
    };
    let message = format!("unknown key `{}`{}", entry.key, at.inside());
    Diagnostic::new(entry.key_span.or(at.span), message)
        .label(label)
        .help(help)
}

/// `nested`: a list that is wanted is one of lists, which a value alone does not tell.
pub(super) fn wrong_type(node: &Node, wanted: &[&str], nested: bool, at: &Place<'_>) -> Diagnostic {
    let words = type_words(wanted);
    let (is, path) = (value_words(&node.value), &at.path);
    let problem = at.problem(
        format!("`{path}` must be {words}, but is {is}"),
        format!("expected {words}"),
    );
    match rewritten(&node.value, wanted) {
        Some(_) if nested => problem.help("it is a list of lists"),
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

pub(super) fn check_number(
    value: &Value,
    schema: &Map<String, Json>,
    at: &Place<'_>,
    out: &mut Vec<Diagnostic>,
) {
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
    if let (Value::Integer(n), Some((low, high))) = (value, format_bounds(schema))
        && !(low..=high).contains(n)
    {
        // The least value may be told beside the format; it is within it.
        let least = schema.get("minimum").and_then(Json::as_i64);
        let low = least.map_or(low, |least| least.max(low));
        let words = match high {
            i64::MAX => format!("at least {low}"),
            _ => format!("between {low} and {high}"),
        };
        out.push(bad(words));
        return;
    }
    let step = schema.get("multipleOf");
    if let Some(step) = step.filter(|s| s.as_f64().is_some_and(|s| s > 0.0))
        && !is_multiple(value, step)
    {
        out.push(bad(format!("a multiple of {}", short(step))));
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

pub(super) fn check_string(
    text: &str,
    schema: &Map<String, Json>,
    at: &Place<'_>,
    out: &mut Vec<Diagnostic>,
) {
    let limit = |key: &str| schema.get(key).and_then(Json::as_u64);
    let (low, high) = (limit("minLength"), limit("maxLength"));
    let length = text.chars().count() as u64;
    if length == 0 && low == Some(1) {
        out.push(at.problem(format!("`{}` must not be empty", at.path), "empty"));
        return;
    }
    check_length(length, low, high, "character", at, out);
}

pub(super) fn check_length(
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
