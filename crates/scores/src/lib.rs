//! Scores ∇ log p_t of noised laws, one file each: source and equations, settings, implementation, tests.

mod noised;
#[cfg(test)]
mod test_processes;

retrograde_core::modules! {
    empirical,
    exact,
    reference,
}

pub use empirical::Empirical;
pub use exact::{Exact, exact};
pub use reference::Reference;
