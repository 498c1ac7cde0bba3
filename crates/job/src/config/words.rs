//! Plain words for values, wanted types and ranges.

use serde_json::{Map, Value as Json};

use super::tree::Value;

pub use retrograde_core::registry::nearest;

/// `` `a`, `b`, `c` ``.
pub(super) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|n| format!("`{n}`")).collect();
    quoted.join(", ")
}

/// A float as TOML writes it.
pub(super) fn float_words(x: f64) -> String {
    if x.is_nan() {
        "nan".to_owned()
    } else {
        format!("{x:?}")
    }
}

/// A value with its kind: `the number 2.5`, `the string "ten"`, `an array`.
pub(super) fn value_words(value: &Value) -> String {
    match value {
        Value::Bool(v) => v.to_string(),
        Value::Integer(v) => format!("the whole number {v}"),
        Value::Float(v) => format!("the number {}", float_words(*v)),
        Value::String(v) => format!("the string {}", quoted(v)),
        Value::Datetime(v) => format!("the date or time {v}"),
        Value::Array(_) => "an array".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}

/// A value as it would be written, for numbers and strings; other kinds by name.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::Integer(v) => v.to_string(),
        Value::Float(v) => float_words(*v),
        Value::String(v) => quoted(v),
        other => value_words(other),
    }
}

fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
        None => format!("{text:?}"),
    }
}

/// A JSON literal as TOML writes it.
pub(super) fn json_words(json: &Json) -> String {
    match json {
        Json::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// `2 elements`, `1 character`.
pub(super) fn counted(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

/// What the `type` keyword wants: `a whole number`, `a string or a table`. `null` says nothing.
pub(super) fn type_words(types: &[&str]) -> String {
    let mut words: Vec<&str> = Vec::new();
    for name in types {
        let word = match *name {
            "boolean" => "`true` or `false`",
            "integer" => "a whole number",
            "number" => "a number",
            "string" => "a string",
            "array" => "an array",
            "object" => "a table",
            "null" => continue,
            other => other,
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" or ")
}

/// The range keywords of a schema in words: `at least 1`, `> 0 and at most 1`; `None` without any.
pub(super) fn range_words(schema: &Map<String, Json>) -> Option<String> {
    let bound = |key: &str| schema.get(key).filter(|v| v.is_number());
    let (low, high) = (bound("minimum"), bound("maximum"));
    let (above, below) = (bound("exclusiveMinimum"), bound("exclusiveMaximum"));
    if let (Some(low), Some(high), None, None) = (low, high, above, below) {
        return Some(format!("between {} and {}", short(low), short(high)));
    }
    let mut parts = Vec::new();
    let mut part = |words: &str, limit: Option<&Json>| {
        parts.extend(limit.map(|n| format!("{words} {}", short(n))));
    };
    part(">", above);
    part("at least", low);
    part("<", below);
    part("at most", high);
    (!parts.is_empty()).then(|| parts.join(" and "))
}

/// A bound without a needless `.0`.
pub(super) fn short(number: &Json) -> String {
    match number.as_f64() {
        Some(x) if number.is_f64() && x.fract() == 0.0 && x.abs() < 1e15 => format!("{x:.0}"),
        Some(x) if number.is_f64() && x.fract() == 0.0 => format!("{x:e}"),
        Some(x) if number.is_f64() => float_words(x),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nearest_names() {
        let names = ["steps", "step_size", "rho"];
        assert_eq!(nearest("stps", names), Some("steps"));
        assert_eq!(nearest("stepsize", names), Some("step_size"));
        assert_eq!(nearest("STEPS", names), Some("steps"));
        assert_eq!(nearest("temperature", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn ranges_in_words() {
        let words = |schema: Json| range_words(schema.as_object().unwrap());
        assert_eq!(words(json!({})), None);
        assert_eq!(words(json!({"minimum": 1})).unwrap(), "at least 1");
        assert_eq!(words(json!({"exclusiveMinimum": 0.0})).unwrap(), "> 0");
        assert_eq!(
            words(json!({"minimum": 0.0, "maximum": 1.0})).unwrap(),
            "between 0 and 1"
        );
        assert_eq!(
            words(json!({"exclusiveMinimum": 0.0, "maximum": 0.5})).unwrap(),
            "> 0 and at most 0.5"
        );
        assert_eq!(words(json!({"exclusiveMaximum": 1e-9})).unwrap(), "< 1e-9");
        assert_eq!(words(json!({"maximum": 1e15})).unwrap(), "at most 1e15");
        assert_eq!(
            words(json!({"minimum": 0, "exclusiveMaximum": 1})).unwrap(),
            "at least 0 and < 1"
        );
    }

    #[test]
    fn long_strings_are_cut_between_characters() {
        let text = "σ".repeat(100);
        assert_eq!(
            value_words(&Value::String(text)),
            format!("the string \"{}\"…", "σ".repeat(40))
        );
    }
}
