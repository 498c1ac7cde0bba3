//! How far each error moves the draws: runs that differ in one thing alone.

use super::setting::Setting;
use ndarray::{Array1, Array2, Axis};
use retrograde_core::{Result, Runtime, Score};
use retrograde_metrics::certificate::{Estimate, Richardson, richardson};
use serde::Serialize;
use std::sync::Arc;

/// How far draws move.
pub(super) struct Effect {
    pub(super) initialisation: Option<Estimate>,
    pub(super) score: Option<Estimate>,
    pub(super) discretisation: Option<Estimate>,
    pub(super) order: Option<Order>,
}

/// The order of convergence as it is observed.
#[derive(Debug, Clone, Serialize)]
pub struct Order {
    /// Root mean square distance between draws at h and h/2, and at h/2 and h/4.
    pub distances: [f64; 2],
    /// log₂ of their ratio: of the paths, for samplers with noise.
    pub order: Option<f64>,
    /// What the variance of the first coordinate tells at h, h/2, h/4.
    pub variance: [f64; 3],
    /// Its order, as of the law.
    pub variance_order: Option<f64>,
    /// What it says where no order can be read off; empty otherwise.
    pub remark: String,
}

pub(super) fn effects(setting: &Setting<'_>, draws: usize) -> Result<Effect> {
    let seed = setting.plan.run.seed;
    let run =
        |start: Option<&Array2<f64>>, score: &Arc<dyn Score>, refine: i64| -> Result<Array2<f64>> {
            let sampler = setting.sampler(start, score, refine)?;
            let mut runtime = Runtime::new(seed, setting.plan.run.threads)?;
            Ok(setting.sample(&mut runtime, sampler.as_ref(), draws)?.x)
        };
    let plain = run(None, &setting.score, 1)?;
    let (half, quarter) = (run(None, &setting.score, 2)?, run(None, &setting.score, 4)?);
    let order = order(&plain, &half, &quarter)?;
    // What all further halvings together do, by a geometric series where there is an order.
    let tail = order
        .order
        .map_or(1.0, |p| 2f64.powf(p) / (2f64.powf(p) - 1.0));
    let first = distance(&plain, &half);
    let discretisation = Some(Estimate {
        value: tail * first.value,
        standard_error: tail * first.standard_error,
    });
    let mut score = None;
    if let Some((truth, _)) = &setting.truth
        && !Arc::ptr_eq(truth, &setting.score)
    {
        score = Some(distance(&plain, &run(None, truth, 1)?));
    }
    let initialisation = start(setting, draws)?
        .map(|(from, to)| {
            let (a, b) = (
                run(Some(&from), &setting.score, 1)?,
                run(Some(&to), &setting.score, 1)?,
            );
            Ok::<_, retrograde_core::Error>(distance(&a, &b))
        })
        .transpose()?;
    Ok(Effect {
        initialisation,
        score,
        discretisation,
        order: Some(order),
    })
}

/// Points of the reference law and of p_T that share their noise: x_T = α x_0 + σ z beside √(var) z, for
/// processes whose forward map takes the noise.
fn start(setting: &Setting<'_>, draws: usize) -> Result<Option<(Array2<f64>, Array2<f64>)>> {
    let process = setting.process.as_ref();
    let t = setting.run.grid.times()[0];
    let (Some(map), Some(_), None) = (process.forward_map(), process.linear(), process.warp())
    else {
        return Ok(None);
    };
    let n = draws.min(setting.data.nrows());
    let data = setting.data.slice(ndarray::s![..n, ..]).to_owned();
    if setting.weights.is_some() {
        return Ok(None);
    }
    let (mut from, mut to, mut z) = (data.clone(), data.clone(), data.clone());
    let mut runtime = Runtime::new(setting.plan.run.seed, 1)?;
    runtime.enter("certify start", 0, |cx| {
        process.reference_sample(cx, from.view_mut())?;
        // The noise that takes 0 to the points of the reference law takes the data to p_T.
        let zero = Array2::zeros(data.dim());
        map.solve_noise(cx, 0.0, t, zero.view(), from.view(), z.view_mut())?;
        map.forward_map(cx, 0.0, t, data.view(), z.view(), to.view_mut())
    })?;
    Ok(Some((from, to)))
}

fn order(plain: &Array2<f64>, half: &Array2<f64>, quarter: &Array2<f64>) -> Result<Order> {
    let distances = [distance(plain, half).value, distance(half, quarter).value];
    let ratio = distances[0] / distances[1];
    let order = (ratio > 1.0 && ratio.is_finite()).then(|| ratio.log2());
    let runs = [plain, half, quarter];
    let variance = runs.map(|x| x.column(0).var(1.0));
    // Standard errors of the differences, from the coupled squares.
    let spread = |a: &Array2<f64>, b: &Array2<f64>| {
        let square = |x: &Array2<f64>| {
            let mean = x.column(0).mean().unwrap_or(0.0);
            x.column(0).mapv(|v| (v - mean).powi(2))
        };
        (square(a) - square(b)).std(1.0) / (a.nrows() as f64).sqrt()
    };
    let seen = richardson(variance, [spread(plain, half), spread(half, quarter)])?;
    let (variance_order, remark) = match seen {
        Richardson::Order(seen) => (Some(seen.order), String::new()),
        Richardson::None { reason, .. } => (None, reason.to_string()),
    };
    Ok(Order {
        distances,
        order,
        variance,
        variance_order,
        remark,
    })
}

/// Root mean square distance of the rows.
fn distance(a: &Array2<f64>, b: &Array2<f64>) -> Estimate {
    root_mean_square(&(a - b).map_axis(Axis(1), |row| row.dot(&row)))
}

/// √(mean of `squares`), with its standard error.
pub(super) fn root_mean_square(squares: &Array1<f64>) -> Estimate {
    let value = squares.mean().unwrap_or(0.0).sqrt();
    let se = squares.std(1.0) / (squares.len() as f64).sqrt();
    Estimate {
        value,
        standard_error: if value > 0.0 { se / (2.0 * value) } else { 0.0 },
    }
}
