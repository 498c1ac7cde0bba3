//! Tables that a sampler kept: a temperature ladder against β, any other against its rows.

use super::style::{CHAINS, panel, svg};
use super::{Picture, View};
use crate::report::Table;
use kuva::prelude::{LinePlot, Plot};
use std::collections::BTreeMap;

/// Panels at most.
const PANELS: usize = 8;

pub(super) fn draw(view: &View<'_>) -> Vec<Picture> {
    let tables = view.report.tables.iter();
    tables
        .filter(|(name, t)| *name != super::flow::NAME && t.rows.len() > 1)
        .filter_map(|(name, t)| picture(name, t))
        .collect()
}

type Series = Vec<(f64, f64)>;

fn picture(name: &str, table: &Table) -> Option<Picture> {
    let place = |column: &str| table.columns.iter().position(|c| c == column);
    let beta = place("beta");
    let shown: Vec<usize> = match beta {
        Some(_) => [
            "beta",
            "ess",
            "acceptance",
            "log_z",
            "step_size",
            "families",
        ]
        .into_iter()
        .filter_map(place)
        .collect(),
        None => (0..table.columns.len()).collect(),
    };
    let passes: BTreeMap<u64, Vec<usize>> = match place("pass") {
        None => BTreeMap::from([(1, (0..table.rows.len()).collect())]),
        Some(k) => table.rows.iter().enumerate().fold(
            BTreeMap::new(),
            |mut all: BTreeMap<u64, Vec<usize>>, (r, row)| {
                all.entry(row[k].unwrap_or(0.0) as u64).or_default().push(r);
                all
            },
        ),
    };
    let panels: Vec<_> = shown
        .into_iter()
        .take(PANELS)
        .filter_map(|column| {
            let against = beta.filter(|b| *b != column);
            let series: Vec<Series> = passes
                .values()
                .map(|rows| one(table, rows, against, column))
                .collect();
            Some(draw_panel(
                &series,
                against.is_some(),
                &table.columns[column],
            ))
            .filter(|_| series.iter().any(|s| s.len() > 1))
        })
        .map(Some)
        .collect();
    if panels.is_empty() {
        return None;
    }
    let across = panels.len().min(3);
    let safe: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let twice = if passes.len() > 1 {
        " Blue: the pass that chose the temperatures and step sizes; yellow: the pass with these frozen."
    } else {
        ""
    };
    let (title, caption) = if beta.is_some() {
        (
            "Temperature ladder".to_owned(),
            "The inverse temperature β runs from 0 (base) to 1 (target).".to_owned(),
        )
    } else {
        (
            format!("Table “{name}”"),
            "Each column against the rows.".to_owned(),
        )
    };
    Some(Picture {
        svg: svg(&safe, across, (300.0, 200.0), panels),
        name: safe,
        title,
        caption: format!("{caption}{twice}"),
    })
}

fn one(table: &Table, rows: &[usize], against: Option<usize>, column: usize) -> Series {
    rows.iter()
        .enumerate()
        .filter_map(|(k, r)| {
            let row = &table.rows[*r];
            let x = match against {
                None => (k + 1) as f64,
                // β has the more steps the nearer it is to 0.
                Some(b) => row[b].filter(|b| *b > 0.0)?.log10(),
            };
            Some((x, row[column]?))
        })
        .collect()
}

fn draw_panel(
    series: &[Series],
    against: bool,
    column: &str,
) -> (Vec<Plot>, kuva::prelude::Layout) {
    let all = || series.iter().flatten();
    let low_high = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
            (a.min(v), b.max(v))
        })
    };
    let x = low_high(&mut all().map(|p| p.0));
    let (mut low, mut high) = low_high(&mut all().map(|p| p.1));
    if low >= 0.0 {
        low = 0.0;
    }
    let margin = 0.06 * (high - low);
    high += margin;
    if low < 0.0 {
        low -= margin;
    }
    let content = series
        .iter()
        .enumerate()
        .map(|(k, points)| {
            LinePlot::new()
                .with_data(points.iter().copied())
                .with_color(CHAINS[k % CHAINS.len()])
                .with_stroke_width(1.4)
                .into()
        })
        .collect();
    let label = match column {
        "beta" => "β",
        "ess" => "ESS [particles]",
        "log_z" => "log Z",
        "acceptance" => "acceptance rate",
        "step_size" => "step size",
        "families" => "families [particles]",
        other => other,
    };
    let x_label = if against { "log₁₀ β" } else { "step" };
    (content, panel(x, (low, high), x_label, label))
}
