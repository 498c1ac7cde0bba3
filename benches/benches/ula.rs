//! What a move of ULA costs beside its parts: on the 40-mode mixture with d = 2, 10⁵ chains, one
//! thread, the time of a chain's move against that of its two normals and its score. The three
//! times (of the processor) and the ratio are printed for every level of the machine.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;
use retrograde::core::registry::{Folder, Parts};
use retrograde::core::{Build, Collected, Runtime, Sampler, SimdLevel, Target, drive::drive};
use retrograde::samplers::Ula;
use retrograde::targets::{Gmm40, Gmm40Means};
use retrograde_benches::{median, timed};
use std::sync::Arc;

const CHAINS: usize = 100_000;
const MOVES: u64 = 32;
/// The most that a move may cost, in units of its parts, by what this project promises.
const PROMISED: f64 = 1.5;

fn ula(c: &mut Criterion) {
    let files = Folder::default();
    let parts = Parts::new(&files);
    let means = Gmm40Means::Exact;
    let target: Arc<dyn Target> = Gmm40 { means }.build(&parts).expect("right");
    let settings = Ula {
        step_size: 0.1,
        warmup: MOVES - 1,
        chains: CHAINS,
        start_sd: 40.0.into(),
        ..Ula::default()
    };
    let sampler: Arc<dyn Sampler> = settings
        .build(&parts.with_target(target.clone()))
        .expect("the settings are right");
    let mut table = Vec::new();
    let mut group = c.benchmark_group("ula_gmm40_d2");
    for level in SimdLevel::available() {
        let mut runtime = Runtime::new(1, 1).expect("one thread").with_simd(level);
        let mut x = Array2::zeros((CHAINS, 2));
        let run = |runtime: &mut Runtime| {
            let mut sink = Collected::new(2);
            drive(sampler.as_ref(), runtime, CHAINS, None, &mut sink).expect("it runs");
            sink
        };
        x.assign(&run(&mut runtime).rows());
        let (mut z, mut g) = (x.clone(), x.clone());
        let mut normals = |runtime: &mut Runtime| {
            runtime.enter("bench", 0, |cx| cx.fill_normal(z.view_mut()));
        };
        let mut score = |runtime: &mut Runtime| {
            runtime
                .enter("bench", 0, |cx| {
                    cx.eval_target(&*target, x.view(), None, Some(g.view_mut()))
                })
                .expect("it evaluates");
        };
        group.throughput(Throughput::Elements(CHAINS as u64));
        group.bench_function(BenchmarkId::new("two normals", level), |b| {
            b.iter(|| normals(&mut runtime));
        });
        group.bench_function(BenchmarkId::new("score", level), |b| {
            b.iter(|| score(&mut runtime));
        });
        group.throughput(Throughput::Elements(CHAINS as u64 * MOVES));
        group.bench_function(BenchmarkId::new("moves", level), |b| {
            b.iter(|| run(&mut runtime));
        });
        // By turns, so that what else the machine does touches all alike.
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..9 {
            times[0].push(timed(|| normals(&mut runtime)));
            times[1].push(timed(|| score(&mut runtime)));
            times[2].push(timed(|| drop(run(&mut runtime))) / MOVES as f64);
        }
        let [normals, score, a_move] = times.map(|t| median(t) * 1e9 / CHAINS as f64);
        let ratio = a_move / (normals + score);
        table.push(format!(
            "{level}: two normals {normals:.1} ns, score {score:.1} ns, a move {a_move:.1} ns, \
             ratio {ratio:.2} (promised {PROMISED})"
        ));
    }
    group.finish();
    println!("\n{}", table.join("\n"));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = ula
}
criterion_main!(benches);
