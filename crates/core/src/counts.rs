//! Exact counts of evaluations, kept by the call wrapper and never by a component.

use serde::{Deserialize, Serialize};

/// Rows evaluated so far, by what was asked for, and points that failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows for which a log density was asked for.
    pub density_evals: u64,
    /// Rows for which a gradient of the target was asked for.
    pub gradient_evals: u64,
    /// Rows for which a score was asked for.
    pub score_evals: u64,
    /// Rows in all calls together (a row with density and gradient counts once).
    pub rows: u64,
    /// Rows with finite coordinates for which a component gave a value that is not finite.
    pub failed: u64,
    /// The first of them.
    pub first_failure: Option<Failure>,
}

/// Where a component first gave a value that is not finite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What was not finite: `log density`, `gradient`, `score`.
    pub what: String,
    /// Row of the batch.
    pub row: usize,
    /// Step of the run, if inside one.
    pub step: Option<u64>,
    /// Process time, for scores.
    pub t: Option<f64>,
}

impl Counts {
    /// Adds the counts of a later block.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.density_evals += other.density_evals;
        self.gradient_evals += other.gradient_evals;
        self.score_evals += other.score_evals;
        self.rows += other.rows;
        self.failed += other.failed;
        if self.first_failure.is_none() {
            self.first_failure.clone_from(&other.first_failure);
        }
    }
}
