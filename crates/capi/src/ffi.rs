//! What every export stands on: a stop for panics, and checks of what the caller hands in.
//!
//! The checks cannot see whether a pointer that is not NULL is valid; that is the caller's duty,
//! written down in the header.

use crate::error::rg_error;
use retrograde::core::{Signature, Times, Traits};
use retrograde::ndarray::{Array2, ArrayView1, ArrayView2};
use retrograde::{Error, Result};
use retrograde_abi::{RG_ERR_PANIC, RG_OK, rg_ref, rg_status};
use retrograde_bridge::Made;
use std::any::Any;
use std::ffi::{CStr, c_char, c_void};
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
    // Unwind safety: the one handle that bodies change is a context, whose registry takes components one by
    // one, each whole or not at all.
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

/// The object behind a handle that the call changes.
///
/// # Safety
/// `handle` is NULL or points to a live `T` that nobody else uses during `'a`.
pub(crate) unsafe fn borrow_mut<'a, T>(handle: *mut T, argument: &str) -> Result<&'a mut T> {
    // SAFETY: NULL gives None, and anything else is valid by contract.
    unsafe { handle.as_mut() }.ok_or_else(|| null(argument))
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
    /// The same, where no buffer and no place for the size mean that nothing is asked.
    pub(crate) fn optional(buf: *mut c_char, cap: usize, need: *mut usize) -> Result<Option<Self>> {
        if buf.is_null() && cap == 0 && need.is_null() {
            return Ok(None);
        }
        Self::new(buf, cap, need).map(Some)
    }

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

/// An optional string: NULL is none.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn optional_text<'a>(
    text: *const c_char,
    argument: &str,
) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: by contract.
    unsafe { self::text(text, argument) }.map(Some)
}

/// Settings of a component, written as TOML.
pub(crate) fn settings(label: &str, text: Option<&str>) -> Result<toml::Table> {
    text.unwrap_or_default()
        .parse()
        .map_err(|e: toml::de::Error| Error::Settings {
            component: label.into(),
            key: String::new(),
            message: format!("its settings are no TOML: {}", e.to_string().trim_end()),
        })
}

/// Gives an object to the caller, who frees it.
///
/// # Safety
/// `out` may be written through.
pub(crate) unsafe fn hand_over<T>(out: NonNull<*mut T>, object: T) {
    // SAFETY: by contract.
    unsafe { out.write(Box::into_raw(Box::new(object))) };
}

/// Frees an object that [`hand_over`] gave away; NULL is none.
///
/// # Safety
/// It was not freed yet, and nobody uses it.
pub(crate) unsafe fn free<T>(object: *mut T) {
    guard((), || {
        if !object.is_null() {
            // SAFETY: not NULL, so by contract made by `hand_over` and not freed yet.
            drop(unsafe { Box::from_raw(object) });
        }
    });
}

/// What the caller's functions are handed, and what is called with it once it is not needed.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) user: *mut c_void,
    drop: Option<unsafe extern "C" fn(*mut c_void)>,
}

// SAFETY: it is only handed to functions of the caller, whose thread class says where.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

impl User {
    pub(crate) fn new(user: *mut c_void, drop: Option<unsafe extern "C" fn(*mut c_void)>) -> Self {
        Self { user, drop }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if let Some(drop) = self.drop {
            // SAFETY: the caller's own function with the caller's own pointer, once.
            unsafe { drop(self.user) };
        }
    }
}

fn wrong_size(what: &str, found: String, expected: String) -> Error {
    Error::Shape {
        component: "the caller".into(),
        what: what.into(),
        expected,
        found,
    }
}

/// A stride that was given, and the numbers from the first to the last of n rows.
fn extent(what: &str, n: usize, d: usize, stride: usize) -> Result<usize> {
    let stride = if stride == 0 { d } else { stride };
    if stride < d {
        let expected = format!("{d} or more, the dimension, or 0, which stands for it");
        return Err(wrong_size(
            &format!("the stride of `{what}`"),
            stride.to_string(),
            expected,
        ));
    }
    let numbers = n.checked_mul(stride);
    if numbers.is_none_or(|k| k > isize::MAX as usize / 8) {
        return Err(wrong_size(
            &format!("`{what}`"),
            format!("{n} rows {stride} numbers apart"),
            "rows that fit into the address space".into(),
        ));
    }
    Ok(stride)
}

pub(crate) fn same_dim(given: usize, dim: usize) -> Result {
    if given == dim {
        return Ok(());
    }
    Err(wrong_size(
        "`d`",
        given.to_string(),
        format!("{dim}, the dimension"),
    ))
}

/// Rows that the caller hands in.
pub(crate) struct Rows {
    at: *const f64,
    n: usize,
    d: usize,
    stride: usize,
}

impl Rows {
    pub(crate) fn new(
        what: &str,
        at: *const f64,
        n: usize,
        d: usize,
        stride: usize,
        dim: usize,
    ) -> Result<Self> {
        same_dim(d, dim)?;
        let stride = extent(what, n, d, stride)?;
        if at.is_null() && n > 0 {
            return Err(null(what));
        }
        Ok(Self { at, n, d, stride })
    }

    /// A copy of them.
    ///
    /// # Safety
    /// There are so many.
    pub(crate) unsafe fn read(&self) -> Array2<f64> {
        let mut rows = Vec::with_capacity(self.n * self.d);
        for i in 0..self.n {
            // SAFETY: by contract; `extent` saw to it that nothing wraps.
            let row = unsafe { std::slice::from_raw_parts(self.at.add(i * self.stride), self.d) };
            rows.extend_from_slice(row);
        }
        Array2::from_shape_vec((self.n, self.d), rows).unwrap_or_default()
    }
}

/// A place for rows.
pub(crate) struct RowsOut {
    at: NonNull<f64>,
    n: usize,
    d: usize,
    stride: usize,
}

impl RowsOut {
    pub(crate) fn new(what: &str, at: *mut f64, n: usize, d: usize, stride: usize) -> Result<Self> {
        let stride = extent(what, n, d, stride)?;
        let at = match NonNull::new(at) {
            Some(at) => at,
            None if n == 0 => NonNull::dangling(),
            None => return Err(null(what)),
        };
        Ok(Self { at, n, d, stride })
    }

    /// The same, where NULL is none.
    pub(crate) fn optional(
        what: &str,
        at: *mut f64,
        n: usize,
        d: usize,
        stride: usize,
    ) -> Result<Option<Self>> {
        extent(what, n, d, stride)?;
        if at.is_null() {
            return Ok(None);
        }
        Self::new(what, at, n, d, stride).map(Some)
    }

    /// How many numbers the place must have.
    pub(crate) fn needed(&self) -> usize {
        match self.n {
            0 => 0,
            n => (n - 1) * self.stride + self.d,
        }
    }

    /// Refuses a place of fewer.
    pub(crate) fn in_room(self, what: &str, len: usize) -> Result<Self> {
        if self.needed() > len {
            return Err(Error::Buffer {
                argument: what.into(),
                given: len,
                needed: self.needed(),
            });
        }
        Ok(self)
    }
}

impl RowsOut {
    /// Copies rows in which the chains take turns there, chain after chain; what is beyond the room is left
    /// out.
    ///
    /// # Safety
    /// There is room.
    pub(crate) unsafe fn write_chains(&self, chains: usize, rows: ArrayView2<'_, f64>) {
        let per_chain = rows.nrows() / chains;
        for i in 0..self.n.min(chains * per_chain) {
            let row = rows.row(i % per_chain * chains + i / per_chain);
            // SAFETY: by contract; `extent` saw to it that nothing wraps.
            let to = unsafe { self.at.add(i * self.stride) };
            match row.as_slice() {
                Some(row) if row.len() == self.d => {
                    // SAFETY: as above; the caller's memory is not the library's.
                    unsafe { to.as_ptr().copy_from_nonoverlapping(row.as_ptr(), self.d) }
                }
                _ => row.iter().take(self.d).enumerate().for_each(|(j, v)| {
                    // SAFETY: as above.
                    unsafe { to.add(j).write(*v) };
                }),
            }
        }
    }
}

/// An object that a caller handed in with its table.
pub(crate) fn made(vtable: *const c_void, object: *mut c_void, kind: &str) -> Made {
    Made {
        made: rg_ref { object, vtable },
        label: format!("{kind} of the caller"),
        host: None,
        parts: Traits::PURE,
        keep: Box::new(()),
        signature: Signature::default(),
    }
}

/// An argument that is out of its range.
pub(crate) fn wrong(function: &str, argument: &str, given: String, allowed: &str) -> Error {
    Error::Argument {
        component: function.into(),
        argument: argument.into(),
        given,
        allowed: allowed.into(),
    }
}

/// Times at `t`: with `step` 0 one for all rows, with 1 one each.
///
/// # Safety
/// There are so many.
pub(crate) unsafe fn times(t: *const f64, step: usize, n: usize) -> Result<Vec<f64>> {
    let count = match step {
        0 => 1,
        1 => n,
        _ => {
            return Err(wrong("the caller", "t_step", step.to_string(), "0 or 1"));
        }
    };
    extent("t", count, 1, 1)?;
    if t.is_null() && count > 0 {
        return Err(null("t"));
    }
    // SAFETY: by contract.
    Ok((0..count).map(|i| unsafe { *t.add(i * step) }).collect())
}

/// As the library takes them.
pub(crate) fn as_times(times: &[f64], step: usize) -> Times<'_> {
    match (step, times) {
        (0, [t]) => Times::Shared(*t),
        _ => Times::PerRow(ArrayView1::from(times)),
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
