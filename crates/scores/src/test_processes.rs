//! Small processes for the tests of this crate, which may not see those of `processes`.

use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::{Cx, DivGgt, Form, ForwardProcess, Linear, Result, Times, Warp};
use std::f64::consts::TAU;

/// dX = −R X dt + g dW with a symmetric R: the same number for all coordinates, one for each, or a
/// rotated diagonal in two dimensions.
pub(crate) struct Ou {
    form: Form,
    rates: Vec<f64>,
    angle: f64,
    g2: f64,
    reference: f64,
}

impl Ou {
    /// Stationary law N(0, I).
    pub(crate) fn scalar(d: usize, rate: f64) -> Self {
        Self {
            form: Form::Scalar,
            rates: vec![rate; d],
            angle: 0.0,
            g2: 2.0 * rate,
            reference: 1.0,
        }
    }

    pub(crate) fn diagonal(rates: &[f64], g2: f64) -> Self {
        Self {
            form: Form::Diagonal,
            rates: rates.to_vec(),
            angle: 0.0,
            g2,
            reference: 1.0,
        }
    }

    pub(crate) fn rotated(rates: [f64; 2], angle: f64, g2: f64) -> Self {
        Self {
            form: Form::Dense,
            rates: rates.to_vec(),
            angle,
            g2,
            reference: 1.0,
        }
    }

    pub(crate) fn with_reference(mut self, factor: f64) -> Self {
        self.reference = factor;
        self
    }

    /// Q diag(v) Qᵀ x for a function v of the rate.
    fn apply(
        &self,
        v: impl Fn(f64) -> f64,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) {
        let (c, s) = (self.angle.cos(), self.angle.sin());
        for (x, mut out) in x.rows().into_iter().zip(out.rows_mut()) {
            if self.form == Form::Dense {
                let u = v(self.rates[0]) * (c * x[0] + s * x[1]);
                let w = v(self.rates[1]) * (c * x[1] - s * x[0]);
                (out[0], out[1]) = (c * u - s * w, s * u + c * w);
            } else {
                for (j, r) in self.rates.iter().enumerate() {
                    out[j] = v(*r) * x[j];
                }
            }
        }
    }

    fn numbers(&self, v: impl Fn(f64) -> f64, out: &mut [f64]) {
        let (c, s) = (self.angle.cos(), self.angle.sin());
        match self.form {
            Form::Scalar => out[0] = v(self.rates[0]),
            Form::Diagonal => out
                .iter_mut()
                .zip(&self.rates)
                .for_each(|(o, r)| *o = v(*r)),
            Form::Dense => {
                let (a, b) = (v(self.rates[0]), v(self.rates[1]));
                out[0] = a * c * c + b * s * s;
                out[1] = (a - b) * c * s;
                out[2] = out[1];
                out[3] = a * s * s + b * c * c;
            }
        }
    }
}

impl Linear for Ou {
    fn form(&self) -> Form {
        self.form
    }

    fn at(&self, t: f64, alpha: &mut [f64], covariance: &mut [f64]) {
        self.numbers(|r| (-r * t).exp(), alpha);
        self.numbers(
            |r| -(-2.0 * r * t).exp_m1() * self.g2 / (2.0 * r),
            covariance,
        );
    }
}

impl ForwardProcess for Ou {
    fn dim(&self) -> usize {
        self.rates.len()
    }

    fn t_end(&self) -> f64 {
        8.0
    }

    fn drift(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        f: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.apply(|r| -r, x, f);
        Ok(())
    }

    fn apply_g(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        out.zip_mut_with(&z, |o, z| *o = self.g2.sqrt() * z);
        Ok(())
    }

    fn apply_ggt(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        out.zip_mut_with(&v, |o, v| *o = self.g2 * v);
        Ok(())
    }

    fn reference_sample(&self, cx: &mut Cx<'_>, mut x: ArrayViewMut2<'_, f64>) -> Result {
        cx.fill_normal(x.view_mut());
        x *= self.reference.sqrt();
        Ok(())
    }

    fn reference_eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        normal_reference(self.reference, x, log_density, gradient);
        Ok(())
    }

    fn autonomous(&self) -> bool {
        true
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

fn normal_reference(
    variance: f64,
    x: ArrayView2<'_, f64>,
    log_density: Option<ArrayViewMut1<'_, f64>>,
    gradient: Option<ArrayViewMut2<'_, f64>>,
) {
    if let Some(mut l) = log_density {
        for (l, x) in l.iter_mut().zip(x.outer_iter()) {
            *l = -0.5 * x.dot(&x) / variance - 0.5 * x.len() as f64 * (TAU * variance).ln();
        }
    }
    if let Some(mut g) = gradient {
        g.zip_mut_with(&x, |g, x| *g = -x / variance);
    }
}

/// Coordinates that move alike and apart: dX = f(X) dt + √D(X) dW, without a closed transition.
#[derive(Clone, Copy)]
pub(crate) struct Alike {
    pub(crate) dim: usize,
    pub(crate) t_end: f64,
    pub(crate) f: fn(f64) -> f64,
    pub(crate) d: fn(f64) -> f64,
    /// D′; `None` where D is constant.
    pub(crate) slope: Option<fn(f64) -> f64>,
    /// y = asinh x is linear: dy = −y dt + √2 dW.
    pub(crate) warped: bool,
}

impl Alike {
    /// Additive noise.
    pub(crate) fn additive(dim: usize, t_end: f64, f: fn(f64) -> f64, d: fn(f64) -> f64) -> Self {
        Self {
            dim,
            t_end,
            f,
            d,
            slope: None,
            warped: false,
        }
    }

    /// x = sinh y, dy = −y dt + √2 dW: D = 2 (1 + x²), f = −√(1+x²) asinh x + x.
    pub(crate) fn sinh(dim: usize) -> Self {
        Self {
            dim,
            t_end: 4.0,
            f: |x| x - (1.0 + x * x).sqrt() * x.asinh(),
            d: |x| 2.0 * (1.0 + x * x),
            slope: Some(|x| 4.0 * x),
            warped: true,
        }
    }
}

impl ForwardProcess for Alike {
    fn dim(&self) -> usize {
        self.dim
    }

    fn t_end(&self) -> f64 {
        self.t_end
    }

    fn drift(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut f: ArrayViewMut2<'_, f64>,
    ) -> Result {
        f.zip_mut_with(&x, |f, x| *f = (self.f)(*x));
        Ok(())
    }

    fn apply_g(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        out.assign(&z);
        out.zip_mut_with(&x, |o, x| *o *= (self.d)(*x).sqrt());
        Ok(())
    }

    fn apply_ggt(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        out.assign(&v);
        out.zip_mut_with(&x, |o, x| *o *= (self.d)(*x));
        Ok(())
    }

    fn reference_sample(&self, cx: &mut Cx<'_>, mut x: ArrayViewMut2<'_, f64>) -> Result {
        cx.fill_normal(x.view_mut());
        if self.warped {
            x.mapv_inplace(f64::sinh);
        }
        Ok(())
    }

    fn reference_eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        normal_reference(1.0, x, log_density, gradient);
        Ok(())
    }

    fn div_ggt(&self) -> Option<&dyn DivGgt> {
        self.slope.is_some().then_some(self)
    }

    fn autonomous(&self) -> bool {
        true
    }

    fn linear(&self) -> Option<&dyn Linear> {
        self.warped.then_some(self)
    }

    fn warp(&self) -> Option<&dyn Warp> {
        self.warped.then_some(self)
    }
}

impl DivGgt for Alike {
    fn div_ggt(
        &self,
        _cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        out.zip_mut_with(&x, |o, x| *o = self.slope.map_or(0.0, |s| s(*x)));
        Ok(())
    }
}

impl Linear for Alike {
    fn form(&self) -> Form {
        Form::Scalar
    }

    fn at(&self, t: f64, alpha: &mut [f64], covariance: &mut [f64]) {
        alpha[0] = (-t).exp();
        covariance[0] = -(-2.0 * t).exp_m1();
    }
}

impl Warp for Alike {
    fn warp(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut y: ArrayViewMut2<'_, f64>,
        log_det: Option<ArrayViewMut1<'_, f64>>,
    ) -> Result {
        y.zip_mut_with(&x, |y, x| *y = x.asinh());
        if let Some(mut l) = log_det {
            for (l, x) in l.iter_mut().zip(x.rows()) {
                *l = x.iter().map(|x| -0.5 * (x * x).ln_1p()).sum();
            }
        }
        Ok(())
    }

    fn unwarp(
        &self,
        _cx: &mut Cx<'_>,
        y: ArrayView2<'_, f64>,
        mut x: ArrayViewMut2<'_, f64>,
    ) -> Result {
        x.zip_mut_with(&y, |x, y| *x = y.sinh());
        Ok(())
    }

    fn warp_score(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        score_y: ArrayView2<'_, f64>,
        mut score_x: ArrayViewMut2<'_, f64>,
    ) -> Result {
        score_x.assign(&score_y);
        score_x.zip_mut_with(&x, |s, x| {
            let w = x.mul_add(*x, 1.0);
            *s = *s / w.sqrt() - x / w;
        });
        Ok(())
    }
}
