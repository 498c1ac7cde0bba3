//! Variance-exploding process: noise is added and the data are left where they are.
//!
//! Source: Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole (2021), arXiv:2011.13456, eq. 9 and app. C,
//! for `geometric`; Karras, Aittala, Aila & Laine (2022), arXiv:2206.00364, table 1, for the others.
//!
//! dX = g(t) dW,   X_t | X_0 ~ N(X_0, C(t) I),   C(t) = ∫₀ᵗ g²
//!
//! | `schedule` | C(t) | g² | T |
//! | --- | --- | --- | --- |
//! | `geometric` | σ_t² − σ_min², σ_t = σ_min (σ_max/σ_min)ᵗ | 2 σ_t² ln(σ_max/σ_min) | 1 |
//! | `linear` | t² | 2t | σ_max |
//! | `sqrt` | t | 1 | σ_max² |
//!
//! With `geometric` x_0 is the data, and the noise level √C(T) falls short of σ_max by a part σ_min²/(2σ_max²).
//! Code in public use takes σ_t itself for the level, as if the data had σ_min of noise already: what it
//! calls σ_min is the level 0 here.
//!
//! The reference law is N(0, C(T) I): σ_max must be large against the spread of the data.

use crate::checks::{positive, setting};
use crate::separable::{Coefficients, Separable};
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Error, ForwardProcess, Result, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "process ve";
/// σ_min where none is given.
const SIGMA_MIN: f64 = 0.01;

/// How the noise grows with t.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VarianceSchedule {
    /// Its log grows evenly.
    Geometric,
    /// Its standard deviation is t.
    Linear,
    /// Its variance is t.
    Sqrt,
}

/// Settings, as written under `[process]` with `kind = "ve"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ve {
    /// How the noise grows with t: "geometric", "linear" or "sqrt". Default "geometric".
    pub schedule: VarianceSchedule,
    /// Noise level σ_max at the end, > 0, in units of x. Default 50.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub sigma_max: f64,
    /// Parameter σ_min of "geometric", > 0, below `sigma_max`, in units of x; 0.01 where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub sigma_min: Option<f64>,
}

impl Default for Ve {
    fn default() -> Self {
        Self {
            schedule: VarianceSchedule::Geometric,
            sigma_max: 50.0,
            sigma_min: None,
        }
    }
}

impl Build<dyn ForwardProcess> for Ve {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        let dim = parts.require_target(NAME)?.dim();
        Ok(Separable::shared(NAME, dim, self.coefficients()?))
    }
}

impl Ve {
    fn coefficients(&self) -> Result<Exploding> {
        let max = self.sigma_max;
        positive(NAME, "sigma_max", max)?;
        let finite = (max * max).is_finite();
        setting(
            NAME,
            "sigma_max",
            max,
            finite,
            || "a number whose square is finite",
        )?;
        if let (Some(given), false) = (self.sigma_min, self.schedule == VarianceSchedule::Geometric)
        {
            let allowed = "absent: only the schedule \"geometric\" has it";
            return Err(Error::setting(NAME, "sigma_min", given, allowed));
        }
        Ok(match self.schedule {
            VarianceSchedule::Linear => Exploding::Linear { t_end: max },
            VarianceSchedule::Sqrt => Exploding::Sqrt { t_end: max * max },
            VarianceSchedule::Geometric => {
                let min = self.sigma_min.unwrap_or(SIGMA_MIN);
                positive(NAME, "sigma_min", min)?;
                let allowed = || format!("below `sigma_max`, {max}");
                setting(NAME, "sigma_min", min, min < max, allowed)?;
                Exploding::Geometric {
                    variance: min * min,
                    rate: 2.0 * (max / min).ln(),
                }
            }
        })
    }
}

/// dX = g(t) dW.
pub(crate) enum Exploding {
    /// C = v (e^{kt} − 1) with v = σ_min² and k = 2 ln(σ_max/σ_min).
    Geometric { variance: f64, rate: f64 },
    /// C = t².
    Linear { t_end: f64 },
    /// C = t.
    Sqrt { t_end: f64 },
}

impl Coefficients for Exploding {
    fn t_end(&self) -> f64 {
        match *self {
            Self::Geometric { .. } => 1.0,
            Self::Linear { t_end } | Self::Sqrt { t_end } => t_end,
        }
    }

    fn rate(&self, _t: f64) -> f64 {
        0.0
    }

    fn g2(&self, t: f64) -> f64 {
        match *self {
            Self::Geometric { variance, rate } => variance * rate * (rate * t).exp(),
            Self::Linear { .. } => 2.0 * t,
            Self::Sqrt { .. } => 1.0,
        }
    }

    fn kernel(&self, s: f64, t: f64) -> (f64, f64) {
        (1.0, self.integral_g2(s, t))
    }

    fn integral_g2(&self, s: f64, t: f64) -> f64 {
        match *self {
            Self::Geometric { variance, rate } => {
                variance * (rate * s).exp() * (rate * (t - s)).exp_m1()
            }
            Self::Linear { .. } => (t - s) * (t + s),
            Self::Sqrt { .. } => t - s,
        }
    }

    fn time_of(&self, level: f64) -> f64 {
        match *self {
            Self::Geometric { variance, rate } => (level * level / variance).ln_1p() / rate,
            Self::Linear { .. } => level,
            Self::Sqrt { .. } => level * level,
        }
    }

    fn autonomous(&self) -> bool {
        matches!(self, Self::Sqrt { .. })
    }
}

register! {
    process "ve" => Ve, needs TARGET,
        summary "Variance-exploding diffusion: noise of growing size, and no drift",
        source "Song et al. (2021), arXiv:2011.13456, eq. 9";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_testkit::assert_close;

    #[test]
    fn schedules_reach_their_levels() {
        let of = |schedule| {
            let ve = Ve {
                schedule,
                ..Ve::default()
            };
            ve.coefficients().unwrap()
        };
        for (schedule, t_end, variance) in [
            (VarianceSchedule::Geometric, 1.0, 2500.0 - 1e-4),
            (VarianceSchedule::Linear, 50.0, 2500.0),
            (VarianceSchedule::Sqrt, 2500.0, 2500.0),
        ] {
            let c = of(schedule);
            assert_eq!(c.t_end(), t_end);
            assert_close("C(T)", c.kernel(0.0, t_end).1, variance, 1e-13);
        }
        // σ_{1/2} is the geometric mean.
        let c = of(VarianceSchedule::Geometric);
        assert_close("C(½)", c.kernel(0.0, 0.5).1, 0.01 * 50.0 - 1e-4, 1e-13);
    }

    #[test]
    fn wrong_settings_are_refused() {
        let base = Ve::default;
        for (ve, says) in [
            (
                Ve {
                    sigma_max: 0.0,
                    ..base()
                },
                "`sigma_max` is 0",
            ),
            (
                Ve {
                    sigma_max: 1e200,
                    ..base()
                },
                "square is finite",
            ),
            (
                Ve {
                    sigma_min: Some(50.0),
                    ..base()
                },
                "`sigma_min` is 50, but must be below",
            ),
            (
                Ve {
                    sigma_min: Some(f64::NAN),
                    ..base()
                },
                "`sigma_min` is NaN",
            ),
            (
                Ve {
                    sigma_min: Some(0.1),
                    schedule: VarianceSchedule::Sqrt,
                    ..base()
                },
                "only the schedule \"geometric\"",
            ),
        ] {
            let error = ve.coefficients().map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
