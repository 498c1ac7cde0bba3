//! TOML text to tree.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, sort};
use super::source::{SourceId, Sources, Span};
use super::tree::{Entry, Node, Table, Value};

/// Deepest nesting of tables and arrays that is read.
pub const MAX_DEPTH: usize = 64;

/// Parses the text of `id` as a TOML document.
///
/// # Errors
/// All syntax errors, repeated keys, numbers that do not fit `i64` or `f64`, and nesting beyond
/// [`MAX_DEPTH`], each with its place.
pub fn parse(sources: &Sources, id: SourceId) -> Result<Node, Vec<Diagnostic>> {
    let text = sources.get(id).map_or("", |s| s.text());
    let (table, errors) = DeTable::parse_recoverable(text);
    let whole = Span::whole(id);
    let mut problems = Problems {
        id,
        offset: 0,
        text,
        found: Vec::new(),
    };
    for error in &errors {
        problems.syntax(error);
    }
    let value = Value::Table(problems.table(table.into_inner(), 1));
    problems.finish(Node {
        span: Some(whole),
        value,
    })
}

/// Parses one TOML value that stands in the text of `id` from byte `offset` to the end.
pub(super) fn parse_value(
    text: &str,
    id: SourceId,
    offset: usize,
) -> Result<Node, Vec<Diagnostic>> {
    let (value, errors) = DeValue::parse_recoverable(&text[offset..]);
    let mut problems = Problems {
        id,
        offset,
        text,
        found: Vec::new(),
    };
    for error in &errors {
        problems.syntax(error);
    }
    let node = problems.node(value, 1);
    problems.finish(node)
}

struct Problems<'t> {
    id: SourceId,
    offset: usize,
    text: &'t str,
    found: Vec<Diagnostic>,
}

impl Problems<'_> {
    fn finish(mut self, node: Node) -> Result<Node, Vec<Diagnostic>> {
        if self.found.is_empty() {
            return Ok(node);
        }
        sort(&mut self.found);
        // One slip of the pen makes several errors in its line; the first one says it.
        let text = self.text;
        let mut last: Option<usize> = None;
        self.found.retain(|d| {
            let start = d.span.map_or(0, |s| s.start).min(text.len());
            let new_line = last.is_none_or(|l| text.as_bytes()[l..start].contains(&b'\n'));
            if new_line {
                last = Some(start);
            }
            new_line
        });
        Err(self.found)
    }

    fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span::new(self.id, self.offset + range.start..self.offset + range.end)
    }

    fn syntax(&mut self, error: &toml::de::Error) {
        let end = self.text.len() - self.offset;
        let mut range = error.span().unwrap_or(end..end);
        // An error at the very start must not look like one of the whole text.
        if range == (0..0) {
            range.end = usize::from(end > 0);
        }
        let message = error.message();
        let span = self.span(range);
        let diagnostic = if message == "duplicate key" {
            Diagnostic::new(Some(span), "this key is set twice")
                .label("set again here")
                .help("keep one of the two")
        } else {
            let plain = || format!("this is not valid TOML: {message}");
            self.bad_value(span)
                .unwrap_or_else(|| Diagnostic::new(Some(span), plain()))
        };
        self.found.push(diagnostic);
    }

    /// For an error right after `=`: the two slips made most often, said plainly.
    fn bad_value(&self, span: Span) -> Option<Diagnostic> {
        let (before, after) = (self.text.get(..span.start)?, self.text.get(span.start..)?);
        if !before.trim_end_matches([' ', '\t']).ends_with('=') {
            return None;
        }
        let end = after.find(['\n', '\r', '#']).unwrap_or(after.len());
        let word = after[..end].trim_end();
        let span = Span {
            end: span.start + word.len(),
            ..span
        };
        if word.is_empty() {
            return Some(
                Diagnostic::new(Some(span), "a value is missing after `=`")
                    .label("expected a value"),
            );
        }
        let bare = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ');
        let text =
            word.starts_with(|c: char| c.is_alphabetic() || c == '/') && word.chars().all(bare);
        text.then(|| {
            Diagnostic::new(Some(span), format!("`{word}` is not a value"))
                .label("text needs quotes")
                .help(format!("write `\"{word}\"`"))
        })
    }

    fn node(&mut self, value: Spanned<DeValue<'_>>, depth: usize) -> Node {
        let span = self.span(value.span());
        let value = match value.into_inner() {
            DeValue::Boolean(v) => Value::Bool(v),
            DeValue::String(v) => Value::String(v.into_owned()),
            DeValue::Datetime(v) => Value::Datetime(v),
            DeValue::Integer(v) => Value::Integer(
                i64::from_str_radix(v.as_str(), v.radix()).unwrap_or_else(|_| {
                    let (low, high) = (i64::MIN, i64::MAX);
                    self.found.push(
                        Diagnostic::new(
                            Some(span),
                            format!("the whole number {v} does not fit 64 bits"),
                        )
                        .label("out of range")
                        .help(format!("whole numbers lie between {low} and {high}")),
                    );
                    0
                }),
            ),
            DeValue::Float(v) => {
                let number = v.as_str().parse().unwrap_or(f64::INFINITY);
                if f64::is_infinite(number) && !v.as_str().contains("inf") {
                    self.found.push(
                        Diagnostic::new(Some(span), format!("the number {v} is too large"))
                            .label("does not fit 64 bits")
                            .help("write `inf` for infinity"),
                    );
                }
                Value::Float(number)
            }
            _ if depth > MAX_DEPTH => {
                self.found.push(Diagnostic::new(
                    Some(span),
                    format!("tables and arrays are nested deeper than {MAX_DEPTH}"),
                ));
                Value::Bool(false)
            }
            DeValue::Array(v) => {
                Value::Array(v.into_iter().map(|n| self.node(n, depth + 1)).collect())
            }
            DeValue::Table(v) => Value::Table(self.table(v, depth + 1)),
        };
        Node {
            span: Some(span),
            value,
        }
    }

    fn table(&mut self, table: DeTable<'_>, depth: usize) -> Table {
        let entries = table.into_iter().map(|(key, value)| Entry {
            key_span: Some(self.span(key.span())),
            key: key.into_inner().into_owned(),
            node: self.node(value, depth),
        });
        Table {
            entries: entries.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::read;
    use super::*;

    fn shown(text: &str, span: Option<Span>) -> &str {
        let span = span.unwrap();
        &text[span.start..span.end]
    }

    #[test]
    fn every_value_and_key_knows_its_place() {
        let text = "\u{feff}seed = 7\r\n[sampler]\r\nkind = 'σ'\r\nschedule.beta.max = 2e1 # c\r\n\
                    [[target.parts]]\r\nmean = [1, 2.5]\r\n[[target.parts]]\r\n[a.b]\r\nx = {y = 1979-05-27}\r\n";
        let (_, tree) = read(text);
        let tree = tree.unwrap();
        let at = |path: &str| shown(text, tree.at_path(path).unwrap().span);
        assert_eq!(at("seed"), "7");
        assert_eq!(at("sampler"), "[sampler]");
        assert_eq!(at("sampler.kind"), "'σ'");
        assert_eq!(at("sampler.schedule.beta.max"), "2e1");
        assert_eq!(at("sampler.schedule"), "schedule");
        assert_eq!(at("target.parts[0]"), "[[target.parts]]");
        assert_eq!(at("target.parts[0].mean[1]"), "2.5");
        assert_eq!(at("a.b"), "[a.b]");
        assert_eq!(at("a.b.x"), "{y = 1979-05-27}");
        assert_eq!(at("a.b.x.y"), "1979-05-27");
        assert_eq!(at("target"), "target");
        assert_eq!(at("a"), "a");
        assert!(tree.at_path("target.parts[2]").is_none());
        assert!(tree.at_path("seed.x").is_none());
        assert!(tree.at_path("not a path").is_none());
        assert_eq!(tree.at(&["sampler", "kind"]).unwrap().as_str(), Some("σ"));
        let entry = tree.as_table().unwrap().entry("sampler").unwrap();
        assert_eq!(shown(text, entry.key_span), "sampler");
        let keys: Vec<_> = tree
            .as_table()
            .unwrap()
            .entries()
            .iter()
            .map(|e| &e.key)
            .collect();
        assert_eq!(keys, ["seed", "sampler", "target", "a"]);
    }

    #[test]
    fn unreadable_numbers_and_depth_are_placed() {
        let (sources, tree) =
            read("a = 9223372036854775808\nb = 1e400\nc = -9223372036854775808\nd = 0xff\n");
        let problems = tree.unwrap_err();
        let places: Vec<_> = problems.iter().map(|d| d.record(&sources)).collect();
        assert_eq!(places.len(), 2);
        assert_eq!((places[0].line, places[0].column), (Some(1), Some(5)));
        assert_eq!(
            places[0].message,
            "the whole number 9223372036854775808 does not fit 64 bits"
        );
        assert_eq!((places[1].line, places[1].column), (Some(2), Some(5)));
        let (_, tree) = read("c = -9223372036854775808\nd = 0xff\ne = 0b11\nf = -inf\ng=1_0\n");
        let tree = tree.unwrap();
        assert!(matches!(
            tree.at(&["c"]).unwrap().value,
            Value::Integer(i64::MIN)
        ));
        assert!(matches!(
            tree.at(&["d"]).unwrap().value,
            Value::Integer(255)
        ));
        assert!(matches!(tree.at(&["e"]).unwrap().value, Value::Integer(3)));
        assert!(matches!(tree.at(&["g"]).unwrap().value, Value::Integer(10)));

        for text in [
            format!("a = {}{}", "[".repeat(70), "]".repeat(70)),
            format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
            format!("{} = 1", vec!["a"; 70].join(".")),
            format!("{} = 1", vec!["a"; 100_000].join(".")),
        ] {
            let problems = read(&text).1.unwrap_err();
            let message = &problems[0].message;
            assert!(
                message.contains("deeper than 64") || message.contains("recurs"),
                "{message}"
            );
        }
        assert!(
            read(&format!("a = {}{}", "[".repeat(60), "]".repeat(60)))
                .1
                .is_ok()
        );
    }
}
