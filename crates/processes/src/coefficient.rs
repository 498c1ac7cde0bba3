//! Coefficients as jobs write them: a number, one a coordinate, or a matrix.

use retrograde_core::{Error, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

/// `2.5`, `[1.0, 2.0]` or `[[1.0, 0.5], [-0.5, 1.0]]`: that number times the identity, a diagonal matrix,
/// or a matrix by rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Coefficient {
    /// A number times the identity.
    Scalar(f64),
    /// A diagonal matrix; length d.
    Diagonal(Vec<f64>),
    /// A matrix by rows; d × d.
    Matrix(Vec<Vec<f64>>),
}

impl From<f64> for Coefficient {
    fn from(v: f64) -> Self {
        Self::Scalar(v)
    }
}

impl Coefficient {
    /// Checks shape and that all is finite.
    pub(crate) fn check(&self, name: &str, key: &str, d: usize) -> Result {
        let finite = |key: &str, v: &[f64], alone: bool| match v.iter().position(|v| !v.is_finite())
        {
            None => Ok(()),
            Some(_) if alone => Err(Error::setting(name, key, v[0], "finite")),
            Some(i) => Err(Error::setting(name, format!("{key}[{i}]"), v[i], "finite")),
        };
        let list = |n: usize| format!("a list of {n}");
        match self {
            Self::Scalar(v) => finite(key, &[*v], true),
            Self::Diagonal(v) if v.len() == d => finite(key, v, false),
            Self::Diagonal(v) => {
                let allowed =
                    format!("a number, a list of {d} (the dimension), or {d} lists of {d}");
                Err(Error::setting(name, key, list(v.len()), allowed))
            }
            Self::Matrix(rows) => {
                if rows.len() != d {
                    let allowed = format!("{d} lists of {d} (the dimension)");
                    return Err(Error::setting(name, key, list(rows.len()), allowed));
                }
                rows.iter().enumerate().try_for_each(|(i, row)| {
                    let key = format!("{key}[{i}]");
                    if row.len() != d {
                        let allowed = format!("a list of {d} (the dimension)");
                        return Err(Error::setting(name, key, list(row.len()), allowed));
                    }
                    finite(&key, row, false)
                })
            }
        }
    }

    /// The diagonal, unless it is a matrix; a 1 × 1 matrix is a number.
    pub(crate) fn diagonal(&self, d: usize) -> Option<Vec<f64>> {
        match self {
            Self::Scalar(v) => Some(vec![*v; d]),
            Self::Diagonal(v) => Some(v.clone()),
            Self::Matrix(rows) => (d == 1).then(|| rows[0].clone()),
        }
    }

    /// All d² numbers, by rows.
    pub(crate) fn full(&self, d: usize) -> Vec<f64> {
        if let Self::Matrix(rows) = self {
            return rows.concat();
        }
        let diagonal = self.diagonal(d).unwrap_or_default();
        let mut all = vec![0.0; d * d];
        diagonal
            .iter()
            .enumerate()
            .for_each(|(i, v)| all[i * d + i] = *v);
        all
    }
}

impl Serialize for Coefficient {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Scalar(v) => v.serialize(s),
            Self::Diagonal(v) => v.serialize(s),
            Self::Matrix(v) => v.serialize(s),
        }
    }
}

/// An entry of a list: a number or a row.
enum Entry {
    Number(f64),
    Row(Vec<f64>),
}

struct NumberOrList;

impl<'de> Visitor<'de> for NumberOrList {
    type Value = Entry;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number or a list of numbers")
    }
    fn visit_f64<E>(self, v: f64) -> std::result::Result<Entry, E> {
        Ok(Entry::Number(v))
    }
    fn visit_i64<E>(self, v: i64) -> std::result::Result<Entry, E> {
        Ok(Entry::Number(v as f64))
    }
    fn visit_u64<E>(self, v: u64) -> std::result::Result<Entry, E> {
        Ok(Entry::Number(v as f64))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Entry, A::Error> {
        let mut all = Vec::new();
        while let Some(v) = seq.next_element()? {
            all.push(v);
        }
        Ok(Entry::Row(all))
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrList)
    }
}

struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Coefficient;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number, a list of numbers, or a list of such lists")
    }
    fn visit_f64<E>(self, v: f64) -> std::result::Result<Coefficient, E> {
        Ok(Coefficient::Scalar(v))
    }
    fn visit_i64<E>(self, v: i64) -> std::result::Result<Coefficient, E> {
        Ok(Coefficient::Scalar(v as f64))
    }
    fn visit_u64<E>(self, v: u64) -> std::result::Result<Coefficient, E> {
        Ok(Coefficient::Scalar(v as f64))
    }
    fn visit_seq<A: SeqAccess<'de>>(
        self,
        mut seq: A,
    ) -> std::result::Result<Coefficient, A::Error> {
        let (mut numbers, mut rows) = (Vec::new(), Vec::new());
        while let Some(entry) = seq.next_element()? {
            match entry {
                Entry::Number(v) => numbers.push(v),
                Entry::Row(v) => rows.push(v),
            }
            if !numbers.is_empty() && !rows.is_empty() {
                return Err(A::Error::custom("a list of numbers and of lists, mixed"));
            }
        }
        if rows.is_empty() {
            Ok(Coefficient::Diagonal(numbers))
        } else {
            Ok(Coefficient::Matrix(rows))
        }
    }
}

impl<'de> Deserialize<'de> for Coefficient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(Whole)
    }
}

impl JsonSchema for Coefficient {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Coefficient".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "array"],
            "items": { "type": ["number", "array"], "items": { "type": "number" } }
        })
    }
}
