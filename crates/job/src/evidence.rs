//! log Z by replicates of one or several methods, side by side: `retrograde evidence`.
//!
//! A run's own standard error sees what its particles saw. Replicates see how far runs differ, which betrays weights with a
//! heavy tail; another method may see mass that no run of the first one met. What the numbers mean is in
//! [`retrograde_metrics::evidence`].

use crate::config::Document;
use crate::error::JobError;
use crate::files::{io_error, sha256};
use crate::plan::Plan;
use crate::report::Job;
use crate::verdicts::{Status, Verdict};
use retrograde_core::drive::drive;
use retrograde_core::{Cancel, Collected, Error, Kind, Registry, Runtime, Severity};
use retrograde_metrics::evidence::Replicates;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// A check fails where what was seen comes up less often than once in a thousand.
const RARE: f64 = 1e-3;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Samplers by name; that of the job keeps its settings, others have their defaults. Empty: that of the job.
    pub methods: &'a [String],
    /// Runs of each, 1 or more; seeds are that of the job and those after it.
    pub replicates: usize,
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
}

/// A run as it is recorded.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    /// SHA-256 of all that decides its bits.
    job: String,
    run: EvidenceRun,
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
    if question.replicates == 0 {
        return Err(JobError::Run(Error::Argument {
            component: "evidence".into(),
            argument: "replicates".into(),
            given: "0".into(),
            allowed: "1 or more".into(),
        }));
    }
    let own = Plan::new(document, registry, base)?;
    let of_job = [own.component(Kind::Sampler).to_owned()];
    let names = match question.methods {
        [] => &of_job,
        named => named,
    };
    // All of them are looked at before the first runs.
    let mut plans = Vec::new();
    for name in names {
        let mut job = document.clone();
        if *name != of_job[0] {
            job.root.remove(&["sampler"]);
            job.set([format!("sampler.kind={}", toml::Value::from(name.as_str()))])?;
        }
        Plan::new(&job, registry, base)?;
        plans.push((name, job));
    }
    let recorded = match question.record {
        Some(path) => read_record(path)?,
        None => Vec::new(),
    };
    let mut methods = Vec::new();
    let mut complete = true;
    for (name, job) in &plans {
        let mut runs = Vec::new();
        for i in 0..question.replicates {
            let seed = own.run.seed.saturating_add(i as u64);
            let mut job = job.clone();
            job.set([format!("seed={seed}")])?;
            let plan = Plan::new(&job, registry, base)?;
            let identity = sha256(plan.identity.as_bytes());
            let known = recorded.iter().find(|r| r.job == identity);
            let run = match known {
                Some(r) => r.run.clone(),
                None => {
                    let Some(run) = one(&plan, &question.cancel) else {
                        complete = false;
                        break;
                    };
                    if let Some(path) = question.record {
                        record(
                            path,
                            &Recorded {
                                job: identity,
                                run: run.clone(),
                            },
                        )?;
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
        replicates: question.replicates,
        log_z: None,
        standard_error: None,
        truth,
        truth_se,
        complete,
        methods: methods.iter().map(|m| m.0.clone()).collect(),
        verdicts: Vec::new(),
    };
    judge(&mut evidence, &methods);
    Ok(evidence)
}

/// A run in memory; `None` if it was cancelled.
fn one(plan: &Plan, cancel: &Cancel) -> Option<EvidenceRun> {
    let began = Instant::now();
    let mut kept = Collected::new(plan.target.dim());
    let mut evaluations = 0;
    let ended = Runtime::new(plan.run.seed, plan.run.threads).and_then(|runtime| {
        let mut runtime = runtime.with_cancel(cancel.clone());
        let outcome = drive(
            plan.sampler.as_ref(),
            &mut runtime,
            plan.run.draws,
            None,
            &mut kept,
        );
        evaluations = runtime.counts().rows;
        outcome
    });
    let failure = match ended {
        Ok(outcome) if !outcome.complete => return None,
        Err(Error::Cancelled) => return None,
        Ok(_) => None,
        Err(e) => Some(e.to_string()),
    };
    let number = |key: &str| kept.scalars.get(key).copied().filter(|v| v.is_finite());
    let log_z = number("log_z").filter(|_| failure.is_none());
    let none = || {
        format!(
            "sampler {} estimates no log Z",
            plan.component(Kind::Sampler)
        )
    };
    Some(EvidenceRun {
        seed: plan.run.seed,
        log_z,
        standard_error: number("log_z_se"),
        evaluations,
        seconds: began.elapsed().as_secs_f64(),
        warnings: kept
            .flags
            .iter()
            .filter(|(_, f)| f.severity != Severity::Note)
            .map(|(key, f)| (key.clone(), f.text.clone()))
            .collect(),
        failure: failure.or_else(|| log_z.is_none().then(none)),
    })
}

fn summed(name: &str, runs: Vec<EvidenceRun>) -> (Method, Option<Replicates>) {
    let estimates: Vec<_> = runs
        .iter()
        .filter_map(|r| Some((r.log_z?, r.standard_error)))
        .collect();
    let together = Replicates::new(&estimates);
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

fn judge(e: &mut Evidence, methods: &[(Method, Option<Replicates>)]) {
    let mut all = Vec::new();
    if !e.complete {
        let text = "not all runs came to their end; this is what those say that did";
        all.push(Verdict::new(
            "complete",
            Status::Warn,
            text,
            "a record goes on where it was stopped",
        ));
    }
    for (m, together) in methods {
        of_method(m, together.as_ref(), &mut all);
    }
    let known: Vec<(&str, &Replicates)> = methods
        .iter()
        .filter_map(|(m, r)| Some((m.method.as_str(), r.as_ref()?)))
        .collect();
    let agree = agreement(&known, &mut all);
    if agree && let Some((value, error)) = combined(&known) {
        (e.log_z, e.standard_error) = (Some(value), Some(error).filter(|v| v.is_finite()));
        against_truth(e, value, error, &mut all);
    }
    if e.replicates == 1 {
        let text = "one run of each method: how far runs differ is not known";
        all.push(Verdict::new(
            "replicates",
            Status::Note,
            text,
            "ask for eight",
        ));
    }
    all.sort_by_key(|v| v.status);
    e.verdicts = all;
}

fn of_method(m: &Method, together: Option<&Replicates>, all: &mut Vec<Verdict>) {
    let (name, n) = (&m.method, m.runs.len());
    let failures: Vec<&str> = m.runs.iter().filter_map(|r| r.failure.as_deref()).collect();
    if let Some(first) = failures.first() {
        let text = format!(
            "{name}: {} of {n} runs gave no log Z: {first}",
            failures.len()
        );
        all.push(Verdict::new(
            "runs",
            Status::Fail,
            text,
            "leave the method out, or mend what it says",
        ));
    }
    let mut warned: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (key, text) in m.runs.iter().flat_map(|r| &r.warnings) {
        warned.entry(key).or_insert((0, text)).0 += 1;
    }
    for (key, (count, text)) in warned {
        let text = format!("{name}: {count} of {n} runs: {text}");
        all.push(Verdict::new(key, Status::Warn, text, ""));
    }
    let Some(r) = together else { return };
    if r.heavy_tailed() {
        all.push(Verdict::new(
            "tail",
            Status::Fail,
            format!("{name}: one of {} runs has {:.0} % of the sum of the Ẑ", r.count, 100.0 * r.largest),
            "the estimate hangs on rare weights and is probably too small: give each run more particles or finer steps",
        ));
    }
    if let (Some(p), Some(told)) = (r.spread_p(), r.told) {
        let times = r.sd / told;
        let (status, advice) = if p < RARE {
            (
                Status::Warn,
                "believe the spread, not what a single run tells",
            )
        } else {
            (Status::Pass, "")
        };
        let text = format!(
            "{name}: runs spread by {:.4}, {times:.1} times the {told:.4} that they told",
            r.sd
        );
        all.push(Verdict::new("spread", status, text, advice));
    }
}

/// Whether all methods agree.
fn agreement(known: &[(&str, &Replicates)], all: &mut Vec<Verdict>) -> bool {
    let [first, rest @ ..] = known else {
        return false;
    };
    if rest.is_empty() {
        let text = format!(
            "{} alone: mass that none of its runs meets shows in no spread",
            first.0
        );
        all.push(Verdict::new(
            "agreement",
            Status::Note,
            text,
            "compare methods: `--methods smc,…`",
        ));
        return true;
    }
    let pairs = known.len() * (known.len() - 1) / 2;
    let mut agree = true;
    let mut judged = true;
    for (i, (a, r)) in known.iter().enumerate() {
        for (b, s) in &known[i + 1..] {
            let p = r.agreement_p(s);
            judged &= !p.is_nan();
            if p < RARE / pairs as f64 {
                agree = false;
                let ((low, x), (high, y)) = if r.log_z < s.log_z {
                    ((a, r), (b, s))
                } else {
                    ((b, s), (a, r))
                };
                all.push(Verdict::new(
                    "agreement",
                    Status::Fail,
                    format!(
                        "{low} gives {:.4} ± {:.4}, {high} {:.4} ± {:.4}: they contradict each other",
                        x.log_z,
                        x.error(),
                        y.log_z,
                        y.error()
                    ),
                    "mass that runs do not meet is missing from their Ẑ, so the larger is the more likely; look for what the \
                     other loses: more particles, a wider base, other seeds",
                ));
            }
        }
    }
    if agree {
        let (status, text) = match judged {
            true => (Status::Pass, format!("{} methods agree", known.len())),
            false => (
                Status::Note,
                "there is no error to compare methods by: ask for replicates".to_owned(),
            ),
        };
        all.push(Verdict::new("agreement", status, text, ""));
    }
    agree
}

/// The mean of the methods, each by the inverse of its variance.
fn combined(known: &[(&str, &Replicates)]) -> Option<(f64, f64)> {
    if let Some((_, exact)) = known.iter().find(|(_, r)| r.error() == 0.0) {
        return Some((exact.log_z, 0.0));
    }
    if known.iter().any(|(_, r)| r.error().is_nan()) {
        return known.first().map(|(_, r)| (r.log_z, r.error()));
    }
    let weights: Vec<f64> = known.iter().map(|(_, r)| r.error().powi(-2)).collect();
    let sum: f64 = weights.iter().sum();
    let value = known
        .iter()
        .zip(&weights)
        .map(|((_, r), w)| w * r.log_z)
        .sum::<f64>()
        / sum;
    (sum > 0.0).then(|| (value, sum.recip().sqrt()))
}

fn against_truth(e: &Evidence, value: f64, error: f64, all: &mut Vec<Verdict>) {
    let Some(truth) = e.truth else { return };
    // Where the base is the target, both errors are 0 and only rounding is left.
    let error = error.hypot(e.truth_se).max(1e-12 * truth.abs().max(1.0));
    let score = (value - truth).abs() / error;
    let (status, advice) = match score {
        s if s <= 3.0 => (Status::Pass, ""),
        s if s <= 5.0 => (Status::Warn, "run again with another seed and more draws"),
        _ => (
            Status::Fail,
            "modes may be lost: widen the start, ask for more draws or temperatures",
        ),
    };
    let text = format!("log Z = {value:.4}, {score:.1} standard errors from the known {truth:.4}");
    all.push(Verdict::new("log Z", status, text, advice));
}

/// Runs of the file; a last line that was cut off is none.
fn read_record(path: &Path) -> Result<Vec<Recorded>, JobError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io_error("cannot read", path)(e).into()),
    };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut found = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(run) => found.push(run),
            Err(_) if i + 1 == lines.len() && !line.ends_with('\n') => {}
            Err(e) => {
                return Err(JobError::Run(Error::Settings {
                    component: "evidence".into(),
                    key: "record".into(),
                    message: format!("line {} of {} is no run: {e}", i + 1, path.display()),
                }));
            }
        }
    }
    Ok(found)
}

fn record(path: &Path, run: &Recorded) -> Result<(), JobError> {
    let mut line = serde_json::to_string(run).map_err(|e| Error::Breakdown {
        component: "evidence".into(),
        message: format!("a run cannot be written: {e}"),
        advice: "report it".into(),
    })?;
    line.push('\n');
    let old = std::fs::read(path).unwrap_or_default();
    // What was cut off is replaced.
    let keep = old.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let write = || {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        file.set_len(keep as u64)?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
        file.write_all(line.as_bytes())?;
        file.sync_data()
    };
    write().map_err(io_error("cannot write", path))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(name: &str, values: &[f64], told: f64) -> (Method, Option<Replicates>) {
        let run = |(i, v): (usize, &f64)| EvidenceRun {
            seed: i as u64,
            log_z: Some(*v),
            standard_error: Some(told),
            evaluations: 1,
            seconds: 0.0,
            warnings: BTreeMap::new(),
            failure: None,
        };
        summed(name, values.iter().enumerate().map(run).collect())
    }

    fn judged(methods: &[(Method, Option<Replicates>)], truth: Option<f64>) -> Evidence {
        let mut e = Evidence {
            target: String::new(),
            dim: 1,
            draws: 1,
            replicates: 4,
            log_z: None,
            standard_error: None,
            truth,
            truth_se: 0.0,
            complete: true,
            methods: Vec::new(),
            verdicts: Vec::new(),
        };
        judge(&mut e, methods);
        e
    }

    fn status(e: &Evidence, check: &str) -> Status {
        e.verdicts
            .iter()
            .find(|v| v.check == check)
            .unwrap_or_else(|| panic!("{check}"))
            .status
    }

    #[test]
    fn methods_that_agree_are_put_together_and_others_are_not() {
        let good = method("a", &[0.01, -0.02, 0.03, 0.0], 0.02);
        let other = method("b", &[0.02, -0.01, 0.0, 0.04], 0.03);
        let e = judged(&[good.clone(), other], Some(0.0));
        assert_eq!(e.worst(), Status::Pass, "{:?}", e.verdicts);
        let se = e.standard_error.unwrap();
        assert!(se < good.0.standard_error.unwrap() && e.log_z.unwrap().abs() < 3.0 * se);
        // A mode that `c` never meets, with a small spread: what no replicate tells, the other method does.
        let lost = method("c", &[-0.69, -0.70, -0.69, -0.695], 0.02);
        let e = judged(&[good, lost.clone()], None);
        assert_eq!((status(&e, "agreement"), e.log_z), (Status::Fail, None));
        let text = &e
            .verdicts
            .iter()
            .find(|v| v.check == "agreement")
            .unwrap()
            .text;
        assert!(text.starts_with("c gives"), "{text}");
        let alone = judged(&[lost], None);
        assert_eq!(alone.worst(), Status::Note, "{:?}", alone.verdicts);
    }

    #[test]
    fn spreads_that_belie_what_runs_told_are_seen() {
        let e = judged(&[method("a", &[0.3, -0.3, 0.1, -0.2], 0.01)], None);
        assert_eq!(status(&e, "spread"), Status::Warn);
        let e = judged(&[method("a", &[-3.0, -2.9, -3.1, 0.5], 0.1)], None);
        assert_eq!(status(&e, "tail"), Status::Fail);
    }
}
