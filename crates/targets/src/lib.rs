//! Target densities: one file each, with value, gradient, exact log Z, moments and exact draws where
//! they exist.

mod point;

retrograde_core::modules! {
    standard_normal,
}

pub use standard_normal::StandardNormal;
