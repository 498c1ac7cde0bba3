//! How finely calls are split over threads, by what earlier ones of their size took. It changes no
//! result: only row-wise, deterministic calls are split by it.
//!
//! Threads need not pay even where a call is long: a batch on one thread may read a large matrix
//! once for all its rows, and a busy machine wakes threads late. So short calls are tried both ways,
//! and the faster way is kept, with another try of the slower one now and then.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A job shorter than this costs more to hand over than it saves.
const JOB_NS: u64 = 100_000;
/// A call with more work than this is not tried on one thread: that could take minutes.
const LONG_NS: u64 = 10_000_000;
/// Calls from one try of the slower way to the next.
const AGAIN: u64 = 64;

/// What calls of one size took, in picoseconds a row; 0 = unknown.
#[derive(Debug, Default)]
struct Size {
    serial: AtomicU64,
    spread: AtomicU64,
    calls: AtomicU64,
}

/// What calls took, by the binary logarithm of their rows.
#[derive(Debug, Default)]
pub(crate) struct Pace([Size; 32]);

impl Pace {
    fn size(&self, n: usize) -> &Size {
        &self.0[n.max(1).ilog2().min(31) as usize]
    }

    /// Jobs for a call with `n` rows on `threads` threads.
    pub(crate) fn jobs(&self, n: usize, threads: usize) -> usize {
        let size = self.size(n);
        let most = (4 * threads).min(n).max(1);
        let (serial, spread) = (size.serial.load(Relaxed), size.spread.load(Relaxed));
        let call = size.calls.fetch_add(1, Relaxed);
        let row = match serial {
            0 => spread.saturating_mul(threads.min(n) as u64),
            known => known,
        };
        if row == 0 {
            return most;
        }
        let work = row.saturating_mul(n as u64) / 1000;
        let jobs = usize::try_from(work / JOB_NS).map_or(most, |jobs| jobs.clamp(1, most));
        let alone = match (serial, spread) {
            _ if jobs == 1 => true,
            (0, _) => work < LONG_NS,
            (_, 0) => false,
            _ => {
                let alone = serial < spread;
                let again = call.is_multiple_of(AGAIN) && (alone || work < LONG_NS);
                alone != again
            }
        };
        if alone { 1 } else { jobs }
    }

    /// Takes what a call with `n` rows in `jobs` jobs took.
    pub(crate) fn took(&self, n: usize, jobs: usize, ns: u64) {
        let size = self.size(n);
        let known = if jobs == 1 {
            &size.serial
        } else {
            &size.spread
        };
        let now = (ns.saturating_mul(1000) / n.max(1) as u64).max(1);
        let before = known.load(Relaxed);
        // A call that was held up says little, a fast one what is possible.
        let value = match before {
            0 => now,
            _ if now < before => before.midpoint(now),
            _ => before + (now.min(before.saturating_mul(4)) - before) / 8,
        };
        known.store(value, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Share of calls that are spread, of the last 640 of 1280, where `cost(jobs)` is what one takes.
    fn spread_share(pace: &Pace, n: usize, cost: impl Fn(usize, u32) -> u64) -> f64 {
        let mut spread = 0;
        for call in 0..1280 {
            let jobs = pace.jobs(n, 2);
            pace.took(n, jobs, cost(jobs, call));
            spread += u32::from(call >= 640 && jobs > 1);
        }
        f64::from(spread) / 640.0
    }

    #[test]
    fn the_faster_way_is_kept() {
        // Half a millisecond: on two threads 270 µs, or 1.2 ms where rows share what they read.
        let good = |jobs, _| if jobs > 1 { 270_000 } else { 500_000 };
        let bad = |jobs, _| if jobs > 1 { 1_200_000 } else { 500_000 };
        let pace = Pace::default();
        assert!(spread_share(&pace, 4, good) > 0.97);
        assert!(spread_share(&Pace::default(), 4, bad) < 0.03);
        // The machine changes; another size is not concerned.
        assert!(spread_share(&pace, 4, bad) < 0.03);
        assert!(spread_share(&pace, 1000, good) > 0.97);
        assert!(spread_share(&pace, 4, good) > 0.97);
    }

    #[test]
    fn calls_that_are_held_up_now_and_then_do_not_turn_the_choice() {
        let late = |jobs, call| {
            let held = if call % 7 == 0 { 5_000_000 } else { 0 };
            held + if jobs > 1 { 270_000 } else { 500_000 }
        };
        assert!(spread_share(&Pace::default(), 4, late) > 0.9);
    }

    #[test]
    fn short_calls_stay_on_one_thread_and_long_ones_are_never_tried_there() {
        assert!(
            spread_share(&Pace::default(), 4, |jobs, _| if jobs > 1 {
                40_000
            } else {
                9000
            }) < 1e-9
        );
        let long = |jobs, _| {
            if jobs > 1 {
                40_000_000
            } else {
                panic!("on one thread")
            }
        };
        assert!(spread_share(&Pace::default(), 8, long) > 0.999);
    }
}
