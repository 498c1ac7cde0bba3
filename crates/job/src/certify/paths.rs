//! Girsanov's bound, from pairs of points of forward paths in each step of the grid.

use super::setting::Setting;
use ndarray::{Array1, Array2, Axis, s};
use retrograde_core::{Cx, Error, Field, Form, Kernel, Result, Runtime, Times};
use retrograde_metrics::certificate::{Girsanov, GirsanovBound, Step};

/// Rows worked on at once; the number of paths is a multiple of it.
pub(super) const ROWS: usize = 1024;

/// Points and weights of Gauss–Legendre quadrature on [0, 1].
const NODES: [(f64, f64); 8] = [
    (0.019_855_071_751_231_88, 0.050_614_268_145_188_13),
    (0.101_666_761_293_186_64, 0.111_190_517_226_687_24),
    (0.237_233_795_041_835_5, 0.156_853_322_938_943_64),
    (0.408_282_678_752_175_1, 0.181_341_891_689_181),
    (0.591_717_321_247_825, 0.181_341_891_689_181),
    (0.762_766_204_958_164_5, 0.156_853_322_938_943_64),
    (0.898_333_238_706_813_4, 0.111_190_517_226_687_24),
    (0.980_144_928_248_768_1, 0.050_614_268_145_188_13),
];

/// The bound, or why there is none.
type Found = std::result::Result<GirsanovBound, String>;

/// The bound over forward paths of the data.
pub(super) fn bound(setting: &Setting<'_>, runtime: &mut Runtime) -> Result<Found> {
    let form = match setting.run.kernel {
        Kernel::Deterministic => {
            return Ok(Err(
                "the sampler is deterministic: a bound by Girsanov's theorem would say nothing"
                    .into(),
            ));
        }
        Kernel::Other => {
            return Ok(Err(
                "the noise of a step is not that of the reverse diffusion (reverse-sde has a bound)".into(),
            ));
        }
        form => form,
    };
    if setting.truth.is_none() {
        return Ok(Err(
            "no exact score of this target under this process is known to hold the score against"
                .into(),
        ));
    }
    if setting.process.integral_g2().is_none() {
        return Ok(Err(
            "the noise of the process is no g(t) dW with a number g".into(),
        ));
    }
    let times = setting.run.grid.times().to_vec();
    let mut girsanov = runtime.enter("certify steps", 0, |cx| {
        let steps = times
            .windows(2)
            .map(|w| step(setting, cx, form, w[0], w[1]));
        Girsanov::new(steps.collect::<Result<Vec<_>>>()?)
    })?;
    let (n, weights) = (setting.data.nrows(), normalised(setting));
    for (block, start) in (0..n).step_by(ROWS).enumerate() {
        let rows = start..start + ROWS;
        let data = setting.data.slice(s![rows.clone(), ..]).to_owned();
        let [score, discretisation, total] =
            runtime.enter("certify paths", block as u64, |cx| {
                gaps(setting, cx, form, &data)
            })?;
        let weights = weights.as_ref().map(|w| w.slice(s![rows]));
        girsanov.add(score.view(), discretisation.view(), total.view(), weights)?;
    }
    Ok(Ok(girsanov.bound()?))
}

/// Weights of the data on the scale of the largest.
fn normalised(setting: &Setting<'_>) -> Option<Array1<f64>> {
    let log_w = setting.weights.as_ref()?;
    let most = log_w.fold(f64::NEG_INFINITY, |m, w| m.max(*w));
    Some(log_w.mapv(|w| (w - most).exp()))
}

/// g² of a process with G = g(t) I.
fn g2(setting: &Setting<'_>, cx: &mut Cx<'_>, t: f64) -> Result<f64> {
    let one = Array2::ones((1, setting.process.dim()));
    let mut out = one.clone();
    let process = setting.process.as_ref();
    process.apply_ggt(cx, Times::Shared(t), one.view(), one.view(), out.view_mut())?;
    Ok(out[(0, 0)])
}

fn step(
    setting: &Setting<'_>,
    cx: &mut Cx<'_>,
    form: Kernel,
    start: f64,
    end: f64,
) -> Result<Step> {
    let process = setting.process.as_ref();
    let (mut noise, mut sigma2) = (start, 1.0);
    if let Some(linear) = process.linear().filter(|l| l.form() == Form::Scalar) {
        let (alpha, sigma) = linear.scalar(start);
        (noise, sigma2) = (sigma / alpha, sigma * sigma);
    }
    let integral = process.integral_g2().expect("looked for before");
    let score_weight = if form == Kernel::FrozenScore {
        integral.integral_g2(end, start)
    } else {
        // g(t_k)⁴ ∫ dt/g², by Gauss–Legendre with three points.
        let (middle, half) = (0.5 * (start + end), 0.5 * (start - end));
        let mut sum = 0.0;
        for (node, weight) in [
            (-0.6f64.sqrt(), 5.0 / 9.0),
            (0.0, 8.0 / 9.0),
            (0.6f64.sqrt(), 5.0 / 9.0),
        ] {
            sum += weight / g2(setting, cx, middle + half * node)?;
        }
        g2(setting, cx, start)?.powi(2) * half * sum
    };
    Ok(Step {
        start,
        end,
        noise,
        sigma2,
        score_weight,
    })
}

/// Squared gaps of score, discretisation and both together; rows of the data × steps.
fn gaps(
    setting: &Setting<'_>,
    cx: &mut Cx<'_>,
    form: Kernel,
    data: &Array2<f64>,
) -> Result<[Array2<f64>; 3]> {
    let n = data.nrows();
    let times = setting.run.grid.times();
    let steps = times.len() - 1;
    let mut out = [(); 3].map(|()| Array2::zeros((n, steps)));
    let truth = setting.truth.as_ref().map(|(score, _)| score.clone());
    let truth = truth.expect("looked for before");
    // Rows i of a chunk are all at one Gauss–Legendre point of each step, the next chunk at the next.
    for (chunk, (node, share)) in NODES.iter().enumerate() {
        let rows = chunk * n / NODES.len()..(chunk + 1) * n / NODES.len();
        let data = data.slice(s![rows.clone(), ..]).to_owned();
        let spread = n as f64 * share / rows.len() as f64;
        let [mut now, mut late, mut theta, mut at_start, mut within] =
            [(); 5].map(|()| Array2::zeros(data.dim()));
        for k in 0..steps {
            cx.check_cancelled()?;
            let (start, end) = (times[k], times[k + 1]);
            let t = end + (start - end) * node;
            let index = (k * NODES.len() + chunk) as u64;
            setting.forward(&mut cx.at("to time", index), (0.0, t), &data, &mut now)?;
            setting.forward(&mut cx.at("to start", index), (t, start), &now, &mut late)?;
            for (score, time, x, out) in [
                (&setting.score, start, &late, &mut theta),
                (&truth, start, &late, &mut at_start),
                (&truth, t, &now, &mut within),
            ] {
                let at = Times::Shared(time);
                if form == Kernel::FrozenScore {
                    cx.eval_score(score.as_ref(), at, x.view(), out.view_mut())?;
                } else {
                    let (process, score) = (setting.process.as_ref(), score.as_ref());
                    Field { process, score }.reverse_drift(cx, at, x.view(), out.view_mut())?;
                }
            }
            let g2 = g2(setting, cx, t)?;
            let factor = spread
                * if form == Kernel::FrozenScore {
                    g2
                } else {
                    g2.recip()
                };
            let pairs = [(&theta, &at_start), (&at_start, &within), (&theta, &within)];
            for (out, (a, b)) in out.iter_mut().zip(pairs) {
                let gap = a - b;
                let squares = gap.map_axis(Axis(1), |row| factor * row.dot(&row));
                if squares.iter().any(|v| !v.is_finite()) {
                    return Err(Error::Breakdown {
                        component: "certify".into(),
                        message: format!("a score is not finite at times from {end} to {start}"),
                        advice: "end the grid above 0 (`grid.to_zero = false`) where the score is singular"
                            .into(),
                    });
                }
                out.slice_mut(s![rows.clone(), k]).assign(&squares);
            }
        }
    }
    Ok(out)
}
