//! A tree as TOML text.

use super::tree::Node;

/// Writes a table as a TOML document. Reading it back gives [the same data](Node::same_data):
/// floats have their shortest exact form. Within a table, plain keys come before sub-tables.
///
/// # Errors
/// When `node` is not a table.
pub fn to_toml_text(node: &Node) -> Result<String, toml::ser::Error> {
    toml::to_string(&node.to_toml())
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::super::tree::{Entry, Table, Value};
    use super::*;

    fn table(entries: Vec<(&str, Value)>) -> Node {
        let mut table = Table::new();
        for (key, value) in entries {
            table.insert(Entry {
                key: key.to_owned(),
                key_span: None,
                node: Node::new(value),
            });
        }
        Node::new(Value::Table(table))
    }

    fn survives(node: &Node) -> String {
        let text = to_toml_text(node).unwrap();
        let back = Document::parse("resolved.toml", &text).expect(&text).root;
        assert!(node.same_data(&back), "{text}");
        assert_eq!(to_toml_text(&back).unwrap(), text, "writing is stable");
        text
    }

    #[test]
    fn floats_survive_bit_by_bit() {
        let mut floats = vec![
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.1,
            1.0 / 3.0,
            1e16,
            1e15,
            123_456_789.0,
            1e21,
            1e22,
            1e300,
            1e-5,
            1e-7,
            5e-324,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            f64::EPSILON,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            9_007_199_254_740_993.0,
        ];
        // Bit patterns spread over the whole range by a multiplicative sequence.
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
            floats.push(f64::from_bits(bits ^ (bits >> 32)));
        }
        let items = floats.into_iter().map(|x| Node::new(Value::Float(x)));
        survives(&table(vec![("x", Value::Array(items.collect()))]));
    }

    #[test]
    fn strings_and_keys_survive_every_character() {
        let all: String = (0..=0x2fff).filter_map(char::from_u32).collect();
        let strings = [
            "",
            " ",
            "'",
            "\"",
            "'''",
            "\"\"\"",
            "\\",
            "\n",
            "a\r\nb",
            "\t",
            "\u{7f}",
            "\u{0}",
            "σ = 1",
            "# no comment",
            "[x]",
            "\u{feff}",
            "\u{10ffff}",
            "ends with \\",
            "'\n\"\"\"",
            &all,
        ];
        for text in strings {
            let string = || Value::String(text.to_owned());
            survives(&table(vec![
                ("plain", string()),
                (text, string()),
                ("list", Value::Array(vec![Node::new(string())])),
                ("nest", table(vec![(text, string())]).value),
            ]));
        }
        for c in all.chars() {
            survives(&table(vec![("c", Value::String(format!("{c}")))]));
        }
    }

    #[test]
    fn nested_tables_survive_in_any_order() {
        let inner = || table(vec![("x", Value::Integer(1)), ("y", table(vec![]).value)]);
        let tables = Value::Array(vec![inner(), table(vec![]), inner()]);
        let mixed = Value::Array(vec![inner(), Node::new(Value::Integer(i64::MIN))]);
        let text = survives(&table(vec![
            ("sampler", inner().value),
            ("parts", tables),
            ("mixed", mixed),
            ("empty", Value::Array(vec![])),
            ("seed", Value::Integer(i64::MAX)),
            ("flag", Value::Bool(true)),
        ]));
        assert!(
            text.contains("[sampler]") && text.contains("[[parts]]"),
            "{text}"
        );
    }

    #[test]
    fn only_a_table_is_a_document() {
        assert!(to_toml_text(&Node::new(Value::Integer(1))).is_err());
    }
}
