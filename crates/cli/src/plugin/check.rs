//! `retrograde plugin check`.

use crate::args::PluginCheckArgs;
use crate::outcome::{Exit, Output, message};
use crate::run::folder;
use crate::show;
use retrograde::core::Error;
use retrograde::plugins::check::child::{self, Outcome};
use retrograde::plugins::check::{Given, Line, Options, Report, Verdict};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Checks a plugin in a child of this program; `live` gets each line as it comes.
///
/// # Errors
/// When this program cannot be started once more.
pub(crate) fn in_child(
    file: &Path,
    options: &Options,
    limit: Duration,
    live: &mut dyn FnMut(&Line),
) -> Result<Outcome, Error> {
    let this = std::env::current_exe().map_err(|source| Error::Io {
        action: "cannot find",
        path: PathBuf::from("retrograde"),
        source,
    })?;
    let command = || {
        let mut command = Command::new(&this);
        command.args(["plugin", "check-child"]);
        command
    };
    child::run(command, file, options, limit, live)
}

/// What the child does.
pub(crate) fn child(out: &Output) -> Exit {
    match child::serve() {
        Some(Ok(())) => Exit::Ok,
        Some(Err(error)) => out.error(&error.into()),
        None => {
            let text = "this is for `retrograde plugin check`, which starts it by itself";
            out.plain_error(text, "RG_ERR_ARG");
            Exit::Usage
        }
    }
}

/// `--time-limit` as a time.
///
/// # Errors
/// When it is none.
pub(crate) fn limit(seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|limit| !limit.is_zero())
        .ok_or_else(|| {
            format!("`--time-limit` must be a number of seconds above 0, but is {seconds}")
        })
}

/// The options of the command line.
///
/// # Errors
/// What is wrong with them.
fn options(args: &PluginCheckArgs) -> Result<(Options, Duration), String> {
    let mut given = Given::default();
    if let Some(job) = &args.job {
        let text = std::fs::read_to_string(job)
            .map_err(|e| format!("cannot read {}: {e}", job.display()))?;
        given.job(&text).map_err(|e| e.to_string())?;
    }
    for set in &args.set {
        given.set(set).map_err(|e| e.to_string())?;
    }
    let limit = limit(args.time_limit)?;
    let options = Options {
        given,
        seed: args.seed,
        folder: args.job.as_deref().map_or_else(|| ".".into(), folder),
        skip: Vec::new(),
    };
    Ok((options, limit))
}

pub(crate) fn check(args: &PluginCheckArgs, out: &Output) -> Exit {
    let (options, limit) = match options(args) {
        Ok(options) => options,
        Err(text) => {
            out.plain_error(&text, "RG_ERR_ARG");
            return Exit::Usage;
        }
    };
    match in_child(&args.file, &options, limit, &mut |_| {}) {
        Ok(Outcome::Checked(report)) => {
            out.result(|| object(&report), || text(&report));
            match report.worst() {
                Verdict::Fail => Exit::Diagnostics,
                Verdict::Ok | Verdict::Warn => Exit::Ok,
            }
        }
        Ok(Outcome::Refused(why)) => {
            out.plain_error(&why, "RG_ERR_PLUGIN");
            Exit::Usage
        }
        Err(error) => {
            if !out.json {
                message("the check itself failed; it says nothing of the plugin");
            }
            out.error(&error.into())
        }
    }
}

fn object(report: &Report) -> serde_json::Value {
    let lines: Vec<_> = report
        .lines
        .iter()
        .map(|l| {
            json!({
                "component": l.component,
                "check": l.check,
                "verdict": l.verdict,
                "text": l.text,
            })
        })
        .collect();
    json!({
        "passed": report.worst() != Verdict::Fail,
        "failed": report.count(Verdict::Fail),
        "warnings": report.count(Verdict::Warn),
        "plugin": report.plugin,
        "checks": lines,
    })
}

/// The report with colour, which is taken away where it is not wanted.
fn text(report: &Report) -> String {
    let lines = report.text();
    let coloured = lines.lines().map(|line| {
        let paint = |word: &str, colour: fn(&str) -> String| {
            line.strip_prefix(&format!("  {word}  "))
                .map(|rest| format!("  {}  {rest}", colour(word)))
        };
        paint("FAIL", show::red)
            .or_else(|| paint("warn", show::yellow))
            .unwrap_or_else(|| line.to_owned())
    });
    coloured.map(|line| line + "\n").collect()
}
