//! Finds, examines and loads plugins.

pub mod digest;
pub mod preflight;
pub mod search;

pub use digest::Sidecar;
pub use preflight::{Preflight, preflight};
pub use search::{Candidates, Folders, Problem, Surroundings, candidates, user_folder};
