//! Broken jobs as users write them, and what they are told.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{
    ConfigError, Document, component_kind, fill_defaults, to_toml_text, validate,
    validate_component,
};

/// Settings with one key of every kind of constraint.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sampler {
    /// Number of steps of the ladder.
    #[schemars(range(min = 1))]
    steps: usize,
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    step_size: Option<f64>,
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    eta: f64,
    #[serde(default)]
    free: f64,
    #[serde(default)]
    order: Order,
    #[serde(default)]
    warm: bool,
    #[serde(default)]
    schedule: Option<Schedule>,
    #[serde(default)]
    noise: Noise,
    #[serde(default)]
    #[schemars(extend("multipleOf" = 4))]
    block: u8,
}

#[derive(Serialize, Deserialize, schemars::JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
enum Order {
    /// Euler.
    #[default]
    First,
    /// Heun.
    Second,
    Third,
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Schedule {
    /// Largest rate.
    beta_max: f64,
    #[serde(default)]
    beta_min: f64,
}

/// Told apart by `shape`.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "shape", rename_all = "snake_case", deny_unknown_fields)]
enum Noise {
    Gauss { width: f64 },
    Student { width: f64, nu: f64 },
}

impl Default for Noise {
    fn default() -> Self {
        Self::Gauss { width: 1.0 }
    }
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Target {
    #[schemars(length(min = 1))]
    means: Vec<[f64; 2]>,
    #[serde(default)]
    #[schemars(length(min = 1))]
    label: Option<String>,
    #[serde(default)]
    scale: Scale,
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum Scale {
    One(f64),
    Each(Vec<f64>),
}

impl Default for Scale {
    fn default() -> Self {
        Self::One(1.0)
    }
}

pub(super) fn sampler_schema() -> Json {
    schemars::schema_for!(Sampler).to_value()
}

fn target_schema() -> Json {
    schemars::schema_for!(Target).to_value()
}

/// The whole file: top-level keys by a schema, each table by its kind.
pub(super) fn check(text: &str, set: &[&str]) -> Result<Document, ConfigError> {
    let mut job = Document::parse("job.toml", text)?;
    job.set(set)?;
    let top = serde_json::json!({
        "type": "object",
        "properties": {
            "seed": {"type": "integer", "minimum": 0},
            "draws": {"type": "integer", "minimum": 1},
            "sampler": {"type": "object"},
            "target": {"type": "object"},
        },
        "required": ["target", "sampler"],
        "additionalProperties": false,
    });
    let mut found = validate(&job.root, &top, &top, "");
    for (path, kinds, schema) in [
        ("sampler", ["ddim", "heun"], sampler_schema()),
        ("target", ["mixture", "funnel"], target_schema()),
    ] {
        let Some(node) = job.root.at(&[path]) else {
            continue;
        };
        if node.as_table().is_none() {
            continue;
        }
        match component_kind(node, path, kinds) {
            Ok(_) => found.extend(validate_component(node, &schema, path)),
            Err(problem) => found.push(problem),
        }
    }
    match found.is_empty() {
        true => Ok(job),
        false => Err(job.error(found)),
    }
}

pub(super) const GOOD: &str = "\
# A job.
seed = 1
draws = 100

[target]
kind = \"mixture\"
means = [[0, 0.5], [1e-3, -2]]

[sampler]
kind = 'heun'
steps = 50
order = \"second\"
schedule = { beta_max = 20.0 }

[sampler.noise]
shape = \"student\"
width = 1
nu = 3.5
";

/// `GOOD` with the sampler's keys replaced; the first key stands in line 4.
pub(super) fn sampler(keys: &str) -> String {
    format!("target = {{kind = 'mixture', means = [[0, 0]]}}\n[sampler]\nkind = 'heun'\n{keys}\n")
}

/// `GOOD` with the target's keys replaced; the first key stands in line 4.
fn target(keys: &str) -> String {
    format!("sampler = {{kind = 'heun', steps = 1}}\n[target]\nkind = 'mixture'\n{keys}\n")
}

#[test]
fn the_good_job_passes_and_survives_resolution() {
    let job = check(GOOD, &[]).unwrap();
    let schema = sampler_schema();
    let mut resolved = job.root.clone();
    let table = resolved.as_table_mut().unwrap().get_mut("sampler").unwrap();
    *table = fill_defaults(table, &schema, &schema);
    let text = to_toml_text(&resolved).unwrap();
    let again = check(&text, &[]).unwrap();
    assert!(again.root.same_data(&resolved), "{text}");
    assert!(
        text.contains("beta_min = 0.0") && text.contains("eta = 0.0"),
        "{text}"
    );
    let mut settings = resolved.at(&["sampler"]).unwrap().clone();
    settings.remove(&["kind"]);
    assert_eq!(settings.to_settings::<Sampler>().unwrap().steps, 50);
}

/// (text, [(line, column, message)]): all problems, in order.
type Case = (String, Vec<(usize, usize, &'static str)>);

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let s = |keys: &str, problems: &[(usize, usize, &'static str)]| {
        (sampler(&format!("steps = 5\n{keys}")), problems.to_vec())
    };
    let t =
        |keys: &str, problems: &[(usize, usize, &'static str)]| (target(keys), problems.to_vec());
    vec![
        // Keys.
        s("stps = 1", &[(5, 1, "unknown key `stps` in `sampler`")]),
        s("schedule = {beta_max = 1, betamin = 2}", &[(5, 27, "unknown key `betamin` in `sampler.schedule`")]),
        s("schedule.beta_min = 1", &[(5, 1, "missing key `beta_max` in `sampler.schedule`")]),
        (sampler(""), vec![(2, 1, "missing key `steps` in `sampler`")]),
        (format!("sede = 1\n{GOOD}"), vec![(1, 1, "unknown key `sede`")]),
        // Types.
        (sampler("steps = 'ten'"), vec![(4, 9, "`sampler.steps` must be a whole number, but is the string \"ten\"")]),
        (sampler("steps = '10'"), vec![(4, 9, "`sampler.steps` must be a whole number, but is the string \"10\"")]),
        (sampler("steps = 50.0"), vec![(4, 9, "`sampler.steps` must be a whole number, but is the number 50.0")]),
        s("eta = [1]", &[(5, 7, "`sampler.eta` must be a number, but is an array")]),
        s("eta = 1979-05-27", &[(5, 7, "`sampler.eta` must be a number, but is the date or time 1979-05-27")]),
        s("warm = 1", &[(5, 8, "`sampler.warm` must be `true` or `false`, but is the whole number 1")]),
        s("schedule = 3", &[(5, 12, "`sampler.schedule` must be a table, but is the whole number 3")]),
        s("step_size = true", &[(5, 13, "`sampler.step_size` must be a number, but is true")]),
        ("sampler = 5\n[target]\nkind='mixture'\nmeans=[[0,0]]".to_owned(), vec![(1, 11, "`sampler` must be a table, but is the whole number 5")]),
        // Ranges.
        (sampler("steps = 0"), vec![(4, 9, "`sampler.steps` must be at least 1, but is 0")]),
        s("step_size = -3", &[(5, 13, "`sampler.step_size` must be > 0, but is -3")]),
        s("step_size = 0.0", &[(5, 13, "`sampler.step_size` must be > 0, but is 0.0")]),
        s("step_size = nan", &[(5, 13, "`sampler.step_size` must be > 0, but is nan")]),
        s("eta = 1.5", &[(5, 7, "`sampler.eta` must be between 0 and 1, but is 1.5")]),
        s("eta = nan", &[(5, 7, "`sampler.eta` must be between 0 and 1, but is nan")]),
        s("eta = inf", &[(5, 7, "`sampler.eta` must be between 0 and 1, but is inf")]),
        s("block = 256", &[(5, 9, "`sampler.block` must be between 0 and 255, but is 256")]),
        s("block = 6", &[(5, 9, "`sampler.block` must be a multiple of 4, but is 6")]),
        // Allowed values.
        s("order = 'secnd'", &[(5, 9, "`sampler.order` must be one of \"third\", \"first\", \"second\", but is \"secnd\"")]),
        s("order = 2", &[(5, 9, "`sampler.order` must be one of \"third\", \"first\", \"second\", but is 2")]),
        s("noise = {shape = 'studnet', width = 1}", &[(5, 18, "`sampler.noise.shape` must be one of \"gauss\", \"student\", but is \"studnet\"")]),
        s("noise = {width = 1}", &[(5, 9, "missing key `shape` in `sampler.noise`")]),
        s("noise = {shape = 'student', width = 1}", &[(5, 9, "missing key `nu` in `sampler.noise`")]),
        s("noise = {shape = 'student', width = 1, mu = 2, nu = 'x'}", &[
                (5, 40, "unknown key `mu` in `sampler.noise`"),
                (5, 53, "`sampler.noise.nu` must be a number, but is the string \"x\""),
            ]),
        s("noise = 'gauss'", &[(5, 9, "`sampler.noise` must be a table, but is the string \"gauss\"")]),
        // Kinds.
        (sampler("steps=1").replace("'heun'", "'huen'"), vec![(3, 8, "unknown kind \"huen\" in `sampler`")]),
        (sampler("steps=1").replace("'heun'", "3"), vec![(3, 8, "`sampler.kind` must be a string, but is the whole number 3")]),
        (sampler("steps=1").replace("kind = 'heun'", ""), vec![(2, 1, "missing key `kind` in `sampler`")]),
        // Arrays.
        t("means = []", &[(4, 9, "`target.means` must have at least 1 element, but has 0")]),
        t("means = [[0, 1], [2]]", &[(4, 18, "`target.means[1]` must have 2 elements, but has 1")]),
        t("means = [[0, 1, 2]]", &[(4, 10, "`target.means[0]` must have 2 elements, but has 3")]),
        t("means = [[0, 'a'],\n [true, 2]]", &[
                (4, 14, "`target.means[0][1]` must be a number, but is the string \"a\""),
                (5, 3, "`target.means[1][0]` must be a number, but is true"),
            ]),
        t("means = 3", &[(4, 9, "`target.means` must be an array, but is the whole number 3")]),
        t("means = [[0,0]]\nlabel = ''", &[(5, 9, "`target.label` must not be empty")]),
        t("means = [[0,0]]\nscale = 'big'", &[(5, 9, "`target.scale` must be a number or an array, but is the string \"big\"")]),
        t("means = [[0,0]]\nscale = [1, 'big']", &[(5, 13, "`target.scale[1]` must be a number, but is the string \"big\"")]),
        // Syntax.
        (sampler("steps = "), vec![(4, 9, "a value is missing after `=`")]),
        (sampler("steps = ten"), vec![(4, 9, "`ten` is not a value")]),
        (sampler("steps = 1\nsteps = 2"), vec![(5, 1, "this key is set twice")]),
        (sampler("steps = 1\n[sampler]"), vec![(5, 2, "this key is set twice")]),
        (sampler("steps = 99999999999999999999"), vec![(4, 9, "the whole number 99999999999999999999 does not fit 64 bits")]),
        ("[sampler\nkind = 1\n".to_owned(), vec![(1, 9, "this is not valid TOML: unclosed table, expected `]`")]),
        ("x = \"abc\ny = ]\n".to_owned(), vec![
                (1, 9, "this is not valid TOML: invalid basic string, expected `\"`"),
                (2, 5, "this is not valid TOML: missing array opening, expected `[`"),
            ]),
        // Several at once, sorted by place.
        (sampler("steps = 0\neta = 2\nordr = 1\n'σ' = 1"), vec![
                (4, 9, "`sampler.steps` must be at least 1, but is 0"),
                (5, 7, "`sampler.eta` must be between 0 and 1, but is 2"),
                (6, 1, "unknown key `ordr` in `sampler`"),
                (7, 1, "unknown key `σ` in `sampler`"),
            ]),
    ]
}

#[test]
fn every_broken_job_is_placed_and_named() {
    let mut wrong = Vec::new();
    for (text, want) in cases() {
        let Err(error) = check(&text, &[]) else {
            wrong.push(format!("{text}\npassed\n"));
            continue;
        };
        let got: Vec<_> = error
            .records()
            .into_iter()
            .map(|r| (r.line.unwrap_or(0), r.column.unwrap_or(0), r.message))
            .collect();
        let want: Vec<_> = want
            .iter()
            .map(|(l, c, m)| (*l, *c, (*m).to_owned()))
            .collect();
        if got != want {
            wrong.push(format!("{text}\n got {got:?}\nwant {want:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn shown(text: &str, set: &[&str]) -> String {
    check(text, set).unwrap_err().to_string()
}

#[test]
fn rendered_unknown_key_and_range() {
    assert_eq!(
        shown(&sampler("steps = 5\nstep_sise = 0.1\neta = 1.5"), &[]),
        "\
error: unknown key `step_sise` in `sampler`
 --> job.toml:5:1
  |
5 | step_sise = 0.1
  | ^^^^^^^^^ did you mean `step_size`?
  |
help: the keys are `kind`, `steps`, `step_size`, `eta`, `free`, `order`, `warm`, `schedule`, `noise`, `block`

error: `sampler.eta` must be between 0 and 1, but is 1.5
 --> job.toml:6:7
  |
6 | eta = 1.5
  |       ^^^ out of range"
    );
}

#[test]
fn rendered_missing_keys_and_tables() {
    assert_eq!(
        shown(&sampler("eta = 0.5"), &[]),
        "\
error: missing key `steps` in `sampler`
 --> job.toml:2:1
  |
2 | [sampler]
  | ^^^^^^^^^ needs `steps`
  |
help: `steps`: Number of steps of the ladder."
    );
    assert_eq!(
        shown("seed = 1\n", &[]),
        "\
error: missing table `target`
 --> job.toml

error: missing table `sampler`
 --> job.toml"
    );
}

#[test]
fn rendered_wrong_types_say_what_to_write() {
    assert_eq!(
        shown(&sampler("steps = '10'"), &[]),
        "\
error: `sampler.steps` must be a whole number, but is the string \"10\"
 --> job.toml:4:9
  |
4 | steps = '10'
  |         ^^^^ expected a whole number
  |
help: write `10`"
    );
    assert_eq!(
        shown(&target("means = [[0, 0]]\nlabel = [\n 'σ',\n]"), &[]),
        "\
error: `target.label` must be a string, but is an array
 --> job.toml:5:9
  |
5 | label = [
  |         ^ expected a string"
    );
    // No list of one number is a list of lists.
    assert_eq!(
        shown(&target("means = 0"), &[]),
        "\
error: `target.means` must be an array, but is the whole number 0
 --> job.toml:4:9
  |
4 | means = 0
  |         ^ expected an array
  |
help: it is a list of lists"
    );
    assert_eq!(
        shown(&sampler("order = secnd order"), &[]),
        "\
error: `secnd order` is not a value
 --> job.toml:4:9
  |
4 | order = secnd order
  |         ^^^^^^^^^^^ text needs quotes
  |
help: write `\"secnd order\"`"
    );
}

#[test]
fn problems_in_arguments_show_the_argument() {
    let set = [
        "sampler.step_size=-3",
        "sampler.kidn=heun",
        "sampler.order=thrid",
    ];
    assert_eq!(
        shown(GOOD, &set),
        "\
error: `sampler.step_size` must be > 0, but is -3
 |
 | --set sampler.step_size=-3
 |                         ^^ out of range

error: unknown key `kidn` in `sampler`
 |
 | --set sampler.kidn=heun
 |               ^^^^ did you mean `kind`?
 |
help: the keys are `kind`, `steps`, `step_size`, `eta`, `free`, `order`, `warm`, `schedule`, `noise`, `block`

error: `sampler.order` must be one of \"third\", \"first\", \"second\", but is \"thrid\"
 |
 | --set sampler.order=thrid
 |                     ^^^^^ did you mean \"third\"?"
    );
    let error = check(GOOD, &set[..1]).unwrap_err();
    let record = &error.records()[0];
    assert_eq!(record.file.as_deref(), Some("command line"));
    assert_eq!((record.line, record.column), (Some(1), Some(25)));
}

#[test]
fn kinds_offer_the_nearest() {
    assert_eq!(
        shown(&sampler("steps = 5").replace("'heun'", "'huen'"), &[]),
        "\
error: unknown kind \"huen\" in `sampler`
 --> job.toml:3:8
  |
3 | kind = 'huen'
  |        ^^^^^^ did you mean `heun`?
  |
help: the kinds are `ddim`, `heun`"
    );
}
