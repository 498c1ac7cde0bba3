//! A process whose reverse runs start at given points.

use crate::{
    Cdf, ClosedMarginal, Cx, DivGgt, DriftDivergence, DriftJvp, DriftVjp, Error, Flag, ForwardMap,
    ForwardProcess, IntegralG2, Linear, Restore, Result, Times, Traits, Transition, Warp,
};
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use std::sync::Arc;

/// A process with given rows in the place of draws of its reference law, all else as it is: to take
/// points through a sampler, or to start two samplers at the same ones.
pub struct StartedAt {
    process: Arc<dyn ForwardProcess>,
    points: Array2<f64>,
    log_density: Array1<f64>,
}

impl std::fmt::Debug for StartedAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StartedAt")
            .field("points", &self.points.dim())
            .finish_non_exhaustive()
    }
}

impl StartedAt {
    /// Runs of n draws start at the `points` (n × d), whose log density at T is `log_density` (n).
    pub fn new(
        process: Arc<dyn ForwardProcess>,
        points: Array2<f64>,
        log_density: Array1<f64>,
    ) -> Self {
        Self {
            process,
            points,
            log_density,
        }
    }

    fn check(&self, rows: usize) -> Result {
        if rows == self.points.nrows() {
            return Ok(());
        }
        Err(Error::shape(
            "a process started at given points",
            "points",
            format!("{} rows", self.points.nrows()),
            format!("{rows} rows"),
        ))
    }
}

macro_rules! delegate {
    ($($name:ident: $ability:ident),* $(,)?) => {$(
        fn $name(&self) -> Option<&dyn $ability> {
            self.process.$name()
        }
    )*};
}

impl ForwardProcess for StartedAt {
    fn dim(&self) -> usize {
        self.process.dim()
    }

    fn noise_dim(&self) -> usize {
        self.process.noise_dim()
    }

    fn t_end(&self) -> f64 {
        self.process.t_end()
    }

    fn traits(&self) -> Traits {
        self.process.traits()
    }

    fn support(&self) -> (f64, f64) {
        self.process.support()
    }

    fn autonomous(&self) -> bool {
        self.process.autonomous()
    }

    fn g_constant_in_x(&self) -> bool {
        self.process.g_constant_in_x()
    }

    fn flags(&self) -> Vec<Flag> {
        self.process.flags()
    }

    delegate! {
        div_ggt: DivGgt, linear: Linear, transition: Transition, drift_vjp: DriftVjp,
        drift_jvp: DriftJvp, drift_divergence: DriftDivergence, integral_g2: IntegralG2,
        forward_map: ForwardMap, restore: Restore, warp: Warp, cdf: Cdf,
        closed_marginal: ClosedMarginal,
    }

    fn drift(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        f: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.process.drift(cx, t, x, f)
    }

    fn apply_g(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.process.apply_g(cx, t, x, z, out)
    }

    fn apply_ggt(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.process.apply_ggt(cx, t, x, v, out)
    }

    fn reference_sample(&self, _cx: &mut Cx<'_>, mut x: ArrayViewMut2<'_, f64>) -> Result {
        self.check(x.nrows())?;
        x.assign(&self.points);
        Ok(())
    }

    fn reference_eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        if let Some(mut l) = log_density {
            self.check(l.len())?;
            l.assign(&self.log_density);
        }
        match gradient {
            Some(_) => self.process.reference_eval(cx, x, None, gradient),
            None => Ok(()),
        }
    }
}
