//! How far the ratio ρ/q at the mean without noise is to be trusted at each time, by maximum likelihood.
//!
//! The laws π̂_t ∝ q_t exp(e r_t), r_t(y) = log (ρ/q)(D_t(y)), are a family with one number e. The noised target is
//! nearest to it, in Kullback–Leibler divergence, where E_{π_t} r_t = E_{π̂_t} r_t. Both means are taken over draws of
//! q_t, weighed by ρ/q where they came from and by exp(e r_t) where they are. The slope of the likelihood falls with
//! e, so that e is found by halving. Any e from 0 to the likeliest is nearer to the target than 0, a larger one may be as
//! far from it as can be.

use super::adapt::{draws, truncated};
use super::schedule::Levels;
use ndarray::{Array2, ArrayViewMut1};
use retrograde_core::numeric::softmax_in_place;
use retrograde_core::{Cx, GaussianMixture, Result, Target};

/// Times at which the exponent is found; it is linear between them, from 1 at t = 0.
const KNOTS: usize = 32;
const DRAWS: usize = 1024;
/// Weights worth fewer draws than this do not tell more closely than is known without them.
const ENOUGH: f64 = 200.0;
const HALVINGS: usize = 20;

/// e of the times of `levels`: at the knots the likeliest one for the law `q`, and no more than `most`(α, λ). Empty where
/// the target is so far from `q` that draws of this do not tell.
pub(super) fn likeliest(
    cx: &mut Cx<'_>,
    q: &GaussianMixture,
    levels: &Levels,
    log_density: impl Fn(&mut Cx<'_>, &[f64], &mut [f64]) -> Result,
    most: impl Fn(f64, f64) -> f64,
) -> Result<Vec<f64>> {
    let d = q.means().ncols();
    let (y0, log_q) = draws(&mut cx.at("exponents", 0), q, DRAWS)?;
    let mut weights = vec![0.0; DRAWS];
    log_density(cx, y0.as_slice().expect("rows are dense"), &mut weights)?;
    weights.iter_mut().zip(&log_q).for_each(|(w, q)| *w -= q);
    if truncated(&mut weights).is_none_or(|worth| worth < ENOUGH) {
        return Ok(Vec::new());
    }
    let steps = levels.steps();
    let [mut y, mut mean] = std::array::from_fn(|_| Array2::zeros((DRAWS, d)));
    let [mut ratio, mut log_q] = std::array::from_fn(|_| vec![0.0; DRAWS]);
    let mut noised = q.clone();
    let mut out = vec![1.0; steps + 1];
    let mut last = 0;
    for i in 1..=KNOTS.min(steps) {
        cx.check_cancelled()?;
        let level = i * steps / KNOTS.min(steps);
        let (alpha, noise) = (levels.signal[level], levels.noise(level));
        out[level] = 0.0;
        if alpha > 0.0 {
            cx.at("noise", i as u64).fill_normal(y.view_mut());
            y.zip_mut_with(&y0, |z, y0| *z = alpha * y0 + noise.sqrt() * *z);
            q.noised_into(alpha, noise, &mut noised)?;
            noised.eval(cx, y.view(), None, Some(mean.view_mut()))?;
            mean.zip_mut_with(&y, |s, y| *s = (y + noise * *s) / alpha);
            log_density(cx, mean.as_slice().expect("rows are dense"), &mut ratio)?;
            let values = Some(ArrayViewMut1::from(&mut log_q[..]));
            q.eval(cx, mean.view(), values, None)?;
            ratio.iter_mut().zip(&log_q).for_each(|(r, q)| *r -= q);
            out[level] = balance(&ratio, &weights, &mut log_q).min(most(alpha, noise));
        }
        let (from, to) = (out[last], out[level]);
        let apart = (level - last) as f64;
        for (k, e) in (1..).zip(&mut out[last + 1..level]) {
            *e = from + (to - from) * f64::from(k) / apart;
        }
        last = level;
    }
    Ok(out)
}

/// e, 0 to 1, where the mean of `ratio` under `weights`, of sum 1, is that under weights ∝ exp(e ratio).
fn balance(ratio: &[f64], weights: &[f64], room: &mut [f64]) -> f64 {
    let pairs = weights.iter().zip(ratio).filter(|(w, _)| **w > 0.0);
    let wanted: f64 = pairs.map(|(w, r)| w * r).sum();
    if !wanted.is_finite() {
        // The target has mass that would come from where it has none.
        return 0.0;
    }
    let mut slope = |e: f64| {
        let tilted = room.iter_mut().zip(ratio);
        tilted.for_each(|(p, r)| *p = e * r);
        softmax_in_place(room);
        let parts = room.iter().zip(ratio).filter(|(p, _)| **p > 0.0);
        wanted - parts.map(|(p, r)| p * r).sum::<f64>()
    };
    let (mut low, mut high) = (0.0, 1.0);
    if slope(high) >= 0.0 {
        return high;
    }
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if slope(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::super::PddsSchedule;
    use super::*;
    use ndarray::{Array1, array};
    use retrograde_testkit::with_cx;

    fn unit(d: usize) -> GaussianMixture {
        let (mean, one) = (Array2::zeros((1, d)), array![1.0]);
        GaussianMixture::isotropic(one.clone(), mean, one).unwrap()
    }

    #[test]
    fn the_likeliest_power_of_a_normal_density_is_the_one_of_its_variance() {
        // q = N(0, 1), ρ = N(0, v): with y ~ N(0, α² v + λ) where q_t = N(0, 1), the law q_t exp(e r) has the variance
        // 1/(1 + e α² (1/v − 1)), for D = α y, and is the noised target where that is α² v + λ.
        let v: f64 = 0.6;
        let levels = Levels::new(PddsSchedule::Cosine, 10, 12.0);
        let density = |_: &mut Cx<'_>, y: &[f64], out: &mut [f64]| {
            let pairs = out.iter_mut().zip(y);
            pairs.for_each(|(l, y)| *l = -0.5 * y * y / v);
            Ok(())
        };
        let runs = (0..40).map(|s| {
            let found = with_cx(s, |cx| {
                likeliest(cx, &unit(1), &levels, density, |_, _| 1.0)
            });
            Array1::from(found.unwrap())
        });
        let mean = runs.reduce(|a, b| a + b).unwrap() / 40.0;
        for level in 1..6 {
            let (alpha, noise) = (levels.signal[level], levels.noise(level));
            let spread = alpha * alpha * v + noise;
            let want = (1.0 / spread - 1.0) / (alpha * alpha * (1.0 / v - 1.0));
            println!("{level}: {} {want}", mean[level]);
            // 40 times 1024 draws, of which those of a narrower law are worth two thirds.
            assert!((mean[level] - want).abs() < 0.03, "{} {want}", mean[level]);
        }
        assert_eq!((mean[0], mean[10]), (1.0, 0.0));
        let most = |_: f64, noise: f64| 0.2 * (1.0 - noise);
        let found = with_cx(1, |cx| likeliest(cx, &unit(1), &levels, density, most)).unwrap();
        assert!((0..=10).all(|k| k == 0 || found[k] <= most(0.0, levels.noise(k))));
    }

    #[test]
    fn a_ring_does_not_pull_to_its_middle_and_a_point_tells_nothing() {
        let levels = Levels::new(PddsSchedule::Cosine, 64, 12.0);
        let ring = |width: f64| {
            let density = move |_: &mut Cx<'_>, y: &[f64], out: &mut [f64]| {
                for (l, y) in out.iter_mut().zip(y.chunks_exact(2)) {
                    let off = (y[0].hypot(y[1]) - 1.4) / width;
                    *l = -0.5 * off * off;
                }
                Ok(())
            };
            with_cx(1, |cx| {
                likeliest(cx, &unit(2), &levels, density, |_, _| 1.0)
            })
            .unwrap()
        };
        // At λ = 0.4 the mean without noise of a point on the ring has 0.6 of its radius.
        let found = ring(0.3);
        let at = (0..64).find(|k| levels.noise(*k) > 0.4).unwrap();
        println!("{} {}", found[at], found[2]);
        assert!(
            found[at] < 0.15 && found[2] > 0.3 && found[2] < 1.0,
            "{found:?}"
        );
        assert!(ring(1e-3).is_empty());
    }

    #[test]
    fn a_ratio_of_nothing_where_the_target_is_has_no_power() {
        let (mut room, weights) = ([0.0; 3], [0.5, 0.5, 0.0]);
        assert_eq!(
            balance(&[f64::NEG_INFINITY, 0.0, 1.0], &weights, &mut room),
            0.0
        );
        let found = balance(&[1.0, 0.8, f64::NEG_INFINITY], &weights, &mut room);
        assert_eq!(found, 0.0, "the mean without a power is the one wanted");
        assert_eq!(balance(&[1.0, 1.0, -9.0], &weights, &mut room), 1.0);
    }
}
