//! Bayesian logistic regression on the ionosphere data (351 × 35), 2000 points, value and gradient,
//! one thread: the target's kernel against an idiomatic row at a time.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array1, Array2};
use retrograde::core::registry::{Folder, Parts};
use retrograde::core::{Build, Runtime, Target};
use retrograde::targets::LogisticRegression;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

/// The standardised design matrix with its intercept, and the labels, read a second time here.
fn data(folder: &std::path::Path) -> (Array2<f64>, Array1<f64>) {
    let text = std::fs::read_to_string(folder.join("ionosphere.csv")).expect("the data are there");
    let rows: Vec<Vec<f64>> = text
        .lines()
        .skip(1)
        .map(|l| l.split(',').map(|v| v.parse().expect("a number")).collect())
        .collect();
    let (n, d) = (rows.len(), rows[0].len());
    let mut x = Array2::from_shape_fn((n, d), |(i, j)| if j == 0 { 1.0 } else { rows[i][j - 1] });
    for mut column in x.columns_mut().into_iter().skip(1) {
        let mean = column.mean().unwrap_or(0.0);
        let sd = column.std(0.0);
        column.mapv_inplace(|v| (v - mean) / if sd == 0.0 { 1.0 } else { sd });
    }
    (
        x,
        rows.iter()
            .map(|r| f64::from(u8::from(r[d - 1] > 0.0)))
            .collect(),
    )
}

fn logistic(c: &mut Criterion) {
    const POINTS: usize = 2000;
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data"));
    let (x, t) = data(&folder);
    let settings = LogisticRegression {
        file: "ionosphere.csv".into(),
        label: "label".into(),
        columns: None,
        standardise: true,
        intercept: true,
        prior_sd: 1.0,
    };
    let files = Folder(folder);
    let target: Arc<dyn Target> = settings
        .build(&Parts::new(&files))
        .expect("the data are right");
    let d = target.dim();
    let w = Array2::from_shape_fn((POINTS, d), |(i, j)| {
        ((i * 31 + j * 17) % 101) as f64 / 100.0 - 0.5
    });
    let (mut l, mut g) = (Array1::zeros(POINTS), Array2::zeros((POINTS, d)));
    let mut group = c.benchmark_group("ionosphere_2000_points");
    group.throughput(Throughput::Elements(POINTS as u64));

    let mut runtime = Runtime::new(1, 1).expect("one thread");
    group.bench_function("a tile of points at a time", |b| {
        b.iter(|| {
            runtime.enter("bench", 0, |cx| {
                cx.eval_target(
                    target.as_ref(),
                    w.view(),
                    Some(l.view_mut()),
                    Some(g.view_mut()),
                )
            })
        });
    });
    let (mut l2, mut g2) = (l.clone(), g.clone());
    group.bench_function("idiomatic, a row at a time", |b| {
        b.iter(|| {
            for (i, w) in w.rows().into_iter().enumerate() {
                let eta = x.dot(&w);
                let terms = eta
                    .iter()
                    .zip(&t)
                    .map(|(e, t)| t * e - (1.0 + e.exp()).ln());
                l2[i] = terms.sum::<f64>()
                    - 0.5 * w.dot(&w)
                    - 0.5 * d as f64 * std::f64::consts::TAU.ln();
                let residual = &t - &eta.mapv(|e| 1.0 / (1.0 + (-e).exp()));
                g2.row_mut(i).assign(&(x.t().dot(&residual) - w));
            }
            black_box(l2[0])
        });
    });
    group.finish();
    let worst = l
        .iter()
        .zip(&l2)
        .map(|(a, b)| (a - b).abs() / b.abs())
        .fold(0.0, f64::max);
    assert!(worst < 1e-10, "the two do not agree: {worst}");
    let worst = g
        .iter()
        .zip(&g2)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(worst < 1e-8, "the two gradients do not agree: {worst}");
}

criterion_group!(benches, logistic);
criterion_main!(benches);
