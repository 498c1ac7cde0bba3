//! Forward processes, one file each: source and equations, settings, implementation, tests.

retrograde_core::modules! {}
