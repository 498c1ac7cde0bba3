//! What is measured on the draws of a run, and on exact draws in their place.

use super::config::{Head, TargetEntry};
use crate::compare::by_weight;
use crate::modes::count;
use crate::plan::Plan;
use crate::report::Job;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use retrograde_core::{Cancel, Exact, ExactSampler, GaussianMixture, Key, Result, Runtime, Truth};
use retrograde_metrics::{
    NoiseFloor, Order, SinkhornSettings, entropic_transport_annealed, random_directions,
    relative_weights, sliced_ks, subsample, wasserstein,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of everything that is drawn here.
const SEED: u64 = 0;
/// Pairs of exact samples in a noise floor.
const PAIRS: usize = 20;
/// Directions and bins of the published sliced distance.
const DIRECTIONS: usize = 128;
const BINS: usize = 256;
/// The published ε, the most points that its iterations are bearable on, how many from ε on, and on how many pairs.
const EPSILON: f64 = 0.05;
const MOST_ENTROPIC: usize = 400;
const ITERATIONS: usize = 100;
const ENTROPIC_PAIRS: u64 = 5;

/// What is measured.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// log Ẑ less the known log Z.
    LogZError,
    /// W₂ to exact draws or the reference by exact assignment; weighted draws are resampled by their weights.
    W2,
    /// √⟨P, C⟩ of the coupling with entropy ε = 0.05, on at most 400 points; where the iterations do not end, within its bounds
    /// W₂² and W₂² + ε ln n.
    W2Entropic,
    /// Mean over 128 directions of the Kolmogorov–Smirnov distance.
    SlicedKs,
    /// The same from histograms of 256 bins over the range of the reference, as published tables have it.
    #[serde(rename = "sliced_ks_256")]
    SlicedKs256,
    /// Total variation distance of the weights of the modes, of a target that is a mixture of Gaussians; a draw belongs to its
    /// likeliest component.
    ModeTv,
    /// Root mean square over the coordinates of the error of the mean in units of the known standard deviation.
    MeanError,
    /// Mean log likelihood of held-out data: in published tables alone.
    TestLogLikelihood,
}

impl Metric {
    /// As bench files and tables in machine-readable form name it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::LogZError => "log_z_error",
            Self::W2 => "w2",
            Self::W2Entropic => "w2_entropic",
            Self::SlicedKs => "sliced_ks",
            Self::SlicedKs256 => "sliced_ks_256",
            Self::ModeTv => "mode_tv",
            Self::MeanError => "mean_error",
            Self::TestLogLikelihood => "test_log_likelihood",
        }
    }

    /// As tables for people name it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::LogZError => "log Z error",
            Self::W2 => "W₂",
            Self::W2Entropic => "W₂ (ε = .05)",
            Self::SlicedKs => "sliced KS",
            Self::SlicedKs256 => "sliced KS (256 bins)",
            Self::ModeTv => "mode TV",
            Self::MeanError => "mean error",
            Self::TestLogLikelihood => "test log likelihood",
        }
    }
}

/// Values of a metric between exact samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// Their mean.
    pub mean: f64,
    /// Their 95 % point.
    pub p95: f64,
}

/// What a target knows of itself, to measure runs by.
pub(super) struct Yardstick<'a> {
    metrics: Vec<Metric>,
    most: usize,
    dim: usize,
    exact: Option<&'a dyn ExactSampler>,
    reference: Option<&'a Array2<f64>>,
    mixture: Option<&'a GaussianMixture>,
    truth: Truth,
    runtime: Runtime,
}

impl<'a> Yardstick<'a> {
    pub(super) fn new(plan: &'a Plan, target: &'a TargetEntry, head: &'a Head) -> Result<Self> {
        let limited = plan.bounded.is_some();
        // Within limits neither exact draws nor weights of modes hold.
        let exact = plan.target.exact().filter(|_| !limited);
        let mixture = plan
            .target
            .mixture()
            .filter(|m| !limited && m.components() > 1);
        Ok(Self {
            metrics: head.metrics.clone(),
            most: head.reference_draws,
            dim: plan.target.dim(),
            exact: exact.and_then(Exact::sampler),
            reference: target.reference.as_ref().map(|r| &r.rows),
            mixture,
            truth: Job::truth(plan.target.as_ref(), limited),
            runtime: Runtime::new(SEED, plan.run.threads)?,
        })
    }

    /// All metrics that there is a truth for, of draws on their natural scale, with what could not be computed in words.
    pub(super) fn measure(
        &mut self,
        seed: u64,
        rows: ArrayView2<'_, f64>,
        log_weights: Option<&Array1<f64>>,
    ) -> Result<(BTreeMap<Metric, f64>, Vec<String>)> {
        let mut values = BTreeMap::new();
        let mut notes = Vec::new();
        if rows.is_empty() {
            return Ok((values, notes));
        }
        if rows.iter().any(|v| !v.is_finite()) {
            notes.push("some draws are not finite, so that nothing is measured on them".into());
            return Ok((values, notes));
        }
        if log_weights.is_some_and(|w| relative_weights(w.view()).iter().any(|w| w.is_nan())) {
            notes.push("the weights are not usable, so that nothing is measured".into());
            return Ok((values, notes));
        }
        let points = match log_weights {
            None => subsample(rows, self.most).into_owned(),
            Some(w) => by_weight(rows, w, self.most.min(rows.nrows()), key("resample", seed)),
        };
        let reference = match (self.reference, self.exact) {
            (Some(rows), _) => Some(subsample(rows.view(), self.most).into_owned()),
            (None, Some(_)) => self.draw("reference", seed, self.most)?,
            (None, None) => None,
        };
        for metric in self.metrics.clone() {
            let value = match (metric, &reference) {
                (Metric::ModeTv, _) => self.mode_tv(rows, log_weights.map(|w| w.view()))?,
                (Metric::MeanError, _) => {
                    mean_error(&self.truth, rows, log_weights.map(|w| w.view()))
                }
                (metric, Some(reference)) => distance(metric, points.view(), reference.view())?,
                (_, None) => None,
            };
            values.extend(value.filter(|v| v.is_finite()).map(|v| (metric, v)));
        }
        Ok((values, notes))
    }

    /// The same metrics of exact samples of as many draws; `None` if it was cancelled.
    pub(super) fn floor(
        &mut self,
        draws: usize,
        cancel: &Cancel,
    ) -> Result<Option<BTreeMap<Metric, Floor>>> {
        let mut all: BTreeMap<Metric, Vec<f64>> = BTreeMap::new();
        let wanted = self.metrics.clone();
        for pair in 0..PAIRS as u64 {
            if cancel.requested() {
                return Ok(None);
            }
            let Some(rows) = self.draw("floor", pair, draws)? else {
                return Ok(Some(BTreeMap::new()));
            };
            if pair == ENTROPIC_PAIRS {
                self.metrics.retain(|m| *m != Metric::W2Entropic);
            }
            // Against a reference exact draws stand as a run would.
            let (values, _) = self.measure(pair, rows.view(), None)?;
            for (metric, value) in values {
                all.entry(metric).or_default().push(value);
            }
        }
        self.metrics.clone_from(&wanted);
        let floor = |(metric, values): (Metric, Vec<f64>)| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let p95 = NoiseFloor::new(values)?.p95;
            Ok((metric, Floor { mean, p95 }))
        };
        all.into_iter().map(floor).collect::<Result<_>>().map(Some)
    }

    fn draw(&mut self, name: &str, index: u64, n: usize) -> Result<Option<Array2<f64>>> {
        let Some(sampler) = self.exact else {
            return Ok(None);
        };
        let mut out = Array2::zeros((n, self.dim));
        self.runtime
            .enter(name, index, |cx| sampler.sample(cx, out.view_mut()))?;
        Ok(Some(out))
    }

    fn mode_tv(
        &mut self,
        rows: ArrayView2<'_, f64>,
        log_weights: Option<ArrayView1<'_, f64>>,
    ) -> Result<Option<f64>> {
        let Some(mixture) = self.mixture else {
            return Ok(None);
        };
        Ok(Some(
            count(&mut self.runtime, mixture, rows, log_weights)?.hard_error,
        ))
    }
}

fn key(name: &str, index: u64) -> Key {
    Key::from_seed(SEED).fold(name, index)
}

/// A distance between samples; none for what is no such distance.
fn distance(metric: Metric, x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Result<Option<f64>> {
    let alike = |most: usize| {
        let m = x.nrows().min(y.nrows()).min(most);
        (subsample(x, m).into_owned(), subsample(y, m).into_owned())
    };
    let directions = || random_directions(key("directions", 0), DIRECTIONS, x.ncols());
    Ok(match metric {
        Metric::W2 => {
            let (x, y) = alike(usize::MAX);
            Some(wasserstein(x.view(), y.view(), Order::Two)?.distance)
        }
        Metric::W2Entropic => {
            let (x, y) = alike(MOST_ENTROPIC);
            let settings = SinkhornSettings {
                epsilon: EPSILON,
                tolerance: 1e-3,
                max_iterations: ITERATIONS,
            };
            let cost = entropic_transport_annealed(x.view(), y.view(), settings)?.cost;
            // No coupling is cheaper than the exact one, whose entropy is ln n; where iterations do not end, this holds.
            let exact = wasserstein(x.view(), y.view(), Order::Two)?.mean_cost;
            let most = exact + EPSILON * (x.nrows() as f64).ln();
            Some(cost.max(exact).min(most).sqrt())
        }
        Metric::SlicedKs => Some(sliced_ks(x, y, directions().view(), None)?),
        Metric::SlicedKs256 => Some(sliced_ks(x, y, directions().view(), Some(BINS))?),
        Metric::LogZError | Metric::ModeTv | Metric::MeanError | Metric::TestLogLikelihood => None,
    })
}

/// √ of the mean over coordinates of ((mean − true mean) / true sd)², where both are known and finite.
fn mean_error(
    truth: &Truth,
    rows: ArrayView2<'_, f64>,
    log_weights: Option<ArrayView1<'_, f64>>,
) -> Option<f64> {
    let (mean, variance) = (truth.mean.as_ref()?, truth.variance.as_ref()?);
    let weights = match log_weights {
        Some(w) => relative_weights(w),
        None => Array1::ones(rows.nrows()),
    };
    let found = weights.dot(&rows) / weights.sum();
    let errors = found
        .iter()
        .zip(mean.iter().zip(variance))
        .map(|(x, (m, v))| (x - m).powi(2) / v);
    let (sum, n) = errors.fold((0.0, 0), |(sum, n), e| (sum + e, n + 1));
    Some((sum / f64::from(n)).sqrt()).filter(|v| v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn known_distances() {
        let x = array![
            [0.1, -0.4],
            [1.2, 0.3],
            [-0.7, 0.9],
            [0.5, -1.1],
            [-1.3, 0.2]
        ];
        let y = array![
            [0.0, 0.5],
            [0.8, -0.6],
            [-0.9, -0.2],
            [1.5, 1.0],
            [-0.3, -1.4]
        ];
        let of = |m| distance(m, x.view(), y.view()).unwrap().unwrap();
        assert!((of(Metric::W2) - 0.749_666_592_559_65).abs() < 1e-13);
        // ⟨P, C⟩ is above W₂² by less than ε ln 5.
        let entropic = of(Metric::W2Entropic).powi(2);
        assert!(
            entropic > 0.562 && entropic < 0.562 + 0.05 * 5.0_f64.ln(),
            "{entropic}"
        );
        // Of unlike sizes the larger is thinned.
        let w2 = distance(Metric::W2, x.view(), y.slice(ndarray::s![..3, ..]))
            .unwrap()
            .unwrap();
        assert!(w2.is_finite());
        assert_eq!(
            distance(Metric::LogZError, x.view(), y.view()).unwrap(),
            None
        );
    }

    #[test]
    fn errors_of_means_are_in_units_of_the_standard_deviation() {
        let truth = Truth {
            mean: Some(vec![1.0, 0.0]),
            variance: Some(vec![4.0, 0.25]),
            ..Truth::default()
        };
        let rows = array![[0.0, 1.0], [4.0, 1.0]];
        // Means (2, 1), errors (1/2, 2).
        let e = mean_error(&truth, rows.view(), None).unwrap();
        assert!((e - (0.5 * (0.25_f64 + 4.0)).sqrt()).abs() < 1e-15);
        // All weight on the second: (3/2, 2).
        let e = mean_error(
            &truth,
            rows.view(),
            Some(array![f64::NEG_INFINITY, -5.0].view()),
        )
        .unwrap();
        assert!((e - (0.5 * (2.25_f64 + 4.0)).sqrt()).abs() < 1e-15);
        assert_eq!(mean_error(&Truth::default(), rows.view(), None), None);
    }
}
