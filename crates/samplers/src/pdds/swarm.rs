//! Weighted particles, and their way from one time to the next: towards the target, or away from it.

use super::guide::Frame;
use super::potential::{Guided, Lead};
use super::{Diffusion, Drift, Fault, NAME};
use crate::chains::{FAR, check_length, dense, dense_mut, matrix, matrix_mut};
use crate::genealogy::{Families, Spread, offspring, tail_index};
use crate::mala;
use crate::walkers::{Path, Walkers};
use ndarray::{Array1, ArrayViewMut1};
use retrograde_core::numeric::softmax_in_place;
use retrograde_core::{Cx, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// Mean acceptance that the pilot run adapts MALA steps to (Roberts & Rosenthal 1998).
const ACCEPTANCE: f64 = 0.574;
/// Change of the log step size per unit of acceptance off its aim.
const GAIN: f64 = 1.0;
/// Moves by which the pilot run adapts the step size of a time.
const TUNING_MOVES: u32 = 10;

/// Particles in the coordinates y. `particles` holds log π̂ and its gradient at the time they are at.
///
/// Where ĝ is 0 at a time before the last, which says nothing of where the particle gets to, it keeps
/// the value that it had before, without slope: any positive potential of the path leaves E Ẑ = Z. Such
/// a row is marked by a gradient of NaN, which also keeps it from being moved.
#[derive(Serialize, Deserialize)]
pub(super) struct Swarm {
    pub(super) particles: Walkers,
    families: Families,
    /// Logarithms of the weights, which sum to 1.
    pub(super) log_weights: Array1<f64>,
    pub(super) log_z: f64,
    /// Index k of the time that they are at.
    pub(super) level: usize,
    pub(super) started: bool,
    /// Largest index of the tail of the weights before a resampling, and at the end.
    pub(super) tail: f64,
    pub(super) resamplings: usize,
    /// Sum and minimum of the mean acceptances, and their number.
    pub(super) accepted: (f64, f64, f64),
}

/// What a step gave.
pub(super) struct Report {
    pub(super) ess: f64,
    pub(super) spread: Spread,
    pub(super) resampled: bool,
    /// Mean acceptance of the moves, NaN without.
    pub(super) acceptance: f64,
}

/// Whether `n` particles of this effective sample size are to be resampled.
pub(super) fn too_few(ess: f64, threshold: f64, n: usize) -> bool {
    ess <= threshold * n as f64
}

/// −½‖y‖² of a row.
fn radial(y: &[f64]) -> f64 {
    -0.5 * y.iter().map(|y| y * y).sum::<f64>()
}

impl Swarm {
    pub(super) fn nowhere(n: usize, d: usize) -> Result<Self> {
        Ok(Self {
            particles: Walkers::nowhere(NAME, n, d)?,
            families: Families::new(n),
            log_weights: Array1::from_elem(n, -(n as f64).ln()),
            log_z: 0.0,
            level: 0,
            started: false,
            tail: f64::NEG_INFINITY,
            resamplings: 0,
            accepted: (0.0, 1.0, 0.0),
        })
    }

    pub(super) fn check_saved(
        &self,
        n: usize,
        d: usize,
        steps: usize,
    ) -> std::result::Result<(), String> {
        self.particles.check_saved(n, d)?;
        self.families.check_saved(n)?;
        check_length("weights", self.log_weights.len(), n)?;
        let sum: f64 = self.log_weights.iter().map(|w| w.exp()).sum();
        let dead = self.log_z == f64::NEG_INFINITY && sum == 0.0;
        if !dead && (!(0.5..2.0).contains(&sum) || !self.log_z.is_finite()) {
            return Err(format!(
                "weights that sum to {sum}, log Z of {}",
                self.log_z
            ));
        }
        if self.level > steps {
            return Err(format!("time {} of {steps}", self.level));
        }
        Ok(())
    }

    fn weights(&self) -> &[f64] {
        self.log_weights.as_slice().expect("weights are dense")
    }

    /// Writes log ĝ − ½ d ln 2π of the particles.
    pub(super) fn potential(&self, out: &mut [f64]) {
        let Walkers { x, log_density, .. } = &self.particles;
        let view = x.view();
        let rows = dense(&view).chunks_exact(x.ncols());
        for ((out, l), x) in out.iter_mut().zip(log_density).zip(rows) {
            *out = l - radial(x);
        }
    }

    /// Gives particles where ĝ is 0 the potential in `values`, and marks them.
    pub(super) fn hold(&mut self, values: &[f64]) {
        let Walkers {
            x,
            log_density,
            gradient,
        } = &mut self.particles;
        let view = x.view();
        let rows = dense(&view).chunks_exact(x.ncols());
        for (i, ((l, value), x)) in log_density.iter_mut().zip(values).zip(rows).enumerate() {
            if *l == f64::NEG_INFINITY {
                *l = value + radial(x);
                gradient.row_mut(i).fill(f64::NAN);
            }
        }
    }

    /// Takes `omega` into weights and log Z. False where no weight is left: then the weights are all −∞,
    /// and log Z is.
    pub(super) fn reweigh(&mut self, omega: &[f64], room: &mut [f64]) -> bool {
        for (w, o) in self.log_weights.iter_mut().zip(omega) {
            // Once without weight is for ever.
            if *w > f64::NEG_INFINITY {
                *w += o;
            }
        }
        room.copy_from_slice(self.weights());
        let sum = softmax_in_place(room);
        if !sum.is_finite() {
            self.log_weights.fill(f64::NEG_INFINITY);
            self.log_z = f64::NEG_INFINITY;
            return false;
        }
        self.log_z += sum;
        self.log_weights.iter_mut().for_each(|w| *w -= sum);
        true
    }
}

impl Diffusion {
    /// The law of the time `level`.
    pub(super) fn guided<'a>(&'a self, frame: &'a mut Frame, level: usize) -> Result<Guided<'a>> {
        let signal = match (level, self.fault) {
            (0, Fault::WrongEnd) => 0.9,
            _ => self.levels.signal[level],
        };
        let exponent = frame.exponents.get(level).copied();
        let lead = match (&self.learned, &mut frame.guide) {
            _ if level == 0 => Lead::Naive(1.0),
            (Some(l), _) => Lead::Score(l, self.score_times[level]),
            (None, Some(guide)) => Lead::Mixture(guide.at(&self.levels, level, exponent)?),
            (None, None) => Lead::Naive(exponent.unwrap_or(1.0)),
        };
        Ok(Guided {
            target: &*self.target,
            law: &frame.law,
            signal,
            lead,
        })
    }

    /// log π̂ and its gradient at the particles for the time `level`. The slope is not asked for at t = 0
    /// unless moves need it.
    pub(super) fn evaluate(
        &self,
        cx: &mut Cx<'_>,
        frame: &mut Frame,
        swarm: &mut Swarm,
        level: usize,
    ) -> Result {
        let Walkers {
            x,
            log_density,
            gradient,
        } = &mut swarm.particles;
        let d = x.ncols();
        if self.levels.signal[level] == 0.0 {
            // Nothing of the target is left: ĝ = 1.
            let constant = -0.5 * d as f64 * TAU.ln();
            let rows = dense(&x.view()).chunks_exact(d).map(radial);
            let rows = log_density.iter_mut().zip(rows);
            rows.for_each(|(l, r)| *l = r + constant);
            gradient.zip_mut_with(x, |g, x| *g = -x);
            return Ok(());
        }
        let slopes = level > 0 || self.settings.moves > 0;
        if !slopes {
            gradient.fill(0.0);
        }
        cx.eval_target(
            &self.guided(frame, level)?,
            x.view(),
            Some(log_density.view_mut()),
            slopes.then(|| gradient.view_mut()),
        )
    }

    /// Draws particles at the last time.
    pub(super) fn begin(&self, cx: &mut Cx<'_>, frame: &mut Frame, swarm: &mut Swarm) -> Result {
        let last = self.levels.steps();
        cx.at("start", 0).fill_normal(swarm.particles.x.view_mut());
        self.evaluate(cx, frame, swarm, last)?;
        let (n, d) = swarm.particles.x.dim();
        let [mut omega, mut room] = std::array::from_fn(|_| cx.take(n));
        let centre = self.centre(cx, frame, last)?;
        omega.fill(centre);
        swarm.hold(&omega);
        swarm.potential(&mut omega);
        let constant = 0.5 * d as f64 * TAU.ln();
        omega.iter_mut().for_each(|o| *o += constant);
        swarm.reweigh(&omega, &mut room);
        cx.give(room);
        cx.give(omega);
        swarm.level = last;
        swarm.started = true;
        Ok(())
    }

    /// log ĝ − ½ d ln 2π at y = 0, which stands for it where ĝ is 0 from the start.
    fn centre(&self, cx: &mut Cx<'_>, frame: &mut Frame, level: usize) -> Result<f64> {
        let d = frame.law.sd.len();
        if self.levels.signal[level] == 0.0 {
            return Ok(0.0);
        }
        let (mut y, mut l) = (cx.take(d), [0.0]);
        y.fill(0.0);
        let values = Some(ArrayViewMut1::from(&mut l[..]));
        cx.eval_target(&self.guided(frame, level)?, matrix(&y, d), values, None)?;
        cx.give(y);
        Ok(if l[0].is_finite() { l[0] } else { 0.0 })
    }

    /// Takes the particles one time towards the target, and weighs, resamples and moves them there.
    pub(super) fn towards(
        &self,
        cx: &mut Cx<'_>,
        frame: &mut Frame,
        swarm: &mut Swarm,
        (step, adapt): (&mut f64, bool),
    ) -> Result<Report> {
        let (level, n) = (swarm.level, swarm.particles.x.nrows());
        let [mut omega, mut weights] = std::array::from_fn(|_| cx.take(n));
        if self.fault == Fault::OwnBest {
            self.best_of_two(cx, frame, swarm, &mut omega)?;
        } else {
            self.propose(cx, frame, swarm, &mut omega)?;
        }
        swarm.level = level - 1;
        swarm.reweigh(&omega, &mut weights);
        cx.give(omega);
        let report = self.settle(cx, frame, swarm, &mut weights, (step, adapt));
        cx.give(weights);
        report
    }

    /// x′ = a x + c ∇ log ĝ + √λ z, evaluated, and its weight in `omega`.
    fn propose(
        &self,
        cx: &mut Cx<'_>,
        frame: &mut Frame,
        swarm: &mut Swarm,
        omega: &mut [f64],
    ) -> Result {
        let level = swarm.level;
        let (n, d) = swarm.particles.x.dim();
        let (a, noise) = self.levels.step[level];
        let c = self.pull(level);
        let mut before = cx.take(n);
        swarm.potential(&mut before);
        let particles = &mut swarm.particles;
        let parts = (
            particles.x.view_mut(),
            particles.gradient.view(),
            ArrayViewMut1::from(&mut *omega),
        );
        let forgets = self.fault == Fault::NoKernelTerm;
        cx.rows(n, parts, |cx, _, (x, g, omega)| {
            let mut z = cx.take(x.len());
            cx.at("noise", 0).fill_normal(matrix_mut(&mut z, d));
            let sd = noise.sqrt();
            let rows = dense_mut(x).chunks_exact_mut(d);
            let rows = rows.zip(dense(&g).chunks_exact(d)).zip(z.chunks_exact(d));
            for (((x, g), z), omega) in rows.zip(omega) {
                let (mut term, mut near) = (0.0, true);
                let pull = if g[0].is_nan() { 0.0 } else { c };
                for j in 0..d {
                    let shift = if pull > 0.0 {
                        pull * (g[j] + x[j])
                    } else {
                        0.0
                    };
                    term += shift * (0.5 * shift + sd * z[j]);
                    x[j] = a * x[j] + shift + sd * z[j];
                    near &= x[j].abs() < FAR;
                }
                *omega = if forgets { 0.0 } else { -term / noise };
                if !near {
                    // The reference has no path that leads here.
                    x.fill(0.0);
                    *omega = f64::NEG_INFINITY;
                }
            }
            cx.give(z);
            Ok(())
        })?;
        self.evaluate(cx, frame, swarm, level - 1)?;
        if level > 1 {
            swarm.hold(&before);
        }
        for (o, b) in omega.iter_mut().zip(&before) {
            *o -= b;
        }
        swarm.potential(&mut before);
        for (o, b) in omega.iter_mut().zip(&before) {
            *o += b;
        }
        cx.give(before);
        Ok(())
    }

    /// Adaptation on the particles that are weighed: a control that must fail.
    fn best_of_two(
        &self,
        cx: &mut Cx<'_>,
        frame: &mut Frame,
        swarm: &mut Swarm,
        omega: &mut [f64],
    ) -> Result {
        let w = &swarm.particles;
        let kept = (w.x.clone(), w.log_density.clone(), w.gradient.clone());
        let mut other = omega.to_vec();
        self.propose(&mut cx.at("other", 0), frame, swarm, &mut other)?;
        let w = &mut swarm.particles;
        let first = (w.x.clone(), w.log_density.clone(), w.gradient.clone());
        (w.x, w.log_density, w.gradient) = kept;
        self.propose(cx, frame, swarm, omega)?;
        let total = |omega: &[f64]| -> f64 {
            let all = omega.iter().zip(&swarm.log_weights);
            all.map(|(o, w)| (o + w).exp()).sum()
        };
        if total(&other) > total(omega) {
            omega.copy_from_slice(&other);
            let w = &mut swarm.particles;
            (w.x, w.log_density, w.gradient) = first;
        }
        Ok(())
    }

    /// Factor c of the drift ∇ log ĝ in the step from t_k to t_{k−1}.
    pub(super) fn pull(&self, level: usize) -> f64 {
        let (a, noise) = self.levels.step[level];
        match self.settings.drift {
            Drift::FirstOrder => noise,
            Drift::Exponential => 2.0 * (1.0 - a),
        }
    }

    /// Resamples the particles where their `weights` are few, and moves them.
    pub(super) fn settle(
        &self,
        cx: &mut Cx<'_>,
        frame: &mut Frame,
        swarm: &mut Swarm,
        weights: &mut [f64],
        (step, adapt): (&mut f64, bool),
    ) -> Result<Report> {
        let n = weights.len();
        let mut room = cx.take(n);
        let dead = swarm.log_z == f64::NEG_INFINITY;
        let mut report = Report {
            ess: 0.0,
            spread: Spread {
                families: 0.0,
                variance: 0.0,
                uncorrected: 0.0,
            },
            resampled: false,
            acceptance: f64::NAN,
        };
        if !dead {
            report.ess = 1.0 / weights.iter().map(|w| w * w).sum::<f64>();
            report.spread = swarm.families.spread(weights, &mut room);
            let moves = self.settings.moves > 0;
            let few = too_few(report.ess, self.settings.resample_threshold, n);
            report.resampled = few && n > 1 && (swarm.level > 0 || moves);
            if report.resampled || swarm.level == 0 {
                room.copy_from_slice(swarm.weights());
                swarm.tail = swarm.tail.max(tail_index(&mut room));
            }
            if report.resampled {
                let mut u = [0.0];
                cx.at("resample", 0)
                    .fill_uniform_1(ArrayViewMut1::from(&mut u[..]));
                offspring(u[0], weights, &mut room);
                swarm.families.copy(weights, &room, &mut swarm.particles);
                swarm.log_weights.fill(-(n as f64).ln());
                swarm.resamplings += 1;
            }
            if moves && self.levels.signal[swarm.level] > 0.0 {
                report.acceptance = self.moves(cx, frame, swarm, &mut room, (step, adapt))?;
            }
        }
        cx.give(room);
        Ok(report)
    }

    /// Moves the particles by MALA steps that keep π̂; gives the mean acceptance.
    fn moves(
        &self,
        cx: &mut Cx<'_>,
        frame: &mut Frame,
        swarm: &mut Swarm,
        acceptance: &mut [f64],
        (step, adapt): (&mut f64, bool),
    ) -> Result<f64> {
        let n = acceptance.len() as f64;
        let moves = if adapt {
            TUNING_MOVES.max(self.settings.moves)
        } else {
            self.settings.moves
        };
        let mut total = 0.0;
        for m in 0..moves {
            cx.check_cancelled()?;
            mala::Move {
                target: &self.guided(frame, swarm.level)?,
                path: Path::TARGET,
                step: *step,
                scale: &self.unit,
                rungs: None,
                fault: mala::Fault::None,
            }
            .apply(
                &mut cx.at("move", u64::from(m)),
                &mut swarm.particles,
                acceptance,
            )?;
            let mean = acceptance.iter().sum::<f64>() / n;
            total += mean;
            if adapt {
                *step = (*step * (GAIN * (mean - ACCEPTANCE)).exp()).clamp(1e-100, 1e100);
            }
        }
        let mean = total / f64::from(moves);
        let (sum, least, count) = swarm.accepted;
        swarm.accepted = (sum + mean, least.min(mean), count + 1.0);
        Ok(mean)
    }
}
