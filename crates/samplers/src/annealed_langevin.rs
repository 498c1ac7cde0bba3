//! Langevin particles guided along the geometric path from a normal law to the target.
//!
//! Source: the path is that of annealed importance sampling, Neal (2001), Stat. Comput. 11, 125; Langevin
//! moves along a sequence of laws, Song & Ermon (2019), arXiv:1907.05600.
//!
//! μ_β ∝ N(m, s²)^{1−β} π^β,   ∇ log μ_β(x) = (1 − β)(m − x)/s² + β ∇ℓ(x)
//!
//! x′ = x + h ∇ log μ_β(x) + √(2h) z,   z ~ N(0, I),   β_k = (k/(K−1))^p,  k = 0 … K−1
//!
//! followed by moves at β = 1. Mode weights drift along this path, and freeze once particles no longer
//! cross between modes. Modes far outside the normal law are not found.
//!
//! Cost of K steps and T of tail: n (K + T) gradients, and n densities at the start, n gradients and
//! densities at the end; twice n a corrected move.

use crate::chains::{Gaussian, check_positive, evaluate_starts, zeros};
use crate::guided::{Guide, Particles, check_moves, moments, note_uncalibrated};
use crate::walkers::Path;
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{
    Algorithm, Build, Cx, Flag, Flow, Result, Sampler, Severity, Signature, Sink, Target, Traits,
    register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Keys that place the base.
const BASE: [&str; 2] = ["base_mean", "base_sd"];
const NAME: &str = "sampler annealed-langevin";
/// Draws that much wider than the base are a sign of a base that is too narrow.
const WIDER: f64 = 1.5;

/// Settings, as written under `[sampler]` with `kind = "annealed-langevin"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnnealedLangevin {
    /// Mean m of the normal law that particles start from; a number, or one a coordinate. Default 0.
    pub base_mean: PerCoordinate,
    /// Standard deviation s of that law, > 0; a number, or one a coordinate. It should cover the
    /// target: modes far outside are lost. Default 1.
    pub base_sd: PerCoordinate,
    /// Step size h, > 0, in units of x². Stable only below 2/L, where L bounds the curvature (1/v for a
    /// mode of variance v). Default 0.1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step_size: f64,
    /// Moves along the path, ≥ 1. Default 2000.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Power p of the schedule, > 0: above 1 the path is slower near the base. Default 1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub power: f64,
    /// Moves at β = 1 after the path, ≥ 0. Default 200.
    pub tail: u64,
    /// Metropolis-adjusted Langevin moves of the target after the path, ≥ 0. Default 0.
    pub mala_moves: u64,
}

impl Default for AnnealedLangevin {
    fn default() -> Self {
        Self {
            base_mean: PerCoordinate::All(0.0),
            base_sd: PerCoordinate::All(1.0),
            step_size: 0.1,
            steps: 2000,
            power: 1.0,
            tail: 200,
            mala_moves: 0,
        }
    }
}

impl Build<dyn Sampler> for AnnealedLangevin {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Annealed::new(self, parts.require_target(NAME)?)?))
    }
}

/// What a test breaks, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
enum Fault {
    None,
    /// Moves keep π^β, without the base.
    BaseMissing,
    /// β and 1 − β change places.
    Reversed,
    /// Noise of variance h.
    NoiseHalved,
}

struct Annealed {
    settings: AnnealedLangevin,
    target: Arc<dyn Target>,
    base: Gaussian,
    fault: Fault,
}

impl Annealed {
    fn new(settings: AnnealedLangevin, target: Arc<dyn Target>) -> Result<Self> {
        let s = &settings;
        check_positive(NAME, "power", s.power)?;
        let moves = [s.steps, s.tail, s.mala_moves];
        check_moves(NAME, &*target, s.step_size, moves)?;
        let base = Gaussian::new(NAME, target.dim(), BASE, &s.base_mean, &s.base_sd, true)?;
        Ok(Self {
            settings,
            target,
            base,
            fault: Fault::None,
        })
    }

    /// β of move `k`.
    fn beta(&self, k: u64) -> f64 {
        let last = self.settings.steps - 1;
        if k >= last {
            return 1.0;
        }
        (k as f64 / last as f64).powf(self.settings.power)
    }
}

impl Guide for Annealed {
    fn component(&self) -> &'static str {
        NAME
    }

    fn target(&self) -> &dyn Target {
        &*self.target
    }

    fn moves(&self) -> u64 {
        self.settings.steps + self.settings.tail
    }

    fn place(&self, _k: u64, x: &[f64], y: &mut [f64]) {
        y.copy_from_slice(x);
    }

    fn shift(&self, k: u64, x: &[f64], gradient: &[f64], z: &mut [f64]) {
        let d = self.base.mean.len();
        let h = self.settings.step_size;
        let beta = self.beta(k);
        let variance = if self.fault == Fault::NoiseHalved {
            1.0
        } else {
            2.0
        };
        let noise = (variance * h).sqrt();
        let path = Path {
            beta: if self.fault == Fault::Reversed {
                1.0 - beta
            } else {
                beta
            },
            base: Some(&self.base),
        };
        let rows = x.chunks_exact(d).zip(gradient.chunks_exact(d));
        for ((x, g), z) in rows.zip(z.chunks_exact_mut(d)) {
            for j in 0..d {
                let slope = if self.fault == Fault::BaseMissing {
                    beta * g[j]
                } else {
                    path.slope(j, x[j], g[j])
                };
                z[j] = x[j] + h * slope + noise * z[j];
            }
        }
    }

    fn arrive(&self, _x: &mut [f64]) {}

    fn step_size(&self) -> f64 {
        self.settings.step_size
    }

    fn drift_cap(&self) -> f64 {
        f64::INFINITY
    }

    fn mala_moves(&self) -> u64 {
        self.settings.mala_moves
    }
}

impl Algorithm for Annealed {
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
        self.base.draw(&mut cx.at("start", 0), x.view_mut());
        if self.target.has_density() {
            let mut l = cx.take(n);
            let out = (&mut l[..]).into();
            evaluate_starts(cx, NAME, BASE, &*self.target, x.view(), out, None)?;
            cx.give(l);
        }
        Ok(Particles::new(self, x))
    }

    fn step(&self, cx: &mut Cx<'_>, state: &mut Particles, sink: &mut dyn Sink) -> Result<Flow> {
        if state.done == 0 {
            sink.set_chains(1)?;
            note_uncalibrated(
                sink,
                "Annealed Langevin",
                "they drift along the path and stay as they are where particles no longer cross \
                 between modes",
                self.settings.mala_moves,
            );
        }
        let before = state.done;
        let flow = state.step(self, cx, sink)?;
        sink.scalar("beta", self.beta(state.done.saturating_sub(1)));
        if before < self.moves() && state.done >= self.moves() {
            self.doubts(cx, state, sink);
        }
        Ok(flow)
    }
}

impl Annealed {
    /// What the draws at the end of the path say against themselves.
    fn doubts(&self, cx: &mut Cx<'_>, state: &Particles, sink: &mut dyn Sink) {
        let d = self.base.mean.len();
        let (mut mean, mut sd) = (cx.take(d), cx.take(d));
        moments(state.live(), &mut mean, &mut sd);
        // Distance from the mean of the base, not spread: all draws may be in one far mode.
        let out = mean.iter().zip(&self.base.mean).zip(&sd).zip(&self.base.sd);
        let out = out.map(|(((m, at), s), b)| (m - at).hypot(*s) / b);
        let out = out.fold(0.0, f64::max);
        if out > WIDER {
            sink.flag(Flag::new(
                Severity::Warning,
                "narrow_base",
                format!(
                    "In some coordinate the draws lie {out:.1} standard deviations of the base from \
                     its mean: modes farther out may be lost"
                ),
                "raise `base_sd` to the width of the target, and set `base_mean` to its middle",
            ));
        }
        cx.give(sd);
        cx.give(mean);
    }
}

register! {
    sampler "annealed-langevin" => AnnealedLangevin, needs GRADIENT,
        summary "Langevin particles guided along the geometric path from a normal law to the target",
        source "Neal (2001); Song & Ermon (2019), arXiv:1907.05600";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_core::{Collected, PointTarget, Runtime, drive::drive};
    use retrograde_testkit::mean_se;

    /// N(4, ½²).
    fn target() -> Arc<dyn Target> {
        Arc::new(PointTarget::new(1, |x, g| {
            g[0] = -4.0 * (x[0] - 4.0);
            -2.0 * (x[0] - 4.0).powi(2)
        }))
    }

    fn settings() -> AnnealedLangevin {
        AnnealedLangevin {
            base_mean: PerCoordinate::All(-1.0),
            base_sd: PerCoordinate::All(2.0),
            step_size: 0.1,
            steps: 20,
            power: 2.0,
            tail: 2,
            mala_moves: 0,
        }
    }

    fn run(sampler: &dyn Sampler, n: usize) -> Result<Collected> {
        let mut out = Collected::new(1);
        drive(sampler, &mut Runtime::new(3, 1)?, n, None, &mut out)?;
        Ok(out)
    }

    /// Mean and variance of a path so short that particles lag behind it, against the recursion
    /// x′ = (1 − h κ) x + h b + √(2h) z of two normal laws, κ = (1−β)/4 + 4β, b = −(1−β)/4 + 16β.
    fn check_law(fault: Fault) -> std::result::Result<(), String> {
        let mut sampler = Annealed::new(settings(), target()).unwrap();
        sampler.fault = fault;
        let out = run(&sampler, 40_000).map_err(|e| e.to_string())?;
        let (mut mean, mut variance) = (-1.0, 4.0);
        for k in 0..22 {
            let beta = (f64::from(k) / 19.0).powi(2).min(1.0);
            let kappa = 0.25 * (1.0 - beta) + 4.0 * beta;
            mean += 0.1 * (16.0 * beta - 0.25 * (1.0 - beta) - kappa * mean);
            variance = (1.0 - 0.1 * kappa).powi(2) * variance + 0.2;
        }
        assert!(mean < 3.95, "the lag is visible: {mean}");
        let x = out.rows();
        for (what, (got, se), want) in [
            ("mean", mean_se(x.iter().copied()), mean),
            (
                "variance",
                mean_se(x.iter().map(|v| (v - mean).powi(2))),
                variance,
            ),
        ] {
            if (got - want).abs() >= 4.5 * se {
                return Err(format!("{what} {got} ± {se}, expected {want}"));
            }
        }
        Ok(())
    }

    #[test]
    fn the_law_along_the_path_is_the_known_one_and_wrong_paths_are_noticed() {
        check_law(Fault::None).unwrap();
        for fault in [Fault::BaseMissing, Fault::Reversed, Fault::NoiseHalved] {
            assert!(check_law(fault).is_err(), "{fault:?}");
        }
    }

    #[test]
    fn runs_say_what_they_are_not_and_when_the_base_is_too_narrow() {
        let wide = run(&Annealed::new(settings(), target()).unwrap(), 500).unwrap();
        assert!(wide.flags["mode_weights"].text.contains("not calibrated"));
        assert!(wide.flags.contains_key("no_log_z") && wide.flags.contains_key("uncorrected"));
        assert!(!wide.scalars.contains_key("log_z"));
        // The draws are 2.5 standard deviations of the base from its mean.
        assert!(
            wide.flags["narrow_base"]
                .text
                .contains("2.5 standard deviations")
        );
        let s = AnnealedLangevin {
            base_mean: PerCoordinate::All(3.0),
            step_size: 0.05,
            ..settings()
        };
        let near = run(&Annealed::new(s, target()).unwrap(), 500).unwrap();
        assert_eq!(near.flags.len(), 3, "{:?}", near.flags.keys());
        let s = AnnealedLangevin {
            step_size: 0.45,
            base_mean: PerCoordinate::All(3.0),
            tail: 50,
            ..settings()
        };
        let rough = run(&Annealed::new(s, target()).unwrap(), 500).unwrap();
        assert!(rough.flags["step_size"].text.contains("0.45"));
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        for (key, s) in [
            (
                "power",
                AnnealedLangevin {
                    power: 0.0,
                    ..settings()
                },
            ),
            (
                "steps",
                AnnealedLangevin {
                    steps: 0,
                    ..settings()
                },
            ),
            (
                "base_sd",
                AnnealedLangevin {
                    base_sd: 0.0.into(),
                    ..settings()
                },
            ),
            (
                "step_size",
                AnnealedLangevin {
                    step_size: f64::INFINITY,
                    ..settings()
                },
            ),
        ] {
            let error = Annealed::new(s, target())
                .map(|_| ())
                .unwrap_err()
                .to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
    }

    #[test]
    fn a_path_of_one_move_is_langevin_on_the_target() {
        let s = AnnealedLangevin {
            steps: 1,
            ..settings()
        };
        let sampler = Annealed::new(s, target()).unwrap();
        assert_eq!(sampler.beta(0), 1.0);
        assert_eq!(run(&sampler, 100).unwrap().len(), 100);
    }
}
