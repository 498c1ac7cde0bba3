//! Modes that a run lost: places where other runs have draws and it has none, and that chains started there do not leave.
//!
//! A run cannot see mass that its particles never met, and neither its standard error nor the spread of runs that lose
//! the same mode shows it. So each run is compared with the draws of all runs of all methods together. Where some of these are
//! farther from its draws than its draws are from one another, chains are started: those that cross over to the run's own
//! draws came from a tail, those that stay sit in a mode that it lost.

use super::EvidenceRun;
use ndarray::Array2;
use retrograde_core::drive::drive;
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{Cancel, Collected, Registry, Runtime, Target};
use retrograde_metrics::relative_weights;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Draws of a run that are kept, and numbers of them at most.
const PLACES: usize = 512;
const NUMBERS: usize = 1 << 15;
/// A place is far from a run where it is that many times as far from its draws as 99 in 100 of these are from each other.
const FAR: f64 = 3.0;
/// Places that chains start from, for each run; chains of each.
const STARTS: usize = 8;
const CHAINS: usize = 4;
/// Moves of the chains.
const MOVES: u64 = 200;
/// Draws that a share must stand for among those of a run, so that their absence is no chance (e⁻¹² for independent ones).
const EXPECTED: f64 = 12.0;

/// A run without draws where others have them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lost {
    /// Number of the method, and seed of the run.
    pub(super) method: usize,
    pub(super) seed: u64,
    /// Share of all draws that lie there.
    pub(super) share: f64,
}

/// What the comparison came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Crossing {
    /// Runs that could be compared.
    pub(super) compared: usize,
    pub(super) lost: Vec<Lost>,
    /// The smallest share of the draws that would have been seen to be lost.
    pub(super) smallest: f64,
}

/// Draws of a run, evenly spaced in its weights, as many as are kept.
pub(super) fn places(kept: &Collected) -> Vec<Vec<f64>> {
    let (x, n) = (kept.rows(), kept.len());
    let most = PLACES.min(NUMBERS / x.ncols().max(1)).min(n);
    let weights = match kept.log_weights.len() {
        m if m == n && n > 0 => {
            let weights = relative_weights(kept.log_weights.as_slice().into());
            let total = weights.sum();
            (weights / total).to_vec()
        }
        _ => vec![1.0 / n.max(1) as f64; n],
    };
    if weights.iter().any(|w| !w.is_finite()) {
        return Vec::new();
    }
    let mut out = Vec::with_capacity(most);
    let mut sum = 0.0;
    for (row, w) in x.outer_iter().zip(weights) {
        sum += w;
        while out.len() < most && (out.len() as f64 + 0.5) / most as f64 <= sum {
            out.push(row.to_vec());
        }
    }
    out.retain(|row| row.iter().all(|v| v.is_finite()));
    out
}

/// Compares the runs of all methods. `None` where nothing can be compared: fewer than two runs with draws, or no sampler
/// "hmc", or no gradient.
pub(super) fn crossing(
    runs: &[(usize, &EvidenceRun)],
    target: &Arc<dyn Target>,
    registry: &Registry,
    cancel: &Cancel,
) -> Option<Crossing> {
    let runs: Vec<_> = runs
        .iter()
        .filter(|(_, r)| r.failure.is_none() && r.places.len() >= 2 * EXPECTED as usize)
        .collect();
    if runs.len() < 2 {
        return None;
    }
    // Each run has the same say.
    let share = PLACES.div_ceil(runs.len()).max(64);
    let all: Vec<(&[f64], f64)> = runs
        .iter()
        .flat_map(|(_, r)| {
            let every = r.places.len().div_ceil(share);
            let some: Vec<&[f64]> = r.places.iter().step_by(every).map(Vec::as_slice).collect();
            let weight = 1.0 / (some.len() * runs.len()) as f64;
            some.into_iter().map(move |x| (x, weight))
        })
        .collect();
    let scale = scales(&all);
    let mut out = Crossing {
        compared: runs.len(),
        ..Crossing::default()
    };
    // Where chains from a place end, for several runs may miss it.
    let mut ends: BTreeMap<usize, Vec<Vec<f64>>> = BTreeMap::new();
    for (method, run) in &runs {
        let own: Vec<&[f64]> = run.places.iter().map(Vec::as_slice).collect();
        let smallest = EXPECTED / own.len() as f64;
        out.smallest = out.smallest.max(smallest);
        let mut between: Vec<f64> = (0..own.len())
            .map(|i| {
                nearest(
                    own[i],
                    own.iter()
                        .enumerate()
                        .filter(|(j, _)| *j != i)
                        .map(|(_, y)| *y),
                    &scale,
                )
            })
            .collect();
        between.sort_by(f64::total_cmp);
        let limit = FAR * between[(0.99 * (own.len() - 1) as f64) as usize];
        let away = |x: &[f64]| nearest(x, own.iter().copied(), &scale) > limit;
        let far: Vec<usize> = (0..all.len()).filter(|i| away(all[*i].0)).collect();
        let share: f64 = far.iter().map(|i| all[*i].1).sum();
        if share < smallest {
            continue;
        }
        let (mut stayed, mut started) = (0usize, 0usize);
        for i in far.iter().step_by(far.len().div_ceil(STARTS)) {
            let ends = match ends.entry(*i) {
                std::collections::btree_map::Entry::Occupied(e) => e.into_mut(),
                std::collections::btree_map::Entry::Vacant(e) => {
                    e.insert(chains(all[*i].0, *i, target, registry, cancel)?)
                }
            };
            started += ends.len();
            stayed += ends.iter().filter(|x| away(x)).count();
        }
        let share = share * stayed as f64 / started.max(1) as f64;
        if share >= smallest {
            out.lost.push(Lost {
                method: *method,
                seed: run.seed,
                share,
            });
        }
    }
    Some(out)
}

/// Standard deviations, 1 where there is none.
fn scales(all: &[(&[f64], f64)]) -> Vec<f64> {
    let d = all.first().map_or(0, |(x, _)| x.len());
    let moment = |j: usize, m: f64| all.iter().map(|(x, w)| w * (x[j] - m).powi(2)).sum::<f64>();
    let sd = |j: usize| {
        let mean = all.iter().map(|(x, w)| w * x[j]).sum::<f64>();
        moment(j, mean).sqrt()
    };
    let positive = |s: f64| if s > 0.0 && s.is_finite() { s } else { 1.0 };
    (0..d).map(|j| positive(sd(j))).collect()
}

/// Distance of `x` to the nearest of `others`, in units of `scale`.
fn nearest<'a>(x: &[f64], others: impl Iterator<Item = &'a [f64]>, scale: &[f64]) -> f64 {
    let square = |y: &[f64]| {
        let parts = x.iter().zip(y).zip(scale);
        parts.map(|((a, b), s)| ((a - b) / s).powi(2)).sum::<f64>()
    };
    others.map(square).fold(f64::INFINITY, f64::min).sqrt()
}

/// Where Hamiltonian chains from `x` end.
fn chains(
    x: &[f64],
    seed: usize,
    target: &Arc<dyn Target>,
    registry: &Registry,
    cancel: &Cancel,
) -> Option<Vec<Vec<f64>>> {
    let files = Folder::default();
    let parts = Parts::new(&files).with_target(target.clone());
    let settings = json!({
        "start_mean": x, "start_sd": 0.0, "chains": CHAINS, "warmup": MOVES, "thin": 1,
    });
    let sampler = registry.sampler("hmc", settings, &parts).ok()?;
    let mut runtime = Runtime::new(seed as u64, 1)
        .ok()?
        .with_cancel(cancel.clone());
    let mut kept = Collected::new(x.len());
    let ended = drive(sampler.as_ref(), &mut runtime, CHAINS, None, &mut kept).ok()?;
    let rows: Array2<f64> = kept.rows().to_owned();
    ended
        .complete
        .then(|| rows.outer_iter().map(|r| r.to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_core::{Draws, Sink};

    #[test]
    fn places_are_evenly_spaced_in_the_weights() {
        // Point i has weight ∝ i: half of the weight is above n/√2.
        let n = 4000;
        let x = Array2::from_shape_fn((n, 1), |(i, _)| i as f64);
        let log_weights: Vec<f64> = (0..n).map(|i| (i as f64).ln() - 900.0).collect();
        let mut kept = Collected::new(1);
        let draws = |w| Draws {
            x: x.view(),
            log_weights: w,
            stats: &[],
        };
        kept.emit(&draws(Some(log_weights.as_slice().into())))
            .unwrap();
        let found = places(&kept);
        assert_eq!(found.len(), PLACES);
        let middle = found[PLACES / 2][0] / n as f64;
        assert!((middle - 0.5_f64.sqrt()).abs() < 2e-3, "{middle}");
        let mut equal = Collected::new(1);
        equal.emit(&draws(None)).unwrap();
        let middle = places(&equal)[PLACES / 2][0] / n as f64;
        assert!((middle - 0.5).abs() < 2e-3, "{middle}");
        let mut dead = Collected::new(1);
        let nothing = vec![f64::NEG_INFINITY; n];
        dead.emit(&draws(Some(nothing.as_slice().into()))).unwrap();
        assert!(places(&dead).is_empty());
    }
}
