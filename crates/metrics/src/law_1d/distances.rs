//! Integrals over pairs of laws on the line, and over densities given at the nodes of a rule.

use super::{Law1d, NAME, log_phi, merged};
use crate::points::{same, wrong};
use crate::quadrature::Rule;
use crate::transport::Order;
use ndarray::ArrayView1;
use retrograde_core::Result;

/// Nodes of a piece.
const NODES: usize = 60;
/// Points of a piece that are searched for changes of sign.
const SCAN: usize = 64;

/// A rule on the pieces between the breaks of all `laws`.
fn pieces(laws: &[&dyn Law1d]) -> Result<(Rule, Vec<f64>)> {
    let edges = merged(laws.iter().flat_map(|l| l.breaks()).collect());
    Ok((Rule::legendre(NODES)?.pieces(&edges)?, edges))
}

/// Returns KL(p ‖ q) in nats; ∞ where p has mass and q has none.
///
/// # Errors
/// [`retrograde_core::Error::Argument`] when the breaks of a law are unfit or its density is NaN.
///
/// # Example
/// ```
/// use retrograde_metrics::law_1d::{Mixture1d, kl};
/// let (p, q) = (Mixture1d::normal(0.0, 1.0)?, Mixture1d::normal(0.5, 1.2)?);
/// assert!((kl(&p, &q)? - 0.11634933457173).abs() < 1e-13);
/// # Ok::<(), retrograde_core::Error>(())
/// ```
pub fn kl(p: &dyn Law1d, q: &dyn Law1d) -> Result<f64> {
    let (rule, _) = pieces(&[p, q])?;
    number(
        "KL",
        rule.integrate(|x| {
            let log_p = p.log_density(x);
            let mass = log_p.exp();
            if mass == 0.0 {
                0.0
            } else {
                mass * (log_p - q.log_density(x))
            }
        }),
    )
}

/// Returns the differential entropy −∫ p ln p, in nats.
///
/// # Errors
/// As [`kl`].
pub fn entropy(p: &dyn Law1d) -> Result<f64> {
    let (rule, _) = pieces(&[p])?;
    number(
        "entropy",
        rule.integrate(|x| {
            let log_p = p.log_density(x);
            let mass = log_p.exp();
            if mass == 0.0 { 0.0 } else { -mass * log_p }
        }),
    )
}

/// Returns the squared Hellinger distance 1 − ∫ √(p q) = ½ ∫ (√p − √q)²; its complement is the Bhattacharyya coefficient.
///
/// # Errors
/// As [`kl`].
pub fn hellinger_squared(p: &dyn Law1d, q: &dyn Law1d) -> Result<f64> {
    let (rule, _) = pieces(&[p, q])?;
    number(
        "Hellinger",
        rule.integrate(|x| {
            let gap = (0.5 * p.log_density(x)).exp() - (0.5 * q.log_density(x)).exp();
            0.5 * gap * gap
        }),
    )
}

/// Returns χ²(p ‖ q) = ∫ (p − q)²/q; ∞ where the tails of p are too heavy for those of q.
///
/// The tails count beyond the breaks of both laws, over up to 2⁶ times their width; where the integrand has not died
/// away there the integral is taken to diverge.
///
/// # Errors
/// As [`kl`].
pub fn chi_squared(p: &dyn Law1d, q: &dyn Law1d) -> Result<f64> {
    let (rule, edges) = pieces(&[p, q])?;
    let integrand = |x: f64| {
        let (log_p, log_q) = (p.log_density(x), q.log_density(x));
        if log_p == f64::NEG_INFINITY && log_q == f64::NEG_INFINITY {
            return 0.0;
        }
        // q (p/q − 1)², with the square written so that neither factor overflows before the product does.
        let root = (log_p - 0.5 * log_q).exp() - (0.5 * log_q).exp();
        root * root
    };
    let mut sum = rule.integrate(integrand);
    let panel = Rule::legendre(NODES)?;
    let (mut low, mut high) = (edges[0], edges[edges.len() - 1]);
    let mut last = f64::INFINITY;
    for _ in 0..6 {
        let reach = 0.5 * (high - low);
        let tails = panel.panels(low - reach, low, 16)?.integrate(integrand)
            + panel.panels(high, high + reach, 16)?.integrate(integrand);
        // A NaN comes from ∞ − ∞ of log densities that both have left the range of numbers.
        if tails.is_nan() || tails <= 1e-15 * sum {
            return number("chi squared", sum);
        }
        sum += tails;
        (low, high) = (low - reach, high + reach);
        last = tails;
    }
    if last > 1e-12 * sum {
        return Ok(f64::INFINITY);
    }
    number("chi squared", sum)
}

/// Returns the points where p − q changes its sign, ascending.
///
/// They are bracketed on 64 points of each piece between the breaks of both laws: two that are nearer to one another
/// than that are not seen, and hardly change a distance.
///
/// # Errors
/// As [`kl`].
pub fn crossings(p: &dyn Law1d, q: &dyn Law1d) -> Result<Vec<f64>> {
    let gap = |x: f64| {
        let (log_p, log_q) = (p.log_density(x), q.log_density(x));
        // Both −∞: no mass, no sign.
        if log_p == log_q { 0.0 } else { log_p - log_q }
    };
    sign_changes(&pieces(&[p, q])?.1, gap)
}

/// Points where `f` changes its sign, by bisection between neighbouring points of a fine division.
fn sign_changes(edges: &[f64], f: impl Fn(f64) -> f64) -> Result<Vec<f64>> {
    let mut found = Vec::new();
    let mut before: Option<(f64, f64)> = None;
    for (i, pair) in edges.windows(2).enumerate() {
        for j in usize::from(i > 0)..=SCAN {
            let x = pair[0] + (pair[1] - pair[0]) * (j as f64 / SCAN as f64);
            let value = f(x);
            if value.is_nan() {
                return Err(wrong(NAME, format!("density at {x}"), value, "a number"));
            }
            if value == 0.0 {
                continue;
            }
            if let Some((mut low, sign)) = before
                && (sign > 0.0) != (value > 0.0)
            {
                let mut high = x;
                loop {
                    let middle = 0.5 * (low + high);
                    if !(middle > low && middle < high) {
                        break;
                    }
                    if (f(middle) > 0.0) == (sign > 0.0) {
                        low = middle;
                    } else {
                        high = middle;
                    }
                }
                found.push(0.5 * (low + high));
            }
            before = Some((x, value));
        }
    }
    Ok(found)
}

/// Returns the total variation ½ ∫ |p − q| in [0, 1].
///
/// # Errors
/// As [`kl`].
pub fn total_variation(p: &dyn Law1d, q: &dyn Law1d) -> Result<f64> {
    let mut ends = vec![f64::NEG_INFINITY];
    ends.extend(crossings(p, q)?);
    ends.push(f64::INFINITY);
    // Masses of an interval, from whichever side keeps the digits.
    let mass = |law: &dyn Law1d, a: f64, b: f64| {
        let below = |x: f64| {
            if x == f64::NEG_INFINITY {
                0.0
            } else {
                law.cdf(x)
            }
        };
        let above = |x: f64| {
            if x == f64::INFINITY {
                0.0
            } else {
                law.survival(x)
            }
        };
        match (a == f64::NEG_INFINITY, b == f64::INFINITY) {
            (true, true) => 1.0,
            (true, false) => below(b),
            (false, true) => above(a),
            (false, false) if below(a) < 0.5 => below(b) - below(a),
            (false, false) => above(a) - above(b),
        }
    };
    let part = |e: &[f64]| (mass(p, e[0], e[1]) - mass(q, e[0], e[1])).abs();
    number(
        "total variation",
        0.5 * ends.windows(2).map(part).sum::<f64>(),
    )
}

/// Returns the Wasserstein distance W₁ or W₂, in the unit of x.
///
/// # Errors
/// As [`kl`].
pub fn wasserstein(p: &dyn Law1d, q: &dyn Law1d, order: Order) -> Result<f64> {
    match order {
        Order::One => {
            // P − Q, from the side where both are small.
            let gap = |x: f64| {
                let (below, above) = (p.cdf(x), p.survival(x));
                if below < above {
                    below - q.cdf(x)
                } else {
                    q.survival(x) - above
                }
            };
            let (_, edges) = pieces(&[p, q])?;
            let kinks = sign_changes(&edges, gap)?;
            let rule = Rule::legendre(NODES)?.pieces(&merged([edges, kinks].concat()))?;
            number("W1", rule.integrate(|x| gap(x).abs()))
        }
        Order::Two => {
            let square = normal_panels()?.integrate(|z| {
                let gap = p.quantile_at_normal(z) - q.quantile_at_normal(z);
                log_phi(z).exp() * gap * gap
            });
            number("W2", square.sqrt())
        }
    }
}

/// 72 panels of 60 nodes on [−9, 9]: integrals over z that carry a factor φ(z) are short of 10⁻¹⁸ of the mass.
pub(crate) fn normal_panels() -> Result<Rule> {
    Rule::legendre(NODES)?.panels(-9.0, 9.0, 72)
}

/// P⁻¹ at the mass that the law `from` has below and above `x`: the monotone map between them.
pub(crate) fn matching(from: &dyn Law1d, to: &dyn Law1d, x: f64) -> f64 {
    to.invert(from.cdf(x), from.survival(x))
}

fn number(what: &str, value: f64) -> Result<f64> {
    if value.is_nan() {
        return Err(wrong(NAME, what, value, "a number: a density is NaN"));
    }
    Ok(value)
}

/// Returns KL(p ‖ q) from log densities at the nodes of a quadrature rule, in any dimension.
///
/// # Shapes
/// All (n): ln p and ln q at the nodes, weights of the rule.
///
/// # Errors
/// [`retrograde_core::Error::Shape`] for lists of different lengths, [`retrograde_core::Error::Argument`] for NaN.
pub fn kl_at(
    log_p: ArrayView1<'_, f64>,
    log_q: ArrayView1<'_, f64>,
    weights: ArrayView1<'_, f64>,
) -> Result<f64> {
    let term = |p: f64, q: f64| {
        let mass = p.exp();
        if mass == 0.0 { 0.0 } else { mass * (p - q) }
    };
    number("KL", summed(log_p, log_q, weights, term)?)
}

/// Returns TV(p, q) from log densities at the nodes of a quadrature rule, in any dimension. |p − q| has kinks, so a fine
/// trapezoid serves better than Gauss.
///
/// # Shapes, Errors
/// As [`kl_at`].
pub fn total_variation_at(
    log_p: ArrayView1<'_, f64>,
    log_q: ArrayView1<'_, f64>,
    weights: ArrayView1<'_, f64>,
) -> Result<f64> {
    let term = |p: f64, q: f64| 0.5 * (p.exp() - q.exp()).abs();
    number("total variation", summed(log_p, log_q, weights, term)?)
}

fn summed(
    log_p: ArrayView1<'_, f64>,
    log_q: ArrayView1<'_, f64>,
    weights: ArrayView1<'_, f64>,
    term: impl Fn(f64, f64) -> f64,
) -> Result<f64> {
    same(NAME, "`log_q`", "numbers", log_p.len(), log_q.len())?;
    same(NAME, "`weights`", "numbers", log_p.len(), weights.len())?;
    let pairs = log_p.iter().zip(log_q).zip(weights);
    Ok(pairs.map(|((p, q), w)| w * term(*p, *q)).sum())
}
