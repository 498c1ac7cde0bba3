//! Resolved tables: what a job means with all defaults written out.

use serde_json::{Map, Value as Json};

use super::schema::{Checker, branches, follow};
use super::tree::{Entry, Node, Table, Value};

/// `node` with the `default`s of `schema` for absent keys, at every depth; `$ref`s point into `root`.
///
/// Keys that the schema does not list (such as `kind`) come first, in the order of the text, then
/// those of the schema in its order. Keys without a default, or with the default `null`, stay absent.
/// `node` should have passed [`super::validate`].
#[must_use]
pub fn fill_defaults(node: &Node, schema: &Json, root: &Json) -> Node {
    Filler { root }.fill(node, schema, &mut Vec::new())
}

struct Filler<'s> {
    root: &'s Json,
}

impl<'s> Filler<'s> {
    fn fill(&self, node: &Node, schema: &'s Json, followed: &mut Vec<&'s Json>) -> Node {
        let Some(schema) = schema.as_object() else {
            return node.clone();
        };
        let mut node = node.clone();
        let target = schema.get("$ref").and_then(Json::as_str);
        if let Some(target) = target.and_then(|t| follow(t, self.root))
            // Circular references are reported by `validate`.
            && !followed.iter().any(|f| std::ptr::eq(*f, target))
        {
            followed.push(target);
            node = self.fill(&node, target, followed);
            followed.pop();
        }
        for part in schema
            .get("allOf")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            node = self.fill(&node, part, followed);
        }
        if let Some(list) = branches(schema) {
            let checker = Checker { root: self.root };
            if let Some(fits) = checker.fitting(&node, &list) {
                node = self.fill(&node, fits, followed);
            }
        }
        let value = match node.value {
            Value::Table(table) => Value::Table(self.fill_table(table, schema)),
            Value::Array(items) => Value::Array(self.fill_items(items, schema)),
            scalar => scalar,
        };
        Node { value, ..node }
    }

    fn fill_items(&self, items: Vec<Node>, schema: &'s Map<String, Json>) -> Vec<Node> {
        let fixed = schema.get("prefixItems").and_then(Json::as_array);
        let of = |index| {
            fixed
                .and_then(|f| f.get(index))
                .or_else(|| schema.get("items"))
        };
        let items = items.into_iter().enumerate();
        items
            .map(|(index, item)| match of(index) {
                Some(schema) => self.fill(&item, schema, &mut Vec::new()),
                None => item,
            })
            .collect()
    }

    fn fill_table(&self, mut table: Table, schema: &'s Map<String, Json>) -> Table {
        let properties = schema.get("properties").and_then(Json::as_object);
        let mut known = Vec::new();
        for (key, property) in properties.into_iter().flatten() {
            let written = table.remove(key);
            let entry = written.or_else(|| {
                let node = Node::from_json(property.get("default")?)?;
                Some(Entry {
                    key: key.clone(),
                    key_span: None,
                    node,
                })
            });
            known.extend(entry.map(|e| Entry {
                node: self.fill(&e.node, property, &mut Vec::new()),
                ..e
            }));
        }
        let other = schema.get("additionalProperties");
        for entry in table.entries_mut() {
            if let Some(other) = other {
                entry.node = self.fill(&entry.node, other, &mut Vec::new());
            }
        }
        for entry in known {
            table.insert(entry);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::super::schema::validate_component;
    use super::super::write::to_toml_text;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Schedule {
        low: f64,
        high: f64,
    }

    impl Default for Schedule {
        fn default() -> Self {
            Self {
                low: 1e-3,
                high: 80.0,
            }
        }
    }

    #[derive(Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        First,
        Second,
    }

    #[derive(Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        step_size: f64,
        #[serde(default = "fifty")]
        steps: usize,
        #[serde(default = "second")]
        order: Order,
        #[serde(default)]
        schedule: Schedule,
        #[serde(default)]
        warm: Option<Schedule>,
        #[serde(default)]
        cap: Option<f64>,
        #[serde(default)]
        parts: Vec<Schedule>,
    }

    fn fifty() -> usize {
        50
    }

    fn second() -> Order {
        Order::Second
    }

    fn resolved(text: &str) -> String {
        let schema = schemars::schema_for!(Settings).to_value();
        let job = Document::parse("job.toml", text).unwrap();
        assert_eq!(validate_component(&job.root, &schema, ""), []);
        let full = super::fill_defaults(&job.root, &schema, &schema);
        assert_eq!(validate_component(&full, &schema, ""), []);
        let again = super::fill_defaults(&full, &schema, &schema);
        assert!(again.same_data(&full), "filling is idempotent");
        let mut plain = full.clone();
        plain.remove(&["kind"]);
        plain.to_settings::<Settings>().unwrap();
        to_toml_text(&full).unwrap()
    }

    #[test]
    fn defaults_follow_the_schema_order_after_kind() {
        assert_eq!(
            resolved("step_size = 1\nkind = 'k'\n"),
            "\
kind = \"k\"
step_size = 1
steps = 50
order = \"second\"
parts = []

[schedule]
low = 0.001
high = 80.0
"
        );
    }

    #[test]
    fn nested_tables_options_and_arrays_are_filled() {
        assert_eq!(
            resolved(
                "step_size = 0.5\nkind = 'k'\nsteps = 3\ncap = inf\nwarm.high = 2.0\n\
                 parts = [{low = 0.5}]\n[schedule]\nhigh = 1.0\n"
            ),
            "\
kind = \"k\"
step_size = 0.5
steps = 3
order = \"second\"
cap = inf

[schedule]
low = 0.001
high = 1.0

[warm]
low = 0.001
high = 2.0

[[parts]]
low = 0.5
high = 80.0
"
        );
    }
}
