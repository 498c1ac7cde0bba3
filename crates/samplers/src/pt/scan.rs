//! A scan of parallel tempering: new draws at the reference, moves, swaps.

use super::{Fault, Ladders, State, aim, blocks, round};
use crate::chains::dense;
use crate::smc::Kernel;
use crate::walkers::{Path, Rungs, Scale, Walkers};
use crate::{hmc, mala};
use ndarray::ArrayViewMut1;
use retrograde_core::numeric::sigmoid;
use retrograde_core::{Cx, Result};

/// Room for a scan.
pub(super) struct Room {
    pub(super) acceptance: Vec<f64>,
    pub(super) steps: Vec<f64>,
    pub(super) diverging: Vec<f64>,
    /// Δ of each slot, the reference first.
    pub(super) difference: Vec<f64>,
    pub(super) uniform: Vec<f64>,
}

impl Room {
    pub(super) fn take(cx: &mut Cx<'_>, rows: usize, chains: usize) -> Self {
        Self {
            acceptance: cx.take(rows),
            steps: cx.take(rows),
            diverging: cx.take(rows),
            difference: cx.take(rows + chains),
            uniform: cx.take(rows),
        }
    }

    pub(super) fn give(self, cx: &mut Cx<'_>) {
        for buffer in [
            self.acceptance,
            self.steps,
            self.diverging,
            self.difference,
            self.uniform,
        ] {
            cx.give(buffer);
        }
    }
}

impl Ladders {
    /// New draws at the reference, moves everywhere else; then Δ everywhere.
    pub(super) fn explore(
        &self,
        cx: &mut Cx<'_>,
        state: &mut State,
        room: &mut Room,
        m: u64,
    ) -> Result {
        let s = &self.settings;
        let (target, r) = (&*self.target, s.chains);
        let State {
            reference,
            ladder,
            base,
            beta,
            step,
            scale,
            tally,
            plan,
            ..
        } = state;
        base.draw(&mut cx.at("reference", m), reference.x.view_mut());
        if self.fault == Fault::WideReference {
            reference.x *= 2.0;
        }
        cx.eval_target(
            target,
            reference.x.view(),
            Some(reference.log_density.view_mut()),
            Some(reference.gradient.view_mut()),
        )?;
        let moves = u64::from(s.moves);
        for j in 0..moves {
            let mut cx = cx.at("move", m * moves + j);
            let rungs = Some(Rungs {
                rows: r,
                beta,
                step,
                scale,
            });
            let path = Path {
                beta: 1.0,
                base: (self.fault != Fault::BaseMissingInMoves).then_some(&*base),
            };
            // In turn, not by chance: the lengths then belong to no random stream.
            let leapfrog = 1 + ((plan.done * moves + j) % u64::from(s.leapfrog)) as u32;
            match s.kernel {
                Kernel::Mala => mala::Move {
                    target,
                    path,
                    step: 1.0,
                    scale: &[],
                    rungs,
                    fault: mala::Fault::None,
                }
                .apply(&mut cx, ladder, &mut room.acceptance)?,
                Kernel::Hmc => hmc::Move {
                    target,
                    path,
                    step: 1.0,
                    jitter: hmc::Jitter::new(s.step_span),
                    leapfrog,
                    scale: Scale::Diagonal(&[]),
                    rungs,
                    fault: hmc::Fault::None,
                }
                .apply(
                    &mut cx,
                    ladder,
                    &mut hmc::Outcome {
                        acceptance: &mut room.acceptance,
                        step: &mut room.steps,
                        diverging: &mut room.diverging,
                    },
                )?,
            }
            let warming = plan.warming_up();
            // Over a round the step sizes settle.
            let gain = 2.0 * (1.0 + (plan.done - round(plan.done).0) as f64).powf(-0.6);
            let aim = aim(s.kernel);
            for (k, a) in room.acceptance.chunks_exact(r).enumerate() {
                let mean = a.iter().sum::<f64>() / r as f64;
                tally.accepted[k] += mean / f64::from(s.moves);
                if warming {
                    step[k] = (step[k] * (gain * (mean - aim)).exp()).clamp(1e-100, 1e100);
                }
            }
        }
        for (from, out) in [(&*reference, 0), (&*ladder, r)] {
            let x = from.x.view();
            let rows = dense(&x).chunks_exact(base.sd.len());
            let out = &mut room.difference[out..];
            for ((x, l), out) in rows.zip(&from.log_density).zip(out) {
                *out = l - base.log_density(x);
            }
        }
        if plan.warming_up() {
            let x = ladder.x.view();
            for (i, x) in dense(&x).chunks_exact(base.sd.len()).enumerate() {
                let at = i / r * 2 * x.len();
                let sums = tally.moments[at..at + 2 * x.len()].chunks_exact_mut(2);
                for (j, (x, sums)) in x.iter().zip(sums).enumerate() {
                    let v = (x - base.mean[j]) / base.sd[j];
                    sums[0] += v;
                    sums[1] += v * v;
                }
            }
        }
        Ok(())
    }

    /// Counts what the pairs tell, and swaps every other pair.
    pub(super) fn swap(&self, cx: &mut Cx<'_>, state: &mut State, room: &mut Room, m: u64) {
        let r = self.settings.chains;
        let k = state.beta.len();
        let uniform = ArrayViewMut1::from(&mut room.uniform[..]);
        cx.at("swap", m).fill_uniform_1(uniform);
        let mut odd = state.plan.done % 2;
        if self.fault == Fault::Reversible {
            let mut u = [0.0];
            cx.at("parity", m)
                .fill_uniform_1(ArrayViewMut1::from(&mut u[..]));
            odd = u64::from(u[0] < 0.5);
        }
        let block = self.block(state);
        let tally = &mut state.tally;
        tally.scans += 1.0;
        for c in 0..r {
            tally.parts[block * r + c] += 1.0;
        }
        for pair in 0..k {
            let lower = if pair == 0 { 0.0 } else { state.beta[pair - 1] };
            let w = state.beta[pair] - lower;
            let shift = tally.shift[pair];
            for c in 0..r {
                let (below, above) = (pair * r + c, (pair + 1) * r + c);
                let (u, v) = (room.difference[below], room.difference[above]);
                let exponent = match self.fault {
                    Fault::EverySwap => 0.0,
                    Fault::HalfExponent => 0.5 * w * (u - v),
                    _ => w * (u - v),
                };
                // Two points without mass (−∞ less −∞) stay where they are.
                let accept = if exponent.is_nan() {
                    0.0
                } else {
                    exponent.min(0.0).exp()
                };
                tally.rejected[pair] += (1.0 - accept) / r as f64;
                add_logs(&mut tally.below[pair], w * u);
                if v > f64::NEG_INFINITY {
                    add_logs(&mut tally.above[pair], -w * v);
                }
                let at = ((block * r + c) * k + pair) * 2;
                tally.bridges[at] += sigmoid(w * u - shift);
                tally.bridges[at + 1] += sigmoid(shift - w * v);
                let turn = pair as u64 % 2 == odd && self.fault != Fault::NoSwaps;
                if turn && room.uniform[below] < accept {
                    if pair == 0 {
                        exchange(&mut state.reference, c, &mut state.ladder, c);
                    } else {
                        within(&mut state.ladder, below - r, above - r);
                    }
                    state.replica.swap(below, above);
                }
            }
        }
        for (slot, replica) in state.replica.iter().enumerate() {
            let at = (slot / r) as u32;
            let highest = &mut state.highest[*replica as usize];
            if at == 0 {
                if *highest == k as u32 {
                    tally.trips += 1.0;
                }
                *highest = 0;
            } else if at > *highest {
                // NOWHERE is above all.
                *highest = at;
                tally.reached[at as usize] += 1.0;
            }
        }
    }

    /// The part of the run that the scan now belongs to.
    fn block(&self, state: &State) -> usize {
        let plan = &state.plan;
        if plan.warming_up() {
            return 0;
        }
        let blocks = blocks(self.settings.chains);
        let done = u128::from(plan.done - plan.warmup);
        ((done * blocks as u128) / u128::from(plan.length().max(1))) as usize
    }
}

/// ln(e^sum + e^term).
fn add_logs(sum: &mut f64, term: f64) {
    let (high, low) = (sum.max(term), sum.min(term));
    if low > f64::NEG_INFINITY {
        *sum = high + (low - high).exp().ln_1p();
    } else {
        *sum = high;
    }
}

/// Swaps row `i` of `a` with row `j` of `b`.
fn exchange(a: &mut Walkers, i: usize, b: &mut Walkers, j: usize) {
    std::mem::swap(&mut a.log_density[i], &mut b.log_density[j]);
    for (a, b) in [(&mut a.x, &mut b.x), (&mut a.gradient, &mut b.gradient)] {
        let pairs = a.row_mut(i).into_iter().zip(b.row_mut(j));
        pairs.for_each(|(a, b)| std::mem::swap(a, b));
    }
}

/// Swaps rows `i` and `j` of the same walkers.
fn within(a: &mut Walkers, i: usize, j: usize) {
    a.log_density.swap(i, j);
    for matrix in [&mut a.x, &mut a.gradient] {
        for c in 0..matrix.ncols() {
            matrix.swap((i, c), (j, c));
        }
    }
}
