//! What annealed importance sampling gives beside its draws, and what it says against itself.

use super::{Annealed, State};
use crate::genealogy::tail_index;
use retrograde_core::numeric::{effective_sample_size, log_mean_exp};
use retrograde_core::{Cx, Flag, Severity, Sink};

/// A tail of the weights heavier than this has no use for a standard error.
const HEAVY: f64 = 0.7;

impl Annealed {
    /// A row of the ladder.
    pub(super) fn record(&self, state: &State, sink: &mut dyn Sink) {
        let Some(w) = state.log_weights.as_slice() else {
            return;
        };
        let log_z = log_mean_exp(w);
        let at = state.level - 1;
        sink.record(
            "ladder",
            &[
                ("beta", state.beta[at]),
                ("ess", effective_sample_size(w)),
                ("log_z", if log_z.is_finite() { log_z } else { 0.0 }),
                ("acceptance", state.accepted.0 / state.level as f64),
                ("step_size", state.step[at]),
            ],
        );
    }

    /// log Z, and what is doubtful about it.
    pub(super) fn report(&self, cx: &mut Cx<'_>, state: &State, sink: &mut dyn Sink) {
        let Some(w) = state.log_weights.as_slice() else {
            return;
        };
        let n = w.len() as f64;
        let log_z = log_mean_exp(w);
        if !log_z.is_finite() {
            sink.flag(Flag::new(
                Severity::Failure,
                "no_weight",
                "No particle has weight: the target has no mass where they are",
                "place the base (`base_mean`, `base_sd`) where the target has mass",
            ));
            return;
        }
        let ess = effective_sample_size(w);
        sink.scalar("log_z", log_z);
        sink.scalar("ess", ess);
        sink.scalar("acceptance", state.accepted.0 / state.level as f64);
        if n > 1.0 {
            let cv2 = (n / ess - 1.0).max(0.0);
            sink.scalar("log_z_se", (cv2 / (n - 1.0)).sqrt());
        } else {
            sink.flag(Flag::new(
                Severity::Warning,
                "no_log_z_se",
                "One particle tells no standard error of log Z",
                "take more draws",
            ));
        }
        let mut sorted = cx.take(w.len());
        sorted.copy_from_slice(w);
        let tail = Some(tail_index(&mut sorted)).filter(|k| k.is_finite());
        cx.give(sorted);
        if let Some(tail) = tail {
            sink.scalar("weight_tail", tail);
        }
        let few = ess < 10.0 || ess < 0.01 * n;
        if n > 1.0 && (few || tail.is_some_and(|k| k > HEAVY)) {
            let tail = tail.map_or(String::new(), |k| {
                format!(
                    "; their tail has the index {k:.2}, above {HEAVY} too heavy to be relied on"
                )
            });
            sink.flag(Flag::new(
                Severity::Warning,
                "heavy_weights",
                format!(
                    "The weights are worth {ess:.1} of {n} particles{tail}: log Z is more often too low than \
                     too high, by more than its standard error says"
                ),
                "take more `temperatures` or `moves`, or a base nearer to the target; compare seeds, and \
                 parallel-tempering",
            ));
        }
        if state.accepted.1 < 0.2 {
            sink.flag(Flag::new(
                Severity::Warning,
                "acceptance",
                format!(
                    "At one of the temperatures the mean acceptance of the moves was {:.3}",
                    state.accepted.1
                ),
                "take more `pilot_particles`, so that step sizes have time to adapt, or other coordinates",
            ));
        }
    }
}
