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
            let Frame { law, guide, .. } = &mut state.frame;
            if !pilot.step(cx, target, law, s.pilot_moves, sink)? {
                return Ok(false);
            }
            if s.potential == Potential::Mixture {
                *guide = fit(cx, target, pilot, law)?;
            }
            if guide.as_ref().is_some_and(|g| g.rival.is_none()) {
                state.vi = None;
            }
            if state.vi.is_none() {
                self.choose(cx, &mut state.frame, sink)?;
            }
        }
        if let Some(vi) = &mut state.vi {
            let Frame { law, guide, .. } = &mut state.frame;
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
            }
            state.vi = None;
            self.choose(cx, &mut state.frame, sink)?;
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

    /// Finds how far the density ratio is to be trusted, and says what leads the particles, where that was not asked for.
    fn choose(&self, cx: &mut Cx<'_>, frame: &mut Frame, sink: &mut dyn Sink) -> Result {
        if self.settings.potential != Potential::Mixture {
            return Ok(());
        }
        let density = density(&*self.target, &frame.law);
        let (levels, fit) = (&self.levels, frame.guide.as_ref().map(|g| &g.fit));
        frame.exponents = match fit {
            Some(fit) => {
                let most = |alpha, noise| fit.exponent(alpha, noise);
                likeliest(cx, &fit.law(true)?, levels, density, most)?
            }
            None => {
                let (mean, one) = (Array2::zeros((1, self.target.dim())), array![1.0]);
                let unit = GaussianMixture::isotropic(one.clone(), mean, one)?;
                likeliest(cx, &unit, levels, density, |_, _| 1.0)?
            }
        };
        let by = match fit.map(Fit::components) {
            None => "The target's own density leads".into(),
            Some(1) => {
                "A normal law with a covariance matrix, fitted to where pilot chains ended, leads"
                    .into()
            }
            Some(k) => {
                format!("A mixture of {k} normal laws, fitted to where pilot chains ended, leads")
            }
        };
        let trust = match (fit, frame.exponents.is_empty()) {
            (_, false) => "counts to a power from 0 to 1, at most the likeliest one",
            (Some(_), true) => {
                "counts to a power that rises to 1 as noise leaves the parts of that law"
            }
            (None, true) => "counts in full",
        };
        sink.flag(Flag::new(
            Severity::Note,
            "potential",
            format!("{by} the particles; at times before the last the density ratio {trust}"),
            "compare `potential`, `whiten` and seeds, smc and parallel-tempering",
        ));
        Ok(())
    }
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
