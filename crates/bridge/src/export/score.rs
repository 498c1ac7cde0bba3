//! The table of a score.

use super::{Callee, Destroy, Export, caps, class, lacking, plainly, put, same_dim, with_cx};
use crate::arrays::{count, times, view1_mut, view2, view2_mut};
use retrograde_abi::{rg_call, rg_score_vtable, rg_status};
use retrograde_core::{Score, Status, Threading};
use std::ffi::c_void;

impl Export for dyn Score {
    type Table = rg_score_vtable;

    fn threading(score: &Self) -> Threading {
        score.traits().threading
    }

    fn table(score: &Self, destroy: Option<Destroy>) -> rg_score_vtable {
        rg_score_vtable {
            struct_size: size_of::<rg_score_vtable>(),
            caps: caps(score.traits()),
            threading: class(score.traits().threading),
            reserved: 0,
            destroy,
            dim: Some(dim),
            eval: Some(eval),
            jvp: score.jvp().map(|_| jvp as _),
            log_marginal: score.log_marginal().map(|_| log_marginal as _),
            flags: Some(flags),
        }
    }
}

unsafe extern "C" fn dim(object: *mut c_void, call: *mut rg_call, d: *mut usize) -> rg_status {
    plainly!(dyn Score, object, call, |score| {
        put(d, score.dim(), "d")
    })
}

unsafe extern "C" fn eval(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    t: *const f64,
    ts: usize,
    x: *const f64,
    s: *mut f64,
) -> rg_status {
    with_cx!(dyn Score, object, call, |score, cx, counted| {
        same_dim("score", score.dim(), d)?;
        let (t, x) = (times(t, ts, n)?, view2(x, n, d, "x")?);
        let s = view2_mut(s, n, d, "s")?;
        if counted {
            cx.eval_score(score, t, x, s)
        } else {
            score.eval(cx, t, x, s)
        }
    })
}

unsafe extern "C" fn jvp(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    k: usize,
    t: *const f64,
    ts: usize,
    x: *const f64,
    v: *const f64,
    out: *mut f64,
) -> rg_status {
    with_cx!(dyn Score, object, call, |score, cx, counted| {
        same_dim("score", score.dim(), d)?;
        let jvp = score.jvp().ok_or_else(|| lacking("jvp"))?;
        let (t, x) = (times(t, ts, n)?, view2(x, n, d, "x")?);
        let dk = count(d, k, "v")?;
        let (v, out) = (view2(v, n, dk, "v")?, view2_mut(out, n, dk, "out")?);
        if counted {
            cx.eval_score_jvp(score, t, x, v, out)
        } else {
            jvp.jvp(cx, t, x, v, out)
        }
    })
}

unsafe extern "C" fn log_marginal(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    t: *const f64,
    ts: usize,
    x: *const f64,
    out: *mut f64,
) -> rg_status {
    with_cx!(dyn Score, object, call, |score, cx, _| {
        same_dim("score", score.dim(), d)?;
        let marginal = score
            .log_marginal()
            .ok_or_else(|| lacking("log_marginal"))?;
        let (t, x) = (times(t, ts, n)?, view2(x, n, d, "x")?);
        marginal.log_marginal(cx, t, x, view1_mut(out, n, "out")?)
    })
}

unsafe extern "C" fn flags(object: *mut c_void, call: *mut rg_call) -> rg_status {
    // SAFETY: as above.
    let Some(callee) = (unsafe { Callee::<dyn Score>::of(object) }) else {
        return Status::Null as rg_status;
    };
    let mut found = Vec::new();
    // SAFETY: as above.
    let code = unsafe {
        callee.plainly(call, |score| {
            found = score.flags();
            Ok(())
        })
    };
    let _ = callee.hand_on(call, &found);
    code
}
