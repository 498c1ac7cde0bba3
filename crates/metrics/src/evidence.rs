//! Replicates of an estimate of log Z: what they say together, whether their own standard errors cover their
//! spread, and whether two methods agree.
//!
//! Sources: the mean of R unbiased Ẑ is unbiased, so log of that mean is taken, with the standard error of the
//! delta method; (R − 1) s² / σ² is χ² with R − 1 degrees of freedom for normal estimates of standard error σ;
//! Welch (1947) for the difference of two means of unequal spread. A heavy tail shows in the share of the largest Ẑ,
//! as the maximum of weights does in importance sampling: Owen, *Monte Carlo theory, methods and examples* (2013), §9.3.

use statrs::distribution::{ChiSquared, ContinuousCDF, StudentsT};

/// What R replicates say together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Replicates {
    /// R.
    pub count: usize,
    /// log of the mean of the Ẑ.
    pub log_z: f64,
    /// Its standard error from the spread of the Ẑ; NaN for R = 1.
    pub standard_error: f64,
    /// Mean of the log Ẑ.
    pub mean: f64,
    /// Standard deviation of the log Ẑ; NaN for R = 1.
    pub sd: f64,
    /// Root mean square of the standard errors that the runs told themselves, where all of them did.
    pub told: Option<f64>,
    /// Share of the largest Ẑ in their sum.
    pub largest: f64,
}

impl Replicates {
    /// From log Ẑ of each run, with the standard error it told, if any. `None` for no runs, or if some log Ẑ is not
    /// finite.
    #[must_use]
    pub fn new(runs: &[(f64, Option<f64>)]) -> Option<Self> {
        let values: Vec<f64> = runs.iter().map(|r| r.0).collect();
        if values.is_empty() || values.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let n = values.len() as f64;
        let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let relative: Vec<f64> = values.iter().map(|v| (v - top).exp()).collect();
        let sum: f64 = relative.iter().sum();
        let mean = values.iter().sum::<f64>() / n;
        let squares = |x: &mut dyn Iterator<Item = f64>| x.map(|u| u * u).sum::<f64>() / (n - 1.0);
        let sd = squares(&mut values.iter().map(|v| v - mean)).sqrt();
        // Relative to the mean of the Ẑ.
        let spread = squares(&mut relative.iter().map(|w| n * w / sum - 1.0)).sqrt();
        let told: Option<Vec<f64>> = runs.iter().map(|r| r.1.filter(|se| *se >= 0.0)).collect();
        Some(Self {
            count: values.len(),
            log_z: top + (sum / n).ln(),
            standard_error: spread / n.sqrt(),
            mean,
            sd,
            told: told.map(|se| (se.iter().map(|s| s * s).sum::<f64>() / n).sqrt()),
            largest: 1.0 / sum,
        })
    }

    /// How likely a spread as large as this one is if the runs' own standard errors hold; `None` without them, or for
    /// R = 1.
    #[must_use]
    pub fn spread_p(&self) -> Option<f64> {
        let told = self.told.filter(|t| *t > 0.0 && self.count > 1)?;
        let freedom = (self.count - 1) as f64;
        let law = ChiSquared::new(freedom).ok()?;
        Some(law.sf(freedom * (self.sd / told).powi(2)))
    }

    /// Whether the sum of the Ẑ hangs on one of them: R of 4 or more, of which the largest has more than half. The
    /// spread then tells too little, and log Z is probably larger.
    #[must_use]
    pub fn heavy_tailed(&self) -> bool {
        self.count >= 4 && self.largest > 0.5
    }

    /// Standard error to compare with others by: that of the spread, and no less than the runs' own, shared among them.
    #[must_use]
    pub fn error(&self) -> f64 {
        if self.standard_error.is_nan() {
            return self.told.unwrap_or(f64::NAN);
        }
        self.standard_error.max(self.own())
    }

    fn own(&self) -> f64 {
        self.told.map_or(0.0, |t| t / (self.count as f64).sqrt())
    }

    /// How likely a difference from `other` as large as this one is if both estimate the same log Z; NaN where neither has
    /// an error to judge by.
    #[must_use]
    pub fn agreement_p(&self, other: &Self) -> f64 {
        let (a, b) = (self.error(), other.error());
        let variance = a * a + b * b;
        let difference = (self.log_z - other.log_z).abs();
        if variance.is_nan() {
            return f64::NAN;
        }
        if variance == 0.0 {
            return f64::from(u8::from(difference == 0.0));
        }
        // What the runs told counts as known, a spread as the guess that it is.
        let share = |r: &Self| {
            if r.count > 1 && r.standard_error > r.own() {
                r.standard_error.powi(4) / (r.count - 1) as f64
            } else {
                0.0
            }
        };
        let shares = share(self) + share(other);
        let t = difference / variance.sqrt();
        let freedom = variance * variance / shares;
        // Known errors; and from there on the two laws are one to five digits.
        if freedom.is_nan() || freedom > 1e5 {
            return libm::erfc(t / std::f64::consts::SQRT_2);
        }
        StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |law| 2.0 * law.sf(t))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_chains::assert_close;

    #[test]
    fn three_replicates_by_hand() {
        // Ẑ of 1, 2, 3: mean 2, standard deviation 1, so 1/(2 √3) of its logarithm.
        let runs = [1.0_f64, 2.0, 3.0].map(|z| (z.ln() - 800.0, Some(0.5)));
        let r = Replicates::new(&runs).unwrap();
        assert_close(r.log_z, 2.0_f64.ln() - 800.0, 1e-12);
        assert_close(r.standard_error, 1.0 / (2.0 * 3.0_f64.sqrt()), 1e-12);
        assert_close(r.largest, 0.5, 1e-12);
        assert_close(r.told.unwrap(), 0.5, 1e-12);
        assert!(!r.heavy_tailed());
        // χ² with 2 degrees of freedom: the tail is exp(−x/2).
        let x = 2.0 * (r.sd / 0.5).powi(2);
        assert_close(r.spread_p().unwrap(), (-x / 2.0).exp(), 1e-12);
        // Errors e of 3 runs each that told none: t with 4 degrees of freedom, of which the tail has a closed form.
        let r = Replicates::new(&runs.map(|(z, _)| (z, None))).unwrap();
        let mut far = r;
        far.log_z += 1.0;
        let t = 1.0 / (r.error() * 2.0_f64.sqrt());
        let (u, v) = (t / (4.0 + t * t).sqrt(), 4.0 / (4.0 + t * t));
        assert_close(r.agreement_p(&far), 1.0 - u * (1.0 + 0.5 * v), 1e-10);
        assert_close(r.agreement_p(&r), 1.0, 1e-12);
    }

    #[test]
    fn what_tells_nothing_says_so() {
        assert_eq!(Replicates::new(&[]), None);
        assert_eq!(
            Replicates::new(&[(f64::NEG_INFINITY, None), (0.0, None)]),
            None
        );
        let one = Replicates::new(&[(3.0, Some(0.1))]).unwrap();
        assert!(one.sd.is_nan() && one.spread_p().is_none());
        assert_close(one.error(), 0.1, 1e-15);
        let mute = Replicates::new(&[(3.0, None)]).unwrap();
        assert!(mute.agreement_p(&one).is_nan());
        // Equal to the bit, as where the base is the target.
        let exact = Replicates::new(&[(1.0, Some(0.0)); 4]).unwrap();
        assert_eq!((exact.agreement_p(&exact), exact.spread_p()), (1.0, None));
    }

    /// Four runs that tell errors of .36 each are .18 together, whatever few of them spread by.
    #[test]
    fn what_runs_tell_is_not_forgotten_for_a_spread_of_few() {
        let low = Replicates::new(&[-1.7, -1.9, -2.1, -1.8].map(|v| (v, Some(0.36)))).unwrap();
        let good = Replicates::new(&[0.01, -0.01, 0.02, 0.0].map(|v| (v, Some(0.01)))).unwrap();
        assert!(low.agreement_p(&good) < 1e-9);
        let mute = Replicates::new(&[-1.7, -1.9, -2.1, -1.8].map(|v| (v, None))).unwrap();
        assert!(mute.agreement_p(&good) > 1e-6);
    }

    /// One Ẑ in R far above the others, which is what a heavy tail shows now and then.
    #[test]
    fn a_heavy_tail_is_seen_and_a_light_one_is_not() {
        let heavy = [0.0, 0.1, -0.1, 0.05, 4.0].map(|v| (v, Some(0.1)));
        let r = Replicates::new(&heavy).unwrap();
        assert!(r.heavy_tailed() && r.spread_p().unwrap() < 1e-9);
        let light = [0.0, 0.1, -0.1, 0.05, -0.05].map(|v| (v, Some(0.1)));
        let r = Replicates::new(&light).unwrap();
        assert!(!r.heavy_tailed() && r.spread_p().unwrap() > 0.3);
    }
}
