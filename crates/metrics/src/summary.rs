//! Summaries: one row of numbers per coordinate, for chains and for weighted draws.
//!
//! Chains: Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), arXiv:1903.08008; the row holds what they recommend
//! to report, by the functions of [`crate::rhat`], [`crate::ess`] and [`crate::mcse`].
//!
//! Weighted draws: self-normalised importance sampling, Owen (2013), Monte Carlo theory, methods and examples, §9.2, with
//! normalised weights w̄_i:
//!
//! mean μ = Σ w̄ x,   sd² = Σ w̄ (x − μ)²/(1 − Σ w̄²),   mcse² = Σ w̄² (x − μ)² (delta method).
//!
//! The divisor of sd² is 1 − 1/ESS, which for equal weights is the usual (n − 1)/n. Where one weight dominates both sides
//! of the fraction vanish together: with w̄_m = 1 − r the divisor is r (2 − r) − Σ_{i≠m} w̄_i², and distances are taken from
//! x_m, so that nothing cancels; for two draws sd → |x₁ − x₂|/√2 as r → 0, as it is for two equal weights. A weighted quantile at p is the
//! smallest draw whose cumulative weight reaches p; it is a draw, while quantiles of chains are interpolated.

use ndarray::{ArrayView1, ArrayView2, ArrayView3, Axis};

use crate::chains::{mean, quantile, sorted, variance};
use crate::ess::{ess_bulk, ess_tail};
use crate::mcse::{mcse_mean, mcse_sd};
use crate::rhat::rhat_rank;
use crate::weights::relative_weights;

/// One coordinate of a set of chains. Mean, sd, quantiles and standard errors have the unit of the coordinate.
///
/// The diagnostics are NaN for fewer than 4 draws per chain, draws that are all equal, and (`rhat`) a single chain. All
/// numbers are NaN for no draws and for a draw that is not finite.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct CoordinateSummary {
    /// Mean of all draws.
    pub mean: f64,
    /// Standard deviation of all S draws, divisor S − 1.
    pub sd: f64,
    /// 5 % quantile.
    pub q05: f64,
    /// Median.
    pub q50: f64,
    /// 95 % quantile.
    pub q95: f64,
    /// Monte-Carlo standard error of `mean`.
    pub mcse_mean: f64,
    /// Monte-Carlo standard error of `sd`.
    pub mcse_sd: f64,
    /// Effective sample size of the rank-normalised draws, in draws.
    pub ess_bulk: f64,
    /// Smaller effective sample size of the 5 % and 95 % quantiles, in draws.
    pub ess_tail: f64,
    /// Rank-normalised R̂; near 1 if the chains agree.
    pub rhat: f64,
}

/// One coordinate of a set of weighted draws. All numbers have the unit of the coordinate.
///
/// `sd` and `mcse_mean` are NaN if a single draw carries all the weight: it knows nothing of spread. Where one carries nearly
/// all of it they are defined but of little worth: `ess` near 1 tells. All numbers are NaN
/// for no draws, a log weight that is NaN or +∞, weights that are all zero, a different number of weights and draws, and a
/// draw of positive weight that is not finite. Draws of zero weight do not count, whatever they are.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct WeightedSummary {
    /// Weighted mean.
    pub mean: f64,
    /// Weighted standard deviation.
    pub sd: f64,
    /// 5 % quantile.
    pub q05: f64,
    /// Median.
    pub q50: f64,
    /// 95 % quantile.
    pub q95: f64,
    /// Standard error of `mean` for independent draws, by the delta method. Too small when few weights dominate: look at
    /// `ess` first.
    pub mcse_mean: f64,
    /// Effective number of the draws, 1/Σ w̄², from 1 to n: below about 10 no other number here can be trusted.
    pub ess: f64,
}

/// Returns a summary of each coordinate of a set of chains.
///
/// # Shapes
/// `draws`: (chain, draw, dim); out one row per dim.
///
/// # Example
/// ```
/// let draws = ndarray::Array3::from_shape_fn((2, 100, 3), |(c, t, k)| ((t * 37 + c * 11 + k) % 101) as f64);
/// let rows = retrograde_metrics::summarise(draws.view());
/// assert_eq!(rows.len(), 3);
/// assert!(rows.iter().all(|row| (row.mean - 50.0).abs() < 3.0));
/// ```
#[must_use]
pub fn summarise(draws: ArrayView3<'_, f64>) -> Vec<CoordinateSummary> {
    draws.axis_iter(Axis(2)).map(summarise_coordinate).collect()
}

fn summarise_coordinate(strided: ArrayView2<'_, f64>) -> CoordinateSummary {
    // A contiguous copy, for the functions below go over it some twenty times.
    let draws = strided.as_standard_layout();
    let draws = draws.view();
    let finite = draws.iter().all(|x| x.is_finite());
    let values = if finite { sorted(draws) } else { Vec::new() };
    CoordinateSummary {
        mean: if finite { mean(draws.iter()) } else { f64::NAN },
        sd: if finite {
            variance(draws.iter()).sqrt()
        } else {
            f64::NAN
        },
        q05: quantile(&values, 0.05),
        q50: quantile(&values, 0.50),
        q95: quantile(&values, 0.95),
        mcse_mean: mcse_mean(draws),
        mcse_sd: mcse_sd(draws),
        ess_bulk: ess_bulk(draws),
        ess_tail: ess_tail(draws),
        rhat: rhat_rank(draws),
    }
}

/// Returns a summary of each coordinate of a set of weighted draws.
///
/// # Shapes
/// `draws`: (n, d); `log_weights`: (n), natural logarithms, any common offset; out one row per coordinate.
#[must_use]
pub fn summarise_weighted(
    draws: ArrayView2<'_, f64>,
    log_weights: ArrayView1<'_, f64>,
) -> Vec<WeightedSummary> {
    let weights = relative_weights(log_weights);
    let valid = draws.nrows() == weights.len() && weights.iter().all(|w| !w.is_nan());
    draws
        .axis_iter(Axis(1))
        .map(|column| {
            // Draws of no weight are left out, so that 0 · ∞ cannot arise.
            let weighted: Vec<(f64, f64)> = if valid {
                column
                    .iter()
                    .copied()
                    .zip(weights.iter().copied())
                    .filter(|(_, w)| *w > 0.0)
                    .collect()
            } else {
                Vec::new()
            };
            summarise_weighted_coordinate(weighted)
        })
        .collect()
}

/// Summary of (draw, positive weight) pairs.
fn summarise_weighted_coordinate(mut weighted: Vec<(f64, f64)>) -> WeightedSummary {
    let nan = f64::NAN;
    let undefined = WeightedSummary {
        mean: nan,
        sd: nan,
        q05: nan,
        q50: nan,
        q95: nan,
        mcse_mean: nan,
        ess: nan,
    };
    if weighted.is_empty() || weighted.iter().any(|(x, _)| !x.is_finite()) {
        return undefined;
    }
    let total: f64 = weighted.iter().map(|(_, w)| w).sum();
    let (top, origin) = weighted
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.1.total_cmp(&b.1.1))
        .map_or((0, 0.0), |(i, (x, _))| (i, *x));
    // Sums over all but the largest weight, with the origin at its draw.
    let (mut rest, mut squares, mut first) = (0.0, 0.0, 0.0);
    for (i, (x, w)) in weighted.iter().enumerate() {
        if i != top {
            let w = w / total;
            rest += w;
            squares += w * w;
            first += w * (x - origin);
        }
    }
    let (mut second, mut delta) = (0.0, 0.0);
    for (x, w) in &weighted {
        let (w, distance) = (w / total, (x - origin) - first);
        second += w * distance * distance;
        delta += w * w * distance * distance;
    }
    let mean = origin + first;
    let divisor = rest * (2.0 - rest) - squares;
    let ess = 1.0 / ((1.0 - rest) * (1.0 - rest) + squares);
    let alone = weighted.len() < 2;
    let sd = if alone {
        nan
    } else {
        (second / divisor).sqrt()
    };
    let mcse_mean = if alone { nan } else { delta.sqrt() };

    weighted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let [q05, q50, q95] = weighted_quantiles(&weighted, [0.05, 0.50, 0.95]);
    WeightedSummary {
        mean,
        sd,
        q05,
        q50,
        q95,
        mcse_mean,
        ess,
    }
}

/// The smallest draws whose cumulative weights reach the given shares of the total; pairs in ascending order of draws.
fn weighted_quantiles<const K: usize>(sorted: &[(f64, f64)], probs: [f64; K]) -> [f64; K] {
    let mut total = 0.0;
    let cumulative: Vec<f64> = sorted
        .iter()
        .map(|(_, w)| {
            total += w;
            total
        })
        .collect();
    probs.map(|prob| {
        let index = cumulative.partition_point(|sum| *sum < prob * total);
        sorted.get(index).map_or(f64::NAN, |(x, _)| *x)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_chains::{assert_close, normals, wave};
    use ndarray::{Array1, Array2, Array3, array, stack};

    #[test]
    fn rows_are_the_single_diagnostics() {
        let a = wave();
        let shifted = a.mapv(|x| 5.0 - 2.0 * x);
        let draws = stack(Axis(2), &[a.view(), shifted.view()]).unwrap();
        let [row, mirrored] = summarise(draws.view())[..] else {
            panic!("two rows")
        };
        assert_close(row.mcse_mean, 0.052_968_539_907_832, 1e-10);
        assert_close(row.mcse_sd, 0.021_555_764_608_573, 1e-10);
        assert_close(row.ess_bulk, 143.119_412_179_56, 1e-10);
        assert_close(row.ess_tail, 86.117_173_073_695, 1e-10);
        assert_close(row.rhat, 0.997_758_349_131_39, 1e-10);
        assert!((row.q05 - -0.680_858_51).abs() < 5e-9 && (row.q95 - 1.306_031_1).abs() < 5e-8);
        // sd = mcse √ESS ties the sd to two known numbers.
        assert_close(
            row.sd,
            0.052_968_539_907_832 * 170.062_411_933_45_f64.sqrt(),
            1e-10,
        );
        // An affine map with negative slope carries over to every number.
        assert_close(mirrored.mean, 5.0 - 2.0 * row.mean, 1e-13);
        assert_close(mirrored.q05, 5.0 - 2.0 * row.q95, 1e-13);
        assert_close(mirrored.q50, 5.0 - 2.0 * row.q50, 1e-13);
        assert_close(mirrored.sd, 2.0 * row.sd, 1e-12);
        assert_close(mirrored.mcse_sd, 2.0 * row.mcse_sd, 1e-12);
        assert_close(mirrored.ess_bulk, row.ess_bulk, 1e-12);
        assert_close(mirrored.rhat, row.rhat, 1e-12);
    }

    #[test]
    fn degenerate_chains() {
        assert!(summarise(Array3::zeros((2, 9, 0)).view()).is_empty());
        let mut draws = Array3::from_shape_fn((2, 3, 2), |(c, t, k)| (c + 2 * t + k) as f64);
        let short = summarise(draws.view())[0];
        assert_eq!((short.mean, short.q50), (2.5, 2.5));
        assert!(short.ess_bulk.is_nan() && short.rhat.is_nan() && short.mcse_mean.is_nan());
        draws[[0, 0, 1]] = f64::INFINITY;
        let bad = summarise(draws.view())[1];
        assert!(bad.mean.is_nan() && bad.sd.is_nan() && bad.q05.is_nan() && bad.rhat.is_nan());
        let none = summarise(Array3::zeros((0, 0, 1)).view())[0];
        assert!(none.mean.is_nan() && none.q95.is_nan());
    }

    #[test]
    fn weighted_by_hand() {
        // Weights ½, ¼, ¼ on 0, 4, 8: mean 3; Σw̄(x−3)² = 4.5 + .25 + 6.25 = 11; Σw̄² = 3/8; sd² = 11 · 8/5;
        // mcse² = 9/4 + 1/16 + 25/16 = 3.875.
        let draws = array![[8.0], [0.0], [4.0], [f64::NAN]];
        let log_weights = array![
            0.25_f64.ln(),
            0.5_f64.ln(),
            0.25_f64.ln(),
            f64::NEG_INFINITY
        ] + 1234.0;
        let row = summarise_weighted(draws.view(), log_weights.view())[0];
        assert_close(row.mean, 3.0, 1e-12);
        assert_close(row.sd, 17.6_f64.sqrt(), 1e-12);
        assert_close(row.mcse_mean, 3.875_f64.sqrt(), 1e-12);
        assert_eq!((row.q05, row.q95), (0.0, 8.0));
    }

    #[test]
    fn where_one_weight_dominates_the_numbers_are_those_of_the_limit() {
        // Two draws, weights 1 − r and r: sd² = r (1 − r) D²/(2r (1 − r)) = D²/2, mcse = √2 r (1 − r) D, mean = x₁ + r D.
        let draws = array![[1000.0, 0.0], [1003.0, 1e-3]];
        for log_r in [-1.0, -10.0, -36.0, -40.0, -100.0, -300.0_f64] {
            let r = log_r.exp() / (1.0 + log_r.exp());
            for (row, d) in summarise_weighted(draws.view(), array![0.0, log_r].view())
                .iter()
                .zip([3.0, 1e-3])
            {
                assert_close(row.sd, d / 2.0_f64.sqrt(), 1e-12);
                assert_close(row.mcse_mean, 2.0_f64.sqrt() * r * (1.0 - r) * d, 1e-12);
                assert_close(row.ess, 1.0 / (r * r + (1.0 - r) * (1.0 - r)), 1e-12);
            }
        }
        // Three: 1 − 2r, r, r on 0, 1, 1: Σw̄² → 1 − 4r, Σ w̄ (x − μ)² → 2r.
        let draws = array![[0.0], [1.0], [1.0]];
        let row = summarise_weighted(draws.view(), array![0.0, -50.0, -50.0].view())[0];
        assert_close(row.sd, 0.5_f64.sqrt(), 1e-12);
        assert_close(row.mean, 2.0 * (-50.0_f64).exp(), 1e-12);
    }

    #[test]
    fn equal_weights_are_no_weights() {
        let a = wave();
        let column = a.clone().into_shape_with_order((160, 1)).unwrap();
        let row = summarise_weighted(column.view(), Array1::from_elem(160, -7.5).view())[0];
        let plain = summarise(a.insert_axis(Axis(2)).view())[0];
        assert_close(row.mean, plain.mean, 1e-14);
        assert_close(row.sd, plain.sd, 1e-14);
        assert_close(
            row.mcse_mean,
            plain.sd * (159.0_f64 / 160.0).sqrt() / 160.0_f64.sqrt(),
            1e-14,
        );
        // Cumulative weight reaches 5, 50, 95 % at exactly the 8th, 80th and 152nd draw.
        let values = sorted(column.view());
        assert_eq!(
            (row.q05, row.q50, row.q95),
            (values[7], values[79], values[151])
        );
    }

    #[test]
    fn importance_sampling_recovers_a_shifted_normal() {
        // Draws from N(0, 1), target N(m, 1): ln w = m x, and n mcse² → E[w²(x − m)²]/E[w]² = e^{m²}(1 + m²).
        let (m, n) = (0.5_f64, 40_000);
        let mut next = normals(41);
        let draws = Array2::from_shape_simple_fn((n, 1), &mut next);
        let row = summarise_weighted(draws.view(), (&draws.column(0) * m).view())[0];
        let se = ((m * m).exp() * (1.0 + m * m) / n as f64).sqrt();
        assert_close(row.mcse_mean, se, 0.08);
        assert!((row.mean - m).abs() < 4.0 * se);
        // s.e. of a sd and of quantiles under weights: twice that of n/2 unweighted draws is ample.
        assert!((row.sd - 1.0).abs() < 4.0 * 0.01);
        assert!((row.q50 - m).abs() < 4.0 * 0.013);
        assert!(
            (row.q05 - (m - 1.644_853_627)).abs() < 4.0 * 0.03
                && (row.q95 - (m + 1.644_853_627)).abs() < 4.0 * 0.03
        );
    }

    #[test]
    fn degenerate_weighted_draws() {
        let draws = array![[1.0, f64::INFINITY], [2.0, 3.0]];
        let all_nan = |row: &WeightedSummary| {
            [
                row.mean,
                row.sd,
                row.q05,
                row.q50,
                row.q95,
                row.mcse_mean,
                row.ess,
            ]
            .iter()
            .all(|x| x.is_nan())
        };
        for bad in [
            array![0.0],
            array![0.0, f64::NAN],
            array![f64::NEG_INFINITY, f64::NEG_INFINITY],
        ] {
            let rows = summarise_weighted(draws.view(), bad.view());
            assert!(rows.len() == 2 && rows.iter().all(all_nan));
        }
        let rows = summarise_weighted(draws.view(), array![0.0, 0.0].view());
        assert!(rows[0].mean == 1.5 && all_nan(&rows[1]));
        // One draw with all the weight: a mean, but no idea of its error.
        let rows = summarise_weighted(draws.view(), array![-1e4, 0.0].view());
        assert_eq!((rows[0].mean, rows[1].mean, rows[0].q50), (2.0, 3.0, 2.0));
        assert!(rows[0].sd.is_nan() && rows[0].mcse_mean.is_nan());
        assert!(
            summarise_weighted(Array2::zeros((0, 0)).view(), Array1::zeros(0).view()).is_empty()
        );
    }
}
