//! Sliced distances: the mean over directions of those of the projections.
//!
//! Sources: Bonneel, Rabin, Peyré & Pfister (2015), J. Math. Imaging Vis. 51, 22, for Wasserstein; Grenioux, Noble, Gabrié
//! & Durmus (2024), arXiv:2402.10758, for Kolmogorov–Smirnov, with histograms of 256 bins and 128 directions.
//!
//! SW_p^p = mean over directions θ of W_p(θ·x, θ·y)^p
//!
//! SKS = mean over directions θ of sup |F(θ·x) − F(θ·y)|
//!
//! SW is a distance between laws, unlike W_p it concentrates at the rate n^(−½) in any dimension, and it costs a sort a
//! direction. Between laws that differ by a shift m it is |m|/√d.
//!
//! # Cost
//! L (n + m)(d + log n) for L directions, over threads. The number of threads changes no bit.

use crate::one_dim::between_sorted;
use crate::points::{Rows, same, wrong};
use crate::transport::Order;
use ndarray::{Array2, ArrayView1, ArrayView2};
use rand_distr::{Distribution, StandardNormal};
use retrograde_core::{Key, Result};

use crate::points::sum_of_rows;

const NAME: &str = "sliced Wasserstein";

/// Returns SW_p between two samples along given directions.
///
/// # Shapes
/// `x`: (n, d), `y`: (m, d), `directions`: (L, d), unit vectors.
///
/// # Errors
/// [`retrograde_core::Error::Shape`] for no points, no directions or different dimensions,
/// [`retrograde_core::Error::Argument`] for a number that is not finite and a direction that is not of length 1 (to 1e-9).
pub fn sliced_wasserstein(
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    directions: ArrayView2<'_, f64>,
    order: Order,
) -> Result<f64> {
    let (x, y) = Rows::pair(NAME, x, y)?;
    let lines = unit_lines(NAME, directions, x.dim())?;
    let sum = sum_of_rows(lines.len(), |l| {
        let line = lines.row(l);
        between_sorted(&project(&x, line), &project(&y, line), order)
    });
    Ok(order.root(sum / lines.len() as f64))
}

/// Returns the mean over directions of the Kolmogorov–Smirnov distance between the projections of a sample and of a
/// reference, 0 … 1.
///
/// With `bins` as published tables have it: from histograms of so many equal bins over the range of the projected
/// reference, which see no step within a bin and leave out, and do not count, what lies outside of that range; a direction
/// in which all of the sample does is at distance 1. Without, from the distribution functions themselves.
///
/// # Shapes
/// `x`: (n, d), `reference`: (m, d), `directions`: (L, d), unit vectors.
///
/// # Errors
/// As [`sliced_wasserstein`], and [`retrograde_core::Error::Argument`] for no bins.
///
/// # Example
/// ```
/// use ndarray::array;
/// use retrograde_metrics::sliced_ks;
/// let (x, reference) = (array![[0.0], [1.0]], array![[0.5], [1.5], [2.5], [3.5]]);
/// // At 1 all of x and a quarter of the reference is passed.
/// assert_eq!(sliced_ks(x.view(), reference.view(), array![[1.0]].view(), None)?, 0.75);
/// # Ok::<(), retrograde_core::Error>(())
/// ```
pub fn sliced_ks(
    x: ArrayView2<'_, f64>,
    reference: ArrayView2<'_, f64>,
    directions: ArrayView2<'_, f64>,
    bins: Option<usize>,
) -> Result<f64> {
    const NAME: &str = "sliced Kolmogorov–Smirnov";
    let (x, y) = Rows::pair(NAME, x, reference)?;
    let lines = unit_lines(NAME, directions, x.dim())?;
    if bins == Some(0) {
        return Err(wrong(NAME, "bins", 0, "at least 1"));
    }
    let sum = sum_of_rows(lines.len(), |l| {
        let (x, y) = (project(&x, lines.row(l)), project(&y, lines.row(l)));
        bins.map_or_else(|| two_sample(&x, &y), |bins| binned(&x, &y, bins))
    });
    Ok(sum / lines.len() as f64)
}

/// sup |F − G| of the distribution functions of samples in ascending order.
fn two_sample(x: &[f64], y: &[f64]) -> f64 {
    let (mut i, mut j, mut largest) = (0, 0, 0.0_f64);
    while i < x.len() && j < y.len() {
        let at = x[i].min(y[j]);
        i += x[i..].iter().take_while(|v| **v <= at).count();
        j += y[j..].iter().take_while(|v| **v <= at).count();
        largest = largest.max((i as f64 / x.len() as f64 - j as f64 / y.len() as f64).abs());
    }
    largest
}

/// The same at the upper edges of equal bins over the range of `y`, of what lies within it.
fn binned(x: &[f64], y: &[f64], bins: usize) -> f64 {
    let (low, high) = (y[0], y[y.len() - 1]);
    let first = x.partition_point(|v| *v < low);
    let x = &x[first..x.partition_point(|v| *v <= high).max(first)];
    if x.is_empty() {
        return 1.0;
    }
    let below = |values: &[f64], k: usize| {
        let edge = low + (high - low) * (k as f64 / bins as f64);
        values.partition_point(|v| *v < edge) as f64 / values.len() as f64
    };
    (1..bins)
        .map(|k| (below(x, k) - below(y, k)).abs())
        .fold(0.0, f64::max)
}

/// Directions, which must be of length 1 and of `dim` coordinates.
fn unit_lines<'a>(name: &str, directions: ArrayView2<'a, f64>, dim: usize) -> Result<Rows<'a>> {
    let lines = Rows::new(name, "directions", directions)?;
    same(name, "`directions`", "columns", dim, lines.dim())?;
    for (l, line) in lines.all().enumerate() {
        let length = line.iter().map(|v| v * v).sum::<f64>().sqrt();
        if (length - 1.0).abs() > 1e-9 {
            let argument = format!("directions[{l}]");
            return Err(wrong(
                name,
                argument,
                format!("of length {length}"),
                "of length 1",
            ));
        }
    }
    Ok(lines)
}

/// The points along a line, in ascending order.
fn project(rows: &Rows<'_>, line: &[f64]) -> Vec<f64> {
    let dot = |row: &[f64]| row.iter().zip(line).map(|(a, b)| a * b).sum::<f64>();
    let mut values: Vec<f64> = rows.all().map(dot).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Returns the directions (cos φ, sin φ) of the plane.
///
/// # Shapes
/// `angles`: (L), radians; out (L, 2).
#[must_use]
pub fn plane_directions(angles: ArrayView1<'_, f64>) -> Array2<f64> {
    Array2::from_shape_fn((angles.len(), 2), |(l, j)| {
        if j == 0 {
            angles[l].cos()
        } else {
            angles[l].sin()
        }
    })
}

/// Returns `count` directions, uniform on the sphere, from the first stream of `key`: the same for the same key.
///
/// # Shapes
/// Out (count, dim), unit vectors.
#[must_use]
pub fn random_directions(key: Key, count: usize, dim: usize) -> Array2<f64> {
    let mut stream = key.stream(0);
    let mut lines = Array2::<f64>::zeros((count, dim));
    for mut line in lines.rows_mut() {
        // A length of zero has probability zero, but a division by it would spread.
        let mut length: f64 = 0.0;
        while length == 0.0 && dim > 0 {
            line.mapv_inplace(|_| StandardNormal.sample(&mut stream));
            length = line.dot(&line).sqrt();
        }
        line /= length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::samples::{cloud, on_threads, x, y};
    use crate::test_chains::assert_close;
    use ndarray::{Array1, Axis, array, s};
    use std::f64::consts::PI;

    #[test]
    fn known_values() {
        let angles: Array1<f64> = (0..8).map(|l| f64::from(l) * PI / 8.0).collect();
        let directions = plane_directions(angles.view());
        let sw = |order| sliced_wasserstein(x().view(), y().view(), directions.view(), order);
        let two = sw(Order::Two).unwrap();
        assert_close(two * two, 0.159_781_133_185_88, 1e-10);
        assert_close(two, 0.399_726_322_858_38, 1e-10);
        assert_close(sw(Order::One).unwrap(), 0.332_559_971_828_32, 1e-10);
    }

    #[test]
    fn a_shift_costs_its_projections() {
        let d = 5;
        let directions = random_directions(Key::from_seed(3), 4000, d);
        let x = cloud(50, d, 1);
        let shift = array![1.0, -2.0, 0.5, 0.0, 3.0];
        let sw = sliced_wasserstein(
            x.view(),
            (&x + &shift).view(),
            directions.view(),
            Order::Two,
        );
        // SW₂² is the mean of (θ·m)², whose mean is |m|²/d and whose sd over directions is below √2 |m|²/d.
        let truth = shift.dot(&shift) / d as f64;
        assert!(
            (sw.unwrap().powi(2) - truth).abs() < 4.0 * 2.0_f64.sqrt() * truth / 4000_f64.sqrt()
        );
    }

    #[test]
    fn known_steps() {
        // 1-D samples of known Kolmogorov–Smirnov distance, along both axes of the plane.
        let x = array![[-1.2, 0.0], [-0.3, 0.0], [0.1, 0.0], [0.8, 0.0], [1.9, 0.0]];
        let y = array![[-0.9, 1.0], [-0.5, 1.0], [0.4, 1.0], [1.1, 1.0], [2.3, 1.0]];
        let axes = array![[1.0, 0.0], [0.0, 1.0]];
        // Along the first, 2/5 of y and 1/5 of x lie below −0.4; nowhere more apart. Along the second they are disjoint.
        let exact = sliced_ks(x.view(), y.view(), axes.view(), None).unwrap();
        assert_close(exact, 0.5 * (0.2 + 1.0), 1e-14);
        // Four bins of width 0.8 from −0.9 to 2.3, from which x loses −1.2: below −0.1, 0.7, 1.5 there are 1, 2, 3 of the
        // 4 left and 2, 3, 4 of the 5 of y. All of x is outside of the range along the second axis, which is a point.
        let published = sliced_ks(x.view(), y.view(), axes.view(), Some(4)).unwrap();
        assert_close(published, 0.5 * (0.15 + 1.0), 1e-14);
        assert!(sliced_ks(x.view(), y.view(), axes.view(), Some(0)).is_err());
        let swapped = sliced_ks(y.view(), x.view(), axes.view(), None).unwrap();
        assert_eq!(swapped, exact);
        assert_eq!(
            sliced_ks(x.view(), x.view(), axes.view(), None).unwrap(),
            0.0
        );
    }

    #[test]
    fn fine_bins_see_what_the_distribution_functions_see() {
        let (x, y) = (cloud(400, 3, 1), cloud(300, 3, 2));
        let directions = random_directions(Key::from_seed(0), 64, 3);
        let ks =
            |x: ArrayView2<'_, f64>, bins| sliced_ks(x, y.view(), directions.view(), bins).unwrap();
        let all = on_threads(|| ks(x.view(), Some(256)));
        assert!(all[0] == all[1] && all[0] == all[2]);
        // Out of 400 a point or two are outside, and a bin of 256 holds about as many.
        assert!((all[0] - ks(x.view(), None)).abs() < 0.03);
        // Mass that is elsewhere altogether: seen by the one, left out by the other.
        let mut moved = x.clone();
        moved.slice_mut(s![..200, ..]).fill(1e6);
        assert!(ks(moved.view(), None) > 0.4 && ks(moved.view(), Some(256)) < 0.2);
    }

    #[test]
    fn directions_are_uniform_on_the_sphere() {
        let lines = random_directions(Key::from_seed(1), 20_000, 3);
        assert_eq!(lines, random_directions(Key::from_seed(1), 20_000, 3));
        assert_eq!(
            lines.slice(s![..7, ..]),
            random_directions(Key::from_seed(1), 7, 3)
        );
        assert_ne!(lines, random_directions(Key::from_seed(2), 20_000, 3));
        // On the sphere of ordinary space each coordinate is uniform on [−1, 1].
        for column in lines.axis_iter(Axis(1)) {
            let ks = crate::kolmogorov_smirnov(column, |x| 0.5 + 0.5 * x).unwrap();
            assert!(ks < 1.95 / 20_000_f64.sqrt(), "{ks}");
        }
    }

    #[test]
    fn scale_order_threads_and_sizes() {
        let (x, y) = (cloud(300, 3, 1), cloud(210, 3, 2));
        let directions = random_directions(Key::from_seed(0), 37, 3);
        let sw = |x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>| {
            sliced_wasserstein(x, y, directions.view(), Order::Two).unwrap()
        };
        let all = on_threads(|| sw(x.view(), y.view()));
        assert!(all[0] == all[1] && all[0] == all[2]);
        assert_eq!(sw(x.slice(s![..;-1, ..]), y.view()), all[0]);
        assert_close(
            sw((&x * 4.0 - 1.0).view(), (&y * 4.0 - 1.0).view()),
            4.0 * all[0],
            1e-12,
        );
        assert_eq!(sw(x.view(), x.view()), 0.0);
        let w2 = crate::wasserstein(x.slice(s![..210, ..]), y.view(), Order::Two).unwrap();
        assert!(sw(x.slice(s![..210, ..]), y.view()) <= w2.distance);
    }

    #[test]
    fn bad_input_is_told() {
        let told = |directions: Array2<f64>| {
            sliced_wasserstein(x().view(), y().view(), directions.view(), Order::One)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            told(array![[1.0, 0.0], [3.0, 4.0]]),
            "sliced Wasserstein: `directions[1]` is of length 5, but must be of length 1"
        );
        assert!(told(array![[1.0]]).contains("1 columns, expected 2 columns"));
        assert!(told(Array2::zeros((0, 2))).contains("`directions` has 0 × 2"));
    }
}
