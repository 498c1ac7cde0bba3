use super::*;
use retrograde_core::numeric::sigmoid;
use retrograde_core::{Collected, PointTarget, Runtime, drive::drive};
use retrograde_testkit::{assert_z, mean_se};

/// N(μ, σ²) in five dimensions with σ = 0.4 … 1.2, times e².
fn gaussian() -> Arc<dyn Target> {
    Arc::new(PointTarget::new(5, |x, g| {
        let mut l = 2.0;
        for j in 0..5 {
            let (m, s) = law(j);
            let z = (x[j] - m) / s;
            g[j] = -z / s;
            l -= 0.5 * z * z + s.ln() + 0.5 * std::f64::consts::TAU.ln();
        }
        l
    }))
}

fn law(j: usize) -> (f64, f64) {
    (0.5 - j as f64 / 5.0, 0.4 + j as f64 / 5.0)
}

/// 2/3 N(−1, 0.1) + 1/3 N(1, 0.1), not normalised: log Z = ln 3.
fn two_modes() -> Arc<dyn Target> {
    const V: f64 = 0.1;
    Arc::new(PointTarget::new(2, |x, g| {
        let square = |m: f64| x.iter().map(|x| (x - m) * (x - m)).sum::<f64>();
        let constant = (std::f64::consts::TAU * V).ln();
        let a = 2.0f64.ln() - 0.5 * square(-1.0) / V - constant;
        let b = -0.5 * square(1.0) / V - constant;
        let first = sigmoid(a - b);
        for (g, x) in g.iter_mut().zip(x) {
            *g = (2.0 * (1.0 - first) - 1.0 - x) / V;
        }
        a.max(b) + (-(a - b).abs()).exp().ln_1p()
    }))
}

fn small(schedule: AisSchedule) -> Ais {
    Ais {
        base_sd: 1.5.into(),
        pilot_moves: 0,
        pilot_particles: 64,
        schedule,
        temperatures: 12,
        leapfrog: 3,
        ..Ais::default()
    }
}

fn run(settings: &Ais, target: &Arc<dyn Target>, fault: Fault, n: usize, seed: u64) -> Collected {
    let mut sampler = Annealed::new(settings.clone(), target.clone()).unwrap();
    sampler.fault = fault;
    let mut out = Collected::new(target.dim());
    let mut runtime = Runtime::new(seed, 1).unwrap();
    drive(&sampler, &mut runtime, n, None, &mut out).unwrap();
    out
}

#[test]
fn a_particle_costs_its_moves_and_its_start() {
    let target = gaussian();
    for (kernel, moves) in [(Kernel::Mala, 3), (Kernel::Hmc, 2)] {
        let settings = Ais {
            kernel,
            moves,
            ..small(AisSchedule::Linear)
        };
        let sampler = Annealed::new(settings.clone(), target.clone()).unwrap();
        // The pilot run is the same whatever the number of draws.
        let [few, many] = [20, 50].map(|n| {
            let mut runtime = Runtime::new(1, 1).unwrap();
            drive(&sampler, &mut runtime, n, None, &mut Collected::new(5)).unwrap();
            runtime.counts().clone()
        });
        let all = settings.temperatures as u64 * u64::from(moves);
        let leapfrog = u64::from(settings.leapfrog);
        let of_moves = match kernel {
            Kernel::Mala => all,
            // Numbers of steps take turns from 1 to the largest.
            Kernel::Hmc => (0..all).map(|j| 1 + j % leapfrog).sum(),
        };
        assert_eq!(
            many.gradient_evals - few.gradient_evals,
            30 * (1 + of_moves)
        );
        assert_eq!(many.rows - few.rows, 30 * (1 + of_moves));
    }
}

/// Mean of f under the weights.
fn weighted(r: &Collected, f: impl Fn(&[f64]) -> f64) -> f64 {
    let log_w = &r.log_weights;
    let most = log_w.iter().fold(f64::NEG_INFINITY, |m, w| m.max(*w));
    let (mut sum, mut total) = (0.0, 0.0);
    for (x, w) in r.rows().outer_iter().zip(log_w) {
        let w = (w - most).exp();
        sum += w * f(&x.to_vec());
        total += w;
    }
    sum / total
}

/// E Ẑ/Z − 1 in standard errors over 200 seeds of 20 particles.
fn bias(settings: &Ais, target: &Arc<dyn Target>, log_z: f64, fault: Fault) -> f64 {
    let ratios = (0..200).map(|seed| {
        let r = run(settings, target, fault, 20, seed);
        (r.scalars["log_z"] - log_z).exp()
    });
    let (mean, se) = mean_se(ratios);
    println!("{fault:?}, {:?}: {mean:.4} ± {se:.4}", settings.schedule);
    (mean - 1.0) / se
}

#[test]
fn z_is_unbiased_over_two_hundred_seeds_and_broken_variants_are_not() {
    // The base is wider than the targets in all coordinates, so that w/Z, a product of powers of ρ/(Z base) that
    // sum to 1, is at most the largest of these: 38.2 for the Gaussian, 23.9 for the two modes. As E w = Z, the
    // variance of w/Z is at most 37.2 and 22.9.
    for schedule in [
        AisSchedule::Adaptive,
        AisSchedule::Linear,
        AisSchedule::Geometric,
    ] {
        for (target, log_z) in [(gaussian(), 2.0), (two_modes(), 3f64.ln())] {
            let z = bias(&small(schedule), &target, log_z, Fault::None);
            assert!(z.abs() < 3.0, "{schedule:?}: {z}");
        }
    }
    let s = small(AisSchedule::Adaptive);
    for fault in [
        Fault::TermOmitted,
        Fault::LateWeights,
        Fault::NoCorrection,
        Fault::OwnWeights,
    ] {
        let z = bias(&s, &gaussian(), 2.0, fault);
        assert!(z.abs() > 3.0, "{fault:?}: {z}");
    }
}

#[test]
fn weighted_draws_have_the_moments_and_the_error_of_one_run_is_that_of_many() {
    for kernel in [Kernel::Hmc, Kernel::Mala] {
        let s = Ais {
            kernel,
            temperatures: 30,
            ..small(AisSchedule::Adaptive)
        };
        let runs: Vec<Collected> = (0..30)
            .map(|seed| run(&s, &gaussian(), Fault::None, 500, seed))
            .collect();
        for j in [0, 4] {
            let (m, sd) = law(j);
            let (got, se) = mean_se(runs.iter().map(|r| weighted(r, |x| x[j])));
            assert_z("mean", got, m, se);
            let square = |r: &Collected| weighted(r, |x| (x[j] - m).powi(2));
            let (got, se) = mean_se(runs.iter().map(square));
            assert_z("variance", got, sd * sd, se);
        }
        let (mean, se) = mean_se(runs.iter().map(|r| r.scalars["log_z"]));
        let spread = se * 30f64.sqrt();
        assert_z("log Z", mean, 2.0 - 0.5 * spread * spread, se);
        let said = mean_se(runs.iter().map(|r| r.scalars["log_z_se"])).0;
        // Thirty runs give a spread to 13 %.
        assert!((0.6..1.6).contains(&(said / spread)), "{said} {spread}");
        let modes: Vec<f64> = (0..30)
            .map(|seed| run(&s, &two_modes(), Fault::None, 500, seed))
            .map(|r| weighted(&r, |x| f64::from(x[0] + x[1] < 0.0)))
            .collect();
        let (share, se) = mean_se(modes);
        assert_z("weight of the first mode", share, 2.0 / 3.0, se);
    }
}

#[test]
fn more_temperatures_lower_the_variance() {
    let variance = |temperatures| {
        let s = Ais {
            temperatures,
            ..small(AisSchedule::Adaptive)
        };
        let r = run(&s, &gaussian(), Fault::None, 2000, 1);
        1.0 / r.scalars["ess"] * 2000.0 - 1.0
    };
    let (few, many) = (variance(8), variance(64));
    println!("CV² {few} at 8, {many} at 64");
    assert!(few > 4.0 * many, "{few} {many}");
}

#[test]
fn given_and_computed_schedules_stand_where_they_should() {
    let betas = |s: &Ais| -> Vec<f64> {
        let r = run(s, &two_modes(), Fault::None, 10, 1);
        r.tables["ladder"].1.iter().map(|row| row[0]).collect()
    };
    let given = Ais {
        betas: vec![0.1, 0.25, 1.0],
        ..small(AisSchedule::Adaptive)
    };
    assert_eq!(betas(&given), [0.1, 0.25, 1.0]);
    let linear = betas(&small(AisSchedule::Linear));
    assert!((linear[2] - 0.25).abs() < 1e-15 && linear.len() == 12);
    let geometric = betas(&small(AisSchedule::Geometric));
    assert!((geometric[0] - 1e-4).abs() < 1e-15 && geometric[11] == 1.0);
    assert!((geometric[1] / geometric[0] - 1e4f64.powf(1.0 / 11.0)).abs() < 1e-9);
    let adaptive = betas(&small(AisSchedule::Adaptive));
    assert!(adaptive.len() == 12 && adaptive[11] == 1.0 && adaptive[0] < linear[0]);
}

#[test]
fn heavy_weights_and_hard_input_end_in_words() {
    // Three temperatures to a narrow target far off.
    let far: Arc<dyn Target> = Arc::new(PointTarget::new(10, |x, g| {
        let mut l = 0.0;
        for (g, x) in g.iter_mut().zip(x) {
            *g = (3.0 - x) * 100.0;
            l -= 50.0 * (3.0 - x) * (3.0 - x);
        }
        l
    }));
    let s = Ais {
        temperatures: 3,
        ..small(AisSchedule::Linear)
    };
    let r = run(&s, &far, Fault::None, 500, 1);
    assert!(r.flags.contains_key("heavy_weights"), "{:?}", r.scalars);
    // With the default settings nothing is heavy, and log Z is right.
    let r = run(&Ais::default(), &far, Fault::None, 500, 1);
    assert!(!r.flags.contains_key("heavy_weights"), "{:?}", r.scalars);
    let truth = 5.0 * (std::f64::consts::TAU / 100.0).ln();
    assert_z("log Z", r.scalars["log_z"], truth, r.scalars["log_z_se"]);
    // One particle, one dimension.
    let line: Arc<dyn Target> = Arc::new(PointTarget::new(1, |x, g| {
        g[0] = -x[0];
        -0.5 * x[0] * x[0]
    }));
    let r = run(&s, &line, Fault::None, 1, 1);
    assert!(r.len() == 1 && r.flags.contains_key("no_log_z_se"));
    assert!(r.scalars.values().all(|v| v.is_finite()), "{:?}", r.scalars);
    let error = |target: Arc<dyn Target>, s: Ais| {
        let sampler = Annealed::new(s, target)?;
        let mut out = Collected::new(1);
        drive(
            &sampler,
            &mut Runtime::new(1, 1).unwrap(),
            300,
            None,
            &mut out,
        )
        .map(|_| ())
    };
    let nowhere: Arc<dyn Target> = Arc::new(PointTarget::new(1, |_, _| f64::NEG_INFINITY));
    let nan: Arc<dyn Target> = Arc::new(PointTarget::new(1, |_, _| f64::NAN));
    for pilot_moves in [0, 20] {
        let s = Ais {
            pilot_moves,
            ..s.clone()
        };
        let said = error(nowhere.clone(), s.clone()).unwrap_err().to_string();
        assert!(said.contains("−∞") && said.contains("base_sd"), "{said}");
        let said = error(nan.clone(), s).unwrap_err().to_string();
        assert!(
            said.contains("not finite") || said.contains("−inf"),
            "{said}"
        );
    }
    // Mass on one side only: particles on the other one have no weight, and Z is that of a half.
    let half: Arc<dyn Target> = Arc::new(PointTarget::new(1, |x, g| {
        g[0] = -x[0];
        if x[0] < 0.0 {
            f64::NEG_INFINITY
        } else {
            -0.5 * x[0] * x[0]
        }
    }));
    let r = run(&small(AisSchedule::Linear), &half, Fault::None, 2000, 1);
    let truth = 0.5 * (std::f64::consts::PI / 2.0).ln();
    assert_z("half", r.scalars["log_z"], truth, r.scalars["log_z_se"]);
    let bad = |s: Ais, words: [&str; 2]| {
        let said = error(line.clone(), s).unwrap_err().to_string();
        for w in words {
            assert!(said.contains(w), "{said}");
        }
    };
    let d = Ais::default;
    bad(
        Ais {
            temperatures: 0,
            ..d()
        },
        ["`temperatures` is 0", "from 1"],
    );
    bad(
        Ais {
            pilot_particles: 1,
            ..d()
        },
        ["`pilot_particles` is 1", "from 2"],
    );
    bad(
        Ais {
            first_beta: 1.0,
            ..d()
        },
        ["`first_beta` is 1", "between 0 and 1"],
    );
    bad(
        Ais {
            betas: vec![0.5, 0.4, 1.0],
            ..d()
        },
        ["betas[1]", "rise"],
    );
    bad(
        Ais {
            betas: vec![0.5],
            ..d()
        },
        ["betas[0]", "exactly 1"],
    );
    bad(Ais { moves: 0, ..d() }, ["`moves` is 0", "at least 1"]);
    bad(
        Ais { leapfrog: 0, ..d() },
        ["`leapfrog` is 0", "at least 1"],
    );
    bad(
        Ais {
            step_size: 0.0,
            ..d()
        },
        ["`step_size` is 0", "above 0"],
    );
    bad(
        Ais {
            base_sd: (-1.0).into(),
            ..d()
        },
        ["`base_sd`", "above 0"],
    );
}
