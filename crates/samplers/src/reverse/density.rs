//! The density of what a deterministic step leaves: log |det J| of the step's Jacobian J.

use super::{Leg, Rows, Solver};
use crate::chains::{matrix, matrix_mut};
use ndarray::s;
use retrograde_core::{Cx, Result};

/// Step of the central differences of a step's Jacobian, relative to 1 + |x|.
const DIFFERENCE: f64 = 7e-4;

/// log |det| and the sign of the d × d matrix whose columns are the d tangents of `row`; uses `lu`
/// (d × d) as scratch. −∞ and 0 for a singular one.
pub(crate) fn log_det(row: &[f64], d: usize, lu: &mut [f64]) -> (f64, f64) {
    // Tangent j is column j: as rows it is the transpose, of the same determinant.
    lu.copy_from_slice(&row[d..d + d * d]);
    let (mut log, mut sign) = (0.0, 1.0);
    for c in 0..d {
        let pivot = (c..d)
            .max_by(|&a, &b| lu[a * d + c].abs().total_cmp(&lu[b * d + c].abs()))
            .unwrap_or(c);
        if pivot != c {
            (0..d).for_each(|j| lu.swap(pivot * d + j, c * d + j));
            sign = -sign;
        }
        let p = lu[c * d + c];
        if p == 0.0 || p.is_nan() {
            return (f64::NEG_INFINITY, 0.0);
        }
        log += p.abs().ln();
        sign *= p.signum();
        for r in c + 1..d {
            let factor = lu[r * d + c] / p;
            for j in c + 1..d {
                lu[r * d + j] -= factor * lu[c * d + j];
            }
        }
    }
    (log, sign)
}

/// Fills the tangents of the rows of `x` with unit vectors.
pub(crate) fn unit_tangents(x: &mut [f64], leg: &Leg<'_>) {
    let (d, width) = (leg.d, leg.width());
    for row in x.chunks_exact_mut(width) {
        row[d..d + d * d].fill(0.0);
        (0..d).for_each(|j| row[d + j * d + j] = 1.0);
    }
}

/// A step of a solver that does not move tangents, with the Jacobian by central differences of the
/// step itself. Tangents of `x` must be unit vectors; they become the columns of J.
pub(crate) fn step_by_differences<S: Solver>(
    solver: &S,
    cx: &mut Cx<'_>,
    leg: &Leg<'_>,
    x: &mut [f64],
) -> Result {
    let (d, width) = (leg.d, leg.width());
    let n = x.len() / width;
    let plain = Leg {
        tangents: 0,
        trace: None,
        noise_parts: leg.noise_parts.clone(),
        ..*leg
    };
    let [mut base, mut y] = std::array::from_fn(|_| cx.take(n * d));
    matrix_mut(&mut base, d).assign(&matrix(x, width).slice(s![.., ..d]));
    let go = |cx: &mut Cx<'_>, y: &mut [f64]| {
        let rows = Rows {
            x: y,
            memory: &mut [],
            log_backward: None,
        };
        solver.step(cx, &plain, rows)
    };
    for j in 0..d {
        let mut rows = matrix_mut(x, width);
        let mut column = rows.slice_mut(s![.., d + j * d..d + (j + 1) * d]);
        column.fill(0.0);
        for (offset, weight) in [(1.0, 8.0), (-1.0, -8.0), (2.0, -1.0), (-2.0, 1.0)] {
            y.copy_from_slice(&base);
            for row in y.chunks_exact_mut(d) {
                row[j] += offset * DIFFERENCE * (1.0 + row[j].abs());
            }
            go(cx, &mut y)?;
            for ((mut out, y), from) in column
                .outer_iter_mut()
                .zip(y.chunks_exact(d))
                .zip(base.chunks_exact(d))
            {
                let scale = weight / (12.0 * DIFFERENCE * (1.0 + from[j].abs()));
                out.iter_mut().zip(y).for_each(|(o, y)| *o += scale * y);
            }
        }
    }
    go(cx, &mut base)?;
    matrix_mut(x, width)
        .slice_mut(s![.., ..d])
        .assign(&matrix(&base, d));
    [base, y].into_iter().for_each(|v| cx.give(v));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::log_det;

    #[test]
    fn determinants_with_their_sign() {
        let cases = [
            (vec![0.0, 0.0, 2.0, 1.0, 1.0, 3.0], 2, 5.0f64),
            (vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0], 2, -1.0),
            (
                vec![0.0, 0.0, 0.0, 0.0, 2.0, 1.0, 3.0, 0.0, 1.0, 1.0, 4.0, 0.0],
                3,
                14.0,
            ),
        ];
        for (row, d, det) in cases {
            let (log, sign) = log_det(&row, d, &mut vec![0.0; d * d]);
            assert!((sign * log.exp() - det).abs() < 1e-13 * det.abs(), "{det}");
        }
        let singular = log_det(&[0.0, 0.0, 1.0, 2.0, 2.0, 4.0], 2, &mut [0.0; 4]);
        assert_eq!(singular, (f64::NEG_INFINITY, 0.0));
    }
}
