//! Work on the rows of a batch, spread over threads.

use super::{Cx, Local, Shared, lock};
use crate::counts::Counts;
use crate::rows::{BLOCK, RowSplit};
use crate::{Result, Threading, Traits};
use std::sync::Mutex;
use std::time::Instant;

impl Cx<'_> {
    /// Calls `work` on blocks of [`BLOCK`] rows of `parts` (views, or a tuple of them, with `n`
    /// rows each), spread over the threads. The block's context continues this one's random
    /// streams, so the split changes no bits; the range tells which rows the block holds.
    ///
    /// A block may evaluate a target or a score, if that may be called from any thread: what is done
    /// with the values then finds them in the cache.
    ///
    /// # Errors
    /// The error of the first block (in row order) that had one; [`Error::NonFinite`](crate::Error)
    /// when evaluations in the blocks failed, as of [`eval_target`](Cx::eval_target).
    pub fn rows<P, F>(&mut self, n: usize, parts: P, work: F) -> Result
    where
        P: RowSplit + Send,
        F: Fn(&mut Cx<'_>, std::ops::Range<usize>, P) -> Result + Sync,
    {
        self.blocks(n, BLOCK, parts, work)
    }

    pub(super) fn blocks<P, F>(&mut self, n: usize, unit: usize, parts: P, work: F) -> Result
    where
        P: RowSplit + Send,
        F: Fn(&mut Cx<'_>, std::ops::Range<usize>, P) -> Result + Sync,
    {
        let failed = self.local.counts.failed;
        self.spread(n, unit, usize::MAX, parts, work)?;
        if self.local.counts.failed == failed {
            return Ok(());
        }
        self.check_counts()
    }

    /// Whether too many evaluations failed so far; not inside a block, where it is looked at after all of
    /// them.
    ///
    /// # Errors
    /// [`Error::NonFinite`](crate::Error), as of [`eval_target`](Cx::eval_target).
    pub fn check_counts(&self) -> Result {
        let first = self.local.counts.first_failure.as_ref();
        let score = first.is_some_and(|f| f.what == "score");
        self.check_failures(if score { "score" } else { "target" })
    }

    /// Blocks of at most `unit` rows in at most `max_jobs` contiguous jobs.
    pub(super) fn spread<P, F>(
        &mut self,
        n: usize,
        unit: usize,
        max_jobs: usize,
        parts: P,
        work: F,
    ) -> Result
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
        shared.services.fan_out(slots.len(), &|i, services| {
            let shared = &Shared {
                services,
                ..*shared
            };
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

    /// Spreads a call as its traits allow, in units that are worth a thread's while.
    pub(super) fn timed<P, F>(&mut self, n: usize, traits: Traits, parts: P, work: F) -> Result
    where
        P: RowSplit + Send,
        F: Fn(&mut Cx<'_>, std::ops::Range<usize>, P) -> Result + Sync,
    {
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
        let jobs = self.shared.pace.jobs(n, threads);
        let unit = n.div_ceil(jobs).min(BLOCK);
        let started = Instant::now();
        let outcome = self.spread(n, unit, jobs, parts, work);
        let spent = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.shared.pace.took(n, jobs, spent);
        outcome
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
