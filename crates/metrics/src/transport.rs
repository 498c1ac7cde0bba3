//! Wasserstein distances between two samples of equal size, by exact assignment.
//!
//! Source: Villani (2009), Optimal Transport, ch. 6; Peyré & Cuturi (2019), arXiv:1803.00567, §2.2 (for equal weights
//! and equal numbers an optimal coupling is a permutation).
//!
//! W_p(x, y)^p = min over permutations π of (1/n) Σᵢ |xᵢ − y_π(i)|^p,   p = 1, 2
//!
//! Between two samples of the same law W_p is far from zero (of order n^(−1/d) above the plane): it says something only
//! beside its noise floor ([`noise_floor`](mod@crate::noise_floor)).
//!
//! # Cost
//! On the line a sort; else O(n³) at worst and n² numbers of memory. Above [`MAX_ASSIGNMENT`] points an evenly spaced part of each sample stands
//! for it.

use crate::assignment::assign;
use crate::points::{Rows, same, squared_distance};
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use retrograde_core::Result;

/// Points above which an evenly spaced part of so many stands for a sample.
pub const MAX_ASSIGNMENT: usize = 2_000;

/// The order p of a Wasserstein distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// W₁: distances.
    One,
    /// W₂: squared distances.
    Two,
}

impl Order {
    /// |x − y|^p from |x − y|².
    pub(crate) fn cost(self, squared_distance: f64) -> f64 {
        match self {
            Order::One => squared_distance.sqrt(),
            Order::Two => squared_distance,
        }
    }

    /// W_p from W_p^p.
    pub(crate) fn root(self, power: f64) -> f64 {
        match self {
            Order::One => power,
            Order::Two => power.sqrt(),
        }
    }
}

/// An optimal matching of two samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Matching {
    /// W_p, in the unit of the points.
    pub distance: f64,
    /// W_p^p, the mean cost of the matched pairs.
    pub mean_cost: f64,
    /// Point i of `x` goes to point `permutation[i]` of `y`; both counted within the part that was used.
    pub permutation: Vec<usize>,
}

/// Returns the Wasserstein distance between two samples of equal size, with an optimal matching.
///
/// # Shapes
/// `x`, `y`: (n, d).
///
/// # Errors
/// [`retrograde_core::Error::Shape`] for no points, or different numbers or dimensions of points,
/// [`retrograde_core::Error::Argument`] for a number that is not finite.
///
/// # Example
/// ```
/// use retrograde_metrics::{Order, wasserstein};
/// let x = ndarray::array![[0.0, 0.0], [3.0, 0.0]];
/// let y = ndarray::array![[3.0, 4.0], [0.0, 4.0]];
/// let matching = wasserstein(x.view(), y.view(), Order::Two)?;
/// assert_eq!((matching.distance, matching.permutation), (4.0, vec![1, 0]));
/// # Ok::<(), retrograde_core::Error>(())
/// ```
pub fn wasserstein(
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    order: Order,
) -> Result<Matching> {
    let (x, y) = Rows::pair("Wasserstein", x, y)?;
    same("Wasserstein", "`y`", "rows", x.len(), y.len())?;
    let (x, y) = (x.thinned(MAX_ASSIGNMENT), y.thinned(MAX_ASSIGNMENT));
    let permutation = if x.dim() == 1 {
        by_rank(&x, &y)
    } else {
        by_cost(&x, &y, order)?
    };
    let pairs = x.all().zip(&permutation);
    let costs = pairs.map(|(a, j)| order.cost(squared_distance(a, y.row(*j))));
    let mean_cost = costs.sum::<f64>() / x.len() as f64;
    Ok(Matching {
        distance: order.root(mean_cost),
        mean_cost,
        permutation,
    })
}

/// On the line the i-th smallest goes to the i-th smallest.
fn by_rank(x: &Rows<'_>, y: &Rows<'_>) -> Vec<usize> {
    let ranked = |rows: &Rows<'_>| {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|&i, &j| rows.row(i)[0].total_cmp(&rows.row(j)[0]));
        order
    };
    let mut permutation = vec![0; x.len()];
    for (i, j) in ranked(x).into_iter().zip(ranked(y)) {
        permutation[i] = j;
    }
    permutation
}

fn by_cost(x: &Rows<'_>, y: &Rows<'_>, order: Order) -> Result<Vec<usize>> {
    // Squared distances have the same optimal matching whatever the means, and are quicker to match
    // when these are equal.
    let shift: Vec<f64> = match order {
        Order::One => vec![0.0; x.dim()],
        Order::Two => {
            let mean = |rows: &Rows<'_>| rows.view().mean_axis(Axis(0)).unwrap_or_default();
            (mean(x) - mean(y)).to_vec()
        }
    };
    let n = x.len();
    let mut cost = Array2::zeros((n, n));
    if let Some(all) = cost.as_slice_mut() {
        all.par_chunks_mut(n).enumerate().for_each(|(i, row)| {
            let a: Vec<f64> = x.row(i).iter().zip(&shift).map(|(x, s)| x - s).collect();
            for (c, b) in row.iter_mut().zip(y.all()) {
                *c = order.cost(squared_distance(&a, b));
            }
        });
    }
    assign(cost.view())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::samples::{cloud, on_threads, x, y};
    use crate::test_chains::assert_close;
    use ndarray::{array, s};

    #[test]
    fn known_values() {
        let two = wasserstein(x().view(), y().view(), Order::Two).unwrap();
        assert_eq!(two.permutation, [1, 3, 0, 4, 2]);
        assert_close(two.mean_cost, 0.562, 1e-10);
        assert_close(two.distance, 0.749_666_592_559_65, 1e-10);
        let one = wasserstein(x().view(), y().view(), Order::One).unwrap();
        assert_eq!(one.permutation, two.permutation);
        assert_close(one.distance, 0.743_179_974_765_06, 1e-10);
    }

    #[test]
    fn scale_shift_order_and_threads() {
        let (x, y) = (cloud(150, 3, 1), cloud(150, 3, 2));
        let w = |x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>| {
            wasserstein(x, y, Order::Two).unwrap().distance
        };
        let all = on_threads(|| w(x.view(), y.view()));
        assert!(all[0] == all[1] && all[0] == all[2]);
        let moved = w((&x * -2.5 + 7.0).view(), (&y * -2.5 + 7.0).view());
        assert_close(moved, 2.5 * all[0], 1e-10);
        assert_close(w(y.view(), x.slice(s![..;-1, ..])), all[0], 1e-12);
        assert_eq!(w(x.view(), x.view()), 0.0);
        // A shift alone costs its length, whatever the sample.
        assert_close(w(x.view(), (&x + 1.0).view()), 3.0_f64.sqrt(), 1e-12);
    }

    /// On the line sorting is optimal.
    #[test]
    fn on_the_line_it_is_the_quantile_coupling() {
        let (x, y) = (cloud(200, 1, 3), cloud(200, 1, 4) * 2.0 + 1.0);
        // The same points on a line of the plane, where they are matched by cost.
        let oblique = |x: &Array2<f64>| x.dot(&array![[0.6, 0.8]]);
        for order in [Order::One, Order::Two] {
            let (a, b) = (x.index_axis(Axis(1), 0), y.index_axis(Axis(1), 0));
            let flat = crate::wasserstein_1d(a, b, order).unwrap();
            let ranked = wasserstein(x.view(), y.view(), order).unwrap();
            assert_close(ranked.distance, flat, 1e-12);
            let matched = wasserstein(oblique(&x).view(), oblique(&y).view(), order).unwrap();
            assert_close(matched.distance, flat, 1e-12);
        }
    }

    #[test]
    fn large_samples_are_thinned_and_bad_input_is_told() {
        let x = cloud(MAX_ASSIGNMENT + 500, 1, 5);
        let matched = wasserstein(x.view(), (&x + 2.0).view(), Order::Two).unwrap();
        assert_eq!(matched.permutation.len(), MAX_ASSIGNMENT);
        assert_close(matched.distance, 2.0, 1e-12);
        let error = wasserstein(cloud(3, 2, 1).view(), cloud(4, 2, 1).view(), Order::One);
        assert_eq!(
            error.unwrap_err().to_string(),
            "Wasserstein: `y` has 4 rows, expected 3 rows"
        );
    }
}
