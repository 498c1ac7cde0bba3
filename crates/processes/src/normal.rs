//! The normal distribution function far into its tails.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

/// ln Φ(z).
pub(crate) fn log_cdf(z: f64) -> f64 {
    if z > -20.0 {
        // Near 1 the complement keeps the digits.
        return if z > 0.0 {
            (-0.5 * libm::erfc(z * FRAC_1_SQRT_2)).ln_1p()
        } else {
            (0.5 * libm::erfc(-z * FRAC_1_SQRT_2)).ln()
        };
    }
    // Φ(z) = φ(z)/|z| (1 − 1/z² + 3/z⁴ − 15/z⁶ + …); at −20 six terms reach 1e-12 of the value,
    // which is e⁻²⁰³: 1e-14 of its logarithm.
    let q = 1.0 / (z * z);
    let series = 1.0 - q * (1.0 - 3.0 * q * (1.0 - 5.0 * q * (1.0 - 7.0 * q * (1.0 - 9.0 * q))));
    -0.5 * z * z - (-z).ln() - 0.5 * TAU.ln() + series.ln()
}

/// The z with ln Φ(z) = `l`, l ≤ ln ½ for full precision.
pub(crate) fn quantile_of_log(l: f64) -> f64 {
    if l == f64::NEG_INFINITY {
        return l;
    }
    // ln Φ is concave and increasing: Newton's method from the left converges from below.
    let mut z = if l < -3.0 {
        let first = -(-2.0 * l).sqrt();
        -(-2.0 * l - TAU.ln() - 2.0 * (-first).ln()).max(0.0).sqrt() - 0.5
    } else {
        -std::f64::consts::SQRT_2
            * statrs::function::erf::erfc_inv(2.0 * l.exp())
                .abs()
                .min(40.0)
            * (0.5 - l.exp()).signum()
    };
    for _ in 0..50 {
        let value = log_cdf(z);
        let slope = (-0.5 * z * z - 0.5 * TAU.ln() - value).exp();
        let step = (value - l) / slope;
        if !step.is_finite() {
            break;
        }
        z -= step;
        if step.abs() <= 1e-15 * (1.0 + z.abs()) {
            break;
        }
    }
    z
}

/// The z with Φ(z) = p.
pub(crate) fn quantile(p: f64) -> f64 {
    if p <= 0.5 {
        quantile_of_log(p.ln())
    } else {
        -quantile_of_log((1.0 - p).ln())
    }
}

/// z from the logarithms of the two tails at x, ln P(· ≤ x) and ln P(· > x).
pub(crate) fn quantile_of_tails(lower: f64, upper: f64) -> f64 {
    if lower <= upper {
        quantile_of_log(lower)
    } else {
        -quantile_of_log(upper)
    }
}

/// The root in x of an increasing function with ln-tails: the x at which the tail that is the lesser
/// for `z` has the logarithm it has for a standard normal at z. `tails` gives ln P(· ≤ x) and
/// ln P(· > x), `start` and `spread` a place to look from and a width. x lies above `least`.
pub(crate) fn invert(
    z: f64,
    least: f64,
    start: f64,
    spread: f64,
    tails: impl Fn(f64) -> (f64, f64),
) -> f64 {
    if !z.is_finite() {
        return if z == f64::NEG_INFINITY { least } else { z };
    }
    let want = log_cdf(-z.abs());
    // Positive where x is too high.
    let excess = |x: f64| {
        let (lower, upper) = tails(x);
        if z <= 0.0 { lower - want } else { want - upper }
    };
    let (mut lo, mut hi, mut width) = (start, start, spread);
    while excess(lo) > 0.0 && lo > least {
        lo = if lo - width > least {
            lo - width
        } else {
            // Towards a finite end by halves.
            least + 0.25 * (lo - least)
        };
        width *= 2.0;
    }
    width = spread;
    while excess(hi) < 0.0 && hi < f64::MAX / 4.0 {
        hi += width;
        width *= 2.0;
    }
    // Bisection steps where the secant through the ends (regula falsi, Illinois) is slow.
    let (mut a, mut b) = (excess(lo), excess(hi));
    for i in 0..200 {
        if a == 0.0 || hi - lo <= 4e-16 * hi.abs().max(lo.abs()) {
            return lo;
        }
        if b == 0.0 {
            return hi;
        }
        let secant = lo - a * (hi - lo) / (b - a);
        let x = if i % 3 < 2 && secant > lo && secant < hi {
            secant
        } else {
            0.5 * (lo + hi)
        };
        if x <= lo || x >= hi {
            break;
        }
        let v = excess(x);
        if v <= 0.0 {
            (lo, a) = (x, v);
            b *= 0.5;
        } else {
            (hi, b) = (x, v);
            a *= 0.5;
        }
    }
    0.5 * (lo + hi)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_of_the_distribution_function() {
        // mpmath: log(ncdf(z)).
        for (z, want) in [
            (-40.0, -804.608_442_013_753_8),
            (-10.0, -53.231_285_150_512_47),
            (-1.0, -1.841_021_645_009_263_5),
            (3.0, -0.001_350_809_964_748_193_8),
        ] {
            assert!(
                (log_cdf(z) / want - 1.0).abs() < 1e-13,
                "{z}: {}",
                log_cdf(z)
            );
        }
        // No step where the series takes over.
        let step = log_cdf(-20.0 - 1e-12) - log_cdf(-20.0 + 1e-12);
        assert!(step.abs() < 1e-10, "{step}");
    }

    #[test]
    fn quantiles_come_back() {
        for z in [-150.0, -37.0, -20.01, -5.0, -2.5, -1.0, -0.3, -1e-9, 0.0] {
            let back = quantile_of_log(log_cdf(z));
            assert!((back - z).abs() < 1e-13 * (1.0 + z.abs()), "{z}: {back}");
            let x = invert(z, f64::NEG_INFINITY, 3.0, 0.1, |x| {
                (log_cdf(x), log_cdf(-x))
            });
            assert!((x - z).abs() < 1e-13 * (1.0 + z.abs()), "{z}: {x}");
            let x = invert(-z, f64::NEG_INFINITY, 3.0, 0.1, |x| {
                (log_cdf(x), log_cdf(-x))
            });
            assert!((x + z).abs() < 1e-13 * (1.0 + z.abs()), "{z}: {x}");
        }
    }
}
