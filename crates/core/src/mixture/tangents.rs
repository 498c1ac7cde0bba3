//! Derivatives of the gradient of a mixture's log density along tangents.
//!
//! With uₖ = Cₖ⁻¹ (mₖ − x) and responsibilities pₖ, s = Σ pₖ uₖ and
//!
//! (∂s/∂x) τ = Σ pₖ [ −Cₖ⁻¹ τ + (uₖ − s) ((uₖ − s)·τ) ],
//!
//! which is Σ pₖ [−Cₖ⁻¹τ + uₖ (uₖ·τ)] − s (s·τ) without its cancellation.

use super::{Covariances, GaussianMixture, NAME};
use crate::{Cx, Error, Result};
use ndarray::{ArrayView2, ArrayViewMut2};

/// Responsibilities held at a time.
const HELD: usize = 1 << 15;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a4, a_rest) = a.as_chunks::<4>();
    let (b4, b_rest) = b.as_chunks::<4>();
    let mut sum = [0.0; 4];
    for (a, b) in a4.iter().zip(b4) {
        for i in 0..4 {
            sum[i] += a[i] * b[i];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (sum[0] + sum[1]) + (sum[2] + sum[3]) + rest
}

impl GaussianMixture {
    /// Writes (∂∇ℓ/∂x) τ for k tangents a row: `x` is n × d, `tangents` and `out` n × (d k), tangent j
    /// of a row in its columns j d..(j+1) d. Zeros where all densities underflow.
    ///
    /// # Errors
    /// [`Error::Shape`]; [`Error::Missing`] for point masses.
    ///
    /// # Cost
    /// K exponentials a row and, of the components that have any weight there, 4 d multiplications a
    /// tangent (d² more if dense).
    pub fn score_jvp(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        tangents: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let ((n, d), k) = (x.dim(), self.components());
        let columns = tangents.ncols();
        if d != self.means.ncols()
            || !columns.is_multiple_of(d)
            || tangents.nrows() != n
            || out.dim() != tangents.dim()
        {
            let found = format!("{:?} for {:?} points", tangents.dim(), x.dim());
            let expected = format!("n × k d numbers with d = {}", self.means.ncols());
            return Err(Error::shape(NAME, "tangents", expected, found));
        }
        let rows = (HELD / k).clamp(1, crate::BLOCK);
        cx.rows(n, (x, tangents, out), |cx, _, (x, tangents, mut out)| {
            let n = x.nrows();
            let mut held = cx.take(rows * k);
            let mut work = cx.take(5 * d);
            let mut outcome = Ok(());
            for first in (0..n).step_by(rows) {
                let some = rows.min(n - first);
                let part = ndarray::s![first..first + some, ..];
                let mut p = ArrayViewMut2::from_shape((some, k), &mut held[..some * k])
                    .expect("a buffer of that size");
                outcome = self.responsibilities(cx, x.slice(part), p.view_mut());
                if outcome.is_err() {
                    break;
                }
                for r in 0..some {
                    let row = first + r;
                    let p = &held[r * k..][..k];
                    self.row_jvp(p, x, tangents, row, &mut work, &mut out);
                }
            }
            cx.give(work);
            cx.give(held);
            outcome
        })
    }

    /// One row, whose responsibilities are `p`; `work` holds 5 d numbers.
    fn row_jvp(
        &self,
        p: &[f64],
        x: ArrayView2<'_, f64>,
        tangents: ArrayView2<'_, f64>,
        row: usize,
        work: &mut [f64],
        out: &mut ArrayViewMut2<'_, f64>,
    ) {
        let d = x.ncols();
        let (s, work) = work.split_at_mut(d);
        let (u, work) = work.split_at_mut(d);
        let (tau, work) = work.split_at_mut(d);
        let (precision, spare) = work.split_at_mut(d);
        s.fill(0.0);
        for (k, p) in p.iter().enumerate().filter(|(_, p)| **p > 0.0) {
            self.pull_of(k, x, row, u, spare);
            s.iter_mut().zip(&*u).for_each(|(s, u)| *s += p * u);
        }
        let mut out = out.row_mut(row);
        out.fill(0.0);
        for (k, p) in p.iter().enumerate().filter(|(_, p)| **p > 0.0) {
            self.pull_of(k, x, row, u, spare);
            u.iter_mut().zip(&*s).for_each(|(u, s)| *u -= s);
            for first in (0..tangents.ncols()).step_by(d) {
                for (j, tau) in tau.iter_mut().enumerate() {
                    *tau = tangents[(row, first + j)];
                }
                let along = dot(u, tau);
                precision.copy_from_slice(tau);
                self.solve(k, precision, spare);
                for j in 0..d {
                    out[first + j] += p * u[j].mul_add(along, -precision[j]);
                }
            }
        }
    }

    /// Cₖ⁻¹ (mₖ − x) into `u`.
    fn pull_of(
        &self,
        k: usize,
        x: ArrayView2<'_, f64>,
        row: usize,
        u: &mut [f64],
        spare: &mut [f64],
    ) {
        for (j, u) in u.iter_mut().enumerate() {
            *u = self.means[(k, j)] - x[(row, j)];
        }
        self.solve(k, u, spare);
    }

    /// v ← Cₖ⁻¹ v; `spare` has the length of v.
    fn solve(&self, k: usize, v: &mut [f64], spare: &mut [f64]) {
        let d = v.len();
        match &self.covariances {
            Covariances::Isotropic(_) => {
                let inverse = self.inverses[k];
                v.iter_mut().for_each(|v| *v *= inverse);
            }
            Covariances::Diagonal(_) => {
                let inverse = &self.inverses[k * d..][..d];
                v.iter_mut().zip(inverse).for_each(|(v, i)| *v *= i);
            }
            Covariances::Dense(_) => {
                let lower = &self.inverses[k * d * d..][..d * d];
                for (i, y) in spare.iter_mut().enumerate() {
                    *y = dot(&lower[i * d..][..=i], &v[..=i]);
                }
                v.fill(0.0);
                for (i, y) in spare.iter().enumerate() {
                    for (v, l) in v.iter_mut().zip(&lower[i * d..][..=i]) {
                        *v += y * l;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{GaussianMixture, Runtime, Target};
    use ndarray::{Array2, Array3, array, s};

    fn mixtures() -> [GaussianMixture; 3] {
        let w = array![1.0, 3.0, 0.5];
        let m = array![[1.0, -0.5, 0.3], [0.2, 2.0, -1.0], [-1.5, 0.0, 0.4]];
        let dense = Array3::from_shape_fn(
            (3, 3, 3),
            |(k, i, j)| {
                if i == j { 1.0 + k as f64 } else { 0.4 }
            },
        );
        let v = array![[0.3, 0.7, 1.0], [1.0, 0.5, 0.2], [0.4, 0.4, 2.0]];
        [
            GaussianMixture::isotropic(w.clone(), m.clone(), array![0.3, 0.7, 1.1]).unwrap(),
            GaussianMixture::diagonal(w.clone(), m.clone(), v).unwrap(),
            GaussianMixture::dense(w, m, dense).unwrap(),
        ]
    }

    #[test]
    fn tangents_are_those_of_differences() {
        let n = 300;
        let x = Array2::from_shape_fn((n, 3), |(i, j)| ((7 * i + 3 * j) % 23) as f64 / 8.0 - 1.2);
        let tangents =
            Array2::from_shape_fn((n, 6), |(i, j)| ((5 * i + 2 * j) % 13) as f64 / 5.0 - 1.0);
        Runtime::new(0, 1).unwrap().enter("test", 0, |cx| {
            for mixture in mixtures() {
                let mut out = Array2::zeros((n, 6));
                mixture
                    .score_jvp(cx, x.view(), tangents.view(), out.view_mut())
                    .unwrap();
                let mut worst = 0.0f64;
                for t in 0..2 {
                    let tau = tangents.slice(s![.., 3 * t..3 * t + 3]);
                    let mut gradient = |h: f64| {
                        let mut g = Array2::zeros((n, 3));
                        let y = &x + &(&tau * h);
                        mixture
                            .eval(cx, y.view(), None, Some(g.view_mut()))
                            .unwrap();
                        g
                    };
                    let h = 1e-3;
                    let coarse = (gradient(h) - gradient(-h)) / (2.0 * h);
                    let fine = (gradient(h / 2.0) - gradient(-h / 2.0)) / h;
                    let slope = &fine + &((&fine - &coarse) / 3.0);
                    let error = &out.slice(s![.., 3 * t..3 * t + 3]) - &slope;
                    worst = error.iter().fold(worst, |w, e| w.max(e.abs()));
                }
                assert!(worst < 1e-8, "{worst}");
                // A row alone has the same bits.
                let mut one = Array2::zeros((1, 6));
                mixture
                    .score_jvp(
                        cx,
                        x.slice(s![257..258, ..]),
                        tangents.slice(s![257..258, ..]),
                        one.view_mut(),
                    )
                    .unwrap();
                assert_eq!(one.row(0), out.row(257));
            }
        });
    }
}
