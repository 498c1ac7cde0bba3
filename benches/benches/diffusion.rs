//! What a reverse run costs: Heun on the 40-mode mixture from 10⁵ rows in 18 steps (d = 2 and 50); a step
//! of RD-F beside Euler's, which calls the score as often; and how time grows with rows and steps.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array1, Array2};
use retrograde::core::grid::{Grid, Spacing};
use retrograde::core::registry::{Folder, Parts};
use retrograde::core::{
    Build, Collected, ForwardProcess, GaussianMixture, Runtime, Sampler, Score, Target,
    drive::drive,
};
use retrograde::processes::Edm as EdmProcess;
use retrograde::samplers::{Edm, Method, ProbabilityFlow, RdF};
use retrograde::scores::Exact;
use retrograde_benches::{median, timed};
use std::sync::Arc;

const ROWS: usize = 100_000;
const LEVELS: usize = 18;
/// The most that a step of RD-F may cost, in units of Euler's, by what this project promises.
const PROMISED: f64 = 1.15;

/// Forty modes of unit width in [−40, 40]ᵈ.
fn target(d: usize) -> Arc<dyn Target> {
    let mut means = Array2::zeros((40, d));
    let mut runtime = Runtime::new(1, 1).expect("one thread");
    runtime.enter("means", 0, |cx| cx.fill_uniform(means.view_mut()));
    means.mapv_inplace(|u| 80.0 * u - 40.0);
    let one = Array1::ones(40);
    Arc::new(GaussianMixture::isotropic(one.clone(), means, one).expect("a mixture"))
}

fn sampler(d: usize, settings: impl Build<dyn Sampler>) -> Arc<dyn Sampler> {
    let files = Folder::default();
    let mut parts = Parts::new(&files).with_target(target(d));
    let process: Arc<dyn ForwardProcess> = EdmProcess::default().build(&parts).expect("right");
    parts.process = Some(process);
    let score: Arc<dyn Score> = Exact::default().build(&parts).expect("right");
    parts.score = Some(score);
    settings.build(&parts).expect("the settings are right")
}

fn grid(steps: usize) -> Grid {
    Grid::new(Spacing::Edm, steps)
}

fn run(sampler: &dyn Sampler, d: usize, n: usize, threads: usize) {
    let mut runtime = Runtime::new(1, threads).expect("threads start");
    let mut sink = Collected::new(d);
    drive(sampler, &mut runtime, n, None, &mut sink).expect("it runs");
}

fn diffusion(c: &mut Criterion) {
    let mut lines = Vec::new();
    let mut group = c.benchmark_group("heun_40_modes");
    for d in [2, 50] {
        let heun = sampler(
            d,
            Edm {
                grid: grid(LEVELS),
                ..Edm::default()
            },
        );
        group.throughput(Throughput::Elements((ROWS * (2 * LEVELS - 1)) as u64));
        for threads in [1, 0] {
            group.bench_function(BenchmarkId::new(format!("d{d}"), threads), |b| {
                b.iter(|| run(heun.as_ref(), d, ROWS, threads));
            });
        }
    }
    group.finish();
    let euler = |steps| {
        let settings = ProbabilityFlow {
            method: Method::Euler,
            grid: grid(steps),
            ..ProbabilityFlow::default()
        };
        sampler(2, settings)
    };
    let frozen = sampler(
        2,
        RdF {
            grid: grid(40),
            ..RdF::default()
        },
    );
    let plain = euler(40);
    let mut times = [const { Vec::new() }; 2];
    for _ in 0..9 {
        times[0].push(timed(|| run(frozen.as_ref(), 2, ROWS, 1)));
        times[1].push(timed(|| run(plain.as_ref(), 2, ROWS, 1)));
    }
    let [rd, euler_time] = times.map(median);
    lines.push(format!(
        "RD-F {:.1} ns a row and step, Euler {:.1} ns: {:.2} x (promised {PROMISED})",
        rd * 1e9 / (ROWS * 40) as f64,
        euler_time * 1e9 / (ROWS * 40) as f64,
        rd / euler_time
    ));
    // By turns, and the shortest of each: what other work on the machine adds is no time of ours.
    let sizes = [(10_000, 40), (10_000, 160), (100_000, 40), (100_000, 160)];
    let samplers = sizes.map(|(_, steps)| euler(steps));
    let mut seconds = [f64::INFINITY; 4];
    for _ in 0..7 {
        for ((best, sampler), (n, _)) in seconds.iter_mut().zip(&samplers).zip(sizes) {
            *best = best.min(timed(|| run(sampler.as_ref(), 2, n, 1)));
        }
    }
    for ((n, steps), time) in sizes.into_iter().zip(seconds) {
        lines.push(format!(
            "Euler, {n} rows, {steps} steps: {:.1} ns a row and step",
            time * 1e9 / (n * steps) as f64
        ));
    }
    // What ten times the rows, and four times the steps, cost beyond ten and four times the time.
    for (what, small, large, factor) in [("rows", 1, 3, 10.0), ("steps", 2, 3, 4.0)] {
        let per = (seconds[large] - seconds[small]) / (factor - 1.0);
        lines.push(format!(
            "{factor} times the {what}: {:.3} s = {:.1} ms + {factor} x {:.3} s",
            seconds[large],
            1e3 * (seconds[small] - per),
            per
        ));
    }
    println!("\n{}", lines.join("\n"));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = diffusion
}
criterion_main!(benches);
