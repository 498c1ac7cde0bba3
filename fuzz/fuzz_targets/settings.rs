//! A job, and after a NUL the schema of a component, as a plugin may bring it: messages with a place in
//! the job, or settings that are still valid when they are written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retrograde_job::config::{
    Document, fill_defaults, locate, render, to_toml_text, validate, validate_component,
};
use serde_json::Value;

/// The schema that the host makes of a plugin's parameters, one of each type.
const DECLARED: &str = r#"{
    "type": "object",
    "properties": {
        "scale": {"type": "number", "exclusiveMinimum": 0, "default": 1.0},
        "eta": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.5},
        "moves": {"type": "integer", "minimum": 1},
        "warm": {"type": "boolean", "default": false},
        "order": {"type": "string", "enum": ["first", "second"], "default": "first"},
        "means": {"type": "array", "items": {"type": "number"}, "default": [0.0]}
    },
    "required": ["moves"],
    "additionalProperties": false
}"#;

fuzz_target!(|bytes: &[u8]| {
    let (job, schema) = match bytes.iter().position(|b| *b == 0) {
        Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
        None => (bytes, None),
    };
    let Ok(text) = std::str::from_utf8(job) else {
        return;
    };
    let foreign = schema.map(serde_json::from_slice::<Value>);
    if matches!(foreign, Some(Err(_))) {
        return;
    }
    let job = match Document::parse("job.toml", text) {
        Ok(job) => job,
        Err(error) => {
            assert!(!error.render(false).is_empty());
            return;
        }
    };
    let Some(node) = job.root.at(&["sampler"]).filter(|n| n.as_table().is_some()) else {
        return;
    };
    let own = foreign.is_none();
    let schema = match foreign {
        Some(Ok(schema)) => schema,
        _ => serde_json::from_str(DECLARED).unwrap(),
    };
    let found = validate_component(node, &schema, "sampler");
    for problem in &found {
        assert!(!problem.message.is_empty());
        let span = problem.span.expect("a problem of a job has a place");
        let source = job.sources.get(span.source).unwrap().text();
        assert!(span.start <= span.end && span.end <= source.len());
        assert!(source.is_char_boundary(span.start));
    }
    let _ = locate(&job.root, "sampler", "means[0]");
    if !found.is_empty() {
        assert!(!render(&job.sources, &found, false).is_empty());
    }
    let filled = fill_defaults(node, &schema, &schema);
    // A foreign schema may have a default that it does not allow.
    if own && found.is_empty() {
        let text = to_toml_text(&filled).unwrap();
        let again = Document::parse("again.toml", &text).unwrap();
        assert!(again.root.same_data(&filled), "{text}");
        assert!(
            validate_component(&again.root, &schema, "").is_empty(),
            "{text}"
        );
    }
    let _ = validate(&job.root, &schema, &schema, "");
});
