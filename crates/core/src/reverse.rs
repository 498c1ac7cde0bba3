//! What runs a forward process backwards, assembled from its drift, its noise and a score.
//!
//! D = G Gᵀ,   (∇·D)ᵢ = Σⱼ ∂ⱼDᵢⱼ,   w = ∇·D + D s
//!
//! | field | |
//! | --- | --- |
//! | probability flow (same marginals, no noise) | v = f − ½ w |
//! | drift of the reverse diffusion, noise G dW̄ | f − w |
//!
//! Anderson (1982), Stochastic Process. Appl. 12, 313; Song et al. (2021), arXiv:2011.13456, app. D.
//! Sampling runs from t = T down to 0, so that a step of length h moves by −h times a field.

use crate::{Cx, Error, ForwardProcess, Result, Score, Times, Traits};
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};

/// A process with a score: the two parts f and w of every reverse-time field.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    /// The forward process.
    pub process: &'a dyn ForwardProcess,
    /// The score of its marginals.
    pub score: &'a dyn Score,
}

impl std::fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Field")
            .field("dim", &self.process.dim())
            .finish_non_exhaustive()
    }
}

/// Step of the central differences of a Jacobian, relative to 1 + |x|: the fifth root of the rounding
/// error, for a stencil of fourth order.
const DIFFERENCE: f64 = 7e-4;

impl<'a> Field<'a> {
    /// The weaker of the classes of process and score.
    #[must_use]
    pub fn traits(&self) -> Traits {
        self.process.traits().and(self.score.traits())
    }

    /// Writes the drift f and w = ∇·D + D s at time t and the rows of `x`; all n × d. One score call.
    ///
    /// # Errors
    /// What the process and the score return; [`Error::Missing`] where G depends on x and the process
    /// has no ∇·D.
    pub fn parts(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        f: ArrayViewMut2<'_, f64>,
        mut w: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.process.drift(cx, t, x, f)?;
        let (n, d) = x.dim();
        let mut buffer = cx.take(n * d);
        let mut s = matrix_mut(&mut buffer, n, d);
        cx.eval_score(self.score, t, x, s.view_mut())?;
        self.weigh(cx, t, x, s.view(), w.view_mut())?;
        cx.give(buffer);
        Ok(())
    }

    /// Writes w = ∇·D + D s from a score `s` that is known already; all n × d.
    ///
    /// # Errors
    /// As [`parts`](Field::parts).
    pub fn weigh(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        s: ArrayView2<'_, f64>,
        mut w: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.process.apply_ggt(cx, t, x, s, w.view_mut())?;
        if self.process.g_constant_in_x() {
            return Ok(());
        }
        let Some(div) = self.process.div_ggt() else {
            return Err(Error::Missing {
                component: "the reverse-time field".into(),
                needed: "the divergence of GGᵀ, since G depends on x".into(),
                holder: "the process".into(),
                advice: "implement `div_ggt`".into(),
            });
        };
        let (n, d) = x.dim();
        let mut buffer = cx.take(n * d);
        let mut out = matrix_mut(&mut buffer, n, d);
        div.div_ggt(cx, t, x, out.view_mut())?;
        w += &out;
        cx.give(buffer);
        Ok(())
    }

    /// Writes the velocity f − ½ w of the probability flow; x and v are n × d.
    ///
    /// # Errors
    /// As [`parts`](Field::parts).
    pub fn velocity(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.combine(cx, t, x, -0.5, v)
    }

    /// Writes the drift f − w of the reverse diffusion; x and b are n × d.
    ///
    /// # Errors
    /// As [`parts`](Field::parts).
    pub fn reverse_drift(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        b: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.combine(cx, t, x, -1.0, b)
    }

    fn combine(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        factor: f64,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (n, d) = x.dim();
        let mut buffer = cx.take(n * d);
        let mut w = matrix_mut(&mut buffer, n, d);
        self.parts(cx, t, x, out.view_mut(), w.view_mut())?;
        out.zip_mut_with(&w, |f, w| *f += factor * w);
        cx.give(buffer);
        Ok(())
    }

    /// Whether [`parts_jvp`](Field::parts_jvp) is exact, and not by differences.
    #[must_use]
    pub fn exact_jvp(&self) -> bool {
        self.process.g_constant_in_x()
            && self.process.drift_jvp().is_some()
            && self.score.jvp().is_some()
    }

    /// Writes (∂f/∂x) τ and (∂w/∂x) τ for k tangents τ a row: `tangents`, `df` and `dw` are n × (d k),
    /// tangent j of a row in its columns j d..(j+1) d. Exact where [`exact_jvp`](Field::exact_jvp)
    /// says so, else by central differences of fourth order, good to about ten digits.
    ///
    /// Counts k score evaluations a row, or 4 k by differences.
    ///
    /// # Errors
    /// As [`parts`](Field::parts).
    pub fn parts_jvp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        tangents: ArrayView2<'_, f64>,
        mut df: ArrayViewMut2<'_, f64>,
        mut dw: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (n, d) = x.dim();
        let k = tangents.ncols() / d;
        if let (true, Some(drift)) = (self.exact_jvp(), self.process.drift_jvp()) {
            let mut buffer = cx.take(n * d * k);
            let mut ds = matrix_mut(&mut buffer, n, d * k);
            cx.eval_score_jvp(self.score, t, x, tangents, ds.view_mut())?;
            // Processes take dense views.
            let [mut a, mut b] = std::array::from_fn(|_| cx.take(n * d));
            for j in 0..k {
                let columns = ndarray::s![.., j * d..(j + 1) * d];
                let (mut from, mut to) = (matrix_mut(&mut a, n, d), matrix_mut(&mut b, n, d));
                from.assign(&tangents.slice(columns));
                drift.drift_jvp(cx, t, x, from.view(), to.view_mut())?;
                df.slice_mut(columns).assign(&to);
                from.assign(&ds.slice(columns));
                self.process
                    .apply_ggt(cx, t, x, from.view(), to.view_mut())?;
                dw.slice_mut(columns).assign(&to);
            }
            for buffer in [buffer, a, b] {
                cx.give(buffer);
            }
            return Ok(());
        }
        df.fill(0.0);
        dw.fill(0.0);
        let [mut b, mut c] = std::array::from_fn(|_| cx.take(n * d));
        self.differences(cx, x, tangents, |cx, y, weigh| {
            let (mut f, mut w) = (matrix_mut(&mut b, n, d), matrix_mut(&mut c, n, d));
            self.parts(cx, t, y, f.view_mut(), w.view_mut())?;
            weigh(f.view(), df.view_mut());
            weigh(w.view(), dw.view_mut());
            Ok(())
        })?;
        [b, c].into_iter().for_each(|v| cx.give(v));
        Ok(())
    }

    /// Writes (∂s/∂x) τ for k tangents a row, laid out and computed as by
    /// [`parts_jvp`](Field::parts_jvp).
    ///
    /// # Errors
    /// What the score returns.
    pub fn score_jvp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        tangents: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        if self.score.jvp().is_some() {
            return cx.eval_score_jvp(self.score, t, x, tangents, out);
        }
        out.fill(0.0);
        let (n, d) = x.dim();
        let mut b = cx.take(n * d);
        self.differences(cx, x, tangents, |cx, y, weigh| {
            let mut s = matrix_mut(&mut b, n, d);
            cx.eval_score(self.score, t, y, s.view_mut())?;
            weigh(s.view(), out.view_mut());
            Ok(())
        })?;
        cx.give(b);
        Ok(())
    }

    /// Central differences of fourth order along the tangents: `eval` is called at each point y of
    /// the stencil, and hands its values on with the array they are added to.
    fn differences(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        tangents: ArrayView2<'_, f64>,
        mut eval: impl FnMut(
            &mut Cx<'_>,
            ArrayView2<'_, f64>,
            &dyn Fn(ArrayView2<'_, f64>, ArrayViewMut2<'_, f64>),
        ) -> Result,
    ) -> Result {
        let (n, d) = x.dim();
        let mut a = cx.take(n * d);
        for j in 0..tangents.ncols() / d {
            let columns = ndarray::s![.., j * d..(j + 1) * d];
            let tau = tangents.slice(columns);
            for (offset, weight) in [(1.0, 8.0), (-1.0, -8.0), (2.0, -1.0), (-2.0, 1.0)] {
                let mut y = matrix_mut(&mut a, n, d);
                for r in 0..n {
                    let step = offset * difference(x.row(r), tau.row(r));
                    for i in 0..d {
                        y[(r, i)] = step.mul_add(tau[(r, i)], x[(r, i)]);
                    }
                }
                eval(cx, y.view(), &|values, mut out| {
                    for r in 0..n {
                        let scale = weight / (12.0 * difference(x.row(r), tau.row(r)));
                        let mut out = out.slice_mut(ndarray::s![r, j * d..(j + 1) * d]);
                        out.scaled_add(scale, &values.row(r));
                    }
                })?;
            }
        }
        cx.give(a);
        Ok(())
    }

    /// Writes (n) the divergences of f and of w, in sum: ∇·f + `factor` ∇·w. Exactly by d tangents a
    /// row, or estimated by `probe` (n × d), random signs or normals u with E u uᵀ = I: uᵀ (∂/∂x) u.
    ///
    /// # Errors
    /// As [`parts`](Field::parts).
    pub fn divergence(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        factor: f64,
        probe: Option<ArrayView2<'_, f64>>,
        mut out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        let (n, d) = x.dim();
        let k = if probe.is_some() { 1 } else { d };
        let [mut a, mut b, mut c] = std::array::from_fn(|_| cx.take(n * d * k));
        let mut tangents = matrix_mut(&mut a, n, d * k);
        match probe {
            Some(u) => tangents.assign(&u),
            None => {
                tangents.fill(0.0);
                (0..d).for_each(|j| tangents.column_mut(j * d + j).fill(1.0));
            }
        }
        let (mut df, mut dw) = (matrix_mut(&mut b, n, d * k), matrix_mut(&mut c, n, d * k));
        self.parts_jvp(cx, t, x, tangents.view(), df.view_mut(), dw.view_mut())?;
        for r in 0..n {
            out[r] = (0..d * k)
                .map(|i| tangents[(r, i)] * factor.mul_add(dw[(r, i)], df[(r, i)]))
                .sum();
        }
        for buffer in [a, b, c] {
            cx.give(buffer);
        }
        Ok(())
    }
}

/// Length of the step along a tangent.
fn difference(x: ArrayView1<'_, f64>, tangent: ArrayView1<'_, f64>) -> f64 {
    let largest = |v: ArrayView1<'_, f64>| v.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let length = largest(tangent);
    if length > 0.0 {
        DIFFERENCE * (1.0 + largest(x)) / length
    } else {
        DIFFERENCE
    }
}

fn matrix_mut(buffer: &mut [f64], n: usize, d: usize) -> ArrayViewMut2<'_, f64> {
    ArrayViewMut2::from_shape((n, d), buffer).expect("a buffer of n d numbers")
}
