//! Tables of numbers from CSV and NPY files, with errors that name file, line and column.

mod npy;

use crate::registry::{Files, nearest};
use crate::{Error, Result};
use ndarray::Array2;
use std::path::{Path, PathBuf};

/// Cells that stand for a missing value, in lower case.
const MISSING: [&str; 7] = ["", "?", "na", "n/a", "nan", "null", "none"];

/// A CSV file in memory: rectangular, valid UTF-8, cells trimmed.
#[derive(Debug)]
pub struct Table {
    file: PathBuf,
    /// Column names; `None` if the file has no line of names.
    names: Option<Vec<String>>,
    records: Vec<csv::StringRecord>,
}

impl Table {
    /// Reads a comma-separated file. The first line is the names of the columns if `header` says so
    /// of its cells.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] for text that is no rectangular table.
    pub fn read(files: &dyn Files, path: &Path, header: impl Fn(&[&str]) -> bool) -> Result<Self> {
        let bytes = files.read(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|e| {
            let lines = bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n');
            Error::Data {
                file: path.into(),
                line: Some(1 + lines.count() as u64),
                column: None,
                message: "not valid UTF-8; save the file as UTF-8".into(),
            }
        })?;
        let text = text.trim_start_matches('\u{feff}');
        let mut table = Self {
            file: path.into(),
            names: None,
            records: Vec::new(),
        };
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        for record in reader.records() {
            let record = record.map_err(|e| table.malformed(&e))?;
            if table.records.is_empty()
                && table.names.is_none()
                && header(&record.iter().collect::<Vec<_>>())
            {
                table.names = Some(table.checked_names(&record)?);
            } else {
                table.records.push(record);
            }
        }
        if table.records.is_empty() {
            let found = if table.names.is_some() {
                "has a line of names but no rows"
            } else {
                "is empty"
            };
            return Err(table.error(None, None, format!("the file {found}")));
        }
        Ok(table)
    }

    fn malformed(&self, e: &csv::Error) -> Error {
        let line = e.position().map(csv::Position::line);
        let message = match e.kind() {
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => format!("cells in this row: {len}, in the first line: {expected_len}"),
            _ => e.to_string(),
        };
        self.error(line, None, message)
    }

    fn checked_names(&self, record: &csv::StringRecord) -> Result<Vec<String>> {
        let line = record.position().map(csv::Position::line);
        let names: Vec<String> = record.iter().map(str::to_owned).collect();
        for (i, name) in names.iter().enumerate() {
            let at = |message| self.error(line, Some(i), message);
            if name.is_empty() {
                return Err(at("this column has no name".into()));
            }
            if let Some(first) = names[..i].iter().position(|other| other == name) {
                let first = first + 1;
                return Err(at(format!(
                    "`{name}` is the name of column {first} already"
                )));
            }
        }
        Ok(names)
    }

    /// An error at a line (from 1) and a column (from 0) of this file.
    #[must_use]
    pub fn error(&self, line: Option<u64>, column: Option<usize>, message: String) -> Error {
        Error::Data {
            file: self.file.clone(),
            line,
            column: column.map(|c| c as u64 + 1),
            message,
        }
    }

    /// Line of a row, from 1.
    #[must_use]
    pub fn line(&self, row: usize) -> Option<u64> {
        self.records[row].position().map(csv::Position::line)
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.records.len()
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.records.first().map_or(0, csv::StringRecord::len)
    }

    /// Name of a column, as messages and coordinates show it.
    #[must_use]
    pub fn name(&self, column: usize) -> String {
        match &self.names {
            Some(names) => names[column].clone(),
            None => (column + 1).to_string(),
        }
    }

    /// The column of that name; `what` says whose it is in the message.
    ///
    /// # Errors
    /// [`Error::Data`] with the nearest name.
    pub fn column(&self, what: &str, name: &str) -> Result<usize> {
        let names = self.names.as_deref().unwrap_or(&[]);
        names.iter().position(|n| n == name).ok_or_else(|| {
            let hint = match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if names.len() <= 12 => format!("the columns are {}", names.join(", ")),
                None => format!("the columns are {}, …", names[..10].join(", ")),
            };
            self.error(
                Some(1),
                None,
                format!("there is no {what} `{name}`; {hint}"),
            )
        })
    }

    /// The text of a cell, which may not be missing.
    ///
    /// # Errors
    /// [`Error::Data`] with its line and column.
    pub fn text(&self, row: usize, column: usize) -> Result<&str> {
        let cell = &self.records[row][column];
        if MISSING.contains(&cell.to_lowercase().as_str()) {
            let (name, found) = (self.name(column), shown(cell));
            let message = format!(
                "missing value ({found}) in column `{name}`; remove the row or fill the value in"
            );
            return Err(self.error(self.line(row), Some(column), message));
        }
        Ok(cell)
    }

    /// The finite number in a cell.
    ///
    /// # Errors
    /// [`Error::Data`] with its line and column.
    pub fn number(&self, row: usize, column: usize) -> Result<f64> {
        let cell = self.text(row, column)?;
        match cell.parse::<f64>() {
            Ok(v) if v.is_finite() => Ok(v),
            other => {
                let (name, cell) = (self.name(column), shown(cell));
                let why = if other.is_ok() {
                    "not finite"
                } else {
                    "not a number"
                };
                let message = format!("column `{name}` has {cell}, which is {why}");
                Err(self.error(self.line(row), Some(column), message))
            }
        }
    }
}

/// A cell for a message: quoted, and cut if it is long.
fn shown(cell: &str) -> String {
    let short: String = cell.chars().take(40).collect();
    match (cell.is_empty(), short.len() < cell.len()) {
        (true, _) => "an empty cell".into(),
        (_, true) => format!("`{short}…`"),
        _ => format!("`{short}`"),
    }
}

/// Rows of numbers with the names of their columns: data.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Names of the columns, unique; length d.
    pub names: Vec<String>,
    /// The rows, n × d, all finite.
    pub values: Array2<f64>,
}

impl Rows {
    /// Reads the numbers of a CSV file (comma-separated; the first line is one of names if a cell of it
    /// is no number) or of an NPY file (NumPy's format: an n × d or n array of little-endian `f8` or
    /// `f4`, C order), told apart by their first bytes. `columns` chooses columns, all by default; where
    /// the file has no names they are `x0`, `x1`, ….
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] for what is missing, no number, not finite or no table;
    /// [`Error::Setting`] for `component` when a column is named twice.
    pub fn read(
        component: &str,
        files: &dyn Files,
        path: &Path,
        columns: Option<&[String]>,
    ) -> Result<Self> {
        let bytes = files.read(path)?;
        let all = if npy::is_npy(&bytes) {
            npy::parse(path, &bytes)?
        } else {
            Self::from_table(files, path, columns)?
        };
        let Some(columns) = columns else {
            return Ok(all);
        };
        let mut places = Vec::with_capacity(columns.len());
        for (i, name) in columns.iter().enumerate() {
            let key = format!("columns[{i}]");
            let Some(place) = all.names.iter().position(|n| n == name) else {
                let hint = match nearest(name, all.names.iter().map(String::as_str)) {
                    Some(near) => format!("a column of the file; did you mean `{near}`?"),
                    None => format!("a column of the file, as `{}`", all.names[0]),
                };
                return Err(Error::setting(component, key, format!("`{name}`"), hint));
            };
            if places.contains(&place) {
                let allowed = "a column that is not in the list already";
                return Err(Error::setting(component, key, format!("`{name}`"), allowed));
            }
            places.push(place);
        }
        if places.is_empty() {
            let allowed = "at least one column, or left out for all";
            return Err(Error::setting(
                component,
                "columns",
                "an empty list",
                allowed,
            ));
        }
        Ok(Self {
            names: places.iter().map(|p| all.names[*p].clone()).collect(),
            values: all.values.select(ndarray::Axis(1), &places),
        })
    }

    /// All numbers of a table; those of columns that are not chosen are not looked at.
    fn from_table(files: &dyn Files, path: &Path, columns: Option<&[String]>) -> Result<Self> {
        let word =
            |c: &&str| c.parse::<f64>().is_err() && !MISSING.contains(&c.to_lowercase().as_str());
        let table = Table::read(files, path, |first| first.iter().any(word))?;
        let names: Vec<String> = (0..table.columns())
            .map(|c| match &table.names {
                Some(names) => names[c].clone(),
                None => format!("x{c}"),
            })
            .collect();
        let wanted = |c: usize| columns.is_none_or(|all| all.contains(&names[c]));
        let mut values = Array2::zeros((table.rows(), table.columns()));
        for ((row, c), v) in values.indexed_iter_mut().filter(|((_, c), _)| wanted(*c)) {
            *v = table.number(row, c)?;
        }
        Ok(Self { names, values })
    }
}

#[cfg(test)]
mod tests {
    use super::Rows;
    use crate::registry::Files;
    use ndarray::array;
    use std::path::Path;

    struct Bytes(Vec<u8>);

    impl Files for Bytes {
        fn read(&self, _path: &Path) -> crate::Result<Vec<u8>> {
            Ok(self.0.clone())
        }
    }

    fn read(bytes: &[u8], columns: Option<&[&str]>) -> std::result::Result<Rows, String> {
        let columns: Option<Vec<String>> =
            columns.map(|c| c.iter().map(|s| (*s).to_owned()).collect());
        let files = Bytes(bytes.to_vec());
        Rows::read(
            "score empirical",
            &files,
            Path::new("a.csv"),
            columns.as_deref(),
        )
        .map_err(|e| e.to_string())
    }

    fn npy(kind: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header =
            format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': ({shape}), }}");
        while (10 + header.len()) % 64 != 63 {
            header.push(' ');
        }
        header.push('\n');
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        out.extend(header.as_bytes());
        out.extend(data);
        out
    }

    #[test]
    fn csv_with_and_without_names_and_chosen_columns() {
        let rows = read(b"a,b,c\n1,2,x\n3,4,\n", Some(&["b", "a"])).unwrap();
        assert_eq!(rows.names, ["b", "a"]);
        assert_eq!(rows.values, array![[2.0, 1.0], [4.0, 3.0]]);
        let rows = read(b"1,2\n3,4\n", None).unwrap();
        assert_eq!((rows.names[1].as_str(), rows.values[(1, 0)]), ("x1", 3.0));
    }

    #[test]
    fn mistakes_in_files_name_their_place() {
        let says = |bytes: &[u8], columns: Option<&[&str]>, what: &str| {
            let e = read(bytes, columns).unwrap_err();
            assert!(e.contains(what), "{e}");
        };
        says(b"a,b\n1,2\n3,NA\n", None, "a.csv:3:2: missing value (`NA`)");
        says(
            b"a,b\n1,2\n3,four\n",
            None,
            "a.csv:3:2: column `b` has `four`, which is not a number",
        );
        says(b"a,b\n1,2\n3,inf\n", None, "not finite");
        says(b"a,b\n1,2\n", Some(&["aa", "b"]), "did you mean `a`?");
        says(b"a,b\n1,2\n", Some(&["a", "a"]), "`columns[1]` is `a`");
        says(b"a,b\n1,2\n", Some(&[]), "`columns` is an empty list");
        says(b"", None, "the file is empty");
    }

    #[test]
    fn npy_of_both_widths_and_what_is_not_understood() {
        let eight: Vec<u8> = [1.0, 2.0, 3.0, 4.5]
            .iter()
            .flat_map(|v: &f64| v.to_le_bytes())
            .collect();
        let four: Vec<u8> = [1.0, 2.0, 3.0, 4.5]
            .iter()
            .flat_map(|v: &f32| v.to_le_bytes())
            .collect();
        let expected = array![[1.0, 2.0], [3.0, 4.5]];
        assert_eq!(
            read(&npy("<f8", "False", "2, 2", &eight), None)
                .unwrap()
                .values,
            expected
        );
        assert_eq!(
            read(&npy("<f4", "False", "2, 2", &four), None)
                .unwrap()
                .values,
            expected
        );
        let flat = read(&npy("<f8", "False", "4,", &eight), Some(&["x0"])).unwrap();
        assert_eq!(flat.values.dim(), (4, 1));
        let says = |bytes: &[u8], what: &str| {
            let e = read(bytes, None).unwrap_err();
            assert!(e.contains(what), "{e}");
        };
        says(&npy("<i8", "False", "2, 2", &eight), "`<i8`");
        says(&npy("<f8", "True", "2, 2", &eight), "Fortran order");
        says(&npy("<f8", "False", "2, 1, 2", &eight), "(2, 1, 2)");
        says(&npy("<f8", "False", "2, 3", &eight), "32 bytes of numbers");
        says(&npy("<f8", "False", "0, 2", &[]), "no rows");
        says(
            &npy("<f8", "False", "9999999999999, 9999999999999", &[]),
            "bytes of numbers",
        );
        let bad = [1.0, f64::NAN].map(f64::to_le_bytes).concat();
        says(&npy("<f8", "False", "2, 1", &bad), "row 2, column 1");
        for cut in 6..40 {
            assert!(read(&npy("<f8", "False", "2, 2", &eight)[..cut], None).is_err());
        }
    }
}
