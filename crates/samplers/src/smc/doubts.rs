//! What a run of tempered SMC says against itself.

use super::moves::Moved;
use super::{Particles, RUNG, Report, State, aim};
use crate::genealogy::{Spread, standard_deviations};
use crate::walkers::Walkers;
use retrograde_core::{Cx, Flag, Severity, Sink};

/// With fewer families their shares say nothing of the variance of Ẑ.
pub(crate) const FEW_FAMILIES: f64 = 20.0;
/// Draws that much wider than the base are a sign of a base that is too narrow.
const WIDER: f64 = 1.5;

/// Correlations of Δ across the moves above which the particles have not forgotten enough. Targets on
/// which log Ẑ agreed with the truth stayed below 0.35 on average and 0.7 at most.
const MEAN_MEMORY: f64 = 0.4;
const MOST_MEMORY: f64 = 0.75;

impl Particles {
    /// Shows what a temperature gave.
    pub(super) fn show(
        &self,
        cx: &Cx<'_>,
        state: &mut State,
        sink: &mut dyn Sink,
        report: &Report,
    ) {
        let off = |a: f64| (a - aim(self.settings.kernel)).abs();
        // The first temperature of an adaptive run begins with a step size that is only a guess.
        let Moved {
            moves,
            acceptance,
            memory,
        } = report.moved;
        let worse = state.worst.is_nan() || off(acceptance) > off(state.worst);
        if worse && state.level > 1 {
            state.worst = acceptance;
        }
        state.memory.0 += memory;
        state.memory.1 = state.memory.1.max(memory);
        sink.record(
            "ladder",
            &[
                ("pass", if state.second { 2.0 } else { 1.0 }),
                ("beta", state.beta),
                ("ess", report.ess),
                ("log_z", state.log_z),
                ("acceptance", acceptance),
                ("step_size", state.step),
                ("families", report.spread.families),
                ("evaluations", cx.counts().rows as f64),
                ("moves", f64::from(moves)),
                ("memory", memory),
            ],
        );
        sink.scalar("beta", state.beta);
        sink.scalar("ess", report.ess);
        sink.scalar("acceptance", acceptance);
        sink.scalar("log_z", state.log_z);
        sink.scalar("log_z_se", standard_error(report.spread).0);
        let rungs = state.ladder.rungs.len() / (RUNG + state.scale.len());
        sink.progress(match (self.settings.frozen, state.second) {
            (false, _) => state.beta.sqrt(),
            (true, false) => 0.5 * state.beta.sqrt(),
            (true, true) => 0.5 + 0.5 * state.level as f64 / rungs.max(1) as f64,
        });
    }

    /// Flags what is doubtful about the result.
    pub(super) fn doubts(
        &self,
        cx: &mut Cx<'_>,
        state: &State,
        sink: &mut dyn Sink,
        report: &Report,
    ) {
        let Walkers { x, .. } = &state.particles;
        let n = x.nrows();
        let families = report.spread.families;
        sink.flag(Flag::new(
            Severity::Note,
            "unseen",
            "Mass that no particle met is not in log Z, nor in its standard error: modes far outside the \
             base, modes much narrower than the base, the end of the neck of a funnel",
            "vary `base_mean`, `base_sd`, `step_span` and the seed; write scales as logarithms and parameters in units of \
             their scale (non-centred), and see whether log Z stays",
        ));
        if self.settings.waste_free > 0 {
            sink.flag(Flag::new(
                Severity::Note,
                "log_z_se",
                "The standard error of log Z takes the chains of each temperature to be independent of \
                 those before: it is too small where they remember their starts",
                "raise `waste_free`, or compare seeds",
            ));
        } else if !standard_error(report.spread).1 {
            sink.flag(Flag::new(
                Severity::Note,
                "log_z_se",
                "The standard error of log Z is an upper bound: after so many resamplings the \
                 families of particles no longer tell it more closely",
                "lower `alpha` or `resample_threshold` for fewer resamplings, or compare seeds",
            ));
        }
        // Chains of many states forget their families.
        let share = if self.settings.waste_free > 0 {
            0.0
        } else {
            0.01
        };
        if families < FEW_FAMILIES.max(share * n as f64) {
            sink.flag(Flag::new(
                Severity::Warning,
                "few_families",
                format!(
                    "All {n} draws descend from {families} of the first particles: mode weights \
                     rest on resampling, and the standard error of log Z is not to be trusted"
                ),
                "take more particles, more `moves`, or a base nearer to the target; compare \
                 several seeds",
            ));
        }
        let mean_memory = state.memory.0 / state.level.max(1) as f64;
        // What is left of the particles after one or two temperatures hardly touches log Z.
        let few = state.level < 3;
        if !few && (mean_memory > MEAN_MEMORY || state.memory.1 > MOST_MEMORY) {
            sink.flag(Flag::new(
                Severity::Warning,
                "mixing",
                format!(
                    "The moves left the particles near where they were (correlation of the log \
                     density ratio {mean_memory:.2} on average, {:.2} at most): log Z may be off by \
                     far more than its standard error",
                    state.memory.1
                ),
                "raise `moves` and `max_moves`, take move = \"hmc\" or other coordinates, and see \
                 whether log Z stays",
            ));
        }
        if !(0.2..=0.95).contains(&state.worst) && !state.worst.is_nan() {
            sink.flag(Flag::new(
                Severity::Warning,
                "acceptance",
                format!(
                    "At one of the temperatures the mean acceptance of the moves was {:.3}",
                    state.worst
                ),
                "take more `moves`, so that the step size has time to adapt, or move = \"hmc\"",
            ));
        }
        let (mut mean, mut sd) = (cx.take(x.ncols()), cx.take(x.ncols()));
        standard_deviations(x, &state.weights, &mut mean, &mut sd);
        let wider = sd.iter().zip(&state.base.sd).map(|(s, b)| s / b);
        let wider = wider.fold(0.0, f64::max);
        if wider > WIDER {
            sink.flag(Flag::new(
                Severity::Warning,
                "narrow_base",
                format!(
                    "The draws are {wider:.1} times as wide as the base in some coordinate: modes \
                     farther out may be lost, and log Z too low"
                ),
                "raise `base_sd` to the width of the target, and compare log_z",
            ));
        }
        cx.give(sd);
        cx.give(mean);
    }
}

/// Standard error of log Ẑ, and whether it holds. Where the correction for resampling takes nearly
/// all away, what is left is noise: then the uncorrected variance stands, an upper bound.
pub(crate) fn standard_error(spread: Spread) -> (f64, bool) {
    if spread.variance > 0.05 * spread.uncorrected || spread.uncorrected < f64::EPSILON {
        (spread.variance.max(0.0).sqrt(), true)
    } else {
        (spread.uncorrected.max(0.0).sqrt(), false)
    }
}

/// Weighted correlation of two functions of the particles, over those where both are finite; 0 if
/// one of them hardly varies.
pub(super) fn correlation(weights: &[f64], a: &[f64], b: &[f64]) -> f64 {
    let finite = || {
        let all = weights.iter().zip(a.iter().zip(b));
        all.filter(|(_, (a, b))| a.is_finite() && b.is_finite())
    };
    let sums = finite().fold((0.0, 0.0, 0.0), |(t, x, y), (w, (a, b))| {
        (t + w, x + w * a, y + w * b)
    });
    let (ma, mb) = (sums.1 / sums.0, sums.2 / sums.0);
    let (mut saa, mut sab, mut sbb) = (0.0, 0.0, 0.0);
    for (w, (a, b)) in finite() {
        saa += w * (a - ma) * (a - ma);
        sab += w * (a - ma) * (b - mb);
        sbb += w * (b - mb) * (b - mb);
    }
    // A spread of rounding errors says nothing, and changes no log Ẑ.
    if saa.min(sbb) < 1e-12 * sums.0 {
        return 0.0;
    }
    sab / (saa * sbb).sqrt()
}
