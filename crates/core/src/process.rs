//! Forward processes: from data at t = 0 to noise at t = T.

use crate::{ClosedMarginal, Cx, Error, Flag, Result, Times, Traits};
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};

/// An Itô diffusion dX = f(X, t) dt + G(X, t) dW on [0, T], x ∈ ℝᵈ, W ∈ ℝᵐ.
///
/// Implementors write the forward direction only; reverse drift, probability-flow velocity and
/// restoration-degradation steps are assembled from it, with the ∇·(GGᵀ) terms.
pub trait ForwardProcess: Send + Sync {
    /// Dimension d of the state.
    fn dim(&self) -> usize;

    /// Dimension m of the noise.
    fn noise_dim(&self) -> usize {
        self.dim()
    }

    /// The time T > 0 at which the reference law holds.
    fn t_end(&self) -> f64;

    /// How it may be called.
    fn traits(&self) -> Traits {
        Traits::PURE
    }

    /// Writes f(x, t); x and f are n × d.
    ///
    /// # Errors
    /// When no row could be evaluated.
    fn drift(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        f: ArrayViewMut2<'_, f64>,
    ) -> Result;

    /// Writes G(x, t) z; z is n × m, out n × d.
    ///
    /// # Errors
    /// As [`drift`](ForwardProcess::drift).
    fn apply_g(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result;

    /// Writes G Gᵀ(x, t) v; v and out are n × d.
    ///
    /// # Errors
    /// As [`drift`](ForwardProcess::drift).
    fn apply_ggt(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result;

    /// Draws from the reference law at T; x is n × d.
    ///
    /// # Errors
    /// As [`drift`](ForwardProcess::drift).
    fn reference_sample(&self, cx: &mut Cx<'_>, x: ArrayViewMut2<'_, f64>) -> Result;

    /// Writes the normalised log density (n) of the reference law and its gradient (n × d), each
    /// if it is asked for.
    ///
    /// # Errors
    /// As [`drift`](ForwardProcess::drift).
    fn reference_eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result;

    /// Whether G does not depend on x. Only then may [`div_ggt`](ForwardProcess::div_ggt) be absent.
    fn g_constant_in_x(&self) -> bool {
        self.div_ggt().is_none()
    }

    /// The divergence of G Gᵀ.
    fn div_ggt(&self) -> Option<&dyn DivGgt> {
        None
    }

    /// The linear-Gaussian marginal, if the process (or its [warp](ForwardProcess::warp)) is linear.
    fn linear(&self) -> Option<&dyn Linear> {
        None
    }

    /// The transition kernel.
    fn transition(&self) -> Option<&dyn Transition> {
        None
    }

    /// Vector-Jacobian products of the drift.
    fn drift_vjp(&self) -> Option<&dyn DriftVjp> {
        None
    }

    /// Jacobian-vector products of the drift.
    fn drift_jvp(&self) -> Option<&dyn DriftJvp> {
        None
    }

    /// The divergence of the drift.
    fn drift_divergence(&self) -> Option<&dyn DriftDivergence> {
        None
    }

    /// Integrals of g², where G = g(t) I.
    fn integral_g2(&self) -> Option<&dyn IntegralG2> {
        None
    }

    /// The process as a map of (state, noise).
    fn forward_map(&self) -> Option<&dyn ForwardMap> {
        None
    }

    /// The restoration half of a restoration-degradation step.
    fn restore(&self) -> Option<&dyn Restore> {
        None
    }

    /// The diffeomorphism y = ψ(x) under which the process is linear.
    fn warp(&self) -> Option<&dyn Warp> {
        None
    }

    /// Transition distribution functions, for d = 1.
    fn cdf(&self) -> Option<&dyn Cdf> {
        None
    }

    /// Marginal laws in closed form for data of some laws, beside what [`linear`](Self::linear) and
    /// [`warp`](Self::warp) give.
    fn closed_marginal(&self) -> Option<&dyn ClosedMarginal> {
        None
    }

    /// The open interval that every coordinate lies in.
    fn support(&self) -> (f64, f64) {
        (f64::NEG_INFINITY, f64::INFINITY)
    }

    /// Whether drift and noise make sense before t = 0, as those do that do not depend on t: then a
    /// restoration may reach back beyond the data.
    fn autonomous(&self) -> bool {
        false
    }

    /// What a person must know of it, for example that its reference law is approximated. A sampler
    /// that uses it hands these on.
    fn flags(&self) -> Vec<Flag> {
        Vec::new()
    }
}

/// Σⱼ ∂(GGᵀ)ᵢⱼ/∂xⱼ.
pub trait DivGgt {
    /// Writes it; x and out are n × d.
    ///
    /// # Errors
    /// As [`ForwardProcess::drift`].
    fn div_ggt(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result;
}

/// Shape of the matrices of a linear process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One number times the identity.
    Scalar,
    /// d numbers.
    Diagonal,
    /// d × d numbers, row-major.
    Dense,
}

impl Form {
    /// Numbers that a matrix of that form takes in dimension d.
    #[must_use]
    pub fn len(self, d: usize) -> usize {
        match self {
            Form::Scalar => 1,
            Form::Diagonal => d,
            Form::Dense => d * d,
        }
    }
}

/// x_t = α(t) x_0 + noise of covariance C(t).
pub trait Linear {
    /// Form of α and C.
    fn form(&self) -> Form;

    /// Writes α(t) and C(t), [`Form::len`] numbers each.
    fn at(&self, t: f64, alpha: &mut [f64], covariance: &mut [f64]);

    /// α(t) and the standard deviation √C(t) of a process of scalar form.
    ///
    /// # Panics
    /// If the form is another.
    fn scalar(&self, t: f64) -> (f64, f64) {
        assert_eq!(self.form(), Form::Scalar, "a process of scalar form");
        let (mut alpha, mut c) = ([0.0], [0.0]);
        self.at(t, &mut alpha, &mut c);
        (alpha[0], c[0].sqrt())
    }

    /// The time in [0, `t_end`] at which the noise level √C/α of a process of scalar form is `sigma`.
    /// The default finds it by bisection, to the last digits; a closed form is quicker.
    ///
    /// # Errors
    /// [`Error::Argument`] when `sigma` is no noise level between 0 and `t_end`.
    fn time_of(&self, sigma: f64, t_end: f64) -> Result<f64> {
        let level = |t: f64| {
            let (alpha, sd) = self.scalar(t);
            sd / alpha
        };
        let (low, high) = (level(0.0), level(t_end));
        // The ends themselves, up to the rounding of σ(t).
        if (sigma - low).abs() <= 1e-14 * low.abs() {
            return Ok(0.0);
        }
        if (sigma - high).abs() <= 1e-14 * high.abs() {
            return Ok(t_end);
        }
        if !(sigma > low && sigma < high) {
            return Err(Error::Argument {
                component: "the process".into(),
                argument: "noise level".into(),
                given: sigma.to_string(),
                allowed: format!("between {low} (at t = 0) and {high} (at t = {t_end})"),
            });
        }
        let (mut a, mut b) = (0.0, t_end);
        loop {
            // Small times over many decades: the geometric mean halves the number of those.
            let middle = if a > 0.0 && b > 4.0 * a {
                (a * b).sqrt()
            } else {
                0.5 * (a + b)
            };
            if middle <= a || middle >= b {
                return Ok(if sigma - level(a) < level(b) - sigma {
                    a
                } else {
                    b
                });
            }
            if level(middle) < sigma {
                a = middle;
            } else {
                b = middle;
            }
        }
    }
}

/// The law of x_t given x_s, s < t.
pub trait Transition {
    /// Draws x_t for each row of `xs`; both n × d.
    ///
    /// # Errors
    /// As [`ForwardProcess::drift`].
    fn sample(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        xs: ArrayView2<'_, f64>,
        xt: ArrayViewMut2<'_, f64>,
    ) -> Result;

    /// Writes log p(x_t | x_s) (n) and its gradient in x_t (n × d), each if it is asked for.
    ///
    /// # Errors
    /// As [`ForwardProcess::drift`].
    #[allow(clippy::too_many_arguments)] // mirrors the slot of the C table
    fn score(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        xs: ArrayView2<'_, f64>,
        xt: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result;
}

/// (∂f/∂x)ᵀ u.
pub trait DriftVjp {
    /// Writes it; all arrays n × d.
    ///
    /// # Errors
    /// As [`ForwardProcess::drift`].
    fn drift_vjp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        u: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result;
}

/// (∂f/∂x) v.
pub trait DriftJvp {
    /// Writes it; all arrays n × d.
    ///
    /// # Errors
    /// As [`ForwardProcess::drift`].
    fn drift_jvp(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result;
}

/// ∇·f.
pub trait DriftDivergence {
    /// Writes it; x is n × d, out has length n.
    ///
    /// # Errors
    /// As [`ForwardProcess::drift`].
    fn drift_divergence(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut1<'_, f64>,
    ) -> Result;
}

/// ∫ₛᵗ g(u)² du.
pub trait IntegralG2 {
    /// The integral from s to t.
    fn integral_g2(&self, s: f64, t: f64) -> f64;
}

/// The process as a deterministic map of a state and a noise: x_t = F(s, t, r, z), z ~ N(0, I).
pub trait ForwardMap {
    /// Writes x_t from x_s = r and the noise z.
    ///
    /// # Errors
    /// As [`ForwardProcess::drift`].
    fn forward_map(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView2<'_, f64>,
        z: ArrayView2<'_, f64>,
        x: ArrayViewMut2<'_, f64>,
    ) -> Result;

    /// Writes the noise that takes r at s to x at t.
    ///
    /// # Errors
    /// As [`ForwardProcess::drift`].
    fn solve_noise(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView2<'_, f64>,
        x: ArrayView2<'_, f64>,
        z: ArrayViewMut2<'_, f64>,
    ) -> Result;
}

/// The restoration half of a restoration-degradation step.
pub trait Restore {
    /// Writes, row by row, E[X_u | X_t = x] for u = t − `back`, 0 < `back` ≤ t, from x and the score
    /// s = ∇ log p_t(x); all n × d. Where X_t = E X_u + noise of covariance Q that is r = E⁻¹ (x + Q s)
    /// (Tweedie), in y = ψ(x) with s_y = J⁻ᵀ (s − ∇ ln |det J|) for a warped process.
    ///
    /// # Errors
    /// As [`ForwardProcess::drift`].
    fn restore(
        &self,
        cx: &mut Cx<'_>,
        t: f64,
        back: f64,
        x: ArrayView2<'_, f64>,
        score: ArrayView2<'_, f64>,
        r: ArrayViewMut2<'_, f64>,
    ) -> Result;
}

/// A diffeomorphism y = ψ(x).
pub trait Warp {
    /// Writes y (n × d) and log |det ∂y/∂x| (n), the latter if it is asked for.
    ///
    /// # Errors
    /// As [`ForwardProcess::drift`].
    fn warp(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        y: ArrayViewMut2<'_, f64>,
        log_det: Option<ArrayViewMut1<'_, f64>>,
    ) -> Result;

    /// Writes x = ψ⁻¹(y).
    ///
    /// # Errors
    /// As [`ForwardProcess::drift`].
    fn unwarp(&self, cx: &mut Cx<'_>, y: ArrayView2<'_, f64>, x: ArrayViewMut2<'_, f64>) -> Result;

    /// Writes the score in x from the score in y: Jᵀ s_y + ∇ log |det J|.
    ///
    /// # Errors
    /// As [`ForwardProcess::drift`].
    fn warp_score(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        score_y: ArrayView2<'_, f64>,
        score_x: ArrayViewMut2<'_, f64>,
    ) -> Result;
}

/// Distribution function of x_t given x_s = r in one dimension; arrays of length n.
pub trait Cdf {
    /// Writes P(x_t ≤ x | x_s = r).
    ///
    /// # Errors
    /// As [`ForwardProcess::drift`].
    fn cdf(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView1<'_, f64>,
        x: ArrayView1<'_, f64>,
        p: ArrayViewMut1<'_, f64>,
    ) -> Result;

    /// Writes the p-quantile of x_t given x_s = r.
    ///
    /// # Errors
    /// As [`ForwardProcess::drift`].
    fn quantile(
        &self,
        cx: &mut Cx<'_>,
        s: f64,
        t: f64,
        r: ArrayView1<'_, f64>,
        p: ArrayView1<'_, f64>,
        x: ArrayViewMut1<'_, f64>,
    ) -> Result;
}
