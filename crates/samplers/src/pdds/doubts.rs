//! What a run of the particle denoising diffusion sampler says against itself.

use super::swarm::{Report, Swarm};
use super::{Diffusion, State};
use crate::chains::{Gaussian, matrix};
use crate::smc::doubts::standard_error;
use crate::walkers::Walkers;
use ndarray::ArrayViewMut1;
use retrograde_core::{Cx, Flag, Result, Severity, Sink};

/// A tail of the weights heavier than this has no use for a standard error.
const HEAVY: f64 = 0.7;
/// Draws from whose place the target is looked at farther out, how far, and how slow a fall is flagged:
/// that of a normal law of ten times the variance.
const LINES: usize = 64;
const FAR_OUT: f64 = 100.0;
const SLOW: f64 = 0.9;
/// Fewer pilot chains than this may be astray.
const MISSED: usize = 3;
/// log Z from the target's end that is above that from the other by more than this many errors of both,
/// and by more than `APART`, betrays that weights were missed which count.
const ERRORS: f64 = 4.0;
const APART: f64 = 0.3;

impl Diffusion {
    /// 1 − v/σ² along the lines through 0 and the first draws (their median), where a normal law with the
    /// variance σ² would fall as the target does between a draw and `FAR_OUT` times as far; v is the
    /// reference's variance. 1 for tails that are no normal law's.
    pub(super) fn tails(&self, cx: &mut Cx<'_>, state: &mut State) -> Result<f64> {
        let (x, l) = (&state.swarm.particles.x, &state.swarm.particles.log_density);
        let (m, d) = (x.nrows().min(LINES), x.ncols());
        let [mut out, mut far] = [cx.take(m * d), cx.take(m)];
        for (out, x) in out.iter_mut().zip(x) {
            *out = FAR_OUT * x;
        }
        let values = Some(ArrayViewMut1::from(&mut far[..]));
        cx.eval_target(
            &self.guided(&mut state.frame, 0)?,
            matrix(&out, d),
            values,
            None,
        )?;
        cx.give(out);
        let mut count = 0;
        for i in 0..m {
            let square: f64 = x.row(i).iter().map(|x| x * x).sum();
            if square > 0.0 && l[i].is_finite() {
                let fall = (l[i] - far[i]) / (0.5 * (FAR_OUT * FAR_OUT - 1.0) * square);
                far[count] = 1.0 - fall;
                count += 1;
            }
        }
        far[..count].sort_unstable_by(f64::total_cmp);
        let middle = if count > 0 { far[count / 2] } else { 0.0 };
        cx.give(far);
        Ok(middle)
    }

    /// How many of the pilot chains in `walkers` that have densities such as the draws have are where no
    /// draws are: beyond their range in a coordinate by a quarter of it, or twice as far from the nearest
    /// draw as draws are from each other.
    pub(super) fn missed(
        &self,
        cx: &mut Cx<'_>,
        law: &Gaussian,
        walkers: &Walkers,
        draws: &Swarm,
    ) -> usize {
        let Walkers { x, log_density, .. } = &draws.particles;
        let (m, d) = x.dim();
        let distance = |y: &[f64], i: usize| -> f64 {
            let pairs = y.iter().zip(x.row(i));
            pairs.map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let nearest = |y: &[f64]| {
            let all = (0..m).map(|i| distance(y, i)).filter(|v| *v > 0.0);
            all.fold(f64::INFINITY, f64::min)
        };
        let own = x.rows().into_iter().take(LINES);
        let own = own.map(|y| y.to_slice().map_or(0.0, nearest));
        let most = own.filter(|v| v.is_finite()).fold(0.0, f64::max);
        let mut sorted = cx.take(m);
        sorted
            .iter_mut()
            .zip(log_density)
            .for_each(|(s, l)| *s = *l);
        sorted.sort_unstable_by(f64::total_cmp);
        let least = sorted[m / 20];
        cx.give(sorted);
        let [mut low, mut high, mut y] = std::array::from_fn(|_| cx.take(d));
        for j in 0..d {
            let column = x.column(j);
            let (a, b) = column
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
                    (a.min(*v), b.max(*v))
                });
            let margin = 0.25 * (b - a);
            (low[j], high[j]) = (a - margin, b + margin);
        }
        let log_scale: f64 = law.sd.iter().map(|s| s.ln()).sum();
        let mut count = 0;
        for (x, l) in walkers.x.rows().into_iter().zip(&walkers.log_density) {
            let mut beyond = false;
            for j in 0..d {
                y[j] = (x[j] - law.mean[j]) / law.sd[j];
                beyond |= !(low[j]..=high[j]).contains(&y[j]);
            }
            let high_enough = l + log_scale >= least;
            count += usize::from(high_enough && (beyond || nearest(&y) > 4.0 * most));
        }
        for buffer in [low, high, y] {
            cx.give(buffer);
        }
        count
    }

    /// A row of the ladder.
    pub(super) fn record(
        &self,
        cx: &Cx<'_>,
        state: &State,
        swarm: &Swarm,
        report: &Report,
        sink: &mut dyn Sink,
    ) {
        let k = swarm.level;
        let log_z = swarm.log_z;
        sink.record(
            "ladder",
            &[
                ("t", self.levels.t[k]),
                ("lambda", self.levels.noise(k)),
                ("ess", report.ess),
                ("log_z", if log_z.is_finite() { log_z } else { 0.0 }),
                ("families", report.spread.families),
                ("resampled", f64::from(u8::from(report.resampled))),
                (
                    "acceptance",
                    if report.acceptance.is_nan() {
                        0.0
                    } else {
                        report.acceptance
                    },
                ),
                ("step_size", state.step.get(k).copied().unwrap_or(0.0)),
                ("evaluations", cx.counts().rows as f64),
            ],
        );
    }

    /// log Z, and what is doubtful about it.
    pub(super) fn report(&self, state: &State, sink: &mut dyn Sink) {
        let swarm = &state.swarm;
        let n = swarm.log_weights.len();
        if swarm.log_z == f64::NEG_INFINITY {
            sink.flag(Flag::new(
                Severity::Failure,
                "no_weight",
                "No particle has weight: the target has no mass where they are, and Ẑ is 0",
                "place the reference law (`base_mean`, `base_sd`) where the target has mass",
            ));
            return;
        }
        let (ess, se, holds, families) = state.last;
        sink.scalar("log_z", swarm.log_z);
        sink.scalar("ess", ess);
        sink.scalar("families", families);
        sink.scalar("resamplings", swarm.resamplings as f64);
        if n > 1 {
            sink.scalar("log_z_se", se);
        } else {
            sink.flag(Flag::new(
                Severity::Warning,
                "no_log_z_se",
                "One particle tells no standard error of log Z",
                "take more draws",
            ));
        }
        if n > 1 && !holds {
            sink.flag(Flag::new(
                Severity::Note,
                "log_z_se",
                "The standard error of log Z is an upper bound: after so many resamplings the families of \
                 particles no longer tell it more closely",
                "lower `resample_threshold` for fewer resamplings, or compare seeds",
            ));
        }
        sink.flag(Flag::new(
            Severity::Note,
            "unseen",
            "Mass that no particle met is not in log Z, nor in its standard error: modes far outside the \
             reference law, or that the potential does not lead to",
            "vary `base_mean`, `base_sd`, `pilot_chains` and the seed, and see whether log Z stays",
        ));
        self.doubt_weights(state, ess, sink);
        self.doubt_ends(state, se, sink);
        let (sum, least, count) = swarm.accepted;
        if count > 0.0 {
            sink.scalar("acceptance", sum / count);
            if least < 0.2 {
                sink.flag(Flag::new(
                    Severity::Warning,
                    "acceptance",
                    format!("At one of the times the mean acceptance of the moves was {least:.3}"),
                    "take more `pilot_particles`, so that step sizes have time to adapt, or give `step_sizes`",
                ));
            }
        }
    }

    fn doubt_weights(&self, state: &State, ess: f64, sink: &mut dyn Sink) {
        let swarm = &state.swarm;
        let n = swarm.log_weights.len() as f64;
        let tail = Some(swarm.tail).filter(|t| t.is_finite());
        if let Some(tail) = tail {
            sink.scalar("weight_tail", tail);
        }
        let advice = "take more `steps` or `moves`, another `whiten` or a wider base, or a potential from a score; \
                      compare seeds, smc and parallel-tempering";
        let few = ess < 10.0 || ess < 0.01 * n;
        if n > 1.0 && (few || tail.is_some_and(|k| k > HEAVY)) {
            let tail = tail.map_or(String::new(), |k| {
                format!(
                    "; at some time their tail had the index {k:.2}, above {HEAVY} too heavy to be relied on"
                )
            });
            sink.flag(Flag::new(
                Severity::Warning,
                "heavy_weights",
                format!(
                    "The weights are worth {ess:.1} of {n} particles at the end{tail}: log Z is more often \
                     too low than too high, by more than its standard error says"
                ),
                advice,
            ));
        }
        if state.place.is_some() {
            sink.scalar("pilot_chains_missed", state.missed as f64);
        }
        if state.missed >= MISSED {
            sink.flag(Flag::new(
                Severity::Warning,
                "missed",
                format!(
                    "{} of the pilot chains ended where the density is as high as at the draws, but where no \
                     draws are: log Z and the draws are those of a part of the target",
                    state.missed
                ),
                "compare smc and parallel-tempering, and other seeds; take potential = \"mixture\", which knows modes \
                 that chains found, and more `pilot_chains`",
            ));
        }
        if state.tails > SLOW {
            sink.flag(Flag::new(
                Severity::Warning,
                "wide_tails",
                "Farther out than the draws the target falls far more slowly than the reference law, if it falls \
                 at all: weights there have no variance, and log Z may be too low, or not exist",
                "look whether the density can be integrated; raise `base_sd` with whiten = \"none\", or `widen`; \
                 write heavy-tailed parameters by their logarithm or another transform",
            ));
        }
        let families = state.last.3;
        if n > 1.0 && families < 20f64.max(0.01 * n).min(0.5 * n) {
            sink.flag(Flag::new(
                Severity::Warning,
                "few_families",
                format!(
                    "All {n} draws descend from {families} of the first particles: mode weights rest on \
                     resampling, and the standard error of log Z is not to be trusted"
                ),
                advice,
            ));
        }
    }

    /// Compares log Z with what particles sent from the target's end tell.
    fn doubt_ends(&self, state: &State, se: f64, sink: &mut dyn Sink) {
        let Some(back) = &state.back else { return };
        if !back.started || !back.log_z.is_finite() {
            return;
        }
        let (log_z, other) = (state.swarm.log_z, -back.log_z);
        let apart = other - log_z;
        sink.scalar("log_z_reverse", other);
        sink.scalar("log_z_reverse_se", state.back_se);
        if apart.abs() > APART + ERRORS * se.hypot(state.back_se) {
            sink.flag(Flag::new(
                Severity::Warning,
                "ends_disagree",
                format!(
                    "Particles sent from the draws back to the reference law tell log Z = {other:.3} ± {:.3}, \
                     those sent from there to the draws {log_z:.3} ± {se:.3}: weights that count were missed, \
                     and log Z may be far off whatever its standard error says (a potential that leads past \
                     a narrow target does that)",
                    state.back_se
                ),
                "set whiten = \"pilot\" or \"vi\", take more `steps`, or a potential from a score; compare smc \
                 and parallel-tempering",
            ));
        }
    }
}

/// (ESS, standard error of log Z, whether that holds, families) of a report.
pub(super) fn summary(report: &Report) -> (f64, f64, bool, f64) {
    let (se, holds) = standard_error(report.spread);
    (report.ess, se, holds, report.spread.families)
}
