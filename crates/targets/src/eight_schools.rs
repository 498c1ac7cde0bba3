//! Eight schools: a hierarchical normal model of coaching effects, in its non-centred form.
//!
//! Source: Rubin (1981), J. Educ. Stat. 6(4); Gelman et al. (2013), Bayesian Data Analysis, §5.5.
//! Priors as in posteriordb (Magnusson et al. 2024, arXiv:2407.04967) or in Inference Gym.
//!
//! ```text
//! y_j ~ N(θ_j, σ_j²),   θ_j = μ + τ η_j,   η_j ~ N(0, 1),   coordinates (μ, ln τ, η₁ … η₈)
//! posteriordb:     μ ~ N(0, 5²),   τ ~ half-Cauchy(0, 5)
//! inference-gym:   μ ~ N(0, 10²),  ln τ ~ N(5, 1)
//! ```
//!
//! The density is that of the coordinates and the data, so that log Z is the log evidence. Given τ
//! all else is Gaussian; the truth is a one-dimensional quadrature over ln τ.

use crate::point::each_row;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Cx, Exact, Expectation, Outputs, Result, Target, Truth, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};
use std::sync::Arc;

/// Estimated effects and their standard errors.
const SCHOOLS: [(f64, f64); 8] = [
    (28.0, 15.0),
    (8.0, 10.0),
    (-3.0, 16.0),
    (7.0, 11.0),
    (-1.0, 9.0),
    (1.0, 11.0),
    (18.0, 10.0),
    (12.0, 18.0),
];
const DIM: usize = 2 + SCHOOLS.len();

/// Prior of μ and τ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EightSchoolsPrior {
    /// μ ~ N(0, 5²), τ ~ half-Cauchy(0, 5).
    #[default]
    Posteriordb,
    /// μ ~ N(0, 10²), ln τ ~ N(5, 1).
    InferenceGym,
}

impl EightSchoolsPrior {
    fn sd_of_mu(self) -> f64 {
        match self {
            Self::Posteriordb => 5.0,
            Self::InferenceGym => 10.0,
        }
    }

    /// ln density of u = ln τ, and its derivative.
    fn log_tau(self, u: f64) -> (f64, f64) {
        match self {
            Self::Posteriordb => {
                // 2 / (5π (1 + τ²/25)) · τ, with s = τ/5: ln(2/π) + ln s − ln(1 + s²).
                let v = u - 5f64.ln();
                let both = retrograde_core::numeric::softplus(2.0 * v);
                let slope = 1.0 - 2.0 * retrograde_core::numeric::sigmoid(2.0 * v);
                ((2.0 / PI).ln() + v - both, slope)
            }
            Self::InferenceGym => {
                let v = u - 5.0;
                (-0.5 * v * v - 0.5 * TAU.ln(), -v)
            }
        }
    }
}

/// Settings, as written under `[target]` with `kind = "eight-schools"`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EightSchools {
    /// Which priors: `posteriordb` (μ ~ N(0, 5²), τ ~ half-Cauchy(0, 5)) or `inference-gym`
    /// (μ ~ N(0, 10²), ln τ ~ N(5, 1)).
    #[serde(default)]
    pub prior: EightSchoolsPrior,
}

impl Build<dyn Target> for EightSchools {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        Ok(Arc::new(self))
    }
}

impl Target for EightSchools {
    fn dim(&self) -> usize {
        DIM
    }

    fn coordinate(&self, i: usize) -> String {
        match i {
            0 => "mu".into(),
            1 => "log_tau".into(),
            _ => format!("eta{}", i - 1),
        }
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let sd = self.prior.sd_of_mu();
        let logs: f64 = SCHOOLS.iter().map(|(_, s)| s.ln()).sum();
        let constant = -sd.ln() - logs - 0.5 * (1 + 2 * SCHOOLS.len()) as f64 * TAU.ln();
        each_row(x, log_density, gradient, |x, mut g| {
            let (mu, tau) = (x[0], x[1].exp());
            let (prior, slope) = self.prior.log_tau(x[1]);
            let mut value = constant + prior - 0.5 * (mu / sd).powi(2);
            let (mut by_mu, mut by_tau) = (-mu / (sd * sd), 0.0);
            for (j, (y, s)) in SCHOOLS.into_iter().enumerate() {
                let eta = x[2 + j];
                let z = (y - mu - tau * eta) / s;
                value -= 0.5 * (z * z + eta * eta);
                by_mu += z / s;
                by_tau += z / s * eta;
                if let Some(g) = &mut g {
                    g[2 + j] = tau * z / s - eta;
                }
            }
            if let Some(g) = g {
                g[0] = by_mu;
                g[1] = slope + tau * by_tau;
            }
            value
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

/// τ and the effects θ₁ … θ₈.
impl Outputs for EightSchools {
    fn count(&self) -> usize {
        DIM - 1
    }

    fn name(&self, i: usize) -> String {
        match i {
            0 => "tau".into(),
            _ => format!("theta{i}"),
        }
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        for (mut out, x) in out.rows_mut().into_iter().zip(x.rows()) {
            let (mu, tau) = (x[0], x[1].exp());
            out[0] = tau;
            for j in 1..DIM - 1 {
                out[j] = mu + tau * x[j + 1];
            }
        }
        Ok(())
    }
}

impl Exact for EightSchools {
    fn truth(&self) -> Truth {
        // The trapezium rule in u = ln τ is exact to rounding: the marginal is smooth, and falls like
        // eᵘ or faster downwards and e^{−9u} or faster upwards.
        let spacing = 0.02;
        let (mut z, mut tau1, mut theta1) = (0.0, 0.0, 0.0);
        let (mut first, mut second) = (vec![0.0; DIM], vec![0.0; DIM]);
        for k in 0..2600 {
            let u = -40.0 + spacing * f64::from(k);
            let tau = u.exp();
            let given = self.given_tau(tau);
            let w = spacing * (self.prior.log_tau(u).0 + given.log_likelihood).exp();
            z += w;
            tau1 += w * tau;
            let mut add = |i: usize, mean: f64, variance: f64| {
                first[i] += w * mean;
                second[i] += w * (mean * mean + variance);
            };
            add(0, given.mean, given.variance);
            add(1, u, 0.0);
            for (j, (y, s)) in SCHOOLS.into_iter().enumerate() {
                let total = s * s + tau * tau;
                // η_j given μ is N(τ (y − μ)/total, s²/total), and μ is Gaussian.
                let gain = tau / total;
                let mean = gain * (y - given.mean);
                add(2 + j, mean, s * s / total + gain * gain * given.variance);
                if j == 0 {
                    theta1 += w * (given.mean + tau * mean);
                }
            }
        }
        let mean: Vec<f64> = first.iter().map(|s| s / z).collect();
        let variance = second
            .iter()
            .zip(&mean)
            .map(|(s, m)| s / z - m * m)
            .collect();
        Truth {
            log_z: Some(z.ln()),
            mean: Some(mean),
            variance: Some(variance),
            expectations: vec![
                Expectation::new("E tau", tau1 / z, |x| x[1].exp()),
                Expectation::new("E theta1", theta1 / z, |x| x[0] + x[1].exp() * x[2]),
            ],
            source: "Gaussian likelihood and one-dimensional quadrature".into(),
            ..Truth::default()
        }
    }
}

/// The model given τ: y_j ~ N(μ, σ_j² + τ²).
struct GivenTau {
    log_likelihood: f64,
    /// Mean and variance of μ.
    mean: f64,
    variance: f64,
}

impl EightSchools {
    fn given_tau(&self, tau: f64) -> GivenTau {
        let prior = self.prior.sd_of_mu().powi(-2);
        let (mut precision, mut weighted, mut squares, mut log) = (prior, 0.0, 0.0, prior.ln());
        for (y, s) in SCHOOLS {
            let p = 1.0 / (s * s + tau * tau);
            precision += p;
            weighted += p * y;
            squares += p * y * y;
            log += p.ln() - TAU.ln();
        }
        let mean = weighted / precision;
        GivenTau {
            log_likelihood: 0.5 * (log - precision.ln() - squares + weighted * mean),
            mean,
            variance: 1.0 / precision,
        }
    }
}

register! {
    target "eight-schools" => EightSchools, needs NOTHING,
        summary "Eight schools, a hierarchical model in non-centred form",
        source "Rubin (1981); Gelman et al. (2013), Bayesian Data Analysis, §5.5";
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use retrograde_testkit::*;

    const BOTH: [EightSchoolsPrior; 2] = [
        EightSchoolsPrior::Posteriordb,
        EightSchoolsPrior::InferenceGym,
    ];

    #[test]
    fn values_and_gradients() {
        let rows = [
            Row(
                -43.746149489465,
                0.502611315643,
                0.702368757182,
                2.665377028950,
                2.332704046524,
            ),
            Row(
                -53.360900224117,
                0.495111315643,
                0.702368757182,
                6.277896400088,
                19.90009878280,
            ),
        ];
        for (prior, row) in BOTH.into_iter().zip(rows) {
            let target = EightSchools { prior };
            assert_row("eight-schools", &target, &point(DIM), row, 1e-10);
            let points = Array2::from_shape_fn((5, DIM), |(i, j)| (i as f64 - 1.0) * point(DIM)[j]);
            assert_target("eight-schools", &target, points.view());
            // At the ends of the scale: no NaN.
            for log_tau in [-800.0, 300.0] {
                let mut x = point(DIM);
                x[1] = log_tau;
                let (l, g) = eval(&target, &x);
                assert!(
                    l.is_finite() && g.iter().all(|v| v.is_finite()),
                    "{l} {g:?}"
                );
            }
        }
    }

    /// log Z; mean and standard deviation of μ and of ln τ; E τ; E θ₁.
    #[test]
    fn truth() {
        // The same integral with the dense 8 × 8 covariance of the data given τ, in NumPy.
        let known = [
            [
                -31.311347352293,
                4.3968207138,
                3.3177044631,
                0.8021392108,
                1.1712264658,
                3.5977054841,
                6.2118842041,
            ],
            [
                -36.130815911236,
                5.7990449871,
                5.4472261876,
                2.4505712782,
                0.5128357714,
                13.1666029644,
                14.7700762619,
            ],
        ];
        for (prior, known) in BOTH.into_iter().zip(known) {
            let target = EightSchools { prior };
            let truth = target.truth();
            let (mean, variance) = (truth.mean.expect("known"), truth.variance.expect("known"));
            let got = [
                truth.log_z.expect("known"),
                mean[0],
                variance[0].sqrt(),
                mean[1],
                variance[1].sqrt(),
                truth.expectations[0].value,
                truth.expectations[1].value,
            ];
            for (got, known) in got.into_iter().zip(known) {
                assert!((got - known).abs() < 2e-10, "{prior:?}: {got}, {known}");
            }

            // The ten-dimensional density itself, by importance sampling from a Gaussian with twice
            // the spread in ln τ, whose left tail is exponential.
            let mut sd: Vec<f64> = variance.iter().map(|v| 1.1 * v.sqrt()).collect();
            sd[1] *= 2.0;
            let (log_z, se) = importance_log_z(&target, &mean, &sd, 400_000, 4);
            assert!(se < 0.02, "a standard error of {se} checks little");
            assert_z("log Z", log_z, known[0], se);
        }
    }

    /// Every moment of the truth against weighted draws, which know only the density.
    #[test]
    fn moments_by_weighted_draws() {
        let target = EightSchools::default();
        let truth = target.truth();
        let (mean, variance) = (truth.mean.expect("known"), truth.variance.expect("known"));
        let n = 400_000;
        let mut x = Array2::zeros((n, DIM));
        let mut l = ndarray::Array1::zeros(n);
        with_cx(8, |cx| {
            cx.fill_normal(x.view_mut());
            let proposal: Vec<f64> = x.rows().into_iter().map(|z| -0.5 * z.dot(&z)).collect();
            for mut row in x.rows_mut() {
                for (j, v) in row.iter_mut().enumerate() {
                    let wide = if j == 1 { 2.0 } else { 1.1 };
                    *v = mean[j] + wide * variance[j].sqrt() * *v;
                }
            }
            cx.eval_target(&target, x.view(), Some(l.view_mut()), None)
                .expect("it evaluates");
            l.iter_mut().zip(proposal).for_each(|(l, p)| *l -= p);
        });
        let mut w = l.to_vec();
        retrograde_core::numeric::softmax_in_place(&mut w);
        let check = |what: &str, want: f64, f: &dyn Fn(&[f64]) -> f64| {
            let (mut m, mut v) = (0.0, 0.0);
            for (x, w) in x.rows().into_iter().zip(&w) {
                let off = f(&x.to_vec()) - want;
                m += w * off;
                v += w * w * off * off;
            }
            assert_z(what, want + m, want, v.sqrt());
        };
        for j in 0..DIM {
            check("mean", mean[j], &|x| x[j]);
            check("variance", variance[j], &|x| (x[j] - mean[j]).powi(2));
        }
        for e in &truth.expectations {
            check(&e.name, e.value, &|x| (e.of)(x));
        }
    }
}
