//! Target densities: one file each, with value, gradient, exact log Z, moments and exact draws where
//! they exist.

mod point;

retrograde_core::modules! {
    gaussian,
    gaussian_mixture,
    named_mixtures,
    standard_normal,
}

pub use gaussian::Gaussian;
pub use gaussian_mixture::Mixture;
pub use named_mixtures::{Gmm8, Gmm9, Gmm16, Gmm25, Gmm40, Gmm40Means, HardMixture, TwoModes};
pub use standard_normal::StandardNormal;
