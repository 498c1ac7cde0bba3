//! A forward process of another side.

use super::{Asked, Asking, Foreign, has};
use crate::arrays::{DenseTimes, dense1, dense2, into1, into1_if, into2, into2_if};
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_abi::{
    RG_CAP_AUTONOMOUS, RG_CAP_G_CONST_X, RG_CAP_LINEAR, RG_CAP_LINEAR_DENSE, RG_CAP_LINEAR_DIAG,
    rg_process_vtable,
};
use retrograde_core::{
    Cdf, Cx, DivGgt, DriftDivergence, DriftJvp, DriftVjp, Error, Flag, Form, ForwardMap,
    ForwardProcess, IntegralG2, Linear, Restore, Result, Status, Times, Traits, Transition, Warp,
};

/// What a process says of itself.
#[derive(Debug, Clone, Copy)]
pub struct ProcessInfo {
    dim: usize,
    noise_dim: usize,
    t_end: f64,
    support: (f64, f64),
}

impl Asked for rg_process_vtable {
    type Info = ProcessInfo;

    fn ask(a: &Asking<'_, Self>) -> Result<ProcessInfo> {
        let (mut dim, mut noise_dim, mut t_end) = (0, 0, f64::NAN);
        if let Some(f) = a.table.info {
            // SAFETY: by the contract of `Foreign::new`.
            a.ask(|call| unsafe {
                f(
                    a.object,
                    call,
                    &raw mut dim,
                    &raw mut noise_dim,
                    &raw mut t_end,
                )
            })?;
        }
        let dim = a.dim(dim)?;
        if noise_dim == 0 || noise_dim > isize::MAX as usize / 32 {
            return Err(a.wrong("m (dimension of the noise)", noise_dim, "1 or more"));
        }
        if !(t_end > 0.0 && t_end.is_finite()) {
            return Err(a.wrong("t_end", t_end, "a finite number above 0"));
        }
        let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
        if let Some(f) = a.table.support {
            // SAFETY: as above.
            a.ask(|call| unsafe { f(a.object, call, &raw mut low, &raw mut high) })?;
        }
        // Also refuses NaN.
        if !matches!(low.partial_cmp(&high), Some(std::cmp::Ordering::Less)) {
            let given = format!("({low}, {high})");
            return Err(a.wrong("support", given, "an interval, its lower end first"));
        }
        Ok(ProcessInfo {
            dim,
            noise_dim,
            t_end,
            support: (low, high),
        })
    }
}

type Process = Foreign<rg_process_vtable>;

/// An ability, if the function for it is there.
macro_rules! abilities {
    ($($fn:ident $slot:ident $ability:ident;)*) => {$(
        fn $fn(&self) -> Option<&dyn $ability> {
            self.table.$slot.map(|_| self as &dyn $ability)
        }
    )*};
}

impl ForwardProcess for Process {
    fn dim(&self) -> usize {
        self.info.dim
    }

    fn noise_dim(&self) -> usize {
        self.info.noise_dim
    }

    fn t_end(&self) -> f64 {
        self.info.t_end
    }

    fn traits(&self) -> Traits {
        self.traits
    }

    fn drift(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut f: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let drift = self.table.drift.ok_or_else(|| self.lacks("drift"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        self.times_fit(n, &t)?;
        self.fits("x", (n, d), x.dim())?;
        self.fits("f", (n, d), f.dim())?;
        let (x, t) = (dense2(&x), DenseTimes::new(&t));
        self.call(cx, |call| {
            into2(&mut f, |f| {
                let (t, ts) = (t.pointer(), t.stride());
                // SAFETY: by the contract of `Foreign::new`; arrays of the sizes that are told.
                unsafe { drift(self.object, call, n, d, t, ts, x.as_ptr(), f) }
            })
        })
    }

    fn apply_g(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let apply_g = self.table.apply_g.ok_or_else(|| self.lacks("apply_g"))?;
        let (n, d, m) = (x.nrows(), self.info.dim, self.info.noise_dim);
        self.times_fit(n, &t)?;
        self.fits("x", (n, d), x.dim())?;
        self.fits("z", (n, m), z.dim())?;
        self.fits("out", (n, d), out.dim())?;
        let (x, z, t) = (dense2(&x), dense2(&z), DenseTimes::new(&t));
        self.call(cx, |call| {
            into2(&mut out, |out| {
                let (t, ts) = (t.pointer(), t.stride());
                let (x, z) = (x.as_ptr(), z.as_ptr());
                // SAFETY: as in `drift`.
                unsafe { apply_g(self.object, call, n, d, m, t, ts, x, z, out) }
            })
        })
    }

    fn apply_ggt(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let apply_ggt = self
            .table
            .apply_ggt
            .ok_or_else(|| self.lacks("apply_ggt"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        self.times_fit(n, &t)?;
        self.fits("x", (n, d), x.dim())?;
        self.fits("v", (n, d), v.dim())?;
        self.fits("out", (n, d), out.dim())?;
        let (x, v, t) = (dense2(&x), dense2(&v), DenseTimes::new(&t));
        self.call(cx, |call| {
            into2(&mut out, |out| {
                let (t, ts) = (t.pointer(), t.stride());
                // SAFETY: as in `drift`.
                unsafe { apply_ggt(self.object, call, n, d, t, ts, x.as_ptr(), v.as_ptr(), out) }
            })
        })
    }

    fn reference_sample(&self, cx: &mut Cx<'_>, mut x: ArrayViewMut2<'_, f64>) -> Result {
        let sample = self
            .table
            .ref_sample
            .ok_or_else(|| self.lacks("ref_sample"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        self.fits("x", (n, d), x.dim())?;
        self.call(cx, |call| {
            // SAFETY: as in `drift`.
            into2(&mut x, |x| unsafe { sample(self.object, call, n, d, x) })
        })
    }

    fn reference_eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let eval = self.table.ref_eval.ok_or_else(|| self.lacks("ref_eval"))?;
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
                    // SAFETY: as in `drift`.
                    unsafe { eval(self.object, call, n, d, x.as_ptr(), l, g) }
                })
            })
        })
    }

    fn g_constant_in_x(&self) -> bool {
        has(self.table.caps, RG_CAP_G_CONST_X)
    }

    abilities! {
        div_ggt div_ggt DivGgt;
        linear linear Linear;
        transition transition_sample Transition;
        drift_vjp drift_vjp DriftVjp;
        drift_jvp drift_jvp DriftJvp;
        drift_divergence drift_div DriftDivergence;
        integral_g2 int_g2 IntegralG2;
        forward_map forward_map ForwardMap;
        restore restore Restore;
        warp warp Warp;
    }

    fn cdf(&self) -> Option<&dyn Cdf> {
        (self.info.dim == 1 && self.table.cdf.is_some()).then_some(self as &dyn Cdf)
    }

    fn support(&self) -> (f64, f64) {
        self.info.support
    }

    fn autonomous(&self) -> bool {
        has(self.table.caps, RG_CAP_AUTONOMOUS)
    }

    fn flags(&self) -> Vec<Flag> {
        let Some(flags) = self.table.flags else {
            return Vec::new();
        };
        self.ask_flags(|call| {
            // SAFETY: as in `drift`.
            unsafe { flags(self.object, call) }
        })
    }
}

impl DivGgt for Process {
    fn div_ggt(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let f = self.table.div_ggt.ok_or_else(|| self.lacks("div_ggt"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        self.times_fit(n, &t)?;
        self.fits("x", (n, d), x.dim())?;
        self.fits("out", (n, d), out.dim())?;
        let (x, t) = (dense2(&x), DenseTimes::new(&t));
        self.call(cx, |call| {
            into2(&mut out, |out| {
                let (t, ts) = (t.pointer(), t.stride());
                // SAFETY: as in `drift`.
                unsafe { f(self.object, call, n, d, t, ts, x.as_ptr(), out) }
            })
        })
    }
}

impl DriftVjp for Process {
    fn drift_vjp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        u: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let f = self
            .table
            .drift_vjp
            .ok_or_else(|| self.lacks("drift_vjp"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        self.times_fit(n, &t)?;
        self.fits("x", (n, d), x.dim())?;
        self.fits("u", (n, d), u.dim())?;
        self.fits("out", (n, d), out.dim())?;
        let (x, u, t) = (dense2(&x), dense2(&u), DenseTimes::new(&t));
        self.call(cx, |call| {
            into2(&mut out, |out| {
                let (t, ts) = (t.pointer(), t.stride());
                // SAFETY: as in `drift`.
                unsafe { f(self.object, call, n, d, t, ts, x.as_ptr(), u.as_ptr(), out) }
            })
        })
    }
}

impl DriftJvp for Process {
    fn drift_jvp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let f = self
            .table
            .drift_jvp
            .ok_or_else(|| self.lacks("drift_jvp"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        self.times_fit(n, &t)?;
        self.fits("x", (n, d), x.dim())?;
        self.fits("v", (n, d), v.dim())?;
        self.fits("out", (n, d), out.dim())?;
        let (x, v, t) = (dense2(&x), dense2(&v), DenseTimes::new(&t));
        self.call(cx, |call| {
            into2(&mut out, |out| {
                let (t, ts) = (t.pointer(), t.stride());
                // SAFETY: as in `drift`.
                unsafe { f(self.object, call, n, d, t, ts, x.as_ptr(), v.as_ptr(), out) }
            })
        })
    }
}

impl DriftDivergence for Process {
    fn drift_divergence(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        let f = self
            .table
            .drift_div
            .ok_or_else(|| self.lacks("drift_div"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        self.times_fit(n, &t)?;
        self.fits("x", (n, d), x.dim())?;
        self.fits("out", (n, 1), (out.len(), 1))?;
        let (x, t) = (dense2(&x), DenseTimes::new(&t));
        self.call(cx, |call| {
            into1(&mut out, |out| {
                let (t, ts) = (t.pointer(), t.stride());
                // SAFETY: as in `drift`.
                unsafe { f(self.object, call, n, d, t, ts, x.as_ptr(), out) }
            })
        })
    }
}

impl Linear for Process {
    fn form(&self) -> Form {
        if has(self.table.caps, RG_CAP_LINEAR) {
            Form::Scalar
        } else if has(self.table.caps, RG_CAP_LINEAR_DIAG) {
            Form::Diagonal
        } else {
            debug_assert!(has(self.table.caps, RG_CAP_LINEAR_DENSE));
            Form::Dense
        }
    }

    fn at(&self, t: f64, alpha: &mut [f64], covariance: &mut [f64]) {
        let d = self.info.dim;
        let len = self.form().len(d);
        assert!(
            alpha.len() == len && covariance.len() == len,
            "{len} numbers"
        );
        let asked = match self.table.linear {
            Some(linear) => self.ask_status(|call| {
                let (a, c) = (alpha.as_mut_ptr(), covariance.as_mut_ptr());
                // SAFETY: as in `drift`.
                unsafe { linear(self.object, call, d, t, a, c) }
            }),
            None => Err(self.lacks("linear")),
        };
        if let Err(error) = asked {
            alpha.fill(f64::NAN);
            covariance.fill(f64::NAN);
            self.remember(error);
        }
    }

    fn time_of(&self, sigma: f64, t_end: f64) -> Result<f64> {
        let Some(time_of) = self.table.time_of else {
            return Searched(self).time_of(sigma, t_end);
        };
        let mut t = f64::NAN;
        let asked = self.ask_status(|call| {
            // SAFETY: as in `drift`.
            unsafe { time_of(self.object, call, sigma, t_end, &raw mut t) }
        });
        match asked {
            Ok(()) if (0.0..=t_end).contains(&t) => Ok(t),
            Ok(()) => Err(Error::Argument {
                component: self.label().into(),
                argument: "t of `time_of`".into(),
                given: t.to_string(),
                allowed: format!("from 0 to {t_end}"),
            }),
            // No such level: the search says between which there are some.
            Err(error) if error.status() == Status::Arg => Searched(self).time_of(sigma, t_end),
            Err(error) => Err(error),
        }
    }
}

/// The linear part of a process that does not tell times of noise levels.
struct Searched<'a>(&'a Process);

impl Linear for Searched<'_> {
    fn form(&self) -> Form {
        self.0.form()
    }

    fn at(&self, t: f64, alpha: &mut [f64], covariance: &mut [f64]) {
        self.0.at(t, alpha, covariance);
    }
}

impl IntegralG2 for Process {
    fn integral_g2(&self, s: f64, t: f64) -> f64 {
        let mut value = f64::NAN;
        let asked = match self.table.int_g2 {
            Some(int_g2) => self.ask_status(|call| {
                // SAFETY: as in `drift`.
                unsafe { int_g2(self.object, call, s, t, &raw mut value) }
            }),
            None => Err(self.lacks("int_g2")),
        };
        match asked {
            Ok(()) => value,
            Err(error) => {
                self.remember(error);
                f64::NAN
            }
        }
    }
}

impl Transition for Process {
    fn sample(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        xs: ArrayView2<'_, f64>,
        mut xt: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let f = self
            .table
            .transition_sample
            .ok_or_else(|| self.lacks("transition_sample"))?;
        let (n, d) = (xs.nrows(), self.info.dim);
        self.fits("xs", (n, d), xs.dim())?;
        self.fits("xt", (n, d), xt.dim())?;
        let xs = dense2(&xs);
        self.call(cx, |call| {
            into2(&mut xt, |xt| {
                // SAFETY: as in `drift`.
                unsafe { f(self.object, call, n, d, s, t, xs.as_ptr(), xt) }
            })
        })
    }

    fn score(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        xs: ArrayView2<'_, f64>,
        xt: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let f = self
            .table
            .transition_score
            .ok_or_else(|| self.lacks("transition_score"))?;
        let (n, d) = (xs.nrows(), self.info.dim);
        self.fits("xs", (n, d), xs.dim())?;
        self.fits("xt", (n, d), xt.dim())?;
        if let Some(l) = &log_density {
            self.fits("log density", (n, 1), (l.len(), 1))?;
        }
        if let Some(g) = &gradient {
            self.fits("gradient", (n, d), g.dim())?;
        }
        let (xs, xt) = (dense2(&xs), dense2(&xt));
        self.call(cx, |call| {
            into1_if(&mut log_density, |l| {
                into2_if(&mut gradient, |g| {
                    let (xs, xt) = (xs.as_ptr(), xt.as_ptr());
                    // SAFETY: as in `drift`.
                    unsafe { f(self.object, call, n, d, s, t, xs, xt, l, g) }
                })
            })
        })
    }
}

impl ForwardMap for Process {
    fn forward_map(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        mut x: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let f = self
            .table
            .forward_map
            .ok_or_else(|| self.lacks("forward_map"))?;
        let (n, d) = (r.nrows(), self.info.dim);
        self.fits("r", (n, d), r.dim())?;
        self.fits("z", (n, d), z.dim())?;
        self.fits("x", (n, d), x.dim())?;
        let (r, z) = (dense2(&r), dense2(&z));
        self.call(cx, |call| {
            into2(&mut x, |out| {
                // SAFETY: as in `drift`.
                unsafe { f(self.object, call, n, d, s, t, r.as_ptr(), z.as_ptr(), out) }
            })
        })
    }

    fn solve_noise(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView2<'_, f64>,
        x: ArrayView2<'_, f64>,
        mut z: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let f = self
            .table
            .solve_noise
            .ok_or_else(|| self.lacks("solve_noise"))?;
        let (n, d) = (r.nrows(), self.info.dim);
        self.fits("r", (n, d), r.dim())?;
        self.fits("x", (n, d), x.dim())?;
        self.fits("z", (n, d), z.dim())?;
        let (r, x) = (dense2(&r), dense2(&x));
        self.call(cx, |call| {
            into2(&mut z, |out| {
                // SAFETY: as in `drift`.
                unsafe { f(self.object, call, n, d, s, t, r.as_ptr(), x.as_ptr(), out) }
            })
        })
    }
}

impl Restore for Process {
    fn restore(
        &self,
        cx: &mut Cx<'_>,
        t: f64,
        back: f64,
        x: ArrayView2<'_, f64>,
        score: ArrayView2<'_, f64>,
        mut r: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let f = self.table.restore.ok_or_else(|| self.lacks("restore"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        self.fits("x", (n, d), x.dim())?;
        self.fits("score", (n, d), score.dim())?;
        self.fits("r", (n, d), r.dim())?;
        let (x, score) = (dense2(&x), dense2(&score));
        self.call(cx, |call| {
            into2(&mut r, |out| {
                // SAFETY: as in `drift`.
                unsafe {
                    f(
                        self.object,
                        call,
                        n,
                        d,
                        t,
                        back,
                        x.as_ptr(),
                        score.as_ptr(),
                        out,
                    )
                }
            })
        })
    }
}

impl Warp for Process {
    fn warp(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut y: ArrayViewMut2<'_, f64>,
        mut log_det: Option<ArrayViewMut1<'_, f64>>,
    ) -> Result {
        let f = self.table.warp.ok_or_else(|| self.lacks("warp"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        self.fits("x", (n, d), x.dim())?;
        self.fits("y", (n, d), y.dim())?;
        if let Some(l) = &log_det {
            self.fits("log det", (n, 1), (l.len(), 1))?;
        }
        let x = dense2(&x);
        self.call(cx, |call| {
            into1_if(&mut log_det, |det| {
                into2(&mut y, |y| {
                    // SAFETY: as in `drift`.
                    unsafe { f(self.object, call, n, d, x.as_ptr(), y, det) }
                })
            })
        })
    }

    fn unwarp(
        &self,
        cx: &mut Cx<'_>,
        y: ArrayView2<'_, f64>,
        mut x: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let f = self.table.unwarp.ok_or_else(|| self.lacks("unwarp"))?;
        let (n, d) = (y.nrows(), self.info.dim);
        self.fits("y", (n, d), y.dim())?;
        self.fits("x", (n, d), x.dim())?;
        let y = dense2(&y);
        self.call(cx, |call| {
            into2(&mut x, |out| {
                // SAFETY: as in `drift`.
                unsafe { f(self.object, call, n, d, y.as_ptr(), out) }
            })
        })
    }

    fn warp_score(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        score_y: ArrayView2<'_, f64>,
        mut score_x: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let f = self
            .table
            .warp_score
            .ok_or_else(|| self.lacks("warp_score"))?;
        let (n, d) = (x.nrows(), self.info.dim);
        self.fits("x", (n, d), x.dim())?;
        self.fits("score_y", (n, d), score_y.dim())?;
        self.fits("score_x", (n, d), score_x.dim())?;
        let (x, score_y) = (dense2(&x), dense2(&score_y));
        self.call(cx, |call| {
            into2(&mut score_x, |out| {
                // SAFETY: as in `drift`.
                unsafe { f(self.object, call, n, d, x.as_ptr(), score_y.as_ptr(), out) }
            })
        })
    }
}

impl Cdf for Process {
    fn cdf(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView1<'_, f64>,
        x: ArrayView1<'_, f64>,
        mut p: ArrayViewMut1<'_, f64>,
    ) -> Result {
        let f = self.table.cdf.ok_or_else(|| self.lacks("cdf"))?;
        let n = r.len();
        self.fits("r", (n, 1), (r.len(), 1))?;
        self.fits("x", (n, 1), (x.len(), 1))?;
        self.fits("p", (n, 1), (p.len(), 1))?;
        let (r, x) = (dense1(&r), dense1(&x));
        self.call(cx, |call| {
            into1(&mut p, |out| {
                // SAFETY: as in `drift`.
                unsafe { f(self.object, call, n, s, t, r.as_ptr(), x.as_ptr(), out) }
            })
        })
    }

    fn quantile(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView1<'_, f64>,
        p: ArrayView1<'_, f64>,
        mut x: ArrayViewMut1<'_, f64>,
    ) -> Result {
        let f = self.table.quantile.ok_or_else(|| self.lacks("quantile"))?;
        let n = r.len();
        self.fits("r", (n, 1), (r.len(), 1))?;
        self.fits("p", (n, 1), (p.len(), 1))?;
        self.fits("x", (n, 1), (x.len(), 1))?;
        let (r, p) = (dense1(&r), dense1(&p));
        self.call(cx, |call| {
            into1(&mut x, |out| {
                // SAFETY: as in `drift`.
                unsafe { f(self.object, call, n, s, t, r.as_ptr(), p.as_ptr(), out) }
            })
        })
    }
}
