//! Two coordinates at a time: the plane with contours of its density, or the strongest correlations.

use super::style::{CHAINS, DRAWS, TRUTH, panel, svg};
use super::view::range;
use super::{Picture, View};
use kuva::plot::scatter::MarkerShape;
use kuva::prelude::{ContourPlot, LinePlot, Plot, ScatterPlot};

/// Points of the picture of a plane.
const POINTS: usize = 3000;
/// Points of a panel among several.
const FEW_POINTS: usize = 700;
/// Coordinates of a matrix of pairs.
const COORDINATES: usize = 4;
/// Columns that are searched for strong correlations.
const SEARCHED: usize = 64;
/// Standard deviations of a normal law that the contours stand for.
const LEVELS: [f64; 3] = [1.0, 2.0, 3.0];

pub(super) fn draw(view: &View<'_>) -> Option<Picture> {
    if view.total() < 2 {
        return None;
    }
    let (mut columns, _) = view.interesting(SEARCHED);
    // Outputs are functions of the coordinates, and go together without saying anything.
    let coordinates = columns.iter().filter(|c| **c < view.report.dim).count();
    if coordinates > 1 {
        columns.retain(|c| *c < view.report.dim);
    }
    match columns[..] {
        [] | [_] => None,
        [a, b] if view.report.dim == 2 => Some(plane(view, a, b)),
        _ => Some(matrix(view, &columns)),
    }
}

fn points(view: &View<'_>, a: usize, b: usize, most: usize, size: f64) -> Plot {
    let points = view
        .chosen(most)
        .into_iter()
        .map(|r| (view.at(r, a), view.at(r, b)))
        .filter(|(x, y)| x.is_finite() && y.is_finite());
    ScatterPlot::new()
        .with_data(points)
        .with_color(CHAINS[0])
        .with_size(size)
        .with_marker_opacity(0.35)
        .into()
}

fn plane(view: &View<'_>, a: usize, b: usize) -> Picture {
    let centres = view.known.centres(a, b);
    let with = |range: (f64, f64), at: fn(&(f64, f64)) -> f64| {
        let all = centres.iter().map(at);
        let margin = 0.04 * (range.1 - range.0);
        all.fold(range, |r, v| (r.0.min(v - margin), r.1.max(v + margin)))
    };
    let x = with(range(&view.sorted(a)), |c| c.0);
    let y = with(range(&view.sorted(b)), |c| c.1);
    let mut content = vec![points(view, a, b, POINTS, 1.6)];
    let mut caption = format!("{} of {} draws.", view.chosen(POINTS).len(), view.total());
    if let Some((xs, ys, values)) = view.known.contours(x, y) {
        let top = values
            .iter()
            .flatten()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        if top.is_finite() {
            // Infinities have no place between two points.
            let floor = top - 1e4;
            let z = values
                .iter()
                .map(|r| {
                    r.iter()
                        .map(|v| if *v > floor { *v } else { floor })
                        .collect()
                })
                .collect();
            let levels = LEVELS.map(|k| top - 0.5 * k * k);
            let contours = ContourPlot::new()
                .with_grid(z, xs, ys)
                .with_levels(&levels)
                .with_line_color("currentColor")
                .with_line_width(0.7);
            content.push(contours.into());
            caption.push_str(
                " Contours of the log density lie ½, 2 and 4½ below its highest value on the grid \
                 (1, 2 and 3 standard deviations of a normal law).",
            );
        }
    }
    if !centres.is_empty() {
        let n = centres.len();
        let crosses = ScatterPlot::new()
            .with_data(centres)
            .with_color(TRUTH)
            .with_marker(MarkerShape::Cross)
            .with_size(3.5);
        content.push(crosses.into());
        caption.push_str(&format!(" Orange: centres of the {n} components."));
    }
    let layout = panel(x, y, &view.names[a], &view.names[b]).with_ticks(8);
    Picture {
        name: "pairs".into(),
        title: "Joint distribution".into(),
        caption,
        svg: svg("pairs", 1, (600.0, 540.0), vec![Some((content, layout))]),
    }
}

fn matrix(view: &View<'_>, columns: &[usize]) -> Picture {
    let (chosen, strongest) = correlated(view, columns);
    let n = chosen.len();
    let ranges: Vec<_> = chosen.iter().map(|c| range(&view.sorted(*c))).collect();
    let mut panels = Vec::new();
    for i in 0..n {
        for j in 0..n {
            panels.push(match i.cmp(&j) {
                std::cmp::Ordering::Less => None,
                std::cmp::Ordering::Equal => Some(diagonal(view, chosen[i], ranges[i])),
                std::cmp::Ordering::Greater => {
                    let (x, y) = (&view.names[chosen[j]], &view.names[chosen[i]]);
                    let mut content = vec![points(view, chosen[j], chosen[i], FEW_POINTS, 1.2)];
                    if let (Some(a), Some(b)) =
                        (view.known.mean(chosen[j]), view.known.mean(chosen[i]))
                    {
                        let cross = ScatterPlot::new()
                            .with_data([(a, b)])
                            .with_color(TRUTH)
                            .with_marker(MarkerShape::Cross)
                            .with_size(4.0);
                        content.push(cross.into());
                    }
                    Some((content, panel(ranges[j], ranges[i], x, y)))
                }
            });
        }
    }
    let size = if n > 3 {
        (225.0, 205.0)
    } else {
        (290.0, 255.0)
    };
    let truth = if chosen.iter().all(|c| view.known.mean(*c).is_some()) {
        " Orange: the known means."
    } else {
        ""
    };
    Picture {
        name: "pairs".into(),
        title: "Pairs of coordinates".into(),
        caption: format!(
            "The {n} coordinates with the strongest linear correlations (the strongest: {strongest:.2}); {} of \
             {} draws in each panel.{truth}",
            view.chosen(FEW_POINTS).len(),
            view.total()
        ),
        svg: svg("pairs", n, size, panels),
    }
}

fn diagonal(
    view: &View<'_>,
    column: usize,
    range: (f64, f64),
) -> (Vec<Plot>, kuva::prelude::Layout) {
    let sorted = view.sorted(column);
    let bins = super::view::bins(&sorted, range);
    let heights = super::view::density(&sorted, range, bins);
    let top = heights.iter().copied().fold(0.0, f64::max);
    let at = |k: usize| range.0 + (range.1 - range.0) * k as f64 / bins as f64;
    // The outline of the histogram, from the ground to the ground.
    let mut outline = vec![(at(0), 0.0)];
    for (k, h) in heights.iter().enumerate() {
        outline.extend([(at(k), *h), (at(k + 1), *h)]);
    }
    outline.push((at(bins), 0.0));
    let line = LinePlot::new()
        .with_data(outline)
        .with_color(DRAWS)
        .with_stroke_width(1.2)
        .with_fill();
    let name = &view.names[column];
    (
        vec![line.into()],
        panel(range, (0.0, 1.08 * top), name, "density"),
    )
}

/// Coordinates that go together: the strongest pair, then again and again the one that is most
/// correlated with any of them. With the strongest correlation.
fn correlated(view: &View<'_>, columns: &[usize]) -> (Vec<usize>, f64) {
    let rows = view.chosen(4000);
    let scaled: Vec<Vec<f64>> = columns
        .iter()
        .map(|c| {
            let x: Vec<f64> = rows.iter().map(|r| view.at(*r, *c)).collect();
            let n = x.len() as f64;
            let mean = x.iter().map(|v| v / n).sum::<f64>();
            let largest = x.iter().fold(0.0, |m: f64, v| m.max((v - mean).abs()));
            // Squares of what is tiny or huge are no numbers.
            let off: Vec<f64> = x.iter().map(|v| (v - mean) / largest).collect();
            let norm = off.iter().map(|v| v * v).sum::<f64>().sqrt();
            off.iter().map(|v| v / norm).collect()
        })
        .collect();
    let correlation = |a: usize, b: usize| {
        let c: f64 = scaled[a].iter().zip(&scaled[b]).map(|(x, y)| x * y).sum();
        if c.is_finite() { c } else { 0.0 }
    };
    let (mut pair, mut strongest) = ((0, 1), 0.0_f64);
    for a in 0..columns.len() {
        for b in 0..a {
            let c = correlation(a, b);
            if c.abs() > strongest.abs() {
                (pair, strongest) = ((b, a), c);
            }
        }
    }
    let mut chosen = vec![pair.0, pair.1];
    while chosen.len() < COORDINATES.min(columns.len()) {
        let near = |k: &usize| {
            let all = chosen.iter().map(|c| correlation(*c, *k).abs());
            all.fold(0.0, f64::max)
        };
        let rest = (0..columns.len()).filter(|k| !chosen.contains(k));
        // Of equal ones the first.
        let next = rest.rev().max_by(|a, b| near(a).total_cmp(&near(b)));
        chosen.extend(next);
    }
    chosen.sort_unstable();
    (chosen.into_iter().map(|k| columns[k]).collect(), strongest)
}
