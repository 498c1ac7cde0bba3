//! exp and ln of vectors, by polynomials.
//!
//! exp x = 2ⁿ eʳ with n = round(x / ln 2), |r| ≤ ½ ln 2 and eʳ = 1 + r + r² q(r), q of degree 9 with relative
//! error 4·10⁻¹⁸. ln x = e ln 2 + ln(1 + f) with 1 + f in [√½, √2), s = f / (2 + f) and
//! ln(1 + f) = f − (f²/2 − s (f²/2 + s² p(s²))), p of degree 6 with error 2·10⁻¹⁸ (the form of fdlibm). The
//! coefficients are minimax ones, found with 60 digits by the exchange algorithm of Remez.
//!
//! Every lane is treated alike, so a number's result does not depend on its neighbours. Results
//! depend on the level by a rounding, where it fuses multiplication and addition.

use fearless_simd::prelude::*;

/// 3·2⁵¹ + 1023: added to a number below 2⁵¹ it leaves that number's nearest integer, plus the bias
/// of an exponent, in the lowest bits.
const MAGIC: f64 = 6_755_399_441_055_744.0 + 1023.0;
const LOG2_E: f64 = std::f64::consts::LOG2_E;
/// 33 bits of ln 2, so that products with exponents are exact, and the rest.
const LN_2_HIGH: f64 = 0.693_147_180_485_539_1;
const LN_2_LOW: f64 = 7.440_617_110_012_397e-11;
const EXP: [f64; 10] = [
    0.500_000_000_000_001_1,
    0.166_666_666_666_664_13,
    0.041_666_666_666_530_06,
    0.008_333_333_333_494_595,
    0.001_388_888_894_366_118_5,
    0.000_198_412_695_063_630_4,
    2.480_149_306_288_293_7e-5,
    2.755_758_649_760_221_6e-6,
    2.763_026_242_633_645_6e-7,
    2.500_004_494_302_102_3e-8,
];
const LN: [f64; 7] = [
    0.666_666_666_666_673_4,
    0.399_999_999_994_141_9,
    0.285_714_287_425_201_9,
    0.222_221_985_575_954_43,
    0.181_835_652_277_323_9,
    0.153_140_253_524_192_36,
    0.147_962_216_469_201_57,
];

/// Results of [`exp`] that would be smaller than this one's are 0.
const EXP_LOWEST: f64 = -708.0;
/// The largest number with a finite exponential.
const EXP_HIGHEST: f64 = 709.782_712_893_384;

/// n + the rest of it in [`MAGIC`]'s lowest bits, and eʳ.
#[inline(always)]
fn reduced_exp<S: Simd>(s: S, x: S::f64s) -> (S::f64s, S::f64s) {
    let c = |i: usize| S::f64s::splat(s, EXP[i]);
    let t = x.mul_add(LOG2_E, MAGIC);
    let n = t - MAGIC;
    let r = n.mul_add(-LN_2_HIGH, x);
    let r = n.mul_add(-LN_2_LOW, r);
    // Pairs first (Estrin): half the latency of Horner's scheme for two more products.
    let r2 = r * r;
    let r4 = r2 * r2;
    let low = r.mul_add(c(3), c(2)).mul_add(r2, r.mul_add(c(1), c(0)));
    let high = r.mul_add(c(7), c(6)).mul_add(r2, r.mul_add(c(5), c(4)));
    let top = r.mul_add(c(9), c(8));
    let q = top.mul_add(r4, high).mul_add(r4, low);
    (t, q.mul_add(r2, r) + 1.0)
}

/// exp x to 2 units in the last place. Overflow gives ∞; below −708, before results could be
/// subnormal, it is 0.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::f64s) -> S::f64s {
    let (t, y) = reduced_exp(s, x);
    // The exponents are added, not the powers multiplied: 2¹⁰²⁴ is no number.
    let bits = y.bitcast::<S::u64s>() + (t.bitcast::<S::u64s>() << 52);
    let y: S::f64s = (bits - (1023 << 52)).bitcast();
    let limit = |v: f64| S::f64s::splat(s, v);
    let y = x.simd_gt(EXP_HIGHEST).select(limit(f64::INFINITY), y);
    let y = x.simd_lt(EXP_LOWEST).select(limit(0.0), y);
    x.is_nan().select(x, y)
}

/// exp x of log weights x ≤ 0 relative to the largest: exactly 0 below −700.
#[inline(always)]
pub(crate) fn exp_weight<S: Simd>(s: S, x: S::f64s) -> S::f64s {
    let (t, y) = reduced_exp(s, x);
    let power: S::f64s = (t.bitcast::<S::u64s>() << 52).bitcast();
    let zero = S::f64s::splat(s, 0.0);
    x.simd_lt(crate::numeric::LOG_WEIGHT_FLOOR)
        .select(zero, y * power)
}

/// ln x to 2 units in the last place, of all numbers: −∞ at 0, NaN below.
#[inline(always)]
pub(crate) fn ln<S: Simd>(s: S, x: S::f64s) -> S::f64s {
    const SQRT_HALF: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
    /// 2⁵² as bits: with an integer in the lowest places it is 2⁵² + that integer.
    const TWO_52: u64 = 0x433 << 52;
    let c = |i: usize| S::f64s::splat(s, LN[i]);
    let constant = |v: f64| S::f64s::splat(s, v);
    let subnormal = x.simd_lt(f64::MIN_POSITIVE);
    let scaled = subnormal.select(x * 2f64.powi(54), x);
    let lost = subnormal.select(constant(54.0), constant(0.0));
    // The exponent is raised by 1024, so that it is positive, and taken off again.
    let bits = scaled.bitcast::<S::u64s>();
    let e = (bits + ((1024 << 52) - SQRT_HALF)) >> 52;
    let f: S::f64s = (bits + (1024 << 52) - (e << 52)).bitcast();
    let f = f - 1.0;
    let e = (e | TWO_52).bitcast::<S::f64s>() - (2f64.powi(52) + 1024.0) - lost;
    let half_square = f * f * 0.5;
    let ratio = f / (f + 2.0);
    let z = ratio * ratio;
    let z2 = z * z;
    let low = z.mul_add(c(1), c(0));
    let high = z.mul_add(c(5), c(4)).mul_add(z2, z.mul_add(c(3), c(2)));
    let p = (z2 * c(6)).mul_add(z2, high).mul_add(z2, low) * z;
    let small = (half_square + p).mul_add(ratio, e * LN_2_LOW);
    let y = e.mul_add(LN_2_HIGH, f - (half_square - small));
    let y = x.simd_eq(f64::INFINITY).select(x, y);
    let y = x.simd_eq(0.0).select(constant(f64::NEG_INFINITY), y);
    x.simd_ge(0.0).select(y, constant(f64::NAN))
}
