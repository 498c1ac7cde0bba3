//! Checks of targets.

use super::differences::{Worst, along};
use super::guarded::untouched;
use super::report::Desk;
use super::slot::{How, Object, Rows, Slot, array, wanted};
use super::{Bench, claims, common, leaks, many, random};
use retrograde_abi::{RG_CAP_GRADIENT, RG_CAP_NO_DENSITY, rg_target_vtable};
use retrograde_bridge::foreign::Foreign;
use retrograde_core::Target;
use std::collections::HashSet;
use std::sync::Arc;

/// Points at which derivatives are compared.
const POINTS: usize = 8;
/// Coordinates along which they are.
const COORDINATES: usize = 24;

pub(crate) fn look(bench: &Bench<'_>, made: &Arc<Foreign<rg_target_vtable>>, dim: usize) {
    let desk = bench.desk;
    let (object, table) = made.raw();
    let (object, claims) = (Object(object), claims(table));
    let d = made.dim();
    let (density, gradient) = (
        table.caps & RG_CAP_NO_DENSITY == 0,
        table.caps & RG_CAP_GRADIENT != 0,
    );
    let n = many(d);
    let mut x = random::normals(desk.seed, "x", n * d);
    let v = random::normals(desk.seed, "v", n * d);
    let mut slots = Vec::new();
    if let Some(eval) = table.eval.filter(|_| density || gradient) {
        let mut never = Vec::new();
        if !density {
            never.push(0);
        }
        if !gradient {
            never.push(1);
        }
        let f = move |call, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: arrays of the sizes that are told; as in every check, by the contract that is checked.
            unsafe { eval(object.get(), call, n, d, i[0], o[0], o[1]) }
        };
        let pool = Rows::new(n, vec![x.clone()]);
        let outputs = vec![wanted("logp", 1), wanted("grad", d)];
        let inputs = vec![array("x", d)];
        let mut eval = Slot::new("eval", claims, inputs, outputs, pool, f).never(never);
        if density {
            x = points(desk, &eval);
            eval.pool = Rows::new(n, vec![x.clone()]);
            gradients(desk, &mut eval, gradient);
        }
        slots.push(eval);
    }
    if let Some(hvp) = table.hvp {
        let f = move |call, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: as above.
            unsafe { hvp(object.get(), call, n, d, i[0], i[1], o[0]) }
        };
        let inputs = vec![array("x", d), array("v", d)];
        let pool = Rows::new(n, vec![x.clone(), v]);
        slots.push(Slot::new(
            "hvp",
            claims,
            inputs,
            vec![array("out", d)],
            pool,
            f,
        ));
    }
    if let (Some(outputs), Some(k)) = (table.outputs, made.outputs().map(|o| o.count())) {
        let f = move |call, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: as above.
            unsafe { outputs(object.get(), call, n, d, k, i[0], o[0]) }
        };
        let pool = Rows::new(n, vec![x]);
        let out = vec![array("out", k)];
        slots.push(Slot::new(
            "outputs",
            claims,
            vec![array("x", d)],
            out,
            pool,
            f,
        ));
    }
    let fine = common::look(desk, &slots);
    names(desk, made);
    let of = |name: &str| fine.iter().find(|s| s.name == name).copied();
    if let Some(eval) = of("eval") {
        let outcome = values(desk, eval, density).and_then(|()| {
            if density && gradient {
                slopes(desk, eval, d)?;
            }
            match of("hvp") {
                Some(hvp) => curvature(desk, eval, hvp, d),
                None => Ok(()),
            }
        });
        if let Err(why) = outcome {
            desk.fail("derivatives", why);
        }
        let one = eval.pool.first(16);
        leaks::<rg_target_vtable>(bench, dim, "eval()", || {
            let called = eval.call_quietly(desk, &one, &How::default());
            if called.fine() {
                Ok(())
            } else {
                Err(super::slot::words(&called.said))
            }
        });
    }
}

/// Points where most log densities are finite: normal ones, above 0, or in (0, 1). Called as all else is, since
/// what is written beside arrays here would end the program later.
fn points(desk: &Desk<'_>, eval: &Slot<'_>) -> Vec<f64> {
    let n = eval.pool.n;
    let normal = eval.pool.arrays[0].clone();
    let positive: Vec<f64> = normal.iter().map(|z| z.exp()).collect();
    let unit = random::uniforms(desk.seed, "x", normal.len());
    let finite = |x: &Vec<f64>| {
        let how = How {
            seed: desk.seed,
            without: vec![1],
            ..How::default()
        };
        let called = eval.call(desk, &Rows::new(n, vec![x.clone()]), &how);
        let l = &called.out[0];
        if called.fine() {
            l.iter().filter(|v| v.is_finite()).count()
        } else {
            0
        }
    };
    // The first of equals.
    let mut best = (finite(&normal), normal);
    for other in [positive, unit] {
        let count = finite(&other);
        if count > best.0 {
            best = (count, other);
        }
    }
    best.1
}

/// Whether `eval` writes gradients where its table says that it does, and only there.
fn gradients(desk: &Desk<'_>, eval: &mut Slot<'_>, declared: bool) {
    let never = std::mem::take(&mut eval.never);
    let how = How {
        seed: desk.seed,
        ..How::default()
    };
    let called = eval.call(desk, &eval.pool, &how);
    eval.never = never;
    if !called.fine() {
        return;
    }
    let untouched = called.out[1].iter().filter(|v| untouched(**v)).count();
    if declared && untouched == called.out[1].len() {
        desk.fail(
            "gradient",
            "eval() writes no gradient, though its table says RG_CAP_GRADIENT",
        );
    } else if !declared && untouched == 0 {
        desk.warn(
            "gradient",
            "eval() writes gradients but its table does not declare RG_CAP_GRADIENT: samplers that need one \
             cannot use it",
        );
    }
}

/// What log densities and gradients may be.
fn values(desk: &Desk<'_>, eval: &Slot<'_>, density: bool) -> Result<(), String> {
    let out = eval.values(desk, &eval.pool, desk.seed)?;
    let n = eval.pool.n;
    if density {
        let count = |f: fn(&f64) -> bool| out[0].iter().filter(|v| f(v)).count();
        let (finite, above) = (count(|v| v.is_finite()), count(|v| *v == f64::INFINITY));
        let nan = count(|v| v.is_nan());
        if above > 0 {
            desk.fail(
                "values",
                format!("eval() gives a log density of +inf at {above} of {n} points"),
            );
        } else if finite == 0 {
            desk.warn(
                "values",
                format!("the log density is finite at none of {n} ordinary points: nothing can be compared"),
            );
        } else if nan > 0 {
            desk.warn(
                "values",
                format!("the log density is NaN at {nan} of {n} ordinary points"),
            );
        } else {
            desk.ok(
                "values",
                format!("the log density is finite at {finite} of {n} points"),
            );
        }
        let d = eval.outputs[1].columns;
        let bad = |r: &usize| {
            let g = &out[1];
            out[0][*r].is_finite()
                && !g.is_empty()
                && g[r * d..(r + 1) * d].iter().any(|v| !v.is_finite())
        };
        if let Some(row) = (0..n).find(bad) {
            desk.fail(
                "values",
                format!(
                    "eval() gives a gradient that is not finite where the log density is {}",
                    out[0][row]
                ),
            );
        }
    }
    Ok(())
}

/// Evenly spaced ones of d coordinates.
pub(crate) fn spaced(d: usize) -> Vec<usize> {
    let m = d.min(COORDINATES);
    (0..m).map(|i| i * d / m).collect()
}

/// The rows with a finite log density, a few of them.
fn usable(eval: &Slot<'_>, desk: &Desk<'_>) -> Result<Rows, String> {
    if eval.never.contains(&0) {
        return Ok(eval.pool.first(POINTS));
    }
    let l = &eval.values(desk, &eval.pool, desk.seed)?[0];
    let rows: Vec<_> = (0..eval.pool.n)
        .filter(|r| l[*r].is_finite())
        .take(POINTS)
        .collect();
    Ok(eval.pool.pick(&rows))
}

fn slopes(desk: &Desk<'_>, eval: &Slot<'_>, d: usize) -> Result<(), String> {
    let rows = usable(eval, desk)?;
    if rows.n == 0 {
        return Ok(());
    }
    let n = rows.n;
    let gradient = eval.values(desk, &rows, desk.seed)?.swap_remove(1);
    let mut worst = Worst::default();
    let mut f = |p: &[f64], n: usize| {
        let rows = Rows::new(n, vec![p.to_vec()]);
        Ok(eval.values(desk, &rows, desk.seed)?.swap_remove(0))
    };
    for j in spaced(d) {
        let v: Vec<f64> = (0..n * d).map(|k| f64::from(k % d == j)).collect();
        let found = along(&mut f, &rows.arrays[0], &v, n, 1)?;
        for (r, difference) in found.into_iter().enumerate() {
            let row = &gradient[r * d..(r + 1) * d];
            let scale = row.iter().fold(0.0f64, |m, g| m.max(g.abs()));
            if let Some(difference) = difference {
                worst.take(row[j], difference, scale.max(difference.abs()));
            }
        }
    }
    tell(
        desk,
        "gradient",
        &worst,
        "the gradient against differences of the log density",
    );
    Ok(())
}

fn curvature(desk: &Desk<'_>, eval: &Slot<'_>, hvp: &Slot<'_>, d: usize) -> Result<(), String> {
    let rows = usable(eval, desk)?;
    let n = rows.n;
    if n == 0 {
        return Ok(());
    }
    let v = random::normals(desk.seed, "direction", n * d);
    let both = Rows::new(n, vec![rows.arrays[0].clone(), v.clone()]);
    let claimed = hvp.values(desk, &both, desk.seed)?.swap_remove(0);
    let mut f = |p: &[f64], n: usize| {
        let rows = Rows::new(n, vec![p.to_vec()]);
        Ok(eval.values(desk, &rows, desk.seed)?.swap_remove(1))
    };
    let found = along(&mut f, &rows.arrays[0], &v, n, d)?;
    let mut worst = Worst::default();
    compare(&mut worst, &claimed, &found, d);
    tell(
        desk,
        "hvp",
        &worst,
        "hvp() against differences of the gradient",
    );
    Ok(())
}

/// Compares rows of `k` numbers, each on the scale of its row.
pub(crate) fn compare(worst: &mut Worst, claimed: &[f64], found: &[Option<f64>], k: usize) {
    for (claimed, found) in claimed.chunks(k).zip(found.chunks(k)) {
        let scale = claimed.iter().fold(0.0f64, |m, g| m.max(g.abs()));
        let scale = found.iter().flatten().fold(scale, |m, g| m.max(g.abs()));
        for (claimed, found) in claimed.iter().zip(found) {
            if let Some(found) = found {
                worst.take(*claimed, *found, scale);
            }
        }
    }
}

/// Writes a comparison down.
pub(crate) fn tell(desk: &Desk<'_>, check: &str, worst: &Worst, what: &str) {
    if worst.compared == 0 {
        desk.warn(
            check,
            format!("{what}: differences settle nowhere, nothing was compared"),
        );
    } else {
        desk.judge(check, worst.good(), format!("{what}: {}", worst.words()));
    }
}

fn names(desk: &Desk<'_>, made: &Arc<Foreign<rg_target_vtable>>) {
    let (d, outputs) = (made.dim(), made.outputs());
    let k = outputs.map_or(0, |o| o.count());
    if d + k > 100_000 {
        return;
    }
    desk.at("name()");
    let mut all: Vec<String> = (0..d).map(|i| made.coordinate(i)).collect();
    desk.at("output_name()");
    all.extend(outputs.iter().flat_map(|o| (0..k).map(|i| o.name(i))));
    if let Err(error) = made.take_failure() {
        return desk.fail("names", format!("name() or output_name() failed: {error}"));
    }
    let mut seen = HashSet::new();
    match all
        .iter()
        .find(|n| n.is_empty() || !seen.insert(n.as_str()))
    {
        Some(name) if name.is_empty() => {
            desk.fail("names", "a coordinate or output has an empty name");
        }
        Some(name) => desk.fail(
            "names",
            format!("two coordinates or outputs are called {name:?}"),
        ),
        None => desk.ok("names", format!("{} names, all different", all.len())),
    }
}
