//! One run of a bench, in memory.

use super::Metric;
use super::measure::Yardstick;
use crate::plan::Plan;
use ndarray::{Array1, Array2};
use retrograde_core::drive::{Checkpoint, Observer, drive};
use retrograde_core::{
    Cancel, Collected, Counts, Draws, Error, Flag, Result, Runtime, Severity, Sink,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

/// A run that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchRun {
    /// Seed.
    pub seed: u64,
    /// log Ẑ; none if the run failed or gives none.
    pub log_z: Option<f64>,
    /// The standard error that the run told.
    pub standard_error: Option<f64>,
    /// What was measured on its draws.
    pub metrics: BTreeMap<Metric, f64>,
    /// Draws that it gave.
    pub draws: usize,
    /// Whether they have weights.
    pub weighted: bool,
    /// Rows at which target, gradient or score were evaluated.
    pub evaluations: u64,
    /// Wall time of sampling.
    pub seconds: f64,
    /// Warnings and failures of the run, by their names, in words.
    pub warnings: BTreeMap<String, String>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// How a run ended.
#[derive(Debug)]
pub(super) enum Ended {
    Run(BenchRun),
    /// It was stopped for what it spent; what it would have spent, as far as can be told.
    Over(u64),
    Cancelled,
}

/// Runs the plan and measures what it gives. Above `most` evaluations it is stopped.
pub(super) fn run(
    plan: &Plan,
    yardstick: &mut Yardstick<'_>,
    most: Option<u64>,
    cancel: &Cancel,
) -> Result<Ended> {
    let began = Instant::now();
    let mut capped = Capped {
        kept: Collected::new(plan.target.dim()),
        most: most.unwrap_or(u64::MAX),
        fraction: 0.0,
        over: None,
    };
    let mut evaluations = 0;
    let ended = Runtime::new(plan.run.seed, plan.run.threads).and_then(|runtime| {
        let mut runtime = runtime.with_cancel(cancel.clone());
        let outcome = drive(
            plan.sampler.as_ref(),
            &mut runtime,
            plan.run.draws,
            None,
            &mut capped,
        );
        evaluations = runtime.counts().rows;
        outcome
    });
    let seconds = began.elapsed().as_secs_f64();
    let Capped { kept, over, .. } = capped;
    let failure = match (ended, over) {
        (Err(Error::Cancelled), Some(spent)) => return Ok(Ended::Over(spent)),
        (Ok(outcome), _) if !outcome.complete => return Ok(Ended::Cancelled),
        (Err(Error::Cancelled), None) => return Ok(Ended::Cancelled),
        (Ok(_), _) => None,
        (Err(e), _) => Some(e.to_string()),
    };
    let told = |key: &str| kept.scalars.get(key).copied().filter(|v| v.is_finite());
    let warned = kept
        .flags
        .iter()
        .filter(|(_, f)| f.severity != Severity::Note);
    let mut run = BenchRun {
        seed: plan.run.seed,
        log_z: told("log_z").filter(|_| failure.is_none()),
        standard_error: told("log_z_se").filter(|_| failure.is_none()),
        metrics: BTreeMap::new(),
        draws: kept.len(),
        weighted: !kept.log_weights.is_empty(),
        evaluations,
        seconds,
        warnings: warned
            .map(|(key, f)| (key.clone(), f.text.clone()))
            .collect(),
        failure,
    };
    if run.failure.is_none() {
        let rows = natural(plan, &kept);
        let weights = run.weighted.then(|| Array1::from(kept.log_weights.clone()));
        match yardstick.measure(run.seed, rows.view(), weights.as_ref()) {
            Ok((metrics, notes)) => {
                run.metrics = metrics;
                run.warnings
                    .extend(notes.into_iter().map(|n| ("measure".to_owned(), n)));
            }
            Err(e) => {
                run.warnings.insert("measure".into(), e.to_string());
            }
        }
    }
    Ok(Ended::Run(run))
}

/// Keeps a run in memory, and stops it between two steps when it has spent too much.
struct Capped {
    kept: Collected,
    most: u64,
    fraction: f64,
    over: Option<u64>,
}

impl Sink for Capped {
    fn set_chains(&mut self, chains: usize) -> Result {
        self.kept.set_chains(chains)
    }

    fn emit(&mut self, draws: &Draws<'_>) -> Result {
        self.kept.emit(draws)
    }

    fn scalar(&mut self, key: &str, value: f64) {
        self.kept.scalar(key, value);
    }

    fn record(&mut self, table: &str, row: &[(&str, f64)]) {
        self.kept.record(table, row);
    }

    fn flag(&mut self, flag: Flag) {
        self.kept.flag(flag);
    }

    fn progress(&mut self, fraction: f64) {
        self.fraction = fraction;
    }
}

impl Observer for Capped {
    fn after_step(
        &mut self,
        _step: u64,
        counts: &Counts,
        _save: &mut dyn FnMut() -> Result<Checkpoint>,
    ) -> Result {
        if counts.rows <= self.most || self.fraction >= 1.0 {
            return Ok(());
        }
        // What is left is taken to cost as what is done; at least what was spent will be.
        let whole = counts.rows as f64 / self.fraction.clamp(1e-6, 1.0);
        self.over = Some(whole as u64);
        Err(Error::Cancelled)
    }
}

/// Draws on their natural scale; chains one after the other, unless they have weights, which are in the order of emission.
fn natural(plan: &Plan, kept: &Collected) -> Array2<f64> {
    let rows = if kept.log_weights.is_empty() && !kept.is_empty() {
        let by_chain = kept.by_chain();
        let (chains, draws, d) = by_chain.dim();
        Array2::from_shape_vec((chains * draws, d), by_chain.into_iter().collect())
            .unwrap_or_default()
    } else {
        kept.rows().to_owned()
    };
    match &plan.bounded {
        None => rows,
        Some(bounded) => {
            let mut out = Array2::zeros(rows.dim());
            bounded.to_natural(rows.view(), out.view_mut());
            out
        }
    }
}
