//! Second runs, dense scales, waste-free moves and pilot runs.

use super::*;

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
    assert!((mean - 1.0).abs() < 3.0 * se, "{mean} ± {se}");
}

#[test]
fn a_frozen_run_of_few_particles_is_unbiased_still_and_what_is_wrong_is_not() {
    // The ratio of ρ to the base N(0, 4² I) is below 30, so that all moments of Ẑ exist.
    for (n, frozen, fault, unbiased) in [
        (10, true, Fault::None, true),
        (4, true, Fault::None, true),
        // Temperatures and step sizes chosen from the particles that they act on.
        (4, false, Fault::None, false),
        (4, true, Fault::IncrementOmitted, false),
        (4, true, Fault::HalfIncrement, false),
        (4, true, Fault::BaseMissingInMoves, false),
    ] {
        let settings = Smc {
            frozen,
            moves: 3,
            ..base(4.0)
        };
        let mut sampler = Particles::new(settings, gmm9()).unwrap();
        sampler.fault = fault;
        let z = (0..4000).map(|seed| run(&sampler, 2, n, seed).0.scalars["log_z"].exp());
        let (mean, se) = mean_se(z);
        println!("{n} particles, frozen {frozen}, {fault:?}: mean Z {mean:.4} ± {se:.4}");
        assert!(!unbiased || se < 0.025 / f64::from(n as u32).sqrt(), "{se}");
        let off = (mean - 1.0).abs() / se;
        assert_eq!(off < 3.0, unbiased, "{fault:?}: {mean} ± {se}");
    }
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
    assert!((mean - 1.0).abs() < 3.0 * se, "{mean} ± {se}");
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
