//! Small matrices.

use ndarray::Array2;
use retrograde_core::Form;

/// The d × d matrix of the numbers of a form.
pub(super) fn full(form: Form, d: usize, v: &[f64]) -> Array2<f64> {
    Array2::from_shape_fn((d, d), |(i, j)| match form {
        Form::Scalar => f64::from(i == j) * v[0],
        Form::Diagonal => f64::from(i == j) * v[i],
        Form::Dense => v[i * d + j],
    })
}

/// A⁻¹ B by elimination with row exchanges.
pub(super) fn solve(mut a: Array2<f64>, mut b: Array2<f64>) -> Array2<f64> {
    eliminate(&mut a, &mut b);
    b
}

pub(super) fn determinant(mut a: Array2<f64>) -> f64 {
    let mut none = Array2::zeros((a.nrows(), 0));
    eliminate(&mut a, &mut none)
}

/// Turns (A, B) into (1, A⁻¹ B), and gives det A.
fn eliminate(a: &mut Array2<f64>, b: &mut Array2<f64>) -> f64 {
    let d = a.nrows();
    let mut product = 1.0;
    for k in 0..d {
        let key = |i: &usize| a[(*i, k)].abs();
        let pivot = (k..d)
            .max_by(|i, j| key(i).total_cmp(&key(j)))
            .expect("a row");
        if pivot != k {
            product = -product;
            for m in [&mut *a, &mut *b] {
                (0..m.ncols()).for_each(|j| m.swap((k, j), (pivot, j)));
            }
        }
        let scale = a[(k, k)];
        product *= scale;
        for m in [&mut *a, &mut *b] {
            m.row_mut(k).mapv_inplace(|v| v / scale);
        }
        for i in (0..d).filter(|i| *i != k) {
            let factor = a[(i, k)];
            for m in [&mut *a, &mut *b] {
                let from = m.row(k).to_owned();
                m.row_mut(i).scaled_add(-factor, &from);
            }
        }
    }
    product
}
