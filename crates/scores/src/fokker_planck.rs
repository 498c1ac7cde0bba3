//! The score on the line from a grid solution of the Fokker–Planck equation: ground truth for d = 1.
//!
//! ∂ₜp = −∂ₓJ,   J = f p − ½ ∂ₓ(D p) = b̄ p − D̄ ∂ₓp,   D̄ = D/2,   b̄ = f − ½ D′
//!
//! Finite volumes with the exponentially fitted flux between the centres of cells,
//!
//! J_{i+½} = (D̄/Δ) [B(−w) pᵢ − B(w) pᵢ₊₁],   w = ∫ b̄/D̄ dx from xᵢ to xᵢ₊₁,   B(z) = z/(e^z − 1),
//!
//! w by Gauss's rule of five points and D̄ the harmonic mean by the same; no flux at the ends. So the law
//! without flux, p ∝ exp ∫ b̄/D̄, is kept to rounding, and the mass is. In time Crank–Nicolson, whose
//! first four steps are pairs of half steps of backward Euler, which damp what is not smooth (Rannacher
//! 1984). Coefficients that depend on t are taken in the middle of a Crank–Nicolson step and at the end of
//! an Euler one. Order 2 in cells and steps. Scharfetter & Gummel (1969), IEEE Trans. Electron Devices 16, 64;
//! Chang & Cooper (1970), J. Comput. Phys. 6, 1; Giles & Carter (2006), J. Comput. Finance 9(4), 89.
//!
//! log p is a cubic spline in x at each step; between steps log p and the score are interpolated by the
//! cubic in the number of the step through the four nearest. Where p has fallen below 10⁻¹² of its largest value, rounding is
//! seen in it: from there on log p is continued by a parabola.

mod solve;
#[cfg(test)]
mod tests;

use crate::noised::each_time;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, Flag, ForwardProcess, LogMarginal, Result, Runtime, Score, ScoreJvp,
    Severity, Target, Times, Traits, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "score fokker-planck";
/// Share of the largest density below which rounding shows.
const TRUSTED: f64 = 1e-12;

/// Settings, as written under `[score]` with `kind = "fokker-planck"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FokkerPlanck {
    /// Lower end of the grid, in the units of x: below it there must be no mass at any time.
    pub lower: f64,
    /// Upper end of the grid, above `lower`.
    pub upper: f64,
    /// Cells, 16 to 10⁵.
    #[schemars(range(min = 16, max = 100_000))]
    pub cells: usize,
    /// Steps from t = 0 to T, 8 to 10⁵.
    #[schemars(range(min = 8, max = 100_000))]
    pub steps: usize,
    /// Power γ, 1 to 4, by which the steps crowd towards t = 0: t_k = T (k/steps)^γ. 1 makes them equal.
    #[schemars(range(min = 1.0, max = 4.0))]
    pub grading: f64,
}

impl Default for FokkerPlanck {
    fn default() -> Self {
        Self {
            lower: -6.0,
            upper: 6.0,
            cells: 1600,
            steps: 640,
            grading: 2.0,
        }
    }
}

impl Build<dyn Score> for FokkerPlanck {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Score>> {
        let (target, process) = (parts.require_target(NAME)?, parts.require_process(NAME)?);
        Ok(Arc::new(self.solve(&*target, &*process)?))
    }
}

impl FokkerPlanck {
    /// The score of `target` under `process`, both of dimension 1; solves the equation.
    ///
    /// # Errors
    /// [`Error::Setting`]; [`Error::Missing`] for d > 1, a target without density, or a process whose G
    /// depends on x but has no ∇·D; [`Error::Breakdown`] where there is no mass on the grid, or the
    /// noise is not positive there.
    pub fn solve(&self, target: &dyn Target, process: &dyn ForwardProcess) -> Result<GridScore> {
        let (a, b) = (self.lower, self.upper);
        let (low, high) = process.support();
        if !(a.is_finite() && a >= low && a < high) {
            let allowed = format!("finite and in the support of the process, {low} to {high}");
            return Err(Error::setting(NAME, "lower", a, allowed));
        }
        if !(b.is_finite() && b > a && b <= high) {
            let allowed =
                format!("above `lower` ({a}) and at most {high}, where the process lives");
            return Err(Error::setting(NAME, "upper", b, allowed));
        }
        if !(16..=100_000).contains(&self.cells) {
            return Err(Error::setting(
                NAME,
                "cells",
                self.cells,
                "from 16 to 100000",
            ));
        }
        if !(8..=100_000).contains(&self.steps) {
            return Err(Error::setting(
                NAME,
                "steps",
                self.steps,
                "from 8 to 100000",
            ));
        }
        if !(1.0..=4.0).contains(&self.grading) {
            return Err(Error::setting(NAME, "grading", self.grading, "from 1 to 4"));
        }
        let missing = |needed: &str, holder: &str, advice: &str| Error::Missing {
            component: NAME.into(),
            needed: needed.into(),
            holder: holder.into(),
            advice: advice.into(),
        };
        if process.dim() != 1 || target.dim() != 1 {
            let advice = "choose the score `particle` in more dimensions";
            return Err(missing("dimension 1", "the target", advice));
        }
        if !target.has_density() {
            let advice = "choose the score `empirical` or `particle` for data";
            return Err(missing("a log density", "the target", advice));
        }
        if !process.g_constant_in_x() && process.div_ggt().is_none() {
            return Err(missing(
                "∇·GGᵀ, since G depends on x",
                "the process",
                "implement `div_ggt`",
            ));
        }
        let grid = Grid {
            lower: a,
            width: (b - a) / self.cells as f64,
            cells: self.cells,
        };
        Runtime::new(0, 1)?.enter(NAME, 0, |cx| {
            let start = grid.density(cx, target)?;
            let time = |k: usize| {
                let share = k as f64 / self.steps as f64;
                process.t_end() * share.powf(self.grading)
            };
            let times: Vec<f64> = (0..=self.steps).map(time).collect();
            let levels = solve::march(cx, process, grid, &times, start)?;
            let mut escaped = 0.0f64;
            for p in levels.rows() {
                let edge = p[0].max(p[self.cells - 1]);
                escaped = escaped.max(edge / p.fold(0.0f64, |m, p| m.max(*p)));
            }
            let splines: Vec<Spline> = levels.outer_iter().map(|p| Spline::new(p, grid)).collect();
            Ok(GridScore {
                splines,
                grid,
                t_end: process.t_end(),
                grading: self.grading,
                levels,
                escaped,
            })
        })
    }
}

/// Cells of equal width.
#[derive(Debug, Clone, Copy)]
struct Grid {
    lower: f64,
    width: f64,
    cells: usize,
}

impl Grid {
    fn centre(&self, i: usize) -> f64 {
        self.lower + (i as f64 + 0.5) * self.width
    }

    /// The density of the target at the centres, normalised on the grid.
    fn density(&self, cx: &mut Cx<'_>, target: &dyn Target) -> Result<Array1<f64>> {
        let x = Array2::from_shape_fn((self.cells, 1), |(i, _)| self.centre(i));
        let mut l = Array1::zeros(self.cells);
        cx.eval_target(target, x.view(), Some(l.view_mut()), None)?;
        let max = l.fold(f64::NEG_INFINITY, |m, l| m.max(*l));
        if max == f64::NEG_INFINITY {
            return Err(Error::Breakdown {
                component: NAME.into(),
                message: "the target has no mass on the grid".into(),
                advice: "choose `lower` and `upper` around it".into(),
            });
        }
        l.mapv_inplace(|l| (l - max).exp());
        let mass = l.sum() * self.width;
        Ok(l / mass)
    }
}

/// log p at one time: a cubic spline through the centres of cells.
#[derive(Debug)]
struct Spline {
    values: Vec<f64>,
    /// Second derivatives.
    curvatures: Vec<f64>,
    start: f64,
    width: f64,
}

impl Spline {
    fn new(p: ndarray::ArrayView1<'_, f64>, grid: Grid) -> Self {
        let max = p.fold(0.0f64, |m, p| m.max(*p));
        let (mut peak, n) = (0, p.len());
        for i in 0..n {
            if p[i] == max {
                peak = i;
            }
        }
        // From the peak outwards, as far as the density is of more than rounding anywhere beyond.
        let good = |i: &usize| p[*i] > TRUSTED * max;
        let first = (0..n).find(good).unwrap_or(peak);
        let last = (0..n).rev().find(good).unwrap_or(peak);
        let tiny = TRUSTED * max;
        let values: Vec<f64> = (first..=last).map(|i| p[i].max(tiny).ln()).collect();
        let curvatures = solve::spline(&values, grid.width);
        Self {
            values,
            curvatures,
            start: grid.centre(first),
            width: grid.width,
        }
    }

    /// log p, its first and its second derivative.
    fn at(&self, x: f64) -> [f64; 3] {
        let (m, h) = (self.values.len(), self.width);
        if m < 2 {
            return [self.values[0], 0.0, 0.0];
        }
        let u = (x - self.start) / h;
        let end = (m - 1) as f64;
        let inside = u.clamp(0.0, end);
        let i = (inside as usize).min(m - 2);
        let (r, q) = (inside - i as f64, 1.0 - (inside - i as f64));
        let (y0, y1, c0, c1) = (
            self.values[i],
            self.values[i + 1],
            self.curvatures[i],
            self.curvatures[i + 1],
        );
        let value = q * y0 + r * y1 + h * h / 6.0 * ((q * q * q - q) * c0 + (r * r * r - r) * c1);
        let slope = (y1 - y0) / h + h / 6.0 * ((1.0 - 3.0 * q * q) * c0 + (3.0 * r * r - 1.0) * c1);
        let curvature = q * c0 + r * c1;
        let beyond = (u - inside) * h;
        if beyond == 0.0 {
            return [value, slope, curvature];
        }
        // A parabola that does not turn up.
        let curvature = curvature.min(0.0);
        [
            value + beyond * (slope + 0.5 * curvature * beyond),
            slope + curvature * beyond,
            curvature,
        ]
    }
}

/// The solution on the grid, and the score it gives.
#[derive(Debug)]
pub struct GridScore {
    splines: Vec<Spline>,
    grid: Grid,
    t_end: f64,
    grading: f64,
    /// Densities at the centres of cells; (steps + 1) × cells.
    levels: Array2<f64>,
    /// Largest density in an end cell, relative to the largest.
    escaped: f64,
}

impl GridScore {
    /// Densities at the centres of the cells, (steps + 1) × cells, at the times of the steps.
    #[must_use]
    pub fn densities(&self) -> &Array2<f64> {
        &self.levels
    }

    /// Centre of a cell.
    #[must_use]
    pub fn centre(&self, cell: usize) -> f64 {
        self.grid.centre(cell)
    }

    /// Weights of the four nearest steps at time t.
    fn weights(&self, t: f64) -> Result<(usize, [f64; 4])> {
        if !(t >= 0.0 && t <= self.t_end * (1.0 + 1e-12)) {
            return Err(Error::Argument {
                component: NAME.into(),
                argument: "t".into(),
                given: t.to_string(),
                allowed: format!("from 0 to {}", self.t_end),
            });
        }
        let steps = self.splines.len() - 1;
        let u = (t / self.t_end).powf(self.grading.recip()) * steps as f64;
        // Exactly on a step: that step.
        if (u - u.round()).abs() < 1e-9 {
            let k = (u.round() as usize).min(steps);
            let first = k.min(steps - 3);
            let mut weights = [0.0; 4];
            weights[k - first] = 1.0;
            return Ok((first, weights));
        }
        let first = (u as usize).saturating_sub(1).min(steps - 3);
        let r = u - first as f64;
        let mut weights = [1.0; 4];
        for (i, w) in weights.iter_mut().enumerate() {
            for j in (0..4).filter(|j| *j != i) {
                *w *= (r - j as f64) / (i as f64 - j as f64);
            }
        }
        Ok((first, weights))
    }

    /// Calls `take` with each row's log p and its two derivatives.
    fn visit(
        &self,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut take: impl FnMut(usize, [f64; 3]),
    ) -> Result {
        each_time(t, x.nrows(), |t, rows| {
            let (first, weights) = self.weights(t)?;
            for r in rows {
                let mut sum = [0.0; 3];
                for (w, spline) in weights.iter().zip(&self.splines[first..]) {
                    if *w != 0.0 {
                        let at = spline.at(x[(r, 0)]);
                        sum.iter_mut().zip(at).for_each(|(s, v)| *s += w * v);
                    }
                }
                take(r, sum);
            }
            Ok(())
        })
    }
}

impl Score for GridScore {
    fn dim(&self) -> usize {
        1
    }

    fn traits(&self) -> Traits {
        Traits::PURE
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.visit(t, x, |r, at| out[(r, 0)] = at[1])
    }

    fn jvp(&self) -> Option<&dyn ScoreJvp> {
        Some(self)
    }

    fn log_marginal(&self) -> Option<&dyn LogMarginal> {
        Some(self)
    }

    fn flags(&self) -> Vec<Flag> {
        let (a, cells) = (self.grid.lower, self.grid.cells);
        let b = a + self.grid.width * cells as f64;
        let steps = self.splines.len() - 1;
        let mut flags = vec![Flag::new(
            Severity::Note,
            "score-fokker-planck",
            format!("the score is from a grid of {cells} cells from {a} to {b} and {steps} steps"),
            "compare with twice as many of both: the error falls to a quarter",
        )];
        if self.escaped > 1e-6 {
            flags.push(Flag::new(
                Severity::Warning,
                "score-fokker-planck-ends",
                format!(
                    "an end of the grid has {:.1e} of the largest density: mass that should have left \
                     is held back",
                    self.escaped
                ),
                "move `lower` and `upper` outwards",
            ));
        }
        flags
    }
}

impl ScoreJvp for GridScore {
    fn jvp(
        &self,
        _cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        tangents: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.visit(t, x, |r, at| {
            out.row_mut(r)
                .zip_mut_with(&tangents.row(r), |o, tau| *o = at[2] * tau);
        })
    }
}

impl LogMarginal for GridScore {
    fn log_marginal(
        &self,
        _cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        self.visit(t, x, |r, at| out[r] = at[0])
    }
}

register! {
    score "fokker-planck" => FokkerPlanck, needs PROCESS,
        summary "Score on the line from a grid solution of the Fokker-Planck equation",
        source "Scharfetter & Gummel (1969); Chang & Cooper (1970)";
}
