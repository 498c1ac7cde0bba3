//! What a component is built with: the parts before it, the files it may read, and what it needs.

use super::Registry;
use crate::{Error, ForwardProcess, Result, Score, Target};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whether a component needs a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Need {
    /// It does not look at it.
    #[default]
    No,
    /// It uses it if it is there.
    Optional,
    /// It cannot do without.
    Required,
}

/// What a component needs of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// A target.
    pub target: Need,
    /// A log density of the target.
    pub density: Need,
    /// A gradient of the target.
    pub gradient: Need,
    /// A forward process.
    pub process: Need,
    /// A score.
    pub score: Need,
}

impl Needs {
    /// Nothing.
    pub const NOTHING: Self = Self {
        target: Need::No,
        density: Need::No,
        gradient: Need::No,
        process: Need::No,
        score: Need::No,
    };
    /// A target with a log density.
    pub const DENSITY: Self = Self {
        target: Need::Required,
        density: Need::Required,
        ..Self::NOTHING
    };
    /// A target with log density and gradient.
    pub const DENSITY_AND_GRADIENT: Self = Self {
        target: Need::Required,
        density: Need::Required,
        gradient: Need::Required,
        ..Self::NOTHING
    };
    /// A target with log density and gradient; a forward process and its score are used if they are there.
    pub const PARTICLES: Self = Self {
        process: Need::Optional,
        score: Need::Optional,
        ..Self::DENSITY_AND_GRADIENT
    };
    /// A target, be it only for its dimension: what processes need.
    pub const TARGET: Self = Self {
        target: Need::Required,
        ..Self::NOTHING
    };
    /// A target and a forward process: what scores need.
    pub const PROCESS: Self = Self {
        process: Need::Required,
        ..Self::TARGET
    };
    /// A forward process and its score: what runs backwards. A log density is used if there is one.
    pub const REVERSE: Self = Self {
        density: Need::Optional,
        score: Need::Required,
        ..Self::PROCESS
    };
    /// A target with a gradient; a log density is used if there is one.
    pub const GRADIENT: Self = Self {
        target: Need::Required,
        density: Need::Optional,
        gradient: Need::Required,
        ..Self::NOTHING
    };
}

/// What reads the files that settings name. Paths are relative to the job file.
pub trait Files {
    /// The content of a file.
    ///
    /// # Errors
    /// [`Error::Io`] with the path as it was looked for.
    fn read(&self, path: &Path) -> Result<Vec<u8>>;

    /// Where a file is that another must open itself, such as a shared library: a path that can be
    /// opened from anywhere. It is read first, so that what keeps account of the files knows this one.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn locate(&self, path: &Path) -> Result<PathBuf> {
        self.read(path)?;
        absolute(path)
    }
}

/// `path` from the root.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|source| Error::Io {
        action: "cannot find",
        path: path.to_owned(),
        source,
    })
}

/// Reads files relative to a folder.
#[derive(Debug, Clone, Default)]
pub struct Folder(pub PathBuf);

impl Files for Folder {
    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let path = self.0.join(path);
        std::fs::read(&path).map_err(|source| Error::Io {
            action: "cannot read",
            path,
            source,
        })
    }

    fn locate(&self, path: &Path) -> Result<PathBuf> {
        self.read(path)?;
        absolute(&self.0.join(path))
    }
}

/// What a component is built with: the parts that were built before it, and the files it may read.
pub struct Parts<'a> {
    /// The target.
    pub target: Option<Arc<dyn Target>>,
    /// The forward process.
    pub process: Option<Arc<dyn ForwardProcess>>,
    /// The score.
    pub score: Option<Arc<dyn Score>>,
    /// Reader of files.
    pub files: &'a dyn Files,
    /// Where it is built from, for components that have others inside.
    pub registry: Option<&'a Registry>,
}

impl std::fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("target", &self.target.is_some())
            .field("process", &self.process.is_some())
            .field("score", &self.score.is_some())
            .finish_non_exhaustive()
    }
}

impl<'a> Parts<'a> {
    /// No parts yet.
    #[must_use]
    pub fn new(files: &'a dyn Files) -> Self {
        Self {
            target: None,
            process: None,
            score: None,
            files,
            registry: None,
        }
    }

    /// The same, for components that are built from `registry`.
    pub(super) fn within<'b>(&self, registry: &'b Registry) -> Parts<'b>
    where
        'a: 'b,
    {
        Parts {
            target: self.target.clone(),
            process: self.process.clone(),
            score: self.score.clone(),
            files: self.files,
            registry: Some(registry),
        }
    }

    /// With a target.
    #[must_use]
    pub fn with_target(mut self, target: Arc<dyn Target>) -> Self {
        self.target = Some(target);
        self
    }

    /// The target, for `component`, which cannot do without.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn require_target(&self, component: &str) -> Result<Arc<dyn Target>> {
        self.target
            .clone()
            .ok_or_else(|| missing(component, "a target", "[target]"))
    }

    /// The forward process, for `component`, which cannot do without.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn require_process(&self, component: &str) -> Result<Arc<dyn ForwardProcess>> {
        self.process
            .clone()
            .ok_or_else(|| missing(component, "a forward process", "[process]"))
    }

    /// The score, for `component`, which cannot do without.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn require_score(&self, component: &str) -> Result<Arc<dyn Score>> {
        self.score
            .clone()
            .ok_or_else(|| missing(component, "a score", "[score]"))
    }

    /// Checks `needs` of `component` against these parts.
    ///
    /// # Errors
    /// [`Error::Missing`], naming what is missing.
    pub fn check(&self, component: &str, needs: &Needs) -> Result {
        if needs.target == Need::Required {
            self.require_target(component)?;
        }
        if needs.process == Need::Required {
            self.require_process(component)?;
        }
        if needs.score == Need::Required {
            self.require_score(component)?;
        }
        let lacks = |what: &str, advice: &str| Error::Missing {
            component: component.into(),
            needed: what.into(),
            holder: "the target".into(),
            advice: advice.into(),
        };
        if let Some(target) = &self.target {
            if needs.gradient == Need::Required && !target.has_gradient() {
                return Err(lacks(
                    "a gradient",
                    "supply one, or choose a sampler that uses only the density",
                ));
            }
            if needs.density == Need::Required && !target.has_density() {
                return Err(lacks(
                    "a log density",
                    "choose a target that has one, or a sampler that needs only a score",
                ));
            }
        }
        Ok(())
    }
}

fn missing(component: &str, what: &str, table: &str) -> Error {
    Error::Missing {
        component: component.into(),
        needed: what.into(),
        holder: "the job".into(),
        advice: format!("add a {table} table"),
    }
}
