//! Distances between Gaussians, and between samples through the Gaussians fitted to them.
//!
//! Source: Dowson & Landau (1982), J. Multivar. Anal. 12, 450 (W₂); Kullback (1959), Information Theory and Statistics.
//!
//! W₂² = |m₁ − m₂|² + tr(S₁ + S₂ − 2 (S₁^½ S₂ S₁^½)^½)
//!
//! KL(1 ‖ 2) = ½ [tr(S₂⁻¹ S₁) + (m₂ − m₁)ᵀ S₂⁻¹ (m₂ − m₁) − d + ln(det S₂/det S₁)]
//!
//! With S = L Lᵀ the trace of the root is the sum of the singular values of L₁ᵀ L₂, which one-sided Jacobi rotations
//! give to full relative accuracy (Demmel & Veselić 1992); no square root of a matrix is taken.
//!
//! # Cost
//! O(n d²) for a fit, O(d³) for a distance.

use crate::points::{Rows, same, wrong};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use retrograde_core::{Error, Result};

const NAME: &str = "Gaussian";

/// A normal law N(m, S), perhaps of lower rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    mean: Array1<f64>,
    covariance: Array2<f64>,
    /// L with S = L Lᵀ; columns of directions without spread are zero.
    factor: Array2<f64>,
}

impl Gaussian {
    /// The law of that mean (d) and covariance (d × d).
    ///
    /// # Errors
    /// [`Error::Shape`] when they do not fit, [`Error::Argument`] for a number that is not finite or a covariance that
    /// is not symmetric and positive semidefinite (to rounding).
    pub fn new(mean: Array1<f64>, covariance: Array2<f64>) -> Result<Self> {
        let d = mean.len();
        Rows::new(NAME, "mean", mean.view().insert_axis(Axis(0)))?;
        same(NAME, "`covariance`", "rows", d, covariance.nrows())?;
        same(NAME, "`covariance`", "columns", d, covariance.ncols())?;
        Rows::new(NAME, "covariance", covariance.view())?;
        for ((i, j), v) in covariance.indexed_iter() {
            let other = covariance[(j, i)];
            if (v - other).abs() > 1e-12 * v.abs().max(other.abs()) {
                let argument = format!("covariance[{i}][{j}]");
                let allowed = format!("equal to covariance[{j}][{i}] = {other}");
                return Err(wrong(NAME, argument, v, allowed));
            }
        }
        let factor = semidefinite_factor(&covariance)?;
        Ok(Self {
            mean,
            covariance,
            factor,
        })
    }

    /// The law with the mean and the covariance (divisor n − 1) of the points.
    ///
    /// # Shapes
    /// `x`: (n, d), n ≥ 2.
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer than two points, [`Error::Argument`] for a number that is not finite.
    pub fn fit(x: ArrayView2<'_, f64>) -> Result<Self> {
        let rows = Rows::new(NAME, "x", x)?;
        let (n, d) = (rows.len(), rows.dim());
        if n < 2 {
            return Err(Error::shape(NAME, "`x`", "at least 2 rows", "1 row"));
        }
        let mean: Array1<f64> = x
            .axis_iter(Axis(1))
            .map(|column| crate::chains::mean(column.iter()))
            .collect();
        let mut centred = rows.view().to_owned();
        centred -= &mean;
        let product = centred.t().dot(&centred);
        // The product is symmetric but for rounding.
        let covariance = Array2::from_shape_fn((d, d), |(i, j)| {
            product[(i.max(j), i.min(j))] / (n - 1) as f64
        });
        Self::new(mean, covariance)
    }

    /// Mean; length d.
    #[must_use]
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// Covariance; d × d.
    #[must_use]
    pub fn covariance(&self) -> &Array2<f64> {
        &self.covariance
    }

    /// Returns W₂² to `other`, the Bures distance of the covariances included. Defined for any rank.
    ///
    /// # Errors
    /// [`Error::Shape`] for another dimension.
    pub fn wasserstein_2_squared(&self, other: &Self) -> Result<f64> {
        same(
            NAME,
            "the other mean",
            "numbers",
            self.mean.len(),
            other.mean.len(),
        )?;
        let shift = &self.mean - &other.mean;
        let traces = self.covariance.diag().sum() + other.covariance.diag().sum();
        let root = sum_of_singular_values(self.factor.t().dot(&other.factor));
        Ok((shift.dot(&shift) + traces - 2.0 * root).max(0.0))
    }

    /// Returns KL(self ‖ other), in nats.
    ///
    /// # Errors
    /// [`Error::Shape`] for another dimension, [`Error::Argument`] when a covariance is singular.
    pub fn kl(&self, other: &Self) -> Result<f64> {
        let d = self.mean.len();
        same(NAME, "the other mean", "numbers", d, other.mean.len())?;
        for (law, which) in [(self, "covariance"), (other, "the other covariance")] {
            if law.factor.diag().iter().any(|v| *v == 0.0) {
                return Err(wrong(NAME, which, "singular", "positive definite"));
            }
        }
        let mut right = Array2::zeros((d, d + 1));
        right.slice_mut(ndarray::s![.., ..d]).assign(&self.factor);
        right.column_mut(d).assign(&(&other.mean - &self.mean));
        // L₂⁻¹ [L₁, m₂ − m₁], whose squares sum to both terms.
        for i in 0..d {
            let (known, mut rest) = right.view_mut().split_at(Axis(0), i);
            let mut row = rest.row_mut(0);
            for (k, known) in known.rows().into_iter().enumerate() {
                row.scaled_add(-other.factor[(i, k)], &known);
            }
            row /= other.factor[(i, i)];
        }
        let squares: f64 = right.iter().map(|v| v * v).sum();
        let log_ratio: f64 = (0..d)
            .map(|i| (other.factor[(i, i)] / self.factor[(i, i)]).ln())
            .sum();
        Ok(0.5 * (squares - d as f64) + log_ratio)
    }
}

/// Lower L with L Lᵀ = `a`; a pivot that is zero to rounding leaves a column of zeros.
fn semidefinite_factor(a: &Array2<f64>) -> Result<Array2<f64>> {
    let d = a.nrows();
    let largest = a.diag().fold(0.0, |m: f64, v| m.max(*v));
    let rounding = 16.0 * d as f64 * f64::EPSILON * largest;
    let mut l = Array2::<f64>::zeros((d, d));
    for j in 0..d {
        let pivot = a[(j, j)] - l.row(j).dot(&l.row(j));
        if pivot < -rounding {
            let what = format!("indefinite (pivot {pivot} in row {j})");
            return Err(wrong(NAME, "covariance", what, "positive semidefinite"));
        }
        let scale = if pivot > rounding {
            pivot.sqrt().recip()
        } else {
            0.0
        };
        for i in j..d {
            let rest = a[(i, j)] - l.row(i).dot(&l.row(j));
            // A negative 2 × 2 minor with no pivot to show it.
            if scale == 0.0 && i > j && rest.abs() > (rounding * largest).sqrt() * 4.0 {
                let what = format!("indefinite (rows {j} and {i})");
                return Err(wrong(NAME, "covariance", what, "positive semidefinite"));
            }
            l[(i, j)] = rest * scale;
        }
    }
    Ok(l)
}

/// Σ σᵢ of a square matrix: its columns are rotated in pairs until they are orthogonal; their lengths are the σᵢ.
fn sum_of_singular_values(matrix: Array2<f64>) -> f64 {
    let d = matrix.ncols();
    // Columns of the matrix as rows in memory.
    let mut columns: Vec<Vec<f64>> = matrix
        .axis_iter(Axis(1))
        .map(|column| column.to_vec())
        .collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    // It converges quadratically: some ten sweeps at most.
    for _ in 0..60 {
        let mut rotated = false;
        for i in 1..d {
            let (before, here) = columns.split_at_mut(i);
            let b = &mut here[0];
            for a in before.iter_mut() {
                let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
                if ab.abs() <= f64::EPSILON * (aa * bb).sqrt() {
                    continue;
                }
                rotated = true;
                let zeta = (bb - aa) / (2.0 * ab);
                let t = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                let s = c * t;
                for (a, b) in a.iter_mut().zip(b.iter_mut()) {
                    (*a, *b) = (c * *a - s * *b, s * *a + c * *b);
                }
            }
        }
        if !rotated {
            break;
        }
    }
    columns.iter().map(|c| dot(c, c).sqrt()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::samples::{cloud, x, y};
    use crate::test_chains::assert_close;
    use ndarray::array;

    #[test]
    fn known_values() {
        let (a, b) = (
            Gaussian::fit(x().view()).unwrap(),
            Gaussian::fit(y().view()).unwrap(),
        );
        assert_close(
            a.wasserstein_2_squared(&b).unwrap(),
            0.443_995_686_514_57,
            1e-10,
        );
        assert_close(a.kl(&b).unwrap(), 0.566_345_398_510_82, 1e-10);
        let p = Gaussian::new(array![0.0], array![[1.0]]).unwrap();
        let q = Gaussian::new(array![0.5], array![[1.44]]).unwrap();
        assert_close(p.kl(&q).unwrap(), 0.116_349_334_571_73, 1e-10);
        assert_close(q.kl(&p).unwrap(), 0.162_678_443_206_05, 1e-10);
        assert_close(
            p.wasserstein_2_squared(&q).unwrap().sqrt(),
            0.538_516_480_713_45,
            1e-10,
        );
    }

    /// Commuting covariances: W₂² = |m₁ − m₂|² + Σ (√λᵢ − √μᵢ)² in the common eigenvectors, and KL is a sum.
    #[test]
    fn covariances_with_common_eigenvectors() {
        let (s, c) = (0.6, 0.8);
        let q = array![[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]];
        let turned = |l: [f64; 3]| {
            q.dot(&Array2::from_diag(&Array1::from(l.to_vec())))
                .dot(&q.t())
        };
        let symmetric = |m: Array2<f64>| (&m + &m.t()) / 2.0;
        let (l, m) = ([1e-8, 4.0, 9.0], [1.0, 1e-6, 25.0]);
        let a = Gaussian::new(array![1.0, 2.0, 3.0], symmetric(turned(l))).unwrap();
        let b = Gaussian::new(array![0.0, 0.0, 1.0], symmetric(turned(m))).unwrap();
        let bures: f64 = l
            .iter()
            .zip(m)
            .map(|(l, m)| (l.sqrt() - m.sqrt()).powi(2))
            .sum();
        assert_close(a.wasserstein_2_squared(&b).unwrap(), 9.0 + bures, 1e-9);
        assert_close(b.wasserstein_2_squared(&a).unwrap(), 9.0 + bures, 1e-9);
        let shift = q.t().dot(&array![-1.0, -2.0, -2.0]);
        let kl: f64 = (0..3)
            .map(|i| 0.5 * (l[i] / m[i] + shift[i].powi(2) / m[i] - 1.0 + (m[i] / l[i]).ln()))
            .sum();
        // The condition of b is 2.5e7.
        assert_close(a.kl(&b).unwrap(), kl, 1e-7);
    }

    #[test]
    fn scale_shift_and_order_of_the_points() {
        let (x, y) = (cloud(60, 4, 1), cloud(50, 4, 2) * 1.5 + 0.2);
        let w = |x: &Array2<f64>, y: &Array2<f64>| {
            let (a, b) = (
                Gaussian::fit(x.view()).unwrap(),
                Gaussian::fit(y.view()).unwrap(),
            );
            (a.wasserstein_2_squared(&b).unwrap(), a.kl(&b).unwrap())
        };
        let plain = w(&x, &y);
        let moved = w(&(&x * 3.0 - 2.0), &(&y * 3.0 - 2.0));
        assert_close(moved.0, 9.0 * plain.0, 1e-10);
        assert_close(moved.1, plain.1, 1e-10);
        let turned = x.slice(ndarray::s![..;-1, ..]).to_owned();
        assert_close(w(&turned, &y).0, plain.0, 1e-10);
        assert!(w(&x, &x).0 < 1e-12 && w(&x, &x).1.abs() < 1e-12);
    }

    #[test]
    fn laws_of_lower_rank_have_a_distance_but_no_kl() {
        // All mass on the first axis against all mass on the second: W₂² is the sum of the variances.
        let a = Gaussian::new(array![0.0, 0.0], array![[4.0, 0.0], [0.0, 0.0]]).unwrap();
        let b = Gaussian::new(array![0.0, 0.0], array![[0.0, 0.0], [0.0, 9.0]]).unwrap();
        assert_close(a.wasserstein_2_squared(&b).unwrap(), 13.0, 1e-14);
        assert_close(a.wasserstein_2_squared(&a).unwrap() + 1.0, 1.0, 1e-14);
        let told = b.kl(&a).unwrap_err().to_string();
        assert_eq!(
            told,
            "Gaussian: `covariance` is singular, but must be positive definite"
        );
        // Three points in five dimensions.
        let x = cloud(3, 5, 7);
        let fitted = Gaussian::fit(x.view()).unwrap();
        let shifted = Gaussian::fit((&x + 1.0).view()).unwrap();
        assert!((fitted.wasserstein_2_squared(&shifted).unwrap() - 5.0).abs() < 1e-6);
    }

    #[test]
    fn bad_input_is_told() {
        let told = |mean: Array1<f64>, covariance: Array2<f64>| {
            Gaussian::new(mean, covariance).unwrap_err().to_string()
        };
        let m = array![0.0, 0.0];
        assert!(told(m.clone(), array![[1.0]]).contains("1 rows, expected 2 rows"));
        assert!(told(m.clone(), array![[1.0, 0.5], [0.4, 1.0]]).contains("covariance[1][0] = 0.4"));
        assert!(told(m.clone(), array![[1.0, 2.0], [2.0, 1.0]]).contains("indefinite"));
        assert!(told(m.clone(), array![[0.0, 1.0], [1.0, 0.0]]).contains("indefinite"));
        assert!(told(m, array![[1.0, f64::NAN], [f64::NAN, 1.0]]).contains("NaN"));
        assert!(told(array![], Array2::zeros((0, 0))).contains("`mean` has 1 × 0"));
        let one = Gaussian::fit(array![[1.0]].view()).unwrap_err().to_string();
        assert_eq!(one, "Gaussian: `x` has 1 row, expected at least 2 rows");
    }
}
