//! Target densities: one file each, with value, gradient, exact log Z, moments and exact draws where
//! they exist.

mod dense;
mod draw;
mod particles;
mod point;
mod quadrature;

retrograde_core::modules! {
    banana,
    brownian,
    data,
    dw4,
    eight_schools,
    expression,
    funnel,
    gamma_mixture,
    gaussian,
    gaussian_mixture,
    lj13,
    log_gaussian_cox,
    logistic_regression,
    named_mixtures,
    phi4_chain,
    phi4_lattice,
    rings,
    standard_normal,
    tilted_mixture,
    two_moons,
    warped_mixture,
    wells,
}

pub use banana::Banana;
pub use brownian::Brownian;
pub use data::Data;
pub use dw4::Dw4;
pub use eight_schools::{EightSchools, EightSchoolsPrior};
pub use expression::Expression;
pub use funnel::Funnel;
pub use gamma_mixture::GammaLaws;
pub use gaussian::Gaussian;
pub use gaussian_mixture::Mixture;
pub use lj13::Lj13;
pub use log_gaussian_cox::LogGaussianCox;
pub use logistic_regression::LogisticRegression;
pub use named_mixtures::{Gmm8, Gmm9, Gmm16, Gmm25, Gmm40, Gmm40Means, HardMixture, TwoModes};
pub use particles::CentreOfMass;
pub use phi4_chain::Phi4Chain;
pub use phi4_lattice::Phi4Lattice;
pub use rings::{Rings, RingsMin};
pub use standard_normal::StandardNormal;
pub use tilted_mixture::TiltedMixture;
pub use two_moons::TwoMoons;
pub use warped_mixture::WarpedMixture;
pub use wells::{DoubleWell, ManyWell, MultiWell};
