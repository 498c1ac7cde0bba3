//! The C types of the plugin interface: what a shared library and `retrograde` hand to one another.
//! `include/retrograde_plugin.h` is generated from this crate and is its reference for other languages.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`status`] | status codes, kinds, thread classes, capabilities, as constants |
//! | [`host`] | the services of the host |
//! | [`target`], [`process`], [`score`], [`sampler`] | the table of functions of each kind of component |
//! | [`plugin`] | components, their parameters, and the one symbol that a plugin exports |
//! | [`layout`] | where every field lies, checked here and, by a test, in C |
//!
//! What crosses: pointers, `size_t`, `uint32_t`, `uint64_t`, `int32_t`, `double`. Every table begins with
//! its size and grows at its end only, so that old and new work together.

#![no_std]
#![allow(
    non_camel_case_types,
    reason = "types have the names they have in the header"
)]

pub mod host;
pub mod layout;
pub mod plugin;
pub mod process;
pub mod sampler;
pub mod score;
pub mod status;
pub mod target;

pub use host::*;
pub use plugin::*;
pub use process::*;
pub use sampler::*;
pub use score::*;
pub use status::*;
pub use target::*;
