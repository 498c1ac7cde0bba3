//! The services of the host, asked wrongly: a status and a sentence, never a crash.

use crate::plugged::{closure_sampler, closure_target, eval, one_step, table, with_cx};
use crate::samplers::{Watch, component};
use retrograde_abi::*;
use retrograde_bridge::{Foreign, Settings, create, host, take_refusal};
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{Error, Result, Status};
use std::cell::RefCell;
use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex};

/// Calls `f` in a step; what the step gave.
fn in_step(f: impl Fn(*mut rg_call) -> rg_status + Send + Sync + 'static) -> Result {
    let sampler = closure_sampler(move |call, done| {
        // SAFETY: the host's place.
        unsafe { done.write(1) };
        f(call)
    });
    one_step(&sampler, &mut Watch::new(2), 1).map(|_| ())
}

/// Calls `f` in an evaluation.
fn in_eval(f: impl Fn(*mut rg_call) -> rg_status + Send + Sync + 'static) -> Result {
    let target = closure_target(RG_THREAD_SERIAL, move |call, n, _, l, _| {
        for i in 0..n {
            // SAFETY: n numbers.
            unsafe { l.add(i).write(0.0) };
        }
        f(call)
    });
    with_cx(1, |cx| eval(&target, cx, 1)).map(|_| ())
}

type InCreate = Box<dyn Fn(*mut rg_call, *const rg_cfg) -> rg_status>;

thread_local! {
    static IN_CREATE: RefCell<Option<InCreate>> = const { RefCell::new(None) };
}

unsafe extern "C" fn calls(
    _: *const rg_host,
    call: *mut rg_call,
    cfg: *const rg_cfg,
    _: *const rg_deps,
    made: *mut rg_ref,
) -> rg_status {
    let code = IN_CREATE.with_borrow(|f| f.as_ref().unwrap()(call, cfg));
    if code == RG_OK {
        let object = crate::plugged::closure_ref(RG_THREAD_SERIAL, Box::new(|_, _, _, _, _| 0));
        // SAFETY: the host's place.
        unsafe { made.write(object) };
    }
    code
}

/// Calls `f` in `create`, with some parameters.
fn in_create(f: impl Fn(*mut rg_call, *const rg_cfg) -> rg_status + 'static) -> Result {
    IN_CREATE.set(Some(Box::new(f)));
    let files = Folder::default();
    let parts = Parts::new(&files);
    let table = table(
        "f = 1.5\ni = 3\nb = true\ns = \"text\"\nv = [1.0, 2, 3.5]\nw = [\"x\"]\nnul = \"a\\u0000b\"",
    );
    let settings = Settings {
        label: "target test",
        table: &table,
        files: &files,
    };
    let component = component(RG_KIND_TARGET, calls);
    // SAFETY: a component of this very program.
    let made: Result<Foreign<rg_target_vtable>> =
        unsafe { create(&component, &settings, retrograde_bridge::lend(&parts)) };
    made.map(|_| ())
}

fn text(result: Result) -> String {
    result.map_or_else(|e| e.to_string(), |()| "no error".into())
}

const KEY: *const c_char = c"key".as_ptr();

unsafe extern "C" fn row(_: *mut c_void, _: *mut rg_call, _: usize, _: usize) -> rg_status {
    RG_OK
}

unsafe extern "C" fn job(_: *mut c_void, _: *mut rg_call, _: usize) -> rg_status {
    RG_OK
}

#[test]
fn every_function_takes_null_in_each_pointer() {
    // Without a call.
    let h = host();
    // SAFETY: as the header says, but for the NULLs.
    unsafe {
        let (mut f, mut i, mut b) = (0.0, 0_i64, 0_i32);
        let (mut t, mut v, mut n, mut u) = (null(), null(), 0_usize, null());
        let mut frame: rg_frame = std::mem::zeroed();
        frame.struct_size = size_of::<rg_frame>();
        let (no, cfg) = (null_mut(), std::ptr::dangling());
        let one = 1.0;
        let columns = [KEY];
        h.log.unwrap()(no, 1, KEY);
        h.log.unwrap()(no, 1, null());
        assert_eq!(h.cancelled.unwrap()(no), 0);
        assert!(h.scratch.unwrap()(no, 8, 8).is_null());
        let mut out = [7.0; 2];
        h.rng_normal.unwrap()(no, 1, 2, out.as_mut_ptr());
        assert!(out.iter().all(|v| v.is_nan()));
        h.rng_uniform.unwrap()(no, 1, 2, null_mut());
        h.rng_u64.unwrap()(no, null_mut(), 3);
        for code in [
            h.for_rows.unwrap()(no, 3, Some(row), null_mut()),
            h.for_jobs.unwrap()(no, 3, Some(job), null_mut()),
            h.tell.unwrap()(no, &raw mut frame),
            h.seek.unwrap()(no, &raw const frame),
            h.cfg_f64.unwrap()(no, cfg, KEY, &raw mut f),
            h.cfg_i64.unwrap()(no, cfg, KEY, &raw mut i),
            h.cfg_bool.unwrap()(no, cfg, KEY, &raw mut b),
            h.cfg_str.unwrap()(no, cfg, KEY, &raw mut t),
            h.cfg_f64s.unwrap()(no, cfg, KEY, &raw mut v, &raw mut n),
            h.cfg_toml.unwrap()(no, cfg, &raw mut t),
            h.cfg_refuse.unwrap()(no, KEY, KEY, KEY),
            h.read_file.unwrap()(no, KEY, &raw mut u, &raw mut n),
            h.progress.unwrap()(no, 0.5),
            h.set_chains.unwrap()(no, 2),
            h.emit.unwrap()(no, 1, 1, &raw const one, null()),
            h.emit_stats.unwrap()(no, 1, 1, &raw const one, null(), 0, null(), null()),
            h.emit_scalar.unwrap()(no, KEY, 1.0),
            h.record.unwrap()(no, KEY, 1, columns.as_ptr(), &raw const one),
            h.flag.unwrap()(no, 0, KEY, KEY, KEY),
        ] {
            assert_eq!(code, RG_ERR_NULL);
        }
        // An entry function refuses by this.
        assert_eq!(h.fail.unwrap()(no, 9, c"too old".as_ptr()), 9);
        assert_eq!(take_refusal().as_deref(), Some("too old"));
        assert_eq!(take_refusal(), None);
    }
    // In a step, every other pointer.
    in_step(|call| {
        let h = host();
        // SAFETY: as above.
        unsafe {
            let one = 1.0;
            let (columns, none, stats) = ([KEY], [null()], [null()]);
            for (what, code) in [
                ("for_rows", h.for_rows.unwrap()(call, 3, None, null_mut())),
                ("for_jobs", h.for_jobs.unwrap()(call, 3, None, null_mut())),
                ("tell", h.tell.unwrap()(call, null_mut())),
                ("emit", h.emit.unwrap()(call, 1, 2, null(), null())),
                ("emit_scalar", h.emit_scalar.unwrap()(call, null(), 1.0)),
                (
                    "record",
                    h.record.unwrap()(call, null(), 1, columns.as_ptr(), &raw const one),
                ),
                (
                    "record",
                    h.record.unwrap()(call, KEY, 1, null(), &raw const one),
                ),
                (
                    "record",
                    h.record.unwrap()(call, KEY, 1, none.as_ptr(), &raw const one),
                ),
                (
                    "record",
                    h.record.unwrap()(call, KEY, 1, columns.as_ptr(), null()),
                ),
                ("flag", h.flag.unwrap()(call, 0, null(), KEY, KEY)),
                ("flag", h.flag.unwrap()(call, 0, KEY, null(), KEY)),
                (
                    "emit_stats",
                    h.emit_stats.unwrap()(
                        call,
                        1,
                        1,
                        &raw const one,
                        null(),
                        1,
                        null(),
                        stats.as_ptr(),
                    ),
                ),
                (
                    "emit_stats",
                    h.emit_stats.unwrap()(
                        call,
                        1,
                        1,
                        &raw const one,
                        null(),
                        1,
                        columns.as_ptr(),
                        null(),
                    ),
                ),
                (
                    "emit_stats",
                    h.emit_stats.unwrap()(
                        call,
                        1,
                        1,
                        &raw const one,
                        null(),
                        1,
                        columns.as_ptr(),
                        stats.as_ptr(),
                    ),
                ),
            ] {
                assert_eq!(code, RG_ERR_NULL, "{what}");
            }
            assert_ne!(h.seek.unwrap()(call, null()), RG_OK);
            assert_eq!(h.flag.unwrap()(call, 0, KEY, KEY, null()), RG_OK);
            h.log.unwrap()(call, 0, null());
            assert_eq!(h.fail.unwrap()(call, 5, null()), 5);
        }
        RG_OK
    })
    .unwrap();
    // In `create`.
    in_create(|call, cfg| {
        let h = host();
        // SAFETY: as above.
        unsafe {
            let (mut f, mut t, mut v, mut n, mut u) = (0.0, null(), null(), 0_usize, null());
            let k = |key: &'static std::ffi::CStr| key.as_ptr();
            for (what, code) in [
                ("cfg", h.cfg_f64.unwrap()(call, null(), k(c"f"), &raw mut f)),
                ("key", h.cfg_f64.unwrap()(call, cfg, null(), &raw mut f)),
                ("out", h.cfg_f64.unwrap()(call, cfg, k(c"f"), null_mut())),
                ("i64", h.cfg_i64.unwrap()(call, cfg, k(c"i"), null_mut())),
                ("bool", h.cfg_bool.unwrap()(call, cfg, k(c"b"), null_mut())),
                ("str", h.cfg_str.unwrap()(call, cfg, k(c"s"), null_mut())),
                (
                    "str, cfg",
                    h.cfg_str.unwrap()(call, null(), k(c"s"), &raw mut t),
                ),
                (
                    "f64s",
                    h.cfg_f64s.unwrap()(call, cfg, k(c"v"), null_mut(), &raw mut n),
                ),
                (
                    "f64s, n",
                    h.cfg_f64s.unwrap()(call, cfg, k(c"v"), &raw mut v, null_mut()),
                ),
                ("toml", h.cfg_toml.unwrap()(call, cfg, null_mut())),
                ("toml, cfg", h.cfg_toml.unwrap()(call, null(), &raw mut t)),
                ("refuse", h.cfg_refuse.unwrap()(call, null(), KEY, KEY)),
                ("refuse", h.cfg_refuse.unwrap()(call, KEY, null(), KEY)),
                ("refuse", h.cfg_refuse.unwrap()(call, KEY, KEY, null())),
                (
                    "file",
                    h.read_file.unwrap()(call, null(), &raw mut u, &raw mut n),
                ),
                (
                    "file",
                    h.read_file.unwrap()(call, k(c"Cargo.toml"), null_mut(), &raw mut n),
                ),
                (
                    "file",
                    h.read_file.unwrap()(call, k(c"Cargo.toml"), &raw mut u, null_mut()),
                ),
            ] {
                assert_eq!(code, RG_ERR_NULL, "{what}");
            }
        }
        RG_OK
    })
    .unwrap();
}

#[test]
fn parameters_are_read_as_what_they_are() {
    in_create(|call, cfg| {
        let h = host();
        // SAFETY: as the header says.
        unsafe {
            let (mut f, mut i, mut b) = (0.0, 0_i64, 0_i32);
            let (mut t, mut v, mut n) = (null(), null(), 0_usize);
            let k = |key: &'static std::ffi::CStr| key.as_ptr();
            assert_eq!(h.cfg_f64.unwrap()(call, cfg, k(c"f"), &raw mut f), RG_OK);
            assert_eq!(f, 1.5);
            assert_eq!(h.cfg_f64.unwrap()(call, cfg, k(c"i"), &raw mut f), RG_OK);
            assert_eq!(f, 3.0);
            assert_eq!(h.cfg_i64.unwrap()(call, cfg, k(c"i"), &raw mut i), RG_OK);
            assert_eq!(i, 3);
            assert_eq!(h.cfg_bool.unwrap()(call, cfg, k(c"b"), &raw mut b), RG_OK);
            assert_eq!(b, 1);
            assert_eq!(h.cfg_str.unwrap()(call, cfg, k(c"s"), &raw mut t), RG_OK);
            assert_eq!(
                h.cfg_f64s.unwrap()(call, cfg, k(c"v"), &raw mut v, &raw mut n),
                RG_OK
            );
            let mut more = null();
            for _ in 0..100 {
                // What was given out stays where it is.
                assert_eq!(h.cfg_str.unwrap()(call, cfg, k(c"s"), &raw mut more), RG_OK);
            }
            assert_eq!(std::ffi::CStr::from_ptr(t), c"text");
            assert_eq!(std::slice::from_raw_parts(v, n), [1.0, 2.0, 3.5]);
            assert_eq!(h.cfg_toml.unwrap()(call, cfg, &raw mut t), RG_OK);
            let read: toml::Table = std::ffi::CStr::from_ptr(t)
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(read["nul"].as_str(), Some("a\0b"));
        }
        RG_OK
    })
    .unwrap();
}

#[test]
fn parameters_of_another_type_or_name_are_named() {
    let read = |f: fn(&rg_host, *mut rg_call, *const rg_cfg) -> rg_status| {
        text(in_create(move |call, cfg| f(host(), call, cfg)))
    };
    // SAFETY: as the header says, in each of these.
    let all = unsafe {
        [
            (
                read(|h, c, g| h.cfg_i64.unwrap()(c, g, c"f".as_ptr(), &mut 0)),
                "`f` is 1.5, but must be read as what it is, not as a whole number",
            ),
            (
                read(|h, c, g| h.cfg_f64.unwrap()(c, g, c"s".as_ptr(), &mut 0.0)),
                "not as a number",
            ),
            (
                read(|h, c, g| h.cfg_bool.unwrap()(c, g, c"i".as_ptr(), &mut 0)),
                "not as true or false",
            ),
            (
                read(|h, c, g| h.cfg_str.unwrap()(c, g, c"i".as_ptr(), &mut null())),
                "not as text",
            ),
            (
                read(|h, c, g| h.cfg_str.unwrap()(c, g, c"nul".as_ptr(), &mut null())),
                "without a NUL inside",
            ),
            (
                read(|h, c, g| h.cfg_f64s.unwrap()(c, g, c"w".as_ptr(), &mut null(), &mut 0)),
                "not as a list of numbers",
            ),
            (
                read(|h, c, g| h.cfg_f64.unwrap()(c, g, c"ff".as_ptr(), &mut 0.0)),
                "but must be a parameter of it",
            ),
            (
                read(|h, c, g| h.cfg_f64.unwrap()(c, g, c"\xff".as_ptr(), &mut 0.0)),
                "UTF-8",
            ),
            (
                read(|h, c, _| {
                    h.cfg_refuse.unwrap()(c, c"i".as_ptr(), c"3".as_ptr(), c"4".as_ptr())
                }),
                "target test: `i` is 3, but must be 4",
            ),
        ]
    };
    for (said, wanted) in all {
        assert!(
            said.replace("``", "`").contains(&wanted.replace("``", "`")),
            "{said}: {wanted}"
        );
    }
    // What was wrong and got over does not show in what comes after; what was not, does.
    for got_over in [false, true] {
        let said = text(in_create(move |call, cfg| {
            // SAFETY: as above.
            unsafe {
                host().cfg_f64.unwrap()(call, cfg, c"ff".as_ptr(), &mut 0.0);
                if got_over {
                    host().cfg_f64.unwrap()(call, cfg, c"f".as_ptr(), &mut 0.0);
                }
                host().fail.unwrap()(call, RG_ERR_CONFIG, c"other".as_ptr())
            }
        }));
        assert!(said.contains("other"), "{said}");
        assert_ne!(said.contains("not declared"), got_over, "{said}");
    }
}

#[test]
fn what_is_asked_at_the_wrong_time_is_refused() {
    // SAFETY: as the header says, in each of these.
    unsafe {
        for result in [
            in_eval(move |c| host().emit_scalar.unwrap()(c, KEY, 1.0)),
            in_eval(move |c| host().progress.unwrap()(c, 0.1)),
            in_eval(move |c| host().set_chains.unwrap()(c, 1)),
            in_eval(move |c| host().flag.unwrap()(c, 0, KEY, KEY, KEY)),
            in_eval(move |c| host().emit.unwrap()(c, 1, 1, &raw const ONE, null())),
            in_eval(move |c| host().cfg_f64.unwrap()(c, std::ptr::dangling(), KEY, &mut 0.0)),
            in_eval(move |c| host().cfg_refuse.unwrap()(c, KEY, KEY, KEY)),
            in_eval(move |c| host().read_file.unwrap()(c, KEY, &mut null(), &mut 0)),
            in_step(move |c| host().cfg_str.unwrap()(c, std::ptr::dangling(), KEY, &mut null())),
            in_create(move |c, _| host().emit_scalar.unwrap()(c, KEY, 1.0)),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.status(), Status::Unsupported, "{error}");
            assert!(
                error.to_string().contains("call it in")
                    || error.to_string().contains("read them in"),
                "{error}"
            );
        }
        // What can return no status ends the call.
        let error = in_create(move |c, _| {
            let mut out = [0.0];
            host().rng_normal.unwrap()(c, 1, 1, out.as_mut_ptr());
            assert!(out[0].is_nan());
            RG_OK
        })
        .unwrap_err();
        assert!(error.to_string().contains("random numbers"), "{error}");
    }
}

static ONE: f64 = 1.0;

#[test]
fn sizes_that_do_not_fit_into_memory_are_refused() {
    let dims: Vec<Error> = [
        (usize::MAX, 1),
        (1, usize::MAX),
        (usize::MAX, 2),
        (1 << 40, 1 << 40),
        (usize::MAX, 0),
        (isize::MAX as usize, 1),
    ]
    .into_iter()
    .flat_map(|(n, d)| {
        // SAFETY: nothing is read of arrays of these sizes.
        unsafe {
            [
                in_step(move |c| host().emit.unwrap()(c, n, d, &raw const ONE, null())),
                in_eval(move |c| {
                    let mut out = [0.0];
                    host().rng_normal.unwrap()(c, n, d, out.as_mut_ptr());
                    RG_OK
                }),
            ]
        }
    })
    .map(|r| r.unwrap_err())
    .collect();
    for error in &dims {
        assert_eq!(error.status(), Status::Dim, "{error}");
    }
    // SAFETY: as above.
    unsafe {
        let columns = [KEY];
        let columns = AtomicPtr::new(columns.as_ptr().cast_mut());
        for n in [usize::MAX, 1 << 61] {
            let columns = AtomicPtr::new(columns.load(Ordering::Relaxed));
            let error = in_step(move |c| {
                host().record.unwrap()(c, KEY, n, columns.load(Ordering::Relaxed), &raw const ONE)
            });
            assert_eq!(error.unwrap_err().status(), Status::Dim);
            let error = in_eval(move |c| {
                let mut out = 0;
                host().rng_u64.unwrap()(c, &raw mut out, n);
                RG_OK
            });
            assert_eq!(error.unwrap_err().status(), Status::Dim);
        }
    }
}

#[test]
fn scratch_is_aligned_and_apart_and_refused_where_there_is_none() {
    in_eval(|call| {
        let scratch = host().scratch.unwrap();
        let mut places: Vec<(usize, usize)> = Vec::new();
        for i in 0..40_usize {
            for align in [1, 8, 16, 64, 4096] {
                let bytes = [0, 1, 100, 5000][i % 4];
                // SAFETY: as the header says.
                unsafe {
                    let place = scratch(call, bytes, align).cast::<u8>();
                    assert!(!place.is_null() && place.addr() % align == 0);
                    place.write_bytes(7, bytes);
                    for (start, len) in &places {
                        assert!(place.addr() + bytes <= *start || start + len <= place.addr());
                    }
                    if bytes > 0 {
                        places.push((place.addr(), bytes));
                    }
                }
            }
        }
        // SAFETY: as the header says, but for sizes and alignments.
        unsafe {
            for (bytes, align) in [
                (usize::MAX, 8),
                (usize::MAX - 100, 4096),
                (isize::MAX as usize, 1),
                (1 << 60, 8),
                (8, 0),
                (8, 3),
                (8, 8192),
            ] {
                // An interpreter ends where an allocator would say no.
                if cfg!(miri) && (1 << 60..=isize::MAX as usize).contains(&bytes) {
                    continue;
                }
                assert!(scratch(call, bytes, align).is_null(), "{bytes} {align}");
            }
            // In a call that is none of an evaluation there is some as well.
            assert!(!scratch(call, 1 << 25, 64).is_null());
        }
        RG_OK
    })
    .unwrap();
}

struct Sent(*mut rg_call);
// SAFETY: the test is what happens then.
unsafe impl Send for Sent {}
impl Sent {
    fn call(&self) -> *mut rg_call {
        self.0
    }
}

#[test]
fn a_call_of_another_thread_is_refused() {
    let codes = Arc::new(Mutex::new(Vec::new()));
    let told = codes.clone();
    in_step(move |call| {
        let sent = Sent(call);
        let codes = codes.clone();
        std::thread::scope(|s| {
            s.spawn(move || {
                let call = sent.call();
                let mut frame: rg_frame =
                    // SAFETY: zeros are a value of it.
                    unsafe { std::mem::zeroed() };
                frame.struct_size = size_of::<rg_frame>();
                // SAFETY: as the header says, but for the thread.
                unsafe {
                    codes.lock().unwrap().extend([
                        host().progress.unwrap()(call, 0.5),
                        host().tell.unwrap()(call, &raw mut frame),
                        host().emit_scalar.unwrap()(call, KEY, 1.0),
                        host().for_rows.unwrap()(call, 3, Some(row), null_mut()),
                    ]);
                    assert!(host().scratch.unwrap()(call, 8, 8).is_null());
                    assert_eq!(host().cancelled.unwrap()(call), 0);
                    assert_eq!(host().fail.unwrap()(call, 5, KEY), 5);
                    host().log.unwrap()(call, 1, KEY);
                }
            });
        });
        RG_OK
    })
    .unwrap();
    assert_eq!(*told.lock().unwrap(), [RG_ERR_THREAD; 4]);
    // Random numbers that were not there are not taken for some.
    let error = in_step(|call| {
        let sent = Sent(call);
        std::thread::scope(|s| {
            s.spawn(move || {
                let mut out = [0.0; 3];
                // SAFETY: as above.
                unsafe { host().rng_normal.unwrap()(sent.call(), 1, 3, out.as_mut_ptr()) };
                assert!(out.iter().all(|v| v.is_nan()));
            });
        });
        RG_OK
    })
    .unwrap_err();
    assert!(error.to_string().contains("another thread"), "{error}");
}

#[test]
fn a_call_that_the_host_is_at_work_for_is_busy() {
    struct User(*mut rg_call, AtomicI32);
    unsafe extern "C" fn block(
        user: *mut c_void,
        child: *mut rg_call,
        _: usize,
        _: usize,
    ) -> rg_status {
        // SAFETY: what the test handed over.
        unsafe {
            let user = &*user.cast::<User>();
            user.1
                .store(host().progress.unwrap()(user.0, 0.5), Ordering::SeqCst);
            // And a block has nothing to emit to.
            host().progress.unwrap()(child, 0.5)
        }
    }
    let error = in_step(|call| {
        let user = User(call, AtomicI32::new(-1));
        let place = std::ptr::from_ref(&user).cast_mut().cast();
        // SAFETY: as the header says.
        let code = unsafe { host().for_rows.unwrap()(call, 1, Some(block), place) };
        assert_eq!(user.1.load(Ordering::SeqCst), RG_ERR_BUSY);
        code
    })
    .unwrap_err();
    assert_eq!(error.status(), Status::Unsupported, "{error}");
}

#[test]
fn the_first_block_that_failed_is_told_of() {
    unsafe extern "C" fn block(
        _: *mut c_void,
        child: *mut rg_call,
        row0: usize,
        rows: usize,
    ) -> rg_status {
        if row0 < 512 {
            return RG_OK;
        }
        let words = std::ffi::CString::new(format!("{rows} rows from {row0}")).unwrap();
        // SAFETY: as the header says.
        unsafe { host().fail.unwrap()(child, 99, words.as_ptr()) }
    }
    for threads in [1, 3] {
        let sampler = closure_sampler(|call, _| {
            // SAFETY: as the header says.
            unsafe { host().for_rows.unwrap()(call, 3000, Some(block), null_mut()) }
        });
        let error = one_step(&sampler, &mut Watch::new(2), threads).unwrap_err();
        assert!(error.to_string().contains("256 rows from 512"), "{error}");
    }
}

#[test]
fn flags_of_unknown_weight_and_numbers_out_of_range_are_refused() {
    // SAFETY: as the header says, in each of these.
    unsafe {
        for (result, wanted) in [
            (
                in_step(move |c| host().flag.unwrap()(c, 3, KEY, KEY, KEY)),
                "RG_SEVERITY_",
            ),
            (
                in_step(move |c| host().flag.unwrap()(c, -1, KEY, KEY, KEY)),
                "RG_SEVERITY_",
            ),
            (
                in_step(move |c| host().progress.unwrap()(c, f64::NAN)),
                "from 0 to 1",
            ),
            (
                in_step(move |c| host().progress.unwrap()(c, 1.5)),
                "from 0 to 1",
            ),
            (
                in_step(move |c| host().set_chains.unwrap()(c, 0)),
                "1 or more",
            ),
            (
                in_step(move |c| host().emit_scalar.unwrap()(c, c"\xff".as_ptr(), 1.0)),
                "UTF-8",
            ),
            (
                in_step(move |c| {
                    let mut frame: rg_frame = std::mem::zeroed();
                    frame.struct_size = 3;
                    host().tell.unwrap()(c, &raw mut frame)
                }),
                "struct_size",
            ),
            (
                in_step(move |c| {
                    let mut frame: rg_frame = std::mem::zeroed();
                    frame.struct_size = 3;
                    host().seek.unwrap()(c, &raw const frame)
                }),
                "struct_size",
            ),
        ] {
            let said = text(result);
            assert!(said.contains(wanted), "{said}");
        }
    }
}
