//! Reports as text for a terminal.

use anstyle::{AnsiColor, Style};
use retrograde::core::Kind;
use retrograde::job::{Coordinate, Report, Status, Verdict};
use std::fmt::Write;

fn paint(color: AnsiColor, text: &str) -> String {
    let style = Style::new().fg_color(Some(color.into())).bold();
    format!("{style}{text}{style:#}")
}

pub(crate) fn red(text: &str) -> String {
    paint(AnsiColor::Red, text)
}

pub(crate) fn yellow(text: &str) -> String {
    paint(AnsiColor::Yellow, text)
}

pub(crate) fn cyan(text: &str) -> String {
    paint(AnsiColor::Cyan, text)
}

/// Four significant digits, as short as they can be; `–` for what could not be computed.
pub(crate) fn number(v: f64) -> String {
    let size = v.abs();
    match v {
        v if v.is_nan() => "–".into(),
        _ if v.is_infinite() => format!("{v}"),
        0.0 => "0".into(),
        _ if (1e-3..1e5).contains(&size) => {
            let digits = 3 - (size.log10().floor() as i32).clamp(0, 3);
            // Below 1 as many digits more as there are zeros.
            let zeros = (-size.log10().floor() as i32).max(0);
            format!(
                "{v:.*}",
                usize::try_from(digits + zeros).unwrap_or(3).min(7)
            )
        }
        _ => format!("{v:.3e}"),
    }
}

/// The text of a report; at most `rows` coordinates.
pub(crate) fn report(r: &Report, rows: usize) -> String {
    let mut out = String::new();
    let kinds: Vec<String> = Kind::ALL
        .into_iter()
        .map(|k| (k.word(), r.component(k)))
        .filter(|(_, name)| !name.is_empty())
        .map(|(word, name)| format!("{word} {name}"))
        .collect();
    let chains = if r.chains > 1 {
        format!("{} chains × ", r.chains)
    } else {
        String::new()
    };
    let _ = writeln!(
        out,
        "{}, dimension {}, {chains}{} draws, seed {}",
        kinds.join(", "),
        r.dim,
        r.draws_per_chain,
        r.seed
    );
    let e = &r.evaluations;
    let _ = writeln!(
        out,
        "evaluations: {} densities, {} gradients, {} scores in {} steps",
        e.density_evals, e.gradient_evals, e.score_evals, r.steps
    );
    if let Some(z) = r.log_z {
        let se =
            z.se.map_or_else(|| " (no standard error)".into(), |se| format!(" ± {se:.4}"));
        let _ = writeln!(out, "log Z = {:.4}{se}", z.value);
    }
    out.push('\n');
    // A run that was stopped early has kept no draws.
    if !r.coordinates.is_empty() {
        coordinates(&mut out, &r.coordinates, rows);
        out.push('\n');
    }
    verdicts(&mut out, &r.verdicts);
    out
}

fn coordinates(out: &mut String, all: &[Coordinate], rows: usize) {
    let truths = all.iter().any(|c| c.truth.is_some());
    let mut table = vec![vec![
        "".to_owned(),
        "mean".into(),
        "mcse".into(),
        "sd".into(),
        "5%".into(),
        "50%".into(),
        "95%".into(),
        "ESS bulk".into(),
        "ESS tail".into(),
        "R-hat".into(),
    ]];
    if truths {
        table[0].push("true mean".into());
    }
    for c in all.iter().take(rows) {
        let whole = |v: f64| {
            if v.is_nan() {
                "–".into()
            } else {
                format!("{v:.0}")
            }
        };
        let mut row = vec![c.name.clone()];
        row.extend([c.mean, c.mcse_mean, c.sd, c.q05, c.q50, c.q95].map(number));
        row.extend([whole(c.ess_bulk), whole(c.ess_tail)]);
        row.push(if c.rhat.is_nan() {
            "–".into()
        } else {
            format!("{:.3}", c.rhat)
        });
        if truths {
            row.push(c.truth.map_or_else(String::new, number));
        }
        table.push(row);
    }
    align(out, &table);
    if all.len() > rows {
        let _ = writeln!(out, "… and {} more in report.json", all.len() - rows);
    }
}

/// Columns right-aligned, the first left.
pub(crate) fn align(out: &mut String, table: &[Vec<String>]) {
    let columns = table.first().map_or(0, Vec::len);
    let width = |k: usize| {
        table
            .iter()
            .filter_map(|r| r.get(k))
            .map(|c| c.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in table {
        let mut line = String::new();
        for (k, (cell, w)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(w - cell.chars().count());
            match k {
                0 => line.push_str(&format!("{cell}{pad}")),
                _ => line.push_str(&format!("  {pad}{cell}")),
            }
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

pub(crate) fn verdicts(out: &mut String, all: &[Verdict]) {
    for v in all {
        let mark = match v.status {
            Status::Fail => red("FAIL"),
            Status::Warn => yellow("WARN"),
            Status::Note => cyan("NOTE"),
            Status::Pass => paint(AnsiColor::Green, "PASS"),
        };
        let _ = writeln!(out, "{mark}  {}: {}", v.check, v.text);
        if !v.advice.is_empty() {
            let _ = writeln!(out, "      → {}", v.advice);
        }
    }
}
