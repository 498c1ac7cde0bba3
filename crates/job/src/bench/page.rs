//! The tables as text: Markdown for people, CSV with a line a run.

use super::{Aimed, BenchTable, Metric, Published, Row, Spread, TargetRow};
use std::fmt::Write;

/// The whole page.
pub(super) fn markdown(t: &BenchTable) -> String {
    let mut out = format!("# {}\n\n", t.title);
    let threads = match t.threads {
        0 => "all threads".to_owned(),
        1 => "one thread".to_owned(),
        n => format!("{n} threads"),
    };
    let seeds = match t.seeds.as_slice() {
        [only] => format!("seed {only}"),
        [first, .., last] if t.seeds.windows(2).all(|w| w[1] == w[0].wrapping_add(1)) => {
            format!("{} seeds ({first} to {last})", t.seeds.len())
        }
        all => format!("{} seeds", all.len()),
    };
    let _ = writeln!(
        out,
        "{seeds}, {} draws a run, {threads}, retrograde {}. Values are means over the seeds ± their standard deviation. \
         *worst*: the largest error of log Z in size; *told*: the standard error that the runs themselves tell, root mean square; \
         *1/(mse s)*: one over mean square error of log Z times seconds; *evaluations*: rows of target, gradient or score \
         of a run. Distances are to exact draws, or to the reference, on at most {} points; weighted draws are \
         resampled by their weights for them. *exact draws* are measured in place of a run: what is near them \
         cannot be told from the truth. `–`: there is no truth to measure by, or no value.\n",
        t.draws, t.version, t.reference_draws
    );
    if !t.complete {
        out.push_str(
            "**Not complete:** the bench was stopped; the same command goes on with it.\n\n",
        );
    }
    if !t.aims.is_empty() {
        out.push_str("## Aims\n\n");
        aims(&mut out, &t.aims);
    }
    for target in &t.targets {
        section(&mut out, t, target);
    }
    if !t.published.is_empty() {
        out.push_str("## Published values\n\n");
        t.published.iter().for_each(|p| published(&mut out, t, p));
    }
    out
}

fn section(out: &mut String, t: &BenchTable, target: &TargetRow) {
    let _ = write!(
        out,
        "## {}\n\n`{}`, d = {}",
        target.name, target.kind, target.dim
    );
    if let Some(z) = target.log_z {
        let se = if target.log_z_se > 0.0 {
            format!(" ± {}", number(target.log_z_se))
        } else {
            String::new()
        };
        let _ = write!(out, ", log Z = {}{se}", trimmed(z));
    }
    if let Some(budget) = target.budget {
        let _ = write!(out, ", budget {budget} evaluations");
    }
    out.push_str("\n\n");
    let has = |m: &Metric| {
        target.floor.contains_key(m) || target.rows.iter().any(|r| r.metrics.contains_key(m))
    };
    let shown: Vec<Metric> = t.metrics.iter().copied().filter(has).collect();
    let fitted = target.rows.iter().any(|r| r.fitted.is_some());
    let mut head = vec![String::new()];
    for m in &shown {
        head.push(m.title().into());
        if *m == Metric::LogZError {
            head.extend(["worst", "told"].map(String::from));
        }
    }
    head.extend(["evaluations", "s a run", "1/(mse s)", "runs"].map(String::from));
    if fitted {
        head.push("scaled".into());
    }
    let mut table = vec![head];
    for row in &target.rows {
        let mut cells = vec![row.sampler.clone()];
        for m in &shown {
            cells.push(spread(row.metrics.get(m)));
            if *m == Metric::LogZError {
                cells.push(optional(row.metrics.get(m).map(|s| s.worst)));
                cells.push(optional(row.told));
            }
        }
        let done = row.runs.len() - row.failed;
        cells.extend([
            format!("{:.0}", row.evaluations),
            number(row.seconds),
            optional(row.efficiency),
            format!("{done}/{}", t.seeds.len()),
        ]);
        if fitted {
            cells.push(
                row.fitted
                    .as_ref()
                    .map_or_else(|| "–".into(), |f| format!("`{}` = {}", f.key, f.value)),
            );
        }
        table.push(cells);
    }
    if !target.floor.is_empty() {
        let mut cells = vec!["*exact draws*".to_owned()];
        for m in &shown {
            cells.push(target.floor.get(m).map_or_else(
                || "–".into(),
                |f| format!("{} (95 % {})", number(f.mean), number(f.p95)),
            ));
            if *m == Metric::LogZError {
                cells.extend([String::new(), String::new()]);
            }
        }
        table.push(cells);
    }
    grid(out, &table);
    let notes: Vec<(&Row, &String)> = target
        .rows
        .iter()
        .flat_map(|r| r.notes.iter().map(move |n| (r, n)))
        .collect();
    if !notes.is_empty() {
        out.push('\n');
        for (row, note) in notes {
            let _ = writeln!(out, "- {}: {note}", row.sampler);
        }
    }
    out.push('\n');
}

fn aims(out: &mut String, all: &[Aimed]) {
    let mut names: Vec<&str> = Vec::new();
    for s in all.iter().flat_map(|a| &a.samplers) {
        if !names.contains(&s.sampler.as_str()) {
            names.push(&s.sampler);
        }
    }
    let mut head = vec![String::new(), "aim".into()];
    head.extend(names.iter().map(|n| (*n).to_owned()));
    head.push("reached".into());
    let mut table = vec![head];
    for a in all {
        let mut cells = vec![
            a.target.clone(),
            format!("|{}| ≤ {}", a.metric.title(), number(a.bound)),
        ];
        for name in &names {
            cells.push(match a.samplers.iter().find(|s| s.sampler == *name) {
                None => "–".into(),
                Some(s) => {
                    let mark = if s.met { "✓" } else { "✗" };
                    let outside = if s.outside > 0 {
                        format!(", {} of {} outside", s.outside, s.runs)
                    } else {
                        String::new()
                    };
                    format!("{mark} {}{outside}", optional(s.worst))
                }
            });
        }
        cells.push(if a.met { "yes" } else { "**no**" }.into());
        table.push(cells);
    }
    grid(out, &table);
    out.push_str("\nEach cell: the worst of all seeds, and how many are outside of the aim; none shall be.\n\n");
    for a in all.iter().filter(|a| !a.met) {
        let title = a.metric.title();
        match &a.nearest {
            None => {
                let _ = writeln!(out, "- {}, {title}: no run has a value.", a.target);
            }
            Some(nearest) => {
                let worst = a.samplers.iter().find(|s| s.sampler == *nearest);
                let worst = worst.map_or_else(String::new, |s| {
                    format!(
                        " (worst {}, {} of {} outside)",
                        optional(s.worst),
                        s.outside,
                        s.runs
                    )
                });
                let _ = writeln!(
                    out,
                    "- {}, {title}: no method reaches the aim; {nearest} comes nearest{worst}: {}.",
                    a.target,
                    a.why.join("; ")
                );
            }
        }
    }
    if all.iter().any(|a| !a.met) {
        out.push('\n');
    }
}

fn published(out: &mut String, t: &BenchTable, p: &Published) {
    let target = t.targets.iter().find(|x| x.name == p.target);
    let rows = target.map_or(&[][..], |x| &x.rows);
    let _ = writeln!(
        out,
        "**{}**, {}. Source: {}. What differs: {}\n",
        p.target,
        p.metric.title(),
        p.source,
        p.differs
    );
    let ours = |name: &str| rows.iter().find(|r| r.sampler.eq_ignore_ascii_case(name));
    let mut table = vec![["method", "ours", "published"].map(String::from).to_vec()];
    for row in rows
        .iter()
        .filter(|r| !p.values.keys().any(|k| k.eq_ignore_ascii_case(&r.sampler)))
    {
        table.push(vec![
            row.sampler.clone(),
            spread(row.metrics.get(&p.metric)),
            "–".into(),
        ]);
    }
    for (name, value) in &p.values {
        let theirs = match p.spreads.get(name) {
            Some(s) => format!("{value} ± {s}"),
            None => format!("{value}"),
        };
        table.push(vec![
            name.clone(),
            spread(ours(name).and_then(|r| r.metrics.get(&p.metric))),
            theirs,
        ]);
    }
    if let Some(f) = target.and_then(|x| x.floor.get(&p.metric)) {
        table.push(vec![
            "*exact draws*".into(),
            format!("{} (95 % {})", number(f.mean), number(f.p95)),
            "–".into(),
        ]);
    }
    grid(out, &table);
    out.push('\n');
}

/// A table of Markdown with columns of one width, the first to the left and the others to the right.
fn grid(out: &mut String, table: &[Vec<String>]) {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &[String], k: usize| {
        row.get(k)
            .map_or_else(String::new, |c| c.replace('|', "\\|"))
    };
    let widths: Vec<usize> = (0..columns)
        .map(|k| {
            table
                .iter()
                .map(|r| cell(r, k).chars().count())
                .max()
                .unwrap_or(0)
                .max(3)
        })
        .collect();
    for (i, row) in table.iter().enumerate() {
        let cells = widths.iter().enumerate().map(|(k, w)| {
            let text = cell(row, k);
            let pad = " ".repeat(w - text.chars().count());
            if k == 0 {
                format!(" {text}{pad} ")
            } else {
                format!(" {pad}{text} ")
            }
        });
        let _ = writeln!(out, "|{}|", cells.collect::<Vec<_>>().join("|"));
        if i == 0 {
            let rules = widths.iter().enumerate().map(|(k, w)| match k {
                0 => "-".repeat(w + 2),
                _ => format!("{}:", "-".repeat(w + 1)),
            });
            let _ = writeln!(out, "|{}|", rules.collect::<Vec<_>>().join("|"));
        }
    }
}

/// A line for each run.
pub(super) fn csv(t: &BenchTable) -> String {
    let measured: Vec<Metric> = t.metrics.clone();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut head: Vec<String> = [
        "target", "sampler", "seed", "key", "value", "log_z", "log_z_se",
    ]
    .map(String::from)
    .to_vec();
    head.extend(measured.iter().map(|m| m.key().to_owned()));
    head.extend(["evaluations", "seconds", "warnings", "failure"].map(String::from));
    // Writing into memory does not fail.
    let _ = writer.write_record(&head);
    let full = |v: Option<f64>| v.map_or_else(String::new, |v| format!("{v}"));
    for target in &t.targets {
        for row in &target.rows {
            for run in &row.runs {
                let fitted = row.fitted.as_ref();
                let mut line = vec![
                    target.name.clone(),
                    row.sampler.clone(),
                    run.seed.to_string(),
                    fitted.map_or_else(String::new, |f| f.key.clone()),
                    fitted.map_or_else(String::new, |f| f.value.to_string()),
                    full(run.log_z),
                    full(run.standard_error),
                ];
                line.extend(measured.iter().map(|m| full(run.metrics.get(m).copied())));
                let warnings: Vec<&str> = run.warnings.keys().map(String::as_str).collect();
                line.extend([
                    run.evaluations.to_string(),
                    format!("{}", run.seconds),
                    warnings.join(" "),
                    run.failure.clone().unwrap_or_default(),
                ]);
                let _ = writer.write_record(&line);
            }
        }
    }
    writer
        .into_inner()
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

fn spread(s: Option<&Spread>) -> String {
    match s {
        None => "–".into(),
        Some(Spread {
            mean, sd: Some(sd), ..
        }) => format!("{} ± {}", number(*mean), number(*sd)),
        Some(s) => number(s.mean),
    }
}

fn optional(v: Option<f64>) -> String {
    v.map_or_else(|| "–".into(), number)
}

/// A known value with what digits it has, six after the point at most.
fn trimmed(v: f64) -> String {
    let text = format!("{v:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".into()
    } else {
        text.to_owned()
    }
}

/// Three significant digits.
fn number(v: f64) -> String {
    let size = v.abs();
    match v {
        0.0 => "0".into(),
        _ if !v.is_finite() => format!("{v}"),
        _ if (1e-4..1e6).contains(&size) => {
            let digits = 2 - (size.log10().floor() as i32);
            format!("{v:.*}", usize::try_from(digits).unwrap_or(0))
        }
        _ => format!("{v:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let all = [0.0, -0.012345, 1.0, 12.345, 678.9, 123_456.0, 1.5e7, 1e-9];
        let shown = [
            "0", "-0.0123", "1.00", "12.3", "679", "123456", "1.50e7", "1.00e-9",
        ];
        assert_eq!(all.map(number), shown);
        assert_eq!(
            [0.0, -111.608, 1.187_749_103_23].map(trimmed),
            ["0", "-111.608", "1.187749"]
        );
    }

    #[test]
    fn tables_are_markdown() {
        let mut out = String::new();
        let rows = [["", "|a|"], ["smc", "1"]];
        grid(&mut out, &rows.map(|r| r.map(String::from).to_vec()));
        assert_eq!(out, "|     | \\|a\\| |\n|-----|------:|\n| smc |     1 |\n");
    }
}
