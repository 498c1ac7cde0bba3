//! `retrograde run`.

use crate::args::{Changes, RunArgs};
use crate::outcome::{Exit, Output, message};
use crate::progress::Progress;
use crate::show;
use retrograde::core::{Cancel, Registry};
use retrograde::job::config::{ConfigError, Document};
use retrograde::job::{Finished, InputFile, JobError, Options, Plan, Status};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Coordinates shown at the end of a run; `summary` shows all.
const SHOWN: usize = 12;
/// Draws of a trial.
const QUICK: usize = 400;

pub(crate) fn run(args: &RunArgs, out: &Output) -> Exit {
    let registry = match retrograde::registry() {
        Ok(registry) => registry,
        Err(e) => return out.error(&e.into()),
    };
    match &args.resume {
        Some(directory) => resume(args, directory, &registry, out),
        None => begin(args, &registry, out),
    }
}

/// Reads a job and applies the command line's changes to it.
pub(crate) fn read(job: &Path, changes: &Changes) -> Result<Document, ConfigError> {
    let mut document = Document::read(job)?;
    let named = [
        ("seed", &changes.seed),
        ("draws", &changes.draws),
        ("threads", &changes.threads),
    ];
    let mut set = changes.set.clone();
    set.extend(
        named
            .into_iter()
            .filter_map(|(key, v)| v.as_ref().map(|v| format!("{key}={v}"))),
    );
    if let Some(directory) = &changes.output {
        set.push(format!("output.directory={}", json!(directory)));
    }
    document.set(set)?;
    Ok(document)
}

/// The folder that a job's paths are relative to.
pub(crate) fn folder(job: &Path) -> PathBuf {
    job.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
        .to_owned()
}

fn begin(args: &RunArgs, registry: &Registry, out: &Output) -> Exit {
    let Some(job) = &args.job else {
        return Exit::Usage;
    };
    let base = folder(job);
    let planned = read(job, &args.changes).and_then(|mut document| {
        if args.quick {
            document.root.remove(&["expect"]);
        }
        let mut plan = Plan::new(&document, registry, &base)?;
        if args.quick && plan.run.draws > QUICK {
            document.set([format!("draws={QUICK}")])?;
            plan = Plan::new(&document, registry, &base)?;
        }
        Ok((document, plan))
    });
    let (document, plan) = match planned {
        Ok(planned) => planned,
        Err(e) => return out.error(&e.into()),
    };
    if args.dry_run {
        out.result(|| json!({ "job": plan.resolved }), || plan.resolved.clone());
        return Exit::Ok;
    }
    let name = job
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let source = match InputFile::of(job) {
        Ok(source) => source,
        Err(e) => return out.error(&e.into()),
    };
    let options = Options {
        force: args.force,
        cancel: cancel_on_signal(),
        threads: None,
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
    end(finished, &options, out)
}

fn resume(args: &RunArgs, directory: &Path, registry: &Registry, out: &Output) -> Exit {
    let threads = match args.changes.threads.as_deref().map(str::parse) {
        None => None,
        Some(Ok(threads)) => Some(threads),
        Some(Err(_)) => {
            out.plain_error(
                "`--threads` must be a whole number, 0 or more",
                "RG_ERR_ARG",
            );
            return Exit::Usage;
        }
    };
    let options = Options {
        force: false,
        cancel: cancel_on_signal(),
        threads,
    };
    let mut progress = Progress::new();
    let finished = retrograde::job::resume(directory, registry, &options, &mut progress);
    progress.finish();
    end(finished, &options, out)
}

fn end(finished: Result<Finished, JobError>, options: &Options, out: &Output) -> Exit {
    let finished = match finished {
        Ok(finished) => finished,
        Err(e) => {
            let exit = out.error(&e);
            return if options.cancel.requested() {
                Exit::Interrupted
            } else {
                exit
            };
        }
    };
    let (report, directory) = (&finished.report, finished.directory.display());
    out.result(
        || {
            json!({
                "status": if report.complete { "complete" } else { "interrupted" },
                "directory": finished.directory,
                "seconds": finished.seconds,
                "threads": finished.threads,
                "report": report,
            })
        },
        || {
            format!(
                "{}\n{:.2} s of sampling on {} thread{}; results in {directory}\n",
                show::report(report, SHOWN),
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
fn cancel_on_signal() -> Cancel {
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
