//! What crossing the boundary allocates: nothing, after the first step.

use crate::plugged::plug;
use crate::samplers::{plugged, skew};
use retrograde_abi::rg_target_vtable;
use retrograde_bridge::Foreign;
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{Draws, Flag, Flow, Result, Runtime, Sampler, Sink};
use retrograde_samplers::Ula;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

/// Counts what the calling thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator unchanged; the counter is a plain cell.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|c| c.set(c.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` above, that is from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|c| c.set(c.get() + 1));
        // SAFETY: as for `dealloc`, with the caller's contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Nothing;

impl Sink for Nothing {
    fn set_chains(&mut self, _: usize) -> Result {
        Ok(())
    }
    fn emit(&mut self, _: &Draws<'_>) -> Result {
        Ok(())
    }
    fn scalar(&mut self, _: &str, _: f64) {}
    fn record(&mut self, _: &str, _: &[(&str, f64)]) {}
    fn flag(&mut self, _: Flag) {}
    fn progress(&mut self, _: f64) {}
}

/// Allocations of each step.
fn steps(sampler: &dyn Sampler, n: usize) -> Vec<u64> {
    let mut runtime = Runtime::new(7, 1).unwrap();
    runtime.enter("sampler", 0, |cx| {
        let mut run = sampler.start(&mut cx.at("init", 0), n).unwrap();
        let mut steps = Vec::new();
        for step in 0.. {
            let before = ALLOCATIONS.get();
            let flow = run.step(&mut cx.at_step(step), &mut Nothing).unwrap();
            steps.push(ALLOCATIONS.get() - before);
            if flow == Flow::Done {
                return steps;
            }
        }
        unreachable!("it ends")
    })
}

#[test]
fn a_plugged_in_sampler_on_a_plugged_in_target_allocates_in_its_first_step_only() {
    let files = Folder::default();
    let target: Foreign<rg_target_vtable> = plug(skew());
    let parts = Parts::new(&files).with_target(Arc::new(target));
    let settings = "warmup = 400\nchains = 300\nstep_size = 0.02";
    let ula = plugged::<Ula>(settings, &parts).unwrap();
    let steps = steps(&ula, 300);
    assert!(steps.len() > 3, "{steps:?}");
    // The last step hands the draws over, whose names and columns are listed for the host.
    let (last, rest) = steps.split_last().unwrap();
    assert!(rest[1..].iter().all(|n| *n == 0), "{steps:?}");
    assert!(*last < 20, "{steps:?}");
}
