//! Sampling algorithms, one file each: settings, equations, implementation, tests.

mod adapt;
mod chains;
mod genealogy;
mod walkers;

retrograde_core::modules! {
    hmc,
    mala,
    smc,
    ula,
}

pub use hmc::Hmc;
pub use mala::Mala;
pub use smc::{Kernel, Precondition, Smc};
pub use ula::Ula;
