//! Tests of the core through its public interface.

mod context;
mod limits;
mod process;
mod registry;
mod resume;
