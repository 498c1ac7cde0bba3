//! Derivatives of drift and noise.

use super::{Outcome, Subject};
use crate::check::differences::{TOLERANCE, Worst, along};
use crate::check::random;
use crate::check::slot::{Rows, Slot};
use crate::check::target::{compare, spaced, tell};
use retrograde_abi::{RG_CAP_AUTONOMOUS, RG_CAP_G_CONST_X};

/// Points at which derivatives are compared.
const POINTS: usize = 8;
/// The most dimensions in which all d derivatives are taken.
const DIM: usize = 48;
/// The most columns of G that are put together.
const NOISE: usize = 256;

type Of<'b, 's, 'a> = &'b dyn Fn(&str) -> Option<&'s Slot<'a>>;

pub(super) fn look<'s, 'a: 's>(s: &Subject<'_>, of: Of<'_, 's, 'a>) -> Outcome {
    let d = s.d;
    if let Some(drift) = of("drift") {
        if let Some(jvp) = of("drift_jvp") {
            products(s, drift, jvp, false)?;
        }
        if let Some(vjp) = of("drift_vjp") {
            products(s, drift, vjp, true)?;
        }
        if let Some(div) = of("drift_div").filter(|_| d <= DIM) {
            divergence(s, drift, div)?;
        }
    }
    if let (Some(g), Some(ggt)) = (of("apply_g"), of("apply_ggt"))
        && s.m <= NOISE
    {
        outer(s, g, ggt)?;
    }
    if let Some(ggt) = of("apply_ggt") {
        if let Some(div) = of("div_ggt").filter(|_| d <= DIM) {
            noise_divergence(s, ggt, div)?;
        }
        if s.table.caps & RG_CAP_G_CONST_X != 0 {
            constant(s, ggt)?;
        }
    }
    if s.table.caps & RG_CAP_AUTONOMOUS != 0 {
        for slot in ["drift", "apply_ggt"].into_iter().filter_map(of) {
            autonomous(s, slot)?;
        }
    }
    if let (Some(_), Some(g)) = (s.table.int_g2, of("apply_g")) {
        integral(s, g)?;
    }
    Ok(())
}

/// The drift at points, for the times of the first rows.
fn drift_at<'b>(
    s: &'b Subject<'_>,
    drift: &'b Slot<'_>,
    t: &'b [f64],
) -> impl FnMut(&[f64], usize) -> Result<Vec<f64>, String> + 'b {
    move |p, n| {
        let rows = Rows::new(n, vec![t.to_vec(), p.to_vec()]);
        Ok(drift.values(s.desk, &rows, s.desk.seed)?.swap_remove(0))
    }
}

/// J v, or w · Jᵀ u = u · J w for a random w.
fn products(s: &Subject<'_>, drift: &Slot<'_>, slot: &Slot<'_>, transposed: bool) -> Outcome {
    let (desk, d) = (s.desk, s.d);
    let rows = slot.pool.first(POINTS);
    let n = rows.n;
    let claimed = slot.values(desk, &rows, desk.seed)?.swap_remove(0);
    let (t, x, v) = (&rows.arrays[0], &rows.arrays[1], &rows.arrays[2]);
    let mut worst = Worst::default();
    let mut f = drift_at(s, drift, t);
    if transposed {
        for turn in 0..4 {
            let w = random::normals(desk.seed + turn, "w", n * d);
            let found = along(&mut f, x, &w, n, d)?;
            for r in 0..n {
                let row = r * d..(r + 1) * d;
                let dot: Option<f64> = row.clone().map(|k| Some(v[k] * found[k]?)).sum();
                let size: f64 = row
                    .clone()
                    .map(|k| (v[k] * found[k].unwrap_or(0.0)).abs())
                    .sum();
                let own: f64 = row.map(|k| w[k] * claimed[k]).sum();
                if let Some(dot) = dot {
                    worst.take(own, dot, size);
                }
            }
        }
        tell(
            desk,
            slot.name,
            &worst,
            "drift_vjp() against differences of drift()",
        );
    } else {
        let found = along(&mut f, x, v, n, d)?;
        compare(&mut worst, &claimed, &found, d);
        tell(
            desk,
            slot.name,
            &worst,
            "drift_jvp() against differences of drift()",
        );
    }
    Ok(())
}

fn unit(n: usize, d: usize, j: usize) -> Vec<f64> {
    (0..n * d).map(|k| f64::from(k % d == j)).collect()
}

fn divergence(s: &Subject<'_>, drift: &Slot<'_>, div: &Slot<'_>) -> Outcome {
    let (desk, d) = (s.desk, s.d);
    let rows = div.pool.first(POINTS);
    let n = rows.n;
    let claimed = div.values(desk, &rows, desk.seed)?.swap_remove(0);
    let mut sums: Vec<Option<f64>> = vec![Some(0.0); n];
    let mut f = drift_at(s, drift, &rows.arrays[0]);
    for j in 0..d {
        let found = along(&mut f, &rows.arrays[1], &unit(n, d, j), n, d)?;
        for (r, sum) in sums.iter_mut().enumerate() {
            *sum = sum.zip(found[r * d + j]).map(|(a, b)| a + b);
        }
    }
    let mut worst = Worst::default();
    compare(&mut worst, &claimed, &sums, 1);
    tell(
        desk,
        "drift_div",
        &worst,
        "drift_div() against differences of drift()",
    );
    Ok(())
}

/// G Gᵀ v by the columns of G.
fn outer(s: &Subject<'_>, g: &Slot<'_>, ggt: &Slot<'_>) -> Outcome {
    let (desk, d, m) = (s.desk, s.d, s.m);
    let rows = ggt.pool.first(POINTS);
    let n = rows.n;
    let claimed = ggt.values(desk, &rows, desk.seed)?.swap_remove(0);
    let v = &rows.arrays[2];
    let mut sum = vec![0.0; n * d];
    for c in 0..m {
        let at = Rows::new(
            n,
            vec![
                rows.arrays[0].clone(),
                rows.arrays[1].clone(),
                unit(n, m, c),
            ],
        );
        let column = g.values(desk, &at, desk.seed)?.swap_remove(0);
        for r in 0..n {
            let row = r * d..(r + 1) * d;
            let dot: f64 = row.clone().map(|k| column[k] * v[k]).sum();
            row.for_each(|k| sum[k] += dot * column[k]);
        }
    }
    let found: Vec<_> = sum.into_iter().map(Some).collect();
    let mut worst = Worst::default();
    compare(&mut worst, &claimed, &found, d);
    desk.judge(
        "apply_ggt",
        worst.error <= 1e-9,
        format!("apply_ggt() against G Gᵀ of apply_g(): {}", worst.words()),
    );
    Ok(())
}

fn noise_divergence(s: &Subject<'_>, ggt: &Slot<'_>, div: &Slot<'_>) -> Outcome {
    let (desk, d) = (s.desk, s.d);
    let rows = div.pool.first(POINTS);
    let n = rows.n;
    let claimed = div.values(desk, &rows, desk.seed)?.swap_remove(0);
    let mut sums: Vec<Option<f64>> = vec![Some(0.0); n * d];
    for j in 0..d {
        let e = unit(n, d, j);
        let mut f = |p: &[f64], n: usize| {
            let at = Rows::new(n, vec![rows.arrays[0].clone(), p.to_vec(), e.clone()]);
            Ok(ggt.values(desk, &at, desk.seed)?.swap_remove(0))
        };
        let found = along(&mut f, &rows.arrays[1], &e, n, d)?;
        for (sum, found) in sums.iter_mut().zip(found) {
            *sum = sum.zip(found).map(|(a, b)| a + b);
        }
    }
    let mut worst = Worst::default();
    compare(&mut worst, &claimed, &sums, d);
    tell(
        desk,
        "div_ggt",
        &worst,
        "div_ggt() against differences of apply_ggt()",
    );
    Ok(())
}

/// The same noise at other points.
fn constant(s: &Subject<'_>, ggt: &Slot<'_>) -> Outcome {
    let desk = s.desk;
    let rows = ggt.pool.first(64);
    let here = ggt.values(desk, &rows, desk.seed)?.swap_remove(0);
    let mut moved = rows.clone();
    let order: Vec<_> = (0..rows.n).rev().collect();
    moved.arrays[1] = rows.pick(&order).arrays.swap_remove(1);
    let there = ggt.values(desk, &moved, desk.seed)?.swap_remove(0);
    same(s, &here, &there, ("apply_ggt", "x"), "RG_CAP_G_CONST_X");
    Ok(())
}

fn autonomous(s: &Subject<'_>, slot: &Slot<'_>) -> Outcome {
    let desk = s.desk;
    let rows = slot.pool.first(64);
    let now = slot.values(desk, &rows, desk.seed)?.swap_remove(0);
    let mut later = rows.clone();
    later.arrays[0].reverse();
    let then = slot.values(desk, &later, desk.seed)?.swap_remove(0);
    same(s, &now, &then, (slot.name, "t"), "RG_CAP_AUTONOMOUS");
    Ok(())
}

/// Whether a function does not depend on something, as a capability says.
fn same(s: &Subject<'_>, a: &[f64], b: &[f64], (name, on): (&str, &str), cap: &str) {
    let found: Vec<_> = b.iter().copied().map(Some).collect();
    let mut worst = Worst::default();
    compare(&mut worst, a, &found, s.d);
    let text = match worst.at {
        Some((here, there)) if worst.error > 1e-9 => {
            format!("{name}() depends on {on}, though its table says {cap}: {here} and {there}")
        }
        _ => format!("{name}() does not depend on {on}, as {cap} says"),
    };
    s.desk.judge("capabilities", worst.error <= 1e-9, text);
}

/// ∫ g² by Gauss and Legendre, g from G e₁.
fn integral(s: &Subject<'_>, g: &Slot<'_>) -> Outcome {
    const NODES: [(f64, f64); 3] = [
        (0.0, 8.0 / 9.0),
        (-0.774_596_669_241_483_4, 5.0 / 9.0),
        (0.774_596_669_241_483_4, 5.0 / 9.0),
    ];
    const PANELS: usize = 200;
    let (desk, d) = (s.desk, s.d);
    let Some(int_g2) = s.table.int_g2 else {
        return Ok(());
    };
    let (from, to) = (0.1 * s.t_end, 0.9 * s.t_end);
    let half = 0.5 * (to - from) / PANELS as f64;
    let (mut t, mut weights) = (Vec::new(), Vec::new());
    for panel in 0..PANELS {
        let middle = from + half * (2 * panel + 1) as f64;
        for (node, weight) in NODES {
            t.push(middle + half * node);
            weights.push(half * weight);
        }
    }
    let n = t.len();
    let x: Vec<f64> = s.x[..d].repeat(n);
    let columns = g.values(desk, &Rows::new(n, vec![t, x, unit(n, s.m, 0)]), desk.seed)?;
    let square = |r: usize| {
        columns[0][r * d..(r + 1) * d]
            .iter()
            .map(|v| v * v)
            .sum::<f64>()
    };
    let found: f64 = weights.iter().enumerate().map(|(r, w)| w * square(r)).sum();
    let mut claimed = f64::NAN;
    desk.at("int_g2()");
    let said = retrograde_bridge::probe::probe_bare(|call| {
        // SAFETY: by the contract of the interface, which is what is checked.
        unsafe { int_g2(s.object.get(), call, from, to, &raw mut claimed) }
    });
    if said.code != retrograde_abi::RG_OK {
        return Err(format!("int_g2() {}", crate::check::slot::words(&said)));
    }
    let mut worst = Worst::default();
    worst.take(claimed, found, found.abs());
    desk.judge(
        "int_g2",
        worst.error <= TOLERANCE,
        format!("int_g2() is {claimed:.9} from t = {from} to {to}, the integral of g² of apply_g() {found:.9}"),
    );
    Ok(())
}

/// Coordinates for which slopes are looked at.
pub(super) fn coordinates(d: usize) -> Vec<usize> {
    spaced(d)
}
