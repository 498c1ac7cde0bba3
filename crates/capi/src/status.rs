//! Status codes and kinds of component. They are written out, for the header is made from this
//! text; a test compares them with [`Status`](retrograde::core::Status).

use crate::ffi::guard;
use std::ffi::c_char;

/// What a function returns: RG_OK, or one of the RG_ERR_ codes. The values never change; later
/// versions may add some.
pub type rg_status = i32;

/// Success.
pub const RG_OK: rg_status = 0;
/// A pointer that must not be NULL is NULL.
pub const RG_ERR_NULL: rg_status = 1;
/// An argument is out of its range.
pub const RG_ERR_ARG: rg_status = 2;
/// A dimension, length or stride does not fit.
pub const RG_ERR_DIM: rg_status = 3;
/// A string is not valid UTF-8.
pub const RG_ERR_UTF8: rg_status = 4;
/// A setting or a data file is wrong.
pub const RG_ERR_CONFIG: rg_status = 5;
/// No component, key or file of that name.
pub const RG_ERR_NOT_FOUND: rg_status = 6;
/// The component lacks the ability that was asked for.
pub const RG_ERR_UNSUPPORTED: rg_status = 7;
/// The caller's buffer is too small.
pub const RG_ERR_BUFFER: rg_status = 8;
/// Versions of the binary interface do not fit.
pub const RG_ERR_ABI: rg_status = 9;
/// A plugin could not be loaded or broke its contract.
pub const RG_ERR_PLUGIN: rg_status = 10;
/// A callback or plugin function returned an error of its own.
pub const RG_ERR_CALLBACK: rg_status = 11;
/// A number is not finite where it must be, or a method broke down numerically.
pub const RG_ERR_NUMERIC: rg_status = 12;
/// The run was cancelled.
pub const RG_ERR_CANCELLED: rg_status = 13;
/// A component was called on a thread it may not be called on.
pub const RG_ERR_THREAD: rg_status = 14;
/// Reading or writing failed.
pub const RG_ERR_IO: rg_status = 15;
/// Memory could not be had.
pub const RG_ERR_MEMORY: rg_status = 16;
/// A panic was caught at a boundary.
pub const RG_ERR_PANIC: rg_status = 17;
/// The object was left in an unknown state by an earlier panic.
pub const RG_ERR_POISONED: rg_status = 18;
/// The result is of a run that did not finish.
pub const RG_ERR_INCOMPLETE: rg_status = 19;
/// The object is in use.
pub const RG_ERR_BUSY: rg_status = 20;

/// Kind of component: a density.
pub const RG_KIND_TARGET: i32 = 1;
/// Kind of component: a forward process.
pub const RG_KIND_PROCESS: i32 = 2;
/// Kind of component: a score, the gradient of the log density at a time of the process.
pub const RG_KIND_SCORE: i32 = 3;
/// Kind of component: a sampler.
pub const RG_KIND_SAMPLER: i32 = 4;

/// The name of a status code, for example "RG_ERR_DIM".
///
/// `code`: any number; for one that is no status the name is "unknown status".
/// Returns NUL-terminated ASCII, never NULL, which lives as long as the library; not to be freed.
/// Threads: any, also several at once.
#[unsafe(no_mangle)]
pub extern "C" fn rg_status_name(code: rg_status) -> *const c_char {
    guard(c"".as_ptr(), || {
        let name = match code {
            RG_OK => c"RG_OK",
            RG_ERR_NULL => c"RG_ERR_NULL",
            RG_ERR_ARG => c"RG_ERR_ARG",
            RG_ERR_DIM => c"RG_ERR_DIM",
            RG_ERR_UTF8 => c"RG_ERR_UTF8",
            RG_ERR_CONFIG => c"RG_ERR_CONFIG",
            RG_ERR_NOT_FOUND => c"RG_ERR_NOT_FOUND",
            RG_ERR_UNSUPPORTED => c"RG_ERR_UNSUPPORTED",
            RG_ERR_BUFFER => c"RG_ERR_BUFFER",
            RG_ERR_ABI => c"RG_ERR_ABI",
            RG_ERR_PLUGIN => c"RG_ERR_PLUGIN",
            RG_ERR_CALLBACK => c"RG_ERR_CALLBACK",
            RG_ERR_NUMERIC => c"RG_ERR_NUMERIC",
            RG_ERR_CANCELLED => c"RG_ERR_CANCELLED",
            RG_ERR_THREAD => c"RG_ERR_THREAD",
            RG_ERR_IO => c"RG_ERR_IO",
            RG_ERR_MEMORY => c"RG_ERR_MEMORY",
            RG_ERR_PANIC => c"RG_ERR_PANIC",
            RG_ERR_POISONED => c"RG_ERR_POISONED",
            RG_ERR_INCOMPLETE => c"RG_ERR_INCOMPLETE",
            RG_ERR_BUSY => c"RG_ERR_BUSY",
            _ => c"unknown status",
        };
        name.as_ptr()
    })
}
