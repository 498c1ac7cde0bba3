//! Whether a score belongs to a process: with its drift and its diffusion coefficient.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use retrograde_core::forward::forward;
use retrograde_core::{
    Cx, Error, ExactSampler, Field, ForwardProcess, LogMarginal, Result, Score, Times,
};

/// Step of the differences in time, relative to t.
const STEP: f64 = 1e-3;
/// Euler–Maruyama steps to the latest time, where the process has no transition.
const SUBSTEPS: f64 = 2000.0;

/// One check at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct StatedCheck {
    /// What was checked, in words.
    pub what: &'static str,
    /// The time.
    pub t: f64,
    /// What was found: a relative residual, or |z|, the number of standard errors.
    pub found: f64,
    /// Above this the score is not that of the process's marginals.
    pub allowed: f64,
}

impl StatedCheck {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.found <= self.allowed
    }
}

/// What [`check_score`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreReport {
    /// All checks that could be made.
    pub checks: Vec<StatedCheck>,
}

impl ScoreReport {
    /// Whether all hold.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.checks.iter().all(StatedCheck::holds)
    }

    /// The worst, by found/allowed.
    #[must_use]
    pub fn worst(&self) -> Option<&StatedCheck> {
        let ratio = |c: &StatedCheck| c.found / c.allowed;
        self.checks
            .iter()
            .max_by(|a, b| ratio(a).total_cmp(&ratio(b)))
    }
}

/// Checks that `score` is that of the marginals of `process`, at each of `times` (> 0):
///
/// 1. with a log marginal ℓ, at `points` (n × d): s = ∇ℓ, to 1e-5 relative, by differences;
/// 2. with one: the Fokker–Planck equation ∂ₜℓ + ∇·v + v·s = 0 with v = f − ½ (∇·D + D s), to 1e-4 of the
///    size of its terms;
/// 3. with `draws` (draws of the data and their number n ≥ 100): Stein's identity E[s·φ + ∇·φ] = 0 under
///    q_t, over draws simulated forwards, for φ = eⱼ tanh((xⱼ − m)/c) and eⱼ with m, c their means and
///    standard deviations: |z| < 5, of at most 2 d sums.
///
/// The second and third know the diffusion coefficient, so that they see a factor that is missing and a
/// score of y = ψ(x) taken for that of x.
///
/// # Errors
/// [`Error::Argument`] when nothing can be checked or a time is not above 0; what process and score return.
pub fn check_score(
    cx: &mut Cx<'_>,
    process: &dyn ForwardProcess,
    score: &dyn Score,
    points: ArrayView2<'_, f64>,
    draws: Option<(&dyn ExactSampler, usize)>,
    times: &[f64],
) -> Result<ScoreReport> {
    let wrong = |argument: &str, given: String, allowed: &str| {
        Err(Error::Argument {
            component: "check of a score".into(),
            argument: argument.into(),
            given,
            allowed: allowed.into(),
        })
    };
    if let Some(t) = times
        .iter()
        .find(|t| !(**t > 0.0 && **t <= process.t_end()))
    {
        return wrong("times", t.to_string(), "above 0 and at most t_end");
    }
    if score.log_marginal().is_none() && draws.is_none() {
        return wrong(
            "draws",
            "none".into(),
            "given for a score without log marginal",
        );
    }
    if let Some((_, n)) = draws
        && n < 100
    {
        return wrong("draws", format!("{n} draws"), "at least 100");
    }
    let mut checks = Vec::new();
    for t in times {
        if let Some(marginal) = score.log_marginal() {
            let found = slope_error(cx, score, marginal, *t, points)?;
            let what = "score against differences of the log marginal";
            checks.push(StatedCheck {
                what,
                t: *t,
                found,
                allowed: 1e-5,
            });
            let found = residual(cx, process, score, marginal, *t, points)?;
            let what = "Fokker–Planck equation of the log marginal";
            checks.push(StatedCheck {
                what,
                t: *t,
                found,
                allowed: 1e-4,
            });
        }
        if let Some((sampler, n)) = draws {
            let mut x = Array2::zeros((n, process.dim()));
            sampler.sample(&mut cx.at("draws", 0), x.view_mut())?;
            let steps = (SUBSTEPS * t / process.t_end()).ceil().max(1.0) as usize;
            forward(
                &mut cx.at("check", 0),
                process,
                (0.0, *t),
                steps,
                x.view_mut(),
            )?;
            let found = stein(cx, score, *t, &x)?;
            let what = "Stein's identity over simulated draws";
            checks.push(StatedCheck {
                what,
                t: *t,
                found,
                allowed: 5.0,
            });
        }
    }
    Ok(ScoreReport { checks })
}

fn log_marginal(
    cx: &mut Cx<'_>,
    marginal: &dyn LogMarginal,
    t: f64,
    x: ArrayView2<'_, f64>,
) -> Result<Array1<f64>> {
    let mut l = Array1::zeros(x.nrows());
    marginal.log_marginal(cx, Times::Shared(t), x, l.view_mut())?;
    Ok(l)
}

fn worst(values: impl Iterator<Item = f64>) -> f64 {
    // NaN is as bad as can be.
    values.fold(0.0, |m, v| {
        if v.is_nan() {
            f64::INFINITY
        } else {
            m.max(v.abs())
        }
    })
}

fn slope_error(
    cx: &mut Cx<'_>,
    score: &dyn Score,
    marginal: &dyn LogMarginal,
    t: f64,
    x: ArrayView2<'_, f64>,
) -> Result<f64> {
    let mut s = Array2::<f64>::zeros(x.dim());
    cx.eval_score(score, Times::Shared(t), x, s.view_mut())?;
    let mut found = 0.0f64;
    for j in 0..x.ncols() {
        let mut slope = Array1::<f64>::zeros(x.nrows());
        // Fourth order.
        for (offset, weight) in [(1.0, 8.0), (-1.0, -8.0), (2.0, -1.0), (-2.0, 1.0)] {
            let h = |x: f64| STEP * x.abs().max(1.0);
            let mut y = x.to_owned();
            y.column_mut(j).mapv_inplace(|v| v + offset * h(v));
            let l = log_marginal(cx, marginal, t, y.view())?;
            for ((s, l), x) in slope.iter_mut().zip(&l).zip(x.column(j)) {
                *s += weight * l / (12.0 * h(*x));
            }
        }
        let error = slope
            .iter()
            .zip(s.rows())
            .map(|(slope, s)| (*slope - s[j]) / worst(s.iter().copied()).max(1.0));
        found = found.max(worst(error));
    }
    Ok(found)
}

fn residual(
    cx: &mut Cx<'_>,
    process: &dyn ForwardProcess,
    score: &dyn Score,
    marginal: &dyn LogMarginal,
    t: f64,
    x: ArrayView2<'_, f64>,
) -> Result<f64> {
    let n = x.nrows();
    let h = STEP * t;
    let mut change = Array1::<f64>::zeros(n);
    for (offset, weight) in [(1.0, 8.0), (-1.0, -8.0), (2.0, -1.0), (-2.0, 1.0)] {
        let l = log_marginal(cx, marginal, t + offset * h, x)?;
        change.scaled_add(weight / (12.0 * h), &l);
    }
    let field = Field { process, score };
    let now = Times::Shared(t);
    let (mut v, mut s) = (Array2::zeros(x.dim()), Array2::zeros(x.dim()));
    let mut divergence = Array1::zeros(n);
    field.velocity(cx, now, x, v.view_mut())?;
    cx.eval_score(score, now, x, s.view_mut())?;
    field.divergence(cx, now, x, -0.5, None, divergence.view_mut())?;
    Ok(worst((0..n).map(|i| {
        let flow = v.row(i).dot(&s.row(i));
        let size = change[i].abs() + f64::abs(divergence[i]) + flow.abs();
        (change[i] + divergence[i] + flow) / size.max(1.0)
    })))
}

/// Largest |z| of the sums.
fn stein(cx: &mut Cx<'_>, score: &dyn Score, t: f64, x: &Array2<f64>) -> Result<f64> {
    let n = x.nrows() as f64;
    let mut s = Array2::zeros(x.dim());
    cx.eval_score(score, Times::Shared(t), x.view(), s.view_mut())?;
    let z = |values: Array1<f64>| {
        let mean = values.sum() / n;
        let variance = values.mapv(|v| (v - mean).powi(2)).sum() / (n - 1.0);
        mean / (variance / n).sqrt()
    };
    let mut found = 0.0f64;
    for j in 0..x.ncols() {
        let (column, s): (ArrayView1<'_, f64>, ArrayView1<'_, f64>) = (x.column(j), s.column(j));
        // Median and quartiles, which heavy tails leave alone.
        let mut sorted = column.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted[((n - 1.0) * share) as usize];
        let (m, c) = (at(0.5), (at(0.75) - at(0.25)).max(f64::MIN_POSITIVE));
        let values = column.iter().zip(s).map(|(x, s)| {
            let tanh = ((x - m) / c).tanh();
            s * tanh + (1.0 - tanh * tanh) / c
        });
        found = worst([found, z(values.collect()), z(s.to_owned())].into_iter());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact;
    use crate::test_processes::{Alike, Ou};
    use ndarray::{ArrayViewMut1, ArrayViewMut2, array};
    use retrograde_core::{GaussianMixture, Law, Target, Traits, WarpMap};
    use retrograde_testkit::with_cx;
    use std::sync::Arc;

    fn mixture() -> GaussianMixture {
        let means = array![[1.0, -0.5], [-1.0, 0.7]];
        GaussianMixture::isotropic(array![1.0, 2.0], means, array![0.4, 0.6]).unwrap()
    }

    /// x = sinh y, y from the mixture.
    struct Sinh(GaussianMixture, WarpMap);

    impl Target for Sinh {
        fn dim(&self) -> usize {
            2
        }
        fn has_density(&self) -> bool {
            false
        }
        fn law(&self) -> Option<Law<'_>> {
            Some(Law::Warped {
                warp: &self.1,
                base: &self.0,
            })
        }
        fn eval(
            &self,
            _cx: &mut Cx<'_>,
            _x: ArrayView2<'_, f64>,
            _l: Option<ArrayViewMut1<'_, f64>>,
            _g: Option<ArrayViewMut2<'_, f64>>,
        ) -> Result {
            Ok(())
        }
    }

    impl ExactSampler for Sinh {
        fn sample(&self, cx: &mut Cx<'_>, mut out: ArrayViewMut2<'_, f64>) -> Result {
            ExactSampler::sample(&self.0, cx, out.view_mut())?;
            out.mapv_inplace(f64::sinh);
            Ok(())
        }
    }

    /// A score with something wrong.
    struct Wrong<'a> {
        inner: &'a dyn Score,
        factor: f64,
        of_y: bool,
        marginal: bool,
    }

    impl Score for Wrong<'_> {
        fn dim(&self) -> usize {
            self.inner.dim()
        }
        fn traits(&self) -> Traits {
            self.inner.traits()
        }
        fn eval(
            &self,
            cx: &mut Cx<'_>,
            t: Times<'_>,
            x: ArrayView2<'_, f64>,
            mut out: ArrayViewMut2<'_, f64>,
        ) -> Result {
            self.inner.eval(cx, t, x, out.view_mut())?;
            if self.of_y {
                // s_y = (s_x + x/w) √w, w = 1 + x².
                out.zip_mut_with(&x, |s, x| {
                    let w = 1.0 + x * x;
                    *s = (*s + x / w) * w.sqrt();
                });
            }
            out *= self.factor;
            Ok(())
        }
        fn log_marginal(&self) -> Option<&dyn LogMarginal> {
            self.marginal.then(|| self.inner.log_marginal()).flatten()
        }
    }

    fn points() -> Array2<f64> {
        Array2::from_shape_fn((6, 2), |(i, j)| 0.5 * i as f64 - 1.2 + 0.3 * j as f64)
    }

    fn report(
        process: &dyn ForwardProcess,
        score: &dyn Score,
        draws: Option<&dyn ExactSampler>,
    ) -> ScoreReport {
        let draws = draws.map(|d| (d, 20_000));
        with_cx(2, |cx| {
            check_score(cx, process, score, points().view(), draws, &[0.3, 1.0])
        })
        .unwrap()
    }

    #[test]
    fn right_scores_pass_and_a_factor_is_seen_with_and_without_a_log_marginal() {
        for process in [Ou::scalar(2, 1.0), Ou::rotated([0.4, 1.7], 0.6, 0.9)] {
            let process = Arc::new(process);
            let score = exact(&mixture(), process.clone()).unwrap();
            let found = report(&*process, &*score, Some(&mixture()));
            assert!(found.holds() && found.checks.len() == 6, "{found:?}");
            for marginal in [true, false] {
                let wrong = Wrong {
                    inner: &*score,
                    factor: 1.1,
                    of_y: false,
                    marginal,
                };
                let found = report(&*process, &wrong, Some(&mixture()));
                assert!(found.checks.iter().all(|c| !c.holds()), "{found:?}");
            }
        }
    }

    #[test]
    fn the_score_of_y_is_not_taken_for_that_of_x() {
        let process = Arc::new(Alike::sinh(2));
        let target = Sinh(mixture(), WarpMap::default());
        let score = exact(&target, process.clone()).unwrap();
        let found = report(&*process, &*score, Some(&target));
        assert!(found.holds(), "{found:?}");
        let wrong = Wrong {
            inner: &*score,
            factor: 1.0,
            of_y: true,
            marginal: false,
        };
        let found = report(&*process, &wrong, Some(&target));
        assert!(found.checks.iter().all(|c| !c.holds()), "{found:?}");
    }

    #[test]
    fn another_diffusion_coefficient_is_seen_by_the_equation_alone() {
        let score = exact(&mixture(), Arc::new(Ou::diagonal(&[1.0, 1.0], 2.0))).unwrap();
        let found = report(&Ou::diagonal(&[1.0, 1.0], 2.0), &*score, None);
        assert!(found.holds() && found.checks.len() == 4, "{found:?}");
        let found = report(&Ou::diagonal(&[1.0, 1.0], 2.2), &*score, None);
        let slopes = |c: &&StatedCheck| c.what.contains("differences");
        assert!(found.checks.iter().filter(slopes).all(StatedCheck::holds));
        assert!(
            !found.holds() && found.worst().unwrap().what.contains("Fokker"),
            "{found:?}"
        );
    }

    #[test]
    fn what_cannot_be_checked_is_said() {
        let process = Arc::new(Ou::scalar(2, 1.0));
        let score = exact(&mixture(), process.clone()).unwrap();
        let hidden = Wrong {
            inner: &*score,
            factor: 1.0,
            of_y: false,
            marginal: false,
        };
        let says = |score: &dyn Score, times: &[f64]| {
            with_cx(0, |cx| {
                check_score(cx, &*process, score, points().view(), None, times)
            })
            .unwrap_err()
            .to_string()
        };
        assert!(says(&hidden, &[1.0]).contains("`draws` is none"));
        assert!(says(&*score, &[0.0]).contains("`times` is 0"));
    }
}
