//! Damaged jobs, arguments and schemas: messages with a place, never a panic or an endless loop.

use serde_json::Value as Json;

use super::broken_inputs::{GOOD, check, sampler_schema};
use super::{
    ConfigError, Diagnostic, Document, Span, fill_defaults, locate, to_toml_text,
    validate_component,
};

/// Schemas that a plugin may bring: broken ones must give messages, not panics or endless loops.
#[test]
fn broken_schemas_are_survived() {
    let job = Document::parse("job.toml", "[sampler]\nx = 1\ny = [1, 'a']\nz = 0.3\n").unwrap();
    let node = job.root.at(&["sampler"]).unwrap();
    let messages = |schema: Json| -> Vec<String> {
        let _ = fill_defaults(node, &schema, &schema);
        validate_component(node, &schema, "sampler")
            .into_iter()
            .map(|d| d.message)
            .collect()
    };
    let property = |x: Json| serde_json::json!({"type": "object", "properties": {"x": x}, "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}, "o": {"anyOf": [{"$ref": "#/$defs/o"}, {"type": "string"}]}}});
    let of = |x: Json| messages(property(x));
    assert_eq!(
        of(serde_json::json!({"$ref": "#/$defs/none"})),
        ["the schema of `sampler.x` refers to \"#/$defs/none\", which it does not define"]
    );
    assert_eq!(
        of(serde_json::json!({"$ref": "#/$defs/a"})),
        ["the schema of `sampler.x` refers to itself"]
    );
    assert!(!of(serde_json::json!({"$ref": "#/$defs/o"})).is_empty());
    assert_eq!(of(serde_json::json!({"$ref": "other.json#/x"})).len(), 1);
    assert_eq!(of(serde_json::json!(false)), ["`sampler.x` cannot be set"]);
    assert_eq!(
        of(serde_json::json!({"type": "complex"})),
        ["`sampler.x` must be complex, but is the whole number 1"]
    );
    assert_eq!(
        of(serde_json::json!({"const": 2})),
        ["`sampler.x` must be 2, but is 1"]
    );
    assert_eq!(
        of(serde_json::json!({"enum": [2, "a", null]})),
        ["`sampler.x` must be one of 2, \"a\", but is 1"]
    );
    for nothing in [
        serde_json::json!({"minimum": "low", "multipleOf": 0, "enum": 3, "type": 4, "format": []}),
        serde_json::json!({"anyOf": 3, "allOf": "x", "$ref": 1}),
        serde_json::json!({"const": 1.0}),
        serde_json::json!({"multipleOf": 0.1}),
        serde_json::json!(null),
    ] {
        assert_eq!(of(nothing), Vec::<String>::new());
    }
    // Doubling circles would take 2⁶⁴ steps if they were followed.
    let twice = serde_json::json!([{"$ref": "#/$defs/t"}, {"$ref": "#/$defs/t"}]);
    for word in ["anyOf", "allOf"] {
        let schema = serde_json::json!({"$ref": "#/$defs/t", "$defs": {"t": {word: &twice}}});
        assert_eq!(
            messages(schema),
            ["the schema of `sampler` refers to itself"]
        );
    }
    let unique = serde_json::json!({"properties": {"z": {"multipleOf": 0.1}, "y": {"uniqueItems": true, "prefixItems": [{"const": 1}], "items": false}}});
    assert_eq!(messages(unique), Vec::<String>::new());
    for odd in [
        serde_json::json!(null),
        serde_json::json!([]),
        serde_json::json!(true),
    ] {
        assert_eq!(messages(odd), Vec::<String>::new());
    }
}

fn inside(d: &Diagnostic, job: &ConfigError) {
    let Some(Span { source, start, end }) = d.span else {
        panic!("no place: {d:?}")
    };
    let text = job.sources.get(source).unwrap().text();
    assert!(start <= end && end <= text.len(), "{d:?}");
    assert!(text.is_char_boundary(start), "{d:?}");
}

/// The rendered text and the records name the same line and column.
fn same_places(error: &ConfigError) {
    let shown = error.render(false);
    for record in error.records() {
        let file = record.file.unwrap();
        let place = match record.line.zip(record.column) {
            Some((line, column)) => format!("--> {file}:{line}:{column}\n"),
            None => format!("--> {file}"),
        };
        assert!(shown.contains(&place), "{place:?} not in\n{shown}");
    }
}

#[test]
fn unusual_characters_keep_lines_and_columns() {
    for (text, line, column) in [
        ("\u{feff}seed = -1\n", 1, 9),
        ("draws = 1\r\n\r\nseed = -1", 3, 8),
        ("x = '''σσ\n\tσ'''\nseed\t=\t-1 # σ", 3, 8),
        ("seed = 'e\u{301}\u{1f600}' # wide", 1, 8),
    ] {
        let error = check(text, &[]).unwrap_err();
        same_places(&error);
        let mut records = error.records().into_iter();
        let record = records.find(|r| r.message.contains("`seed`")).unwrap();
        assert_eq!((record.line, record.column), (Some(line), Some(column)));
    }
}

#[test]
fn a_flood_of_problems_is_cut_in_the_text_only() {
    let text = format!(
        "[sampler]\nkind = 'heun'\n{}",
        (0..500).map(|i| format!("k{i} = 1\n")).collect::<String>()
    );
    let error = check(&text, &[]).unwrap_err();
    assert_eq!(error.records().len(), 502);
    let shown = error.render(false);
    assert_eq!(shown.matches("error: unknown key").count(), 28);
    assert!(shown.ends_with("error: and 472 more problems"), "{shown}");
}

/// Truncates and flips the good job everywhere: no panic, and each problem has a place in the text.
#[test]
fn damaged_jobs_never_panic() {
    let try_text = |text: &str| match check(text, &[]) {
        Err(error) => {
            error.diagnostics.iter().for_each(|d| inside(d, &error));
            assert!(!error.render(false).is_empty());
            usize::from(error.records().len() == error.diagnostics.len())
        }
        Ok(job) => {
            let _ = locate(&job.root, "sampler", "schedule.beta_max");
            let text = to_toml_text(&job.root).unwrap();
            assert!(check(&text, &[]).unwrap().root.same_data(&job.root));
            0
        }
    };
    let mut refused = 0;
    let good = format!("{GOOD}label = 'σ'\n");
    for at in 0..good.len() {
        if good.is_char_boundary(at) {
            refused += try_text(&good[..at]);
            for insert in [
                "\"",
                "[",
                "]",
                "{",
                "=",
                ".",
                "\n",
                "σ",
                "-",
                "9999999999999999999",
                "\u{0}",
                "\r",
            ] {
                refused += try_text(&format!("{}{insert}{}", &good[..at], &good[at..]));
            }
        }
        for flip in [1u8, 2, 4, 16, 32, 64] {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= flip;
            refused += try_text(&String::from_utf8_lossy(&bytes));
        }
    }
    assert!(refused > good.len(), "{refused}");
}

/// The same for `--set` arguments.
#[test]
fn damaged_arguments_never_panic() {
    let good = "sampler.schedule.\"beta_max\"=[1, {a = 'σ'}]";
    for at in (0..=good.len()).filter(|at| good.is_char_boundary(*at)) {
        for insert in ["", "=", ".", "[", "[0]", "'", "\"", "\n", "σ", " ", "\u{0}"] {
            for argument in [
                good[..at].to_owned() + insert,
                format!("{}{insert}{}", &good[..at], &good[at..]),
            ] {
                let mut job = Document::parse("job.toml", GOOD).unwrap();
                if let Err(error) = job.set([&argument]) {
                    error.diagnostics.iter().for_each(|d| inside(d, &error));
                    assert!(!error.render(true).is_empty());
                }
                let _ = validate_component(
                    job.root.at(&["sampler"]).unwrap(),
                    &sampler_schema(),
                    "sampler",
                );
            }
        }
    }
}
