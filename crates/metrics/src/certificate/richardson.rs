//! Observed order and extrapolation from three step sizes h, h/2, h/4.
//!
//! Source: Richardson (1911), Phil. Trans. A 210, 307; Roache (1998), Verification and Validation, ch. 5.
//!
//! With Q_h = Q + C h^p + …, d₁ = Q_h − Q_{h/2}, d₂ = Q_{h/2} − Q_{h/4}:
//!
//! * p = log₂(d₁/d₂), Q ≈ Q_{h/4} − d₂/(2^p − 1); errors d₁/(2^p − 1) of Q_{h/2} and d₂/(2^p − 1) of Q_{h/4}
//! * two-term extrapolation with a known order: (2^p Q_{h/2} − Q_h)/(2^p − 1)
//!
//! Differences that change sign, do not shrink or drown in Monte-Carlo noise tell of no order; that is said in place of
//! a NaN.

use crate::points::wrong;
use retrograde_core::Result;

const NAME: &str = "Richardson";
/// 2^0.1
const LEAST_RATIO: f64 = 1.071_773_462_536_293;

/// What three step sizes tell.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Richardson {
    /// The sequence converges.
    Order(Observed),
    /// No order can be read off.
    None {
        /// Why.
        reason: NoOrder,
        /// A rough size of the error of the finest value: the largest difference seen.
        error: f64,
    },
}

/// An observed order with what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Observed {
    /// p
    pub order: f64,
    /// Extrapolated to h = 0.
    pub limit: f64,
    /// Q_h − Q, Q_{h/2} − Q, Q_{h/4} − Q as estimated, with sign.
    pub errors: [f64; 3],
}

/// Why three values tell of no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoOrder {
    /// The differences have different signs.
    NotMonotone,
    /// The second difference is not clearly smaller than the first (the order would be below 0.1).
    NotShrinking,
    /// A difference is within two standard errors of 0.
    Noise,
    /// The values agree to rounding.
    NoDifference,
}

impl std::fmt::Display for NoOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NoOrder::NotMonotone => "the values do not change in one direction: take smaller steps",
            NoOrder::NotShrinking => "halving the step does not bring values nearer: take smaller steps",
            NoOrder::Noise => "the differences are within their Monte-Carlo error: take more draws, or couple the noise",
            NoOrder::NoDifference => "the values agree to rounding",
        })
    }
}

/// Returns order and limit from `values` at h, h/2, h/4; `standard_errors` are those of the two *differences* (0 if exact; with
/// coupled noise far smaller than those of the values).
///
/// # Errors
/// [`retrograde_core::Error::Argument`] for a number that is not finite and a negative standard error.
///
/// # Example
/// ```
/// use retrograde_metrics::certificate::{Richardson, richardson};
/// let q = |h: f64| 2.0 + 3.0 * h * h;
/// let Richardson::Order(seen) = richardson([q(0.4), q(0.2), q(0.1)], [0.0; 2])? else { panic!() };
/// assert!((seen.order - 2.0).abs() < 1e-12 && (seen.limit - 2.0).abs() < 1e-12);
/// # Ok::<(), retrograde_core::Error>(())
/// ```
pub fn richardson(values: [f64; 3], standard_errors: [f64; 2]) -> Result<Richardson> {
    for (i, v) in values.into_iter().enumerate() {
        if !v.is_finite() {
            return Err(wrong(NAME, format!("values[{i}]"), v, "finite"));
        }
    }
    for (i, v) in standard_errors.into_iter().enumerate() {
        if !(v >= 0.0 && v.is_finite()) {
            let argument = format!("standard_errors[{i}]");
            return Err(wrong(NAME, argument, v, "at least 0 and finite"));
        }
    }
    let (d1, d2) = (values[0] - values[1], values[1] - values[2]);
    let scale = values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let rounding = 8.0 * f64::EPSILON * scale;
    let none = |reason| {
        let error = d1.abs().max(d2.abs());
        Ok(Richardson::None { reason, error })
    };
    if d1.abs() <= rounding || d2.abs() <= rounding {
        return none(NoOrder::NoDifference);
    }
    if d1.abs() <= 2.0 * standard_errors[0] || d2.abs() <= 2.0 * standard_errors[1] {
        return none(NoOrder::Noise);
    }
    if (d1 > 0.0) != (d2 > 0.0) {
        return none(NoOrder::NotMonotone);
    }
    if d1.abs() < LEAST_RATIO * d2.abs() {
        return none(NoOrder::NotShrinking);
    }
    let ratio = d1 / d2;
    let last = d2 / (ratio - 1.0);
    Ok(Richardson::Order(Observed {
        order: ratio.log2(),
        limit: values[2] - last,
        errors: [d1 + d2 + last, d2 + last, last],
    }))
}

/// Returns (2^p Q_{h/2} − Q_h)/(2^p − 1), the limit if the order is known to be `order` > 0.
///
/// # Errors
/// [`retrograde_core::Error::Argument`] for a number that is not finite and an order that is not positive.
pub fn extrapolate(coarse: f64, fine: f64, order: f64) -> Result<f64> {
    for (name, v) in [("coarse", coarse), ("fine", fine)] {
        if !v.is_finite() {
            return Err(wrong(NAME, name, v, "finite"));
        }
    }
    if !(order > 0.0 && order.is_finite()) {
        return Err(wrong(NAME, "order", order, "positive and finite"));
    }
    Ok(fine + (fine - coarse) / (order.exp2() - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::{OuGaussian, Scheme};
    use crate::test_chains::assert_close;

    /// Variance of Euler–Maruyama from p_T for N(2, ¼) under OU up to T = 3, N = 20, 40, 80; truth ¼.
    #[test]
    fn euler_maruyama() {
        let ou = OuGaussian::new(2.0, 0.25, 3.0).unwrap();
        let v = [20, 40, 80].map(|n| ou.output(Scheme::EulerMaruyama, n, ou.last()).unwrap().1);
        let Richardson::Order(seen) = richardson(v, [0.0; 2]).unwrap() else {
            panic!("no order")
        };
        assert_close(seen.order, 1.202_486_829_773_5, 1e-10);
        assert_close(v[0] - v[1], 0.101_595_744_725_88, 1e-10);
        assert_close(
            extrapolate(v[0], v[1], 1.0).unwrap(),
            0.230_966_457_811_67,
            1e-10,
        );
        assert_close(
            extrapolate(v[1], v[2], 1.0).unwrap(),
            0.244_270_293_194_78,
            1e-10,
        );
        // The observed order comes nearer to the truth than the nominal one.
        assert!((seen.limit - 0.25).abs() < 0.25 - 0.244_270_293_194_78);
        assert_close(
            seen.errors[1],
            (v[0] - v[1]) / (seen.order.exp2() - 1.0),
            1e-10,
        );
        // Control: in the order of growing steps there is none.
        assert!(matches!(
            richardson([v[2], v[1], v[0]], [0.0; 2]).unwrap(),
            Richardson::None {
                reason: NoOrder::NotShrinking,
                ..
            }
        ));
    }

    #[test]
    fn reasons_in_place_of_nan() {
        let reason = |v, se| match richardson(v, se).unwrap() {
            Richardson::None { reason, error } => {
                assert!(error.is_finite());
                Some(reason)
            }
            Richardson::Order(o) => {
                assert!(o.order.is_finite() && o.limit.is_finite());
                None
            }
        };
        assert_eq!(
            reason([1.0, 2.0, 1.5], [0.0; 2]),
            Some(NoOrder::NotMonotone)
        );
        assert_eq!(
            reason([1.0, 1.1, 1.2], [0.0; 2]),
            Some(NoOrder::NotShrinking)
        );
        assert_eq!(
            reason([1.0, 1.1, 1.25], [0.0; 2]),
            Some(NoOrder::NotShrinking)
        );
        assert_eq!(reason([1.0, 1.1, 1.15], [0.0, 0.03]), Some(NoOrder::Noise));
        assert_eq!(reason([1.0, 1.1, 1.15], [0.04, 0.02]), None);
        assert_eq!(
            reason([1.0, 1.0, 1.0], [0.0; 2]),
            Some(NoOrder::NoDifference)
        );
        assert_eq!(reason([0.0; 3], [0.0; 2]), Some(NoOrder::NoDifference));
        assert_eq!(
            reason([1e9, 1e9 + 1.0, 1e9 + 1.0], [0.0; 2]),
            Some(NoOrder::NoDifference)
        );
        assert!(richardson([f64::NAN, 0.0, 0.0], [0.0; 2]).is_err());
        assert!(richardson([1.0, 0.5, 0.2], [-1.0, 0.0]).is_err());
        assert!(extrapolate(1.0, 2.0, 0.0).is_err());
    }
}
