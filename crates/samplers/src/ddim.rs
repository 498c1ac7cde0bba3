//! DDIM: denoise, then noise again with the noise that was found, or with some of it new.
//!
//! Source: Song, Meng & Ermon (2021), arXiv:2010.02502, eq. 12 and 16, written for x_t = a x_0 + s z.
//!
//! x̂₀ = (x + s² S)/a,   ε̂ = −s S,   S the score at (x, t)
//!
//! x′ = a′ x̂₀ + √(s′² − u²) ε̂ + u z,   u = η (s′/s) √(s² − (a/a′)² s′²)
//!
//! With η = 0 it is deterministic: the restoration-degradation step that reaches back to t = 0, Euler's
//! step in σ = s/a, and the exponential integrator of first order. With η = 1 it is ancestral sampling.

use crate::reverse::{
    Common, Leg, Reverse, Rows, Solver, Start, Weights, check_scalar, log_noise, no_noise,
};
use retrograde_core::grid::Grid;
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, Flag, ForwardProcess, Kernel, Result, Sampler, Severity, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler ddim";

/// Settings, as written under `[sampler]` with `kind = "ddim"`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ddim {
    /// Share of new noise η, 0 (deterministic) to 1 (ancestral).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub eta: f64,
    /// Times that are visited.
    pub grid: Grid,
    /// Where it starts.
    pub start: Start,
    /// Weights of the draws, and log Z: `jacobian` with η = 0, `path` with η near 1. Steps with much less
    /// noise than the reverse diffusion has (η² below about a half) give path weights without a variance.
    pub weights: Weights,
    /// Parts that the noise of a step is summed from, a multiple of `grid.refine`, so that runs with
    /// finer grids share it; 0 = one.
    pub noise_parts: u32,
}

impl Build<dyn Sampler> for Ddim {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        if !(0.0..=1.0).contains(&self.eta) {
            return Err(Error::setting(NAME, "eta", self.eta, "between 0 and 1"));
        }
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

impl Solver for Ddim {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kernel(&self) -> Kernel {
        if self.eta == 0.0 {
            Kernel::Deterministic
        } else {
            Kernel::Other
        }
    }

    fn check(&self, process: &dyn ForwardProcess) -> Result {
        check_scalar(NAME, process)
    }

    fn tells_path(&self) -> bool {
        self.eta > 0.0
    }

    fn flags(&self) -> Vec<Flag> {
        if self.weights != Weights::Path || self.eta >= 0.75 {
            return Vec::new();
        }
        vec![Flag::new(
            Severity::Warning,
            "heavy_weights",
            format!(
                "Path weights with η = {} have heavy tails: a step adds less than half of the variance that \
                 the reverse diffusion has",
                self.eta
            ),
            "set `eta` to 1, or to 0 with `weights = \"jacobian\"`",
        )]
    }

    fn step(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, rows: Rows<'_>) -> Result {
        let ((a, s), (a1, s1)) = (leg.alpha_sigma(leg.t), leg.alpha_sigma(leg.to));
        let fresh = self.eta * s1 / s * (s * s - (a / a1 * s1).powi(2)).max(0.0).sqrt();
        let kept = (s1 * s1 - fresh * fresh).max(0.0).sqrt();
        let (cx_x, cx_s) = (a1 / a, s * (a1 * s / a - kept));
        let mut score = cx.take(rows.x.len());
        leg.score(cx, leg.t, rows.x, &mut score)?;
        let pairs = rows.x.iter_mut().zip(&score);
        pairs.for_each(|(x, s)| *x = cx_x * *x + cx_s * s);
        cx.give(score);
        if fresh > 0.0 {
            let mut z = cx.take(rows.x.len());
            leg.noise(cx, &mut z, leg.d);
            rows.x.iter_mut().zip(&z).for_each(|(x, z)| *x += fresh * z);
            if let Some(out) = rows.log_backward {
                log_noise(&z, leg.d, fresh, out);
            }
            cx.give(z);
        } else if rows.log_backward.is_some() {
            return Err(no_noise(NAME, leg.t, leg.to));
        }
        Ok(())
    }
}

register! {
    sampler "ddim" => Ddim, needs REVERSE,
        summary "DDIM with eta, deterministic at 0, ancestral at 1; scalar linear processes",
        source "Song, Meng & Ermon (2021), arXiv:2010.02502";
}
