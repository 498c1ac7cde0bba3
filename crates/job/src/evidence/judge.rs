//! What replicates and methods, seen together, are worth.

use super::crossing::Crossing;
use super::{Evidence, EvidenceRun, Method};
use crate::verdicts::{Status, Verdict};
use retrograde_metrics::evidence::Replicates;
use std::collections::BTreeMap;

/// A check fails where what was seen comes up less often than once in a thousand.
const RARE: f64 = 1e-3;

/// What to make of methods that contradict each other.
const LARGER: &str = "mass that runs do not meet is missing from their Ẑ, so the larger is the more likely; look for what the other \
                      loses: more particles, a wider base, other seeds";

/// Puts the methods together if they agree, and tells of each and of all.
pub(super) fn judge(
    e: &mut Evidence,
    methods: &[(Method, Option<Replicates>)],
    crossing: Option<&Crossing>,
) {
    let mut all = Vec::new();
    if !e.complete {
        let text = "not all runs came to their end; this is what those say that did";
        all.push(Verdict::new(
            "complete",
            Status::Warn,
            text,
            "a record goes on where it was stopped",
        ));
    }
    for (m, together) in methods {
        of_method(m, together.as_ref(), &mut all);
    }
    let known: Vec<(&str, &Replicates)> = methods
        .iter()
        .filter_map(|(m, r)| Some((m.method.as_str(), r.as_ref()?)))
        .collect();
    let agree = agreement(&known, &mut all);
    if agree && let Some((value, error)) = combined(&known) {
        (e.log_z, e.standard_error) = (Some(value), Some(error).filter(|v| v.is_finite()));
        against_truth(e, value, error, &mut all);
    }
    if let Some(crossing) = crossing {
        of_modes(methods, crossing, &mut all);
    }
    if e.replicates == 1 {
        let text = "one run of each method: how far runs differ is not known";
        all.push(Verdict::new(
            "replicates",
            Status::Note,
            text,
            "ask for eight",
        ));
    }
    all.sort_by_key(|v| v.status);
    e.verdicts = all;
}

fn of_method(m: &Method, together: Option<&Replicates>, all: &mut Vec<Verdict>) {
    of_runs(&m.method, &m.runs, together, all);
}

/// What replicates of one method say.
pub(crate) fn of_runs(
    name: &str,
    runs: &[EvidenceRun],
    together: Option<&Replicates>,
    all: &mut Vec<Verdict>,
) {
    let n = runs.len();
    let failures: Vec<&str> = runs.iter().filter_map(|r| r.failure.as_deref()).collect();
    if let Some(first) = failures.first() {
        let text = format!(
            "{name}: {} of {n} runs gave no log Z: {first}",
            failures.len()
        );
        all.push(Verdict::new(
            "runs",
            Status::Fail,
            text,
            "leave the method out, or mend what it says",
        ));
    }
    let mut warned: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (key, text) in runs.iter().flat_map(|r| &r.warnings) {
        warned.entry(key).or_insert((0, text)).0 += 1;
    }
    for (key, (count, text)) in warned {
        let text = format!("{name}: {count} of {n} runs: {text}");
        all.push(Verdict::new(key, Status::Warn, text, ""));
    }
    let Some(r) = together else { return };
    if r.heavy_tailed() {
        all.push(Verdict::new(
            "tail",
            Status::Fail,
            format!("{name}: one of {} runs has {:.0} % of the sum of the Ẑ", r.count, 100.0 * r.largest),
            "the estimate hangs on rare weights and is probably too small: give each run more particles or finer steps",
        ));
    }
    if let (Some(p), Some(told)) = (r.spread_p(), r.told) {
        let times = r.sd / told;
        let (status, advice) = if p < RARE {
            (
                Status::Warn,
                "believe the spread, not what a single run tells",
            )
        } else {
            (Status::Pass, "")
        };
        let text = format!(
            "{name}: runs spread by {:.4}, {times:.1} times the {told:.4} that they told",
            r.sd
        );
        all.push(Verdict::new("spread", status, text, advice));
    }
}

/// Modes that runs lost.
fn of_modes(methods: &[(Method, Option<Replicates>)], crossing: &Crossing, all: &mut Vec<Verdict>) {
    for (i, (m, _)) in methods.iter().enumerate() {
        let lost: Vec<_> = crossing.lost.iter().filter(|l| l.method == i).collect();
        let Some(worst) = lost.iter().max_by(|a, b| a.share.total_cmp(&b.share)) else {
            continue;
        };
        let text = format!(
            "{}: {} of {} runs have no draws where others have them and chains stay: with seed {}, {:.0} % of all draws",
            m.method,
            lost.len(),
            m.runs.len(),
            worst.seed,
            100.0 * worst.share
        );
        all.push(Verdict::new(
            "modes",
            Status::Fail,
            text,
            "a mode is missing from its log Z: more particles, a wider base, or a method that finds it",
        ));
    }
    if crossing.lost.is_empty() {
        let text = format!(
            "none of {} runs lost a mode of {:.0} % or more that another one has",
            crossing.compared,
            100.0 * crossing.smallest
        );
        all.push(Verdict::new("modes", Status::Pass, text, ""));
    }
}

/// Whether all methods agree.
fn agreement(known: &[(&str, &Replicates)], all: &mut Vec<Verdict>) -> bool {
    let [first, rest @ ..] = known else {
        return false;
    };
    if rest.is_empty() {
        let text = format!(
            "{} alone: mass that none of its runs meets shows in no spread",
            first.0
        );
        all.push(Verdict::new(
            "agreement",
            Status::Note,
            text,
            "compare methods: `--methods smc,…`",
        ));
        return true;
    }
    let pairs = known.len() * (known.len() - 1) / 2;
    let mut agree = true;
    let (mut judged, mut doubtful) = (true, false);
    for (i, (a, r)) in known.iter().enumerate() {
        for (b, s) in &known[i + 1..] {
            let p = r.agreement_p(s);
            judged &= !p.is_nan();
            let ((low, x), (high, y)) = if r.log_z < s.log_z {
                ((a, r), (b, s))
            } else {
                ((b, s), (a, r))
            };
            let apart = (y.log_z - x.log_z) / x.error().hypot(y.error());
            let text = format!(
                "{low} gives {:.4} ± {:.4}, {high} {:.4} ± {:.4}",
                x.log_z,
                x.error(),
                y.log_z,
                y.error()
            );
            if p < RARE / pairs as f64 {
                agree = false;
                let text = format!("{text}: they contradict each other");
                all.push(Verdict::new("agreement", Status::Fail, text, LARGER));
            } else if apart > 3.0 {
                doubtful = true;
                let text = format!(
                    "{text}: {apart:.1} standard errors apart, which so few runs do not decide"
                );
                all.push(Verdict::new(
                    "agreement",
                    Status::Warn,
                    text,
                    "ask for more replicates",
                ));
            }
        }
    }
    if agree && !doubtful {
        let (status, text) = match judged {
            true => (Status::Pass, format!("{} methods agree", known.len())),
            false => (
                Status::Note,
                "there is no error to compare methods by: ask for replicates".to_owned(),
            ),
        };
        all.push(Verdict::new("agreement", status, text, ""));
    }
    agree
}

/// The mean of the methods, each by the inverse of its variance.
fn combined(known: &[(&str, &Replicates)]) -> Option<(f64, f64)> {
    if let Some((_, exact)) = known.iter().find(|(_, r)| r.error() == 0.0) {
        return Some((exact.log_z, 0.0));
    }
    if known.iter().any(|(_, r)| r.error().is_nan()) {
        return known.first().map(|(_, r)| (r.log_z, r.error()));
    }
    let weights: Vec<f64> = known.iter().map(|(_, r)| r.error().powi(-2)).collect();
    let sum: f64 = weights.iter().sum();
    let value = known
        .iter()
        .zip(&weights)
        .map(|((_, r), w)| w * r.log_z)
        .sum::<f64>()
        / sum;
    (sum > 0.0).then(|| (value, sum.recip().sqrt()))
}

fn against_truth(e: &Evidence, value: f64, error: f64, all: &mut Vec<Verdict>) {
    let Some(truth) = e.truth else { return };
    // Where the base is the target, both errors are 0 and only rounding is left.
    let error = error.hypot(e.truth_se).max(1e-12 * truth.abs().max(1.0));
    let score = (value - truth).abs() / error;
    let (status, advice) = match score {
        s if s <= 3.0 => (Status::Pass, ""),
        s if s <= 5.0 => (Status::Warn, "run again with another seed and more draws"),
        _ => (
            Status::Fail,
            "modes may be lost: widen the start, ask for more draws or temperatures",
        ),
    };
    let text = format!("log Z = {value:.4}, {score:.1} standard errors from the known {truth:.4}");
    all.push(Verdict::new("log Z", status, text, advice));
}

#[cfg(test)]
mod tests {
    use super::super::summed;
    use super::*;

    fn method(name: &str, values: &[f64], told: f64) -> (Method, Option<Replicates>) {
        let run = |(i, v): (usize, &f64)| EvidenceRun {
            seed: i as u64,
            log_z: Some(*v),
            standard_error: Some(told),
            evaluations: 1,
            seconds: 0.0,
            warnings: BTreeMap::new(),
            failure: None,
            places: Vec::new(),
        };
        summed(name, values.iter().enumerate().map(run).collect())
    }

    fn judged(methods: &[(Method, Option<Replicates>)], truth: Option<f64>) -> Evidence {
        let mut e = Evidence {
            target: String::new(),
            dim: 1,
            draws: 1,
            replicates: 4,
            log_z: None,
            standard_error: None,
            truth,
            truth_se: 0.0,
            complete: true,
            methods: Vec::new(),
            verdicts: Vec::new(),
        };
        judge(&mut e, methods, None);
        e
    }

    fn status(e: &Evidence, check: &str) -> Status {
        e.verdicts
            .iter()
            .find(|v| v.check == check)
            .unwrap_or_else(|| panic!("{check}"))
            .status
    }

    #[test]
    fn methods_that_agree_are_put_together_and_others_are_not() {
        let good = method("a", &[0.01, -0.02, 0.03, 0.0], 0.02);
        let other = method("b", &[0.02, -0.01, 0.0, 0.04], 0.03);
        let e = judged(&[good.clone(), other], Some(0.0));
        assert_eq!(e.worst(), Status::Pass, "{:?}", e.verdicts);
        let se = e.standard_error.unwrap();
        assert!(se < good.0.standard_error.unwrap() && e.log_z.unwrap().abs() < 3.0 * se);
        // A mode that `c` never meets, with a small spread: what no replicate tells, the other method does.
        let lost = method("c", &[-0.69, -0.70, -0.69, -0.695], 0.02);
        let e = judged(&[good, lost.clone()], None);
        assert_eq!((status(&e, "agreement"), e.log_z), (Status::Fail, None));
        let text = &e
            .verdicts
            .iter()
            .find(|v| v.check == "agreement")
            .unwrap()
            .text;
        assert!(text.starts_with("c gives"), "{text}");
        let alone = judged(&[lost], None);
        assert_eq!(alone.worst(), Status::Note, "{:?}", alone.verdicts);
    }

    #[test]
    fn spreads_that_belie_what_runs_told_are_seen() {
        let e = judged(&[method("a", &[0.3, -0.3, 0.1, -0.2], 0.01)], None);
        assert_eq!(status(&e, "spread"), Status::Warn);
        let e = judged(&[method("a", &[-3.0, -2.9, -3.1, 0.5], 0.1)], None);
        assert_eq!(status(&e, "tail"), Status::Fail);
    }
}
