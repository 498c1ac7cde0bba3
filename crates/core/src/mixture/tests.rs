//! Gaussian mixtures against brute force: naive sums, explicit inverses, differences, draws.

use crate::{
    Covariances, Cx, Error, ExactSampler, GaussianMixture, Runtime, SimdLevel, Target, check,
};
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis, array};
use std::f64::consts::TAU;

const K: usize = 5;

/// Numbers without structure in (−½, ½), from a Weyl sequence.
fn number(i: usize) -> f64 {
    (0.5 + 0.754_877_666_246_692_7 * (i + 1) as f64).fract() - 0.5
}

fn means(d: usize) -> Array2<f64> {
    Array2::from_shape_fn((K, d), |(k, j)| 4.0 * number(k * d + j))
}

fn weights() -> Array1<f64> {
    Array1::from_shape_fn(K, |k| (k + 1) as f64)
}

/// The three forms in dimension d, with covariances of different size and shape.
fn mixtures(d: usize) -> [GaussianMixture; 3] {
    let v = Array2::from_shape_fn((K, d), |(k, j)| 0.7 + number(100 + k * d + j));
    let dense = Array3::from_shape_fn((K, d, d), |(k, i, j)| {
        let a = |i: usize, l: usize| number(300 + (k * d + i) * d + l);
        (0..d).map(|l| a(i, l) * a(j, l)).sum::<f64>() + if i == j { 0.3 } else { 0.0 }
    });
    [
        GaussianMixture::isotropic(weights(), means(d), v.column(0).to_owned()),
        GaussianMixture::diagonal(weights(), means(d), v),
        GaussianMixture::dense(weights(), means(d), dense),
    ]
    .map(|m| m.unwrap().with_log_scale(0.75).unwrap())
}

fn with_cx<R>(f: impl FnOnce(&mut Cx<'_>) -> R) -> R {
    Runtime::new(5, 1).unwrap().enter("test", 0, f)
}

fn matrix(m: &GaussianMixture, k: usize) -> Array2<f64> {
    match m.covariances() {
        Covariances::Isotropic(v) => Array2::eye(m.dim()) * v[k],
        Covariances::Diagonal(v) => Array2::from_diag(&v.row(k)),
        Covariances::Dense(c) => c.index_axis(Axis(0), k).to_owned(),
    }
}

/// Determinant and C⁻¹ e by Gauss–Jordan elimination, which the library does not use.
fn solve(mut c: Array2<f64>, e: &Array1<f64>) -> (f64, Array1<f64>) {
    let (d, mut b, mut det) = (c.nrows(), e.clone(), 1.0);
    for p in 0..d {
        let pivot = c[(p, p)];
        det *= pivot;
        for i in (0..d).filter(|&i| i != p) {
            let f = c[(i, p)] / pivot;
            for j in 0..d {
                c[(i, j)] -= f * c[(p, j)];
            }
            b[i] -= f * b[p];
        }
    }
    (det, Array1::from_shape_fn(d, |i| b[i] / c[(i, i)]))
}

/// wₖ N(x; mₖ, Cₖ) and Cₖ⁻¹ (x − mₖ), one k after another.
fn parts(m: &GaussianMixture, x: &Array1<f64>) -> Vec<(f64, Array1<f64>)> {
    (0..K)
        .map(|k| {
            let e = x - &m.means().row(k);
            let (det, y) = solve(matrix(m, k), &e);
            let norm = TAU.powf(0.5 * x.len() as f64) * det.sqrt();
            (m.weights()[k] * (-0.5 * e.dot(&y)).exp() / norm, y)
        })
        .collect()
}

#[test]
fn density_gradient_and_responsibilities_are_those_of_the_naive_sums() {
    for (d, m) in [1, 2, 5, 9]
        .into_iter()
        .flat_map(|d| mixtures(d).map(|m| (d, m)))
    {
        let x = Array2::from_shape_fn((20, d), |(i, j)| 6.0 * number(1000 + i * d + j));
        let (mut l, mut g) = (Array1::zeros(20), Array2::zeros((20, d)));
        let mut p = Array2::zeros((20, K));
        with_cx(|cx| {
            m.eval(cx, x.view(), Some(l.view_mut()), Some(g.view_mut()))
                .unwrap();
            m.responsibilities(cx, x.view(), p.view_mut()).unwrap();
            // A strided view gives the same numbers.
            let mut wide = Array2::zeros((20, 2 * d));
            let mut strided = wide.slice_mut(ndarray::s![.., ..;2]);
            let swapped = x.t().as_standard_layout().into_owned();
            m.eval(cx, swapped.t(), None, Some(strided.view_mut()))
                .unwrap();
            assert_eq!(strided, g);
            let report = check::gradient(cx, &m, x.view()).unwrap();
            assert!(report.worst < 1e-8, "{report:?}");
        });
        for i in 0..20 {
            let parts = parts(&m, &x.row(i).to_owned());
            let sum: f64 = parts.iter().map(|p| p.0).sum();
            let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-11 * (1.0 + b.abs()), "{a} {b}");
            near(l[i], 0.75 + sum.ln());
            for j in 0..d {
                let pull: f64 = parts.iter().map(|(w, y)| -w / sum * y[j]).sum();
                near(g[(i, j)], pull);
            }
            (0..K).for_each(|k| near(p[(i, k)], parts[k].0 / sum));
        }
    }
}

/// Log densities and gradients of the rows of `x` at `level`, each from calls of their own and from
/// one for both, whose bits must agree.
fn evaluate(m: &GaussianMixture, level: SimdLevel, x: ArrayView2<'_, f64>) -> Vec<Vec<u64>> {
    let (n, d) = x.dim();
    let (mut l, mut g) = (Array1::zeros(n), Array2::zeros((n, d)));
    let (mut l_alone, mut g_alone) = (l.clone(), g.clone());
    let mut p = Array2::zeros((n, m.components()));
    let mut runtime = Runtime::new(5, 1).unwrap().with_simd(level);
    runtime.enter("test", 0, |cx| {
        m.eval(cx, x, Some(l.view_mut()), Some(g.view_mut()))
            .unwrap();
        m.eval(cx, x, Some(l_alone.view_mut()), None).unwrap();
        m.eval(cx, x, None, Some(g_alone.view_mut())).unwrap();
        m.responsibilities(cx, x, p.view_mut()).unwrap();
    });
    let bits = |v: &f64| if v.is_nan() { u64::MAX } else { v.to_bits() };
    assert!(l.iter().zip(&l_alone).all(|(a, b)| bits(a) == bits(b)));
    assert!(g.iter().zip(&g_alone).all(|(a, b)| bits(a) == bits(b)));
    (0..n)
        .map(|i| {
            let row = std::iter::once(&l[i]).chain(g.row(i)).chain(p.row(i));
            row.map(bits).collect()
        })
        .collect()
}

#[test]
fn the_bits_of_a_row_depend_on_neither_its_place_nor_its_neighbours() {
    for (d, m) in [1, 2, 3, 8, 13, 18]
        .into_iter()
        .flat_map(|d| mixtures(d).map(|m| (d, m)))
    {
        // Neighbours near and far, some without mass, some that are no numbers.
        let x = Array2::from_shape_fn((48, d), |(i, j)| match i % 12 {
            3 => 1e3 * number(i + j),
            5 => 1e200,
            7 => f64::NAN,
            9 => f64::INFINITY,
            _ => 6.0 * number(1000 + i * d + j),
        });
        for level in SimdLevel::available() {
            let alone: Vec<_> = x
                .axis_chunks_iter(Axis(0), 1)
                .map(|row| evaluate(&m, level, row).remove(0))
                .collect();
            for n in 1..=40 {
                for first in 0..8 {
                    let rows = x.slice(ndarray::s![first..first + n, ..]);
                    let got = evaluate(&m, level, rows);
                    assert_eq!(
                        got,
                        alone[first..first + n],
                        "{level}, d {d}, {n} from {first}"
                    );
                }
            }
        }
    }
}

#[test]
fn levels_agree_but_for_roundings_and_those_that_do_not_fuse_to_the_bit() {
    for m in mixtures(9) {
        let x = Array2::from_shape_fn((30, 9), |(i, j)| 6.0 * number(2000 + i * 9 + j));
        let baseline = evaluate(&m, SimdLevel::baseline(), x.view());
        for level in SimdLevel::available() {
            let got = evaluate(&m, level, x.view());
            if level.name() == "sse4.2" {
                assert_eq!(got, baseline);
            }
            for (a, b) in got.iter().flatten().zip(baseline.iter().flatten()) {
                let (a, b) = (f64::from_bits(*a), f64::from_bits(*b));
                assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()), "{level}: {a} {b}");
            }
        }
    }
}

#[test]
fn many_components_are_summed_in_chunks_to_the_same_values() {
    // Their order decides in which chunk the nearest are, and whether a later one takes over.
    const MANY: usize = 300;
    let d = 2;
    let mean = |k: usize| [0.4 * k as f64 - 60.0, 3.0 * number(k)];
    let make = |order: &dyn Fn(usize) -> usize, form: usize| {
        let w = Array1::from_shape_fn(MANY, |k| 1.0 + order(k) as f64);
        let means = Array2::from_shape_fn((MANY, d), |(k, j)| mean(order(k))[j]);
        let v = |k: usize| 0.5 + (order(k) % 3) as f64;
        match form {
            0 => GaussianMixture::isotropic(w, means, Array1::from_shape_fn(MANY, v)),
            1 => {
                GaussianMixture::diagonal(w, means, Array2::from_shape_fn((MANY, d), |(k, _)| v(k)))
            }
            _ => GaussianMixture::dense(
                w,
                means,
                Array3::from_shape_fn((MANY, d, d), |(k, i, j)| if i == j { v(k) } else { 0.0 }),
            ),
        }
        .unwrap()
    };
    let x = Array2::from_shape_fn((40, d), |(i, j)| [3.3 * i as f64 - 66.0, number(i)][j]);
    let naive = |x: ArrayView1<'_, f64>| {
        let sum: f64 = (0..MANY).map(|k| (1 + k) as f64).sum();
        let parts: Vec<(f64, f64)> = (0..MANY)
            .map(|k| {
                let v = 0.5 + (k % 3) as f64;
                let e = [x[0] - mean(k)[0], x[1] - mean(k)[1]];
                let q = (e[0] * e[0] + e[1] * e[1]) / v;
                (
                    (1 + k) as f64 / sum * (-0.5 * q).exp() / (TAU * v),
                    -e[0] / v,
                )
            })
            .collect();
        let total: f64 = parts.iter().map(|p| p.0).sum();
        let pull: f64 = parts.iter().map(|p| p.0 * p.1).sum();
        (total.ln(), pull / total)
    };
    for (what, order) in [
        ("up", &(|k| k) as &dyn Fn(usize) -> usize),
        ("down", &|k| MANY - 1 - k),
        ("mixed", &|k| k * 77 % MANY),
    ] {
        for form in 0..3 {
            let m = make(order, form);
            let (mut l, mut g) = (Array1::zeros(40), Array2::zeros((40, d)));
            with_cx(|cx| m.eval(cx, x.view(), Some(l.view_mut()), Some(g.view_mut()))).unwrap();
            for i in 0..40 {
                let (want_l, want_g) = naive(x.row(i));
                assert!(
                    (l[i] - want_l).abs() < 1e-11,
                    "{what} {form}: {} {want_l}",
                    l[i]
                );
                assert!(
                    (g[(i, 0)] - want_g).abs() < 1e-10,
                    "{what} {form}: {g} {want_g}"
                );
            }
        }
    }
}

#[test]
fn far_away_nothing_underflows_and_beyond_the_numbers_there_is_no_mass() {
    for m in mixtures(3) {
        // The nearest component decides; its log density is −5·10⁷ or less.
        let x = array![[1e4, 0.0, 0.0], [1e200, 0.0, 0.0], [f64::NAN, 0.0, 0.0]];
        let (mut l, mut g) = (Array1::zeros(3), Array2::zeros((3, 3)));
        let mut p = Array2::zeros((3, K));
        with_cx(|cx| {
            m.eval(cx, x.view(), Some(l.view_mut()), Some(g.view_mut()))
                .unwrap();
            m.responsibilities(cx, x.view(), p.view_mut()).unwrap();
        });
        assert!(l[0] < -1e7 && l[0].is_finite() && g[(0, 0)] < -1e3);
        assert!((p.row(0).sum() - 1.0).abs() < 1e-14);
        assert!(p.row(0).iter().all(|p| *p == 0.0 || p.is_normal()));
        assert!(l[1] == f64::NEG_INFINITY && g.row(1).iter().all(|g| *g == 0.0));
        assert!(l[2].is_nan() && g.row(2).iter().all(|g| g.is_nan()));
    }
}

#[test]
fn moments_are_those_of_draws_and_the_first_draws_do_not_depend_on_n() {
    for m in mixtures(3) {
        let n = 40_000;
        let draw = |threads: usize, n: usize| {
            let mut x = Array2::zeros((n, 3));
            let mut rt = Runtime::new(9, threads).unwrap();
            rt.enter("test", 0, |cx| m.sample(cx, x.view_mut()))
                .unwrap();
            x
        };
        let x = draw(1, n);
        assert_eq!(x, draw(2, n));
        assert_eq!(x.slice(ndarray::s![..999, ..]), draw(1, 999));
        let (mean, covariance) = (m.mean(), m.covariance());
        assert!(
            (covariance.diag().to_owned() - m.variance())
                .iter()
                .all(|e| e.abs() < 1e-12)
        );
        let check = |values: Vec<f64>, truth: f64| {
            let mean = values.iter().sum::<f64>() / n as f64;
            let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
            let z = (mean - truth) / (var / n as f64).sqrt();
            assert!(z.abs() < 4.5, "{mean} is {z} standard errors from {truth}");
        };
        for i in 0..3 {
            check(x.column(i).to_vec(), mean[i]);
            for j in 0..=i {
                let product = |r: ndarray::ArrayView1<'_, f64>| (r[i] - mean[i]) * (r[j] - mean[j]);
                check(
                    x.rows().into_iter().map(product).collect(),
                    covariance[(i, j)],
                );
            }
        }
        // Each component gets its share.
        let mut p = Array2::zeros((n, K));
        with_cx(|cx| m.responsibilities(cx, x.view(), p.view_mut())).unwrap();
        for k in 0..K {
            check(p.column(k).to_vec(), m.weights()[k]);
        }
    }
}

#[test]
fn noised_laws_are_those_of_noised_draws_and_reuse_their_memory() {
    for m in mixtures(2) {
        let (alpha, sigma2) = (-0.6, 0.37);
        let noised = m.noised(alpha, sigma2).unwrap();
        for k in 0..K {
            let want = matrix(&m, k) * (alpha * alpha) + Array2::<f64>::eye(2) * sigma2;
            assert!((matrix(&noised, k) - want).iter().all(|e| e.abs() < 1e-15));
        }
        assert_eq!(noised.means(), &(m.means() * alpha));
        assert_eq!((noised.weights(), noised.log_scale()), (m.weights(), 0.75));
        // Factors are those of a mixture made from the new covariances.
        let fresh = GaussianMixture::new(
            m.weights().clone(),
            noised.means().clone(),
            noised.covariances().clone(),
        )
        .unwrap()
        .with_log_scale(0.75)
        .unwrap();
        let at = |m: &GaussianMixture| {
            let mut l = Array1::zeros(1);
            with_cx(|cx| m.eval(cx, array![[0.3, -1.1]].view(), Some(l.view_mut()), None)).unwrap();
            l[0]
        };
        assert!((at(&fresh) - at(&noised)).abs() < 1e-13);
        for mut out in mixtures(2).into_iter().chain(mixtures(3)) {
            m.noised_into(alpha, sigma2, &mut out).unwrap();
            assert_eq!(out, noised);
        }
        assert_eq!(m.noised(1.0, 0.0).unwrap(), m);
        for (alpha, sigma2) in [
            (f64::NAN, 1.0),
            (1.0, -1.0),
            (1.0, f64::INFINITY),
            (0.0, 0.0),
        ] {
            assert!(matches!(
                m.noised(alpha, sigma2),
                Err(Error::Argument { .. })
            ));
        }
    }
}

#[test]
fn points_have_draws_and_noised_laws_but_no_density() {
    let points =
        GaussianMixture::points(array![1.0, 3.0], array![[1.0, 2.0], [-1.0, 0.5]]).unwrap();
    assert!(!points.has_density() && !points.has_gradient());
    assert_eq!(points.mean(), array![-0.5, 0.875]);
    assert_eq!(points.variance(), array![0.75, 0.421_875]);
    let mut x = Array2::zeros((500, 2));
    with_cx(|cx| {
        points.sample(cx, x.view_mut()).unwrap();
        let mut l = Array1::zeros(500);
        let error = points.eval(cx, x.view(), Some(l.view_mut()), None);
        assert!(matches!(error, Err(Error::Missing { .. })));
    });
    assert!(
        x.rows()
            .into_iter()
            .all(|r| points.means().rows().into_iter().any(|m| m == r))
    );
    let share = x.column(0).iter().filter(|v| **v == 1.0).count() as f64 / 500.0;
    assert!(
        (share - 0.25).abs() < 4.5 * (0.25 * 0.75 / 500.0f64).sqrt(),
        "{share}"
    );
    let noised = points.noised(0.5, 2.0).unwrap();
    assert_eq!(
        noised.covariances(),
        &Covariances::Isotropic(array![2.0, 2.0])
    );
    assert!(noised.has_density() && points.noised(0.5, 0.0).is_err());
}

#[test]
fn mistakes_are_named() {
    let two = || array![[0.0, 0.0], [1.0, 1.0]];
    let message = |m: crate::Result<GaussianMixture>| m.unwrap_err().to_string();
    let isotropic =
        |w: Array1<f64>, v: Array1<f64>| message(GaussianMixture::isotropic(w, two(), v));
    let one = || array![1.0, 1.0];
    assert!(isotropic(array![1.0, 0.0], one()).contains("`weights[1]` is 0"));
    assert!(isotropic(array![1.0], one()).contains("`weights` is a list of 1 numbers"));
    assert!(isotropic(one(), array![1.0, -2.0]).contains("`covariances[1]` is -2"));
    assert!(isotropic(one(), array![1.0]).contains("`covariances` is 1, but must be 2"));
    let dense = |c: [[f64; 2]; 2]| {
        let c = Array3::from_shape_fn((2, 2, 2), |(k, i, j)| {
            if k == 0 {
                c[i][j]
            } else {
                f64::from(u8::from(i == j))
            }
        });
        message(GaussianMixture::dense(one(), two(), c))
    };
    assert!(dense([[1.0, 2.0], [2.0, 1.0]]).contains("`covariances[0]` is not positive definite"));
    assert!(dense([[1.0, 0.1], [0.2, 1.0]]).contains("`covariances[0][0][1]` is 0.1"));
    assert!(dense([[f64::NAN, 0.1], [0.1, 1.0]]).contains("is NaN"));
    let means = array![[0.0], [f64::INFINITY]];
    let m = GaussianMixture::diagonal(one(), means, array![[1.0], [1.0]]);
    assert!(message(m).contains("`means[1][0]` is inf"));
    // Huge weights are normalised all the same.
    let m = GaussianMixture::isotropic(array![1e308, 1e308], two(), one()).unwrap();
    assert_eq!(m.weights(), array![0.5, 0.5]);
}
