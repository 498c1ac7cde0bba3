//! my-component: a forward process. Write here what it is, and where it comes from.
//!
//! dX = −½β X dt + √β dW on [0, T],   X_t | X_0 ~ N(αX_0, (1 − α²) I),   α = e^{−βt/2}
//!
//! As it stands it is the Ornstein–Uhlenbeck process: replace settings, drift, noise and reference
//! law by your own. Write the forward direction only: what runs backwards is made from it.

use retrograde::core::registry::Parts;
use retrograde::core::{Build, Cx, Error, Form, ForwardProcess, Linear, Result, Times, register};
use retrograde::ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::sync::Arc;

const NAME: &str = "process my-component";

/// Settings, as written under `[process]` with `kind = "my-component"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MyComponent {
    /// Rate β, > 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub rate: f64,
    /// Time T, > 0, at which the reference law N(0, I) holds.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub t_end: f64,
}

impl Default for MyComponent {
    fn default() -> Self {
        Self {
            rate: 2.0,
            t_end: 8.0,
        }
    }
}

impl Build<dyn ForwardProcess> for MyComponent {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        // The dimension comes from the target.
        let dim = parts.require_target(NAME)?.dim();
        Ok(Arc::new(Diffusion::new(self, dim)?))
    }
}

struct Diffusion {
    rate: f64,
    t_end: f64,
    dim: usize,
}

impl Diffusion {
    fn new(settings: MyComponent, dim: usize) -> Result<Self> {
        for (key, value) in [("rate", settings.rate), ("t_end", settings.t_end)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::setting(NAME, key, value, "a number above 0"));
            }
        }
        Ok(Self {
            rate: settings.rate,
            t_end: settings.t_end,
            dim,
        })
    }
}

impl ForwardProcess for Diffusion {
    fn dim(&self) -> usize {
        self.dim
    }

    fn t_end(&self) -> f64 {
        self.t_end
    }

    fn drift(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut f: ArrayViewMut2<'_, f64>,
    ) -> Result {
        f.zip_mut_with(&x, |f, x| *f = -0.5 * self.rate * x);
        Ok(())
    }

    fn apply_g(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        out.zip_mut_with(&z, |o, z| *o = self.rate.sqrt() * z);
        Ok(())
    }

    fn apply_ggt(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        out.zip_mut_with(&v, |o, v| *o = self.rate * v);
        Ok(())
    }

    fn reference_sample(&self, cx: &mut Cx<'_>, x: ArrayViewMut2<'_, f64>) -> Result {
        cx.fill_normal(x);
        Ok(())
    }

    fn reference_eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        if let Some(mut l) = log_density {
            let constant = -0.5 * self.dim as f64 * TAU.ln();
            for (l, x) in l.iter_mut().zip(x.outer_iter()) {
                *l = constant - 0.5 * x.dot(&x);
            }
        }
        if let Some(mut g) = gradient {
            g.zip_mut_with(&x, |g, x| *g = -x);
        }
        Ok(())
    }

    /// Leave this out, and `impl Linear`, where the law of X_t is not Gaussian.
    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for Diffusion {
    fn form(&self) -> Form {
        Form::Scalar
    }

    fn at(&self, t: f64, alpha: &mut [f64], covariance: &mut [f64]) {
        alpha[0] = (-0.5 * self.rate * t).exp();
        covariance[0] = -(-self.rate * t).exp_m1();
    }
}

register! {
    process "my-component" => MyComponent, needs TARGET,
        summary "One sentence for `list`",
        source "Author (year), title";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde::core::{Runtime, check};
    use retrograde::ndarray::{Array2, array};
    use retrograde::prelude::BatchTarget;

    fn process() -> Diffusion {
        Diffusion::new(
            MyComponent {
                rate: 1.5,
                t_end: 20.0,
            },
            2,
        )
        .unwrap()
    }

    fn with_cx<R>(f: impl FnOnce(&mut Cx<'_>) -> R) -> R {
        Runtime::new(1, 1).unwrap().enter("test", 0, f)
    }

    /// α′ = a α and C′ = 2 a C + g², with a = f(x)/x and g² = GGᵀ at x = 1.
    fn law_error(process: &Diffusion, g2_factor: f64) -> f64 {
        let (one, t, h) = (array![[1.0, 1.0]], 0.4, 1e-5);
        let (mut f, mut g2) = (one.clone(), one.clone());
        with_cx(|cx| {
            process.drift(cx, Times::Shared(t), one.view(), f.view_mut())?;
            process.apply_ggt(cx, Times::Shared(t), one.view(), one.view(), g2.view_mut())
        })
        .unwrap();
        let at = |t: f64| {
            let (mut alpha, mut c) = ([0.0], [0.0]);
            process.linear().unwrap().at(t, &mut alpha, &mut c);
            (alpha[0], c[0])
        };
        let ((a0, c0), (a1, c1), (a, c)) = (at(t - h), at(t + h), at(t));
        let (a_slope, c_slope) = ((a1 - a0) / (2.0 * h), (c1 - c0) / (2.0 * h));
        let alpha_error = (a_slope - f[(0, 0)] * a).abs();
        alpha_error.max((c_slope - 2.0 * f[(0, 0)] * c - g2_factor * g2[(0, 0)]).abs())
    }

    #[test]
    fn drift_and_noise_give_the_law_and_a_mistake_is_noticed() {
        assert!(law_error(&process(), 1.0) < 1e-8);
        assert!(law_error(&process(), 1.1) > 1e-2);
    }

    #[test]
    fn ggt_is_g_twice() {
        // Here G is symmetric: GGᵀv = G(Gv).
        let (x, v) = (array![[0.3, -2.0]], array![[1.0, -0.5]]);
        let [mut once, mut twice, mut ggt] = std::array::from_fn(|_| Array2::zeros((1, 2)));
        let (p, t) = (process(), Times::Shared(1.0));
        with_cx(|cx| {
            p.apply_g(cx, t, x.view(), v.view(), once.view_mut())?;
            p.apply_g(cx, t, x.view(), once.view(), twice.view_mut())?;
            p.apply_ggt(cx, t, x.view(), v.view(), ggt.view_mut())
        })
        .unwrap();
        assert!(
            (&twice - &ggt).iter().all(|e| e.abs() < 1e-12),
            "{twice} {ggt}"
        );
    }

    #[test]
    fn the_reference_law_is_that_of_the_end() {
        let (mut alpha, mut c) = ([0.0], [0.0]);
        let p = Arc::new(process());
        p.at(p.t_end(), &mut alpha, &mut c);
        assert!(alpha[0] < 1e-6 && (c[0] - 1.0).abs() < 1e-6);
        // Its gradient is that of its density.
        let law = p.clone();
        let reference = BatchTarget::new(2, move |x, l, g| {
            let eval = with_cx(|cx| law.reference_eval(cx, x, Some(l), Some(g)));
            eval.unwrap();
        });
        let x = array![[0.3, -2.0], [1.0, 0.2]];
        let report = with_cx(|cx| check::gradient(cx, &reference, x.view())).unwrap();
        assert!(report.worst < 1e-7, "{report:?}");
        // Draws: mean square 1, with error √(2/n).
        let mut draws = Array2::zeros((5000, 2));
        with_cx(|cx| p.reference_sample(cx, draws.view_mut())).unwrap();
        let n = draws.len() as f64;
        let z = (draws.iter().map(|v| v * v).sum::<f64>() / n - 1.0) / (2.0 / n).sqrt();
        assert!(z.abs() < 4.5, "{z}");
    }

    #[test]
    fn it_is_found_by_name_and_wrong_settings_are_refused() {
        let registry = retrograde::registry().unwrap();
        assert!(registry.iter().any(|c| c.label() == "process my-component"));
        let error = Diffusion::new(
            MyComponent {
                rate: 0.0,
                t_end: 1.0,
            },
            2,
        );
        let error = error.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("`rate` is 0"), "{error}");
    }
}
