//! A score of another side.

use super::{Asked, Asking, Foreign};
use crate::arrays::{DenseTimes, dense2, into1, into2};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_abi::rg_score_vtable;
use retrograde_core::{Cx, Flag, LogMarginal, Result, Score, ScoreJvp, Times, Traits};

/// What a score says of itself.
#[derive(Debug, Clone, Copy)]
pub struct ScoreInfo {
    dim: usize,
}

impl Asked for rg_score_vtable {
    type Info = ScoreInfo;

    fn ask(a: &Asking<'_, Self>) -> Result<ScoreInfo> {
        let mut dim = 0;
        if let Some(f) = a.table.dim {
            // SAFETY: by the contract of `Foreign::new`.
            a.ask(|call| unsafe { f(a.object, call, &raw mut dim) })?;
        }
        Ok(ScoreInfo { dim: a.dim(dim)? })
    }
}

impl Score for Foreign<rg_score_vtable> {
    fn dim(&self) -> usize {
        self.info.dim
    }

    fn traits(&self) -> Traits {
        self.traits
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let eval = self.table.eval.ok_or_else(|| self.lacks("eval"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        self.times_fit(n, &t)?;
        self.fits("x", (n, d), x.dim())?;
        self.fits("out", (n, d), out.dim())?;
        let (x, t) = (dense2(&x), DenseTimes::new(&t));
        self.call(cx, |call| {
            into2(&mut out, |out| {
                let (t, ts) = (t.pointer(), t.stride());
                // SAFETY: by the contract of `Foreign::new`; arrays of the sizes that are told.
                unsafe { eval(self.object, call, n, d, t, ts, x.as_ptr(), out) }
            })
        })
    }

    fn jvp(&self) -> Option<&dyn ScoreJvp> {
        self.table.jvp.map(|_| self as &dyn ScoreJvp)
    }

    fn log_marginal(&self) -> Option<&dyn LogMarginal> {
        self.table.log_marginal.map(|_| self as &dyn LogMarginal)
    }

    fn flags(&self) -> Vec<Flag> {
        let Some(flags) = self.table.flags else {
            return Vec::new();
        };
        self.ask_flags(|call| {
            // SAFETY: as in `eval`.
            unsafe { flags(self.object, call) }
        })
    }
}

impl ScoreJvp for Foreign<rg_score_vtable> {
    fn jvp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        tangents: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let jvp = self.table.jvp.ok_or_else(|| self.lacks("jvp"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        let k = tangents.ncols() / d;
        self.times_fit(n, &t)?;
        self.fits("x", (n, d), x.dim())?;
        self.fits("tangents", (n, k * d), tangents.dim())?;
        self.fits("out", (n, k * d), out.dim())?;
        let (x, v, t) = (dense2(&x), dense2(&tangents), DenseTimes::new(&t));
        self.call(cx, |call| {
            into2(&mut out, |out| {
                let (t, ts) = (t.pointer(), t.stride());
                let (x, v) = (x.as_ptr(), v.as_ptr());
                // SAFETY: as in `eval`.
                unsafe { jvp(self.object, call, n, d, k, t, ts, x, v, out) }
            })
        })
    }
}

impl LogMarginal for Foreign<rg_score_vtable> {
    fn log_marginal(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        let log_marginal = self
            .table
            .log_marginal
            .ok_or_else(|| self.lacks("log_marginal"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        self.times_fit(n, &t)?;
        self.fits("x", (n, d), x.dim())?;
        self.fits("out", (n, 1), (out.len(), 1))?;
        let (x, t) = (dense2(&x), DenseTimes::new(&t));
        self.call(cx, |call| {
            into1(&mut out, |out| {
                let (t, ts) = (t.pointer(), t.stride());
                // SAFETY: as in `eval`.
                unsafe { log_marginal(self.object, call, n, d, t, ts, x.as_ptr(), out) }
            })
        })
    }
}
