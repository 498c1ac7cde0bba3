//! `retrograde bench`.

use crate::args::BenchArgs;
use crate::outcome::{Exit, Output, message};
use crate::plugins::registry;
use crate::run::{cancel_on_signal, folder, job_name};
use crate::show::align;
use retrograde::job::JobError;
use retrograde::job::bench::{Event, Planned, Question, bench as ask, plan};
use retrograde::job::config::Document;
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

pub(crate) fn bench(args: &BenchArgs, out: &Output) -> Exit {
    let opened = || -> Result<_, JobError> {
        let registry = registry(out)?;
        let mut document = Document::read(&args.bench)?;
        document.set(&args.set)?;
        Ok((registry, document))
    };
    let (registry, document) = match opened() {
        Ok(opened) => opened,
        Err(e) => return out.error(&e),
    };
    let base = folder(&args.bench);
    if args.dry_run {
        return match plan(&document, &registry, &base) {
            Err(e) => out.error(&e),
            Ok(all) => {
                out.result(|| json!({ "bench": all }), || planned(&all));
                Exit::Ok
            }
        };
    }
    let named = || PathBuf::from(format!("bench-{}", job_name(&args.bench)));
    let into = args.out.clone().unwrap_or_else(named);
    let question = Question {
        out: &into,
        cancel: cancel_on_signal(),
    };
    let table = match ask(&document, &registry, &base, &question, &mut watch) {
        Err(e) => return out.error(&e),
        Ok(table) => table,
    };
    out.result(|| json!({ "bench": table }), || page(&into));
    message(&format!("tables and pictures are in {}", into.display()));
    let failed = table
        .targets
        .iter()
        .flat_map(|t| &t.rows)
        .any(|r| r.failed > 0);
    match table.complete {
        false => Exit::Interrupted,
        true if failed || table.aims.iter().any(|a| !a.met) => Exit::Diagnostics,
        true => Exit::Ok,
    }
}

/// A line for each run that was made.
fn watch(event: Event<'_>) {
    if event.recorded {
        return;
    }
    let run = event.run;
    let said = match (&run.failure, run.log_z, run.standard_error) {
        (Some(failure), ..) => failure.clone(),
        (_, Some(z), Some(se)) => format!("log Z = {z:.4} ± {se:.4}"),
        (_, Some(z), None) => format!("log Z = {z:.4}"),
        _ => "no log Z".into(),
    };
    let what = match event.trial {
        Some((key, value)) => format!("trial with {key} = {value}"),
        None => format!("seed {}", run.seed),
    };
    let (target, sampler) = (event.target, event.sampler);
    message(&format!(
        "{target}, {sampler}, {what}: {said} ({} evaluations, {:.2} s)",
        run.evaluations, run.seconds
    ));
}

/// The page as it was written.
fn page(out: &Path) -> String {
    std::fs::read_to_string(out.join("table.md")).unwrap_or_default()
}

fn planned(all: &[Planned]) -> String {
    let head = ["target", "sampler", "seeds", "budget", "scaled"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for p in all {
        let kind = |name: &str, kind: &str| {
            if name == kind {
                name.to_owned()
            } else {
                format!("{name} ({kind})")
            }
        };
        table.push(vec![
            kind(&p.target, &p.target_kind),
            kind(&p.sampler, &p.sampler_kind),
            p.seeds.to_string(),
            p.budget.map_or_else(|| "–".into(), |b| b.to_string()),
            p.fit
                .as_ref()
                .map_or_else(|| "–".into(), |(key, start)| format!("{key}, from {start}")),
        ]);
    }
    let mut text = String::new();
    align(&mut text, &table);
    let _ = writeln!(
        text,
        "\n{} runs",
        all.iter().map(|p| p.seeds).sum::<usize>()
    );
    text
}
