//! Further runs of a job with other seeds: its key `replicates`.

use crate::error::JobError;
use crate::evidence::{EvidenceRun, one, together};
use crate::files::sha256;
use crate::plan::Plan;
use crate::record::Record;
use crate::report::LogZ;
use retrograde_core::{Cancel, Error, Result, SimdLevel};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What the runs of a job, that of its draws first, say of log Z together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Replicated {
    /// log of the mean of the Ẑ, and its standard error; none if no run gave log Z.
    pub log_z: Option<LogZ>,
    /// Standard deviation of the log Ẑ.
    pub sd: Option<f64>,
    /// Root mean square of the standard errors that the runs told.
    pub told: Option<f64>,
    /// The runs.
    pub runs: Vec<Replicate>,
}

/// A run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Replicate {
    /// Its seed.
    pub seed: u64,
    /// log Ẑ.
    pub log_z: Option<f64>,
    /// The standard error that it told.
    pub standard_error: Option<f64>,
}

impl Replicated {
    /// Of `runs`, where log Z is known as `own` says.
    pub(crate) fn new(runs: &[EvidenceRun], own: Option<LogZ>) -> Self {
        let together = together(runs);
        Self {
            log_z: together.zip(own).map(|(r, own)| LogZ {
                value: r.log_z,
                se: Some(r.error()).filter(|e| e.is_finite()),
                ..own
            }),
            sd: together.map(|r| r.sd).filter(|v| v.is_finite()),
            told: together.and_then(|r| r.told),
            runs: runs
                .iter()
                .map(|r| Replicate {
                    seed: r.seed,
                    log_z: r.log_z,
                    standard_error: r.standard_error,
                })
                .collect(),
        }
    }
}

/// Runs the plan with the seeds after its own, as often as it asks for beside its own run. Each is added to `record`, from
/// which those are taken that were made before; `None` if it was cancelled.
pub(crate) fn replicate(
    plan: &Plan,
    simd: SimdLevel,
    threads: usize,
    record: &Path,
    cancel: &Cancel,
    watch: &mut dyn FnMut(usize, &EvidenceRun),
) -> Result<Option<Vec<EvidenceRun>>> {
    let flat = |e: JobError| match e {
        JobError::Run(e) | JobError::Stopped { error: e, .. } => e,
        other => Error::Breakdown {
            component: "replicates".into(),
            message: other.to_string(),
            advice: "run the job anew".into(),
        },
    };
    let mut record = Record::<EvidenceRun>::read("replicates", record).map_err(flat)?;
    let mut runs = Vec::new();
    for i in 1..plan.run.replicates {
        let seed = plan.run.seed.saturating_add(i as u64);
        let identity = sha256(format!("{}\n{seed}", plan.identity).as_bytes());
        let run = match record.get(&identity) {
            Some(run) => run.clone(),
            None => {
                let Some(mut run) = one(plan, seed, simd, threads, cancel) else {
                    return Ok(None);
                };
                run.places = Vec::new();
                record.add(identity, &run).map_err(flat)?;
                run
            }
        };
        watch(i, &run);
        runs.push(run);
    }
    Ok(Some(runs))
}
