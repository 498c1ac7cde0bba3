//! Student's t in d dimensions, round and centred, without its normalising constant.
//!
//! ℓ(x) = −½ (ν + d) ln(1 + r²/(ν s²)),   ∇ℓ(x) = −c x,   c = (ν + d)/(ν s² + r²),   r = |x|
//!
//! ∇²ℓ(x) v = −c v + 2c/(ν s² + r²) (x·v) x,   Z = (π ν s²)^{d/2} Γ(ν/2)/Γ((ν + d)/2)
//!
//! Source: Kotz & Nadarajah (2004), Multivariate t Distributions and Their Applications, ch. 1.

use retrograde_plugin::core::{Hvp, Outputs};
use retrograde_plugin::prelude::*;

const NAME: &str = "target student-t";

/// Settings, as written under `[target]` with `kind = "demo-rust/student-t"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StudentT {
    /// Dimension d, ≥ 1.
    #[schemars(range(min = 1))]
    pub(crate) dim: usize,
    /// Degrees of freedom ν, > 0: moments of order ν and above do not exist.
    #[serde(default = "four")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub(crate) degrees: f64,
    /// Scale s, > 0.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub(crate) scale: f64,
}

fn four() -> f64 {
    4.0
}

fn one() -> f64 {
    1.0
}

impl Build<dyn Target> for StudentT {
    fn build(self, _: &Parts<'_>) -> Result<Arc<dyn Target>> {
        if self.dim == 0 {
            return Err(Error::setting(NAME, "dim", 0, "at least 1"));
        }
        for (key, value) in [("degrees", self.degrees), ("scale", self.scale)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::setting(NAME, key, value, "a number above 0"));
            }
        }
        Ok(Arc::new(self))
    }
}

impl StudentT {
    /// ν s² and the sum of squares of a row.
    fn parts(&self, x: ArrayView1<'_, f64>) -> (f64, f64) {
        (self.degrees * self.scale * self.scale, x.dot(&x))
    }

    fn power(&self) -> f64 {
        self.degrees + self.dim as f64
    }
}

impl Target for StudentT {
    fn dim(&self) -> usize {
        self.dim
    }

    fn eval(
        &self,
        _: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        for (i, x) in x.outer_iter().enumerate() {
            let (width, square) = self.parts(x);
            if let Some(l) = &mut log_density {
                l[i] = -0.5 * self.power() * (square / width).ln_1p();
            }
            if let Some(g) = &mut gradient {
                let c = self.power() / (width + square);
                g.row_mut(i).zip_mut_with(&x, |g, x| *g = -c * x);
            }
        }
        Ok(())
    }

    fn coordinate(&self, i: usize) -> String {
        format!("t{i}")
    }

    fn hvp(&self) -> Option<&dyn Hvp> {
        Some(self)
    }

    fn outputs(&self) -> Option<&dyn Outputs> {
        Some(self)
    }
}

impl Hvp for StudentT {
    fn hvp(
        &self,
        _: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        for ((x, v), mut out) in x.outer_iter().zip(v.outer_iter()).zip(out.outer_iter_mut()) {
            let (width, square) = self.parts(x);
            let c = self.power() / (width + square);
            let along = 2.0 * c * x.dot(&v) / (width + square);
            for ((o, x), v) in out.iter_mut().zip(x).zip(v) {
                *o = along * x - c * v;
            }
        }
        Ok(())
    }
}

/// Beside the draws: the distance from the middle.
impl Outputs for StudentT {
    fn count(&self) -> usize {
        1
    }

    fn name(&self, _: usize) -> String {
        "radius".into()
    }

    fn eval(
        &self,
        _: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        for (x, o) in x.outer_iter().zip(&mut out) {
            *o = x.dot(&x).sqrt();
        }
        Ok(())
    }
}
