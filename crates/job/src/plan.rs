//! From a job's text to a plan in which everything is built and checked.

use crate::config::{
    ConfigError, Diagnostic, Document, Entry, Node, Table, Value, component_kind, fill_defaults,
    locate, to_toml_text, validate, validate_component,
};
use crate::files::{InputFile, JobFiles, UsedPlugin};
use crate::memory::{available_memory, human, needed_memory};
use crate::place::place;
use crate::settings::{BoundsSettings, ExpectSettings, Format, OutputSettings, RunSettings};
use retrograde_core::registry::{Need, Needs, Parts, schema_of};
use retrograde_core::{
    Bounded, Error, ForwardProcess, Kind, Outputs, Registry, Sampler, Score, Target,
};
use schemars::JsonSchema;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::Arc;

/// A job that was checked from end to end: every component is built.
pub struct Plan {
    /// Seed, draws, threads.
    pub run: RunSettings,
    /// Where the results go.
    pub output: OutputSettings,
    /// Known answers.
    pub expect: ExpectSettings,
    /// Kind and name of each component, in the order of the job.
    pub components: Vec<(Kind, String)>,
    /// The target as it is sampled: without limits.
    pub target: Arc<dyn Target>,
    /// The target with its limits, if it has any: draws are written on its natural scale.
    pub bounded: Option<Arc<Bounded>>,
    /// The forward process, if the job has one.
    pub process: Option<Arc<dyn ForwardProcess>>,
    /// The score, if the job has one.
    pub score: Option<Arc<dyn Score>>,
    /// The sampler.
    pub sampler: Arc<dyn Sampler>,
    /// The sampler's settings, defaults filled in.
    pub sampler_settings: toml::Value,
    /// The job with all defaults filled in, as TOML.
    pub resolved: String,
    /// The same without what changes no bits of the draws: threads, replicates, and what is written where.
    pub identity: String,
    /// Files that components read.
    pub files: Vec<InputFile>,
    /// Plugins that components are of.
    pub plugins: Vec<UsedPlugin>,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("run", &self.run)
            .field("components", &self.components)
            .finish_non_exhaustive()
    }
}

impl Plan {
    /// The name of the component of that kind, empty if there is none.
    #[must_use]
    pub fn component(&self, kind: Kind) -> &str {
        self.components
            .iter()
            .find(|(k, _)| *k == kind)
            .map_or("", |(_, name)| name)
    }

    /// Checks a job and builds its components. Files are looked for relative to `base`.
    ///
    /// # Errors
    /// Every problem of the job's text; or, when there is none, the first problem of building its
    /// components, with the place in the text that it is about.
    pub fn new(document: &Document, registry: &Registry, base: &Path) -> Result<Self, ConfigError> {
        let checked = Checked::new(document, registry)?;
        Builder {
            document,
            base,
            registry,
            files: JobFiles::new(base),
        }
        .build(checked)
    }
}

/// Tables of a job that are no components.
const OTHER_TABLES: [&str; 2] = ["output", "expect"];

/// A job whose text fits the schemas.
struct Checked {
    kinds: Vec<(Kind, String)>,
    resolved: Node,
}

impl Checked {
    fn new(document: &Document, registry: &Registry) -> Result<Self, ConfigError> {
        let root = &document.root;
        let top = top_schema();
        // A missing table is told below, with what to write.
        let mut keys = top.clone();
        keys["required"] = json!([]);
        let mut found = validate(root, &keys, &keys, "");
        let mut resolved = fill_defaults(&with_output(root), &top, &top);
        let mut kinds = Vec::new();
        for kind in Kind::ALL {
            let word = kind.word();
            let names: Vec<&str> = registry.of(kind).map(|c| c.name.as_ref()).collect();
            let Some(node) = root.at(&[word]) else {
                if matches!(kind, Kind::Target | Kind::Sampler) {
                    found.push(missing_table(root, word, &names));
                }
                continue;
            };
            let name = match component_kind(node, word, names) {
                Ok(name) => name,
                Err(diagnostic) => {
                    found.push(diagnostic);
                    continue;
                }
            };
            let Ok(component) = registry.get(kind, name) else {
                continue;
            };
            let schema = component_schema(kind, component.schema.as_value());
            found.extend(validate_component(node, &schema, word));
            if let Some(slot) = resolved.as_table_mut().and_then(|t| t.get_mut(word)) {
                *slot = fill_defaults(node, &schema, &schema);
            }
            found.extend(missing_parts(
                root,
                node,
                word,
                &component.label(),
                &component.needs,
            ));
            kinds.push((kind, name.to_owned()));
        }
        for word in OTHER_TABLES {
            let schema = table_schema(word);
            if let Some(node) = root.at(&[word]) {
                found.extend(validate(node, &schema, &schema, word));
            }
            if let Some(slot) = resolved.as_table_mut().and_then(|t| t.get_mut(word)) {
                *slot = fill_defaults(slot, &schema, &schema);
            }
        }
        if found.is_empty() {
            Ok(Self { kinds, resolved })
        } else {
            Err(document.error(found))
        }
    }
}

/// The job with an `[output]` table, so that what is kept shows its defaults.
fn with_output(root: &Node) -> Node {
    let mut root = root.clone();
    if let Some(table) = root.as_table_mut()
        && table.get("output").is_none()
    {
        table.insert(Entry {
            key: "output".into(),
            key_span: None,
            node: Node::new(Value::Table(Table::new())),
        });
    }
    root
}

fn missing_table(root: &Node, word: &str, names: &[&str]) -> Diagnostic {
    let names = names.join("`, `");
    Diagnostic::new(root.span, format!("the job has no [{word}] table"))
        .help(format!("add `[{word}]` with its `kind`, one of `{names}`"))
}

/// Tables that a component cannot do without and that the job lacks.
fn missing_parts(
    root: &Node,
    node: &Node,
    word: &str,
    label: &str,
    needs: &Needs,
) -> Vec<Diagnostic> {
    let wanted = [
        (needs.target, "target"),
        (needs.process, "process"),
        (needs.score, "score"),
    ];
    wanted
        .into_iter()
        .filter(|(need, part)| {
            *need == Need::Required && *part != "target" && root.at(&[part]).is_none()
        })
        .map(|(_, part)| {
            let place = locate(root, word, "kind").or(node.span);
            Diagnostic::new(place, format!("{label} needs a [{part}] table"))
                .label(format!("needs a {part}"))
                .help(format!("add `[{part}]` with its `kind`"))
        })
        .collect()
}

struct Builder<'a> {
    document: &'a Document,
    base: &'a Path,
    registry: &'a Registry,
    files: JobFiles,
}

impl Builder<'_> {
    fn build(self, checked: Checked) -> Result<Plan, ConfigError> {
        let root = &checked.resolved;
        let run: RunSettings = self.read(root, "")?;
        let output: OutputSettings = self.read_table(root, "output")?;
        self.check_formats(&output)?;
        let expect: ExpectSettings = self.read_table(root, "expect")?;
        self.check_expect(&expect)?;
        let name = |kind: Kind| {
            checked
                .kinds
                .iter()
                .find(|(k, _)| *k == kind)
                .map(|(_, name)| name.as_str())
        };
        let mut parts = Parts::new(&self.files);

        let natural = self
            .registry
            .target(
                name(Kind::Target).unwrap_or_default(),
                settings_of(root, "target"),
                &parts,
            )
            .map_err(|e| self.place("target", &e))?;
        let bounded = self.bounded(root, &natural)?;
        let target: Arc<dyn Target> = match &bounded {
            Some(b) => b.clone(),
            None => natural,
        };
        parts.target = Some(target.clone());
        if let Some(name) = name(Kind::Process) {
            let built = self
                .registry
                .process(name, settings_of(root, "process"), &parts);
            parts.process = Some(built.map_err(|e| self.place("process", &e))?);
        }
        if let Some(name) = name(Kind::Score) {
            let built = self
                .registry
                .score(name, settings_of(root, "score"), &parts);
            parts.score = Some(built.map_err(|e| self.place("score", &e))?);
        }
        let sampler = self
            .registry
            .sampler(
                name(Kind::Sampler).unwrap_or_default(),
                settings_of(root, "sampler"),
                &parts,
            )
            .map_err(|e| self.place("sampler", &e))?;
        let (process, score) = (parts.process.take(), parts.score.take());
        drop(parts);
        self.check_size(&run, target.as_ref(), sampler.as_ref())?;
        let mut plugins: Vec<UsedPlugin> = checked
            .kinds
            .iter()
            .filter_map(|(kind, name)| self.registry.get(*kind, name).ok()?.plugin.as_deref())
            .map(UsedPlugin::of)
            .collect();
        plugins.sort();
        plugins.dedup();
        let text = |root: &Node| {
            to_toml_text(root).map_err(|e| {
                let message = format!("the job cannot be written: {e}");
                self.document.error(vec![Diagnostic::new(None, message)])
            })
        };
        let resolved = text(root)?;
        let mut what = root.clone();
        what.remove(&["threads"]);
        what.remove(&["replicates"]);
        what.remove(&["output"]);
        let identity = text(&what)?;
        Ok(Plan {
            run,
            output,
            expect,
            components: checked.kinds,
            target,
            bounded,
            process,
            score,
            sampler,
            sampler_settings: settings_of(root, "sampler"),
            resolved,
            identity,
            files: self.files.into_read(),
            plugins,
        })
    }

    fn bounded(
        &self,
        root: &Node,
        target: &Arc<dyn Target>,
    ) -> Result<Option<Arc<Bounded>>, ConfigError> {
        let Some(node) = root.at(&["target", "bounds"]) else {
            return Ok(None);
        };
        let bounds: BoundsSettings = self.read(node, "target.bounds")?;
        let d = target.dim();
        let expand =
            |v: Option<retrograde_core::settings::PerCoordinate>, key: &str, none: f64| match v {
                None => Ok(vec![none; d]),
                Some(v) => v.expand(d, "target", key, |v| !v.is_nan(), "a number or ±inf"),
            };
        let built = expand(bounds.lower, "bounds.lower", f64::NEG_INFINITY).and_then(|lower| {
            let upper = expand(bounds.upper, "bounds.upper", f64::INFINITY)?;
            Bounded::new(target.clone(), &lower, &upper)
        });
        built
            .map(|b| Some(Arc::new(b)))
            .map_err(|e| self.place("target", &e))
    }

    /// Refuses a format that this build cannot write.
    fn check_formats(&self, output: &OutputSettings) -> Result<(), ConfigError> {
        if cfg!(feature = "zarr") || !output.has(Format::Zarr) {
            return Ok(());
        }
        let place = locate(&self.document.root, "output", "formats");
        let message = "this build cannot write the format `zarr`";
        let found = Diagnostic::new(place, message)
            .label("has `zarr`")
            .help("leave it out, or build retrograde-job with its feature `zarr`");
        Err(self.document.error(vec![found]))
    }

    /// Refuses known answers that every run, or none, would fit.
    fn check_expect(&self, expect: &ExpectSettings) -> Result<(), ConfigError> {
        let numbers = [
            ("log_z", expect.log_z),
            ("log_z_se", Some(expect.log_z_se)),
            ("log_z_max_se", expect.log_z_max_se),
        ];
        for (key, value) in numbers {
            if let Some(v) = value.filter(|v| !v.is_finite()) {
                let place = locate(&self.document.root, "expect", key);
                let message = format!("`expect.{key}` must be finite, but is {v}");
                let found = Diagnostic::new(place, message).label("not finite");
                return Err(self.document.error(vec![found]));
            }
        }
        Ok(())
    }

    /// Refuses what does not fit into memory, before anything is allocated.
    fn check_size(
        &self,
        run: &RunSettings,
        target: &dyn Target,
        sampler: &dyn Sampler,
    ) -> Result<(), ConfigError> {
        let d = target.dim();
        let bytes = needed_memory(
            run.draws,
            d,
            target.outputs().map_or(0, Outputs::count),
            sampler.rows(run.draws),
        );
        let Some(limit) = available_memory().filter(|limit| bytes > *limit) else {
            return Ok(());
        };
        let message = format!(
            "{} draws in dimension {d} need {} of memory, this machine has {}",
            run.draws,
            human(bytes),
            human(limit)
        );
        let diagnostic = Diagnostic::new(locate(&self.document.root, "", "draws"), message)
            .label("too many")
            .help("ask for fewer draws");
        Err(self.document.error(vec![diagnostic]))
    }

    fn read_table<T: serde::de::DeserializeOwned + Default>(
        &self,
        root: &Node,
        table: &str,
    ) -> Result<T, ConfigError> {
        root.at(&[table])
            .map_or_else(|| Ok(T::default()), |node| self.read(node, table))
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        node: &Node,
        table: &str,
    ) -> Result<T, ConfigError> {
        node.to_settings().map_err(|e| {
            let place = locate(&self.document.root, table, "");
            self.document
                .error(vec![Diagnostic::new(place, e.message().to_owned())])
        })
    }

    fn place(&self, table: &str, error: &Error) -> ConfigError {
        place(self.document, self.base, table, error)
    }
}

/// A component's settings: its table without the keys that are the job's.
fn settings_of(root: &Node, table: &str) -> toml::Value {
    let mut value = root
        .at(&[table])
        .map_or_else(|| toml::Value::Table(toml::Table::new()), Node::to_toml);
    if let Some(t) = value.as_table_mut() {
        t.remove("kind");
        if table == "target" {
            t.remove("bounds");
        }
    }
    value
}

fn schema<T: JsonSchema>() -> Json {
    schema_of::<T>().to_value()
}

fn table_schema(word: &str) -> Json {
    if word == "output" {
        schema::<OutputSettings>()
    } else {
        schema::<ExpectSettings>()
    }
}

/// The schema of the top level, with tables as they are checked one by one.
fn top_schema() -> Json {
    let mut top = schema::<RunSettings>();
    if let Some(properties) = top["properties"].as_object_mut() {
        for word in Kind::ALL.map(Kind::word).into_iter().chain(OTHER_TABLES) {
            properties.insert(word.into(), json!({}));
        }
    }
    top["required"] = json!(["target", "sampler"]);
    top["additionalProperties"] = json!(false);
    top
}

/// A component's schema with the keys that the job adds to it, `kind` apart.
pub(crate) fn component_schema(kind: Kind, schema: &Json) -> Json {
    let mut schema = schema.clone();
    if kind == Kind::Target {
        let mut bounds = self::schema::<BoundsSettings>();
        if let Some(map) = bounds.as_object_mut() {
            map.remove("$schema");
        }
        if !schema["properties"].is_object() {
            schema["properties"] = json!({});
        }
        schema["properties"]["bounds"] = bounds;
    }
    schema
}

/// The JSON Schema of a whole job: one branch for each component of each kind, for editors.
#[must_use]
pub fn job_schema(registry: &Registry) -> Json {
    let mut top = top_schema();
    let mut defs = serde_json::Map::new();
    for kind in Kind::ALL {
        let word = kind.word();
        let mut branches = Vec::new();
        for component in registry.of(kind) {
            let mut schema = component_schema(kind, component.schema.as_value());
            hoist(
                &mut schema,
                &format!("{word}.{}", component.name),
                &mut defs,
            );
            schema["properties"]["kind"] = json!({ "const": component.name });
            schema["description"] = json!(component.summary);
            let mut required = vec![json!("kind")];
            required.extend(schema["required"].as_array().into_iter().flatten().cloned());
            schema["required"] = Json::Array(required);
            branches.push(schema);
        }
        if branches.is_empty() {
            // No component of this kind is linked, so there is nothing that could be written.
            if let Some(properties) = top["properties"].as_object_mut() {
                properties.remove(word);
            }
        } else {
            top["properties"][word] = json!({ "oneOf": branches });
        }
    }
    for word in OTHER_TABLES {
        let mut schema = table_schema(word);
        hoist(&mut schema, word, &mut defs);
        top["properties"][word] = schema;
    }
    top["title"] = json!("retrograde job");
    top["$defs"] = Json::Object(defs);
    top
}

/// Moves the definitions of a schema to the root under a prefix, and points its references there.
fn hoist(schema: &mut Json, prefix: &str, defs: &mut serde_json::Map<String, Json>) {
    fn redirect(node: &mut Json, prefix: &str) {
        match node {
            Json::Object(map) => {
                if let Some(Json::String(r)) = map.get_mut("$ref") {
                    *r = r.replacen("#/$defs/", &format!("#/$defs/{prefix}."), 1);
                }
                map.values_mut().for_each(|v| redirect(v, prefix));
            }
            Json::Array(list) => list.iter_mut().for_each(|v| redirect(v, prefix)),
            _ => {}
        }
    }
    redirect(schema, prefix);
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    map.remove("$schema");
    if let Some(Json::Object(own)) = map.remove("$defs") {
        defs.extend(
            own.into_iter()
                .map(|(name, def)| (format!("{prefix}.{name}"), def)),
        );
    }
}
