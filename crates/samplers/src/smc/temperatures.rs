//! The temperatures of tempered SMC, each chosen from the particles.

use super::{Fault, NAME, Particles, SMALLEST_INCREMENT, State, dense_weights};
use crate::chains::{Gaussian, dense};
use crate::walkers::Walkers;
use ndarray::ArrayViewMut1;
use retrograde_core::numeric::relative_weight;
use retrograde_core::{Cx, Error, Result};

impl Particles {
    /// Δ = ln ρ − ln base at each particle.
    pub(super) fn differences(
        &self,
        cx: &mut Cx<'_>,
        base: &Gaussian,
        particles: &Walkers,
        out: &mut [f64],
    ) -> Result {
        let Walkers { x, log_density, .. } = particles;
        let constant = if self.fault == Fault::BaseNotNormalised {
            -base.log_normaliser
        } else {
            0.0
        };
        let parts = (x.view(), log_density.view(), ArrayViewMut1::from(out));
        cx.rows(x.nrows(), parts, |_, _, (x, l, out)| {
            let rows = dense(&x).chunks_exact(x.ncols());
            for (out, (x, l)) in out.into_iter().zip(rows.zip(l)) {
                *out = l - base.log_density(x) + constant;
            }
            Ok(())
        })
    }

    /// The next β, by bisection.
    pub(super) fn next_beta(&self, state: &State, difference: &[f64]) -> Result<f64> {
        if state.level >= self.settings.max_temperatures {
            return Err(Error::Breakdown {
                component: NAME.into(),
                message: format!(
                    "β is {} after `max_temperatures` = {} temperatures",
                    state.beta, self.settings.max_temperatures
                ),
                advice: "place the base (`base_mean`, `base_sd`) nearer to the target, lower \
                         `alpha`, or raise `max_temperatures`"
                    .into(),
            });
        }
        let weights = dense_weights(&state.weights);
        // Of the particles that count: one without weight, far above them, would leave them nothing.
        let top = weights
            .iter()
            .zip(difference)
            .filter(|(w, _)| **w > 0.0)
            .fold(f64::NEG_INFINITY, |m, (_, v)| m.max(*v));
        // Particles without mass are lost at any increment; α counts those that are left.
        let left: f64 = weights
            .iter()
            .zip(difference)
            .filter(|(_, v)| **v > f64::NEG_INFINITY)
            .map(|(w, _)| w)
            .sum();
        let enough = |delta: f64| {
            let (mut s1, mut s2) = (0.0, 0.0);
            for (w, v) in weights.iter().zip(difference) {
                let u = relative_weight(delta * (v - top).min(0.0));
                s1 += w * u;
                s2 += w * u * u;
            }
            s1 * s1 >= self.settings.alpha * left * s2
        };
        let (mut low, mut high) = (0.0, 1.0 - state.beta);
        if enough(high) {
            return Ok(1.0);
        }
        for _ in 0..50 {
            let mid = 0.5 * (low + high);
            if enough(mid) {
                low = mid;
            } else {
                high = mid;
            }
            // The effective sample size is then what it should be to nine digits.
            if high - low <= 1e-9 * low {
                break;
            }
        }
        if low <= SMALLEST_INCREMENT {
            return Err(Error::Breakdown {
                component: NAME.into(),
                message: format!(
                    "at β = {} the next temperature is less than {SMALLEST_INCREMENT} away",
                    state.beta
                ),
                advice: "the log density varies far too strongly over the particles: place the \
                         base (`base_mean`, `base_sd`) where the target has mass, lower `alpha`, \
                         or choose other units for the coordinates"
                    .into(),
            });
        }
        Ok(state.beta + low)
    }
}
