//! The page, from top to bottom.

use crate::pictures::{Picture, every};
use crate::report::{Coordinate, Report};
use crate::verdicts::Status;
use std::fmt::Write;

/// Rows of the table of coordinates.
const ROWS: usize = 200;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It goes on; numbers are from every so many draws.
    Running(usize),
    /// It ended, complete or not: the report says which.
    Ended,
}

/// The page of a report; `job` is its text in TOML.
pub(crate) fn page(r: &Report, pictures: &[Picture], job: &str, stage: Stage) -> String {
    let mut out = String::new();
    let target = r.components.get("target").map_or("", String::as_str);
    let sampler = r.components.get("sampler").map_or("", String::as_str);
    let title = escape(&format!("{target} by {sampler}"));
    // A browser that shows a run as it goes looks again.
    let refresh = match stage {
        Stage::Running(_) => "<meta http-equiv=\"refresh\" content=\"30\">\n",
        Stage::Ended => "",
    };
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{refresh}\
         <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
        include_str!("style.css")
    );
    banner(&mut out, r, stage);
    facts(&mut out, r);
    verdicts(&mut out, r, stage);
    for p in pictures {
        let _ = writeln!(
            out,
            "<h2>{}</h2>\n<figure id=\"{}\">\n{}\n<figcaption>{}</figcaption>\n</figure>",
            escape(&p.title),
            p.name,
            p.svg,
            escape(&p.caption)
        );
    }
    coordinates(&mut out, &r.coordinates);
    scalars(&mut out, r);
    let _ = writeln!(
        out,
        "<h2>Job</h2>\n<p class=\"quiet\">With every default filled in, without what changes no bits \
         (threads, output).</p>\n<pre>{}</pre>",
        escape(job.trim_end())
    );
    let _ = writeln!(
        out,
        "<p class=\"quiet\">Made by {} ({}). Times and memory are in timing.json, all numbers in \
         report.json; the same job and seed give this page byte for byte.</p>\n</body>\n</html>",
        escape(&r.program),
        std::env::consts::ARCH
    );
    out
}

fn banner(out: &mut String, r: &Report, stage: Stage) {
    let text = match stage {
        Stage::Running(stride) => {
            let thinned = if stride > 1 {
                format!(" Numbers and pictures are from {} so far.", every(stride))
            } else {
                String::new()
            };
            format!(
                "This run was still going on when this page was written, after step {}; what follows is \
                 provisional.{thinned}",
                r.steps
            )
        }
        Stage::Ended if !r.complete => "This run did not come to its end.".into(),
        Stage::Ended => return,
    };
    let _ = writeln!(out, "<p class=\"banner\">{text}</p>");
}

fn facts(out: &mut String, r: &Report) {
    let mut rows: Vec<(&str, String)> = r
        .components
        .iter()
        .map(|(kind, name)| (kind.as_str(), name.clone()))
        .collect();
    rows.push(("dimension", r.dim.to_string()));
    let draws = if r.chains > 1 {
        format!("{} chains × {}", r.chains, r.draws_per_chain)
    } else {
        r.draws_per_chain.to_string()
    };
    rows.push(("draws", format!("{draws} (asked for: {})", r.draws)));
    rows.push(("seed", r.seed.to_string()));
    let e = &r.evaluations;
    rows.push((
        "evaluations",
        format!(
            "{} densities, {} gradients, {} scores in {} steps",
            e.density_evals, e.gradient_evals, e.score_evals, r.steps
        ),
    ));
    if let Some(z) = r.log_z {
        let se =
            z.se.map_or_else(|| " (no standard error)".into(), |se| format!(" ± {se:.4}"));
        let known = z.truth.map_or_else(String::new, |t| {
            let se = if z.truth_se > 0.0 {
                format!(" ± {}", number(z.truth_se))
            } else {
                String::new()
            };
            format!("; known: {t:.4}{se}")
        });
        rows.push(("log Z", format!("{:.4}{se}{known}", z.value)));
    }
    if let Some(w) = r.weights {
        rows.push((
            "weights",
            format!(
                "ESS {}, perplexity {}, largest share {}, Pareto k {}",
                number(w.ess),
                number(w.perplexity),
                number(w.largest),
                number(w.pareto_k)
            ),
        ));
    }
    out.push_str("<table class=\"text\">\n");
    for (key, value) in rows {
        let _ = writeln!(
            out,
            "<tr><th>{}</th><td>{}</td></tr>",
            escape(key),
            escape(&value)
        );
    }
    out.push_str("</table>\n");
}

fn verdicts(out: &mut String, r: &Report, stage: Stage) {
    let running = stage != Stage::Ended;
    // That a running one is not complete goes without saying.
    let all = r
        .verdicts
        .iter()
        .filter(|v| !running || v.check != "complete");
    out.push_str("<h2>Verdicts</h2>\n<table class=\"text\">\n");
    for v in all {
        let (class, word) = match v.status {
            Status::Fail => ("fail", "FAIL"),
            Status::Warn => ("warn", "WARN"),
            Status::Note => ("note", "NOTE"),
            Status::Pass => ("pass", "PASS"),
        };
        let advice = if v.advice.is_empty() {
            String::new()
        } else {
            format!("<br><span class=\"advice\">→ {}</span>", escape(&v.advice))
        };
        let _ = writeln!(
            out,
            "<tr><td class=\"{class}\">{word}</td><td>{}</td><td>{}{advice}</td></tr>",
            escape(&v.check),
            escape(&v.text)
        );
    }
    out.push_str("</table>\n");
}

fn coordinates(out: &mut String, all: &[Coordinate]) {
    if all.is_empty() {
        return;
    }
    let truths = all.iter().any(|c| c.truth.is_some());
    out.push_str("<h2>Summary</h2>\n<div class=\"wide\"><table>\n<tr><th></th>");
    let names = [
        "mean", "mcse", "sd", "5 %", "50 %", "95 %", "ESS bulk", "ESS tail", "R-hat",
    ];
    for name in names.into_iter().chain(truths.then_some("known mean")) {
        let _ = write!(out, "<th>{name}</th>");
    }
    out.push_str("</tr>\n");
    for c in all.iter().take(ROWS) {
        let mut cells: Vec<String> = [c.mean, c.mcse_mean, c.sd, c.q05, c.q50, c.q95]
            .map(number)
            .into();
        let plain = |v: f64, digits: usize| {
            if v.is_nan() {
                "–".into()
            } else {
                format!("{v:.digits$}")
            }
        };
        cells.extend([plain(c.ess_bulk, 0), plain(c.ess_tail, 0), plain(c.rhat, 3)]);
        if truths {
            cells.push(c.truth.map_or_else(String::new, number));
        }
        let _ = write!(out, "<tr><td>{}</td>", escape(&c.name));
        for cell in cells {
            let _ = write!(out, "<td>{cell}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
    if all.len() > ROWS {
        let _ = writeln!(
            out,
            "<p class=\"quiet\">… and {} more in report.json.</p>",
            all.len() - ROWS
        );
    }
}

fn scalars(out: &mut String, r: &Report) {
    if r.scalars.is_empty() {
        return;
    }
    out.push_str("<h2>Numbers of the sampler</h2>\n<table>\n");
    for (key, value) in &r.scalars {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td></tr>",
            escape(key),
            number(*value)
        );
    }
    out.push_str("</table>\n");
}

/// Four significant digits.
fn number(v: f64) -> String {
    let size = v.abs();
    if v.is_nan() {
        "–".into()
    } else if v == 0.0 {
        "0".into()
    } else if v.is_infinite() {
        v.to_string()
    } else if (1e-3..1e6).contains(&size) {
        let digits = (3 - size.log10().floor() as i32).clamp(0, 7);
        format!("{v:.*}", usize::try_from(digits).unwrap_or(0))
    } else {
        format!("{v:.3e}")
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits() {
        let all = [
            0.0,
            1234.5678,
            -0.001_234_56,
            12.0,
            1e-9,
            3e7,
            f64::NAN,
            f64::INFINITY,
        ];
        let shown = all.map(number).join(" ");
        assert_eq!(shown, "0 1235 -0.001235 12.00 1.000e-9 3.000e7 – inf");
    }

    #[test]
    fn names_cannot_break_the_page() {
        assert_eq!(
            escape("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
    }
}
