//! The score from simulated particles, for processes whose transition is not known.
//!
//! q_t(x) ≈ (1/N) Σⱼ N(x; rⱼ + δ f(rⱼ), δ D(rⱼ)),   rⱼ ~ q_{t−δ}
//!
//! N particles are simulated forwards once, from exact draws of the target, to a grid of times; for a
//! time t the last of them with δ ≥ `lag` · t is taken, and one Euler–Maruyama step leads from there to t.
//! Kernel estimates of this kind: Milstein, Schoenmakers & Spokoiny (2004), Bernoulli 10, 281. The bias is O(δ),
//! the variance of order 1/(N δ^{d/2}): a longer lag smooths more. Before the first time of the grid, and
//! with it at t → 0, the kernels sit on the draws of the target themselves.

use crate::noised::each_time;
use ndarray::{Array1, Array2, Array3, ArrayView2, ArrayViewMut1, ArrayViewMut2, s};
use retrograde_core::forward::forward;
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, Flag, ForwardProcess, GaussianMixture, LogMarginal, Result, Runtime, Score,
    ScoreJvp, Severity, Target, Times, Traits, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};

const NAME: &str = "score particle";
/// The first time after 0, relative to T.
const FIRST: f64 = 1e-4;
/// Mixtures kept by time.
const KEPT: usize = 8;

/// Settings, as written under `[score]` with `kind = "particle"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Particle {
    /// Particles N, 2 to 10⁶.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub particles: usize,
    /// Times at which particles are kept, 2 to 10⁴: 0, then in equal ratios from 10⁻⁴ T to T.
    #[schemars(range(min = 2, max = 10_000))]
    pub times: usize,
    /// Least share of t that the last step covers, above 0, below 1.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub lag: f64,
    /// Euler–Maruyama steps that T is at least divided into, ≥ 1; every interval of the grid has one.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// Seed of the particles, which are the same whatever the seed of the run.
    pub seed: u64,
}

impl Default for Particle {
    fn default() -> Self {
        Self {
            particles: 2000,
            times: 200,
            lag: 0.1,
            steps: 1000,
            seed: 0,
        }
    }
}

impl Build<dyn Score> for Particle {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Score>> {
        let (target, process) = (parts.require_target(NAME)?, parts.require_process(NAME)?);
        self.of(&*target, process)
    }
}

impl Particle {
    /// The score of `target` under `process`; simulates the particles.
    ///
    /// # Errors
    /// [`Error::Setting`]; [`Error::Missing`] for a target without exact draws; what the process returns;
    /// [`Error::Breakdown`] when particles leave the finite numbers.
    pub fn of(
        self,
        target: &dyn Target,
        process: Arc<dyn ForwardProcess>,
    ) -> Result<Arc<dyn Score>> {
        for (key, given, range) in [
            ("particles", self.particles, 2..=1_000_000),
            ("times", self.times, 2..=10_000),
            ("steps", self.steps, 1..=100_000_000),
        ] {
            if !range.contains(&given) {
                let allowed = format!("from {} to {}", range.start(), range.end());
                return Err(Error::setting(NAME, key, given, allowed));
            }
        }
        if !(self.lag > 0.0 && self.lag < 1.0) {
            return Err(Error::setting(NAME, "lag", self.lag, "above 0 and below 1"));
        }
        let Some(sampler) = target.exact().and_then(|e| e.sampler()) else {
            return Err(Error::Missing {
                component: NAME.into(),
                needed: "exact draws to start particles from".into(),
                holder: "the target".into(),
                advice:
                    "write draws of it to a file and use the target `data`, or choose the score \
                         `monte-carlo` (linear processes) or `fokker-planck` (d = 1)"
                        .into(),
            });
        };
        let (n, d, end) = (self.particles, process.dim(), process.t_end());
        if target.dim() != d {
            return Err(Error::Argument {
                component: NAME.into(),
                argument: "dimension of the target".into(),
                given: target.dim().to_string(),
                allowed: format!("{d}, that of the process"),
            });
        }
        let last = (self.times - 2).max(1) as f64;
        let times: Vec<f64> = std::iter::once(0.0)
            .chain((0..self.times - 1).map(|k| end * FIRST.powf(1.0 - k as f64 / last)))
            .collect();
        let mut layers = Vec::with_capacity(times.len());
        Runtime::new(self.seed, 1)?.enter(NAME, 0, |cx| {
            let mut x = Array2::zeros((n, d));
            sampler.sample(&mut cx.at("start", 0), x.view_mut())?;
            for (k, t) in times.iter().enumerate() {
                if k > 0 {
                    let span = (times[k - 1], *t);
                    let share = (span.1 - span.0) / end * self.steps as f64;
                    let steps = share.ceil().max(1.0) as usize;
                    let mut cx = cx.at("interval", k as u64);
                    forward(&mut cx, &*process, span, steps, x.view_mut())?;
                }
                layers.push(layer(cx, &*process, *t, &x)?);
            }
            Ok::<(), Error>(())
        })?;
        Ok(Arc::new(Simulated {
            settings: self,
            times,
            layers,
            dim: d,
            kept: Mutex::new(Vec::with_capacity(KEPT)),
        }))
    }
}

/// Particles at a time, with drift and D = G Gᵀ there.
struct Layer {
    x: Array2<f64>,
    f: Array2<f64>,
    d: Noise,
}

enum Noise {
    /// N × d.
    Diagonal(Array2<f64>),
    /// N × d × d.
    Dense(Array3<f64>),
}

fn layer(cx: &mut Cx<'_>, process: &dyn ForwardProcess, t: f64, x: &Array2<f64>) -> Result<Layer> {
    let (n, d) = x.dim();
    let now = Times::Shared(t);
    if x.iter().any(|v| !v.is_finite()) {
        return Err(Error::Breakdown {
            component: NAME.into(),
            message: format!("particles are no longer finite at t = {t}"),
            advice: "take more `steps`, or a process whose drift grows less".into(),
        });
    }
    let mut f = Array2::zeros((n, d));
    process.drift(cx, now, x.view(), f.view_mut())?;
    // Columns of D.
    let mut dense = Array3::zeros((n, d, d));
    for j in 0..d {
        let (mut unit, mut column) = (Array2::zeros((n, d)), Array2::zeros((n, d)));
        unit.column_mut(j).fill(1.0);
        process.apply_ggt(cx, now, x.view(), unit.view(), column.view_mut())?;
        dense.slice_mut(s![.., .., j]).assign(&column);
    }
    let diagonal = dense
        .indexed_iter()
        .all(|((_, i, j), v)| i == j || *v == 0.0);
    let d = if diagonal {
        Noise::Diagonal(Array2::from_shape_fn((n, d), |(i, j)| dense[(i, j, j)]))
    } else {
        Noise::Dense(dense)
    };
    let x = x.clone();
    Ok(Layer { x, f, d })
}

type Slot = (u64, Arc<GaussianMixture>);

struct Simulated {
    settings: Particle,
    times: Vec<f64>,
    layers: Vec<Layer>,
    dim: usize,
    /// The most recent last.
    kept: Mutex<Vec<Slot>>,
}

impl Simulated {
    fn law(&self, t: f64) -> Result<GaussianMixture> {
        if !(t > 0.0 && t.is_finite()) {
            return Err(Error::Breakdown {
                component: NAME.into(),
                message: format!("at t = {t} there is no noise, and so no kernel"),
                advice: "let the time grid end above 0".into(),
            });
        }
        let before = self
            .times
            .partition_point(|s| *s <= t * (1.0 - self.settings.lag))
            .max(1);
        let (layer, delta) = (&self.layers[before - 1], t - self.times[before - 1]);
        let centres = &layer.x + &(&layer.f * delta);
        let weights = Array1::ones(centres.nrows());
        let law = match &layer.d {
            Noise::Diagonal(d) => GaussianMixture::diagonal(weights, centres, d * delta),
            Noise::Dense(d) => GaussianMixture::dense(weights, centres, d * delta),
        };
        law.map_err(|e| Error::Breakdown {
            component: NAME.into(),
            message: format!("no kernels at t = {t}: {e}"),
            advice: "the noise of the process must be of full rank where particles are".into(),
        })
    }

    fn at(&self, t: f64) -> Result<Arc<GaussianMixture>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, law)) = kept.iter().find(|(bits, _)| *bits == t.to_bits()) {
            return Ok(law.clone());
        }
        let law = Arc::new(self.law(t)?);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((t.to_bits(), law.clone()));
        Ok(law)
    }
}

impl Score for Simulated {
    fn dim(&self) -> usize {
        self.dim
    }

    fn traits(&self) -> Traits {
        Traits::PURE
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        each_time(t, x.nrows(), |t, rows| {
            let some = s![rows, ..];
            self.at(t)?
                .eval(cx, x.slice(some), None, Some(out.slice_mut(some)))
        })
    }

    fn jvp(&self) -> Option<&dyn ScoreJvp> {
        Some(self)
    }

    fn log_marginal(&self) -> Option<&dyn LogMarginal> {
        Some(self)
    }

    fn flags(&self) -> Vec<Flag> {
        vec![Flag::new(
            Severity::Warning,
            "score-particle",
            format!(
                "the score is approximated: a mixture of Euler–Maruyama kernels over the last {:.0} % \
                 of t around {} simulated particles",
                100.0 * self.settings.lag,
                self.settings.particles
            ),
            "compare with twice the `particles`, and with another `lag`",
        )]
    }
}

impl ScoreJvp for Simulated {
    fn jvp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        tangents: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        each_time(t, x.nrows(), |t, rows| {
            let some = s![rows, ..];
            let (x, tangents) = (x.slice(some), tangents.slice(some));
            self.at(t)?.score_jvp(cx, x, tangents, out.slice_mut(some))
        })
    }
}

impl LogMarginal for Simulated {
    fn log_marginal(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        each_time(t, x.nrows(), |t, rows| {
            let l = out.slice_mut(s![rows.clone()]);
            self.at(t)?.eval(cx, x.slice(s![rows, ..]), Some(l), None)
        })
    }
}

register! {
    score "particle" => Particle, needs PROCESS,
        summary "Score from simulated particles and one-step kernels, for any process; approximated",
        source "Milstein, Schoenmakers & Spokoiny (2004), Bernoulli 10, 281";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact;
    use crate::test_processes::{Alike, Ou};
    use ndarray::array;
    use retrograde_core::PointTarget;
    use retrograde_testkit::with_cx;

    fn law(d: usize) -> GaussianMixture {
        let means = Array2::from_shape_fn((2, d), |(k, j)| 1.6 * k as f64 - 0.8 + 0.2 * j as f64);
        GaussianMixture::isotropic(array![1.0, 1.0], means, array![0.2, 0.3]).unwrap()
    }

    /// Mean square error of the score over draws of q_t.
    fn error(
        process: Arc<dyn ForwardProcess>,
        truth: &dyn Score,
        settings: Particle,
        t: f64,
    ) -> f64 {
        let d = process.dim();
        let score = settings.of(&law(d), process.clone()).unwrap();
        let n = 500;
        let (mut x, mut a, mut b) = (
            Array2::zeros((n, d)),
            Array2::zeros((n, d)),
            Array2::zeros((n, d)),
        );
        with_cx(77, |cx| {
            retrograde_core::ExactSampler::sample(&law(d), cx, x.view_mut()).unwrap();
            forward(cx, &*process, (0.0, t), 500, x.view_mut()).unwrap();
            cx.eval_score(&*score, Times::Shared(t), x.view(), a.view_mut())
                .unwrap();
            cx.eval_score(truth, Times::Shared(t), x.view(), b.view_mut())
                .unwrap();
        });
        (a - b).mapv(|e| e * e).sum() / (n * d) as f64
    }

    #[test]
    fn more_particles_come_nearer_to_the_exact_score_also_with_rotated_noise() {
        let process: Arc<dyn ForwardProcess> = Arc::new(Ou::rotated([0.4, 1.7], 0.6, 0.9));
        let truth = exact(&law(2), process.clone()).unwrap();
        let with = |particles: usize| Particle {
            particles,
            lag: 0.1,
            ..Particle::default()
        };
        let errors: Vec<f64> = [100, 1000, 10_000]
            .map(|n| error(process.clone(), &*truth, with(n), 1.0))
            .into();
        // The variance falls as 1/N, down to the square of the bias.
        assert!(
            errors[1] < 0.3 * errors[0] && errors[2] < 0.6 * errors[1],
            "{errors:?}"
        );

        assert!(errors[2] < 0.03, "{errors:?}");
        // Against the score of another time.
        struct Shifted<'a>(&'a dyn Score);
        impl Score for Shifted<'_> {
            fn dim(&self) -> usize {
                self.0.dim()
            }
            fn traits(&self) -> Traits {
                self.0.traits()
            }
            fn eval(
                &self,
                cx: &mut Cx<'_>,
                t: Times<'_>,
                x: ArrayView2<'_, f64>,
                out: ArrayViewMut2<'_, f64>,
            ) -> Result {
                self.0.eval(cx, Times::Shared(0.5 * t.at(0)), x, out)
            }
        }
        let wrong = error(process.clone(), &Shifted(&*truth), with(10_000), 1.0);
        assert!(wrong > 5.0 * errors[2], "{wrong}");
    }

    #[test]
    fn a_shorter_lag_has_less_bias() {
        let process: Arc<dyn ForwardProcess> = Arc::new(Ou::scalar(1, 1.0));
        let truth = exact(&law(1), process.clone()).unwrap();
        let with = |lag: f64| Particle {
            particles: 20_000,
            lag,
            times: 400,
            ..Particle::default()
        };
        let [long, short] = [0.6, 0.2].map(|lag| error(process.clone(), &*truth, with(lag), 1.0));
        assert!(short < 0.3 * long, "{short} {long}");
    }

    #[test]
    fn benes_is_met_without_its_transition() {
        // f = tanh x, D = 1: q_t ∝ cosh(x) Σ wₖ N(mₖ, vₖ + t) from q_0 ∝ cosh(x) Σ wₖ N(mₖ, vₖ), which
        // is a mixture of N(m ± v, v) with weights e^{±m + v/2}. One component with m = 0.3, v = 0.25.
        let (m, v) = (0.3f64, 0.25f64);
        let process = Arc::new(Alike::additive(1, 2.0, f64::tanh, |_| 1.0));
        let start = GaussianMixture::isotropic(
            array![m.exp(), (-m).exp()],
            array![[m + v], [m - v]],
            array![v, v],
        )
        .unwrap();
        let settings = Particle {
            particles: 20_000,
            lag: 0.2,
            ..Particle::default()
        };
        let score = settings.of(&start, process).unwrap();
        let x = array![[-1.0], [0.0], [0.7], [2.0]];
        let mut s = Array2::zeros((4, 1));
        for t in [0.3, 1.0] {
            with_cx(0, |cx| {
                cx.eval_score(&*score, Times::Shared(t), x.view(), s.view_mut())
                    .unwrap();
            });
            let mut worst = [0.0f64; 2];
            for (x, s) in x.iter().zip(&s) {
                worst[0] = worst[0].max((s - x.tanh() + (x - m) / (v + t)).abs());
                // Without the tilt.
                worst[1] = worst[1].max((s + (x - m) / (v + t)).abs());
            }
            assert!(worst[0] < 0.12 && worst[1] > 0.5, "{worst:?} at {t}");
        }
    }

    #[test]
    fn what_is_lacking_is_named() {
        let process = || Arc::new(Ou::scalar(1, 1.0));
        let says =
            |s: Particle, target: &dyn Target| s.of(target, process()).err().unwrap().to_string();
        let plain = PointTarget::new(1, |x, _| -x[0].powi(4));
        assert!(says(Particle::default(), &plain).contains("exact draws"));
        let lag = Particle {
            lag: 1.0,
            ..Particle::default()
        };
        assert!(says(lag, &law(1)).contains("`lag` is 1"));
        let few = Particle {
            particles: 10,
            times: 5,
            ..Particle::default()
        };
        let score = few.of(&law(1), process()).unwrap();
        let error = with_cx(0, |cx| {
            let (x, mut out) = (Array2::zeros((1, 1)), Array2::zeros((1, 1)));
            cx.eval_score(&*score, Times::Shared(0.0), x.view(), out.view_mut())
        });
        assert!(error.unwrap_err().to_string().contains("no kernel"));
        // A drift that runs away.
        let wild = Arc::new(Alike::additive(1, 1.0, |x| 1e200 * x * x * x, |_| 1.0));
        let settings = Particle {
            particles: 10,
            ..Particle::default()
        };
        let error = settings.of(&law(1), wild).err().unwrap().to_string();
        assert!(error.contains("no longer finite"), "{error}");
    }
}
