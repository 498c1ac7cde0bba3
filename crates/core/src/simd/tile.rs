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
        Self([math::exp_weight(s, self.0[0]), math::exp_weight(s, self.0[1])])
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

/// Puts the rows of `x` from `first` on, as many as there are and fit, into a tile (d columns). The last row
/// is repeated where there are too few, so that no lane does what no row does.
#[inline(always)]
pub(crate) fn pack<S: Simd>(_: S, x: &ArrayView2<'_, f64>, first: usize, tile: &mut [f64]) {
    let (n, d) = x.dim();
    let w = width::<S>();
    for lane in 0..w {
        let i = (first + lane).min(n - 1);
        let columns = tile.chunks_exact_mut(w);
        if let Some(row) = x.as_slice().and_then(|x| x.get(i * d..(i + 1) * d)) {
            columns.zip(row).for_each(
                #[inline(always)]
                |(c, v)| c[lane] = *v,
            );
        } else {
            columns.zip(x.row(i)).for_each(
                #[inline(always)]
                |(c, v)| c[lane] = *v,
            );
        }
    }
}

/// Puts the rows of a tile into those of `out` from `first` on, as many as there are.
#[inline(always)]
pub(crate) fn unpack<S: Simd>(
    _: S,
    tile: &[f64],
    first: usize,
    out: &mut ArrayViewMut2<'_, f64>,
) {
    let (n, d) = out.dim();
    let w = width::<S>();
    for lane in 0..w.min(n - first) {
        let i = first + lane;
        let columns = tile.chunks_exact(w);
        if let Some(row) = out
            .as_slice_mut()
            .and_then(|x| x.get_mut(i * d..(i + 1) * d))
        {
            row.iter_mut().zip(columns).for_each(
                #[inline(always)]
                |(v, c)| *v = c[lane],
            );
        } else {
            out.row_mut(i).into_iter().zip(columns).for_each(
                #[inline(always)]
                |(v, c)| *v = c[lane],
            );
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
