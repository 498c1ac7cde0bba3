//! The functions of a sampler.

use crate::host::rg_call;
use crate::status::rg_status;
use core::ffi::c_void;

/// A method that gives draws, step by step.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct rg_sampler_vtable {
    /// Size of this table in the plugin, in bytes.
    pub struct_size: usize,
    /// RG_CAP_ROWWISE, RG_CAP_DETERMINISTIC.
    pub caps: u64,
    /// An RG_THREAD_ constant.
    pub threading: i32,
    /// 0.
    pub reserved: u32,
    /// Frees `object`; called once, after every run has ended. May be NULL.
    pub destroy: Option<unsafe extern "C" fn(object: *mut c_void)>,
    /// Begins a run of `n_draws` draws in all.
    pub start: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n_draws: usize,
            run: *mut *mut c_void,
        ) -> rg_status,
    >,
    /// Goes one grid move, sweep or temperature on; `done` gets 1 after the last, else 0.
    pub step: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            run: *mut c_void,
            done: *mut i32,
        ) -> rg_status,
    >,
    /// Frees the run; called once for each that was begun or loaded.
    pub end: Option<unsafe extern "C" fn(object: *mut c_void, run: *mut c_void)>,
    /// Optional, with `load`: without them a run that is resumed begins again at its first step (same
    /// bits, more time), and says so. `need` gets the bytes that the state takes; `buf` is written if
    /// `cap` is enough.
    pub save: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            run: *const c_void,
            buf: *mut c_void,
            cap: usize,
            need: *mut usize,
        ) -> rg_status,
    >,
    /// Goes on from bytes that `save` wrote.
    pub load: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            buf: *const c_void,
            len: usize,
            run: *mut *mut c_void,
        ) -> rg_status,
    >,
    /// Rows that it works on for `n_draws` draws; without it `n_draws`.
    pub rows: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n_draws: usize,
            rows: *mut usize,
        ) -> rg_status,
    >,
}
