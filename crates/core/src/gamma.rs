//! Mixtures of Gamma laws of one shape: the data that stay closed under square-root diffusions.
//!
//! p(x) = Π_j Σₖ wₖ Γ(x_j; shape a, scale bₖ),   Γ(x; a, b) = x^{a−1} e^{−x/b} / (Γ(a) bᵃ)

use crate::{Error, Result};
use ndarray::Array1;

/// Weights, the common shape and the scales of a mixture of Gamma laws on x > 0; coordinates are
/// independent and alike.
#[derive(Debug, Clone, PartialEq)]
pub struct GammaMixture {
    /// Positive, summing to 1; length K.
    pub weights: Array1<f64>,
    /// Shape a > 0.
    pub shape: f64,
    /// Scales bₖ > 0; length K.
    pub scales: Array1<f64>,
    /// Number of coordinates.
    pub dim: usize,
}

impl GammaMixture {
    /// A mixture of `weights` (of any sum, they are divided by it) and `scales` of equal length.
    ///
    /// # Errors
    /// [`Error::Argument`] when lengths do not agree or a number is not positive and finite.
    pub fn new(weights: Array1<f64>, shape: f64, scales: Array1<f64>, dim: usize) -> Result<Self> {
        let wrong = |argument: &str, given: String, allowed: &str| Error::Argument {
            component: "mixture of Gamma laws".into(),
            argument: argument.into(),
            given,
            allowed: allowed.into(),
        };
        if scales.is_empty() || weights.len() != scales.len() || dim == 0 {
            let given = format!(
                "{} weights, {} scales, dimension {dim}",
                weights.len(),
                scales.len()
            );
            return Err(wrong("scales", given, "as many as weights, at least one"));
        }
        let good = |v: &f64| *v > 0.0 && v.is_finite();
        for (name, all) in [("weights", &weights), ("scales", &scales)] {
            if let Some(v) = all.iter().find(|v| !good(v)) {
                return Err(wrong(name, v.to_string(), "positive and finite"));
            }
        }
        if !good(&shape) {
            return Err(wrong("shape", shape.to_string(), "positive and finite"));
        }
        let sum = weights.sum();
        Ok(Self {
            weights: weights / sum,
            shape,
            scales,
            dim,
        })
    }
}
