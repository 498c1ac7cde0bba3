//! Tables from CSV files, with errors that name file, line and column.

use retrograde_core::registry::{Files, nearest};
use retrograde_core::{Error, Result};
use std::path::{Path, PathBuf};

/// Cells that stand for a missing value, in lower case.
const MISSING: [&str; 7] = ["", "?", "na", "n/a", "nan", "null", "none"];

/// A CSV file in memory: rectangular, valid UTF-8, cells trimmed.
pub(crate) struct Table {
    file: PathBuf,
    /// Column names; `None` if the file has no line of names.
    names: Option<Vec<String>>,
    records: Vec<csv::StringRecord>,
}

impl Table {
    /// Reads a comma-separated file. The first line is the names of the columns if `header` says so
    /// of its cells.
    pub(crate) fn read(
        files: &dyn Files,
        path: &Path,
        header: impl Fn(&csv::StringRecord) -> bool,
    ) -> Result<Self> {
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
            if table.records.is_empty() && table.names.is_none() && header(&record) {
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
    pub(crate) fn error(&self, line: Option<u64>, column: Option<usize>, message: String) -> Error {
        Error::Data {
            file: self.file.clone(),
            line,
            column: column.map(|c| c as u64 + 1),
            message,
        }
    }

    /// Line of a row, from 1.
    pub(crate) fn line(&self, row: usize) -> Option<u64> {
        self.records[row].position().map(csv::Position::line)
    }

    pub(crate) fn rows(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn columns(&self) -> usize {
        self.records.first().map_or(0, csv::StringRecord::len)
    }

    /// Name of a column, as messages and coordinates show it.
    pub(crate) fn name(&self, column: usize) -> String {
        match &self.names {
            Some(names) => names[column].clone(),
            None => (column + 1).to_string(),
        }
    }

    /// The column of that name; `what` says whose it is in the message.
    pub(crate) fn column(&self, what: &str, name: &str) -> Result<usize> {
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
    pub(crate) fn text(&self, row: usize, column: usize) -> Result<&str> {
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
    pub(crate) fn number(&self, row: usize, column: usize) -> Result<f64> {
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
