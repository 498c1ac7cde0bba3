//! Samplers: `start` and `step` over a state that can be saved.

use crate::grid::TimeGrid;
use crate::saved::{self, Signature};
use crate::{Cx, Result, Traits};
use ndarray::{ArrayView1, ArrayView2};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Whether a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// There is another step.
    More,
    /// That was the last.
    Done,
}

/// A sampling method bound to its target, process and score.
pub trait Sampler: Send + Sync {
    /// How it may be called: the weaker of its own class and those of what it holds.
    fn traits(&self) -> Traits;

    /// Begins a run that shall leave `n` draws in all.
    ///
    /// # Errors
    /// When n does not suit the method, or its first evaluations fail.
    fn start(&self, cx: &mut Cx<'_>, n: usize) -> Result<Box<dyn Run + '_>>;

    /// Rows of coordinates that a run of `n` draws holds at once, chains or particles: what its
    /// memory is reckoned by. The default is one a draw.
    fn rows(&self, n: usize) -> usize {
        n
    }

    /// What it runs backwards, and on which times, for a sampler that runs a forward process backwards.
    fn reverse(&self) -> Option<ReverseRun> {
        None
    }

    /// Takes up a run from the bytes that [`Run::save`] gave.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State) when the bytes are damaged, or not of this sampler
    /// with these settings on a target of this dimension.
    fn resume(&self, cx: &mut Cx<'_>, bytes: &[u8]) -> Result<Box<dyn Run + '_>>;
}

/// How a sampler runs a forward process backwards: what its errors are reckoned from.
#[derive(Debug, Clone, PartialEq)]
pub struct ReverseRun {
    /// The times it visits, from noise to data.
    pub grid: TimeGrid,
    /// The law of a step.
    pub kernel: Kernel,
}

/// The law of a step backwards in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// No noise: bounds by Girsanov's theorem say nothing.
    Deterministic,
    /// Euler–Maruyama: drift and noise frozen over the step.
    EulerMaruyama,
    /// The score alone is frozen; the linear part of the drift is exact.
    FrozenScore,
    /// Noise of another kind.
    Other,
}

/// A run under way.
pub trait Run {
    /// One grid move, sweep or temperature. The context's key is that of the step.
    ///
    /// # Errors
    /// What evaluations return; [`Error::Cancelled`](crate::Error::Cancelled) inside a long step.
    fn step(&mut self, cx: &mut Cx<'_>, sink: &mut dyn Sink) -> Result<Flow>;

    /// The state as bytes, bit-exact; `None` for a sampler that cannot be saved (it is then run
    /// again from its first step).
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    fn save(&self) -> Result<Option<Vec<u8>>>;

    /// The draws that it shall leave in all, where it knows.
    fn draws(&self) -> Option<usize> {
        None
    }
}

/// Where a run's results go.
pub trait Sink {
    /// Declares, before the first draw, how many chains the draws belong to: row i of every emitted
    /// batch is of chain i mod `chains`. Without it there is one.
    ///
    /// # Errors
    /// When the sink cannot take them.
    fn set_chains(&mut self, chains: usize) -> Result;

    /// Takes draws.
    ///
    /// # Errors
    /// When they cannot be kept, or have the wrong shape.
    fn emit(&mut self, draws: &Draws<'_>) -> Result;

    /// Takes a number that sums up the run, such as `log_z`; the last value given holds. Shown live.
    fn scalar(&mut self, key: &str, value: f64);

    /// Takes a row of a table, such as one temperature of a ladder. Columns are the same each time.
    fn record(&mut self, table: &str, row: &[(&str, f64)]);

    /// Takes an outcome that is no failure but that a person must know of. The last text under a
    /// key holds.
    fn flag(&mut self, flag: Flag);

    /// Takes how much is done, 0 to 1.
    fn progress(&mut self, fraction: f64);
}

/// A batch of draws.
#[derive(Debug, Clone, Copy)]
pub struct Draws<'a> {
    /// The draws; n × d.
    pub x: ArrayView2<'a, f64>,
    /// Unnormalised log weights; length n. Absent = equal weights.
    pub log_weights: Option<ArrayView1<'a, f64>>,
    /// Statistics of each draw, such as (`lp`, log density); length n each.
    pub stats: &'a [(&'a str, ArrayView1<'a, f64>)],
}

/// Weight of a [`Flag`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// The result should be looked at before it is used.
    Warning,
    /// The result should not be trusted as it is.
    Failure,
}

/// An outcome that is no failure of the program, in plain words, with what to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Flag {
    /// Short name, for example `divergences`.
    pub key: String,
    /// How much it matters.
    pub severity: Severity,
    /// What happened, in a plain sentence.
    pub text: String,
    /// What to try; may be empty.
    pub advice: String,
}

impl Flag {
    /// A flag of those words.
    pub fn new(
        severity: Severity,
        key: impl Into<String>,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            severity,
            text: text.into(),
            advice: advice.into(),
        }
    }
}

/// What the author of a sampler writes; every `Algorithm` is a [`Sampler`].
///
/// The state holds what the next step needs and nothing else: positions, cached gradients, adapted
/// step sizes, the number of the step. Random numbers are not part of it: each step has its own key.
///
/// ```
/// use retrograde_core::{Algorithm, Cx, Draws, Flow, Result, Runtime, Sampler, Sink, Traits};
/// use ndarray::Array2;
///
/// /// n independent standard normals in `steps` parts.
/// struct Exact { d: usize, steps: usize }
///
/// impl Algorithm for Exact {
///     type State = (usize, usize);
///     fn name(&self) -> &str { "exact" }
///     fn traits(&self) -> Traits { Traits::PURE }
///     fn init(&self, _cx: &mut Cx<'_>, n: usize) -> Result<(usize, usize)> { Ok((n, 0)) }
///     fn step(&self, cx: &mut Cx<'_>, s: &mut (usize, usize), sink: &mut dyn Sink) -> Result<Flow> {
///         let mut x = Array2::zeros((s.0 / self.steps, self.d));
///         cx.fill_normal(x.view_mut());
///         sink.emit(&Draws { x: x.view(), log_weights: None, stats: &[] })?;
///         s.1 += 1;
///         Ok(if s.1 < self.steps { Flow::More } else { Flow::Done })
///     }
/// }
/// ```
pub trait Algorithm: Send + Sync {
    /// What the next step needs.
    type State: Serialize + DeserializeOwned;

    /// Its name, for messages.
    fn name(&self) -> &str;

    /// How it may be called: mostly that of its target.
    fn traits(&self) -> Traits;

    /// The state before the first step, for `n` draws in all.
    ///
    /// # Errors
    /// As [`Sampler::start`].
    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<Self::State>;

    /// One step.
    ///
    /// # Errors
    /// As [`Run::step`].
    fn step(&self, cx: &mut Cx<'_>, state: &mut Self::State, sink: &mut dyn Sink) -> Result<Flow>;

    /// As [`Sampler::rows`].
    fn rows(&self, n: usize) -> usize {
        n
    }

    /// As [`Sampler::reverse`].
    fn reverse(&self) -> Option<ReverseRun> {
        None
    }

    /// What its states depend on: one with another signature is refused. Mostly
    /// `Signature::new(self.target.dim(), &self.settings)`.
    fn signature(&self) -> Signature {
        Signature::default()
    }

    /// Looks whether `state`, which was read from bytes for a run of `n` draws, is one that
    /// [`step`](Algorithm::step) can go on from: lengths, indices, counters. Its numbers need not
    /// make sense. The default takes every state.
    ///
    /// # Errors
    /// What is wrong with it, for example "7 chains, not 4".
    fn check_state(&self, n: usize, state: &Self::State) -> std::result::Result<(), String> {
        let _ = (n, state);
        Ok(())
    }
}

struct TypedRun<'a, A: Algorithm> {
    algorithm: &'a A,
    n: usize,
    state: A::State,
}

impl<A: Algorithm> Run for TypedRun<'_, A> {
    fn step(&mut self, cx: &mut Cx<'_>, sink: &mut dyn Sink) -> Result<Flow> {
        self.algorithm.step(cx, &mut self.state, sink)
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        saved::encode(self.algorithm, self.n, &self.state).map(Some)
    }

    fn draws(&self) -> Option<usize> {
        Some(self.n)
    }
}

impl<A: Algorithm> Sampler for A {
    fn traits(&self) -> Traits {
        Algorithm::traits(self)
    }

    fn rows(&self, n: usize) -> usize {
        Algorithm::rows(self, n)
    }

    fn reverse(&self) -> Option<ReverseRun> {
        Algorithm::reverse(self)
    }

    fn start(&self, cx: &mut Cx<'_>, n: usize) -> Result<Box<dyn Run + '_>> {
        Ok(Box::new(TypedRun {
            algorithm: self,
            n,
            state: self.init(cx, n)?,
        }))
    }

    fn resume(&self, _cx: &mut Cx<'_>, bytes: &[u8]) -> Result<Box<dyn Run + '_>> {
        let (n, state) = saved::decode(self, bytes)?;
        Ok(Box::new(TypedRun {
            algorithm: self,
            n,
            state,
        }))
    }
}
