//! One run of a bench, in memory.

use super::Metric;
use super::measure::Yardstick;
use crate::in_memory::{self, Setting};
use crate::plan::Plan;
use ndarray::{Array1, Array2};
use retrograde_core::{Cancel, Collected, Result, SimdLevel};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    let setting = Setting {
        seed: plan.run.seed,
        threads: plan.run.threads,
        simd: SimdLevel::default(),
        most,
        cancel,
    };
    let ran = match in_memory::run(plan, &setting) {
        in_memory::Ended::Ran(ran) => ran,
        in_memory::Ended::Over(spent) => return Ok(Ended::Over(spent)),
        in_memory::Ended::Cancelled => return Ok(Ended::Cancelled),
    };
    let kept = &ran.kept;
    let mut run = BenchRun {
        seed: plan.run.seed,
        log_z: ran.told("log_z"),
        standard_error: ran.told("log_z_se"),
        metrics: BTreeMap::new(),
        draws: kept.len(),
        weighted: !kept.log_weights.is_empty(),
        evaluations: ran.evaluations,
        seconds: ran.seconds,
        warnings: ran.warnings(),
        failure: ran.failure.clone(),
    };
    if run.failure.is_none() {
        let rows = natural(plan, kept);
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
