//! The laws π̂_t ∝ N(y; 0, I) ĝ_t(y) that particles are led through, by the potential that is chosen.

use super::NAME;
use super::guide::Led;
use crate::chains::{Gaussian, dense, dense_mut, matrix, matrix_mut};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Cx, Error, Form, ForwardProcess, Linear, LogMarginal, Result, Score, Target, Times, Traits,
};
use std::f64::consts::TAU;
use std::sync::Arc;

/// A score with its log marginal, and the process it belongs to.
pub(super) struct Learned {
    pub(super) score: Arc<dyn Score>,
    process: Arc<dyn ForwardProcess>,
    /// Standard deviation of the reference law.
    pub(super) sd: f64,
}

impl Learned {
    /// Looks whether score and process of a job give a potential.
    pub(super) fn new(parts: &Parts<'_>, d: usize) -> Result<Self> {
        let score = parts.require_score(NAME)?;
        let process = parts.require_process(NAME)?;
        let lacks = |holder: &str, needed: &str, advice: &str| Error::Missing {
            component: NAME.into(),
            needed: needed.into(),
            holder: holder.into(),
            advice: advice.into(),
        };
        if score.log_marginal().is_none() {
            return Err(lacks(
                "the score",
                "log densities of the noised laws",
                "choose one that has them, such as `exact`, or potential = \"naive\"",
            ));
        }
        if score.dim() != d {
            return Err(Error::Argument {
                component: NAME.into(),
                argument: "dimension of the score".into(),
                given: score.dim().to_string(),
                allowed: format!("{d}, that of the target"),
            });
        }
        let scalar =
            process.warp().is_none() && process.linear().is_some_and(|l| l.form() == Form::Scalar);
        let preserving = || {
            let linear = process.linear()?;
            let variance = |t: f64| {
                let (alpha, sd) = linear.scalar(t);
                (sd * sd / (1.0 - alpha * alpha), alpha)
            };
            let end = process.t_end();
            let (v, last) = variance(end);
            // Near t = 0 the quotient is one of rounding errors.
            let same = (1..8).all(|i| {
                let (w, alpha) = variance(end * f64::from(i) / 8.0);
                alpha > 1.0 - 1e-6 || (w / v - 1.0).abs() < 1e-6
            });
            let falls = last.is_finite() && last.abs() < 1.0;
            (same && falls && v > 0.0 && v.is_finite()).then_some(v.sqrt())
        };
        let sd = if scalar { preserving() } else { None };
        let Some(sd) = sd else {
            return Err(lacks(
                "the process",
                "x_t = α x_0 + √(1 − α²) s z with one number s for all times (variance preserving), whose \
                 reference law is N(0, s²)",
                "choose cosine, vp or ou with one rate; or potential = \"naive\", which needs no process",
            ));
        };
        Ok(Self { score, process, sd })
    }

    /// The time of the process at which the signal is `alpha`, the last one beyond it.
    pub(super) fn time(&self, alpha: f64) -> f64 {
        let end = self.process.t_end();
        let Some(linear) = self.process.linear() else {
            return end;
        };
        let level = self.sd * (1.0 - alpha * alpha).max(0.0).sqrt() / alpha;
        time_of(linear, level, end)
    }
}

fn time_of(linear: &dyn Linear, level: f64, end: f64) -> f64 {
    let (alpha, sd) = linear.scalar(end);
    if level >= sd / alpha {
        return end;
    }
    // Levels between those of 0 and of the end have a time.
    linear.time_of(level, end).unwrap_or(end)
}

/// π̂_t in the coordinates y of x = m + s∘y, for the signal α of the time t.
pub(super) struct Guided<'a> {
    pub(super) target: &'a dyn Target,
    /// N(m, s²).
    pub(super) law: &'a Gaussian,
    pub(super) signal: f64,
    pub(super) lead: Lead<'a>,
}

/// What stands for the potential of a time.
#[derive(Clone, Copy)]
pub(super) enum Lead<'a> {
    /// The target at α y, which is exact at t = 0, to the power of an exponent from 0 to 1.
    Naive(f64),
    /// A score and its time.
    Score(&'a Learned, f64),
    Mixture(&'a Led),
}

impl Target for Guided<'_> {
    fn dim(&self) -> usize {
        self.target.dim()
    }

    fn traits(&self) -> Traits {
        match self.lead {
            Lead::Score(l, _) => l.score.traits(),
            Lead::Naive(_) | Lead::Mixture(_) => self.target.traits(),
        }
    }

    /// log π̂(y) = log N(y; 0, I) + log ĝ(y) and its gradient, ∇ log ĝ − y.
    fn eval(
        &self,
        cx: &mut Cx<'_>,
        y: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        match self.lead {
            Lead::Naive(e) => self.naive(cx, e, y, log_density, gradient),
            Lead::Score(l, t) => self.by_score(cx, (l, t), y, log_density, gradient),
            Lead::Mixture(m) => self.by_mixture(cx, m, y, log_density, gradient),
        }
    }
}

impl Guided<'_> {
    /// ĝ(y) = g₀(α y)^e, g₀(y) = ρ(m + s∘y) Π s / N(y; 0, I).
    fn naive(
        &self,
        cx: &mut Cx<'_>,
        e: f64,
        y: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let (n, d) = y.dim();
        let (a, law) = (self.signal, self.law);
        let mut x = cx.take(n * d);
        for (x, y) in x.chunks_exact_mut(d).zip(dense(&y).chunks_exact(d)) {
            for j in 0..d {
                x[j] = law.mean[j] + law.sd[j] * (a * y[j]);
            }
        }
        let mut gradient = gradient;
        let slopes = gradient.as_mut().map(|g| g.view_mut());
        let values = log_density.as_mut().map(|l| l.view_mut());
        self.target.eval(cx, matrix(&x, d), values, slopes)?;
        cx.give(x);
        let log_scale: f64 = law.sd.iter().map(|s| s.ln()).sum();
        if let Some(l) = log_density {
            for (l, y) in l.into_iter().zip(dense(&y).chunks_exact(d)) {
                let (mut near, mut far) = (0.0, 0.0);
                for y in y {
                    near += (a * y) * (a * y);
                    far += y * y;
                }
                let constant = 0.5 * d as f64 * TAU.ln();
                *l = if e == 1.0 {
                    *l + log_scale + 0.5 * (near - far)
                } else if e > 0.0 {
                    e * (*l + log_scale + 0.5 * near + constant) - 0.5 * far - constant
                } else {
                    -0.5 * far - constant
                };
            }
        }
        if let Some(g) = gradient {
            let rows = dense_mut(g).chunks_exact_mut(d);
            for (g, y) in rows.zip(dense(&y).chunks_exact(d)) {
                for j in 0..d {
                    let slope = a * (law.sd[j] * g[j] + a * y[j]);
                    g[j] = if e > 0.0 { e * slope } else { 0.0 } - y[j];
                }
            }
        }
        Ok(())
    }

    /// N ĝ = q_t (ρ Π s/q)(D)^e.
    fn by_mixture(
        &self,
        cx: &mut Cx<'_>,
        led: &Led,
        y: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let (n, d) = y.dim();
        let (a, law, e) = (self.signal, self.law, led.exponent);
        let [mut log_q, mut log_q0, mut log_ratio] = std::array::from_fn(|_| cx.take(n));
        let [mut score, mut mean, mut x] = std::array::from_fn(|_| cx.take(n * d));
        let values = Some(ArrayViewMut1::from(&mut log_q[..]));
        led.noised
            .eval(cx, y, values, Some(matrix_mut(&mut score, d)))?;
        for ((x, mean), (y, s)) in x
            .chunks_exact_mut(d)
            .zip(mean.chunks_exact_mut(d))
            .zip(dense(&y).chunks_exact(d).zip(score.chunks_exact(d)))
        {
            for j in 0..d {
                mean[j] = (y[j] + led.noise * s[j]) / a;
                x[j] = law.mean[j] + law.sd[j] * mean[j];
            }
        }
        let slopes = gradient.is_some();
        let [mut g, mut g0] = std::array::from_fn(|_| cx.take(if slopes { n * d } else { 0 }));
        let values = Some(ArrayViewMut1::from(&mut log_ratio[..]));
        let slope = slopes.then(|| matrix_mut(&mut g, d));
        self.target.eval(cx, matrix(&x, d), values, slope)?;
        let values = Some(ArrayViewMut1::from(&mut log_q0[..]));
        let slope = slopes.then(|| matrix_mut(&mut g0, d));
        led.law.eval(cx, matrix(&mean, d), values, slope)?;
        let log_scale: f64 = law.sd.iter().map(|s| s.ln()).sum();
        for (l, q) in log_ratio.iter_mut().zip(&log_q0) {
            // Where q underflows the ratio says nothing.
            *l = if *q > f64::NEG_INFINITY {
                *l + log_scale - q
            } else {
                f64::NEG_INFINITY
            };
        }
        if let Some(mut l) = log_density {
            let all = l.iter_mut().zip(log_q.iter().zip(&log_ratio));
            all.for_each(|(l, (q, r))| *l = if e > 0.0 { q + e * r } else { *q });
        }
        if let Some(out) = gradient {
            for ((g, g0), i) in g.iter_mut().zip(&g0).zip(0..) {
                *g = law.sd[i % d] * *g - g0;
            }
            let turned = matrix_mut(&mut x, d);
            led.noised.score_jvp(cx, y, matrix(&g, d), turned)?;
            let all = g.iter().zip(&x).zip(&score);
            for (out, ((g, h), s)) in dense_mut(out).iter_mut().zip(all) {
                *out = if e > 0.0 {
                    s + e / a * (g + led.noise * h)
                } else {
                    *s
                };
            }
        }
        for buffer in [log_q, log_q0, log_ratio, score, mean, x, g, g0] {
            cx.give(buffer);
        }
        Ok(())
    }

    /// N ĝ = p̂_t, the law of which the score is that of.
    fn by_score(
        &self,
        cx: &mut Cx<'_>,
        (learned, t): (&Learned, f64),
        y: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let (n, d) = y.dim();
        let (s, t) = (learned.sd, Times::Shared(t));
        let mut x = cx.take(n * d);
        x.iter_mut().zip(dense(&y)).for_each(|(x, y)| *x = s * y);
        // Not the target was asked, but the score.
        let counts = cx.counts_mut();
        let rows = n as u64;
        counts.rows -= rows.min(counts.rows);
        if log_density.is_some() {
            counts.density_evals -= rows.min(counts.density_evals);
        }
        if gradient.is_some() {
            counts.gradient_evals -= rows.min(counts.gradient_evals);
        }
        if let Some(mut g) = gradient {
            let mut score = cx.take(n * d);
            cx.eval_score(&*learned.score, t, matrix(&x, d), matrix_mut(&mut score, d))?;
            let pairs = g.iter_mut().zip(&score);
            pairs.for_each(|(g, v)| *g = s * v);
            cx.give(score);
        }
        if let Some(mut l) = log_density {
            let marginal: &dyn LogMarginal =
                learned.score.log_marginal().ok_or_else(|| Error::Missing {
                    component: NAME.into(),
                    needed: "log densities of the noised laws".into(),
                    holder: "the score".into(),
                    advice: "choose potential = \"naive\"".into(),
                })?;
            marginal.log_marginal(cx, t, matrix(&x, d), l.view_mut())?;
            let log_scale = d as f64 * s.ln();
            l.iter_mut().for_each(|l| *l += log_scale);
        }
        cx.give(x);
        Ok(())
    }
}
