//! φ⁴ field on a periodic two-dimensional lattice.
//!
//! Source: Albergo, Kanwar & Shanahan (2019), arXiv:1904.12072, for the lattice action.
//!
//! ```text
//! log ρ(φ) = −Σₓ [ Σ_μ (2φₓ² − φₓ φₓ₊μ − φₓ φₓ₋μ) + m² φₓ² + λ φₓ⁴ ]
//! ∂ₓ log ρ = −[ 8φₓ − 2 Σ_nbr φ + 2m² φₓ + 4λ φₓ³ ]
//! ```
//!
//! The field is stored row by row; its dimension is L². Sign symmetry gives E φ = 0. For λ = 0 it is
//! Gaussian: independent Fourier modes of variance 1 / 2(k̂² + m²), k̂² = Σ_μ (2 − 2 cos k_μ).

use crate::point::each_row;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, Exact, Expectation, Outputs, Result, Target, Truth, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};
use std::sync::Arc;

const NAME: &str = "target phi4-lattice";

/// Settings, as written under `[target]` with `kind = "phi4-lattice"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phi4Lattice {
    /// Sites along each side, L; the dimension is L². 1 to 1000.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 1000))]
    pub side: usize,
    /// Mass squared m²; may be negative if λ > 0.
    #[serde(default = "default_mass_squared")]
    pub mass_squared: f64,
    /// Coupling λ, ≥ 0.
    #[serde(default = "default_coupling")]
    #[schemars(range(min = 0.0))]
    pub coupling: f64,
}

fn eight() -> usize {
    8
}
fn default_mass_squared() -> f64 {
    -4.0
}
fn default_coupling() -> f64 {
    8.0
}

impl Default for Phi4Lattice {
    fn default() -> Self {
        Self {
            side: eight(),
            mass_squared: default_mass_squared(),
            coupling: default_coupling(),
        }
    }
}

impl Build<dyn Target> for Phi4Lattice {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        if !(1..=1000).contains(&self.side) {
            return Err(Error::setting(NAME, "side", self.side, "1 to 1000"));
        }
        if !(self.coupling >= 0.0 && self.coupling.is_finite()) {
            return Err(Error::setting(NAME, "coupling", self.coupling, "≥ 0"));
        }
        if !self.mass_squared.is_finite() || (self.coupling == 0.0 && self.mass_squared <= 0.0) {
            let allowed = "finite, and > 0 where `coupling` is 0";
            return Err(Error::setting(
                NAME,
                "mass_squared",
                self.mass_squared,
                allowed,
            ));
        }
        Ok(Arc::new(self))
    }
}

impl Target for Phi4Lattice {
    fn dim(&self) -> usize {
        self.side * self.side
    }

    fn coordinate(&self, i: usize) -> String {
        format!("phi{}_{}", i / self.side, i % self.side)
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let (side, mass, coupling) = (self.side, self.mass_squared, self.coupling);
        each_row(x, log_density, gradient, |x, mut g| {
            let mut action = 0.0;
            for row in 0..side {
                let up = (row + side - 1) % side * side;
                let down = (row + 1) % side * side;
                for column in 0..side {
                    let here = row * side + column;
                    let left = row * side + (column + side - 1) % side;
                    let right = row * side + (column + 1) % side;
                    let phi = x[here];
                    let neighbours = x[up + column] + x[down + column] + x[left] + x[right];
                    let square = phi * phi;
                    action += (4.0 + mass) * square - phi * neighbours + coupling * square * square;
                    if let Some(g) = &mut g {
                        let own = 8.0 + 2.0 * mass + 4.0 * coupling * square;
                        g[here] = 2.0 * neighbours - own * phi;
                    }
                }
            }
            -action
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

/// The magnetisation, mean of φ over the lattice.
impl Outputs for Phi4Lattice {
    fn count(&self) -> usize {
        1
    }

    fn name(&self, _i: usize) -> String {
        "magnetisation".into()
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        for (mut out, x) in out.rows_mut().into_iter().zip(x.rows()) {
            out[0] = x.sum() / x.len() as f64;
        }
        Ok(())
    }
}

impl Exact for Phi4Lattice {
    fn truth(&self) -> Truth {
        let d = self.dim();
        let mut truth = Truth {
            mean: Some(vec![0.0; d]),
            expectations: vec![Expectation::new("E magnetisation", 0.0, |x| {
                x.iter().sum::<f64>() / x.len() as f64
            })],
            source: "sign symmetry".into(),
            ..Truth::default()
        };
        if self.coupling == 0.0 {
            let wave = |k: usize| 2.0 - 2.0 * (TAU * k as f64 / self.side as f64).cos();
            let modes = (0..d).map(|i| wave(i / self.side) + wave(i % self.side));
            let (mut log_z, mut variance) = (0.0, 0.0);
            for stiffness in modes.map(|k| k + self.mass_squared) {
                log_z += 0.5 * (PI / stiffness).ln();
                variance += 0.5 / stiffness / d as f64;
            }
            truth.log_z = Some(log_z);
            truth.variance = Some(vec![variance; d]);
            truth.source = "free field, closed form".into();
        }
        truth
    }
}

register! {
    target "phi4-lattice" => Phi4Lattice, needs NOTHING,
        summary "φ⁴ field on a periodic two-dimensional lattice",
        source "Albergo, Kanwar & Shanahan (2019), arXiv:1904.12072";
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use retrograde_core::registry::Folder;
    use retrograde_testkit::*;

    fn lattice(side: usize, mass_squared: f64, coupling: f64) -> Result<Arc<dyn Target>> {
        Phi4Lattice {
            side,
            mass_squared,
            coupling,
        }
        .build(&Parts::new(&Folder::default()))
    }

    #[test]
    fn values_and_gradients() {
        let target = lattice(8, -4.0, 8.0).expect("good settings");
        let row = Row(-22.193359375, 3.5, 2.3125, -4.3125, 981.35546875);
        assert_row("phi4-lattice", &*target, &point(64), row, 1e-10);
        for side in [1, 2, 3, 8] {
            let target = lattice(side, -1.0, 0.5).expect("good settings");
            let d = side * side;
            let points = Array2::from_shape_fn((4, d), |(i, j)| (i as f64 - 1.5) * point(d)[j]);
            assert_target("phi4-lattice", &*target, points.view());
        }
    }

    #[test]
    fn free_field() {
        for side in [1, 2, 3] {
            let target = lattice(side, 0.8, 0.0).expect("good settings");
            let d = side * side;
            let truth = target.exact().expect("exact").truth();
            let log_z = truth.log_z.expect("known");
            let variance = truth.variance.expect("known")[0];
            let sd = vec![1.2 * variance.sqrt(); d];
            let (estimate, se) = importance_log_z(&*target, &vec![0.0; d], &sd, 200_000, 2);
            assert_z("log Z", estimate, log_z, se);
        }
        // A Gaussian density has a gradient that is linear in x: with it, log Z follows from the
        // precision matrix, read off column by column, without any Fourier mode.
        let target = lattice(4, 0.8, 0.0).expect("good settings");
        let precision = Array2::from_shape_fn((16, 16), |(i, j)| {
            let mut unit = vec![0.0; 16];
            unit[i] = 1.0;
            -eval(&*target, &unit).1[j]
        });
        let factor = crate::dense::cholesky(precision).expect("positive definite");
        let log_z = factor
            .diag()
            .iter()
            .map(|v| 0.5 * TAU.ln() - v.ln())
            .sum::<f64>();
        let truth = target.exact().expect("exact").truth();
        assert_close("log Z", truth.log_z.expect("known"), log_z, 1e-13);
        let inverse = crate::dense::lower_inverse(&factor);
        let variance = inverse.column(5).dot(&inverse.column(5));
        assert_close(
            "variance",
            truth.variance.expect("known")[5],
            variance,
            1e-13,
        );
    }

    #[test]
    fn settings_are_checked() {
        for (side, mass, coupling, says) in [
            (0, 1.0, 1.0, "`side` is 0"),
            (8, f64::NAN, 1.0, "`mass_squared` is NaN"),
            (
                8,
                -1.0,
                0.0,
                "`mass_squared` is -1, but must be finite, and > 0 where",
            ),
            (8, 1.0, -0.5, "`coupling` is -0.5, but must be ≥ 0"),
        ] {
            let error = lattice(side, mass, coupling).err().expect(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
