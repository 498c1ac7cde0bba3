//! What a run found, in numbers and in plain words: `report.json`.

use crate::evidence::EvidenceRun;
use crate::plan::Plan;
use crate::replicates::Replicated;
use crate::settings::ExpectSettings;
use crate::verdicts::{Status, Verdict, verdicts};
use ndarray::{ArrayView1, ArrayView3};
use retrograde_core::{Counts, Exact, Flag, Kind, SimdLevel, Target, Truth};
use retrograde_metrics::{WeightDiagnostics, pareto_smooth, summarise, summarise_weighted};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the layout of `report.json`; grows when a key changes its meaning or goes.
pub(crate) const REPORT_VERSION: u32 = 1;

/// The report of a run. It holds nothing that differs between two runs of the same job, so that it
/// is the same byte for byte; times are in `timing.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Version of the layout; 1.
    pub schema_version: u32,
    /// Name and version of the program.
    pub program: String,
    /// Whether the run came to its end.
    pub complete: bool,
    /// Kind → name of the components.
    pub components: BTreeMap<String, String>,
    /// Seed.
    pub seed: u64,
    /// Vector instructions that the kernels used.
    #[serde(default)]
    pub simd: String,
    /// Draws asked for.
    pub draws: usize,
    /// Dimension of the target.
    pub dim: usize,
    /// Chains; particles and independent draws are one.
    pub chains: usize,
    /// Draws kept of each chain.
    pub draws_per_chain: usize,
    /// Steps of the sampler.
    pub steps: u64,
    /// Evaluations of the sampler.
    pub evaluations: Counts,
    /// Points evaluated after its end, to see whether the density can be normalised.
    #[serde(default)]
    pub tail_evaluations: u64,
    /// log Z, where the sampler estimates it.
    pub log_z: Option<LogZ>,
    /// log Z by several runs, where the job asks for `replicates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicates: Option<Replicated>,
    /// Numbers that sum up the run.
    #[serde(with = "finite_map")]
    pub scalars: BTreeMap<String, f64>,
    /// Coordinates and outputs.
    pub coordinates: Vec<Coordinate>,
    /// Diagnostics of importance weights, where there are any.
    pub weights: Option<Weights>,
    /// Tables that the sampler kept, such as its temperature ladder.
    pub tables: BTreeMap<String, Table>,
    /// The verdicts, worst first.
    pub verdicts: Vec<Verdict>,
}

/// A table that a sampler kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows; a number that is not finite is null.
    pub rows: Vec<Vec<Option<f64>>>,
}

/// An estimate of log Z.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct LogZ {
    /// The estimate.
    pub value: f64,
    /// Its standard error; absent where the sampler gives none.
    pub se: Option<f64>,
    /// The known value, if the target or the job has one.
    pub truth: Option<f64>,
    /// Standard error of the known value.
    pub truth_se: f64,
}

/// A coordinate or output; numbers that could not be computed are null.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Coordinate {
    pub name: String,
    #[serde(with = "finite")]
    pub mean: f64,
    #[serde(with = "finite")]
    pub sd: f64,
    #[serde(with = "finite")]
    pub q05: f64,
    #[serde(with = "finite")]
    pub q50: f64,
    #[serde(with = "finite")]
    pub q95: f64,
    #[serde(with = "finite")]
    pub mcse_mean: f64,
    #[serde(with = "finite")]
    pub ess_bulk: f64,
    #[serde(with = "finite")]
    pub ess_tail: f64,
    #[serde(with = "finite")]
    pub rhat: f64,
    /// The known mean.
    pub truth: Option<f64>,
}

/// Diagnostics of importance weights.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Weights {
    /// (Σw)²/Σw².
    #[serde(with = "finite")]
    pub ess: f64,
    /// exp of the entropy of the weights.
    #[serde(with = "finite")]
    pub perplexity: f64,
    /// Share of the largest weight.
    #[serde(with = "finite")]
    pub largest: f64,
    /// Shape k of the generalised Pareto law fitted to the largest weights (Vehtari et al. 2024,
    /// arXiv:1507.02646); null where there are too few.
    #[serde(with = "finite", default = "unknown")]
    pub pareto_k: f64,
}

fn unknown() -> f64 {
    f64::NAN
}

/// What was run.
#[derive(Debug, Clone, Default)]
pub struct Job {
    /// Components, with their names.
    pub components: Vec<(Kind, String)>,
    /// Seed.
    pub seed: u64,
    /// Draws asked for.
    pub draws: usize,
    /// Dimension of the target.
    pub dim: usize,
    /// What is known of the target.
    pub truth: Truth,
    /// What whoever runs it knows.
    pub expect: ExpectSettings,
}

impl Job {
    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            components: plan.components.clone(),
            seed: plan.run.seed,
            draws: plan.run.draws,
            dim: plan.target.dim(),
            truth: Self::truth(plan.target.as_ref(), plan.bounded.is_some()),
            expect: plan.expect.clone(),
        }
    }

    /// What a target tells of itself; nothing within limits, for its truth is that of its natural scale without them.
    #[must_use]
    pub fn truth(target: &dyn Target, limited: bool) -> Truth {
        let exact = target.exact().filter(|_| !limited);
        exact.map(Exact::truth).unwrap_or_default()
    }
}

/// What a report is made of.
#[derive(Debug)]
pub struct Material<'a> {
    /// What was run.
    pub job: &'a Job,
    /// Vector instructions.
    pub simd: SimdLevel,
    /// Whether the run came to its end.
    pub complete: bool,
    /// The error that ended the run.
    pub failure: Option<&'a str>,
    /// Steps of the sampler.
    pub steps: u64,
    /// Evaluations of the sampler.
    pub counts: &'a Counts,
    /// Points evaluated after its end.
    pub tail_evaluations: u64,
    /// Numbers that sum up the run.
    pub scalars: &'a BTreeMap<String, f64>,
    /// Name → columns and rows.
    pub tables: &'a BTreeMap<String, (Vec<String>, Vec<Vec<f64>>)>,
    /// What the sampler, and whoever looked at its draws, wants to be known.
    pub flags: Vec<&'a Flag>,
    /// Names of the coordinates, then of the outputs.
    pub names: &'a [String],
    /// Their values; (chain, draw, column).
    pub values: ArrayView3<'a, f64>,
    /// Log weights of the rows, where there are any.
    pub log_weights: Option<ArrayView1<'a, f64>>,
    /// How many modes were found, where that is known.
    pub modes: Option<Verdict>,
    /// Runs of the job with other seeds.
    pub replicates: &'a [EvidenceRun],
}

impl Report {
    /// Sums a run up and judges it.
    #[must_use]
    pub fn new(m: &Material<'_>) -> Self {
        let (chains, per_chain, _) = m.values.dim();
        let truth = &m.job.truth;
        let log_z = log_z(m, truth);
        let coordinates = coordinates(m, truth);
        let weights = m.log_weights.filter(|w| !w.is_empty()).map(|w| {
            let d = WeightDiagnostics::new(w);
            Weights {
                ess: d.ess,
                perplexity: d.perplexity,
                largest: d.inverse_max_weight.recip(),
                pareto_k: pareto_smooth(w).k,
            }
        });
        let mut report = Self {
            schema_version: REPORT_VERSION,
            program: concat!("retrograde ", env!("CARGO_PKG_VERSION")).into(),
            complete: m.complete,
            components: m
                .job
                .components
                .iter()
                .map(|(kind, name)| (kind.word().to_owned(), name.clone()))
                .collect(),
            seed: m.job.seed,
            simd: m.simd.name().into(),
            draws: m.job.draws,
            dim: m.job.dim,
            chains,
            draws_per_chain: per_chain,
            steps: m.steps,
            evaluations: m.counts.clone(),
            tail_evaluations: m.tail_evaluations,
            log_z,
            replicates: (!m.replicates.is_empty())
                .then(|| Replicated::new(&all_runs(m, log_z), log_z)),
            scalars: m.scalars.clone(),
            coordinates,
            weights,
            tables: m
                .tables
                .iter()
                .map(|(name, (columns, rows))| {
                    let finite =
                        |row: &Vec<f64>| row.iter().map(|v| v.is_finite().then_some(*v)).collect();
                    let rows = rows.iter().map(finite).collect();
                    (
                        name.clone(),
                        Table {
                            columns: columns.clone(),
                            rows,
                        },
                    )
                })
                .collect(),
            verdicts: Vec::new(),
        };
        report.verdicts = verdicts(&report, m);
        report
    }

    /// The worst status among the verdicts.
    #[must_use]
    pub fn worst(&self) -> Status {
        self.verdicts
            .iter()
            .map(|v| v.status)
            .min()
            .unwrap_or(Status::Pass)
    }

    /// The verdict of that check, if there is one.
    #[must_use]
    pub fn verdict(&self, check: &str) -> Option<&Verdict> {
        self.verdicts.iter().find(|v| v.check == check)
    }

    /// The name of the component of that kind.
    #[must_use]
    pub fn component(&self, kind: Kind) -> &str {
        self.components.get(kind.word()).map_or("", String::as_str)
    }
}

/// The run itself, then its replicates.
pub(crate) fn all_runs(m: &Material<'_>, log_z: Option<LogZ>) -> Vec<EvidenceRun> {
    let own = EvidenceRun {
        seed: m.job.seed,
        log_z: log_z.map(|z| z.value),
        standard_error: log_z.and_then(|z| z.se),
        evaluations: m.counts.rows,
        seconds: 0.0,
        // They have verdicts of their own.
        warnings: BTreeMap::new(),
        failure: None,
        places: Vec::new(),
    };
    std::iter::once(own)
        .chain(m.replicates.iter().cloned())
        .collect()
}

/// Before the end a sampler's number is the constant of some law on the way, not of the target.
fn log_z(m: &Material<'_>, truth: &Truth) -> Option<LogZ> {
    if !m.complete {
        return None;
    }
    let value = *m.scalars.get("log_z").filter(|v| v.is_finite())?;
    let se = m.scalars.get("log_z_se").copied().filter(|v| v.is_finite());
    let expect = &m.job.expect;
    let (truth, truth_se) = match expect.log_z {
        Some(v) => (Some(v), expect.log_z_se),
        None => (truth.log_z, truth.log_z_se),
    };
    Some(LogZ {
        value,
        se,
        truth,
        truth_se,
    })
}

fn coordinates(m: &Material<'_>, truth: &Truth) -> Vec<Coordinate> {
    let known = |j: usize| truth.mean.as_ref().and_then(|mean| mean.get(j).copied());
    let nan = f64::NAN;
    if let Some(w) = m.log_weights {
        // Weighted draws are one set of particles: chains and autocorrelation mean nothing for them.
        let rows = m.values.index_axis(ndarray::Axis(0), 0);
        let all = summarise_weighted(rows, w);
        return m
            .names
            .iter()
            .zip(all)
            .enumerate()
            .map(|(j, (name, s))| Coordinate {
                name: name.clone(),
                mean: s.mean,
                sd: s.sd,
                q05: s.q05,
                q50: s.q50,
                q95: s.q95,
                mcse_mean: s.mcse_mean,
                ess_bulk: nan,
                ess_tail: nan,
                rhat: nan,
                truth: known(j),
            })
            .collect();
    }
    let all = summarise(m.values);
    m.names
        .iter()
        .zip(all)
        .enumerate()
        .map(|(j, (name, s))| Coordinate {
            name: name.clone(),
            mean: s.mean,
            sd: s.sd,
            q05: s.q05,
            q50: s.q50,
            q95: s.q95,
            mcse_mean: s.mcse_mean,
            ess_bulk: s.ess_bulk,
            ess_tail: s.ess_tail,
            rhat: s.rhat,
            truth: known(j),
        })
        .collect()
}

/// JSON has neither NaN nor infinities: they are null.
mod finite {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(v: &f64, s: S) -> Result<S::Ok, S::Error> {
        v.is_finite().then_some(*v).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(d)?.unwrap_or(f64::NAN))
    }
}

mod finite_map {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<S: Serializer>(
        m: &BTreeMap<String, f64>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        s.collect_map(m.iter().map(|(k, v)| (k, v.is_finite().then_some(*v))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<BTreeMap<String, f64>, D::Error> {
        let map = BTreeMap::<String, Option<f64>>::deserialize(d)?;
        Ok(map
            .into_iter()
            .map(|(k, v)| (k, v.unwrap_or(f64::NAN)))
            .collect())
    }
}
