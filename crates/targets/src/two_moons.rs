//! Two moons: a ring of radius 2 of which only the parts near (±2, 0) are left.
//!
//! Source: Rezende & Mohamed (2015), arXiv:1505.05770, potential U₁ (a = 0.4, b = 0.6); the narrower
//! (0.2, 0.3) is used in the literature on normalising flows.
//!
//! log ρ(x) = −½ ((‖x‖ − 2)/a)² + ln( e^{−½ ((x₀ − 2)/b)²} + e^{−½ ((x₀ + 2)/b)²} )
//!
//! log Z and the variances are found by a two-dimensional quadrature when they are first asked for.

use crate::draw::each_draw;
use crate::point::each_row;
use crate::quadrature::integrate;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use rand_distr::{Distribution, Exp1, Open01, StandardNormal};
use retrograde_core::numeric::softplus;
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, Exact, ExactSampler, Expectation, Result, Target, Truth, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::{FRAC_PI_2, TAU};
use std::sync::{Arc, OnceLock};

/// Settings, as written under `[target]` with `kind = "two-moons"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TwoMoons {
    /// Width a of the ring, 0.01 to 5; 0.2 by default, 0.4 in the wider variant.
    #[serde(default = "a")]
    #[schemars(range(min = 0.01, max = 5))]
    pub a: f64,
    /// Width b of the strips at x₀ = ±2, 0.01 to 5; 0.3 by default, 0.6 in the wider variant.
    #[serde(default = "b")]
    #[schemars(range(min = 0.01, max = 5))]
    pub b: f64,
}

fn a() -> f64 {
    0.2
}

fn b() -> f64 {
    0.3
}

/// Radius of the ring, and distance of the strips from the axis.
const RADIUS: f64 = 2.0;

struct Moons {
    a: f64,
    b: f64,
    /// log Z, E x₀², E x₁².
    known: OnceLock<[f64; 3]>,
}

impl Build<dyn Target> for TwoMoons {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        for (key, width) in [("a", self.a), ("b", self.b)] {
            if !(0.01..=5.0).contains(&width) {
                return Err(Error::setting("target two-moons", key, width, "0.01 to 5"));
            }
        }
        Ok(Arc::new(Moons {
            a: self.a,
            b: self.b,
            known: OnceLock::new(),
        }))
    }
}

impl Target for Moons {
    fn dim(&self) -> usize {
        2
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let (pa, pb) = (self.a.powi(-2), self.b.powi(-2));
        each_row(x, log_density, gradient, |x, g| {
            let r = x[0].hypot(x[1]);
            let off = r - RADIUS;
            // The nearer strip, and ln(1 + the other relative to it) = softplus(−4|x₀|/b²).
            let side = x[0].abs() - RADIUS;
            let other = -2.0 * RADIUS * x[0].abs() * pb;
            let l = -0.5 * (pa * off * off + pb * side * side) + softplus(other);
            if let Some(g) = g {
                // Σ p± (±2 − x₀)/b², with p₊ − p₋ = tanh(2 x₀/b²).
                let strips = pb * (RADIUS * (RADIUS * x[0] * pb).tanh() - x[0]);
                let ring = if r > 0.0 { -pa * off / r } else { 0.0 };
                if l == f64::NEG_INFINITY {
                    g.fill(0.0);
                } else {
                    g[0] = ring * x[0] + strips;
                    g[1] = ring * x[1];
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

impl Moons {
    /// The strips' part of the density.
    fn strips(&self, x0: f64) -> f64 {
        let one = |c: f64| (-0.5 * ((x0 - c) / self.b).powi(2)).exp();
        one(RADIUS) + one(-RADIUS)
    }

    fn ring(&self, r: f64) -> f64 {
        (-0.5 * ((r - RADIUS) / self.a).powi(2)).exp()
    }

    fn known(&self) -> &[f64; 3] {
        self.known.get_or_init(|| self.moments(1.0))
    }

    /// log Z, E x₀² and E x₁² by a quadrature over a quarter of the plane with panels half as wide as
    /// what they must follow, divided by `refine`.
    fn moments(&self, refine: f64) -> [f64; 3] {
        let (a, b) = (self.a, self.b);
        let count =
            |length: f64, scale: f64| (2.0 * refine * length / scale).ceil().max(1.0) as usize;
        let edge = RADIUS + 9.0 * a;
        let integral = |f: &dyn Fn(f64, f64) -> f64| {
            if a.min(b) < 0.25 {
                // There is no mass at the origin, the tip of a cone, so Cartesian coordinates do:
                // strip by strip, for x₁ at x₀. (‖x‖ as a function of x₁ turns within x₀.)
                let lo = (RADIUS - 9.0 * b).max(0.0);
                let hi = (RADIUS + 9.0 * b).min(edge);
                integrate(lo, hi, count(hi - lo, a.min(b)), |x0| {
                    // Where the line crosses the ring.
                    let at = |r: f64| (r * r - x0 * x0).max(0.0).sqrt();
                    let (lo, hi) = (at((RADIUS - 9.0 * a).max(0.0)), at(edge));
                    let line = |x1: f64| f(x0, x1) * self.ring(x0.hypot(x1));
                    self.strips(x0) * integrate(lo, hi, count(hi - lo, a.min(0.5)), line)
                })
            } else {
                let lo = (RADIUS - 9.0 * a).max(0.0);
                integrate(lo, edge, count(edge - lo, a.min(b).min(1.0)), |r| {
                    let arc = |angle: f64| {
                        let (x1, x0) = (r * angle.sin(), r * angle.cos());
                        f(x0, x1) * self.strips(x0)
                    };
                    let panels = count(FRAC_PI_2, (b / r).min(0.5));
                    r * self.ring(r) * integrate(0.0, FRAC_PI_2, panels, arc)
                })
            }
        };
        let z = integral(&|_, _| 1.0);
        let square = |f: &dyn Fn(f64, f64) -> f64| integral(f) / z;
        [
            (4.0 * z).ln(),
            square(&|x0, _| x0 * x0),
            square(&|_, x1| x1 * x1),
        ]
    }
}

impl Exact for Moons {
    fn truth(&self) -> Truth {
        let [log_z, v0, v1] = *self.known();
        Truth {
            log_z: Some(log_z),
            mean: Some(vec![0.0; 2]),
            variance: Some(vec![v0, v1]),
            expectations: vec![Expectation::new("P(x0 > 0)", 0.5, |x| {
                f64::from(u8::from(x[0] > 0.0))
            })],
            source: "two-dimensional quadrature".into(),
            ..Truth::default()
        }
    }

    fn sampler(&self) -> Option<&dyn ExactSampler> {
        Some(self)
    }
}

impl ExactSampler for Moons {
    /// Rejection from the whole ring. Its radius, of density r exp(−½((r − 2)/a)²), comes by
    /// rejection from (2 + |u|) exp(−½(u/a)²), u = r − 2: a normal (mass 2a√(2π)) and a Rayleigh law
    /// of random sign (mass 2a²).
    fn sample(&self, cx: &mut Cx<'_>, out: ArrayViewMut2<'_, f64>) -> Result {
        let (normal, rayleigh) = (RADIUS * self.a * TAU.sqrt(), 2.0 * self.a * self.a);
        // Of the two strips one is at most 1, the other at most its value on the axis.
        let bound = 1.0 + (-0.5 * (RADIUS / self.b).powi(2)).exp();
        each_draw(cx, 2, out, |rng, x| {
            loop {
                let mut uniform = || -> f64 { Open01.sample(rng) };
                let (part, accept, angle) = (uniform(), uniform(), uniform());
                let u = if part * (normal + rayleigh) < normal {
                    let z: f64 = StandardNormal.sample(rng);
                    self.a * z
                } else {
                    let sign = if uniform() < 0.5 { -1.0 } else { 1.0 };
                    let e: f64 = Exp1.sample(rng);
                    sign * self.a * (2.0 * e).sqrt()
                };
                let r = RADIUS + u;
                let (sin, cos) = (TAU * angle).sin_cos();
                let ratio = r / (RADIUS + u.abs()) * self.strips(r * cos) / bound;
                if r > 0.0 && accept < ratio {
                    (x[0], x[1]) = (r * cos, r * sin);
                    return;
                }
            }
        })
    }
}

register! {
    target "two-moons" => TwoMoons, needs NOTHING,
        summary "Two crescents in the plane",
        source "Rezende & Mohamed 2015, arXiv:1505.05770, table 1, U1";
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use retrograde_core::registry::Folder;
    use retrograde_testkit::*;

    fn build(a: f64, b: f64) -> Result<Arc<dyn Target>> {
        TwoMoons { a, b }.build(&Parts::new(&Folder::default()))
    }

    #[test]
    fn both_variants() {
        let narrow = Row(
            -39.020656399071,
            -31.763314034809,
            30.798834544263,
            -0.964479490546,
            1957.476327759,
        );
        let wide = Row(
            -9.694847708591,
            -7.290584533600,
            7.699708636066,
            0.409124102466,
            112.4381359219,
        );
        for (a, b, row, log_z) in [
            (a(), b(), narrow, 0.80421444863),
            (0.4, 0.6, wide, 1.87750162611),
        ] {
            let target = build(a, b).unwrap();
            assert_row("two-moons", &*target, &point(2), row, 1e-10);
            let x = array![[0.3, 1.0], [-1.9, -0.5], [2.0, 0.4], [0.0, -2.1]];
            assert_target("two-moons", &*target, x.view());
            assert_exact_sampler("two-moons", &*target, 40_000, 1);
            let truth = target.exact().unwrap().truth();
            assert_close("log Z", truth.log_z.unwrap(), log_z, 1e-10);
            // The midpoint rule on a square grid, which is exponentially accurate.
            let h = 0.02;
            let mut sums = [0.0; 3];
            for (i, j) in (-300..300).flat_map(|i| (-300..300).map(move |j| (i, j))) {
                let (x0, x1) = (h * (f64::from(i) + 0.5), h * (f64::from(j) + 0.5));
                let r = x0.hypot(x1);
                let ring = (-0.5 * ((r - 2.0) / a).powi(2)).exp();
                let strip = |c: f64| (-0.5 * ((x0 - c) / b).powi(2)).exp();
                let p = h * h * ring * (strip(2.0) + strip(-2.0));
                sums[0] += p;
                sums[1] += p * x0 * x0;
                sums[2] += p * x1 * x1;
            }
            assert_close("log Z on a grid", truth.log_z.unwrap(), sums[0].ln(), 1e-9);
            let variance = truth.variance.unwrap();
            assert_close("E x0²", variance[0], sums[1] / sums[0], 1e-9);
            assert_close("E x1²", variance[1], sums[2] / sums[0], 1e-9);
            let (estimate, se) = importance_log_z(&*target, &[0.0; 2], &[2.2, 1.8], 200_000, 2);
            assert_z("two-moons", estimate, log_z, se);
        }
    }

    #[test]
    fn the_quadrature_has_converged() {
        for (a, b) in [
            (0.2, 0.3),
            (0.01, 0.01),
            (0.01, 5.0),
            (5.0, 0.01),
            (0.25, 0.25),
            (0.24, 3.0),
            (3.0, 0.24),
            (1.0, 1.0),
            (5.0, 5.0),
        ] {
            let moons = Moons {
                a,
                b,
                known: OnceLock::new(),
            };
            let (coarse, fine) = (moons.moments(1.0), moons.moments(1.5));
            for (coarse, fine) in coarse.into_iter().zip(fine) {
                assert_close(&format!("a = {a}, b = {b}"), coarse, fine, 1e-11);
            }
        }
    }

    #[test]
    fn other_widths() {
        for (a, b) in [(1.5, 0.2), (0.05, 2.5), (0.03, 0.04)] {
            let target = build(a, b).unwrap();
            assert_exact_sampler("two-moons", &*target, 20_000, 3);
            // log Z from the sampler's own proposal would prove nothing; a wide Gaussian does.
            let log_z = target.exact().unwrap().truth().log_z.unwrap();
            let sd = [2.2 + a, 1.8 + a];
            let (estimate, se) = importance_log_z(&*target, &[0.0; 2], &sd, 400_000, 4);
            assert_z("two-moons", estimate, log_z, se);
        }
        let (l, g) = eval(&*build(0.2, 0.3).unwrap(), &[0.0, 0.0]);
        assert!(l.is_finite() && g == [0.0, 0.0]);
    }

    #[test]
    fn mistakes_name_their_key() {
        let message = |a, b| build(a, b).err().unwrap().to_string();
        assert!(message(0.0, 0.3).contains("`a` is 0"));
        assert!(message(0.2, f64::NAN).contains("`b` is NaN"));
    }
}
