//! Integrals in one dimension, for normalising constants and moments that have no closed form.

/// Positive nodes and weights of the Gauss–Legendre rule with ten points on [−1, 1].
const RULE: [(f64, f64); 5] = [
    (0.148_874_338_981_631_21, 0.295_524_224_714_752_87),
    (0.433_395_394_129_247_2, 0.269_266_719_309_996_35),
    (0.679_409_568_299_024_4, 0.219_086_362_515_982_04),
    (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
    (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
];

/// ∫ f over [lo, hi] by ten Gauss–Legendre points in each of `panels` equal parts: exact to rounding
/// for analytic functions whose features are no narrower than a panel.
pub(crate) fn integrate(lo: f64, hi: f64, panels: usize, f: impl Fn(f64) -> f64) -> f64 {
    let half = 0.5 * (hi - lo) / panels as f64;
    let panel = |i: usize| {
        let middle = lo + half * (2 * i + 1) as f64;
        RULE.iter()
            .map(|(x, w)| w * (f(middle - half * x) + f(middle + half * x)))
            .sum::<f64>()
    };
    half * (0..panels).map(panel).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::integrate;

    #[test]
    fn known_integrals() {
        // A polynomial of degree 19 is exact in one panel.
        assert!(
            (integrate(0.0, 2.0, 1, |x| x.powi(19)) / (2f64.powi(20) / 20.0) - 1.0).abs() < 1e-14
        );
        let gauss = integrate(-9.0, 9.0, 18, |x| (-0.5 * x * x).exp());
        assert!((gauss / std::f64::consts::TAU.sqrt() - 1.0).abs() < 1e-14);
        assert!((integrate(0.0, 40.0, 40, |x| x * (-x).exp()) - 1.0).abs() < 1e-14);
    }
}
