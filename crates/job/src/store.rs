//! Draws on disk while a run goes on: one file of rows, appended to and cut back on resume.
//!
//! A row holds the coordinates as they are sampled, then the log weight (if there are weights), then
//! the statistics; f64, little-endian, in the order of emission (draw by draw, one row a chain).
//! Only the checkpoint says how many rows count: what a killed run wrote beyond is cut off. It has their
//! SHA-256 as well, so that a run does not go on with rows that are not its own.

use crate::files::io_error;
use ndarray::{Array2, ArrayView2};
use retrograde_core::{Draws, Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// What the columns of a row are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Columns {
    /// Coordinates.
    pub(crate) dim: usize,
    /// Whether there is a log weight.
    pub(crate) weighted: bool,
    /// Names of the statistics.
    pub(crate) stats: Vec<String>,
}

impl Columns {
    pub(crate) fn width(&self) -> usize {
        self.dim + usize::from(self.weighted) + self.stats.len()
    }
}

/// How much of the file counts, and what it holds; part of the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extent {
    pub(crate) rows: u64,
    pub(crate) chains: usize,
    pub(crate) columns: Option<Columns>,
    /// SHA-256 of these rows.
    pub(crate) digest: [u8; 32],
}

impl Extent {
    /// Length of the file.
    pub(crate) fn bytes(&self) -> u64 {
        let width = self.columns.as_ref().map_or(0, Columns::width) as u64;
        self.rows.saturating_mul(8).saturating_mul(width)
    }
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            rows: 0,
            chains: 1,
            columns: None,
            digest: Sha256::new().finalize().into(),
        }
    }
}

/// A file with the SHA-256 of what was read from it or written to it.
#[derive(Debug)]
struct Hashed<F> {
    inner: F,
    hash: Sha256,
}

impl<F> Hashed<F> {
    fn digest(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }
}

impl<F: Read> Read for Hashed<F> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }
}

impl<F: Write> Write for Hashed<F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// The hash of the rows of `extent`, to go on with; `None` if they are not those it tells of.
pub(crate) fn verify(path: &Path, extent: &Extent) -> Result<Option<Sha256>> {
    let read = || -> std::io::Result<Sha256> {
        let mut hash = Sha256::new();
        let mut file = BufReader::with_capacity(1 << 16, File::open(path)?.take(extent.bytes()));
        loop {
            let bytes = file.fill_buf()?;
            let n = bytes.len();
            if n == 0 {
                return Ok(hash);
            }
            hash.update(bytes);
            file.consume(n);
        }
    };
    let hash = read().map_err(io_error("cannot read", path))?;
    let digest: [u8; 32] = hash.clone().finalize().into();
    Ok((digest == extent.digest).then_some(hash))
}

#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    file: BufWriter<Hashed<File>>,
    dim: usize,
    extent: Extent,
}

impl Store {
    /// Opens the file and cuts it back to the extent of `kept`, whose rows [`verify`] gave the hash of.
    pub(crate) fn open(path: &Path, dim: usize, kept: Option<(Extent, Sha256)>) -> Result<Self> {
        let (extent, hash) = kept.unwrap_or_default();
        let open = || {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .truncate(false)
                .open(path)?;
            let bytes = extent.bytes();
            if file.metadata()?.len() < bytes {
                return Err(std::io::Error::other(
                    "it is shorter than its checkpoint says",
                ));
            }
            file.set_len(bytes)?;
            Ok(file)
        };
        let inner = open().map_err(io_error("cannot open", path))?;
        let file = BufWriter::with_capacity(1 << 16, Hashed { inner, hash });
        Ok(Self {
            path: path.to_owned(),
            file,
            dim,
            extent,
        })
    }

    pub(crate) fn set_chains(&mut self, chains: usize) {
        self.extent.chains = chains.max(1);
    }

    pub(crate) fn append(&mut self, draws: &Draws<'_>) -> Result {
        let (n, d) = draws.x.dim();
        let stats: Vec<&str> = draws.stats.iter().map(|(name, _)| *name).collect();
        let columns = self.extent.columns.get_or_insert_with(|| Columns {
            dim: self.dim,
            weighted: draws.log_weights.is_some(),
            stats: stats.iter().map(|s| (*s).to_owned()).collect(),
        });
        let fits = d == columns.dim
            && draws.log_weights.is_some() == columns.weighted
            && stats.iter().eq(columns.stats.iter())
            && draws.stats.iter().all(|(_, v)| v.len() == n)
            && draws.log_weights.is_none_or(|w| w.len() == n);
        if !fits {
            return Err(Error::shape(
                "sampler",
                "draws",
                format!("the same columns each time ({columns:?})"),
                format!("{n} × {d} with statistics {stats:?}"),
            ));
        }
        let file = &mut self.file;
        let mut put = |v: f64| file.write_all(&v.to_le_bytes());
        let mut write = || -> std::io::Result<()> {
            for (i, row) in draws.x.rows().into_iter().enumerate() {
                row.iter().try_for_each(|v| put(*v))?;
                draws.log_weights.map_or(Ok(()), |w| put(w[i]))?;
                draws.stats.iter().try_for_each(|(_, v)| put(v[i]))?;
            }
            Ok(())
        };
        write().map_err(io_error("cannot write", &self.path))?;
        self.extent.rows += n as u64;
        Ok(())
    }

    /// Brings all rows to the disk and tells how many there are.
    pub(crate) fn sync(&mut self) -> Result<Extent> {
        let synced = self
            .file
            .flush()
            .and_then(|()| self.file.get_ref().inner.sync_data());
        synced.map_err(io_error("cannot write", &self.path))?;
        self.extent.digest = self.file.get_ref().digest();
        Ok(self.extent.clone())
    }
}

/// All rows of a store; `extent.rows` × width. Rows that are not those of `extent` are refused.
pub(crate) fn read(path: &Path, extent: &Extent) -> Result<Array2<f64>> {
    let width = extent.columns.as_ref().map_or(0, Columns::width);
    let rows = usize::try_from(extent.rows).unwrap_or(usize::MAX);
    let mut values = Vec::with_capacity(rows.saturating_mul(width));
    let mut read = || -> std::io::Result<[u8; 32]> {
        let inner = File::open(path)?.take(extent.bytes());
        let hash = Sha256::new();
        let mut file = BufReader::with_capacity(1 << 16, Hashed { inner, hash });
        let mut bytes = [0; 8];
        for _ in 0..rows * width {
            file.read_exact(&mut bytes)?;
            values.push(f64::from_le_bytes(bytes));
        }
        Ok(file.get_ref().digest())
    };
    if read().map_err(io_error("cannot read", path))? != extent.digest {
        return Err(Error::State {
            component: "rows.bin".into(),
            message: "it was changed or damaged".into(),
        });
    }
    Array2::from_shape_vec((rows, width), values)
        .map_err(|e| Error::shape("store", "rows", format!("{rows} × {width}"), e.to_string()))
}

/// Every `stride`-th draw from draw `first` on, one row a chain each. Rows that a chain has and another
/// has not yet are left out.
pub(crate) fn read_draws(
    path: &Path,
    extent: &Extent,
    first: usize,
    stride: usize,
) -> Result<Array2<f64>> {
    let width = extent.columns.as_ref().map_or(0, Columns::width);
    let draws = usize::try_from(extent.rows).unwrap_or(usize::MAX) / extent.chains;
    let chosen: Vec<usize> = (first..draws).step_by(stride.max(1)).collect();
    let (rows, sweep) = (chosen.len() * extent.chains, 8 * extent.chains * width);
    let mut values = Vec::with_capacity(rows * width);
    let read = || -> std::io::Result<()> {
        let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
        let (mut bytes, mut at) = (vec![0; sweep], 0);
        for draw in chosen {
            // Within the buffer where that is near.
            let skip = i64::try_from((draw - at) * sweep).map_err(std::io::Error::other)?;
            file.seek_relative(skip)?;
            file.read_exact(&mut bytes)?;
            at = draw + 1;
            let (words, _) = bytes.as_chunks::<8>();
            values.extend(words.iter().map(|w| f64::from_le_bytes(*w)));
        }
        Ok(())
    };
    read().map_err(io_error("cannot read", path))?;
    Array2::from_shape_vec((rows, width), values)
        .map_err(|e| Error::shape("store", "rows", format!("{rows} × {width}"), e.to_string()))
}

/// Writes an array as NumPy's NPY, version 1.0. `by_chain` is the shape (chain, draw, column) of
/// rows that are in the order of emission; `flat` drops the last axis.
pub(crate) fn write_npy(
    out: &mut dyn Write,
    rows: ArrayView2<'_, f64>,
    chains: usize,
    flat: bool,
) -> std::io::Result<()> {
    let draws = rows.nrows() / chains;
    let last = if flat {
        String::new()
    } else {
        format!(", {}", rows.ncols())
    };
    let mut header =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({chains}, {draws}{last}), }}");
    // Magic, version and length take 10 bytes; the data begin at a multiple of 64.
    let pad = 64 - (10 + header.len() + 1) % 64;
    header.push_str(&" ".repeat(pad % 64));
    header.push('\n');
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(
        &u16::try_from(header.len())
            .map_err(std::io::Error::other)?
            .to_le_bytes(),
    )?;
    out.write_all(header.as_bytes())?;
    for c in 0..chains {
        for i in 0..draws {
            for v in rows.row(i * chains + c) {
                out.write_all(&v.to_le_bytes())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, aview1};

    #[test]
    fn rows_beyond_the_checkpoint_are_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.bin");
        let lp = [7.0, 8.0];
        let stats = [("lp", aview1(&lp))];
        let x = array![[1.0, 2.0], [3.0, f64::NAN]];
        let draws = Draws {
            x: x.view(),
            log_weights: None,
            stats: &stats,
        };
        let mut store = Store::open(&path, 2, None).unwrap();
        store.set_chains(2);
        store.append(&draws).unwrap();
        let extent = store.sync().unwrap();
        store.append(&draws).unwrap();
        store.sync().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4 * 3 * 8);
        drop(store);

        let hash = verify(&path, &extent).unwrap().unwrap();
        let mut store = Store::open(&path, 2, Some((extent.clone(), hash.clone()))).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 * 3 * 8);
        // As if it had never been closed.
        assert_eq!(store.sync().unwrap(), extent);
        let other = Draws {
            stats: &[],
            ..draws
        };
        assert!(
            store
                .append(&other)
                .unwrap_err()
                .to_string()
                .contains("same columns")
        );
        let last = read_draws(&path, &extent, 0, 2).unwrap();
        assert_eq!(last.dim(), (2, 3));
        assert_eq!(read_draws(&path, &extent, 1, 1).unwrap().dim(), (0, 3));
        let rows = read(&path, &extent).unwrap();
        assert_eq!(rows.row(0), aview1(&[1.0, 2.0, 7.0]));
        assert!(rows[(1, 1)].is_nan());
        std::fs::write(&path, [0; 8]).unwrap();
        let error = Store::open(&path, 2, Some((extent, hash))).unwrap_err();
        assert!(
            std::error::Error::source(&error)
                .unwrap()
                .to_string()
                .contains("shorter")
        );
    }

    #[test]
    fn a_flipped_bit_is_noticed_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.bin");
        let x = array![[1.0, 2.0], [3.0, 4.0]];
        let draws = Draws {
            x: x.view(),
            log_weights: None,
            stats: &[],
        };
        let mut store = Store::open(&path, 2, None).unwrap();
        assert_eq!(store.sync().unwrap(), Extent::default());
        store.append(&draws).unwrap();
        store.sync().unwrap();
        store.append(&draws).unwrap();
        let extent = store.sync().unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(extent.digest, <[u8; 32]>::from(Sha256::digest(&whole)));
        assert_eq!(read(&path, &extent).unwrap().nrows(), 4);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert!(verify(&path, &extent).unwrap().is_none(), "byte {at}");
            let error = read(&path, &extent).unwrap_err().to_string();
            assert!(error.contains("changed or damaged"), "{error}");
        }
        // What is beyond does not count.
        std::fs::write(&path, [&whole[..], &[7; 5]].concat()).unwrap();
        assert!(verify(&path, &extent).unwrap().is_some());
        assert_eq!(read(&path, &extent).unwrap().nrows(), 4);
    }

    #[test]
    fn npy_is_what_numpy_reads() {
        let mut out = Vec::new();
        write_npy(
            &mut out,
            array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]].view(),
            2,
            false,
        )
        .unwrap();
        let header = usize::from(u16::from_le_bytes([out[8], out[9]]));
        assert_eq!((10 + header) % 64, 0);
        let text = std::str::from_utf8(&out[10..10 + header]).unwrap();
        assert!(text.starts_with("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2, 2), }"));
        let values: Vec<f64> = out[10 + header..]
            .chunks(8)
            .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
            .collect();
        assert_eq!(values, [1.0, 2.0, 5.0, 6.0, 3.0, 4.0, 7.0, 8.0]);
    }
}
