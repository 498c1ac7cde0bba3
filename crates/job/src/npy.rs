//! Reads the files in NumPy's format that [`crate::store::write_npy`] wrote.

use ndarray::Array3;
use std::path::Path;

/// Numbers by (chain, draw, column), one column if there is no such axis; `None` if there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<Array3<f64>>, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(format!("cannot read {name}: {e}")),
    };
    match by_chain(&bytes) {
        Some(values) => Ok(Some(values)),
        None => Err(format!("{name} is not as the run wrote it")),
    }
}

fn by_chain(bytes: &[u8]) -> Option<Array3<f64>> {
    let (shape, values) = parse(bytes)?;
    let shape = match shape[..] {
        [chains, draws] => (chains, draws, 1),
        [chains, draws, columns] => (chains, draws, columns),
        _ => return None,
    };
    Array3::from_shape_vec(shape, values).ok()
}

/// Shape and numbers of an NPY file of little-endian f64 in row-major order.
pub(crate) fn parse(bytes: &[u8]) -> Option<(Vec<usize>, Vec<f64>)> {
    let rest = bytes.strip_prefix(b"\x93NUMPY\x01\x00")?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (head, data) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let head = std::str::from_utf8(head).ok()?;
    if !head.contains("'descr': '<f8'") || !head.contains("'fortran_order': False") {
        return None;
    }
    let shape = head.split_once("'shape': (")?.1.split_once(')')?.0;
    let numbers = shape.split(',').map(str::trim).filter(|w| !w.is_empty());
    let shape: Vec<usize> = numbers.map(|w| w.parse().ok()).collect::<Option<_>>()?;
    let (words, rest) = data.as_chunks::<8>();
    let count = shape.iter().try_fold(1_usize, |n, k| n.checked_mul(*k))?;
    (rest.is_empty() && words.len() == count).then(|| {
        (
            shape,
            words.iter().map(|w| f64::from_le_bytes(*w)).collect(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_comes_back_and_what_is_damaged_does_not() {
        let rows = ndarray::array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]];
        let mut bytes = Vec::new();
        crate::store::write_npy(&mut bytes, rows.view(), 2, false).unwrap();
        let expected = ndarray::array![[[1.0, 2.0], [5.0, 6.0]], [[3.0, 4.0], [7.0, 8.0]]];
        assert_eq!(by_chain(&bytes), Some(expected));
        assert_eq!(parse(&bytes).unwrap().0, [2, 2, 2]);
        for cut in 0..bytes.len() {
            assert_eq!(by_chain(&bytes[..cut]), None, "cut at {cut}");
        }
        let mut flat = Vec::new();
        let column = rows.slice(ndarray::s![.., ..1]);
        crate::store::write_npy(&mut flat, column, 2, true).unwrap();
        assert_eq!(by_chain(&flat).unwrap().dim(), (2, 2, 1));
    }
}
