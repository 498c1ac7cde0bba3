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

#[cfg(test)]
mod tests {
    use super::each_draw;
    use ndarray::{Array2, s};
    use rand_distr::{Distribution, StandardNormal};
    use retrograde_core::Runtime;

    #[test]
    fn draws_depend_on_neither_threads_nor_n_nor_layout() {
        let draw = |threads: usize, n: usize, wide: usize| {
            let mut all = Array2::zeros((n, 2 * wide));
            let out = all.slice_mut(s![.., ..;wide]);
            let mut rt = Runtime::new(3, threads).unwrap();
            rt.enter("test", 0, |cx| {
                each_draw(cx, 2, out, |rng, x| {
                    x.fill_with(|| StandardNormal.sample(rng));
                })
            })
            .unwrap();
            all.slice(s![.., ..;wide]).to_owned()
        };
        let x = draw(1, 1500, 1);
        assert_eq!(x, draw(2, 1500, 1));
        assert_eq!(x, draw(2, 1500, 3));
        assert_eq!(x.slice(s![..700, ..]), draw(2, 700, 1));
        let mut rows: Vec<u64> = x.column(0).iter().map(|v| v.to_bits()).collect();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), 1500, "a stream was used twice");
    }
}
