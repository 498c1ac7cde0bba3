//! The scale of the moves of tempered SMC, from the particles.

use super::{Particles, Precondition, State};
use crate::chains::{dense, matrix};
use crate::genealogy::standard_deviations;
use crate::walkers::Scale;
use retrograde_core::Cx;
use retrograde_core::numeric::cholesky;

impl Particles {
    /// Numbers that a scale takes.
    pub(super) fn scales(&self) -> usize {
        let d = self.target.dim();
        match self.settings.precondition {
            Precondition::Dense => d * d,
            Precondition::None | Precondition::Diagonal => d,
        }
    }

    /// The scale of 1 in all directions.
    pub(super) fn unit(&self) -> Vec<f64> {
        let (d, m) = (self.target.dim(), self.scales());
        let mut scale = vec![0.0; m];
        scale
            .iter_mut()
            .step_by(m / d + m / (d * d))
            .for_each(|s| *s = 1.0);
        scale
    }

    /// The scale that `numbers` stand for.
    pub(super) fn scale<'a>(&self, numbers: &'a [f64]) -> Scale<'a> {
        match self.settings.precondition {
            Precondition::Dense => Scale::Lower(numbers),
            Precondition::None | Precondition::Diagonal => Scale::Diagonal(numbers),
        }
    }

    /// Sets the scale to what the weighted particles have, `ess` of them in effect.
    pub(super) fn rescale(&self, cx: &mut Cx<'_>, state: &mut State, ess: f64) {
        if self.settings.precondition == Precondition::None {
            return;
        }
        let d = self.target.dim();
        let [mut mean, mut sd] = std::array::from_fn(|_| cx.take(d));
        let State {
            particles,
            weights,
            scale,
            base,
            ..
        } = state;
        standard_deviations(&particles.x, weights, &mut mean, &mut sd);
        // Particles that all agree in a coordinate would never leave it.
        for (s, b) in sd.iter_mut().zip(&base.sd) {
            *s = s.max(1e-12 * b);
        }
        if self.settings.precondition == Precondition::Diagonal {
            scale.copy_from_slice(&sd);
        } else {
            // Correlations, shrunk as if d more particles had shown none: then there is a root of them
            // for however few particles.
            let mut correlation = cx.take(d * d);
            correlation.fill(0.0);
            let mut z = cx.take(d);
            let x = particles.x.view();
            for (row, w) in dense(&x).chunks_exact(d).zip(&*weights) {
                if *w == 0.0 {
                    continue;
                }
                for j in 0..d {
                    z[j] = (row[j] - mean[j]) / sd[j];
                }
                for (j, out) in correlation.chunks_exact_mut(d).enumerate() {
                    let factor = w * z[j];
                    let lower = out[..j].iter_mut().zip(&z);
                    lower.for_each(|(c, z)| *c += factor * z);
                }
            }
            let shrunk = ess / (ess + d as f64);
            for (j, row) in correlation.chunks_exact_mut(d).enumerate() {
                row[..j].iter_mut().for_each(|c| *c *= shrunk);
                row[j] = 1.0;
            }
            let regular = cholesky(matrix(&correlation, d), scale).is_ok();
            for (j, row) in scale.chunks_exact_mut(d).enumerate() {
                if !regular {
                    row.fill(0.0);
                    row[j] = 1.0;
                }
                row[..=j].iter_mut().for_each(|l| *l *= sd[j]);
            }
            cx.give(z);
            cx.give(correlation);
        }
        cx.give(sd);
        cx.give(mean);
    }
}

/// Whether `scale` is one in dimension `d`: finite numbers, above 0 on the diagonal.
pub(super) fn sound(scale: &[f64], d: usize) -> bool {
    let finite = scale.iter().all(|s| s.is_finite());
    let step = if scale.len() == d { 1 } else { d + 1 };
    finite && scale.iter().step_by(step).all(|s| *s > 0.0)
}
