//! my-component: a density on ℝᵈ. Write here what it is, and where it comes from.
//!
//! ℓ(x) = −½ Σⱼ (xⱼ/s)²,   ∇ℓ(x) = −x/s²
//!
//! Replace settings, `eval` and the known answers of the tests by your own.

use retrograde::core::registry::Parts;
use retrograde::core::{Build, Cx, Error, Result, Target, register};
use retrograde::ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Settings, as written under `[target]` with `kind = "my-component"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MyComponent {
    /// Dimension d, ≥ 1.
    #[serde(default = "two")]
    #[schemars(range(min = 1))]
    pub dim: usize,
    /// Standard deviation s of each coordinate, > 0.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub scale: f64,
}

fn two() -> usize {
    2
}

fn one() -> f64 {
    1.0
}

impl Build<dyn Target> for MyComponent {
    /// Checks what the schema cannot, reads files (`parts.files`), computes what every call needs.
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        if !(self.scale > 0.0 && self.scale.is_finite()) {
            let (component, given) = ("target my-component", self.scale);
            return Err(Error::setting(
                component,
                "scale",
                given,
                "a number above 0",
            ));
        }
        Ok(Arc::new(self))
    }
}

impl Target for MyComponent {
    fn dim(&self) -> usize {
        self.dim
    }

    /// `x` is n × d. What is given is written whole: −∞ where there is no mass.
    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let precision = 1.0 / (self.scale * self.scale);
        for (i, x) in x.outer_iter().enumerate() {
            if let Some(l) = &mut log_density {
                l[i] = -0.5 * precision * x.dot(&x);
            }
            if let Some(g) = &mut gradient {
                g.row_mut(i).zip_mut_with(&x, |g, x| *g = -precision * x);
            }
        }
        Ok(())
    }
}

register! {
    target "my-component" => MyComponent, needs NOTHING,
        summary "One sentence for `list`",
        source "Author (year), title";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde::core::registry::Folder;
    use retrograde::core::{Registry, Runtime, check};
    use retrograde::ndarray::{Array1, Array2, array};
    use retrograde::prelude::{Run, Smc};
    use std::f64::consts::TAU;

    fn built(dim: usize, scale: f64) -> Result<Arc<dyn Target>> {
        MyComponent { dim, scale }.build(&Parts::new(&Folder::default()))
    }

    #[test]
    fn values_by_hand() {
        let target = built(2, 2.0).unwrap();
        let (mut l, mut g) = (Array1::zeros(2), Array2::zeros((2, 2)));
        let x = array![[0.0, 0.0], [2.0, -4.0]];
        Runtime::new(1, 1)
            .unwrap()
            .enter("test", 0, |cx| {
                cx.eval_target(&*target, x.view(), Some(l.view_mut()), Some(g.view_mut()))
            })
            .unwrap();
        assert_eq!(l, array![0.0, -2.5]);
        assert_eq!(g, array![[0.0, 0.0], [-0.5, 1.0]]);
    }

    #[test]
    fn the_gradient_is_that_of_the_density() {
        let target = built(3, 0.7).unwrap();
        let x = Array2::from_shape_fn((4, 3), |(i, j)| 0.3 * i as f64 - 0.5 * j as f64 + 0.1);
        let report = Runtime::new(1, 1)
            .unwrap()
            .enter("test", 0, |cx| check::gradient(cx, &*target, x.view()))
            .unwrap();
        assert!(report.worst < 1e-7 && report.slopes == 12, "{report:?}");
    }

    /// Z = (2π s²)^{d/2}; the estimate within 4.5 of its standard errors.
    #[test]
    fn a_run_finds_the_known_log_z() {
        let run = Run::shared(built(2, 0.7).unwrap()).sampler(Smc::default());
        let result = run.draws(1000).seed(1).run().unwrap();
        let log_z = result.log_z().unwrap();
        let exact = TAU.ln() + 2.0 * 0.7f64.ln();
        let z = (log_z.value - exact) / log_z.se.unwrap();
        assert!(z.abs() < 4.5, "{log_z:?}, exactly {exact}");
    }

    #[test]
    fn it_is_found_by_name_and_wrong_settings_are_refused() {
        let registry: Registry = retrograde::registry().unwrap();
        assert!(registry.iter().any(|c| c.label() == "target my-component"));
        for scale in [0.0, -1.0, f64::NAN] {
            let error = built(2, scale).map(|_| ()).unwrap_err().to_string();
            assert!(
                error.contains("`scale`") && error.contains("above 0"),
                "{error}"
            );
        }
    }
}
