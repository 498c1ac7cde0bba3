//! Brownian motion of unknown scale, seen in unknown noise and not at all in the middle.
//!
//! Source: Inference Gym, Sountsov, Radul et al. (2020), "Brownian motion missing middle
//! observations"; as a benchmark of samplers Arbel, Matthews & Doucet (2021), arXiv:2102.07501.
//!
//! ```text
//! σ_inn = softplus(u₀),  σ_obs = softplus(u₁),   both LogNormal(0, 2)
//! z₀ ~ N(0, σ_inn²),  z_k ~ N(z_{k−1}, σ_inn²),  k = 1 … 29
//! y_k ~ N(z_k, σ_obs²),  k = 0 … 9 and 20 … 29
//! ```
//!
//! The coordinates are (u₀, u₁, z₀ … z₂₉), the density is normalised as a joint density of them and
//! the data, so that log Z is the log evidence. Given the scales everything is Gaussian, so all that
//! is known exactly is a two-dimensional quadrature over (ln σ_inn, ln σ_obs), which a test repeats.

use crate::point::each_row;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::numeric::{sigmoid, softplus};
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Cx, Exact, Expectation, Outputs, Result, Target, Truth, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::{LN_2, TAU};
use std::sync::Arc;

const STEPS: usize = 30;

/// The observations: step and value.
const DATA: [(usize, f64); 20] = [
    (0, 0.21592641),
    (1, 0.118771404),
    (2, -0.07945447),
    (3, 0.037677474),
    (4, -0.27885845),
    (5, -0.1484156),
    (6, -0.3250906),
    (7, -0.22957903),
    (8, -0.44110894),
    (9, -0.09830782),
    (20, -0.8786016),
    (21, -0.83736074),
    (22, -0.7384849),
    (23, -0.8939254),
    (24, -0.7774566),
    (25, -0.70238715),
    (26, -0.87771565),
    (27, -0.51853573),
    (28, -0.6948214),
    (29, -0.6202789),
];

const LOG_Z: f64 = 1.18774910323;
/// Mean and standard deviation of σ_inn and σ_obs, and the mean of their logarithms.
const SCALES: [(f64, f64, f64); 2] = [
    (0.1155336037, 0.0403055014, -2.2151882327),
    (0.1126564901, 0.0375377782, -2.2624635938),
];
/// Posterior means of the path at some steps.
const PATH: [(usize, f64); 4] = [
    (0, 0.09307543),
    (9, -0.22917089),
    (15, -0.54828951),
    (29, -0.64411101),
];

/// Settings, as written under `[target]` with `kind = "brownian"`: none.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Brownian {}

impl Build<dyn Target> for Brownian {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        Ok(Arc::new(self))
    }
}

/// A scale softplus(u) under its prior.
struct Scale {
    /// ln σ.
    log: f64,
    /// 1/σ².
    precision: f64,
    /// d ln σ / du.
    slope: f64,
    /// ln prior density of u.
    log_prior: f64,
    /// Its derivative.
    prior_slope: f64,
}

impl Scale {
    fn new(u: f64) -> Self {
        // Below −40, softplus(u) is eᵘ to rounding, and its logarithm has no underflow.
        let (log, slope) = if u < -40.0 {
            (u, 1.0)
        } else {
            let sd = softplus(u);
            (sd.ln(), sigmoid(u) / sd)
        };
        // LogNormal(0, 2) in σ, then dσ/du = sigmoid(u).
        let normal = -log - 0.125 * log * log - 0.5 * TAU.ln() - LN_2;
        Self {
            log,
            precision: (-2.0 * log).exp(),
            slope,
            log_prior: normal - softplus(-u),
            prior_slope: slope * (-1.0 - 0.25 * log) + sigmoid(-u),
        }
    }
}

impl Target for Brownian {
    fn dim(&self) -> usize {
        2 + STEPS
    }

    fn coordinate(&self, i: usize) -> String {
        match i {
            0 => "u_inn".into(),
            1 => "u_obs".into(),
            _ => format!("z{}", i - 2),
        }
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let constant = -0.5 * (STEPS + DATA.len()) as f64 * TAU.ln();
        each_row(x, log_density, gradient, |x, mut g| {
            let (inn, obs) = (Scale::new(x[0]), Scale::new(x[1]));
            let z = &x[2..];
            if let Some(g) = &mut g {
                g[2..].fill(0.0);
            }
            let (mut steps, mut before) = (0.0, 0.0);
            for (k, &z) in z.iter().enumerate() {
                let step = z - before;
                steps += step * step;
                if let Some(g) = &mut g {
                    g[2 + k] -= inn.precision * step;
                    if k > 0 {
                        g[1 + k] += inn.precision * step;
                    }
                }
                before = z;
            }
            let mut errors = 0.0;
            for (k, y) in DATA {
                let error = y - z[k];
                errors += error * error;
                if let Some(g) = &mut g {
                    g[2 + k] += obs.precision * error;
                }
            }
            let (m, n) = (STEPS as f64, DATA.len() as f64);
            if let Some(g) = g {
                g[0] = inn.prior_slope + inn.slope * (inn.precision * steps - m);
                g[1] = obs.prior_slope + obs.slope * (obs.precision * errors - n);
            }
            let path = -m * inn.log - 0.5 * inn.precision * steps;
            let seen = -n * obs.log - 0.5 * obs.precision * errors;
            constant + inn.log_prior + obs.log_prior + path + seen
        });
        Ok(())
    }

    fn outputs(&self) -> Option<&dyn Outputs> {
        Some(self)
    }

    fn exact(&self) -> Option<&dyn Exact> {
        Some(self)
    }
}

const NAMES: [&str; 2] = ["sigma_inn", "sigma_obs"];

/// The two scales.
impl Outputs for Brownian {
    fn count(&self) -> usize {
        NAMES.len()
    }

    fn name(&self, i: usize) -> String {
        NAMES[i].into()
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        for (mut out, x) in out.rows_mut().into_iter().zip(x.rows()) {
            (out[0], out[1]) = (softplus(x[0]), softplus(x[1]));
        }
        Ok(())
    }
}

impl Exact for Brownian {
    fn truth(&self) -> Truth {
        let mut expectations = Vec::new();
        for (i, (mean, sd, log)) in SCALES.into_iter().enumerate() {
            let name = NAMES[i];
            let sigma = move |x: &[f64]| softplus(x[i]);
            expectations.push(Expectation::new(format!("E {name}"), mean, sigma));
            let spread = move |x: &[f64]| (softplus(x[i]) - mean).powi(2);
            expectations.push(Expectation::new(format!("Var {name}"), sd * sd, spread));
            let log_sigma = move |x: &[f64]| Scale::new(x[i]).log;
            expectations.push(Expectation::new(format!("E ln {name}"), log, log_sigma));
        }
        for (k, mean) in PATH {
            expectations.push(Expectation::new(format!("E z{k}"), mean, move |x| x[2 + k]));
        }
        Truth {
            log_z: Some(LOG_Z),
            expectations,
            source: "Gaussian likelihood and two-dimensional quadrature".into(),
            ..Truth::default()
        }
    }
}

register! {
    target "brownian" => Brownian, needs NOTHING,
        summary "Brownian motion with unknown scales and no data in the middle, 32 dimensions",
        source "Inference Gym (2020); Arbel, Matthews & Doucet (2021), arXiv:2102.07501";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dense::{cholesky, lower_inverse};
    use ndarray::{Array1, Array2};
    use retrograde_testkit::*;

    #[test]
    fn values_and_gradients() {
        let target = Brownian {};
        let row = Row(
            -57.032278516490,
            5.569064464276,
            1.511610098597,
            -9.797980740657,
            487.8089975898,
        );
        assert_row("brownian", &target, &point(32), row, 1e-10);
        let points = Array2::from_shape_fn((5, 32), |(i, j)| (i as f64 - 2.0) * point(32)[j] - 0.1);
        assert_target("brownian", &target, points.view());
        // Scales so small that they are no numbers any more: no mass, and nothing that is NaN.
        let mut tiny = point(32);
        tiny[0] = -800.0;
        assert_eq!(eval(&target, &tiny).0, f64::NEG_INFINITY);
        // The formula for ln softplus changes at −40, its values do not.
        let (above, below) = (Scale::new(-40.0 + 1e-9), Scale::new(-40.0 - 1e-9));
        assert!((above.log - below.log - 2e-9).abs() < 1e-12);
        assert!((above.log_prior - below.log_prior).abs() < 1e-7);
    }

    /// The data given both scales: log likelihood, and the mean path at the steps of [`PATH`].
    fn given_scales(inn: f64, obs: f64) -> (f64, [f64; 4]) {
        let path = |i: usize, j: usize| inn * inn * (1 + i.min(j)) as f64;
        let covariance = Array2::from_shape_fn((20, 20), |(i, j)| {
            path(DATA[i].0, DATA[j].0) + if i == j { obs * obs } else { 0.0 }
        });
        let factor = cholesky(covariance).expect("positive definite");
        let inverse = lower_inverse(&factor);
        let white = inverse.dot(&Array1::from_iter(DATA.map(|(_, y)| y)));
        let log = factor.diag().iter().map(|v| v.ln()).sum::<f64>();
        let likelihood = -0.5 * white.dot(&white) - log - 10.0 * TAU.ln();
        let weights = inverse.t().dot(&white);
        (
            likelihood,
            PATH.map(|(k, _)| (0..20).map(|i| path(k, DATA[i].0) * weights[i]).sum()),
        )
    }

    #[test]
    fn truth_by_quadrature() {
        // The trapezium rule over both log scales from −16, where the prior e^{−s²/8} has ended the
        // mass, in steps of a third of the posterior's width.
        let grid: Vec<f64> = (0..200).map(|k| -16.0 + 0.1 * f64::from(k)).collect();
        let mut sums = [0.0; 11];
        for &a in &grid {
            for &b in &grid {
                let (inn, obs) = (a.exp(), b.exp());
                let (likelihood, z) = given_scales(inn, obs);
                let prior = -0.125 * (a * a + b * b) - TAU.ln() - 2.0 * LN_2;
                let w = 0.01 * (likelihood + prior).exp();
                let terms = [
                    1.0,
                    inn,
                    obs,
                    inn * inn,
                    obs * obs,
                    a,
                    b,
                    z[0],
                    z[1],
                    z[2],
                    z[3],
                ];
                sums.iter_mut().zip(terms).for_each(|(s, t)| *s += w * t);
            }
        }
        assert_close("log Z", LOG_Z, sums[0].ln(), 1e-10);
        let mean = sums.map(|s| s / sums[0]);
        for i in 0..2 {
            let (m, sd, log) = SCALES[i];
            assert_close("E σ", m, mean[1 + i], 1e-9);
            assert_close("sd σ", sd, (mean[3 + i] - m * m).sqrt(), 1e-9);
            assert_close("E ln σ", log, mean[5 + i], 1e-9);
        }
        for (i, (_, z)) in PATH.into_iter().enumerate() {
            assert_close("E z", z, mean[7 + i], 1e-8);
        }
    }

    #[test]
    fn the_joint_density_integrates_to_the_likelihood() {
        // ln π(u, z) = ln p(u) + ln p(y | u) + ln p(z | u, y), a Gaussian in z: its value at the mode
        // and its curvature tie the density that is evaluated to the quadrature above.
        let target = Brownian {};
        let (u_inn, u_obs) = (-1.9, -2.3);
        let at = |z: &[f64]| eval(&target, &[&[u_inn, u_obs], z].concat());
        let zero = at(&[0.0; 30]).1;
        let precision = Array2::from_shape_fn((30, 30), |(i, j)| {
            let mut unit = vec![0.0; 30];
            unit[i] = 1.0;
            zero[2 + j] - at(&unit).1[2 + j]
        });
        let factor = cholesky(precision).expect("positive definite");
        let inverse = lower_inverse(&factor);
        let mode = inverse
            .t()
            .dot(&inverse.dot(&Array1::from_vec(zero[2..].to_vec())));
        let log = factor.diag().iter().map(|v| v.ln()).sum::<f64>();
        let integral = at(&mode.to_vec()).0 + 15.0 * TAU.ln() - log;
        let (inn, obs) = (Scale::new(u_inn), Scale::new(u_obs));
        let (likelihood, z) = given_scales(inn.log.exp(), obs.log.exp());
        assert_close(
            "∫ dz",
            integral,
            likelihood + inn.log_prior + obs.log_prior,
            1e-11,
        );
        for (i, (k, _)) in PATH.into_iter().enumerate() {
            assert_close("E z given the scales", mode[k], z[i], 1e-11);
        }
    }
}
