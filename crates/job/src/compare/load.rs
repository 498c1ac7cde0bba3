//! A finished run as it is compared: its report, its draws and its target.

use crate::error::JobError;
use crate::files::{InputFile, JobFiles, sha256};
use crate::report::Report;
use crate::rundir::{Manifest, read_report, refused};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};
use rand_core::Rng;
use retrograde_core::registry::Parts;
use retrograde_core::{Key, Registry, Target};
use retrograde_metrics::{relative_weights, subsample};
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Result<T> = std::result::Result<T, JobError>;

/// A finished run.
pub(super) struct LoadedRun {
    pub(super) directory: PathBuf,
    pub(super) report: Report,
    /// Coordinates on their natural scale; (chain, draw, dim), all finite.
    pub(super) draws: Array3<f64>,
    /// One number a draw of a single chain.
    pub(super) log_weights: Option<Array1<f64>>,
    /// `[target]` of the job, with all defaults.
    table: toml::Table,
    base: PathBuf,
    /// Files that the run depended on.
    files: Vec<InputFile>,
}

impl LoadedRun {
    /// Reads the run of a directory, which must be complete.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let report = read_report(directory)?;
        if !report.complete {
            let reason = format!(
                "the run is not complete; `retrograde run --resume {}` goes on",
                directory.display()
            );
            return Err(refused(directory, &reason));
        }
        let text = |name: &str| {
            std::fs::read_to_string(directory.join(name))
                .map_err(|e| refused(directory, &format!("cannot read {name}: {e}")))
        };
        let manifest: Manifest = serde_json::from_str(&text("manifest.json")?)
            .map_err(|e| refused(directory, &format!("manifest.json cannot be read: {e}")))?;
        let job = text("job.toml")?;
        let job: Option<toml::Table> = (sha256(job.as_bytes()) == manifest.job_sha256)
            .then(|| toml::from_str(&job).ok())
            .flatten();
        let Some(toml::Value::Table(table)) = job.and_then(|mut job| job.remove("target")) else {
            return Err(refused(
                directory,
                "job.toml has changed since the run began; put it back as it was",
            ));
        };
        let (draws, log_weights) = read_draws(directory, &report)?;
        Ok(Self {
            directory: directory.to_owned(),
            report,
            draws,
            log_weights,
            table,
            base: manifest.base,
            files: manifest.files,
        })
    }

    /// The target without its limits, built anew, and the SHA-256 of each file it read, which must be as they were.
    pub(super) fn target(&self, registry: &Registry) -> Result<(Arc<dyn Target>, Vec<String>)> {
        let mut settings = self.table.clone();
        let kind = settings.remove("kind");
        let kind = kind
            .as_ref()
            .and_then(toml::Value::as_str)
            .unwrap_or_default();
        settings.remove("bounds");
        let files = JobFiles::new(&self.base);
        let built = registry.target(kind, toml::Value::Table(settings), &Parts::new(&files));
        let target = built.map_err(|e| {
            let reason = format!("its target cannot be built any more: {}", with_causes(&e));
            refused(&self.directory, &reason)
        })?;
        let read = files.into_read();
        for read in &read {
            if !self.files.contains(read) {
                let reason = format!("{} has changed since the run began", read.path.display());
                return Err(refused(&self.directory, &reason));
            }
        }
        Ok((target, read.into_iter().map(|f| f.sha256).collect()))
    }

    /// Whether the target has limits, within which its known truth does not hold.
    pub(super) fn bounded(&self) -> bool {
        self.table.contains_key("bounds")
    }

    /// Refuses a run of a target with other settings.
    pub(super) fn check_same_settings(&self, other: &Self) -> Result<()> {
        let keys = self.table.keys().chain(other.table.keys());
        let differs = |key: &&String| self.table.get(*key) != other.table.get(*key);
        let Some(key) = keys.into_iter().find(differs) else {
            return Ok(());
        };
        let told = |table: &toml::Table| {
            let value = table.get(key).map(|v| shortened(&v.to_string()));
            value.unwrap_or_else(|| "not given".into())
        };
        let reason = format!(
            "its target is another than that of {}: `target.{key}` is {} here and {} there",
            self.directory.display(),
            told(&other.table),
            told(&self.table)
        );
        Err(refused(&other.directory, &reason))
    }

    /// Draws of all chains, one chain after the other: evenly spaced rows are then of all chains alike.
    pub(super) fn rows(&self) -> Array2<f64> {
        let (chains, n, d) = self.draws.dim();
        let values: Vec<f64> = self.draws.iter().copied().collect();
        Array2::from_shape_vec((chains * n, d), values).unwrap_or_default()
    }

    /// `m` points that stand for the run: evenly spaced draws, or draws by their weights.
    pub(super) fn points(&self, m: usize, key: Key) -> Array2<f64> {
        let rows = self.rows();
        match &self.log_weights {
            None => subsample(rows.view(), m).into_owned(),
            Some(w) => by_weight(rows.view(), w, m, key),
        }
    }

    /// How many draws there are.
    pub(super) fn len(&self) -> usize {
        self.draws.dim().0 * self.draws.dim().1
    }
}

/// Systematic resampling: the row at each of m evenly spaced points of the cumulative weight, from a uniform offset.
pub(crate) fn by_weight(
    rows: ArrayView2<'_, f64>,
    log_weights: &Array1<f64>,
    m: usize,
    key: Key,
) -> Array2<f64> {
    let weights = relative_weights(log_weights.view());
    let step = weights.sum() / m as f64;
    let offset = (key.stream(0).next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let (mut row, mut reached) = (0, weights[0]);
    let chosen: Vec<usize> = (0..m)
        .map(|i| {
            while reached <= (i as f64 + offset) * step && row + 1 < weights.len() {
                row += 1;
                reached += weights[row];
            }
            row
        })
        .collect();
    rows.select(Axis(0), &chosen)
}

fn read_draws(directory: &Path, report: &Report) -> Result<(Array3<f64>, Option<Array1<f64>>)> {
    let fail = |name: &str, why: String| refused(directory, &format!("{name} {why}"));
    let read = |name: &str| -> Result<Option<(Vec<usize>, Vec<f64>)>> {
        match std::fs::read(directory.join(name)) {
            Ok(bytes) => crate::npy::parse(&bytes)
                .map(Some)
                .ok_or_else(|| fail(name, "is no array of f64 as this program writes it".into())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(fail(name, format!("cannot be read: {e}"))),
        }
    };
    let Some((shape, values)) = read("draws.npy")? else {
        let reason = "it has no draws.npy, which is compared; run the job with \"npy\" among its `output.formats`";
        return Err(refused(directory, reason));
    };
    let expected = [report.chains, report.draws_per_chain, report.dim];
    let shaped = (shape == expected).then(|| Array3::from_shape_vec(expected, values).ok());
    let Some(draws) = shaped.flatten() else {
        let why = format!("has the shape {shape:?}, but the report says {expected:?}");
        return Err(fail("draws.npy", why));
    };
    if draws.is_empty() {
        return Err(refused(directory, "the run has kept no draws"));
    }
    if let Some(((chain, draw, j), v)) = draws.indexed_iter().find(|(_, v)| !v.is_finite()) {
        let name = report.coordinates.get(j).map_or("?", |c| c.name.as_str());
        let why = format!(
            "is {v} in draw {} of chain {}; only finite draws can be compared",
            draw + 1,
            chain + 1
        );
        return Err(fail(&format!("coordinate `{name}`"), why));
    }
    let log_weights = read("log_weights.npy")?.map(|(_, w)| Array1::from(w));
    if let Some(w) = &log_weights
        && (w.len() != draws.dim().1 || relative_weights(w.view()).iter().any(|w| w.is_nan()))
    {
        return Err(fail("log_weights.npy", "holds no usable weights".into()));
    }
    Ok((draws, log_weights))
}

/// At most some forty characters of a value.
fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let start: String = text.chars().take(MOST).collect();
    format!("{start}…")
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(e) = source {
        text = format!("{text}: {e}");
        source = e.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn points_follow_their_weights() {
        let rows = Array2::from_shape_fn((4, 1), |(i, _)| i as f64);
        let log_weights = array![0.0, 3.0_f64.ln(), f64::NEG_INFINITY, 4.0_f64.ln()] - 700.0;
        let points = by_weight(rows.view(), &log_weights, 80, Key::from_seed(1));
        let count = |v: f64| points.iter().filter(|p| **p == v).count();
        assert_eq!([0.0, 1.0, 2.0, 3.0].map(count), [10, 30, 0, 40]);
    }
}
