//! The budget of errors of a variance-exploding schedule: what the levels σ₀ > … > σ_N cost with an exact score, and how
//! much they let a wrong score cost.
//!
//! Source: Wang, He & Tao (2024), NeurIPS, arXiv:2406.12839 (which schedule wins depends on how well the score is trained);
//! Benton, De Bortoli, Doucet & Deligiannidis (2024), ICLR, arXiv:2308.03686 (the score is a martingale along the reverse
//! path); Karras, Aittala, Aila & Laine (2022), NeurIPS, arXiv:2206.00364 (the schedules).
//!
//! τ = σ², frozen score, X the VE path. E‖s(X_τ) − s(X_k)‖² = I(τ) − I(τ_k), I(τ) = E‖s(X_τ)‖² the Fisher information, and
//! with eₖ = σₖ² E‖s_θ − s‖² the squared error of the predicted noise at level k,
//!
//! KL(q_{σ_N} ‖ p_out) ≤ E_I + E_D + E_S
//!
//! * E_I ≤ E|x₀|²/(2σ₀²): [`moment_bound`](super::moment_bound)
//! * E_D = ½ Σ ∫ (I(τ) − I(τ_k)) dτ
//! * E_S = ½ Σ uₖ eₖ, uₖ = 1 − τ_{k+1}/τₖ
//!
//! U = Σ uₖ is largest for equal ratios, for Σ ln(1 − uₖ) is fixed and ln(1 − u) concave. Where I = d/τ (structure at all
//! scales) E_D = (d/2)(ln(τ₀/τ_N) − U): the geometric schedule then has the least E_D and the largest E_S.

use crate::law_1d::Mixture1d;
use crate::points::{same, wrong};
use crate::quadrature::Rule;
use retrograde_core::Result;

const NAME: &str = "schedule";
/// Nodes of Hermite for a component.
const HERMITE: usize = 60;
/// Nodes of the integral over a step, in ln σ.
const IN_STEP: usize = 32;

/// Returns uₖ = 1 − τ_{k+1}/τₖ of each step between the noise `levels` σ₀ > … > σ_N ≥ 0.
///
/// # Errors
/// [`retrograde_core::Error::Argument`] for fewer than two levels, and for levels that are not finite, not ≥ 0 or do
/// not fall.
///
/// # Example
/// ```
/// use retrograde_metrics::certificate::step_shares;
/// assert_eq!(step_shares(&[2.0, 1.0, 0.0])?, [0.75, 1.0]);
/// # Ok::<(), retrograde_core::Error>(())
/// ```
pub fn step_shares(levels: &[f64]) -> Result<Vec<f64>> {
    if levels.len() < 2 {
        let given = format!("{} numbers", levels.len());
        return Err(wrong(NAME, "levels", given, "at least 2"));
    }
    for (i, s) in levels.iter().enumerate() {
        let argument = || format!("levels[{i}]");
        if !(*s >= 0.0 && s.is_finite()) {
            return Err(wrong(NAME, argument(), s, "at least 0 and finite"));
        }
        if i > 0 && *s >= levels[i - 1] {
            let allowed = format!("below the level before it, {}", levels[i - 1]);
            return Err(wrong(NAME, argument(), s, allowed));
        }
    }
    let share = |pair: &[f64]| {
        let ratio = pair[1] / pair[0];
        (1.0 - ratio) * (1.0 + ratio)
    };
    Ok(levels.windows(2).map(share).collect())
}

/// Returns the Fisher information E s(X)² of the law of x₀ + σ z, by 60 nodes of Gauss–Hermite for each component: exact
/// to rounding where components lie apart or merge, to some 10⁻⁴ where σ is about their distance.
///
/// # Errors
/// [`retrograde_core::Error::Argument`] for a level that is negative or not finite.
pub fn fisher_information(data: &Mixture1d, sigma: f64) -> Result<f64> {
    information(data, sigma, &Rule::hermite(HERMITE)?)
}

fn information(data: &Mixture1d, sigma: f64, hermite: &Rule) -> Result<f64> {
    if sigma.is_nan() || sigma < 0.0 {
        return Err(wrong(NAME, "sigma", sigma, "at least 0 and finite"));
    }
    let law = data.noised(1.0, sigma * sigma)?;
    let part = |(w, m, s): &(f64, f64, f64)| {
        w * hermite.integrate(|z| {
            let score = law.score(m + s * z).0;
            score * score
        })
    };
    Ok(law.components().iter().map(part).sum())
}

/// Returns ½ ∫ (I(τ) − I(τₖ)) dτ of each step between the noise `levels`, all positive; the sum is E_D, in nats.
///
/// # Errors
/// As [`step_shares`], and for a last level of 0.
pub fn discretisation_errors(data: &Mixture1d, levels: &[f64]) -> Result<Vec<f64>> {
    step_shares(levels)?;
    if let Some((i, s)) = levels.iter().enumerate().find(|(_, s)| **s == 0.0) {
        return Err(wrong(NAME, format!("levels[{i}]"), s, "positive"));
    }
    let (hermite, legendre) = (Rule::hermite(HERMITE)?, Rule::legendre(IN_STEP)?);
    let step = |pair: &[f64]| {
        let start = information(data, pair[0], &hermite)?;
        let inside = legendre.pieces(&[pair[1].ln(), pair[0].ln()])?;
        let mut sum = 0.0;
        for (l, w) in inside.nodes().iter().zip(inside.weights()) {
            let sigma = l.exp();
            // dτ = 2 σ² d ln σ.
            sum += w * sigma * sigma * (information(data, sigma, &hermite)? - start);
        }
        Ok(sum)
    };
    levels.windows(2).map(step).collect()
}

/// Returns ½ uₖ eₖ of each step; the sum is E_S, in nats. `errors` holds eₖ = σₖ² E‖s_θ − s‖² at σ₀ … σ_{N−1}.
///
/// # Errors
/// As [`step_shares`]; [`retrograde_core::Error::Shape`] for another number of errors,
/// [`retrograde_core::Error::Argument`] for one that is negative or not finite.
pub fn score_errors(levels: &[f64], errors: &[f64]) -> Result<Vec<f64>> {
    let shares = step_shares(levels)?;
    same(NAME, "`errors`", "numbers", shares.len(), errors.len())?;
    let bad = |e: &f64| !(*e >= 0.0 && e.is_finite());
    if let Some(i) = errors.iter().position(bad) {
        let argument = format!("errors[{i}]");
        return Err(wrong(NAME, argument, errors[i], "at least 0 and finite"));
    }
    Ok(shares
        .iter()
        .zip(errors)
        .map(|(u, e)| 0.5 * u * e)
        .collect())
}

/// How the squared error of the predicted noise depends on the noise level, up to a factor.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// The same at all levels: 1.
    Uniform,
    /// 1/(1 + (σ/0.2)²)²: networks trained too little fail first at low noise.
    LowNoise,
}

impl Profile {
    /// e(σ)
    #[must_use]
    pub fn at(self, sigma: f64) -> f64 {
        match self {
            Profile::Uniform => 1.0,
            Profile::LowNoise => (1.0 + (sigma / 0.2) * (sigma / 0.2)).powi(-2),
        }
    }
}

/// E_D of a schedule, and its E_S for a score error of scale 1.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Budget {
    /// E_D, nats.
    pub discretisation: f64,
    /// E_S at α = 1, nats.
    pub score: f64,
}

impl Budget {
    /// The budget of the noise `levels` for `data` and a profile of the score error.
    ///
    /// # Errors
    /// As [`discretisation_errors`].
    pub fn new(data: &Mixture1d, levels: &[f64], profile: Profile) -> Result<Self> {
        let discretisation = discretisation_errors(data, levels)?.iter().sum();
        let errors: Vec<f64> = levels[..levels.len() - 1]
            .iter()
            .map(|s| profile.at(*s))
            .collect();
        Ok(Self {
            discretisation,
            score: score_errors(levels, &errors)?.iter().sum(),
        })
    }

    /// E_D + α² E_S, for a score error α² e(σ).
    #[must_use]
    pub fn total(&self, alpha2: f64) -> f64 {
        self.discretisation + alpha2 * self.score
    }

    /// The α² > 0 at which both schedules are equally good; none if one is better at every α.
    #[must_use]
    pub fn crossover(&self, other: &Self) -> Option<f64> {
        let alpha2 = (other.discretisation - self.discretisation) / (self.score - other.score);
        (alpha2 > 0.0 && alpha2.is_finite()).then_some(alpha2)
    }
}

#[cfg(test)]
mod tests;
