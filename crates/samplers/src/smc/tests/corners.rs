//! Targets and settings that are hard on particles, and what is said of them.

use super::super::doubts::{FEW_FAMILIES, correlation, standard_error};
use super::*;

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
