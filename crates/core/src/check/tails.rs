//! Whether a density can be normalised, as far as it shows along lines far beyond the draws of a run.
//!
//! By Fubini's theorem ∫ π dx diverges where ∫ π(x + s v) ds does for one direction v and all x of a set
//! that has volume, and where ∫ π(c + r u) rᵈ⁻¹ dr does for a set of directions u of a centre c that has
//! area. Both do if s π(x + s v), or rᵈ π(c + r u), does not fall for large s or r. So a ridge that
//! narrows as it goes on is no finding: away from its crest the density falls along it.
//!
//! Directions v are those of the coordinates, and those along which no gradient at a draw has a
//! component, for a formula in a + b does not tell a from b; x are draws. Directions u are random, with
//! others around each that gives cause, c is the middle of the draws. Lengths are in units of the width
//! of the draws.

use crate::{Counts, Cx, Flag, Result, Severity, Target};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};

/// Key of the flag of a density that cannot be normalised.
pub const NOT_NORMALISABLE: &str = "not_normalisable";
/// Key of the flag of a density that falls like a power.
pub const HEAVY_TAILS: &str = "heavy_tails";

/// Draws from which middle and width are taken.
const DRAWS: usize = 1000;
/// Draws that lines start from; the integral must diverge on half of them.
const STARTS: usize = 8;
const RAYS: usize = 16;
/// How far, in the width of the draws a coordinate, the directions around a ray lie from its own: a single one may
/// graze the edge of what has mass, and look level as far as it is followed.
const AROUND: f64 = 0.25;
/// Coordinates along which lines are looked at; of more, some evenly spaced ones.
const COORDINATES: usize = 128;
/// Directions without slope that are looked at.
const LEVEL: usize = 8;
/// Lengths for a first look, which nearly every line of a proper density does not pass.
const NEAR: [f64; 2] = [1e3, 1e4];
/// Lengths of a finding.
const FAR: [f64; 5] = [1e4, 1e5, 1e6, 1e7, 1e8];
/// What ln(s π) may fall from one length to the next, and still count as level: a Student law with
/// 0.001 degrees of freedom falls by 0.0023.
const LEVEL_FALL: f64 = 1e-3;
/// What ln π falls at most from one of `NEAR` to the other, a coordinate, and counts as a power: that of 40 degrees of
/// freedom. A normal law falls by some 10⁷, a Laplace law by some 10³.
const POWER_FALL: f64 = 100.0;
/// Lengths at which the fall of a power is the same from one to the next.
const DECADES: [f64; 3] = [1e3, 1e4, 1e5];
/// By how much a power is above that of a density without integral, to be one that has one.
const POWER_MARGIN: f64 = 1e-3;
/// How much these falls may differ.
const ALIKE: f64 = 0.2;
/// Share of the rays that fall so.
const MOST: f64 = 0.75;
/// A remainder of gradients, in units of the largest component of each, that is rounding.
const ROUNDING: f64 = 1e-10;
/// Rows of a call: with fewer than the core's sample none can end the run for values that are not finite.
const ROWS: usize = 128;

/// What [`tails`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Tails {
    /// The finding, if there is one; its key is [`NOT_NORMALISABLE`].
    pub flag: Option<Flag>,
    /// The density falls like a power in nearly all directions, and weights of its draws against a normal law have no
    /// variance; the key is [`HEAVY_TAILS`]. It is of use for runs that estimate log Z.
    pub heavy: Option<Flag>,
    /// Evaluations that were spent; the counts of the context do not have them.
    pub counts: Counts,
}

/// Looks along lines far beyond `draws` (n × d) whether the density can be normalised. It finds
/// densities that stay level or grow, also to one side, in single coordinates, in linear combinations
/// of which the density does not depend at all, or in all directions; no finding is no proof.
///
/// Evaluations that fail, as they may so far out, are no finding. Without draws lines start from
/// standard normal points.
///
/// # Cost
/// Mostly 4 d + 32 densities and d + 8 gradients.
pub fn tails(cx: &mut Cx<'_>, target: &dyn Target, draws: ArrayView2<'_, f64>) -> Tails {
    let counts = std::mem::take(&mut cx.local.counts);
    let found = if target.has_density() {
        look(cx, target, draws).unwrap_or_default()
    } else {
        (None, None)
    };
    Tails {
        flag: found.0,
        heavy: found.1,
        counts: std::mem::replace(&mut cx.local.counts, counts),
    }
}

fn look(
    cx: &mut Cx<'_>,
    target: &dyn Target,
    draws: ArrayView2<'_, f64>,
) -> Result<(Option<Flag>, Option<Flag>)> {
    let finite =
        |i: &usize| draws.ncols() == target.dim() && draws.row(*i).iter().all(|v| v.is_finite());
    let at: Vec<usize> = spaced(draws.nrows(), DRAWS).filter(finite).collect();
    let d = target.dim();
    let draws = if at.is_empty() {
        let mut z = Array2::zeros((DRAWS, d));
        cx.at("starts", 0).fill_normal(z.view_mut());
        z
    } else {
        draws.select(Axis(0), &at)
    };
    let n = draws.nrows();
    let (centre, width) = middle_and_width(draws.view());
    let starts: Vec<usize> = spaced(n, STARTS).collect();

    let mut lines: Vec<(Way, Array1<f64>)> = Vec::new();
    for j in spaced(d, COORDINATES) {
        for sign in [1.0, -1.0] {
            let mut v = Array1::zeros(d);
            v[j] = sign * width[j];
            lines.push((Way::Coordinate(j, sign > 0.0), v));
        }
    }
    for v in without_slope(cx, target, draws.view(), width.view())? {
        lines.push((Way::Combination, -&v));
        lines.push((Way::Combination, v));
    }
    let mut z = Array2::zeros((RAYS, d));
    cx.at("rays", 0).fill_normal(z.view_mut());
    for z in z.rows() {
        lines.push((Way::Ray, &z * &width));
    }

    let start = |way: &Way, i: usize| match way {
        Way::Ray => centre.view(),
        _ => draws.row(i),
    };
    let first = lines
        .iter()
        .map(|(way, v)| points(start(way, starts[0]), v, &NEAR));
    let near = evaluate(cx, target, first)?;
    let looks = lines.iter().zip(near.chunks_exact(NEAR.len()));
    for (number, ((way, v), near)) in (0..).zip(looks) {
        let power = if *way == Way::Ray { d as f64 } else { 1.0 };
        if !level(near, &NEAR, power) {
            continue;
        }
        let far = match way {
            Way::Ray => {
                let mut z = Array2::zeros((STARTS, d));
                cx.at("around", number).fill_normal(z.view_mut());
                z.row_mut(0).fill(0.0);
                let around: Vec<_> = z
                    .rows()
                    .into_iter()
                    .map(|z| v + &z * &width * AROUND)
                    .collect();
                let lines = around.iter().map(|v| points(centre.view(), v, &FAR));
                evaluate(cx, target, lines)?
            }
            _ => {
                let lines = starts.iter().map(|i| points(start(way, *i), v, &FAR));
                evaluate(cx, target, lines)?
            }
        };
        let level = far
            .chunks_exact(FAR.len())
            .filter(|l| level(l, &FAR, power));
        if 2 * level.count() * FAR.len() >= far.len() {
            return Ok((Some(flag(target, way, v, d)), None));
        }
    }
    let of_rays = lines.len() - RAYS;
    let rays = lines[of_rays..]
        .iter()
        .map(|(_, v)| points(centre.view(), v, &DECADES));
    let near = &near[of_rays * NEAR.len()..];
    let slow = |l: &[f64]| l[0] - l[1] < POWER_FALL * d as f64;
    let slow = near.chunks_exact(NEAR.len()).filter(|l| slow(l)).count();
    if (slow as f64) < MOST * RAYS as f64 {
        return Ok((None, None));
    }
    Ok((None, heavy(&evaluate(cx, target, rays)?, d)))
}

/// Whether log densities at [`DECADES`] of each ray fall like a power, faster than 1/rᵈ.
fn heavy(rays: &[f64], d: usize) -> Option<Flag> {
    let falls = rays.chunks_exact(DECADES.len());
    let falls = falls.map(|l| (l[0] - l[1], l[1] - l[2]));
    let alike = |(a, b): &(f64, f64)| a.is_finite() && (a - b).abs() < ALIKE * a;
    let falls = falls.filter(alike).map(|(_, fall)| fall);
    let mut falls: Vec<f64> = falls.collect();
    if (falls.len() as f64) < MOST * RAYS as f64 {
        return None;
    }
    falls.sort_by(f64::total_cmp);
    let power = falls[falls.len() / 2] / (DECADES[2] / DECADES[1]).ln();
    if power < d as f64 + POWER_MARGIN {
        return None;
    }
    Some(Flag::new(
        Severity::Note,
        HEAVY_TAILS,
        format!(
            "Far out the density falls like 1/r^{power:.1}, more slowly than any normal law: weights against a \
             normal reference law have no variance there, and a standard error of log Z that rests on weights \
             may be too small"
        ),
        "compare smc, parallel-tempering and other seeds; write heavy-tailed coordinates by a transform, or give \
         `bounds`",
    ))
}

/// What a line runs along.
#[derive(Debug, PartialEq)]
enum Way {
    /// A coordinate, upwards or downwards.
    Coordinate(usize, bool),
    Combination,
    Ray,
}

fn flag(target: &dyn Target, way: &Way, v: &Array1<f64>, d: usize) -> Flag {
    let name = |j: usize| target.coordinate(j);
    let place = match way {
        Way::Coordinate(j, true) => format!("1/r as `{}` grows", name(*j)),
        Way::Coordinate(j, false) => format!("1/r as `{}` falls", name(*j)),
        Way::Combination => format!("1/r along {}", combination(v, &name)),
        Way::Ray if d == 1 => "1/r".into(),
        Way::Ray => format!("1/r^{d} along rays from the middle of the draws"),
    };
    Flag::new(
        Severity::Failure,
        NOT_NORMALISABLE,
        format!(
            "The density does not fall off faster than {place}, up to 10⁸ times the width of the draws: \
             it cannot be normalised (or nearly all of its mass lies farther out), and draws and log Z \
             mean nothing"
        ),
        "look for a sign that is wrong, and give every coordinate that the data do not determine a prior \
         that is normalised, or `bounds`",
    )
}

/// `v` in words, its largest component 1.
fn combination(v: &Array1<f64>, name: &dyn Fn(usize) -> String) -> String {
    const SHOWN: usize = 4;
    let largest = v
        .iter()
        .copied()
        .fold(0.0, |m: f64, c| if c.abs() > m.abs() { c } else { m });
    let parts = v.iter().map(|c| c / largest).enumerate();
    let mut parts: Vec<(usize, f64)> = parts.filter(|(_, c)| c.abs() >= 1e-6).collect();
    let more = if parts.len() > SHOWN { " …" } else { "" };
    parts.truncate(SHOWN);
    let shown = parts.iter().enumerate().map(|(k, (j, c))| {
        let sign = match (k, *c < 0.0) {
            (0, false) => "",
            (0, true) => "−",
            (_, false) => " + ",
            (_, true) => " − ",
        };
        let size = format!("{:.3}", c.abs());
        let size = size.trim_end_matches('0').trim_end_matches('.');
        let times = if size == "1" {
            String::new()
        } else {
            format!("{size} ")
        };
        format!("{sign}{times}{}", name(*j))
    });
    format!("`{}{more}`", shown.collect::<String>())
}

/// At most `most` of n places, evenly spaced.
fn spaced(n: usize, most: usize) -> impl Iterator<Item = usize> {
    let m = n.min(most);
    (0..m).map(move |i| i * n / m)
}

/// Median of each coordinate, and half the range between its quartiles: where that is 0, the distance of
/// the farthest draw, the size of the number itself, or 1.
fn middle_and_width(draws: ArrayView2<'_, f64>) -> (Array1<f64>, Array1<f64>) {
    let columns = draws.columns().into_iter().map(|c| {
        let mut v = c.to_vec();
        v.sort_by(f64::total_cmp);
        let at = |share: f64| v[(share * (v.len() - 1) as f64).round() as usize];
        let middle = at(0.5);
        let widths = [
            0.5 * (at(0.75) - at(0.25)),
            (at(1.0) - middle).max(middle - at(0.0)),
            middle.abs(),
        ];
        let width = widths.into_iter().find(|w| *w > 0.0);
        (middle, width.unwrap_or(1.0))
    });
    let (middle, width): (Vec<f64>, Vec<f64>) = columns.unzip();
    (middle.into(), width.into())
}

/// x + s v for each length s.
fn points<'a>(
    x: ArrayView1<'a, f64>,
    v: &'a Array1<f64>,
    lengths: &'a [f64],
) -> impl Iterator<Item = Array1<f64>> + 'a {
    lengths.iter().map(move |s| &x + &(v * *s))
}

/// Log densities of points that come in groups.
fn evaluate<I>(
    cx: &mut Cx<'_>,
    target: &dyn Target,
    groups: impl Iterator<Item = I>,
) -> Result<Vec<f64>>
where
    I: Iterator<Item = Array1<f64>>,
{
    let points: Vec<f64> = groups.flatten().flatten().collect();
    let d = target.dim();
    let mut all = Vec::with_capacity(points.len() / d);
    for part in points.chunks(ROWS * d) {
        let n = part.len() / d;
        let x = ArrayView2::from_shape((n, d), part).expect("rows of d numbers");
        let mut l = Array1::zeros(n);
        apart(cx, |cx| cx.eval_target(target, x, Some(l.view_mut()), None))?;
        all.extend(l);
    }
    Ok(all)
}

/// Counts a call by itself, so that what failed before has no say in whether it may go on.
fn apart(cx: &mut Cx<'_>, call: impl FnOnce(&mut Cx<'_>) -> Result) -> Result {
    let before = std::mem::take(&mut cx.local.counts);
    let outcome = call(cx);
    let own = std::mem::replace(&mut cx.local.counts, before);
    cx.local.counts.merge(&own);
    outcome
}

/// Whether s^power π, from log densities at lengths s, does not fall.
fn level(log_density: &[f64], lengths: &[f64], power: f64) -> bool {
    let mass = |k: usize| log_density[k] + power * lengths[k].ln();
    (0..lengths.len())
        .all(|k| mass(k).is_finite() && (k == 0 || mass(k) >= mass(k - 1) - LEVEL_FALL))
}

/// Directions of which no gradient at d + 8 of the draws has a component, in units of `width` and by
/// elimination with the largest pivot, so that they are in few coordinates; those of single coordinates
/// are left out.
fn without_slope(
    cx: &mut Cx<'_>,
    target: &dyn Target,
    draws: ArrayView2<'_, f64>,
    width: ArrayView1<'_, f64>,
) -> Result<Vec<Array1<f64>>> {
    let d = draws.ncols();
    if !(2..=COORDINATES).contains(&d) || !target.has_gradient() {
        return Ok(Vec::new());
    }
    let at: Vec<usize> = spaced(draws.nrows(), d + 8).collect();
    let x = draws.select(Axis(0), &at);
    let mut g = Array2::zeros(x.dim());
    for first in (0..x.nrows()).step_by(ROWS) {
        let block = s![first..x.nrows().min(first + ROWS), ..];
        let (x, g) = (x.slice(block), g.slice_mut(block));
        apart(cx, |cx| cx.eval_target(target, x, None, Some(g)))?;
    }
    for mut row in g.rows_mut() {
        row *= &width;
        let largest = row.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        row.mapv_inplace(|v| if largest > 0.0 { v / largest } else { 0.0 });
    }
    let pivots = eliminate(&mut g);
    let free = (0..d).filter(|j| pivots.iter().all(|(_, column)| column != j));
    let directions = free.map(|j| {
        let mut v = Array1::zeros(d);
        v[j] = 1.0;
        for (row, column) in &pivots {
            v[*column] = -g[(*row, j)];
        }
        v
    });
    let several = directions.filter(|v| v.iter().filter(|c| **c != 0.0).count() > 1);
    Ok(several.take(LEVEL).map(|v| v * width).collect())
}

/// Brings `g` to reduced form; rows and columns of its pivots, which become 1.
fn eliminate(g: &mut Array2<f64>) -> Vec<(usize, usize)> {
    let (n, d) = g.dim();
    let mut pivots: Vec<(usize, usize)> = Vec::new();
    while pivots.len() < n.min(d) {
        let mut best = (ROUNDING, None);
        for ((i, j), v) in g.indexed_iter() {
            if v.abs() > best.0 && pivots.iter().all(|(row, _)| *row != i) {
                best = (v.abs(), Some((i, j)));
            }
        }
        let Some((row, column)) = best.1 else { break };
        let pivot = g[(row, column)];
        g.row_mut(row).mapv_inplace(|v| v / pivot);
        let own = g.row(row).to_owned();
        for i in (0..n).filter(|i| *i != row) {
            let factor = g[(i, column)];
            if factor != 0.0 {
                g.row_mut(i).scaled_add(-factor, &own);
                g[(i, column)] = 0.0;
            }
        }
        pivots.push((row, column));
    }
    pivots
}
