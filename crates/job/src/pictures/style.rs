//! What all pictures share: colours, sizes, and the last touches on their SVG.

use super::ticks::{Ticks, shortened};
use kuva::plot::annotations::Orientation;
use kuva::prelude::{Layout, LegendEntry, LegendPosition, LegendShape, Plot, SvgBackend};
use kuva::render::figure::Figure;
use kuva::render::theme::Theme;
use kuva::{AxisLabelOverlap, TickFormat};
use std::sync::Arc;

/// What was sampled.
pub(super) const DRAWS: &str = "#56b4e9";
/// What is known.
pub(super) const TRUTH: &str = "#d55e00";
/// Chains, by turns; the blue is lighter than theirs, for a dark page.
pub(super) const CHAINS: [&str; 8] = [
    "#1f86c9", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999933", "#882255",
];

/// A panel with these ranges.
pub(super) fn panel(x: (f64, f64), y: (f64, f64), x_label: &str, y_label: &str) -> Layout {
    let ink = || "currentColor".to_owned();
    let theme = Theme {
        background: "none".into(),
        axis_color: ink(),
        grid_color: "#80808040".into(),
        tick_color: ink(),
        text_color: ink(),
        legend_bg: "none".into(),
        legend_border: "none".into(),
        ..Theme::light()
    };
    let (x, y) = (widened(x), widened(y));
    Layout::new(x, y)
        .with_theme(theme)
        .with_show_grid(false)
        .with_x_label(x_label)
        .with_y_label(y_label)
        .with_x_axis_min(x.0)
        .with_x_axis_max(x.1)
        .with_y_axis_min(y.0)
        .with_y_axis_max(y.1)
        .with_ticks(4)
        .with_title_size(12)
        .with_label_size(12)
        .with_tick_size(10)
        .with_tick_length(3.0)
}

/// A legend of lines beside the panel, names with their colours.
pub(super) fn legend<'a>(
    layout: Layout,
    lines: impl Iterator<Item = (&'a str, &'a str)>,
) -> Layout {
    let entry = |(name, color): (&str, &str)| LegendEntry {
        label: name.to_owned(),
        color: color.to_owned(),
        shape: LegendShape::Line,
        dasharray: None,
    };
    layout
        .with_legend_entries(lines.map(entry).collect())
        .with_legend_position(LegendPosition::OutsideRightTop)
}

/// A range that is not a point.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    if low < high && (high - low) > 1e-12 * low.abs().max(high.abs()) {
        (low, high)
    } else {
        let by = 0.5 * low.abs().max(1e-3);
        (low - by, low + by)
    }
}

/// Pixels of a cell beside its panel, and below and above it, without the labels of the ticks.
const BESIDE: f64 = 50.0;
const BELOW: f64 = 45.0;
/// Width of a character of a tick label, and of an axis label, in pixels.
const TICK_CHARACTER: f64 = 6.0;
const LABEL_CHARACTER: f64 = 7.0;

/// Sizes that kuva draws: spans up to 2.2e-16 are points to it, also those of pixels in units of the data.
const DRAWN: std::ops::Range<f64> = 1e-4..1e8;

/// The power of two that brings a range to about 1 where it is outside of what kuva draws; else 1.
fn unit((low, high): (f64, f64)) -> f64 {
    let largest = low.abs().max(high.abs());
    if DRAWN.contains(&largest) || largest == 0.0 || !largest.is_finite() {
        return 1.0;
    }
    2f64.powi((-largest.log2().round()).clamp(-1000.0, 1000.0) as i32)
}

/// A panel in units in which kuva draws it; ticks and labels are those of the data, and fit into a cell
/// of that size.
fn fitted((mut content, mut layout): (Vec<Plot>, Layout), size: (f64, f64)) -> (Vec<Plot>, Layout) {
    let scale = (unit(layout.x_range), unit(layout.y_range));
    layout = labelled(layout, size, scale);
    if scale == (1.0, 1.0) {
        return (content, layout);
    }
    content.iter_mut().for_each(|plot| rescale(plot, scale));
    for line in &mut layout.reference_lines {
        line.value *= match line.orientation {
            Orientation::Vertical => scale.0,
            Orientation::Horizontal => scale.1,
        };
    }
    let times = |r: (f64, f64), by: f64| (r.0 * by, r.1 * by);
    let (x, y) = (
        times(layout.x_range, scale.0),
        times(layout.y_range, scale.1),
    );
    (layout.x_range, layout.y_range) = (x, y);
    let layout = layout
        .with_x_axis_min(x.0)
        .with_x_axis_max(x.1)
        .with_y_axis_min(y.0)
        .with_y_axis_max(y.1);
    (content, layout)
}

/// What is drawn here, in other units.
fn rescale(plot: &mut Plot, (x, y): (f64, f64)) {
    match plot {
        Plot::Line(line) => {
            for p in &mut line.data {
                (p.x, p.y) = (p.x * x, p.y * y);
            }
        }
        Plot::Scatter(scatter) => {
            for p in &mut scatter.data {
                (p.x, p.y) = (p.x * x, p.y * y);
            }
        }
        Plot::Histogram(histogram) => {
            if let Some((edges, heights)) = &mut histogram.precomputed {
                edges.iter_mut().for_each(|e| *e *= x);
                heights.iter_mut().for_each(|h| *h *= y);
            }
            histogram.range = histogram.range.map(|(a, b)| (a * x, b * x));
        }
        Plot::Contour(contour) => {
            contour.x_coords.iter_mut().for_each(|v| *v *= x);
            contour.y_coords.iter_mut().for_each(|v| *v *= y);
        }
        _ => {}
    }
}

/// Ticks and labels that have room in a cell of that size.
fn labelled(mut layout: Layout, size: (f64, f64), scale: (f64, f64)) -> Layout {
    let height = size.1 - BELOW;
    let y = Ticks::new(layout.y_range, layout.ticks);
    let width = size.0 - BESIDE - TICK_CHARACTER * y.longest() as f64;
    let x = Ticks::side_by_side(layout.x_range, layout.ticks, width);
    let cut = |label: Option<String>, room: f64| {
        label.map(|l| escaped(&shortened(&l, (room / LABEL_CHARACTER) as usize)))
    };
    layout.x_label = cut(layout.x_label, width);
    layout.y_label = cut(layout.y_label, height);
    let format =
        |ticks: Ticks, scale: f64| TickFormat::Custom(Arc::new(move |v| ticks.text(v / scale)));
    layout
        .with_x_tick_step(x.step * scale.0)
        .with_y_tick_step(y.step * scale.1)
        .with_x_tick_format(format(x, scale.0))
        .with_y_tick_format(format(y, scale.1))
        .with_x_label_overlap(AxisLabelOverlap::Thin)
}

/// Dollars begin formulae in labels.
fn escaped(label: &str) -> String {
    label.replace('$', "\\$")
}

/// Panels in a grid, row by row; `None` leaves its place free.
pub(super) fn svg(
    name: &str,
    columns: usize,
    size: (f64, f64),
    panels: Vec<Option<(Vec<Plot>, Layout)>>,
) -> String {
    let rows = panels.len().div_ceil(columns);
    let (mut structure, mut plots, mut layouts) = (Vec::new(), Vec::new(), Vec::new());
    for (cell, panel) in panels.into_iter().enumerate() {
        if let Some(panel) = panel {
            let (content, layout) = fitted(panel, size);
            structure.push(vec![cell]);
            plots.push(content);
            layouts.push(layout);
        }
    }
    let figure = Figure::new(rows, columns)
        .with_structure(structure)
        .with_plots(plots)
        .with_layouts(layouts)
        .with_cell_size(size.0, size.1)
        .with_spacing(6.0)
        .with_padding(4.0);
    finish(name, &SvgBackend::new().render_scene(&figure.render()))
}

/// Rounds coordinates to a hundredth of a pixel, makes identifiers unique on a page with several
/// pictures, lets the picture be scaled, and gives it a name for those who cannot see it.
fn finish(name: &str, svg: &str) -> String {
    let svg = renumbered(name, svg);
    let mut out = String::with_capacity(svg.len());
    let (mut rest, mut in_tag) = (svg.as_str(), false);
    while let Some(dot) = rest.find('.') {
        let (before, after) = rest.split_at(dot + 1);
        // Numbers in labels stay as they are.
        in_tag = match before.bytes().rfind(|b| matches!(b, b'<' | b'>')) {
            Some(last) => last == b'<',
            None => in_tag,
        };
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let number = before.as_bytes().iter().rev().nth(1);
        if digits > 2 && number.is_some_and(u8::is_ascii_digit) && in_tag {
            let whole = before[..dot]
                .bytes()
                .rev()
                .take_while(|b| b.is_ascii_digit() || *b == b'-')
                .count();
            let start = dot - whole;
            out.push_str(&before[..start]);
            let text = &rest[start..dot + 1 + digits];
            match text.parse::<f64>() {
                Ok(v) => out.push_str(&format!("{}", (v * 100.0).round() / 100.0)),
                Err(_) => out.push_str(text),
            }
        } else {
            out.push_str(before);
            out.push_str(&after[..digits]);
        }
        rest = &after[digits..];
    }
    out.push_str(rest);
    let number = |key: &str| -> Option<String> {
        let (_, after) = out.split_once(&format!("{key}=\""))?;
        Some(after.split_once('"')?.0.to_owned())
    };
    if let (Some(w), Some(h)) = (number("width"), number("height")) {
        let size = format!("width=\"{w}\" height=\"{h}\"");
        let scaled = format!("{size} viewBox=\"0 0 {w} {h}\" role=\"img\" aria-label=\"{name}\"");
        out = out.replacen(&size, &scaled, 1);
    }
    // One fill for all text and no background: both are those of the page.
    out.replacen("fill=\"black\"", "fill=\"currentColor\"", 1)
}

/// Clips by the name of the picture and their order in it: kuva numbers them through the life of the
/// program, so that a run that was shown before its end would get another page.
fn renumbered(name: &str, svg: &str) -> String {
    let mut parts = svg.split("kuva-clip-");
    let mut out = parts.next().unwrap_or("").to_owned();
    let mut seen: Vec<&str> = Vec::new();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        let k = seen.iter().position(|n| *n == number).unwrap_or_else(|| {
            seen.push(number);
            seen.len() - 1
        });
        out.push_str(&format!("{name}-clip-{k}{rest}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuva::plot::annotations::ReferenceLine;
    use kuva::prelude::{ContourPlot, Histogram, LinePlot, ScatterPlot};

    #[test]
    fn ranges_are_no_points() {
        assert_eq!(widened((-2.0, 3.0)), (-2.0, 3.0));
        assert_eq!(widened((4.0, 4.0)), (2.0, 6.0));
        assert_eq!(widened((-1e-150, 1e-150)), (-1e-150, 1e-150));
    }

    /// Everything that is drawn in a panel, at sizes near 1 and at others.
    fn drawn(x: f64, y: f64) -> String {
        let edges = (0..=4).map(|k| f64::from(k) * x).collect();
        let heights = [0.5, 2.0, 3.0, 1.0].map(|h| h * y).to_vec();
        let points: Vec<(f64, f64)> = vec![(0.0, 0.0), (x, 2.0 * y), (4.0 * x, 3.0 * y)];
        let rows: Vec<Vec<f64>> = (0..5)
            .map(|i| (0..5).map(|j| f64::from(i * j)).collect())
            .collect();
        let at = |by: f64| (0..5).map(|k| f64::from(k) * by).collect();
        let content: Vec<Plot> = vec![
            Histogram::from_bins(edges, heights).into(),
            LinePlot::new().with_data(points.clone()).into(),
            ScatterPlot::new().with_data(points).into(),
            ContourPlot::new()
                .with_grid(rows, at(x), at(0.75 * y))
                .with_levels(&[3.0, 8.0])
                .into(),
        ];
        let layout = panel((0.0, 4.0 * x), (0.0, 3.2 * y), "x", "y")
            .with_reference_line(ReferenceLine::vertical(1.5 * x))
            .with_reference_line(ReferenceLine::horizontal(0.4 * y));
        let picture = svg("all", 1, (400.0, 300.0), vec![Some((content, layout))]);
        // Labels, which differ, and where they begin.
        let mut out = String::new();
        for part in picture.split("<text").enumerate() {
            let rest = part
                .1
                .split_once("</text>")
                .map_or(part.1, |(_, rest)| rest);
            out.push_str(rest);
        }
        out
    }

    #[test]
    fn pictures_do_not_depend_on_the_units() {
        let one = drawn(1.0, 1.0);
        assert!(one.contains("<path") && one.contains("<circle"), "{one}");
        for (x, y) in [
            (2f64.powi(-500), 2f64.powi(500)),
            (2f64.powi(60), 2f64.powi(-60)),
            (2f64.powi(900), 2f64.powi(-900)),
        ] {
            let other = drawn(x, y);
            let count = |text: &str| {
                ["<path", "<circle", "<rect", "<line"].map(|t| text.matches(t).count())
            };
            assert_eq!(count(&other)[1..3], count(&one)[1..3], "{x} {y}");
            let circles = |text: &str| -> Vec<String> {
                let parts = text.split("<circle").skip(1);
                parts
                    .map(|p| p.split('>').next().unwrap_or("").to_owned())
                    .collect()
            };
            let apart: std::collections::BTreeSet<String> = circles(&other).into_iter().collect();
            assert_eq!(apart.len(), 3, "{x} {y}: {apart:?}");
        }
    }

    #[test]
    fn coordinates_are_rounded_and_labels_are_not() {
        let svg = "<svg width=\"100.5\" height=\"7\" fill=\"black\"><g id=\"kuva-clip-17\" \
                   d=\"M-1.23456,7 L2.5 3.999999\"/><text x=\"0.125678\">3.14159 v0.1.0</text></svg>";
        assert_eq!(
            finish("pairs", svg),
            "<svg width=\"100.5\" height=\"7\" viewBox=\"0 0 100.5 7\" role=\"img\" \
             aria-label=\"pairs\" fill=\"currentColor\"><g id=\"pairs-clip-0\" \
             d=\"M-1.23,7 L2.5 4\"/><text x=\"0.13\">3.14159 v0.1.0</text></svg>"
        );
    }
}
