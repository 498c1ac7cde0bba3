//! Scores on their own.

use crate::context::rg_context;
use crate::error::rg_error;
use crate::ffi::{
    Rows, RowsOut, as_times, borrow, ffi, free, hand_over, made, optional_text, place, settings,
    text, times, wrong,
};
use crate::process::rg_process;
use crate::target::rg_target;
use retrograde::core::registry::{Folder, Parts};
use retrograde::core::{Runtime, Score};
use retrograde::ndarray::Array2;
use retrograde_abi::{rg_score_vtable, rg_status};
use retrograde_bridge::Foreign;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// A score: the gradient of the log density of a process at a time, or an estimate of it. Made by
/// rg_score_new or rg_score_from_vtable, freed by rg_score_free; what is made from it keeps it alive inside.
pub struct rg_score {
    pub(crate) score: Arc<dyn Score>,
    /// The last time of its process, if it was made with one.
    t_end: Option<f64>,
}

impl std::fmt::Debug for rg_score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("rg_score")
            .field("dim", &self.score.dim())
            .finish_non_exhaustive()
    }
}

/// Makes a score of the registry.
///
/// `cx`: a context; not NULL.
/// `name`: its name; not NULL.
/// `toml`: its settings as TOML, the keys that a job has in `[score]` without `kind`; NULL for none.
/// `t`: the target; NULL if the score needs none.
/// `p`: the process; NULL if the score needs none.
/// `out`: gets the score, which the caller frees; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_NOT_FOUND if no score is called so; RG_ERR_CONFIG if a
/// setting is wrong; RG_ERR_ARG if target and process differ in dimension; RG_ERR_UNSUPPORTED if it needs a target or process that is not there, or more of them than
/// they have; what a plugin returns.
/// Threads: any, also several at once with the same objects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_score_new(
    cx: *const rg_context,
    name: *const c_char,
    toml: *const c_char,
    t: *const rg_target,
    p: *const rg_process,
    out: *mut *mut rg_score,
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
            let mut parts = Parts::new(&files);
            parts.target = t.as_ref().map(|t| t.target.clone());
            parts.process = p.as_ref().map(|p| p.process.clone());
            let label = format!("score {name}");
            let score = cx.registry.score(name, settings(&label, toml)?, &parts)?;
            let t_end = p.as_ref().map(|p| p.process.t_end());
            hand_over(out, rg_score { score, t_end });
            Ok(())
        })
    }
}

/// Makes a score from a table of functions as plugins have it.
///
/// `cx`: a context; not NULL.
/// `vtable`: the table; not NULL. It is copied. RG_THREAD_CALLER is allowed here.
/// `object`: handed to its functions as it is; may be NULL. `destroy` is called with it once, when nothing
/// uses the score any more, also if this function fails, unless `vtable` is NULL or has no place for `destroy`.
/// `out`: gets the score, which the caller frees; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_ARG if the table is not right, with what is wrong, or if it
/// says of itself what cannot be; what its functions return.
/// Threads: any, also several at once with the same context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_score_from_vtable(
    cx: *const rg_context,
    vtable: *const rg_score_vtable,
    object: *mut c_void,
    out: *mut *mut rg_score,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            borrow(vtable, "vtable")?;
            // It owns the object, whatever else is wrong.
            let score = Foreign::<rg_score_vtable>::new(made(vtable.cast(), object, "score"));
            borrow(cx, "cx")?;
            let out = place(out, "out")?;
            let score = score?;
            let score = Arc::new(score);
            hand_over(out, rg_score { score, t_end: None });
            Ok(())
        })
    }
}

/// Evaluates a score at n points. A row that is not finite comes back as 0.
///
/// `s`: a score; not NULL.
/// `seed`: seed of the random numbers of scores that draw some; the same arguments give the same bits.
/// `n`: number of points.
/// `d`: the dimension of the score.
/// `t`: times from 0 to t_end of the process, that of row i at t[i * t_step]; not NULL.
/// `t_step`: 0 for one time for all rows, 1 for one each.
/// `x`: points, row i at x + i * x_stride; not NULL unless n is 0.
/// `x_stride`: d or more; 0 stands for d.
/// `out`: gets the scores, row i at out + i * out_stride; not NULL unless n is 0.
/// `out_stride`: d or more; 0 stands for d.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_DIM; RG_ERR_ARG if a time is out of its range; RG_ERR_NUMERIC if more than a tenth of at least 200 rows failed;
/// what the score returns.
/// Threads: as for rg_target_eval.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_score_eval(
    s: *const rg_score,
    seed: u64,
    n: usize,
    d: usize,
    t: *const f64,
    t_step: usize,
    x: *const f64,
    x_stride: usize,
    out: *mut f64,
    out_stride: usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let s = borrow(s, "s")?;
            let t_end = s.t_end.unwrap_or(f64::INFINITY);
            let s = s.score.as_ref();
            let x = Rows::new("x", x, n, d, x_stride, s.dim())?.read();
            let out = RowsOut::new("out", out, n, d, out_stride)?;
            let times = times(t, t_step, n)?;
            if let Some(t) = times.iter().find(|t| !(0.0..=t_end).contains(*t)) {
                let allowed = match t_end {
                    f64::INFINITY => "0 or more".to_owned(),
                    end => format!("from 0 to {end}"),
                };
                return Err(wrong("rg_score_eval", "t", t.to_string(), &allowed));
            }
            let mut scores = Array2::zeros((n, d));
            Runtime::new(seed, 1)?.enter("rg_score_eval", 0, |cx| {
                cx.eval_score(s, as_times(&times, t_step), x.view(), scores.view_mut())
            })?;
            out.write_chains(1, scores.view());
            Ok(())
        })
    }
}

/// Frees a score. What was made from it lives on.
///
/// `s`: a score that was not freed yet and that no other thread is using, or NULL, which does nothing.
/// Threads: any, not necessarily the one that made it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_score_free(s: *mut rg_score) {
    // SAFETY: as the header says.
    unsafe { free(s) };
}
