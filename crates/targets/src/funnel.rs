//! Neal's funnel: the scale of all other coordinates is the exponential of half the first.
//!
//! Source: Neal (2003), Annals of Statistics 31, 705–767, §8.
//!
//! x₀ ~ N(0, s²),   xᵢ | x₀ ~ N(0, e^{x₀}),  i = 1..d−1
//!
//! log π = −x₀²/(2 s²) − ½ ln(2π s²) − ½ e^{−x₀} Σᵢ xᵢ² − ½ (d−1)(ln 2π + x₀),   log Z = 0
//!
//! E xᵢ² = e^{s²/2}, but its estimates have wild errors (E xᵢ⁴ = 3 e^{2s²}), so what is given as known
//! are E x₀, E x₀² and P(|x₁| < 1) = E erf(e^{−x₀/2}/√2), a one-dimensional quadrature.

use crate::draw::check_columns;
use crate::point::each_row;
use crate::quadrature::integrate;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, Exact, ExactSampler, Expectation, Result, Target, Truth, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::function::erf::erf;
use std::f64::consts::{FRAC_1_SQRT_2, TAU};
use std::sync::Arc;

/// Settings, as written under `[target]` with `kind = "funnel"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Funnel {
    /// Dimension d, 2 to 10⁶; 10 by default.
    #[serde(default = "dim")]
    #[schemars(range(min = 2, max = 1_000_000))]
    pub dim: usize,
    /// Variance s² of the first coordinate, 10⁻⁶ to 10⁴; 9 by default (standard deviation 3). Some
    /// published results are for 3.
    #[serde(default = "variance")]
    #[schemars(range(min = 1e-6, max = 1e4))]
    pub variance: f64,
}

fn dim() -> usize {
    10
}

fn variance() -> f64 {
    9.0
}

impl Build<dyn Target> for Funnel {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let wrong = |key: &str, given: String, allowed: &str| {
            Err(Error::setting("target funnel", key, given, allowed))
        };
        if !(2..=1_000_000).contains(&self.dim) {
            return wrong("dim", self.dim.to_string(), "2 to 1000000");
        }
        if !(1e-6..=1e4).contains(&self.variance) {
            return wrong("variance", self.variance.to_string(), "1e-6 to 1e4");
        }
        Ok(Arc::new(self))
    }
}

impl Target for Funnel {
    fn dim(&self) -> usize {
        self.dim
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let (s2, others) = (self.variance, (self.dim - 1) as f64);
        let constant = -0.5 * (TAU.ln() + s2.ln()) - 0.5 * others * TAU.ln();
        each_row(x, log_density, gradient, |x, g| {
            let (x0, rest) = (x[0], &x[1..]);
            let precision = (-x0).exp();
            let square: f64 = rest.iter().map(|v| v * v).sum();
            // In the neck e^{−x₀} may be ∞: on the axis itself the exponent is 0, off it there is
            // no mass, even where the square underflows.
            let exponent = if precision.is_finite() {
                precision * square
            } else if rest.iter().all(|v| *v == 0.0) {
                0.0
            } else {
                precision
            };
            let l = constant - 0.5 * (x0 * x0 / s2 + exponent + others * x0);
            if let Some(g) = g {
                g[0] = -x0 / s2 + 0.5 * exponent - 0.5 * others;
                for (g, v) in g[1..].iter_mut().zip(rest) {
                    *g = if *v == 0.0 { 0.0 } else { -v * precision };
                }
                if l == f64::NEG_INFINITY {
                    g.fill(0.0);
                }
            }
            l
        });
        Ok(())
    }

    fn exact(&self) -> Option<&dyn Exact> {
        Some(self)
    }
}

impl Exact for Funnel {
    fn truth(&self) -> Truth {
        let s = self.variance.sqrt();
        let inside = |z: f64| (-0.5 * z * z).exp() * erf((-0.5 * s * z).exp() * FRAC_1_SQRT_2);
        // Panels of one unit in z and, where the error function turns, in x₀.
        let panels = (20.0 * s.max(1.0)).ceil() as usize;
        let probability = integrate(-10.0, 10.0, panels, inside) / TAU.sqrt();
        Truth {
            log_z: Some(0.0),
            expectations: vec![
                Expectation::new("E x0", 0.0, |x| x[0]),
                Expectation::new("E x0²", self.variance, |x| x[0] * x[0]),
                Expectation::new("P(|x1| < 1)", probability, |x| {
                    f64::from(u8::from(x[1].abs() < 1.0))
                }),
            ],
            source: "closed form; the probability by quadrature".into(),
            ..Truth::default()
        }
    }

    fn sampler(&self) -> Option<&dyn ExactSampler> {
        Some(self)
    }
}

impl ExactSampler for Funnel {
    fn sample(&self, cx: &mut Cx<'_>, mut out: ArrayViewMut2<'_, f64>) -> Result {
        check_columns(self.dim, &out)?;
        cx.fill_normal(out.view_mut());
        let s = self.variance.sqrt();
        for mut x in out.rows_mut() {
            x[0] *= s;
            let scale = (0.5 * x[0]).exp();
            x.iter_mut().skip(1).for_each(|v| *v *= scale);
        }
        Ok(())
    }
}

register! {
    target "funnel" => Funnel, needs NOTHING,
        summary "Neal's funnel: scales that vary by orders of magnitude",
        source "Neal 2003, Annals of Statistics 31, 705-767";
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2, array};
    use retrograde_core::registry::Folder;
    use retrograde_testkit::*;

    #[test]
    fn both_variances() {
        let nine = Row(
            -10.189677596860,
            -3.449014468299,
            0.802515885430,
            -3.449014468299,
            14.52335032772,
        );
        let three = Row(
            -9.647315896970,
            -3.393458912744,
            0.802515885430,
            -3.393458912744,
            14.14321291766,
        );
        for (variance, row) in [(variance(), nine), (3.0, three)] {
            let target = Funnel {
                dim: dim(),
                variance,
            };
            assert_row("funnel", &target, &point(10), row, 1e-10);
            let x = Array2::from_shape_fn((5, 10), |(i, j)| {
                if j == 0 {
                    i as f64 - 2.0
                } else {
                    (i as f64 - 1.5) * point(10)[j]
                }
            });
            assert_target("funnel", &target, x.view());
            assert_exact_sampler("funnel", &target, 40_000, 1);
        }
        // Neck and mouth are too thin and too wide for importance sampling unless s is small.
        let target = Funnel {
            dim: 2,
            variance: 0.25,
        };
        let (log_z, se) = importance_log_z(&target, &[0.0; 2], &[0.8, 2.5], 200_000, 2);
        assert_z("funnel", log_z, 0.0, se);
    }

    #[test]
    fn the_probability_is_that_of_an_independent_quadrature() {
        // Trapezoid in x₀ (exponentially accurate), the error function by Simpson's rule.
        let normal = |a: f64| {
            let n = 2000;
            let h = a / f64::from(n);
            let f = |i: i32| (-0.5 * (h * f64::from(i)).powi(2)).exp();
            let sum: f64 = (1..n)
                .map(|i| if i % 2 == 1 { 4.0 } else { 2.0 } * f(i))
                .sum();
            2.0 * h / 3.0 * (f(0) + sum + f(n)) / TAU.sqrt()
        };
        let h = 0.01;
        let probability: f64 = (-1000..=1000)
            .map(|i| {
                let z = h * f64::from(i);
                let bound = (-1.5 * z).exp().min(40.0);
                h * (-0.5 * z * z).exp() / TAU.sqrt() * normal(bound)
            })
            .sum();
        let truth = Funnel {
            dim: 10,
            variance: 9.0,
        }
        .truth();
        let given = &truth.expectations[2];
        assert_close(&given.name, given.value, probability, 1e-9);
        // The widest: e^{x₀} is either tiny or huge.
        let widest = Funnel {
            dim: 2,
            variance: 1e4,
        }
        .truth()
        .expectations[2]
            .value;
        assert!((widest - 0.5).abs() < 0.01, "{widest}");
        // The narrowest: a standard normal.
        let narrowest = Funnel {
            dim: 2,
            variance: 1e-6,
        }
        .truth()
        .expectations[2]
            .value;
        assert_close("narrowest", narrowest, 0.682_689_492_137_086, 1e-6);
    }

    #[test]
    fn in_the_neck_nothing_is_nan() {
        let target = Funnel {
            dim: 3,
            variance: 9.0,
        };
        let x = array![
            [-800.0, 0.0, 0.0],
            [-800.0, 1e-3, 0.0],
            [-800.0, 1e-300, 0.0],
            [-700.0, 1e-3, 1.0],
            [800.0, 5.0, 1.0]
        ];
        let (mut l, mut g) = (Array1::zeros(5), Array2::zeros((5, 3)));
        with_cx(0, |cx| {
            target.eval(cx, x.view(), Some(l.view_mut()), Some(g.view_mut()))
        })
        .unwrap();
        assert!(g.iter().all(|v| v.is_finite()), "{g}");
        assert!(l.iter().all(|v| !v.is_nan() && *v < f64::INFINITY), "{l}");
        assert!(l[0].is_finite() && l[1] == f64::NEG_INFINITY && l[2] == f64::NEG_INFINITY);
        assert!(l[3] < -1e290 && l[4].is_finite());
    }

    #[test]
    fn mistakes_name_their_key() {
        let message = |dim, variance| {
            let target = Funnel { dim, variance }.build(&Parts::new(&Folder::default()));
            target.err().unwrap().to_string()
        };
        assert!(message(1, 9.0).contains("`dim` is 1"));
        assert!(message(10, 0.0).contains("`variance` is 0"));
        assert!(message(10, f64::NAN).contains("`variance` is NaN"));
    }
}
