//! Tests of the core through its public interface.

mod context;
mod process;
mod registry;
mod resume;
