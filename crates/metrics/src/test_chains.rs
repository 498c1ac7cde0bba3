//! Inputs shared by the tests of this crate.

use ndarray::Array2;
use statrs::distribution::{ContinuousCDF, Normal};

/// Fails unless `value` is within the relative distance `tolerance` of `truth`.
#[track_caller]
pub(crate) fn assert_close(value: f64, truth: f64, tolerance: f64) {
    assert!(
        (value - truth).abs() <= tolerance * truth.abs(),
        "{value} is not {truth} to relative {tolerance}"
    );
}

/// Four chains of 40: A[c][t] = sin(0.37(t + 1)² + c) + 0.3 sin(0.05 t) + 0.05 c.
pub(crate) fn wave() -> Array2<f64> {
    Array2::from_shape_fn((4, 40), |(c, t)| {
        let (c, t) = (c as f64, t as f64);
        (0.37 * (t + 1.0) * (t + 1.0) + c).sin() + 0.3 * (0.05 * t).sin() + 0.05 * c
    })
}

/// Independent standard normal draws by inversion of a 64-bit linear congruential generator (Knuth's MMIX constants).
pub(crate) fn normals(seed: u64) -> impl FnMut() -> f64 {
    let normal = Normal::standard();
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        normal.inverse_cdf(((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64)
    }
}

/// Stationary chains x_{t+1} = φ x_t + √(1 − φ²) z_t with standard normal marginals.
pub(crate) fn autoregressive(phi: f64, chains: usize, draws: usize, seed: u64) -> Array2<f64> {
    let mut next = normals(seed);
    let mut x = Array2::zeros((chains, draws));
    for mut chain in x.rows_mut() {
        let mut state = next();
        for value in &mut chain {
            *value = state;
            state = phi * state + (1.0 - phi * phi).sqrt() * next();
        }
    }
    x
}
