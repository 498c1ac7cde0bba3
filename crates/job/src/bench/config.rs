//! What a bench file says, and which jobs it means.

use super::Metric;
use super::checks::{
    check_component, check_expect, head_schema, names_of, read_reference, tables_of,
};
use crate::config::{
    ConfigError, Diagnostic, Document, Entry, Node, Table, Value, nearest, validate,
};
use crate::files::InputFile;
use crate::place::below;
use crate::plan::Plan;
use crate::settings::ExpectSettings;
use ndarray::Array2;
use retrograde_core::{Kind, Registry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Keys of a bench file beside its tables of targets and samplers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(super) struct Head {
    /// Headline of the table.
    pub(super) title: Option<String>,
    /// How many seeds, from 1 on, or the seeds themselves.
    #[serde(default = "ten")]
    seeds: Seeds,
    /// Draws of each run, over all chains.
    #[serde(default = "draws")]
    #[schemars(range(min = 1))]
    pub(super) draws: usize,
    /// Threads; 0 = all that the machine has. Changes times, and no results.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1024))]
    pub(super) threads: usize,
    /// Evaluations of target, gradient or score that each run shall spend, in rows; those samplers keep to it that have a `fit`.
    #[schemars(range(min = 1))]
    pub(super) budget: Option<u64>,
    /// Most points of a run, and of the exact sample or reference, that distances are measured on.
    #[serde(default = "reference_draws")]
    #[schemars(range(min = 20, max = 2000))]
    pub(super) reference_draws: usize,
    /// What is measured on the draws.
    #[serde(default = "metrics")]
    pub(super) metrics: Vec<Metric>,
    /// What is aimed at.
    #[serde(default)]
    pub(super) aim: Vec<Aim>,
    /// What others have published.
    #[serde(default)]
    pub(super) published: Vec<Published>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Seeds {
    Count(#[schemars(range(min = 1, max = 100_000))] u64),
    List(
        #[schemars(
            length(min = 1),
            inner(range(min = 0, max = 9_223_372_036_854_775_807_i64))
        )]
        Vec<u64>,
    ),
}

impl Head {
    pub(super) fn seeds(&self) -> Vec<u64> {
        match &self.seeds {
            Seeds::Count(n) => (1..=*n).collect(),
            Seeds::List(list) => list.clone(),
        }
    }
}

fn ten() -> Seeds {
    Seeds::Count(10)
}

fn draws() -> usize {
    4000
}

fn reference_draws() -> usize {
    1000
}

fn metrics() -> Vec<Metric> {
    vec![
        Metric::W2,
        Metric::SlicedKs,
        Metric::ModeTv,
        Metric::MeanError,
    ]
}

/// A bound on a metric.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Aim {
    /// Target, or list of targets.
    pub(super) target: Names,
    /// What is bounded, by its size.
    pub(super) metric: Metric,
    /// The bound, > 0; none of the seeds shall be outside.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub(super) bound: f64,
}

/// A name or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Names {
    One(String),
    Many(Vec<String>),
}

impl Names {
    pub(super) fn list(&self) -> &[String] {
        match self {
            Names::One(one) => std::slice::from_ref(one),
            Names::Many(many) => many,
        }
    }
}

/// Values that others have published for one target and metric.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Target.
    pub target: String,
    /// Metric.
    pub metric: Metric,
    /// Value of each method.
    pub values: BTreeMap<String, f64>,
    /// How far its runs spread, where that is told.
    #[serde(default)]
    pub spreads: BTreeMap<String, f64>,
    /// Where it stands.
    pub source: String,
    /// What is not the same: start, budget, convention of the target.
    pub differs: String,
}

/// A row of the matrix.
#[derive(Debug, Clone)]
pub(super) struct TargetEntry {
    pub(super) name: String,
    pub(super) kind: String,
    node: Node,
    /// Known answers beside those of the target.
    pub(super) expect: ExpectSettings,
    pub(super) budget: Option<u64>,
    /// Draws to compare with, from a file.
    pub(super) reference: Option<Reference>,
}

/// Draws from a file.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    /// (n, d).
    pub(super) rows: Array2<f64>,
    pub(super) file: InputFile,
}

/// A column of the matrix.
#[derive(Debug, Clone)]
pub(super) struct SamplerEntry {
    pub(super) name: String,
    pub(super) kind: String,
    node: Node,
    parts: Vec<(&'static str, Node)>,
    /// The key that is scaled to meet a budget.
    pub(super) fit: Option<String>,
}

/// A sampler on a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) target: usize,
    pub(super) sampler: usize,
    /// What the job says at the key that is scaled.
    pub(super) start: Option<u64>,
}

/// A bench file that was checked from end to end.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) head: Head,
    pub(super) targets: Vec<TargetEntry>,
    pub(super) samplers: Vec<SamplerEntry>,
    /// What runs, target by target.
    pub(super) cells: Vec<Cell>,
    document: Document,
}

/// Keys that the bench adds to those of a target.
const OF_TARGETS: [&str; 4] = ["name", "budget", "reference", "expect"];
/// Keys that the bench adds to those of a sampler.
const OF_SAMPLERS: [&str; 6] = ["name", "only", "skip", "fit", "process", "score"];
/// Components that stand in the table of a sampler.
const PARTS: [(Kind, &str); 2] = [(Kind::Process, "process"), (Kind::Score, "score")];

impl Bench {
    /// Checks the file and every job that it means.
    pub(super) fn new(
        document: Document,
        registry: &Registry,
        base: &Path,
    ) -> Result<Self, ConfigError> {
        let root = &document.root;
        let mut found = tables_of(root);
        let schema = head_schema();
        found.extend(validate(root, &schema, &schema, ""));
        for (i, node) in items(root, "target").iter().enumerate() {
            found.extend(check_component(
                node,
                Kind::Target,
                &format!("target[{i}]"),
                registry,
            ));
        }
        for (i, node) in items(root, "sampler").iter().enumerate() {
            let path = format!("sampler[{i}]");
            found.extend(check_component(node, Kind::Sampler, &path, registry));
            for (kind, word) in PARTS {
                if let Some(part) = node.at(&[word]) {
                    found.extend(check_component(
                        part,
                        kind,
                        &format!("{path}.{word}"),
                        registry,
                    ));
                }
            }
        }
        if !found.is_empty() {
            return Err(document.error(found));
        }
        let mut found = names_of(root);
        if !found.is_empty() {
            return Err(document.error(found));
        }
        let read = |e: toml::de::Error| {
            document.error(vec![Diagnostic::new(None, e.message().to_owned())])
        };
        let mut own = root.clone();
        for word in ["target", "sampler"] {
            own.remove(&[word]);
        }
        let head: Head = own.to_settings().map_err(read)?;
        let targets = items(root, "target")
            .iter()
            .map(target_entry)
            .collect::<Result<Vec<_>, _>>();
        let mut targets = targets.map_err(read)?;
        let samplers: Vec<SamplerEntry> =
            items(root, "sampler").iter().map(sampler_entry).collect();
        for (t, entry) in targets.iter_mut().enumerate() {
            found.extend(check_expect(root, t, &entry.expect));
            let written = items(root, "target")[t].at(&["reference"]);
            if let Some((node, path)) = written.and_then(|n| Some((n, n.as_str()?))) {
                match read_reference(&below(base, Path::new(path))) {
                    Ok(read) => entry.reference = Some(read),
                    Err(why) => found.push(
                        Diagnostic::new(node.span, format!("`target[{t}].reference`: {why}"))
                            .label("this file"),
                    ),
                }
            }
        }
        let mut bench = Self {
            head,
            targets,
            samplers,
            cells: Vec::new(),
            document: document.clone(),
        };
        for target in 0..bench.targets.len() {
            for sampler in 0..bench.samplers.len() {
                if bench.runs(target, sampler) {
                    match bench.cell(target, sampler, registry, base) {
                        Ok(cell) => bench.cells.push(cell),
                        Err(e) => found.extend(e.diagnostics),
                    }
                }
            }
        }
        if found.is_empty() && bench.cells.is_empty() {
            found.push(
                Diagnostic::new(root.span, "no sampler runs on any target")
                    .help("change `only` and `skip`"),
            );
        }
        // What is wrong with a target is wrong with it for every sampler.
        let mut seen = BTreeSet::new();
        found.retain(|d| seen.insert((d.span, d.message.clone())));
        if found.is_empty() {
            Ok(bench)
        } else {
            Err(document.error(found))
        }
    }

    /// Whether neither `only` nor `skip` forbids it.
    fn runs(&self, target: usize, sampler: usize) -> bool {
        let name = self.targets[target].name.as_str();
        let node = items(&self.document.root, "sampler").get(sampler);
        let lists = |key: &str| {
            let list = node.and_then(|n| n.at(&[key]));
            list.map(|l| strings(l).iter().any(|(n, _)| *n == name))
        };
        lists("only") != Some(false) && lists("skip") != Some(true)
    }

    /// Builds the job once, so that what is wrong with it is told before anything runs.
    fn cell(
        &self,
        target: usize,
        sampler: usize,
        registry: &Registry,
        base: &Path,
    ) -> Result<Cell, ConfigError> {
        let seed = self.head.seeds().first().copied().unwrap_or(1);
        let cell = Cell {
            target,
            sampler,
            start: None,
        };
        let plan = Plan::new(&self.job(&cell, seed, None)?, registry, base)?;
        if let Some(reference) = &self.targets[target].reference {
            let (columns, d) = (reference.rows.ncols(), plan.target.dim());
            if columns != d {
                let span = items(&self.document.root, "target")[target]
                    .at(&["reference"])
                    .and_then(|n| n.span);
                let message = format!(
                    "`target[{target}].reference` has {columns} columns, but the target has dimension {d}"
                );
                return Err(self
                    .document
                    .error(vec![Diagnostic::new(span, message).label("this file")]));
            }
        }
        let Some(fit) = &self.samplers[sampler].fit else {
            return Ok(cell);
        };
        let known: toml::Table = toml::from_str(&plan.resolved).unwrap_or_default();
        let mut whole = Vec::new();
        whole_numbers("", &known, &mut whole);
        if let Some((_, value)) = whole.iter().find(|(path, _)| path == fit) {
            return Ok(Cell {
                start: Some(*value),
                ..cell
            });
        }
        let node = items(&self.document.root, "sampler").get(sampler);
        let span = node.and_then(|n| n.at(&["fit"])).and_then(|n| n.span);
        let names = || whole.iter().map(|(path, _)| path.as_str());
        let label = match nearest(fit, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "no such whole number".into(),
        };
        let message = format!(
            "`sampler[{sampler}].fit` must name a whole number above 0 of the job, but is {fit:?}"
        );
        let help = format!("there are `{}`", names().collect::<Vec<_>>().join("`, `"));
        Err(self
            .document
            .error(vec![Diagnostic::new(span, message).label(label).help(help)]))
    }

    /// The job of a cell, with this seed and, if one is given, this value at the key that is scaled.
    pub(super) fn job(
        &self,
        cell: &Cell,
        seed: u64,
        key: Option<u64>,
    ) -> Result<Document, ConfigError> {
        let (target, sampler) = (&self.targets[cell.target], &self.samplers[cell.sampler]);
        let number = |v: u64| Node::new(Value::Integer(i64::try_from(v).unwrap_or(i64::MAX)));
        let mut entries = vec![
            ("seed", number(seed)),
            ("draws", number(self.head.draws as u64)),
            ("threads", number(self.head.threads as u64)),
            ("target", target.node.clone()),
            ("sampler", sampler.node.clone()),
        ];
        entries.extend(sampler.parts.iter().cloned());
        // A wrong number of draws is shown where it was written.
        if let (Some(written), Some(slot)) = (self.document.root.at(&["draws"]), entries.get_mut(1))
        {
            slot.1 = written.clone();
        }
        let mut table = Table::new();
        for (key, node) in entries {
            table.insert(Entry {
                key: key.into(),
                key_span: None,
                node,
            });
        }
        let root = Node {
            span: self.document.root.span,
            value: Value::Table(table),
        };
        let mut job = Document {
            sources: self.document.sources.clone(),
            root,
        };
        if let (Some(path), Some(key)) = (&sampler.fit, key) {
            job.set([format!("{path}={key}")])?;
        }
        Ok(job)
    }

    /// Evaluations that a run on that target shall spend.
    pub(super) fn budget(&self, target: usize) -> Option<u64> {
        self.targets[target].budget.or(self.head.budget)
    }
}

/// The elements of a table of tables; none where there is no such thing.
pub(super) fn items<'a>(root: &'a Node, key: &str) -> &'a [Node] {
    match root.at(&[key]).map(|n| &n.value) {
        Some(Value::Array(all)) => all,
        _ => &[],
    }
}

/// A list of strings, or one string, with their places.
pub(super) fn strings(node: &Node) -> Vec<(&str, Option<crate::config::Span>)> {
    match &node.value {
        Value::Array(all) => all
            .iter()
            .filter_map(|n| Some((n.as_str()?, n.span)))
            .collect(),
        _ => node.as_str().map(|s| (s, node.span)).into_iter().collect(),
    }
}

pub(super) fn name_of(node: &Node) -> String {
    let text = |key: &str| node.at(&[key]).and_then(Node::as_str);
    text("name")
        .or_else(|| text("kind"))
        .unwrap_or_default()
        .to_owned()
}

fn target_entry(node: &Node) -> Result<TargetEntry, toml::de::Error> {
    let mut own = node.clone();
    for key in OF_TARGETS {
        own.remove(&[key]);
    }
    let expect = node.at(&["expect"]).map(Node::to_settings).transpose()?;
    let budget = node.at(&["budget"]).map(Node::to_settings).transpose()?;
    Ok(TargetEntry {
        name: name_of(node),
        kind: node
            .at(&["kind"])
            .and_then(Node::as_str)
            .unwrap_or_default()
            .to_owned(),
        node: own,
        expect: expect.unwrap_or_default(),
        budget,
        reference: None,
    })
}

fn sampler_entry(node: &Node) -> SamplerEntry {
    let mut own = node.clone();
    for key in OF_SAMPLERS {
        own.remove(&[key]);
    }
    let text = |key: &str| node.at(&[key]).and_then(Node::as_str).map(str::to_owned);
    SamplerEntry {
        name: name_of(node),
        kind: text("kind").unwrap_or_default(),
        node: own,
        parts: PARTS
            .iter()
            .filter_map(|(_, word)| Some((*word, node.at(&[word])?.clone())))
            .collect(),
        fit: text("fit"),
    }
}

/// Paths and values of whole numbers above 0, but for what the bench itself says.
fn whole_numbers(path: &str, table: &toml::Table, out: &mut Vec<(String, u64)>) {
    for (key, value) in table {
        let full = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match value {
            toml::Value::Integer(v) if *v > 0 && !matches!(full.as_str(), "seed" | "threads") => {
                out.push((full, v.unsigned_abs()));
            }
            toml::Value::Table(inner)
                if !matches!(full.as_str(), "target" | "output" | "expect") =>
            {
                whole_numbers(&full, inner, out);
            }
            _ => {}
        }
    }
}
