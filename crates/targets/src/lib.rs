//! Target densities: one file each, with value, gradient, exact log Z, moments and exact draws where
//! they exist.

mod dense;
mod point;
mod table;

retrograde_core::modules! {
    log_gaussian_cox,
    logistic_regression,
    standard_normal,
}

pub use log_gaussian_cox::LogGaussianCox;
pub use logistic_regression::LogisticRegression;
pub use standard_normal::StandardNormal;
