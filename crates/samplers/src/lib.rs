//! Sampling algorithms, one file each: settings, equations, implementation, tests.

mod chains;

retrograde_core::modules! {
    ula,
}

pub use ula::Ula;
