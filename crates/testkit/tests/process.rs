//! The check of forward processes passes for right ones, and notices every mistake built into a wrong one:
//! an Ornstein–Uhlenbeck process, and geometric Brownian motion, whose noise depends on x.

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip, array};
use retrograde_core::*;
use retrograde_testkit::assert_process;
use std::f64::consts::{FRAC_1_SQRT_2, TAU};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Where a factor of 1.01 (or a shift) is put; everything is right where it is not.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    Drift,
    G,
    Ggt,
    /// No divergence of G Gᵀ.
    ConstantG,
    DivGgt,
    Alpha,
    Covariance,
    TimeOf,
    TransitionMean,
    TransitionSample,
    TransitionMass,
    TransitionGradient,
    ReferenceSample,
    ReferenceMass,
    ReferenceGradient,
    Vjp,
    Jvp,
    Divergence,
    IntegralG2,
    SolveNoise,
    Restore,
    Warp,
    LogDet,
    WarpScore,
    Cdf,
    Quantile,
    /// The last row of a batch is another.
    Rows,
}

/// dX = −X dt + √2 dW, or with `warp` x = e^y of that y: dX = X (1 − ln X) dt + √2 X dW.
struct Process {
    warp: bool,
    fault: Fault,
}

impl Process {
    fn off(&self, fault: Fault) -> f64 {
        if self.fault == fault { 1.01 } else { 1.0 }
    }

    fn y(&self, x: f64) -> f64 {
        if self.warp { x.ln() } else { x }
    }

    fn x(&self, y: f64) -> f64 {
        if self.warp { y.exp() } else { y }
    }

    /// dx/dy.
    fn slope(&self, x: f64) -> f64 {
        if self.warp { x } else { 1.0 }
    }

    /// log density and its derivative in x of y ~ N(m, v).
    fn normal(&self, x: f64, m: f64, v: f64) -> (f64, f64) {
        let (e, slope) = (self.y(x) - m, self.slope(x));
        let value = -0.5 * (e * e / v + (TAU * v).ln()) - slope.ln();
        (value, -(e / v + f64::from(self.warp)) / slope)
    }

    fn kernel(&self, s: f64, t: f64) -> (f64, f64) {
        ((s - t).exp(), -(2.0 * (s - t)).exp_m1())
    }
}

type In<'a> = ArrayView2<'a, f64>;
type Out<'a> = ArrayViewMut2<'a, f64>;
type Lists<'a> = ArrayView1<'a, f64>;

impl ForwardProcess for Process {
    fn dim(&self) -> usize {
        1
    }

    fn t_end(&self) -> f64 {
        2.0
    }

    fn drift(&self, _: &mut Cx<'_>, _: Times<'_>, x: In<'_>, mut f: Out<'_>) -> Result {
        let last = x.nrows() - 1;
        for (i, (f, x)) in f.iter_mut().zip(x).enumerate() {
            let y = self.y(*x);
            *f = self.off(Fault::Drift) * self.slope(*x) * (f64::from(self.warp) - y);
            if self.fault == Fault::Rows && i == last {
                *f *= 1.0 + 1e-15;
            }
        }
        Ok(())
    }

    fn apply_g(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        x: In<'_>,
        z: In<'_>,
        mut out: Out<'_>,
    ) -> Result {
        let g = self.off(Fault::G) * 2f64.sqrt();
        Zip::from(&mut out)
            .and(&x)
            .and(&z)
            .for_each(|o, x, z| *o = g * self.slope(*x) * z);
        Ok(())
    }

    fn apply_ggt(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        x: In<'_>,
        v: In<'_>,
        mut out: Out<'_>,
    ) -> Result {
        let d = self.off(Fault::Ggt) * 2.0;
        Zip::from(&mut out)
            .and(&x)
            .and(&v)
            .for_each(|o, x, v| *o = d * self.slope(*x).powi(2) * v);
        Ok(())
    }

    fn reference_sample(&self, cx: &mut Cx<'_>, mut x: Out<'_>) -> Result {
        cx.fill_normal(x.view_mut());
        // An error that 20 000 draws can see.
        let off = if self.fault == Fault::ReferenceSample {
            1.05
        } else {
            1.0
        };
        x.mapv_inplace(|z| self.x(off * z));
        Ok(())
    }

    fn reference_eval(
        &self,
        _: &mut Cx<'_>,
        x: In<'_>,
        l: Option<ArrayViewMut1<'_, f64>>,
        g: Option<Out<'_>>,
    ) -> Result {
        if let Some(mut l) = l {
            let mass = self.off(Fault::ReferenceMass).ln();
            Zip::from(&mut l)
                .and(&x.column(0))
                .for_each(|l, x| *l = mass + self.normal(*x, 0.0, 1.0).0);
        }
        if let Some(mut g) = g {
            let off = self.off(Fault::ReferenceGradient);
            Zip::from(&mut g)
                .and(&x)
                .for_each(|g, x| *g = off * self.normal(*x, 0.0, 1.0).1);
        }
        Ok(())
    }

    fn div_ggt(&self) -> Option<&dyn DivGgt> {
        (self.warp && self.fault != Fault::ConstantG).then_some(self as &dyn DivGgt)
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }

    fn transition(&self) -> Option<&dyn Transition> {
        Some(self)
    }

    fn drift_vjp(&self) -> Option<&dyn DriftVjp> {
        Some(self)
    }

    fn drift_jvp(&self) -> Option<&dyn DriftJvp> {
        Some(self)
    }

    fn drift_divergence(&self) -> Option<&dyn DriftDivergence> {
        Some(self)
    }

    fn integral_g2(&self) -> Option<&dyn IntegralG2> {
        (!self.warp).then_some(self as &dyn IntegralG2)
    }

    fn forward_map(&self) -> Option<&dyn ForwardMap> {
        Some(self)
    }

    fn restore(&self) -> Option<&dyn Restore> {
        (!self.warp).then_some(self as &dyn Restore)
    }

    fn warp(&self) -> Option<&dyn Warp> {
        self.warp.then_some(self as &dyn Warp)
    }

    fn cdf(&self) -> Option<&dyn Cdf> {
        Some(self)
    }

    fn support(&self) -> (f64, f64) {
        if self.warp {
            (0.0, f64::INFINITY)
        } else {
            (f64::NEG_INFINITY, f64::INFINITY)
        }
    }
}

impl DivGgt for Process {
    fn div_ggt(&self, _: &mut Cx<'_>, _: Times<'_>, x: In<'_>, mut out: Out<'_>) -> Result {
        let off = self.off(Fault::DivGgt);
        out.zip_mut_with(&x, |o, x| *o = off * 4.0 * x);
        Ok(())
    }
}

impl Linear for Process {
    fn form(&self) -> Form {
        Form::Scalar
    }

    fn at(&self, t: f64, alpha: &mut [f64], covariance: &mut [f64]) {
        (alpha[0], covariance[0]) = self.kernel(0.0, t);
        // Without a trace at t = 0.
        alpha[0] = alpha[0].powf(self.off(Fault::Alpha));
        covariance[0] *= self.off(Fault::Covariance);
    }

    fn time_of(&self, sigma: f64, _: f64) -> Result<f64> {
        let exact = if self.fault == Fault::Covariance {
            1.01
        } else {
            1.0
        };
        Ok(0.5 * self.off(Fault::TimeOf) * (sigma * sigma / exact).ln_1p())
    }
}

impl Transition for Process {
    fn sample(&self, cx: &mut Cx<'_>, s: f64, t: f64, xs: In<'_>, mut xt: Out<'_>) -> Result {
        cx.fill_normal(xt.view_mut());
        let (a, v) = self.kernel(s, t);
        let off = if self.fault == Fault::TransitionSample {
            1.05
        } else {
            1.0
        };
        xt.zip_mut_with(&xs, |z, x| {
            *z = self.x(a * self.y(*x) + off * v.sqrt() * *z);
        });
        Ok(())
    }

    fn score(
        &self,
        _: &mut Cx<'_>,
        s: f64,
        t: f64,
        xs: In<'_>,
        xt: In<'_>,
        l: Option<ArrayViewMut1<'_, f64>>,
        g: Option<Out<'_>>,
    ) -> Result {
        let (a, v) = self.kernel(s, t);
        let a = a * self.off(Fault::TransitionMean);
        if let Some(mut l) = l {
            let mass = self.off(Fault::TransitionMass).ln();
            Zip::from(&mut l)
                .and(&xt.column(0))
                .and(&xs.column(0))
                .for_each(|l, x, r| *l = mass + self.normal(*x, a * self.y(*r), v).0);
        }
        if let Some(mut g) = g {
            let off = self.off(Fault::TransitionGradient);
            Zip::from(&mut g)
                .and(&xt)
                .and(&xs)
                .for_each(|g, x, r| *g = off * self.normal(*x, a * self.y(*r), v).1);
        }
        Ok(())
    }
}

impl Process {
    /// f′.
    fn drift_slope(&self, x: f64) -> f64 {
        if self.warp { -x.ln() } else { -1.0 }
    }
}

impl DriftVjp for Process {
    fn drift_vjp(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        x: In<'_>,
        u: In<'_>,
        mut out: Out<'_>,
    ) -> Result {
        let off = self.off(Fault::Vjp);
        Zip::from(&mut out)
            .and(&x)
            .and(&u)
            .for_each(|o, x, u| *o = off * self.drift_slope(*x) * u);
        Ok(())
    }
}

impl DriftJvp for Process {
    fn drift_jvp(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        x: In<'_>,
        v: In<'_>,
        mut out: Out<'_>,
    ) -> Result {
        let off = self.off(Fault::Jvp);
        Zip::from(&mut out)
            .and(&x)
            .and(&v)
            .for_each(|o, x, v| *o = off * self.drift_slope(*x) * v);
        Ok(())
    }
}

impl DriftDivergence for Process {
    fn drift_divergence(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        x: In<'_>,
        mut out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        let off = self.off(Fault::Divergence);
        Zip::from(&mut out)
            .and(&x.column(0))
            .for_each(|o, x| *o = off * self.drift_slope(*x));
        Ok(())
    }
}

impl IntegralG2 for Process {
    fn integral_g2(&self, s: f64, t: f64) -> f64 {
        2.0 * self.off(Fault::IntegralG2) * (t - s)
    }
}

impl ForwardMap for Process {
    fn forward_map(
        &self,
        _: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: In<'_>,
        z: In<'_>,
        mut x: Out<'_>,
    ) -> Result {
        let (a, v) = self.kernel(s, t);
        Zip::from(&mut x)
            .and(&r)
            .and(&z)
            .for_each(|x, r, z| *x = self.x(a * self.y(*r) + v.sqrt() * z));
        Ok(())
    }

    fn solve_noise(
        &self,
        _: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: In<'_>,
        x: In<'_>,
        mut z: Out<'_>,
    ) -> Result {
        let (a, v) = self.kernel(s, t);
        let off = self.off(Fault::SolveNoise);
        Zip::from(&mut z)
            .and(&r)
            .and(&x)
            .for_each(|z, r, x| *z = off * (self.y(*x) - a * self.y(*r)) / v.sqrt());
        Ok(())
    }
}

impl Restore for Process {
    fn restore(
        &self,
        _: &mut Cx<'_>,
        t: f64,
        back: f64,
        x: In<'_>,
        s: In<'_>,
        mut r: Out<'_>,
    ) -> Result {
        let (a, v) = self.kernel(t - back, t);
        let off = self.off(Fault::Restore);
        Zip::from(&mut r)
            .and(&x)
            .and(&s)
            .for_each(|r, x, s| *r = (x + off * v * s) / a);
        Ok(())
    }
}

impl Warp for Process {
    fn warp(
        &self,
        _: &mut Cx<'_>,
        x: In<'_>,
        mut y: Out<'_>,
        l: Option<ArrayViewMut1<'_, f64>>,
    ) -> Result {
        Zip::from(&mut y).and(&x).for_each(|y, x| *y = x.ln());
        if let Some(mut l) = l {
            let off = self.off(Fault::LogDet);
            Zip::from(&mut l)
                .and(&x.column(0))
                .for_each(|l, x| *l = -off * x.ln());
        }
        Ok(())
    }

    fn unwarp(&self, _: &mut Cx<'_>, y: In<'_>, mut x: Out<'_>) -> Result {
        let off = self.off(Fault::Warp);
        Zip::from(&mut x)
            .and(&y)
            .for_each(|x, y| *x = (off * y).exp());
        Ok(())
    }

    fn warp_score(&self, _: &mut Cx<'_>, x: In<'_>, s: In<'_>, mut out: Out<'_>) -> Result {
        let off = self.off(Fault::WarpScore);
        Zip::from(&mut out)
            .and(&x)
            .and(&s)
            .for_each(|o, x, s| *o = (s - off) / x);
        Ok(())
    }
}

impl Cdf for Process {
    fn cdf(
        &self,
        _: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: Lists<'_>,
        x: Lists<'_>,
        mut p: ArrayViewMut1<'_, f64>,
    ) -> Result {
        let (a, v) = self.kernel(s, t);
        let off = self.off(Fault::Cdf);
        Zip::from(&mut p).and(&r).and(&x).for_each(|p, r, x| {
            let z = (self.y(*x) - a * self.y(*r)) / v.sqrt();
            *p = 0.5 * libm::erfc(-off * z * FRAC_1_SQRT_2);
        });
        Ok(())
    }

    fn quantile(
        &self,
        _: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: Lists<'_>,
        p: Lists<'_>,
        mut x: ArrayViewMut1<'_, f64>,
    ) -> Result {
        let (a, v) = self.kernel(s, t);
        // With a mistake of its own, or that of the distribution function, which it then inverts.
        let off = self.off(Fault::Quantile) * self.off(Fault::Cdf);
        Zip::from(&mut x).and(&r).and(&p).for_each(|x, r, p| {
            let (mut low, mut high) = (-40.0, 40.0);
            for _ in 0..100 {
                let z: f64 = 0.5 * (low + high);
                if 0.5 * libm::erfc(-z * FRAC_1_SQRT_2) < *p {
                    low = z;
                } else {
                    high = z;
                }
            }
            *x = self.x(a * self.y(*r) + v.sqrt() * low / off);
        });
        Ok(())
    }
}

fn check(warp: bool, fault: Fault) {
    let points = array![[0.6], [1.9]];
    assert_process("test", &Process { warp, fault }, points.view());
}

#[test]
fn right_processes_pass() {
    check(false, Fault::None);
    check(true, Fault::None);
}

/// The mistake is noticed, by a message that holds these words.
fn notices(warp: bool, fault: Fault, says: &str) {
    let outcome = catch_unwind(AssertUnwindSafe(|| check(warp, fault)));
    let payload = outcome.expect_err(&format!("{fault:?} (warp: {warp}) is not noticed"));
    let message = payload
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_default();
    assert!(message.contains(says), "{fault:?}: {message}");
}

#[test]
fn mistakes_of_every_process_are_noticed() {
    for warp in [false, true] {
        for (fault, says) in [
            (Fault::Drift, "drift of (α, C)"),
            (Fault::G, "G Gᵀ"),
            (Fault::Ggt, "G Gᵀ"),
            (Fault::Alpha, "of (α, C)"),
            (Fault::Covariance, "noise of (α, C)"),
            (Fault::TimeOf, "time of a level"),
            (Fault::TransitionMean, "is not that of drift and noise"),
            (Fault::TransitionSample, "Stein"),
            (Fault::TransitionMass, "mass"),
            (Fault::TransitionGradient, "gradient of the transition"),
            (Fault::ReferenceSample, "Stein"),
            (Fault::ReferenceMass, "mass"),
            (Fault::ReferenceGradient, "gradient of the reference law"),
            (Fault::SolveNoise, "noise found again"),
            (Fault::Cdf, "distribution function"),
            (Fault::Quantile, "quantiles"),
            (Fault::Rows, "drift: row"),
        ] {
            // Products with the drift's derivative see its factor first.
            let says = if fault == Fault::Drift { "f" } else { says };
            notices(warp, fault, says);
        }
        for (fault, says) in [
            (Fault::Vjp, "(∂f)ᵀ u"),
            (Fault::Jvp, "∂f v"),
            (Fault::Divergence, "divergence of f"),
        ] {
            notices(warp, fault, says);
        }
    }
}

#[test]
fn mistakes_of_noise_that_depends_on_x_are_noticed() {
    notices(true, Fault::ConstantG, "constant G");
    notices(true, Fault::DivGgt, "divergence of G Gᵀ");
    notices(true, Fault::Warp, "ψ⁻¹ ψ");
    notices(true, Fault::LogDet, "log |det J|");
    notices(true, Fault::WarpScore, "score of a warp");
}

#[test]
fn mistakes_of_linear_processes_are_noticed() {
    notices(false, Fault::IntegralG2, "∫ g²");
    notices(false, Fault::Restore, "restored by little");
}
