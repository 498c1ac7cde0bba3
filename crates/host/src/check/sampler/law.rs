//! Whether draws look like those of the Gaussian that a sampler was given.

use crate::check::report::Desk;
use crate::check::toys::Gaussian;
use retrograde_core::Collected;

/// Parts that standard errors are taken from.
const PARTS: usize = 20;
/// Standard errors that a person should know of. They are of few parts, and so not exact themselves.
const FAR: f64 = 8.0;

/// Mean of `f` over draws with its standard error, by the means of parts of the run.
fn mean(sink: &Collected, f: impl Fn(ndarray::ArrayView1<'_, f64>) -> f64) -> (f64, f64) {
    let rows = sink.rows();
    let n = rows.nrows();
    let top = sink
        .log_weights
        .iter()
        .fold(f64::NEG_INFINITY, |m, w| m.max(*w));
    let weight = |i: usize| sink.log_weights.get(i).map_or(1.0, |w| (w - top).exp());
    let of = |from: usize, to: usize| {
        let sum = (from..to).fold((0.0, 0.0), |(s, w), i| {
            (s + weight(i) * f(rows.row(i)), w + weight(i))
        });
        (sum.0 / sum.1, sum.1)
    };
    let (all, total) = of(0, n);
    let parts = (0..PARTS).map(|k| of(k * n / PARTS, (k + 1) * n / PARTS));
    let spread: f64 = parts.map(|(m, w)| (w / total * (m - all)).powi(2)).sum();
    (all, (spread * PARTS as f64 / (PARTS - 1) as f64).sqrt())
}

pub(super) fn look(desk: &Desk<'_>, sink: &Collected, d: usize) {
    let law = Gaussian::new(d);
    let n = sink.len();
    if n < 10 * PARTS {
        return desk.ok("law", format!("{n} draws are too few to tell"));
    }
    let mut found: Vec<(String, f64, f64, (f64, f64))> = Vec::new();
    let mut add =
        |what: String, truth: f64, size: f64, value| found.push((what, truth, size, value));
    for j in 0..d {
        add(
            format!("mean of coordinate {j}"),
            law.mean,
            1.0,
            mean(sink, |x| x[j]),
        );
        let square = mean(sink, |x| (x[j] - law.mean).powi(2));
        add(
            format!("variance of coordinate {j}"),
            law.a + law.b,
            1.0,
            square,
        );
    }
    if d > 1 {
        let product = mean(sink, |x| (x[0] - law.mean) * (x[1] - law.mean));
        add(
            "covariance of coordinates 0 and 1".into(),
            law.b,
            1.0,
            product,
        );
    }
    if let Some(log_z) = sink.scalars.get("log_z") {
        let se = sink.scalars.get("log_z_se").copied().unwrap_or(0.1);
        add("log_z".into(), law.log_z(), 1.0, (*log_z, se));
    }
    let z = |(_, truth, size, (value, se)): &(String, f64, f64, (f64, f64))| {
        // A method may have a bias that is small beside the width of the law.
        let z = (value - truth).abs() / (se + 0.02 * size);
        if z.is_nan() { f64::INFINITY } else { z }
    };
    let Some(worst) = found.iter().max_by(|a, b| z(a).total_cmp(&z(b))) else {
        return;
    };
    let (what, truth, _, (value, se)) = worst;
    let text = format!(
        "{n} draws of a Gaussian with known moments; the worst of {}: {what} is {value:.3} ± {se:.3}, the truth is {truth:.3}",
        found.len()
    );
    if z(worst) <= FAR {
        desk.ok("law", text);
    } else {
        desk.warn(
            "law",
            format!("{text}; with these settings the draws are not of the target, or the run is too short"),
        );
    }
}
