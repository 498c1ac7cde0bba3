//! Dotted paths to settings: `sampler.step_size`, `target.means[2]`, `target."odd key"`.

use std::ops::Range;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A key of a table.
    Key(String),
    /// An element of an array, from 0.
    Index(usize),
}

/// A path that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PathError {
    /// What is wrong.
    pub message: String,
    /// Bytes of the path text at fault; may be empty at its end.
    pub range: Range<usize>,
}

/// Splits `path` into steps with the bytes each one takes.
///
/// Bare keys hold letters, digits, `_` and `-`; other keys are quoted with `"` or `'` (no escapes).
///
/// # Errors
/// On an empty path or step, a character that needs quotes, or an index that is no whole number.
pub fn parse_path(path: &str) -> Result<Vec<(Segment, Range<usize>)>, PathError> {
    let fail = |message: &str, range: Range<usize>| PathError {
        message: message.to_owned(),
        range,
    };
    let mut steps = Vec::new();
    let mut at = 0;
    loop {
        let (key, used) = read_key(&path[at..])
            .map_err(|(message, range)| fail(message, at + range.start..at + range.end))?;
        steps.push((Segment::Key(key), at..at + used));
        at += used;
        while path[at..].starts_with('[') {
            let close = path[at..]
                .find(']')
                .ok_or_else(|| fail("`[` without `]` in the path", at..at + 1))?;
            let index = path[at + 1..at + close]
                .parse()
                .map_err(|_| fail("an index must be a whole number from 0", at..at + close + 1))?;
            steps.push((Segment::Index(index), at..at + close + 1));
            at += close + 1;
        }
        match path[at..].chars().next() {
            None => return Ok(steps),
            Some('.') => at += 1,
            Some(c) => {
                let message = format!("`{c}` cannot stand in a path without quotes");
                return Err(fail(&message, at..at + c.len_utf8()));
            }
        }
    }
}

type KeyError = (&'static str, Range<usize>);

/// The key at the start of `text` and the bytes it takes.
fn read_key(text: &str) -> Result<(String, usize), KeyError> {
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let Some(length) = text[1..].find(quote) else {
            return Err(("quote without end in the path", 0..1));
        };
        return Ok((text[1..=length].to_owned(), length + 2));
    }
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let length = text.find(|c| !bare(c)).unwrap_or(text.len());
    if length == 0 {
        let width = text.chars().next().map_or(0, char::len_utf8);
        return Err(("a key is missing in the path", 0..width));
    }
    Ok((text[..length].to_owned(), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(path: &str) -> Vec<Segment> {
        parse_path(path)
            .unwrap()
            .into_iter()
            .map(|(s, _)| s)
            .collect()
    }

    fn key(k: &str) -> Segment {
        Segment::Key(k.to_owned())
    }

    #[test]
    fn reads_keys_indices_and_quotes() {
        assert_eq!(steps("a"), [key("a")]);
        assert_eq!(
            steps("a.b-2[3][0].c_d"),
            [
                key("a"),
                key("b-2"),
                Segment::Index(3),
                Segment::Index(0),
                key("c_d")
            ]
        );
        assert_eq!(steps("a.\"x.y\".'z'"), [key("a"), key("x.y"), key("z")]);
        let ranges: Vec<_> = parse_path("ab.c[10]").unwrap();
        assert_eq!(ranges[2], (Segment::Index(10), 4..8));
    }

    #[test]
    fn bad_paths_say_where() {
        for (path, range) in [
            ("", 0..0),
            ("a.", 2..2),
            (".a", 0..1),
            ("a..b", 2..3),
            ("a[1", 1..2),
            ("a[x]", 1..4),
            ("a[-1]", 1..5),
            ("a[99999999999999999999]", 1..23),
            ("a b", 1..2),
            ("aσ", 1..3),
            ("\"ab", 0..1),
        ] {
            assert_eq!(parse_path(path).unwrap_err().range, range, "{path}");
        }
    }
}
