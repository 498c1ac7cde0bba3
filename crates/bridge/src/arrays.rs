//! Arrays as they cross: a pointer, and the numbers that say how much lies there.

use ndarray::{
    Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, CowArray, Ix1, Ix2,
};
use retrograde_core::{Error, Result, Times};
use std::ffi::{CStr, c_char};

/// Numbers of an n × d array, or an error where they do not fit into memory.
pub(crate) fn count(n: usize, d: usize, what: &str) -> Result<usize> {
    // An array without elements must fit as if it had some.
    n.max(1)
        .checked_mul(d.max(1))
        .filter(|len| *len <= isize::MAX as usize / 8)
        .map(|_| n * d)
        .ok_or_else(|| {
            Error::shape(
                "a call",
                what,
                "a size that fits into memory",
                format!("{n} x {d}"),
            )
        })
}

fn usable<T>(p: *const T, len: usize, what: &str) -> Result {
    if len == 0 {
        return Ok(());
    }
    if p.is_null() {
        return Err(Error::Null {
            argument: what.into(),
        });
    }
    if len > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(Error::shape(
            "a call",
            what,
            "a size that fits into memory",
            len.to_string(),
        ));
    }
    if !p.is_aligned() {
        return Err(Error::Argument {
            component: "a call".into(),
            argument: what.into(),
            given: format!("at address {:#x}", p.addr()),
            allowed: format!("aligned to {} bytes", align_of::<T>()),
        });
    }
    Ok(())
}

/// # Safety
/// `p` is NULL, or `len` values lie there that nobody writes during `'a`.
pub(crate) unsafe fn slice<'a, T>(p: *const T, len: usize, what: &str) -> Result<&'a [T]> {
    usable(p, len, what)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: not NULL, aligned, and by contract `len` values.
    Ok(unsafe { std::slice::from_raw_parts(p, len) })
}

/// # Safety
/// `p` is NULL, or there is room for `len` values that only the result touches during `'a`.
pub(crate) unsafe fn slice_mut<'a, T>(p: *mut T, len: usize, what: &str) -> Result<&'a mut [T]> {
    usable(p, len, what)?;
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: not NULL, aligned, and by contract room for `len` values.
    Ok(unsafe { std::slice::from_raw_parts_mut(p, len) })
}

/// # Safety
/// As [`slice`], for n × d numbers.
pub(crate) unsafe fn view2<'a>(
    p: *const f64,
    n: usize,
    d: usize,
    what: &str,
) -> Result<ArrayView2<'a, f64>> {
    // SAFETY: by contract.
    let values = unsafe { slice(p, count(n, d, what)?, what)? };
    Ok(ArrayView2::from_shape((n, d), values).expect("n × d numbers"))
}

/// # Safety
/// As [`slice`].
pub(crate) unsafe fn view1<'a>(p: *const f64, n: usize, what: &str) -> Result<ArrayView1<'a, f64>> {
    // SAFETY: by contract.
    Ok(ArrayView1::from(unsafe { slice(p, n, what)? }))
}

/// # Safety
/// As [`slice_mut`], for n × d numbers.
pub(crate) unsafe fn view2_mut<'a>(
    p: *mut f64,
    n: usize,
    d: usize,
    what: &str,
) -> Result<ArrayViewMut2<'a, f64>> {
    // SAFETY: by contract.
    let values = unsafe { slice_mut(p, count(n, d, what)?, what)? };
    Ok(ArrayViewMut2::from_shape((n, d), values).expect("n × d numbers"))
}

/// # Safety
/// As [`slice_mut`].
pub(crate) unsafe fn view1_mut<'a>(
    p: *mut f64,
    n: usize,
    what: &str,
) -> Result<ArrayViewMut1<'a, f64>> {
    // SAFETY: by contract.
    Ok(ArrayViewMut1::from(unsafe { slice_mut(p, n, what)? }))
}

/// An output that is not wanted if it is NULL.
///
/// # Safety
/// As [`view2_mut`].
pub(crate) unsafe fn wanted2<'a>(
    p: *mut f64,
    n: usize,
    d: usize,
    what: &str,
) -> Result<Option<ArrayViewMut2<'a, f64>>> {
    // SAFETY: by contract.
    (!p.is_null())
        .then(|| unsafe { view2_mut(p, n, d, what) })
        .transpose()
}

/// An output that is not wanted if it is NULL.
///
/// # Safety
/// As [`view1_mut`].
pub(crate) unsafe fn wanted1<'a>(
    p: *mut f64,
    n: usize,
    what: &str,
) -> Result<Option<ArrayViewMut1<'a, f64>>> {
    // SAFETY: by contract.
    (!p.is_null())
        .then(|| unsafe { view1_mut(p, n, what) })
        .transpose()
}

/// # Safety
/// `t` is NULL, or one number (`ts` = 0) or n numbers (`ts` = 1) lie there during `'a`.
pub(crate) unsafe fn times<'a>(t: *const f64, ts: usize, n: usize) -> Result<Times<'a>> {
    match ts {
        // SAFETY: by contract.
        0 => Ok(Times::Shared(unsafe { slice(t, 1, "t")? }[0])),
        // SAFETY: by contract.
        1 => Ok(Times::PerRow(unsafe { view1(t, n, "t")? })),
        _ => Err(Error::Argument {
            component: "a call".into(),
            argument: "ts".into(),
            given: ts.to_string(),
            allowed: "0 (one time) or 1 (one time a row)".into(),
        }),
    }
}

/// # Safety
/// `p` is NULL, or NUL-terminated and unchanged during `'a`.
pub(crate) unsafe fn text<'a>(p: *const c_char, what: &str) -> Result<&'a str> {
    if p.is_null() {
        return Err(Error::Null {
            argument: what.into(),
        });
    }
    // SAFETY: not NULL, so NUL-terminated by contract.
    let text = unsafe { CStr::from_ptr(p) };
    text.to_str().map_err(|e| Error::Utf8 {
        what: format!("`{what}`"),
        offset: e.valid_up_to(),
    })
}

// ---- the other way ------------------------------------------------------------------------------

/// Numbers without gaps for a function on the other side.
pub(crate) fn dense2<'a>(x: &'a ArrayView2<'_, f64>) -> CowArray<'a, f64, Ix2> {
    x.as_standard_layout()
}

/// As [`dense2`].
pub(crate) fn dense1<'a>(x: &'a ArrayView1<'_, f64>) -> CowArray<'a, f64, Ix1> {
    x.as_standard_layout()
}

/// Calls `f` with a place without gaps for `out`, and puts what it wrote there.
pub(crate) fn into2<R>(out: &mut ArrayViewMut2<'_, f64>, f: impl FnOnce(*mut f64) -> R) -> R {
    if out.is_standard_layout() {
        return f(out.as_mut_ptr());
    }
    let mut place = Array2::zeros(out.dim());
    let result = f(place.as_mut_ptr());
    out.assign(&place);
    result
}

/// As [`into2`].
pub(crate) fn into1<R>(out: &mut ArrayViewMut1<'_, f64>, f: impl FnOnce(*mut f64) -> R) -> R {
    if out.is_standard_layout() {
        return f(out.as_mut_ptr());
    }
    let mut place = Array1::zeros(out.dim());
    let result = f(place.as_mut_ptr());
    out.assign(&place);
    result
}

/// As [`into2`], with NULL for an output that is not wanted.
pub(crate) fn into2_if<R>(
    out: &mut Option<ArrayViewMut2<'_, f64>>,
    f: impl FnOnce(*mut f64) -> R,
) -> R {
    match out {
        Some(out) => into2(out, f),
        None => f(std::ptr::null_mut()),
    }
}

/// As [`into1`], with NULL for an output that is not wanted.
pub(crate) fn into1_if<R>(
    out: &mut Option<ArrayViewMut1<'_, f64>>,
    f: impl FnOnce(*mut f64) -> R,
) -> R {
    match out {
        Some(out) => into1(out, f),
        None => f(std::ptr::null_mut()),
    }
}

/// Times for a function on the other side.
pub(crate) enum DenseTimes<'a> {
    Shared(f64),
    PerRow(CowArray<'a, f64, Ix1>),
}

impl<'a> DenseTimes<'a> {
    pub(crate) fn new(t: &'a Times<'_>) -> Self {
        match t {
            Times::Shared(t) => Self::Shared(*t),
            Times::PerRow(t) => Self::PerRow(dense1(t)),
        }
    }

    pub(crate) fn pointer(&self) -> *const f64 {
        match self {
            Self::Shared(t) => t,
            Self::PerRow(t) => t.as_ptr(),
        }
    }

    pub(crate) fn stride(&self) -> usize {
        usize::from(matches!(self, Self::PerRow(_)))
    }
}
