//! `draws.zarr`: the draws as a Zarr v3 directory that ArviZ 1.x opens as it is.
//!
//! ```text
//! draws.zarr/zarr.json              the job, and the metadata of all below in one piece
//!   posterior/<variable>            (chain, draw, …); `<variable>_dim_0`, … label further axes
//!   sample_stats/lp, diverging, …   (chain, draw); only the labels if the sampler has none
//! ```
//!
//! Weighted draws are kept raw in `weighted_posterior` and `weighted_sample_stats` (with
//! `log_weight`); `posterior` then holds as many draws, resampled from them systematically.
//!
//! Readers take all shapes from the root's `zarr.json`, which is replaced in one piece after the
//! chunks it tells of: a store that is read while the run goes on, or after a kill, is whole. The same
//! job gives the same bytes; `timing.json` has the times.
//!
//! Source: Zarr core specification, version 3; InferenceData schema, Kumar, Carroll, Hartikainen &
//! Martin (2019), J. Open Source Softw. 4, 1143.

mod tree;
mod variables;
mod writer;

pub(crate) use writer::Zarr;
