//! Distances on the line: Wasserstein with and without weights, to the standard normal, and Kolmogorov–Smirnov.
//!
//! Source: Villani (2009), Optimal Transport, ch. 2 (on the line the quantile coupling is optimal); Kolmogorov (1933).
//!
//! W_p^p = ∫₀¹ |F⁻¹(u) − G⁻¹(u)|^p du
//!
//! To N(0, 1), with z sorted, eᵢ = Φ⁻¹(i/n) and φ the normal density,
//!
//! W₂² = 1 + Σ z²/n − 2 Σ zᵢ [φ(eᵢ₋₁) − φ(eᵢ)]
//!
//! exactly, for ∫ Φ⁻¹(u) du over a cell is a difference of φ.
//!
//! # Cost
//! One sort of each sample.

use crate::points::{finite, same, weights};
use crate::transport::Order;
use ndarray::ArrayView1;
use retrograde_core::Result;
use statrs::distribution::{Continuous, ContinuousCDF, Normal};

const NAME: &str = "Wasserstein on the line";

/// Returns W_p between two samples on the line, of any sizes.
///
/// # Shapes
/// `x`: (n), `y`: (m).
///
/// # Errors
/// [`retrograde_core::Error::Argument`] for no points and for one that is not finite.
///
/// # Example
/// ```
/// use retrograde_metrics::{Order, wasserstein_1d};
/// let (x, y) = (ndarray::array![0.0, 1.0], ndarray::array![3.0, 2.0, 2.0, 3.0]);
/// assert_eq!(wasserstein_1d(x.view(), y.view(), Order::One)?, 2.0);
/// # Ok::<(), retrograde_core::Error>(())
/// ```
pub fn wasserstein_1d(x: ArrayView1<'_, f64>, y: ArrayView1<'_, f64>, order: Order) -> Result<f64> {
    finite(NAME, "x", x)?;
    finite(NAME, "y", y)?;
    Ok(order.root(between_sorted(&sorted(x), &sorted(y), order)))
}

/// W_p^p between samples in ascending order.
pub(crate) fn between_sorted(x: &[f64], y: &[f64], order: Order) -> f64 {
    let (n, m) = (x.len() as f64, y.len() as f64);
    if x.len() == y.len() {
        let costs = x.iter().zip(y).map(|(x, y)| order.cost((x - y) * (x - y)));
        return costs.sum::<f64>() / n;
    }
    // Masses m and n in place of 1/n and 1/m: whole numbers, whose differences are exact.
    let weigh = |v: &[f64], w: f64| v.iter().map(|v| (*v, w)).collect::<Vec<_>>();
    coupled(&weigh(x, m), &weigh(y, n), order) / (n * m)
}

/// Returns W_p between two weighted samples on the line.
///
/// # Shapes
/// `x`, `x_weights`: (n), `y`, `y_weights`: (m); weights ≥ 0, of any positive sum.
///
/// # Errors
/// [`retrograde_core::Error::Shape`] for a different number of points and weights,
/// [`retrograde_core::Error::Argument`] for no points, a number that is not finite, a negative weight or none above 0.
pub fn wasserstein_1d_weighted(
    x: ArrayView1<'_, f64>,
    x_weights: ArrayView1<'_, f64>,
    y: ArrayView1<'_, f64>,
    y_weights: ArrayView1<'_, f64>,
    order: Order,
) -> Result<f64> {
    let weighted = |name: &str, v: ArrayView1<'_, f64>, w: ArrayView1<'_, f64>| {
        let list = format!("{name}_weights");
        finite(NAME, name, v)?;
        same(NAME, &format!("`{list}`"), "numbers", v.len(), w.len())?;
        let sum = weights(NAME, &list, w)?;
        let mut pairs: Vec<(f64, f64)> = v.iter().zip(w).map(|(v, w)| (*v, w / sum)).collect();
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        Ok::<_, retrograde_core::Error>(pairs)
    };
    let (x, y) = (weighted("x", x, x_weights)?, weighted("y", y, y_weights)?);
    Ok(order.root(coupled(&x, &y, order)))
}

/// Σ mass · |x − y|^p of the quantile coupling of sorted (value, mass) pairs of equal total mass.
fn coupled(x: &[(f64, f64)], y: &[(f64, f64)], order: Order) -> f64 {
    let (mut left, mut right) = (x.iter(), y.iter());
    let (mut a, mut b) = (left.next().copied(), right.next().copied());
    let mut sum = 0.0;
    while let (Some((x, p)), Some((y, q))) = (a, b) {
        let mass = p.min(q);
        sum += mass * order.cost((x - y) * (x - y));
        // What rounding leaves over at the end has no partner and no weight.
        a = if p > mass {
            Some((x, p - mass))
        } else {
            left.next().copied()
        };
        b = if q > mass {
            Some((y, q - mass))
        } else {
            right.next().copied()
        };
    }
    sum
}

/// Returns W₂ between a sample and N(0, 1), by the exact quantile integral.
///
/// # Shapes
/// `z`: (n).
///
/// # Errors
/// As [`wasserstein_1d`].
pub fn wasserstein_2_to_normal(z: ArrayView1<'_, f64>) -> Result<f64> {
    finite("W2 to the standard normal", "z", z)?;
    let (normal, n) = (Normal::standard(), z.len() as f64);
    let mut below = 0.0;
    let (mut squares, mut overlap) = (0.0, 0.0);
    for (i, z) in sorted(z).into_iter().enumerate() {
        let upper = (i + 1) as f64 / n;
        let above = if upper < 1.0 {
            normal.pdf(normal.inverse_cdf(upper))
        } else {
            0.0
        };
        squares += z * z;
        overlap += z * (below - above);
        below = above;
    }
    Ok((1.0 + squares / n - 2.0 * overlap).max(0.0).sqrt())
}

/// Returns the Kolmogorov–Smirnov distance sup |Fₙ − F| between a sample and a continuous law.
///
/// # Shapes
/// `x`: (n); `cdf` is the distribution function F.
///
/// # Errors
/// As [`wasserstein_1d`].
pub fn kolmogorov_smirnov(x: ArrayView1<'_, f64>, cdf: impl Fn(f64) -> f64) -> Result<f64> {
    finite("Kolmogorov-Smirnov", "x", x)?;
    let n = x.len() as f64;
    let gaps = sorted(x).into_iter().enumerate().map(|(i, x)| {
        let f = cdf(x);
        (f - i as f64 / n).max((i + 1) as f64 / n - f)
    });
    // Not `f64::max`, which would hide a NaN of the function.
    Ok(gaps.fold(0.0, |m, gap| if gap > m || gap.is_nan() { gap } else { m }))
}

/// Returns the Kolmogorov–Smirnov distance between a sample and N(0, 1).
///
/// # Shapes
/// `z`: (n).
///
/// # Errors
/// As [`wasserstein_1d`].
pub fn kolmogorov_smirnov_to_normal(z: ArrayView1<'_, f64>) -> Result<f64> {
    // The erfc of `statrs` has eleven digits, that of `libm` all.
    kolmogorov_smirnov(z, |x| {
        0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
    })
}

fn sorted(x: ArrayView1<'_, f64>) -> Vec<f64> {
    let mut x = x.to_vec();
    x.sort_unstable_by(f64::total_cmp);
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::samples::{x_1d, y_1d};
    use crate::test_chains::{assert_close, normals};
    use ndarray::{Array1, array};

    #[test]
    fn known_values() {
        let (x, y) = (x_1d(), y_1d());
        let w = |order| wasserstein_1d(x.view(), y.view(), order).unwrap();
        assert_close(w(Order::One), 0.3, 1e-10);
        assert_close(w(Order::Two), 0.306_594_194_335_12, 1e-10);
        let weights = array![0.1, 0.2, 0.3, 0.25, 0.15];
        let uniform = Array1::from_elem(5, 2.0);
        let w = |order| {
            let all = (x.view(), weights.view(), y.view(), uniform.view());
            wasserstein_1d_weighted(all.0, all.1, all.2, all.3, order).unwrap()
        };
        assert_close(w(Order::One), 0.425, 1e-10);
        assert_close(w(Order::Two), 0.507_444_578_254_61, 1e-10);
        assert_close(
            wasserstein_2_to_normal(x.view()).unwrap(),
            0.433_818_792_441_81,
            1e-10,
        );
        assert_close(
            kolmogorov_smirnov_to_normal(x.view()).unwrap(),
            0.188_144_601_416_6,
            1e-10,
        );
    }

    #[test]
    fn order_scale_weights_and_sizes() {
        let mut next = normals(3);
        let x = Array1::from_shape_simple_fn(30, &mut next);
        let y = Array1::from_shape_simple_fn(20, &mut next) + 0.4;
        for order in [Order::One, Order::Two] {
            let w = |x: &Array1<f64>, y: &Array1<f64>| {
                wasserstein_1d(x.view(), y.view(), order).unwrap()
            };
            let plain = w(&x, &y);
            assert_close(
                w(&(&x * -3.0 + 1.0), &(&y * -3.0 + 1.0)),
                3.0 * plain,
                1e-12,
            );
            assert_eq!(w(&x.iter().rev().copied().collect(), &y), plain);
            assert_eq!(w(&y, &x), plain);
            // Each point twice is the same law, and so are equal weights.
            let twice: Array1<f64> = x.iter().chain(&x).copied().collect();
            assert_close(w(&twice, &y), plain, 1e-12);
            let (wx, wy) = (Array1::ones(30), Array1::ones(20));
            let weighted =
                wasserstein_1d_weighted(x.view(), wx.view(), y.view(), wy.view(), order).unwrap();
            assert_close(weighted, plain, 1e-12);
            // A weight of zero is a point that is not there.
            let mut wx = wx;
            wx[7] = 0.0;
            let without: Array1<f64> = x
                .iter()
                .enumerate()
                .filter(|(i, _)| *i != 7)
                .map(|(_, x)| *x)
                .collect();
            let weighted =
                wasserstein_1d_weighted(x.view(), wx.view(), y.view(), wy.view(), order).unwrap();
            assert_close(weighted, w(&without, &y), 1e-12);
            assert_eq!(w(&x, &x), 0.0);
        }
    }

    #[test]
    fn to_the_normal_it_is_the_limit_of_fine_quantiles() {
        let z = x_1d();
        let n = 200_000_usize;
        let normal = Normal::standard();
        let fine: Array1<f64> = (0..n)
            .map(|i| normal.inverse_cdf((i as f64 + 0.5) / n as f64))
            .collect();
        let limit = wasserstein_1d(z.view(), fine.view(), Order::Two).unwrap();
        assert_close(wasserstein_2_to_normal(z.view()).unwrap(), limit, 1e-4);
        assert!(wasserstein_2_to_normal(fine.view()).unwrap() < 1e-2);
        assert!(kolmogorov_smirnov_to_normal(fine.view()).unwrap() < 1e-5);
    }

    #[test]
    fn bad_input_is_told() {
        let none: Array1<f64> = array![];
        let one = array![1.0];
        let error = wasserstein_1d(none.view(), one.view(), Order::One).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Wasserstein on the line: `x` is empty, but must be at least one number"
        );
        let weigh = |w: Array1<f64>| {
            let all = (one.view(), w.view(), one.view(), one.view());
            wasserstein_1d_weighted(all.0, all.1, all.2, all.3, Order::One)
                .unwrap_err()
                .to_string()
        };
        assert!(weigh(array![-1.0]).contains("`x_weights[0]` is -1, but must be at least 0"));
        assert!(weigh(array![0.0]).contains("of sum 0"));
        assert!(weigh(array![1.0, 2.0]).contains("`x_weights` has 2 numbers, expected 1"));
        assert!(kolmogorov_smirnov_to_normal(array![f64::NAN].view()).is_err());
        assert!(
            kolmogorov_smirnov(one.view(), |_| f64::NAN)
                .unwrap()
                .is_nan()
        );
    }
}
