//! Ancestral sampling: one step of the chain from which a discrete diffusion model is defined.
//!
//! Source: Ho, Jain & Abbeel (2020), arXiv:2006.11239, alg. 2 (variance preserving); Song & Ermon (2019)
//! and Song et al. (2021), arXiv:2011.13456, app. F (variance exploding).
//!
//! A = a/a′,   V² = s² − A² s′²:   the kernel from the later of two times, seen forwards, is N(A x, V²)
//!
//! x′ = (x + V² S)/A + u z,   the mean of x′ given x (Tweedie's formula for the kernel)
//!
//! | `noise` | u | |
//! | --- | --- | --- |
//! | `posterior` | V s′/s | the standard deviation for data at one point; DDIM with η = 1 |
//! | `forward` | V | that of the kernel; √β of a chain with V² = β, A² = 1 − β |

use crate::reverse::{
    Common, Leg, Reverse, Rows, Solver, Start, Weights, check_scalar, log_noise, no_noise,
};
use retrograde_core::grid::Grid;
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Cx, ForwardProcess, Kernel, Result, Sampler, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler ancestral";

/// Which noise a step adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepNoise {
    /// That of the posterior for data at one point, none in a step to t = 0.
    #[default]
    Posterior,
    /// That of the forward kernel.
    Forward,
}

/// Settings, as written under `[sampler]` with `kind = "ancestral"`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ancestral {
    /// Noise of a step.
    pub noise: StepNoise,
    /// Times that are visited.
    pub grid: Grid,
    /// Where it starts.
    pub start: Start,
    /// Weights of the draws, and log Z: `path`.
    pub weights: Weights,
    /// Parts that the noise of a step is summed from, a multiple of `grid.refine`, so that runs with
    /// finer grids share it; 0 = one.
    pub noise_parts: u32,
}

impl Build<dyn Sampler> for Ancestral {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        let common = Common {
            grid: &self.grid,
            start: self.start,
            weights: self.weights,
            noise_parts: self.noise_parts,
        };
        let settings = self.clone();
        Ok(Arc::new(Reverse::new(settings, &common, &self, parts)?))
    }
}

impl Solver for Ancestral {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kernel(&self) -> Kernel {
        Kernel::Other
    }

    fn check(&self, process: &dyn ForwardProcess) -> Result {
        check_scalar(NAME, process)
    }

    fn tells_path(&self) -> bool {
        true
    }

    fn step(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, rows: Rows<'_>) -> Result {
        let ((a, s), (a1, s1)) = (leg.alpha_sigma(leg.t), leg.alpha_sigma(leg.to));
        let forward = a / a1;
        let v2 = (s * s - (forward * s1).powi(2)).max(0.0);
        let sd = match self.noise {
            StepNoise::Posterior => v2.sqrt() * s1 / s,
            StepNoise::Forward => v2.sqrt(),
        };
        let [mut score, mut z] = std::array::from_fn(|_| cx.take(rows.x.len()));
        leg.score(cx, leg.t, rows.x, &mut score)?;
        leg.noise(cx, &mut z, leg.d);
        for ((x, score), z) in rows.x.iter_mut().zip(&score).zip(&z) {
            *x = (*x + v2 * score) / forward + sd * z;
        }
        if let Some(out) = rows.log_backward {
            if sd == 0.0 {
                return Err(no_noise(NAME, leg.t, leg.to));
            }
            log_noise(&z, leg.d, sd, out);
        }
        cx.give(score);
        cx.give(z);
        Ok(())
    }
}

register! {
    sampler "ancestral" => Ancestral, needs REVERSE,
        summary "Ancestral sampling with the noise of the posterior or of the forward kernel; scalar linear processes",
        source "Ho, Jain & Abbeel (2020), arXiv:2006.11239";
}
