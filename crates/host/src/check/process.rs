//! Checks of forward processes.

mod derivatives;
mod laws;
mod maps;
mod moments;

use super::guarded::{Faults, Guarded};
use super::slot::{Array, Claims, How, Object, Rows, Slot, array, wanted, words};
use super::target::compare;
use super::{Bench, claims, common, leaks, many, random};
use crate::check::differences::Worst;
use crate::check::report::Desk;
use retrograde_abi::{
    RG_CAP_LINEAR, RG_CAP_LINEAR_DIAG, RG_OK, rg_call, rg_process_vtable, rg_status,
};
use retrograde_bridge::foreign::Foreign;
use retrograde_bridge::probe::probe_bare;
use retrograde_core::ForwardProcess;
use std::sync::Arc;

/// A process under check.
pub(crate) struct Subject<'a> {
    desk: &'a Desk<'a>,
    object: Object,
    table: rg_process_vtable,
    claims: Claims,
    d: usize,
    m: usize,
    t_end: f64,
    support: (f64, f64),
    /// Points of its reference law, n × d, and times in the midst.
    x: Vec<f64>,
    t: Vec<f64>,
    n: usize,
}

type Outcome = Result<(), String>;

pub(crate) fn look(bench: &Bench<'_>, made: &Arc<Foreign<rg_process_vtable>>, dim: usize) {
    let desk = bench.desk;
    let (slots, all) = one(bench, made, dim);
    if !all {
        return;
    }
    // What is there for one dimension only, such as distribution functions.
    if slots > 1
        && let Ok(line) = bench.make::<rg_process_vtable>(1)
        && line.dim() == 1
        && line.raw().1.cdf.is_some()
        && made.raw().1.cdf.is_none()
    {
        desk.ok(
            "create",
            "another was made in one dimension, where it has more functions",
        );
        let subject = subject(desk, &line);
        let slots = maps::one_dimension(&subject);
        let mut fine = common::look(desk, &slots);
        // What has been looked at in two dimensions; here it gives the density.
        let others = maps::slots(&subject);
        fine.extend(others.iter().filter(|s| s.name == "transition_score"));
        if let Err(why) = maps::distribution(&subject, &fine) {
            desk.fail("cdf", why);
        }
    }
    let (object, table) = made.raw();
    let (object, Some(drift)) = (Object(object), table.drift) else {
        return;
    };
    let (d, x) = (made.dim(), random::normals(desk.seed, "x", 16 * made.dim()));
    let t = 0.5 * made.t_end();
    let f = move |call, n, i: &[*const f64], o: &[*mut f64]| {
        // SAFETY: arrays of the sizes that are told; as in every check, by the contract that is checked.
        unsafe { drift(object.get(), call, n, d, &raw const t, 0, i[0], o[0]) }
    };
    let pool = Rows::new(16, vec![x]);
    let (inputs, outputs) = (vec![array("x", d)], vec![array("f", d)]);
    let slot = Slot::new("drift", claims(table), inputs, outputs, pool, f);
    leaks::<rg_process_vtable>(bench, dim, "drift()", || {
        let called = slot.call_quietly(desk, &slot.pool, &How::default());
        if called.fine() {
            Ok(())
        } else {
            Err(words(&called.said))
        }
    });
}

fn subject<'a>(desk: &'a Desk<'a>, made: &Arc<Foreign<rg_process_vtable>>) -> Subject<'a> {
    let (object, table) = made.raw();
    let d = made.dim();
    let n = many(d);
    let t_end = made.t_end();
    let mut subject = Subject {
        desk,
        object: Object(object),
        claims: claims(table),
        table: *table,
        d,
        m: made.noise_dim(),
        t_end,
        support: made.support(),
        x: Vec::new(),
        t: random::uniforms(desk.seed, "t", n)
            .into_iter()
            .map(|u| t_end * (0.05 + 0.9 * u))
            .collect(),
        n,
    };
    let sample = subject.reference_sample(n);
    let drawn = sample.values(desk, &sample.pool, desk.seed);
    subject.x = match drawn {
        Ok(mut out) if out[0].iter().all(|v| v.is_finite()) => out.swap_remove(0),
        // Points of its support; that it cannot be drawn from is told elsewhere.
        _ => {
            let (low, high) = subject.support;
            let into = |z: f64| match (low.is_finite(), high.is_finite()) {
                (true, true) => low + (high - low) / (1.0 + (-z).exp()),
                (true, false) => low + z.exp(),
                (false, true) => high - z.exp(),
                (false, false) => z,
            };
            let z = random::normals(desk.seed, "x", n * d);
            z.into_iter().map(into).collect()
        }
    };
    subject
}

/// Checks a process; gives the number of its slots, and whether it could be called at all.
fn one(bench: &Bench<'_>, made: &Arc<Foreign<rg_process_vtable>>, _dim: usize) -> (usize, bool) {
    let desk = bench.desk;
    let s = subject(desk, made);
    desk.ok(
        "info",
        format!("d = {}, noise of dimension {}, T = {}", s.d, s.m, s.t_end),
    );
    let timed = s.timed();
    let shared: Vec<_> = timed.iter().map(|(_, one)| one).collect();
    let mut slots: Vec<Slot<'_>> = Vec::new();
    let mut one_time = Vec::new();
    let names: Vec<_> = shared.iter().map(|s| s.name).collect();
    for (each, one) in timed {
        slots.push(each);
        one_time.push(one);
    }
    slots.push(s.reference_sample(s.n));
    slots.extend(s.reference_eval());
    slots.extend(maps::slots(&s));
    let fine = common::look(desk, &slots);
    let of = |name: &str| fine.iter().find(|s| s.name == name).copied();
    let tell = |check: &str, outcome: Outcome| {
        if let Err(why) = outcome {
            desk.fail(check, why);
        }
    };
    let times: Vec<_> = names
        .iter()
        .zip(&one_time)
        .filter_map(|(name, one)| Some((of(name)?, one)))
        .collect();
    tell("times", same_times(&s, &times));
    tell("derivatives", derivatives::look(&s, &of));
    tell("maps", maps::look(&s, &of));
    tell("laws", laws::look(&s, &of));
    tell("linear", moments::look(&s, &of));
    support(&s);
    (fine.len(), of("drift").is_some())
}

fn support(s: &Subject<'_>) {
    let (low, high) = s.support;
    if s.table.support.is_none() {
        return;
    }
    let outside = s.x.iter().filter(|x| !(**x > low && **x < high)).count();
    s.desk.judge(
        "support",
        low < high && outside == 0,
        format!("({low}, {high}); {outside} of {} coordinates of draws of the reference law lie outside", s.x.len()),
    );
}

/// One time for all rows is that time for each.
fn same_times(s: &Subject<'_>, slots: &[(&Slot<'_>, &Slot<'_>)]) -> Outcome {
    let (desk, mut passed) = (s.desk, Vec::new());
    for (each, shared) in slots {
        let mut rows = each.pool.clone();
        let t = rows.arrays[0][0];
        rows.arrays[0].fill(t);
        let a = each.values(desk, &rows, desk.seed)?;
        let b = shared.values(desk, &shared.pool, desk.seed)?;
        let found: Vec<_> = a[0].iter().copied().map(Some).collect();
        let mut worst = Worst::default();
        compare(&mut worst, &b[0], &found, each.outputs[0].columns);
        if worst.error <= 1e-9 {
            passed.push(each.name);
        } else {
            desk.fail(
                "times",
                format!(
                    "{}() gives other numbers for one time for all rows (ts = 0) than for the same time for each \
                     (ts = 1): {:?}",
                    each.name, worst.at
                ),
            );
        }
    }
    if !passed.is_empty() {
        let text = format!(
            "{} functions: one time for all rows, or the same for each",
            passed.len()
        );
        desk.ok("times", text);
    }
    Ok(())
}

/// A function of times: the same on one time for each row, and on one for all.
type Timed<'a> = (Slot<'a>, Slot<'a>);

impl<'a> Subject<'a> {
    fn time_slots(
        &self,
        name: &'static str,
        inputs: Vec<(Array, Vec<f64>)>,
        output: Array,
        f: impl Fn(*mut rg_call, usize, *const f64, usize, &[*const f64], &[*mut f64]) -> rg_status
        + Sync
        + Copy
        + 'a,
    ) -> Timed<'a> {
        let (arrays, values): (Vec<_>, Vec<_>) = inputs.into_iter().unzip();
        let mut with_t = vec![array("t", 1)];
        with_t.extend(arrays.iter().copied());
        let mut all = vec![self.t.clone()];
        all.extend(values.iter().cloned());
        let each = Slot::new(
            name,
            self.claims,
            with_t,
            vec![output],
            Rows::new(self.n, all),
            move |call, n, i: &[*const f64], o: &[*mut f64]| f(call, n, i[0], 1, &i[1..], o),
        );
        let t = self.t[0];
        let shared = Slot::new(
            name,
            self.claims,
            arrays,
            vec![output],
            Rows::new(self.n, values),
            move |call, n, i: &[*const f64], o: &[*mut f64]| f(call, n, &raw const t, 0, i, o),
        );
        (each, shared)
    }

    /// The functions of a time for each row.
    fn timed(&self) -> Vec<Timed<'a>> {
        let (object, d, m, n) = (self.object, self.d, self.m, self.n);
        let x = || (array("x", d), self.x.clone());
        let normal = |name: &'static str, columns| {
            (
                array(name, columns),
                random::normals(self.desk.seed, name, n * columns),
            )
        };
        let mut all = Vec::new();
        let t = &self.table;
        if let Some(f) = t.drift {
            // SAFETY: arrays of the sizes that are told; as in every check, by the contract that is checked.
            all.push(self.time_slots(
                "drift",
                vec![x()],
                array("f", d),
                move |c, n, t, ts, i, o| unsafe { f(object.get(), c, n, d, t, ts, i[0], o[0]) },
            ));
        }
        if let Some(f) = t.apply_g {
            let inputs = vec![x(), normal("z", m)];
            // SAFETY: as above.
            all.push(self.time_slots(
                "apply_g",
                inputs,
                array("out", d),
                move |c, n, t, ts, i, o| unsafe {
                    f(object.get(), c, n, d, m, t, ts, i[0], i[1], o[0])
                },
            ));
        }
        if let Some(f) = t.div_ggt {
            // SAFETY: as above.
            all.push(self.time_slots(
                "div_ggt",
                vec![x()],
                array("out", d),
                move |c, n, t, ts, i, o| unsafe { f(object.get(), c, n, d, t, ts, i[0], o[0]) },
            ));
        }
        if let Some(f) = t.drift_div {
            // SAFETY: as above.
            all.push(self.time_slots(
                "drift_div",
                vec![x()],
                array("out", 1),
                move |c, n, t, ts, i, o| unsafe { f(object.get(), c, n, d, t, ts, i[0], o[0]) },
            ));
        }
        for (name, vector, f) in [
            ("apply_ggt", "v", t.apply_ggt),
            ("drift_vjp", "u", t.drift_vjp),
            ("drift_jvp", "v", t.drift_jvp),
        ] {
            if let Some(f) = f {
                let inputs = vec![x(), normal(vector, d)];
                // SAFETY: as above.
                all.push(self.time_slots(
                    name,
                    inputs,
                    array("out", d),
                    move |c, n, t, ts, i, o| unsafe {
                        f(object.get(), c, n, d, t, ts, i[0], i[1], o[0])
                    },
                ));
            }
        }
        all
    }

    fn reference_sample(&self, n: usize) -> Slot<'a> {
        let (object, d, f) = (self.object, self.d, self.table.ref_sample);
        let call = move |call, n, _: &[*const f64], o: &[*mut f64]| match f {
            // SAFETY: as above.
            Some(f) => unsafe { f(object.get(), call, n, d, o[0]) },
            None => retrograde_abi::RG_ERR_UNSUPPORTED,
        };
        let pool = Rows::new(n, Vec::new());
        Slot::new(
            "ref_sample",
            self.claims,
            Vec::new(),
            vec![array("x", d)],
            pool,
            call,
        )
        .that_draws()
    }

    fn reference_eval(&self) -> Option<Slot<'a>> {
        let (object, d, f) = (self.object, self.d, self.table.ref_eval?);
        let call = move |call, n, i: &[*const f64], o: &[*mut f64]| {
            // SAFETY: as above.
            unsafe { f(object.get(), call, n, d, i[0], o[0], o[1]) }
        };
        let outputs = vec![wanted("logp", 1), wanted("grad", d)];
        let pool = Rows::new(self.n, vec![self.x.clone()]);
        Some(Slot::new(
            "ref_eval",
            self.claims,
            vec![array("x", d)],
            outputs,
            pool,
            call,
        ))
    }

    /// Alpha and sigma2 at a time, as d × d matrices.
    ///
    /// # Errors
    /// What it returned, or did that it may not.
    #[allow(clippy::type_complexity)] // two matrices
    fn linear(&self, t: f64) -> Result<Option<(Vec<f64>, Vec<f64>)>, String> {
        let Some(f) = self.table.linear else {
            return Ok(None);
        };
        let (d, caps) = (self.d, self.table.caps);
        let len = if caps & RG_CAP_LINEAR != 0 {
            1
        } else if caps & RG_CAP_LINEAR_DIAG != 0 {
            d
        } else {
            d * d
        };
        let (mut alpha, mut sigma2) = (Guarded::output(len), Guarded::output(len));
        self.desk.at(&format!("linear() (t = {t})"));
        let said = probe_bare(|call| {
            // SAFETY: as above; so many numbers each.
            unsafe {
                f(
                    self.object.get(),
                    call,
                    d,
                    t,
                    alpha.pointer(),
                    sigma2.pointer(),
                )
            }
        });
        if said.code != RG_OK || said.broken.is_some() {
            return Err(format!("linear() {}", words(&said)));
        }
        let mut faults = Faults::default();
        alpha.faults("alpha", 1, &mut faults);
        sigma2.faults("sigma2", 1, &mut faults);
        if let Some(fault) = faults.guard.iter().chain(&faults.unwritten).next() {
            return Err(format!("linear() {fault}"));
        }
        let full = |values: Vec<f64>| match len {
            len if len == d * d && caps & (RG_CAP_LINEAR | RG_CAP_LINEAR_DIAG) == 0 => values,
            _ => {
                let mut all = vec![0.0; d * d];
                for i in 0..d {
                    all[i * d + i] = values[i.min(len - 1)];
                }
                all
            }
        };
        Ok(Some((full(alpha.values()), full(sigma2.values()))))
    }
}
