//! Functions that tilt the law of a Brownian motion (Doob's h-transform).
//!
//! h(x, t) = Σᵢ wᵢ exp(aᵢ·x − |aᵢ|² t/2),   which solves ∂ₜh + ½ Δh = 0
//!
//! ∇ log h(x, t) = Σᵢ πᵢ(x, t) aᵢ,   π the softmax of ln wᵢ + aᵢ·x − |aᵢ|² t/2
//!
//! In one dimension with directions ±a and equal weights it is e^{−a²t/2} cosh(a x).

use crate::numeric::log_sum_exp;
use crate::{Covariances, Error, GaussianMixture, Result, Target};
use ndarray::{Array1, Array2, Array3, ArrayView1};

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

    /// The law q ∝ h(·, 0) ρ of a mixture ρ, its scale left aside, and ln ∫ h(x, 0) ρ(x) dx, which is
    /// ln ∫ h(x, t) ρ_t(x) dx at every t for the law ρ_t of x + √t z:
    ///
    /// q = Σₖᵢ ∝ wₖ ωᵢ exp(aᵢ·mₖ + ½ aᵢᵀ Vₖ aᵢ) N(mₖ + Vₖ aᵢ, Vₖ),   ω the weights of this tilt
    ///
    /// Component k of ρ and direction i give component k K + i. Point masses keep their places and
    /// are weighed anew.
    ///
    /// # Errors
    /// [`Error::Argument`] when the dimensions differ, or a weight underflows.
    pub fn apply(&self, base: &GaussianMixture) -> Result<(GaussianMixture, f64)> {
        let (k, d, terms) = (base.components(), self.dim(), self.log_weights.len());
        let wrong = |argument: &str, given: String, allowed: String| Error::Argument {
            component: "tilt".into(),
            argument: argument.into(),
            given,
            allowed,
        };
        if Target::dim(base) != d {
            let given = format!("of dimension {}", Target::dim(base));
            return Err(wrong("base", given, format!("of dimension {d}")));
        }
        let all = k * terms;
        let spread = |c: usize, a: ArrayView1<'_, f64>| -> Array1<f64> {
            match base.covariances() {
                Covariances::Isotropic(v) => a.mapv(|a| v[c] * a),
                Covariances::Diagonal(v) => &v.row(c) * &a,
                Covariances::Dense(v) => v.index_axis(ndarray::Axis(0), c).dot(&a),
            }
        };
        let mut means = Array2::zeros((all, d));
        let mut logs = vec![0.0; all];
        for c in 0..k {
            for (i, a) in self.directions.outer_iter().enumerate() {
                let moved = spread(c, a);
                let m = base.means().row(c);
                logs[c * terms + i] =
                    base.weights()[c].ln() + self.log_weights[i] + a.dot(&m) + 0.5 * a.dot(&moved);
                means.row_mut(c * terms + i).assign(&(&m + &moved));
            }
        }
        let log_norm = log_sum_exp(&logs);
        let weights: Array1<f64> = logs.iter().map(|l| (l - log_norm).exp()).collect();
        if let Some(i) = weights.iter().position(|w| !w.is_normal()) {
            let given = format!("{} for component {}", weights[i], i / terms);
            return Err(wrong("tilted weight", given, "above 1e-308".into()));
        }
        let mixture = if !base.has_density() {
            GaussianMixture::points(weights, means)?
        } else {
            let of = |i: usize| i / terms;
            let covariances = match base.covariances() {
                Covariances::Isotropic(v) => {
                    Covariances::Isotropic(Array1::from_shape_fn(all, |i| v[of(i)]))
                }
                Covariances::Diagonal(v) => {
                    Covariances::Diagonal(Array2::from_shape_fn((all, d), |(i, j)| v[(of(i), j)]))
                }
                Covariances::Dense(v) => {
                    Covariances::Dense(Array3::from_shape_fn((all, d, d), |(i, r, s)| {
                        v[(of(i), r, s)]
                    }))
                }
            };
            GaussianMixture::new(weights, means, covariances)?
        };
        Ok((mixture, log_norm))
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
    fn a_tilted_mixture_is_h_times_the_mixture() {
        let tilt = Tilt::new(array![1.0, 3.0], array![[0.7, -0.2], [-1.1, 0.5]]).unwrap();
        let means = array![[0.3, -1.0], [1.5, 0.2]];
        let bases = [
            GaussianMixture::isotropic(array![0.4, 0.6], means.clone(), array![0.3, 1.2]),
            GaussianMixture::diagonal(
                array![0.4, 0.6],
                means.clone(),
                array![[0.3, 0.5], [1.0, 2.0]],
            ),
            GaussianMixture::dense(
                array![0.4, 0.6],
                means.clone(),
                array![[[0.5, 0.2], [0.2, 0.4]], [[1.0, -0.3], [-0.3, 2.0]]],
            ),
        ];
        for base in bases {
            let base = base.unwrap();
            let (q, log_norm) = tilt.apply(&base).unwrap();
            let x = array![[0.1, 0.4], [-2.0, 1.0], [3.0, -1.5]];
            let (mut lq, mut lb) = (Array1::zeros(3), Array1::zeros(3));
            crate::Runtime::new(1, 1).unwrap().enter("test", 0, |cx| {
                q.eval(cx, x.view(), Some(lq.view_mut()), None).unwrap();
                base.eval(cx, x.view(), Some(lb.view_mut()), None).unwrap();
            });
            for (r, x) in x.outer_iter().enumerate() {
                let h = tilt.eval(x.as_slice().unwrap(), 0.0, None);
                assert!((lq[r] - (h + lb[r] - log_norm)).abs() < 1e-12);
                // At another time it is another function.
                let later = tilt.eval(x.as_slice().unwrap(), 0.5, None);
                assert!((lq[r] - (later + lb[r] - log_norm)).abs() > 1e-2);
            }
        }
        let points = GaussianMixture::points(array![0.4, 0.6], means).unwrap();
        let (q, log_norm) = tilt.apply(&points).unwrap();
        let h0 = tilt.eval(&[0.3, -1.0], 0.0, None);
        let first = q.weights()[0] + q.weights()[1];
        assert!((first - 0.4 * (h0 - log_norm).exp()).abs() < 1e-14);
        assert!(
            tilt.apply(&GaussianMixture::points(array![1.0], array![[0.0]]).unwrap())
                .is_err()
        );
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
