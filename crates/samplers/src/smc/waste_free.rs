//! Waste-free moves: all states of the chains are particles.

use super::doubts::correlation;
use super::moves::Moved;
use super::{Fault, Particles, State, dense_weights};
use crate::genealogy::{Spread, offspring_of};
use crate::walkers::Walkers;
use ndarray::{ArrayViewMut1, s};
use retrograde_core::{Cx, Result};

impl Particles {
    /// Chains that leave `n` particles; 0 without `waste_free`.
    pub(super) fn chains(&self, n: usize) -> usize {
        n.checked_div(self.settings.waste_free).unwrap_or(0)
    }

    /// Adds what the spread of the weights over chains says of the variance of Ẑ. State p of chain m
    /// of M is particle p M + m; before the first temperature each particle is by itself.
    pub(super) fn spread_of_chains(&self, state: &mut State, families: Spread) -> Spread {
        let n = state.weights.len();
        let chains = if state.level == 0 { n } else { self.chains(n) };
        let m = chains as f64;
        let weights = dense_weights(&state.weights);
        let squares: f64 = (0..chains)
            .map(|c| {
                let share: f64 = weights[c..].iter().step_by(chains).sum();
                (m * share - 1.0).powi(2)
            })
            .sum();
        state.variance += squares / (m * (m - 1.0));
        Spread {
            variance: state.variance,
            uncorrected: state.variance,
            ..families
        }
    }

    /// Resamples the starts of the chains, and moves them; all their states are the new particles.
    pub(super) fn chains_of_states(
        &self,
        cx: &mut Cx<'_>,
        state: &mut State,
        room: &mut [f64],
    ) -> Result<Moved> {
        let n = room.len();
        let m = self.chains(n);
        let mut u = [0.0];
        cx.at("resample", 0)
            .fill_uniform_1(ArrayViewMut1::from(&mut u[..]));
        if self.fault == Fault::UnweightedResampling {
            state.weights.fill(1.0 / n as f64);
        }
        offspring_of(u[0], dense_weights(&state.weights), m, room);
        let [
            mut before,
            mut after,
            mut equal,
            mut acceptance,
            mut steps,
            mut diverging,
        ] = std::array::from_fn(|_| cx.take(m));
        let families = &mut state.families;
        families.begin_chains(room, &state.particles, &mut state.chains, &mut before);
        state.weights.fill(1.0 / n as f64);
        equal.fill(1.0 / m as f64);
        self.differences(cx, &state.base, &state.chains, &mut before)?;
        let moves = self.settings.waste_free - 1;
        let mut accepted = 0.0;
        keep(&state.chains, &mut state.particles, 0);
        for k in 0..moves {
            cx.check_cancelled()?;
            self.apply(
                &mut cx.at("move", k as u64),
                (state.beta, &state.base),
                (state.step, &state.scale),
                &mut state.chains,
                &mut acceptance,
                &mut steps,
                &mut diverging,
            )?;
            keep(&state.chains, &mut state.particles, k + 1);
            let mean = acceptance.iter().sum::<f64>() / m as f64;
            accepted += mean;
            if !state.second {
                state.step = self.adapted(state.step, mean);
            }
        }
        self.differences(cx, &state.base, &state.chains, &mut after)?;
        let moved = Moved {
            moves: u32::try_from(moves).unwrap_or(u32::MAX),
            acceptance: accepted / moves as f64,
            memory: correlation(&equal, &before, &after),
        };
        for buffer in [before, after, equal, acceptance, steps, diverging] {
            cx.give(buffer);
        }
        self.remember(state, moved.moves);
        Ok(moved)
    }
}

/// Puts the states of the chains in their places number `k` among the particles.
fn keep(chains: &Walkers, particles: &mut Walkers, k: usize) {
    let m = chains.x.nrows();
    let rows = s![k * m..(k + 1) * m, ..];
    particles.x.slice_mut(rows).assign(&chains.x);
    particles.gradient.slice_mut(rows).assign(&chains.gradient);
    particles
        .log_density
        .slice_mut(s![k * m..(k + 1) * m])
        .assign(&chains.log_density);
}
