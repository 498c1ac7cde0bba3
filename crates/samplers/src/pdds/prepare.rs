//! What comes before the particles that are weighed, with random numbers of its own.

use super::{Diffusion, State, doubts};
use retrograde_core::{Cx, Result, Sink};

impl Diffusion {
    /// Does a part of what comes before the particles; true when nothing is left of it.
    pub(super) fn prepare(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<bool> {
        let (s, target) = (&self.settings, &*self.target);
        if let Some(pilot) = &mut state.place
            && pilot.done < s.pilot_moves
        {
            let law = &mut state.law;
            if !pilot.step(cx, target, law, s.pilot_moves, sink)? {
                return Ok(false);
            }
            if state.vi.is_none() {
                state.place = None;
            }
        }
        if let Some(vi) = &mut state.vi {
            if !vi.step(cx, target, &mut state.law, s.vi_steps)? {
                return Ok(false);
            }
            sink.scalar("vi_iterations", vi.done as f64);
            sink.scalar("vi_bound", vi.best);
            if let Some(pilot) = &state.place {
                doubts::of_fit(vi.missed(&state.law, &pilot.walkers), sink);
            }
            (state.vi, state.place) = (None, None);
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
