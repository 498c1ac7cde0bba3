//! Runs a plan in its directory, from the beginning or from its last checkpoint.

use crate::checkpoint::{Gathered, Saved};
use crate::config::Document;
use crate::draws::{DrawSet, check_names};
use crate::error::JobError;
use crate::evidence::EvidenceRun;
use crate::files::InputFile;
use crate::html::Stage;
use crate::interim::Interim;
use crate::modes::ModeCount;
use crate::place::place;
use crate::plan::Plan;
use crate::replicates::replicate;
use crate::report::{Job, Material, Report};
use crate::rundir::{RunDir, check_paths, read_report, refused, same_plugins};
use crate::settings::Format;
use crate::show::{Preview, write_page};
use crate::store::{self, Extent, Store};
use retrograde_core::check::{NOT_NORMALISABLE, Tails, confined, tails};
use retrograde_core::drive::{Checkpoint, Observer, Started, start};
use retrograde_core::{
    Cancel, Counts, Draws, Error, Flag, Level, Registry, Result, Runtime, SimdLevel, Sink, Target,
};
use serde::Serialize;
use sha2::Sha256;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// When the first checkpoint is due, at the latest.
const FIRST: Duration = Duration::from_secs(1);

/// A run as it can be watched.
#[derive(Debug)]
pub struct Live<'a> {
    /// Steps done.
    pub step: u64,
    /// How much is done, 0 to 1; `None` before the sampler has said so.
    pub fraction: Option<f64>,
    /// Numbers that the sampler shows.
    pub scalars: &'a std::collections::BTreeMap<String, f64>,
    /// Evaluations so far.
    pub counts: &'a Counts,
    /// Draws kept so far.
    pub rows: u64,
}

/// Who watches a run.
pub trait Monitor {
    /// Called after every step.
    fn live(&mut self, live: &Live<'_>);
    /// Called with a line for a person.
    fn message(&mut self, level: Level, text: &str);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Monitor for Silent {
    fn live(&mut self, _: &Live<'_>) {}
    fn message(&mut self, _: Level, _: &str) {}
}

/// How a job is run, beside what its text says.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Replaces a run directory that exists.
    pub force: bool,
    /// Stops the run.
    pub cancel: Cancel,
    /// Threads in place of the job's, when resuming; changes no bits.
    pub threads: Option<usize>,
    /// Vector instructions; part of what decides the bits. A resumed run keeps those it began with.
    pub simd: SimdLevel,
}

/// A run that ended, complete or stopped.
#[derive(Debug)]
pub struct Finished {
    /// Its directory.
    pub directory: PathBuf,
    /// Its report.
    pub report: Report,
    /// Seconds of sampling, over all sessions of the run.
    pub seconds: f64,
    /// Threads.
    pub threads: usize,
    /// Some of its draws.
    pub preview: Preview,
    /// All of them; none if the run was complete before it was resumed: see [`DrawSet::read`].
    pub draws: Option<DrawSet>,
}

/// `timing.json`: what differs between two runs of the same job.
#[derive(Debug, Serialize)]
struct Timing {
    sampling_seconds: f64,
    threads: usize,
    seconds_per_gradient: Option<f64>,
    /// Most memory that the program had at once, where the system tells (Linux).
    peak_memory_bytes: Option<u64>,
}

fn peak_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Runs a job in a new directory. `source` is the job's file, if it came from one; `name` names the
/// default directory; `base` is the folder that its paths are relative to.
///
/// # Errors
/// [`JobError::Config`] when the directory cannot be used; what the run returns. What was kept by
/// then stays in the directory.
pub fn run(
    document: &Document,
    plan: &Plan,
    name: &str,
    source: Option<InputFile>,
    base: &Path,
    options: &Options,
    monitor: &mut dyn Monitor,
) -> std::result::Result<Finished, JobError> {
    check_names(plan).map_err(|e| place(document, base, "target", &e))?;
    RunDir::check_free(document, plan, options.force)?;
    let path = source.as_ref().map(|f| f.path.as_path());
    check_paths(document, plan, path, base)?;
    // The sampler's own checks come before the directory, which may replace an earlier run's.
    let mut engine = Engine::new(plan, options, options.simd)?;
    let started = start(
        plan.sampler.as_ref(),
        &mut engine.runtime,
        plan.run.draws,
        None,
    )
    .map_err(|e| start_error(document, base, e))?;
    let dir = RunDir::create(document, plan, name, options.force)?;
    dir.begin(plan, source, base, options.simd)?;
    engine.execute(&dir, plan, started, None, monitor)
}

/// Starts a job's sampler, which checks what its settings alone do not show: that they fit the
/// number of draws, and that its starting points have mass. Nothing is kept.
///
/// # Errors
/// [`JobError::Config`] when a setting is wrong; what the start returns.
pub fn try_start(
    document: &Document,
    plan: &Plan,
    base: &Path,
) -> std::result::Result<(), JobError> {
    check_names(plan).map_err(|e| place(document, base, "target", &e))?;
    let mut runtime = Runtime::new(plan.run.seed, plan.run.threads)?;
    match start(plan.sampler.as_ref(), &mut runtime, plan.run.draws, None) {
        Ok(_) => Ok(()),
        Err(e) => Err(start_error(document, base, e)),
    }
}

/// Looks whether the directory of a run could be made, as [`run`] does; nothing stays there.
/// `source` is the job's file, if it came from one; the others are those of [`run`].
///
/// # Errors
/// [`JobError::Config`] or [`JobError::Refused`] as [`run`] would return, [`JobError::Run`] where
/// nothing can be written.
pub fn check_output(
    document: &Document,
    plan: &Plan,
    name: &str,
    source: Option<&Path>,
    base: &Path,
    force: bool,
) -> std::result::Result<(), JobError> {
    RunDir::try_create(document, plan, name, source, base, force)
}

fn start_error(document: &Document, base: &Path, error: Error) -> JobError {
    match error {
        // A plugin that says no more than that the settings are wrong is told of at the head of its table.
        _ if error.status() == retrograde_core::Status::Config => {
            place(document, base, "sampler", &error).into()
        }
        other => other.into(),
    }
}

/// Takes up the run of a directory. A run that is complete is left as it is.
///
/// # Errors
/// [`JobError::Refused`] when the directory is none, is damaged, or something it depends on has
/// changed, by name; else as [`run`].
pub fn resume(
    directory: &Path,
    registry: &Registry,
    options: &Options,
    monitor: &mut dyn Monitor,
) -> std::result::Result<Finished, JobError> {
    let dir = RunDir::open(directory)?;
    let (manifest, simd) = dir.verified()?;
    let document = Document::read(&dir.file("job.toml"))?;
    let plan = Plan::new(&document, registry, &manifest.base)?;
    if plan.files != manifest.files {
        return Err(refused(
            directory,
            "it would read other files than it began with",
        ));
    }
    same_plugins(directory, &manifest.plugins, &plan.plugins)?;
    let saved = match Saved::read(&dir.file("checkpoint.bin")) {
        Ok(saved) => saved,
        Err(e) => return Err(refused(directory, &format!("{e}; run the job anew"))),
    };
    let rows = std::fs::metadata(dir.file("rows.bin")).map_or(0, |m| m.len());
    if saved.as_ref().is_some_and(|s| s.extent.bytes() > rows) {
        return Err(refused(
            directory,
            "rows.bin is shorter than its checkpoint says; run the job anew",
        ));
    }
    if let Ok(report) = read_report(directory)
        && report.complete
    {
        // It may have been killed after the report.
        dir.remove_working_files();
        monitor.message(Level::Info, "the run is complete already; nothing was done");
        return Ok(Finished {
            directory: directory.to_owned(),
            report,
            seconds: 0.0,
            threads: 0,
            preview: Preview::default(),
            draws: None,
        });
    }
    let path = dir.file("rows.bin");
    let hash = match saved.as_ref().filter(|s| s.checkpoint.goes_on()) {
        None => None,
        Some(s) => match store::verify(&path, &s.extent)? {
            None => {
                return Err(refused(
                    directory,
                    "rows.bin was changed or damaged; run the job anew",
                ));
            }
            hash => hash,
        },
    };
    match &saved {
        None => monitor.message(
            Level::Info,
            "it has no checkpoint: the run begins anew, to the same bits",
        ),
        Some(s) if !s.checkpoint.goes_on() => monitor.message(
            Level::Info,
            "this sampler cannot save its state: the run begins anew, to the same bits",
        ),
        Some(s) => {
            let text = format!(
                "going on after step {} with {} draws kept",
                s.checkpoint.step, s.extent.rows
            );
            monitor.message(Level::Info, &text);
        }
    }
    let mut engine = Engine::new(&plan, options, simd)?;
    // Without a state the run begins anew, and so do its draws.
    let saved = saved.zip(hash);
    let started = start(
        plan.sampler.as_ref(),
        &mut engine.runtime,
        plan.run.draws,
        saved.as_ref().map(|(s, _)| &s.checkpoint),
    )?;
    engine.execute(&dir, &plan, started, saved, monitor)
}

/// A run from its start or resumption to its end or interruption.
struct Engine {
    cancel: Cancel,
    runtime: Runtime,
    log: Receiver<(Level, String)>,
}

impl Engine {
    fn new(plan: &Plan, options: &Options, simd: SimdLevel) -> Result<Self> {
        let threads = options.threads.unwrap_or(plan.run.threads);
        let (send, log) = std::sync::mpsc::channel();
        let runtime = Runtime::new(plan.run.seed, threads)?
            .with_cancel(options.cancel.clone())
            .with_simd(simd)
            .with_log(move |level, text| {
                let _ = send.send((level, text.to_owned()));
            });
        let cancel = options.cancel.clone();
        Ok(Self {
            cancel,
            runtime,
            log,
        })
    }

    fn execute(
        self,
        dir: &RunDir,
        plan: &Plan,
        started: Started<'_>,
        saved: Option<(Saved, Sha256)>,
        monitor: &mut dyn Monitor,
    ) -> std::result::Result<Finished, JobError> {
        self.go_on(dir, plan, started, saved, monitor)
            .map_err(|error| JobError::Stopped {
                directory: dir.path().to_owned(),
                error,
            })
    }

    fn go_on(
        self,
        dir: &RunDir,
        plan: &Plan,
        started: Started<'_>,
        saved: Option<(Saved, Sha256)>,
        monitor: &mut dyn Monitor,
    ) -> Result<Finished> {
        let Self {
            cancel,
            mut runtime,
            log,
        } = self;
        let (saved, hash) = saved.unzip();
        let extent = saved.as_ref().map(|s| s.extent.clone());
        let interim = Interim::new(dir, plan, extent.as_ref(), runtime.simd())?;
        let kept = extent.zip(hash);
        let mut recorder = Recorder {
            dir,
            store: Store::open(&dir.file("rows.bin"), plan.target.dim(), kept)?,
            interim,
            monitor,
            log,
            fraction: None,
            every: Duration::from_secs_f64(plan.output.checkpoint_seconds.min(1e9)),
            started: Instant::now(),
            before: saved.as_ref().map_or(0.0, |s| s.seconds),
            last: Instant::now(),
            rows: saved.as_ref().map_or(0, |s| s.extent.rows),
            steps: saved.as_ref().map_or(0, |s| s.checkpoint.step),
            gathered: saved.map(|s| s.gathered).unwrap_or_default(),
        };
        let outcome = started.drive(&mut runtime, &mut recorder);
        recorder.forward_log();
        let seconds = recorder.seconds();
        let mut kept = Kept {
            dir,
            plan,
            seconds,
            steps: recorder.steps,
            failure: None,
            complete: false,
            replicates: Vec::new(),
        };
        let (error, extent) = match outcome {
            Ok(outcome) => {
                kept.complete = outcome.complete;
                (None, recorder.store.sync()?)
            }
            Err(e) => {
                kept.failure = Some(e.to_string());
                // The disk may be what failed: then only what the last checkpoint has is sure.
                let extent = recorder.store.sync().or_else(|_| {
                    let saved = Saved::read(&dir.file("checkpoint.bin"))?;
                    Ok::<_, Error>(saved.map_or_else(Extent::default, |s| s.extent))
                })?;
                (Some(e), extent)
            }
        };
        let Recorder {
            store,
            gathered,
            monitor,
            ..
        } = recorder;
        drop(store);
        if kept.complete && plan.run.replicates > 1 {
            let mut watch = |i: usize, run: &EvidenceRun| {
                let value = run.log_z.map_or_else(
                    || run.failure.clone().unwrap_or_default(),
                    |z| format!("log Z = {z:.4}"),
                );
                let text = format!("replicate {i}, seed {}: {value}", run.seed);
                monitor.message(Level::Info, &text);
            };
            let file = dir.file("replicates.jsonl");
            let (simd, threads) = (runtime.simd(), runtime.threads());
            match replicate(plan, simd, threads, &file, &cancel, &mut watch)? {
                Some(runs) => kept.replicates = runs,
                None => kept.complete = false,
            }
        }
        let written = kept.write(&mut runtime, &gathered, &extent);
        if let Some(error) = error {
            // The first error is the one to mend; a second one, of writing, mostly has the same cause.
            let report = written.ok().map(|(report, ..)| report);
            let cause = report.and_then(|r| r.verdict(NOT_NORMALISABLE).cloned());
            if let Some(cause) = cause {
                let text = format!("{}; {}", cause.text, cause.advice);
                monitor.message(Level::Warn, &text);
            }
            return Err(error);
        }
        let (report, preview, draws) = written?;
        if report.complete {
            dir.remove_working_files();
        }
        Ok(Finished {
            directory: dir.path().to_owned(),
            report,
            seconds,
            threads: runtime.threads(),
            preview,
            draws: Some(draws),
        })
    }
}

/// What is written when a run ends, in whatever way.
struct Kept<'a> {
    dir: &'a RunDir,
    plan: &'a Plan,
    seconds: f64,
    steps: u64,
    complete: bool,
    failure: Option<String>,
    replicates: Vec<EvidenceRun>,
}

impl Kept<'_> {
    fn write(
        &self,
        runtime: &mut Runtime,
        gathered: &Gathered,
        extent: &Extent,
    ) -> Result<(Report, Preview, DrawSet)> {
        let counts = runtime.counts().clone();
        let rows = store::read(&self.dir.file("rows.bin"), extent)?;
        let set = DrawSet::new(self.plan, runtime, rows, extent)?;
        // Limits make it another density, of which the target's own mixture tells nothing.
        let mixture = self.plan.target.mixture();
        let mixture = mixture.filter(|_| self.plan.bounded.is_none());
        let modes = mixture.and_then(|m| {
            ModeCount::new(runtime, m, set.points(), extent.chains, set.log_weights())
        });
        let tails = self.tails(runtime, &set);
        let of_log_z = tails
            .as_ref()
            .filter(|_| gathered.scalars.contains_key("log_z"));
        let heavy = of_log_z.and_then(|t| t.heavy.as_ref());
        let confined = confined(self.plan.target.as_ref());
        let report = Report::new(&Material {
            job: &Job::of(self.plan),
            simd: runtime.simd(),
            complete: self.complete,
            failure: self.failure.as_deref(),
            steps: self.steps,
            counts: &counts,
            tail_evaluations: tails.as_ref().map_or(0, |t| t.counts.rows),
            scalars: &gathered.scalars,
            tables: &gathered.tables,
            flags: gathered
                .flags
                .values()
                .chain(tails.as_ref().and_then(|t| t.flag.as_ref()))
                .chain(heavy)
                .chain(&confined)
                .collect(),
            names: &set.names,
            values: set.by_chain(),
            log_weights: set.log_weights(),
            modes: modes.as_ref().map(ModeCount::verdict),
            replicates: &self.replicates,
        });
        set.write(self.dir, self.plan)?;
        #[cfg(feature = "zarr")]
        if self.plan.output.has(Format::Zarr) {
            let zarr = crate::zarr::Zarr::new(&self.dir.file("draws.zarr"), self.plan);
            zarr.finish(&set, runtime, self.complete)?;
        }
        if self.plan.output.has(Format::Html) {
            write_page(self.dir, self.plan, &report, &set, Stage::Ended)?;
        }
        let gradients = counts.gradient_evals;
        let timing = Timing {
            sampling_seconds: self.seconds,
            threads: runtime.threads(),
            seconds_per_gradient: (gradients > 0).then(|| self.seconds / gradients as f64),
            peak_memory_bytes: peak_memory(),
        };
        self.dir.write_json("timing.json", &timing)?;
        self.dir.write_json("report.json", &report)?;
        let preview = Preview::new(&report, &set);
        Ok((report, preview, set))
    }
}

impl Kept<'_> {
    /// A run that was stopped is looked at when it has gone on to its end; what made one fail may be
    /// seen here.
    fn tails(&self, runtime: &mut Runtime, set: &DrawSet) -> Option<Tails> {
        if !self.complete && self.failure.is_none() {
            return None;
        }
        let natural = self.plan.bounded.as_ref().map(|b| b.natural());
        let target: &dyn Target = match &natural {
            Some(target) => target,
            None => self.plan.target.as_ref(),
        };
        Some(runtime.enter("tails", 0, |cx| tails(cx, target, set.points())))
    }
}

/// Takes what a run emits: rows to the store, the rest to the checkpoint.
struct Recorder<'a> {
    dir: &'a RunDir,
    store: Store,
    gathered: Gathered,
    interim: Interim<'a>,
    monitor: &'a mut dyn Monitor,
    log: Receiver<(Level, String)>,
    fraction: Option<f64>,
    every: Duration,
    started: Instant,
    before: f64,
    last: Instant,
    rows: u64,
    steps: u64,
}

impl Recorder<'_> {
    fn seconds(&self) -> f64 {
        self.before + self.started.elapsed().as_secs_f64()
    }

    fn forward_log(&mut self) {
        while let Ok((level, text)) = self.log.try_recv() {
            self.monitor.message(level, &text);
        }
    }

    /// The first checkpoints come early and each doubles the time, so that there is soon something to
    /// look at and to go on from, at little cost.
    fn is_due(&self) -> bool {
        let so_far = self.last.duration_since(self.started);
        self.last.elapsed() >= self.every.min(so_far.max(FIRST))
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result {
        let saved = Saved {
            checkpoint,
            extent: self.store.sync()?,
            gathered: self.gathered.clone(),
            seconds: self.seconds(),
        };
        saved.write(&self.dir.file("checkpoint.bin"))?;
        if !saved.checkpoint.done {
            self.interim.show(&saved)?;
        }
        self.last = Instant::now();
        Ok(())
    }
}

impl Sink for Recorder<'_> {
    fn set_chains(&mut self, chains: usize) -> Result {
        self.store.set_chains(chains);
        Ok(())
    }

    fn emit(&mut self, draws: &Draws<'_>) -> Result {
        self.rows += draws.x.nrows() as u64;
        self.store.append(draws)
    }

    fn scalar(&mut self, key: &str, value: f64) {
        self.gathered.scalars.insert(key.to_owned(), value);
    }

    fn record(&mut self, table: &str, row: &[(&str, f64)]) {
        let (_, rows) = self
            .gathered
            .tables
            .entry(table.to_owned())
            .or_insert_with(|| {
                (
                    row.iter().map(|(name, _)| (*name).to_owned()).collect(),
                    Vec::new(),
                )
            });
        rows.push(row.iter().map(|(_, v)| *v).collect());
    }

    fn flag(&mut self, flag: Flag) {
        self.gathered.flags.insert(flag.key.clone(), flag);
    }

    fn progress(&mut self, fraction: f64) {
        self.fraction = Some(fraction);
    }
}

impl Observer for Recorder<'_> {
    fn after_step(
        &mut self,
        step: u64,
        counts: &Counts,
        save: &mut dyn FnMut() -> Result<Checkpoint>,
    ) -> Result {
        self.steps = step;
        self.forward_log();
        self.monitor.live(&Live {
            step,
            fraction: self.fraction,
            scalars: &self.gathered.scalars,
            counts,
            rows: self.rows,
        });
        if self.is_due() {
            self.checkpoint(save()?)?;
        }
        Ok(())
    }

    fn cancelled(&mut self, checkpoint: Checkpoint) -> Result {
        self.checkpoint(checkpoint)
    }
}
