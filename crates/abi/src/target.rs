//! The functions of a target.

use crate::host::rg_call;
use crate::status::rg_status;
use core::ffi::{c_char, c_void};

/// A density known up to a constant. Arrays are row-major without gaps; `x` is n x d. Input and output
/// never overlap, n may be 0, and an output that is NULL is not wanted; every element of the others must
/// be written. log p = -inf says that there is no mass (the gradient is 0 then); NaN marks a point that
/// could not be evaluated, which is counted. A status other than RG_OK fails the whole call.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct rg_target_vtable {
    /// Size of this table in the plugin, in bytes.
    pub struct_size: usize,
    /// RG_CAP_ROWWISE, RG_CAP_DETERMINISTIC, RG_CAP_GRADIENT.
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
    /// Writes log densities (n) and gradients (n x d).
    pub eval: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            x: *const f64,
            logp: *mut f64,
            grad: *mut f64,
        ) -> rg_status,
    >,
    /// Optional, as all that follow. Writes Hessian-vector products, the Hessian of log p at x times v;
    /// n x d.
    pub hvp: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            x: *const f64,
            v: *const f64,
            out: *mut f64,
        ) -> rg_status,
    >,
    /// Name of coordinate i. `need` gets the bytes that it takes, NUL included; `buf` is written if
    /// `cap` is enough.
    pub name: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            i: usize,
            buf: *mut c_char,
            cap: usize,
            need: *mut usize,
        ) -> rg_status,
    >,
    /// Number k of the functions of x that are written beside the draws.
    pub n_outputs: Option<
        unsafe extern "C" fn(object: *mut c_void, call: *mut rg_call, k: *mut usize) -> rg_status,
    >,
    /// Name of function i, in the way of `name`.
    pub output_name: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            i: usize,
            buf: *mut c_char,
            cap: usize,
            need: *mut usize,
        ) -> rg_status,
    >,
    /// Writes the functions, n x k.
    pub outputs: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            k: usize,
            x: *const f64,
            out: *mut f64,
        ) -> rg_status,
    >,
}
