//! `retrograde evidence`.

use crate::args::EvidenceArgs;
use crate::outcome::{Exit, Output, message};
use crate::plugins::registry;
use crate::run::{cancel_on_signal, folder, read};
use crate::show::{align, number, verdicts};
use retrograde::job::evidence::{Evidence, EvidenceRun, Question, evidence as ask};
use retrograde::job::{JobError, Status};
use serde_json::json;
use std::fmt::Write;

pub(crate) fn evidence(args: &EvidenceArgs, out: &Output) -> Exit {
    let question = Question {
        methods: &args.methods,
        replicates: args.replicates,
        record: args.record.as_deref(),
        cancel: cancel_on_signal(),
    };
    let mut watch = |method: &str, i: usize, run: &EvidenceRun| {
        let said = match (&run.failure, run.log_z, run.standard_error) {
            (Some(failure), ..) => failure.clone(),
            (_, Some(z), Some(se)) => format!("log Z = {z:.4} ± {se:.4}"),
            (_, z, _) => format!("log Z = {:.4}", z.unwrap_or(f64::NAN)),
        };
        message(&format!(
            "{method} {}{}, seed {}: {said} ({:.2} s)",
            i + 1,
            args.replicates
                .map_or_else(String::new, |r| format!("/{r}")),
            run.seed,
            run.seconds
        ));
    };
    let mut answer = || -> Result<Evidence, JobError> {
        let registry = registry(out)?;
        let document = read(&args.job, &args.changes)?;
        ask(
            &document,
            &registry,
            &folder(&args.job),
            &question,
            &mut watch,
        )
    };
    let e = match answer() {
        Err(e) => return out.error(&e),
        Ok(e) => e,
    };
    out.result(|| json!({ "evidence": e }), || text(&e));
    match (e.complete, e.worst()) {
        (false, _) => Exit::Interrupted,
        (true, Status::Fail) => Exit::Diagnostics,
        (true, _) => Exit::Ok,
    }
}

fn text(e: &Evidence) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "target {}, dimension {}, {} draws a run\n",
        e.target, e.dim, e.draws
    );
    let head = [
        "",
        "log Z",
        "±",
        "spread",
        "told",
        "largest",
        "runs",
        "evaluations",
        "s a run",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let told = |v: Option<f64>, digits: usize| {
        v.map_or_else(|| "–".to_owned(), |v| format!("{v:.digits$}"))
    };
    for m in &e.methods {
        table.push(vec![
            m.method.clone(),
            told(m.log_z, 4),
            told(m.standard_error, 4),
            told(m.sd, 4),
            told(m.told, 4),
            m.largest
                .map_or_else(|| "–".into(), |v| format!("{:.0} %", 100.0 * v)),
            m.runs
                .iter()
                .filter(|r| r.log_z.is_some())
                .count()
                .to_string(),
            format!("{:.0}", m.evaluations),
            number(m.seconds),
        ]);
    }
    align(&mut out, &table);
    out.push('\n');
    if let Some(value) = e.log_z {
        let _ = writeln!(out, "log Z = {value:.4} ± {}\n", told(e.standard_error, 4));
    }
    verdicts(&mut out, &e.verdicts);
    out
}
