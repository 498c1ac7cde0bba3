use super::doubts::{FEW_FAMILIES, correlation, standard_error};
use super::*;
use ndarray::ArrayView1;
use retrograde_core::{Collected, Counts, PointTarget, Runtime, drive::drive};
use retrograde_testkit::{assert_z, mean_se};

/// Nine modes at {−5, 0, 5}², variance 0.3 each, equal weights; log Z = 0.
fn gmm9() -> Arc<dyn Target> {
    let constant = -(9.0f64 * std::f64::consts::TAU * 0.3).ln();
    Arc::new(PointTarget::new(2, move |x, g| {
        let mut terms = [0.0; 9];
        for (k, t) in terms.iter_mut().enumerate() {
            let (a, b) = (x[0] - CENTRES[k / 3], x[1] - CENTRES[k % 3]);
            *t = -(a * a + b * b) / 0.6;
        }
        let log_sum = softmax_in_place(&mut terms);
        for (k, w) in terms.iter().enumerate() {
            g[0] -= w * (x[0] - CENTRES[k / 3]) / 0.3;
            g[1] -= w * (x[1] - CENTRES[k % 3]) / 0.3;
        }
        constant + log_sum
    }))
}

const CENTRES: [f64; 3] = [-5.0, 0.0, 5.0];

/// ℓ(x) = −Σ (xᵢ² − 4)², i < 5.
fn multi_well() -> Arc<dyn Target> {
    Arc::new(PointTarget::new(5, |x, g| {
        let mut sum = 0.0;
        for (g, x) in g.iter_mut().zip(x) {
            let w = x * x - 4.0;
            sum -= w * w;
            *g = -4.0 * w * x;
        }
        sum
    }))
}

/// 5 ln ∫ e^{−(x²−4)²} dx, and E x², by the rectangle rule, exact to rounding here.
fn multi_well_truth() -> (f64, f64) {
    let (mut z, mut square) = (0.0, 0.0);
    for k in -60_000..=60_000 {
        let x = f64::from(k) * 1e-4;
        let p = 1e-4 * (-(x * x - 4.0).powi(2)).exp();
        z += p;
        square += p * x * x;
    }
    (5.0 * z.ln(), square / z)
}

/// N(μ, σ²) in ten dimensions with μ_j = j/10, σ_j = 0.3 … 1.2, times e³; log Z = 3.
fn gaussian() -> Arc<dyn Target> {
    Arc::new(PointTarget::new(10, |x, g| {
        let mut l = 3.0;
        for j in 0..10 {
            let (m, s) = law(j);
            let z = (x[j] - m) / s;
            g[j] = -z / s;
            l -= 0.5 * z * z + s.ln() + 0.5 * std::f64::consts::TAU.ln();
        }
        l
    }))
}

fn law(j: usize) -> (f64, f64) {
    (j as f64 / 10.0, 0.3 + j as f64 / 10.0)
}

fn base(sd: f64) -> Smc {
    Smc {
        base_sd: PerCoordinate::All(sd),
        kernel: Kernel::Mala,
        moves: 10,
        pilot_moves: 0,
        max_moves: 1,
        ..Smc::default()
    }
}

/// Default settings without a pilot run.
fn still() -> Smc {
    Smc {
        pilot_moves: 0,
        ..Smc::default()
    }
}

fn run(sampler: &dyn Sampler, d: usize, n: usize, seed: u64) -> (Collected, Counts) {
    let mut out = Collected::new(d);
    let mut runtime = Runtime::new(seed, 1).unwrap();
    drive(sampler, &mut runtime, n, None, &mut out).unwrap();
    (out, runtime.counts().clone())
}

/// Runs of `n` particles over `seeds` seeds.
fn runs(settings: &Smc, target: &Arc<dyn Target>, n: usize, seeds: u64) -> Vec<Collected> {
    let sampler = Particles::new(settings.clone(), target.clone()).unwrap();
    (0..seeds)
        .map(|seed| run(&sampler, target.dim(), n, seed).0)
        .collect()
}

fn log_z(runs: &[Collected]) -> Vec<f64> {
    runs.iter().map(|r| r.scalars["log_z"]).collect()
}

fn mean_sd(v: &[f64]) -> (f64, f64) {
    let (m, se) = mean_se(v.iter().copied());
    (m, se * (v.len() as f64).sqrt())
}

fn mean_of(runs: &[Collected], f: impl Fn(ArrayView1<'_, f64>) -> f64) -> Vec<f64> {
    let means = runs.iter().map(|r| {
        let x = r.rows();
        x.outer_iter().map(&f).sum::<f64>() / x.nrows() as f64
    });
    means.collect()
}

/// Fails unless `values`, one a seed, have the mean `truth` to 4.5 of their standard errors.
fn close(what: &str, values: &[f64], truth: f64) -> std::result::Result<(), String> {
    let (got, se) = mean_se(values.iter().copied());
    if (got - truth).abs() < 4.5 * se {
        Ok(())
    } else {
        Err(format!("{what}: {got} ± {se}, expected {truth}"))
    }
}

/// Total variation between the mode frequencies of GMM9 and 1/9 each.
fn total_variation(run: &Collected) -> f64 {
    let mut share = [0.0; 9];
    for x in run.rows().outer_iter() {
        let near = |v: f64| ((v + 2.5) / 5.0).floor().clamp(-1.0, 1.0) as i32 + 1;
        share[(3 * near(x[0]) + near(x[1])) as usize] += 1.0 / run.len() as f64;
    }
    0.5 * share.iter().map(|s| (s - 1.0 / 9.0).abs()).sum::<f64>()
}

fn levels_and_calls(runs: &[Collected]) -> (f64, f64) {
    let ladders = runs.iter().map(|r| &r.tables["ladder"].1);
    let n = runs[0].len() as f64;
    let (levels, calls): (Vec<f64>, Vec<f64>) = ladders
        .map(|l| (l.len() as f64, l[l.len() - 1][7] / n))
        .unzip();
    (mean_sd(&levels).0, mean_sd(&calls).0)
}

#[test]
fn a_base_that_covers_nine_modes_finds_them_all() {
    for precondition in [Precondition::Diagonal, Precondition::None] {
        let s = Smc {
            precondition,
            ..base(4.0)
        };
        let r = runs(&s, &gmm9(), 2000, 10);
        let (mean, sd) = mean_sd(&log_z(&r));
        let (tv, _) = mean_sd(&r.iter().map(total_variation).collect::<Vec<_>>());
        let (levels, calls) = levels_and_calls(&r);
        println!(
            "GMM9, sd 4, {precondition:?}: log Z {mean:.4} ± {sd:.4}, TV {tv:.3}, {levels} levels, {calls} calls"
        );
        close("log Z", &log_z(&r), 0.0).unwrap();
        // .000 ± .016 and TV .036 with another implementation of the same recipe.
        assert!(sd < 0.04 && (0.015..0.06).contains(&tv), "{sd} {tv}");
        assert!((6.0..=8.0).contains(&levels) && (calls - 10.0 * levels - 1.0).abs() < 1e-9);
        assert!(r.iter().all(|r| !r.flags.contains_key("narrow_base")
            && !r.flags.contains_key("few_families")
            && r.flags.contains_key("adaptive")));
    }
}

#[test]
fn a_narrow_base_loses_modes_and_says_so() {
    let r = runs(&base(1.0), &gmm9(), 2000, 20);
    let (mean, sd) = mean_sd(&log_z(&r));
    let tvs: Vec<f64> = r.iter().map(total_variation).collect();
    let (tv, _) = mean_sd(&tvs);
    let (levels, calls) = levels_and_calls(&r);
    println!("GMM9, sd 1: log Z {mean:.3} ± {sd:.3}, TV {tv:.3}, {levels} levels, {calls} calls");
    // −.79 ± .26 over 10 seeds and TV .478 with another implementation of the same recipe.
    let se = (sd * sd / 20.0 + 0.26 * 0.26 / 10.0).sqrt();
    assert!(
        (mean + 0.79).abs() < 4.5 * se && mean < 0.0,
        "{mean} ± {sd}"
    );
    assert!(tv > 0.25 && tvs.iter().all(|tv| *tv > 0.1), "{tvs:?}");
    assert!(r.iter().all(|r| r.flags.contains_key("narrow_base")));
}

#[test]
fn wells_and_a_gaussian_have_their_evidence_and_moments() {
    let (truth, square) = multi_well_truth();
    assert!((truth + 0.541_055_512_9).abs() < 1e-9);
    let r = runs(&base(2.0), &multi_well(), 2000, 10);
    let (mean, sd) = mean_sd(&log_z(&r));
    let squares = mean_of(&r, |x| x[0] * x[0]);
    let (levels, calls) = levels_and_calls(&r);
    println!(
        "wells: log Z {mean:.4} ± {sd:.4}, E x0² {:.4}, {levels} levels, {calls} calls",
        mean_sd(&squares).0
    );
    close("wells: log Z", &log_z(&r), truth).unwrap();
    close("wells: E x0²", &squares, square).unwrap();
    for kernel in [Kernel::Mala, Kernel::Hmc] {
        for resample_threshold in [1.0, 0.5, 0.0] {
            let s = Smc {
                kernel,
                resample_threshold,
                ..base(2.0)
            };
            check_gaussian(&s, Fault::None).unwrap_or_else(|e| panic!("{s:?}: {e}"));
        }
    }
}

/// log Z and moments of the Gaussian over 20 seeds of 500 particles.
fn check_gaussian(settings: &Smc, fault: Fault) -> std::result::Result<(), String> {
    let mut sampler = Particles::new(settings.clone(), gaussian()).unwrap();
    sampler.fault = fault;
    let mut r = Vec::new();
    for seed in 0..20 {
        let mut out = Collected::new(10);
        let mut runtime = Runtime::new(seed, 1).unwrap();
        drive(&sampler, &mut runtime, 500, None, &mut out).map_err(|e| e.to_string())?;
        r.push(out);
    }
    // E log Ẑ is below log Z by half its variance.
    let (_, sd) = mean_sd(&log_z(&r));
    close("log Z", &log_z(&r), 3.0 - 0.5 * sd * sd)?;
    for j in [0, 9] {
        let (m, s) = law(j);
        close("mean", &mean_of(&r, |x| x[j]), m)?;
        close("variance", &mean_of(&r, |x| (x[j] - m).powi(2)), s * s)?;
    }
    Ok(())
}

#[test]
fn broken_variants_are_noticed() {
    let s = Smc {
        moves: 3,
        step_size: 0.5,
        ..base(2.0)
    };
    let waste_free = Smc {
        waste_free: 20,
        ..s.clone()
    };
    for s in [s, waste_free] {
        check_gaussian(&s, Fault::None).unwrap();
        check_broken(&s);
    }
}

fn check_broken(s: &Smc) {
    for fault in [
        Fault::IncrementOmitted,
        Fault::HalfIncrement,
        Fault::UnweightedResampling,
        Fault::BaseMissingInMoves,
        Fault::BaseNotNormalised,
        Fault::NoCorrection,
    ] {
        assert!(check_gaussian(s, fault).is_err(), "{fault:?}");
    }
}

#[test]
fn the_standard_error_of_one_run_is_that_of_many() {
    for (what, s, target, n) in [
        ("GMM9", base(4.0), gmm9(), 500),
        ("Gaussian", base(2.0), gaussian(), 1000),
        ("wells", base(2.0), multi_well(), 500),
        (
            "Gaussian, α = .5",
            Smc {
                alpha: 0.5,
                ..base(2.0)
            },
            gaussian(),
            500,
        ),
        (
            "Gaussian, frozen",
            Smc {
                frozen: true,
                ..base(2.0)
            },
            gaussian(),
            500,
        ),
        (
            "Gaussian, waste-free",
            Smc {
                waste_free: 25,
                ..base(2.0)
            },
            gaussian(),
            1000,
        ),
        (
            "wells, waste-free",
            Smc {
                waste_free: 25,
                ..base(2.0)
            },
            multi_well(),
            1000,
        ),
        (
            "Gaussian, κ = .5",
            Smc {
                resample_threshold: 0.5,
                ..base(2.0)
            },
            gaussian(),
            500,
        ),
    ] {
        let r = runs(&s, &target, n, 40);
        let (_, sd) = mean_sd(&log_z(&r));
        let variances = r.iter().map(|r| r.scalars["log_z_se"].powi(2));
        let ratio = (variances.sum::<f64>() / r.len() as f64).sqrt() / sd;
        println!("{what}: spread over seeds {sd:.4}, s.e. {ratio:.2} of it");
        assert!((0.6..1.6).contains(&ratio), "{what}: {ratio}");
    }
}

#[test]
fn a_frozen_run_has_an_unbiased_evidence_and_exact_counts() {
    let s = Smc {
        frozen: true,
        moves: 3,
        ..base(4.0)
    };
    let n = 100;
    let sampler = Particles::new(s, gmm9()).unwrap();
    let mut z = Vec::new();
    for seed in 0..200 {
        let (out, counts) = run(&sampler, 2, n, seed);
        let ladder = &out.tables["ladder"].1;
        let half = ladder.len() / 2;
        let n = n as u64;
        let expected = 2 * n + 3 * n * ladder.len() as u64;
        assert_eq!(counts.rows, expected);
        assert_eq!(
            (counts.density_evals, counts.gradient_evals),
            (expected, expected)
        );
        for (first, second) in ladder[..half].iter().zip(&ladder[half..]) {
            assert_eq!((first[0], second[0]), (1.0, 2.0));
            assert_eq!(first[1], second[1], "β");
            assert_eq!(first[5], second[5], "step size");
        }
        // The second run begins with a family a particle.
        assert_eq!(ladder[half][6], n as f64);
        assert_eq!(out.scalars["log_z_adaptive"], ladder[half - 1][3]);
        assert_eq!(out.scalars["log_z"], ladder[2 * half - 1][3]);
        assert_ne!(out.scalars["log_z"], out.scalars["log_z_adaptive"]);
        assert_eq!(out.len(), n as usize);
        z.push(out.scalars["log_z"].exp());
    }
    let (mean, se) = mean_se(z.iter().copied());
    println!("frozen: mean Z {mean:.4} ± {se:.4}");
    assert_z("mean of Z", mean, 1.0, se);
}

#[test]
fn a_frozen_run_of_ten_particles_is_unbiased_still() {
    // Adaptive runs are 2 % too high here, three standard errors.
    let s = Smc {
        frozen: true,
        moves: 3,
        ..base(4.0)
    };
    let z = log_z(&runs(&s, &gmm9(), 10, 4000));
    let (mean, se) = mean_se(z.iter().map(|z| z.exp()));
    assert!(se < 0.008, "{se}");
    assert_z("mean of Z", mean, 1.0, se);
}

/// A correlated normal law in ten dimensions, Σ = (1 − r) I + r 1 1ᵀ with r = 0.98; log Z = 3.
fn correlated() -> Arc<dyn Target> {
    const R: f64 = 0.98;
    let (small, large) = (1.0 - R, 1.0 + 9.0 * R);
    let constant = 3.0 - 0.5 * (9.0 * small.ln() + large.ln() + 10.0 * std::f64::consts::TAU.ln());
    Arc::new(PointTarget::new(10, move |x, g| {
        let mean = x.iter().sum::<f64>() / 10.0;
        let mut l = constant;
        for (g, x) in g.iter_mut().zip(x) {
            *g = -(x - mean) / small - mean / large;
            l += 0.5 * x * *g;
        }
        l
    }))
}

#[test]
fn a_dense_scale_serves_correlated_coordinates() {
    let run_with = |precondition, waste_free| {
        let s = Smc {
            kernel: Kernel::Hmc,
            precondition,
            waste_free,
            ..Smc {
                max_moves: 200,
                moves: 5,
                ..base(2.0)
            }
        };
        let sampler = Particles::new(s, correlated()).unwrap();
        let runs: Vec<_> = (0..10).map(|seed| run(&sampler, 10, 600, seed)).collect();
        let r: Vec<Collected> = runs.into_iter().map(|r| r.0).collect();
        let steps = r.iter().map(|r| r.tables["ladder"].1.last().unwrap()[5]);
        let step = steps.sum::<f64>() / 10.0;
        let (mean, sd) = mean_sd(&log_z(&r));
        println!("{precondition:?}, {waste_free}: {mean:.4} ± {sd:.4}, steps of {step:.3}");
        close("log Z", &log_z(&r), 3.0 - 0.5 * sd * sd).unwrap();
        close("variance", &mean_of(&r, |x| x[0] * x[0]), 1.0).unwrap();
        close("covariance", &mean_of(&r, |x| x[0] * x[9]), 0.98).unwrap();
        step
    };
    let dense = run_with(Precondition::Dense, 0);
    run_with(Precondition::Dense, 30);
    let diagonal = run_with(Precondition::Diagonal, 0);
    // The narrow directions are √.02 of a coordinate's width.
    assert!(dense > 4.0 * diagonal, "{dense} {diagonal}");
    let mala = Smc {
        precondition: Precondition::Dense,
        ..base(1.0)
    };
    let error = Particles::new(mala, correlated()).err().unwrap();
    assert!(error.to_string().contains("hmc"), "{error}");
}

#[test]
fn waste_free_runs_have_an_unbiased_evidence_and_exact_counts() {
    let s = Smc {
        frozen: true,
        waste_free: 10,
        ..base(4.0)
    };
    let sampler = Particles::new(s.clone(), gmm9()).unwrap();
    let mut z = Vec::new();
    for seed in 0..200 {
        let (out, counts) = run(&sampler, 2, 200, seed);
        let levels = out.tables["ladder"].1.len() as u64;
        // 20 chains of 10 states: 9 moves a temperature.
        assert_eq!(counts.gradient_evals, 2 * 200 + 9 * 20 * levels);
        assert_eq!(out.len(), 200);
        z.push(out.scalars["log_z"].exp());
    }
    let (mean, se) = mean_se(z.iter().copied());
    println!("waste-free: mean Z {mean:.4} ± {se:.4}");
    assert_z("mean of Z", mean, 1.0, se);
    for n in [10, 205] {
        let mut out = Collected::new(2);
        let mut runtime = Runtime::new(1, 1).unwrap();
        let error = drive(&sampler, &mut runtime, n, None, &mut out).unwrap_err();
        assert!(error.to_string().contains("`waste_free` = 10"), "{error}");
    }
    let one = Smc { waste_free: 1, ..s };
    assert!(Particles::new(one, gmm9()).is_err());
}

#[test]
fn a_pilot_run_places_the_base() {
    let s = Smc {
        pilot_moves: 100,
        ..base(1.0)
    };
    let r = runs(&s, &gmm9(), 2000, 10);
    let (_, sd) = mean_sd(&log_z(&r));
    close("log Z", &log_z(&r), -0.5 * sd * sd).unwrap();
    assert!(r.iter().all(|r| r.flags.contains_key("pilot")));
}

#[test]
fn counts_of_hamiltonian_moves_are_those_documented() {
    let s = Smc {
        kernel: Kernel::Hmc,
        leapfrog: 4,
        moves: 2,
        ..base(2.0)
    };
    let (out, counts) = run(&Particles::new(s, gaussian()).unwrap(), 10, 300, 1);
    let k = out.tables["ladder"].1.len() as u64;
    assert_eq!(counts.density_evals, 300 * (1 + 2 * k));
    assert_eq!(counts.gradient_evals, 300 * (1 + 8 * k));
}

#[test]
fn a_target_without_mass_on_part_of_the_base_keeps_its_evidence() {
    // N(0, 1) on x > 0.5: Z = 1 − Φ(0.5); 69 in 100 particles of the base have no mass.
    let half: Arc<dyn Target> = Arc::new(PointTarget::new(1, |x, g| {
        g[0] = -x[0];
        if x[0] > 0.5 {
            -0.5 * (x[0] * x[0] + std::f64::consts::TAU.ln())
        } else {
            f64::NEG_INFINITY
        }
    }));
    let r = runs(&base(1.5), &half, 500, 20);
    let (_, sd) = mean_sd(&log_z(&r));
    close(
        "log Z",
        &log_z(&r),
        0.308_537_538_725_987_f64.ln() - 0.5 * sd * sd,
    )
    .unwrap();
    // E x = φ(0.5)/Z of a truncated normal.
    close(
        "mean",
        &mean_of(&r, |x| x[0]),
        0.352_065_326_764_3 / 0.308_537_538_726,
    )
    .unwrap();
}

#[test]
fn runs_that_get_nowhere_stop_with_advice() {
    let attempt = |settings: Smc, target: Arc<dyn Target>, n: usize| {
        let sampler = Particles::new(settings, target).unwrap();
        let mut out = Collected::new(2);
        let mut runtime = Runtime::new(1, 1).unwrap();
        drive(&sampler, &mut runtime, n, None, &mut out)
            .unwrap_err()
            .to_string()
    };
    let steep: Arc<dyn Target> = Arc::new(PointTarget::new(2, |x, g| {
        g[0] = -2e20 * x[0];
        -1e20 * x[0] * x[0]
    }));
    let error = attempt(still(), steep, 100);
    assert!(
        error.contains("β = 0") && error.contains("base_sd"),
        "{error}"
    );
    let few = Smc {
        max_temperatures: 3,
        ..base(1.0)
    };
    let error = attempt(few, gmm9(), 100);
    assert!(error.contains("`max_temperatures` = 3"), "{error}");
    let error = attempt(still(), gmm9(), 1);
    assert!(error.contains("`draws` is 1"), "{error}");
}

#[test]
fn few_families_are_flagged() {
    let s = Smc {
        alpha: 0.99,
        moves: 1,
        ..base(1.0)
    };
    let (out, _) = run(&Particles::new(s, multi_well()).unwrap(), 5, 60, 1);
    let families = out.tables["ladder"].1.last().unwrap()[6];
    assert!(families < FEW_FAMILIES, "{families}");
    assert!(
        out.flags["few_families"]
            .text
            .contains(&format!("from {families} of"))
    );
}

#[test]
fn a_base_that_is_the_target_gives_the_evidence_exactly() {
    let normal: Arc<dyn Target> = Arc::new(PointTarget::new(1, |x, g| {
        g[0] = -x[0];
        3.0 - 0.5 * x[0] * x[0]
    }));
    let (out, _) = run(&Particles::new(base(1.0), normal).unwrap(), 1, 500, 1);
    let truth = 3.0 + 0.5 * std::f64::consts::TAU.ln();
    assert!((out.scalars["log_z"] - truth).abs() < 1e-12);
    assert!(out.scalars["log_z_se"] < 1e-7);
    assert_eq!(out.tables["ladder"].1.len(), 1);
    assert!(
        out.flags.keys().eq(["adaptive", "unseen"]),
        "{:?}",
        out.flags
    );
}

#[test]
fn a_particle_without_weight_does_not_decide_the_next_temperature() {
    let sampler = Particles::new(base(1.0), gaussian()).unwrap();
    let mut runtime = Runtime::new(1, 1).unwrap();
    let n = 101;
    let mut state = runtime.enter("test", 0, |cx| sampler.init(cx, n)).unwrap();
    // Δ = 0, 1, … 99 with equal weights, and one far above them that has none.
    state.weights.fill(0.01);
    state.weights[100] = 0.0;
    let mut difference: Vec<f64> = (0..101).map(f64::from).collect();
    let alone = sampler.next_beta(&state, &difference).unwrap();
    assert!((0.001..0.1).contains(&alone), "{alone}");
    difference[100] = 1e6;
    assert_eq!(sampler.next_beta(&state, &difference).unwrap(), alone);
}

#[test]
fn where_the_correction_takes_all_away_the_standard_error_is_the_bound() {
    let spread = |variance, uncorrected| Spread {
        families: 50.0,
        variance,
        uncorrected,
    };
    assert_eq!(standard_error(spread(0.04, 0.09)), (0.2, true));
    assert_eq!(standard_error(spread(0.001, 0.09)), (0.3, false));
    assert_eq!(standard_error(spread(-0.01, 0.09)), (0.3, false));
    assert_eq!(standard_error(spread(0.0, 0.0)), (0.0, true));
}

#[test]
fn the_memory_is_a_weighted_correlation() {
    let (w, a) = ([0.1, 0.2, 0.3, 0.4], [1.0, 2.0, -1.0, 5.0]);
    let line = |slope: f64| a.map(|v| 7.0 + slope * v);
    assert!((correlation(&w, &a, &line(2.0)) - 1.0).abs() < 1e-12);
    assert!((correlation(&w, &a, &line(-0.5)) + 1.0).abs() < 1e-12);
    assert_eq!(correlation(&w, &a, &line(0.0)), 0.0);
    // Weights 1/4 and 3/4 on (0, 0) and (1, 1), then as much on (0, 1) and (1, 0): none.
    let (zero, one) = ([0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]);
    assert!(correlation(&[0.25; 4], &zero, &one).abs() < 1e-12);
    // 2 × 2 table of masses .4, .1, .2, .3: φ = (.4·.3 − .1·.2)/√(.5·.5·.6·.4).
    let phi = correlation(
        &[0.4, 0.3, 0.1, 0.2],
        &[0.0, 1.0, 0.0, 1.0],
        &[0.0, 1.0, 1.0, 0.0],
    );
    assert!((phi - 0.1 / 0.06f64.sqrt()).abs() < 1e-12, "{phi}");
    // Where there is no mass on one side nothing is compared.
    let gap = [1.0, 2.0, f64::NEG_INFINITY, 5.0];
    assert!((correlation(&w, &gap, &line(2.0)) - 1.0).abs() < 1e-12);
}

#[test]
fn moves_that_leave_particles_where_they_were_are_flagged() {
    let memory = |moves, kernel| {
        let s = Smc {
            moves,
            kernel,
            ..base(2.0)
        };
        let (out, _) = run(&Particles::new(s, gaussian()).unwrap(), 10, 500, 1);
        let rows = &out.tables["ladder"].1;
        let mean = rows.iter().map(|r| r[9]).sum::<f64>() / rows.len() as f64;
        (mean, out.flags.get("mixing").map(|f| f.text.clone()))
    };
    let (stuck, flagged) = memory(1, Kernel::Mala);
    assert!(stuck > 0.45, "{stuck}");
    let text = flagged.unwrap();
    assert!(
        text.contains(&format!("{stuck:.2} on average")),
        "{text}, {stuck}"
    );
    let (free, flagged) = memory(10, Kernel::Hmc);
    assert!(free < 0.3 && flagged.is_none(), "{free}");
}

#[test]
fn moves_go_on_until_the_particles_have_forgotten_and_a_frozen_run_repeats_their_number() {
    let s = Smc {
        moves: 2,
        max_moves: 41,
        memory: 0.1,
        frozen: true,
        ..base(2.0)
    };
    let n = 1000;
    let (out, counts) = run(&Particles::new(s, gaussian()).unwrap(), 10, n, 3);
    let ladder = &out.tables["ladder"].1;
    let (first, second) = ladder.split_at(ladder.len() / 2);
    let moves: Vec<f64> = first.iter().map(|r| r[8]).collect();
    assert_eq!(moves, second.iter().map(|r| r[8]).collect::<Vec<_>>());
    let all: f64 = 2.0 * moves.iter().sum::<f64>();
    assert_eq!(counts.gradient_evals as f64, n as f64 * (2.0 + all));
    // Not the same everywhere, and no more than were needed.
    assert!(
        moves.iter().any(|m| *m > 4.0) && moves.iter().any(|m| *m < 20.0),
        "{moves:?}"
    );
    for r in first {
        assert!(
            r[8] >= 2.0 && r[8] <= 41.0 && (r[8] % 2.0 == 0.0 || r[8] == 41.0),
            "{r:?}"
        );
        assert!(r[9] <= 0.1 || r[8] > 2.0, "{r:?}");
    }
    let forgotten = first.iter().filter(|r| r[9] <= 0.1).count();
    assert!(
        2 * forgotten > first.len(),
        "{forgotten} of {}",
        first.len()
    );
}

#[test]
fn moves_that_get_nowhere_end() {
    // Two modes that no move joins: of what mass lies in each Δ keeps the memory.
    let modes: Arc<dyn Target> = Arc::new(PointTarget::new(1, |x, g| {
        let centre = if x[0] < 0.0 { -30.0 } else { 10.0 };
        g[0] = -(x[0] - centre) * 100.0;
        -0.5 * (x[0] - centre).powi(2) * 100.0
    }));
    let s = Smc {
        moves: 5,
        max_moves: 1000,
        ..base(10.0)
    };
    let (out, _) = run(&Particles::new(s, modes).unwrap(), 1, 2000, 1);
    let last = out.tables["ladder"].1.last().unwrap();
    assert!(last[8] <= 30.0 && last[9] > 0.6, "{last:?}");
}

#[test]
fn a_second_run_remembers_nothing_of_the_first() {
    let sampler = Particles::new(base(2.0), gaussian()).unwrap();
    let mut runtime = Runtime::new(1, 1).unwrap();
    let mut state = runtime.enter("test", 0, |cx| sampler.init(cx, 50)).unwrap();
    let fresh = rest_of(&state);
    state.weights.fill(0.0);
    (state.weights[7], state.weights[8]) = (0.35, 0.65);
    runtime.enter("test", 0, |cx| {
        sampler.resample(cx, &mut state, &mut [0.0; 50]);
    });
    (state.beta, state.log_z, state.level, state.memory) = (1.0, 3.0, 9, (4.0, 0.9));
    assert_ne!(rest_of(&state), fresh);
    state.reset();
    assert_eq!(rest_of(&state), fresh);
}

/// All that a state holds beside the particles, which are drawn anew.
fn rest_of(state: &State) -> String {
    let State {
        families,
        weights,
        beta,
        log_z,
        level,
        memory,
        ..
    } = state;
    let spread = families.spread(dense_weights(weights), &mut [0.0; 50]);
    format!("{spread:?} {weights} {beta} {log_z} {level} {memory:?}")
}

#[test]
fn draws_that_were_never_resampled_before_have_the_weights_of_the_modes() {
    // 0.8 N(−3, ½²) + 0.2 N(3, 1): particles cannot change the mode, only weights can tell.
    let modes: Arc<dyn Target> = Arc::new(PointTarget::new(1, |x, g| {
        let (a, b) = (2.0 * (x[0] + 3.0), x[0] - 3.0);
        let mut terms = [1.6f64.ln() - 0.5 * a * a, 0.2f64.ln() - 0.5 * b * b];
        let log_sum = softmax_in_place(&mut terms);
        g[0] = -terms[0] * 2.0 * a - terms[1] * b;
        log_sum - 0.5 * std::f64::consts::TAU.ln()
    }));
    for resample_threshold in [0.0, 1.0] {
        let s = Smc {
            resample_threshold,
            moves: 1,
            ..base(5.0)
        };
        let left = mean_of(&runs(&s, &modes, 500, 20), |x| {
            f64::from(u8::from(x[0] < 0.0))
        });
        // Φ(−3) = 0.00135 of the right mode is left of 0.
        close("left mode", &left, 0.800_27).unwrap();
    }
}
