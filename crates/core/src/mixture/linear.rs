//! The law of A x + noise of covariance C, x from a Gaussian mixture, for A and C of any form.

use super::{Covariances, GaussianMixture, wrong};
use crate::{Form, Result};
use ndarray::{Array2, Array3, ArrayView2};

impl GaussianMixture {
    /// The law of A x + z, z ~ N(0, C), x from this mixture, into a mixture whose memory is used
    /// again. `alpha` (A) and `covariance` (C) hold the numbers of a matrix of form `form`, as of
    /// [`Linear::at`](crate::Linear::at). Nothing is allocated where `out` came from an earlier call
    /// of this function.
    ///
    /// The covariances come out as wide as they must be: of the form of the mixture for scalar A and
    /// C, diagonal for diagonal ones (unless the mixture is dense), else dense.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) when there are too few numbers, one is not finite,
    /// C is not positive, or a covariance would be singular; `out` is then of no use.
    pub fn noised_linear_into(
        &self,
        form: Form,
        alpha: &[f64],
        covariance: &[f64],
        out: &mut Self,
    ) -> Result {
        let (k, d) = self.means.dim();
        for (name, given) in [("alpha", alpha), ("covariance", covariance)] {
            if given.len() != form.len(d) {
                let found = format!("a list of {} numbers", given.len());
                return Err(wrong(name, found, format!("a list of {}", form.len(d))));
            }
            if let Some(v) = given.iter().find(|v| !v.is_finite()) {
                return Err(wrong(name, v, "finite"));
            }
        }
        if form == Form::Scalar {
            return self.noised_into(alpha[0], covariance[0], out);
        }
        if out.means.dim() != (k, d) {
            *out = self.clone();
        }
        out.weights.assign(&self.weights);
        out.log_scale = self.log_scale;
        let dense = form == Form::Dense || matches!(self.covariances, Covariances::Dense(_));
        match (&out.covariances, dense) {
            (Covariances::Diagonal(_), false) | (Covariances::Dense(_), true) => {}
            (_, false) => out.covariances = Covariances::Diagonal(Array2::zeros((k, d))),
            (_, true) => out.covariances = Covariances::Dense(Array3::zeros((k, d, d))),
        }
        if form == Form::Diagonal {
            self.spread_diagonal(alpha, covariance, out);
        } else {
            self.spread_dense(alpha, covariance, out);
        }
        let singular = || wrong("covariance", "singular", "positive definite");
        if let Covariances::Diagonal(v) = &out.covariances
            && !v.iter().all(|v| *v > 0.0)
        {
            return Err(singular());
        }
        out.factorise().map_err(|_| singular())
    }

    fn spread_diagonal(&self, alpha: &[f64], covariance: &[f64], out: &mut Self) {
        for (mut to, from) in out.means.rows_mut().into_iter().zip(self.means.rows()) {
            for j in 0..alpha.len() {
                to[j] = alpha[j] * from[j];
            }
        }
        match &mut out.covariances {
            Covariances::Dense(out) => {
                for ((k, i, j), c) in out.indexed_iter_mut() {
                    let own = if i == j { covariance[i] } else { 0.0 };
                    *c = alpha[i] * alpha[j] * self.entry(k, i, j) + own;
                }
            }
            Covariances::Diagonal(out) => {
                for ((k, j), c) in out.indexed_iter_mut() {
                    *c = alpha[j] * alpha[j] * self.entry(k, j, j) + covariance[j];
                }
            }
            Covariances::Isotropic(_) => {}
        }
    }

    fn spread_dense(&self, alpha: &[f64], covariance: &[f64], out: &mut Self) {
        let d = self.means.ncols();
        let a = ArrayView2::from_shape((d, d), alpha).expect("d × d numbers");
        let c = ArrayView2::from_shape((d, d), covariance).expect("d × d numbers");
        for (mut to, from) in out.means.rows_mut().into_iter().zip(self.means.rows()) {
            for i in 0..d {
                to[i] = a.row(i).dot(&from);
            }
        }
        let Covariances::Dense(all) = &mut out.covariances else {
            return;
        };
        // A Cₖ, in memory that the factorisation overwrites.
        out.inverses.resize(self.components() * d * d, 0.0);
        let product = &mut out.inverses[..d * d];
        for (k, mut to) in all.outer_iter_mut().enumerate() {
            for i in 0..d {
                for j in 0..d {
                    product[i * d + j] = match &self.covariances {
                        Covariances::Isotropic(v) => a[(i, j)] * v[k],
                        Covariances::Diagonal(v) => a[(i, j)] * v[(k, j)],
                        Covariances::Dense(m) => {
                            (0..d).map(|p| a[(i, p)] * m[(k, p, j)]).sum::<f64>()
                        }
                    };
                }
            }
            for i in 0..d {
                for j in 0..=i {
                    let sum: f64 = (0..d).map(|p| product[i * d + p] * a[(j, p)]).sum();
                    to[(i, j)] = sum + c[(i, j)];
                    to[(j, i)] = to[(i, j)];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Covariances, Form, GaussianMixture};
    use ndarray::{Array2, array};

    fn mixtures() -> [GaussianMixture; 4] {
        let (w, m) = (array![1.0, 3.0], array![[1.0, -0.5], [0.2, 2.0]]);
        let dense =
            ndarray::Array3::from_shape_fn(
                (2, 2, 2),
                |(k, i, j)| {
                    if i == j { 1.0 + k as f64 } else { 0.4 }
                },
            );
        [
            GaussianMixture::isotropic(w.clone(), m.clone(), array![0.3, 0.7]).unwrap(),
            GaussianMixture::diagonal(w.clone(), m.clone(), array![[0.3, 0.7], [1.0, 0.1]])
                .unwrap(),
            GaussianMixture::dense(w.clone(), m.clone(), dense).unwrap(),
            GaussianMixture::points(w, m).unwrap(),
        ]
    }

    /// Largest difference of the moments from A m, A S Aᵀ + C.
    fn error(mixture: &GaussianMixture, form: Form, a: &Array2<f64>, c: &Array2<f64>) -> f64 {
        let numbers = |m: &Array2<f64>| match form {
            Form::Scalar => vec![m[(0, 0)]],
            Form::Diagonal => m.diag().to_vec(),
            Form::Dense => m.iter().copied().collect(),
        };
        let mut out = mixture.clone();
        // Twice, so that memory of the first is used by the second.
        for _ in 0..2 {
            mixture
                .noised_linear_into(form, &numbers(a), &numbers(c), &mut out)
                .unwrap();
        }
        let mean = a.dot(&mixture.mean());
        let covariance = a.dot(&mixture.covariance()).dot(&a.t()) + c;
        let far = |e: f64, m: f64| e.max(m.abs());
        (out.mean() - mean).iter().fold(0.0, |e, v| far(e, *v))
            + (out.covariance() - covariance)
                .iter()
                .fold(0.0, |e, v| far(e, *v))
    }

    #[test]
    fn moments_follow_the_matrices_in_every_form() {
        let diagonal = (
            Array2::from_diag(&array![0.5, -0.8]),
            Array2::from_diag(&array![0.2, 0.9]),
        );
        let dense = (
            array![[0.5, 0.3], [-0.2, 0.7]],
            array![[0.6, 0.2], [0.2, 0.5]],
        );
        let scalar = (Array2::eye(2) * 0.6, Array2::eye(2) * 0.3);
        for mixture in mixtures() {
            assert!(error(&mixture, Form::Scalar, &scalar.0, &scalar.1) < 1e-14);
            assert!(error(&mixture, Form::Diagonal, &diagonal.0, &diagonal.1) < 1e-14);
            assert!(error(&mixture, Form::Dense, &dense.0, &dense.1) < 1e-14);
            // Read as diagonal, the dense matrices give another law.
            assert!(error(&mixture, Form::Diagonal, &dense.0, &dense.1) > 1e-2);
        }
    }

    #[test]
    fn forms_agree_where_they_are_the_same_matrix() {
        for mixture in mixtures() {
            let mut all = [mixture.clone(), mixture.clone(), mixture.clone()];
            let [s, i, d] = &mut all;
            let eye = |v: f64| [v, 0.0, 0.0, v];
            mixture
                .noised_linear_into(Form::Scalar, &[0.7], &[0.4], s)
                .unwrap();
            mixture
                .noised_linear_into(Form::Diagonal, &[0.7; 2], &[0.4; 2], i)
                .unwrap();
            mixture
                .noised_linear_into(Form::Dense, &eye(0.7), &eye(0.4), d)
                .unwrap();
            assert!(matches!(d.covariances(), Covariances::Dense(_)));
            for other in [&*i, &*d] {
                let change = s.covariance() - other.covariance();
                assert!(change.iter().all(|v| v.abs() < 1e-14));
            }
        }
    }

    #[test]
    fn singular_laws_and_wrong_lengths_are_refused() {
        let points = mixtures()[3].clone();
        let mut out = points.clone();
        let mut says = |form, a: &[f64], c: &[f64]| {
            let e = points.noised_linear_into(form, a, c, &mut out).unwrap_err();
            e.to_string()
        };
        assert!(says(Form::Dense, &[1.0, 0.0, 0.0, 1.0], &[0.0; 4]).contains("singular"));
        assert!(says(Form::Diagonal, &[1.0; 2], &[1.0, 0.0]).contains("singular"));
        assert!(says(Form::Diagonal, &[1.0; 2], &[1.0]).contains("list of 1 numbers"));
        assert!(says(Form::Dense, &[f64::NAN; 4], &[1.0; 4]).contains("NaN"));
    }
}
