//! Components together: targets of one crate under samplers of another, found by name.

mod allocations;
mod corners;
mod diffusion;
mod dilation;
mod evidence;
mod pdds;
mod registry;
mod run;
mod scores;
mod tails;
mod tempering;
mod training_free;

use retrograde::core::registry::{Folder, Parts};
use retrograde::core::{
    Collected, Component, Counts, Kind, Registry, Runtime, Target, drive::drive,
};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// The folder of the shipped data.
fn data() -> Folder {
    Folder(PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/data"
    )))
}

/// The target `kind` with these settings.
fn target(kind: &str, settings: Value) -> Arc<dyn Target> {
    let registry = retrograde::registry().expect("names are unique");
    let files = data();
    registry
        .target(kind, settings, &Parts::new(&files))
        .unwrap_or_else(|e| panic!("{kind}: {e}"))
}

/// The targets that need nothing of the user's, such as a compiled model.
fn targets(registry: &Registry) -> impl Iterator<Item = &Component> {
    registry.of(Kind::Target).filter(|c| c.name != "bridgestan")
}

/// A run of the sampler `kind` with these settings.
fn sample(
    target: &Arc<dyn Target>,
    kind: &str,
    settings: Value,
    n: usize,
    seed: u64,
) -> (Collected, Counts) {
    let registry = retrograde::registry().expect("names are unique");
    let files = data();
    let parts = Parts::new(&files).with_target(target.clone());
    let sampler = registry
        .sampler(kind, settings, &parts)
        .unwrap_or_else(|e| panic!("{kind}: {e}"));
    let mut runtime = Runtime::new(seed, 0).expect("threads start");
    let mut sink = Collected::new(target.dim());
    let outcome = drive(sampler.as_ref(), &mut runtime, n, None, &mut sink);
    assert!(outcome.unwrap_or_else(|e| panic!("{kind}: {e}")).complete);
    (sink, runtime.counts().clone())
}
