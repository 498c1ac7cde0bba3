//! The certificate of a run: its errors by origin, how each was found, which one dominates and what would help.
//!
//! Source: Chen, Chewi, Li, Li, Salim & Zhang (2023), ICLR, arXiv:2209.11215 (three origins); Chen, Daras & Dimakis (2023),
//! arXiv:2303.03384 (bounds of the Girsanov type are void for deterministic samplers); Pinsker's inequality.
//!
//! KL(p₀ ‖ q) ≤ initialisation + ½ Σ ∫ E Δ² dt,  TV ≤ √(KL/2); stopping at δ > 0 costs
//! W₂(p_δ, p₀) ≤ √((1 − α)² E|x₀|² + d σ²) on top, with α, σ² of the time δ.

use super::{Estimate, GirsanovBound, LevelRow, Richardson};
use crate::points::wrong;
use retrograde_core::Result;

const NAME: &str = "certificate";
/// Steps are named in an advice if a quarter of them at most hold this part of the whole.
const BULK: f64 = 0.5;

/// How a number was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// In closed form.
    Exact,
    /// By quadrature, to rounding or nearly so.
    Quadrature,
    /// By averages over draws from the target.
    MonteCarlo,
    /// By averages over the sampler's own weighted output, which may miss what the sampler misses.
    SelfReferenced,
    /// A bound in closed form, not the number itself.
    UpperBound,
}

/// A number of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Part {
    /// The value.
    pub value: f64,
    /// Its standard error; 0 unless by Monte Carlo.
    pub standard_error: f64,
    /// How it was found.
    pub method: Method,
}

impl Part {
    /// A number without Monte-Carlo error.
    #[must_use]
    pub fn fixed(value: f64, method: Method) -> Self {
        Self {
            value,
            standard_error: 0.0,
            method,
        }
    }

    /// An estimate.
    #[must_use]
    pub fn estimated(estimate: Estimate, method: Method) -> Self {
        Self {
            value: estimate.value,
            standard_error: estimate.standard_error,
            method,
        }
    }
}

/// A quantity at three step sizes.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Refinement {
    /// What was looked at, for example "variance of the first coordinate".
    pub quantity: String,
    /// Steps of the coarsest run; the others have twice and four times as many.
    pub steps: usize,
    /// Its values.
    pub values: [f64; 3],
    /// Observed order and extrapolation.
    pub richardson: Richardson,
}

/// What the errors of stepping and scoring are known by. Only a stochastic sampler has a path-space bound: a deterministic
/// one is measured, and there is no place for a Girsanov bound in its certificate.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "sampler")]
pub enum Evidence {
    /// Of a stochastic sampler: nats.
    Stochastic {
        /// The bound, with its table per level.
        girsanov: GirsanovBound,
        /// How its averages were made.
        method: Method,
    },
    /// Of a deterministic sampler: distances between runs that differ in one thing, in the unit of `Certificate::unit`.
    Deterministic {
        /// To a run with far finer steps.
        discretisation: Part,
        /// To a run with the exact score; none where that is not known.
        score: Option<Part>,
    },
}

/// In what the parts are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Unit {
    /// KL divergence in nats.
    #[serde(rename = "KL")]
    Kl,
    /// Wasserstein distance, in the unit of x.
    #[serde(rename = "W2")]
    Wasserstein2,
}

/// All that is known of the errors of a run.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Certificate {
    unit: Unit,
    initialisation: Part,
    evidence: Evidence,
    refinements: Vec<Refinement>,
    early_stopping: Option<Part>,
    kl_bound: Option<Part>,
    total_variation_bound: Option<f64>,
}

/// Where an error comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Starting from the prior in place of p_T.
    Initialisation,
    /// Steps of finite length.
    Discretisation,
    /// A wrong score.
    Score,
}

/// Which error dominates, and what to do.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Dominant {
    /// Where most of the error comes from.
    pub origin: Origin,
    /// Its part in the sum of the three, in (0, 1].
    pub share: f64,
    /// Whether it is more than two standard errors above the next largest.
    pub certain: bool,
    /// A sentence.
    pub advice: String,
}

impl Certificate {
    /// Of a stochastic sampler; `initialisation` is KL(p_T ‖ γ) or a bound on it, in nats.
    ///
    /// # Errors
    /// [`retrograde_core::Error::Argument`] for a part that is negative or not a number.
    pub fn stochastic(
        initialisation: Part,
        girsanov: GirsanovBound,
        method: Method,
    ) -> Result<Self> {
        check("initialisation", &initialisation)?;
        let total = Part::estimated(girsanov.total, method);
        check("girsanov.total", &total)?;
        check("girsanov.score", &Part::estimated(girsanov.score, method))?;
        let discretisation = Part::estimated(girsanov.discretisation, method);
        check("girsanov.discretisation", &discretisation)?;
        let value = initialisation.value + total.value;
        let bound = Part {
            value,
            standard_error: initialisation.standard_error.hypot(total.standard_error),
            method,
        };
        Ok(Self {
            unit: Unit::Kl,
            initialisation,
            evidence: Evidence::Stochastic { girsanov, method },
            refinements: Vec::new(),
            early_stopping: None,
            kl_bound: Some(bound),
            total_variation_bound: Some((0.5 * value).sqrt().min(1.0)),
        })
    }

    /// Of a deterministic sampler, by measured parts in one `unit`.
    ///
    /// # Errors
    /// As [`stochastic`](Certificate::stochastic).
    pub fn deterministic(
        unit: Unit,
        initialisation: Part,
        discretisation: Part,
        score: Option<Part>,
    ) -> Result<Self> {
        check("initialisation", &initialisation)?;
        check("discretisation", &discretisation)?;
        if let Some(score) = &score {
            check("score", score)?;
        }
        Ok(Self {
            unit,
            initialisation,
            evidence: Evidence::Deterministic {
                discretisation,
                score,
            },
            refinements: Vec::new(),
            early_stopping: None,
            kl_bound: None,
            total_variation_bound: None,
        })
    }

    /// With what a quantity did as the steps were halved.
    #[must_use]
    pub fn with_refinement(mut self, refinement: Refinement) -> Self {
        self.refinements.push(refinement);
        self
    }

    /// With the gap W₂(p_δ, p₀) of stopping early; see [`early_stopping_gap`].
    ///
    /// # Errors
    /// As [`stochastic`](Certificate::stochastic).
    pub fn with_early_stopping(mut self, gap: Part) -> Result<Self> {
        check("early stopping", &gap)?;
        self.early_stopping = Some(gap);
        Ok(self)
    }

    /// In what the parts are measured.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Error of the start.
    #[must_use]
    pub fn initialisation(&self) -> Part {
        self.initialisation
    }

    /// Error of the steps; an upper bound ½ ∫ for a stochastic sampler.
    #[must_use]
    pub fn discretisation(&self) -> Part {
        match &self.evidence {
            Evidence::Stochastic { girsanov, method } => {
                Part::estimated(girsanov.discretisation, *method)
            }
            Evidence::Deterministic { discretisation, .. } => *discretisation,
        }
    }

    /// Error of the score, if it is known.
    #[must_use]
    pub fn score(&self) -> Option<Part> {
        match &self.evidence {
            Evidence::Stochastic { girsanov, method } => {
                Some(Part::estimated(girsanov.score, *method))
            }
            Evidence::Deterministic { score, .. } => *score,
        }
    }

    /// What the parts are known by.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The Girsanov bound; none for a deterministic sampler.
    #[must_use]
    pub fn girsanov(&self) -> Option<&GirsanovBound> {
        match &self.evidence {
            Evidence::Stochastic { girsanov, .. } => Some(girsanov),
            Evidence::Deterministic { .. } => None,
        }
    }

    /// What quantities did as the steps were halved.
    #[must_use]
    pub fn refinements(&self) -> &[Refinement] {
        &self.refinements
    }

    /// W₂ gap of stopping early.
    #[must_use]
    pub fn early_stopping(&self) -> Option<Part> {
        self.early_stopping
    }

    /// Bound on KL(p_δ ‖ q), nats, δ the last time; none for a deterministic sampler.
    #[must_use]
    pub fn kl_bound(&self) -> Option<Part> {
        self.kl_bound
    }

    /// min(1, √(KL/2)) of that bound.
    #[must_use]
    pub fn total_variation_bound(&self) -> Option<f64> {
        self.total_variation_bound
    }

    /// Which of the three errors dominates; none if all are 0.
    #[must_use]
    pub fn dominant(&self) -> Option<Dominant> {
        let mut parts = vec![
            (Origin::Initialisation, self.initialisation()),
            (Origin::Discretisation, self.discretisation()),
        ];
        parts.extend(self.score().map(|s| (Origin::Score, s)));
        parts.sort_by(|a, b| b.1.value.total_cmp(&a.1.value));
        let sum: f64 = parts.iter().map(|p| p.1.value).sum();
        let (origin, first) = parts[0];
        let second = parts[1].1;
        if first.value <= 0.0 {
            return None;
        }
        let error = first.standard_error.hypot(second.standard_error);
        Some(Dominant {
            origin,
            share: first.value / sum,
            certain: first.value - second.value > 2.0 * error,
            advice: self.advice(origin),
        })
    }

    fn advice(&self, origin: Origin) -> String {
        let mut advice = match origin {
            Origin::Initialisation => {
                return "Starting from the prior costs most: take a later T (a larger σ_max); \
                        steps and score are good enough."
                    .into();
            }
            Origin::Discretisation => {
                "The length of the steps costs most: take more steps, or another schedule"
                    .to_owned()
            }
            Origin::Score => {
                "The error of the score costs most: a better score helps, more steps do not"
                    .to_owned()
            }
        };
        let rows = self.girsanov().map_or(&[][..], |g| &g.levels);
        let cost = |row: &LevelRow| match origin {
            Origin::Score => row.score.value,
            _ => row.discretisation.value,
        };
        if let Some(bulk) = bulk(rows, cost) {
            let (high, low) = (rows[bulk.first].noise, rows[bulk.last].noise);
            let place = if bulk.first == bulk.last {
                format!("the step from noise level {high:.3}")
            } else {
                format!(
                    "the {} steps from noise levels {high:.3} to {low:.3}",
                    bulk.last - bulk.first + 1
                )
            };
            let percent = (100.0 * bulk.share).round();
            advice += &format!("; {percent} % of it come from {place}");
        }
        advice.push('.');
        if origin == Origin::Discretisation && self.girsanov().is_some() {
            advice += " This is an upper bound of the order of the step; compare with the observed order.";
        }
        advice
    }
}

/// A run of neighbouring steps that hold most of a cost.
struct Bulk {
    first: usize,
    last: usize,
    share: f64,
}

/// The shortest run of steps that holds [`BULK`] of the cost, if it is at most a quarter of them.
fn bulk(rows: &[LevelRow], cost: impl Fn(&LevelRow) -> f64) -> Option<Bulk> {
    let costs: Vec<f64> = rows.iter().map(cost).collect();
    let all: f64 = costs.iter().sum();
    if all.is_nan() || all <= 0.0 {
        return None;
    }
    (1..=rows.len() / 4).find_map(|width| {
        let sums = costs.windows(width).map(|w| w.iter().sum::<f64>() / all);
        let (first, share) = sums.enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        (share >= BULK).then_some(Bulk {
            first,
            last: first + width - 1,
            share,
        })
    })
}

/// Bound √((1 − α)² E|x₀|² + d σ²) on W₂(p_δ, p₀), by leaving x₀ and the noise together; α, σ² of the time δ.
///
/// # Errors
/// [`retrograde_core::Error::Argument`] for a number that is not finite, a negative σ² or second moment.
///
/// # Example
/// ```
/// // VE stopped at σ = 0.002 in one dimension.
/// let gap = retrograde_metrics::certificate::early_stopping_gap(1.0, 0.002f64.powi(2), 5.0, 1)?;
/// assert!((gap - 0.002).abs() < 1e-15);
/// # Ok::<(), retrograde_core::Error>(())
/// ```
pub fn early_stopping_gap(alpha: f64, sigma2: f64, second_moment: f64, dim: usize) -> Result<f64> {
    if !alpha.is_finite() {
        return Err(wrong(NAME, "alpha", alpha, "finite"));
    }
    for (name, v) in [("sigma2", sigma2), ("second moment", second_moment)] {
        if !(v >= 0.0 && v.is_finite()) {
            return Err(wrong(NAME, name, v, "at least 0 and finite"));
        }
    }
    Ok(((1.0 - alpha).powi(2) * second_moment + dim as f64 * sigma2).sqrt())
}

fn check(name: &str, part: &Part) -> Result {
    let of = |what: &str, v: f64| {
        if v >= 0.0 && v.is_finite() {
            return Ok(());
        }
        let argument = format!("{name}{what}");
        Err(wrong(NAME, argument, v, "at least 0 and finite"))
    };
    of("", part.value)?;
    of(" (standard error)", part.standard_error)
}

#[cfg(test)]
mod tests;
