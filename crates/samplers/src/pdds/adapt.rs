//! What a fitted mixture learns from the density itself, by evaluations of its own: whether its components are
//! modes, how near it is, and better weights, means and variances.
//!
//! Adaptation is population Monte Carlo (Cappé, Douc, Guillin, Marin & Robert 2008, Stat. Comput. 18, 447): draws
//! of the mixture are weighed, W ∝ min(ρ/q, √n mean) (truncated as by Ionides 2008, J. Comput. Graph. Stat. 17, 295),
//! resampled, and fitted by one iteration of expectation maximisation.

use super::fit::{Fit, variances};
use crate::genealogy::offspring;
use ndarray::{Array2, ArrayViewMut1};
use retrograde_core::numeric::softmax_in_place;
use retrograde_core::{Cx, Exact, GaussianMixture, Result, Target};

/// Depth of the log density between two means that tells two modes.
const VALLEY: f64 = 1.0;
/// Rounds of draws by which a mixture is adapted.
const ROUNDS: u64 = 5;
const ADAPTING: usize = 4096;

impl Fit {
    /// E_q[log density − log q], by draws of its own.
    pub(super) fn bound(
        &self,
        cx: &mut Cx<'_>,
        log_density: impl Fn(&mut Cx<'_>, &[f64], &mut [f64]) -> Result,
    ) -> Result<f64> {
        let (y, log_q) = draws(&mut cx.at("bound", 0), &self.law(false)?, ADAPTING)?;
        let mut log_p = vec![0.0; ADAPTING];
        log_density(cx, y.as_slice().expect("rows are dense"), &mut log_p)?;
        let off: f64 = log_p.iter().zip(&log_q).map(|(p, q)| p - q).sum();
        Ok(off / ADAPTING as f64)
    }

    /// Whether the components are parts of more than one mode: no chain of components leads from one to all
    /// others where `log_density`, at a row between the means of two, stays above the lower of theirs less
    /// [`VALLEY`].
    pub(super) fn many_modes(
        &self,
        cx: &mut Cx<'_>,
        log_density: impl Fn(&mut Cx<'_>, &[f64], &mut [f64]) -> Result,
    ) -> Result<bool> {
        let k = self.components();
        let d = self.means.len() / k;
        let mut at = vec![0.0; k];
        log_density(cx, &self.means, &mut at)?;
        // Components that are known to belong to the mode of the first, and those whose neighbours are not
        // looked at yet.
        let mut known = vec![false; k];
        known[0] = true;
        let mut open = vec![0];
        let (mut points, mut between) = (vec![0.0; 3 * k * d], vec![0.0; 3 * k]);
        while let Some(a) = open.pop() {
            for (b, rows) in points.chunks_exact_mut(3 * d).enumerate() {
                for (row, part) in rows.chunks_exact_mut(d).zip([0.25, 0.5, 0.75]) {
                    let (from, to) = (&self.means[a * d..][..d], &self.means[b * d..][..d]);
                    for ((x, from), to) in row.iter_mut().zip(from).zip(to) {
                        *x = from + part * (to - from);
                    }
                }
            }
            log_density(cx, &points, &mut between)?;
            for (b, between) in between.chunks_exact(3).enumerate() {
                let least = between.iter().fold(f64::INFINITY, |m, l| m.min(*l));
                if !known[b] && least > at[a].min(at[b]) - VALLEY {
                    known[b] = true;
                    open.push(b);
                }
            }
        }
        Ok(known.contains(&false))
    }

    /// Adapts the mixture to a density by draws of its own, which are weighed, resampled by their weights and fitted
    /// once (Cappé, Douc, Guillin, Marin & Robert 2008, Stat. Comput. 18, 447), as long as the weights count.
    pub(super) fn adapt(
        &mut self,
        cx: &mut Cx<'_>,
        log_density: impl Fn(&mut Cx<'_>, &[f64], &mut [f64]) -> Result,
    ) -> Result {
        let d = self.means.len() / self.components();
        let mut kept = Array2::zeros((ADAPTING, d));
        let mut weights = vec![0.0; ADAPTING];
        for round in 0..ROUNDS {
            let mut cx = cx.at("adapt", round);
            let (y, mut log_q) = draws(&mut cx.at("draws", 0), &self.law(true)?, ADAPTING)?;
            let rows = y.as_slice().expect("rows are dense");
            log_density(&mut cx, rows, &mut weights)?;
            weights.iter_mut().zip(&log_q).for_each(|(w, q)| *w -= q);
            let least = 4.0 * (d.max(self.components())) as f64;
            if truncated(&mut weights).is_none_or(|worth| worth < least) {
                break;
            }
            let mut u = [0.0];
            cx.at("resample", 0)
                .fill_uniform_1(ArrayViewMut1::from(&mut u[..]));
            offspring(u[0], &weights, &mut log_q);
            let mut rows = kept.rows_mut().into_iter();
            for (from, copies) in y.rows().into_iter().zip(&log_q) {
                let copies = rows.by_ref().take(*copies as usize);
                copies.for_each(|mut row| row.assign(&from));
            }
            let rows = kept.as_slice().expect("rows are dense");
            self.improve(rows, &variances(rows, d));
            self.prune(d, ADAPTING as f64);
        }
        Ok(())
    }
}

/// Turns log weights into weights of sum 1, truncated (Ionides 2008) so that one draw does not take all; what they are
/// worth in draws, none where no weight is finite.
pub(super) fn truncated(weights: &mut [f64]) -> Option<f64> {
    if !softmax_in_place(weights).is_finite() {
        return None;
    }
    let most = (weights.len() as f64).powf(-0.5);
    weights.iter_mut().for_each(|w| *w = w.min(most));
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= total);
    Some(1.0 / weights.iter().map(|w| w * w).sum::<f64>())
}

/// `n` draws of a mixture, and their log densities.
pub(super) fn draws(
    cx: &mut Cx<'_>,
    law: &GaussianMixture,
    n: usize,
) -> Result<(Array2<f64>, Vec<f64>)> {
    let mut y = Array2::zeros((n, law.means().ncols()));
    let mut log_q = vec![0.0; n];
    if let Some(exact) = law.sampler() {
        exact.sample(cx, y.view_mut())?;
    }
    let values = Some(ArrayViewMut1::from(&mut log_q[..]));
    law.eval(cx, y.view(), values, None)?;
    Ok((y, log_q))
}

#[cfg(test)]
mod tests {
    use super::super::fit::fitted;
    use super::*;
    use ndarray::{ArrayView2, array};
    use retrograde_testkit::with_cx;

    #[test]
    fn a_valley_between_components_tells_modes() {
        let many = |means: Array2<f64>, variances: Array2<f64>| {
            let law = GaussianMixture::diagonal(array![0.5, 0.5], means, variances).unwrap();
            let fit = fitted(&law, 500);
            with_cx(1, |cx| {
                fit.many_modes(cx, |cx, y, out| {
                    let y = ArrayView2::from_shape((out.len(), 2), y).unwrap();
                    law.eval(cx, y, Some(ArrayViewMut1::from(out)), None)
                })
            })
            .unwrap()
        };
        // The log density falls by ½ (0.8/0.2)² − ln 2 to the middle.
        assert!(many(
            array![[-0.8, 0.0], [0.8, 0.0]],
            array![[0.04, 1.0], [0.04, 1.0]]
        ));
        // A cross has one mode, whatever its components, and so has a normal law that is cut in two.
        assert!(!many(
            Array2::zeros((2, 2)),
            array![[0.01, 1.0], [1.0, 0.01]]
        ));
        assert!(!many(Array2::zeros((2, 2)), array![[0.3, 1.0], [0.3, 1.0]]));
    }

    #[test]
    fn draws_of_a_mixture_adapt_it_to_a_density() {
        let law = |first: f64| {
            let weights = array![first, 1.0 - first];
            let means = array![[-0.8, 0.0], [0.8, 0.3]];
            GaussianMixture::diagonal(weights, means, array![[0.04, 0.2], [0.04, 0.2]]).unwrap()
        };
        // Chains do not know the weights of modes.
        let mut fit = fitted(&law(0.5), 400);
        let truth = law(0.1);
        with_cx(1, |cx| {
            fit.adapt(cx, |cx, y, out| {
                let y = ArrayView2::from_shape((out.len(), 2), y).unwrap();
                truth.eval(cx, y, Some(ArrayViewMut1::from(out)), None)
            })
        })
        .unwrap();
        let left = fit.weights.iter().zip(fit.means.chunks_exact(2));
        let left: f64 = left.filter(|(_, m)| m[0] < 0.0).map(|(w, _)| w).sum();
        // 4096 draws of which half are of the mode with a tenth.
        assert!((left - 0.1).abs() < 0.03, "{left}");
    }
}
