//! Formulas and settings with a mistake, and what is said of them.

use super::Expression;
use super::tests::folder;
use retrograde_core::registry::{Files, Parts};
use retrograde_core::{Build, Error, Result};
use std::path::Path;

fn settings(formula: &str) -> Expression {
    let mut settings = Expression::new(["mu", "sigma", "x[5]"], formula);
    settings.constants = [("scale".to_owned(), 2.0)].into();
    settings.data = [
        ("y".to_owned(), vec![1.0; 20]),
        ("t".to_owned(), vec![1.0; 19]),
    ]
    .into();
    settings
}

#[track_caller]
fn refused(settings: Expression) -> Error {
    match settings.clone().build(&Parts::new(&folder())) {
        Err(e) => e,
        Ok(_) => panic!("it was accepted: {settings:?}"),
    }
}

#[test]
fn formulas_with_a_mistake() {
    // The formula, what the first line says, and what the carets mark.
    let cases: &[(&str, &str, &str)] = &[
        // Words.
        ("# only words", "column 1: the formula is empty", "#"),
        ("mu $ 2", "column 4: `$` has no meaning here", "$"),
        ("mu & sigma", "`and` is written `&&`", "&"),
        ("|mu|", "|x| is written `abs(x)`", "|"),
        (
            "mu²",
            "column 3: `²` has no meaning here; a power is written `^2`",
            "²",
        ),
        ("mu − 2", "minus is written `-`", "−"),
        (
            "1e999 + mu",
            "column 1: `1e999` is beyond the largest number",
            "1e999",
        ),
        ("µ & 2", "column 3: `&` has no", "&"),
        // Sentences.
        (
            "mu +",
            "column 5: expected a number, a name or `(`, but found the end of the formula",
            "",
        ),
        (
            "mu + * 2",
            "column 6: expected a number, a name or `(`, but found `*`",
            "*",
        ),
        (
            "mu ** 2",
            "column 5: expected a number, a name or `(`, but found `*`; a power is written `^`",
            "*",
        ),
        (
            "2mu",
            "column 2: expected an operator or `;`, but found `mu`; to multiply write `*`",
            "mu",
        ),
        ("2 (mu)", "found `(`; to multiply write `*`", "("),
        ("(mu", "column 1: this `(` is never closed by `)`", "("),
        ("exp(mu", "column 4: this `(` is never closed", "("),
        (
            "mu)",
            "column 3: expected an operator or `;`, but found `)`",
            ")",
        ),
        (
            "(mu + 2 3)",
            "column 9: expected an operator or `)`, but found the number 3",
            "3",
        ),
        ("x[2", "column 2: this `[` is never closed by `]`", "["),
        (
            "x[]",
            "column 3: expected a number, a name or `(`, but found `]`",
            "]",
        ),
        ("exp()", "`exp` expects 1 argument, but got 0", "exp()"),
        (
            "exp(,)",
            "column 5: expected a number, a name or `(`, but found `,`",
            ",",
        ),
        (
            "0 < mu < 1",
            "column 8: expected an operator or `;`, but found `<`; comparisons do not chain: write `a < b && b < c`",
            "<",
        ),
        (
            "if(mu = 1, 2, 3)",
            "column 7: expected an operator or `)`, but found `=`; to compare write `==`",
            "=",
        ),
        ("exp(mu!)", "factorial n! is `exp(lgamma(n + 1))`", "!"),
        (
            "a = mu",
            "column 1: this is the last statement: it must be the log density itself",
            "a",
        ),
        ("a = mu;", "this is the last statement", "a"),
        (
            "mu; sigma",
            "column 1: a statement before the last one must be a definition, `name = value;`",
            "mu",
        ),
        (
            "a = mu b = 2; a",
            "expected an operator or `;`, but found `b`",
            "b",
        ),
        (
            "a == 2; b",
            "column 1: a statement before the last one must be a definition",
            "a == 2",
        ),
        (
            "a == 2",
            "column 1: there is no name `a`; the names are",
            "a",
        ),
        // Names.
        (
            "-0.5*(sgima/2)^2",
            "column 7: there is no name `sgima`; did you mean `sigma`?",
            "sgima",
        ),
        (
            "qqq + mu",
            "column 1: there is no name `qqq`; the names are `inf`, `mu`, `pi`, `scale`, `sigma`, `t`, `x`, `y`",
            "qqq",
        ),
        (
            "later + 1; later = 2; mu",
            "statement before the last",
            "later + 1",
        ),
        (
            "a = later; later = 2; a",
            "column 5: there is no name `later`",
            "later",
        ),
        (
            "exq(mu)",
            "column 1: there is no function `exq`; did you mean `exp`?",
            "exq",
        ),
        (
            "2*(exq(mu))",
            "column 4: there is no function `exq`; did you mean `exp`?",
            "exq",
        ),
        (
            "zzzzz(mu)",
            "there is no function `zzzzz`; `retrograde describe expression` lists them",
            "zzzzz",
        ),
        (
            "mu(2)",
            "column 1: `mu` is not a function; to multiply write `mu * (...)`",
            "mu",
        ),
        (
            "exp + 1",
            "column 1: `exp` is a function; write its arguments, `exp(...)`",
            "exp",
        ),
        (
            "mu = 3; mu",
            "column 1: `mu` is a coordinate already; choose another name",
            "mu",
        ),
        ("y = 3; mu", "`y` is a vector of data already", "y"),
        ("scale = 3; mu", "`scale` is a constant already", "scale"),
        ("a = 3; a = 4; a", "column 8: `a` is defined already", "a"),
        (
            "exp = 3; mu",
            "column 1: `exp` is the name of a function; choose another name",
            "exp",
        ),
        ("pi = 3; mu", "`pi` is a constant of the language", "pi"),
        // Numbers of arguments.
        (
            "exp(mu, 2)",
            "column 1: `exp` expects 1 argument, but got 2",
            "exp(mu, 2)",
        ),
        (
            "if(mu, 2)",
            "`if` expects 3 arguments, but got 2",
            "if(mu, 2)",
        ),
        (
            "max()",
            "`max` expects 1 argument or more, but got 0",
            "max()",
        ),
        (
            "1 + normal_lpdf(mu, 0)",
            "column 5: `normal_lpdf` expects 3 arguments, but got 2: it is `normal_lpdf(x, m, s)`",
            "normal_lpdf(mu, 0)",
        ),
        // Counts.
        (
            "mu + bernoulli_logit_lpmf(2, mu)",
            "column 27: `2` is 2, but `k` of `bernoulli_logit_lpmf` must be 0 or 1",
            "2",
        ),
        (
            "sum(bernoulli_logit_lpmf(y - 0.5*(y > 0), mu))",
            "column 26: element 1 of `y - 0.5*(y > 0)` is 0.5, but `k` of `bernoulli_logit_lpmf`",
            "y - 0.5*(y > 0)",
        ),
        (
            "poisson_lpmf(-1, sigma)",
            "`-1` is -1, but `k` of `poisson_lpmf` must be 0 or a positive whole number",
            "-1",
        ),
        (
            "poisson_log_lpmf(scale/4, sigma)",
            "`scale/4` is 0.5, but `k` of `poisson_log_lpmf` must be 0 or a positive",
            "scale/4",
        ),
        (
            "poisson_log_lpmf(inf, mu)",
            "`inf` is inf, but `k` of",
            "inf",
        ),
        (
            "binomial_logit_lpmf(1.5, 3, mu)",
            "`1.5` is 1.5, but `k` of `binomial_logit_lpmf` must be 0 or a positive",
            "1.5",
        ),
        (
            "sum(binomial_logit_lpmf(y, y - 0.5, mu))",
            "element 1 of `y - 0.5` is 0.5, but `n` of `binomial_logit_lpmf` must be 0 or",
            "y - 0.5",
        ),
        (
            "sum(binomial_logit_lpmf(scale, y, mu))",
            "`scale` is 2, but `k` of `binomial_logit_lpmf` must be at most the number of trials",
            "scale",
        ),
        // Shapes.
        (
            "x + mu",
            "column 1: the log density is a vector of 5, but must be one number; wrap it in `sum(...)`",
            "x + mu",
        ),
        (
            "a = 2; exp(x)*a",
            "column 8: the log density is a vector of 5",
            "exp(x)*a",
        ),
        (
            "sum(y - mu*t)",
            "column 5: `y` has 20 elements, but `mu*t` has 19; vectors that meet must have the same length",
            "y - mu*t",
        ),
        (
            "sum(if(y > 1, t, 0))",
            "`y > 1` has 20 elements, but `t` has 19",
            "if(y > 1, t, 0)",
        ),
        (
            "sum(normal_lpdf(y, mu + t, 1))",
            "column 5: `y` has 20 elements, but `mu + t` has 19",
            "normal_lpdf(y, mu + t, 1)",
        ),
        (
            "dot(x, y)",
            "`x` has 5 elements, but `y` has 20",
            "dot(x, y)",
        ),
        (
            "dot(x, mu)",
            "column 8: `dot` expects two vectors, but `mu` is one number",
            "mu",
        ),
        (
            "sum(max(x, y))",
            "`x` has 5 elements, but `y` has 20",
            "max(x, y)",
        ),
        (
            "mu[1]",
            "column 1: `mu` is one number, which has no elements",
            "mu",
        ),
        (
            "x[0]",
            "column 3: the index 0 of `x` must be a whole number from 1 to 5",
            "0",
        ),
        (
            "x[6]",
            "column 3: the index 6 of `x` must be a whole number from 1 to 5",
            "6",
        ),
        (
            "x[1.5]",
            "the index 1.5 of `x` must be a whole number",
            "1.5",
        ),
        ("x[-1]", "the index -1 of `x`", "-1"),
        (
            "x[mu]",
            "column 3: the index `mu` depends on the coordinates, but must be constant",
            "mu",
        ),
        ("sum(x[2:6])", "column 9: the index 6 of `x`", "6"),
        ("sum(x[4:3])", "column 7: the slice 4:3 is empty", "4:3"),
        (
            "sum(x[1:t])",
            "column 9: the ends of a slice are one number each",
            "t",
        ),
        ("sum(x[0/0])", "the index NaN of `x`", "0/0"),
    ];
    for (formula, says, marked) in cases {
        let Error::Settings {
            component,
            key,
            message,
        } = refused(settings(formula))
        else {
            panic!("{formula}: another kind of error");
        };
        assert_eq!(
            (component.as_str(), key.as_str()),
            ("target expression", "log_density")
        );
        assert!(
            message.contains(says),
            "{formula}: `{message}` does not say `{says}`"
        );
        let lines: Vec<&str> = message.lines().collect();
        let [_, shown, carets] = lines.as_slice() else {
            panic!("{formula}: {message}")
        };
        let (from, to) = (carets.find('^').unwrap(), carets.chars().count());
        let under: String = shown.chars().skip(from).take(to - from).collect();
        assert_eq!(under.trim_end(), *marked, "{formula}:\n{message}");
    }
}

#[test]
fn nothing_at_all() {
    for formula in ["", " \n\t "] {
        let text = refused(settings(formula)).to_string();
        assert_eq!(
            text,
            "target expression: the formula is empty (at `log_density`)"
        );
    }
}

#[test]
fn the_place_in_a_formula_of_many_lines() {
    let message = |formula: &str| refused(settings(formula)).to_string();
    assert_eq!(
        message("a = mu; # the mean\n\tb = a +\n\t  exq(a);\na + b\n"),
        "target expression: line 3, column 4: there is no function `exq`; did you mean `exp`?\n    \
         \u{20}  exq(a);\n    \u{20}  ^^^ (at `log_density`)"
    );
    // Of a long line the part around the mistake; a mark over several lines ends with the first.
    let long = format!("mu{} + sgima{}", " + mu".repeat(100), " + mu".repeat(100));
    let text = message(&long);
    assert!(
        text.contains("column 506: there is no name `sgima`"),
        "{text}"
    );
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[1].chars().count() < 80 && lines[1].contains('…'),
        "{text}"
    );
    let from = lines[2].find('^').unwrap();
    assert_eq!(
        lines[1].chars().skip(from).take(5).collect::<String>(),
        "sgima",
        "{text}"
    );
    assert!(message("exp(mu,\n2)").contains("\n    exp(mu,\n    ^^^^^^^ (at"));
}

#[test]
fn nesting_has_a_limit_and_never_ends_the_program() {
    let deep =
        |open: &str, close: &str, n: usize| format!("{}mu{}", open.repeat(n), close.repeat(n));
    for formula in [
        deep("(", ")", 10_000),
        deep("exp(", ")", 10_000),
        deep("-", "", 10_000),
        deep("!", "", 10_000),
        deep("2^", "", 10_000),
        deep("(-(", "))", 5_000),
        deep("2^-(", ")", 5_000),
        deep("x[", "]", 10_000),
        deep("if(mu, 1, ", ")", 5_000),
        "(".repeat(1_000_000),
    ] {
        let text = refused(settings(&formula)).to_string();
        assert!(text.contains("nested deeper than 200"), "{text}");
    }
    // What looks deep to no parser is fine.
    for formula in [
        ")".repeat(10_000),
        "mu]".repeat(10_000),
        "mu,".repeat(10_000),
        "a=".repeat(10_000),
        ";".repeat(10_000),
    ] {
        refused(settings(&formula));
    }
    for fine in ["+ 2^2^2 ", "- (-(-mu)) ", "* -(mu^-2) "] {
        settings(&format!("mu {}", fine.repeat(2000)))
            .build(&Parts::new(&folder()))
            .unwrap();
    }
}

/// One file, in memory.
struct One(&'static str);

impl Files for One {
    fn read(&self, _: &Path) -> Result<Vec<u8>> {
        Ok(self.0.as_bytes().to_vec())
    }
}

#[test]
fn settings_with_a_mistake() {
    type Spoil = fn(&mut Expression);
    let cases: &[(Spoil, &str)] = &[
        (
            |s| s.coordinates.clear(),
            "`coordinates` is empty, but must be a list of at least one name",
        ),
        (
            |s| s.coordinates[1] = "2x".into(),
            "`coordinates[1]` is \"2x\", but must be a name such as `mu`",
        ),
        (
            |s| s.coordinates[1] = "x y".into(),
            "`coordinates[1]` is \"x y\"",
        ),
        (
            |s| s.coordinates[1] = String::new(),
            "`coordinates[1]` is \"\"",
        ),
        (
            |s| s.coordinates[1] = "z[0]".into(),
            "`coordinates[1]` is \"z[0]\", but must be of length ≥ 1",
        ),
        (
            |s| s.coordinates[1] = "z[-1]".into(),
            "`coordinates[1]` is \"z[-1]\"",
        ),
        (
            |s| s.coordinates[1] = "z[2000000]".into(),
            "at most 1000000",
        ),
        (
            |s| s.coordinates[1] = "z[99999999999999999999999]".into(),
            "`coordinates[1]` is",
        ),
        (
            |s| s.coordinates[1] = "mu".into(),
            "`coordinates[1]` is named \"mu\", but must be named otherwise: `mu` is a coordinate already",
        ),
        (
            |s| s.coordinates[1] = "exp".into(),
            "`exp` is the name of a function",
        ),
        (
            |s| s.coordinates[1] = "pi[3]".into(),
            "`pi` is a constant of the language",
        ),
        (
            |s| add(&mut s.constants, "mu", 2.0),
            "`constants.mu` is named \"mu\", but must be named otherwise: `mu` is a coordinate already",
        ),
        (
            |s| add(&mut s.constants, "a b", 2.0),
            "`constants.a b` is named \"a b\", but must be named by letters",
        ),
        (
            |s| add(&mut s.constants, "c", f64::NAN),
            "`constants.c` is NaN",
        ),
        (
            |s| add(&mut s.data, "scale", vec![1.0]),
            "`data.scale` is named \"scale\", but must be named otherwise: `scale` is a constant already",
        ),
        (|s| add(&mut s.data, "z", vec![]), "`data.z` is empty"),
        (
            |s| add(&mut s.data, "z", vec![1.0, f64::INFINITY]),
            "`data.z[1]` is inf, but must be finite",
        ),
        (
            |s| s.log_z = Some(f64::NAN),
            "`log_z` is NaN, but must be finite",
        ),
        (
            |s| s.file = Some("t.csv".into()),
            "`columns` is missing, but must be a table such as",
        ),
        (
            |s| add(&mut s.columns, "a", "age".into()),
            "`file` is missing, but must be a CSV file",
        ),
        (
            |s| column(s, "a", "agee"),
            "t.csv:1: there is no column `agee`; did you mean `age`?",
        ),
        (
            |s| column(s, "a", "word"),
            "t.csv:3:2: column `word` has `two`, which is not a number",
        ),
        (
            |s| column(s, "a", "gap"),
            "t.csv:2:3: missing value (`NA`) in column `gap`",
        ),
        (
            |s| column(s, "y", "age"),
            "`columns.y` is named \"y\", but must be named otherwise: `y` is a vector of data already",
        ),
    ];
    for (spoil, says) in cases {
        let mut spoilt = settings("mu");
        spoil(&mut spoilt);
        let file = One("age,word,gap\n3,4,NA\n4,two,1\n");
        let error = spoilt
            .build(&Parts::new(&file))
            .err()
            .map(|e| e.to_string());
        let error = error.unwrap_or_else(|| panic!("{says}: it was accepted"));
        assert!(error.contains(says), "`{error}` does not say `{says}`");
    }
}

fn add<T>(map: &mut std::collections::BTreeMap<String, T>, name: &str, v: T) {
    map.insert(name.into(), v);
}

fn column(s: &mut Expression, name: &str, header: &str) {
    s.file = Some("t.csv".into());
    add(&mut s.columns, name, header.into());
}
