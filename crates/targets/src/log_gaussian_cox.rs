//! Log-Gaussian Cox process: a Poisson point pattern on the unit square whose log intensity is a
//! Gaussian field on a g × g grid.
//!
//! Source: Møller, Syversveen & Waagepetersen (1998), §8, who fit it to 126 saplings of Scots pine
//! in Finland; as a benchmark on a 40 × 40 grid Arbel, Matthews & Doucet (2021), arXiv:2102.07501.
//!
//! ```text
//! x ~ N(μ₀ 1, K),   K_ij = σ² exp(−‖i − j‖ / (g β)),   y_i ~ Poisson(a exp xᵢ),   a = 1/g²
//! log π(x) = −½‖L⁻¹(x − μ₀)‖² − Σ ln L_ii − (d/2) ln 2π + Σᵢ (xᵢ yᵢ − a exp xᵢ),   L Lᵀ = K,  d = g²
//! ∇ log π(x) = −K⁻¹(x − μ₀) + y − a exp x
//! ```
//!
//! ‖i − j‖ is the distance of two cells in cells. With `whitened = true` the coordinates are e with
//! x = μ₀ + L e, whose prior is standard normal; log Z is the same and the density far better
//! conditioned. The terms Σ ln yᵢ! of the Poisson law are left out, as in the sources.
//!
//! Cost of a point: two products with a triangular d × d matrix (2 d² operations) and d
//! exponentials; building it: d³ operations and 8 d² bytes.

use crate::dense::{cholesky, lower_inverse, times_lower, times_lower_transposed};
use ndarray::{Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip, s};
use retrograde_core::registry::Parts;
use retrograde_core::table::Table;
use retrograde_core::{Build, Cx, Error, Outputs, Result, Target, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::path::PathBuf;
use std::sync::Arc;

const NAME: &str = "target log-gaussian-cox";
/// Points at a time in the matrix products.
const POINTS: usize = 64;
const MAX_GRID: usize = 64;

/// Settings, as written under `[target]` with `kind = "log-gaussian-cox"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogGaussianCox {
    /// CSV file with the points, relative to the job: two columns in [0, 1], with or without a line
    /// of names.
    pub file: PathBuf,
    /// Cells along each side, g; the dimension is g². 1 to 64.
    #[serde(default = "forty")]
    #[schemars(range(min = 1, max = 64))]
    pub grid: usize,
    /// Variance σ² of the log intensity, > 0.
    #[serde(default = "default_variance")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub variance: f64,
    /// Correlation length β in units of the square's side, > 0.
    #[serde(default = "default_length_scale")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub length_scale: f64,
    /// Mean μ₀ of the log intensity; ln N − σ²/2 for N points if it is not given, so that N is the
    /// expected number of points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Coordinates e with x = μ₀ + L e instead of the field x.
    #[serde(default = "yes")]
    pub whitened: bool,
}

fn forty() -> usize {
    40
}
fn default_variance() -> f64 {
    1.91
}
fn default_length_scale() -> f64 {
    1.0 / 33.0
}
fn yes() -> bool {
    true
}

impl LogGaussianCox {
    /// All defaults for the points in `file`.
    pub fn from_file(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            grid: forty(),
            variance: default_variance(),
            length_scale: default_length_scale(),
            mean: None,
            whitened: true,
        }
    }

    /// Points a cell; row-major, the first coordinate of a point gives the row.
    fn counts(&self, table: &Table) -> Result<Vec<f64>> {
        let mut counts = vec![0.0; self.grid * self.grid];
        for row in 0..table.rows() {
            let mut cell = [0; 2];
            for (column, cell) in cell.iter_mut().enumerate() {
                let v = table.number(row, column)?;
                if !(0.0..=1.0).contains(&v) {
                    let name = table.name(column);
                    let message = format!(
                        "column `{name}` is {v}, outside [0, 1]; rescale the points to the unit square"
                    );
                    return Err(table.error(table.line(row), Some(column), message));
                }
                // A point on the upper edge belongs to the last cell.
                *cell = ((v * self.grid as f64) as usize).min(self.grid - 1);
            }
            counts[cell[0] * self.grid + cell[1]] += 1.0;
        }
        Ok(counts)
    }
}

impl Build<dyn Target> for LogGaussianCox {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        if !(1..=MAX_GRID).contains(&self.grid) {
            let allowed = format!("1 to {MAX_GRID}");
            return Err(Error::setting(NAME, "grid", self.grid, allowed));
        }
        for (key, value) in [
            ("variance", self.variance),
            ("length_scale", self.length_scale),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::setting(NAME, key, value, "> 0"));
            }
        }
        if let Some(mean) = self.mean.filter(|m| !m.is_finite()) {
            return Err(Error::setting(NAME, "mean", mean, "finite"));
        }
        let names = |first: &[&str]| first.iter().any(|c| c.parse::<f64>().is_err());
        let table = Table::read(parts.files, &self.file, names)?;
        if table.columns() != 2 {
            let found = table.columns();
            let message =
                format!("two columns are needed, the coordinates of a point; found {found}");
            return Err(table.error(Some(1), None, message));
        }
        let counts = self.counts(&table)?;
        let (g, d) = (self.grid, self.grid * self.grid);
        let scale = g as f64 * self.length_scale;
        let covariance = Array2::from_shape_fn((d, d), |(i, j)| {
            let across = (i / g).abs_diff(j / g) as f64;
            let along = (i % g).abs_diff(j % g) as f64;
            self.variance * (-across.hypot(along) / scale).exp()
        });
        let factor = cholesky(covariance).ok_or_else(|| {
            let allowed = "shorter: the cells are so alike that their covariance is singular";
            Error::setting(NAME, "length_scale", self.length_scale, allowed)
        })?;
        let mut constant = -0.5 * d as f64 * TAU.ln();
        if !self.whitened {
            constant -= factor.diag().iter().map(|v| v.ln()).sum::<f64>();
        }
        Ok(Arc::new(Posterior {
            grid: g,
            whitened: self.whitened,
            mean: self
                .mean
                .unwrap_or_else(|| (table.rows() as f64).ln() - 0.5 * self.variance),
            area: 1.0 / d as f64,
            counts,
            constant,
            lower: if self.whitened {
                factor
            } else {
                lower_inverse(&factor)
            },
        }))
    }
}

/// The posterior of the field.
struct Posterior {
    grid: usize,
    whitened: bool,
    mean: f64,
    area: f64,
    counts: Vec<f64>,
    constant: f64,
    /// L if whitened, else L⁻¹: lower triangular either way.
    lower: Array2<f64>,
}

impl Posterior {
    /// One block of points; two scratch blocks of its shape. Matrix products keep the bits of a row
    /// whatever stands beside it.
    fn block(
        &self,
        mut first: ArrayViewMut2<'_, f64>,
        mut second: ArrayViewMut2<'_, f64>,
        at: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) {
        // `second` becomes the form of the points that was not given: field x, or normals e.
        if self.whitened {
            times_lower_transposed(at, &self.lower, &mut second);
            second += self.mean;
        } else {
            Zip::from(&mut first)
                .and(&at)
                .for_each(|f, x| *f = x - self.mean);
            times_lower_transposed(first.view(), &self.lower, &mut second);
        }
        let (field, normals) = if self.whitened {
            (second.view(), at)
        } else {
            (at, second.view())
        };
        // `first` becomes y − a exp x, the gradient of the likelihood in the field.
        for (i, mut residual) in first.rows_mut().into_iter().enumerate() {
            let mut sum = 0.0;
            let cells = residual.iter_mut().zip(&self.counts);
            for ((r, y), (x, e)) in cells.zip(field.row(i).iter().zip(normals.row(i))) {
                let expected = self.area * x.exp();
                *r = y - expected;
                sum += x * y - expected - 0.5 * e * e;
            }
            if let Some(l) = &mut log_density {
                l[i] = self.constant + sum;
            }
        }
        let Some(mut g) = gradient else { return };
        if self.whitened {
            g.assign(&normals);
            times_lower(1.0, first.view(), &self.lower, -1.0, &mut g);
        } else {
            g.assign(&first);
            times_lower(-1.0, normals, &self.lower, 1.0, &mut g);
        }
    }

    fn cell(&self, i: usize) -> String {
        format!("{}_{}", i / self.grid, i % self.grid)
    }
}

impl Target for Posterior {
    fn dim(&self) -> usize {
        self.counts.len()
    }

    fn coordinate(&self, i: usize) -> String {
        let letter = if self.whitened { "e" } else { "x" };
        format!("{letter}{}", self.cell(i))
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let (n, d) = x.dim();
        let size = n.min(POINTS) * d;
        let (mut first, mut second) = (cx.take(size), cx.take(size));
        for start in (0..n).step_by(POINTS) {
            let end = n.min(start + POINTS);
            let shape = (end - start, d);
            let (Ok(first), Ok(second)) = (
                ArrayViewMut2::from_shape(shape, &mut first[..shape.0 * d]),
                ArrayViewMut2::from_shape(shape, &mut second[..shape.0 * d]),
            ) else {
                unreachable!("the scratch holds a block of points");
            };
            self.block(
                first,
                second,
                x.slice(s![start..end, ..]),
                log_density.as_mut().map(|l| l.slice_mut(s![start..end])),
                gradient.as_mut().map(|g| g.slice_mut(s![start..end, ..])),
            );
        }
        cx.give(first);
        cx.give(second);
        Ok(())
    }

    fn outputs(&self) -> Option<&dyn Outputs> {
        self.whitened.then_some(self)
    }
}

/// The field x of whitened coordinates.
impl Outputs for Posterior {
    fn count(&self) -> usize {
        self.counts.len()
    }

    fn name(&self, i: usize) -> String {
        format!("x{}", self.cell(i))
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        times_lower_transposed(x, &self.lower, &mut out);
        out += self.mean;
        Ok(())
    }
}

register! {
    target "log-gaussian-cox" => LogGaussianCox, needs NOTHING,
        summary "Log-Gaussian Cox process on a grid over a point pattern",
        source "Møller, Syversveen & Waagepetersen (1998); Arbel, Matthews & Doucet (2021), arXiv:2102.07501";
}

#[cfg(test)]
mod tests {
    use super::LogGaussianCox;
    use ndarray::Array2;
    use retrograde_core::registry::{Files, Folder, Parts};
    use retrograde_core::{Build, Result, Target};
    use retrograde_testkit::*;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    /// The shipped pattern on 8 × 8 cells: settings, then rows unwhitened at P, at P + 4 and whitened
    /// at P, log Z and its standard error. Rows from the formula alone with complex-step
    /// differentiation, log Z from sequential Monte Carlo started at the Laplace approximation (eight
    /// runs of 20 000 particles with Hamiltonian moves), both in separate NumPy code.
    /// The posterior mean of the field, averaged over cells, is 3.3640 ± 0.0003 and 3.7780 ± 0.0003.
    #[allow(clippy::type_complexity)]
    const SMALL: [(f64, f64, Option<f64>, [Row; 3], (f64, f64)); 2] = [
        (
            1.91,
            1.0 / 33.0,
            None,
            [
                Row(
                    -252.61902916073,
                    1.7656819980075,
                    1.6965298892726,
                    167.79002804025,
                    585.91239869838,
                ),
                Row(
                    113.41403404991,
                    -0.90946577072733,
                    -1.0654603821423,
                    -16.028494716549,
                    177.33076626656,
                ),
                Row(
                    118.03672737585,
                    -0.16090647387372,
                    -0.34491210110335,
                    52.660935070949,
                    372.17673456043,
                ),
            ],
            (223.6004, 0.0008),
        ),
        (
            1.0,
            0.2,
            Some(3.5),
            [
                Row(
                    -105.21551572493,
                    2.2614441039739,
                    1.8784970437414,
                    93.293142859443,
                    327.30705507953,
                ),
                Row(
                    150.41656038567,
                    -0.17763667206498,
                    -0.64742623497752,
                    3.2678969142317,
                    254.84315194508,
                ),
                Row(
                    133.28005228561,
                    2.6006679191446,
                    -0.20950020582714,
                    90.950928539487,
                    331.42472184769,
                ),
            ],
            (225.5768, 0.0006),
        ),
    ];

    fn small(variance: f64, length_scale: f64, mean: Option<f64>) -> LogGaussianCox {
        LogGaussianCox {
            grid: 8,
            variance,
            length_scale,
            mean,
            ..LogGaussianCox::from_file("points.csv")
        }
    }

    fn shipped(settings: LogGaussianCox, whitened: bool) -> Arc<dyn Target> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data");
        let files = Folder(folder.into());
        let settings = LogGaussianCox {
            whitened,
            ..settings
        };
        settings
            .build(&Parts::new(&files))
            .expect("the file is good")
    }

    #[test]
    fn small_pattern() {
        for (variance, length_scale, mean, rows, _) in SMALL {
            let settings = small(variance, length_scale, mean);
            let p = point(64);
            let raised: Vec<f64> = p.iter().map(|v| v + 4.0).collect();
            let field = shipped(settings.clone(), false);
            assert_row("unwhitened", &*field, &p, rows[0], 1e-10);
            assert_row("unwhitened, raised", &*field, &raised, rows[1], 1e-10);
            let white = shipped(settings, true);
            assert_row("whitened", &*white, &p, rows[2], 1e-10);
            let points = Array2::from_shape_fn((5, 64), |(i, j)| (i as f64 - 1.0) * p[j]);
            assert_target("unwhitened", &*field, points.view());
            assert_target("whitened", &*white, points.view());
            assert_eq!(field.coordinate(17), "x2_1");
            // The field of whitened coordinates: the densities differ by Σ ln L_ii everywhere.
            let outputs = white.outputs().expect("the field");
            let mut x = Array2::zeros((5, 64));
            with_cx(1, |cx| outputs.eval(cx, points.view(), x.view_mut())).expect("it evaluates");
            let difference = |i: usize| {
                let e = points.row(i).to_vec();
                eval(&*white, &e).0 - eval(&*field, &x.row(i).to_vec()).0
            };
            for i in 1..5 {
                assert_close("Σ ln L", difference(i), difference(0), 1e-11);
            }
            assert_eq!(outputs.name(17), "x2_1");
        }
    }

    #[test]
    fn log_z_of_the_small_pattern() {
        // Cells are all but independent here, so that a Gaussian with the mode and curvature of each
        // coordinate is a fair proposal.
        let (variance, length_scale, mean, _, (log_z, log_z_se)) = SMALL[0];
        let target = shipped(small(variance, length_scale, mean), true);
        let mut mode = vec![0.0; 64];
        let slope = |at: &[f64]| eval(&*target, at).1;
        let curvature = |at: &[f64], j: usize| {
            let (mut up, mut down) = (at.to_vec(), at.to_vec());
            up[j] += 1e-4;
            down[j] -= 1e-4;
            (slope(&down)[j] - slope(&up)[j]) / 2e-4
        };
        for _ in 0..30 {
            let g = slope(&mode);
            let step: Vec<f64> = (0..64).map(|j| g[j] / curvature(&mode, j)).collect();
            mode.iter_mut().zip(step).for_each(|(m, s)| *m += s);
        }
        // A little wider than the curvature says, for tails that are heavier upwards.
        let sd: Vec<f64> = (0..64).map(|j| 1.05 / curvature(&mode, j).sqrt()).collect();
        let (estimate, se) = importance_log_z(&*target, &mode, &sd, 100_000, 5);
        assert!(se < 0.03, "a standard error of {se} checks little");
        assert_z("log Z", estimate, log_z, se.hypot(log_z_se));
    }

    #[test]
    fn forty_by_forty_cells() {
        // With mean 0 the origin is x = e = 0, and the forms differ by Σ ln L_ii.
        let settings = LogGaussianCox {
            mean: Some(0.0),
            ..LogGaussianCox::from_file("points.csv")
        };
        let field = shipped(settings.clone(), false);
        let white = shipped(settings, true);
        let origin = vec![0.0; 1600];
        let difference = eval(&*white, &origin).0 - eval(&*field, &origin).0;
        assert_close("Σ ln L", difference, 225.705478894, 1e-11);
        let points = Array2::from_shape_fn((3, 1600), |(i, j)| i as f64 * point(1600)[j]);
        with_cx(1, |cx| {
            for target in [&field, &white] {
                // Rows alone and in a batch have the same bits, over many panels of the products.
                let (mut l, mut g) = (ndarray::Array1::zeros(3), points.clone());
                target
                    .eval(cx, points.view(), Some(l.view_mut()), Some(g.view_mut()))
                    .expect("it evaluates");
                for i in 0..3 {
                    let single = eval(&**target, &points.row(i).to_vec());
                    assert_eq!((l[i], g.row(i).to_vec()), single);
                }
            }
        });
    }

    #[test]
    fn pines() {
        let Some(file) = std::env::var_os("RETROGRADE_PINES").map(PathBuf::from) else {
            // Straight to the terminal: the test harness keeps back what `eprintln!` writes.
            let note = "NOT RUN: log_gaussian_cox::tests::pines. RETROGRADE_PINES must name a CSV \
                        file with the 126 Finnish pines in the unit square.\n";
            let _ = std::io::Write::write_all(&mut std::io::stderr(), note.as_bytes());
            return;
        };
        let settings = LogGaussianCox::from_file(file);
        let files = Folder::default();
        let build = |whitened| {
            let settings = LogGaussianCox {
                whitened,
                ..settings.clone()
            };
            settings
                .build(&Parts::new(&files))
                .expect("the file is good")
        };
        let (field, white) = (build(false), build(true));
        let row = Row(
            -2610.024903505608,
            1.430526243474,
            0.522741256234,
            513.546033094,
            750.3731951262,
        );
        assert_row("unwhitened", &*field, &point(1600), row, 1e-8);
        let mean = vec![126f64.ln() - 1.91 / 2.0; 1600];
        let row = Row(
            -1255.451941959716,
            -0.030303956384,
            -0.030303956384,
            77.513669786,
            155.8327306273,
        );
        assert_row("unwhitened at the mean", &*field, &mean, row, 1e-8);
        let row = Row(
            -1163.820464955564,
            1.159023810313,
            -0.561308638563,
            301.959281431,
            706.0511090991,
        );
        assert_row("whitened", &*white, &point(1600), row, 1e-8);
    }

    struct Text(&'static str);
    impl Files for Text {
        fn read(&self, _: &Path) -> Result<Vec<u8>> {
            Ok(self.0.into())
        }
    }

    #[test]
    fn edges_headers_and_mistakes() {
        let build = |csv, spoil: fn(&mut LogGaussianCox)| {
            let mut settings = LogGaussianCox {
                grid: 2,
                mean: Some(0.0),
                ..LogGaussianCox::from_file("p.csv")
            };
            spoil(&mut settings);
            settings.whitened = false;
            settings.build(&Parts::new(&Text(csv)))
        };
        // At the origin the gradient is y − a: it shows the counts, 2 in the last cell.
        for csv in ["x,y\n1,1\n0.5,0.5\n0,0.5\n", "1,1\n0.5,0.5\n0,0.5\n"] {
            let target = build(csv, |_| ()).expect("a good file");
            assert_eq!(eval(&*target, &[0.0; 4]).1, [-0.25, 0.75, -0.25, 1.75]);
        }
        type Spoil = fn(&mut LogGaussianCox);
        let cases: [(&'static str, Spoil, &str); 9] = [
            (
                "x,y\n0.5,0.5\n0.5,1.25\n",
                |_| (),
                "p.csv:3:2: column `y` is 1.25, outside [0, 1]",
            ),
            (
                "-0.1,0.5\n",
                |_| (),
                "p.csv:1:1: column `1` is -0.1, outside",
            ),
            (
                "i,x,y\n1,0.5,0.5\n",
                |_| (),
                "two columns are needed, the coordinates of a point; found 3",
            ),
            (
                "x,y\n0.5,n\n",
                |_| (),
                "p.csv:2:2: column `y` has `n`, which is not a number",
            ),
            ("x,y\n", |_| (), "no rows"),
            (
                "0.5,0.5\n",
                |s| s.grid = 0,
                "`grid` is 0, but must be 1 to 64",
            ),
            (
                "0.5,0.5\n",
                |s| s.variance = -1.0,
                "`variance` is -1, but must be > 0",
            ),
            (
                "0.5,0.5\n",
                |s| s.length_scale = f64::NAN,
                "`length_scale` is NaN, but must be > 0",
            ),
            (
                "0.5,0.5\n",
                |s| s.length_scale = 1e20,
                "`length_scale` is 100000000000000000000, but must be shorter",
            ),
        ];
        for (csv, spoil, says) in cases {
            let error = build(csv, spoil).err().map(|e| e.to_string());
            let error = error.unwrap_or_else(|| panic!("{says}: it was accepted"));
            assert!(error.contains(says), "`{error}` does not say `{says}`");
        }
    }
}
