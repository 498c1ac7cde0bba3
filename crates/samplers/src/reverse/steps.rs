//! The walk from noise to data.

use super::density::{log_det, step_by_differences, unit_tangents};
use super::leg::Trace;
use super::{Leg, Rows, Solver, Start, Weights};
use crate::chains::{FAR, check_length, matrix, matrix_mut, zeros};
use ndarray::{Array1, Array2, ArrayViewMut1, ArrayViewMut2, s};
use retrograde_core::grid::{Grid, TimeGrid};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Algorithm, Cx, Error, Field, Flow, ForwardProcess, Result, ReverseRun, Score, Signature, Sink,
    Target, Threading, Times, Traits,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most coordinates for which tangents of all of them are carried along.
const MOST_TANGENTS: usize = 200;

/// The settings that all samplers of this kind have.
pub(crate) struct Common<'a> {
    pub(crate) grid: &'a Grid,
    pub(crate) start: Start,
    pub(crate) weights: Weights,
    /// Parts that the noise of a step of the unrefined grid is summed from; 0 = one a step.
    pub(crate) noise_parts: u32,
}

/// A solver with everything that it runs on.
pub(crate) struct Reverse<S> {
    pub(super) solver: S,
    pub(super) target: Arc<dyn Target>,
    pub(super) process: Arc<dyn ForwardProcess>,
    score: Arc<dyn Score>,
    pub(super) grid: TimeGrid,
    /// Steps of `grid` that one step of the unrefined grid was cut into.
    pub(super) refine: usize,
    /// Parts of noise a step of `grid`.
    noise_parts: u64,
    pub(super) start: Start,
    pub(super) weights: Weights,
    signature: Signature,
}

impl<S: Solver> Reverse<S> {
    /// Binds `solver` to the parts of a job.
    pub(crate) fn new(
        solver: S,
        common: &Common<'_>,
        settings: &impl Serialize,
        parts: &Parts<'_>,
    ) -> Result<Self> {
        let name = solver.name();
        let target = parts.require_target(name)?;
        let process = parts.require_process(name)?;
        let score = parts.require_score(name)?;
        solver.check(process.as_ref())?;
        let refine = common.grid.refine.max(1);
        let noise_parts = match common.noise_parts as usize {
            0 => 1,
            p if p.is_multiple_of(refine) => p / refine,
            p => {
                let allowed = format!("a multiple of `grid.refine`, {refine}");
                return Err(Error::setting(name, "noise_parts", p, allowed));
            }
        };
        let run = Self {
            grid: common.grid.build(name, process.as_ref())?,
            refine,
            noise_parts: noise_parts as u64,
            start: common.start,
            weights: common.weights,
            signature: Signature::new(target.dim(), settings),
            solver,
            target,
            process,
            score,
        };
        run.check()?;
        Ok(run)
    }

    fn check(&self) -> Result {
        let name = self.solver.name();
        let d = self.target.dim();
        let refuse = |why: String| {
            Err(Error::setting(
                name,
                "weights",
                format!("\"{}\"", self.weights.name()),
                why,
            ))
        };
        if self.start == Start::Exact
            && self
                .target
                .exact()
                .is_none_or(|exact| exact.sampler().is_none())
        {
            return Err(Error::Missing {
                component: name.into(),
                needed: "exact draws, for `start = \"exact\"`".into(),
                holder: "the target".into(),
                advice: "start from the reference law of the process".into(),
            });
        }
        if self.weights == Weights::None {
            return Ok(());
        }
        if !self.target.has_density() {
            return Err(Error::Missing {
                component: name.into(),
                needed: format!("a log density, for `weights = \"{}\"`", self.weights.name()),
                holder: "the target".into(),
                advice: "leave `weights` out, or choose a target that has one".into(),
            });
        }
        if self.start == Start::Exact && self.score.log_marginal().is_none() {
            let why = "\"none\" where the run starts from exact draws and the score does not know the \
                       density of the noised law";
            return refuse(why.into());
        }
        match self.weights {
            Weights::Path if !self.solver.tells_path() => refuse(
                "\"jacobian\", \"divergence\" or \"hutchinson\": not every step of this sampler has \
                 noise"
                    .into(),
            ),
            Weights::Path if self.process.transition().is_none() => Err(Error::Missing {
                component: name.into(),
                needed: "the density of its transitions, for path weights".into(),
                holder: "the process".into(),
                advice: "leave `weights` out, or choose a process with a transition in closed form"
                    .into(),
            }),
            Weights::Jacobian | Weights::Divergence if d > MOST_TANGENTS => refuse(format!(
                "\"hutchinson\" in more than {MOST_TANGENTS} dimensions (here {d})"
            )),
            Weights::Jacobian if self.solver.tells_path() => {
                refuse("\"path\", for a sampler that adds noise".into())
            }
            Weights::Divergence | Weights::Hutchinson if !self.solver.integrates() => {
                refuse("\"jacobian\" (\"path\" if it adds noise) for this sampler".into())
            }
            _ => Ok(()),
        }
    }

    fn field(&self) -> Field<'_> {
        Field {
            process: self.process.as_ref(),
            score: self.score.as_ref(),
        }
    }

    /// Whether tangents are kept from one step to the next.
    pub(super) fn keeps_tangents(&self) -> bool {
        self.weights == Weights::Jacobian && self.solver.memory() > 0
    }

    /// Numbers of a row as it is kept between steps.
    fn kept_width(&self) -> usize {
        let d = self.target.dim();
        if self.keeps_tangents() {
            d * (1 + d)
        } else {
            d
        }
    }

    /// Step `index` of the grid.
    fn leg(&self, index: usize) -> Leg<'_> {
        let d = self.target.dim();
        let times = self.grid.times();
        let part = (index % self.refine) as u64 * self.noise_parts;
        Leg {
            field: self.field(),
            t: times[index],
            to: times[index + 1],
            before: index.checked_sub(1).map(|i| times[i]),
            index,
            steps: self.grid.steps(),
            d,
            tangents: if self.weights == Weights::Jacobian {
                d
            } else {
                0
            },
            trace: match self.weights {
                Weights::Divergence => Some(Trace::Exact),
                Weights::Hutchinson => Some(Trace::Hutchinson),
                _ => None,
            },
            noise_parts: part..part + self.noise_parts,
        }
    }

    fn draw_start(&self, cx: &mut Cx<'_>, x: &mut Array2<f64>, log_q: &mut Array1<f64>) -> Result {
        let t = self.grid.times()[0];
        let weighted = self.weights != Weights::None;
        if self.start == Start::Reference {
            self.process
                .reference_sample(&mut cx.at("reference", 0), x.view_mut())?;
            if weighted {
                let log_q = Some(log_q.view_mut());
                self.process.reference_eval(cx, x.view(), log_q, None)?;
            }
            return Ok(());
        }
        let exact = self.target.exact().and_then(|exact| exact.sampler());
        let exact = exact.expect("checked when it was built");
        let mut data = Array2::zeros(x.dim());
        exact.sample(&mut cx.at("data", 0), data.view_mut())?;
        self.check_support(&data)?;
        retrograde_core::forward::simulate(
            &mut cx.at("noising", 0),
            self.process.as_ref(),
            0.0,
            t,
            data.view(),
            x.view_mut(),
        )?;
        if let (true, Some(marginal)) = (weighted, self.score.log_marginal()) {
            marginal.log_marginal(cx, Times::Shared(t), x.view(), log_q.view_mut())?;
        }
        Ok(())
    }

    /// Refuses data outside the support of the process.
    fn check_support(&self, data: &Array2<f64>) -> Result {
        let (low, high) = self.process.support();
        let outside = |v: &f64| !(*v > low && *v < high);
        let rows = data
            .outer_iter()
            .filter(|row| row.iter().any(outside))
            .count();
        let Some(((row, column), value)) = data.indexed_iter().find(|(_, v)| outside(v)) else {
            return Ok(());
        };
        Err(Error::Argument {
            component: self.solver.name().into(),
            argument: format!("draw {row} of the target, coordinate {column}"),
            given: format!("{value} ({rows} of {} draws are outside)", data.nrows()),
            allowed: format!("between {low} and {high}, where the process lives"),
        })
    }

    /// One step of rows that may be a block of the batch.
    fn advance(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, part: Part<'_>) -> Result {
        let Part {
            x: kept,
            memory,
            mut log_q,
            sign,
            mut dead,
            folds,
        } = part;
        let (d, width) = (leg.d, leg.width());
        let kept = kept.into_slice().expect("rows are dense");
        let memory = memory.into_slice().expect("rows are dense");
        let n = dead.len();
        let mut x = cx.take(n * width);
        let carried = self.keeps_tangents();
        if carried {
            x.copy_from_slice(kept);
        } else {
            matrix_mut(&mut x, width)
                .slice_mut(s![.., ..d])
                .assign(&matrix(kept, d));
            if self.weights == Weights::Jacobian {
                unit_tangents(&mut x, leg);
            }
            if leg.trace.is_some() {
                matrix_mut(&mut x, width)
                    .column_mut(width - 1)
                    .assign(log_q.as_ref().expect("a log density to carry along"));
            }
        }
        let path = self.weights == Weights::Path;
        let mut backward = cx.take(if path { n } else { 0 });
        if leg.tangents > 0 && !self.solver.moves_tangents() {
            step_by_differences(&self.solver, cx, leg, &mut x)?;
        } else {
            let rows = Rows {
                x: &mut x,
                memory,
                log_backward: path.then_some(backward.as_mut_slice()),
            };
            self.solver.step(cx, leg, rows)?;
        }
        self.bury(&mut x, kept, width, d, &mut dead);
        if let Some(log_q) = &mut log_q {
            self.account(cx, leg, (kept, &x, &backward), log_q, (sign, folds))?;
        }
        if carried {
            kept.copy_from_slice(&x);
        } else {
            matrix_mut(kept, d).assign(&matrix(&x, width).slice(s![.., ..d]));
        }
        cx.give(x);
        cx.give(backward);
        Ok(())
    }

    /// Rows that a step takes out of every range, or out of the support, stay where they were and are
    /// dead from here on.
    fn bury(
        &self,
        x: &mut [f64],
        before: &[f64],
        width: usize,
        d: usize,
        dead: &mut ArrayViewMut1<'_, bool>,
    ) {
        let (low, high) = self.process.support();
        let kept = before.len() / dead.len().max(1);
        let rows = x.chunks_exact_mut(width).zip(before.chunks_exact(kept));
        for ((x, before), dead) in rows.zip(dead) {
            let fine = x[..d]
                .iter()
                .all(|v| v.abs() < FAR && *v > low && *v < high);
            *dead |= !fine;
            if *dead {
                x[..d].copy_from_slice(&before[..d]);
            }
        }
    }

    /// Brings log q, or the log weight of the path, up to date after a step from `before` to `x`.
    fn account(
        &self,
        cx: &mut Cx<'_>,
        leg: &Leg<'_>,
        (before, x, backward): (&[f64], &[f64], &[f64]),
        log_q: &mut ArrayViewMut1<'_, f64>,
        (sign, folds): (Option<ArrayViewMut1<'_, f64>>, &AtomicU64),
    ) -> Result {
        let (d, width, n) = (leg.d, leg.width(), log_q.len());
        match self.weights {
            Weights::None => {}
            Weights::Divergence | Weights::Hutchinson => {
                log_q.assign(&matrix(x, width).column(width - 1));
            }
            Weights::Jacobian => {
                // Tangents that are kept give the determinant of the whole map at its end; its sign
                // is looked at in every step, for two folds undo one another's.
                let (carried, mut lu) = (self.keeps_tangents(), cx.take(d * d));
                let mut sign = sign;
                for (r, row) in x.chunks_exact(width).enumerate() {
                    let (log, s) = log_det(row, d, &mut lu);
                    // Of a step alone the determinant must be positive; of the map so far its sign must stay.
                    let before = sign
                        .as_mut()
                        .map_or(1.0, |sign| std::mem::replace(&mut sign[r], s));
                    let folded = s != before;
                    folds.fetch_add(u64::from(folded), Ordering::Relaxed);
                    if !carried || leg.is_last() {
                        log_q[r] -= log;
                    }
                }
                cx.give(lu);
            }
            Weights::Path => {
                // log q gathers Σ log B − Σ log F.
                let mut forward = Array1::from(cx.take(n));
                let mut y = cx.take(n * d);
                matrix_mut(&mut y, d).assign(&matrix(x, width).slice(s![.., ..d]));
                let transition = self.process.transition().expect("checked when built");
                transition.score(
                    cx,
                    leg.to,
                    leg.t,
                    matrix(&y, d),
                    matrix(before, d),
                    Some(forward.view_mut()),
                    None,
                )?;
                for r in 0..n {
                    log_q[r] += backward[r] - forward[r];
                }
                cx.give(y);
                cx.give(forward.into_raw_vec_and_offset().0);
            }
        }
        Ok(())
    }
}

/// What a block of rows holds of a run.
struct Part<'a> {
    x: ArrayViewMut2<'a, f64>,
    memory: ArrayViewMut2<'a, f64>,
    log_q: Option<ArrayViewMut1<'a, f64>>,
    sign: Option<ArrayViewMut1<'a, f64>>,
    dead: ArrayViewMut1<'a, bool>,
    folds: &'a AtomicU64,
}

/// A run under way.
#[derive(Serialize, Deserialize)]
pub(crate) struct State {
    /// Rows as they are kept.
    pub(super) x: Array2<f64>,
    memory: Array2<f64>,
    /// log density of the rows, or the log density of the path backwards over that forwards; of no
    /// length where no weights are wanted.
    pub(super) log_q: Array1<f64>,
    /// Sign of the determinant, where tangents are kept.
    sign: Array1<f64>,
    pub(super) dead: Array1<bool>,
    /// Steps of the unrefined grid that are done.
    done: u64,
    pub(super) folds: u64,
}

impl<S: Solver> Algorithm for Reverse<S> {
    type State = State;

    fn name(&self) -> &str {
        self.solver.name()
    }

    fn traits(&self) -> Traits {
        self.target.traits().and(self.field().traits())
    }

    fn reverse(&self) -> Option<ReverseRun> {
        Some(ReverseRun {
            grid: self.grid.clone(),
            kernel: self.solver.kernel(),
        })
    }

    fn rows(&self, n: usize) -> usize {
        let per_row = self.kept_width() * (1 + self.solver.memory()) / self.target.dim();
        n.saturating_mul(per_row + 1)
    }

    fn signature(&self) -> Signature {
        self.signature
    }

    fn check_state(&self, n: usize, state: &State) -> std::result::Result<(), String> {
        let width = self.kept_width();
        let want = ((n, width), (n, width * self.solver.memory()));
        let found = (state.x.dim(), state.memory.dim());
        if found != want {
            return Err(format!("rows and memory of shapes {found:?}, not {want:?}"));
        }
        let weighted = if self.weights == Weights::None { 0 } else { n };
        let signs = if self.keeps_tangents() { n } else { 0 };
        check_length("log densities", state.log_q.len(), weighted)?;
        check_length("signs", state.sign.len(), signs)?;
        check_length("marks of the dead", state.dead.len(), n)?;
        let all = (self.grid.steps() / self.refine) as u64;
        if state.done > all {
            return Err(format!("{} steps done of {all}", state.done));
        }
        Ok(())
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        let (name, d, width) = (self.solver.name(), self.target.dim(), self.kept_width());
        let weighted = if self.weights == Weights::None { 0 } else { n };
        let mut state = State {
            x: zeros(name, n, width)?,
            memory: zeros(name, n, width * self.solver.memory())?,
            log_q: Array1::zeros(weighted),
            sign: Array1::ones(if self.keeps_tangents() { n } else { 0 }),
            dead: Array1::from_elem(n, false),
            done: 0,
            folds: 0,
        };
        let mut x = zeros(name, n, d)?;
        self.draw_start(cx, &mut x, &mut state.log_q)?;
        state.x.slice_mut(s![.., ..d]).assign(&x);
        if self.keeps_tangents() {
            unit_tangents(
                state.x.as_slice_mut().expect("rows are dense"),
                &self.leg(0),
            );
        }
        Ok(state)
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        if state.done == 0 {
            let flags = [
                self.process.flags(),
                self.score.flags(),
                self.solver.flags(),
            ];
            flags.into_iter().flatten().for_each(|flag| sink.flag(flag));
            self.note_start(sink);
        }
        let all = (self.grid.steps() / self.refine) as u64;
        if state.done.is_multiple_of(self.every()) {
            self.record_flow(cx, state, state.done as usize * self.refine, sink);
        }
        for sub in 0..self.refine {
            cx.check_cancelled()?;
            self.sweep(cx, state, state.done as usize * self.refine + sub)?;
        }
        state.done += 1;
        self.report(state, sink)?;
        sink.progress(state.done as f64 / all as f64);
        if state.done < all {
            return Ok(Flow::More);
        }
        self.record_flow(cx, state, self.grid.steps(), sink);
        self.finish(cx, state, sink)?;
        Ok(Flow::Done)
    }
}

impl<S: Solver> Reverse<S> {
    /// Step `index` of the grid for all rows.
    fn sweep(&self, cx: &mut Cx<'_>, state: &mut State, index: usize) -> Result {
        let leg = self.leg(index);
        let folds = AtomicU64::new(0);
        let n = state.dead.len();
        let parts = (
            state.x.view_mut(),
            state.memory.view_mut(),
            (!state.log_q.is_empty()).then(|| state.log_q.view_mut()),
            (!state.sign.is_empty()).then(|| state.sign.view_mut()),
            state.dead.view_mut(),
        );
        let work = |cx: &mut Cx<'_>, (x, memory, log_q, sign, dead): Views<'_>| {
            let folds = &folds;
            let part = Part {
                x,
                memory,
                log_q,
                sign,
                dead,
                folds,
            };
            self.advance(cx, &leg, part)
        };
        let traits = self.field().traits();
        let blocks = traits.rowwise && traits.threading == Threading::Concurrent;
        if blocks && !self.solver.whole_batch() {
            cx.rows(n, parts, |cx, _, part| work(cx, part))?;
        } else {
            work(cx, parts)?;
        }
        state.folds += folds.into_inner();
        Ok(())
    }
}

type Views<'a> = (
    ArrayViewMut2<'a, f64>,
    ArrayViewMut2<'a, f64>,
    Option<ArrayViewMut1<'a, f64>>,
    Option<ArrayViewMut1<'a, f64>>,
    ArrayViewMut1<'a, bool>,
);
