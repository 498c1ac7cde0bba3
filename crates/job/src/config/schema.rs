//! Checks of a tree against a JSON Schema (draft 2020-12, as schemars 1.x writes it).
//!
//! Understood: `$ref` into the same schema, `allOf`, `anyOf`/`oneOf`, `type`, `const`, `enum`,
//! `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`, `minLength`,
//! `maxLength`, `items`, `prefixItems`, `minItems`, `maxItems`, `uniqueItems`, `properties`,
//! `required`, `additionalProperties`, and the integer widths of `format`. Other keywords are not
//! checked. `null` stands for an absent key.

use serde_json::{Map, Value as Json};

use super::checks::{
    Place, check_length, check_literals, check_number, check_string, has_type, literals, types,
    unknown_key, wrong_type,
};
use super::diagnostic::{Diagnostic, sort};
use super::tree::{Node, Table, Value};
use super::words::listed;

/// Longest chain of references that is followed.
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
    let place = Place::new(path, node.span, extra);
    let mut found = Vec::new();
    Checker { root }.check(node, schema, &place, &mut found);
    sort(&mut found);
    found
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
        let place = Place::new("", None, Some("kind"));
        list.iter().copied().find(|schema| {
            let mut found = Vec::new();
            self.check(node, schema, &place, &mut found);
            found.is_empty()
        })
    }

    fn check(&self, node: &Node, schema: &'s Json, at: &Place<'s>, out: &mut Vec<Diagnostic>) {
        let schema = match schema {
            Json::Object(schema) => schema,
            Json::Bool(false) => {
                out.push(at.problem(format!("`{}` cannot be set", at.path), "not allowed"));
                return;
            }
            _ => return,
        };
        let before = out.len();
        if let Some(Json::String(reference)) = schema.get("$ref") {
            self.check_reference(node, reference, at, out);
        }
        let parts = schema.get("allOf").and_then(Json::as_array);
        for part in parts.into_iter().flatten() {
            self.check(node, part, at, out);
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
            let items = schema.get("items").and_then(Json::as_object);
            let nested = items.is_some_and(|items| types(items).contains(&"array"));
            out.push(wrong_type(node, &wanted, nested, at));
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

    fn check_reference(
        &self,
        node: &Node,
        reference: &str,
        at: &Place<'s>,
        out: &mut Vec<Diagnostic>,
    ) {
        let fault = match follow(reference, self.root) {
            Some(target) => match at.after(target) {
                Some(at) => return self.check(node, target, &at, out),
                None => "itself".to_owned(),
            },
            None => format!("{reference:?}, which it does not define"),
        };
        let message = format!("the schema of `{}` refers to {fault}", at.path);
        out.push(at.problem(message, "checked here"));
    }

    fn check_choice(
        &self,
        node: &Node,
        list: &[&'s Json],
        at: &Place<'s>,
        out: &mut Vec<Diagnostic>,
    ) {
        if let [only] = list {
            self.check(node, only, at, out);
            return;
        }
        // Enums of plain words: one list of words.
        let words: Vec<Vec<&Json>> = list.iter().map(|s| self.all_literals(s)).collect();
        if words.iter().all(|w| !w.is_empty()) {
            check_literals(node, &words.concat(), at, out);
            return;
        }
        let wanted: Vec<Vec<&str>> = list.iter().map(|s| self.all_types(s)).collect();
        let fits =
            |types: &[&str]| types.is_empty() || types.iter().any(|t| has_type(&node.value, t));
        if !wanted.iter().any(|types| fits(types)) {
            out.push(wrong_type(node, &wanted.concat(), false, at));
            return;
        }
        if let Some(problem) = self.check_tag(node, list, at) {
            out.push(problem);
            return;
        }
        // Only alternatives of the right type and tag are tried. The one meant is most likely that
        // with the fewest problems.
        let tagged = |schema: &'s Json| match (self.tag(schema), node.as_table()) {
            (Some((key, tag)), Some(table)) => table
                .get(key)
                .and_then(Node::as_str)
                .is_none_or(|t| t == tag),
            _ => true,
        };
        let mut best: Option<Vec<Diagnostic>> = None;
        for (schema, types) in list.iter().zip(&wanted) {
            if !fits(types) || !tagged(schema) {
                continue;
            }
            let mut found = Vec::new();
            self.check(node, schema, at, &mut found);
            if found.is_empty() {
                return;
            }
            if best.as_ref().is_none_or(|b| found.len() < b.len()) {
                best = Some(found);
            }
        }
        match best {
            Some(found) => out.extend(found),
            None => {
                let message = format!("`{}` fits none of the allowed forms", at.path);
                out.push(at.problem(message, "not an allowed form"));
            }
        }
    }

    /// For alternatives told apart by a constant key (`kind = "linear"`): its absence or a wrong word.
    fn check_tag(&self, node: &Node, list: &[&'s Json], at: &Place<'s>) -> Option<Diagnostic> {
        let table = node.as_table()?;
        let tags: Vec<(&str, &str)> = list.iter().map(|s| self.tag(s)).collect::<Option<_>>()?;
        let key = tags.first()?.0;
        if tags.iter().any(|(k, _)| *k != key) {
            return None;
        }
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
        let words: Vec<Json> = tags.iter().map(|(_, tag)| Json::from(*tag)).collect();
        let words: Vec<&Json> = words.iter().collect();
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
        schema: &'s Map<String, Json>,
        at: &Place<'s>,
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
        schema: &'s Map<String, Json>,
        at: &Place<'s>,
        out: &mut Vec<Diagnostic>,
    ) {
        let properties = schema.get("properties").and_then(Json::as_object);
        let property = |key: &str| properties.and_then(|p| p.get(key));
        let other = schema.get("additionalProperties");
        for entry in table.entries() {
            let place = at.below(at.key(&entry.key), &entry.node);
            match (property(&entry.key), other) {
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
        let required = schema.get("required").and_then(Json::as_array);
        for key in required.into_iter().flatten().filter_map(Json::as_str) {
            if table.get(key).is_none() {
                out.push(self.missing_key(key, property(key), at));
            }
        }
    }

    fn missing_key(&self, key: &str, property: Option<&'s Json>, at: &Place<'s>) -> Diagnostic {
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
