//! Restoration-degradation matched to the forward kernel (RD-Q): consistent for any way back.
//!
//! Source: the two halves are those of Chen, Daras & Dimakis (2023), arXiv:2303.03384; the matching is of
//! this project.
//!
//! r solves ∂ₓ log p(x_t = x | x_{t−l} = r) = S(x, t), the left side's posterior mean being the right side
//!
//! x′ = K⁻¹_{t−h}(K_t(x; r); r),   K_t(·; r) the distribution function of x_t given x_{t−l} = r
//!
//! As h → 0 the velocity is f − ½ g² ∂ₓ log p(x | r) = v for every l, so that no l leaves a floor. For
//! Gaussian kernels r is the conditional mean and the noise stays the same: DDIM with l = t.
//!
//! In one dimension it takes any process that knows its distribution functions. In more it takes linear
//! processes and warped ones, whose kernels are Gaussian or warped Gaussian.

use crate::chains::{matrix, matrix_mut};
use crate::rd_s::restore;
use crate::reverse::{Common, Leg, Reverse, Rows, Solver, Start, Weights, lacks};
use crate::step_back::{Rule, StepBack};
use ndarray::{ArrayView1, ArrayViewMut1};
use retrograde_core::grid::Grid;
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, ForwardProcess, Kernel, Result, Sampler, Transition, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler rd-q";
/// Halvings of a bracket of r, at most.
const HALVINGS: usize = 200;

/// Settings, as written under `[sampler]` with `kind = "rd-q"`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RdQ {
    /// How far back a step restores; at most t.
    pub back: StepBack,
    /// Times that are visited.
    pub grid: Grid,
    /// Where it starts.
    pub start: Start,
    /// Weights of the draws, and log Z.
    pub weights: Weights,
}

impl Build<dyn Sampler> for RdQ {
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
        let common = Common {
            grid: &self.grid,
            start: self.start,
            weights: self.weights,
            noise_parts: 0,
        };
        let solver = Matched {
            back: self.back.clone(),
        };
        Ok(Arc::new(Reverse::new(solver, &common, &self, parts)?))
    }
}

struct Matched {
    back: StepBack,
}

impl Solver for Matched {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kernel(&self) -> Kernel {
        Kernel::Deterministic
    }

    fn check(&self, process: &dyn ForwardProcess) -> Result {
        let gaussian = process.linear().is_some()
            && process.forward_map().is_some()
            && process.restore().is_some();
        let one = process.dim() == 1
            && process.cdf().is_some()
            && (process.restore().is_some() || process.transition().is_some());
        if gaussian || one {
            return Ok(());
        }
        Err(lacks(
            NAME,
            "a kernel that can be matched: Gaussian, warped Gaussian, or in one dimension with known \
             distribution functions",
            "all linear ones, warped-ou; benes and cir in one dimension",
        ))
    }

    fn moves_tangents(&self) -> bool {
        false
    }

    fn step(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, rows: Rows<'_>) -> Result {
        let (d, t, x) = (leg.d, leg.t, rows.x);
        let l = self.back.length(t, leg.to).min(t);
        let (early, process) = (t - l, leg.process());
        let [mut f, mut w, mut r, mut z] = std::array::from_fn(|_| cx.take(x.len()));
        if process.restore().is_some() {
            restore(cx, leg, x, l, (&mut f, &mut w), &mut r)?;
        } else if let Some(transition) = process.transition() {
            leg.score(cx, t, x, &mut w)?;
            solve(cx, transition, (early, t), process.support(), x, &w, &mut r)?;
        }
        if l - leg.h() <= 1e-14 * t {
            x.copy_from_slice(&r);
        } else if let (Some(map), Some(_)) = (process.forward_map(), process.linear()) {
            let from = matrix(&r, d);
            map.solve_noise(cx, early, t, from, matrix(x, d), matrix_mut(&mut z, d))?;
            map.forward_map(cx, early, leg.to, from, matrix(&z, d), matrix_mut(x, d))?;
        } else if let Some(cdf) = process.cdf() {
            let from = ArrayView1::from(r.as_slice());
            cdf.cdf(
                cx,
                early,
                t,
                from,
                ArrayView1::from(&*x),
                ArrayViewMut1::from(&mut z),
            )?;
            let p = ArrayView1::from(z.as_slice());
            cdf.quantile(cx, early, leg.to, from, p, ArrayViewMut1::from(&mut *x))?;
        }
        [f, w, r, z].into_iter().for_each(|v| cx.give(v));
        Ok(())
    }
}

/// Solves ∂ₓ log p(x | r) = S for r in one dimension, row by row, by bisection within the support: the
/// left side rises with r where the kernel has a monotone likelihood ratio.
fn solve(
    cx: &mut Cx<'_>,
    transition: &dyn Transition,
    (s, t): (f64, f64),
    (low, high): (f64, f64),
    x: &[f64],
    score: &[f64],
    r: &mut [f64],
) -> Result {
    let n = x.len();
    let [mut a, mut b, mut value] = std::array::from_fn(|_| cx.take(n));
    let excess = |cx: &mut Cx<'_>, r: &[f64], out: &mut [f64]| -> Result {
        transition.score(
            cx,
            s,
            t,
            matrix(r, 1),
            matrix(x, 1),
            None,
            Some(matrix_mut(out, 1)),
        )?;
        out.iter_mut().zip(score).for_each(|(v, s)| *v -= s);
        Ok(())
    };
    // A bracket that grows until it holds the root, or meets the end of the support.
    let width = |i: usize, k: i32| (0.1 + 0.1 * x[i].abs()) * 2f64.powi(k);
    for i in 0..n {
        a[i] = (x[i] - width(i, 0)).max(low.next_up());
        b[i] = (x[i] + width(i, 0)).min(high.next_down());
    }
    for k in 1..60 {
        let mut open = false;
        excess(cx, &a, &mut value)?;
        for i in 0..n {
            if value[i] > 0.0 && a[i] > low.next_up() {
                a[i] = if low.is_finite() {
                    low + 0.25 * (a[i] - low)
                } else {
                    x[i] - width(i, k)
                };
                open = true;
            }
        }
        excess(cx, &b, &mut value)?;
        for i in 0..n {
            if value[i] < 0.0 && b[i] < high.next_down() {
                b[i] = if high.is_finite() {
                    high - 0.25 * (high - b[i])
                } else {
                    x[i] + width(i, k)
                };
                open = true;
            }
        }
        if !open {
            break;
        }
    }
    for _ in 0..HALVINGS {
        let mut moved = false;
        for i in 0..n {
            r[i] = 0.5 * (a[i] + b[i]);
        }
        excess(cx, r, &mut value)?;
        for i in 0..n {
            let end = if value[i] < 0.0 { &mut a[i] } else { &mut b[i] };
            moved |= *end != r[i];
            *end = r[i];
        }
        if !moved {
            break;
        }
    }
    [a, b, value].into_iter().for_each(|v| cx.give(v));
    Ok(())
}

register! {
    sampler "rd-q" => RdQ, needs REVERSE,
        summary "Restoration-degradation matched to the forward kernel",
        source "Chen, Daras & Dimakis (2023), arXiv:2303.03384";
}
