//! A job's tree together with its texts.

use std::path::Path;

use super::diagnostic::{ConfigError, Diagnostic};
use super::overrides::{apply_option, apply_override};
use super::parse::parse;
use super::path::parse_path;
use super::source::{Source, SourceId, Sources, Span, read_source};
use super::tree::Node;

/// A parsed job file with its `--set` arguments applied.
#[derive(Clone, Debug)]
pub struct Document {
    /// The texts: the file, then the arguments.
    pub sources: Sources,
    /// The tree; always a table.
    pub root: Node,
}

impl Document {
    /// Reads and parses a job file.
    ///
    /// # Errors
    /// As [`read_source`] and [`Document::parse`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::of(read_source(path)?)
    }

    /// Parses a job text shown to the user as `name`.
    ///
    /// # Errors
    /// When it is not valid TOML (see [`parse`]) or holds no keys.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        Self::of(Source::file(name, text))
    }

    fn of(source: Source) -> Result<Self, ConfigError> {
        let mut sources = Sources::new();
        let id = sources.add(source);
        match parse(&sources, id) {
            Ok(root) if root.as_table().is_none_or(|t| t.entries().is_empty()) => {
                let empty = empty_job(id);
                Err(ConfigError::new(sources, vec![empty]))
            }
            Ok(root) => Ok(Self { sources, root }),
            Err(found) => Err(ConfigError::new(sources, found)),
        }
    }

    /// Applies `--set` arguments (`path=value`) in order.
    ///
    /// # Errors
    /// All arguments that cannot be applied; see [`apply_override`]. The others have been applied.
    pub fn set<S: AsRef<str>>(
        &mut self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<(), ConfigError> {
        let mut found = Vec::new();
        for argument in arguments {
            let done = apply_override(&mut self.root, &mut self.sources, argument.as_ref());
            found.extend(done.err().into_iter().flatten());
        }
        match found.is_empty() {
            true => Ok(()),
            false => Err(self.error(found)),
        }
    }

    /// Applies an option of the command line in place of the key at `path`; see [`apply_option`].
    ///
    /// # Errors
    /// As [`apply_option`].
    pub fn set_option(
        &mut self,
        option: &str,
        path: &str,
        value: &str,
        text: bool,
    ) -> Result<(), ConfigError> {
        apply_option(&mut self.root, &mut self.sources, option, path, value, text)
            .map_err(|found| self.error(found))
    }

    /// An error with these problems and this document's texts.
    #[must_use]
    pub fn error(&self, diagnostics: Vec<Diagnostic>) -> ConfigError {
        ConfigError::new(self.sources.clone(), diagnostics)
    }
}

fn empty_job(id: SourceId) -> Diagnostic {
    Diagnostic::new(Some(Span::whole(id)), "the job file is empty")
        .help("a job has at least the tables `[target]` and `[sampler]`")
}

/// The best place for a problem that a component reports about `key` (a path such as `means[2]`)
/// of its table at `table` (a path; empty for the top level).
///
/// Gives the value's place, or that of its nearest parent that was written: a missing key gets
/// the table's header, a default its table.
#[must_use]
pub fn locate(root: &Node, table: &str, key: &str) -> Option<Span> {
    let mut node = root;
    let mut best = root.span;
    for path in [table, key].into_iter().filter(|p| !p.is_empty()) {
        for (step, _) in parse_path(path).ok().into_iter().flatten() {
            match node.step(&step) {
                Some(next) => node = next,
                None => return best,
            }
            best = node.span.or(best);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "\
seed = 1
[sampler]
kind = 'langevin'
step_size = 0.5
[target]
means = [[0, 0], [1, 1]]
inner.width = 2
";

    #[test]
    fn locates_values_elements_and_falls_back_to_headers() {
        let mut job = Document::parse("job.toml", JOB).unwrap();
        job.set(["sampler.rho=7"]).unwrap();
        let at = |table: &str, key: &str| {
            let span = locate(&job.root, table, key).unwrap();
            let text = job.sources.get(span.source).unwrap().text();
            &text[span.start..span.end]
        };
        assert_eq!(at("sampler", "step_size"), "0.5");
        assert_eq!(at("sampler", "steps"), "[sampler]");
        assert_eq!(at("target", "means[1]"), "[1, 1]");
        assert_eq!(at("target", "means[1][0]"), "1");
        assert_eq!(at("target", "means[7]"), "[[0, 0], [1, 1]]");
        assert_eq!(at("target", "inner.width"), "2");
        assert_eq!(at("target", "inner.depth"), "inner");
        assert_eq!(at("target", "not a path"), "[target]");
        assert_eq!(at("target", ""), "[target]");
        assert_eq!(at("", "seed"), "1");
        assert_eq!(at("sampler", "rho"), "7");
        assert_eq!(at("score", "x"), "", "the whole file");
        assert!(locate(&job.root, "score", "x").unwrap().is_whole());
    }

    #[test]
    fn empty_texts_are_refused() {
        for text in ["", "\n\n", "# nothing\n", "\u{feff}"] {
            let error = Document::parse("job.toml", text).unwrap_err();
            assert_eq!(
                error.to_string(),
                "error: the job file is empty\n --> job.toml\n\
                 help: a job has at least the tables `[target]` and `[sampler]`"
            );
        }
    }

    #[test]
    fn an_error_is_a_std_error() {
        let error = Document::parse("job.toml", "a b").unwrap_err();
        let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
        assert!(
            boxed
                .to_string()
                .starts_with("error: this is not valid TOML")
        );
    }
}
