//! `retrograde run`.

use crate::args::{Changes, RunArgs};
use crate::outcome::{Exit, Output, message};
use crate::progress::Progress;
use crate::show;
use retrograde::core::{Cancel, Error, Registry, SimdLevel};
use retrograde::job::config::{ConfigError, Document};
use retrograde::job::{Finished, InputFile, JobError, Options, Plan, Status, check_output};
use serde_json::json;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Coordinates shown at the end of a run; `summary` shows all.
const SHOWN: usize = 12;
/// As for the key `threads`.
const MAX_THREADS: usize = 1024;
/// Draws of a trial.
const QUICK: usize = 400;

pub(crate) fn run(args: &RunArgs, out: &Output) -> Exit {
    let mut registry = match crate::plugins::registry(out) {
        Ok(registry) => registry,
        Err(e) => return out.error(&e.into()),
    };
    match &args.resume {
        Some(directory) => {
            crate::plugins::add_those_of(directory, &mut registry);
            resume(args, directory, &registry, out)
        }
        None => begin(args, &registry, out),
    }
}

/// Reads a job and applies the command line's changes to it.
pub(crate) fn read(job: &Path, changes: &Changes) -> Result<Document, ConfigError> {
    let mut document = Document::read(job)?;
    document.set(&changes.set)?;
    let options = [
        ("--seed", "seed", &changes.seed, false),
        ("--draws", "draws", &changes.draws, false),
        ("--threads", "threads", &changes.threads, false),
        ("--output", "output.directory", &changes.output, true),
    ];
    for (option, key, value, text) in options {
        if let Some(value) = value {
            document.set_option(option, key, value, text)?;
        }
    }
    Ok(document)
}

/// The folder that a job's paths are relative to.
pub(crate) fn folder(job: &Path) -> PathBuf {
    job.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
        .to_owned()
}

/// The name of a job, which names its default directory.
pub(crate) fn job_name(job: &Path) -> String {
    job.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn begin(args: &RunArgs, registry: &Registry, out: &Output) -> Exit {
    let Some(job) = &args.job else {
        return Exit::Usage;
    };
    let simd = match SimdLevel::named(&args.simd) {
        Ok(simd) => simd,
        Err(Error::Argument { given, allowed, .. }) => {
            let text = format!("`--simd` must be {allowed}, but is {given}");
            out.plain_error(&text, "RG_ERR_ARG");
            return Exit::Usage;
        }
        Err(e) => return out.error(&e.into()),
    };
    let base = folder(job);
    let planned = read(job, &args.changes).and_then(|mut document| {
        if args.quick {
            document.root.remove(&["expect"]);
        }
        let mut plan = Plan::new(&document, registry, &base)?;
        if args.quick && plan.run.draws > QUICK {
            // Chains share the draws evenly; more chains than draws there cannot be.
            let chains = plan.sampler.rows(plan.run.draws);
            let stated = document.root.at(&["sampler", "chains"]).is_some();
            if stated && chains > QUICK {
                document.set([format!("sampler.chains={QUICK}")])?;
            }
            let share = if chains <= QUICK { QUICK % chains } else { 0 };
            document.set([format!("draws={}", QUICK - share)])?;
            plan = Plan::new(&document, registry, &base)?;
        }
        Ok((document, plan))
    });
    let (document, plan) = match planned {
        Ok(planned) => planned,
        Err(e) => return out.error(&e.into()),
    };
    let name = job_name(job);
    if args.dry_run {
        if let Err(e) = check_output(&document, &plan, &name, Some(job), &base, args.force) {
            return out.error(&e);
        }
        out.result(|| json!({ "job": plan.resolved }), || plan.resolved.clone());
        return Exit::Ok;
    }
    let source = match InputFile::of(job) {
        Ok(source) => source,
        Err(e) => return out.error(&e.into()),
    };
    let options = Options {
        force: args.force,
        cancel: cancel_on_signal(),
        threads: None,
        simd,
    };
    let mut progress = Progress::new();
    let finished = retrograde::job::run(
        &document,
        &plan,
        &name,
        Some(source),
        &base,
        &options,
        &mut progress,
    );
    progress.finish();
    end(finished, out)
}

fn resume(args: &RunArgs, directory: &Path, registry: &Registry, out: &Output) -> Exit {
    let threads = match args.changes.threads.as_deref() {
        None => None,
        Some(given) => match given.parse().ok().filter(|t| *t <= MAX_THREADS) {
            Some(threads) => Some(threads),
            None => {
                let text = format!(
                    "`--threads` must be a whole number from 0 to {MAX_THREADS}, but is `{given}`"
                );
                out.plain_error(&text, "RG_ERR_ARG");
                return Exit::Usage;
            }
        },
    };
    let options = Options {
        force: false,
        cancel: cancel_on_signal(),
        threads,
        ..Options::default()
    };
    let mut progress = Progress::new();
    let finished = retrograde::job::resume(directory, registry, &options, &mut progress);
    progress.finish();
    end(finished, out)
}

fn end(finished: Result<Finished, JobError>, out: &Output) -> Exit {
    let finished = match finished {
        Ok(finished) => finished,
        Err(JobError::Run(Error::Cancelled)) => {
            message("interrupted before the first step; nothing was kept");
            return Exit::Interrupted;
        }
        Err(e) => return out.error(&e),
    };
    // A path need not be UTF-8, JSON is.
    let (report, directory) = (&finished.report, finished.directory.to_string_lossy());
    out.result(
        || {
            json!({
                "status": if report.complete { "complete" } else { "interrupted" },
                "directory": directory,
                "seconds": finished.seconds,
                "threads": finished.threads,
                "report": report,
            })
        },
        || {
            let mut report = show::report(report, SHOWN);
            // For eyes only: what a pipe or a file gets stays the same.
            if std::io::stdout().is_terminal() {
                let picture = crate::picture::picture(&finished.preview);
                if !picture.is_empty() {
                    report = format!("{report}\n{picture}");
                }
            }
            if finished.threads == 0 {
                // It was complete before, so that nothing ran.
                return format!("{report}\nresults in {directory}\n");
            }
            format!(
                "{}\n{:.2} s of sampling on {} thread{}; results in {directory}\n",
                report,
                finished.seconds,
                finished.threads,
                if finished.threads == 1 { "" } else { "s" },
            )
        },
    );
    if !report.complete {
        message(&format!(
            "interrupted; go on with `retrograde run --resume {directory}`"
        ));
        return Exit::Interrupted;
    }
    if report.worst() == Status::Fail {
        Exit::Diagnostics
    } else {
        Exit::Ok
    }
}

/// A flag that the first Ctrl-C (or SIGTERM) sets; the second ends the program at once.
pub(crate) fn cancel_on_signal() -> Cancel {
    static AGAIN: AtomicBool = AtomicBool::new(false);
    let cancel = Cancel::default();
    let flag = cancel.clone();
    let set = ctrlc::set_handler(move || {
        if AGAIN.swap(true, Ordering::Relaxed) {
            std::process::exit(Exit::Interrupted as i32);
        }
        flag.request();
        message("stopping after this step; once more to quit at once");
    });
    if let Err(e) = set {
        message(&format!(
            "Ctrl-C will end the run without a last checkpoint: {e}"
        ));
    }
    cancel
}
