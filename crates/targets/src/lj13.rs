//! Lennard-Jones cluster held together by a weak oscillator; LJ-13 is thirteen particles in space.
//!
//! Source: Köhler, Klein & Noé (2020), arXiv:2006.02425, §6.
//!
//! ```text
//! log ρ(x) = −Σ_{i<j} (ε/τ)(s⁶ − 2s³) − (k/2) Σᵢ ‖xᵢ − x̄‖²,   s = (r_m/‖xᵢ − xⱼ‖)²
//! ```
//!
//! Each pair counts once; the oscillator is not divided by τ. The lowest energy of thirteen is the
//! icosahedron. Coincident particles have density 0 and gradient 0. No log Z in closed form.

use crate::particles::{CentreOfMass, Pair, Particles};
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Error, Result, Target, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "target lj13";

/// Settings, as written under `[target]` with `kind = "lj13"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lj13 {
    /// Particles n, 2 to 1000.
    #[serde(default = "thirteen")]
    #[schemars(range(min = 2, max = 1000))]
    pub particles: usize,
    /// Dimension D of the space they live in: 1, 2 or 3.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 3))]
    pub space: usize,
    /// Depth ε of the well of a pair, > 0.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub depth: f64,
    /// Distance r_m of a pair at the bottom of its well, > 0.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub distance: f64,
    /// Temperature τ, > 0.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub temperature: f64,
    /// Strength k of the oscillator about the centre of mass, > 0.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub oscillator: f64,
    /// `removed`: n·D − D coordinates, the positions are outputs. `free`: all n·D coordinates, not
    /// normalisable.
    #[serde(default)]
    pub centre_of_mass: CentreOfMass,
}

fn thirteen() -> usize {
    13
}
fn three() -> usize {
    3
}
fn one() -> f64 {
    1.0
}

impl Default for Lj13 {
    fn default() -> Self {
        Self {
            particles: thirteen(),
            space: three(),
            depth: one(),
            distance: one(),
            temperature: one(),
            oscillator: one(),
            centre_of_mass: CentreOfMass::default(),
        }
    }
}

impl Build<dyn Target> for Lj13 {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        for (key, value) in [
            ("depth", self.depth),
            ("distance", self.distance),
            ("temperature", self.temperature),
            ("oscillator", self.oscillator),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::setting(NAME, key, value, "> 0"));
            }
        }
        let pair = LennardJones {
            depth: self.depth / self.temperature,
            square: self.distance * self.distance,
        };
        let size = (self.particles, self.space);
        let system = Particles::new(NAME, size, self.centre_of_mass, pair, self.oscillator)?;
        Ok(Arc::new(system))
    }
}

#[derive(Clone)]
struct LennardJones {
    /// ε/τ.
    depth: f64,
    /// r_m².
    square: f64,
}

impl Pair for LennardJones {
    fn energy(&self, square: f64) -> (f64, f64) {
        let s = self.square / square;
        let cube = s * s * s;
        // As products: s⁶ − 2s³ would be ∞ − ∞ for coincident particles.
        (
            self.depth * cube * (cube - 2.0),
            12.0 * self.depth * cube * (cube - 1.0),
        )
    }
}

register! {
    target "lj13" => Lj13, needs NOTHING,
        summary "LJ-13: a Lennard-Jones cluster of thirteen particles",
        source "Köhler, Klein & Noé (2020), arXiv:2006.02425, §6";
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use retrograde_core::registry::Folder;
    use retrograde_testkit::*;

    fn build(settings: Lj13) -> Result<Arc<dyn Target>> {
        settings.build(&Parts::new(&Folder::default()))
    }

    /// The centre and the twelve vertices of an icosahedron of circumradius 1.
    fn icosahedron() -> Vec<f64> {
        let phi = 0.5 * (1.0 + 5f64.sqrt());
        let signs = [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)];
        let mut x = vec![0.0; 3];
        for (s, t) in signs {
            x.extend([s, t * phi, 0.0]);
        }
        for (s, t) in signs {
            x.extend([0.0, s, t * phi]);
        }
        for (s, t) in signs {
            x.extend([t * phi, 0.0, s]);
        }
        x.iter().map(|v| v / 1.902113032590307).collect()
    }

    fn free(particles: usize) -> Arc<dyn Target> {
        build(Lj13 {
            particles,
            centre_of_mass: CentreOfMass::Free,
            ..Lj13::default()
        })
        .expect("good settings")
    }

    #[test]
    fn values_and_gradients() {
        let row = Row(36.581542968750, 0.0, 4.232289475346, 0.0, 777.6866025925);
        assert_row("lj13", &*free(13), &icosahedron(), row, 1e-10);
        // Other sizes of cluster, a little out of shape; and the reduced coordinates.
        let x = icosahedron();
        let points = Array2::from_shape_fn((4, 39), |(i, j)| {
            x[j] * (1.0 + 0.05 * i as f64) + 0.06 * point(39)[j]
        });
        assert_target("lj13", &*free(13), points.view());
        let target = build(Lj13::default()).expect("good settings");
        let (d, c) = (target.dim(), |k: usize| ((k * (k + 1)) as f64).sqrt());
        assert_eq!(d, 36);
        let reduced = Array2::from_shape_fn((4, d), |(i, j)| {
            let (k, axis) = (j / 3 + 1, j % 3);
            let before: f64 = (0..k).map(|m| points[(i, 3 * m + axis)]).sum();
            (before - k as f64 * points[(i, 3 * k + axis)]) / c(k)
        });
        assert_target("lj13, reduced", &*target, reduced.view());
        for i in 0..4 {
            let value = eval(&*target, &reduced.row(i).to_vec()).0;
            let want = eval(&*free(13), &points.row(i).to_vec()).0;
            assert_close("the same density", value, want, 1e-12);
        }
    }

    #[test]
    fn two_particles() {
        // At distance r: energy r⁻¹² − 2r⁻⁶ and oscillator r²/4.
        let two = free(2);
        for r in [0.8f64, 1.0, 1.7] {
            let (value, gradient) = eval(&*two, &[0.0, 0.0, 0.0, 0.0, r, 0.0]);
            let want = -(r.powi(-12) - 2.0 * r.powi(-6)) - 0.25 * r * r;
            assert_close("two", value, want, 1e-13);
            let slope = 12.0 * (r.powi(-13) - r.powi(-7)) - 0.5 * r;
            assert_close("force", gradient[4], slope, 1e-13);
        }
    }

    #[test]
    fn coincident_particles_have_no_mass() {
        let three = free(3);
        for r in [0.0, 1e-300, 1e-30, 1e-14, 1e-9] {
            let (value, gradient) = eval(&*three, &[0.0, 0.0, 0.0, r, 0.0, 0.0, 0.0, 1.0, 0.0]);
            assert!(
                value == f64::NEG_INFINITY || value < -1e50,
                "{value} at {r}"
            );
            assert!(
                gradient.iter().all(|g| g.is_finite()),
                "{gradient:?} at {r}"
            );
        }
    }

    #[test]
    fn settings_are_checked() {
        let good = Lj13::default();
        for (bad, says) in [
            (
                Lj13 {
                    particles: 0,
                    ..good.clone()
                },
                "`particles` is 0, but must be 2 to 1000",
            ),
            (
                Lj13 {
                    space: 0,
                    ..good.clone()
                },
                "`space` is 0",
            ),
            (
                Lj13 {
                    depth: 0.0,
                    ..good.clone()
                },
                "`depth` is 0, but must be > 0",
            ),
            (
                Lj13 {
                    distance: -1.0,
                    ..good.clone()
                },
                "`distance` is -1",
            ),
            (
                Lj13 {
                    temperature: f64::NAN,
                    ..good.clone()
                },
                "`temperature` is NaN",
            ),
            (
                Lj13 {
                    oscillator: f64::INFINITY,
                    ..good
                },
                "`oscillator` is inf",
            ),
        ] {
            let error = build(bad).err().expect(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
