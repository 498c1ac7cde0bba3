//! A law on the line from its unnormalised log density: mass by quadrature, draws by the inverse of a
//! tabled distribution function.

use retrograde_core::{Error, Result};

/// Points of the first search, and panels of the table.
const SEARCH: usize = 8001;
const PANELS: usize = 4096;
/// How far out the search goes, and the least log density (below the highest) of the table: e⁻⁵⁰.
const REACH: f64 = 1e4;
const DEPTH: f64 = 50.0;
/// Nodes and weights of the Gauss–Legendre rule with four points on [0, 1].
const RULE: [(f64, f64); 4] = [
    (0.069_431_844_202_973_71, 0.173_927_422_568_726_93),
    (0.330_009_478_207_571_87, 0.326_072_577_431_273_07),
    (0.669_990_521_792_428_1, 0.326_072_577_431_273_07),
    (0.930_568_155_797_026_3, 0.173_927_422_568_726_93),
];

/// The law, on panels of equal width.
pub(super) struct Line {
    lo: f64,
    width: f64,
    /// Log density, normalised, and its slope at the ends of the panels.
    nodes: Vec<(f64, f64)>,
    /// Mass up to the end of each panel; the last is 1.
    cumulative: Vec<f64>,
    log_z: f64,
}

impl Line {
    /// From a log density with its slope, at many points at once.
    ///
    /// # Errors
    /// What it returns; [`Error::Setting`] of `key` when its mass does not lie within ±10⁴.
    pub(super) fn new(
        component: &str,
        key: &str,
        mut log_density: impl FnMut(&[f64]) -> Result<Vec<(f64, f64)>>,
    ) -> Result<Self> {
        let wrong = |given: &str| {
            let allowed = "one whose stationary law has its mass within ±1e4";
            Error::setting(component, key, given, allowed)
        };
        let most_u = REACH.asinh();
        let at = |i: usize| (most_u * (2.0 * i as f64 / (SEARCH - 1) as f64 - 1.0)).sinh();
        let points: Vec<f64> = (0..SEARCH).map(at).collect();
        let values = log_density(&points)?;
        let most = values.iter().fold(f64::NEG_INFINITY, |m, v| m.max(v.0));
        let inside = |v: &(f64, f64)| v.0 > most - DEPTH;
        let (Some(first), Some(last), true) = (
            values.iter().position(inside),
            values.iter().rposition(inside),
            most.is_finite(),
        ) else {
            return Err(wrong("one that is finite nowhere"));
        };
        if first == 0 || last == SEARCH - 1 {
            return Err(wrong("one that does not confine"));
        }
        let (lo, hi) = (points[first - 1], points[last + 1]);
        let width = (hi - lo) / PANELS as f64;
        let ends: Vec<f64> = (0..=PANELS).map(|i| lo + width * i as f64).collect();
        let mut line = Self {
            lo,
            width,
            nodes: log_density(&ends)?,
            cumulative: Vec::with_capacity(PANELS),
            log_z: 0.0,
        };
        if line
            .nodes
            .iter()
            .any(|(v, s)| !(v.is_finite() && s.is_finite()))
        {
            return Err(wrong("one that is infinite within its mass"));
        }
        line.nodes.iter_mut().for_each(|v| v.0 -= most);
        let inner: Vec<f64> = (0..PANELS)
            .flat_map(|i| RULE.map(|(u, _)| lo + width * (i as f64 + u)))
            .collect();
        let mut sum = 0.0;
        for four in log_density(&inner)?.chunks(RULE.len()) {
            sum += four
                .iter()
                .zip(&RULE)
                .map(|(v, (_, w))| w * (v.0 - most).exp())
                .sum::<f64>();
            line.cumulative.push(sum * width);
        }
        let mass = sum * width;
        line.cumulative.iter_mut().for_each(|c| *c /= mass);
        line.nodes.iter_mut().for_each(|v| v.0 -= mass.ln());
        line.log_z = most + mass.ln();
        Ok(line)
    }

    /// ln ∫ of the density that it was made from.
    pub(super) fn log_z(&self) -> f64 {
        self.log_z
    }

    /// Density at the fraction `u` of panel `i`, by cubic Hermite interpolation of its logarithm.
    fn density(&self, i: usize, u: f64) -> f64 {
        let ((a, da), (b, db)) = (self.nodes[i], self.nodes[i + 1]);
        let (da, db) = (da * self.width, db * self.width);
        let v = 1.0 - u;
        let l =
            v * v * (1.0 + 2.0 * u) * a + u * u * (1.0 + 2.0 * v) * b + u * v * (v * da - u * db);
        l.exp()
    }

    /// The `p`-quantile.
    pub(super) fn quantile(&self, p: f64) -> f64 {
        let i = self.cumulative.partition_point(|c| *c < p).min(PANELS - 1);
        let before = if i == 0 { 0.0 } else { self.cumulative[i - 1] };
        let share = (p - before) / (self.cumulative[i] - before);
        let up_to = |u: f64| -> f64 {
            u * RULE
                .iter()
                .map(|(r, w)| w * self.density(i, r * u))
                .sum::<f64>()
        };
        let all = up_to(1.0);
        // Newton's method, kept in the panel: the density hardly varies there.
        let mut u = share.clamp(0.0, 1.0);
        for _ in 0..6 {
            let step = (up_to(u) - share * all) / self.density(i, u);
            u = (u - step).clamp(0.0, 1.0);
            if step.abs() < 1e-13 {
                break;
            }
        }
        self.lo + self.width * (i as f64 + u)
    }
}

#[cfg(test)]
mod tests {
    use super::Line;
    use crate::normal;

    fn gaussian(x: &[f64]) -> retrograde_core::Result<Vec<(f64, f64)>> {
        let of = |x: &f64| (3.0 - 0.5 * (x - 2.0).powi(2), 2.0 - x);
        Ok(x.iter().map(of).collect())
    }

    #[test]
    fn a_gaussian_has_its_mass_and_quantiles() {
        let line = Line::new("test", "potential", gaussian).unwrap();
        let want = 3.0 + 0.5 * std::f64::consts::TAU.ln();
        assert!((line.log_z() - want).abs() < 1e-13);
        for p in [1e-9, 0.01, 0.3, 0.5, 0.999] {
            let x = line.quantile(p);
            assert!((x - 2.0 - normal::quantile(p)).abs() < 1e-8, "{p}: {x}");
        }
        for flat in [0.0, 1.0] {
            let of = |x: &[f64]| Ok(x.iter().map(|x| (flat * x, flat)).collect());
            let error = Line::new("test", "potential", of)
                .err()
                .unwrap()
                .to_string();
            assert!(error.contains("`potential`"), "{error}");
        }
    }
}
