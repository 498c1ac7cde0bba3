//! Forward processes, one file each: source and equations, settings, implementation, tests.

#[cfg(test)]
mod checks;
mod coordinates;
mod normal;

retrograde_core::modules! {
    cir,
    jacobi,
    polynomial_decay,
    stochastic_logistic,
}

pub use cir::Cir;
pub use jacobi::Jacobi;
pub use polynomial_decay::PolynomialDecay;
pub use stochastic_logistic::StochasticLogistic;
