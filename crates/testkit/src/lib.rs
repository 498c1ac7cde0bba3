//! Checks that tests of several crates share: statistical assertions with a stated false-alarm rate, what
//! every target and every process must satisfy, and compilers for C and C++. They panic with the numbers
//! when a check fails.

pub mod compiler;
mod process;

pub use process::assert_process;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, aview1, s};
use retrograde_core::{Cx, Runtime, Target, check};

/// The fixed test point of dimension d: exact binary fractions (((7i + 3) mod 11) − 5) / 8.
#[must_use]
pub fn point(d: usize) -> Vec<f64> {
    (0..d)
        .map(|i| (((7 * i + 3) % 11) as f64 - 5.0) / 8.0)
        .collect()
}

/// Panics unless `estimate` is within 4.5 standard errors of `truth` (7·10⁻⁶ false alarms for a
/// normal error), or the standard error is not positive and finite.
pub fn assert_z(what: &str, estimate: f64, truth: f64, se: f64) {
    assert!(se > 0.0 && se.is_finite(), "{what}: standard error {se}");
    let z = (estimate - truth) / se;
    assert!(
        z.abs() < 4.5,
        "{what}: {estimate} is {z:.1} standard errors ({se}) from {truth}"
    );
}

/// Panics unless `got` is `want` to relative tolerance `rel` (absolute below 1).
pub fn assert_close(what: &str, got: f64, want: f64, rel: f64) {
    let error = (got - want).abs() / want.abs().max(1.0);
    assert!(
        error <= rel,
        "{what}: {got}, expected {want} (error {error:.2e} > {rel:.0e})"
    );
}

/// Mean and its standard error, for independent numbers.
#[must_use]
pub fn mean_se(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let v: Vec<f64> = values.into_iter().collect();
    let n = v.len() as f64;
    let mean = v.iter().sum::<f64>() / n;
    let var = v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (var / n).sqrt())
}

/// Calls `f` with a context of its own, on one thread.
pub fn with_cx<R>(seed: u64, f: impl FnOnce(&mut Cx<'_>) -> R) -> R {
    Runtime::new(seed, 1)
        .expect("one thread needs no pool")
        .enter("test", 0, f)
}

/// Log density and gradient at one point.
#[must_use]
pub fn eval(target: &dyn Target, x: &[f64]) -> (f64, Vec<f64>) {
    let x = aview1(x).insert_axis(ndarray::Axis(0));
    let (mut l, mut g) = (
        Array1::from_elem(1, f64::NAN),
        Array2::from_elem(x.dim(), f64::NAN),
    );
    with_cx(0, |cx| {
        target.eval(cx, x, Some(l.view_mut()), Some(g.view_mut()))
    })
    .expect("the target evaluates");
    (l[0], g.into_raw_vec_and_offset().0)
}

/// Reference numbers at a point: log density, first and last gradient entry, sum of the gradient,
/// its squared norm.
#[derive(Debug, Clone, Copy)]
pub struct Row(pub f64, pub f64, pub f64, pub f64, pub f64);

/// Panics unless value and gradient at `x` are those of `row`, to relative tolerance `rel`
/// (relative to the largest entry for the gradient, whose entries may cancel).
pub fn assert_row(what: &str, target: &dyn Target, x: &[f64], row: Row, rel: f64) {
    let (l, g) = eval(target, x);
    let largest = g.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    assert_close(&format!("{what}: log density"), l, row.0, rel);
    let near = |name: &str, got: f64, want: f64, scale: f64| {
        let error = (got - want).abs() / scale.max(1.0);
        assert!(
            error <= rel,
            "{what}: {name} is {got}, expected {want} (error {error:.2e})"
        );
    };
    near("first gradient entry", g[0], row.1, row.1.abs());
    near("last gradient entry", g[g.len() - 1], row.2, row.2.abs());
    near(
        "sum of the gradient",
        g.iter().sum(),
        row.3,
        row.3.abs().max(largest),
    );
    near(
        "squared norm of the gradient",
        g.iter().map(|v| v * v).sum(),
        row.4,
        row.4.abs(),
    );
}

/// What every target must satisfy, at `points` (n × d, where the density is positive):
///
/// - the gradient is that of the log density (relative 1e-6);
/// - a row's value and gradient have the same bits alone, in a batch and at any place in it, asked
///   for together or one at a time;
/// - points that are huge or not finite give neither a panic nor a density of +∞ that stays unseen;
/// - coordinate names are unique, and outputs (if any) have their shape and are finite.
pub fn assert_target(what: &str, target: &dyn Target, points: ArrayView2<'_, f64>) {
    let (n, d) = points.dim();
    assert_eq!(d, target.dim(), "{what}: dimension");
    with_cx(11, |cx| {
        if target.has_gradient() && target.has_density() {
            let report = check::gradient(cx, target, points.slice(s![..n.min(3), ..]))
                .expect("it evaluates");
            assert!(
                report.skipped == 0 && report.worst < 1e-6,
                "{what}: gradient: {report:?}"
            );
        }
        assert_rowwise(what, target, points, cx);
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300] {
            let mut x = points.slice(s![..1, ..]).to_owned();
            for j in [0, d - 1] {
                x[(0, j)] = bad;
                let (mut l, mut g) = (Array1::zeros(1), Array2::zeros((1, d)));
                let gradient = target.has_gradient().then(|| g.view_mut());
                cx.eval_target(target, x.view(), Some(l.view_mut()), gradient)
                    .expect("no error");
                assert!(
                    l[0] < f64::INFINITY && g.iter().all(|v| v.is_finite()),
                    "{what} at {bad}"
                );
            }
        }
        let mut names: Vec<String> = (0..d).map(|i| target.coordinate(i)).collect();
        if let Some(outputs) = target.outputs() {
            names.extend((0..outputs.count()).map(|i| outputs.name(i)));
        }
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(
            names.len(),
            all,
            "{what}: names of coordinates and outputs repeat"
        );
        if let Some(outputs) = target.outputs() {
            let mut out = Array2::from_elem((n, outputs.count()), f64::NAN);
            outputs
                .eval(cx, points, out.view_mut())
                .expect("outputs evaluate");
            assert!(out.iter().all(|v| v.is_finite()), "{what}: outputs");
            assert!((0..outputs.count()).all(|i| !outputs.name(i).is_empty()));
        }
    });
}

fn assert_rowwise(what: &str, target: &dyn Target, points: ArrayView2<'_, f64>, cx: &mut Cx<'_>) {
    let (n, d) = points.dim();
    // A batch that is no multiple of any SIMD width or block, with the points at odd places.
    let rows = 261;
    let batch = Array2::from_shape_fn((rows, d), |(i, j)| points[(i % n, j)]);
    let (mut l, mut g) = (Array1::zeros(rows), Array2::zeros((rows, d)));
    let gradient = target.has_gradient();
    target
        .eval(
            cx,
            batch.view(),
            Some(l.view_mut()),
            gradient.then(|| g.view_mut()),
        )
        .expect("it evaluates");
    let (mut l1, mut g1) = (Array1::zeros(rows), Array2::zeros((rows, d)));
    target
        .eval(cx, batch.view(), Some(l1.view_mut()), None)
        .expect("it evaluates");
    if gradient {
        target
            .eval(cx, batch.view(), None, Some(g1.view_mut()))
            .expect("it evaluates");
    }
    let same = |a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>| {
        a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
    };
    for i in 0..rows {
        assert!(
            same(l.slice(s![i..=i]), l1.slice(s![i..=i])),
            "{what}: density alone, row {i}"
        );
        assert!(same(g.row(i), g1.row(i)), "{what}: gradient alone, row {i}");
        assert!(
            same(l.slice(s![i..=i]), l.slice(s![i % n..=i % n])),
            "{what}: density moved, row {i}"
        );
        assert!(
            same(g.row(i), g.row(i % n)),
            "{what}: gradient moved, row {i}"
        );
        if i < n {
            let (mut ls, mut gs) = (Array1::zeros(1), Array2::zeros((1, d)));
            let x = batch.slice(s![i..=i, ..]);
            target
                .eval(cx, x, Some(ls.view_mut()), gradient.then(|| gs.view_mut()))
                .expect("it evaluates");
            assert!(
                same(l.slice(s![i..=i]), ls.view()),
                "{what}: density of a single row {i}"
            );
            assert!(
                same(g.row(i), gs.row(0)),
                "{what}: gradient of a single row {i}"
            );
        }
    }
}

/// log Z and its standard error by importance sampling from N(`mean`, diag(`sd`²)) with n points.
#[must_use]
pub fn importance_log_z(
    target: &dyn Target,
    mean: &[f64],
    sd: &[f64],
    n: usize,
    seed: u64,
) -> (f64, f64) {
    let d = target.dim();
    let (mut x, mut l) = (Array2::zeros((n, d)), Array1::zeros(n));
    with_cx(seed, |cx| {
        cx.fill_normal(x.view_mut());
        let base: Vec<f64> = x
            .rows()
            .into_iter()
            .map(|z| {
                -0.5 * z.dot(&z)
                    - sd.iter()
                        .map(|s| s.ln() + 0.5 * (2.0 * std::f64::consts::PI).ln())
                        .sum::<f64>()
            })
            .collect();
        for mut row in x.rows_mut() {
            row.iter_mut()
                .zip(mean.iter().zip(sd))
                .for_each(|(v, (m, s))| *v = m + s * *v);
        }
        cx.eval_target(target, x.view(), Some(l.view_mut()), None)
            .expect("it evaluates");
        l.iter_mut().zip(base).for_each(|(l, b)| *l -= b);
    });
    let log_z = retrograde_core::numeric::log_mean_exp(l.as_slice().expect("contiguous"));
    let ess = retrograde_core::numeric::effective_sample_size(l.as_slice().expect("contiguous"));
    (
        log_z,
        ((n as f64 / ess - 1.0).max(0.0) / (n as f64 - 1.0)).sqrt(),
    )
}

/// Panics unless n exact draws of the target have its moments and expectations to 4.5 standard
/// errors, and the first rows do not depend on n.
pub fn assert_exact_sampler(what: &str, target: &dyn Target, n: usize, seed: u64) {
    let exact = target
        .exact()
        .unwrap_or_else(|| panic!("{what}: nothing exact"));
    let sampler = exact
        .sampler()
        .unwrap_or_else(|| panic!("{what}: no exact sampler"));
    let draw = |n: usize| {
        let mut x = Array2::zeros((n, target.dim()));
        with_cx(seed, |cx| sampler.sample(cx, x.view_mut())).expect("it samples");
        x
    };
    let x = draw(n);
    assert_eq!(
        x.slice(s![..n / 3, ..]),
        draw(n / 3),
        "{what}: the first rows depend on n"
    );
    let truth = exact.truth();
    if let (Some(mean), Some(variance)) = (&truth.mean, &truth.variance) {
        for j in 0..target.dim() {
            let (m, se) = mean_se(x.column(j).iter().copied());
            assert_z(&format!("{what}: mean of coordinate {j}"), m, mean[j], se);
            let (v, se) = mean_se(x.column(j).iter().map(|v| (v - mean[j]).powi(2)));
            assert_z(
                &format!("{what}: variance of coordinate {j}"),
                v,
                variance[j],
                se,
            );
        }
    }
    for e in &truth.expectations {
        let (m, se) = mean_se(x.rows().into_iter().map(|r| (e.of)(&r.to_vec())));
        assert_z(&format!("{what}: {}", e.name), m, e.value, se);
    }
    // ∇ log π has mean zero under π: ties the sampler to the gradient.
    if target.has_gradient() {
        let mut g = Array2::zeros(x.dim());
        with_cx(seed, |cx| {
            cx.eval_target(target, x.view(), None, Some(g.view_mut()))
        })
        .expect("it evaluates");
        for j in 0..target.dim() {
            let (m, se) = mean_se(g.column(j).iter().copied());
            assert_z(&format!("{what}: mean gradient {j}"), m, 0.0, se);
        }
    }
}
