//! Every sampler, with settings under which a run is a few steps and takes all of its ways.

use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{Build, PointTarget, Result, Sampler, Target};
use retrograde_samplers::*;
use std::sync::Arc;

/// A skew density in three dimensions: x₀ ~ N(0, 1), x₁ ~ N(x₀²/2, ½²), x₂ ~ N(x₀, 2²).
pub(crate) fn banana() -> Arc<dyn Target> {
    Arc::new(PointTarget::new(3, |x, g| {
        let (a, b) = (x[1] - 0.5 * x[0] * x[0], x[2] - x[0]);
        g[0] = -x[0] + 4.0 * a * x[0] + 0.25 * b;
        g[1] = -4.0 * a;
        g[2] = -0.25 * b;
        -0.5 * x[0] * x[0] - 2.0 * a * a - 0.125 * b * b
    }))
}

/// Builds a sampler of these settings on `target`.
pub(crate) fn build<S: Build<dyn Sampler>>(
    settings: S,
    target: Arc<dyn Target>,
) -> Result<Arc<dyn Sampler>> {
    settings.build(&Parts::new(&Folder::default()).with_target(target))
}

/// Every sampler, small, with the draws to ask it for: few chains, and more than one block of rows.
pub(crate) fn all() -> Vec<(&'static str, Arc<dyn Sampler>, usize)> {
    all_on(&banana())
}

pub(crate) fn all_on(target: &Arc<dyn Target>) -> Vec<(&'static str, Arc<dyn Sampler>, usize)> {
    let ula = |chains, thin| Ula {
        step_size: 0.02,
        warmup: 37,
        thin,
        chains,
        ..Ula::default()
    };
    let mala = |chains, thin| Mala {
        warmup: 37,
        thin,
        chains,
        ..Mala::default()
    };
    let hmc = |chains, thin| Hmc {
        warmup: 37,
        thin,
        chains,
        leapfrog: 5,
        ..Hmc::default()
    };
    let smc = |kernel, frozen, resample_threshold| Smc {
        kernel,
        frozen,
        resample_threshold,
        moves: 3,
        ..Smc::default()
    };
    let baoab = |chains, thin| Baoab {
        step_size: 0.2,
        warmup: 37,
        thin,
        chains,
        ..Baoab::default()
    };
    let dilation = |rule, start_sd: f64, mala_moves| Dilation {
        rule,
        mode_sd: 0.4,
        steps: 70,
        tail: 21,
        location: vec![0.0, 0.5, 0.0].into(),
        start_sd: start_sd.into(),
        mala_moves,
        ..Dilation::default()
    };
    let annealed = |mala_moves| AnnealedLangevin {
        step_size: 0.02,
        steps: 70,
        tail: 21,
        mala_moves,
        ..AnnealedLangevin::default()
    };
    let tempering = |kernel, pilot_moves, chains| ParallelTempering {
        kernel,
        pilot_moves,
        chains,
        temperatures: 4,
        rounds: 4,
        thin: 2,
        ..ParallelTempering::default()
    };
    let ais = |kernel, pilot_moves, schedule| Ais {
        kernel,
        pilot_moves,
        schedule,
        temperatures: 12,
        pilot_particles: 50,
        ..Ais::default()
    };
    let pdds = |whiten, moves| Pdds {
        pilot_chains: 32,
        whiten,
        moves,
        steps: 8,
        pilot_moves: 20,
        vi_steps: 30,
        pilot_particles: 50,
        ..Pdds::default()
    };
    let rdsmc = |auxiliary, pilot_moves, temperatures| Rdsmc {
        auxiliary,
        pilot_moves,
        temperatures,
        levels: 5,
        auxiliary_draws: 4,
        moves: 1,
        ..Rdsmc::default()
    };
    let slips = |schedule, last, pilot_moves| Slips {
        schedule,
        last,
        pilot_moves,
        levels: 4,
        start_moves: 2,
        chains: 2,
        moves: 3,
        ..Slips::default()
    };
    let rdmc = |estimator, pilot_moves| Rdmc {
        estimator,
        pilot_moves,
        levels: 4,
        start_moves: 2,
        chains: 2,
        moves: 3,
        ..Rdmc::default()
    };
    let make = |s: Result<Arc<dyn Sampler>>| s.unwrap();
    let (m, h) = (Kernel::Mala, Kernel::Hmc);
    vec![
        (
            "ais, adaptive",
            make(build(ais(h, 20, AisSchedule::Adaptive), target.clone())),
            700,
        ),
        (
            "ais, geometric, mala",
            make(build(ais(m, 0, AisSchedule::Geometric), target.clone())),
            700,
        ),
        (
            "pdds",
            make(build(pdds(PddsWhiten::None, 0), target.clone())),
            700,
        ),
        (
            "pdds, fitted, moved",
            make(build(pdds(PddsWhiten::Vi, 1), target.clone())),
            700,
        ),
        (
            "pdds, guided, moved",
            make(build(pdds(PddsWhiten::Pilot, 1), target.clone())),
            700,
        ),
        (
            "annealed langevin",
            make(build(annealed(0), target.clone())),
            700,
        ),
        (
            "annealed langevin, corrected",
            make(build(annealed(35), target.clone())),
            700,
        ),
        (
            "baoab, few chains",
            make(build(baoab(4, 3), target.clone())),
            100,
        ),
        (
            "baoab, independent",
            make(build(baoab(700, 1), target.clone())),
            700,
        ),
        (
            "dilation, tamed",
            make(build(dilation(Rule::Tamed, 0.0, 0), target.clone())),
            700,
        ),
        (
            "dilation, score-norm, corrected",
            make(build(dilation(Rule::ScoreNorm, 0.1, 35), target.clone())),
            700,
        ),
        (
            "dilation, lipschitz",
            make(build(dilation(Rule::Lipschitz, 0.01, 0), target.clone())),
            700,
        ),
        (
            "mala, few chains",
            make(build(mala(4, 3), target.clone())),
            100,
        ),
        (
            "mala, independent",
            make(build(mala(700, 1), target.clone())),
            700,
        ),
        (
            "hmc, few chains",
            make(build(hmc(4, 3), target.clone())),
            100,
        ),
        (
            "hmc, independent",
            make(build(hmc(700, 1), target.clone())),
            700,
        ),
        (
            "parallel tempering, few chains",
            make(build(tempering(h, 20, 4), target.clone())),
            100,
        ),
        (
            "parallel tempering, mala",
            make(build(tempering(m, 0, 350), target.clone())),
            700,
        ),
        (
            "rdmc, mixed",
            make(build(rdmc(ScoreForm::Mixed, 20), target.clone())),
            700,
        ),
        (
            "rdmc, posterior mean",
            make(build(rdmc(ScoreForm::PosteriorMean, 0), target.clone())),
            700,
        ),
        (
            "rdmc, gradient",
            make(build(rdmc(ScoreForm::Gradient, 0), target.clone())),
            700,
        ),
        (
            "rdsmc, annealed",
            make(build(rdsmc(Auxiliary::Base, 20, 4), target.clone())),
            700,
        ),
        (
            "rdsmc, as in the source",
            make(build(rdsmc(Auxiliary::Free, 0, 0), target.clone())),
            700,
        ),
        (
            "slips, geometric",
            make(build(
                slips(Localisation::Geometric, Final::PosteriorMean, 20),
                target.clone(),
            )),
            700,
        ),
        (
            "slips, standard",
            make(build(
                slips(Localisation::Standard, Final::Observation, 0),
                target.clone(),
            )),
            700,
        ),
        (
            "slips, tangent",
            make(build(
                slips(Localisation::Tangent, Final::Observation, 0),
                target.clone(),
            )),
            700,
        ),
        (
            "smc, mala",
            make(build(smc(m, false, 1.0), target.clone())),
            700,
        ),
        (
            "smc, hmc",
            make(build(smc(h, false, 0.5), target.clone())),
            700,
        ),
        (
            "smc, frozen",
            make(build(smc(m, true, 0.7), target.clone())),
            700,
        ),
        (
            "smc, dense, waste-free, frozen",
            make(build(
                Smc {
                    precondition: Precondition::Dense,
                    waste_free: 7,
                    ..smc(h, true, 1.0)
                },
                target.clone(),
            )),
            700,
        ),
        (
            "ula, few chains",
            make(build(ula(4, 3), target.clone())),
            100,
        ),
        (
            "ula, independent",
            make(build(ula(700, 1), target.clone())),
            700,
        ),
    ]
}
