//! What the C interface costs: ULA over a mixture in C, handed over as a function of a batch and of a point,
//! against the same C object as a target of a Rust program; and a run of hardly any work. One thread, times of
//! the processor, by turns. Needs a C compiler.

#![allow(unsafe_code)]

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde::Run;
use retrograde::core::{Cx, Result, Target};
use retrograde::samplers::Ula;
use retrograde_benches::{by_turns, timed};
use retrograde_capi::abi::*;
use retrograde_capi::*;
use std::ffi::c_void;
use std::path::Path;
use std::process::Command;
use std::ptr::{null, null_mut};
use std::sync::Arc;

const CHAINS: usize = 10_000;
const MOVES: usize = 16;
const TURNS: usize = 41;

type Kernel = unsafe extern "C" fn(usize, *const f64, *mut f64, *mut f64);

/// The kernel, as a program in Rust that links it calls it.
struct Linked(Kernel);

impl Target for Linked {
    fn dim(&self) -> usize {
        2
    }

    fn eval(
        &self,
        _: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        logp: Option<ArrayViewMut1<'_, f64>>,
        grad: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let logp = logp.map_or(null_mut(), |mut l| l.as_mut_ptr());
        let grad = grad.map_or(null_mut(), |mut g| g.as_mut_ptr());
        // SAFETY: contiguous arrays of these rows, which outlive the call.
        unsafe { (self.0)(x.nrows(), x.as_ptr(), logp, grad) };
        Ok(())
    }
}

unsafe extern "C" fn batch(
    user: *mut c_void,
    n: usize,
    _: usize,
    x: *const f64,
    logp: *mut f64,
    grad: *mut f64,
) -> rg_status {
    // SAFETY: `user` is the kernel, the arrays are of these rows.
    unsafe { (*user.cast::<Kernel>())(n, x, logp, grad) };
    RG_OK
}

unsafe extern "C" fn point(
    user: *mut c_void,
    _: usize,
    x: *const f64,
    logp: *mut f64,
    grad: *mut f64,
) -> rg_status {
    // SAFETY: as above, for one row.
    unsafe { (*user.cast::<Kernel>())(1, x, logp, grad) };
    RG_OK
}

fn kernel(folder: &Path) -> Kernel {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = folder.join("mixture.so");
    let done = Command::new(std::env::var_os("CC").unwrap_or("cc".into()))
        .args(["-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden"])
        .arg("-I")
        .arg(here.join("../include"))
        .arg(here.join("benches/c/mixture.c"))
        .arg("-o")
        .arg(&file)
        .arg("-lm")
        .status();
    assert!(done.is_ok_and(|s| s.success()), "a C compiler is needed");
    // SAFETY: the file of above; the entry function fills its means in, and the kernel has this signature.
    unsafe {
        let library = libloading::Library::new(&file).expect("it loads");
        let entry = *library
            .get::<unsafe extern "C" fn(*const rg_host) -> *const rg_plugin>(
                b"retrograde_plugin_v1",
            )
            .expect("it is exported");
        entry(null());
        let kernel = *library.get::<Kernel>(b"kernel").expect("it is exported");
        std::mem::forget(library);
        kernel
    }
}

fn ok(status: rg_status) {
    assert_eq!(status, RG_OK);
}

/// A sampler on what the C interface was handed.
fn sampler(
    cx: *mut rg_context,
    settings: &std::ffi::CStr,
    target: *mut rg_target,
) -> *mut rg_sampler {
    let mut sampler = null_mut();
    // SAFETY: objects that live.
    unsafe {
        let name = c"ula".as_ptr();
        let (out, toml) = (&raw mut sampler, settings.as_ptr());
        ok(rg_sampler_new(
            cx,
            name,
            toml,
            target,
            null(),
            null(),
            out,
            null_mut(),
        ));
        rg_target_free(target);
    }
    sampler
}

fn run(sampler: *mut rg_sampler, draws: usize) {
    let options = rg_run_options {
        n_draws: draws,
        n_threads: 1,
        ..rg_run_options::default()
    };
    let mut result = null_mut();
    // SAFETY: objects that live.
    unsafe {
        ok(rg_sampler_run(
            sampler,
            &raw const options,
            &raw mut result,
            null_mut(),
        ));
        rg_result_free(result);
    }
}

fn capi(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut kernel = kernel(folder.path());
    let user = (&raw mut kernel).cast::<c_void>();
    let caps = RG_CAP_GRADIENT | RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC;
    let settings = c"step_size = 0.1\nwarmup = 0\nchains = 10000";
    let (mut cx, mut of_batch, mut of_point, mut tiny) =
        (null_mut(), null_mut(), null_mut(), null_mut());
    let (f, g) = (Some(batch as _), Some(point as _));
    // SAFETY: `kernel` outlives all of them.
    let (batches, points, one) = unsafe {
        let none = null_mut();
        ok(rg_context_new(&raw mut cx, none));
        let class = RG_THREAD_CONCURRENT;
        let out = &raw mut of_batch;
        ok(rg_target_from_batch(
            cx, 2, f, user, None, caps, class, out, none,
        ));
        let out = &raw mut of_point;
        ok(rg_target_from_point(
            cx,
            2,
            g,
            user,
            None,
            RG_CAP_GRADIENT,
            class,
            out,
            none,
        ));
        let out = &raw mut tiny;
        ok(rg_target_from_batch(
            cx, 2, f, user, None, caps, class, out, none,
        ));
        let one = c"step_size = 0.1\nwarmup = 0\nchains = 1";
        (
            sampler(cx, settings, of_batch),
            sampler(cx, settings, of_point),
            sampler(cx, one, tiny),
        )
    };
    let target: Arc<dyn Target> = Arc::new(Linked(kernel));
    let direct = || {
        let ula = Ula {
            step_size: 0.1,
            warmup: 0,
            chains: CHAINS,
            ..Ula::default()
        };
        let job = Run::shared(target.clone()).sampler(ula).threads(1);
        drop(job.draws(CHAINS * MOVES).run().expect("it runs"));
    };
    let cpu = |f: &mut dyn FnMut()| timed(f);
    let (own, by_batch) = by_turns(TURNS, cpu, direct, || run(batches, CHAINS * MOVES));
    let (_, by_point) = by_turns(TURNS, cpu, direct, || run(points, CHAINS * MOVES));
    let (least, _) = by_turns(TURNS, cpu, || run(one, 1), || run(one, 1));
    println!(
        "\nula over a mixture in C, {CHAINS} chains: {:.0} µs a move in Rust; by the C interface × {by_batch:.4} as a \
         batch, × {by_point:.4} point by point\na run of one draw: {:.1} µs",
        1e6 * own / MOVES as f64,
        1e6 * least
    );
    c.bench_function("a run of one draw by the C interface", |b| {
        b.iter(|| run(one, 1));
    });
    // SAFETY: freed once.
    unsafe {
        for sampler in [batches, points, one] {
            rg_sampler_free(sampler);
        }
        rg_context_free(cx);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = capi
}
criterion_main!(benches);
