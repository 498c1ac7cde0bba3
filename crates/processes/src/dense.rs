//! Linear processes with constant matrices: dX = −R X dt + G dW.
//!
//! X_t | X_s ~ N(E X_s, Q),   E(u) = e^{−Ru},   Q(u) = ∫₀ᵘ E(v) G Gᵀ E(v)ᵀ dv,   u = t − s
//!
//! Both by their Taylor series over a short time, then by doubling it,
//!
//! E(2u) = E(u)²,   Q(2u) = Q(u) + E(u) Q(u) E(u)ᵀ,
//!
//! sums of positive matrices, which do not cancel; Van Loan's block exponential (1978, IEEE Trans. Autom.
//! Control 23, 395) has e^{+Ru} in it, which overflows where E(u) only dies out. Doubling without end gives the
//! stationary covariance (Smith 1968, SIAM J. Appl. Math. 16, 198).
//!
//! Cost of a call: about 3 log₂(‖R‖ u) + 50 products of d × d matrices, then n of a matrix with a vector.

mod matrix;

use matrix::{
    add_product, cholesky, double, exponential, multiply, solve_lower, solve_upper, stationary,
    transpose,
};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::{
    Cx, DriftDivergence, DriftJvp, DriftVjp, Error, Form, ForwardMap, ForwardProcess, Linear,
    Restore, Result, Times, Transition,
};
use std::f64::consts::{SQRT_2, TAU};
use std::sync::{Mutex, PoisonError};

/// Terms of the Taylor series: at ‖R‖ u ≤ ¼ the first that is left out is below (½)²⁰/20! = 4e-25.
const TERMS: u32 = 19;

pub(crate) struct Dense {
    name: &'static str,
    dim: usize,
    t_end: f64,
    /// −R and its transpose.
    drift: Vec<f64>,
    drift_transposed: Vec<f64>,
    /// G = √2 B, transposed.
    g: Vec<f64>,
    /// G Gᵀ.
    ggt: Vec<f64>,
    /// Cholesky factor of the reference law's covariance, and its transpose.
    reference: Factor,
    /// Scratch where there is no context: `at` is called in every step.
    scratch: Mutex<Vec<Vec<f64>>>,
}

/// Rows r and Eᵀ of a law about E r.
type Centre<'a> = (ArrayView2<'a, f64>, &'a [f64]);

/// L of L Lᵀ, and Lᵀ.
struct Factor {
    lower: Vec<f64>,
    upper: Vec<f64>,
}

impl Dense {
    /// dX = −R X dt + √2 B dW, both matrices d × d by rows and finite.
    pub(crate) fn new(
        name: &'static str,
        rate: Vec<f64>,
        noise: Vec<f64>,
        d: usize,
        t_end: f64,
    ) -> Result<Self> {
        let drift: Vec<f64> = rate.iter().map(|v| -v).collect();
        let g: Vec<f64> = noise.iter().map(|v| SQRT_2 * v).collect();
        let mut ggt = vec![0.0; d * d];
        let mut transposed = vec![0.0; d * d];
        transpose(&g, &mut transposed, d);
        multiply(&g, &transposed, &mut ggt, d);
        let mut process = Self {
            name,
            dim: d,
            t_end,
            drift_transposed: vec![0.0; d * d],
            drift,
            g: transposed,
            ggt,
            reference: Factor {
                lower: Vec::new(),
                upper: vec![0.0; d * d],
            },
            scratch: Mutex::new(Vec::new()),
        };
        transpose(&process.drift, &mut process.drift_transposed, d);
        let [mut e, mut q, mut lower] = std::array::from_fn(|_| vec![0.0; d * d]);
        let mut work = vec![0.0; 3 * d * d];
        process.kernel(t_end, &mut e, &mut q, &mut work);
        let regular = cholesky(&q, &mut lower, d);
        if !regular || !q.iter().all(|v| v.is_finite()) {
            let allowed =
                "such that noise reaches every direction by T, directly or by way of `rate`";
            return Err(Error::setting(name, "noise", "a matrix", allowed));
        }
        if let Some(stationary) = stationary(e, q, d) {
            cholesky(&stationary, &mut lower, d);
        }
        transpose(&lower, &mut process.reference.upper, d);
        process.reference.lower = lower;
        Ok(process)
    }

    /// How often u is halved for the series, and what is left of it.
    fn halvings(&self, u: f64) -> (u32, f64) {
        let norm = self.drift.iter().map(|v| v * v).sum::<f64>().sqrt();
        // As many as the exponents of numbers: an infinite u gives NaN, in finite time.
        let halvings = (4.0 * norm * u.abs()).log2().ceil().clamp(0.0, 1100.0);
        (halvings as u32, u * (-halvings).exp2())
    }

    /// Writes E(u) and Q(u), d² numbers each; `work` has 3 d².
    fn kernel(&self, u: f64, e: &mut [f64], q: &mut [f64], work: &mut [f64]) {
        let d = self.dim;
        let (a, rest) = work.split_at_mut(d * d);
        let (b, c) = rest.split_at_mut(d * d);
        let (halvings, h) = self.halvings(u);
        exponential(&self.drift, h, TERMS, e, [a, c], d);
        // Terms of Q: Q′ = M Q + Q Mᵀ + G Gᵀ, M = −R.
        q.iter_mut().zip(&self.ggt).for_each(|(q, g)| *q = h * g);
        b.copy_from_slice(q);
        for k in 1..=TERMS {
            multiply(&self.drift, b, c, d);
            let scale = h / f64::from(k + 1);
            for i in 0..d {
                for j in 0..d {
                    b[i * d + j] = scale * (c[i * d + j] + c[j * d + i]);
                }
            }
            q.iter_mut().zip(b.iter()).for_each(|(q, b)| *q += b);
        }
        for _ in 0..halvings {
            double(e, q, [a, b], d);
        }
    }

    /// Writes e^{+Ru}, the inverse of E(u); `work` has 2 d².
    fn back(&self, u: f64, e: &mut [f64], work: &mut [f64]) {
        let d = self.dim;
        let (a, c) = work.split_at_mut(d * d);
        let (halvings, h) = self.halvings(u);
        exponential(&self.drift, -h, TERMS, e, [a, c], d);
        for _ in 0..halvings {
            multiply(e, e, a, d);
            e.copy_from_slice(a);
        }
    }

    /// The time between, ≥ 0, or > 0 if `strict`.
    fn span(&self, s: f64, t: f64, strict: bool) -> Result<f64> {
        let u = t - s;
        if u.is_finite() && (u > 0.0 || (u == 0.0 && !strict)) {
            return Ok(u);
        }
        Err(Error::Argument {
            component: self.name.into(),
            argument: "s".into(),
            given: s.to_string(),
            allowed: format!("finite and before t = {t}"),
        })
    }

    /// Calls `f` with Eᵀ(u), L and Lᵀ, L Lᵀ = Q(u). L is regular if `strict`.
    fn with_kernel<R>(
        &self,
        cx: &mut Cx<'_>,
        (s, t): (f64, f64),
        strict: bool,
        f: impl FnOnce(&mut Cx<'_>, &[f64], &Factor) -> R,
    ) -> Result<R> {
        let (u, d) = (self.span(s, t, strict)?, self.dim);
        let [mut e, mut q, mut upper] = std::array::from_fn(|_| cx.take(d * d));
        let mut work = cx.take(3 * d * d);
        self.kernel(u, &mut e, &mut q, &mut work);
        let mut lower = cx.take(d * d);
        let regular = cholesky(&q, &mut lower, d);
        transpose(&lower, &mut upper, d);
        transpose(&e, &mut q, d);
        let factor = Factor { lower, upper };
        let outcome = if regular || !strict {
            Ok(f(cx, &q, &factor))
        } else {
            Err(Error::Argument {
                component: self.name.into(),
                argument: "s".into(),
                given: s.to_string(),
                allowed: format!("far enough before t = {t} for noise to reach every direction"),
            })
        };
        for buffer in [e, q, work, factor.lower, factor.upper] {
            cx.give(buffer);
        }
        outcome
    }

    fn gaussian(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        centre: Option<Centre<'_>>,
        factor: &Factor,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) {
        let d = self.dim;
        let log_det: f64 = (0..d).map(|i| factor.lower[i * d + i].ln()).sum();
        let constant = -log_det - 0.5 * d as f64 * TAU.ln();
        let mut z = cx.take(d);
        for (i, x) in x.outer_iter().enumerate() {
            z.fill(0.0);
            if let Some((r, e)) = centre {
                add_product(e, r.row(i).iter(), &mut z);
            }
            z.iter_mut().zip(x).for_each(|(z, x)| *z = x - *z);
            solve_lower(&factor.lower, &mut z);
            if let Some(l) = &mut log_density {
                l[i] = constant - 0.5 * z.iter().map(|z| z * z).sum::<f64>();
            }
            if let Some(g) = &mut gradient {
                solve_upper(&factor.upper, &mut z);
                g.row_mut(i).iter_mut().zip(&z).for_each(|(g, z)| *g = -z);
            }
        }
        cx.give(z);
    }
}

/// Writes M x for every row, from Mᵀ; adds it if `add`.
fn each_row(
    transposed: &[f64],
    x: ArrayView2<'_, f64>,
    add: bool,
    cx: &mut Cx<'_>,
    mut out: ArrayViewMut2<'_, f64>,
) {
    let mut sum = cx.take(out.ncols());
    for (x, mut out) in x.outer_iter().zip(out.outer_iter_mut()) {
        sum.fill(0.0);
        add_product(transposed, x.iter(), &mut sum);
        for (o, s) in out.iter_mut().zip(&sum) {
            *o = if add { *o + s } else { *s };
        }
    }
    cx.give(sum);
}

impl ForwardProcess for Dense {
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
        each_row(&self.drift_transposed, x, false, cx, f);
        Ok(())
    }

    fn apply_g(
        &self,
        cx: &mut Cx<'_>,
        _t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        each_row(&self.g, z, false, cx, out);
        Ok(())
    }

    fn apply_ggt(
        &self,
        cx: &mut Cx<'_>,
        _t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        each_row(&self.ggt, v, false, cx, out);
        Ok(())
    }

    fn reference_sample(&self, cx: &mut Cx<'_>, mut x: ArrayViewMut2<'_, f64>) -> Result {
        let (n, d) = x.dim();
        let mut buffer = cx.take(n * d);
        let mut z = matrix(&mut buffer, n, d);
        cx.fill_normal(z.view_mut());
        each_row(&self.reference.upper, z.view(), false, cx, x.view_mut());
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
        self.gaussian(cx, x, None, &self.reference, log_density, gradient);
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

    fn forward_map(&self) -> Option<&dyn ForwardMap> {
        Some(self)
    }

    fn restore(&self) -> Option<&dyn Restore> {
        Some(self)
    }

    fn autonomous(&self) -> bool {
        true
    }
}

fn matrix(buffer: &mut [f64], n: usize, d: usize) -> ArrayViewMut2<'_, f64> {
    ArrayViewMut2::from_shape((n, d), buffer).expect("n d numbers")
}

impl Linear for Dense {
    fn form(&self) -> Form {
        Form::Dense
    }

    fn at(&self, t: f64, alpha: &mut [f64], covariance: &mut [f64]) {
        let lock = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let free = lock().pop();
        let mut work = free.unwrap_or_else(|| vec![0.0; 3 * self.dim * self.dim]);
        self.kernel(t, alpha, covariance, &mut work);
        lock().push(work);
    }
}

impl Transition for Dense {
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
        let mut z = matrix(&mut buffer, n, d);
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
        self.with_kernel(cx, (s, t), true, |cx, e, factor| {
            self.gaussian(cx, xt, Some((xs, e)), factor, log_density, gradient);
        })
    }
}

impl DriftVjp for Dense {
    fn drift_vjp(
        &self,
        cx: &mut Cx<'_>,
        _t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        u: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        each_row(&self.drift, u, false, cx, out);
        Ok(())
    }
}

impl DriftJvp for Dense {
    fn drift_jvp(
        &self,
        cx: &mut Cx<'_>,
        _t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        each_row(&self.drift_transposed, v, false, cx, out);
        Ok(())
    }
}

impl DriftDivergence for Dense {
    fn drift_divergence(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        out.fill((0..self.dim).map(|i| self.drift[i * self.dim + i]).sum());
        Ok(())
    }
}

impl ForwardMap for Dense {
    fn forward_map(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        mut x: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.with_kernel(cx, (s, t), false, |cx, e, factor| {
            each_row(e, r, false, cx, x.view_mut());
            each_row(&factor.upper, z, true, cx, x);
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
        self.with_kernel(cx, (s, t), true, |cx, e, factor| {
            each_row(e, r, false, cx, z.view_mut());
            let mut rest = cx.take(self.dim);
            for (x, mut z) in x.outer_iter().zip(z.outer_iter_mut()) {
                rest.iter_mut()
                    .zip(x.iter().zip(&z))
                    .for_each(|(r, (x, m))| *r = x - m);
                solve_lower(&factor.lower, &mut rest);
                z.iter_mut().zip(&rest).for_each(|(z, r)| *z = *r);
            }
            cx.give(rest);
        })
    }
}

impl Restore for Dense {
    fn restore(
        &self,
        cx: &mut Cx<'_>,
        t: f64,
        back: f64,
        x: ArrayView2<'_, f64>,
        score: ArrayView2<'_, f64>,
        mut r: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (u, (n, d)) = (self.span(t - back, t, false)?, x.dim());
        let [mut e, mut q] = std::array::from_fn(|_| cx.take(d * d));
        let (mut work, mut buffer) = (cx.take(3 * d * d), cx.take(n * d));
        self.kernel(u, &mut e, &mut q, &mut work);
        // E⁻¹ (x + Q s); Q is its own transpose.
        let mut sum = matrix(&mut buffer, n, d);
        sum.assign(&x);
        each_row(&q, score, true, cx, sum.view_mut());
        self.back(u, &mut e, &mut work[..2 * d * d]);
        transpose(&e, &mut q, d);
        each_row(&q, sum.view(), false, cx, r.view_mut());
        for buffer in [e, q, work, buffer] {
            cx.give(buffer);
        }
        Ok(())
    }
}
