//! The single maps: both directions, their derivatives and domains.

use super::{WarpKind, WarpStep, wrong};
use crate::numeric::{sigmoid, softplus};
use crate::settings::PerCoordinate;
use crate::{Error, Result};

/// What stands for x ≤ 0 in maps of positive numbers: its reciprocal and its square are normal.
const LEAST: f64 = 1e-150;

fn entry(of: &Option<PerCoordinate>, j: usize, default: f64) -> f64 {
    match of {
        None => default,
        Some(PerCoordinate::All(v)) => *v,
        Some(PerCoordinate::Each(v)) => v[j],
    }
}

/// An increasing function of one coordinate and what is needed of its derivatives.
struct Curve {
    /// ψ(x).
    y: f64,
    /// ln ψ′(x); −∞ outside of the domain.
    log_slope: f64,
    /// ψ′(x).
    slope: f64,
    /// ψ″(x) / ψ′(x).
    bend: f64,
}

impl WarpStep {
    /// ψ at one coordinate; not for couplings.
    fn curve(&self, j: usize, x: f64) -> Curve {
        let inside = x.max(LEAST);
        let log_slope = |v: f64| if x > 0.0 { v } else { f64::NEG_INFINITY };
        match self.map {
            WarpKind::Asinh => {
                let r = x.hypot(1.0);
                Curve {
                    y: x.asinh(),
                    log_slope: -r.ln(),
                    slope: 1.0 / r,
                    bend: -(x / r) / r,
                }
            }
            WarpKind::Log => Curve {
                y: inside.ln(),
                log_slope: log_slope(-inside.ln()),
                slope: 1.0 / inside,
                bend: -1.0 / inside,
            },
            WarpKind::Softplus => {
                // ψ′ = 1/(1 − e⁻ˣ), ψ″/ψ′ = −1/(eˣ − 1).
                let part = -(-inside).exp_m1();
                Curve {
                    y: inside + part.ln(),
                    log_slope: log_slope(-part.ln()),
                    slope: 1.0 / part,
                    bend: -(-inside).exp() / part,
                }
            }
            WarpKind::Affine | WarpKind::AffineCoupling => {
                let scale = entry(&self.scale, j, 1.0);
                Curve {
                    y: (x - entry(&self.shift, j, 0.0)) / scale,
                    log_slope: -scale.ln(),
                    slope: 1.0 / scale,
                    bend: 0.0,
                }
            }
        }
    }

    /// φ = ψ⁻¹ at one coordinate with φ′ and φ″; not for couplings.
    fn inverse_curve(&self, j: usize, y: f64) -> (f64, f64, f64) {
        match self.map {
            WarpKind::Asinh => (y.sinh(), y.cosh(), y.sinh()),
            WarpKind::Log => {
                let x = y.exp();
                (x, x, x)
            }
            WarpKind::Softplus => {
                let s = sigmoid(y);
                (softplus(y), s, s * sigmoid(-y))
            }
            WarpKind::Affine | WarpKind::AffineCoupling => {
                let scale = entry(&self.scale, j, 1.0);
                (entry(&self.shift, j, 0.0) + scale * y, scale, 0.0)
            }
        }
    }

    /// Coordinates of a coupling: those that pass through, and those that are changed.
    fn halves(&self, d: usize) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let (first, last) = (0..d / 2, d / 2..d);
        if self.reverse {
            (last, first)
        } else {
            (first, last)
        }
    }

    /// W x_a + b of changed coordinate `i`, or V x_a + c if `shift`.
    fn linear(&self, shift: bool, i: usize, xa: &[f64], bias: bool) -> f64 {
        let (weights, biases) = if shift {
            (&self.shift_weights, &self.shift_biases)
        } else {
            (&self.weights, &self.biases)
        };
        let dot = weights.as_ref().map_or(0.0, |w| {
            w[i].iter().zip(xa).map(|(w, x)| w * x).sum::<f64>()
        });
        match biases {
            Some(b) if bias => dot + b[i],
            _ => dot,
        }
    }

    pub(super) fn check(&self, d: usize, component: &str, key: &str) -> Result {
        let coupling = self.map == WarpKind::AffineCoupling;
        let affine = self.map == WarpKind::Affine;
        let given = [
            ("shift", self.shift.is_some(), affine, "affine"),
            ("scale", self.scale.is_some(), affine, "affine"),
            (
                "weights",
                self.weights.is_some(),
                coupling,
                "affine-coupling",
            ),
            ("biases", self.biases.is_some(), coupling, "affine-coupling"),
            (
                "shift_weights",
                self.shift_weights.is_some(),
                coupling,
                "affine-coupling",
            ),
            (
                "shift_biases",
                self.shift_biases.is_some(),
                coupling,
                "affine-coupling",
            ),
            ("reverse", self.reverse, coupling, "affine-coupling"),
        ];
        if let Some((field, .., of)) = given.iter().find(|(_, given, right, _)| *given && !right) {
            let allowed = format!("left out: it belongs to the map `{of}`");
            return Err(wrong(component, key, field, "given", allowed));
        }
        let at = |field: &str| format!("{key}.{field}");
        if let Some(shift) = &self.shift {
            shift.expand(d, component, &at("shift"), f64::is_finite, "finite")?;
        }
        if let Some(scale) = &self.scale {
            let right = |v: f64| v > 0.0 && v.is_finite() && (1.0 / v).is_finite();
            scale.expand(d, component, &at("scale"), right, "> 0 and finite")?;
        }
        if !coupling {
            return Ok(());
        }
        if d < 2 {
            let given = format!("affine-coupling in {d} dimension");
            return Err(wrong(component, key, "map", given, "used in 2 or more"));
        }
        let (a, b) = self.halves(d);
        let rows = |field: &str, of: &Option<Vec<Vec<f64>>>| -> Result {
            let Some(rows) = of else { return Ok(()) };
            let fits = rows.len() == b.len() && rows.iter().all(|r| r.len() == a.len());
            if !fits || rows.iter().flatten().any(|v| !v.is_finite()) {
                let allowed = format!("{} rows of {} finite numbers", b.len(), a.len());
                let columns = rows.first().map_or(0, Vec::len);
                let given = format!("{} rows, the first of {columns}", rows.len());
                return Err(wrong(component, key, field, given, allowed));
            }
            Ok(())
        };
        rows("weights", &self.weights)?;
        rows("shift_weights", &self.shift_weights)?;
        for (field, of) in [
            ("biases", &self.biases),
            ("shift_biases", &self.shift_biases),
        ] {
            let Some(v) = of else { continue };
            if v.len() != b.len() || v.iter().any(|v| !v.is_finite()) {
                let given = format!("a list of {}", v.len());
                let allowed = format!("a list of {} finite numbers", b.len());
                return Err(Error::setting(component, at(field), given, allowed));
            }
        }
        Ok(())
    }

    /// Turns the ranges of the coordinates of y into those of x.
    pub(super) fn domain(&self, all: &mut [(f64, f64)]) {
        if self.map == WarpKind::AffineCoupling {
            let (_, b) = self.halves(all.len());
            all[b].fill((f64::NEG_INFINITY, f64::INFINITY));
            return;
        }
        for (j, v) in all.iter_mut().enumerate() {
            *v = (self.inverse_curve(j, v.0).0, self.inverse_curve(j, v.1).0);
        }
    }

    /// x ↦ ψ(x) in place, with ln |det J|.
    pub(super) fn forward(&self, x: &mut [f64]) -> f64 {
        let mut log_det = 0.0;
        if self.map == WarpKind::AffineCoupling {
            let (a, b) = self.halves(x.len());
            for (i, j) in b.enumerate() {
                let s = self.linear(false, i, &x[a.clone()], true).tanh();
                let t = self.linear(true, i, &x[a.clone()], true);
                x[j] = x[j].mul_add(s.exp(), t);
                log_det += s;
            }
            return log_det;
        }
        for (j, x) in x.iter_mut().enumerate() {
            let c = self.curve(j, *x);
            *x = c.y;
            log_det += c.log_slope;
        }
        log_det
    }

    /// y ↦ ψ⁻¹(y) in place.
    pub(super) fn inverse(&self, y: &mut [f64]) {
        if self.map == WarpKind::AffineCoupling {
            let (a, b) = self.halves(y.len());
            for (i, j) in b.enumerate() {
                let s = self.linear(false, i, &y[a.clone()], true).tanh();
                let t = self.linear(true, i, &y[a.clone()], true);
                y[j] = (y[j] - t) * (-s).exp();
            }
            return;
        }
        let positive = matches!(self.map, WarpKind::Log | WarpKind::Softplus);
        for (j, y) in y.iter_mut().enumerate() {
            let x = self.inverse_curve(j, *y).0;
            // What underflows stays inside.
            *y = if positive && x < LEAST { LEAST } else { x };
        }
    }

    /// u ↦ Jᵀ u at `x`, plus ∇ ln |det J| if `det`.
    pub(super) fn pull(&self, x: &[f64], u: &mut [f64], det: bool) {
        if self.map == WarpKind::AffineCoupling {
            let (a, b) = self.halves(x.len());
            for (i, j) in b.enumerate() {
                let s = self.linear(false, i, &x[a.clone()], true).tanh();
                let by_s = (x[j] * s.exp()).mul_add(u[j], if det { 1.0 } else { 0.0 });
                self.spread(i, a.clone(), u, by_s * (1.0 - s * s), u[j]);
                u[j] *= s.exp();
            }
            return;
        }
        for (j, (u, x)) in u.iter_mut().zip(x).enumerate() {
            let c = self.curve(j, *x);
            *u = c.slope.mul_add(*u, if det { c.bend } else { 0.0 });
        }
    }

    /// u ↦ (J⁻¹)ᵀ u at x = ψ⁻¹(y).
    pub(super) fn pull_inverse(&self, x: &[f64], u: &mut [f64]) {
        if self.map == WarpKind::AffineCoupling {
            let (a, b) = self.halves(x.len());
            for (i, j) in b.enumerate() {
                let s = self.linear(false, i, &x[a.clone()], true).tanh();
                let back = u[j] * (-s).exp();
                self.spread(i, a.clone(), u, -x[j] * u[j] * (1.0 - s * s), -back);
                u[j] = back;
            }
            return;
        }
        for (j, (u, x)) in u.iter_mut().zip(x).enumerate() {
            *u /= self.curve(j, *x).slope;
        }
    }

    /// Adds `by_w` Wᵢ + `by_v` Vᵢ to the entries of `u` that pass through.
    fn spread(&self, i: usize, a: std::ops::Range<usize>, u: &mut [f64], by_w: f64, by_v: f64) {
        for (matrix, by) in [(&self.weights, by_w), (&self.shift_weights, by_v)] {
            if let Some(rows) = matrix {
                for (u, w) in u[a.clone()].iter_mut().zip(&rows[i]) {
                    *u += by * w;
                }
            }
        }
    }

    /// Carries value, first and second derivative of a curve through ψ⁻¹.
    pub(super) fn jet(&self, y: &mut [f64], first: &mut [f64], second: &mut [f64]) {
        if self.map == WarpKind::AffineCoupling {
            let (a, b) = self.halves(y.len());
            for (i, j) in b.enumerate() {
                let s = self.linear(false, i, &y[a.clone()], true).tanh();
                let t = self.linear(true, i, &y[a.clone()], true);
                let slope = 1.0 - s * s;
                let along = self.linear(false, i, &first[a.clone()], false);
                let ds = slope * along;
                let d2s = slope * self.linear(false, i, &second[a.clone()], false)
                    - 2.0 * s * slope * along * along;
                let dt = self.linear(true, i, &first[a.clone()], false);
                let d2t = self.linear(true, i, &second[a.clone()], false);
                // (y − t) e⁻ˢ
                let (r, r1, r2) = (y[j] - t, first[j] - dt, second[j] - d2t);
                let e = (-s).exp();
                y[j] = r * e;
                first[j] = e * (r1 - r * ds);
                second[j] = e * (r2 - 2.0 * r1 * ds + r * (ds * ds - d2s));
            }
            return;
        }
        for (j, y) in y.iter_mut().enumerate() {
            let (x, d1, d2) = self.inverse_curve(j, *y);
            second[j] = d2.mul_add(first[j] * first[j], d1 * second[j]);
            first[j] *= d1;
            *y = x;
        }
    }
}
