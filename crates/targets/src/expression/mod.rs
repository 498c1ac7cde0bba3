//! The user's own log density, written as a formula.

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

use crate::table::Table;
use compile::{Named, Scope, add_numbers, log_density};
use functions::reserved;
use graph::Graph;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
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
    /// The log density, up to a constant, as a formula.
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
            Err(Error::setting(NAME, key, format!("named {name:?}"), allowed))
        };
        if !is_name(name) {
            return wrong("named by letters, digits and `_`, beginning with no digit".into());
        }
        if let Some(taken) = reserved(name) {
            return wrong(format!("named otherwise: `{name}` is {taken}"));
        }
        if let Some(taken) = self.scope.get(name) {
            return wrong(format!("named otherwise: `{name}` is {} already", taken.what));
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
                Err(Error::setting(NAME, format!("coordinates[{i}]"), format!("{text:?}"), allowed))
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
            return Err(Error::setting(NAME, "coordinates", "empty", "a list of at least one name"));
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
            let numbers: Result<Vec<f64>> =
                (0..table.rows()).map(|row| table.number(row, column)).collect();
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
                return Err(Error::setting(NAME, key, "empty", "a list of at least one number"));
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
        let Names { mut graph, mut scope } = names;
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
        Truth { log_z: self.log_z, source: "given in the job".into(), ..Truth::default() }
    }
}

register! {
    target "expression" => Expression, needs NOTHING,
        summary "A log density written as a formula, with exact gradients",
        source "reverse-mode differentiation: Griewank & Walther (2008), Evaluating Derivatives";
}
