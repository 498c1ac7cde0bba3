//! Distances between two runs and to exact draws, each beside its noise floor.

use super::{Both, Distance, Level, ModeCounts, Modes, finite};
use crate::compare::load::LoadedRun;
use crate::modes::count;
use ndarray::{Array2, ArrayView2, Axis};
use retrograde_core::{ExactSampler, GaussianMixture, Key, Result, Runtime};
use retrograde_metrics::noise_floor::PAIRS;
use retrograde_metrics::{
    Kernel, NoiseFloor, Order, energy_distance, median_heuristic, mmd_squared, noise_floor,
    permutation_floor, random_directions, sliced_wasserstein, wasserstein,
};

/// Of everything that is drawn here, so that the same runs give the same numbers.
const SEED: u64 = 0;
/// Most points of a run that distances over pairs look at.
const MOST_POINTS: usize = 1000;
/// Most points that are matched one by one.
const MOST_MATCHED: usize = 500;
/// Products of pairs and coordinates that one distance may take: some hundredths of a second, two hundred times.
const BUDGET: f64 = 1.2e7;
/// Directions of the sliced distance.
const DIRECTIONS: usize = 100;
/// Most draws of an exact sample whose modes are counted.
const MOST_COUNTED: usize = 4000;

pub(super) fn key(name: &str) -> Key {
    Key::from_seed(SEED).fold(name, 0)
}

/// Points of both runs, and of an exact sample where there is one, all equally many.
pub(super) struct Samples<'a> {
    pub(super) a: Array2<f64>,
    pub(super) b: Array2<f64>,
    exact: Option<(&'a dyn ExactSampler, Array2<f64>)>,
    runtime: Runtime,
}

impl<'a> Samples<'a> {
    pub(super) fn new(
        runs: &Both<LoadedRun>,
        sampler: Option<&'a dyn ExactSampler>,
    ) -> Result<Self> {
        let d = runs.a.report.dim;
        let affordable = (BUDGET / (d as f64 + 8.0)).sqrt() as usize;
        let m = runs
            .a
            .len()
            .min(runs.b.len())
            .min(MOST_POINTS)
            .min(affordable.max(50));
        let mut runtime = Runtime::new(SEED, 0)?;
        let exact = match sampler {
            None => None,
            Some(sampler) => Some((sampler, draw(&mut runtime, sampler, "reference", 0, m, d)?)),
        };
        // The same numbers for both, so that a run has no distance from itself.
        let points = |run: &LoadedRun| run.points(m, key("resample"));
        Ok(Self {
            a: points(&runs.a),
            b: points(&runs.b),
            exact,
            runtime,
        })
    }

    pub(super) fn points(&self) -> usize {
        self.a.nrows()
    }

    pub(super) fn matched(&self) -> usize {
        self.points().min(MOST_MATCHED)
    }

    /// All distances.
    pub(super) fn distances(&mut self) -> Result<Vec<Distance>> {
        let (m, d) = self.a.dim();
        let directions = random_directions(key("directions"), DIRECTIONS, d);
        // One length for all comparisons, so that they and the floor are of the same quantity.
        let sigma = match &self.exact {
            Some((_, exact)) => {
                let (x, y) = exact.view().split_at(Axis(0), m / 2);
                median_heuristic(x, y)?
            }
            None => median_heuristic(self.a.view(), self.b.view())?,
        };
        let sigma = if sigma > 0.0 { sigma } else { 1.0 };
        let kernel = Kernel::Gaussian { sigma };
        let matched = self.matched();
        Ok(vec![
            self.distance("energy distance", m, energy_distance)?,
            self.distance("MMD²", m, |x, y| Ok(mmd_squared(x, y, &kernel)?.unbiased))?,
            self.distance("sliced W2", m, |x, y| {
                sliced_wasserstein(x, y, directions.view(), Order::Two)
            })?,
            self.distance("W2", matched, |x, y| {
                Ok(wasserstein(x, y, Order::Two)?.distance)
            })?,
        ])
    }

    /// One distance on evenly spaced `points` of each sample.
    fn distance(
        &mut self,
        name: &str,
        points: usize,
        metric: impl Fn(ArrayView2<'_, f64>, ArrayView2<'_, f64>) -> Result<f64> + Sync,
    ) -> Result<Distance> {
        let part = |x: &Array2<f64>| retrograde_metrics::subsample(x.view(), points).into_owned();
        let (a, b) = (part(&self.a), part(&self.b));
        let d = a.ncols();
        let (floor, to_truth) = match &self.exact {
            Some((sampler, reference)) => {
                let runtime = &mut self.runtime;
                let pair = |i: usize| {
                    let both = draw(runtime, *sampler, "pair", i as u64, 2 * points, d)?;
                    let (x, y) = both.view().split_at(Axis(0), points);
                    Ok((x.to_owned(), y.to_owned()))
                };
                let floor = noise_floor(PAIRS, pair, &metric)?;
                let exact = part(reference);
                let to = |x: &Array2<f64>| metric(x.view(), exact.view());
                let truth = Both {
                    a: to(&a)?,
                    b: to(&b)?,
                };
                (floor, Some(truth))
            }
            None => {
                let key = key("divide");
                (
                    permutation_floor(PAIRS, a.view(), b.view(), key, &metric)?,
                    None,
                )
            }
        };
        let level = |value: f64| level(&floor, value);
        Ok(Distance {
            name: name.into(),
            points,
            floor: floor.p95,
            between: level(metric(a.view(), b.view())?),
            to_truth: to_truth.map(|t| Both {
                a: level(t.a),
                b: level(t.b),
            }),
        })
    }

    /// Modes that each run found, beside those of exact draws.
    pub(super) fn modes(
        &mut self,
        runs: &Both<LoadedRun>,
        mixture: &GaussianMixture,
    ) -> Result<Modes> {
        let (k, d) = mixture.means().dim();
        let runtime = &mut self.runtime;
        let mut found = |run: &LoadedRun| {
            let weights = run.log_weights.as_ref().map(|w| w.view());
            let m = count(runtime, mixture, run.rows().view(), weights)?;
            Ok::<_, retrograde_core::Error>(ModeCounts {
                found: k - m.missed.len(),
                missed: m.missed,
                weight_error: m.hard_error,
                stray: m.stray,
            })
        };
        let found = Both {
            a: found(&runs.a)?,
            b: found(&runs.b)?,
        };
        let n = runs.a.len().min(runs.b.len()).min(MOST_COUNTED);
        let floor = match &self.exact {
            None => None,
            Some((sampler, _)) => {
                let error = |i: usize| {
                    let exact = draw(runtime, *sampler, "modes", i as u64, n, d)?;
                    Ok(count(runtime, mixture, exact.view(), None)?.hard_error)
                };
                let errors = (0..PAIRS).map(error).collect::<Result<_>>()?;
                Some(NoiseFloor::new(errors)?.p95)
            }
        };
        Ok(Modes {
            modes: k,
            a: found.a,
            b: found.b,
            weight_error_floor: floor,
        })
    }
}

fn level(floor: &NoiseFloor, value: f64) -> Level {
    Level {
        value,
        times_floor: finite(floor.times(value)),
    }
}

/// `n` exact draws under the key (`name`, `index`).
fn draw(
    runtime: &mut Runtime,
    sampler: &dyn ExactSampler,
    name: &str,
    index: u64,
    n: usize,
    d: usize,
) -> Result<Array2<f64>> {
    let mut out = Array2::zeros((n, d));
    runtime.enter(name, index, |cx| sampler.sample(cx, out.view_mut()))?;
    Ok(out)
}
