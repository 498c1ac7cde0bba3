//! What samplers share whose particles are guided along a path of laws and leave one draw each:
//! the moves block by block, particles that die, the end of the path and what is doubtful there.

use crate::adapt::DualAveraging;
use crate::chains::{FAR, check_length, check_positive, dense_mut, matrix, matrix_mut};
use crate::mala;
use crate::walkers::{Path, Walkers};
use ndarray::{Array1, Array2, ArrayViewMut1};
use retrograde_core::{
    BLOCK, Cx, Draws, Error, Flag, Flow, Result, RowSplit, Severity, Sink, Target, Threading,
};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

/// Moves of a step, at most: few enough for checkpoints, enough to hide the cost of a step.
const MOVES: u64 = 16;
/// Numbers that a step moves, at most, unless it is one move.
const NUMBERS: usize = 1 << 22;
/// Acceptance that the step size of corrected moves aims at.
const ACCEPTANCE: f64 = 0.65;
/// Share of the draws above which a doubt that each of them can raise is raised for the run.
const ROUGH_SHARE: f64 = 0.1;
const CAPPED_SHARE: f64 = 0.05;

/// A path of laws and the move along it.
pub(crate) trait Guide: Send + Sync {
    /// Its name, for messages.
    fn component(&self) -> &'static str;

    fn target(&self) -> &dyn Target;

    /// Moves to the end of the path.
    fn moves(&self) -> u64;

    /// Writes where the gradient of the target is wanted for move `k` of the particles `x`; both are
    /// rows of d numbers.
    fn place(&self, k: u64, x: &[f64], y: &mut [f64]);

    /// Turns standard normals `z` into where move `k` takes the particles `x`; `gradient` is that at
    /// the places asked for.
    fn shift(&self, k: u64, x: &[f64], gradient: &[f64], z: &mut [f64]);

    /// Turns the particles at the end of the path into points of the target.
    fn arrive(&self, x: &mut [f64]);

    /// Step size at the end of the path.
    fn step_size(&self) -> f64;

    /// Length that a move's drift is limited to, ∞ without a limit.
    fn drift_cap(&self) -> f64;

    /// Corrected moves of the target after the path.
    fn mala_moves(&self) -> u64;
}

/// Particles on their way.
#[derive(Serialize, Deserialize)]
pub(crate) struct Particles {
    /// The gradient is kept only where moves follow that need it.
    pub(crate) walkers: Walkers,
    dead: Array1<bool>,
    /// Moves done, the corrected ones included.
    pub(crate) done: u64,
    mala: DualAveraging,
    acceptance: f64,
}

impl Particles {
    /// Particles at `x` (n × d).
    pub(crate) fn new<G: Guide>(guide: &G, x: Array2<f64>) -> Self {
        let (n, d) = x.dim();
        let rows = if guide.mala_moves() > 0 { n } else { 0 };
        Self {
            walkers: Walkers {
                x,
                log_density: Array1::zeros(n),
                gradient: Array2::zeros((rows, d)),
            },
            dead: Array1::from_elem(n, false),
            done: 0,
            mala: DualAveraging::new(guide.step_size()),
            acceptance: f64::NAN,
        }
    }

    /// Whether a saved state is one of `n` particles under this guide.
    pub(crate) fn check_saved<G: Guide>(
        &self,
        guide: &G,
        n: usize,
    ) -> std::result::Result<(), String> {
        let d = guide.target().dim();
        let rows = if guide.mala_moves() > 0 { n } else { 0 };
        let Walkers {
            x,
            log_density,
            gradient,
        } = &self.walkers;
        if x.dim() != (n, d) || gradient.dim() != (rows, d) {
            let found = (x.dim(), gradient.dim());
            return Err(format!("particles and gradients of shapes {found:?}"));
        }
        check_length("log densities", log_density.len(), n)?;
        check_length("marks of the dead", self.dead.len(), n)?;
        let all = guide.moves() + guide.mala_moves();
        if self.done > all {
            return Err(format!("{} moves done of {all}", self.done));
        }
        Ok(())
    }

    /// One step of the run: some moves, and at the end the draws. The caller has shown its notes.
    pub(crate) fn step<G: Guide>(
        &mut self,
        guide: &G,
        cx: &mut Cx<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Flow> {
        let (n, d) = self.walkers.x.dim();
        let (path, all) = (guide.moves(), guide.moves() + guide.mala_moves());
        let most = (NUMBERS / (n * d).max(1)) as u64;
        let most = most.clamp(1, MOVES);
        if self.done == 0 && all > path {
            // Room that the corrected moves will want: no later step asks for memory.
            let run = n.min(Walkers::run(guide.target(), n));
            let room = [run * d, run * d, n, run, n.min(BLOCK), d, d].map(|len| cx.take(len));
            room.into_iter().for_each(|buffer| cx.give(buffer));
        }
        if self.done < path {
            let moves = most.min(path - self.done);
            self.travel(guide, cx, moves)?;
            self.done += moves;
            self.report_dead(guide, sink)?;
            if self.done == path {
                let found = self.arrive(guide, cx)?;
                found.report(guide, sink);
            }
        } else {
            let moves = most.min(all - self.done);
            self.correct(guide, cx, moves)?;
            sink.scalar("acceptance", self.acceptance);
        }
        sink.progress(self.done as f64 / all as f64);
        if self.done < all {
            return Ok(Flow::More);
        }
        let Walkers { x, log_density, .. } = &self.walkers;
        let lp = [("lp", log_density.view())];
        let known = usize::from(guide.target().has_density());
        sink.emit(&Draws {
            x: x.view(),
            log_weights: None,
            stats: &lp[..known],
        })?;
        Ok(Flow::Done)
    }

    /// The next `moves` moves, block of rows by block of rows, so that a block stays in the cache.
    fn travel<G: Guide>(&mut self, guide: &G, cx: &mut Cx<'_>, moves: u64) -> Result {
        let (n, d) = self.walkers.x.dim();
        let (first, target) = (self.done, guide.target());
        let parts = (self.walkers.x.view_mut(), self.dead.view_mut());
        sweep(cx, target, n, parts, |cx, (x, mut dead)| {
            let x = dense_mut(x);
            let (mut y, mut g, mut z) = (cx.take(x.len()), cx.take(x.len()), cx.take(x.len()));
            for m in 0..moves {
                cx.check_cancelled()?;
                guide.place(first + m, x, &mut y);
                gradients(cx, target, &mut y, &mut g, &mut dead)?;
                cx.at("noise", m).fill_normal(matrix_mut(&mut z, d));
                guide.shift(first + m, x, &g, &mut z);
                settle(x, &z, &mut dead, d);
            }
            for buffer in [y, g, z] {
                cx.give(buffer);
            }
            Ok(())
        })
    }

    /// Evaluates the points at the end of the path.
    fn arrive<G: Guide>(&mut self, guide: &G, cx: &mut Cx<'_>) -> Result<Arrival> {
        let (n, d) = self.walkers.x.dim();
        let target = guide.target();
        let Walkers {
            x,
            log_density,
            gradient,
        } = &mut self.walkers;
        guide.arrive(x.as_slice_mut().expect("particles are dense"));
        let (h, cap) = (guide.step_size(), guide.drift_cap());
        let (rough, capped) = (AtomicU64::new(0), AtomicU64::new(0));
        let keep = gradient.nrows() > 0;
        let parts = (
            x.view(),
            log_density.view_mut(),
            keep.then(|| gradient.view_mut()),
            self.dead.view(),
        );
        sweep(cx, target, n, parts, |cx, (x, l, kept, dead)| {
            let mut g = cx.take(x.len());
            let l = target.has_density().then_some(l);
            cx.eval_target(target, x, l, Some(matrix_mut(&mut g, d)))?;
            for (g, _) in g.chunks_exact(d).zip(dead).filter(|(_, dead)| !**dead) {
                let squares = g.iter().map(|v| v * v).sum::<f64>();
                let (r, c) = (h * squares > d as f64, h * squares.sqrt() > cap);
                rough.fetch_add(u64::from(r), Ordering::Relaxed);
                capped.fetch_add(u64::from(c), Ordering::Relaxed);
            }
            if let Some(mut kept) = kept {
                kept.assign(&matrix(&g, d));
            }
            cx.give(g);
            Ok(())
        })?;
        let live = (n - self.dead()).max(1) as f64;
        Ok(Arrival {
            rough: rough.into_inner() as f64 / live,
            capped: capped.into_inner() as f64 / live,
        })
    }

    /// Moves that keep the target, after the path.
    fn correct<G: Guide>(&mut self, guide: &G, cx: &mut Cx<'_>, moves: u64) -> Result {
        let (n, d) = self.walkers.x.dim();
        let mut acceptance = cx.take(n);
        let mut unit = cx.take(d);
        unit.fill(1.0);
        let (first, all) = (self.done - guide.moves(), guide.mala_moves());
        for m in 0..moves {
            cx.check_cancelled()?;
            let kernel = mala::Move {
                target: guide.target(),
                path: Path::TARGET,
                step: self.mala.step,
                scale: &unit,
                rungs: None,
                fault: mala::Fault::None,
            };
            kernel.apply(&mut cx.at("move", m), &mut self.walkers, &mut acceptance)?;
            self.acceptance = acceptance.iter().sum::<f64>() / n as f64;
            // The first half finds the step size, the second keeps it.
            match (first + m + 1).cmp(&(all / 2)) {
                std::cmp::Ordering::Less => self.mala.update(self.acceptance, ACCEPTANCE),
                std::cmp::Ordering::Equal => self.mala.freeze(),
                std::cmp::Ordering::Greater => (),
            }
            self.done += 1;
        }
        cx.give(unit);
        cx.give(acceptance);
        Ok(())
    }

    fn dead(&self) -> usize {
        self.dead.iter().filter(|dead| **dead).count()
    }

    /// The particles that move still.
    pub(crate) fn live(&self) -> impl Iterator<Item = &[f64]> + Clone {
        let d = self.walkers.x.ncols();
        let x = self.walkers.x.as_slice().unwrap_or(&[]);
        let rows = x.chunks_exact(d).zip(&self.dead);
        rows.filter(|(_, dead)| !**dead).map(|(x, _)| x)
    }

    fn report_dead<G: Guide>(&self, guide: &G, sink: &mut dyn Sink) -> Result {
        let (dead, n) = (self.dead(), self.dead.len());
        sink.scalar("dead", dead as f64);
        if dead == 0 {
            return Ok(());
        }
        let message = format!(
            "{dead} of {n} particles died: the gradient was not finite where they were, or a move \
             took them beyond every range"
        );
        let advice = format!(
            "use a `step_size` below {}, or start nearer to where the target has mass",
            guide.step_size()
        );
        if 2 * dead > n {
            return Err(Error::Breakdown {
                component: guide.component().into(),
                message,
                advice,
            });
        }
        let text = format!("{message}; they stay where they last were, among the draws");
        sink.flag(Flag::new(Severity::Failure, "dead", text, advice));
        Ok(())
    }
}

/// Shares of the live particles that are in doubt at the end of the path.
struct Arrival {
    /// h ‖∇ℓ‖² > d: the step is long for the mode it is in. Of N(m, s²) with h = 0.2 s² that is
    /// 3 % in one dimension and less in more.
    rough: f64,
    /// h ‖∇ℓ‖ is above the limit of the drift.
    capped: f64,
}

impl Arrival {
    fn report<G: Guide>(&self, guide: &G, sink: &mut dyn Sink) {
        let limited = guide.drift_cap() < f64::INFINITY;
        if limited {
            sink.scalar("capped", self.capped);
        }
        let percent = |share: f64| (100.0 * share).round();
        // Draws that the limit holds back are out of their modes: their gradients tell of nothing else.
        if limited && self.capped > CAPPED_SHARE {
            sink.flag(Flag::new(
                Severity::Warning,
                "drift_capped",
                format!(
                    "At the end the limit of the drift, {}, still holds back {} % of the draws, which \
                     have not come to rest in their modes: the limit is too small, or the step size, \
                     {}, too long for modes so narrow",
                    guide.drift_cap(),
                    percent(self.capped),
                    guide.step_size()
                ),
                "lower `mode_sd` to the standard deviation of the narrowest mode and take more `steps`; \
                 or raise `drift_cap`",
            ));
        } else if self.rough > ROUGH_SHARE {
            sink.flag(Flag::new(
                Severity::Warning,
                "step_size",
                format!(
                    "The step size, {}, is too long for the modes that {} % of the draws are in: \
                     these draws are spread too widely, and narrow modes lose theirs to wide ones",
                    guide.step_size(),
                    percent(self.rough)
                ),
                "take a smaller `step_size`, a fifth of the variance of the narrowest mode, and more \
                 `steps`",
            ));
        }
    }
}

/// Refuses a step size or numbers of moves (along the path, tail, corrected) that are out of range.
pub(crate) fn check_moves(
    component: &str,
    target: &dyn Target,
    step_size: f64,
    [steps, tail, mala_moves]: [u64; 3],
) -> Result {
    check_positive(component, "step_size", step_size)?;
    let all = steps
        .checked_add(tail)
        .and_then(|m| m.checked_add(mala_moves));
    if steps == 0 || all.is_none() {
        let allowed = "at least 1, and with the moves after it so few that they can be counted";
        return Err(Error::setting(component, "steps", steps, allowed));
    }
    if mala_moves > 0 && !target.has_density() {
        return Err(Error::Missing {
            component: component.into(),
            needed: "a log density, for `mala_moves`".into(),
            holder: "the target".into(),
            advice: "set `mala_moves` to 0".into(),
        });
    }
    Ok(())
}

/// Calls `work` on blocks of rows where the target may be evaluated inside one, else on all rows.
/// Random numbers of a row are the same either way.
pub(crate) fn sweep<P: RowSplit + Send>(
    cx: &mut Cx<'_>,
    target: &dyn Target,
    n: usize,
    parts: P,
    work: impl Fn(&mut Cx<'_>, P) -> Result + Sync,
) -> Result {
    let traits = target.traits();
    if traits.rowwise && traits.threading == Threading::Concurrent {
        cx.rows(n, parts, |cx, _, part| work(cx, part))
    } else {
        work(cx, parts)
    }
}

/// Gradients at the rows of `y`. Rows where they are not finite are dead from here on; dead rows are
/// not evaluated at a point, so that they are held against the target once.
pub(crate) fn gradients(
    cx: &mut Cx<'_>,
    target: &dyn Target,
    y: &mut [f64],
    g: &mut [f64],
    dead: &mut ArrayViewMut1<'_, bool>,
) -> Result {
    let d = target.dim();
    for (y, _) in y.chunks_exact_mut(d).zip(&*dead).filter(|(_, dead)| **dead) {
        y.fill(f64::NAN);
    }
    let before = cx.counts().failed;
    cx.eval_target(target, matrix(y, d), None, Some(matrix_mut(g, d)))?;
    if cx.counts().failed == before {
        return Ok(());
    }
    // Some failed, and have gradient 0 now, as others may have by right: asked alone, they tell.
    let rows = y.chunks_exact(d).zip(g.chunks_exact_mut(d));
    for ((y, g), dead) in rows.zip(dead) {
        if !*dead && g.iter().all(|v| *v == 0.0) {
            let before = cx.counts().failed;
            cx.eval_target(target, matrix(y, d), None, Some(matrix_mut(g, d)))?;
            *dead = cx.counts().failed > before;
        }
    }
    Ok(())
}

/// Takes over the new places; particles that would go beyond every range die where they are.
pub(crate) fn settle(x: &mut [f64], new: &[f64], dead: &mut ArrayViewMut1<'_, bool>, d: usize) {
    // One pass without branches for the ordinary case.
    let near = new.iter().fold(true, |near, v| near & (v.abs() < FAR));
    if near && !dead.iter().any(|dead| *dead) {
        x.copy_from_slice(new);
        return;
    }
    let rows = x.chunks_exact_mut(d).zip(new.chunks_exact(d));
    for ((x, new), dead) in rows.zip(dead) {
        *dead |= !new.iter().all(|v| v.abs() < FAR);
        if !*dead {
            x.copy_from_slice(new);
        }
    }
}

/// Means and standard deviations of the columns of `rows`.
pub(crate) fn moments<'a>(
    rows: impl Iterator<Item = &'a [f64]> + Clone,
    mean: &mut [f64],
    sd: &mut [f64],
) {
    mean.fill(0.0);
    sd.fill(0.0);
    let count = rows.clone().count().max(1) as f64;
    for row in rows.clone() {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / count);
    }
    for row in rows {
        for (s, (v, m)) in sd.iter_mut().zip(row.iter().zip(&*mean)) {
            *s += (v - m) * (v - m) / count;
        }
    }
    sd.iter_mut().for_each(|s| *s = s.sqrt());
}

/// What every method says whose particles end where a path leaves them.
pub(crate) fn note_uncalibrated(sink: &mut dyn Sink, path: &str, weights: &str, mala_moves: u64) {
    sink.flag(Flag::new(
        Severity::Note,
        "no_log_z",
        format!("{path} gives no estimate of log Z: the density of its particles is not known"),
        "use a sampler such as smc where log Z matters",
    ));
    sink.flag(Flag::new(
        Severity::Warning,
        "mode_weights",
        format!("Mode weights are not calibrated: {weights}"),
        "use the draws to find modes, and smc with a base that covers them for their weights",
    ));
    let (text, advice) = if mala_moves == 0 {
        (
            "The draws are approximate and uncorrected: the moves have an error of the order of the \
             step size, and the particles may lag behind the path",
            "set `mala_moves` to correct the law within each mode; it leaves the mode weights",
        )
    } else {
        (
            "The draws are approximate: corrected moves mend the law within a mode, not between modes",
            "compare runs with more `mala_moves` and more `steps`",
        )
    };
    sink.flag(Flag::new(Severity::Note, "uncorrected", text, advice));
}

#[cfg(test)]
mod tests;
