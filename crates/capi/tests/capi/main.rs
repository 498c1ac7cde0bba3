//! The C interface from outside.
//!
//! `abuse` calls the exports from Rust as a C program would, bad calls above all. `header`, `count` and
//! `programs` need a C and a C++ compiler, and fail with a sentence if there is none; `julia` needs Julia, and says so if it is
//! not there.

#![allow(unsafe_code, reason = "these tests call a C interface")]

mod abuse;
mod count;
mod header;
#[cfg(target_os = "linux")]
mod install;
mod julia;
mod programs;
