//! The parts that components are tried with: a Gaussian whose coordinates are correlated, an
//! Ornstein–Uhlenbeck process, and the exact score of the one under the other.

use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip};
use retrograde_core::{
    Cx, Form, ForwardProcess, GaussianMixture, Linear, LogMarginal, Result, Score, Target, Times,
    Traits,
};

/// N(m 1, a I + b 1 1ᵀ) in d dimensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gaussian {
    pub(crate) d: usize,
    pub(crate) mean: f64,
    pub(crate) a: f64,
    pub(crate) b: f64,
}

impl Gaussian {
    /// Variances 1, correlations 1/2, means 1/2.
    pub(crate) fn new(d: usize) -> Self {
        Self {
            d,
            mean: 0.5,
            a: 0.5,
            b: 0.5,
        }
    }

    /// One that differs in all of these.
    pub(crate) fn other(d: usize) -> Self {
        Self {
            d,
            mean: -0.3,
            a: 0.7,
            b: 0.2,
        }
    }

    /// Its law at time t of [`Ou`].
    fn at(&self, t: f64) -> Self {
        let decay = (-2.0 * t).exp();
        Self {
            d: self.d,
            mean: (-t).exp() * self.mean,
            a: decay * self.a - (-2.0 * t).exp_m1(),
            b: decay * self.b,
        }
    }

    /// The logarithm of the integral of exp(−½ (x − m)ᵀ C⁻¹ (x − m)).
    pub(crate) fn log_z(&self) -> f64 {
        let d = self.d as f64;
        0.5 * (d * std::f64::consts::TAU.ln()
            + (d - 1.0) * self.a.ln()
            + (self.a + d * self.b).ln())
    }

    /// −½ (x − m)ᵀ C⁻¹ (x − m), and its gradient into `g`. C⁻¹ by Sherman and Morrison.
    fn look(&self, x: ndarray::ArrayView1<'_, f64>, mut g: Option<ArrayViewMut1<'_, f64>>) -> f64 {
        let sum: f64 = x.iter().map(|v| v - self.mean).sum();
        let common = self.b * sum / (self.a + self.d as f64 * self.b);
        let mut l = 0.0;
        for (j, v) in x.iter().enumerate() {
            let slope = -((v - self.mean) - common) / self.a;
            l += 0.5 * (v - self.mean) * slope;
            if let Some(g) = &mut g {
                g[j] = slope;
            }
        }
        l
    }
}

impl Target for Gaussian {
    fn dim(&self) -> usize {
        self.d
    }

    fn eval(
        &self,
        _: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        for (i, x) in x.rows().into_iter().enumerate() {
            let l = self.look(x, gradient.as_mut().map(|g| g.row_mut(i)));
            if let Some(all) = &mut log_density {
                all[i] = l;
            }
        }
        Ok(())
    }

    fn mixture(&self) -> Option<&GaussianMixture> {
        None
    }
}

/// dX = −X dt + √2 dW, up to T = 4.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ou {
    pub(crate) d: usize,
}

impl ForwardProcess for Ou {
    fn dim(&self) -> usize {
        self.d
    }

    fn t_end(&self) -> f64 {
        4.0
    }

    fn drift(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        x: ArrayView2<'_, f64>,
        f: ArrayViewMut2<'_, f64>,
    ) -> Result {
        Zip::from(f).and(x).for_each(|f, x| *f = -x);
        Ok(())
    }

    fn apply_g(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        _: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let g = std::f64::consts::SQRT_2;
        Zip::from(out).and(z).for_each(|o, z| *o = g * z);
        Ok(())
    }

    fn apply_ggt(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        _: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        Zip::from(out).and(v).for_each(|o, v| *o = 2.0 * v);
        Ok(())
    }

    fn reference_sample(&self, cx: &mut Cx<'_>, x: ArrayViewMut2<'_, f64>) -> Result {
        cx.fill_normal(x);
        Ok(())
    }

    fn reference_eval(
        &self,
        _: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let norm = 0.5 * self.d as f64 * std::f64::consts::TAU.ln();
        if let Some(l) = log_density {
            Zip::from(l)
                .and(x.rows())
                .for_each(|l, x| *l = -0.5 * x.dot(&x) - norm);
        }
        if let Some(g) = gradient {
            Zip::from(g).and(x).for_each(|g, x| *g = -x);
        }
        Ok(())
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }

    fn autonomous(&self) -> bool {
        true
    }
}

impl Linear for Ou {
    fn form(&self) -> Form {
        Form::Scalar
    }

    fn at(&self, t: f64, alpha: &mut [f64], covariance: &mut [f64]) {
        alpha[0] = (-t).exp();
        covariance[0] = -(-2.0 * t).exp_m1();
    }
}

/// The score of [`Gaussian`] under [`Ou`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExactScore(pub(crate) Gaussian);

impl ExactScore {
    /// At one point.
    pub(crate) fn at(&self, t: f64, x: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; x.len()];
        let view = ndarray::aview1(x);
        self.0.at(t).look(view, Some((&mut out[..]).into()));
        out
    }
}

impl Score for ExactScore {
    fn dim(&self) -> usize {
        self.0.d
    }

    fn traits(&self) -> Traits {
        Traits::PURE
    }

    fn eval(
        &self,
        _: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        for (i, x) in x.rows().into_iter().enumerate() {
            self.0.at(t.at(i)).look(x, Some(out.row_mut(i)));
        }
        Ok(())
    }

    fn log_marginal(&self) -> Option<&dyn LogMarginal> {
        Some(self)
    }
}

impl LogMarginal for ExactScore {
    fn log_marginal(
        &self,
        _: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        for (i, x) in x.rows().into_iter().enumerate() {
            let law = self.0.at(t.at(i));
            out[i] = law.look(x, None) - law.log_z();
        }
        Ok(())
    }
}
