//! Densities, draws and distribution functions in one dimension, by quadrature.

use super::Probe;
use crate::{assert_close, assert_z, mean_se, with_cx};
use ndarray::{Array1, Array2, ArrayView1, aview1};

/// Nodes of the trapezoidal rule, which is exact to many digits for what is smooth and dies off.
const NODES: usize = 8001;

/// Nodes x and weights dx on the support, fine where `draws` lie.
struct Rule {
    x: Vec<f64>,
    weight: Vec<f64>,
}

impl Rule {
    fn new((low, high): (f64, f64), draws: ArrayView1<'_, f64>) -> Self {
        // x = x(y), y on the whole line.
        let to = |x: f64| match (low.is_finite(), high.is_finite()) {
            (false, false) => x,
            (true, false) => (x - low).ln(),
            (false, true) => -(high - x).ln(),
            (true, true) => ((x - low) / (high - x)).ln(),
        };
        let from = |y: f64| match (low.is_finite(), high.is_finite()) {
            (false, false) => (y, 1.0),
            (true, false) => (low + y.exp(), y.exp()),
            (false, true) => (high - (-y).exp(), (-y).exp()),
            (true, true) => {
                let p = 1.0 / (1.0 + (-y).exp());
                let q = 1.0 / (1.0 + y.exp());
                (low + (high - low) * p, (high - low) * p * q)
            }
        };
        let (middle, _) = mean_se(draws.iter().map(|x| to(*x)));
        let (spread, _) = mean_se(draws.iter().map(|x| (to(*x) - middle).abs()));
        let h = 12.0 / (NODES - 1) as f64;
        let (mut x, mut weight) = (Vec::new(), Vec::new());
        for k in 0..NODES {
            let u = -6.0 + h * k as f64;
            let (value, slope) = from(middle + spread * u.sinh());
            let w = h * spread * u.cosh() * slope;
            if value > low && value < high && value.is_finite() && w.is_finite() {
                x.push(value);
                weight.push(w);
            }
        }
        Self { x, weight }
    }

    fn integral(&self, f: &[f64], of: impl Fn(f64) -> f64) -> f64 {
        let all = self.x.iter().zip(&self.weight).zip(f);
        all.filter(|(_, f)| **f > 0.0)
            .map(|((x, w), f)| w * f * of(*x))
            .sum()
    }
}

impl Probe<'_> {
    /// Mass 1, and draws that are of the density: by the mean and the mean square of a bounded function.
    pub(super) fn density_and_draws(
        &self,
        name: &str,
        draws: ArrayView1<'_, f64>,
        density: impl Fn(&[f64]) -> Vec<f64>,
    ) {
        let what = format!("{}: {name}", self.what);
        let rule = Rule::new(self.process.support(), draws);
        let p = density(&rule.x);
        assert_close(
            &format!("{what}: mass"),
            rule.integral(&p, |_| 1.0),
            1.0,
            1e-6,
        );
        let middle = draws.mean().expect("draws");
        let (spread, _) = mean_se(draws.iter().map(|x| (x - middle).abs()));
        let bounded = |x: f64| ((x - middle) / spread).tanh();
        let (mean, se) = mean_se(draws.iter().map(|x| bounded(*x)));
        assert_z(
            &format!("{what}: mean"),
            mean,
            rule.integral(&p, bounded),
            se,
        );
        let square = |x: f64| bounded(x).powi(2);
        let (mean, se) = mean_se(draws.iter().map(|x| square(*x)));
        assert_z(
            &format!("{what}: spread"),
            mean,
            rule.integral(&p, square),
            se,
        );
    }

    pub(super) fn transition_in_one_dimension(&self) {
        let transition = self.process.transition().expect("a transition");
        let sample = |(s, t): (f64, f64), from: f64| {
            let starts = Array2::from_elem((20_000, 1), from);
            let mut x = starts.clone();
            let drawn = with_cx(29, |cx| {
                transition.sample(cx, s, t, starts.view(), x.view_mut())
            });
            drawn.expect("it draws");
            x.column(0).to_owned()
        };
        // p(to | from), for the longer of the two lists or equally many of both.
        let density = |(s, t): (f64, f64), from: &[f64], to: &[f64]| {
            let n = from.len().max(to.len());
            let column = |v: &[f64]| Array2::from_shape_fn((n, 1), |(i, _)| v[i % v.len()]);
            let (from, to) = (column(from), column(to));
            let mut l = Array1::zeros(n);
            with_cx(1, |cx| {
                let l = Some(l.view_mut());
                transition.score(cx, s, t, from.view(), to.view(), l, None)
            })
            .expect("it evaluates");
            l.mapv(f64::exp).to_vec()
        };
        for from in self.points.column(0) {
            for pair in self.pairs() {
                let draws = sample(pair, *from);
                let p = |x: &[f64]| density(pair, &[*from], x);
                self.density_and_draws("transition", draws.view(), p);
                self.distribution(pair, *from, draws.view(), p);
            }
            let [_, (s, m), (_, t)] = self.pairs();
            let between = sample((s, m), *from);
            let rule = Rule::new(self.process.support(), between.view());
            let first = density((s, m), &[*from], &rule.x);
            for to in sample((s, t), *from).iter().take(3) {
                let second = density((m, t), &rule.x, &[*to]);
                let product: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a * b).collect();
                let composed = rule.integral(&product, |_| 1.0);
                let direct = density((s, t), &[*from], &[*to])[0];
                let what = format!("{}: Chapman–Kolmogorov", self.what);
                assert_close(&what, composed / direct, 1.0, 1e-6);
            }
        }
    }

    /// The distribution function's differences are the density's integrals, and its quantiles invert it.
    fn distribution(
        &self,
        (s, t): (f64, f64),
        from: f64,
        draws: ArrayView1<'_, f64>,
        density: impl Fn(&[f64]) -> Vec<f64>,
    ) {
        let Some(cdf) = self.process.cdf() else {
            return;
        };
        let mut x: Vec<f64> = draws.iter().take(40).copied().collect();
        x.sort_by(f64::total_cmp);
        let r = Array1::from_elem(x.len(), from);
        let (mut p, mut back) = (r.clone(), r.clone());
        with_cx(1, |cx| {
            cdf.cdf(cx, s, t, r.view(), aview1(&x), p.view_mut())?;
            cdf.quantile(cx, s, t, r.view(), p.view(), back.view_mut())
        })
        .expect("it evaluates");
        self.near("quantiles", back.view(), aview1(&x), 1e-8);
        for (k, w) in x.windows(2).enumerate() {
            // Simpson's rule, in pieces.
            let (pieces, width) = (64, w[1] - w[0]);
            let h = width / (2 * pieces) as f64;
            let nodes: Vec<f64> = (0..=2 * pieces).map(|i| w[0] + h * i as f64).collect();
            let values = density(&nodes);
            let weight = |i: usize| match i {
                0 => 1.0,
                i if i == 2 * pieces => 1.0,
                i if i % 2 == 1 => 4.0,
                _ => 2.0,
            };
            let sum: f64 = values.iter().enumerate().map(|(i, v)| weight(i) * v).sum();
            let what = format!("{}: distribution function", self.what);
            assert_close(&what, p[k + 1] - p[k], sum * h / 3.0, 1e-7);
        }
        let all = draws.len() as f64;
        let below = draws.iter().filter(|d| **d <= x[20]).count() as f64 / all;
        let se = (p[20] * (1.0 - p[20]) / all).sqrt();
        assert_z(&format!("{}: draws below", self.what), below, p[20], se);
    }
}
