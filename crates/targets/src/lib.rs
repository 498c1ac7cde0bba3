//! Target densities: one file each, with value, gradient, exact log Z, moments and exact draws where
//! they exist.

mod dense;
mod particles;
mod point;
mod table;

retrograde_core::modules! {
    brownian,
    dw4,
    eight_schools,
    lj13,
    log_gaussian_cox,
    logistic_regression,
    phi4_chain,
    phi4_lattice,
    standard_normal,
}

pub use brownian::Brownian;
pub use dw4::Dw4;
pub use eight_schools::{EightSchools, EightSchoolsPrior};
pub use lj13::Lj13;
pub use log_gaussian_cox::LogGaussianCox;
pub use logistic_regression::LogisticRegression;
pub use particles::CentreOfMass;
pub use phi4_chain::Phi4Chain;
pub use phi4_lattice::Phi4Lattice;
pub use standard_normal::StandardNormal;
