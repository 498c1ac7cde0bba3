//! Arrays in NumPy's format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use super::Rows;
use crate::{Error, Result};
use ndarray::Array2;
use std::path::Path;

const MAGIC: &[u8] = b"\x93NUMPY";

pub(super) fn is_npy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The rows of a C-ordered one- or two-dimensional array of `<f8` or `<f4`.
///
/// # Errors
/// [`Error::Data`].
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Rows> {
    read(bytes).map_err(|message| Error::Data {
        file: path.into(),
        line: None,
        column: None,
        message,
    })
}

fn read(bytes: &[u8]) -> std::result::Result<Rows, String> {
    let (header, data) = split(bytes).ok_or("the NPY header is cut off or damaged")?;
    let value = |key: &str| {
        let rest = header.split_once(&format!("'{key}':"))?.1.trim_start();
        let end = if rest.starts_with('(') {
            rest.find(')')? + 1
        } else {
            rest.find([',', '}'])?
        };
        Some(rest[..end].trim())
    };
    let lacks = |key: &str| format!("the NPY header has no `{key}`");
    let kind = value("descr")
        .ok_or_else(|| lacks("descr"))?
        .trim_matches('\'');
    let width = match kind {
        "<f8" => 8,
        "<f4" => 4,
        other => {
            return Err(format!(
                "the array is of `{other}`; save it as `<f8` or `<f4`"
            ));
        }
    };
    if value("fortran_order").ok_or_else(|| lacks("fortran_order"))? != "False" {
        return Err("the array is in Fortran order; save it in C order".into());
    }
    let shape = value("shape").ok_or_else(|| lacks("shape"))?;
    let numbers: Option<Vec<usize>> = shape
        .trim_matches(['(', ')'])
        .split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(|s| s.parse().ok())
        .collect();
    let (n, d) = match numbers.as_deref() {
        Some([n]) => (*n, 1),
        Some([n, d]) => (*n, *d),
        _ => {
            return Err(format!(
                "the array has shape {shape}; it must be n × d or n"
            ));
        }
    };
    if n.checked_mul(d).and_then(|v| v.checked_mul(width)) != Some(data.len()) {
        let found = data.len();
        return Err(format!(
            "the array has shape {shape} but {found} bytes of numbers"
        ));
    }
    if n * d == 0 {
        return Err(format!(
            "the array has shape {shape}: no rows, or no columns"
        ));
    }
    let values: Vec<f64> = if width == 8 {
        data.as_chunks::<8>()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b))
            .collect()
    } else {
        let words = data.as_chunks::<4>().0.iter();
        words.map(|b| f64::from(f32::from_le_bytes(*b))).collect()
    };
    if let Some(i) = values.iter().position(|v| !v.is_finite()) {
        let (row, column, v) = (i / d + 1, i % d + 1, values[i]);
        return Err(format!(
            "row {row}, column {column} has {v}, which is not finite"
        ));
    }
    Ok(Rows {
        names: (0..d).map(|j| format!("x{j}")).collect(),
        values: Array2::from_shape_vec((n, d), values).map_err(|e| e.to_string())?,
    })
}

/// Header and data.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (length, rest) = if version[0] == 1 {
        let (length, rest) = rest.split_first_chunk::<2>()?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
    };
    let (header, data) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, data))
}
