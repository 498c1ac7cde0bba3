//! Concentric rings in the plane, r = ‖x‖, in two forms that circulate.
//!
//! `rings` (Grenioux et al. 2024, arXiv:2402.10758): the radius is a mixture of normals, the angle
//! uniform,
//!
//! log π(x) = ln (1/K) Σⱼ N(r; cⱼ, s²) − ln 2π − ln r.
//!
//! Z = (1/K) Σⱼ Φ(cⱼ/s), as the normals have a little mass on r < 0. At the origin itself, where the
//! density has a pole of no mass, −∞ is returned.
//!
//! `rings-min` (Zhang & Chen 2022, arXiv:2111.15141): the nearest ring decides,
//!
//! log ρ(x) = −κ minⱼ (r − cⱼ)²,
//!
//! Z = 2π Σⱼ ∫ r exp(−κ (r − cⱼ)²) dr, each over the radii nearest to cⱼ. The gradient is 0 at the
//! origin, and that of the smaller radius midway between two rings.
//!
//! In both, ∇ℓ = ℓ′(r) x/r, E x = 0 and Var xᵢ = ½ E r².

use crate::draw::each_draw;
use crate::point::each_row;
use crate::quadrature::integrate;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use rand_distr::{Distribution, Exp1, Open01, StandardNormal};
use retrograde_core::numeric::relative_weight;
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, Exact, ExactSampler, Expectation, Result, Stream, Target, Truth, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::function::erf::{erf, erfc};
use std::f64::consts::{FRAC_1_SQRT_2, PI, TAU};
use std::sync::Arc;

/// Settings, as written under `[target]` with `kind = "rings"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rings {
    /// Radii cⱼ, 10⁻³ to 10⁶ each, in rising order; 1, 2, 3, 4 by default.
    #[serde(default = "Rings::radii")]
    #[schemars(length(min = 1))]
    pub radii: Vec<f64>,
    /// Standard deviation s of the radius within a ring, 10⁻⁶ to 10⁶; 0.15 by default.
    #[serde(default = "Rings::sd")]
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub sd: f64,
}

/// Settings, as written under `[target]` with `kind = "rings-min"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RingsMin {
    /// Radii cⱼ, 10⁻³ to 10⁶ each, in rising order; 1, 3, 5 by default.
    #[serde(default = "RingsMin::radii")]
    #[schemars(length(min = 1))]
    pub radii: Vec<f64>,
    /// Steepness κ, 10⁻⁶ to 10⁹; 100 by default, which is a standard deviation of 0.0707.
    #[serde(default = "RingsMin::steepness")]
    #[schemars(range(min = 1e-6, max = 1e9))]
    pub steepness: f64,
}

impl Rings {
    fn radii() -> Vec<f64> {
        vec![1.0, 2.0, 3.0, 4.0]
    }

    fn sd() -> f64 {
        0.15
    }
}

impl RingsMin {
    fn radii() -> Vec<f64> {
        vec![1.0, 3.0, 5.0]
    }

    fn steepness() -> f64 {
        100.0
    }
}

impl Build<dyn Target> for Rings {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        check("target rings", &self.radii, "sd", self.sd, 1e-6..=1e6)?;
        Ok(Arc::new(self))
    }
}

impl Build<dyn Target> for RingsMin {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let (key, k) = ("steepness", self.steepness);
        check("target rings-min", &self.radii, key, k, 1e-6..=1e9)?;
        Ok(Arc::new(self))
    }
}

fn check(
    component: &str,
    radii: &[f64],
    key: &str,
    width: f64,
    allowed: std::ops::RangeInclusive<f64>,
) -> Result {
    if radii.is_empty() {
        return Err(Error::setting(
            component,
            "radii",
            "empty",
            "at least one radius",
        ));
    }
    for (i, c) in radii.iter().enumerate() {
        if !(1e-3..=1e6).contains(c) || (i > 0 && *c <= radii[i - 1]) {
            let allowed = "1e-3 to 1e6, and larger than the one before";
            return Err(Error::setting(component, format!("radii[{i}]"), c, allowed));
        }
    }
    if !allowed.contains(&width) {
        let range = format!("{:e} to {:e}", allowed.start(), allowed.end());
        return Err(Error::setting(component, key, width, range));
    }
    Ok(())
}

/// Writes `slope` x/r, or 0 at the origin.
fn radial(x: &[f64], r: f64, slope: f64, g: &mut [f64]) {
    let scale = slope / r;
    if scale.is_finite() && r.is_finite() {
        g[0] = scale * x[0];
        g[1] = scale * x[1];
    } else {
        g.fill(0.0);
    }
}

fn uniform_angle(rng: &mut Stream, r: f64, x: &mut [f64]) {
    let u: f64 = Open01.sample(rng);
    let (sin, cos) = (TAU * u).sin_cos();
    (x[0], x[1]) = (r * cos, r * sin);
}

impl Target for Rings {
    fn dim(&self) -> usize {
        2
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let precision = 1.0 / (self.sd * self.sd);
        let count = self.radii.len() as f64;
        let constant = -count.ln() - self.sd.ln() - 1.5 * TAU.ln();
        each_row(x, log_density, gradient, |x, g| {
            let r = x[0].hypot(x[1]);
            let exponent = |c: &f64| -0.5 * precision * (r - c) * (r - c);
            let max = self
                .radii
                .iter()
                .map(exponent)
                .fold(f64::NEG_INFINITY, f64::max);
            let (mut sum, mut pull) = (0.0, 0.0);
            if max.is_finite() {
                for c in &self.radii {
                    let w = relative_weight(exponent(c) - max);
                    sum += w;
                    pull += w * (c - r);
                }
            }
            if let Some(g) = g {
                radial(x, r, precision * pull / sum - 1.0 / r, g);
            }
            match r {
                0.0 => f64::NEG_INFINITY,
                _ if r.is_nan() => r,
                _ if sum == 0.0 => f64::NEG_INFINITY,
                _ => constant + max + sum.ln() - r.ln(),
            }
        });
        Ok(())
    }

    fn exact(&self) -> Option<&dyn Exact> {
        Some(self)
    }
}

impl Exact for Rings {
    fn truth(&self) -> Truth {
        // ∫ N, ∫ r N and ∫ r² N over r > 0, for one ring.
        let moments = |c: &f64| {
            let s = self.sd;
            let mass = 0.5 * erfc(-c / s * FRAC_1_SQRT_2);
            let edge = s * (-0.5 * (c / s).powi(2)).exp() / TAU.sqrt();
            [mass, c * mass + edge, (c * c + s * s) * mass + c * edge]
        };
        let [mass, first, second] = sum(self.radii.iter().map(moments));
        Truth {
            log_z: Some((mass / self.radii.len() as f64).ln()),
            ..moments_of_radius(first / mass, second / mass)
        }
    }

    fn sampler(&self) -> Option<&dyn ExactSampler> {
        Some(self)
    }
}

impl ExactSampler for Rings {
    fn sample(&self, cx: &mut Cx<'_>, out: ArrayViewMut2<'_, f64>) -> Result {
        each_draw(cx, 2, out, |rng, x| {
            let r = loop {
                let u: f64 = Open01.sample(rng);
                let ring = (u * self.radii.len() as f64) as usize;
                let z: f64 = StandardNormal.sample(rng);
                let r = self.radii[ring.min(self.radii.len() - 1)] + self.sd * z;
                if r > 0.0 {
                    break r;
                }
            };
            uniform_angle(rng, r, x);
        })
    }
}

fn sum(all: impl Iterator<Item = [f64; 3]>) -> [f64; 3] {
    all.fold([0.0; 3], |a, b| [a[0] + b[0], a[1] + b[1], a[2] + b[2]])
}

fn moments_of_radius(mean: f64, square: f64) -> Truth {
    Truth {
        mean: Some(vec![0.0; 2]),
        variance: Some(vec![0.5 * square; 2]),
        expectations: vec![Expectation::new("E ‖x‖", mean, |x| x[0].hypot(x[1]))],
        source: "closed form".into(),
        ..Truth::default()
    }
}

impl RingsMin {
    /// The ring nearest to radius `r`, the smaller one if there are two.
    fn nearest(&self, r: f64) -> usize {
        let after = self.radii.partition_point(|c| *c < r);
        match after {
            0 => 0,
            i if i == self.radii.len() => i - 1,
            i if self.radii[i] - r < r - self.radii[i - 1] => i,
            i => i - 1,
        }
    }
}

impl Target for RingsMin {
    fn dim(&self) -> usize {
        2
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let k = self.steepness;
        each_row(x, log_density, gradient, |x, g| {
            let r = x[0].hypot(x[1]);
            let e = r - self.radii[self.nearest(r)];
            if let Some(g) = g {
                radial(x, r, -2.0 * k * e, g);
            }
            -k * e * e
        });
        Ok(())
    }

    fn exact(&self) -> Option<&dyn Exact> {
        Some(self)
    }
}

impl Exact for RingsMin {
    fn truth(&self) -> Truth {
        let (k, c) = (self.steepness, &self.radii);
        let root = k.sqrt();
        // Z in closed form; a quadrature does for the moments.
        let cell = |j: usize| {
            let lo = if j == 0 { 0.0 } else { 0.5 * (c[j - 1] + c[j]) } - c[j];
            let hi = c
                .get(j + 1)
                .map_or(f64::INFINITY, |next| 0.5 * (next - c[j]));
            let bell = |u: f64| (-k * u * u).exp();
            let mass = (bell(lo) - bell(hi)) / (2.0 * k)
                + c[j] * PI.sqrt() / (2.0 * root) * (erf(root * hi) - erf(root * lo));
            let (lo, hi) = (lo.max(-9.0 / root), hi.min(9.0 / root));
            let moment = |p: i32| integrate(lo, hi, 40, |u| (c[j] + u).powi(p) * bell(u));
            [mass, moment(2), moment(3)]
        };
        let [mass, first, second] = sum((0..c.len()).map(cell));
        Truth {
            log_z: Some((TAU * mass).ln()),
            source: "closed form; the moments by quadrature".into(),
            ..moments_of_radius(first / mass, second / mass)
        }
    }

    fn sampler(&self) -> Option<&dyn ExactSampler> {
        Some(self)
    }
}

impl ExactSampler for RingsMin {
    /// Rejection. With u = r − cⱼ, the density r exp(−κu²) lies below (cⱼ + |u|) exp(−κu²), which is
    /// a normal (mass cⱼ √(π/κ)) and a Rayleigh law of random sign (mass 1/κ).
    fn sample(&self, cx: &mut Cx<'_>, out: ArrayViewMut2<'_, f64>) -> Result {
        let k = self.steepness;
        let normal = |c: &f64| c * (PI / k).sqrt();
        let total: f64 = self.radii.iter().map(|c| normal(c) + 1.0 / k).sum();
        each_draw(cx, 2, out, |rng, x| {
            let r = loop {
                let mut uniform = || -> f64 { Open01.sample(rng) };
                let (mut at, accept) = (total * uniform(), uniform());
                // Which ring, and which of its two parts.
                let mut ring = 0;
                while ring + 1 < self.radii.len() && at > normal(&self.radii[ring]) + 1.0 / k {
                    at -= normal(&self.radii[ring]) + 1.0 / k;
                    ring += 1;
                }
                let c = self.radii[ring];
                let u = if at < normal(&c) {
                    let z: f64 = StandardNormal.sample(rng);
                    z / (2.0 * k).sqrt()
                } else {
                    let e: f64 = Exp1.sample(rng);
                    let sign: f64 = Open01.sample(rng);
                    (e / k).sqrt() * if sign < 0.5 { -1.0 } else { 1.0 }
                };
                let r = c + u;
                if r > 0.0 && self.nearest(r) == ring && accept * (c + u.abs()) < r {
                    break r;
                }
            };
            uniform_angle(rng, r, x);
        })
    }
}

register! {
    target "rings" => Rings, needs NOTHING,
        summary "Concentric rings: the radius is a mixture of normals",
        source "Grenioux, Noble, Gabrié & Durmus 2024, arXiv:2402.10758";
    target "rings-min" => RingsMin, needs NOTHING,
        summary "Concentric rings: the nearest one decides",
        source "Zhang & Chen 2022, arXiv:2111.15141";
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use retrograde_core::registry::Folder;
    use retrograde_testkit::*;

    fn rings() -> Rings {
        Rings {
            radii: Rings::radii(),
            sd: Rings::sd(),
        }
    }

    fn rings_min() -> RingsMin {
        RingsMin {
            radii: RingsMin::radii(),
            steepness: RingsMin::steepness(),
        }
    }

    fn log_z(target: &dyn Target) -> f64 {
        target.exact().unwrap().truth().log_z.unwrap()
    }

    /// Polar trapezoid: fine enough for kinks between rings.
    fn by_trapezoid(target: &dyn Target, hi: f64) -> f64 {
        let n = 40_000;
        let h = hi / f64::from(n);
        let sum: f64 = (1..n)
            .map(|i| {
                let r = h * f64::from(i);
                TAU * r * h * eval(target, &[0.6 * r, -0.8 * r]).0.exp()
            })
            .sum();
        sum.ln()
    }

    #[test]
    fn mixture_form() {
        let target = rings();
        let row = Row(
            -4.224280753970,
            -4.843417033362,
            12.108542583406,
            7.265125550044,
            170.0754920532,
        );
        assert_row("rings", &target, &point(2), row, 1e-10);
        let x = array![[0.3, 1.0], [-1.2, -1.5], [2.0, 3.4], [0.0, -4.1]];
        assert_target("rings", &target, x.view());
        assert_exact_sampler("rings", &target, 40_000, 1);
        assert!(log_z(&target).abs() < 1e-11);
        assert_close("log Z", by_trapezoid(&target, 6.0), log_z(&target), 1e-8);
        let (estimate, se) = importance_log_z(&target, &[0.0; 2], &[2.6; 2], 200_000, 2);
        assert_z("rings", estimate, 0.0, se);
    }

    #[test]
    fn wide_rings_lose_mass_at_the_origin() {
        let target = Rings {
            radii: vec![0.5, 1.5],
            sd: 0.8,
        };
        assert_close("log Z", by_trapezoid(&target, 12.0), log_z(&target), 1e-3);
        assert!(log_z(&target) < -0.1);
        // The gradient has no mean here (a pole of 1/r at the origin), so draws are checked alone.
        let mut draws = ndarray::Array2::zeros((40_000, 2));
        with_cx(3, |cx| target.sample(cx, draws.view_mut())).unwrap();
        let truth = target.truth();
        let (mean, se) = mean_se(draws.rows().into_iter().map(|x| x[0].hypot(x[1])));
        assert_z("E r", mean, truth.expectations[0].value, se);
        let (square, se) = mean_se(draws.column(1).iter().map(|v| v * v));
        assert_z("E x1²", square, truth.variance.unwrap()[1], se);
    }

    #[test]
    fn minimum_form() {
        let target = rings_min();
        let row = Row(
            -10.683379821637,
            -24.278135270821,
            60.695338177052,
            36.417202906231,
            4273.351928655,
        );
        assert_row("rings-min", &target, &point(2), row, 1e-10);
        let x = array![[0.3, 1.0], [-1.2, -1.4], [2.0, 3.4], [0.0, -5.1]];
        assert_target("rings-min", &target, x.view());
        assert_exact_sampler("rings-min", &target, 40_000, 1);
        assert_close("log Z", log_z(&target), 2.3048814936762, 1e-12);
        assert_close("log Z", by_trapezoid(&target, 7.0), log_z(&target), 1e-7);
        let (estimate, se) = importance_log_z(&target, &[0.0; 2], &[3.2; 2], 400_000, 2);
        assert_z("rings-min", estimate, log_z(&target), se);
        // Rings that overlap: cells matter.
        let wide = RingsMin {
            radii: vec![0.4, 1.0, 3.0],
            steepness: 1.5,
        };
        assert_close("log Z", by_trapezoid(&wide, 8.0), log_z(&wide), 1e-7);
        assert_exact_sampler("rings-min, wide", &wide, 40_000, 2);
    }

    #[test]
    fn the_origin_is_harmless() {
        let (l, g) = eval(&rings(), &[0.0, 0.0]);
        assert_eq!((l, g), (f64::NEG_INFINITY, vec![0.0; 2]));
        let (l, g) = eval(&rings_min(), &[0.0, 0.0]);
        assert_eq!((l, g), (-100.0, vec![0.0; 2]));
    }

    #[test]
    fn mistakes_name_their_key() {
        let folder = Folder::default();
        let parts = Parts::new(&folder);
        let message = |radii: &[f64], sd| {
            let target = Rings {
                radii: radii.to_vec(),
                sd,
            }
            .build(&parts);
            target.err().unwrap().to_string()
        };
        assert!(message(&[], 0.1).contains("`radii` is empty"));
        assert!(message(&[2.0, 1.0], 0.1).contains("`radii[1]` is 1"));
        assert!(message(&[2.0], 0.0).contains("`sd` is 0"));
        let target = RingsMin {
            radii: vec![f64::NAN],
            steepness: 1.0,
        }
        .build(&parts);
        assert!(
            target
                .err()
                .unwrap()
                .to_string()
                .contains("`radii[0]` is NaN")
        );
        let target = RingsMin {
            radii: vec![1.0],
            steepness: -1.0,
        }
        .build(&parts);
        assert!(
            target
                .err()
                .unwrap()
                .to_string()
                .contains("`steepness` is -1")
        );
    }
}
