//! Gauss quadrature: Legendre panels on an interval, Hermite for expectations under N(0, 1), products of rules.
//!
//! Source: Golub & Welsch (1969), Math. Comp. 23, 221 (nodes are the eigenvalues of the Jacobi matrix); Wilkinson
//! (1962), Numer. Math. 4, 362 (counting eigenvalues by signs); Gautschi (2004), Orthogonal Polynomials, §1.4 (weights).
//!
//! With polynomials p₀ = 1, x pₖ = b_{k+1} p_{k+1} + bₖ p_{k−1}, orthonormal under a law that is symmetric about 0,
//!
//! * nodes: the roots of pₙ; the number above x is the number of changes of sign in p₀(x), …, pₙ(x)
//! * weights: 1 / Σ_{k<n} pₖ(x)², a sum of positive terms and so of full *relative* accuracy, the tiny ones too
//!
//! Legendre: bₖ = k/√(4k² − 1), law uniform on (−1, 1). Hermite: bₖ = √k, law N(0, 1).
//!
//! # Cost
//! O(n²) for a rule, some 60 n² multiplications: below a millisecond for n = 60.

use crate::points::wrong;
use ndarray::{Array1, Array2};
use retrograde_core::Result;

const NAME: &str = "quadrature";
/// Most nodes of a rule: beyond, weights of Hermite would underflow.
pub const MAX_NODES: usize = 180;

/// Nodes and weights: ∫ f ≈ Σ wᵢ f(xᵢ).
///
/// # Example
/// ```
/// use retrograde_metrics::quadrature::Rule;
/// // E z⁴ = 3 under N(0, 1).
/// assert!((Rule::hermite(10)?.integrate(|z| z.powi(4)) - 3.0).abs() < 1e-13);
/// // ∫₀^π sin x dx = 2.
/// let panels = Rule::legendre(20)?.panels(0.0, std::f64::consts::PI, 4)?;
/// assert!((panels.integrate(f64::sin) - 2.0).abs() < 1e-14);
/// # Ok::<(), retrograde_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    nodes: Vec<f64>,
    weights: Vec<f64>,
}

impl Rule {
    /// Gauss–Legendre on (−1, 1); weights sum to 2. Exact for polynomials of degree 2n − 1.
    ///
    /// # Errors
    /// [`retrograde_core::Error::Argument`] unless 1 ≤ n ≤ [`MAX_NODES`].
    pub fn legendre(n: usize) -> Result<Self> {
        let b = |k: f64| k / (4.0 * k * k - 1.0).sqrt();
        let mut rule = Self::symmetric(n, 1.0, b)?;
        rule.weights.iter_mut().for_each(|w| *w *= 2.0);
        Ok(rule)
    }

    /// Gauss–Hermite for expectations under N(0, 1); weights sum to 1. Exact for polynomials of degree 2n − 1.
    ///
    /// # Errors
    /// As [`legendre`](Rule::legendre).
    pub fn hermite(n: usize) -> Result<Self> {
        Self::symmetric(n, 2.0 * (n as f64).sqrt(), f64::sqrt)
    }

    /// The rule of the law whose recurrence has the coefficients `b`, with all nodes in (−`bound`, `bound`).
    fn symmetric(n: usize, bound: f64, b: impl Fn(f64) -> f64) -> Result<Self> {
        if n == 0 || n > MAX_NODES {
            let allowed = format!("at least 1 and at most {MAX_NODES}");
            return Err(wrong(NAME, "nodes", n, allowed));
        }
        let b: Vec<f64> = std::iter::once(0.0)
            .chain((1..=n).map(|k| b(k as f64)))
            .collect();
        // Changes of sign, and Σ pₖ² below n.
        let walk = |x: f64| {
            let (mut before, mut p, mut changes, mut squares) = (0.0, 1.0, 0, 0.0);
            for k in 0..n {
                squares += p * p;
                let next = (x * p - b[k] * before) / b[k + 1];
                // A zero counts with the side it comes from.
                changes += usize::from((next < 0.0) != (p < 0.0));
                (before, p) = (p, next);
            }
            (changes, squares)
        };
        let (mut nodes, mut weights) = (vec![0.0; n], vec![0.0; n]);
        for i in 0..n.div_ceil(2) {
            // The node with exactly i nodes above it; the others by symmetry.
            let (mut low, mut high) = (0.0, bound);
            let node = loop {
                let middle = 0.5 * (low + high);
                if n % 2 == 1 && i == n / 2 {
                    break 0.0;
                }
                if middle <= low || middle >= high {
                    break middle;
                }
                if walk(middle).0 > i {
                    low = middle;
                } else {
                    high = middle;
                }
            };
            let weight = walk(node).1.recip();
            (nodes[n - 1 - i], weights[n - 1 - i]) = (node, weight);
            (nodes[i], weights[i]) = (-node, weight);
        }
        Ok(Self { nodes, weights })
    }

    /// This rule of (−1, 1), repeated on `panels` equal parts of (`a`, `b`).
    ///
    /// # Errors
    /// [`retrograde_core::Error::Argument`] unless a < b are finite and there is a panel.
    pub fn panels(&self, a: f64, b: f64, panels: usize) -> Result<Self> {
        if panels == 0 {
            return Err(wrong(NAME, "panels", 0, "at least 1"));
        }
        let edge = |i: usize| a + (b - a) * (i as f64 / panels as f64);
        self.pieces(&(0..=panels).map(edge).collect::<Vec<_>>())
    }

    /// This rule of (−1, 1), repeated on each piece between neighbours in `edges`.
    ///
    /// # Errors
    /// [`retrograde_core::Error::Argument`] unless there are at least two edges, finite and strictly ascending.
    pub fn pieces(&self, edges: &[f64]) -> Result<Self> {
        if edges.len() < 2 {
            return Err(wrong(
                NAME,
                "edges",
                format!("{} numbers", edges.len()),
                "at least 2",
            ));
        }
        if let Some(i) = edges.iter().position(|e| !e.is_finite()) {
            return Err(wrong(NAME, format!("edges[{i}]"), edges[i], "finite"));
        }
        if let Some(i) = (1..edges.len()).find(|i| edges[*i] <= edges[i - 1]) {
            let allowed = format!("above the edge before it, {}", edges[i - 1]);
            return Err(wrong(NAME, format!("edges[{i}]"), edges[i], allowed));
        }
        let size = (edges.len() - 1) * self.nodes.len();
        let (mut nodes, mut weights) = (Vec::with_capacity(size), Vec::with_capacity(size));
        for pair in edges.windows(2) {
            let (centre, half) = (0.5 * (pair[0] + pair[1]), 0.5 * (pair[1] - pair[0]));
            nodes.extend(self.nodes.iter().map(|x| centre + half * x));
            weights.extend(self.weights.iter().map(|w| half * w));
        }
        Ok(Self { nodes, weights })
    }

    /// The trapezoid rule with `intervals` equal intervals on (`a`, `b`), for integrands with kinks.
    ///
    /// # Errors
    /// As [`panels`](Rule::panels).
    pub fn trapezoid(a: f64, b: f64, intervals: usize) -> Result<Self> {
        let ends = Self {
            nodes: vec![-1.0, 1.0],
            weights: vec![1.0, 1.0],
        };
        let doubled = ends.panels(a, b, intervals)?;
        let mut rule = Self {
            nodes: vec![doubled.nodes[0]],
            weights: vec![doubled.weights[0]],
        };
        for i in 0..intervals {
            *rule.weights.last_mut().unwrap_or(&mut 0.0) = doubled.weights[2 * i]
                + if i > 0 {
                    doubled.weights[2 * i - 1]
                } else {
                    0.0
                };
            rule.nodes.push(doubled.nodes[2 * i + 1]);
            rule.weights.push(doubled.weights[2 * i + 1]);
        }
        Ok(rule)
    }

    /// The nodes, ascending.
    #[must_use]
    pub fn nodes(&self) -> &[f64] {
        &self.nodes
    }

    /// Their weights.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Σ wᵢ f(xᵢ).
    pub fn integrate(&self, mut f: impl FnMut(f64) -> f64) -> f64 {
        let terms = self.nodes.iter().zip(&self.weights);
        terms.map(|(x, w)| w * f(*x)).sum()
    }

    /// The product with a rule for a second coordinate: nodes (n m × 2) and weights (n m).
    #[must_use]
    pub fn product(&self, other: &Self) -> (Array2<f64>, Array1<f64>) {
        let m = other.nodes.len();
        let size = self.nodes.len() * m;
        let nodes = Array2::from_shape_fn((size, 2), |(i, j)| {
            if j == 0 {
                self.nodes[i / m]
            } else {
                other.nodes[i % m]
            }
        });
        let weights = Array1::from_shape_fn(size, |i| self.weights[i / m] * other.weights[i % m]);
        (nodes, weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_chains::assert_close;

    /// Abramowitz & Stegun (1964), tables 25.4 and 25.10; those of Hermite scaled by √2 and 1/√π.
    #[test]
    fn published_nodes() {
        let five = Rule::legendre(5).unwrap();
        let nodes = [0.0, 0.538_469_310_105_683, 0.906_179_845_938_664];
        let weights = [
            0.568_888_888_888_889,
            0.478_628_670_499_366,
            0.236_926_885_056_189,
        ];
        for i in 0..3 {
            assert!((five.nodes[2 + i] - nodes[i]).abs() < 1e-15);
            assert!((five.nodes[2 - i] + nodes[i]).abs() < 1e-15);
            assert_close(five.weights[2 + i], weights[i], 2e-15);
        }
        let ten = Rule::hermite(10).unwrap();
        let root_pi = std::f64::consts::PI.sqrt();
        assert_close(ten.nodes[9], 3.436_159_118_837_738 * 2f64.sqrt(), 1e-15);
        assert_close(ten.weights[9], 7.640_432_855_233e-6 / root_pi, 1e-12);
        assert_close(ten.nodes[5], 0.342_901_327_223_705 * 2f64.sqrt(), 1e-14);
        assert_close(ten.weights[5], 0.610_862_633_735_3 / root_pi, 1e-12);
    }

    /// Moments up to the degree 2n − 1 are exact; that of degree 2n is not (the control).
    #[test]
    fn degree_of_exactness() {
        for n in [1, 2, 3, 7, 20, 60] {
            let (legendre, hermite) = (Rule::legendre(n).unwrap(), Rule::hermite(n).unwrap());
            let mut moment = 1.0;
            for k in 0..n.min(30) {
                let even = 2 * k as i32;
                let uniform = 2.0 / f64::from(even + 1);
                assert_close(legendre.integrate(|x| x.powi(even)), uniform, 1e-14);
                assert_close(hermite.integrate(|x| x.powi(even)), moment, 4e-14);
                assert!(legendre.integrate(|x| x.powi(even + 1)).abs() < 1e-15);
                moment *= f64::from(even + 1);
            }
            if n < 8 {
                let even = 2 * n as i32;
                let gap = hermite.integrate(|x| x.powi(even)) / moment - 1.0;
                // pₙ² integrates to 1 but is 0 at the nodes: the moment is short by n!.
                let factorial: f64 = (1..=n).map(|k| k as f64).product();
                assert_close(gap, -factorial / moment, 1e-10);
            }
        }
        let most = Rule::hermite(MAX_NODES).unwrap();
        assert!(most.weights.iter().all(|w| *w > 0.0 && w.is_normal()));
        assert_close(most.integrate(|_| 1.0), 1.0, 1e-13);
        assert_close(most.integrate(f64::cos), (-0.5f64).exp(), 1e-13);
    }

    #[test]
    fn panels_products_and_trapezoids() {
        let rule = Rule::legendre(60).unwrap();
        let wide = rule.panels(-14.0, 14.0, 56).unwrap();
        assert_eq!(wide.nodes().len(), 56 * 60);
        let gauss = wide.integrate(|x| (-0.5 * x * x).exp());
        assert_close(gauss, std::f64::consts::TAU.sqrt(), 1e-14);
        let (nodes, weights) = rule
            .panels(0.0, 1.0, 1)
            .unwrap()
            .product(&rule.panels(0.0, 2.0, 1).unwrap());
        let sum: f64 = nodes
            .rows()
            .into_iter()
            .zip(&weights)
            .map(|(x, w)| w * x[0] * x[1] * x[1])
            .sum();
        assert_close(sum, 0.5 * 8.0 / 3.0, 1e-14);
        let trapezoid = Rule::trapezoid(0.0, 2.0, 4).unwrap();
        assert_eq!(trapezoid.nodes(), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(trapezoid.weights(), [0.25, 0.5, 0.5, 0.5, 0.25]);
    }

    #[test]
    fn bad_input_is_told() {
        let told = |r: Result<Rule>| r.unwrap_err().to_string();
        assert!(told(Rule::legendre(0)).contains("`nodes` is 0"));
        assert!(told(Rule::hermite(181)).contains("at most 180"));
        let rule = Rule::legendre(3).unwrap();
        assert!(told(rule.panels(1.0, 1.0, 2)).contains("above the edge before it, 1"));
        assert!(told(rule.panels(0.0, f64::NAN, 2)).contains("finite"));
        assert!(told(rule.panels(0.0, 1.0, 0)).contains("at least 1"));
        assert!(told(rule.pieces(&[1.0])).contains("1 numbers"));
    }
}
