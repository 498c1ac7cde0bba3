//! Gaussian mixtures under linear processes, x_t = α(t) x_0 + noise of covariance C(t), kept by time:
//! the blocks of a step, and the steps that come back to a time, share one factorisation.

use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2, s};
use retrograde_core::{
    Covariances, Cx, Error, Form, ForwardProcess, GaussianMixture, LogMarginal, Result, Score,
    ScoreJvp, Target, Times, Traits,
};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Times kept; more than the stages of any step.
const KEPT: usize = 8;

/// The laws q_t of a mixture (or of point masses) under a process that is linear.
pub(crate) struct Noised {
    component: &'static str,
    process: Arc<dyn ForwardProcess>,
    start: GaussianMixture,
    form: Form,
    shelf: Mutex<Shelf>,
    /// For rows that each have their own time.
    spare: Mutex<Vec<Sheet>>,
}

/// Times that were asked for, with their laws.
struct Shelf {
    slots: Vec<Slot>,
    clock: u64,
    numbers: Numbers,
}

struct Slot {
    bits: u64,
    law: Arc<GaussianMixture>,
    used: u64,
}

/// α and C.
#[derive(Clone)]
struct Numbers {
    alpha: Vec<f64>,
    covariance: Vec<f64>,
}

struct Sheet {
    law: GaussianMixture,
    numbers: Numbers,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind it is written whole before it is used, so a panic elsewhere leaves it sound.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `work` on each run of rows that have the same time.
pub(crate) fn each_time(
    t: Times<'_>,
    n: usize,
    mut work: impl FnMut(f64, Range<usize>) -> Result,
) -> Result {
    let Times::PerRow(t) = t else {
        return if n > 0 { work(t.at(0), 0..n) } else { Ok(()) };
    };
    let mut start = 0;
    while start < n {
        let same = |i: &usize| t[*i].to_bits() == t[start].to_bits();
        let end = (start..n).take_while(same).last().map_or(start, |i| i + 1);
        work(t[start], start..end)?;
        start = end;
    }
    Ok(())
}

impl Noised {
    /// The laws of `start`, for `component`; `None` if the process is not linear.
    ///
    /// # Errors
    /// [`Error::Argument`] when dimensions differ.
    pub(crate) fn new(
        component: &'static str,
        process: Arc<dyn ForwardProcess>,
        start: &GaussianMixture,
    ) -> Result<Option<Self>> {
        let d = process.dim();
        if start.dim() != d {
            return Err(Error::Argument {
                component: component.into(),
                argument: "dimension of the law".into(),
                given: start.dim().to_string(),
                allowed: format!("{d}, that of the process"),
            });
        }
        let Some(form) = process.linear().map(|l| l.form()) else {
            return Ok(None);
        };
        let numbers = Numbers {
            alpha: vec![0.0; form.len(d)],
            covariance: vec![0.0; form.len(d)],
        };
        let start = start.clone().with_log_scale(0.0)?;
        let empty = || Slot {
            bits: f64::NAN.to_bits(),
            law: Arc::new(start.clone()),
            used: 0,
        };
        let slots = (0..KEPT).map(|_| empty()).collect();
        Ok(Some(Self {
            component,
            process,
            start,
            form,
            shelf: Mutex::new(Shelf {
                slots,
                clock: 0,
                numbers,
            }),
            spare: Mutex::new(Vec::new()),
        }))
    }

    /// The law at t = 0.
    pub(crate) fn start(&self) -> &GaussianMixture {
        &self.start
    }

    fn fill(&self, t: f64, numbers: &mut Numbers, law: &mut GaussianMixture) -> Result {
        let end = self.process.t_end();
        if !(t >= 0.0 && t.is_finite()) {
            return Err(Error::Argument {
                component: self.component.into(),
                argument: "t".into(),
                given: t.to_string(),
                allowed: format!("a time from 0 to {end}"),
            });
        }
        let (alpha, covariance) = (&mut numbers.alpha, &mut numbers.covariance);
        let Some(linear) = self.process.linear() else {
            return Err(Error::Breakdown {
                component: self.component.into(),
                message: "the process is no longer linear".into(),
                advice: "let its `linear` always give the same".into(),
            });
        };
        linear.at(t, alpha, covariance);
        let points = matches!(self.start.covariances(), Covariances::Isotropic(v) if v[0] == 0.0);
        if points && covariance.iter().all(|c| *c == 0.0) {
            return Err(Error::Breakdown {
                component: self.component.into(),
                message: format!(
                    "at t = {t} the law is one of point masses, which has neither density nor score"
                ),
                advice: "let the time grid end above 0, or smooth the data by a `bandwidth`".into(),
            });
        }
        self.start
            .noised_linear_into(self.form, alpha, covariance, law)
            .map_err(|e| Error::Breakdown {
                component: self.component.into(),
                message: format!("no law of the data at t = {t}: {e}"),
                advice: "let the time grid end where the noise of the process is not degenerate"
                    .into(),
            })
    }

    /// The law at time t, kept for the next call.
    fn at(&self, t: f64) -> Result<Arc<GaussianMixture>> {
        let mut shelf = lock(&self.shelf);
        let Shelf {
            slots,
            clock,
            numbers,
        } = &mut *shelf;
        *clock += 1;
        let bits = t.to_bits();
        if let Some(slot) = slots.iter_mut().find(|s| s.bits == bits) {
            slot.used = *clock;
            return Ok(slot.law.clone());
        }
        // The memory of the one unused for longest that nobody holds.
        let free = |s: &Slot| Arc::strong_count(&s.law) == 1;
        let oldest = (0..slots.len())
            .filter(|i| free(&slots[*i]))
            .min_by_key(|i| slots[*i].used);
        let mut slot = match oldest {
            Some(i) => slots.swap_remove(i),
            None => Slot {
                bits,
                law: Arc::new(self.start.clone()),
                used: 0,
            },
        };
        (slot.bits, slot.used) = (bits, *clock);
        // Built under the lock: others that want the same time wait instead of building it, too.
        self.fill(t, numbers, Arc::make_mut(&mut slot.law))?;
        let law = slot.law.clone();
        slots.push(slot);
        Ok(law)
    }

    /// Calls `work` with the law of each run of rows that have the same time.
    fn each(
        &self,
        t: Times<'_>,
        n: usize,
        mut work: impl FnMut(&GaussianMixture, Range<usize>) -> Result,
    ) -> Result {
        if let Times::Shared(t) = t {
            return if n > 0 {
                work(&*self.at(t)?, 0..n)
            } else {
                Ok(())
            };
        }
        let spare = lock(&self.spare).pop();
        let mut sheet = spare.unwrap_or_else(|| Sheet {
            law: self.start.clone(),
            numbers: lock(&self.shelf).numbers.clone(),
        });
        let outcome = each_time(t, n, |t, rows| {
            self.fill(t, &mut sheet.numbers, &mut sheet.law)?;
            work(&sheet.law, rows)
        });
        lock(&self.spare).push(sheet);
        outcome
    }

    /// log q_t (n) and its gradient (n × d) at the rows of `x`, each if it is asked for.
    fn both(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut score: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        self.each(t, x.nrows(), |law, rows| {
            let some = s![rows.clone(), ..];
            law.eval(
                cx,
                x.slice(some),
                log_density.as_mut().map(|l| l.slice_mut(s![rows])),
                score.as_mut().map(|g| g.slice_mut(some)),
            )
        })
    }
}

impl Score for Noised {
    fn dim(&self) -> usize {
        self.start.dim()
    }

    fn traits(&self) -> Traits {
        Traits::PURE
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.both(cx, t, x, None, Some(out))
    }

    fn jvp(&self) -> Option<&dyn ScoreJvp> {
        Some(self)
    }

    fn log_marginal(&self) -> Option<&dyn LogMarginal> {
        Some(self)
    }
}

impl ScoreJvp for Noised {
    fn jvp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        tangents: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.each(t, x.nrows(), |law, rows| {
            let some = s![rows, ..];
            let (x, tangents) = (x.slice(some), tangents.slice(some));
            law.score_jvp(cx, x, tangents, out.slice_mut(some))
        })
    }
}

impl LogMarginal for Noised {
    fn log_marginal(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        self.both(cx, t, x, Some(out), None)
    }
}
