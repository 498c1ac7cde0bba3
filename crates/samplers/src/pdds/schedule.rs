//! Noise of the forward process at the times of a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

/// How the noise grows with the time t, 0 to 1. The signal is α(t) = exp(−∫₀ᵗ β), the noise level λ = 1 − α².
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PddsSchedule {
    /// α = cos θ(t)/cos θ(0), θ = (π/2)(t + c)/(1 + c), c = 0.008 (Nichol & Dhariwal 2021); α(1) = 0.
    Cosine,
    /// β rises linearly from 0.001 to `beta_max`.
    Linear,
    /// β = `beta_max` cos⁴((π/2)(1 − t + c)/(1 + c)), c = 0.008 (after Vargas et al. 2023, arXiv:2302.13834):
    /// small steps near the target.
    Dds,
}

/// Offset c.
const OFFSET: f64 = 0.008;
const LEAST_BETA: f64 = 1e-3;

impl PddsSchedule {
    /// ln α(t).
    pub(super) fn log_signal(self, t: f64, beta_max: f64) -> f64 {
        let angle = |t: f64| FRAC_PI_2 * (t + OFFSET) / (1.0 + OFFSET);
        match self {
            Self::Cosine if t >= 1.0 => f64::NEG_INFINITY,
            Self::Cosine => (angle(t).cos() / angle(0.0).cos()).ln(),
            Self::Linear => -t * (LEAST_BETA + 0.5 * (beta_max - LEAST_BETA) * t),
            Self::Dds => {
                // ∫ cos⁴ = 3θ/8 + sin 2θ/4 + sin 4θ/32.
                let sum = |u: f64| 0.375 * u + 0.25 * (2.0 * u).sin() + 0.03125 * (4.0 * u).sin();
                let speed = FRAC_PI_2 / (1.0 + OFFSET);
                -beta_max * (sum(angle(1.0)) - sum(angle(1.0 - t))) / speed
            }
        }
    }
}

/// The times t_k = k/K of a run, k = 0 … K.
#[derive(Debug)]
pub(super) struct Levels {
    pub(super) t: Vec<f64>,
    /// α(t_k): 1 at 0, and 0 where nothing of the target is left.
    pub(super) signal: Vec<f64>,
    /// (a, λ) of the transition between t_{k−1} and t_k, a = α(t_k)/α(t_{k−1}), λ = 1 − a²; (1, 0) at k = 0.
    pub(super) step: Vec<(f64, f64)>,
}

impl Levels {
    pub(super) fn new(schedule: PddsSchedule, steps: usize, beta_max: f64) -> Self {
        let t: Vec<f64> = (0..=steps).map(|k| k as f64 / steps as f64).collect();
        let log: Vec<f64> = t
            .iter()
            .map(|t| schedule.log_signal(*t, beta_max))
            .collect();
        let mut step = vec![(1.0, 0.0)];
        step.extend(log.windows(2).map(|l| {
            let change = l[1] - l[0];
            (change.exp(), -(2.0 * change).exp_m1())
        }));
        Self {
            t,
            signal: log.iter().map(|l| l.exp()).collect(),
            step,
        }
    }

    /// λ(t_k).
    pub(super) fn noise(&self, k: usize) -> f64 {
        1.0 - self.signal[k] * self.signal[k]
    }

    /// K.
    pub(super) fn steps(&self) -> usize {
        self.t.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [PddsSchedule; 3] = [
        PddsSchedule::Cosine,
        PddsSchedule::Linear,
        PddsSchedule::Dds,
    ];

    #[test]
    fn transitions_compose_to_the_signal_and_the_ends_are_exact() {
        for schedule in ALL {
            let levels = Levels::new(schedule, 24, 12.0);
            assert_eq!(levels.signal[0], 1.0);
            let mut product = 1.0;
            for k in 1..=24 {
                let (a, noise) = levels.step[k];
                product *= a;
                assert!((product - levels.signal[k]).abs() < 1e-14);
                assert!((a * a + noise - 1.0).abs() < 1e-15 && noise > 0.0);
            }
            let end = levels.signal[24];
            assert!(
                if schedule == PddsSchedule::Cosine {
                    end == 0.0
                } else {
                    end < 0.02
                },
                "{end}"
            );
        }
        assert_eq!(
            Levels::new(PddsSchedule::Cosine, 24, 12.0).step[24],
            (0.0, 1.0)
        );
    }

    #[test]
    fn signals_are_integrals_of_the_rates() {
        let angle = |t: f64| FRAC_PI_2 * (t + OFFSET) / (1.0 + OFFSET);
        let rate = |schedule, t: f64| match schedule {
            PddsSchedule::Cosine => FRAC_PI_2 / (1.0 + OFFSET) * angle(t).tan(),
            PddsSchedule::Linear => LEAST_BETA + (7.0 - LEAST_BETA) * t,
            PddsSchedule::Dds => 7.0 * angle(1.0 - t).cos().powi(4),
        };
        for schedule in ALL {
            // Midpoint sums of 20000 parts have an error of 10⁻⁹ times the second derivative.
            let m = 20_000;
            let sum: f64 = (0..m)
                .map(|i| rate(schedule, 0.8 * (f64::from(i) + 0.5) / f64::from(m)))
                .sum();
            let want = -sum * 0.8 / f64::from(m);
            let got = schedule.log_signal(0.8, 7.0);
            assert!((got - want).abs() < 1e-7, "{schedule:?}: {got} {want}");
        }
    }
}
