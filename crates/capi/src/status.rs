//! The names of status codes. The codes themselves, and the kinds of component, are those of the plugin
//! interface, whose header this one includes.

use crate::ffi::guard;
use retrograde_abi::*;
use std::ffi::c_char;

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
