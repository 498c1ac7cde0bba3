//! Forward processes, one file each: source and equations, settings, implementation, tests.

mod checks;
mod separable;

retrograde_core::modules! {
    vp,
}

pub use vp::Vp;
