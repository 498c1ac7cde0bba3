//! Finds, examines and loads plugins, and models that other tools compile.

#![allow(unsafe_code, reason = "this crate calls code that it loads")]

retrograde_core::modules! {
    bridgestan,
}

pub use bridgestan::BridgeStan;
