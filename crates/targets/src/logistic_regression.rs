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
//! X̃ᵀ σ(−m), which takes one exponential a margin and no labels, in vectors.
//!
//! Cost of a point: two products with the data (4 m d operations for m rows) and m exponentials, of the density alone
//! one product. Scratch memory grows with neither points nor data.

use ndarray::{Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::simd::LogisticRows;
use retrograde_core::table::Table;
use retrograde_core::{Build, Cx, Error, Result, Target, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::path::PathBuf;
use std::sync::Arc;

const NAME: &str = "target logistic-regression";
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
            data: LogisticRows::new(x.view()),
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
    /// Signed data X̃.
    data: LogisticRows,
    names: Vec<String>,
    precision: f64,
    constant: f64,
}

impl Target for Posterior {
    fn dim(&self) -> usize {
        self.data.dim()
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
        let (l, g) = (log_density.as_mut(), gradient.as_mut());
        let (l, g) = (l.map(|l| l.view_mut()), g.map(|g| g.view_mut()));
        self.data.eval(cx, x, l, g);
        if let Some(l) = &mut log_density {
            for (l, w) in l.iter_mut().zip(x.rows()) {
                let square: f64 = w.iter().map(|v| v * v).sum();
                *l += self.constant - 0.5 * self.precision * square;
            }
        }
        if let Some(g) = &mut gradient {
            g.scaled_add(-self.precision, &x);
        }
        Ok(())
    }
}

register! {
    target "logistic-regression" => LogisticRegression, needs NOTHING,
        summary "Bayesian logistic regression on a CSV file, with a normal prior",
        source "Vargas, Grathwohl & Doucet (2023), arXiv:2302.13834";
}

#[cfg(test)]
mod tests;
