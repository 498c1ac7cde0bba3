//! Effective sample size of chains: bulk, tail, mean, standard deviation, quantiles.
//!
//! Source: Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), arXiv:1903.08008; the sum
//! over autocorrelations is truncated and made monotone as in Geyer (1992).
//!
//! For M chains of n draws, with c_t the autocovariance at lag t (divisor n, averaged over chains),
//!
//! W = c_0 n/(n − 1),   V = c_0 + var(chain means) (second term if M > 1, divisor M − 1),   ρ_t = 1 − (W − c_t)/V,
//! ρ_0 = 1,
//!
//! ESS = M n/τ,   τ = max(−1 + 2 Σ_{t ≤ t_max} ρ_t + ρ_{t_max+1}, 1/log₁₀(M n)).
//!
//! The pairs (ρ_0, ρ_1), (ρ_2, ρ_3), … are read as long as the sum of the last pair is positive and lags are left; of
//! the last pair read only the even member enters, once, if it is positive. No pair sum may exceed the one before it:
//! a pair that does is set to the mean of the pair before it. These are the conventions of ArviZ, and the functions
//! differ only in what they take the ESS of:
//!
//! | function         | ESS of                                                          |
//! |------------------|-----------------------------------------------------------------|
//! | [`ess_bulk`]     | z(split), rank-normalised                                       |
//! | [`ess_tail`]     | the smaller of [`ess_quantile`] at 0.05 and 0.95                |
//! | [`ess_mean`]     | split draws                                                     |
//! | [`ess_sd`]       | split (x − mean)²                                               |
//! | [`ess_quantile`] | split 1\[x ≤ quantile\], the quantile taken over all draws      |
//! | [`ess_median`]   | the same at 0.5                                                 |
//! | [`ess_identity`] | draws as they are, unsplit                                      |
//!
//! The unit is draws. Antithetic chains may have more than M n, up to M n log₁₀(M n).
//!
//! All are NaN for no chain, fewer than 4 draws per chain, a draw that is not finite, and draws that are all equal
//! (where ArviZ says M n: a sampler that never moved should not look perfect). Where the draws differ but what is
//! derived from them is constant (an indicator that always holds), the ESS is M n as in ArviZ.
//!
//! # Cost
//! M n per lag read. Chains that mix read a few times their autocorrelation time; chains that sit in different places
//! read all n lags.
//!
//! # Example
//! ```
//! let draws = ndarray::Array2::from_shape_fn((4, 500), |(c, t)| ((t * t * 31 + c * 17) % 101) as f64);
//! let ess = retrograde_metrics::ess_bulk(draws.view());
//! assert!(ess > 400.0, "enough for stable estimates of R̂ and of the ESS itself");
//! ```

use ndarray::{ArrayView2, Axis};

use crate::chains::{constant, mean, quantile, rank_normalise, sorted, split, usable, variance};

/// Returns the bulk ESS: that of the rank-normalised split chains. The one to report for the centre of a distribution.
///
/// # Shapes
/// `draws`: (chain, draw), at least (1, 4); NaN for less, and as the [module](self) says.
#[must_use]
pub fn ess_bulk(draws: ArrayView2<'_, f64>) -> f64 {
    if !computable(draws) {
        return f64::NAN;
    }
    effective_sample_size(rank_normalise(split(draws).view()).view())
}

/// Returns the tail ESS: the smaller of those of the 5 % and the 95 % quantile.
///
/// # Shapes
/// `draws`: (chain, draw), at least (1, 4); NaN for less, and as the [module](self) says.
#[must_use]
pub fn ess_tail(draws: ArrayView2<'_, f64>) -> f64 {
    if !computable(draws) {
        return f64::NAN;
    }
    let values = sorted(draws);
    let [low, high] = [0.05, 0.95].map(|prob| indicator_ess(draws, quantile(&values, prob)));
    // Not `f64::min`, which would hide a NaN.
    if low.is_nan() || low < high {
        low
    } else {
        high
    }
}

/// Returns the ESS for the mean: that of the split chains.
///
/// # Shapes
/// `draws`: (chain, draw), at least (1, 4); NaN for less, and as the [module](self) says.
#[must_use]
pub fn ess_mean(draws: ArrayView2<'_, f64>) -> f64 {
    if !computable(draws) {
        return f64::NAN;
    }
    effective_sample_size(split(draws).view())
}

/// Returns the ESS for the standard deviation: that of the squared distances from the mean of all draws.
///
/// # Shapes
/// `draws`: (chain, draw), at least (1, 4); NaN for less, and as the [module](self) says.
#[must_use]
pub fn ess_sd(draws: ArrayView2<'_, f64>) -> f64 {
    if !computable(draws) {
        return f64::NAN;
    }
    let centre = mean(draws.iter());
    let squares = draws.mapv(|x| (x - centre) * (x - centre));
    let (min, max) = squares.iter().fold((f64::MAX, 0.0_f64), |(min, max), &x| {
        (min.min(x), max.max(x))
    });
    // Two values, half of the time each, have equal distances but for rounding, whose ESS is of no interest.
    if max - min <= 1e-14 * max {
        return squares.len() as f64;
    }
    effective_sample_size(split(squares.view()).view())
}

/// Returns the ESS for the quantile at probability `prob`: that of the indicator x ≤ quantile.
///
/// # Shapes
/// `draws`: (chain, draw), at least (1, 4); NaN for less, for `prob` outside [0, 1], and as the [module](self) says.
#[must_use]
pub fn ess_quantile(draws: ArrayView2<'_, f64>, prob: f64) -> f64 {
    if !computable(draws) || !(0.0..=1.0).contains(&prob) {
        return f64::NAN;
    }
    indicator_ess(draws, quantile(&sorted(draws), prob))
}

/// Returns the ESS for the median.
///
/// # Shapes
/// `draws`: (chain, draw), at least (1, 4); NaN for less, and as the [module](self) says.
#[must_use]
pub fn ess_median(draws: ArrayView2<'_, f64>) -> f64 {
    ess_quantile(draws, 0.5)
}

/// Returns the ESS of the chains as they are: neither split nor rank-normalised.
///
/// # Shapes
/// `draws`: (chain, draw), at least (1, 4); NaN for less, and as the [module](self) says.
#[must_use]
pub fn ess_identity(draws: ArrayView2<'_, f64>) -> f64 {
    if !computable(draws) {
        return f64::NAN;
    }
    effective_sample_size(draws)
}

fn computable(draws: ArrayView2<'_, f64>) -> bool {
    usable(draws, 1) && !constant(draws)
}

fn indicator_ess(draws: ArrayView2<'_, f64>, threshold: f64) -> f64 {
    let below = draws.mapv(|x| f64::from(u8::from(x <= threshold)));
    effective_sample_size(split(below.view()).view())
}

/// ESS of an array of chains with at least two draws each, by Geyer's initial monotone sequence.
fn effective_sample_size(chains: ArrayView2<'_, f64>) -> f64 {
    let total = chains.len() as f64;
    if constant(chains) {
        return total;
    }
    let draws = chains.ncols();
    let n = draws as f64;
    let autocovariance = Autocovariance::new(chains);
    let c_0 = autocovariance.at(0);
    let within = c_0 * n / (n - 1.0);
    let mut marginal = c_0;
    if chains.nrows() > 1 {
        marginal += variance(&autocovariance.means);
    }
    let rho = |lag| 1.0 - (within - autocovariance.at(lag)) / marginal;

    // Initial positive sequence. A pair whose sum is negative ends the walk and leaves zeros behind.
    let (mut even, mut odd) = (1.0, rho(1));
    let mut rhos = vec![even, odd];
    let mut t = 1;
    while t + 3 < draws && even + odd > 0.0 {
        (even, odd) = (rho(t + 1), rho(t + 2));
        rhos.extend(if even + odd >= 0.0 {
            [even, odd]
        } else {
            [0.0, 0.0]
        });
        t += 2;
    }
    // t_max + 1 = t − 1, the place of the last even member.
    if even > 0.0 {
        rhos[t - 1] = even;
    }

    // Initial monotone sequence: up to, not including, the last pair.
    let mut k = 2;
    while k + 2 < t {
        let before = rhos[k - 2] + rhos[k - 1];
        if rhos[k] + rhos[k + 1] > before {
            (rhos[k], rhos[k + 1]) = (before / 2.0, before / 2.0);
        }
        k += 2;
    }

    let sum: f64 = rhos[..t - 1].iter().sum();
    let tau = -1.0 + 2.0 * sum + rhos[t - 1];
    // `max` would turn a NaN (squares that overflow or vanish) into the most optimistic answer.
    if tau.is_nan() || rhos.iter().any(|rho| rho.is_nan()) {
        return f64::NAN;
    }
    total / tau.max(1.0 / total.log10())
}

/// Autocovariance averaged over chains, computed lag by lag as the walk asks for it.
struct Autocovariance {
    means: Vec<f64>,
    /// Distances from the chain's own mean, one vector per chain that moves; the others contribute nothing.
    deviations: Vec<Vec<f64>>,
    /// Number of draws of all chains.
    total: f64,
}

impl Autocovariance {
    fn new(chains: ArrayView2<'_, f64>) -> Self {
        let means: Vec<f64> = chains
            .axis_iter(Axis(0))
            .map(|chain| mean(chain.iter()))
            .collect();
        let deviations = chains
            .axis_iter(Axis(0))
            .zip(&means)
            .map(|(chain, centre)| chain.iter().map(|x| x - centre).collect::<Vec<_>>())
            .filter(|deviations| deviations.iter().any(|x| *x != 0.0))
            .collect();
        Self {
            means,
            deviations,
            total: chains.len() as f64,
        }
    }

    fn at(&self, lag: usize) -> f64 {
        let mut sum = 0.0;
        for x in &self.deviations {
            sum += dot(&x[..x.len() - lag], &x[lag..]);
        }
        sum / self.total
    }
}

/// Inner product in eight interleaved partial sums: a fixed order that the compiler can vectorise.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut partial = [0.0; 8];
    let (x_blocks, x_rest) = x.as_chunks::<8>();
    let (y_blocks, y_rest) = y.as_chunks::<8>();
    for (a, b) in x_blocks.iter().zip(y_blocks) {
        for lane in 0..8 {
            partial[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(a, b)| a * b).sum();
    partial.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_chains::{assert_close, autoregressive, wave};
    use ndarray::{Array2, s};
    use std::f64::consts::PI;

    const ALL: [fn(ArrayView2<'_, f64>) -> f64; 6] = [
        ess_bulk,
        ess_tail,
        ess_mean,
        ess_sd,
        ess_median,
        ess_identity,
    ];

    #[test]
    fn known_values() {
        let a = wave();
        assert_close(ess_bulk(a.view()), 143.119_412_179_56, 1e-10);
        assert_close(ess_mean(a.view()), 170.062_411_933_45, 1e-10);
        assert_close(ess_sd(a.view()), 164.882_374_041_78, 1e-10);
        assert_close(ess_median(a.view()), 172.085_953_015_4, 1e-10);
        assert_close(ess_identity(a.view()), 167.007_988_128_18, 1e-10);
        assert_close(ess_quantile(a.view(), 0.05), 145.521_968_960_88, 1e-10);
        assert_close(ess_quantile(a.view(), 0.95), 86.117_173_073_695, 1e-10);
        assert_close(ess_tail(a.view()), 86.117_173_073_695, 1e-10);
    }

    #[test]
    fn order_of_chains_does_not_matter() {
        let a = wave();
        let permuted = a.select(Axis(0), &[3, 1, 0, 2]);
        for ess in ALL {
            assert_close(ess(permuted.view()), ess(a.view()), 1e-12);
        }
    }

    /// Relative standard deviation of the estimate when L lags enter: √(2(2L + 1)/N) (Sokal 1997).
    fn sokal(lags: f64, total: f64) -> f64 {
        (2.0 * (2.0 * lags + 1.0) / total).sqrt()
    }

    #[test]
    fn autoregressive_chains_have_the_ess_of_theory() {
        let (chains, draws) = (4, 20_000);
        let total = (chains * draws) as f64;
        for (phi, seed) in [(0.0, 11_u64), (0.6, 12), (0.9, 13), (-0.4, 14)] {
            let x = autoregressive(phi, chains, draws, seed);
            // The walk ends where φᵗ drowns in noise of size 1/√N.
            let lags = if phi == 0.0 {
                1.0
            } else {
                -total.sqrt().ln() / f64::abs(phi).ln()
            };
            let tolerance = 4.0 * sokal(lags, total);
            let mean_truth = total * (1.0 - phi) / (1.0 + phi);
            assert_close(ess_mean(x.view()), mean_truth, tolerance);
            assert_close(ess_identity(x.view()), mean_truth, tolerance);
            assert_close(ess_bulk(x.view()), mean_truth, tolerance);
            // x² has autocorrelation φ²ᵗ, 1[x ≤ 0] has (2/π) asin φᵗ (orthant probability).
            assert_close(
                ess_sd(x.view()),
                total * (1.0 - phi * phi) / (1.0 + phi * phi),
                tolerance,
            );
            let tau: f64 = 1.0
                + (1..2000)
                    .map(|t| 4.0 / PI * f64::powi(phi, t).asin())
                    .sum::<f64>();
            assert_close(ess_median(x.view()), total / tau, tolerance);
        }
    }

    #[test]
    fn chains_in_different_places_are_worth_little() {
        let mut x = autoregressive(0.2, 4, 1000, 5);
        x.slice_mut(s![2.., ..]).mapv_inplace(|x| x + 20.0);
        // Four chains with two places between them: a handful of draws, however long the chains.
        assert!(ess_bulk(x.view()) < 10.0 && ess_mean(x.view()) < 10.0);
    }

    #[test]
    fn antithetic_chains_are_capped() {
        let x = Array2::from_shape_fn((2, 100), |(c, t)| if (t + c) % 2 == 0 { 1.0 } else { -1.0 });
        assert_close(ess_mean(x.view()), 200.0 * 200.0_f64.log10(), 1e-14);
        assert_eq!(ess_sd(x.view()), 200.0);
    }

    #[test]
    fn dot_leaves_nothing_out() {
        let x: Vec<f64> = (0..21).map(f64::from).collect();
        for k in 0..=21 {
            let exact: i32 = (0..k as i32).map(|i| i * i).sum();
            assert_eq!(dot(&x[..k], &x[..k]), f64::from(exact));
        }
    }

    #[test]
    fn degenerate_input() {
        let mut nan = wave();
        nan[[1, 7]] = f64::NAN;
        let mut infinite = wave();
        infinite[[3, 39]] = f64::NEG_INFINITY;
        let short = wave().slice(s![.., ..3]).to_owned();
        let still = Array2::from_elem((4, 10), 0.1);
        let tiny = wave() * 1e-200;
        for ess in ALL {
            for draws in [
                &nan,
                &infinite,
                &short,
                &Array2::zeros((0, 0)),
                &Array2::zeros((0, 9)),
                &still,
            ] {
                assert!(ess(draws.view()).is_nan());
            }
            assert!(
                ess(wave().slice(s![..1, ..4])).is_finite()
                    && ess(wave().slice(s![..1, ..5])).is_finite()
            );
        }
        // Squares that vanish must not pass for perfect mixing.
        assert!(ess_mean(tiny.view()).is_nan() && ess_bulk(tiny.view()).is_finite());
        assert!(
            ess_quantile(wave().view(), -0.1).is_nan()
                && ess_quantile(wave().view(), f64::NAN).is_nan()
        );
        assert_eq!(ess_quantile(wave().view(), 1.0), 160.0);
    }
}
