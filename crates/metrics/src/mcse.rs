//! Monte-Carlo standard errors of the mean, the standard deviation and quantiles, from chains.
//!
//! Source: Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), arXiv:1903.08008; Kenney & Keeping (1951) for
//! the standard deviation. The conventions are those of ArviZ:
//!
//! mean: sd/√ESS_mean, sd with divisor S − 1 over all S draws;
//! sd:   √((m_4 − m_2²)/(4 m_2 ESS_mean)), m_k the central moments of all draws (divisor S), ESS_mean that of the draws
//!       themselves (not of their squares: [`crate::ess_sd`] would give a slightly different number);
//! quantile p: half the distance between the order statistics at the 0.1586553 and 0.8413447 quantiles of
//!       Beta(ESS p + 1, ESS (1 − p) + 1), ESS that of the quantile: one standard deviation to either side.
//!
//! All have the unit of the draws, and are NaN where the ESS they use is (see [`crate::ess`]): too few draws, draws that
//! are not finite or all equal.

use ndarray::ArrayView2;
use statrs::function::beta::checked_beta_reg;

use crate::chains::{mean, sorted, variance};
use crate::ess::{ess_mean, ess_quantile};

/// Returns the standard error of the mean of all draws.
///
/// # Shapes
/// `draws`: (chain, draw), at least (1, 4); NaN for less, and as the [module](self) says.
#[must_use]
pub fn mcse_mean(draws: ArrayView2<'_, f64>) -> f64 {
    (variance(draws.iter()) / ess_mean(draws)).sqrt()
}

/// Returns the standard error of the standard deviation of all draws.
///
/// # Shapes
/// `draws`: (chain, draw), at least (1, 4); NaN for less, and as the [module](self) says.
#[must_use]
pub fn mcse_sd(draws: ArrayView2<'_, f64>) -> f64 {
    let centre = mean(draws.iter());
    let squares = draws.mapv(|x| (x - centre) * (x - centre));
    let m_2 = mean(&squares);
    // m_4 − m_2² is the variance of the squares; as a sum of squares it cannot come out negative.
    let excess = mean(&squares.mapv(|x| (x - m_2) * (x - m_2)));
    (excess / (4.0 * m_2 * ess_mean(draws))).sqrt()
}

/// Returns the standard error of the quantile at probability `prob`.
///
/// # Shapes
/// `draws`: (chain, draw), at least (1, 4); NaN for less, for `prob` outside [0, 1], and as the [module](self) says.
#[must_use]
pub fn mcse_quantile(draws: ArrayView2<'_, f64>, prob: f64) -> f64 {
    let ess = ess_quantile(draws, prob);
    if !ess.is_finite() {
        return f64::NAN;
    }
    let values = sorted(draws);
    let last = (values.len() - 1) as f64;
    let [low, high] = [0.158_655_3, 0.841_344_7].map(|level| {
        beta_quantile(level, ess * prob + 1.0, ess * (1.0 - prob) + 1.0) * values.len() as f64 - 1.0
    });
    (values[high.ceil().clamp(0.0, last) as usize] - values[low.floor().clamp(0.0, last) as usize])
        / 2.0
}

/// Quantile of Beta(a, b), a and b ≥ 1, by bisection to the last bit.
///
/// `statrs` has a Newton iteration for this, which may not end (Beta(1, 10⁷) is a case); bisection always does.
fn beta_quantile(level: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        match checked_beta_reg(a, b, middle) {
            Ok(probability) if probability < level => low = middle,
            Ok(_) => high = middle,
            Err(_) => return f64::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_chains::{assert_close, autoregressive, wave};
    use ndarray::{Array2, Axis, s};
    use std::f64::consts::PI;

    #[test]
    fn known_values() {
        let a = wave();
        assert_close(mcse_mean(a.view()), 0.052_968_539_907_832, 1e-10);
        assert_close(mcse_sd(a.view()), 0.021_555_764_608_573, 1e-10);
        // With the ESS of (x − mean)² in place of ESS_mean, the other convention in use.
        let other = mcse_sd(a.view()) * (ess_mean(a.view()) / crate::ess_sd(a.view())).sqrt();
        assert_close(other, 0.021_891_750_181_759, 1e-10);
    }

    #[test]
    fn beta_quantiles_solve_their_equation() {
        // Beta(1, b) has 1 − (1 − u)^(1/b), Beta(a, 1) has u^(1/a); symmetric ones have median 1/2.
        assert_close(
            beta_quantile(0.3, 1.0, 12.0),
            1.0 - 0.7_f64.powf(1.0 / 12.0),
            1e-13,
        );
        assert_close(
            beta_quantile(0.3, 250.0, 1.0),
            0.3_f64.powf(1.0 / 250.0),
            1e-13,
        );
        assert_close(beta_quantile(0.5, 4000.0, 4000.0), 0.5, 1e-11);
        assert!(beta_quantile(0.841_344_7, 1e7, 1.0) < 1.0);
    }

    #[test]
    fn agrees_with_theory_for_independent_normal_draws() {
        let (chains, draws) = (4, 10_000);
        let x = autoregressive(0.0, chains, draws, 21);
        let root = ((chains * draws) as f64).sqrt();
        // Relative error of the ESS is near 2 %, so of its root near 1 %; four of those.
        assert_close(mcse_mean(x.view()), 1.0 / root, 0.04);
        assert_close(mcse_sd(x.view()), 0.5_f64.sqrt() / root, 0.05);
        // √(p(1 − p)/N)/density. About 2√(N p (1 − p)) draws lie between the two order statistics: relative error
        // 1/√200 at the median and 1/√87 at 0.05, times four.
        assert_close(mcse_quantile(x.view(), 0.5), (PI / 2.0).sqrt() / root, 0.28);
        assert_close(
            mcse_quantile(x.view(), 0.05),
            0.217_945 / 0.103_136 / root,
            0.43,
        );
    }

    #[test]
    fn mirrored_draws_have_the_mirrored_errors() {
        // Few effective draws and a low quantile: Beta(14, 240) or so, and its mirror image.
        let x = autoregressive(0.99, 4, 3000, 23);
        let y = x.mapv(|x| -x);
        let ess = ess_quantile(x.view(), 0.05);
        assert!((20.0..400.0).contains(&ess), "{ess}");
        // The order statistics of the two may be two ranks of 12 000 apart.
        assert_close(
            mcse_quantile(y.view(), 0.95),
            mcse_quantile(x.view(), 0.05),
            0.02,
        );
    }

    #[test]
    fn correlation_widens_the_errors() {
        // φ = 0.8: ESS is a ninth, so the error is three times as large.
        let x = autoregressive(0.8, 4, 20_000, 22);
        assert_close(mcse_mean(x.view()), 3.0 / 80_000.0_f64.sqrt(), 0.1);
    }

    #[test]
    fn order_of_chains_does_not_matter() {
        let a = wave();
        let permuted = a.select(Axis(0), &[3, 1, 0, 2]);
        for mcse in [mcse_mean, mcse_sd, |x: ArrayView2<'_, f64>| {
            mcse_quantile(x, 0.3)
        }] {
            assert_close(mcse(permuted.view()), mcse(a.view()), 1e-12);
        }
    }

    #[test]
    fn degenerate_input() {
        let mut nan = wave();
        nan[[0, 0]] = f64::NAN;
        let short = wave().slice(s![.., ..3]).to_owned();
        let still = Array2::from_elem((4, 10), 0.1);
        for mcse in [mcse_mean, mcse_sd, |x: ArrayView2<'_, f64>| {
            mcse_quantile(x, 0.5)
        }] {
            for draws in [&nan, &short, &Array2::zeros((0, 0)), &still] {
                assert!(mcse(draws.view()).is_nan());
            }
        }
        assert!(mcse_quantile(wave().view(), 1.5).is_nan());
        assert!(
            mcse_quantile(wave().view(), 0.0).is_finite()
                && mcse_quantile(wave().view(), 1.0).is_finite()
        );
    }
}
