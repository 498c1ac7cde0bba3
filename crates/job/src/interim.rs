//! What can be looked at while a run goes on: `draws.zarr` and `report.html`, brought up to date with
//! checkpoints.

use crate::checkpoint::Saved;
use crate::draws::DrawSet;
use crate::html::Stage;
use crate::plan::Plan;
use crate::report::{Job, Material, Report};
use crate::rundir::RunDir;
use crate::settings::Format;
use crate::show::write_page;
use crate::store::{Columns, Extent, read_draws};
use retrograde_core::check::confined;
use retrograde_core::{Result, Runtime, SimdLevel};
use std::time::{Duration, Instant};

/// A refresh waits this many times as long as the last one took: it costs a run 5 % at most.
const PATIENCE: u32 = 20;
/// Numbers that a page of a run that goes on is made of, at most.
const NUMBERS: u64 = 1 << 20;

pub(crate) struct Interim<'a> {
    dir: &'a RunDir,
    plan: &'a Plan,
    /// Its own, so that what is computed for the eye is not counted.
    runtime: Runtime,
    /// The store, and how many draws of each chain are in it.
    #[cfg(feature = "zarr")]
    zarr: Option<(crate::zarr::Zarr, usize)>,
    wait: Duration,
    last: Instant,
}

impl<'a> Interim<'a> {
    /// For a run that begins, or goes on with the draws of `extent`.
    pub(crate) fn new(
        dir: &'a RunDir,
        plan: &'a Plan,
        extent: Option<&Extent>,
        simd: SimdLevel,
    ) -> Result<Self> {
        #[cfg(feature = "zarr")]
        let zarr = if plan.output.has(Format::Zarr) {
            let zarr = crate::zarr::Zarr::new(&dir.file("draws.zarr"), plan);
            zarr.begin(extent)?;
            Some((zarr, 0))
        } else {
            None
        };
        #[cfg(not(feature = "zarr"))]
        let _ = extent;
        Ok(Self {
            dir,
            plan,
            runtime: Runtime::new(plan.run.seed, 1)?.with_simd(simd),
            #[cfg(feature = "zarr")]
            zarr,
            wait: Duration::ZERO,
            last: Instant::now(),
        })
    }

    /// Brings the files up to date with a checkpoint.
    pub(crate) fn show(&mut self, saved: &Saved) -> Result {
        if self.last.elapsed() < self.wait {
            return Ok(());
        }
        let begun = Instant::now();
        self.extend_draws(&saved.extent)?;
        if self.plan.output.has(Format::Html) {
            self.write_page(saved)?;
        }
        self.last = Instant::now();
        self.wait = PATIENCE * (self.last - begun);
        Ok(())
    }

    /// A page of what there is, from so few draws that it is done in a moment.
    fn write_page(&mut self, saved: &Saved) -> Result {
        let extent = &saved.extent;
        let width = extent.columns.as_ref().map_or(0, Columns::width) as u64;
        let stride = (extent.rows * width).div_ceil(NUMBERS).max(1);
        let stride = usize::try_from(stride).unwrap_or(usize::MAX);
        let rows = read_draws(&self.dir.file("rows.bin"), extent, 0, stride)?;
        let set = DrawSet::new(self.plan, &mut self.runtime, rows, extent)?;
        let confined = confined(self.plan.target.as_ref());
        let report = Report::new(&Material {
            job: &Job::of(self.plan),
            simd: self.runtime.simd(),
            complete: false,
            failure: None,
            steps: saved.checkpoint.step,
            counts: &saved.checkpoint.counts,
            tail_evaluations: 0,
            scalars: &saved.gathered.scalars,
            tables: &saved.gathered.tables,
            flags: saved.gathered.flags.values().chain(&confined).collect(),
            names: &set.names,
            values: set.by_chain(),
            log_weights: set.log_weights(),
            // Not before the end: early draws of a run are not yet of the target.
            modes: None,
            replicates: &[],
        });
        write_page(self.dir, self.plan, &report, &set, Stage::Running(stride))
    }

    #[cfg(not(feature = "zarr"))]
    fn extend_draws(&mut self, _: &Extent) -> Result {
        Ok(())
    }

    #[cfg(feature = "zarr")]
    fn extend_draws(&mut self, extent: &Extent) -> Result {
        let (Some((zarr, written)), Some(columns)) = (&mut self.zarr, &extent.columns) else {
            return Ok(());
        };
        let draws = usize::try_from(extent.rows).unwrap_or(usize::MAX) / extent.chains;
        if draws <= *written {
            return Ok(());
        }
        // The chunk that is not full is written again.
        let chunk = zarr.chunk_draws(extent.chains, columns);
        let first = *written / chunk * chunk;
        let rows = read_draws(&self.dir.file("rows.bin"), extent, first, 1)?;
        let set = DrawSet::new(self.plan, &mut self.runtime, rows, extent)?;
        zarr.extend(&set, first)?;
        *written = draws;
        Ok(())
    }
}
