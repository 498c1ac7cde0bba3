//! A sink that keeps draws alone.

use ndarray::{Array1, Array2, Axis};
use retrograde_core::drive::Observer;
use retrograde_core::{Draws, Error, Flag, Result, Sink};

/// Draws with their log weights.
pub(super) struct Kept {
    pub(super) x: Array2<f64>,
    pub(super) log_weights: Option<Array1<f64>>,
}

impl Kept {
    pub(super) fn new(dim: usize) -> Self {
        Self {
            x: Array2::zeros((0, dim)),
            log_weights: None,
        }
    }
}

impl Sink for Kept {
    fn set_chains(&mut self, _chains: usize) -> Result {
        Ok(())
    }

    fn emit(&mut self, draws: &Draws<'_>) -> Result {
        let fits =
            |e: ndarray::ShapeError| Error::shape("certify", "draws", "rows alike", e.to_string());
        self.x.append(Axis(0), draws.x).map_err(fits)?;
        if let Some(w) = draws.log_weights {
            let all = self.log_weights.get_or_insert_with(|| Array1::zeros(0));
            all.append(Axis(0), w).map_err(fits)?;
        }
        Ok(())
    }

    fn scalar(&mut self, _key: &str, _value: f64) {}

    fn record(&mut self, _table: &str, _row: &[(&str, f64)]) {}

    fn flag(&mut self, _flag: Flag) {}

    fn progress(&mut self, _fraction: f64) {}
}

impl Observer for Kept {}
