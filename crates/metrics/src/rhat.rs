//! R̂: potential scale reduction, in the rank-normalised, split and folded form.
//!
//! Source: Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), arXiv:1903.08008.
//!
//! For M chains of n draws
//!
//! B = n · var(chain means),   W = mean(chain variances),   R̂ = √((B/W + n − 1)/n),
//!
//! both variances with divisor (count − 1). Variants, with the names and conventions of ArviZ:
//!
//! | function          | R̂ of                                                        | finds                            |
//! |-------------------|-------------------------------------------------------------|----------------------------------|
//! | [`rhat_rank`]     | the larger of z(split) and z(\|split − median\|)            | either; the one to report        |
//! | [`rhat_split`]    | split draws as they are                                     | different means, drift           |
//! | [`rhat_folded`]   | z(\|split − median\|)                                       | different spreads                |
//! | [`rhat_identity`] | draws as they are, unsplit                                  | different means                  |
//!
//! z is rank normalisation and split the halving of chains, both in [`crate::chains`]. Chains that explore the same
//! distribution have R̂ near 1; above 1.01 they should not be trusted.
//!
//! All are NaN for fewer than 2 chains, fewer than 4 draws per chain, a draw that is not finite, and draws that are
//! all equal. Chains that each stand still at different points have R̂ = ∞.
//!
//! # Example
//! ```
//! // Two chains, each in its own half of the line, have not mixed.
//! let draws = ndarray::array![[0.1, 0.2, 0.0, 0.3, 0.1, 0.2], [1.1, 1.4, 1.2, 1.0, 1.3, 1.1]];
//! assert!(retrograde_metrics::rhat_rank(draws.view()) > 1.5);
//! ```

use ndarray::{ArrayView2, Axis};

use crate::chains::{constant, folded, mean, rank_normalise, split, usable, variance};

/// Returns the rank-normalised R̂: the larger of those of the split and of the folded split chains.
///
/// If the folded draws are all equal (a coordinate with two values, each half of the time), they say nothing and the
/// first of the two is returned.
///
/// # Shapes
/// `draws`: (chain, draw), at least (2, 4); NaN for less, and as the [module](self) says.
///
/// # Cost
/// Two sorts of all draws and a normal quantile for each.
#[must_use]
pub fn rhat_rank(draws: ArrayView2<'_, f64>) -> f64 {
    if !computable(draws) {
        return f64::NAN;
    }
    let bulk = potential_scale_reduction(rank_normalise(split(draws).view()).view());
    // `max` passes over a NaN on either side: wanted for the second, and the first has none here.
    bulk.max(rhat_folded(draws))
}

/// Returns R̂ of the split chains, without rank normalisation. Needs draws of finite variance to mean anything.
///
/// # Shapes
/// `draws`: (chain, draw), at least (2, 4); NaN for less, and as the [module](self) says.
#[must_use]
pub fn rhat_split(draws: ArrayView2<'_, f64>) -> f64 {
    if !computable(draws) {
        return f64::NAN;
    }
    potential_scale_reduction(split(draws).view())
}

/// Returns the rank-normalised R̂ of the distances of the split draws from their median.
///
/// # Shapes
/// `draws`: (chain, draw), at least (2, 4); NaN for less, and as the [module](self) says; also if all distances are
/// equal.
#[must_use]
pub fn rhat_folded(draws: ArrayView2<'_, f64>) -> f64 {
    if !computable(draws) {
        return f64::NAN;
    }
    let distances = folded(split(draws).view());
    potential_scale_reduction(rank_normalise(distances.view()).view())
}

/// Returns R̂ of the chains as they are: neither split nor rank-normalised (Gelman & Rubin 1992).
///
/// # Shapes
/// `draws`: (chain, draw), at least (2, 4); NaN for less, and as the [module](self) says.
#[must_use]
pub fn rhat_identity(draws: ArrayView2<'_, f64>) -> f64 {
    if !computable(draws) {
        return f64::NAN;
    }
    potential_scale_reduction(draws)
}

/// Two chains or more, usable and not all equal.
fn computable(draws: ArrayView2<'_, f64>) -> bool {
    usable(draws, 2) && !constant(draws)
}

/// √((B/W + n − 1)/n).
fn potential_scale_reduction(chains: ArrayView2<'_, f64>) -> f64 {
    let n = chains.ncols() as f64;
    let means: Vec<f64> = chains.axis_iter(Axis(0)).map(mean_of).collect();
    let variances: Vec<f64> = chains
        .axis_iter(Axis(0))
        .map(|chain| variance(chain.iter()))
        .collect();
    let between = n * variance(&means);
    let within = mean(&variances);
    ((between / within + n - 1.0) / n).sqrt()
}

fn mean_of(chain: ndarray::ArrayView1<'_, f64>) -> f64 {
    mean(chain.iter())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_chains::{assert_close, autoregressive, wave};
    use ndarray::{Array2, array, s};

    #[test]
    fn known_values() {
        let a = wave();
        assert_close(rhat_rank(a.view()), 0.997_758_349_131_39, 1e-10);
        assert_close(rhat_split(a.view()), 0.989_179_714_807_72, 1e-10);
        assert_close(rhat_folded(a.view()), 0.982_471_337_907_06, 1e-10);
        assert_close(rhat_identity(a.view()), 0.996_353_969_263_8, 1e-10);
    }

    #[test]
    fn by_hand() {
        // Means 2.5 and 4.5: B = 4 · 2 = 8; both variances 5/3 = W; R̂² = (8/(5/3) + 3)/4 = 1.95.
        let draws = array![[1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0]];
        assert_close(rhat_identity(draws.view()), 1.95_f64.sqrt(), 1e-15);
    }

    #[test]
    fn order_of_chains_and_strides_do_not_matter() {
        let a = wave();
        let permuted = a.select(ndarray::Axis(0), &[2, 0, 3, 1]);
        let fortran = a.t().as_standard_layout().reversed_axes().to_owned();
        for rhat in [rhat_rank, rhat_split, rhat_folded, rhat_identity] {
            assert_close(rhat(permuted.view()), rhat(a.view()), 1e-13);
            assert_eq!(rhat(fortran.view()), rhat(a.view()));
        }
    }

    #[test]
    fn each_variant_finds_its_own_fault() {
        let fine = autoregressive(0.3, 4, 1000, 1);
        for rhat in [rhat_rank, rhat_split, rhat_folded, rhat_identity] {
            assert!(rhat(fine.view()) < 1.01);
        }
        // Different spread: equal means, so only the folded form sees it.
        let mut wide = fine.clone();
        wide.slice_mut(s![0, ..]).mapv_inplace(|x| 3.0 * x);
        assert!(rhat_split(wide.view()) < 1.02 && rhat_folded(wide.view()) > 1.1);
        assert_eq!(rhat_rank(wide.view()), rhat_folded(wide.view()));
        // The same drift in all chains: equal chain means, so only the split forms see it.
        let mut drift = fine;
        for mut chain in drift.rows_mut() {
            chain
                .indexed_iter_mut()
                .for_each(|(t, x)| *x += 0.002 * t as f64);
        }
        assert!(rhat_identity(drift.view()) < 1.01 && rhat_split(drift.view()) > 1.1);
    }

    #[test]
    fn degenerate_input() {
        let mut nan = wave();
        nan[[1, 7]] = f64::NAN;
        let mut infinite = wave();
        infinite[[0, 0]] = f64::INFINITY;
        let short = wave().slice(s![.., ..3]).to_owned();
        let one_chain = wave().slice(s![..1, ..]).to_owned();
        let empty = Array2::zeros((0, 0));
        let still = Array2::from_elem((4, 10), 0.1);
        for rhat in [rhat_rank, rhat_split, rhat_folded, rhat_identity] {
            for draws in [&nan, &infinite, &short, &one_chain, &empty, &still] {
                assert!(rhat(draws.view()).is_nan());
            }
        }
        // Stuck at different points: the worst there is, not unknown.
        let stuck = Array2::from_shape_fn((3, 10), |(c, _)| 0.1 + 0.3 * c as f64);
        for rhat in [rhat_rank, rhat_split, rhat_identity] {
            assert_eq!(rhat(stuck.view()), f64::INFINITY);
        }
        // Two values, half of the time each: folding leaves nothing to compare.
        let coin = array![
            [0.0, 1.0, 1.0, 0.0, 1.0, 0.0],
            [1.0, 1.0, 0.0, 1.0, 0.0, 0.0]
        ];
        assert!(rhat_folded(coin.view()).is_nan() && rhat_rank(coin.view()).is_finite());
    }
}
