//! Time grids as jobs write them: `steps` steps between two ends, by one of the rules
//!
//! | `spacing` | even in | source |
//! | --- | --- | --- |
//! | `edm` | σ^{1/ρ} | Karras, Aittala, Aila & Laine (2022), arXiv:2206.00364, eq. 5 |
//! | `geometric` | ln σ | Song et al. (2021), arXiv:2011.13456, app. C |
//! | `cosine` | arctan σ | Nichol & Dhariwal (2021), arXiv:2102.09672, without its offset |
//! | `log-snr` | ln σ, between two times | Lu et al. (2022), arXiv:2206.00927, sec. 3.4 |
//! | `iddpm` | the index j of σ_j below | Karras et al. (2022), table 1, after Nichol & Dhariwal |
//! | `uniform`, `power`, `geometric-t` | t, t^{1/ρ}, ln t | |
//! | `list` | the `times` themselves | |
//!
//! where σ = √C/α is the noise level, in units of x at t = 0, of a process whose law of x_t is
//! N(α x_0, C), and
//!
//! σ_{j−1}² = (σ_j² + 1) / max(ᾱ_{j−1}/ᾱ_j, C₁) − 1,   ᾱ_j = sin²(π j / (2 M (1 + C₂))),   σ_M = 0
//!
//! with M = 1000, C₁ = 0.001, C₂ = 0.008, of which those between the ends are kept.

use super::{TimeGrid, between};
use crate::{Error, Form, ForwardProcess, Linear, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

/// ρ where none is given.
const RHO: f64 = 7.0;
/// Smallest noise level where none is given: that of Karras et al., for data of scale 1.
const SIGMA_MIN: f64 = 0.002;
/// Smallest time (or, if that is smaller, noise level) relative to the largest.
const SMALLEST: f64 = 1e-3;
/// Most steps of a grid.
const MOST_STEPS: usize = 10_000_000;
/// M, C₁ and C₂ of `iddpm`.
const IDDPM: (usize, f64, f64) = (1000, 0.001, 0.008);

/// How the times of a grid are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Spacing {
    /// `edm` where the process has a noise level (it is linear, or a warp of a linear one, and noises all
    /// coordinates alike), else `power`.
    Auto,
    /// Even in σ^{1/ρ}, σ the noise level.
    Edm,
    /// Equal ratios of noise levels.
    Geometric,
    /// Even in the angle arctan σ.
    Cosine,
    /// Even in the log of the signal-to-noise ratio between two times: as `geometric`, but with ends given
    /// in t.
    LogSnr,
    /// The levels of the improved DDPM, picked evenly by their index; the ends are the outermost of them.
    Iddpm,
    /// Equal steps in t.
    Uniform,
    /// Even in t^{1/ρ}.
    Power,
    /// Equal ratios of times.
    GeometricT,
    /// The times given.
    List,
}

/// What the ends of a grid are given in.
#[derive(Clone, Copy, PartialEq)]
enum Axis {
    Level,
    Time,
    None,
}

impl Spacing {
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Edm => "edm",
            Self::Geometric => "geometric",
            Self::Cosine => "cosine",
            Self::LogSnr => "log-snr",
            Self::Iddpm => "iddpm",
            Self::Uniform => "uniform",
            Self::Power => "power",
            Self::GeometricT => "geometric-t",
            Self::List => "list",
        }
    }

    fn axis(self) -> Axis {
        match self {
            Self::Auto | Self::Edm | Self::Geometric | Self::Cosine | Self::Iddpm => Axis::Level,
            Self::LogSnr | Self::Uniform | Self::Power | Self::GeometricT => Axis::Time,
            Self::List => Axis::None,
        }
    }

    /// Whether the rule itself can end at 0.
    fn reaches_zero(self) -> bool {
        matches!(self, Self::Edm | Self::Cosine | Self::Uniform | Self::Power)
    }
}

/// The times that a reverse run visits, as written under `[sampler.grid]`.
///
/// `steps` counts every step of the run. With `to_zero` (the default) the last of them goes to t = 0, and
/// the others lie between the ends: σ_max, …, σ_min, 0 are `steps` + 1 levels. Without it the run ends at
/// the lower end itself, which is met exactly. A lower end of 0 needs no further step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grid {
    /// Spacing: "auto", "edm", "geometric", "cosine", "log-snr", "iddpm", "uniform", "power",
    /// "geometric-t" or "list". Default "auto": "edm" where the process has a noise level, else "power".
    pub spacing: Spacing,
    /// Steps of the run, ≥ 1, the one to 0 included; "list" counts its own. Default 40.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub steps: usize,
    /// Whether the last step goes to t = 0. Default true; "list" ends where it ends.
    pub to_zero: bool,
    /// Largest noise level, > 0, in units of x; at most the level at T. Default that level.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub sigma_max: Option<f64>,
    /// Smallest noise level (but 0), in units of x; ≥ 0 for "edm" and "cosine", else > 0. Default 0.002,
    /// for data of scale 1, or a thousandth of the largest if that is less.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub sigma_min: Option<f64>,
    /// Largest time, > 0, at most T. Default T.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub t_max: Option<f64>,
    /// Smallest time (but 0); ≥ 0 for "uniform" and "power", else > 0. Default a thousandth of the largest;
    /// with "uniform" and `to_zero`, 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub t_min: Option<f64>,
    /// Exponent ρ of "edm" and "power", > 0: the larger, the shorter the last steps. Default 7.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub rho: Option<f64>,
    /// Times of "list": at least two, decreasing, between T and 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<Vec<f64>>,
    /// Equal parts in t that every step is cut into, ≥ 1, for studies of convergence. Default 1.
    #[schemars(range(min = 1))]
    pub refine: usize,
}

impl Default for Grid {
    fn default() -> Self {
        Self {
            spacing: Spacing::Auto,
            steps: 40,
            to_zero: true,
            sigma_max: None,
            sigma_min: None,
            t_max: None,
            t_min: None,
            rho: None,
            times: None,
            refine: 1,
        }
    }
}

impl Grid {
    /// A grid of that spacing and number of steps, its ends those of the process.
    #[must_use]
    pub fn new(spacing: Spacing, steps: usize) -> Self {
        Self {
            spacing,
            steps,
            ..Self::default()
        }
    }

    /// The times, for `component`, which runs `process` backwards.
    ///
    /// # Errors
    /// [`Error::Setting`] under the key `grid.…`: an end that is out of range, above the other or of
    /// another axis than that of the spacing; ρ ≤ 0; no steps, or more than the spacing can give; times
    /// that do not decrease; a spacing of noise levels for a process that has none.
    pub fn build(&self, component: &str, process: &dyn ForwardProcess) -> Result<TimeGrid> {
        Builder {
            settings: self,
            component,
            process,
            level: process.linear().filter(|l| l.form() == Form::Scalar),
        }
        .build()
    }
}

struct Builder<'a> {
    settings: &'a Grid,
    component: &'a str,
    process: &'a dyn ForwardProcess,
    /// What has a noise level.
    level: Option<&'a dyn Linear>,
}

impl Builder<'_> {
    fn fail<T>(
        &self,
        key: &str,
        given: impl std::fmt::Display,
        allowed: impl Into<String>,
    ) -> Result<T> {
        let key = format!("grid.{key}");
        Err(Error::setting(self.component, key, given, allowed))
    }

    fn build(&self) -> Result<TimeGrid> {
        let s = self.settings;
        for (key, value) in [("steps", s.steps), ("refine", s.refine)] {
            if value == 0 {
                return self.fail(key, 0, "at least 1");
            }
        }
        if s.steps.saturating_mul(s.refine) > MOST_STEPS {
            let key = if s.steps > MOST_STEPS {
                "steps"
            } else {
                "refine"
            };
            let given = if key == "steps" { s.steps } else { s.refine };
            let allowed = format!("such that there are at most {MOST_STEPS} steps in all");
            return self.fail(key, given, allowed);
        }
        let spacing = match (s.spacing, self.level) {
            (Spacing::Auto, Some(_)) => Spacing::Edm,
            (Spacing::Auto, None) => Spacing::Power,
            (other, _) => other,
        };
        self.check_keys(spacing)?;
        let times = match spacing {
            Spacing::List => self.list()?,
            Spacing::LogSnr => self.by_log_snr()?,
            _ if spacing.axis() == Axis::Level => self.by_level(spacing)?,
            _ => self.by_time(spacing)?,
        };
        let r = s.refine;
        let mut fine = Vec::with_capacity((times.len() - 1) * r + 1);
        for w in times.windows(2) {
            fine.extend((0..r).map(|i| w[0] + (w[1] - w[0]) * (i as f64 / r as f64)));
        }
        fine.extend(times.last());
        match TimeGrid::from_times(fine) {
            Ok(grid) => Ok(grid),
            Err(Error::Argument { given, .. }) => self.fail(
                if r > 1 { "refine" } else { "steps" },
                if r > 1 { r } else { s.steps },
                format!("less: there are no more times to step to (of {given})"),
            ),
            Err(other) => Err(other),
        }
    }

    /// Refuses keys that the spacing does not look at, and names the ones it does.
    fn check_keys(&self, spacing: Spacing) -> Result {
        let s = self.settings;
        let name = if s.spacing == Spacing::Auto {
            format!("\"auto\", here \"{}\",", spacing.name())
        } else {
            format!("\"{}\"", spacing.name())
        };
        for (key, value, axis, other) in [
            ("sigma_max", s.sigma_max, Axis::Level, "t_max"),
            ("sigma_min", s.sigma_min, Axis::Level, "t_min"),
            ("t_max", s.t_max, Axis::Time, "sigma_max"),
            ("t_min", s.t_min, Axis::Time, "sigma_min"),
        ] {
            let Some(value) = value.filter(|_| axis != spacing.axis()) else {
                continue;
            };
            let instead = if spacing.axis() == Axis::None {
                "times"
            } else {
                other
            };
            let allowed = format!("absent: the spacing {name} takes `grid.{instead}`");
            return self.fail(key, value, allowed);
        }
        let powers = matches!(spacing, Spacing::Edm | Spacing::Power);
        match s.rho {
            Some(rho) if !powers => {
                let allowed = "absent: only the spacings \"edm\" and \"power\" have an exponent";
                return self.fail("rho", rho, allowed);
            }
            Some(rho) if !(rho > 0.0 && rho.is_finite()) => {
                return self.fail("rho", rho, "a number above 0");
            }
            _ => {}
        }
        if let (Some(times), false) = (&s.times, spacing == Spacing::List) {
            let given = format!("a list of {}", times.len());
            return self.fail("times", given, "absent unless the spacing is \"list\"");
        }
        Ok(())
    }

    fn list(&self) -> Result<Vec<f64>> {
        let (s, t_end) = (self.settings, self.process.t_end());
        let Some(times) = &s.times else {
            return self.fail(
                "times",
                "absent",
                "a list of times for the spacing \"list\"",
            );
        };
        if times.len() < 2 {
            let given = format!("a list of {}", times.len());
            return self.fail("times", given, "a list of at least 2 times");
        }
        let wrong = |t: &f64| !(*t >= 0.0 && *t <= t_end);
        if let Some(i) = times.iter().position(wrong) {
            let allowed = format!("between 0 and T = {t_end}");
            return self.fail(&format!("times[{i}]"), times[i], allowed);
        }
        if let Some(i) = times.windows(2).position(|w| w[1] >= w[0]) {
            let allowed = format!("below the time before it, {}", times[i]);
            return self.fail(&format!("times[{}]", i + 1), times[i + 1], allowed);
        }
        let steps = times.len() - 1;
        if s.steps != steps && s.steps != Grid::default().steps {
            let allowed = format!("absent or {steps}, the number of steps in `grid.times`");
            return self.fail("steps", s.steps, allowed);
        }
        Ok(times.clone())
    }

    /// The process's noise level, for a spacing that needs one.
    fn linear(&self) -> Result<&dyn Linear> {
        let name = self.settings.spacing.name();
        self.level.map_or_else(
            || {
                let allowed = "\"uniform\", \"power\", \"geometric-t\" or \"list\": the process has no \
                               noise level, for it is not linear or noises coordinates differently";
                self.fail("spacing", format!("\"{name}\""), allowed)
            },
            Ok,
        )
    }

    /// The ends, checked: the largest from `given` or `default`, at most `most`; the smallest from
    /// `given` or `default` of the largest.
    fn ends(
        &self,
        spacing: Spacing,
        keys: [&str; 2],
        given: [Option<f64>; 2],
        most: f64,
        default_min: impl Fn(f64) -> f64,
    ) -> Result<(f64, f64)> {
        let max = given[0].unwrap_or(most);
        // Up to the rounding of the level.
        if !(max > 0.0 && max <= most * (1.0 + 1e-14) && max.is_finite()) {
            let allowed = format!("above 0 and at most {most}, that of the end time T");
            return self.fail(keys[0], max, allowed);
        }
        let min = given[1].unwrap_or_else(|| default_min(max));
        let zero = spacing.reaches_zero();
        if !(min > 0.0 || (min == 0.0 && zero)) {
            let allowed = if zero { "0 or above" } else { "above 0" };
            return self.fail(keys[1], min, allowed);
        }
        if min >= max {
            return self.fail(keys[1], min, format!("below `grid.{}`, {max}", keys[0]));
        }
        Ok((max, min))
    }

    /// Steps between the ends, without one to 0 after them.
    fn steps_between(&self, min: f64) -> usize {
        self.settings.steps - usize::from(self.settings.to_zero && min > 0.0)
    }

    fn finish(&self, mut times: Vec<f64>) -> Vec<f64> {
        if self.settings.to_zero && times.last().is_some_and(|t| *t > 0.0) {
            times.push(0.0);
        }
        times
    }

    fn rho(&self) -> f64 {
        self.settings.rho.unwrap_or(RHO)
    }

    fn by_time(&self, spacing: Spacing) -> Result<Vec<f64>> {
        let s = self.settings;
        let all_the_way = spacing == Spacing::Uniform && s.to_zero;
        let smallest = |max: f64| if all_the_way { 0.0 } else { SMALLEST * max };
        let (keys, given) = (["t_max", "t_min"], [s.t_max, s.t_min]);
        let (max, min) = self.ends(spacing, keys, given, self.process.t_end(), smallest)?;
        let (n, rho) = (self.steps_between(min), self.rho());
        Ok(self.finish(match spacing {
            Spacing::Uniform => between(max, min, n, |t| t, |u| u),
            Spacing::Power => between(max, min, n, |t| t.powf(rho.recip()), |u| u.powf(rho)),
            _ => between(max, min, n, f64::ln, f64::exp),
        }))
    }

    fn by_level(&self, spacing: Spacing) -> Result<Vec<f64>> {
        let (s, t_end, linear) = (self.settings, self.process.t_end(), self.linear()?);
        let smallest = |max: f64| SIGMA_MIN.min(SMALLEST * max);
        let (alpha, sd) = linear.scalar(t_end);
        let (keys, given) = (["sigma_max", "sigma_min"], [s.sigma_max, s.sigma_min]);
        let (max, min) = self.ends(spacing, keys, given, sd / alpha, smallest)?;
        let (n, rho) = (self.steps_between(min), self.rho());
        let levels = match spacing {
            Spacing::Edm => between(max, min, n, |v| v.powf(rho.recip()), |u| u.powf(rho)),
            Spacing::Geometric => between(max, min, n, f64::ln, f64::exp),
            Spacing::Cosine => between(max, min, n, f64::atan, f64::tan),
            _ => self.iddpm(max, min, n)?,
        };
        let time = |v: &f64| linear.time_of(*v, t_end);
        let mut times = levels.iter().map(time).collect::<Result<Vec<f64>>>()?;
        if s.sigma_max.is_none() && spacing != Spacing::Iddpm {
            times[0] = t_end;
        }
        Ok(self.finish(times))
    }

    fn by_log_snr(&self) -> Result<Vec<f64>> {
        let (s, t_end, linear) = (self.settings, self.process.t_end(), self.linear()?);
        let (keys, given) = (["t_max", "t_min"], [s.t_max, s.t_min]);
        let (max, min) = self.ends(Spacing::LogSnr, keys, given, t_end, |max| SMALLEST * max)?;
        let level = |t: f64| {
            let (alpha, sd) = linear.scalar(t);
            sd / alpha
        };
        let n = self.steps_between(min);
        let levels = between(level(max), level(min), n, f64::ln, f64::exp);
        let time = |v: &f64| linear.time_of(*v, t_end);
        let mut times = levels.iter().map(time).collect::<Result<Vec<f64>>>()?;
        times[0] = max;
        if n > 0 {
            times[n] = min;
        }
        Ok(self.finish(times))
    }

    fn iddpm(&self, max: f64, min: f64, n: usize) -> Result<Vec<f64>> {
        let (m, c1, c2) = IDDPM;
        let alpha_bar = |j: usize| {
            (FRAC_PI_2 * j as f64 / (m as f64 * (1.0 + c2)))
                .sin()
                .powi(2)
        };
        let mut levels = vec![0.0; m + 1];
        for j in (1..=m).rev() {
            let ratio = (alpha_bar(j - 1) / alpha_bar(j)).max(c1);
            // σ² + (σ² + 1)(1/ratio − 1): the same without cancellation at small levels.
            let before = levels[j] * levels[j];
            levels[j - 1] = (before + (before + 1.0) * (1.0 - ratio) / ratio).sqrt();
        }
        levels.retain(|v| (min..=max).contains(v));
        if levels.len() <= n {
            let most = levels.len() + self.settings.steps - n - 1;
            let allowed =
                format!("at most {most}, the levels of \"iddpm\" between {min} and {max}");
            return self.fail("steps", self.settings.steps, allowed);
        }
        let pick = (levels.len() - 1) as f64 / n.max(1) as f64;
        Ok((0..=n)
            .map(|i| levels[(pick * i as f64).round_ties_even() as usize])
            .collect())
    }
}

#[cfg(test)]
mod tests;
