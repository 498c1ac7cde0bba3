//! The functions of a score.

use crate::host::rg_call;
use crate::status::rg_status;
use core::ffi::c_void;

/// The gradient of log p_t, p_t the law of a process at time t. Arrays as in rg_target_vtable. `t` is one
/// time for all rows if `ts` is 0, and one for each (n numbers) if it is 1.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct rg_score_vtable {
    /// Size of this table in the plugin, in bytes.
    pub struct_size: usize,
    /// RG_CAP_ROWWISE, RG_CAP_DETERMINISTIC.
    pub caps: u64,
    /// An RG_THREAD_ constant.
    pub threading: i32,
    /// 0.
    pub reserved: u32,
    /// Frees `object`; called once. May be NULL.
    pub destroy: Option<unsafe extern "C" fn(object: *mut c_void)>,
    /// The dimension d, the same at all times.
    pub dim: Option<
        unsafe extern "C" fn(object: *mut c_void, call: *mut rg_call, d: *mut usize) -> rg_status,
    >,
    /// Writes the score, n x d.
    pub eval: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            t: *const f64,
            ts: usize,
            x: *const f64,
            s: *mut f64,
        ) -> rg_status,
    >,
    /// Optional, as all that follow. Writes the Jacobian of the score times k tangents a row: `v` and
    /// `out` are n x (k d), tangent j of a row in its columns j d .. (j + 1) d.
    pub jvp: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            k: usize,
            t: *const f64,
            ts: usize,
            x: *const f64,
            v: *const f64,
            out: *mut f64,
        ) -> rg_status,
    >,
    /// Writes log p_t(x), normalised; n numbers.
    pub log_marginal: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            t: *const f64,
            ts: usize,
            x: *const f64,
            out: *mut f64,
        ) -> rg_status,
    >,
    /// Says by host->flag what a person must know, for example that the score is an estimate.
    pub flags: Option<unsafe extern "C" fn(object: *mut c_void, call: *mut rg_call) -> rg_status>,
}
