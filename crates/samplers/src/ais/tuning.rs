//! The pilot run that fixes temperatures and step sizes of annealed importance sampling.

use super::{AisSchedule, Annealed, NAME, State};
use crate::chains::Gaussian;
use crate::pt::tuning::{equal_steps, interpolate};
use crate::smc::{self, Particles, RUNG, Smc};
use retrograde_core::{Algorithm, Cx, Draws, Error, Flag, Result, Severity, Sink};

/// Moves of the pilot particles at a temperature at most: they only tell temperatures and steps.
const PILOT_MOVES: u32 = 20;

/// A law without coordinates, which stands in for one that is lent.
pub(super) fn nothing() -> Gaussian {
    Gaussian {
        mean: Vec::new(),
        sd: Vec::new(),
        precision: Vec::new(),
        log_normaliser: 0.0,
    }
}

/// What the pilot run says is for nobody: only its temperatures and step sizes are used.
pub(super) struct Silent;

impl Sink for Silent {
    fn set_chains(&mut self, _: usize) -> Result {
        Ok(())
    }
    fn emit(&mut self, _: &Draws<'_>) -> Result {
        Ok(())
    }
    fn scalar(&mut self, _: &str, _: f64) {}
    fn record(&mut self, _: &str, _: &[(&str, f64)]) {}
    fn flag(&mut self, _: Flag) {}
    fn progress(&mut self, _: f64) {}
}

/// An error of the pilot run under the name of this sampler, with advice by its keys.
pub(super) fn of_pilot(error: Error) -> Error {
    match error {
        Error::Breakdown { message, .. } => Error::Breakdown {
            component: NAME.into(),
            message: format!("the pilot run that places the temperatures: {message}"),
            advice: "place the base (`base_mean`, `base_sd`) nearer to the target, take more \
                     `pilot_particles`, or other units for the coordinates"
                .into(),
        },
        other => other,
    }
}

impl Annealed {
    /// The pilot run that tells temperatures and step sizes, from `base`.
    pub(super) fn pilot(&self, base: Gaussian) -> Particles {
        let s = &self.settings;
        Particles {
            settings: Smc {
                kernel: s.kernel,
                leapfrog: s.leapfrog,
                step_size: s.step_size,
                step_span: s.step_span,
                max_moves: PILOT_MOVES,
                frozen: true,
                max_temperatures: 100_000,
                pilot_moves: 0,
                ..Smc::default()
            },
            base,
            target: self.target.clone(),
            fault: smc::Fault::None,
        }
    }

    pub(super) fn begin_tuning(&self, cx: &mut Cx<'_>, state: &mut State) -> Result {
        let pilot = self.pilot(state.base.clone());
        let n = self.settings.pilot_particles;
        let begun = pilot.init(&mut cx.at("pilot", 0), n).map_err(|e| match e {
            // Its words name the right keys already.
            Error::Breakdown {
                message, advice, ..
            } => Error::Breakdown {
                component: NAME.into(),
                message,
                advice,
            },
            other => other,
        })?;
        state.tune = Some(begun);
        Ok(())
    }

    /// Fixes temperatures, step sizes and scales by what the pilot run found.
    pub(super) fn end_tuning(&self, state: &mut State, sink: &mut dyn Sink) {
        let Some(tune) = state.tune.take() else {
            return;
        };
        let s = &self.settings;
        let (d, k) = (state.base.sd.len(), self.length());
        let width = RUNG + d;
        let rungs: Vec<&[f64]> = tune.ladder.rungs.chunks_exact(width).collect();
        let at: Vec<f64> = rungs.iter().map(|r| r[0]).collect();
        let mut beta = vec![1.0; k];
        if !s.betas.is_empty() {
            beta.copy_from_slice(&s.betas);
        } else {
            let last = (k - 1).max(1) as f64;
            match s.schedule {
                AisSchedule::Adaptive => {
                    let knots: Vec<f64> = [0.0].into_iter().chain(at.iter().copied()).collect();
                    let levels: Vec<f64> = (0..knots.len()).map(|i| i as f64).collect();
                    let mut slopes = vec![0.0; knots.len()];
                    equal_steps(&knots, &levels, &mut slopes, &mut beta);
                }
                AisSchedule::Linear => {
                    for (i, b) in beta.iter_mut().enumerate() {
                        *b = (i + 1) as f64 / k as f64;
                    }
                }
                AisSchedule::Geometric => {
                    for (i, b) in beta[..k - 1].iter_mut().enumerate() {
                        *b = s.first_beta.powf(1.0 - i as f64 / last);
                    }
                }
            }
        }
        let along = |column: usize, beta: f64, values: &mut Vec<f64>| {
            values.clear();
            values.extend(rungs.iter().map(|r| r[column].ln()));
            interpolate(&at, values, beta).exp()
        };
        let mut values = Vec::with_capacity(at.len());
        for b in &beta {
            state.step.push(along(1, *b, &mut values));
            for j in 0..d {
                state.scale.push(along(RUNG + j, *b, &mut values));
            }
        }
        state.beta = beta;
        sink.scalar("pilot_temperatures", at.len() as f64);
        sink.flag(Flag::new(
            Severity::Note,
            "unseen",
            "Mass that no particle met is not in log Z, nor in its standard error: modes far outside the base, \
             modes much narrower than the base, the neck of a funnel. Mode weights are right on average over \
             runs; in one run they rest on the few particles with large weights",
            "vary `base_mean`, `base_sd` and the seed, and see whether log Z stays; parallel-tempering carries \
             points from mode to mode",
        ));
    }
}
