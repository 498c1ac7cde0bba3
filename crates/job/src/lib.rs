//! Jobs: TOML and a registry in, a run directory out.
//!
//! ```text
//! job.toml ─config─▶ Document ─Plan::new─▶ Plan ─run─▶ run directory
//!                                                 ▲        │ manifest, rows, checkpoint
//!                                                 └─resume─┘
//! ```
//!
//! A run directory holds the resolved job (`job.toml`), what it depends on (`manifest.json`), the
//! draws (`draws.npy`, `draws.csv`, `draws.zarr`, `cmdstan-1.csv`, …), `report.json`, `report.html`,
//! `timing.json` and, until the run is complete, `rows.bin`, `checkpoint.bin` and `replicates.jsonl`.
//! [`compare::compare`] puts two run directories side by side.

pub mod bench;
pub mod certify;
mod checkpoint;
pub mod compare;
pub mod config;
mod draws;
mod error;
pub mod evidence;
mod files;
mod html;
mod in_memory;
mod interim;
mod memory;
mod modes;
mod npy;
mod pictures;
mod place;
mod plan;
mod record;
mod replicates;
mod report;
mod run;
mod rundir;
mod settings;
mod show;
mod store;
mod verdicts;
#[cfg(feature = "zarr")]
mod zarr;

pub use draws::DrawSet;
pub use error::JobError;
pub use files::{InputFile, UsedPlugin};
pub use plan::{Plan, job_schema};
pub use replicates::{Replicate, Replicated};
pub use report::{Coordinate, Job, LogZ, Material, Report, Table, Weights};
pub use run::{Finished, Live, Monitor, Options, Silent, check_output, resume, run, try_start};
pub use rundir::{Manifest, read_manifest, read_report};
pub use settings::{BoundsSettings, ExpectSettings, Format, OutputSettings, RunSettings};
pub use show::{Preview, plot};
pub use verdicts::{Status, Verdict};
