//! Problems of a job and how they are shown.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::source::{Sources, Span};

/// One problem, with its place when it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where; `None` for problems without a text, such as a missing file.
    pub span: Option<Span>,
    /// What is wrong, complete in itself.
    pub message: String,
    /// Short text beside the caret.
    pub label: Option<String>,
    /// What would be right.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A problem at `span`.
    pub fn new(span: Option<Span>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            label: None,
            help: None,
        }
    }

    /// Sets the text beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets the advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The serialisable form. `line` and `column` count from 1, columns in characters.
    #[must_use]
    pub fn record(&self, sources: &Sources) -> DiagnosticRecord {
        let source = self.span.and_then(|s| Some((s, sources.get(s.source)?)));
        let place = source
            .filter(|(span, _)| !span.is_whole())
            .map(|(span, text)| text.line_col(span.start));
        DiagnosticRecord {
            file: source.map(|(_, text)| text.name().to_owned()),
            line: place.map(|p| p.0),
            column: place.map(|p| p.1),
            message: self.message.clone(),
            label: self.label.clone(),
            help: self.help.clone(),
        }
    }
}

/// A [`Diagnostic`] for machines: what `--json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiagnosticRecord {
    /// Name of the file, or `command line`.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// Short text for the place.
    pub label: Option<String>,
    /// What would be right.
    pub help: Option<String>,
}

/// Most problems that are shown as text.
const MAX_SHOWN: usize = 30;

/// Shows diagnostics in the manner of rustc, one blank line between them, no newline at the end.
/// After 30 only the number of the others is told.
#[must_use]
pub fn render(sources: &Sources, diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut shown: Vec<String> = diagnostics
        .iter()
        .take(MAX_SHOWN)
        .map(|d| render_one(sources, d, &renderer))
        .collect();
    if let Some(more @ 1..) = diagnostics.len().checked_sub(MAX_SHOWN) {
        let plural = if more == 1 { "" } else { "s" };
        let rest = Diagnostic::new(None, format!("and {more} more problem{plural}"));
        shown.push(render_one(sources, &rest, &renderer));
    }
    shown.join("\n\n")
}

fn render_one(sources: &Sources, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let title = Level::ERROR.primary_title(diagnostic.message.as_str());
    let place = diagnostic
        .span
        .and_then(|span| Some((span, sources.get(span.source)?)));
    let main = match place {
        None => Group::with_title(title),
        Some((span, source)) if span.is_whole() => title.element(Origin::path(source.name())),
        Some((span, source)) => {
            let caret = source.caret(span.start..span.end);
            let note = AnnotationKind::Primary
                .span(caret)
                .label(diagnostic.label.as_deref());
            let path = (!source.is_argument()).then(|| source.name());
            title.element(
                Snippet::source(source.text())
                    .path(path)
                    .line_numbering(!source.is_argument())
                    .annotation(note),
            )
        }
    };
    let help = diagnostic
        .help
        .as_deref()
        .map(|help| Group::with_title(Level::HELP.secondary_title(help)));
    let has_lines = place.is_some_and(|(span, _)| !span.is_whole());
    let text = if has_lines {
        let report: Vec<Group<'_>> = std::iter::once(main).chain(help).collect();
        renderer.render(&report)
    } else {
        // Without source lines there is no margin to line the arrow and the help up with.
        let mut text = renderer.render(&[main]).replacen('\n', "\n ", 1);
        if let Some(help) = help {
            text = format!("{text}\n{}", renderer.render(&[help]));
        }
        text
    };
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

/// A job that cannot be used: all its problems and the texts they lie in. `Display` shows them
/// plainly, [`ConfigError::render`] in colour if wished.
#[derive(Clone, Debug)]
pub struct ConfigError {
    /// The texts.
    pub sources: Sources,
    /// The problems, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
}

impl ConfigError {
    /// Takes the problems of one job, sorts them by place and drops repeated ones.
    #[must_use]
    pub fn new(sources: Sources, mut diagnostics: Vec<Diagnostic>) -> Self {
        sort(&mut diagnostics);
        Self {
            sources,
            diagnostics,
        }
    }

    /// Shows all problems with their source lines.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        render(&self.sources, &self.diagnostics, colour)
    }

    /// All problems in serialisable form.
    #[must_use]
    pub fn records(&self) -> Vec<DiagnosticRecord> {
        let record = |d: &Diagnostic| d.record(&self.sources);
        self.diagnostics.iter().map(record).collect()
    }
}

/// Sorts by place (problems without one first) and drops exact repetitions.
pub(super) fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by_key(|d| d.span);
    diagnostics.dedup();
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::*;

    fn sources() -> (Sources, Span) {
        let mut sources = Sources::new();
        let id = sources.add(Source::file("job.toml", "seed = 1\n[sampler]\nstps = 50\n"));
        (sources, Span::new(id, 19..23))
    }

    #[test]
    fn shows_place_label_and_help() {
        let (sources, span) = sources();
        let d = Diagnostic::new(Some(span), "unknown key `stps` in `sampler`")
            .label("did you mean `steps`?")
            .help("the keys are `steps`, `rho`");
        assert_eq!(
            render(&sources, std::slice::from_ref(&d), false),
            "\
error: unknown key `stps` in `sampler`
 --> job.toml:3:1
  |
3 | stps = 50
  | ^^^^ did you mean `steps`?
  |
help: the keys are `steps`, `rho`"
        );
        let coloured = render(&sources, &[d], true);
        assert!(coloured.contains("\u{1b}["), "{coloured:?}");
    }

    #[test]
    fn shows_problems_without_a_place() {
        let (sources, span) = sources();
        let none = Diagnostic::new(None, "nothing to do").help("write a job");
        assert_eq!(
            render(&sources, std::slice::from_ref(&none), false),
            "error: nothing to do\nhelp: write a job"
        );
        let whole = Diagnostic::new(Some(Span::whole(span.source)), "missing table `target`");
        assert_eq!(
            render(&sources, &[none.clone(), whole.clone()], false),
            "error: nothing to do\nhelp: write a job\n\nerror: missing table `target`\n --> job.toml"
        );
        let record = whole.record(&sources);
        assert_eq!(record.file.as_deref(), Some("job.toml"));
        assert_eq!(record.line, None);
        assert_eq!(none.record(&sources).file, None);
    }

    #[test]
    fn record_serialises_for_json() {
        let (sources, span) = sources();
        let error = ConfigError::new(sources, vec![Diagnostic::new(Some(span), "m").label("l")]);
        assert_eq!(
            serde_json::to_string(&error.records()).unwrap(),
            r#"[{"file":"job.toml","line":3,"column":1,"message":"m","label":"l","help":null}]"#
        );
    }

    #[test]
    fn spans_outside_the_text_are_shown_without_panic() {
        let (sources, span) = sources();
        for (start, end) in [(18, 4000), (4000, 5000), (20, 19), (29, 29), (28, 29)] {
            let d = Diagnostic::new(Some(Span { start, end, ..span }), "m");
            assert!(render(&sources, &[d], false).contains("job.toml:"));
        }
    }

    #[test]
    fn sorted_by_place_without_repetition() {
        let (sources, span) = sources();
        let late = Diagnostic::new(Some(span), "late");
        let early = Diagnostic::new(Some(Span { start: 2, ..span }), "early");
        let error = ConfigError::new(sources, vec![late.clone(), early.clone(), late.clone()]);
        assert_eq!(error.diagnostics, [early, late]);
    }
}
