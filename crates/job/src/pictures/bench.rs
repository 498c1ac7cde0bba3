//! Pictures of a bench: errors of log Z, errors against time, weights of modes; a panel a target, a colour a sampler.

use super::style::{CHAINS, legend, panel, svg};
use super::ticks::shortened;
use crate::bench::{BenchTable, Metric, TargetRow};
use kuva::plot::annotations::ReferenceLine;
use kuva::prelude::{Layout, Plot, ScatterPlot};

/// Size of a panel in pixels, and panels side by side.
const SIZE: (f64, f64) = (420.0, 260.0);
const ACROSS: usize = 2;
/// Characters of a sampler's name below its points.
const MOST: usize = 18;

/// What is drawn, and its axes.
type Panel = (Vec<Plot>, Layout);

/// Names and pictures, of what there is something to draw of.
pub(crate) fn bench(table: &BenchTable) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |name: &str, panels: Vec<Option<Panel>>| {
        if panels.iter().any(Option::is_some) {
            let across = ACROSS.min(panels.len());
            all.push((name.to_owned(), svg(name, across, SIZE, panels)));
        }
    };
    let names = samplers(table);
    let of = |draw: &dyn Fn(&TargetRow) -> Option<Panel>| -> Vec<_> {
        table
            .targets
            .iter()
            .map(draw)
            .filter(Option::is_some)
            .collect()
    };
    add(
        "log-z-error",
        of(&|t| {
            side_by_side(
                t,
                &names,
                Metric::LogZError,
                bound(table, t, Metric::LogZError),
            )
        }),
    );
    add("error-against-time", of(&|t| against_time(t, &names)));
    for metric in table.metrics.iter().filter(|m| **m != Metric::LogZError) {
        let name = metric.key().replace('_', "-");
        add(
            &name,
            of(&|t| side_by_side(t, &names, *metric, bound(table, t, *metric))),
        );
    }
    all
}

/// Samplers in the order in which they are met; the same colour in all panels.
fn samplers(table: &BenchTable) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in table.targets.iter().flat_map(|t| &t.rows) {
        if !names.contains(&row.sampler.as_str()) {
            names.push(&row.sampler);
        }
    }
    names
}

fn colour(names: &[&str], sampler: &str) -> &'static str {
    let k = names.iter().position(|n| *n == sampler).unwrap_or(0);
    CHAINS[k % CHAINS.len()]
}

/// The aim, where there is one.
fn bound(table: &BenchTable, target: &TargetRow, metric: Metric) -> Option<f64> {
    let aim = table
        .aims
        .iter()
        .find(|a| a.target == target.name && a.metric == metric);
    aim.map(|a| a.bound)
}

/// A column of points for each sampler, a point for each seed; dashed what is aimed at.
fn side_by_side(
    target: &TargetRow,
    all: &[&str],
    metric: Metric,
    bound: Option<f64>,
) -> Option<Panel> {
    let mut plots: Vec<Plot> = Vec::new();
    let (mut low, mut high) = (0.0_f64, 0.0_f64);
    let mut names = Vec::new();
    for (k, row) in target.rows.iter().enumerate() {
        let values: Vec<f64> = row
            .runs
            .iter()
            .filter_map(|r| r.metrics.get(&metric).copied())
            .collect();
        low = values.iter().copied().fold(low, f64::min);
        high = values.iter().copied().fold(high, f64::max);
        // Seeds are set apart, so that like values do not hide one another.
        let middle = 0.5 * (values.len() as f64 - 1.0);
        let apart = 0.25 / middle.max(0.5);
        let points = values
            .iter()
            .enumerate()
            .map(|(i, v)| (k as f64 + 1.0 + apart * (i as f64 - middle), *v));
        names.push(shortened(&row.sampler, MOST));
        plots.push(
            ScatterPlot::new()
                .with_data(points.collect::<Vec<_>>())
                .with_color(colour(all, &row.sampler))
                .with_size(3.0)
                .into(),
        );
    }
    if high <= low {
        return None;
    }
    let bounds = bound.map_or(
        Vec::new(),
        |b| if low < 0.0 { vec![-b, b] } else { vec![b] },
    );
    let most = 10.0 * low.abs().max(high);
    let reach: Vec<f64> = bounds.into_iter().filter(|b| b.abs() < most).collect();
    for b in &reach {
        let b = *b;
        (low, high) = (low.min(b), high.max(b));
    }
    let margin = 0.06 * (high - low);
    let x = (0.4, target.rows.len() as f64 + 0.6);
    let low = if low < 0.0 { low - margin } else { 0.0 };
    let mut layout =
        panel(x, (low, high + margin), &target.name, metric.title()).with_x_categories(names);
    let line = |y: f64, dashes: &str| {
        ReferenceLine::horizontal(y)
            .with_color("currentColor")
            .with_stroke_width(0.8)
            .with_dasharray(dashes)
    };
    if low < 0.0 {
        layout = layout.with_reference_line(line(0.0, "1 0"));
    }
    for b in reach {
        layout = layout.with_reference_line(line(b, "4 3"));
    }
    Some((plots, layout))
}

/// log₁₀ of the root mean square error of log Z against log₁₀ of the seconds of a run.
fn against_time(target: &TargetRow, names: &[&str]) -> Option<Panel> {
    let mut plots: Vec<Plot> = Vec::new();
    let mut points = Vec::new();
    let mut told = Vec::new();
    for row in &target.rows {
        let rms = row
            .metrics
            .get(&Metric::LogZError)
            .map(|s| s.rms)
            .filter(|e| *e > 0.0 && row.seconds > 0.0);
        let Some(rms) = rms else { continue };
        let point = (row.seconds.log10(), rms.log10());
        points.push(point);
        told.push(row.sampler.as_str());
        plots.push(
            ScatterPlot::new()
                .with_data(vec![point])
                .with_color(colour(names, &row.sampler))
                .with_size(5.0)
                .into(),
        );
    }
    if points.is_empty() {
        return None;
    }
    let range = |v: fn(&(f64, f64)) -> f64| {
        let low = points.iter().map(v).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(v).fold(f64::NEG_INFINITY, f64::max);
        let margin = 0.08 * (high - low).max(0.5);
        (low - margin, high + margin)
    };
    let label = format!("{}: log₁₀ seconds", target.name);
    let layout = panel(
        range(|p| p.0),
        range(|p| p.1),
        &label,
        "log₁₀ rms error of log Z",
    );
    let lines = told.iter().map(|n| (*n, colour(names, n)));
    Some((plots, legend(layout, lines)))
}
