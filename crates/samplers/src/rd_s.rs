//! Restoration-degradation with the forward map simulated (RD-S).
//!
//! Source: Chen, Daras & Dimakis (2023), arXiv:2303.03384; see `rd-f` for how it is read.
//!
//! r ≈ E[x_{t−l} | x_t = x]   by the process, else r = x − l (f − w), w = ∇·D + D S
//!
//! z solves Φ(r, t−l → t, z) = x,   then x′ = Φ(r, t−l → t−h, z)
//!
//! | `map` | Φ |
//! | --- | --- |
//! | `process` | the forward map of the process, where it has one: exact for linear and warped ones |
//! | `euler-maruyama` | r + (l − h) f(r, t−l) + κ (x − r − l f(r, t−l)), κ = √((l − h)/l): G cancels |
//!
//! With l = h (the last step, where l is at most t) x′ is r. Simulated by Euler–Maruyama the step has an
//! error ½ h (f(r) − f(x)) = O(h l): a fixed l leaves a floor, and l = √h an error O(√h) in all. With exact
//! maps and l = t on a linear process it is DDIM.

use crate::chains::{matrix, matrix_mut};
use crate::reverse::{Common, Leg, Reverse, Rows, Solver, Start, Weights, lacks};
use crate::step_back::{Rule, StepBack};
use retrograde_core::grid::Grid;
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Cx, Error, Flag, Kernel, Result, Sampler, Severity, Times, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler rd-s";

/// The forward map that a step uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Map {
    /// That of the process if it has one, else one step of Euler–Maruyama.
    #[default]
    Auto,
    /// That of the process.
    Process,
    /// One step of Euler–Maruyama.
    EulerMaruyama,
}

/// Settings, as written under `[sampler]` with `kind = "rd-s"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RdS {
    /// How far back a step restores.
    pub back: StepBack,
    /// The forward map.
    pub map: Map,
    /// Whether a restoration may reach back beyond t = 0, where drift and noise do not depend on t and
    /// the map is by Euler–Maruyama. It then ends without the step that returns r itself.
    pub beyond_zero: bool,
    /// Times that are visited.
    pub grid: Grid,
    /// Where it starts.
    pub start: Start,
    /// Weights of the draws, and log Z.
    pub weights: Weights,
}

impl Default for RdS {
    fn default() -> Self {
        Self {
            back: StepBack {
                rule: Rule::SqrtStep,
                ..StepBack::default()
            },
            map: Map::default(),
            beyond_zero: true,
            grid: Grid::default(),
            start: Start::default(),
            weights: Weights::default(),
        }
    }
}

impl Build<dyn Sampler> for RdS {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        self.back.check(NAME)?;
        if matches!(self.back.rule, Rule::Gaussian | Rule::Infinite) {
            return Err(Error::setting(
                NAME,
                "back.rule",
                "a rule whose restoration lies at no time of the process",
                "\"full\", \"sqrt-step\", \"fixed\", \"multiple\" or \"half\" (rd-f takes all)",
            ));
        }
        let process = parts.require_process(NAME)?;
        if self.map == Map::Process && process.forward_map().is_none() {
            return Err(lacks(
                NAME,
                "a forward map, for `map = \"process\"`",
                "all linear ones, warped-ou, benes and cir in one dimension, polynomial-decay",
            ));
        }
        let solver = Simulated {
            back: self.back.clone(),
            exact: self.map != Map::EulerMaruyama && process.forward_map().is_some(),
            beyond_zero: self.beyond_zero && process.autonomous(),
            told: self.map == Map::Auto,
        };
        let common = Common {
            grid: &self.grid,
            start: self.start,
            weights: self.weights,
            noise_parts: 0,
        };
        Ok(Arc::new(Reverse::new(solver, &common, &self, parts)?))
    }
}

struct Simulated {
    back: StepBack,
    /// Use the forward map of the process.
    exact: bool,
    beyond_zero: bool,
    /// Say that the map is approximate.
    told: bool,
}

impl Solver for Simulated {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kernel(&self) -> Kernel {
        Kernel::Deterministic
    }

    fn moves_tangents(&self) -> bool {
        false
    }

    fn flags(&self) -> Vec<Flag> {
        let mut flags = self.back.flags();
        if self.told && !self.exact {
            flags.push(Flag::new(
                Severity::Note,
                "forward_map",
                "The process has no forward map in closed form: a step simulates it by Euler-Maruyama, with \
                 an error of the order of the way back",
                "see `back.rule`; rd-f does without the map",
            ));
        }
        if self.back.rule == Rule::Fixed && !self.exact {
            flags.push(Flag::new(
                Severity::Warning,
                "step_back",
                format!(
                    "The restoration reaches back {} whatever the step, by a simulated map: an error of \
                     that order is left that more steps do not lower",
                    self.back.length
                ),
                "set `back.rule` to \"sqrt-step\"",
            ));
        }
        flags
    }

    fn step(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, rows: Rows<'_>) -> Result {
        let (d, t, h, x) = (leg.d, leg.t, leg.h(), rows.x);
        let mut l = self.back.length(t, leg.to);
        if self.exact || !self.beyond_zero {
            l = l.min(t);
        }
        let early = t - l;
        let [mut f, mut w, mut r, mut z] = std::array::from_fn(|_| cx.take(x.len()));
        restore(cx, leg, x, l, (&mut f, &mut w), &mut r)?;
        if l - h <= 1e-14 * t {
            x.copy_from_slice(&r);
        } else if let (true, Some(map)) = (self.exact, leg.process().forward_map()) {
            let from = matrix(&r, d);
            map.solve_noise(cx, early, t, from, matrix(x, d), matrix_mut(&mut z, d))?;
            map.forward_map(cx, early, leg.to, from, matrix(&z, d), matrix_mut(x, d))?;
        } else {
            let kappa = ((l - h) / l).sqrt();
            let at = Times::Shared(early);
            leg.process()
                .drift(cx, at, matrix(&r, d), matrix_mut(&mut f, d))?;
            for ((x, r), f) in x.iter_mut().zip(&r).zip(&f) {
                *x = r + (l - h) * f + kappa * (*x - r - l * f);
            }
        }
        [f, w, r, z].into_iter().for_each(|v| cx.give(v));
        Ok(())
    }
}

/// Writes the restored point at t − l, by the process if it knows how and t − l ≥ 0.
pub(crate) fn restore(
    cx: &mut Cx<'_>,
    leg: &Leg<'_>,
    x: &[f64],
    l: f64,
    (f, w): (&mut [f64], &mut [f64]),
    r: &mut [f64],
) -> Result {
    let d = leg.d;
    if let Some(process) = leg.process().restore().filter(|_| l <= leg.t) {
        leg.score(cx, leg.t, x, w)?;
        return process.restore(cx, leg.t, l, matrix(x, d), matrix(w, d), matrix_mut(r, d));
    }
    leg.parts(cx, leg.t, x, f, w)?;
    for (((r, x), f), w) in r.iter_mut().zip(x).zip(&*f).zip(&*w) {
        *r = x - l * (f - w);
    }
    Ok(())
}

register! {
    sampler "rd-s" => RdS, needs REVERSE,
        summary "Restoration-degradation with the forward map simulated",
        source "Chen, Daras & Dimakis (2023), arXiv:2303.03384";
}
