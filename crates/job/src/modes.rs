//! Modes of a mixture that draws found.

use crate::verdicts::{Status, Verdict};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use retrograde_core::{GaussianMixture, Result, Runtime};

/// Most draws that are looked at.
const MOST_DRAWS: usize = 4000;
/// Most modes worth counting; a mixture of more is a way to write a density.
const MOST_MODES: usize = 256;

/// Modes of draws and their weights against those of the mixture; rows are points.
pub(crate) fn count(
    runtime: &mut Runtime,
    mixture: &GaussianMixture,
    rows: ArrayView2<'_, f64>,
    log_weights: Option<ArrayView1<'_, f64>>,
) -> Result<retrograde_metrics::Modes> {
    let mut p = Array2::zeros((rows.nrows(), mixture.components()));
    runtime.enter("count", 0, |cx| {
        mixture.responsibilities(cx, rows, p.view_mut())
    })?;
    retrograde_metrics::modes(p.view(), mixture.weights().view(), log_weights)
}

/// How the draws of a run stand to the modes of a mixture.
#[derive(Debug)]
pub(crate) struct ModeCount {
    modes: usize,
    missed: usize,
    /// Total variation of the weights from the true ones.
    error: f64,
    /// What independent draws would stay below, mostly.
    floor: f64,
}

impl ModeCount {
    /// Of at most 4000 draws, evenly spaced along the chains, one after the other; none for a single
    /// mode, or where nothing can be told. Rows are draws, of each draw all `chains`.
    pub(crate) fn new(
        runtime: &mut Runtime,
        mixture: &GaussianMixture,
        rows: ArrayView2<'_, f64>,
        chains: usize,
        log_weights: Option<ArrayView1<'_, f64>>,
    ) -> Option<Self> {
        let (n, k) = (rows.nrows(), mixture.components());
        if n == 0 || !(2..=MOST_MODES).contains(&k) {
            return None;
        }
        let m = n.min(MOST_DRAWS);
        let draws = n / chains;
        let place = |i: usize| i % draws * chains + i / draws;
        let at: Vec<usize> = (0..m).map(|i| place(i * n / m)).collect();
        let rows = rows.select(ndarray::Axis(0), &at);
        let log_weights = log_weights.map(|w| w.select(ndarray::Axis(0), &at));
        let weights = log_weights.as_ref().map(|w| w.view());
        let found = count(runtime, mixture, rows.view(), weights).ok()?;
        Some(Self {
            modes: k,
            missed: found.missed.len(),
            error: found.hard_error,
            floor: floor(mixture.weights(), m),
        })
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let Self {
            modes,
            missed,
            error,
            floor,
        } = *self;
        let found = modes - missed;
        let weights = format!(
            "their weights are off by {error:.3} (total variation; independent draws mostly below {floor:.3})"
        );
        let (status, text, advice) = if missed > 0 {
            let text =
                format!("{found} of {modes} modes have at least half of their weight; {weights}");
            let advice = "start from a law that covers all modes, or take another sampler";
            (Status::Warn, text, advice)
        } else if error > floor {
            let text = format!("all {modes} modes found, but {weights}");
            (
                Status::Warn,
                text,
                "take smc for weights, or more particles",
            )
        } else {
            let text = format!("all {modes} modes found; {weights}");
            (Status::Pass, text, "")
        };
        Verdict::new("modes", status, text, advice)
    }
}

/// Bound of the total variation between `weights` and the frequencies of `n` independent draws: its
/// mean is at most ½ Σ √(w(1 − w)/n), and it is above that by √(ln 20 / 2n) with probability below
/// 1/20 (McDiarmid's inequality, a draw moving it by at most 1/n).
fn floor(weights: &Array1<f64>, n: usize) -> f64 {
    let n = n as f64;
    let mean: f64 = weights.iter().map(|w| (w * (1.0 - w) / n).sqrt()).sum();
    0.5 * mean + (20f64.ln() / (2.0 * n)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_of(modes: usize, missed: usize, error: f64) -> Verdict {
        let floor = floor(&Array1::from_elem(modes, 1.0 / modes as f64), 1000);
        ModeCount {
            modes,
            missed,
            error,
            floor,
        }
        .verdict()
    }

    #[test]
    fn missed_modes_and_wrong_weights_are_warned_of() {
        let all = count_of(4, 0, 0.02);
        assert_eq!(all.status, Status::Pass);
        assert!(all.text.starts_with("all 4 modes found; "), "{}", all.text);
        let wrong = count_of(4, 0, 0.2);
        assert_eq!(wrong.status, Status::Warn);
        assert!(wrong.text.contains("off by 0.200"), "{}", wrong.text);
        let few = count_of(4, 3, 0.7);
        assert_eq!(few.status, Status::Warn);
        assert!(few.text.starts_with("1 of 4 modes"), "{}", few.text);
    }

    #[test]
    fn the_bound_is_seldom_passed_and_not_far_off() {
        // Two modes, so that the weight of one tells all: |B/n − w| with B binomial.
        let weights = ndarray::array![0.3, 0.7];
        let n = 400;
        let bound = floor(&weights, n);
        let mut u = Array2::zeros((1, n));
        let mut above = 0;
        let mut runtime = Runtime::new(1, 1).unwrap();
        for k in 0..500 {
            runtime
                .enter("floor", k, |cx| {
                    cx.at("u", 0).fill_uniform(u.view_mut());
                    Ok::<(), retrograde_core::Error>(())
                })
                .unwrap();
            let share = u.iter().filter(|u| **u < 0.3).count() as f64 / n as f64;
            above += u32::from((share - 0.3).abs() > bound);
        }
        // A normal of sd 0.0229 is beyond 0.0841 in one run of four thousand.
        assert!(
            (0.05..0.1).contains(&bound) && above <= 5,
            "{bound}: {above}"
        );
    }
}
