//! Processes with noise that depends on the state, and with drifts from a potential.

use super::{
    Job, M, assert_row, errors, invert, last_order, mixture, mixture_settings, quantiles, uniform,
    w2,
};
use ndarray::{Array1, Array2};
use retrograde::core::registry::Parts;
use retrograde::core::{Field, ForwardProcess, Runtime, Times};
use retrograde::ndarray;
use serde_json::{Value, json};

const STEPS: [usize; 7] = [10, 20, 40, 80, 160, 320, 640];

/// y from this mixture, x = sinh y.
const WARPED: [(f64, f64, f64); 2] = [(0.4, -1.0, 0.04), (0.6, 0.8, 0.09)];

#[test]
fn warped_process_table() {
    let target = json!({ "base": mixture_settings(&WARPED), "warp": [{ "map": "asinh" }] });
    let job = Job::new(
        ("warped-mixture", target),
        (
            "warped-ou",
            json!({ "warp": [{ "map": "asinh" }], "t_end": 3.0, "beta": 1.0 }),
        ),
        ("exact", json!({})),
    );
    let y = |t: f64| {
        let noised = mixture(&WARPED).noised((-0.5 * t).exp(), 1.0 - (-t).exp());
        quantiles(&noised.unwrap(), M)
    };
    let x = |t: f64| -> Vec<f64> { y(t).iter().map(|y| y.sinh()).collect() };
    let (from, to) = (x(3.0), x(0.0));
    let all = (&job, from.as_slice(), to.as_slice());
    let grid = |n| uniform(3.0, 0.0, n);
    let euler = errors(
        &STEPS,
        all,
        "probability-flow",
        |n| json!({ "method": "euler", "grid": grid(n) }),
    );
    assert_row(
        "Euler",
        &STEPS,
        &euler,
        &[0.257, 0.148, 0.0800, 0.0413, 0.0210, 0.0106, 0.00533],
        0.02,
    );
    let heun = errors(
        &STEPS,
        all,
        "probability-flow",
        |n| json!({ "grid": grid(n), "last_step": "full" }),
    );
    assert_row(
        "Heun",
        &STEPS,
        &heun,
        &[0.449, 0.117, 0.0286, 0.00681, 0.00165, 4.1e-4, 1.0e-4],
        0.02,
    );
    let warp = errors(
        &STEPS,
        all,
        "rd-s",
        |n| json!({ "grid": grid(n), "back": { "rule": "full" }, "map": "process" }),
    );
    assert_row(
        "by the warp",
        &STEPS,
        &warp,
        &[0.257, 0.174, 0.126, 0.0868, 0.0562, 0.0345, 0.0203],
        0.02,
    );
    let frozen = errors(&STEPS, all, "rd-f", |n| json!({ "grid": grid(n) }));
    assert_row(
        "RD-F",
        &STEPS,
        &frozen,
        &[0.312, 0.197, 0.128, 0.0841, 0.0529, 0.0321, 0.0188],
        0.02,
    );
    // In y it is DDIM.
    let plain = Job::new(
        ("gaussian-mixture", mixture_settings(&WARPED)),
        (
            "vp",
            json!({ "beta_min": 1.0, "beta_max": 1.0, "t_end": 3.0 }),
        ),
        ("exact", json!({})),
    );
    let ddim = plain.transport(&y(3.0), "ddim", json!({ "grid": grid(20) }));
    for kind in ["rd-s", "rd-q"] {
        let settings = json!({ "grid": grid(20), "back": { "rule": "full" } });
        let rd = job.transport(&from, kind, settings);
        let worst = rd
            .iter()
            .zip(&ddim)
            .fold(0.0f64, |m, (x, y)| m.max((x / y.sinh() - 1.0).abs()));
        assert!(worst <= 1e-10, "{kind}: {worst}");
    }
}

#[test]
fn wrong_forms_of_the_restoration_do_not_converge() {
    // The mode of the posterior in place of its mean, and no ∇·D: floors where RD-F falls.
    let target = json!({ "base": mixture_settings(&WARPED), "warp": [{ "map": "asinh" }] });
    let job = Job::new(
        ("warped-mixture", target),
        (
            "warped-ou",
            json!({ "warp": [{ "map": "asinh" }], "t_end": 3.0, "beta": 1.0 }),
        ),
        ("exact", json!({})),
    );
    let law = |t: f64| -> Vec<f64> {
        let noised = mixture(&WARPED).noised((-0.5 * t).exp(), 1.0 - (-t).exp());
        quantiles(&noised.unwrap(), M)
            .iter()
            .map(|y| y.sinh())
            .collect()
    };
    // x′ = x − h f + c (D s + k ∇·D), l = t: k = 1 is right.
    let run = |steps: usize, k: f64| {
        let mut x = Array2::from_shape_vec((M, 1), law(3.0)).unwrap();
        let (mut f, mut w, mut s) = (x.clone(), x.clone(), x.clone());
        let mut div = x.clone();
        let process = job.process.as_ref();
        let mut runtime = Runtime::new(0, 1).unwrap();
        let h = 3.0 / steps as f64;
        for i in 0..steps {
            let t = 3.0 - h * i as f64;
            let l = t.max(h);
            let c = h / (1.0 + (1.0 - h / l).sqrt());
            runtime
                .enter("test", i as u64, |cx| {
                    let at = Times::Shared(t);
                    process.drift(cx, at, x.view(), f.view_mut())?;
                    cx.eval_score(job.score.as_ref(), at, x.view(), s.view_mut())?;
                    process.apply_ggt(cx, at, x.view(), s.view(), w.view_mut())?;
                    let divergence = process.div_ggt().expect("noise depends on x");
                    divergence.div_ggt(cx, at, x.view(), div.view_mut())
                })
                .unwrap();
            ndarray::Zip::from(&mut x)
                .and(&f)
                .and(&w)
                .and(&div)
                .for_each(|x, f, w, div| *x += c * (w + k * div) - h * f);
        }
        w2(x.as_slice().unwrap(), &law(0.0))
    };
    let right: Vec<f64> = [40, 160].iter().map(|n| run(*n, 1.0)).collect();
    assert_row("mean", &[40, 160], &right, &[0.128, 0.0529], 0.02);
    for (what, k, want) in [
        ("mode", -0.5, [1.12, 1.16, 1.15, 1.14]),
        ("no ∇·D", 0.0, [1.07, 1.09, 1.06, 1.05]),
    ] {
        let got: Vec<f64> = [10, 40, 160, 640].iter().map(|n| run(*n, k)).collect();
        assert_row(what, &[10, 40, 160, 640], &got, &want, 0.02);
    }
}

#[test]
fn square_root_process_table() {
    // κ = θ = 1, σ = 0.8: δ = 6.25; Gamma data of scale 0.05 keep their shape.
    let (shape, start): (f64, f64) = (3.125, 0.05);
    let job = Job::new(
        (
            "gamma-mixture",
            json!({ "shape": shape, "scales": [start] }),
        ),
        (
            "cir",
            json!({ "kappa": 1.0, "theta": 1.0, "sigma": 0.8, "t_end": 2.0 }),
        ),
        ("exact", json!({})),
    );
    let scale = |t: f64| start * (-t).exp() + 0.32 * (1.0 - (-t).exp());
    // Quantiles at scale 1, by bisection of the regularised incomplete Gamma function.
    let unit: Vec<f64> = (0..M)
        .map(|i| {
            let below = |x: f64| gamma_cdf(shape, x);
            invert(&below, (i as f64 + 0.5) / M as f64, 0.0, 60.0)
        })
        .collect();
    let at = |t: f64| -> Vec<f64> { unit.iter().map(|x| x * scale(t)).collect() };
    let (from, to) = (at(2.0), at(0.0));
    let all = (&job, from.as_slice(), to.as_slice());
    let grid = |n| uniform(2.0, 0.0, n);
    let euler = errors(
        &STEPS,
        all,
        "probability-flow",
        |n| json!({ "method": "euler", "grid": grid(n) }),
    );
    assert_row(
        "Euler",
        &STEPS,
        &euler,
        &[0.0402, 0.0177, 0.00831, 0.00402, 0.00198, 9.8e-4, 4.9e-4],
        0.02,
    );
    let heun = errors(
        &STEPS,
        all,
        "probability-flow",
        |n| json!({ "grid": grid(n), "last_step": "full" }),
    );
    assert_row(
        "Heun",
        &STEPS,
        &heun,
        &[0.0129, 0.00250, 5.4e-4, 1.25e-4, 3.0e-5, 7.4e-6, 1.8e-6],
        0.02,
    );
    let frozen = errors(&STEPS, all, "rd-f", |n| json!({ "grid": grid(n) }));
    assert_row(
        "RD-F",
        &STEPS,
        &frozen,
        &[0.1033, 0.0588, 0.0337, 0.0192, 0.0109, 0.00607, 0.00335],
        0.02,
    );
    assert!(
        job.transport(&from, "rd-f", json!({ "grid": grid(10) }))
            .iter()
            .all(|x| *x > 0.0)
    );
}

/// P(a, x) by its series.
fn gamma_cdf(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let (mut term, mut sum, mut k) = (1.0 / a, 1.0 / a, a);
    while term > 1e-17 * sum {
        k += 1.0;
        term *= x / k;
        sum += term;
    }
    (a * x.ln() - x - libm::lgamma(a)).exp() * sum
}

#[test]
fn a_formula_is_a_potential() {
    let target = || ("gaussian-mixture", mixture_settings(&[(1.0, 0.3, 0.5)]));
    let build = |settings: Value| {
        let registry = retrograde::registry().unwrap();
        let files = crate::data();
        let parts = Parts::new(&files).with_target(crate::target(target().0, target().1));
        registry.process("langevin", settings, &parts)
    };
    let well = build(json!({ "k": 1.5, "g": 0.7 })).unwrap();
    let formula = build(json!({
        "potential": "expression", "formula": "1.5 * (x0^2 - 1)^2 / 4", "g": 0.7,
    }))
    .unwrap();
    let n = 41;
    let x = Array2::from_shape_fn((n, 1), |(i, _)| 0.1 * i as f64 - 2.0);
    let all = |process: &dyn ForwardProcess| {
        let mut runtime = Runtime::new(1, 1).unwrap();
        runtime.enter("test", 0, |cx| {
            let [mut f, mut g] = [(); 2].map(|()| Array2::zeros((n, 1)));
            let mut l = Array1::zeros(n);
            let at = Times::Shared(0.4);
            process.drift(cx, at, x.view(), f.view_mut()).unwrap();
            process
                .reference_eval(cx, x.view(), Some(l.view_mut()), Some(g.view_mut()))
                .unwrap();
            (f, g, l)
        })
    };
    let (a, b) = (all(&*well), all(&*formula));
    let near = |a: f64, b: f64| (a - b).abs() < 1e-9 * (1.0 + a.abs());
    assert!(a.0.iter().zip(&b.0).all(|(a, b)| near(*a, *b)), "drift");
    assert!(a.1.iter().zip(&b.1).all(|(a, b)| near(*a, *b)), "gradient");
    assert!(a.2.iter().zip(&b.2).all(|(a, b)| near(*a, *b)), "log q");

    let said = |settings| build(settings).err().expect("refused").to_string();
    let wrong = said(json!({ "potential": "expression", "formula": "x0^2 + y" }));
    assert!(
        wrong.contains("process langevin") && wrong.contains("`formula`"),
        "{wrong}"
    );
    assert!(wrong.contains('y'), "{wrong}");
    let none = said(json!({ "potential": "expression" }));
    assert!(none.contains("`formula` is missing"), "{none}");
}

#[test]
fn double_well_table() {
    // U = (x² − 1)²/4, g = 1; the score from a grid, and the law at T by its distribution function.
    let data = [(0.5, -0.4, 0.04), (0.5, 1.6, 0.04)];
    let job = Job::new(
        ("gaussian-mixture", mixture_settings(&data)),
        (
            "langevin",
            json!({ "potential": "double-well", "t_end": 1.0 }),
        ),
        (
            "fokker-planck",
            json!({ "lower": -5.0, "upper": 5.0, "cells": 3200, "steps": 1280 }),
        ),
    );
    let points = 2000;
    let from = grid_quantiles(&job, 1.0, points);
    let to = quantiles(&mixture(&data), points);
    let all = (&job, from.as_slice(), to.as_slice());
    let steps = [10, 20, 40, 80, 160, 320];
    let grid = |n| uniform(1.0, 0.0, n);
    let euler = errors(
        &steps,
        all,
        "probability-flow",
        |n| json!({ "method": "euler", "grid": grid(n) }),
    );
    assert_row(
        "Euler",
        &steps,
        &euler,
        &[0.112, 0.0560, 0.0275, 0.0133, 0.00650, 0.00322],
        0.1,
    );
    let heun = errors(
        &steps[..5],
        all,
        "probability-flow",
        |n| json!({ "grid": grid(n), "last_step": "full" }),
    );
    assert_row(
        "Heun",
        &steps[..5],
        &heun,
        &[0.0438, 0.00975, 0.00228, 5.6e-4, 1.5e-4],
        0.1,
    );
    let frozen = errors(&steps, all, "rd-f", |n| json!({ "grid": grid(n) }));
    assert_row(
        "RD-F",
        &steps,
        &frozen,
        &[0.141, 0.0980, 0.0648, 0.0400, 0.0254, 0.0119],
        0.1,
    );
    let floor = errors(
        &[160, 320],
        all,
        "rd-f",
        |n| json!({ "grid": grid(n), "back": { "rule": "multiple", "multiple": 16.0 } }),
    );
    assert!(
        (floor[1] / 0.038 - 1.0).abs() < 0.15 && last_order(&floor) < 0.4,
        "{floor:?}"
    );
}

/// Quantiles of the law at t from the log marginal of a score in one dimension, integrated by the
/// trapezium rule on a fine grid.
fn grid_quantiles(job: &Job, t: f64, m: usize) -> Vec<f64> {
    let (low, high, n) = (-4.0, 4.0, 80_001);
    let h = (high - low) / (n - 1) as f64;
    let x = Array2::from_shape_fn((n, 1), |(i, _)| low + h * i as f64);
    let mut log_p = ndarray::Array1::zeros(n);
    let marginal = job.score.log_marginal().expect("a grid knows its density");
    Runtime::new(0, 1)
        .unwrap()
        .enter("test", 0, |cx| {
            marginal.log_marginal(cx, Times::Shared(t), x.view(), log_p.view_mut())
        })
        .unwrap();
    let p: Vec<f64> = log_p.iter().map(|l| l.exp()).collect();
    let mut below = vec![0.0];
    for w in p.windows(2) {
        below.push(below.last().unwrap() + 0.5 * h * (w[0] + w[1]));
    }
    let total = *below.last().unwrap();
    assert!((total - 1.0).abs() < 1e-4, "{total}");
    let mut i = 0;
    (0..m)
        .map(|k| {
            let u = (k as f64 + 0.5) / m as f64 * total;
            while below[i + 1] < u {
                i += 1;
            }
            low + h * (i as f64 + (u - below[i]) / (below[i + 1] - below[i]))
        })
        .collect()
}

#[test]
fn nothing_moves_that_is_stationary() {
    let cases = [
        (
            "langevin",
            json!({ "potential": "double-well" }),
            [-1.3, 0.2, 0.9],
        ),
        (
            "cir",
            json!({ "kappa": 1.0, "theta": 1.0, "sigma": 0.8 }),
            [0.1, 1.0, 3.0],
        ),
        ("jacobi", json!({ "a": 2.0, "b": 3.0 }), [0.05, 0.4, 0.9]),
        (
            "stochastic-logistic",
            json!({ "rate": 1.0, "capacity": 2.0, "sigma": 0.7 }),
            [0.2, 1.0, 4.0],
        ),
    ];
    for (name, settings, points) in cases {
        let job = Job::new(
            ("standard-normal", json!({ "dim": 1 })),
            (name, settings),
            ("reference", json!({})),
        );
        let t = job.process.t_end();
        for method in ["euler", "heun"] {
            let grid = super::list(&[t, 0.9 * t]);
            let run = json!({ "method": method, "grid": grid });
            let moved = job.transport(&points, "probability-flow", run);
            for (x, from) in moved.iter().zip(points) {
                assert!((x - from).abs() <= 1e-12, "{name}, {method}: {from} → {x}");
            }
        }
        // RD-F moves by exactly −(2c/h − 1) h w/2… = (c − h/2) w, w = 2 f there.
        let (h, l) = (0.1 * t, t);
        let c = h / (1.0 + (1.0 - h / l).sqrt());
        let moved = job.transport(
            &points,
            "rd-f",
            json!({ "grid": super::list(&[t, 0.9 * t]) }),
        );
        let x = Array2::from_shape_vec((3, 1), points.to_vec()).unwrap();
        let (mut f, mut w) = (x.clone(), x.clone());
        let field = Field {
            process: job.process.as_ref(),
            score: job.score.as_ref(),
        };
        Runtime::new(0, 1)
            .unwrap()
            .enter("test", 0, |cx| {
                field.parts(cx, Times::Shared(t), x.view(), f.view_mut(), w.view_mut())
            })
            .unwrap();
        for i in 0..3 {
            let want = 2.0 * (c - h / 2.0) * f[(i, 0)];
            assert!(
                (moved[i] - points[i] - want).abs() <= 1e-13,
                "{name}: {}",
                moved[i]
            );
        }
    }
}

#[test]
fn drift_noise_and_a_reference_law_suffice_with_particles() {
    // Γ(20, 1/20) data: mean 1, variance 1/20. The process has no transition, no map, no marginal.
    let job = |lag: f64| {
        Job::new(
            ("gamma-mixture", json!({ "shape": 20.0, "scales": [0.05] })),
            ("stochastic-logistic", json!({ "t_end": 4.0 })),
            ("particle", json!({ "particles": 5000, "lag": lag })),
        )
    };
    let process = job(0.03).process;
    assert!(process.transition().is_none() && process.forward_map().is_none());
    assert!(process.linear().is_none() && process.closed_marginal().is_none());
    let grid = json!({ "spacing": "geometric-t", "steps": 60, "t_min": 0.01, "to_zero": false });
    let n = 4000;
    let moments = |job: &Job, kind: &str, extra: Value| {
        let mut settings = extra;
        settings["grid"] = grid.clone();
        let (sink, _) = job.run(kind, settings, n, 1);
        assert!(
            sink.flags.contains_key("score-particle"),
            "{kind} tells nothing of its score"
        );
        let x: Vec<f64> = sink.rows().iter().copied().collect();
        let mean = x.iter().sum::<f64>() / n as f64;
        (
            mean,
            x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64,
        )
    };
    for (kind, extra) in [
        ("rd-f", json!({})),
        ("probability-flow", json!({ "method": "euler" })),
        ("probability-flow", json!({ "method": "heun" })),
        ("reverse-sde", json!({})),
    ] {
        let (mean, variance) = moments(&job(0.03), kind, extra.clone());
        // 5 % for particles and lag, on top of the Monte-Carlo error of 0.0035.
        assert!(
            (mean - 1.0).abs() < 0.05 + 4.0 * 0.0035,
            "{kind} {extra}: mean {mean}"
        );
        assert!(
            (variance / 0.05 - 1.0).abs() < 0.25,
            "{kind} {extra}: variance {variance}"
        );
    }
    // Kernels over half the time are no kernels.
    let (_, variance) = moments(&job(0.5), "probability-flow", json!({}));
    assert!((variance / 0.05 - 1.0).abs() > 0.25, "{variance}");
}
