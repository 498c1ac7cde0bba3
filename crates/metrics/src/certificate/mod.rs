//! The arithmetic of certificates: what is lost by starting, stepping, scoring and stopping.

mod initialisation;
mod ou_gaussian;
mod richardson;

pub use initialisation::{Initialisation, initialisation, moment_bound};
pub use ou_gaussian::{Bias, OuGaussian, Scheme};
pub use richardson::{NoOrder, Observed, Richardson, extrapolate, richardson};
