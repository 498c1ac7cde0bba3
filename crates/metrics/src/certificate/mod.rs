//! The arithmetic of certificates: what is lost by starting, stepping, scoring and stopping.

mod girsanov;
mod initialisation;
mod ou_gaussian;
mod richardson;
mod schedule;

pub use girsanov::{Estimate, Girsanov, GirsanovBound, LevelRow, Step, weighted_gaps};
pub use initialisation::{Initialisation, initialisation, moment_bound};
pub use ou_gaussian::{Bias, OuGaussian, Scheme};
pub use richardson::{NoOrder, Observed, Richardson, extrapolate, richardson};
pub use schedule::{
    Budget, Profile, discretisation_errors, fisher_information, score_errors, step_shares,
};
