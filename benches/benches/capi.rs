//! What the C interface costs: ULA over a mixture in C, handed over as a function of a batch and of a point,
//! against the same C object as a target of a Rust program; HMC over it against HMC written in C; and a run of hardly
//! any work. One thread where not said, times of the processor, by turns. Needs a C compiler.

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
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

const CHAINS: usize = 10_000;
const MOVES: usize = 16;
const TURNS: usize = 41;

/// Trajectories: moves of a chain, steps of a move, their length, spread of the start.
const TRAJECTORIES: usize = 4;
const LEAPFROG: usize = 8;
const STEP: f64 = 0.2;
const START_SD: f64 = 20.0;
/// As mixture.c has them.
const MODES: usize = 40;

/// `hmc` of hmc.c.
type Rival = unsafe extern "C" fn(usize, usize, usize, f64, f64, u64, *mut f64) -> f64;
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

/// Points that `batch` was called with.
static POINTS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn batch(
    user: *mut c_void,
    n: usize,
    _: usize,
    x: *const f64,
    logp: *mut f64,
    grad: *mut f64,
) -> rg_status {
    POINTS.fetch_add(n, Relaxed);
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

fn linked(folder: &Path) -> (Kernel, Rival) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = folder.join("mixture.so");
    let done = Command::new(std::env::var_os("CC").unwrap_or("cc".into()))
        .args(["-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden"])
        .arg("-I")
        .arg(here.join("../include"))
        .arg(here.join("benches/c/mixture.c"))
        .arg(here.join("benches/c/hmc.c"))
        .arg("-o")
        .arg(&file)
        .arg("-lm")
        .status();
    assert!(done.is_ok_and(|s| s.success()), "a C compiler is needed");
    // SAFETY: the file of above; the entry function fills its means in, and the others have these signatures.
    unsafe {
        let library = libloading::Library::new(&file).expect("it loads");
        let entry = *library
            .get::<unsafe extern "C" fn(*const rg_host) -> *const rg_plugin>(
                b"retrograde_plugin_v1",
            )
            .expect("it is exported");
        entry(null());
        let kernel = *library.get::<Kernel>(b"kernel").expect("it is exported");
        let rival = *library.get::<Rival>(b"hmc").expect("it is exported");
        std::mem::forget(library);
        (kernel, rival)
    }
}

fn ok(status: rg_status) {
    assert_eq!(status, RG_OK);
}

/// A sampler on what the C interface was handed.
fn sampler(
    cx: *mut rg_context,
    name: &std::ffi::CStr,
    settings: &std::ffi::CStr,
    target: *mut rg_target,
) -> *mut rg_sampler {
    let mut sampler = null_mut();
    // SAFETY: objects that live.
    unsafe {
        let name = name.as_ptr();
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

/// A run whose draws are copied out where they are wanted.
fn run(sampler: *mut rg_sampler, draws: usize, threads: u32, out: Option<&mut [f64]>) {
    let options = rg_run_options {
        n_draws: draws,
        n_threads: threads,
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
        if let Some(out) = out {
            let room = out.len();
            ok(rg_result_draws(
                result,
                out.as_mut_ptr(),
                0,
                room,
                null_mut(),
            ));
        }
        rg_result_free(result);
    }
}

/// Mean and standard error, from one number of each chain.
fn mean_se(of: impl Fn(&[f64]) -> f64, draws: &[f64]) -> (f64, f64) {
    let chains: Vec<f64> = draws.chunks(draws.len() / CHAINS).map(of).collect();
    let n = chains.len() as f64;
    let mean = chains.iter().sum::<f64>() / n;
    let variance = chains.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// The squared distance to the nearest mode, of the second half of a chain: 2 on average, since modes are 11 apart.
fn spread(chain: &[f64]) -> f64 {
    let half = &chain[chain.len() / 2..];
    let nearest = |x: &[f64]| {
        let to = |k: usize| {
            let r = 40.0 * (k as f64 / MODES as f64).sqrt();
            let (sin, cos) = (2.4 * k as f64).sin_cos();
            (x[0] - r * cos).powi(2) + (x[1] - r * sin).powi(2)
        };
        (0..MODES).map(to).fold(f64::INFINITY, f64::min)
    };
    half.chunks(2).map(nearest).sum::<f64>() / (half.len() / 2) as f64
}

/// HMC in C against `hmc` of the library by its C interface: the same moves, as many gradients.
fn trajectories(rival: Rival, ours: *mut rg_sampler) {
    let theirs = |moves: usize, out: &mut [f64]| {
        // SAFETY: room for chains × moves × 2.
        unsafe { rival(CHAINS, moves, LEAPFROG, STEP, START_SD, 7, out.as_mut_ptr()) };
    };
    // Long enough for all to have come to rest within their modes.
    let moves = 60;
    let mut draws = [vec![0.0; 2 * CHAINS * moves], vec![0.0; 2 * CHAINS * moves]];
    theirs(moves, &mut draws[0]);
    let before = POINTS.load(Relaxed);
    run(ours, CHAINS * moves, 1, Some(&mut draws[1]));
    // Those of hmc.c, one at the start of a chain and one a step, and a few that are tried before.
    let more = POINTS.load(Relaxed) - before - CHAINS * (moves * LEAPFROG + 1);
    assert!(more < 100, "{more} more points than in C");
    for (i, draws) in draws.iter().enumerate() {
        let (mean, se) = mean_se(spread, draws);
        assert!((mean - 2.0).abs() < 4.0 * se, "{i}: {mean} ± {se}");
    }
    for j in 0..2 {
        let last = |chain: &[f64]| chain[chain.len() - 2 + j];
        let ((a, s), (b, t)) = (mean_se(last, &draws[0]), mean_se(last, &draws[1]));
        assert!((a - b).abs() < 4.0 * s.hypot(t), "{a} ± {s}, {b} ± {t}");
    }

    let moves = TRAJECTORIES;
    let room = || vec![0.0; 2 * CHAINS * moves];
    let (mut a, mut b, mut c) = (room(), room(), room());
    let gradients = (CHAINS * (moves * LEAPFROG + 1)) as f64;
    let cpu = |f: &mut dyn FnMut()| timed(f);
    let (seconds, ratio) = by_turns(
        TURNS,
        cpu,
        || theirs(moves, &mut a),
        || run(ours, CHAINS * moves, 1, Some(&mut b)),
    );
    let wall = |f: &mut dyn FnMut()| {
        let started = Instant::now();
        f();
        started.elapsed().as_secs_f64()
    };
    let (_, both) = by_turns(
        TURNS,
        wall,
        || theirs(moves, &mut a),
        || run(ours, CHAINS * moves, 2, Some(&mut c)),
    );
    assert_eq!(b, c, "threads change no bits");
    println!(
        "\nhmc over the same, {CHAINS} chains × {moves} moves × {LEAPFROG} steps: {:.1} ns a gradient written in C, \
         {:.1} ns by the C interface, × {ratio:.4}; on two threads, by the clock on the wall, × {both:.4}",
        1e9 * seconds / gradients,
        1e9 * seconds * ratio / gradients,
    );
}

fn capi(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut kernel, rival) = linked(folder.path());
    let user = (&raw mut kernel).cast::<c_void>();
    let caps = RG_CAP_GRADIENT | RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC;
    let settings = c"step_size = 0.1\nwarmup = 0\nchains = 10000";
    let (mut cx, mut of_batch, mut of_point, mut tiny, mut of_hmc) =
        (null_mut(), null_mut(), null_mut(), null_mut(), null_mut());
    let (f, g) = (Some(batch as _), Some(point as _));
    // SAFETY: `kernel` outlives all of them.
    let (batches, points, one, hmc) = unsafe {
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
        let out = &raw mut of_hmc;
        ok(rg_target_from_batch(
            cx, 2, f, user, None, caps, class, out, none,
        ));
        let one = c"step_size = 0.1\nwarmup = 0\nchains = 1";
        let trajectories = format!(
            "step_size = {STEP}\nleapfrog = {LEAPFROG}\nstart_sd = {START_SD}\njitter = 0\nadapt = false\n\
             adapt_mass = false\nwarmup = 0\nchains = {CHAINS}"
        );
        let trajectories = std::ffi::CString::new(trajectories).expect("without NUL");
        (
            sampler(cx, c"ula", settings, of_batch),
            sampler(cx, c"ula", settings, of_point),
            sampler(cx, c"ula", one, tiny),
            sampler(cx, c"hmc", &trajectories, of_hmc),
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
    let (own, by_batch) = by_turns(TURNS, cpu, direct, || run(batches, CHAINS * MOVES, 1, None));
    let (_, by_point) = by_turns(TURNS, cpu, direct, || run(points, CHAINS * MOVES, 1, None));
    let (least, _) = by_turns(TURNS, cpu, || run(one, 1, 1, None), || run(one, 1, 1, None));
    println!(
        "\nula over a mixture in C, {CHAINS} chains: {:.0} µs a move in Rust; by the C interface × {by_batch:.4} as a \
         batch, × {by_point:.4} point by point\na run of one draw: {:.1} µs",
        1e6 * own / MOVES as f64,
        1e6 * least
    );
    trajectories(rival, hmc);
    c.bench_function("a run of one draw by the C interface", |b| {
        b.iter(|| run(one, 1, 1, None));
    });
    // SAFETY: freed once.
    unsafe {
        for sampler in [batches, points, one, hmc] {
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
