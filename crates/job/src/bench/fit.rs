//! The value of a whole number at which a run spends a budget of evaluations.

use std::collections::BTreeMap;

/// Runs that a search makes at most.
const TRIALS: usize = 8;
/// A search ends this near to the budget, relatively.
const NEAR: f64 = 0.05;
/// Farther off than this, relatively, a budget is missed, and that is told.
pub(super) const MISSED: f64 = 0.1;

/// What a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fit {
    pub(super) value: u64,
    pub(super) evaluations: u64,
    pub(super) trials: usize,
}

/// Looks for the value at which `spent` is nearest to `budget`, from `start` on. `spent` tells what a run at a value
/// spends, and should rise with it; `None` where the run fails, which no larger value is tried after.
///
/// Evaluations are taken for a line through the two values on either side of the budget, or through the last two, or
/// through one and the origin; where that does not narrow the gap by half it is halved. `Err` carries what `spent` failed with
/// if there is no run at all.
pub(super) fn fit<E>(
    start: u64,
    budget: u64,
    mut spent: impl FnMut(u64) -> Result<Option<u64>, E>,
) -> Result<Option<Fit>, E> {
    let mut tried: BTreeMap<u64, u64> = BTreeMap::new();
    // The smallest value that failed, or the largest that there is.
    let mut ceiling = i64::MAX as u64;
    let mut value = start.max(1);
    let mut trials = 0;
    let off = |e: u64| (e as f64 / budget as f64 - 1.0).abs();
    let mut gap = f64::INFINITY;
    while trials < TRIALS {
        trials += 1;
        match spent(value)? {
            Some(e) => {
                tried.insert(value, e);
                if off(e) <= NEAR {
                    break;
                }
            }
            None => ceiling = ceiling.min(value),
        }
        let below = tried
            .iter()
            .rev()
            .find(|(_, e)| **e < budget)
            .map(|(v, e)| (*v, *e));
        let above = tried
            .iter()
            .find(|(_, e)| **e >= budget)
            .map(|(v, e)| (*v, *e));
        let next = match (below, above) {
            (Some(a), Some(b)) if a.0 < b.0 => {
                let width = (b.0 - a.0) as f64;
                let narrowed = width <= 0.5 * gap;
                gap = width;
                let share = if narrowed {
                    (budget - a.1) as f64 / (b.1 - a.1) as f64
                } else {
                    0.5
                };
                a.0 + ((width * share).round() as u64)
                    .clamp(1, (b.0 - a.0).saturating_sub(1).max(1))
            }
            (Some(a), _) => {
                let slope = tried
                    .range(..a.0)
                    .next_back()
                    .map(|(v, e)| (a.1 as f64 - *e as f64) / (a.0 - v) as f64);
                let slope = slope
                    .filter(|s| *s > 0.0)
                    .unwrap_or(a.1.max(1) as f64 / a.0 as f64);
                let step = (budget - a.1) as f64 / slope;
                let most = 63.0 * a.0 as f64;
                let room = ceiling.saturating_sub(1);
                let next = a.0.saturating_add(step.clamp(1.0, most).round() as u64);
                if next >= ceiling {
                    a.0 + room.saturating_sub(a.0) / 2
                } else {
                    next
                }
            }
            (None, Some(b)) => {
                let share = budget as f64 / b.1 as f64;
                ((b.0 as f64 * share) as u64).clamp(1, b.0.saturating_sub(1).max(1))
            }
            (None, None) => value / 2,
        };
        if next == 0 || tried.contains_key(&next) || next >= ceiling {
            break;
        }
        value = next;
    }
    let log = |e: u64| (e.max(1) as f64 / budget as f64).ln().abs();
    let best = tried
        .into_iter()
        .min_by(|a, b| log(a.1).total_cmp(&log(b.1)));
    Ok(best.map(|(value, evaluations)| Fit {
        value,
        evaluations,
        trials,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(start: u64, budget: u64, spent: impl Fn(u64) -> Option<u64>) -> Option<Fit> {
        fit(start, budget, |v| Ok::<_, ()>(spent(v))).unwrap()
    }

    #[test]
    fn lines_are_met_in_a_few_runs() {
        for (start, budget) in [(200, 100_000), (1, 3_000_000), (100_000, 20_000)] {
            let fit = found(start, budget, |v| Some(5_000 + 37 * v)).unwrap();
            let off = fit.evaluations as f64 / budget as f64 - 1.0;
            assert!(off.abs() <= NEAR && fit.trials <= 6, "{fit:?}");
        }
    }

    #[test]
    fn what_bends_or_steps_is_met_within_the_tenth_where_it_can_be() {
        let bent = |v: u64| Some((100.0 * (v as f64).powf(1.6)) as u64);
        let stepped = |v: u64| Some(v / 7 * 7_000);
        for spent in [bent, stepped] {
            let fit = found(10, 400_000, spent).unwrap();
            assert!(
                (fit.evaluations as f64 / 4e5 - 1.0).abs() < MISSED,
                "{fit:?}"
            );
        }
        // Steps that are larger than the budget: the nearest, not an endless search.
        let fit = found(3, 1_000, |v| Some(v * 900_000)).unwrap();
        assert_eq!((fit.value, fit.evaluations), (1, 900_000));
    }

    #[test]
    fn what_cannot_be_met_is_not() {
        // What does not depend on the key.
        let fit = found(8, 10_000, |_| Some(500)).unwrap();
        assert!(fit.evaluations == 500 && fit.trials <= TRIALS);
        // Values above 50 are refused.
        let fit = found(8, 10_000, |v| (v <= 50).then_some(v * 100)).unwrap();
        assert!(fit.value <= 50 && fit.evaluations >= 2_500, "{fit:?}");
        assert_eq!(found(8, 10_000, |_| None), None);
        assert_eq!(fit_error(), Err("cancelled"));
    }

    fn fit_error() -> Result<Option<Fit>, &'static str> {
        fit(8, 10_000, |_| Err("cancelled"))
    }
}
