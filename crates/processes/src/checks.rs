//! Checks of settings.

use retrograde_core::{Error, Result};

/// [`Error::Setting`] unless `good`.
pub(crate) fn setting<A: Into<String>>(
    name: &str,
    key: &str,
    given: f64,
    good: bool,
    allowed: impl FnOnce() -> A,
) -> Result {
    if good {
        return Ok(());
    }
    Err(Error::setting(name, key, given, allowed()))
}

/// [`Error::Setting`] unless `value` is finite and > 0.
pub(crate) fn positive(name: &str, key: &str, value: f64) -> Result {
    let good = value > 0.0 && value.is_finite();
    setting(name, key, value, good, || "a number above 0")
}

/// [`Error::Setting`] unless `value` is finite and ≥ 0.
pub(crate) fn non_negative(name: &str, key: &str, value: f64) -> Result {
    let good = value >= 0.0 && value.is_finite();
    setting(name, key, value, good, || "0 or a number above it")
}

/// 1 − e^{−x}, without cancellation.
pub(crate) fn minus_expm1(x: f64) -> f64 {
    -(-x).exp_m1()
}

/// x − (1 − e^{−x}) for x ≥ 0, to full relative precision.
pub(crate) fn exp_tail(x: f64) -> f64 {
    if x > 0.5 {
        return x - minus_expm1(x);
    }
    // x²/2 − x³/6 + …, from the last term that counts to the first.
    let terms = (3..=17)
        .rev()
        .fold(1.0, |sum, k| 1.0 - x / f64::from(k) * sum);
    0.5 * x * x * terms
}

/// −ln(1 − x) − x for 0 ≤ x < 1, to full relative precision.
pub(crate) fn log_tail(x: f64) -> f64 {
    if x > 0.1 {
        return -(-x).ln_1p() - x;
    }
    // x²/2 + x³/3 + …
    let sum = (2..=20)
        .rev()
        .fold(0.0, |sum, k| sum * x + f64::from(k).recip());
    x * x * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_do_not_cancel() {
        // Computed with 40 digits.
        for (x, exp, log) in [
            (1e-12, 4.999_999_999_998_333e-25, 5.000_000_000_003_333e-25),
            (1e-3, 4.998_333_749_916_681e-7, 5.003_335_835_335_002e-7),
            (0.0999, 0.004_827_906_302_101_07, 0.005_349_410_719_097_487),
            (0.1001, 0.004_846_938_818_192_264, 0.005_371_632_942_234_203),
            (0.499, 0.106_137_493_738_789_63, 0.192_149_177_897_272_25),
            (0.501, 0.106_924_432_217_187_47, 0.194_149_183_230_618_4),
        ] {
            assert!(
                (exp_tail(x) / exp - 1.0).abs() < 2e-15,
                "{x}: {}",
                exp_tail(x)
            );
            assert!(
                (log_tail(x) / log - 1.0).abs() < 5e-15,
                "{x}: {}",
                log_tail(x)
            );
        }
    }
}
