//! The sampler of Karras et al.: Heun in the noise level, with noise added now and then ("churn").
//!
//! Source: Karras, Aittala, Aila & Laine (2022), arXiv:2206.00364, alg. 2; its α is that of eq. 62.
//!
//! x = a y, σ = s/a;   d(y, σ) = (y − D)/σ = −σ a S(x, t)
//!
//! γ = min(churn/N, √2 − 1) if σ is within [`churn_min`, `churn_max`], else 0
//!
//! σ̂ = σ (1 + γ),   ŷ = y + √(σ̂² − σ²) `noise` z,   h = σ′ − σ̂
//!
//! y′ = ŷ + h [(1 − 1/(2α)) d + 1/(2α) d̃],   d̃ = d(ŷ + α h d, σ̂ + α h);   Euler's step if σ′ = 0
//!
//! α = 1 is Heun, 1/2 the midpoint rule, 2/3 Ralston. σ̂ is held within the range of the process, which
//! matters in the first step only. With an exact score churn does harm where steps are few.

use crate::chains::check_positive;
use crate::reverse::{Common, Leg, Reverse, Rows, Solver, Start, Weights, check_scalar};
use retrograde_core::grid::Grid;
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Cx, Error, ForwardProcess, Kernel, Result, Sampler, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler edm";

/// Settings, as written under `[sampler]` with `kind = "edm"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Edm {
    /// How much noise is added over the run, ≥ 0; 0 is deterministic.
    #[schemars(range(min = 0.0))]
    pub churn: f64,
    /// Smallest noise level at which noise is added, ≥ 0.
    #[schemars(range(min = 0.0))]
    pub churn_min: f64,
    /// Largest noise level at which noise is added.
    pub churn_max: f64,
    /// Factor on the noise, > 0; Karras et al. inflate it to 1.003 for networks, with an exact score 1 is
    /// right.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub noise: f64,
    /// Place of the second evaluation within the step, above 0, at most 1.
    #[schemars(extend("exclusiveMinimum" = 0.0), range(max = 1.0))]
    pub alpha: f64,
    /// Times that are visited.
    pub grid: Grid,
    /// Where it starts.
    pub start: Start,
    /// Weights of the draws, and log Z: `jacobian` without churn.
    pub weights: Weights,
}

impl Default for Edm {
    fn default() -> Self {
        Self {
            churn: 0.0,
            churn_min: 0.0,
            churn_max: f64::INFINITY,
            noise: 1.0,
            alpha: 1.0,
            grid: Grid::default(),
            start: Start::default(),
            weights: Weights::default(),
        }
    }
}

impl Build<dyn Sampler> for Edm {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        check_positive(NAME, "noise", self.noise)?;
        if !(self.churn >= 0.0 && self.churn.is_finite()) {
            return Err(Error::setting(NAME, "churn", self.churn, "at least 0"));
        }
        if !(self.alpha > 0.0 && self.alpha <= 1.0) {
            let allowed = "above 0 and at most 1";
            return Err(Error::setting(NAME, "alpha", self.alpha, allowed));
        }
        if self.churn_min > self.churn_max || self.churn_min.is_nan() || self.churn_max.is_nan() {
            let allowed = format!("at most `churn_max`, {}", self.churn_max);
            return Err(Error::setting(NAME, "churn_min", self.churn_min, allowed));
        }
        if self.churn > 0.0 && self.weights != Weights::None {
            return Err(Error::setting(
                NAME,
                "weights",
                "not \"none\"",
                "\"none\" with `churn` above 0: the density of a step that adds noise and then moves is \
                 not known",
            ));
        }
        let common = Common {
            grid: &self.grid,
            start: self.start,
            weights: self.weights,
            noise_parts: 0,
        };
        let settings = self.clone();
        Ok(Arc::new(Reverse::new(settings, &common, &self, parts)?))
    }
}

impl Edm {
    /// Writes d = −σ a S at the rows of y.
    fn direction(
        cx: &mut Cx<'_>,
        leg: &Leg<'_>,
        (t, a, level): (f64, f64, f64),
        y: &[f64],
        d: &mut [f64],
    ) -> Result {
        if a == 1.0 {
            leg.score(cx, t, y, d)?;
        } else {
            let mut x = cx.take(y.len());
            x.iter_mut().zip(y).for_each(|(x, y)| *x = a * y);
            leg.score(cx, t, &x, d)?;
            cx.give(x);
        }
        d.iter_mut().for_each(|d| *d *= -level * a);
        Ok(())
    }
}

impl Solver for Edm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kernel(&self) -> Kernel {
        if self.churn == 0.0 {
            Kernel::Deterministic
        } else {
            Kernel::Other
        }
    }

    fn check(&self, process: &dyn ForwardProcess) -> Result {
        check_scalar(NAME, process)
    }

    fn step(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, rows: Rows<'_>) -> Result {
        let linear = leg.process().linear().expect("checked when it was built");
        let t_end = leg.process().t_end();
        let level = |(a, s): (f64, f64)| s / a;
        let at = leg.alpha_sigma(leg.t);
        let (mut t, mut a, mut sigma) = (leg.t, at.0, level(at));
        let end = leg.alpha_sigma(leg.to);
        let next = level(end);
        let y = rows.x;
        y.iter_mut().for_each(|x| *x /= a);
        let gamma = if (self.churn_min..=self.churn_max).contains(&sigma) {
            (self.churn / leg.steps as f64).min(std::f64::consts::SQRT_2 - 1.0)
        } else {
            0.0
        };
        let raised = (sigma * (1.0 + gamma)).min(level(leg.alpha_sigma(t_end)));
        if raised > sigma {
            let mut z = cx.take(y.len());
            leg.noise(cx, &mut z, leg.d);
            let sd = self.noise * (raised * raised - sigma * sigma).sqrt();
            y.iter_mut().zip(&z).for_each(|(y, z)| *y += sd * z);
            cx.give(z);
            sigma = raised;
            t = linear.time_of(sigma, t_end)?;
            a = leg.alpha_sigma(t).0;
        }
        let h = next - sigma;
        let mut d = cx.take(y.len());
        Self::direction(cx, leg, (t, a, sigma), y, &mut d)?;
        if next == 0.0 {
            y.iter_mut().zip(&d).for_each(|(y, d)| *y += h * d);
        } else {
            let [mut inner, mut second] = std::array::from_fn(|_| cx.take(y.len()));
            for ((inner, y), d) in inner.iter_mut().zip(&*y).zip(&d) {
                *inner = y + self.alpha * h * d;
            }
            let place = if self.alpha == 1.0 {
                (leg.to, end.0, next)
            } else {
                let middle = sigma + self.alpha * h;
                let t = linear.time_of(middle, t_end)?;
                (t, leg.alpha_sigma(t).0, middle)
            };
            Self::direction(cx, leg, place, &inner, &mut second)?;
            let b = 0.5 / self.alpha;
            for ((y, d), second) in y.iter_mut().zip(&d).zip(&second) {
                *y += h * ((1.0 - b) * d + b * second);
            }
            cx.give(inner);
            cx.give(second);
        }
        cx.give(d);
        y.iter_mut().for_each(|y| *y *= end.0);
        Ok(())
    }
}

register! {
    sampler "edm" => Edm, needs REVERSE,
        summary "Heun in the noise level with stochastic churn (EDM); scalar linear processes",
        source "Karras, Aittala, Aila & Laine (2022), arXiv:2206.00364";
}
