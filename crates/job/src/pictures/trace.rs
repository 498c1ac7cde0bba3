//! Traces of chains, and the ranks of their draws: chains that agree have flat ranks (Vehtari et al.
//! 2021, arXiv:1903.08008, §5.3).

use super::style::{CHAINS, panel, svg};
use super::view::range;
use super::{Picture, View, every};
use kuva::plot::annotations::ReferenceLine;
use kuva::prelude::{LinePlot, Plot};

/// Coordinates at most.
const ROWS: usize = 4;
/// Points of a trace.
const POINTS: usize = 400;
/// Classes of ranks.
const CLASSES: usize = 20;
/// Chains that lines can be told apart of.
const LINES: usize = 8;

pub(super) fn draw(view: &View<'_>) -> Option<Picture> {
    let (chains, draws, _) = view.values.dim();
    // Particles have no time, and independent draws no memory.
    let particles = view.report.tables.contains_key("ladder") || view.weights.is_some();
    if draws < 2 || particles {
        return None;
    }
    let (columns, out) = view.interesting(ROWS);
    if columns.is_empty() {
        return None;
    }
    let step = draws.div_ceil(POINTS);
    let mut panels = Vec::new();
    for c in &columns {
        let y = range(&view.sorted(*c));
        let lines = (0..chains.min(LINES)).map(|chain| {
            let points = (0..draws)
                .step_by(step)
                .map(|i| (i as f64, view.values[(chain, i, *c)]))
                .filter(|(_, v)| v.is_finite());
            line(points, chain).with_stroke_width(0.6).into()
        });
        let content: Vec<Plot> = lines.collect();
        let layout = panel((0.0, draws as f64), y, "draw", &view.names[*c]);
        panels.push(Some((content, layout)));
        if chains > 1 {
            panels.push(Some(ranks(view, *c)));
        }
    }
    let across = if chains > 1 { 2 } else { 1 };
    let size = if chains > 1 {
        (450.0, 165.0)
    } else {
        (900.0, 165.0)
    };
    let thinned = if step > 1 {
        format!(", {}", every(step))
    } else {
        String::new()
    };
    let shown = if chains > LINES {
        format!("Traces of the first {LINES} of {chains} chains")
    } else if chains > 1 {
        format!("Traces of {chains} chains")
    } else {
        "The draws in their order".into()
    };
    let ranked = if chains > 1 {
        " Right: how often the ranks of a chain's draws among all draws fall into each twentieth, \
         relative to the even share (dashed); chains that agree scatter around 1."
    } else {
        // One chain and particles are stored alike.
        " This is the trace of a chain where the sampler builds one; of particles and independent draws \
         the order says nothing."
    };
    Some(Picture {
        name: "trace".into(),
        title: if chains > 1 {
            "Traces and ranks"
        } else {
            "Draws in their order"
        }
        .into(),
        caption: format!(
            "{shown}{thinned}.{ranked}{}",
            view.left_out(columns.len(), out)
        ),
        svg: svg("trace", across, size, panels),
    })
}

fn line(points: impl IntoIterator<Item = (f64, f64)>, chain: usize) -> LinePlot {
    LinePlot::new()
        .with_data(points)
        .with_color(CHAINS[chain % CHAINS.len()])
}

fn ranks(view: &View<'_>, column: usize) -> (Vec<Plot>, kuva::prelude::Layout) {
    let (chains, draws, _) = view.values.dim();
    let mut order: Vec<usize> = (0..view.total()).collect();
    order.sort_by(|a, b| view.at(*a, column).total_cmp(&view.at(*b, column)));
    let classes = CLASSES.min(draws);
    let mut counts = vec![vec![0.0; classes]; chains];
    for (rank, r) in order.iter().enumerate() {
        counts[r % chains][rank * classes / order.len()] += classes as f64 / draws as f64;
    }
    let top = counts.iter().flatten().copied().fold(1.5, f64::max);
    let content = counts
        .iter()
        .take(LINES)
        .enumerate()
        .map(|(chain, heights)| {
            let steps = heights.iter().enumerate().flat_map(|(k, h)| {
                let at = |k: usize| k as f64 / classes as f64;
                [(at(k), *h), (at(k + 1), *h)]
            });
            line(steps, chain).with_stroke_width(1.0).into()
        })
        .collect();
    let even = ReferenceLine::horizontal(1.0)
        .with_color("currentColor")
        .with_stroke_width(0.8)
        .with_dasharray("4 3");
    let layout = panel(
        (0.0, 1.0),
        (0.0, 1.05 * top),
        "rank / all draws",
        "relative share",
    );
    (content, layout.with_reference_line(even))
}
