//! What comes before the particles that are weighed, with random numbers of its own.

use super::exponents::likeliest;
use super::fit::Fit;
use super::guide::{Frame, Guide};
use super::{Diffusion, Potential, State};
use crate::chains::{Gaussian, matrix};
use crate::pilot::Pilot;
use crate::walkers::Walkers;
use ndarray::{Array2, ArrayViewMut1, array};
use retrograde_core::{BLOCK, Cx, Flag, GaussianMixture, Result, Severity, Sink, Target};

/// A covariance matrix is made wider than that of the chains by this factor of standard deviations: too
/// narrow costs more than too wide.
const WIDER: f64 = 1.15;

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
            let Frame {
                law,
                guide,
                exponents,
            } = &mut state.frame;
            if !pilot.step(cx, target, law, s.pilot_moves, sink)? {
                return Ok(false);
            }
            if s.potential == Potential::Mixture {
                *guide = fit(cx, target, pilot, law)?;
                if let Some(guide) = guide {
                    let (of, most) = (guide.fit.law(true)?, &guide.fit);
                    let most = |alpha, noise| most.exponent(alpha, noise);
                    *exponents = likeliest(cx, &of, &self.levels, density(target, law), most)?;
                }
            }
            if guide.as_ref().is_some_and(|g| g.rival.is_none()) {
                state.vi = None;
            }
            if state.vi.is_none() && s.potential == Potential::Mixture {
                say_potential(&state.frame, sink);
            }
        }
        if let Some(vi) = &mut state.vi {
            let Frame {
                law,
                guide,
                exponents,
            } = &mut state.frame;
            if !vi.step(cx, target, law, s.vi_steps)? {
                return Ok(false);
            }
            sink.scalar("vi_iterations", vi.done as f64);
            sink.scalar("vi_bound", vi.best);
            let rival = guide.as_mut().and_then(|g| g.rival.take());
            if let Some((bound, coordinates)) = rival
                && bound > vi.best
            {
                *law = coordinates;
            } else {
                *guide = None;
                law.sd.iter_mut().for_each(|sd| *sd *= s.widen);
                law.refresh();
                exponents.clear();
                if s.potential == Potential::Mixture {
                    let d = law.sd.len();
                    let of = GaussianMixture::isotropic(
                        array![1.0],
                        Array2::zeros((1, d)),
                        array![1.0],
                    )?;
                    *exponents =
                        likeliest(cx, &of, &self.levels, density(target, law), |_, _| 1.0)?;
                }
            }
            state.vi = None;
            if s.potential == Potential::Mixture {
                say_potential(&state.frame, sink);
            }
        }
        if let Some(guide) = &state.frame.guide
            && !state.swarm.started
        {
            sink.scalar("components", guide.fit.components() as f64);
        }
        if let Some(tune) = &mut state.tune {
            let mut cx = cx.at("tune", 0);
            if !tune.started {
                self.begin(&mut cx, &mut state.frame, tune)?;
            }
            let level = tune.level - 1;
            let mut step = state.step[tune.level];
            self.towards(&mut cx, &mut state.frame, tune, (&mut step, true))?;
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

/// Says what leads the particles of a run that chose it.
fn say_potential(frame: &Frame, sink: &mut dyn Sink) {
    let by = match &frame.guide {
        Some(guide) if guide.fit.components() > 1 => format!(
            "a mixture of {} normal laws, fitted to where pilot chains ended",
            guide.fit.components()
        ),
        Some(_) => {
            "a normal law with a covariance matrix, fitted to where pilot chains ended".into()
        }
        None => "the target's own density, from the normal law of variational inference".into(),
    };
    let trust = if frame.exponents.is_empty() {
        "by a rule, for draws of that law are worth too few of the target"
    } else {
        "as far as draws of that law find likely"
    };
    sink.flag(Flag::new(
        Severity::Note,
        "potential",
        format!(
            "The particles are led by {by}, and before the last time by the density ratio {trust}"
        ),
        "compare `potential`, `whiten` and seeds, smc and parallel-tempering",
    ));
}

/// What fits where the chains of the pilot run ended, in the coordinates of `law`: a mixture if these are many
/// modes, one component with a covariance matrix if they are one, none where the chains are too few for it.
fn fit(
    cx: &mut Cx<'_>,
    target: &dyn Target,
    pilot: &Pilot,
    law: &Gaussian,
) -> Result<Option<Guide>> {
    let d = law.sd.len();
    let kept = pilot.kept(pilot.least(cx));
    let mut y: Vec<f64> = kept.flatten().copied().collect();
    for (y, j) in y.iter_mut().zip((0..d).cycle()) {
        *y = (*y - law.mean[j]) / law.sd[j];
    }
    let mut fit = Fit::of(cx, &y, d)?;
    let density = density(target, law);
    if fit.many_modes(cx, density)? {
        fit.adapt(cx, density)?;
        return Ok(Some(Guide::new(fit, None)));
    }
    let Some(mut fit) = Fit::dense(&y, d) else {
        return Ok(None);
    };
    let bound = fit.bound(cx, density)?;
    fit.widen(WIDER);
    Ok(Some(Guide::new(fit, Some((bound, law.clone())))))
}

/// The log density of the target in the coordinates of `law`, at rows.
fn density<'a>(
    target: &'a dyn Target,
    law: &'a Gaussian,
) -> impl Fn(&mut Cx<'_>, &[f64], &mut [f64]) -> Result + Copy + 'a {
    let d = law.sd.len();
    let log_scale: f64 = law.sd.iter().map(|s| s.ln()).sum();
    move |cx, y, out| {
        let mut x = cx.take(y.len());
        for ((x, y), j) in x.iter_mut().zip(y).zip((0..d).cycle()) {
            *x = law.mean[j] + law.sd[j] * y;
        }
        let values = Some(ArrayViewMut1::from(&mut *out));
        cx.eval_target(target, matrix(&x, d), values, None)?;
        cx.give(x);
        out.iter_mut().for_each(|l| *l += log_scale);
        Ok(())
    }
}
