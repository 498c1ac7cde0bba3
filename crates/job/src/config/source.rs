//! Texts that settings come from, and places in them.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;

use super::diagnostic::{ConfigError, Diagnostic};

/// Largest job file that is read, in bytes (16 MiB). Larger data belongs in files of its own.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// Index of a text in [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(usize);

/// A byte range of one text. Orders by text, then position.
///
/// The empty range at 0 stands for the text as a whole and is shown without a source line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The text.
    pub source: SourceId,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes `range` of `source`.
    #[must_use]
    pub fn new(source: SourceId, range: Range<usize>) -> Self {
        Self {
            source,
            start: range.start,
            end: range.end,
        }
    }

    /// The text as a whole.
    #[must_use]
    pub fn whole(source: SourceId) -> Self {
        Self::new(source, 0..0)
    }

    /// Whether this stands for the text as a whole.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.start == 0 && self.end == 0
    }
}

/// A named text.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    is_argument: bool,
}

impl Source {
    /// The text of a file shown to the user as `name`.
    pub fn file(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            is_argument: false,
        }
    }

    /// A command-line argument; `text` is shown as it would be typed. It has no line number.
    pub fn argument(text: impl Into<String>) -> Self {
        Self {
            name: "command line".to_owned(),
            text: text.into(),
            is_argument: true,
        }
    }

    /// Name shown to the user.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether this is a command-line argument and not a file.
    #[must_use]
    pub fn is_argument(&self) -> bool {
        self.is_argument
    }

    /// Line and column, both from 1, of the byte `offset`; columns count characters.
    /// Offsets beyond the end or inside a character are moved back to a valid one.
    #[must_use]
    pub fn line_col(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.floor(offset)];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// `range` moved onto character boundaries inside the text and cut to its first line.
    pub(super) fn caret(&self, range: Range<usize>) -> Range<usize> {
        let start = self.floor(range.start);
        let end = self.floor(range.end).max(start);
        let line = &self.text[start..end];
        let line = line.split(['\n', '\r']).next().unwrap_or(line);
        start..start + line.len()
    }

    fn floor(&self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// All texts of one job: its file and the `--set` arguments.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    texts: Vec<Source>,
}

impl Sources {
    /// No texts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text and gives its index.
    pub fn add(&mut self, source: Source) -> SourceId {
        self.texts.push(source);
        SourceId(self.texts.len() - 1)
    }

    /// The text of `id`; `None` for an index of other `Sources`.
    #[must_use]
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.texts.get(id.0)
    }
}

/// Reads a job file as UTF-8.
///
/// # Errors
/// When the file is missing, a directory, unreadable, larger than [`MAX_FILE_BYTES`], or not UTF-8
/// (with the place of the first bad byte).
pub fn read_source(path: &Path) -> Result<Source, ConfigError> {
    let name = path.display().to_string();
    let fail = |message: String, help: Option<&str>| {
        let mut diagnostic = Diagnostic::new(None, message);
        diagnostic.help = help.map(str::to_owned);
        ConfigError::new(Sources::new(), vec![diagnostic])
    };
    let cannot = |error: &std::io::Error| match error.kind() {
        ErrorKind::NotFound => fail(format!("cannot find the job file `{name}`"), None),
        ErrorKind::IsADirectory => fail(
            format!("`{name}` is a directory, not a job file"),
            Some("name the TOML file inside it"),
        ),
        _ => fail(format!("cannot read the job file `{name}`: {error}"), None),
    };
    let file = File::open(path).map_err(|e| cannot(&e))?;
    // Opening a directory succeeds on Unix and fails elsewhere with a vaguer error.
    if path.is_dir() {
        return Err(cannot(&ErrorKind::IsADirectory.into()));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| cannot(&e))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(fail(
            format!("the job file `{name}` is larger than {MAX_FILE_BYTES} bytes"),
            Some("keep data in a file of its own and name that file in the job"),
        ));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::file(name, text)),
        Err(error) => Err(not_utf8(&name, &error)),
    }
}

/// The bad byte is shown as U+FFFD, which begins at the same offset in the replaced text.
fn not_utf8(name: &str, error: &std::string::FromUtf8Error) -> ConfigError {
    let at = error.utf8_error().valid_up_to();
    let bad = error.as_bytes().get(at).copied().unwrap_or_default();
    let mut sources = Sources::new();
    let id = sources.add(Source::file(
        name,
        String::from_utf8_lossy(error.as_bytes()),
    ));
    let span = Span::new(id, at..at + char::REPLACEMENT_CHARACTER.len_utf8());
    let diagnostic = Diagnostic::new(Some(span), format!("`{name}` is not UTF-8 text"))
        .label(format!("byte 0x{bad:02x}"))
        .help("save the file as UTF-8");
    ConfigError::new(sources, vec![diagnostic])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_and_column_count_characters_from_one() {
        let s = Source::file("f", "ab\nσ = 1\r\n");
        assert_eq!(s.line_col(0), (1, 1));
        assert_eq!(s.line_col(2), (1, 3));
        assert_eq!(s.line_col(3), (2, 1));
        assert_eq!(s.line_col(4), (2, 1), "inside σ");
        assert_eq!(s.line_col(5), (2, 2));
        assert_eq!(s.line_col(11), (3, 1));
        assert_eq!(s.line_col(1000), (3, 1));
    }

    #[test]
    fn carets_stay_on_one_line_and_inside() {
        let s = Source::file("f", "ab\nσx");
        assert_eq!(s.caret(1..5), 1..2);
        assert_eq!(s.caret(4..99), 3..6);
        assert_eq!(s.caret(50..60), 6..6);
    }

    fn message_of(path: &Path) -> String {
        read_source(path).unwrap_err().to_string()
    }

    #[test]
    fn unreadable_files_are_named() {
        let dir = std::env::temp_dir().join(format!("retrograde-config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let missing = dir.join("none.toml");
        assert_eq!(
            message_of(&missing),
            format!("error: cannot find the job file `{}`", missing.display())
        );
        assert!(
            message_of(&dir).contains("is a directory, not a job file"),
            "{}",
            message_of(&dir)
        );
        let bad = dir.join("bad.toml");
        std::fs::write(&bad, b"seed = 1\nname = \"caf\xe9\"\n").unwrap();
        let error = read_source(&bad).unwrap_err();
        let record = &error.records()[0];
        assert_eq!((record.line, record.column), (Some(2), Some(12)));
        assert_eq!(record.label.as_deref(), Some("byte 0xe9"));
        let big = dir.join("big.toml");
        let file = File::create(&big).unwrap();
        file.set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(message_of(&big).contains("is larger than 16777216 bytes"));
        let good = dir.join("good.toml");
        std::fs::write(&good, "seed = 1\n").unwrap();
        assert_eq!(read_source(&good).unwrap().text(), "seed = 1\n");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
