//! What comes before the particles that are weighed, with random numbers of its own.

use super::{Diffusion, State};
use crate::walkers::Walkers;
use retrograde_core::{BLOCK, Cx, Result, Sink};

impl Diffusion {
    /// Takes the buffers that steps need and gives them back, so that no step asks for memory.
    pub(super) fn make_room(&self, cx: &mut Cx<'_>, n: usize) {
        let d = self.target.dim();
        let n = n.max(self.settings.pilot_particles);
        let run = Walkers::run(&*self.target, n).min(n) * d;
        let block = BLOCK.min(n) * d;
        let moved = if self.settings.moves > 0 { run } else { 0 };
        let more = [moved, moved, self.sent_back(n) * d, BLOCK];
        let sizes = [n; 6].into_iter().chain([block; 5]).chain(more);
        let buffers: Vec<Vec<f64>> = sizes.map(|len| cx.take(len)).collect();
        buffers.into_iter().for_each(|b| cx.give(b));
    }

    /// Does a part of what comes before the particles; true when nothing is left of it.
    pub(super) fn prepare(
        &self,
        cx: &mut Cx<'_>,
        state: &mut State,
        sink: &mut dyn Sink,
    ) -> Result<bool> {
        let (s, target) = (&self.settings, &*self.target);
        if let Some(pilot) = &mut state.place
            && pilot.done < s.pilot_moves
        {
            let law = &mut state.law;
            if !pilot.step(cx, target, law, s.pilot_moves, sink)? {
                return Ok(false);
            }
        }
        if let Some(vi) = &mut state.vi {
            if !vi.step(cx, target, &mut state.law, s.vi_steps)? {
                return Ok(false);
            }
            sink.scalar("vi_iterations", vi.done as f64);
            sink.scalar("vi_bound", vi.best);
            state.vi = None;
            state.law.sd.iter_mut().for_each(|sd| *sd *= s.widen);
            state.law.refresh();
        }
        if let Some(tune) = &mut state.tune {
            let mut cx = cx.at("tune", 0);
            if !tune.started {
                self.begin(&mut cx, &state.law, tune)?;
            }
            let level = tune.level - 1;
            let mut step = state.step[tune.level];
            self.towards(&mut cx, &state.law, tune, (&mut step, true))?;
            state.step[level] = step;
            if level > 0 {
                return Ok(false);
            }
            state.tune = None;
            return Ok(false);
        }
        Ok(true)
    }
}
