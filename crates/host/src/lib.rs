//! Finds, examines and loads plugins, and models that other tools compile.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`search`] | where plugins are looked for |
//! | [`preflight`](mod@preflight) | what can be said of a file before any of its code runs |
//! | [`digest`] | what an installation writes beside a plugin |
//! | `load`, `descriptor`, `params` | from a file to components of the registry |
//! | [`bridgestan`] | Stan models that BridgeStan compiled, as targets |

#![allow(unsafe_code, reason = "this crate calls code that it loads")]

pub mod check;
mod descriptor;
pub mod digest;
pub mod install;
mod load;
mod params;
pub mod preflight;
pub mod search;

retrograde_core::modules! {
    bridgestan,
}

pub use bridgestan::BridgeStan;
pub use digest::Sidecar;
pub use install::{How, Installed, There, install};
pub use load::{Loaded, Scanned, load, load_into, scan};
pub use preflight::{Preflight, preflight};
pub use search::{Candidates, Folders, Problem, Surroundings, candidates, user_folder};
