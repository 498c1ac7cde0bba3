//! Sampling algorithms, one file each: settings, equations, implementation, tests.

mod adapt;
mod chains;
mod walkers;

retrograde_core::modules! {
    hmc,
    mala,
    ula,
}

pub use hmc::Hmc;
pub use mala::Mala;
pub use ula::Ula;
