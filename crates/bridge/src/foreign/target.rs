//! A target of another side.

use super::{Asked, Asking, Foreign, has};
use crate::arrays::{dense2, into1_if, into2, into2_if};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_abi::{RG_CAP_GRADIENT, RG_CAP_NO_DENSITY, rg_target_vtable};
use retrograde_core::{Cx, Hvp, Outputs, Result, Target, Traits};

/// What a target says of itself.
#[derive(Debug, Clone, Copy)]
pub struct TargetInfo {
    dim: usize,
    outputs: usize,
}

impl Asked for rg_target_vtable {
    type Info = TargetInfo;

    fn ask(a: &Asking<'_, Self>) -> Result<TargetInfo> {
        let (mut dim, mut outputs) = (0, 0);
        if let Some(f) = a.table.dim {
            // SAFETY: by the contract of `Foreign::new`.
            a.ask(|call| unsafe { f(a.object, call, &raw mut dim) })?;
        }
        let dim = a.dim(dim)?;
        if let Some(f) = a.table.n_outputs {
            // SAFETY: as above.
            a.ask(|call| unsafe { f(a.object, call, &raw mut outputs) })?;
        }
        if outputs > 1 << 24 {
            return Err(a.wrong("n_outputs", outputs, "at most 16777216"));
        }
        Ok(TargetInfo { dim, outputs })
    }
}

impl Target for Foreign<rg_target_vtable> {
    fn dim(&self) -> usize {
        self.info.dim
    }

    fn traits(&self) -> Traits {
        self.traits
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let eval = self.table.eval.ok_or_else(|| self.lacks("eval"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        self.fits("x", (n, d), x.dim())?;
        if let Some(l) = &log_density {
            self.fits("log density", (n, 1), (l.len(), 1))?;
        }
        if let Some(g) = &gradient {
            self.fits("gradient", (n, d), g.dim())?;
        }
        let x = dense2(&x);
        self.call(cx, |call| {
            into1_if(&mut log_density, |l| {
                into2_if(&mut gradient, |g| {
                    // SAFETY: by the contract of `Foreign::new`; arrays of the sizes that are told.
                    unsafe { eval(self.object, call, n, d, x.as_ptr(), l, g) }
                })
            })
        })
    }

    fn has_density(&self) -> bool {
        !has(self.table.caps, RG_CAP_NO_DENSITY)
    }

    fn has_gradient(&self) -> bool {
        has(self.table.caps, RG_CAP_GRADIENT)
    }

    fn coordinate(&self, i: usize) -> String {
        let Some(name) = self.table.name else {
            return format!("x{i}");
        };
        self.read_text("name", |call, buf, cap, need| {
            // SAFETY: as above.
            unsafe { name(self.object, call, i, buf, cap, need) }
        })
        .unwrap_or_else(|error| {
            self.remember(error);
            format!("x{i}")
        })
    }

    fn hvp(&self) -> Option<&dyn Hvp> {
        self.table.hvp.map(|_| self as &dyn Hvp)
    }

    fn outputs(&self) -> Option<&dyn Outputs> {
        (self.table.outputs.is_some() && self.info.outputs > 0).then_some(self as &dyn Outputs)
    }
}

impl Hvp for Foreign<rg_target_vtable> {
    fn hvp(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let hvp = self.table.hvp.ok_or_else(|| self.lacks("hvp"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        self.fits("x", (n, d), x.dim())?;
        self.fits("v", (n, d), v.dim())?;
        self.fits("out", (n, d), out.dim())?;
        let (x, v) = (dense2(&x), dense2(&v));
        self.call(cx, |call| {
            into2(&mut out, |out| {
                // SAFETY: as in `eval`.
                unsafe { hvp(self.object, call, n, d, x.as_ptr(), v.as_ptr(), out) }
            })
        })
    }
}

impl Outputs for Foreign<rg_target_vtable> {
    fn count(&self) -> usize {
        self.info.outputs
    }

    fn name(&self, i: usize) -> String {
        let Some(name) = self.table.output_name else {
            return format!("output{i}");
        };
        self.read_text("output_name", |call, buf, cap, need| {
            // SAFETY: as in `eval`.
            unsafe { name(self.object, call, i, buf, cap, need) }
        })
        .unwrap_or_else(|error| {
            self.remember(error);
            format!("output{i}")
        })
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let outputs = self.table.outputs.ok_or_else(|| self.lacks("outputs"))?;
        let (n, d, k) = (x.nrows(), self.info.dim, self.info.outputs);
        self.fits("x", (n, d), x.dim())?;
        self.fits("out", (n, k), out.dim())?;
        let x = dense2(&x);
        self.call(cx, |call| {
            into2(&mut out, |out| {
                // SAFETY: as in `eval`.
                unsafe { outputs(self.object, call, n, d, k, x.as_ptr(), out) }
            })
        })
    }
}
