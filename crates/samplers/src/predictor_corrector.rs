//! Predictor–corrector sampling: Langevin moves at each noise level, then a step to the next.
//!
//! Source: Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole (2021), arXiv:2011.13456, alg. 2–5, in the
//! order of the authors' program: corrector first, then predictor; the last step has no noise.
//!
//! corrector: ε = 2 A² (`snr` ‖z‖/‖S‖)²,   x ← x + ε S + √(2ε) z
//!
//! predictor: x′ = (2 − A) x + V² S + V z,   A = a/a′, V² = s² − A² s′² ("reverse diffusion")
//!
//! ‖z‖ and ‖S‖ are means over all rows of the norm of a row, so that a row's path depends on the others.
//! A² = 1 − β of a variance-preserving chain, and 1 of a variance-exploding one. The corrector leaves
//! the law of its level with an error that does not vanish as steps are made shorter: `snr` does that.

use crate::chains::check_positive;
use crate::reverse::{Common, Leg, Reverse, Rows, Solver, Start, Weights, check_scalar};
use retrograde_core::grid::Grid;
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Cx, ForwardProcess, Kernel, Result, Sampler, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler predictor-corrector";

/// Settings, as written under `[sampler]` with `kind = "predictor-corrector"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PredictorCorrector {
    /// Langevin moves at each level; 0 leaves the predictor alone.
    pub moves: u32,
    /// Ratio of the drift of a move to its noise, > 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub snr: f64,
    /// Times that are visited.
    pub grid: Grid,
    /// Where it starts.
    pub start: Start,
}

impl Default for PredictorCorrector {
    fn default() -> Self {
        Self {
            moves: 1,
            snr: 0.16,
            grid: Grid::default(),
            start: Start::default(),
        }
    }
}

impl Build<dyn Sampler> for PredictorCorrector {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        check_positive(NAME, "snr", self.snr)?;
        let common = Common {
            grid: &self.grid,
            start: self.start,
            weights: Weights::None,
            noise_parts: 0,
        };
        let settings = self.clone();
        Ok(Arc::new(Reverse::new(settings, &common, &self, parts)?))
    }
}

/// Mean norm of the rows, summed by blocks of rows that do not depend on threads.
fn mean_norm(rows: &[f64], d: usize) -> f64 {
    let norms = |block: &[f64]| {
        block
            .chunks_exact(d)
            .map(|row| row.iter().map(|v| v * v).sum::<f64>().sqrt())
            .sum::<f64>()
    };
    let blocks = rows.chunks(d * retrograde_core::BLOCK).map(norms);
    blocks.sum::<f64>() / (rows.len() / d) as f64
}

impl Solver for PredictorCorrector {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kernel(&self) -> Kernel {
        Kernel::Other
    }

    fn check(&self, process: &dyn ForwardProcess) -> Result {
        check_scalar(NAME, process)
    }

    fn whole_batch(&self) -> bool {
        true
    }

    fn step(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, rows: Rows<'_>) -> Result {
        let (x, d) = (rows.x, leg.d);
        let ((a, s), (a1, s1)) = (leg.alpha_sigma(leg.t), leg.alpha_sigma(leg.to));
        let forward = a / a1;
        let [mut score, mut z] = std::array::from_fn(|_| cx.take(x.len()));
        for m in 0..self.moves {
            leg.score(
                &mut cx.at("corrector score", u64::from(m)),
                leg.t,
                x,
                &mut score,
            )?;
            leg.noise(&mut cx.at("corrector", u64::from(m)), &mut z, d);
            let ratio = self.snr * mean_norm(&z, d) / mean_norm(&score, d);
            let size = 2.0 * forward * forward * ratio * ratio;
            if !size.is_finite() {
                continue;
            }
            let sd = (2.0 * size).sqrt();
            for ((x, score), z) in x.iter_mut().zip(&score).zip(&z) {
                *x += size * score + sd * z;
            }
        }
        leg.score(cx, leg.t, x, &mut score)?;
        leg.noise(cx, &mut z, d);
        let v2 = (s * s - (forward * s1).powi(2)).max(0.0);
        let sd = if leg.is_last() { 0.0 } else { v2.sqrt() };
        for ((x, score), z) in x.iter_mut().zip(&score).zip(&z) {
            *x = (2.0 - forward) * *x + v2 * score + sd * z;
        }
        cx.give(score);
        cx.give(z);
        Ok(())
    }
}

register! {
    sampler "predictor-corrector" => PredictorCorrector, needs REVERSE,
        summary "Langevin moves at each noise level, then reverse diffusion; scalar linear processes",
        source "Song et al. (2021), arXiv:2011.13456";
}
