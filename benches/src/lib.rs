//! Benchmarks live in `benches/`; here is what they measure with.

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

/// The median of the first thing, and that of the second over the first, by turns with this clock: what
/// holds the machine up for a while holds up both.
pub fn by_turns(
    turns: usize,
    clock: impl Fn(&mut dyn FnMut()) -> f64,
    mut first: impl FnMut(),
    mut second: impl FnMut(),
) -> (f64, f64) {
    let (mut times, mut ratios) = (Vec::new(), Vec::new());
    for turn in 0..turns {
        let (a, b) = if turn % 2 == 0 {
            let a = clock(&mut first);
            (a, clock(&mut second))
        } else {
            let b = clock(&mut second);
            (clock(&mut first), b)
        };
        times.push(a);
        ratios.push(b / a);
    }
    (median(times), median(ratios))
}
