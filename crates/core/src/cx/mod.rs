//! The context of a call: random numbers, counters, scratch, cancel flag, fan-out of rows.

mod eval;
mod fan_out;
mod random;

pub(crate) use eval::not_finite;

use crate::counts::Counts;
use crate::pace::Pace;
use crate::stream::Key;
use crate::{Error, Result, SimdLevel};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Mutex;

/// Weight of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something a person should look at.
    Warn,
    /// Something worth knowing.
    Info,
    /// Detail.
    Debug,
}

/// What a context stands on: the host's own services, or those a plugin was handed.
pub trait Services: Sync {
    /// Whether the run was asked to stop even inside a step.
    fn cancelled(&self) -> bool;
    /// Takes a line of log.
    fn log(&self, level: Level, message: &str);
    /// Threads that [`fan_out`](Services::fan_out) may use, ≥ 1.
    fn threads(&self) -> usize;
    /// Vector instructions that kernels use.
    fn simd(&self) -> SimdLevel;
    /// Calls `job(i, services)` once for every i below `jobs`, in any order, on any threads, and returns
    /// when all are done. The services are those to use for that job.
    fn fan_out(&self, jobs: usize, job: &(dyn Fn(usize, &dyn Services) + Sync));
    /// The host's call that a plugin's context stands on; none in the host itself.
    fn call(&self) -> Option<NonNull<c_void>> {
        None
    }
}

/// Where a context stands in the random streams of a run, for contexts that are taken up on the other
/// side of a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The key.
    pub key: Key,
    /// Fills and streams that were taken from it.
    pub fills: u64,
    /// The row of the whole batch that is the context's first.
    pub row0: usize,
    /// The step, inside one.
    pub step: Option<u64>,
    /// Whether it is the context of a block, perhaps beside others.
    pub inside: bool,
}

/// What contexts keep from one call to the next: buffers that are used again, and how calls were best
/// spread.
#[derive(Debug, Default)]
pub struct Store {
    spare: Mutex<Vec<Local>>,
    pace: Pace,
}

impl Store {
    /// Calls `f` with a context on `services`, at `position`; gives what `f` gave, and the fills taken.
    pub fn enter<R>(
        &self,
        services: &dyn Services,
        position: Position,
        f: impl FnOnce(&mut Cx<'_>) -> R,
    ) -> (R, u64) {
        let spare = || lock(&self.spare);
        let mut local = spare().pop().unwrap_or_default();
        local.counts = Counts::default();
        let shared = Shared {
            services,
            spare: &self.spare,
            pace: &self.pace,
        };
        let mut cx = Cx {
            shared: &shared,
            local: &mut local,
            key: position.key,
            fills: position.fills,
            row0: position.row0,
            step: position.step,
            inside: position.inside,
        };
        let result = f(&mut cx);
        let fills = cx.fills;
        spare().push(local);
        (result, fills)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What a thread needs while it works on rows: counters and buffers that are used again.
#[derive(Debug, Default)]
pub(crate) struct Local {
    pub(crate) counts: Counts,
    buffers: Vec<Vec<f64>>,
}

/// What all contexts of a run share.
pub(crate) struct Shared<'a> {
    pub(crate) services: &'a dyn Services,
    pub(crate) spare: &'a Mutex<Vec<Local>>,
    pub(crate) pace: &'a Pace,
}

/// The context of a call. It lives as long as the call: never keep it.
pub struct Cx<'a> {
    pub(crate) shared: &'a Shared<'a>,
    pub(crate) local: &'a mut Local,
    key: Key,
    fills: u64,
    row0: usize,
    step: Option<u64>,
    /// On a block of rows, perhaps on another thread: fills and calls are not spread again.
    inside: bool,
}

impl std::fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cx")
            .field("key", &self.key)
            .field("row0", &self.row0)
            .finish_non_exhaustive()
    }
}

impl<'a> Cx<'a> {
    pub(crate) fn new(shared: &'a Shared<'a>, local: &'a mut Local, key: Key) -> Self {
        Self {
            shared,
            local,
            key,
            fills: 0,
            row0: 0,
            step: None,
            inside: false,
        }
    }

    /// The context under the child key (`name`, `index`), for one use of randomness: a fresh set
    /// of streams on the same counters, scratch and services.
    pub fn at(&mut self, name: &str, index: u64) -> Cx<'_> {
        Cx {
            shared: self.shared,
            local: self.local,
            key: self.key.fold(name, index),
            fills: 0,
            row0: self.row0,
            step: self.step,
            inside: self.inside,
        }
    }

    /// The context of the rows from `row` on, best a multiple of [`BLOCK`](crate::BLOCK): what is
    /// filled through it continues this context's streams there, so that work done on one run of
    /// rows after the other has the bits of work done on all at once. This context's next fill is
    /// that run's first again.
    pub fn from_row(&mut self, row: usize) -> Cx<'_> {
        Cx {
            shared: self.shared,
            local: self.local,
            key: self.key,
            fills: self.fills,
            row0: self.row0 + row,
            step: self.step,
            inside: self.inside,
        }
    }

    /// As [`at`](Cx::at), and marks failures from here on as those of step `step`.
    pub fn at_step(&mut self, step: u64) -> Cx<'_> {
        let mut cx = self.at("step", step);
        cx.step = Some(step);
        cx
    }

    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            key: self.key,
            fills: self.fills,
            row0: self.row0,
            step: self.step,
            inside: self.inside,
        }
    }

    /// Makes it stand elsewhere. Whether it is inside a block stays as it is.
    pub fn set_position(&mut self, position: Position) {
        self.key = position.key;
        self.fills = position.fills;
        self.row0 = position.row0;
        self.step = position.step;
    }

    /// Makes it the context of a block, or not, as that of the other side of a boundary is.
    #[doc(hidden)]
    pub fn set_inside(&mut self, inside: bool) {
        self.inside = inside;
    }

    /// The counters, for a context whose evaluations are counted on the other side of a boundary.
    #[doc(hidden)]
    pub fn counts_mut(&mut self) -> &mut Counts {
        &mut self.local.counts
    }

    /// The host's call that this context stands on; none in the host itself.
    #[must_use]
    pub fn call(&self) -> Option<NonNull<c_void>> {
        self.shared.services.call()
    }

    // ---- scratch --------------------------------------------------------------------------

    /// A buffer of `len` numbers, of unspecified content, that was used before if one is free.
    /// Hand it back with [`give`](Cx::give), so that the next step allocates nothing.
    #[must_use]
    pub fn take(&mut self, len: usize) -> Vec<f64> {
        // The smallest buffer that is large enough, so that a small request does not eat a large one.
        let buffers = &mut self.local.buffers;
        let fit = (0..buffers.len())
            .filter(|&i| buffers[i].capacity() >= len)
            .min_by_key(|&i| buffers[i].capacity());
        let mut buffer = fit.map_or_else(|| Vec::with_capacity(len), |i| buffers.swap_remove(i));
        buffer.resize(len, 0.0);
        buffer
    }

    /// Takes a buffer back.
    pub fn give(&mut self, buffer: Vec<f64>) {
        self.local.buffers.push(buffer);
    }

    // ---- host services --------------------------------------------------------------------

    /// Whether the run was asked to stop even inside a step.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.shared.services.cancelled()
    }

    /// [`Error::Cancelled`] once the run was asked to stop even inside a step; see
    /// [`Cancel`](crate::Cancel).
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn check_cancelled(&self) -> Result {
        if self.cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Takes a line of log.
    pub fn log(&self, level: Level, message: &str) {
        self.shared.services.log(level, message);
    }

    /// Evaluations counted so far through this context and its children.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.local.counts
    }

    /// Threads that [`rows`](Cx::rows) may use.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.shared.services.threads()
    }

    /// Calls `job(cx, i)` once for every i below `jobs`, over the threads; each has the context of row i,
    /// as if of a batch.
    ///
    /// # Errors
    /// The error of the first job that had one.
    pub fn jobs<F>(&mut self, jobs: usize, job: F) -> Result
    where
        F: Fn(&mut Cx<'_>, usize) -> Result + Sync,
    {
        self.blocks(jobs, 1, (), |cx, range, ()| job(cx, range.start))
    }

    /// Vector instructions that kernels use, so that a run's results do not depend on the machine.
    #[must_use]
    pub fn simd(&self) -> SimdLevel {
        self.shared.services.simd()
    }
}
