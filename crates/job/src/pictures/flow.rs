//! The marginals of a reverse run: bands of quantiles of the first coordinate from noise to data, and
//! those of the process run forwards from exact draws, where there are any.

use super::style::{DRAWS, TRUTH, legend, panel, svg};
use super::{Picture, View};
use kuva::prelude::{LinePlot, Plot};

/// The table that reverse runs keep.
pub(super) const NAME: &str = "flow";

pub(super) fn draw(view: &View<'_>) -> Option<Picture> {
    let table = view.report.tables.get(NAME)?;
    let t = table.columns.iter().position(|c| c == "t")?;
    if table.rows.len() < 2 {
        return None;
    }
    let columns: Vec<usize> = (0..table.columns.len()).filter(|k| *k != t).collect();
    let backward: Vec<Vec<(f64, f64)>> = columns
        .iter()
        .map(|k| {
            let at = |row: &Vec<Option<f64>>| Some((row[t]?, row[*k]?));
            table.rows.iter().filter_map(at).collect()
        })
        .collect();
    let share = |name: &String| Some(name.strip_prefix('q')?.parse::<f64>().ok()? / 100.0);
    let p: Option<Vec<f64>> = columns.iter().map(|k| share(&table.columns[*k])).collect();
    let times: Option<Vec<f64>> = table.rows.iter().map(|row| row[t]).collect();
    let quantiles = times
        .as_ref()
        .zip(p)
        .and_then(|(t, p)| view.known.forward(t, &p));
    let forward: Vec<Vec<(f64, f64)>> = match (&times, quantiles) {
        (Some(times), Some(q)) => (0..columns.len())
            .map(|k| times.iter().zip(&q).map(|(t, q)| (*t, q[k])).collect())
            .collect(),
        _ => Vec::new(),
    };
    let all = || backward.iter().chain(&forward).flatten();
    let ends = |v: fn(&(f64, f64)) -> f64| {
        let low = all().map(v).fold(f64::INFINITY, f64::min);
        (low, all().map(v).fold(f64::NEG_INFINITY, f64::max))
    };
    let (x, (low, high)) = (ends(|p| p.0), ends(|p| p.1));
    let margin = 0.05 * (high - low);
    let line = |points: &Vec<(f64, f64)>, color: &str, width: f64| -> Plot {
        LinePlot::new()
            .with_data(points.iter().copied())
            .with_color(color)
            .with_stroke_width(width)
            .into()
    };
    let mut plots: Vec<Plot> = backward.iter().map(|p| line(p, DRAWS, 2.0)).collect();
    plots.extend(forward.iter().map(|p| line(p, TRUTH, 1.0)));
    let name = view.names.first().map_or("x0", String::as_str);
    let layout = panel(x, (low - margin, high + margin), "t", name);
    let known = (!forward.is_empty()).then_some(("exact", TRUTH));
    let layout = legend(layout, [("the run", DRAWS)].into_iter().chain(known));
    let truth = if forward.is_empty() {
        ""
    } else {
        " Exact: the process run forwards from exact draws of the target."
    };
    Some(Picture {
        name: NAME.into(),
        title: "From noise to data".into(),
        caption: format!(
            "Quantiles (2.5, 16, 33, 67, 84, 97.5 %) of the first coordinate over process time; the run goes \
             from right to left.{truth}"
        ),
        svg: svg(NAME, 1, (640.0, 320.0), vec![Some((plots, layout))]),
    })
}
