//! `compare`: two finished runs side by side.

use crate::args::CompareArgs;
use crate::outcome::{Exit, Output};
use crate::show::{align, number};
use retrograde::job::compare::{
    Both, ComparedRun, Comparison, CoordinateDifference, Distance, Floor, Level, LogZDifference,
    ModeCounts, Modes, compare as compare_runs,
};
use serde_json::json;
use std::fmt::Write;

/// Most coordinates that are shown.
const MOST: usize = 20;
/// Most missed modes that are named.
const MOST_MODES: usize = 12;

pub(crate) fn compare(args: &CompareArgs, out: &Output) -> Exit {
    let registry = match crate::plugins::registry(out) {
        Ok(registry) => registry,
        Err(e) => return out.error(&e.into()),
    };
    match compare_runs(&args.first, &args.second, &registry) {
        Err(e) => out.error(&e),
        Ok(c) => {
            out.result(|| json!({ "comparison": c }), || text(&c));
            Exit::Ok
        }
    }
}

fn text(c: &Comparison) -> String {
    let mut out = format!("target {}, dimension {}\n", c.target, c.dim);
    run(&mut out, 'A', &c.runs.a);
    run(&mut out, 'B', &c.runs.b);
    out.push('\n');
    coordinates(&mut out, &c.coordinates);
    out.push('\n');
    distances(&mut out, c);
    if let Some(m) = &c.modes {
        out.push('\n');
        modes(&mut out, m);
    }
    if let Some(z) = &c.log_z {
        out.push('\n');
        log_z(&mut out, z);
    }
    let _ = writeln!(out, "\n{}", c.verdict.text);
    out
}

fn run(out: &mut String, name: char, r: &ComparedRun) {
    let chains = if r.chains > 1 {
        format!(" in {} chains", r.chains)
    } else {
        String::new()
    };
    let weighted = if r.weighted { " weighted" } else { "" };
    let _ = writeln!(
        out,
        "{name}  sampler {}, {}{weighted} draws{chains}, seed {}; {}",
        r.sampler, r.draws, r.seed, r.directory
    );
}

fn or_dash(v: Option<f64>) -> String {
    v.map_or_else(|| "–".into(), number)
}

/// A multiple of a standard error or of a noise floor.
fn multiple(v: Option<f64>) -> String {
    v.map_or_else(
        || "–".into(),
        |v| {
            let text = format!("{v:.1}");
            if text == "-0.0" { "0.0".into() } else { text }
        },
    )
}

fn coordinates(out: &mut String, all: &[CoordinateDifference]) {
    let truths = all.iter().any(|c| c.true_mean.is_some());
    let mut head = vec!["", "mean A", "mean B", "z", "sd A", "sd B", "z"];
    if truths {
        head.push("true mean");
    }
    let mut table = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for c in all.iter().take(MOST) {
        let mut row = vec![
            c.name.clone(),
            or_dash(c.mean.a),
            or_dash(c.mean.b),
            multiple(c.mean_z),
            or_dash(c.sd.a),
            or_dash(c.sd.b),
            multiple(c.sd_z),
        ];
        if truths {
            row.push(c.true_mean.map_or_else(String::new, number));
        }
        table.push(row);
    }
    align(out, &table);
    if all.len() > MOST {
        let _ = writeln!(out, "… and {} more with --json", all.len() - MOST);
    }
}

fn distances(out: &mut String, c: &Comparison) {
    let truth = c.distances.iter().any(|d| d.to_truth.is_some());
    let mut head = vec!["distance", "points", "noise floor", "A to B", "× floor"];
    if truth {
        head.extend(["A to exact", "× floor", "B to exact", "× floor"]);
    }
    let mut table = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    let cells = |l: &Level| [number(l.value), multiple(l.times_floor)];
    for d in &c.distances {
        let Distance {
            name,
            points,
            floor,
            between,
            to_truth,
        } = d;
        let mut row = vec![name.clone(), points.to_string(), number(*floor)];
        row.extend(cells(between));
        if let Some(Both { a, b }) = to_truth {
            row.extend(cells(a));
            row.extend(cells(b));
        }
        table.push(row);
    }
    align(out, &table);
    let made_of = match c.floor {
        Floor::ExactPairs => "100 pairs of exact samples",
        Floor::Divisions => "100 random divisions of the pooled draws",
    };
    let why = c
        .no_truth
        .as_ref()
        .map_or_else(String::new, |why| format!(" ({why})"));
    let _ = writeln!(
        out,
        "noise floor: the 95 % point of {made_of}{why}; independent draws"
    );
}

fn modes(out: &mut String, m: &Modes) {
    let mut table = vec![vec![
        "modes".into(),
        "A".into(),
        "B".into(),
        "noise floor".into(),
    ]];
    let mut row = |name: &str, of: &dyn Fn(&ModeCounts) -> String, floor: String| {
        table.push(vec![name.to_owned(), of(&m.a), of(&m.b), floor]);
    };
    row(
        "found",
        &|c| format!("{} of {}", c.found, m.modes),
        String::new(),
    );
    let floor = m.weight_error_floor.map_or_else(String::new, number);
    row("weight error", &|c| number(c.weight_error), floor);
    row(
        "far from all",
        &|c| format!("{:.1} %", 100.0 * c.stray),
        String::new(),
    );
    align(out, &table);
    for (name, c) in [('A', &m.a), ('B', &m.b)] {
        if c.missed.is_empty() {
            continue;
        }
        let mut list: Vec<String> = c
            .missed
            .iter()
            .take(MOST_MODES)
            .map(ToString::to_string)
            .collect();
        if c.missed.len() > MOST_MODES {
            list.push(format!("… {} more", c.missed.len() - MOST_MODES));
        }
        let _ = writeln!(out, "{name} misses {} (counted from 0)", list.join(", "));
    }
}

fn log_z(out: &mut String, z: &LogZDifference) {
    let with = |v: Option<f64>, se: Option<f64>| match (v, se) {
        (None, _) => "–".to_owned(),
        (Some(v), None) => format!("{v:.4}"),
        (Some(v), Some(se)) => format!("{v:.4} ± {se:.4}"),
    };
    let _ = write!(
        out,
        "log Z: A {}, B {}",
        with(z.value.a, z.se.a),
        with(z.value.b, z.se.b)
    );
    if z.difference.is_some() {
        let _ = write!(out, ", difference {}", with(z.difference, z.difference_se));
    }
    if let Some(truth) = z.truth {
        let _ = write!(out, "; known {truth:.4}");
    }
    out.push('\n');
}
