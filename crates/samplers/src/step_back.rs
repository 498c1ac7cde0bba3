//! How far back a restoration-degradation step restores, before it degrades again.
//!
//! From t to t − h by way of t − l, l ≥ h. With one noise for both halves, the score enters a step by
//!
//! c(h, l) = l − √(l (l − h)) = h/(1 + √(1 − h/l)) = h/2 + h²/(8l) + …
//!
//! where the probability flow has h/2: a step is consistent with it only as h/l → 0. l = h gives the
//! reverse diffusion without its noise, l = m h with a fixed m an error of 2c/h − 1 of the score's part
//! that does not vanish as steps are made shorter, and l = ∞ is Euler's step.

use retrograde_core::{Error, Flag, Result, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule for the length l.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// l = t: all the way to the data.
    #[default]
    Full,
    /// l = √h.
    SqrtStep,
    /// l = `length`.
    Fixed,
    /// l = `multiple` h; its limit is wrong, and it is there to be studied.
    Multiple,
    /// Half way from the end of the step to the data: l = t − t′/2.
    Half,
    /// In τ = (σ/α)², l = τ + `variance`, which is exact for Gaussian data of that variance. For linear
    /// processes.
    Gaussian,
    /// l = ∞: Euler's step.
    Infinite,
}

/// How far back a step restores, as written under `[sampler.back]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StepBack {
    /// Rule.
    pub rule: Rule,
    /// Length of the rule `fixed`, > 0, in units of t.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub length: f64,
    /// Factor of the rule `multiple`, ≥ 1.
    #[schemars(range(min = 1.0))]
    pub multiple: f64,
    /// Variance of the data for the rule `gaussian`, ≥ 0.
    #[schemars(range(min = 0.0))]
    pub variance: f64,
}

impl Default for StepBack {
    fn default() -> Self {
        Self {
            rule: Rule::Full,
            length: 0.5,
            multiple: 4.0,
            variance: 1.0,
        }
    }
}

/// c(h, l), for 0 < h ≤ l ≤ ∞.
pub(crate) fn c(h: f64, l: f64) -> f64 {
    h / (1.0 + (1.0 - h / l).max(0.0).sqrt())
}

impl StepBack {
    pub(crate) fn check(&self, component: &str) -> Result {
        let good = [
            ("back.length", self.length, self.length > 0.0, "above 0"),
            (
                "back.multiple",
                self.multiple,
                self.multiple >= 1.0,
                "at least 1: l < h cannot be",
            ),
            (
                "back.variance",
                self.variance,
                self.variance >= 0.0,
                "at least 0",
            ),
        ];
        match good.iter().find(|(_, v, good, _)| !good || !v.is_finite()) {
            Some((key, v, _, allowed)) => Err(Error::setting(component, *key, v, *allowed)),
            None => Ok(()),
        }
    }

    /// l in units of t for the step from t to `to`: at least its length; ∞ for `infinite`.
    pub(crate) fn length(&self, t: f64, to: f64) -> f64 {
        let h = t - to;
        let l = match self.rule {
            Rule::Full | Rule::Gaussian => t,
            Rule::SqrtStep => h.sqrt(),
            Rule::Fixed => self.length,
            Rule::Multiple => self.multiple * h,
            Rule::Half => t - 0.5 * to,
            Rule::Infinite => f64::INFINITY,
        };
        l.max(h)
    }

    /// What is wrong with the rule, if something is.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        if self.rule != Rule::Multiple {
            return Vec::new();
        }
        let excess = 2.0 * c(1.0, self.multiple) - 1.0;
        vec![Flag::new(
            Severity::Warning,
            "step_back",
            format!(
                "The restoration reaches back {} steps whatever their length: the score's part of a step is \
                 too large by {:.2} %, an error that more steps do not lower",
                self.multiple,
                100.0 * excess
            ),
            "set `back.rule` to \"full\" or \"sqrt-step\"",
        )]
    }
}

#[cfg(test)]
mod tests {
    use super::c;

    #[test]
    fn c_is_known_at_its_ends_and_by_its_series() {
        assert_eq!(c(0.3, 0.3), 0.3);
        assert_eq!(c(0.3, f64::INFINITY), 0.15);
        // 2 c/h − 1 for l = m h.
        for (m, excess) in [(1.0, 1.0), (2.0, 0.1716), (4.0, 0.0718), (16.0, 0.0161)] {
            assert!((2.0 * c(1.0, m) - 1.0 - excess).abs() < 5e-5, "{m}");
        }
        for i in 1..200 {
            let (h, l) = (0.4 * f64::from(i) / 200.0, 0.8);
            let series = h / 2.0 + h * h / (8.0 * l);
            assert!((c(h, l) - series).abs() <= h.powi(3) / (8.0 * l * l), "{h}");
        }
        // By subtraction the digits of a long way back would be lost.
        let (h, l) = (1e-9, 1.0);
        assert!((c(h, l) - (h / 2.0 + h * h / 8.0)).abs() < 1e-24);
        let naive: f64 = l - (l * (l - h)).sqrt();
        assert!((naive - h / 2.0).abs() > 1e-18);
    }
}
