//! Forward processes on their own: what they are, their drift, their linear law, paths of them.

use crate::context::rg_context;
use crate::error::rg_error;
use crate::ffi::{
    Rows, RowsOut, as_times, borrow, ffi, free, hand_over, made, optional_text, place, same_dim,
    settings, text, times, wrong,
};
use crate::target::rg_target;
use retrograde::core::forward::forward;
use retrograde::core::registry::{Folder, Parts};
use retrograde::core::{Cx, Form, ForwardProcess, Runtime, Target};
use retrograde::ndarray::{Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde::{Error, Result};
use retrograde_abi::*;
use retrograde_bridge::Foreign;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// A forward process, from data at t = 0 to noise at t = t_end. Made by rg_process_new or
/// rg_process_from_vtable, freed by rg_process_free; what is made from it keeps it alive inside.
pub struct rg_process {
    pub(crate) process: Arc<dyn ForwardProcess>,
}

impl std::fmt::Debug for rg_process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("rg_process")
            .field("dim", &self.process.dim())
            .finish_non_exhaustive()
    }
}

/// Makes a process of the registry.
///
/// `cx`: a context; not NULL.
/// `name`: its name; not NULL.
/// `toml`: its settings as TOML, the keys that a job has in `[process]` without `kind`; NULL for none.
/// `t`: the target, whose dimension it has; some need more of it. NULL if `d` is given.
/// `d`: the dimension where `t` is NULL; else 0 or that of `t`.
/// `out`: gets the process, which the caller frees; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_DIM if `d` is not that of `t`; RG_ERR_ARG if it is no dimension;
/// RG_ERR_NOT_FOUND if no process is called so; RG_ERR_CONFIG if a setting is wrong; RG_ERR_UNSUPPORTED if it needs more of a target
/// than there is; what a plugin returns.
/// Threads: any, also several at once with the same context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_process_new(
    cx: *const rg_context,
    name: *const c_char,
    toml: *const c_char,
    t: *const rg_target,
    d: usize,
    out: *mut *mut rg_process,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cx = borrow(cx, "cx")?;
            let name = text(name, "name")?;
            let toml = optional_text(toml, "toml")?;
            let out = place(out, "out")?;
            let target: Arc<dyn Target> = match t.as_ref() {
                Some(t) => {
                    if d != 0 {
                        same_dim(d, t.target.dim())?;
                    }
                    t.target.clone()
                }
                None if d == 0 || d > isize::MAX as usize / 32 => {
                    let allowed = "the dimension, 1 or more, where `t` is NULL";
                    return Err(wrong("rg_process_new", "d", d.to_string(), allowed));
                }
                None => Arc::new(Shapeless(d)),
            };
            let files = Folder::default();
            let label = format!("process {name}");
            let parts = Parts::new(&files).with_target(target);
            let process = cx.registry.process(name, settings(&label, toml)?, &parts)?;
            hand_over(out, rg_process { process });
            Ok(())
        })
    }
}

/// A target that has a dimension and nothing else.
pub(crate) struct Shapeless(pub(crate) usize);

impl Target for Shapeless {
    fn dim(&self) -> usize {
        self.0
    }

    fn has_density(&self) -> bool {
        false
    }

    fn has_gradient(&self) -> bool {
        false
    }

    fn eval(
        &self,
        _: &mut Cx<'_>,
        _: ArrayView2<'_, f64>,
        _: Option<ArrayViewMut1<'_, f64>>,
        _: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        Err(Error::Missing {
            component: "this call".into(),
            needed: "a target".into(),
            holder: "the caller".into(),
            advice: "hand one in".into(),
        })
    }
}

/// Makes a process from a table of functions as plugins have it.
///
/// `cx`: a context; not NULL.
/// `vtable`: the table; not NULL. It is copied. RG_THREAD_CALLER is allowed here.
/// `object`: handed to its functions as it is; may be NULL. `destroy` is called with it once, when nothing
/// uses the process any more, also if this function fails, unless `vtable` is NULL or has no place for `destroy`.
/// `out`: gets the process, which the caller frees; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_ARG if the table is not right, with what is wrong, or if it
/// says of itself what cannot be; what its functions return.
/// Threads: any, also several at once with the same context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_process_from_vtable(
    cx: *const rg_context,
    vtable: *const rg_process_vtable,
    object: *mut c_void,
    out: *mut *mut rg_process,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            borrow(vtable, "vtable")?;
            // It owns the object, whatever else is wrong.
            let process = Foreign::<rg_process_vtable>::new(made(vtable.cast(), object, "process"));
            borrow(cx, "cx")?;
            let out = place(out, "out")?;
            let process = process?;
            let process = Arc::new(process);
            hand_over(out, rg_process { process });
            Ok(())
        })
    }
}

/// What a process is. Each place may be NULL if it is not wanted.
///
/// `p`: a process; not NULL.
/// `d`: gets the dimension of the state.
/// `m`: gets the dimension of the noise.
/// `t_end`: gets the time at which the reference law holds, above 0.
/// `caps`: gets RG_CAP_ bits: RG_CAP_ROWWISE, RG_CAP_DETERMINISTIC, RG_CAP_G_CONST_X, RG_CAP_LINEAR or
/// RG_CAP_LINEAR_DIAG or RG_CAP_LINEAR_DENSE, RG_CAP_WARPED.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL if `p` is NULL.
/// Threads: any, also several at once with the same process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_process_info(
    p: *const rg_process,
    d: *mut usize,
    m: *mut usize,
    t_end: *mut f64,
    caps: *mut u64,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let p = borrow(p, "p")?.process.as_ref();
            if let Some(d) = d.as_mut() {
                *d = p.dim();
            }
            if let Some(m) = m.as_mut() {
                *m = p.noise_dim();
            }
            if let Some(t) = t_end.as_mut() {
                *t = p.t_end();
            }
            if let Some(caps) = caps.as_mut() {
                *caps = abilities(p);
            }
            Ok(())
        })
    }
}

fn abilities(p: &dyn ForwardProcess) -> u64 {
    let traits = p.traits();
    let form = match p.linear().map(|l| l.form()) {
        None => 0,
        Some(Form::Scalar) => RG_CAP_LINEAR,
        Some(Form::Diagonal) => RG_CAP_LINEAR_DIAG,
        Some(Form::Dense) => RG_CAP_LINEAR_DENSE,
    };
    [
        (traits.rowwise, RG_CAP_ROWWISE),
        (traits.deterministic, RG_CAP_DETERMINISTIC),
        (p.g_constant_in_x(), RG_CAP_G_CONST_X),
        (p.warp().is_some(), RG_CAP_WARPED),
    ]
    .into_iter()
    .filter_map(|(has, cap)| has.then_some(cap))
    .fold(form, |all, cap| all | cap)
}

/// The law of a linear process: x at t, given x at 0, is Gaussian with mean alpha x and covariance sigma2.
///
/// `p`: a process with RG_CAP_LINEAR (1 number each), RG_CAP_LINEAR_DIAG (d numbers each) or
/// RG_CAP_LINEAR_DENSE (d x d numbers each, row-major); with RG_CAP_WARPED the law is that of warp(x). Not NULL.
/// `t`: a time from 0 to t_end.
/// `alpha`: gets alpha; not NULL.
/// `sigma2`: gets sigma2; not NULL.
/// `len`: numbers that there is room for in each.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_ARG if `t` is out of its range; RG_ERR_UNSUPPORTED if the process is not
/// linear; RG_ERR_BUFFER if `len` is too small.
/// Threads: any, also several at once with the same process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_process_linear(
    p: *const rg_process,
    t: f64,
    alpha: *mut f64,
    sigma2: *mut f64,
    len: usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let p = borrow(p, "p")?.process.as_ref();
            let alpha = place(alpha, "alpha")?;
            let sigma2 = place(sigma2, "sigma2")?;
            let linear = p.linear().ok_or_else(|| Error::Missing {
                component: "rg_process_linear".into(),
                needed: "a linear law".into(),
                holder: "this process".into(),
                advice: "ask rg_process_info first".into(),
            })?;
            within("rg_process_linear", "t", t, p)?;
            let d = p.dim();
            let needed = match linear.form() {
                Form::Scalar => 1,
                Form::Diagonal => d,
                Form::Dense => d * d,
            };
            if len < needed {
                return Err(Error::Buffer {
                    argument: "alpha".into(),
                    given: len,
                    needed,
                });
            }
            let (mut a, mut s) = (vec![0.0; needed], vec![0.0; needed]);
            linear.at(t, &mut a, &mut s);
            alpha.copy_from_nonoverlapping(std::ptr::NonNull::from(&mut a[0]), needed);
            sigma2.copy_from_nonoverlapping(std::ptr::NonNull::from(&mut s[0]), needed);
            Ok(())
        })
    }
}

fn within(function: &str, argument: &str, t: f64, p: &dyn ForwardProcess) -> Result {
    if (0.0..=p.t_end()).contains(&t) {
        return Ok(());
    }
    let allowed = format!("from 0 to t_end = {}", p.t_end());
    Err(wrong(function, argument, t.to_string(), &allowed))
}

/// The drift f(x, t) of a process at n points.
///
/// `p`: a process; not NULL.
/// `n`: number of points.
/// `d`: the dimension of the process.
/// `t`: times from 0 to t_end, that of row i at t[i * t_step]; not NULL.
/// `t_step`: 0 for one time for all rows, 1 for one each.
/// `x`: points, row i at x + i * x_stride; not NULL unless n is 0.
/// `x_stride`: d or more; 0 stands for d.
/// `f`: gets the drifts, row i at f + i * f_stride; not NULL unless n is 0.
/// `f_stride`: d or more; 0 stands for d.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_DIM; RG_ERR_ARG if a time is out of its range; what the process returns.
/// Threads: as for rg_target_eval.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_process_drift(
    p: *const rg_process,
    n: usize,
    d: usize,
    t: *const f64,
    t_step: usize,
    x: *const f64,
    x_stride: usize,
    f: *mut f64,
    f_stride: usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let p = borrow(p, "p")?.process.as_ref();
            let x = Rows::new("x", x, n, d, x_stride, p.dim())?.read();
            let out = RowsOut::new("f", f, n, d, f_stride)?;
            let times = times(t, t_step, n)?;
            for t in &times {
                within("rg_process_drift", "t", *t, p)?;
            }
            let mut f = Array2::zeros((n, d));
            Runtime::new(0, 1)?.enter("rg_process_drift", 0, |cx| {
                p.drift(cx, as_times(&times, t_step), x.view(), f.view_mut())
            })?;
            out.write_chains(1, f.view());
            Ok(())
        })
    }
}

/// Draws x at t1 given x at t0 for each row: from the transition of the process where it has one, else by
/// `steps` equal Euler-Maruyama steps. The same arguments give the same bits.
///
/// `p`: a process; not NULL.
/// `seed`: seed of the random numbers.
/// `n`: number of rows.
/// `d`: the dimension of the process.
/// `t0`, `t1`: times, 0 <= t0 < t1 <= t_end.
/// `steps`: 1 or more.
/// `x0`: points, row i at x0 + i * x0_stride; not NULL unless n is 0.
/// `x0_stride`: d or more; 0 stands for d.
/// `x1`: gets the draws, row i at x1 + i * x1_stride; not NULL unless n is 0. May be x0.
/// `x1_stride`: d or more; 0 stands for d.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_DIM; RG_ERR_ARG if times or steps are out of their range; what the
/// process returns.
/// Threads: as for rg_target_eval.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_process_simulate(
    p: *const rg_process,
    seed: u64,
    n: usize,
    d: usize,
    t0: f64,
    t1: f64,
    steps: usize,
    x0: *const f64,
    x0_stride: usize,
    x1: *mut f64,
    x1_stride: usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let p = borrow(p, "p")?.process.as_ref();
            let mut x = Rows::new("x0", x0, n, d, x0_stride, p.dim())?.read();
            let out = RowsOut::new("x1", x1, n, d, x1_stride)?;
            within("rg_process_simulate", "t0", t0, p)?;
            within("rg_process_simulate", "t1", t1, p)?;
            if t0 >= t1 {
                let allowed = format!("above t0 = {t0}");
                return Err(wrong("rg_process_simulate", "t1", t1.to_string(), &allowed));
            }
            if steps == 0 {
                return Err(wrong(
                    "rg_process_simulate",
                    "steps",
                    "0".into(),
                    "1 or more",
                ));
            }
            Runtime::new(seed, 1)?.enter("rg_process_simulate", 0, |cx| {
                forward(cx, p, (t0, t1), steps, x.view_mut())
            })?;
            out.write_chains(1, x.view());
            Ok(())
        })
    }
}

/// Frees a process. What was made from it lives on.
///
/// `p`: a process that was not freed yet and that no other thread is using, or NULL, which does nothing.
/// Threads: any, not necessarily the one that made it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_process_free(p: *mut rg_process) {
    // SAFETY: as the header says.
    unsafe { free(p) };
}
