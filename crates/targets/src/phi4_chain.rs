//! φ⁴ chain: a one-dimensional field with two wells at each site and zeros at both ends.
//!
//! Source: Gabrié, Rotskoff & Vanden-Eijnden (2022), PNAS 119(10), arXiv:2105.12603.
//!
//! ```text
//! log ρ(x) = −β { (c/2) Σ_{i=0}^{N} (xᵢ − xᵢ₋₁)² + (1/c) Σ_{i<N} [(1 − xᵢ²)²/4 + h xᵢ] },   c = a N,  x₋₁ = x_N = 0
//! ∂ᵢ log ρ = −β { c (2xᵢ − xᵢ₋₁ − xᵢ₊₁) + (xᵢ³ − xᵢ + h)/c }
//! ```
//!
//! The whole chain sits near +1 or near −1; the field h tilts the balance. Neighbours alone interact,
//! so everything of one site is exact by a transfer operator: with v(x) = exp −(β/c)[(1−x²)²/4 + h x]
//! and k(x, y) = exp −(βc/2)(x−y)², the messages m₀(x) = k(x, 0), mᵢ₊₁ = ∫ k(·, y) v(y) mᵢ(y) dy give
//! site i the density ∝ mᵢ v m_{N−1−i}, by the mirror symmetry of the chain. The trapezium rule is
//! exact to rounding for these integrands.

use crate::point::each_row;
use ndarray::{Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Cx, Error, Exact, Expectation, Result, Target, Truth, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};

const NAME: &str = "target phi4-chain";
/// Multiplications that the truth may cost; longer chains or finer grids go without.
const MAX_WORK: f64 = 2e10;
/// Half of the numbers that it may keep.
const MAX_STORED: f64 = 2e7;

/// Settings, as written under `[target]` with `kind = "phi4-chain"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phi4Chain {
    /// Sites N, which is the dimension; 1 to 10⁶.
    #[serde(default = "default_sites")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sites: usize,
    /// Stiffness a of a bond, > 0; c = a N.
    #[serde(default = "default_stiffness")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub stiffness: f64,
    /// Inverse temperature β, > 0.
    #[serde(default = "default_beta")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub beta: f64,
    /// External field h; positive values favour the well at −1.
    #[serde(default)]
    pub field: f64,
}

fn default_sites() -> usize {
    100
}
fn default_stiffness() -> f64 {
    0.1
}
fn default_beta() -> f64 {
    20.0
}

impl Default for Phi4Chain {
    fn default() -> Self {
        Self {
            sites: default_sites(),
            stiffness: default_stiffness(),
            beta: default_beta(),
            field: 0.0,
        }
    }
}

impl Build<dyn Target> for Phi4Chain {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        if !(1..=1_000_000).contains(&self.sites) {
            return Err(Error::setting(NAME, "sites", self.sites, "1 to 1000000"));
        }
        for (key, value) in [("stiffness", self.stiffness), ("beta", self.beta)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::setting(NAME, key, value, "> 0"));
            }
        }
        if !self.field.is_finite() {
            return Err(Error::setting(NAME, "field", self.field, "finite"));
        }
        let c = self.stiffness * self.sites as f64;
        Ok(Arc::new(Chain {
            sites: self.sites,
            bond: self.beta * c,
            site: self.beta / c,
            field: self.field,
            truth: OnceLock::new(),
        }))
    }
}

struct Chain {
    sites: usize,
    /// βc.
    bond: f64,
    /// β/c.
    site: f64,
    field: f64,
    truth: OnceLock<Truth>,
}

impl Target for Chain {
    fn dim(&self) -> usize {
        self.sites
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        each_row(x, log_density, gradient, |x, mut g| {
            let (mut bonds, mut sites, mut before) = (0.0, 0.0, 0.0);
            for (i, &v) in x.iter().enumerate() {
                let after = x.get(i + 1).copied().unwrap_or(0.0);
                bonds += (v - before) * (v - before);
                let well = 1.0 - v * v;
                sites += 0.25 * well * well + self.field * v;
                if let Some(g) = &mut g {
                    let pull = 2.0 * v - before - after;
                    g[i] = -self.bond * pull + self.site * (v * well - self.field);
                }
                before = v;
            }
            bonds += before * before;
            -0.5 * self.bond * bonds - self.site * sites
        });
        Ok(())
    }

    fn exact(&self) -> Option<&dyn Exact> {
        Some(self)
    }
}

impl Exact for Chain {
    fn truth(&self) -> Truth {
        self.truth.get_or_init(|| self.transfer()).clone()
    }
}

impl Chain {
    /// Energy of one site.
    fn potential(&self, x: f64) -> f64 {
        self.site * (0.25 * (1.0 - x * x).powi(2) + self.field * x)
    }

    /// Everything by the transfer operator; nothing but the source where that is too much work.
    fn transfer(&self) -> Truth {
        // Out to where a single site has e⁻⁶⁰ of its weight at a well; the bonds lower it further.
        let at_well = self.potential(1.0).min(self.potential(-1.0)).min(0.0);
        let mut reach = 1.5;
        while self.potential(reach).min(self.potential(-reach)) - at_well < 60.0 {
            reach *= 1.1;
        }
        // Eight points a length on which the integrands change.
        let width = self.bond.sqrt().recip();
        let curvature = self.site * (3.0 * reach * reach + 1.0);
        let spacing = width.min(curvature.sqrt().recip()) / 8.0;
        let half = (reach / spacing).ceil();
        let band = (10.0 * width / spacing).ceil().min(2.0 * half);
        let work = 4.0 * half * band * self.sites as f64;
        if half * self.sites as f64 > MAX_STORED || work > MAX_WORK || !work.is_finite() {
            return Truth {
                source: "transfer operator, left out: too much work at these settings".into(),
                ..Truth::default()
            };
        }
        let (half, band) = (half as usize, band as usize);
        let grid: Vec<f64> = (0..=2 * half)
            .map(|k| (k as f64 - half as f64) * spacing)
            .collect();
        let v: Vec<f64> = grid
            .iter()
            .map(|x| (at_well - self.potential(*x)).exp())
            .collect();
        let bond = |r: f64| (-0.5 * self.bond * r * r).exp();
        let kernel: Vec<f64> = (0..=band).map(|k| bond(k as f64 * spacing)).collect();

        // Messages, each scaled to a maximum of 1; `log_scale` is what was taken off in all.
        let mut messages = Array2::zeros((self.sites, grid.len()));
        let mut log_scale = -at_well;
        let mut message: Vec<f64> = grid.iter().map(|x| bond(*x)).collect();
        for (i, mut kept) in messages.rows_mut().into_iter().enumerate() {
            if i > 0 {
                let weighted: Vec<f64> = message.iter().zip(&v).map(|(m, v)| m * v).collect();
                message = convolve(&weighted, &kernel, spacing);
                let max = message.iter().fold(0.0f64, |a, b| a.max(*b));
                message.iter_mut().for_each(|m| *m /= max);
                log_scale += max.ln() - at_well;
            }
            kept.assign(&ndarray::aview1(&message));
        }
        let middle = self.sites / 2;
        let (mut mean, mut variance, mut positive, mut square) = (vec![], vec![], 0.0, 0.0);
        let mut log_z = 0.0;
        for i in 0..self.sites {
            let mirror = messages.row(self.sites - 1 - i);
            let density: Vec<f64> = messages
                .row(i)
                .iter()
                .zip(mirror)
                .zip(&v)
                .map(|((a, b), v)| a * b * v)
                .collect();
            let moment = |p: i32| {
                let terms = density.iter().zip(&grid).map(|(f, x)| f * x.powi(p));
                terms.sum::<f64>() * spacing
            };
            let z = moment(0);
            let m = moment(1) / z;
            mean.push(m);
            let spread = density.iter().zip(&grid).map(|(f, x)| f * (x - m).powi(2));
            variance.push(spread.sum::<f64>() * spacing / z);
            if i == self.sites - 1 {
                log_z = z.ln() + log_scale;
            }
            if i == middle {
                positive = half_line(&density[half - 3..], spacing) / z;
                square = moment(2) / z;
            }
        }
        let mean_middle = mean[middle];
        Truth {
            log_z: Some(log_z),
            mean: Some(mean),
            variance: Some(variance),
            expectations: vec![
                Expectation::new(format!("P(x{middle} > 0)"), positive, move |x| {
                    f64::from(u8::from(x[middle] > 0.0))
                }),
                Expectation::new(format!("E x{middle}"), mean_middle, move |x| x[middle]),
                Expectation::new(format!("E x{middle}²"), square, move |x| {
                    x[middle] * x[middle]
                }),
            ],
            source: "transfer operator".into(),
            ..Truth::default()
        }
    }
}

/// spacing · Σ_l kernel[|k − l|] f[l] for every k.
fn convolve(f: &[f64], kernel: &[f64], spacing: f64) -> Vec<f64> {
    (0..f.len())
        .map(|k| {
            let right = f[k..].iter().zip(kernel).map(|(f, w)| f * w).sum::<f64>();
            let left = f[..k].iter().rev().zip(&kernel[1..]);
            spacing * (right + left.map(|(f, w)| f * w).sum::<f64>())
        })
        .collect()
}

/// ∫₀^∞ of a function given at −3, −2, … grid steps: the trapezium rule, whose error at the end 0
/// is taken off by two Euler–Maclaurin terms with derivatives from differences.
fn half_line(f: &[f64], spacing: f64) -> f64 {
    let sum = 0.5 * f[3] + f[4..].iter().sum::<f64>();
    let odd = |k: usize| f[3 + k] - f[3 - k];
    let first = (45.0 * odd(1) - 9.0 * odd(2) + odd(3)) / 60.0;
    let third = (-13.0 * odd(1) + 8.0 * odd(2) - odd(3)) / 8.0;
    spacing * (sum + first / 12.0 - third / 720.0)
}

register! {
    target "phi4-chain" => Phi4Chain, needs NOTHING,
        summary "φ⁴ chain: two wells a site, the whole chain in one of two phases",
        source "Gabrié, Rotskoff & Vanden-Eijnden (2022), arXiv:2105.12603";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_core::registry::Folder;
    use retrograde_testkit::*;

    fn build(settings: Phi4Chain) -> Result<Arc<dyn Target>> {
        settings.build(&Parts::new(&Folder::default()))
    }

    fn chain(sites: usize, stiffness: f64, beta: f64, field: f64) -> Arc<dyn Target> {
        build(Phi4Chain {
            sites,
            stiffness,
            beta,
            field,
        })
        .expect("good settings")
    }

    #[test]
    fn values_and_gradients() {
        for (field, row) in [
            (
                0.0,
                Row(
                    -4380.371826171875,
                    224.53125,
                    149.53125,
                    99.53125,
                    5416452.061371,
                ),
            ),
            (
                0.025,
                Row(
                    -4380.359326171875,
                    224.48125,
                    149.48125,
                    94.53125,
                    5416442.358246,
                ),
            ),
        ] {
            let target = chain(100, 0.1, 20.0, field);
            assert_row("phi4-chain", &*target, &point(100), row, 1e-10);
            let points = Array2::from_shape_fn((5, 100), |(i, j)| (i as f64 - 2.0) * point(100)[j]);
            assert_target("phi4-chain", &*target, points.view());
        }
        let one = chain(1, 0.5, 2.0, 0.3);
        assert_target("one site", &*one, Array2::from_elem((1, 1), 0.7).view());
    }

    #[test]
    fn truth_of_the_long_chain() {
        // A transfer operator of a finer grid of fixed size (3001 points on [−3, 3]); P(x₅₀ > 0) by
        // the plain trapezium rule there, good to some 1e-8.
        for (field, log_z, positive, mean, square) in [
            (0.0, -196.912220805, 0.5, 0.0, 0.954210436),
            (
                0.0125,
                -195.625766121,
                0.0199045946,
                -0.935943211,
                0.967484805,
            ),
            (0.025, -193.664446489, 4.12962e-4, -0.980690993, 0.981585090),
            (0.05, -189.641034145, 1.73599e-7, -0.995059876, 1.008032878),
        ] {
            let target = chain(100, 0.1, 20.0, field);
            let truth = target.exact().expect("exact").truth();
            let value = |i: usize| truth.expectations[i].value;
            assert_close("log Z", truth.log_z.expect("known"), log_z, 1e-11);
            assert_eq!(truth.expectations[0].name, "P(x50 > 0)");
            let error = (value(0) / positive - 1.0).abs();
            assert!(error < 5e-6, "P(x₅₀ > 0) = {}, {positive}", value(0));
            assert!((value(1) - mean).abs() < 1e-9, "E x₅₀ = {}", value(1));
            assert!((value(2) - square).abs() < 1e-9, "E x₅₀² = {}", value(2));
            let (means, variances) = (truth.mean.expect("known"), truth.variance.expect("known"));
            assert!((means[50] - value(1)).abs() < 1e-12);
            assert!((variances[50] + means[50].powi(2) - value(2)).abs() < 1e-12);
            // Sites 49 and 50 are mirror images.
            assert!((means[49] - means[50]).abs() < 1e-12);
        }
    }

    #[test]
    fn short_chains_by_quadrature() {
        for (stiffness, beta, field) in [(0.5, 2.0, 0.3), (0.02, 1.0, -0.7), (3.0, 5.0, 2.0)] {
            let one = chain(1, stiffness, beta, field);
            let two = chain(2, stiffness, beta, field);
            // Sums over a grid in both coordinates, from evaluations of the target alone.
            let (h, half) = (0.01, 700);
            let grid: Vec<f64> = (-half..=half).map(|k| f64::from(k) * h).collect();
            let x = Array2::from_shape_fn((grid.len() * grid.len(), 2), |(i, j)| {
                grid[if j == 0 {
                    i / grid.len()
                } else {
                    i % grid.len()
                }]
            });
            let mut l = ndarray::Array1::zeros(x.nrows());
            with_cx(1, |cx| two.eval(cx, x.view(), Some(l.view_mut()), None))
                .expect("it evaluates");
            let weights: Vec<f64> = l.iter().map(|l| l.exp() * h * h).collect();
            let z: f64 = weights.iter().sum();
            let truth = two.exact().expect("exact").truth();
            assert_close("log Z, 2 sites", truth.log_z.expect("known"), z.ln(), 1e-11);
            // x₁ = 0 is on the grid: half of its weight counts, which leaves an error of order h².
            for e in &truth.expectations {
                let both =
                    |x: &[f64]| 0.5 * ((e.of)(&[x[0], x[1] + 1e-9]) + (e.of)(&[x[0], x[1] - 1e-9]));
                let terms = x.rows().into_iter().zip(&weights);
                let sum: f64 = terms.map(|(x, w)| w * both(&x.to_vec())).sum();
                let tolerance = if e.name.starts_with('P') { 1e-4 } else { 1e-8 };
                assert_close(&e.name, e.value, sum / z, tolerance);
            }
            let truth = one.exact().expect("exact").truth();
            let z: f64 = grid.iter().map(|x| eval(&*one, &[*x]).0.exp() * h).sum();
            assert_close("log Z, 1 site", truth.log_z.expect("known"), z.ln(), 1e-11);
            let (log_z, se) = importance_log_z(&*two, &[0.0; 2], &[1.2; 2], 200_000, 7);
            assert_z(
                "log Z",
                log_z,
                two.exact().expect("exact").truth().log_z.expect("known"),
                se,
            );
        }
    }

    #[test]
    fn half_line_integral() {
        // ∫₀^∞ exp(−(x − ⅓)²) dx = √π/2 (1 + erf ⅓), erf ⅓ = 0.362648111766062…
        let f: Vec<f64> = (-3..200)
            .map(|k| (-(0.05 * f64::from(k) - 1.0 / 3.0).powi(2)).exp())
            .collect();
        let want = 0.5 * std::f64::consts::PI.sqrt() * (1.0 + 0.362_648_111_766_062_9);
        assert_close("half line", half_line(&f, 0.05), want, 1e-10);
    }

    #[test]
    fn settings_are_checked_and_work_is_bounded() {
        let good = Phi4Chain::default();
        for (bad, key) in [
            (
                Phi4Chain {
                    sites: 0,
                    ..good.clone()
                },
                "`sites` is 0",
            ),
            (
                Phi4Chain {
                    stiffness: 0.0,
                    ..good.clone()
                },
                "`stiffness` is 0",
            ),
            (
                Phi4Chain {
                    beta: f64::INFINITY,
                    ..good.clone()
                },
                "`beta` is inf",
            ),
            (
                Phi4Chain {
                    field: f64::NAN,
                    ..good.clone()
                },
                "`field` is NaN",
            ),
        ] {
            let error = build(bad).err().expect(key).to_string();
            assert!(error.contains(key), "{error}");
        }
        let long = chain(1_000_000, 0.1, 20.0, 0.0);
        assert!(long.exact().expect("exact").truth().log_z.is_none());
    }
}
