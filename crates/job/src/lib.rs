//! Jobs in TOML: checked plan, run, run directory, checkpoints, report.

pub mod config;
