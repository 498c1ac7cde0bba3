//! A plugin in Rust: a forward process, a target and two samplers.
//!
//! | component | what it is |
//! | --- | --- |
//! | process `birth-death` | molecules that are made and decay, as a chemical Langevin equation |
//! | target `student-t` | Student's t in d dimensions, with names, Hessian products and an output |
//! | sampler `slice` | slice sampling, coordinate by coordinate |
//! | sampler `ula` | the built-in of that name, exported without a change |

mod birth_death;
mod slice;
mod student_t;
#[cfg(test)]
mod tests;

use birth_death::BirthDeath;
use retrograde_plugin::export_plugin;
use retrograde_samplers::ula::Ula;
use slice::Slice;
use student_t::StudentT;

export_plugin! {
    "demo-rust", license "MIT OR Apache-2.0";
    process "birth-death" => BirthDeath, needs TARGET,
        summary "Birth and death of molecules as a chemical Langevin equation, noise that depends on x",
        source "Gillespie (2000), J. Chem. Phys. 113, 297";
    target "student-t" => StudentT, needs NOTHING,
        summary "Student's t in d dimensions, round, without its normalising constant",
        source "Kotz & Nadarajah (2004), Multivariate t Distributions and Their Applications";
    sampler "slice" => Slice, needs DENSITY,
        summary "Slice sampling coordinate by coordinate: exact, without gradients, nothing to tune",
        source "Neal (2003), Ann. Statist. 31, 705";
    sampler "ula" => Ula, needs GRADIENT,
        summary "Unadjusted Langevin chains: the built-in `ula`, as a plugin",
        source "Durmus & Moulines (2017), arXiv:1507.05021";
}
