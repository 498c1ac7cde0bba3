//! What a run found, in numbers and in plain words: `report.json`.

use crate::checkpoint::Gathered;
use crate::plan::Plan;
use ndarray::{ArrayView1, ArrayView3};
use retrograde_core::{Counts, Exact, Flag, Kind, Severity, Truth};
use retrograde_metrics::{WeightDiagnostics, summarise, summarise_weighted};
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
    /// Evaluations.
    pub evaluations: Counts,
    /// log Z, where the sampler estimates it.
    pub log_z: Option<LogZ>,
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
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Do not trust the result as it is.
    Fail,
    /// Look before use.
    Warn,
    /// Worth knowing.
    Note,
    /// As it should be.
    Pass,
}

/// A check in plain words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Short name.
    pub check: String,
    /// How it came out.
    pub status: Status,
    /// What was found.
    pub text: String,
    /// What to try next; may be empty.
    pub advice: String,
}

impl Verdict {
    fn new(
        check: &str,
        status: Status,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            check: check.into(),
            status,
            text: text.into(),
            advice: advice.into(),
        }
    }
}

/// What the report is made of.
pub(crate) struct Material<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) complete: bool,
    /// The error that ended the run.
    pub(crate) failure: Option<&'a str>,
    pub(crate) steps: u64,
    pub(crate) counts: &'a Counts,
    pub(crate) gathered: &'a Gathered,
    /// Names and values (chain, draw, column) of coordinates, then outputs.
    pub(crate) names: &'a [String],
    pub(crate) values: ArrayView3<'a, f64>,
    pub(crate) log_weights: Option<ArrayView1<'a, f64>>,
}

impl Report {
    pub(crate) fn new(m: &Material<'_>) -> Self {
        let (chains, per_chain, _) = m.values.dim();
        // The truth of a target is of its natural scale without limits.
        let truth = if m.plan.bounded.is_some() {
            Truth::default()
        } else {
            m.plan.target.exact().map(Exact::truth).unwrap_or_default()
        };
        let log_z = log_z(m, &truth);
        let coordinates = coordinates(m, &truth);
        let weights = m.log_weights.filter(|w| !w.is_empty()).map(|w| {
            let d = WeightDiagnostics::new(w);
            Weights {
                ess: d.ess,
                perplexity: d.perplexity,
                largest: d.inverse_max_weight.recip(),
            }
        });
        let mut report = Self {
            schema_version: REPORT_VERSION,
            program: concat!("retrograde ", env!("CARGO_PKG_VERSION")).into(),
            complete: m.complete,
            components: m
                .plan
                .components
                .iter()
                .map(|(kind, name)| (kind.word().to_owned(), name.clone()))
                .collect(),
            seed: m.plan.run.seed,
            draws: m.plan.run.draws,
            dim: m.plan.target.dim(),
            chains,
            draws_per_chain: per_chain,
            steps: m.steps,
            evaluations: m.counts.clone(),
            log_z,
            scalars: m.gathered.scalars.clone(),
            coordinates,
            weights,
            tables: m
                .gathered
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

    /// The name of the component of that kind.
    #[must_use]
    pub fn component(&self, kind: Kind) -> &str {
        self.components.get(kind.word()).map_or("", String::as_str)
    }
}

fn log_z(m: &Material<'_>, truth: &Truth) -> Option<LogZ> {
    let value = *m.gathered.scalars.get("log_z").filter(|v| v.is_finite())?;
    let se = m
        .gathered
        .scalars
        .get("log_z_se")
        .copied()
        .filter(|v| v.is_finite());
    let expect = &m.plan.expect;
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

/// The checks of a finished run, worst first.
fn verdicts(r: &Report, m: &Material<'_>) -> Vec<Verdict> {
    let mut all = Vec::new();
    if let Some(failure) = m.failure {
        all.push(Verdict::new(
            "complete",
            Status::Fail,
            format!("the run failed after step {}: {failure}", r.steps),
            "the draws are those it had kept by then",
        ));
    } else if !r.complete {
        all.push(Verdict::new(
            "complete",
            Status::Warn,
            format!(
                "the run was stopped after step {}; this is what it had kept by then",
                r.steps
            ),
            "`retrograde run --resume` with this directory goes on to the same bits",
        ));
    }
    log_z_verdicts(r, m, &mut all);
    if r.weights.is_none() {
        chain_verdicts(r, &mut all);
    }
    truth_verdict(r, &mut all);
    if r.evaluations.failed > 0 {
        let first = r.evaluations.first_failure.as_ref();
        let place = first.map_or_else(String::new, |f| {
            let step = f.step.map(|s| format!(" in step {s}")).unwrap_or_default();
            format!(", first the {} of row {}{step}", f.what, f.row)
        });
        all.push(Verdict::new(
            "finite values",
            Status::Warn,
            format!(
                "{} of {} evaluated points were not finite{place}",
                r.evaluations.failed, r.evaluations.rows
            ),
            "they were taken as points without mass; `retrograde check --gradient` shows more",
        ));
    }
    all.extend(m.gathered.flags.values().map(flag_verdict));
    all.sort_by_key(|v| v.status);
    all
}

fn flag_verdict(flag: &Flag) -> Verdict {
    let status = match flag.severity {
        Severity::Note => Status::Note,
        Severity::Warning => Status::Warn,
        Severity::Failure => Status::Fail,
    };
    Verdict::new(&flag.key, status, flag.text.clone(), flag.advice.clone())
}

fn log_z_verdicts(r: &Report, m: &Material<'_>, all: &mut Vec<Verdict>) {
    let Some(z) = r.log_z else {
        if r.complete && m.plan.expect.log_z.is_some() {
            all.push(Verdict::new(
                "log Z",
                Status::Fail,
                format!(
                    "the job expects a log Z, and sampler {} gives none",
                    r.component(Kind::Sampler)
                ),
                "choose a sampler that estimates evidence, such as `smc`",
            ));
        }
        return;
    };
    let se = z.se.map_or_else(String::new, |se| format!(" ± {se:.3}"));
    if let (Some(se), Some(limit)) = (z.se, m.plan.expect.log_z_max_se) {
        let (status, words) = if se <= limit {
            (Status::Pass, "is")
        } else {
            (Status::Fail, "is not")
        };
        all.push(Verdict::new(
            "log Z error",
            status,
            format!("the standard error of log Z, {se:.4}, {words} within the limit of {limit}"),
            if status == Status::Pass {
                ""
            } else {
                "ask for more draws"
            },
        ));
    }
    let (Some(truth), Some(own)) = (z.truth, z.se) else {
        all.push(Verdict::new(
            "log Z",
            Status::Note,
            format!("log Z = {:.3}{se}", z.value),
            "",
        ));
        return;
    };
    let error = (own * own + z.truth_se * z.truth_se).sqrt();
    let score = (z.value - truth).abs() / error;
    // At 3 one good run in 370 is outside, at 5 one in two million.
    let (status, advice) = match score {
        s if s <= 3.0 => (Status::Pass, ""),
        s if s <= 5.0 => (Status::Warn, "run again with another seed and more draws"),
        _ => (
            Status::Fail,
            "modes may be lost: widen the start, ask for more draws or temperatures",
        ),
    };
    let truth_se = if z.truth_se > 0.0 {
        format!(" ± {}", z.truth_se)
    } else {
        String::new()
    };
    all.push(Verdict::new(
        "log Z",
        status,
        format!(
            "log Z = {:.3}{se}, {score:.1} standard errors from the known {truth:.3}{truth_se}",
            z.value
        ),
        advice,
    ));
}

fn chain_verdicts(r: &Report, all: &mut Vec<Verdict>) {
    /// Recommended by Vehtari et al. (2021): split R-hat below 1.01, bulk and tail ESS of 100 a chain.
    const RHAT: f64 = 1.01;
    const ESS_PER_CHAIN: f64 = 100.0;
    let worst = |f: fn(&Coordinate) -> f64, sign: f64| {
        r.coordinates
            .iter()
            .map(|c| (f(c), c.name.as_str()))
            .filter(|(v, _)| !v.is_nan())
            .max_by(|a, b| (sign * a.0).total_cmp(&(sign * b.0)))
    };
    if r.chains > 1
        && let Some((rhat, name)) = worst(|c| c.rhat, 1.0)
    {
        let (status, advice) = match rhat {
            v if v <= RHAT => (Status::Pass, ""),
            v if v <= 1.05 => (Status::Warn, "let the chains run longer"),
            _ => (
                Status::Fail,
                "the chains disagree: they may sit in different modes; try `smc`, or a longer warm-up",
            ),
        };
        all.push(Verdict::new(
            "R-hat",
            status,
            format!("largest R-hat {rhat:.3} ({name}), limit {RHAT}"),
            advice,
        ));
    }
    let want = ESS_PER_CHAIN * r.chains as f64;
    let bulk = worst(|c| c.ess_bulk, -1.0);
    let tail = worst(|c| c.ess_tail, -1.0);
    for (what, found) in [("bulk ESS", bulk), ("tail ESS", tail)] {
        if let Some((ess, name)) = found {
            let (status, advice) = match ess {
                v if v >= want => (Status::Pass, ""),
                v if v >= 0.25 * want => (Status::Warn, "ask for more draws, or thin less"),
                _ => (
                    Status::Fail,
                    "the draws tell too little: ask for many more, or use a sampler that mixes better",
                ),
            };
            all.push(Verdict::new(
                what,
                status,
                format!("smallest {what} {ess:.0} ({name}), wanted {want:.0}"),
                advice,
            ));
        }
    }
}

/// The mean that is furthest from its known value, in Monte-Carlo standard errors.
fn truth_verdict(r: &Report, all: &mut Vec<Verdict>) {
    let scores = r.coordinates.iter().filter_map(|c| {
        let score = (c.mean - c.truth?).abs() / c.mcse_mean;
        (!score.is_nan()).then_some((score, c.name.as_str()))
    });
    let known = r.coordinates.iter().filter(|c| c.truth.is_some()).count() as f64;
    let Some((score, name)) = scores.max_by(|a, b| a.0.total_cmp(&b.0)) else {
        return;
    };
    // The largest of d normal errors is above √(2 ln(1000 d)) less than once in a thousand runs.
    let limit = (2.0 * (1000.0 * known).ln()).sqrt();
    let (status, advice) = if score <= limit {
        (Status::Pass, "")
    } else if r.chains == 1 {
        // Particles share ancestors, which their standard error does not see.
        (
            Status::Warn,
            "particles share ancestors: replicate with other seeds to see the spread",
        )
    } else {
        (
            Status::Fail,
            "a bias of the method or a mode that is missed: see the other checks",
        )
    };
    all.push(Verdict::new(
        "means",
        status,
        format!("the mean furthest from its known value is that of {name}: {score:.1} standard errors (limit {limit:.1})"),
        advice,
    ));
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
