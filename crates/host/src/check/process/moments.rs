//! `linear` against drift and noise: the equations of mean and covariance,
//!
//! α' = A α,   C' = A C + C Aᵀ + G Gᵀ,
//!
//! in y = warp(x) where there is a warp, whose drift and noise are those of Itô's formula. And the
//! transition density against `linear`.

use super::maps::{FROM, TO};
use super::{Outcome, Subject};
use crate::check::differences::Worst;
use crate::check::random;
use crate::check::slot::{Rows, Slot};
use crate::check::target::compare;

/// The most dimensions in which matrices are taken.
const DIM: usize = 16;
/// Times, as shares of T.
const TIMES: [f64; 3] = [0.2, 0.5, 0.8];
/// What the two sides of an equation may differ by, relative.
const TOLERANCE: f64 = 1e-5;

/// log |det|, by elimination.
pub(super) fn log_det(matrix: &[f64], d: usize) -> f64 {
    let mut m = matrix.to_vec();
    (0..d)
        .map(|c| pivot(&mut m, &mut [], d, c).abs().ln())
        .sum()
}

/// m⁻¹ b, by elimination with the largest pivot.
pub(super) fn solve(matrix: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let (mut m, mut b) = (matrix.to_vec(), b.to_vec());
    for c in 0..d {
        pivot(&mut m, &mut b, d, c);
    }
    for c in (0..d).rev() {
        let sum: f64 = (c + 1..d).map(|k| m[c * d + k] * b[k]).sum();
        b[c] = (b[c] - sum) / m[c * d + c];
    }
    b
}

fn pivot(m: &mut [f64], b: &mut [f64], d: usize, c: usize) -> f64 {
    let best = (c..d).max_by(|i, j| m[i * d + c].abs().total_cmp(&m[j * d + c].abs()));
    let best = best.unwrap_or(c);
    if best != c {
        (0..d).for_each(|k| m.swap(c * d + k, best * d + k));
        if !b.is_empty() {
            b.swap(c, best);
        }
    }
    let top = m[c * d + c];
    for i in c + 1..d {
        let factor = m[i * d + c] / top;
        (c..d).for_each(|k| m[i * d + k] -= factor * m[c * d + k]);
        if !b.is_empty() {
            b[i] -= factor * b[c];
        }
    }
    top
}

fn times(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let k = b.len() / d;
    (0..d * k)
        .map(|p| (0..d).map(|l| a[p / k * d + l] * b[l * k + p % k]).sum())
        .collect()
}

fn transposed(a: &[f64], d: usize) -> Vec<f64> {
    (0..d * d).map(|p| a[p % d * d + p / d]).collect()
}

type Of<'b, 's, 'a> = &'b dyn Fn(&str) -> Option<&'s Slot<'a>>;

/// Drift and noise in y.
struct InY<'b, 's, 'a> {
    s: &'b Subject<'b>,
    of: Of<'b, 's, 'a>,
}

impl InY<'_, '_, '_> {
    fn one(&self, name: &str, arrays: Vec<Vec<f64>>, k: usize) -> Result<Vec<f64>, String> {
        let slot = (self.of)(name).ok_or_else(|| format!("{name}() cannot be called"))?;
        let n = arrays.last().map_or(0, |a| a.len() / self.s.d);
        Ok(slot
            .values(self.s.desk, &Rows::new(n, arrays), self.s.desk.seed)?
            .swap_remove(k))
    }

    fn warp(&self, x: Vec<f64>) -> Result<Vec<f64>, String> {
        if self.s.table.warp.is_none() {
            return Ok(x);
        }
        self.one("warp", vec![x], 0)
    }

    fn unwarp(&self, y: &[f64]) -> Result<Vec<f64>, String> {
        if self.s.table.warp.is_none() {
            return Ok(y.to_vec());
        }
        self.one("unwarp", vec![y.to_vec()], 0)
    }

    /// The drift of y, and its noise times noise transposed, at y and t.
    fn at(&self, t: f64, y: &[f64]) -> Result<(Vec<f64>, Vec<f64>), String> {
        let (s, d, m) = (self.s, self.s.d, self.s.m);
        let x = self.unwarp(y)?;
        let f = self.one("drift", vec![vec![t], x.clone()], 0)?;
        let unit: Vec<f64> = (0..m * m).map(|k| f64::from(k / m == k % m)).collect();
        let g = match (self.of)("apply_g") {
            Some(g) => {
                let rows = Rows::new(m, vec![vec![t; m], x.repeat(m), unit]);
                g.values(s.desk, &rows, s.desk.seed)?.swap_remove(0)
            }
            None => return Err("apply_g() cannot be called".into()),
        };
        // Derivatives of the warp along the drift and each column of G, to fourth order.
        let along = |v: &[f64]| -> Result<(Vec<f64>, Vec<f64>), String> {
            let size = v.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            if size == 0.0 {
                return Ok((vec![0.0; d], vec![0.0; d]));
            }
            let near = x.iter().fold(f64::INFINITY, |m, x| m.min(x.abs()));
            let h = 2e-3 * near.clamp(0.05, 1e3) / size;
            let points = [0.0, 1.0, -1.0, 2.0, -2.0];
            let all: Vec<f64> = points
                .iter()
                .flat_map(|k| x.iter().zip(v).map(move |(x, v)| x + k * h * v))
                .collect();
            let w = self.warp(all)?;
            let at = |k: usize, i: usize| w[k * d + i];
            let first =
                |i: usize| (8.0 * (at(1, i) - at(2, i)) - (at(3, i) - at(4, i))) / (12.0 * h);
            let second = |i: usize| {
                (16.0 * (at(1, i) + at(2, i)) - (at(3, i) + at(4, i)) - 30.0 * at(0, i))
                    / (12.0 * h * h)
            };
            Ok(((0..d).map(first).collect(), (0..d).map(second).collect()))
        };
        let mut drift = along(&f)?.0;
        let mut noise = vec![0.0; d * d];
        for column in g.chunks(d) {
            let (slope, bend) = along(column)?;
            for i in 0..d {
                if s.table.warp.is_some() {
                    drift[i] += 0.5 * bend[i];
                }
                (0..d).for_each(|j| noise[i * d + j] += slope[i] * slope[j]);
            }
        }
        Ok((drift, noise))
    }
}

pub(super) fn look<'s, 'a: 's>(s: &Subject<'_>, of: Of<'_, 's, 'a>) -> Outcome {
    let d = s.d;
    if s.table.linear.is_none() {
        return Ok(());
    }
    let Some((alpha, sigma2)) = s.linear(0.0)? else {
        return Ok(());
    };
    begins(s, &alpha, &sigma2);
    if d > DIM || of("drift").is_none() || of("apply_g").is_none() {
        return Ok(());
    }
    let y = InY { s, of };
    let (mut mean, mut covariance) = (Worst::default(), Worst::default());
    for t in TIMES.map(|share| share * s.t_end) {
        let (_, slopes) = moving(s, t)?;
        let Some((alpha, sigma2)) = s.linear(t)? else {
            return Ok(());
        };
        for turn in 0..3 {
            let u = random::normals(s.desk.seed + turn, "u", d);
            let (drift, _) = y.at(t, &times(&alpha, &u, d))?;
            let found: Vec<_> = times(&slopes.0, &u, d).into_iter().map(Some).collect();
            compare(&mut mean, &drift, &found, d);
        }
        let mut ac = vec![0.0; d * d];
        for j in 0..d {
            let column: Vec<f64> = (0..d).map(|i| sigma2[i * d + j]).collect();
            let (drift, _) = y.at(t, &column)?;
            (0..d).for_each(|i| ac[i * d + j] = drift[i]);
        }
        let (_, noise) = y.at(t, &times(&alpha, &random::normals(s.desk.seed, "u", d), d))?;
        let other = transposed(&ac, d);
        let sum: Vec<f64> = (0..d * d).map(|k| ac[k] + other[k] + noise[k]).collect();
        let found: Vec<_> = slopes.1.iter().copied().map(Some).collect();
        compare(&mut covariance, &sum, &found, d * d);
    }
    let place = if s.table.warp.is_some() {
        ", in y = warp(x)"
    } else {
        ""
    };
    for (worst, what) in [
        (mean, "alpha of linear() against the drift"),
        (covariance, "sigma2 of linear() against drift and noise"),
    ] {
        s.desk.judge(
            "linear",
            worst.error <= TOLERANCE,
            match worst.at {
                Some((own, slope)) if worst.error > TOLERANCE => format!(
                    "{what}{place}: the equation of moments does not hold, {own:.8} against {slope:.8}"
                ),
                _ => format!("{what}{place}: the equation of moments holds to {:.0e}", worst.error),
            },
        );
    }
    transitions(&y)
}

/// At t = 0 nothing has happened yet.
fn begins(s: &Subject<'_>, alpha: &[f64], sigma2: &[f64]) {
    let d = s.d;
    let identity: f64 = (0..d * d)
        .map(|k| (alpha[k] - f64::from(k / d == k % d)).abs())
        .fold(0.0, f64::max);
    let noise = sigma2.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if identity > 1e-6 || noise > 1e-3 || identity.is_nan() || noise.is_nan() {
        s.desk.warn(
            "linear",
            format!("linear() at t = 0: alpha is {identity:.1e} from the identity, and sigma2 {noise:.1e}, not 0"),
        );
    }
}

type Pair = (Vec<f64>, Vec<f64>);

/// Values and slopes in t of alpha and sigma2, to fourth order.
fn moving(s: &Subject<'_>, t: f64) -> Result<(Pair, Pair), String> {
    let h = 1e-3 * s.t_end;
    let none = || String::from("linear() cannot be called");
    let at = |k: f64| s.linear(t + k * h)?.ok_or_else(none);
    let (a, b, c, e) = (at(1.0)?, at(-1.0)?, at(2.0)?, at(-2.0)?);
    let slope = |a: &[f64], b: &[f64], c: &[f64], e: &[f64]| -> Vec<f64> {
        (0..a.len())
            .map(|k| (8.0 * (a[k] - b[k]) - (c[k] - e[k])) / (12.0 * h))
            .collect()
    };
    let slopes = (slope(&a.0, &b.0, &c.0, &e.0), slope(&a.1, &b.1, &c.1, &e.1));
    Ok((at(0.0)?, slopes))
}

/// The gradient of the transition density is that of the Gaussian that `linear` makes.
fn transitions(y: &InY<'_, '_, '_>) -> Outcome {
    let (s, d) = (y.s, y.s.d);
    let Some(score) = (y.of)("transition_score") else {
        return Ok(());
    };
    let (from, to) = (s.linear(FROM * s.t_end)?, s.linear(TO * s.t_end)?);
    let (Some((alpha_s, c_s)), Some((alpha_t, c_t))) = (from, to) else {
        return Ok(());
    };
    // α_t α_s⁻¹, by its rows.
    let back = transposed(&alpha_s, d);
    let alpha: Vec<f64> = alpha_t
        .chunks(d)
        .flat_map(|row| solve(&back, row, d))
        .collect();
    let carried = times(&times(&alpha, &c_s, d), &transposed(&alpha, d), d);
    let c: Vec<f64> = c_t.iter().zip(carried).map(|(a, b)| a - b).collect();
    let rows = score.pool.first(16);
    let claimed = score.values(s.desk, &rows, s.desk.seed)?.swap_remove(1);
    let (ys, yt) = (
        y.warp(rows.arrays[0].clone())?,
        y.warp(rows.arrays[1].clone())?,
    );
    let mut scores = Vec::new();
    for (ys, yt) in ys.chunks(d).zip(yt.chunks(d)) {
        let mean = times(&alpha, ys, d);
        let off: Vec<f64> = mean.iter().zip(yt).map(|(m, y)| m - y).collect();
        scores.extend(solve(&c, &off, d));
    }
    if s.table.warp.is_some() {
        scores = y.one("warp_score", vec![rows.arrays[1].clone(), scores], 0)?;
    }
    let found: Vec<_> = scores.into_iter().map(Some).collect();
    let mut worst = Worst::default();
    compare(&mut worst, &claimed, &found, d);
    s.desk.judge(
        "transition",
        worst.error <= TOLERANCE,
        format!(
            "the gradient of transition_score() against the Gaussian of linear(): largest relative error {:.1e}{}",
            worst.error,
            match worst.at {
                Some((own, other)) if worst.error > TOLERANCE => format!(", {own:.8} against {other:.8}"),
                _ => String::new(),
            }
        ),
    );
    Ok(())
}
