//! From one level of reverse diffusion SMC to the next.

use super::{Fault, Sampled, State, dense_weights};
use crate::chains::{dense, dense_mut, matrix_mut};
use crate::genealogy::offspring;
use ndarray::{ArrayView1, ArrayViewMut1};
use retrograde_core::{Cx, Result};

impl Sampled {
    /// Equal weights, if the particles are worth few.
    pub(super) fn resample(&self, cx: &mut Cx<'_>, state: &mut State) {
        let n = state.weights.len();
        let weights = dense_weights(&state.weights);
        let ess = 1.0 / weights.iter().map(|w| w * w).sum::<f64>();
        if ess > self.settings.resample_threshold * n as f64 {
            return;
        }
        let mut u = [0.0];
        cx.at("resample", 0)
            .fill_uniform_1(ArrayViewMut1::from(&mut u[..]));
        let mut counts = cx.take(n);
        offspring(u[0], weights, &mut counts);
        let d = state.x.ncols();
        let State {
            x,
            log_p,
            mean,
            variance,
            families,
            weights,
            ..
        } = state;
        let all = [&mut *x, mean, variance];
        let mut all = all.map(|a| a.as_slice_mut().expect("particles are dense"));
        families.copy_by(dense_weights(weights), &counts, |i, j| {
            for a in &mut all {
                a.copy_within(i * d..(i + 1) * d, j * d);
            }
            log_p[j] = log_p[i];
        });
        weights.fill(1.0 / n as f64);
        cx.give(counts);
    }

    /// Moves particles from the level before to the present one; `log_w` gets ω but for p̂_{k−1}.
    pub(super) fn advance(&self, cx: &mut Cx<'_>, state: &mut State, log_w: &mut [f64]) -> Result {
        let ((a, v), (to, left)) = (self.noise(state.level - 1), self.noise(state.level));
        let alpha = a / to;
        // 1 − α², without cancellation: v_k = α² v_{k−1} + q.
        let q = v - alpha * alpha * left;
        let (pull, keep) = (to * q / v, alpha * left / v);
        let omitted = self.fault == Fault::KernelOmitted && state.level == self.settings.levels / 2;
        let n = state.x.nrows();
        let parts = (
            state.x.view_mut(),
            state.mean.view(),
            state.variance.view(),
            state.log_p.view(),
            ArrayViewMut1::from(log_w),
        );
        let tries = if self.fault == Fault::Picked { 2 } else { 1 };
        cx.rows(n, parts, |cx, _, (x, mean, variance, log_p, log_w)| {
            let d = x.ncols();
            let mut z = cx.take(tries * x.len());
            let view = matrix_mut(&mut z, tries * d);
            cx.at("noise", 0).fill_normal(view);
            let rows = dense_mut(x)
                .chunks_exact_mut(d)
                .zip(z.chunks_exact_mut(tries * d));
            let rows = rows.zip(dense(&mean).chunks_exact(d));
            let rows = rows.zip(dense(&variance).chunks_exact(d));
            let rows = rows.zip(log_p.iter().zip(log_w));
            for ((((x, z), mean), variance), (log_p, log_w)) in rows {
                let size = |z: &[f64]| z.iter().map(|z| z * z).sum::<f64>();
                if tries == 2 && size(&z[d..]) < size(&z[..d]) {
                    z.copy_within(d.., 0);
                }
                let mut sum = -log_p;
                for j in 0..d {
                    let var = left * q / v + pull * pull * variance[j];
                    let moved = pull * mean[j] + keep * x[j] + var.sqrt() * z[j];
                    let back = x[j] - alpha * moved;
                    let kernel = if omitted {
                        0.0
                    } else {
                        back * back / q + q.ln()
                    };
                    sum += 0.5 * (z[j] * z[j] + var.ln() - kernel);
                    x[j] = moved;
                }
                *log_w = sum;
            }
            cx.give(z);
            Ok(())
        })
    }
}

/// Gives particles none of whose draws has mass the least that others have, and the posterior of the base:
/// a p̂ of 0 would lose what mass they may lead to, and with it Ẑ its mean.
pub(super) fn fill_empty((a, v): (f64, f64), state: &mut State) {
    let base = |x: ArrayView1<'_, f64>| -0.5 * x.iter().map(|x| x * x).sum::<f64>();
    let over = state.log_p.iter().zip(state.x.outer_iter());
    let over = over.map(|(l, x)| l - base(x)).filter(|l| l.is_finite());
    let least = over.fold(f64::INFINITY, f64::min);
    let least = if least.is_finite() { least } else { 0.0 };
    for (i, x) in state.x.outer_iter().enumerate() {
        if state.log_p[i] == f64::NEG_INFINITY {
            state.log_p[i] = base(x) + least;
            state.variance.row_mut(i).fill(v);
            let mut mean = state.mean.row_mut(i);
            mean.zip_mut_with(&x, |m, x| *m = a * x);
        }
    }
}
