//! Counts what the calling thread allocates, step by step: samplers of this crate's tests have parts of
//! several crates.

use retrograde::core::drive::{self, Checkpoint, Observer};
use retrograde::core::{Counts, Draws, Flag, Result, Runtime, Sampler, Sink};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator unchanged; the counter is a plain cell.
#[allow(unsafe_code)]
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

/// Keeps nothing, and notes how much each step allocated; `None` for one that had something to say.
struct Steps {
    spoke: bool,
    before: u64,
    each: Vec<Option<u64>>,
}

impl Sink for Steps {
    fn set_chains(&mut self, _: usize) -> Result {
        Ok(())
    }
    fn emit(&mut self, _: &Draws<'_>) -> Result {
        self.spoke = true;
        Ok(())
    }
    fn scalar(&mut self, _: &str, _: f64) {}
    fn record(&mut self, _: &str, _: &[(&str, f64)]) {}
    fn flag(&mut self, _: Flag) {
        self.spoke = true;
    }
    fn progress(&mut self, _: f64) {}
}

impl Observer for Steps {
    fn after_step(
        &mut self,
        _: u64,
        _: &Counts,
        _: &mut dyn FnMut() -> Result<Checkpoint>,
    ) -> Result {
        let now = ALLOCATIONS.with(Cell::get) - self.before;
        let spoke = std::mem::take(&mut self.spoke);
        self.each.push((!spoke).then_some(now));
        self.before = ALLOCATIONS.with(Cell::get);
        Ok(())
    }
}

/// Allocations of each step of a run on one thread, without those that flag something or hand over
/// draws.
pub(crate) fn per_step(sampler: &dyn Sampler, n: usize) -> Vec<Option<u64>> {
    let mut steps = Steps {
        spoke: false,
        before: ALLOCATIONS.with(Cell::get),
        each: Vec::with_capacity(10_000),
    };
    let mut runtime = Runtime::new(7, 1).expect("one thread");
    drive::drive(sampler, &mut runtime, n, None, &mut steps).expect("it runs");
    steps.each
}
