//! The functions of a forward process.

use crate::host::rg_call;
use crate::status::rg_status;
use core::ffi::c_void;

/// A process dX = f(X, t) dt + G(X, t) dW (Ito), t in [0, T], from data at t = 0 to noise at T. Arrays as
/// in rg_target_vtable. `t` is one time for all rows if `ts` is 0, and one for each (n numbers) if it is
/// 1. Where a Jacobian is absent, the host takes differences and says so.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct rg_process_vtable {
    /// Size of this table in the plugin, in bytes.
    pub struct_size: usize,
    /// RG_CAP_ constants.
    pub caps: u64,
    /// An RG_THREAD_ constant.
    pub threading: i32,
    /// 0.
    pub reserved: u32,
    /// Frees `object`; called once. May be NULL.
    pub destroy: Option<unsafe extern "C" fn(object: *mut c_void)>,
    /// The dimension d, the dimension m of the noise, and the end T > 0 of the process.
    pub info: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            d: *mut usize,
            m: *mut usize,
            t_end: *mut f64,
        ) -> rg_status,
    >,
    /// Writes f, n x d.
    pub drift: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            t: *const f64,
            ts: usize,
            x: *const f64,
            f: *mut f64,
        ) -> rg_status,
    >,
    /// Writes G z for z of n x m; n x d.
    pub apply_g: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            m: usize,
            t: *const f64,
            ts: usize,
            x: *const f64,
            z: *const f64,
            out: *mut f64,
        ) -> rg_status,
    >,
    /// Writes G G' v, n x d.
    pub apply_ggt: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            t: *const f64,
            ts: usize,
            x: *const f64,
            v: *const f64,
            out: *mut f64,
        ) -> rg_status,
    >,
    /// Draws from the reference law, that of X at T; n x d.
    pub ref_sample: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            x: *mut f64,
        ) -> rg_status,
    >,
    /// Writes the normalised log density (n) of the reference law and its gradient (n x d).
    pub ref_eval: Option<
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
    /// Optional, as all that follow. Writes the sum over j of d/dx_j (G G')_ij, n x d. NULL only with
    /// RG_CAP_G_CONST_X.
    pub div_ggt: Option<
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
    /// X_t = alpha X_0 + noise of covariance sigma2, at time t: 1, d or d x d numbers each, as one of the
    /// RG_CAP_LINEAR bits says.
    pub linear: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            d: usize,
            t: f64,
            alpha: *mut f64,
            sigma2: *mut f64,
        ) -> rg_status,
    >,
    /// Draws X_t given X_s = xs, s < t; n x d. With `transition_score`, or neither.
    pub transition_sample: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            s: f64,
            t: f64,
            xs: *const f64,
            xt: *mut f64,
        ) -> rg_status,
    >,
    /// Writes log p(x_t | x_s) (n) and its gradient in x_t (n x d).
    pub transition_score: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            s: f64,
            t: f64,
            xs: *const f64,
            xt: *const f64,
            logp: *mut f64,
            grad_xt: *mut f64,
        ) -> rg_status,
    >,
    /// Writes (df/dx)' u, n x d.
    pub drift_vjp: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            t: *const f64,
            ts: usize,
            x: *const f64,
            u: *const f64,
            out: *mut f64,
        ) -> rg_status,
    >,
    /// Writes (df/dx) v, n x d.
    pub drift_jvp: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            t: *const f64,
            ts: usize,
            x: *const f64,
            v: *const f64,
            out: *mut f64,
        ) -> rg_status,
    >,
    /// Writes the divergence of f, n numbers.
    pub drift_div: Option<
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
    /// Writes the integral of g squared from s to t; where G = g(t) times the identity.
    pub int_g2: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            s: f64,
            t: f64,
            out: *mut f64,
        ) -> rg_status,
    >,
    /// Writes X_t from X_s = r and noise z ~ N(0, I), n x d. With `solve_noise`, or neither.
    pub forward_map: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            s: f64,
            t: f64,
            r: *const f64,
            z: *const f64,
            x: *mut f64,
        ) -> rg_status,
    >,
    /// Writes the noise that takes r at s to x at t; n x d.
    pub solve_noise: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            s: f64,
            t: f64,
            r: *const f64,
            x: *const f64,
            z: *mut f64,
        ) -> rg_status,
    >,
    /// Writes, for each row, the mean of X at u = t - back given X = x at t, 0 < back <= t, from the score
    /// s = grad log p_t(x); `x`, `score`, `r` are n x d. Where X_t = E X_u + noise of covariance Q (given
    /// X_u; E, Q of d x d, or numbers times the identity), that is r = E^-1 (x + Q s), by Tweedie's formula.
    /// Where the process is linear in y = psi(x): the same in y, r = psi^-1(E^-1 (psi(x) + Q sy)), with sy =
    /// J'^-1 (s - grad log |det J|), J = dy/dx. Others come as near to that mean as they can; without it
    /// the host takes r = x - back (f - div D - D s), with D = G G' at (t, x) and f there.
    pub restore: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            t: f64,
            back: f64,
            x: *const f64,
            score: *const f64,
            r: *mut f64,
        ) -> rg_status,
    >,
    /// Writes y = psi(x), in which the process is linear (n x d), and log |det dy/dx| (n). With `unwarp`
    /// and `warp_score`, or none of them.
    pub warp: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            x: *const f64,
            y: *mut f64,
            log_det: *mut f64,
        ) -> rg_status,
    >,
    /// Writes x from y; n x d.
    pub unwarp: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            y: *const f64,
            x: *mut f64,
        ) -> rg_status,
    >,
    /// Writes the score in x from the score sy in y = psi(x): J' sy + grad log |det J|, J = dy/dx; n x d.
    pub warp_score: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            d: usize,
            x: *const f64,
            sy: *const f64,
            sx: *mut f64,
        ) -> rg_status,
    >,
    /// For d = 1: writes P(X_t <= x given X_s = r), n numbers. With `quantile`, or neither.
    pub cdf: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            s: f64,
            t: f64,
            r: *const f64,
            x: *const f64,
            p: *mut f64,
        ) -> rg_status,
    >,
    /// For d = 1: writes x from p = P(X_t <= x given X_s = r), n numbers.
    pub quantile: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            n: usize,
            s: f64,
            t: f64,
            r: *const f64,
            p: *const f64,
            x: *mut f64,
        ) -> rg_status,
    >,
    /// The open interval that every coordinate lies in; without it all numbers.
    pub support: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            low: *mut f64,
            high: *mut f64,
        ) -> rg_status,
    >,
    /// Says by host->flag what a person must know, for example that the reference law is approximate.
    pub flags: Option<unsafe extern "C" fn(object: *mut c_void, call: *mut rg_call) -> rg_status>,
    /// With RG_CAP_LINEAR: writes the time in [0, t_end] at which the noise level, the root of sigma2 over
    /// alpha, is `level`; without it the host searches.
    pub time_of: Option<
        unsafe extern "C" fn(
            object: *mut c_void,
            call: *mut rg_call,
            level: f64,
            t_end: f64,
            t: *mut f64,
        ) -> rg_status,
    >,
}
