//! The image of a Gaussian mixture under a warp: the data that stay closed under warped linear processes.
//!
//! x = ψ⁻¹(y), y from Σₖ wₖ N(mₖ, Cₖ);   log π(x) = log ρ(ψ(x)) + ln |det ∂ψ/∂x|
//!
//! Moments are those of the image: by Gauss–Legendre quadrature where every coordinate is mapped by
//! itself, else not given.
//!
//! Source: change of variables.

use crate::draw::check_columns;
use crate::gaussian_mixture::Mixture;
use crate::quadrature::integrate;
use crate::tilted_mixture::base;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Covariances, Cx, Error, Exact, ExactSampler, GaussianMixture, Law, Result, Target,
    Truth, WarpMap, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::sync::Arc;

const NAME: &str = "target warped-mixture";

/// Settings, as written under `[target]` with `kind = "warped-mixture"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WarpedMixture {
    /// The mixture of y, with the settings of the target `gaussian-mixture`; its `log_z` is left out.
    pub base: Mixture,
    /// The maps of y = ψ(x), the first one first, such as `[{ map = "log" }]`.
    pub warp: WarpMap,
}

impl Build<dyn Target> for WarpedMixture {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let base = base(self.base, NAME, parts)?;
        let d = Target::dim(&base);
        self.warp.check(d, NAME, "warp")?;
        let moments = if self.warp.is_diagonal() {
            Some(moments(&self.warp, &base)?)
        } else {
            None
        };
        Ok(Arc::new(Image {
            warp: self.warp,
            base,
            moments,
        }))
    }
}

/// Means and variances of the coordinates of the image.
fn moments(warp: &WarpMap, base: &GaussianMixture) -> Result<(Vec<f64>, Vec<f64>)> {
    let d = Target::dim(base);
    let variance = |k: usize, j: usize| match base.covariances() {
        Covariances::Isotropic(v) => v[k],
        Covariances::Diagonal(v) => v[(k, j)],
        Covariances::Dense(c) => c[(k, j, j)],
    };
    let of = |j: usize, y: f64| {
        let (mut at, mut x) = (vec![0.0; d], vec![0.0; d]);
        at[j] = y;
        warp.inverse(&at, &mut x);
        x[j]
    };
    let (mut means, mut variances) = (Vec::new(), Vec::new());
    for j in 0..d {
        let expect = |f: &dyn Fn(f64) -> f64| -> f64 {
            (0..base.components())
                .map(|k| {
                    let (m, sd) = (base.means()[(k, j)], variance(k, j).sqrt());
                    // Exponential maps move the mass of second moments by 2 sd² in y.
                    let far = 12.0 + 4.0 * sd;
                    let part = integrate(-far, far, 200, |z| {
                        (-0.5 * z * z).exp() * f(of(j, m + sd * z))
                    });
                    base.weights()[k] * part / TAU.sqrt()
                })
                .sum()
        };
        let mean = expect(&|x| x);
        let variance = expect(&|x| (x - mean) * (x - mean));
        if !(mean.is_finite() && variance.is_finite()) {
            let given = format!("one whose image has the mean {mean} and the variance {variance}");
            return Err(Error::setting(
                NAME,
                "base",
                given,
                "one whose image has finite moments",
            ));
        }
        means.push(mean);
        variances.push(variance);
    }
    Ok((means, variances))
}

struct Image {
    warp: WarpMap,
    base: GaussianMixture,
    moments: Option<(Vec<f64>, Vec<f64>)>,
}

impl Target for Image {
    fn dim(&self) -> usize {
        Target::dim(&self.base)
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let (n, d) = x.dim();
        let [mut ys, mut ss] = std::array::from_fn(|_| cx.take(n * d));
        let (mut ls, mut dets) = (cx.take(n), cx.take(n));
        let mut small = cx.take(3 * d + self.warp.scratch_len(d));
        let (at, rest) = small.split_at_mut(d);
        let (out, rest) = rest.split_at_mut(d);
        let (score, scratch) = rest.split_at_mut(d);
        for (i, (x, y)) in x.rows().into_iter().zip(ys.chunks_mut(d)).enumerate() {
            at.iter_mut().zip(x).for_each(|(a, x)| *a = *x);
            dets[i] = self.warp.forward(at, y);
        }
        let y = ArrayView2::from_shape((n, d), &ys[..]).expect("n d numbers");
        let s = ArrayViewMut2::from_shape((n, d), &mut ss[..]).expect("n d numbers");
        let l = ArrayViewMut1::from(&mut ls[..]);
        let outcome = self
            .base
            .eval(cx, y, log_density.is_some().then_some(l), Some(s));
        for (i, x) in x.rows().into_iter().enumerate() {
            let outside = dets[i] == f64::NEG_INFINITY;
            if let Some(to) = &mut log_density {
                let all = ls[i] + dets[i];
                // Points so far out that the map overflows have no mass.
                let lost = all.is_nan() && x.iter().all(|x| !x.is_nan());
                to[i] = if outside || lost {
                    f64::NEG_INFINITY
                } else {
                    all
                };
            }
            if let Some(to) = &mut gradient {
                out.fill(0.0);
                if !outside {
                    at.iter_mut().zip(x).for_each(|(a, x)| *a = *x);
                    score.copy_from_slice(&ss[i * d..][..d]);
                    self.warp.pull_score(at, score, out, scratch);
                }
                for (to, v) in to.row_mut(i).iter_mut().zip(out.iter()) {
                    *to = if v.is_finite() { *v } else { 0.0 };
                }
            }
        }
        for buffer in [ys, ss, ls, dets, small] {
            cx.give(buffer);
        }
        outcome
    }

    fn law(&self) -> Option<Law<'_>> {
        Some(Law::Warped {
            warp: &self.warp,
            base: &self.base,
        })
    }

    fn exact(&self) -> Option<&dyn Exact> {
        Some(self)
    }
}

impl Exact for Image {
    fn truth(&self) -> Truth {
        let (mean, variance) = self.moments.clone().unzip();
        Truth {
            log_z: Some(0.0),
            mean,
            variance,
            source: "change of variables; moments by quadrature".into(),
            ..Truth::default()
        }
    }

    fn sampler(&self) -> Option<&dyn ExactSampler> {
        Some(self)
    }
}

impl ExactSampler for Image {
    fn sample(&self, cx: &mut Cx<'_>, mut out: ArrayViewMut2<'_, f64>) -> Result {
        let d = Target::dim(self);
        check_columns(d, &out)?;
        self.base.sample(cx, out.view_mut())?;
        let mut buffer = cx.take(2 * d);
        let (y, x) = buffer.split_at_mut(d);
        for mut row in out.rows_mut() {
            y.iter_mut().zip(&row).for_each(|(y, v)| *y = *v);
            self.warp.inverse(y, x);
            row.iter_mut().zip(x.iter()).for_each(|(o, x)| *o = *x);
        }
        cx.give(buffer);
        Ok(())
    }
}

register! {
    target "warped-mixture" => WarpedMixture, needs NOTHING,
        summary "Gaussian mixture seen through asinh, log, softplus, affine maps or couplings",
        source "change of variables";
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use retrograde_core::registry::Folder;
    use retrograde_core::{WarpKind, WarpStep};
    use retrograde_testkit::*;

    fn settings(warp: Vec<WarpStep>) -> WarpedMixture {
        WarpedMixture {
            base: Mixture {
                weights: Some(vec![0.4, 0.6]),
                means: vec![vec![-0.5, 0.5], vec![0.6, 0.0]],
                sd: Some(vec![0.3, 0.4].into()),
                variances: None,
                covariances: None,
                log_z: 0.0,
            },
            warp: warp.into(),
        }
    }

    fn build(t: WarpedMixture) -> Result<Arc<dyn Target>> {
        t.build(&Parts::new(&Folder::default()))
    }

    #[test]
    fn images_have_mass_one_their_draws_and_gradients() {
        let coupling = WarpStep {
            weights: Some(vec![vec![0.7]]),
            shift_weights: Some(vec![vec![-0.4]]),
            ..WarpStep::new(WarpKind::AffineCoupling)
        };
        let one = |k: WarpKind| vec![WarpStep::new(k)];
        for (warp, mean) in [
            (one(WarpKind::Asinh), [0.0, 0.0]),
            (one(WarpKind::Log), [1.2, 1.4]),
            (one(WarpKind::Softplus), [0.8, 0.9]),
            (vec![coupling, WarpStep::new(WarpKind::Asinh)], [0.0, 0.0]),
        ] {
            let what = format!("{:?}", warp[0].map);
            let target = build(settings(warp)).unwrap();
            let x = array![[0.3, 0.9], [1.4, 0.2], [0.05, 2.0]];
            assert_target(&what, &*target, x.view());
            assert_exact_sampler(&what, &*target, 20_000, 3);
            let (by, se) = importance_log_z(&*target, &mean, &[1.5; 2], 60_000, 4);
            assert_z(&what, by, 0.0, se);
        }
        // The mean of a log-normal mixture.
        let target = build(settings(one(WarpKind::Log))).unwrap();
        let truth = target.exact().unwrap().truth();
        let want = 0.4 * (-0.5f64 + 0.045).exp() + 0.6 * (0.6f64 + 0.08).exp();
        assert!((truth.mean.unwrap()[0] - want).abs() < 1e-12);
        assert_eq!(
            eval(&*target, &[-1.0, 1.0]),
            (f64::NEG_INFINITY, vec![0.0; 2])
        );
    }

    #[test]
    fn mistakes_name_their_key() {
        let message = |t: WarpedMixture| build(t).err().unwrap().to_string();
        let stray = WarpStep {
            shift: Some(1.0.into()),
            ..WarpStep::new(WarpKind::Log)
        };
        assert!(message(settings(vec![stray])).contains("`warp[0].shift`"));
        let mut wrong = settings(vec![]);
        wrong.base.sd = Some(0.0.into());
        assert!(message(wrong).contains("`base.sd` is 0"));
    }
}
