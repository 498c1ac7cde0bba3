//! Linear processes whose coordinates move independently: everything but the coefficients.
//!
//! dX = f(t) X dt + g(t) dW,   X_t | X_s ~ N(A X_s, S²),
//!
//! A(s, t) = exp ∫ₛᵗ f,   S²(s, t) = ∫ₛᵗ A(u, t)² g(u)² du,   f = ȧ/a,   g² = 2 σ σ̇ − 2 (ȧ/a) σ²
//!
//! with a(t) = A(0, t) and σ² = S²(0, t). A file of a process gives f, g², A and S² without
//! cancellation; with them come
//!
//! | | |
//! | --- | --- |
//! | forward map | x = A r + S z |
//! | restoration, E[x_s given x_t = x] by Tweedie's formula | r = (x + S² s(x, t)) / A |
//! | reference law | N(0, v), v of the process |

mod abilities;

use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, Zip};
use retrograde_core::{
    Cdf, Cx, DriftDivergence, DriftJvp, DriftVjp, Error, Form, ForwardMap, ForwardProcess,
    IntegralG2, Linear, Restore, Result, Times, Transition,
};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Times that lie outside [0, T] by less than this, relative to T, are rounding errors.
const SLACK: f64 = 1e-9;

/// The coefficients of one coordinate, for 0 ≤ s ≤ t ≤ T.
pub(crate) trait Coefficients: Send + Sync + 'static {
    /// T.
    fn t_end(&self) -> f64;

    /// f(t).
    fn rate(&self, t: f64) -> f64;

    /// g(t)².
    fn g2(&self, t: f64) -> f64;

    /// A(s, t) and S²(s, t), the latter without cancellation as s → t.
    fn kernel(&self, s: f64, t: f64) -> (f64, f64);

    /// ∫ₛᵗ g².
    fn integral_g2(&self, s: f64, t: f64) -> f64;

    /// The time at which σ/a is `level` > 0.
    fn time_of(&self, level: f64) -> f64;

    /// Variance of the reference law. The default is σ²(T), the law of noise alone.
    fn reference_variance(&self) -> f64 {
        self.kernel(0.0, self.t_end()).1
    }

    /// Whether f and g do not depend on t: then any times will do, negative ones too.
    fn autonomous(&self) -> bool {
        false
    }
}

/// A process of coefficients that are the same for all coordinates, or one each.
pub(crate) struct Separable<C> {
    name: &'static str,
    dim: usize,
    /// One, or d.
    each: Vec<C>,
}

impl<C: Coefficients> Separable<C> {
    /// The process `name` ("process vp") with the same coefficients in all of `dim` coordinates.
    pub(crate) fn shared(
        name: &'static str,
        dim: usize,
        coefficients: C,
    ) -> Arc<dyn ForwardProcess> {
        let each = vec![coefficients];
        Arc::new(Self { name, dim, each })
    }

    /// Coefficients for each coordinate, of the same T.
    pub(crate) fn diagonal(name: &'static str, each: Vec<C>) -> Arc<dyn ForwardProcess> {
        let dim = each.len();
        Arc::new(Self { name, dim, each })
    }

    fn first(&self) -> &C {
        &self.each[0]
    }

    /// Those of coordinate `j`.
    fn of(&self, j: usize) -> &C {
        &self.each[if self.each.len() == 1 { 0 } else { j }]
    }

    fn is_scalar(&self) -> bool {
        // In one dimension both forms are the same; the scalar one can do more.
        self.each.len() == 1
    }

    fn wrong(&self, argument: &str, given: String, allowed: String) -> Error {
        Error::Argument {
            component: self.name.into(),
            argument: argument.into(),
            given,
            allowed,
        }
    }

    /// A time in [0, T], rounding errors at the ends removed.
    fn time(&self, t: f64) -> Result<f64> {
        let end = self.first().t_end();
        if self.first().autonomous() && t.is_finite() {
            return Ok(t);
        }
        if t >= -SLACK * end && t <= end * (1.0 + SLACK) {
            return Ok(t.clamp(0.0, end));
        }
        Err(self.wrong("t", t.to_string(), format!("between 0 and {end}")))
    }

    /// Times s < t, or s ≤ t where noise need not be inverted.
    fn span(&self, s: f64, t: f64, strict: bool) -> Result<(f64, f64)> {
        let (s, t) = (self.time(s)?, self.time(t)?);
        if s < t || (s == t && !strict) {
            return Ok((s, t));
        }
        let allowed = format!("before t = {t}");
        Err(self.wrong("s", s.to_string(), allowed))
    }

    /// Writes c(t) v, c of each coordinate.
    fn scale(
        &self,
        t: Times<'_>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
        c: impl Fn(&C, f64) -> f64,
    ) -> Result {
        match t {
            Times::Shared(t) => {
                let t = self.time(t)?;
                self.by_coordinate(v, None, out, |k| (c(k, t), 0.0));
            }
            Times::PerRow(_) => {
                for (i, (v, mut out)) in v.outer_iter().zip(out.outer_iter_mut()).enumerate() {
                    let t = self.time(t.at(i))?;
                    if self.is_scalar() {
                        let c = c(self.first(), t);
                        Zip::from(&mut out).and(&v).for_each(|o, v| *o = c * v);
                    } else {
                        let each = self.each.iter();
                        let all = out.iter_mut().zip(v).zip(each);
                        all.for_each(|((o, v), k)| *o = c(k, t) * v);
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes p u, or p u + q v, with (p, q) of each coordinate.
    fn by_coordinate(
        &self,
        u: ArrayView2<'_, f64>,
        v: Option<ArrayView2<'_, f64>>,
        mut out: ArrayViewMut2<'_, f64>,
        c: impl Fn(&C) -> (f64, f64),
    ) {
        fn combine<D: ndarray::Dimension>(
            (p, q): (f64, f64),
            u: ndarray::ArrayView<'_, f64, D>,
            v: Option<ndarray::ArrayView<'_, f64, D>>,
            mut out: ndarray::ArrayViewMut<'_, f64, D>,
        ) {
            match v {
                None => Zip::from(&mut out).and(&u).for_each(|o, u| *o = p * u),
                Some(v) => Zip::from(&mut out)
                    .and(&u)
                    .and(&v)
                    .for_each(|o, u, v| *o = p * u + q * v),
            }
        }
        if self.is_scalar() {
            combine(c(self.first()), u, v, out);
            return;
        }
        for (j, k) in self.each.iter().enumerate() {
            let v = v.map(|v| v.index_axis_move(Axis(1), j));
            combine(c(k), u.column(j), v, out.column_mut(j));
        }
    }

    /// Writes log N(x; p r, q) and its gradient, with the centre's factor and the variance of each
    /// coordinate.
    fn gaussian(
        &self,
        x: ArrayView2<'_, f64>,
        r: Option<ArrayView2<'_, f64>>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
        c: impl Fn(&C) -> (f64, f64),
    ) {
        if let Some(mut l) = log_density {
            let log_2_pi = TAU.ln();
            if self.is_scalar() {
                let (p, variance) = c(self.first());
                let constant = self.dim as f64 * (variance.ln() + log_2_pi);
                for (i, (l, x)) in l.iter_mut().zip(x.outer_iter()).enumerate() {
                    let square: f64 = match r {
                        None => x.iter().map(|x| x * x).sum(),
                        Some(r) => {
                            let both = x.iter().zip(r.row(i));
                            both.map(|(x, r)| (x - p * r).powi(2)).sum()
                        }
                    };
                    *l = -0.5 * (square / variance + constant);
                }
            } else {
                l.fill(0.0);
                for (j, k) in self.each.iter().enumerate() {
                    let (p, variance) = c(k);
                    let constant = variance.ln() + log_2_pi;
                    for (i, (l, x)) in l.iter_mut().zip(x.column(j)).enumerate() {
                        let e = x - r.map_or(0.0, |r| p * r[(i, j)]);
                        *l -= 0.5 * (e * e / variance + constant);
                    }
                }
            }
        }
        if let Some(g) = gradient {
            self.by_coordinate(x, r, g, |k| {
                let (p, variance) = c(k);
                (-1.0 / variance, p / variance)
            });
        }
    }

    /// (A, S²) where S² must not vanish.
    fn noisy(&self, s: f64, t: f64) -> Result<(f64, f64)> {
        let (s, t) = self.span(s, t, true)?;
        if self.each.iter().all(|k| k.kernel(s, t).1 > 0.0) {
            return Ok((s, t));
        }
        let allowed = format!("far enough before t = {t} for noise to arise");
        Err(self.wrong("s", s.to_string(), allowed))
    }

    fn one_dimensional(&self, n: usize, others: [usize; 2]) -> Result {
        let [a, b] = others;
        if self.dim != 1 {
            let d = format!("dimension {}", self.dim);
            return Err(Error::shape(self.name, "the state", "dimension 1", d));
        }
        if a != n || b != n {
            let found = format!("{n}, {a} and {b}");
            return Err(Error::shape(
                self.name,
                "the lists",
                "the same length",
                found,
            ));
        }
        Ok(())
    }
}

impl<C: Coefficients> ForwardProcess for Separable<C> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn t_end(&self) -> f64 {
        self.first().t_end()
    }

    fn drift(
        &self,
        _cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        f: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.scale(t, x, f, C::rate)
    }

    fn apply_g(
        &self,
        _cx: &mut Cx<'_>,
        t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.scale(t, z, out, |k, t| k.g2(t).sqrt())
    }

    fn apply_ggt(
        &self,
        _cx: &mut Cx<'_>,
        t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.scale(t, v, out, C::g2)
    }

    fn reference_sample(&self, cx: &mut Cx<'_>, mut x: ArrayViewMut2<'_, f64>) -> Result {
        cx.fill_normal(x.view_mut());
        for j in 0..self.dim {
            let sd = self.of(j).reference_variance().sqrt();
            x.column_mut(j).mapv_inplace(|z| sd * z);
        }
        Ok(())
    }

    fn reference_eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        self.gaussian(x, None, log_density, gradient, |k| {
            (0.0, k.reference_variance())
        });
        Ok(())
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }

    fn transition(&self) -> Option<&dyn Transition> {
        Some(self)
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
        self.is_scalar().then_some(self as &dyn IntegralG2)
    }

    fn forward_map(&self) -> Option<&dyn ForwardMap> {
        Some(self)
    }

    fn restore(&self) -> Option<&dyn Restore> {
        Some(self)
    }

    fn cdf(&self) -> Option<&dyn Cdf> {
        (self.dim == 1).then_some(self as &dyn Cdf)
    }

    fn autonomous(&self) -> bool {
        self.first().autonomous()
    }
}

impl<C: Coefficients> Linear for Separable<C> {
    fn form(&self) -> Form {
        if self.is_scalar() {
            Form::Scalar
        } else {
            Form::Diagonal
        }
    }

    fn at(&self, t: f64, alpha: &mut [f64], covariance: &mut [f64]) {
        let all = alpha.iter_mut().zip(covariance).zip(&self.each);
        all.for_each(|((a, c), k)| (*a, *c) = k.kernel(0.0, t));
    }

    fn time_of(&self, sigma: f64, t_end: f64) -> Result<f64> {
        if !self.is_scalar() {
            return Err(self.wrong(
                "noise level",
                sigma.to_string(),
                "of a process whose coordinates are noised alike".into(),
            ));
        }
        let (a, c) = self.first().kernel(0.0, t_end);
        let high = c.sqrt() / a;
        // The end itself, up to the rounding of σ(t).
        if (sigma - high).abs() <= 1e-14 * high {
            return Ok(t_end);
        }
        if sigma == 0.0 {
            return Ok(0.0);
        }
        if sigma > 0.0 && sigma < high {
            return Ok(self.first().time_of(sigma).min(t_end));
        }
        let allowed = format!("between 0 (at t = 0) and {high} (at t = {t_end})");
        Err(self.wrong("noise level", sigma.to_string(), allowed))
    }
}
