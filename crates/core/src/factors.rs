//! Small dense factorisations.

use ndarray::ArrayView2;

#[inline]
fn total(s: [f64; 4]) -> f64 {
    (s[0] + s[1]) + (s[2] + s[3])
}

#[inline]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_tail) = a.as_chunks::<4>();
    let (b, b_tail) = b.as_chunks::<4>();
    let mut sum = [0.0; 4];
    for (a, b) in a.iter().zip(b) {
        for i in 0..4 {
            sum[i] += a[i] * b[i];
        }
    }
    total(sum) + a_tail.iter().zip(b_tail).map(|(a, b)| a * b).sum::<f64>()
}

/// Writes the lower Cholesky factor of `a` (d × d, whose lower triangle is read) into `l`, with a
/// zero upper triangle.
///
/// # Panics
/// If `l` is shorter than d².
///
/// # Errors
/// The index of the first pivot that is not positive beyond rounding.
pub fn cholesky(a: ArrayView2<'_, f64>, l: &mut [f64]) -> Result<(), usize> {
    let d = a.nrows();
    l.fill(0.0);
    for i in 0..d {
        for j in 0..=i {
            let (upper, lower) = l.split_at_mut(i * d);
            let sum = if i == j {
                dot(&lower[..j], &lower[..j])
            } else {
                dot(&lower[..j], &upper[j * d..][..j])
            };
            let rest = a[(i, j)] - sum;
            if i != j {
                lower[j] = rest / upper[j * d + j];
                continue;
            }
            // Below this, the pivot is made of rounding errors: the matrix is singular. (NaN, too.)
            let floor = d as f64 * f64::EPSILON * a[(i, i)].abs();
            if rest.is_nan() || rest <= floor {
                return Err(i);
            }
            lower[i] = rest.sqrt();
        }
    }
    Ok(())
}

/// Writes the inverse of the lower triangular `l` (d × d) into `out`, with a zero upper triangle.
pub(crate) fn invert_lower(l: &[f64], out: &mut [f64], d: usize) {
    out.fill(0.0);
    for j in 0..d {
        out[j * d + j] = 1.0 / l[j * d + j];
        for i in j + 1..d {
            let sum: f64 = (j..i).map(|k| l[i * d + k] * out[k * d + j]).sum();
            out[i * d + j] = -sum / l[i * d + i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn factors_multiply_back() {
        for d in [1, 2, 3, 5, 9, 14] {
            // A Hilbert-like matrix plus a diagonal: far from diagonal, well conditioned.
            let a = Array2::from_shape_fn((d, d), |(i, j)| {
                1.0 / (i + j + 1) as f64 + if i == j { 0.5 } else { 0.0 }
            });
            let (mut l, mut w) = (vec![f64::NAN; d * d], vec![f64::NAN; d * d]);
            cholesky(a.view(), &mut l).unwrap();
            invert_lower(&l, &mut w, d);
            let l = Array2::from_shape_vec((d, d), l).unwrap();
            let w = Array2::from_shape_vec((d, d), w).unwrap();
            let near = |a: Array2<f64>, b: &Array2<f64>| {
                (a - b).iter().fold(0.0f64, |m, v| m.max(v.abs())) < 1e-13
            };
            assert!(near(l.dot(&l.t()), &a), "L Lᵀ at {d}");
            assert!(near(w.dot(&l), &Array2::eye(d)), "L⁻¹ L at {d}");
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_refused_at_its_pivot() {
        let a = ndarray::array![[1.0, 1.0], [1.0, 1.0]];
        assert_eq!(cholesky(a.view(), &mut [0.0; 4]), Err(1));
        let a = ndarray::array![[-1.0, 0.0], [0.0, 1.0]];
        assert_eq!(cholesky(a.view(), &mut [0.0; 4]), Err(0));
    }
}
