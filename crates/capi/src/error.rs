//! The error object: a code, a message and its causes, owned by the caller.

use crate::ffi::guard;
use retrograde_abi::{RG_ERR_PANIC, RG_OK, rg_status};
use std::error::Error as _;
use std::ffi::{CString, c_char};
use std::fmt::Write;

/// What went wrong in one call: a status code, a sentence, and its causes. A function that fails
/// makes one if it is given a place for it; the caller frees it with rg_error_free. It belongs to
/// no context, may outlive every other object, and may be read on any thread.
#[derive(Debug)]
pub struct rg_error {
    code: rg_status,
    message: CString,
    detail: CString,
}

impl rg_error {
    pub(crate) fn new(error: &retrograde::Error) -> Self {
        let message = error.to_string();
        let mut detail = message.clone();
        let mut cause = error.source();
        while let Some(c) = cause {
            let _ = write!(detail, "\ncaused by: {c}");
            cause = c.source();
        }
        Self {
            code: error.status() as rg_status,
            message: c_string(&message),
            detail: c_string(&detail),
        }
    }
}

/// A NUL inside would end the string early; the mark of a character that cannot be shown replaces it.
fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{FFFD}")).unwrap_or_default()
}

/// The status code of an error: what the function that failed returned.
///
/// `e`: an error, or NULL, which stands for no error.
/// Returns its code; RG_OK for NULL.
/// Threads: any, also several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_error_code(e: *const rg_error) -> rg_status {
    // SAFETY: the caller hands in NULL or an error that was not freed.
    let e = unsafe { e.as_ref() };
    guard(RG_ERR_PANIC, || e.map_or(RG_OK, |e| e.code))
}

/// What went wrong: one sentence that names the argument or component, what was given and what
/// would be right.
///
/// `e`: an error, or NULL, which stands for no error.
/// Returns NUL-terminated UTF-8, never NULL: "" for NULL. The error owns it: it is valid until
/// rg_error_free(e) and must not be freed on its own.
/// Threads: any, also several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_error_message(e: *const rg_error) -> *const c_char {
    // SAFETY: the caller hands in NULL or an error that was not freed.
    let e = unsafe { e.as_ref() };
    guard(c"".as_ptr(), || {
        e.map_or(c"".as_ptr(), |e| e.message.as_ptr())
    })
}

/// The message, followed by its causes: one line "caused by: ..." each, the nearest first.
///
/// `e`: an error, or NULL, which stands for no error.
/// Returns NUL-terminated UTF-8, never NULL: "" for NULL. The error owns it: it is valid until
/// rg_error_free(e) and must not be freed on its own.
/// Threads: any, also several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_error_detail(e: *const rg_error) -> *const c_char {
    // SAFETY: the caller hands in NULL or an error that was not freed.
    let e = unsafe { e.as_ref() };
    guard(c"".as_ptr(), || {
        e.map_or(c"".as_ptr(), |e| e.detail.as_ptr())
    })
}

/// Frees an error and the strings it owns.
///
/// `e`: an error that was not freed yet and that no other thread is reading, or NULL, which does
/// nothing.
/// Threads: any, not necessarily the one the error arose on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_error_free(e: *mut rg_error) {
    guard((), || {
        if !e.is_null() {
            // SAFETY: not NULL, so by contract made by `Box::into_raw` in `ffi` and not freed yet.
            drop(unsafe { Box::from_raw(e) });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::rg_error;
    use retrograde::Error;

    #[test]
    fn the_detail_holds_the_causes_and_a_nul_does_not_cut_the_message() {
        let e = rg_error::new(&Error::Io {
            action: "cannot read",
            path: "a\0b.csv".into(),
            source: std::io::Error::other("the disk is gone"),
        });
        assert_eq!(e.message.to_str(), Ok("cannot read a\u{FFFD}b.csv"));
        let detail = "cannot read a\u{FFFD}b.csv\ncaused by: the disk is gone";
        assert_eq!(e.detail.to_str(), Ok(detail));
    }
}
