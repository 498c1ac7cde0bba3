//! The reverse diffusion, step by step: Euler–Maruyama for any process, or with the score alone frozen
//! over a step of a linear one.
//!
//! Source: Anderson (1982), Stochastic Process. Appl. 12, 313; Song et al. (2021), arXiv:2011.13456,
//! eq. 6; frozen score: Chen, Chewi, Li, Li, Salim & Zhang (2023), arXiv:2209.11215, sec. 2.
//!
//! dX = [f − ∇·D − D s] dt + G dW̄, run from T down to 0
//!
//! | `scheme` | x′ |
//! | --- | --- |
//! | `euler-maruyama` | x − h (f − ∇·D − D S) + √h G z |
//! | `frozen-score` | (a′/a) x + S ∫ (a′/a_u) g²_u du + a′ √(τ − τ′) z,   τ = (s/a)², u from t′ to t |
//!
//! `frozen-score` is exact where the score is constant; for x_t = x_0 + σ z it is x + Δτ S + √Δτ z. Its
//! distance to the exact law in path space is what Girsanov's theorem gives (`retrograde certify`).

use crate::reverse::{
    Common, Leg, Reverse, Rows, Solver, Start, Weights, check_scalar, lacks, log_noise,
};
use ndarray::ArrayView2;
use retrograde_core::grid::Grid;
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Cx, ForwardProcess, Kernel, Result, Sampler, Times, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler reverse-sde";

/// Nodes and weights of Gauss–Legendre quadrature on [−1, 1], 8 points, the positive half.
const GAUSS: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_27),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
    (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
];

/// A scheme for the reverse diffusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Drift and noise frozen over a step.
    #[default]
    EulerMaruyama,
    /// The score alone frozen; needs a linear process with one α.
    FrozenScore,
}

/// Settings, as written under `[sampler]` with `kind = "reverse-sde"`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReverseSde {
    /// Scheme.
    pub scheme: Scheme,
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

impl Build<dyn Sampler> for ReverseSde {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        let common = Common {
            grid: &self.grid,
            start: self.start,
            weights: self.weights,
            noise_parts: self.noise_parts,
        };
        let settings = self.clone();
        let path = self.weights == Weights::Path && self.scheme == Scheme::EulerMaruyama;
        if path && parts.require_process(NAME)?.integral_g2().is_none() {
            return Err(lacks(
                NAME,
                "noise g(t) dW with a number g, for path weights",
                "vp, sub-vp, ve, edm, cosine, flow-matching, benes, langevin",
            ));
        }
        Ok(Arc::new(Reverse::new(settings, &common, &self, parts)?))
    }
}

impl Solver for ReverseSde {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kernel(&self) -> Kernel {
        match self.scheme {
            Scheme::EulerMaruyama => Kernel::EulerMaruyama,
            Scheme::FrozenScore => Kernel::FrozenScore,
        }
    }

    fn check(&self, process: &dyn ForwardProcess) -> Result {
        match self.scheme {
            Scheme::EulerMaruyama => Ok(()),
            Scheme::FrozenScore => check_scalar(NAME, process),
        }
    }

    fn tells_path(&self) -> bool {
        true
    }

    fn step(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, rows: Rows<'_>) -> Result {
        match self.scheme {
            Scheme::EulerMaruyama => euler_maruyama(cx, leg, rows),
            Scheme::FrozenScore => frozen_score(cx, leg, rows),
        }
    }
}

fn euler_maruyama(cx: &mut Cx<'_>, leg: &Leg<'_>, rows: Rows<'_>) -> Result {
    let (d, h, m) = (leg.d, leg.h(), leg.process().noise_dim());
    let x = rows.x;
    let n = x.len() / d;
    let [mut f, mut w, mut noise] = std::array::from_fn(|_| cx.take(x.len()));
    let mut z = cx.take(n * m);
    leg.parts(cx, leg.t, x, &mut f, &mut w)?;
    leg.noise(cx, &mut z, m);
    leg.process().apply_g(
        cx,
        Times::Shared(leg.t),
        ArrayView2::from_shape((n, d), &*x).expect("whole rows"),
        ArrayView2::from_shape((n, m), z.as_slice()).expect("whole rows"),
        ndarray::ArrayViewMut2::from_shape((n, d), &mut noise).expect("whole rows"),
    )?;
    let root = h.sqrt();
    for (((x, f), w), noise) in x.iter_mut().zip(&f).zip(&w).zip(&noise) {
        *x += root * noise - h * (f - w);
    }
    if let Some(out) = rows.log_backward {
        let sd = (h * leg.g2(cx, leg.t)?).sqrt();
        log_noise(&z, d, sd, out);
    }
    [f, w, noise, z].into_iter().for_each(|v| cx.give(v));
    Ok(())
}

fn frozen_score(cx: &mut Cx<'_>, leg: &Leg<'_>, rows: Rows<'_>) -> Result {
    let ((a, s), (a1, s1)) = (leg.alpha_sigma(leg.t), leg.alpha_sigma(leg.to));
    let sd = a1 * ((s / a).powi(2) - (s1 / a1).powi(2)).max(0.0).sqrt();
    let weight = a1 * integral(cx, leg)?;
    let x = rows.x;
    let [mut score, mut z] = std::array::from_fn(|_| cx.take(x.len()));
    leg.score(cx, leg.t, x, &mut score)?;
    leg.noise(cx, &mut z, leg.d);
    for ((x, score), z) in x.iter_mut().zip(&score).zip(&z) {
        *x = a1 / a * *x + weight * score + sd * z;
    }
    if let Some(out) = rows.log_backward {
        log_noise(&z, leg.d, sd, out);
    }
    cx.give(score);
    cx.give(z);
    Ok(())
}

/// ∫ g²_u / a_u du over the step, with 8 points in each half.
fn integral(cx: &mut Cx<'_>, leg: &Leg<'_>) -> Result<f64> {
    let quarter = 0.25 * leg.h();
    let mut sum = 0.0;
    for centre in [leg.to + quarter, leg.t - quarter] {
        for (node, weight) in GAUSS {
            for sign in [-1.0, 1.0] {
                let u = centre + sign * quarter * node;
                sum += weight * leg.g2(cx, u)? / leg.alpha_sigma(u).0;
            }
        }
    }
    Ok(quarter * sum)
}

register! {
    sampler "reverse-sde" => ReverseSde, needs REVERSE,
        summary "Reverse diffusion by Euler-Maruyama or with frozen score",
        source "Anderson (1982); Song et al. (2021), arXiv:2011.13456";
}
