//! Draws from posteriors q(y | c) ∝ ρ(y) exp(−‖c − a y‖²/(2v)) for many c at once, `chains` draws each, in
//! coordinates that a base N(m, s²) whitens: x = m + s∘y.
//!
//! Log densities are kept relative to (2π)^{−d/2}: l(y) = ℓ(m + s∘y) + Σ ln s + (d/2) ln 2π, so that
//! l + ‖y‖²/2 is ln of the ratio of target and base.

pub(crate) mod anneal;
#[cfg(test)]
pub(crate) mod cases;
pub(crate) mod chains;
pub(crate) mod end;
pub(crate) mod led;

use crate::chains::{FAR, Gaussian, dense, dense_mut, matrix, matrix_mut};
use ndarray::{ArrayView1, ArrayViewMut1};
use retrograde_core::{BLOCK, Cx, Result, Target};

/// Numbers that the buffers of a run of rows hold at most, each: 8 MiB.
const BUFFER: usize = 1 << 20;

/// The target in whitened coordinates.
#[derive(Clone, Copy)]
pub(crate) struct Whitened<'a> {
    pub(crate) target: &'a dyn Target,
    pub(crate) base: &'a Gaussian,
}

impl Whitened<'_> {
    pub(crate) fn dim(&self) -> usize {
        self.base.mean.len()
    }

    /// Takes points `y` (rows of d) to the coordinates of the target. What is too far away to be a
    /// point becomes NaN, which has no mass and is held against nobody.
    pub(crate) fn place(&self, y: &[f64], x: &mut [f64]) {
        let (m, s) = (&self.base.mean, &self.base.sd);
        let d = self.dim();
        for (x, y) in x.chunks_exact_mut(d).zip(y.chunks_exact(d)) {
            let mut near = true;
            for j in 0..d {
                x[j] = m[j] + s[j] * y[j];
                near &= x[j].abs() < FAR;
            }
            if !near {
                x.fill(f64::NAN);
            }
        }
    }

    /// Log densities and slopes at `y`, whichever are asked for.
    pub(crate) fn evaluate(
        &self,
        cx: &mut Cx<'_>,
        y: &[f64],
        mut l: Option<&mut [f64]>,
        mut g: Option<&mut [f64]>,
    ) -> Result {
        let d = self.dim();
        let mut x = cx.take(y.len());
        let parts = (matrix(y, d), matrix_mut(&mut x, d));
        cx.rows(y.len() / d, parts, |_, _, (y, x)| {
            self.place(dense(&y), dense_mut(x));
            Ok(())
        })?;
        let value = l.as_deref_mut().map(ArrayViewMut1::from);
        let slope = g.as_deref_mut().map(|g| matrix_mut(g, d));
        cx.eval_target(self.target, matrix(&x, d), value, slope)?;
        cx.give(x);
        if let Some(l) = l {
            l.iter_mut().for_each(|l| *l += self.base.log_normaliser);
        }
        if let Some(g) = g {
            for row in g.chunks_exact_mut(d) {
                row.iter_mut().zip(&self.base.sd).for_each(|(g, s)| *g *= s);
            }
        }
        Ok(())
    }

    /// Rows c of a run, of which each has `chains` draws: so many that buffers stay small, and whole
    /// blocks of rows.
    pub(crate) fn run(&self, n: usize, chains: usize) -> usize {
        if self.target.traits().rowwise {
            let row = self.dim().saturating_mul(chains).max(1);
            (BUFFER / row / BLOCK).max(1) * BLOCK
        } else {
            n.max(1)
        }
    }
}

/// The law that draws are moved under, up to a constant:
/// ln q(y | c) = β l(y) − ½ `prior` ‖y‖² − ‖c − a y‖²/(2v).
#[derive(Clone, Copy)]
pub(crate) struct Posterior {
    pub(crate) a: f64,
    pub(crate) v: f64,
    pub(crate) beta: f64,
    pub(crate) prior: f64,
}

impl Posterior {
    /// The posterior itself.
    pub(crate) fn of(a: f64, v: f64) -> Self {
        Self {
            a,
            v,
            beta: 1.0,
            prior: 0.0,
        }
    }

    /// Variance of the posterior if the target were the base: the unit of the step sizes.
    pub(crate) fn unit(&self) -> f64 {
        1.0 / (1.0 + self.a * self.a / self.v)
    }

    #[inline]
    fn value(&self, c: &[f64], y: &[f64], l: f64) -> f64 {
        let (mut far, mut off) = (0.0, 0.0);
        for (c, y) in c.iter().zip(y) {
            far += y * y;
            off += (c - self.a * y) * (c - self.a * y);
        }
        self.beta * l - 0.5 * (self.prior * far + off / self.v)
    }

    /// −‖c − a y‖²/(2v).
    pub(crate) fn link(&self, c: &[f64], y: &[f64]) -> f64 {
        let off = c.iter().zip(y).map(|(c, y)| (c - self.a * y).powi(2));
        -0.5 * off.sum::<f64>() / self.v
    }

    #[inline]
    fn slope(&self, c: f64, y: f64, g: f64) -> f64 {
        self.beta * g - self.prior * y + self.a * (c - self.a * y) / self.v
    }
}

/// What a test breaks, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Fault {
    None,
    /// Moves accept whatever they propose.
    NoCorrection,
    /// Acceptance by the ratio of densities alone.
    NoProposalRatio,
}

/// Draws with log densities and slopes, `chains` rows for each c.
pub(crate) struct Points<'a> {
    pub(crate) y: &'a mut [f64],
    pub(crate) l: &'a mut [f64],
    pub(crate) g: &'a mut [f64],
}

impl<'a> Points<'a> {
    /// The first `rows` rows, and the rest.
    pub(crate) fn split(self, rows: usize, d: usize) -> (Self, Self) {
        let (y, y2) = self.y.split_at_mut(rows * d);
        let (l, l2) = self.l.split_at_mut(rows);
        let (g, g2) = self.g.split_at_mut(rows * d);
        (
            Self { y, l, g },
            Self {
                y: y2,
                l: l2,
                g: g2,
            },
        )
    }
}

/// A Metropolis-adjusted Langevin move of draws of posteriors.
pub(crate) struct Move<'a> {
    pub(crate) white: Whitened<'a>,
    pub(crate) law: Posterior,
    /// Draws of each c.
    pub(crate) chains: usize,
    pub(crate) fault: Fault,
}

impl Move<'_> {
    /// Moves the draws of the rows `c`; `step` has a step size for each draw, `acceptance` gets the
    /// probability with which it was to move. Random numbers are those of `cx`, which must be of this
    /// move alone.
    pub(crate) fn apply(
        &self,
        cx: &mut Cx<'_>,
        c: &[f64],
        points: &mut Points<'_>,
        step: &[f64],
        acceptance: &mut [f64],
    ) -> Result {
        let d = self.white.dim();
        let n = points.l.len();
        let (law, unit) = (self.law, self.law.unit());
        let of = |row: usize| {
            let at = row / self.chains * d;
            &c[at..at + d]
        };
        let [mut y, mut g] = std::array::from_fn(|_| cx.take(n * d));
        let mut l = cx.take(n);
        // `acceptance` carries ½‖z‖² = −ln of the proposal's density from one pass to the other.
        let parts = (
            matrix(points.y, d),
            matrix(points.g, d),
            ArrayView1::from(step),
            matrix_mut(&mut y, d),
            ArrayViewMut1::from(&mut *acceptance),
        );
        cx.rows(n, parts, |cx, range, (x, g, step, mut y, forward)| {
            cx.at("noise", 0).fill_normal(y.view_mut());
            let rows = dense(&x).chunks_exact(d).zip(dense(&g).chunks_exact(d));
            let rows = rows.zip(dense_mut(y).chunks_exact_mut(d));
            let rows = rows.zip(step).zip(forward);
            for (i, ((((x, g), y), h), forward)) in rows.enumerate() {
                let c = of(range.start + i);
                let (h, mut squares) = (h * unit, 0.0);
                let noise = (2.0 * h).sqrt();
                for j in 0..d {
                    let z = y[j];
                    squares += z * z;
                    y[j] = x[j] + h * law.slope(c[j], x[j], g[j]) + noise * z;
                }
                *forward = 0.5 * squares;
            }
            Ok(())
        })?;
        self.white.evaluate(cx, &y, Some(&mut l), Some(&mut g))?;
        let parts = (
            (matrix_mut(points.y, d), matrix_mut(points.g, d)),
            ArrayViewMut1::from(&mut *points.l),
            ArrayView1::from(step),
            (matrix(&y, d), matrix(&g, d), ArrayView1::from(&l[..])),
            ArrayViewMut1::from(acceptance),
        );
        cx.rows(
            n,
            parts,
            |cx, range, ((x, g), mut l, step, (y, gy, ly), mut a)| {
                let mut uniform = cx.take(l.len());
                cx.at("accept", 0)
                    .fill_uniform_1(ArrayViewMut1::from(&mut uniform[..]));
                let (x, g, y, gy) = (dense_mut(x), dense_mut(g), dense(&y), dense(&gy));
                for (i, u) in uniform.iter().enumerate() {
                    let c = of(range.start + i);
                    let h = step[i] * unit;
                    let at = i * d..(i + 1) * d;
                    let (x, g) = (&mut x[at.clone()], &mut g[at.clone()]);
                    let (y, gy) = (&y[at.clone()], &gy[at]);
                    a[i] = if ly[i] == f64::NEG_INFINITY {
                        0.0
                    } else {
                        let mut squares = 0.0;
                        for j in 0..d {
                            let z = x[j] - y[j] - h * law.slope(c[j], y[j], gy[j]);
                            squares += z * z;
                        }
                        let q = a[i] - squares / (4.0 * h);
                        let rho = law.value(c, y, ly[i]) - law.value(c, x, l[i]);
                        match self.fault {
                            Fault::None => (rho + q).min(0.0).exp(),
                            Fault::NoCorrection => 1.0,
                            Fault::NoProposalRatio => rho.min(0.0).exp(),
                        }
                    };
                    if *u < a[i] {
                        x.copy_from_slice(y);
                        g.copy_from_slice(gy);
                        l[i] = ly[i];
                    }
                }
                cx.give(uniform);
                Ok(())
            },
        )?;
        cx.give(l);
        cx.give(g);
        cx.give(y);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
