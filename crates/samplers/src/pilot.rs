//! A pilot run that places the base of a tempered sampler: chains from far and near go to where the
//! target has mass, and the base is a normal law as wide as where they end.
//!
//! Nothing of it is kept but mean and standard deviations, so that estimates made after it, with
//! random numbers of their own, have a base that is fixed as far as they are concerned.

use crate::chains::{Gaussian, check_length, evaluate_starts};
use crate::hmc;
use crate::walkers::{Path, Rungs, Scale, Walkers};
use retrograde_core::{Cx, Flag, Result, Severity, Sink, Target};
use serde::{Deserialize, Serialize};

/// Chains of a pilot run that places a base.
const CHAINS: usize = 128;
/// Chain i starts from a law 2^(i mod `WIDTHS`) times as wide as the given one.
const WIDTHS: usize = 8;
/// Moves of a step of the run.
const MOVES: u64 = 8;
const LEAPFROG: u32 = 5;
const ACCEPTANCE: f64 = 0.7;
/// The base is wider than what was found by this factor: too wide costs temperatures, too narrow
/// costs modes.
const MARGIN: f64 = 1.4;

/// Whether a base has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placing {
    /// Not yet: the step of the run is over.
    GoesOn,
    /// The pilot run has just ended, and is gone.
    Ends,
    /// It had its place before.
    Over,
}

/// Does some moves of the pilot run in `pilot`, if there is one.
pub(crate) fn place(
    cx: &mut Cx<'_>,
    pilot: &mut Option<Pilot>,
    target: &dyn Target,
    base: &mut Gaussian,
    moves: u64,
    sink: &mut dyn Sink,
) -> Result<Placing> {
    let Some(run) = pilot else {
        return Ok(Placing::Over);
    };
    if !run.step(cx, target, base, moves, sink)? {
        return Ok(Placing::GoesOn);
    }
    *pilot = None;
    Ok(Placing::Ends)
}

/// A pilot run under way.
#[derive(Serialize, Deserialize)]
pub(crate) struct Pilot {
    /// Where its chains are.
    pub(crate) walkers: Walkers,
    /// Step size of each chain.
    step: Vec<f64>,
    /// Moves done.
    pub(crate) done: u64,
}

impl Pilot {
    /// Draws starts of `chains` chains around `law` and evaluates them; `keys` are the settings that place it.
    pub(crate) fn start(
        cx: &mut Cx<'_>,
        component: &str,
        keys: [&str; 2],
        target: &dyn Target,
        law: &Gaussian,
        (chains, step): (usize, f64),
    ) -> Result<Self> {
        let mut walkers = Walkers::nowhere(component, chains, target.dim())?;
        law.draw(&mut cx.at("pilot", 0), walkers.x.view_mut());
        for (i, mut row) in walkers.x.outer_iter_mut().enumerate() {
            let wide = f64::from(1u32 << (i % WIDTHS));
            row.iter_mut()
                .zip(&law.mean)
                .for_each(|(x, m)| *x = m + wide * (*x - m));
        }
        evaluate_starts(
            cx,
            component,
            keys,
            target,
            walkers.x.view(),
            walkers.log_density.view_mut(),
            Some(walkers.gradient.view_mut()),
        )?;
        Ok(Self {
            walkers,
            step: vec![step; chains],
            done: 0,
        })
    }

    /// The same if `moves` of it are wanted.
    #[allow(clippy::too_many_arguments)] // those of `start`
    pub(crate) fn wanted(
        moves: u64,
        cx: &mut Cx<'_>,
        component: &str,
        keys: [&str; 2],
        target: &dyn Target,
        law: &Gaussian,
        step: f64,
    ) -> Result<Option<Self>> {
        if moves == 0 {
            return Ok(None);
        }
        Self::start(cx, component, keys, target, law, (CHAINS, step)).map(Some)
    }

    /// Whether a saved pilot run is one in dimension `d`.
    pub(crate) fn check_saved(&self, d: usize) -> std::result::Result<(), String> {
        self.check_chains(CHAINS, d)
    }

    /// The same of a run of so many chains.
    pub(crate) fn check_chains(&self, n: usize, d: usize) -> std::result::Result<(), String> {
        self.walkers.check_saved(n, d)?;
        check_length("step sizes", self.step.len(), n)?;
        let sound = |s: &f64| *s > 0.0 && s.is_finite();
        if self.step.iter().all(sound) {
            return Ok(());
        }
        Err("a step size that is not above 0".into())
    }

    /// Does some of `moves` moves; true when all are done, and `base` is then placed.
    pub(crate) fn step(
        &mut self,
        cx: &mut Cx<'_>,
        target: &dyn Target,
        base: &mut Gaussian,
        moves: u64,
        sink: &mut dyn Sink,
    ) -> Result<bool> {
        let (d, n) = (target.dim(), self.step.len());
        let [mut beta, mut acceptance, mut steps, mut diverging] =
            std::array::from_fn(|_| cx.take(n));
        beta.fill(1.0);
        let mut scale = cx.take(n * d);
        for row in scale.chunks_exact_mut(d) {
            row.copy_from_slice(&base.sd);
        }
        for m in 0..MOVES.min(moves.saturating_sub(self.done)) {
            cx.check_cancelled()?;
            hmc::Move {
                target,
                path: Path::TARGET,
                step: 1.0,
                jitter: hmc::Jitter::Even(0.2),
                leapfrog: LEAPFROG,
                scale: Scale::Diagonal(&[]),
                rungs: Some(Rungs {
                    rows: 1,
                    beta: &beta,
                    step: &self.step,
                    scale: &scale,
                }),
                fault: hmc::Fault::None,
            }
            .apply(
                &mut cx.at("pilot move", m),
                &mut self.walkers,
                &mut hmc::Outcome {
                    acceptance: &mut acceptance,
                    step: &mut steps,
                    diverging: &mut diverging,
                },
            )?;
            for (step, a) in self.step.iter_mut().zip(&acceptance) {
                *step = (*step * (a - ACCEPTANCE).exp()).clamp(1e-100, 1e100);
            }
            self.done += 1;
        }
        for buffer in [beta, acceptance, steps, diverging, scale] {
            cx.give(buffer);
        }
        if self.done < moves {
            return Ok(false);
        }
        self.place(cx, base, sink);
        Ok(true)
    }

    /// The least log density of chains that got to the mass: within 10 + 2 d of the best one, which in a
    /// normal law is two standard deviations a coordinate, and that of the best quarter in any case.
    pub(crate) fn least(&self, cx: &mut Cx<'_>) -> f64 {
        let (n, d) = self.walkers.x.dim();
        let mut sorted = cx.take(n);
        let log = sorted.iter_mut().zip(&self.walkers.log_density);
        log.for_each(|(s, l)| *s = *l);
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let least = (sorted[0] - 10.0 - 2.0 * d as f64).min(sorted[n / 4]);
        cx.give(sorted);
        least
    }

    /// Where the chains are whose log density is `least` or more.
    pub(crate) fn kept(&self, least: f64) -> impl Iterator<Item = &[f64]> + Clone {
        let (x, d) = (&self.walkers.x, self.walkers.x.ncols());
        let rows = x.as_slice().expect("rows are dense").chunks_exact(d);
        let rows = rows.zip(&self.walkers.log_density);
        rows.filter(move |(_, l)| **l >= least && l.is_finite())
            .map(|(x, _)| x)
    }

    /// Sets `base` to where the chains are that got to the mass.
    fn place(&self, cx: &mut Cx<'_>, base: &mut Gaussian, sink: &mut dyn Sink) {
        let (n, d) = self.walkers.x.dim();
        let kept = self.kept(self.least(cx));
        let count = kept.clone().count() as f64;
        let (mut widest, mut narrowest) = (0.0f64, f64::INFINITY);
        let mut column = cx.take(kept.clone().count());
        for j in 0..d {
            column
                .iter_mut()
                .zip(kept.clone())
                .for_each(|(c, x)| *c = x[j]);
            column.sort_unstable_by(f64::total_cmp);
            let out = column.len() / 32;
            // Half-way between the outer modes, whatever the shares of the chains in them: the path
            // then begins with like weights of both.
            let mean = 0.5 * (column[out] + column[column.len() - 1 - out]);
            let squares: f64 = column.iter().map(|x| (x - mean) * (x - mean)).sum();
            let sd = MARGIN * (squares / (count - 1.0)).sqrt();
            // Chains that all sit on one point tell no width.
            if mean.is_finite() && sd.is_finite() && sd > 1e-12 * base.sd[j] {
                base.mean[j] = mean;
                base.sd[j] = sd;
            }
            widest = widest.max(base.sd[j]);
            narrowest = narrowest.min(base.sd[j]);
        }
        cx.give(column);
        base.refresh();
        sink.scalar("base_sd_min", narrowest);
        sink.scalar("base_sd_max", widest);
        sink.flag(Flag::new(
            Severity::Note,
            "pilot",
            format!(
                "The base was placed by a pilot run: {count} of {n} chains got to the mass, and the base \
                 has standard deviations from {narrowest:.3} to {widest:.3}. Modes that no chain found may \
                 be outside it"
            ),
            "vary the seed and see whether log Z stays; give a base that is known to cover the target by \
             `base_mean`, `base_sd` and `pilot_moves = 0`",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_core::settings::PerCoordinate;
    use retrograde_core::{Collected, PointTarget};

    /// The base that the pilot finds for N(m, s²) in two coordinates, from N(0, 1).
    fn found(mean: [f64; 2], sd: [f64; 2], moves: u64) -> Gaussian {
        let target = PointTarget::new(2, move |x, g| {
            let mut l = 0.0;
            for j in 0..2 {
                let z = (x[j] - mean[j]) / sd[j];
                g[j] = -z / sd[j];
                l -= 0.5 * z * z;
            }
            l
        });
        let (zero, one) = (PerCoordinate::All(0.0), PerCoordinate::All(1.0));
        let mut base = Gaussian::new("test", 2, ["", ""], &zero, &one, true).unwrap();
        let mut sink = Collected::new(2);
        retrograde_testkit::with_cx(5, |cx| {
            let mut pilot =
                Pilot::start(cx, "test", ["", ""], &target, &base, (CHAINS, 0.1)).unwrap();
            let mut step = 0;
            while !pilot
                .step(
                    &mut cx.at("step", step),
                    &target,
                    &mut base,
                    moves,
                    &mut sink,
                )
                .unwrap()
            {
                step += 1;
            }
        });
        base
    }

    #[test]
    fn the_base_is_where_the_target_is() {
        let far = |moves| {
            let base = found([30.0, -4.0], [0.5, 8.0], moves);
            let off = (base.mean[0] - 30.0).abs() / 0.5 + (base.mean[1] + 4.0).abs() / 8.0;
            let wide = base.sd[0] / 0.5 / MARGIN;
            let tall = base.sd[1] / 8.0 / MARGIN;
            // 128 chains give a standard deviation to 6 %, and the centre to 0.2 of one.
            off < 1.5 && (0.75..1.3).contains(&wide) && (0.75..1.3).contains(&tall)
        };
        assert!(far(200));
        assert!(!far(1), "a single move does not get there");
    }
}
