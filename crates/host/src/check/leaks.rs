//! Memory that does not come back.

use super::report::Desk;
use std::time::{Duration, Instant};

/// Times that something is done.
const TIMES: usize = 10_000;
/// Time that it may take; of what is slower, less is done.
const LONGEST: Duration = Duration::from_secs(4);
/// Growth that a leak has: so many bytes each time, and in all.
const EACH: f64 = 12.0;
const IN_ALL: f64 = 64.0 * 1024.0;
/// Growth at which nothing more need be tried, in bytes.
const ENOUGH: f64 = 256.0 * 1024.0 * 1024.0;
/// Parts that memory is measured after; in the second half of them a leak shows each time. What was free
/// before is used up in the first.
const PARTS: usize = 6;

/// Memory of this program that is in use, in bytes.
#[cfg(target_os = "linux")]
fn resident() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = text.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: asks for a constant of the system.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * page as f64)
}

#[cfg(not(target_os = "linux"))]
fn resident() -> Option<f64> {
    None
}

/// Does something 10 000 times, and looks at the memory.
///
/// # Errors
/// What it returns.
pub(crate) fn look(
    desk: &Desk<'_>,
    what: &str,
    mut work: impl FnMut() -> Result<(), String>,
) -> Result<(), String> {
    let began = Instant::now();
    let (mut times, start) = (0, resident());
    let much = || matches!((start, resident()), (Some(start), Some(now)) if now - start > ENOUGH);
    let mut repeat = |times: usize, until: Duration, done: &mut usize| -> Result<(), String> {
        for _ in 0..times {
            desk.at(what);
            work()?;
            *done += 1;
            if began.elapsed() > until || (done.is_multiple_of(64) && much()) {
                break;
            }
        }
        Ok(())
    };
    // What is made once is no leak.
    repeat(TIMES / 10, LONGEST / 5, &mut times)?;
    let mut sizes = vec![resident()];
    times = 0;
    for part in 1..=PARTS as u32 {
        let until = LONGEST / 5 + LONGEST * 4 / 5 * part / PARTS as u32;
        repeat(TIMES / PARTS, until, &mut times)?;
        sizes.push(resident());
    }
    let sizes: Option<Vec<f64>> = sizes.into_iter().collect();
    let Some(sizes) = sizes else {
        desk.ok(
            "leaks",
            format!("{what} {times} times; its memory cannot be measured here"),
        );
        return Ok(());
    };
    let late = &sizes[PARTS / 2..];
    let growth = late[late.len() - 1] - late[0];
    let times_then = times as f64 / 2.0;
    let steady = late.windows(2).all(|w| w[1] > w[0]);
    let leaks = steady && growth > IN_ALL && growth > EACH * times_then;
    let text = format!(
        "{what} {times} times: memory grew by {:.0} KiB{}",
        (sizes[PARTS] - sizes[0]) / 1024.0,
        if leaks {
            format!(", {:.0} bytes each time: it leaks", growth / times_then)
        } else {
            String::new()
        }
    );
    desk.judge("leaks", !leaks, text);
    Ok(())
}
