//! One step back in time, as a solver sees it: times, fields, noise.

use crate::chains::{matrix, matrix_mut};
use ndarray::{Array1, ArrayView2, s};
use retrograde_core::{Cx, Field, Form, ForwardProcess, Result, Times};

/// A step of a reverse run, with the fields that move rows and whatever rides along with them.
///
/// A row has d coordinates, k tangents of d numbers each, and perhaps one log density. Fields act on
/// coordinates by their value and on tangents by their Jacobian, so that a solver which forms linear
/// combinations of rows and fields moves tangents rightly without knowing of them. On the log density
/// they act by minus their divergence, as a density is carried along.
pub(crate) struct Leg<'a> {
    pub(crate) field: Field<'a>,
    /// Time before the step.
    pub(crate) t: f64,
    /// Time after it, `to` < `t`.
    pub(crate) to: f64,
    /// Time before the step before, if there was one.
    pub(crate) before: Option<f64>,
    /// Number of the step, from 0.
    pub(crate) index: usize,
    /// Steps in all.
    pub(crate) steps: usize,
    pub(crate) d: usize,
    /// Tangents of a row.
    pub(crate) tangents: usize,
    /// How the divergence is found for the log density that rides along.
    pub(crate) trace: Option<Trace>,
    /// Parts that noise is summed from, so that runs of more steps can share it.
    pub(crate) noise_parts: std::ops::Range<u64>,
}

/// How a divergence is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trace {
    Exact,
    /// By one tangent of random signs, new in each step.
    Hutchinson,
}

impl<'a> Leg<'a> {
    pub(crate) fn process(&self) -> &'a dyn ForwardProcess {
        self.field.process
    }

    /// Length of the step, > 0.
    pub(crate) fn h(&self) -> f64 {
        self.t - self.to
    }

    /// Numbers of a row.
    pub(crate) fn width(&self) -> usize {
        self.d * (1 + self.tangents) + usize::from(self.trace.is_some())
    }

    pub(crate) fn is_last(&self) -> bool {
        self.index + 1 == self.steps
    }

    /// α and √C of the (scalar) linear process at a time.
    pub(crate) fn alpha_sigma(&self, t: f64) -> (f64, f64) {
        let linear = self.process().linear().expect("checked when it was built");
        debug_assert_eq!(linear.form(), Form::Scalar);
        linear.scalar(t)
    }

    /// The velocity v = f − ½ w of the probability flow.
    pub(crate) fn velocity(&self, cx: &mut Cx<'_>, t: f64, x: &[f64], v: &mut [f64]) -> Result {
        let mut w = cx.take(x.len());
        self.parts(cx, t, x, v, &mut w)?;
        v.iter_mut().zip(&w).for_each(|(v, w)| *v -= 0.5 * w);
        cx.give(w);
        Ok(())
    }

    /// The parts f and w = ∇·D + D s of all fields. One score call.
    pub(crate) fn parts(
        &self,
        cx: &mut Cx<'_>,
        t: f64,
        x: &[f64],
        f: &mut [f64],
        w: &mut [f64],
    ) -> Result {
        let (d, width, times) = (self.d, self.width(), Times::Shared(t));
        if width == d {
            return self
                .field
                .parts(cx, times, matrix(x, d), matrix_mut(f, d), matrix_mut(w, d));
        }
        let n = x.len() / width;
        let [mut a, mut b, mut c] = std::array::from_fn(|_| cx.take(n * d));
        matrix_mut(&mut a, d).assign(&matrix(x, width).slice(s![.., ..d]));
        let points = matrix(&a, d);
        let (mut f, mut w) = (matrix_mut(f, width), matrix_mut(w, width));
        self.field.parts(
            cx,
            times,
            points,
            matrix_mut(&mut b, d),
            matrix_mut(&mut c, d),
        )?;
        f.slice_mut(s![.., ..d]).assign(&matrix(&b, d));
        w.slice_mut(s![.., ..d]).assign(&matrix(&c, d));
        if self.tangents > 0 {
            let m = d * self.tangents;
            let [mut tau, mut df, mut dw] = std::array::from_fn(|_| cx.take(n * m));
            matrix_mut(&mut tau, m).assign(&matrix(x, width).slice(s![.., d..d + m]));
            self.field.parts_jvp(
                cx,
                times,
                points,
                matrix(&tau, m),
                matrix_mut(&mut df, m),
                matrix_mut(&mut dw, m),
            )?;
            f.slice_mut(s![.., d..d + m]).assign(&matrix(&df, m));
            w.slice_mut(s![.., d..d + m]).assign(&matrix(&dw, m));
            [tau, df, dw].into_iter().for_each(|v| cx.give(v));
        }
        if let Some(trace) = self.trace {
            let mut probe = cx.take(n * d);
            let probe_view = self.probe(cx, trace, &mut probe);
            let mut div = Array1::from(cx.take(n));
            // Of f alone, and of w as what is left.
            for (factor, out) in [(0.0, &mut f), (1.0, &mut w)] {
                self.field
                    .divergence(cx, times, points, factor, probe_view, div.view_mut())?;
                let mut column = out.column_mut(width - 1);
                column.zip_mut_with(&div, |o, v| *o = -v);
            }
            for (f, w) in f.column(width - 1).iter().zip(w.column_mut(width - 1)) {
                *w -= f;
            }
            cx.give(div.into_raw_vec_and_offset().0);
            cx.give(probe);
        }
        [a, b, c].into_iter().for_each(|v| cx.give(v));
        Ok(())
    }

    /// Random signs, the same in all stages of a step.
    fn probe<'b>(
        &self,
        cx: &mut Cx<'_>,
        trace: Trace,
        buffer: &'b mut [f64],
    ) -> Option<ArrayView2<'b, f64>> {
        if trace == Trace::Exact {
            return None;
        }
        cx.at("probe", 0).fill_normal(matrix_mut(buffer, self.d));
        buffer.iter_mut().for_each(|v| *v = v.signum());
        Some(matrix(buffer, self.d))
    }

    /// The score, on tangents its Jacobian.
    pub(crate) fn score(&self, cx: &mut Cx<'_>, t: f64, x: &[f64], out: &mut [f64]) -> Result {
        let (d, width, times) = (self.d, self.width(), Times::Shared(t));
        if width == d {
            return cx.eval_score(self.field.score, times, matrix(x, d), matrix_mut(out, d));
        }
        let (n, m) = (x.len() / width, d * self.tangents);
        let [mut a, mut b] = std::array::from_fn(|_| cx.take(n * d));
        let [mut tau, mut ds] = std::array::from_fn(|_| cx.take(n * m));
        matrix_mut(&mut a, d).assign(&matrix(x, width).slice(s![.., ..d]));
        matrix_mut(&mut tau, m).assign(&matrix(x, width).slice(s![.., d..d + m]));
        let mut out = matrix_mut(out, width);
        cx.eval_score(
            self.field.score,
            times,
            matrix(&a, d),
            matrix_mut(&mut b, d),
        )?;
        out.slice_mut(s![.., ..d]).assign(&matrix(&b, d));
        self.field.score_jvp(
            cx,
            times,
            matrix(&a, d),
            matrix(&tau, m),
            matrix_mut(&mut ds, m),
        )?;
        out.slice_mut(s![.., d..d + m]).assign(&matrix(&ds, m));
        [a, b, tau, ds].into_iter().for_each(|v| cx.give(v));
        Ok(())
    }

    /// g² of a process with G = g(t) I.
    pub(crate) fn g2(&self, cx: &mut Cx<'_>, t: f64) -> Result<f64> {
        let d = self.d;
        let [mut one, mut out] = std::array::from_fn(|_| cx.take(d));
        one.fill(1.0);
        let (at, x) = (Times::Shared(t), matrix(&one, d));
        self.process()
            .apply_ggt(cx, at, x, x, matrix_mut(&mut out, d))?;
        let g2 = out[0];
        [one, out].into_iter().for_each(|v| cx.give(v));
        Ok(g2)
    }

    /// Standard normals for the rows, n × m, `m` numbers a row.
    pub(crate) fn noise(&self, cx: &mut Cx<'_>, z: &mut [f64], m: usize) {
        let parts = self.noise_parts.clone();
        let count = parts.end - parts.start;
        cx.at("noise", parts.start).fill_normal(matrix_mut(z, m));
        if count == 1 {
            return;
        }
        let mut more = cx.take(z.len());
        for part in parts.start + 1..parts.end {
            cx.at("noise", part).fill_normal(matrix_mut(&mut more, m));
            z.iter_mut().zip(&more).for_each(|(z, m)| *z += m);
        }
        cx.give(more);
        let scale = (count as f64).sqrt().recip();
        z.iter_mut().for_each(|z| *z *= scale);
    }
}

/// y ← y + Σ cᵢ uᵢ, number by number.
pub(crate) fn add(y: &mut [f64], terms: &[(f64, &[f64])]) {
    for (c, u) in terms {
        y.iter_mut().zip(*u).for_each(|(y, u)| *y += c * u);
    }
}
