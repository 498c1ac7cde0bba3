//! The user's own log density, written as a formula; its gradient is exact.
//!
//! ```toml
//! [target]
//! kind = "expression"
//! coordinates = ["a", "b", "log_s"]          # or vectors, "x[50]"
//! log_density = """
//! s = exp(log_s);                            # definitions end with `;`
//! sum(normal_lpdf(y, a + b*t, s))            # the last statement is the log density
//!   + normal_lpdf(a, 0, prior_sd) + normal_lpdf(b, 0, prior_sd) + normal_lpdf(log_s, 0, 1)
//! """
//! constants = { prior_sd = 10.0 }
//! data = { t = [0.0, 1.0, 2.0], y = [1.1, 2.9, 5.2] }
//! # or from a file: file = "line.csv", columns = { t = "time", y = "height" }
//! ```
//!
//! # The language
//!
//! A value is a number or a vector of numbers. Operators and functions work element by element; a
//! number meets every element of a vector, and vectors that meet must have the same length. The log
//! density is one number, up to a constant: put `sum(...)` around a vector of terms. Lines may break
//! anywhere; `#` begins a comment. A name is made of letters, digits and `_`, and means one thing.
//!
//! | written | means |
//! | --- | --- |
//! | `1`, `.5`, `1e-3`, `pi`, `inf` | numbers |
//! | `name = value;` | a definition for the statements after it |
//! | `x[i]`, `x[2:50]`, `x[g]` | element, slice (both ends included), elements named by a vector g; places count from 1 and are constant |
//! | `a ^ b` | power, to the right first; a whole exponent takes a negative base |
//! | `-a`, `!a` | minus, not; −a² is −(a²) |
//! | `a * b`, `a / b` | |
//! | `a + b`, `a - b` | |
//! | `a < b`, `<=`, `>`, `>=`, `==`, `!=` | 1 if true, 0 if not; no chains |
//! | `a && b`, then `a \|\| b` | and, or; all but 0 is true |
//! | `if(c, a, b)` | a where c is true, else b; what is not taken leaves no trace |
//! | `abs` `square` `sqrt` `exp` `expm1` `log` `log1p` `pow(a, b)` | `log` is natural |
//! | `sin` `cos` `tan` `asin` `acos` `atan` `sinh` `cosh` `tanh` | radians |
//! | `logistic` = `sigmoid`, `softplus` = `log1p_exp` | 1/(1 + e⁻ˣ), ln(1 + eˣ) |
//! | `erf` `lgamma` `floor` | `lgamma` is ln \|Γ\| |
//! | `sum(v)` `mean(v)` `dot(v, w)` `length(v)` | one number of vectors |
//! | `max` `min` `log_sum_exp` | of one vector: one number; of several values: element by element |
//! | `normal_lpdf(x, m, s)` `lognormal_lpdf(x, m, s)` `cauchy_lpdf(x, m, s)` `laplace_lpdf(x, m, s)` `student_t_lpdf(x, nu, m, s)` | log densities, s a scale |
//! | `exponential_lpdf(x, rate)` `gamma_lpdf(x, a, rate)` `beta_lpdf(x, a, b)` `uniform_lpdf(x, a, b)` | −∞ outside of their support |
//! | `bernoulli_logit_lpmf(k, l)` `binomial_logit_lpmf(k, n, l)` `poisson_lpmf(k, rate)` `poisson_log_lpmf(k, l)` | log probabilities of counts k, −∞ of what is no count (of data and constants a mistake); l is the logit, or the log of the rate |
//!
//! # Gradients, and where there is none
//!
//! Reverse-mode differentiation is exact. Where there is no derivative: `abs` at 0 has slope 0, equal
//! arguments of `max` and `min` share the gradient equally, `floor` and comparisons are flat. Where
//! the density is −∞ the gradient is 0. A value outside of a domain, such as the logarithm of a
//! negative number, is NaN: such points are counted, have no mass, and end the run when they are
//! many. Write `if(x > 0, ..., -inf)`, or sample ln x, or set `bounds`, where a coordinate is
//! limited.
//!
//! Nothing here can tell whether ∫ exp(log density) is finite: that is for the author to see to. A run
//! looks far beyond its draws, and fails (`not_normalisable`) where the density stays level there, as it
//! does in a coordinate that the formula does not use.
//!
//! # Cost
//!
//! A formula is compiled once, each equal part of it once, and run over blocks of rows. Value and
//! gradient together cost two to five times the value. Memory for a thread: 16 bytes for every
//! element of every intermediate value of a row, and of as many rows as fit into 16 MiB.

mod compile;
mod functions;
mod graph;
mod kernels;
mod mistake;
mod syntax;
mod tape;

#[cfg(test)]
mod bad_formulas;
#[cfg(test)]
mod derivatives;
#[cfg(test)]
mod tests;

use compile::{Named, Scope, add_numbers, log_density};
use functions::reserved;
use graph::Graph;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::table::Table;
use retrograde_core::{Build, Cx, Error, Exact, Result, Target, Truth, register};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use syntax::{coordinate, is_name};
use tape::Tape;

const NAME: &str = "target expression";
/// Most coordinates and longest vectors of them.
const MAX_DIM: usize = 1_000_000;

/// Settings, as written under `[target]` with `kind = "expression"`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expression {
    /// Names of the coordinates, in order: `"mu"` for one number, `"x[50]"` for a vector of 50.
    #[schemars(length(min = 1))]
    pub coordinates: Vec<String>,
    /// The log density, up to a constant, as a formula; its gradient is exact.
    /// Definitions `name = value;` come first, `#` begins a comment. Operators: + - * / ^, comparisons < <= > >=
    /// == != (1 if true, else 0), && || !. Element `x[3]`, slice `x[2:50]` (from 1, both ends
    /// included), `x[g]` with places g from data. Numbers meet every element of a vector, vectors
    /// meet vectors of their length; the log density is one number. Choice: if(c, a, b). Functions,
    /// element by element: abs, square, sqrt, exp, expm1, log, log1p, pow, sin, cos, tan, asin, acos,
    /// atan, sinh, cosh, tanh, logistic or sigmoid, softplus or log1p_exp, erf, lgamma, floor. Of
    /// vectors: sum, mean, dot, length. Of one vector, or element by element of several values: max,
    /// min, log_sum_exp. Log densities: normal_lpdf(x, m, s), lognormal_lpdf(x, m, s),
    /// student_t_lpdf(x, nu, m, s), cauchy_lpdf(x, m, s), laplace_lpdf(x, m, s),
    /// exponential_lpdf(x, rate), gamma_lpdf(x, a, rate), beta_lpdf(x, a, b), uniform_lpdf(x, a, b).
    /// Log probabilities: bernoulli_logit_lpmf(k, l), binomial_logit_lpmf(k, n, l),
    /// poisson_lpmf(k, rate), poisson_log_lpmf(k, l). Constants: pi, inf. Outside of its domain a
    /// value is NaN, and such points are counted: write if(x > 0, ..., -inf) where there is no mass.
    pub log_density: String,
    /// Numbers by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub constants: BTreeMap<String, f64>,
    /// Vectors of numbers by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, Vec<f64>>,
    /// CSV file with a line of column names, relative to the job; `columns` says which are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Vectors from `file`: name in the formula = name of the column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// log Z of the density as it is written, if it is known: the run is checked against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_z: Option<f64>,
}

/// Names as they are collected.
#[derive(Default)]
struct Names {
    graph: Graph,
    scope: Scope,
}

impl Names {
    /// Takes a name for what is at `key`.
    fn add(&mut self, key: &str, name: &str, what: &'static str, id: graph::Id) -> Result {
        let wrong = |allowed: String| {
            Err(Error::setting(
                NAME,
                key,
                format!("named {name:?}"),
                allowed,
            ))
        };
        if !is_name(name) {
            return wrong("named by letters, digits and `_`, beginning with no digit".into());
        }
        if let Some(taken) = reserved(name) {
            return wrong(format!("named otherwise: `{name}` is {taken}"));
        }
        if let Some(taken) = self.scope.get(name) {
            return wrong(format!(
                "named otherwise: `{name}` is {} already",
                taken.what
            ));
        }
        self.scope.insert(name.to_owned(), Named { id, what });
        Ok(())
    }
}

impl Expression {
    /// A density of these coordinates, without data.
    pub fn new<S: Into<String>>(
        coordinates: impl IntoIterator<Item = S>,
        log_density: impl Into<String>,
    ) -> Self {
        Self {
            coordinates: coordinates.into_iter().map(Into::into).collect(),
            log_density: log_density.into(),
            ..Self::default()
        }
    }

    /// Name and length of each coordinate; a length of `None` is one number.
    fn shapes(&self) -> Result<Vec<(&str, Option<usize>)>> {
        let mut shapes = Vec::with_capacity(self.coordinates.len());
        let mut d = 0usize;
        for (i, text) in self.coordinates.iter().enumerate() {
            let wrong = |allowed: &str| {
                Err(Error::setting(
                    NAME,
                    format!("coordinates[{i}]"),
                    format!("{text:?}"),
                    allowed,
                ))
            };
            let Some((name, length)) = coordinate(text) else {
                return wrong("a name such as `mu`, or a name with a length such as `x[50]`");
            };
            d = d.saturating_add(length.unwrap_or(1));
            if length == Some(0) || d > MAX_DIM {
                return wrong("of length ≥ 1, and all coordinates together at most 1000000");
            }
            shapes.push((name, length));
        }
        if d == 0 {
            return Err(Error::setting(
                NAME,
                "coordinates",
                "empty",
                "a list of at least one name",
            ));
        }
        Ok(shapes)
    }

    fn columns(&self, parts: &Parts<'_>, names: &mut Names) -> Result {
        let Some(file) = &self.file else {
            return match self.columns.keys().next() {
                None => Ok(()),
                Some(_) => Err(Error::setting(
                    NAME,
                    "file",
                    "missing",
                    "a CSV file where there are `columns`",
                )),
            };
        };
        if self.columns.is_empty() {
            let allowed = "a table such as `columns = { y = \"name of a column\" }` where there is \
                           a `file`";
            return Err(Error::setting(NAME, "columns", "missing", allowed));
        }
        let table = Table::read(parts.files, file, |_| true)?;
        for (name, header) in &self.columns {
            let column = table.column("column", header)?;
            let numbers: Result<Vec<f64>> = (0..table.rows())
                .map(|row| table.number(row, column))
                .collect();
            let id = names.graph.vector(numbers?);
            names.add(&format!("columns.{name}"), name, "a column of the file", id)?;
        }
        Ok(())
    }
}

impl Build<dyn Target> for Expression {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let mut names = Names::default();
        let shapes = self.shapes()?;
        let d = shapes.iter().map(|(_, length)| length.unwrap_or(1)).sum();
        let all = names.graph.coordinates(d);
        let mut coordinates = Vec::with_capacity(d);
        for (i, (name, length)) in shapes.iter().enumerate() {
            let id = names.graph.slice(all, coordinates.len(), *length);
            names.add(&format!("coordinates[{i}]"), name, "a coordinate", id)?;
            match length {
                None => coordinates.push((*name).to_owned()),
                Some(n) => coordinates.extend((1..=*n).map(|k| format!("{name}[{k}]"))),
            }
        }
        for (name, v) in &self.constants {
            let key = format!("constants.{name}");
            if v.is_nan() {
                return Err(Error::setting(NAME, key, v, "a number"));
            }
            let id = names.graph.number(*v);
            names.add(&key, name, "a constant", id)?;
        }
        for (name, v) in &self.data {
            let key = format!("data.{name}");
            if v.is_empty() {
                return Err(Error::setting(
                    NAME,
                    key,
                    "empty",
                    "a list of at least one number",
                ));
            }
            if let Some(i) = v.iter().position(|v| !v.is_finite()) {
                return Err(Error::setting(NAME, format!("{key}[{i}]"), v[i], "finite"));
            }
            let id = names.graph.vector(v.clone());
            names.add(&key, name, "a vector of data", id)?;
        }
        self.columns(parts, &mut names)?;
        if let Some(v) = self.log_z.filter(|v| !v.is_finite()) {
            return Err(Error::setting(NAME, "log_z", v, "finite"));
        }
        let Names {
            mut graph,
            mut scope,
        } = names;
        add_numbers(&mut graph, &mut scope);
        let root = log_density(&mut graph, scope, &self.log_density).map_err(|mistake| {
            Error::Settings {
                component: NAME.into(),
                key: "log_density".into(),
                message: mistake.shown(&self.log_density),
            }
        })?;
        Ok(Arc::new(Formula {
            tape: Tape::new(graph, d, root),
            coordinates,
            log_z: self.log_z,
        }))
    }
}

/// A density that was compiled.
struct Formula {
    tape: Tape,
    coordinates: Vec<String>,
    log_z: Option<f64>,
}

impl Target for Formula {
    fn dim(&self) -> usize {
        self.tape.dim()
    }

    fn coordinate(&self, i: usize) -> String {
        self.coordinates[i].clone()
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        self.tape.eval(cx, x, log_density, gradient);
        Ok(())
    }

    fn exact(&self) -> Option<&dyn Exact> {
        self.log_z.is_some().then_some(self)
    }
}

impl Exact for Formula {
    fn truth(&self) -> Truth {
        Truth {
            log_z: self.log_z,
            source: "given in the job".into(),
            ..Truth::default()
        }
    }
}

register! {
    target "expression" => Expression, needs NOTHING,
        summary "A log density written as a formula, with exact gradients",
        source "reverse-mode differentiation: Griewank & Walther (2008), Evaluating Derivatives";
}
