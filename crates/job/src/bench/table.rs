//! What runs come to, target by target and sampler by sampler.

use super::config::{Bench, Cell, Published};
use super::fit::{Fit, MISSED};
use super::{BenchRun, Floor, Metric};
use crate::plan::Plan;
use crate::report::Job;
use serde::Serialize;
use std::collections::BTreeMap;

/// The outcome of a bench. Numbers that could not be computed are absent.
#[derive(Debug, Clone, Serialize)]
pub struct BenchTable {
    /// Headline.
    pub title: String,
    /// Version of the program.
    pub version: String,
    /// Draws of each run.
    pub draws: usize,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Threads; 0 = all that the machine has.
    pub threads: usize,
    /// Most points that distances were measured on.
    pub reference_draws: usize,
    /// What was measured, log Z first.
    pub metrics: Vec<Metric>,
    /// Whether all runs came to their end.
    pub complete: bool,
    /// The targets, each with a row a sampler.
    pub targets: Vec<TargetRow>,
    /// What was aimed at.
    pub aims: Vec<Aimed>,
    /// What others have published.
    pub published: Vec<Published>,
}

/// A target and the samplers on it.
#[derive(Debug, Clone, Serialize)]
pub struct TargetRow {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: String,
    /// Dimension.
    pub dim: usize,
    /// Known log Z.
    pub log_z: Option<f64>,
    /// Its standard error.
    pub log_z_se: f64,
    /// Evaluations that each run should spend.
    pub budget: Option<u64>,
    /// The metrics between exact samples.
    pub floor: BTreeMap<Metric, Floor>,
    /// A row for each sampler.
    pub rows: Vec<Row>,
}

/// A sampler on a target.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Name of the sampler.
    pub sampler: String,
    /// Its kind.
    pub kind: String,
    /// The key that was scaled.
    pub fitted: Option<Fitted>,
    /// Over the seeds, by metric.
    pub metrics: BTreeMap<Metric, Spread>,
    /// Root mean square of the standard errors of log Z that the runs told.
    pub told: Option<f64>,
    /// 1 / (mean square error of log Z × mean seconds).
    pub efficiency: Option<f64>,
    /// Mean evaluations of a run, rows of target, gradient and score.
    pub evaluations: f64,
    /// Mean wall time of sampling.
    pub seconds: f64,
    /// Runs that failed.
    pub failed: usize,
    /// What to know of the row, in words.
    pub notes: Vec<String>,
    /// The runs.
    pub runs: Vec<BenchRun>,
}

/// How a budget was met.
#[derive(Debug, Clone, Serialize)]
pub struct Fitted {
    /// The key.
    pub key: String,
    /// What it was set to.
    pub value: u64,
    /// Runs that it took to find.
    pub trials: usize,
    /// Evaluations of the run of the first seed.
    pub evaluations: u64,
    /// Whether they are within a tenth of the budget.
    pub met: bool,
}

/// A metric over the seeds that have it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// How many.
    pub count: usize,
    /// Mean.
    pub mean: f64,
    /// Standard deviation; none of one value.
    pub sd: Option<f64>,
    /// The largest in size.
    pub worst: f64,
    /// Root mean square.
    pub rms: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let worst = values
            .iter()
            .copied()
            .max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        Some(Self {
            count: values.len(),
            mean,
            sd: (n > 1.0).then(|| (squares / (n - 1.0)).sqrt()),
            worst,
            rms: (values.iter().map(|v| v * v).sum::<f64>() / n).sqrt(),
        })
    }
}

/// An aim on a target.
#[derive(Debug, Clone, Serialize)]
pub struct Aimed {
    /// Target.
    pub target: String,
    /// Metric.
    pub metric: Metric,
    /// Bound of its size.
    pub bound: f64,
    /// Each sampler.
    pub samplers: Vec<AimedSampler>,
    /// Whether some sampler reaches it.
    pub met: bool,
    /// Where none does, the sampler that comes nearest and what its runs say of themselves.
    pub nearest: Option<String>,
    /// The words.
    pub why: Vec<String>,
}

/// How a sampler stands to an aim.
#[derive(Debug, Clone, Serialize)]
pub struct AimedSampler {
    /// Name.
    pub sampler: String,
    /// Runs, those without a value among them.
    pub runs: usize,
    /// Runs outside of the bound or without a value.
    pub outside: usize,
    /// Largest size.
    pub worst: Option<f64>,
    /// Whether all seeds ran and none is outside.
    pub met: bool,
}

/// A table that is being filled.
pub(super) struct Collecting<'a> {
    bench: &'a Bench,
    targets: Vec<TargetRow>,
}

impl<'a> Collecting<'a> {
    pub(super) fn new(bench: &'a Bench) -> Self {
        Self {
            bench,
            targets: Vec::new(),
        }
    }

    /// Begins a target.
    pub(super) fn target(&mut self, index: usize, plan: &Plan, floor: BTreeMap<Metric, Floor>) {
        let entry = &self.bench.targets[index];
        let truth = Job::truth(plan.target.as_ref(), plan.bounded.is_some());
        let (log_z, log_z_se) = match entry.expect.log_z {
            Some(v) => (Some(v), entry.expect.log_z_se),
            None => (truth.log_z, truth.log_z_se),
        };
        self.targets.push(TargetRow {
            name: entry.name.clone(),
            kind: entry.kind.clone(),
            dim: plan.target.dim(),
            log_z,
            log_z_se,
            budget: self.bench.budget(index),
            floor,
            rows: Vec::new(),
        });
    }

    /// Begins a row of the last target.
    pub(super) fn row(&mut self, cell: &Cell, fit: Option<Fit>) {
        let sampler = &self.bench.samplers[cell.sampler];
        let budget = self.bench.budget(cell.target);
        let fitted = sampler
            .fit
            .clone()
            .zip(fit)
            .zip(budget)
            .map(|((key, fit), budget)| Fitted {
                key,
                value: fit.value,
                trials: fit.trials,
                evaluations: fit.evaluations,
                met: (fit.evaluations as f64 / budget as f64 - 1.0).abs() <= MISSED,
            });
        let row = Row {
            sampler: sampler.name.clone(),
            kind: sampler.kind.clone(),
            fitted,
            metrics: BTreeMap::new(),
            told: None,
            efficiency: None,
            evaluations: 0.0,
            seconds: 0.0,
            failed: 0,
            notes: Vec::new(),
            runs: Vec::new(),
        };
        if let Some(target) = self.targets.last_mut() {
            target.rows.push(row);
        }
    }

    /// A run of the last row. Its error of log Z is taken here, for a truth may be changed after the run.
    pub(super) fn run(&mut self, mut run: BenchRun) {
        let Some(target) = self.targets.last_mut() else {
            return;
        };
        let error = run.log_z.zip(target.log_z).map(|(z, truth)| z - truth);
        run.metrics.extend(error.map(|e| (Metric::LogZError, e)));
        if let Some(row) = target.rows.last_mut() {
            row.runs.push(run);
        }
    }

    pub(super) fn table(mut self, complete: bool) -> BenchTable {
        let head = &self.bench.head;
        for target in &mut self.targets {
            let budget = target.budget;
            target
                .rows
                .iter_mut()
                .for_each(|row| summarise(row, budget));
        }
        let mut metrics = vec![Metric::LogZError];
        metrics.extend(head.metrics.iter().filter(|m| **m != Metric::LogZError));
        metrics.dedup();
        let seeds = head.seeds();
        let aims = head.aim.iter().flat_map(|aim| {
            aim.target
                .list()
                .iter()
                .map(|name| (name, aim.metric, aim.bound))
        });
        let aims = aims.map(|(name, metric, bound)| {
            let target = self.targets.iter().find(|t| t.name == *name);
            aimed(name, target, metric, bound, seeds.len())
        });
        BenchTable {
            title: head.title.clone().unwrap_or_else(|| "Bench".into()),
            version: env!("CARGO_PKG_VERSION").into(),
            draws: head.draws,
            threads: head.threads,
            reference_draws: head.reference_draws,
            metrics,
            complete,
            aims: aims.collect(),
            published: head.published.clone(),
            seeds,
            targets: self.targets,
        }
    }
}

fn summarise(row: &mut Row, budget: Option<u64>) {
    let mut values: BTreeMap<Metric, Vec<f64>> = BTreeMap::new();
    for (metric, value) in row.runs.iter().flat_map(|r| &r.metrics) {
        values.entry(*metric).or_default().push(*value);
    }
    row.metrics = values
        .into_iter()
        .filter_map(|(m, v)| Some((m, Spread::of(&v)?)))
        .collect();
    let n = row.runs.len().max(1) as f64;
    let told: Vec<f64> = row.runs.iter().filter_map(|r| r.standard_error).collect();
    row.told = Spread::of(&told).map(|s| s.rms);
    row.evaluations = row.runs.iter().map(|r| r.evaluations as f64).sum::<f64>() / n;
    row.seconds = row.runs.iter().map(|r| r.seconds).sum::<f64>() / n;
    row.failed = row.runs.iter().filter(|r| r.failure.is_some()).count();
    let mse = row.metrics.get(&Metric::LogZError).map(|s| s.rms.powi(2));
    row.efficiency = mse
        .map(|mse| (mse * row.seconds).recip())
        .filter(|e| e.is_finite());
    if let Some(first) = row.runs.iter().find_map(|r| r.failure.as_ref()) {
        row.notes.push(format!(
            "{} of {} runs failed: {first}",
            row.failed,
            row.runs.len()
        ));
    }
    if let Some(budget) = budget.filter(|_| !row.runs.is_empty()) {
        let share = row.evaluations / budget as f64;
        let spends = format!("spends {share:.2} × the budget");
        match &row.fitted {
            Some(f) if f.met && (share - 1.0).abs() > MISSED => {
                let first = f.evaluations as f64 / budget as f64;
                row.notes.push(format!(
                    "{spends} on average, by `{}` at which the first seed spends {first:.2} ×",
                    f.key
                ));
            }
            Some(f) if (share - 1.0).abs() > MISSED => row.notes.push(format!(
                "{spends}: no value of `{}` was found to meet it",
                f.key
            )),
            Some(_) => {}
            None if (share - 1.0).abs() > MISSED => {
                row.notes.push(format!("{spends}: it has no `fit`"));
            }
            None => {}
        }
    }
    let mut warned: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (key, text) in row.runs.iter().flat_map(|r| &r.warnings) {
        warned.entry(key).or_insert((0, text)).0 += 1;
    }
    for (key, (count, text)) in warned {
        row.notes.push(format!(
            "{count} of {} runs warn ({key}): {text}",
            row.runs.len()
        ));
    }
}

fn aimed(
    name: &str,
    target: Option<&TargetRow>,
    metric: Metric,
    bound: f64,
    seeds: usize,
) -> Aimed {
    let rows = target.map_or(&[][..], |t| &t.rows);
    let stands = |row: &Row| {
        let within = |r: &&BenchRun| r.metrics.get(&metric).is_some_and(|v| v.abs() <= bound);
        let inside = row.runs.iter().filter(within).count();
        AimedSampler {
            sampler: row.sampler.clone(),
            runs: row.runs.len(),
            outside: row.runs.len() - inside,
            worst: row.metrics.get(&metric).map(|s| s.worst.abs()),
            met: inside == seeds,
        }
    };
    let samplers: Vec<AimedSampler> = rows.iter().map(stands).collect();
    let met = samplers.iter().any(|s| s.met);
    // Fewest outside; of these the one with the most values, and of these the one whose worst is smallest.
    let without = |row: &Row| row.runs.len() - row.metrics.get(&metric).map_or(0, |s| s.count);
    let tried = rows
        .iter()
        .zip(&samplers)
        .filter_map(|(row, s)| Some((s.outside, without(row), s.worst?, &s.sampler)));
    let nearest = tried
        .min_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)))
        .filter(|_| !met)
        .map(|best| best.3.clone());
    let row = rows.iter().find(|r| Some(&r.sampler) == nearest.as_ref());
    let mut why = row.map(|r| r.notes.clone()).unwrap_or_default();
    if let Some(spread) = row.and_then(|r| r.metrics.get(&metric)) {
        let se = spread.sd.map(|sd| sd / (spread.count as f64).sqrt());
        let off = se.filter(|se| *se > 0.0).map(|se| spread.mean.abs() / se);
        if metric == Metric::LogZError {
            why.extend(off.map(|off| match off {
                o if o > 3.0 => format!("its mean is off by {o:.1} standard errors: the error is one of all runs, not of chance"),
                _ => "its mean is right to the error of the seeds: the spread of single runs is too large".into(),
            }));
        }
    }
    if !met && why.is_empty() && row.is_some() {
        why.push("its runs warn of nothing".into());
    }
    Aimed {
        target: name.to_owned(),
        metric,
        bound,
        samplers,
        met,
        nearest,
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_of_known_values() {
        let s = Spread::of(&[1.0, -3.0, 2.0]).unwrap();
        assert_eq!((s.count, s.mean, s.worst), (3, 0.0, -3.0));
        assert!((s.sd.unwrap() - 7.0_f64.sqrt()).abs() < 1e-15);
        assert!((s.rms - (14.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(Spread::of(&[2.0]).unwrap().sd, None);
        assert_eq!(Spread::of(&[]), None);
    }

    fn row(sampler: &str, errors: &[Option<f64>]) -> Row {
        let run = |(i, e): (usize, &Option<f64>)| BenchRun {
            seed: i as u64,
            log_z: *e,
            standard_error: Some(0.1),
            metrics: e.map(|e| (Metric::LogZError, e)).into_iter().collect(),
            draws: 10,
            weighted: false,
            evaluations: 150,
            seconds: 2.0,
            warnings: BTreeMap::new(),
            failure: e.is_none().then(|| "no luck".into()),
        };
        let mut row = Row {
            sampler: sampler.into(),
            kind: "smc".into(),
            fitted: None,
            metrics: BTreeMap::new(),
            told: None,
            efficiency: None,
            evaluations: 0.0,
            seconds: 0.0,
            failed: 0,
            notes: Vec::new(),
            runs: errors.iter().enumerate().map(run).collect(),
        };
        summarise(&mut row, Some(100));
        row
    }

    #[test]
    fn rows_are_summed_up() {
        let r = row("a", &[Some(0.3), Some(-0.1)]);
        // Mean square error 0.05, 2 s a run.
        assert!((r.efficiency.unwrap() - 10.0).abs() < 1e-12);
        assert!((r.told.unwrap() - 0.1).abs() < 1e-15 && r.evaluations == 150.0);
        assert_eq!(r.notes, ["spends 1.50 × the budget: it has no `fit`"]);
        let r = row("b", &[Some(0.3), None]);
        assert_eq!((r.failed, r.metrics[&Metric::LogZError].count), (1, 1));
        assert_eq!(r.notes[0], "1 of 2 runs failed: no luck");
    }

    #[test]
    fn an_aim_is_met_by_all_seeds_or_not_at_all() {
        let target = TargetRow {
            name: "t".into(),
            kind: "t".into(),
            dim: 1,
            log_z: Some(0.0),
            log_z_se: 0.0,
            budget: None,
            floor: BTreeMap::new(),
            rows: vec![
                row("far", &[Some(1.0), Some(1.1)]),
                row("near", &[Some(0.06), Some(-0.01)]),
                row("fails", &[Some(0.0), None]),
            ],
        };
        let judged = |bound| aimed("t", Some(&target), Metric::LogZError, bound, 2);
        let a = judged(0.07);
        let met: Vec<bool> = a.samplers.iter().map(|s| s.met).collect();
        assert!(a.met && met == [false, true, false] && a.nearest.is_none());
        let a = judged(0.05);
        let outside: Vec<usize> = a.samplers.iter().map(|s| s.outside).collect();
        assert_eq!(outside, [2, 1, 1]);
        // A run that failed is outside, however good the other is.
        assert!(!a.met && a.nearest.as_deref() == Some("near"));
        assert!(
            a.why.iter().any(|w| w.contains("spends 1.50")),
            "{:?}",
            a.why
        );
        // Seeds that did not run are not inside.
        assert!(!aimed("t", Some(&target), Metric::LogZError, 9.0, 3).met);
        assert!(!aimed("t", None, Metric::LogZError, 9.0, 1).met);
    }
}
