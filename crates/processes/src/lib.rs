//! Forward processes, one file each: source and equations, settings, implementation, tests.

#[cfg(test)]
mod checks;
mod coordinates;
mod noised;
mod normal;

retrograde_core::modules! {
    benes,
    cir,
    jacobi,
    langevin,
    polynomial_decay,
    stochastic_logistic,
    warped_ou,
}

pub use benes::Benes;
pub use cir::Cir;
pub use jacobi::Jacobi;
pub use langevin::{Langevin, Potential};
pub use polynomial_decay::PolynomialDecay;
pub use stochastic_logistic::StochasticLogistic;
pub use warped_ou::WarpedOu;
