//! A Gaussian mixture tilted by h: the data that stay closed under Beneš processes.
//!
//! π(x) = h(x, 0) ρ(x),   h(x, t) = Σᵢ ωᵢ exp(aᵢ·x − |aᵢ|² t/2),   Σ ωᵢ = 1,   ρ = Σₖ wₖ N(mₖ, Vₖ)
//!
//! It is a mixture itself, of the weights ∝ wₖ ωᵢ exp(aᵢ·mₖ + ½ aᵢᵀ Vₖ aᵢ), the means mₖ + Vₖ aᵢ and
//! the covariances Vₖ; log Z is the logarithm of the sum of those.
//!
//! Source: exponential tilting of a Gaussian (completing the square).

use crate::gaussian_mixture::Mixture;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, Exact, GaussianMixture, Law, Result, Target, Tilt, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "target tilted-mixture";

/// Settings, as written under `[target]` with `kind = "tilted-mixture"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TiltedMixture {
    /// The mixture ρ, with the settings of the target `gaussian-mixture`; its `log_z` is left out.
    pub base: Mixture,
    /// Directions aᵢ: lists of d numbers.
    #[schemars(length(min = 1))]
    pub directions: Vec<Vec<f64>>,
    /// Weights ωᵢ > 0, of any sum, one for each direction; all equal by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tilt_weights: Option<Vec<f64>>,
}

impl Build<dyn Target> for TiltedMixture {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let base = base(self.base, NAME, parts)?;
        let d = Target::dim(&base);
        if let Some(i) = self.directions.iter().position(|a| a.len() != d) {
            let given = format!("a list of {} numbers", self.directions[i].len());
            let allowed = format!("a list of {d} (the dimension of `base`)");
            return Err(Error::setting(
                NAME,
                format!("directions[{i}]"),
                given,
                allowed,
            ));
        }
        let k = self.directions.len();
        let a = Array2::from_shape_fn((k, d), |(i, j)| self.directions[i][j]);
        let w = self
            .tilt_weights
            .map_or_else(|| Array1::ones(k), Array1::from);
        let as_setting = |e: Error| match e {
            Error::Argument {
                argument,
                given,
                allowed,
                ..
            } => {
                let key = if argument == "weights" {
                    "tilt_weights".into()
                } else {
                    argument
                };
                Error::setting(NAME, key, given, allowed)
            }
            other => other,
        };
        let tilt = Tilt::new(w, a).map_err(as_setting)?;
        let (law, log_z) = tilt.apply(&base).map_err(as_setting)?;
        let law = law.with_log_scale(log_z)?;
        Ok(Arc::new(Tilted { tilt, base, law }))
    }
}

/// The mixture of a table of settings.
pub(crate) fn base(settings: Mixture, name: &str, parts: &Parts<'_>) -> Result<GaussianMixture> {
    let target = settings.build(parts).map_err(|e| match e {
        Error::Setting {
            key,
            given,
            allowed,
            ..
        } => Error::setting(name, format!("base.{key}"), given, allowed),
        other => other,
    })?;
    let mixture = target.mixture().expect("the target is a mixture");
    mixture.clone().with_log_scale(0.0)
}

struct Tilted {
    tilt: Tilt,
    base: GaussianMixture,
    law: GaussianMixture,
}

impl Target for Tilted {
    fn dim(&self) -> usize {
        Target::dim(&self.law)
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        self.law.eval(cx, x, log_density, gradient)
    }

    fn mixture(&self) -> Option<&GaussianMixture> {
        Some(&self.law)
    }

    fn law(&self) -> Option<Law<'_>> {
        Some(Law::Tilted {
            tilt: &self.tilt,
            base: &self.base,
        })
    }

    fn exact(&self) -> Option<&dyn Exact> {
        self.law.exact()
    }
}

register! {
    target "tilted-mixture" => TiltedMixture, needs NOTHING,
        summary "Gaussian mixture tilted by a sum of exponentials, closed under Beneš processes",
        source "closed form";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_core::registry::Folder;
    use retrograde_testkit::*;

    fn settings() -> TiltedMixture {
        TiltedMixture {
            base: Mixture {
                weights: Some(vec![0.3, 0.7]),
                means: vec![vec![-1.0, 0.5], vec![1.2, 0.0]],
                sd: Some(vec![0.4, 0.8].into()),
                variances: None,
                covariances: None,
                log_z: 0.0,
            },
            directions: vec![vec![1.0, 0.3], vec![-0.8, 0.6], vec![0.0, -1.1]],
            tilt_weights: Some(vec![1.0, 2.0, 4.0]),
        }
    }

    fn build(t: TiltedMixture) -> Result<Arc<dyn Target>> {
        t.build(&Parts::new(&Folder::default()))
    }

    #[test]
    fn it_is_h_times_the_base() {
        let target = build(settings()).unwrap();
        let x = Array2::from_shape_fn((5, 2), |(i, j)| (i as f64 - 2.0) * point(2)[j]);
        assert_target("tilted", &*target, x.view());
        assert_exact_sampler("tilted", &*target, 20_000, 3);
        let Some(Law::Tilted { tilt, base }) = target.law() else {
            panic!("another law");
        };
        for x in x.rows() {
            let x = x.to_vec();
            let want = tilt.eval(&x, 0.0, None) + eval(base, &x).0;
            assert!((eval(&*target, &x).0 - want).abs() < 1e-12);
            let later = tilt.eval(&x, 0.5, None) + eval(base, &x).0;
            assert!((later - want).abs() > 1e-3);
        }
        let log_z = target.exact().unwrap().truth().log_z.unwrap();
        let (by, se) = importance_log_z(&*target, &[0.0; 2], &[2.5; 2], 40_000, 4);
        assert_z("log Z", by, log_z, se);
    }

    #[test]
    fn mistakes_name_their_key() {
        let message = |t: TiltedMixture| build(t).err().unwrap().to_string();
        let mut wrong = settings();
        wrong.directions[1] = vec![1.0];
        assert!(message(wrong).contains("`directions[1]` is a list of 1"));
        let mut wrong = settings();
        wrong.base.sd = None;
        assert!(message(wrong).contains("`base.sd` is missing"));
        let mut wrong = settings();
        wrong.tilt_weights = Some(vec![1.0, 0.0, 1.0]);
        assert!(message(wrong).contains("`tilt_weights` is 0"));
    }
}
