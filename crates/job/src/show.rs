//! The page and the pictures of a run, of a finished one as well.

use crate::config::Document;
use crate::draws::{DrawSet, names};
use crate::error::JobError;
use crate::files::write_atomically;
use crate::html::{Stage, page};
use crate::pictures::{Known, Picture, View, pictures};
use crate::plan::Plan;
use crate::report::Report;
use crate::rundir::{RunDir, read_report, refused};
use ndarray::{Array1, Array3, ArrayView1, ArrayView3};
use retrograde_core::{Counts, Registry, Result};
use retrograde_metrics::relative_weights;
use std::path::{Path, PathBuf};

/// Writes `report.html`.
pub(crate) fn write_page(
    dir: &RunDir,
    plan: &Plan,
    report: &Report,
    set: &DrawSet,
    stage: Stage,
) -> Result {
    let known = Known::new(plan, evaluations(&report.evaluations));
    let all = draw(
        report,
        &set.names,
        set.by_chain(),
        set.log_weights(),
        &known,
    );
    let text = page(report, &all, &plan.identity, stage);
    write_atomically(&dir.file("report.html"), |out| {
        out.write_all(text.as_bytes())
    })
}

/// Some draws of the first coordinates, for a picture in a terminal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preview {
    /// Names of the coordinates, two at most; none if there are no draws.
    pub names: Vec<String>,
    /// At most 2000 draws, evenly spaced or by their weights; NaN where there is no second coordinate.
    pub points: Vec<[f64; 2]>,
}

impl Preview {
    pub(crate) fn new(report: &Report, set: &DrawSet) -> Self {
        let known = Known::default();
        let Some(view) = view(
            report,
            &set.names,
            set.by_chain(),
            set.log_weights(),
            &known,
        ) else {
            return Self::default();
        };
        let dim = report.dim.min(2);
        let points = view.chosen(2000).into_iter().map(|r| {
            let second = if dim > 1 { view.at(r, 1) } else { f64::NAN };
            [view.at(r, 0), second]
        });
        Self {
            names: set.names.iter().take(dim).cloned().collect(),
            points: points.collect(),
        }
    }
}

fn evaluations(counts: &Counts) -> u64 {
    counts.density_evals.max(counts.gradient_evals)
}

fn draw(
    report: &Report,
    names: &[String],
    values: ArrayView3<'_, f64>,
    log_weights: Option<ArrayView1<'_, f64>>,
    known: &Known<'_>,
) -> Vec<Picture> {
    view(report, names, values, log_weights, known).map_or_else(Vec::new, |v| pictures(&v))
}

/// `None` where the weights say nothing: what they weigh cannot be drawn either.
fn view<'a>(
    report: &'a Report,
    names: &'a [String],
    values: ArrayView3<'a, f64>,
    log_weights: Option<ArrayView1<'_, f64>>,
    known: &'a Known<'a>,
) -> Option<View<'a>> {
    let weights = log_weights.map(|w| {
        let relative = relative_weights(w);
        let sum: f64 = relative.iter().sum();
        relative.iter().map(|v| v / sum).collect::<Vec<f64>>()
    });
    if weights.iter().flatten().any(|w| w.is_nan()) {
        return None;
    }
    Some(View {
        report,
        names,
        values,
        weights,
        known,
    })
}

/// Draws the pictures of a run directory anew and writes each to `NAME.svg` in `into`: all, or those
/// of the names in `kinds`. What the target knows of its law is laid over them as in `report.html`.
///
/// # Errors
/// [`JobError::Refused`] when the directory is none, its run has not ended, its job cannot be built any
/// more, there is no file of draws in it that can be read, or nothing can be drawn of a kind.
pub fn plot(
    directory: &Path,
    registry: &Registry,
    kinds: &[String],
    into: &Path,
) -> std::result::Result<Vec<PathBuf>, JobError> {
    let report = read_report(directory)?;
    let job = directory.join("job.toml");
    let manifest = crate::rundir::read_manifest(directory)?;
    let document = Document::read(&job)?;
    let plan = Plan::new(&document, registry, &manifest.base)?;
    let read = |name: &str| crate::npy::read(&directory.join(name));
    let Some(mut values) = read("draws.npy").map_err(|e| refused(directory, &e))? else {
        let why = "it has no draws.npy to draw from; run the job with `npy` among its formats";
        return Err(refused(directory, why));
    };
    if let Some(outputs) = read("outputs.npy").map_err(|e| refused(directory, &e))? {
        values = ndarray::concatenate(ndarray::Axis(2), &[values.view(), outputs.view()]).map_err(
            |e| {
                refused(
                    directory,
                    &format!("outputs.npy does not fit draws.npy: {e}"),
                )
            },
        )?;
    }
    let weights = read("log_weights.npy").map_err(|e| refused(directory, &e))?;
    let weights: Option<Array1<f64>> = weights.map(in_order_of_emission);
    let names = names(&plan);
    if values.dim().2 != names.len()
        || weights
            .as_ref()
            .is_some_and(|w| w.len() != values.dim().0 * values.dim().1)
    {
        return Err(refused(directory, "its files of draws do not fit its job"));
    }
    let known = Known::new(&plan, evaluations(&report.evaluations));
    let all = draw(
        &report,
        &names,
        values.view(),
        weights.as_ref().map(|w| w.view()),
        &known,
    );
    for kind in kinds {
        if !all.iter().any(|p| p.name == *kind) {
            let there: Vec<&str> = all.iter().map(|p| p.name.as_str()).collect();
            let there = there.join("`, `");
            let why = format!("there is no picture `{kind}` of this run; there are `{there}`");
            return Err(refused(directory, &why));
        }
    }
    std::fs::create_dir_all(into).map_err(crate::files::io_error("cannot make", into))?;
    let mut written = Vec::new();
    for p in all
        .iter()
        .filter(|p| kinds.is_empty() || kinds.contains(&p.name))
    {
        let path = into.join(format!("{}.svg", p.name));
        write_atomically(&path, |out| out.write_all(p.svg.as_bytes()))?;
        written.push(path);
    }
    Ok(written)
}

/// (chain, draw, 1) as one row a chain and draw, draw by draw.
fn in_order_of_emission(weights: Array3<f64>) -> Array1<f64> {
    let (chains, draws, _) = weights.dim();
    Array1::from_shape_fn(chains * draws, |r| weights[(r % chains, r / chains, 0)])
}
