//! Importance weights: how unequal they are.

use super::style::{CHAINS, panel, svg};
use super::{Picture, View};
use kuva::plot::annotations::ReferenceLine;
use kuva::prelude::{LinePlot, Plot};

/// Points of a curve.
const POINTS: usize = 400;
/// Weights below this share of the mean one are not told apart.
const LEAST: f64 = 1e-8;

pub(super) fn draw(view: &View<'_>) -> Option<Picture> {
    let weights = view.weights.as_ref()?;
    let mut sorted: Vec<f64> = weights.iter().copied().filter(|w| *w >= 0.0).collect();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let n = sorted.len();
    if n < 2 || sorted[0] <= 0.0 {
        return None;
    }
    let mut sum = 0.0;
    let cumulative: Vec<f64> = sorted
        .iter()
        .map(|w| {
            sum += w;
            sum
        })
        .collect();
    let share = |k: usize| (k + 1) as f64 / n as f64;
    let at: Vec<usize> = (0..POINTS.min(n))
        .map(|k| k * n / POINTS.min(n))
        .chain([n - 1])
        .collect();
    let relative: Vec<(f64, f64)> = at
        .iter()
        .map(|k| (share(*k), (n as f64 * sorted[*k]).max(LEAST).log10()))
        .collect();
    let together: Vec<(f64, f64)> = std::iter::once((0.0, 0.0))
        .chain(at.iter().map(|k| (share(*k), cumulative[*k])))
        .collect();
    let line = |points: Vec<(f64, f64)>| -> Vec<Plot> {
        let line = LinePlot::new().with_data(points).with_color(CHAINS[0]);
        vec![line.with_stroke_width(1.4).into()]
    };
    let low = relative.iter().map(|p| p.1).fold(0.0, f64::min);
    let high = relative[0].1.max(0.2);
    let even = ReferenceLine::horizontal(0.0)
        .with_color("currentColor")
        .with_dasharray("4 3")
        .with_stroke_width(0.8);
    let first = panel(
        (0.0, 1.0),
        (low - 0.1, high + 0.1),
        "share of draws, heaviest first",
        "log₁₀ (n · weight)",
    );
    let second = panel(
        (0.0, 1.0),
        (0.0, 1.02),
        "share of draws, heaviest first",
        "share of weight",
    );
    let panels = vec![
        Some((line(relative), first.with_reference_line(even))),
        Some((line(together), second)),
    ];
    let ess = view.report.weights.map_or(f64::NAN, |w| w.ess);
    Some(Picture {
        name: "weights".into(),
        title: "Importance weights".into(),
        caption: format!(
            "Left: weights relative to equal ones (dashed). Right: the weight that the heaviest draws \
             carry together. Effective sample size (Σw)²/Σw² = {ess:.1} of {n}; the heaviest draw has \
             {:.2} % of the weight.",
            100.0 * sorted[0]
        ),
        svg: svg("weights", 2, (450.0, 260.0), panels),
    })
}
