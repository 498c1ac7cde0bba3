//! my-component: a sampler. Write here what it does, and where it comes from.
//!
//! x′ = x + s z,  z ~ N(0, I),  accepted with probability min(1, π(x′)/π(x))
//!
//! As it stands it is random-walk Metropolis (Metropolis et al. 1953): replace settings, state and
//! `step` by your own, and keep the tests.

use retrograde::core::registry::Parts;
use retrograde::core::{
    Algorithm, Build, Cx, Draws, Error, Flow, Result, Sampler, Signature, Sink, Target, Traits,
    register,
};
use retrograde::ndarray::{Array1, Array2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "sampler my-component";

/// Settings, as written under `[sampler]` with `kind = "my-component"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MyComponent {
    /// Standard deviation s of a move, > 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub scale: f64,
    /// Moves, ≥ 1; every chain leaves its last point.
    #[schemars(range(min = 1))]
    pub moves: u64,
}

impl Default for MyComponent {
    fn default() -> Self {
        Self {
            scale: 1.0,
            moves: 1000,
        }
    }
}

impl Build<dyn Sampler> for MyComponent {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Chains::new(self, parts.require_target(NAME)?)?))
    }
}

struct Chains {
    settings: MyComponent,
    target: Arc<dyn Target>,
    /// For a test: whatever is proposed is accepted.
    broken: bool,
}

impl Chains {
    fn new(settings: MyComponent, target: Arc<dyn Target>) -> Result<Self> {
        let s = &settings;
        if !(s.scale > 0.0 && s.scale.is_finite()) {
            return Err(Error::setting(NAME, "scale", s.scale, "a number above 0"));
        }
        if s.moves == 0 {
            return Err(Error::setting(NAME, "moves", s.moves, "at least 1"));
        }
        Ok(Self {
            settings,
            target,
            broken: false,
        })
    }
}

/// What the next step needs, and nothing else: it is what a checkpoint holds.
#[derive(Serialize, Deserialize)]
struct State {
    x: Array2<f64>,
    log_density: Array1<f64>,
    done: u64,
}

impl Algorithm for Chains {
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

    fn check_state(&self, n: usize, s: &State) -> std::result::Result<(), String> {
        let (found, expected) = (
            (s.x.dim(), s.log_density.len()),
            ((n, self.target.dim()), n),
        );
        if found != expected || s.done > self.settings.moves {
            return Err(format!(
                "sizes {found:?}, not {expected:?}, after {} moves",
                s.done
            ));
        }
        Ok(())
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        let (mut x, mut l) = (Array2::zeros((n, self.target.dim())), Array1::zeros(n));
        cx.at("start", 0).fill_normal(x.view_mut());
        cx.eval_target(&*self.target, x.view(), Some(l.view_mut()), None)?;
        Ok(State {
            x,
            log_density: l,
            done: 0,
        })
    }

    fn step(&self, cx: &mut Cx<'_>, s: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        let (n, d) = s.x.dim();
        // Every use of randomness has a key of its own, under the key of the step.
        let (mut moved, mut value) = (Array2::zeros((n, d)), Array1::zeros(n));
        let mut u = Array1::zeros(n);
        cx.at("noise", 0).fill_normal(moved.view_mut());
        cx.at("accept", 0).fill_uniform_1(u.view_mut());
        moved.zip_mut_with(&s.x, |z, x| *z = x + self.settings.scale * *z);
        cx.eval_target(&*self.target, moved.view(), Some(value.view_mut()), None)?;
        for i in 0..n {
            if self.broken || f64::ln(u[i]) < value[i] - s.log_density[i] {
                s.x.row_mut(i).assign(&moved.row(i));
                s.log_density[i] = value[i];
            }
        }
        s.done += 1;
        sink.progress(s.done as f64 / self.settings.moves as f64);
        if s.done < self.settings.moves {
            return Ok(Flow::More);
        }
        let stats = [("lp", s.log_density.view())];
        sink.emit(&Draws {
            x: s.x.view(),
            log_weights: None,
            stats: &stats,
        })?;
        Ok(Flow::Done)
    }
}

register! {
    sampler "my-component" => MyComponent, needs DENSITY,
        summary "One sentence for `list`",
        source "Author (year), title";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde::core::drive::{Checkpoint, drive};
    use retrograde::core::{Cancel, Collected, Counts, Runtime, drive};
    use retrograde::targets::StandardNormal;

    fn chains(d: usize) -> Chains {
        let settings = MyComponent {
            moves: 60,
            ..MyComponent::default()
        };
        Chains::new(settings, Arc::new(StandardNormal { dim: d })).unwrap()
    }

    fn draws(sampler: &Chains, threads: usize) -> Array2<f64> {
        let mut runtime = Runtime::new(1, threads).unwrap();
        let mut out = Collected::new(sampler.target.dim());
        drive(sampler, &mut runtime, 2000, None, &mut out).unwrap();
        out.rows().to_owned()
    }

    /// Mean 0 and variance 1, of independent chains: errors 1/√n and √(2/n).
    fn law_z(x: &Array2<f64>) -> f64 {
        let n = x.len() as f64;
        let (mean, square) = (x.sum() / n, x.iter().map(|v| v * v).sum::<f64>() / n);
        (mean * n.sqrt())
            .abs()
            .max((square - 1.0).abs() / (2.0 / n).sqrt())
    }

    #[test]
    fn the_law_of_the_draws_is_the_target_and_a_mistake_is_noticed() {
        let right = chains(2);
        let z = law_z(&draws(&right, 1));
        assert!(z < 4.5, "{z} standard errors off");
        let z = law_z(&draws(
            &Chains {
                broken: true,
                ..right
            },
            1,
        ));
        assert!(
            z > 4.5,
            "a sampler that accepts everything is only {z} standard errors off"
        );
    }

    #[test]
    fn threads_do_not_change_bits() {
        let sampler = chains(2);
        assert_eq!(draws(&sampler, 1), draws(&sampler, 3));
    }

    /// Stops after ten steps.
    struct Stop(Collected, Cancel, Option<Checkpoint>);

    impl Sink for Stop {
        fn set_chains(&mut self, chains: usize) -> Result {
            self.0.set_chains(chains)
        }
        fn emit(&mut self, draws: &Draws<'_>) -> Result {
            self.0.emit(draws)
        }
        fn scalar(&mut self, _: &str, _: f64) {}
        fn record(&mut self, _: &str, _: &[(&str, f64)]) {}
        fn flag(&mut self, _: retrograde::core::Flag) {}
        fn progress(&mut self, _: f64) {}
    }

    impl drive::Observer for Stop {
        fn after_step(
            &mut self,
            step: u64,
            _: &Counts,
            _: &mut dyn FnMut() -> Result<Checkpoint>,
        ) -> Result {
            if step == 10 {
                self.1.request();
            }
            Ok(())
        }
        fn cancelled(&mut self, checkpoint: Checkpoint) -> Result {
            self.2 = Some(checkpoint);
            Ok(())
        }
    }

    #[test]
    fn a_resumed_run_has_the_bits_of_an_uninterrupted_one() {
        let sampler = chains(2);
        let mut runtime = Runtime::new(1, 1).unwrap();
        let mut stop = Stop(Collected::new(2), runtime.cancel(), None);
        drive(&sampler, &mut runtime, 2000, None, &mut stop).unwrap();
        let (mut rest, mut runtime) = (Collected::new(2), Runtime::new(1, 1).unwrap());
        drive(&sampler, &mut runtime, 2000, stop.2.as_ref(), &mut rest).unwrap();
        assert_eq!(rest.rows(), draws(&sampler, 1));
    }

    #[test]
    fn it_is_found_by_name_and_wrong_settings_are_refused() {
        let registry = retrograde::registry().unwrap();
        assert!(registry.iter().any(|c| c.label() == "sampler my-component"));
        let refusal = |settings: MyComponent| {
            let built = Chains::new(settings, Arc::new(StandardNormal { dim: 1 }));
            built.map(|_| ()).unwrap_err().to_string()
        };
        let error = refusal(MyComponent {
            scale: -1.0,
            ..MyComponent::default()
        });
        assert!(error.contains("`scale` is -1"), "{error}");
        let error = refusal(MyComponent {
            moves: 0,
            ..MyComponent::default()
        });
        assert!(error.contains("`moves` is 0"), "{error}");
    }
}
