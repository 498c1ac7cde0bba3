//! Types for settings that several components use.

use crate::{Error, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

/// One number for all coordinates, or one for each: `2.5` or `[1.0, 2.0, 0.5]`.
#[derive(Debug, Clone, PartialEq)]
pub enum PerCoordinate {
    /// The same for all.
    All(f64),
    /// One each; length d.
    Each(Vec<f64>),
}

impl PerCoordinate {
    /// The `d` numbers.
    ///
    /// # Errors
    /// [`Error::Setting`] with `component` and `key` when the length is not d, or a number does not
    /// satisfy `allowed`, which `says` describes (for example "> 0").
    pub fn expand(
        &self,
        d: usize,
        component: &str,
        key: &str,
        allowed: impl Fn(f64) -> bool,
        says: &str,
    ) -> Result<Vec<f64>> {
        let all = match self {
            Self::All(v) => vec![*v; d],
            Self::Each(v) if v.len() == d => v.clone(),
            Self::Each(v) => {
                return Err(Error::setting(
                    component,
                    key,
                    format!("a list of {} numbers", v.len()),
                    format!("one number, or a list of {d} (the dimension)"),
                ));
            }
        };
        match all.iter().position(|v| !allowed(*v)) {
            None => Ok(all),
            Some(i) => {
                let key = if matches!(self, Self::All(_)) {
                    key.to_owned()
                } else {
                    format!("{key}[{i}]")
                };
                Err(Error::setting(component, key, all[i], says))
            }
        }
    }
}

impl From<f64> for PerCoordinate {
    fn from(v: f64) -> Self {
        Self::All(v)
    }
}

impl From<Vec<f64>> for PerCoordinate {
    fn from(v: Vec<f64>) -> Self {
        Self::Each(v)
    }
}

impl Serialize for PerCoordinate {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::All(v) => v.serialize(s),
            Self::Each(v) => v.serialize(s),
        }
    }
}

impl<'de> Deserialize<'de> for PerCoordinate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct NumberOrList;
        impl<'de> Visitor<'de> for NumberOrList {
            type Value = PerCoordinate;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number or a list of numbers")
            }
            fn visit_f64<E>(self, v: f64) -> std::result::Result<PerCoordinate, E> {
                Ok(PerCoordinate::All(v))
            }
            fn visit_i64<E>(self, v: i64) -> std::result::Result<PerCoordinate, E> {
                Ok(PerCoordinate::All(v as f64))
            }
            fn visit_u64<E>(self, v: u64) -> std::result::Result<PerCoordinate, E> {
                Ok(PerCoordinate::All(v as f64))
            }
            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> std::result::Result<PerCoordinate, A::Error> {
                let mut all = Vec::new();
                while let Some(v) = seq.next_element()? {
                    all.push(v);
                }
                Ok(PerCoordinate::Each(all))
            }
        }
        deserializer.deserialize_any(NumberOrList)
    }
}

impl JsonSchema for PerCoordinate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PerCoordinate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "array"], "items": { "type": "number" } })
    }
}
