//! A plan run without a directory, its draws and numbers kept in memory.

use crate::plan::Plan;
use retrograde_core::drive::{Checkpoint, Observer, drive};
use retrograde_core::{
    Cancel, Collected, Counts, Draws, Error, Flag, Result, Runtime, Severity, SimdLevel, Sink,
};
use std::collections::BTreeMap;
use std::time::Instant;

/// How it is run, beside what the plan says.
pub(crate) struct Setting<'a> {
    pub(crate) seed: u64,
    pub(crate) threads: usize,
    pub(crate) simd: SimdLevel,
    /// Evaluations above which it is stopped.
    pub(crate) most: Option<u64>,
    pub(crate) cancel: &'a Cancel,
}

/// A run that came to its end, or failed.
pub(crate) struct Ran {
    pub(crate) kept: Collected,
    /// Rows at which target, gradient or score were evaluated.
    pub(crate) evaluations: u64,
    /// Wall time of sampling.
    pub(crate) seconds: f64,
    /// Why it failed.
    pub(crate) failure: Option<String>,
}

/// How a run ended.
pub(crate) enum Ended {
    Ran(Box<Ran>),
    /// It was stopped for what it spent; what it would have spent, as far as can be told.
    Over(u64),
    Cancelled,
}

/// Runs the plan.
pub(crate) fn run(plan: &Plan, setting: &Setting<'_>) -> Ended {
    let began = Instant::now();
    let mut capped = Capped {
        kept: Collected::new(plan.target.dim()),
        most: setting.most.unwrap_or(u64::MAX),
        fraction: 0.0,
        over: None,
    };
    let mut evaluations = 0;
    let ended = Runtime::new(setting.seed, setting.threads).and_then(|runtime| {
        let mut runtime = runtime
            .with_cancel(setting.cancel.clone())
            .with_simd(setting.simd);
        let (sampler, draws) = (plan.sampler.as_ref(), plan.run.draws);
        let outcome = drive(sampler, &mut runtime, draws, None, &mut capped);
        evaluations = runtime.counts().rows;
        outcome
    });
    let Capped { kept, over, .. } = capped;
    let failure = match (ended, over) {
        (Err(Error::Cancelled), Some(spent)) => return Ended::Over(spent),
        (Err(Error::Cancelled), None) => return Ended::Cancelled,
        (Ok(outcome), _) if !outcome.complete => return Ended::Cancelled,
        (Ok(_), _) => None,
        (Err(e), _) => Some(e.to_string()),
    };
    Ended::Ran(Box::new(Ran {
        kept,
        evaluations,
        seconds: began.elapsed().as_secs_f64(),
        failure,
    }))
}

impl Ran {
    /// A number that the sampler told of a run that did not fail.
    pub(crate) fn told(&self, key: &str) -> Option<f64> {
        let number = self.kept.scalars.get(key).copied();
        number.filter(|v| v.is_finite() && self.failure.is_none())
    }

    /// Warnings and failures that it flagged, by their names, in words.
    pub(crate) fn warnings(&self) -> BTreeMap<String, String> {
        let flags = self.kept.flags.iter();
        flags
            .filter(|(_, f)| f.severity != Severity::Note)
            .map(|(key, f)| (key.clone(), f.text.clone()))
            .collect()
    }
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
