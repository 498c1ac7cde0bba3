//! Maximum mean discrepancy between two samples, and the energy distance.
//!
//! Source: Gretton, Borgwardt, Rasch, Schölkopf & Smola (2012), J. Mach. Learn. Res. 13, 723 (eqs. 3 and 5; median
//! heuristic in §8); Székely & Rizzo (2013), J. Stat. Plan. Inference 143, 1249 (energy distance).
//!
//! For points x₁ … xₙ and y₁ … yₘ and a kernel k,
//!
//! unbiased: Σ_{i≠j} k(xᵢ, xⱼ)/(n(n − 1)) + Σ_{i≠j} k(yᵢ, yⱼ)/(m(m − 1)) − 2 Σᵢⱼ k(xᵢ, yⱼ)/(n m)
//!
//! biased: the same with the diagonals, divided by n² and m²; never negative.
//!
//! The unbiased form is negative about half of the time when both samples have the same law. Clamp it for display alone.
//! With k = −|x − y| the biased form is the energy distance 2 E|x − y| − E|x − x′| − E|y − y′|.
//!
//! # Cost
//! (n² + m²)/2 + n m kernels, spread over threads; memory is one number a row. Above [`MAX_ROWS`] rows a sample is
//! replaced by an evenly spaced part of it. The number of threads changes no bit.
//!
//! # Example
//! ```
//! use retrograde_metrics::{Kernel, median_heuristic, mmd_squared};
//! let x = ndarray::array![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
//! let y = &x + 10.0;
//! let sigma = median_heuristic(x.view(), y.view())?;
//! let far = mmd_squared(x.view(), y.view(), &Kernel::Gaussian { sigma })?;
//! assert!(far.unbiased > 0.5 && mmd_squared(x.view(), x.view(), &Kernel::Distance)?.biased == 0.0);
//! # Ok::<(), retrograde_core::Error>(())
//! ```

use crate::points::{Rows, positive, squared_distance, sum_of_rows, wrong};
use ndarray::ArrayView2;
use retrograde_core::Result;

/// Rows of a sample above which an evenly spaced part of so many stands for it.
pub const MAX_ROWS: usize = 20_000;

/// Rows of the pooled sample that [`median_heuristic`] looks at.
const MEDIAN_ROWS: usize = 2_000;

const NAME: &str = "MMD";

/// A kernel of the distance r = |x − y|; lengths have the unit of the points.
#[derive(Debug, Clone, PartialEq)]
pub enum Kernel {
    /// exp(−r²/2σ²).
    Gaussian {
        /// Length σ > 0.
        sigma: f64,
    },
    /// Σ exp(−r²/2σ²) over several σ.
    GaussianSum {
        /// Lengths, each > 0, at least one.
        sigmas: Vec<f64>,
    },
    /// exp(−r/s).
    Laplace {
        /// Length s > 0.
        scale: f64,
    },
    /// (1 + r²/c²)^(−½).
    InverseMultiquadric {
        /// Length c > 0.
        c: f64,
    },
    /// (1 + r²/(2 α s²))^(−α).
    RationalQuadratic {
        /// Length s > 0.
        scale: f64,
        /// Exponent α > 0.
        alpha: f64,
    },
    /// −r, of the energy distance.
    Distance,
}

impl Kernel {
    /// Refuses parameters that make no kernel.
    fn check(&self) -> Result {
        match self {
            Kernel::Gaussian { sigma } => positive(NAME, "sigma", *sigma),
            Kernel::GaussianSum { sigmas } if sigmas.is_empty() => {
                Err(wrong(NAME, "sigmas", "empty", "at least one length"))
            }
            Kernel::GaussianSum { sigmas } => {
                sigmas.iter().try_for_each(|s| positive(NAME, "sigmas", *s))
            }
            Kernel::Laplace { scale } => positive(NAME, "scale", *scale),
            Kernel::InverseMultiquadric { c } => positive(NAME, "c", *c),
            Kernel::RationalQuadratic { scale, alpha } => {
                positive(NAME, "scale", *scale)?;
                positive(NAME, "alpha", *alpha)
            }
            Kernel::Distance => Ok(()),
        }
    }

    /// k at the squared distance r².
    #[inline]
    fn at(&self, r2: f64) -> f64 {
        match self {
            Kernel::Gaussian { sigma } => (-0.5 * r2 / (sigma * sigma)).exp(),
            Kernel::GaussianSum { sigmas } => {
                sigmas.iter().map(|s| (-0.5 * r2 / (s * s)).exp()).sum()
            }
            Kernel::Laplace { scale } => (-r2.sqrt() / scale).exp(),
            Kernel::InverseMultiquadric { c } => 1.0 / (1.0 + r2 / (c * c)).sqrt(),
            Kernel::RationalQuadratic { scale, alpha } => {
                (1.0 + r2 / (2.0 * alpha * scale * scale)).powf(-alpha)
            }
            Kernel::Distance => -r2.sqrt(),
        }
    }
}

/// Both estimates of a squared maximum mean discrepancy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MmdSquared {
    /// Mean zero for equal laws, and then often negative; NaN if a sample has one point.
    pub unbiased: f64,
    /// With the diagonals: never negative, and positive even for equal laws.
    pub biased: f64,
}

/// Returns the squared maximum mean discrepancy between two samples.
///
/// # Shapes
/// `x`: (n, d), `y`: (m, d).
///
/// # Errors
/// [`retrograde_core::Error::Shape`] for no points or different dimensions, [`retrograde_core::Error::Argument`] for a
/// number that is not finite or a parameter that is not positive.
pub fn mmd_squared(
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    kernel: &Kernel,
) -> Result<MmdSquared> {
    kernel.check()?;
    let (x, y) = Rows::pair(NAME, x, y)?;
    let (x, y) = (x.thinned(MAX_ROWS), y.thinned(MAX_ROWS));
    let within = |rows: &Rows<'_>| {
        2.0 * sum_of_rows(rows.len(), |i| {
            let a = rows.row(i);
            rows.from(i + 1)
                .map(|b| kernel.at(squared_distance(a, b)))
                .sum()
        })
    };
    let (xx, yy) = (within(&x), within(&y));
    let xy = sum_of_rows(x.len(), |i| {
        let a = x.row(i);
        y.all().map(|b| kernel.at(squared_distance(a, b))).sum()
    });
    let (n, m) = (x.len() as f64, y.len() as f64);
    let (at_zero, cross) = (kernel.at(0.0), 2.0 * xy / (n * m));
    Ok(MmdSquared {
        unbiased: xx / (n * (n - 1.0)) + yy / (m * (m - 1.0)) - cross,
        // Same points on both sides give the same sums in another order: only rounding could be negative.
        biased: ((xx + n * at_zero) / (n * n) + (yy + m * at_zero) / (m * m) - cross).max(0.0),
    })
}

/// Returns the energy distance 2 E|x − y| − E|x − x′| − E|y − y′| between two samples, diagonals included (a V-statistic):
/// zero for equal samples, else positive; in the unit of the points.
///
/// # Shapes
/// `x`: (n, d), `y`: (m, d).
///
/// # Errors
/// As [`mmd_squared`].
pub fn energy_distance(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Result<f64> {
    mmd_squared(x, y, &Kernel::Distance).map(|m| m.biased)
}

/// Returns the median of the distances between any two points of the pooled sample, the usual length of a kernel.
///
/// At most 2000 points of the pooled sample are looked at, evenly spaced. Zero if more than half of the distances are.
///
/// # Shapes
/// `x`: (n, d), `y`: (m, d), n + m ≥ 2 (which two samples have).
///
/// # Errors
/// As [`mmd_squared`].
pub fn median_heuristic(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Result<f64> {
    let (x, y) = Rows::pair("median heuristic", x, y)?;
    let total = x.len() + y.len();
    let (x_rows, y_rows) = if total > MEDIAN_ROWS {
        let part = (MEDIAN_ROWS * x.len() / total).clamp(1, MEDIAN_ROWS - 1);
        (part, MEDIAN_ROWS - part)
    } else {
        (x.len(), y.len())
    };
    let (x, y) = (x.thinned(x_rows), y.thinned(y_rows));
    let pooled: Vec<&[f64]> = x.all().chain(y.all()).collect();
    let mut distances: Vec<f64> = Vec::with_capacity(pooled.len() * (pooled.len() - 1) / 2);
    for (i, a) in pooled.iter().enumerate() {
        distances.extend(
            pooled[i + 1..]
                .iter()
                .map(|b| squared_distance(a, b).sqrt()),
        );
    }
    let middle = distances.len() / 2;
    let even = distances.len().is_multiple_of(2);
    let (below, upper, _) = distances.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if !even {
        return Ok(upper);
    }
    let lower = below.iter().fold(0.0, |m: f64, v| m.max(*v));
    Ok(0.5 * (lower + upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::samples::{cloud, on_threads, x, x_1d, y, y_1d};
    use crate::test_chains::assert_close;
    use ndarray::{Array2, Axis, array, s};

    #[test]
    fn known_values() {
        let sigmas = vec![0.5, 1.0, 2.0];
        for (kernel, unbiased, biased) in [
            (
                Kernel::Gaussian { sigma: 1.0 },
                -0.221_370_676_942_07,
                0.064_750_209_204_553,
            ),
            (
                Kernel::GaussianSum { sigmas },
                -0.492_808_492_461_96,
                0.306_376_083_246_25,
            ),
            (
                Kernel::Laplace { scale: 1.0 },
                -0.132_979_641_649_86,
                0.185_075_924_575_53,
            ),
            (
                Kernel::InverseMultiquadric { c: 1.0 },
                -0.131_580_368_057_81,
                0.058_847_079_237_986,
            ),
            (
                Kernel::RationalQuadratic {
                    scale: 1.0,
                    alpha: 1.0,
                },
                -0.164_660_662_879_74,
                0.062_063_112_680_124,
            ),
            (
                Kernel::Distance,
                -0.439_178_407_144_14,
                0.252_361_628_763_73,
            ),
        ] {
            let mmd = mmd_squared(x().view(), y().view(), &kernel).unwrap();
            assert_close(mmd.unbiased, unbiased, 1e-10);
            assert_close(mmd.biased, biased, 1e-10);
        }
        assert_close(
            median_heuristic(x().view(), y().view()).unwrap(),
            1.565_247_584_249_9,
            1e-10,
        );
        let (x, y) = (x_1d().insert_axis(Axis(1)), y_1d().insert_axis(Axis(1)));
        assert_close(energy_distance(x.view(), y.view()).unwrap(), 0.12, 1e-10);
    }

    #[test]
    fn lengths_scale_with_the_points() {
        for (one, seven) in [
            (
                Kernel::Gaussian { sigma: 1.0 },
                Kernel::Gaussian { sigma: 7.0 },
            ),
            (
                Kernel::GaussianSum {
                    sigmas: vec![0.3, 2.0],
                },
                Kernel::GaussianSum {
                    sigmas: vec![2.1, 14.0],
                },
            ),
            (
                Kernel::Laplace { scale: 0.5 },
                Kernel::Laplace { scale: 3.5 },
            ),
            (
                Kernel::InverseMultiquadric { c: 2.0 },
                Kernel::InverseMultiquadric { c: 14.0 },
            ),
            (
                Kernel::RationalQuadratic {
                    scale: 2.0,
                    alpha: 1.5,
                },
                Kernel::RationalQuadratic {
                    scale: 14.0,
                    alpha: 1.5,
                },
            ),
        ] {
            let small = mmd_squared(x().view(), y().view(), &one).unwrap();
            let large = mmd_squared((x() * 7.0).view(), (y() * 7.0).view(), &seven).unwrap();
            assert_close(large.unbiased, small.unbiased, 1e-12);
        }
    }

    #[test]
    fn order_and_threads_change_nothing() {
        let (x, y) = (cloud(301, 3, 1), cloud(200, 3, 2));
        let kernel = Kernel::Laplace { scale: 2.0 };
        let all = on_threads(|| mmd_squared(x.view(), y.view(), &kernel).unwrap());
        assert!(all[0] == all[1] && all[0] == all[2]);
        let turned = mmd_squared(x.slice(s![..;-1, ..]), y.view(), &kernel).unwrap();
        assert_close(turned.unbiased, all[0].unbiased, 1e-10);
        let swapped = mmd_squared(y.view(), x.view(), &kernel).unwrap();
        assert_close(swapped.biased, all[0].biased, 1e-10);
        assert!(mmd_squared(x.view(), x.view(), &kernel).unwrap().biased < 1e-15);
    }

    /// For equal laws the unbiased estimate has mean zero, the biased one has not.
    #[test]
    fn the_unbiased_estimate_has_mean_zero() {
        let kernel = Kernel::Gaussian { sigma: 1.0 };
        let values: Vec<MmdSquared> = (0..400)
            .map(|k| {
                let (x, y) = (cloud(20, 2, 2 * k + 10), cloud(30, 2, 2 * k + 11));
                mmd_squared(x.view(), y.view(), &kernel).unwrap()
            })
            .collect();
        let z = |f: fn(&MmdSquared) -> f64| {
            let values: Vec<f64> = values.iter().map(f).collect();
            let se = (crate::chains::variance(&values) / values.len() as f64).sqrt();
            crate::chains::mean(&values) / se
        };
        assert!(z(|m| m.unbiased).abs() < 4.0);
        assert!(z(|m| m.biased) > 20.0);
    }

    #[test]
    fn large_samples_are_thinned_alike() {
        // Points of two values in turn: any evenly spaced part by an odd step has both.
        let x = Array2::from_shape_fn((MAX_ROWS + 1, 1), |(i, _)| f64::from(u8::from(i % 2 == 0)));
        let y = array![[0.0], [1.0]];
        let few = energy_distance(x.slice(s![..500, ..]), y.view()).unwrap();
        assert!(few < 1e-12);
        assert_eq!(
            Rows::new("x", "x", x.view())
                .unwrap()
                .thinned(MAX_ROWS)
                .len(),
            MAX_ROWS
        );
        let far = Array2::from_elem((5000, 2), 3.0);
        assert_close(
            median_heuristic(far.view(), Array2::zeros((5000, 2)).view()).unwrap(),
            18.0_f64.sqrt(),
            1e-15,
        );
    }

    #[test]
    fn bad_input_is_told() {
        let told = |e: Result<MmdSquared>| e.unwrap_err().to_string();
        let kernel = Kernel::Gaussian { sigma: 0.0 };
        assert_eq!(
            told(mmd_squared(x().view(), y().view(), &kernel)),
            "MMD: `sigma` is 0, but must be positive and finite"
        );
        let none = Kernel::GaussianSum { sigmas: vec![] };
        assert!(told(mmd_squared(x().view(), y().view(), &none)).contains("at least one length"));
        let three = Array2::zeros((4, 3));
        assert_eq!(
            told(mmd_squared(x().view(), three.view(), &Kernel::Distance)),
            "MMD: `y` has 3 columns, expected 2 columns"
        );
        let one = mmd_squared(
            array![[0.0]].view(),
            array![[1.0]].view(),
            &Kernel::Distance,
        );
        let one = one.unwrap();
        assert!(one.unbiased.is_nan() && one.biased == 2.0);
    }
}
