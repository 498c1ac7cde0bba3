//! The likelihood of a logistic regression: a tile of points at a time, one point a lane.
//!
//! For each point w the margins m = X̃ w of a few rows of the data stay in registers, are turned into σ(−m) there,
//! and go into the gradient X̃ᵀ σ(−m), so that none is ever in memory. Every sum runs over the data in their order.

use super::dispatch;
use super::math::{exp_weight, ln};
use super::tile::{WIDEST, pack, unpack, width};
use crate::Cx;
use fearless_simd::prelude::*;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};

/// Rows of data at a time: with two vectors of each, as many sums as sixteen registers hold.
const ROWS: usize = 6;
/// Blocks of rows with a product 1 + exp(−|m|) ≤ 2 each, of which one logarithm is taken.
const BLOCKS: usize = 5;

/// Signed rows x̃ᵢ = ±xᵢ of data, the sign that of the class, set out for [`LogisticRows::eval`].
#[derive(Debug, Clone)]
pub struct LogisticRows {
    d: usize,
    /// [`ROWS`] rows at a time, transposed: number j of them all, then number j + 1. Zeros fill the last ones up.
    packed: Vec<[f64; ROWS]>,
    /// Rows of the last block that are data.
    last: usize,
}

impl LogisticRows {
    /// Of signed data, m × d, both at least 1.
    ///
    /// # Panics
    /// If there is no row or no column.
    #[must_use]
    pub fn new(data: ArrayView2<'_, f64>) -> Self {
        let (m, d) = data.dim();
        assert!(m > 0 && d > 0, "data of {m} rows and {d} columns");
        let at = |i: usize, j: usize| if i < m { data[[i, j]] } else { 0.0 };
        let blocks = (0..m).step_by(ROWS);
        let packed =
            blocks.flat_map(|i| (0..d).map(move |j| std::array::from_fn(|r| at(i + r, j))));
        Self {
            d,
            packed: packed.collect(),
            last: (m - 1) % ROWS + 1,
        }
    }

    /// Columns of the data.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.d
    }

    /// For each row w of `points` (n × d) −Σᵢ ln(1 + exp −mᵢ), m = X̃ w, and its gradient X̃ᵀ σ(−m), each if it is
    /// asked for; σ to 4 units in the last place, and 0 below e⁻⁷⁰⁰. A NaN makes the results of its row NaN.
    ///
    /// Of each term of the sum the part ln(1 + exp(−|m|)) comes from a product of a few; each factor is wrong by half
    /// a unit in the last place of 1, which is no more than a sum of terms above 1 loses.
    ///
    /// # Panics
    /// If a shape is not the one above.
    pub fn eval(
        &self,
        cx: &mut Cx<'_>,
        points: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) {
        let (n, d) = points.dim();
        assert_eq!(d, self.d, "points of another dimension");
        let fit = log_density.as_ref().is_none_or(|l| l.len() == n)
            && gradient.as_ref().is_none_or(|g| g.dim() == (n, d));
        assert!(fit, "results of another shape than {n} points");
        let mut scratch = cx.take(2 * self.d * WIDEST);
        dispatch!(cx.simd().level(), s => self.tiles(s, points, log_density, gradient, &mut scratch));
        cx.give(scratch);
    }

    #[inline(always)]
    fn tiles<S: Simd>(
        &self,
        s: S,
        points: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
        scratch: &mut [f64],
    ) {
        let (n, d) = points.dim();
        let (l, w) = (S::f64s::LEN, width::<S>());
        let (tile, rest) = scratch.split_at_mut(d * w);
        let g = &mut rest[..d * w];
        let mut losses = [0.0; WIDEST];
        for first in (0..n).step_by(w) {
            pack(s, &points, first, tile);
            g.fill(0.0);
            let slopes = gradient.is_some().then_some(&mut *g);
            // Half a tile where it holds all that is left: to the same bits, in half the time.
            if n - first > l {
                self.tile::<S, 2>(s, tile, slopes, &mut losses);
            } else {
                self.tile::<S, 1>(s, tile, slopes, &mut losses);
            }
            if let Some(out) = &mut log_density {
                for (i, loss) in (first..n).zip(&losses[..w]) {
                    out[i] = -loss;
                }
            }
            if let Some(out) = &mut gradient {
                unpack(s, g, first, out);
            }
        }
    }

    /// Losses of the first `V` vectors of a tile, and their gradient if there is room for it.
    #[inline(always)]
    fn tile<S: Simd, const V: usize>(
        &self,
        s: S,
        points: &[f64],
        mut gradient: Option<&mut [f64]>,
        losses: &mut [f64],
    ) {
        let (l, width) = (S::f64s::LEN, width::<S>());
        let [zero, one, infinity] = [0.0, 1.0, f64::INFINITY].map(|v| S::f64s::splat(s, v));
        let (mut linear, mut logarithms) = ([zero; V], [zero; V]);
        let mut product = [one; V];
        let mut left = self.packed.len() / self.d;
        for block in self.packed.chunks_exact(self.d) {
            let mut m = [[zero; V]; ROWS];
            left -= 1;
            for (x, w) in block.iter().zip(points.chunks_exact(width)) {
                let lanes = load::<S, V>(s, w);
                for r in 0..ROWS {
                    let x = S::f64s::splat(s, x[r]);
                    for v in 0..V {
                        m[r][v] = x.mul_add(lanes[v], m[r][v]);
                    }
                }
            }
            if left == 0 {
                // Rows that are no data: an infinite margin adds nothing.
                for m in &mut m[self.last..] {
                    *m = [infinity; V];
                }
            }
            for r in (0..ROWS).step_by(2) {
                for v in 0..V {
                    let two = [m[r][v], m[r + 1][v]];
                    let (factors, sigmas) = parts(s, two);
                    product[v] *= factors;
                    linear[v] += (-two[0]).max(zero);
                    linear[v] += (-two[1]).max(zero);
                    [m[r][v], m[r + 1][v]] = sigmas;
                }
            }
            if left.is_multiple_of(BLOCKS) {
                for v in 0..V {
                    logarithms[v] += ln(s, product[v]);
                    product[v] = one;
                }
            }
            let Some(gradient) = &mut gradient else {
                continue;
            };
            for (x, g) in block.iter().zip(gradient.chunks_exact_mut(width)) {
                let mut lanes = load::<S, V>(s, g);
                for r in 0..ROWS {
                    let x = S::f64s::splat(s, x[r]);
                    for v in 0..V {
                        lanes[v] = x.mul_add(m[r][v], lanes[v]);
                    }
                }
                for v in 0..V {
                    lanes[v].store_slice(&mut g[v * l..][..l]);
                }
            }
        }
        for v in 0..V {
            (linear[v] + logarithms[v]).store_slice(&mut losses[v * l..][..l]);
        }
    }
}

/// The first `V` vectors of a column of a tile.
#[inline(always)]
fn load<S: Simd, const V: usize>(s: S, column: &[f64]) -> [S::f64s; V] {
    let l = S::f64s::LEN;
    let mut lanes = [S::f64s::splat(s, 0.0); V];
    for v in 0..V {
        lanes[v] = S::f64s::from_slice(s, &column[v * l..][..l]);
    }
    lanes
}

/// The product of both 1 + exp(−|m|), and each σ(−m), by one division.
#[inline(always)]
fn parts<S: Simd>(s: S, m: [S::f64s; 2]) -> (S::f64s, [S::f64s; 2]) {
    let one = S::f64s::splat(s, 1.0);
    let e = [exp_weight(s, -m[0].abs()), exp_weight(s, -m[1].abs())];
    let factors = [e[0] + 1.0, e[1] + 1.0];
    let above = [
        m[0].simd_ge(0.0).select(e[0], one),
        m[1].simd_ge(0.0).select(e[1], one),
    ];
    let product = factors[0] * factors[1];
    let inverse = one / product;
    (
        product,
        [
            above[0] * (factors[1] * inverse),
            above[1] * (factors[0] * inverse),
        ],
    )
}
