//! The equation in time, and the splines.

use super::{Grid, NAME};
use ndarray::{Array1, Array2};
use retrograde_core::{Cx, Error, ForwardProcess, Result, Times};

/// Steps that are made of two half steps of backward Euler.
const EULER: usize = 4;

/// Gauss–Legendre on [−1, 1].
const NODES: [f64; 5] = [
    -0.906_179_845_938_664,
    -0.538_469_310_105_683_1,
    0.0,
    0.538_469_310_105_683_1,
    0.906_179_845_938_664,
];
const WEIGHTS: [f64; 5] = [
    0.236_926_885_056_189_08,
    0.478_628_670_499_366_47,
    0.568_888_888_888_888_9,
    0.478_628_670_499_366_47,
    0.236_926_885_056_189_08,
];

/// z/(e^z − 1).
fn bernoulli(z: f64) -> f64 {
    if z.abs() < 1e-8 {
        1.0 - 0.5 * z
    } else {
        z / z.exp_m1()
    }
}

/// Flux between cells i and i + 1: `from[i]` pᵢ − `back[i]` pᵢ₊₁, divided by Δ.
struct Fluxes {
    from: Vec<f64>,
    back: Vec<f64>,
}

/// Coefficients at a time.
fn fluxes(cx: &mut Cx<'_>, process: &dyn ForwardProcess, grid: Grid, t: f64) -> Result<Fluxes> {
    let edges = grid.cells - 1;
    let x = Array2::from_shape_fn((5 * edges, 1), |(i, _)| {
        let middle = grid.centre(i / 5) + 0.5 * grid.width;
        middle + 0.5 * grid.width * NODES[i % 5]
    });
    let one = Array2::ones(x.dim());
    let [mut f, mut d, mut slope] = std::array::from_fn(|_| Array2::zeros(x.dim()));
    let now = Times::Shared(t);
    process.drift(cx, now, x.view(), f.view_mut())?;
    process.apply_ggt(cx, now, x.view(), one.view(), d.view_mut())?;
    if let Some(div) = process.div_ggt() {
        div.div_ggt(cx, now, x.view(), slope.view_mut())?;
    }
    let bad = |i: &usize| {
        let d: f64 = d[(*i, 0)];
        !(d > 0.0 && d.is_finite() && f[(*i, 0)].is_finite() && slope[(*i, 0)].is_finite())
    };
    if let Some(i) = (0..5 * edges).find(bad) {
        return Err(Error::Breakdown {
            component: NAME.into(),
            message: format!(
                "at x = {}, t = {t} the process has drift {} and GGᵀ = {}",
                x[(i, 0)],
                f[(i, 0)],
                d[(i, 0)]
            ),
            advice: "choose `lower` and `upper` where the noise is positive and both are finite"
                .into(),
        });
    }
    let (mut from, mut back) = (Vec::with_capacity(edges), Vec::with_capacity(edges));
    for edge in 0..edges {
        let (mut w, mut inverse) = (0.0, 0.0);
        for (i, weight) in (5 * edge..).zip(WEIGHTS) {
            let half = 0.5 * d[(i, 0)];
            w += 0.5 * weight * (f[(i, 0)] - 0.5 * slope[(i, 0)]) / half;
            inverse += 0.5 * weight / half;
        }
        let w = w * grid.width;
        let scale = 1.0 / (inverse * grid.width * grid.width);
        from.push(scale * bernoulli(-w));
        back.push(scale * bernoulli(w));
    }
    Ok(Fluxes { from, back })
}

/// Buffers of the tridiagonal solver.
struct Work {
    upper: Vec<f64>,
    right: Vec<f64>,
}

impl Fluxes {
    /// (I − θ h A)⁻¹ (I + (1 − θ) h A) p, where ∂ₜp = A p.
    fn step(&self, p: &mut [f64], h: f64, theta: f64, work: &mut Work) {
        let n = p.len();
        let (implicit, explicit) = (theta * h, (1.0 - theta) * h);
        let flux = |p: &[f64], i: usize| self.from[i] * p[i] - self.back[i] * p[i + 1];
        for i in 0..n {
            let mut change = 0.0;
            if explicit > 0.0 {
                change -= if i + 1 < n { flux(p, i) } else { 0.0 };
                change += if i > 0 { flux(p, i - 1) } else { 0.0 };
            }
            work.right[i] = p[i] + explicit * change;
        }
        // Thomas; the matrix has positive diagonal and negative sides, and columns that sum to 1.
        for i in 0..n {
            let lower = if i > 0 {
                -implicit * self.from[i - 1]
            } else {
                0.0
            };
            let upper = if i + 1 < n {
                -implicit * self.back[i]
            } else {
                0.0
            };
            let out = if i + 1 < n { self.from[i] } else { 0.0 };
            let out = out + if i > 0 { self.back[i - 1] } else { 0.0 };
            let mut diagonal = 1.0 + implicit * out;
            if i > 0 {
                diagonal -= lower * work.upper[i - 1];
                work.right[i] -= lower * work.right[i - 1];
            }
            work.upper[i] = upper / diagonal;
            work.right[i] /= diagonal;
        }
        p[n - 1] = work.right[n - 1];
        for i in (0..n - 1).rev() {
            p[i] = work.right[i] - work.upper[i] * p[i + 1];
        }
    }
}

/// Densities at all `times` (rising, from 0), times × cells.
pub(super) fn march(
    cx: &mut Cx<'_>,
    process: &dyn ForwardProcess,
    grid: Grid,
    times: &[f64],
    start: Array1<f64>,
) -> Result<Array2<f64>> {
    let mut levels = Array2::zeros((times.len(), grid.cells));
    levels.row_mut(0).assign(&start);
    let mut p = start.to_vec();
    let mut work = Work {
        upper: vec![0.0; grid.cells],
        right: vec![0.0; grid.cells],
    };
    let steady = process.autonomous();
    let mut coefficients = fluxes(cx, process, grid, 0.5 * times[1])?;
    for (k, step) in times.windows(2).enumerate() {
        cx.check_cancelled()?;
        let (t, h) = (step[0], step[1] - step[0]);
        if k < EULER {
            for half in [0.5, 1.0] {
                if !steady {
                    coefficients = fluxes(cx, process, grid, t + half * h)?;
                }
                coefficients.step(&mut p, 0.5 * h, 1.0, &mut work);
            }
        } else {
            if !steady {
                coefficients = fluxes(cx, process, grid, t + 0.5 * h)?;
            }
            coefficients.step(&mut p, h, 0.5, &mut work);
        }
        levels.row_mut(k + 1).assign(&ndarray::aview1(&p));
    }
    Ok(levels)
}

/// Second derivatives of the cubic spline through equidistant values, parabolic in the end intervals.
pub(super) fn spline(y: &[f64], h: f64) -> Vec<f64> {
    let n = y.len();
    let mut m = vec![0.0; n];
    if n < 4 {
        return m;
    }
    // mᵢ₋₁ + 4 mᵢ + mᵢ₊₁ = 6 δ²y/h², with m₀ = m₁ and mₙ₋₁ = mₙ₋₂.
    let mut factor = vec![0.0; n];
    for i in 1..n - 1 {
        let right = 6.0 * (y[i - 1] - 2.0 * y[i] + y[i + 1]) / (h * h);
        let diagonal = if i == 1 || i == n - 2 { 5.0 } else { 4.0 };
        let (before, carried) = if i > 1 {
            (m[i - 1], factor[i - 1])
        } else {
            (0.0, 0.0)
        };
        let pivot = diagonal - carried;
        factor[i] = 1.0 / pivot;
        m[i] = (right - before) / pivot;
    }
    for i in (1..n - 2).rev() {
        m[i] -= factor[i] * m[i + 1];
    }
    m[0] = m[1];
    m[n - 1] = m[n - 2];
    m
}
