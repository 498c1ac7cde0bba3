//! Stochastic localisation via iterative posterior sampling (SLIPS).
//!
//! Source: Grenioux, Noble, Gabrié & Durmus (2024), arXiv:2402.10758.
//!
//! In coordinates that the base N(m, s²) whitens, the observation process Y_t = α(t) X + σ B_t of X ~ π has
//!
//! dY = α′(t) u_t(Y) dt + σ dB,   u_t(y) = E[X | Y_t = y],   q_t(x | y) ∝ π(x) exp(−‖α x − y‖²/(2σ²t))
//!
//! y ← y + (α(t_{k+1}) − α(t_k)) û(y) + σ √(t_{k+1} − t_k) z,   û a mean over chains on q_t
//!
//! with α(t) = g(t) √t: g² = t ("standard"), t^a (1 − t)^{−b} ("geometric"), tan(πt/2)^a ("tangent"),
//! at times t_1 = ε … t_K with equal distances of ln g² (T = 1 as good as any: it scales y alone). Y_ε starts at N(0, σ²ε I), refined by
//! Langevin moves of step σ²ε/2 on p_ε, whose score is (α û − y)/(σ²t).
//!
//! Chains are M a particle, of MALA, each with a step size of its own; they go on from where the level
//! before left them, resampled by how well they fit the new posterior (`reweigh`, which is not in the
//! source), and the second half of their moves counts. They start from draws of q_ε by annealed
//! importance sampling, where the source has a long run of chains from y/α.
//!
//! Draws are û at the last time (narrower than π by what is left of the posterior) or y/α ("observation",
//! wider by σ²/g²). Mode weights are those that Y_ε has, and what chains between modes make of them: none of
//! it is corrected. There is no estimate of log Z.
//!
//! Cost: n M L (K + W) gradients and densities for K levels, W Langevin moves and L moves of chains, and
//! those of the pilot run and of the annealing.

use crate::chains::{Gaussian, check, check_positive, dense, dense_mut, matrix_mut, zeros};
use crate::pilot::Pilot;
use crate::posterior::anneal::STARTING;
use crate::posterior::chains::{Followers, Means};
use crate::posterior::end::{doubt_acceptance, hand_over, uncalibrated};
use crate::posterior::{Posterior, Whitened};
use ndarray::Array2;
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, Build, Cx, Error, Flow, Result, Sampler, Signature, Sink, Target, Traits, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;
use std::sync::Arc;

const NAME: &str = "sampler slips";
/// Keys that place the base.
const BASE: [&str; 2] = ["base_mean", "base_sd"];

/// How the signal grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Localisation {
    /// g² = t.
    Standard,
    /// g² = t^`power` (1 − t)^−`end_power`.
    Geometric,
    /// g² = tan(π t/2)^`power`.
    Tangent,
}

/// What a draw is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Final {
    /// û at the last time.
    PosteriorMean,
    /// y/α at the last time.
    Observation,
}

/// Settings, as written under `[sampler]` with `kind = "slips"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Slips {
    /// Mean of the base that sets location and scale; a number, or one a coordinate. With
    /// `pilot_moves` above 0, of the law that the pilot chains start from. Default 0.
    pub base_mean: PerCoordinate,
    /// Standard deviation of that law, > 0; a number, or one a coordinate. Pilot chains start from
    /// up to 128 times that far. Default 1.
    pub base_sd: PerCoordinate,
    /// Moves of 128 pilot chains that place the base where they end, ≥ 0; 0 for a base as given.
    /// Default 100.
    pub pilot_moves: u64,
    /// Standard deviation σ of the observation noise at t = 1, > 0, in units of the base; best √(E ‖X‖²/d),
    /// which is 1/1.4 under a base from the pilot run. Default 0.7.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub sigma: f64,
    /// Schedule g: "standard", "geometric" or "tangent". Default "geometric".
    pub schedule: Localisation,
    /// Power a of the schedule at its begin, > 0. Default 1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub power: f64,
    /// Power b of "geometric" at its end, > 0. Default 1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub end_power: f64,
    /// g² at the first time, > 0: small enough for p_ε to have one mode, large enough for the chains.
    /// Default 0.1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub first_snr: f64,
    /// g² at the last time, > `first_snr`. Default 1000.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub last_snr: f64,
    /// Times K, ≥ 2. Default 128.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub levels: usize,
    /// Langevin moves on p_ε, ≥ 0. Default 10.
    pub start_moves: u64,
    /// Chains M of a particle, ≥ 1. Default 16.
    #[schemars(range(min = 1))]
    pub chains: usize,
    /// Moves L of the chains at each time, ≥ 2. Default 8.
    #[schemars(range(min = 2))]
    pub moves: u64,
    /// Whether the chains of a particle are resampled from level to level, by how well each fits the new
    /// posterior; else, as in the source, those that cannot leave their modes keep the shares of the first
    /// level. Default true.
    pub reweigh: bool,
    /// First step size of the chains, > 0, in units of the variance of the posterior if the target
    /// were the base; adapted. Default 0.1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step_size: f64,
    /// What a draw is: "posterior-mean" or "observation". Default "posterior-mean".
    #[serde(rename = "draw")]
    pub last: Final,
}

impl Default for Slips {
    fn default() -> Self {
        Self {
            base_mean: PerCoordinate::All(0.0),
            base_sd: PerCoordinate::All(1.0),
            pilot_moves: 100,
            sigma: 0.7,
            schedule: Localisation::Geometric,
            power: 1.0,
            end_power: 1.0,
            first_snr: 0.1,
            last_snr: 1000.0,
            levels: 128,
            start_moves: 10,
            chains: 16,
            moves: 8,
            reweigh: true,
            step_size: 0.1,
            last: Final::PosteriorMean,
        }
    }
}

impl Build<dyn Sampler> for Slips {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Localised::new(self, parts.require_target(NAME)?)?))
    }
}

/// What a test breaks, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
enum Fault {
    None,
    /// The drift has α where it should have the change of α.
    DriftOfAlpha,
    /// The noise is that of a σ twice as large.
    NoiseDoubled,
    /// Chains keep the target without its link to y.
    Unlinked,
}

/// A normal law in whitened coordinates of which û and the law of Y_ε are known, for tests.
#[derive(Debug, Clone, Copy)]
struct Known {
    mean: f64,
    sd: f64,
}

struct Localised {
    settings: Slips,
    base: Gaussian,
    target: Arc<dyn Target>,
    known: Option<Known>,
    fault: Fault,
}

impl Localised {
    fn new(settings: Slips, target: Arc<dyn Target>) -> Result<Self> {
        let s = &settings;
        for (key, v) in [
            ("sigma", s.sigma),
            ("power", s.power),
            ("end_power", s.end_power),
            ("first_snr", s.first_snr),
            ("step_size", s.step_size),
        ] {
            check_positive(NAME, key, v)?;
        }
        let rising = s.last_snr > s.first_snr && s.last_snr.is_finite();
        check(
            NAME,
            "last_snr",
            s.last_snr,
            rising,
            "a number above `first_snr`",
        )?;
        let inside = (2..=1_000_000).contains(&s.levels);
        check(NAME, "levels", s.levels, inside, "from 2 to 1000000")?;
        check(NAME, "chains", s.chains, s.chains > 0, "at least 1")?;
        check(NAME, "moves", s.moves, s.moves > 1, "at least 2")?;
        let base = Gaussian::new(NAME, target.dim(), BASE, &s.base_mean, &s.base_sd, true)?;
        Ok(Self {
            settings,
            base,
            target,
            known: None,
            fault: Fault::None,
        })
    }

    /// t at which g² is `snr`.
    fn time(&self, snr: f64) -> f64 {
        let s = &self.settings;
        match s.schedule {
            Localisation::Standard => snr,
            Localisation::Tangent => snr.powf(1.0 / s.power).atan() / FRAC_PI_2,
            Localisation::Geometric => {
                // ln g² rises with the log odds r of t, by a (1 − t) + b t: bisection over r.
                let log = snr.ln();
                let (ln_t, ln_rest) = (|r: f64| -(-r).exp().ln_1p(), |r: f64| -r.exp().ln_1p());
                let (mut low, mut high) = (-700.0, 700.0);
                for _ in 0..200 {
                    let r = 0.5 * (low + high);
                    if s.power * ln_t(r) - s.end_power * ln_rest(r) < log {
                        low = r;
                    } else {
                        high = r;
                    }
                }
                ln_t(low).exp()
            }
        }
    }

    /// α and σ²t at level `k` of 0 … K − 1.
    fn noise(&self, k: usize) -> (f64, f64) {
        let s = &self.settings;
        let (from, to) = (s.first_snr.ln(), s.last_snr.ln());
        let snr = (from + (to - from) * k as f64 / (s.levels - 1) as f64).exp();
        let t = self.time(snr);
        ((snr * t).sqrt(), s.sigma * s.sigma * t)
    }

    /// Steps of the run after the pilot.
    fn length(&self) -> u64 {
        self.settings.start_moves + self.settings.levels as u64
    }

    /// Level after `done` steps.
    fn level(&self, done: u64) -> usize {
        done.saturating_sub(self.settings.start_moves) as usize
    }
}

#[derive(Serialize, Deserialize)]
struct State {
    /// The pilot run that places the base.
    place: Option<Pilot>,
    base: Gaussian,
    /// Observations y and estimates û, in whitened coordinates.
    y: Array2<f64>,
    mean: Array2<f64>,
    chains: Followers,
    /// Steps done.
    done: u64,
    /// Acceptance furthest from its aim.
    worst: f64,
}

impl Algorithm for Localised {
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
        for (what, found) in [("points", state.y.dim()), ("means", state.mean.dim())] {
            if found != (n, d) {
                return Err(format!("{what} of shape {found:?}, not {:?}", (n, d)));
            }
        }
        state
            .chains
            .check_saved(n.saturating_mul(self.settings.chains), d)?;
        let finite = |v: &f64| v.is_finite();
        if state.done >= self.length() || !state.y.iter().chain(&state.mean).all(finite) {
            return Err(format!(
                "{} steps of {}, or points nowhere",
                state.done,
                self.length()
            ));
        }
        Ok(())
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        let (s, d) = (&self.settings, self.target.dim());
        if n == 0 {
            return Err(Error::Argument {
                component: NAME.into(),
                argument: "draws".into(),
                given: n.to_string(),
                allowed: "at least 1".into(),
            });
        }
        let place = if s.pilot_moves > 0 {
            let target = &*self.target;
            Some(Pilot::start(cx, NAME, BASE, target, &self.base, 0.1)?)
        } else {
            None
        };
        Ok(State {
            place,
            base: self.base.clone(),
            y: zeros(NAME, n, d)?,
            mean: zeros(NAME, n, d)?,
            chains: Followers::nowhere(NAME, n, s.chains, d)?,
            done: 0,
            worst: 0.6,
        })
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        let target = &*self.target;
        if let Some(pilot) = &mut state.place {
            let moves = self.settings.pilot_moves;
            if !pilot.step(cx, target, &mut state.base, moves, sink)? {
                return Ok(Flow::More);
            }
            state.place = None;
        }
        if state.done == 0 {
            sink.set_chains(1)?;
            uncalibrated(
                sink,
                "Localisation by posterior draws",
                "they are those of the first observations, and of chains that hardly cross between modes",
                "The draws are approximate: û is a mean over short chains, the steps have an error of the order \
                 of their length, and a draw is narrower than the target by what is left of the posterior",
                "compare runs with more `levels`, `chains` and `moves`",
            );
        }
        self.advance(cx, state);
        let noise = self.noise(self.level(state.done));
        let white = Whitened {
            target,
            base: &state.base,
        };
        let first = state.done == 0;
        let accepted = self.look(
            cx,
            white,
            noise,
            first,
            &state.y,
            &mut state.mean,
            &mut state.chains,
        )?;
        if (accepted - 0.6).abs() > (state.worst - 0.6).abs() {
            state.worst = accepted;
        }
        state.done += 1;
        sink.progress(state.done as f64 / self.length() as f64);
        sink.scalar("acceptance", state.worst);
        if state.done < self.length() {
            return Ok(Flow::More);
        }
        if self.known.is_none() {
            doubt_acceptance(sink, state.worst);
        }
        let draws = match self.settings.last {
            Final::PosteriorMean => &state.mean,
            Final::Observation => {
                state.y.mapv_inplace(|y| y / noise.0);
                &state.y
            }
        };
        hand_over(cx, NAME, white, draws, sink)?;
        Ok(Flow::Done)
    }
}

impl Localised {
    /// Moves y to the level of the step that is to come: drawn, refined on p_ε, or taken a step on.
    fn advance(&self, cx: &mut Cx<'_>, state: &mut State) {
        let (n, d) = state.y.dim();
        let mut z = cx.take(n * d);
        cx.at("noise", 0).fill_normal(matrix_mut(&mut z, d));
        let level = self.level(state.done);
        let (a, v) = self.noise(level);
        let y = dense_mut(state.y.view_mut());
        let rows = y.iter_mut().zip(&state.mean).zip(&z);
        let louder = if self.fault == Fault::NoiseDoubled {
            2.0
        } else {
            1.0
        };
        if state.done == 0 {
            let (m, s) = self.known.map_or((0.0, 0.0), |k| (k.mean, k.sd));
            let sd = (a * a * s * s + v).sqrt();
            rows.for_each(|((y, _), z)| *y = a * m + sd * z);
        } else if level == 0 {
            // h ∇ log p_ε = ½ v (α û − y)/v.
            let noise = v.sqrt();
            rows.for_each(|((y, u), z)| *y += 0.5 * (a * u - *y) + noise * z);
        } else {
            let (before, less) = self.noise(level - 1);
            let pull = if self.fault == Fault::DriftOfAlpha {
                a
            } else {
                a - before
            };
            let noise = louder * (v - less).sqrt();
            rows.for_each(|((y, u), z)| *y += pull * u + noise * z);
        }
        cx.give(z);
    }

    /// û at all y.
    #[allow(clippy::too_many_arguments)] // parts of one state
    fn look(
        &self,
        cx: &mut Cx<'_>,
        white: Whitened<'_>,
        (a, v): (f64, f64),
        first: bool,
        y: &Array2<f64>,
        mean: &mut Array2<f64>,
        chains: &mut Followers,
    ) -> Result<f64> {
        if let Some(k) = self.known {
            let (own, link) = (1.0 / (k.sd * k.sd), a / v);
            mean.zip_mut_with(y, |u, y| *u = (k.mean * own + link * y) / (own + link * a));
            return Ok(0.6);
        }
        let s = &self.settings;
        let (y, mean) = (y.view(), dense_mut(mean.view_mut()));
        let y = dense(&y);
        if first {
            let annealing = STARTING.with(s.chains);
            chains.start(
                &mut cx.at("anneal", 0),
                white,
                annealing,
                (a, v),
                y,
                s.step_size,
            )?;
        }
        let mut slope = cx.take(mean.len());
        let law = if self.fault == Fault::Unlinked {
            Posterior::of(0.0, v)
        } else {
            Posterior::of(a, v)
        };
        if !first && s.reweigh {
            chains.reweigh(cx, law, y, white.dim())?;
        }
        let mut out = Means {
            draw: mean,
            slope: &mut slope,
        };
        let accepted = chains.follow(cx, white, law, y, s.moves, &mut out)?;
        cx.give(slope);
        Ok(accepted)
    }
}

register! {
    sampler "slips" => Slips, needs DENSITY_AND_GRADIENT,
        summary "Stochastic localisation via iterative posterior sampling",
        source "Grenioux et al. (2024), arXiv:2402.10758";
}

#[cfg(test)]
mod tests;
