//! Sums of exponentials over a slice. They take the baseline level whatever the run's, so that
//! functions without a context give the same bits in every run on an architecture.

use super::math::exp_weight;
use fearless_simd::{Level, dispatch, prelude::*};

/// Σ w and Σ w² of the weights w = exp(v − `max`), 0 below the floor, of log weights v ≤ `max`.
pub(crate) fn weight_sums(values: &[f64], max: f64) -> (f64, f64) {
    dispatch!(Level::baseline(), s => sums(s, values, max))
}

/// Overwrites log weights v ≤ `max` by w = exp(v − `max`) and gives Σ w, in the order of
/// [`weight_sums`].
pub(crate) fn weigh(values: &mut [f64], max: f64) -> f64 {
    dispatch!(Level::baseline(), s => super::tile::map(
        s,
        values,
        #[inline(always)]
        |s, v| exp_weight(s, v - max),
    ));
    dispatch!(Level::baseline(), s => total(s, values))
}

#[inline(always)]
fn sums<S: Simd>(s: S, values: &[f64], max: f64) -> (f64, f64) {
    let l = S::f64s::LEN;
    let (mut one, mut two) = (S::f64s::splat(s, 0.0), S::f64s::splat(s, 0.0));
    let whole = values.chunks_exact(l);
    let rest = whole.remainder();
    let mut last = S::f64s::splat(s, f64::NEG_INFINITY);
    last.as_mut_slice()[..rest.len()].copy_from_slice(rest);
    for v in whole {
        let w = exp_weight(s, S::f64s::from_slice(s, v) - max);
        one += w;
        two += w * w;
    }
    let w = exp_weight(s, last - max);
    one += w;
    two += w * w;
    (one.reduce_sum(), two.reduce_sum())
}

/// The sum as [`sums`] takes it.
#[inline(always)]
fn total<S: Simd>(s: S, values: &[f64]) -> f64 {
    let whole = values.chunks_exact(S::f64s::LEN);
    let mut last = S::f64s::splat(s, 0.0);
    let rest = whole.remainder();
    last.as_mut_slice()[..rest.len()].copy_from_slice(rest);
    let mut sum = S::f64s::splat(s, 0.0);
    for v in whole {
        sum += S::f64s::from_slice(s, v);
    }
    (sum + last).reduce_sum()
}
