//! A mistake in a formula, shown with its place.

use std::ops::Range;

/// Characters of a line that are shown around a mistake.
const SHOWN: usize = 72;

/// What is wrong, and the bytes of the formula it is about.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mistake {
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

impl Mistake {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
        }
    }

    /// The message with line and column, the line of the formula and a caret below the place.
    pub(super) fn shown(&self, formula: &str) -> String {
        if formula.trim().is_empty() {
            return self.message.clone();
        }
        let start = self.span.start.min(formula.len());
        let begin = formula[..start].rfind('\n').map_or(0, |i| i + 1);
        let end = formula[start..]
            .find('\n')
            .map_or(formula.len(), |i| start + i);
        let column = formula[begin..start].chars().count();
        let line: Vec<char> = formula[begin..end]
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let stop = self.span.end.clamp(start, end);
        let marked = formula[start..stop].chars().count().max(1);
        // Of a long line what is around the mistake.
        let first = if line.len() <= SHOWN {
            0
        } else {
            column.saturating_sub(SHOWN / 2)
        };
        let last = line.len().min(first + SHOWN);
        let dots = |there| if there { "…" } else { "" };
        let (before, after) = (dots(first > 0), dots(last < line.len()));
        let excerpt: String = line[first..last].iter().collect();
        let indent = column - first + before.chars().count();
        let carets = "^".repeat(
            marked
                .min((last - first + 1).saturating_sub(column - first))
                .max(1),
        );
        let place = match formula.trim_end().contains('\n') {
            true => format!(
                "line {}, column {}",
                1 + formula[..begin].matches('\n').count(),
                column + 1
            ),
            false => format!("column {}", column + 1),
        };
        format!(
            "{place}: {}\n    {before}{excerpt}{after}\n    {}{carets}",
            self.message,
            " ".repeat(indent)
        )
    }
}

/// A piece of a formula for a message: on one line, and cut if it is long.
pub(super) fn quoted(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= 32 {
        return format!("`{line}`");
    }
    let short: String = line.chars().take(30).collect();
    format!("`{short}…`")
}
