//! Benchmarks live in `benches/`; this library is empty on purpose.

use rustix::time::{ClockId, clock_gettime};

/// Seconds of processor time that `f` takes on this thread: what else the machine does counts for
/// nothing, so that ratios hold on a busy one.
pub fn timed(f: impl FnOnce()) -> f64 {
    let now = || {
        let t = clock_gettime(ClockId::ThreadCPUTime);
        t.tv_sec as f64 + 1e-9 * t.tv_nsec as f64
    };
    let started = now();
    f();
    now() - started
}

/// The median of times.
///
/// # Panics
/// Without any.
#[must_use]
pub fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
