//! What pictures are made of.

use super::Known;
use crate::report::Report;
use ndarray::ArrayView3;

/// Draws of a run, with what is known of their law.
pub(crate) struct View<'a> {
    pub(crate) report: &'a Report,
    /// Names of the columns.
    pub(crate) names: &'a [String],
    /// (chain, draw, column).
    pub(crate) values: ArrayView3<'a, f64>,
    /// Weights in the order of emission, their sum 1; equal where absent.
    pub(crate) weights: Option<Vec<f64>>,
    pub(crate) known: &'a Known<'a>,
}

impl View<'_> {
    /// How many draws there are.
    pub(super) fn total(&self) -> usize {
        let (chains, draws, _) = self.values.dim();
        chains * draws
    }

    /// The `r`-th draw in the order of emission.
    pub(crate) fn at(&self, r: usize, column: usize) -> f64 {
        let chains = self.values.dim().0;
        self.values[(r % chains, r / chains, column)]
    }

    pub(super) fn weight(&self, r: usize) -> f64 {
        let equal = (self.total() as f64).recip();
        self.weights
            .as_ref()
            .map_or(equal, |w| w.get(r).copied().unwrap_or(0.0))
    }

    /// Finite values of a column with their weights, in ascending order.
    pub(super) fn sorted(&self, column: usize) -> Vec<(f64, f64)> {
        let mut all: Vec<(f64, f64)> = (0..self.total())
            .map(|r| (self.at(r, column), self.weight(r)))
            .filter(|(x, w)| x.is_finite() && *w > 0.0)
            .collect();
        all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        all
    }

    /// At most `most` draws that stand for all: evenly spaced, or by their weights.
    pub(crate) fn chosen(&self, most: usize) -> Vec<usize> {
        let total = self.total();
        let n = most.min(total);
        if self.weights.is_none() {
            return (0..n).map(|k| k * total / n).collect();
        }
        let (mut sum, mut chosen) = (0.0, Vec::with_capacity(n));
        for r in 0..total {
            sum += self.weight(r);
            while chosen.len() < n && (chosen.len() as f64 + 0.5) / (n as f64) < sum {
                chosen.push(r);
            }
        }
        chosen
    }

    /// At most `most` columns that can be drawn, those first that a person should look at: furthest from
    /// their known mean where that is beyond 3 standard errors, then of the smallest effective sample
    /// size. In the order of the columns; with how many were left out.
    pub(super) fn interesting(&self, most: usize) -> (Vec<usize>, usize) {
        let columns: Vec<usize> = (0..self.values.dim().2)
            .filter(|c| {
                let first = self.at(0, *c);
                let mut all = (0..self.total()).map(|r| self.at(r, *c));
                first.is_finite() && all.any(|x| x.is_finite() && x != first)
            })
            .collect();
        let worry = |c: &usize| {
            let Some(row) = self.report.coordinates.get(*c) else {
                return (0.0, 0.0);
            };
            let off = row
                .truth
                .map_or(0.0, |t| (row.mean - t).abs() / row.mcse_mean);
            let off = if off > 3.0 { -off } else { 0.0 };
            let ess = row.ess_bulk.min(row.ess_tail);
            let ess = if ess.is_nan() { 0.0 } else { ess };
            (off, ess)
        };
        let mut order = columns.clone();
        order.sort_by(|a, b| {
            let (a, b) = (worry(a), worry(b));
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        order.truncate(most);
        order.sort_unstable();
        let out = columns.len() - order.len();
        (order, out)
    }

    /// A sentence on what `interesting` left out.
    pub(super) fn left_out(&self, shown: usize, out: usize) -> String {
        if out == 0 {
            String::new()
        } else {
            format!(
                " Shown are the {shown} of {} coordinates that most deserve a look: furthest from a \
                 known mean, or of the smallest effective sample size.",
                shown + out
            )
        }
    }
}

/// The value below which that share of the weight lies.
pub(super) fn quantile(sorted: &[(f64, f64)], share: f64) -> f64 {
    let total: f64 = sorted.iter().map(|(_, w)| w).sum();
    let mut sum = 0.0;
    for (x, w) in sorted {
        sum += w;
        if sum >= share * total {
            return *x;
        }
    }
    sorted.last().map_or(f64::NAN, |(x, _)| *x)
}

/// Where nearly all of the weight lies, and a margin.
pub(super) fn range(sorted: &[(f64, f64)]) -> (f64, f64) {
    let (low, high) = (quantile(sorted, 0.001), quantile(sorted, 0.999));
    let margin = 0.06 * (high - low);
    (low - margin, high + margin)
}

/// Heights of a histogram with that many bins over `range`, as a density.
pub(super) fn density(values: &[(f64, f64)], range: (f64, f64), bins: usize) -> Vec<f64> {
    let width = (range.1 - range.0) / bins as f64;
    let total: f64 = values.iter().map(|(_, w)| w).sum();
    let mut heights = vec![0.0; bins];
    for (x, w) in values {
        let k = ((x - range.0) / width).floor();
        if k >= 0.0 && (k as usize) < bins {
            heights[k as usize] += w / (total * width);
        }
    }
    heights
}

/// Bins by the rule of Freedman & Diaconis (1981), 15 to 80, and 40 at least where there are enough draws:
/// the rule knows one mode, and smooths many away.
pub(super) fn bins(sorted: &[(f64, f64)], range: (f64, f64)) -> usize {
    let iqr = quantile(sorted, 0.75) - quantile(sorted, 0.25);
    let squares: f64 = sorted.iter().map(|(_, w)| w * w).sum();
    let total: f64 = sorted.iter().map(|(_, w)| w).sum();
    let width = 2.0 * iqr / (total * total / squares).cbrt();
    let bins = ((range.1 - range.0) / width).ceil();
    let least = (total * total / squares / 50.0).clamp(15.0, 40.0);
    let bins = if bins.is_finite() { bins } else { 0.0 };
    bins.clamp(least, 80.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_a_density_of_all_its_weight() {
        let sorted: Vec<(f64, f64)> = (0..1000).map(|i| (f64::from(i) / 1000.0, 3.0)).collect();
        assert_eq!(quantile(&sorted, 0.5), 0.499);
        let range = (-0.5, 1.5);
        let heights = density(&sorted, range, 20);
        assert!((heights.iter().sum::<f64>() * 0.1 - 1.0).abs() < 1e-12);
        assert!((heights[10] - 1.0).abs() < 1e-12 && heights[0] == 0.0);
        // What is outside counts as mass that is not seen.
        let half = density(&sorted, (0.0, 0.5), 5);
        assert!((half.iter().sum::<f64>() * 0.1 - 0.5).abs() < 1e-12);
        // 2 · IQR / n^⅓ = 0.1.
        assert_eq!(bins(&sorted, (0.0, 2.04)), 21);
        assert_eq!(bins(&[(1.0, 1.0); 5], (0.0, 2.0)), 15);
    }
}
