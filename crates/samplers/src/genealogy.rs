//! Weighted particles: systematic resampling, what their families tell of the error of Ẑ, the tail of the weights.

use crate::chains::check_length;
use crate::walkers::Walkers;
use ndarray::Array1;
use serde::{Deserialize, Serialize};

/// Counts of the offspring of systematic resampling (Kitagawa 1996): particle i gets the points
/// (u + k)/n, k = 0 … n − 1, that fall into its part of the line of cumulated weights. E oᵢ = n wᵢ.
///
/// `weights` need not sum to 1, but to more than 0; `u` is uniform on (0, 1).
pub(crate) fn offspring(u: f64, weights: &[f64], counts: &mut [f64]) {
    offspring_of(u, weights, weights.len(), counts);
}

/// The same for `m` offspring of all particles together.
pub(crate) fn offspring_of(u: f64, weights: &[f64], m: usize, counts: &mut [f64]) {
    let n = m as f64;
    let total: f64 = weights.iter().sum();
    let (mut sum, mut before) = (0.0, 0.0);
    for (w, count) in weights.iter().zip(counts) {
        sum += w;
        // Rounding must not lose the last point where u is nearly 1.
        let upto = if sum < total {
            (n * (sum / total) - u).ceil().clamp(before, n)
        } else {
            n
        };
        *count = upto - before;
        before = upto;
    }
}

/// Families of particles: descendants of the same first particle.
///
/// They give the variance of Ẑ from a single run. If families did not interact, Ẑ/Z would be a mean
/// of independent family shares F_e, of variance Σ F_e² − 1/N. Resampling makes them compete: the
/// noise of the offspring counts adds to the F_e² but not to Ẑ, so that Σᵢ Var(oᵢ)/N² of each
/// resampling comes off. With multinomial counts, Var(oᵢ) = N wᵢ, this is the estimator of Lee &
/// Whiteley (2018, arXiv:1509.00394, §3) to first order in 1/N (see also Chan & Lai 2013); the counts of systematic
/// resampling have Var(oᵢ) = f(1 − f), f the fractional part of N wᵢ.
#[derive(Serialize, Deserialize)]
pub(crate) struct Families {
    /// First ancestor of each particle.
    first: Vec<u32>,
    /// Σ Var(oᵢ)/N² of the resamplings so far.
    noise: f64,
}

/// What the families say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    /// Families with weight.
    pub(crate) families: f64,
    /// Relative variance of Ẑ.
    pub(crate) variance: f64,
    /// Σ F_e² − 1/N, from which that came by subtraction.
    pub(crate) uncorrected: f64,
}

impl Families {
    pub(crate) fn new(n: usize) -> Self {
        let first = (0..n).map(|i| u32::try_from(i).unwrap_or(u32::MAX));
        Self {
            first: first.collect(),
            noise: 0.0,
        }
    }

    /// Whether saved families are of `n` particles.
    pub(crate) fn check_saved(&self, n: usize) -> std::result::Result<(), String> {
        check_length("first ancestors", self.first.len(), n)?;
        match self.first.iter().find(|f| **f as usize >= n) {
            None => Ok(()),
            Some(f) => Err(format!("a first ancestor {f} of {n} particles")),
        }
    }

    /// Begins again.
    pub(crate) fn reset(&mut self) {
        self.noise = 0.0;
        for (i, f) in (0..).zip(&mut self.first) {
            *f = i;
        }
    }

    /// What the families say at `weights` that sum to 1; `shares` is room for n numbers.
    pub(crate) fn spread(&self, weights: &[f64], shares: &mut [f64]) -> Spread {
        shares.fill(0.0);
        for (w, f) in weights.iter().zip(&self.first) {
            shares[*f as usize] += w;
        }
        let uncorrected = shares.iter().map(|s| s * s).sum::<f64>() - 1.0 / weights.len() as f64;
        Spread {
            families: shares.iter().filter(|s| **s > 0.0).count() as f64,
            variance: uncorrected - self.noise,
            uncorrected,
        }
    }

    /// Fills `chains` (M rows) with as many copies of the particles as `counts` say; all particles in
    /// places m modulo M are from now on of the family of chain m. `room` is for M numbers.
    pub(crate) fn begin_chains(
        &mut self,
        counts: &[f64],
        particles: &Walkers,
        chains: &mut Walkers,
        room: &mut [f64],
    ) {
        let all = counts.iter().enumerate();
        let parents = all.flat_map(|(i, c)| std::iter::repeat_n(i, *c as usize));
        for (m, (i, family)) in parents.zip(&mut *room).enumerate() {
            chains.x.row_mut(m).assign(&particles.x.row(i));
            chains
                .gradient
                .row_mut(m)
                .assign(&particles.gradient.row(i));
            chains.log_density[m] = particles.log_density[i];
            *family = f64::from(self.first[i]);
        }
        for (first, family) in self.first.iter_mut().zip(room.iter().cycle()) {
            *first = *family as u32;
        }
    }

    /// Puts copies in the places of particles without offspring; the others stay where they are.
    pub(crate) fn copy(&mut self, weights: &[f64], counts: &[f64], particles: &mut Walkers) {
        let d = particles.x.ncols();
        let Walkers {
            x,
            log_density,
            gradient,
        } = particles;
        let (Some(x), Some(g)) = (x.as_slice_mut(), gradient.as_slice_mut()) else {
            unreachable!("particles are dense");
        };
        self.copy_by(weights, counts, |i, j| {
            x.copy_within(i * d..(i + 1) * d, j * d);
            g.copy_within(i * d..(i + 1) * d, j * d);
            log_density[j] = log_density[i];
        });
    }

    /// As [`copy`](Self::copy), with `put(i, j)` to put a copy of particle i in the place of particle j.
    pub(crate) fn copy_by(
        &mut self,
        weights: &[f64],
        counts: &[f64],
        mut put: impl FnMut(usize, usize),
    ) {
        let n = counts.len() as f64;
        for w in weights {
            let f = (n * w).fract();
            self.noise += f * (1.0 - f) / (n * n);
        }
        copies(counts, |i, j| {
            put(i, j);
            self.first[j] = self.first[i];
        });
    }
}

/// Calls `put(i, j)` for every copy of i that goes into the place of a j without offspring.
pub(crate) fn copies(counts: &[f64], mut put: impl FnMut(usize, usize)) {
    let mut free = (0..counts.len()).filter(|j| counts[*j] == 0.0);
    for (i, count) in counts.iter().enumerate() {
        let mut more = *count;
        while more > 1.0 {
            // As many places are free as there are copies: the counts sum to n.
            let Some(j) = free.next() else { return };
            put(i, j);
            more -= 1.0;
        }
    }
}

/// Index of the tail of weights by the M = min(n/5, 3 √n) largest: the mean of ln w − ln w_M (Hill 1975,
/// Ann. Stat. 3, 1163). −∞ for fewer than 5, and where it is not finite. Sorts `log_weights`.
pub(crate) fn tail_index(log_weights: &mut [f64]) -> f64 {
    let n = log_weights.len() as f64;
    let m = (0.2 * n).min(3.0 * n.sqrt()) as usize;
    if m < 5 {
        return f64::NEG_INFINITY;
    }
    log_weights.sort_unstable_by(|a, b| b.total_cmp(a));
    let least = log_weights[m];
    let sum: f64 = log_weights[..m].iter().map(|v| v - least).sum();
    let index = sum / m as f64;
    if index.is_finite() {
        index
    } else {
        f64::NEG_INFINITY
    }
}

/// Mean and standard deviation of each coordinate under `weights` that sum to 1, the latter into
/// `sd`; `mean` is room for d numbers.
pub(crate) fn standard_deviations(
    x: &ndarray::Array2<f64>,
    weights: &Array1<f64>,
    mean: &mut [f64],
    sd: &mut [f64],
) {
    mean.fill(0.0);
    sd.fill(0.0);
    for (row, w) in x.outer_iter().zip(weights) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += w * v);
    }
    for (row, w) in x.outer_iter().zip(weights) {
        for (s, (v, m)) in sd.iter_mut().zip(row.iter().zip(&*mean)) {
            *s += w * (v - m) * (v - m);
        }
    }
    sd.iter_mut().for_each(|s| *s = s.sqrt());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offspring_sum_to_n_and_have_the_right_mean() {
        let weights = [0.0, 0.4, 1e-18, 0.25, 0.0, 0.35, 0.0];
        let mut mean = [0.0; 7];
        let m = 10_000;
        for k in 0..m {
            let mut counts = [f64::NAN; 7];
            offspring((f64::from(k) + 0.5) / f64::from(m), &weights, &mut counts);
            assert_eq!(counts.iter().sum::<f64>(), 7.0);
            for (i, c) in counts.iter().enumerate() {
                assert!((c - 7.0 * weights[i]).abs() < 1.0 && (weights[i] > 0.0 || *c == 0.0));
                mean[i] += c / f64::from(m);
            }
        }
        for (m, w) in mean.iter().zip(weights) {
            assert!((m - 7.0 * w).abs() < 2e-4);
        }
        // The ends of the unit interval neither lose a point nor wake the dead.
        for u in [f64::EPSILON, 1.0 - f64::EPSILON] {
            let mut counts = [0.0; 7];
            offspring(u, &weights, &mut counts);
            assert_eq!(counts.iter().sum::<f64>(), 7.0);
            assert_eq!((counts[0], counts[6]), (0.0, 0.0));
        }
    }
}
