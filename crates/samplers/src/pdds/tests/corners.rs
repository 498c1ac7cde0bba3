//! Hard input ends in words, and never in numbers that are none.

use super::*;

fn point(
    d: usize,
    f: impl Fn(&[f64], &mut [f64]) -> f64 + Send + Sync + 'static,
) -> Arc<dyn Target> {
    Arc::new(PointTarget::new(d, f))
}

fn small() -> Pdds {
    Pdds {
        steps: 12,
        pilot_moves: 30,
        pilot_particles: 50,
        ..Pdds::default()
    }
}

fn attempt(settings: Pdds, target: &Arc<dyn Target>, n: usize) -> Result<Collected> {
    let sampler = Diffusion::new(settings, target.clone(), None)?;
    let mut out = Collected::new(target.dim());
    drive(&sampler, &mut Runtime::new(1, 1)?, n, None, &mut out)?;
    Ok(out)
}

fn finite(r: &Collected) {
    assert!(r.scalars.values().all(|v| v.is_finite()), "{:?}", r.scalars);
    assert!(r.rows().iter().all(|v| v.is_finite()));
    let rows = r.tables["ladder"].1.iter().flatten();
    assert!(rows.into_iter().all(|v| v.is_finite()));
}

#[test]
fn one_particle_and_one_coordinate() {
    for n in [1, 2, 11] {
        for whiten in [Whiten::None, Whiten::Pilot, Whiten::Vi] {
            let settings = Pdds {
                whiten,
                moves: 1,
                ..small()
            };
            let r = attempt(settings, &normal(1, 0.5, 0.8), n).unwrap();
            finite(&r);
            assert_eq!(r.len(), n);
            assert_eq!(r.flags.contains_key("no_log_z_se"), n == 1);
            assert_eq!(r.scalars.contains_key("log_z_reverse"), n == 11);
        }
    }
}

#[test]
fn mass_on_one_side_is_found_through_potentials_that_are_zero() {
    let half = point(1, |x, g| {
        g[0] = -x[0];
        if x[0] < 0.2 {
            f64::NEG_INFINITY
        } else {
            -0.5 * x[0] * x[0]
        }
    });
    // ∫_{0.2}^∞: √(2π) times P(Z > 0.2) = 0.420740290560897.
    let truth = 0.5 * TAU.ln() + 0.420740290560897f64.ln();
    for (schedule, moves) in [
        (PddsSchedule::Cosine, 0),
        (PddsSchedule::Cosine, 1),
        (PddsSchedule::Linear, 0),
        (PddsSchedule::Dds, 1),
    ] {
        let settings = Pdds {
            whiten: Whiten::None,
            schedule,
            moves,
            ..small()
        };
        let sampler = build(settings, half.clone(), None);
        let runs: Vec<Collected> = (0..40).map(|s| run(&sampler, 500, s)).collect();
        runs.iter().for_each(finite);
        let (mean, se) = mean_se(runs.iter().map(|r| (log_z(r) - truth).exp()));
        println!("{schedule:?}, {moves}: {mean} ± {se}");
        assert_z("Ẑ", mean, 1.0, se);
    }
}

#[test]
fn targets_without_mass_or_numbers_are_said_to_be_so() {
    let nowhere = point(1, |_, _| f64::NEG_INFINITY);
    let said = attempt(small(), &nowhere, 100).unwrap_err().to_string();
    assert!(said.contains("−∞") && said.contains("base_sd"), "{said}");
    let none = Pdds {
        whiten: Whiten::None,
        ..small()
    };
    let r = attempt(none.clone(), &nowhere, 100).unwrap();
    let flag = &r.flags["no_weight"];
    assert!(flag.text.contains("no mass") && flag.advice.contains("base_sd"));
    assert!(r.rows().iter().all(|v| v.is_finite()) && !r.scalars.contains_key("log_z"));
    let nan = point(1, |_, _| f64::NAN);
    for settings in [none.clone(), small()] {
        let said = attempt(settings, &nan, 300).unwrap_err().to_string();
        assert!(
            said.contains("not finite") || said.contains("−inf"),
            "{said}"
        );
    }
    // A law far off: nothing is seen, and that is seen.
    let r = attempt(none.clone(), &normal(5, 30.0, 0.1), 500).unwrap();
    finite(&r);
    assert!(
        r.flags.contains_key("heavy_weights") || r.flags.contains_key("few_families"),
        "{:?}",
        r.flags.keys()
    );
    // No integral: weights without a mean.
    let flat = point(2, |_, _| 0.0);
    // Student's t with three degrees of freedom: weights without a variance.
    let student = point(1, |x, g| {
        g[0] = -4.0 * x[0] / (3.0 + x[0] * x[0]);
        -2.0 * (x[0] * x[0] / 3.0).ln_1p()
    });
    for settings in [none, small()] {
        for (target, wide) in [
            (&flat, true),
            (&student, true),
            (&normal(2, 0.2, 1.3), false),
        ] {
            let r = attempt(settings.clone(), target, 2000).unwrap();
            finite(&r);
            assert_eq!(
                r.flags.contains_key("wide_tails"),
                wide,
                "{:?}",
                r.flags.keys()
            );
        }
    }
}

#[test]
fn a_fit_to_one_of_two_modes_is_said_to_be_one() {
    let modes = |apart: f64| {
        point(2, move |x, g| {
            let square = |m: f64| x.iter().map(|x| (x - m) * (x - m)).sum::<f64>();
            let (a, b) = (-5.0 * square(-apart), -5.0 * square(apart) - 0.7);
            let first = retrograde_core::numeric::sigmoid(a - b);
            for (g, x) in g.iter_mut().zip(x) {
                *g = 10.0 * ((1.0 - 2.0 * first) * apart - x);
            }
            a.max(b) + (-(a - b).abs()).exp().ln_1p()
        })
    };
    let missed = |potential, apart| {
        let settings = Pdds {
            potential,
            ..small()
        };
        let r = attempt(settings, &modes(apart), 500).unwrap();
        r.flags.contains_key("missed")
    };
    assert!(missed(Potential::Naive, 5.0) && !missed(Potential::Naive, 0.3));
    assert!(!missed(Potential::Mixture, 5.0));
}

#[test]
fn settings_and_parts_that_do_not_serve_are_refused() {
    let refused = |settings: Pdds, words: [&str; 2]| {
        let said = attempt(settings, &normal(1, 0.0, 1.0), 10)
            .unwrap_err()
            .to_string();
        assert!(words.iter().all(|w| said.contains(w)), "{said}");
    };
    let d = small;
    refused(Pdds { steps: 0, ..d() }, ["`steps` is 0", "from 1"]);
    refused(
        Pdds {
            beta_max: 0.0,
            ..d()
        },
        ["`beta_max` is 0", "above 0"],
    );
    refused(Pdds { widen: -1.0, ..d() }, ["`widen` is -1", "above 0"]);
    refused(
        Pdds { vi_steps: 0, ..d() },
        ["`vi_steps` is 0", "at least 1"],
    );
    refused(
        Pdds {
            resample_threshold: 1.5,
            ..d()
        },
        ["`resample_threshold` is 1.5", "from 0 to 1"],
    );
    refused(
        Pdds {
            step_size: 0.0,
            ..d()
        },
        ["`step_size` is 0", "above 0"],
    );
    refused(
        Pdds {
            step_sizes: vec![0.1, -0.1],
            ..d()
        },
        ["`step_sizes[1]` is -0.1", "above 0"],
    );
    refused(
        Pdds {
            pilot_particles: 1,
            ..d()
        },
        ["`pilot_particles` is 1", "from 2"],
    );
    refused(
        Pdds {
            base_sd: 0.0.into(),
            ..d()
        },
        ["`base_sd`", "above 0"],
    );
    let said = attempt(small(), &normal(1, 0.0, 1.0), 0)
        .unwrap_err()
        .to_string();
    assert!(said.contains("draws") && said.contains("from 1"), "{said}");
    // A score without a process, and one of a process that does not preserve variance.
    let folder = retrograde_core::registry::Folder::default();
    let parts = |score: bool, process: Option<bool>| {
        let mut parts = Parts::new(&folder).with_target(normal(2, 0.0, 1.0));
        if score {
            parts.score = Some(Arc::new(Known {
                d: 2,
                m: 0.0,
                s: 1.0,
                v: 1.5,
            }));
        }
        if let Some(grows) = process {
            parts.process = Some(Arc::new(Ou {
                d: 2,
                v: 1.5,
                grows,
            }));
        }
        let by_score = Pdds {
            potential: Potential::Score,
            ..small()
        };
        by_score
            .build(&parts)
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    assert!(parts(false, None).unwrap_err().contains("[score]"));
    assert!(parts(true, None).unwrap_err().contains("[process]"));
    assert!(
        parts(true, Some(true))
            .unwrap_err()
            .contains("variance preserving")
    );
    assert!(parts(true, Some(false)).is_ok());
}

#[test]
fn step_sizes_are_linear_between_those_given() {
    let settings = Pdds {
        steps: 8,
        moves: 1,
        step_sizes: vec![0.1, 0.3, 0.2],
        ..published(8)
    };
    let sampler = build(settings, normal(1, 0.0, 1.0), None);
    let steps = sampler.given_steps();
    for (k, want) in [(0, 0.1), (2, 0.2), (4, 0.3), (6, 0.25), (8, 0.2)] {
        assert!((steps[k] - want).abs() < 1e-15, "{k}: {}", steps[k]);
    }
    finite(&run(&sampler, 50, 1));
}

#[test]
fn a_reference_law_of_any_width_serves_a_score() {
    // N(1, 0.6²) under a process whose reference law is N(0, 1.5²).
    let folder = retrograde_core::registry::Folder::default();
    let mut parts = Parts::new(&folder).with_target(normal(2, 1.0, 0.6));
    parts.score = Some(Arc::new(Known {
        d: 2,
        m: 1.0,
        s: 0.6,
        v: 1.5,
    }));
    parts.process = Some(Arc::new(Ou {
        d: 2,
        v: 1.5,
        grows: false,
    }));
    let learned = Learned::new(&parts, 2).unwrap();
    assert!((learned.sd - 1.5).abs() < 1e-12);
    let settings = Pdds {
        potential: Potential::Score,
        steps: 30,
        ..Pdds::default()
    };
    let sampler = Diffusion::new(settings, normal(2, 1.0, 0.6), Some(learned)).unwrap();
    let mut out = Collected::new(2);
    let mut runtime = Runtime::new(4, 1).unwrap();
    drive(&sampler, &mut runtime, 2000, None, &mut out).unwrap();
    assert_z("log Z", log_z(&out), 0.0, out.scalars["log_z_se"]);
    assert!(
        out.scalars["log_z_se"] < 0.02 && out.flags.keys().all(|k| k == "unseen"),
        "{:?}",
        out.flags.keys()
    );
}
