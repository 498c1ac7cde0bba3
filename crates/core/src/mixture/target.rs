//! A Gaussian mixture as a target, with its exact moments and draws.

use super::{Covariances, GaussianMixture, NAME};
use crate::{Cx, Error, Exact, ExactSampler, Result, Target, Truth};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis};

impl Target for GaussianMixture {
    fn dim(&self) -> usize {
        self.means.ncols()
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        self.visit(cx, x, log_density, gradient, None)
    }

    fn has_density(&self) -> bool {
        self.is_density()
    }

    fn has_gradient(&self) -> bool {
        self.is_density()
    }

    fn mixture(&self) -> Option<&GaussianMixture> {
        Some(self)
    }

    fn exact(&self) -> Option<&dyn Exact> {
        Some(self)
    }
}

impl Exact for GaussianMixture {
    fn truth(&self) -> Truth {
        Truth {
            log_z: self.is_density().then_some(self.log_scale),
            mean: Some(self.mean().to_vec()),
            variance: Some(self.variance().to_vec()),
            source: "closed form".into(),
            ..Truth::default()
        }
    }

    fn sampler(&self) -> Option<&dyn ExactSampler> {
        Some(self)
    }
}

impl ExactSampler for GaussianMixture {
    fn sample(&self, cx: &mut Cx<'_>, mut out: ArrayViewMut2<'_, f64>) -> Result {
        let (n, d) = out.dim();
        if d != self.means.ncols() {
            let expected = format!("{} columns", self.means.ncols());
            return Err(Error::shape(NAME, "out", expected, format!("{d} columns")));
        }
        let mut u = cx.take(n);
        let mut choice = ArrayViewMut1::from(&mut u[..]);
        cx.fill_uniform_1(choice.view_mut());
        cx.fill_normal(out.view_mut());
        let outcome = cx.rows(n, (choice.view(), out), |_, _, (choice, mut out)| {
            for (u, mut x) in choice.iter().zip(out.axis_iter_mut(Axis(0))) {
                let k = self.cumulative.partition_point(|c| c <= u);
                // The last sum may be 1 − ε.
                self.place(k.min(self.components() - 1), x.view_mut());
            }
            Ok(())
        });
        cx.give(u);
        outcome
    }
}

impl GaussianMixture {
    /// Turns standard normals into a draw of component `k`.
    fn place(&self, k: usize, mut x: ArrayViewMut1<'_, f64>) {
        let (d, mean) = (x.len(), self.means.row(k));
        let root = &self.roots[k * self.roots.len() / self.components()..];
        match &self.covariances {
            Covariances::Isotropic(_) => {
                x.zip_mut_with(&mean, |x, m| *x = m + root[0] * *x);
            }
            Covariances::Diagonal(_) => {
                for j in 0..d {
                    x[j] = mean[j] + root[j] * x[j];
                }
            }
            Covariances::Dense(_) => {
                // From the last coordinate up, so that the normals still needed are still there.
                for i in (0..d).rev() {
                    let sum: f64 = (0..=i).map(|j| root[i * d + j] * x[j]).sum();
                    x[i] = mean[i] + sum;
                }
            }
        }
    }
}
