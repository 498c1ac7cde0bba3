//! From draws to the files of a store.

use super::tree::Tree;
use super::variables::{Type, Variable, variables};
use crate::draws::{DrawSet, names};
use crate::plan::Plan;
use crate::store::{Columns, Extent};
use retrograde_core::{Error, Kind, Result, Runtime};
use retrograde_metrics::relative_weights;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zarrs::array::{
    Array, ArrayBuilder, ArrayMetadataOptions, FillValue, builder::ArrayBuilderFillValue, data_type,
};

/// Numbers of a chunk over all variables, at most: what is written again when it grows.
const CHUNK: usize = 1 << 17;
/// Chains that have chunks of their own; more share them, or there would be too many files.
const OWN_CHUNKS: usize = 32;

/// The store of a run.
#[derive(Debug)]
pub(crate) struct Zarr {
    root: PathBuf,
    names: Vec<String>,
    /// Draws that the job asks for, over all chains.
    expected: usize,
    attributes: Map<String, Value>,
    job: Map<String, Value>,
}

/// A group of variables with the same draws.
struct Group {
    name: &'static str,
    variables: Vec<Variable>,
    /// From the statistics, not from the values.
    statistics: bool,
    resampled: bool,
}

/// Which draws are written, and how.
struct Part<'a> {
    set: &'a DrawSet,
    /// Draws before those of the set, which are in the store already.
    first: usize,
    /// For each chain the draws of the set that stand for its weighted ones.
    resampled: Option<&'a [Vec<usize>]>,
}

/// How the draws are cut into chunks.
#[derive(Clone, Copy)]
struct Grid {
    chains: usize,
    draws: usize,
    chunk_chains: usize,
    chunk_draws: usize,
}

impl Zarr {
    pub(crate) fn new(root: &Path, plan: &Plan) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let attributes = json!({
            "sample_dims": ["chain", "draw"],
            "inference_library": "retrograde",
            "inference_library_version": version,
            "creation_library": "retrograde",
            "creation_library_version": version,
        });
        let job = json!({
            "target": plan.component(Kind::Target),
            "sampler": plan.component(Kind::Sampler),
            "seed": plan.run.seed,
            "job": plan.identity,
        });
        let map = |v: Value| v.as_object().cloned().unwrap_or_default();
        Self {
            root: root.to_owned(),
            names: names(plan),
            expected: plan.run.draws,
            attributes: map(attributes),
            job: map(job),
        }
    }

    /// Makes the store fit a run that starts or is resumed: without draws that are not in its rows. What
    /// is beyond stays in the chunks until the run comes there again, with the same bits.
    pub(crate) fn begin(&self, extent: Option<&Extent>) -> Result {
        let root = self.root.join("zarr.json");
        let unless_absent = |done: std::io::Result<()>| match done {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(crate::files::io_error("cannot replace", &self.root)(e))
            }
            _ => Ok(()),
        };
        match extent.filter(|e| e.rows > 0 && e.columns.is_some()) {
            // Without its root the rest is no store.
            None => {
                unless_absent(std::fs::remove_file(root))?;
                unless_absent(std::fs::remove_dir_all(&self.root))
            }
            Some(_) if !root.exists() => Ok(()),
            Some(extent) => {
                let rows = usize::try_from(extent.rows).unwrap_or(usize::MAX);
                let grid = self.grid(
                    extent.chains,
                    rows / extent.chains,
                    extent.columns.as_ref().map_or(0, Columns::width),
                );
                let groups = self.groups(extent.columns.as_ref(), false);
                let tree = Arc::new(Tree::new(&self.root, false));
                let metadata = self.metadata(&tree, &groups, grid)?;
                self.put_root(&tree, metadata, "running")
            }
        }
    }

    /// Draws of a chunk: where a write of further draws may begin.
    pub(crate) fn chunk_draws(&self, chains: usize, columns: &Columns) -> usize {
        self.grid(chains, 0, columns.width()).chunk_draws
    }

    /// Writes draws that follow the first `first` ones, which are a multiple of a chunk.
    pub(crate) fn extend(&self, set: &DrawSet, first: usize) -> Result {
        let part = Part {
            set,
            first,
            resampled: None,
        };
        self.write(&part, "running", false)
    }

    /// Writes the whole store.
    pub(crate) fn finish(&self, set: &DrawSet, runtime: &mut Runtime, complete: bool) -> Result {
        let resampled = set.log_weights().and_then(|w| {
            let mut shift = [0.0];
            runtime.enter("resample-for-zarr", 0, |cx| {
                cx.fill_uniform_1((&mut shift[..]).into());
            });
            systematic(
                relative_weights(w).to_vec().as_slice(),
                set.chains(),
                shift[0],
            )
        });
        let part = Part {
            set,
            first: 0,
            resampled: resampled.as_deref(),
        };
        self.write(&part, if complete { "complete" } else { "stopped" }, true)?;
        // What a killed run was about to write.
        remove_parts(&self.root).map_err(crate::files::io_error("cannot clear", &self.root))
    }

    fn grid(&self, chains: usize, draws: usize, width: usize) -> Grid {
        // Of what the job asks for alone, so that an interrupted run has the same chunks.
        let expected = self.expected.div_ceil(chains).max(1);
        let chunk_draws = (CHUNK / width.max(1)).clamp(1, expected);
        let chunk_chains = if chains <= OWN_CHUNKS {
            1
        } else {
            (CHUNK / (width * chunk_draws).max(1)).clamp(1, chains)
        };
        Grid {
            chains,
            draws,
            chunk_chains,
            chunk_draws,
        }
    }

    fn groups(&self, columns: Option<&Columns>, resampled: bool) -> Vec<Group> {
        let weighted = columns.is_some_and(|c| c.weighted);
        let values = |name, resampled| Group {
            name,
            variables: variables(&self.names),
            statistics: false,
            resampled,
        };
        let stats = columns.map_or(&[][..], |c| &c.stats);
        let statistics = |name, resampled: bool| {
            let mut all: Vec<Variable> = stats
                .iter()
                .enumerate()
                .map(|(k, stat)| {
                    let (name, kind) = statistic(stat);
                    Variable::scalar(name, usize::from(weighted) + k, kind)
                })
                .collect();
            if weighted && !resampled {
                all.push(Variable::scalar("log_weight", 0, Type::Float));
            }
            Group {
                name,
                variables: all,
                statistics: true,
                resampled,
            }
        };
        let mut all = Vec::new();
        if !weighted || resampled {
            all.push(values("posterior", weighted));
            all.push(statistics("sample_stats", weighted));
        }
        if weighted {
            all.push(values("weighted_posterior", false));
            all.push(statistics("weighted_sample_stats", false));
        }
        // Also a group without variables: readers look for it by its name.
        all
    }

    fn write(&self, part: &Part<'_>, state: &str, durable: bool) -> Result {
        let tree = Arc::new(Tree::new(&self.root, durable));
        let set = part.set;
        let draws = part.first + set.draws();
        let grid = self.grid(set.chains(), draws, set.columns().width());
        let groups = self.groups(Some(set.columns()), part.resampled.is_some());
        for group in &groups {
            for variable in &group.variables {
                self.write_variable(&tree, group, variable, part, grid)?;
            }
            self.write_labels(&tree, group, part.first, grid)?;
        }
        let metadata = self.metadata(&tree, &groups, grid)?;
        for (path, node) in &metadata {
            tree.put(&format!("{path}/zarr.json"), &text(node))?;
        }
        self.put_root(&tree, metadata, state)
    }

    fn write_variable(
        &self,
        tree: &Arc<Tree>,
        group: &Group,
        variable: &Variable,
        part: &Part<'_>,
        grid: Grid,
    ) -> Result {
        let array = self.array(tree, group, variable, grid)?;
        let size = variable.columns.len();
        let elements = grid.chunk_chains * grid.chunk_draws * size;
        let rest = vec![0; variable.axes.len()];
        let set = part.set;
        for c in (0..grid.chains).step_by(grid.chunk_chains) {
            for i in (part.first..grid.draws).step_by(grid.chunk_draws) {
                // Beyond the end of the array a chunk is filled up.
                let mut chunk = vec![f64::NAN; elements];
                let chains = c..(c + grid.chunk_chains).min(grid.chains);
                for chain in chains {
                    for draw in i..(i + grid.chunk_draws).min(grid.draws) {
                        let row = match part.resampled.filter(|_| group.resampled) {
                            Some(chosen) => chosen[chain][draw],
                            None => draw - part.first,
                        };
                        let at = ((chain - c) * grid.chunk_draws + draw - i) * size;
                        for (v, column) in chunk[at..at + size].iter_mut().zip(&variable.columns) {
                            *v = if group.statistics {
                                set.statistic(chain, row, *column)
                            } else {
                                set.value(chain, row, *column)
                            };
                        }
                    }
                }
                let mut index = vec![
                    (c / grid.chunk_chains) as u64,
                    (i / grid.chunk_draws) as u64,
                ];
                index.extend(&rest);
                let stored = match variable.kind {
                    Type::Float => array.store_chunk(&index, &chunk[..]),
                    Type::Integer => {
                        // What fills a chunk up is NaN, and so 0.
                        let chunk: Vec<i64> = chunk.iter().map(|v| *v as i64).collect();
                        array.store_chunk(&index, &chunk[..])
                    }
                    Type::Truth => {
                        let chunk: Vec<bool> = chunk.iter().map(|v| *v > 0.0).collect();
                        array.store_chunk(&index, &chunk[..])
                    }
                };
                stored.map_err(|e| self.error(e))?;
            }
        }
        Ok(())
    }

    /// The coordinates of the axes: without them some of ArviZ's functions do not work.
    fn write_labels(&self, tree: &Arc<Tree>, group: &Group, first: usize, grid: Grid) -> Result {
        for (name, from, len, chunk) in labels(group, grid) {
            let array = self.label_array(tree, group, &name, len, chunk)?;
            let begin = if name == "draw" { first } else { 0 };
            for i in (begin..len).step_by(chunk) {
                let mut values = vec![0_i64; chunk];
                for (v, k) in values.iter_mut().zip(i..len) {
                    *v = (from + k) as i64;
                }
                array
                    .store_chunk(&[(i / chunk) as u64], &values[..])
                    .map_err(|e| self.error(e))?;
            }
        }
        Ok(())
    }

    /// Path and metadata of every node under the root.
    fn metadata(
        &self,
        tree: &Arc<Tree>,
        groups: &[Group],
        grid: Grid,
    ) -> Result<BTreeMap<String, Value>> {
        let mut all = BTreeMap::new();
        for group in groups {
            let mut attributes = self.attributes.clone();
            if group.resampled {
                let how =
                    "systematically, from the draws of weighted_posterior by their log_weight";
                attributes.insert("resampled".into(), how.into());
            }
            let node = json!({ "zarr_format": 3, "node_type": "group", "attributes": attributes });
            all.insert(group.name.to_owned(), node);
            for variable in &group.variables {
                let array = self.array(tree, group, variable, grid)?;
                let path = format!("{}/{}", group.name, variable.name);
                all.insert(path, self.array_metadata(&array)?);
            }
            for (name, _, len, chunk) in labels(group, grid) {
                let array = self.label_array(tree, group, &name, len, chunk)?;
                all.insert(
                    format!("{}/{name}", group.name),
                    self.array_metadata(&array)?,
                );
            }
        }
        Ok(all)
    }

    fn array_metadata(&self, array: &Array<Tree>) -> Result<Value> {
        let plain = ArrayMetadataOptions::default().with_include_zarrs_metadata(false);
        serde_json::to_value(array.metadata_opt(&plain)).map_err(|e| self.error(e))
    }

    /// Writes the root, and with it makes all that was written before readable.
    fn put_root(&self, tree: &Tree, metadata: BTreeMap<String, Value>, state: &str) -> Result {
        let mut attributes = self.attributes.clone();
        attributes.extend(self.job.clone());
        attributes.insert("state".into(), state.into());
        let root = json!({
            "zarr_format": 3,
            "node_type": "group",
            "attributes": attributes,
            // In the order of their paths: the library's own block has them in any order.
            "consolidated_metadata": {
                "kind": "inline",
                "must_understand": false,
                "metadata": metadata,
            },
        });
        tree.put("zarr.json", &text(&root))
    }

    fn array(
        &self,
        tree: &Arc<Tree>,
        group: &Group,
        variable: &Variable,
        grid: Grid,
    ) -> Result<Array<Tree>> {
        let extents = variable.axes.iter().map(|(_, n)| *n as u64);
        let shape = [grid.chains as u64, grid.draws as u64];
        let shape: Vec<u64> = shape.into_iter().chain(extents.clone()).collect();
        let chunk = [grid.chunk_chains as u64, grid.chunk_draws as u64];
        let chunk: Vec<u64> = chunk.into_iter().chain(extents).collect();
        let mut names = vec!["chain".to_owned(), "draw".into()];
        names.extend((0..variable.axes.len()).map(|k| variable.axis(k)));
        let (kind, fill): (_, ArrayBuilderFillValue) = match variable.kind {
            Type::Float => (data_type::float64(), f64::NAN.into()),
            Type::Integer => (data_type::int64(), 0_i64.into()),
            Type::Truth => (data_type::bool(), FillValue::from(false).into()),
        };
        ArrayBuilder::new(shape, chunk, kind, fill)
            .dimension_names(Some(names))
            .build(tree.clone(), &format!("/{}/{}", group.name, variable.name))
            .map_err(|e| self.error(e))
    }

    fn label_array(
        &self,
        tree: &Arc<Tree>,
        group: &Group,
        name: &str,
        len: usize,
        chunk: usize,
    ) -> Result<Array<Tree>> {
        ArrayBuilder::new(
            vec![len as u64],
            vec![chunk as u64],
            data_type::int64(),
            0_i64,
        )
        .dimension_names(Some([name]))
        .build(tree.clone(), &format!("/{}/{name}", group.name))
        .map_err(|e| self.error(e))
    }

    fn error(&self, e: impl std::error::Error + Send + Sync + 'static) -> Error {
        crate::files::io_error("cannot write", &self.root)(std::io::Error::other(e))
    }
}

/// Name, first label, length and chunk of the axes of a group.
fn labels(group: &Group, grid: Grid) -> Vec<(String, usize, usize, usize)> {
    let mut all = vec![
        ("chain".to_owned(), 0, grid.chains, grid.chains),
        ("draw".to_owned(), 0, grid.draws, grid.chunk_draws),
    ];
    for v in &group.variables {
        let axes = v.axes.iter().enumerate();
        all.extend(axes.map(|(k, (from, len))| (v.axis(k), *from, *len, *len)));
    }
    all
}

/// ArviZ's name and type of a statistic.
fn statistic(name: &str) -> (&str, Type) {
    match name {
        "accept_stat" => ("acceptance_rate", Type::Float),
        "diverging" => ("diverging", Type::Truth),
        "n_steps" | "tree_depth" => (name, Type::Integer),
        other => (other, Type::Float),
    }
}

/// As many draws of each chain as it has, each about n w̄ times; `None` where the weights say nothing.
/// Rows are in the order of emission.
fn systematic(weights: &[f64], chains: usize, shift: f64) -> Option<Vec<Vec<usize>>> {
    (0..chains)
        .map(|c| {
            let own: Vec<f64> = weights[c..].iter().step_by(chains).copied().collect();
            let total: f64 = own.iter().sum();
            if !(total > 0.0 && total.is_finite()) {
                return own.is_empty().then(Vec::new);
            }
            let (n, mut sum, mut chosen) = (own.len(), 0.0, Vec::with_capacity(own.len()));
            for (i, w) in own.iter().enumerate() {
                sum += w;
                while chosen.len() < n && (chosen.len() as f64 + shift) / (n as f64) < sum / total {
                    chosen.push(i);
                }
            }
            // The last sum may fall short of the total by its rounding.
            let last = own.iter().rposition(|w| *w > 0.0)?;
            chosen.resize(n, last);
            Some(chosen)
        })
        .collect()
}

fn text(node: &Value) -> Vec<u8> {
    format!("{node:#}\n").into_bytes()
}

fn remove_parts(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_parts(&entry.path())?;
        } else if entry.path().extension().is_some_and(|e| e == "part") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resampled_draws_are_as_many_as_their_weights_say() {
        // 8 draws: 4, 2, 2 and none of the last, in order.
        let w = [1.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0];
        for shift in [0.0, 0.3, 0.999] {
            let all = systematic(&w, 1, shift).unwrap();
            assert_eq!(all, [[0, 0, 0, 0, 1, 1, 2, 2]]);
        }
        // Two chains, alternating; each by itself.
        let all = systematic(&[0.0, 7.0, 3.0, 7.0], 2, 0.5).unwrap();
        assert_eq!(all, [[1, 1], [0, 1]]);
        assert_eq!(systematic(&[f64::NAN, 1.0], 1, 0.5), None);
        assert_eq!(systematic(&[0.0, 0.0], 1, 0.5), None);
        assert_eq!(systematic(&[], 1, 0.5), Some(vec![vec![]]));
    }
}
