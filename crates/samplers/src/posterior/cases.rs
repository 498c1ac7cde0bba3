//! Targets with known laws for tests of samplers that posterior chains lead.

use super::led::{Leader, Led};
use ndarray::ArrayView2;
use retrograde_core::numeric::sigmoid;
use retrograde_core::{Collected, Counts, PointTarget, Result, Runtime, Target, drive::drive};
use retrograde_testkit::mean_se;
use std::sync::Arc;

/// Mean and standard deviation of [`gaussian`].
pub(crate) const M: f64 = 1.5;
pub(crate) const S: f64 = 0.6;

/// N(M, S²).
pub(crate) fn gaussian() -> Arc<dyn Target> {
    Arc::new(PointTarget::new(1, |x, g| {
        g[0] = -(x[0] - M) / (S * S);
        -0.5 * (x[0] - M).powi(2) / (S * S)
    }))
}

/// 2/3 N(−0.8, ¼) + 1/3 N(0.8, ¼) in two coordinates: modes 4.5 standard deviations apart.
fn two_modes() -> Arc<dyn Target> {
    Arc::new(PointTarget::new(2, |x, g| {
        let square = |m: f64| x.iter().map(|x| (x - m) * (x - m)).sum::<f64>();
        let (a, b) = (2.0f64.ln() - 2.0 * square(-0.8), -2.0 * square(0.8));
        let first = sigmoid(a - b);
        for (g, x) in g.iter_mut().zip(x) {
            *g = 4.0 * (0.8 * (1.0 - 2.0 * first) - x);
        }
        a.max(b) + (-(a - b).abs()).exp().ln_1p()
    }))
}

pub(crate) fn run<L: Led>(method: L, target: &Arc<dyn Target>, n: usize) -> (Collected, Counts) {
    let sampler = Leader::new(method, target.clone()).unwrap();
    let mut out = Collected::new(target.dim());
    let mut runtime = Runtime::new(3, 1).unwrap();
    drive(&sampler, &mut runtime, n, None, &mut out).unwrap();
    (out, runtime.counts().clone())
}

/// Fails unless the draws of one coordinate have the mean and variance to 4.5 s.e.
pub(crate) fn check_moments(
    x: ArrayView2<'_, f64>,
    mean: f64,
    variance: f64,
) -> std::result::Result<(), String> {
    for (what, (got, se), want) in [
        ("mean", mean_se(x.iter().copied()), mean),
        (
            "variance",
            mean_se(x.iter().map(|v| (v - mean).powi(2))),
            variance,
        ),
    ] {
        if (got - want).abs() >= 4.5 * se {
            return Err(format!("{what} {got} ± {se}, expected {want}"));
        }
    }
    Ok(())
}

/// Draws of the two modes by 4 chains of 16 moves at `levels` levels and moves before them: the share of the first mode and the
/// mean square against the truth, to 4.5 s.e. and what the method is off by.
pub(crate) fn check_modes<L: Led>(method: L, levels: u64) -> std::result::Result<(), String> {
    let (r, counts) = run(method, &two_modes(), 1000);
    let follows = 1000 * 4 * 16 * levels;
    assert!(counts.gradient_evals > follows && counts.gradient_evals < follows + follows / 4);
    let x = r.rows();
    let (m, se) = mean_se(x.rows().into_iter().map(|x| 0.5 * (x[0] + x[1])));
    let squares = x
        .rows()
        .into_iter()
        .map(|x| 0.5 * (x[0] * x[0] + x[1] * x[1]));
    let (square, square_se) = mean_se(squares);
    println!("mean {m:.4} ± {se:.4}, square {square:.4} ± {square_se:.4}");
    if (m + 0.8 / 3.0).abs() > 4.5 * se + 0.03 || (square - 0.89).abs() > 4.5 * square_se + 0.03 {
        return Err(format!("mean {m} ± {se}, square {square} ± {square_se}"));
    }
    assert!(r.flags.contains_key("mode_weights") && r.flags.contains_key("no_log_z"));
    assert!(!r.scalars.contains_key("log_z"), "{:?}", r.scalars);
    Ok(())
}

/// One draw is a run; a target without mass is refused by the keys that place the base.
pub(crate) fn check_hard_input<L: Led>(method: impl Fn(u64) -> L) {
    let (r, _) = run(method(10), &gaussian(), 1);
    assert!(r.len() == 1 && r.rows().iter().all(|v| v.is_finite()));
    let nowhere: Arc<dyn Target> = Arc::new(PointTarget::new(1, |_, _| f64::NEG_INFINITY));
    for pilot_moves in [0, 10] {
        let said = error(method(pilot_moves), &nowhere);
        assert!(said.contains("base_sd"), "{said}");
    }
}

/// What a run is refused with.
fn error<L: Led>(method: L, target: &Arc<dyn Target>) -> String {
    let attempt = || -> Result<()> {
        let sampler = Leader::new(method, target.clone())?;
        let mut out = Collected::new(1);
        drive(&sampler, &mut Runtime::new(1, 1)?, 300, None, &mut out).map(|_| ())
    };
    attempt().unwrap_err().to_string()
}
