//! What a run of parallel tempering gives beside its draws, and what it says against itself.

use super::{Fault, Ladders, State, aim};
use retrograde_core::{Cx, Flag, Severity, Sink};

/// With fewer round trips in all, mode weights rest on few of them.
const FEW_TRIPS: f64 = 20.0;
/// Draws that much wider than the base are a sign of a base that is too narrow.
const WIDER: f64 = 1.5;

impl Ladders {
    /// Shows how the run stands; at its end the ladder and the doubts.
    pub(super) fn report(&self, cx: &mut Cx<'_>, state: &State, sink: &mut dyn Sink) {
        let s = &self.settings;
        let t = &state.tally;
        let (k, r) = (state.beta.len(), s.chains as f64);
        let mut ratio = cx.take(k);
        let evidence = self.evidence(cx, state, &mut ratio);
        if let Some((log_z, se)) = evidence {
            sink.scalar("log_z", log_z);
            if let Some(se) = se {
                sink.scalar("log_z_se", se);
            }
        }
        let terms = (t.scans * r).ln();
        let below: f64 = t.below.iter().map(|v| v - terms).sum();
        let above: f64 = t.above.iter().map(|v| terms - v).sum();
        for (key, value) in [("log_z_below", below), ("log_z_above", above)] {
            if value.is_finite() {
                sink.scalar(key, value);
            }
        }
        let barrier = t.rejected.iter().sum::<f64>() / t.scans;
        sink.scalar("barrier", barrier);
        sink.scalar("round_trips", t.trips);
        sink.scalar("round_trip_rate", t.trips / (t.scans * r));
        sink.scalar("acceptance", t.accepted[k - 1] / t.scans);
        if state.plan.is_done() {
            self.show_ladder(state, &ratio, sink);
            self.doubt_ladder(state, barrier, evidence, sink);
            self.doubt_moves(state, sink);
        }
        cx.give(ratio);
    }

    /// log Ẑ by the bridges, its standard error by the jackknife, and ln(Z_k/Z_{k−1}) into `ratio`; none
    /// where two neighbours have nothing in common.
    fn evidence(
        &self,
        cx: &mut Cx<'_>,
        state: &State,
        ratio: &mut [f64],
    ) -> Option<(f64, Option<f64>)> {
        let t = &state.tally;
        let k = ratio.len();
        let mut total = cx.take(2 * k);
        total.fill(0.0);
        for part in t.bridges.chunks_exact(2 * k) {
            total.iter_mut().zip(part).for_each(|(a, b)| *a += b);
        }
        let skipped = usize::from(self.fault == Fault::PairOmitted);
        // Numbers of terms are the same below and above.
        let without = |part: Option<&[f64]>, ratio: &mut [f64]| {
            for (i, ratio) in ratio.iter_mut().enumerate() {
                let left = |j: usize| total[j] - part.map_or(0.0, |p| p[j]);
                *ratio = t.shift[i] + (left(2 * i) / left(2 * i + 1)).ln();
            }
            ratio[skipped..].iter().sum::<f64>()
        };
        let (mut n, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for (part, scans) in t.bridges.chunks_exact(2 * k).zip(&t.parts) {
            if *scans > 0.0 {
                let value = without(Some(part), ratio);
                n += 1.0;
                let off = value - mean;
                mean += off / n;
                squares += off * (value - mean);
            }
        }
        let log_z = without(None, ratio);
        cx.give(total);
        let se = ((n - 1.0) / n * squares).sqrt();
        log_z
            .is_finite()
            .then(|| (log_z, Some(se).filter(|se| se.is_finite() && n > 1.0)))
    }

    fn show_ladder(&self, state: &State, ratio: &[f64], sink: &mut dyn Sink) {
        let t = &state.tally;
        let (mut barrier, mut log_z) = (0.0, 0.0);
        for i in 0..=ratio.len() {
            let mut row = [
                ("beta", 0.0),
                ("rejection", 0.0),
                ("barrier", 0.0),
                ("log_z", 0.0),
                ("acceptance", 1.0),
                ("step_size", 0.0),
                ("reached", 0.0),
                ("round_trips", t.trips),
            ];
            if i > 0 {
                let rejection = t.rejected[i - 1] / t.scans;
                barrier += rejection;
                log_z += ratio[i - 1];
                row[0].1 = state.beta[i - 1];
                row[1].1 = rejection;
                row[2].1 = barrier;
                row[3].1 = if log_z.is_finite() { log_z } else { 0.0 };
                row[4].1 = t.accepted[i - 1] / t.scans;
                row[5].1 = state.step[i - 1];
                row[6].1 = t.reached[i];
            }
            sink.record("ladder", &row);
        }
    }

    fn doubt_ladder(
        &self,
        state: &State,
        barrier: f64,
        evidence: Option<(f64, Option<f64>)>,
        sink: &mut dyn Sink,
    ) {
        let t = &state.tally;
        let k = state.beta.len();
        sink.flag(Flag::new(
            Severity::Note,
            "unseen",
            "Mass that no replica met is not in log Z, nor in its standard error: modes far outside the base, \
             modes much narrower than the base, the neck of a funnel",
            "vary `base_mean`, `base_sd` and the seed, and see whether log Z stays",
        ));
        let worst = (0..k).max_by(|a, b| t.rejected[*a].total_cmp(&t.rejected[*b]));
        let worst = worst.unwrap_or(0);
        let gap = t.rejected[worst] / t.scans;
        let wanted = (2.0 * barrier).ceil() + 1.0;
        if (k as f64) < 2.0 * barrier || gap > 0.9 {
            let lower = if worst == 0 {
                0.0
            } else {
                state.beta[worst - 1]
            };
            sink.flag(Flag::new(
                Severity::Warning,
                "few_temperatures",
                format!(
                    "The communication barrier Λ is at least {barrier:.1}, too much for {k} temperatures; \
                     between β = {lower:.3e} and {:.3e} {:.1} % of the swaps are rejected",
                    state.beta[worst],
                    100.0 * gap
                ),
                format!(
                    "take `temperatures` = {} or more, or a base nearer to the target",
                    wanted.max(2.0 * k as f64)
                ),
            ));
        }
        let scans = t.scans * self.settings.chains as f64;
        let best = 0.5 / (1.0 + barrier);
        if t.trips < FEW_TRIPS {
            // A few at most fit into a short run.
            let (severity, what) = if t.trips == 0.0 {
                (Severity::Warning, "No replica".to_owned())
            } else {
                (Severity::Note, format!("Only {} times a replica", t.trips))
            };
            sink.flag(Flag::new(
                severity,
                if t.trips == 0.0 { "no_round_trips" } else { "few_round_trips" },
                format!(
                    "{what} went from the reference to the target and back in {scans} scans of a ladder \
                     (at best {:.0}): the draws at β = 1 depend on where they started, mode weights and log Z \
                     are not to be trusted to their standard errors",
                    scans * best
                ),
                "take more draws, a larger `thin` or fewer `chains`; where many swaps are rejected or few \
                 moves accepted (see the ladder), more `temperatures`, more `moves` or a better base",
            ));
        }
        match evidence {
            Some((_, Some(_))) => {}
            Some((_, None)) => sink.flag(Flag::new(
                Severity::Warning,
                "no_log_z_se",
                "The run is too short, or its ladders too unlike, for a standard error of log Z",
                "take more draws or more `chains`",
            )),
            None => sink.flag(Flag::new(
                Severity::Failure,
                "no_log_z",
                "Two neighbours of the ladder have no points in common: log Z cannot be told",
                "take more `temperatures`, more `rounds`, or a base nearer to the target",
            )),
        }
    }

    fn doubt_moves(&self, state: &State, sink: &mut dyn Sink) {
        let t = &state.tally;
        let off = |a: f64| (a - aim(self.settings.kernel)).abs();
        let means = t.accepted.iter().map(|a| a / t.scans);
        let worst = means.fold(aim(self.settings.kernel), |w, a| {
            if off(a) > off(w) { a } else { w }
        });
        // At the hottest temperatures of a base much like the target hardly a move is rejected.
        if worst < 0.2 {
            sink.flag(Flag::new(
                Severity::Warning,
                "acceptance",
                format!(
                    "At one of the temperatures the mean acceptance of the moves was {worst:.3}"
                ),
                "take more `rounds`, so that step sizes have time to adapt, or other coordinates",
            ));
        }
        let d = state.base.sd.len();
        let top = &state.scale[state.scale.len() - d..];
        let wider = top.iter().zip(&state.base.sd).map(|(s, b)| s / b);
        let wider = wider.fold(0.0, f64::max);
        if wider > WIDER {
            sink.flag(Flag::new(
                Severity::Warning,
                "narrow_base",
                format!(
                    "The draws are {wider:.1} times as wide as the base in some coordinate: modes farther out \
                     may be lost, and log Z too low"
                ),
                "raise `base_sd` to the width of the target with `pilot_moves = 0`, and compare log_z",
            ));
        }
    }
}
