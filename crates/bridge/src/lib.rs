//! The two adapters between the traits of [`retrograde_core`] and the tables of [`retrograde_abi`], and
//! no third: host, C interface and plugins all use these.
//!
//! ```text
//! built-in ── export ──► (object, table) ──► plugin            a dependency of a plugin's sampler
//! plugin ──► (object, table) ── Foreign ──► dyn Target, …      a plugin's component in the host
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`foreign`] | `Foreign<table>`: a table that is a component |
//! | [`export`] | `Exported<dyn trait>`: a component that is a table |
//! | [`host`](mod@host) | the services of the host, and the call that they stand on |
//! | [`probe`] | single calls, for checks |
//! | [`remote`] | a context, and a sink, on the services of a host elsewhere |
//! | [`tables`] | tables of any size, read and looked over |

#![allow(unsafe_code)]

mod arrays;
mod call;
pub mod create;
pub mod export;
pub mod foreign;
pub mod host;
pub mod probe;
pub mod remote;
pub mod tables;

pub use call::{Settings, take_refusal};
pub use create::{create, lend, needs_bits, needs_of};
pub use export::{Exported, Side};
pub use foreign::{Foreign, Made};
pub use host::host;
