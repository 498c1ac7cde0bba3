//! Log density and score of 40-mode mixtures at 10⁵ points, one thread, against two idiomatic `ndarray`
//! implementations in the same build: a component at a time (row views, temporaries) and a point at a
//! time. The times (of the processor) and their ratios are printed for every level of the machine.
//!
//! The far modes are uniform in [−40, 40]ᵈ: most weights lie below e⁻⁷⁰⁰, and would be subnormal or slow
//! if they were not exactly 0. At the near modes every component has weight.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};
use retrograde::core::{ExactSampler, GaussianMixture, Runtime, SimdLevel, Target};
use retrograde_benches::{median, timed};
use std::hint::black_box;

const POINTS: usize = 100_000;
const MODES: usize = 40;

/// Modes uniform in [−`half`, `half`]ᵈ of variance `variance`.
fn mixture(d: usize, half: f64, variance: f64) -> GaussianMixture {
    let mut means = Array2::zeros((MODES, d));
    Runtime::new(7, 1)
        .expect("one thread")
        .enter("modes", 0, |cx| cx.fill_uniform(means.view_mut()));
    means.mapv_inplace(|u| half * (2.0 * u - 1.0));
    GaussianMixture::isotropic(
        Array1::ones(MODES),
        means,
        Array1::from_elem(MODES, variance),
    )
    .expect("the numbers are right")
}

/// Points around all modes: draws, moved by normals.
fn points(mixture: &GaussianMixture) -> Array2<f64> {
    let (mut x, mut z) = (
        Array2::zeros((POINTS, mixture.dim())),
        Array2::zeros((POINTS, mixture.dim())),
    );
    Runtime::new(8, 1)
        .expect("one thread")
        .enter("points", 0, |cx| {
            mixture.sample(cx, x.view_mut()).expect("it has draws");
            cx.fill_normal(z.view_mut());
        });
    x + z
}

/// As one writes it with `ndarray`.
struct Idiomatic {
    means: Array2<f64>,
    constants: Array1<f64>,
    precision: f64,
}

impl Idiomatic {
    fn new(m: &GaussianMixture, variance: f64) -> Self {
        let d = m.dim() as f64;
        let constant = -0.5 * d * (std::f64::consts::TAU * variance).ln();
        Self {
            means: m.means().clone(),
            constants: m.weights().mapv(f64::ln) + constant,
            precision: 1.0 / variance,
        }
    }

    /// A component at a time: row views of the means, a temporary for each difference.
    fn by_component(&self, x: ArrayView2<'_, f64>, l: &mut Array1<f64>, g: &mut Array2<f64>) {
        for (i, x) in x.rows().into_iter().enumerate() {
            let v: Array1<f64> = self
                .means
                .rows()
                .into_iter()
                .zip(&self.constants)
                .map(|(m, c)| {
                    let e = &x - &m;
                    c - 0.5 * self.precision * e.dot(&e)
                })
                .collect();
            let max = v.fold(f64::NEG_INFINITY, |a, b| a.max(*b));
            let w = v.mapv(|v| (v - max).exp());
            let sum = w.sum();
            l[i] = max + sum.ln();
            let mut score = g.row_mut(i);
            score.fill(0.0);
            for (w, m) in w.iter().zip(self.means.rows()) {
                score.scaled_add(w / sum * self.precision, &(&m - &x));
            }
        }
    }

    /// All components of a point at once: fewer, larger temporaries.
    fn by_point(&self, x: ArrayView2<'_, f64>, l: &mut Array1<f64>, g: &mut Array2<f64>) {
        for (i, x) in x.rows().into_iter().enumerate() {
            let e = &self.means - &x;
            let q = (&e * &e).sum_axis(Axis(1));
            let v = &self.constants - &(q * (0.5 * self.precision));
            let max = v.fold(f64::NEG_INFINITY, |a, b| a.max(*b));
            let w = v.mapv(|v| (v - max).exp());
            let sum = w.sum();
            l[i] = max + sum.ln();
            g.row_mut(i).assign(&(w.dot(&e) * (self.precision / sum)));
        }
    }
}

struct Case {
    name: &'static str,
    mixture: GaussianMixture,
    variance: f64,
    /// The least ratio that this project promises.
    promised: f64,
}

fn cases() -> [Case; 4] {
    let case = |name, d, half, variance, promised| Case {
        name,
        mixture: mixture(d, half, variance),
        variance,
        promised,
    };
    [
        case("d = 2, far modes", 2, 40.0, 1.72, 7.0),
        case("d = 2, near modes", 2, 2.0, 1.72, 7.0),
        case("d = 50, far modes", 50, 40.0, 1.72, 11.0),
        case("d = 50, near modes", 50, 0.5, 1.72, 11.0),
    ]
}

fn against_ndarray(c: &mut Criterion) {
    let mut table = Vec::new();
    for case in cases() {
        let m = &case.mixture;
        let x = points(m);
        let rival = Idiomatic::new(m, case.variance);
        let (mut l, mut g) = (Array1::zeros(POINTS), Array2::zeros((POINTS, m.dim())));
        let (mut l2, mut g2) = (l.clone(), g.clone());
        let mut group = c.benchmark_group(format!("gmm40 {}", case.name));
        group.throughput(Throughput::Elements(POINTS as u64));
        group.bench_function("ndarray, by component", |b| {
            b.iter(|| rival.by_component(x.view(), black_box(&mut l2), &mut g2));
        });
        group.bench_function("ndarray, by point", |b| {
            b.iter(|| rival.by_point(x.view(), black_box(&mut l2), &mut g2));
        });
        for level in SimdLevel::available() {
            let mut runtime = Runtime::new(1, 1).expect("one thread").with_simd(level);
            let mut run = |l: &mut Array1<f64>, g: &mut Array2<f64>| {
                runtime.enter("bench", 0, |cx| {
                    cx.eval_target(m, x.view(), Some(l.view_mut()), Some(g.view_mut()))
                })
            };
            group.bench_function(level.name(), |b| b.iter(|| run(&mut l, &mut g)));
            // By turns, so that what else the machine does touches both alike.
            let mut times = [const { Vec::new() }; 3];
            for _ in 0..7 {
                times[0].push(timed(|| run(&mut l, &mut g).expect("it evaluates")));
                times[1].push(timed(|| rival.by_component(x.view(), &mut l2, &mut g2)));
                assert_close(&l, &l2, &g, &g2);
                times[2].push(timed(|| rival.by_point(x.view(), &mut l2, &mut g2)));
                assert_close(&l, &l2, &g, &g2);
            }
            let [ours, component, point] = times.map(|t| median(t) * 1e3);
            let best = level == SimdLevel::best();
            let promised = if best {
                format!(" (promised {})", case.promised)
            } else {
                String::new()
            };
            table.push(format!(
                "{}, {level}: here {ours:.2} ms, ndarray by component {component:.1} ms, ratio \
                 {:.1}{promised}, by point {point:.1} ms, ratio {:.1}",
                case.name,
                component / ours,
                point / ours,
            ));
        }
        group.finish();
    }
    println!("\n{}", table.join("\n"));
}

fn assert_close(l: &Array1<f64>, l2: &Array1<f64>, g: &Array2<f64>, g2: &Array2<f64>) {
    for (a, b) in l.iter().zip(l2).chain(g.iter().zip(g2)) {
        assert!((a - b).abs() < 1e-9 * (1.0 + b.abs()), "{a} is not {b}");
    }
}

/// What is asked for, and the form of the covariances: nanoseconds a point at the best level.
fn forms(c: &mut Criterion) {
    for d in [2, 50] {
        let isotropic = mixture(d, 2.0, 1.0);
        let (w, means) = (isotropic.weights().clone(), isotropic.means().clone());
        let v = Array2::from_shape_fn((MODES, d), |(k, j)| 0.5 + ((k + j) % 7) as f64 / 7.0);
        let dense = Array3::from_shape_fn((MODES, d, d), |(k, i, j)| {
            if i == j {
                v[(k, i)] + 1.0
            } else {
                1.0 / (2 + i.abs_diff(j)) as f64
            }
        });
        let forms = [
            ("isotropic", isotropic),
            (
                "diagonal",
                GaussianMixture::diagonal(w.clone(), means.clone(), v).expect("right"),
            ),
            (
                "dense",
                GaussianMixture::dense(w, means, dense).expect("right"),
            ),
        ];
        let mut group = c.benchmark_group(format!("forms d = {d}"));
        let n = if d == 2 { POINTS } else { POINTS / 10 };
        group.throughput(Throughput::Elements(n as u64));
        for (form, m) in &forms {
            let x = points(m).slice(ndarray::s![..n, ..]).to_owned();
            let (mut l, mut g) = (Array1::zeros(n), Array2::zeros((n, d)));
            for what in ["density", "gradient", "both"] {
                let mut runtime = Runtime::new(1, 1).expect("one thread");
                group.bench_function(format!("{form}, {what}"), |b| {
                    b.iter(|| {
                        runtime.enter("bench", 0, |cx| {
                            let l = (what != "gradient").then(|| l.view_mut());
                            let g = (what != "density").then(|| g.view_mut());
                            cx.eval_target(m, x.view(), l, g)
                        })
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = against_ndarray, forms
}
criterion_main!(benches);
