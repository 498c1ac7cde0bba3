//! Target densities: one file each, with value, gradient, exact log Z, moments and exact draws where
//! they exist.

mod dense;
mod point;
mod table;

retrograde_core::modules! {
    brownian,
    eight_schools,
    log_gaussian_cox,
    logistic_regression,
    phi4_chain,
    phi4_lattice,
    standard_normal,
}

pub use brownian::Brownian;
pub use eight_schools::{EightSchools, EightSchoolsPrior};
pub use log_gaussian_cox::LogGaussianCox;
pub use logistic_regression::LogisticRegression;
pub use phi4_chain::Phi4Chain;
pub use phi4_lattice::Phi4Lattice;
pub use standard_normal::StandardNormal;
