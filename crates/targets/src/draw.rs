//! Exact draws of targets that need an unknown count of random numbers for each.

use ndarray::ArrayViewMut2;
use retrograde_core::{Cx, Error, Result, Stream};

/// Fills each row of `out` (n × d) by `draw`, which gets a random stream of the row's own.
///
/// # Errors
/// [`Error::Shape`] when `out` has not `dim` columns.
pub(crate) fn each_draw(
    cx: &mut Cx<'_>,
    dim: usize,
    out: ArrayViewMut2<'_, f64>,
    draw: impl Fn(&mut Stream, &mut [f64]) + Sync,
) -> Result {
    check_columns(dim, &out)?;
    let streams = cx.row_streams();
    cx.rows(out.nrows(), out, |cx, range, mut out| {
        let mut buffer = cx.take(dim);
        for (row, mut out) in range.zip(out.rows_mut()) {
            draw(&mut streams(row), &mut buffer);
            out.iter_mut().zip(&buffer).for_each(|(o, v)| *o = *v);
        }
        cx.give(buffer);
        Ok(())
    })
}

/// That `out` has `dim` columns.
///
/// # Errors
/// [`Error::Shape`].
pub(crate) fn check_columns(dim: usize, out: &ArrayViewMut2<'_, f64>) -> Result {
    if out.ncols() == dim {
        return Ok(());
    }
    let columns = |d: usize| format!("{d} columns");
    Err(Error::shape(
        "exact sampler",
        "out",
        columns(dim),
        columns(out.ncols()),
    ))
}
