//! Every slot of scores, exact, estimated and by chance; and scores built in a plugin on the host's parts.

use crate::plugged::{Rows, Trace, plug, process, score, table, target, uniform, with_cx};
use ndarray::Array2;
use retrograde_abi::{RG_KIND_SCORE, rg_component, rg_score_vtable};
use retrograde_bridge::{Foreign, Settings, create, lend};
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{Cx, Error, ForwardProcess, Result, Score, Target, Times};
use retrograde_scores::{FokkerPlanck, MonteCarlo, Particle, Reference};
use std::sync::Arc;

const MIXTURE: &str = "means = [[0.0, 1.0], [2.0, -1.0]]\nsd = 0.5";

/// `counted`: whether evaluations of its target are counted, which those inside of a plugin are not.
fn trace(
    s: &dyn Score,
    cx: &mut Cx<'_>,
    n: usize,
    (gaps, per_row, counted): (bool, bool, bool),
) -> Trace {
    let d = s.dim();
    let mut out = Trace::default();
    let mut x = Array2::zeros((n, d));
    cx.fill_normal(x.view_mut());
    let mut v = Array2::zeros((n, 3 * d));
    cx.fill_normal(v.view_mut());
    let (x, v) = (Rows::of(&x, gaps), Rows::of(&v, gaps));
    let times = Rows::of(
        &uniform(n, 0.3, 0.05, 0.9)
            .into_shape_with_order((n, 1))
            .unwrap(),
        gaps,
    );
    let t = if per_row {
        Times::PerRow(times.column())
    } else {
        Times::Shared(0.4)
    };
    let mut o = Rows::new(n, d, gaps);
    out.put("eval", s.eval(cx, t, x.view(), o.view_mut()), &[&o]);
    out.put("again", s.eval(cx, t, x.view(), o.view_mut()), &[&o]);
    if let Some(a) = s.jvp() {
        let mut w = Rows::new(n, 3 * d, gaps);
        let done = a.jvp(cx, t, x.view(), v.view(), w.view_mut());
        out.put("jvp", done, &[&w]);
    }
    if let Some(a) = s.log_marginal() {
        let mut l = Rows::new(n, 1, gaps);
        let done = a.log_marginal(cx, t, x.view(), l.column_mut());
        out.put("log_marginal", done, &[&l]);
    }
    let done = cx.eval_score(s, t, x.view(), o.view_mut());
    out.put("counted", done, &[&o]);
    let c = cx.counts();
    out.note("counts", &[c.score_evals as f64, c.failed as f64]);
    if counted {
        let all = [c.density_evals, c.gradient_evals, c.rows].map(|n| n as f64);
        out.note("counts of all", &all);
    }
    out.0.push(("fills".into(), Ok(vec![cx.position().fills])));
    out
}

fn assert_same(name: &str, own: &dyn Score, plugged: &dyn Score, counted: bool) {
    assert_eq!(own.dim(), plugged.dim(), "{name}");
    assert_eq!(own.traits(), plugged.traits(), "{name}");
    assert_eq!(own.jvp().is_some(), plugged.jvp().is_some(), "{name}");
    let marginals = (
        own.log_marginal().is_some(),
        plugged.log_marginal().is_some(),
    );
    assert_eq!(marginals.0, marginals.1, "{name}");
    assert_eq!(own.flags(), plugged.flags(), "{name}");
    for (n, gaps, threads) in [
        (0, false, 1),
        (1, true, 1),
        (300, true, 1),
        (300, false, 1),
        (600, false, 3),
    ] {
        for per_row in [false, true] {
            let a = with_cx(1, |cx| trace(own, cx, n, (gaps, per_row, counted)));
            let b = with_cx(threads, |cx| {
                trace(plugged, cx, n, (gaps, per_row, counted))
            });
            a.assert_same(
                &b,
                &format!("{name}, n = {n}, gaps {gaps}, per row {per_row}"),
            );
        }
    }
}

#[test]
fn every_slot_of_every_score_gives_the_same_bits() {
    let mixture = target("gaussian-mixture", MIXTURE);
    let one = target("gaussian-mixture", "means = [[0.5], [-0.5]]\nsd = 0.3");
    let (vp, ve) = (process("vp", "", &mixture), process("vp", "", &one));
    let all: Vec<(&str, Arc<dyn Score>)> = vec![
        ("exact", score("exact", "", &mixture, &vp)),
        ("reference", score("reference", "", &mixture, &vp)),
        (
            "monte-carlo",
            score("monte-carlo", "samples = 16", &mixture, &vp),
        ),
        (
            "monte-carlo, chains",
            score(
                "monte-carlo",
                "method = \"mala\"\nsteps = 3\nchains = 2",
                &mixture,
                &vp,
            ),
        ),
        (
            "particle",
            score(
                "particle",
                "particles = 40\ntimes = 5\nsteps = 5",
                &mixture,
                &vp,
            ),
        ),
        (
            "fokker-planck",
            score(
                "fokker-planck",
                "lower = -4.0\nupper = 4.0\ncells = 64\nsteps = 16",
                &one,
                &ve,
            ),
        ),
        ("perturbed", score("perturbed", "bias = 0.1", &mixture, &vp)),
    ];
    let (mut jvp, mut marginal, mut random, mut flags) = (0, 0, 0, 0);
    for (name, own) in all {
        let plugged: Foreign<rg_score_vtable> = plug(own.clone());
        assert_same(name, &*own, &plugged, false);
        jvp += usize::from(own.jvp().is_some());
        marginal += usize::from(own.log_marginal().is_some());
        random += usize::from(!own.traits().deterministic);
        flags += own.flags().len();
    }
    assert!(
        jvp > 0 && marginal > 0 && random > 0 && flags > 0,
        "{jvp} {marginal} {random} {flags}"
    );
}

/// A score made by `create` of the plugin side, on parts that the host lends.
fn built<S: retrograde_core::Build<dyn Score>>(
    settings: &str,
    target: &Arc<dyn Target>,
    process: &Arc<dyn ForwardProcess>,
) -> Result<Foreign<rg_score_vtable>> {
    let files = Folder::default();
    let mut parts = Parts::new(&files).with_target(target.clone());
    parts.process = Some(process.clone());
    let component =
        crate::samplers::component(RG_KIND_SCORE, retrograde_plugin::create::<dyn Score, S>);
    let table = table(settings);
    let settings = Settings {
        label: "score under test",
        table: &table,
        files: &files,
    };
    let component: rg_component = component;
    // SAFETY: a component of this very program.
    unsafe { create(&component, &settings, lend(&parts)) }
}

#[test]
fn scores_that_a_plugin_builds_on_the_hosts_parts_have_the_bits_of_built_in_ones() {
    let mixture = target("gaussian-mixture", MIXTURE);
    let one = target("gaussian-mixture", "means = [[0.5], [-0.5]]\nsd = 0.3");
    let (vp, narrow) = (process("vp", "", &mixture), process("vp", "", &one));
    let settings = "samples = 16";
    assert_same(
        "monte-carlo",
        &*score("monte-carlo", settings, &mixture, &vp),
        &built::<MonteCarlo>(settings, &mixture, &vp).unwrap(),
        true,
    );
    assert_same(
        "reference",
        &*score("reference", "", &mixture, &vp),
        &built::<Reference>("", &mixture, &vp).unwrap(),
        true,
    );
    // It solves an equation when it is built, with a context of its own.
    let settings = "lower = -4.0\nupper = 4.0\ncells = 64\nsteps = 16";
    assert_same(
        "fokker-planck",
        &*score("fokker-planck", settings, &one, &narrow),
        &built::<FokkerPlanck>(settings, &one, &narrow).unwrap(),
        true,
    );
}

#[test]
fn what_does_not_cross_is_missed_in_words() {
    let mixture = target("gaussian-mixture", MIXTURE);
    let vp = process("vp", "", &mixture);
    let error = built::<retrograde_scores::Exact>("", &mixture, &vp).unwrap_err();
    assert_eq!(error.status(), retrograde_core::Status::Unsupported);
    assert!(
        error.to_string().contains("a law in closed form"),
        "{error}"
    );
    let error = built::<Particle>("", &mixture, &vp).unwrap_err();
    assert!(error.to_string().contains("exact"), "{error}");
}

#[test]
fn a_part_is_not_used_without_a_call_of_the_host() {
    /// Evaluates its process in a context of its own, after it was built: there is no call then.
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Late {}
    struct Keeps(Arc<dyn ForwardProcess>);
    impl retrograde_core::Build<dyn Score> for Late {
        fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Score>> {
            Ok(Arc::new(Keeps(parts.require_process("late")?)))
        }
    }
    impl Score for Keeps {
        fn dim(&self) -> usize {
            2
        }
        fn traits(&self) -> retrograde_core::Traits {
            retrograde_core::Traits::PURE
        }
        fn eval(
            &self,
            _: &mut Cx<'_>,
            t: Times<'_>,
            x: ndarray::ArrayView2<'_, f64>,
            out: ndarray::ArrayViewMut2<'_, f64>,
        ) -> Result {
            with_cx(1, |cx| self.0.drift(cx, t, x, out))
        }
    }
    let mixture = target("gaussian-mixture", MIXTURE);
    let vp = process("vp", "", &mixture);
    let late = built::<Late>("", &mixture, &vp).unwrap();
    let error = with_cx(1, |cx| {
        let (x, mut out) = (Array2::zeros((3, 2)), Array2::zeros((3, 2)));
        late.eval(cx, Times::Shared(0.5), x.view(), out.view_mut())
    })
    .unwrap_err();
    assert!(
        matches!(&error, Error::Callback { text, .. } if text.contains("no call of the host")),
        "{error}"
    );
}
