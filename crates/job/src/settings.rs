//! Settings of a job outside its components.

use retrograde_core::settings::PerCoordinate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Top-level keys of a job.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunSettings {
    /// Seed of every random stream. The same job with the same seed gives the same bits.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_223_372_036_854_775_807_i64))]
    pub seed: u64,
    /// Draws asked for, over all chains.
    #[serde(default = "draws")]
    #[schemars(range(min = 1))]
    pub draws: usize,
    /// Threads; 0 = all that the machine has. Does not change results.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1024))]
    pub threads: usize,
    /// Runs with this seed and those after it, to see how far estimates of log Z differ; the draws are those of the first.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub replicates: usize,
}

fn one() -> usize {
    1
}

fn draws() -> usize {
    4000
}

/// Limits of a target's coordinates: `[target.bounds]`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoundsSettings {
    /// Lower limits; −inf where there is none.
    pub lower: Option<PerCoordinate>,
    /// Upper limits; inf where there is none.
    pub upper: Option<PerCoordinate>,
}

/// A file format for results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `draws.npy` (chain, draw, dim), with `outputs.npy`, `log_weights.npy` and `stats.npy` where
    /// there are such columns.
    Npy,
    /// `draws.csv`, one row a draw.
    Csv,
    /// `cmdstan-1.csv`, …: one file a chain in CmdStan's layout.
    Cmdstan,
    /// `draws.zarr`: a Zarr v3 directory that ArviZ opens with `from_zarr`; also while the run goes on.
    Zarr,
    /// `report.html`: the report with its pictures in one file; also while the run goes on.
    Html,
}

/// What is written, and where: `[output]`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputSettings {
    /// The run directory. Default: `runs/` and the job's name, numbered if it is taken.
    pub directory: Option<String>,
    /// Formats of the draws and of the report.
    #[serde(default = "formats")]
    pub formats: Vec<Format>,
    /// Seconds between checkpoints; 0 = one after each step. The first come earlier: after 1, 2, 4, …
    /// seconds.
    #[serde(default = "checkpoint_seconds")]
    #[schemars(range(min = 0))]
    pub checkpoint_seconds: f64,
}

fn formats() -> Vec<Format> {
    let mut formats = vec![Format::Npy, Format::Csv];
    if cfg!(feature = "zarr") {
        formats.push(Format::Zarr);
    }
    formats.push(Format::Html);
    formats
}

fn checkpoint_seconds() -> f64 {
    30.0
}

impl OutputSettings {
    pub(crate) fn has(&self, format: Format) -> bool {
        self.formats.contains(&format)
    }
}

impl Default for OutputSettings {
    fn default() -> Self {
        Self {
            directory: None,
            formats: formats(),
            checkpoint_seconds: checkpoint_seconds(),
        }
    }
}

/// Known answers to check the run against: `[expect]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectSettings {
    /// log Z.
    pub log_z: Option<f64>,
    /// Standard error of that `log_z`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub log_z_se: f64,
    /// The run's own standard error of log Z shall be no larger.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub log_z_max_se: Option<f64>,
}
