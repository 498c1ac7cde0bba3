//! Adaptation in warm-up: step size by dual averaging, coordinate scales by windows.

use crate::chains::check_length;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

/// Dual averaging of a log step size towards a mean acceptance (Hoffman & Gelman 2014,
/// arXiv:1111.4246, §3.2.1, with its constants).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DualAveraging {
    /// Step size in use.
    pub(crate) step: f64,
    mu: f64,
    mean_error: f64,
    log_mean_step: f64,
    count: f64,
}

impl DualAveraging {
    const GAMMA: f64 = 0.05;
    const T0: f64 = 10.0;
    const KAPPA: f64 = 0.75;

    pub(crate) fn new(step: f64) -> Self {
        Self {
            step,
            mu: (10.0 * step).ln(),
            mean_error: 0.0,
            log_mean_step: step.ln(),
            count: 0.0,
        }
    }

    /// Takes the mean acceptance of a move.
    pub(crate) fn update(&mut self, acceptance: f64, target: f64) {
        self.count += 1.0;
        let weight = 1.0 / (self.count + Self::T0);
        self.mean_error += weight * (target - acceptance - self.mean_error);
        let log_step = self.mu - self.count.sqrt() / Self::GAMMA * self.mean_error;
        // No scale of a problem is beyond e^±230; the bound keeps the step a normal number.
        let log_step = log_step.clamp(-230.0, 230.0);
        let weight = self.count.powf(-Self::KAPPA);
        self.log_mean_step += weight * (log_step - self.log_mean_step);
        self.step = log_step.exp();
    }

    /// Ends adaptation: from here on the averaged step size.
    pub(crate) fn freeze(&mut self) {
        self.step = self.log_mean_step.exp();
    }

    /// Begins again from the step size in use.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(self.step);
    }
}

/// Variances of the coordinates over growing windows of the warm-up: the draws of the last window
/// give the scales (Stan Reference Manual, "Automatic parameter tuning").
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Windows {
    /// Standard deviation of each coordinate, 1 at first.
    pub(crate) scale: Vec<f64>,
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
    /// First move of the windows, move after the last of this one, move after them all.
    first: u64,
    end: u64,
    last: u64,
    length: u64,
}

impl Windows {
    /// Windows for a warm-up of `warmup` moves; without them (`adapt` false, or fewer than 20
    /// moves) the scales stay 1.
    pub(crate) fn new(d: usize, warmup: u64, adapt: bool) -> Self {
        let (head, tail, length) = match warmup {
            _ if !adapt => (0, 0, 0),
            0..20 => (0, 0, 0),
            20..150 => (warmup * 15 / 100, warmup / 10, warmup),
            _ => (75, 50, 25),
        };
        let (first, last) = if length == 0 {
            (u64::MAX, u64::MAX)
        } else {
            (head, warmup - tail)
        };
        let mut windows = Self {
            scale: vec![1.0; d],
            count: 0.0,
            mean: vec![0.0; d],
            squares: vec![0.0; d],
            first,
            end: first,
            last,
            length,
        };
        windows.open();
        windows
    }

    /// Whether saved windows are of dimension `d`.
    pub(crate) fn check_saved(&self, d: usize) -> std::result::Result<(), String> {
        for (what, found) in [
            ("scales", &self.scale),
            ("means", &self.mean),
            ("sums of squares", &self.squares),
        ] {
            check_length(what, found.len(), d)?;
        }
        Ok(())
    }

    /// Sets the end of the next window; the last one takes what would be too short for another.
    fn open(&mut self) {
        let end = self.end.saturating_add(self.length);
        let next = end.saturating_add(self.length.saturating_mul(2));
        self.end = if next > self.last { self.last } else { end };
        self.length = self.length.saturating_mul(2);
    }

    /// Takes the positions after move number `done` of the warm-up; true when the scales changed.
    pub(crate) fn update(&mut self, done: u64, x: ArrayView2<'_, f64>) -> bool {
        if done <= self.first || done > self.last {
            return false;
        }
        for row in x.rows() {
            self.count += 1.0;
            for (v, (m, s)) in row.iter().zip(self.mean.iter_mut().zip(&mut self.squares)) {
                let off = v - *m;
                *m += off / self.count;
                *s += off * (v - *m);
            }
        }
        if done < self.end {
            return false;
        }
        let (n, d) = (self.count, self.scale.len());
        if n > 1.0 {
            // As if five draws of the smallest variance had been seen: no scale of exactly 0.
            for j in 0..d {
                let variance = self.squares[j] / (n - 1.0);
                let floor = 1e-3 * self.scale[j] * self.scale[j];
                self.scale[j] = ((n * variance + 5.0 * floor) / (n + 5.0)).sqrt();
            }
        }
        self.count = 0.0;
        self.mean.fill(0.0);
        self.squares.fill(0.0);
        self.open();
        n > 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::aview2;

    #[test]
    fn windows_of_a_thousand_moves_are_those_of_the_manual() {
        let mut w = Windows::new(1, 1000, true);
        let ends: Vec<u64> = (1..=1000)
            .filter(|t| w.update(*t, aview2(&[[*t as f64], [0.0]])))
            .collect();
        assert_eq!(ends, [100, 150, 250, 450, 950]);
    }

    #[test]
    fn a_window_gives_the_standard_deviation() {
        let mut w = Windows::new(2, 150, true);
        for t in 1..=150 {
            let s = if t % 2 == 0 { 1.0 } else { -1.0 };
            w.update(t, aview2(&[[3.0 + 2.0 * s, 0.0]]));
        }
        assert!((w.scale[0] - 2.0).abs() < 0.2, "{:?}", w.scale);
        assert!(w.scale[1] > 0.0);
    }

    #[test]
    fn dual_averaging_by_hand() {
        // H₁ = 0.3/11, H₂ = H₁ + (−0.1 − H₁)/12 = 1/60; ln ε_t = ln 10 − 20 √t H_t; weights 1, 2^−¾.
        let mut a = DualAveraging::new(1.0);
        a.update(0.5, 0.8);
        assert!(
            (a.step.ln() - 1.757_130_547_5).abs() < 1e-9,
            "{}",
            a.step.ln()
        );
        a.update(0.9, 0.8);
        assert!(
            (a.step.ln() - 1.831_180_572_2).abs() < 1e-9,
            "{}",
            a.step.ln()
        );
        a.freeze();
        assert!(
            (a.step.ln() - 1.801_160_954_2).abs() < 1e-6,
            "{}",
            a.step.ln()
        );
    }

    #[test]
    fn dual_averaging_finds_the_step_of_a_given_acceptance() {
        // acceptance e^{−step}: 0.8 at step = −ln 0.8
        let mut a = DualAveraging::new(5.0);
        for _ in 0..2000 {
            a.update((-a.step).exp(), 0.8);
        }
        a.freeze();
        assert!((a.step + 0.8f64.ln()).abs() < 0.02, "{}", a.step);
    }
}
