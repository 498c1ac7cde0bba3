//! Banana: a Gaussian in the plane, bent.
//!
//! Source: Haario, Saksman & Tamminen (1999), Computational Statistics 14, 375–395.
//!
//! y = x₁ + b x₀² − 100 b,   log π(x) = −x₀²/200 − y²/2 − ½ ln 100 − ln 2π
//!
//! x₀ ~ N(0, 100) and y ~ N(0, 1) are independent: log Z = 0, E x = 0, Var x₀ = 100,
//! Var x₁ = 1 + 2 b² 10⁴.

use crate::draw::check_columns;
use crate::point::each_row;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, Exact, ExactSampler, Expectation, Result, Target, Truth, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Settings, as written under `[target]` with `kind = "banana"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Banana {
    /// Bend b, any number of magnitude ≤ 10⁶; 0.03 by default, 0.1 is the strongly bent variant.
    #[serde(default = "bend")]
    #[schemars(range(min = -1e6, max = 1e6))]
    pub bend: f64,
}

fn bend() -> f64 {
    0.03
}

impl Build<dyn Target> for Banana {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        if self.bend.abs() <= 1e6 {
            return Ok(Arc::new(self));
        }
        Err(Error::setting(
            "target banana",
            "bend",
            self.bend,
            "-1e6 to 1e6",
        ))
    }
}

impl Target for Banana {
    fn dim(&self) -> usize {
        2
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let b = self.bend;
        let constant = -10f64.ln() - TAU.ln();
        each_row(x, log_density, gradient, |x, g| {
            // In this order b = 0 gives no 0 · ∞.
            let y = x[1] + b * x[0] * x[0] - 100.0 * b;
            let l = constant - x[0] * x[0] / 200.0 - 0.5 * y * y;
            if let Some(g) = g {
                g[0] = -x[0] / 100.0 - 2.0 * b * x[0] * y;
                g[1] = -y;
                if l == f64::NEG_INFINITY {
                    g.fill(0.0);
                }
            }
            l
        });
        Ok(())
    }

    fn exact(&self) -> Option<&dyn Exact> {
        Some(self)
    }
}

impl Exact for Banana {
    fn truth(&self) -> Truth {
        let b = self.bend;
        Truth {
            log_z: Some(0.0),
            mean: Some(vec![0.0; 2]),
            variance: Some(vec![100.0, 1.0 + 2e4 * b * b]),
            expectations: vec![Expectation::new("E (x1 + b x0²)", 100.0 * b, move |x| {
                x[1] + b * x[0] * x[0]
            })],
            source: "closed form".into(),
            ..Truth::default()
        }
    }

    fn sampler(&self) -> Option<&dyn ExactSampler> {
        Some(self)
    }
}

impl ExactSampler for Banana {
    fn sample(&self, cx: &mut Cx<'_>, mut out: ArrayViewMut2<'_, f64>) -> Result {
        check_columns(2, &out)?;
        cx.fill_normal(out.view_mut());
        for mut x in out.rows_mut() {
            x[0] *= 10.0;
            x[1] -= self.bend * (x[0] * x[0] - 100.0);
        }
        Ok(())
    }
}

register! {
    target "banana" => Banana, needs NOTHING,
        summary "Bent Gaussian in the plane",
        source "Haario, Saksman & Tamminen 1999, Computational Statistics 14, 375-395";
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use retrograde_core::registry::Folder;
    use retrograde_testkit::*;

    #[test]
    fn both_bends() {
        let slight = Row(
            -6.956635792216,
            -0.033096875,
            2.373125,
            2.340028125,
            5.632817668760,
        );
        let strong = Row(
            -48.027512940653,
            -0.4659375,
            9.36875,
            8.9028125,
            87.99057431641,
        );
        for (bend, row, variance) in [(bend(), slight, 19.0), (0.1, strong, 201.0)] {
            let target = Banana { bend };
            assert_row("banana", &target, &point(2), row, 1e-10);
            let x = array![[0.3, 1.0], [-12.0, -1.5], [20.0, -9.0], [9.0, 0.0]];
            assert_target("banana", &target, x.view());
            assert_exact_sampler("banana", &target, 40_000, 1);
            let truth = target.exact().unwrap().truth();
            assert_close("variance", truth.variance.unwrap()[1], variance, 1e-13);
            // Centred on the bend, with tails beyond the banana's: weights stay bounded enough.
            let sd = [13.0, 2.5 * variance.sqrt()];
            let (log_z, se) = importance_log_z(&target, &[0.0, -variance.sqrt()], &sd, 200_000, 2);
            assert_z("banana", log_z, 0.0, se);
        }
    }

    #[test]
    fn mistakes_name_their_key() {
        let build = |bend| Banana { bend }.build(&Parts::new(&Folder::default()));
        for bend in [f64::NAN, f64::INFINITY, -1e7] {
            let message = build(bend).err().unwrap().to_string();
            assert!(message.contains("`bend` is"), "{message}");
        }
        assert!(build(0.0).is_ok());
    }
}
