//! The one outer loop: every sampler gets progress, cancel, checkpoints and resume from it.

use crate::cx::not_finite;
use crate::{Counts, Error, Flow, Result, Run, Runtime, Sampler, Sink};
use serde::{Deserialize, Serialize};

/// A run between two steps, as it is written to disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Steps done.
    pub step: u64,
    /// Evaluations so far.
    pub counts: Counts,
    /// Whether that was the last step.
    pub done: bool,
    /// The sampler's state; `None` after the last step, and if it cannot be saved: it must then run
    /// again from its first step.
    pub state: Option<Vec<u8>>,
}

/// Sink that also watches the loop: shows progress, writes checkpoints.
pub trait Observer: Sink {
    /// Called after each step. `save` makes a checkpoint of this very moment; it costs a copy of
    /// the state, so it is called only when one is due.
    ///
    /// # Errors
    /// An error ends the run.
    fn after_step(
        &mut self,
        step: u64,
        counts: &Counts,
        save: &mut dyn FnMut() -> Result<Checkpoint>,
    ) -> Result {
        let _ = (step, counts, save);
        Ok(())
    }

    /// Called when the run was cancelled between two steps, with its last state.
    ///
    /// # Errors
    /// An error ends the run.
    fn cancelled(&mut self, checkpoint: Checkpoint) -> Result {
        let _ = checkpoint;
        Ok(())
    }
}

impl Checkpoint {
    /// Whether a run can go on from here, instead of running again from its first step.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.done || self.state.is_some()
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// False if it was cancelled.
    pub complete: bool,
    /// Steps done.
    pub steps: u64,
}

/// A run that stands before its next step.
pub struct Started<'a> {
    /// `None` after the last step.
    run: Option<Box<dyn Run + 'a>>,
    step: u64,
}

impl std::fmt::Debug for Started<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Started")
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

/// Starts `sampler` for `n` draws, from its beginning or from a checkpoint: what it finds wrong
/// with its settings or its start is known before anything is kept. See [`drive`].
///
/// # Errors
/// What the sampler or its target return; [`Error::State`] for a checkpoint of another run.
pub fn start<'a>(
    sampler: &'a dyn Sampler,
    runtime: &mut Runtime,
    n: usize,
    from: Option<&Checkpoint>,
) -> Result<Started<'a>> {
    if let Some(c) = from
        && c.goes_on()
    {
        let run = match &c.state {
            Some(state) if !c.done => Some(runtime.enter("sampler", 0, |cx| {
                sampler.resume(&mut cx.at("init", 0), state)
            })?),
            _ => None,
        };
        if let Some(saved) = run.as_ref().and_then(|r| r.draws()).filter(|m| *m != n) {
            return Err(Error::State {
                component: "checkpoint".into(),
                message: format!("it is of a run of {saved} draws, not {n}"),
            });
        }
        runtime.set_counts(c.counts.clone());
        return Ok(Started { run, step: c.step });
    }
    runtime.set_counts(Counts::default());
    let run = runtime
        .enter("sampler", 0, |cx| sampler.start(&mut cx.at("init", 0), n))
        .map_err(|e| match e {
            // Values that are not finite count as points without mass: where the start breaks down
            // for want of mass, they are the cause.
            Error::Breakdown { .. } if runtime.counts().failed > runtime.counts().rows / 2 => {
                not_finite("target", runtime.counts())
            }
            other => other,
        })?;
    Ok(Started {
        run: Some(run),
        step: 0,
    })
}

/// Runs `sampler` for `n` draws, from its beginning or from a checkpoint. Random streams are those
/// of (seed, "sampler", step), so a resumed run gives the bits of an uninterrupted one.
///
/// A checkpoint without state starts again from the first step: the caller must have dropped what
/// the earlier attempt emitted.
///
/// # Errors
/// What the sampler, its target or the observer return.
pub fn drive(
    sampler: &dyn Sampler,
    runtime: &mut Runtime,
    n: usize,
    from: Option<&Checkpoint>,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    start(sampler, runtime, n, from)?.drive(runtime, observer)
}

impl Started<'_> {
    /// Goes on to the end, or until the run is cancelled.
    ///
    /// # Errors
    /// As [`drive`].
    pub fn drive(self, runtime: &mut Runtime, observer: &mut dyn Observer) -> Result<Outcome> {
        let Self { mut run, mut step } = self;
        let cancel = runtime.cancel();
        let save = |run: Option<&dyn Run>, step, counts: &Counts| -> Result<Checkpoint> {
            Ok(Checkpoint {
                step,
                counts: counts.clone(),
                done: run.is_none(),
                state: run.map_or(Ok(None), Run::save)?,
            })
        };
        while let Some(current) = &mut run {
            if cancel.requested() {
                observer.cancelled(save(Some(current.as_ref()), step, runtime.counts())?)?;
                return Ok(Outcome {
                    complete: false,
                    steps: step,
                });
            }
            let outcome = runtime.enter("sampler", 0, |cx| {
                current.step(&mut cx.at_step(step), observer_sink(observer))
            });
            let flow = match outcome {
                // The state is in mid-step: what holds is the last checkpoint.
                Err(Error::Cancelled) => {
                    return Ok(Outcome {
                        complete: false,
                        steps: step,
                    });
                }
                other => other?,
            };
            step += 1;
            if flow == Flow::Done {
                // Nothing is left to go on from: its state need neither be held nor saved.
                run = None;
            }
            observer.after_step(step, runtime.counts(), &mut || {
                save(run.as_deref(), step, runtime.counts())
            })?;
        }
        Ok(Outcome {
            complete: true,
            steps: step,
        })
    }
}

fn observer_sink(observer: &mut dyn Observer) -> &mut dyn Sink {
    observer
}
