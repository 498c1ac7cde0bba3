//! What a check found: one line for each thing that was looked at, in groups by component.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What came of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is as it must be.
    Ok,
    /// It is allowed, but a person should know of it.
    Warn,
    /// It breaks the contract of the interface, or is wrong.
    Fail,
}

impl Verdict {
    /// `ok`, `warn` or `FAIL`, as lines begin.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        }
    }
}

/// A line of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Kind and name of the component, `target wells/double-well`; empty for the plugin as a whole.
    pub component: String,
    /// What was looked at, in a word or two.
    pub check: String,
    /// What came of it.
    pub verdict: Verdict,
    /// A sentence, with the numbers.
    pub text: String,
}

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The shared library.
    pub file: PathBuf,
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// Kind and name of its components.
    pub components: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What the plugin says of itself; none if it could not be loaded.
    pub plugin: Option<About>,
    /// The lines, in the order of the checks.
    pub lines: Vec<Line>,
}

impl Report {
    /// The heaviest of its verdicts.
    #[must_use]
    pub fn worst(&self) -> Verdict {
        let all = self.lines.iter().map(|l| l.verdict);
        all.max().unwrap_or(Verdict::Ok)
    }

    /// How many lines have a verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.lines.iter().filter(|l| l.verdict == verdict).count()
    }

    /// The report as text, one line a check under the name of its component, ended by a sentence that
    /// sums it up.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(p) = &self.plugin {
            let _ = writeln!(
                text,
                "plugin {} {}, {}",
                p.name,
                p.version,
                p.file.display()
            );
        }
        let mut of = "";
        for line in &self.lines {
            if line.component != of {
                of = &line.component;
                let _ = writeln!(text, "\n{of}");
            }
            let (word, check) = (line.verdict.word(), &line.check);
            let _ = writeln!(text, "  {word:<4}  {check:<16}  {}", line.text);
        }
        let (failed, warned) = (self.count(Verdict::Fail), self.count(Verdict::Warn));
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        let _ = match (failed, warned) {
            (0, 0) => writeln!(text, "\nall {} checks passed", self.lines.len()),
            (0, n) => writeln!(text, "\nno check failed, {n} warning{}", plural(n)),
            (f, n) => writeln!(
                text,
                "\n{f} check{} failed, {n} warning{}",
                plural(f),
                plural(n)
            ),
        };
        text
    }
}

/// What a check tells while it runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// What it is about to do: if the program ends now, that was why.
    At {
        /// Kind and name of the component; empty while the plugin is loaded.
        component: String,
        /// The function, `eval() (n = 1)`.
        what: String,
    },
    /// What the plugin says of itself.
    Loaded(About),
    /// A line of the report.
    Line(Line),
    /// The plugin cannot be loaded, with the reason.
    Refused(String),
    /// The checks came to their end.
    Done,
}

/// Where the checks tell what they are about to do and what they found.
pub(crate) struct Watch<'a> {
    tell: &'a (dyn Fn(Event) + Sync),
    last: Mutex<(String, Instant)>,
    lines: Mutex<Vec<Line>>,
}

/// Calls of one kind are told this often at most.
const PULSE: Duration = Duration::from_millis(50);

impl<'a> Watch<'a> {
    pub(crate) fn new(tell: &'a (dyn Fn(Event) + Sync)) -> Self {
        Self {
            tell,
            last: Mutex::new((String::new(), Instant::now())),
            lines: Mutex::default(),
        }
    }

    /// Tells what is about to be done.
    pub(crate) fn at(&self, component: &str, what: &str) {
        let mut last = super::lock(&self.last);
        if last.0 == what && last.1.elapsed() < PULSE {
            return;
        }
        *last = (what.to_owned(), Instant::now());
        (self.tell)(Event::At {
            component: component.to_owned(),
            what: what.to_owned(),
        });
    }

    pub(crate) fn tell(&self, event: Event) {
        if let Event::Line(line) = &event {
            super::lock(&self.lines).push(line.clone());
        }
        (self.tell)(event);
    }

    pub(crate) fn into_lines(self) -> Vec<Line> {
        self.lines
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The checks of one component: where they write.
pub(crate) struct Desk<'a> {
    pub(crate) label: String,
    pub(crate) seed: u64,
    pub(crate) watch: &'a Watch<'a>,
}

impl Desk<'_> {
    fn line(&self, check: &str, verdict: Verdict, text: String) {
        let line = Line {
            component: self.label.clone(),
            check: check.into(),
            verdict,
            text,
        };
        // A function that is looked at in two places has the same fault in both.
        if verdict == Verdict::Ok || !super::lock(&self.watch.lines).contains(&line) {
            self.watch.tell(Event::Line(line));
        }
    }

    pub(crate) fn ok(&self, check: &str, text: impl Into<String>) {
        self.line(check, Verdict::Ok, text.into());
    }

    pub(crate) fn warn(&self, check: &str, text: impl Into<String>) {
        self.line(check, Verdict::Warn, text.into());
    }

    pub(crate) fn fail(&self, check: &str, text: impl Into<String>) {
        self.line(check, Verdict::Fail, text.into());
    }

    /// Ok or failed.
    pub(crate) fn judge(&self, check: &str, good: bool, text: impl Into<String>) {
        let verdict = if good { Verdict::Ok } else { Verdict::Fail };
        self.line(check, verdict, text.into());
    }

    pub(crate) fn at(&self, what: &str) {
        self.watch.at(&self.label, what);
    }
}
