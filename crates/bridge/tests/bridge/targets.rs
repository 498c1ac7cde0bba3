//! Every slot of every built-in target.

use crate::plugged::{Rows, Trace, closure_target, eval, flat, plug, registry, table, with_cx};
use ndarray::Array2;
use retrograde_abi::{RG_OK, RG_THREAD_SERIAL, rg_target_vtable};
use retrograde_bridge::Foreign;
use retrograde_core::registry::{Files, Folder, Kind, Parts};
use retrograde_core::{BatchTarget, Cx, Error, Hvp, Result, Target};
use std::sync::Arc;

/// The shipped data, and some points in a square.
struct Shipped;

impl Files for Shipped {
    fn read(&self, path: &std::path::Path) -> Result<Vec<u8>> {
        if path.ends_with("cox.csv") {
            return Ok(b"0.1,0.2\n0.5,0.7\n0.55,0.72\n0.9,0.1\n".to_vec());
        }
        Folder(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data").into()).read(path)
    }
}

fn all() -> Vec<(String, Arc<dyn Target>)> {
    let registry = registry();
    let files = Shipped;
    let given = [
        ("log-gaussian-cox", "file = \"cox.csv\"\ngrid = 4"),
        ("logistic-regression", "file = \"ionosphere.csv\""),
        (
            "gaussian-mixture",
            "means = [[0.0, 1.0], [2.0, -1.0]]\nsd = 0.5",
        ),
        ("gaussian", "mean = [0.5, 1.0]\nsd = 0.5"),
        ("standard-normal", "dim = 3"),
        (
            "warped-mixture",
            "warp = [{ map = \"asinh\" }]\nbase = { means = [[0.3], [-0.4]], sd = 0.4 }",
        ),
        ("data", "file = \"ionosphere.csv\""),
        (
            "expression",
            "coordinates = [\"a\", \"b\"]\nlog_density = \"-a^2 - (b - a^2)^2\"",
        ),
        ("gamma-mixture", "shape = 3.125\nscales = [0.05, 0.2]"),
        (
            "tilted-mixture",
            "directions = [[1.0], [-1.0]]\nbase = { means = [[0.3], [-0.4]], sd = 0.4 }",
        ),
    ];
    let mut all = Vec::new();
    let mut left_out = Vec::new();
    for c in registry.of(Kind::Target) {
        let settings = given
            .iter()
            .find(|(name, _)| *name == c.name)
            .map_or("", |(_, settings)| settings);
        match registry.target(&c.name, table(settings), &Parts::new(&files)) {
            Ok(t) => all.push((c.name.to_string(), t)),
            Err(e) => left_out.push(format!("{}: {e}", c.name)),
        }
    }
    assert!(left_out.is_empty(), "{left_out:#?}");
    all.push(("with Hessians".into(), Arc::new(Quartic)));
    all
}

/// −Σ x⁴, with Hessian-vector products, which no built-in has.
struct Quartic;

impl Target for Quartic {
    fn dim(&self) -> usize {
        3
    }
    fn eval(
        &self,
        _: &mut Cx<'_>,
        x: ndarray::ArrayView2<'_, f64>,
        log_density: Option<ndarray::ArrayViewMut1<'_, f64>>,
        gradient: Option<ndarray::ArrayViewMut2<'_, f64>>,
    ) -> Result {
        if let Some(mut l) = log_density {
            for (l, x) in l.iter_mut().zip(x.rows()) {
                *l = -x.iter().map(|x| x.powi(4)).sum::<f64>();
            }
        }
        if let Some(mut g) = gradient {
            g.zip_mut_with(&x, |g, x| *g = -4.0 * x.powi(3));
        }
        Ok(())
    }
    fn coordinate(&self, i: usize) -> String {
        // Longer than the buffer that is tried first.
        format!("θ{i}").repeat(40)
    }
    fn hvp(&self) -> Option<&dyn Hvp> {
        Some(self)
    }
}

impl Hvp for Quartic {
    fn hvp(
        &self,
        _: &mut Cx<'_>,
        x: ndarray::ArrayView2<'_, f64>,
        v: ndarray::ArrayView2<'_, f64>,
        mut out: ndarray::ArrayViewMut2<'_, f64>,
    ) -> Result {
        ndarray::Zip::from(&mut out)
            .and(x)
            .and(v)
            .for_each(|o, x, v| *o = -12.0 * x * x * v);
        Ok(())
    }
}

fn trace(t: &dyn Target, cx: &mut Cx<'_>, n: usize, gaps: bool) -> Trace {
    let d = t.dim();
    let mut out = Trace::default();
    let mut x = Array2::zeros((n, d));
    cx.fill_normal(x.view_mut());
    let (x, mut l, mut g) = (
        Rows::of(&x, gaps),
        Rows::new(n, 1, gaps),
        Rows::new(n, d, gaps),
    );
    let density = t.has_density();
    let both = (density.then(|| l.column_mut()), Some(g.view_mut()));
    out.put("eval", t.eval(cx, x.view(), both.0, both.1), &[&l, &g]);
    if density {
        let done = t.eval(cx, x.view(), Some(l.column_mut()), None);
        out.put("density", done, &[&l]);
    }
    let done = t.eval(cx, x.view(), None, Some(g.view_mut()));
    out.put("gradient", done, &[&g]);
    out.put("nothing", t.eval(cx, x.view(), None, None), &[]);
    if let Some(h) = t.hvp() {
        out.put("hvp", h.hvp(cx, x.view(), x.view(), g.view_mut()), &[&g]);
    }
    if let Some(o) = t.outputs() {
        let mut k = Rows::new(n, o.count(), gaps);
        out.put("outputs", o.eval(cx, x.view(), k.view_mut()), &[&k]);
    }
    out.0.push(("fills".into(), Ok(vec![cx.position().fills])));
    out
}

fn names(t: &dyn Target) -> Vec<String> {
    let mut names: Vec<String> = (0..t.dim()).map(|i| t.coordinate(i)).collect();
    if let Some(o) = t.outputs() {
        names.extend((0..o.count()).map(|i| o.name(i)));
    }
    names
}

#[test]
fn every_slot_of_every_target_gives_the_same_bits_and_names() {
    let (mut outputs, mut hvp, mut no_density) = (0, 0, 0);
    for (name, own) in all() {
        let plugged: Foreign<rg_target_vtable> = plug(own.clone());
        assert_eq!(own.dim(), plugged.dim(), "{name}");
        assert_eq!(own.traits(), plugged.traits(), "{name}");
        assert_eq!(own.has_density(), plugged.has_density(), "{name}");
        assert_eq!(own.has_gradient(), plugged.has_gradient(), "{name}");
        assert_eq!(
            own.hvp().is_some(),
            Target::hvp(&plugged).is_some(),
            "{name}"
        );
        assert_eq!(
            own.outputs().is_some(),
            plugged.outputs().is_some(),
            "{name}"
        );
        assert_eq!(names(&*own), names(&plugged), "{name}");
        outputs += usize::from(own.outputs().is_some());
        hvp += usize::from(own.hvp().is_some());
        no_density += usize::from(!own.has_density());
        for (n, gaps) in [(0, false), (1, true), (300, false), (300, true)] {
            // The other side sees no gaps; sums over arrays with gaps may be in another order.
            let a = with_cx(1, |cx| trace(&*own, cx, n, false));
            let b = with_cx(1, |cx| trace(&plugged, cx, n, gaps));
            a.assert_same(&b, &format!("{name}, n = {n}, gaps {gaps}"));
        }
        // Through the core, which counts, on several threads.
        if own.has_density() && own.has_gradient() {
            let run = |t: &dyn Target, threads| {
                with_cx(threads, |cx| {
                    let mut x = Array2::zeros((700, t.dim()));
                    cx.fill_normal(x.view_mut());
                    let (mut l, mut g) = (Rows::new(700, 1, false), Rows::new(700, t.dim(), false));
                    let both = (Some(l.column_mut()), Some(g.view_mut()));
                    let done = cx.eval_target(t, x.view(), both.0, both.1);
                    let done = done.map_err(|e| e.to_string());
                    (done, l.bits(), g.bits(), cx.counts().clone())
                })
            };
            assert!(run(&*own, 1) == run(&plugged, 3), "{name}");
        }
    }
    assert!(
        outputs > 2 && hvp > 0 && no_density > 0,
        "{outputs} {hvp} {no_density}"
    );
}

#[test]
fn what_is_random_or_bound_is_told() {
    let random = |cx: &mut Cx<'_>| {
        let mut u = Array2::zeros((4, 1));
        cx.fill_uniform(u.view_mut());
        u
    };
    // A density by chance: its draws are those of the caller's place.
    let target = closure_target(RG_THREAD_SERIAL, |call, n, _, l, _| {
        let host = retrograde_bridge::host();
        // SAFETY: as the header says.
        unsafe { host.rng_uniform.unwrap()(call, n, 1, l) };
        RG_OK
    });
    assert!(!target.traits().deterministic);
    let (a, b) = with_cx(1, |cx| {
        random(cx);
        let l = eval(&target, cx, 4).unwrap();
        (l, random(cx))
    });
    let (c, d) = with_cx(1, |cx| {
        random(cx);
        let c = random(cx);
        (c, random(cx))
    });
    assert_eq!(a, c.column(0));
    assert_eq!(b, d);
}

#[test]
fn names_that_cannot_be_told_are_told_of() {
    let odd: Arc<dyn Target> = Arc::new(Odd);
    let plugged: Foreign<rg_target_vtable> = plug(odd);
    assert_eq!(plugged.coordinate(0), "x0");
    let error = with_cx(1, |cx| eval(&plugged, cx, 1)).unwrap_err();
    assert!(error.to_string().contains("NUL"), "{error}");
    // Once is enough.
    with_cx(1, |cx| eval(&plugged, cx, 1)).unwrap();
}

struct Odd;

impl Target for Odd {
    fn dim(&self) -> usize {
        1
    }
    fn coordinate(&self, _: usize) -> String {
        "a\0b".into()
    }
    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ndarray::ArrayView2<'_, f64>,
        log_density: Option<ndarray::ArrayViewMut1<'_, f64>>,
        gradient: Option<ndarray::ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let flat = BatchTarget::new(1, |_, mut l, mut g| {
            l.fill(0.0);
            g.fill(0.0);
        });
        flat.eval(cx, x, log_density, gradient)
    }
}

#[test]
fn a_target_of_another_dimension_than_its_rows_is_a_sentence() {
    let plugged: Foreign<rg_target_vtable> = plug(flat(2));
    let error = with_cx(1, |cx| {
        let x = Array2::zeros((5, 3));
        plugged.eval(cx, x.view(), None, None).unwrap_err()
    });
    assert!(matches!(error, Error::Shape { .. }), "{error}");
}
