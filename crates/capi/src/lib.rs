//! The C interface of `retrograde`. `include/retrograde.h` is generated from this crate and is its
//! reference: who owns what, what may be NULL, what each function returns.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`status`] | names of status codes |
//! | [`version`] | version of the library and of its binary interface |
//! | [`error`] | the owned error object |
//! | [`context`] | the registry: count, names, descriptions, plugins |
//! | [`target`], [`callback`] | targets: of the registry, of functions and tables of the caller |
//! | [`process`], [`score`] | processes and scores on their own |
//! | [`sampler`], [`options`], [`cancel`] | runs in memory |
//! | [`job`] | whole jobs with their directory |
//! | [`result`](mod@result) | what a run gave |
//!
//! Every export goes through one helper that catches panics and turns errors into status codes.
//! The other helpers check the caller's pointers and strings.

#![allow(
    unsafe_code,
    reason = "a C interface takes the caller's word for what its pointers point to"
)]
#![allow(
    non_camel_case_types,
    reason = "types have the names they have in the header"
)]
#![allow(
    clippy::missing_safety_doc,
    reason = "the documentation is that of the header, and says of each pointer what it must be"
)]

pub mod callback;
pub mod cancel;
pub mod context;
pub mod error;
mod ffi;
pub mod job;
pub mod options;
pub mod process;
pub mod result;
pub mod sampler;
pub mod score;
pub mod status;
pub mod target;
pub mod version;

pub use callback::*;
pub use cancel::*;
pub use context::*;
pub use error::*;
pub use job::*;
pub use options::*;
pub use process::*;
pub use result::*;
pub use retrograde_abi as abi;
pub use sampler::*;
pub use score::*;
pub use status::*;
pub use target::*;
pub use version::*;
