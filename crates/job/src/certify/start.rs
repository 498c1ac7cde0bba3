//! What starting from the reference law costs, and what stopping above t = 0 does.

use super::Part;
use super::setting::Setting;
use ndarray::{Array1, Array2, Axis};
use retrograde_core::{Form, Result, Runtime, Times};
use retrograde_metrics::certificate::{Estimate, Method, moment_bound};

/// Points of the quadrature in one dimension.
const POINTS: usize = 20_001;

/// KL(p_T ‖ reference).
pub(super) fn kl(setting: &Setting<'_>, runtime: &mut Runtime) -> Result<Part> {
    let t = setting.run.grid.times()[0];
    let marginal = setting
        .truth
        .as_ref()
        .and_then(|(score, _)| score.log_marginal());
    let Some(marginal) = marginal else {
        return by_moments(setting, t);
    };
    let (n, d) = setting.data.dim();
    let mut x = Array2::zeros((n, d));
    runtime.enter("certify end", 0, |cx| {
        setting.forward(cx, (0.0, t), &setting.data, &mut x)
    })?;
    let process = setting.process.as_ref();
    let mut log_ratio = |x: &Array2<f64>| -> Result<(Array1<f64>, Array1<f64>)> {
        let (mut p, mut q) = (Array1::zeros(x.nrows()), Array1::zeros(x.nrows()));
        runtime.enter("certify end", 1, |cx| {
            marginal.log_marginal(cx, Times::Shared(t), x.view(), p.view_mut())?;
            process.reference_eval(cx, x.view(), Some(q.view_mut()), None)
        })?;
        Ok((p, q))
    };
    if d == 1 {
        // The trapezium rule over the support as the draws and the reference law show it.
        let mean = x.mean().unwrap_or(0.0);
        let sd = x.std(0.0).max(1e-300);
        let (low, high) = process.support();
        let (low, high) = (
            (mean - 14.0 * sd).max(low.next_up()),
            (mean + 14.0 * sd).min(high.next_down()),
        );
        let h = (high - low) / (POINTS - 1) as f64;
        let grid = Array2::from_shape_fn((POINTS, 1), |(i, _)| low + h * i as f64);
        let (p, q) = log_ratio(&grid)?;
        let mass: f64 = p.iter().map(|p| h * p.exp()).sum();
        if (mass - 1.0).abs() < 1e-6 {
            let terms = p.iter().zip(&q).filter(|(p, _)| **p > f64::NEG_INFINITY);
            let value = terms.map(|(p, q)| h * p.exp() * (p - q)).sum();
            return Ok(part(value, 0.0, Method::Quadrature, ""));
        }
    }
    let (p, q) = log_ratio(&x)?;
    let terms = &p - &q;
    let value = terms.mean().unwrap_or(f64::NAN);
    let se = terms.std(1.0) / (n as f64).sqrt();
    Ok(part(value, se, setting.method(), ""))
}

fn part(value: f64, standard_error: f64, method: Method, remark: &str) -> Part {
    // It is no less than 0, an estimate of it may be: by its noise, or by rounding where the two laws are one.
    let noise = 4.0 * standard_error + 1e-9;
    Part {
        kl: Some(Estimate {
            value: if value > -noise {
                value.max(0.0)
            } else {
                value
            },
            standard_error,
        }),
        method: Some(method),
        effect: None,
        remark: remark.into(),
    }
}

/// A bound from E|x₀|², where the process is linear and its reference law that of its noise.
fn by_moments(setting: &Setting<'_>, t: f64) -> Result<Part> {
    let linear = setting
        .process
        .linear()
        .filter(|l| l.form() == Form::Scalar);
    let (Some(linear), None) = (linear, setting.process.warp()) else {
        return Ok(Part {
            kl: None,
            method: None,
            effect: None,
            remark: "the density of the law at the first time is not known".into(),
        });
    };
    let (alpha, sigma) = linear.scalar(t);
    let second = setting
        .data
        .map_axis(Axis(1), |x| x.dot(&x))
        .mean()
        .unwrap_or(0.0);
    let prior = reference_variance(setting)?;
    let value = moment_bound(alpha, sigma * sigma, prior, second, setting.data.ncols())?;
    let remark = "an upper bound from the second moment of the data";
    Ok(part(value, 0.0, Method::UpperBound, remark))
}

/// Variance of a coordinate of a Gaussian reference law, from its density at 0 and 1.
fn reference_variance(setting: &Setting<'_>) -> Result<f64> {
    let d = setting.data.ncols();
    let mut x = Array2::zeros((2, d));
    x[(1, 0)] = 1.0;
    let mut l = Array1::zeros(2);
    let mut runtime = Runtime::new(0, 1)?;
    let process = setting.process.as_ref();
    runtime.enter("certify reference", 0, |cx| {
        process.reference_eval(cx, x.view(), Some(l.view_mut()), None)
    })?;
    Ok(0.5 / (l[0] - l[1]))
}

/// √E‖X_δ − X_0‖², at least W₂ between the law at the last time and the data.
pub(super) fn early_stopping(setting: &Setting<'_>, runtime: &mut Runtime) -> Result<Part> {
    let times = setting.run.grid.times();
    let end = times[times.len() - 1];
    let mut moved = Array2::zeros(setting.data.dim());
    runtime.enter("certify stop", 0, |cx| {
        setting.forward(cx, (0.0, end), &setting.data, &mut moved)
    })?;
    let gaps = (&moved - &setting.data).map_axis(Axis(1), |row| row.dot(&row));
    Ok(Part {
        kl: None,
        method: None,
        effect: Some(super::effects::root_mean_square(&gaps)),
        remark: if end == 0.0 {
            "the grid ends at 0".into()
        } else {
            String::new()
        },
    })
}
