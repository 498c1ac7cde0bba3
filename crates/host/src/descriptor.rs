//! What a plugin says of itself, looked over line by line before anything of it is used.

use crate::params::{Params, text_at};
use retrograde_abi::{
    RG_PLUGIN_ABI, RG_THREAD_CALLER, rg_component, rg_plugin, rg_process_vtable, rg_sampler_vtable,
    rg_score_vtable, rg_target_vtable,
};
use retrograde_bridge::foreign::Foreign;
use retrograde_bridge::tables::{Functions, read};
use retrograde_bridge::{Settings, create, lend, needs_of};
use retrograde_core::registry::{Make, Parts, Plugin};
use retrograde_core::{Component, Kind, Result, SettingsReader};
use schemars::Schema;
use std::collections::HashSet;
use std::sync::Arc;

/// The most components of a plugin, and the most parameters of a component.
const MOST: usize = 4096;

/// A plugin as it describes itself.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) components: Vec<DescribedComponent>,
}

/// A component as it describes itself.
#[derive(Debug)]
pub(crate) struct DescribedComponent {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    summary: String,
    source: Option<String>,
    version: Option<String>,
    settings: SettingsOf,
    pub(crate) raw: rg_component,
}

/// How its settings are declared.
#[derive(Debug, Clone)]
enum SettingsOf {
    /// By parameters.
    Params(Params),
    /// By a schema; it reads them itself.
    Schema(Schema),
}

/// The size of the first rg_plugin there was, which ends with the number of components.
const LEAST: usize = std::mem::offset_of!(rg_plugin, n_components) + size_of::<usize>();

/// Looks a plugin over.
///
/// # Errors
/// The first thing that is wrong, in a sentence.
///
/// # Safety
/// `table` is what an entry function of version `abi` gave, of a library that stays mapped.
pub(crate) unsafe fn describe(
    table: *const rg_plugin,
    abi: u32,
) -> std::result::Result<Described, String> {
    // SAFETY: by contract.
    let table = unsafe { read(table) }?;
    // What lies beyond its size counts as 0, which would be told as a version or a number of components.
    if table.struct_size < LEAST {
        return Err(format!(
            "the struct_size of its rg_plugin is {}, but must be at least {LEAST}: set it to sizeof(rg_plugin)",
            table.struct_size
        ));
    }
    if table.abi != abi {
        return Err(format!(
            "its rg_plugin is of version {} of the interface, but came from `retrograde_plugin_v{abi}`; \
             set abi to RG_PLUGIN_ABI ({RG_PLUGIN_ABI})",
            table.abi
        ));
    }
    // SAFETY: by contract, which asks for texts that end; so for all that follow.
    let name = unsafe { text_at(table.name, "the name of the plugin") }?;
    grammar(&name, "the name of the plugin", '-')?;
    // SAFETY: as above.
    let version = unsafe { text_at(table.version, "the version of the plugin") }?;
    if version.is_empty() {
        return Err("the version of the plugin is empty".into());
    }
    let license = if table.license.is_null() {
        None
    } else {
        // SAFETY: as above.
        Some(unsafe { text_at(table.license, "the license of the plugin") }?)
    };
    let n = table.n_components;
    if n == 0 || n > MOST {
        return Err(format!(
            "n_components of plugin {name} is {n}, but must be from 1 to {MOST}"
        ));
    }
    // SAFETY: as above.
    let pointers = unsafe { pointers(table.components, n, "components") }?;
    let (mut components, mut seen) = (Vec::new(), HashSet::new());
    for (i, pointer) in pointers.iter().enumerate() {
        // SAFETY: as above.
        let c = unsafe { component(*pointer) }.map_err(|e| format!("component {i}: {e}"))?;
        if !seen.insert((c.kind, c.name.clone())) {
            return Err(format!(
                "two of its components are called {} {}",
                c.kind.word(),
                c.name
            ));
        }
        components.push(c);
    }
    Ok(Described {
        name,
        version,
        license,
        components,
    })
}

/// Names: a small letter, then small letters, digits and `mark`.
pub(crate) fn grammar(name: &str, what: &str, mark: char) -> std::result::Result<(), String> {
    let fits = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == mark);
    if fits {
        return Ok(());
    }
    Err(format!(
        "{what} is {name:?}, but must be at most 64 small letters, digits and `{mark}`, a letter first"
    ))
}

/// An array of pointers.
///
/// # Safety
/// `p` is NULL, or `n` pointers lie there as long as the program runs.
pub(crate) unsafe fn pointers<T>(
    p: *const *const T,
    n: usize,
    what: &str,
) -> std::result::Result<&'static [*const T], String> {
    if n == 0 {
        return Ok(&[]);
    }
    if p.is_null() {
        return Err(format!("`{what}` is NULL, though there are {n}"));
    }
    if !p.is_aligned() {
        return Err(format!("`{what}` is not aligned to 8 bytes"));
    }
    // SAFETY: by contract.
    let all = unsafe { std::slice::from_raw_parts(p, n) };
    match all.iter().position(|p| p.is_null()) {
        Some(i) => Err(format!("number {i} of `{what}` is NULL")),
        None => Ok(all),
    }
}

unsafe fn component(p: *const rg_component) -> std::result::Result<DescribedComponent, String> {
    // SAFETY: as in `describe`.
    let raw = unsafe { read(p) }?;
    // SAFETY: as above.
    let name = unsafe { text_at(raw.name, "its name") }?;
    grammar(&name, "its name", '-')?;
    let number = usize::try_from(raw.kind).ok();
    let Some(kind) = number.and_then(|k| Kind::ALL.get(k.checked_sub(1)?).copied()) else {
        return Err(format!(
            "the kind of {name} is {}, but must be RG_KIND_TARGET (1), RG_KIND_PROCESS (2), \
             RG_KIND_SCORE (3) or RG_KIND_SAMPLER (4)",
            raw.kind
        ));
    };
    let label = format!("{} {name}", kind.word());
    let at = |e: String| format!("{label}: {e}");
    // SAFETY: as above.
    let doc = unsafe { text_at(raw.doc, "its doc") }.map_err(at)?;
    let (summary, source) = match doc.trim().split_once('\n') {
        Some((summary, source)) => (summary.trim().to_owned(), Some(source.trim().to_owned())),
        None => (doc.trim().to_owned(), None),
    };
    let version = if raw.version.is_null() {
        None
    } else {
        // SAFETY: as above.
        Some(unsafe { text_at(raw.version, "its version") }.map_err(at)?)
    };
    if raw.create.is_none() {
        return Err(at("`create` is NULL".into()));
    }
    if !raw.vtable.is_null() {
        // SAFETY: as above; of the type that its kind says.
        unsafe { look_over(kind, raw.vtable) }.map_err(at)?;
    }
    let settings = if raw.schema.is_null() {
        if raw.n_params > MOST {
            return Err(at(format!(
                "n_params is {}, but must be at most {MOST}",
                raw.n_params
            )));
        }
        // SAFETY: as above.
        SettingsOf::Params(unsafe { Params::read(raw.params, raw.n_params) }.map_err(at)?)
    } else {
        if raw.n_params != 0 {
            return Err(at("it has both `params` and a `schema`".into()));
        }
        // SAFETY: as above.
        let text = unsafe { text_at(raw.schema, "its schema") }.map_err(at)?;
        SettingsOf::Schema(schema(&text).map_err(at)?)
    };
    Ok(DescribedComponent {
        kind,
        name,
        summary,
        source,
        version,
        settings,
        raw,
    })
}

fn schema(text: &str) -> std::result::Result<Schema, String> {
    let bad = |e: String| format!("its schema is no JSON Schema of an object: {e}");
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
    if value["type"] != "object" {
        return Err(bad(format!("its type is {}", value["type"])));
    }
    Schema::try_from(value).map_err(|e| bad(e.to_string()))
}

unsafe fn look_over(kind: Kind, table: *const std::ffi::c_void) -> std::result::Result<(), String> {
    unsafe fn one<T: Functions>(table: *const std::ffi::c_void) -> std::result::Result<(), String> {
        // SAFETY: by the contract of the caller.
        let table = unsafe { read(table.cast::<T>()) }?;
        table.look_over()?;
        if table.threading() == RG_THREAD_CALLER {
            return Err(format!(
                "the threading of its {} is RG_THREAD_CALLER (0), but a plugin must be \
                 RG_THREAD_SERIAL (1) or RG_THREAD_CONCURRENT (2)",
                T::NAME
            ));
        }
        Ok(())
    }
    // SAFETY: as above.
    unsafe {
        match kind {
            Kind::Target => one::<rg_target_vtable>(table),
            Kind::Process => one::<rg_process_vtable>(table),
            Kind::Score => one::<rg_score_vtable>(table),
            Kind::Sampler => one::<rg_sampler_vtable>(table),
        }
    }
}

/// What makes a component: the plugin's description of it, which lives as long as the program.
pub(crate) struct Maker {
    raw: rg_component,
    pub(crate) label: String,
    settings: SettingsOf,
}

// SAFETY: the description is constant, and `create` may be called on any thread.
unsafe impl Send for Maker {}
// SAFETY: as for Send.
unsafe impl Sync for Maker {}

impl Maker {
    fn make<T>(
        &self,
        reader: &mut SettingsReader<'_, '_>,
        parts: &Parts<'_>,
    ) -> Result<Arc<Foreign<T>>>
    where
        T: retrograde_bridge::foreign::Asked,
    {
        self.make_with(reader.read()?, parts)
    }

    /// Makes one of the settings `given`.
    ///
    /// # Errors
    /// What is wrong with the settings; what `create` returns.
    pub(crate) fn make_with<T>(
        &self,
        given: toml::Table,
        parts: &Parts<'_>,
    ) -> Result<Arc<Foreign<T>>>
    where
        T: retrograde_bridge::foreign::Asked,
    {
        let table = match &self.settings {
            SettingsOf::Params(params) => params.fill(&self.label, given)?,
            SettingsOf::Schema(_) => given,
        };
        let settings = Settings {
            label: &self.label,
            table: &table,
            files: parts.files,
        };
        // SAFETY: a plugin's component that was looked over, of this kind.
        unsafe { create::<T>(&self.raw, &settings, lend(parts)) }.map(Arc::new)
    }
}

impl DescribedComponent {
    /// What makes it, and names it plugin/component.
    pub(crate) fn maker(&self, plugin: &Plugin) -> Maker {
        Maker {
            raw: self.raw,
            label: format!("{} {}/{}", self.kind.word(), plugin.name, self.name),
            settings: self.settings.clone(),
        }
    }

    /// Its parameters that have no default.
    pub(crate) fn required(&self) -> Vec<&str> {
        match &self.settings {
            SettingsOf::Params(params) => params.required(),
            SettingsOf::Schema(schema) => {
                let names = schema.get("required").and_then(|r| r.as_array());
                let texts = names.into_iter().flatten().filter_map(|name| name.as_str());
                texts.collect()
            }
        }
    }

    /// The entry for the registry.
    pub(crate) fn into_component(self, plugin: &Arc<Plugin>) -> Component {
        let name = format!("{}/{}", plugin.name, self.name);
        let version = self.version.as_ref().unwrap_or(&plugin.version);
        let maker = Arc::new(self.maker(plugin));
        let make = match self.kind {
            Kind::Target => Make::Target(Arc::new(move |r, p| {
                maker.make::<rg_target_vtable>(r, p).map(|c| c as _)
            })),
            Kind::Process => Make::Process(Arc::new(move |r, p| {
                maker.make::<rg_process_vtable>(r, p).map(|c| c as _)
            })),
            Kind::Score => Make::Score(Arc::new(move |r, p| {
                maker.make::<rg_score_vtable>(r, p).map(|c| c as _)
            })),
            Kind::Sampler => Make::Sampler(Arc::new(move |r, p| {
                maker.make::<rg_sampler_vtable>(r, p).map(|c| c as _)
            })),
        };
        Component {
            name: name.into(),
            summary: self.summary.into(),
            source: self
                .source
                .unwrap_or_else(|| format!("plugin {} {version}", plugin.name))
                .into(),
            plugin: Some(plugin.clone()),
            schema: match self.settings {
                SettingsOf::Params(params) => params.schema(),
                SettingsOf::Schema(schema) => schema,
            },
            needs: needs_of(self.raw.needs),
            make,
        }
    }
}
