//! Gaussian mixtures: the targets of which every noised law is known in closed form.
//!
//! π(x) = exp(`log_scale`) Σₖ wₖ N(x; mₖ, Cₖ)
//!
//! ∇ log π(x) = −Σₖ pₖ(x) Cₖ⁻¹ (x − mₖ), with the responsibilities pₖ(x) = wₖ N(x; mₖ, Cₖ) / Σⱼ wⱼ N(x; mⱼ, Cⱼ)
//!
//! α x + σ z with z ~ N(0, I) has the same weights, the means α mₖ and the covariances α² Cₖ + σ² I.

use crate::{Cx, Error, Result};
use fearless_simd::dispatch;
use ndarray::{Array1, Array2, Array3, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use std::f64::consts::TAU;

mod kernels;
mod linear;
mod tangents;
mod target;
#[cfg(test)]
mod tests;

use kernels::{Axes, Components, Dense, Form};

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

/// Σₖ wₖ N(mₖ, Cₖ), scaled by exp(`log_scale`): a [`Target`](crate::Target) with exact moments and draws, whose
/// score at any noise level is exact as well ([`noised`](GaussianMixture::noised)).
///
/// i.i.d. data are the case of zero covariances ([`points`](GaussianMixture::points)), which has
/// draws and noised laws but no density.
///
/// Where all components underflow the log density is −∞ and the gradient 0.
///
/// # Cost
/// K exponentials a row, and K d multiplications (K d²/2 if dense) for each of density and gradient;
/// the gradient leaves out components without weight. Rows are worked through in vectors of the
/// context's [`SimdLevel`](crate::SimdLevel). Nothing is allocated once the context holds a buffer.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianMixture {
    weights: Array1<f64>,
    means: Array2<f64>,
    covariances: Covariances,
    log_scale: f64,
    /// w₁ + … + wₖ, for draws.
    cumulative: Vec<f64>,
    /// ln wₖ − (d/2) ln 2π − ½ ln det Cₖ.
    constants: Vec<f64>,
    /// 1/vₖ (K), 1/variances (K × d) or Lₖ⁻¹ with Cₖ = Lₖ Lₖᵀ (K × d × d).
    inverses: Vec<f64>,
    /// √vₖ (K), √variances (K × d) or Lₖ (K × d × d).
    roots: Vec<f64>,
}

impl GaussianMixture {
    /// A mixture of `weights` (K, positive, of any sum: they are divided by it), `means` (K × d) and
    /// `covariances`, normalised.
    ///
    /// # Errors
    /// [`Error::Argument`] when shapes do not agree, a weight is not positive, a number is not
    /// finite, or a covariance is not symmetric and positive definite.
    pub fn new(weights: Array1<f64>, means: Array2<f64>, covariances: Covariances) -> Result<Self> {
        check_covariances(&means, &covariances)?;
        Self::build(weights, means, covariances)
    }

    /// Components vₖ I; `variances` holds K positive numbers.
    ///
    /// # Errors
    /// As [`new`](GaussianMixture::new).
    pub fn isotropic(
        weights: Array1<f64>,
        means: Array2<f64>,
        variances: Array1<f64>,
    ) -> Result<Self> {
        Self::new(weights, means, Covariances::Isotropic(variances))
    }

    /// Components with diagonal covariance; `variances` is K × d, positive.
    ///
    /// # Errors
    /// As [`new`](GaussianMixture::new).
    pub fn diagonal(
        weights: Array1<f64>,
        means: Array2<f64>,
        variances: Array2<f64>,
    ) -> Result<Self> {
        Self::new(weights, means, Covariances::Diagonal(variances))
    }

    /// Components with dense `covariances` (K × d × d), symmetric and positive definite.
    ///
    /// # Errors
    /// As [`new`](GaussianMixture::new).
    pub fn dense(
        weights: Array1<f64>,
        means: Array2<f64>,
        covariances: Array3<f64>,
    ) -> Result<Self> {
        Self::new(weights, means, Covariances::Dense(covariances))
    }

    /// Point masses: data as a law. It has no density (`has_density()` is false), but draws and,
    /// with σ² > 0, noised laws.
    ///
    /// # Errors
    /// As [`new`](GaussianMixture::new).
    pub fn points(weights: Array1<f64>, points: Array2<f64>) -> Result<Self> {
        let zero = Covariances::Isotropic(Array1::zeros(points.nrows()));
        Self::build(weights, points, zero)
    }

    fn build(
        mut weights: Array1<f64>,
        means: Array2<f64>,
        covariances: Covariances,
    ) -> Result<Self> {
        let (k, d) = means.dim();
        if k == 0 || d == 0 {
            let given = format!("{k} rows of {d}");
            return Err(wrong(
                "means",
                given,
                "at least one row of at least one number",
            ));
        }
        if weights.len() != k {
            let given = format!("a list of {} numbers", weights.len());
            return Err(wrong(
                "weights",
                given,
                format!("a list of {k}, one for each mean"),
            ));
        }
        let bad = |w: &f64| !(*w > 0.0 && w.is_finite());
        if let Some(i) = weights.iter().position(bad) {
            return Err(wrong(
                format!("weights[{i}]"),
                weights[i],
                "positive and finite",
            ));
        }
        if let Some(((i, j), v)) = means.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(wrong(format!("means[{i}][{j}]"), v, "finite"));
        }
        // Divided by the largest first, so that the sum cannot overflow.
        let largest = weights.fold(0.0, |m: f64, w| m.max(*w));
        weights /= largest;
        weights /= weights.sum();
        let mut mixture = Self {
            weights,
            means: means.as_standard_layout().into_owned(),
            covariances,
            log_scale: 0.0,
            cumulative: Vec::new(),
            constants: Vec::new(),
            inverses: Vec::new(),
            roots: Vec::new(),
        };
        mixture.factorise()?;
        Ok(mixture)
    }

    /// The same mixture times exp(`log_scale`), which then is its log Z.
    ///
    /// # Errors
    /// [`Error::Argument`] when `log_scale` is not finite.
    pub fn with_log_scale(mut self, log_scale: f64) -> Result<Self> {
        if !log_scale.is_finite() {
            return Err(wrong("log_scale", log_scale, "finite"));
        }
        self.log_scale = log_scale;
        Ok(self)
    }

    /// Number of components, K.
    #[must_use]
    pub fn components(&self) -> usize {
        self.weights.len()
    }

    /// Weights, positive, summing to 1; length K.
    #[must_use]
    pub fn weights(&self) -> &Array1<f64> {
        &self.weights
    }

    /// Means; K × d.
    #[must_use]
    pub fn means(&self) -> &Array2<f64> {
        &self.means
    }

    /// Covariances.
    #[must_use]
    pub fn covariances(&self) -> &Covariances {
        &self.covariances
    }

    /// log Z of the density as it is evaluated; 0 if it is normalised.
    #[must_use]
    pub fn log_scale(&self) -> f64 {
        self.log_scale
    }

    /// Mean of the mixture; length d.
    #[must_use]
    pub fn mean(&self) -> Array1<f64> {
        self.weights.dot(&self.means)
    }

    /// Variances of the coordinates; length d.
    #[must_use]
    pub fn variance(&self) -> Array1<f64> {
        let mean = self.mean();
        Array1::from_shape_fn(self.means.ncols(), |j| {
            (0..self.components())
                .map(|k| {
                    self.weights[k] * (self.entry(k, j, j) + (self.means[(k, j)] - mean[j]).powi(2))
                })
                .sum()
        })
    }

    /// Covariance matrix of the mixture; d × d.
    #[must_use]
    pub fn covariance(&self) -> Array2<f64> {
        let (d, mean) = (self.means.ncols(), self.mean());
        Array2::from_shape_fn((d, d), |(i, j)| {
            (0..self.components())
                .map(|k| {
                    let m = self.means.row(k);
                    self.weights[k] * (self.entry(k, i, j) + (m[i] - mean[i]) * (m[j] - mean[j]))
                })
                .sum()
        })
    }

    /// Entry (i, j) of the covariance of component k.
    fn entry(&self, k: usize, i: usize, j: usize) -> f64 {
        match &self.covariances {
            Covariances::Isotropic(v) if i == j => v[k],
            Covariances::Diagonal(v) if i == j => v[(k, i)],
            Covariances::Dense(c) => c[(k, i, j)],
            _ => 0.0,
        }
    }

    /// The law of α x + σ z with z ~ N(0, I) and x from this mixture; the scale is kept.
    ///
    /// # Errors
    /// [`Error::Argument`] when `alpha` or `sigma2` = σ² is not finite, σ² < 0, or a covariance
    /// would be singular.
    pub fn noised(&self, alpha: f64, sigma2: f64) -> Result<Self> {
        let mut out = self.clone();
        self.noised_into(alpha, sigma2, &mut out)?;
        Ok(out)
    }

    /// As [`noised`](GaussianMixture::noised), into a mixture whose memory is used again: nothing
    /// is allocated where `out` has this one's form (as [`Clone::clone`] of it has).
    ///
    /// # Errors
    /// As [`noised`](GaussianMixture::noised); `out` is then of no use.
    pub fn noised_into(&self, alpha: f64, sigma2: f64, out: &mut Self) -> Result {
        if !alpha.is_finite() {
            return Err(wrong("alpha", alpha, "finite"));
        }
        if !(sigma2 >= 0.0 && sigma2.is_finite()) {
            return Err(wrong("sigma2", sigma2, "at least 0 and finite"));
        }
        if out.means.dim() != self.means.dim() {
            *out = self.clone();
        }
        out.weights.assign(&self.weights);
        out.log_scale = self.log_scale;
        out.means
            .zip_mut_with(&self.means, |out, m| *out = alpha * m);
        let a2 = alpha * alpha;
        let spread = |out: &mut f64, c: &f64| *out = a2 * c + sigma2;
        let singular = || wrong("sigma2", sigma2, "large enough for positive covariances");
        match (&self.covariances, &mut out.covariances) {
            (Covariances::Isotropic(c), Covariances::Isotropic(out)) => {
                out.zip_mut_with(c, spread);
            }
            (Covariances::Diagonal(c), Covariances::Diagonal(out)) => out.zip_mut_with(c, spread),
            (Covariances::Dense(c), Covariances::Dense(out)) => {
                out.zip_mut_with(c, |out, c| *out = a2 * c);
                for mut matrix in out.outer_iter_mut() {
                    matrix.diag_mut().mapv_inplace(|v| v + sigma2);
                }
            }
            _ => {
                out.covariances = self.covariances.clone();
                return self.noised_into(alpha, sigma2, out);
            }
        }
        let positive = match &out.covariances {
            Covariances::Isotropic(v) => v.iter().all(|v| *v > 0.0),
            Covariances::Diagonal(v) => v.iter().all(|v| *v > 0.0),
            Covariances::Dense(_) => true,
        };
        if !positive {
            return Err(singular());
        }
        out.factorise().map_err(|_| singular())
    }

    /// Writes the responsibilities pₖ of the components for the rows of `x` (n × d) into `out`
    /// (n × K); zeros where all densities underflow.
    ///
    /// # Errors
    /// [`Error::Shape`]; [`Error::Missing`] for point masses.
    pub fn responsibilities(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.visit(cx, x, None, None, Some(out))
    }

    fn visit(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
        responsibilities: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let ((n, d), k) = (x.dim(), self.components());
        let shape = |what: &str, expected: (usize, usize), found: (usize, usize)| {
            if expected == found {
                return Ok(());
            }
            let words = |(n, d): (usize, usize)| format!("{n} × {d} numbers");
            Err(Error::shape(NAME, what, words(expected), words(found)))
        };
        shape("x", (n, self.means.ncols()), (n, d))?;
        if let Some(l) = &log_density {
            shape("log density", (n, 1), (l.len(), 1))?;
        }
        if let Some(g) = &gradient {
            shape("gradient", (n, d), g.dim())?;
        }
        if let Some(p) = &responsibilities {
            shape("responsibilities", (n, k), p.dim())?;
        }
        if !self.is_density() {
            return Err(Error::Missing {
                component: NAME.into(),
                needed: "positive covariances".into(),
                holder: "a law of point masses".into(),
                advice: "evaluate its noised law".into(),
            });
        }
        match &self.covariances {
            Covariances::Isotropic(_) => {
                self.run::<Axes<false>>(cx, &x, log_density, gradient, responsibilities);
            }
            Covariances::Diagonal(_) => {
                self.run::<Axes<true>>(cx, &x, log_density, gradient, responsibilities);
            }
            Covariances::Dense(_) => {
                self.run::<Dense>(cx, &x, log_density, gradient, responsibilities);
            }
        }
        Ok(())
    }

    fn run<F: Form>(
        &self,
        cx: &mut Cx<'_>,
        x: &ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
        responsibilities: Option<ArrayViewMut2<'_, f64>>,
    ) {
        let (d, k, level) = (x.ncols(), self.components(), cx.simd().level());
        let c = Components {
            d,
            constants: &self.constants,
            means: self.means.as_slice().unwrap_or(&[]),
            inverses: &self.inverses,
            log_scale: self.log_scale,
        };
        if log_density.is_some() || gradient.is_some() {
            let mut scratch = cx.take(kernels::scratch_len::<F>(k, d));
            let outputs = (log_density, gradient);
            dispatch!(level, s => kernels::evaluate::<_, F>(s, &c, x, outputs, &mut scratch));
            cx.give(scratch);
        }
        if let Some(mut out) = responsibilities {
            let mut scratch = cx.take(kernels::scratch_len_of_responsibilities::<F>(k, d));
            dispatch!(
                level,
                s => kernels::responsibilities::<_, F>(s, &c, x, &mut out, &mut scratch)
            );
            cx.give(scratch);
        }
    }

    fn is_density(&self) -> bool {
        !matches!(&self.covariances, Covariances::Isotropic(v) if v[0] == 0.0)
    }

    /// Recomputes what depends on weights and covariances, in the memory it has.
    fn factorise(&mut self) -> Result {
        let (k, d) = self.means.dim();
        let sum = |s: &mut f64, w: &f64| {
            *s += w;
            Some(*s)
        };
        self.cumulative.clear();
        self.cumulative.extend(self.weights.iter().scan(0.0, sum));
        self.constants.clear();
        let start = -0.5 * d as f64 * TAU.ln();
        self.constants
            .extend(self.weights.iter().map(|w| start + w.ln()));
        match &self.covariances {
            Covariances::Isotropic(v) => {
                diagonal_factors(v.iter(), &mut self.roots, &mut self.inverses);
                for (c, v) in self.constants.iter_mut().zip(v) {
                    // Point masses have no density, and infinities would be in the way of ==.
                    *c -= if *v > 0.0 {
                        0.5 * d as f64 * v.ln()
                    } else {
                        0.0
                    };
                }
            }
            Covariances::Diagonal(v) => {
                diagonal_factors(v.iter(), &mut self.roots, &mut self.inverses);
                for (c, v) in self.constants.iter_mut().zip(v.rows()) {
                    *c -= 0.5 * v.iter().map(|v| v.ln()).sum::<f64>();
                }
            }
            Covariances::Dense(matrices) => {
                self.roots.resize(k * d * d, 0.0);
                self.inverses.resize(k * d * d, 0.0);
                for (c, matrix) in matrices.outer_iter().enumerate() {
                    let root = &mut self.roots[c * d * d..][..d * d];
                    crate::factors::cholesky(matrix, root).map_err(|i| {
                        let given =
                            format!("not positive definite (leading {0} × {0} block)", i + 1);
                        wrong(
                            format!("covariances[{c}]"),
                            given,
                            "symmetric and positive definite",
                        )
                    })?;
                    crate::factors::invert_lower(root, &mut self.inverses[c * d * d..][..d * d], d);
                    let log_det: f64 = (0..d).map(|i| root[i * d + i].ln()).sum();
                    self.constants[c] -= log_det;
                }
            }
        }
        Ok(())
    }
}

const NAME: &str = "Gaussian mixture";

fn wrong(
    argument: impl Into<String>,
    given: impl std::fmt::Display,
    allowed: impl Into<String>,
) -> Error {
    Error::Argument {
        component: NAME.into(),
        argument: argument.into(),
        given: given.to_string(),
        allowed: allowed.into(),
    }
}

fn diagonal_factors<'a>(
    variances: impl Iterator<Item = &'a f64> + Clone,
    roots: &mut Vec<f64>,
    inverses: &mut Vec<f64>,
) {
    roots.clear();
    roots.extend(variances.clone().map(|v| v.sqrt()));
    inverses.clear();
    inverses.extend(variances.map(|v| if *v > 0.0 { 1.0 / v } else { 0.0 }));
}

/// Shapes, signs and symmetry; whether a matrix is positive definite shows in its factorisation.
fn check_covariances(means: &Array2<f64>, covariances: &Covariances) -> Result {
    let (k, d) = means.dim();
    let shape = |found: &[usize], expected: &[usize]| {
        let words = |s: &[usize]| {
            s.iter()
                .map(usize::to_string)
                .collect::<Vec<_>>()
                .join(" × ")
        };
        if found == expected {
            return Ok(());
        }
        Err(wrong("covariances", words(found), words(expected)))
    };
    let positive = |v: f64| v > 0.0 && v.is_finite();
    match covariances {
        Covariances::Isotropic(v) => {
            shape(v.shape(), &[k])?;
            match v.iter().position(|v| !positive(*v)) {
                Some(i) => Err(wrong(
                    format!("covariances[{i}]"),
                    v[i],
                    "positive and finite",
                )),
                None => Ok(()),
            }
        }
        Covariances::Diagonal(v) => {
            shape(v.shape(), &[k, d])?;
            match v.indexed_iter().find(|(_, v)| !positive(**v)) {
                Some(((i, j), v)) => Err(wrong(
                    format!("covariances[{i}][{j}]"),
                    v,
                    "positive and finite",
                )),
                None => Ok(()),
            }
        }
        Covariances::Dense(c) => {
            shape(c.shape(), &[k, d, d])?;
            for ((k, i, j), v) in c.indexed_iter() {
                let at = || format!("covariances[{k}][{i}][{j}]");
                if !v.is_finite() {
                    return Err(wrong(at(), v, "finite"));
                }
                let scale = (c[(k, i, i)] * c[(k, j, j)]).abs().sqrt();
                if (v - c[(k, j, i)]).abs() > 1e-10 * scale {
                    let mirror = format!("{}, the entry mirrored in the diagonal", c[(k, j, i)]);
                    return Err(wrong(at(), v, mirror));
                }
            }
            Ok(())
        }
    }
}
