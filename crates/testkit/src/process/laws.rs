//! The transition and the reference law, in any dimension.

use super::{FIRST, Probe, SECOND, derivative, largest, one, row, second_derivative, unit};
use crate::{assert_z, mean_se, with_cx};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, aview1, s};

/// Draws of a law.
const DRAWS: usize = 20_000;

impl Probe<'_> {
    /// log p(x_t | x_s).
    fn log_transition(
        &self,
        (s, t): (f64, f64),
        from: ArrayView1<'_, f64>,
        to: ArrayView1<'_, f64>,
    ) -> Array1<f64> {
        let transition = self.process.transition().expect("a transition");
        let (from, to) = (row(&from.to_vec()), row(&to.to_vec()));
        one(1, |cx, mut out| {
            let l = Some(out.column_mut(0));
            transition.score(cx, s, t, from.view(), to.view(), l, None)
        })
    }

    pub(super) fn transition_law(&self) {
        let Some(transition) = self.process.transition() else {
            return;
        };
        let (n, d) = self.points.dim();
        for pair in self.pairs() {
            let (s, t) = pair;
            for (i, from) in self.points.rows().into_iter().enumerate() {
                let start = row(&from.to_vec());
                let draw = |count: usize| {
                    let starts = Array2::from_shape_fn((count, d), |(_, j)| from[j]);
                    let mut x = Array2::from_elem((count, d), f64::NAN);
                    let sampled = with_cx(17 + i as u64, |cx| {
                        transition.sample(cx, s, t, starts.view(), x.view_mut())
                    });
                    sampled.expect("it draws");
                    x
                };
                let x = draw(DRAWS);
                self.first_draws("transition", &x, draw(DRAWS / 3));
                // At a point that the transition reaches, and at one of the others.
                for to in [x.row(0), self.points.row((i + 1) % n)] {
                    self.backward_equation(pair, from, to);
                    let target = row(&to.to_vec());
                    let got = one(d, |cx, g| {
                        transition.score(cx, s, t, start.view(), target.view(), None, Some(g))
                    });
                    let slope = |j: usize| {
                        self.along(to, unit(d, j).view(), |x| {
                            self.log_transition(pair, from, x)
                        })[0]
                    };
                    let want: Array1<f64> = (0..d).map(slope).collect();
                    self.near("gradient of the transition", got.view(), want.view(), FIRST);
                }
                let starts = Array2::from_shape_fn((DRAWS, d), |(_, j)| from[j]);
                let mut g = Array2::zeros((DRAWS, d));
                let scored = with_cx(1, |cx| {
                    transition.score(cx, s, t, starts.view(), x.view(), None, Some(g.view_mut()))
                });
                scored.expect("it evaluates");
                self.stein("transition", x.view(), g.view());
            }
        }
        if d == 1 {
            self.transition_in_one_dimension();
        }
    }

    /// ∂ₛ log p + f · g + ½ Σₖ (∂²ₖ log p + (∂ₖ log p)²) = 0, g the gradient in x_s and ∂ₖ along the
    /// columns of G.
    fn backward_equation(
        &self,
        pair: (f64, f64),
        from: ArrayView1<'_, f64>,
        to: ArrayView1<'_, f64>,
    ) {
        let (s, t) = pair;
        let step = 1e-3 * s.min(t - s);
        let moved = |e: f64| self.log_transition((s + e, t), from, to);
        let mut terms = vec![derivative(step, moved)[0]];
        let at = |x: ArrayView1<'_, f64>| self.log_transition(pair, x, to);
        let drift = self.drift(s, from);
        if largest(drift.view()) > 0.0 {
            terms.push(self.along(from, drift.view(), at)[0]);
        }
        for column in self.g(s, from).columns() {
            if largest(column) > 0.0 {
                let step = 3e-3 * self.room(from, column);
                let along = |e: f64| at((&from + &(e * &column)).view());
                terms.push(0.5 * second_derivative(step, along)[0]);
                terms.push(0.5 * self.along(from, column, at)[0].powi(2));
            }
        }
        let size: f64 = terms.iter().map(|t| t.abs()).sum();
        let sum: f64 = terms.iter().sum();
        assert!(
            sum.abs() <= SECOND * size.max(1e-3),
            "{}: the transition from {from} at {s} to {to} at {t} is not that of drift and noise: \
             {terms:?} sum to {sum:.1e}",
            self.what
        );
    }

    pub(super) fn reference_law(&self) {
        let d = self.d();
        let draw = |count: usize| {
            let mut x = Array2::from_elem((count, d), f64::NAN);
            with_cx(5, |cx| self.process.reference_sample(cx, x.view_mut())).expect("it draws");
            x
        };
        let log_density = |x: ArrayView1<'_, f64>| {
            let x = row(&x.to_vec());
            one(1, |cx, mut out| {
                let l = Some(out.column_mut(0));
                self.process.reference_eval(cx, x.view(), l, None)
            })
        };
        for x in self.points.rows() {
            let point = row(&x.to_vec());
            let got = one(d, |cx, g| {
                self.process.reference_eval(cx, point.view(), None, Some(g))
            });
            let slope = |j: usize| self.along(x, unit(d, j).view(), log_density)[0];
            let want: Array1<f64> = (0..d).map(slope).collect();
            self.near(
                "gradient of the reference law",
                got.view(),
                want.view(),
                FIRST,
            );
        }
        let x = draw(DRAWS);
        self.first_draws("reference law", &x, draw(DRAWS / 3));
        let mut g = Array2::zeros((DRAWS, d));
        with_cx(1, |cx| {
            self.process
                .reference_eval(cx, x.view(), None, Some(g.view_mut()))
        })
        .expect("it evaluates");
        self.stein("reference law", x.view(), g.view());
        if d == 1 {
            let density = |x: &[f64]| {
                let x = aview1(x).insert_axis(ndarray::Axis(1)).to_owned();
                let mut l = Array1::zeros(x.nrows());
                with_cx(1, |cx| {
                    let l = Some(l.view_mut());
                    self.process.reference_eval(cx, x.view(), l, None)
                })
                .expect("it evaluates");
                l.mapv(f64::exp).to_vec()
            };
            self.density_and_draws("reference law", x.column(0), density);
        }
    }

    fn first_draws(&self, name: &str, all: &Array2<f64>, fewer: Array2<f64>) {
        let first = all.slice(s![..fewer.nrows(), ..]);
        assert!(
            first == fewer || !self.process.traits().rowwise,
            "{}: {name}: the first draws depend on how many there are",
            self.what
        );
        let (low, high) = self.process.support();
        assert!(
            all.iter().all(|x| *x > low && *x < high),
            "{}: {name}: draws outside the support",
            self.what
        );
    }

    /// E[φ ∂ⱼ log p + φ′] = 0 for draws `x` and the gradient of log p there, φ a function that vanishes
    /// at the ends of the support.
    fn stein(&self, name: &str, x: ArrayView2<'_, f64>, gradient: ArrayView2<'_, f64>) {
        let (low, high) = self.process.support();
        for j in 0..self.d() {
            let terms = x
                .column(j)
                .into_iter()
                .zip(gradient.column(j))
                .map(|(x, g)| {
                    let (a, da) = if low.is_finite() {
                        (x - low, 1.0)
                    } else {
                        (1.0, 0.0)
                    };
                    let (b, db) = if high.is_finite() {
                        (high - x, -1.0)
                    } else {
                        (1.0, 0.0)
                    };
                    a * b * g + da * b + a * db
                });
            let (mean, se) = mean_se(terms);
            assert_z(
                &format!("{}: {name}: Stein's identity", self.what),
                mean,
                0.0,
                se,
            );
            // With a function that is odd about the middle: it sees the spread.
            let values = x.column(j);
            let middle = values.mean().expect("draws");
            let spread = mean_se(values.iter().map(|x| (x - middle).abs())).0;
            let terms = values.into_iter().zip(gradient.column(j)).map(|(x, g)| {
                let (a, da) = if low.is_finite() {
                    (x - low, 1.0)
                } else {
                    (1.0, 0.0)
                };
                let (b, db) = if high.is_finite() {
                    (high - x, -1.0)
                } else {
                    (1.0, 0.0)
                };
                let odd = ((x - middle) / spread).tanh();
                let slope = (1.0 - odd * odd) / spread;
                a * b * odd * g + (da * b + a * db) * odd + a * b * slope
            });
            let (mean, se) = mean_se(terms);
            assert_z(
                &format!("{}: {name}: Stein's identity, odd", self.what),
                mean,
                0.0,
                se,
            );
        }
    }
}
