//! Mixtures of Gamma laws of one shape: the data that stay closed under square-root diffusions.
//!
//! π(x) = Πⱼ Σₖ wₖ Γ(xⱼ; shape a, scale bₖ) on x > 0,   Γ(x; a, b) = x^{a−1} e^{−x/b}/(Γ(a) bᵃ)
//!
//! Coordinates are independent and alike. They stay of that family under the process `cir` if
//! a = 2κθ/σ² there.
//!
//! Source: closed form; Cox, Ingersoll & Ross (1985), Econometrica 53, 385.

use crate::draw::each_draw;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use rand_distr::{Distribution, Gamma, Open01};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, Exact, ExactSampler, GammaMixture, Law, Result, Target, Truth, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "target gamma-mixture";

/// Settings, as written under `[target]` with `kind = "gamma-mixture"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GammaLaws {
    /// Shape a, > 0, of all components.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub shape: f64,
    /// Scales bₖ, > 0.
    #[schemars(length(min = 1))]
    pub scales: Vec<f64>,
    /// Weights wₖ, > 0, of any sum, one for each scale; all equal by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    /// Number of coordinates d, ≥ 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub dim: usize,
}

fn one() -> usize {
    1
}

impl Build<dyn Target> for GammaLaws {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        if self.dim == 0 {
            return Err(Error::setting(NAME, "dim", 0, "at least 1"));
        }
        let k = self.scales.len();
        let weights = self.weights.unwrap_or_else(|| vec![1.0; k]);
        let law = GammaMixture::new(weights.into(), self.shape, self.scales.into(), self.dim);
        let law = law.map_err(|e| match e {
            Error::Argument {
                argument,
                given,
                allowed,
                ..
            } => Error::setting(NAME, argument, given, allowed),
            other => other,
        })?;
        let draws = Gamma::new(law.shape, 1.0)
            .map_err(|e| Error::setting(NAME, "shape", law.shape, e.to_string()))?;
        Ok(Arc::new(Laws { law, draws }))
    }
}

struct Laws {
    law: GammaMixture,
    /// Of scale 1.
    draws: Gamma<f64>,
}

impl Target for Laws {
    fn dim(&self) -> usize {
        self.law.dim
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        for (i, x) in x.rows().into_iter().enumerate() {
            let (mut sum, outside) = (0.0, x.iter().any(|x| *x <= 0.0 || x.is_infinite()));
            for (j, x) in x.iter().enumerate() {
                let (value, slope) = self.law.coordinate(*x);
                sum += value;
                if let Some(g) = &mut gradient {
                    // Where there is no mass, or no number, the gradient is 0.
                    g[(i, j)] = if outside || slope.is_nan() {
                        0.0
                    } else {
                        slope
                    };
                }
            }
            if let Some(l) = &mut log_density {
                l[i] = sum;
            }
        }
        Ok(())
    }

    fn law(&self) -> Option<Law<'_>> {
        Some(Law::Gamma(&self.law))
    }

    fn exact(&self) -> Option<&dyn Exact> {
        Some(self)
    }
}

impl Exact for Laws {
    fn truth(&self) -> Truth {
        let GammaMixture {
            weights,
            shape: a,
            scales,
            dim,
        } = &self.law;
        let mean = a * weights.dot(scales);
        let square = a * (a + 1.0) * weights.dot(&(scales * scales));
        Truth {
            log_z: Some(0.0),
            mean: Some(vec![mean; *dim]),
            variance: Some(vec![square - mean * mean; *dim]),
            source: "closed form".into(),
            ..Truth::default()
        }
    }

    fn sampler(&self) -> Option<&dyn ExactSampler> {
        Some(self)
    }
}

impl ExactSampler for Laws {
    fn sample(&self, cx: &mut Cx<'_>, out: ArrayViewMut2<'_, f64>) -> Result {
        each_draw(cx, self.law.dim, out, |rng, x| {
            for x in x {
                let u: f64 = Open01.sample(rng);
                let (mut sum, mut k) = (self.law.weights[0], 0);
                while sum <= u && k + 1 < self.law.weights.len() {
                    k += 1;
                    sum += self.law.weights[k];
                }
                *x = (self.law.scales[k] * self.draws.sample(rng)).max(f64::MIN_POSITIVE);
            }
        })
    }
}

register! {
    target "gamma-mixture" => GammaLaws, needs NOTHING,
        summary "Mixture of Gamma laws of one shape on positive numbers, closed under the process cir",
        source "closed form";
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use retrograde_core::registry::Folder;
    use retrograde_testkit::*;

    fn settings() -> GammaLaws {
        GammaLaws {
            shape: 3.125,
            scales: vec![0.1, 0.7],
            weights: Some(vec![1.0, 3.0]),
            dim: 2,
        }
    }

    fn build(t: GammaLaws) -> Result<Arc<dyn Target>> {
        t.build(&Parts::new(&Folder::default()))
    }

    #[test]
    fn it_has_its_mass_draws_and_gradient() {
        let target = build(settings()).unwrap();
        assert_target(
            "gamma",
            &*target,
            array![[0.3, 1.2], [4.0, 0.1], [2.0, 2.0]].view(),
        );
        assert_exact_sampler("gamma", &*target, 20_000, 3);
        let (log_z, se) = importance_log_z(&*target, &[1.5; 2], &[1.8; 2], 60_000, 4);
        assert_z("log Z", log_z, 0.0, se);
        assert_eq!(eval(&*target, &[1.0, -1.0]).0, f64::NEG_INFINITY);
        assert!(matches!(target.law(), Some(Law::Gamma(_))));
    }

    #[test]
    fn mistakes_name_their_key() {
        let message = |t: GammaLaws| build(t).err().unwrap().to_string();
        let shape = GammaLaws {
            shape: 0.0,
            ..settings()
        };
        assert!(message(shape).contains("`shape` is 0"));
        let weights = GammaLaws {
            weights: Some(vec![1.0]),
            ..settings()
        };
        assert!(message(weights).contains("`scales` is 1 weights"));
        let dim = GammaLaws {
            dim: 0,
            ..settings()
        };
        assert!(message(dim).contains("`dim` is 0"));
    }
}
