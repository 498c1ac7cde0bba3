//! Time grids side by side: which one wins for this target, this score, this many steps.
//!
//! Source of the question: Wang, He & Tao (2024), arXiv:2406.12839: a geometric grid where the score is
//! well trained, a polynomial one where it is less so. E_D and E_S are the discretisation's and the
//! score's share in Girsanov's bound; a score whose squared error is α² times as large has α² E_S.

use super::{Certificate, Effort, certify};
use crate::config::Document;
use crate::error::JobError;
use crate::plan::Plan;
use ndarray::{Array2, ArrayView1};
use retrograde_core::{Registry, Result, Runtime, drive::drive};
use retrograde_metrics::certificate::Estimate;
use serde::Serialize;
use std::path::Path;

/// Bins of equal mass for the total variation.
const BINS: usize = 200;

/// One grid.
#[derive(Debug, Clone, Serialize)]
pub struct ScheduleRow {
    /// What was changed in the job beside the grid; empty for the job itself.
    pub variant: String,
    /// `grid.spacing`.
    pub spacing: String,
    /// Steps.
    pub steps: usize,
    /// Discretisation: nats of the bound (samplers with the noise of the reverse diffusion).
    pub e_d: Option<Estimate>,
    /// Score, likewise.
    pub e_s: Option<Estimate>,
    /// Initialisation, likewise.
    pub e_i: Option<Estimate>,
    /// Bound on KL in all.
    pub kl_bound: Option<Estimate>,
    /// How far steps move the draws, in root mean square.
    pub moved_by_steps: Option<Estimate>,
    /// How far the score's error moves them.
    pub moved_by_score: Option<Estimate>,
    /// W₂ to exact draws, d = 1.
    pub w2: Option<f64>,
    /// Total variation over 200 bins of equal mass of exact draws, d = 1; its noise floor is about
    /// √(200/(π n)).
    pub tv: Option<f64>,
}

/// A pair of grids with the size of the score's error at which they change places.
#[derive(Debug, Clone, Serialize)]
pub struct Crossover {
    /// Steps of both.
    pub steps: usize,
    /// What was changed in the job beside the grid.
    pub variant: String,
    /// The grid that is better for a smaller error of the score.
    pub below: String,
    /// The grid that is better for a larger one.
    pub above: String,
    /// Factor on the squared error of the job's score.
    pub alpha2: f64,
}

/// Grids side by side.
#[derive(Debug, Clone, Serialize)]
pub struct Schedules {
    /// A row for each grid and number of steps.
    pub rows: Vec<ScheduleRow>,
    /// Where pairs of grids change places as the error of the score grows.
    pub crossovers: Vec<Crossover>,
}

/// What a job is certified with.
#[derive(Debug, Clone)]
pub struct Grids {
    /// Changes of the job, each as of `--set`, comma-separated: `sampler.kind=rd-f`. Empty: the job itself.
    pub variants: Vec<String>,
    /// Values of `sampler.grid.spacing`.
    pub spacings: Vec<String>,
    /// Values of `sampler.grid.steps`.
    pub steps: Vec<usize>,
}

/// Certifies a job in each variant, on each spacing, with each number of steps.
///
/// # Errors
/// What planning the changed job, or certifying it, returns.
pub fn compare_schedules(
    document: &Document,
    registry: &Registry,
    base: &Path,
    grids: &Grids,
    effort: Effort,
) -> std::result::Result<Schedules, JobError> {
    let mut rows = Vec::new();
    let own = [String::new()];
    let variants = if grids.variants.is_empty() {
        &own
    } else {
        grids.variants.as_slice()
    };
    for variant in variants {
        for spacing in &grids.spacings {
            for &steps in &grids.steps {
                let mut changed = document.clone();
                let mut set: Vec<String> = variant
                    .split(',')
                    .filter(|change| !change.is_empty())
                    .map(str::to_owned)
                    .collect();
                set.push(format!("sampler.grid.spacing={spacing}"));
                set.push(format!("sampler.grid.steps={steps}"));
                changed.set(&set)?;
                let plan = Plan::new(&changed, registry, base)?;
                let certificate = certify(&plan, registry, effort)?;
                let distances = distances(&plan, effort.draws)?;
                rows.push(ScheduleRow {
                    variant: variant.clone(),
                    ..row(spacing, steps, &certificate, distances)
                });
            }
        }
    }
    Ok(Schedules {
        crossovers: crossovers(&rows),
        rows,
    })
}

fn row(spacing: &str, steps: usize, c: &Certificate, distances: Option<(f64, f64)>) -> ScheduleRow {
    ScheduleRow {
        variant: String::new(),
        spacing: spacing.to_owned(),
        steps,
        e_d: c.girsanov.as_ref().map(|g| g.discretisation),
        e_s: c.girsanov.as_ref().map(|g| g.score),
        e_i: c.initialisation.kl,
        kl_bound: c.kl_bound.map(|b| Estimate {
            value: b.value,
            standard_error: b.standard_error,
        }),
        moved_by_steps: c.discretisation.effect,
        moved_by_score: c.score.effect,
        w2: distances.map(|d| d.0),
        tv: distances.map(|d| d.1),
    }
}

/// Writes a picture of the errors against the number of steps: W₂ to exact draws where it is known, else
/// how far steps move the draws; a line for each variant and spacing.
///
/// # Errors
/// What writing returns; [`Error::Missing`](retrograde_core::Error::Missing) for fewer than two numbers of
/// steps.
pub fn write_schedules_picture(schedules: &Schedules, path: &Path) -> Result {
    let Some(svg) = crate::pictures::by_steps(schedules) else {
        return Err(no_picture());
    };
    crate::files::write_atomically(path, |out| out.write_all(svg.as_bytes()))
}

/// What is said of a comparison of which there is no picture.
#[must_use]
pub fn no_picture() -> retrograde_core::Error {
    retrograde_core::Error::Missing {
        component: "the picture of grids".into(),
        needed: "at least two numbers of steps with errors above 0".into(),
        holder: "the comparison".into(),
        advice: "give `--steps 10,20,40`".into(),
    }
}

/// W₂ and binned total variation between draws of the job and exact ones, in one dimension.
fn distances(plan: &Plan, draws: usize) -> Result<Option<(f64, f64)>> {
    let exact = plan.target.exact().and_then(|exact| exact.sampler());
    let (Some(exact), 1) = (exact, plan.target.dim()) else {
        return Ok(None);
    };
    let mut runtime = Runtime::new(plan.run.seed, plan.run.threads)?;
    let mut kept = super::sink::Kept::new(1);
    drive(plan.sampler.as_ref(), &mut runtime, draws, None, &mut kept)?;
    // Many exact draws, so that the noise is that of the sampler's.
    let many = draws * 8;
    let mut truth = Array2::zeros((many, 1));
    runtime.enter("certify truth", 0, |cx| exact.sample(cx, truth.view_mut()))?;
    let sorted = |x: ArrayView1<'_, f64>| {
        let mut x = x.to_vec();
        x.sort_by(f64::total_cmp);
        x
    };
    let (x, y) = (sorted(kept.x.column(0)), sorted(truth.column(0)));
    let squares = y
        .iter()
        .enumerate()
        .map(|(i, y)| (x[i * draws / many] - y).powi(2));
    let w2 = (squares.sum::<f64>() / many as f64).sqrt();
    let mut counts = vec![0usize; BINS];
    for v in &x {
        let rank = y.partition_point(|y| y < v);
        counts[(rank * BINS / many).min(BINS - 1)] += 1;
    }
    let tv = 0.5
        * counts
            .iter()
            .map(|c| (*c as f64 / draws as f64 - 1.0 / BINS as f64).abs())
            .sum::<f64>();
    Ok(Some((w2, tv)))
}

/// E_D + α² E_S of two grids are equal at one α², if at all.
fn crossovers(rows: &[ScheduleRow]) -> Vec<Crossover> {
    let mut found = Vec::new();
    for (i, a) in rows.iter().enumerate() {
        for b in &rows[i + 1..] {
            let (Some(da), Some(db), Some(sa), Some(sb)) = (a.e_d, b.e_d, a.e_s, b.e_s) else {
                continue;
            };
            let alpha2 = (db.value - da.value) / (sa.value - sb.value);
            let pair = a.steps == b.steps && a.variant == b.variant;
            if !(pair && alpha2 > 0.0 && alpha2.is_finite()) {
                continue;
            }
            let (below, above) = if da.value < db.value { (a, b) } else { (b, a) };
            found.push(Crossover {
                steps: a.steps,
                variant: a.variant.clone(),
                below: below.spacing.clone(),
                above: above.spacing.clone(),
                alpha2,
            });
        }
    }
    found
}
