//! Checks of a component against itself, for users who wrote one.

use crate::{Cx, Result, Target};
use ndarray::{Array1, Array2, ArrayView2};

/// Coordinates whose differences are taken in one batch, so that a batch is not of d² numbers.
const COORDINATES: usize = 64;

/// What [`gradient`] found.
#[derive(Debug, Clone)]
pub struct GradientReport {
    /// Points compared.
    pub points: usize,
    /// Points left out because the density is −∞ or not finite there.
    pub skipped: usize,
    /// Largest |gradient − difference| / max(|gradient|∞ of the row, 1).
    pub worst: f64,
    /// Where the worst is.
    pub at: Option<GradientMismatch>,
}

/// A coordinate where gradient and differences disagree most.
#[derive(Debug, Clone)]
pub struct GradientMismatch {
    /// Row of the points.
    pub row: usize,
    /// Coordinate.
    pub coordinate: usize,
    /// What the target says.
    pub gradient: f64,
    /// What differences of the log density say.
    pub difference: f64,
}

/// Compares the gradient of a target with Richardson-extrapolated central differences of its log
/// density at the rows of `x`. Error of the differences about 1e-10 relative where ℓ is smooth.
///
/// # Errors
/// What evaluating the target returns.
///
/// # Cost
/// 4 d + 1 density evaluations a row.
pub fn gradient(
    cx: &mut Cx<'_>,
    target: &dyn Target,
    x: ArrayView2<'_, f64>,
) -> Result<GradientReport> {
    let (n, d) = x.dim();
    let mut value = Array1::zeros(n);
    let mut gradient = Array2::zeros((n, d));
    cx.eval_target(target, x, Some(value.view_mut()), Some(gradient.view_mut()))?;
    let mut report = GradientReport {
        points: 0,
        skipped: 0,
        worst: 0.0,
        at: None,
    };
    for row in 0..n {
        if !value[row].is_finite() {
            report.skipped += 1;
            continue;
        }
        report.points += 1;
        let scale = gradient.row(row).iter().fold(1.0f64, |m, g| m.max(g.abs()));
        let mut slopes = Vec::with_capacity(d);
        for first in (0..d).step_by(COORDINATES) {
            // Four points a coordinate, ±h and ±h/2.
            let part = COORDINATES.min(d - first);
            let mut points = Array2::zeros((4 * part, d));
            let step = |i: usize| 1e-3 * x[(row, first + i)].abs().max(1.0);
            for i in 0..part {
                for (k, scale) in [1.0, -1.0, 0.5, -0.5].into_iter().enumerate() {
                    let mut p = points.row_mut(4 * i + k);
                    p.assign(&x.row(row));
                    p[first + i] += scale * step(i);
                }
            }
            let mut l = Array1::zeros(4 * part);
            cx.eval_target(target, points.view(), Some(l.view_mut()), None)?;
            slopes.extend((0..part).map(|i| {
                let slope = |k: usize, h: f64| (l[4 * i + k] - l[4 * i + k + 1]) / (2.0 * h);
                (slope(0, step(i)), slope(2, 0.5 * step(i)))
            }));
        }
        for (j, (coarse, fine)) in slopes.into_iter().enumerate() {
            let difference = fine + (fine - coarse) / 3.0;
            let error = (gradient[(row, j)] - difference).abs() / scale;
            if error > report.worst || error.is_nan() {
                report.worst = if error.is_nan() { f64::INFINITY } else { error };
                report.at = Some(GradientMismatch {
                    row,
                    coordinate: j,
                    gradient: gradient[(row, j)],
                    difference,
                });
            }
        }
    }
    Ok(report)
}
