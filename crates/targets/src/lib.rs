//! Target densities: one file each, with value, gradient, exact log Z, moments and exact draws where
//! they exist.

mod draw;
mod point;
mod quadrature;
mod table;

retrograde_core::modules! {
    logistic_regression,
    banana,
    funnel,
    gaussian,
    gaussian_mixture,
    named_mixtures,
    rings,
    standard_normal,
    two_moons,
    wells,
}

pub use logistic_regression::LogisticRegression;
pub use banana::Banana;
pub use funnel::Funnel;
pub use gaussian::Gaussian;
pub use gaussian_mixture::Mixture;
pub use named_mixtures::{Gmm8, Gmm9, Gmm16, Gmm25, Gmm40, Gmm40Means, HardMixture, TwoModes};
pub use rings::{Rings, RingsMin};
pub use standard_normal::StandardNormal;
pub use two_moons::TwoMoons;
pub use wells::{DoubleWell, ManyWell, MultiWell};
