//! The probability-flow ODE, by Euler, Heun, Runge–Kutta of fourth order, or Dormand–Prince with steps
//! that adapt.
//!
//! Source: Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole (2021), arXiv:2011.13456, sec. 4.3; for
//! noise that depends on x app. D.1. Schemes: Hairer, Nørsett & Wanner (1993), Solving Ordinary
//! Differential Equations I, ch. II; Dormand & Prince (1980), J. Comput. Appl. Math. 6, 19.
//!
//! dx/dt = v(x, t) = f − ½ ∇·D − ½ D s,   run from T down to 0: a step of length h is
//!
//! | `method` | x′ | order | score calls |
//! | --- | --- | --- | --- |
//! | `euler` | x − h v(x, t) | 1 | 1 |
//! | `heun` | x − ½ h (v₁ + v(x − h v₁, t − h)) | 2 | 2 |
//! | `rk4` | the classical scheme | 4 | 4 |
//! | `dopri5` | fifth order; steps inside each step of the grid adapt to `tolerance` | 5 | 6 a step tried, and 1 |
//!
//! The map is deterministic, so that the density of its draws is known (`weights`).

use crate::chains::check_positive;
use crate::reverse::{Common, Leg, Reverse, Rows, Solver, Start, Weights, add};
use retrograde_core::grid::Grid;
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Cx, Error, Kernel, Result, Sampler, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler probability-flow";
/// Steps that an adaptive scheme may try within one step of the grid.
const MOST_TRIALS: u32 = 100_000;

/// A scheme for an ODE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Euler.
    Euler,
    /// Heun: the trapezium rule with an Euler predictor.
    Heun,
    /// The classical Runge–Kutta scheme of fourth order.
    Rk4,
    /// Dormand–Prince 5(4), adaptive.
    Dopri5,
}

/// What a scheme that evaluates at the end of a step does in a step that ends at t = 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LastStep {
    /// Euler's step, which does not evaluate at 0, where scores of data without width are singular.
    Euler,
    /// The step of the scheme.
    Full,
}

/// Settings, as written under `[sampler]` with `kind = "probability-flow"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProbabilityFlow {
    /// Scheme.
    pub method: Method,
    /// Times that are visited. `dopri5` chooses its own in between: few steps suffice there.
    pub grid: Grid,
    /// What a step that ends at t = 0 does.
    pub last_step: LastStep,
    /// Error of a step of `dopri5`, > 0, relative to 1 + |x| and over the coordinates in root mean
    /// square; the largest of a block of 256 rows counts.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub tolerance: f64,
    /// Where it starts.
    pub start: Start,
    /// Weights of the draws, and log Z.
    pub weights: Weights,
}

impl Default for ProbabilityFlow {
    fn default() -> Self {
        Self {
            method: Method::Heun,
            grid: Grid::default(),
            last_step: LastStep::Euler,
            tolerance: 1e-5,
            start: Start::default(),
            weights: Weights::default(),
        }
    }
}

impl Build<dyn Sampler> for ProbabilityFlow {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        check_positive(NAME, "tolerance", self.tolerance)?;
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

impl Solver for ProbabilityFlow {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kernel(&self) -> Kernel {
        Kernel::Deterministic
    }

    fn integrates(&self) -> bool {
        true
    }

    fn step(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, rows: Rows<'_>) -> Result {
        let euler = leg.to == 0.0 && self.last_step == LastStep::Euler;
        match self.method {
            Method::Euler => explicit(cx, leg, rows.x, &EULER),
            Method::Heun if euler => explicit(cx, leg, rows.x, &EULER),
            Method::Rk4 if euler => explicit(cx, leg, rows.x, &EULER),
            Method::Heun => explicit(cx, leg, rows.x, &HEUN),
            Method::Rk4 => explicit(cx, leg, rows.x, &RK4),
            Method::Dopri5 => self.adaptive(cx, leg, rows.x, euler),
        }
    }
}

/// An explicit scheme: stage i is evaluated at x − h Σⱼ aᵢⱼ vⱼ, t − cᵢ h.
struct Tableau<const S: usize> {
    a: [[f64; S]; S],
    b: [f64; S],
    c: [f64; S],
}

const EULER: Tableau<1> = Tableau {
    a: [[0.0]],
    b: [1.0],
    c: [0.0],
};
const HEUN: Tableau<2> = Tableau {
    a: [[0.0, 0.0], [1.0, 0.0]],
    b: [0.5, 0.5],
    c: [0.0, 1.0],
};
const RK4: Tableau<4> = Tableau {
    a: [
        [0.0; 4],
        [0.5, 0.0, 0.0, 0.0],
        [0.0, 0.5, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0],
    ],
    b: [1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
    c: [0.0, 0.5, 0.5, 1.0],
};
/// The last stage is the first of the next step; `b` is of fifth order.
const DOPRI5: Tableau<7> = Tableau {
    a: [
        [0.0; 7],
        [1.0 / 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [3.0 / 40.0, 9.0 / 40.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0, 0.0, 0.0, 0.0, 0.0],
        [
            19372.0 / 6561.0,
            -25360.0 / 2187.0,
            64448.0 / 6561.0,
            -212.0 / 729.0,
            0.0,
            0.0,
            0.0,
        ],
        [
            9017.0 / 3168.0,
            -355.0 / 33.0,
            46732.0 / 5247.0,
            49.0 / 176.0,
            -5103.0 / 18656.0,
            0.0,
            0.0,
        ],
        [
            35.0 / 384.0,
            0.0,
            500.0 / 1113.0,
            125.0 / 192.0,
            -2187.0 / 6784.0,
            11.0 / 84.0,
            0.0,
        ],
    ],
    b: [
        35.0 / 384.0,
        0.0,
        500.0 / 1113.0,
        125.0 / 192.0,
        -2187.0 / 6784.0,
        11.0 / 84.0,
        0.0,
    ],
    c: [0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0],
};
/// Fifth order minus fourth.
const DOPRI5_ERROR: [f64; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339_200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

/// One step of an explicit scheme.
fn explicit<const S: usize>(
    cx: &mut Cx<'_>,
    leg: &Leg<'_>,
    x: &mut [f64],
    scheme: &Tableau<S>,
) -> Result {
    let mut v: [Vec<f64>; S] = std::array::from_fn(|_| cx.take(x.len()));
    let mut y = cx.take(x.len());
    stages(cx, leg, (leg.t, leg.h()), x, (&mut v, &mut y), scheme, 0)?;
    for (b, v) in scheme.b.iter().zip(&v).filter(|(b, _)| **b != 0.0) {
        add(x, &[(-leg.h() * b, v.as_slice())]);
    }
    v.into_iter().for_each(|v| cx.give(v));
    cx.give(y);
    Ok(())
}

/// Evaluates the stages from `first` on of a step of length h from t.
fn stages<const S: usize>(
    cx: &mut Cx<'_>,
    leg: &Leg<'_>,
    (t, h): (f64, f64),
    x: &[f64],
    (v, y): (&mut [Vec<f64>; S], &mut [f64]),
    scheme: &Tableau<S>,
    first: usize,
) -> Result {
    for i in first..S {
        let (done, rest) = v.split_at_mut(i);
        y.copy_from_slice(x);
        for (a, v) in scheme.a[i].iter().zip(done).filter(|(a, _)| **a != 0.0) {
            add(y, &[(-h * a, v.as_slice())]);
        }
        // The end of the step is meant exactly.
        let at = if scheme.c[i] == 1.0 && (t - h - leg.to).abs() <= 1e-14 * leg.t {
            leg.to
        } else {
            t - scheme.c[i] * h
        };
        leg.velocity(cx, at, y, &mut rest[0])?;
    }
    Ok(())
}

impl ProbabilityFlow {
    /// Steps of Dormand–Prince from `leg.t` to `leg.to`, each as long as the tolerance allows.
    fn adaptive(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, x: &mut [f64], euler: bool) -> Result {
        // What is left for Euler's step to 0 is too short for its error to matter.
        let end = if euler { 1e-5 * leg.t } else { leg.to };
        let mut v: [Vec<f64>; 7] = std::array::from_fn(|_| cx.take(x.len()));
        let mut y = cx.take(x.len());
        let (mut t, mut h) = (leg.t, 0.1 * (leg.t - end));
        leg.velocity(cx, t, x, &mut v[0])?;
        for trial in 0.. {
            cx.check_cancelled()?;
            h = h.min(t - end);
            stages(cx, leg, (t, h), x, (&mut v, &mut y), &DOPRI5, 1)?;
            let error = self.error(leg, x, &v, h, &mut y);
            if error <= 1.0 {
                for (b, v) in DOPRI5.b.iter().zip(&v).filter(|(b, _)| **b != 0.0) {
                    add(x, &[(-h * b, v.as_slice())]);
                }
                v.swap(0, 6);
                t = if t - h <= end * (1.0 + 1e-14) {
                    end
                } else {
                    t - h
                };
                if t <= end {
                    break;
                }
            }
            // The ordinary controller: 0.9 (1/error)^(1/5), between a fifth and five.
            let factor = 0.9 * error.max(1e-10).powf(-0.2);
            h *= if factor.is_finite() {
                factor.clamp(0.2, 5.0)
            } else {
                0.2
            };
            if trial >= MOST_TRIALS || h < 1e-12 * leg.t {
                return Err(Error::Breakdown {
                    component: NAME.into(),
                    message: format!("the steps of dopri5 became {h} at t = {t}"),
                    advice:
                        "end the grid above 0 where the score is singular, or raise `tolerance`"
                            .into(),
                });
            }
        }
        if euler {
            add(x, &[(-(t - leg.to), v[0].as_slice())]);
        }
        v.into_iter().for_each(|v| cx.give(v));
        cx.give(y);
        Ok(())
    }

    /// Largest error of a row, in units of the tolerance.
    fn error(&self, leg: &Leg<'_>, x: &[f64], v: &[Vec<f64>; 7], h: f64, e: &mut [f64]) -> f64 {
        e.fill(0.0);
        for (c, v) in DOPRI5_ERROR.iter().zip(v).filter(|(c, _)| **c != 0.0) {
            add(e, &[(h * c, v.as_slice())]);
        }
        let rows = x.chunks_exact(leg.width()).zip(e.chunks_exact(leg.width()));
        rows.filter(|(x, _)| x[..leg.d].iter().all(|v| v.is_finite()))
            .map(|(x, e)| {
                let scaled =
                    |(x, e): (&f64, &f64)| (e / (self.tolerance * (1.0 + x.abs()))).powi(2);
                let sum: f64 = x[..leg.d].iter().zip(&e[..leg.d]).map(scaled).sum();
                (sum / leg.d as f64).sqrt()
            })
            .fold(
                0.0,
                |m: f64, e| if e.is_nan() { f64::INFINITY } else { m.max(e) },
            )
    }
}

register! {
    sampler "probability-flow" => ProbabilityFlow, needs REVERSE,
        summary "Probability-flow ODE by Euler, Heun, RK4 or adaptive Dormand-Prince",
        source "Song et al. (2021), arXiv:2011.13456";
}
