//! The dilation path, its controls and its rivals on mixtures: modes found, shares of the modes,
//! draws astray; measured means over seeds against those of an independent implementation (NumPy).

use crate::{sample, target};
use retrograde::core::{Collected, Target};
use serde_json::{Value, json};
use std::sync::Arc;

/// How the draws fall on the modes of a mixture of equal, round components.
struct Modes {
    /// Modes with at least a fifth of their fair share within three standard deviations.
    found: usize,
    /// Total variation between the shares of the modes and their weights, among draws near a mode.
    tv: f64,
    /// Share of the draws that are near none.
    stray: f64,
    /// Smallest and largest share of a mode over its weight.
    least: f64,
    most: f64,
}

fn modes(run: &Collected, target: &dyn Target) -> Modes {
    let mixture = target.mixture().expect("a mixture");
    let (means, k) = (mixture.means(), mixture.components());
    let weight = 1.0 / k as f64;
    let sd = 0.0;
    let _ = sd;
    let mut counts = vec![0.0; k];
    let mut stray = 0.0;
    let n = run.len() as f64;
    for x in run.rows().rows() {
        let scaled = |i: usize| (&means.row(i) - &x).mapv(|v| v * v).sum() / variance(target, i);
        let nearest = (0..k).min_by(|a, b| scaled(*a).total_cmp(&scaled(*b)));
        let nearest = nearest.expect("there are modes");
        if scaled(nearest) <= 9.0 {
            counts[nearest] += 1.0;
        } else {
            stray += 1.0;
        }
    }
    let near: f64 = counts.iter().sum();
    let shares: Vec<f64> = counts.iter().map(|c| c / near / weight).collect();
    Modes {
        found: counts.iter().filter(|c| **c / n >= 0.2 * weight).count(),
        tv: 0.5 * weight * shares.iter().map(|s| (s - 1.0).abs()).sum::<f64>(),
        stray: stray / n,
        least: shares.iter().copied().fold(f64::INFINITY, f64::min),
        most: shares.iter().copied().fold(0.0, f64::max),
    }
}
fn variance(_t: &dyn Target, _i: usize) -> f64 { VAR.with(|v| v.get()) }
thread_local!{ static VAR: std::cell::Cell<f64> = const { std::cell::Cell::new(1.0) } }

#[test]
#[ignore]
fn explore() {
    let g16 = target("gmm16", json!({}));
    let g40 = target("gmm40", json!({}));
    let means: Vec<Vec<f64>> = g40.mixture().unwrap().means().rows().into_iter().map(|r| vec![r[0]-50.0, r[1]]).collect();
    let sd = 1f64.exp().ln_1p();
    let g40s = target("gaussian-mixture", json!({"means": means, "sd": sd}));
    let seeds: u64 = std::env::var("SEEDS").map(|s| s.parse().unwrap()).unwrap_or(3);
    for (name, t, h, l, v) in [("16", &g16, 0.05, 6.0, 0.25), ("40", &g40, 0.3, 40.0, sd*sd), ("40s", &g40s, 0.3, 90.0, sd*sd)] {
        VAR.with(|c| c.set(v));
        let dil = |rule: &str, cap: f64, schedule: &str, start: f64| json!({"rule": rule, "step_size": h, "drift_cap": cap, "schedule": schedule, "start_sd": start, "tail": 0});
        for (what, kind, s) in [
            ("ULA 0", "ula", json!({"step_size": h, "warmup": 1999, "chains": 1000, "start_sd": 0.0})),
            ("ULA L", "ula", json!({"step_size": h, "warmup": 1999, "chains": 1000, "start_sd": l})),
            ("geo 1", "annealed-langevin", json!({"step_size": h, "tail": 0})),
            ("geo L", "annealed-langevin", json!({"step_size": h, "base_sd": l, "tail": 0})),
            ("R1 dirac exp", "dilation", dil("lipschitz", 1.0, "exponential", 0.0)),
            ("R1 N01 lin", "dilation", dil("lipschitz", 1.0, "linear", 1.0)),
            ("R2 1", "dilation", dil("score-norm", 1.0, "linear", 0.0)),
            ("R3 1", "dilation", dil("tamed", 1.0, "linear", 0.0)),
            ("R2 .1", "dilation", dil("score-norm", 0.1, "linear", 0.0)),
            ("R3 .1", "dilation", dil("tamed", 0.1, "linear", 0.0)),
        ] {
            let t0 = std::time::Instant::now();
            let all: Vec<Modes> = (0..seeds).map(|seed| modes(&sample(t, kind, s.clone(), 1000, seed).0, &**t)).collect();
            let el = t0.elapsed().as_secs_f64()/seeds as f64;
            let st = |f: &dyn Fn(&Modes) -> f64| { let m = all.iter().map(f).sum::<f64>()/seeds as f64; let s = (all.iter().map(|x| (f(x)-m).powi(2)).sum::<f64>()/(seeds as f64-1.0)).sqrt(); format!("{m:.4} ({s:.4})") };
            println!("{name:4} {what:14} found {} tv {} stray {} least {} most {}  {el:.2}s", st(&|m| m.found as f64), st(&|m| m.tv), st(&|m| m.stray), st(&|m| m.least), st(&|m| m.most));
        }
    }
}
