//! Particles with pair energies, with or without their centre of mass.
//!
//! Without it, coordinates y₁ … y_{n−1} are in the orthonormal Helmert basis of the subspace Σ xᵢ = 0:
//!
//! ```text
//! xᵢ = Σ_{k>i} c_k y_k − i cᵢ yᵢ,   c_k = 1/√(k(k+1)),   so that y_k = c_k (Σ_{i<k} xᵢ − k x_k),  ‖y‖ = ‖x‖
//! ```

use crate::point::each_row;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::{Cx, Error, Exact, Expectation, Outputs, Result, Target, Truth};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

/// Energies from here on count as infinite, before they or their forces overflow.
const FORBIDDEN: f64 = 1e150;

/// What is done with the centre of mass of a system of particles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CentreOfMass {
    /// It is fixed at 0: n·D − D coordinates in an orthonormal basis, positions as outputs.
    #[default]
    Removed,
    /// All n·D coordinates. The density does not change under translation and is therefore **not
    /// normalisable**: for evaluations only, and for samplers that fix the centre themselves.
    Free,
}

/// A law of pairs: the energy at squared distance r², and w with force w (xᵢ − xⱼ) on i, written as
/// (numerator, r²) of w so that the force of close pairs has no overflow on the way.
pub(crate) trait Pair: Clone + Send + Sync + 'static {
    fn energy(&self, square: f64) -> (f64, f64);
}

/// log ρ = −Σ_{i<j} u(‖xᵢ − xⱼ‖) − (oscillator/2) Σ ‖xᵢ − x̄‖².
#[derive(Clone)]
pub(crate) struct Particles<P> {
    count: usize,
    space: usize,
    centre: CentreOfMass,
    pair: P,
    oscillator: f64,
}

impl<P: Pair> Particles<P> {
    /// Checks `count` and `space` for `component`.
    pub(crate) fn new(
        component: &str,
        (count, space): (usize, usize),
        centre: CentreOfMass,
        pair: P,
        oscillator: f64,
    ) -> Result<Self> {
        if !(2..=1000).contains(&count) {
            return Err(Error::setting(component, "particles", count, "2 to 1000"));
        }
        if !(1..=3).contains(&space) {
            return Err(Error::setting(component, "space", space, "1, 2 or 3"));
        }
        Ok(Self {
            count,
            space,
            centre,
            pair,
            oscillator,
        })
    }

    fn removed(&self) -> bool {
        self.centre == CentreOfMass::Removed
    }

    /// Positions of the coordinates, with the centre at 0.
    fn positions(&self, at: &[f64], x: &mut [f64]) {
        let (n, space) = (self.count, self.space);
        for axis in 0..space {
            if self.removed() {
                let mut sum = 0.0;
                for k in (1..n).rev() {
                    let part = at[(k - 1) * space + axis] / ((k * (k + 1)) as f64).sqrt();
                    x[k * space + axis] = sum - k as f64 * part;
                    sum += part;
                }
                x[axis] = sum;
            } else {
                let mean = (0..n).map(|i| at[i * space + axis]).sum::<f64>() / n as f64;
                for i in 0..n {
                    x[i * space + axis] = at[i * space + axis] - mean;
                }
            }
        }
    }

    /// Coordinates of positions; a gradient in the positions becomes one in the coordinates.
    fn coordinates(&self, x: &[f64], at: &mut [f64]) {
        if !self.removed() {
            at.copy_from_slice(x);
            return;
        }
        for axis in 0..self.space {
            let mut sum = 0.0;
            for k in 1..self.count {
                sum += x[(k - 1) * self.space + axis];
                let scale = ((k * (k + 1)) as f64).sqrt();
                let here = x[k * self.space + axis];
                at[(k - 1) * self.space + axis] = (sum - k as f64 * here) / scale;
            }
        }
    }

    /// log ρ at centred positions, and its gradient there.
    fn log_density(&self, x: &[f64], mut force: Option<&mut [f64]>) -> f64 {
        let space = self.space;
        let mut energy = 0.5 * self.oscillator * x.iter().map(|v| v * v).sum::<f64>();
        if let Some(f) = &mut force {
            f.iter_mut()
                .zip(x)
                .for_each(|(f, x)| *f = -self.oscillator * x);
        }
        for i in 0..self.count {
            for j in 0..i {
                let (a, b) = (&x[i * space..][..space], &x[j * space..][..space]);
                let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
                let (u, numerator) = self.pair.energy(square);
                energy += u;
                if let Some(f) = &mut force {
                    for axis in 0..space {
                        let apart = x[i * space + axis] - x[j * space + axis];
                        // Coincident particles have no direction to push each other in.
                        let push = if square > 0.0 {
                            numerator * apart / square
                        } else {
                            0.0
                        };
                        f[i * space + axis] += push;
                        f[j * space + axis] -= push;
                    }
                }
            }
        }
        if energy >= FORBIDDEN {
            if let Some(f) = force {
                f.fill(0.0);
            }
            return f64::NEG_INFINITY;
        }
        -energy
    }
}

impl<P: Pair> Target for Particles<P> {
    fn dim(&self) -> usize {
        (self.count - usize::from(self.removed())) * self.space
    }

    fn coordinate(&self, i: usize) -> String {
        let (letter, first) = if self.removed() { ("y", 1) } else { ("x", 0) };
        format!("{letter}{}_{}", first + i / self.space, i % self.space)
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let size = self.count * self.space;
        let scratch = RefCell::new((cx.take(size), cx.take(size)));
        each_row(x, log_density, gradient, |at, g| {
            let (x, force) = &mut *scratch.borrow_mut();
            self.positions(at, x);
            let Some(g) = g else {
                return self.log_density(x, None);
            };
            let value = self.log_density(x, Some(force));
            self.coordinates(force, g);
            value
        });
        let (positions, force) = scratch.into_inner();
        cx.give(positions);
        cx.give(force);
        Ok(())
    }

    fn outputs(&self) -> Option<&dyn Outputs> {
        self.removed().then_some(self)
    }

    fn exact(&self) -> Option<&dyn Exact> {
        self.removed().then_some(self)
    }
}

/// The positions x of all particles, where the coordinates are not the positions.
impl<P: Pair> Outputs for Particles<P> {
    fn count(&self) -> usize {
        self.count * self.space
    }

    fn name(&self, i: usize) -> String {
        format!("x{}_{}", i / self.space, i % self.space)
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (mut at, mut positions) = (cx.take(x.ncols()), cx.take(out.ncols()));
        for (row, mut out) in x.rows().into_iter().zip(out.rows_mut()) {
            at.iter_mut().zip(row).for_each(|(a, x)| *a = *x);
            self.positions(&at, &mut positions);
            out.assign(&ndarray::aview1(&positions));
        }
        cx.give(at);
        cx.give(positions);
        Ok(())
    }
}

impl<P: Pair> Exact for Particles<P> {
    fn truth(&self) -> Truth {
        let (system, d) = (self.clone(), self.dim());
        let virial = move |at: &[f64]| {
            let mut x = vec![0.0; system.count * system.space];
            let mut force = x.clone();
            system.positions(at, &mut x);
            system.log_density(&x, Some(&mut force));
            -x.iter().zip(&force).map(|(x, f)| x * f).sum::<f64>()
        };
        Truth {
            mean: Some(vec![0.0; d]),
            expectations: vec![Expectation::new("virial −E x·∇log π", d as f64, virial)],
            source: "mirror symmetry and integration by parts".into(),
            ..Truth::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2};
    use retrograde_testkit::*;

    /// u(r) = r⁴/4 − 2r².
    #[derive(Clone)]
    struct Wells;
    impl Pair for Wells {
        fn energy(&self, square: f64) -> (f64, f64) {
            let u = 0.25 * square * square - 2.0 * square;
            (u, -(square - 4.0) * square)
        }
    }

    fn wells(count: usize, space: usize, centre: CentreOfMass) -> Particles<Wells> {
        Particles::new("test", (count, space), centre, Wells, 0.5).expect("good settings")
    }

    #[test]
    fn removed_coordinates_are_an_isometry_onto_centred_positions() {
        for (n, space) in [(2, 1), (4, 2), (13, 3)] {
            let removed = wells(n, space, CentreOfMass::Removed);
            let free = wells(n, space, CentreOfMass::Free);
            let y = point(removed.dim());
            let mut x = vec![0.0; n * space];
            removed.positions(&y, &mut x);
            for axis in 0..space {
                let sum: f64 = x.iter().skip(axis).step_by(space).sum();
                assert!(sum.abs() < 1e-14);
            }
            let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>();
            assert_close("norm", norm(&x), norm(&y), 1e-14);
            let mut back = vec![0.0; y.len()];
            removed.coordinates(&x, &mut back);
            y.iter()
                .zip(&back)
                .for_each(|(y, b)| assert!((y - b).abs() < 1e-14));
            // The same density, wherever the centre is.
            let moved: Vec<f64> = x.iter().map(|v| v + 3.0).collect();
            let (value, _) = eval(&removed, &y);
            assert_close("removed", value, eval(&free, &x).0, 1e-13);
            assert_close("moved", value, eval(&free, &moved).0, 1e-13);
            let points = Array2::from_shape_fn((4, y.len()), |(i, j)| (i as f64 - 1.5) * y[j]);
            assert_target("removed", &removed, points.view());
            let points = Array2::from_shape_fn((4, x.len()), |(i, j)| (i as f64 - 1.5) * moved[j]);
            assert_target("free", &free, points.view());
            assert!(free.exact().is_none() && removed.exact().is_some());
        }
    }

    #[test]
    fn two_particles_by_hand_and_virial_of_three() {
        // Two on a line: r = √2 y, log ρ = −(y⁴ − 4y²) − y²/4.
        let two = wells(2, 1, CentreOfMass::Removed);
        let (y, h) = (0.7f64, 0.01);
        let want = -(y.powi(4) - 4.0 * y * y) - 0.25 * y * y;
        assert_close("two on a line", eval(&two, &[y]).0, want, 1e-14);
        // Three on a line: sums over a grid in both coordinates.
        let three = wells(3, 1, CentreOfMass::Removed);
        let truth = three.exact().expect("exact").truth();
        let grid = Array1::from_iter((-500..=500).map(|k| f64::from(k) * h));
        let (mut z, mut mean, mut virial) = (0.0, 0.0, 0.0);
        for a in &grid {
            for b in &grid {
                let x = [*a, *b];
                let mut positions = [0.0; 3];
                three.positions(&x, &mut positions);
                let w = three.log_density(&positions, None).exp();
                z += w;
                mean += w * a;
                virial += w * (truth.expectations[0].of)(&x);
            }
        }
        assert!((mean / z).abs() < 1e-12);
        assert_close("virial", virial / z, truth.expectations[0].value, 1e-10);
        let (log_z, se) = importance_log_z(&three, &[0.0; 2], &[1.6; 2], 200_000, 1);
        assert_z("log Z", log_z, (z * h * h).ln(), se);
    }
}
