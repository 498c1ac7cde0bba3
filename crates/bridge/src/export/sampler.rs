//! The table of a sampler.

use super::{Callee, Destroy, Export, Side, caps, class, plainly, put};
use crate::arrays::slice;
use crate::call::on_call;
use crate::remote::{RemoteSink, enter};
use retrograde_abi::{rg_call, rg_sampler_vtable, rg_status};
use retrograde_core::{Cx, Error, Flow, Result, Run, Sampler, Sink, Status, Threading};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Export for dyn Sampler {
    type Table = rg_sampler_vtable;

    fn threading(sampler: &Self) -> Threading {
        sampler.traits().threading
    }

    fn table(sampler: &Self, destroy: Option<Destroy>) -> rg_sampler_vtable {
        rg_sampler_vtable {
            struct_size: size_of::<rg_sampler_vtable>(),
            caps: caps(sampler.traits()),
            threading: class(sampler.traits().threading),
            reserved: 0,
            destroy,
            start: Some(start),
            step: Some(step),
            end: Some(end),
            save: Some(save),
            load: Some(load),
            rows: Some(rows),
        }
    }
}

/// A run, and its state as bytes between the question for their number and the bytes.
struct Running<'a> {
    run: Box<dyn Run + 'a>,
    saved: Option<Vec<u8>>,
}

/// Hands a run out.
///
/// # Safety
/// `place` is NULL or may be written. The run is ended before the sampler that it borrows is destroyed.
unsafe fn hand_out(run: Box<dyn Run + '_>, place: *mut *mut c_void) -> Result {
    if place.is_null() {
        return Err(Error::Null {
            argument: "run".into(),
        });
    }
    let running = Box::new(Running { run, saved: None });
    // SAFETY: by contract.
    unsafe { put(place, Box::into_raw(running).cast(), "run") }
}

/// The run behind a pointer.
///
/// # Safety
/// `run` is NULL, or handed out by [`hand_out`] and not ended, and nobody else uses it during `'a`.
unsafe fn running<'a>(run: *mut c_void) -> Result<&'a mut Running<'a>> {
    // SAFETY: by contract.
    unsafe { run.cast::<Running<'a>>().as_mut() }.ok_or_else(|| Error::Null {
        argument: "run".into(),
    })
}

unsafe extern "C" fn start(
    object: *mut c_void,
    call: *mut rg_call,
    n_draws: usize,
    run: *mut *mut c_void,
) -> rg_status {
    super::with_cx!(dyn Sampler, object, call, |sampler, cx, _| {
        hand_out(sampler.start(cx, n_draws)?, run)
    })
}

unsafe extern "C" fn load(
    object: *mut c_void,
    call: *mut rg_call,
    buf: *const c_void,
    len: usize,
    run: *mut *mut c_void,
) -> rg_status {
    super::with_cx!(dyn Sampler, object, call, |sampler, cx, _| {
        let bytes = slice(buf.cast::<u8>(), len, "buf")?;
        hand_out(sampler.resume(cx, bytes)?, run)
    })
}

unsafe extern "C" fn step(
    object: *mut c_void,
    call: *mut rg_call,
    run: *mut c_void,
    done: *mut i32,
) -> rg_status {
    // SAFETY: as above.
    let Some(callee) = (unsafe { Callee::<dyn Sampler>::of(object) }) else {
        return Status::Null as rg_status;
    };
    if let Some(code) = callee.usable(call) {
        return code;
    }
    let advance = |cx: &mut Cx<'_>, sink: &mut dyn Sink| {
        // SAFETY: as above.
        let running = unsafe { running(run)? };
        running.saved = None;
        let flow = running.run.step(cx, sink)?;
        // SAFETY: as above.
        unsafe { put(done, i32::from(flow == Flow::Done), "done") }
    };
    match callee.0.side {
        Side::Plugin(host) => callee.guarded(call, || {
            let mut sink = RemoteSink {
                host,
                call,
                failed: None,
            };
            enter(host, call, &callee.0.store, |cx| advance(cx, &mut sink))?;
            sink.failed.map_or(Ok(()), Err)
        }),
        // SAFETY: as above.
        Side::Host => unsafe {
            on_call(call, |c| {
                let (cx, sink) = c.cx_and_sink()?;
                advance(cx, sink)
            })
        },
    }
}

unsafe extern "C" fn end(_object: *mut c_void, run: *mut c_void) {
    if !run.is_null() {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: handed out by `hand_out`, and ended once.
            drop(unsafe { Box::from_raw(run.cast::<Running<'_>>()) });
        }));
    }
}

unsafe extern "C" fn save(
    object: *mut c_void,
    call: *mut rg_call,
    run: *const c_void,
    buf: *mut c_void,
    cap: usize,
    need: *mut usize,
) -> rg_status {
    plainly!(dyn Sampler, object, call, |_| {
        let running = running(run.cast_mut())?;
        let bytes = match running.saved.take() {
            Some(bytes) => bytes,
            None => match running.run.save()? {
                Some(bytes) => bytes,
                None => {
                    return Err(Error::Missing {
                        component: "the caller".into(),
                        needed: "a saved state".into(),
                        holder: "the sampler".into(),
                        advice: "run it again from its first step".into(),
                    });
                }
            },
        };
        put(need, bytes.len(), "need")?;
        if cap < bytes.len() || buf.is_null() {
            let needed = bytes.len();
            running.saved = Some(bytes);
            return Err(Error::Buffer {
                argument: "buf".into(),
                given: cap,
                needed,
            });
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), buf.cast(), bytes.len());
        Ok(())
    })
}

unsafe extern "C" fn rows(
    object: *mut c_void,
    call: *mut rg_call,
    n_draws: usize,
    rows: *mut usize,
) -> rg_status {
    plainly!(dyn Sampler, object, call, |sampler| {
        put(rows, sampler.rows(n_draws), "rows")
    })
}
