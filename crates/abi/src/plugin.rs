//! What a plugin says of itself.

use crate::host::{rg_call, rg_cfg, rg_host};
use crate::status::rg_status;
use core::ffi::{c_char, c_void};

/// A component that another is built with; its table is of the type that the place says.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct rg_ref {
    /// To be handed to the functions of `vtable`. Valid until `destroy` of who got it has returned.
    pub object: *mut c_void,
    /// A rg_target_vtable, rg_process_vtable or rg_score_vtable.
    pub vtable: *const c_void,
}

/// The parts that a component is built with; NULL for those that are not there.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct rg_deps {
    /// Size of this table in the host, in bytes.
    pub struct_size: usize,
    /// Dimension of the job, 0 while there is no target. A process takes its own from here, whatever it
    /// needs.
    pub dim: usize,
    /// The target.
    pub target: *const rg_ref,
    /// The forward process.
    pub process: *const rg_ref,
    /// The score.
    pub score: *const rg_ref,
}

/// A parameter, as the job may set it under the component's `kind`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct rg_param {
    /// Size of this table in the plugin, in bytes.
    pub struct_size: usize,
    /// Its key: a small letter, then small letters, digits and `_`.
    pub name: *const c_char,
    /// What it is, with its unit, in a sentence.
    pub doc: *const c_char,
    /// An RG_TYPE_ constant.
    pub r#type: i32,
    /// Not 0: the job must give it.
    pub required: u32,
    /// Its default as it would be written in TOML; NULL if it is required.
    pub default_toml: *const c_char,
    /// Smallest number allowed, of each element of a list; -inf for none.
    pub min: f64,
    /// Largest number allowed; inf for none.
    pub max: f64,
    /// The texts that are allowed, ended by NULL; NULL if any is.
    pub choices: *const *const c_char,
}

/// A component of a plugin.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct rg_component {
    /// Size of this table in the plugin, in bytes.
    pub struct_size: usize,
    /// An RG_KIND_ constant.
    pub kind: i32,
    /// RG_NEEDS_ constants.
    pub needs: u32,
    /// Its name: a small letter, then small letters, digits and `-`. In a job it is plugin/name.
    pub name: *const c_char,
    /// Its version, or NULL for that of the plugin.
    pub version: *const c_char,
    /// What it is, in a sentence.
    pub doc: *const c_char,
    /// Its parameters, `n_params` of them.
    pub params: *const *const rg_param,
    /// Number of parameters, at most 4096.
    pub n_params: usize,
    /// The JSON Schema of its parameters, for those that the types above cannot say; NULL for the one
    /// that `params` make. `create` then reads them by cfg_toml.
    pub schema: *const c_char,
    /// The table of functions of its kind; NULL if `create` gives one with each object.
    pub vtable: *const c_void,
    /// Makes one: puts into made->object what the functions get as their first argument, never NULL (who has
    /// no state puts any address there, that of its table for example). made->vtable is
    /// `vtable`; one that can do other things with these parameters may put another table there, which
    /// lives as long as the object. On failure nothing is kept.
    pub create: Option<
        unsafe extern "C" fn(
            host: *const rg_host,
            call: *mut rg_call,
            cfg: *const rg_cfg,
            deps: *const rg_deps,
            made: *mut rg_ref,
        ) -> rg_status,
    >,
}

/// A plugin. It lives as long as the program.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct rg_plugin {
    /// Size of this table in the plugin, in bytes.
    pub struct_size: usize,
    /// RG_PLUGIN_ABI that it was compiled with.
    pub abi: u32,
    /// RG_PLUGIN_MINOR that it was compiled with.
    pub minor: u32,
    /// Its name: a small letter, then small letters, digits and `-`.
    pub name: *const c_char,
    /// Its version, for example "0.1.0".
    pub version: *const c_char,
    /// Its licence, for example "MIT", or NULL.
    pub license: *const c_char,
    /// Its components, `n_components` of them.
    pub components: *const *const rg_component,
    /// Number of components, at most 4096.
    pub n_components: usize,
}

// SAFETY: tables that a plugin hands out are constant for as long as the program runs.
#[allow(unsafe_code)]
unsafe impl Sync for rg_param {}
// SAFETY: as for `rg_param`.
#[allow(unsafe_code)]
unsafe impl Sync for rg_component {}
// SAFETY: as for `rg_param`.
#[allow(unsafe_code)]
unsafe impl Sync for rg_plugin {}

#[allow(unsafe_code)]
unsafe extern "C" {
    /// The one symbol that a plugin exports; write RG_EXPORT before its definition. The host calls it once; it does no work, and returns the
    /// plugin's own table, or NULL after host->fail(NULL, ...) to refuse. It may be called on any thread.
    pub fn retrograde_plugin_v1(host: *const rg_host) -> *const rg_plugin;
}
