//! The context of a call: random numbers, counters, scratch, cancel flag, fan-out of rows.

use crate::counts::{Counts, Failure};
use crate::rows::{BLOCK, RowSplit};
use crate::stream::{Key, Stream};
use crate::{Error, Result, Score, SimdLevel, Target, Threading, Times, Traits};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use rand_distr::{Distribution, Open01, StandardNormal};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Weight of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something a person should look at.
    Warn,
    /// Something worth knowing.
    Info,
    /// Detail.
    Debug,
}

/// What a context stands on: the host's own services, or those a plugin was handed.
pub trait Services: Sync {
    /// Whether the run was asked to stop even inside a step.
    fn cancelled(&self) -> bool;
    /// Takes a line of log.
    fn log(&self, level: Level, message: &str);
    /// Threads that [`fan_out`](Services::fan_out) may use, ≥ 1.
    fn threads(&self) -> usize;
    /// Vector instructions that kernels use.
    fn simd(&self) -> SimdLevel;
    /// Calls `job(i)` once for every i below `jobs`, in any order, on any threads, and returns
    /// when all are done.
    fn fan_out(&self, jobs: usize, job: &(dyn Fn(usize) + Sync));
}

/// A fraction of failed points above which a run stops, once [`FAILURE_SAMPLE`] rows were evaluated.
const FAILURE_FRACTION: f64 = 0.1;
const FAILURE_SAMPLE: u64 = 200;

/// What a thread needs while it works on rows: counters and buffers that are used again.
#[derive(Debug, Default)]
pub(crate) struct Local {
    pub(crate) counts: Counts,
    buffers: Vec<Vec<f64>>,
}

/// What all contexts of a run share.
pub(crate) struct Shared<'a> {
    pub(crate) services: &'a dyn Services,
    pub(crate) spare: &'a Mutex<Vec<Local>>,
    /// Nanoseconds that a row of the target took in the last call; 0 = unknown. Only decides how
    /// finely a row-wise batch is split, which changes no result.
    pub(crate) row_ns: &'a AtomicU64,
}

/// The context of a call. It lives as long as the call: never keep it.
pub struct Cx<'a> {
    pub(crate) shared: &'a Shared<'a>,
    pub(crate) local: &'a mut Local,
    key: Key,
    fills: u64,
    row0: usize,
    step: Option<u64>,
    /// On a block of rows, perhaps on another thread: fills and calls are not spread again.
    inside: bool,
}

impl std::fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cx")
            .field("key", &self.key)
            .field("row0", &self.row0)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum Law {
    Normal,
    Uniform,
}

impl Law {
    fn fill(self, stream: &mut Stream, out: &mut [f64]) {
        match self {
            Law::Normal => out
                .iter_mut()
                .for_each(|z| *z = StandardNormal.sample(stream)),
            Law::Uniform => out.iter_mut().for_each(|u| *u = Open01.sample(stream)),
        }
    }
}

impl<'a> Cx<'a> {
    pub(crate) fn new(shared: &'a Shared<'a>, local: &'a mut Local, key: Key) -> Self {
        Self {
            shared,
            local,
            key,
            fills: 0,
            row0: 0,
            step: None,
            inside: false,
        }
    }

    /// The context under the child key (`name`, `index`), for one use of randomness: a fresh set
    /// of streams on the same counters, scratch and services.
    pub fn at(&mut self, name: &str, index: u64) -> Cx<'_> {
        Cx {
            shared: self.shared,
            local: self.local,
            key: self.key.fold(name, index),
            fills: 0,
            row0: self.row0,
            step: self.step,
            inside: self.inside,
        }
    }

    /// The context of the rows from `row` on, best a multiple of [`BLOCK`]: what is filled through it
    /// continues this context's streams there, so that work done on one run of rows after the other
    /// has the bits of work done on all at once. This context's next fill is that run's first again.
    pub fn from_row(&mut self, row: usize) -> Cx<'_> {
        Cx {
            shared: self.shared,
            local: self.local,
            key: self.key,
            fills: self.fills,
            row0: self.row0 + row,
            step: self.step,
            inside: self.inside,
        }
    }

    /// As [`at`](Cx::at), and marks failures from here on as those of step `step`.
    pub fn at_step(&mut self, step: u64) -> Cx<'_> {
        let mut cx = self.at("step", step);
        cx.step = Some(step);
        cx
    }

    // ---- random numbers -------------------------------------------------------------------

    /// Fills `out` (n × d) with standard normals; row r comes from the stream of its block.
    pub fn fill_normal(&mut self, out: ArrayViewMut2<'_, f64>) {
        self.fill(out, Law::Normal);
    }

    /// Fills `out` (n × d) with uniforms on the open interval (0, 1).
    pub fn fill_uniform(&mut self, out: ArrayViewMut2<'_, f64>) {
        self.fill(out, Law::Uniform);
    }

    /// Standard normals for a vector with one number a row.
    pub fn fill_normal_1(&mut self, out: ArrayViewMut1<'_, f64>) {
        self.fill(out.insert_axis(ndarray::Axis(1)), Law::Normal);
    }

    /// Uniforms on (0, 1) for a vector with one number a row.
    pub fn fill_uniform_1(&mut self, out: ArrayViewMut1<'_, f64>) {
        self.fill(out.insert_axis(ndarray::Axis(1)), Law::Uniform);
    }

    /// One stream of its own, for what is not row by row (resampling, a single draw). Inside
    /// [`rows`](Cx::rows) each block has another.
    pub fn rng(&mut self) -> Stream {
        let block = (self.row0 / BLOCK) as u64;
        self.next_key("rng").stream(block)
    }

    /// A stream a row, for components that draw an unknown count of numbers per row. `row` counts
    /// from the first row of this context.
    pub fn row_streams(&mut self) -> impl Fn(usize) -> Stream + Sync + use<> {
        let key = self.next_key("rows");
        let row0 = self.row0;
        move |row| key.stream((row0 + row) as u64)
    }

    fn next_key(&mut self, name: &str) -> Key {
        let key = self.key.fold(name, self.fills);
        self.fills += 1;
        key
    }

    fn fill(&mut self, out: ArrayViewMut2<'_, f64>, law: Law) {
        let key = self.next_key("fill");
        let n = out.nrows();
        if self.inside || n <= 4 * BLOCK || self.shared.services.threads() == 1 {
            return fill_rows(&key, law, self.row0, out);
        }
        let filled = self.spread(n, BLOCK, usize::MAX, out, |cx, _, part| {
            fill_rows(&key, law, cx.row0, part);
            Ok(())
        });
        debug_assert!(filled.is_ok(), "filling cannot fail");
    }

    // ---- scratch --------------------------------------------------------------------------

    /// A buffer of `len` numbers, of unspecified content, that was used before if one is free.
    /// Hand it back with [`give`](Cx::give), so that the next step allocates nothing.
    #[must_use]
    pub fn take(&mut self, len: usize) -> Vec<f64> {
        // The smallest buffer that is large enough, so that a small request does not eat a large one.
        let buffers = &mut self.local.buffers;
        let fit = (0..buffers.len())
            .filter(|&i| buffers[i].capacity() >= len)
            .min_by_key(|&i| buffers[i].capacity());
        let mut buffer = fit.map_or_else(|| Vec::with_capacity(len), |i| buffers.swap_remove(i));
        buffer.resize(len, 0.0);
        buffer
    }

    /// Takes a buffer back.
    pub fn give(&mut self, buffer: Vec<f64>) {
        self.local.buffers.push(buffer);
    }

    // ---- host services --------------------------------------------------------------------

    /// Whether the run was asked to stop even inside a step.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.shared.services.cancelled()
    }

    /// [`Error::Cancelled`] once the run was asked to stop even inside a step; see
    /// [`Cancel`](crate::Cancel).
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn check_cancelled(&self) -> Result {
        if self.cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Takes a line of log.
    pub fn log(&self, level: Level, message: &str) {
        self.shared.services.log(level, message);
    }

    /// Evaluations counted so far through this context and its children.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.local.counts
    }

    /// Threads that [`rows`](Cx::rows) may use.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.shared.services.threads()
    }

    /// Vector instructions that kernels use, so that a run's results do not depend on the machine.
    #[must_use]
    pub fn simd(&self) -> SimdLevel {
        self.shared.services.simd()
    }

    // ---- fan-out --------------------------------------------------------------------------

    /// Calls `work` on blocks of [`BLOCK`] rows of `parts` (views, or a tuple of them, with `n`
    /// rows each), spread over the threads. The block's context continues this one's random
    /// streams, so the split changes no bits; the range tells which rows the block holds.
    ///
    /// A block may evaluate a target or a score, if that may be called from any thread: what is done
    /// with the values then finds them in the cache.
    ///
    /// # Errors
    /// The error of the first block (in row order) that had one; [`Error::NonFinite`] when
    /// evaluations in the blocks failed, as of [`eval_target`](Cx::eval_target).
    pub fn rows<P, F>(&mut self, n: usize, parts: P, work: F) -> Result
    where
        P: RowSplit + Send,
        F: Fn(&mut Cx<'_>, std::ops::Range<usize>, P) -> Result + Sync,
    {
        let failed = self.local.counts.failed;
        self.spread(n, BLOCK, usize::MAX, parts, work)?;
        let first = self.local.counts.first_failure.as_ref();
        let score = first.is_some_and(|f| f.what == "score");
        if self.local.counts.failed == failed {
            return Ok(());
        }
        self.check_failures(if score { "score" } else { "target" })
    }

    /// Blocks of at most `unit` rows in at most `max_jobs` contiguous jobs.
    fn spread<P, F>(&mut self, n: usize, unit: usize, max_jobs: usize, parts: P, work: F) -> Result
    where
        P: RowSplit + Send,
        F: Fn(&mut Cx<'_>, std::ops::Range<usize>, P) -> Result + Sync,
    {
        let blocks = n.div_ceil(unit);
        let threads = self.shared.services.threads();
        let jobs = if self.inside || threads == 1 {
            1
        } else {
            blocks.min(4 * threads).min(max_jobs)
        };
        if jobs <= 1 {
            let (fills, outcome) = self.run_blocks(0, n, unit, true, parts, &work);
            self.fills = fills;
            return outcome;
        }
        let per_job = blocks.div_ceil(jobs) * unit;
        let mut slots = Vec::with_capacity(jobs);
        let (mut rest, mut row) = (parts, 0);
        {
            let mut spare = lock(self.shared.spare);
            while row < n {
                let rows = per_job.min(n - row);
                let (part, tail) = rest.split(rows);
                rest = tail;
                let mut local = spare.pop().unwrap_or_default();
                local.counts = Counts::default();
                slots.push(Mutex::new(Job {
                    row,
                    rows,
                    part: Some(part),
                    local,
                    fills: 0,
                    outcome: Ok(()),
                }));
                row += rows;
            }
        }
        let (shared, key, fills, row0, step) =
            (self.shared, self.key, self.fills, self.row0, self.step);
        shared.services.fan_out(slots.len(), &|i| {
            let mut slot = lock(&slots[i]);
            let job = &mut *slot;
            if let Some(part) = job.part.take() {
                let mut cx = Cx {
                    shared,
                    local: &mut job.local,
                    key,
                    fills,
                    row0,
                    step,
                    inside: true,
                };
                (job.fills, job.outcome) =
                    cx.run_blocks(job.row, job.rows, unit, true, part, &work);
            }
        });
        let mut outcome = Ok(());
        let mut spare = lock(self.shared.spare);
        for slot in slots {
            let job = slot
                .into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            self.local.counts.merge(&job.local.counts);
            self.fills = self.fills.max(job.fills);
            spare.push(job.local);
            if outcome.is_ok() {
                outcome = job.outcome;
            }
        }
        outcome
    }

    /// Works through rows `first..first + rows` block by block; gives the fills that were used.
    /// A batch that may not be split stays in the hands of the caller: it is not `inside`.
    #[allow(clippy::too_many_arguments)]
    fn run_blocks<P, F>(
        &mut self,
        first: usize,
        rows: usize,
        unit: usize,
        inside: bool,
        parts: P,
        work: &F,
    ) -> (u64, Result)
    where
        P: RowSplit,
        F: Fn(&mut Cx<'_>, std::ops::Range<usize>, P) -> Result,
    {
        let (mut rest, mut done, mut used) = (parts, 0, self.fills);
        while done < rows {
            let size = unit.min(rows - done);
            let (part, tail) = rest.split(size);
            rest = tail;
            let row = first + done;
            let mut cx = Cx {
                shared: self.shared,
                local: self.local,
                key: self.key,
                fills: self.fills,
                row0: self.row0 + row,
                step: self.step,
                inside,
            };
            let outcome = work(&mut cx, row..row + size, part);
            used = used.max(cx.fills);
            if outcome.is_err() {
                return (used, outcome);
            }
            done += size;
        }
        (used, Ok(()))
    }

    // ---- counted calls --------------------------------------------------------------------

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

    /// Spreads a call as its traits allow, in units that are worth a thread's while.
    fn timed<P, F>(&mut self, n: usize, traits: Traits, parts: P, work: F) -> Result
    where
        P: RowSplit + Send,
        F: Fn(&mut Cx<'_>, std::ops::Range<usize>, P) -> Result + Sync,
    {
        /// A job shorter than this costs more to hand over than it saves.
        const JOB_NS: u64 = 100_000;
        if n == 0 {
            return Ok(());
        }
        if traits.threading != Threading::Concurrent || !traits.rowwise {
            let (fills, outcome) = self.run_blocks(0, n, n, self.inside, parts, &work);
            self.fills = fills;
            return outcome;
        }
        let threads = self.shared.services.threads();
        if !traits.deterministic || self.inside || threads == 1 {
            return self.spread(n, BLOCK, usize::MAX, parts, work);
        }
        let row_ns = self.shared.row_ns.load(Ordering::Relaxed);
        let started = Instant::now();
        let jobs = if row_ns == 0 {
            n.min(4 * threads)
        } else {
            usize::try_from(row_ns.saturating_mul(n as u64) / JOB_NS).unwrap_or(usize::MAX)
        };
        let jobs = jobs.clamp(1, (4 * threads).min(n));
        let unit = n.div_ceil(jobs).min(BLOCK);
        let outcome = self.spread(n, unit, jobs, parts, work);
        let busy = jobs.min(threads) as u64;
        let spent = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.shared.row_ns.store(
            (spent.saturating_mul(busy) / n as u64).max(1),
            Ordering::Relaxed,
        );
        outcome
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

    fn check_failures(&self, component: &str) -> Result {
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

struct Job<P> {
    row: usize,
    rows: usize,
    part: Option<P>,
    local: Local,
    fills: u64,
    outcome: Result,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
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

/// Fills `out` with the rows from `row` on.
fn fill_rows(key: &Key, law: Law, mut row: usize, mut out: ArrayViewMut2<'_, f64>) {
    while out.nrows() > 0 {
        let mut stream = key.stream((row / BLOCK) as u64);
        // Rows of the block that are not asked for: their numbers come first.
        let before = row % BLOCK;
        for _ in 0..before * out.ncols() {
            law.fill(&mut stream, &mut [0.0]);
        }
        let rows = (BLOCK - before).min(out.nrows());
        let (mut block, rest) = out.split_at(ndarray::Axis(0), rows);
        out = rest;
        row += rows;
        if let Some(values) = block.as_slice_mut() {
            law.fill(&mut stream, values);
        } else {
            for mut row in block.rows_mut() {
                for v in &mut row {
                    law.fill(&mut stream, std::slice::from_mut(v));
                }
            }
        }
    }
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
