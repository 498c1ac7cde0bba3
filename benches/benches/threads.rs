//! How much two threads give: ULA on a 40-mode mixture (many cheap rows), and a target that takes
//! 1 ms a point (few dear rows).

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array1, Array2};
use retrograde::core::registry::{Folder, Parts};
use retrograde::core::{Build, Collected, PointTarget, Runtime, Sampler, Target, drive::drive};
use retrograde::samplers::Ula;
use retrograde::targets::{Gmm40, Gmm40Means};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn ula_gmm40(c: &mut Criterion) {
    const CHAINS: usize = 100_000;
    const MOVES: u64 = 32;
    let files = Folder::default();
    let parts = Parts::new(&files);
    let target: Arc<dyn Target> = Gmm40 {
        means: Gmm40Means::Exact,
    }
    .build(&parts)
    .expect("defaults are right");
    let settings = Ula {
        step_size: 0.1,
        warmup: MOVES - 1,
        chains: CHAINS,
        ..Ula::default()
    };
    let sampler: Arc<dyn Sampler> = settings
        .build(&parts.with_target(target))
        .expect("the settings are right");
    let mut group = c.benchmark_group("ula_gmm40_1e5_chains");
    group.throughput(Throughput::Elements(CHAINS as u64 * MOVES));
    for threads in [1, 2] {
        let mut runtime = Runtime::new(1, threads).expect("threads start");
        group.bench_function(BenchmarkId::new("threads", threads), |b| {
            b.iter(|| {
                let mut sink = Collected::new(2);
                drive(sampler.as_ref(), &mut runtime, CHAINS, None, &mut sink).expect("it runs");
                black_box(sink.len())
            });
        });
    }
    group.finish();
}

fn slow_target(c: &mut Criterion) {
    let target = PointTarget::new(2, |x, g| {
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
        g.copy_from_slice(&[-x[0], -x[1]]);
        -0.5 * (x[0] * x[0] + x[1] * x[1])
    });
    let x = Array2::<f64>::ones((8, 2));
    let mut group = c.benchmark_group("8_rows_of_1_ms");
    for threads in [1, 2] {
        let mut runtime = Runtime::new(1, threads).expect("threads start");
        let (mut l, mut g) = (Array1::zeros(8), Array2::zeros((8, 2)));
        group.bench_function(BenchmarkId::new("threads", threads), |b| {
            b.iter(|| {
                runtime.enter("bench", 0, |cx| {
                    cx.eval_target(&target, x.view(), Some(l.view_mut()), Some(g.view_mut()))
                })
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(5));
    targets = ula_gmm40, slow_target
}
criterion_main!(benches);
