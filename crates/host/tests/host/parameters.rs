//! Parameters that cannot be, each refused in a sentence of its own.

use crate::descriptors::refused;

#[test]
fn parameters() {
    let at = |words: &str| format!("component 0: target well: parameter 0: {words}");
    let depth = |words: &str| at(&format!("`depth`: {words}"));
    let name = |given: &str| {
        at(&format!(
            "its name is {given:?}, but must be at most 64 small letters, digits and `_`, a letter first"
        ))
    };
    let range = |from: &str, to: &str| {
        depth(&format!(
            "its range is from {from} to {to}; -INFINITY and INFINITY stand for none"
        ))
    };
    let type_ = |given: i32| {
        depth(&format!(
            "its type is {given}, but must be one of RG_TYPE_F64 (1) to RG_TYPE_F64S (5)"
        ))
    };
    let single = |given: &str| depth(&format!("its default {given:?} is no single value of TOML"));
    let no_toml = |given: &str| depth(&format!("its default {given:?} is no value of TOML"));
    let must =
        |given: &str, allowed: &str| depth(&format!("its default {given:?} must be {allowed}"));
    let text = "TYPE=RG_TYPE_STR";
    refused(
        "params",
        &[
            (&["PARAM=NULL"], &at("its name is NULL")),
            (
                &["PARAM=\"\\xff\""],
                &at("its name is not UTF-8 (first bad byte at 0)"),
            ),
            (&["PARAM=\"Depth\""], &name("Depth")),
            (&["PARAM=\"the-depth\""], &name("the-depth")),
            (&["PARAM=\"a.b\""], &name("a.b")),
            (
                &["PARAM=\"kind\""],
                &at("`kind`: a job has this key already; choose another"),
            ),
            (
                &["PARAM=\"bounds\""],
                &at("`bounds`: a job has this key already; choose another"),
            ),
            (&["PARAM_DOC=NULL"], &depth("its doc is NULL")),
            (
                &["PARAM_DOC=\"a\\xff\""],
                &depth("its doc is not UTF-8 (first bad byte at 1)"),
            ),
            (
                &["PARAM_DOC=long_text"],
                &depth("its doc is longer than 1048576 bytes"),
            ),
            (&["TYPE=0"], &type_(0)),
            (&["TYPE=6"], &type_(6)),
            (&["TYPE=-1"], &type_(-1)),
            (&["MIN=NAN"], &range("NaN", "10")),
            (&["MAX=NAN"], &range("0", "NaN")),
            (&["MIN=10.5"], &range("10.5", "10")),
            (
                &["CHOICES=choices"],
                &depth("it has choices, but is no text"),
            ),
            (
                &[text, "DEFAULT=\"'round'\"", "CHOICES=no_choices"],
                &depth("it has no choice at all; `choices` is NULL where any text is allowed"),
            ),
            (
                &[text, "DEFAULT=\"'round'\"", "CHOICES=bad_choices"],
                &depth("one of its choices is not UTF-8 (first bad byte at 5)"),
            ),
            (
                &[text, "DEFAULT=\"'oval'\"", "CHOICES=choices"],
                &must("'oval'", "one of [\"round\", \"square\"]"),
            ),
            (
                &["REQUIRED=1"],
                &depth("it is required and has a default, of which one must go"),
            ),
            (
                &["DEFAULT=NULL"],
                &depth("it is not required and has no default; default_toml is NULL"),
            ),
            (
                &["DEFAULT=\"\\xff\""],
                &depth("its default is not UTF-8 (first bad byte at 0)"),
            ),
            (&["DEFAULT=\"\""], &no_toml("")),
            (&["DEFAULT=\"round\""], &no_toml("round")),
            (&["DEFAULT=\"1\\ny = 2\""], &single("1\ny = 2")),
            (&["DEFAULT=\"1\\n[y]\""], &single("1\n[y]")),
            (
                &["DEFAULT=\"-0.5\""],
                &must("-0.5", "a number from 0 to 10"),
            ),
            (&["DEFAULT=\"11\""], &must("11", "a number from 0 to 10")),
            (&["DEFAULT=\"nan\""], &must("nan", "a number from 0 to 10")),
            (
                &["DEFAULT=\"'1.5'\""],
                &must("'1.5'", "a number from 0 to 10"),
            ),
            (
                &["DEFAULT=\"true\""],
                &must("true", "a number from 0 to 10"),
            ),
            (&["DEFAULT=\"inf\"", "MAX=INFINITY"], &must("inf", "finite")),
            (
                &["TYPE=RG_TYPE_I64", "DEFAULT=\"1.5\""],
                &must("1.5", "a whole number from 0 to 10"),
            ),
            (
                &["TYPE=RG_TYPE_BOOL", "DEFAULT=\"1\""],
                &must("1", "true or false"),
            ),
            (&[text, "DEFAULT=\"1\""], &must("1", "text")),
            (
                &["TYPE=RG_TYPE_F64S", "DEFAULT=\"1\""],
                &must("1", "a list of numbers from 0 to 10"),
            ),
            (
                &["TYPE=RG_TYPE_F64S", "DEFAULT=\"[1, -1]\""],
                &must("[1, -1]", "a list of numbers from 0 to 10"),
            ),
            (
                &["TYPE=RG_TYPE_F64S", "DEFAULT=\"[1, 'a']\"", "MIN=-INFINITY"],
                &must("[1, 'a']", "a list of numbers, 10 or less"),
            ),
        ],
    );
}

/// Limits and defaults as they are written in TOML, in the shorter way.
#[test]
fn numbers_of_ranges_are_short() {
    let depth = |words: &str| {
        format!(
            "component 0: target well: parameter 0: `depth`: its default \"-1\" must be {words}"
        )
    };
    refused(
        "short",
        &[
            (
                &["DEFAULT=\"-1\"", "MAX=1e30"],
                &depth("a number from 0 to 1e30"),
            ),
            (
                &["DEFAULT=\"-1\"", "MAX=1e15"],
                &depth("a number from 0 to 1e15"),
            ),
            (
                &["DEFAULT=\"-1\"", "MIN=1e-9", "MAX=0.25"],
                &depth("a number from 1e-9 to 0.25"),
            ),
        ],
    );
}
