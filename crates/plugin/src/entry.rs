//! The table of a plugin, made once from what the macro lists.

use retrograde_abi::{
    RG_ERR_PANIC, RG_PLUGIN_ABI, RG_PLUGIN_MINOR, rg_call, rg_cfg, rg_component, rg_deps, rg_host,
    rg_plugin, rg_ref, rg_status,
};
use retrograde_bridge::export::keep_panics;
use retrograde_bridge::needs_bits;
use retrograde_core::Kind;
use retrograde_core::reexport::schemars::Schema;
use retrograde_core::registry::Needs;
use std::ffi::{CString, c_char};
use std::panic::catch_unwind;
use std::ptr::null;
use std::sync::OnceLock;

/// A component as [`export_plugin!`](crate::export_plugin) lists it.
#[derive(Debug)]
pub struct Entry {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// JSON Schema of its settings.
    pub schema: fn() -> Schema,
    /// Its function `create`.
    pub create: unsafe extern "C" fn(
        *const rg_host,
        *mut rg_call,
        *const rg_cfg,
        *const rg_deps,
        *mut rg_ref,
    ) -> rg_status,
}

/// The table of a plugin, which lives as long as the program.
#[derive(Debug)]
pub struct Loaded(&'static rg_plugin);

/// A text that lives as long as the program.
fn text(text: &str) -> *const c_char {
    CString::new(text.replace('\0', "\u{FFFD}"))
        .unwrap_or_default()
        .into_raw()
}

fn build(name: &str, version: &str, license: &str, entries: Vec<Entry>) -> Loaded {
    let components: Vec<*const rg_component> = entries
        .into_iter()
        .map(|entry| {
            let schema = (entry.schema)().as_value().to_string();
            let doc = format!("{}\n{}", entry.summary, entry.source);
            let component = rg_component {
                struct_size: size_of::<rg_component>(),
                kind: entry.kind as i32 + 1,
                needs: needs_bits(entry.needs),
                name: text(entry.name),
                version: null(),
                doc: text(&doc),
                params: null(),
                n_params: 0,
                schema: text(&schema),
                vtable: null(),
                create: Some(entry.create),
            };
            std::ptr::from_ref(Box::leak(Box::new(component)))
        })
        .collect();
    let components = Vec::leak(components);
    Loaded(Box::leak(Box::new(rg_plugin {
        struct_size: size_of::<rg_plugin>(),
        abi: RG_PLUGIN_ABI,
        minor: RG_PLUGIN_MINOR,
        name: text(name),
        version: text(version),
        license: text(license),
        components: components.as_ptr(),
        n_components: components.len(),
    })))
}

/// What the entry function does.
///
/// # Safety
/// `host` is the table of a host, which lives as long as the program, or NULL.
pub unsafe fn load(
    host: *const rg_host,
    loaded: &'static OnceLock<Loaded>,
    name: &str,
    version: &str,
    license: &str,
    entries: fn() -> Vec<Entry>,
) -> *const rg_plugin {
    if host.is_null() {
        return null();
    }
    let made = catch_unwind(|| {
        loaded.get_or_init(|| {
            keep_panics();
            build(name, version, license, entries())
        })
    });
    match made {
        Ok(loaded) => loaded.0,
        Err(payload) => {
            let why = payload
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| payload.downcast_ref::<&str>().copied())
                .unwrap_or("a panic without words");
            // SAFETY: by contract; every version of the table has this function.
            if let Some(fail) = unsafe { (*host).fail } {
                let why = CString::new(why.replace('\0', "\u{FFFD}")).unwrap_or_default();
                // SAFETY: the host's function; there is no call yet.
                unsafe { fail(std::ptr::null_mut(), RG_ERR_PANIC, why.as_ptr()) };
            }
            null()
        }
    }
}
