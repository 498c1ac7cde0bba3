//! The tree of a TOML text: every key and value knows its place.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use toml::value::Datetime;

use super::path::{Segment, parse_path};
use super::source::Span;

/// A value and its place. A table's place is its header, or all of an inline table.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where the value was written; `None` for a default.
    pub span: Option<Span>,
    /// The value.
    pub value: Value,
}

/// A TOML value.
#[derive(Clone, Debug)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a point or exponent, `inf` or `nan`.
    Float(f64),
    /// A string.
    String(String),
    /// A date or time. No setting takes one; it is kept to be refused by type.
    Datetime(Datetime),
    /// An array.
    Array(Vec<Node>),
    /// A table.
    Table(Table),
}

/// Entries of a table in the order of the text; keys are unique.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub(super) entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key was written; `None` for a default.
    pub key_span: Option<Span>,
    /// The value.
    pub node: Node,
}

impl Table {
    /// No entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The entries in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries in order, to be changed.
    pub fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries
    }

    /// The entry of `key`.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == key)
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.node)
    }

    /// The value of `key`, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let entry = self.entries.iter_mut().find(|e| e.key == key)?;
        Some(&mut entry.node)
    }

    /// Puts an entry at the end, or in the place of one with the same key, which is returned.
    pub fn insert(&mut self, entry: Entry) -> Option<Entry> {
        match self.entries.iter_mut().find(|e| e.key == entry.key) {
            Some(old) => Some(std::mem::replace(old, entry)),
            None => {
                self.entries.push(entry);
                None
            }
        }
    }

    /// Takes the entry of `key` out.
    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        let at = self.entries.iter().position(|e| e.key == key)?;
        Some(self.entries.remove(at))
    }
}

impl Node {
    /// A value that was not written anywhere.
    #[must_use]
    pub fn new(value: Value) -> Self {
        Self { span: None, value }
    }

    /// The table, if this is one.
    #[must_use]
    pub fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The table, if this is one, to be changed.
    pub fn as_table_mut(&mut self) -> Option<&mut Table> {
        match &mut self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The string, if this is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value under nested keys; `at(&[])` is the node itself.
    #[must_use]
    pub fn at(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter()
            .try_fold(self, |node, key| node.as_table()?.get(key))
    }

    /// The value under a path such as `target.means[3].x`.
    #[must_use]
    pub fn at_path(&self, path: &str) -> Option<&Self> {
        let steps = parse_path(path).ok()?;
        steps
            .iter()
            .try_fold(self, |node, (step, _)| node.step(step))
    }

    /// The value one step below.
    #[must_use]
    pub fn step(&self, step: &Segment) -> Option<&Self> {
        match (&self.value, step) {
            (Value::Table(table), Segment::Key(key)) => table.get(key),
            (Value::Array(items), Segment::Index(index)) => items.get(*index),
            _ => None,
        }
    }

    /// Takes the last of nested keys out.
    pub fn remove(&mut self, keys: &[&str]) -> Option<Entry> {
        let (last, above) = keys.split_last()?;
        above
            .iter()
            .try_fold(self, |node, key| node.as_table_mut()?.get_mut(key))?
            .as_table_mut()?
            .remove(last)
    }

    /// The value without places. `toml::Value` is a [`serde::Deserializer`] that takes whole
    /// numbers where floats are wanted and may be type-erased.
    #[must_use]
    pub fn to_toml(&self) -> toml::Value {
        match &self.value {
            Value::Bool(v) => toml::Value::Boolean(*v),
            Value::Integer(v) => toml::Value::Integer(*v),
            Value::Float(v) => toml::Value::Float(*v),
            Value::String(v) => toml::Value::String(v.clone()),
            Value::Datetime(v) => toml::Value::Datetime(*v),
            Value::Array(v) => toml::Value::Array(v.iter().map(Self::to_toml).collect()),
            Value::Table(v) => toml::Value::Table(
                v.entries()
                    .iter()
                    .map(|e| (e.key.clone(), e.node.to_toml()))
                    .collect(),
            ),
        }
    }

    /// Reads settings from the value.
    ///
    /// # Errors
    /// When the value does not fit `T`; after [`super::validate`] against the schema of `T` only
    /// checks of `T`'s own can fail.
    pub fn to_settings<T: DeserializeOwned>(&self) -> Result<T, toml::de::Error> {
        T::deserialize(self.to_toml())
    }

    /// The value of a JSON document, without place; `None` if it holds `null` or a number beyond
    /// `i64`, which TOML cannot write.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        Some(Self::new(match json {
            Json::Null => return None,
            Json::Bool(v) => Value::Bool(*v),
            Json::Number(v) if v.is_f64() => Value::Float(v.as_f64()?),
            Json::Number(v) => Value::Integer(v.as_i64()?),
            Json::String(v) => Value::String(v.clone()),
            Json::Array(v) => Value::Array(v.iter().map(Self::from_json).collect::<Option<_>>()?),
            Json::Object(v) => {
                let mut table = Table::new();
                // An absent key is TOML's null.
                for (key, value) in v.iter().filter(|(_, value)| !value.is_null()) {
                    table.insert(Entry {
                        key: key.clone(),
                        key_span: None,
                        node: Self::from_json(value)?,
                    });
                }
                Value::Table(table)
            }
        }))
    }

    /// Whether both hold the same data: floats bit by bit (any `nan` equals any other), keys in
    /// any order, places ignored.
    #[must_use]
    pub fn same_data(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Integer(a), Value::Integer(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => {
                a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
            }
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Datetime(a), Value::Datetime(b)) => a == b,
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_data(b))
            }
            (Value::Table(a), Value::Table(b)) => {
                let same = |e: &Entry| b.get(&e.key).is_some_and(|n| e.node.same_data(n));
                a.entries.len() == b.entries.len() && a.entries.iter().all(same)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::diagnostic::Diagnostic;
    use super::super::parse::parse;
    use super::super::source::{Source, Sources};
    use super::*;

    pub(in super::super) fn read(text: &str) -> (Sources, Result<Node, Vec<Diagnostic>>) {
        let mut sources = Sources::new();
        let id = sources.add(Source::file("job.toml", text));
        let tree = parse(&sources, id);
        (sources, tree)
    }

    #[test]
    fn removes_nested_keys() {
        let (_, tree) = read("[a]\nkind = 'k'\nx = 1\n");
        let mut tree = tree.unwrap();
        let kind = tree.remove(&["a", "kind"]).unwrap();
        assert_eq!(kind.node.as_str(), Some("k"));
        assert!(tree.remove(&["a", "kind"]).is_none());
        assert!(tree.remove(&["a", "x", "y"]).is_none());
        assert!(tree.remove(&[]).is_none());
        assert_eq!(
            tree.at(&["a"]).unwrap().as_table().unwrap().entries().len(),
            1
        );
    }

    #[derive(serde::Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    enum Order {
        First,
        SecondOrder,
    }

    #[derive(serde::Deserialize, Debug, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        eta: f64,
        steps: usize,
        cap: Option<f64>,
        none: Option<String>,
        order: Order,
        other: Order,
        means: Vec<[f64; 2]>,
        unit: (),
    }

    #[test]
    fn settings_are_read_through_a_generic_deserializer() {
        // Any consumer that takes a `Deserializer`, an erased one too, can be given the value.
        fn generic<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
            serde::Deserialize::deserialize(from)
        }
        let (_, tree) = read(
            "eta = 1\nsteps = 5\ncap = inf\norder = 'first'\nother = 'second-order'\n\
             means = [[1, 0.1], [nan, -inf]]\n",
        );
        let mut tree = tree.unwrap();
        assert_eq!(
            generic(tree.at(&["eta"]).unwrap().to_toml()).unwrap(),
            Some(1.0)
        );
        let error = tree.to_settings::<Settings>().unwrap_err();
        assert!(error.message().contains("unit"), "{error}");
        #[derive(serde::Deserialize, Debug)]
        struct NoUnit {
            eta: f64,
            steps: usize,
            cap: Option<f64>,
            none: Option<String>,
            order: Order,
            other: Order,
            means: Vec<[f64; 2]>,
        }
        let s: NoUnit = tree.to_settings().unwrap();
        assert_eq!(
            (s.eta, s.steps, s.cap, s.none),
            (1.0, 5, Some(f64::INFINITY), None)
        );
        assert_eq!((s.order, s.other), (Order::First, Order::SecondOrder));
        assert_eq!(s.means[0][1].to_bits(), 0.1f64.to_bits());
        assert!(s.means[1][0].is_nan());
        tree.remove(&["eta"]);
        assert!(tree.to_settings::<NoUnit>().is_err());
    }

    #[test]
    fn json_becomes_nodes_unless_toml_cannot_write_it() {
        let json = serde_json::json!({"a": [1, 2.0, "x", true], "b": null});
        let node = Node::from_json(&json).unwrap();
        let (_, tree) = read("a = [1, 2.0, 'x', true]");
        assert!(node.same_data(&tree.unwrap()));
        assert!(Node::from_json(&serde_json::json!(u64::MAX)).is_none());
        assert!(Node::from_json(&serde_json::json!([null])).is_none());
    }
}
