//! Diagnostics of draws and weights, and distances between samples: functions of arrays, they run nothing.
//!
//! Of chains and weights:
//!
//! * [`rhat`], [`ess`], [`mcse`] — have the chains mixed, and how much are the draws worth? (Vehtari et al. 2021)
//! * [`weights`], [`pareto`] — log evidence, effective sample size, spread and tail of importance weights
//! * [`evidence`] — replicates of log Z: do they spread as they say, do methods agree?
//! * [`summary`] — one row of numbers per coordinate, for chains and for weighted draws
//! * [`chains`] — splitting and rank normalisation, on which the above stand
//!
//! Between samples, or from a sample to a law:
//!
//! * [`mmd`] — maximum mean discrepancy and energy distance
//! * [`transport`], [`one_dim`], [`sliced`], [`sinkhorn`] — Wasserstein distances by exact assignment ([`assignment`]), on
//!   the line, over directions, and with entropy
//! * [`gaussian`] — Wasserstein distance and KL between Gaussians or the fits of samples
//! * [`ksd`] — kernel Stein discrepancy, from points and scores
//! * [`modes`](mod@modes) — weights and coverage of the modes of a mixture
//! * [`noise_floor`](mod@noise_floor) — what a distance says between samples of the same law
//!
//! Between laws that are known, and of what reverse runs lose:
//!
//! * [`law_1d`] — exact distances on the line, by [`quadrature`]
//! * [`flow_1d`] — the law that a deterministic map makes, and exact flows
//! * [`certificate`] — errors of start, steps, score and stop, and which of them dominates
//!
//! Arrays of draws have the axes (chain, draw) for one coordinate and (chain, draw, dim) for all; points are rows of an
//! n × d array. No function panics on bad input. Diagnostics of chains and weights return no error: what cannot be
//! computed is NaN, and each function says when. Distances refuse bad input with an error that names the argument and its
//! value. All sums run in a fixed order, so the same input gives the same bits on any number of threads; distances over
//! pairs of points use rayon's current pool.

pub mod assignment;
pub mod certificate;
pub mod chains;
pub mod ess;
pub mod evidence;
pub mod flow_1d;
pub mod gaussian;
pub mod ksd;
pub mod law_1d;
pub mod mcse;
pub mod mmd;
pub mod modes;
pub mod noise_floor;
pub mod one_dim;
pub mod pareto;
mod points;
pub mod quadrature;
pub mod rhat;
pub mod sinkhorn;
pub mod sliced;
pub mod summary;
pub mod transport;
pub mod weights;

pub use assignment::assign;
pub use ess::{ess_bulk, ess_identity, ess_mean, ess_median, ess_quantile, ess_sd, ess_tail};
pub use gaussian::Gaussian;
pub use ksd::{SteinDiscrepancy, SteinKernel, kernel_stein};
pub use mcse::{mcse_mean, mcse_quantile, mcse_sd};
pub use mmd::{Kernel, MmdSquared, energy_distance, median_heuristic, mmd_squared};
pub use modes::{Modes, modes};
pub use noise_floor::{NoiseFloor, noise_floor, permutation_floor};
pub use one_dim::{
    kolmogorov_smirnov, kolmogorov_smirnov_to_normal, wasserstein_1d, wasserstein_1d_weighted,
    wasserstein_2_to_normal,
};
pub use pareto::{ParetoSmoothed, pareto_smooth};
pub use points::subsample;
pub use rhat::{rhat_folded, rhat_identity, rhat_rank, rhat_split};
pub use sinkhorn::{
    EntropicTransport, SinkhornDivergence, SinkhornSettings, entropic_transport,
    entropic_transport_annealed, sinkhorn_divergence,
};
pub use sliced::{plane_directions, random_directions, sliced_ks, sliced_wasserstein};
pub use summary::{CoordinateSummary, WeightedSummary, summarise, summarise_weighted};
pub use transport::{Matching, Order, wasserstein};
pub use weights::{WeightDiagnostics, relative_weights};

#[cfg(test)]
mod test_chains;
