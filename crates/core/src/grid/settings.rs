//! Time grids as jobs write them.

use super::TimeGrid;
use crate::{ForwardProcess, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the times of a grid are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Spacing {
    /// Equal steps in t.
    Uniform,
}

/// The times that a reverse run visits, as written under `[sampler.grid]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grid {
    /// Spacing of the times.
    pub spacing: Spacing,
    /// Steps, ≥ 1.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// Parts that every step is cut into, ≥ 1.
    pub refine: usize,
}

impl Default for Grid {
    fn default() -> Self {
        Self {
            spacing: Spacing::Uniform,
            steps: 40,
            refine: 1,
        }
    }
}

impl Grid {
    /// The times, for `component`, which runs `process` backwards.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) under the key `grid.…`.
    pub fn build(&self, component: &str, process: &dyn ForwardProcess) -> Result<TimeGrid> {
        let _ = component;
        TimeGrid::uniform(process.t_end(), 0.0, self.steps)
    }
}
