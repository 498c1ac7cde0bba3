//! Tests of the core through its public interface.

mod check;
mod context;
mod limits;
mod process;
mod registry;
mod resume;
mod tails;
