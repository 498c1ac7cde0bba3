//! Sliced Wasserstein distances: the mean over directions of those of the projections.
//!
//! Source: Bonneel, Rabin, Peyré & Pfister (2015), J. Math. Imaging Vis. 51, 22.
//!
//! SW_p^p = mean over directions θ of W_p(θ·x, θ·y)^p
//!
//! It is a distance between laws, unlike W_p it concentrates at the rate n^(−½) in any dimension, and it costs a sort a
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
    let lines = Rows::new(NAME, "directions", directions)?;
    same(NAME, "`directions`", "columns", x.dim(), lines.dim())?;
    for (l, line) in lines.all().enumerate() {
        let length = line.iter().map(|v| v * v).sum::<f64>().sqrt();
        if (length - 1.0).abs() > 1e-9 {
            let argument = format!("directions[{l}]");
            return Err(wrong(
                NAME,
                argument,
                format!("of length {length}"),
                "of length 1",
            ));
        }
    }
    let project = |rows: &Rows<'_>, line: &[f64]| {
        let dot = |row: &[f64]| row.iter().zip(line).map(|(a, b)| a * b).sum::<f64>();
        let mut values: Vec<f64> = rows.all().map(dot).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let sum = sum_of_rows(lines.len(), |l| {
        let line = lines.row(l);
        between_sorted(&project(&x, line), &project(&y, line), order)
    });
    Ok(order.root(sum / lines.len() as f64))
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
