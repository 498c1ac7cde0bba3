//! Every slot of every built-in process.

use crate::plugged::{Rows, Trace, flat, plug, process, registry, uniform, with_cx};
use ndarray::Array2;
use retrograde_abi::rg_process_vtable;
use retrograde_bridge::Foreign;
use retrograde_core::registry::Kind;
use retrograde_core::{Cx, Form, ForwardProcess, Times};
use std::sync::Arc;

/// Every process, in several dimensions, with linear parts of all forms.
fn all() -> Vec<(String, Arc<dyn ForwardProcess>)> {
    let mut all = Vec::new();
    let mut add = |kind: &str, settings: &str, d: usize| {
        // An interpreter gets a few of each sort.
        if cfg!(miri) && (d != 2 || settings.contains("formula")) {
            return;
        }
        let p = process(kind, settings, &flat(d));
        all.push((format!("{kind} {settings} in {d}"), p));
    };
    for kind in [
        "ou",
        "vp",
        "ve",
        "cosine",
        "sub-vp",
        "edm",
        "flow-matching",
        "polynomial-decay",
        "jacobi",
        "cir",
        "langevin",
        "stochastic-logistic",
        "warped-ou",
    ] {
        for d in [1, 2, 5] {
            add(kind, "", d);
        }
    }
    add("benes", "directions = [[1.0], [-0.5]]", 1);
    add(
        "benes",
        "directions = [[1.0, 0.0], [-0.5, 0.5], [0.0, 1.0]]",
        2,
    );
    add("ou", "rate = [1.0, 0.5, 2.0]", 3);
    add("ou", "rate = [[1.0, 0.4], [-0.3, 0.8]]", 2);
    add("warped-ou", "pull = false", 2);
    add(
        "langevin",
        "potential = \"expression\"\nformula = \"x0^4/4 + x0*x1 + x1^2\"",
        2,
    );
    let skew = crate::samplers::skew();
    all.push((
        "langevin of a target".into(),
        process("langevin", "potential = \"target\"", &skew),
    ));
    all
}

/// Calls every function that there is, in an order of its own.
fn trace(p: &dyn ForwardProcess, cx: &mut Cx<'_>, n: usize, gaps: bool, per_row: bool) -> Trace {
    let mut out = Trace::default();
    let (d, m, end) = (p.dim(), p.noise_dim(), p.t_end());
    out.note(
        "sizes",
        &[d as f64, m as f64, end, p.support().0, p.support().1],
    );
    // Random functions are not at the beginning of a stream, nor alone in it.
    let mut noise = Array2::zeros((n, m));
    cx.fill_normal(noise.view_mut());
    let mut x = Rows::new(n, d, gaps);
    out.put(
        "reference_sample",
        p.reference_sample(cx, x.view_mut()),
        &[],
    );
    out.0.push(("x".into(), Ok(x.bits())));
    let mut r = Rows::new(n, d, gaps);
    let sampled = p.reference_sample(&mut cx.at("other", 3), r.view_mut());
    out.put("reference_sample", sampled, &[&r]);
    let mut v = Array2::zeros((n, d));
    cx.fill_normal(v.view_mut());
    let (z, v) = (Rows::of(&noise, gaps), Rows::of(&v, gaps));
    let times = Rows::of(
        &uniform(n, 0.3, 0.05 * end, end)
            .into_shape_with_order((n, 1))
            .unwrap(),
        gaps,
    );
    let t = if per_row {
        Times::PerRow(times.column())
    } else {
        Times::Shared(0.4 * end)
    };
    let (s, e) = (0.2 * end, 0.7 * end);
    let mut f = Rows::new(n, d, gaps);
    let mut l = Rows::new(n, 1, gaps);

    out.put("drift", p.drift(cx, t, x.view(), f.view_mut()), &[&f]);
    let g = p.apply_g(cx, t, x.view(), z.view(), f.view_mut());
    out.put("apply_g", g, &[&f]);
    let g = p.apply_ggt(cx, t, x.view(), v.view(), f.view_mut());
    out.put("apply_ggt", g, &[&f]);
    let both = (Some(l.column_mut()), Some(f.view_mut()));
    let e1 = p.reference_eval(cx, x.view(), both.0, both.1);
    out.put("reference_eval", e1, &[&l, &f]);
    let e1 = p.reference_eval(cx, x.view(), Some(l.column_mut()), None);
    out.put("reference_eval, density", e1, &[&l]);
    let e1 = p.reference_eval(cx, x.view(), None, Some(f.view_mut()));
    out.put("reference_eval, gradient", e1, &[&f]);
    if let Some(a) = p.div_ggt() {
        out.put("div_ggt", a.div_ggt(cx, t, x.view(), f.view_mut()), &[&f]);
    }
    if let Some(a) = p.linear() {
        let len = a.form().len(d);
        let (mut alpha, mut c) = (vec![0.5; len], vec![0.5; len]);
        for t in [0.0, s, end] {
            a.at(t, &mut alpha, &mut c);
            out.note(format!("linear, {:?}", a.form()), &alpha);
            out.note("linear, covariance", &c);
        }
        if a.form() == Form::Scalar {
            let (alpha, sd) = a.scalar(s);
            out.note("scalar", &[alpha, sd]);
            let t = a.time_of(sd / alpha, end).unwrap_or(f64::NAN);
            out.note("time_of", &[t]);
        }
    }
    if let Some(a) = p.transition() {
        let done = a.sample(cx, s, e, r.view(), f.view_mut());
        out.put("transition, sample", done, &[&f]);
        let xt = Rows::of(&f.view().to_owned(), gaps);
        let both = (Some(l.column_mut()), Some(f.view_mut()));
        let done = a.score(cx, s, e, r.view(), xt.view(), both.0, both.1);
        out.put("transition, score", done, &[&l, &f]);
        let done = a.score(cx, s, e, r.view(), xt.view(), Some(l.column_mut()), None);
        out.put("transition, density", done, &[&l]);
    }
    if let Some(a) = p.drift_vjp() {
        let done = a.drift_vjp(cx, t, x.view(), v.view(), f.view_mut());
        out.put("drift_vjp", done, &[&f]);
    }
    if let Some(a) = p.drift_jvp() {
        let done = a.drift_jvp(cx, t, x.view(), v.view(), f.view_mut());
        out.put("drift_jvp", done, &[&f]);
    }
    if let Some(a) = p.drift_divergence() {
        let done = a.drift_divergence(cx, t, x.view(), l.column_mut());
        out.put("drift_divergence", done, &[&l]);
    }
    if let Some(a) = p.integral_g2() {
        out.note(
            "integral_g2",
            &[a.integral_g2(s, e), a.integral_g2(0.0, end)],
        );
    }
    if let Some(a) = p.forward_map() {
        let done = a.forward_map(cx, s, e, r.view(), v.view(), f.view_mut());
        out.put("forward_map", done, &[&f]);
        let to = Rows::of(&f.view().to_owned(), gaps);
        let done = a.solve_noise(cx, s, e, r.view(), to.view(), f.view_mut());
        out.put("solve_noise", done, &[&f]);
    }
    if let Some(a) = p.restore() {
        let done = a.restore(cx, e, 0.1 * end, x.view(), v.view(), f.view_mut());
        out.put("restore", done, &[&f]);
    }
    if let Some(a) = p.warp() {
        let mut y = Rows::new(n, d, gaps);
        let done = a.warp(cx, x.view(), y.view_mut(), Some(l.column_mut()));
        out.put("warp", done, &[&y, &l]);
        let done = a.warp(cx, x.view(), f.view_mut(), None);
        out.put("warp, without its determinant", done, &[&f]);
        out.put("unwarp", a.unwarp(cx, y.view(), f.view_mut()), &[&f]);
        let done = a.warp_score(cx, x.view(), v.view(), f.view_mut());
        out.put("warp_score", done, &[&f]);
    }
    if let Some(a) = p.cdf() {
        let mut q = Rows::new(n, 1, gaps);
        let done = a.cdf(cx, s, e, r.column(), x.column(), q.column_mut());
        out.put("cdf", done, &[&q]);
        let share = Rows::of(
            &uniform(n, 0.6, 0.01, 0.99)
                .into_shape_with_order((n, 1))
                .unwrap(),
            gaps,
        );
        let done = a.quantile(cx, s, e, r.column(), share.column(), l.column_mut());
        out.put("quantile", done, &[&l]);
    }
    let at = cx.position();
    out.0.push(("fills".into(), Ok(vec![at.fills])));
    // What comes after is at its place as well.
    let mut after = Array2::zeros((3, 2));
    cx.fill_uniform(after.view_mut());
    out.note("after", after.as_slice().unwrap());
    out
}

fn abilities(p: &dyn ForwardProcess) -> Vec<bool> {
    vec![
        p.g_constant_in_x(),
        p.autonomous(),
        p.div_ggt().is_some(),
        p.linear().is_some(),
        p.transition().is_some(),
        p.drift_vjp().is_some(),
        p.drift_jvp().is_some(),
        p.drift_divergence().is_some(),
        p.integral_g2().is_some(),
        p.forward_map().is_some(),
        p.restore().is_some(),
        p.warp().is_some(),
        p.cdf().is_some(),
    ]
}

#[test]
fn every_slot_of_every_process_gives_the_same_bits() {
    let cases = all();
    let mut forms = Vec::new();
    let mut seen = vec![0; 13];
    // Not in an interpreter, which takes too long for the schemas.
    let listed = (!cfg!(miri)).then(|| registry().of(Kind::Process));
    let left_out: Vec<_> = listed
        .into_iter()
        .flatten()
        .filter(|c| !cases.iter().any(|(name, _)| name.starts_with(&*c.name)))
        .map(|c| &c.name)
        .collect();
    assert!(left_out.is_empty(), "{left_out:?}");
    let mut lengths = std::collections::BTreeSet::new();
    for (name, own) in cases {
        let plugged: Foreign<rg_process_vtable> = plug(own.clone());
        assert_eq!(abilities(&*own), abilities(&plugged), "{name}");
        assert_eq!(own.traits(), plugged.traits(), "{name}");
        assert_eq!(own.flags(), plugged.flags(), "{name}");
        for (seen, has) in seen.iter_mut().zip(abilities(&*own)) {
            *seen += usize::from(has);
        }
        forms.extend(own.linear().map(|l| format!("{:?}", l.form())));
        for (n, gaps, per_row) in [
            (0, false, false),
            (0, true, true),
            (1, false, true),
            (1, true, false),
            (300, false, false),
            (300, true, true),
        ] {
            let n = if cfg!(miri) { n.min(2) } else { n };
            let a = with_cx(1, |cx| trace(&*own, cx, n, gaps, per_row));
            let b = with_cx(1, |cx| trace(&plugged, cx, n, gaps, per_row));
            let at = format!("{name}, n = {n}, gaps {gaps}, per row {per_row}");
            a.assert_same(&b, &at);
            lengths.insert(a.0.len());
        }
        // Over threads, and without the gaps of before, which change nothing.
        let n = if cfg!(miri) { 2 } else { 300 };
        let a = with_cx(3, |cx| trace(&plugged, cx, n, false, true));
        let b = with_cx(1, |cx| trace(&plugged, cx, n, true, true));
        a.assert_same(&b, &format!("{name} without gaps on three threads"));
    }
    // Nothing is left out: every ability occurs, and every form.
    assert!(cfg!(miri) || seen.iter().all(|n| *n > 0), "{seen:?}");
    for form in ["Scalar", "Diagonal", "Dense"] {
        assert!(cfg!(miri) || forms.iter().any(|f| f == form), "{form}");
    }
    assert!(lengths.len() > 4, "{lengths:?}");
}

#[test]
fn a_trace_that_differs_in_one_bit_is_seen() {
    let p = process("ou", "", &flat(2));
    let a = with_cx(1, |cx| trace(&*p, cx, 5, false, false));
    let mut b = with_cx(1, |cx| trace(&*p, cx, 5, false, false));
    if let Ok(bits) = &mut b.0.last_mut().unwrap().1 {
        bits[0] ^= 1;
    }
    assert!(std::panic::catch_unwind(|| a.assert_same(&b, "")).is_err());
}

#[test]
fn arrays_of_another_size_than_they_should_have_are_refused() {
    let plugged: Foreign<rg_process_vtable> = plug(process("ou", "", &flat(2)));
    let full = |n, d| Array2::<f64>::zeros((n, d));
    with_cx(1, |cx| {
        let t = Times::Shared(0.5);
        let (x, mut small) = (full(100, 2), full(1, 2));
        // Without a look at their shapes each of these would write or read beyond an array.
        let refused = [
            plugged.drift(cx, t, x.view(), small.view_mut()),
            plugged.drift(cx, t, full(100, 3).view(), full(100, 3).view_mut()),
            plugged.apply_g(cx, t, x.view(), full(2, 2).view(), full(100, 2).view_mut()),
            plugged.reference_sample(cx, full(4, 1).view_mut()),
            plugged.reference_eval(cx, x.view(), None, Some(small.view_mut())),
            plugged.drift(
                cx,
                Times::PerRow(ndarray::aview1(&[0.1])),
                x.view(),
                full(100, 2).view_mut(),
            ),
        ];
        for (i, result) in refused.into_iter().enumerate() {
            let error = result.unwrap_err();
            assert!(
                matches!(&error, retrograde_core::Error::Shape { component, .. } if component == "the component under test"),
                "{i}: {error}"
            );
        }
    });
}
