//! The arithmetic of certificates: what a reverse run loses by its start, its steps, its score and its stop.
//!
//! * [`initialisation`], [`moment_bound`] — the prior in place of the noised law
//! * [`Girsanov`] — path-space bound of a stochastic sampler from averages over forward paths, step by step
//! * [`richardson`] — observed order and limit from three step sizes
//! * [`step_shares`], [`discretisation_errors`], [`score_errors`], [`Budget`] — what a schedule of noise levels costs
//! * [`OuGaussian`] — closed forms for a Gaussian, the oracle of the above
//! * [`Certificate`] — the parts together, the one that [dominates](Certificate::dominant), and what to do
//!
//! They are functions of arrays and closures and run nothing. For deterministic samplers see
//! [`flow_1d`](crate::flow_1d).

mod girsanov;
mod initialisation;
mod ou_gaussian;
mod report;
mod richardson;
mod schedule;

pub use girsanov::{Estimate, Girsanov, GirsanovBound, LevelRow, Step, weighted_gaps};
pub use initialisation::{Initialisation, initialisation, moment_bound};
pub use ou_gaussian::{Bias, OuGaussian, Scheme};
pub use report::{
    Certificate, Dominant, Evidence, Method, Origin, Part, Refinement, Unit, early_stopping_gap,
};
pub use richardson::{NoOrder, Observed, Richardson, extrapolate, richardson};
pub use schedule::{
    Budget, Profile, discretisation_errors, fisher_information, score_errors, step_shares,
};
