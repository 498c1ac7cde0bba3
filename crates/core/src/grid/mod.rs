//! Time grids: the finite times that a reverse run visits, from t = T (noise) down to t = 0 (data).

mod settings;

pub use settings::{Grid, Spacing};

use crate::{Error, Result};

/// Strictly decreasing times t_0 > t_1 > … > t_K ≥ 0.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeGrid(Vec<f64>);

impl TimeGrid {
    /// A grid of the given times.
    ///
    /// # Errors
    /// [`Error::Argument`] unless there are at least two, all finite, ≥ 0 and strictly decreasing.
    pub fn from_times(times: Vec<f64>) -> Result<Self> {
        let fail = |given: String, allowed: &str| {
            Err(Error::Argument {
                component: "time grid".into(),
                argument: "times".into(),
                given,
                allowed: allowed.into(),
            })
        };
        if times.len() < 2 {
            return fail(format!("{} times", times.len()), "at least 2 times");
        }
        if let Some(t) = times.iter().find(|t| !t.is_finite() || **t < 0.0) {
            return fail(format!("{t}"), "finite and not negative");
        }
        if let Some(w) = times.windows(2).find(|w| w[1] >= w[0]) {
            return fail(format!("{} before {}", w[0], w[1]), "strictly decreasing");
        }
        Ok(Self(times))
    }

    /// `steps` equal steps from `t_max` to `t_min`.
    ///
    /// # Errors
    /// [`Error::Argument`] as [`from_times`](Self::from_times).
    pub fn uniform(t_max: f64, t_min: f64, steps: usize) -> Result<Self> {
        Self::spaced(t_max, t_min, steps, |t| t, |u| u)
    }

    /// `steps` steps of equal ratio; `t_min` > 0.
    ///
    /// # Errors
    /// [`Error::Argument`] as [`from_times`](Self::from_times).
    pub fn geometric(t_max: f64, t_min: f64, steps: usize) -> Result<Self> {
        Self::spaced(t_max, t_min, steps, f64::ln, f64::exp)
    }

    /// Equal steps in t^(1/ρ): the grid of Karras, Aittala, Aila & Laine (2022, arXiv:2206.00364,
    /// eq. 5), there with ρ = 7.
    ///
    /// # Errors
    /// [`Error::Argument`] as [`from_times`](Self::from_times).
    pub fn power(t_max: f64, t_min: f64, steps: usize, rho: f64) -> Result<Self> {
        Self::spaced(
            t_max,
            t_min,
            steps,
            |t| t.powf(rho.recip()),
            |u| u.powf(rho),
        )
    }

    fn spaced(
        t_max: f64,
        t_min: f64,
        steps: usize,
        to: impl Fn(f64) -> f64,
        from: impl Fn(f64) -> f64,
    ) -> Result<Self> {
        if steps == 0 {
            return Self::from_times(vec![t_max]);
        }
        Self::from_times(between(t_max, t_min, steps, to, from))
    }

    /// The times, decreasing.
    #[must_use]
    pub fn times(&self) -> &[f64] {
        &self.0
    }

    /// Number of steps, one less than times.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.0.len() - 1
    }

    /// The pairs (from, to) of each step, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.0.windows(2).map(|w| (w[0], w[1]))
    }
}

/// `steps` + 1 numbers from `max` to `min`, even in `to`, whose inverse is `from`; `max` alone for no steps.
fn between(
    max: f64,
    min: f64,
    steps: usize,
    to: impl Fn(f64) -> f64,
    from: impl Fn(f64) -> f64,
) -> Vec<f64> {
    // The ends are meant exactly, not up to the rounding of the transform.
    let (a, b) = (to(max), to(min));
    let inner = (1..steps).map(|k| from(a + (b - a) * (k as f64 / steps as f64)));
    let last = (steps > 0).then_some(min);
    std::iter::once(max).chain(inner).chain(last).collect()
}

#[cfg(test)]
mod tests {
    use super::TimeGrid;

    #[test]
    fn grids_end_where_they_should_and_follow_their_rule() {
        let g = TimeGrid::geometric(80.0, 0.002, 10).unwrap();
        assert_eq!((g.times()[0], g.times()[10], g.steps()), (80.0, 0.002, 10));
        let ratios: Vec<f64> = g.pairs().map(|(a, b)| a / b).collect();
        assert!(ratios.iter().all(|r| (r - ratios[0]).abs() < 1e-10 * r));
        // Karras et al. with N = 18: σ_1 of the published list is 57.585986…
        let k = TimeGrid::power(80.0, 0.002, 17, 7.0).unwrap();
        assert!(
            (k.times()[1] - 57.585_985_3).abs() < 1e-3,
            "{}",
            k.times()[1]
        );
        assert_eq!(
            TimeGrid::uniform(1.0, 0.0, 4).unwrap().times(),
            [1.0, 0.75, 0.5, 0.25, 0.0]
        );
    }

    #[test]
    fn wrong_grids_are_refused() {
        assert!(TimeGrid::uniform(1.0, 0.0, 0).is_err());
        assert!(TimeGrid::uniform(0.0, 1.0, 5).is_err());
        assert!(TimeGrid::geometric(1.0, 0.0, 5).is_err());
        assert!(TimeGrid::uniform(f64::NAN, 0.0, 5).is_err());
        assert!(TimeGrid::from_times(vec![1.0]).is_err());
        assert!(TimeGrid::from_times(vec![1.0, 1.0]).is_err());
        assert!(TimeGrid::from_times(vec![1.0, -0.5]).is_err());
    }
}
