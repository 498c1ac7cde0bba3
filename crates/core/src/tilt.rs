//! Functions that tilt the law of a Brownian motion (Doob's h-transform).
//!
//! h(x, t) = Σᵢ wᵢ exp(aᵢ·x − |aᵢ|² t/2),   which solves ∂ₜh + ½ Δh = 0
//!
//! ∇ log h(x, t) = Σᵢ πᵢ(x, t) aᵢ,   π the softmax of ln wᵢ + aᵢ·x − |aᵢ|² t/2
//!
//! In one dimension with directions ±a and equal weights it is e^{−a²t/2} cosh(a x).

use crate::{Error, Result};
use ndarray::{Array1, Array2};

/// A positive function h(x, t) = Σᵢ wᵢ exp(aᵢ·x − |aᵢ|² t/2).
#[derive(Debug, Clone, PartialEq)]
pub struct Tilt {
    log_weights: Array1<f64>,
    directions: Array2<f64>,
    /// |aᵢ|²/2.
    half_squares: Array1<f64>,
}

impl Tilt {
    /// A tilt of positive `weights` (K; of any sum, they are divided by it) and `directions` (K × d).
    ///
    /// # Errors
    /// [`Error::Argument`] when shapes do not agree, a weight is not positive or a number not finite.
    pub fn new(weights: Array1<f64>, directions: Array2<f64>) -> Result<Self> {
        let wrong = |argument: &str, given: String, allowed: &str| Error::Argument {
            component: "tilt".into(),
            argument: argument.into(),
            given,
            allowed: allowed.into(),
        };
        let (k, d) = directions.dim();
        if k == 0 || d == 0 {
            let given = format!("{k} rows of {d}");
            return Err(wrong(
                "directions",
                given,
                "at least one row of at least one number",
            ));
        }
        if weights.len() != k {
            let given = format!("a list of {} numbers", weights.len());
            return Err(wrong(
                "weights",
                given,
                &format!("a list of {k}, one for each direction"),
            ));
        }
        if let Some(w) = weights.iter().find(|w| !(**w > 0.0 && w.is_finite())) {
            return Err(wrong("weights", w.to_string(), "positive and finite"));
        }
        if let Some(a) = directions.iter().find(|a| !a.is_finite()) {
            return Err(wrong("directions", a.to_string(), "finite"));
        }
        let log_sum = weights.sum().ln();
        Ok(Self {
            log_weights: weights.mapv(|w| w.ln() - log_sum),
            half_squares: directions.outer_iter().map(|a| 0.5 * a.dot(&a)).collect(),
            directions,
        })
    }

    /// Dimension d.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.directions.ncols()
    }

    /// ln wᵢ, with weights that sum to 1; length K.
    #[must_use]
    pub fn log_weights(&self) -> &Array1<f64> {
        &self.log_weights
    }

    /// Directions aᵢ; K × d.
    #[must_use]
    pub fn directions(&self) -> &Array2<f64> {
        &self.directions
    }

    /// log h(x, t), and ∇ log h if it is asked for; `x` and `gradient` have length d.
    pub fn eval(&self, x: &[f64], t: f64, gradient: Option<&mut [f64]>) -> f64 {
        let exponent = |i: usize| {
            let a = self.directions.row(i);
            let dot: f64 = a.iter().zip(x).map(|(a, x)| a * x).sum();
            self.log_weights[i] + dot - t * self.half_squares[i]
        };
        let terms = self.log_weights.len();
        let most = (0..terms).map(exponent).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = (0..terms).map(|i| (exponent(i) - most).exp()).sum();
        if let Some(g) = gradient {
            g.fill(0.0);
            for i in 0..terms {
                let p = (exponent(i) - most).exp() / sum;
                g.iter_mut()
                    .zip(self.directions.row(i))
                    .for_each(|(g, a)| *g += p * a);
            }
        }
        most + sum.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn two_opposite_directions_are_a_cosh() {
        let a = 1.3;
        let tilt = Tilt::new(array![2.0, 2.0], array![[a], [-a]]).unwrap();
        for (x, t) in [(0.4, 0.0), (-2.0, 1.5), (30.0, 0.2)] {
            let mut g = [0.0];
            let value = tilt.eval(&[x], t, Some(&mut g));
            let cosh = (a * x).abs() + (-2.0 * (a * x).abs()).exp().ln_1p() - 2.0f64.ln();
            assert!((value - (cosh - a * a * t / 2.0)).abs() < 1e-13 * value.abs().max(1.0));
            assert!((g[0] - a * (a * x).tanh()).abs() < 1e-14);
        }
    }

    #[test]
    fn wrong_tilts_are_refused() {
        for (w, a, says) in [
            (
                array![1.0],
                array![[1.0], [2.0]],
                "`weights` is a list of 1 numbers",
            ),
            (array![1.0, -1.0], array![[1.0], [2.0]], "`weights` is -1"),
            (array![1.0], array![[f64::NAN]], "`directions` is NaN"),
        ] {
            let error = Tilt::new(w, a).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
