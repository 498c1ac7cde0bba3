//! Noised mixtures at the times of a batch, in memory that is used again.

use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2, s};
use retrograde_core::{Cx, GaussianMixture, Result, Target, Times};
use std::sync::{Mutex, PoisonError};

/// The laws of α(t) x + σ(t) z for x from a mixture.
pub(crate) struct Noised {
    base: GaussianMixture,
    /// Mixtures at the time that stands beside them, NaN for none.
    spare: Mutex<Vec<(f64, GaussianMixture)>>,
}

impl Noised {
    pub(crate) fn new(base: GaussianMixture) -> Self {
        Self {
            base,
            spare: Mutex::default(),
        }
    }

    /// Log density and gradient at the rows of `x`; `level` gives α and σ² of a time.
    pub(crate) fn eval(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
        level: impl Fn(f64) -> (f64, f64),
    ) -> Result {
        let taken = self.lock().pop();
        let (mut at, mut mixture) = taken.unwrap_or_else(|| (f64::NAN, self.base.clone()));
        let n = x.nrows();
        let mut start = 0;
        while start < n {
            // Rows of one time go together.
            let now = t.at(start);
            let mut end = n;
            if let Times::PerRow(_) = t {
                end = (start + 1..n).find(|i| t.at(*i) != now).unwrap_or(n);
            }
            if at != now {
                let (alpha, sigma2) = level(now);
                self.base.noised_into(alpha, sigma2, &mut mixture)?;
                at = now;
            }
            let rows = s![start..end, ..];
            let l = log_density.as_mut().map(|l| l.slice_mut(s![start..end]));
            let g = gradient.as_mut().map(|g| g.slice_mut(rows));
            mixture.eval(cx, x.slice(rows), l, g)?;
            start = end;
        }
        self.lock().push((at, mixture));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(f64, GaussianMixture)>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
