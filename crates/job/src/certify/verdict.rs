//! Which error dominates, and what to do about it.

use super::Certificate;
use serde::Serialize;

/// What an error comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Starting from the reference law.
    Initialisation,
    /// A score that is not the true one.
    Score,
    /// Steps of finite length.
    Discretisation,
    /// Ending above t = 0.
    EarlyStopping,
}

/// The largest part of the error.
#[derive(Debug, Clone, Serialize)]
pub struct Dominant {
    /// What it comes from; none where nothing can be said.
    pub cause: Option<Cause>,
    /// On which numbers that rests.
    pub text: String,
    /// What to change.
    pub advice: String,
}

impl Dominant {
    pub(super) fn unknown() -> Self {
        Self {
            cause: None,
            text: "no part of the error is known".into(),
            advice: String::new(),
        }
    }
}

/// The largest part in nats where all three are known (samplers with the noise of the reverse diffusion),
/// else the largest effect on the draws.
pub(super) fn dominant(c: &Certificate) -> Dominant {
    let parts = [
        (Cause::Initialisation, &c.initialisation),
        (Cause::Score, &c.score),
        (Cause::Discretisation, &c.discretisation),
        (Cause::EarlyStopping, &c.early_stopping),
    ];
    let in_nats: Vec<_> = parts[..3]
        .iter()
        .filter_map(|(cause, part)| Some((*cause, part.kl?.value)))
        .collect();
    let moved: Vec<_> = parts
        .iter()
        .filter_map(|(cause, part)| Some((*cause, part.effect?.value)))
        .collect();
    let (values, unit) = if in_nats.len() == 3 && c.girsanov.is_some() {
        (in_nats, "nats of the bound")
    } else {
        (moved, "in root mean square over the draws")
    };
    let Some((cause, most)) = values.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)) else {
        return Dominant::unknown();
    };
    if most <= 1e-12 {
        return Dominant {
            cause: None,
            text: "no part of the error is above rounding".into(),
            advice: String::new(),
        };
    }
    let next = values
        .iter()
        .filter(|(other, _)| *other != cause)
        .map(|(_, v)| *v)
        .fold(0.0, f64::max);
    let (words, advice) = match cause {
        Cause::Initialisation => (
            "starting from the reference law",
            "let the process run longer (a larger `t_end` or largest noise level), so that the data are \
             forgotten",
        ),
        Cause::Score => (
            "the score",
            "a better score is worth more than more steps; see in the table at which noise levels it errs, \
             and `compare-schedules` for a grid that spends fewer steps there",
        ),
        Cause::Discretisation => (
            "the steps",
            "take more `grid.steps`, another `grid.spacing` (`compare-schedules` shows which), or a sampler \
             of higher order",
        ),
        Cause::EarlyStopping => (
            "stopping above t = 0",
            "end the grid at a smaller time, or at 0 (`grid.to_zero = true`)",
        ),
    };
    let lead = if next > 0.0 {
        format!(", {:.1} times the next", most / next)
    } else {
        String::new()
    };
    Dominant {
        cause: Some(cause),
        text: format!("the largest error comes from {words}: {most:.3e} {unit}{lead}"),
        advice: advice.into(),
    }
}
