//! Langevin particles guided along the dilation path, from a point to the target.
//!
//! Source: Chehab & Korba (2024), arXiv:2406.14040, for the path and for guiding Langevin moves along
//! it with adaptive step sizes. The rules below, with their constants, are choices of this project.
//!
//! μ_λ = law of √λ X,   X ~ π,   λ₀ ≤ λ ≤ 1;   μ_λ(x) ∝ π(x/√λ)
//!
//! s_λ(x) = ∇ log μ_λ(x) = ∇ℓ(x/√λ) / √λ      (exact, one gradient of the target)
//!
//! x′ = x + drift + √(2h) z,   z ~ N(0, I),   with one of the rules
//!
//! | `rule` | h | drift |
//! | --- | --- | --- |
//! | `lipschitz` | η λ | h s |
//! | `score-norm` | min(η, δ/‖s‖) | h s, of length ≤ δ |
//! | `tamed` | η | η s · min(1, δ/(η‖s‖)), of length ≤ δ |
//!
//! All modes lie near 0 while λ is small and move apart from there: barriers between them keep their
//! height, so that it is noise which is large against them early (√(2η/λ) in units of the target),
//! with a limited drift, that spreads the particles. `lipschitz` has neither: with y = x/√λ it is
//! unadjusted Langevin on π and a contraction y ← y √(λ_k/λ_{k+1}), and serves as a control.
//!
//! Nothing equilibrates weights between modes: particles freeze in the basins they are in.
//!
//! Cost of K steps and T of tail: n (K + T) gradients, and n gradients and densities at the end;
//! twice n a corrected move.

use crate::chains::{Gaussian, check, check_positive, dense, dense_mut, evaluate_starts, zeros};
use crate::guided::{Guide, Particles, check_moves, moments, note_uncalibrated};
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, Build, Cx, Flag, Flow, Result, Sampler, Severity, Signature, Sink, Target, Traits,
    register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Keys that place the start.
const START: [&str; 2] = ["location", "start_sd"];
const NAME: &str = "sampler dilation";
/// η over the variance of the narrowest mode.
const STEP: f64 = 0.2;
/// Draws whose mean is that many standard deviations from the start in a coordinate are off centre.
const OFF_CENTRE: f64 = 1.0;

/// How the step and its drift are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A step in proportion to λ; finds few modes, and is there to compare with.
    Lipschitz,
    /// A step that each particle shortens where the score is large.
    ScoreNorm,
    /// A constant step, with a drift of limited length.
    Tamed,
}

/// How λ goes from λ₀ to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// λ grows evenly.
    Linear,
    /// log λ grows evenly.
    Exponential,
    /// √λ grows evenly.
    Quadratic,
}

/// Settings, as written under `[sampler]` with `kind = "dilation"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dilation {
    /// Rule of the step: "tamed", "score-norm", or "lipschitz", the control. Default "tamed".
    pub rule: Rule,
    /// How λ goes from `lambda_0` to 1: "linear", "exponential" or "quadratic". Default "linear".
    pub schedule: Schedule,
    /// First λ, from 1e-12 to 1. Default 1e-4.
    #[schemars(range(min = 1e-12, max = 1.0))]
    pub lambda_0: f64,
    /// Moves along the path, ≥ 1; for a wide target with narrow modes more. Default 2000.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Moves at λ = 1 after the path, ≥ 0: without them the draws are pulled towards `location` still,
    /// most so with the exponential schedule. Default 200.
    pub tail: u64,
    /// Standard deviation σ of the narrowest mode in a coordinate, > 0, in units of x; sets
    /// `step_size` and `drift_cap`. Default 1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub mode_sd: f64,
    /// Largest step size η, > 0, in units of x². Default 0.2 σ².
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step_size: Option<f64>,
    /// Length δ that the drift of a move is limited to, > 0, in units of x. Default σ √d. A tenth of it
    /// loses modes or leaves draws astray; "lipschitz" has no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub drift_cap: Option<f64>,
    /// Point that the path opens from; a number, or one a coordinate. Best amid the modes. Default 0.
    pub location: PerCoordinate,
    /// Standard deviation of the particles about it at the start, ≥ 0; a number, or one a coordinate.
    /// Default 0, all at the point.
    pub start_sd: PerCoordinate,
    /// Metropolis-adjusted Langevin moves of the target after the path, ≥ 0. Default 0.
    pub mala_moves: u64,
}

impl Default for Dilation {
    fn default() -> Self {
        Self {
            rule: Rule::Tamed,
            schedule: Schedule::Linear,
            lambda_0: 1e-4,
            steps: 2000,
            tail: 200,
            mode_sd: 1.0,
            step_size: None,
            drift_cap: None,
            location: PerCoordinate::All(0.0),
            start_sd: PerCoordinate::All(0.0),
            mala_moves: 0,
        }
    }
}

impl Build<dyn Sampler> for Dilation {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Opening::new(self, parts.require_target(NAME)?)?))
    }
}

/// What a test breaks, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
enum Fault {
    None,
    /// ∇ℓ(x/√λ), without 1/√λ.
    ScoreNotScaled,
    /// ∇ℓ(x)/√λ.
    PointNotScaled,
    /// Noise of variance h.
    NoiseHalved,
    /// The drift is not limited.
    CapIgnored,
}

struct Opening {
    settings: Dilation,
    target: Arc<dyn Target>,
    /// Law of the start; its mean is the location.
    start: Gaussian,
    /// η.
    step: f64,
    /// δ.
    cap: f64,
    /// Whether the location is 0.
    centred: bool,
    fault: Fault,
}

impl Opening {
    fn new(settings: Dilation, target: Arc<dyn Target>) -> Result<Self> {
        let s = &settings;
        let inside = (1e-12..=1.0).contains(&s.lambda_0);
        check(NAME, "lambda_0", s.lambda_0, inside, "from 1e-12 to 1")?;
        check_positive(NAME, "mode_sd", s.mode_sd)?;
        let d = target.dim();
        let step = s.step_size.unwrap_or(STEP * s.mode_sd * s.mode_sd);
        let cap = s.drift_cap.unwrap_or(s.mode_sd * (d as f64).sqrt());
        let moves = [s.steps, s.tail, s.mala_moves];
        check_moves(NAME, &*target, step, moves)?;
        let start = Gaussian::new(NAME, d, START, &s.location, &s.start_sd, false)?;
        check_positive(NAME, "drift_cap", cap)?;
        Ok(Self {
            centred: start.mean.iter().all(|m| *m == 0.0),
            start,
            target,
            step,
            cap: if s.rule == Rule::Lipschitz {
                f64::INFINITY
            } else {
                cap
            },
            fault: Fault::None,
            settings,
        })
    }

    /// λ of move `k`.
    fn lambda(&self, k: u64) -> f64 {
        let Dilation {
            steps,
            lambda_0: first,
            schedule,
            ..
        } = self.settings;
        if k + 1 >= steps {
            return 1.0;
        }
        let t = k as f64 / (steps - 1) as f64;
        match schedule {
            Schedule::Linear => first + (1.0 - first) * t,
            Schedule::Exponential => first.powf(1.0 - t),
            Schedule::Quadratic => (first.sqrt() + (1.0 - first.sqrt()) * t).powi(2),
        }
    }
}

impl Guide for Opening {
    fn component(&self) -> &'static str {
        NAME
    }

    fn target(&self) -> &dyn Target {
        &*self.target
    }

    fn moves(&self) -> u64 {
        self.settings.steps + self.settings.tail
    }

    fn place(&self, k: u64, x: &[f64], y: &mut [f64]) {
        let mut stretch = 1.0 / self.lambda(k).sqrt();
        if self.fault == Fault::PointNotScaled {
            stretch = 1.0;
        }
        y.iter_mut().zip(x).for_each(|(y, x)| *y = stretch * x);
        if !self.centred {
            for y in y.chunks_exact_mut(self.start.mean.len()) {
                y.iter_mut()
                    .zip(&self.start.mean)
                    .for_each(|(y, m)| *y += m);
            }
        }
    }

    fn shift(&self, k: u64, x: &[f64], gradient: &[f64], z: &mut [f64]) {
        let d = self.start.mean.len();
        let root = self.lambda(k).sqrt();
        let h = match self.settings.rule {
            Rule::Lipschitz => self.step * (root * root),
            Rule::ScoreNorm | Rule::Tamed => self.step,
        };
        // Factor of the gradient, h/√λ, and of the noise, where the drift is within its limit.
        let scaled = self.fault != Fault::ScoreNotScaled;
        let root = if scaled { root } else { 1.0 };
        let variance = if self.fault == Fault::NoiseHalved {
            1.0
        } else {
            2.0
        };
        let (drift, noise) = (h / root, (variance * h).sqrt());
        if self.settings.rule == Rule::Lipschitz || self.fault == Fault::CapIgnored {
            for (z, (x, g)) in z.iter_mut().zip(x.iter().zip(gradient)) {
                *z = x + drift * g + noise * *z;
            }
            return;
        }
        let limit = (self.cap / drift).powi(2);
        let shortens = self.settings.rule == Rule::ScoreNorm;
        let rows = x.chunks_exact(d).zip(gradient.chunks_exact(d));
        for ((x, g), z) in rows.zip(z.chunks_exact_mut(d)) {
            let squares = g.iter().map(|g| g * g).sum::<f64>();
            let (mut drift, mut noise) = (drift, noise);
            if squares > limit {
                drift = self.cap / length(g, squares);
                if shortens {
                    // h = δ/‖s‖, with ‖s‖ = ‖g‖/√λ.
                    noise = (variance * drift * root).sqrt();
                }
            }
            for (z, (x, g)) in z.iter_mut().zip(x.iter().zip(g)) {
                *z = x + drift * g + noise * *z;
            }
        }
    }

    fn arrive(&self, x: &mut [f64]) {
        for x in x.chunks_exact_mut(self.start.mean.len()) {
            x.iter_mut()
                .zip(&self.start.mean)
                .for_each(|(x, m)| *x += m);
        }
    }

    fn step_size(&self) -> f64 {
        self.step
    }

    fn drift_cap(&self) -> f64 {
        self.cap
    }

    fn mala_moves(&self) -> u64 {
        self.settings.mala_moves
    }
}

/// ‖g‖, whose square is `squares` unless that is ∞.
fn length(g: &[f64], squares: f64) -> f64 {
    if squares < f64::INFINITY {
        return squares.sqrt();
    }
    let largest = g.iter().fold(0.0f64, |m, g| m.max(g.abs()));
    largest * g.iter().map(|g| (g / largest).powi(2)).sum::<f64>().sqrt()
}

impl Algorithm for Opening {
    type State = Particles;

    fn name(&self) -> &str {
        NAME
    }

    fn traits(&self) -> Traits {
        self.target.traits()
    }

    fn signature(&self) -> Signature {
        Signature::new(self.target.dim(), &self.settings)
    }

    fn check_state(&self, n: usize, state: &Particles) -> std::result::Result<(), String> {
        state.check_saved(self, n)
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<Particles> {
        let mut x = zeros(NAME, n, self.target.dim())?;
        // Relative to the location from here to the end of the path.
        let mut about = self.start.clone();
        about.mean.fill(0.0);
        about.draw(&mut cx.at("start", 0), x.view_mut());
        if self.target.has_density() {
            // Let go of at the end: no later step wants so much room.
            let mut y = zeros(NAME, n, x.ncols())?;
            self.place(0, dense(&x.view()), dense_mut(y.view_mut()));
            let mut l = cx.take(n);
            let out = (&mut l[..]).into();
            evaluate_starts(cx, NAME, START, &*self.target, y.view(), out, None)?;
            cx.give(l);
        }
        Ok(Particles::new(self, x))
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut Particles, sink: &mut dyn Sink) -> Result<Flow> {
        if state.done == 0 {
            sink.set_chains(1)?;
            self.notes(sink);
        }
        let before = state.done;
        let flow = state.step(self, cx, sink)?;
        sink.scalar("lambda", self.lambda(state.done.saturating_sub(1)));
        if before < self.moves() && state.done >= self.moves() {
            self.doubts(cx, state, sink);
        }
        Ok(flow)
    }
}

impl Opening {
    /// What holds for every run.
    fn notes(&self, sink: &mut dyn Sink) {
        note_uncalibrated(
            sink,
            "The dilation path",
            "how many draws a mode has tells how well it is reached from `location`, not its \
             probability. Two separate modes come out near half and half whatever their weights, and \
             of two at unlike distances the nearer gets more",
            self.settings.mala_moves,
        );
        sink.flag(Flag::new(
            Severity::Note,
            "missed_modes",
            "A mode much narrower than the others, or behind another as seen from `location`, can be \
             missed without a trace in the draws",
            "compare runs with a smaller `mode_sd` and more `steps`, and with another `location`",
        ));
    }

    /// What the draws at the end of the path say against themselves.
    fn doubts(&self, cx: &mut Cx<'_>, state: &Particles, sink: &mut dyn Sink) {
        let d = self.start.mean.len();
        let (mut mean, mut sd) = (cx.take(d), cx.take(d));
        moments(state.live(), &mut mean, &mut sd);
        let off = mean.iter().zip(&self.start.mean).zip(&sd);
        let off = off.map(|((m, at), s)| (m - at).abs() / s.max(f64::MIN_POSITIVE));
        let (at, off) =
            off.enumerate().fold(
                (0, 0.0),
                |worst, (j, off)| {
                    if off > worst.1 { (j, off) } else { worst }
                },
            );
        if off > OFF_CENTRE {
            sink.flag(Flag::new(
                Severity::Warning,
                "off_centre",
                format!(
                    "The target is far from where the particles started: in {} the mean of the draws, \
                     {:.3}, is {off:.1} of their standard deviations from `location`. If there are \
                     several modes, the nearer have too many draws and farther ones may be missed",
                    self.target.coordinate(at),
                    mean[at],
                ),
                "set `location` to the mean of the draws and run again",
            ));
        }
        cx.give(sd);
        cx.give(mean);
    }
}

register! {
    sampler "dilation" => Dilation, needs GRADIENT,
        summary "Langevin particles guided along the dilation path from a point to the target",
        source "Chehab & Korba (2024), arXiv:2406.14040";
}

#[cfg(test)]
mod tests;
