//! Target densities: one file each, with value, gradient, exact log Z, moments and exact draws where
//! they exist.

mod point;
mod table;

retrograde_core::modules! {
    logistic_regression,
    standard_normal,
}

pub use logistic_regression::LogisticRegression;
pub use standard_normal::StandardNormal;
