//! Molecules that are made and decay, as a chemical Langevin equation; d species, each on its own.
//!
//! dX = (k₁ − k₂X) dt + √(k₁ + k₂X) dW,   X > −k₁/k₂
//!
//! Reactions ∅ → A at rate k₁ and A → ∅ at rate k₂X, each with the noise of its own count; mean and
//! variance are those of the reactions themselves. With m = k₁/k₂, y = x + m and C(τ) = (1 − e^{−k₂τ})/4,
//! y_t given y_s is C times a noncentral χ² variable of 8m degrees of freedom and noncentrality
//! λ = y_s e^{−k₂τ}/C, τ = t − s:
//!
//! p(y_t | y_s) = Σⱼ Poisson(j; λ/2) Γ(y_t; shape 4m + j, scale 2C)
//!
//! so that the law of X tends to m below a Gamma law of shape 4m and scale ½: mean m, variance m. That is
//! the reference law. −m is not reached if 4k₁ ≥ k₂ (Feller).
//!
//! Source: Gillespie (2000), J. Chem. Phys. 113, 297, eq. 23; Feller (1951), Ann. Math. 54, 173. Poisson
//! probabilities by Loader (2000), Fast and accurate computation of binomial probabilities.

use rand_distr::{Distribution, Gamma, Poisson};
use retrograde_plugin::core::{DriftDivergence, DriftJvp, DriftVjp};
use retrograde_plugin::prelude::*;
use std::f64::consts::TAU;

const NAME: &str = "process birth-death";
/// Arguments of the Bessel function above which its expansion is as good as the sum, and quicker.
const LARGE: f64 = 1e5;

/// Settings, as written under `[process]` with `kind = "demo-rust/birth-death"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BirthDeath {
    /// Molecules made per unit of time, k₁ > 0, at least `death`/4.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub(crate) birth: f64,
    /// Rate at which each decays, k₂ > 0, per unit of time.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub(crate) death: f64,
    /// Time T, > 0, at which the reference law holds: several 1/`death`.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub(crate) t_end: f64,
}

impl Default for BirthDeath {
    fn default() -> Self {
        Self {
            birth: 5.0,
            death: 1.0,
            t_end: 8.0,
        }
    }
}

impl Build<dyn ForwardProcess> for BirthDeath {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        let dim = parts.require_target(NAME)?.dim();
        Ok(Arc::new(Langevin::new(&self, dim)?))
    }
}

pub(crate) struct Langevin {
    /// Factor of the noise, 1.
    pub(crate) noise: f64,
    birth: f64,
    death: f64,
    t_end: f64,
    dim: usize,
    stationary: Gamma<f64>,
}

impl Langevin {
    pub(crate) fn new(settings: &BirthDeath, dim: usize) -> Result<Self> {
        let BirthDeath {
            birth,
            death,
            t_end,
        } = *settings;
        for (key, value) in [("birth", birth), ("death", death), ("t_end", t_end)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::setting(NAME, key, value, "a number above 0"));
            }
        }
        if 4.0 * birth < death {
            let least = death / 4.0;
            return Err(Error::setting(
                NAME,
                "birth",
                birth,
                format!("at least death/4 = {least}, lest the end of the support be reached"),
            ));
        }
        let stationary = Gamma::new(4.0 * birth / death, 0.5).map_err(|e| {
            Error::setting(NAME, "birth", birth, format!("such that {e} is mended"))
        })?;
        Ok(Self {
            noise: 1.0,
            birth,
            death,
            t_end,
            dim,
            stationary,
        })
    }

    /// m = k₁/k₂.
    fn mean(&self) -> f64 {
        self.birth / self.death
    }

    /// k₁ + k₂x, 0 outside of the support.
    fn g2(&self, x: f64) -> f64 {
        self.noise * (self.birth + self.death * x).max(0.0)
    }

    /// C(τ), and λ/2 from x.
    fn scaled(&self, dt: f64, x: f64) -> (f64, f64) {
        let c = -0.25 * (-self.death * dt).exp_m1();
        let y = (x + self.mean()).max(0.0);
        (c, 0.5 * y * (-self.death * dt).exp() / c)
    }

    /// τ = t − s > 0.
    fn later(s: f64, t: f64) -> Result<f64> {
        if t > s && (t - s).is_finite() {
            return Ok(t - s);
        }
        Err(Error::Argument {
            component: NAME.into(),
            argument: "t".into(),
            given: t.to_string(),
            allowed: format!("later than s = {s}"),
        })
    }

    /// log p(x_t | x_s) and its slope in x_t; −∞ and 0 outside of the support.
    pub(crate) fn kernel(&self, dt: f64, from: f64, to: f64) -> (f64, f64) {
        if from.is_nan() || to.is_nan() {
            return (f64::NAN, f64::NAN);
        }
        let y = to + self.mean();
        if !(y > 0.0 && y.is_finite()) {
            return (f64::NEG_INFINITY, 0.0);
        }
        let ((c, half), shape) = (self.scaled(dt, from), 4.0 * self.mean());
        let (u, power) = (0.5 * y / c, shape - 1.0);
        if !(u.is_finite() && half.is_finite()) {
            return (f64::NEG_INFINITY, 0.0);
        }
        let z = 2.0 * half.sqrt() * u.sqrt();
        let (value, count) = if z > LARGE {
            by_expansion(power, half, u, z)
        } else {
            by_sum(power, half, u)
        };
        (value - (2.0 * c).ln(), ((power + count) - u) / y)
    }
}

/// ln Σⱼ Poisson(j; h) Poisson(j + ν; u), and the mean of j under these terms: Γ(y; a + j, 2C) is
/// Poisson(j + ν; u)/2C with ν = a − 1. The quotient of the terms j + 1 and j is q/((j + 1)(j + a)): they are
/// summed both ways from the greatest.
fn by_sum(nu: f64, h: f64, u: f64) -> (f64, f64) {
    let (q, shape) = (h * u, nu + 1.0);
    let b = 0.5 * (shape + 1.0);
    let peak = ((b * b - shape + q).max(0.0).sqrt() - b).max(0.0).ceil();
    let top = log_poisson(peak, h) + log_poisson(peak + nu, u);
    let (mut sum, mut moment) = (1.0, 0.0);
    let (mut term, mut j) = (1.0, peak);
    while term > 1e-18 * sum {
        term *= q / ((j + 1.0) * (shape + j));
        j += 1.0;
        sum += term;
        moment += term * (j - peak);
    }
    (term, j) = (1.0, peak);
    while term > 1e-18 * sum && j > 0.0 {
        term *= j * (nu + j) / q;
        j -= 1.0;
        sum += term;
        moment += term * (j - peak);
    }
    (top + sum.ln(), peak + moment / sum)
}

/// The same where z = 2√(hu) is large: the sum is e^{−h−u} (u/h)^{ν/2} I_ν(z), the mean ½ z I_{ν+1}/I_ν, by the
/// uniform expansion of I_ν and Amos's quotient, with errors of the order of z⁻². Olver (1954), Phil. Trans.
/// R. Soc. A 247, 328; Amos (1974), Math. Comp. 28, 239.
fn by_expansion(nu: f64, h: f64, u: f64, z: f64) -> (f64, f64) {
    let s = nu.hypot(z);
    let p = nu / s;
    // ln I_ν(z) − z.
    let bessel = nu * nu / (s + z) + nu * (z / (nu + s)).ln() - 0.5 * (TAU * s).ln()
        + ((3.0 - 5.0 * p * p) / (24.0 * s)).ln_1p();
    let value = bessel - (h.sqrt() - u.sqrt()).powi(2) + 0.5 * nu * (u / h).ln();
    let quotient = z / (nu + 0.5 + z.hypot(((nu + 0.5) * (nu + 1.5)).sqrt()));
    (value, 0.5 * z * quotient)
}

/// ln of mᵏ e^{−m}/Γ(k + 1), k ≥ 0, without cancellation where k and m are large.
fn log_poisson(k: f64, m: f64) -> f64 {
    if k <= 0.0 {
        return -m;
    }
    if m <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let e = (m - k) / k;
    // Below e = −½ ln(1 + e) would lose what m has and m − k has not.
    let deviance = if e > -0.5 {
        k * (e - e.ln_1p())
    } else {
        k * (k / m).ln() + m - k
    };
    -stirling_error(k) - deviance - 0.5 * (TAU * k).ln()
}

/// ln Γ(k + 1) − ln(√(2πk) (k/e)ᵏ).
fn stirling_error(k: f64) -> f64 {
    if k < 16.0 {
        return libm::lgamma(k + 1.0) - (k + 0.5) * k.ln() + k - 0.5 * TAU.ln();
    }
    let w = 1.0 / (k * k);
    (1.0 / 12.0 - w * (1.0 / 360.0 - w * (1.0 / 1260.0 - w * (1.0 / 1680.0 - w / 1188.0)))) / k
}

impl ForwardProcess for Langevin {
    fn dim(&self) -> usize {
        self.dim
    }

    fn t_end(&self) -> f64 {
        self.t_end
    }

    fn drift(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut f: ArrayViewMut2<'_, f64>,
    ) -> Result {
        f.zip_mut_with(&x, |f, x| *f = self.birth - self.death * x);
        Ok(())
    }

    fn apply_g(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        x: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        out.zip_mut_with(&x, |o, x| *o = self.g2(*x).sqrt());
        out *= &z;
        Ok(())
    }

    fn apply_ggt(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        out.zip_mut_with(&x, |o, x| *o = self.g2(*x));
        out *= &v;
        Ok(())
    }

    fn reference_sample(&self, cx: &mut Cx<'_>, x: ArrayViewMut2<'_, f64>) -> Result {
        let streams = cx.row_streams();
        cx.rows(x.nrows(), x, |_, rows, mut x| {
            for (row, mut x) in rows.zip(x.rows_mut()) {
                let mut rng = streams(row);
                for x in &mut x {
                    *x = self.inside(self.stationary.sample(&mut rng));
                }
            }
            Ok(())
        })
    }

    fn reference_eval(
        &self,
        _: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let m = self.mean();
        let power = 4.0 * m - 1.0;
        let constant = 2f64.ln();
        let log_one = |x: f64| {
            let y = x + m;
            if y.is_nan() {
                f64::NAN
            } else if y > 0.0 && y.is_finite() {
                constant + log_poisson(power, 2.0 * y)
            } else {
                f64::NEG_INFINITY
            }
        };
        if let Some(mut l) = log_density {
            for (l, x) in l.iter_mut().zip(x.rows()) {
                *l = x.iter().map(|x| log_one(*x)).sum();
            }
        }
        if let Some(mut g) = gradient {
            g.zip_mut_with(&x, |g, x| {
                let y = x + m;
                *g = if y > 0.0 || y.is_nan() {
                    power / y - 2.0
                } else {
                    0.0
                };
            });
        }
        Ok(())
    }

    fn div_ggt(&self) -> Option<&dyn DivGgt> {
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

    fn support(&self) -> (f64, f64) {
        (-self.mean(), f64::INFINITY)
    }

    fn autonomous(&self) -> bool {
        true
    }
}

impl Langevin {
    /// x from y, inside the open support for all that rounding does.
    fn inside(&self, y: f64) -> f64 {
        let low = -self.mean();
        (y + low).max(low.next_up())
    }
}

impl DivGgt for Langevin {
    fn div_ggt(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        _: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        out.fill(self.death);
        Ok(())
    }
}

impl Transition for Langevin {
    fn sample(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        xs: ArrayView2<'_, f64>,
        xt: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let (dt, shape) = (Self::later(s, t)?, 4.0 * self.mean());
        let streams = cx.row_streams();
        cx.rows(xs.nrows(), (xs, xt), |_, rows, (xs, mut xt)| {
            for (row, (xs, mut xt)) in rows.zip(xs.rows().into_iter().zip(xt.rows_mut())) {
                let mut rng = streams(row);
                for (xs, xt) in xs.iter().zip(&mut xt) {
                    let (c, half) = self.scaled(dt, *xs);
                    let count = if half > 0.0 {
                        Poisson::new(half).map_or(half, |p| p.sample(&mut rng))
                    } else {
                        0.0
                    };
                    *xt = Gamma::new(shape + count, 2.0 * c)
                        .map_or(f64::NAN, |g| self.inside(g.sample(&mut rng)));
                }
            }
            Ok(())
        })
    }

    fn score(
        &self,
        _: &mut Cx<'_>,
        s: f64,
        t: f64,
        xs: ArrayView2<'_, f64>,
        xt: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let dt = Self::later(s, t)?;
        for (i, (xs, xt)) in xs.rows().into_iter().zip(xt.rows()).enumerate() {
            let mut sum = 0.0;
            for (j, (xs, xt)) in xs.iter().zip(xt).enumerate() {
                let (value, slope) = self.kernel(dt, *xs, *xt);
                sum += value;
                if let Some(g) = &mut gradient {
                    g[(i, j)] = slope;
                }
            }
            if let Some(l) = &mut log_density {
                l[i] = sum;
            }
        }
        Ok(())
    }
}

impl DriftVjp for Langevin {
    fn drift_vjp(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        _: ArrayView2<'_, f64>,
        u: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        out.zip_mut_with(&u, |o, u| *o = -self.death * u);
        Ok(())
    }
}

impl DriftJvp for Langevin {
    fn drift_jvp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        // The Jacobian is a multiple of the identity.
        DriftVjp::drift_vjp(self, cx, t, x, v, out)
    }
}

impl DriftDivergence for Langevin {
    fn drift_divergence(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        _: ArrayView2<'_, f64>,
        mut out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        out.fill(-self.death * self.dim as f64);
        Ok(())
    }
}
