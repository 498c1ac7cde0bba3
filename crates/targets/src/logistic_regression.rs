//! Bayesian logistic regression on a table of data.
//!
//! Source: a textbook model; in this form a benchmark of Vargas, Grathwohl & Doucet (2023),
//! arXiv:2302.13834, and Phillips et al. (2024), arXiv:2402.06320.
//!
//! ```text
//! log π(w) = Σᵢ [tᵢ lᵢ − ln(1 + exp lᵢ)] − ‖w‖²/(2 s²) − (d/2) ln(2π s²),   l = X w,   tᵢ ∈ {0, 1}
//! ∇ log π(w) = Xᵀ (t − σ(l)) − w / s²
//! ```
//!
//! The likelihood is not normalised over w, so log Z is the log evidence of the data. With the
//! signed rows x̃ᵢ = (2tᵢ − 1) xᵢ and margins m = X̃ w this is −Σ ln(1 + exp −mᵢ) with gradient
//! X̃ᵀ σ(−m), which takes one exponential a margin and no labels.
//!
//! Cost of a point: two products with the data (4 m d operations for m rows) and m exponentials.
//! Points and data are both worked through in blocks, so scratch memory does not grow with either.

use crate::table::Table;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, s};
use retrograde_core::registry::Parts;
use retrograde_core::{Build, Cx, Error, Result, Target, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::path::PathBuf;
use std::sync::Arc;

const NAME: &str = "target logistic-regression";
/// Points at a time.
const POINTS: usize = 64;
/// Rows of data at a time: the block of margins (points × rows) stays in the second-level cache.
const ROWS: usize = 256;
/// Factors 1 + exp(−|m|) ≤ 2 whose product is taken before one logarithm.
const FACTORS: usize = 16;
/// A label with so many classes is a mistake; more are not told apart for the message.
const CLASSES: usize = 100;

/// Settings, as written under `[target]` with `kind = "logistic-regression"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogisticRegression {
    /// CSV file with a line of column names, relative to the job.
    pub file: PathBuf,
    /// Name of the column with the two classes. Of two numbers the larger is class 1; of two words
    /// the later one in byte order (the alphabet).
    #[serde(default = "default_label")]
    pub label: String,
    /// Names of the columns to use, in this order; all but the label if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Subtract the mean of each column and divide by its standard deviation (population form,
    /// over all rows). A constant column becomes 0.
    #[serde(default = "yes")]
    pub standardise: bool,
    /// Put a column of ones first, whose weight is the coordinate `intercept`.
    #[serde(default = "yes")]
    pub intercept: bool,
    /// Standard deviation s of the normal prior of every weight, > 0.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub prior_sd: f64,
}

fn default_label() -> String {
    "label".into()
}
fn yes() -> bool {
    true
}
fn one() -> f64 {
    1.0
}

impl LogisticRegression {
    /// All defaults for the file at `file`.
    pub fn from_file(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            label: default_label(),
            columns: None,
            standardise: true,
            intercept: true,
            prior_sd: 1.0,
        }
    }

    /// The columns to use, as places in the table.
    fn chosen(&self, table: &Table, label: usize) -> Result<Vec<usize>> {
        let Some(names) = &self.columns else {
            return Ok((0..table.columns()).filter(|c| *c != label).collect());
        };
        let mut chosen = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let column = table.column("column", name)?;
            let bad = |allowed: &str| {
                Error::setting(NAME, format!("columns[{i}]"), format!("`{name}`"), allowed)
            };
            if column == label {
                return Err(bad("a column other than the label"));
            }
            if chosen.contains(&column) {
                return Err(bad("a column that is not in the list already"));
            }
            chosen.push(column);
        }
        Ok(chosen)
    }
}

impl Build<dyn Target> for LogisticRegression {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        if !(self.prior_sd > 0.0 && self.prior_sd.is_finite()) {
            return Err(Error::setting(NAME, "prior_sd", self.prior_sd, "> 0"));
        }
        let table = Table::read(parts.files, &self.file, |_| true)?;
        let label = table.column("label column", &self.label)?;
        let columns = self.chosen(&table, label)?;
        let ones = usize::from(self.intercept);
        let d = columns.len() + ones;
        if d == 0 {
            return Err(Error::setting(
                NAME,
                "intercept",
                false,
                "true where no column is used, so that there is a weight at all",
            ));
        }
        let mut names: Vec<String> = columns.iter().map(|c| table.name(*c)).collect();
        if self.intercept {
            if let Some(i) = names.iter().position(|n| n == "intercept") {
                let message = "a column is called `intercept`; rename it, or set \
                               `intercept = false` if it is the column of ones";
                return Err(table.error(Some(1), Some(columns[i]), message.into()));
            }
            names.insert(0, "intercept".into());
        }
        let mut x = Array2::ones((table.rows(), d));
        for (j, &column) in columns.iter().enumerate() {
            let mut cells = x.column_mut(ones + j);
            for (row, cell) in cells.iter_mut().enumerate() {
                *cell = table.number(row, column)?;
            }
            if self.standardise {
                standardise(cells);
            }
            if x.column(ones + j).iter().any(|v| !v.is_finite()) {
                let name = table.name(column);
                let message = format!("column `{name}` is too large to be standardised");
                return Err(table.error(None, None, message));
            }
        }
        for (mut row, positive) in x.rows_mut().into_iter().zip(classes(&table, label)?) {
            if !positive {
                row.mapv_inplace(|v| -v);
            }
        }
        Ok(Arc::new(Posterior {
            x,
            names,
            precision: self.prior_sd.powi(-2),
            constant: -0.5 * d as f64 * TAU.ln() - d as f64 * self.prior_sd.ln(),
        }))
    }
}

/// Mean 0 and standard deviation 1. A constant column is centred only: by comparison, since the
/// rounding error of its standard deviation need not be 0.
fn standardise(mut column: ArrayViewMut1<'_, f64>) {
    let n = column.len() as f64;
    let first = column[0];
    if column.iter().all(|v| *v == first) {
        column.fill(0.0);
        return;
    }
    let mean = column.sum() / n;
    let sd = (column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    column.mapv_inplace(|v| (v - mean) / sd);
}

/// Whether each row is of class 1.
fn classes(table: &Table, label: usize) -> Result<Vec<bool>> {
    let cells: Vec<&str> = (0..table.rows())
        .map(|r| table.text(r, label))
        .collect::<Result<_>>()?;
    // `+1`, `1` and `1.0` are one class if every label is a number.
    let numbers: Option<Vec<f64>> = cells
        .iter()
        .map(|c| c.parse().ok().filter(|v: &f64| v.is_finite()))
        .collect();
    let (found, positive) = match numbers {
        Some(numbers) => two_classes(&numbers, f64::total_cmp),
        None => two_classes(&cells, |a, b| a.cmp(b)),
    };
    if found.len() == 2 {
        return Ok(positive);
    }
    let few: Vec<&str> = found.iter().take(6).map(|&row| cells[row]).collect();
    let dots = if found.len() > few.len() { ", …" } else { "" };
    let name = table.name(label);
    let count = match found.len() {
        1 => "1 class".into(),
        k if k < CLASSES => format!("{k} classes"),
        _ => format!("{CLASSES} classes or more"),
    };
    let message = format!(
        "the label column `{name}` has {count} ({}{dots}), but must have two",
        few.join(", ")
    );
    Err(match found.get(2) {
        Some(row) => table.error(table.line(*row), Some(label), message),
        None => table.error(None, None, message),
    })
}

/// The first row of each class, in order of appearance, and whether each row is of the larger one.
fn two_classes<T: Copy>(
    labels: &[T],
    order: impl Fn(&T, &T) -> std::cmp::Ordering,
) -> (Vec<usize>, Vec<bool>) {
    let mut found: Vec<usize> = Vec::new();
    for (row, label) in labels.iter().enumerate() {
        if found.len() < CLASSES && found.iter().all(|f| order(&labels[*f], label).is_ne()) {
            found.push(row);
        }
    }
    let largest = labels.iter().copied().max_by(&order);
    let positive = labels
        .iter()
        .map(|l| largest.is_some_and(|m| order(l, &m).is_eq()))
        .collect();
    (found, positive)
}

/// The posterior of the weights.
struct Posterior {
    /// Signed data X̃; m × d.
    x: Array2<f64>,
    names: Vec<String>,
    precision: f64,
    constant: f64,
}

impl Posterior {
    /// One block of points. Sums run over the data in the same order for every point and the matrix
    /// products keep the bits of a row whatever stands beside it.
    fn block(
        &self,
        scratch: &mut [f64],
        w: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) {
        for (i, w) in w.rows().into_iter().enumerate() {
            if let Some(l) = &mut log_density {
                let square: f64 = w.iter().map(|v| v * v).sum();
                l[i] = self.constant - 0.5 * self.precision * square;
            }
            if let Some(g) = &mut gradient {
                g.row_mut(i).assign(&w);
            }
        }
        let mut scale = -self.precision;
        for x in self.x.axis_chunks_iter(Axis(0), ROWS) {
            let rows = x.nrows();
            let size = w.nrows() * rows;
            let Ok(mut margins) =
                ArrayViewMut2::from_shape((w.nrows(), rows), &mut scratch[..size])
            else {
                unreachable!("the scratch holds a block of margins");
            };
            general_mat_mul(1.0, &w, &x.t(), 0.0, &mut margins);
            for (i, margins) in margins.rows_mut().into_iter().enumerate() {
                let sum = match margins.into_slice() {
                    Some(m) => softplus_sum_and_sigmoids(m),
                    None => unreachable!("rows of the scratch are contiguous"),
                };
                if let Some(l) = &mut log_density {
                    l[i] -= sum;
                }
            }
            if let Some(g) = &mut gradient {
                // The first block also turns w, which g holds, into the gradient of the prior.
                general_mat_mul(1.0, &margins, &x, scale, g);
                scale = 1.0;
            }
        }
    }
}

/// Σ ln(1 + exp −mᵢ); overwrites mᵢ by σ(−mᵢ).
///
/// 1 + exp(−|m|) is at most 2, so logarithms are taken of products of a few; each factor is wrong
/// by half a unit in the last place, which is no more than the sum itself loses.
fn softplus_sum_and_sigmoids(margins: &mut [f64]) -> f64 {
    let mut sum = 0.0;
    for few in margins.chunks_mut(FACTORS) {
        let mut product = 1.0;
        for m in few {
            let e = (-m.abs()).exp();
            let one_plus = 1.0 + e;
            // A NaN margin, which `max` hides from the sum, stays in the product.
            product *= one_plus;
            sum += (-*m).max(0.0);
            *m = if *m >= 0.0 { e } else { 1.0 } / one_plus;
        }
        sum += product.ln();
    }
    sum
}

impl Target for Posterior {
    fn dim(&self) -> usize {
        self.x.ncols()
    }

    fn coordinate(&self, i: usize) -> String {
        self.names[i].clone()
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let n = x.nrows();
        let mut scratch = cx.take(n.min(POINTS) * self.x.nrows().min(ROWS));
        for first in (0..n).step_by(POINTS) {
            let block = s![first..n.min(first + POINTS)];
            self.block(
                &mut scratch,
                x.slice(s![first..n.min(first + POINTS), ..]),
                log_density.as_mut().map(|l| l.slice_mut(block)),
                gradient
                    .as_mut()
                    .map(|g| g.slice_mut(s![first..n.min(first + POINTS), ..])),
            );
        }
        cx.give(scratch);
        Ok(())
    }
}

register! {
    target "logistic-regression" => LogisticRegression, needs NOTHING,
        summary "Bayesian logistic regression on a CSV file, with a normal prior",
        source "Vargas, Grathwohl & Doucet (2023), arXiv:2302.13834";
}

#[cfg(test)]
mod tests {
    use super::{FACTORS, LogisticRegression, softplus_sum_and_sigmoids};
    use crate::dense::{cholesky, lower_inverse};
    use ndarray::{Array1, Array2, Axis};
    use retrograde_core::numeric::{
        effective_sample_size, log_mean_exp, sigmoid, softmax_in_place, softplus,
    };
    use retrograde_core::registry::{Files, Folder, Parts};
    use retrograde_core::{Build, Result, Target};
    use retrograde_testkit::*;
    use std::path::Path;
    use std::sync::Arc;

    fn shipped(settings: LogisticRegression) -> Arc<dyn Target> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data");
        let files = Folder(folder.into());
        settings
            .build(&Parts::new(&files))
            .expect("the file is good")
    }

    #[test]
    fn shipped_data() {
        for (name, d, at_point, at_zero) in [
            (
                "ionosphere",
                35,
                Row(
                    -378.672878649980,
                    65.178944661123,
                    -45.259593019870,
                    1136.197676810548,
                    98090.98012770,
                ),
                Row(
                    -275.457509038704,
                    49.5,
                    -10.804263605285,
                    960.121677586665,
                    51839.47067214,
                ),
            ),
            (
                "sonar",
                61,
                Row(
                    -280.884383476079,
                    3.247814069427,
                    -25.935815556337,
                    -1002.244303322697,
                    38185.79583838,
                ),
                Row(
                    -200.229864081954,
                    -7.0,
                    -9.344498174392,
                    -808.953066776122,
                    26821.72535457,
                ),
            ),
        ] {
            let settings = LogisticRegression::from_file(format!("{name}.csv"));
            let target = shipped(settings.clone());
            assert_row(name, &*target, &point(d), at_point, 1e-10);
            assert_row(name, &*target, &vec![0.0; d], at_zero, 1e-10);
            let points = Array2::from_shape_fn((5, d), |(i, j)| (i as f64 - 2.0) * point(d)[j]);
            assert_target(name, &*target, points.view());
            assert_eq!(target.coordinate(0), "intercept");
            assert_eq!(target.coordinate(d - 1), format!("x{}", d - 1));

            // The intercept belongs first: moving it last, or leaving it out, must show.
            let mut last = settings.clone();
            last.intercept = false;
            let without = shipped(last);
            assert_eq!(without.dim(), d - 1);
            let (_, g) = eval(&*without, &vec![0.0; d - 1]);
            assert!((g[0] - at_zero.1).abs() > 1.0);
        }
    }

    /// n draws of N(mean, factor factorᵀ) and their log importance weights.
    fn weighted(
        target: &dyn Target,
        mean: &Array1<f64>,
        factor: &Array2<f64>,
        (n, seed): (usize, u64),
    ) -> (Array2<f64>, Vec<f64>) {
        let d = mean.len();
        let log_det: f64 = factor.diag().iter().map(|v| v.ln()).sum();
        with_cx(seed, |cx| {
            let mut z = Array2::zeros((n, d));
            cx.fill_normal(z.view_mut());
            let x = z.dot(&factor.t()) + mean;
            let mut l = Array1::zeros(n);
            cx.eval_target(target, x.view(), Some(l.view_mut()), None)
                .expect("it evaluates");
            let constant = log_det + 0.5 * d as f64 * std::f64::consts::TAU.ln();
            let weights = l.iter().zip(z.rows());
            let weights = weights.map(|(l, z)| l + 0.5 * z.dot(&z) + constant);
            let weights = weights.collect();
            (x, weights)
        })
    }

    #[test]
    fn log_z_and_means_of_shipped_data() {
        // Known from sequential Monte Carlo with 10 × 4000 particles, with the error given.
        for (name, known, error, means) in [
            ("ionosphere", -111.608, 0.007, [-0.045, 2.874, 0.002]),
            ("sonar", -108.392, 0.007, [-0.874, -0.951, -0.202]),
        ] {
            let target = shipped(LogisticRegression::from_file(format!("{name}.csv")));
            let d = target.dim();
            // The Laplace approximation, with the curvature from differences of the gradient …
            let mut mean = Array1::zeros(d);
            let mut factor = Array2::eye(d);
            for _ in 0..8 {
                let slope = |x: &Array1<f64>| Array1::from_vec(eval(&*target, &x.to_vec()).1);
                let mut curvature = Array2::zeros((d, d));
                for j in 0..d {
                    let (mut up, mut down) = (mean.clone(), mean.clone());
                    up[j] += 1e-4;
                    down[j] -= 1e-4;
                    let column = (slope(&down) - slope(&up)) / 2e-4;
                    curvature.column_mut(j).assign(&column);
                }
                // L⁻ᵀ of the Cholesky factor L is a square root of the inverse.
                let inverse = lower_inverse(&cholesky(curvature).expect("a peak"));
                mean += &inverse.t().dot(&inverse.dot(&slope(&mean)));
                factor = cholesky(inverse.t().dot(&inverse)).expect("positive definite");
            }
            // … is 1 to 3 nats off. Its weighted draws give a better Gaussian.
            for round in 0..6 {
                let (x, mut w) = weighted(&*target, &mean, &factor, (40_000, round));
                // Tempered, so that no draw has it all.
                let ess = effective_sample_size(&w) / w.len() as f64;
                let power = (4.0 * ess).sqrt().min(1.0);
                w.iter_mut().for_each(|w| *w *= power);
                softmax_in_place(&mut w);
                let w = Array1::from_vec(w);
                mean = w.dot(&x);
                let centred = x - &mean;
                let weighted = &centred * &w.view().insert_axis(Axis(1));
                factor = cholesky(centred.t().dot(&weighted)).expect("positive definite");
            }
            let n = 200_000;
            let (x, mut w) = weighted(&*target, &mean, &factor, (n, 99));
            let ess = effective_sample_size(&w);
            let se = ((n as f64 / ess - 1.0) / n as f64).sqrt();
            let log_z = log_mean_exp(&w);
            assert!(se < 0.05, "{name}: a standard error of {se} checks little");
            assert_z(name, log_z, known, se.hypot(error));
            softmax_in_place(&mut w);
            for (j, known) in means.into_iter().enumerate() {
                let mean: f64 = x.column(j).iter().zip(&w).map(|(x, w)| w * x).sum();
                let terms = x.column(j).into_iter().zip(&w);
                let se = terms
                    .map(|(x, w)| (w * (x - mean)).powi(2))
                    .sum::<f64>()
                    .sqrt();
                assert_z(name, mean, known, se.hypot(0.005));
            }
        }
    }

    struct Text(&'static [u8]);
    impl Files for Text {
        fn read(&self, _: &Path) -> Result<Vec<u8>> {
            Ok(self.0.to_vec())
        }
    }

    fn build(csv: &'static [u8], f: impl Fn(&mut LogisticRegression)) -> Result<Arc<dyn Target>> {
        let mut settings = LogisticRegression::from_file("t.csv");
        f(&mut settings);
        settings.build(&Parts::new(&Text(csv)))
    }

    #[test]
    fn a_posterior_by_hand() {
        // No intercept, no scaling: π(w) ∝ N(w; 0, 4) σ(w)·σ(−3w)·σ(−2w).
        let csv = b"\xef\xbb\xbfy, a ,note\nyes,1,p\nno,3,q\n\nno,2,NA\n";
        let target = build(csv, |s| {
            s.label = "y".into();
            s.columns = Some(vec!["a".into()]);
            (s.standardise, s.intercept, s.prior_sd) = (false, false, 2.0);
        })
        .expect("the table is good");
        let log_likelihood = |w: f64| -softplus(-w) - softplus(3.0 * w) - softplus(2.0 * w);
        for w in [-1.5, 0.0, 0.75] {
            let (l, g) = eval(&*target, &[w]);
            let normal = 0.5 * std::f64::consts::TAU.ln() + 2f64.ln();
            assert_close("value", l, log_likelihood(w) - w * w / 8.0 - normal, 1e-14);
            let slope = sigmoid(-w) - 3.0 * sigmoid(3.0 * w) - 2.0 * sigmoid(2.0 * w) - w / 4.0;
            assert_close("slope", g[0], slope, 1e-14);
        }
        assert_target(
            "by hand",
            &*target,
            ndarray::aview1(&[-1.5, 0.0, 0.75]).insert_axis(Axis(1)),
        );
        // Evidence by the trapezium rule, which is exact to rounding for a function this smooth.
        let h = 0.05;
        let z: f64 = (-600..=600)
            .map(|i| eval(&*target, &[f64::from(i) * h]).0.exp() * h)
            .sum();
        let (log_z, se) = importance_log_z(&*target, &[0.0], &[2.0], 200_000, 3);
        assert_z("log Z", log_z, z.ln(), se);
    }

    #[test]
    fn the_larger_label_is_class_one_and_constant_columns_are_dropped() {
        for csv in [
            &b"a,label\n1,-1\n2,+1\n4,1.0\n"[..],
            b"a,label\n1,2\n2,10\n4,10\n",
            b"a,label\n1,bad\n2,good\n4,good\n",
        ] {
            let (_, g) = eval(&*build(csv, |_| ()).expect("two classes"), &[0.0, 0.0]);
            assert_eq!(g[0], 0.5, "two of three rows are of class 1");
            assert!(g[1] > 0.0);
        }
        // The mean of three times 0.1 is not 0.1: the column must still count as constant.
        let constant = build(b"a,label\n0.1,0\n0.1,1\n0.1,1\n", |_| ()).expect("it is good");
        assert_eq!(eval(&*constant, &[0.0, 3.0]).1[1], -3.0);
    }

    #[test]
    fn mistakes_in_the_file() {
        let cases: [(&'static [u8], &str); 17] = [
            (
                b"a,label\n1,0\n2\n",
                "t.csv:3: cells in this row: 1, in the first line: 2",
            ),
            (
                b"a,label\n1,0\nx7,1\n",
                "t.csv:3:1: column `a` has `x7`, which is not a number",
            ),
            (
                b"a,label\n1,0\ninf,1\n",
                "t.csv:3:1: column `a` has `inf`, which is not finite",
            ),
            (
                b"a,label\n1,0\n,1\n",
                "t.csv:3:1: missing value (an empty cell) in column `a`",
            ),
            (
                b"a,label\nNA,0\n2,1\n",
                "t.csv:2:1: missing value (`NA`) in column `a`",
            ),
            (
                b"a,label\n1,0\nnan,1\n",
                "t.csv:3:1: missing value (`nan`) in column `a`",
            ),
            (
                b"a,label\n1,0\n2,?\n",
                "t.csv:3:2: missing value (`?`) in column `label`",
            ),
            (
                b"a,label\n1,0\n2,1\n3,2\n",
                "t.csv:4:2: the label column `label` has 3 classes (0, 1, 2), but must have two",
            ),
            (b"a,label\n1,u\n2,v\n3,w\n", "has 3 classes (u, v, w)"),
            (
                b"a,label\n1,0\n2,0\n",
                "t.csv: the label column `label` has 1 class (0), but must have two",
            ),
            (
                b"a,labels\n1,0\n2,1\n",
                "t.csv:1: there is no label column `label`; did you mean `labels`?",
            ),
            (
                b"a,y\n1,0\n2,1\n",
                "there is no label column `label`; the columns are a, y",
            ),
            (
                b"a,label\n",
                "t.csv: the file has a line of names but no rows",
            ),
            (b"", "t.csv: the file is empty"),
            (
                b"a,a,label\n1,2,0\n",
                "t.csv:1:2: `a` is the name of column 1 already",
            ),
            (b"a,label\n1,0\n\xff,1\n", "t.csv:3: not valid UTF-8"),
            (
                b"intercept,label\n1,0\n1,1\n",
                "t.csv:1:1: a column is called `intercept`",
            ),
        ];
        for (csv, says) in cases {
            let error = build(csv, |_| ()).err().map(|e| e.to_string());
            let error = error.unwrap_or_else(|| panic!("{says}: it was accepted"));
            assert!(error.contains(says), "`{error}` does not say `{says}`");
        }
    }

    #[test]
    fn mistakes_in_the_settings() {
        let csv = b"age,height,label\n1,2,0\n3,5,1\n";
        type Spoil = fn(&mut LogisticRegression);
        let cases: [(Spoil, &str); 5] = [
            (|s| s.prior_sd = 0.0, "`prior_sd` is 0, but must be > 0"),
            (
                |s| s.columns = Some(vec!["hieght".into()]),
                "there is no column `hieght`; did you mean `height`?",
            ),
            (
                |s| s.columns = Some(vec!["age".into(), "label".into()]),
                "`columns[1]` is `label`",
            ),
            (
                |s| s.columns = Some(vec!["age".into(), "age".into()]),
                "`columns[1]` is `age`",
            ),
            (
                |s| (s.columns, s.intercept) = (Some(vec![]), false),
                "`intercept` is false",
            ),
        ];
        for (spoil, says) in cases {
            let error = build(csv, spoil).err().map(|e| e.to_string());
            let error = error.unwrap_or_else(|| panic!("{says}: it was accepted"));
            assert!(error.contains(says), "`{error}` does not say `{says}`");
        }
        let missing = LogisticRegression::from_file("nowhere.csv");
        let error = missing.build(&Parts::new(&Folder("/nonexistent".into())));
        assert!(
            error
                .err()
                .expect("no such file")
                .to_string()
                .contains("nowhere.csv")
        );
    }

    #[test]
    fn products_of_factors_are_as_exact_as_sums_of_logarithms() {
        for scale in [1e-3, 1.0, 30.0, 1e3] {
            let m: Vec<f64> = (0..5 * FACTORS + 3)
                .map(|i| scale * (f64::from(i as u32) * 0.7).sin())
                .collect();
            let mut s = m.clone();
            let sum = softplus_sum_and_sigmoids(&mut s);
            let want: f64 = m.iter().map(|m| softplus(-m)).sum();
            assert_close("sum", sum, want, 1e-14);
            for (s, m) in s.iter().zip(&m) {
                assert!((s - sigmoid(-m)).abs() <= 1e-16, "{s} for {m}");
            }
        }
        assert!(softplus_sum_and_sigmoids(&mut [f64::NAN]).is_nan());
    }
}
