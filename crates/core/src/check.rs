//! Checks of a component against itself, for users who wrote one.

use crate::{Cx, Result, Target};
use ndarray::{Array1, Array2, ArrayView2};

/// What [`gradient`] found.
#[derive(Debug, Clone)]
pub struct GradientReport {
    /// Points compared.
    pub points: usize,
    /// Points left out because the density is −∞ or not finite there.
    pub skipped: usize,
    /// Largest |gradient − difference| / (|gradient|∞ of the row + 1).
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
        // Four points a coordinate, ±h and ±h/2, all coordinates of the row in one batch.
        let mut points = Array2::zeros((4 * d, d));
        let steps: Vec<f64> = x.row(row).iter().map(|v| 1e-3 * v.abs().max(1.0)).collect();
        for j in 0..d {
            for (k, scale) in [1.0, -1.0, 0.5, -0.5].into_iter().enumerate() {
                let mut p = points.row_mut(4 * j + k);
                p.assign(&x.row(row));
                p[j] += scale * steps[j];
            }
        }
        let mut l = Array1::zeros(4 * d);
        cx.eval_target(target, points.view(), Some(l.view_mut()), None)?;
        report.points += 1;
        let scale = gradient.row(row).iter().fold(1.0f64, |m, g| m.max(g.abs()));
        for j in 0..d {
            let slope = |k: usize, h: f64| (l[4 * j + k] - l[4 * j + k + 1]) / (2.0 * h);
            let (coarse, fine) = (slope(0, steps[j]), slope(2, 0.5 * steps[j]));
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
