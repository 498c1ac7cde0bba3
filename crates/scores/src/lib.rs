//! Scores ∇ log p_t of noised laws, one file each: source and equations, settings, implementation, tests.

retrograde_core::modules! {}
