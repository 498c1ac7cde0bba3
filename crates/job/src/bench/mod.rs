//! Samplers × targets × seeds at equal budgets, beside what is known and what others have published: `retrograde bench`.
//!
//! ```text
//! bench.toml ─config─▶ jobs ─fit, run, measure─▶ runs.jsonl ─table─▶ table.{md,csv,json}, *.svg
//!                                   ▲                │
//!                                   └──taken again───┘
//! ```
//!
//! Every run is added to `runs.jsonl` when it ends, under the SHA-256 of all that decides its bits and of what is measured on
//! it; what is there is not run again. The tables are made anew from the record each time.

mod checks;
mod config;
mod fit;
mod measure;
mod page;
mod run;
mod table;

pub use config::Published;
pub use measure::{Floor, Metric};
pub use run::BenchRun;
pub use table::{Aimed, AimedSampler, BenchTable, Fitted, Row, Spread, TargetRow};

use crate::config::Document;
use crate::error::JobError;
use crate::files::{io_error, sha256, write_atomically};
use crate::pictures::bench as pictures;
use crate::plan::Plan;
use crate::record::Record;
use config::{Bench, Cell};
use fit::fit;
use measure::Yardstick;
use retrograde_core::{Cancel, Registry};
use run::Ended;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use table::Collecting;

/// A trial is stopped at so many times the budget.
const FARTHEST: u64 = 3;

/// What a bench is asked beside its file.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The folder of the record and the tables; made if it is not there.
    pub out: &'a Path,
    /// Stops between two runs, or within one.
    pub cancel: Cancel,
}

/// What happens.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Name of the target.
    pub target: &'a str,
    /// Name of the sampler.
    pub sampler: &'a str,
    /// The key that is tried, for a run that looks for the budget, and its value.
    pub trial: Option<(&'a str, u64)>,
    /// Whether it was taken from the record.
    pub recorded: bool,
    /// The run that ended.
    pub run: &'a BenchRun,
}

/// What would run.
#[derive(Debug, Clone, Serialize)]
pub struct Planned {
    /// Name of the target.
    pub target: String,
    /// Its kind.
    pub target_kind: String,
    /// Name of the sampler.
    pub sampler: String,
    /// Its kind.
    pub sampler_kind: String,
    /// Runs.
    pub seeds: usize,
    /// Evaluations that a run shall spend.
    pub budget: Option<u64>,
    /// The key that is scaled to spend them, and where it begins.
    pub fit: Option<(String, u64)>,
}

/// A line of the record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
enum Entry {
    Run(BenchRun),
    /// A trial that was stopped for what it spent.
    Over {
        evaluations: u64,
    },
    /// A noise floor.
    Floor {
        metrics: BTreeMap<Metric, Floor>,
    },
}

/// Why the matrix was not finished.
enum Stop {
    Cancelled,
    Error(JobError),
}

impl<E: Into<JobError>> From<E> for Stop {
    fn from(e: E) -> Self {
        Self::Error(e.into())
    }
}

/// Checks a bench file and tells what it would run.
///
/// # Errors
/// All problems of the file, with their places.
pub fn plan(
    document: &Document,
    registry: &Registry,
    base: &Path,
) -> Result<Vec<Planned>, JobError> {
    let bench = Bench::new(document.clone(), registry, base)?;
    let seeds = bench.head.seeds().len();
    let planned = |cell: &Cell| {
        let (target, sampler) = (&bench.targets[cell.target], &bench.samplers[cell.sampler]);
        let budget = bench.budget(cell.target);
        let fit = sampler
            .fit
            .clone()
            .zip(cell.start)
            .filter(|_| budget.is_some());
        Planned {
            target: target.name.clone(),
            target_kind: target.kind.clone(),
            sampler: sampler.name.clone(),
            sampler_kind: sampler.kind.clone(),
            seeds,
            budget,
            fit,
        }
    };
    Ok(bench.cells.iter().map(planned).collect())
}

/// Runs what the record lacks, and writes tables and pictures. `watch` is told of each run, of those in the record too.
///
/// A run that fails is told in its row. When it is stopped, the tables hold what there is.
///
/// # Errors
/// All problems of the file, before anything runs; what reading or writing in the folder returns.
pub fn bench(
    document: &Document,
    registry: &Registry,
    base: &Path,
    question: &Question<'_>,
    watch: &mut dyn FnMut(Event<'_>),
) -> Result<BenchTable, JobError> {
    let bench = Bench::new(document.clone(), registry, base)?;
    std::fs::create_dir_all(question.out).map_err(io_error("cannot make", question.out))?;
    let record = Record::read("bench", &question.out.join("runs.jsonl"))?;
    let mut matrix = Matrix {
        bench: &bench,
        registry,
        base,
        record,
        cancel: &question.cancel,
        watch,
    };
    let mut all = Collecting::new(&bench);
    let complete = match matrix.fill(&mut all) {
        Ok(()) => true,
        Err(Stop::Cancelled) => false,
        Err(Stop::Error(e)) => return Err(e),
    };
    let table = all.table(complete);
    write(&table, question.out)?;
    Ok(table)
}

/// Tables and pictures, each at once or not at all.
fn write(table: &BenchTable, out: &Path) -> Result<(), JobError> {
    let json = serde_json::to_string_pretty(table).unwrap_or_default() + "\n";
    let mut files = vec![
        ("table.json".to_owned(), json),
        ("table.csv".to_owned(), page::csv(table)),
        ("table.md".to_owned(), page::markdown(table)),
    ];
    let drawn = pictures(table);
    files.extend(
        drawn
            .into_iter()
            .map(|(name, svg)| (format!("{name}.svg"), svg)),
    );
    for (name, text) in files {
        write_atomically(&out.join(name), |f| f.write_all(text.as_bytes()))?;
    }
    Ok(())
}

struct Matrix<'a> {
    bench: &'a Bench,
    registry: &'a Registry,
    base: &'a Path,
    record: Record<Entry>,
    cancel: &'a Cancel,
    watch: &'a mut dyn FnMut(Event<'_>),
}

impl Matrix<'_> {
    /// All cells, target by target.
    fn fill(&mut self, all: &mut Collecting<'_>) -> Result<(), Stop> {
        let bench = self.bench;
        let seeds = bench.head.seeds();
        for (t, target) in bench.targets.iter().enumerate() {
            let cells: Vec<&Cell> = bench.cells.iter().filter(|c| c.target == t).collect();
            let Some(first) = cells.first() else { continue };
            let plan = self.plan(first, seeds[0], None)?;
            let mut yardstick = Yardstick::new(&plan, target, &bench.head)?;
            let floor = self.floor(t, &plan, &mut yardstick)?;
            all.target(t, &plan, floor);
            for cell in cells {
                self.cell(cell, &seeds, &mut yardstick, all)?;
            }
        }
        Ok(())
    }

    fn cell(
        &mut self,
        cell: &Cell,
        seeds: &[u64],
        yardstick: &mut Yardstick<'_>,
        all: &mut Collecting<'_>,
    ) -> Result<(), Stop> {
        let sampler = &self.bench.samplers[cell.sampler];
        let budget = self.bench.budget(cell.target);
        let mut key = None;
        if let (Some(path), Some(start), Some(budget)) = (&sampler.fit, cell.start, budget) {
            let found = fit(start, budget, |value| {
                self.trial(cell, seeds[0], (path, value), budget, yardstick)
            })?;
            key = found.map(|f| f.value);
            all.row(cell, found);
        } else {
            all.row(cell, None);
        }
        for seed in seeds {
            let plan = self.plan(cell, *seed, key)?;
            let run = self.run(cell, &plan, None, None, yardstick)?;
            all.run(run.map_err(|_| Stop::Cancelled)?);
        }
        Ok(())
    }

    fn plan(&self, cell: &Cell, seed: u64, key: Option<u64>) -> Result<Plan, JobError> {
        Ok(Plan::new(
            &self.bench.job(cell, seed, key)?,
            self.registry,
            self.base,
        )?)
    }

    /// What a run at that value of the key spends; none where it fails.
    fn trial(
        &mut self,
        cell: &Cell,
        seed: u64,
        trial: (&str, u64),
        budget: u64,
        yardstick: &mut Yardstick<'_>,
    ) -> Result<Option<u64>, Stop> {
        // A value that the sampler refuses is as one that fails.
        let Ok(plan) = self.plan(cell, seed, Some(trial.1)) else {
            return Ok(None);
        };
        let most = budget.saturating_mul(FARTHEST);
        Ok(
            match self.run(cell, &plan, Some(trial), Some(most), yardstick)? {
                Ok(run) => run.failure.is_none().then_some(run.evaluations),
                Err(spent) => Some(spent),
            },
        )
    }

    /// A run from the record, or a new one; `Err` of what it would spend if that is above `most`.
    fn run(
        &mut self,
        cell: &Cell,
        plan: &Plan,
        trial: Option<(&str, u64)>,
        most: Option<u64>,
        yardstick: &mut Yardstick<'_>,
    ) -> Result<Result<BenchRun, u64>, Stop> {
        let over = self.identity(
            &format!("above {most:?}"),
            cell.target,
            plan,
            &plan.identity,
        );
        if let Some(Entry::Over { evaluations }) = self.record.get(&over) {
            return Ok(Err(*evaluations));
        }
        let identity = self.identity("run", cell.target, plan, &plan.identity);
        let recorded = match self.record.get(&identity) {
            Some(Entry::Run(run)) => Some(run.clone()),
            _ => None,
        };
        let known = recorded.is_some();
        let run = match recorded {
            Some(run) => run,
            None => {
                let run = match run::run(plan, yardstick, most, self.cancel)? {
                    Ended::Run(run) => run,
                    Ended::Cancelled => return Err(Stop::Cancelled),
                    Ended::Over(evaluations) => {
                        self.record.add(over, &Entry::Over { evaluations })?;
                        return Ok(Err(evaluations));
                    }
                };
                self.record.add(identity, &Entry::Run(run.clone()))?;
                run
            }
        };
        (self.watch)(Event {
            target: &self.bench.targets[cell.target].name,
            sampler: &self.bench.samplers[cell.sampler].name,
            trial,
            recorded: known,
            run: &run,
        });
        Ok(Ok(run))
    }

    fn floor(
        &mut self,
        target: usize,
        plan: &Plan,
        yardstick: &mut Yardstick<'_>,
    ) -> Result<BTreeMap<Metric, Floor>, Stop> {
        let job: toml::Table = toml::from_str(&plan.identity).unwrap_or_default();
        let what = format!("{:?}, {} draws", job.get("target"), plan.run.draws);
        let identity = self.identity("floor", target, plan, &what);
        if let Some(Entry::Floor { metrics }) = self.record.get(&identity) {
            return Ok(metrics.clone());
        }
        let metrics = yardstick
            .floor(plan.run.draws, self.cancel)?
            .ok_or(Stop::Cancelled)?;
        self.record.add(
            identity,
            &Entry::Floor {
                metrics: metrics.clone(),
            },
        )?;
        Ok(metrics)
    }

    /// The SHA-256 of all that decides the bits of a line of the record.
    fn identity(&self, what: &str, target: usize, plan: &Plan, job: &str) -> String {
        let head = &self.bench.head;
        let mut metrics: Vec<&str> = head.metrics.iter().map(|m| m.key()).collect();
        metrics.sort_unstable();
        let reference = self.bench.targets[target]
            .reference
            .as_ref()
            .map(|r| r.file.sha256.as_str());
        let files: Vec<&str> = plan.files.iter().map(|f| f.sha256.as_str()).collect();
        let plugins: Vec<&str> = plan.plugins.iter().map(|p| p.sha256.as_str()).collect();
        let version = env!("CARGO_PKG_VERSION");
        let text = format!(
            "{what} {version}\n{metrics:?} {} {reference:?}\n{files:?} {plugins:?}\n{job}",
            head.reference_draws
        );
        sha256(text.as_bytes())
    }
}
