//! Standard normal in d dimensions, normalised: log π(x) = −½‖x‖² − (d/2) ln 2π.

use crate::point::each_row;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Exact, ExactSampler, GaussianMixture, Law, Result, Target, Truth, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Settings, as written under `[target]` with `kind = "standard-normal"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StandardNormal {
    /// Dimension d, 1 to 10⁶.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub dim: usize,
}

impl Build<dyn Target> for StandardNormal {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let one = || Array1::ones(1);
        let law = GaussianMixture::isotropic(one(), Array2::zeros((1, self.dim)), one())?;
        Ok(Arc::new(WithLaw { target: self, law }))
    }
}

/// The target with its law, for what runs forward processes from it.
struct WithLaw {
    target: StandardNormal,
    law: GaussianMixture,
}

impl Target for WithLaw {
    fn dim(&self) -> usize {
        self.target.dim
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        self.target.eval(cx, x, log_density, gradient)
    }

    fn law(&self) -> Option<Law<'_>> {
        Some(Law::Mixture(&self.law))
    }

    fn exact(&self) -> Option<&dyn Exact> {
        Some(&self.target)
    }
}

impl Target for StandardNormal {
    fn dim(&self) -> usize {
        self.dim
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let constant = -0.5 * self.dim as f64 * TAU.ln();
        each_row(x, log_density, gradient, |x, g| {
            if let Some(g) = g {
                g.iter_mut().zip(x).for_each(|(g, x)| *g = -x);
            }
            constant - 0.5 * x.iter().map(|v| v * v).sum::<f64>()
        });
        Ok(())
    }

    fn exact(&self) -> Option<&dyn Exact> {
        Some(self)
    }
}

impl Exact for StandardNormal {
    fn truth(&self) -> Truth {
        Truth {
            log_z: Some(0.0),
            mean: Some(vec![0.0; self.dim]),
            variance: Some(vec![1.0; self.dim]),
            source: "closed form".into(),
            ..Truth::default()
        }
    }

    fn sampler(&self) -> Option<&dyn ExactSampler> {
        Some(self)
    }
}

impl ExactSampler for StandardNormal {
    fn sample(&self, cx: &mut Cx<'_>, out: ArrayViewMut2<'_, f64>) -> Result {
        cx.fill_normal(out);
        Ok(())
    }
}

register! {
    target "standard-normal" => StandardNormal, needs NOTHING,
        summary "Standard normal in any dimension",
        source "closed form";
}

#[cfg(test)]
mod tests {
    use super::StandardNormal;
    use ndarray::Array2;
    use retrograde_core::registry::{Folder, Parts};
    use retrograde_core::{Build, Law};
    use retrograde_testkit::*;

    #[test]
    fn value_gradient_and_draws() {
        let target = StandardNormal { dim: 10 };
        let row = Row(-10.017510332047, 0.25, 0.625, 0.25, 1.65625);
        assert_row("standard normal", &target, &point(10), row, 1e-10);
        let points = Array2::from_shape_fn((5, 10), |(i, j)| (i as f64 - 2.0) * point(10)[j]);
        assert_target("standard normal", &target, points.view());
        assert_exact_sampler("standard normal", &target, 20_000, 1);
        // The law is the same density.
        let built = target.build(&Parts::new(&Folder::default())).unwrap();
        let Some(Law::Mixture(law)) = built.law() else {
            panic!("a mixture");
        };
        assert_row("its law", law, &point(10), row, 1e-10);
        assert_row("as built", &*built, &point(10), row, 1e-10);
    }
}
