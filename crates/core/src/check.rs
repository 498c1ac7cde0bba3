//! Checks of a component against itself, for users who wrote one.

use crate::{Cx, Flag, Result, Severity, Target, Threading};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

mod tails;

pub use tails::{HEAVY_TAILS, NOT_NORMALISABLE, Tails, tails};

/// Says that calls of a target stay on one core, where they do; whatever the number of threads.
#[must_use]
pub fn confined(target: &dyn Target) -> Option<Flag> {
    let traits = target.traits();
    let (why, advice) = if traits.threading != Threading::Concurrent {
        (
            "may not be called by several threads at once",
            "declare RG_THREAD_CONCURRENT in C, or Threading::Concurrent in Rust, if it may be after all",
        )
    } else if !traits.rowwise {
        (
            "wants each batch whole",
            "declare RG_CAP_ROWWISE in C, or rowwise in Rust, if a row does not depend on the others",
        )
    } else {
        return None;
    };
    Some(Flag::new(
        Severity::Note,
        "one_core",
        format!("The target {why}: its evaluations used one core"),
        advice,
    ))
}

/// Coordinates whose differences are taken in one batch, so that a batch is not of d² numbers.
const COORDINATES: usize = 64;

/// Steps of the differences, in units of max(|x|, 1): a smaller one where a larger one ends where the
/// density is −∞, or where halving it changes the slope.
const STEPS: [f64; 4] = [1e-3, 1e-4, 1e-5, 1e-6];
/// Relative change of the slope by halving the step that is small enough: the extrapolated slope is far
/// better than that.
const SETTLED: f64 = 1e-5;

/// What [`gradient`] found.
#[derive(Debug, Clone)]
pub struct GradientReport {
    /// Points compared.
    pub points: usize,
    /// Points left out because the density is −∞ or not finite there.
    pub skipped: usize,
    /// Slopes compared, over all points.
    pub slopes: usize,
    /// Slopes left out because the density is −∞ beside the point, however near.
    pub walls: usize,
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
/// density at the rows of `x`. Error of the differences about 1e-10 relative where ℓ is smooth; up to
/// 1e-10 |ℓ| beside a wall, where steps are smaller so as not to cross it.
///
/// # Errors
/// What evaluating the target returns.
///
/// # Cost
/// 4 d + 1 density evaluations a row, more beside a wall or a pole.
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
        slopes: 0,
        walls: 0,
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
        for (j, difference) in slopes(cx, target, x.row(row))?.into_iter().enumerate() {
            let Some(difference) = difference else {
                report.walls += 1;
                continue;
            };
            report.slopes += 1;
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

/// Differences of the log density at `x` in each coordinate; `None` where a neighbour is −∞.
fn slopes(
    cx: &mut Cx<'_>,
    target: &dyn Target,
    x: ArrayView1<'_, f64>,
) -> Result<Vec<Option<f64>>> {
    // Slope, and how much halving the step changed it.
    let mut found: Vec<Option<(f64, f64)>> = vec![None; x.len()];
    let mut left: Vec<usize> = (0..x.len()).collect();
    for step in STEPS {
        for part in left.chunks(COORDINATES) {
            // Four points a coordinate, ±h and ±h/2.
            let mut points = Array2::zeros((4 * part.len(), x.len()));
            let h = |j: usize| step * x[j].abs().max(1.0);
            for (i, j) in part.iter().enumerate() {
                for (k, scale) in [1.0, -1.0, 0.5, -0.5].into_iter().enumerate() {
                    let mut p = points.row_mut(4 * i + k);
                    p.assign(&x);
                    p[*j] += scale * h(*j);
                }
            }
            let mut l = Array1::zeros(4 * part.len());
            cx.eval_target(target, points.view(), Some(l.view_mut()), None)?;
            for (i, j) in part.iter().enumerate() {
                let slope = |k: usize, h: f64| (l[4 * i + k] - l[4 * i + k + 1]) / (2.0 * h);
                let (coarse, fine) = (slope(0, h(*j)), slope(2, 0.5 * h(*j)));
                let finite = (4 * i..4 * i + 4).all(|k| l[k].is_finite());
                let change = (fine - coarse).abs() / fine.abs().max(1.0);
                if finite && found[*j].is_none_or(|(_, other)| change < other) {
                    found[*j] = Some((fine + (fine - coarse) / 3.0, change));
                }
            }
        }
        left.retain(|j| found[*j].is_none_or(|(_, change)| change > SETTLED));
    }
    Ok(found
        .into_iter()
        .map(|f| f.map(|(slope, _)| slope))
        .collect())
}
