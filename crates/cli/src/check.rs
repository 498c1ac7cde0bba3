//! `retrograde check`.

use crate::args::CheckArgs;
use crate::outcome::{Exit, Output};
use crate::run::{folder, job_name, read};
use crate::show::number;
use retrograde::core::check::{GradientReport, gradient};
use retrograde::core::{Error, Runtime, Target};
use retrograde::job::{JobError, Plan, check_output, try_start};
use serde_json::json;
use std::fmt::Write;

/// Points at which density and gradient are tried, from N(0, I) on the scale that is sampled.
const POINTS: usize = 8;
/// Differences are good to about 1e-9; beyond this the gradient is wrong.
const TOLERANCE: f64 = 1e-5;

struct Tried {
    finite: usize,
    gradient: Option<GradientReport>,
}

fn try_out(target: &dyn Target, seed: u64, with_gradient: bool) -> Result<Tried, Error> {
    let mut runtime = Runtime::new(seed, 1)?;
    runtime.enter("check", 0, |cx| {
        let mut x = vec![0.0; POINTS * target.dim()];
        let mut view =
            retrograde::ndarray::ArrayViewMut2::from_shape((POINTS, target.dim()), &mut x)
                .map_err(|e| Error::Breakdown {
                    component: "check".into(),
                    message: e.to_string(),
                    advice: "report this".into(),
                })?;
        cx.fill_normal(view.view_mut());
        let mut l = [0.0; POINTS];
        if target.has_density() {
            cx.eval_target(target, view.view(), Some((&mut l[..]).into()), None)?;
        }
        let finite = l.iter().filter(|v| v.is_finite()).count();
        let both = target.has_density() && target.has_gradient();
        let gradient = (with_gradient && both)
            .then(|| gradient(cx, target, view.view()))
            .transpose()?;
        Ok(Tried { finite, gradient })
    })
}

pub(crate) fn check(args: &CheckArgs, out: &Output) -> Exit {
    let registry = match crate::plugins::registry(out) {
        Ok(registry) => registry,
        Err(e) => return out.error(&e.into()),
    };
    let base = folder(&args.job);
    let planned = read(&args.job, &args.changes)
        .and_then(|document| Ok((Plan::new(&document, &registry, &base)?, document)));
    let (plan, document) = match planned {
        Ok(planned) => planned,
        Err(e) => return out.error(&e.into()),
    };
    let (job, name) = (&args.job, job_name(&args.job));
    if let Err(e) = check_output(&document, &plan, &name, Some(job), &base, false) {
        return out.error(&e);
    }
    let no_start = match try_start(&document, &plan, &base) {
        Ok(()) => None,
        Err(JobError::Run(e @ (Error::Breakdown { .. } | Error::NonFinite { .. }))) => {
            Some(e.to_string())
        }
        Err(e) => return out.error(&e),
    };
    let tried = match try_out(plan.target.as_ref(), plan.run.seed, args.gradient) {
        Ok(tried) => tried,
        Err(e) => return out.error(&e.into()),
    };
    let wrong = tried.gradient.as_ref().is_some_and(|g| g.worst > TOLERANCE);
    let none = tried.gradient.as_ref().is_some_and(|g| g.slopes == 0);
    let failed = wrong || none || tried.finite == 0 || no_start.is_some();
    out.result(
        || {
            json!({
                "status": if failed { "failed" } else { "ok" },
                "dimension": plan.target.dim(),
                "draws": plan.run.draws,
                "finite_points": tried.finite,
                "points": POINTS,
                "start_error": no_start,
                "gradient_error": tried.gradient.as_ref().map(|g| g.worst),
                "gradient_slopes": tried.gradient.as_ref().map(|g| g.slopes),
                "gradient_slopes_skipped": tried.gradient.as_ref().map(|g| g.walls),
            })
        },
        || text(args, &plan, &tried, wrong, no_start.as_deref()),
    );
    if failed { Exit::Diagnostics } else { Exit::Ok }
}

fn text(
    args: &CheckArgs,
    plan: &Plan,
    tried: &Tried,
    wrong: bool,
    no_start: Option<&str>,
) -> String {
    let mut text = format!("{}: the job is well-formed\n", args.job.display());
    for (kind, name) in &plan.components {
        let _ = writeln!(text, "  {} {name}", kind.word());
    }
    let _ = writeln!(
        text,
        "  dimension {}, {} draws",
        plan.target.dim(),
        plan.run.draws
    );
    let _ = writeln!(
        text,
        "  the log density is finite at {} of {POINTS} points from N(0, 1)",
        tried.finite
    );
    if let Some(why) = no_start {
        let _ = writeln!(text, "  the sampler cannot start: {why}");
    }
    if let Some(g) = &tried.gradient {
        if g.slopes == 0 {
            let _ = writeln!(
                text,
                "  the gradient could be compared nowhere: at none of the points are log density and gradient finite"
            );
        } else {
            let _ = writeln!(
                text,
                "  gradient against differences of the log density at {} points: largest relative error {:.1e}",
                g.points, g.worst
            );
        }
        if g.walls > 0 {
            let _ = writeln!(
                text,
                "  {} of {} slopes were left out: the density is −∞ beside their points",
                g.walls,
                g.walls + g.slopes
            );
        }
        if let (true, Some(at)) = (wrong, &g.at) {
            let _ = writeln!(
                text,
                "  the gradient is wrong: coordinate {} is {}, differences say {}",
                plan.target.coordinate(at.coordinate),
                number(at.gradient),
                number(at.difference)
            );
        }
    } else if args.gradient {
        let _ = writeln!(text, "  the target has no gradient to check");
    }
    text
}
