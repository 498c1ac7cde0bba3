//! Cox–Ingersoll–Ross: d independent square-root diffusions on x > 0.
//!
//! dx = κ(θ − x) dt + σ√x dW,   D = σ²x,   ∇·D = σ²
//!
//! With δ = 4κθ/σ² and C(τ) = σ²(1 − e^{−κτ})/(4κ), x_t given x_s = r is C times a noncentral χ²
//! variable of δ degrees of freedom and noncentrality λ = r e^{−κτ}/C, τ = t − s:
//!
//! p(x | r) = (1/2C) e^{−(u+λ)/2} (u/λ)^{ν/2} I_ν(√(λu)),   u = x/C,   ν = δ/2 − 1
//!
//! Data of law Gamma(δ/2, scale b) stay Gamma(δ/2, scale b_t), b_t = b e^{−κt} + (σ²/2κ)(1 − e^{−κt}),
//! and so do their mixtures. The reference law is the stationary one, Gamma(δ/2, scale σ²/2κ).
//! The map of a noise z is that of quantiles: F(x | r) = Φ(z).
//!
//! Source: Cox, Ingersoll & Ross (1985), Econometrica 53, 385; the kernel as a Poisson mixture of
//! Gamma laws: Johnson, Kotz & Balakrishnan (1995), Continuous Univariate Distributions 2, ch. 29.
//!
//! Outside of the support (x ≤ 0) the noise is 0, and the drift, being linear, leads back inside.

use crate::coordinates::{Coordinate, Independent, Kernel, Map, Tails, positive};
use crate::normal;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use rand_distr::{Distribution, Gamma, Poisson};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, ClosedMarginal, Cx, Error, ForwardProcess, GammaMixture, Law, Marginal, Result, Stream,
    Times, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::function::gamma::{gamma_lr, gamma_ur};
use std::f64::consts::TAU;
use std::sync::Arc;

mod bessel;
#[cfg(test)]
mod tests;

const NAME: &str = "process cir";

/// Settings, as written under `[process]` with `kind = "cir"`. They satisfy 2κθ ≥ σ² (Feller), so that
/// 0 is never reached.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cir {
    /// Rate of return κ, > 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub kappa: f64,
    /// Long-run mean θ, > 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub theta: f64,
    /// Noise σ, > 0, at most √(2κθ).
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub sigma: f64,
    /// Time T, > 0, at which the reference law holds.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub t_end: f64,
}

impl Default for Cir {
    fn default() -> Self {
        Self {
            kappa: 1.0,
            theta: 1.0,
            sigma: 0.8,
            t_end: 8.0,
        }
    }
}

impl Build<dyn ForwardProcess> for Cir {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn ForwardProcess>> {
        let dim = parts.require_target(NAME)?.dim();
        let t_end = positive(NAME, "t_end", self.t_end)?;
        let law = SquareRoot::new(&self, dim)?;
        Ok(Arc::new(Independent { law, dim, t_end }))
    }
}

#[derive(Clone)]
struct SquareRoot {
    kappa: f64,
    theta: f64,
    sigma2: f64,
    dim: usize,
    stationary: GammaMixture,
    draws: Gamma<f64>,
}

impl SquareRoot {
    fn new(settings: &Cir, dim: usize) -> Result<Self> {
        let kappa = positive(NAME, "kappa", settings.kappa)?;
        let theta = positive(NAME, "theta", settings.theta)?;
        let sigma2 = positive(NAME, "sigma", settings.sigma)?.powi(2);
        let most = 2.0 * kappa * theta;
        let wrong = |allowed: String| Error::setting(NAME, "sigma", settings.sigma, allowed);
        if sigma2 > most * (1.0 + 1e-12) {
            let allowed = "lest x = 0 be reached";
            return Err(wrong(format!(
                "at most √(2 kappa theta) = {}, {allowed}",
                most.sqrt()
            )));
        }
        let (shape, scale) = (2.0 * kappa * theta / sigma2, sigma2 / (2.0 * kappa));
        let stationary = GammaMixture::new(vec![1.0].into(), shape, vec![scale].into(), dim)
            .map_err(|_| wrong("large enough for a finite shape 2κθ/σ²".into()))?;
        let draws = Gamma::new(shape, scale)
            .map_err(|_| wrong("large enough for a finite shape 2κθ/σ²".into()))?;
        Ok(Self {
            kappa,
            theta,
            sigma2,
            dim,
            stationary,
            draws,
        })
    }

    /// δ/2.
    fn shape(&self) -> f64 {
        self.stationary.shape
    }

    /// C(τ) and λ(r).
    fn scaled(&self, dt: f64, r: f64) -> (f64, f64) {
        let c = -self.sigma2 * (-self.kappa * dt).exp_m1() / (4.0 * self.kappa);
        (c, r.max(0.0) * (-self.kappa * dt).exp() / c)
    }

    /// Scale of Gamma data of scale b after t.
    fn scale_at(&self, b: f64, t: f64) -> f64 {
        let e = (-self.kappa * t).exp_m1();
        b * (1.0 + e) - self.sigma2 / (2.0 * self.kappa) * e
    }
}

impl Coordinate for SquareRoot {
    const CONSTANT_NOISE: bool = false;

    fn drift(&self, x: f64) -> f64 {
        self.kappa * (self.theta - x)
    }

    fn drift_slope(&self, _x: f64) -> f64 {
        -self.kappa
    }

    fn noise(&self, x: f64) -> f64 {
        self.sigma2 * x.max(0.0)
    }

    fn noise_slope(&self, _x: f64) -> f64 {
        self.sigma2
    }

    fn reference(&self, x: f64) -> (f64, f64) {
        self.stationary.coordinate(x)
    }

    fn draw(&self, rng: &mut Stream) -> f64 {
        self.draws.sample(rng).max(f64::MIN_POSITIVE)
    }

    fn support(&self) -> (f64, f64) {
        (0.0, f64::INFINITY)
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }

    fn map(&self) -> Option<&dyn Map> {
        Some(self)
    }

    fn tails(&self) -> Option<&dyn Tails> {
        Some(self)
    }

    fn closed_marginal(&self) -> Option<&dyn ClosedMarginal> {
        Some(self)
    }
}

impl Tails for SquareRoot {
    fn tails(&self, dt: f64, r: f64, x: f64) -> (f64, f64) {
        let (c, lambda) = self.scaled(dt, r);
        if x <= 0.0 {
            return (f64::NEG_INFINITY, 0.0);
        }
        let (a, y, half) = (self.shape(), 0.5 * x / c, 0.5 * lambda);
        // Σⱼ Poisson(j; λ/2) P(δ/2 + j, x/2C): the sum is over j within twelve deviations, and as far
        // as the tail asks, whose terms peak near √(λu)/2.
        let peak = (half * y).sqrt();
        let spread = 12.0 * half.max(peak).sqrt() + 40.0;
        let first = (half.min(peak) - spread).max(0.0).floor();
        let last = (half.max(peak) + spread).ceil();
        let log_poisson =
            |j: f64| j * half.max(f64::MIN_POSITIVE).ln() - half - libm::lgamma(j + 1.0);
        // P falls with j by y^a e^{-y}/Γ(a+1) at each step, Q grows: both are summed without
        // cancellation, P from the last term down and Q from the first up.
        let log_step = |a: f64| a * y.ln() - y - libm::lgamma(a + 1.0);
        let (mut lower, mut upper) = (0.0, 0.0);
        let mut p = gamma_lr(a + last, y);
        let mut j = last;
        while j >= first {
            lower += log_poisson(j).exp() * p;
            j -= 1.0;
            p += log_step(a + j).exp();
        }
        let mut q = gamma_ur(a + first, y);
        j = first;
        while j <= last {
            upper += log_poisson(j).exp() * q;
            q += log_step(a + j).exp();
            j += 1.0;
        }
        // Of the greater tail the complement is better.
        if lower < upper {
            (lower.ln(), (-lower).ln_1p())
        } else {
            ((-upper).ln_1p(), upper.ln())
        }
    }
}

impl Kernel for SquareRoot {
    fn log_density(&self, dt: f64, r: f64, x: f64) -> (f64, f64) {
        if x.is_nan() || r.is_nan() {
            return (f64::NAN, f64::NAN);
        }
        if !(x > 0.0 && x.is_finite()) {
            return (f64::NEG_INFINITY, 0.0);
        }
        let (c, lambda) = self.scaled(dt, r);
        let (u, nu) = (x / c, self.shape() - 1.0);
        let z = (lambda * u).sqrt();
        // (u/λ)^{ν/2} I_ν(z) = (u/2)^ν Î, with Î = (2/z)^ν I_ν(z), which is finite at z = 0.
        let (log_i, ratio) = bessel::scaled(nu, z);
        let value =
            nu * (0.5 * u).ln() + log_i - 0.5 * (u.sqrt() - lambda.sqrt()).powi(2) - (2.0 * c).ln();
        // d/du: ν/u − ½ + ½ √(λ/u) I_{ν+1}/I_ν.
        let slope = (nu / u - 0.5 + 0.5 * (lambda / u).sqrt() * ratio) / c;
        (value, slope)
    }

    fn draw(&self, dt: f64, r: f64, rng: &mut Stream) -> f64 {
        let (c, lambda) = self.scaled(dt, r);
        let half = 0.5 * lambda;
        let extra = if half > 0.0 {
            Poisson::new(half).map_or(half, |p| p.sample(rng))
        } else {
            0.0
        };
        Gamma::new(self.shape() + extra, 2.0 * c)
            .map_or(f64::NAN, |g| g.sample(rng).max(f64::MIN_POSITIVE))
    }
}

impl Map for SquareRoot {
    fn to(&self, dt: f64, r: f64, z: f64) -> f64 {
        if !(r.is_finite() && z.is_finite()) {
            return f64::NAN;
        }
        let (c, lambda) = self.scaled(dt, r);
        let delta = 2.0 * self.shape();
        let (mean, sd) = (
            c * (delta + lambda),
            c * (2.0 * (delta + 2.0 * lambda)).sqrt(),
        );
        normal::invert(z, 0.0, mean, sd, |x| Tails::tails(self, dt, r, x))
    }

    fn noise_of(&self, dt: f64, r: f64, x: f64) -> f64 {
        if !(r.is_finite() && x.is_finite()) {
            return f64::NAN;
        }
        let (lower, upper) = Tails::tails(self, dt, r, x);
        normal::quantile_of_tails(lower, upper)
    }
}

impl ClosedMarginal for SquareRoot {
    fn marginal(&self, law: Law<'_>) -> Result<Option<Arc<dyn Marginal>>> {
        let Law::Gamma(data) = law else {
            return Ok(None);
        };
        let shape = self.shape();
        let wrong = |argument: &str, given: String, allowed: String| Error::Argument {
            component: NAME.into(),
            argument: argument.into(),
            given,
            allowed,
        };
        if (data.shape - shape).abs() > 1e-12 * shape {
            let given = format!("{} for the data", data.shape);
            let allowed = format!("2κθ/σ² = {shape}: data of that shape alone stay Gamma laws");
            return Err(wrong("shape", given, allowed));
        }
        if data.dim != self.dim {
            let given = format!("{} for the data", data.dim);
            return Err(wrong("dimension", given, self.dim.to_string()));
        }
        let (process, data) = (self.clone(), data.clone());
        Ok(Some(Arc::new(Noised { process, data })))
    }

    fn closed_for(&self) -> &'static str {
        "a mixture of Gamma laws of shape 2κθ/σ²"
    }
}

/// Gamma data under way.
struct Noised {
    process: SquareRoot,
    data: GammaMixture,
}

impl Marginal for Noised {
    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut score: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        for (i, x) in x.rows().into_iter().enumerate() {
            let (t, mut sum) = (t.at(i), 0.0);
            for (j, x) in x.iter().enumerate() {
                let scale = |b| self.process.scale_at(b, t);
                let (value, slope) = self.data.coordinate_scaled(*x, scale);
                sum += value;
                if let Some(s) = &mut score {
                    s[(i, j)] = slope;
                }
            }
            if let Some(l) = &mut log_density {
                l[i] = sum;
            }
        }
        Ok(())
    }
}

register! {
    process "cir" => Cir, needs TARGET,
        summary "Cox–Ingersoll–Ross: square-root diffusion on positive numbers, noise that depends on x",
        source "Cox, Ingersoll & Ross (1985), Econometrica 53, 385";
}
