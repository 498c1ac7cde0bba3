//! Modified Bessel functions of the first kind, of real order ν ≥ 0, scaled.
//!
//! I_ν(z) = (z/2)^ν Σₖ (z²/4)ᵏ / (k! Γ(ν + k + 1)); for large z,
//! I_ν(z) = e^z/√(2πz) Σₖ (−1)ᵏ aₖ(ν)/zᵏ,   aₖ = Πⱼ (4ν² − (2j − 1)²) / (k! 8ᵏ),  j = 1..k
//!
//! Source: NIST Digital Library of Mathematical Functions, 10.25.2 and 10.40.1.

use super::TAU;

/// ln [(2/z)^ν e^{−z} I_ν(z)] and I_{ν+1}(z)/I_ν(z), for z ≥ 0.
pub(super) fn scaled(nu: f64, z: f64) -> (f64, f64) {
    if z > 50.0 && z > (nu + 1.0) * (nu + 1.0) {
        let (a, b) = (asymptotic(nu, z), asymptotic(nu + 1.0, z));
        return (a.ln() - 0.5 * (TAU * z).ln() + nu * (2.0 / z).ln(), b / a);
    }
    let q = 0.25 * z * z;
    // The largest term, and from there both ways: all terms are positive.
    let peak = (0.5 * ((nu * nu + z * z).sqrt() - nu)).floor().max(0.0);
    let (mut sum, mut weighted) = (0.0, 0.0);
    let mut add = |term: f64, k: f64| {
        sum += term;
        // I_{ν+1}/I_ν = (z/2) Σ terms/(ν + k + 1) / Σ terms.
        weighted += term / (nu + k + 1.0);
        term > 1e-18 * sum
    };
    let (mut term, mut k) = (1.0, peak);
    while add(term, k) {
        k += 1.0;
        term *= q / (k * (nu + k));
    }
    (term, k) = (1.0, peak);
    while k >= 1.0 {
        term *= k * (nu + k) / q;
        k -= 1.0;
        if !add(term, k) {
            break;
        }
    }
    let log_peak = if peak > 0.0 {
        peak * q.ln() - libm::lgamma(peak + 1.0) - libm::lgamma(nu + peak + 1.0)
    } else {
        -libm::lgamma(nu + 1.0)
    };
    (log_peak + sum.ln() - z, 0.5 * z * weighted / sum)
}

fn asymptotic(nu: f64, z: f64) -> f64 {
    let (mut term, mut sum) = (1.0f64, 1.0);
    for k in 1..60 {
        let odd = f64::from(2 * k - 1);
        let next = -term * (4.0 * nu * nu - odd * odd) / (8.0 * f64::from(k) * z);
        // The series diverges in the end.
        if next.abs() >= term.abs() || next == 0.0 {
            break;
        }
        term = next;
        sum += term;
        if term.abs() < 1e-17 {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn known_values() {
        // mpmath: log((2/z)**nu * exp(-z) * besseli(nu, z)), besseli(nu+1, z)/besseli(nu, z).
        for (nu, z, log, ratio) in KNOWN {
            let (l, r) = scaled(nu, z);
            assert!(
                (l - log).abs() < 2e-14 * log.abs().max(1.0),
                "{nu} {z}: {l} {log}"
            );
            assert!(
                (r - ratio).abs() < 2e-14 * ratio.max(1e-3),
                "{nu} {z}: {r} {ratio}"
            );
        }
        assert_eq!(scaled(0.5, 0.0).1, 0.0);
    }

    const KNOWN: [(f64, f64, f64, f64); 8] = [
        (
            0.0,
            0.1,
            -0.097_501_560_766_123_76,
            0.049_937_603_987_938_92,
        ),
        (0.3, 1.0, -0.706_984_312_524_392_5, 0.355_799_180_859_184_9),
        (2.125, 7.0, -4.880_889_789_223_669, 0.674_817_231_341_941_8),
        (2.125, 49.9, -9.752_978_278_743_724, 0.948_268_642_306_502_2),
        (2.125, 50.1, -9.763_304_226_817_015, 0.948_471_611_162_468_8),
        (
            2.125,
            3000.0,
            -20.463_426_695_597_68,
            0.999_125_237_058_171_1,
        ),
        (12.5, 150.0, -57.914_296_689_240_51, 0.916_817_194_287_566_8),
        (
            30.0,
            900.5,
            -188.114_318_070_318_18,
            0.966_685_175_074_299_5,
        ),
    ];
}
