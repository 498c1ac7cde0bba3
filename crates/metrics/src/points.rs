//! What the distances between samples share: checks of their arrays, sums over pairs, subsamples.

use ndarray::{ArrayView1, ArrayView2, Axis, CowArray, Ix2};
use rayon::prelude::*;
use retrograde_core::{Error, Result};

/// Points as rows of one slice.
#[derive(Debug, Clone)]
pub(crate) struct Rows<'a> {
    data: CowArray<'a, f64, Ix2>,
}

impl<'a> Rows<'a> {
    /// The rows of `x`, which must be at least one, of at least one finite number each.
    pub(crate) fn new(metric: &str, argument: &str, x: ArrayView2<'a, f64>) -> Result<Self> {
        let (n, d) = x.dim();
        if n == 0 || d == 0 {
            return Err(Error::shape(
                metric,
                format!("`{argument}`"),
                "at least one row of at least one number",
                format!("{n} × {d}"),
            ));
        }
        if let Some(((i, j), v)) = x.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(wrong(metric, format!("{argument}[{i}][{j}]"), v, "finite"));
        }
        let data = if x.is_standard_layout() {
            CowArray::from(x)
        } else {
            CowArray::from(x.as_standard_layout().into_owned())
        };
        Ok(Self { data })
    }

    /// Two sets of points of one dimension.
    pub(crate) fn pair(
        metric: &str,
        x: ArrayView2<'a, f64>,
        y: ArrayView2<'a, f64>,
    ) -> Result<(Self, Self)> {
        let pair = (Self::new(metric, "x", x)?, Self::new(metric, "y", y)?);
        same(metric, "`y`", "columns", x.ncols(), y.ncols())?;
        Ok(pair)
    }

    /// At most `max` of the rows, as [`subsample`].
    pub(crate) fn thinned(self, max: usize) -> Self {
        if self.len() <= max {
            return self;
        }
        let data = subsample(self.data.view(), max).into_owned();
        Self { data: data.into() }
    }

    pub(crate) fn len(&self) -> usize {
        self.data.nrows()
    }

    pub(crate) fn dim(&self) -> usize {
        self.data.ncols()
    }

    pub(crate) fn all(&self) -> std::slice::ChunksExact<'_, f64> {
        self.data.as_slice().unwrap_or(&[]).chunks_exact(self.dim())
    }

    pub(crate) fn row(&self, i: usize) -> &[f64] {
        let d = self.dim();
        &self.data.as_slice().unwrap_or(&[])[i * d..(i + 1) * d]
    }

    /// The rows from `i` on.
    pub(crate) fn from(&self, i: usize) -> std::slice::ChunksExact<'_, f64> {
        let d = self.dim();
        self.data.as_slice().unwrap_or(&[])[i * d..].chunks_exact(d)
    }

    pub(crate) fn view(&self) -> ArrayView2<'_, f64> {
        self.data.view()
    }
}

/// Returns at most `max` rows of `x`, evenly spaced: row ⌊i n/max⌋ for i = 0 … max − 1, or all of them.
///
/// For chains in one array even spacing also lowers the autocorrelation.
///
/// # Shapes
/// `x`: (n, d); out (min(n, max), d).
#[must_use]
pub fn subsample(x: ArrayView2<'_, f64>, max: usize) -> CowArray<'_, f64, Ix2> {
    let n = x.nrows();
    if n <= max {
        return x.into();
    }
    let rows: Vec<usize> = (0..max)
        .map(|i| (i as u128 * n as u128 / max as u128) as usize)
        .collect();
    x.select(Axis(0), &rows).into()
}

/// |a − b|².
#[inline]
pub(crate) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Σᵢ row(i): rows on any threads, each by one of them, then added in order, so that the number of threads changes no
/// bit and memory is one number a row.
pub(crate) fn sum_of_rows(n: usize, row: impl Fn(usize) -> f64 + Sync + Send) -> f64 {
    values_of_rows(n, row).iter().sum()
}

/// row(i) for each i, computed on any threads.
pub(crate) fn values_of_rows(n: usize, row: impl Fn(usize) -> f64 + Sync + Send) -> Vec<f64> {
    (0..n).into_par_iter().with_min_len(8).map(row).collect()
}

/// An argument that is out of its range.
pub(crate) fn wrong(
    metric: &str,
    argument: impl Into<String>,
    given: impl std::fmt::Display,
    allowed: impl Into<String>,
) -> Error {
    Error::Argument {
        component: metric.into(),
        argument: argument.into(),
        given: given.to_string(),
        allowed: allowed.into(),
    }
}

/// Refuses an array that has `found` of `what` in place of `expected`.
pub(crate) fn same(metric: &str, array: &str, what: &str, expected: usize, found: usize) -> Result {
    if expected == found {
        return Ok(());
    }
    let words = |n: usize| format!("{n} {what}");
    Err(Error::shape(metric, array, words(expected), words(found)))
}

/// Refuses what is not positive and finite.
pub(crate) fn positive(metric: &str, argument: &str, value: f64) -> Result {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(wrong(metric, argument, value, "positive and finite"))
}

/// Refuses a list that is empty or holds what is not finite.
pub(crate) fn finite(metric: &str, argument: &str, values: ArrayView1<'_, f64>) -> Result {
    if values.is_empty() {
        return Err(wrong(metric, argument, "empty", "at least one number"));
    }
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(wrong(
            metric,
            format!("{argument}[{i}]"),
            values[i],
            "finite",
        )),
        None => Ok(()),
    }
}

/// Refuses weights that are negative, not finite or all zero; returns their sum.
pub(crate) fn weights(metric: &str, argument: &str, w: ArrayView1<'_, f64>) -> Result<f64> {
    finite(metric, argument, w)?;
    if let Some(i) = w.iter().position(|v| *v < 0.0) {
        return Err(wrong(
            metric,
            format!("{argument}[{i}]"),
            w[i],
            "at least 0",
        ));
    }
    let sum = w.sum();
    if sum > 0.0 && sum.is_finite() {
        return Ok(sum);
    }
    Err(wrong(
        metric,
        argument,
        format!("of sum {sum}"),
        "of a positive finite sum",
    ))
}

#[cfg(test)]
pub(crate) mod samples {
    //! Ten points of the plane and ten numbers on which every distance here is known to fourteen digits.

    use ndarray::{Array1, Array2, array};
    use rand_distr::{Distribution, StandardNormal};

    pub(crate) fn x() -> Array2<f64> {
        array![
            [0.1, -0.4],
            [1.2, 0.3],
            [-0.7, 0.9],
            [0.5, -1.1],
            [-1.3, 0.2]
        ]
    }

    pub(crate) fn y() -> Array2<f64> {
        array![
            [0.0, 0.5],
            [0.8, -0.6],
            [-0.9, -0.2],
            [1.5, 1.0],
            [-0.3, -1.4]
        ]
    }

    pub(crate) fn x_1d() -> Array1<f64> {
        array![-1.2, -0.3, 0.1, 0.8, 1.9]
    }

    pub(crate) fn y_1d() -> Array1<f64> {
        array![-0.9, -0.5, 0.4, 1.1, 2.3]
    }

    /// Standard normal points; independent for different seeds.
    pub(crate) fn cloud(n: usize, d: usize, seed: u64) -> Array2<f64> {
        let mut stream = retrograde_core::Key::from_seed(seed).stream(0);
        Array2::from_shape_simple_fn((n, d), || StandardNormal.sample(&mut stream))
    }

    /// The same numbers on one thread, on two and on seven.
    pub(crate) fn on_threads<R: Send>(f: impl Fn() -> R + Sync) -> [R; 3] {
        [1, 2, 7].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(&f)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array, s};

    #[test]
    fn subsamples_are_evenly_spaced() {
        let x = Array2::from_shape_fn((10, 1), |(i, _)| i as f64);
        assert_eq!(subsample(x.view(), 4), array![[0.0], [2.0], [5.0], [7.0]]);
        assert_eq!(subsample(x.view(), 10), x);
        assert_eq!(subsample(x.view(), 0).dim(), (0, 1));
    }

    #[test]
    fn any_layout_is_read_by_rows() {
        let x = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let rows = Rows::new("m", "x", x.t()).unwrap();
        assert_eq!(rows.row(1), [2.0, 5.0]);
        let reversed = Rows::new("m", "x", x.slice(s![..;-1, ..])).unwrap();
        assert_eq!(reversed.all().next().unwrap(), [4.0, 5.0, 6.0]);
    }

    #[test]
    fn messages_name_argument_and_value() {
        let told = |e: Result<Rows<'_>>| e.unwrap_err().to_string();
        let empty = Array2::zeros((0, 2));
        assert_eq!(
            told(Rows::new("mmd", "x", empty.view())),
            "mmd: `x` has 0 × 2, expected at least one row of at least one number"
        );
        let bad = array![[0.0, 1.0], [f64::NAN, 2.0]];
        assert_eq!(
            told(Rows::new("mmd", "x", bad.view())),
            "mmd: `x[1][0]` is NaN, but must be finite"
        );
        let error = weights("w1", "weights", array![1.0, -0.5].view()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "w1: `weights[1]` is -0.5, but must be at least 0"
        );
        assert!(weights("w1", "weights", array![0.0].view()).is_err());
        assert!(weights("w1", "weights", array![1e308, 1e308].view()).is_err());
    }
}
