//! Checks of scores.

use super::differences::{Worst, along};
use super::slot::{How, Object, Rows, Slot, array, words};
use super::target::{compare, spaced, tell};
use super::toys::{ExactScore, Gaussian, Ou};
use super::{Bench, claims, common, leaks, many, random};
use retrograde_abi::rg_score_vtable;
use retrograde_bridge::foreign::Foreign;
use retrograde_core::{ForwardProcess, Score};
use std::sync::Arc;

/// Points at which derivatives are compared.
const POINTS: usize = 8;
/// Tangents of a row.
const TANGENTS: usize = 3;
/// Root mean square error, relative to the score, above which a person should know.
const FAR: f64 = 0.1;

pub(crate) fn look(bench: &Bench<'_>, made: &Arc<Foreign<rg_score_vtable>>, dim: usize) {
    let desk = bench.desk;
    let (object, table) = made.raw();
    let (object, claims) = (Object(object), claims(table));
    let d = Score::dim(&**made);
    let n = many(d * TANGENTS);
    let x = random::normals(desk.seed, "x", n * d);
    // In the middle of the process: a score may have no value at its very ends.
    let end = Ou { d }.t_end();
    let t: Vec<f64> = random::uniforms(desk.seed, "t", n)
        .into_iter()
        .map(|u| end * (0.05 + 0.9 * u))
        .collect();
    let times = || array("t", 1);
    let mut slots = Vec::new();
    if let Some(eval) = table.eval {
        let f = move |call, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: arrays of the sizes that are told; as in every check, by the contract that is checked.
            unsafe { eval(object.get(), call, n, d, i[0], 1, i[1], o[0]) }
        };
        let pool = Rows::new(n, vec![t.clone(), x.clone()]);
        let inputs = vec![times(), array("x", d)];
        slots.push(Slot::new(
            "eval",
            claims,
            inputs,
            vec![array("s", d)],
            pool,
            f,
        ));
        let shared = t[0];
        let f = move |call, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: as above; one time.
            unsafe { eval(object.get(), call, n, d, &raw const shared, 0, i[0], o[0]) }
        };
        let pool = Rows::new(n, vec![x.clone()]);
        let inputs = vec![array("x", d)];
        slots.push(Slot::new(
            "eval at one time",
            claims,
            inputs,
            vec![array("s", d)],
            pool,
            f,
        ));
    }
    if let Some(jvp) = table.jvp {
        let k = TANGENTS;
        let f = move |call, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: as above.
            unsafe { jvp(object.get(), call, n, d, k, i[0], 1, i[1], i[2], o[0]) }
        };
        let v = random::normals(desk.seed, "v", n * d * k);
        let pool = Rows::new(n, vec![t.clone(), x.clone(), v]);
        let inputs = vec![times(), array("x", d), array("v", d * k)];
        slots.push(Slot::new(
            "jvp",
            claims,
            inputs,
            vec![array("out", d * k)],
            pool,
            f,
        ));
    }
    if let Some(log_marginal) = table.log_marginal {
        let f = move |call, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: as above.
            unsafe { log_marginal(object.get(), call, n, d, i[0], 1, i[1], o[0]) }
        };
        let pool = Rows::new(n, vec![t.clone(), x]);
        let inputs = vec![times(), array("x", d)];
        slots.push(Slot::new(
            "log_marginal",
            claims,
            inputs,
            vec![array("out", 1)],
            pool,
            f,
        ));
    }
    let fine = common::look(desk, &slots);
    let of = |name: &str| fine.iter().find(|s| s.name == name).copied();
    let Some(eval) = of("eval") else { return };
    let outcome = (|| {
        if let Some(shared) = of("eval at one time") {
            one_time(bench, eval, shared, t[0])?;
        }
        if let Some(jvp) = of("jvp") {
            jacobian(bench, eval, jvp, d)?;
        }
        if let Some(log_marginal) = of("log_marginal") {
            slopes(bench, eval, log_marginal, d)?;
        }
        exact(bench, eval, d)
    })();
    if let Err(why) = outcome {
        desk.fail("derivatives", why);
    }
    let one = eval.pool.first(16);
    leaks::<rg_score_vtable>(bench, dim, "eval()", || {
        let called = eval.call_quietly(desk, &one, &How::default());
        if called.fine() {
            Ok(())
        } else {
            Err(words(&called.said))
        }
    });
}

/// One time for all rows is that time for each.
fn one_time(bench: &Bench<'_>, each: &Slot<'_>, shared: &Slot<'_>, t: f64) -> Result<(), String> {
    let desk = bench.desk;
    let mut rows = each.pool.clone();
    rows.arrays[0].fill(t);
    let one_each = each.values(desk, &rows, desk.seed)?.swap_remove(0);
    let one = shared.values(desk, &shared.pool, desk.seed)?.swap_remove(0);
    let found: Vec<_> = one_each.iter().copied().map(Some).collect();
    let mut worst = Worst::default();
    compare(&mut worst, &one, &found, each.outputs[0].columns);
    desk.judge(
        "times",
        worst.error <= 1e-9,
        format!(
            "eval() with one time for all rows (ts = 0) against the same for each (ts = 1): largest relative \
             difference {:.1e}",
            worst.error
        ),
    );
    Ok(())
}

fn jacobian(bench: &Bench<'_>, eval: &Slot<'_>, jvp: &Slot<'_>, d: usize) -> Result<(), String> {
    let desk = bench.desk;
    let rows = jvp.pool.first(POINTS);
    let n = rows.n;
    let claimed = jvp.values(desk, &rows, desk.seed)?.swap_remove(0);
    let mut worst = Worst::default();
    for k in 0..TANGENTS {
        let part = |all: &[f64]| -> Vec<f64> {
            let rows = all.chunks(TANGENTS * d);
            rows.flat_map(|r| r[k * d..(k + 1) * d].to_vec()).collect()
        };
        let mut f = |p: &[f64], n: usize| {
            let at = Rows::new(n, vec![rows.arrays[0].clone(), p.to_vec()]);
            Ok(eval.values(desk, &at, desk.seed)?.swap_remove(0))
        };
        let found = along(&mut f, &rows.arrays[1], &part(&rows.arrays[2]), n, d)?;
        compare(&mut worst, &part(&claimed), &found, d);
    }
    tell(desk, "jvp", &worst, "jvp() against differences of eval()");
    Ok(())
}

fn slopes(bench: &Bench<'_>, eval: &Slot<'_>, marginal: &Slot<'_>, d: usize) -> Result<(), String> {
    let desk = bench.desk;
    let rows = eval.pool.first(POINTS);
    let n = rows.n;
    let claimed = eval.values(desk, &rows, desk.seed)?.swap_remove(0);
    let mut worst = Worst::default();
    let mut f = |p: &[f64], n: usize| {
        let at = Rows::new(n, vec![rows.arrays[0].clone(), p.to_vec()]);
        Ok(marginal.values(desk, &at, desk.seed)?.swap_remove(0))
    };
    for j in spaced(d) {
        let v: Vec<f64> = (0..n * d).map(|k| f64::from(k % d == j)).collect();
        let found = along(&mut f, &rows.arrays[1], &v, n, 1)?;
        let one: Vec<f64> = claimed.chunks(d).map(|r| r[j]).collect();
        compare(&mut worst, &one, &found, 1);
    }
    tell(
        desk,
        "log_marginal",
        &worst,
        "eval() against differences of log_marginal()",
    );
    Ok(())
}

/// Whether another target makes another score: one of data, or of a network, knows its own law.
fn looks(bench: &Bench<'_>, eval: &Slot<'_>, found: &[f64], d: usize) -> Result<bool, String> {
    let desk = bench.desk;
    let other = bench
        .make_of::<rg_score_vtable>(Gaussian::other(d))
        .map_err(|e| format!("a second one could not be made: {e}"))?;
    let (object, table) = other.raw();
    let (object, Some(function)) = (Object(object), table.eval) else {
        return Ok(true);
    };
    if Score::dim(&*other) != d {
        return Ok(true);
    }
    let f = move |call, n, i: &[*const f64], o: &[*mut f64]| {
        // SAFETY: as in `look`.
        unsafe { function(object.get(), call, n, d, i[0], 1, i[1], o[0]) }
    };
    let (inputs, outputs) = (eval.inputs.clone(), eval.outputs.clone());
    let slot = Slot::new("eval", eval.claims, inputs, outputs, eval.pool.clone(), f);
    let values = slot.values(desk, &slot.pool, desk.seed)?.swap_remove(0);
    let differs = |(a, b): (&f64, &f64)| a.to_bits() != b.to_bits();
    Ok(values.iter().zip(found).any(differs))
}

/// Where it was made with a Gaussian under a known process, the answer is known.
fn exact(bench: &Bench<'_>, eval: &Slot<'_>, d: usize) -> Result<(), String> {
    let desk = bench.desk;
    let parts = bench.parts(d);
    if parts.target.is_none() || parts.process.is_none() {
        return Ok(());
    }
    let rows = &eval.pool;
    let found = eval.values(desk, rows, desk.seed)?.swap_remove(0);
    if !looks(bench, eval, &found, d)? {
        desk.ok(
            "known score",
            "nothing to compare with: it does not look at the target, and is the same for two of them",
        );
        return Ok(());
    }
    let truth = ExactScore(Gaussian::new(d));
    let (mut error, mut size) = (0.0, 0.0);
    for ((t, x), s) in rows.arrays[0]
        .iter()
        .zip(rows.arrays[1].chunks(d))
        .zip(found.chunks(d))
    {
        for (s, truth) in s.iter().zip(truth.at(*t, x)) {
            error += (s - truth).powi(2);
            size += truth * truth;
        }
    }
    let relative = (error / size).sqrt();
    let text = format!(
        "relative error {relative:.1e} (root mean square) for a Gaussian under an Ornstein-Uhlenbeck process"
    );
    if relative <= FAR {
        desk.ok("known score", text);
    } else {
        desk.warn("known score", format!("{text}: this is far"));
    }
    Ok(())
}
