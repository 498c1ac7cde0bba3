//! Matrices of d × d numbers by rows.

/// Doublings after which a process that has not settled has no stationary law: a rate of 1e-15/T.
const DOUBLINGS: usize = 60;

/// The limit of Q(2ᵏ T), if there is one.
pub(super) fn stationary(mut e: Vec<f64>, mut q: Vec<f64>, d: usize) -> Option<Vec<f64>> {
    let (mut a, mut b) = (vec![0.0; d * d], vec![0.0; d * d]);
    for _ in 0..DOUBLINGS {
        double(&mut e, &mut q, [&mut a, &mut b], d);
        let left = e.iter().map(|v| v * v).sum::<f64>();
        if left < 1e-40 {
            return Some(q);
        }
        if left > 1e20 || left.is_nan() {
            return None;
        }
    }
    None
}

/// From (E, Q) of a time to those of twice that time.
pub(super) fn double(e: &mut [f64], q: &mut [f64], [a, b]: [&mut [f64]; 2], d: usize) {
    multiply(e, q, a, d);
    transpose(e, b, d);
    // Q + (E Q) Eᵀ, whose halves are alike.
    for i in 0..d {
        for j in 0..=i {
            let row = &a[i * d..(i + 1) * d];
            let sum: f64 = (0..d).map(|k| row[k] * b[k * d + j]).sum();
            q[i * d + j] += sum;
            q[j * d + i] = q[i * d + j];
        }
    }
    multiply(e, e, a, d);
    e.copy_from_slice(a);
}

/// Writes the first terms of the series of e^{hM}.
pub(super) fn exponential(
    m: &[f64],
    h: f64,
    terms: u32,
    e: &mut [f64],
    [term, product]: [&mut [f64]; 2],
    d: usize,
) {
    identity(e, d);
    identity(term, d);
    for k in 1..=terms {
        multiply(m, term, product, d);
        let scale = h / f64::from(k);
        for ((t, p), e) in term.iter_mut().zip(&*product).zip(e.iter_mut()) {
            *t = scale * p;
            *e += *t;
        }
    }
}

fn identity(m: &mut [f64], d: usize) {
    m.fill(0.0);
    (0..d).for_each(|i| m[i * d + i] = 1.0);
}

pub(super) fn transpose(m: &[f64], out: &mut [f64], d: usize) {
    (0..d * d).for_each(|i| out[i] = m[(i % d) * d + i / d]);
}

pub(super) fn multiply(a: &[f64], b: &[f64], out: &mut [f64], d: usize) {
    for (row, out) in a.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
        out.fill(0.0);
        add_product(b, row.iter(), out);
    }
}

/// out += Mᵀ x, M by rows: sums over the rows of M, in order for any batch.
pub(super) fn add_product<'x>(m: &[f64], x: impl Iterator<Item = &'x f64>, out: &mut [f64]) {
    for (x, row) in x.zip(m.chunks_exact(out.len())) {
        out.iter_mut().zip(row).for_each(|(o, m)| *o += x * m);
    }
}

/// Writes L of L Lᵀ = Q ≥ 0, with columns of 0 where Q is singular to rounding; gives whether it is not.
pub(super) fn cholesky(q: &[f64], l: &mut [f64], d: usize) -> bool {
    l.fill(0.0);
    let mut regular = true;
    for j in 0..d {
        for i in j..d {
            let dot: f64 = (0..j).map(|k| l[i * d + k] * l[j * d + k]).sum();
            let rest = q[i * d + j] - dot;
            if i == j {
                let positive = rest > 8.0 * f64::EPSILON * q[j * d + j];
                regular &= positive;
                l[j * d + j] = if positive { rest.sqrt() } else { 0.0 };
            } else if l[j * d + j] > 0.0 {
                l[i * d + j] = rest / l[j * d + j];
            }
        }
    }
    regular
}

/// z ← L⁻¹ z.
pub(super) fn solve_lower(l: &[f64], z: &mut [f64]) {
    let d = z.len();
    for i in 0..d {
        let row = &l[i * d..i * d + i];
        let sum: f64 = row.iter().zip(&*z).map(|(l, z)| l * z).sum();
        z[i] = (z[i] - sum) / l[i * d + i];
    }
}

/// z ← U⁻¹ z.
pub(super) fn solve_upper(u: &[f64], z: &mut [f64]) {
    let d = z.len();
    for i in (0..d).rev() {
        let row = &u[i * d + i + 1..(i + 1) * d];
        let sum: f64 = row.iter().zip(&z[i + 1..]).map(|(u, z)| u * z).sum();
        z[i] = (z[i] - sum) / u[i * d + i];
    }
}
