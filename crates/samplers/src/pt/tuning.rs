//! How the ladder of parallel tempering is tuned: temperatures at equal steps of the barrier, step
//! sizes and scales carried along, guesses of the ratios of normalising constants.

use super::{LEAST_REJECTION, Ladders, NOWHERE, State, round, warmup};
use retrograde_core::{Cx, Sink};

impl Ladders {
    /// If a round of tuning has ended, takes what it tells.
    pub(super) fn end_round(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) {
        let (began, next) = round(state.plan.done);
        if began != state.plan.done {
            return;
        }
        let number = next - 1;
        let r = self.settings.chains as f64;
        let State {
            beta,
            step,
            scale,
            base,
            tally,
            highest,
            ..
        } = state;
        let (k, d) = (beta.len(), base.sd.len());
        for (shift, (below, above)) in tally
            .shift
            .iter_mut()
            .zip(tally.below.iter().zip(&tally.above))
        {
            // Both stepping stones have the same number of terms.
            let guess = 0.5 * (below - above);
            *shift = if guess.is_finite() { guess } else { 0.0 };
        }
        let worst = tally.rejected.iter().fold(0.0f64, |m, r| m.max(*r));
        let barrier = tally.rejected.iter().sum::<f64>() / tally.scans;
        sink.record(
            "tuning",
            &[
                ("round", f64::from(number)),
                ("scans", tally.scans),
                ("barrier", barrier),
                ("rejection", worst / tally.scans),
                ("log_z", tally.shift.iter().sum()),
                ("round_trips", tally.trips),
            ],
        );
        if number < self.settings.rounds {
            let n = tally.scans * r;
            for (scale, sums) in scale
                .chunks_exact_mut(d)
                .zip(tally.moments.chunks_exact(2 * d))
            {
                for (j, (scale, sums)) in scale.iter_mut().zip(sums.chunks_exact(2)).enumerate() {
                    // Of few and alike points a part of the old scale stays, lest one become 0.
                    let variance = (sums[1] / n - (sums[0] / n).powi(2)).max(0.0);
                    let old = (*scale / base.sd[j]).powi(2);
                    let new = (n * variance + 5.0 * 1e-3 * old) / (n + 5.0);
                    let new = base.sd[j] * new.sqrt();
                    if new > 0.0 && new.is_finite() {
                        *scale = new;
                    }
                }
            }
            let mut barrier = cx.take(k + 1);
            barrier[0] = 0.0;
            for (i, rejected) in tally.rejected.iter().enumerate() {
                barrier[i + 1] = barrier[i] + (rejected / tally.scans).max(LEAST_REJECTION);
            }
            let mut old = cx.take(k + 1);
            old[0] = 0.0;
            old[1..].copy_from_slice(beta);
            let mut slopes = cx.take(k + 1);
            equal_steps(&old, &barrier, &mut slopes, beta);
            let mut values = cx.take(k);
            let logs = |v: &mut Vec<f64>, values: &mut [f64], width: usize, j: usize| {
                for (i, to) in values.iter_mut().enumerate() {
                    *to = v[i * width + j].ln();
                }
            };
            for (v, width) in [(step, 1), (scale, d)] {
                for j in 0..width {
                    logs(v, &mut values, width, j);
                    for (i, b) in beta.iter().enumerate() {
                        v[i * width + j] = interpolate(&old[1..], &values, *b).exp();
                    }
                }
            }
            for buffer in [barrier, old, slopes, values] {
                cx.give(buffer);
            }
        }
        tally.reset();
        if state.plan.done == warmup(self.settings.rounds) {
            highest.fill(NOWHERE);
        }
    }
}

/// Places β₁ … β_K where `barrier` (Λ at the points `at`, both from 0, rising) is j Λ/K, by monotone
/// cubic interpolation (Fritsch & Carlson 1980) and bisection. `slopes` is room for a number a point.
pub(crate) fn equal_steps(at: &[f64], barrier: &[f64], slopes: &mut [f64], beta: &mut [f64]) {
    let (n, k) = (at.len() - 1, beta.len());
    let secant = |i: usize| (barrier[i + 1] - barrier[i]) / (at[i + 1] - at[i]);
    for (i, slope) in slopes.iter_mut().enumerate() {
        *slope = match i {
            0 => secant(0),
            _ if i == n => secant(n - 1),
            // The harmonic mean keeps the interpolant monotone.
            _ => 2.0 / (1.0 / secant(i - 1) + 1.0 / secant(i)),
        };
    }
    let total = barrier[n];
    let mut interval = 0;
    let mut last = 0.0f64;
    for (j, b) in beta.iter_mut().enumerate() {
        let level = total * (j + 1) as f64 / k as f64;
        while interval + 1 < n && barrier[interval + 1] < level {
            interval += 1;
        }
        let (width, l0, l1) = (
            at[interval + 1] - at[interval],
            barrier[interval],
            barrier[interval + 1],
        );
        let (s0, s1) = (slopes[interval] * width, slopes[interval + 1] * width);
        let value = |t: f64| {
            let (t2, u) = (t * t, 1.0 - t);
            l0 * (1.0 + 2.0 * t) * u * u + s0 * t * u * u + l1 * t2 * (3.0 - 2.0 * t) - s1 * t2 * u
        };
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let mid = 0.5 * (low + high);
            if value(mid) < level {
                low = mid;
            } else {
                high = mid;
            }
        }
        // They rise whatever rounding does; β_K is 1.
        *b = (at[interval] + high * width).max(last * (1.0 + 1e-12) + 1e-300);
        last = *b;
    }
    let mut next = 1.0;
    for b in beta.iter_mut().rev() {
        *b = b.min(next);
        next = *b * (1.0 - 1e-12);
    }
    beta[k - 1] = 1.0;
}

/// `values` at the rising points `at`, linear between them and constant beyond.
pub(crate) fn interpolate(at: &[f64], values: &[f64], x: f64) -> f64 {
    let i = at.partition_point(|a| *a < x);
    if i == 0 {
        return values[0];
    }
    if i == at.len() {
        return values[i - 1];
    }
    let t = (x - at[i - 1]) / (at[i] - at[i - 1]);
    values[i - 1] + t * (values[i] - values[i - 1])
}
