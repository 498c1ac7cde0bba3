//! What samplers share that run a forward process backwards: where they start, the walk over the time
//! grid block of rows by block of rows, the density of what they leave, log Z, and what is doubtful.
//!
//! A sampler of this kind is a [`Solver`]: it takes a block of rows one step back in time. The rest
//! is here, once.

mod density;
mod leg;
mod outcome;
mod steps;

pub(crate) use leg::{Leg, add};
pub(crate) use steps::{Common, Reverse};

use retrograde_core::{Cx, Flag, Form, ForwardProcess, Kernel, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The reference law of the process.
    #[default]
    Reference,
    /// Exact draws of the target, noised up to the first time of the grid: no error of initialisation.
    /// For studies; it needs a target with exact draws.
    Exact,
}

/// Which weights draws get, that turn them into draws of the target and give log Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Weights {
    /// None.
    #[default]
    None,
    /// From the density of the draws, by the Jacobian of each step as it is computed: exact, and an
    /// unbiased estimate of Z, at the cost of d tangents a row.
    Jacobian,
    /// From the integral of the divergence along the path, by d tangents a row: in error as the steps
    /// are.
    Divergence,
    /// As `divergence`, with the trace estimated by one random tangent a row: cheap in high dimension,
    /// but noise in log weights biases Z upwards.
    Hutchinson,
    /// From the densities of the whole path, of samplers that add noise in every step: an unbiased
    /// estimate of Z for any number of steps and any score.
    Path,
}

impl Weights {
    fn name(self) -> &'static str {
        match self {
            Weights::None => "none",
            Weights::Jacobian => "jacobian",
            Weights::Divergence => "divergence",
            Weights::Hutchinson => "hutchinson",
            Weights::Path => "path",
        }
    }
}

/// Rows under way: `x` holds them one after the other, [`Leg::width`] numbers each.
pub(crate) struct Rows<'a> {
    /// Coordinates, then tangents, then the log density that is integrated along, if any.
    pub(crate) x: &'a mut [f64],
    /// What the solver keeps from one step to the next: [`Solver::memory`] times as many numbers.
    pub(crate) memory: &'a mut [f64],
    /// log B(x′|x) of the step, where path weights are wanted; one number a row.
    pub(crate) log_backward: Option<&'a mut [f64]>,
}

/// A method that takes rows one step back in time.
pub(crate) trait Solver: Send + Sync {
    /// Its name, for messages: `sampler ddim`.
    fn name(&self) -> &'static str;

    /// The law of a step.
    fn kernel(&self) -> Kernel;

    /// Whether the process suffices.
    fn check(&self, process: &dyn ForwardProcess) -> Result {
        let _ = process;
        Ok(())
    }

    /// Arrays of the size of the rows that it keeps between steps.
    fn memory(&self) -> usize {
        0
    }

    /// Whether a step looks at all rows at once, and is called with all of them.
    fn whole_batch(&self) -> bool {
        false
    }

    /// Whether a step moves tangents along with the coordinates. If it does not, Jacobians are taken
    /// by differences of the step.
    fn moves_tangents(&self) -> bool {
        true
    }

    /// Whether a step is made of the fields of [`Leg::parts`] alone, so that a log density can be
    /// integrated along.
    fn integrates(&self) -> bool {
        false
    }

    /// Whether a step has noise, whose density it can tell.
    fn tells_path(&self) -> bool {
        false
    }

    /// Takes the rows from `leg.t` to `leg.to`.
    fn step(&self, cx: &mut Cx<'_>, leg: &Leg<'_>, rows: Rows<'_>) -> Result;

    /// What a person must know of it.
    fn flags(&self) -> Vec<Flag> {
        Vec::new()
    }
}

/// What a solver lacks of a process.
pub(crate) fn lacks(
    component: &str,
    needed: &str,
    process_with_it: &str,
) -> retrograde_core::Error {
    retrograde_core::Error::Missing {
        component: component.into(),
        needed: needed.into(),
        holder: "the process".into(),
        advice: format!("choose one that has it: {process_with_it}"),
    }
}

/// Refuses a process that is not linear of scalar form.
pub(crate) fn check_scalar(component: &str, process: &dyn ForwardProcess) -> Result {
    let scalar = process.linear().is_some_and(|l| l.form() == Form::Scalar);
    if scalar && process.warp().is_none() {
        return Ok(());
    }
    Err(lacks(
        component,
        "x_t = α(t) x_0 + σ(t) z with numbers α and σ",
        "vp, sub-vp, ve, edm, cosine, flow-matching, ou with one rate",
    ))
}

/// ln N(z; 0, I) − d ln `sd` for the rows of standard normals `z`: the log density of a step whose noise
/// is `sd` z.
pub(crate) fn log_noise(z: &[f64], d: usize, sd: f64, out: &mut [f64]) {
    let constant = -0.5 * d as f64 * std::f64::consts::TAU.ln() - d as f64 * sd.ln();
    for (z, out) in z.chunks_exact(d).zip(out) {
        *out = constant - 0.5 * z.iter().map(|z| z * z).sum::<f64>();
    }
}

/// That a step without noise has no path density.
pub(crate) fn no_noise(component: &str, t: f64, to: f64) -> retrograde_core::Error {
    retrograde_core::Error::setting(
        component,
        "weights",
        "\"path\"",
        format!(
            "\"none\" for a step without noise, as from t = {t} to {to}; a grid that ends above 0 \
             (`grid.to_zero = false`) has none"
        ),
    )
}
