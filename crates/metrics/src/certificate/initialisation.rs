//! What is lost by starting from the prior in place of the noised law p_T.
//!
//! Source: Bakry, Gentil & Ledoux (2014), Analysis and Geometry of Markov Diffusion Operators, §5.2 (logarithmic
//! Sobolev inequality); the bound by moments is convexity of KL in its first argument.
//!
//! x_T = α x₀ + σ z in d dimensions, prior γ = N(0, v I).
//!
//! * moments alone: KL(p_T ‖ γ) ≤ E KL(N(α x₀, σ² I) ‖ γ) = ½ [(α² E|x₀|² + d σ²)/v − d + d ln(v/σ²)];
//!   for α = 1, v = σ² (VE) it is E|x₀|²/(2σ²)
//! * LSI, where γ is stationary (σ² = v (1 − α²)): KL(p_T ‖ γ) ≤ α² KL(p₀ ‖ γ), which is e^{−2T} KL(p₀ ‖ γ) for OU
//! * on the line, for mixtures: KL both ways, TV and W₂ by quadrature
//!
//! A deterministic exact flow keeps KL(γ ‖ p_T) to the end; stochastic samplers forget part of it.

use crate::law_1d::{Mixture1d, kl, total_variation, wasserstein};
use crate::points::wrong;
use crate::transport::Order;
use retrograde_core::Result;

const NAME: &str = "initialisation error";

/// Bound on KL(p_T ‖ N(0, v I)) from E|x₀|² alone, in nats; `alpha` and `sigma2` as of the last time, `prior_variance` v.
///
/// # Errors
/// [`retrograde_core::Error::Argument`] for a number that is not finite, σ² or v that is not positive, a negative
/// second moment, d = 0.
///
/// # Example
/// ```
/// // VE up to σ = 80, data of E|x₀|² = 0.326: E_I ≤ 0.326/12800.
/// let bound = retrograde_metrics::certificate::moment_bound(1.0, 6400.0, 6400.0, 0.326, 1)?;
/// assert!((bound / (0.326 / 12800.0) - 1.0).abs() < 1e-9);
/// # Ok::<(), retrograde_core::Error>(())
/// ```
pub fn moment_bound(
    alpha: f64,
    sigma2: f64,
    prior_variance: f64,
    second_moment: f64,
    dim: usize,
) -> Result<f64> {
    check(alpha, sigma2, prior_variance)?;
    if !(second_moment >= 0.0 && second_moment.is_finite()) {
        let allowed = "at least 0 and finite";
        return Err(wrong(NAME, "second moment", second_moment, allowed));
    }
    if dim == 0 {
        return Err(wrong(NAME, "dim", 0, "at least 1"));
    }
    // r − 1 − ln r with r = σ²/v, without cancellation near r = 1.
    let excess = (sigma2 - prior_variance) / prior_variance;
    let spread = excess - excess.ln_1p();
    let shift = alpha * alpha * second_moment / prior_variance;
    Ok(0.5 * (shift + dim as f64 * spread))
}

/// The numbers for a mixture on the line. All KL in nats.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Initialisation {
    /// KL(p_T ‖ γ), which enters the bounds of stochastic samplers.
    pub kl_to_prior: f64,
    /// KL(γ ‖ p_T), which an exact deterministic flow carries to its output.
    pub kl_from_prior: f64,
    /// TV(p_T, γ).
    pub total_variation: f64,
    /// W₂(p_T, γ), in the unit of x.
    pub wasserstein_2: f64,
    /// α² KL(p₀ ‖ γ) ≥ KL(p_T ‖ γ); none unless γ is stationary.
    pub lsi_bound: Option<f64>,
    /// [`moment_bound`] ≥ KL(p_T ‖ γ).
    pub moment_bound: f64,
}

/// Returns the error of starting from N(0, v) in place of the law of α x₀ + σ z, by quadrature.
///
/// # Errors
/// [`retrograde_core::Error::Argument`] for a number that is not finite, σ² or v that is not positive.
pub fn initialisation(
    target: &Mixture1d,
    alpha: f64,
    sigma2: f64,
    prior_variance: f64,
) -> Result<Initialisation> {
    check(alpha, sigma2, prior_variance)?;
    let last = target.noised(alpha, sigma2)?;
    let prior = Mixture1d::normal(0.0, prior_variance.sqrt())?;
    let gap = sigma2 - prior_variance * (1.0 - alpha * alpha);
    let stationary = gap.abs() <= 1e-12 * prior_variance;
    Ok(Initialisation {
        kl_to_prior: kl(&last, &prior)?,
        kl_from_prior: kl(&prior, &last)?,
        total_variation: total_variation(&last, &prior)?,
        wasserstein_2: wasserstein(&last, &prior, Order::Two)?,
        lsi_bound: if stationary {
            Some(alpha * alpha * kl(target, &prior)?)
        } else {
            None
        },
        moment_bound: moment_bound(alpha, sigma2, prior_variance, target.second_moment(), 1)?,
    })
}

fn check(alpha: f64, sigma2: f64, prior_variance: f64) -> Result {
    if !alpha.is_finite() {
        return Err(wrong(NAME, "alpha", alpha, "finite"));
    }
    for (name, v) in [("sigma2", sigma2), ("prior variance", prior_variance)] {
        if !(v > 0.0 && v.is_finite()) {
            return Err(wrong(NAME, name, v, "positive and finite"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law_1d::tests::gmm1;
    use crate::test_chains::assert_close;

    /// OU from 0.3 N(−2, 0.5²) + 0.7 N(1.5, 0.8²): T, KL both ways, TV, W₂, the bound by LSI.
    const TABLE: [(f64, [f64; 5]); 5] = [
        (
            0.5,
            [
                0.159_264_096_488_98,
                0.135_804_918_786_79,
                0.222_008_992_894_66,
                0.444_549_834_123_14,
                0.335_635_329_377_08,
            ],
        ),
        (
            1.0,
            [
                0.031_978_959_963_792,
                0.028_181_586_203_526,
                0.094_919_391_509_466,
                0.214_320_373_693_61,
                0.123_473_337_408_63,
            ],
        ),
        (
            2.0,
            [
                0.002_217_260_794_310_7,
                0.002_146_673_081_241_3,
                0.025_624_462_803_727,
                0.063_818_052_414_646,
                0.016_710_299_090_367,
            ],
        ),
        (
            3.0,
            [
                0.000_257_704_864_840_26,
                0.000_256_403_537_219_16,
                0.009_007_905_322_758_4,
                0.022_553_961_290_019,
                0.002_261_493_060_363_4,
            ],
        ),
        (
            5.0,
            [
                4.599_005_496_859_8e-6,
                4.598_568_198_418_8e-6,
                0.001_209_798_719_879_9,
                0.003_032_449_241_405_4,
                4.142_069_024_299_4e-5,
            ],
        ),
    ];

    #[test]
    fn ornstein_uhlenbeck_from_a_mixture() {
        let target = gmm1();
        let prior = Mixture1d::normal(0.0, 1.0).unwrap();
        assert_close(kl(&target, &prior).unwrap(), 0.912_351_416_834_58, 1e-12);
        for (t, [forward, backward, tv, w2, lsi]) in TABLE {
            let alpha = (-t).exp();
            let found = initialisation(&target, alpha, -(-2.0 * t).exp_m1(), 1.0).unwrap();
            // At T = 5 the terms of KL cancel to 5·10⁻⁶ of themselves.
            let rounding = 1e-15 / forward;
            assert_close(found.kl_to_prior, forward, 1e-10 + rounding);
            assert_close(found.kl_from_prior, backward, 1e-10 + rounding);
            assert_close(found.total_variation, tv, 1e-10);
            assert_close(found.wasserstein_2, w2, 1e-10);
            assert_close(found.lsi_bound.unwrap(), lsi, 1e-10);
            assert!(found.kl_to_prior <= found.moment_bound);
            assert!(found.kl_to_prior <= found.lsi_bound.unwrap());
            assert!(found.total_variation <= (0.5 * found.kl_to_prior).sqrt());
            // ½ [e^{−2T}(E x² − 1) − ln(1 − e^{−2T})], E x² = 3.0955 + 0.45².
            let (e, m) = ((-2.0 * t).exp(), 3.0955 + 0.45 * 0.45 - 1.0);
            assert_close(found.moment_bound, 0.5 * (e * m - (-e).ln_1p()), 1e-10);
        }
    }

    #[test]
    fn variance_exploding() {
        let target = gmm1();
        let found = initialisation(&target, 1.0, 6400.0, 6400.0).unwrap();
        assert_eq!(found.lsi_bound, None);
        assert_close(found.moment_bound, 3.298 / 12800.0, 1e-12);
        assert!(found.kl_to_prior > 0.0 && found.kl_to_prior <= found.moment_bound);
        // A Gaussian of mean m and variance s²: KL(N(m, s² + σ²) ‖ N(0, σ²)) in closed form.
        let gaussian = Mixture1d::normal(0.13, 0.5).unwrap();
        let found = initialisation(&gaussian, 1.0, 4.0, 4.0).unwrap();
        let closed = 0.5 * (0.25 / 4.0 + 0.13 * 0.13 / 4.0 - (1.0f64 + 0.25 / 4.0).ln());
        assert_close(found.kl_to_prior, closed, 1e-12);
        // Of a wrong prior the bound would be broken: the control of the inequality.
        let wrong = moment_bound(1.0, 4.0, 40.0, 0.0169, 1).unwrap();
        assert!(found.kl_to_prior < found.moment_bound && wrong > 10.0 * found.moment_bound);
    }

    #[test]
    fn bad_input_is_told() {
        let told = |r: Result<f64>| r.unwrap_err().to_string();
        assert!(told(moment_bound(f64::NAN, 1.0, 1.0, 1.0, 1)).contains("`alpha` is NaN"));
        assert!(told(moment_bound(1.0, 0.0, 1.0, 1.0, 1)).contains("`sigma2` is 0"));
        assert!(told(moment_bound(1.0, 1.0, -1.0, 1.0, 1)).contains("`prior variance` is -1"));
        assert!(told(moment_bound(1.0, 1.0, 1.0, -1.0, 1)).contains("`second moment` is -1"));
        assert!(told(moment_bound(1.0, 1.0, 1.0, 1.0, 0)).contains("`dim` is 0"));
    }
}
