//! The score of noised i.i.d. data: a mixture of transition kernels around the data points.
//!
//! q̂_t(x) = (1/n) Σᵢ p(x_t = x | x_0 = x⁽ⁱ⁾),   ∇ log q̂_t = Σᵢ wᵢ ∇ₓ log p(x | x⁽ⁱ⁾),   w = softmax log p
//!
//! Linear processes have Gaussian kernels, and the score is Tweedie's formula with the mean over the
//! data; a bandwidth h starts from N(x⁽ⁱ⁾, h² I) instead of the point. Other processes are asked for
//! their transition. Near t = 0 it leads back to the data themselves: see Karras et al. (2022),
//! arXiv:2206.00364, app. B.3; Biroli et al. (2024), arXiv:2402.18491 on the collapse.

use crate::noised::{Noised, each_time};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, s};
use retrograde_core::numeric::relative_weight;
use retrograde_core::registry::Parts;
use retrograde_core::table::Rows;
use retrograde_core::{
    Build, Covariances, Cx, Error, Flag, ForwardProcess, GaussianMixture, LogMarginal, Result,
    Score, ScoreJvp, Severity, Times, Traits, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

const NAME: &str = "score empirical";
/// Data points of which kernels are held at a time, for one row.
const HELD: usize = 512;

/// Settings, as written under `[score]` with `kind = "empirical"`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Empirical {
    /// CSV or NPY file of the data (n × d), relative to the job. Without it the target must be of
    /// kind `data`, whose rows are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Names of the columns of `file` to use, in this order; all if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Standard deviation h ≥ 0 of a Gaussian around each point, in the units of x: 0 is the empirical
    /// law itself. Only for linear processes.
    #[schemars(range(min = 0.0))]
    pub bandwidth: f64,
}

impl Build<dyn Score> for Empirical {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Score>> {
        let process = parts.require_process(NAME)?;
        let data = match (&self.file, parts.require_target(NAME)?.mixture()) {
            (Some(file), _) => {
                let rows = Rows::read(NAME, parts.files, file, self.columns.as_deref())?;
                if rows.values.ncols() != process.dim() {
                    let found = format!("{} columns of numbers", rows.values.ncols());
                    let allowed = format!("a file of {} (the dimension)", process.dim());
                    return Err(Error::setting(NAME, "file", found, allowed));
                }
                GaussianMixture::points(Array1::ones(rows.values.nrows()), rows.values)?
            }
            (None, _) if self.columns.is_some() => {
                let allowed = "given only beside `file`";
                return Err(Error::setting(NAME, "columns", "given", allowed));
            }
            (None, Some(m)) if is_points(m) => m.clone(),
            (None, _) => {
                return Err(Error::Missing {
                    component: NAME.into(),
                    needed: "data points".into(),
                    holder: "the target".into(),
                    advice: "write `file` under [score], or choose the target `data`".into(),
                });
            }
        };
        self.of(&data, process)
    }
}

fn is_points(mixture: &GaussianMixture) -> bool {
    matches!(mixture.covariances(), Covariances::Isotropic(v) if v.iter().all(|v| *v == 0.0))
}

impl Empirical {
    /// The score of the weighted points `data` under `process`, with the bandwidth of these settings.
    ///
    /// # Errors
    /// [`Error::Setting`]; [`Error::Missing`] when the process is not linear and has no transition with
    /// a density.
    pub fn of(
        &self,
        data: &GaussianMixture,
        process: Arc<dyn ForwardProcess>,
    ) -> Result<Arc<dyn Score>> {
        let h = self.bandwidth;
        if !(h >= 0.0 && (h == 0.0 || (h * h).is_normal())) {
            let allowed = "at least 0 and finite, its square too";
            return Err(Error::setting(NAME, "bandwidth", h, allowed));
        }
        let plain = process.warp().is_none();
        if plain {
            let smooth = if h > 0.0 {
                data.noised(1.0, h * h)?
            } else {
                data.clone()
            };
            if let Some(noised) = Noised::new(NAME, process.clone(), &smooth)? {
                return Ok(Arc::new(OfLinear { noised }));
            }
        }
        if process.transition().is_none() {
            return Err(Error::Missing {
                component: NAME.into(),
                needed: "a transition kernel with a density".into(),
                holder: "the process".into(),
                advice:
                    "linear processes (`vp`, `ve`, …), `benes`, `warped-ou` and `cir` have it; \
                         else choose the score `particle`"
                        .into(),
            });
        }
        if h > 0.0 {
            let allowed = "0 for a process that is not linear";
            return Err(Error::setting(NAME, "bandwidth", h, allowed));
        }
        if data.means().ncols() != process.dim() {
            let expected = format!("{} columns", process.dim());
            let found = format!("{} columns", data.means().ncols());
            return Err(Error::shape(NAME, "data", expected, found));
        }
        let (low, high) = process.support();
        if let Some(((i, j), v)) = data
            .means()
            .indexed_iter()
            .find(|(_, v)| !(**v > low && **v < high))
        {
            return Err(Error::Argument {
                component: NAME.into(),
                argument: format!("row {}, column {} of the data", i + 1, j + 1),
                given: v.to_string(),
                allowed: format!("above {low} and below {high}, where the process lives"),
            });
        }
        Ok(Arc::new(Kernels {
            log_weights: data.weights().mapv(f64::ln),
            points: data.means().clone(),
            process,
        }))
    }
}

fn collapse(n: usize) -> Vec<Flag> {
    vec![Flag::new(
        Severity::Note,
        "score-empirical",
        format!(
            "the score is that of {n} data points under the process, not of the law they are from"
        ),
        "towards t = 0 draws end at the data points; smooth them by `bandwidth` if that is not wanted",
    )]
}

struct OfLinear {
    noised: Noised,
}

impl Score for OfLinear {
    fn dim(&self) -> usize {
        self.noised.start().means().ncols()
    }

    fn traits(&self) -> Traits {
        Traits::PURE
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.noised.eval(cx, t, x, out)
    }

    fn jvp(&self) -> Option<&dyn ScoreJvp> {
        Some(&self.noised)
    }

    fn log_marginal(&self) -> Option<&dyn LogMarginal> {
        Some(&self.noised)
    }

    fn flags(&self) -> Vec<Flag> {
        collapse(self.noised.start().components())
    }
}

/// A mixture of kernels of a process that is not linear.
struct Kernels {
    log_weights: Array1<f64>,
    points: Array2<f64>,
    process: Arc<dyn ForwardProcess>,
}

impl Kernels {
    /// log q̂ and its gradient. Points are worked through in chunks, as those of a mixture: a later
    /// chunk with a larger maximum scales down what was summed so far.
    fn visit(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut score: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let Some(transition) = self.process.transition() else {
            return Err(Error::Breakdown {
                component: NAME.into(),
                message: "the process has lost its transition".into(),
                advice: "let its `transition` always give the same".into(),
            });
        };
        let d = x.ncols();
        let many = self.points.nrows();
        let held = HELD.min(many);
        let [mut a, mut b, mut l, mut g] = [held * d, held * d, held, d].map(|len| cx.take(len));
        let outcome = each_time(t, x.nrows(), |t, rows| {
            if t <= 0.0 {
                return Err(Error::Breakdown {
                    component: NAME.into(),
                    message: format!("at t = {t} the law is one of point masses, without a score"),
                    advice: "let the time grid end above 0".into(),
                });
            }
            for r in rows {
                g.fill(0.0);
                let (mut max, mut sum) = (f64::NEG_INFINITY, 0.0);
                for first in (0..many).step_by(held) {
                    let some = held.min(many - first);
                    let here = &mut a[..some * d];
                    here.chunks_exact_mut(d)
                        .for_each(|row| x.row(r).iter().zip(row).for_each(|(x, v)| *v = *x));
                    let here = ArrayView2::from_shape((some, d), here).expect("some × d");
                    let mut slope =
                        ArrayViewMut2::from_shape((some, d), &mut b[..some * d]).expect("some × d");
                    let from = self.points.slice(s![first..first + some, ..]);
                    transition.score(
                        cx,
                        0.0,
                        t,
                        from,
                        here,
                        Some(ArrayViewMut1::from(&mut l[..some])),
                        score.is_some().then(|| slope.view_mut()),
                    )?;
                    let weights = self.log_weights.slice(s![first..first + some]);
                    let l = &mut l[..some];
                    l.iter_mut().zip(&weights).for_each(|(l, w)| *l += w);
                    let before = max;
                    max = l.iter().fold(max, |m: f64, l| m.max(*l));
                    if max == f64::NEG_INFINITY {
                        continue;
                    }
                    let factor = relative_weight(before - max);
                    sum *= factor;
                    g.iter_mut().for_each(|g| *g *= factor);
                    for (l, slope) in l.iter().zip(slope.rows()) {
                        let w = relative_weight(l - max);
                        sum += w;
                        if w > 0.0 && score.is_some() {
                            add(&mut g, w, slope);
                        }
                    }
                }
                if let Some(out) = &mut log_density {
                    out[r] = max + f64::ln(sum);
                }
                if let Some(out) = &mut score {
                    let scale = if sum > 0.0 { 1.0 / sum } else { 0.0 };
                    out.row_mut(r)
                        .iter_mut()
                        .zip(&*g)
                        .for_each(|(o, g)| *o = g * scale);
                }
            }
            Ok(())
        });
        for buffer in [a, b, l, g] {
            cx.give(buffer);
        }
        outcome
    }
}

fn add(to: &mut [f64], w: f64, v: ArrayView1<'_, f64>) {
    to.iter_mut().zip(v).for_each(|(to, v)| *to += w * v);
}

impl Score for Kernels {
    fn dim(&self) -> usize {
        self.points.ncols()
    }

    fn traits(&self) -> Traits {
        self.process.traits()
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.visit(cx, t, x, None, Some(out))
    }

    fn log_marginal(&self) -> Option<&dyn LogMarginal> {
        Some(self)
    }

    fn flags(&self) -> Vec<Flag> {
        collapse(self.points.nrows())
    }
}

impl LogMarginal for Kernels {
    fn log_marginal(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        self.visit(cx, t, x, Some(out), None)
    }
}

register! {
    score "empirical" => Empirical, needs PROCESS,
        summary "Score of noised i.i.d. data from a CSV or NPY file, or of the target `data`",
        source "mixture of transition kernels; Tweedie's formula where they are Gaussian";
}

#[cfg(test)]
mod tests;
