//! Diagnostics of importance weights, from their logarithms.
//!
//! Source: Owen (2013), Monte Carlo theory, methods and examples, §9.2–9.3; Kong (1992) for the effective sample size.
//!
//! For n draws with log weights ℓ_i, w_i = exp ℓ_i, w̄_i = w_i/Σw:
//!
//! log Z ≈ ln(Σw/n),   ESS = (Σw)²/Σw²,   perplexity = exp(−Σ w̄ ln w̄),   CV² = n/ESS − 1,
//! s.e. of log Z ≈ √(CV²/(n − 1)) (delta method),   ELBO = Σℓ/n.
//!
//! ESS, 1/max w̄ and perplexity all lie in [1, n] and are n for equal weights; for any weights 1/max w̄ ≤ ESS ≤ perplexity
//! ≤ n (Rényi entropies of order ∞, 2, 1, 0, exponentiated). The ELBO is below log Z in expectation, and the distance is
//! KL(law of the draws ‖ target).
//!
//! What they are not: all see only the draws there are. A region that no draw has reached lowers none of them.
//!
//! A log weight of −∞ is a weight of zero and allowed. Weights are computed relative to the largest, and those below
//! e⁻⁷⁰⁰ of it are exactly zero (subnormal numbers are slow and too small to count).
//!
//! # Example
//! ```
//! let log_weights = ndarray::array![-0.2, 0.5, -1.3, 0.1, 0.9];
//! let d = retrograde_metrics::WeightDiagnostics::new(log_weights.view());
//! assert!((d.log_z - 0.2318666).abs() < 1e-7 && (d.ess - 3.7032091).abs() < 1e-7);
//! ```

use ndarray::{Array1, ArrayView1};

/// Log weights further than this below the largest count as zero weights.
const NEGLIGIBLE: f64 = -700.0;

/// What a set of log weights says about the estimates made with it.
///
/// A number that cannot be computed is NaN: all of them for no weights and for a log weight that is NaN or +∞; all but
/// `log_z` and `elbo`, which are −∞, if all weights are zero; `log_z_se` for a single draw.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct WeightDiagnostics {
    /// Estimate of the log evidence: log of the mean weight.
    pub log_z: f64,
    /// Standard error of `log_z` for independent draws, by the delta method. Too small when few weights dominate: do not
    /// trust it where it is not well below 1.
    pub log_z_se: f64,
    /// Effective sample size (Σw)²/Σw², in draws, 1 … n.
    pub ess: f64,
    /// 1 over the largest normalised weight, in draws, 1 … n.
    pub inverse_max_weight: f64,
    /// Exponential of the entropy of the normalised weights, in draws, 1 … n.
    pub perplexity: f64,
    /// Squared coefficient of variation of the weights (divisor n), 0 … n − 1.
    pub cv_squared: f64,
    /// Evidence lower bound: mean log weight. −∞ as soon as one weight is zero.
    pub elbo: f64,
}

impl WeightDiagnostics {
    /// Computes all diagnostics.
    ///
    /// # Shapes
    /// `log_weights`: (n); natural logarithms, any common offset.
    #[must_use]
    pub fn new(log_weights: ArrayView1<'_, f64>) -> Self {
        let nan = f64::NAN;
        let undefined = Self {
            log_z: nan,
            log_z_se: nan,
            ess: nan,
            inverse_max_weight: nan,
            perplexity: nan,
            cv_squared: nan,
            elbo: nan,
        };
        let Some(max) = largest(log_weights) else {
            return undefined;
        };
        if max == f64::NEG_INFINITY {
            return Self {
                log_z: max,
                elbo: max,
                ..undefined
            };
        }
        let n = log_weights.len() as f64;
        let (mut sum, mut sum_squares, mut sum_w_log_w, mut sum_logs) = (0.0, 0.0, 0.0, 0.0);
        for log_weight in log_weights {
            let relative = log_weight - max;
            let w = weight(relative);
            sum += w;
            sum_squares += w * w;
            sum_logs += relative;
            if w > 0.0 {
                sum_w_log_w += w * relative;
            }
        }
        // Not n/ESS − 1, which loses all digits when the weights are nearly equal.
        let mean = sum / n;
        let mut spread = 0.0;
        for log_weight in log_weights {
            let distance = weight(log_weight - max) / mean - 1.0;
            spread += distance * distance;
        }
        let cv_squared = spread / n;
        Self {
            log_z: max + mean.ln(),
            log_z_se: (cv_squared / (n - 1.0)).sqrt(),
            ess: sum * sum / sum_squares,
            inverse_max_weight: sum,
            perplexity: sum * (-sum_w_log_w / sum).exp(),
            cv_squared,
            elbo: max + sum_logs / n,
        }
    }
}

/// Returns the weights divided by the largest of them, so that equal weights are exactly 1.
///
/// # Shapes
/// `log_weights`: (n); out (n), in [0, 1]. All NaN if a log weight is NaN or +∞ or if all are −∞.
#[must_use]
pub fn relative_weights(log_weights: ArrayView1<'_, f64>) -> Array1<f64> {
    match largest(log_weights) {
        Some(max) if max > f64::NEG_INFINITY => {
            log_weights.mapv(|log_weight| weight(log_weight - max))
        }
        _ => Array1::from_elem(log_weights.len(), f64::NAN),
    }
}

fn weight(relative_log: f64) -> f64 {
    if relative_log < NEGLIGIBLE {
        0.0
    } else {
        relative_log.exp()
    }
}

/// The largest log weight; none if there is no weight, or one that is NaN or infinite.
fn largest(log_weights: ArrayView1<'_, f64>) -> Option<f64> {
    let valid = !log_weights.is_empty() && log_weights.iter().all(|x| *x < f64::INFINITY);
    valid.then(|| {
        log_weights
            .iter()
            .fold(f64::NEG_INFINITY, |max, x| max.max(*x))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_chains::{assert_close, normals};
    use ndarray::array;

    #[test]
    fn known_values() {
        let d = WeightDiagnostics::new(array![-0.2, 0.5, -1.3, 0.1, 0.9].view());
        assert_close(d.log_z, 0.231_866_649_590_94, 1e-10);
        assert_close(d.ess, 3.703_209_124_020_5, 1e-10);
        assert_close(d.inverse_max_weight, 2.563_323_252_213_3, 1e-10);
        assert_close(d.perplexity, 4.154_045_432_034_9, 1e-10);
        assert_close(d.cv_squared, 0.350_180_298_370_95, 1e-10);
        assert_close(d.log_z_se, 0.295_880_169_313_08, 1e-10);
        assert!(d.elbo.abs() < 1e-15);
    }

    #[test]
    fn an_offset_moves_log_z_and_elbo_alone() {
        let log_weights = array![-0.25, 0.5, -1.25, 0.125, 0.875];
        let d = WeightDiagnostics::new(log_weights.view());
        for offset in [-1e5, 1e5] {
            let moved = WeightDiagnostics::new((&log_weights + offset).view());
            let back = WeightDiagnostics {
                log_z: d.log_z,
                elbo: d.elbo,
                ..moved
            };
            assert_eq!(back, d);
            assert_close(moved.log_z, d.log_z + offset, 1e-15);
            assert_close(moved.elbo, d.elbo + offset, 1e-15);
        }
    }

    #[test]
    fn equal_and_zero_weights() {
        let d = WeightDiagnostics::new(array![-3.0, -3.0, -3.0, -3.0].view());
        assert_eq!((d.log_z, d.log_z_se, d.elbo), (-3.0, 0.0, -3.0));
        assert_eq!(
            (d.ess, d.inverse_max_weight, d.perplexity, d.cv_squared),
            (4.0, 4.0, 4.0, 0.0)
        );
        // Two of four dead: half the evidence, half the draws.
        let none = f64::NEG_INFINITY;
        let d = WeightDiagnostics::new(array![none, 2.0, 2.0, -800.0].view());
        assert_close(d.log_z, 2.0 - 2.0_f64.ln(), 1e-15);
        assert_eq!(
            (d.ess, d.inverse_max_weight, d.perplexity, d.cv_squared),
            (2.0, 2.0, 2.0, 1.0)
        );
        assert_eq!(d.elbo, none);
    }

    #[test]
    fn log_normal_weights_have_the_moments_of_theory() {
        // ln w ~ N(0, s²): Z = exp(s²/2), CV² = exp(s²) − 1, ELBO = 0, perplexity/n → exp(−s²/2).
        let (s, n) = (0.5_f64, 200_000_usize);
        let mut next = normals(31);
        let d = WeightDiagnostics::new(Array1::from_shape_simple_fn(n, || s * next()).view());
        let root = (n as f64).sqrt();
        assert!((d.log_z - s * s / 2.0).abs() < 4.0 * d.log_z_se);
        assert_close(d.log_z_se, ((s * s).exp_m1()).sqrt() / root, 0.05);
        assert!(d.elbo.abs() < 4.0 * s / root);
        // The relative error of either mean is below 2/√n at this s.
        assert_close(d.ess / n as f64, (-s * s).exp(), 4.0 * 2.0 / root);
        assert_close(
            d.perplexity / n as f64,
            (-s * s / 2.0).exp(),
            4.0 * 2.0 / root,
        );
        assert!(d.inverse_max_weight < d.ess && d.ess < d.perplexity && d.perplexity < n as f64);
    }

    #[test]
    fn degenerate_input() {
        let all_nan = |d: WeightDiagnostics| {
            [
                d.log_z,
                d.log_z_se,
                d.ess,
                d.inverse_max_weight,
                d.perplexity,
                d.cv_squared,
                d.elbo,
            ]
            .iter()
            .all(|x| x.is_nan())
        };
        for bad in [array![], array![0.0, f64::NAN], array![0.0, f64::INFINITY]] {
            assert!(all_nan(WeightDiagnostics::new(bad.view())));
            assert!(relative_weights(bad.view()).iter().all(|w| w.is_nan()));
        }
        let dead = WeightDiagnostics::new(array![f64::NEG_INFINITY, f64::NEG_INFINITY].view());
        assert_eq!(
            (dead.log_z, dead.elbo),
            (f64::NEG_INFINITY, f64::NEG_INFINITY)
        );
        assert!(dead.ess.is_nan() && dead.log_z_se.is_nan());
        let one = WeightDiagnostics::new(array![1.5].view());
        assert_eq!((one.log_z, one.ess), (1.5, 1.0));
        assert!(one.log_z_se.is_nan());
    }
}
