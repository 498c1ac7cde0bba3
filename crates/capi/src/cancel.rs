//! A flag that stops runs.

use crate::error::rg_error;
use crate::ffi::{ffi, free, guard, hand_over, place};
use retrograde::core::Cancel;
use retrograde_abi::rg_status;

/// A flag that stops runs between two steps. Made by rg_cancel_new, freed by rg_cancel_free.
#[derive(Debug)]
pub struct rg_cancel {
    pub(crate) cancel: Cancel,
}

/// Makes a flag, not set.
///
/// `out`: gets the flag, which the caller frees; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL if `out` is NULL.
/// Threads: any, also several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_cancel_new(
    out: *mut *mut rg_cancel,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cancel = Cancel::default();
            hand_over(place(out, "out")?, rg_cancel { cancel });
            Ok(())
        })
    }
}

/// Sets a flag: every run that has it ends after its step with RG_ERR_CANCELLED, those that begin later
/// after their first. It stays set.
///
/// `c`: a flag; NULL does nothing.
/// Threads: any, also several at once; also in a signal handler, since it stores one atomic number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_cancel_request(c: *const rg_cancel) {
    // SAFETY: NULL, or a flag that was not freed.
    let c = unsafe { c.as_ref() };
    guard((), || {
        if let Some(c) = c {
            c.cancel.request();
        }
    });
}

/// Frees a flag. Runs that have it go on, and can be stopped by it no more.
///
/// `c`: a flag that was not freed yet and that no other thread is using, or NULL, which does nothing.
/// Threads: any, not necessarily the one that made it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_cancel_free(c: *mut rg_cancel) {
    // SAFETY: as the header says.
    unsafe { free(c) };
}
