//! Maps of a process and their inverses.

use super::{Outcome, Subject};
use crate::check::differences::{Worst, along};
use crate::check::random;
use crate::check::slot::{Rows, Slot, array, wanted};
use crate::check::target::{compare, tell};

/// Points at which derivatives are compared.
const POINTS: usize = 8;
/// The most dimensions in which a determinant is taken.
const DIM: usize = 12;
/// What an inverse may miss, relative.
const INVERSE: f64 = 1e-6;

/// From when to when transitions go, as shares of T.
pub(super) const FROM: f64 = 0.2;
pub(super) const TO: f64 = 0.5;

/// Other points than `x`: its rows in the opposite order.
fn other(s: &Subject<'_>) -> Vec<f64> {
    let rows = s.x.chunks(s.d).rev();
    rows.flatten().copied().collect()
}

/// Functions of maps and transitions.
pub(super) fn slots<'a>(s: &Subject<'a>) -> Vec<Slot<'a>> {
    let (object, d, n, claims, table) = (s.object, s.d, s.n, s.claims, &s.table);
    let (from, to) = (FROM * s.t_end, TO * s.t_end);
    let x = || s.x.clone();
    let z = |name| random::normals(s.desk.seed, name, n * d);
    let mut all = Vec::new();
    let mut add = |slot: Slot<'a>| all.push(slot);
    if let Some(f) = table.transition_sample {
        let call = move |c, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: arrays of the sizes that are told; as in every check, by the contract that is checked.
            unsafe { f(object.get(), c, n, d, from, to, i[0], o[0]) }
        };
        let (inputs, outputs) = (vec![array("xs", d)], vec![array("xt", d)]);
        let pool = Rows::new(n, vec![x()]);
        add(Slot::new("transition_sample", claims, inputs, outputs, pool, call).that_draws());
    }
    if let Some(f) = table.transition_score {
        let call = move |c, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: as above.
            unsafe { f(object.get(), c, n, d, from, to, i[0], i[1], o[0], o[1]) }
        };
        let inputs = vec![array("xs", d), array("xt", d)];
        let outputs = vec![wanted("logp", 1), wanted("grad_xt", d)];
        let pool = Rows::new(n, vec![x(), other(s)]);
        add(Slot::new(
            "transition_score",
            claims,
            inputs,
            outputs,
            pool,
            call,
        ));
    }
    for (name, second, out, f) in [
        ("forward_map", "z", "x", table.forward_map),
        ("solve_noise", "x", "z", table.solve_noise),
    ] {
        let Some(f) = f else { continue };
        let call = move |c, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: as above.
            unsafe { f(object.get(), c, n, d, from, to, i[0], i[1], o[0]) }
        };
        let values = if name == "forward_map" {
            z("z")
        } else {
            other(s)
        };
        let inputs = vec![array("r", d), array(second, d)];
        let pool = Rows::new(n, vec![x(), values]);
        add(Slot::new(
            name,
            claims,
            inputs,
            vec![array(out, d)],
            pool,
            call,
        ));
    }
    if let Some(f) = table.restore {
        let back = to - from;
        let call = move |c, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: as above.
            unsafe { f(object.get(), c, n, d, to, back, i[0], i[1], o[0]) }
        };
        let inputs = vec![array("x", d), array("score", d)];
        let pool = Rows::new(n, vec![x(), z("score")]);
        add(Slot::new(
            "restore",
            claims,
            inputs,
            vec![array("r", d)],
            pool,
            call,
        ));
    }
    if let Some(f) = table.warp {
        let call = move |c, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: as above.
            unsafe { f(object.get(), c, n, d, i[0], o[0], o[1]) }
        };
        let outputs = vec![array("y", d), wanted("log_det", 1)];
        let pool = Rows::new(n, vec![x()]);
        add(Slot::new(
            "warp",
            claims,
            vec![array("x", d)],
            outputs,
            pool,
            call,
        ));
    }
    if let Some(f) = table.unwarp {
        let call = move |c, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: as above.
            unsafe { f(object.get(), c, n, d, i[0], o[0]) }
        };
        let pool = Rows::new(n, vec![z("y")]);
        add(Slot::new(
            "unwarp",
            claims,
            vec![array("y", d)],
            vec![array("x", d)],
            pool,
            call,
        ));
    }
    if let Some(f) = table.warp_score {
        let call = move |c, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: as above.
            unsafe { f(object.get(), c, n, d, i[0], i[1], o[0]) }
        };
        let inputs = vec![array("x", d), array("sy", d)];
        let pool = Rows::new(n, vec![x(), z("sy")]);
        add(Slot::new(
            "warp_score",
            claims,
            inputs,
            vec![array("sx", d)],
            pool,
            call,
        ));
    }
    all.extend(one_dimension(s));
    all
}

/// Distribution functions, which are for d = 1.
pub(super) fn one_dimension<'a>(s: &Subject<'a>) -> Vec<Slot<'a>> {
    let (object, n, claims) = (s.object, s.n, s.claims);
    let (from, to) = (FROM * s.t_end, TO * s.t_end);
    let mut all = Vec::new();
    for (name, second, out, f) in [
        ("cdf", "x", "p", s.table.cdf),
        ("quantile", "p", "x", s.table.quantile),
    ] {
        let Some(f) = f.filter(|_| s.d == 1) else {
            continue;
        };
        let call = move |c, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: as above.
            unsafe { f(object.get(), c, n, from, to, i[0], i[1], o[0]) }
        };
        let values = if name == "cdf" {
            other(s)
        } else {
            random::uniforms(s.desk.seed, "p", n)
        };
        let inputs = vec![array("r", 1), array(second, 1)];
        let pool = Rows::new(n, vec![s.x.clone(), values]);
        all.push(Slot::new(
            name,
            claims,
            inputs,
            vec![array(out, 1)],
            pool,
            call,
        ));
    }
    all
}

pub(super) fn look<'s, 'a: 's>(
    s: &Subject<'_>,
    of: &dyn Fn(&str) -> Option<&'s Slot<'a>>,
) -> Outcome {
    if let (Some(forward), Some(solve)) = (of("forward_map"), of("solve_noise")) {
        inverse(s, forward, solve, "solve_noise() after forward_map()", 1)?;
    }
    if let (Some(warp), Some(unwarp)) = (of("warp"), of("unwarp")) {
        let y = warp.values(s.desk, &warp.pool, s.desk.seed)?.swap_remove(0);
        let back = Rows::new(s.n, vec![y]);
        let x = unwarp.values(s.desk, &back, s.desk.seed)?.swap_remove(0);
        inverted(s, "warp", "unwarp() after warp()", &x, &s.x);
        if s.d <= DIM {
            warp_slopes(s, warp, of("warp_score"))?;
        }
    }
    if s.d == 1 {
        let found: Vec<_> = ["cdf", "quantile", "transition_score"]
            .into_iter()
            .filter_map(of)
            .collect();
        distribution(s, &found)?;
    }
    Ok(())
}

/// `back` takes the result of `forth` to its input `k`.
fn inverse(s: &Subject<'_>, forth: &Slot<'_>, back: &Slot<'_>, what: &str, k: usize) -> Outcome {
    let there = forth
        .values(s.desk, &forth.pool, s.desk.seed)?
        .swap_remove(0);
    let rows = Rows::new(s.n, vec![forth.pool.arrays[0].clone(), there]);
    let here = back.values(s.desk, &rows, s.desk.seed)?.swap_remove(0);
    inverted(s, forth.name, what, &here, &forth.pool.arrays[k]);
    Ok(())
}

fn inverted(s: &Subject<'_>, check: &str, what: &str, here: &[f64], given: &[f64]) {
    let found: Vec<_> = given.iter().copied().map(Some).collect();
    let mut worst = Worst::default();
    compare(&mut worst, here, &found, 1);
    s.desk.judge(
        check,
        worst.error <= INVERSE,
        match worst.at {
            Some((back, given)) if worst.error > INVERSE => {
                format!("{what} gives {back} for {given}")
            }
            _ => format!("{what} gives back what was there, to {:.0e}", worst.error),
        },
    );
}

/// log |det ∂y/∂x|, and Jᵀ s + ∇ log |det|, by differences.
fn warp_slopes(s: &Subject<'_>, warp: &Slot<'_>, score: Option<&Slot<'_>>) -> Outcome {
    let (desk, d) = (s.desk, s.d);
    let rows = warp.pool.first(POINTS);
    let n = rows.n;
    let claimed = warp.values(desk, &rows, desk.seed)?.swap_remove(1);
    let map = |p: &[f64], n: usize, k: usize| {
        Ok(warp
            .values(desk, &Rows::new(n, vec![p.to_vec()]), desk.seed)?
            .swap_remove(k))
    };
    // Columns of the Jacobian, and slopes of log_det.
    let (mut columns, mut slopes) = (Vec::new(), Vec::new());
    for j in 0..d {
        let v: Vec<f64> = (0..n * d).map(|k| f64::from(k % d == j)).collect();
        columns.push(along(
            &mut |p: &[f64], n| map(p, n, 0),
            &rows.arrays[0],
            &v,
            n,
            d,
        )?);
        slopes.push(along(
            &mut |p: &[f64], n| map(p, n, 1),
            &rows.arrays[0],
            &v,
            n,
            1,
        )?);
    }
    let found: Vec<Option<f64>> = (0..n)
        .map(|r| {
            let matrix: Option<Vec<f64>> =
                (0..d * d).map(|k| columns[k % d][r * d + k / d]).collect();
            matrix.map(|m| super::moments::log_det(&m, d))
        })
        .collect();
    let mut worst = Worst::default();
    compare(&mut worst, &claimed, &found, 1);
    tell(
        desk,
        "log_det",
        &worst,
        "log_det of warp() against differences of y",
    );
    let Some(score) = score else { return Ok(()) };
    let rows = score.pool.first(POINTS);
    let claimed = score.values(desk, &rows, desk.seed)?.swap_remove(0);
    let sy = &rows.arrays[1];
    let found: Vec<Option<f64>> = (0..n * d)
        .map(|k| {
            let (r, j) = (k / d, k % d);
            let products: Option<f64> = (0..d)
                .map(|i| Some(columns[j][r * d + i]? * sy[r * d + i]))
                .sum();
            Some(products? + slopes[j][r]?)
        })
        .collect();
    let mut worst = Worst::default();
    compare(&mut worst, &claimed, &found, d);
    tell(
        desk,
        "warp_score",
        &worst,
        "warp_score() against differences of warp()",
    );
    Ok(())
}

/// Quantiles, and the slope of the distribution function.
pub(super) fn distribution(s: &Subject<'_>, slots: &[&Slot<'_>]) -> Outcome {
    let desk = s.desk;
    let of = |name: &str| slots.iter().find(|s| s.name == name).copied();
    let (Some(cdf), Some(quantile)) = (of("cdf"), of("quantile")) else {
        return Ok(());
    };
    let x = quantile
        .values(desk, &quantile.pool, desk.seed)?
        .swap_remove(0);
    let r = quantile.pool.arrays[0].clone();
    let back = Rows::new(s.n, vec![r.clone(), x.clone()]);
    let p = cdf.values(desk, &back, desk.seed)?.swap_remove(0);
    inverted(
        s,
        "cdf",
        "cdf() after quantile()",
        &p,
        &quantile.pool.arrays[1],
    );
    let values = cdf.values(desk, &cdf.pool, desk.seed)?.swap_remove(0);
    let outside = values.iter().filter(|p| !(0.0..=1.0).contains(*p)).count();
    if outside > 0 {
        desk.fail(
            "cdf",
            format!(
                "cdf() is no number from 0 to 1 at {outside} of {} points",
                s.n
            ),
        );
    }
    let Some(score) = of("transition_score") else {
        return Ok(());
    };
    let rows = back.first(POINTS);
    let logp = score.values(desk, &rows, desk.seed)?.swap_remove(0);
    let density: Vec<f64> = logp.iter().map(|l| l.exp()).collect();
    let mut f = |p: &[f64], n: usize| {
        let at = Rows::new(n, vec![rows.arrays[0].clone(), p.to_vec()]);
        Ok(cdf.values(desk, &at, desk.seed)?.swap_remove(0))
    };
    let found = along(&mut f, &rows.arrays[1], &vec![1.0; rows.n], rows.n, 1)?;
    let mut worst = Worst::default();
    compare(&mut worst, &density, &found, 1);
    tell(
        desk,
        "cdf",
        &worst,
        "the density of transition_score() against differences of cdf()",
    );
    Ok(())
}
