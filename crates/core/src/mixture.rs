//! Gaussian mixtures as data: what an exact score needs to know of a target.

use ndarray::{Array1, Array2, Array3};

/// Covariances of the components of a [`GaussianMixture`].
#[derive(Debug, Clone, PartialEq)]
pub enum Covariances {
    /// vₖ I; K variances.
    Isotropic(Array1<f64>),
    /// Diagonal matrices; K × d variances.
    Diagonal(Array2<f64>),
    /// Dense matrices; K × d × d.
    Dense(Array3<f64>),
}

/// Σₖ wₖ N(mₖ, Cₖ), scaled by exp(`log_scale`).
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianMixture {
    /// Weights, positive, summing to 1; length K.
    pub weights: Array1<f64>,
    /// Means; K × d.
    pub means: Array2<f64>,
    /// Covariances.
    pub covariances: Covariances,
    /// log Z of the density as the target evaluates it; 0 if it is normalised.
    pub log_scale: f64,
}
