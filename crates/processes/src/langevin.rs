//! Overdamped Langevin dynamics: a drift down a potential, with constant noise.
//!
//! dx = −∇U(x) dt + g dW;   stationary law ∝ exp(−2U/g²), from which the probability flow stands still
//!
//! | `potential` | U |
//! | --- | --- |
//! | `double-well` | Σⱼ k(xⱼ² − 1)²/4: independent coordinates, each with wells at ±1 |
//! | `expression` | a formula in the coordinates of the job's target |
//! | `target` | −(g²/2) log π of the job's target, for which π is stationary |
//!
//! The reference law is the stationary one: for the double well, and for what is on the line, with its
//! mass by quadrature and draws by the inverse of its distribution function; for targets with exact
//! draws and log Z, the target itself; for others N(0, spread² I), with a warning.
//!
//! Neither kernel nor score have a closed form. As a map of state and noise the double well takes one
//! step of the splitting flow, then noise, x = flow(r, τ) + g√τ z, where the drift alone takes r to
//! r/√(r² + (1 − r²) e^{−2kτ}).
//!
//! Source: Risken (1996), The Fokker–Planck Equation, ch. 5 and 6.

use crate::coordinates::{Coordinate, Independent, Map, positive};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use rand_distr::{Distribution, Open01};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, DriftJvp, DriftVjp, Error, Flag, ForwardProcess, IntegralG2, Result, Runtime,
    Severity, Stream, Target, Times, Traits, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::sync::Arc;

mod line;
#[cfg(test)]
mod tests;

use line::Line;

const NAME: &str = "process langevin";

/// What the drift goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Potential {
    /// Σⱼ k(xⱼ² − 1)²/4.
    #[default]
    DoubleWell,
    /// The `formula`.
    Expression,
    /// −(g²/2) log π of the job's target.
    Target,
}

/// Settings, as written under `[process]` with `kind = "langevin"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Langevin {
    /// The potential U.
    pub potential: Potential,
    /// For `expression`: U as a formula in the coordinates of the target, by their names if these are
    /// plain words, else x0, x1, …; its grammar is that of `log_density` of the target `expression`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub formula: String,
    /// For `double-well`: stiffness k, > 0; the barrier is k/4 high.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub k: f64,
    /// Noise g, > 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub g: f64,
    /// For `expression` and `target`, where the stationary law is not known: standard deviation, > 0, of the reference law.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub spread: f64,
    /// Time T, > 0, at which the reference law holds.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub t_end: f64,
}

impl Default for Langevin {
    fn default() -> Self {
        Self {
            potential: Potential::DoubleWell,
            formula: String::new(),
            k: 1.0,
            g: 1.0,
            spread: 1.0,
            t_end: 8.0,
        }
    }
}

impl Build<dyn ForwardProcess> for Langevin {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        let target = parts.require_target(NAME)?;
        let (t_end, g) = (
            positive(NAME, "t_end", self.t_end)?,
            positive(NAME, "g", self.g)?,
        );
        let spread = positive(NAME, "spread", self.spread)?;
        if self.formula.is_empty() == (self.potential == Potential::Expression) {
            return Err(Error::setting(
                NAME,
                "formula",
                if self.formula.is_empty() {
                    "missing"
                } else {
                    "given"
                },
                "given where, and only where, `potential = \"expression\"`",
            ));
        }
        match self.potential {
            Potential::DoubleWell => {
                let law = Wells::new(positive(NAME, "k", self.k)?, g)?;
                let dim = target.dim();
                Ok(Arc::new(Independent { law, dim, t_end }))
            }
            Potential::Expression => {
                let energy = energy(&self.formula, &*target, parts)?;
                let scale = -2.0 / (g * g);
                Ok(Arc::new(Gradient::new(energy, scale, g, spread, t_end)?))
            }
            Potential::Target => Ok(Arc::new(Gradient::new(target, 1.0, g, spread, t_end)?)),
        }
    }
}

/// The formula as a function of the coordinates of `target`.
fn energy(formula: &str, target: &dyn Target, parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
    let missing = || Error::Missing {
        component: NAME.into(),
        needed: "the target `expression`, which reads formulas".into(),
        holder: "the registry".into(),
        advice: "build the process by its name from a registry that has all built-ins".into(),
    };
    let registry = parts.registry.ok_or_else(missing)?;
    let mut names: Vec<String> = (0..target.dim()).map(|i| target.coordinate(i)).collect();
    let plain = |n: &String| n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !names.iter().all(plain) {
        names = (0..target.dim()).map(|i| format!("x{i}")).collect();
    }
    let settings = serde_json::json!({ "coordinates": names, "log_density": formula });
    registry
        .target("expression", settings, &Parts::new(parts.files))
        .map_err(|e| match e {
            Error::Setting { given, allowed, .. } => {
                Error::setting(NAME, "formula", given, allowed)
            }
            Error::Settings { message, .. } => Error::Settings {
                component: NAME.into(),
                key: "formula".into(),
                message,
            },
            other => other,
        })
}

/// One coordinate of the double well.
struct Wells {
    k: f64,
    g: f64,
    line: Line,
}

impl Wells {
    fn new(k: f64, g: f64) -> Result<Self> {
        let of = |x: &f64| log_well(k, g, *x);
        let line = Line::new(NAME, "k", |x| Ok(x.iter().map(of).collect()))?;
        Ok(Self { k, g, line })
    }

    /// Where the drift alone takes x.
    fn flow(&self, dt: f64, x: f64) -> f64 {
        let e = (-2.0 * self.k * dt).exp();
        if x.abs() > 1.0 {
            // Divided by x², lest it overflow.
            x.signum() / (1.0 - e + e / x / x).sqrt()
        } else {
            x / (x * x + (1.0 - x * x) * e).sqrt()
        }
    }
}

/// −2U/g² and its slope.
fn log_well(k: f64, g: f64, x: f64) -> (f64, f64) {
    let (u, c) = (x * x - 1.0, 2.0 / (g * g));
    (-0.25 * c * k * u * u, -c * k * x * u)
}

impl Coordinate for Wells {
    const CONSTANT_NOISE: bool = true;

    fn drift(&self, x: f64) -> f64 {
        -self.k * x * (x * x - 1.0)
    }

    fn drift_slope(&self, x: f64) -> f64 {
        -self.k * (3.0 * x * x - 1.0)
    }

    fn noise(&self, _x: f64) -> f64 {
        self.g * self.g
    }

    fn reference(&self, x: f64) -> (f64, f64) {
        let (value, slope) = log_well(self.k, self.g, x);
        (value - self.line.log_z(), slope)
    }

    fn draw(&self, rng: &mut Stream) -> f64 {
        self.line.quantile(Open01.sample(rng))
    }

    fn map(&self) -> Option<&dyn Map> {
        Some(self)
    }
}

impl Map for Wells {
    fn to(&self, dt: f64, r: f64, z: f64) -> f64 {
        self.flow(dt, r) + self.g * dt.sqrt() * z
    }

    fn noise_of(&self, dt: f64, r: f64, x: f64) -> f64 {
        (x - self.flow(dt, r)) / (self.g * dt.sqrt())
    }
}

/// How the reference law of a target is known.
enum Reference {
    /// The target has exact draws, and this log Z.
    Exact(f64),
    /// On the line, by quadrature.
    Line(Line),
    /// N(0, spread² I), not knowing better.
    Gaussian(f64),
}

/// Down −(g²/2) log π, where log π is `scale` times the log density of `target`.
struct Gradient {
    target: Arc<dyn Target>,
    scale: f64,
    g2: f64,
    t_end: f64,
    reference: Reference,
}

impl Gradient {
    fn new(target: Arc<dyn Target>, scale: f64, g: f64, spread: f64, t_end: f64) -> Result<Self> {
        if !target.has_gradient() {
            return Err(Error::Missing {
                component: NAME.into(),
                needed: "a gradient of the log density, for `potential = \"target\"`".into(),
                holder: "the target".into(),
                advice: "choose `potential = \"double-well\"`, or a target that has one, such as \
                         `expression` or `gaussian-mixture`"
                    .into(),
            });
        }
        let exact = target
            .exact()
            .filter(|e| e.sampler().is_some())
            .and_then(|e| e.truth().log_z);
        let reference = if let Some(log_z) = exact.filter(|_| target.has_density()) {
            Reference::Exact(log_z)
        } else if target.dim() == 1 && target.has_density() {
            Reference::Line(tabled(&*target, scale)?)
        } else {
            Reference::Gaussian(spread)
        };
        Ok(Self {
            target,
            scale,
            g2: g * g,
            t_end,
            reference,
        })
    }
}

fn tabled(target: &dyn Target, scale: f64) -> Result<Line> {
    Runtime::new(0, 1)?.enter(NAME, 0, |cx| {
        Line::new(NAME, "potential", |x| {
            let mut all = vec![(0.0, 0.0); x.len()];
            let (mut l, mut g) = (
                ndarray::Array1::zeros(x.len()),
                ndarray::Array2::zeros((x.len(), 1)),
            );
            let x = ArrayView2::from_shape((x.len(), 1), x).expect("a column");
            target.eval(cx, x, Some(l.view_mut()), Some(g.view_mut()))?;
            for ((to, l), g) in all.iter_mut().zip(&l).zip(&g) {
                *to = (scale * l, scale * g);
            }
            Ok(all)
        })
    })
}

impl ForwardProcess for Gradient {
    fn dim(&self) -> usize {
        self.target.dim()
    }

    fn t_end(&self) -> f64 {
        self.t_end
    }

    fn traits(&self) -> Traits {
        self.target.traits()
    }

    fn drift(
        &self,
        cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut f: ArrayViewMut2<'_, f64>,
    ) -> Result {
        cx.eval_target(&*self.target, x, None, Some(f.view_mut()))?;
        f *= 0.5 * self.g2 * self.scale;
        Ok(())
    }

    fn apply_g(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let g = self.g2.sqrt();
        out.zip_mut_with(&z, |o, z| *o = g * z);
        Ok(())
    }

    fn apply_ggt(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        out.zip_mut_with(&v, |o, v| *o = self.g2 * v);
        Ok(())
    }

    fn reference_sample(&self, cx: &mut Cx<'_>, mut x: ArrayViewMut2<'_, f64>) -> Result {
        match &self.reference {
            Reference::Exact(_) => match self.target.exact().and_then(|e| e.sampler()) {
                Some(sampler) => sampler.sample(cx, x),
                None => unreachable!("it had a sampler when this was built"),
            },
            Reference::Line(line) => {
                cx.fill_uniform(x.view_mut());
                x.mapv_inplace(|u| line.quantile(u));
                Ok(())
            }
            Reference::Gaussian(spread) => {
                cx.fill_normal(x.view_mut());
                x *= *spread;
                Ok(())
            }
        }
    }

    fn reference_eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let log_z = match &self.reference {
            Reference::Exact(log_z) => *log_z,
            Reference::Line(line) => line.log_z(),
            Reference::Gaussian(spread) => {
                let v = spread * spread;
                let constant = -0.5 * x.ncols() as f64 * (TAU * v).ln();
                if let Some(l) = &mut log_density {
                    for (l, x) in l.iter_mut().zip(x.rows()) {
                        *l = constant - 0.5 * x.iter().map(|x| x * x).sum::<f64>() / v;
                    }
                }
                if let Some(mut g) = gradient {
                    g.zip_mut_with(&x, |g, x| *g = -x / v);
                }
                return Ok(());
            }
        };
        let l = log_density.as_mut().map(|l| l.view_mut());
        let mut gradient = gradient;
        let g = gradient.as_mut().map(|g| g.view_mut());
        cx.eval_target(&*self.target, x, l, g)?;
        if let Some(mut l) = log_density {
            l.mapv_inplace(|l| self.scale * l - log_z);
        }
        if let Some(mut g) = gradient {
            g *= self.scale;
        }
        Ok(())
    }

    fn drift_vjp(&self) -> Option<&dyn DriftVjp> {
        self.target.hvp().map(|_| self as &dyn DriftVjp)
    }

    fn drift_jvp(&self) -> Option<&dyn DriftJvp> {
        self.target.hvp().map(|_| self as &dyn DriftJvp)
    }

    fn integral_g2(&self) -> Option<&dyn IntegralG2> {
        Some(self)
    }

    fn autonomous(&self) -> bool {
        true
    }

    fn flags(&self) -> Vec<Flag> {
        let Reference::Gaussian(spread) = self.reference else {
            return Vec::new();
        };
        let text = format!(
            "the reference law of the process langevin is N(0, {spread}² I), not its stationary law, of \
             which neither draws nor log Z are known: the error of the start does not vanish with `t_end`"
        );
        let advice = "a target with exact draws, or on the line, or another process";
        let key = "approximate-reference";
        vec![Flag::new(Severity::Warning, key, text, advice)]
    }
}

impl IntegralG2 for Gradient {
    fn integral_g2(&self, s: f64, t: f64) -> f64 {
        self.g2 * (t - s)
    }
}

impl DriftJvp for Gradient {
    fn drift_jvp(
        &self,
        cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let Some(hvp) = self.target.hvp() else {
            return Err(Error::Missing {
                component: NAME.into(),
                needed: "Hessian-vector products".into(),
                holder: "the target".into(),
                advice: "use differences of the drift".into(),
            });
        };
        hvp.hvp(cx, x, v, out.view_mut())?;
        out *= 0.5 * self.g2 * self.scale;
        Ok(())
    }
}

impl DriftVjp for Gradient {
    fn drift_vjp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        u: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        // A Hessian is symmetric.
        DriftJvp::drift_jvp(self, cx, t, x, u, out)
    }
}

register! {
    process "langevin" => Langevin, needs TARGET,
        summary "Overdamped Langevin dynamics in a double well, a formula, or the potential of the target",
        source "Risken (1996), The Fokker–Planck Equation, ch. 5 and 6";
}
