//! `report.html`: the report with its pictures, in one file that needs no network and no scripts.
//!
//! It holds nothing that differs between two runs of the same job: times are in `timing.json`.

mod page;

pub(crate) use page::{Stage, page};
