//! The kernel of Gaussian mixtures: a tile of rows at a time, one row a lane.
//!
//! For each row log weights vₖ = ln wₖ − ½ ln det(2π Cₖ) − ½ (x − mₖ)ᵀ Cₖ⁻¹ (x − mₖ), then wₖ = exp(vₖ − max v),
//! ℓ = max v + ln Σ wₖ and ∇ℓ = Σ wₖ Cₖ⁻¹ (mₖ − x) / Σ wₖ. Many components are worked through in chunks
//! that stay in the cache; when a later chunk has a larger maximum, what was summed so far is scaled down.
//!
//! Differences x − m are taken first, never the expanded square, which loses all digits far from the
//! origin. Components whose weight is exactly 0 in all rows of a tile are skipped: they would add 0.

use crate::simd::tile::{Pair, WIDEST, pack, unpack, width};
use fearless_simd::prelude::*;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};

/// Most components at a time.
const CHUNK: usize = 128;
/// Where log density and gradient are to go.
type Outputs<'a> = (
    Option<ArrayViewMut1<'a, f64>>,
    Option<ArrayViewMut2<'a, f64>>,
);

/// What a mixture is made of: see the fields of [`GaussianMixture`](super::GaussianMixture).
#[derive(Clone, Copy)]
pub(super) struct Components<'a> {
    pub(super) d: usize,
    pub(super) constants: &'a [f64],
    pub(super) means: &'a [f64],
    pub(super) inverses: &'a [f64],
    pub(super) log_scale: f64,
}

impl<'a> Components<'a> {
    fn mean(&self, k: usize) -> &'a [f64] {
        &self.means[k * self.d..][..self.d]
    }
}

/// What depends on the form of the covariances. A tile has d columns of `width` rows; `kept` are
/// numbers that stay from [`log_weights`](Form::log_weights) to [`pull`](Form::pull).
pub(super) trait Form {
    /// Components at a time.
    fn chunk(d: usize) -> usize;

    /// Columns kept of each component.
    fn kept(d: usize) -> usize;

    /// Columns of scratch.
    fn scratch(_d: usize) -> usize {
        0
    }

    /// Writes vₖ of the components from `first` on into the columns of `out`.
    fn log_weights<S: Simd>(
        s: S,
        c: &Components<'_>,
        first: usize,
        x: &[f64],
        work: &mut [f64],
        kept: &mut [f64],
        out: &mut [f64],
    );

    /// What weights are multiplied by before [`pull`](Form::pull).
    fn scale(c: &Components<'_>, k: usize) -> f64;

    /// g ← g + Σ w Cₖ⁻¹ (mₖ − x) over the active components. May spoil what was kept.
    fn pull<S: Simd>(
        s: S,
        c: &Components<'_>,
        active: &Active<'_>,
        x: &[f64],
        kept: &mut [f64],
        g: &mut [f64],
    );
}

/// The components of a chunk that have any weight in a tile.
pub(super) struct Active<'a> {
    /// First component of the chunk.
    first: usize,
    /// Their places in the chunk.
    places: &'a [u32],
    /// Their scaled weights, one column each.
    weights: &'a [f64],
}

impl Active<'_> {
    /// Place in the chunk, and column of weights, of each.
    #[inline(always)]
    fn iter<S: Simd>(&self) -> impl Iterator<Item = (&u32, &[f64])> {
        self.places
            .iter()
            .zip(self.weights.chunks_exact(width::<S>()))
    }
}

/// Numbers of scratch that [`evaluate`] needs, at the widest level.
pub(super) fn scratch_len<F: Form>(k: usize, d: usize) -> usize {
    let chunk = F::chunk(d).min(k);
    (2 * d + chunk * (1 + F::kept(d)) + F::scratch(d)) * WIDEST
}

/// Numbers of scratch that [`responsibilities`] needs, at the widest level.
pub(super) fn scratch_len_of_responsibilities<F: Form>(k: usize, d: usize) -> usize {
    let chunk = F::chunk(d).min(k);
    (d + k + chunk * F::kept(d) + F::scratch(d)) * WIDEST
}

/// Log density and gradient of the rows of `x`, each if it is asked for.
#[inline(always)]
pub(super) fn evaluate<S: Simd, F: Form>(
    s: S,
    c: &Components<'_>,
    x: &ArrayView2<'_, f64>,
    (mut log_density, mut gradient): Outputs<'_>,
    scratch: &mut [f64],
) {
    let (n, d, k) = (x.nrows(), c.d, c.constants.len());
    let w = width::<S>();
    let chunk = F::chunk(d).min(k);
    let (tile, rest) = scratch.split_at_mut(d * w);
    let (g, rest) = rest.split_at_mut(d * w);
    let (weights, rest) = rest.split_at_mut(chunk * w);
    let (kept, rest) = rest.split_at_mut(chunk * F::kept(d) * w);
    let work = &mut rest[..F::scratch(d) * w];
    let mut active = [0; CHUNK];
    for row in (0..n).step_by(w) {
        pack(s, x, row, tile);
        if gradient.is_some() {
            g.fill(0.0);
        }
        // From the smallest number up: where all log weights are −∞ there is nothing to subtract.
        let mut max = Pair::splat(s, f64::MIN);
        let mut sum = Pair::splat(s, 0.0);
        for first in (0..k).step_by(chunk) {
            let weights = &mut weights[..chunk.min(k - first) * w];
            F::log_weights(s, c, first, tile, work, kept, weights);
            let before = max;
            max = largest(s, weights, max);
            if first > 0 {
                let factor = (before - max).exp_weight(s);
                sum = sum * factor;
                if gradient.is_some() {
                    scale(s, g, factor);
                }
            }
            if gradient.is_some() {
                let count = weigh::<S, F>(s, c, first, max, &mut sum, weights, &mut active);
                let active = Active {
                    first,
                    places: &active[..count],
                    weights,
                };
                F::pull(s, c, &active, tile, kept, g);
            } else {
                for v in weights.chunks_exact(w) {
                    sum = sum + (Pair::load(s, v) - max).exp_weight(s);
                }
            }
        }
        if let Some(l) = &mut log_density {
            let v = max + sum.ln(s) + Pair::splat(s, c.log_scale);
            let lanes = v.0[0].as_slice().iter().chain(v.0[1].as_slice());
            for (i, v) in (row..n).zip(lanes) {
                l[i] = *v;
            }
        }
        if let Some(out) = &mut gradient {
            scale(s, g, sum.reciprocal_or_zero(s));
            unpack(s, g, row, out);
        }
    }
}

/// Responsibilities of the components for the rows of `x`; n × K.
#[inline(always)]
pub(super) fn responsibilities<S: Simd, F: Form>(
    s: S,
    c: &Components<'_>,
    x: &ArrayView2<'_, f64>,
    out: &mut ArrayViewMut2<'_, f64>,
    scratch: &mut [f64],
) {
    let (n, d, k) = (x.nrows(), c.d, c.constants.len());
    let w = width::<S>();
    let chunk = F::chunk(d).min(k);
    let (tile, rest) = scratch.split_at_mut(d * w);
    let (weights, rest) = rest.split_at_mut(k * w);
    let (kept, rest) = rest.split_at_mut(chunk * F::kept(d) * w);
    let work = &mut rest[..F::scratch(d) * w];
    for row in (0..n).step_by(w) {
        pack(s, x, row, tile);
        for first in (0..k).step_by(chunk) {
            let weights = &mut weights[first * w..][..chunk.min(k - first) * w];
            F::log_weights(s, c, first, tile, work, kept, weights);
        }
        let max = largest(s, weights, Pair::splat(s, f64::MIN));
        let mut sum = Pair::splat(s, 0.0);
        for v in weights.chunks_exact_mut(w) {
            let p = (Pair::load(s, v) - max).exp_weight(s);
            sum = sum + p;
            p.store(v);
        }
        scale(s, weights, sum.reciprocal_or_zero(s));
        unpack(s, weights, row, out);
    }
}

/// The largest number of each row of a tile, and of `max`.
#[inline(always)]
fn largest<S: Simd>(s: S, tile: &[f64], mut max: Pair<S>) -> Pair<S> {
    for v in tile.chunks_exact(width::<S>()) {
        // A NaN may be passed over here; it is in the sum in any case.
        max = Pair::load(s, v).max(max);
    }
    max
}

/// Multiplies all columns of a tile by `factor`; what is multiplied by 0 becomes 0 even where it is not
/// finite, as the pull of a component without weight on a row at infinity.
#[inline(always)]
fn scale<S: Simd>(s: S, tile: &mut [f64], factor: Pair<S>) {
    for v in tile.chunks_exact_mut(width::<S>()) {
        factor.mul_or_zero(s, Pair::load(s, v)).store(v);
    }
}

/// Replaces the log weights of a chunk by the scaled weights of those components that have any, which
/// are moved together and listed in `active`; adds to the `sum` of weights. Gives how many there are.
#[inline(always)]
fn weigh<S: Simd, F: Form>(
    s: S,
    c: &Components<'_>,
    first: usize,
    max: Pair<S>,
    sum: &mut Pair<S>,
    weights: &mut [f64],
    active: &mut [u32; CHUNK],
) -> usize {
    let w = width::<S>();
    let mut total = *sum;
    let mut count = 0;
    for k in 0..(weights.len() / w).min(CHUNK) {
        let p = (Pair::load(s, &weights[k * w..][..w]) - max).exp_weight(s);
        total = total + p;
        let scale = Pair::splat(s, F::scale(c, first + k));
        (p * scale).store(&mut weights[count * w..][..w]);
        active[count] = k as u32;
        count += usize::from(p.any());
    }
    *sum = total;
    count
}

/// C = diag(v), or v I: the factor is 1/v.
pub(super) struct Axes<const DIAGONAL: bool>;

impl<const DIAGONAL: bool> Axes<DIAGONAL> {
    /// `B` components at once: each column of the tile is loaded once for all, and there are as many
    /// independent sums as hide the latency of one.
    #[inline(always)]
    fn distances<S: Simd, const B: usize>(
        s: S,
        c: &Components<'_>,
        k: usize,
        x: &[f64],
        out: &mut [f64],
    ) {
        let (d, w) = (c.d, width::<S>());
        let mut sums = [Pair::splat(s, 0.0); B];
        let mut means = [c.mean(k); B];
        let mut factors = [c.mean(k); B];
        for b in 0..B {
            means[b] = c.mean(k + b);
            if DIAGONAL {
                factors[b] = &c.inverses[(k + b) * d..][..d];
            }
        }
        for (j, x) in x.chunks_exact(w).enumerate().take(d) {
            let x = Pair::load(s, x);
            for b in 0..B {
                let e = x - Pair::splat(s, means[b][j]);
                let fe = if DIAGONAL {
                    e * Pair::splat(s, factors[b][j])
                } else {
                    e
                };
                sums[b] = e.mul_add(fe, sums[b]);
            }
        }
        for b in 0..B {
            let factor = if DIAGONAL {
                -0.5
            } else {
                -0.5 * c.inverses[k + b]
            };
            let (factor, constant) = (Pair::splat(s, factor), Pair::splat(s, c.constants[k + b]));
            sums[b]
                .mul_add(factor, constant)
                .store(&mut out[b * w..][..w]);
        }
    }

    /// `B` columns at once.
    #[inline(always)]
    fn pulls<S: Simd, const B: usize>(
        s: S,
        c: &Components<'_>,
        active: &Active<'_>,
        j: usize,
        x: &[f64],
        g: &mut [f64],
    ) {
        let (d, w) = (c.d, width::<S>());
        let (mut columns, mut sums) = ([Pair::splat(s, 0.0); B], [Pair::splat(s, 0.0); B]);
        for b in 0..B {
            columns[b] = Pair::load(s, &x[(j + b) * w..]);
            sums[b] = Pair::load(s, &g[(j + b) * w..]);
        }
        let means = &c.means[active.first * d + j..];
        let factors = if DIAGONAL {
            &c.inverses[active.first * d + j..]
        } else {
            means
        };
        for (place, p) in active.iter::<S>() {
            let p = Pair::load(s, p);
            let at = *place as usize * d;
            // One check a component; both hold for those of the chunk.
            let (Some(means), Some(factors)) = (means.get(at..at + B), factors.get(at..at + B))
            else {
                break;
            };
            for b in 0..B {
                let p = if DIAGONAL {
                    p * Pair::splat(s, factors[b])
                } else {
                    p
                };
                sums[b] = p.mul_add(Pair::splat(s, means[b]) - columns[b], sums[b]);
            }
        }
        for b in 0..B {
            sums[b].store(&mut g[(j + b) * w..]);
        }
    }
}

impl<const DIAGONAL: bool> Form for Axes<DIAGONAL> {
    fn chunk(_d: usize) -> usize {
        CHUNK
    }

    fn kept(_d: usize) -> usize {
        0
    }

    #[inline(always)]
    fn log_weights<S: Simd>(
        s: S,
        c: &Components<'_>,
        first: usize,
        x: &[f64],
        _work: &mut [f64],
        _kept: &mut [f64],
        out: &mut [f64],
    ) {
        let w = width::<S>();
        let many = out.len() / w;
        let fours = many / 4 * 4;
        for k in (0..fours).step_by(4) {
            Self::distances::<S, 4>(s, c, first + k, x, &mut out[k * w..][..4 * w]);
        }
        for k in fours..many {
            Self::distances::<S, 1>(s, c, first + k, x, &mut out[k * w..][..w]);
        }
    }

    #[inline(always)]
    fn scale(c: &Components<'_>, k: usize) -> f64 {
        if DIAGONAL { 1.0 } else { c.inverses[k] }
    }

    #[inline(always)]
    fn pull<S: Simd>(
        s: S,
        c: &Components<'_>,
        active: &Active<'_>,
        x: &[f64],
        _kept: &mut [f64],
        g: &mut [f64],
    ) {
        let fours = c.d / 4 * 4;
        for j in (0..fours).step_by(4) {
            Self::pulls::<S, 4>(s, c, active, j, x, g);
        }
        let mut j = fours;
        if j + 2 <= c.d {
            Self::pulls::<S, 2>(s, c, active, j, x, g);
            j += 2;
        }
        if j < c.d {
            Self::pulls::<S, 1>(s, c, active, j, x, g);
        }
    }
}

/// C = L Lᵀ: the factor is L⁻¹, a lower triangle (d × d), and y = L⁻¹ (x − m) is kept.
pub(super) struct Dense;

impl Dense {
    /// `B` rows of y at once; the columns of `e` are those of x − m.
    #[inline(always)]
    fn whitened<S: Simd, const B: usize>(
        s: S,
        factor: &[f64],
        d: usize,
        i: usize,
        e: &[f64],
        y: &mut [f64],
    ) {
        let w = width::<S>();
        let mut sums = [Pair::splat(s, 0.0); B];
        let mut rows = [factor; B];
        for (b, row) in rows.iter_mut().enumerate() {
            *row = &factor[(i + b) * d..][..d];
        }
        for (j, e) in e.chunks_exact(w).enumerate().take(d).take(i + 1) {
            let e = Pair::load(s, e);
            for b in 0..B {
                sums[b] = e.mul_add(Pair::splat(s, rows[b][j]), sums[b]);
            }
        }
        // The rest of the triangle, row by row: beyond it are zeros, and 0 · ∞ is NaN.
        for b in 1..B {
            for j in i + 1..=i + b {
                let e = Pair::load(s, &e[j * w..]);
                sums[b] = e.mul_add(Pair::splat(s, rows[b][j]), sums[b]);
            }
        }
        for b in 0..B {
            sums[b].store(&mut y[(i + b) * w..]);
        }
    }

    /// `B` columns of g at once: g ← g + L⁻ᵀ u, u = −w y.
    #[inline(always)]
    fn pulled<S: Simd, const B: usize>(
        s: S,
        factor: &[f64],
        d: usize,
        j: usize,
        u: &[f64],
        g: &mut [f64],
    ) {
        let w = width::<S>();
        let mut sums = [Pair::splat(s, 0.0); B];
        for b in 0..B {
            sums[b] = Pair::load(s, &g[(j + b) * w..]);
        }
        for (u, row) in u.chunks_exact(w).zip(factor.chunks_exact(d)).skip(j) {
            let u = Pair::load(s, u);
            let row = &row[j..][..B];
            for b in 0..B {
                sums[b] = u.mul_add(Pair::splat(s, row[b]), sums[b]);
            }
        }
        for b in 0..B {
            sums[b].store(&mut g[(j + b) * w..]);
        }
    }
}

impl Form for Dense {
    /// As many as keep about 64 KiB.
    fn chunk(d: usize) -> usize {
        (512 / d).clamp(4, CHUNK)
    }

    fn kept(d: usize) -> usize {
        d
    }

    fn scratch(d: usize) -> usize {
        d
    }

    #[inline(always)]
    fn log_weights<S: Simd>(
        s: S,
        c: &Components<'_>,
        first: usize,
        x: &[f64],
        work: &mut [f64],
        kept: &mut [f64],
        out: &mut [f64],
    ) {
        let (d, w) = (c.d, width::<S>());
        let fours = d / 4 * 4;
        for (k, (out, y)) in out
            .chunks_exact_mut(w)
            .zip(kept.chunks_exact_mut(d * w))
            .enumerate()
        {
            let k = first + k;
            let factor = &c.inverses[k * d * d..][..d * d];
            for ((e, x), m) in work
                .chunks_exact_mut(w)
                .zip(x.chunks_exact(w))
                .zip(c.mean(k))
            {
                (Pair::load(s, x) - Pair::splat(s, *m)).store(e);
            }
            for i in (0..fours).step_by(4) {
                Self::whitened::<S, 4>(s, factor, d, i, work, y);
            }
            for i in fours..d {
                Self::whitened::<S, 1>(s, factor, d, i, work, y);
            }
            let mut sum = Pair::splat(s, 0.0);
            for y in y.chunks_exact(w) {
                let y = Pair::load(s, y);
                sum = y.mul_add(y, sum);
            }
            let constant = Pair::splat(s, c.constants[k]);
            sum.mul_add(Pair::splat(s, -0.5), constant).store(out);
        }
    }

    #[inline(always)]
    fn scale(_c: &Components<'_>, _k: usize) -> f64 {
        1.0
    }

    #[inline(always)]
    fn pull<S: Simd>(
        s: S,
        c: &Components<'_>,
        active: &Active<'_>,
        _x: &[f64],
        kept: &mut [f64],
        g: &mut [f64],
    ) {
        let (d, w) = (c.d, width::<S>());
        let fours = d / 4 * 4;
        for (place, p) in active.iter::<S>() {
            let place = *place as usize;
            let factor = &c.inverses[(active.first + place) * d * d..][..d * d];
            let u = &mut kept[place * d * w..][..d * w];
            let p = Pair::splat(s, 0.0) - Pair::load(s, p);
            for u in u.chunks_exact_mut(w) {
                // Where y is infinite the weight is 0, and the product would be NaN.
                p.mul_or_zero(s, Pair::load(s, u)).store(u);
            }
            for j in (0..fours).step_by(4) {
                Self::pulled::<S, 4>(s, factor, d, j, u, g);
            }
            for j in fours..d {
                Self::pulled::<S, 1>(s, factor, d, j, u, g);
            }
        }
    }
}
