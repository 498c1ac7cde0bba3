//! All linear processes against what is known of them, by one table.

mod laws;
mod levels;

use ndarray::{Array2, array};
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{Error, Form, ForwardProcess, Kind, PointTarget, Registry, Result};
use retrograde_testkit::{assert_process, with_cx};
use std::sync::Arc;

/// Kind and settings of every linear process, once or several times.
const ALL: [(&str, &str); 12] = [
    ("vp", "{}"),
    ("vp", r#"{"beta_min": 0.0, "beta_max": 3.0, "t_end": 4.0}"#),
    ("sub-vp", "{}"),
    (
        "sub-vp",
        r#"{"beta_min": 1.0, "beta_max": 1.0, "t_end": 0.5}"#,
    ),
    ("ve", "{}"),
    ("ve", r#"{"schedule": "linear"}"#),
    ("ve", r#"{"schedule": "sqrt", "sigma_max": 3.0}"#),
    ("edm", "{}"),
    ("cosine", "{}"),
    ("cosine", r#"{"offset": 0.0, "t_end": 0.6}"#),
    ("flow-matching", "{}"),
    ("ou", r#"{"rate": 0.7, "noise": 1.3, "t_end": 3.0}"#),
];

fn try_build(kind: &str, settings: &str, d: usize) -> Result<Arc<dyn ForwardProcess>> {
    retrograde_processes::link();
    let folder = Folder::default();
    let target = PointTarget::new(d, |x: &[f64], g: &mut [f64]| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = -x);
        -0.5 * x.iter().map(|x| x * x).sum::<f64>()
    });
    let parts = Parts::new(&folder).with_target(Arc::new(target));
    let mut reader = serde_json::Deserializer::from_str(settings);
    Registry::builtin()?.process(kind, &mut reader, &parts)
}

fn build(kind: &str, settings: &str, d: usize) -> Arc<dyn ForwardProcess> {
    try_build(kind, settings, d).unwrap_or_else(|e| panic!("{kind} {settings}: {e}"))
}

/// Every process of [`ALL`] in d dimensions, with its name.
fn all(d: usize) -> impl Iterator<Item = (String, Arc<dyn ForwardProcess>)> {
    ALL.into_iter()
        .map(move |(kind, settings)| (format!("{kind} {settings}"), build(kind, settings, d)))
}

#[test]
fn each_satisfies_what_every_process_must() {
    for (name, p) in all(1) {
        assert_process(&name, &*p, array![[0.4], [-1.3]].view());
    }
    for (name, p) in all(3) {
        let points = Array2::from_shape_fn((2, 3), |(i, j)| 0.6 * (2 * i + j) as f64 - 1.0);
        assert_process(&name, &*p, points.view());
    }
}

#[test]
fn each_is_of_scalar_form_and_has_what_it_can_have() {
    for (name, p) in all(2) {
        assert_eq!(p.linear().unwrap().form(), Form::Scalar, "{name}");
        assert!(p.transition().is_some() && p.forward_map().is_some() && p.restore().is_some());
        assert!(p.drift_vjp().is_some() && p.drift_jvp().is_some() && p.integral_g2().is_some());
        assert!(p.g_constant_in_x() && p.warp().is_none() && p.cdf().is_none());
    }
    assert!(all(1).all(|(_, p)| p.cdf().is_some()));
    let autonomous: Vec<String> = all(1)
        .filter(|(_, p)| p.autonomous())
        .map(|(n, _)| n)
        .collect();
    assert_eq!(autonomous.len(), 2, "{autonomous:?}");
    assert!(autonomous[0].contains("sqrt") && autonomous[1].starts_with("ou"));
}

#[test]
fn each_is_found_by_name_and_needs_a_target() {
    retrograde_processes::link();
    let registry = Registry::builtin().unwrap();
    let folder = Folder::default();
    for kind in ["vp", "sub-vp", "ve", "edm", "cosine", "flow-matching", "ou"] {
        let component = registry.get(Kind::Process, kind).unwrap();
        assert!(
            !component.summary.is_empty() && component.source.contains('('),
            "{kind}"
        );
        let mut reader = serde_json::Deserializer::from_str("{}");
        let error = registry.process(kind, &mut reader, &Parts::new(&folder));
        let error = error.map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Missing { .. }), "{kind}: {error}");
        let error = try_build(kind, r#"{"no_such_key": 1}"#, 2)
            .map(|_| ())
            .unwrap_err();
        assert!(error.to_string().contains("no_such_key"), "{kind}: {error}");
    }
}

#[test]
fn times_in_the_wrong_order_or_out_of_range_are_refused() {
    let (x, mut out) = (array![[0.5]], array![[0.0]]);
    for (name, p) in all(1) {
        let end = p.t_end();
        with_cx(1, |cx| {
            let mut refused = |s: f64, t: f64, says: &str| {
                let map = p.forward_map().unwrap();
                let transition = p.transition().unwrap();
                let solved = map.solve_noise(cx, s, t, x.view(), x.view(), out.view_mut());
                let g = Some(out.view_mut());
                let scored = transition.score(cx, s, t, x.view(), x.view(), None, g);
                for outcome in [solved, scored] {
                    let error = outcome.unwrap_err().to_string();
                    assert!(
                        error.starts_with("process ") && error.contains(says),
                        "{name}: {error}"
                    );
                }
            };
            refused(0.5 * end, 0.4 * end, "`s` is");
            refused(0.5 * end, 0.5 * end, "`s` is");
            refused(0.5 * end, f64::NAN, "`t` is NaN");
            let restore = p.restore().unwrap();
            let mut back =
                |l: f64| restore.restore(cx, 0.5 * end, l, x.view(), x.view(), out.view_mut());
            assert_eq!(back(0.6 * end).is_ok(), p.autonomous(), "{name}");
            // By a rounding error beyond 0, and by less than nothing.
            assert!(back(0.5 * end * (1.0 + 1e-12)).is_ok(), "{name}");
            assert!(
                back(-0.1 * end).is_err() && back(f64::NAN).is_err(),
                "{name}"
            );
            let (r, p_) = (x.column(0), array![1.0]);
            let cdf = p.cdf().unwrap();
            let error = cdf.quantile(cx, 0.0, end, r, p_.view(), out.column_mut(0));
            assert!(
                error.unwrap_err().to_string().contains("`p` is 1"),
                "{name}"
            );
        });
        let linear = p.linear().unwrap();
        for level in [-1.0, f64::NAN, 1e300] {
            assert!(linear.time_of(level, end).is_err(), "{name} {level}");
        }
        assert_eq!(linear.time_of(0.0, end).unwrap(), 0.0);
    }
}
