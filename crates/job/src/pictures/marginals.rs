//! Histograms of coordinates, with the known law of each.

use super::style::{DRAWS, TRUTH, panel, svg};
use super::view::{bins, density, range};
use super::{Picture, View};
use kuva::plot::annotations::ReferenceLine;
use kuva::prelude::{Histogram, LinePlot, Plot};

/// Panels at most.
const PANELS: usize = 12;
/// Points of a curve.
const POINTS: usize = 200;

pub(super) fn draw(view: &View<'_>) -> Option<Picture> {
    if view.total() < 2 {
        return None;
    }
    let (columns, out) = view.interesting(PANELS);
    let mut known = [false; 3];
    let panels: Vec<_> = columns
        .iter()
        .map(|c| {
            let sorted = view.sorted(*c);
            let range = range(&sorted);
            let bins = bins(&sorted, range);
            let heights = density(&sorted, range, bins);
            let edge = |k: usize| range.0 + (range.1 - range.0) * k as f64 / bins as f64;
            let mut top = heights.iter().copied().fold(0.0, f64::max);
            let edges = (0..=bins).map(edge).collect();
            let mut content: Vec<Plot> = vec![
                Histogram::from_bins(edges, heights)
                    .with_color(DRAWS)
                    .into(),
            ];
            let points: Vec<f64> = (0..=POINTS)
                .map(|k| range.0 + (range.1 - range.0) * k as f64 / POINTS as f64)
                .collect();
            let curve = if let Some(curve) = view.known.marginal(*c, &points) {
                known[0] = true;
                Some((points, curve))
            } else {
                view.known.draws(*c).map(|exact| {
                    known[1] = true;
                    let middles = (0..bins).map(|k| 0.5 * (edge(k) + edge(k + 1)));
                    (middles.collect(), density(&exact, range, bins))
                })
            };
            let mut lines = Vec::new();
            if let Some((x, y)) = curve {
                top = y.iter().copied().fold(top, f64::max);
                let line = LinePlot::new()
                    .with_data(x.into_iter().zip(y))
                    .with_color(TRUTH)
                    .with_stroke_width(1.4);
                content.push(line.into());
            } else if let Some(mean) = view.known.mean(*c) {
                known[2] = true;
                let sd = view.known.sd(*c).unwrap_or(0.0);
                let at = [(mean, "none"), (mean - sd, "3 3"), (mean + sd, "3 3")];
                let seen = |x: f64| range.0 < x && x < range.1;
                for (x, dash) in at.into_iter().filter(|(x, _)| seen(*x)) {
                    let line = ReferenceLine::vertical(x).with_color(TRUTH);
                    lines.push(line.with_stroke_width(1.4).with_dasharray(dash));
                }
            }
            let mut layout = panel(range, (0.0, 1.08 * top), &view.names[*c], "density");
            for line in lines {
                layout = layout.with_reference_line(line);
            }
            Some((content, layout))
        })
        .collect();
    if panels.is_empty() {
        return None;
    }
    let told = [
        "the exact marginal density",
        "the density of 20 000 exact draws",
        "the known mean (full) and one standard deviation to each side (dashed)",
    ];
    let told: Vec<&str> = told
        .into_iter()
        .zip(known)
        .filter(|(_, k)| *k)
        .map(|(t, _)| t)
        .collect();
    let truth = if told.is_empty() {
        String::new()
    } else {
        format!(" Orange: {}.", told.join("; "))
    };
    let across = panels.len().clamp(1, 4);
    let size = match across {
        1 => (420.0, 260.0),
        2 => (400.0, 240.0),
        3 => (290.0, 190.0),
        _ => (225.0, 165.0),
    };
    Some(Picture {
        name: "marginals".into(),
        title: "Marginal distributions".into(),
        caption: format!(
            "Blue: histograms of the draws, as densities; 0.1 % at each end is cut off.{truth}{}",
            view.left_out(columns.len(), out)
        ),
        svg: svg("marginals", across, size, panels),
    })
}
