//! What every function of rows must keep: sizes of batches, its arrays, its capabilities, its reasons.

use super::report::Desk;
use super::slot::{Called, How, Rows, Slot, code, reasoned, words};
use std::sync::Barrier;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Rows that are evaluated one by one.
const ALONE: usize = 64;
/// Threads that call at once.
const THREADS: usize = 8;
/// How long they do, at least, and how often.
const RACE: Duration = Duration::from_millis(60);
const RACES: usize = 3;
/// A call must look at the cancel flag this often.
pub(crate) const CANCEL: Duration = Duration::from_millis(100);

/// The findings of one check over all functions: one line for those that passed.
struct Tally {
    check: &'static str,
    passed: Vec<&'static str>,
    failed: bool,
}

/// The most functions that are named one by one.
const NAMED: usize = 4;

impl Tally {
    fn new(check: &'static str) -> Self {
        Self {
            check,
            passed: Vec::new(),
            failed: false,
        }
    }

    /// Writes the failures of a function down, or notes that it passed.
    fn of(&mut self, desk: &Desk<'_>, slot: &Slot<'_>, mut failures: Vec<String>) {
        failures.sort();
        failures.dedup();
        if failures.is_empty() {
            self.passed.push(slot.name);
        }
        for failure in failures {
            self.failed = true;
            desk.fail(self.check, format!("{}() {failure}", slot.name));
        }
    }

    fn end(self, desk: &Desk<'_>, what: &str) {
        let who = match self.passed.len() {
            0 => return,
            n if n > NAMED && !self.failed => format!("{n} functions"),
            _ => self.passed.join(", "),
        };
        desk.ok(self.check, format!("{who}: {what}"));
    }
}

/// Whether all bits are the same.
fn same(a: &[Vec<f64>], b: &[Vec<f64>]) -> bool {
    a.iter().zip(b).all(|(a, b)| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
    })
}

/// The first place where outputs differ, in words.
fn difference(slot: &Slot<'_>, a: &[Vec<f64>], b: &[Vec<f64>]) -> String {
    for ((array, a), b) in slot.outputs.iter().zip(a).zip(b) {
        let place = a
            .iter()
            .zip(b)
            .position(|(a, b)| a.to_bits() != b.to_bits());
        if let Some(i) = place {
            let row = i / array.columns.max(1);
            return format!("`{}` of row {row} is {} and {}", array.name, a[i], b[i]);
        }
    }
    "outputs of other lengths".into()
}

/// Looks at every slot. Gives those that can be called at all, for the checks of their numbers.
pub(crate) fn look<'s, 'a>(desk: &Desk<'_>, slots: &'s [Slot<'a>]) -> Vec<&'s Slot<'a>> {
    let (mut fine, mut sound) = (Vec::new(), Vec::new());
    let mut sizes = Tally::new("batches");
    let mut written = Tally::new("outputs");
    for slot in slots {
        let calls = batches(desk, slot);
        let wrong = |c: &&(String, Called)| !c.1.fine();
        let failures: Vec<_> = calls
            .iter()
            .filter(wrong)
            .map(|(at, c)| format!("{} ({at})", words(&c.said)))
            .collect();
        for (_, c) in calls.iter().filter(wrong) {
            no_reason(desk, slot, c);
        }
        let works = failures.is_empty();
        sizes.of(desk, slot, failures);
        let collect = |of: fn(&Called) -> &Vec<String>| -> Vec<String> {
            let all = calls.iter();
            // The first of each kind is enough, with the call it was in.
            all.flat_map(|(at, c)| of(c).iter().map(move |f| format!("{f} ({at})")))
                .take(1)
                .collect()
        };
        written.of(desk, slot, collect(|c| &c.faults.unwritten));
        if works {
            fine.push(slot);
            // Elements that are not written differ from call to call; that is told once.
            if calls.iter().all(|(_, c)| c.faults.unwritten.is_empty()) {
                sound.push(slot);
            }
        }
    }
    let largest = slots.iter().map(|s| s.pool.n).max().unwrap_or(0);
    sizes.end(desk, &format!("n = 0, 1 and {largest}"));
    written.end(
        desk,
        "every element of an output is written, and none where NULL is given",
    );
    outputs_alone(desk, &sound);
    reproducible(desk, &sound);
    deterministic(desk, &sound);
    rowwise(desk, &sound);
    hostile(desk, &sound);
    threads(desk, &sound);
    slow(desk, &fine);
    kept(desk, slots);
    fine
}

/// What no call has shown: the calls themselves tell where one wrote beside its arrays or to its inputs.
fn kept(desk: &Desk<'_>, slots: &[Slot<'_>]) {
    let mut guards = Tally::new("guards");
    let mut inputs = Tally::new("inputs");
    for slot in slots {
        for (tally, told) in [
            (&mut guards, &slot.told.guard),
            (&mut inputs, &slot.told.input),
        ] {
            if told.load(Ordering::Relaxed) {
                tally.failed = true;
            } else {
                tally.passed.push(slot.name);
            }
        }
    }
    guards.end(desk, "nothing is written beside the arrays");
    inputs.end(desk, "inputs stay as they are");
}

fn no_reason(desk: &Desk<'_>, slot: &Slot<'_>, called: &Called) {
    if !called.fine() && called.said.broken.is_none() && !reasoned(&called.said) {
        desk.warn(
            "reasons",
            format!(
                "{}() returned {} without a text: say why by host->fail",
                slot.name,
                code(called.said.code)
            ),
        );
    }
}

/// Outputs of which one may be left out, one at a time, and all of them.
fn combinations(slot: &Slot<'_>) -> Vec<Vec<usize>> {
    let optional: Vec<usize> = (0..slot.outputs.len())
        .filter(|k| slot.outputs[*k].optional && !slot.never.contains(k))
        .collect();
    let mut all: Vec<Vec<usize>> = vec![Vec::new()];
    all.extend(optional.iter().map(|k| vec![*k]));
    if optional.len() > 1 {
        all.push(optional);
    }
    all
}

/// n = 0, 1 and many, with the outputs in all combinations.
fn batches(desk: &Desk<'_>, slot: &Slot<'_>) -> Vec<(String, Called)> {
    let mut calls = Vec::new();
    for n in [1, 0, slot.pool.n] {
        let rows = slot.pool.first(n);
        for without in combinations(slot) {
            let how = How {
                seed: desk.seed,
                without,
                ..How::default()
            };
            calls.push((slot.place(&rows, &how), slot.call(desk, &rows, &how)));
        }
    }
    calls
}

fn plain(desk: &Desk<'_>) -> How {
    How {
        seed: desk.seed,
        ..How::default()
    }
}

/// An output is the same whether or not others are wanted.
fn outputs_alone(desk: &Desk<'_>, slots: &[&Slot<'_>]) {
    let mut tally = Tally::new("wanted outputs");
    for slot in slots.iter().filter(|s| s.claims.deterministic && !s.draws) {
        let all = combinations(slot);
        if all.len() < 3 {
            continue;
        }
        let whole = slot.call(desk, &slot.pool, &plain(desk));
        let mut failures = Vec::new();
        for without in &all[1..] {
            let how = How {
                without: without.clone(),
                ..plain(desk)
            };
            let part = slot.call(desk, &slot.pool, &how);
            for (k, values) in part.out.iter().enumerate() {
                if !values.is_empty() && !same(&whole.out[k..=k], &part.out[k..=k]) {
                    failures.push(format!(
                        "gives other bits of `{}` when another output is not wanted",
                        slot.outputs[k].name
                    ));
                }
            }
        }
        tally.of(desk, slot, failures);
    }
    tally.end(desk, "the same bits whether or not the others are wanted");
}

fn reproducible(desk: &Desk<'_>, slots: &[&Slot<'_>]) {
    let mut tally = Tally::new("reproducible");
    for slot in slots {
        let first = slot.call(desk, &slot.pool, &plain(desk));
        let again = slot.call(desk, &slot.pool, &plain(desk));
        let mut failures = Vec::new();
        if !same(&first.out, &again.out) {
            failures.push(format!(
                "gives other bits when it is called again with the same seed: {}",
                difference(slot, &first.out, &again.out)
            ));
        } else if slot.draws {
            let how = How {
                seed: desk.seed.wrapping_add(1),
                ..How::default()
            };
            let other = slot.call(desk, &slot.pool, &how);
            if same(&first.out, &other.out) {
                failures.push(
                    "gives the same draws under every seed: take random numbers from the call, by \
                     host->rng_normal"
                        .into(),
                );
            }
        }
        tally.of(desk, slot, failures);
    }
    tally.end(desk, "the same seed gives the same bits");
}

fn deterministic(desk: &Desk<'_>, slots: &[&Slot<'_>]) {
    let mut tally = Tally::new("deterministic");
    for slot in slots.iter().filter(|s| s.claims.deterministic && !s.draws) {
        let how = How {
            seed: desk.seed.wrapping_add(1),
            ..How::default()
        };
        let first = slot.call(desk, &slot.pool, &plain(desk));
        let other = slot.call(desk, &slot.pool, &how);
        let mut failures = Vec::new();
        if first.drew || other.drew {
            failures
                .push("draws random numbers, though its table says RG_CAP_DETERMINISTIC".into());
        }
        if !same(&first.out, &other.out) {
            failures.push(format!(
                "depends on the seed, though its table says RG_CAP_DETERMINISTIC: {}",
                difference(slot, &first.out, &other.out)
            ));
        }
        tally.of(desk, slot, failures);
    }
    tally.end(desk, "no random numbers, as RG_CAP_DETERMINISTIC says");
}

/// A row by itself, in a small batch, and elsewhere in a batch.
fn rowwise(desk: &Desk<'_>, slots: &[&Slot<'_>]) {
    let mut tally = Tally::new("row-wise");
    for slot in slots.iter().filter(|s| s.claims.rowwise && !s.draws) {
        let n = slot.pool.n;
        let whole = slot.call(desk, &slot.pool, &plain(desk)).out;
        let part = |rows: &[usize]| -> Vec<Vec<f64>> {
            let out = whole.iter().cloned();
            Rows::new(n, out.collect()).pick(rows).arrays
        };
        let mut orders: Vec<(&str, Vec<usize>)> = vec![
            ("in the opposite order", (0..n).rev().collect()),
            // Another length, other places: neither a multiple of a width of vectors.
            ("as a batch of 7", (0..n.min(7)).rev().collect()),
            ("every other row", (1..n).step_by(2).collect()),
        ];
        orders.extend((0..n.min(ALONE)).map(|r| ("by itself", vec![r])));
        let mut failures = Vec::new();
        for (how, order) in orders {
            let here = slot.call(desk, &slot.pool.pick(&order), &plain(desk));
            let expected = part(&order);
            if !same(&expected, &here.out) {
                failures.push(format!(
                    "gives other bits of a row {how}, though its table says RG_CAP_ROWWISE: {}",
                    difference(slot, &expected, &here.out)
                ));
                break;
            }
        }
        tally.of(desk, slot, failures);
    }
    tally.end(
        desk,
        "a row has the same bits alone, in a small batch and at another place, as RG_CAP_ROWWISE says",
    );
}

/// Inputs that nobody wants to see.
const BAD: [f64; 8] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1e308,
    -1e308,
    f64::MIN_POSITIVE,
    5e-324,
    0.0,
];

fn hostile(desk: &Desk<'_>, slots: &[&Slot<'_>]) {
    let mut tally = Tally::new("bad numbers");
    for slot in slots.iter().filter(|s| !s.inputs.is_empty()) {
        let n = slot.pool.n.min(4);
        let ordinary = slot.call(desk, &slot.pool.first(n), &plain(desk));
        let (mut failures, mut refused) = (Vec::new(), None);
        for bad in BAD {
            for (k, array) in slot.inputs.iter().enumerate() {
                if array.columns == 0 {
                    continue;
                }
                let mut rows = slot.pool.first(n);
                // The whole of the last row, and one number of the row before it.
                let all = &mut rows.arrays[k];
                let last = (n - 1) * array.columns;
                all[last..].fill(bad);
                if n > 2 {
                    all[last - array.columns] = bad;
                }
                desk.at(&format!(
                    "{}() with {} = {bad:e} (n = {n})",
                    slot.name, array.name
                ));
                let at = format!("where `{}` is {bad:e}", array.name);
                let how = How {
                    note: at.clone(),
                    ..plain(desk)
                };
                let called = slot.call_quietly(desk, &rows, &how);
                for fault in &called.faults.unwritten {
                    failures.push(format!("{fault} ({at})"));
                }
                if !called.fine() {
                    no_reason(desk, slot, &called);
                    refused.get_or_insert(format!(
                        "{}() {} ({at})",
                        slot.name,
                        words(&called.said)
                    ));
                } else if slot.claims.rowwise && !slot.draws && n > 2 {
                    let first = |out: &[Vec<f64>]| Rows::new(n, out.to_vec()).first(n - 2).arrays;
                    let (a, b) = (first(&ordinary.out), first(&called.out));
                    if !same(&a, &b) {
                        failures.push(format!(
                            "spoils ordinary rows {at} in another: {}",
                            difference(slot, &a, &b)
                        ));
                    }
                }
            }
        }
        failures.truncate(2);
        if let Some(refused) = refused {
            desk.warn(
                "bad numbers",
                format!(
                    "{refused}: one bad row fails the whole call; write NaN in that row instead"
                ),
            );
        }
        tally.of(desk, slot, failures);
    }
    tally.end(
        desk,
        "NaN, infinities and numbers from 5e-324 to 1e308 do no harm",
    );
}

fn threads(desk: &Desk<'_>, slots: &[&Slot<'_>]) {
    let mut tally = Tally::new("threads");
    for slot in slots.iter().filter(|s| s.claims.concurrent) {
        let n = slot.pool.n;
        // Other rows for each, so that what one leaves in a place of all is wrong for the others.
        let work: Vec<(Rows, Vec<Vec<f64>>)> = (0..THREADS)
            .map(|k| {
                let order: Vec<usize> = (0..n).map(|i| (i + 1 + k * n / THREADS) % n).collect();
                let rows = slot.pool.pick(&order);
                let how = How {
                    seed: desk.seed.wrapping_add(k as u64),
                    ..How::default()
                };
                let alone = slot.call(desk, &rows, &how).out;
                (rows, alone)
            })
            .collect();
        let barrier = Barrier::new(THREADS);
        desk.at(&format!(
            "{}() on {THREADS} threads at once (n = {n})",
            slot.name
        ));
        let wrong: Vec<Option<String>> = std::thread::scope(|scope| {
            let (barrier, desk_seed) = (&barrier, desk.seed);
            let run = |(k, (rows, alone)): (usize, &(Rows, Vec<Vec<f64>>))| {
                let (rows, alone) = (rows.clone(), alone.clone());
                scope.spawn(move || {
                    let how = How {
                        seed: desk_seed.wrapping_add(k as u64),
                        ..How::default()
                    };
                    barrier.wait();
                    let began = Instant::now();
                    for round in 0.. {
                        if round >= RACES && began.elapsed() > RACE {
                            break;
                        }
                        let called = slot.call_quietly(desk, &rows, &how);
                        if !called.fine() {
                            return Some(words(&called.said));
                        }
                        if !same(&alone, &called.out) {
                            return Some(difference(slot, &alone, &called.out));
                        }
                    }
                    None
                })
            };
            let all: Vec<_> = work.iter().enumerate().map(run).collect();
            all.into_iter()
                .map(|t| t.join().unwrap_or_else(|_| Some("a panic".into())))
                .collect()
        });
        let failures = wrong.into_iter().flatten().take(1).map(|how| {
            format!(
                "gives other results on {THREADS} threads at once than alone, though its table says \
                 RG_THREAD_CONCURRENT: {how}"
            )
        });
        tally.of(desk, slot, failures.collect());
    }
    tally.end(
        desk,
        "8 threads at once get the bits of one, as RG_THREAD_CONCURRENT says",
    );
}

/// Calls that take long must look whether they are still wanted.
fn slow(desk: &Desk<'_>, slots: &[&Slot<'_>]) {
    for slot in slots {
        let ordinary = slot.call(desk, &slot.pool, &plain(desk));
        if ordinary.took < 2 * CANCEL {
            continue;
        }
        let how = How {
            cancel: true,
            ..plain(desk)
        };
        let cancelled = slot.call(desk, &slot.pool, &how);
        if cancelled.took > CANCEL {
            desk.warn(
                "cancel",
                format!(
                    "{}() goes on for {:.1} s after it was asked to stop (n = {}): look at host->cancelled \
                     more often",
                    slot.name,
                    cancelled.took.as_secs_f64(),
                    slot.pool.n
                ),
            );
        }
    }
}
