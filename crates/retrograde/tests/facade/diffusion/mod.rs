//! Samplers that run forward processes backwards, against laws known in closed form.
//!
//! In one dimension the probability flow keeps quantiles. Started at exact quantiles of q_T, rows are
//! therefore compared with those of the law at the end, row by row: W₂ without Monte-Carlo noise.

mod design;
mod flow;
mod nonlinear;
mod restoration;
mod table;

use crate::data;
use ndarray::{Array1, Array2};
use retrograde::core::registry::Parts;
use retrograde::core::{
    Collected, Counts, ForwardProcess, GaussianMixture, Runtime, Score, StartedAt, Target,
    drive::drive,
};
use retrograde::ndarray;
use serde_json::{Value, json};
use std::sync::Arc;

/// Quantiles that a law is represented by.
pub(crate) const M: usize = 4000;

/// Target, process and score of a job.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) target: Arc<dyn Target>,
    pub(crate) process: Arc<dyn ForwardProcess>,
    pub(crate) score: Arc<dyn Score>,
}

impl Job {
    /// By name and settings, `("vp", {…})`.
    pub(crate) fn new(target: (&str, Value), process: (&str, Value), score: (&str, Value)) -> Self {
        Self::on(crate::target(target.0, target.1), process, score)
    }

    /// On a target that is there already.
    pub(crate) fn on(
        target: Arc<dyn Target>,
        process: (&str, Value),
        score: (&str, Value),
    ) -> Self {
        let registry = retrograde::registry().expect("names are unique");
        let files = data();
        let mut parts = Parts::new(&files).with_target(target.clone());
        let process = registry
            .process(process.0, process.1, &parts)
            .unwrap_or_else(|e| panic!("{e}"));
        parts.process = Some(process.clone());
        let score = registry
            .score(score.0, score.1, &parts)
            .unwrap_or_else(|e| panic!("{e}"));
        Self {
            target,
            process,
            score,
        }
    }

    /// Runs the sampler `kind` on `n` draws.
    pub(crate) fn run(
        &self,
        kind: &str,
        settings: Value,
        n: usize,
        seed: u64,
    ) -> (Collected, Counts) {
        let registry = retrograde::registry().expect("names are unique");
        let files = data();
        let mut parts = Parts::new(&files).with_target(self.target.clone());
        parts.process = Some(self.process.clone());
        parts.score = Some(self.score.clone());
        let sampler = registry
            .sampler(kind, settings, &parts)
            .unwrap_or_else(|e| panic!("{kind}: {e}"));
        let mut runtime = Runtime::new(seed, 0).expect("threads start");
        let mut sink = Collected::new(self.target.dim());
        let outcome = drive(sampler.as_ref(), &mut runtime, n, None, &mut sink);
        assert!(outcome.unwrap_or_else(|e| panic!("{kind}: {e}")).complete);
        (sink, runtime.counts().clone())
    }

    /// The same job with its reference law replaced by the given rows and their log densities.
    pub(crate) fn started(&self, points: Array2<f64>, log_density: Array1<f64>) -> Self {
        Self {
            process: Arc::new(StartedAt::new(self.process.clone(), points, log_density)),
            ..self.clone()
        }
    }

    /// Where the sampler takes `points` in one dimension.
    pub(crate) fn transport(&self, points: &[f64], kind: &str, settings: Value) -> Vec<f64> {
        let n = points.len();
        let x = Array2::from_shape_vec((n, 1), points.to_vec()).expect("n rows");
        let (sink, _) = self.started(x, Array1::zeros(n)).run(kind, settings, n, 0);
        sink.rows().iter().copied().collect()
    }
}

/// The times of a list, as `grid`.
pub(crate) fn list(times: &[f64]) -> Value {
    json!({ "spacing": "list", "times": times })
}

/// `steps` equal steps from `a` down to `b`.
pub(crate) fn uniform(a: f64, b: f64, steps: usize) -> Value {
    let times: Vec<f64> = (0..=steps)
        .map(|k| {
            if k == steps {
                b
            } else {
                a + (b - a) * k as f64 / steps as f64
            }
        })
        .collect();
    list(&times)
}

/// Root mean square of the differences: W₂ between laws that quantiles stand for.
pub(crate) fn w2(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    (sum / a.len() as f64).sqrt()
}

/// W₂ between `to` and where `kind` takes `from`, at each number of steps.
pub(crate) fn errors(
    steps: &[usize],
    (job, from, to): (&Job, &[f64], &[f64]),
    kind: &str,
    settings: impl Fn(usize) -> Value,
) -> Vec<f64> {
    let error = |n: &usize| w2(&job.transport(from, kind, settings(*n)), to);
    steps.iter().map(error).collect()
}

/// Every entry of a row of a table of W₂, to `rel` and half a unit of the last digit that is printed.
pub(crate) fn assert_row(what: &str, steps: &[usize], got: &[f64], want: &[f64], rel: f64) {
    for ((n, got), want) in steps.iter().zip(got).zip(want) {
        // Digits as `{:e}` shows them: what is written 1.0e-4 has two.
        let digits = format!("{want:e}")
            .split('e')
            .next()
            .map_or(0, |m| m.len().max(3) - 1);
        let unit = 10f64.powf(want.log10().floor() - digits as f64 + 1.0);
        assert!(
            (got - want).abs() <= rel * want + 0.5 * unit,
            "{what}, {n} steps: {got:.3e}, expected {want} within {} %",
            100.0 * rel
        );
    }
    assert_eq!(steps.len(), want.len(), "{what}");
}

/// log₂ of the ratio of the last two.
pub(crate) fn last_order(errors: &[f64]) -> f64 {
    (errors[errors.len() - 2] / errors[errors.len() - 1]).log2()
}

/// A mixture on the line, `[(weight, mean, variance)]`.
pub(crate) fn mixture(components: &[(f64, f64, f64)]) -> GaussianMixture {
    let column = |f: fn(&(f64, f64, f64)) -> f64| components.iter().map(f).collect::<Array1<f64>>();
    let means = column(|c| c.1).insert_axis(ndarray::Axis(1));
    GaussianMixture::isotropic(column(|c| c.0), means, column(|c| c.2)).expect("it is a mixture")
}

/// The same as settings of the target `gaussian-mixture`.
pub(crate) fn mixture_settings(components: &[(f64, f64, f64)]) -> Value {
    json!({
        "weights": components.iter().map(|c| c.0).collect::<Vec<_>>(),
        "means": components.iter().map(|c| vec![c.1]).collect::<Vec<_>>(),
        "variances": components.iter().map(|c| vec![c.2]).collect::<Vec<_>>(),
    })
}

/// Quantiles at (i − ½)/m of a mixture on the line, by bisection.
pub(crate) fn quantiles(law: &GaussianMixture, m: usize) -> Vec<f64> {
    let variance = |k: usize| match law.covariances() {
        retrograde::core::Covariances::Isotropic(v) => v[k],
        retrograde::core::Covariances::Diagonal(v) => v[(k, 0)],
        retrograde::core::Covariances::Dense(v) => v[(k, 0, 0)],
    };
    let below = |x: f64| {
        (0..law.components())
            .map(|k| {
                let z = (x - law.means()[(k, 0)]) / variance(k).sqrt();
                law.weights()[k] * 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
            })
            .sum::<f64>()
    };
    let reach = (0..law.components())
        .map(|k| law.means()[(k, 0)].abs() + 12.0 * variance(k).sqrt())
        .fold(0.0, f64::max);
    (0..m)
        .map(|i| invert(&below, (i as f64 + 0.5) / m as f64, -reach, reach))
        .collect()
}

/// The root of an increasing function minus `u`.
pub(crate) fn invert(below: &impl Fn(f64) -> f64, u: f64, mut a: f64, mut b: f64) -> f64 {
    loop {
        let middle = 0.5 * (a + b);
        if middle <= a || middle >= b {
            return middle;
        }
        if below(middle) < u {
            a = middle;
        } else {
            b = middle;
        }
    }
}

/// α(t) and C(t) of a linear process of scalar form.
pub(crate) fn alpha_variance(process: &dyn ForwardProcess, t: f64) -> (f64, f64) {
    let (alpha, sigma) = process.linear().expect("a linear process").scalar(t);
    (alpha, sigma * sigma)
}
