//! Checks of samplers.

mod law;
mod runs;

use super::report::Desk;
use super::slot::{Claims, Object, reasoned, words};
use super::{Bench, claims, common, leaks};
use retrograde_abi::rg_sampler_vtable;
use retrograde_bridge::foreign::Foreign;
use runs::{Ended, How, Subject, difference};
use std::sync::{Arc, Barrier};
use std::time::Duration;

/// Draws that are asked for: the first number that a sampler takes.
const DRAWS: [usize; 8] = [2000, 2048, 1000, 256, 100, 64, 10, 1];
/// Threads that run at once, for about this long each.
const THREADS: usize = 8;
const RACE: Duration = Duration::from_millis(300);

pub(crate) fn look(bench: &Bench<'_>, made: &Arc<Foreign<rg_sampler_vtable>>, dim: usize) {
    let desk = bench.desk;
    let (object, table) = made.raw();
    let subject = Subject {
        object: Object(object),
        table: *table,
        dim,
    };
    few(desk, &subject);
    let Some((n, run)) = whole(desk, &subject) else {
        return;
    };
    reproducible(desk, &subject, n, &run);
    saved(bench, &subject, n, &run, dim);
    cancel(desk, &subject, n, &run);
    threads(desk, &subject, claims(table), n, &run);
    if run.done {
        law::look(desk, &run.sink, dim);
    }
    leaks::<rg_sampler_vtable>(bench, dim, "start(), one step() and end()", || {
        let how = How {
            most: 1,
            quiet: true,
            ..How::new(desk.seed, n)
        };
        runs::go(desk, &subject, &how).map(drop).map_err(|e| e.text)
    });
}

/// Runs of no draw and of one, which may be refused, with a reason.
fn few(desk: &Desk<'_>, subject: &Subject) {
    for n in [0, 1] {
        match runs::go(desk, subject, &How::new(desk.seed, n)) {
            Ok(run) if run.done && run.sink.len() != n => desk.fail(
                "draws",
                format!("a run of {n} draws left {}", run.sink.len()),
            ),
            Ok(_) => desk.ok("few draws", format!("a run of {n} draws")),
            Err(e) if e.reasoned => {
                desk.ok(
                    "few draws",
                    format!("a run of {n} draws is refused: {}", e.text),
                );
            }
            Err(e) => desk.warn(
                "reasons",
                format!("{} (a run of {n} draws): say why by host->fail", e.text),
            ),
        }
    }
}

/// A whole run, of the first number of draws that it takes.
fn whole(desk: &Desk<'_>, subject: &Subject) -> Option<(usize, Ended)> {
    let mut first = None;
    for n in DRAWS {
        match runs::go(desk, subject, &How::new(desk.seed, n)) {
            Ok(run) => {
                if !run.done {
                    desk.warn(
                        "draws",
                        format!("a run of {n} draws is not done after {} steps and {:.1} s; what follows looks at \
                                 its first steps", run.steps, run.took.as_secs_f64()),
                    );
                } else if run.sink.len() == n {
                    desk.ok(
                        "draws",
                        format!(
                            "{n} draws of {n} in {} steps, {:.2} s",
                            run.steps,
                            run.took.as_secs_f64()
                        ),
                    );
                } else {
                    desk.fail(
                        "draws",
                        format!("a run of {n} draws left {}", run.sink.len()),
                    );
                }
                if run.guard {
                    desk.fail("guards", "save() wrote past the end of its buffer");
                }
                let finite = run.sink.rows().iter().all(|v| v.is_finite());
                if !finite {
                    desk.fail("draws", "some of the draws are not finite");
                }
                return Some((n, run));
            }
            Err(e) if e.in_start => {
                first.get_or_insert(e.text);
            }
            Err(e) => {
                desk.fail("draws", format!("{} (a run of {n} draws)", e.text));
                if !e.reasoned {
                    desk.warn("reasons", format!("{}: say why by host->fail", e.text));
                }
                return None;
            }
        }
    }
    let why = first.unwrap_or_default();
    desk.fail(
        "draws",
        format!("no run could be begun, of 1 to 2048 draws: {why}"),
    );
    None
}

fn reproducible(desk: &Desk<'_>, subject: &Subject, n: usize, run: &Ended) {
    let again = |seed| {
        runs::go(
            desk,
            subject,
            &How {
                most: run.steps,
                ..How::new(seed, n)
            },
        )
    };
    match (again(desk.seed), again(desk.seed.wrapping_add(1))) {
        (Ok(same), Ok(other)) => {
            if let Some(how) = difference(&run.sink, &same.sink) {
                desk.fail(
                    "reproducible",
                    format!("the same seed gives other draws: {how}"),
                );
            } else if n > 0 && run.sink.len() > 1 && difference(&run.sink, &other.sink).is_none() {
                desk.fail(
                    "reproducible",
                    "every seed gives the same draws: take random numbers from the call, by host->rng_normal",
                );
            } else {
                desk.ok(
                    "reproducible",
                    "the same seed gives the same bits, another seed others",
                );
            }
        }
        (Err(e), _) | (_, Err(e)) => desk.fail("reproducible", format!("a second run: {}", e.text)),
    }
}

/// A run that is saved, and taken up by another object, has the bits of the whole one.
fn saved(bench: &Bench<'_>, subject: &Subject, n: usize, run: &Ended, dim: usize) {
    let desk = bench.desk;
    if subject.table.save.is_none() {
        return desk.ok(
            "saved states",
            "it has no save(): a resumed run begins again at its first step",
        );
    }
    let other = match bench.make::<rg_sampler_vtable>(dim) {
        Ok(other) => other,
        Err(e) => {
            return desk.fail(
                "saved states",
                format!("a second one could not be made: {e}"),
            );
        }
    };
    let (object, table) = other.raw();
    let other = Subject {
        object: Object(object),
        table: *table,
        dim,
    };
    let mut places = vec![1, run.steps / 4, run.steps / 2, run.steps.saturating_sub(1)];
    places.retain(|k| (1..run.steps).contains(k));
    places.dedup();
    if places.is_empty() {
        return desk.ok(
            "saved states",
            "a run is one step; there is nothing between steps to be saved",
        );
    }
    let mut size = 0;
    for k in &places {
        let outcome = interrupted(desk, subject, &other, n, *k, run.steps);
        let found = match outcome {
            Ok((found, bytes)) => {
                size = bytes;
                found
            }
            Err(why) => return desk.fail("saved states", why),
        };
        let Some(found) = found else {
            return desk.ok(
                "saved states",
                "save() returns RG_ERR_UNSUPPORTED: a resumed run begins again",
            );
        };
        if let Some(how) = difference(&run.sink, &found) {
            return desk.fail(
                "saved states",
                format!("a run that is saved after step {k} and loaded goes on with other draws than the whole one: {how}"),
            );
        }
    }
    let places: Vec<_> = places.iter().map(ToString::to_string).collect();
    desk.ok(
        "saved states",
        format!("runs that go on from bytes ({size} of them) saved after step {} have the bits of the whole one", places.join(", ")),
    );
}

type Found = (Option<retrograde_core::Collected>, usize);

fn interrupted(
    desk: &Desk<'_>,
    subject: &Subject,
    other: &Subject,
    n: usize,
    k: usize,
    steps: usize,
) -> Result<Found, String> {
    let first = How {
        most: k,
        save: true,
        ..How::new(desk.seed, n)
    };
    let first = runs::go(desk, subject, &first).map_err(|e| e.text)?;
    if first.guard {
        return Err("save() wrote past the end of its buffer".into());
    }
    let Some(bytes) = first.saved else {
        return Ok((None, 0));
    };
    let size = bytes.len();
    let second = How {
        from: Some((k, bytes)),
        most: steps - k,
        sink: Some(first.sink),
        ..How::new(desk.seed, n)
    };
    let second = runs::go(desk, other, &second)
        .map_err(|e| format!("{} (a run saved after step {k})", e.text))?;
    Ok((Some(second.sink), size))
}

fn cancel(desk: &Desk<'_>, subject: &Subject, n: usize, run: &Ended) {
    let how = How {
        most: 1,
        cancel: true,
        ..How::new(desk.seed, n)
    };
    match runs::go(desk, subject, &how) {
        // What start() does before it looks is not a step.
        Ok(stopped) if stopped.longest > common::CANCEL => desk.warn(
            "cancel",
            format!(
                "a step goes on for {:.1} s after it was asked to stop: look at host->cancelled more often",
                stopped.longest.as_secs_f64()
            ),
        ),
        Err(e) if !e.cancelled => desk.warn(
            "cancel",
            format!("{} when it was asked to stop; RG_ERR_CANCELLED says so", e.text),
        ),
        _ => desk.ok(
            "cancel",
            format!("back within 100 ms of being asked to stop; a step takes {:.1e} s at most", run.longest.as_secs_f64()),
        ),
    }
}

fn threads(desk: &Desk<'_>, subject: &Subject, claims: Claims, n: usize, run: &Ended) {
    if !claims.concurrent {
        return;
    }
    let share = RACE.as_secs_f64() / run.took.as_secs_f64().max(1e-9);
    let most = ((run.steps as f64 * share) as usize).clamp(1, run.steps);
    let how = |k: usize, quiet| How {
        most,
        quiet,
        ..How::new(desk.seed.wrapping_add(k as u64), n)
    };
    let alone: Vec<_> = (0..THREADS)
        .map(|k| runs::go(desk, subject, &how(k, false)))
        .collect();
    desk.at(&format!("step() of {THREADS} runs at once"));
    let barrier = Barrier::new(THREADS);
    let wrong: Vec<Option<String>> = std::thread::scope(|scope| {
        let all: Vec<_> = alone
            .iter()
            .enumerate()
            .map(|(k, alone)| {
                let (barrier, how) = (&barrier, how(k, true));
                scope.spawn(move || {
                    barrier.wait();
                    let run = runs::go(desk, subject, &how);
                    match (alone, run) {
                        (Ok(alone), Ok(run)) => difference(&alone.sink, &run.sink),
                        (Ok(_), Err(e)) => Some(e.text),
                        (Err(_), _) => None,
                    }
                })
            })
            .collect();
        all.into_iter()
            .map(|t| t.join().unwrap_or_else(|_| Some("a panic".into())))
            .collect()
    });
    match wrong.into_iter().flatten().next() {
        Some(how) => desk.fail(
            "threads",
            format!("{THREADS} runs at once give other draws than one by one, though its table says RG_THREAD_CONCURRENT: {how}"),
        ),
        None => desk.ok(
            "threads",
            format!("{THREADS} runs of {most} steps at once have the bits of each alone, as RG_THREAD_CONCURRENT says"),
        ),
    }
}

/// Words for a function of a sampler that failed.
fn failed(name: &str, said: &retrograde_bridge::probe::Said) -> (String, bool) {
    (format!("{name}() {}", words(said)), reasoned(said))
}
