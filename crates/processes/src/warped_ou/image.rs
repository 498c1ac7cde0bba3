//! Laws of x = φ(y) from laws of y.

use super::{Base, copy};
use crate::noised::Noised;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::{Cx, Marginal, Result, Times, WarpMap};
use std::sync::Arc;

/// Writes the log density and the score in x at the rows of `x`, from `of(row, y, s_y)`, which writes the
/// score in y and gives the log density there. Outside of the domain they are −∞ and 0.
pub(super) fn eval(
    cx: &mut Cx<'_>,
    map: &WarpMap,
    x: ArrayView2<'_, f64>,
    mut log_density: Option<ArrayViewMut1<'_, f64>>,
    mut gradient: Option<ArrayViewMut2<'_, f64>>,
    mut of: impl FnMut(usize, &[f64], &mut [f64]) -> f64,
) {
    let d = x.ncols();
    let mut buffer = cx.take(4 * d + map.scratch_len(d));
    let (at, rest) = buffer.split_at_mut(d);
    let (y, rest) = rest.split_at_mut(d);
    let (score, rest) = rest.split_at_mut(d);
    let (out, scratch) = rest.split_at_mut(d);
    for (i, x) in x.rows().into_iter().enumerate() {
        copy(at, x);
        let log_det = map.forward(at, y);
        let inside = log_det != f64::NEG_INFINITY;
        let value = of(i, y, score);
        if let Some(l) = &mut log_density {
            l[i] = if inside { value + log_det } else { log_det };
        }
        if let Some(g) = &mut gradient {
            out.fill(0.0);
            if inside {
                map.pull_score(at, score, out, scratch);
            }
            g.row_mut(i)
                .iter_mut()
                .zip(out.iter())
                .for_each(|(g, o)| *g = *o);
        }
    }
    cx.give(buffer);
}

/// The image of a noised mixture.
pub(super) struct Image {
    pub(super) map: Arc<WarpMap>,
    pub(super) base: Noised,
    pub(super) process: Base,
}

impl Marginal for Image {
    fn eval(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        score: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let (n, d) = x.dim();
        let [mut ys, mut ss] = std::array::from_fn(|_| cx.take(n * d));
        let mut ls = cx.take(n);
        let mut y = ArrayViewMut2::from_shape((n, d), &mut ys[..]).expect("n d numbers");
        let mut s = ArrayViewMut2::from_shape((n, d), &mut ss[..]).expect("n d numbers");
        let mut l = ArrayViewMut1::from(&mut ls[..]);
        let mut at = cx.take(2 * d);
        {
            let (at, to) = at.split_at_mut(d);
            for (x, mut y) in x.rows().into_iter().zip(y.rows_mut()) {
                copy(at, x);
                self.map.forward(at, to);
                y.iter_mut().zip(to.iter()).for_each(|(y, t)| *y = *t);
            }
        }
        let outcome = self.base.eval(
            cx,
            t,
            y.view(),
            Some(l.view_mut()),
            Some(s.view_mut()),
            |t| self.process.kernel(t),
        );
        if outcome.is_ok() {
            eval(cx, &self.map, x, log_density, score, |i, _, to| {
                copy(to, s.row(i));
                l[i]
            });
        }
        for buffer in [ys, ss, ls, at] {
            cx.give(buffer);
        }
        outcome
    }
}
