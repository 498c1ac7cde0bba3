//! Write a plugin in Rust.
