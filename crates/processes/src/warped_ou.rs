//! Warped Ornstein–Uhlenbeck: the image x = φ(y) of a linear process under a diffeomorphism.
//!
//! dy = −½βy dt + √β dW, or dy = √β dW where `pull` is false;   y = ψ(x), φ = ψ⁻¹
//!
//! By Itô's formula, with J = ∂φ/∂y and D = β J Jᵀ:
//!
//! f = J b + ½β Δφ,   ∇·D = β Δφ − D ∇ₓ ln |det ∂ψ/∂x|,   s_x = (∂ψ/∂x)ᵀ s_y + ∇ₓ ln |det ∂ψ/∂x|
//!
//! The second since Σⱼ Jⱼₖ ∂/∂xⱼ = ∂/∂yₖ and tr(J⁻¹ ∂J/∂yₖ) = ∂ ln |det J|/∂yₖ. Hence the probability
//! flow is that of y, mapped: f − ½∇·D − ½D s_x = J(b − ½β s_y). In one dimension D = β/ψ′²,
//! f = b/ψ′ − ½β ψ″/ψ′³, ∇·D = −2β ψ″/ψ′³.
//!
//! Kernel x_t = φ(A ψ(r) + S z), A = e^{−βτ/2}, S² = 1 − A² (or A = 1, S² = βτ); marginals of the image of
//! a mixture are images of noised mixtures. Restoration is E[y_{t−l} given y_t], mapped back: exact in y.
//!
//! With ψ = log and no pull it is geometric Brownian motion of drift β/2.
//!
//! Source: Itô's formula and the change of variables (Øksendal 2003, Stochastic Differential Equations,
//! ch. 4).
//!
//! Outside of the domain of ψ (x ≤ 0 under `log` and `softplus`) drift and noise are those of the nearest
//! point inside, 10⁻¹⁵⁰; densities are 0 there, and their gradients are given as 0.

use crate::coordinates::{later, positive};
use crate::noised::Noised;
use crate::normal;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cdf, ClosedMarginal, Cx, DivGgt, Error, Flag, Form, ForwardMap, ForwardProcess,
    GaussianMixture, Law, Linear, Marginal, Restore, Result, Severity, Target, Times, Transition,
    Warp, WarpKind, WarpMap, WarpStep, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::sync::Arc;

mod image;
#[cfg(test)]
mod tests;

const NAME: &str = "process warped-ou";

/// Settings, as written under `[process]` with `kind = "warped-ou"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WarpedOu {
    /// The maps of y = ψ(x), the first one first. By default that of the target, if it is a warped
    /// mixture, else asinh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warp: Option<WarpMap>,
    /// Rate β, > 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub beta: f64,
    /// Whether y is pulled to 0. Without it y is a Brownian motion, and the reference law is approximate:
    /// that of data N(0, spread² I) in y.
    pub pull: bool,
    /// Without `pull`: standard deviation, ≥ 0, in y, of the data that the reference law is made for.
    #[schemars(range(min = 0.0))]
    pub spread: f64,
    /// Time T, > 0, at which the reference law holds.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub t_end: f64,
}

impl Default for WarpedOu {
    fn default() -> Self {
        Self {
            warp: None,
            beta: 1.0,
            pull: true,
            spread: 1.0,
            t_end: 10.0,
        }
    }
}

impl Build<dyn ForwardProcess> for WarpedOu {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        let target = parts.require_target(NAME)?;
        let map = match (&self.warp, target.law()) {
            (Some(map), _) => map.clone(),
            (None, Some(Law::Warped { warp, .. })) => warp.clone(),
            (None, _) => vec![WarpStep::new(WarpKind::Asinh)].into(),
        };
        Ok(Arc::new(Warped::new(map, &self, target.dim())?))
    }
}

/// The linear process y.
#[derive(Clone)]
struct Base {
    beta: f64,
    pull: bool,
}

impl Base {
    /// A and S² of the kernel over `dt`, which may be negative: the flow backwards.
    fn kernel(&self, dt: f64) -> (f64, f64) {
        if self.pull {
            ((-0.5 * self.beta * dt).exp(), -(-self.beta * dt).exp_m1())
        } else {
            (1.0, self.beta * dt)
        }
    }
}

impl Linear for Base {
    fn form(&self) -> Form {
        Form::Scalar
    }

    fn at(&self, t: f64, alpha: &mut [f64], covariance: &mut [f64]) {
        (alpha[0], covariance[0]) = self.kernel(t);
    }
}

struct Warped {
    map: Arc<WarpMap>,
    base: Base,
    dim: usize,
    support: (f64, f64),
    t_end: f64,
    /// Variance of y under the reference law.
    variance: f64,
}

impl Warped {
    fn new(map: WarpMap, settings: &WarpedOu, dim: usize) -> Result<Self> {
        map.check(dim, NAME, "warp")?;
        let beta = positive(NAME, "beta", settings.beta)?;
        let t_end = positive(NAME, "t_end", settings.t_end)?;
        let s2 = settings.spread * settings.spread;
        if !(settings.spread >= 0.0 && s2.is_finite()) {
            return Err(Error::setting(
                NAME,
                "spread",
                settings.spread,
                "a finite number ≥ 0",
            ));
        }
        Ok(Self {
            support: map.support(dim),
            map: Arc::new(map),
            base: Base {
                beta,
                pull: settings.pull,
            },
            dim,
            t_end,
            variance: if settings.pull {
                1.0
            } else {
                s2 + beta * t_end
            },
        })
    }

    /// Calls `work(row, x, y, out, scratch)` for each row of `x`, with y = ψ(x), and copies what it
    /// leaves in `out` (d numbers) to the row of `to`. `scratch` holds that of the map, and d numbers more
    /// before it.
    fn each(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut to: ArrayViewMut2<'_, f64>,
        mut work: impl FnMut(usize, &[f64], &[f64], &mut [f64], &mut [f64]),
    ) {
        let d = self.dim;
        let mut buffer = cx.take(4 * d + self.map.scratch_len(d));
        let (at, rest) = buffer.split_at_mut(d);
        let (y, rest) = rest.split_at_mut(d);
        let (out, scratch) = rest.split_at_mut(d);
        for (i, (x, mut to)) in x.rows().into_iter().zip(to.rows_mut()).enumerate() {
            at.iter_mut().zip(x).for_each(|(a, x)| *a = *x);
            self.map.forward(at, y);
            work(i, at, y, out, scratch);
            to.iter_mut().zip(out.iter()).for_each(|(t, o)| *t = *o);
        }
        cx.give(buffer);
    }
}

/// Copies a row into a slice.
fn copy(to: &mut [f64], from: ArrayView1<'_, f64>) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t = *f);
}

impl ForwardProcess for Warped {
    fn dim(&self) -> usize {
        self.dim
    }

    fn t_end(&self) -> f64 {
        self.t_end
    }

    fn drift(
        &self,
        cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        f: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (d, beta) = (self.dim, self.base.beta);
        let rate = if self.base.pull { -0.5 * beta } else { 0.0 };
        self.each(cx, x, f, |_, _, y, out, scratch| {
            let (b, scratch) = scratch.split_at_mut(d);
            b.iter_mut().zip(y).for_each(|(b, y)| *b = rate * y);
            self.map.push(y, b, out, scratch);
            self.map.laplacian(y, b, scratch);
            out.iter_mut()
                .zip(b.iter())
                .for_each(|(o, l)| *o += 0.5 * beta * l);
        });
        Ok(())
    }

    fn apply_g(
        &self,
        cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (d, g) = (self.dim, self.base.beta.sqrt());
        self.each(cx, x, out, |i, _, y, out, scratch| {
            let (v, scratch) = scratch.split_at_mut(d);
            v.iter_mut().zip(z.row(i)).for_each(|(v, z)| *v = g * z);
            self.map.push(y, v, out, scratch);
        });
        Ok(())
    }

    fn apply_ggt(
        &self,
        cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (d, beta) = (self.dim, self.base.beta);
        self.each(cx, x, out, |i, _, y, out, scratch| {
            let (u, scratch) = scratch.split_at_mut(d);
            copy(out, v.row(i));
            self.map.push_back(y, out, u, scratch);
            u.iter_mut().for_each(|u| *u *= beta);
            self.map.push(y, u, out, scratch);
        });
        Ok(())
    }

    fn reference_sample(&self, cx: &mut Cx<'_>, mut x: ArrayViewMut2<'_, f64>) -> Result {
        cx.fill_normal(x.view_mut());
        let (d, sd) = (self.dim, self.variance.sqrt());
        let mut buffer = cx.take(2 * d);
        let (y, at) = buffer.split_at_mut(d);
        for mut x in x.rows_mut() {
            y.iter_mut().zip(&x).for_each(|(y, z)| *y = sd * z);
            self.map.inverse(y, at);
            x.iter_mut().zip(at.iter()).for_each(|(x, a)| *x = *a);
        }
        cx.give(buffer);
        Ok(())
    }

    fn reference_eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let v = self.variance;
        let constant = -0.5 * self.dim as f64 * (TAU * v).ln();
        image::eval(cx, &self.map, x, log_density, gradient, |_, y, s| {
            s.iter_mut().zip(y).for_each(|(s, y)| *s = -y / v);
            constant - 0.5 * y.iter().map(|y| y * y).sum::<f64>() / v
        });
        Ok(())
    }

    fn div_ggt(&self) -> Option<&dyn DivGgt> {
        Some(self)
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(&self.base)
    }

    fn transition(&self) -> Option<&dyn Transition> {
        Some(self)
    }

    fn forward_map(&self) -> Option<&dyn ForwardMap> {
        Some(self)
    }

    fn restore(&self) -> Option<&dyn Restore> {
        Some(self)
    }

    fn warp(&self) -> Option<&dyn Warp> {
        Some(self)
    }

    fn cdf(&self) -> Option<&dyn Cdf> {
        (self.dim == 1).then_some(self)
    }

    fn closed_marginal(&self) -> Option<&dyn ClosedMarginal> {
        Some(self)
    }

    fn support(&self) -> (f64, f64) {
        self.support
    }

    fn autonomous(&self) -> bool {
        true
    }

    fn flags(&self) -> Vec<Flag> {
        if self.base.pull {
            return Vec::new();
        }
        let text = format!(
            "the reference law of the process warped-ou without pull is that of data N(0, spread² I) in y, \
             not of these data: it is near it where β T = {} is large against their variances in y",
            self.base.beta * self.t_end
        );
        let advice = "a larger `t_end`, a `spread` near that of the data, or `pull = true`";
        let key = "approximate-reference";
        vec![Flag::new(Severity::Note, key, text, advice)]
    }
}

impl DivGgt for Warped {
    fn div_ggt(
        &self,
        cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (d, beta) = (self.dim, self.base.beta);
        self.each(cx, x, out, |_, x, y, out, scratch| {
            let (u, scratch) = scratch.split_at_mut(d);
            u.fill(0.0);
            self.map.pull_score(x, u, out, scratch);
            self.map.push_back(y, out, u, scratch);
            self.map.push(y, u, out, scratch);
            self.map.laplacian(y, u, scratch);
            out.iter_mut()
                .zip(u.iter())
                .for_each(|(o, l)| *o = beta * (l - *o));
        });
        Ok(())
    }
}

impl Warp for Warped {
    fn warp(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut y: ArrayViewMut2<'_, f64>,
        mut log_det: Option<ArrayViewMut1<'_, f64>>,
    ) -> Result {
        let mut buffer = cx.take(2 * self.dim);
        let (at, to) = buffer.split_at_mut(self.dim);
        for (i, (x, mut y)) in x.rows().into_iter().zip(y.rows_mut()).enumerate() {
            copy(at, x);
            let l = self.map.forward(at, to);
            if let Some(all) = &mut log_det {
                all[i] = l;
            }
            y.iter_mut().zip(to.iter()).for_each(|(y, t)| *y = *t);
        }
        cx.give(buffer);
        Ok(())
    }

    fn unwarp(
        &self,
        cx: &mut Cx<'_>,
        y: ArrayView2<'_, f64>,
        mut x: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let mut buffer = cx.take(2 * self.dim);
        let (at, to) = buffer.split_at_mut(self.dim);
        for (y, mut x) in y.rows().into_iter().zip(x.rows_mut()) {
            copy(at, y);
            self.map.inverse(at, to);
            x.iter_mut().zip(to.iter()).for_each(|(x, t)| *x = *t);
        }
        cx.give(buffer);
        Ok(())
    }

    fn warp_score(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        score_y: ArrayView2<'_, f64>,
        score_x: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let d = self.dim;
        self.each(cx, x, score_x, |i, x, _, out, scratch| {
            let (s, scratch) = scratch.split_at_mut(d);
            copy(s, score_y.row(i));
            self.map.pull_score(x, s, out, scratch);
        });
        Ok(())
    }
}

impl Transition for Warped {
    fn sample(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        xs: ArrayView2<'_, f64>,
        xt: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (n, d) = xs.dim();
        let mut buffer = cx.take(n * d);
        let mut z = ArrayViewMut2::from_shape((n, d), &mut buffer[..]).expect("n d numbers");
        cx.fill_normal(z.view_mut());
        let outcome = ForwardMap::forward_map(self, cx, s, t, xs, z.view(), xt);
        cx.give(buffer);
        outcome
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
        let (a, v) = self.base.kernel(later(NAME, s, t)?);
        let constant = -0.5 * self.dim as f64 * (TAU * v).ln();
        let mut buffer = cx.take(2 * self.dim);
        let (at, from) = buffer.split_at_mut(self.dim);
        image::eval(cx, &self.map, xt, log_density, gradient, |i, y, score| {
            copy(at, xs.row(i));
            self.map.forward(at, from);
            let mut square = 0.0;
            for ((s, y), r) in score.iter_mut().zip(y).zip(from.iter()) {
                let e = y - a * r;
                square += e * e;
                *s = -e / v;
            }
            constant - 0.5 * square / v
        });
        cx.give(buffer);
        Ok(())
    }
}

impl ForwardMap for Warped {
    fn forward_map(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        x: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (a, v) = self.base.kernel(later(NAME, s, t)?);
        let root = v.sqrt();
        self.each(cx, r, x, |i, _, y, out, scratch| {
            let to = &mut scratch[..y.len()];
            for ((to, y), z) in to.iter_mut().zip(y).zip(z.row(i)) {
                *to = a.mul_add(*y, root * z);
            }
            self.map.inverse(to, out);
        });
        Ok(())
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
        let (a, v) = self.base.kernel(later(NAME, s, t)?);
        let root = v.sqrt();
        let d = self.dim;
        self.each(cx, r, z, |i, _, y, out, scratch| {
            let (at, rest) = scratch.split_at_mut(d);
            copy(at, x.row(i));
            let to = &mut rest[..d];
            self.map.forward(at, to);
            for ((z, to), y) in out.iter_mut().zip(to.iter()).zip(y) {
                *z = (to - a * y) / root;
            }
        });
        Ok(())
    }
}

impl Restore for Warped {
    fn restore(
        &self,
        cx: &mut Cx<'_>,
        _t: f64,
        back: f64,
        x: ArrayView2<'_, f64>,
        score: ArrayView2<'_, f64>,
        r: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (a, v) = self.base.kernel(back);
        let d = self.dim;
        self.each(cx, x, r, |i, x, y, out, scratch| {
            // s_y = J⁻ᵀ (s_x − ∇ ln |det J|), J = ∂ψ/∂x.
            let (u, scratch) = scratch.split_at_mut(d);
            u.fill(0.0);
            self.map.pull_score(x, u, out, scratch);
            out.iter_mut()
                .zip(score.row(i))
                .for_each(|(o, s)| *o = s - *o);
            self.map.push_back(y, out, u, scratch);
            u.iter_mut()
                .zip(y)
                .for_each(|(u, y)| *u = v.mul_add(*u, *y) / a);
            self.map.inverse(u, out);
        });
        Ok(())
    }
}

impl Cdf for Warped {
    fn cdf(
        &self,
        _cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView1<'_, f64>,
        x: ArrayView1<'_, f64>,
        mut p: ArrayViewMut1<'_, f64>,
    ) -> Result {
        let (a, v) = self.base.kernel(later(NAME, s, t)?);
        let (mut from, mut to) = ([0.0], [0.0]);
        for (i, p) in p.iter_mut().enumerate() {
            self.map.forward(&[r[i]], &mut from);
            // All maps of one coordinate rise.
            let inside = self.map.forward(&[x[i]], &mut to) > f64::NEG_INFINITY;
            *p = if inside || x[i].is_nan() {
                normal::log_cdf((to[0] - a * from[0]) / v.sqrt()).exp()
            } else {
                0.0
            };
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
        let (a, v) = self.base.kernel(later(NAME, s, t)?);
        let (mut from, mut to) = ([0.0], [0.0]);
        for (i, x) in x.iter_mut().enumerate() {
            self.map.forward(&[r[i]], &mut from);
            let y = a * from[0] + v.sqrt() * normal::quantile(p[i]);
            self.map.inverse(&[y], &mut to);
            *x = to[0];
        }
        Ok(())
    }
}

impl ClosedMarginal for Warped {
    fn marginal(&self, law: Law<'_>) -> Result<Option<Arc<dyn Marginal>>> {
        let wrong = |argument: &str, given: &str, allowed: &str| Error::Argument {
            component: NAME.into(),
            argument: argument.into(),
            given: given.into(),
            allowed: allowed.into(),
        };
        let base = match law {
            Law::Warped { warp, base } => {
                if *warp != *self.map {
                    let allowed = "that of the process; leave `warp` out to have it";
                    return Err(wrong("warp of the data", "another", allowed));
                }
                base.clone()
            }
            Law::Mixture(mixture) if self.map.steps.is_empty() => mixture.clone(),
            Law::Mixture(points) if !points.has_density() => {
                if Target::dim(points) != self.dim {
                    return Err(wrong(
                        "dimension of the data",
                        "another",
                        "that of the process",
                    ));
                }
                let mut images = Array2::zeros(points.means().dim());
                let (mut at, mut y) = (vec![0.0; self.dim], vec![0.0; self.dim]);
                for (i, x) in points.means().outer_iter().enumerate() {
                    copy(&mut at, x);
                    if self.map.forward(&at, &mut y) == f64::NEG_INFINITY {
                        let row = format!("row {}", i + 1);
                        let given = format!("{at:?}");
                        let (lo, hi) = self.support();
                        let allowed = format!("in the domain of the warp, between {lo} and {hi}");
                        return Err(wrong(&format!("data, {row},"), &given, &allowed));
                    }
                    images.row_mut(i).assign(&Array1::from(y.clone()));
                }
                GaussianMixture::points(points.weights().clone(), images)?
            }
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(image::Image {
            map: self.map.clone(),
            base: Noised::new(base.with_log_scale(0.0)?),
            process: self.base.clone(),
        })))
    }

    fn closed_for(&self) -> &'static str {
        "a Gaussian mixture in y = ψ(x), or data points"
    }
}

register! {
    process "warped-ou" => WarpedOu, needs TARGET,
        summary "A linear process seen through asinh, log, softplus, affine maps or couplings: noise that depends on x",
        source "Itô's formula: Øksendal (2003), Stochastic Differential Equations, ch. 4";
}
