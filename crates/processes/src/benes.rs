//! Beneš processes: Brownian motion under Doob's transform by h, with a bounded non-linear drift.
//!
//! dX = ∇log h(X, t) dt + dW,   h(x, t) = Σᵢ wᵢ exp(aᵢ·x − |aᵢ|² t/2),   ∇log h = Σᵢ πᵢ(x, t) aᵢ
//!
//! with π the softmax of ln wᵢ + aᵢ·x − |aᵢ|² t/2. In one dimension with ±a: f = a tanh(ax).
//!
//! | | closed form |
//! | --- | --- |
//! | kernel | h(x, t) N(x; r, τ)/h(r, s) = Σᵢ πᵢ(r, s) N(x; r + τaᵢ, τI), τ = t − s |
//! | marginal | q_t = h(·, t) ρ_t / Z for data q_0 = h(·, 0) ρ_0 / Z, ρ_t = ρ_0 ∗ N(0, tI); Z = ∫ h(x, t) ρ_t(x) dx is the same at all t |
//! | E[x_{t−l} given x_t = x] | x + l(s − ∇log h): the posterior is that of Brownian motion |
//! | reference law | q_T for ρ_0 = N(0, spread² I): Σᵢ ∝ wᵢ exp(spread² \|aᵢ\|²/2) N((spread² + T) aᵢ, (spread² + T) I) |
//!
//! Data points (a mixture without width) are the case ρ_0 = Σ wₖ/h(xₖ, 0) δ(xₖ).
//!
//! As a map of a noise z, in one dimension, it is that of quantiles: F(x | r) = Φ(z).
//!
//! Source: Beneš (1981), Stochastics 5, 65; Rogers & Williams (2000), Diffusions, Markov Processes and
//! Martingales 2, §IV.39.

use crate::coordinates::{later, positive};
use crate::noised::Noised;
use crate::normal;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cdf, ClosedMarginal, Cx, DriftDivergence, DriftJvp, DriftVjp, Error, ExactSampler, Flag,
    ForwardMap, ForwardProcess, GaussianMixture, IntegralG2, Law, Marginal, Restore, Result,
    Severity, Target, Tilt, Times, Transition, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::sync::Arc;

#[cfg(test)]
mod tests;

const NAME: &str = "process benes";

/// Settings, as written under `[process]` with `kind = "benes"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Benes {
    /// Directions aᵢ: lists of d numbers. By default those of the target, if it is a tilted mixture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directions: Option<Vec<Vec<f64>>>,
    /// Weights wᵢ > 0, of any sum, one for each direction; all equal by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    /// Standard deviation, ≥ 0, of the data that the reference law is made for.
    #[schemars(range(min = 0.0))]
    pub spread: f64,
    /// Time T, > 0, at which the reference law is taken to hold. It is approximate: it forgets the data
    /// only as far as T is large against their variances.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub t_end: f64,
}

impl Default for Benes {
    fn default() -> Self {
        Self {
            directions: None,
            weights: None,
            spread: 1.0,
            t_end: 10.0,
        }
    }
}

impl Build<dyn ForwardProcess> for Benes {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        let target = parts.require_target(NAME)?;
        let d = target.dim();
        let tilt = match (&self.directions, target.law()) {
            (Some(directions), _) => tilt(directions, self.weights.as_deref(), d)?,
            (None, Some(Law::Tilted { tilt, .. })) if self.weights.is_none() => tilt.clone(),
            (None, _) => {
                let allowed = "given: the target has no tilt to take them from";
                return Err(Error::setting(NAME, "directions", "missing", allowed));
            }
        };
        Ok(Arc::new(Doob::new(tilt, self.spread, self.t_end)?))
    }
}

fn tilt(directions: &[Vec<f64>], weights: Option<&[f64]>, d: usize) -> Result<Tilt> {
    if let Some(i) = directions.iter().position(|a| a.len() != d) {
        let given = format!("a list of {} numbers", directions[i].len());
        let allowed = format!("a list of {d} (the dimension)");
        return Err(Error::setting(
            NAME,
            format!("directions[{i}]"),
            given,
            allowed,
        ));
    }
    let k = directions.len();
    let table = Array2::from_shape_fn((k, d), |(i, j)| directions[i][j]);
    let weights = weights.map_or_else(|| Array1::ones(k), |w| w.to_vec().into());
    Tilt::new(weights, table).map_err(|e| match e {
        Error::Argument {
            argument,
            given,
            allowed,
            ..
        } => Error::setting(NAME, argument, given, allowed),
        other => other,
    })
}

#[derive(Clone)]
struct Doob {
    tilt: Tilt,
    t_end: f64,
    reference: GaussianMixture,
    /// All |aᵢ|² are equal, so that ∇log h does not depend on t.
    autonomous: bool,
}

impl Doob {
    fn new(tilt: Tilt, spread: f64, t_end: f64) -> Result<Self> {
        positive(NAME, "t_end", t_end)?;
        if !(spread >= 0.0 && (spread * spread).is_finite()) {
            return Err(Error::setting(
                NAME,
                "spread",
                spread,
                "a finite number ≥ 0",
            ));
        }
        let (s2, a) = (spread * spread, tilt.directions());
        let squares: Vec<f64> = a.outer_iter().map(|a| a.dot(&a)).collect();
        let logs: Vec<f64> = tilt
            .log_weights()
            .iter()
            .zip(&squares)
            .map(|(w, a2)| w + 0.5 * s2 * a2)
            .collect();
        let most = logs.iter().fold(f64::NEG_INFINITY, |m, l| m.max(*l));
        // A direction that has no weight beside the others stays as the least that is a number.
        let weights = logs.iter().map(|l| (l - most).max(-700.0).exp()).collect();
        let variance = s2 + t_end;
        let reference = GaussianMixture::isotropic(
            weights,
            a * variance,
            Array1::from_elem(squares.len(), variance),
        )
        .map_err(|e| Error::setting(NAME, "directions", e, "of moderate length"))?;
        let largest = squares.iter().fold(0.0f64, |m, v| m.max(*v));
        let autonomous = squares
            .iter()
            .all(|v| (v - squares[0]).abs() <= 1e-14 * largest);
        Ok(Self {
            tilt,
            t_end,
            reference,
            autonomous,
        })
    }

    /// Writes ∇log h for each row.
    fn log_gradient(
        &self,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        cx: &mut Cx<'_>,
        mut f: ArrayViewMut2<'_, f64>,
    ) {
        let d = self.dim();
        let mut buffer = cx.take(2 * d);
        let (at, out) = buffer.split_at_mut(d);
        for (i, (x, mut f)) in x.rows().into_iter().zip(f.rows_mut()).enumerate() {
            at.iter_mut().zip(x).for_each(|(a, x)| *a = *x);
            self.tilt.eval(at, t.at(i), Some(out));
            f.iter_mut().zip(out.iter()).for_each(|(f, o)| *f = *o);
        }
        cx.give(buffer);
    }

    /// Calls `work` with the weights πᵢ(x, t) and the row's number, for each row.
    fn each_pi(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut work: impl FnMut(usize, &[f64]),
    ) {
        let (a, k) = (self.tilt.directions(), self.tilt.log_weights());
        let mut pi = cx.take(k.len());
        for (row, x) in x.rows().into_iter().enumerate() {
            let time = t.at(row);
            for ((p, a), w) in pi.iter_mut().zip(a.outer_iter()).zip(k) {
                let half: f64 = 0.5 * a.iter().map(|a| a * a).sum::<f64>();
                let dot: f64 = a.iter().zip(x).map(|(a, x)| a * x).sum();
                *p = w + dot - time * half;
            }
            retrograde_core::numeric::softmax_in_place(&mut pi);
            work(row, &pi);
        }
        cx.give(pi);
    }

    /// ln P(x_t ≤ x | r) and ln P(x_t > x | r) in one dimension.
    fn tails(&self, s: f64, t: f64, r: f64, x: f64) -> (f64, f64) {
        let (dt, a) = (t - s, self.tilt.directions().column(0));
        let root = dt.sqrt();
        // ln πᵢ(r, s), and the tails of the components, summed by their logarithms as they come.
        let h = self.tilt.eval(&[r], s, None);
        let (mut lower, mut upper) = (Sum::default(), Sum::default());
        for (a, w) in a.iter().zip(self.tilt.log_weights()) {
            let pi = w + a * r - 0.5 * s * a * a - h;
            let z = (x - r - a * dt) / root;
            lower.add(pi + normal::log_cdf(z));
            upper.add(pi + normal::log_cdf(-z));
        }
        (lower.ln().min(0.0), upper.ln().min(0.0))
    }

    fn quantile(&self, s: f64, t: f64, r: f64, z: f64) -> f64 {
        if !(r.is_finite() && z.is_finite()) {
            return f64::NAN;
        }
        let dt = t - s;
        let mut f = [0.0];
        self.tilt.eval(&[r], s, Some(&mut f));
        normal::invert(z, f64::NEG_INFINITY, r + f[0] * dt, dt.sqrt(), |x| {
            self.tails(s, t, r, x)
        })
    }
}

/// ln Σ exp of terms as they come.
#[derive(Default)]
struct Sum(Option<(f64, f64)>);

impl Sum {
    fn add(&mut self, l: f64) {
        self.0 = Some(match self.0 {
            None => (l, 1.0),
            Some((most, sum)) if l <= most => (most, sum + (l - most).exp()),
            Some((most, sum)) => (l, 1.0 + sum * (most - l).exp()),
        });
    }

    fn ln(&self) -> f64 {
        self.0
            .map_or(f64::NEG_INFINITY, |(most, sum)| most + sum.ln())
    }
}

impl ForwardProcess for Doob {
    fn dim(&self) -> usize {
        self.tilt.dim()
    }

    fn t_end(&self) -> f64 {
        self.t_end
    }

    fn drift(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        f: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.log_gradient(t, x, cx, f);
        Ok(())
    }

    fn apply_g(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        out.assign(&z);
        Ok(())
    }

    fn apply_ggt(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        out.assign(&v);
        Ok(())
    }

    fn reference_sample(&self, cx: &mut Cx<'_>, x: ArrayViewMut2<'_, f64>) -> Result {
        self.reference.sample(cx, x)
    }

    fn reference_eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        self.reference.eval(cx, x, log_density, gradient)
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
        Some(self)
    }

    fn forward_map(&self) -> Option<&dyn ForwardMap> {
        (self.dim() == 1).then_some(self)
    }

    fn restore(&self) -> Option<&dyn Restore> {
        Some(self)
    }

    fn cdf(&self) -> Option<&dyn Cdf> {
        (self.dim() == 1).then_some(self)
    }

    fn closed_marginal(&self) -> Option<&dyn ClosedMarginal> {
        Some(self)
    }

    fn autonomous(&self) -> bool {
        self.autonomous
    }

    fn flags(&self) -> Vec<Flag> {
        let text = format!(
            "the reference law of the process benes is that of data N(0, spread² I) tilted by h, not of \
             these data: it is near it where T = {} is large against their variances",
            self.t_end
        );
        let advice = "a larger `t_end`, or a `spread` near that of the data";
        vec![Flag::new(
            Severity::Note,
            "approximate-reference",
            text,
            advice,
        )]
    }
}

impl IntegralG2 for Doob {
    fn integral_g2(&self, s: f64, t: f64) -> f64 {
        t - s
    }
}

impl DriftDivergence for Doob {
    /// Σᵢ πᵢ |aᵢ|² − |Σᵢ πᵢ aᵢ|².
    fn drift_divergence(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        let a = self.tilt.directions();
        self.each_pi(cx, t, x, |row, pi| {
            let mut sum = 0.0;
            for column in a.columns() {
                let mean: f64 = pi.iter().zip(column).map(|(p, a)| p * a).sum();
                sum += pi
                    .iter()
                    .zip(column)
                    .map(|(p, a)| p * (a - mean) * (a - mean))
                    .sum::<f64>();
            }
            out[row] = sum;
        });
        Ok(())
    }
}

impl DriftJvp for Doob {
    /// Σᵢ πᵢ (aᵢ·v − Σⱼ πⱼ aⱼ·v) aᵢ: a covariance, and so symmetric.
    fn drift_jvp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let a = self.tilt.directions();
        self.each_pi(cx, t, x, |row, pi| {
            let dot =
                |a: ArrayView1<'_, f64>| a.iter().zip(v.row(row)).map(|(a, v)| a * v).sum::<f64>();
            let mean: f64 = pi.iter().zip(a.outer_iter()).map(|(p, a)| p * dot(a)).sum();
            let mut out = out.row_mut(row);
            out.fill(0.0);
            for (p, a) in pi.iter().zip(a.outer_iter()) {
                out.scaled_add(p * (dot(a) - mean), &a);
            }
        });
        Ok(())
    }
}

impl DriftVjp for Doob {
    fn drift_vjp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        u: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        DriftJvp::drift_jvp(self, cx, t, x, u, out)
    }
}

impl Transition for Doob {
    fn sample(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        xs: ArrayView2<'_, f64>,
        mut xt: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let dt = later(NAME, s, t)?;
        let (n, root) = (xs.nrows(), dt.sqrt());
        let mut buffer = cx.take(n);
        let mut u = ArrayViewMut1::from(&mut buffer[..]);
        cx.fill_uniform_1(u.view_mut());
        cx.fill_normal(xt.view_mut());
        let a = self.tilt.directions();
        self.each_pi(cx, Times::Shared(s), xs, |row, pi| {
            let (mut sum, mut k) = (pi[0], 0);
            while sum <= u[row] && k + 1 < pi.len() {
                k += 1;
                sum += pi[k];
            }
            for (j, x) in xt.row_mut(row).iter_mut().enumerate() {
                *x = xs[(row, j)] + a[(k, j)] * dt + root * *x;
            }
        });
        cx.give(buffer);
        Ok(())
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
        let (dt, d) = (later(NAME, s, t)?, self.dim());
        let constant = -0.5 * d as f64 * (TAU * dt).ln();
        let mut buffer = cx.take(2 * d);
        let (at, f) = buffer.split_at_mut(d);
        for (i, (r, x)) in xs.rows().into_iter().zip(xt.rows()).enumerate() {
            at.iter_mut().zip(r).for_each(|(a, r)| *a = *r);
            let before = self.tilt.eval(at, s, None);
            at.iter_mut().zip(x).for_each(|(a, x)| *a = *x);
            let after = self.tilt.eval(at, t, Some(f));
            if let Some(l) = &mut log_density {
                let square: f64 = r.iter().zip(x).map(|(r, x)| (x - r) * (x - r)).sum();
                l[i] = after - before + constant - 0.5 * square / dt;
            }
            if let Some(g) = &mut gradient {
                for j in 0..d {
                    g[(i, j)] = f[j] - (x[j] - r[j]) / dt;
                }
            }
        }
        cx.give(buffer);
        Ok(())
    }
}

impl Restore for Doob {
    fn restore(
        &self,
        cx: &mut Cx<'_>,
        t: f64,
        back: f64,
        x: ArrayView2<'_, f64>,
        score: ArrayView2<'_, f64>,
        mut r: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.log_gradient(Times::Shared(t), x, cx, r.view_mut());
        ndarray::Zip::from(&mut r)
            .and(&x)
            .and(&score)
            .for_each(|r, x, s| *r = back.mul_add(s - *r, *x));
        Ok(())
    }
}

impl ForwardMap for Doob {
    fn forward_map(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        x: ArrayViewMut2<'_, f64>,
    ) -> Result {
        later(NAME, s, t)?;
        cx.rows(r.nrows(), (r, z, x), |_, _, (r, z, mut x)| {
            ndarray::Zip::from(&mut x)
                .and(&r)
                .and(&z)
                .for_each(|x, r, z| *x = self.quantile(s, t, *r, *z));
            Ok(())
        })
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
        later(NAME, s, t)?;
        cx.rows(r.nrows(), (r, x, z), |_, _, (r, x, mut z)| {
            ndarray::Zip::from(&mut z)
                .and(&r)
                .and(&x)
                .for_each(|z, r, x| {
                    let (lower, upper) = self.tails(s, t, *r, *x);
                    *z = normal::quantile_of_tails(lower, upper);
                });
            Ok(())
        })
    }
}

impl Cdf for Doob {
    fn cdf(
        &self,
        _cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView1<'_, f64>,
        x: ArrayView1<'_, f64>,
        mut p: ArrayViewMut1<'_, f64>,
    ) -> Result {
        later(NAME, s, t)?;
        for (i, p) in p.iter_mut().enumerate() {
            *p = self.tails(s, t, r[i], x[i]).0.exp();
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
        later(NAME, s, t)?;
        for (i, x) in x.iter_mut().enumerate() {
            *x = Doob::quantile(self, s, t, r[i], normal::quantile(p[i]));
        }
        Ok(())
    }
}

impl ClosedMarginal for Doob {
    fn marginal(&self, law: Law<'_>) -> Result<Option<Arc<dyn Marginal>>> {
        let wrong = |argument: &str, given: String, allowed: String| Error::Argument {
            component: NAME.into(),
            argument: argument.into(),
            given,
            allowed,
        };
        let base = match law {
            Law::Tilted { tilt, base } => {
                if *tilt != self.tilt {
                    let allowed = "that of the process; leave `directions` out to have it";
                    return Err(wrong("tilt of the data", "another".into(), allowed.into()));
                }
                base.clone()
            }
            Law::Mixture(points) if !points.has_density() => {
                if Target::dim(points) != self.dim() {
                    let given = Target::dim(points).to_string();
                    return Err(wrong(
                        "dimension of the data",
                        given,
                        self.dim().to_string(),
                    ));
                }
                let logs: Vec<f64> = points
                    .means()
                    .outer_iter()
                    .zip(points.weights())
                    .map(|(x, w)| w.ln() - self.tilt.eval(&x.to_vec(), 0.0, None))
                    .collect();
                let most = logs.iter().fold(f64::NEG_INFINITY, |m, l| m.max(*l));
                let weights: Array1<f64> = logs.iter().map(|l| (l - most).exp()).collect();
                if weights.iter().any(|w| !w.is_normal()) {
                    let given = "so far apart along the directions that weights underflow";
                    return Err(wrong("data", given.into(), "nearer".into()));
                }
                GaussianMixture::points(weights, points.means().clone())?
            }
            _ => return Ok(None),
        };
        let base = base.with_log_scale(0.0)?;
        let log_z = self.tilt.apply(&base)?.1;
        Ok(Some(Arc::new(TiltedLaw {
            tilt: self.tilt.clone(),
            base: Noised::new(base),
            log_z,
        })))
    }

    fn closed_for(&self) -> &'static str {
        "a Gaussian mixture tilted by h, or data points"
    }
}

/// q_t = h(·, t) ρ_t / Z.
struct TiltedLaw {
    tilt: Tilt,
    base: Noised,
    log_z: f64,
}

impl Marginal for TiltedLaw {
    fn eval(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut score: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let (l, s) = (
            log_density.as_mut().map(|l| l.view_mut()),
            score.as_mut().map(|s| s.view_mut()),
        );
        self.base.eval(cx, t, x, l, s, |t| (1.0, t))?;
        let d = x.ncols();
        let mut buffer = cx.take(2 * d);
        let (at, g) = buffer.split_at_mut(d);
        for (i, x) in x.rows().into_iter().enumerate() {
            at.iter_mut().zip(x).for_each(|(a, x)| *a = *x);
            let h = self.tilt.eval(at, t.at(i), Some(g));
            if let Some(l) = &mut log_density {
                l[i] += h - self.log_z;
            }
            if let Some(s) = &mut score {
                s.row_mut(i)
                    .iter_mut()
                    .zip(g.iter())
                    .for_each(|(s, g)| *s += g);
            }
        }
        cx.give(buffer);
        Ok(())
    }
}

register! {
    process "benes" => Benes, needs TARGET,
        summary "Doob-transformed Brownian motion: non-linear bounded drift, everything in closed form",
        source "Beneš (1981), Stochastics 5, 65; Rogers & Williams (2000), §IV.39";
}
