//! What plugins in files cost: a target in C as a plugin against the kernel of the same file called
//! directly; its rows on two threads against one; a sampler in Rust from `plugins/rust` against the
//! built-in of the same source; and loading twenty files. Needs a C compiler; the sampler in Rust needs
//! `plugins/build target/plugins` first.

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, concatenate};
use retrograde::core::drive::drive;
use retrograde::core::registry::{Folder, Parts};
use retrograde::core::{Collected, Cx, Result, Runtime, Sampler, Target, Traits};
use retrograde::plugins::{Folders, load_into, scan};
use retrograde_benches::{by_turns, median, timed};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

const ROWS: usize = 10_000;
const TURNS: usize = 61;
const MOVES: usize = 32;
const FILES: usize = 20;

type Kernel = unsafe extern "C" fn(usize, *const f64, *mut f64, *mut f64);

/// The kernel of the C file, as a program in Rust that links it calls it.
struct Linked(Kernel);

impl Target for Linked {
    fn traits(&self) -> Traits {
        Traits::PURE
    }

    fn dim(&self) -> usize {
        2
    }

    #[allow(unsafe_code)]
    fn eval(
        &self,
        _: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        logp: Option<ArrayViewMut1<'_, f64>>,
        grad: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let logp = logp.map_or(std::ptr::null_mut(), |mut l| l.as_mut_ptr());
        let grad = grad.map_or(std::ptr::null_mut(), |mut g| g.as_mut_ptr());
        // SAFETY: contiguous arrays of these rows, which outlive the call.
        unsafe { (self.0)(x.nrows(), x.as_ptr(), logp, grad) };
        Ok(())
    }
}

/// The C file as a plugin of this name.
fn compile(into: &Path, name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = into.join(format!("{name}.so"));
    let done = Command::new(std::env::var_os("CC").unwrap_or("cc".into()))
        .args(["-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden"])
        .arg(format!("-DNAME=\"{name}\""))
        .arg("-I")
        .arg(here.join("../include"))
        .arg(here.join("benches/c/mixture.c"))
        .arg("-o")
        .arg(&file)
        .arg("-lm")
        .status();
    assert!(done.is_ok_and(|s| s.success()), "a C compiler is needed");
    file
}

fn target(file: &Path) -> Arc<dyn Target> {
    let mut registry = retrograde::registry().expect("built-ins");
    let plugin = load_into(&mut registry, file).expect("a right plugin");
    let files = Folder::default();
    registry
        .target(
            &format!("{}/mixture", plugin.name),
            toml::Table::new(),
            &Parts::new(&files),
        )
        .expect("right settings")
}

/// Evaluates a target again and again.
fn eval<'a>(
    target: &'a dyn Target,
    threads: usize,
    x: ArrayView2<'a, f64>,
) -> impl FnMut() -> (Array1<f64>, Array2<f64>) + 'a {
    let (mut l, mut g) = (Array1::zeros(x.nrows()), Array2::zeros(x.dim()));
    let mut runtime = Runtime::new(1, threads).expect("threads");
    move || {
        let (into, gradient) = (Some(l.view_mut()), Some(g.view_mut()));
        runtime
            .enter("bench", 0, |cx| cx.eval_target(target, x, into, gradient))
            .expect("it evaluates");
        (l.clone(), g.clone())
    }
}

fn wall(f: &mut dyn FnMut()) -> f64 {
    let began = Instant::now();
    f();
    began.elapsed().as_secs_f64()
}

/// The kernel on all rows, in equal parts on so many threads: what the machine can do.
#[allow(unsafe_code)]
fn halves(kernel: Kernel, x: &Array2<f64>, threads: usize) {
    std::thread::scope(|scope| {
        for part in x.axis_chunks_iter(Axis(0), x.nrows().div_ceil(threads)) {
            scope.spawn(move || {
                let (mut l, mut g) = (vec![0.0; part.nrows()], vec![0.0; part.len()]);
                // SAFETY: contiguous arrays of these rows.
                unsafe { kernel(part.nrows(), part.as_ptr(), l.as_mut_ptr(), g.as_mut_ptr()) };
            });
        }
    });
}

/// ULA on the 40 modes, this sampler, two threads.
fn sample(sampler: &dyn Sampler) -> Collected {
    let mut runtime = Runtime::new(1, 2).expect("two threads");
    let mut draws = Collected::new(2);
    drive(sampler, &mut runtime, ROWS, None, &mut draws).expect("it runs");
    draws
}

#[allow(unsafe_code)]
fn libraries(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = compile(folder.path(), "benchmark");
    let plugged = target(&file);
    // SAFETY: the file of above, loaded already, whose function has this signature.
    let linked = unsafe {
        let library = libloading::Library::new(&file).expect("it loads");
        let kernel = *library.get::<Kernel>(b"kernel").expect("it is exported");
        std::mem::forget(library);
        Linked(kernel)
    };
    let mut x = Array2::zeros((ROWS, 2));
    let mut runtime = Runtime::new(1, 1).expect("one thread");
    runtime.enter("bench", 0, |cx| cx.fill_normal(x.view_mut()));
    x *= 20.0;

    let (mut a, mut b) = (eval(&linked, 1, x.view()), eval(&*plugged, 1, x.view()));
    assert_eq!(a(), b(), "linked in and plugged in agree to the bit");
    let cpu = |f: &mut dyn FnMut()| timed(|| (0..5).for_each(|_| f())) / 5.0;
    let (direct, ratio) = by_turns(TURNS, cpu, || drop(a()), || drop(b()));
    let mut table = vec![format!(
        "mixture in C, {ROWS} rows: linked in {:.0} µs, plugged in × {ratio:.4}",
        1e6 * direct
    )];

    let many = concatenate(Axis(0), &[x.view(); 10]).expect("rows of one length");
    let mut one = eval(&*plugged, 1, many.view());
    let mut two = eval(&*plugged, 2, many.view());
    assert_eq!(one(), two(), "one thread and two agree to the bit");
    let (alone, ratio) = by_turns(TURNS, wall, || drop(one()), || drop(two()));
    let (_, limit) = by_turns(
        TURNS,
        wall,
        || halves(linked.0, &many, 1),
        || halves(linked.0, &many, 2),
    );
    table.push(format!(
        "the plugin, {} rows: {:.1} ms on one thread, {:.2} times as fast on two; two threads that share \
         nothing: {:.2}",
        many.nrows(),
        1e3 * alone,
        1.0 / ratio,
        1.0 / limit
    ));

    table.push(sampler());
    table.push(loading(folder.path()));
    c.bench_function("mixture in C, plugged in", |f| f.iter(&mut b));
    println!("\n{}", table.join("\n"));
}

/// The sampler of plugins/rust against the built-in.
fn sampler() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let demo = root.join("target/plugins/demo-rust.so");
    let mut registry = retrograde::registry().expect("built-ins");
    if let Err(error) = load_into(&mut registry, &demo) {
        return format!("ula in Rust was not measured: {error}");
    }
    let files = Folder::default();
    let gmm40 = registry
        .target("gmm40", toml::Table::new(), &Parts::new(&files))
        .expect("right");
    let parts = Parts::new(&files).with_target(gmm40);
    let make = |kind: &str| {
        let settings = format!("step_size = 0.1\nwarmup = {}\nchains = {ROWS}", MOVES - 1);
        registry
            .sampler(
                kind,
                toml::from_str::<toml::Table>(&settings).expect("TOML"),
                &parts,
            )
            .expect("right settings")
    };
    let (own, plugged) = (make("ula"), make("demo-rust/ula"));
    let same = sample(&*own).rows() == sample(&*plugged).rows();
    assert!(same, "built in and plugged in agree to the bit");
    let (direct, ratio) = by_turns(
        TURNS,
        wall,
        || drop(sample(&*own)),
        || drop(sample(&*plugged)),
    );
    format!(
        "ula of plugins/rust on two threads: built in {:.0} µs a move, plugged in × {ratio:.4}",
        1e6 * direct / MOVES as f64
    )
}

/// Twenty plugins, each time from files that were never loaded.
fn loading(folder: &Path) -> String {
    let first = folder.join("first");
    std::fs::create_dir(&first).expect("a folder");
    for i in 0..FILES {
        compile(&first, &format!("plugin-{i}"));
    }
    let times = (0..9).map(|turn| {
        let copy = folder.join(format!("copy-{turn}"));
        std::fs::create_dir(&copy).expect("a folder");
        for i in 0..FILES {
            let name = format!("plugin-{i}.so");
            std::fs::copy(first.join(&name), copy.join(&name)).expect("a copy");
        }
        let mut registry = retrograde::registry().expect("built-ins");
        let began = Instant::now();
        let scanned = scan(&mut registry, &Folders::only(&copy));
        let took = began.elapsed().as_secs_f64();
        assert_eq!(scanned.plugins.len(), FILES, "all of them are right");
        took
    });
    let median = median(times.collect());
    format!(
        "{FILES} plugins found, examined and loaded in {:.1} ms",
        1e3 * median
    )
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = libraries
}
criterion_main!(benches);
