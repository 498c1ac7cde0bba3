//! How a run is run: the options that a caller gives, and how far it is.

use crate::cancel::rg_cancel;
use crate::ffi::wrong;
use retrograde::Result;
use retrograde::core::{Cancel, Counts, SimdLevel};
use std::ffi::c_void;
use std::time::{Duration, Instant};

/// Of `flags` in rg_run_options: kernels use no more than the vector instructions that every machine of the
/// kind has, for the same bits on unequal machines.
pub const RG_RUN_BASELINE_SIMD: u32 = 1;
/// Of `flags` in rg_run_options: rg_job_run replaces a run directory that exists.
pub const RG_RUN_REPLACE: u32 = 2;

/// How far a run is. Later versions may append fields; `struct_size` tells which there are.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rg_progress {
    /// Size of this struct in bytes.
    pub struct_size: usize,
    /// Steps done.
    pub step: u64,
    /// Draws kept so far.
    pub n_draws: u64,
    /// Points at which the target, or its gradient, was evaluated so far.
    pub n_eval: u64,
    /// How much is done, 0 to 1; NaN before the sampler has said so.
    pub fraction: f64,
    /// Seconds since the function was called.
    pub elapsed_s: f64,
}

/// Called now and then while a run goes on, between two steps, on the thread that called the function that
/// runs. `p` is valid until it returns. A value other than 0 stops the run after this step, and sets the flag `cancel`
/// of its options if there is one; a run whose last step this was is complete all the same. It must not throw, nor jump
/// out.
pub type rg_progress_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, p: *const rg_progress) -> i32>;

/// How a run is run. Begin with `rg_run_options o = RG_RUN_OPTIONS_INIT;`, which has the size and the
/// defaults: seed 0, 4000 draws, all threads; those of the job for a job. A struct from an older header, which is shorter, is
/// as good.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rg_run_options {
    /// Size of this struct in bytes.
    pub struct_size: usize,
    /// Seed of all random numbers; 0 is a seed as any other. Jobs: 0 stands for the seed of the job.
    pub seed: u64,
    /// Draws in all; 0 stands for 4000. Jobs: 0 stands for those of the job.
    pub n_draws: usize,
    /// Threads, 1024 at most; 0 stands for all. They change no bits.
    pub n_threads: u32,
    /// RG_RUN_ bits, or-ed.
    pub flags: u32,
    /// Called with how far the run is; may be NULL.
    pub progress: rg_progress_fn,
    /// Handed to `progress` as it is.
    pub progress_user: *mut c_void,
    /// Flag that stops the run; may be NULL. Must live until the function returns.
    pub cancel: *const rg_cancel,
    /// Least time between two calls of `progress`, in ms; 0 stands for 100.
    pub progress_ms: u32,
    /// 0.
    pub reserved: u32,
}

/// More are no faster on any machine, and take their time to start.
const MOST_THREADS: u32 = 1024;

/// Draws of a run in memory.
const DRAWS: usize = 4000;

impl Default for rg_run_options {
    fn default() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            seed: 0,
            n_draws: 0,
            n_threads: 0,
            flags: 0,
            progress: None,
            progress_user: std::ptr::null_mut(),
            cancel: std::ptr::null(),
            progress_ms: 0,
            reserved: 0,
        }
    }
}

/// The options that were given, all defaults for NULL.
///
/// # Safety
/// NULL, or a struct of the size that it tells.
pub(crate) unsafe fn read(given: *const rg_run_options, function: &str) -> Result<rg_run_options> {
    let mut options = rg_run_options::default();
    if given.is_null() {
        return Ok(options);
    }
    if !given.is_aligned() {
        let text = "at an odd address".to_owned();
        return Err(wrong(function, "options", text, "aligned to 8 bytes"));
    }
    // SAFETY: not NULL; its size lies there.
    let size = unsafe { given.cast::<usize>().read() };
    let least = std::mem::offset_of!(rg_run_options, progress_ms);
    if size < least || size > 4096 {
        return Err(wrong(
            function,
            "options->struct_size",
            size.to_string(),
            "sizeof(rg_run_options): begin with RG_RUN_OPTIONS_INIT",
        ));
    }
    // SAFETY: as many bytes on both sides; any bytes are a value of the fields, but for `progress`, which
    // is NULL or a function by contract.
    unsafe {
        std::ptr::copy_nonoverlapping(
            given.cast::<u8>(),
            (&raw mut options).cast::<u8>(),
            size.min(size_of::<rg_run_options>()),
        );
    }
    let known = RG_RUN_BASELINE_SIMD | RG_RUN_REPLACE;
    if options.flags & !known != 0 {
        let given = format!("{:#x}", options.flags);
        return Err(wrong(function, "options->flags", given, "RG_RUN_ bits"));
    }
    if options.n_threads > MOST_THREADS {
        let (given, allowed) = (
            options.n_threads.to_string(),
            format!("at most {MOST_THREADS}"),
        );
        return Err(wrong(function, "options->n_threads", given, &allowed));
    }
    if options.reserved != 0 {
        let given = options.reserved.to_string();
        return Err(wrong(function, "options->reserved", given, "0"));
    }
    Ok(options)
}

impl rg_run_options {
    pub(crate) fn threads(&self) -> usize {
        self.n_threads as usize
    }

    pub(crate) fn simd(&self) -> SimdLevel {
        if self.flags & RG_RUN_BASELINE_SIMD != 0 {
            SimdLevel::baseline()
        } else {
            SimdLevel::best()
        }
    }

    /// The caller's flag, or one of the run's own.
    ///
    /// # Safety
    /// `cancel` is NULL or a flag that lives.
    pub(crate) unsafe fn cancel(&self) -> Cancel {
        // SAFETY: by contract.
        let given = unsafe { self.cancel.as_ref() };
        given.map(|c| c.cancel.clone()).unwrap_or_default()
    }

    pub(crate) fn draws(&self) -> usize {
        match self.n_draws {
            0 => DRAWS,
            n => n,
        }
    }
}

/// Tells the caller how far a run is, not too often.
pub(crate) struct Watch {
    progress: rg_progress_fn,
    user: *mut c_void,
    every: Duration,
    began: Instant,
    last: Option<Instant>,
    /// Whether the caller wants it to stop.
    pub(crate) stop: bool,
}

impl Watch {
    pub(crate) fn new(options: &rg_run_options) -> Self {
        let ms = match options.progress_ms {
            0 => 100,
            ms => ms,
        };
        Self {
            progress: options.progress,
            user: options.progress_user,
            every: Duration::from_millis(ms.into()),
            began: Instant::now(),
            last: None,
            stop: false,
        }
    }

    pub(crate) fn step(&mut self, step: u64, draws: u64, fraction: Option<f64>, counts: &Counts) {
        let Some(progress) = self.progress else {
            return;
        };
        if self.last.is_some_and(|l| l.elapsed() < self.every) {
            return;
        }
        self.last = Some(Instant::now());
        let told = rg_progress {
            struct_size: size_of::<rg_progress>(),
            step,
            n_draws: draws,
            n_eval: counts.rows,
            fraction: fraction.unwrap_or(f64::NAN),
            elapsed_s: self.began.elapsed().as_secs_f64(),
        };
        // SAFETY: the caller's function with the caller's pointer, on the caller's thread.
        self.stop |= unsafe { progress(self.user, &raw const told) } != 0;
    }
}
