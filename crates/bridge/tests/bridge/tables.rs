//! Tables of every size and with every mistake.

use crate::plugged::{closure_ref, eval, take_up, target_table, with_cx};
use retrograde_abi::*;
use retrograde_bridge::tables::{Functions, read};
use retrograde_core::{Status, Target};
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

fn ok(call: *mut rg_call) -> rg_status {
    let _ = call;
    RG_OK
}

/// A process that says only what it is.
fn process_table() -> rg_process_vtable {
    unsafe extern "C" fn info(
        _: *mut c_void,
        call: *mut rg_call,
        d: *mut usize,
        m: *mut usize,
        end: *mut f64,
    ) -> rg_status {
        // SAFETY: the host's places.
        unsafe {
            d.write(1);
            m.write(1);
            end.write(1.0);
        }
        ok(call)
    }
    // SAFETY: zeros are absent functions.
    let mut table: rg_process_vtable = unsafe { std::mem::zeroed() };
    table.struct_size = size_of::<rg_process_vtable>();
    table.caps = RG_CAP_G_CONST_X;
    table.threading = RG_THREAD_SERIAL;
    table.info = Some(info);
    unsafe extern "C" fn with_times(
        _: *mut c_void,
        _: *mut rg_call,
        _: usize,
        _: usize,
        _: *const f64,
        _: usize,
        _: *const f64,
        _: *mut f64,
    ) -> rg_status {
        RG_OK
    }
    unsafe extern "C" fn apply_g(
        _: *mut c_void,
        _: *mut rg_call,
        _: usize,
        _: usize,
        _: usize,
        _: *const f64,
        _: usize,
        _: *const f64,
        _: *const f64,
        _: *mut f64,
    ) -> rg_status {
        RG_OK
    }
    unsafe extern "C" fn apply_ggt(
        _: *mut c_void,
        _: *mut rg_call,
        _: usize,
        _: usize,
        _: *const f64,
        _: usize,
        _: *const f64,
        _: *const f64,
        _: *mut f64,
    ) -> rg_status {
        RG_OK
    }
    unsafe extern "C" fn sample(
        _: *mut c_void,
        _: *mut rg_call,
        _: usize,
        _: usize,
        _: *mut f64,
    ) -> rg_status {
        RG_OK
    }
    unsafe extern "C" fn reference(
        _: *mut c_void,
        _: *mut rg_call,
        _: usize,
        _: usize,
        _: *const f64,
        _: *mut f64,
        _: *mut f64,
    ) -> rg_status {
        RG_OK
    }
    table.drift = Some(with_times);
    table.apply_g = Some(apply_g);
    table.apply_ggt = Some(apply_ggt);
    table.ref_sample = Some(sample);
    table.ref_eval = Some(reference);
    table
}

unsafe extern "C" fn linear(
    _: *mut c_void,
    _: *mut rg_call,
    _: usize,
    _: f64,
    _: *mut f64,
    _: *mut f64,
) -> rg_status {
    RG_OK
}

unsafe extern "C" fn unwarp(
    _: *mut c_void,
    _: *mut rg_call,
    _: usize,
    _: usize,
    _: *const f64,
    _: *mut f64,
) -> rg_status {
    RG_OK
}

unsafe extern "C" fn sample_between(
    _: *mut c_void,
    _: *mut rg_call,
    _: usize,
    _: usize,
    _: f64,
    _: f64,
    _: *const f64,
    _: *mut f64,
) -> rg_status {
    RG_OK
}

fn refused(change: impl FnOnce(&mut rg_process_vtable)) -> String {
    let mut table = process_table();
    table.look_over().unwrap();
    change(&mut table);
    table.look_over().unwrap_err()
}

#[test]
fn what_is_wrong_with_a_table_is_named() {
    for (said, text) in [
        (refused(|t| t.info = None), "`info`"),
        (refused(|t| t.drift = None), "`drift`"),
        (refused(|t| t.apply_g = None), "`apply_g`"),
        (refused(|t| t.apply_ggt = None), "`apply_ggt`"),
        (refused(|t| t.ref_sample = None), "`ref_sample`"),
        (refused(|t| t.ref_eval = None), "`ref_eval`"),
        (refused(|t| t.caps = 0), "`div_ggt` is NULL"),
        (refused(|t| t.threading = 3), "threading"),
        (refused(|t| t.threading = -1), "threading"),
        (refused(|t| t.reserved = 1), "`reserved`"),
        (refused(|t| t.caps |= RG_CAP_LINEAR), "`linear`"),
        (refused(|t| t.linear = Some(linear)), "RG_CAP_LINEAR"),
        (
            refused(|t| {
                t.linear = Some(linear);
                t.caps |= RG_CAP_LINEAR | RG_CAP_LINEAR_DENSE;
            }),
            "more than one",
        ),
        (refused(|t| t.caps |= RG_CAP_WARPED), "`warp`"),
        (refused(|t| t.unwarp = Some(unwarp)), "without `warp`"),
        (
            refused(|t| t.transition_sample = Some(sample_between)),
            "without `transition_score`",
        ),
        (
            refused(|t| t.solve_noise = None.or(t.solve_noise).or(Some(solve))),
            "without `forward_map`",
        ),
    ] {
        assert!(said.contains(text), "{said}: {text}");
    }
    unsafe extern "C" fn solve(
        _: *mut c_void,
        _: *mut rg_call,
        _: usize,
        _: usize,
        _: f64,
        _: f64,
        _: *const f64,
        _: *const f64,
        _: *mut f64,
    ) -> rg_status {
        RG_OK
    }
    let mut table = target_table(RG_THREAD_SERIAL);
    table.dim = None;
    assert!(table.look_over().unwrap_err().contains("`dim`"));
}

/// A table with a tail that this version does not know.
#[repr(C)]
struct Newer<T> {
    table: T,
    tail: [u64; 16],
}

#[test]
fn tables_of_any_version_are_read() {
    let whole = target_table(RG_THREAD_SERIAL);
    for size in [
        0,
        1,
        7,
        12,
        65,
        (1 << 16) + 8,
        1 << 40,
        usize::MAX,
        usize::MAX - 7,
    ] {
        let mut table = whole;
        table.struct_size = size;
        // SAFETY: sizes that lie are refused before anything is read.
        let said = unsafe { read(&raw const table) }.map(|_| ()).unwrap_err();
        assert!(
            said.contains(&format!("struct_size of its rg_target_vtable is {size}")),
            "{said}"
        );
    }
    // SAFETY: NULL is refused.
    let said = unsafe { read::<rg_target_vtable>(std::ptr::null()) }.map(|_| ());
    assert!(said.unwrap_err().contains("NULL"));
    let bytes = [0_u64; 40];
    // SAFETY: an address that is not aligned is refused.
    let said = unsafe {
        read(
            bytes
                .as_ptr()
                .cast::<u8>()
                .wrapping_add(4)
                .cast::<rg_target_vtable>(),
        )
    };
    assert!(said.map(|_| ()).unwrap_err().contains("aligned"));

    // Older: it ends before `hvp`, and what follows is not read.
    let mut older = whole;
    older.struct_size = std::mem::offset_of!(rg_target_vtable, hvp);
    unsafe extern "C" fn wild(_: *mut c_void, _: *mut rg_call, _: *mut usize) -> rg_status {
        panic!("beyond the end of the table")
    }
    older.n_outputs = Some(wild);
    // SAFETY: as large as it says.
    let table = unsafe { read(&raw const older) }.unwrap();
    assert!(table.n_outputs.is_none() && table.eval.is_some());
    // So old that nothing is in it but its size.
    older.struct_size = 8;
    // SAFETY: as large as it says.
    let table = unsafe { read(&raw const older) }.unwrap();
    assert!(table.look_over().unwrap_err().contains("`dim`"));

    let newer = Newer {
        table: rg_target_vtable {
            struct_size: size_of::<Newer<rg_target_vtable>>(),
            ..whole
        },
        tail: [u64::MAX; 16],
    };
    assert_eq!(newer.tail[0], u64::MAX);
    let mut reference = closure_ref(
        RG_THREAD_SERIAL,
        Box::new(|_, _, _, l, _| {
            // SAFETY: one number.
            unsafe { l.write(4.0) };
            RG_OK
        }),
    );
    reference.vtable = (&raw const newer).cast();
    let target = take_up::<rg_target_vtable>(reference).unwrap();
    assert_eq!(with_cx(1, |cx| eval(&target, cx, 1)).unwrap()[0], 4.0);
}

static FREED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn count_freed(_: *mut c_void) {
    FREED.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn objects_that_are_refused_are_freed_once() {
    let mut freed = 0;
    let mut refused = |change: &dyn Fn(&mut rg_target_vtable), frees: bool| {
        let mut table = target_table(RG_THREAD_SERIAL);
        table.destroy = Some(count_freed);
        change(&mut table);
        let error = take_up::<rg_target_vtable>(rg_ref {
            object: std::ptr::null_mut(),
            vtable: (&raw const table).cast(),
        })
        .map(|_| ())
        .unwrap_err();
        freed += usize::from(frees);
        assert_eq!(FREED.load(Ordering::SeqCst), freed, "{error}");
        error
    };
    unsafe extern "C" fn no_dim(_: *mut c_void, _: *mut rg_call, d: *mut usize) -> rg_status {
        // SAFETY: the host's place.
        unsafe { d.write(0) };
        RG_OK
    }
    unsafe extern "C" fn huge(_: *mut c_void, _: *mut rg_call, d: *mut usize) -> rg_status {
        // SAFETY: the host's place.
        unsafe { d.write(usize::MAX / 2) };
        RG_OK
    }
    unsafe extern "C" fn fails(_: *mut c_void, _: *mut rg_call, _: *mut usize) -> rg_status {
        99
    }
    refused(&|t| t.eval = None, true);
    refused(&|t| t.threading = 9, true);
    let said = refused(&|t| t.dim = Some(no_dim), true).to_string();
    assert!(said.contains("`dim` is 0"), "{said}");
    refused(&|t| t.dim = Some(huge), true);
    assert_eq!(
        refused(&|t| t.dim = Some(fails), true).status(),
        Status::Callback
    );
    // Where its table cannot be read there is nothing to free it with.
    refused(&|t| t.struct_size = 3, false);
}

#[test]
fn an_object_is_freed_once_when_it_is_dropped() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Counts;
    impl Drop for Counts {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::SeqCst);
        }
    }
    let counts = Counts;
    let target = crate::plugged::closure_target(RG_THREAD_SERIAL, move |_, _, _, _, _| {
        let _ = &counts;
        RG_OK
    });
    assert_eq!(target.dim(), 2);
    assert_eq!(DROPPED.load(Ordering::SeqCst), 0);
    drop(target);
    assert_eq!(DROPPED.load(Ordering::SeqCst), 1);
}
