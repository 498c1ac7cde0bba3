//! The way back: draws sent to the reference law by the forward process, which tell log Z from the other
//! end (in the manner of bidirectional Monte Carlo, Grosse, Ghahramani & Adams 2015, arXiv:1511.02543).

use super::Diffusion;
use super::guide::Frame;
use super::swarm::{Report, Swarm};
use crate::chains::dense;
use crate::walkers::Walkers;
use ndarray::{Array2, ArrayViewMut1, Axis};
use retrograde_core::{Cx, Result};
use std::f64::consts::TAU;

impl Diffusion {
    /// Takes the particles one time away from the target by the forward process, and weighs them by what
    /// the way back would have given: Ẑ⁻¹ is unbiased if they came from the target.
    pub(super) fn away(
        &self,
        cx: &mut Cx<'_>,
        frame: &mut Frame,
        steps: &[f64],
        swarm: &mut Swarm,
    ) -> Result<Report> {
        let level = swarm.level + 1;
        let (n, d) = swarm.particles.x.dim();
        let (a, noise) = self.levels.step[level];
        let c = self.pull(level);
        let [mut omega, mut before] = std::array::from_fn(|_| cx.take(n));
        let mut old = cx.take(n * d);
        old.copy_from_slice(dense(&swarm.particles.x.view()));
        swarm.potential(&mut before);
        cx.at("noise", 0).fill_normal(swarm.particles.x.view_mut());
        let sd = noise.sqrt();
        let pairs = swarm.particles.x.iter_mut().zip(&old);
        pairs.for_each(|(x, old)| *x = a * old + sd * *x);
        self.evaluate(cx, frame, swarm, level)?;
        swarm.hold(&before);
        for ((o, b), i) in omega.iter_mut().zip(&before).zip(0..) {
            let (x, g) = (swarm.particles.x.row(i), swarm.particles.gradient.row(i));
            let mut term = 0.0;
            if !g[0].is_nan() {
                for j in 0..d {
                    let shift = c * (g[j] + x[j]);
                    term += shift * (old[i * d + j] - a * x[j] - 0.5 * shift);
                }
            }
            *o = term / noise - b;
        }
        swarm.potential(&mut before);
        let whole = 0.5 * d as f64 * TAU.ln();
        let last = level == self.levels.steps();
        for (o, b) in omega.iter_mut().zip(&before) {
            // At the end the law is the reference itself.
            *o += if last { -whole } else { *b };
        }
        cx.give(old);
        swarm.level = level;
        swarm.reweigh(&omega, &mut before);
        let mut step = steps[level];
        let report = self.settle(cx, frame, swarm, &mut before, (&mut step, false));
        cx.give(before);
        cx.give(omega);
        report
    }

    /// Particles that stand for `from` by equal weights: systematic resampling.
    pub(super) fn chosen(&self, cx: &mut Cx<'_>, from: &Swarm, back: &mut Swarm) {
        let mut u = [0.0];
        cx.at("choose", 0)
            .fill_uniform_1(ArrayViewMut1::from(&mut u[..]));
        let m = back.log_weights.len();
        let total: f64 = from.log_weights.iter().map(|w| w.exp()).sum();
        let (mut sum, mut taken) = (0.0, 0);
        for (i, w) in from.log_weights.iter().enumerate() {
            sum += w.exp() / total;
            while taken < m && *w > f64::NEG_INFINITY && (taken as f64 + u[0]) / (m as f64) < sum {
                back.particles
                    .x
                    .row_mut(taken)
                    .assign(&from.particles.x.row(i));
                let slopes = from.particles.gradient.row(i);
                back.particles.gradient.row_mut(taken).assign(&slopes);
                back.particles.log_density[taken] = from.particles.log_density[i];
                taken += 1;
            }
        }
        // Rounding may leave the last place: it stays with the particle before it.
        for i in taken.max(1)..m {
            let Walkers {
                x,
                log_density,
                gradient,
            } = &mut back.particles;
            let copy = |v: &mut Array2<f64>| {
                let (above, mut below) = v.view_mut().split_at(Axis(0), i);
                below.row_mut(0).assign(&above.row(i - 1));
            };
            copy(x);
            copy(gradient);
            log_density[i] = log_density[i - 1];
        }
        back.level = 0;
        back.started = true;
    }
}
