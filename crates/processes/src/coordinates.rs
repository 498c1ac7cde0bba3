//! Processes of d independent, identical coordinates whose drift and noise do not depend on time.

use crate::normal;
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip};
use retrograde_core::{
    Cdf, ClosedMarginal, Cx, DivGgt, DriftDivergence, DriftJvp, DriftVjp, Error, Flag, ForwardMap,
    ForwardProcess, IntegralG2, Result, Stream, Times, Transition,
};

/// A scalar diffusion dx = f(x) dt + √D(x) dW.
pub(crate) trait Coordinate: Send + Sync + 'static {
    /// Whether D does not depend on x.
    const CONSTANT_NOISE: bool;

    /// f.
    fn drift(&self, x: f64) -> f64;
    /// f′.
    fn drift_slope(&self, x: f64) -> f64;
    /// D ≥ 0; 0 outside of the support.
    fn noise(&self, x: f64) -> f64;
    /// D′; 0 where the noise is constant.
    fn noise_slope(&self, _x: f64) -> f64 {
        0.0
    }
    /// Log density of the reference law and its slope; −∞ and 0 outside of the support.
    fn reference(&self, x: f64) -> (f64, f64);
    /// A draw of the reference law.
    fn draw(&self, rng: &mut Stream) -> f64;

    /// As of [`ForwardProcess`].
    fn support(&self) -> (f64, f64) {
        (f64::NEG_INFINITY, f64::INFINITY)
    }
    /// The transition kernel, where it is known.
    fn kernel(&self) -> Option<&dyn Kernel> {
        None
    }
    /// A map of state and noise.
    fn map(&self) -> Option<&dyn Map> {
        None
    }
    /// The distribution function, where it is known; then [`map`](Coordinate::map) is its inverse.
    fn tails(&self) -> Option<&dyn Tails> {
        None
    }
    /// As of [`ForwardProcess`].
    fn closed_marginal(&self) -> Option<&dyn ClosedMarginal> {
        None
    }
    /// As of [`ForwardProcess`].
    fn flags(&self) -> Vec<Flag> {
        Vec::new()
    }
}

/// The law of x given r, a time `dt` > 0 before.
pub(crate) trait Kernel {
    /// log p(x | r) and its slope in x.
    fn log_density(&self, dt: f64, r: f64, x: f64) -> (f64, f64);
    /// A draw.
    fn draw(&self, dt: f64, r: f64, rng: &mut Stream) -> f64;
}

/// x as a function of r and a standard normal z.
pub(crate) trait Map {
    /// x from r and z.
    fn to(&self, dt: f64, r: f64, z: f64) -> f64;
    /// z from r and x.
    fn noise_of(&self, dt: f64, r: f64, x: f64) -> f64;
}

/// ln P(· ≤ x) and ln P(· > x), given r a time `dt` before.
pub(crate) trait Tails {
    /// The two.
    fn tails(&self, dt: f64, r: f64, x: f64) -> (f64, f64);
}

/// d coordinates.
pub(crate) struct Independent<C> {
    pub(crate) law: C,
    pub(crate) dim: usize,
    pub(crate) t_end: f64,
}

/// That t − s is positive.
///
/// # Errors
/// [`Error::Argument`].
pub(crate) fn later(component: &str, s: f64, t: f64) -> Result<f64> {
    if t > s && (t - s).is_finite() {
        return Ok(t - s);
    }
    Err(Error::Argument {
        component: component.into(),
        argument: "t".into(),
        given: t.to_string(),
        allowed: format!("later than s = {s}"),
    })
}

fn map2(x: &ArrayView2<'_, f64>, mut out: ArrayViewMut2<'_, f64>, f: impl Fn(f64) -> f64) {
    Zip::from(&mut out).and(x).for_each(|o, x| *o = f(*x));
}

fn map3(
    x: &ArrayView2<'_, f64>,
    z: &ArrayView2<'_, f64>,
    mut out: ArrayViewMut2<'_, f64>,
    f: impl Fn(f64, f64) -> f64,
) {
    Zip::from(&mut out)
        .and(x)
        .and(z)
        .for_each(|o, x, z| *o = f(*x, *z));
}

impl<C: Coordinate> ForwardProcess for Independent<C> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn t_end(&self) -> f64 {
        self.t_end
    }

    fn drift(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        f: ArrayViewMut2<'_, f64>,
    ) -> Result {
        map2(&x, f, |x| self.law.drift(x));
        Ok(())
    }

    fn apply_g(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        map3(&x, &z, out, |x, z| self.law.noise(x).sqrt() * z);
        Ok(())
    }

    fn apply_ggt(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        map3(&x, &v, out, |x, v| self.law.noise(x) * v);
        Ok(())
    }

    fn reference_sample(&self, cx: &mut Cx<'_>, x: ArrayViewMut2<'_, f64>) -> Result {
        let streams = cx.row_streams();
        cx.rows(x.nrows(), x, |_, range, mut x| {
            for (row, mut x) in range.zip(x.rows_mut()) {
                let mut rng = streams(row);
                x.iter_mut().for_each(|x| *x = self.law.draw(&mut rng));
            }
            Ok(())
        })
    }

    fn reference_eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        if let Some(mut l) = log_density {
            for (l, x) in l.iter_mut().zip(x.rows()) {
                *l = x.iter().map(|x| self.law.reference(*x).0).sum();
            }
        }
        if let Some(g) = gradient {
            map2(&x, g, |x| self.law.reference(x).1);
        }
        Ok(())
    }

    fn div_ggt(&self) -> Option<&dyn DivGgt> {
        (!C::CONSTANT_NOISE).then_some(self)
    }

    fn transition(&self) -> Option<&dyn Transition> {
        self.law.kernel().map(|_| self as &dyn Transition)
    }

    fn drift_vjp(&self) -> Option<&dyn DriftVjp> {
        Some(self)
    }

    fn drift_jvp(&self) -> Option<&dyn DriftJvp> {
        Some(self)
    }

    fn drift_divergence(&self) -> Option<&dyn DriftDivergence> {
        Some(self)
    }

    fn integral_g2(&self) -> Option<&dyn IntegralG2> {
        C::CONSTANT_NOISE.then_some(self)
    }

    fn forward_map(&self) -> Option<&dyn ForwardMap> {
        self.law.map().map(|_| self as &dyn ForwardMap)
    }

    fn cdf(&self) -> Option<&dyn Cdf> {
        (self.dim == 1 && self.law.tails().is_some()).then_some(self)
    }

    fn closed_marginal(&self) -> Option<&dyn ClosedMarginal> {
        self.law.closed_marginal()
    }

    fn support(&self) -> (f64, f64) {
        self.law.support()
    }

    fn autonomous(&self) -> bool {
        true
    }

    fn flags(&self) -> Vec<Flag> {
        self.law.flags()
    }
}

impl<C: Coordinate> IntegralG2 for Independent<C> {
    fn integral_g2(&self, s: f64, t: f64) -> f64 {
        self.law.noise(0.0) * (t - s)
    }
}

impl<C: Coordinate> DivGgt for Independent<C> {
    fn div_ggt(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        map2(&x, out, |x| self.law.noise_slope(x));
        Ok(())
    }
}

impl<C: Coordinate> DriftVjp for Independent<C> {
    fn drift_vjp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        u: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        // The Jacobian is diagonal.
        DriftJvp::drift_jvp(self, cx, t, x, u, out)
    }
}

impl<C: Coordinate> DriftJvp for Independent<C> {
    fn drift_jvp(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        map3(&x, &v, out, |x, v| self.law.drift_slope(x) * v);
        Ok(())
    }
}

impl<C: Coordinate> DriftDivergence for Independent<C> {
    fn drift_divergence(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        for (o, x) in out.iter_mut().zip(x.rows()) {
            *o = x.iter().map(|x| self.law.drift_slope(*x)).sum();
        }
        Ok(())
    }
}

fn lacks(what: &str) -> Error {
    Error::Missing {
        component: "the caller".into(),
        needed: what.into(),
        holder: "the process".into(),
        advice: "choose a process that has one".into(),
    }
}

impl<C: Coordinate> Transition for Independent<C> {
    fn sample(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        xs: ArrayView2<'_, f64>,
        xt: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let dt = later("transition", s, t)?;
        let streams = cx.row_streams();
        cx.rows(xs.nrows(), (xs, xt), |_, range, (xs, mut xt)| {
            let kernel = self.law.kernel().ok_or_else(|| lacks("a transition"))?;
            for ((row, xs), mut xt) in range.zip(xs.rows()).zip(xt.rows_mut()) {
                let mut rng = streams(row);
                for (x, r) in xt.iter_mut().zip(xs) {
                    *x = kernel.draw(dt, *r, &mut rng);
                }
            }
            Ok(())
        })
    }

    fn score(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        xs: ArrayView2<'_, f64>,
        xt: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let dt = later("transition", s, t)?;
        let parts = (xs, xt, log_density, gradient);
        cx.rows(xs.nrows(), parts, |_, _, (xs, xt, mut l, mut g)| {
            let kernel = self.law.kernel().ok_or_else(|| lacks("a transition"))?;
            for i in 0..xs.nrows() {
                let mut sum = 0.0;
                for j in 0..xs.ncols() {
                    let (value, slope) = kernel.log_density(dt, xs[(i, j)], xt[(i, j)]);
                    sum += value;
                    if let Some(g) = &mut g {
                        g[(i, j)] = slope;
                    }
                }
                if let Some(l) = &mut l {
                    l[i] = sum;
                }
            }
            Ok(())
        })
    }
}

impl<C: Coordinate> Independent<C> {
    fn by_map(
        &self,
        cx: &mut Cx<'_>,
        (s, t): (f64, f64),
        r: ArrayView2<'_, f64>,
        from: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
        f: impl Fn(&dyn Map, f64, f64, f64) -> f64 + Sync,
    ) -> Result {
        let dt = later("forward map", s, t)?;
        cx.rows(r.nrows(), (r, from, out), |_, _, (r, from, out)| {
            let map = self.law.map().ok_or_else(|| lacks("a forward map"))?;
            map3(&r, &from, out, |r, v| f(map, dt, r, v));
            Ok(())
        })
    }
}

impl<C: Coordinate> ForwardMap for Independent<C> {
    fn forward_map(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        x: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.by_map(cx, (s, t), r, z, x, |map, dt, r, z| map.to(dt, r, z))
    }

    fn solve_noise(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView2<'_, f64>,
        x: ArrayView2<'_, f64>,
        z: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.by_map(cx, (s, t), r, x, z, |map, dt, r, x| map.noise_of(dt, r, x))
    }
}

impl<C: Coordinate> Cdf for Independent<C> {
    fn cdf(
        &self,
        _cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView1<'_, f64>,
        x: ArrayView1<'_, f64>,
        mut p: ArrayViewMut1<'_, f64>,
    ) -> Result {
        let dt = later("distribution function", s, t)?;
        let tails = self
            .law
            .tails()
            .ok_or_else(|| lacks("a distribution function"))?;
        for (i, p) in p.iter_mut().enumerate() {
            *p = tails.tails(dt, r[i], x[i]).0.exp();
        }
        Ok(())
    }

    fn quantile(
        &self,
        _cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView1<'_, f64>,
        p: ArrayView1<'_, f64>,
        mut x: ArrayViewMut1<'_, f64>,
    ) -> Result {
        let dt = later("quantiles", s, t)?;
        let map = self.law.map().ok_or_else(|| lacks("quantiles"))?;
        for (i, x) in x.iter_mut().enumerate() {
            *x = map.to(dt, r[i], normal::quantile(p[i]));
        }
        Ok(())
    }
}

/// That `value` is positive and finite, as `key` of `component`.
///
/// # Errors
/// [`Error::Setting`].
pub(crate) fn positive(component: &str, key: &str, value: f64) -> Result<f64> {
    if value > 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(Error::setting(
        component,
        key,
        value,
        "a finite number above 0",
    ))
}
