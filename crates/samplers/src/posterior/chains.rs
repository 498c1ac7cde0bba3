//! Chains that follow posteriors as these change from one step of a run to the next.

use super::anneal::{Annealing, Estimates};
use super::{Fault, Move, Points, Posterior, Whitened};
use crate::chains::{check_length, dense_mut, matrix, matrix_mut, zeros};
use crate::genealogy::{copies, offspring};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1};
use retrograde_core::numeric::softmax_in_place;
use retrograde_core::{Cx, Result};
use serde::{Deserialize, Serialize};

/// Acceptance that step sizes of chains are adapted to.
const ACCEPTANCE: f64 = 0.6;
/// Change of a chain's log step size per unit of acceptance off its aim, a move.
const GAIN: f64 = 0.5;

/// `m` chains for each of n rows, each with a step size of its own.
#[derive(Serialize, Deserialize)]
pub(crate) struct Followers {
    y: Array2<f64>,
    l: Array1<f64>,
    g: Array2<f64>,
    step: Array1<f64>,
    /// −‖c − a y‖²/(2v) at the last level.
    link: Array1<f64>,
}

/// Means over chains and the second half of their moves, rows of d each.
pub(crate) struct Means<'a> {
    /// Of the draws.
    pub(crate) draw: &'a mut [f64],
    /// Of the slopes ∇l.
    pub(crate) slope: &'a mut [f64],
}

impl Followers {
    /// Room for `m` chains of each of `n` rows in dimension `d`.
    pub(crate) fn nowhere(component: &str, n: usize, m: usize, d: usize) -> Result<Self> {
        let all = n.saturating_mul(m);
        Ok(Self {
            y: zeros(component, all, d)?,
            l: Array1::zeros(all),
            g: zeros(component, all, d)?,
            step: Array1::ones(all),
            link: Array1::zeros(all),
        })
    }

    /// Whether saved chains are `all` in dimension `d`.
    pub(crate) fn check_saved(&self, all: usize, d: usize) -> std::result::Result<(), String> {
        for (what, found) in [("draws", self.y.dim()), ("slopes", self.g.dim())] {
            if found != (all, d) {
                return Err(format!("{what} of shape {found:?}, not {:?}", (all, d)));
            }
        }
        check_length("log densities", self.l.len(), all)?;
        check_length("step sizes", self.step.len(), all)?;
        check_length("links", self.link.len(), all)?;
        let usable = |l: &f64| *l < f64::INFINITY;
        let positive = |h: &f64| *h > 0.0 && h.is_finite();
        if self.l.iter().all(usable) && self.step.iter().all(positive) {
            return Ok(());
        }
        Err("chains that are nowhere".into())
    }

    fn points(&mut self) -> Points<'_> {
        let parts = (
            self.y.as_slice_mut(),
            self.l.as_slice_mut(),
            self.g.as_slice_mut(),
        );
        let (Some(y), Some(l), Some(g)) = parts else {
            unreachable!("chains are dense");
        };
        Points { y, l, g }
    }

    /// Starts the chains from annealed draws of the posteriors of `c`, with step size `step`.
    pub(crate) fn start(
        &mut self,
        cx: &mut Cx<'_>,
        white: Whitened<'_>,
        annealing: Annealing,
        noise: (f64, f64),
        c: &[f64],
        mut step: f64,
    ) -> Result {
        let d = white.dim();
        let n = c.len() / d;
        let [mut mean, mut variance] = std::array::from_fn(|_| cx.take(n * d));
        let mut log_p = cx.take(n);
        let out = Estimates {
            log_p: ArrayViewMut1::from(&mut log_p[..]),
            mean: matrix_mut(&mut mean, d),
            variance: matrix_mut(&mut variance, d),
            draws: Some(self.points()),
        };
        annealing.estimate(cx, white, noise, c, out, &mut step)?;
        self.step.fill(step);
        for buffer in [log_p, variance, mean] {
            cx.give(buffer);
        }
        Ok(())
    }

    /// Resamples the chains of each row by what the links to `c` under `law` are, over what they were: so
    /// that chains in modes that they cannot leave have the shares of the new posterior.
    pub(crate) fn reweigh(
        &mut self,
        cx: &mut Cx<'_>,
        law: Posterior,
        c: &[f64],
        d: usize,
    ) -> Result {
        let n = c.len() / d;
        let m = self.l.len() / n;
        let link = self.link.as_slice_mut().expect("chains are dense");
        let step = self.step.as_slice_mut().expect("chains are dense");
        let y = self.y.as_slice_mut().expect("chains are dense");
        let g = self.g.as_slice_mut().expect("chains are dense");
        let l = self.l.as_slice_mut().expect("chains are dense");
        let parts = (
            matrix_mut(y, m * d),
            matrix_mut(g, m * d),
            (matrix_mut(l, m), matrix_mut(step, m), matrix_mut(link, m)),
        );
        cx.rows(n, parts, |cx, range, (y, g, (l, step, link))| {
            let rows = range.len();
            let [mut u, mut share, mut counts] = [rows, m, m].map(|len| cx.take(len));
            cx.at("reweigh", 0)
                .fill_uniform_1(ArrayViewMut1::from(&mut u[..]));
            let (y, g) = (dense_mut(y), dense_mut(g));
            let (l, step, link) = (dense_mut(l), dense_mut(step), dense_mut(link));
            for (i, u) in u.iter().enumerate() {
                let c = &c[(range.start + i) * d..][..d];
                let (y, g) = (&mut y[i * m * d..][..m * d], &mut g[i * m * d..][..m * d]);
                let at = i * m..(i + 1) * m;
                let (l, step) = (&mut l[at.clone()], &mut step[at.clone()]);
                let before = &link[at];
                for ((s, y), b) in share.iter_mut().zip(y.chunks_exact(d)).zip(before) {
                    *s = law.link(c, y) - b;
                }
                if !softmax_in_place(&mut share).is_finite() {
                    continue;
                }
                offspring(*u, &share, &mut counts);
                copies(&counts, |i, j| {
                    y.copy_within(i * d..(i + 1) * d, j * d);
                    g.copy_within(i * d..(i + 1) * d, j * d);
                    (l[j], step[j]) = (l[i], step[i]);
                });
            }
            for buffer in [counts, share, u] {
                cx.give(buffer);
            }
            Ok(())
        })
    }

    /// Moves the chains `moves` times; gives means of the second half, in which no step size changes,
    /// and the mean acceptance there.
    pub(crate) fn follow(
        &mut self,
        cx: &mut Cx<'_>,
        white: Whitened<'_>,
        law: Posterior,
        c: &[f64],
        moves: u64,
        out: &mut Means<'_>,
    ) -> Result<f64> {
        let d = white.dim();
        let n = c.len() / d;
        let m = self.l.len() / n;
        let run = white.run(n, m);
        let steps = std::mem::take(&mut self.step);
        let mut steps = steps.into_raw_vec_and_offset().0;
        let (mut rest, mut first, mut accepted) = (self.points(), 0, 0.0);
        let kept = moves.div_ceil(2);
        let mut outcome = Ok(());
        while first < n && outcome.is_ok() {
            let rows = run.min(n - first);
            let (mut now, later) = rest.split(rows * m, d);
            rest = later;
            let at = first * d..(first + rows) * d;
            let step = &mut steps[first * m..(first + rows) * m];
            let (draw, slope) = (&mut out.draw[at.clone()], &mut out.slope[at.clone()]);
            draw.fill(0.0);
            slope.fill(0.0);
            let mut acceptance = cx.take(rows * m);
            let kernel = Move {
                white,
                law,
                chains: m,
                fault: Fault::None,
            };
            let mut cx = cx.from_row(first * m);
            for j in 0..moves {
                outcome = cx.check_cancelled().and_then(|()| {
                    let mut cx = cx.at("move", j);
                    kernel.apply(&mut cx, &c[at.clone()], &mut now, step, &mut acceptance)
                });
                if outcome.is_err() {
                    break;
                }
                if j + kept < moves {
                    for (h, a) in step.iter_mut().zip(&acceptance) {
                        *h = (*h * (GAIN * (a - ACCEPTANCE)).exp()).clamp(1e-100, 1e100);
                    }
                    continue;
                }
                accepted += acceptance.iter().sum::<f64>();
                let scale = 1.0 / (kept as f64 * m as f64);
                let parts = (
                    matrix_mut(draw, d),
                    matrix_mut(slope, d),
                    matrix(now.y, m * d),
                    matrix(now.g, m * d),
                );
                outcome = cx.rows(rows, parts, |_, _, (mut draw, mut slope, y, g)| {
                    for (sums, values) in [(&mut draw, &y), (&mut slope, &g)] {
                        for (mut sum, value) in sums.outer_iter_mut().zip(values.outer_iter()) {
                            let value = value.to_slice().expect("rows are dense");
                            for v in value.chunks_exact(d) {
                                sum.zip_mut_with(&ArrayView1::from(v), |s, v| *s += scale * v);
                            }
                        }
                    }
                    Ok(())
                });
            }
            cx.give(acceptance);
            first += rows;
        }
        self.step = Array1::from(steps);
        let rows = self.y.outer_iter().enumerate();
        for (link, (i, y)) in self.link.iter_mut().zip(rows) {
            let y = y.to_slice().expect("chains are dense");
            *link = law.link(&c[i / m * d..][..d], y);
        }
        outcome.map(|()| accepted / (kept as f64 * (n * m) as f64))
    }
}
