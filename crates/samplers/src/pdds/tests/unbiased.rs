//! E Ẑ = Z over two hundred seeds, on targets for which the variance of the weights is known.

use super::*;

/// E w² of a path without resampling in one dimension, by integrating Gaussians step by step, from the
/// coefficients of log ĝ_k = p₂ y² + p₁ y + p₀. None if it is infinite.
fn second_moment(sampler: &Diffusion, potentials: &[[f64; 3]]) -> Option<f64> {
    let mut q = [0.0; 3];
    for k in 1..potentials.len() {
        let (a, noise) = sampler.levels.step[k];
        let c = match sampler.settings.drift {
            Drift::FirstOrder => noise,
            Drift::Exponential => 2.0 * (1.0 - a),
        };
        let ([p2, p1, p0], [r2, r1, r0]) = (potentials[k], potentials[k - 1]);
        // q(y′|y) has the mean α y + γ; in q (M/q)² ĝ′² V the exponent is −½ P y′² + (L₁ y + L₀) y′ + rest.
        let (alpha, gamma) = (a + 2.0 * c * p2, c * p1);
        let precision = 1.0 / noise - 2.0 * (2.0 * r2 + q[2]);
        if precision <= 0.0 {
            return None;
        }
        let (l1, l0) = ((2.0 * a - alpha) / noise, 2.0 * r1 + q[1] - gamma / noise);
        q = [
            l0 * l0 / (2.0 * precision) + gamma * gamma / (2.0 * noise) + 2.0 * r0 + q[0]
                - 2.0 * p0
                - 0.5 * (noise * precision).ln(),
            l1 * l0 / precision + alpha * gamma / noise - 2.0 * p1,
            l1 * l1 / (2.0 * precision) - a * a / noise + alpha * alpha / (2.0 * noise) - 2.0 * p2,
        ];
    }
    let [p2, p1, p0] = potentials[potentials.len() - 1];
    let precision = 1.0 - 2.0 * (2.0 * p2 + q[2]);
    let l = 2.0 * p1 + q[1];
    (precision > 0.0)
        .then(|| (l * l / (2.0 * precision) + 2.0 * p0 + q[0]).exp() / precision.sqrt())
}

/// log N(y; m, v) − log N(y; 0, 1).
fn ratio(m: f64, v: f64) -> [f64; 3] {
    [0.5 - 0.5 / v, m / v, -0.5 * m * m / v - 0.5 * v.ln()]
}

/// The potentials of N(m, s²), and the sampler with them.
fn case(naive: bool, settings: Pdds, d: usize, m: f64, s: f64) -> (Diffusion, Vec<[f64; 3]>) {
    let law = (!naive).then_some((m, s));
    let sampler = build(settings, normal(d, m, s), law);
    let potentials = sampler.levels.signal.iter().map(|a| {
        if naive {
            let [p2, p1, p0] = ratio(m, s * s);
            [p2 * a * a, p1 * a, p0]
        } else {
            ratio(a * m, a * a * s * s + 1.0 - a * a)
        }
    });
    let mut potentials: Vec<[f64; 3]> = potentials.collect();
    if sampler.levels.signal[potentials.len() - 1] == 0.0 {
        potentials.last_mut().unwrap()[2] = 0.0;
    }
    (sampler, potentials)
}

#[test]
fn z_is_unbiased_with_the_variance_that_is_computed() {
    let (n, d) = (50, 2);
    for naive in [false, true] {
        for drift in [Drift::FirstOrder, Drift::Exponential] {
            for schedule in [
                PddsSchedule::Cosine,
                PddsSchedule::Linear,
                PddsSchedule::Dds,
            ] {
                let settings = Pdds {
                    drift,
                    schedule,
                    resample_threshold: 0.0,
                    ..published(12)
                };
                let (sampler, potentials) = case(naive, settings, d, 0.3, 0.8);
                let second = second_moment(&sampler, &potentials).expect("a finite variance");
                let cv2 = second.powi(d as i32) - 1.0;
                let z: Vec<f64> = (0..200)
                    .map(|s| log_z(&run(&sampler, n, s)).exp())
                    .collect();
                let (mean, se) = mean_se(z);
                let known = (cv2 / (200 * n) as f64).sqrt();
                println!(
                    "naive {naive}, {drift:?}, {schedule:?}: {mean} ± {se}, computed {known}, CV² {cv2}"
                );
                assert!((mean - 1.0).abs() < 3.0 * known, "{mean} {known}");
                // The spread of 200 runs is known to 5 % for normal ones; these have some tail.
                assert!((0.6..1.4).contains(&(se / known)), "{se} {known}");
            }
        }
    }
    // One step weighs draws of the reference by ρ/N, which has a variance for s² < 2.
    for (s, finite) in [(1.4, true), (1.45, false)] {
        let (sampler, potentials) = case(true, published(1), 1, 0.0, s);
        assert_eq!(second_moment(&sampler, &potentials).is_some(), finite);
    }
}

#[test]
fn three_steps_of_an_exact_potential_are_unbiased() {
    let sampler = exact(published(3), 1, 2.75, 0.25);
    let z = (0..200).map(|s| log_z(&run(&sampler, 2000, s)).exp());
    let (mean, se) = mean_se(z);
    println!("{mean} ± {se}");
    // 0.058 a run.
    assert!((mean - 1.0).abs() < 3.0 * 0.058 / 200f64.sqrt(), "{mean}");
    assert!((0.8..1.25).contains(&(se * 200f64.sqrt() / 0.058)), "{se}");
}

/// E Ẑ − 1 in standard errors over 200 seeds, with resampling and, if so, moves.
fn bias(fault: Fault, moves: u32, whiten: Whiten) -> f64 {
    let settings = Pdds {
        resample_threshold: 0.9,
        moves,
        whiten,
        pilot_moves: 20,
        vi_steps: 20,
        pilot_particles: 30,
        widen: 1.5,
        ..published(8)
    };
    let (mut sampler, _) = case(true, settings, 2, 0.3, 0.6);
    sampler.fault = fault;
    let ratios = (0..200).map(|s| log_z(&run(&sampler, 50, s)).exp());
    let (mean, se) = mean_se(ratios);
    println!("{fault:?}, {moves} moves, {whiten:?}: {mean} ± {se}");
    (mean - 1.0) / se
}

#[test]
fn z_is_unbiased_with_resampling_moves_and_whitening_and_broken_variants_are_not() {
    for (moves, whiten) in [
        (0, Whiten::None),
        (1, Whiten::None),
        (1, Whiten::Pilot),
        (1, Whiten::Vi),
    ] {
        let z = bias(Fault::None, moves, whiten);
        assert!(z.abs() < 3.0, "{moves} {whiten:?}: {z}");
    }
    for fault in [Fault::NoKernelTerm, Fault::WrongEnd, Fault::OwnBest] {
        let z = bias(fault, 0, Whiten::None);
        assert!(z.abs() > 3.0, "{fault:?}: {z}");
    }
}
