//! Gaussian in d dimensions with any mean and covariance, of any normalising constant:
//!
//! log π(x) = `log_z` − ½ (x − m)ᵀ C⁻¹ (x − m) − ½ ln det(2π C)

use crate::gaussian_mixture::{as_setting, square};
use ndarray::{Array1, Array2};
use retrograde_core::registry::Parts;
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{Build, Error, GaussianMixture, Result, Target, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Settings, as written under `[target]` with `kind = "gaussian"`. Exactly one of `sd`, `variance`
/// and `covariance` is given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gaussian {
    /// Dimension d, 1 to 10⁶. May be left out where a list tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub dim: Option<usize>,
    /// Mean, one number for all coordinates or one for each; 0 by default.
    #[serde(default = "zero")]
    pub mean: PerCoordinate,
    /// Standard deviations, > 0, one number for all coordinates or one for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sd: Option<PerCoordinate>,
    /// Variances, > 0, one number for all coordinates or one for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance: Option<PerCoordinate>,
    /// Covariance matrix as a list of d rows, symmetric and positive definite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covariance: Option<Vec<Vec<f64>>>,
    /// log Z of the density as it is evaluated; 0 by default, which is normalised.
    #[serde(default)]
    pub log_z: f64,
}

fn zero() -> PerCoordinate {
    PerCoordinate::All(0.0)
}

const NAME: &str = "target gaussian";
const MAX_DIM: usize = 1_000_000;

impl Build<dyn Target> for Gaussian {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let given = [
            ("sd", self.sd.is_some()),
            ("variance", self.variance.is_some()),
            ("covariance", self.covariance.is_some()),
        ];
        let named: Vec<&str> = given.iter().filter(|g| g.1).map(|g| g.0).collect();
        if named.len() != 1 {
            let (key, words, allowed) = match named[..] {
                [] => (
                    "sd",
                    "missing".into(),
                    "given, or one of `variance` and `covariance`",
                ),
                [first, ..] => {
                    let others = named[1..].join("` and `");
                    let allowed = "given alone: exactly one of `sd`, `variance`, `covariance`";
                    (first, format!("given beside `{others}`"), allowed)
                }
            };
            return Err(Error::setting(NAME, key, words, allowed));
        }
        let d = self.dimension()?;
        let finite = |v: f64| v.is_finite();
        let mean = self.mean.expand(d, NAME, "mean", finite, "finite")?;
        let mean = row(mean);
        let one = || Array1::ones(1);
        let build = || {
            if let Some(rows) = &self.covariance {
                let matrix = square(NAME, "covariance", rows, d)?;
                let matrix = matrix.insert_axis(ndarray::Axis(0));
                return GaussianMixture::dense(one(), mean, matrix);
            }
            let (key, spread, power, says) = match (&self.sd, &self.variance) {
                (_, Some(variance)) => ("variance", variance, 1, "> 0 and finite"),
                (Some(sd), _) => ("sd", sd, 2, "> 0 and finite, its square too"),
                _ => ("sd", &self.mean, 2, "given"),
            };
            let positive = |v: f64| v > 0.0 && v.powi(power).is_normal();
            let v = spread.expand(d, NAME, key, positive, says)?;
            let v: Vec<f64> = v.iter().map(|v| v.powi(power)).collect();
            if matches!(spread, PerCoordinate::All(_)) {
                GaussianMixture::isotropic(one(), mean, Array1::from_elem(1, v[0]))
            } else {
                GaussianMixture::diagonal(one(), mean, row(v))
            }
        };
        let mixture = build()
            .and_then(|m| m.with_log_scale(self.log_z))
            .map_err(as_setting(
                NAME,
                &[
                    ("covariances[0]", given_key(&named)),
                    ("log_scale", "log_z"),
                ],
            ))?;
        Ok(Arc::new(mixture))
    }
}

fn given_key<'a>(named: &[&'a str]) -> &'a str {
    named.first().copied().unwrap_or("sd")
}

fn row(v: Vec<f64>) -> Array2<f64> {
    Array1::from(v).insert_axis(ndarray::Axis(0))
}

impl Gaussian {
    /// `dim`, or the length of the first list.
    fn dimension(&self) -> Result<usize> {
        let list = |key, v: Option<&PerCoordinate>| match v {
            Some(PerCoordinate::Each(v)) => Some((key, v.len())),
            _ => None,
        };
        let told = self
            .dim
            .map(|d| ("dim", d))
            .or_else(|| list("mean", Some(&self.mean)))
            .or_else(|| list("sd", self.sd.as_ref()))
            .or_else(|| list("variance", self.variance.as_ref()))
            .or_else(|| self.covariance.as_ref().map(|c| ("covariance", c.len())));
        match told {
            Some((_, d)) if (1..=MAX_DIM).contains(&d) => Ok(d),
            Some(("dim", d)) => Err(Error::setting(NAME, "dim", d, "1 to 1000000")),
            Some((key, d)) => {
                let given = format!("a list of {d}");
                Err(Error::setting(
                    NAME,
                    key,
                    given,
                    "a list of 1 to 1000000 (the dimension)",
                ))
            }
            None => {
                let allowed = "given, since no list tells the dimension";
                Err(Error::setting(NAME, "dim", "missing", allowed))
            }
        }
    }
}

register! {
    target "gaussian" => Gaussian, needs NOTHING,
        summary "Gaussian with any mean, covariance and normalising constant",
        source "closed form";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_core::registry::Folder;
    use retrograde_testkit::*;

    fn settings() -> Gaussian {
        Gaussian {
            dim: None,
            mean: zero(),
            sd: None,
            variance: None,
            covariance: None,
            log_z: 0.0,
        }
    }

    fn build(g: Gaussian) -> Result<Arc<dyn Target>> {
        g.build(&Parts::new(&Folder::default()))
    }

    fn check(what: &str, g: Gaussian) -> Arc<dyn Target> {
        let target = build(g).unwrap();
        let d = target.dim();
        let x = Array2::from_shape_fn((5, d), |(i, j)| (i as f64 - 2.0) * point(d)[j]);
        assert_target(what, &*target, x.view());
        assert_exact_sampler(what, &*target, 20_000, 1);
        target
    }

    #[test]
    fn one_dimension() {
        let target = check(
            "N(2.75, 0.25²)",
            Gaussian {
                mean: vec![2.75].into(),
                sd: Some(0.25.into()),
                ..settings()
            },
        );
        let row = Row(-71.532644172085, 48.0, 48.0, 48.0, 2304.0);
        assert_row("N(2.75, 0.25²)", &*target, &point(1), row, 1e-10);
    }

    #[test]
    fn the_three_forms_agree() {
        let mean: PerCoordinate = vec![0.5, -1.0, 2.0].into();
        let base = || Gaussian {
            mean: mean.clone(),
            log_z: 1.5,
            ..settings()
        };
        let sd = check(
            "sd",
            Gaussian {
                sd: Some(vec![0.5, 1.0, 2.0].into()),
                ..base()
            },
        );
        let variance = check(
            "variance",
            Gaussian {
                variance: Some(vec![0.25, 1.0, 4.0].into()),
                ..base()
            },
        );
        let rows = vec![
            vec![0.25, 0.0, 0.0],
            vec![0.0, 1.0, 0.0],
            vec![0.0, 0.0, 4.0],
        ];
        let dense = check(
            "covariance",
            Gaussian {
                covariance: Some(rows),
                ..base()
            },
        );
        let (l, g) = eval(&*sd, &point(3));
        for other in [variance, dense] {
            let (l2, g2) = eval(&*other, &point(3));
            assert_close("log density", l2, l, 1e-14);
            (0..3).for_each(|j| assert_close("gradient", g2[j], g[j], 1e-14));
        }
        let (log_z, se) = importance_log_z(&*sd, &[0.5, -1.0, 2.0], &[1.0, 2.0, 4.0], 40_000, 3);
        assert_z("log Z", log_z, 1.5, se);
    }

    #[test]
    fn correlations() {
        let rows = vec![vec![2.0, 0.9], vec![0.9, 0.5]];
        let target = check(
            "correlated",
            Gaussian {
                covariance: Some(rows),
                dim: Some(2),
                ..settings()
            },
        );
        // By hand: det 0.19, C⁻¹ = [[0.5, −0.9], [−0.9, 2]] / 0.19; at (1, 1) xᵀC⁻¹x = 0.7/0.19.
        let (l, g) = eval(&*target, &[1.0, 1.0]);
        let log_det = 0.5 * 0.19f64.ln() + std::f64::consts::TAU.ln();
        assert_close("log density", l, -0.35 / 0.19 - log_det, 1e-13);
        assert_close("g0", g[0], 0.4 / 0.19, 1e-13);
        assert_close("g1", g[1], -1.1 / 0.19, 1e-13);
    }

    #[test]
    fn mistakes_name_their_key() {
        let message = |g: Gaussian| build(g).err().unwrap().to_string();
        let sd = || Some(PerCoordinate::All(1.0));
        assert!(
            message(Gaussian {
                dim: Some(2),
                ..settings()
            })
            .contains("`sd` is missing")
        );
        let both = Gaussian {
            dim: Some(2),
            sd: sd(),
            variance: sd(),
            ..settings()
        };
        assert!(message(both).contains("`sd` is given beside `variance`"));
        assert!(
            message(Gaussian {
                sd: sd(),
                ..settings()
            })
            .contains("`dim` is missing")
        );
        assert!(
            message(Gaussian {
                dim: Some(0),
                sd: sd(),
                ..settings()
            })
            .contains("`dim` is 0")
        );
        let empty = Gaussian {
            mean: vec![].into(),
            sd: sd(),
            ..settings()
        };
        assert!(message(empty).contains("`mean` is a list of 0"));
        let negative = Gaussian {
            sd: Some(vec![1.0, -1.0].into()),
            ..settings()
        };
        assert!(message(negative).contains("`sd[1]` is -1"));
        let indefinite = Gaussian {
            covariance: Some(vec![vec![1.0, 2.0], vec![2.0, 1.0]]),
            ..settings()
        };
        assert!(message(indefinite).contains("`covariance` is not positive definite"));
        let ragged = Gaussian {
            covariance: Some(vec![vec![1.0, 2.0], vec![2.0]]),
            ..settings()
        };
        assert!(message(ragged).contains("`covariance[1]` is a list of 1"));
        let log_z = Gaussian {
            dim: Some(1),
            sd: sd(),
            log_z: f64::NAN,
            ..settings()
        };
        assert!(message(log_z).contains("`log_z` is NaN"));
        // (1e-200)² is no variance.
        let tiny = Gaussian {
            dim: Some(1),
            sd: Some(1e-200.into()),
            ..settings()
        };
        assert!(message(tiny).contains("`sd` is 0.000"));
    }
}
