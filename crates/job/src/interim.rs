//! What can be looked at while a run goes on: `draws.zarr` and `report.html`, brought up to date with
//! checkpoints.

use crate::checkpoint::Saved;
use crate::draws::DrawSet;
use crate::plan::Plan;
use crate::rundir::RunDir;
use crate::store::{Extent, read_draws};
use retrograde_core::{Result, Runtime};
use std::time::{Duration, Instant};

/// A refresh waits this many times as long as the last one took: it costs a run 5 % at most.
const PATIENCE: u32 = 20;

pub(crate) struct Interim<'a> {
    dir: &'a RunDir,
    plan: &'a Plan,
    /// Its own, so that what is computed for the eye is not counted.
    runtime: Runtime,
    #[cfg(feature = "zarr")]
    zarr: Option<crate::zarr::Zarr>,
    /// Draws of each chain that are in the store.
    written: usize,
    wait: Duration,
    last: Instant,
}

impl<'a> Interim<'a> {
    /// For a run that begins, or goes on with the draws of `extent`.
    pub(crate) fn new(dir: &'a RunDir, plan: &'a Plan, extent: Option<&Extent>) -> Result<Self> {
        let new = Self {
            dir,
            plan,
            runtime: Runtime::new(plan.run.seed, 1)?,
            #[cfg(feature = "zarr")]
            zarr: plan
                .output
                .has(crate::Format::Zarr)
                .then(|| crate::zarr::Zarr::new(&dir.file("draws.zarr"), plan)),
            written: 0,
            wait: Duration::ZERO,
            last: Instant::now(),
        };
        #[cfg(feature = "zarr")]
        if let Some(zarr) = &new.zarr {
            zarr.begin(extent)?;
        }
        Ok(new)
    }

    /// Brings the files up to date with a checkpoint.
    pub(crate) fn show(&mut self, saved: &Saved) -> Result {
        if self.last.elapsed() < self.wait {
            return Ok(());
        }
        let begun = Instant::now();
        self.extend_draws(&saved.extent)?;
        self.last = Instant::now();
        self.wait = PATIENCE * (self.last - begun);
        Ok(())
    }

    #[cfg(not(feature = "zarr"))]
    fn extend_draws(&mut self, _: &Extent) -> Result {
        Ok(())
    }

    #[cfg(feature = "zarr")]
    fn extend_draws(&mut self, extent: &Extent) -> Result {
        let (Some(zarr), Some(columns)) = (&self.zarr, &extent.columns) else {
            return Ok(());
        };
        let draws = usize::try_from(extent.rows).unwrap_or(usize::MAX) / extent.chains;
        if draws <= self.written {
            return Ok(());
        }
        // The chunk that is not full is written again.
        let chunk = zarr.chunk_draws(extent.chains, columns);
        let first = self.written / chunk * chunk;
        let rows = read_draws(&self.dir.file("rows.bin"), extent, first, 1)?;
        let set = DrawSet::new(self.plan, &mut self.runtime, rows, extent)?;
        zarr.extend(&set, first)?;
        self.written = draws;
        Ok(())
    }
}
