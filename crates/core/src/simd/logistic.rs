//! The logistic function and the integral of it, over the margins of a regression.

use super::math::{exp_weight, ln};
use super::{SimdLevel, dispatch};
use fearless_simd::prelude::*;

/// Factors 1 + exp(−|m|) ≤ 2 of a lane whose product is taken before one logarithm.
const FACTORS: usize = 16;

/// Overwrites margins m by σ(−m) = 1/(1 + eᵐ), to 4 units in the last place, and gives
/// Σ ln(1 + e⁻ᵐ). What is below e⁻⁷⁰⁰ is 0. A NaN makes the sum NaN.
///
/// Of each term of the sum the part ln(1 + exp(−|m|)) comes from a product of a few; each factor is
/// wrong by half a unit in the last place of 1, which is no more than a sum of terms above 1 loses.
pub fn logistic_losses(level: SimdLevel, margins: &mut [f64]) -> f64 {
    dispatch!(level.level(), s => losses(s, margins))
}

#[inline(always)]
fn losses<S: Simd>(s: S, margins: &mut [f64]) -> f64 {
    let l = S::f64s::LEN;
    let (zero, one) = (S::f64s::splat(s, 0.0), S::f64s::splat(s, 1.0));
    let (mut linear, mut logarithms) = (zero, zero);
    for few in margins.chunks_mut(FACTORS * l) {
        let mut product = one;
        let mut whole = few.chunks_exact_mut(l);
        for chunk in &mut whole {
            let m = S::f64s::from_slice(s, chunk);
            let (factor, sigma) = parts(s, m);
            product *= factor;
            linear += (-m).max(zero);
            sigma.store_slice(chunk);
        }
        let rest = whole.into_remainder();
        if !rest.is_empty() {
            // An infinite margin adds nothing.
            let mut m = S::f64s::splat(s, f64::INFINITY);
            m.as_mut_slice()[..rest.len()].copy_from_slice(rest);
            let (factor, sigma) = parts(s, m);
            product *= factor;
            linear += (-m).max(zero);
            rest.copy_from_slice(&sigma.as_slice()[..rest.len()]);
        }
        // A NaN, which `max` may hide, stays in the product.
        logarithms += ln(s, product);
    }
    (linear + logarithms).reduce_sum()
}

/// 1 + exp(−|m|) and σ(−m).
#[inline(always)]
fn parts<S: Simd>(s: S, m: S::f64s) -> (S::f64s, S::f64s) {
    let e = exp_weight(s, -m.abs());
    let factor = e + 1.0;
    let above = m.simd_ge(0.0).select(e, S::f64s::splat(s, 1.0));
    (factor, above / factor)
}
