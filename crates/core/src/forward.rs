//! A forward process run forwards.

use crate::{Cx, ForwardProcess, Result, Times};
use ndarray::{Array2, ArrayView2, ArrayViewMut2};

/// Steps per unit of T = `t_end` of an Euler–Maruyama simulation, where the transition is not known.
const STEPS: f64 = 400.0;

/// Draws x_t given x_s, s ≤ t, for each row of `xs` (n × d) into `xt`: from the transition where the
/// process has one, else by [`euler_maruyama`] with steps of at most `t_end`/400.
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
    if let Some(transition) = process.transition() {
        return transition.sample(cx, s, t, xs, xt);
    }
    xt.assign(&xs);
    let steps = ((t - s) / process.t_end() * STEPS).ceil().max(1.0) as usize;
    euler_maruyama(cx, process, s, t, steps, xt)
}

/// Moves the rows of `x` (n × d) from time s to t by `steps` steps of Euler–Maruyama:
/// x ← x + h f(x, t) + √h G(x, t) z. Rows that a step takes out of the support of the process stay at
/// its edge.
///
/// # Errors
/// What the process returns.
pub fn euler_maruyama(
    cx: &mut Cx<'_>,
    process: &dyn ForwardProcess,
    s: f64,
    t: f64,
    steps: usize,
    mut x: ArrayViewMut2<'_, f64>,
) -> Result {
    let (n, d) = x.dim();
    let h = (t - s) / steps as f64;
    let (low, high) = process.support();
    let (low, high) = (low.next_up(), high.next_down());
    let mut f = Array2::zeros((n, d));
    let mut z = Array2::zeros((n, process.noise_dim()));
    let mut g = Array2::zeros((n, d));
    for k in 0..steps {
        cx.check_cancelled()?;
        let at = Times::Shared(s + h * k as f64);
        process.drift(cx, at, x.view(), f.view_mut())?;
        cx.at("euler", k as u64).fill_normal(z.view_mut());
        process.apply_g(cx, at, x.view(), z.view(), g.view_mut())?;
        ndarray::Zip::from(&mut x)
            .and(&f)
            .and(&g)
            .for_each(|x, f, g| *x = (*x + h * f + h.sqrt() * g).clamp(low, high));
    }
    Ok(())
}
