//! Kernel Stein discrepancy: how far points are from a law of which only the score is known.
//!
//! Source: Liu, Lee & Jordan (2016), arXiv:1602.03253; Gorham & Mackey (2017), arXiv:1703.01717, for the inverse
//! multiquadric kernel, with which it detects what does not converge.
//!
//! With s = ∇ log p, k = b^β, b = c² + r², r² = |D|², D = x − y,
//!
//! k_p(x, y) = s(x)·s(y) b^β + 2β b^(β−1) D·(s(y) − s(x)) − 2β d b^(β−1) − 4β(β − 1) r² b^(β−2)
//!
//! U: mean over i ≠ j, zero in expectation for points from p, and then often negative; V: mean over all i, j, never
//! negative.
//!
//! It is blind to wrong weights of modes that are far apart: look at the weights of the modes beside it.
//!
//! # Cost
//! n²/2 kernels of d operations, over threads; memory is one number a row. Above [`MAX_ROWS`] an evenly spaced part of
//! the points stands for them. The number of threads changes no bit.

use crate::mmd::MAX_ROWS;
use crate::points::{Rows, positive, same, sum_of_rows, wrong};
use ndarray::ArrayView2;
use retrograde_core::Result;

const NAME: &str = "KSD";

/// The inverse multiquadric kernel (c² + r²)^β.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SteinKernel {
    /// Length c > 0, in the unit of the points; 1 by default.
    pub c: f64,
    /// Exponent β in (−1, 0), outside of which convergence is not detected; −½ by default.
    pub beta: f64,
}

impl Default for SteinKernel {
    fn default() -> Self {
        Self { c: 1.0, beta: -0.5 }
    }
}

/// Both estimates of a squared kernel Stein discrepancy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SteinDiscrepancy {
    /// Mean over pairs of different points; NaN for a single one.
    pub u: f64,
    /// Mean over all pairs; never negative.
    pub v: f64,
}

/// Returns the squared kernel Stein discrepancy of points from the law with these scores.
///
/// # Shapes
/// `x`: (n, d); `scores`: (n, d), ∇ log p at the points.
///
/// # Errors
/// [`retrograde_core::Error::Shape`] for no points or scores of another shape, [`retrograde_core::Error::Argument`] for
/// a number that is not finite or a parameter out of its range.
pub fn kernel_stein(
    x: ArrayView2<'_, f64>,
    scores: ArrayView2<'_, f64>,
    kernel: SteinKernel,
) -> Result<SteinDiscrepancy> {
    positive(NAME, "c", kernel.c)?;
    if !(kernel.beta > -1.0 && kernel.beta < 0.0) {
        return Err(wrong(NAME, "beta", kernel.beta, "between -1 and 0"));
    }
    same(NAME, "`scores`", "rows", x.nrows(), scores.nrows())?;
    same(NAME, "`scores`", "columns", x.ncols(), scores.ncols())?;
    let x = Rows::new(NAME, "x", x)?.thinned(MAX_ROWS);
    let s = Rows::new(NAME, "scores", scores)?.thinned(MAX_ROWS);
    let n = x.len();
    let between = 2.0
        * sum_of_rows(n, |i| {
            let (xi, si) = (x.row(i), s.row(i));
            x.from(i + 1)
                .zip(s.from(i + 1))
                .map(|(xj, sj)| stein_kernel(kernel, xi, si, xj, sj))
                .sum()
        });
    let diagonal = sum_of_rows(n, |i| {
        stein_kernel(kernel, x.row(i), s.row(i), x.row(i), s.row(i))
    });
    let n = n as f64;
    Ok(SteinDiscrepancy {
        u: between / (n * (n - 1.0)),
        // Not negative but for rounding.
        v: ((between + diagonal) / (n * n)).max(0.0),
    })
}

/// k_p of the points x and y with scores s and t.
fn stein_kernel(kernel: SteinKernel, x: &[f64], s: &[f64], y: &[f64], t: &[f64]) -> f64 {
    let SteinKernel { c, beta } = kernel;
    let (mut r2, mut dot, mut along) = (0.0, 0.0, 0.0);
    for k in 0..x.len() {
        let difference = x[k] - y[k];
        r2 += difference * difference;
        dot += s[k] * t[k];
        along += difference * (t[k] - s[k]);
    }
    let b = c * c + r2;
    // Square roots are much cheaper than powers.
    let power = if beta == -0.5 {
        1.0 / b.sqrt()
    } else {
        b.powf(beta)
    };
    power
        * (dot + 2.0 * beta * (along - x.len() as f64) / b
            - 4.0 * beta * (beta - 1.0) * r2 / (b * b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::samples::{cloud, on_threads, x, y};
    use crate::test_chains::assert_close;
    use ndarray::{Array1, Array2, array, s};
    use retrograde_core::{GaussianMixture, Runtime, Target};

    fn mixture() -> GaussianMixture {
        let means = array![[-1.0, 0.0], [1.0, 0.5]];
        GaussianMixture::isotropic(array![0.4, 0.6], means, array![0.49, 0.49]).unwrap()
    }

    fn score_of(target: &dyn Target, x: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
        let (mut log, mut score) = (Array1::zeros(x.nrows()), Array2::zeros(x.raw_dim()));
        let mut runtime = Runtime::new(0, 1).unwrap();
        let outputs = (Some(log.view_mut()), Some(score.view_mut()));
        runtime
            .enter("test", 0, |cx| {
                target.eval(cx, x.view(), outputs.0, outputs.1)
            })
            .unwrap();
        (log, score)
    }

    fn ksd(x: &Array2<f64>, scores: &Array2<f64>) -> SteinDiscrepancy {
        kernel_stein(x.view(), scores.view(), SteinKernel::default()).unwrap()
    }

    #[test]
    fn known_values() {
        let check = |x: &Array2<f64>, scores: &Array2<f64>, u: f64, v: f64| {
            let found = ksd(x, scores);
            assert_close(found.u, u, 1e-10);
            assert_close(found.v, v, 1e-10);
        };
        check(&x(), &-x(), -0.377_704_033_833_75, 0.345_436_772_933);
        check(&y(), &-y(), -0.439_764_534_280_95, 0.344_188_372_575_24);
        let (log, s) = score_of(&mixture(), &x());
        check(&x(), &s, -0.357_047_167_209_96, 0.701_087_467_529_22);
        let (_, t) = score_of(&mixture(), &y());
        check(&y(), &t, -0.190_530_211_474_77, 0.947_897_210_438_85);

        let log_p = [
            -2.667_624_906_706_7,
            -1.712_269_499_257_1,
            -2.804_555_744_481_7,
            -4.207_463_072_051_2,
            -2.166_424_322_969,
        ];
        log.iter()
            .zip(log_p)
            .for_each(|(l, p)| assert_close(*l, p, 1e-10));
        assert!(
            (s[(0, 0)] - -0.050_938_36).abs() < 5e-9 && (s[(0, 1)] - 1.364_816_43).abs() < 5e-9
        );

        let one = |x: &Array2<f64>, s: &Array2<f64>, j: usize| {
            let row = |a: &Array2<f64>, i: usize| a.row(i).to_vec();
            let kernel = SteinKernel::default();
            stein_kernel(kernel, &row(x, 0), &row(s, 0), &row(x, j), &row(s, j))
        };
        assert_close(one(&x(), &-x(), 0), 2.17, 1e-10);
        assert_close(one(&x(), &-x(), 1), -0.358_135_920_087_97, 1e-10);
        assert_close(one(&x(), &s, 0), 3.865_318_606_379_2, 1e-10);
        assert_close(one(&x(), &s, 1), 0.128_295_897_531_74, 1e-10);
    }

    /// The terms of k_p by differences of k itself, at another exponent and length.
    #[test]
    fn the_kernel_is_stein_s_operator_applied_twice() {
        let kernel = SteinKernel { c: 1.3, beta: -0.7 };
        let (x, y, s, t) = ([0.3, -0.8], [-0.5, 0.4], [0.2, 1.1], [-0.9, 0.6]);
        let k = |x: [f64; 2], y: [f64; 2]| {
            let r2 = (x[0] - y[0]).powi(2) + (x[1] - y[1]).powi(2);
            (kernel.c * kernel.c + r2).powf(kernel.beta)
        };
        let h = 1e-4;
        let moved = |mut x: [f64; 2], j: usize, by: f64| {
            x[j] += by;
            x
        };
        let mut expected = k(x, y) * (s[0] * t[0] + s[1] * t[1]);
        for j in 0..2 {
            let (xp, xm, yp, ym) = (
                moved(x, j, h),
                moved(x, j, -h),
                moved(y, j, h),
                moved(y, j, -h),
            );
            expected += s[j] * (k(x, yp) - k(x, ym)) / (2.0 * h);
            expected += t[j] * (k(xp, y) - k(xm, y)) / (2.0 * h);
            expected += (k(xp, yp) - k(xp, ym) - k(xm, yp) + k(xm, ym)) / (4.0 * h * h);
        }
        assert!((stein_kernel(kernel, &x, &s, &y, &t) - expected).abs() < 1e-6);
    }

    #[test]
    fn it_tells_the_wrong_law_from_the_right_one() {
        let x = cloud(800, 2, 5);
        let n = x.nrows() as f64;
        // n U is of order one for the right law, and n times a constant for another.
        assert!((n * ksd(&x, &-&x).u).abs() < 8.0);
        assert!(n * ksd(&x, &-(&x - 0.3)).u > 20.0);
        assert!(n * ksd(&x, &(-&x / 2.0)).u > 20.0);
    }

    #[test]
    fn order_and_threads_change_nothing() {
        let x = cloud(301, 3, 4);
        let all = on_threads(|| ksd(&x, &-&x));
        assert!(all[0] == all[1] && all[0] == all[2] && all[0].v >= 0.0);
        let turned = x.slice(s![..;-1, ..]).to_owned();
        assert_close(ksd(&turned, &-&turned).v, all[0].v, 1e-10);
    }

    #[test]
    fn bad_input_is_told() {
        let told = |scores: &Array2<f64>, c: f64, beta: f64| {
            let kernel = SteinKernel { c, beta };
            kernel_stein(x().view(), scores.view(), kernel)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            told(&x(), -1.0, -0.5),
            "KSD: `c` is -1, but must be positive and finite"
        );
        assert_eq!(
            told(&x(), 1.0, 0.5),
            "KSD: `beta` is 0.5, but must be between -1 and 0"
        );
        let few = Array2::zeros((4, 2));
        assert_eq!(
            told(&few, 1.0, -0.5),
            "KSD: `scores` has 4 rows, expected 5 rows"
        );
        let nan = Array2::from_elem((5, 2), f64::NAN);
        assert!(told(&nan, 1.0, -0.5).contains("`scores[0][0]` is NaN"));
        assert!(ksd(&array![[1.0]], &array![[1.0]]).u.is_nan());
    }
}
