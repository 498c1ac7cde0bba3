//! Laws: the gradient of a log density is that of the log density, and draws are of it.
//!
//! For draws x of p on all of space, E[∇ log p] = 0 and E[(x − c) · ∇ log p] = −d for every c; on a part of
//! it, E[w ∂ log p + ∂w] = 0 for w that are 0 at its ends (integration by parts). For a normalised r inside
//! of p, E[r / p] = 1.

use super::derivatives::coordinates;
use super::{Outcome, Subject};
use crate::check::differences::{Worst, along};
use crate::check::slot::{Rows, Slot};
use crate::check::target::{compare, tell};

/// Points at which derivatives are compared.
const POINTS: usize = 8;
/// Draws.
const DRAWS: usize = 10_000;
/// Standard errors that an estimate may be from its value: one in 2 million is by chance.
const FAR: f64 = 5.0;
/// The most dimensions in which a density is looked at for its integral.
const DIM: usize = 4;

pub(super) fn look<'s, 'a: 's>(
    s: &Subject<'_>,
    of: &dyn Fn(&str) -> Option<&'s Slot<'a>>,
) -> Outcome {
    let n = DRAWS.min(4_000_000 / s.d).max(100);
    if let Some(eval) = of("ref_eval") {
        slopes(s, eval, "ref_eval", None)?;
        if let Some(sample) = of("ref_sample") {
            let x = sample
                .values(s.desk, &Rows::new(n, Vec::new()), s.desk.seed)?
                .swap_remove(0);
            draws(
                s,
                eval,
                None,
                &x,
                "reference",
                "draws of ref_sample() against ref_eval()",
                true,
            )?;
        }
    }
    if let Some(score) = of("transition_score") {
        let start = &s.x[..s.d];
        let xs = start.repeat(n);
        slopes(s, score, "transition", Some(start))?;
        if let Some(sample) = of("transition_sample") {
            let x = sample
                .values(s.desk, &Rows::new(n, vec![xs.clone()]), s.desk.seed)?
                .swap_remove(0);
            let what = "draws of transition_sample() against transition_score()";
            draws(s, score, Some(&xs), &x, "transition", what, true)?;
        }
        if let Some(map) = of("forward_map") {
            let z = crate::check::random::normals(s.desk.seed, "noise", n * s.d);
            let x = map
                .values(s.desk, &Rows::new(n, vec![xs.clone(), z]), s.desk.seed)?
                .swap_remove(0);
            // A map may be an approximation of the process.
            let what = "forward_map() of normal noise against transition_score()";
            draws(s, score, Some(&xs), &x, "forward_map", what, false)?;
        }
    }
    Ok(())
}

/// Log density and gradient at x, from `start` for a transition.
fn at(
    s: &Subject<'_>,
    slot: &Slot<'_>,
    start: Option<&[f64]>,
    x: &[f64],
) -> Result<Vec<Vec<f64>>, String> {
    let n = x.len() / s.d;
    let mut arrays: Vec<Vec<f64>> = start.iter().map(|xs| xs[..s.d].repeat(n)).collect();
    arrays.push(x.to_vec());
    slot.values(s.desk, &Rows::new(n, arrays), s.desk.seed)
}

fn slopes(s: &Subject<'_>, slot: &Slot<'_>, check: &str, start: Option<&[f64]>) -> Outcome {
    let d = s.d;
    let points = s.n.min(POINTS);
    // Not at the start itself.
    let skip = usize::from(start.is_some() && s.n > points);
    let x = &s.x[skip * d..(skip + points) * d];
    let claimed = at(s, slot, start, x)?.swap_remove(1);
    let mut worst = Worst::default();
    let mut f = |p: &[f64], _: usize| Ok(at(s, slot, start, p)?.swap_remove(0));
    for j in coordinates(d) {
        let v: Vec<f64> = (0..points * d).map(|k| f64::from(k % d == j)).collect();
        let found = along(&mut f, x, &v, points, 1)?;
        let one: Vec<f64> = claimed.chunks(d).map(|r| r[j]).collect();
        compare(&mut worst, &one, &found, 1);
    }
    let what = format!(
        "the gradient of {}() against differences of its log density",
        slot.name
    );
    tell(s.desk, check, &worst, &what);
    Ok(())
}

fn mean_se(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let v: Vec<f64> = values.collect();
    let n = v.len() as f64;
    let mean = v.iter().sum::<f64>() / n;
    let variance = v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[allow(clippy::too_many_arguments)] // what, against what, and how it is told
fn draws(
    s: &Subject<'_>,
    slot: &Slot<'_>,
    start: Option<&[f64]>,
    x: &[f64],
    check: &str,
    what: &str,
    must: bool,
) -> Outcome {
    let (desk, d) = (s.desk, s.d);
    let mut out = at(s, slot, start, x)?;
    let (gradient, logp) = (out.swap_remove(1), out.swap_remove(0));
    if let Some(row) = logp.iter().position(|l| !l.is_finite()) {
        let text = format!("{what}: the log density is {} at draw {row}", logp[row]);
        desk.fail(check, text);
        return Ok(());
    }
    let n = logp.len() as f64;
    let mut found = if s.support == (f64::NEG_INFINITY, f64::INFINITY) {
        everywhere(d, x, &gradient)
    } else {
        inside(s, x, &gradient)
    };
    if let Some((mean, se)) = integral(s, x, &logp) {
        found.push(("the integral of the density".into(), mean, 1.0, se));
    }
    let far = |f: &Estimate| {
        let z = (f.1 - f.2).abs() / f.3.max(1e-12);
        if z.is_nan() { f64::INFINITY } else { z }
    };
    let Some(worst) = found.iter().max_by(|a, b| far(a).total_cmp(&far(b))) else {
        return Ok(());
    };
    let (name, mean, truth, se) = worst;
    let text = format!(
        "{what}, {n} draws: the worst of {} is {name}, {mean:.4} ± {se:.4} where it must be {truth}",
        found.len()
    );
    if far(worst) <= FAR {
        desk.ok(check, text);
    } else if must {
        desk.fail(
            check,
            format!("{text}: draws and density are not of one law"),
        );
    } else {
        desk.warn(check, format!("{text}: the map is not of that law"));
    }
    Ok(())
}

/// What it is an estimate of, the estimate, what it must be, and its standard error.
type Estimate = (String, f64, f64, f64);

/// Both identities, for a density on all of space.
fn everywhere(d: usize, x: &[f64], gradient: &[f64]) -> Vec<Estimate> {
    let n = (x.len() / d) as f64;
    let mut found: Vec<Estimate> = coordinates(d)
        .into_iter()
        .map(|j| {
            let (mean, se) = mean_se(gradient.iter().skip(j).step_by(d).copied());
            (format!("E of component {j} of the gradient"), mean, 0.0, se)
        })
        .collect();
    let sum = |j: usize| x.iter().skip(j).step_by(d).sum::<f64>();
    let centre: Vec<f64> = (0..d).map(|j| sum(j) / n).collect();
    let (mean, se) = mean_se(x.chunks(d).zip(gradient.chunks(d)).map(|(x, g)| {
        let products = x.iter().zip(g).zip(&centre);
        products.map(|((x, g), c)| (x - c) * g).sum::<f64>()
    }));
    // The centre is of the same draws: an error of order 1 / n.
    let se = se + d as f64 / n;
    found.push(("E (x - c) . gradient".into(), mean, -(d as f64), se));
    found
}

/// The identity for functions that are 0 at the ends of the support: for w a bump around the median of a
/// coordinate, E[w ∂ log p + w'] = 0.
fn inside(s: &Subject<'_>, x: &[f64], gradient: &[f64]) -> Vec<Estimate> {
    let (d, (low, high)) = (s.d, s.support);
    let mut found = Vec::new();
    for j in coordinates(d) {
        let (middle, quarter) = middle(x, d, j);
        let width = quarter.min((middle - low) / 6.0).min((high - middle) / 6.0);
        if !(width > 0.0 && width.is_finite()) {
            continue;
        }
        let of = x.chunks(d).zip(gradient.chunks(d)).map(|(x, g)| {
            let u = (x[j] - middle) / width;
            (-0.5 * u * u).exp() * (g[j] - u / width)
        });
        let (mean, se) = mean_se(of);
        found.push((
            format!("E of w times component {j} of the gradient and w'"),
            mean,
            0.0,
            se,
        ));
    }
    found
}

/// Median of a coordinate, and a quarter of the distance between its quartiles.
fn middle(x: &[f64], d: usize, j: usize) -> (f64, f64) {
    let mut v: Vec<f64> = x.iter().skip(j).step_by(d).copied().collect();
    v.sort_by(f64::total_cmp);
    let n = v.len();
    (v[n / 2], 0.25 * (v[n * 3 / 4] - v[n / 4]))
}

/// E[r / p] with r a normal law around the highest of the draws that are well inside of the support, narrower
/// than they are; `None` in many dimensions, or where there is none.
fn integral(s: &Subject<'_>, x: &[f64], logp: &[f64]) -> Option<(f64, f64)> {
    let d = s.d;
    let (low, high) = s.support;
    if d > DIM {
        return None;
    }
    // Half the distance between quartiles; a fourth of it as standard deviation leaves r inside p.
    let width: Vec<f64> = (0..d).map(|j| middle(x, d, j).1).collect();
    let fits = |(c, w): (&f64, &f64)| *w > 0.0 && c - 6.0 * w > low && c + 6.0 * w < high;
    let inside = (0..logp.len()).filter(|i| x[i * d..(i + 1) * d].iter().zip(&width).all(fits));
    let top = inside.max_by(|i, j| logp[*i].total_cmp(&logp[*j]))?;
    let centre = &x[top * d..(top + 1) * d];
    let log_norm: f64 = width
        .iter()
        .map(|w| -(w * std::f64::consts::TAU.sqrt()).ln())
        .sum();
    Some(mean_se(x.chunks(d).zip(logp).map(|(x, l)| {
        let square: f64 = (0..d)
            .map(|j| ((x[j] - centre[j]) / width[j]).powi(2))
            .sum();
        (log_norm - 0.5 * square - l).exp()
    })))
}
