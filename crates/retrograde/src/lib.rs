//! Draws and log Z from a density that can be evaluated but not normalised.
//!
//! ```
//! use retrograde::prelude::*;
//!
//! // Two modes on the line, known only up to a constant.
//! let target = PointTarget::new(1, |x, gradient| {
//!     let u = x[0] * x[0] - 2.0;
//!     gradient[0] = -4.0 * x[0] * u;
//!     -u * u
//! });
//! let result = Run::new(target)
//!     .sampler(Smc { base_sd: 2.0.into(), ..Smc::default() })
//!     .draws(2000)
//!     .seed(1)
//!     .run()?;
//! let log_z = result.log_z().unwrap();
//! assert!((log_z.value - 0.2930).abs() < 5.0 * log_z.se.unwrap());
//! assert_eq!(result.draws().dim(), (1, 2000, 1)); // (chain, draw, dim)
//! # Ok::<(), retrograde::Error>(())
//! ```
//!
//! | crate | what it holds |
//! | --- | --- |
//! | [`core`] | traits, call context, random streams, registry, errors |
//! | [`targets`] | densities with known answers, and posteriors |
//! | [`processes`] | forward processes, linear and non-linear |
//! | [`scores`] | scores of noised laws |
//! | [`samplers`] | algorithms, one file each |
//! | [`metrics`] | diagnostics of draws and weights |
//! | `plugins` (feature) | components in shared libraries: look for them, load them |
//! | `job` (feature) | TOML jobs and run directories |

mod run;

pub use ndarray;
pub use retrograde_core as core;
pub use retrograde_core::{Error, Registry, Result};
#[cfg(feature = "plugins")]
pub use retrograde_host as plugins;
#[cfg(feature = "job")]
pub use retrograde_job as job;
pub use retrograde_metrics as metrics;
pub use retrograde_processes as processes;
pub use retrograde_samplers as samplers;
pub use retrograde_scores as scores;
pub use retrograde_targets as targets;
pub use run::{LogZ, Progress, Run, RunResult};

/// What a program that samples its own density needs.
pub mod prelude {
    pub use crate::run::{LogZ, Progress, Run, RunResult};
    pub use retrograde_core::{BatchTarget, Bounded, Cancel, PointTarget, SimdLevel, Target};
    pub use retrograde_samplers::{
        Ais, AnnealedLangevin, Baoab, Dilation, Hmc, Mala, ParallelTempering, Smc, Ula,
    };
}

/// All built-in components. Plugins join them by `plugins::load_into` or `plugins::scan`.
///
/// # Errors
/// [`Error::Argument`] if two had the same name.
pub fn registry() -> Result<Registry> {
    retrograde_targets::link();
    retrograde_processes::link();
    retrograde_scores::link();
    retrograde_samplers::link();
    #[cfg(feature = "plugins")]
    retrograde_host::link();
    Registry::builtin()
}

/// The code blocks of the project's documents, compiled and run.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../../CONTRIBUTING.md")]
    struct Contributing;
    #[doc = include_str!("../../../README.md")]
    struct Readme;
}
