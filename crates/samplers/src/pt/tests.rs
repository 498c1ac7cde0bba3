use super::tuning::equal_steps;
use super::*;
use crate::mala::Mala;
use ndarray::ArrayView2;
use retrograde_core::numeric::sigmoid;
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{Collected, Counts, PointTarget, Runtime, drive::drive};
use retrograde_testkit::{assert_z, mean_se};

/// 2/3 N(−1 + 1/3, 0.05 I) + 1/3 N(1 + 1/3, 0.05 I); log Z = 0.
fn two_modes(d: usize) -> Arc<dyn Target> {
    const V: f64 = 0.05;
    let constant = -0.5 * d as f64 * (std::f64::consts::TAU * V).ln();
    Arc::new(PointTarget::new(d, move |x, g| {
        let [mut a, mut b] = [(2.0f64 / 3.0).ln(), (1.0f64 / 3.0).ln()];
        for x in x {
            a -= 0.5 * (x + 2.0 / 3.0).powi(2) / V;
            b -= 0.5 * (x - 4.0 / 3.0).powi(2) / V;
        }
        let first = sigmoid(a - b);
        for (g, x) in g.iter_mut().zip(x) {
            *g = (first * (-2.0 / 3.0 - x) + (1.0 - first) * (4.0 / 3.0 - x)) / V;
        }
        constant + a.max(b) + (-(a - b).abs()).exp().ln_1p()
    }))
}

/// Means, standard deviations and correlation of [`skewed`].
const LAW: ([f64; 2], [f64; 2], f64) = ([0.7, -0.4], [0.5, 1.5], 0.8);

/// A correlated normal law times e².
fn correlated() -> Arc<dyn Target> {
    let (m, s, rho) = LAW;
    let rest = 1.0 - rho * rho;
    let constant = 2.0 - (std::f64::consts::TAU * s[0] * s[1]).ln() - 0.5 * rest.ln();
    Arc::new(PointTarget::new(2, move |x, g| {
        let (a, b) = ((x[0] - m[0]) / s[0], (x[1] - m[1]) / s[1]);
        g[0] = -(a - rho * b) / rest / s[0];
        g[1] = -(b - rho * a) / rest / s[1];
        constant - 0.5 * (a * a - 2.0 * rho * a * b + b * b) / rest
    }))
}

/// N(0, s²), not normalised.
fn normal(s: f64) -> Arc<dyn Target> {
    Arc::new(PointTarget::new(1, move |x, g| {
        g[0] = -x[0] / (s * s);
        0.5 * x[0] * g[0]
    }))
}

fn run_with(sampler: &dyn Sampler, d: usize, n: usize, seed: u64) -> (Collected, Counts) {
    let mut out = Collected::new(d);
    let mut runtime = Runtime::new(seed, 1).unwrap();
    drive(sampler, &mut runtime, n, None, &mut out).unwrap();
    (out, runtime.counts().clone())
}

fn run(
    settings: ParallelTempering,
    target: &Arc<dyn Target>,
    fault: Fault,
    n: usize,
    seed: u64,
) -> Collected {
    let mut sampler = Ladders::new(settings, target.clone()).unwrap();
    sampler.fault = fault;
    run_with(&sampler, target.dim(), n, seed).0
}

/// Small and quick, on a base as given.
fn small(base_sd: f64, temperatures: usize) -> ParallelTempering {
    ParallelTempering {
        base_sd: base_sd.into(),
        pilot_moves: 0,
        temperatures,
        rounds: 6,
        leapfrog: 3,
        thin: 1,
        // Of a step size each, so that none crosses a barrier by itself.
        step_span: 1.0,
        ..ParallelTempering::default()
    }
}

/// Mean of `f` over all draws, with its standard error from the spread over ladders.
fn ladder_mean(out: &Collected, f: impl Fn(&[f64]) -> f64) -> (f64, f64) {
    let x = out.by_chain();
    mean_se(x.outer_iter().map(|chain: ArrayView2<'_, f64>| {
        let sum: f64 = chain.outer_iter().map(|row| f(&row.to_vec())).sum();
        sum / chain.nrows() as f64
    }))
}

fn first_mode(x: &[f64]) -> f64 {
    f64::from(x.iter().sum::<f64>() < x.len() as f64 / 3.0)
}

#[test]
fn default_settings_weigh_two_modes_and_know_their_error() {
    for (d, seeds) in [(2, 4), (16, 4)] {
        let target = two_modes(d);
        let (mut log_z, mut error) = (Vec::new(), 0.0);
        for seed in 1..=seeds {
            let r = run(
                ParallelTempering::default(),
                &target,
                Fault::None,
                4000,
                seed,
            );
            let (weight, se) = ladder_mean(&r, first_mode);
            assert!(
                se < 0.03 && (weight - 2.0 / 3.0).abs() < 0.06,
                "{d}: {weight} ± {se}"
            );
            assert!(r.scalars["log_z"].abs() < 0.1 && r.scalars["round_trips"] > 500.0);
            let flags: Vec<_> = r.flags.keys().collect();
            assert_eq!(flags, ["pilot", "unseen"]);
            log_z.push(r.scalars["log_z"]);
            error += r.scalars["log_z_se"].powi(2) / seeds as f64;
        }
        let mean = mean_se(log_z.iter().copied()).0;
        println!("d = {d}: log Z {log_z:?}, said ± {:.4}", error.sqrt());
        assert_z("log Z", mean, 0.0, (error / seeds as f64).sqrt());
    }
}

/// Moments, log Z and, at two modes, weights over some seeds; an error names the first that is off.
fn check_law(settings: &ParallelTempering, fault: Fault) -> std::result::Result<(), String> {
    type Function = fn(&[f64]) -> f64;
    let (m, s, rho) = LAW;
    let moments: [(&str, f64, Function); 4] = [
        ("mean", m[0], |x| x[0]),
        ("variance", s[0] * s[0], |x| (x[0] - LAW.0[0]).powi(2)),
        ("variance", s[1] * s[1], |x| (x[1] - LAW.0[1]).powi(2)),
        ("covariance", rho * s[0] * s[1], |x| {
            (x[0] - LAW.0[0]) * (x[1] - LAW.0[1])
        }),
    ];
    let weights: [(&str, f64, Function); 1] = [("weight", 2.0 / 3.0, first_mode)];
    for (target, log_z, functions) in [
        (correlated(), 2.0, &moments[..]),
        (two_modes(2), 0.0, &weights[..]),
    ] {
        let runs: Vec<Collected> = (0..5)
            .map(|seed| run(settings.clone(), &target, fault, 1600, seed))
            .collect();
        let close = |what: &str, values: Vec<(f64, f64)>, truth: f64| {
            let n = values.len() as f64;
            let mean = values.iter().map(|v| v.0).sum::<f64>() / n;
            let se = values.iter().map(|v| v.1 * v.1).sum::<f64>().sqrt() / n;
            if (mean - truth).abs() < 4.5 * se {
                return Ok(());
            }
            Err(format!("{what}: {mean} ± {se}, expected {truth}"))
        };
        for (what, truth, f) in functions {
            let values = runs.iter().map(|r| ladder_mean(r, f)).collect();
            close(what, values, *truth)?;
        }
        let scalar = |r: &Collected, key: &str| r.scalars.get(key).copied().unwrap_or(0.0);
        let values = |r: &Collected| (scalar(r, "log_z"), scalar(r, "log_z_se"));
        close("log Z", runs.iter().map(values).collect(), log_z)?;
    }
    Ok(())
}

#[test]
fn moments_and_evidence_are_right_and_broken_variants_are_noticed() {
    for kernel in [Kernel::Hmc, Kernel::Mala] {
        let s = ParallelTempering {
            kernel,
            thin: 2,
            ..small(1.5, 8)
        };
        check_law(&s, Fault::None).unwrap_or_else(|e| panic!("{kernel:?}: {e}"));
        check_law(&s, Fault::Reversible).unwrap();
        for fault in [
            Fault::EverySwap,
            Fault::HalfExponent,
            Fault::BaseMissingInMoves,
            Fault::WideReference,
            Fault::PairOmitted,
        ] {
            assert!(check_law(&s, fault).is_err(), "{kernel:?}, {fault:?}");
        }
    }
}

#[test]
fn rejections_and_barrier_of_normal_laws_are_those_of_theory() {
    // Between N(0, 1/p) and N(0, 1/q), p < q, a swap is rejected with 1 − (4/π) atan √(p/q); equal
    // rejections are equal ratios of precisions, which makes Λ → ln(q/p)/π over the path.
    let (sd, k) = (0.05, 12);
    let r = run(
        ParallelTempering {
            rounds: 9,
            ..small(1.0, k)
        },
        &normal(sd),
        Fault::None,
        8000,
        3,
    );
    let precision = 1.0 / (sd * sd);
    let ratio = precision.powf(1.0 / k as f64);
    let want = 1.0 - 4.0 / std::f64::consts::PI * (1.0 / ratio).sqrt().atan();
    let ladder = &r.tables["ladder"].1;
    let mut before = 1.0;
    for row in &ladder[1..] {
        let p = 1.0 + row[0] * (precision - 1.0);
        // The last round that moved the ladder had 1024 scans of 8: rejections to about 0.01.
        assert!((row[1] - want).abs() < 0.03, "{row:?}, {want}");
        let exact = 1.0 - 4.0 / std::f64::consts::PI * (before / p).sqrt().atan();
        assert!((row[1] - exact).abs() < 0.012, "{row:?}, {exact}");
        before = p;
    }
    let limit = precision.ln() / std::f64::consts::PI;
    let barrier = r.scalars["barrier"];
    assert!((barrier - want * k as f64).abs() < 0.02 && (barrier / limit - 1.0).abs() < 0.05);
    let truth = (sd * std::f64::consts::TAU.sqrt()).ln();
    assert_z("log Z", r.scalars["log_z"], truth, r.scalars["log_z_se"]);
    // Both stepping stones give the same; neighbours are near enough for it.
    for key in ["log_z_below", "log_z_above"] {
        assert!((r.scalars[key] - truth).abs() < 0.1, "{key}");
    }
    // No better than the bound for independent draws, and not much worse.
    let (rate, best) = (r.scalars["round_trip_rate"], 0.5 / (1.0 + barrier));
    assert!(rate < 1.05 * best && rate > 0.5 * best, "{rate} {best}");
    // Swaps by chance take many times longer on a long ladder.
    let trips = |fault| run(small(1.0, 30), &normal(sd), fault, 8000, 3).scalars["round_trips"];
    let (deo, seo) = (trips(Fault::None), trips(Fault::Reversible));
    assert!(deo > 2.5 * seo && seo > 0.0, "{deo} {seo}");
}

#[test]
fn the_temperatures_stand_at_equal_steps_of_a_known_barrier() {
    // Λ(β) = √β, known at nine points: β_j = (j/K)².
    let at: Vec<f64> = (0..=8).map(|i| (f64::from(i) / 8.0).powi(2)).collect();
    let barrier: Vec<f64> = at.iter().map(|b| b.sqrt()).collect();
    let mut beta = [0.0; 8];
    equal_steps(&at, &barrier, &mut [0.0; 9], &mut beta);
    for (b, a) in beta.iter().zip(&at[1..]) {
        assert!((b - a).abs() < 1e-12);
    }
    // A step that holds all of it is divided evenly, and they rise whatever the barrier is.
    for jump in 0..8 {
        let barrier: Vec<f64> = (0..=8)
            .map(|i| 1e-6 * f64::from(i) + f64::from(i32::from(i > jump)))
            .collect();
        equal_steps(&at, &barrier, &mut [0.0; 9], &mut beta);
        assert!(beta.windows(2).all(|b| b[0] < b[1]) && beta[7] == 1.0);
        let (low, high) = (at[jump as usize], at[jump as usize + 1]);
        let inside = beta.iter().filter(|b| **b > low && **b < high).count();
        assert!(inside >= 6, "{jump}: {beta:?}");
    }
}

#[test]
fn a_barrier_of_sixteen_is_crossed_by_swaps_alone() {
    let wells: Arc<dyn Target> = Arc::new(PointTarget::new(1, |x, g| {
        let w = x[0] * x[0] - 4.0;
        g[0] = -4.0 * w * x[0];
        -w * w
    }));
    let s = ParallelTempering {
        base_mean: (-2.0).into(),
        thin: 3,
        ..small(2.0, 10)
    };
    let right = |s, fault| ladder_mean(&run(s, &wells, fault, 8000, 1), |x| f64::from(x[0] > 0.0));
    let (share, se) = right(s.clone(), Fault::None);
    assert!((share - 0.5).abs() < 0.03, "{share} ± {se}");
    let left = ParallelTempering {
        base_sd: 0.3.into(),
        ..s
    };
    let (alone, _) = right(left, Fault::NoSwaps);
    assert!(alone < 0.01, "{alone}");
    // Langevin chains from the left, without a ladder.
    let chains = Mala {
        start_mean: (-2.0).into(),
        start_sd: 0.1.into(),
        ..Mala::default()
    };
    let files = Folder::default();
    let chains = chains
        .build(&Parts::new(&files).with_target(wells))
        .unwrap();
    let (r, _) = run_with(&*chains, 1, 8000, 1);
    let crossed = r.rows().iter().filter(|x| **x > 0.0).count();
    assert!(crossed < 80, "{crossed}");
}

#[test]
fn a_ladder_that_does_not_reach_says_so() {
    let far: Arc<dyn Target> = Arc::new(PointTarget::new(20, |x, g| {
        let mut l = 0.0;
        for (g, x) in g.iter_mut().zip(x) {
            *g = (9.0 - x) * 100.0;
            l -= 50.0 * (9.0 - x) * (9.0 - x);
        }
        l
    }));
    let r = run(small(1.0, 2), &far, Fault::None, 80, 1);
    for flag in ["few_temperatures", "no_round_trips"] {
        assert!(
            r.flags[flag].severity >= retrograde_core::Severity::Warning,
            "{flag}"
        );
    }
    assert!(
        r.flags["few_temperatures"]
            .advice
            .contains("`temperatures`")
    );
    assert!(r.scalars.values().all(|v| v.is_finite()), "{:?}", r.scalars);
    assert!(
        r.tables
            .values()
            .flat_map(|t| &t.1)
            .flatten()
            .all(|v| v.is_finite())
    );
    // The pilot run finds the place, and all is well.
    let r = run(
        ParallelTempering {
            pilot_moves: 100,
            ..small(1.0, 12)
        },
        &far,
        Fault::None,
        800,
        1,
    );
    assert!(!r.flags.contains_key("few_temperatures"), "{:?}", r.flags);
    let truth = 10.0 * (std::f64::consts::TAU / 100.0).ln();
    assert_z("log Z", r.scalars["log_z"], truth, r.scalars["log_z_se"]);
}

#[test]
fn the_counts_are_those_of_the_formula() {
    let s = small(1.0, 5);
    let sampler = Ladders::new(s, normal(0.5)).unwrap();
    let (out, counts) = run_with(&sampler, 1, 80, 1);
    // 252 scans of tuning and 10 draws of each of 8 ladders; L is 1, 2, 3 in turn.
    let leaps: u64 = (0..262).map(|i| 1 + i % 3).sum();
    assert_eq!(out.len(), 80);
    assert_eq!(counts.gradient_evals, 8 * (5 + 262 + 5 * leaps));
    assert_eq!(counts.density_evals, 8 * (5 + 262 + 5 * 262));
}

#[test]
fn hard_input_ends_in_words() {
    let one = ParallelTempering {
        chains: 1,
        ..small(1.0, 3)
    };
    // One draw of one ladder.
    let r = run(one.clone(), &normal(0.7), Fault::None, 1, 1);
    assert!(
        r.len() == 1 && r.flags.contains_key("no_log_z_se"),
        "{:?}",
        r.flags
    );
    assert!(r.scalars.values().all(|v| v.is_finite()));
    // One temperature.
    let r = run(small(1.0, 1), &normal(0.7), Fault::None, 80, 1);
    let truth = (0.7 * std::f64::consts::TAU.sqrt()).ln();
    assert_z("log Z", r.scalars["log_z"], truth, r.scalars["log_z_se"]);
    let error = |target: Arc<dyn Target>, s: ParallelTempering| {
        let mut out = Collected::new(1);
        let sampler = Ladders::new(s, target)?;
        drive(
            &sampler,
            &mut Runtime::new(1, 1).unwrap(),
            80,
            None,
            &mut out,
        )
        .map(|_| ())
    };
    let nowhere: Arc<dyn Target> = Arc::new(PointTarget::new(1, |_, _| f64::NEG_INFINITY));
    let nan: Arc<dyn Target> = Arc::new(PointTarget::new(1, |_, _| f64::NAN));
    for pilot_moves in [0, 20] {
        let s = ParallelTempering {
            pilot_moves,
            ..small(1.0, 3)
        };
        let said = error(nowhere.clone(), s.clone()).unwrap_err().to_string();
        assert!(said.contains("−∞") && said.contains("base_sd"), "{said}");
        let said = error(nan.clone(), s).unwrap_err().to_string();
        assert!(
            said.contains("not finite") || said.contains("NaN") || said.contains("−inf"),
            "{said}"
        );
    }
    let bad = |s: ParallelTempering, words: [&str; 2]| {
        let said = error(normal(1.0), s).unwrap_err().to_string();
        for w in words {
            assert!(said.contains(w), "{said}");
        }
    };
    let d = || small(1.0, 3);
    bad(
        ParallelTempering {
            temperatures: 0,
            ..d()
        },
        ["`temperatures` is 0", "from 1"],
    );
    bad(
        ParallelTempering { rounds: 0, ..d() },
        ["`rounds` is 0", "from 1 to 40"],
    );
    bad(
        ParallelTempering { rounds: 41, ..d() },
        ["`rounds` is 41", "from 1 to 40"],
    );
    bad(
        ParallelTempering { chains: 3, ..d() },
        ["`chains` is 3", "divisor"],
    );
    bad(
        ParallelTempering { thin: 0, ..d() },
        ["`thin` is 0", "at least 1"],
    );
    bad(
        ParallelTempering { moves: 0, ..d() },
        ["`moves` is 0", "at least 1"],
    );
    bad(
        ParallelTempering { leapfrog: 0, ..d() },
        ["`leapfrog` is 0", "at least 1"],
    );
    bad(
        ParallelTempering {
            step_size: f64::NAN,
            ..d()
        },
        ["`step_size` is NaN", "above 0"],
    );
    bad(
        ParallelTempering {
            base_sd: 0.0.into(),
            ..d()
        },
        ["`base_sd`", "above 0"],
    );
}
