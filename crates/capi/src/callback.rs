//! Targets that are functions of the caller. They go through the adapter for tables, as plugins do: it
//! keeps thread classes, and turns what they return into errors.

use crate::ffi::{User, made, wrong};
use retrograde::core::Target;
use retrograde::{Error, Result};
use retrograde_abi::*;
use retrograde_bridge::Foreign;
use std::ffi::c_void;
use std::sync::Arc;

/// A log density at one point.
///
/// `user`: what was given with the function.
/// `d`: the dimension.
/// `x`: the point, d numbers.
/// `logp`: gets the log density, which may be -infinity; NULL if it is not wanted.
/// `grad`: gets its gradient, d numbers; NULL if it is not wanted.
/// Returns RG_OK to go on. Any other value ends the run: an RG_ERR_ code becomes the status of the function that was
/// running; any other becomes RG_ERR_CALLBACK, with the number in its message. 1000 and above are never codes of this
/// library: use them for your own.
/// It must not throw, nor jump out.
pub type rg_point_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        d: usize,
        x: *const f64,
        logp: *mut f64,
        grad: *mut f64,
    ) -> rg_status,
>;

/// Log densities at many points.
///
/// `user`: what was given with the function.
/// `n`: number of points; it differs from call to call.
/// `d`: the dimension.
/// `x`: the points, n x d, row-major and without gaps: as an array d x n of Julia or Fortran.
/// `logp`: gets n log densities, which may be -infinity; NULL if they are not wanted.
/// `grad`: gets the gradients, n x d; NULL if they are not wanted.
/// Returns as rg_point_fn does. It must not throw, nor jump out.
pub type rg_batch_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        n: usize,
        d: usize,
        x: *const f64,
        logp: *mut f64,
        grad: *mut f64,
    ) -> rg_status,
>;

/// Called with what was given as `user` when nothing uses it any more; NULL for nothing to be called. It
/// may come on any thread.
pub type rg_drop_fn = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// A function with what it is handed.
struct Callback<F> {
    f: F,
    d: usize,
    user: User,
}

type Point = unsafe extern "C" fn(*mut c_void, usize, *const f64, *mut f64, *mut f64) -> rg_status;
type Batch =
    unsafe extern "C" fn(*mut c_void, usize, usize, *const f64, *mut f64, *mut f64) -> rg_status;

unsafe extern "C" fn dim<F>(object: *mut c_void, _: *mut rg_call, d: *mut usize) -> rg_status {
    // SAFETY: the object of `table`, and a place for a number.
    unsafe { d.write((*object.cast::<Callback<F>>()).d) };
    RG_OK
}

unsafe extern "C" fn destroy<F>(object: *mut c_void) {
    // SAFETY: made by `target`, freed once.
    drop(unsafe { Box::from_raw(object.cast::<Callback<F>>()) });
}

unsafe extern "C" fn eval_points(
    object: *mut c_void,
    _: *mut rg_call,
    n: usize,
    d: usize,
    x: *const f64,
    logp: *mut f64,
    grad: *mut f64,
) -> rg_status {
    // SAFETY: the object of `table`.
    let this = unsafe { &*object.cast::<Callback<Point>>() };
    for i in 0..n {
        // SAFETY: arrays of n rows, or NULL where nothing is wanted.
        let status = unsafe {
            let l = if logp.is_null() { logp } else { logp.add(i) };
            let g = if grad.is_null() {
                grad
            } else {
                grad.add(i * d)
            };
            (this.f)(this.user.user, d, x.add(i * d), l, g)
        };
        if status != RG_OK {
            return status;
        }
    }
    RG_OK
}

unsafe extern "C" fn eval_batch(
    object: *mut c_void,
    _: *mut rg_call,
    n: usize,
    d: usize,
    x: *const f64,
    logp: *mut f64,
    grad: *mut f64,
) -> rg_status {
    // SAFETY: the object of `table`, and arrays of the sizes that were told.
    unsafe {
        let this = &*object.cast::<Callback<Batch>>();
        (this.f)(this.user.user, n, d, x, logp, grad)
    }
}

pub(crate) fn point(
    d: usize,
    f: rg_point_fn,
    user: User,
    caps: u64,
    threading: i32,
) -> Result<Arc<dyn Target>> {
    let allowed = RG_CAP_GRADIENT;
    check_caps(
        "rg_target_from_point",
        caps,
        allowed,
        "RG_CAP_GRADIENT or 0",
    )?;
    let table = rg_target_vtable {
        caps: caps | RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC,
        eval: Some(eval_points),
        ..empty::<Point>()
    };
    target("rg_target_from_point", d, f, user, table, threading)
}

pub(crate) fn batch(
    d: usize,
    f: rg_batch_fn,
    user: User,
    caps: u64,
    threading: i32,
) -> Result<Arc<dyn Target>> {
    let allowed = RG_CAP_GRADIENT | RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC;
    let words = "RG_CAP_GRADIENT, RG_CAP_ROWWISE and RG_CAP_DETERMINISTIC, or-ed";
    check_caps("rg_target_from_batch", caps, allowed, words)?;
    let table = rg_target_vtable {
        caps,
        eval: Some(eval_batch),
        ..empty::<Batch>()
    };
    target("rg_target_from_batch", d, f, user, table, threading)
}

fn check_caps(function: &str, caps: u64, allowed: u64, words: &str) -> Result {
    if caps & !allowed == 0 {
        return Ok(());
    }
    Err(wrong(function, "caps", format!("{caps:#x}"), words))
}

fn empty<F>() -> rg_target_vtable {
    rg_target_vtable {
        struct_size: size_of::<rg_target_vtable>(),
        destroy: Some(destroy::<F>),
        dim: Some(dim::<F>),
        // SAFETY: zeros are a value of it: no function, no capability.
        ..unsafe { std::mem::zeroed() }
    }
}

fn target<F>(
    function: &str,
    d: usize,
    f: Option<F>,
    user: User,
    mut table: rg_target_vtable,
    threading: i32,
) -> Result<Arc<dyn Target>> {
    let f = f.ok_or_else(|| Error::Null {
        argument: "f".into(),
    })?;
    if !(RG_THREAD_CALLER..=RG_THREAD_CONCURRENT).contains(&threading) {
        let allowed = "RG_THREAD_CALLER (0), RG_THREAD_SERIAL (1) or RG_THREAD_CONCURRENT (2)";
        return Err(wrong(function, "threading", threading.to_string(), allowed));
    }
    if d == 0 || d > isize::MAX as usize / 32 {
        return Err(wrong(
            function,
            "d",
            d.to_string(),
            "1 or more, and fit into memory",
        ));
    }
    table.threading = threading;
    let object = Box::into_raw(Box::new(Callback { f, d, user })).cast();
    // SAFETY: the table is copied; its functions may be called with this object until it is destroyed.
    let target = unsafe {
        Foreign::<rg_target_vtable>::new(made((&raw const table).cast(), object, "target"))
    }?;
    Ok(Arc::new(target))
}
