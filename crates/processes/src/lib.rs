//! Forward processes, one file each: source and equations, settings, implementation, tests.

mod checks;
mod coordinates;
mod noised;
mod normal;
mod separable;

retrograde_core::modules! {
    benes,
    cir,
    jacobi,
    polynomial_decay,
    stochastic_logistic,
    vp,
}

pub use benes::Benes;
pub use cir::Cir;
pub use jacobi::Jacobi;
pub use polynomial_decay::PolynomialDecay;
pub use stochastic_logistic::StochasticLogistic;
pub use vp::Vp;
