//! Noise floors: what a distance between samples says when both come from the same law.
//!
//! A distance between two finite samples of one law is not zero. Its 95 % point over pairs of such samples, of the same
//! sizes, is the floor below which a sampler cannot be told from an exact one.
//!
//! * [`noise_floor`]: pairs from whoever can draw exactly.
//! * [`permutation_floor`]: random divisions of two pooled samples (Fisher 1935), where nobody can. It answers whether
//!   the two samples differ from one another, and takes their draws for independent.

use crate::chains::quantile;
use crate::points::{Rows, wrong};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use rand_core::Rng;
use rayon::prelude::*;
use retrograde_core::{Key, Result};

/// The usual number of pairs.
pub const PAIRS: usize = 100;

const NAME: &str = "noise floor";
/// Pairs that are in memory at once.
const AT_ONCE: usize = 16;
/// Numbers that are in memory at once, a pair apart.
const MOST_NUMBERS: usize = 1 << 22;

/// Values of a distance between samples of the same law.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseFloor {
    /// The values, ascending.
    pub values: Vec<f64>,
    /// Their 95 % point (interpolated linearly between order statistics).
    pub p95: f64,
}

impl NoiseFloor {
    /// The floor of distances that were measured between pairs of samples of the same law.
    ///
    /// # Errors
    /// [`retrograde_core::Error::Argument`] for no values and for one that is NaN.
    pub fn new(mut values: Vec<f64>) -> Result<Self> {
        if values.is_empty() {
            return Err(wrong(NAME, "pairs", 0, "at least 1"));
        }
        if let Some(i) = values.iter().position(|v| v.is_nan()) {
            return Err(wrong(
                NAME,
                "metric",
                format!("NaN for pair {i}"),
                "a number for every pair",
            ));
        }
        values.sort_unstable_by(f64::total_cmp);
        let p95 = quantile(&values, 0.95);
        Ok(Self { values, p95 })
    }

    /// Whether a distance cannot be told from that between two samples of the same law.
    #[must_use]
    pub fn covers(&self, value: f64) -> bool {
        value <= self.p95
    }

    /// How many times the floor a distance is; NaN if the floor is not positive.
    #[must_use]
    pub fn times(&self, value: f64) -> f64 {
        if self.p95 > 0.0 {
            value / self.p95
        } else {
            f64::NAN
        }
    }
}

/// Returns the noise floor of `metric` from `pairs` pairs of samples. `draw(i)` draws pair i; it is called in order on
/// this thread, the metric on any.
///
/// # Errors
/// [`retrograde_core::Error::Argument`] for no pairs and for a metric that is NaN; what `draw` and `metric` return.
///
/// # Example
/// ```
/// use ndarray::{Array2, ArrayView2};
/// use rand_distr::{Distribution, StandardNormal};
/// use retrograde_metrics::{energy_distance, noise_floor};
/// let mut stream = retrograde_core::Key::from_seed(1).stream(0);
/// let mut sample = || Array2::from_shape_simple_fn((50, 2), || StandardNormal.sample(&mut stream));
/// let exact = sample();
/// let floor = noise_floor(100, |_| Ok((sample(), sample())), |x, y| energy_distance(x, y))?;
/// assert!(floor.times(energy_distance(exact.view(), (&exact + 1.0).view())?) > 2.0);
/// # Ok::<(), retrograde_core::Error>(())
/// ```
pub fn noise_floor(
    pairs: usize,
    mut draw: impl FnMut(usize) -> Result<(Array2<f64>, Array2<f64>)>,
    metric: impl Fn(ArrayView2<'_, f64>, ArrayView2<'_, f64>) -> Result<f64> + Sync,
) -> Result<NoiseFloor> {
    let mut values = Vec::with_capacity(pairs);
    let mut waiting = Vec::with_capacity(AT_ONCE);
    let mut numbers = 0;
    for i in 0..pairs {
        let (x, y) = draw(i)?;
        numbers += x.len() + y.len();
        waiting.push((x, y));
        if waiting.len() < AT_ONCE && numbers < MOST_NUMBERS && i + 1 < pairs {
            continue;
        }
        let part: Vec<f64> = waiting
            .par_iter()
            .map(|(x, y)| metric(x.view(), y.view()))
            .collect::<Result<_>>()?;
        values.extend(part);
        waiting.clear();
        numbers = 0;
    }
    NoiseFloor::new(values)
}

/// Returns the noise floor of `metric` from `pairs` random divisions of the points of `x` and `y` into parts of their
/// sizes. The same key gives the same divisions.
///
/// # Shapes
/// `x`: (n, d), `y`: (m, d).
///
/// # Errors
/// [`retrograde_core::Error::Shape`] for no points or different dimensions, [`retrograde_core::Error::Argument`] for a
/// number that is not finite; else as [`noise_floor`].
pub fn permutation_floor(
    pairs: usize,
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    key: Key,
    metric: impl Fn(ArrayView2<'_, f64>, ArrayView2<'_, f64>) -> Result<f64> + Sync,
) -> Result<NoiseFloor> {
    Rows::pair(NAME, x, y)?;
    let n = x.nrows();
    let pooled = concatenate(Axis(0), &[x, y]).unwrap_or_default();
    let draw = |pair: usize| {
        let order = permutation(pooled.nrows(), key.fold("division", pair as u64));
        let part = |rows: &[usize]| pooled.select(Axis(0), rows);
        Ok((part(&order[..n]), part(&order[n..])))
    };
    noise_floor(pairs, draw, metric)
}

/// A uniform permutation of 0 … n − 1 from the first stream of `key` (Fisher–Yates).
fn permutation(n: usize, key: Key) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    let mut stream = key.stream(0);
    for last in (1..n).rev() {
        // The high half of a product: its bias is below n/2⁶⁴.
        let product = u128::from(stream.next_u64()) * (last as u128 + 1);
        order.swap(last, (product >> 64) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::samples::{cloud, on_threads};
    use crate::{
        Kernel, Order, energy_distance, mmd_squared, random_directions, sliced_wasserstein,
        wasserstein,
    };
    use ndarray::Array1;

    type Metric = fn(ArrayView2<'_, f64>, ArrayView2<'_, f64>) -> Result<f64>;

    fn sliced(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Result<f64> {
        let directions = random_directions(Key::from_seed(5), 50, x.ncols());
        sliced_wasserstein(x, y, directions.view(), Order::Two)
    }

    const METRICS: [Metric; 4] = [
        |x, y| Ok(mmd_squared(x, y, &Kernel::Gaussian { sigma: 1.5 })?.unbiased),
        sliced,
        |x, y| Ok(wasserstein(x, y, Order::Two)?.distance),
        energy_distance,
    ];

    fn exact_floor(metric: Metric, n: usize) -> NoiseFloor {
        let pair = |i: usize| {
            Ok((
                cloud(n, 2, 1000 + 2 * i as u64),
                cloud(n, 2, 1001 + 2 * i as u64),
            ))
        };
        noise_floor(PAIRS, pair, metric).unwrap()
    }

    /// Of further exact samples about 5 % are above the floor; of a sampler that is off, all are.
    #[test]
    fn exact_samples_pass_and_shifted_ones_do_not() {
        let n = 100;
        for metric in METRICS {
            let floor = exact_floor(metric, n);
            let above = |shift: f64| {
                (0..60_u64)
                    .filter(|i| {
                        let (x, y) = (cloud(n, 2, 5000 + 2 * i), cloud(n, 2, 5001 + 2 * i) + shift);
                        !floor.covers(metric(x.view(), y.view()).unwrap())
                    })
                    .count()
            };
            // The share above an estimated 95 % point is 5 % ± 3.6 %: 60 · (0.05 + 4 · 0.036) ≈ 12.
            assert!(above(0.0) <= 12, "{}", above(0.0));
            assert_eq!(above(1.0), 60);
        }
    }

    #[test]
    fn divisions_of_the_pool_give_the_floor_of_exact_pairs() {
        let (x, y) = (cloud(100, 2, 1), cloud(100, 2, 2));
        for metric in METRICS {
            let exact = exact_floor(metric, 100).p95;
            let divided =
                permutation_floor(PAIRS, x.view(), y.view(), Key::from_seed(1), metric).unwrap();
            let ratio = divided.p95 / exact;
            assert!((0.6..1.6).contains(&ratio), "{ratio}");
        }
        // Two laws: their own distance is far above any division.
        let far = &y + 2.0;
        let floor = permutation_floor(
            PAIRS,
            x.view(),
            far.view(),
            Key::from_seed(1),
            energy_distance,
        );
        assert!(
            floor
                .unwrap()
                .times(energy_distance(x.view(), far.view()).unwrap())
                > 10.0
        );
    }

    #[test]
    fn the_floor_is_the_95_percent_point_in_any_order_of_pairs() {
        let values = Array1::from_iter((0..101_u32).map(|i| f64::from(i * 37 % 101)));
        let floor = NoiseFloor::new(values.to_vec()).unwrap();
        assert_eq!((floor.p95, floor.values[100]), (95.0, 100.0));
        assert!(floor.covers(95.0) && !floor.covers(95.1) && !floor.covers(f64::NAN));
        assert!(
            NoiseFloor::new(vec![0.0, -1.0])
                .unwrap()
                .times(1.0)
                .is_nan()
        );
    }

    #[test]
    fn threads_change_nothing_and_permutations_are_uniform() {
        let (x, y) = (cloud(40, 2, 1), cloud(60, 2, 2));
        let floor = || permutation_floor(30, x.view(), y.view(), Key::from_seed(2), METRICS[0]);
        let all = on_threads(|| floor().unwrap());
        assert!(all[0] == all[1] && all[0] == all[2]);
        // Each of the six permutations of three, 6000 times in all: 1000 ± 29.
        let mut counts = std::collections::HashMap::new();
        for i in 0..6000 {
            *counts
                .entry(permutation(3, Key::from_seed(i)))
                .or_insert(0_i32) += 1;
        }
        assert!(counts.len() == 6 && counts.values().all(|c| (c - 1000).abs() < 4 * 29));
    }

    #[test]
    fn bad_input_is_told() {
        let x = cloud(3, 2, 1);
        let floor = |pairs, metric: Metric| {
            permutation_floor(pairs, x.view(), x.view(), Key::from_seed(0), metric)
        };
        let told = |e: Result<NoiseFloor>| e.unwrap_err().to_string();
        assert_eq!(
            told(floor(0, energy_distance)),
            "noise floor: `pairs` is 0, but must be at least 1"
        );
        assert!(told(floor(3, |_, _| Ok(f64::NAN))).contains("`metric` is NaN for pair 0"));
        assert!(told(floor(3, |_, _| Err(wrong("m", "a", 1, "2")))).contains("m: `a` is 1"));
    }
}
