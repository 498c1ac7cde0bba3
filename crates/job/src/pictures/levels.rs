//! Pictures of certificates: the bound step by step, and errors against the number of steps.

use super::style::{CHAINS, legend, panel, svg};
use crate::certify::{Certificate, Schedules};
use kuva::prelude::{LinePlot, Plot};

/// The picture, where there is a bound.
pub(crate) fn levels(c: &Certificate) -> Option<String> {
    let levels = &c.girsanov.as_ref()?.levels;
    // Per unit of ln(noise level), so that areas compare.
    let mut series: [Vec<(f64, f64)>; 2] = [Vec::new(), Vec::new()];
    for pair in levels.windows(2) {
        let (row, next) = (&pair[0], &pair[1]);
        let width = (row.noise / next.noise).ln();
        if !(width > 0.0 && width.is_finite()) {
            continue;
        }
        let x = 0.5 * (row.noise.log10() + next.noise.log10());
        series[0].push((x, row.discretisation.value / width));
        series[1].push((x, row.score.value / width));
    }
    let all = || series.iter().flatten();
    let fold =
        |start: f64, f: fn(f64, f64) -> f64, v: fn(&(f64, f64)) -> f64| all().map(v).fold(start, f);
    let x = (
        fold(f64::INFINITY, f64::min, |p| p.0),
        fold(f64::NEG_INFINITY, f64::max, |p| p.0),
    );
    let top = fold(0.0, f64::max, |p| p.1);
    if all().count() < 4 || top <= 0.0 {
        return None;
    }
    let plots: Vec<Plot> = series
        .iter()
        .enumerate()
        .map(|(k, points)| {
            LinePlot::new()
                .with_data(points.iter().copied())
                .with_color(CHAINS[k])
                .with_stroke_width(1.6)
                .into()
        })
        .collect();
    let layout = panel(
        x,
        (0.0, 1.06 * top),
        "log₁₀ noise level",
        "nats per e-fold of the noise level",
    );
    let layout = legend(layout, ["discretisation", "score"].into_iter().zip(CHAINS));
    Some(svg(
        "certificate",
        1,
        (560.0, 320.0),
        vec![Some((plots, layout))],
    ))
}

/// log₁₀ of the error against log₁₀ of the steps, a line for each variant and spacing.
pub(crate) fn by_steps(schedules: &Schedules) -> Option<String> {
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    let known = schedules.rows.iter().all(|r| r.w2.is_some());
    for row in &schedules.rows {
        let error = if known {
            row.w2
        } else {
            row.moved_by_steps.map(|e| e.value)
        };
        let Some(error) = error.filter(|e| *e > 0.0) else {
            continue;
        };
        let name = match row.variant.as_str() {
            "" => row.spacing.clone(),
            variant => format!("{}, {}", variant.replace("sampler.", ""), row.spacing),
        };
        let point = ((row.steps as f64).log10(), error.log10());
        match lines.iter_mut().find(|(n, _)| *n == name) {
            Some((_, points)) => points.push(point),
            None => lines.push((name, vec![point])),
        }
    }
    let all = || lines.iter().flat_map(|(_, points)| points);
    if lines.iter().all(|(_, points)| points.len() < 2) {
        return None;
    }
    let range = |v: fn(&(f64, f64)) -> f64| {
        let low = all().map(v).fold(f64::INFINITY, f64::min);
        let high = all().map(v).fold(f64::NEG_INFINITY, f64::max);
        (low, high)
    };
    let ((left, right), (low, high)) = (range(|p| p.0), range(|p| p.1));
    let margin = 0.06 * (high - low).max(0.1);
    let plots: Vec<Plot> = lines
        .iter()
        .enumerate()
        .map(|(k, (_, points))| {
            LinePlot::new()
                .with_data(points.iter().copied())
                .with_color(CHAINS[k % CHAINS.len()])
                .with_stroke_width(1.6)
                .into()
        })
        .collect();
    let label = if known {
        "log₁₀ W₂ to the target"
    } else {
        "log₁₀ rms move by halving steps"
    };
    let layout = panel(
        (left, right),
        (low - margin, high + margin),
        "log₁₀ steps",
        label,
    );
    let layout = legend(
        layout,
        lines
            .iter()
            .map(|(name, _)| name.as_str())
            .zip(CHAINS.into_iter().cycle()),
    );
    Some(svg("steps", 1, (720.0, 360.0), vec![Some((plots, layout))]))
}
