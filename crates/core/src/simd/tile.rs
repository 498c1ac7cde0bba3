//! Rows as the lanes of vectors.
//!
//! A tile holds [`width`] rows, two vectors of them: column j of the tile is coordinate j of all its rows.

use super::math;
use fearless_simd::prelude::*;
use ndarray::{ArrayView2, ArrayViewMut2};

/// Rows of a tile.
#[inline(always)]
pub(crate) fn width<S: Simd>() -> usize {
    2 * S::f64s::LEN
}

/// A column of a tile: two vectors, so that there are always two sums in flight.
#[derive(Debug)]
pub(crate) struct Pair<S: Simd>(pub(crate) [S::f64s; 2]);

// Derived, this would ask for more of S and would not be inlined, which a vector must be.
impl<S: Simd> Clone for Pair<S> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Simd> Copy for Pair<S> {}

impl<S: Simd> Pair<S> {
    #[inline(always)]
    pub(crate) fn splat(s: S, v: f64) -> Self {
        Self([S::f64s::splat(s, v); 2])
    }

    #[inline(always)]
    pub(crate) fn load(s: S, column: &[f64]) -> Self {
        let l = S::f64s::LEN;
        let (a, b) = column[..2 * l].split_at(l);
        Self([S::f64s::from_slice(s, a), S::f64s::from_slice(s, b)])
    }

    #[inline(always)]
    pub(crate) fn store(self, column: &mut [f64]) {
        let l = S::f64s::LEN;
        let (a, b) = column[..2 * l].split_at_mut(l);
        self.0[0].store_slice(a);
        self.0[1].store_slice(b);
    }

    /// self · a + b
    #[inline(always)]
    pub(crate) fn mul_add(self, a: Self, b: Self) -> Self {
        let [u, v] = self.0;
        Self([u.mul_add(a.0[0], b.0[0]), v.mul_add(a.0[1], b.0[1])])
    }

    #[inline(always)]
    pub(crate) fn max(self, b: Self) -> Self {
        Self([self.0[0].max(b.0[0]), self.0[1].max(b.0[1])])
    }

    #[inline(always)]
    pub(crate) fn exp_weight(self, s: S) -> Self {
        Self([
            math::exp_weight(s, self.0[0]),
            math::exp_weight(s, self.0[1]),
        ])
    }

    #[inline(always)]
    pub(crate) fn ln(self, s: S) -> Self {
        Self([math::ln(s, self.0[0]), math::ln(s, self.0[1])])
    }

    /// 1/v, and 0 where v is 0.
    #[inline(always)]
    pub(crate) fn reciprocal_or_zero(self, s: S) -> Self {
        let (zero, one) = (S::f64s::splat(s, 0.0), S::f64s::splat(s, 1.0));
        let [u, v] = self.0;
        Self([
            u.simd_eq(0.0).select(zero, one / u),
            v.simd_eq(0.0).select(zero, one / v),
        ])
    }

    /// self · b, and 0 where self is 0 whatever b is.
    #[inline(always)]
    pub(crate) fn mul_or_zero(self, s: S, b: Self) -> Self {
        let zero = S::f64s::splat(s, 0.0);
        let [u, v] = self.0;
        Self([
            u.simd_eq(0.0).select(zero, u * b.0[0]),
            v.simd_eq(0.0).select(zero, v * b.0[1]),
        ])
    }

    /// Whether any number is not 0; NaN is not.
    #[inline(always)]
    pub(crate) fn any(self) -> bool {
        self.0[0].simd_ne(0.0).any_true() | self.0[1].simd_ne(0.0).any_true()
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $op:tt) => {
        impl<S: Simd> std::ops::$trait for Pair<S> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, b: Self) -> Self {
                Self([self.0[0] $op b.0[0], self.0[1] $op b.0[1]])
            }
        }
    };
}
operator!(Add, add, +);
operator!(Sub, sub, -);
operator!(Mul, mul, *);

/// The most lanes that a vector has.
const LANES: usize = 8;
/// Rows of a tile at the widest level.
pub(crate) const WIDEST: usize = 2 * LANES;

/// Transposes a square of as many vectors as a vector has lanes. Interleaving the first half with
/// the second moves the highest bit of a row's number to the lowest of a column's; done for every
/// bit, that is the transpose.
#[inline(always)]
fn transpose<S: Simd>(mut square: [S::f64s; LANES]) -> [S::f64s; LANES] {
    let l = S::f64s::LEN;
    for _ in 0..l.trailing_zeros() {
        let before = square;
        for i in 0..l / 2 {
            (square[2 * i], square[2 * i + 1]) = before[i].interleave(before[i + l / 2]);
        }
    }
    square
}

/// Puts the rows of `x` from `first` on, as many as there are and fit, into a tile (d columns). The
/// last row is repeated where there are too few, so that no lane does what no row does.
#[inline(always)]
pub(crate) fn pack<S: Simd>(s: S, x: &ArrayView2<'_, f64>, first: usize, tile: &mut [f64]) {
    let (n, d) = x.dim();
    let (l, w) = (S::f64s::LEN, width::<S>());
    let Some(all) = x.as_slice() else {
        for lane in 0..w {
            let row = x.row((first + lane).min(n - 1));
            for (column, v) in tile.chunks_exact_mut(w).zip(row) {
                column[lane] = *v;
            }
        }
        return;
    };
    let squares = d / l * l;
    for half in 0..2 {
        let mut rows = [all; LANES];
        for (lane, row) in rows.iter_mut().enumerate().take(l) {
            let i = (first + half * l + lane).min(n - 1);
            *row = &all[i * d..][..d];
        }
        for j in (0..squares).step_by(l) {
            let mut square = [S::f64s::splat(s, 0.0); LANES];
            for lane in 0..l {
                square[lane] = S::f64s::from_slice(s, &rows[lane][j..j + l]);
            }
            let square = transpose::<S>(square);
            for column in 0..l {
                square[column].store_slice(&mut tile[(j + column) * w + half * l..][..l]);
            }
        }
        for j in squares..d {
            for lane in 0..l {
                tile[j * w + half * l + lane] = rows[lane][j];
            }
        }
    }
}

/// Puts the rows of a tile into those of `out` from `first` on, as many as there are.
#[inline(always)]
pub(crate) fn unpack<S: Simd>(s: S, tile: &[f64], first: usize, out: &mut ArrayViewMut2<'_, f64>) {
    let (n, d) = out.dim();
    let (l, w) = (S::f64s::LEN, width::<S>());
    let lanes = w.min(n - first);
    let Some(all) = out.as_slice_mut() else {
        for lane in 0..lanes {
            for (v, column) in out
                .row_mut(first + lane)
                .into_iter()
                .zip(tile.chunks_exact(w))
            {
                *v = column[lane];
            }
        }
        return;
    };
    let squares = d / l * l;
    for half in 0..2 {
        let lanes = lanes.saturating_sub(half * l).min(l);
        let rows = &mut all[(first + half * l).min(n) * d..];
        for j in (0..squares).step_by(l) {
            let mut square = [S::f64s::splat(s, 0.0); LANES];
            for column in 0..l {
                let at = &tile[(j + column) * w + half * l..][..l];
                square[column] = S::f64s::from_slice(s, at);
            }
            let square = transpose::<S>(square);
            // A whole tile, which most are, without a branch for each row.
            if lanes == l {
                for lane in 0..l {
                    square[lane].store_slice(&mut rows[lane * d + j..][..l]);
                }
            } else {
                for lane in 0..lanes {
                    square[lane].store_slice(&mut rows[lane * d + j..][..l]);
                }
            }
        }
        for lane in 0..lanes {
            for j in squares..d {
                rows[lane * d + j] = tile[j * w + half * l + lane];
            }
        }
    }
}

/// Overwrites numbers by a function of them; the last vector is padded.
#[inline(always)]
pub(crate) fn map<S: Simd>(s: S, values: &mut [f64], f: impl Fn(S, S::f64s) -> S::f64s) {
    let l = S::f64s::LEN;
    let mut whole = values.chunks_exact_mut(l);
    for chunk in &mut whole {
        f(s, S::f64s::from_slice(s, chunk)).store_slice(chunk);
    }
    let rest = whole.into_remainder();
    if !rest.is_empty() {
        let mut padded = S::f64s::splat(s, 0.0);
        padded.as_mut_slice()[..rest.len()].copy_from_slice(rest);
        rest.copy_from_slice(&f(s, padded).as_slice()[..rest.len()]);
    }
}
