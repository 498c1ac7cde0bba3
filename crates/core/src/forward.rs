//! A forward process run forwards.

use crate::{Cx, Error, ForwardProcess, Result, Times};
use ndarray::{ArrayView2, ArrayViewMut2};

/// Steps per unit of T = `t_end` of an Euler–Maruyama simulation, where the transition is not known.
const STEPS: f64 = 400.0;

/// Draws x_t given x_s, s ≤ t, for each row of `xs` (n × d) into `xt`: from the transition where the
/// process has one, else by [`forward`] with steps of at most `t_end`/400.
///
/// # Errors
/// What the process returns.
pub fn simulate(
    cx: &mut Cx<'_>,
    process: &dyn ForwardProcess,
    s: f64,
    t: f64,
    xs: ArrayView2<'_, f64>,
    mut xt: ArrayViewMut2<'_, f64>,
) -> Result {
    if s >= t {
        xt.assign(&xs);
        return Ok(());
    }
    xt.assign(&xs);
    let steps = ((t - s) / process.t_end() * STEPS).ceil().max(1.0) as usize;
    forward(cx, process, (s, t), steps, xt)
}

/// Moves the rows of `x` (n × d) from time `s` to `t` > `s`: by the transition of the process where it
/// has one, else by `substeps` ≥ 1 equal Euler–Maruyama steps,
/// x ← x + h f(x) + √h G(x) z (Maruyama 1955), which is biased by O(h). What leaves the process's support
/// in a step is put back by reflection at its end.
///
/// # Errors
/// [`Error::Argument`] for times that do not rise; what the process returns.
pub fn forward(
    cx: &mut Cx<'_>,
    process: &dyn ForwardProcess,
    (s, t): (f64, f64),
    substeps: usize,
    mut x: ArrayViewMut2<'_, f64>,
) -> Result {
    if !(t > s && s.is_finite() && t.is_finite() && substeps > 0) {
        return Err(Error::Argument {
            component: "forward simulation".into(),
            argument: "t".into(),
            given: format!("{t} in {substeps} steps"),
            allowed: format!("a time after {s} in at least one step"),
        });
    }
    let (n, d) = x.dim();
    let m = process.noise_dim();
    if let Some(transition) = process.transition() {
        let mut from = cx.take(n * d);
        let mut xs = ArrayViewMut2::from_shape((n, d), &mut from[..]).expect("n × d");
        xs.assign(&x);
        let outcome = transition.sample(&mut cx.at("forward", 0), s, t, xs.view(), x);
        cx.give(from);
        return outcome;
    }
    let (low, high) = process.support();
    let h = (t - s) / substeps as f64;
    let [mut f, mut gz, mut z] = [n * d, n * d, n * m].map(|len| cx.take(len));
    let mut outcome = Ok(());
    for step in 0..substeps {
        let now = Times::Shared(h.mul_add(step as f64, s));
        let mut fv = ArrayViewMut2::from_shape((n, d), &mut f[..]).expect("n × d");
        let mut gv = ArrayViewMut2::from_shape((n, d), &mut gz[..]).expect("n × d");
        let mut zv = ArrayViewMut2::from_shape((n, m), &mut z[..]).expect("n × m");
        let mut cx = cx.at("forward", step as u64);
        cx.fill_normal(zv.view_mut());
        let here: ArrayView2<'_, f64> = x.view();
        outcome = process
            .drift(&mut cx, now, here, fv.view_mut())
            .and_then(|()| process.apply_g(&mut cx, now, here, zv.view(), gv.view_mut()));
        if outcome.is_err() {
            break;
        }
        for ((x, f), g) in x.iter_mut().zip(&fv).zip(&gv) {
            *x += h.mul_add(*f, h.sqrt() * g);
            if *x <= low {
                *x = (2.0 * low - *x).max(low + f64::EPSILON).min(high);
            } else if *x >= high {
                *x = (2.0 * high - *x).min(high - f64::EPSILON).max(low);
            }
        }
    }
    [f, gz, z].into_iter().for_each(|b| cx.give(b));
    outcome
}
