//! `retrograde certify` and `retrograde compare-schedules`.

use crate::args::{CertifyArgs, Changes, CompareSchedulesArgs};
use crate::outcome::{Exit, Output};
use crate::plugins::registry;
use crate::run::{folder, read};
use crate::show::{align, number};
use retrograde::core::Registry;
use retrograde::job::JobError;
use retrograde::job::Plan;
use retrograde::job::certify::{
    Certificate, Effort, Grids, Part, Schedules, certify as certify_plan,
    compare_schedules as compare, no_picture, write_picture, write_schedules_picture,
};
use retrograde::job::config::Document;
use retrograde::metrics::certificate::{Estimate, Method, Origin};
use serde_json::json;
use std::fmt::Write;
use std::path::Path;

/// Most rows of the table of steps that are shown.
const MOST: usize = 24;

type Read = (Registry, Document);

fn prepare(job: &Path, changes: &Changes, out: &Output) -> Result<Read, JobError> {
    Ok((registry(out)?, read(job, changes)?))
}

pub(crate) fn certify(args: &CertifyArgs, out: &Output) -> Exit {
    let effort = Effort {
        paths: args.paths,
        draws: args.repeats.max(16),
    };
    let certified = prepare(&args.job, &args.changes, out).and_then(|(registry, document)| {
        let plan = Plan::new(&document, &registry, &folder(&args.job))?;
        let certificate = certify_plan(&plan, &registry, effort)?;
        if let Some(path) = &args.picture {
            write_picture(&certificate, path)?;
        }
        Ok(certificate)
    });
    match certified {
        Err(e) => out.error(&e),
        Ok(c) => {
            out.result(|| json!({ "certificate": c }), || text(&c));
            Exit::Ok
        }
    }
}

pub(crate) fn compare_schedules(args: &CompareSchedulesArgs, out: &Output) -> Exit {
    let effort = Effort {
        paths: args.paths,
        draws: args.repeats.max(16),
    };
    let compared = prepare(&args.job, &args.changes, out).and_then(|(registry, document)| {
        // Before the work, which would be lost.
        if args.picture.is_some() && args.steps.len() == 1 {
            return Err(JobError::Run(no_picture()));
        }
        let grids = Grids {
            variants: args.variant.clone(),
            spacings: args.spacings.clone(),
            steps: args.steps.clone(),
        };
        let compared = compare(&document, &registry, &folder(&args.job), &grids, effort)?;
        if let Some(path) = &args.picture {
            write_schedules_picture(&compared, path)?;
        }
        Ok(compared)
    });
    match compared {
        Err(e) => out.error(&e),
        Ok(s) => {
            out.result(|| json!({ "schedules": s }), || schedules(&s));
            Exit::Ok
        }
    }
}

fn estimate(e: Option<Estimate>) -> String {
    match e {
        None => "–".into(),
        Some(e) if e.standard_error == 0.0 => number(e.value),
        Some(e) => format!("{} ± {}", number(e.value), number(e.standard_error)),
    }
}

fn method(part: &Part) -> &'static str {
    match part.method {
        None => "",
        Some(Method::Exact) => "exact",
        Some(Method::Quadrature) => "quadrature",
        Some(Method::MonteCarlo) => "Monte Carlo",
        Some(Method::SelfReferenced) => "self-referenced",
        Some(Method::UpperBound) => "bound by moments",
    }
}

fn text(c: &Certificate) -> String {
    let mut out = String::new();
    let parts: Vec<String> = c
        .components
        .iter()
        .map(|(k, n)| format!("{k} {n}"))
        .collect();
    let kind = if c.deterministic {
        "deterministic"
    } else {
        "with noise"
    };
    let _ = writeln!(
        out,
        "{}\ndimension {}, {} steps from t = {} to {}, {kind}",
        parts.join(", "),
        c.dim,
        c.steps,
        number(c.times.0),
        number(c.times.1)
    );
    let truth = c.true_score.as_deref().unwrap_or("none is known");
    let data = if c.self_referenced {
        "draws of the sampler itself, for the target has no exact ones (self-referenced)"
    } else {
        "exact draws"
    };
    let _ = writeln!(out, "true score: {truth}; data: {data}\n");
    let mut table = vec![
        ["", "KL share [nats]", "by", "moves draws by [rms ≥ W₂]", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (name, part) in [
        ("initialisation", &c.initialisation),
        ("score", &c.score),
        ("discretisation", &c.discretisation),
        ("early stopping", &c.early_stopping),
    ] {
        table.push(vec![
            name.to_owned(),
            estimate(part.kl),
            method(part).to_owned(),
            estimate(part.effect),
            part.remark.clone(),
        ]);
    }
    align(&mut out, &table);
    out.push('\n');
    match (&c.girsanov, c.kl_bound) {
        (Some(g), kl) => {
            let _ = writeln!(
                out,
                "Girsanov: {} nats in all, {} by twice the parts; an upper bound, of first order in the step",
                estimate(Some(g.total)),
                estimate(Some(g.split))
            );
            if let (Some(kl), Some(tv)) = (kl, c.tv_bound) {
                let kl = Estimate {
                    value: kl.value,
                    standard_error: kl.standard_error,
                };
                let _ = writeln!(
                    out,
                    "KL(p_δ ‖ q) ≤ {}, total variation ≤ {}",
                    estimate(Some(kl)),
                    number(tv)
                );
            }
        }
        (None, _) => {
            let _ = writeln!(out, "no bound by Girsanov's theorem: {}", c.no_girsanov);
        }
    }
    if let Some(o) = &c.order {
        let order = |p: Option<f64>| p.map_or_else(|| "not seen".to_owned(), |p| format!("{p:.2}"));
        let _ = writeln!(
            out,
            "halving every step moves draws by {}, halving again by {}: order {} in the paths, {} in the variance{}",
            number(o.distances[0]),
            number(o.distances[1]),
            order(o.order),
            order(o.variance_order),
            if o.remark.is_empty() {
                String::new()
            } else {
                format!(" ({})", o.remark)
            }
        );
    }
    if let Some(g) = &c.girsanov {
        out.push('\n');
        let head = [
            "t",
            "noise level",
            "noise error²",
            "score",
            "discretisation",
        ];
        let mut table = vec![head.map(str::to_owned).to_vec()];
        let every = g.levels.len().div_ceil(MOST);
        for row in g.levels.iter().step_by(every) {
            table.push(vec![
                number(row.start),
                number(row.noise),
                estimate(row.noise_error),
                estimate(Some(row.score)),
                estimate(Some(row.discretisation)),
            ]);
        }
        align(&mut out, &table);
        if every > 1 {
            let _ = writeln!(
                out,
                "(every {every}th of {} steps; --json has all)",
                g.levels.len()
            );
        }
    }
    match &c.dominant {
        None => {
            let _ = writeln!(
                out,
                "\nWhich error dominates cannot be told from these numbers."
            );
        }
        Some(d) => {
            let origin = match d.origin {
                Origin::Initialisation => "initialisation",
                Origin::Discretisation => "discretisation",
                Origin::Score => "the score",
            };
            let doubt = if d.certain {
                ""
            } else {
                " (the next is within two standard errors)"
            };
            let _ = writeln!(
                out,
                "\nThe largest error is that of {origin}: {:.0} % of the three together{doubt}.\n→ {}",
                100.0 * d.share,
                d.advice
            );
        }
    }
    out
}

fn schedules(s: &Schedules) -> String {
    let mut out = String::new();
    let head = [
        "spacing",
        "steps",
        "E_D [nats]",
        "E_S [nats]",
        "KL bound",
        "steps move",
        "score moves",
        "W₂",
        "TV",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for r in &s.rows {
        let plain = |v: Option<f64>| v.map_or_else(|| "–".into(), number);
        table.push(vec![
            match r.variant.as_str() {
                "" => r.spacing.clone(),
                variant => format!("{} {}", variant.replace("sampler.", ""), r.spacing),
            },
            r.steps.to_string(),
            estimate(r.e_d),
            estimate(r.e_s),
            estimate(r.kl_bound),
            estimate(r.moved_by_steps),
            estimate(r.moved_by_score),
            plain(r.w2),
            plain(r.tv),
        ]);
    }
    align(&mut out, &table);
    for c in &s.crossovers {
        let _ = writeln!(
            out,
            "{} steps: {} is better by the bound while the squared error of the score is below {} times \
             that of the job, {} above",
            c.steps,
            c.below,
            number(c.alpha2),
            c.above
        );
    }
    out
}
