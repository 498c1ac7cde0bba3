//! `retrograde plugin check`: what the interface asks of a plugin, tried out.
//!
//! [`check`] runs in this program, which a broken plugin may bring down; [`child`] runs it in a child and
//! says what the child died of, and in which function.
//!
//! | file | what it looks at |
//! | --- | --- |
//! | `common` | every function of rows: n = 0, 1, many; outputs, guards, inputs; capabilities; bad numbers; threads |
//! | `target`, `score`, `sampler` | what the kind promises: derivatives, draws, saved states |
//! | `process` | derivatives and maps of a process, its laws by draws, its moments |
//! | `leaks` | memory |
//!
//! Nothing here is a proof: it finds what shows at a few thousand points.

pub mod child;
mod common;
mod differences;
mod given;
mod guarded;
mod leaks;
mod process;
mod random;
mod report;
mod sampler;
mod score;
mod slot;
mod target;
mod toys;

pub use given::{Given, GivenError};
pub use report::{About, Event, Line, Report, Verdict};

use crate::descriptor::{DescribedComponent, Maker};
use crate::load::described;
use report::{Desk, Watch};
use retrograde_abi::{
    RG_CAP_DETERMINISTIC, RG_CAP_ROWWISE, rg_process_vtable, rg_sampler_vtable, rg_score_vtable,
    rg_target_vtable,
};
use retrograde_bridge::foreign::{Asked, Foreign};
use retrograde_bridge::needs_of;
use retrograde_core::registry::{Folder, Need, Parts};
use retrograde_core::{Error, Kind, Result, Threading};
use serde::{Deserialize, Serialize};
use slot::Claims;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use toys::{ExactScore, Gaussian, Ou};

/// How a plugin is checked.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Options {
    /// Settings of its components; what is not given has its default.
    pub given: Given,
    /// Seed of points and random numbers.
    pub seed: u64,
    /// The folder that paths in the settings are relative to.
    pub folder: PathBuf,
    /// Components, by kind and name, that are left out.
    pub skip: Vec<String>,
}

/// Loads a plugin and checks all of its components, in this program. Before each call of a function of the
/// plugin, `tell` is told which.
///
/// # Errors
/// As [`load`](crate::load()). What is wrong with a component is in the report.
pub fn check(file: &Path, options: &Options, tell: &(dyn Fn(Event) + Sync)) -> Result<Report> {
    let watch = Watch::new(tell);
    watch.at("", "its initialisers or its entry function");
    let (plugin, components) = described(file)?;
    let makers: Vec<_> = components.iter().map(|c| c.maker(&plugin)).collect();
    let about = About {
        name: plugin.name.clone(),
        version: plugin.version.clone(),
        file: plugin.file.clone(),
        sha256: plugin.sha256.clone(),
        components: makers.iter().map(|m| m.label.clone()).collect(),
    };
    watch.tell(Event::Loaded(about.clone()));
    let strangers = options
        .given
        .strangers(components.iter().map(|c| (c.kind, &*c.name)), &plugin.name);
    if let Some(name) = strangers.first() {
        let names: Vec<_> = components.iter().map(|c| c.name.as_str()).collect();
        return Err(Error::Argument {
            component: "retrograde plugin check".into(),
            argument: "--set".into(),
            given: format!("component `{name}`"),
            allowed: format!("a component of this plugin: {}", names.join(", ")),
        });
    }
    for (component, maker) in components.iter().zip(&makers) {
        if options.skip.contains(&maker.label) {
            continue;
        }
        let desk = Desk {
            label: maker.label.clone(),
            seed: options.seed,
            watch: &watch,
        };
        let files = Folder(options.folder.clone());
        let bench = Bench {
            desk: &desk,
            component,
            maker,
            given: options
                .given
                .of(component.kind, &component.name, &plugin.name),
            files: &files,
        };
        match component.kind {
            Kind::Target => bench.run::<rg_target_vtable>(target::look),
            Kind::Process => bench.run::<rg_process_vtable>(process::look),
            Kind::Score => bench.run::<rg_score_vtable>(score::look),
            Kind::Sampler => bench.run::<rg_sampler_vtable>(sampler::look),
        }
    }
    Ok(Report {
        plugin: Some(about),
        lines: watch.into_lines(),
    })
}

/// Dimensions that components are tried with.
const DIMS: [usize; 5] = [2, 1, 3, 4, 10];

/// What one component is checked with.
pub(crate) struct Bench<'a> {
    pub(crate) desk: &'a Desk<'a>,
    component: &'a DescribedComponent,
    maker: &'a Maker,
    given: toml::Table,
    files: &'a Folder,
}

impl Bench<'_> {
    /// The parts, of dimension `d`, that it says it needs.
    fn parts(&self, d: usize) -> Parts<'_> {
        self.parts_with(Gaussian::new(d))
    }

    /// As [`parts`](Self::parts), with this target.
    fn parts_with(&self, target: Gaussian) -> Parts<'_> {
        let d = target.d;
        let needs = needs_of(self.component.raw.needs);
        let wants = |n: Need| n != Need::No;
        let score = wants(needs.score);
        let process = wants(needs.process) || score;
        let mut parts = Parts::new(self.files);
        // The target also tells the dimension.
        if self.component.kind != Kind::Target || wants(needs.target) {
            parts.target = Some(Arc::new(target));
        }
        if process {
            parts.process = Some(Arc::new(Ou { d }));
        }
        if score {
            parts.score = Some(Arc::new(ExactScore(target)));
        }
        parts
    }

    /// Makes one with parts of dimension `d`.
    pub(crate) fn make<T: Asked>(&self, d: usize) -> Result<Arc<Foreign<T>>> {
        self.desk.at("create()");
        self.maker
            .make_with::<T>(self.given.clone(), &self.parts(d))
    }

    /// Makes one with another target.
    pub(crate) fn make_of<T: Asked>(&self, target: Gaussian) -> Result<Arc<Foreign<T>>> {
        self.desk.at("create()");
        self.maker
            .make_with::<T>(self.given.clone(), &self.parts_with(target))
    }

    fn run<T: Asked>(&self, look: fn(&Bench<'_>, &Arc<Foreign<T>>, usize)) {
        let (desk, kind) = (self.desk, self.component.kind.word());
        let name = &self.component.name;
        let missing: Vec<_> = self
            .component
            .required()
            .into_iter()
            .filter(|key| !self.given.contains_key(*key))
            .map(|key| format!("`--set {name}.{key}=VALUE`"))
            .collect();
        if !missing.is_empty() {
            let text = format!(
                "not checked: it has parameters without a default; give {}",
                missing.join(" and ")
            );
            return desk.warn("create", text);
        }
        let mut first: Option<Error> = None;
        for d in DIMS {
            match self.make::<T>(d) {
                Ok(made) => {
                    let settings = match self.given.len() {
                        0 => "its defaults".to_owned(),
                        _ => self.given.to_string().trim().replace('\n', ", "),
                    };
                    desk.ok("create", format!("a {kind} was made with {settings}"));
                    return look(self, &made, d);
                }
                Err(error) => {
                    first.get_or_insert(error);
                }
            }
        }
        let error = first.map_or_else(String::new, |e| e.to_string().trim().to_owned());
        desk.fail(
            "create",
            format!("none could be made ({error}); if its defaults do not suit, give others by `--set {name}.KEY=VALUE`"),
        );
    }
}

/// What a table says.
pub(crate) fn claims<T: Asked>(table: &T) -> Claims {
    Claims {
        rowwise: table.caps() & RG_CAP_ROWWISE != 0,
        deterministic: table.caps() & RG_CAP_DETERMINISTIC != 0,
        concurrent: table.class() == Ok(Threading::Concurrent),
    }
}

/// Rows of a batch of many, for rows of `columns` numbers: fewer where they are long.
pub(crate) fn many(columns: usize) -> usize {
    (2_000_000 / columns.max(1)).clamp(8, 1000)
}

/// Makes and destroys one often, and uses one often.
pub(crate) fn leaks<T: Asked>(
    bench: &Bench<'_>,
    d: usize,
    what: &str,
    use_it: impl FnMut() -> std::result::Result<(), String>,
) {
    let desk = bench.desk;
    let quiet = |d| {
        bench
            .maker
            .make_with::<T>(bench.given.clone(), &bench.parts(d))
    };
    let made = leaks::look(desk, "create() and destroy()", || {
        quiet(d).map(drop).map_err(|e| e.to_string())
    });
    let used = leaks::look(desk, what, use_it);
    for (what, error) in [("create()", made), (what, used)] {
        if let Err(error) = error {
            desk.fail(
                "leaks",
                format!("{what} failed when it was repeated: {error}"),
            );
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
