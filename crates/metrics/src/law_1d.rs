//! Laws on the line known by density and distribution function, and the exact distances between them.
//!
//! Source: Cover & Thomas (2006), Elements of Information Theory; Villani (2009), Optimal Transport, ch. 2;
//! Tsybakov (2009), Introduction to Nonparametric Estimation, §2.4 (the distances and their order).
//!
//! * KL(p ‖ q) = ∫ p ln(p/q),  χ²(p ‖ q) = ∫ (p − q)²/q,  1 − BC = ½ ∫ (√p − √q)², entropy −∫ p ln p:
//!   Gauss–Legendre on the pieces between the [`breaks`](Law1d::breaks) of both laws
//! * TV = ½ Σ |increments of P − Q| between *all* sign changes of p − q, exact but for these points
//! * W_r^r = ∫ φ(z) |P⁻¹(Φ(z)) − Q⁻¹(Φ(z))|^r dz on [−9, 9], 72 panels of 60 nodes, survival functions for z > 0;
//!   W₁ = ∫ |P − Q| dx on pieces that end at the sign changes of P − Q
//!
//! In more dimensions the densities are given at the nodes of a quadrature rule: [`kl_at`], [`total_variation_at`].

use crate::points::{same, wrong};
use crate::quadrature::Rule;
use retrograde_core::{Covariances, GaussianMixture, Result};
use std::f64::consts::{FRAC_1_SQRT_2, TAU};

mod distances;
#[cfg(test)]
pub(crate) mod tests;

pub use distances::{
    chi_squared, crossings, entropy, hellinger_squared, kl, kl_at, total_variation,
    total_variation_at, wasserstein,
};
pub(crate) use distances::{matching, normal_panels};

const NAME: &str = "law on the line";
/// Standard deviations on either side of a component that count.
const REACH: i32 = 14;

/// A law on the line with a density.
pub trait Law1d {
    /// ln p(x), normalised; −∞ where there is no mass.
    fn log_density(&self, x: f64) -> f64;

    /// P(X ≤ x).
    fn cdf(&self, x: f64) -> f64;

    /// P(X > x), accurate where it is small.
    fn survival(&self, x: f64) -> f64;

    /// Strictly ascending, finite points, at least two: all mass that counts lies between the outermost, and between
    /// neighbours ln p is as smooth as a polynomial of some thirty degrees.
    fn breaks(&self) -> Vec<f64>;

    /// The point with mass `below` at or below it and `above` above it; `below` + `above` = 1, and the smaller decides.
    fn invert(&self, below: f64, above: f64) -> f64 {
        let breaks = self.breaks();
        let (Some(low), Some(high)) = (breaks.first(), breaks.last()) else {
            return f64::NAN;
        };
        invert_between(self, below, above, *low, *high)
    }

    /// P⁻¹(Φ(z)).
    fn quantile_at_normal(&self, z: f64) -> f64 {
        self.invert(phi_below(z), phi_below(-z))
    }
}

/// Φ(z), by the erfc of `libm`: that of `statrs` has eleven digits.
pub(crate) fn phi_below(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// ln of the standard normal density.
pub(crate) fn log_phi(z: f64) -> f64 {
    -0.5 * (z * z + TAU.ln())
}

/// Bisection to the last bit; the bracket is widened until it holds the point.
fn invert_between<L: Law1d + ?Sized>(
    law: &L,
    below: f64,
    above: f64,
    mut low: f64,
    mut high: f64,
) -> f64 {
    if !(0.0..=1.0).contains(&below) || !(0.0..=1.0).contains(&above) {
        return f64::NAN;
    }
    if below == 0.0 || above == 0.0 {
        return if below == 0.0 {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        };
    }
    let lower_half = below <= above;
    let too_low = |x: f64| {
        if lower_half {
            law.cdf(x) < below
        } else {
            law.survival(x) > above
        }
    };
    let mut width = (high - low).max(f64::MIN_POSITIVE);
    for _ in 0..64 {
        if !too_low(low) {
            low -= width;
        } else if too_low(high) {
            high += width;
        } else {
            break;
        }
        width *= 2.0;
    }
    loop {
        let middle = 0.5 * (low + high);
        // Neighbours in double precision, or no number at all.
        if !(middle > low && middle < high) {
            return middle;
        }
        if too_low(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// Σₖ wₖ N(mₖ, sₖ²) on the line.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture1d {
    /// (wₖ, mₖ, sₖ)
    components: Vec<(f64, f64, f64)>,
    /// ln wₖ/sₖ − ½ ln 2π
    constants: Vec<f64>,
}

impl Mixture1d {
    /// The mixture of `weights` (of any sum), `means` and standard deviations `spreads`.
    ///
    /// # Errors
    /// [`retrograde_core::Error::Shape`] for lists of different lengths, [`retrograde_core::Error::Argument`] for none,
    /// a number that is not finite, and a weight or spread that is not positive.
    pub fn new(weights: &[f64], means: &[f64], spreads: &[f64]) -> Result<Self> {
        same(NAME, "`means`", "numbers", weights.len(), means.len())?;
        same(NAME, "`spreads`", "numbers", weights.len(), spreads.len())?;
        if weights.is_empty() {
            return Err(wrong(NAME, "weights", "empty", "at least one number"));
        }
        for (list, values) in [("weights", weights), ("spreads", spreads)] {
            let bad = |v: &f64| !(*v > 0.0 && v.is_finite());
            if let Some(i) = values.iter().position(bad) {
                let argument = format!("{list}[{i}]");
                return Err(wrong(NAME, argument, values[i], "positive and finite"));
            }
        }
        if let Some(i) = means.iter().position(|m| !m.is_finite()) {
            return Err(wrong(NAME, format!("means[{i}]"), means[i], "finite"));
        }
        let sum: f64 = weights.iter().sum();
        let components = (0..weights.len())
            .map(|k| (weights[k] / sum, means[k], spreads[k]))
            .collect();
        Ok(Self::from_components(components))
    }

    fn from_components(components: Vec<(f64, f64, f64)>) -> Self {
        let constant = |(w, _, s): &(f64, f64, f64)| (w / s).ln() + log_phi(0.0);
        Self {
            constants: components.iter().map(constant).collect(),
            components,
        }
    }

    /// N(mean, spread²).
    ///
    /// # Errors
    /// As [`new`](Mixture1d::new).
    pub fn normal(mean: f64, spread: f64) -> Result<Self> {
        Self::new(&[1.0], &[mean], &[spread])
    }

    /// (weight, mean, standard deviation) of each component; weights sum to 1.
    #[must_use]
    pub fn components(&self) -> &[(f64, f64, f64)] {
        &self.components
    }

    /// The law of α x + σ z, z ~ N(0, 1).
    ///
    /// # Errors
    /// [`retrograde_core::Error::Argument`] for numbers that are not finite, σ² < 0, or no spread left.
    pub fn noised(&self, alpha: f64, sigma2: f64) -> Result<Self> {
        if !alpha.is_finite() {
            return Err(wrong(NAME, "alpha", alpha, "finite"));
        }
        if !(sigma2 >= 0.0 && sigma2.is_finite()) {
            return Err(wrong(NAME, "sigma2", sigma2, "at least 0 and finite"));
        }
        if alpha == 0.0 && sigma2 == 0.0 {
            return Err(wrong(NAME, "sigma2", sigma2, "positive where `alpha` is 0"));
        }
        let noised = |(w, m, s): &(f64, f64, f64)| {
            let v = (alpha * s) * (alpha * s) + sigma2;
            (*w, alpha * m, v.sqrt())
        };
        let components = self.components.iter().map(noised).collect();
        Ok(Self::from_components(components))
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.components.iter().map(|(w, m, _)| w * m).sum()
    }

    /// The variance.
    #[must_use]
    pub fn variance(&self) -> f64 {
        let mean = self.mean();
        let part = |(w, m, s): &(f64, f64, f64)| w * (s * s + (m - mean) * (m - mean));
        self.components.iter().map(part).sum()
    }

    /// E x².
    #[must_use]
    pub fn second_moment(&self) -> f64 {
        self.variance() + self.mean() * self.mean()
    }

    /// The score (ln p)′(x) and its derivative (ln p)″(x).
    #[must_use]
    pub fn score(&self, x: f64) -> (f64, f64) {
        let top = self.terms(x).fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for (l, (_, m, s)) in self.terms(x).zip(&self.components) {
            let (p, u) = ((l - top).exp(), -(x - m) / (s * s));
            sum += p;
            first += p * u;
            second += p * (u * u - 1.0 / (s * s));
        }
        let score = first / sum;
        (score, second / sum - score * score)
    }

    /// ln wₖ N(x; mₖ, sₖ²).
    fn terms(&self, x: f64) -> impl Iterator<Item = f64> + '_ {
        let all = self.components.iter().zip(&self.constants);
        all.map(move |((_, m, s), c)| {
            let z = (x - m) / s;
            c - 0.5 * z * z
        })
    }
}

impl Law1d for Mixture1d {
    fn log_density(&self, x: f64) -> f64 {
        let top = self.terms(x).fold(f64::NEG_INFINITY, f64::max);
        if top == f64::NEG_INFINITY {
            return top;
        }
        top + self.terms(x).map(|l| (l - top).exp()).sum::<f64>().ln()
    }

    fn cdf(&self, x: f64) -> f64 {
        let share = |(w, m, s): &(f64, f64, f64)| w * phi_below((x - m) / s);
        self.components.iter().map(share).sum()
    }

    fn survival(&self, x: f64) -> f64 {
        let share = |(w, m, s): &(f64, f64, f64)| w * phi_below((m - x) / s);
        self.components.iter().map(share).sum()
    }

    fn breaks(&self) -> Vec<f64> {
        let of = |(_, m, s): &(f64, f64, f64)| {
            let (m, s) = (*m, *s);
            (-REACH..=REACH).map(move |i| m + s * f64::from(i))
        };
        merged(self.components.iter().flat_map(of).collect())
    }

    fn invert(&self, below: f64, above: f64) -> f64 {
        // Between the quantiles of the components lies that of the mixture; 40 covers the smallest double.
        let ends = |(low, high): (f64, f64), (_, m, s): &(f64, f64, f64)| {
            (low.min(m - 40.0 * s), high.max(m + 40.0 * s))
        };
        let (low, high) = self
            .components
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), ends);
        invert_between(self, below, above, low, high)
    }
}

impl TryFrom<&GaussianMixture> for Mixture1d {
    type Error = retrograde_core::Error;

    /// The mixture, normalised, if it is on the line and has a density.
    fn try_from(mixture: &GaussianMixture) -> Result<Self> {
        same(NAME, "the mixture", "columns", 1, mixture.means().ncols())?;
        let variances: Vec<f64> = match mixture.covariances() {
            Covariances::Isotropic(v) => v.to_vec(),
            Covariances::Diagonal(v) => v.iter().copied().collect(),
            Covariances::Dense(v) => v.iter().copied().collect(),
        };
        let spreads: Vec<f64> = variances.iter().map(|v| v.sqrt()).collect();
        let means: Vec<f64> = mixture.means().iter().copied().collect();
        Self::new(&mixture.weights().to_vec(), &means, &spreads)
    }
}

/// A law on the line made of closures.
pub struct FnLaw<D, C, S> {
    log_density: D,
    cdf: C,
    survival: S,
    breaks: Vec<f64>,
}

impl<D, C, S> std::fmt::Debug for FnLaw<D, C, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FnLaw")
            .field("breaks", &self.breaks)
            .finish_non_exhaustive()
    }
}

impl<D: Fn(f64) -> f64, C: Fn(f64) -> f64, S: Fn(f64) -> f64> FnLaw<D, C, S> {
    /// The law of that log density, distribution function and survival function; `breaks` as [`Law1d::breaks`].
    ///
    /// # Errors
    /// [`retrograde_core::Error::Argument`] unless the breaks are at least two, finite and strictly ascending.
    pub fn new(log_density: D, cdf: C, survival: S, breaks: Vec<f64>) -> Result<Self> {
        Rule::legendre(1)?.pieces(&breaks)?;
        Ok(Self {
            log_density,
            cdf,
            survival,
            breaks,
        })
    }
}

impl<D: Fn(f64) -> f64, C: Fn(f64) -> f64, S: Fn(f64) -> f64> Law1d for FnLaw<D, C, S> {
    fn log_density(&self, x: f64) -> f64 {
        (self.log_density)(x)
    }
    fn cdf(&self, x: f64) -> f64 {
        (self.cdf)(x)
    }
    fn survival(&self, x: f64) -> f64 {
        (self.survival)(x)
    }
    fn breaks(&self) -> Vec<f64> {
        self.breaks.clone()
    }
}

/// Ascending, without points that rounding cannot tell apart.
fn merged(mut points: Vec<f64>) -> Vec<f64> {
    points.sort_unstable_by(f64::total_cmp);
    let width = points.last().unwrap_or(&0.0) - points.first().unwrap_or(&0.0);
    let least = width * 1e-12;
    points.dedup_by(|b, a| *b - *a <= least.max(4.0 * f64::EPSILON * a.abs()));
    points
}
