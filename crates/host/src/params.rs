//! Parameters as a plugin declares them: the JSON Schema that they make, and the settings that fit them.

use crate::descriptor::{grammar, pointers};
use retrograde_abi::{RG_TYPE_BOOL, RG_TYPE_F64, RG_TYPE_F64S, RG_TYPE_I64, RG_TYPE_STR, rg_param};
use retrograde_bridge::tables::read;
use retrograde_core::registry::nearest;
use retrograde_core::{Error, Result};
use schemars::Schema;
use serde_json::{Map, Value as Json, json};
use std::collections::HashSet;
use std::ffi::c_char;

/// Keys that the tables of a job have already.
const RESERVED: [&str; 2] = ["kind", "bounds"];
/// The longest text, in bytes.
const LONGEST: usize = 1 << 20;
const MOST_CHOICES: usize = 4096;
/// Beyond what any whole number of TOML is: 2⁶³.
const WHOLE: f64 = 9_223_372_036_854_775_808.0;

/// A text of a plugin.
///
/// # Errors
/// When it is NULL, too long, or no UTF-8.
///
/// # Safety
/// `p` is NULL, or a text that ends lies there as long as the program runs.
pub(crate) unsafe fn text_at(p: *const c_char, what: &str) -> std::result::Result<String, String> {
    if p.is_null() {
        return Err(format!("{what} is NULL"));
    }
    // SAFETY: not NULL; read up to its end, or up to the longest that is taken.
    let length = (0..=LONGEST).find(|i| unsafe { *p.add(*i) } == 0);
    let Some(length) = length else {
        return Err(format!("{what} is longer than {LONGEST} bytes"));
    };
    // SAFETY: that many bytes were just read.
    let bytes = unsafe { std::slice::from_raw_parts(p.cast::<u8>(), length) };
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|e| {
        format!(
            "{what} is not UTF-8 (first bad byte at {})",
            e.valid_up_to()
        )
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Number,
    Whole,
    Bool,
    Text,
    Numbers,
}

impl Type {
    fn words(self) -> &'static str {
        match self {
            Type::Number => "a number",
            Type::Whole => "a whole number",
            Type::Bool => "true or false",
            Type::Text => "text",
            Type::Numbers => "a list of numbers",
        }
    }
}

#[derive(Debug, Clone)]
struct Param {
    name: String,
    doc: String,
    kind: Type,
    default: Option<toml::Value>,
    min: f64,
    max: f64,
    choices: Option<Vec<String>>,
}

/// The parameters of a component.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<Param>);

impl Params {
    /// Reads and looks over what a component declares.
    ///
    /// # Errors
    /// The first thing that is wrong.
    ///
    /// # Safety
    /// `params` is NULL, or `n` parameters of a library that stays mapped.
    pub(crate) unsafe fn read(
        params: *const *const rg_param,
        n: usize,
    ) -> std::result::Result<Self, String> {
        // SAFETY: by contract.
        let all = unsafe { pointers(params, n, "params") }?;
        let mut seen = HashSet::new();
        let mut read_all = Vec::with_capacity(n);
        for (i, p) in all.iter().enumerate() {
            // SAFETY: by contract.
            let param = unsafe { Param::read(*p) }.map_err(|e| format!("parameter {i}: {e}"))?;
            if !seen.insert(param.name.clone()) {
                return Err(format!("two of its parameters are called `{}`", param.name));
            }
            read_all.push(param);
        }
        Ok(Self(read_all))
    }

    /// Names of those that have no default.
    pub(crate) fn required(&self) -> Vec<&str> {
        let without = self.0.iter().filter(|p| p.default.is_none());
        without.map(|p| p.name.as_str()).collect()
    }

    /// The JSON Schema of the settings.
    pub(crate) fn schema(&self) -> Schema {
        let properties: Map<String, Json> = self
            .0
            .iter()
            .map(|p| (p.name.clone(), p.schema()))
            .collect();
        let required: Vec<&str> = self
            .0
            .iter()
            .filter(|p| p.default.is_none())
            .map(|p| p.name.as_str())
            .collect();
        let object = json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        Schema::try_from(object).unwrap_or_default()
    }

    /// The settings with their defaults.
    ///
    /// # Errors
    /// [`Error::Setting`] for a key that is unknown, missing, of another type or out of range.
    pub(crate) fn fill(&self, component: &str, given: toml::Table) -> Result<toml::Table> {
        for (key, value) in &given {
            if self.0.iter().any(|p| p.name == *key) {
                continue;
            }
            let known = self.0.iter().map(|p| p.name.as_str());
            let allowed = match nearest(key, known.clone()) {
                Some(near) => format!("a parameter it has (did you mean `{near}`?)"),
                None => format!("one of {}", known.collect::<Vec<_>>().join(", ")),
            };
            return Err(Error::setting(component, key, value, allowed));
        }
        let mut given = given;
        let mut filled = toml::Table::new();
        for p in &self.0 {
            let Some(value) = given.remove(&p.name).or_else(|| p.default.clone()) else {
                let allowed = format!("given, {}", p.kind.words());
                return Err(Error::setting(component, &p.name, "missing", allowed));
            };
            let value = p
                .check(value.clone())
                .map_err(|allowed| Error::setting(component, &p.name, &value, allowed))?;
            filled.insert(p.name.clone(), value);
        }
        Ok(filled)
    }
}

impl Param {
    unsafe fn read(p: *const rg_param) -> std::result::Result<Self, String> {
        // SAFETY: by the contract of `Params::read`, as for every text below.
        let raw = unsafe { read(p) }?;
        // SAFETY: as above.
        let name = unsafe { text_at(raw.name, "its name") }?;
        grammar(&name, "its name", '_')?;
        let at = |e: String| format!("`{name}`: {e}");
        if RESERVED.contains(&name.as_str()) {
            return Err(at("a job has this key already; choose another".into()));
        }
        // SAFETY: as above.
        let doc = unsafe { text_at(raw.doc, "its doc") }.map_err(at)?;
        let kind = match raw.r#type {
            RG_TYPE_F64 => Type::Number,
            RG_TYPE_I64 => Type::Whole,
            RG_TYPE_BOOL => Type::Bool,
            RG_TYPE_STR => Type::Text,
            RG_TYPE_F64S => Type::Numbers,
            other => {
                return Err(at(format!(
                    "its type is {other}, but must be one of RG_TYPE_F64 (1) to RG_TYPE_F64S (5)"
                )));
            }
        };
        // Also refuses NaN.
        if !matches!(
            raw.min.partial_cmp(&raw.max),
            Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)
        ) {
            return Err(at(format!(
                "its range is from {} to {}; -INFINITY and INFINITY stand for none",
                words(raw.min),
                words(raw.max)
            )));
        }
        // SAFETY: as above.
        let choices = unsafe { choices(raw.choices) }.map_err(at)?;
        if choices.is_some() && kind != Type::Text {
            return Err(at("it has choices, but is no text".into()));
        }
        let mut param = Self {
            name: name.clone(),
            doc,
            kind,
            default: None,
            min: raw.min,
            max: raw.max,
            choices,
        };
        match (raw.required != 0, raw.default_toml.is_null()) {
            (true, true) => {}
            (true, false) => {
                return Err(at(
                    "it is required and has a default, of which one must go".into()
                ));
            }
            (false, true) => {
                return Err(at(
                    "it is not required and has no default; default_toml is NULL".into(),
                ));
            }
            (false, false) => {
                // SAFETY: as above.
                let text = unsafe { text_at(raw.default_toml, "its default") }.map_err(at)?;
                let bad = |e: String| at(format!("its default {text:?} {e}"));
                let mut parsed: toml::Table = format!("x = {text}")
                    .parse()
                    .map_err(|_| bad("is no value of TOML".into()))?;
                let value = match (parsed.remove("x"), parsed.is_empty()) {
                    (Some(value), true) => value,
                    _ => return Err(bad("is no single value of TOML".into())),
                };
                let value = param
                    .check(value)
                    .map_err(|allowed| bad(format!("must be {allowed}")))?;
                if !finite(&value) {
                    return Err(bad("must be finite".into()));
                }
                param.default = Some(value);
            }
        }
        Ok(param)
    }

    /// The value as its type wants it.
    ///
    /// # Errors
    /// What is allowed.
    fn check(&self, value: toml::Value) -> std::result::Result<toml::Value, String> {
        let wrong = || Err(self.allowed());
        let in_range = |v: f64| (self.min..=self.max).contains(&v);
        Ok(match (self.kind, value) {
            (Type::Number, toml::Value::Float(v)) if in_range(v) => v.into(),
            (Type::Number, toml::Value::Integer(v)) if in_range(v as f64) => (v as f64).into(),
            (Type::Whole, toml::Value::Integer(v)) if in_range(v as f64) => v.into(),
            (Type::Bool, toml::Value::Boolean(v)) => v.into(),
            (Type::Text, toml::Value::String(v))
                if !v.contains('\0') && self.choices.as_ref().is_none_or(|c| c.contains(&v)) =>
            {
                v.into()
            }
            (Type::Numbers, toml::Value::Array(values)) => {
                let mut numbers = Vec::with_capacity(values.len());
                for v in values {
                    match v {
                        toml::Value::Float(v) if in_range(v) => numbers.push(v.into()),
                        toml::Value::Integer(v) if in_range(v as f64) => {
                            numbers.push(toml::Value::Float(v as f64));
                        }
                        _ => return wrong(),
                    }
                }
                toml::Value::Array(numbers)
            }
            _ => return wrong(),
        })
    }

    fn allowed(&self) -> String {
        if let Some(choices) = &self.choices {
            return format!("one of {choices:?}");
        }
        let range = match (self.min.is_finite(), self.max.is_finite()) {
            _ if !matches!(self.kind, Type::Number | Type::Whole | Type::Numbers) => String::new(),
            (true, true) => format!(" from {} to {}", words(self.min), words(self.max)),
            (true, false) => format!(", {} or more", words(self.min)),
            (false, true) => format!(", {} or less", words(self.max)),
            (false, false) => String::new(),
        };
        format!("{}{range}", self.kind.words())
    }

    fn schema(&self) -> Json {
        let mut schema = Map::new();
        let range = |schema: &mut Map<String, Json>| {
            for (key, limit) in [("minimum", self.min), ("maximum", self.max)] {
                // A whole limit as such: messages then say 1, not 1.0; of a whole number whatever its
                // size, since 1e15 is no whole number in TOML.
                let most = if self.kind == Type::Whole {
                    WHOLE
                } else {
                    1e15
                };
                if limit.is_finite() && limit.fract() == 0.0 && limit.abs() < most {
                    schema.insert(key.into(), json!(limit as i64));
                } else if limit.is_finite() {
                    schema.insert(key.into(), json!(limit));
                }
            }
        };
        let word = match self.kind {
            Type::Number => "number",
            Type::Whole => "integer",
            Type::Bool => "boolean",
            Type::Text => "string",
            Type::Numbers => "array",
        };
        schema.insert("type".into(), json!(word));
        schema.insert("description".into(), json!(self.doc));
        match self.kind {
            Type::Number => range(&mut schema),
            Type::Whole => {
                schema.insert("format".into(), json!("int64"));
                range(&mut schema);
            }
            Type::Numbers => {
                let mut items = Map::from_iter([("type".to_owned(), json!("number"))]);
                range(&mut items);
                schema.insert("items".into(), Json::Object(items));
            }
            Type::Bool | Type::Text => {}
        }
        if let Some(choices) = &self.choices {
            schema.insert("enum".into(), json!(choices));
        }
        if let Some(default) = &self.default {
            schema.insert("default".into(), json!(default));
        }
        Json::Object(schema)
    }
}

/// A number in the shorter of the two ways it may be written: 0.5, 1e30.
fn words(x: f64) -> String {
    let (plain, exponent) = (x.to_string(), format!("{x:e}"));
    let far = x.is_finite() && !(1e-4..1e6).contains(&x.abs());
    if far && exponent.len() < plain.len() {
        exponent
    } else {
        plain
    }
}

fn finite(value: &toml::Value) -> bool {
    match value {
        toml::Value::Float(v) => v.is_finite(),
        toml::Value::Array(values) => values.iter().all(finite),
        _ => true,
    }
}

unsafe fn choices(p: *const *const c_char) -> std::result::Result<Option<Vec<String>>, String> {
    if p.is_null() {
        return Ok(None);
    }
    let mut choices = Vec::new();
    loop {
        // SAFETY: by the contract of `Params::read`: ended by NULL.
        let text = unsafe { *p.add(choices.len()) };
        if text.is_null() {
            break;
        }
        if choices.len() == MOST_CHOICES {
            return Err(format!(
                "it has more than {MOST_CHOICES} choices, or no NULL at their end"
            ));
        }
        // SAFETY: as above.
        choices.push(unsafe { text_at(text, "one of its choices") }?);
    }
    if choices.is_empty() {
        return Err("it has no choice at all; `choices` is NULL where any text is allowed".into());
    }
    Ok(Some(choices))
}
