//! Finds, examines and loads plugins.

#![allow(unsafe_code)]

pub mod check;
mod descriptor;
pub mod digest;
mod load;
mod params;
pub mod preflight;
pub mod search;

pub use digest::Sidecar;
pub use load::{Loaded, Scanned, load, load_into, scan};
pub use preflight::{Preflight, preflight};
pub use search::{Candidates, Folders, Problem, Surroundings, candidates, user_folder};
