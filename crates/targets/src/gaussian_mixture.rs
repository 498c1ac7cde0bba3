//! Any mixture of Gaussians: log π(x) = `log_z` + ln Σₖ wₖ N(x; mₖ, Cₖ), Σ wₖ = 1.
//!
//! Named ones are in [`named_mixtures`](crate::named_mixtures).

use ndarray::{Array1, Array2, Array3, Axis};
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{Build, Error, GaussianMixture, Result, Target, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Settings, as written under `[target]` with `kind = "gaussian-mixture"`. Exactly one of `sd`,
/// `variances` and `covariances` is given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mixture {
    /// Weights of the K components, > 0, of any sum: they are divided by it. All equal by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    /// Means: K lists of d numbers.
    #[schemars(length(min = 1))]
    pub means: Vec<Vec<f64>>,
    /// Standard deviations of round components, > 0: one number for all components or one for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sd: Option<PerCoordinate>,
    /// Variances of the coordinates, > 0: K lists of d numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variances: Option<Vec<Vec<f64>>>,
    /// Covariance matrices, symmetric and positive definite: K lists of d rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covariances: Option<Vec<Vec<Vec<f64>>>>,
    /// log Z of the density as it is evaluated; 0 by default, which is normalised.
    #[serde(default)]
    pub log_z: f64,
}

const NAME: &str = "target gaussian-mixture";

impl Build<dyn Target> for Mixture {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let (k, d) = (self.means.len(), self.means.first().map_or(0, Vec::len));
        if k == 0 {
            return Err(Error::setting(
                NAME,
                "means",
                "an empty list",
                "at least one list of numbers",
            ));
        }
        if d == 0 {
            return Err(Error::setting(
                NAME,
                "means[0]",
                "an empty list",
                "at least one number",
            ));
        }
        let means = table("means", &self.means, k, d)?;
        let weights = self.weights.unwrap_or_else(|| vec![1.0; k]);
        let weights = Array1::from(weights);
        let (key, mixture) = match (self.sd, self.variances, self.covariances) {
            (Some(sd), None, None) => {
                let v = spreads(&sd, k)?;
                ("sd", GaussianMixture::isotropic(weights, means, v))
            }
            (None, Some(v), None) => {
                let v = table("variances", &v, k, d)?;
                ("variances", GaussianMixture::diagonal(weights, means, v))
            }
            (None, None, Some(c)) => {
                length("covariances", "matrices", c.len(), k)?;
                let mut all = Array3::zeros((k, d, d));
                for (i, (c, mut to)) in c.iter().zip(all.axis_iter_mut(Axis(0))).enumerate() {
                    to.assign(&square(NAME, &format!("covariances[{i}]"), c, d)?);
                }
                ("covariances", GaussianMixture::dense(weights, means, all))
            }
            (None, None, None) => {
                let allowed = "given, or one of `variances` and `covariances`";
                return Err(Error::setting(NAME, "sd", "missing", allowed));
            }
            (sd, variances, covariances) => {
                let (key, others) = match (sd, variances, covariances) {
                    (None, ..) => ("variances", "`covariances`"),
                    (_, Some(_), Some(_)) => ("sd", "`variances` and `covariances`"),
                    (_, Some(_), None) => ("sd", "`variances`"),
                    (_, None, _) => ("sd", "`covariances`"),
                };
                let allowed = "given alone: exactly one of `sd`, `variances`, `covariances`";
                return Err(Error::setting(
                    NAME,
                    key,
                    format!("given beside {others}"),
                    allowed,
                ));
            }
        };
        let mixture = mixture
            .and_then(|m| m.with_log_scale(self.log_z))
            .map_err(as_setting(
                NAME,
                &[("covariances", key), ("log_scale", "log_z")],
            ))?;
        Ok(Arc::new(mixture))
    }
}

/// Variances of K round components.
fn spreads(sd: &PerCoordinate, k: usize) -> Result<Array1<f64>> {
    if let PerCoordinate::Each(sd) = sd {
        length("sd", "numbers", sd.len(), k)?;
    }
    let right = |sd: f64| sd > 0.0 && (sd * sd).is_normal();
    let sd = sd.expand(k, NAME, "sd", right, "> 0 and finite, its square too")?;
    Ok(sd.iter().map(|sd| sd * sd).collect())
}

fn length(key: &str, of: &str, given: usize, k: usize) -> Result {
    if given == k {
        return Ok(());
    }
    let given = format!("a list of {given} {of}");
    let allowed = format!("a list of {k}, one for each of `means`");
    Err(Error::setting(NAME, key, given, allowed))
}

/// K lists of d numbers as a K × d array.
fn table(key: &str, rows: &[Vec<f64>], k: usize, d: usize) -> Result<Array2<f64>> {
    length(key, "lists", rows.len(), k)?;
    filled(NAME, key, rows, d)
}

/// A list of d rows of d numbers as a matrix.
///
/// # Errors
/// [`Error::Setting`] for a wrong length.
pub(crate) fn square(
    component: &str,
    key: &str,
    rows: &[Vec<f64>],
    d: usize,
) -> Result<Array2<f64>> {
    if rows.len() != d {
        let given = format!("a list of {} rows", rows.len());
        return Err(Error::setting(
            component,
            key,
            given,
            format!("a list of {d} rows"),
        ));
    }
    filled(component, key, rows, d)
}

fn filled(component: &str, key: &str, rows: &[Vec<f64>], d: usize) -> Result<Array2<f64>> {
    if let Some(i) = rows.iter().position(|r| r.len() != d) {
        let given = format!("a list of {} numbers", rows[i].len());
        let allowed = format!("a list of {d} (the dimension)");
        return Err(Error::setting(
            component,
            format!("{key}[{i}]"),
            given,
            allowed,
        ));
    }
    Ok(Array2::from_shape_fn((rows.len(), d), |(i, j)| rows[i][j]))
}

/// What the mixture said of its arguments, said of the settings they came from.
pub(crate) fn as_setting<'a>(
    component: &'a str,
    keys: &'a [(&'a str, &'a str)],
) -> impl Fn(Error) -> Error + 'a {
    move |e| match e {
        Error::Argument {
            argument,
            given,
            allowed,
            ..
        } => {
            let key = keys.iter().find_map(|(from, to)| {
                let rest = argument.strip_prefix(from)?;
                Some(format!("{to}{rest}"))
            });
            Error::setting(component, key.unwrap_or(argument), given, allowed)
        }
        other => other,
    }
}

register! {
    target "gaussian-mixture" => Mixture, needs NOTHING,
        summary "Mixture of Gaussians with round, diagonal or dense covariances",
        source "closed form";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_core::registry::Folder;
    use retrograde_testkit::*;

    fn settings() -> Mixture {
        Mixture {
            weights: None,
            means: vec![vec![-1.0, 0.5], vec![2.0, 1.0], vec![0.0, -2.0]],
            sd: None,
            variances: None,
            covariances: None,
            log_z: 0.0,
        }
    }

    fn build(m: Mixture) -> Result<Arc<dyn Target>> {
        m.build(&Parts::new(&Folder::default()))
    }

    #[test]
    fn all_forms_have_their_mass_draws_and_gradient() {
        let round = Mixture {
            sd: Some(vec![0.5, 1.0, 0.8].into()),
            log_z: -2.0,
            ..settings()
        };
        let variances = vec![vec![0.5, 1.0], vec![1.0, 0.2], vec![0.3, 0.3]];
        let diagonal = Mixture {
            variances: Some(variances),
            weights: Some(vec![1.0, 2.0, 1.0]),
            ..settings()
        };
        let c = |rho: f64| vec![vec![1.0, rho], vec![rho, 0.5]];
        let dense = Mixture {
            covariances: Some(vec![c(0.5), c(-0.6), c(0.0)]),
            log_z: 3.0,
            ..settings()
        };
        for (what, m) in [("round", round), ("diagonal", diagonal), ("dense", dense)] {
            let truth = m.log_z;
            let target = build(m).unwrap();
            let x = Array2::from_shape_fn((5, 2), |(i, j)| (i as f64 - 2.0) * point(2)[j]);
            assert_target(what, &*target, x.view());
            assert_exact_sampler(what, &*target, 20_000, 2);
            let (log_z, se) = importance_log_z(&*target, &[0.0; 2], &[3.0; 2], 40_000, 4);
            assert_z(what, log_z, truth, se);
            assert_eq!(target.mixture().unwrap().log_scale(), truth);
        }
    }

    #[test]
    fn mistakes_name_their_key() {
        let message = |m: Mixture| build(m).err().unwrap().to_string();
        let sd = || Some(PerCoordinate::All(1.0));
        assert!(message(settings()).contains("`sd` is missing"));
        let both = Mixture {
            sd: sd(),
            variances: Some(vec![]),
            ..settings()
        };
        assert!(message(both).contains("`sd` is given beside `variances`"));
        let weights = Mixture {
            sd: sd(),
            weights: Some(vec![1.0, -1.0, 1.0]),
            ..settings()
        };
        assert!(message(weights).contains("`weights[1]` is -1"));
        let short = Mixture {
            sd: Some(vec![1.0].into()),
            ..settings()
        };
        assert!(message(short).contains("`sd` is a list of 1 numbers"));
        let zero = Mixture {
            sd: Some(0.0.into()),
            ..settings()
        };
        assert!(message(zero).contains("`sd` is 0"));
        let ragged = Mixture {
            sd: sd(),
            means: vec![vec![1.0], vec![]],
            ..settings()
        };
        assert!(message(ragged).contains("`means[1]` is a list of 0 numbers"));
        let none = Mixture {
            sd: sd(),
            means: vec![],
            ..settings()
        };
        assert!(message(none).contains("`means` is an empty list"));
        let flat = Mixture {
            sd: sd(),
            means: vec![vec![]],
            ..settings()
        };
        assert!(message(flat).contains("`means[0]` is an empty list"));
        let flat = Mixture {
            variances: Some(vec![vec![1.0, 0.0]; 3]),
            ..settings()
        };
        assert!(message(flat).contains("`variances[0][1]` is 0"));
        let singular = Mixture {
            covariances: Some(vec![vec![vec![1.0; 2]; 2]; 3]),
            ..settings()
        };
        assert!(message(singular).contains("`covariances[0]` is not positive definite"));
    }
}
