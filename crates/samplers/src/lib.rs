//! Sampling algorithms, one file each: settings, equations, implementation, tests.

mod adapt;
mod chains;
mod genealogy;
mod guided;
mod walkers;

retrograde_core::modules! {
    annealed_langevin,
    baoab,
    dilation,
    hmc,
    mala,
    smc,
    ula,
}

pub use annealed_langevin::AnnealedLangevin;
pub use baoab::Baoab;
pub use dilation::{Dilation, Rule, Schedule};
pub use hmc::Hmc;
pub use mala::Mala;
pub use smc::{Kernel, Precondition, Smc};
pub use ula::Ula;
