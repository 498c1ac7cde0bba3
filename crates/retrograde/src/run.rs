//! A run in memory, for programs that sample.

use ndarray::{Array2, Array3, ArrayView1, ArrayView2};
use retrograde_core::check::{confined, tails};
use retrograde_core::drive::{Checkpoint, Observer, drive};
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{
    Build, Cancel, Collected, Counts, Draws, Error, Flag, Level, Result, Runtime, Sampler,
    Severity, SimdLevel, Sink, Target,
};
use retrograde_metrics::{CoordinateSummary, WeightedSummary, summarise, summarise_weighted};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A run to be: a target, a sampler, how many draws.
pub struct Run {
    target: Arc<dyn Target>,
    sampler: Option<Result<Arc<dyn Sampler>>>,
    draws: usize,
    seed: u64,
    threads: usize,
    simd: SimdLevel,
    cancel: Cancel,
    log: Option<LogFn>,
}

type LogFn = Box<dyn Fn(Level, &str) + Send + Sync>;

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("draws", &self.draws)
            .field("seed", &self.seed)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl Run {
    /// A run on `target`: 4000 draws, seed 0, all threads.
    pub fn new(target: impl Target + 'static) -> Self {
        Self::shared(Arc::new(target))
    }

    /// A run on a target that others hold as well.
    #[must_use]
    pub fn shared(target: Arc<dyn Target>) -> Self {
        Self {
            target,
            sampler: None,
            draws: 4000,
            seed: 0,
            threads: 0,
            simd: SimdLevel::best(),
            cancel: Cancel::default(),
            log: None,
        }
    }

    /// The sampler, by its settings. What is wrong with them is told by [`run`](Run::run).
    #[must_use]
    pub fn sampler(mut self, settings: impl Build<dyn Sampler>) -> Self {
        let files = Folder::default();
        let parts = Parts::new(&files).with_target(self.target.clone());
        self.sampler = Some(settings.build(&parts));
        self
    }

    /// A sampler that was made, of the registry perhaps. Its target must be that of the run.
    #[must_use]
    pub fn shared_sampler(mut self, sampler: Arc<dyn Sampler>) -> Self {
        self.sampler = Some(Ok(sampler));
        self
    }

    /// Sends lines of log to `log`, from any thread.
    #[must_use]
    pub fn log(mut self, log: impl Fn(Level, &str) + Send + Sync + 'static) -> Self {
        self.log = Some(Box::new(log));
        self
    }

    /// Draws in all.
    #[must_use]
    pub fn draws(mut self, draws: usize) -> Self {
        self.draws = draws;
        self
    }

    /// Seed of every random stream.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Threads; 0 = all. Does not change results.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Vector instructions, the best of the machine if none are set. They decide the last bits of
    /// results: [`SimdLevel::baseline`] gives the same ones on unequal machines.
    #[must_use]
    pub fn simd(mut self, level: SimdLevel) -> Self {
        self.simd = level;
        self
    }

    /// A flag that stops the run between two steps; what it had by then is its result, which says so:
    /// see [`RunResult::is_complete`].
    #[must_use]
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Runs it.
    ///
    /// # Errors
    /// [`Error::Setting`] for wrong settings, [`Error::Argument`] without a sampler,
    /// [`Error::Cancelled`] if it was stopped while it started; what evaluating the target returns.
    pub fn run(self) -> Result<RunResult> {
        self.run_watched(|_| {})
    }

    /// Runs it, and calls `watch` after each step, on the thread that called this.
    ///
    /// ```
    /// use retrograde::prelude::*;
    ///
    /// let normal = PointTarget::new(1, |x, gradient| {
    ///     gradient[0] = -x[0];
    ///     -0.5 * x[0] * x[0]
    /// });
    /// // Stopped once it has 1000 draws.
    /// let cancel = Cancel::default();
    /// let run = Run::new(normal).sampler(Hmc::default()).cancel(cancel.clone());
    /// let result = run.run_watched(|p| {
    ///     if p.draws >= 1000 {
    ///         cancel.request();
    ///     }
    /// })?;
    /// assert!(!result.is_complete());
    /// assert!((1000..1100).contains(&result.rows().nrows()));
    /// # Ok::<(), retrograde::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_watched(self, watch: impl FnMut(&Progress<'_>)) -> Result<RunResult> {
        let sampler = self.sampler.ok_or_else(|| Error::Argument {
            component: "run".into(),
            argument: "sampler".into(),
            given: "missing".into(),
            allowed: "set with `.sampler(..)`".into(),
        })??;
        let mut runtime = Runtime::new(self.seed, self.threads)?
            .with_cancel(self.cancel)
            .with_simd(self.simd);
        if let Some(log) = self.log {
            runtime = runtime.with_log(log);
        }
        let mut watched = Watched {
            collected: Collected::new(self.target.dim()),
            fraction: None,
            watch,
        };
        let outcome = drive(
            sampler.as_ref(),
            &mut runtime,
            self.draws,
            None,
            &mut watched,
        )?;
        let Watched { mut collected, .. } = watched;
        if !outcome.complete {
            collected.flag(Flag::new(
                Severity::Failure,
                "cancelled",
                format!(
                    "The run was cancelled after step {}, with {} of {} draws",
                    outcome.steps,
                    collected.len(),
                    self.draws
                ),
                "run it again to the end",
            ));
        }
        confined(self.target.as_ref())
            .into_iter()
            .for_each(|f| collected.flag(f));
        let mut tail_evaluations = 0;
        if outcome.complete {
            let found = runtime.enter("tails", 0, |cx| {
                tails(cx, self.target.as_ref(), collected.rows())
            });
            tail_evaluations = found.counts.rows;
            let of_log_z = collected.scalars.contains_key("log_z");
            let heavy = found.heavy.filter(|_| of_log_z);
            let all = found.flag.into_iter().chain(heavy);
            all.for_each(|f| collected.flag(f));
        }
        let counts = runtime.counts().clone();
        let names = (0..self.target.dim())
            .map(|i| self.target.coordinate(i))
            .collect();
        let mut outputs = None;
        if let Some(o) = self.target.outputs() {
            let mut values = Array2::zeros((collected.len(), o.count()));
            runtime.enter("outputs", 0, |cx| {
                o.eval(cx, collected.rows(), values.view_mut())
            })?;
            outputs = Some(((0..o.count()).map(|k| o.name(k)).collect(), values));
        }
        Ok(RunResult {
            collected,
            counts,
            tail_evaluations,
            names,
            outputs,
            complete: outcome.complete,
            steps: outcome.steps,
        })
    }
}

/// A run under way, as [`Run::run_watched`] shows it after each step.
#[derive(Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// Steps done.
    pub step: u64,
    /// How much is done, 0 to 1; `None` before the sampler has said so.
    pub fraction: Option<f64>,
    /// Draws kept so far.
    pub draws: usize,
    /// Evaluations so far.
    pub counts: &'a Counts,
    /// Numbers that the sampler shows, such as `acceptance`.
    pub scalars: &'a BTreeMap<String, f64>,
}

struct Watched<F> {
    collected: Collected,
    fraction: Option<f64>,
    watch: F,
}

impl<F> Sink for Watched<F> {
    fn set_chains(&mut self, chains: usize) -> Result {
        self.collected.set_chains(chains)
    }

    fn emit(&mut self, draws: &Draws<'_>) -> Result {
        self.collected.emit(draws)
    }

    fn scalar(&mut self, key: &str, value: f64) {
        self.collected.scalar(key, value);
    }

    fn record(&mut self, table: &str, row: &[(&str, f64)]) {
        self.collected.record(table, row);
    }

    fn flag(&mut self, flag: Flag) {
        self.collected.flag(flag);
    }

    fn progress(&mut self, fraction: f64) {
        self.fraction = Some(fraction);
    }
}

impl<F: FnMut(&Progress<'_>)> Observer for Watched<F> {
    fn after_step(
        &mut self,
        step: u64,
        counts: &Counts,
        _save: &mut dyn FnMut() -> Result<Checkpoint>,
    ) -> Result {
        (self.watch)(&Progress {
            step,
            fraction: self.fraction,
            draws: self.collected.len(),
            counts,
            scalars: &self.collected.scalars,
        });
        Ok(())
    }
}

/// An estimate of log Z.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogZ {
    /// The estimate.
    pub value: f64,
    /// Its standard error, where the sampler gives one.
    pub se: Option<f64>,
}

/// What a run gave.
#[derive(Debug, Clone)]
pub struct RunResult {
    collected: Collected,
    counts: Counts,
    tail_evaluations: u64,
    names: Vec<String>,
    /// Names, and values in the order of the rows.
    outputs: Option<(Vec<String>, Array2<f64>)>,
    complete: bool,
    steps: u64,
}

impl RunResult {
    /// Whether the run came to its end. One that was cancelled has the draws up to then, a flag
    /// `cancelled`, and no log Z.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Steps of the sampler.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The draws: (chain, draw, dim). Those of a [`Bounded`](retrograde_core::Bounded) target are on
    /// the scale without limits; its natural coordinates are the first of the
    /// [`outputs`](Self::outputs).
    #[must_use]
    pub fn draws(&self) -> Array3<f64> {
        self.collected.by_chain()
    }

    /// Names of the coordinates.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Functions of the draws that the target computes: (chain, draw, output); `None` if it has
    /// none.
    ///
    /// ```
    /// use retrograde::prelude::*;
    /// use std::sync::Arc;
    ///
    /// // A normal limited to x > 0, and its mean √(2/π).
    /// let normal = PointTarget::new(1, |x, gradient| {
    ///     gradient[0] = -x[0];
    ///     -0.5 * x[0] * x[0]
    /// });
    /// let half = Bounded::new(Arc::new(normal), &[0.0], &[f64::INFINITY])?;
    /// let result = Run::new(half).sampler(Hmc::default()).draws(4000).seed(1).run()?;
    /// let x = result.outputs().unwrap();
    /// assert_eq!(x.dim(), (4, 1000, 1)); // (chain, draw, output)
    /// assert!(x.iter().all(|x| *x > 0.0));
    /// assert!((x.mean().unwrap() - 0.7979).abs() < 0.1);
    /// # Ok::<(), retrograde::Error>(())
    /// ```
    #[must_use]
    pub fn outputs(&self) -> Option<Array3<f64>> {
        let (_, values) = self.outputs.as_ref()?;
        let chains = self.collected.chains();
        let shape = (chains, values.nrows() / chains, values.ncols());
        Some(Array3::from_shape_fn(shape, |(c, i, k)| {
            values[(i * chains + c, k)]
        }))
    }

    /// The outputs in the order of the [`rows`](Self::rows); n × k. `None` if the target has none.
    #[must_use]
    pub fn output_rows(&self) -> Option<ArrayView2<'_, f64>> {
        Some(self.outputs.as_ref()?.1.view())
    }

    /// Names of the [`outputs`](Self::outputs).
    #[must_use]
    pub fn output_names(&self) -> &[String] {
        self.outputs.as_ref().map_or(&[], |(names, _)| names)
    }

    /// The draws in the order they came; n × d.
    #[must_use]
    pub fn rows(&self) -> ArrayView2<'_, f64> {
        self.collected.rows()
    }

    /// Unnormalised log weights of the rows; empty = equal weights.
    #[must_use]
    pub fn log_weights(&self) -> &[f64] {
        &self.collected.log_weights
    }

    /// log Z, if the sampler estimates it and came to its end: what it holds before that is the
    /// constant of another law.
    #[must_use]
    pub fn log_z(&self) -> Option<LogZ> {
        if !self.complete {
            return None;
        }
        let value = *self.collected.scalars.get("log_z")?;
        let se = self
            .collected
            .scalars
            .get("log_z_se")
            .copied()
            .filter(|v| v.is_finite());
        Some(LogZ { value, se })
    }

    /// Mean, quantiles, R-hat and effective sample sizes of each coordinate. Where there are
    /// [`log_weights`](Self::log_weights) the numbers are those of
    /// [`weighted_summary`](Self::weighted_summary), and NaN where it has none.
    #[must_use]
    pub fn summary(&self) -> Vec<CoordinateSummary> {
        let Some(weighted) = self.weighted_summary() else {
            return summarise(self.draws().view());
        };
        let undefined = summarise(Array3::zeros((0, 0, weighted.len())).view());
        let numbers = undefined.into_iter().zip(weighted);
        numbers
            .map(|(mut row, w)| {
                (row.mean, row.sd, row.mcse_mean) = (w.mean, w.sd, w.mcse_mean);
                (row.q05, row.q50, row.q95) = (w.q05, w.q50, w.q95);
                row
            })
            .collect()
    }

    /// Mean, quantiles and standard error of each coordinate under the weights of the draws, with
    /// their effective number; `None` where the draws have equal weights.
    #[must_use]
    pub fn weighted_summary(&self) -> Option<Vec<WeightedSummary>> {
        let weights = self.log_weights();
        (!weights.is_empty()).then(|| summarise_weighted(self.rows(), ArrayView1::from(weights)))
    }

    /// Evaluations of the sampler.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Points evaluated after its end, to see whether the density can be normalised: see
    /// [`tails`](retrograde_core::check::tails). A density that cannot raises the flag
    /// `not_normalisable`.
    #[must_use]
    pub fn tail_evaluations(&self) -> u64 {
        self.tail_evaluations
    }

    /// Outcomes to know of, in plain words.
    pub fn flags(&self) -> impl Iterator<Item = &Flag> {
        self.collected.flags.values()
    }

    /// All that was emitted: statistics, scalars, tables.
    #[must_use]
    pub fn collected(&self) -> &Collected {
        &self.collected
    }
}
