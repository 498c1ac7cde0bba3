//! Draws of many posteriors by annealed importance sampling with resampling among the draws of each.
//!
//! From a reference — the posterior if the target were the base, or if it were flat — to the posterior, at
//! temperatures that all rows of a run share, and of which there are only as many as the weights ask for:
//! none where importance sampling does. The mean of the weights is unbiased for ∫ρ(y) N(c; a y, v) dy but
//! for what the choice of temperatures and step sizes by the same draws does to it.

use super::{Fault, Move, Points, Posterior, Whitened};
use crate::chains::{matrix, matrix_mut};
use crate::genealogy::{copies, offspring};
use ndarray::{ArrayView1, ArrayViewMut1, ArrayViewMut2, Axis};
use retrograde_core::numeric::{log_mean_exp, relative_weight, softmax_in_place};
use retrograde_core::{Cx, Result};

/// Particles that the next temperature is chosen by.
const ASKED: usize = 128;
/// Change of the log step size per unit of acceptance off its aim, a move of all draws.
const GAIN: f64 = 2.0;
const ACCEPTANCE: f64 = 0.6;

/// How it is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Annealing {
    /// Draws of a row.
    pub(crate) draws: usize,
    /// Temperatures at most; 0 for importance sampling.
    pub(crate) temperatures: u64,
    /// Share of the draws of a row that counts after a temperature.
    pub(crate) alpha: f64,
    /// Moves at a temperature.
    pub(crate) moves: u32,
    /// Whether the reference is that of a flat target.
    pub(crate) free: bool,
}

/// How chains are started, but for their number.
pub(crate) const STARTING: Annealing = Annealing {
    draws: 1,
    temperatures: 50,
    alpha: 0.8,
    moves: 2,
    free: false,
};

impl Annealing {
    /// With `draws` draws of a row.
    pub(crate) fn with(self, draws: usize) -> Self {
        Self { draws, ..self }
    }
}

/// What the draws say: a row for each c.
pub(crate) struct Estimates<'a> {
    /// ln ∫ρ(y) N(c; a y, v) dy, less −(d/2) ln 2π.
    pub(crate) log_p: ArrayViewMut1<'a, f64>,
    /// Mean and variances of the posterior.
    pub(crate) mean: ArrayViewMut2<'a, f64>,
    pub(crate) variance: ArrayViewMut2<'a, f64>,
    /// Where equally weighted draws go, if they are asked for.
    pub(crate) draws: Option<Points<'a>>,
}

impl<'a> Estimates<'a> {
    /// The first `rows` rows, and the rest.
    fn split(self, rows: usize, m: usize, d: usize) -> (Self, Self) {
        let (log_p, p) = self.log_p.split_at(Axis(0), rows);
        let (mean, mu) = self.mean.split_at(Axis(0), rows);
        let (variance, var) = self.variance.split_at(Axis(0), rows);
        let (draws, points) = match self.draws {
            None => (None, None),
            Some(all) => {
                let (a, b) = all.split(rows * m, d);
                (Some(a), Some(b))
            }
        };
        let now = Self {
            log_p,
            mean,
            variance,
            draws,
        };
        let later = Self {
            log_p: p,
            mean: mu,
            variance: var,
            draws: points,
        };
        (now, later)
    }
}

/// What it took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Effort {
    /// Temperatures, and effective draws of a row: means over rows.
    pub(crate) temperatures: f64,
    pub(crate) ess: f64,
    /// Particles none of whose draws has mass.
    pub(crate) empty: usize,
}

/// Buffers of a run of rows.
struct Bank {
    y: Vec<f64>,
    l: Vec<f64>,
    g: Vec<f64>,
    /// ln of the ratio of target and reference, and log weights.
    ratio: Vec<f64>,
    weight: Vec<f64>,
    step: Vec<f64>,
    acceptance: Vec<f64>,
}

impl Annealing {
    /// Estimates for all rows `c` (whitened) at noise (a, v); `step` is the step size of the first move.
    pub(crate) fn estimate(
        &self,
        cx: &mut Cx<'_>,
        white: Whitened<'_>,
        (a, v): (f64, f64),
        c: &[f64],
        out: Estimates<'_>,
        step: &mut f64,
    ) -> Result<Effort> {
        let (d, m) = (white.dim(), self.draws);
        let n = c.len() / d;
        let run = white.run(n, m);
        let (mut effort, mut first, mut next) = (Effort::default(), 0, *step);
        let mut rest = out;
        while first < n {
            let rows = run.min(n - first);
            let (now, later) = rest.split(rows, m, d);
            rest = later;
            let mut h = *step;
            let c = &c[first * d..(first + rows) * d];
            let e = self.of_run(&mut cx.from_row(first * m), white, (a, v), c, now, &mut h)?;
            if first == 0 {
                next = h;
            }
            let share = rows as f64 / n as f64;
            effort.temperatures += share * e.temperatures;
            effort.ess += share * e.ess;
            effort.empty += e.empty;
            first += rows;
        }
        *step = next;
        Ok(effort)
    }

    fn of_run(
        &self,
        cx: &mut Cx<'_>,
        white: Whitened<'_>,
        (a, v): (f64, f64),
        c: &[f64],
        mut out: Estimates<'_>,
        step: &mut f64,
    ) -> Result<Effort> {
        let (d, m, free) = (white.dim(), self.draws, self.free);
        let rows = c.len() / d;
        let all = rows * m;
        let [y, g] = std::array::from_fn(|_| cx.take(all * d));
        let [l, ratio, weight, step_of, acceptance] = std::array::from_fn(|_| cx.take(all));
        let mut bank = Bank {
            y,
            l,
            g,
            ratio,
            weight,
            step: step_of,
            acceptance,
        };
        // The reference, and ln N(c; 0, a² + v) or ln a^{−d} for the normaliser.
        let variance = Posterior::of(a, v).unit();
        let (pull, spread) = if free {
            (1.0 / a, v.sqrt() / a)
        } else {
            (variance * a / v, variance.sqrt())
        };
        cx.rows(all, matrix_mut(&mut bank.y, d), |cx, range, mut y| {
            cx.at("draw", 0).fill_normal(y.view_mut());
            for (i, mut y) in range.zip(y.outer_iter_mut()) {
                let c = &c[i / m * d..][..d];
                y.iter_mut()
                    .zip(c)
                    .for_each(|(y, c)| *y = pull * c + spread * *y);
            }
            Ok(())
        })?;
        white.evaluate(cx, &bank.y, Some(&mut bank.l), None)?;
        bank.weight.fill(0.0);
        let total = a * a + v;
        for (log_p, c) in out.log_p.iter_mut().zip(c.chunks_exact(d)) {
            *log_p = if free {
                -(d as f64) * a.ln()
            } else {
                let squares = c.iter().map(|c| c * c).sum::<f64>();
                -0.5 * (squares / total + d as f64 * total.ln())
            };
        }
        let (mut beta, mut temperatures, mut next) = (0.0, 0u64, *step);
        loop {
            ratios(&mut bank, d, free);
            let last = temperatures >= self.temperatures;
            let delta = if last {
                1.0 - beta
            } else {
                self.increment(&bank, beta)
            };
            beta = if delta >= 1.0 - beta {
                1.0
            } else {
                beta + delta
            };
            bank.weight.iter_mut().zip(&bank.ratio).for_each(|(w, r)| {
                // Once without weight is for ever.
                if *w > f64::NEG_INFINITY {
                    *w += delta * r;
                }
            });
            if beta == 1.0 {
                break;
            }
            self.renew(cx, &mut bank, &mut out.log_p, d, temperatures, 0.5)?;
            if temperatures == 0 {
                white.evaluate(cx, &bank.y, None, Some(&mut bank.g))?;
            }
            let law = Posterior {
                a,
                v,
                beta,
                prior: if free { 0.0 } else { 1.0 - beta },
            };
            for j in 0..u64::from(self.moves) {
                cx.check_cancelled()?;
                bank.step.fill(*step);
                let mut cx = cx.at("temperature", temperatures);
                let mut points = Points {
                    y: &mut bank.y,
                    l: &mut bank.l,
                    g: &mut bank.g,
                };
                Move {
                    white,
                    law,
                    chains: m,
                    fault: Fault::None,
                }
                .apply(
                    &mut cx.at("move", j),
                    c,
                    &mut points,
                    &bank.step,
                    &mut bank.acceptance,
                )?;
                let mean = bank.acceptance.iter().sum::<f64>() / all as f64;
                *step = (*step * (GAIN * (mean - ACCEPTANCE)).exp()).clamp(1e-100, 1e100);
            }
            if temperatures == 0 {
                next = *step;
            }
            temperatures += 1;
        }
        *step = next;
        if out.draws.is_some() && temperatures == 0 {
            white.evaluate(cx, &bank.y, None, Some(&mut bank.g))?;
        }
        let mut effort = conclude(cx, &mut bank, &mut out, d, spread * spread)?;
        if let Some(points) = out.draws {
            // From shares to weights of mean 1, which resampling then makes even without a change of p̂.
            bank.weight
                .iter_mut()
                .for_each(|w| *w = (m as f64 * *w).ln());
            self.renew(cx, &mut bank, &mut out.log_p, d, u64::MAX, 1.0)?;
            points.y.copy_from_slice(&bank.y);
            points.l.copy_from_slice(&bank.l);
            points.g.copy_from_slice(&bank.g);
        }
        effort.temperatures = temperatures as f64;
        let Bank {
            y,
            l,
            g,
            ratio,
            weight,
            step,
            acceptance,
        } = bank;
        for buffer in [acceptance, step, weight, ratio, l, g, y] {
            cx.give(buffer);
        }
        Ok(effort)
    }

    /// The largest increment of β that leaves the draws of a row an effective share `alpha`, on
    /// average over some of the rows.
    fn increment(&self, bank: &Bank, beta: f64) -> f64 {
        let m = self.draws;
        let rows = bank.weight.len() / m;
        let stride = rows.div_ceil(ASKED);
        let enough = |delta: f64| {
            let (mut share, mut count) = (0.0, 0.0);
            for i in (0..rows).step_by(stride) {
                let at = i * m..(i + 1) * m;
                let top = |v: &[f64]| v.iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v));
                let (w, r) = (&bank.weight[at.clone()], &bank.ratio[at]);
                let (most, high) = (top(w), top(r));
                if most == f64::NEG_INFINITY || high == f64::NEG_INFINITY {
                    continue;
                }
                let (mut s0, mut s1, mut s2) = (0.0, 0.0, 0.0);
                for (w, r) in w.iter().zip(r) {
                    if *r == f64::NEG_INFINITY {
                        continue;
                    }
                    let (w, u) = (
                        relative_weight(w - most),
                        relative_weight(delta * (r - high)),
                    );
                    s0 += w;
                    s1 += w * u;
                    s2 += w * u * u;
                }
                if s2 > 0.0 {
                    share += s1 * s1 / (s0 * s2);
                    count += 1.0;
                }
            }
            share >= self.alpha * count
        };
        let (mut low, mut high) = (0.0, 1.0 - beta);
        if enough(high) {
            return high;
        }
        for _ in 0..40 {
            let mid = 0.5 * (low + high);
            if enough(mid) {
                low = mid;
            } else {
                high = mid;
            }
            if high - low <= 1e-3 * low {
                break;
            }
        }
        low
    }

    /// Resamples the draws of rows of which no more than the share `least` counts.
    fn renew(
        &self,
        cx: &mut Cx<'_>,
        bank: &mut Bank,
        log_p: &mut ArrayViewMut1<'_, f64>,
        d: usize,
        round: u64,
        least: f64,
    ) -> Result {
        let m = self.draws;
        let rows = log_p.len();
        let parts = (
            matrix_mut(&mut bank.y, m * d),
            matrix_mut(&mut bank.g, m * d),
            matrix_mut(&mut bank.l, m),
            matrix_mut(&mut bank.weight, m),
            log_p.view_mut(),
        );
        cx.rows(
            rows,
            parts,
            |cx, _, (mut y, mut g, mut l, mut w, mut log_p)| {
                let mut u = cx.take(log_p.len());
                let mut counts = cx.take(m);
                let mut share = cx.take(m);
                cx.at("renew", round)
                    .fill_uniform_1(ArrayViewMut1::from(&mut u[..]));
                for i in 0..log_p.len() {
                    let (mut y, mut g) = (y.row_mut(i), g.row_mut(i));
                    let (mut l, mut w) = (l.row_mut(i), w.row_mut(i));
                    let rows = (
                        y.as_slice_mut(),
                        g.as_slice_mut(),
                        l.as_slice_mut(),
                        w.as_slice_mut(),
                    );
                    let (Some(y), Some(g), Some(l), Some(w)) = rows else {
                        unreachable!("rows are dense");
                    };
                    share.copy_from_slice(w);
                    let sum = softmax_in_place(&mut share);
                    let squares: f64 = share.iter().map(|s| s * s).sum();
                    if sum == f64::NEG_INFINITY || squares * m as f64 * least < 1.0 {
                        continue;
                    }
                    log_p[i] += sum - (m as f64).ln();
                    w.fill(0.0);
                    offspring(u[i], &share, &mut counts);
                    copies(&counts, |i, j| {
                        y.copy_within(i * d..(i + 1) * d, j * d);
                        g.copy_within(i * d..(i + 1) * d, j * d);
                        l[j] = l[i];
                    });
                }
                cx.give(share);
                cx.give(counts);
                cx.give(u);
                Ok(())
            },
        )
    }
}

/// ln of the ratio of target and reference at each draw.
fn ratios(bank: &mut Bank, d: usize, free: bool) {
    let rows = bank.y.chunks_exact(d).zip(&bank.l);
    for (r, (y, l)) in bank.ratio.iter_mut().zip(rows) {
        let base = if free {
            0.0
        } else {
            0.5 * y.iter().map(|y| y * y).sum::<f64>()
        };
        *r = l + base;
    }
}

/// Takes means and variances under the weights; `most` is the variance of the reference.
fn conclude(
    cx: &mut Cx<'_>,
    bank: &mut Bank,
    out: &mut Estimates<'_>,
    d: usize,
    most: f64,
) -> Result<Effort> {
    let rows = out.log_p.len();
    let m = bank.weight.len() / rows;
    let mut count = cx.take(rows);
    let parts = (
        matrix(&bank.y, m * d),
        matrix_mut(&mut bank.weight, m),
        (
            out.log_p.view_mut(),
            out.mean.view_mut(),
            out.variance.view_mut(),
        ),
        ArrayViewMut1::from(&mut count[..]),
    );
    cx.rows(
        rows,
        parts,
        |_, _, (y, mut w, (mut log_p, mut mean, mut variance), mut ess)| {
            for i in 0..log_p.len() {
                let (y, mut w) = (y.row(i), w.row_mut(i));
                let (Some(y), Some(w)) = (y.as_slice(), w.as_slice_mut()) else {
                    unreachable!("rows are dense");
                };
                log_p[i] += log_mean_exp(w);
                softmax_in_place(w);
                let (mut mean, mut variance) = (mean.row_mut(i), variance.row_mut(i));
                mean.fill(0.0);
                variance.fill(0.0);
                let squares: f64 = w.iter().map(|w| w * w).sum();
                if squares == 0.0 {
                    ess[i] = 0.0;
                    continue;
                }
                ess[i] = 1.0 / squares;
                for (y, w) in y.chunks_exact(d).zip(&*w) {
                    mean.zip_mut_with(&ArrayView1::from(y), |m, y| *m += w * y);
                }
                for (y, w) in y.chunks_exact(d).zip(&*w) {
                    for j in 0..d {
                        variance[j] += w * (y[j] - mean[j]) * (y[j] - mean[j]);
                    }
                }
                // So few draws tell the variances to √(2/ess) of them, and what is too low makes heavy weights:
                // widened by about as much, and by a share of what they would be under the reference.
                let wider = 1.0 + 1.0 / ess[i].sqrt();
                variance.mapv_inplace(|s| wider * s + most / ess[i]);
            }
            Ok(())
        },
    )?;
    let effort = Effort {
        temperatures: 0.0,
        ess: count.iter().sum::<f64>() / rows as f64,
        empty: count.iter().filter(|c| **c == 0.0).count(),
    };
    cx.give(count);
    Ok(effort)
}
