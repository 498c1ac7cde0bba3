use super::anneal::{Annealing, Estimates, STARTING};
use super::chains::{Followers, Means};
use super::*;
use crate::chains::zeros;
use ndarray::Array1;
use retrograde_core::PointTarget;
use retrograde_testkit::{mean_se, with_cx};

/// N(μ, σ²) in the coordinates of the target, times e^{1/2}, and a base.
const LAW: (f64, f64) = (1.0, 0.5);
const BASE: (f64, f64) = (0.4, 2.0);
const LOG_Z: f64 = 0.5;

fn target() -> PointTarget<impl Fn(&[f64], &mut [f64]) -> f64> {
    PointTarget::new(1, |x, g| {
        let z = (x[0] - LAW.0) / LAW.1;
        g[0] = -z / LAW.1;
        LOG_Z - 0.5 * (z * z + (LAW.1 * LAW.1 * std::f64::consts::TAU).ln())
    })
}

fn base() -> Gaussian {
    Gaussian::new("test", 1, ["", ""], &BASE.0.into(), &BASE.1.into(), true).unwrap()
}

/// Mean and standard deviation of the whitened target.
fn white_law() -> (f64, f64) {
    ((LAW.0 - BASE.0) / BASE.1, LAW.1 / BASE.1)
}

/// Mean and variance of the posterior of `c`.
fn posterior(a: f64, v: f64, c: f64) -> (f64, f64) {
    let (m, s) = white_law();
    let variance = 1.0 / (1.0 / (s * s) + a * a / v);
    (variance * (m / (s * s) + a * c / v), variance)
}

/// Draws of the posterior of one c by chains with a fixed step size, against its mean and variance.
fn check_moves(fault: Fault) -> std::result::Result<(), String> {
    let (target, base) = (target(), base());
    let white = Whitened {
        target: &target,
        base: &base,
    };
    let (a, v, c, n) = (0.8, 0.36, [1.3], 20_000);
    let [mut y, mut l, mut g, mut acceptance] = std::array::from_fn(|_| vec![0.0; n]);
    let step = vec![0.08; n];
    with_cx(3, |cx| {
        white.evaluate(cx, &y, Some(&mut l), Some(&mut g)).unwrap();
        for j in 0..60 {
            let mut points = Points {
                y: &mut y,
                l: &mut l,
                g: &mut g,
            };
            Move {
                white,
                law: Posterior::of(a, v),
                chains: n,
                fault,
            }
            .apply(
                &mut cx.at("move", j),
                &c,
                &mut points,
                &step,
                &mut acceptance,
            )
            .unwrap();
        }
    });
    let (mean, variance) = posterior(a, v, c[0]);
    for (what, (got, se), want) in [
        ("mean", mean_se(y.iter().copied()), mean),
        (
            "variance",
            mean_se(y.iter().map(|y| (y - mean).powi(2))),
            variance,
        ),
    ] {
        if (got - want).abs() >= 4.5 * se {
            return Err(format!("{what} {got} ± {se}, expected {want}"));
        }
    }
    Ok(())
}

#[test]
fn moves_keep_the_posterior_and_wrong_corrections_are_noticed() {
    check_moves(Fault::None).unwrap();
    for fault in [Fault::NoCorrection, Fault::NoProposalRatio] {
        assert!(check_moves(fault).is_err(), "{fault:?}");
    }
}

#[test]
fn annealed_draws_tell_the_noised_density_and_the_posterior() {
    let (target, base) = (target(), base());
    let white = Whitened {
        target: &target,
        base: &base,
    };
    let (m, s) = white_law();
    // a² + v need not be 1.
    for (a, v, free, temperatures) in [
        (0.6, 0.64, false, 0),
        (0.6, 0.64, false, 50),
        (0.6, 0.64, true, 50),
        (2.0, 0.3, false, 50),
        (2.0, 0.3, true, 0),
    ] {
        let (draws, c) = (20_000, [0.7, -0.2]);
        let annealing = Annealing {
            draws,
            temperatures,
            free,
            ..STARTING
        };
        let mut log_p = Array1::zeros(2);
        let [mut mean, mut variance] = std::array::from_fn(|_| zeros("test", 2, 1).unwrap());
        let [mut y, mut l, mut g] = std::array::from_fn(|_| vec![0.0; 2 * draws]);
        let out = Estimates {
            log_p: log_p.view_mut(),
            mean: mean.view_mut(),
            variance: variance.view_mut(),
            draws: Some(Points {
                y: &mut y,
                l: &mut l,
                g: &mut g,
            }),
        };
        let mut step = 0.1;
        let effort = with_cx(5, |cx| {
            annealing.estimate(cx, white, (a, v), &c, out, &mut step)
        })
        .unwrap();
        assert!(effort.empty == 0 && effort.temperatures <= temperatures as f64);
        assert!(effort.temperatures > 0.0 || temperatures == 0);
        for i in 0..2 {
            // ln ∫ρ(y) N(c; a y, v) dy, relative to (2π)^{−1/2}: normals convolved.
            let total = a * a * s * s + v;
            let off = c[i] - a * m;
            let truth = LOG_Z - 0.5 * (off * off / total + total.ln());
            let (at, width) = posterior(a, v, c[i]);
            let ess = draws as f64 * 0.1;
            assert!(
                (log_p[i] - truth).abs() < 4.5 / ess.sqrt(),
                "{} {truth}",
                log_p[i]
            );
            assert!((mean[(i, 0)] - at).abs() < 4.5 * (width / ess).sqrt());
            assert!((variance[(i, 0)] / width - 1.0).abs() < 4.5 * (2.0 / ess).sqrt());
            let row = &y[i * draws..(i + 1) * draws];
            let even = row.iter().sum::<f64>() / draws as f64;
            assert!(
                (even - at).abs() < 4.5 * (width / ess).sqrt(),
                "{even} {at}"
            );
        }
        // What is handed over belongs together.
        for k in [0, draws + 7] {
            let z = (y[k] - m) / s;
            assert!((l[k] - (LOG_Z - s.ln() - 0.5 * z * z)).abs() < 1e-9);
            assert!((g[k] + z / s).abs() < 1e-9);
        }
    }
}

#[test]
fn chains_follow_a_posterior_that_moves() {
    let (target, base) = (target(), base());
    let white = Whitened {
        target: &target,
        base: &base,
    };
    let (n, m) = (700, 4);
    let mut chains = Followers::nowhere("test", n, m, 1).unwrap();
    let (mut draw, mut slope) = (vec![0.0; n], vec![0.0; n]);
    with_cx(7, |cx| {
        for k in 0..5 {
            let (a, v) = (0.5 + 0.1 * k as f64, 0.5 - 0.1 * k as f64);
            let c: Vec<f64> = (0..n).map(|i| 0.4 + 0.001 * i as f64).collect();
            let mut cx = cx.at("level", k);
            if k == 0 {
                let annealing = STARTING.with(m);
                chains
                    .start(&mut cx, white, annealing, (a, v), &c, 0.1)
                    .unwrap();
            }
            let mut out = Means {
                draw: &mut draw,
                slope: &mut slope,
            };
            let law = Posterior::of(a, v);
            let accepted = chains
                .follow(&mut cx, white, law, &c, 40, &mut out)
                .unwrap();
            assert!((accepted - 0.6).abs() < 0.12, "{accepted}");
            let off = mean_se((0..n).map(|i| draw[i] - posterior(a, v, c[i]).0));
            assert!(off.0.abs() < 4.5 * off.1, "{k}: {off:?}");
            let (mu, s) = white_law();
            let off = mean_se((0..n).map(|i| slope[i] + (posterior(a, v, c[i]).0 - mu) / (s * s)));
            assert!(off.0.abs() < 4.5 * off.1, "{k}: {off:?}");
        }
    });
}
