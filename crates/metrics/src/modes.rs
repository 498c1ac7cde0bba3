//! Are the modes of a mixture found, and in the right proportions?
//!
//! From the responsibilities pₖ(xᵢ) of the components (`GaussianMixture::responsibilities`) and their true weights w:
//!
//! soft weights: ŵₖ = mean of pₖ(xᵢ);   hard weights: ŵₖ = share of the draws whose largest pₖ is the k-th
//!
//! weighted mode error: ½ Σₖ |ŵₖ − wₖ|, the total variation distance between the weights, 0 … 1
//!
//! coverage: share of the modes whose hard weight is at least half of the true one
//!
//! A draw without responsibilities (zeros: every component underflows there) is *stray*: it counts for no mode, and its
//! share counts as a further mode of true weight zero in the errors.

use crate::points::{Rows, same, weights, wrong};
use crate::weights::relative_weights;
use ndarray::{Array1, ArrayView1, ArrayView2};
use retrograde_core::Result;

const NAME: &str = "modes";

/// What draws say about the modes of a mixture.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Modes {
    /// Mean responsibilities; length K.
    pub soft: Array1<f64>,
    /// Shares of the draws by their likeliest component; length K.
    pub hard: Array1<f64>,
    /// Share of the draws that belong to no component.
    pub stray: f64,
    /// Total variation distance of the soft weights from the true ones, 0 … 1.
    pub soft_error: f64,
    /// Total variation distance of the hard weights from the true ones, 0 … 1.
    pub hard_error: f64,
    /// Share of the modes with at least half of their weight, 0 … 1.
    pub coverage: f64,
    /// The others, from 0.
    pub missed: Vec<usize>,
}

/// Returns the weights of the modes as the draws have them, against the true ones.
///
/// # Shapes
/// `responsibilities`: (n, K), rows of sum 1 or all zero; `mode_weights`: (K), of any positive sum; `log_weights`: (n)
/// for weighted draws, any common offset.
///
/// # Errors
/// [`retrograde_core::Error::Shape`] for no draws or arrays that do not fit, [`retrograde_core::Error::Argument`] for a
/// responsibility outside [0, 1] or rows of another sum, for negative mode weights and for log weights that are NaN, +∞
/// or all −∞.
///
/// # Example
/// ```
/// use ndarray::array;
/// let p = array![[1.0, 0.0, 0.0], [0.0, 0.9, 0.1], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0]];
/// let modes = retrograde_metrics::modes(p.view(), array![0.5, 0.25, 0.25].view(), None)?;
/// assert_eq!(modes.hard, array![0.5, 0.5, 0.0]);
/// assert_eq!((modes.hard_error, modes.missed), (0.25, vec![2]));
/// # Ok::<(), retrograde_core::Error>(())
/// ```
pub fn modes(
    responsibilities: ArrayView2<'_, f64>,
    mode_weights: ArrayView1<'_, f64>,
    log_weights: Option<ArrayView1<'_, f64>>,
) -> Result<Modes> {
    let p = Rows::new(NAME, "responsibilities", responsibilities)?;
    let k = p.dim();
    same(NAME, "`mode_weights`", "numbers", k, mode_weights.len())?;
    let total = weights(NAME, "mode_weights", mode_weights)?;
    let shares = shares(p.len(), log_weights)?;
    let (mut soft, mut hard) = (Array1::zeros(k), Array1::zeros(k));
    let mut stray = 0.0;
    for (i, (row, share)) in p.all().zip(&shares).enumerate() {
        let sum: f64 = row.iter().sum();
        if sum == 0.0 && row.iter().all(|v| *v == 0.0) {
            stray += share;
            continue;
        }
        if row.iter().any(|v| *v < 0.0) || (sum - 1.0).abs() > 1e-6 {
            let argument = format!("responsibilities[{i}]");
            let allowed = "at least 0 and of sum 1, or all 0";
            return Err(wrong(NAME, argument, format!("{row:?}"), allowed));
        }
        let mut likeliest = 0;
        for (j, v) in row.iter().enumerate() {
            soft[j] += share * v;
            if *v > row[likeliest] {
                likeliest = j;
            }
        }
        hard[likeliest] += share;
    }
    let error = |found: &Array1<f64>| {
        let of_modes: f64 = found
            .iter()
            .zip(mode_weights)
            .map(|(f, w)| (f - w / total).abs())
            .sum();
        0.5 * (of_modes + stray)
    };
    // Shares are sums of n roundings; a mode with exactly half of its weight is covered.
    let found = |j: usize| hard[j] >= 0.5 * mode_weights[j] / total * (1.0 - 1e-9);
    let missed: Vec<usize> = (0..k).filter(|j| !found(*j)).collect();
    Ok(Modes {
        soft_error: error(&soft),
        hard_error: error(&hard),
        coverage: (k - missed.len()) as f64 / k as f64,
        soft,
        hard,
        stray,
        missed,
    })
}

/// Shares of the draws, of sum 1.
fn shares(n: usize, log_weights: Option<ArrayView1<'_, f64>>) -> Result<Array1<f64>> {
    let Some(log_weights) = log_weights else {
        return Ok(Array1::from_elem(n, 1.0 / n as f64));
    };
    same(NAME, "`log_weights`", "numbers", n, log_weights.len())?;
    if let Some(i) = log_weights
        .iter()
        .position(|v| v.is_nan() || *v == f64::INFINITY)
    {
        let argument = format!("log_weights[{i}]");
        return Err(wrong(NAME, argument, log_weights[i], "a number or -inf"));
    }
    let relative = relative_weights(log_weights);
    let sum = relative.sum();
    if sum.is_nan() {
        return Err(wrong(
            NAME,
            "log_weights",
            "-inf for every draw",
            "above -inf for one",
        ));
    }
    Ok(relative / sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::samples::x;
    use crate::test_chains::assert_close;
    use ndarray::{Array2, array};
    use retrograde_core::{GaussianMixture, Runtime};

    fn responsibilities() -> Array2<f64> {
        let means = array![[-1.0, 0.0], [1.0, 0.5]];
        let mixture =
            GaussianMixture::isotropic(array![0.4, 0.6], means, array![0.49, 0.49]).unwrap();
        let mut p = Array2::zeros((5, 2));
        let mut runtime = Runtime::new(0, 1).unwrap();
        runtime
            .enter("test", 0, |cx| {
                mixture.responsibilities(cx, x().view(), p.view_mut())
            })
            .unwrap();
        p
    }

    #[test]
    fn known_values() {
        let p = responsibilities();
        let first = [
            0.462_479_897_715_69,
            0.004_704_853_441_052_5,
            0.856_732_527_074_05,
            0.255_644_599_247_12,
            0.992_978_120_752_51,
        ];
        p.column(0)
            .iter()
            .zip(first)
            .for_each(|(p, q)| assert_close(*p, q, 1e-10));
        let m = modes(p.view(), array![0.4, 0.6].view(), None).unwrap();
        assert_close(m.soft[0], 0.514_507_999_646_08, 1e-10);
        assert_close(m.soft[1], 0.485_492_000_353_92, 1e-10);
        assert_close(m.soft_error, 0.114_507_999_646_08, 1e-10);
        assert!((m.hard[0] - 0.4).abs() < 1e-15 && m.hard_error < 1e-15);
        assert!(m.coverage == 1.0 && m.missed.is_empty() && m.stray == 0.0);
    }

    #[test]
    fn missed_and_stray() {
        let p = array![
            [1.0, 0.0, 0.0],
            [1.0, 0.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 0.0]
        ];
        let m = modes(p.view(), array![1.0, 2.0, 1.0].view(), None).unwrap();
        assert_eq!((m.stray, m.missed.as_slice()), (0.25, &[2][..]));
        assert_eq!(m.hard, array![0.5, 0.25, 0.0]);
        // ½ (¼ + ¼ + ¼ + ¼).
        assert_eq!((m.hard_error, m.soft_error), (0.5, 0.5));
        assert_close(m.coverage, 2.0 / 3.0, 1e-15);
        // Just below half of its weight a mode is missed, at half it is found.
        let p = Array2::from_shape_fn((8, 2), |(i, j)| f64::from(u8::from((i < 2) == (j == 0))));
        assert!(
            modes(p.view(), array![0.5, 0.5].view(), None)
                .unwrap()
                .missed
                .is_empty()
        );
        assert_eq!(
            modes(p.view(), array![0.51, 0.49].view(), None)
                .unwrap()
                .missed,
            [0]
        );
        let nowhere = modes(Array2::zeros((3, 2)).view(), array![1.0, 1.0].view(), None).unwrap();
        assert_eq!(
            (nowhere.hard_error, nowhere.coverage, nowhere.stray),
            (1.0, 0.0, 1.0)
        );
    }

    #[test]
    fn weights_of_draws_count() {
        let p = array![[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]];
        let log_weights = array![2.0_f64.ln(), 0.0, 0.0] - 900.0;
        let m = modes(p.view(), array![0.5, 0.5].view(), Some(log_weights.view())).unwrap();
        assert!(m.hard_error < 1e-12 && m.soft_error < 1e-12);
        let none = array![f64::NEG_INFINITY, 0.0, f64::NEG_INFINITY];
        let m = modes(p.view(), array![0.5, 0.5].view(), Some(none.view())).unwrap();
        assert_eq!((m.hard_error, m.missed), (0.5, vec![0]));
    }

    #[test]
    fn order_of_draws_changes_nothing() {
        let p = responsibilities();
        let w = array![0.4, 0.6];
        let turned = modes(p.slice(ndarray::s![..;-1, ..]), w.view(), None).unwrap();
        assert_close(
            turned.soft_error,
            modes(p.view(), w.view(), None).unwrap().soft_error,
            1e-14,
        );
    }

    #[test]
    fn bad_input_is_told() {
        let p = array![[1.0, 0.0], [0.5, 0.5]];
        let told = |p: &Array2<f64>, w: Array1<f64>, l: Option<Array1<f64>>| {
            let l = l.as_ref().map(|l| l.view());
            modes(p.view(), w.view(), l).unwrap_err().to_string()
        };
        let w = array![0.5, 0.5];
        assert!(told(&p, array![1.0], None).contains("1 numbers, expected 2 numbers"));
        assert!(told(&p, array![1.0, -1.0], None).contains("`mode_weights[1]` is -1"));
        assert!(told(&(&p * 2.0), w.clone(), None).contains("`responsibilities[0]` is [2.0, 0.0]"));
        assert!(told(&Array2::zeros((0, 2)), w.clone(), None).contains("0 × 2"));
        let infinite = f64::NEG_INFINITY;
        assert_eq!(
            told(&p, w.clone(), Some(array![infinite, infinite])),
            "modes: `log_weights` is -inf for every draw, but must be above -inf for one"
        );
        assert!(
            told(&p, w.clone(), Some(array![0.0, f64::NAN])).contains("`log_weights[1]` is NaN")
        );
        assert!(told(&p, w, Some(array![0.0])).contains("`log_weights` has 1 numbers"));
    }
}
