//! Formulas against the same densities written by hand: the value alone, value with gradient, and
//! the time to compile. One thread, 4096 points.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array1, Array2};
use retrograde::core::registry::{Folder, Parts};
use retrograde::core::{Build, PointTarget, Runtime, Target};
use retrograde::targets::{Banana, Expression};
use std::hint::black_box;
use std::sync::Arc;

const POINTS: usize = 4096;

fn built(settings: Expression) -> Arc<dyn Target> {
    settings
        .build(&Parts::new(&Folder::default()))
        .expect("the formula is right")
}

/// Times value and gradient of both, and checks that they agree.
fn compare(group: &mut BenchmarkGroup<'_, WallTime>, ours: &dyn Target, hand: &dyn Target) {
    let d = hand.dim();
    let x = Array2::from_shape_fn((POINTS, d), |(i, j)| {
        ((i * 31 + j * 17) % 101) as f64 / 50.0 - 1.0
    });
    group.throughput(Throughput::Elements(POINTS as u64));
    let mut runtime = Runtime::new(1, 1).expect("one thread");
    let mut results = Vec::new();
    for (what, target) in [("formula", ours), ("by hand", hand)] {
        let (mut l, mut g) = (Array1::zeros(POINTS), Array2::zeros((POINTS, d)));
        group.bench_function(format!("{what}, value"), |b| {
            b.iter(|| {
                runtime.enter("bench", 0, |cx| {
                    cx.eval_target(target, x.view(), Some(l.view_mut()), None)
                })
            });
        });
        group.bench_function(format!("{what}, value and gradient"), |b| {
            b.iter(|| {
                runtime.enter("bench", 0, |cx| {
                    cx.eval_target(target, x.view(), Some(l.view_mut()), Some(g.view_mut()))
                })
            });
        });
        results.push((l, g));
    }
    let [(l, g), (l2, g2)] = results.as_slice() else {
        return;
    };
    let far = |a: f64, b: f64| (a - b).abs() / b.abs().max(1.0);
    let worst = l
        .iter()
        .zip(l2)
        .map(|(a, b)| far(*a, *b))
        .fold(0.0, f64::max);
    assert!(worst < 1e-11, "the two do not agree: {worst}");
    let worst = g
        .iter()
        .zip(g2)
        .map(|(a, b)| far(*a, *b))
        .fold(0.0, f64::max);
    assert!(worst < 1e-10, "the two gradients do not agree: {worst}");
}

fn rosenbrock(d: usize) -> Expression {
    let last = d - 1;
    Expression::new(
        [format!("x[{d}]")],
        format!("-sum(100*(x[2:{d}] - x[1:{last}]^2)^2 + (1 - x[1:{last}])^2)"),
    )
}

/// The same with every coordinate and term written out, as a program would write it.
fn rosenbrock_written_out(d: usize) -> Expression {
    let terms: Vec<String> = (1..d)
        .map(|i| format!("100*(x{} - x{i}^2)^2 + (1 - x{i})^2", i + 1))
        .collect();
    Expression::new(
        (1..=d).map(|i| format!("x{i}")),
        format!("-({})", terms.join(" + ")),
    )
}

fn in_many_dimensions(c: &mut Criterion) {
    for (d, written_out) in [
        (2, false),
        (10, false),
        (50, false),
        (200, false),
        (50, true),
    ] {
        let hand = PointTarget::new(d, |x, g| {
            let mut l = 0.0;
            for i in 0..x.len() - 1 {
                let (a, b) = (x[i + 1] - x[i] * x[i], 1.0 - x[i]);
                l -= 100.0 * a * a + b * b;
                g[i] += 400.0 * a * x[i] + 2.0 * b;
                g[i + 1] -= 200.0 * a;
            }
            l
        });
        let (name, ours) = if written_out {
            (
                format!("rosenbrock_{d}_written_out"),
                rosenbrock_written_out(d),
            )
        } else {
            (format!("rosenbrock_{d}"), rosenbrock(d))
        };
        let mut group = c.benchmark_group(name);
        compare(&mut group, built(ours).as_ref(), &hand);
        group.finish();
    }
    let mut group = c.benchmark_group("set-up, d = 50");
    group.bench_function("vectors", |b| b.iter(|| black_box(built(rosenbrock(50)))));
    group.bench_function("written out", |b| {
        b.iter(|| black_box(built(rosenbrock_written_out(50))));
    });
    group.finish();
}

fn banana(c: &mut Criterion) {
    let ours = Expression::new(
        ["x", "y"],
        "bent = y + 0.03*x^2 - 3; -x^2/200 - 0.5*bent^2 - 0.5*log(100) - log(2*pi)",
    );
    let mut group = c.benchmark_group("banana");
    compare(&mut group, built(ours).as_ref(), &Banana { bend: 0.03 });
    group.finish();
}

/// A line through m points with normal or Student-t errors.
fn regressions(c: &mut Criterion) {
    const M: u32 = 200;
    let t: Vec<f64> = (0..M).map(|i| f64::from(i) / 100.0 - 1.0).collect();
    let y: Vec<f64> = t.iter().map(|t| 0.5 + 2.0 * t + (31.0 * t).sin()).collect();
    let with_data = |formula: &str| {
        let mut settings = Expression::new(["a", "b", "ln_s"], formula);
        settings.data = [("t".to_owned(), t.clone()), ("y".to_owned(), y.clone())].into();
        built(settings)
    };
    let ours = with_data("sum(normal_lpdf(y, a + b*t, exp(ln_s)))");
    let (t2, y2) = (t.clone(), y.clone());
    let hand = PointTarget::new(3, move |x, g| {
        let precision = (-2.0 * x[2]).exp();
        let mut l = 0.0;
        for (t, y) in t2.iter().zip(&y2) {
            let r = y - x[0] - x[1] * t;
            l += r * r;
            g[0] += r;
            g[1] += r * t;
        }
        g[0] *= precision;
        g[1] *= precision;
        g[2] = l * precision - f64::from(M);
        -0.5 * l * precision - f64::from(M) * (x[2] + 0.5 * std::f64::consts::TAU.ln())
    });
    let mut group = c.benchmark_group("line_200_normal");
    compare(&mut group, ours.as_ref(), &hand);
    group.finish();

    let ours = with_data("s = exp(ln_s); -sum(2.5*log1p(((y - a - b*t)/s)^2/4)) - 200*ln_s");
    let hand = PointTarget::new(3, move |x, g| {
        let s = x[2].exp();
        let (mut l, mut g2) = (-f64::from(M) * x[2], -f64::from(M));
        for (t, y) in t.iter().zip(&y) {
            let z = (y - x[0] - x[1] * t) / s;
            l -= 2.5 * (0.25 * z * z).ln_1p();
            let pull = 5.0 * z / (4.0 + z * z);
            g[0] += pull / s;
            g[1] += pull * t / s;
            g2 += pull * z;
        }
        g[2] = g2;
        l
    });
    let mut group = c.benchmark_group("line_200_student_t");
    compare(&mut group, ours.as_ref(), &hand);
    group.finish();
}

criterion_group!(benches, in_many_dimensions, banana, regressions);
criterion_main!(benches);
