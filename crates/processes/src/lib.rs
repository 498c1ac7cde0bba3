//! Forward processes, one file each: source and equations, settings, implementation, tests.

mod checks;
mod coefficient;
mod dense;
mod separable;

retrograde_core::modules! {
    cosine,
    edm,
    flow_matching,
    ou,
    sub_vp,
    ve,
    vp,
}

pub use coefficient::Coefficient;
pub use cosine::Cosine;
pub use edm::Edm;
pub use flow_matching::FlowMatching;
pub use ou::Ou;
pub use sub_vp::SubVp;
pub use ve::{VarianceSchedule, Ve};
pub use vp::Vp;
