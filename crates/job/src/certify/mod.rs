//! `certify`: how far a reverse run is from its target, and what is to blame.
//!
//! | part | in nats, of a bound on KL(p₀ ‖ q) | as it shows in the draws (root mean square, ≥ W₂) |
//! | --- | --- | --- |
//! | initialisation | KL(p_T ‖ reference) | runs from both, started at points as near as may be |
//! | score | ½ ∫ g² E‖s_θ − s‖² (Girsanov) | runs with both scores from the same points |
//! | discretisation | ½ ∫ g² E‖s(t_k, X_k) − s(t, X_t)‖² (Girsanov) | runs with every step cut in two and in four |
//! | early stopping | | E‖X_δ − X_0‖² by forward paths |
//!
//! Bounds by Girsanov's theorem are for samplers with the noise of the reverse diffusion alone. They are
//! of first order in the step where the error is of second: the order that is observed stands beside.

mod effects;
mod paths;
mod schedules;
mod setting;
mod sink;
mod start;

use crate::plan::Plan;
use effects::Effect;
use retrograde_core::{Kernel, Registry, Result, Runtime};
use retrograde_metrics::certificate::{
    Certificate as Parts, Dominant, Estimate, GirsanovBound, Method, Part as Number, Unit,
};
use serde::Serialize;
use setting::Setting;

pub use effects::Order;
pub use schedules::{
    Crossover, Grids, ScheduleRow, Schedules, compare_schedules, no_picture,
    write_schedules_picture,
};

/// Finest cut of a step; noise of coarser ones is summed from that many parts.
const FINEST: i64 = 4;

/// A part of the error of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// Its share in a bound on KL(p₀ ‖ q), in nats; none where it is not known.
    pub kl: Option<Estimate>,
    /// How `kl` was found.
    pub method: Option<Method>,
    /// How far it moves draws, in root mean square over draws: at least its W₂.
    pub effect: Option<Estimate>,
    /// Why a number is missing, or what it is not; may be empty.
    pub remark: String,
}

/// What is known of the error of a reverse run.
#[derive(Debug, Clone, Serialize)]
pub struct Certificate {
    /// Kinds of target, process, score and sampler.
    pub components: Vec<(String, String)>,
    /// Dimension.
    pub dim: usize,
    /// Steps of the grid.
    pub steps: usize,
    /// First and last time.
    pub times: (f64, f64),
    /// Whether the sampler adds no noise.
    pub deterministic: bool,
    /// The score that stands for the true one; none where none is known.
    pub true_score: Option<String>,
    /// Whether data are the sampler's own draws, since the target has no exact ones.
    pub self_referenced: bool,
    /// Starting from the reference law.
    pub initialisation: Part,
    /// A score that is not the true one.
    pub score: Part,
    /// Steps of finite length.
    pub discretisation: Part,
    /// Ending above t = 0.
    pub early_stopping: Part,
    /// Order in the step of what more steps change in the draws.
    pub order: Option<Order>,
    /// Girsanov's bound step by step, where there is one.
    pub girsanov: Option<GirsanovBound>,
    /// Why there is no bound by Girsanov's theorem; empty where there is one.
    pub no_girsanov: String,
    /// Bound on KL(p_δ ‖ q): initialisation and Girsanov's total.
    pub kl_bound: Option<Number>,
    /// Bound on the total variation, √(KL/2), at most 1.
    pub tv_bound: Option<f64>,
    /// The largest part, and what to do about it; none where too little is known, or nothing is wrong.
    pub dominant: Option<Dominant>,
}

/// How much work a certificate is made with.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Forward paths; rounded up to a multiple of 1024.
    pub paths: usize,
    /// Draws of each run that is made again; at most as many as paths.
    pub draws: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            paths: 16 * paths::ROWS,
            draws: 4096,
        }
    }
}

/// Writes the picture of a certificate: the bound step by step.
///
/// # Errors
/// [`Error::Missing`](retrograde_core::Error::Missing) where there is no bound; what writing returns.
pub fn write_picture(certificate: &Certificate, path: &std::path::Path) -> Result {
    let Some(svg) = crate::pictures::levels(certificate) else {
        return Err(retrograde_core::Error::Missing {
            component: "the picture of a certificate".into(),
            needed: "Girsanov's bound over at least two steps".into(),
            holder: "the certificate".into(),
            advice: format!("leave `--picture` out ({})", certificate.no_girsanov),
        });
    };
    crate::files::write_atomically(path, |out| out.write_all(svg.as_bytes()))
}

/// The certificate of a job.
///
/// # Errors
/// [`Error::Missing`](retrograde_core::Error::Missing) for a job that runs no process backwards; what
/// evaluating its parts returns.
pub fn certify(plan: &Plan, registry: &Registry, effort: Effort) -> Result<Certificate> {
    let threads = plan.run.threads;
    let mut runtime = Runtime::new(plan.run.seed, threads)?;
    let rows = effort.paths.max(1).div_ceil(paths::ROWS) * paths::ROWS;
    let setting = Setting::new(plan, registry, &mut runtime, rows)?;
    let mut initialisation = start::kl(&setting, &mut runtime)?;
    let (girsanov, no_girsanov) = match paths::bound(&setting, &mut runtime)? {
        Ok(bound) => (Some(bound), String::new()),
        Err(why) => (None, why),
    };
    let Effect {
        initialisation: moved_by_start,
        score: moved_by_score,
        discretisation: moved_by_steps,
        order,
    } = effects::effects(&setting, effort.draws.min(rows))?;
    initialisation.effect = moved_by_start;
    let method = setting.method();
    let part = |kl: Option<Estimate>, effect, remark: &str| Part {
        method: kl.map(|_| method),
        kl,
        effect,
        remark: remark.into(),
    };
    let exact = setting
        .truth
        .as_ref()
        .is_some_and(|(truth, _)| std::sync::Arc::ptr_eq(truth, &setting.score));
    let zero = Estimate {
        value: 0.0,
        standard_error: 0.0,
    };
    let score = if exact {
        part(
            Some(zero),
            Some(zero),
            "the score of the job is the true one",
        )
    } else if setting.truth.is_none() {
        part(None, None, "no exact score is known to hold it against")
    } else {
        part(girsanov.as_ref().map(|g| g.score), moved_by_score, "")
    };
    let discretisation = part(
        girsanov.as_ref().map(|g| g.discretisation),
        moved_by_steps,
        if girsanov.is_some() {
            "the share in nats is an upper bound of first order in the step"
        } else {
            ""
        },
    );
    let number = |e: Estimate, m: Method| Number::estimated(e, m);
    let known = match (&girsanov, initialisation.kl) {
        (Some(g), Some(kl)) => {
            let start = number(kl, initialisation.method.unwrap_or(method));
            Some(Parts::stochastic(start, g.clone(), method)?)
        }
        _ => match (initialisation.effect, discretisation.effect) {
            (Some(start), Some(steps)) => Some(Parts::deterministic(
                Unit::Wasserstein2,
                number(start, method),
                number(steps, method),
                score.effect.map(|e| number(e, method)),
            )?),
            _ => None,
        },
    };
    Ok(Certificate {
        components: plan
            .components
            .iter()
            .map(|(kind, name)| (kind.word().to_owned(), name.clone()))
            .collect(),
        dim: plan.target.dim(),
        steps: setting.run.grid.steps(),
        times: {
            let times = setting.run.grid.times();
            (times[0], times[times.len() - 1])
        },
        deterministic: setting.run.kernel == Kernel::Deterministic,
        true_score: setting.truth.as_ref().map(|(_, words)| (*words).to_owned()),
        self_referenced: setting.self_referenced,
        initialisation,
        score,
        discretisation,
        early_stopping: start::early_stopping(&setting, &mut runtime)?,
        order,
        girsanov,
        no_girsanov,
        kl_bound: known.as_ref().and_then(Parts::kl_bound),
        tv_bound: known.as_ref().and_then(Parts::total_variation_bound),
        dominant: known.as_ref().and_then(Parts::dominant),
    })
}
