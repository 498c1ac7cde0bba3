//! The moves of tempered SMC at one temperature.

use super::doubts::correlation;
use super::{Fault, Kernel, Particles, RUNG, State, aim, dense_weights};
use crate::chains::Gaussian;
use crate::walkers::{Path, Walkers};
use crate::{hmc, mala};
use retrograde_core::{Cx, Result};

/// A round of moves that lowers the correlation by a smaller factor gets nowhere; two such end the
/// moves (between modes that no move joins the correlation stays for ever).
const PROGRESS: f64 = 0.9;
/// Change of the log step size per unit of acceptance off its aim, a move.
const GAIN: f64 = 2.0;

/// What the moves at a temperature did.
pub(super) struct Moved {
    pub(super) moves: u32,
    /// Mean acceptance.
    pub(super) acceptance: f64,
    /// Correlation of Δ before and after: how much of the old particles was left.
    pub(super) memory: f64,
}

impl Particles {
    /// Moves the particles at the current temperature until they have forgotten where they were.
    pub(super) fn moves(
        &self,
        cx: &mut Cx<'_>,
        state: &mut State,
        acceptance: &mut [f64],
    ) -> Result<Moved> {
        let s = &self.settings;
        let n = acceptance.len();
        let adapt = !state.second && self.fault != Fault::NoCorrection;
        let most = if state.second {
            let rung = state.level * (RUNG + state.scale.len());
            state.ladder.rungs[rung + 2] as u32
        } else {
            s.max_moves.max(s.moves)
        };
        let [mut before, mut after, mut steps, mut diverging] = std::array::from_fn(|_| cx.take(n));
        self.differences(cx, &state.base, &state.particles, &mut before)?;
        let mut moved = Moved {
            moves: 0,
            acceptance: 0.0,
            memory: 1.0,
        };
        // The correlation of n independent pairs is above 2/√n in one case of forty.
        let enough = s.memory.max(2.0 / (n as f64).sqrt());
        let mut in_vain = 0;
        while moved.moves < most {
            let round = if state.second {
                most
            } else {
                s.moves.min(most - moved.moves)
            };
            for _ in 0..round {
                cx.check_cancelled()?;
                let mut cx = cx.at("move", u64::from(moved.moves));
                self.apply(
                    &mut cx,
                    (state.beta, &state.base),
                    (state.step, &state.scale),
                    &mut state.particles,
                    acceptance,
                    &mut steps,
                    &mut diverging,
                )?;
                let mean = acceptance.iter().sum::<f64>() / n as f64;
                moved.acceptance += mean;
                moved.moves += 1;
                if adapt {
                    state.step = self.adapted(state.step, mean);
                }
            }
            self.differences(cx, &state.base, &state.particles, &mut after)?;
            let memory = correlation(dense_weights(&state.weights), &before, &after);
            in_vain = if memory > PROGRESS * moved.memory {
                in_vain + 1
            } else {
                0
            };
            moved.memory = memory;
            if memory <= enough || in_vain == 2 {
                break;
            }
        }
        moved.acceptance /= f64::from(moved.moves);
        for buffer in [before, after, steps, diverging] {
            cx.give(buffer);
        }
        self.remember(state, moved.moves);
        Ok(moved)
    }

    /// Adds a rung to the ladder of the second run.
    pub(super) fn remember(&self, state: &mut State, moves: u32) {
        if self.settings.frozen && !state.second {
            let rung = [state.beta, state.step, f64::from(moves)];
            state.ladder.rungs.extend(rung);
            state.ladder.rungs.extend(&state.scale);
        }
    }

    /// The step size after a move of mean `acceptance`.
    pub(super) fn adapted(&self, step: f64, acceptance: f64) -> f64 {
        let aim = aim(self.settings.kernel);
        (step * (GAIN * (acceptance - aim)).exp()).clamp(1e-100, 1e100)
    }

    /// One move of all walkers, at a temperature, with a step size and scales.
    #[allow(clippy::too_many_arguments)] // three of them are room for numbers
    pub(super) fn apply(
        &self,
        cx: &mut Cx<'_>,
        (beta, base): (f64, &Gaussian),
        (step_size, scale): (f64, &[f64]),
        walkers: &mut Walkers,
        acceptance: &mut [f64],
        step: &mut [f64],
        diverging: &mut [f64],
    ) -> Result {
        let path = Path {
            beta,
            base: (self.fault != Fault::BaseMissingInMoves).then_some(base),
        };
        let wrong = self.fault == Fault::NoCorrection;
        match self.settings.kernel {
            Kernel::Mala => mala::Move {
                target: &*self.target,
                path,
                step: step_size,
                scale,
                rungs: None,
                fault: if wrong {
                    mala::Fault::NoCorrection
                } else {
                    mala::Fault::None
                },
            }
            .apply(cx, walkers, acceptance),
            Kernel::Hmc => hmc::Move {
                target: &*self.target,
                path,
                step: step_size,
                jitter: hmc::Jitter::new(self.settings.step_span),
                leapfrog: self.settings.leapfrog,
                scale: self.scale(scale),
                rungs: None,
                fault: if wrong {
                    hmc::Fault::NoCorrection
                } else {
                    hmc::Fault::None
                },
            }
            .apply(
                cx,
                walkers,
                &mut hmc::Outcome {
                    acceptance,
                    step,
                    diverging,
                },
            ),
        }
    }
}
