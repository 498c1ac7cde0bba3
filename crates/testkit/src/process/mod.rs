//! What every forward process must satisfy.

mod laws;
mod matrix;
mod one_dimension;
mod rows;

use crate::with_cx;
use matrix::{determinant, full, solve};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, aview1, s};
use retrograde_core::{Cx, Form, ForwardProcess, Result, Times};

/// Times looked at, in units of T; transitions go from one to a later one.
const TIMES: [f64; 3] = [0.05, 0.35, 0.8];
const PAIRS: [(f64, f64); 3] = [(0.05, 0.12), (0.12, 0.35), (0.35, 0.8)];
/// Relative error of what is compared with differences of first order, and of second order.
const FIRST: f64 = 1e-6;
const SECOND: f64 = 1e-4;

/// What every process must satisfy, at `points` (n × d, inside its support; two or three are plenty), of the
/// abilities it has:
///
/// - G Gᵀ v is G applied to Gᵀ v; G depends on x or does not, as the process says; the divergence of G Gᵀ,
///   the divergence of the drift and its products with vectors are those of differences;
/// - α and C (of x, or of y = ψ(x)) solve their equations with this drift and noise: L ψ = α̇ α⁻¹ ψ and
///   J G Gᵀ Jᵀ = Ċ − α̇ α⁻¹ C − C (α̇ α⁻¹)ᵀ; the time of a noise level inverts it; ∫ g² is that of G;
/// - the transition density solves Kolmogorov's backward equation with this drift and noise, its gradient
///   is that of differences, its draws obey Stein's identity with it and stay in the support; in one
///   dimension its mass is 1, it composes (Chapman–Kolmogorov), draws, distribution function and quantiles
///   are those of the density;
/// - the same for gradient, mass and draws of the reference law;
/// - the noise that a forward map used is found again; restoring by nothing changes nothing, and (where G
///   does not depend on x) by little is x − l (f − G Gᵀ s);
/// - ψ⁻¹ ψ is the identity; log |det J| and the score in x are those of differences of ψ;
/// - a row's result has the same bits alone, in a batch, at any place in it, and for shared times or one
///   a row; the first draws do not depend on how many there are.
///
/// Draws are 20 000 with fixed seeds, and compared at 4.5 standard errors.
///
/// # Panics
/// With the numbers, when one does not hold.
pub fn assert_process(what: &str, process: &dyn ForwardProcess, points: ArrayView2<'_, f64>) {
    let p = Probe {
        what,
        process,
        points,
    };
    assert_eq!(points.ncols(), process.dim(), "{what}: dimension");
    let end = process.t_end();
    assert!(end > 0.0 && end.is_finite(), "{what}: t_end is {end}");
    p.noise_and_drift();
    p.linear();
    p.integral_g2();
    p.maps();
    p.warp();
    p.rows();
    p.reference_law();
    p.transition_law();
}

struct Probe<'a> {
    what: &'a str,
    process: &'a dyn ForwardProcess,
    points: ArrayView2<'a, f64>,
}

/// Derivative at 0 by central differences of fourth order.
fn derivative(step: f64, f: impl Fn(f64) -> Array1<f64>) -> Array1<f64> {
    let [a, b, c, d] = [f(-2.0 * step), f(-step), f(step), f(2.0 * step)];
    (a - 8.0 * b + 8.0 * c - d) / (12.0 * step)
}

/// Second derivative at 0 likewise.
fn second_derivative(step: f64, f: impl Fn(f64) -> Array1<f64>) -> Array1<f64> {
    let [a, b, m, c, d] = [f(-2.0 * step), f(-step), f(0.0), f(step), f(2.0 * step)];
    (16.0 * (b + c) - a - d - 30.0 * m) / (12.0 * step * step)
}

fn row(v: &[f64]) -> Array2<f64> {
    aview1(v).insert_axis(ndarray::Axis(0)).to_owned()
}

fn unit(d: usize, j: usize) -> Array1<f64> {
    Array1::from_shape_fn(d, |i| f64::from(i == j))
}

fn largest(v: ArrayView1<'_, f64>) -> f64 {
    v.iter().fold(0.0, |m, v| v.abs().max(m))
}

/// Calls `f` on one row, with a context, and gives the row it writes.
fn one(
    width: usize,
    f: impl FnOnce(&mut Cx<'_>, ndarray::ArrayViewMut2<'_, f64>) -> Result,
) -> Array1<f64> {
    let mut out = Array2::from_elem((1, width), f64::NAN);
    with_cx(1, |cx| f(cx, out.view_mut())).expect("it evaluates");
    out.row(0).to_owned()
}

impl Probe<'_> {
    fn near(
        &self,
        name: &str,
        got: ArrayView1<'_, f64>,
        want: ArrayView1<'_, f64>,
        tolerance: f64,
    ) {
        self.near_scaled(name, got, want, tolerance, 0.0);
    }

    /// Panics unless got is want, relative to the largest entry, 1 or `scale`.
    fn near_scaled(
        &self,
        name: &str,
        got: ArrayView1<'_, f64>,
        want: ArrayView1<'_, f64>,
        tolerance: f64,
        scale: f64,
    ) {
        let scale = largest(want).max(1.0).max(scale);
        let error = largest((&got - &want).view()) / scale;
        assert!(
            error <= tolerance && got.iter().chain(want).all(|v| v.is_finite()),
            "{}: {name}: {got} where {want} is expected (error {error:.1e})",
            self.what
        );
    }

    fn times(&self) -> [f64; 3] {
        TIMES.map(|t| t * self.process.t_end())
    }

    fn pairs(&self) -> [(f64, f64); 3] {
        let end = self.process.t_end();
        PAIRS.map(|(s, t)| (s * end, t * end))
    }

    fn d(&self) -> usize {
        self.process.dim()
    }

    /// The longest step along `v` that differences may take at `x`, well inside the support.
    fn room(&self, x: ArrayView1<'_, f64>, v: ArrayView1<'_, f64>) -> f64 {
        let (low, high) = self.process.support();
        let each = x.iter().zip(v).map(|(x, v)| {
            let room = (1.0 + x.abs()).min(x - low).min(high - x);
            assert!(room > 0.0, "{}: {x} is outside the support", self.what);
            room / v.abs()
        });
        each.fold(f64::INFINITY, f64::min).min(1e6)
    }

    fn drift(&self, t: f64, x: ArrayView1<'_, f64>) -> Array1<f64> {
        let x = row(&x.to_vec());
        one(self.d(), |cx, f| {
            self.process.drift(cx, Times::Shared(t), x.view(), f)
        })
    }

    /// G, d × m.
    fn g(&self, t: f64, x: ArrayView1<'_, f64>) -> Array2<f64> {
        let (x, m) = (row(&x.to_vec()), self.process.noise_dim());
        let mut g = Array2::zeros((self.d(), m));
        for k in 0..m {
            let z = row(&unit(m, k).to_vec());
            let column = one(self.d(), |cx, out| {
                let t = Times::Shared(t);
                self.process.apply_g(cx, t, x.view(), z.view(), out)
            });
            g.column_mut(k).assign(&column);
        }
        g
    }

    fn ggt(&self, t: f64, x: ArrayView1<'_, f64>) -> Array2<f64> {
        let (x, d) = (row(&x.to_vec()), self.d());
        let mut all = Array2::zeros((d, d));
        for j in 0..d {
            let v = row(&unit(d, j).to_vec());
            let column = one(d, |cx, out| {
                let t = Times::Shared(t);
                self.process.apply_ggt(cx, t, x.view(), v.view(), out)
            });
            all.column_mut(j).assign(&column);
        }
        all
    }

    /// Derivative of `f` along `v` at `x`.
    fn along(
        &self,
        x: ArrayView1<'_, f64>,
        v: ArrayView1<'_, f64>,
        f: impl Fn(ArrayView1<'_, f64>) -> Array1<f64>,
    ) -> Array1<f64> {
        let step = 1e-3 * self.room(x, v);
        derivative(step, |e| f((&x + &(e * &v)).view()))
    }

    fn noise_and_drift(&self) {
        let d = self.d();
        let constant = self.process.g_constant_in_x();
        assert!(
            constant || self.process.div_ggt().is_some(),
            "{}: G depends on x, and there is no divergence of G Gᵀ",
            self.what
        );
        for t in self.times() {
            let flat = |m: Array2<f64>| m.into_flat();
            let first = flat(self.ggt(t, self.points.row(0)));
            for x in self.points.rows() {
                let (g, ggt) = (self.g(t, x), self.ggt(t, x));
                self.near("G Gᵀ", flat(ggt).view(), flat(g.dot(&g.t())).view(), 1e-10);
                let jacobian: Vec<Array1<f64>> = (0..d)
                    .map(|j| self.along(x, unit(d, j).view(), |x| self.drift(t, x)))
                    .collect();
                if constant {
                    self.near(
                        "constant G",
                        flat(self.ggt(t, x)).view(),
                        first.view(),
                        1e-12,
                    );
                }
                if let Some(divergence) = self.process.div_ggt() {
                    let mut want = Array1::zeros(d);
                    for j in 0..d {
                        let column = |x: ArrayView1<'_, f64>| self.ggt(t, x).column(j).to_owned();
                        want += &self.along(x, unit(d, j).view(), column);
                    }
                    let x = row(&x.to_vec());
                    let got = one(d, |cx, out| {
                        divergence.div_ggt(cx, Times::Shared(t), x.view(), out)
                    });
                    self.near("divergence of G Gᵀ", got.view(), want.view(), FIRST);
                }
                let (x, u) = (row(&x.to_vec()), row(&crate::point(d)));
                if let Some(jvp) = self.process.drift_jvp() {
                    let mut want = Array1::zeros(d);
                    (0..d).for_each(|j| want.scaled_add(u[(0, j)], &jacobian[j]));
                    let got = one(d, |cx, out| {
                        jvp.drift_jvp(cx, Times::Shared(t), x.view(), u.view(), out)
                    });
                    self.near("∂f v", got.view(), want.view(), FIRST);
                }
                if let Some(vjp) = self.process.drift_vjp() {
                    let want = Array1::from_shape_fn(d, |j| u.row(0).dot(&jacobian[j]));
                    let got = one(d, |cx, out| {
                        vjp.drift_vjp(cx, Times::Shared(t), x.view(), u.view(), out)
                    });
                    self.near("(∂f)ᵀ u", got.view(), want.view(), FIRST);
                }
                if let Some(divergence) = self.process.drift_divergence() {
                    let want: f64 = (0..d).map(|j| jacobian[j][j]).sum();
                    let got = one(1, |cx, mut out| {
                        let (t, out) = (Times::Shared(t), out.column_mut(0));
                        divergence.drift_divergence(cx, t, x.view(), out)
                    });
                    self.near("divergence of f", got.view(), aview1(&[want]), FIRST);
                }
            }
        }
    }

    /// ψ(x), or x itself.
    fn psi(&self, x: ArrayView1<'_, f64>) -> Array1<f64> {
        let Some(warp) = self.process.warp() else {
            return x.to_owned();
        };
        let x = row(&x.to_vec());
        one(self.d(), |cx, y| warp.warp(cx, x.view(), y, None))
    }

    /// ∂ψ/∂x.
    fn psi_jacobian(&self, x: ArrayView1<'_, f64>) -> Array2<f64> {
        let d = self.d();
        let mut jacobian = Array2::zeros((d, d));
        for j in 0..d {
            let column = self.along(x, unit(d, j).view(), |x| self.psi(x));
            jacobian.column_mut(j).assign(&column);
        }
        jacobian
    }

    fn linear(&self) {
        let Some(linear) = self.process.linear() else {
            return;
        };
        let (d, form) = (self.d(), linear.form());
        let at = |t: f64| {
            let (mut a, mut c) = (vec![f64::NAN; form.len(d)], vec![f64::NAN; form.len(d)]);
            linear.at(t, &mut a, &mut c);
            [a, c].map(|v| full(form, d, &v))
        };
        let [a, c] = at(0.0);
        let eye = Array2::<f64>::eye(d).into_flat();
        self.near("α(0)", a.into_flat().view(), eye.view(), 1e-14);
        assert!(
            c.iter().all(|c| c.abs() < 1e-14),
            "{}: C(0) is {c}",
            self.what
        );
        for t in self.times() {
            let [a, c] = at(t);
            let both = |t: f64| {
                let [a, c] = at(t);
                a.iter().chain(&c).copied().collect::<Array1<f64>>()
            };
            let slopes = derivative(1e-3 * t, |e| both(t + e));
            let part = |k: usize| {
                let part = slopes.slice(s![k * d * d..(k + 1) * d * d]).to_vec();
                Array2::from_shape_vec((d, d), part).expect("d² numbers")
            };
            let rate = solve(a.t().to_owned(), part(0).t().to_owned())
                .t()
                .to_owned();
            let noise = part(1) - rate.dot(&c) - c.dot(&rate.t());
            for x in self.points.rows() {
                let (g, y, jacobian) = (self.g(t, x), self.psi(x), self.psi_jacobian(x));
                let got = jacobian.dot(&g).dot(&g.t()).dot(&jacobian.t()).into_flat();
                let scale = largest(slopes.view());
                self.near_scaled(
                    "noise of (α, C)",
                    got.view(),
                    noise.flatten().view(),
                    FIRST,
                    scale,
                );
                let mut moved = jacobian.dot(&self.drift(t, x));
                for column in g.columns() {
                    if column.iter().any(|v| *v != 0.0) {
                        let step = 3e-3 * self.room(x, column);
                        let psi = |e: f64| self.psi((&x + &(e * &column)).view());
                        moved += &(0.5 * second_derivative(step, psi));
                    }
                }
                let want = rate.dot(&y);
                self.near("drift of (α, C)", moved.view(), want.view(), SECOND * 0.01);
            }
            if form == Form::Scalar {
                let (alpha, sd) = linear.scalar(t);
                let end = self.process.t_end();
                let back = linear.time_of(sd / alpha, end).expect("a level");
                self.near(
                    "time of a level",
                    aview1(&[back / t]),
                    aview1(&[1.0]),
                    1e-12,
                );
            }
        }
    }

    fn integral_g2(&self) {
        let Some(integral) = self.process.integral_g2() else {
            return;
        };
        let of = |s: f64, t: f64| integral.integral_g2(s, t);
        for (s, t) in self.pairs() {
            let middle = s + 0.3 * (t - s);
            let parts = of(s, middle) + of(middle, t);
            self.near(
                "∫ g² in parts",
                aview1(&[parts / of(s, t)]),
                aview1(&[1.0]),
                1e-12,
            );
            let slope = derivative(1e-3 * (t - s), |e| aview1(&[of(s, t + e)]).to_owned());
            for x in self.points.rows() {
                let want = slope[0] * Array2::<f64>::eye(self.d());
                let got = self.ggt(t, x);
                self.near(
                    "∫ g²",
                    got.into_flat().view(),
                    want.into_flat().view(),
                    FIRST,
                );
            }
        }
    }

    fn maps(&self) {
        let (n, d) = self.points.dim();
        for (s, t) in self.pairs() {
            if let Some(map) = self.process.forward_map() {
                let mut z = Array2::zeros((n, self.process.noise_dim()));
                let (mut x, mut back) = (Array2::zeros((n, d)), z.clone());
                with_cx(3, |cx| {
                    cx.fill_normal(z.view_mut());
                    map.forward_map(cx, s, t, self.points, z.view(), x.view_mut())?;
                    map.solve_noise(cx, s, t, self.points, x.view(), back.view_mut())
                })
                .expect("it maps");
                let (back, z) = (back.into_flat(), z.into_flat());
                self.near("noise found again", back.view(), z.view(), 1e-7);
            }
            if let Some(restore) = self.process.restore() {
                for x in self.points.rows() {
                    let (point, score) = (row(&x.to_vec()), row(&crate::point(d)));
                    let by = |back: f64| {
                        one(d, |cx, r| {
                            restore.restore(cx, t, back, point.view(), score.view(), r)
                        })
                    };
                    self.near("restored by nothing", by(0.0).view(), x, 1e-12);
                    let r = by(t - s);
                    assert!(
                        r.iter().all(|r| r.is_finite()),
                        "{}: restored {r}",
                        self.what
                    );
                    if !self.process.g_constant_in_x() || self.process.warp().is_some() {
                        continue;
                    }
                    let slope = |l: f64| (&by(l) - &x) / l;
                    let l = 1e-4 * (t - s);
                    let got = 2.0 * slope(0.5 * l) - slope(l);
                    let want = self.ggt(t, x).dot(&score.row(0)) - self.drift(t, x);
                    self.near("restored by little", got.view(), want.view(), 1e-5);
                }
            }
        }
    }

    fn warp(&self) {
        let Some(warp) = self.process.warp() else {
            return;
        };
        let d = self.d();
        let log_det = |x: ArrayView1<'_, f64>| {
            let x = row(&x.to_vec());
            let mut y = Array2::zeros((1, d));
            one(1, |cx, mut out| {
                warp.warp(cx, x.view(), y.view_mut(), Some(out.column_mut(0)))
            })
        };
        for x in self.points.rows() {
            let y = row(&self.psi(x).to_vec());
            let back = one(d, |cx, out| warp.unwarp(cx, y.view(), out));
            self.near("ψ⁻¹ ψ", back.view(), x, 1e-10);
            let jacobian = self.psi_jacobian(x);
            let want = determinant(jacobian.clone()).abs().ln();
            self.near("log |det J|", log_det(x).view(), aview1(&[want]), FIRST);
            let slopes: Array1<f64> = (0..d)
                .map(|j| self.along(x, unit(d, j).view(), log_det)[0])
                .collect();
            for score_y in [vec![0.0; d], crate::point(d)] {
                let want = jacobian.t().dot(&aview1(&score_y)) + &slopes;
                let (x, score_y) = (row(&x.to_vec()), row(&score_y));
                let got = one(d, |cx, out| {
                    warp.warp_score(cx, x.view(), score_y.view(), out)
                });
                self.near("score of a warp", got.view(), want.view(), FIRST);
            }
        }
    }
}
