//! Sums of exponentials that neither overflow nor produce subnormal weights.
//!
//! Those over slices use vectors at the baseline level, so that they give the same bits at every
//! [`SimdLevel`](crate::SimdLevel).

pub use crate::factors::cholesky;
use crate::simd::reduce::{weigh, weight_sums};

/// Relative weights below e⁻⁷⁰⁰ are exactly 0: as subnormals they would slow every product with
/// them several times over and change no result.
pub const LOG_WEIGHT_FLOOR: f64 = -700.0;

/// ln Σ exp(vᵢ), by subtracting the maximum. −∞ for an empty or all −∞ slice, NaN if one is NaN.
#[must_use]
pub fn log_sum_exp(values: &[f64]) -> f64 {
    let max = max(values);
    if !max.is_finite() {
        return max;
    }
    max + weight_sums(values, max).0.ln()
}

/// ln of the mean of exp(vᵢ).
#[must_use]
pub fn log_mean_exp(values: &[f64]) -> f64 {
    log_sum_exp(values) - (values.len() as f64).ln()
}

/// Overwrites log weights by weights that sum to 1 and returns ln of their sum before. If all are
/// −∞ (or one is NaN) the weights are left as zeros (or NaN).
pub fn softmax_in_place(values: &mut [f64]) -> f64 {
    let max = max(values);
    if !max.is_finite() {
        values.fill(if max.is_nan() { f64::NAN } else { 0.0 });
        return max;
    }
    let sum = weigh(values, max);
    values.iter_mut().for_each(|v| *v /= sum);
    max + sum.ln()
}

/// (Σw)²/Σw² of weights given by their logarithms; 0 if there is no weight at all.
#[must_use]
pub fn effective_sample_size(log_weights: &[f64]) -> f64 {
    let max = max(log_weights);
    if !max.is_finite() {
        return if max.is_nan() { f64::NAN } else { 0.0 };
    }
    let (s1, s2) = weight_sums(log_weights, max);
    s1 * s1 / s2
}

/// exp of a log weight relative to the largest one, 0 below the floor.
#[inline]
#[must_use]
pub fn relative_weight(v: f64) -> f64 {
    if v < LOG_WEIGHT_FLOOR { 0.0 } else { v.exp() }
}

/// The largest value; NaN if there is one, +∞ counts as NaN (no weight is infinite).
fn max(values: &[f64]) -> f64 {
    let m = values.iter().fold(
        f64::NEG_INFINITY,
        |m, &v| if v > m || v.is_nan() { v } else { m },
    );
    let nan = m == f64::INFINITY || values.iter().any(|v| v.is_nan());
    if nan { f64::NAN } else { m }
}

/// ln(1 + eˣ) without overflow.
#[inline]
#[must_use]
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// 1 / (1 + e⁻ˣ) without overflow.
#[inline]
#[must_use]
pub fn sigmoid(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    (if x >= 0.0 { 1.0 } else { e }) / (1.0 + e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn log_sum_exp_shifts_and_matches_the_naive_sum(
            v in prop::collection::vec(-30.0..30.0f64, 1..40), shift in -1e6..1e6f64
        ) {
            let naive = v.iter().map(|x| x.exp()).sum::<f64>().ln();
            prop_assert!((log_sum_exp(&v) - naive).abs() < 1e-12 * (1.0 + naive.abs()));
            let moved: Vec<f64> = v.iter().map(|x| x + shift).collect();
            prop_assert!((log_sum_exp(&moved) - shift - naive).abs() < 1e-9);
        }

        #[test]
        fn softmax_sums_to_one(mut v in prop::collection::vec(-2000.0..2000.0f64, 1..40)) {
            let z = log_sum_exp(&v);
            prop_assert_eq!(softmax_in_place(&mut v), z);
            prop_assert!((v.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(v.iter().all(|w| *w == 0.0 || w.is_normal()));
        }
    }

    #[test]
    fn corner_cases() {
        assert_eq!(log_sum_exp(&[]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY; 3]), f64::NEG_INFINITY);
        assert!(log_sum_exp(&[0.0, f64::NAN]).is_nan());
        assert!(log_sum_exp(&[f64::NAN, 0.0]).is_nan());
        assert!(log_sum_exp(&[f64::INFINITY]).is_nan());
        assert_eq!(effective_sample_size(&[f64::NEG_INFINITY; 2]), 0.0);
        assert!((effective_sample_size(&[-3.0; 8]) - 8.0).abs() < 1e-12);
        assert_eq!(softplus(1000.0), 1000.0);
        assert_eq!(softplus(-1000.0), 0.0);
        assert_eq!(
            (sigmoid(1000.0), sigmoid(-1000.0), sigmoid(0.0)),
            (1.0, 0.0, 0.5)
        );
    }
}
