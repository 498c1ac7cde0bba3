//! Laws: the gradient of a log density is that of the log density, and draws are of it.
//!
//! For draws x of p on all of space, E[∇ log p] = 0 and E[(x − c) · ∇ log p] = −d for every c (integration by
//! parts); for a normalised r, E[r / p] = 1. Where the support has ends, so in coordinates that have none.

use super::derivatives::coordinates;
use super::moments::{log_det, solve};
use super::{Outcome, Subject};
use crate::check::differences::{Worst, along};
use crate::check::slot::{Rows, Slot};
use crate::check::target::{compare, tell};

/// Points at which derivatives are compared.
const POINTS: usize = 8;
/// Draws.
const DRAWS: usize = 40_000;
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
    let law = Unbounded::new(s.support, d, x, &logp, &gradient);
    let n = law.n;
    if n < logp.len() * 9 / 10 {
        let text = format!(
            "{what}: only {n} of {} draws are inside of the support",
            logp.len()
        );
        desk.warn(check, text);
        return Ok(());
    }
    let mut found = law.identities();
    found.extend(law.integral());
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

/// Draws and their density in coordinates without ends: the logarithm of the distance to the one end, or of
/// the ratio of those to both.
struct Unbounded {
    d: usize,
    n: usize,
    u: Vec<f64>,
    logp: Vec<f64>,
    gradient: Vec<f64>,
    /// Medians.
    middle: Vec<f64>,
}

impl Unbounded {
    /// Draws at the very ends of the support are left out.
    fn new(support: (f64, f64), d: usize, x: &[f64], logp: &[f64], gradient: &[f64]) -> Self {
        let (low, high) = support;
        // The coordinate u, dx/du, and the slope of its logarithm.
        let map = |x: f64| match (low.is_finite(), high.is_finite()) {
            (false, false) => (x, 1.0, 0.0),
            (true, false) => ((x - low).ln(), x - low, 1.0),
            (false, true) => (-(high - x).ln(), high - x, -1.0),
            (true, true) => {
                let share = (x - low) / (high - low);
                let slope = (high - low) * share * (1.0 - share);
                ((share / (1.0 - share)).ln(), slope, 1.0 - 2.0 * share)
            }
        };
        let mut law = Self {
            d,
            n: 0,
            u: Vec::with_capacity(x.len()),
            logp: Vec::with_capacity(logp.len()),
            gradient: Vec::with_capacity(x.len()),
            middle: Vec::new(),
        };
        for ((x, l), g) in x.chunks(d).zip(logp).zip(gradient.chunks(d)) {
            let all: Vec<_> = x.iter().map(|x| map(*x)).collect();
            if !all
                .iter()
                .all(|(u, slope, _)| u.is_finite() && *slope > 0.0)
            {
                continue;
            }
            law.n += 1;
            law.u.extend(all.iter().map(|a| a.0));
            law.logp.push(l + all.iter().map(|a| a.1.ln()).sum::<f64>());
            law.gradient
                .extend(all.iter().zip(g).map(|(a, g)| g * a.1 + a.2));
        }
        law.middle = (0..d).map(|j| law.quantiles(j, [0.5])[0]).collect();
        law
    }

    /// Quantiles of a coordinate.
    fn quantiles<const K: usize>(&self, j: usize, shares: [f64; K]) -> [f64; K] {
        let mut v: Vec<f64> = self.u.iter().skip(j).step_by(self.d).copied().collect();
        v.sort_by(f64::total_cmp);
        let at = |share: f64| v.get((share * v.len() as f64) as usize).copied();
        shares.map(|share| at(share).unwrap_or(f64::NAN))
    }

    /// Both identities.
    fn identities(&self) -> Vec<Estimate> {
        let d = self.d;
        let mut found: Vec<Estimate> = coordinates(d)
            .into_iter()
            .map(|j| {
                let (mean, se) = mean_se(self.gradient.iter().skip(j).step_by(d).copied());
                (format!("E of component {j} of the gradient"), mean, 0.0, se)
            })
            .collect();
        let both = self.u.chunks(d).zip(self.gradient.chunks(d));
        let (mean, se) = mean_se(both.map(|(u, g)| {
            let products = u.iter().zip(g).zip(&self.middle);
            products.map(|((u, g), c)| (u - c) * g).sum::<f64>()
        }));
        // The middle is of the same draws: an error of order 1 / n.
        let se = se + d as f64 / self.n as f64;
        found.push(("E (x - c) . gradient".into(), mean, -(d as f64), se));
        found
    }

    /// E[r / p], r the normal law with the moments of the half of the draws that are nearest to the highest
    /// of them: narrower than p, and as slanted. `None` in many dimensions.
    fn integral(&self) -> Option<Estimate> {
        let d = self.d;
        if d > DIM {
            return None;
        }
        let width: Vec<f64> = (0..d)
            .map(|j| self.quantiles(j, [0.25, 0.75]))
            .map(|[a, b]| b - a)
            .collect();
        let top = (0..self.n).max_by(|i, j| self.logp[*i].total_cmp(&self.logp[*j]))?;
        let centre = &self.u[top * d..(top + 1) * d];
        let far = |u: &[f64]| -> f64 {
            let all = u.iter().zip(centre).zip(&width);
            all.map(|((u, c), w)| ((u - c) / w).powi(2)).sum()
        };
        let mut rows: Vec<(f64, &[f64])> = self.u.chunks(d).map(|u| (far(u), u)).collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let near = &rows[..self.n / 2];
        let m = near.len() as f64;
        let mean: Vec<f64> = (0..d)
            .map(|j| near.iter().map(|(_, u)| u[j]).sum::<f64>() / m)
            .collect();
        let covariance: Vec<f64> = (0..d * d)
            .map(|k| {
                let product = |u: &[f64]| (u[k / d] - mean[k / d]) * (u[k % d] - mean[k % d]);
                near.iter().map(|(_, u)| product(u)).sum::<f64>() / m
            })
            .collect();
        let log_norm = -0.5 * (d as f64 * std::f64::consts::TAU.ln() + log_det(&covariance, d));
        if !log_norm.is_finite() {
            return None;
        }
        let (value, se) = mean_se(self.u.chunks(d).zip(&self.logp).map(|(u, l)| {
            let off: Vec<f64> = u.iter().zip(&mean).map(|(u, m)| u - m).collect();
            let square: f64 = solve(&covariance, &off, d)
                .iter()
                .zip(&off)
                .map(|(a, b)| a * b)
                .sum();
            (log_norm - 0.5 * square - l).exp()
        }));
        Some(("the integral of the density".into(), value, 1.0, se))
    }
}
