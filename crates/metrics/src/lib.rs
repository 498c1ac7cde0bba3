//!
//! * [`chains`] — splitting and rank normalisation, on which the above stand
//!
//! Arrays of draws have the axes (chain, draw) for one coordinate and (chain, draw, dim) for all.
//! No function panics on bad input and none returns an error: what cannot be computed is NaN, and
//! each function says when. All sums run in a fixed order on the calling thread, so the same input gives the
//! same bits.

// Views are passed by value, as everywhere with ndarray; being small is the point of them.
#![allow(clippy::needless_pass_by_value)]

pub mod chains;
pub mod ess;
pub mod rhat;

pub use ess::{ess_bulk, ess_identity, ess_mean, ess_median, ess_quantile, ess_sd, ess_tail};
pub use rhat::{rhat_folded, rhat_identity, rhat_rank, rhat_split};

#[cfg(test)]
mod test_chains;
