//! What samplers by posterior draws hand over at their end, and what they say of it.

use super::Whitened;
use crate::chains::{dense, matrix};
use ndarray::{Array2, ArrayViewMut1};
use retrograde_core::{Cx, Draws, Error, Flag, Result, Severity, Sink};

/// Takes whitened draws to the coordinates of the target, and hands them over with their log densities.
///
/// # Errors
/// [`Error::Breakdown`] when none has mass.
pub(crate) fn hand_over(
    cx: &mut Cx<'_>,
    component: &str,
    white: Whitened<'_>,
    y: &Array2<f64>,
    sink: &mut dyn Sink,
) -> Result {
    let (n, d) = y.dim();
    let [mut x, mut l] = [n * d, n].map(|len| cx.take(len));
    white.place(dense(&y.view()), &mut x);
    let out = Some(ArrayViewMut1::from(&mut l[..]));
    cx.eval_target(white.target, matrix(&x, d), out, None)?;
    if l.iter().all(|l| *l == f64::NEG_INFINITY) || x.iter().any(|x| !x.is_finite()) {
        return Err(Error::Breakdown {
            component: component.into(),
            message: format!("of the {n} draws none has mass, or some are too far out for numbers"),
            advice: "place the base (`base_mean`, `base_sd`) where the target has mass, and take more `levels`"
                .into(),
        });
    }
    sink.emit(&Draws {
        x: matrix(&x, d),
        log_weights: None,
        stats: &[("lp", l[..].into())],
    })?;
    cx.give(l);
    cx.give(x);
    Ok(())
}

/// What the draws are not.
pub(crate) fn uncalibrated(
    sink: &mut dyn Sink,
    method: &str,
    weights: &str,
    law: &str,
    advice: &str,
) {
    sink.flag(Flag::new(
        Severity::Note,
        "no_log_z",
        format!("{method} gives no estimate of log Z: the density of its draws is not known"),
        "use a sampler such as rdsmc or smc where log Z matters",
    ));
    sink.flag(Flag::new(
        Severity::Warning,
        "mode_weights",
        format!("Mode weights are not calibrated: {weights}"),
        "use rdsmc, which weighs its draws, or parallel-tempering for the weights",
    ));
    sink.flag(Flag::new(Severity::Note, "uncorrected", law, advice));
}

/// Says if the chains moved too seldom or too timidly.
pub(crate) fn doubt_acceptance(sink: &mut dyn Sink, worst: f64) {
    if !(0.2..=0.95).contains(&worst) {
        sink.flag(Flag::new(
            Severity::Warning,
            "acceptance",
            format!("At one of the levels the mean acceptance of the chains was {worst:.3}, far from 0.6"),
            "take more `moves`, so that step sizes have time to adapt, more `levels`, or other coordinates",
        ));
    }
}
