//! Thread classes are kept, and a second call at once is a sentence, not a deadlock.

use crate::plugged::{closure_target, eval, flat, process, with_cx};
use ndarray::Array2;
use retrograde_abi::*;
use retrograde_bridge::{Exported, Side};
use retrograde_core::{Error, Status, Target};
use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Two threads at once; the most that were inside together.
fn together(threading: i32) -> i32 {
    static MOST: AtomicI32 = AtomicI32::new(0);
    static NOW: AtomicI32 = AtomicI32::new(0);
    MOST.store(0, Ordering::SeqCst);
    let target = closure_target(threading, |_, n, _, l, _| {
        MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        for i in 0..n {
            // SAFETY: n numbers.
            unsafe { l.add(i).write(0.0) };
        }
        NOW.fetch_sub(1, Ordering::SeqCst);
        RG_OK
    });
    let barrier = std::sync::Barrier::new(2);
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                with_cx(1, |cx| {
                    barrier.wait();
                    for _ in 0..10 {
                        eval(&target, cx, 2).unwrap();
                    }
                });
            });
        }
    });
    MOST.load(Ordering::SeqCst)
}

#[test]
fn a_serial_object_is_never_in_two_calls_at_once() {
    assert_eq!(together(RG_THREAD_SERIAL), 1);
    // The same test sees it where it is allowed.
    assert_eq!(together(RG_THREAD_CONCURRENT), 2);
}

#[test]
fn an_object_that_calls_itself_is_busy() {
    static ITSELF: OnceLock<Arc<dyn Target>> = OnceLock::new();
    static CODE: AtomicI32 = AtomicI32::new(-1);
    let inner: Arc<dyn Target> = Arc::new(closure_target(RG_THREAD_SERIAL, |_, _, _, _, _| {
        let again = with_cx(1, |cx| eval(&**ITSELF.get().unwrap(), cx, 1));
        let code = again.map_or_else(|e| e.status() as i32, |_| 0);
        CODE.store(code, Ordering::SeqCst);
        code
    }));
    assert!(ITSELF.set(inner.clone()).is_ok());
    let error = with_cx(1, |cx| eval(&*inner, cx, 1)).unwrap_err();
    assert_eq!(CODE.load(Ordering::SeqCst), RG_ERR_BUSY);
    assert_eq!(error.status(), Status::Busy, "{error}");
    // And is free afterwards.
    let error = with_cx(1, |cx| eval(&*inner, cx, 1)).unwrap_err();
    assert_eq!(error.status(), Status::Busy, "{error}");
}

#[test]
fn an_object_of_the_callers_thread_is_not_called_in_blocks() {
    let here = std::thread::current().id();
    let target = closure_target(RG_THREAD_CALLER, move |_, n, _, l, _| {
        if std::thread::current().id() != here {
            return RG_ERR_THREAD;
        }
        for i in 0..n {
            // SAFETY: n numbers.
            unsafe { l.add(i).write(1.0) };
        }
        RG_OK
    });
    for threads in [1, 3] {
        with_cx(threads, |cx| {
            let x = Array2::zeros((1000, 2));
            let mut l = ndarray::Array1::zeros(1000);
            cx.eval_target(&target, x.view(), Some(l.view_mut()), None)
                .unwrap();
            assert!(l.iter().all(|l| *l == 1.0));
            let error = cx
                .rows(1000, (), |cx, _, ()| eval(&target, cx, 1).map(|_| ()))
                .unwrap_err();
            assert!(matches!(error, Error::WrongThread { .. }), "{error}");
        });
    }
}

/// What the host lends is guarded for whoever calls it from blocks.
#[test]
fn a_serial_process_of_the_host_is_not_called_in_the_blocks_of_a_plugin() {
    struct Serial(Arc<dyn retrograde_core::ForwardProcess>);
    impl retrograde_core::ForwardProcess for Serial {
        fn dim(&self) -> usize {
            2
        }
        fn t_end(&self) -> f64 {
            1.0
        }
        fn traits(&self) -> retrograde_core::Traits {
            retrograde_core::Traits {
                threading: retrograde_core::Threading::Serial,
                ..retrograde_core::Traits::PURE
            }
        }
        fn drift(
            &self,
            cx: &mut retrograde_core::Cx<'_>,
            t: retrograde_core::Times<'_>,
            x: ndarray::ArrayView2<'_, f64>,
            f: ndarray::ArrayViewMut2<'_, f64>,
        ) -> retrograde_core::Result {
            self.0.drift(cx, t, x, f)
        }
        fn apply_g(
            &self,
            cx: &mut retrograde_core::Cx<'_>,
            t: retrograde_core::Times<'_>,
            x: ndarray::ArrayView2<'_, f64>,
            z: ndarray::ArrayView2<'_, f64>,
            out: ndarray::ArrayViewMut2<'_, f64>,
        ) -> retrograde_core::Result {
            self.0.apply_g(cx, t, x, z, out)
        }
        fn apply_ggt(
            &self,
            cx: &mut retrograde_core::Cx<'_>,
            t: retrograde_core::Times<'_>,
            x: ndarray::ArrayView2<'_, f64>,
            v: ndarray::ArrayView2<'_, f64>,
            out: ndarray::ArrayViewMut2<'_, f64>,
        ) -> retrograde_core::Result {
            self.0.apply_ggt(cx, t, x, v, out)
        }
        fn reference_sample(
            &self,
            cx: &mut retrograde_core::Cx<'_>,
            x: ndarray::ArrayViewMut2<'_, f64>,
        ) -> retrograde_core::Result {
            self.0.reference_sample(cx, x)
        }
        fn reference_eval(
            &self,
            cx: &mut retrograde_core::Cx<'_>,
            x: ndarray::ArrayView2<'_, f64>,
            l: Option<ndarray::ArrayViewMut1<'_, f64>>,
            g: Option<ndarray::ArrayViewMut2<'_, f64>>,
        ) -> retrograde_core::Result {
            self.0.reference_eval(cx, x, l, g)
        }
    }
    struct User(rg_ref, AtomicI32);
    unsafe extern "C" fn block(
        user: *mut c_void,
        child: *mut rg_call,
        _: usize,
        _: usize,
    ) -> rg_status {
        // SAFETY: what the test handed over; one row of two numbers.
        unsafe {
            let user = &*user.cast::<User>();
            let drift = (*user.0.vtable.cast::<rg_process_vtable>()).drift.unwrap();
            let (x, mut f, t) = ([0.5, 0.5], [0.0; 2], 0.5);
            let code = drift(
                user.0.object,
                child,
                1,
                2,
                &raw const t,
                0,
                x.as_ptr(),
                f.as_mut_ptr(),
            );
            user.1.store(code, Ordering::SeqCst);
            code
        }
    }
    let serial: Arc<dyn retrograde_core::ForwardProcess> =
        Arc::new(Serial(process("ou", "", &flat(2))));
    let lent = Exported::new(serial, Side::Host);
    // SAFETY: it lives as long as `lent`.
    let reference = unsafe { *lent.reference() };
    struct Sent(rg_ref);
    // SAFETY: the host's object, whose class is looked at.
    unsafe impl Send for Sent {}
    // SAFETY: as for Send.
    unsafe impl Sync for Sent {}
    let sent = Sent(reference);
    let caller = closure_target(RG_THREAD_SERIAL, move |call, _, _, _, _| {
        let sent = &sent;
        let user = User(sent.0, AtomicI32::new(-1));
        let host = retrograde_bridge::host();
        let user_data = std::ptr::from_ref(&user).cast_mut().cast();
        // SAFETY: as the header says.
        unsafe { host.for_rows.unwrap()(call, 1, Some(block), user_data) }
    });
    let error = with_cx(1, |cx| eval(&caller, cx, 1)).unwrap_err();
    assert!(matches!(error, Error::WrongThread { .. }), "{error}");
}
