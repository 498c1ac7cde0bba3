//! Forward processes, one file each: source and equations, settings, implementation, tests.

mod checks;
mod coefficient;
mod coordinates;
mod dense;
mod noised;
mod normal;
#[cfg(test)]
mod probes;
mod separable;

retrograde_core::modules! {
    benes,
    cir,
    cosine,
    edm,
    flow_matching,
    jacobi,
    langevin,
    ou,
    polynomial_decay,
    stochastic_logistic,
    sub_vp,
    ve,
    vp,
    warped_ou,
}

pub use benes::Benes;
pub use cir::Cir;
pub use coefficient::Coefficient;
pub use cosine::Cosine;
pub use edm::Edm;
pub use flow_matching::FlowMatching;
pub use jacobi::Jacobi;
pub use langevin::{Langevin, Potential};
pub use ou::Ou;
pub use polynomial_decay::PolynomialDecay;
pub use stochastic_logistic::StochasticLogistic;
pub use sub_vp::SubVp;
pub use ve::{VarianceSchedule, Ve};
pub use vp::Vp;
pub use warped_ou::WarpedOu;
