//! Cholesky factor of a dense matrix and products with triangular ones, in panels whose bulk is
//! done by `general_mat_mul`. Enough for Gaussian-process targets; no general linear algebra.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

/// Rows of a panel.
const PANEL: usize = 64;

/// Starts and ends of the panels of d rows.
fn panels(d: usize) -> impl DoubleEndedIterator<Item = (usize, usize)> {
    (0..d.div_ceil(PANEL)).map(move |k| (k * PANEL, d.min((k + 1) * PANEL)))
}

/// Lower L with L Lᵀ = `a` (symmetric, d × d; the lower half is read); `None` if `a` is not
/// positive definite to rounding.
pub(crate) fn cholesky(mut a: Array2<f64>) -> Option<Array2<f64>> {
    let d = a.nrows();
    for (first, end) in panels(d) {
        // The panel's columns; what earlier columns contribute was taken off before.
        for j in first..end {
            for i in j..d {
                let done: f64 = (first..j).map(|k| a[(i, k)] * a[(j, k)]).sum();
                let rest = a[(i, j)] - done;
                if i == j && !(rest > 0.0 && rest.is_finite()) {
                    return None;
                }
                a[(i, j)] = if i == j {
                    rest.sqrt()
                } else {
                    rest / a[(j, j)]
                };
            }
        }
        let (left, mut right) = a.view_mut().split_at(ndarray::Axis(1), end);
        let left = left.slice(s![.., first..]);
        for (from, to) in panels(d).filter(|(_, to)| *to > end) {
            let from = from.max(end);
            let rows = left.slice(s![from..to, ..]);
            let columns = left.slice(s![end..to, ..]);
            let mut rest = right.slice_mut(s![from..to, ..to - end]);
            general_mat_mul(-1.0, &rows, &columns.t(), 1.0, &mut rest);
        }
    }
    for i in 0..d {
        a.slice_mut(s![i, i + 1..]).fill(0.0);
    }
    Some(a)
}

/// L⁻¹ of a lower triangular matrix with positive diagonal.
pub(crate) fn lower_inverse(l: &Array2<f64>) -> Array2<f64> {
    let d = l.nrows();
    let mut inverse = Array2::eye(d);
    for (first, end) in panels(d) {
        let (above, mut here) = inverse.view_mut().split_at(ndarray::Axis(0), first);
        let mut here = here.slice_mut(s![..end - first, ..end]);
        let known = above.slice(s![.., ..end]);
        general_mat_mul(
            -1.0,
            &l.slice(s![first..end, ..first]),
            &known,
            1.0,
            &mut here,
        );
        for i in 0..end - first {
            let (known, mut row) = here.view_mut().split_at(ndarray::Axis(0), i);
            let mut row = row.row_mut(0);
            for (k, known) in known.rows().into_iter().enumerate() {
                row.scaled_add(-l[(first + i, first + k)], &known);
            }
            row /= l[(first + i, first + i)];
        }
    }
    inverse
}

/// out = x Lᵀ, row by row L x; skips the zeros of L.
pub(crate) fn times_lower_transposed(
    x: ArrayView2<'_, f64>,
    l: &Array2<f64>,
    out: &mut ArrayViewMut2<'_, f64>,
) {
    for (first, end) in panels(l.nrows()) {
        let panel = l.slice(s![first..end, ..end]);
        let mut out = out.slice_mut(s![.., first..end]);
        general_mat_mul(1.0, &x.slice(s![.., ..end]), &panel.t(), 0.0, &mut out);
    }
}

/// out = scale · x L + add · out, row by row Lᵀ x; skips the zeros of L.
pub(crate) fn times_lower(
    scale: f64,
    x: ArrayView2<'_, f64>,
    l: &Array2<f64>,
    add: f64,
    out: &mut ArrayViewMut2<'_, f64>,
) {
    for (first, end) in panels(l.nrows()) {
        let panel = l.slice(s![first.., first..end]);
        let mut out = out.slice_mut(s![.., first..end]);
        general_mat_mul(scale, &x.slice(s![.., first..]), &panel, add, &mut out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_testkit::point;

    #[test]
    fn factor_inverse_and_products() {
        for d in [1, 5, 64, 65, 200] {
            let a = Array2::from_shape_fn((d, d), |(i, j)| (-0.3 * i.abs_diff(j) as f64).exp());
            let l = cholesky(a.clone()).expect("positive definite");
            let near = |got: &Array2<f64>, want: &Array2<f64>, what: &str| {
                let worst = (got - want).iter().fold(0.0f64, |m, v| m.max(v.abs()));
                assert!(worst < 1e-13, "{what} at d = {d}: {worst:e}");
            };
            near(&l.dot(&l.t()), &a, "L Lᵀ");
            let inverse = lower_inverse(&l);
            near(&inverse.dot(&l), &Array2::eye(d), "L⁻¹ L");
            let x = Array2::from_shape_fn((3, d), |(i, j)| point(d)[j] * (i + 1) as f64);
            let mut out = Array2::from_elem((3, d), f64::NAN);
            times_lower_transposed(x.view(), &l, &mut out.view_mut());
            near(&out, &x.dot(&l.t()), "x Lᵀ");
            let before = out.clone();
            times_lower(2.0, x.view(), &l, -1.0, &mut out.view_mut());
            near(&out, &(2.0 * x.dot(&l) - before), "2 x L − out");
        }
        // Every two of the three variables have correlation −0.9: impossible for three.
        let a = Array2::from_shape_fn((3, 3), |(i, j)| if i == j { 1.0 } else { -0.9 });
        assert!(cholesky(a).is_none());
    }
}
