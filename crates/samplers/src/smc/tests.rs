use super::*;
use ndarray::ArrayView1;
use retrograde_core::{Collected, Counts, PointTarget, Runtime, drive::drive};
use retrograde_testkit::mean_se;

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

mod corners;
mod variants;
