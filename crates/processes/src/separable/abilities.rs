//! Transition, derivatives of the drift, maps and distribution functions.

use super::{Coefficients, Separable};
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip};
use retrograde_core::{
    Cdf, Cx, DriftDivergence, DriftJvp, DriftVjp, ForwardMap, IntegralG2, Restore, Result, Times,
    Transition,
};
use std::f64::consts::SQRT_2;

impl<C: Coefficients> Transition for Separable<C> {
    fn sample(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        xs: ArrayView2<'_, f64>,
        mut xt: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (n, d) = xs.dim();
        let mut buffer = cx.take(n * d);
        let mut z = ArrayViewMut2::from_shape((n, d), &mut buffer).expect("n d numbers");
        cx.fill_normal(z.view_mut());
        let outcome = ForwardMap::forward_map(self, cx, s, t, xs, z.view(), xt.view_mut());
        cx.give(buffer);
        outcome
    }

    fn score(
        &self,
        _cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        xs: ArrayView2<'_, f64>,
        xt: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let (s, t) = self.noisy(s, t)?;
        self.gaussian(xt, Some(xs), log_density, gradient, |k| k.kernel(s, t));
        Ok(())
    }
}

impl<C: Coefficients> DriftVjp for Separable<C> {
    fn drift_vjp(
        &self,
        _cx: &mut Cx<'_>,
        t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        u: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.scale(t, u, out, C::rate)
    }
}

impl<C: Coefficients> DriftJvp for Separable<C> {
    fn drift_jvp(
        &self,
        _cx: &mut Cx<'_>,
        t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.scale(t, v, out, C::rate)
    }
}

impl<C: Coefficients> DriftDivergence for Separable<C> {
    fn drift_divergence(
        &self,
        _cx: &mut Cx<'_>,
        t: Times<'_>,
        _x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        for (i, out) in out.iter_mut().enumerate() {
            let t = self.time(t.at(i))?;
            *out = if self.is_scalar() {
                self.dim as f64 * self.first().rate(t)
            } else {
                self.each.iter().map(|k| k.rate(t)).sum()
            };
        }
        Ok(())
    }
}

impl<C: Coefficients> IntegralG2 for Separable<C> {
    fn integral_g2(&self, s: f64, t: f64) -> f64 {
        self.first().integral_g2(s, t)
    }
}

impl<C: Coefficients> ForwardMap for Separable<C> {
    fn forward_map(
        &self,
        _cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        x: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (s, t) = self.span(s, t, false)?;
        self.by_coordinate(r, Some(z), x, |k| {
            let (a, variance) = k.kernel(s, t);
            (a, variance.sqrt())
        });
        Ok(())
    }

    fn solve_noise(
        &self,
        _cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView2<'_, f64>,
        x: ArrayView2<'_, f64>,
        z: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (s, t) = self.noisy(s, t)?;
        self.by_coordinate(x, Some(r), z, |k| {
            let (a, variance) = k.kernel(s, t);
            (variance.sqrt().recip(), -a / variance.sqrt())
        });
        Ok(())
    }
}

impl<C: Coefficients> Restore for Separable<C> {
    fn restore(
        &self,
        _cx: &mut Cx<'_>,
        t: f64,
        back: f64,
        x: ArrayView2<'_, f64>,
        score: ArrayView2<'_, f64>,
        r: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (s, t) = self.span(t - back, t, false)?;
        self.by_coordinate(x, Some(score), r, |k| {
            let (a, variance) = k.kernel(s, t);
            (a.recip(), variance / a)
        });
        Ok(())
    }
}

impl<C: Coefficients> Cdf for Separable<C> {
    fn cdf(
        &self,
        _cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView1<'_, f64>,
        x: ArrayView1<'_, f64>,
        mut p: ArrayViewMut1<'_, f64>,
    ) -> Result {
        self.one_dimensional(p.len(), [r.len(), x.len()])?;
        let (s, t) = self.noisy(s, t)?;
        let (a, variance) = self.first().kernel(s, t);
        let scale = (variance.sqrt() * SQRT_2).recip();
        Zip::from(&mut p)
            .and(&r)
            .and(&x)
            .for_each(|p, r, x| *p = 0.5 * libm::erfc((a * r - x) * scale));
        Ok(())
    }

    fn quantile(
        &self,
        _cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView1<'_, f64>,
        p: ArrayView1<'_, f64>,
        mut x: ArrayViewMut1<'_, f64>,
    ) -> Result {
        self.one_dimensional(x.len(), [r.len(), p.len()])?;
        let (s, t) = self.noisy(s, t)?;
        if let Some(p) = p.iter().find(|p| !(**p > 0.0 && **p < 1.0)) {
            return Err(self.wrong("p", p.to_string(), "between 0 and 1, both excluded".into()));
        }
        let (a, variance) = self.first().kernel(s, t);
        let scale = variance.sqrt() * SQRT_2;
        Zip::from(&mut x)
            .and(&r)
            .and(&p)
            .for_each(|x, r, p| *x = a * r - scale * statrs::function::erf::erfc_inv(2.0 * p));
        Ok(())
    }
}
