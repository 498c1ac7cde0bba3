//! The normal law with independent coordinates that is nearest to the target: mean-field variational
//! inference.
//!
//! q = N(m, diag s²) maximises E_q[ln ρ − ln q] by Adam (Kingma & Ba 2015, arXiv:1412.6980) on m, in
//! units of s, and on ln s, with the gradient of the paths alone (Roeder, Wu & Duvenaud 2017,
//! arXiv:1703.09194), whose noise vanishes where q is the target. The rate falls each time that a window
//! of iterations brings no more than noise; the law is the mean over the last window.
//!
//! The draws are its own, so that estimates made after it have a law that is fixed as far as they are
//! concerned.

use crate::chains::{Gaussian, check_length, matrix, matrix_mut};
use ndarray::ArrayViewMut1;
use retrograde_core::{Cx, Result, Target};
use serde::{Deserialize, Serialize};

/// Draws of an iteration.
const DRAWS: usize = 128;
/// Iterations of a step of the run.
const ITERATIONS: u64 = 10;
const WINDOW: u64 = 50;
const FIRST_RATE: f64 = 0.1;
const LAST_RATE: f64 = 0.003;
const DECAY: f64 = 0.3;
const MEMORY: [f64; 2] = [0.9, 0.99];

/// A fit under way.
#[derive(Serialize, Deserialize)]
pub(super) struct Vi {
    /// m, then ln s.
    at: Vec<f64>,
    /// Means of gradient and squared gradient, and the sum of `at` over the window.
    first: Vec<f64>,
    second: Vec<f64>,
    sum: Vec<f64>,
    rate: f64,
    pub(super) done: u64,
    /// Sum of the bounds E_q[ln ρ − ln q] of the window, of their squares, and the mean of the last one.
    bound: (f64, f64),
    pub(super) best: f64,
}

impl Vi {
    pub(super) fn new(d: usize) -> Self {
        Self {
            at: vec![0.0; 2 * d],
            first: vec![0.0; 2 * d],
            second: vec![0.0; 2 * d],
            sum: vec![0.0; 2 * d],
            rate: FIRST_RATE,
            done: 0,
            bound: (0.0, 0.0),
            best: f64::NEG_INFINITY,
        }
    }

    /// Begins at `law`.
    fn begin(&mut self, law: &Gaussian) {
        let start = law.mean.iter().copied();
        let start = start.chain(law.sd.iter().map(|s| s.ln()));
        self.at.iter_mut().zip(start).for_each(|(a, v)| *a = v);
    }

    /// Whether a saved fit is one in dimension `d` that has not done its `steps`.
    pub(super) fn check_saved(&self, d: usize, steps: u64) -> std::result::Result<(), String> {
        for (what, v) in [
            ("parameters of a fit", &self.at),
            ("mean gradients of a fit", &self.first),
            ("mean squares of a fit", &self.second),
            ("sums of a fit", &self.sum),
        ] {
            check_length(what, v.len(), 2 * d)?;
            if !v.iter().all(|v| v.is_finite()) {
                return Err(format!("{what} that are not finite"));
            }
        }
        if self.done < steps && self.rate > 0.0 && self.second.iter().all(|v| *v >= 0.0) {
            return Ok(());
        }
        Err("an impossible fit".into())
    }

    /// Does some of at most `steps` iterations; true when done, and `law` is then the fit.
    pub(super) fn step(
        &mut self,
        cx: &mut Cx<'_>,
        target: &dyn Target,
        law: &mut Gaussian,
        steps: u64,
    ) -> Result<bool> {
        let d = law.sd.len();
        if self.done == 0 {
            self.begin(law);
        }
        for i in 0..ITERATIONS.min(steps.saturating_sub(self.done)) {
            cx.check_cancelled()?;
            self.iterate(&mut cx.at("vi", i), target)?;
            self.done += 1;
            let over = self.window_ends();
            if over || self.done >= steps {
                // A window that was cut short tells best where the fit is, whatever the noise.
                let n = ((self.done - 1) % WINDOW + 1) as f64;
                self.best = self.best.max(self.bound.0 / n);
                for j in 0..d {
                    law.mean[j] = self.sum[j] / n;
                    law.sd[j] = (self.sum[d + j] / n).exp();
                }
                law.refresh();
                return Ok(true);
            }
            if self.done.is_multiple_of(WINDOW) {
                self.sum.fill(0.0);
                self.bound = (0.0, 0.0);
            }
        }
        Ok(false)
    }

    /// Whether the fit is over at the end of this window, if it is one.
    fn window_ends(&mut self) -> bool {
        if !self.done.is_multiple_of(WINDOW) {
            return false;
        }
        let n = WINDOW as f64;
        let mean = self.bound.0 / n;
        let se = ((self.bound.1 / n - mean * mean).max(0.0) / n).sqrt();
        if mean > self.best + 2.0 * se {
            self.best = mean;
            return false;
        }
        self.best = self.best.max(mean);
        self.rate *= DECAY;
        self.rate < LAST_RATE
    }

    fn iterate(&mut self, cx: &mut Cx<'_>, target: &dyn Target) -> Result {
        let d = self.at.len() / 2;
        let [mut z, mut x, mut g] = std::array::from_fn(|_| cx.take(DRAWS * d));
        let mut l = cx.take(DRAWS);
        let mut slope = cx.take(2 * d);
        cx.at("noise", 0).fill_normal(matrix_mut(&mut z, d));
        for (x, z) in x.chunks_exact_mut(d).zip(z.chunks_exact(d)) {
            for j in 0..d {
                x[j] = self.at[j] + self.at[d + j].exp() * z[j];
            }
        }
        let values = Some(ArrayViewMut1::from(&mut l[..]));
        cx.eval_target(target, matrix(&x, d), values, Some(matrix_mut(&mut g, d)))?;
        slope.fill(0.0);
        let (mut bound, mut count) = (0.0, 0.0);
        let rows = g.chunks_exact(d).zip(z.chunks_exact(d)).zip(&l);
        for ((g, z), l) in rows.filter(|(_, l)| l.is_finite()) {
            count += 1.0;
            bound += l;
            for j in 0..d {
                let u = self.at[d + j].exp() * g[j] + z[j];
                slope[j] += u;
                slope[d + j] += u * z[j];
                bound += 0.5 * z[j] * z[j];
            }
        }
        if count > 0.0 {
            self.ascend(&slope, count);
            let constant = 0.5 * d as f64 * std::f64::consts::TAU.ln();
            let bound = bound / count + self.at[d..].iter().sum::<f64>() + constant;
            self.bound.0 += bound;
            self.bound.1 += bound * bound;
        }
        for (s, a) in self.sum.iter_mut().zip(&self.at) {
            *s += a;
        }
        for buffer in [z, x, g, l, slope] {
            cx.give(buffer);
        }
        Ok(())
    }

    /// A step of Adam along the sum `slope` over `count` draws.
    fn ascend(&mut self, slope: &[f64], count: f64) {
        let d = self.at.len() / 2;
        let t = self.done as f64 + 1.0;
        let corrections = MEMORY.map(|b| 1.0 - b.powf(t));
        for (j, slope) in slope.iter().enumerate() {
            let v = (slope / count).clamp(-1e100, 1e100);
            self.first[j] += (1.0 - MEMORY[0]) * (v - self.first[j]);
            self.second[j] += (1.0 - MEMORY[1]) * (v * v - self.second[j]);
            let root = (self.second[j] / corrections[1]).sqrt() + 1e-12;
            let step = self.rate * self.first[j] / corrections[0] / root;
            let unit = if j < d { self.at[d + j].exp() } else { 1.0 };
            self.at[j] += unit * step;
            if j >= d {
                // Scales that a number and its square can hold.
                self.at[j] = self.at[j].clamp(-230.0, 230.0);
            }
        }
    }
}
