//! Mixtures of Gaussians that benchmarks know by name. All are normalised: log Z = 0.
//!
//! | kind | components | source |
//! | --- | --- | --- |
//! | `gmm8` | 10 (sin iπ/4, cos iπ/4), i = 0..7, variance 0.7 | Grenioux et al. 2024, arXiv:2402.10758 |
//! | `gmm9` | {−5, 0, 5}², variance 0.3 | Zhang & Chen 2022, arXiv:2111.15141 |
//! | `gmm16` | {−6, −2, 2, 6}², variance 0.25 | a grid of this project |
//! | `gmm25` | {−10, −5, 0, 5, 10}², variance 0.09 or 0.3 | Sendera et al. 2024, arXiv:2402.05098 |
//! | `gmm40` | 40 uniform means in [−40, 40]², standard deviation ln(1 + e) | Midgley et al. 2023, arXiv:2208.01893 |
//! | `two-modes` | −⅔ and 4/3 in every coordinate, weights ⅔ and ⅓, variance 0.05 | Grenioux et al. 2024, arXiv:2402.10758 |
//! | `hard-mixture` | six correlated components | Phillips et al. 2024, arXiv:2402.06320 |

use ndarray::{Array1, Array2, array, stack};
use rand_mt::Mt;
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Error, GaussianMixture, Result, Target, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_4;
use std::sync::Arc;

/// Settings, as written under `[target]` with `kind = "gmm8"`: eight components on a circle of
/// radius 10.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gmm8 {
    /// Variance of each component in each coordinate, > 0; 0.7 by default.
    #[serde(default = "Gmm8::variance")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub variance: f64,
}

/// Settings, as written under `[target]` with `kind = "gmm9"`: nine components on a grid of
/// spacing 5.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gmm9 {
    /// Variance of each component in each coordinate, > 0; 0.3 by default.
    #[serde(default = "Gmm9::variance")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub variance: f64,
}

/// Settings, as written under `[target]` with `kind = "gmm16"`: sixteen components on a grid of
/// spacing 4.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gmm16 {
    /// Variance of each component in each coordinate, > 0; 0.25 by default.
    #[serde(default = "Gmm16::variance")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub variance: f64,
}

/// Settings, as written under `[target]` with `kind = "gmm25"`: twenty-five components on a grid of
/// spacing 5.
///
/// Two variants circulate: standard deviation 0.3, which is variance 0.09 and the default here, and
/// variance 0.3. A result says nothing unless it says which.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gmm25 {
    /// Variance of each component in each coordinate, > 0; 0.09 by default, 0.3 in the other variant.
    #[serde(default = "Gmm25::variance")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub variance: f64,
}

impl Gmm8 {
    fn variance() -> f64 {
        0.7
    }
}

impl Gmm9 {
    fn variance() -> f64 {
        0.3
    }
}

impl Gmm16 {
    fn variance() -> f64 {
        0.25
    }
}

impl Gmm25 {
    fn variance() -> f64 {
        0.09
    }
}

impl Build<dyn Target> for Gmm8 {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let means = Array2::from_shape_fn((8, 2), |(i, j)| {
            let angle = i as f64 * FRAC_PI_4;
            10.0 * if j == 0 { angle.sin() } else { angle.cos() }
        });
        equal("target gmm8", means, self.variance)
    }
}

impl Build<dyn Target> for Gmm9 {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        equal("target gmm9", grid(&[-5.0, 0.0, 5.0]), self.variance)
    }
}

impl Build<dyn Target> for Gmm16 {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        equal("target gmm16", grid(&[-6.0, -2.0, 2.0, 6.0]), self.variance)
    }
}

impl Build<dyn Target> for Gmm25 {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        equal(
            "target gmm25",
            grid(&[-10.0, -5.0, 0.0, 5.0, 10.0]),
            self.variance,
        )
    }
}

/// All pairs of `marks`.
fn grid(marks: &[f64]) -> Array2<f64> {
    let k = marks.len();
    Array2::from_shape_fn((k * k, 2), |(i, j)| {
        marks[if j == 0 { i / k } else { i % k }]
    })
}

/// Equal weights and one variance.
fn equal(component: &str, means: Array2<f64>, variance: f64) -> Result<Arc<dyn Target>> {
    if !(variance > 0.0 && variance.is_finite()) {
        return Err(Error::setting(
            component,
            "variance",
            variance,
            "> 0 and finite",
        ));
    }
    let ones = Array1::ones(means.nrows());
    let variances = &ones * variance;
    Ok(Arc::new(GaussianMixture::isotropic(
        ones, means, variances,
    )?))
}

/// Which means the mixture of forty has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Gmm40Means {
    /// The numbers as they were drawn, in single precision.
    #[default]
    Exact,
    /// Rounded to four decimals, as they are printed in several places.
    Rounded,
}

/// Settings, as written under `[target]` with `kind = "gmm40"`: forty components of standard
/// deviation softplus(1) = ln(1 + e) ≈ 1.3133 at means drawn once for all, uniform in [−40, 40]².
///
/// The means are the first 80 single-precision uniforms of the generator MT19937 with seed 0. Other
/// mixtures called "GMM40" have means of another seed or generator, or unit variance: their results
/// are not comparable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gmm40 {
    /// `exact` (default) or `rounded` to four decimals.
    #[serde(default)]
    pub means: Gmm40Means,
}

impl Build<dyn Target> for Gmm40 {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let mut generator = Mt::new(0);
        let means = Array2::from_shape_simple_fn((40, 2), || {
            // 24 bits make a single-precision uniform; both factors are exact, the product rounds.
            let u = (generator.next_u32() & 0x00ff_ffff) as f32 / 16_777_216.0;
            let mean = f64::from((u - 0.5) * 80.0);
            match self.means {
                Gmm40Means::Exact => mean,
                Gmm40Means::Rounded => (mean * 1e4).round() / 1e4,
            }
        });
        let sd = 1f64.exp().ln_1p();
        equal("target gmm40", means, sd * sd)
    }
}

/// Settings, as written under `[target]` with `kind = "two-modes"`: two narrow modes of weights ⅔
/// and ⅓ in d dimensions, of mean zero. What is asked of a sampler is the weight of the first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TwoModes {
    /// Dimension d, 1 to 10⁶; 8 by default, up to 128 in the source.
    #[serde(default = "TwoModes::dim")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub dim: usize,
}

impl TwoModes {
    fn dim() -> usize {
        8
    }
}

impl Build<dyn Target> for TwoModes {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let d = self.dim;
        if !(1..=1_000_000).contains(&d) {
            return Err(Error::setting("target two-modes", "dim", d, "1 to 1000000"));
        }
        let third = 1.0 / 3.0;
        let means = Array2::from_shape_fn((2, d), |(k, _)| third + if k == 0 { -1.0 } else { 1.0 });
        let mixture = GaussianMixture::isotropic(array![2.0, 1.0], means, array![0.05, 0.05])?;
        Ok(Arc::new(mixture))
    }
}

/// `[target]` with `kind = "hard-mixture"`, which has no settings: six components in the plane,
/// narrow across or strongly correlated.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HardMixture {}

impl Build<dyn Target> for HardMixture {
    fn build(self, _parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let means = array![
            [3.0, 0.0],
            [0.0, 3.0],
            [-2.5, 0.0],
            [0.0, -2.5],
            [2.0, 3.0],
            [3.0, 2.0]
        ];
        let flat = array![[0.7, 0.0], [0.0, 0.05]];
        let tall = array![[0.05, 0.0], [0.0, 0.7]];
        let slanted = array![[1.0, 0.95], [0.95, 1.0]];
        let all = [&flat, &tall, &flat, &tall, &slanted, &slanted].map(|c| c.view());
        let covariances = stack(ndarray::Axis(0), &all)
            .map_err(|e| Error::setting("target hard-mixture", "covariances", e, "of one shape"))?;
        Ok(Arc::new(GaussianMixture::dense(
            Array1::ones(6),
            means,
            covariances,
        )?))
    }
}

register! {
    target "gmm8" => Gmm8, needs NOTHING,
        summary "Eight Gaussians on a circle in the plane",
        source "Grenioux, Noble, Gabrié & Durmus 2024, arXiv:2402.10758";
    target "gmm9" => Gmm9, needs NOTHING,
        summary "Nine Gaussians on a grid in the plane",
        source "Zhang & Chen 2022, arXiv:2111.15141";
    target "gmm16" => Gmm16, needs NOTHING,
        summary "Sixteen Gaussians on a grid in the plane",
        source "closed form";
    target "gmm25" => Gmm25, needs NOTHING,
        summary "Twenty-five Gaussians on a grid in the plane, in two variants",
        source "Sendera, Kim, Mittal, Lemos, Scimeca, Rector-Brooks, Adam, Bengio & Malkin 2024, arXiv:2402.05098";
    target "gmm40" => Gmm40, needs NOTHING,
        summary "Forty Gaussians at random places in the plane",
        source "Midgley, Stimper, Simm, Schölkopf & Hernández-Lobato 2023, arXiv:2208.01893";
    target "two-modes" => TwoModes, needs NOTHING,
        summary "Two narrow Gaussians of unequal weight in any dimension",
        source "Grenioux, Noble, Gabrié & Durmus 2024, arXiv:2402.10758";
    target "hard-mixture" => HardMixture, needs NOTHING,
        summary "Six narrow or correlated Gaussians in the plane",
        source "Phillips, Dau, Hutchinson, De Bortoli, Deligiannidis & Doucet 2024, arXiv:2402.06320";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde_core::registry::Folder;
    use retrograde_testkit::*;

    fn build(settings: impl Build<dyn Target>) -> Result<Arc<dyn Target>> {
        settings.build(&Parts::new(&Folder::default()))
    }

    fn check(what: &str, target: &dyn Target, row: Row) {
        let d = target.dim();
        assert_row(what, target, &point(d), row, 1e-10);
        // Around the test point and around two of the modes.
        let means = target.mixture().unwrap().means();
        let x = Array2::from_shape_fn((6, d), |(i, j)| {
            let centre = if i < 2 {
                0.0
            } else {
                means[(i % means.nrows(), j)]
            };
            centre + (i as f64 - 2.5) * 0.4 * point(d)[j]
        });
        assert_target(what, target, x.view());
        assert_exact_sampler(what, target, 30_000, 1);
    }

    fn importance(what: &str, target: &dyn Target, sd: f64) {
        let d = target.dim();
        let (log_z, se) = importance_log_z(target, &vec![0.0; d], &vec![sd; d], 200_000, 5);
        assert_z(what, log_z, 0.0, se);
    }

    fn moments(target: &dyn Target, mean: f64, variance: f64) {
        let truth = target.exact().unwrap().truth();
        for (m, v) in truth.mean.unwrap().into_iter().zip(truth.variance.unwrap()) {
            assert!((m - mean).abs() < 1e-12);
            assert_close("variance", v, variance, 1e-12);
        }
    }

    #[test]
    fn grids_and_circle() {
        let gmm9 = build(Gmm9 {
            variance: Gmm9::variance(),
        })
        .unwrap();
        check(
            "gmm9",
            &*gmm9,
            Row(
                -3.586337172753,
                0.833333333333,
                -2.083333333333,
                -1.25,
                5.034722222220,
            ),
        );
        importance("gmm9", &*gmm9, 5.0);
        moments(&*gmm9, 0.0, 50.0 / 3.0 + 0.3);

        let gmm16 = build(Gmm16 {
            variance: Gmm16::variance(),
        })
        .unwrap();
        check(
            "gmm16",
            &*gmm16,
            Row(
                -13.112226100712,
                -6.712220640607,
                5.499273634101,
                -1.212947006506,
                75.29591643090,
            ),
        );
        importance("gmm16", &*gmm16, 6.0);
        moments(&*gmm16, 0.0, 20.25);

        let gmm25 = build(Gmm25 {
            variance: Gmm25::variance(),
        })
        .unwrap();
        check(
            "gmm25",
            &*gmm25,
            Row(
                -5.166168393737,
                2.777777777778,
                -6.944444444444,
                -4.166666666667,
                55.94135802469,
            ),
        );
        importance("gmm25", &*gmm25, 10.0);
        moments(&*gmm25, 0.0, 50.09);

        let wide = build(Gmm25 { variance: 0.3 }).unwrap();
        check(
            "gmm25 of variance 0.3",
            &*wide,
            Row(
                -4.607988420285,
                0.833333333333,
                -2.083333333333,
                -1.25,
                5.034722222220,
            ),
        );
        moments(&*wide, 0.0, 50.3);

        let gmm8 = build(Gmm8 {
            variance: Gmm8::variance(),
        })
        .unwrap();
        check(
            "gmm8",
            &*gmm8,
            Row(
                -65.729509445747,
                -4.444895874879,
                11.357764209087,
                6.912868334208,
                148.7559071677,
            ),
        );
        importance("gmm8", &*gmm8, 9.0);
        moments(&*gmm8, 0.0, 50.7);
    }

    /// The means as printed in public implementations.
    const PRINTED: [[f64; 2]; 40] = [
        [-0.2995, 21.4577],
        [-32.9218, -29.4376],
        [-15.4062, 10.7263],
        [-0.7925, 31.7156],
        [-3.5498, 10.5845],
        [-12.0885, -7.8626],
        [-38.2139, -26.4913],
        [-16.4889, 1.4817],
        [15.8134, 24.0009],
        [-27.1176, -17.4185],
        [14.5287, 33.2155],
        [-8.2320, 29.9325],
        [-6.4473, 4.2326],
        [36.2190, -37.1068],
        [-25.1815, -10.1266],
        [-15.5920, 34.5600],
        [-25.9272, -18.4133],
        [-27.9456, -37.4624],
        [-23.3496, 34.3839],
        [17.8487, 19.3869],
        [2.1037, -20.5073],
        [6.7674, -37.3478],
        [-28.9026, -20.6212],
        [25.2375, 23.4529],
        [-17.7398, -1.4433],
        [25.5824, 39.7653],
        [15.8753, 5.4037],
        [26.8195, -23.5521],
        [7.4538, -31.0122],
        [-27.7234, -20.6633],
        [18.0989, 16.0864],
        [-23.6941, 12.0843],
        [21.9589, -5.0487],
        [1.5273, 9.2682],
        [24.8151, 38.4078],
        [-30.8249, -14.6588],
        [15.7204, 33.1420],
        [34.8083, 35.2943],
        [7.9606, -34.7833],
        [3.6797, -25.0242],
    ];

    #[test]
    fn forty_modes() {
        let rounded = build(Gmm40 {
            means: Gmm40Means::Rounded,
        })
        .unwrap();
        let means = rounded.mixture().unwrap().means();
        for (mean, printed) in means.rows().into_iter().zip(PRINTED) {
            assert_eq!(mean.to_vec(), printed);
        }
        check(
            "gmm40",
            &*rounded,
            Row(
                -20.979012610085,
                -3.591188420396,
                2.093146548381,
                -1.498041872015,
                17.27789674379,
            ),
        );
        let row = Row(
            -23.316308213706,
            -3.737200680328,
            2.454870796838,
            -1.282329883490,
            19.99305955421,
        );
        assert_row("gmm40 at the origin", &*rounded, &[0.0, 0.0], row, 1e-10);
        importance("gmm40", &*rounded, 25.0);
        let mixture = rounded.mixture().unwrap();
        let (mean, covariance) = (mixture.mean(), mixture.covariance());
        for (got, want) in [(mean[0], -2.1405025), (mean[1], 1.2400425)] {
            assert!((got - want).abs() < 1e-12, "mean {got}, {want}");
        }
        for (got, want) in [
            (covariance[(0, 0)], 441.8161351857),
            (covariance[(0, 1)], 171.2167495609),
            (covariance[(1, 0)], 171.2167495609),
            (covariance[(1, 1)], 623.4337965518),
        ] {
            assert_close("covariance", got, want, 1e-12);
        }
        let exact = build(Gmm40 {
            means: Gmm40Means::default(),
        })
        .unwrap();
        let first = exact.mixture().unwrap().means()[(0, 0)];
        // The first uniform is 0.49625658988952637; the product is rounded to single precision.
        assert_eq!(
            first,
            f64::from((0.496_256_589_889_526_37_f64 - 0.5) as f32 * 80.0)
        );
        assert!(exact.mixture() != rounded.mixture());
        assert_exact_sampler("gmm40, exact means", &*exact, 30_000, 8);
    }

    #[test]
    fn two_modes() {
        let target = build(TwoModes {
            dim: TwoModes::dim(),
        })
        .unwrap();
        let row = Row(
            -50.496266501752,
            -8.333333333333,
            -20.833333333333,
            -116.666666666667,
            2188.888888889,
        );
        check("two-modes", &*target, row);
        moments(&*target, 0.0, 0.05 + 8.0 / 9.0);
        let target = build(TwoModes { dim: 16 }).unwrap();
        let row = Row(
            -96.368317895395,
            -8.333333333333,
            -23.333333333333,
            -225.833333333333,
            4209.027777778,
        );
        check("two-modes in 16", &*target, row);
        importance("two-modes", &*build(TwoModes { dim: 2 }).unwrap(), 1.5);
    }

    #[test]
    fn hard_mixture() {
        let target = build(HardMixture {}).unwrap();
        let row = Row(
            -5.026709944923,
            0.997211184894,
            2.380230180257,
            3.377441365151,
            6.659925858284,
        );
        check("hard-mixture", &*target, row);
        importance("hard-mixture", &*target, 3.5);
    }

    #[test]
    fn mistakes_name_their_key() {
        let message = |t: Result<Arc<dyn Target>>| t.err().unwrap().to_string();
        assert!(message(build(Gmm9 { variance: 0.0 })).contains("target gmm9: `variance` is 0"));
        assert!(message(build(Gmm25 { variance: f64::NAN })).contains("`variance` is NaN"));
        assert!(message(build(TwoModes { dim: 0 })).contains("`dim` is 0"));
    }
}
