//! From a function of one point to a batch.

use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};

/// Calls `f(x, gradient)` on each row and writes what it returns, the log density. The gradient is
/// `None` when nobody asked for it; where it is given, `f` writes every element.
///
/// `f` is a pure function of its row, so rows keep their bits wherever they stand.
pub(crate) fn each_row(
    x: ArrayView2<'_, f64>,
    mut log_density: Option<ArrayViewMut1<'_, f64>>,
    mut gradient: Option<ArrayViewMut2<'_, f64>>,
    f: impl Fn(&[f64], Option<&mut [f64]>) -> f64,
) {
    // Batches are dense by contract; a strided view is copied once instead of row by row.
    let x = x.as_standard_layout();
    for (i, row) in x.rows().into_iter().enumerate() {
        let row = row.to_slice().unwrap_or(&[]);
        let value = match &mut gradient {
            None => f(row, None),
            Some(g) => {
                let mut g = g.row_mut(i);
                if let Some(g) = g.as_slice_mut() {
                    f(row, Some(g))
                } else {
                    let mut dense = g.to_vec();
                    let value = f(row, Some(&mut dense));
                    g.assign(&ndarray::aview1(&dense));
                    value
                }
            }
        };
        if let Some(l) = &mut log_density {
            l[i] = value;
        }
    }
}
