//! Scores ∇ log p_t of noised laws, one file each: source and equations, settings, implementation, tests.

mod check;
mod noised;
pub mod preconditioning;
#[cfg(test)]
mod test_forward;
#[cfg(test)]
mod test_processes;

retrograde_core::modules! {
    empirical,
    exact,
    fokker_planck,
    monte_carlo,
    particle,
    perturbed,
    reference,
}

pub use check::{ScoreReport, StatedCheck, check_score};
pub use empirical::Empirical;
pub use exact::{Exact, exact};
pub use fokker_planck::{FokkerPlanck, GridScore};
pub use monte_carlo::{Estimator, Method, MonteCarlo};
pub use particle::Particle;
pub use perturbed::{ErrorProfile, Perturbed};
pub use reference::Reference;
