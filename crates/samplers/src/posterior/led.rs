//! Runs that posterior chains lead: what reverse diffusion Monte Carlo and stochastic localisation share.
//!
//! Particles c are drawn at the first level, refined by Langevin moves there, and taken from level to level.
//! At each, chains on the posteriors q(y | c) go on from where they were and tell the means that the
//! next step is made of. All of it is in coordinates that a base whitens, which a pilot run places.

use super::anneal::STARTING;
use super::chains::{Followers, Means};
use super::end::{doubt_acceptance, hand_over};
use super::{Posterior, Whitened};
use crate::chains::{Gaussian, check, check_positive, dense, dense_mut, matrix_mut, zeros};
use crate::pilot::{self, Pilot, Placing};
use ndarray::Array2;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, Cx, Error, Flow, Result, Sampler, Signature, Sink, Target, Traits,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Keys that place the base.
const BASE: [&str; 2] = ["base_mean", "base_sd"];
/// Acceptance that step sizes of chains are adapted to.
const ACCEPTANCE: f64 = 0.6;

/// The settings that such samplers have in common.
pub(crate) struct Effort<'a> {
    pub(crate) base_mean: &'a PerCoordinate,
    pub(crate) base_sd: &'a PerCoordinate,
    pub(crate) pilot_moves: u64,
    /// Langevin moves at the first level.
    pub(crate) start_moves: u64,
    /// Levels after the first.
    pub(crate) steps: u64,
    pub(crate) chains: usize,
    pub(crate) moves: u64,
    pub(crate) reweigh: bool,
    pub(crate) step_size: f64,
}

/// How particles come to where the chains are asked next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// They are drawn.
    Drawn,
    /// They make a Langevin move at the first level.
    Refined,
    /// They go on to this level, from the one before.
    Taken(usize),
}

/// What a sampler adds.
pub(crate) trait Led: Send + Sync {
    /// Its name, for messages.
    const NAME: &'static str;

    fn effort(&self) -> Effort<'_>;

    fn signature(&self, d: usize) -> Signature;

    /// Says what the draws are not.
    fn caveats(&self, sink: &mut dyn Sink);

    /// a and v of the posteriors at a level; none at the end, where nothing is asked any more.
    fn noise(&self, level: usize) -> Option<(f64, f64)>;

    /// Moves particles `c` by what was `told` at the stage before, and normal numbers `z`.
    fn advance(&self, stage: Stage, told: &[f64], z: &[f64], c: &mut [f64]);

    /// The law that chains keep.
    fn posterior(&self, (a, v): (f64, f64)) -> Posterior {
        Posterior::of(a, v)
    }

    /// Makes of the means of draws, which `told` holds, and of `slope`s ∇l what particles are moved by.
    fn tell(&self, _noise: (f64, f64), _c: &[f64], _slope: &[f64], _told: &mut [f64]) {}

    /// Makes of `c` and what was `told` at the last level the draws, in `c`.
    fn finish(&self, _told: &[f64], _c: &mut [f64]) {}

    /// Writes what chains without end would tell, where a test knows it, in place of chains.
    fn known(&self, _noise: (f64, f64), _c: &[f64], _told: &mut [f64]) -> bool {
        false
    }
}

/// A sampler led by posterior chains, on a target.
pub(crate) struct Leader<L> {
    pub(crate) method: L,
    base: Gaussian,
    target: Arc<dyn Target>,
}

impl<L: Led> Leader<L> {
    /// Checks the settings in common, and binds the method to a target.
    pub(crate) fn new(method: L, target: Arc<dyn Target>) -> Result<Self> {
        let e = method.effort();
        check_positive(L::NAME, "step_size", e.step_size)?;
        check(L::NAME, "chains", e.chains, e.chains > 0, "at least 1")?;
        check(L::NAME, "moves", e.moves, e.moves > 1, "at least 2")?;
        let d = target.dim();
        let base = Gaussian::new(L::NAME, d, BASE, e.base_mean, e.base_sd, true)?;
        Ok(Self {
            method,
            base,
            target,
        })
    }
}

impl<L: Led + 'static> Leader<L> {
    pub(crate) fn shared(method: L, target: Arc<dyn Target>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Self::new(method, target)?))
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct State {
    /// The pilot run that places the base.
    place: Option<Pilot>,
    base: Gaussian,
    /// Particles and what they were told, in whitened coordinates.
    c: Array2<f64>,
    told: Array2<f64>,
    chains: Followers,
    /// Steps done.
    done: u64,
    /// Acceptance furthest from its aim.
    worst: f64,
}

impl<L: Led> Algorithm for Leader<L> {
    type State = State;

    fn name(&self) -> &str {
        L::NAME
    }

    fn traits(&self) -> Traits {
        self.target.traits()
    }

    fn signature(&self) -> Signature {
        self.method.signature(self.target.dim())
    }

    fn check_state(&self, n: usize, state: &State) -> std::result::Result<(), String> {
        let d = self.target.dim();
        state.base.check_saved(d)?;
        if let Some(pilot) = &state.place {
            pilot.check_saved(d)?;
        }
        for (what, found) in [("points", state.c.dim()), ("means", state.told.dim())] {
            if found != (n, d) {
                return Err(format!("{what} of shape {found:?}, not {:?}", (n, d)));
            }
        }
        let chains = n.saturating_mul(self.method.effort().chains);
        state.chains.check_saved(chains, d)?;
        let finite = state.c.iter().chain(&state.told).all(|v| v.is_finite());
        let (done, whole) = (state.done, self.length());
        if done >= whole || !finite {
            return Err(format!("{done} steps of {whole}, or points nowhere"));
        }
        Ok(())
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        if n == 0 {
            return Err(Error::Argument {
                component: L::NAME.into(),
                argument: "draws".into(),
                given: n.to_string(),
                allowed: "at least 1".into(),
            });
        }
        let (e, d, target) = (self.method.effort(), self.target.dim(), &*self.target);
        Ok(State {
            place: Pilot::wanted(e.pilot_moves, cx, L::NAME, BASE, target, &self.base, 0.1)?,
            base: self.base.clone(),
            c: zeros(L::NAME, n, d)?,
            told: zeros(L::NAME, n, d)?,
            chains: Followers::nowhere(L::NAME, n, e.chains, d)?,
            done: 0,
            worst: ACCEPTANCE,
        })
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        let (target, moves) = (&*self.target, self.method.effort().pilot_moves);
        let placing = pilot::place(cx, &mut state.place, target, &mut state.base, moves, sink)?;
        if placing == Placing::GoesOn {
            return Ok(Flow::More);
        }
        if state.done == 0 {
            sink.set_chains(1)?;
            self.method.caveats(sink);
        }
        let stage = self.stage(state.done);
        let (n, d) = state.c.dim();
        let mut z = cx.take(n * d);
        cx.at("noise", 0).fill_normal(matrix_mut(&mut z, d));
        let told = dense_mut(state.told.view_mut());
        self.method
            .advance(stage, told, &z, dense_mut(state.c.view_mut()));
        cx.give(z);
        let level = match stage {
            Stage::Drawn | Stage::Refined => 0,
            Stage::Taken(level) => level,
        };
        if let Some(noise) = self.method.noise(level) {
            self.ask(cx, state, noise)?;
        }
        state.done += 1;
        sink.progress(state.done as f64 / self.length() as f64);
        sink.scalar("acceptance", state.worst);
        if state.done < self.length() {
            return Ok(Flow::More);
        }
        doubt_acceptance(sink, state.worst);
        let told = dense_mut(state.told.view_mut());
        self.method.finish(told, dense_mut(state.c.view_mut()));
        let white = Whitened {
            target,
            base: &state.base,
        };
        hand_over(cx, L::NAME, white, &state.c, sink)?;
        Ok(Flow::Done)
    }
}

impl<L: Led> Leader<L> {
    /// Steps of the run after the pilot.
    fn length(&self) -> u64 {
        let e = self.method.effort();
        1 + e.start_moves + e.steps
    }

    /// What the step after `done` of them does.
    fn stage(&self, done: u64) -> Stage {
        match done.saturating_sub(self.method.effort().start_moves) {
            0 if done == 0 => Stage::Drawn,
            0 => Stage::Refined,
            level => Stage::Taken(level as usize),
        }
    }

    /// Lets the chains tell what they find at all particles.
    fn ask(&self, cx: &mut Cx<'_>, state: &mut State, noise: (f64, f64)) -> Result {
        let State {
            base,
            c,
            told,
            chains,
            done,
            worst,
            ..
        } = state;
        let (c, told) = (c.view(), dense_mut(told.view_mut()));
        let c = dense(&c);
        if self.method.known(noise, c, told) {
            return Ok(());
        }
        let e = self.method.effort();
        let white = Whitened {
            target: &*self.target,
            base,
        };
        let law = self.method.posterior(noise);
        if *done == 0 {
            let annealing = STARTING.with(e.chains);
            chains.start(
                &mut cx.at("anneal", 0),
                white,
                annealing,
                noise,
                c,
                e.step_size,
            )?;
        } else if e.reweigh {
            chains.reweigh(cx, law, c, white.dim())?;
        }
        let mut slope = cx.take(told.len());
        let mut out = Means {
            draw: told,
            slope: &mut slope,
        };
        let accepted = chains.follow(cx, white, law, c, e.moves, &mut out)?;
        self.method.tell(noise, c, &slope, told);
        cx.give(slope);
        if (accepted - ACCEPTANCE).abs() > (*worst - ACCEPTANCE).abs() {
            *worst = accepted;
        }
        Ok(())
    }
}
