//! Two finished runs of one target side by side, and against the truth where it is known.
//!
//! Means and standard deviations are compared with their Monte-Carlo errors; the laws by distances between samples, each
//! beside its noise floor, the 95 % point of the same distance between pairs of samples of one law. Where the target
//! draws exactly, these are 100 pairs of exact samples, and each run's distance to an exact sample tells which is nearer
//! to the truth. Elsewhere the floor is that of 100 random divisions of the pooled draws, and nothing tells which is
//! nearer.
//!
//! The floor is of independent draws: a run whose draws are correlated is above it for that reason alone.
//!
//! Runs are replaced by evenly spaced draws (weighted ones by systematic resampling) so that it takes seconds; all that
//! is random has a fixed seed, so the same runs give the same numbers.

mod distances;
mod load;
mod verdict;

use crate::error::JobError;
use crate::rundir::refused;
use distances::Samples;
use load::LoadedRun;
pub(crate) use load::by_weight;
use ndarray::Axis;
use retrograde_core::{Exact, Kind, Registry, Truth};
use retrograde_metrics::{summarise, summarise_weighted};
use serde::Serialize;
use std::path::Path;

/// Fewest draws of a run of which distances say anything.
const FEWEST: usize = 20;

/// Something of each of the two runs.
#[derive(Debug, Clone, Serialize)]
pub struct Both<T> {
    /// Of the first.
    pub a: T,
    /// Of the second.
    pub b: T,
}

/// Two runs side by side. Numbers that could not be computed are absent.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Name of the target.
    pub target: String,
    /// Its dimension.
    pub dim: usize,
    /// The runs.
    pub runs: Both<ComparedRun>,
    /// Means and standard deviations of the coordinates.
    pub coordinates: Vec<CoordinateDifference>,
    /// What the noise floor is made of.
    pub floor: Floor,
    /// Why the runs were not compared with exact draws, if they were not.
    pub no_truth: Option<String>,
    /// Distances, each beside its noise floor.
    pub distances: Vec<Distance>,
    /// Modes, if the target is a mixture.
    pub modes: Option<Modes>,
    /// log Z, where at least one run estimates it.
    pub log_z: Option<LogZDifference>,
    /// Which run is nearer to the truth, and by how much.
    pub verdict: ComparisonVerdict,
}

/// A run that is compared.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedRun {
    /// Its directory as it was given.
    pub directory: String,
    /// Name of the sampler.
    pub sampler: String,
    /// Seed.
    pub seed: u64,
    /// Chains.
    pub chains: usize,
    /// Draws, over all chains.
    pub draws: usize,
    /// Whether the draws have weights.
    pub weighted: bool,
}

/// What a noise floor is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Floor {
    /// Pairs of exact samples.
    ExactPairs,
    /// Random divisions of the pooled draws of both runs.
    Divisions,
}

/// A coordinate in both runs.
#[derive(Debug, Clone, Serialize)]
pub struct CoordinateDifference {
    /// Its name.
    pub name: String,
    /// Means.
    pub mean: Both<Option<f64>>,
    /// Mean of the first less that of the second, over its Monte-Carlo standard error.
    pub mean_z: Option<f64>,
    /// Standard deviations.
    pub sd: Both<Option<f64>>,
    /// The same for standard deviations; absent for weighted draws.
    pub sd_z: Option<f64>,
    /// The known mean.
    pub true_mean: Option<f64>,
}

/// A distance between samples.
#[derive(Debug, Clone, Serialize)]
pub struct Distance {
    /// Its name.
    pub name: String,
    /// Points of each sample.
    pub points: usize,
    /// 95 % point between samples of the same law.
    pub floor: f64,
    /// Between the runs.
    pub between: Level,
    /// From each run to exact draws.
    pub to_truth: Option<Both<Level>>,
}

/// The value of a distance.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Level {
    /// In the unit of the distance.
    pub value: f64,
    /// In units of the noise floor; at most 1 cannot be told from noise.
    pub times_floor: Option<f64>,
}

/// Modes of a mixture in both runs.
#[derive(Debug, Clone, Serialize)]
pub struct Modes {
    /// How many there are.
    pub modes: usize,
    /// In the first run.
    pub a: ModeCounts,
    /// In the second.
    pub b: ModeCounts,
    /// 95 % point of the weight error of exact samples of as many draws.
    pub weight_error_floor: Option<f64>,
}

/// Modes that a run found.
#[derive(Debug, Clone, Serialize)]
pub struct ModeCounts {
    /// Modes with at least half of their weight.
    pub found: usize,
    /// The others, from 0.
    pub missed: Vec<usize>,
    /// ½ Σ |share of the draws − weight|.
    pub weight_error: f64,
    /// Share of the draws far from every mode.
    pub stray: f64,
}

/// log Z of both runs.
#[derive(Debug, Clone, Serialize)]
pub struct LogZDifference {
    /// Estimates.
    pub value: Both<Option<f64>>,
    /// Their standard errors.
    pub se: Both<Option<f64>>,
    /// First less second.
    pub difference: Option<f64>,
    /// Its standard error.
    pub difference_se: Option<f64>,
    /// The known value.
    pub truth: Option<f64>,
}

/// The outcome in words.
#[derive(Debug, Clone, Serialize)]
pub struct ComparisonVerdict {
    /// `a`, `b`, or neither.
    pub nearer: Option<char>,
    /// Plain words.
    pub text: String,
}

/// Compares the finished runs of two directories.
///
/// # Errors
/// [`JobError::Refused`] when a directory is no run directory, its run is not complete, has no `draws.npy` or fewer than
/// 20 draws, or something has changed since; and when the runs are of different targets. Else what the target returns.
pub fn compare(a: &Path, b: &Path, registry: &Registry) -> Result<Comparison, JobError> {
    let runs = Both {
        a: LoadedRun::read(a)?,
        b: LoadedRun::read(b)?,
    };
    runs.a.check_same_settings(&runs.b)?;
    for run in [&runs.a, &runs.b] {
        if run.len() < FEWEST {
            let reason = format!("it has {} draws, at least {FEWEST} are needed", run.len());
            return Err(refused(&run.directory, &reason));
        }
    }
    let (target, read) = runs.a.target(registry)?;
    if runs.b.target(registry)?.1 != read {
        let reason = format!("it read other data than {}", runs.a.directory.display());
        return Err(refused(&runs.b.directory, &reason));
    }
    let bounded = runs.a.bounded();
    let exact = target.exact().filter(|_| !bounded);
    let sampler = exact.and_then(Exact::sampler);
    let no_truth = match sampler {
        Some(_) => None,
        None if bounded => Some("the target has bounds, within which its exact draws do not stay"),
        None => Some("the target knows no exact draws"),
    };
    let truth = exact.map(Exact::truth).unwrap_or_default();
    let mut samples = Samples::new(&runs, sampler)?;
    let distances = samples.distances()?;
    // Within bounds the weights of the modes are others.
    let modes = match target.mixture().filter(|_| !bounded) {
        Some(mixture) if target.has_density() => Some(samples.modes(&runs, mixture)?),
        _ => None,
    };
    let log_z = log_z(&runs);
    let verdict = verdict::verdict(&distances, modes.as_ref(), sampler.is_some());
    Ok(Comparison {
        target: runs.a.report.component(Kind::Target).to_owned(),
        dim: runs.a.report.dim,
        coordinates: coordinates(&runs, &truth),
        runs: Both {
            a: described(&runs.a),
            b: described(&runs.b),
        },
        floor: if sampler.is_some() {
            Floor::ExactPairs
        } else {
            Floor::Divisions
        },
        no_truth: no_truth.map(str::to_owned),
        distances,
        modes,
        log_z,
        verdict,
    })
}

fn described(run: &LoadedRun) -> ComparedRun {
    ComparedRun {
        directory: run.directory.display().to_string(),
        sampler: run.report.component(Kind::Sampler).to_owned(),
        seed: run.report.seed,
        chains: run.report.chains,
        draws: run.len(),
        weighted: run.log_weights.is_some(),
    }
}

/// Mean, its error, standard deviation and its error.
type Moments = (f64, f64, f64, f64);

fn moments(run: &LoadedRun) -> Vec<Moments> {
    match &run.log_weights {
        None => summarise(run.draws.view())
            .iter()
            .map(|s| (s.mean, s.mcse_mean, s.sd, s.mcse_sd))
            .collect(),
        Some(w) => summarise_weighted(run.draws.index_axis(Axis(0), 0), w.view())
            .iter()
            .map(|s| (s.mean, s.mcse_mean, s.sd, f64::NAN))
            .collect(),
    }
}

fn coordinates(runs: &Both<LoadedRun>, truth: &Truth) -> Vec<CoordinateDifference> {
    let z = |x: f64, x_se: f64, y: f64, y_se: f64| finite((x - y) / x_se.hypot(y_se));
    let (a, b) = (moments(&runs.a), moments(&runs.b));
    let names = runs.a.report.coordinates.iter().map(|c| c.name.clone());
    names
        .zip(a.into_iter().zip(b))
        .enumerate()
        .map(|(j, (name, (a, b)))| CoordinateDifference {
            name,
            mean: Both {
                a: finite(a.0),
                b: finite(b.0),
            },
            mean_z: z(a.0, a.1, b.0, b.1),
            sd: Both {
                a: finite(a.2),
                b: finite(b.2),
            },
            sd_z: z(a.2, a.3, b.2, b.3),
            true_mean: truth.mean.as_ref().and_then(|m| m.get(j).copied()),
        })
        .collect()
}

fn log_z(runs: &Both<LoadedRun>) -> Option<LogZDifference> {
    let (a, b) = (runs.a.report.log_z, runs.b.report.log_z);
    let both = a.zip(b);
    let truth = a.or(b)?.truth;
    let value = Both {
        a: a.map(|z| z.value),
        b: b.map(|z| z.value),
    };
    let se = Both {
        a: a.and_then(|z| z.se),
        b: b.and_then(|z| z.se),
    };
    let errors = se.a.zip(se.b);
    Some(LogZDifference {
        value,
        se,
        difference: both.map(|(a, b)| a.value - b.value),
        difference_se: errors.map(|(a, b)| a.hypot(b)),
        truth,
    })
}

/// JSON has neither NaN nor infinities.
fn finite(v: f64) -> Option<f64> {
    v.is_finite().then_some(v)
}
