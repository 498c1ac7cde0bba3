//! Versions: of the library, and of its binary interface, which is what a program depends on.

use crate::ffi::guard;
use retrograde_abi::{RG_ERR_ABI, RG_ERR_NULL, RG_ERR_PANIC, RG_OK, rg_host, rg_status};
use std::ffi::{CStr, c_char};

/// Version of the binary interface this header describes. Programs built for another one do not
/// work with this library. While the library is 0.x it changes with each minor release.
pub const RG_ABI: u32 = 0;
/// Counts the additions to the binary interface RG_ABI. A library with a larger one serves
/// programs built for a smaller one.
pub const RG_ABI_MINOR: u32 = 1;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version holds no NUL"),
    };

/// The version of the library, for example "0.1.0".
///
/// Returns NUL-terminated ASCII, never NULL, which lives as long as the library; not to be freed.
/// Threads: any, also several at once.
#[unsafe(no_mangle)]
pub extern "C" fn rg_version() -> *const c_char {
    guard(c"".as_ptr(), || VERSION.as_ptr())
}

/// Whether this library serves a program built with this header: call it first, as
/// rg_check_abi(RG_ABI, RG_ABI_MINOR, buf, sizeof buf).
///
/// `abi`, `minor`: RG_ABI and RG_ABI_MINOR as the program was compiled with them.
/// `buf`: room for `cap` bytes; may be NULL if `cap` is 0. If the answer is RG_ERR_ABI it gets a
/// sentence with both versions, or "" if that does not fit (256 bytes always do); otherwise "".
/// `cap`: size of `buf` in bytes.
/// Returns RG_OK if `abi` is the library's and `minor` is not above the library's; otherwise
/// RG_ERR_ABI. RG_ERR_NULL if `buf` is NULL and `cap` is not 0.
/// Threads: any, also several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_check_abi(
    abi: u32,
    minor: u32,
    buf: *mut c_char,
    cap: usize,
) -> rg_status {
    guard(RG_ERR_PANIC, || {
        if buf.is_null() && cap > 0 {
            return RG_ERR_NULL;
        }
        let (status, sentence) = judge(abi, minor);
        // Half a sentence would mislead, and an unterminated buffer would crash who prints it.
        let shown = if sentence.len() < cap {
            sentence.as_str()
        } else {
            ""
        };
        if cap > 0 {
            // SAFETY: `buf` is not NULL and has room for `cap` bytes by contract; `shown` and its
            // NUL fit.
            unsafe {
                let buf = buf.cast::<u8>();
                buf.copy_from_nonoverlapping(shown.as_ptr(), shown.len());
                buf.add(shown.len()).write(0);
            }
        }
        status
    })
}

fn judge(abi: u32, minor: u32) -> (rg_status, String) {
    if abi == RG_ABI && minor <= RG_ABI_MINOR {
        return (RG_OK, String::new());
    }
    let advice = if abi == RG_ABI {
        "install a newer library"
    } else {
        "compile the program again with the library's header"
    };
    let sentence = format!(
        "the program was built for version {abi}.{minor} of the binary interface, but retrograde {} has {RG_ABI}.{RG_ABI_MINOR}; {advice}",
        env!("CARGO_PKG_VERSION")
    );
    (RG_ERR_ABI, sentence)
}

/// The services that tables of a caller (rg_target_from_vtable and the like) use in their functions: random
/// numbers, errors with a text, flags. They stand on the rg_call that a function gets.
///
/// Returns a table that is valid as long as the program runs; never NULL.
/// Threads: any, also several at once.
#[unsafe(no_mangle)]
pub extern "C" fn rg_host_services() -> *const rg_host {
    guard(std::ptr::null(), || {
        std::ptr::from_ref(retrograde_bridge::host())
    })
}
