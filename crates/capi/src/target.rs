//! Targets: from the registry, from callbacks, from tables; limited, evaluated and checked.

use crate::callback::{self, rg_batch_fn, rg_drop_fn, rg_point_fn};
use crate::context::rg_context;
use crate::error::rg_error;
use crate::ffi::{
    Rows, RowsOut, TextOut, User, borrow, ffi, free, hand_over, made, optional_text, place,
    settings, text, wrong,
};
use retrograde::Error;
use retrograde::core::check::gradient;
use retrograde::core::registry::{Folder, Parts};
use retrograde::core::{Bounded, Runtime, Target};
use retrograde::ndarray::{Array1, Array2};
use retrograde_abi::{rg_status, rg_target_vtable};
use retrograde_bridge::Foreign;
use serde_json::json;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// A log density, mostly not normalised. Made by one of the rg_target_ functions, freed by
/// rg_target_free; what is made from it keeps it alive inside, so that it may be freed at any time.
pub struct rg_target {
    pub(crate) target: Arc<dyn Target>,
    /// The same within limits, and these.
    pub(crate) bounded: Option<Arc<Bounded>>,
    pub(crate) limits: Option<(Vec<f64>, Vec<f64>)>,
}

impl rg_target {
    pub(crate) fn new(target: Arc<dyn Target>) -> Self {
        Self {
            target,
            bounded: None,
            limits: None,
        }
    }
}

impl std::fmt::Debug for rg_target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("rg_target")
            .field("dim", &self.target.dim())
            .finish_non_exhaustive()
    }
}

/// Makes a target of the registry.
///
/// `cx`: a context; not NULL.
/// `name`: its name, as rg_context_name tells it; not NULL.
/// `toml`: its settings as TOML, the keys that a job has in `[target]` without `kind`; NULL for none. Files
/// that it names are looked for from the current folder.
/// `out`: gets the target, which the caller frees; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_NOT_FOUND if no target is called so; RG_ERR_CONFIG if a
/// setting is wrong, with its name and what would be right; RG_ERR_IO if a file cannot be read; what a
/// plugin returns.
/// Threads: any, also several at once with the same context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_target_new(
    cx: *const rg_context,
    name: *const c_char,
    toml: *const c_char,
    out: *mut *mut rg_target,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cx = borrow(cx, "cx")?;
            let name = text(name, "name")?;
            let toml = optional_text(toml, "toml")?;
            let out = place(out, "out")?;
            let files = Folder::default();
            let label = format!("target {name}");
            let target = cx
                .registry
                .target(name, settings(&label, toml)?, &Parts::new(&files))?;
            hand_over(out, rg_target::new(target));
            Ok(())
        })
    }
}

/// Makes a target from a function of one point.
///
/// `cx`: a context; not NULL.
/// `d`: the dimension, 1 or more.
/// `f`: the function; not NULL. See rg_point_fn.
/// `user`: handed to `f` and `drop` as it is; may be NULL.
/// `drop`: called with `user` once, when nothing uses the target any more, also if this function fails;
/// NULL for nothing to be called.
/// `caps`: RG_CAP_GRADIENT if `f` gives gradients, which nearly every sampler needs; else 0.
/// `threading`: an RG_THREAD_ constant. RG_THREAD_CALLER: `f` is only called on threads that call functions
/// of this library, and never twice at once; RG_THREAD_SERIAL: on any thread, never twice at once;
/// RG_THREAD_CONCURRENT: on any threads at once, which is needed for more than one core to be used.
/// `out`: gets the target, which the caller frees; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_ARG if `d`, `caps` or `threading` is out of its range.
/// Threads: any, also several at once with the same context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_target_from_point(
    cx: *const rg_context,
    d: usize,
    f: rg_point_fn,
    user: *mut c_void,
    drop: rg_drop_fn,
    caps: u64,
    threading: i32,
    out: *mut *mut rg_target,
    err: *mut *mut rg_error,
) -> rg_status {
    let user = User::new(user, drop);
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            borrow(cx, "cx")?;
            let out = place(out, "out")?;
            let target = callback::point(d, f, user, caps, threading)?;
            hand_over(out, rg_target::new(target));
            Ok(())
        })
    }
}

/// Makes a target from a function of many points at once, which costs less than one of a point.
///
/// `cx`: a context; not NULL.
/// `d`: the dimension, 1 or more.
/// `f`: the function; not NULL. See rg_batch_fn.
/// `user`: handed to `f` and `drop` as it is; may be NULL.
/// `drop`: called with `user` once, when nothing uses the target any more, also if this function fails;
/// NULL for nothing to be called.
/// `caps`: RG_CAP_GRADIENT if `f` gives gradients; RG_CAP_ROWWISE if what it gives for a point does not
/// depend, to the last bit, on the others of the batch: only then is a batch spread over threads;
/// RG_CAP_DETERMINISTIC if it draws no random numbers. Or-ed.
/// `threading`: as for rg_target_from_point.
/// `out`: gets the target, which the caller frees; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_ARG if `d`, `caps` or `threading` is out of its range.
/// Threads: any, also several at once with the same context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_target_from_batch(
    cx: *const rg_context,
    d: usize,
    f: rg_batch_fn,
    user: *mut c_void,
    drop: rg_drop_fn,
    caps: u64,
    threading: i32,
    out: *mut *mut rg_target,
    err: *mut *mut rg_error,
) -> rg_status {
    let user = User::new(user, drop);
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            borrow(cx, "cx")?;
            let out = place(out, "out")?;
            let target = callback::batch(d, f, user, caps, threading)?;
            hand_over(out, rg_target::new(target));
            Ok(())
        })
    }
}

/// Makes a target from a table of functions as plugins have it, with names, outputs and Hessian-vector
/// products where it gives them. Its functions get an rg_call, to which rg_host_services has the services.
///
/// `cx`: a context; not NULL.
/// `vtable`: the table; not NULL. It is copied. RG_THREAD_CALLER is allowed here.
/// `object`: handed to its functions as it is; may be NULL. `destroy` is called with it once, when nothing
/// uses the target any more, also if this function fails, unless `vtable` is NULL or has no place for `destroy`.
/// `out`: gets the target, which the caller frees; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_ARG if the table is not right, with what is wrong, or if
/// the dimension is 0; what its functions return.
/// Threads: any, also several at once with the same context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_target_from_vtable(
    cx: *const rg_context,
    vtable: *const rg_target_vtable,
    object: *mut c_void,
    out: *mut *mut rg_target,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            borrow(vtable, "vtable")?;
            // It owns the object, whatever else is wrong.
            let target = Foreign::<rg_target_vtable>::new(made(vtable.cast(), object, "target"));
            borrow(cx, "cx")?;
            let out = place(out, "out")?;
            let target = target?;
            hand_over(out, rg_target::new(Arc::new(target)));
            Ok(())
        })
    }
}

/// Limits a target to a box. Samplers then work on a scale without limits, x = lower + exp(y), upper -
/// exp(y), or lower + (upper - lower) / (1 + exp(-y)), with the Jacobian in the density; log Z is that of the box.
/// Draws are x, within the limits; rg_target_eval and rg_target_check take y.
///
/// `cx`: a context; not NULL.
/// `t`: a target without limits of its own; not NULL.
/// `lower`, `upper`: d numbers each, infinite where there is no limit; NULL for no limits on that side.
/// `out`: gets the limited target, which the caller frees; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_CONFIG if a limit is NaN or the lower one is not below the upper;
/// RG_ERR_UNSUPPORTED if `t` has limits already.
/// Threads: any, also several at once with the same target.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_target_bounded(
    cx: *const rg_context,
    t: *const rg_target,
    lower: *const f64,
    upper: *const f64,
    out: *mut *mut rg_target,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            borrow(cx, "cx")?;
            let t = borrow(t, "t")?;
            let out = place(out, "out")?;
            if t.bounded.is_some() {
                return Err(Error::Missing {
                    component: "rg_target_bounded".into(),
                    needed: "a target without limits".into(),
                    holder: "one with limits".into(),
                    advice: "give all limits at once".into(),
                });
            }
            let d = t.target.dim();
            let limits = |at: *const f64, none: f64| {
                if at.is_null() {
                    vec![none; d]
                } else {
                    std::slice::from_raw_parts(at, d).to_vec()
                }
            };
            let lower = limits(lower, f64::NEG_INFINITY);
            let upper = limits(upper, f64::INFINITY);
            let bounded = Arc::new(Bounded::new(t.target.clone(), &lower, &upper)?);
            let limited = rg_target {
                target: bounded.clone(),
                bounded: Some(bounded),
                limits: Some((lower, upper)),
            };
            hand_over(out, limited);
            Ok(())
        })
    }
}

/// The dimension of a target.
///
/// `t`: a target; not NULL.
/// `d`: gets the dimension; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL.
/// Threads: any, also several at once with the same target.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_target_dim(
    t: *const rg_target,
    d: *mut usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let t = borrow(t, "t")?;
            place(d, "d")?.write(t.target.dim());
            Ok(())
        })
    }
}

/// Evaluates a target at n points. A point where the density is NaN or +infinity, or the gradient not
/// finite, comes back as -infinity with gradient 0.
///
/// `t`: a target; not NULL.
/// `n`: number of points.
/// `d`: the dimension of the target.
/// `x`: points, row i at x + i * x_stride; not NULL unless n is 0. On the scale without limits.
/// `x_stride`: d or more; 0 stands for d.
/// `logp`: gets n log densities; NULL if they are not wanted.
/// `grad`: gets gradients, row i at grad + i * grad_stride; NULL if they are not wanted.
/// `grad_stride`: d or more; 0 stands for d.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_DIM if `d`, a stride or n is wrong; RG_ERR_UNSUPPORTED if the target
/// has no density or no gradient and it is wanted; RG_ERR_NUMERIC if more than a tenth of at least 200 points
/// failed; what a callback returns.
/// Threads: any, also several at once with the same target, of which those that are not
/// RG_THREAD_CONCURRENT wait for one another: two such that call each other from two threads wait for ever. From inside of a
/// callback of the same target RG_ERR_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_target_eval(
    t: *const rg_target,
    n: usize,
    d: usize,
    x: *const f64,
    x_stride: usize,
    logp: *mut f64,
    grad: *mut f64,
    grad_stride: usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let t = borrow(t, "t")?;
            let x = Rows::new("x", x, n, d, x_stride, t.target.dim())?.read();
            let grad = RowsOut::optional("grad", grad, n, d, grad_stride)?;
            let mut l = (!logp.is_null()).then(|| Array1::zeros(n));
            let mut g = grad.as_ref().map(|_| Array2::zeros((n, d)));
            let mut runtime = Runtime::new(0, 1)?;
            runtime.enter("rg_target_eval", 0, |cx| {
                let l = l.as_mut().map(|l| l.view_mut());
                let g = g.as_mut().map(|g| g.view_mut());
                cx.eval_target(t.target.as_ref(), x.view(), l, g)
            })?;
            if let Some(l) = &l {
                std::ptr::copy_nonoverlapping(l.as_ptr(), logp, n);
            }
            if let (Some(out), Some(g)) = (grad, &g) {
                out.write_chains(1, g.view());
            }
            Ok(())
        })
    }
}

/// Compares the gradient of a target with differences of its log density at n points, and tells what it
/// found as a JSON object on one line: "points", "skipped", "slopes" (derivatives compared),
/// "walls" (those left out, for the density ends beside them), "worst" (largest
/// difference, relative to the largest slope of the point or 1), "at" (null, or "row", "coordinate",
/// "gradient" and "difference" of the worst).
///
/// `t`: a target with a density and a gradient; not NULL.
/// `n`, `x`, `x_stride`: points, as for rg_target_eval, n of 1 or more.
/// `rtol`: largest "worst" that is right, above 0; 1e-6 is good.
/// `buf`, `cap`, `need`: for the object, as for rg_context_describe, but that a wrong gradient is an error with `cap` 0
/// as well, and that a `buf` too small is told first; with `cap` 0 and `need` NULL nothing is told.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NUMERIC if the gradient is wrong, with where, or if the density is finite at no point, with the
/// object in `buf` as well;
/// RG_ERR_NULL; RG_ERR_ARG; RG_ERR_DIM; RG_ERR_UNSUPPORTED if there is no gradient; RG_ERR_BUFFER; what a
/// callback returns.
/// Threads: as for rg_target_eval.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_target_check(
    t: *const rg_target,
    n: usize,
    x: *const f64,
    x_stride: usize,
    rtol: f64,
    buf: *mut c_char,
    cap: usize,
    need: *mut usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let t = borrow(t, "t")?;
            let out = TextOut::optional(buf, cap, need)?;
            let d = t.target.dim();
            if n == 0 || !rtol.is_finite() || rtol <= 0.0 {
                let (argument, given, allowed) = if n == 0 {
                    ("n", "0".into(), "1 or more")
                } else {
                    ("rtol", rtol.to_string(), "above 0 and finite")
                };
                return Err(wrong("rg_target_check", argument, given, allowed));
            }
            let x = Rows::new("x", x, n, d, x_stride, d)?.read();
            let report = Runtime::new(0, 1)?.enter("rg_target_check", 0, |cx| {
                gradient(cx, t.target.as_ref(), x.view())
            })?;
            let at = report.at.as_ref().map(|m| {
                json!({"row": m.row, "coordinate": m.coordinate, "gradient": m.gradient,
                       "difference": m.difference})
            });
            let object = json!({"points": report.points, "skipped": report.skipped,
                "slopes": report.slopes, "walls": report.walls, "worst": report.worst, "at": at});
            if let Some(out) = out {
                out.write(&object.to_string())?;
            }
            if report.points == 0 {
                return Err(Error::Breakdown {
                    component: "the target".into(),
                    message: format!(
                        "nothing could be compared: its density is not finite at any of the {n} points"
                    ),
                    advice: "give points that have mass".into(),
                });
            }
            match &report.at {
                Some(m) if report.worst.is_nan() || report.worst > rtol => Err(Error::Breakdown {
                    component: "the target".into(),
                    message: format!(
                        "its gradient is wrong: at row {}, coordinate {} it is {}, differences of the log \
                         density give {}",
                        m.row, m.coordinate, m.gradient, m.difference
                    ),
                    advice: "mend the gradient, or leave RG_CAP_GRADIENT out".into(),
                }),
                _ => Ok(()),
            }
        })
    }
}

/// Frees a target. What was made from it lives on.
///
/// `t`: a target that was not freed yet and that no other thread is using, or NULL, which does nothing.
/// Threads: any, not necessarily the one that made it; a `drop` or `destroy` may be called on it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_target_free(t: *mut rg_target) {
    // SAFETY: as the header says.
    unsafe { free(t) };
}
