//! The score of a noised law by Monte Carlo, from an unnormalised density π.
//!
//! For x_t = α x_0 + σ z the posterior is q(x_0 | x) ∝ π(x_0) N(x; α x_0, σ² I), and
//!
//! s = (α E[x_0 | x] − x) / σ²  (posterior mean; Robbins 1956),   s = E[∇ log π(x_0) | x] / α  (gradient form),
//!
//! the second by partial integration: De Bortoli et al. (2024), arXiv:2402.08667; the same identity in
//! Phillips et al. (2024), arXiv:2402.06320. Summands of the first have variance α² P/σ⁴ in a posterior of
//! variance P: useless as σ → 0. Those of the second blow up as α → 0. For a Gaussian π of variance v
//! the summands α x_0/σ² and −x_0/(α v) move against each other, and the mixture
//!
//! w (first) + (1 − w) (second),   w = σ² / (α² v + σ²),
//!
//! has no variance at all; `scale` is √v. The posterior is drawn from
//!
//! - by self-normalised importance sampling from N(x/α, σ²/α² I) with weights ∝ π(x_0), whose bias is
//!   O(1/samples) and whose effective sample size falls quickly with the dimension and as α → 0; or
//! - by chains of the Metropolis-adjusted Langevin algorithm, started from a few such draws; the second
//!   half of the moves counts: Huang et al. (2024), arXiv:2307.02037.
//!
//! The place and width of the target are those of the process: nothing is looked for. The sampler `rdmc` runs the same
//! path with both identities from a base that a pilot run places, and `rdsmc` weighs it for log Z.

use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2, s};
use rand_distr::{Distribution, Open01, StandardNormal};
use retrograde_core::numeric::softmax_in_place;
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, Flag, Form, ForwardProcess, Result, Score, Severity, Stream, Target, Times,
    Traits, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const NAME: &str = "score monte-carlo";
/// Points evaluated at a time.
const HELD: usize = 1 << 13;
/// An effective sample size below this counts as low.
const LOW: f64 = 10.0;

/// How the posterior is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Self-normalised importance sampling.
    #[default]
    Importance,
    /// Chains of MALA.
    Mala,
}

/// Which identity is averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// Both, mixed by noise level.
    #[default]
    Mixed,
    /// (α E[x_0 | x] − x)/σ²; needs no gradient with `method = "importance"`.
    PosteriorMean,
    /// E[∇ log π(x_0) | x]/α.
    Gradient,
}

/// Settings, as written under `[score]` with `kind = "monte-carlo"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MonteCarlo {
    /// How the posterior is drawn from.
    pub method: Method,
    /// Which identity is averaged.
    pub estimator: Estimator,
    /// Importance draws a row, ≥ 2; those that chains start from with `method = "mala"`.
    #[schemars(range(min = 2))]
    pub samples: usize,
    /// Chains a row, ≥ 1, with `method = "mala"`.
    #[schemars(range(min = 1))]
    pub chains: usize,
    /// Moves of a chain, ≥ 2, of which the second half counts.
    #[schemars(range(min = 2))]
    pub steps: usize,
    /// Step of the Langevin proposal, > 0, in units of (1/scale² + α²/σ²)⁻¹, the variance of the
    /// posterior if the target were Gaussian.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step_size: f64,
    /// Standard deviation √v of the target, > 0, as the mixture of both identities and the step take
    /// it: the nearer, the smaller the variance; the mean is right for any.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub scale: f64,
}

impl Default for MonteCarlo {
    fn default() -> Self {
        Self {
            method: Method::Importance,
            estimator: Estimator::Mixed,
            samples: 256,
            chains: 4,
            steps: 32,
            step_size: 0.5,
            scale: 1.0,
        }
    }
}

impl Build<dyn Score> for MonteCarlo {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Score>> {
        let (target, process) = (parts.require_target(NAME)?, parts.require_process(NAME)?);
        self.of(target, process)
    }
}

impl MonteCarlo {
    /// The score of `target` under `process`.
    ///
    /// # Errors
    /// [`Error::Setting`]; [`Error::Missing`] for a target without density or (unless it is not used)
    /// gradient, or a process that is not linear with scalar α and σ.
    pub fn of(
        self,
        target: Arc<dyn Target>,
        process: Arc<dyn ForwardProcess>,
    ) -> Result<Arc<dyn Score>> {
        for (key, given, least) in [
            ("samples", self.samples, 2),
            ("chains", self.chains, 1),
            ("steps", self.steps, 2),
        ] {
            if given < least {
                return Err(Error::setting(
                    NAME,
                    key,
                    given,
                    format!("at least {least}"),
                ));
            }
        }
        for (key, v) in [("step_size", self.step_size), ("scale", self.scale)] {
            if !(v > 0.0 && (v * v).is_normal()) {
                return Err(Error::setting(
                    NAME,
                    key,
                    v,
                    "> 0 and finite, its square too",
                ));
            }
        }
        let missing = |needed: &str, holder: &str, advice: &str| Error::Missing {
            component: NAME.into(),
            needed: needed.into(),
            holder: holder.into(),
            advice: advice.into(),
        };
        if !target.has_density() {
            let advice = "choose the score `exact` or `empirical` for data";
            return Err(missing("a log density", "the target", advice));
        }
        let gradient = self.estimator != Estimator::PosteriorMean || self.method == Method::Mala;
        if gradient && !target.has_gradient() {
            let advice = "write `estimator = \"posterior-mean\"` and `method = \"importance\"`, or supply one";
            return Err(missing("a gradient", "the target", advice));
        }
        let scalar = process.linear().is_some_and(|l| l.form() == Form::Scalar);
        if !scalar || process.warp().is_some() {
            return Err(missing(
                "a linear law x_t = α x_0 + σ z with scalar α and σ",
                "the process",
                "choose `vp`, `ve`, `edm` or another linear process, or the score `particle`",
            ));
        }
        if target.dim() != process.dim() {
            return Err(Error::Argument {
                component: NAME.into(),
                argument: "dimension of the target".into(),
                given: target.dim().to_string(),
                allowed: format!("{}, that of the process", process.dim()),
            });
        }
        Ok(Arc::new(Estimate {
            settings: self,
            target,
            process,
            gradient,
            rows: AtomicU64::new(0),
            low: AtomicU64::new(0),
        }))
    }
}

struct Estimate {
    settings: MonteCarlo,
    target: Arc<dyn Target>,
    process: Arc<dyn ForwardProcess>,
    gradient: bool,
    /// Rows estimated, and those with a low effective sample size.
    rows: AtomicU64,
    low: AtomicU64,
}

/// α and σ at a time, and what follows from them.
#[derive(Clone, Copy)]
struct Noise {
    alpha: f64,
    variance: f64,
    /// Share of the posterior-mean form.
    share: f64,
}

/// Draws of x_0 for some rows, m for each: points, log densities, gradients.
struct Bank {
    y: Vec<f64>,
    l: Vec<f64>,
    g: Vec<f64>,
}

impl Bank {
    fn take(cx: &mut Cx<'_>, points: usize, d: usize) -> Self {
        let [y, l, g] = [points * d, points, points * d].map(|len| cx.take(len));
        Self { y, l, g }
    }

    fn give(self, cx: &mut Cx<'_>) {
        [self.y, self.l, self.g]
            .into_iter()
            .for_each(|b| cx.give(b));
    }
}

impl Estimate {
    fn noise(&self, t: f64) -> Noise {
        let (alpha, sd) = self
            .process
            .linear()
            .map_or((f64::NAN, f64::NAN), |l| l.scalar(t));
        let variance = sd * sd;
        let v = self.settings.scale.powi(2);
        let share = match self.settings.estimator {
            Estimator::PosteriorMean => 1.0,
            Estimator::Gradient => 0.0,
            Estimator::Mixed => variance / (alpha * alpha * v + variance),
        };
        Noise {
            alpha,
            variance,
            share,
        }
    }

    /// Log densities and gradients at the first `points` draws.
    fn evaluate(&self, cx: &mut Cx<'_>, bank: &mut Bank, points: usize, gradient: bool) -> Result {
        let d = self.target.dim();
        let y = ArrayView2::from_shape((points, d), &bank.y[..points * d]).expect("points × d");
        let g = ArrayViewMut2::from_shape((points, d), &mut bank.g[..points * d]);
        let l = ArrayViewMut1::from(&mut bank.l[..points]);
        let g = gradient.then(|| g.expect("points × d"));
        cx.eval_target(&*self.target, y, Some(l), g)
    }

    /// Rows of one time.
    fn some(
        &self,
        cx: &mut Cx<'_>,
        streams: &mut [Stream],
        noise: Noise,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (n, d) = x.dim();
        let m = self.settings.samples;
        let mut bank = Bank::take(cx, n * m, d);
        let spread = noise.variance.sqrt() / noise.alpha;
        for (r, stream) in streams.iter_mut().enumerate() {
            for y in bank.y[r * m * d..][..m * d].chunks_exact_mut(d) {
                for (y, x) in y.iter_mut().zip(x.row(r)) {
                    let z: f64 = StandardNormal.sample(stream);
                    *y = x / noise.alpha + spread * z;
                }
            }
        }
        let mala = self.settings.method == Method::Mala;
        let outcome = self.evaluate(cx, &mut bank, n * m, self.gradient && !mala);
        let outcome = outcome.and_then(|()| {
            let mut low = 0;
            for l in bank.l.chunks_exact_mut(m) {
                softmax_in_place(l);
                let ess = 1.0 / l.iter().map(|w| w * w).sum::<f64>();
                low += u64::from(ess.is_nan() || ess < LOW);
            }
            self.rows.fetch_add(n as u64, Ordering::Relaxed);
            self.low.fetch_add(low, Ordering::Relaxed);
            if mala {
                self.chains(cx, streams, noise, x, &mut bank, out)
            } else {
                self.average(noise, x, &bank, out);
                Ok(())
            }
        });
        bank.give(cx);
        outcome
    }

    /// Weighted means, the weights in place of the log densities.
    fn average(
        &self,
        noise: Noise,
        x: ArrayView2<'_, f64>,
        bank: &Bank,
        mut out: ArrayViewMut2<'_, f64>,
    ) {
        let (d, m) = (x.ncols(), self.settings.samples);
        for (r, mut out) in out.rows_mut().into_iter().enumerate() {
            out.fill(0.0);
            let points = r * m..(r + 1) * m;
            let weights = &bank.l[points.clone()];
            if weights.iter().all(|w| *w == 0.0) {
                // No draw has any mass: the call fails for this row, and is counted.
                out.fill(f64::NAN);
                continue;
            }
            for (i, w) in points.zip(weights) {
                self.add(
                    noise,
                    *w,
                    x,
                    r,
                    &bank.y[i * d..][..d],
                    &bank.g[i * d..][..d],
                    &mut out,
                );
            }
        }
    }

    /// Adds w times the summand of a draw.
    #[allow(clippy::too_many_arguments)] // one sum, in two places
    fn add(
        &self,
        noise: Noise,
        w: f64,
        x: ArrayView2<'_, f64>,
        r: usize,
        y: &[f64],
        g: &[f64],
        out: &mut ArrayViewMut1<'_, f64>,
    ) {
        if w == 0.0 {
            return;
        }
        for j in 0..y.len() {
            let mut sum = 0.0;
            if noise.share > 0.0 {
                sum += noise.share * (noise.alpha * y[j] - x[(r, j)]) / noise.variance;
            }
            if noise.share < 1.0 {
                sum += (1.0 - noise.share) * g[j] / noise.alpha;
            }
            out[j] += w * sum;
        }
    }

    /// MALA on the posterior, from draws picked by their weights.
    fn chains(
        &self,
        cx: &mut Cx<'_>,
        streams: &mut [Stream],
        noise: Noise,
        x: ArrayView2<'_, f64>,
        bank: &mut Bank,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (n, d) = x.dim();
        let (m, c, steps) = (
            self.settings.samples,
            self.settings.chains,
            self.settings.steps,
        );
        let all = n * c;
        let mut now = Bank::take(cx, all, d);
        for (r, stream) in streams.iter_mut().enumerate() {
            for chain in 0..c {
                let mut u: f64 = Open01.sample(stream);
                let weights = &bank.l[r * m..][..m];
                let past = |w: &f64| {
                    u -= w;
                    u <= 0.0
                };
                let pick = r * m + weights.iter().position(past).unwrap_or(m - 1);
                let (from, to) = (pick * d, (r * c + chain) * d);
                now.y[to..to + d].copy_from_slice(&bank.y[from..from + d]);
            }
        }
        let mut next = Bank::take(cx, all, d);
        let a2 = noise.alpha.powi(2) / noise.variance;
        let h = self.settings.step_size / (self.settings.scale.powi(-2) + a2);
        // ∇ log π + α (x − α y)/σ² and log π − |x − α y|²/(2σ²), in place.
        let posterior = |cx: &mut Cx<'_>, bank: &mut Bank| -> Result {
            self.evaluate(cx, bank, all, true)?;
            for i in 0..all {
                let mut square = 0.0;
                for j in 0..d {
                    let e = x[(i / c, j)] - noise.alpha * bank.y[i * d + j];
                    square += e * e;
                    bank.g[i * d + j] += noise.alpha * e / noise.variance;
                }
                bank.l[i] -= 0.5 * square / noise.variance;
            }
            Ok(())
        };
        let mut outcome = posterior(cx, &mut now);
        out.fill(0.0);
        let kept = steps - steps / 2;
        for step in 0..steps {
            if outcome.is_err() {
                break;
            }
            for i in 0..all {
                for j in i * d..(i + 1) * d {
                    let z: f64 = StandardNormal.sample(&mut streams[i / c]);
                    next.y[j] = now.y[j] + 0.5 * h * now.g[j] + h.sqrt() * z;
                }
            }
            outcome = posterior(cx, &mut next);
            if outcome.is_err() {
                break;
            }
            for i in 0..all {
                let way = |a: &Bank, b: &Bank| -> f64 {
                    let square = |j: usize| (b.y[j] - a.y[j] - 0.5 * h * a.g[j]).powi(2);
                    -(i * d..(i + 1) * d).map(square).sum::<f64>() / (2.0 * h)
                };
                let ratio = next.l[i] + way(&next, &now) - now.l[i] - way(&now, &next);
                let u: f64 = Open01.sample(&mut streams[i / c]);
                if u.ln() < ratio {
                    now.l[i] = next.l[i];
                    let cells = i * d..(i + 1) * d;
                    now.y[cells.clone()].copy_from_slice(&next.y[cells.clone()]);
                    now.g[cells.clone()].copy_from_slice(&next.g[cells]);
                }
            }
            if step >= steps - kept {
                let w = 1.0 / (c * kept) as f64;
                for i in 0..all {
                    let (r, cells) = (i / c, i * d..(i + 1) * d);
                    // The gradient of the target alone.
                    let grad = &mut next.g[cells.clone()];
                    for (j, g) in grad.iter_mut().enumerate() {
                        let e = x[(r, j)] - noise.alpha * now.y[i * d + j];
                        *g = now.g[i * d + j] - noise.alpha * e / noise.variance;
                    }
                    let mut row = out.row_mut(r);
                    self.add(noise, w, x, r, &now.y[cells.clone()], grad, &mut row);
                }
            }
        }
        now.give(cx);
        next.give(cx);
        outcome
    }

    /// Rows that need no draws: at t = 0, or where nothing of the data is left.
    fn limit(
        &self,
        cx: &mut Cx<'_>,
        noise: Noise,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        if noise.variance > 0.0 {
            out.zip_mut_with(&x, |o, x| *o = -x / noise.variance);
            return Ok(());
        }
        if !self.target.has_gradient() {
            return Err(Error::Missing {
                component: NAME.into(),
                needed: "a gradient at t = 0, where there is no noise".into(),
                holder: "the target".into(),
                advice: "let the time grid end above 0".into(),
            });
        }
        let y = x.mapv(|x| x / noise.alpha);
        cx.eval_target(&*self.target, y.view(), None, Some(out.view_mut()))?;
        out /= noise.alpha;
        Ok(())
    }
}

impl Score for Estimate {
    fn dim(&self) -> usize {
        self.target.dim()
    }

    fn traits(&self) -> Traits {
        Traits {
            deterministic: false,
            ..self.target.traits().and(self.process.traits())
        }
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let streams = cx.row_streams();
        let per_row = self.settings.samples.max(self.settings.chains);
        let at_once = (HELD / per_row).max(1);
        let mut held: Vec<Stream> = Vec::with_capacity(at_once);
        crate::noised::each_time(t, x.nrows(), |t, rows| {
            let noise = self.noise(t);
            for first in rows.clone().step_by(at_once) {
                let some = first..(first + at_once).min(rows.end);
                let part = s![some.clone(), ..];
                let (x, out) = (x.slice(part), out.slice_mut(part));
                if noise.variance == 0.0 || noise.alpha == 0.0 {
                    self.limit(cx, noise, x, out)?;
                    continue;
                }
                held.clear();
                held.extend(some.map(&streams));
                self.some(cx, &mut held, noise, x, out)?;
            }
            Ok(())
        })
    }

    fn flags(&self) -> Vec<Flag> {
        let how = match self.settings.method {
            Method::Importance => format!(
                "by importance sampling with {} draws a row, with a bias of the order of 1/draws",
                self.settings.samples
            ),
            Method::Mala => format!(
                "by {} chains of {} moves a row",
                self.settings.chains, self.settings.steps
            ),
        };
        let mut flags = vec![Flag::new(
            Severity::Note,
            "score-monte-carlo",
            format!("the score is estimated {how}"),
            "compare a run with four times as many",
        )];
        let (rows, low) = (
            self.rows.load(Ordering::Relaxed),
            self.low.load(Ordering::Relaxed),
        );
        if low * 20 > rows {
            let percent = 100.0 * low as f64 / rows as f64;
            flags.push(Flag::new(
                Severity::Warning,
                "score-monte-carlo-ess",
                format!(
                    "in {percent:.0} % of {rows} score evaluations fewer than {LOW} effective draws \
                     carried the estimate"
                ),
                "take more `samples`, `method = \"mala\"`, or a process that ends at less noise",
            ));
        }
        flags
    }
}

register! {
    score "monte-carlo" => MonteCarlo, needs PROCESS,
        summary "Score by importance sampling or MALA from an unnormalised density; scalar linear processes",
        source "Huang et al. (2024), arXiv:2307.02037; De Bortoli et al. (2024), arXiv:2402.08667";
}

#[cfg(test)]
mod tests;
