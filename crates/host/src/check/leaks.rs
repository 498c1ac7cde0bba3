//! Memory that does not come back.

use super::report::Desk;
use std::time::{Duration, Instant};

/// Times that something is done.
const TIMES: usize = 10_000;
/// Time that it may take; of what is slower, less is done.
const LONGEST: Duration = Duration::from_secs(4);
/// Growth that a leak has: so many bytes each time.
const EACH: f64 = 7.0;
/// Growth at which nothing more need be tried, in bytes.
const ENOUGH: f64 = 256.0 * 1024.0 * 1024.0;
/// Parts that memory is measured after; in the second half of them a leak shows each time. What was free
/// before is used up in the first.
const PARTS: usize = 6;

/// Memory of this program, in bytes.
#[derive(Clone, Copy)]
struct Memory {
    /// What the allocator of C has given out, which a leak of any size adds to.
    given: Option<f64>,
    /// What the system holds for the program, which leaks of other allocators add to.
    resident: Option<f64>,
}

impl Memory {
    fn now() -> Self {
        Self {
            given: given(),
            resident: resident(),
        }
    }
}

/// glibc 2.33 and later can tell.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn given() -> Option<f64> {
    // SAFETY: the name is NUL-terminated; the function of this name takes nothing and returns this.
    let info = unsafe {
        let address = libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr());
        if address.is_null() {
            return None;
        }
        std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> libc::mallinfo2>(address)()
    };
    Some(info.uordblks as f64 + info.hblkhd as f64)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn given() -> Option<f64> {
    None
}

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

/// Bytes that memory grew by, and those of each time if it leaks: it grew in each part of the second half,
/// by `least` bytes at least. `None` where it could not be measured.
fn growth(sizes: &[Option<f64>], times: usize, least: f64) -> Option<(f64, Option<f64>)> {
    let sizes: Vec<f64> = sizes.iter().copied().collect::<Option<_>>()?;
    let late = &sizes[sizes.len() / 2..];
    let grown = late[late.len() - 1] - late[0];
    let each = grown / (times as f64 / 2.0);
    let leaks = late.windows(2).all(|w| w[1] > w[0]) && grown > least && each > EACH;
    Some((sizes[sizes.len() - 1] - sizes[0], leaks.then_some(each)))
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
    let mut sizes = vec![Memory::now()];
    times = 0;
    for part in 1..=PARTS as u32 {
        let until = LONGEST / 5 + LONGEST * 4 / 5 * part / PARTS as u32;
        repeat(TIMES / PARTS, until, &mut times)?;
        sizes.push(Memory::now());
    }
    let of = |what: fn(&Memory) -> Option<f64>| -> Vec<_> { sizes.iter().map(what).collect() };
    // Pages come in tens of KiB; small pieces that are still in the allocator's hands count as given out.
    let given = growth(&of(|m| m.given), times, 8.0 * 1024.0);
    let resident = growth(&of(|m| m.resident), times, 64.0 * 1024.0);
    let told = match (given, resident) {
        (Some((_, None)), Some((_, Some(_)))) => resident,
        _ => given.or(resident),
    };
    let Some((grown, leak)) = told else {
        desk.ok(
            "leaks",
            format!("{what} {times} times; its memory cannot be measured here"),
        );
        return Ok(());
    };
    let mut text = format!(
        "{what} {times} times: memory grew by {:.0} KiB",
        grown / 1024.0
    );
    if let Some(each) = leak {
        text += &format!(", {each:.0} bytes each time: it leaks");
    }
    desk.judge("leaks", leak.is_none(), text);
    Ok(())
}
