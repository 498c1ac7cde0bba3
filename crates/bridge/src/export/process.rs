//! The table of a forward process.

use super::{Callee, Destroy, Export, caps, class, lacking, plainly, put, same_dim, with_cx};
use crate::arrays::{slice_mut, times, view1, view1_mut, view2, view2_mut, wanted1, wanted2};
use retrograde_abi::{
    RG_CAP_AUTONOMOUS, RG_CAP_G_CONST_X, RG_CAP_LINEAR, RG_CAP_LINEAR_DENSE, RG_CAP_LINEAR_DIAG,
    RG_CAP_WARPED, rg_call, rg_process_vtable, rg_status,
};
use retrograde_core::{Form, ForwardProcess, Status, Threading};
use std::ffi::c_void;

impl Export for dyn ForwardProcess {
    type Table = rg_process_vtable;

    fn threading(process: &Self) -> Threading {
        process.traits().threading
    }

    fn table(process: &Self, destroy: Option<Destroy>) -> rg_process_vtable {
        let mut own = caps(process.traits());
        if process.g_constant_in_x() {
            own |= RG_CAP_G_CONST_X;
        }
        own |= match process.linear().map(|l| l.form()) {
            None => 0,
            Some(Form::Scalar) => RG_CAP_LINEAR,
            Some(Form::Diagonal) => RG_CAP_LINEAR_DIAG,
            Some(Form::Dense) => RG_CAP_LINEAR_DENSE,
        };
        let warped = process.warp().is_some();
        if warped {
            own |= RG_CAP_WARPED;
        }
        if process.autonomous() {
            own |= RG_CAP_AUTONOMOUS;
        }
        let transition = process.transition().is_some();
        let map = process.forward_map().is_some();
        let cdf = process.cdf().is_some();
        rg_process_vtable {
            struct_size: size_of::<rg_process_vtable>(),
            caps: own,
            threading: class(process.traits().threading),
            reserved: 0,
            destroy,
            info: Some(info),
            drift: Some(drift),
            apply_g: Some(apply_g),
            apply_ggt: Some(apply_ggt),
            ref_sample: Some(ref_sample),
            ref_eval: Some(ref_eval),
            div_ggt: process.div_ggt().map(|_| div_ggt as _),
            linear: process.linear().map(|_| linear as _),
            transition_sample: transition.then_some(transition_sample as _),
            transition_score: transition.then_some(transition_score as _),
            drift_vjp: process.drift_vjp().map(|_| drift_vjp as _),
            drift_jvp: process.drift_jvp().map(|_| drift_jvp as _),
            drift_div: process.drift_divergence().map(|_| drift_div as _),
            int_g2: process.integral_g2().map(|_| int_g2 as _),
            forward_map: map.then_some(forward_map as _),
            solve_noise: map.then_some(solve_noise as _),
            restore: process.restore().map(|_| restore as _),
            warp: warped.then_some(warp as _),
            unwarp: warped.then_some(unwarp as _),
            warp_score: warped.then_some(warp_score as _),
            cdf: cdf.then_some(cdf_of as _),
            quantile: cdf.then_some(quantile as _),
            support: Some(support),
            flags: Some(flags),
            time_of: (own & RG_CAP_LINEAR != 0).then_some(time_of as _),
        }
    }
}

unsafe extern "C" fn info(
    object: *mut c_void,
    call: *mut rg_call,
    d: *mut usize,
    m: *mut usize,
    t_end: *mut f64,
) -> rg_status {
    plainly!(dyn ForwardProcess, object, call, |process| {
        put(d, process.dim(), "d")?;
        put(m, process.noise_dim(), "m")?;
        put(t_end, process.t_end(), "t_end")
    })
}

unsafe extern "C" fn drift(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    t: *const f64,
    ts: usize,
    x: *const f64,
    f: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let (t, x) = (times(t, ts, n)?, view2(x, n, d, "x")?);
        process.drift(cx, t, x, view2_mut(f, n, d, "f")?)
    })
}

unsafe extern "C" fn apply_g(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    m: usize,
    t: *const f64,
    ts: usize,
    x: *const f64,
    z: *const f64,
    out: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        same_dim("noise of the process", process.noise_dim(), m)?;
        let (t, x) = (times(t, ts, n)?, view2(x, n, d, "x")?);
        let z = view2(z, n, m, "z")?;
        process.apply_g(cx, t, x, z, view2_mut(out, n, d, "out")?)
    })
}

unsafe extern "C" fn apply_ggt(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    t: *const f64,
    ts: usize,
    x: *const f64,
    v: *const f64,
    out: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let (t, x) = (times(t, ts, n)?, view2(x, n, d, "x")?);
        let v = view2(v, n, d, "v")?;
        process.apply_ggt(cx, t, x, v, view2_mut(out, n, d, "out")?)
    })
}

unsafe extern "C" fn ref_sample(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    x: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        process.reference_sample(cx, view2_mut(x, n, d, "x")?)
    })
}

unsafe extern "C" fn ref_eval(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    x: *const f64,
    logp: *mut f64,
    grad: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let x = view2(x, n, d, "x")?;
        let (l, g) = (wanted1(logp, n, "logp")?, wanted2(grad, n, d, "grad")?);
        process.reference_eval(cx, x, l, g)
    })
}

unsafe extern "C" fn div_ggt(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    t: *const f64,
    ts: usize,
    x: *const f64,
    out: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let f = process.div_ggt().ok_or_else(|| lacking("div_ggt"))?;
        let (t, x) = (times(t, ts, n)?, view2(x, n, d, "x")?);
        f.div_ggt(cx, t, x, view2_mut(out, n, d, "out")?)
    })
}

unsafe extern "C" fn linear(
    object: *mut c_void,
    call: *mut rg_call,
    d: usize,
    t: f64,
    alpha: *mut f64,
    sigma2: *mut f64,
) -> rg_status {
    plainly!(dyn ForwardProcess, object, call, |process| {
        same_dim("process", process.dim(), d)?;
        let f = process.linear().ok_or_else(|| lacking("linear"))?;
        let len = f.form().len(d);
        let alpha = slice_mut(alpha, len, "alpha")?;
        f.at(t, alpha, slice_mut(sigma2, len, "sigma2")?);
        Ok(())
    })
}

unsafe extern "C" fn transition_sample(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    s: f64,
    t: f64,
    xs: *const f64,
    xt: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let f = process
            .transition()
            .ok_or_else(|| lacking("transition_sample"))?;
        let xs = view2(xs, n, d, "xs")?;
        f.sample(cx, s, t, xs, view2_mut(xt, n, d, "xt")?)
    })
}

unsafe extern "C" fn transition_score(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    s: f64,
    t: f64,
    xs: *const f64,
    xt: *const f64,
    logp: *mut f64,
    grad_xt: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let f = process
            .transition()
            .ok_or_else(|| lacking("transition_score"))?;
        let (xs, xt) = (view2(xs, n, d, "xs")?, view2(xt, n, d, "xt")?);
        let (l, g) = (
            wanted1(logp, n, "logp")?,
            wanted2(grad_xt, n, d, "grad_xt")?,
        );
        f.score(cx, s, t, xs, xt, l, g)
    })
}

unsafe extern "C" fn drift_vjp(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    t: *const f64,
    ts: usize,
    x: *const f64,
    u: *const f64,
    out: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let f = process.drift_vjp().ok_or_else(|| lacking("drift_vjp"))?;
        let (t, x) = (times(t, ts, n)?, view2(x, n, d, "x")?);
        let u = view2(u, n, d, "u")?;
        f.drift_vjp(cx, t, x, u, view2_mut(out, n, d, "out")?)
    })
}

unsafe extern "C" fn drift_jvp(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    t: *const f64,
    ts: usize,
    x: *const f64,
    v: *const f64,
    out: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let f = process.drift_jvp().ok_or_else(|| lacking("drift_jvp"))?;
        let (t, x) = (times(t, ts, n)?, view2(x, n, d, "x")?);
        let v = view2(v, n, d, "v")?;
        f.drift_jvp(cx, t, x, v, view2_mut(out, n, d, "out")?)
    })
}

unsafe extern "C" fn drift_div(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    t: *const f64,
    ts: usize,
    x: *const f64,
    out: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let f = process
            .drift_divergence()
            .ok_or_else(|| lacking("drift_div"))?;
        let (t, x) = (times(t, ts, n)?, view2(x, n, d, "x")?);
        f.drift_divergence(cx, t, x, view1_mut(out, n, "out")?)
    })
}

unsafe extern "C" fn int_g2(
    object: *mut c_void,
    call: *mut rg_call,
    s: f64,
    t: f64,
    out: *mut f64,
) -> rg_status {
    plainly!(dyn ForwardProcess, object, call, |process| {
        let f = process.integral_g2().ok_or_else(|| lacking("int_g2"))?;
        put(out, f.integral_g2(s, t), "out")
    })
}

unsafe extern "C" fn forward_map(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    s: f64,
    t: f64,
    r: *const f64,
    z: *const f64,
    x: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let f = process
            .forward_map()
            .ok_or_else(|| lacking("forward_map"))?;
        let (r, z) = (view2(r, n, d, "r")?, view2(z, n, d, "z")?);
        f.forward_map(cx, s, t, r, z, view2_mut(x, n, d, "x")?)
    })
}

unsafe extern "C" fn solve_noise(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    s: f64,
    t: f64,
    r: *const f64,
    x: *const f64,
    z: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let f = process
            .forward_map()
            .ok_or_else(|| lacking("solve_noise"))?;
        let (r, x) = (view2(r, n, d, "r")?, view2(x, n, d, "x")?);
        f.solve_noise(cx, s, t, r, x, view2_mut(z, n, d, "z")?)
    })
}

unsafe extern "C" fn restore(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    t: f64,
    back: f64,
    x: *const f64,
    score: *const f64,
    r: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let f = process.restore().ok_or_else(|| lacking("restore"))?;
        let (x, score) = (view2(x, n, d, "x")?, view2(score, n, d, "score")?);
        f.restore(cx, t, back, x, score, view2_mut(r, n, d, "r")?)
    })
}

unsafe extern "C" fn warp(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    x: *const f64,
    y: *mut f64,
    log_det: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let f = process.warp().ok_or_else(|| lacking("warp"))?;
        let (x, y) = (view2(x, n, d, "x")?, view2_mut(y, n, d, "y")?);
        f.warp(cx, x, y, wanted1(log_det, n, "log_det")?)
    })
}

unsafe extern "C" fn unwarp(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    y: *const f64,
    x: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let f = process.warp().ok_or_else(|| lacking("unwarp"))?;
        f.unwarp(cx, view2(y, n, d, "y")?, view2_mut(x, n, d, "x")?)
    })
}

unsafe extern "C" fn warp_score(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    x: *const f64,
    sy: *const f64,
    sx: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        same_dim("process", process.dim(), d)?;
        let f = process.warp().ok_or_else(|| lacking("warp_score"))?;
        let (x, sy) = (view2(x, n, d, "x")?, view2(sy, n, d, "sy")?);
        f.warp_score(cx, x, sy, view2_mut(sx, n, d, "sx")?)
    })
}

unsafe extern "C" fn cdf_of(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    s: f64,
    t: f64,
    r: *const f64,
    x: *const f64,
    p: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        let f = process.cdf().ok_or_else(|| lacking("cdf"))?;
        let (r, x) = (view1(r, n, "r")?, view1(x, n, "x")?);
        f.cdf(cx, s, t, r, x, view1_mut(p, n, "p")?)
    })
}

unsafe extern "C" fn quantile(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    s: f64,
    t: f64,
    r: *const f64,
    p: *const f64,
    x: *mut f64,
) -> rg_status {
    with_cx!(dyn ForwardProcess, object, call, |process, cx, _| {
        let f = process.cdf().ok_or_else(|| lacking("quantile"))?;
        let (r, p) = (view1(r, n, "r")?, view1(p, n, "p")?);
        f.quantile(cx, s, t, r, p, view1_mut(x, n, "x")?)
    })
}

unsafe extern "C" fn support(
    object: *mut c_void,
    call: *mut rg_call,
    low: *mut f64,
    high: *mut f64,
) -> rg_status {
    plainly!(dyn ForwardProcess, object, call, |process| {
        let (from, to) = process.support();
        put(low, from, "low")?;
        put(high, to, "high")
    })
}

unsafe extern "C" fn time_of(
    object: *mut c_void,
    call: *mut rg_call,
    level: f64,
    t_end: f64,
    t: *mut f64,
) -> rg_status {
    plainly!(dyn ForwardProcess, object, call, |process| {
        let f = process.linear().ok_or_else(|| lacking("time_of"))?;
        if f.form() != Form::Scalar {
            return Err(lacking("time_of"));
        }
        put(t, f.time_of(level, t_end)?, "t")
    })
}

unsafe extern "C" fn flags(object: *mut c_void, call: *mut rg_call) -> rg_status {
    // SAFETY: as above.
    let Some(callee) = (unsafe { Callee::<dyn ForwardProcess>::of(object) }) else {
        return Status::Null as rg_status;
    };
    let mut found = Vec::new();
    // SAFETY: as above.
    let code = unsafe {
        callee.plainly(call, |process| {
            found = process.flags();
            Ok(())
        })
    };
    let _ = callee.hand_on(call, &found);
    code
}
