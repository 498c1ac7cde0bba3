//! What a reverse run tells: marginals on the way, rows that died, maps that fold, draws with their
//! weights, log Z.

use super::steps::{Reverse, State};
use super::{Solver, Start, Weights};
use ndarray::{Array1, ArrayView1, s};
use retrograde_core::{Cx, Draws, Error, Flag, Form, Result, Severity, Sink};

/// Quantiles of a marginal that are recorded.
const QUANTILES: [(&str, f64); 6] = [
    ("q2.5", 0.025),
    ("q16", 0.16),
    ("q33", 0.33),
    ("q67", 0.67),
    ("q84", 0.84),
    ("q97.5", 0.975),
];
/// Rows of the table of marginals, about.
const RECORDS: u64 = 60;
/// Rows of the batch that its quantiles are taken from.
const RECORDED: usize = 4096;

impl<S: Solver> Reverse<S> {
    /// Tells of a grid that starts below T, where the reference law does not hold.
    pub(super) fn note_start(&self, sink: &mut dyn Sink) {
        let (t, end) = (self.grid.times()[0], self.process.t_end());
        let level = |t: f64| match self.process.linear().filter(|l| l.form() == Form::Scalar) {
            Some(linear) => {
                let (alpha, sigma) = linear.scalar(t);
                sigma / alpha
            }
            None => t,
        };
        let (first, last) = (level(t), level(end));
        if self.start == Start::Exact || last <= 1.05 * first {
            return;
        }
        sink.flag(Flag::new(
            Severity::Warning,
            "start_time",
            format!(
                "The grid starts at t = {t} (noise level {first:.3}), but the reference law is that of T = {end} \
                 (noise level {last:.3}): the draws start too wide"
            ),
            "leave `grid.t_max` and `grid.sigma_max` out, and set the end of the process instead",
        ));
    }

    /// Steps of the unrefined grid between two records.
    pub(super) fn every(&self) -> u64 {
        ((self.grid.steps() / self.refine) as u64).div_ceil(RECORDS)
    }

    /// Records quantiles of the first coordinate at time `index` of the grid.
    pub(super) fn record_flow(
        &self,
        cx: &mut Cx<'_>,
        state: &State,
        index: usize,
        sink: &mut dyn Sink,
    ) {
        let n = state.dead.len().min(RECORDED);
        let mut x = cx.take(n);
        let column = state.x.slice(s![..n, 0]);
        x.iter_mut().zip(column).for_each(|(x, from)| *x = *from);
        x.sort_unstable_by(f64::total_cmp);
        let mut row = [("t", self.grid.times()[index]); 7];
        for (slot, (name, p)) in row[1..].iter_mut().zip(QUANTILES) {
            *slot = (name, x[((n as f64 * p) as usize).min(n - 1)]);
        }
        sink.record("flow", &row);
        cx.give(x);
    }

    /// Tells of rows that are dead and of maps that fold.
    pub(super) fn report(&self, state: &State, sink: &mut dyn Sink) -> Result {
        let (dead, n) = (
            state.dead.iter().filter(|dead| **dead).count(),
            state.dead.len(),
        );
        sink.scalar("dead", dead as f64);
        if dead > 0 {
            let message = format!(
                "{dead} of {n} rows were taken beyond every range, or out of the support of the process"
            );
            let advice = "take more `grid.steps`, or a grid with smaller steps where t is small";
            if 2 * dead > n {
                return Err(Error::Breakdown {
                    component: self.solver.name().into(),
                    message,
                    advice: advice.into(),
                });
            }
            let text = format!("{message}; they stay where they last were, among the draws");
            sink.flag(Flag::new(Severity::Failure, "dead", text, advice));
        }
        if self.weights == Weights::Jacobian {
            sink.scalar("folds", state.folds as f64);
            if state.folds > 0 {
                sink.flag(Flag::new(
                    Severity::Failure,
                    "folds",
                    format!(
                        "The Jacobian of a step had a determinant that is not positive {} times: the map \
                         folds, so that several starts lead to one draw, and weights and log Z are wrong",
                        state.folds
                    ),
                    "take more `grid.steps`: small steps do not fold",
                ));
            }
        }
        Ok(())
    }

    /// Draws, with weights and log Z where they are wanted.
    pub(super) fn finish(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result {
        let (n, d) = (state.dead.len(), self.target.dim());
        let x = if self.keeps_tangents() {
            state.x.slice(s![.., ..d]).to_owned()
        } else {
            std::mem::take(&mut state.x)
        };
        let mut lp = Array1::zeros(n);
        let known = self.target.has_density();
        if known {
            cx.eval_target(self.target.as_ref(), x.view(), Some(lp.view_mut()), None)?;
        }
        let stats: &[(&str, ArrayView1<'_, f64>)] = &[("lp", lp.view())];
        if self.weights == Weights::None {
            return sink.emit(&Draws {
                x: x.view(),
                log_weights: None,
                stats: &stats[..usize::from(known)],
            });
        }
        let mut log_w = &lp - &state.log_q;
        log_w
            .iter_mut()
            .zip(&state.dead)
            .filter(|(w, dead)| **dead || w.is_nan())
            .for_each(|(w, _)| *w = f64::NEG_INFINITY);
        evidence(log_w.view(), self.weights, sink);
        sink.emit(&Draws {
            x: x.view(),
            log_weights: Some(log_w.view()),
            stats: &[("lp", lp.view()), ("log_q", state.log_q.view())],
        })
    }
}

/// log Z = log mean w, with standard error √(CV²/(n − 1)) and the effective sample size (Σw)²/Σw².
fn evidence(log_w: ArrayView1<'_, f64>, weights: Weights, sink: &mut dyn Sink) {
    let n = log_w.len() as f64;
    let most = log_w.fold(f64::NEG_INFINITY, |m, w| m.max(*w));
    if most == f64::NEG_INFINITY {
        sink.flag(Flag::new(
            Severity::Failure,
            "no_weight",
            "No draw has weight: the target has no mass where they are",
            "look at the draws; the process, its score and the target do not fit together",
        ));
        return;
    }
    let (sum, squares) = log_w.iter().fold((0.0, 0.0), |(s, q), w| {
        let w = (w - most).exp();
        (s + w, q + w * w)
    });
    let ess = sum * sum / squares;
    let cv2 = (n / ess - 1.0).max(0.0);
    sink.scalar("log_z", most + (sum / n).ln());
    sink.scalar("log_z_se", (cv2 / (n - 1.0).max(1.0)).sqrt());
    sink.scalar("ess", ess);
    if matches!(weights, Weights::Divergence | Weights::Hutchinson) {
        let cause = if weights == Weights::Hutchinson {
            "the trace is estimated, whose noise raises log Z by half its variance, and "
        } else {
            ""
        };
        sink.flag(Flag::new(
            Severity::Note,
            "weights_approximate",
            format!(
                "Weights are approximate: {cause}the divergence is integrated with the error of the \
                 steps, which the standard error does not hold"
            ),
            "see whether log Z stays with twice the `grid.steps`, or take `weights = \"jacobian\"`",
        ));
    }
    if ess < 0.01 * n || ess < 10.0 {
        sink.flag(Flag::new(
            Severity::Warning,
            "low_ess",
            format!(
                "The weights are worth {ess:.1} of {n} draws: log Z and weighted means rest on few"
            ),
            "take more steps, a better score, or a later end of the process",
        ));
    }
}
