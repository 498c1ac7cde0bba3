//! The host's own services: threads, cancel flag, log.

use crate::counts::Counts;
use crate::cx::{Cx, Level, Local, Services, Shared};
use crate::pace::Pace;
use crate::stream::Key;
use crate::{Error, Result, SimdLevel};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Asks a run to stop; clones share it. A request is one atomic operation.
///
/// The first request stops the run at the end of its step, so that nothing is lost; a further one
/// also inside a long step, whose work is then lost (a resumed run does it again).
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicUsize>);

impl Cancel {
    /// Asks the run to stop after its step; asked again, at the next chance.
    pub fn request(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it was asked to.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Whether it was asked to more than once: steps stop in their midst.
    #[must_use]
    pub fn urgent(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

type Log = Box<dyn Fn(Level, &str) + Send + Sync>;

struct HostServices {
    pool: Option<rayon::ThreadPool>,
    cancel: Cancel,
    log: Option<Log>,
    simd: SimdLevel,
}

impl Services for HostServices {
    fn cancelled(&self) -> bool {
        self.cancel.urgent()
    }

    fn log(&self, level: Level, message: &str) {
        if let Some(log) = &self.log {
            log(level, message);
        }
    }

    fn threads(&self) -> usize {
        self.pool
            .as_ref()
            .map_or(1, rayon::ThreadPool::current_num_threads)
    }

    fn simd(&self) -> SimdLevel {
        self.simd
    }

    fn fan_out(&self, jobs: usize, job: &(dyn Fn(usize, &dyn Services) + Sync)) {
        let job = |i| job(i, self);
        match &self.pool {
            Some(pool) => pool.install(|| (0..jobs).into_par_iter().with_max_len(1).for_each(job)),
            None => (0..jobs).for_each(job),
        }
    }
}

/// Owner of what a run needs: thread pool, cancel flag, counters, scratch, root key.
pub struct Runtime {
    services: HostServices,
    key: Key,
    local: Local,
    spare: Mutex<Vec<Local>>,
    pace: Pace,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("threads", &self.services.threads())
            .field("simd", &self.services.simd)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Runtime {
    /// A runtime for `seed` on `threads` threads; 0 = all that the machine has. Kernels use the best
    /// vector instructions of the machine.
    ///
    /// # Errors
    /// [`Error::Memory`] when the threads cannot be started.
    pub fn new(seed: u64, threads: usize) -> Result<Self> {
        let pool = if threads == 1 {
            None
        } else {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|i| format!("retrograde-{i}"))
                .build()
                .map_err(|e| Error::Memory {
                    what: format!("starting {threads} threads ({e})"),
                    bytes: 0,
                    advice: "ask for fewer `threads`".into(),
                })?;
            (pool.current_num_threads() > 1).then_some(pool)
        };
        Ok(Self {
            services: HostServices {
                pool,
                cancel: Cancel::default(),
                log: None,
                simd: SimdLevel::best(),
            },
            key: Key::from_seed(seed),
            local: Local::default(),
            spare: Mutex::default(),
            pace: Pace::default(),
        })
    }

    /// Uses that flag to stop runs.
    #[must_use]
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.services.cancel = cancel;
        self
    }

    /// Makes kernels use those vector instructions, for the same bits on unequal machines.
    #[must_use]
    pub fn with_simd(mut self, level: SimdLevel) -> Self {
        self.services.simd = level;
        self
    }

    /// Sends lines of log to `log`, from any thread.
    #[must_use]
    pub fn with_log(mut self, log: impl Fn(Level, &str) + Send + Sync + 'static) -> Self {
        self.services.log = Some(Box::new(log));
        self
    }

    /// The flag that stops a run.
    #[must_use]
    pub fn cancel(&self) -> Cancel {
        self.services.cancel.clone()
    }

    /// Threads in use.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.services.threads()
    }

    /// Vector instructions that kernels use.
    #[must_use]
    pub fn simd(&self) -> SimdLevel {
        self.services.simd
    }

    /// Evaluations so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.local.counts
    }

    /// Sets the counters, when a run is resumed.
    pub fn set_counts(&mut self, counts: Counts) {
        self.local.counts = counts;
    }

    /// Calls `f` with the root context of (`name`, `index`).
    pub fn enter<R>(&mut self, name: &str, index: u64, f: impl FnOnce(&mut Cx<'_>) -> R) -> R {
        let shared = Shared {
            services: &self.services,
            spare: &self.spare,
            pace: &self.pace,
        };
        let mut cx = Cx::new(&shared, &mut self.local, self.key.fold(name, index));
        f(&mut cx)
    }
}
