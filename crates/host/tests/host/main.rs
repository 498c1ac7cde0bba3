//! What the host finds, examines and loads, from outside.

#![allow(unsafe_code, reason = "these tests look into what they load")]

mod bridgestan;
#[cfg(target_os = "linux")]
mod check;
#[cfg(target_os = "linux")]
mod check_faults;
#[cfg(target_os = "linux")]
mod descriptors;
mod digest;
mod formats;
#[cfg(target_os = "linux")]
mod installing;
#[cfg(target_os = "linux")]
mod libraries;
#[cfg(target_os = "linux")]
mod loading;
#[cfg(target_os = "linux")]
mod mutations;
#[cfg(target_os = "linux")]
mod parameters;
#[cfg(target_os = "linux")]
mod preflight;
#[cfg(unix)]
mod search;

use std::path::PathBuf;

/// An empty folder for one test, which nobody else may write to.
fn workshop(name: &str) -> PathBuf {
    let folder = retrograde_testkit::compiler::workshop(
        env!("CARGO_TARGET_TMPDIR"),
        &format!("host-{name}"),
    );
    #[cfg(unix)]
    mode(&folder, 0o755);
    folder.canonicalize().unwrap()
}

/// Sets the permission bits.
#[cfg(unix)]
fn mode(path: &std::path::Path, bits: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
}

/// SplitMix64 (Steele, Lea & Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    /// Overwrites 1, 2, 4 or 8 bytes somewhere, with a value that likes to break things.
    fn wound(&mut self, bytes: &mut [u8]) {
        let width = 1 << self.below(4);
        let length = bytes.len() as u64;
        let value = match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << 63,
            3 => length,
            4 => length - 1,
            5 => u64::from(u32::MAX) - self.below(64) as u64,
            6 => self.next(),
            _ => self.next() % (2 * length),
        };
        if bytes.len() < width {
            return;
        }
        // Most of what is read lies at the beginning.
        let span = bytes.len() - width + 1;
        let span = if self.below(3) > 0 {
            span.min(2048)
        } else {
            span
        };
        let at = self.below(span);
        bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    }
}
