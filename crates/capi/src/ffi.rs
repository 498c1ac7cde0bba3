//! What every export stands on: a stop for panics, and checks of what the caller hands in.
//!
//! The checks cannot see whether a pointer that is not NULL is valid; that is the caller's duty,
//! written down in the header.

use crate::error::rg_error;
use retrograde::{Error, Result};
use retrograde_abi::{RG_ERR_PANIC, RG_OK, rg_status};
use std::any::Any;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

/// Runs the body of an export. On failure `*err` gets an error object, unless `err` is NULL.
///
/// # Safety
/// `err` is NULL or may be written through.
pub(crate) unsafe fn ffi(err: *mut *mut rg_error, body: impl FnOnce() -> Result) -> rg_status {
    let outcome = catch(body).unwrap_or_else(Err);
    let Err(error) = outcome else { return RG_OK };
    // Writing the message runs the error's own code, which might panic as well.
    guard(RG_ERR_PANIC, || {
        let status = error.status() as rg_status;
        if let Some(err) = NonNull::new(err) {
            let object = Box::into_raw(Box::new(rg_error::new(&error)));
            // SAFETY: not NULL, so by contract it may be written through.
            unsafe { err.write(object) };
        }
        status
    })
}

/// Runs the body of an export that has no error object; `fallback` is returned after a panic.
pub(crate) fn guard<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch(body).unwrap_or(fallback)
}

/// A panic must not leave an `extern "C"` function: it would abort the caller's process.
fn catch<T>(body: impl FnOnce() -> T) -> Result<T> {
    // Unwind safety: the interface has no handle that a body changes, so none is left half-changed.
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| Error::Panic {
        message: words(payload.as_ref()),
    })
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}

fn null(argument: &str) -> Error {
    Error::Null {
        argument: argument.into(),
    }
}

/// The object behind a handle.
///
/// # Safety
/// `handle` is NULL or points to a live `T` that nobody changes during `'a`.
pub(crate) unsafe fn borrow<'a, T>(handle: *const T, argument: &str) -> Result<&'a T> {
    // SAFETY: NULL gives None, and anything else is valid by contract.
    unsafe { handle.as_ref() }.ok_or_else(|| null(argument))
}

/// A place for a result. It may be uninitialised, so it is only ever written.
pub(crate) fn place<T>(out: *mut T, argument: &str) -> Result<NonNull<T>> {
    NonNull::new(out).ok_or_else(|| null(argument))
}

/// A string the caller hands in.
///
/// # Safety
/// `text` is NULL or NUL-terminated, and nobody changes it during `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char, argument: &str) -> Result<&'a str> {
    if text.is_null() {
        return Err(null(argument));
    }
    // SAFETY: not NULL, so NUL-terminated by contract.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|e| Error::Utf8 {
        what: format!("`{argument}`"),
        offset: e.valid_up_to(),
    })
}

/// A buffer for a string, and where the bytes needed are told.
pub(crate) struct TextOut {
    buf: *mut c_char,
    cap: usize,
    need: *mut usize,
}

impl TextOut {
    /// Refuses what cannot be meant: no buffer of some size, or no question and no place for the
    /// answer.
    pub(crate) fn new(buf: *mut c_char, cap: usize, need: *mut usize) -> Result<Self> {
        if buf.is_null() && cap > 0 {
            return Err(null("buf"));
        }
        if need.is_null() && cap == 0 {
            return Err(null("need"));
        }
        Ok(Self { buf, cap, need })
    }

    /// Copies `text` and a NUL into the buffer, whole or not at all. With `cap` 0 it only tells
    /// the size.
    ///
    /// # Safety
    /// `buf` has room for `cap` bytes, and `need` is NULL or may be written through.
    pub(crate) unsafe fn write(self, text: &str) -> Result {
        let needed = text.len() + 1;
        if let Some(need) = NonNull::new(self.need) {
            // SAFETY: not NULL, so by contract it may be written through.
            unsafe { need.write(needed) };
        }
        if self.cap == 0 {
            return Ok(());
        }
        if needed > self.cap {
            return Err(Error::Buffer {
                argument: "buf".into(),
                given: self.cap,
                needed,
            });
        }
        // SAFETY: `cap` is not 0, so `buf` is not NULL (see `new`), and it has room for `needed`
        // bytes; `text` is the library's own memory and does not overlap it.
        unsafe {
            let buf = self.buf.cast::<u8>();
            buf.copy_from_nonoverlapping(text.as_ptr(), text.len());
            buf.add(text.len()).write(0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ffi, guard};
    use crate::error::{rg_error_code, rg_error_free, rg_error_message};
    use retrograde_abi::{RG_ERR_PANIC, RG_OK};
    use std::ffi::CStr;
    use std::ptr;

    #[test]
    fn a_panic_becomes_a_status_and_its_words_the_message() {
        let mut err = ptr::null_mut();
        // SAFETY: `err` is a local variable, and what it gets is live until it is freed.
        unsafe {
            let number = 3;
            assert_eq!(ffi(&raw mut err, || panic!("row {number}")), RG_ERR_PANIC);
            assert_eq!(rg_error_code(err), RG_ERR_PANIC);
            let message = CStr::from_ptr(rg_error_message(err)).to_str().unwrap();
            assert_eq!(message, "internal error (panic): row 3");
            rg_error_free(err);
            assert_eq!(ffi(ptr::null_mut(), || panic!("fixed")), RG_ERR_PANIC);
        }
        assert_eq!(guard(7, || panic!("fixed")), 7);
    }

    #[test]
    fn an_error_object_appears_on_failure_only() {
        let mut err = ptr::dangling_mut();
        let before = err;
        // SAFETY: `err` is a local variable; nothing reads through what it holds.
        let status = unsafe { ffi(&raw mut err, || Ok(())) };
        assert_eq!((status, err), (RG_OK, before));
    }
}
