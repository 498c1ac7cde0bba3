//! Another score with an error of known size, for studies of what score errors do.
//!
//! s̃(x, t) = (1 + m √e(σ)) s(x, t) + b + a √e(σ) ξ(x, t) / √C(t)
//!
//! b is a constant bias, m a relative error, and ξ a smooth random field of unit mean square: so the
//! noise prediction ε = −√C s has the mean square error a² e(σ) in each coordinate. The profile e is 1, or
//! 1/(1 + (σ/0.2)²)², which is worst at little noise, with the noise level σ = √C/α. ξ is a sum of
//! cosines with random directions and phases (Rahimi & Recht 2007, random features of a Gaussian
//! kernel): a function of (x, t) that the seed fixes.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2};
use rand_distr::{Distribution, Open01, StandardNormal};
use retrograde_core::registry::{Parts, Registry};
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Build, Cx, Error, Flag, Form, ForwardProcess, Key, Result, Score, ScoreJvp, Severity, Times,
    Traits, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::f64::consts::TAU;
use std::sync::Arc;

const NAME: &str = "score perturbed";
/// Noise level at which the profile `low-noise` has fallen to a quarter.
const LOW_NOISE: f64 = 0.2;

/// How the square of an error depends on the noise level σ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorProfile {
    /// e = 1.
    #[default]
    Uniform,
    /// e = 1/(1 + (σ/0.2)²)².
    LowNoise,
}

impl ErrorProfile {
    /// e(σ).
    #[must_use]
    pub fn at(self, sigma: f64) -> f64 {
        match self {
            ErrorProfile::Uniform => 1.0,
            ErrorProfile::LowNoise => (1.0 + (sigma / LOW_NOISE).powi(2)).powi(-2),
        }
    }
}

/// Settings, as written under `[score]` with `kind = "perturbed"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Perturbed {
    /// Kind of the score that is perturbed, a built-in.
    pub inner: String,
    /// Its settings.
    pub settings: Map<String, Value>,
    /// Constant bias b added to the score: one number for all coordinates or one for each.
    pub bias: PerCoordinate,
    /// Relative error m of the score.
    pub relative: f64,
    /// Root mean square error a ≥ 0 of the noise prediction by the random field.
    #[schemars(range(min = 0.0))]
    pub size: f64,
    /// How the errors m and a depend on the noise level.
    pub profile: ErrorProfile,
    /// Length > 0 over which the field changes, in units of √(α² + C).
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub length: f64,
    /// Cosines of the field, 1 to 4096.
    #[schemars(range(min = 1, max = 4096))]
    pub features: usize,
    /// Seed of the field.
    pub seed: u64,
}

impl Default for Perturbed {
    fn default() -> Self {
        Self {
            inner: "exact".into(),
            settings: Map::new(),
            bias: PerCoordinate::All(0.0),
            relative: 0.0,
            size: 0.0,
            profile: ErrorProfile::Uniform,
            length: 1.0,
            features: 64,
            seed: 0,
        }
    }
}

impl Build<dyn Score> for Perturbed {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Score>> {
        let process = parts.require_process(NAME)?;
        let settings = Value::Object(self.settings.clone());
        let inner = Registry::builtin()?.score(&self.inner, settings, parts)?;
        self.of(inner, process)
    }
}

impl Perturbed {
    /// `inner`, perturbed as these settings say.
    ///
    /// # Errors
    /// [`Error::Setting`]; [`Error::Missing`] when an error depends on the noise level and the process
    /// has none (it is not linear with scalar α and C).
    pub fn of(
        self,
        inner: Arc<dyn Score>,
        process: Arc<dyn ForwardProcess>,
    ) -> Result<Arc<dyn Score>> {
        let d = inner.dim();
        let bias = self
            .bias
            .expand(d, NAME, "bias", f64::is_finite, "finite")?;
        if !self.relative.is_finite() {
            return Err(Error::setting(NAME, "relative", self.relative, "finite"));
        }
        if !(self.size >= 0.0 && self.size.is_finite()) {
            return Err(Error::setting(
                NAME,
                "size",
                self.size,
                "at least 0 and finite",
            ));
        }
        if !(self.length > 0.0 && self.length.is_finite()) {
            return Err(Error::setting(
                NAME,
                "length",
                self.length,
                "> 0 and finite",
            ));
        }
        if !(1..=4096).contains(&self.features) {
            return Err(Error::setting(
                NAME,
                "features",
                self.features,
                "from 1 to 4096",
            ));
        }
        let levels =
            self.size > 0.0 || (self.relative != 0.0 && self.profile != ErrorProfile::Uniform);
        let scalar =
            process.linear().is_some_and(|l| l.form() == Form::Scalar) && process.warp().is_none();
        if levels && !scalar {
            return Err(Error::Missing {
                component: NAME.into(),
                needed: "a noise level (linear with scalar α and C), for `size` and `profile`"
                    .into(),
                holder: "the process".into(),
                advice:
                    "use `bias`, or `relative` with `profile = \"uniform\"`, or a linear process"
                        .into(),
            });
        }
        let mut stream = Key::from_seed(self.seed).fold(NAME, 0).stream(0);
        let m = self.features;
        let mut normal = || -> f64 { StandardNormal.sample(&mut stream) };
        let directions = Array2::from_shape_simple_fn((m, d), &mut normal);
        let rates = Array1::from_shape_simple_fn(m, &mut normal);
        let phases = Array2::from_shape_fn((m, d), |_| {
            let u: f64 = Open01.sample(&mut stream);
            TAU * u
        });
        Ok(Arc::new(Wrong {
            settings: self,
            inner,
            process: scalar.then_some(process),
            bias: bias.into(),
            directions,
            rates,
            phases,
        }))
    }
}

struct Wrong {
    settings: Perturbed,
    inner: Arc<dyn Score>,
    /// Where it has a noise level.
    process: Option<Arc<dyn ForwardProcess>>,
    bias: Array1<f64>,
    /// Features × d.
    directions: Array2<f64>,
    /// Of log σ.
    rates: Array1<f64>,
    /// Features × d.
    phases: Array2<f64>,
}

/// What the errors are at a time.
#[derive(Clone, Copy)]
struct Now {
    /// 1 + m √e.
    factor: f64,
    /// a √e/√C times what makes the mean square of ξ one.
    size: f64,
    /// 1/(length √(α² + C)).
    per_length: f64,
    log_sigma: f64,
}

impl Wrong {
    fn now(&self, t: f64) -> Now {
        let settings = &self.settings;
        let linear = self.process.as_ref().and_then(|p| p.linear());
        let Some((alpha, sd)) = linear.map(|l| l.scalar(t)) else {
            return Now {
                factor: 1.0 + settings.relative,
                size: 0.0,
                per_length: 0.0,
                log_sigma: 0.0,
            };
        };
        let sigma = sd / alpha;
        let root = settings.profile.at(sigma).sqrt();
        let features = settings.features as f64;
        Now {
            factor: 1.0 + settings.relative * root,
            size: settings.size * root / sd * (2.0 / features).sqrt(),
            per_length: 1.0 / (settings.length * alpha.hypot(sd)),
            log_sigma: sigma.max(f64::MIN_POSITIVE).ln(),
        }
    }

    /// The argument of each cosine but for its phase.
    fn arguments(&self, now: Now, x: ArrayView2<'_, f64>, row: usize, out: &mut [f64]) {
        for (m, a) in out.iter_mut().enumerate() {
            let dot: f64 = self
                .directions
                .row(m)
                .iter()
                .zip(x.row(row))
                .map(|(w, x)| w * x)
                .sum();
            *a = now.per_length * dot + self.rates[m] * now.log_sigma;
        }
    }
}

impl Score for Wrong {
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
        let mut buffer = cx.take(self.settings.features);
        let mut last = None;
        for (r, mut out) in out.rows_mut().into_iter().enumerate() {
            let t = t.at(r);
            let now = match last {
                Some((before, now)) if before == t => now,
                _ => self.now(t),
            };
            last = Some((t, now));
            out.zip_mut_with(&self.bias, |s, b| *s = *s * now.factor + b);
            if self.settings.size > 0.0 {
                self.arguments(now, x, r, &mut buffer);
                for (a, phases) in buffer.iter().zip(self.phases.rows()) {
                    out.zip_mut_with(&phases, |s, p| *s += now.size * (a + p).cos());
                }
            }
        }
        cx.give(buffer);
        Ok(())
    }

    fn jvp(&self) -> Option<&dyn ScoreJvp> {
        self.inner.jvp().is_some().then_some(self)
    }

    fn flags(&self) -> Vec<Flag> {
        let s = &self.settings;
        let mut flags = self.inner.flags();
        flags.push(Flag::new(
            Severity::Warning,
            "score-perturbed",
            format!(
                "the score `{}` is wrong on purpose: bias {:?}, relative error {}, noise-prediction \
                 error {} ({:?})",
                s.inner,
                self.bias.as_slice().unwrap_or(&[]),
                s.relative,
                s.size,
                s.profile
            ),
            "use it for studies of errors only",
        ));
        flags
    }
}

impl ScoreJvp for Wrong {
    fn jvp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        tangents: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let Some(inner) = self.inner.jvp() else {
            return Err(Error::Missing {
                component: NAME.into(),
                needed: "Jacobian-vector products".into(),
                holder: "the score inside".into(),
                advice: "choose a score that has them".into(),
            });
        };
        inner.jvp(cx, t, x, tangents, out.view_mut())?;
        let d = x.ncols();
        let mut buffer = cx.take(self.settings.features);
        for r in 0..x.nrows() {
            let now = self.now(t.at(r));
            out.row_mut(r).mapv_inplace(|v| v * now.factor);
            if self.settings.size == 0.0 {
                continue;
            }
            self.arguments(now, x, r, &mut buffer);
            for first in (0..tangents.ncols()).step_by(d) {
                for (m, a) in buffer.iter().enumerate() {
                    let along: f64 = (0..d)
                        .map(|j| self.directions[(m, j)] * tangents[(r, first + j)])
                        .sum();
                    let scale = now.size * now.per_length * along;
                    for j in 0..d {
                        out[(r, first + j)] -= scale * (a + self.phases[(m, j)]).sin();
                    }
                }
            }
        }
        cx.give(buffer);
        Ok(())
    }
}

register! {
    score "perturbed" => Perturbed, needs PROCESS,
        summary "Another score with a bias, a relative error or a random error of known size, for studies",
        source "random features: Rahimi & Recht (2007), NeurIPS 20";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact;
    use crate::test_processes::{Alike, Ou};
    use ndarray::{array, s};
    use retrograde_core::GaussianMixture;
    use retrograde_testkit::with_cx;

    fn law() -> GaussianMixture {
        let means = array![[1.0, -0.5], [-1.0, 0.7]];
        GaussianMixture::isotropic(array![1.0, 2.0], means, array![0.4, 0.6]).unwrap()
    }

    fn pair(settings: Perturbed) -> (Arc<dyn Score>, Arc<dyn Score>) {
        let process = Arc::new(Ou::scalar(2, 1.0));
        let inner = exact(&law(), process.clone()).unwrap();
        (inner.clone(), settings.of(inner, process).unwrap())
    }

    fn eval(score: &dyn Score, t: f64, x: &Array2<f64>) -> Array2<f64> {
        let mut out = Array2::zeros(x.dim());
        with_cx(0, |cx| {
            cx.eval_score(score, Times::Shared(t), x.view(), out.view_mut())
        })
        .unwrap();
        out
    }

    #[test]
    fn bias_and_relative_error_are_exact() {
        let settings = Perturbed {
            bias: vec![0.25, -0.5].into(),
            relative: 0.5,
            profile: ErrorProfile::LowNoise,
            ..Perturbed::default()
        };
        let (right, wrong) = pair(settings);
        let x = array![[0.3, 0.1], [-2.0, 1.0]];
        for t in [0.05, 1.0] {
            let (alpha, sd) = retrograde_core::Linear::scalar(&Ou::scalar(2, 1.0), t);
            let factor = 1.0 + 0.5 / (1.0 + (sd / alpha / 0.2).powi(2));
            let expected = eval(&*right, t, &x) * factor + array![0.25, -0.5];
            assert!(
                (expected - eval(&*wrong, t, &x))
                    .iter()
                    .all(|e| e.abs() < 1e-14)
            );
        }
        let bias = Perturbed {
            bias: 0.25.into(),
            ..Perturbed::default()
        };
        let (right, wrong) = pair(bias);
        assert_eq!(eval(&*right, 1.0, &x) + 0.25, eval(&*wrong, 1.0, &x));
    }

    #[test]
    fn the_field_has_its_mean_square_by_noise_level_and_is_a_function() {
        let x = Array2::from_shape_fn((4000, 2), |(i, j)| ((37 * i + 11 * j) % 4001) as f64 / 50.0);
        let mean_square = |profile: ErrorProfile, t: f64| {
            let settings = Perturbed {
                size: 0.1,
                profile,
                features: 512,
                ..Perturbed::default()
            };
            let (right, wrong) = pair(settings);
            let error = eval(&*wrong, t, &x) - eval(&*right, t, &x);
            assert_eq!(eval(&*wrong, t, &x), eval(&*wrong, t, &x));
            let (alpha, sd) = retrograde_core::Linear::scalar(&Ou::scalar(2, 1.0), t);
            (
                error.iter().map(|e| (sd * e).powi(2)).sum::<f64>() / error.len() as f64,
                sd / alpha,
            )
        };
        for t in [0.01, 0.5] {
            // Of 512 cosines over some 80 lengths: a tenth.
            let (uniform, _) = mean_square(ErrorProfile::Uniform, t);
            assert!((uniform / 0.01 - 1.0).abs() < 0.15, "{uniform}");
            let (low, sigma) = mean_square(ErrorProfile::LowNoise, t);
            let e = (1.0 + (sigma / 0.2).powi(2)).powi(-2);
            assert!((low / uniform / e - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn tangents_are_those_of_differences() {
        let settings = Perturbed {
            size: 0.3,
            relative: 0.2,
            ..Perturbed::default()
        };
        let (_, wrong) = pair(settings);
        let (x, tau) = (
            array![[0.3, 0.1], [-1.0, 1.0]],
            array![[1.0, 0.5], [0.2, -1.0]],
        );
        let mut out = Array2::zeros((2, 2));
        let t = Times::Shared(0.4);
        with_cx(0, |cx| {
            cx.eval_score_jvp(&*wrong, t, x.view(), tau.view(), out.view_mut())
        })
        .unwrap();
        let h = 1e-5;
        let slope = (eval(&*wrong, 0.4, &(&x + &(&tau * h)))
            - eval(&*wrong, 0.4, &(&x - &(&tau * h))))
            / (2.0 * h);
        assert!(
            (&slope - &out).iter().all(|e| e.abs() < 1e-7),
            "{slope} {out}"
        );
        assert_eq!(out.slice(s![.., 0]).len(), 2);
    }

    #[test]
    fn built_ins_are_built_inside_and_what_is_lacking_is_named() {
        let folder = retrograde_core::registry::Folder::default();
        let mut parts = Parts::new(&folder).with_target(Arc::new(law()));
        parts.process = Some(Arc::new(Ou::scalar(2, 1.0)));
        crate::link();
        let build = |s: Perturbed| s.build(&parts);
        let score = build(Perturbed {
            inner: "reference".into(),
            ..Perturbed::default()
        })
        .unwrap();
        assert_eq!(score.flags().len(), 2);
        let mut inner = Perturbed {
            inner: "monte-carlo".into(),
            ..Perturbed::default()
        };
        inner.settings.insert("samples".into(), 1.into());
        let says = build(inner).err().unwrap().to_string();
        assert!(says.contains("score monte-carlo: `samples` is 1"), "{says}");
        let says = build(Perturbed {
            inner: "exakt".into(),
            ..Perturbed::default()
        });
        assert!(
            says.err()
                .unwrap()
                .to_string()
                .contains("did you mean `exact`")
        );
        let field = Perturbed {
            size: 0.1,
            ..Perturbed::default()
        };
        let well = Arc::new(Alike::additive(2, 1.0, |x| -x, |_| 1.0));
        let inner = exact(&law(), Arc::new(Ou::scalar(2, 1.0))).unwrap();
        let says = field.of(inner, well).err().unwrap().to_string();
        assert!(says.contains("a noise level"), "{says}");
    }
}
