//! Whether densities can be normalised: a run says of one that cannot that it cannot, and of no target
//! of the library.

use crate::registry::fewest;
use crate::{target, targets};
use ndarray::Array2;
use retrograde::core::check::{NOT_NORMALISABLE, tails};
use retrograde::core::{Exact, Runtime, Severity};
use retrograde::prelude::*;

#[test]
fn every_target_can_be_normalised() {
    let registry = retrograde::registry().unwrap();
    for component in targets(&registry) {
        let target = target(&component.name, fewest(&component.name));
        if !target.has_density() {
            continue;
        }
        let mut x = Array2::zeros((200, target.dim()));
        let mut runtime = Runtime::new(1, 1).unwrap();
        let found = runtime.enter("tails", 0, |cx| {
            match target.exact().and_then(Exact::sampler) {
                Some(exact) => exact.sample(&mut cx.at("draws", 0), x.view_mut()).unwrap(),
                None => cx.at("draws", 0).fill_normal(x.view_mut()),
            }
            tails(cx, target.as_ref(), x.view())
        });
        assert_eq!(found.flag, None, "{}", component.name);
        assert!(found.counts.rows > 0);
    }
}

#[test]
fn particles_that_nothing_holds_in_place_cannot() {
    let free = target("dw4", serde_json::json!({ "centre_of_mass": "free" }));
    let mut x = Array2::zeros((80, free.dim()));
    let mut runtime = Runtime::new(1, 1).unwrap();
    runtime.enter("draws", 0, |cx| cx.fill_normal(x.view_mut()));
    let found = runtime.enter("tails", 0, |cx| tails(cx, free.as_ref(), x.view()));
    let text = found.flag.unwrap().text;
    assert!(text.contains("1/r along `"), "{text}");
}

#[test]
fn a_run_says_so_and_counts_its_look_apart() {
    let run = |power: f64| {
        let target = PointTarget::new(1, move |x, g| {
            g[0] = -2.0 * power * x[0] / (1.0 + x[0] * x[0]);
            -power * (x[0] * x[0]).ln_1p()
        });
        Run::new(target).sampler(Mala::default()).draws(400).run()
    };
    let level = run(0.25).unwrap();
    let flag = level.flags().find(|f| f.key == NOT_NORMALISABLE).unwrap();
    assert_eq!(flag.severity, Severity::Failure);
    assert!(level.tail_evaluations() > 0);
    // A Cauchy law.
    let heavy = run(1.0).unwrap();
    assert!(heavy.flags().all(|f| f.key != NOT_NORMALISABLE));
    assert_eq!(heavy.counts().rows, level.counts().rows);
}
