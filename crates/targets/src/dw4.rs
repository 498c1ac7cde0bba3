//! Particles whose distances have a double well; DW-4 is four of them in the plane.
//!
//! Source: Köhler, Klein & Noé (2020), arXiv:2006.02425, §6.
//!
//! ```text
//! log ρ(x) = −(1/2τ) Σ_{i<j} [a t + b t² + c t⁴],   t = ‖xᵢ − xⱼ‖ − d₀
//! ```
//!
//! Each pair counts once. Codes that sum over i ≠ j with the same 1/2τ have twice this energy: set
//! `temperature = 0.5` for it. No log Z in closed form.

use crate::particles::{CentreOfMass, Pair, Particles};
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Error, Result, Target, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "target dw4";

/// Settings, as written under `[target]` with `kind = "dw4"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dw4 {
    /// Particles n, 2 to 1000.
    #[serde(default = "four")]
    #[schemars(range(min = 2, max = 1000))]
    pub particles: usize,
    /// Dimension D of the space they live in: 1, 2 or 3.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 3))]
    pub space: usize,
    /// Coefficient a of t.
    #[serde(default)]
    pub linear: f64,
    /// Coefficient b of t².
    #[serde(default = "default_quadratic")]
    pub quadratic: f64,
    /// Coefficient c of t⁴, > 0.
    #[serde(default = "default_quartic")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub quartic: f64,
    /// Distance d₀ at which t = 0, ≥ 0.
    #[serde(default = "default_distance")]
    #[schemars(range(min = 0.0))]
    pub distance: f64,
    /// Temperature τ, > 0.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub temperature: f64,
    /// `removed`: n·D − D coordinates, the positions are outputs. `free`: all n·D coordinates, not
    /// normalisable.
    #[serde(default)]
    pub centre_of_mass: CentreOfMass,
}

fn four() -> usize {
    4
}
fn two() -> usize {
    2
}
fn default_quadratic() -> f64 {
    -4.0
}
fn default_quartic() -> f64 {
    0.9
}
fn default_distance() -> f64 {
    4.0
}
fn one() -> f64 {
    1.0
}

impl Default for Dw4 {
    fn default() -> Self {
        Self {
            particles: four(),
            space: two(),
            linear: 0.0,
            quadratic: default_quadratic(),
            quartic: default_quartic(),
            distance: default_distance(),
            temperature: one(),
            centre_of_mass: CentreOfMass::default(),
        }
    }
}

impl Build<dyn Target> for Dw4 {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        for (key, value) in [("linear", self.linear), ("quadratic", self.quadratic)] {
            if !value.is_finite() {
                return Err(Error::setting(NAME, key, value, "finite"));
            }
        }
        for (key, value) in [("quartic", self.quartic), ("temperature", self.temperature)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::setting(NAME, key, value, "> 0"));
            }
        }
        if !(self.distance >= 0.0 && self.distance.is_finite()) {
            return Err(Error::setting(NAME, "distance", self.distance, "≥ 0"));
        }
        let scale = 0.5 / self.temperature;
        let pair = DoubleWell {
            linear: scale * self.linear,
            quadratic: scale * self.quadratic,
            quartic: scale * self.quartic,
            distance: self.distance,
        };
        let size = (self.particles, self.space);
        let system = Particles::new(NAME, size, self.centre_of_mass, pair, 0.0)?;
        Ok(Arc::new(system))
    }
}

#[derive(Clone)]
struct DoubleWell {
    linear: f64,
    quadratic: f64,
    quartic: f64,
    distance: f64,
}

impl Pair for DoubleWell {
    fn energy(&self, square: f64) -> (f64, f64) {
        let r = square.sqrt();
        let t = r - self.distance;
        let u = t * (self.linear + t * (self.quadratic + t * t * self.quartic));
        let slope = self.linear + t * (2.0 * self.quadratic + 4.0 * t * t * self.quartic);
        (u, -slope * r)
    }
}

register! {
    target "dw4" => Dw4, needs NOTHING,
        summary "DW-4: four particles in the plane with double-well distances",
        source "Köhler, Klein & Noé (2020), arXiv:2006.02425, §6";
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use retrograde_core::registry::Folder;
    use retrograde_testkit::*;

    fn build(settings: Dw4) -> Result<Arc<dyn Target>> {
        settings.build(&Parts::new(&Folder::default()))
    }

    #[test]
    fn values_and_gradients() {
        let free = Dw4 {
            centre_of_mass: CentreOfMass::Free,
            ..Dw4::default()
        };
        let x: Vec<f64> = point(8).iter().map(|v| 4.0 * v).collect();
        let row = Row(
            -4.965136167254,
            14.613059125817,
            -14.613059125817,
            0.0,
            950.7220063900,
        );
        assert_row("dw4", &*build(free.clone()).expect("good"), &x, row, 1e-10);
        // Both orders of each pair: twice the energy.
        let both = build(Dw4 {
            temperature: 0.5,
            ..free.clone()
        });
        assert_close(
            "i ≠ j",
            eval(&*both.expect("good"), &x).0,
            -9.930272334508,
            1e-10,
        );
        let target = build(Dw4::default()).expect("good settings");
        assert_eq!(target.dim(), 6);
        let points = Array2::from_shape_fn((4, 6), |(i, j)| (i as f64 + 1.0) * point(6)[j]);
        assert_target("dw4", &*target, points.view());
        // Coincident particles: a finite density, and no direction to go.
        let (value, gradient) = eval(&*build(free).expect("good"), &[1.0; 8]);
        assert!(value.is_finite() && gradient == [0.0; 8]);
    }

    #[test]
    fn settings_are_checked() {
        let good = Dw4::default();
        for (bad, says) in [
            (
                Dw4 {
                    particles: 1,
                    ..good.clone()
                },
                "`particles` is 1",
            ),
            (
                Dw4 {
                    space: 4,
                    ..good.clone()
                },
                "`space` is 4, but must be 1, 2 or 3",
            ),
            (
                Dw4 {
                    linear: f64::NAN,
                    ..good.clone()
                },
                "`linear` is NaN",
            ),
            (
                Dw4 {
                    quartic: 0.0,
                    ..good.clone()
                },
                "`quartic` is 0, but must be > 0",
            ),
            (
                Dw4 {
                    temperature: -1.0,
                    ..good.clone()
                },
                "`temperature` is -1",
            ),
            (
                Dw4 {
                    distance: -1.0,
                    ..good
                },
                "`distance` is -1",
            ),
        ] {
            let error = build(bad).err().expect(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
