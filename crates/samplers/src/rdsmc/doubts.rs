//! What reverse diffusion SMC gives beside its draws, and what it says against itself.

use super::{NAME, Sampled, State};
use crate::chains::{dense, matrix};
use crate::genealogy::Spread;
use crate::posterior::Whitened;
use crate::smc::{FEW_FAMILIES, standard_error};
use retrograde_core::{Cx, Draws, Flag, Result, Severity, Sink};

/// A least effective share of the particles below this is a step that lost most of them.
const LOW: f64 = 0.02;

impl Sampled {
    /// Hands over the draws, and what is doubtful about them.
    pub(super) fn finish(
        &self,
        cx: &mut Cx<'_>,
        state: &mut State,
        sink: &mut dyn Sink,
        ess: f64,
        spread: Spread,
        lost: bool,
    ) -> Result {
        if lost {
            return Err(retrograde_core::Error::Breakdown {
                component: NAME.into(),
                message: format!(
                    "no particle has weight after level {} of {}",
                    state.level, self.settings.levels
                ),
                advice: "place the base (`base_mean`, `base_sd`) where the target has mass, or take more \
                         draws or `auxiliary_draws`"
                    .into(),
            });
        }
        let n = state.x.nrows();
        sink.scalar("log_z", state.log_z);
        sink.scalar("ess", ess);
        sink.scalar("least_ess", state.least * n as f64);
        self.doubts(n, state, sink, ess, spread);
        let white = Whitened {
            target: &*self.target,
            base: &state.base,
        };
        let mut x = cx.take(state.x.len());
        white.place(dense(&state.x.view()), &mut x);
        state.log_p -= state.base.log_normaliser;
        let mut log_weights = cx.take(n);
        for (l, w) in log_weights.iter_mut().zip(&state.weights) {
            *l = w.ln() + (n as f64).ln() + state.log_z;
        }
        sink.emit(&Draws {
            x: matrix(&x, state.x.ncols()),
            log_weights: Some(log_weights[..].into()),
            stats: &[("lp", state.log_p.view())],
        })?;
        cx.give(log_weights);
        cx.give(x);
        Ok(())
    }

    fn doubts(&self, n: usize, state: &State, sink: &mut dyn Sink, ess: f64, spread: Spread) {
        sink.flag(Flag::new(
            Severity::Note,
            "unseen",
            "Mass that no particle met is not in log Z, nor in its standard error: modes far outside the base, \
             modes much narrower than the base, the neck of a funnel",
            "vary `base_mean`, `base_sd` and the seed, raise `auxiliary_draws`, and see whether log Z stays",
        ));
        if n < 2 {
            sink.flag(Flag::new(
                Severity::Warning,
                "no_log_z_se",
                "One particle tells no standard error of log Z",
                "take more draws",
            ));
            return;
        }
        let (se, holds) = standard_error(spread);
        sink.scalar("log_z_se", se);
        if !holds {
            sink.flag(Flag::new(
                Severity::Note,
                "log_z_se",
                "The standard error of log Z is an upper bound: after so many resamplings the families of \
                 particles no longer tell it more closely",
                "take more draws, or compare seeds",
            ));
        }
        if spread.families < FEW_FAMILIES.min(0.5 * n as f64) {
            sink.flag(Flag::new(
                Severity::Warning,
                "few_families",
                format!(
                    "The draws descend from {} of {n} first particles: mode weights and log Z rest on few, and \
                     the standard error of log Z is not to be trusted",
                    spread.families
                ),
                "take more draws, `auxiliary_draws` or `levels`; compare several seeds",
            ));
        }
        let few = (LOW * n as f64).max(10.0).min(0.5 * n as f64);
        if ess < few || state.least * (n as f64) < few {
            sink.flag(Flag::new(
                Severity::Warning,
                "heavy_weights",
                format!(
                    "The particles were worth {:.1} at one level and {ess:.1} at the end, of {n}: log Z is more \
                     often too low than too high, by more than its standard error says",
                    state.least * n as f64
                ),
                "take more `levels`, `auxiliary_draws` or `temperatures`; a smaller `tau_min` where the last \
                 level is the worst; compare seeds, and parallel-tempering",
            ));
        }
        if state.empty {
            sink.flag(Flag::new(
                Severity::Note,
                "empty",
                "Some particles had no auxiliary draw with mass: they went on by the base alone. Z stays \
                 unbiased, with a larger variance",
                "take more `auxiliary_draws`, or a base nearer to the target",
            ));
        }
    }
}
