//! Splitting and rank normalisation of chains, and the plain moments and quantiles of all draws.
//!
//! Source: Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), arXiv:1903.08008. The conventions, which
//! are those of ArviZ:
//!
//! * **split**: each chain is cut into its first and its last ⌊n/2⌋ draws (the middle one is dropped if n is odd),
//!   M chains become 2M: first all first halves, then all second halves. A drift within a chain then shows as a
//!   difference between chains.
//! * **rank normalisation**: z = Φ⁻¹((r − 3/8)/(S + 1/4)), r the rank (from 1, ties averaged) among all S draws of all
//!   chains (Blom 1958). The result has moments whatever the tails of the draws are.
//! * **quantiles** interpolate linearly between order statistics at position (S − 1)p (type 7 of Hyndman & Fan 1996).
//!
//! Draws are usable if there are at least 4 per chain and all are finite; the diagnostics of [`crate::rhat`],
//! [`crate::ess`] and [`crate::mcse`] are NaN otherwise.

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use statrs::distribution::{ContinuousCDF, Normal};

/// Fewest draws per chain for which any diagnostic is computed: two halves of two.
const MIN_DRAWS: usize = 4;

/// Returns the halves of each chain as chains of their own.
///
/// # Shapes
/// `draws`: (M, n); out (2M, ⌊n/2⌋), first halves before second halves.
#[must_use]
pub fn split(draws: ArrayView2<'_, f64>) -> Array2<f64> {
    let n = draws.ncols();
    let half = n / 2;
    let (first, last) = (draws.slice(s![.., ..half]), draws.slice(s![.., n - half..]));
    // The two views have the same number of columns, so stacking them cannot fail.
    concatenate(Axis(0), &[first, last]).unwrap_or_default()
}

/// Returns the normal scores of the ranks of the draws among all draws of all chains.
///
/// # Shapes
/// `draws`: (M, n); out (M, n). All NaN if a draw is NaN, for then there are no ranks; infinities have ranks.
///
/// # Cost
/// One sort and at most one normal quantile per draw.
#[must_use]
pub fn rank_normalise(draws: ArrayView2<'_, f64>) -> Array2<f64> {
    if draws.iter().any(|x| x.is_nan()) {
        return Array2::from_elem(draws.dim(), f64::NAN);
    }
    let values: Vec<f64> = draws.iter().copied().collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&i, &j| values[i].total_cmp(&values[j]));

    let normal = Normal::standard();
    let count = values.len() as f64;
    let mut scores = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let tied = order[start..]
            .iter()
            .take_while(|&&i| values[i] == values[order[start]])
            .count();
        // Ranks start+1 ..= start+tied, averaged.
        let rank = start as f64 + (tied as f64 + 1.0) / 2.0;
        let score = normal.inverse_cdf((rank - 0.375) / (count + 0.25));
        for &i in &order[start..start + tied] {
            scores[i] = score;
        }
        start += tied;
    }
    Array2::from_shape_vec(draws.dim(), scores).unwrap_or_default()
}

/// Says whether diagnostics can be computed: enough chains, at least 4 draws in each, all finite.
pub(crate) fn usable(draws: ArrayView2<'_, f64>, min_chains: usize) -> bool {
    draws.nrows() >= min_chains.max(1)
        && draws.ncols() >= MIN_DRAWS
        && draws.iter().all(|x| x.is_finite())
}

/// Says whether all draws of all chains are equal.
pub(crate) fn constant(draws: ArrayView2<'_, f64>) -> bool {
    draws
        .first()
        .is_none_or(|first| draws.iter().all(|x| x == first))
}

/// Returns the mean; NaN for no values. Sums differences from the first value, so that a constant sequence has
/// exactly its own value as mean and a large common offset costs no digits.
pub(crate) fn mean<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    let mut values = values.into_iter();
    let Some(&first) = values.next() else {
        return f64::NAN;
    };
    let (mut sum, mut count) = (0.0, 1.0);
    for x in values {
        sum += x - first;
        count += 1.0;
    }
    first + sum / count
}

/// Returns the variance with divisor (number of values − 1); NaN for fewer than two values.
pub(crate) fn variance<'a>(values: impl IntoIterator<Item = &'a f64> + Clone) -> f64 {
    let centre = mean(values.clone());
    let (mut sum, mut count) = (0.0, 0.0);
    for x in values {
        sum += (x - centre) * (x - centre);
        count += 1.0;
    }
    if count < 2.0 {
        f64::NAN
    } else {
        sum / (count - 1.0)
    }
}

/// Returns all draws in ascending order.
pub(crate) fn sorted(draws: ArrayView2<'_, f64>) -> Vec<f64> {
    let mut values: Vec<f64> = draws.iter().copied().collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Returns the type-7 quantile of values in ascending order; NaN for no values or `prob` outside [0, 1].
pub(crate) fn quantile(sorted: &[f64], prob: f64) -> f64 {
    if sorted.is_empty() || !(0.0..=1.0).contains(&prob) {
        return f64::NAN;
    }
    let position = (sorted.len() - 1) as f64 * prob;
    let below = sorted[position.floor() as usize];
    let above = sorted[position.ceil() as usize];
    let fraction = position - position.floor();
    // From the nearer end, so that the result is monotone in `prob` and hits both ends exactly.
    if fraction < 0.5 {
        below + (above - below) * fraction
    } else {
        above - (above - below) * (1.0 - fraction)
    }
}

/// Returns the distances of the draws from the median of all draws.
pub(crate) fn folded(draws: ArrayView2<'_, f64>) -> Array2<f64> {
    let median = quantile(&sorted(draws), 0.5);
    draws.mapv(|x| (x - median).abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_chains::{assert_close, wave};
    use ndarray::array;

    #[test]
    fn split_drops_the_middle_draw_and_stacks_first_halves_first() {
        let draws = array![[1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]];
        assert_eq!(
            split(draws.view()),
            array![[1.0, 2.0], [6.0, 7.0], [4.0, 5.0], [9.0, 10.0]]
        );
        assert_eq!(split(Array2::zeros((0, 0)).view()).dim(), (0, 0));
        assert_eq!(split(Array2::zeros((3, 1)).view()).dim(), (6, 0));
    }

    #[test]
    fn ranks_are_averaged_over_ties() {
        // Ranks 1, 2.5, 2.5, 4 of 4: probabilities .625/4.25, .5, .5, 3.625/4.25. Φ(1.0491313979639725) = 3.625/4.25.
        let z = rank_normalise(array![[-7.0, 0.0], [-0.0, 1e300]].view());
        assert_close(z[[1, 1]], 1.049_131_397_963_972_5, 1e-14);
        assert_eq!((z[[0, 0]], z[[0, 1]], z[[1, 0]]), (-z[[1, 1]], 0.0, 0.0));
    }

    #[test]
    fn normal_quantile_is_accurate_to_the_last_digits() {
        // Φ⁻¹ from 50-digit arithmetic.
        let normal = Normal::standard();
        for (p, z) in [
            (0.025, -1.959_963_984_540_054_2),
            (0.05, -1.644_853_626_951_472_7),
            (0.25, -0.674_489_750_196_081_7),
            (0.841_344_746_068_542_9, 1.0),
            (1e-10, -6.361_340_902_404_056),
        ] {
            assert_close(normal.inverse_cdf(p), z, 1e-15);
        }
    }

    #[test]
    fn quantiles_interpolate_linearly() {
        let values = sorted(wave().view());
        assert!((quantile(&values, 0.05) - -0.680_858_51).abs() < 5e-9);
        assert!((quantile(&values, 0.95) - 1.306_031_1).abs() < 5e-8);
        assert_eq!(quantile(&[1.0, 2.0, 4.0, 8.0], 0.5), 3.0);
        assert_eq!(quantile(&[1.0, 2.0, 4.0, 8.0], 1.0), 8.0);
        assert!(quantile(&[1.0], 1.01).is_nan() && quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn moments_keep_their_digits_under_a_large_offset() {
        let values = [1e15, 1e15 + 1.0, 1e15 + 2.0];
        assert_eq!((mean(&values), variance(&values)), (1e15 + 1.0, 1.0));
        assert_eq!((mean(&[0.1; 7]), variance(&[0.1; 7])), (0.1, 0.0));
        assert!(mean(&[]).is_nan() && variance(&[1.0]).is_nan());
    }
}
