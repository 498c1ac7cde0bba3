//! Components by name: built-ins submitted with `inventory`, plugins added as the same entries.

mod parts;

pub use parts::{Files, Folder, Need, Needs, Parts};

use crate::settings_reader::SettingsReader;
use crate::{Error, ForwardProcess, Result, Sampler, Score, Target};
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The four kinds of component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A density.
    Target,
    /// A forward process.
    Process,
    /// A score.
    Score,
    /// A sampler.
    Sampler,
}

impl Kind {
    /// All kinds, in the order of a job.
    pub const ALL: [Self; 4] = [Self::Target, Self::Process, Self::Score, Self::Sampler];

    /// The word for it, which is also its table in a job.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Target => "target",
            Kind::Process => "process",
            Kind::Score => "score",
            Kind::Sampler => "sampler",
        }
    }

    /// The kind of that word, singular or plural.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let plural = |k: Kind| {
            if k == Kind::Process {
                "processes".into()
            } else {
                format!("{}s", k.word())
            }
        };
        Self::ALL
            .into_iter()
            .find(|k| word == k.word() || word == plural(*k))
    }
}

/// Settings that build a component of kind `K` (`dyn Target`, `dyn Sampler`, …).
pub trait Build<K: ?Sized>: DeserializeOwned + JsonSchema {
    /// Checks the settings and builds the component.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value that is wrong, [`Error::Missing`] for a part that is not
    /// there, [`Error::Data`] and [`Error::Io`] for files.
    fn build(self, parts: &Parts<'_>) -> Result<Arc<K>>;
}

type MakeFn<K> = fn(&mut SettingsReader<'_, '_>, &Parts<'_>) -> Result<Arc<K>>;
type MakeBox<K> =
    Arc<dyn Fn(&mut SettingsReader<'_, '_>, &Parts<'_>) -> Result<Arc<K>> + Send + Sync>;

/// Factory of a built-in, by kind.
#[derive(Debug, Clone, Copy)]
pub enum BuiltinMake {
    /// Of a target.
    Target(MakeFn<dyn Target>),
    /// Of a forward process.
    Process(MakeFn<dyn ForwardProcess>),
    /// Of a score.
    Score(MakeFn<dyn Score>),
    /// Of a sampler.
    Sampler(MakeFn<dyn Sampler>),
}

/// A built-in component as it is submitted to `inventory`. Written by [`register!`](crate::register).
#[derive(Debug)]
pub struct Builtin {
    /// Name.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// JSON Schema of its settings.
    pub schema: fn() -> Schema,
    /// What it needs.
    pub needs: Needs,
    /// Its factory.
    pub make: BuiltinMake,
}

inventory::collect!(Builtin);

/// Reads settings of type `S` and builds the component; the factory of every built-in.
///
/// # Errors
/// [`Error::Settings`] from reading, else as [`Build::build`].
pub fn make<K: ?Sized, S: Build<K>>(
    reader: &mut SettingsReader<'_, '_>,
    parts: &Parts<'_>,
) -> Result<Arc<K>> {
    reader.read::<S>()?.build(parts)
}

/// The JSON Schema of settings of type `S`, ranges and defaults included.
#[must_use]
pub fn schema_of<S: JsonSchema>() -> Schema {
    schemars::SchemaGenerator::default().into_root_schema_for::<S>()
}

/// Factory of a component, by kind.
#[derive(Clone)]
#[allow(missing_docs)]
pub enum Make {
    Target(MakeBox<dyn Target>),
    Process(MakeBox<dyn ForwardProcess>),
    Score(MakeBox<dyn Score>),
    Sampler(MakeBox<dyn Sampler>),
}

impl std::fmt::Debug for Make {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Make({})", self.kind().word())
    }
}

impl Make {
    fn kind(&self) -> Kind {
        match self {
            Make::Target(_) => Kind::Target,
            Make::Process(_) => Kind::Process,
            Make::Score(_) => Kind::Score,
            Make::Sampler(_) => Kind::Sampler,
        }
    }
}

/// A plugin whose components are in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// Its name; its components are called name/component.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, if it says so.
    pub license: Option<String>,
    /// The shared library.
    pub file: PathBuf,
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
}

/// An entry of the registry.
#[derive(Debug, Clone)]
pub struct Component {
    /// Name, unique within its kind.
    pub name: Cow<'static, str>,
    /// One sentence.
    pub summary: Cow<'static, str>,
    /// Where it comes from: paper and equation, or the plugin.
    pub source: Cow<'static, str>,
    /// The plugin that it is of; none for a built-in.
    pub plugin: Option<Arc<Plugin>>,
    /// JSON Schema of its settings.
    pub schema: Schema,
    /// What it needs.
    pub needs: Needs,
    /// Its factory.
    pub make: Make,
}

impl Component {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.make.kind()
    }

    /// Kind and name, for messages: `sampler hmc`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {}", self.kind().word(), self.name)
    }
}

impl From<&'static Builtin> for Component {
    fn from(b: &'static Builtin) -> Self {
        let make = match b.make {
            BuiltinMake::Target(f) => Make::Target(Arc::new(f)),
            BuiltinMake::Process(f) => Make::Process(Arc::new(f)),
            BuiltinMake::Score(f) => Make::Score(Arc::new(f)),
            BuiltinMake::Sampler(f) => Make::Sampler(Arc::new(f)),
        };
        Self {
            name: b.name.into(),
            summary: b.summary.into(),
            source: b.source.into(),
            plugin: None,
            schema: (b.schema)(),
            needs: b.needs,
            make,
        }
    }
}

/// Components by kind and name.
#[derive(Debug, Clone, Default)]
pub struct Registry(BTreeMap<(Kind, String), Component>);

macro_rules! makers {
    ($($fn:ident $kind:ident $out:ty),*) => {$(
        #[doc = concat!("Builds the component `name` from its settings.\n\n# Errors\n[`Error::UnknownKind`], and what building it returns.")]
        pub fn $fn<'de>(
            &self,
            name: &str,
            settings: impl serde::Deserializer<'de>,
            parts: &Parts<'_>,
        ) -> Result<Arc<$out>> {
            let component = self.get(Kind::$kind, name)?;
            let label = component.label();
            parts.check(&label, &component.needs)?;
            let Make::$kind(make) = &component.make else {
                return Err(Error::UnknownKind { kind: Kind::$kind.word(), found: name.into(), nearest: None });
            };
            let parts = parts.within(self);
            SettingsReader::with(&label, settings, |reader| make(reader, &parts))
        }
    )*};
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All built-ins that are linked into this program. Use the facade's `registry()`, which sees
    /// to it that they are.
    ///
    /// # Errors
    /// [`Error::Argument`] when two have the same name.
    pub fn builtin() -> Result<Self> {
        let mut registry = Self::new();
        for b in inventory::iter::<Builtin> {
            registry.add(b.into())?;
        }
        Ok(registry)
    }

    /// Adds a component.
    ///
    /// # Errors
    /// [`Error::Argument`] when there is one of that kind and name.
    pub fn add(&mut self, component: Component) -> Result {
        let key = (component.kind(), component.name.to_string());
        if self.0.contains_key(&key) {
            return Err(Error::Argument {
                component: "registry".into(),
                argument: "name".into(),
                given: format!("`{}`, which is a {} already", key.1, key.0.word()),
                allowed: "a name of its own".into(),
            });
        }
        self.0.insert(key, component);
        Ok(())
    }

    /// Every component, by kind, then by name.
    pub fn iter(&self) -> impl Iterator<Item = &Component> {
        self.0.values()
    }

    /// The components of a kind, by name.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Component> {
        self.iter().filter(move |c| c.kind() == kind)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The component of that kind and name.
    ///
    /// # Errors
    /// [`Error::UnknownKind`] with the nearest name.
    pub fn get(&self, kind: Kind, name: &str) -> Result<&Component> {
        self.0
            .get(&(kind, name.to_owned()))
            .ok_or_else(|| Error::UnknownKind {
                kind: kind.word(),
                found: name.into(),
                nearest: nearest(name, self.of(kind).map(|c| c.name.as_ref())).map(str::to_owned),
            })
    }

    makers! {
        target Target dyn Target,
        process Process dyn ForwardProcess,
        score Score dyn Score,
        sampler Sampler dyn Sampler
    }
}

/// The candidate most like `name` (Jaro–Winkler above 0.75, case ignored), for "did you mean".
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(&name, &c.to_lowercase()), c))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// Declares the modules of a crate of components and a `link()` that reaches each of them, so that
/// a static library keeps their registrations: an archive member that nothing refers to is dropped.
#[macro_export]
macro_rules! modules {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        $($(#[$meta])* pub mod $name;)*

        /// Makes sure that every component of this crate is linked. Called by the facade.
        pub fn link() {
            $($name::__link();)*
        }
    };
}

/// Registers the components of a file: `register! { sampler "ula" => Ula, needs GRADIENT,
/// summary "…", source "…"; }`. The settings type implements [`Build`].
#[macro_export]
macro_rules! register {
    ($($kind:ident $name:literal => $settings:ty, needs $needs:ident, summary $summary:literal, source $source:literal;)+) => {
        $(
            $crate::reexport::inventory::submit! {
                $crate::registry::Builtin {
                    name: $name,
                    summary: $summary,
                    source: $source,
                    schema: $crate::registry::schema_of::<$settings>,
                    needs: $crate::registry::Needs::$needs,
                    make: $crate::__make!($kind $settings),
                }
            }
        )+

        /// Keeps this file's registrations in a static library.
        #[doc(hidden)]
        #[inline(never)]
        pub fn __link() {
            // Not empty, lest the call be removed with the reference to this object file.
            ::std::hint::black_box(());
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __make {
    (target $s:ty) => {
        $crate::registry::BuiltinMake::Target($crate::registry::make::<dyn $crate::Target, $s>)
    };
    (process $s:ty) => {
        $crate::registry::BuiltinMake::Process(
            $crate::registry::make::<dyn $crate::ForwardProcess, $s>,
        )
    };
    (score $s:ty) => {
        $crate::registry::BuiltinMake::Score($crate::registry::make::<dyn $crate::Score, $s>)
    };
    (sampler $s:ty) => {
        $crate::registry::BuiltinMake::Sampler($crate::registry::make::<dyn $crate::Sampler, $s>)
    };
}
