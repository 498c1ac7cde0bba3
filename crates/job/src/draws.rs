//! The files of draws in a run directory, for NumPy, for a spreadsheet and for Stan's tools.

use crate::error::JobError;
use crate::files::write_atomically;
use crate::npy;
use crate::plan::Plan;
use crate::report::Report;
use crate::rundir::{RunDir, refused};
use crate::settings::Format;
use crate::store::{Columns, Extent, write_npy};
use ndarray::{Array2, ArrayView2, ArrayView3, Axis, ShapeBuilder, concatenate, s};
use retrograde_core::{Error, Kind, Outputs, Result, Runtime};
use std::io::Write;
use std::path::Path;

/// Rows of a block when functions of the draws are computed.
const ROWS: usize = 4096;

/// All draws of a run on their natural scale, in the order of emission: those of the chains by turns.
#[derive(Debug)]
pub struct DrawSet {
    /// Coordinates, then outputs.
    pub(crate) names: Vec<String>,
    dim: usize,
    values: Array2<f64>,
    /// Log weights and statistics, as stored.
    rest: Array2<f64>,
    columns: Columns,
    chains: usize,
}

impl DrawSet {
    /// From the rows of a store. Chains that were cut off in mid-draw lose that draw.
    pub(crate) fn new(
        plan: &Plan,
        runtime: &mut Runtime,
        rows: Array2<f64>,
        extent: &Extent,
    ) -> Result<Self> {
        let target = plan.target.as_ref();
        let dim = target.dim();
        let outputs = target.outputs();
        let natural = natural(plan);
        let names = names(plan);
        let extra = names.len() - dim;
        let columns = extent.columns.clone().unwrap_or(Columns {
            dim,
            ..Columns::default()
        });
        let n = rows.nrows() - rows.nrows() % extent.chains;
        let rest = rows.slice(s![..n, rows.ncols().min(dim)..]).to_owned();
        let values = match outputs {
            None if rows.ncols() == dim => rows,
            None => rows.slice(s![..n, ..rows.ncols().min(dim)]).to_owned(),
            Some(outputs) => {
                let mut values = Array2::zeros((n, dim + extra));
                runtime.enter("outputs", 0, |cx| {
                    evaluate(cx, outputs, rows.view(), natural, &mut values)
                })?;
                values
            }
        };
        Ok(Self {
            names,
            dim,
            values,
            rest,
            columns,
            chains: extent.chains,
        })
    }

    /// From the files of NumPy in the directory of a run that is complete, which `report` is of; `None` if there are none.
    ///
    /// # Errors
    /// [`JobError::Refused`] when a file is damaged, or not of the shape that the report says.
    pub fn read(directory: &Path, report: &Report) -> std::result::Result<Option<Self>, JobError> {
        let (chains, draws, dim) = (report.chains, report.draws_per_chain, report.dim);
        let read = |name: &str, columns: Option<usize>| {
            let found = npy::read(&directory.join(name)).map_err(|e| refused(directory, &e))?;
            let Some(mut x) = found else {
                return Ok(None);
            };
            let k = columns.unwrap_or(x.dim().2);
            if x.dim() != (chains, draws, k) {
                let (is, want) = (x.dim(), (chains, draws, k));
                let why = format!("{name} has the shape {is:?}, but the report says {want:?}");
                return Err(refused(directory, &why));
            }
            // In the order of emission again.
            x.swap_axes(0, 1);
            let rows = x.as_standard_layout().into_owned();
            let rows = rows.into_shape_with_order((chains * draws, k));
            Ok(Some(rows.expect("as many numbers")))
        };
        let Some(x) = read("draws.npy", Some(dim))? else {
            return Ok(None);
        };
        let beside = |parts: &[Option<Array2<f64>>]| {
            let views: Vec<_> = parts.iter().flatten().map(|x| x.view()).collect();
            match views[..] {
                [] => Array2::zeros((chains * draws, 0)),
                _ => concatenate(Axis(1), &views).expect("equally many rows"),
            }
        };
        let outputs = read("outputs.npy", None)?;
        let weights = read("log_weights.npy", Some(1))?;
        let columns = |x: &Option<Array2<f64>>| x.as_ref().map_or(0, Array2::ncols);
        Ok(Some(Self {
            // The files do not tell them.
            names: (0..dim + columns(&outputs))
                .map(|i| format!("x{i}"))
                .collect(),
            dim,
            columns: Columns {
                dim,
                weighted: weights.is_some(),
                stats: Vec::new(),
            },
            values: beside(&[Some(x), outputs]),
            rest: beside(&[weights]),
            chains,
        }))
    }

    /// Points, a row each, without outputs; n × d.
    #[must_use]
    pub fn points(&self) -> ArrayView2<'_, f64> {
        self.values
            .slice(s![.., ..self.dim.min(self.values.ncols())])
    }

    /// Functions of the draws that the target computes; n × k, k may be 0.
    #[must_use]
    pub fn outputs(&self) -> ArrayView2<'_, f64> {
        self.values
            .slice(s![.., self.dim.min(self.values.ncols())..])
    }

    /// Chains.
    #[must_use]
    pub fn chains(&self) -> usize {
        self.chains
    }

    fn per_chain(&self) -> usize {
        self.values.nrows() / self.chains
    }

    /// Values by (chain, draw, column).
    pub(crate) fn by_chain(&self) -> ArrayView3<'_, f64> {
        let (c, w) = (self.chains, self.values.ncols());
        let shape = (c, self.per_chain(), w).strides((w, c * w, 1));
        let data = self.values.as_slice().unwrap_or(&[]);
        ArrayView3::from_shape(shape, data)
            .unwrap_or_else(|_| ArrayView3::from_shape((c, 0, w), &[]).expect("no draws"))
    }

    /// Their log weights, if they have any.
    #[must_use]
    pub fn log_weights(&self) -> Option<ndarray::ArrayView1<'_, f64>> {
        self.columns.weighted.then(|| self.rest.column(0))
    }

    fn stats(&self) -> ArrayView2<'_, f64> {
        self.rest.slice(s![
            ..,
            usize::from(self.columns.weighted).min(self.rest.ncols())..
        ])
    }

    /// Writes the formats that the job asks for.
    pub(crate) fn write(&self, dir: &RunDir, plan: &Plan) -> Result {
        for format in &plan.output.formats {
            match format {
                Format::Npy => self.write_npy(dir)?,
                // They are written beside the report.
                Format::Zarr | Format::Html => {}
                Format::Csv => {
                    write_atomically(&dir.file("draws.csv"), |out| self.write_csv(out))?;
                }
                Format::Cmdstan => {
                    for chain in 0..self.chains {
                        let name = format!("cmdstan-{}.csv", chain + 1);
                        write_atomically(&dir.file(&name), |out| {
                            self.write_cmdstan(out, plan, chain)
                        })?;
                    }
                }
            }
        }
        Ok(())
    }

    fn write_npy(&self, dir: &RunDir) -> Result {
        let (x, outputs) = self
            .values
            .view()
            .split_at(Axis(1), self.dim.min(self.values.ncols()));
        let (weights, stats) = (
            self.rest.slice(s![.., ..self.rest.ncols().min(1)]),
            self.stats(),
        );
        let all = [
            ("draws.npy", Some(x), false),
            (
                "outputs.npy",
                (outputs.ncols() > 0).then_some(outputs),
                false,
            ),
            (
                "log_weights.npy",
                self.columns.weighted.then_some(weights),
                true,
            ),
            ("stats.npy", (stats.ncols() > 0).then_some(stats), false),
        ];
        for (name, values, flat) in all {
            if let Some(values) = values {
                write_atomically(&dir.file(name), |out| {
                    write_npy(out, values, self.chains, flat)
                })?;
            }
        }
        Ok(())
    }

    /// `chain,draw,…`, chains and draws from 1, statistics with Stan's trailing `__`.
    fn write_csv(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        let weight = self.columns.weighted.then(|| "log_weight__".to_owned());
        let stats = self.columns.stats.iter().map(|s| format!("{s}__"));
        let head = ["chain".to_owned(), "draw".to_owned()];
        csv.write_record(
            head.into_iter()
                .chain(self.names.iter().cloned())
                .chain(weight)
                .chain(stats),
        )?;
        for c in 0..self.chains {
            for i in 0..self.per_chain() {
                let r = i * self.chains + c;
                csv.write_field((c + 1).to_string())?;
                csv.write_field((i + 1).to_string())?;
                for v in self.values.row(r).iter().chain(self.rest.row(r)) {
                    csv.write_field(format!("{v:?}"))?;
                }
                csv.write_record(None::<&[u8]>)?;
            }
        }
        csv.flush()
    }

    /// CmdStan's layout, which `posterior`, MCMCChains and CmdStanPy read: settings behind `#`, then
    /// `lp__`, statistics, parameters with `.` before an index.
    fn write_cmdstan(&self, out: &mut dyn Write, plan: &Plan, chain: usize) -> std::io::Result<()> {
        let model = plan.component(Kind::Target).replace('-', "_");
        let n = self.per_chain();
        for line in [
            "stan_version_major = 2".into(),
            "stan_version_minor = 36".into(),
            "stan_version_patch = 0".into(),
            format!("model = {model}_model"),
            "method = sample (Default)".into(),
            "  sample".into(),
            format!("    num_samples = {n}"),
            // Warm-up is the sampler's own affair and never in the file; CmdStanPy refuses 0 here.
            "    num_warmup = 1".into(),
            "    save_warmup = 0 (Default)".into(),
            "    thin = 1 (Default)".into(),
            "    adapt".into(),
            "      engaged = 0".into(),
            // Nothing of Stan's own adaptation is in the file; readers look for it elsewhere.
            "    algorithm = fixed_param".into(),
            format!("id = {}", chain + 1),
            "random".into(),
            format!("  seed = {}", plan.run.seed),
            format!("sampler = retrograde {}", plan.component(Kind::Sampler)),
        ] as [String; 17]
        {
            writeln!(out, "# {line}")?;
        }
        let stats = self.stats();
        let lp = self.columns.stats.iter().position(|s| s == "lp");
        let others: Vec<usize> = (0..stats.ncols()).filter(|k| Some(*k) != lp).collect();
        write!(out, "lp__")?;
        for k in &others {
            write!(out, ",{}__", stan_statistic(&self.columns.stats[*k]))?;
        }
        if self.columns.weighted {
            write!(out, ",log_weight__")?;
        }
        for name in stan_names(&self.names) {
            write!(out, ",{name}")?;
        }
        writeln!(out)?;
        for i in 0..n {
            let r = i * self.chains + chain;
            match lp {
                Some(k) => write!(out, "{:?}", stats[(r, k)])?,
                None => write!(out, "nan")?,
            }
            for k in &others {
                write!(out, ",{:?}", stats[(r, *k)])?;
            }
            if self.columns.weighted {
                write!(out, ",{:?}", self.rest[(r, 0)])?;
            }
            for v in self.values.row(r) {
                write!(out, ",{v:?}")?;
            }
            writeln!(out)?;
        }
        // Readers find the end of the draws by the comment behind them.
        writeln!(out, "#\n# times are in timing.json")
    }
}

/// Single numbers, for what has its own order of them.
#[cfg(feature = "zarr")]
impl DrawSet {
    /// Draws of each chain.
    pub(crate) fn draws(&self) -> usize {
        self.per_chain()
    }

    /// What is stored beside the coordinates.
    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// A coordinate or output.
    pub(crate) fn value(&self, chain: usize, draw: usize, column: usize) -> f64 {
        self.values[(draw * self.chains + chain, column)]
    }

    /// The log weight (if there are any, column 0) or a statistic.
    pub(crate) fn statistic(&self, chain: usize, draw: usize, column: usize) -> f64 {
        self.rest[(draw * self.chains + chain, column)]
    }
}

fn evaluate(
    cx: &mut retrograde_core::Cx<'_>,
    outputs: &dyn Outputs,
    rows: ArrayView2<'_, f64>,
    natural: usize,
    values: &mut Array2<f64>,
) -> Result {
    let dim = rows.ncols().min(values.ncols());
    let dim = if natural > 0 {
        natural
    } else {
        dim.min(values.ncols() - outputs.count())
    };
    let n = values.nrows();
    for first in (0..n).step_by(ROWS) {
        let last = (first + ROWS).min(n);
        let x = rows.slice(s![first..last, ..dim]);
        let mut out = values.slice_mut(s![first..last, ..]);
        if natural > 0 {
            outputs.eval(cx, x, out)?;
        } else {
            out.slice_mut(s![.., ..dim]).assign(&x);
            outputs.eval(cx, x, out.slice_mut(s![.., dim..]))?;
        }
    }
    Ok(())
}

/// The names that Stan's tools know.
fn stan_statistic(name: &str) -> &str {
    match name {
        "step_size" => "stepsize",
        "n_steps" => "n_leapfrog",
        "diverging" => "divergent",
        other => other,
    }
}

/// Names as Stan's tools take them: `theta[1,2]` as `theta.1.2` where all of θ is there, counted from
/// 1 with the first index fastest, for readers make an array of it; else, and for what would break
/// a header, `_`; each once.
fn stan_names(names: &[String]) -> Vec<String> {
    let indexed: Vec<_> = names.iter().map(|n| split_index(n)).collect();
    let mut out: Vec<String> = Vec::with_capacity(names.len());
    let mut taken = std::collections::HashSet::new();
    let mut i = 0;
    while i < names.len() {
        let base = indexed[i].as_ref().map(|(base, _)| *base);
        let end = (i + 1..names.len())
            .find(|k| base.is_none() || indexed[*k].as_ref().map(|(b, _)| *b) != base)
            .unwrap_or(names.len());
        let indices: Vec<&[usize]> = indexed[i..end]
            .iter()
            .flatten()
            .map(|(_, index)| index.as_slice())
            .collect();
        let array = base.filter(|b| !taken.contains(&plain(b)) && is_array(&indices));
        for k in i..end {
            let name = match (array, &indexed[k]) {
                (Some(base), Some((_, index))) => {
                    let index: Vec<String> = index.iter().map(ToString::to_string).collect();
                    format!("{}.{}", plain(base), index.join("."))
                }
                _ => {
                    let name = plain(names[k].trim_end_matches(']'));
                    let mut unique = name.clone();
                    let mut n = 1;
                    while !taken.insert(unique.clone()) {
                        n += 1;
                        unique = format!("{name}_{n}");
                    }
                    unique
                }
            };
            out.push(name);
        }
        taken.extend(array.map(plain));
        i = end;
    }
    out
}

fn plain(name: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() { c } else { '_' };
    name.chars().map(kept).collect()
}

/// `theta[1,2]` as `theta` and 1, 2.
fn split_index(name: &str) -> Option<(&str, Vec<usize>)> {
    let (base, index) = name.strip_suffix(']')?.split_once('[')?;
    let index: Option<Vec<usize>> = index.split(',').map(|k| k.trim().parse().ok()).collect();
    Some((base, index?)).filter(|(base, _)| !base.is_empty())
}

/// Whether these are all indices of an array, from 1, the first index fastest.
fn is_array(indices: &[&[usize]]) -> bool {
    let Some(shape) = indices.last() else {
        return false;
    };
    let size = shape.iter().try_fold(1, |n: usize, k| n.checked_mul(*k));
    size == Some(indices.len())
        && indices.iter().enumerate().all(|(i, index)| {
            let mut rest = i;
            index.len() == shape.len()
                && index.iter().zip(*shape).all(|(k, n)| {
                    let expected = rest % n + 1;
                    rest /= n;
                    *k == expected
                })
        })
}

/// How many of the first outputs are the coordinates themselves: a limited target has its natural
/// ones there.
fn natural(plan: &Plan) -> usize {
    if plan.bounded.is_some() {
        plan.target.dim()
    } else {
        0
    }
}

/// Names of the coordinates, then of the outputs.
pub(crate) fn names(plan: &Plan) -> Vec<String> {
    let target = plan.target.as_ref();
    let outputs = target.outputs();
    let further = natural(plan)..outputs.map_or(0, Outputs::count);
    let coordinates = (0..target.dim()).map(|i| target.coordinate(i));
    coordinates
        .chain(further.filter_map(|k| outputs.map(|o| o.name(k))))
        .collect()
}

/// Refuses a target whose columns could not be told apart; before a run, not after it.
pub(crate) fn check_names(plan: &Plan) -> Result {
    let mut names = names(plan);
    // Columns of draws.csv that every run has.
    names.extend(["chain", "draw"].map(String::from));
    if let Some(name) = names.iter().find(|n| n.ends_with("__")) {
        return Err(Error::Argument {
            component: "target".into(),
            argument: "names of coordinates and outputs".into(),
            given: format!("`{name}`"),
            allowed: "without two underscores at the end, which mark columns of the sampler".into(),
        });
    }
    names.sort();
    match names.windows(2).find(|w| w[0] == w[1]) {
        None => Ok(()),
        Some(w) => Err(Error::Argument {
            component: "target".into(),
            argument: "names of coordinates and outputs".into(),
            given: format!("`{}` twice", w[0]),
            allowed: "unique, and neither `chain` nor `draw`".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        stan_names(&names)
    }

    #[test]
    fn names_in_brackets_are_arrays_for_stan_only_where_the_array_is_whole() {
        let m = ["m[1,1]", "m[2,1]", "m[1,2]", "m[2,2]", "v[1]", "v[2]"];
        assert_eq!(
            named(&m),
            ["m.1.1", "m.2.1", "m.1.2", "m.2.2", "v.1", "v.2"]
        );
        // One element of many, counted from 0, rows first, with a hole, with a word.
        assert_eq!(named(&["c[1,2]"]), ["c_1_2"]);
        assert_eq!(named(&["v[0]", "v[1]"]), ["v_0", "v_1"]);
        assert_eq!(
            named(&["m[1,1]", "m[1,2]", "m[2,1]", "m[2,2]"]),
            ["m_1_1", "m_1_2", "m_2_1", "m_2_2"]
        );
        assert_eq!(named(&["v[1]", "v[3]"]), ["v_1", "v_3"]);
        assert_eq!(named(&["v[a]", "[1]", "v[0,0]"]), ["v_a", "_1", "v_0_0"]);
    }

    #[test]
    fn names_that_stan_cannot_tell_apart_are_numbered() {
        assert_eq!(
            named(&["a-b", "a_b", "a b", "a_b_2"]),
            ["a_b", "a_b_2", "a_b_3", "a_b_2_2"]
        );
        assert_eq!(named(&["v", "v[1]"]), ["v", "v_1"]);
        assert_eq!(named(&["v[1]", "v"]), ["v.1", "v_2"]);
        assert_eq!(named(&["größe, cm"]), ["größe__cm"]);
    }
}
