//! Sampling algorithms, one file each: settings, equations, implementation, tests.

mod adapt;
mod chains;
mod genealogy;
mod guided;
mod pilot;
mod posterior;
mod reverse;
mod step_back;
mod walkers;

retrograde_core::modules! {
    ais,
    ancestral,
    annealed_langevin,
    baoab,
    ddim,
    dilation,
    dpm_solver,
    edm,
    exponential_integrator,
    hmc,
    mala,
    pdds,
    predictor_corrector,
    probability_flow,
    pt,
    rd_f,
    rd_q,
    rd_s,
    rdmc,
    rdsmc,
    reverse_sde,
    slips,
    smc,
    ula,
}

pub use ais::{Ais, AisSchedule};
pub use ancestral::{Ancestral, StepNoise};
pub use annealed_langevin::AnnealedLangevin;
pub use baoab::Baoab;
pub use ddim::Ddim;
pub use dilation::{Dilation, Rule, Schedule};
pub use dpm_solver::DpmSolver;
pub use edm::Edm;
pub use exponential_integrator::ExponentialIntegrator;
pub use hmc::Hmc;
pub use mala::Mala;
pub use pdds::{
    Drift as PddsDrift, Pdds, PddsSchedule, Potential as PddsPotential, Whiten as PddsWhiten,
};
pub use predictor_corrector::PredictorCorrector;
pub use probability_flow::{LastStep, Method, ProbabilityFlow};
pub use pt::ParallelTempering;
pub use rd_f::RdF;
pub use rd_q::RdQ;
pub use rd_s::{Map, RdS};
pub use rdmc::{Rdmc, ScoreForm};
pub use rdsmc::{Auxiliary, Rdsmc};
pub use reverse::{Start, Weights};
pub use reverse_sde::{ReverseSde, Scheme};
pub use slips::{Final, Localisation, Slips};
pub use smc::{Kernel, Precondition, Smc};
pub use step_back::{Rule as StepBackRule, StepBack};
pub use ula::Ula;
