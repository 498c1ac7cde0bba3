//! Reverse diffusion sequential Monte Carlo: a diffusion is run backwards with a score by Monte Carlo, and
//! weights make up for its error.
//!
//! Source: Wu et al. (2025), arXiv:2508.05926; potentials as in Phillips et al. (2024), arXiv:2402.06320;
//! Monte-Carlo scores as in Huang et al. (2024), arXiv:2307.02037. The weights below were derived anew.
//!
//! In coordinates that the base N(m, s²) whitens, x_τ = a x₀ + √v z with a = e^{−τ}, v = 1 − a². At noise
//! τ_K > … > τ₁ > τ₀ = 0 each particle x_k gets auxiliary draws u_k of the posterior q(y | x_k) ∝
//! ρ(y) N(x_k; a y, v), which tell
//!
//! p̂_k = p̂(x_k, u_k) ≈ ∫ρ(y) N(x_k; a y, v) dy,   ŷ and v̂, mean and variances of the posterior,
//!
//! x_{k−1} ~ F = N(A ŷ + B x_k, v_{k−1} q/v_k + A² v̂),   A = a_{k−1} q/v_k,  B = α v_{k−1}/v_k
//!
//! ω = p̂_{k−1} N(x_k; α x_{k−1}, q) / (p̂_k F),   α = a_k/a_{k−1},  q = 1 − α²;   p̂₀ = ρ(x₀)
//!
//! from x_K ~ N(0, I) with weight p̂_K/N(x_K; 0, I). A ŷ + B x = x/α + (1/α − α) ŝ with the score
//! ŝ = (a ŷ − x)/v: the exact mean, where an exponential integrator has 2 (1/α − 1).
//!
//! Why E Ẑ = Z for any number of draws: given x_k and u_k, the expectation of the product of the ω still to
//! come is p_k(x_k)/p̂_k, by induction, as p̂_{k−1} cancels. It takes no more than that p̂_k in ω is the number
//! that the weights before had, and that p̂_k > 0 wherever p_k is: neither p̂ nor ŷ need be unbiased, and
//! draws may come from chains whose step sizes adapt to them. How good they are decides on the variance.
//!
//! The draws come from a reference ("base": the posterior if the target were the base, N(a x, v);
//! "free": N(x/a, v/a²), as in the source) with p̂ = N(x; 0, I) mean(ρ/base) or a^{−d} mean ρ; where such
//! weights are uneven, by annealed importance sampling from it with resampling among the draws of a
//! particle, at temperatures that all particles share and that only as many are of as the weights ask for.
//!
//! Cost of K levels with J temperatures of L moves and M draws: n M K densities, n M gradients more for
//! each level with J > 0, n M L J of both; and the pilot run.

use crate::chains::{Gaussian, check, check_length, check_positive, zeros};
use crate::genealogy::{Families, Spread};
use crate::pilot::{self, Pilot, Placing};
use crate::posterior::Whitened;
use crate::posterior::anneal::{Annealing, Effort, Estimates};
use ndarray::{Array1, Array2};
use retrograde_core::numeric::softmax_in_place;
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, Build, Cx, Error, Flow, Result, Sampler, Signature, Sink, Target, Traits, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler rdsmc";
/// Keys that place the base.
const BASE: [&str; 2] = ["base_mean", "base_sd"];

/// Where auxiliary draws come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auxiliary {
    /// The posterior if the target were the base.
    Base,
    /// N(x/a, v/a²).
    Free,
}

/// Settings, as written under `[sampler]` with `kind = "rdsmc"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rdsmc {
    /// Mean of the base that the diffusion leads to; a number, or one a coordinate. With
    /// `pilot_moves` above 0, of the law that the pilot chains start from. Default 0.
    pub base_mean: PerCoordinate,
    /// Standard deviation of that law, > 0; a number, or one a coordinate. Pilot chains start from
    /// up to 128 times that far. Default 1.
    pub base_sd: PerCoordinate,
    /// Moves of 128 pilot chains that place the base where they end, ≥ 0; 0 for a base as given.
    /// Default 100.
    pub pilot_moves: u64,
    /// Noise levels K, ≥ 1, at equal distances of the log signal-to-noise ratio. Default 11.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub levels: usize,
    /// Time τ_K that the diffusion runs back from, > `tau_min`. Default 1.2.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub horizon: f64,
    /// Last time τ₁ before 0, > 0: noise of standard deviation √(2 τ₁) in units of the base, which
    /// should not be above the narrowest scale of the target. Default 0.0005.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub tau_min: f64,
    /// Auxiliary draws M of a particle, ≥ 1. Default 32.
    #[schemars(range(min = 1))]
    pub auxiliary_draws: usize,
    /// Law that auxiliary draws come from: "base", or "free" of the base, as in the source, which is
    /// too wide at large times. Default "base".
    pub auxiliary: Auxiliary,
    /// Temperatures of a level at most, ≥ 0, by which auxiliary draws get from there to the posterior;
    /// 0 for importance sampling. Default 50.
    pub temperatures: u64,
    /// Share of the auxiliary draws that counts after a temperature, above 0 and below 1. Default 0.9.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub alpha: f64,
    /// Langevin moves of the auxiliary draws at a temperature, ≥ 1. Default 3.
    #[schemars(range(min = 1))]
    pub moves: u32,
    /// First step size of these moves, > 0, in units of the variance of the posterior if the target
    /// were the base; adapted. Default 0.1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step_size: f64,
    /// Particles are resampled when the effective sample size is at or below this fraction of them, 0
    /// to 1. Default 0.5.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub resample_threshold: f64,
}

impl Default for Rdsmc {
    fn default() -> Self {
        Self {
            base_mean: PerCoordinate::All(0.0),
            base_sd: PerCoordinate::All(1.0),
            pilot_moves: 100,
            levels: 11,
            horizon: 1.2,
            tau_min: 5e-4,
            auxiliary_draws: 32,
            auxiliary: Auxiliary::Base,
            temperatures: 50,
            alpha: 0.9,
            moves: 3,
            step_size: 0.1,
            resample_threshold: 0.5,
        }
    }
}

impl Build<dyn Sampler> for Rdsmc {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Sampled::new(self, parts.require_target(NAME)?)?))
    }
}

/// What a test breaks, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
enum Fault {
    None,
    /// The term of the noising kernel is left out at one level.
    KernelOmitted,
    /// p̂_k in the denominator is of other draws than the p̂_k of the weights before.
    Redrawn,
    /// Of two proposals that with more mass is taken, and weighed as if there had been one.
    Picked,
    /// Particles none of whose draws has mass are lost.
    NoFloor,
}

struct Sampled {
    settings: Rdsmc,
    base: Gaussian,
    target: Arc<dyn Target>,
    fault: Fault,
}

impl Sampled {
    fn new(settings: Rdsmc, target: Arc<dyn Target>) -> Result<Self> {
        let s = &settings;
        let inside = (1..=1_000_000).contains(&s.levels);
        check(NAME, "levels", s.levels, inside, "from 1 to 1000000")?;
        check_positive(NAME, "tau_min", s.tau_min)?;
        let longer = s.horizon > s.tau_min && s.horizon < 50.0;
        let said = "above `tau_min` and below 50";
        check(NAME, "horizon", s.horizon, longer, said)?;
        let m = s.auxiliary_draws;
        check(NAME, "auxiliary_draws", m, m > 0, "at least 1")?;
        let inside = s.alpha > 0.0 && s.alpha < 1.0;
        check(NAME, "alpha", s.alpha, inside, "between 0 and 1")?;
        check(NAME, "moves", s.moves, s.moves > 0, "at least 1")?;
        check_positive(NAME, "step_size", s.step_size)?;
        let kappa = s.resample_threshold;
        let inside = (0.0..=1.0).contains(&kappa);
        check(NAME, "resample_threshold", kappa, inside, "from 0 to 1")?;
        let base = Gaussian::new(NAME, target.dim(), BASE, &s.base_mean, &s.base_sd, true)?;
        Ok(Self {
            settings,
            base,
            target,
            fault: Fault::None,
        })
    }

    /// a² and v after `done` levels: at τ_K for none, at 0 for K.
    fn noise(&self, done: usize) -> (f64, f64) {
        let s = &self.settings;
        if done >= s.levels {
            return (1.0, 0.0);
        }
        // ln(v/a²) = ln(e^{2τ} − 1).
        let odds = |tau: f64| (2.0 * tau).exp_m1().ln();
        let (from, to) = (odds(s.horizon), odds(s.tau_min));
        let at = done as f64 / (s.levels - 1).max(1) as f64;
        let r = (from + at * (to - from)).exp();
        ((1.0 / (1.0 + r)).sqrt(), r / (1.0 + r))
    }
}

#[derive(Serialize, Deserialize)]
struct State {
    /// The pilot run that places the base.
    place: Option<Pilot>,
    base: Gaussian,
    /// Particles in whitened coordinates; what their auxiliary draws tell.
    x: Array2<f64>,
    log_p: Array1<f64>,
    mean: Array2<f64>,
    variance: Array2<f64>,
    families: Families,
    /// Weights, which sum to 1.
    weights: Array1<f64>,
    log_z: f64,
    /// Step size of the first move of auxiliary draws.
    step: f64,
    /// Levels done.
    level: usize,
    /// Least effective share, and whether a particle was ever without draws with mass.
    least: f64,
    empty: bool,
}

impl Algorithm for Sampled {
    type State = State;

    fn name(&self) -> &str {
        NAME
    }

    fn traits(&self) -> Traits {
        self.target.traits()
    }

    fn signature(&self) -> Signature {
        Signature::new(self.target.dim(), &self.settings)
    }

    fn check_state(&self, n: usize, state: &State) -> std::result::Result<(), String> {
        let d = self.target.dim();
        state.base.check_saved(d)?;
        if let Some(pilot) = &state.place {
            pilot.check_saved(d)?;
        }
        for (what, found) in [
            ("points", state.x.dim()),
            ("means", state.mean.dim()),
            ("variances", state.variance.dim()),
        ] {
            if found != (n, d) {
                return Err(format!("{what} of shape {found:?}, not {:?}", (n, d)));
            }
        }
        check_length("log densities", state.log_p.len(), n)?;
        check_length("weights", state.weights.len(), n)?;
        state.families.check_saved(n)?;
        let sum: f64 = state.weights.iter().sum();
        if !state.weights.iter().all(|w| *w >= 0.0) || !(0.5..2.0).contains(&sum) {
            return Err(format!("weights that sum to {sum}"));
        }
        if !(state.step > 0.0 && state.step.is_finite()) || state.level > self.settings.levels {
            return Err(format!("step size {} at level {}", state.step, state.level));
        }
        let finite = |v: &f64| v.is_finite();
        let all = state.x.iter().chain(&state.mean).chain(&state.log_p);
        let positive = state.variance.iter().all(|v| *v >= 0.0 && v.is_finite());
        if !all.into_iter().all(finite) || !positive || state.log_z.is_nan() {
            return Err("particles that are nowhere".into());
        }
        Ok(())
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        let (s, d) = (&self.settings, self.target.dim());
        if n == 0 || u32::try_from(n).is_err() {
            return Err(Error::Argument {
                component: NAME.into(),
                argument: "draws".into(),
                given: n.to_string(),
                allowed: "from 1 to 4294967295, for they are the particles".into(),
            });
        }
        let (target, law) = (&*self.target, &self.base);
        Ok(State {
            place: Pilot::wanted(s.pilot_moves, cx, NAME, BASE, target, law, 0.1)?,
            base: self.base.clone(),
            x: zeros(NAME, n, d)?,
            log_p: Array1::zeros(n),
            mean: zeros(NAME, n, d)?,
            variance: zeros(NAME, n, d)?,
            families: Families::new(n),
            weights: Array1::from_elem(n, 1.0 / n as f64),
            log_z: 0.0,
            step: s.step_size,
            level: 0,
            least: 1.0,
            empty: false,
        })
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        let (target, moves) = (&*self.target, self.settings.pilot_moves);
        let placing = pilot::place(cx, &mut state.place, target, &mut state.base, moves, sink)?;
        if placing == Placing::GoesOn {
            return Ok(Flow::More);
        }
        let n = state.x.nrows();
        let mut log_w = cx.take(n);
        if state.level == 0 {
            sink.set_chains(1)?;
            cx.at("start", 0).fill_normal(state.x.view_mut());
            for (w, x) in log_w.iter_mut().zip(state.x.outer_iter()) {
                *w = 0.5 * x.iter().map(|x| x * x).sum::<f64>();
            }
        } else {
            self.resample(cx, state);
            if self.fault == Fault::Redrawn {
                self.look(&mut cx.at("again", 0), state, state.level - 1)?;
            }
            self.advance(cx, state, &mut log_w)?;
        }
        let effort = self.look(cx, state, state.level)?;
        for ((w, p), before) in log_w.iter_mut().zip(&state.log_p).zip(&state.weights) {
            *w += p + before.ln();
            if w.is_nan() {
                *w = f64::NEG_INFINITY;
            }
        }
        let gained = softmax_in_place(&mut log_w);
        let lost = gained == f64::NEG_INFINITY;
        if !lost {
            state.log_z += gained;
            state
                .weights
                .iter_mut()
                .zip(&log_w)
                .for_each(|(w, l)| *w = *l);
        }
        let ess = if lost {
            0.0
        } else {
            1.0 / log_w.iter().map(|w| w * w).sum::<f64>()
        };
        state.least = state.least.min(ess / n as f64);
        state.empty |= effort.empty > 0;
        let spread = state
            .families
            .spread(dense_weights(&state.weights), &mut log_w);
        cx.give(log_w);
        self.show(cx, state, sink, ess, spread, effort);
        if state.level < self.settings.levels && !lost {
            state.level += 1;
            return Ok(Flow::More);
        }
        self.finish(cx, state, sink, ess, spread, lost)?;
        Ok(Flow::Done)
    }
}

impl Sampled {
    /// p̂, ŷ and v̂ at the particles; at the last level, ρ.
    fn look(&self, cx: &mut Cx<'_>, state: &mut State, level: usize) -> Result<Effort> {
        let white = Whitened {
            target: &*self.target,
            base: &state.base,
        };
        let x = state.x.as_slice().expect("particles are dense");
        if level == self.settings.levels {
            let l = state.log_p.as_slice_mut();
            white.evaluate(cx, x, l, None)?;
            return Ok(Effort::default());
        }
        let s = &self.settings;
        let annealing = Annealing {
            draws: s.auxiliary_draws,
            temperatures: s.temperatures,
            alpha: s.alpha,
            moves: s.moves,
            free: s.auxiliary == Auxiliary::Free,
        };
        let out = Estimates {
            log_p: state.log_p.view_mut(),
            mean: state.mean.view_mut(),
            variance: state.variance.view_mut(),
            draws: None,
        };
        let noise = self.noise(level);
        let effort = annealing.estimate(cx, white, noise, x, out, &mut state.step)?;
        if effort.empty > 0 && self.fault != Fault::NoFloor {
            steps::fill_empty(noise, state);
        }
        Ok(effort)
    }

    /// Shows what a level gave.
    fn show(
        &self,
        cx: &Cx<'_>,
        state: &State,
        sink: &mut dyn Sink,
        ess: f64,
        spread: Spread,
        effort: Effort,
    ) {
        let (a, _) = self.noise(state.level);
        sink.record(
            "ladder",
            &[
                ("tau", -a.ln()),
                ("ess", ess),
                ("log_z", state.log_z),
                ("families", spread.families),
                ("temperatures", effort.temperatures),
                ("auxiliary_ess", effort.ess),
                ("evaluations", cx.counts().rows as f64),
            ],
        );
        sink.progress((state.level + 1) as f64 / (self.settings.levels + 1) as f64);
    }
}

fn dense_weights(weights: &Array1<f64>) -> &[f64] {
    weights.as_slice().expect("weights are dense")
}

register! {
    sampler "rdsmc" => Rdsmc, needs DENSITY_AND_GRADIENT,
        summary "Reverse diffusion SMC with Monte-Carlo scores: weighted draws and an unbiased estimate of Z",
        source "Wu et al. (2025), arXiv:2508.05926";
}

mod doubts;
mod steps;
#[cfg(test)]
mod tests;
