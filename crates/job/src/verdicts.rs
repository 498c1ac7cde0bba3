//! The checks of a run in plain words.

use crate::evidence::{of_runs, together};
use crate::report::{Coordinate, LogZ, Material, Report, all_runs};
use retrograde_core::{Flag, Kind, Severity};
use serde::{Deserialize, Serialize};

/// Points that are not finite are worth more than a note from this share of all on: fewer come up
/// where the first moves of a healthy run are too long.
const NOT_FINITE: f64 = 1e-3;

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
    pub(crate) fn new(
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

/// The checks of a finished run, worst first.
pub(crate) fn verdicts(r: &Report, m: &Material<'_>) -> Vec<Verdict> {
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
    replicate_verdicts(r, m, &mut all);
    finite_verdict(r, &mut all);
    match r.weights {
        None => chain_verdicts(r, &mut all),
        Some(w) if !w.pareto_k.is_nan() => all.push(tail_verdict(r, w.pareto_k)),
        Some(_) => {}
    }
    truth_verdict(r, &mut all);
    all.extend(m.modes.clone());
    if r.evaluations.failed > 0 {
        let first = r.evaluations.first_failure.as_ref();
        let place = first.map_or_else(String::new, |f| {
            let step = f.step.map(|s| format!(" in step {s}")).unwrap_or_default();
            format!(", first the {} of row {}{step}", f.what, f.row)
        });
        let share = r.evaluations.failed as f64 / r.evaluations.rows.max(1) as f64;
        let status = if share < NOT_FINITE {
            Status::Note
        } else {
            Status::Warn
        };
        all.push(Verdict::new(
            "finite values",
            status,
            format!(
                "{} of {} evaluated points were not finite{place}",
                r.evaluations.failed, r.evaluations.rows
            ),
            "they were taken as points without mass; `retrograde check --gradient` shows more",
        ));
    }
    all.extend(m.flags.iter().map(|f| flag_verdict(f)));
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
    let expect = &m.job.expect;
    let Some(z) = r.log_z else {
        if r.complete && (expect.log_z.is_some() || expect.log_z_max_se.is_some()) {
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
    if let Some(limit) = expect.log_z_max_se {
        let (status, text) = match z.se {
            Some(se) if se <= limit => (Status::Pass, format!("{se:.4}, is within")),
            Some(se) => (Status::Fail, format!("{se:.4}, is not within")),
            None => (Status::Fail, "which is unknown, is not within".into()),
        };
        all.push(Verdict::new(
            "log Z error",
            status,
            format!("the standard error of log Z, {text} the limit of {limit}"),
            if status == Status::Pass {
                ""
            } else {
                "ask for more draws"
            },
        ));
    }
    all.push(against_truth("log Z", &z, ""));
}

/// An estimate of log Z beside what is known.
fn against_truth(check: &str, z: &LogZ, who: &str) -> Verdict {
    let value = decimals(z.value);
    let se = z.se.map_or_else(String::new, |se| format!(" ± {se:.3}"));
    let (Some(truth), Some(own)) = (z.truth, z.se) else {
        let mut text = format!("{who}log Z = {value}{se}");
        let mut status = Status::Note;
        if let Some(truth) = z.truth {
            status = Status::Warn;
            text = format!(
                "{who}log Z = {value} has no standard error to compare it with the known {} by",
                decimals(truth)
            );
        }
        return Verdict::new(check, status, text, "");
    };
    // Where the base is the target, both errors are 0 and only rounding is left.
    let rounding = 1e-12 * truth.abs().max(1.0);
    let error = own.hypot(z.truth_se).max(rounding);
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
    Verdict::new(
        check,
        status,
        format!(
            "{who}log Z = {value}{se}, {score:.1} standard errors from the known {}{truth_se}",
            decimals(truth)
        ),
        advice,
    )
}

/// What runs with other seeds say of log Z.
fn replicate_verdicts(r: &Report, m: &Material<'_>, all: &mut Vec<Verdict>) {
    let Some(replicated) = &r.replicates else {
        return;
    };
    let runs = all_runs(m, r.log_z);
    let together = together(&runs);
    of_runs(r.component(Kind::Sampler), &runs, together.as_ref(), all);
    if let Some(z) = replicated.log_z {
        all.push(against_truth(
            "replicates",
            &z,
            &format!("{} runs: ", runs.len()),
        ));
    }
}

/// Three decimals, without the sign of a zero.
fn decimals(v: f64) -> String {
    let text = format!("{v:.3}");
    match text.strip_prefix('-') {
        Some(rest) if rest == "0.000" => rest.into(),
        _ => text,
    }
}

/// Coordinates and outputs of which some draw is no number: nothing is known of them.
fn finite_verdict(r: &Report, all: &mut Vec<Verdict>) {
    let mut unknown = r.coordinates.iter().filter(|c| c.mean.is_nan());
    if r.draws_per_chain == 0 {
        return;
    }
    if let Some(first) = unknown.next() {
        let others = match unknown.count() {
            0 => String::new(),
            n => format!(" and of {n} more"),
        };
        all.push(Verdict::new(
            "finite draws",
            Status::Warn,
            format!("some draws of {}{others} are not finite", first.name),
            "their means and diagnostics are left out",
        ));
    }
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
    let Some(bulk) = worst(|c| c.ess_bulk, -1.0) else {
        no_chain_verdicts(r, all);
        return;
    };
    if r.chains > 1
        && let Some((rhat, name)) = worst(|c| c.rhat, 1.0)
    {
        let (status, advice) = match rhat {
            v if v <= RHAT => (Status::Pass, ""),
            v if v <= 1.05 => (Status::Warn, "let the chains run longer: raise `draws`"),
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
    let tail = worst(|c| c.ess_tail, -1.0);
    for (what, found) in [("bulk ESS", Some(bulk)), ("tail ESS", tail)] {
        if let Some((ess, name)) = found {
            let (status, advice) = match ess {
                v if v >= want => (Status::Pass, ""),
                v if v >= 0.25 * want => (Status::Warn, "ask for more draws"),
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

/// What is told when effective sample sizes could not be computed for any coordinate.
fn no_chain_verdicts(r: &Report, all: &mut Vec<Verdict>) {
    /// Fewest draws of a chain that R-hat and effective sample sizes are defined for.
    const FEWEST: usize = 4;
    if r.draws_per_chain == 0 {
        return;
    }
    if r.draws_per_chain < FEWEST {
        all.push(Verdict::new(
            "ESS",
            Status::Warn,
            format!(
                "too few draws a chain to judge by: {}, and at least {FEWEST} are needed",
                r.draws_per_chain
            ),
            "ask for more draws",
        ));
    } else if r.coordinates.iter().all(|c| c.sd == 0.0) {
        all.push(Verdict::new(
            "ESS",
            Status::Fail,
            "all draws are the same point",
            "the chain did not move: take a smaller `step_size`, or turn adaptation on",
        ));
    }
}

/// What the tail of the weights says: Vehtari, Simpson, Gelman, Yao & Gabry (2024), arXiv:1507.02646, §3.
fn tail_verdict(r: &Report, k: f64) -> Verdict {
    let draws = (r.chains * r.draws_per_chain).max(2) as f64;
    let limit = (1.0 - draws.log10().recip()).clamp(0.0, 0.7);
    let (status, advice) = match k {
        k if k <= limit => (Status::Pass, ""),
        k if k <= 1.0 => (
            Status::Warn,
            "few weights decide: finer steps, more temperatures or more draws; compare seeds",
        ),
        _ => (
            Status::Fail,
            "the weights may have no mean within reach: log Z and means are more often too low than too high",
        ),
    };
    Verdict::new(
        "Pareto k",
        status,
        format!("the tail of the weights has the Pareto index {k:.2}, limit {limit:.2}"),
        advice,
    )
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
    } else if r.log_z.is_some() && score <= 3.0 * limit {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn coordinate(name: &str) -> Coordinate {
        Coordinate {
            name: name.into(),
            mean: 0.1,
            sd: 1.0,
            q05: -1.5,
            q50: 0.1,
            q95: 1.7,
            mcse_mean: 0.05,
            ess_bulk: 500.0,
            ess_tail: 450.0,
            rhat: 1.001,
            truth: Some(0.0),
        }
    }

    fn report(chains: usize, coordinates: Vec<Coordinate>) -> Report {
        let report = serde_json::json!({
            "schema_version": 1, "program": "", "complete": true, "components": {}, "seed": 1,
            "draws": 400, "dim": coordinates.len(), "chains": chains, "draws_per_chain": 100,
            "steps": 1, "evaluations": retrograde_core::Counts::default(), "log_z": null,
            "scalars": {}, "coordinates": coordinates, "weights": null, "tables": {},
            "verdicts": []
        });
        serde_json::from_value(report).unwrap()
    }

    fn all(r: &Report) -> Vec<(String, Status)> {
        let mut found = Vec::new();
        finite_verdict(r, &mut found);
        chain_verdicts(r, &mut found);
        truth_verdict(r, &mut found);
        found.into_iter().map(|v| (v.check, v.status)).collect()
    }

    fn status(r: &Report, check: &str) -> Option<Status> {
        all(r).into_iter().find(|(c, _)| c == check).map(|v| v.1)
    }

    #[test]
    fn a_healthy_run_passes_and_each_fault_is_told() {
        let healthy = report(4, vec![coordinate("a"), coordinate("b")]);
        assert!(all(&healthy).iter().all(|v| v.1 == Status::Pass));

        let mut r = healthy.clone();
        r.coordinates[1].rhat = 1.2;
        assert_eq!(status(&r, "R-hat"), Some(Status::Fail));
        r.coordinates[1].rhat = f64::INFINITY;
        assert_eq!(status(&r, "R-hat"), Some(Status::Fail));

        let mut r = healthy.clone();
        r.coordinates[0].mean = f64::NAN;
        assert_eq!(status(&r, "finite draws"), Some(Status::Warn));
    }

    #[test]
    fn heavy_tails_of_weights_are_told_by_their_index() {
        // 400 draws: the limit is 1 − 1/log₁₀ 400.
        let r = report(4, vec![coordinate("a")]);
        for (k, want) in [
            (-0.2, Status::Pass),
            (0.61, Status::Pass),
            (0.63, Status::Warn),
            (1.1, Status::Fail),
        ] {
            assert_eq!(tail_verdict(&r, k).status, want, "{k}");
        }
    }

    #[test]
    fn chains_that_stand_still_and_runs_too_short_to_judge_do_not_pass_in_silence() {
        let mut c = coordinate("a");
        (c.ess_bulk, c.ess_tail, c.rhat) = (f64::NAN, f64::NAN, f64::NAN);
        c.sd = 0.0;
        let mut r = report(4, vec![c]);
        assert_eq!(status(&r, "ESS"), Some(Status::Fail));
        r.draws_per_chain = 3;
        assert_eq!(status(&r, "ESS"), Some(Status::Warn));
    }

    #[test]
    fn a_mean_far_off_fails_for_one_chain_and_warns_for_particles_unless_it_is_hopeless() {
        let mut c = coordinate("a");
        c.mean = 0.3; // 6 standard errors, and the limit is 3.7
        let mut r = report(1, vec![c]);
        assert_eq!(status(&r, "means"), Some(Status::Fail));
        r.log_z = Some(crate::LogZ {
            value: 0.0,
            se: Some(0.1),
            truth: None,
            truth_se: 0.0,
        });
        assert_eq!(status(&r, "means"), Some(Status::Warn));
        r.coordinates[0].mean = 1.0;
        assert_eq!(status(&r, "means"), Some(Status::Fail));
    }

    #[test]
    fn a_zero_has_no_sign() {
        assert_eq!(decimals(-1e-9), "0.000");
        assert_eq!(decimals(-0.0006), "-0.001");
    }
}
