//! What the boundary of plugins costs: components of this program exported as a plugin exports its own and
//! taken up again, against the very same called directly. n = 10⁴ rows, d = 2, one thread; times of the
//! processor, by turns, so that ratios hold on a busy machine.

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::{Array1, Array2, ArrayView2};
use retrograde::core::drive::drive;
use retrograde::core::registry::{Folder, Parts};
use retrograde::core::{
    Build, Collected, ForwardProcess, Runtime, Sampler, Signature, Target, Times, Traits,
};
use retrograde::processes::{Benes, Ou};
use retrograde::samplers::Ula;
use retrograde::targets::{Gmm40, Gmm40Means, StandardNormal};
use retrograde_benches::{by_turns, timed};
use retrograde_bridge::export::Export;
use retrograde_bridge::foreign::Asked;
use retrograde_bridge::{Exported, Foreign, Made, Side, host};
use std::cell::RefCell;
use std::sync::Arc;

const ROWS: usize = 10_000;
const TURNS: usize = 101;
const MOVES: u64 = 32;

/// Plugged in.
#[allow(unsafe_code)]
fn plug<K: ?Sized + Export<Table = T>, T: Asked>(component: &Arc<K>) -> Foreign<T> {
    let made = Made {
        made: Exported::give(component.clone(), Side::Plugin(host())),
        label: "plugged in".into(),
        host: None,
        parts: Traits::PURE,
        keep: Box::new(()),
        signature: Signature::default(),
    };
    // SAFETY: a table of this type, of this program.
    unsafe { Foreign::new(made) }.expect("a right table")
}

/// The ratio of two things, each done often enough for the clock, by turns; and the first of the two in
/// microseconds.
fn ratio(mut direct: impl FnMut(), plugged: impl FnMut()) -> (f64, f64) {
    direct();
    let once = timed(&mut direct).max(1e-7);
    let times = (5e-3 / once).ceil() as usize;
    let many = |f: &mut dyn FnMut()| timed(|| (0..times).for_each(|_| f())) / times as f64;
    let (direct, ratio) = by_turns(TURNS, many, direct, plugged);
    (ratio, 1e6 * direct)
}

/// Where results go.
type Into = (Runtime, Array1<f64>, Array2<f64>);

/// Evaluates a target at the same points again and again. Results go to the same arrays for all, whose
/// place in memory is worth some hundredths of the time.
fn eval<'a>(
    target: &'a dyn Target,
    x: ArrayView2<'a, f64>,
    into: &'a RefCell<Into>,
) -> impl FnMut() + 'a {
    move || {
        let (runtime, l, g) = &mut *into.borrow_mut();
        let (l, g) = (Some(l.view_mut()), Some(g.view_mut()));
        runtime
            .enter("bench", 0, |cx| target.eval(cx, x, l, g))
            .expect("it evaluates");
    }
}

/// Takes the drift at the same points again and again.
fn drift<'a>(process: &'a dyn ForwardProcess, x: ArrayView2<'a, f64>) -> impl FnMut() + 'a {
    let mut f = Array2::zeros(x.dim());
    let mut runtime = one_thread();
    move || {
        let (t, f) = (Times::Shared(0.5), f.view_mut());
        runtime
            .enter("bench", 0, |cx| process.drift(cx, t, x, f))
            .expect("it evaluates");
    }
}

fn one_thread() -> Runtime {
    Runtime::new(1, 1).expect("one thread")
}

fn boundary(c: &mut Criterion) {
    let files = Folder::default();
    let parts = Parts::new(&files);
    let means = Gmm40Means::Exact;
    let mixture: Arc<dyn Target> = Gmm40 { means }.build(&parts).expect("right");
    let normal: Arc<dyn Target> = Arc::new(StandardNormal { dim: 2 });
    let within = Parts::new(&files).with_target(mixture.clone());
    let benes: Arc<dyn ForwardProcess> = Benes {
        directions: Some(vec![vec![1.0, 0.5], vec![-0.5, 1.0]]),
        ..Benes::default()
    }
    .build(&within)
    .expect("right");
    let ou: Arc<dyn ForwardProcess> = Ou::default().build(&within).expect("right");
    let into = RefCell::new((one_thread(), Array1::zeros(ROWS), Array2::zeros((ROWS, 2))));
    let mut table = Vec::new();
    let mut say = |name: &str, (ratio, direct): (f64, f64)| {
        table.push(format!(
            "{name}: directly {direct:.1} µs, plugged in × {ratio:.4}"
        ));
    };
    let mut x = Array2::zeros((ROWS, 2));
    let mut runtime = one_thread();
    runtime.enter("bench", 0, |cx| cx.fill_normal(x.view_mut()));
    for (name, target) in [("gmm40", &mixture), ("standard-normal", &normal)] {
        let plugged = plug(target);
        say(
            name,
            ratio(
                eval(&**target, x.view(), &into),
                eval(&plugged, x.view(), &into),
            ),
        );
        c.bench_function(&format!("{name}, plugged in"), |b| {
            b.iter(eval(&plugged, x.view(), &into));
        });
    }
    for (name, process) in [("drift of benes", &benes), ("drift of ou", &ou)] {
        let plugged = plug(process);
        say(
            name,
            ratio(drift(&**process, x.view()), drift(&plugged, x.view())),
        );
        c.bench_function(&format!("{name}, plugged in"), |b| {
            b.iter(drift(&plugged, x.view()));
        });
    }
    // One row: what a call costs.
    let plugged = plug(&normal);
    let one = Array2::zeros((1, 2));
    let alone = RefCell::new((one_thread(), Array1::zeros(1), Array2::zeros((1, 2))));
    say(
        "one row of standard-normal",
        ratio(
            eval(&*normal, one.view(), &alone),
            eval(&plugged, one.view(), &alone),
        ),
    );
    // A whole sampler, on a target of the host.
    let ula = Ula {
        step_size: 0.1,
        warmup: MOVES - 1,
        chains: ROWS,
        ..Ula::default()
    };
    let parts = Parts::new(&files).with_target(mixture.clone());
    let own: Arc<dyn Sampler> = ula.clone().build(&parts).expect("right");
    let parts = Parts::new(&files).with_target(Arc::new(plug(&mixture)));
    let on_plugged: Arc<dyn Sampler> = ula.build(&parts).expect("right");
    let plugged = plug(&own);
    let run = |sampler: &dyn Sampler| {
        let mut runtime = one_thread();
        drive(sampler, &mut runtime, ROWS, None, &mut Collected::new(2)).expect("it runs");
    };
    say("ula, plugged in", ratio(|| run(&*own), || run(&plugged)));
    say(
        "ula on a plugged-in target",
        ratio(|| run(&*own), || run(&*on_plugged)),
    );
    println!("\n{}", table.join("\n"));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = boundary
}
criterion_main!(benches);
