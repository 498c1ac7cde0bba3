//! A mixture of normal laws with independent coordinates, fitted to points.
//!
//! Expectation maximisation (Dempster, Laird & Rubin 1977, J. R. Stat. Soc. B 39, 1) from centres that are
//! drawn far apart (Arthur & Vassilvitskii 2007, k-means++), the number of components by the criterion of
//! Schwarz (1978), Ann. Stat. 6, 461. Variances lean to their mean over the components, as if each had
//! [`LENT`] points more of that spread (after Fraley & Raftery 2007, J. Classif. 24, 155): few points tell
//! no variance.

use crate::chains::check_length;
use ndarray::{Array1, Array2, Array3, ArrayView2, ArrayViewMut1, Axis};
use retrograde_core::numeric::softmax_in_place;
use retrograde_core::{Cx, GaussianMixture, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// Numbers of components that are tried, while they gain. The pairs begin apart in the coordinates that look
/// most like two heaps, which k-means++ misses among many others.
const TRIED: [usize; 16] = [2, 2, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192];
/// So many numbers in a row without gain end it, from `MANY` on: among many modes a few components more gain nothing.
const PATIENCE: usize = 3;
const MANY: usize = 16;
const LENT: f64 = 3.0;
const ITERATIONS: usize = 50;
/// Gain of the mean log likelihood of a point, below which an iteration is the last one.
const ENOUGH: f64 = 1e-3;
/// Least variance over that of all points: chains may all end on one.
const LEAST: f64 = 1e-10;
/// Largest dimension of a covariance matrix.
const MOST_DENSE: usize = 200;
/// Weight of a component N(0, I), for what no chain found and for tails.
const BROAD: f64 = 0.05;
/// A component has at least so many points.
const FEWEST: f64 = 2.0;

/// Weights (K), means and variances (K × d).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Fit {
    pub(super) weights: Vec<f64>,
    pub(super) means: Vec<f64>,
    variances: Vec<f64>,
    /// Covariance matrix of the one component there is; empty for independent coordinates.
    dense: Vec<f64>,
}

impl Fit {
    /// One component with a covariance matrix; none where the points are too few for it.
    pub(super) fn dense(x: &[f64], d: usize) -> Option<Self> {
        let n = x.len() / d;
        if n < 4 * d || d > MOST_DENSE {
            return None;
        }
        let x = ArrayView2::from_shape((n, d), x).expect("n × d");
        let means = x.mean_axis(Axis(0)).expect("there are points");
        let off = &x - &means;
        let mut dense = off.t().dot(&off) / (n as f64 + LENT);
        let variances: Vec<f64> = dense.diag().iter().map(|v| v.max(LEAST)).collect();
        for (j, v) in variances.iter().enumerate() {
            dense[(j, j)] = *v * (1.0 + LENT / n as f64);
        }
        Some(Self {
            weights: vec![1.0],
            means: means.to_vec(),
            variances,
            dense: dense.into_raw_vec_and_offset().0,
        })
    }

    /// The mixture of two components or more that fits the rows of `x` best; whether these are parts of one mode is
    /// another question.
    pub(super) fn of(cx: &mut Cx<'_>, x: &[f64], d: usize) -> Result<Self> {
        let (n, all) = (x.len() / d, variances(x, d));
        let mut best: Option<(f64, Self)> = None;
        let mut worse = 0;
        for (i, k) in (0..).zip(TRIED).filter(|(_, k)| *k == 2 || 4 * k <= n) {
            cx.check_cancelled()?;
            let means = match k {
                2 => heaps(x, &all, i as usize),
                _ => seeds(&mut cx.at("mixture", i), x, &all, k),
            };
            let (fit, log_likelihood) = Self::with(x, &all, means);
            let free = (fit.components() * (2 * d + 1) - 1) as f64;
            let criterion = free * (n as f64).ln() - 2.0 * log_likelihood;
            worse += usize::from(k >= MANY);
            if best.as_ref().is_none_or(|b| criterion < b.0) {
                best = Some((criterion, fit));
                worse = 0;
            }
            if worse == PATIENCE {
                break;
            }
        }
        Ok(best.expect("two components are tried").1)
    }

    pub(super) fn components(&self) -> usize {
        self.weights.len()
    }

    /// The mixture; if `broad`, with N(0, I) for one component more, of the weight [`BROAD`].
    pub(super) fn law(&self, broad: bool) -> Result<GaussianMixture> {
        let (k, more) = (self.components(), usize::from(broad));
        let d = self.means.len() / k;
        let total: f64 = self.weights.iter().sum();
        let part = if broad { 1.0 - BROAD } else { 1.0 };
        let weights = self.weights.iter().map(|w| part * w / total);
        let weights: Array1<f64> = weights.chain(std::iter::repeat_n(BROAD, more)).collect();
        let rows = |v: &[f64], last: f64| {
            let all = v.iter().copied().chain(std::iter::repeat_n(last, more * d));
            Array2::from_shape_vec((k + more, d), all.collect()).expect("K rows or K + 1")
        };
        let means = rows(&self.means, 0.0);
        if self.dense.is_empty() {
            return GaussianMixture::diagonal(weights, means, rows(&self.variances, 1.0));
        }
        let mut dense = Array3::zeros((k + more, d, d));
        for mut unit in dense.outer_iter_mut() {
            unit.diag_mut().fill(1.0);
        }
        let first = dense.iter_mut().zip(&self.dense);
        first.for_each(|(out, c)| *out = *c);
        GaussianMixture::dense(weights, means, dense)
    }

    /// The square of α²v/(α²v + λ), the share of the variance within a component that is left where noise λ came on
    /// α y_0: of its mean over the components, in the coordinate where it is least.
    pub(super) fn exponent(&self, alpha: f64, noise: f64) -> f64 {
        let d = self.means.len() / self.components();
        let total: f64 = self.weights.iter().sum();
        let share = |j: usize| {
            let parts = self.weights.iter().zip(self.variances.chunks_exact(d));
            let parts = parts.map(|(w, v)| {
                let kept = alpha * alpha * v[j];
                w * kept / (kept + noise)
            });
            parts.sum::<f64>() / total
        };
        (0..d).map(share).fold(1.0, f64::min).powi(2)
    }

    /// Standard deviations `factor` times what they are.
    pub(super) fn widen(&mut self, factor: f64) {
        let all = self.variances.iter_mut().chain(&mut self.dense);
        all.for_each(|v| *v *= factor * factor);
    }

    /// Whether a saved fit is one in dimension `d`.
    pub(super) fn check_saved(&self, d: usize) -> std::result::Result<(), String> {
        let k = self.components();
        check_length("means of a mixture", self.means.len(), k * d)?;
        check_length("variances of a mixture", self.variances.len(), k * d)?;
        let positive = |v: &f64| *v > 0.0 && v.is_finite();
        let dense = self.dense.len();
        if dense > 0 && (k != 1 || dense != d * d) {
            return Err(format!("a covariance matrix of {dense} numbers"));
        }
        let sound = k > 0
            && self.dense.iter().all(|c| c.is_finite())
            && self.weights.iter().chain(&self.variances).all(positive)
            && self.means.iter().all(|m| m.is_finite());
        if sound {
            return Ok(());
        }
        Err("an impossible mixture".into())
    }

    /// Components that begin at `means`, and their log likelihood.
    fn with(x: &[f64], all: &[f64], means: Vec<f64>) -> (Self, f64) {
        let d = all.len();
        let (n, k) = (x.len() / d, means.len() / d);
        let mut fit = Self {
            weights: vec![1.0 / k as f64; k],
            means,
            variances: Vec::new(),
            dense: Vec::new(),
        };
        // Each component begins with a share of the whole.
        let shrink = (k as f64).powf(-2.0 / d as f64);
        fit.variances = all.iter().map(|v| shrink * v).cycle().take(k * d).collect();
        let mut last = f64::NEG_INFINITY;
        for _ in 0..ITERATIONS {
            let log_likelihood = fit.improve(x, all);
            if log_likelihood - last < ENOUGH * n as f64 {
                last = last.max(log_likelihood);
                break;
            }
            last = log_likelihood;
        }
        fit.prune(d, n as f64);
        (fit, last)
    }

    /// One iteration; the log likelihood before it. `all` are the variances of the points.
    pub(super) fn improve(&mut self, x: &[f64], all: &[f64]) -> f64 {
        let (k, d) = (self.weights.len(), all.len());
        let n = x.len() / d;
        let constants: Vec<f64> = self
            .weights
            .iter()
            .zip(self.variances.chunks_exact(d))
            .map(|(w, v)| w.ln() - 0.5 * v.iter().map(|v| (TAU * v).ln()).sum::<f64>())
            .collect();
        let inverses: Vec<f64> = self.variances.iter().map(|v| 1.0 / v).collect();
        let mut share = vec![0.0; k];
        let [mut count, mut first, mut second] = [vec![0.0; k], vec![0.0; k * d], vec![0.0; k * d]];
        let mut log_likelihood = 0.0;
        for x in x.chunks_exact(d) {
            for c in 0..k {
                let (m, p) = (&self.means[c * d..][..d], &inverses[c * d..][..d]);
                let square: f64 = (0..d).map(|j| (x[j] - m[j]) * (x[j] - m[j]) * p[j]).sum();
                share[c] = constants[c] - 0.5 * square;
            }
            log_likelihood += softmax_in_place(&mut share);
            for (c, r) in share.iter().enumerate().filter(|(_, r)| **r > 1e-12) {
                count[c] += r;
                for j in 0..d {
                    let off = x[j] - self.means[c * d + j];
                    first[c * d + j] += r * off;
                    second[c * d + j] += r * off * off;
                }
            }
        }
        // Squares about the new means, and their mean over all components.
        let mut pooled = vec![0.0; d];
        for (c, count) in count.iter().enumerate() {
            for (j, pooled) in pooled.iter_mut().enumerate() {
                let i = c * d + j;
                if *count > 0.0 {
                    let shift = first[i] / count;
                    self.means[i] += shift;
                    second[i] = (second[i] - shift * first[i]).max(0.0);
                }
                *pooled += second[i] / n as f64;
            }
        }
        for c in 0..k {
            self.weights[c] = (count[c] / n as f64).max(f64::MIN_POSITIVE);
            for j in 0..d {
                let leant = (second[c * d + j] + LENT * pooled[j]) / (count[c] + LENT);
                self.variances[c * d + j] = leant.max(LEAST * all[j]).max(f64::MIN_POSITIVE);
            }
        }
        log_likelihood
    }

    /// Leaves out components with hardly a point.
    pub(super) fn prune(&mut self, d: usize, n: f64) {
        let keep: Vec<usize> = (0..self.components())
            .filter(|c| self.weights[*c] * n >= FEWEST)
            .collect();
        if keep.is_empty() {
            return;
        }
        let rows = |v: &[f64]| -> Vec<f64> {
            let rows = keep.iter().flat_map(|c| &v[c * d..][..d]);
            rows.copied().collect()
        };
        (self.means, self.variances) = (rows(&self.means), rows(&self.variances));
        self.weights = keep.iter().map(|c| self.weights[*c]).collect();
    }
}

/// Variance of each coordinate.
pub(super) fn variances(x: &[f64], d: usize) -> Vec<f64> {
    let n = (x.len() / d) as f64;
    let variance = |j: usize| {
        let column = || x.iter().skip(j).step_by(d);
        let mean = column().sum::<f64>() / n;
        let square = column().map(|x| (x - mean) * (x - mean)).sum::<f64>();
        (square / n).max(f64::MIN_POSITIVE)
    };
    (0..d).map(variance).collect()
}

/// Two centres, a standard deviation on both sides of the mean in the coordinate whose fourth moment is, but for
/// `rank` of them, the least: that of two heaps is 1 and that of a normal law 3, in units of the variance's square.
fn heaps(x: &[f64], all: &[f64], rank: usize) -> Vec<f64> {
    let d = all.len();
    let n = (x.len() / d) as f64;
    let column = |j: usize| x.iter().skip(j).step_by(d);
    let mean: Vec<f64> = (0..d).map(|j| column(j).sum::<f64>() / n).collect();
    let fourth = |j: usize| {
        let sum: f64 = column(j).map(|x| (x - mean[j]).powi(4)).sum();
        (sum / n / (all[j] * all[j]), j)
    };
    let mut order: Vec<(f64, usize)> = (0..d).map(fourth).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let j = order[rank.min(d - 1)].1;
    let mut centres = mean.repeat(2);
    centres[j] -= all[j].sqrt();
    centres[d + j] += all[j].sqrt();
    centres
}

/// `k` of the points that are far from each other, in units of `all`: each is drawn with a probability
/// proportional to the square of its distance to those before, the best of some.
fn seeds(cx: &mut Cx<'_>, x: &[f64], all: &[f64], k: usize) -> Vec<f64> {
    let d = all.len();
    let n = x.len() / d;
    let candidates = 2 + (k as f64).ln() as usize;
    let mut u = vec![0.0; candidates * k];
    cx.fill_uniform_1(ArrayViewMut1::from(&mut u[..]));
    let mut near = vec![f64::INFINITY; n];
    let mut out = Vec::with_capacity(k * d);
    let to = |i: usize, near: &[f64]| -> Vec<f64> {
        let centre = &x[i * d..][..d];
        let rows = near.iter().zip(x.chunks_exact(d));
        rows.map(|(near, x)| {
            let square: f64 = (0..d).map(|j| (x[j] - centre[j]).powi(2) / all[j]).sum();
            near.min(square)
        })
        .collect()
    };
    for u in u.chunks_exact(candidates) {
        let total: f64 = near.iter().sum();
        let drawn = |u: &f64| {
            let mut left = u * total;
            let far = near.iter().position(|square| {
                left -= square;
                left < 0.0
            });
            match far {
                Some(i) if total.is_finite() => i,
                _ => ((u * n as f64) as usize).min(n - 1),
            }
        };
        let tried = u.iter().map(|u| {
            let i = drawn(u);
            let near = to(i, &near);
            (i, near.iter().sum::<f64>(), near)
        });
        let best = tried.min_by(|a, b| a.1.total_cmp(&b.1));
        let (i, _, closer) = best.expect("there are candidates");
        out.extend_from_slice(&x[i * d..][..d]);
        near = closer;
    }
    out
}

/// A fit of `n` draws of `law`.
#[cfg(test)]
pub(super) fn fitted(law: &GaussianMixture, n: usize) -> Fit {
    use retrograde_core::Exact;
    let mut x = Array2::zeros((n, law.means().ncols()));
    retrograde_testkit::with_cx(3, |cx| {
        let exact = law.sampler().expect("draws");
        exact.sample(&mut cx.at("draw", 0), x.view_mut()).unwrap();
        Fit::of(cx, x.as_slice().unwrap(), x.ncols()).unwrap()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use retrograde_testkit::with_cx;

    #[test]
    fn two_heaps_of_twenty_parts_are_no_two_parts() {
        // In ten coordinates a cut of a heap gains less than its numbers cost, until each part has its own.
        let mut means = Array2::zeros((40, 10));
        with_cx(5, |cx| cx.at("means", 0).fill_uniform(means.view_mut()));
        for (k, mut m) in means.rows_mut().into_iter().enumerate() {
            m[0] += 3.0 * (k % 2) as f64;
        }
        let weights = Array1::from_elem(40, 1.0 / 40.0);
        let law = GaussianMixture::isotropic(weights, means, Array1::from_elem(40, 1e-4));
        let fit = fitted(&law.unwrap(), 1000);
        assert!(fit.components() >= 24, "{}", fit.components());
    }

    #[test]
    fn parts_are_found() {
        let weights = array![0.5, 0.3, 0.2];
        let means = array![[0.0, 0.0], [3.0, 0.0], [0.0, 2.0]];
        let variances = array![[0.04, 0.09], [0.01, 0.25], [0.04, 0.04]];
        let law = GaussianMixture::diagonal(weights.clone(), means.clone(), variances.clone());
        let fit = fitted(&law.unwrap(), 600);
        assert_eq!(fit.components(), 3, "{fit:?}");
        for c in 0..3 {
            let at = (0..3)
                .find(|i| (0..2).all(|j| (fit.means[2 * i + j] - means[(c, j)]).abs() < 0.15));
            let i = at.unwrap_or_else(|| panic!("component {c} of {fit:?}"));
            // 120 points and more tell a weight to 0.02, a variance to 13 %.
            assert!((fit.weights[i] - weights[c]).abs() < 0.08, "{fit:?}");
            for j in 0..2 {
                let ratio = fit.variances[2 * i + j] / variances[(c, j)];
                assert!((0.6..1.6).contains(&ratio), "{fit:?}");
            }
        }
    }

    #[test]
    fn points_that_are_one_point_have_a_variance() {
        let fit = with_cx(1, |cx| Fit::of(cx, &[2.0; 40], 2)).unwrap();
        fit.check_saved(2).unwrap();
        assert_eq!(fit.law(true).unwrap().components(), fit.components() + 1);
    }
}
