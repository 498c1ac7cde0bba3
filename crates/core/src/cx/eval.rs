//! Calls of targets and scores: checked, counted, and made harmless where they fail.

use super::Cx;
use crate::counts::{Counts, Failure};
use crate::{Error, Result, Score, Target, Threading, Times, Traits};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};

/// A fraction of failed points above which a run stops, once [`FAILURE_SAMPLE`] rows were evaluated.
const FAILURE_FRACTION: f64 = 0.1;
const FAILURE_SAMPLE: u64 = 200;

impl Cx<'_> {
    /// Evaluates a target at `x` (n × d) through the core's call wrapper: shapes are checked, rows
    /// counted, the batch spread where the target allows it.
    ///
    /// A row whose density is NaN or +∞, or whose gradient is not finite, is counted as failed; it
    /// comes back as −∞ with gradient 0, so that it has no mass. Where the density is −∞ the
    /// gradient comes back as 0 if it is not finite. Rows with coordinates that are not finite come
    /// back the same way and are not held against the target.
    ///
    /// # Errors
    /// [`Error::Shape`]; [`Error::Missing`] when the target has no gradient or density;
    /// [`Error::WrongThread`]; [`Error::NonFinite`] when more than a tenth of at least 200 rows
    /// failed; what the target returns.
    pub fn eval_target(
        &mut self,
        target: &dyn Target,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let (n, d) = x.dim();
        check_shape("target", "x", (n, target.dim()), x.dim())?;
        if let Some(l) = &log_density {
            check_shape("target", "log density", (n, 1), (l.len(), 1))?;
        }
        if let Some(g) = &gradient {
            check_shape("target", "gradient", (n, d), g.dim())?;
            require(target.has_gradient(), "a gradient")?;
        }
        if log_density.is_some() {
            require(target.has_density(), "a log density")?;
        }
        let want = (log_density.is_some(), gradient.is_some());
        let traits = target.traits();
        self.check_thread(traits, "target")?;
        self.timed(
            n,
            traits,
            (x, log_density, gradient),
            |cx, _, (x, mut l, mut g)| {
                let rows = x.nrows() as u64;
                let counts = &mut cx.local.counts;
                counts.rows += rows;
                counts.density_evals += if want.0 { rows } else { 0 };
                counts.gradient_evals += if want.1 { rows } else { 0 };
                target.eval(
                    cx,
                    x,
                    l.as_mut().map(|v| v.view_mut()),
                    g.as_mut().map(|v| v.view_mut()),
                )?;
                cx.settle_target(x, l, g);
                Ok(())
            },
        )?;
        self.check_failures("target")
    }

    /// Evaluates a score at times `t` and points `x` (n × d) into `out` (n × d), counted as
    /// [`eval_target`](Cx::eval_target) does; a row that is not finite counts as failed and comes
    /// back as 0.
    ///
    /// # Errors
    /// As [`eval_target`](Cx::eval_target).
    pub fn eval_score(
        &mut self,
        score: &dyn Score,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let n = x.nrows();
        check_shape("score", "x", (n, score.dim()), x.dim())?;
        check_shape("score", "out", x.dim(), out.dim())?;
        if let Times::PerRow(t) = &t {
            check_shape("score", "t", (n, 1), (t.len(), 1))?;
        }
        let traits = score.traits();
        self.check_thread(traits, "score")?;
        self.timed(n, traits, (x, out), |cx, range, (x, mut out)| {
            let counts = &mut cx.local.counts;
            counts.score_evals += x.nrows() as u64;
            counts.rows += x.nrows() as u64;
            let times = t.rows(
                if matches!(t, Times::Shared(_)) {
                    0
                } else {
                    range.start
                },
                if matches!(t, Times::Shared(_)) {
                    0
                } else {
                    range.end
                },
            );
            score.eval(cx, times, x, out.view_mut())?;
            for (r, mut row) in out.rows_mut().into_iter().enumerate() {
                if !all_finite(row.as_slice()) && row.iter().any(|v| !v.is_finite()) {
                    row.fill(0.0);
                    if x.row(r).iter().all(|v| v.is_finite()) {
                        cx.fail("score", r, Some(times.at(r)));
                    }
                }
            }
            Ok(())
        })?;
        self.check_failures("score")
    }

    /// Jacobian-vector products of a score that has them, for k tangents a row (n × d k, see
    /// [`ScoreJvp`](crate::ScoreJvp)); counted as k evaluations a row. A row that is not finite counts
    /// as failed and comes back as 0.
    ///
    /// # Errors
    /// As [`eval_target`](Cx::eval_target); [`Error::Missing`] when the score has none.
    pub fn eval_score_jvp(
        &mut self,
        score: &dyn Score,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        tangents: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (n, d) = x.dim();
        check_shape("score", "x", (n, score.dim()), x.dim())?;
        let k = tangents.ncols() / d;
        check_shape("score", "tangents", (n, d * k), tangents.dim())?;
        check_shape("score", "out", tangents.dim(), out.dim())?;
        let Some(jvp) = score.jvp() else {
            return Err(Error::Missing {
                component: "the sampler".into(),
                needed: "Jacobian-vector products".into(),
                holder: "the score".into(),
                advice: "choose a score that has them".into(),
            });
        };
        self.check_thread(score.traits(), "score")?;
        let rows = (n * k) as u64;
        self.local.counts.score_evals += rows;
        self.local.counts.rows += rows;
        let mut out = out;
        jvp.jvp(self, t, x, tangents, out.view_mut())?;
        for (r, mut row) in out.rows_mut().into_iter().enumerate() {
            if row.iter().any(|v| !v.is_finite()) {
                row.fill(0.0);
                if x.row(r).iter().all(|v| v.is_finite()) {
                    self.fail("score", r, Some(t.at(r)));
                }
            }
        }
        self.check_failures("score")
    }

    fn check_thread(&self, traits: Traits, component: &str) -> Result {
        // Blocks may run at once: what is called from them must allow that.
        if self.inside && traits.threading != Threading::Concurrent {
            return Err(Error::WrongThread {
                component: component.into(),
            });
        }
        Ok(())
    }

    /// Makes values that are not finite harmless, and counts those the target is to blame for.
    fn settle_target(
        &mut self,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) {
        let l_ok = log_density
            .as_ref()
            .is_none_or(|l| all_finite(l.as_slice()));
        let g_ok = gradient.as_ref().is_none_or(|g| all_finite(g.as_slice()));
        if l_ok && g_ok {
            return;
        }
        let (mut log_density, mut gradient) = (log_density, gradient);
        for r in 0..x.nrows() {
            let (mut failed, mut empty) = (None, false);
            if let Some(l) = log_density.as_mut().map(|l| &mut l[r]) {
                if l.is_nan() || *l == f64::INFINITY {
                    *l = f64::NEG_INFINITY;
                    failed = Some("log density");
                }
                empty = *l == f64::NEG_INFINITY;
            }
            if let Some(mut g) = gradient.as_mut().map(|g| g.row_mut(r))
                && (failed.is_some() || g.iter().any(|v| !v.is_finite()))
            {
                g.fill(0.0);
                if failed.is_none() && !empty {
                    failed = Some("gradient");
                    if let Some(l) = &mut log_density {
                        l[r] = f64::NEG_INFINITY;
                    }
                }
            }
            if let Some(what) = failed
                && x.row(r).iter().all(|v| v.is_finite())
            {
                self.fail(what, r, None);
            }
        }
    }

    fn fail(&mut self, what: &str, row: usize, t: Option<f64>) {
        let row = self.row0 + row;
        let counts = &mut self.local.counts;
        counts.failed += 1;
        if counts.first_failure.is_none() {
            counts.first_failure = Some(Failure {
                what: what.into(),
                row,
                step: self.step,
                t,
            });
        }
    }

    pub(super) fn check_failures(&self, component: &str) -> Result {
        let counts = &self.local.counts;
        if self.inside
            || counts.failed == 0
            || counts.rows < FAILURE_SAMPLE
            || (counts.failed as f64) <= FAILURE_FRACTION * counts.rows as f64
        {
            return Ok(());
        }
        Err(not_finite(component, counts))
    }
}

/// What a run is told that stops because too many values are not finite.
pub(crate) fn not_finite(component: &str, counts: &Counts) -> Error {
    let first = counts.first_failure.as_ref();
    Error::NonFinite {
        component: component.into(),
        what: first.map_or_else(|| "a value".into(), |f| f.what.clone()),
        row: first.map(|f| f.row),
        step: first.and_then(|f| f.step),
        count: counts.failed,
        total: counts.rows,
        advice: "return −inf where there is no mass, set `bounds` where a coordinate is \
                 limited, or start from where the density is defined"
            .into(),
    }
}

/// A NaN or an infinity times 0 is NaN, which stays in the sum: one pass without branches, in sums
/// enough to hide the latency of one. False for values that are not dense in memory, which only costs
/// a closer look.
fn all_finite(values: Option<&[f64]>) -> bool {
    values.is_some_and(|v| {
        let (chunks, rest) = v.as_chunks::<16>();
        let mut sums = [0.0; 16];
        for chunk in chunks {
            sums.iter_mut().zip(chunk).for_each(|(s, x)| *s += x * 0.0);
        }
        sums.iter().chain(rest).fold(0.0, |s, x| s + x * 0.0) == 0.0
    })
}

fn check_shape(component: &str, what: &str, want: (usize, usize), got: (usize, usize)) -> Result {
    if want == got {
        return Ok(());
    }
    let say = |(n, d): (usize, usize)| format!("shape ({n}, {d})");
    Err(Error::shape(component, what, say(want), say(got)))
}

fn require(has: bool, what: &str) -> Result {
    if has {
        return Ok(());
    }
    Err(Error::Missing {
        component: "the sampler".into(),
        needed: what.into(),
        holder: "the target".into(),
        advice: "choose a sampler that does without, or a target that has it".into(),
    })
}
