//! log Z by replicates of one or several methods, side by side: `retrograde evidence`.
//!
//! A run's own standard error sees what its particles saw. Replicates see how far runs differ, which betrays weights with a
//! heavy tail; another method may see mass that no run of the first one met. What the numbers mean is in
//! [`retrograde_metrics::evidence`].

mod crossing;
mod judge;

use self::crossing::{crossing, places};
use self::judge::judge;
pub(crate) use self::judge::of_runs;
use crate::config::Document;
use crate::error::JobError;
use crate::files::sha256;
use crate::in_memory::{self, Ended, Setting};
use crate::plan::Plan;
use crate::record::Record;
use crate::report::Job;
use crate::verdicts::{Status, Verdict};
use retrograde_core::{Cancel, Error, Kind, Registry, SimdLevel};
use retrograde_metrics::evidence::Replicates;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Runs of each method, where nobody says otherwise.
const REPLICATES: usize = 8;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Samplers by name; that of the job keeps its settings, others have their defaults. Empty: that of the job.
    pub methods: &'a [String],
    /// Runs of each, 1 or more; seeds are that of the job and those after it. None: the `replicates` of the
    /// job, or 8.
    pub replicates: Option<usize>,
    /// A file that each run is added to when it ends, and from which runs of the same job are taken.
    pub record: Option<&'a Path>,
    /// Stops between two runs, or within one.
    pub cancel: Cancel,
}

/// A run that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceRun {
    /// Seed.
    pub seed: u64,
    /// log Ẑ; none if the run failed or gives none.
    pub log_z: Option<f64>,
    /// The standard error that the run told.
    pub standard_error: Option<f64>,
    /// Points at which the target or its gradient was evaluated.
    pub evaluations: u64,
    /// Wall time of sampling.
    pub seconds: f64,
    /// Warnings and failures of the run, by their names, in words.
    pub warnings: BTreeMap<String, String>,
    /// Why there is no log Ẑ.
    pub failure: Option<String>,
    /// Some of its draws, by which modes are looked for that it lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Vec<f64>>,
}

/// What the runs of a method say together.
#[derive(Debug, Clone, Serialize)]
pub struct Method {
    /// The sampler.
    pub method: String,
    /// log of the mean of the Ẑ.
    pub log_z: Option<f64>,
    /// Standard error, from the spread of the runs and no less than their own.
    pub standard_error: Option<f64>,
    /// Standard deviation of the log Ẑ.
    pub sd: Option<f64>,
    /// Root mean square of the standard errors that the runs told.
    pub told: Option<f64>,
    /// Share of the largest Ẑ in their sum.
    pub largest: Option<f64>,
    /// Evaluations of a run, on average.
    pub evaluations: f64,
    /// Seconds of a run, on average.
    pub seconds: f64,
    /// The runs.
    pub runs: Vec<EvidenceRun>,
}

/// log Z by several methods.
#[derive(Debug, Clone, Serialize)]
pub struct Evidence {
    /// The target.
    pub target: String,
    /// Its dimension.
    pub dim: usize,
    /// Draws of each run.
    pub draws: usize,
    /// Runs of each method that were asked for.
    pub replicates: usize,
    /// log Z of all methods, weighted by their errors; none unless they agree.
    pub log_z: Option<f64>,
    /// Its standard error.
    pub standard_error: Option<f64>,
    /// The known value, if the target or the job has one.
    pub truth: Option<f64>,
    /// Standard error of the known value.
    pub truth_se: f64,
    /// Whether all runs came to their end.
    pub complete: bool,
    /// A row for each method.
    pub methods: Vec<Method>,
    /// The verdicts, worst first.
    pub verdicts: Vec<Verdict>,
}

impl Evidence {
    /// The worst status among the verdicts.
    #[must_use]
    pub fn worst(&self) -> Status {
        let all = self.verdicts.iter().map(|v| v.status);
        all.min().unwrap_or(Status::Pass)
    }
}

/// A sampler's name in place of the short one that the field has for it.
fn full(name: &str) -> &str {
    match name {
        "pt" => "parallel-tempering",
        _ => name,
    }
}

/// Runs each method as often as asked. `watch` is told of each run that ended, by method, number from 0, and result.
///
/// # Errors
/// What planning the job with each method returns, before any run; what reading or writing the record returns. A run that
/// fails is told in its place.
pub fn evidence(
    document: &Document,
    registry: &Registry,
    base: &Path,
    question: &Question<'_>,
    watch: &mut dyn FnMut(&str, usize, &EvidenceRun),
) -> Result<Evidence, JobError> {
    let own = Plan::new(document, registry, base)?;
    let of_job = Some(own.run.replicates).filter(|r| *r > 1);
    let replicates = question.replicates.or(of_job).unwrap_or(REPLICATES);
    if replicates == 0 {
        return Err(JobError::Run(Error::Argument {
            component: "evidence".into(),
            argument: "replicates".into(),
            given: "0".into(),
            allowed: "1 or more".into(),
        }));
    }
    let of_own = [own.component(Kind::Sampler).to_owned()];
    let names: Vec<String> = match question.methods {
        [] => of_own.to_vec(),
        named => named.iter().map(|name| full(name).to_owned()).collect(),
    };
    if let Some((_, twice)) = (1..)
        .zip(&names)
        .find(|(i, name)| names[*i..].contains(name))
    {
        return Err(JobError::Run(Error::Argument {
            component: "evidence".into(),
            argument: "methods".into(),
            given: format!("{twice} more than once"),
            allowed: "each once: the same runs are no second opinion".into(),
        }));
    }
    // All of them are looked at before the first runs.
    let mut plans = Vec::new();
    for name in &names {
        let mut job = document.clone();
        if *name != of_own[0] {
            job.root.remove(&["sampler"]);
            job.set([format!("sampler.kind={}", toml::Value::from(name.as_str()))])?;
        }
        Plan::new(&job, registry, base)?;
        plans.push((name, job));
    }
    let record = question
        .record
        .map(|path| Record::<EvidenceRun>::read("evidence", path));
    let mut record = record.transpose()?;
    let mut methods = Vec::new();
    let mut complete = true;
    for (name, job) in &plans {
        let mut runs = Vec::new();
        for i in 0..replicates {
            let seed = own.run.seed.saturating_add(i as u64);
            let mut job = job.clone();
            job.set([format!("seed={seed}")])?;
            let plan = Plan::new(&job, registry, base)?;
            let identity = sha256(plan.identity.as_bytes());
            let run = match record.as_ref().and_then(|r| r.get(&identity)) {
                Some(run) => run.clone(),
                None => {
                    let Some(run) = one(
                        &plan,
                        plan.run.seed,
                        SimdLevel::default(),
                        plan.run.threads,
                        &question.cancel,
                    ) else {
                        complete = false;
                        break;
                    };
                    if let Some(record) = &mut record {
                        record.add(identity, &run)?;
                    }
                    run
                }
            };
            watch(name, i, &run);
            runs.push(run);
        }
        methods.push(summed(name, runs));
    }
    let truth = Job::truth(own.target.as_ref(), own.bounded.is_some());
    let (truth, truth_se) = match own.expect.log_z {
        Some(v) => (Some(v), own.expect.log_z_se),
        None => (truth.log_z, truth.log_z_se),
    };
    let mut evidence = Evidence {
        target: own.component(Kind::Target).to_owned(),
        dim: own.target.dim(),
        draws: own.run.draws,
        replicates,
        log_z: None,
        standard_error: None,
        truth,
        truth_se,
        complete,
        methods: methods.iter().map(|m| m.0.clone()).collect(),
        verdicts: Vec::new(),
    };
    let runs: Vec<_> = evidence
        .methods
        .iter()
        .enumerate()
        .flat_map(|(i, m)| m.runs.iter().map(move |r| (i, r)))
        .collect();
    let crossing = crossing(&runs, &own.target, registry, &question.cancel);
    // They were for that alone.
    let all = evidence.methods.iter_mut().flat_map(|m| &mut m.runs);
    all.for_each(|r| r.places = Vec::new());
    judge(&mut evidence, &methods, crossing.as_ref());
    Ok(evidence)
}

/// A run in memory with another seed; `None` if it was cancelled.
pub(crate) fn one(
    plan: &Plan,
    seed: u64,
    simd: SimdLevel,
    threads: usize,
    cancel: &Cancel,
) -> Option<EvidenceRun> {
    let setting = Setting {
        seed,
        threads,
        simd,
        most: None,
        cancel,
    };
    let Ended::Ran(ran) = in_memory::run(plan, &setting) else {
        return None;
    };
    let log_z = ran.told("log_z");
    let none = || {
        format!(
            "sampler {} estimates no log Z",
            plan.component(Kind::Sampler)
        )
    };
    Some(EvidenceRun {
        seed,
        log_z,
        standard_error: ran.told("log_z_se"),
        evaluations: ran.evaluations,
        seconds: ran.seconds,
        warnings: ran.warnings(),
        places: if ran.failure.is_none() {
            places(&ran.kept)
        } else {
            Vec::new()
        },
        failure: ran.failure.or_else(|| log_z.is_none().then(none)),
    })
}

/// What those of the runs say together that gave log Ẑ.
pub(crate) fn together(runs: &[EvidenceRun]) -> Option<Replicates> {
    let estimates: Vec<_> = runs
        .iter()
        .filter_map(|r| Some((r.log_z?, r.standard_error)))
        .collect();
    Replicates::new(&estimates)
}

fn summed(name: &str, runs: Vec<EvidenceRun>) -> (Method, Option<Replicates>) {
    let together = together(&runs);
    let finite = |f: fn(&Replicates) -> f64| together.as_ref().map(f).filter(|v| v.is_finite());
    let mean =
        |f: fn(&EvidenceRun) -> f64| runs.iter().map(f).sum::<f64>() / runs.len().max(1) as f64;
    let method = Method {
        method: name.to_owned(),
        log_z: finite(|r| r.log_z),
        standard_error: finite(Replicates::error),
        sd: finite(|r| r.sd),
        told: together.as_ref().and_then(|r| r.told),
        largest: finite(|r| r.largest),
        evaluations: mean(|r| r.evaluations as f64),
        seconds: mean(|r| r.seconds),
        runs,
    };
    (method, together)
}
