//! Core of `retrograde`: the four traits, the call context, random streams, time grids,
//! the registry of components and the errors. Everything else depends on this crate and
//! on nothing of one another.
//!
//! | word | where |
//! | --- | --- |
//! | [`Target`], [`ForwardProcess`], [`Score`], [`Sampler`] | the traits, batch-first: `n × d` views in, `n × d` views out |
//! | [`Algorithm`] | what the author of a sampler writes: `init` and `step` over a saved state |
//! | [`Cx`] | random numbers, counters, scratch, cancel flag, fan-out of rows over threads |
//! | [`Registry`], [`register!`](crate::register) | components by name, with the JSON Schema of their settings |
//! | [`drive`](crate::drive::drive) | the one outer loop: progress, cancel, checkpoints, resume |

pub mod bounded;
pub mod check;
mod closure;
mod counts;
mod cx;
pub mod drive;
mod error;
mod factors;
pub mod forward;
mod gamma;
pub mod grid;
mod law;
mod memory;
mod mixture;
pub mod numeric;
mod pace;
mod process;
pub mod registry;
mod reverse;
mod rows;
mod runtime;
mod sampler;
mod saved;
mod score;
pub mod settings;
mod settings_reader;
pub mod simd;
mod started_at;
mod status;
mod stream;
pub mod table;
mod target;
mod tilt;
mod traits;
mod warp_map;

pub use bounded::Bounded;
pub use closure::{BatchTarget, PointTarget};
pub use counts::{Counts, Failure};
pub use cx::{Cx, Level, Position, Services, Store};
pub use error::{Error, Result};
pub use gamma::GammaMixture;
pub use law::{ClosedMarginal, Law, Marginal};
pub use memory::Collected;
pub use mixture::{Covariances, GaussianMixture};
pub use process::{
    Cdf, DivGgt, DriftDivergence, DriftJvp, DriftVjp, Form, ForwardMap, ForwardProcess, IntegralG2,
    Linear, Restore, Transition, Warp,
};
pub use registry::{Build, Component, Kind, Registry};
pub use reverse::Field;
pub use rows::{BLOCK, RowSplit};
pub use runtime::{Cancel, Runtime};
pub use sampler::{Algorithm, Draws, Flag, Flow, Kernel, ReverseRun, Run, Sampler, Severity, Sink};
pub use saved::{Signature, seal, unseal};
pub use score::{LogMarginal, Score, ScoreJvp};
pub use settings_reader::SettingsReader;
pub use simd::SimdLevel;
pub use started_at::StartedAt;
pub use status::Status;
pub use stream::{Key, Stream};
pub use target::{Exact, ExactSampler, Expectation, Hvp, Outputs, PointFn, Target, Truth};
pub use tilt::Tilt;
pub use traits::{Threading, Times, Traits};
pub use warp_map::{WarpKind, WarpMap, WarpStep};

/// Third-party crates whose names appear in the public interface or in its macros.
#[doc(hidden)]
pub mod reexport {
    pub use {inventory, ndarray, rand_core, schemars, serde};
}
