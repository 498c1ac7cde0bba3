//! Wells: quartic double wells and products of them.
//!
//! | kind | log ρ(x) | source |
//! | --- | --- | --- |
//! | `double-well` | −((x − c)² − δ)² | folklore |
//! | `multi-well` | −Σ_{i<m} (xᵢ² − δ)² − ½ Σ_{i≥m} xᵢ² | Richter & Berner 2024, arXiv:2307.01198 |
//! | `many-well` | Σ_{pairs} ½ x₁ + 6 x₁² − x₁⁴ − ½ x₂² | Midgley et al. 2023, arXiv:2208.01893 |
//!
//! All are products of normals and of one law on the line, exp(−(x² − δ)² + τ x), whose Z and moments
//! are one-dimensional quadratures: ½ x + 6 x² − x⁴ = 9 − (x² − 3)² + ½ x. A weight ½ on the normal
//! coordinates is not universal: some texts have −Σ xᵢ².

use crate::draw::each_draw;
use crate::point::each_row;
use crate::quadrature::integrate;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use rand_distr::{Distribution, Open01, StandardNormal};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, Exact, ExactSampler, Expectation, Result, Stream, Target, Truth, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Settings, as written under `[target]` with `kind = "double-well"`: one coordinate.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DoubleWell {
    /// Middle c between the wells, any finite number; 0 by default.
    #[serde(default)]
    pub shift: f64,
    /// δ, −100 to 10⁴; 2 by default. The wells are at c ± √δ, the barrier is δ² high; there is one
    /// well if δ ≤ 0.
    #[serde(default = "DoubleWell::delta")]
    #[schemars(range(min = -100, max = 10_000))]
    pub delta: f64,
}

/// Settings, as written under `[target]` with `kind = "multi-well"`: m double wells and d − m
/// standard normals, 2ᵐ modes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MultiWell {
    /// Dimension d, 1 to 10⁶; 5 by default.
    #[serde(default = "MultiWell::five")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub dim: usize,
    /// Coordinates m that have a double well, 0 to d; 5 by default. They come first.
    #[serde(default = "MultiWell::five")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub wells: usize,
    /// δ, −100 to 10⁴; 4 by default. The wells are at ±√δ, the barriers are δ² high.
    #[serde(default = "MultiWell::delta")]
    #[schemars(range(min = -100, max = 10_000))]
    pub delta: f64,
}

/// Settings, as written under `[target]` with `kind = "many-well"`: d/2 pairs of a lopsided double
/// well and a standard normal, 2^{d/2} modes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManyWell {
    /// Dimension d, even, 2 to 10⁶; 32 by default.
    #[serde(default = "ManyWell::dim")]
    #[schemars(range(min = 2, max = 1_000_000), extend("multipleOf" = 2))]
    pub dim: usize,
}

impl DoubleWell {
    fn delta() -> f64 {
        2.0
    }
}

impl MultiWell {
    fn five() -> usize {
        5
    }

    fn delta() -> f64 {
        4.0
    }
}

impl ManyWell {
    fn dim() -> usize {
        32
    }
}

fn check_delta(component: &str, delta: f64) -> Result {
    if (-100.0..=1e4).contains(&delta) {
        return Ok(());
    }
    Err(Error::setting(component, "delta", delta, "-100 to 10000"))
}

impl Build<dyn Target> for DoubleWell {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        check_delta("target double-well", self.delta)?;
        if !self.shift.is_finite() {
            return Err(Error::setting(
                "target double-well",
                "shift",
                self.shift,
                "finite",
            ));
        }
        let well = Well::new(self.delta, 0.0);
        Ok(Arc::new(Wells {
            shift: self.shift,
            ..Wells::of(well, 1, |_| true)
        }))
    }
}

impl Build<dyn Target> for MultiWell {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let (d, m) = (self.dim, self.wells);
        check_delta("target multi-well", self.delta)?;
        if !(1..=1_000_000).contains(&d) {
            return Err(Error::setting(
                "target multi-well",
                "dim",
                d,
                "1 to 1000000",
            ));
        }
        if m > d {
            let allowed = format!("at most {d} (the dimension)");
            return Err(Error::setting("target multi-well", "wells", m, allowed));
        }
        Ok(Arc::new(Wells::of(Well::new(self.delta, 0.0), d, |i| {
            i < m
        })))
    }
}

impl Build<dyn Target> for ManyWell {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let d = self.dim;
        if !(2..=1_000_000).contains(&d) || !d.is_multiple_of(2) {
            return Err(Error::setting(
                "target many-well",
                "dim",
                d,
                "even, 2 to 1000000",
            ));
        }
        let wells = Wells::of(Well::new(3.0, 0.5), d, |i| i % 2 == 0);
        Ok(Arc::new(wells.with_offset(9.0)))
    }
}

/// The law exp(−(x² − δ)² + τ x) / Z on the line.
#[derive(Debug, Clone)]
struct Well {
    delta: f64,
    tilt: f64,
    log_z: f64,
    mean: f64,
    /// E x².
    square: f64,
    /// E |x|.
    absolute: f64,
    /// P(x > 0).
    positive: f64,
}

impl Well {
    fn new(delta: f64, tilt: f64) -> Self {
        // Where the density is largest, so that nothing underflows; beyond the last node the
        // density is below e⁻⁷⁰⁰ of that.
        let peak = delta.max(0.0).sqrt();
        let top = -(peak * peak - delta).powi(2);
        let reach = peak + 6.0;
        // A panel is half as wide as the narrowest well, of standard deviation 1/√(8δ).
        let panels = (2.0 * reach * (8.0 * delta.max(0.0) + 8.0).sqrt()).ceil() as usize;
        // ∫ xᵖ ρ over x > 0 and ∫ |x|ᵖ ρ over x < 0.
        let side = |sign: f64, p: i32| {
            integrate(0.0, reach, panels, |x| {
                x.powi(p) * (-(x * x - delta).powi(2) - top + sign * tilt * x).exp()
            })
        };
        let [right, left] = [1.0, -1.0].map(|sign| [0, 1, 2].map(|p| side(sign, p)));
        let z = right[0] + left[0];
        Self {
            delta,
            tilt,
            log_z: z.ln() + top,
            mean: (right[1] - left[1]) / z,
            square: (right[2] + left[2]) / z,
            absolute: (right[1] + left[1]) / z,
            positive: right[0] / z,
        }
    }

    /// Log density and its derivative.
    #[inline]
    fn eval(&self, x: f64) -> (f64, f64) {
        let e = x * x - self.delta;
        (self.tilt * x - e * e, self.tilt - 4.0 * x * e)
    }

    /// A draw by rejection.
    fn draw(&self, rng: &mut Stream) -> f64 {
        let (delta, tilt) = (self.delta, self.tilt);
        let root = delta.max(0.0).sqrt();
        loop {
            let z: f64 = StandardNormal.sample(rng);
            let accept: f64 = Open01.sample(rng);
            let (x, excess) = if delta < 1.0 {
                // −(x² − δ)² = c² − δ² − 2(c − δ) x² − (x² − c)² for every c: a normal is left. This c
                // takes the fewest draws.
                let c = 0.5 * (delta + (delta * delta + 1.0).sqrt());
                let variance = 0.25 / (c - delta);
                let x = tilt * variance + variance.sqrt() * z;
                (x, (x * x - c).powi(2))
            } else {
                // −(x² − δ)² = −δ u² − u² ((|x| + √δ)² − δ), u = |x| − √δ: a normal at each well, and
                // the tilt moves it and weighs the sides.
                let side: f64 = Open01.sample(rng);
                let odds = (-2.0 * tilt * root).exp();
                let sign = if side * (1.0 + odds) < 1.0 { 1.0 } else { -1.0 };
                let u = 0.5 * sign * tilt / delta + z / (2.0 * delta).sqrt();
                let x = sign * (root + u);
                if sign * x <= 0.0 {
                    continue;
                }
                (x, u * u * ((x.abs() + root).powi(2) - delta))
            };
            if accept < (-excess).exp() {
                return x;
            }
        }
    }
}

/// Independent coordinates, each a [`Well`] or a standard normal.
struct Wells {
    well: Well,
    shift: f64,
    offset: f64,
    is_well: Vec<bool>,
}

impl Wells {
    fn of(well: Well, dim: usize, is_well: impl Fn(usize) -> bool) -> Self {
        Self {
            well,
            shift: 0.0,
            offset: 0.0,
            is_well: (0..dim).map(is_well).collect(),
        }
    }

    /// Adds `offset` to the log density for each well.
    fn with_offset(self, offset: f64) -> Self {
        Self {
            offset: offset * self.wells(),
            ..self
        }
    }

    fn wells(&self) -> f64 {
        self.is_well.iter().filter(|w| **w).count() as f64
    }
}

impl Target for Wells {
    fn dim(&self) -> usize {
        self.is_well.len()
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        each_row(x, log_density, gradient, |x, mut g| {
            let mut l = self.offset;
            for (i, (x, is_well)) in x.iter().zip(&self.is_well).enumerate() {
                let x = x - self.shift;
                let (value, slope) = if *is_well {
                    self.well.eval(x)
                } else {
                    (-0.5 * x * x, -x)
                };
                l += value;
                if let Some(g) = &mut g {
                    g[i] = slope;
                }
            }
            // Far out the quartic overflows before its derivative does, or after: no mass either way.
            if let Some(g) = g
                && l == f64::NEG_INFINITY
            {
                g.fill(0.0);
            }
            l
        });
        Ok(())
    }

    fn exact(&self) -> Option<&dyn Exact> {
        Some(self)
    }
}

impl Exact for Wells {
    fn truth(&self) -> Truth {
        let (well, wells, shift) = (&self.well, self.wells(), self.shift);
        let normals = self.dim() as f64 - wells;
        let of = |in_well: f64, in_normal: f64| {
            self.is_well
                .iter()
                .map(|w| if *w { in_well } else { in_normal })
                .collect()
        };
        let mut expectations = Vec::new();
        if self.is_well.first() == Some(&true) {
            let name = |of: &str| match shift {
                0.0 => of.replace('c', "x0"),
                _ => of.replace('c', "(x0 − shift)"),
            };
            expectations = vec![
                Expectation::new(name("E c²"), well.square, move |x| (x[0] - shift).powi(2)),
                Expectation::new(name("E |c|"), well.absolute, move |x| (x[0] - shift).abs()),
                Expectation::new(name("P(c > 0)"), well.positive, move |x| {
                    f64::from(u8::from(x[0] > shift))
                }),
            ];
        }
        Truth {
            log_z: Some(self.offset + wells * well.log_z + 0.5 * normals * TAU.ln()),
            mean: Some(of(shift + well.mean, 0.0)),
            variance: Some(of(well.square - well.mean.powi(2), 1.0)),
            expectations,
            source: "one-dimensional quadrature".into(),
            ..Truth::default()
        }
    }

    fn sampler(&self) -> Option<&dyn ExactSampler> {
        Some(self)
    }
}

impl ExactSampler for Wells {
    fn sample(&self, cx: &mut Cx<'_>, out: ArrayViewMut2<'_, f64>) -> Result {
        each_draw(cx, self.dim(), out, |rng, x| {
            for (x, is_well) in x.iter_mut().zip(&self.is_well) {
                *x = if *is_well {
                    self.shift + self.well.draw(rng)
                } else {
                    StandardNormal.sample(rng)
                };
            }
        })
    }
}

register! {
    target "double-well" => DoubleWell, needs NOTHING,
        summary "Double well on the line",
        source "closed form";
    target "multi-well" => MultiWell, needs NOTHING,
        summary "Product of symmetric double wells and normals",
        source "Richter & Berner 2024, arXiv:2307.01198";
    target "many-well" => ManyWell, needs NOTHING,
        summary "Product of lopsided double wells and normals",
        source "Midgley, Stimper, Simm, Schölkopf & Hernández-Lobato 2023, arXiv:2208.01893";
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use retrograde_core::registry::Folder;
    use retrograde_testkit::*;

    fn build(settings: impl Build<dyn Target>) -> Result<Arc<dyn Target>> {
        settings.build(&Parts::new(&Folder::default()))
    }

    fn check(what: &str, target: &dyn Target, row: Row, n: usize) {
        let d = target.dim();
        assert_row(what, target, &point(d), row, 1e-10);
        let x = Array2::from_shape_fn((5, d), |(i, j)| (i as f64 - 1.5) * point(d)[j]);
        assert_target(what, target, x.view());
        assert_exact_sampler(what, target, n, 1);
    }

    fn log_z(target: &dyn Target) -> f64 {
        target.exact().unwrap().truth().log_z.unwrap()
    }

    /// Trapezoid: exponentially accurate, and not the rule of the library.
    fn by_trapezoid(rho: impl Fn(f64) -> f64) -> [f64; 4] {
        let h = 1e-3;
        let mut sums = [0.0; 4];
        for x in (-8000..=8000).map(|i| h * f64::from(i)) {
            let p = h * rho(x);
            let half = if x == 0.0 { 0.5 } else { 1.0 };
            sums[0] += p;
            sums[1] += p * x * x;
            sums[2] += p * x.abs();
            sums[3] += if x >= 0.0 { half * p } else { 0.0 };
        }
        sums
    }

    #[test]
    fn one_well() {
        for (delta, z, square, absolute) in [
            (2.0, 1.340445118333, 1.835341721490, 1.319194864475),
            (3.0, 1.048247649451, 2.907059335985, 1.690854517671),
            (4.0, 0.897438124932, 3.934104642334, 1.975015087949),
        ] {
            let well = Well::new(delta, 0.0);
            assert_close("Z", well.log_z.exp(), z, 1e-11);
            assert_close("E x²", well.square, square, 1e-11);
            assert_close("E |x|", well.absolute, absolute, 1e-11);
        }
        for (delta, tilt) in [
            (2.0, 0.0),
            (3.0, 0.5),
            (0.0, 0.0),
            (-1.5, 0.0),
            (0.6, -0.8),
            (25.0, 0.0),
        ] {
            let well = Well::new(delta, tilt);
            let sums = by_trapezoid(|x| (tilt * x - (x * x - delta).powi(2)).exp());
            assert_close("log Z", well.log_z, sums[0].ln(), 1e-12);
            assert_close("E x²", well.square, sums[1] / sums[0], 1e-12);
            // These two have a kink or a jump at 0, so the trapezoid is good to h² only.
            assert_close("E |x|", well.absolute, sums[2] / sums[0], 1e-6);
            assert_close("P(x > 0)", well.positive, sums[3] / sums[0], 1e-6);
            let target = Wells::of(well, 1, |_| true);
            assert_exact_sampler("well", &target, 20_000, 4);
        }
        // Of the limits: a Gaussian of variance 1/(8δ) at each side, of variance 1/(4|δ|).
        let steep = Well::new(1e4, 0.0);
        let gauss = 2.0 * (TAU / 8e4).sqrt();
        assert_close("log Z", steep.log_z, gauss.ln(), 1e-4);
        let single = Well::new(-100.0, 0.0);
        assert_close("E x²", single.square * 400.0, 1.0, 1e-3);
    }

    #[test]
    fn double_well() {
        let target = build(DoubleWell {
            shift: 1.5,
            delta: DoubleWell::delta(),
        })
        .unwrap();
        let row = Row(-1.128906250000, 7.4375, 7.4375, 7.4375, 55.31640625);
        check("double-well", &*target, row, 40_000);
        assert_close("log Z", log_z(&*target), 0.293001736664, 1e-11);
        let (estimate, se) = importance_log_z(&*target, &[1.5], &[1.8], 100_000, 2);
        assert_z("double-well", estimate, log_z(&*target), se);
    }

    #[test]
    fn multi_well() {
        let of = |dim, wells, delta| build(MultiWell { dim, wells, delta }).unwrap();
        let target = of(5, 5, 4.0);
        let row = Row(-73.364013671875, -3.9375, 7.5, 8.7890625, 190.6583862305);
        check("multi-well", &*target, row, 30_000);
        assert_close("log Z", log_z(&*target), -0.541055512879, 1e-11);
        assert_close("log Z", log_z(&*of(10, 5, 3.0)), 4.830291989579, 1e-11);
        let target = of(50, 5, 2.0);
        let row = Row(-20.239013671875, -1.9375, 0.0, 3.7890625, 47.83026123047);
        check("multi-well in 50", &*target, row, 10_000);
        assert_close("log Z", log_z(&*target), 42.817242677531, 1e-11);
        // With three wells importance sampling still works.
        let target = of(5, 3, 2.0);
        let sd = [1.7, 1.7, 1.7, 1.1, 1.1];
        let (estimate, se) = importance_log_z(&*target, &[0.0; 5], &sd, 200_000, 2);
        assert_z("multi-well", estimate, log_z(&*target), se);
        assert_exact_sampler("no well", &*of(2, 0, 2.0), 10_000, 2);
    }

    #[test]
    fn many_well() {
        let of = |dim| build(ManyWell { dim }).unwrap();
        let target = of(2);
        let row = Row(0.050781250000, -2.4375, -0.625, -3.0625, 6.33203125);
        check("many-well", &*target, row, 40_000);
        assert_close("log Z", log_z(&*target), 10.293479707074, 1e-11);
        let (estimate, se) = importance_log_z(&*target, &[0.6, 0.0], &[1.9, 1.2], 100_000, 2);
        assert_z("many-well", estimate, log_z(&*target), se);
        let target = of(ManyWell::dim());
        let row = Row(11.751953125000, -2.4375, 0.625, 5.0625, 281.5395507812);
        check("many-well in 32", &*target, row, 10_000);
        assert_close("log Z", log_z(&*target), 164.695675313182, 1e-11);
        let truth = target.exact().unwrap().truth();
        assert_close(
            "P(x0 > 0)",
            truth.expectations[2].value,
            0.844307096211,
            1e-11,
        );
    }

    #[test]
    fn mistakes_name_their_key() {
        let message = |t: Result<Arc<dyn Target>>| t.err().unwrap().to_string();
        let nan = f64::NAN;
        assert!(
            message(build(DoubleWell {
                shift: nan,
                delta: 2.0
            }))
            .contains("`shift` is NaN")
        );
        assert!(
            message(build(DoubleWell {
                shift: 0.0,
                delta: nan
            }))
            .contains("`delta` is NaN")
        );
        let many = MultiWell {
            dim: 3,
            wells: 4,
            delta: 2.0,
        };
        assert!(message(build(many)).contains("`wells` is 4"));
        let none = MultiWell {
            dim: 0,
            wells: 0,
            delta: 2.0,
        };
        assert!(message(build(none)).contains("`dim` is 0"));
        assert!(message(build(ManyWell { dim: 5 })).contains("`dim` is 5"));
    }
}
