//! Diagnostics of draws and weights: functions of arrays, they run nothing.
//!
//! * [`rhat`], [`ess`], [`mcse`] — have the chains mixed, and how much are the draws worth? (Vehtari et al. 2021)
//! * [`weights`] — log evidence, effective sample size and spread of importance weights
//! * [`summary`] — one row of numbers per coordinate, for chains and for weighted draws
//! * [`chains`] — splitting and rank normalisation, on which the above stand
//!
//! Arrays of draws have the axes (chain, draw) for one coordinate and (chain, draw, dim) for all.
//! No function panics on bad input and none returns an error: what cannot be computed is NaN, and
//! each function says when. All sums run in a fixed order on the calling thread, so the same input gives the
//! same bits.

pub mod chains;
pub mod ess;
pub mod mcse;
pub mod rhat;
pub mod summary;
pub mod weights;

pub use ess::{ess_bulk, ess_identity, ess_mean, ess_median, ess_quantile, ess_sd, ess_tail};
pub use mcse::{mcse_mean, mcse_quantile, mcse_sd};
pub use rhat::{rhat_folded, rhat_identity, rhat_rank, rhat_split};
pub use summary::{CoordinateSummary, WeightedSummary, summarise, summarise_weighted};
pub use weights::{WeightDiagnostics, relative_weights};

#[cfg(test)]
mod test_chains;
