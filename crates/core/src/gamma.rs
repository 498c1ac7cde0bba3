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

    /// The mixture with scales b ↦ `scale`(b).
    ///
    /// # Errors
    /// [`Error::Argument`] when one is not positive and finite.
    pub fn with_scales(&self, scale: impl Fn(f64) -> f64) -> Result<Self> {
        Self::new(
            self.weights.clone(),
            self.shape,
            self.scales.mapv(scale),
            self.dim,
        )
    }

    /// Log density of one coordinate, normalised, and its slope; −∞ and 0 for x ≤ 0.
    #[must_use]
    pub fn coordinate(&self, x: f64) -> (f64, f64) {
        self.coordinate_scaled(x, |b| b)
    }

    /// As [`coordinate`](Self::coordinate), of the mixture with scales b ↦ `scale`(b).
    pub fn coordinate_scaled(&self, x: f64, scale: impl Fn(f64) -> f64) -> (f64, f64) {
        if x.is_nan() {
            return (f64::NAN, f64::NAN);
        }
        if !(x > 0.0 && x.is_finite()) {
            return (f64::NEG_INFINITY, 0.0);
        }
        let exponent = |k: usize| {
            let b = scale(self.scales[k]);
            self.weights[k].ln() - self.shape * b.ln() - x / b
        };
        let terms = self.scales.len();
        let most = (0..terms).map(exponent).fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut rate) = (0.0, 0.0);
        for k in 0..terms {
            let w = (exponent(k) - most).exp();
            sum += w;
            rate += w / scale(self.scales[k]);
        }
        let power = self.shape - 1.0;
        // 0 · ∞ where the shape is 1.
        let log_x = if power == 0.0 { 0.0 } else { power * x.ln() };
        (
            most + sum.ln() + log_x - libm::lgamma(self.shape),
            power / x - rate / sum,
        )
    }
}
