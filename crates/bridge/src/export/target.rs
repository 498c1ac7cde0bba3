//! The table of a target.

use super::{Destroy, Export, caps, class, lacking, plainly, put, same_dim, with_cx, write_text};
use crate::arrays::{view2, view2_mut, wanted1, wanted2};
use retrograde_abi::{RG_CAP_GRADIENT, RG_CAP_NO_DENSITY, rg_call, rg_status, rg_target_vtable};
use retrograde_core::{Error, Target, Threading};
use std::ffi::{c_char, c_void};

impl Export for dyn Target {
    type Table = rg_target_vtable;

    fn threading(target: &Self) -> Threading {
        target.traits().threading
    }

    fn table(target: &Self, destroy: Option<Destroy>) -> rg_target_vtable {
        let mut own = caps(target.traits());
        if target.has_gradient() {
            own |= RG_CAP_GRADIENT;
        }
        if !target.has_density() {
            own |= RG_CAP_NO_DENSITY;
        }
        let outputs = target.outputs().is_some();
        rg_target_vtable {
            struct_size: size_of::<rg_target_vtable>(),
            caps: own,
            threading: class(target.traits().threading),
            reserved: 0,
            destroy,
            dim: Some(dim),
            eval: Some(eval),
            hvp: target.hvp().map(|_| hvp as _),
            name: Some(name),
            n_outputs: outputs.then_some(n_outputs as _),
            output_name: outputs.then_some(output_name as _),
            outputs: outputs.then_some(outputs_of as _),
        }
    }
}

unsafe extern "C" fn dim(object: *mut c_void, call: *mut rg_call, d: *mut usize) -> rg_status {
    plainly!(dyn Target, object, call, |target| {
        put(d, target.dim(), "d")
    })
}

unsafe extern "C" fn eval(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    x: *const f64,
    logp: *mut f64,
    grad: *mut f64,
) -> rg_status {
    with_cx!(dyn Target, object, call, |target, cx, counted| {
        same_dim("target", target.dim(), d)?;
        let x = view2(x, n, d, "x")?;
        let (l, g) = (wanted1(logp, n, "logp")?, wanted2(grad, n, d, "grad")?);
        if counted {
            cx.eval_target(target, x, l, g)
        } else {
            target.eval(cx, x, l, g)
        }
    })
}

unsafe extern "C" fn hvp(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    x: *const f64,
    v: *const f64,
    out: *mut f64,
) -> rg_status {
    with_cx!(dyn Target, object, call, |target, cx, _| {
        same_dim("target", target.dim(), d)?;
        let hvp = target.hvp().ok_or_else(|| lacking("hvp"))?;
        let (x, v) = (view2(x, n, d, "x")?, view2(v, n, d, "v")?);
        hvp.hvp(cx, x, v, view2_mut(out, n, d, "out")?)
    })
}

fn index(i: usize, count: usize) -> retrograde_core::Result {
    if i < count {
        return Ok(());
    }
    Err(Error::Argument {
        component: "target".into(),
        argument: "i".into(),
        given: i.to_string(),
        allowed: format!("below {count}"),
    })
}

unsafe extern "C" fn name(
    object: *mut c_void,
    call: *mut rg_call,
    i: usize,
    buf: *mut c_char,
    cap: usize,
    need: *mut usize,
) -> rg_status {
    plainly!(dyn Target, object, call, |target| {
        index(i, target.dim())?;
        write_text(&target.coordinate(i), buf, cap, need)
    })
}

unsafe extern "C" fn n_outputs(
    object: *mut c_void,
    call: *mut rg_call,
    k: *mut usize,
) -> rg_status {
    plainly!(dyn Target, object, call, |target| {
        put(k, target.outputs().map_or(0, |o| o.count()), "k")
    })
}

unsafe extern "C" fn output_name(
    object: *mut c_void,
    call: *mut rg_call,
    i: usize,
    buf: *mut c_char,
    cap: usize,
    need: *mut usize,
) -> rg_status {
    plainly!(dyn Target, object, call, |target| {
        let outputs = target.outputs().ok_or_else(|| lacking("outputs"))?;
        index(i, outputs.count())?;
        write_text(&outputs.name(i), buf, cap, need)
    })
}

unsafe extern "C" fn outputs_of(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    k: usize,
    x: *const f64,
    out: *mut f64,
) -> rg_status {
    with_cx!(dyn Target, object, call, |target, cx, _| {
        same_dim("target", target.dim(), d)?;
        let outputs = target.outputs().ok_or_else(|| lacking("outputs"))?;
        same_dim("outputs of the target", outputs.count(), k)?;
        outputs.eval(cx, view2(x, n, d, "x")?, view2_mut(out, n, k, "out")?)
    })
}
