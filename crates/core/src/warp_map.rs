//! Diffeomorphisms from a small set, composed: the warps that jobs can name.
//!
//! ```toml
//! warp = [
//!     { map = "affine", shift = 1.0, scale = [0.5, 2.0] },
//!     { map = "affine-coupling", weights = [[0.8]], biases = [0.1], shift_weights = [[-0.5]] },
//!     { map = "asinh" },
//! ]
//! ```
//!
//! | map | y = ψ(x) | domain |
//! | --- | --- | --- |
//! | `asinh` | asinh x | ℝ |
//! | `log` | ln x | x > 0 |
//! | `softplus` | ln(eˣ − 1), so that x = ln(1 + eʸ) | x > 0 |
//! | `affine` | (x − shift) / scale | ℝ |
//! | `affine-coupling` | y_a = x_a, y_b = x_b exp(tanh(W x_a + b)) + V x_a + c | ℝᵈ, d ≥ 2 |
//!
//! a: the first ⌊d/2⌋ coordinates, b: the others; turned about by `reverse`. The tanh bounds the log
//! scale, so that neither direction overflows (Dinh, Sohl-Dickstein & Bengio 2017, arXiv:1605.08803).
//!
//! With J = ∂ψ/∂x, scores go with the change of variables: s_x = Jᵀ s_y + ∇ₓ ln |det J|.
//!
//! Outside of its domain a map is that of the nearest point inside (10⁻¹⁵⁰ for x ≤ 0), and
//! ln |det J| is −∞: no mass is there.

use crate::settings::PerCoordinate;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod steps;
#[cfg(test)]
mod tests;

/// A diffeomorphism y = ψ(x), the composition of its steps in order; the identity if there are none.
///
/// Its methods work on one point. They want a `scratch` of [`scratch_len`](WarpMap::scratch_len)
/// numbers and a map that was [checked](WarpMap::check) for the dimension d, and panic otherwise.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct WarpMap {
    /// The maps, the first one first.
    pub steps: Vec<WarpStep>,
}

/// One map with its parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WarpStep {
    /// Which map.
    pub map: WarpKind,
    /// For `affine`: the shift, one number or one for each coordinate; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<PerCoordinate>,
    /// For `affine`: the scale, > 0, one number or one for each coordinate; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<PerCoordinate>,
    /// For `affine-coupling`: W, a row for each coordinate that is changed, a column for each that
    /// passes through; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<Vec<f64>>>,
    /// For `affine-coupling`: b, a number for each coordinate that is changed; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub biases: Option<Vec<f64>>,
    /// For `affine-coupling`: V, of the shape of `weights`; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift_weights: Option<Vec<Vec<f64>>>,
    /// For `affine-coupling`: c, a number for each coordinate that is changed; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift_biases: Option<Vec<f64>>,
    /// For `affine-coupling`: whether the last coordinates pass through and the first ⌊d/2⌋ are
    /// changed, and not the other way about.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reverse: bool,
}

/// The maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WarpKind {
    /// y = asinh x.
    #[default]
    Asinh,
    /// y = ln x, for x > 0.
    Log,
    /// y = ln(eˣ − 1), for x > 0: x is the softplus of y.
    Softplus,
    /// y = (x − shift) / scale.
    Affine,
    /// One half of the coordinates scales and shifts the other half.
    AffineCoupling,
}

impl WarpStep {
    /// A map without parameters.
    #[must_use]
    pub fn new(map: WarpKind) -> Self {
        Self {
            map,
            ..Self::default()
        }
    }
}

impl From<Vec<WarpStep>> for WarpMap {
    fn from(steps: Vec<WarpStep>) -> Self {
        Self { steps }
    }
}

impl WarpMap {
    /// That it is a map on ℝᵈ (or on the part of it that is its domain), as `key` of `component`.
    ///
    /// # Errors
    /// [`Error::Setting`] for parameters of another map, of a wrong shape or not finite.
    pub fn check(&self, d: usize, component: &str, key: &str) -> Result {
        for (i, step) in self.steps.iter().enumerate() {
            step.check(d, component, &format!("{key}[{i}]"))?;
        }
        Ok(())
    }

    /// Numbers of scratch that a method needs in dimension `d`.
    #[must_use]
    pub fn scratch_len(&self, d: usize) -> usize {
        (self.steps.len() + 4) * d
    }

    /// Whether every coordinate is mapped by itself.
    #[must_use]
    pub fn is_diagonal(&self) -> bool {
        let coupled = |s: &WarpStep| s.map == WarpKind::AffineCoupling;
        !self.steps.iter().any(coupled)
    }

    /// The least open interval that holds every coordinate of every point of the domain.
    #[must_use]
    pub fn support(&self, d: usize) -> (f64, f64) {
        let mut all = vec![(f64::NEG_INFINITY, f64::INFINITY); d];
        for step in self.steps.iter().rev() {
            step.domain(&mut all);
        }
        all.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |m, v| {
            (m.0.min(v.0), m.1.max(v.1))
        })
    }

    /// Writes y = ψ(x) and gives ln |det J|, which is −∞ outside of the domain.
    pub fn forward(&self, x: &[f64], y: &mut [f64]) -> f64 {
        y.copy_from_slice(x);
        self.steps.iter().map(|s| s.forward(y)).sum()
    }

    /// Writes x = ψ⁻¹(y).
    pub fn inverse(&self, y: &[f64], x: &mut [f64]) {
        x.copy_from_slice(y);
        for step in self.steps.iter().rev() {
            step.inverse(x);
        }
    }

    /// Writes the score in x from the one in y: Jᵀ s_y + ∇ ln |det J| at `x`. With s_y = 0 it is the
    /// gradient of the log determinant.
    pub fn pull_score(&self, x: &[f64], score_y: &[f64], out: &mut [f64], scratch: &mut [f64]) {
        self.back(x, score_y, out, scratch, true);
    }

    /// Writes Jᵀ u at `x`.
    pub fn pull(&self, x: &[f64], u: &[f64], out: &mut [f64], scratch: &mut [f64]) {
        self.back(x, u, out, scratch, false);
    }

    fn back(&self, x: &[f64], u: &[f64], out: &mut [f64], scratch: &mut [f64], det: bool) {
        let d = x.len();
        scratch[..d].copy_from_slice(x);
        for (i, step) in self.steps.iter().enumerate() {
            let (before, after) = scratch[i * d..].split_at_mut(d);
            after[..d].copy_from_slice(before);
            step.forward(&mut after[..d]);
        }
        out.copy_from_slice(u);
        for (i, step) in self.steps.iter().enumerate().rev() {
            step.pull(&scratch[i * d..][..d], out, det);
        }
    }

    /// Writes (J⁻¹)ᵀ u for the point y = ψ(x): the derivative of ψ⁻¹ at `y`, transposed.
    pub fn push_back(&self, y: &[f64], u: &[f64], out: &mut [f64], scratch: &mut [f64]) {
        let (d, n) = (y.len(), self.steps.len());
        scratch[n * d..][..d].copy_from_slice(y);
        for (i, step) in self.steps.iter().enumerate().rev() {
            let (to, from) = scratch[i * d..].split_at_mut(d);
            to.copy_from_slice(&from[..d]);
            step.inverse(to);
        }
        out.copy_from_slice(u);
        for (i, step) in self.steps.iter().enumerate() {
            step.pull_inverse(&scratch[i * d..][..d], out);
        }
    }

    /// Writes J⁻¹ v for the point y = ψ(x): the derivative of ψ⁻¹ at `y` along `v`.
    pub fn push(&self, y: &[f64], v: &[f64], out: &mut [f64], scratch: &mut [f64]) {
        let d = y.len();
        let (x, rest) = scratch.split_at_mut(d);
        let second = &mut rest[..d];
        x.copy_from_slice(y);
        out.copy_from_slice(v);
        second.fill(0.0);
        for step in self.steps.iter().rev() {
            step.jet(x, out, second);
        }
    }

    /// Writes Σₖ ∂²ψ⁻¹/∂yₖ² at `y`: what Itô's formula adds to the drift of x, twice over.
    pub fn laplacian(&self, y: &[f64], out: &mut [f64], scratch: &mut [f64]) {
        let d = y.len();
        let (x, rest) = scratch.split_at_mut(d);
        let (first, rest) = rest.split_at_mut(d);
        let second = &mut rest[..d];
        out.fill(0.0);
        // Where no coordinate meets another, one jet goes along all of them at once.
        let passes = if self.is_diagonal() { 1 } else { d };
        for k in 0..passes {
            x.copy_from_slice(y);
            first.fill(if passes == 1 { 1.0 } else { 0.0 });
            first[k] = 1.0;
            second.fill(0.0);
            for step in self.steps.iter().rev() {
                step.jet(x, first, second);
            }
            out.iter_mut().zip(second.iter()).for_each(|(o, s)| *o += s);
        }
    }
}

/// A wrong setting of a step.
fn wrong(
    component: &str,
    key: &str,
    field: &str,
    given: impl std::fmt::Display,
    allowed: impl Into<String>,
) -> Error {
    Error::setting(component, format!("{key}.{field}"), given, allowed)
}
