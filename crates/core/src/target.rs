//! Targets: densities known up to a constant.

use crate::{Cx, GaussianMixture, Law, Result, Traits};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use std::borrow::Cow;
use std::sync::Arc;

/// A density π(x) = exp(ℓ(x)) / Z on ℝᵈ of which ℓ, and mostly ∇ℓ, can be evaluated.
///
/// Callers evaluate through [`Cx::eval_target`], which counts and checks; implementors write
/// [`eval`](Target::eval).
pub trait Target: Send + Sync {
    /// Dimension d ≥ 1.
    fn dim(&self) -> usize;

    /// How it may be called.
    fn traits(&self) -> Traits {
        Traits::PURE
    }

    /// Writes the log density (n) and the gradient (n × d) of the rows of `x` (n × d), each if it
    /// is asked for. Every element of an output that is given is written.
    ///
    /// −∞ is a legal log density (no mass; the gradient is then finite); NaN marks a point that
    /// could not be evaluated.
    ///
    /// # Errors
    /// When no row could be evaluated at all, for example because a callback failed.
    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result;

    /// Whether a log density can be asked for. A data set has none.
    fn has_density(&self) -> bool {
        true
    }

    /// Whether a gradient can be asked for.
    fn has_gradient(&self) -> bool {
        true
    }

    /// Name of coordinate `i`, unique among them.
    fn coordinate(&self, i: usize) -> String {
        format!("x{i}")
    }

    /// Hessian-vector products.
    fn hvp(&self) -> Option<&dyn Hvp> {
        None
    }

    /// Named functions of x that are written beside the draws.
    fn outputs(&self) -> Option<&dyn Outputs> {
        None
    }

    /// The Gaussian mixture that the target is, if it is one (normalised or not). Data with zero
    /// covariance are one as well.
    fn mixture(&self) -> Option<&GaussianMixture> {
        None
    }

    /// The law of the target where it stays in closed form under some forward process.
    fn law(&self) -> Option<Law<'_>> {
        self.mixture().map(Law::Mixture)
    }

    /// What is known exactly, for tests and benchmarks.
    fn exact(&self) -> Option<&dyn Exact> {
        None
    }
}

/// Hessian-vector products of a target.
pub trait Hvp {
    /// Writes ∇²ℓ(x) v for each row; all arrays n × d.
    ///
    /// # Errors
    /// As [`Target::eval`].
    fn hvp(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result;
}

/// Functions of x written beside the draws: constrained parameters, generated quantities.
pub trait Outputs {
    /// How many, k.
    fn count(&self) -> usize;

    /// Name of output `i`.
    fn name(&self, i: usize) -> String;

    /// Writes the outputs (n × k) of the rows of `x` (n × d).
    ///
    /// # Errors
    /// As [`Target::eval`].
    fn eval(&self, cx: &mut Cx<'_>, x: ArrayView2<'_, f64>, out: ArrayViewMut2<'_, f64>) -> Result;
}

/// What is known of a target independently of any sampler.
pub trait Exact {
    /// The numbers.
    fn truth(&self) -> Truth;

    /// Exact independent draws, where there are any.
    fn sampler(&self) -> Option<&dyn ExactSampler> {
        None
    }
}

/// Exact independent draws from a target.
pub trait ExactSampler {
    /// Fills `out` (n × d) with independent draws. Random numbers come from `cx`, row by row, so
    /// that the first rows do not depend on n.
    ///
    /// # Errors
    /// [`crate::Error::Shape`].
    fn sample(&self, cx: &mut Cx<'_>, out: ArrayViewMut2<'_, f64>) -> Result;
}

/// Numbers known independently of any sampler.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    /// log Z of the density as it is evaluated.
    pub log_z: Option<f64>,
    /// Standard error of `log_z`, 0 where it is exact.
    pub log_z_se: f64,
    /// Means of the coordinates; length d.
    pub mean: Option<Vec<f64>>,
    /// Variances of the coordinates; length d.
    pub variance: Option<Vec<f64>>,
    /// Further expectations.
    pub expectations: Vec<Expectation>,
    /// How the numbers are known, for example "closed form".
    pub source: Cow<'static, str>,
}

/// A function of one point.
pub type PointFn = Arc<dyn Fn(&[f64]) -> f64 + Send + Sync>;

/// A named expectation E f(x) with its value.
#[derive(Clone)]
pub struct Expectation {
    /// Name, for example `E x0²` or `P(x50 > 0)`.
    pub name: Cow<'static, str>,
    /// Its value.
    pub value: f64,
    /// The function, of one point.
    pub of: PointFn,
}

impl Expectation {
    /// An expectation of that name and value.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        value: f64,
        of: impl Fn(&[f64]) -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            value,
            of: Arc::new(of),
        }
    }
}

impl std::fmt::Debug for Expectation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {}", self.name, self.value)
    }
}
