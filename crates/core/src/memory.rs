//! A sink that keeps everything in memory.

use crate::drive::Observer;
use crate::{Draws, Error, Flag, Result, Sink};
use ndarray::{Array2, Array3, ArrayView2};
use std::collections::BTreeMap;

/// All that a run emitted, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collected {
    chains: usize,
    dim: usize,
    values: Vec<f64>,
    /// Unnormalised log weights, one a row; empty = equal weights.
    pub log_weights: Vec<f64>,
    /// Statistics by name, one number a row.
    pub stats: BTreeMap<String, Vec<f64>>,
    /// Numbers that sum up the run.
    pub scalars: BTreeMap<String, f64>,
    /// Tables: name → (columns, rows).
    pub tables: BTreeMap<String, (Vec<String>, Vec<Vec<f64>>)>,
    /// Outcomes to know of, by key.
    pub flags: BTreeMap<String, Flag>,
}

impl Collected {
    /// An empty sink for draws of dimension `dim`.
    #[must_use]
    pub fn new(dim: usize) -> Self {
        Self {
            chains: 1,
            dim,
            ..Self::default()
        }
    }

    /// Number of chains.
    #[must_use]
    pub fn chains(&self) -> usize {
        self.chains
    }

    /// Rows in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.dim.max(1)
    }

    /// Whether there is no draw.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The draws in the order they came; n × d.
    #[must_use]
    pub fn rows(&self) -> ArrayView2<'_, f64> {
        ArrayView2::from_shape((self.len(), self.dim), &self.values).expect("whole rows are kept")
    }

    /// The draws as (chain, draw, dim).
    #[must_use]
    pub fn by_chain(&self) -> Array3<f64> {
        let per_chain = self.len() / self.chains;
        let rows = self.rows();
        Array3::from_shape_fn((self.chains, per_chain, self.dim), |(c, i, j)| {
            rows[(i * self.chains + c, j)]
        })
    }

    /// A statistic as (chain, draw).
    #[must_use]
    pub fn stat(&self, name: &str) -> Option<Array2<f64>> {
        let values = self.stats.get(name)?;
        let per_chain = values.len() / self.chains;
        Some(Array2::from_shape_fn((self.chains, per_chain), |(c, i)| {
            values[i * self.chains + c]
        }))
    }
}

impl Sink for Collected {
    fn set_chains(&mut self, chains: usize) -> Result {
        self.chains = chains.max(1);
        Ok(())
    }

    fn emit(&mut self, draws: &Draws<'_>) -> Result {
        if draws.x.ncols() != self.dim {
            return Err(Error::shape(
                "sampler",
                "draws",
                format!("{} columns", self.dim),
                format!("{} columns", draws.x.ncols()),
            ));
        }
        self.values
            .try_reserve(draws.x.len())
            .map_err(|_| Error::Memory {
                what: format!("keeping {} draws", self.len() + draws.x.nrows()),
                bytes: 8 * (self.values.len() as u128 + draws.x.len() as u128),
                advice: "ask for fewer draws".into(),
            })?;
        self.values.extend(draws.x.iter());
        if let Some(w) = draws.log_weights {
            self.log_weights.extend(w.iter());
        }
        for (name, values) in draws.stats {
            match self.stats.get_mut(*name) {
                Some(all) => all.extend(values.iter()),
                None => {
                    self.stats.insert((*name).to_owned(), values.to_vec());
                }
            }
        }
        Ok(())
    }

    fn scalar(&mut self, key: &str, value: f64) {
        match self.scalars.get_mut(key) {
            Some(v) => *v = value,
            None => {
                self.scalars.insert(key.to_owned(), value);
            }
        }
    }

    fn record(&mut self, table: &str, row: &[(&str, f64)]) {
        let (_, rows) = self.tables.entry(table.to_owned()).or_insert_with(|| {
            (
                row.iter().map(|(name, _)| (*name).to_owned()).collect(),
                Vec::new(),
            )
        });
        rows.push(row.iter().map(|(_, v)| *v).collect());
    }

    fn flag(&mut self, flag: Flag) {
        self.flags.insert(flag.key.clone(), flag);
    }

    fn progress(&mut self, _fraction: f64) {}
}

impl Observer for Collected {}
